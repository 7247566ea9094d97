/* What tests of our own convolutions have in common: who runs a convolution, and bands of rows beside the reference in double. */
#ifndef FAR_TESTS_CONV_CHECK_H
#define FAR_TESTS_CONV_CHECK_H
#include "cpu_call.h"

#define SEED 11

/* Whether the backend gives the convolution to kernels of the family, "farandole pixel:". */
static inline void check_conv_who(fari_backend *backend, const fari_conv_attr *attr, conv_pass pass, const char *family,
                                  bool is_theirs)
{
    conv_data data = conv_data_make(attr, 1, false, SEED);
    fari_node node;
    fari_prepared prepared;
    const fari_call call = conv_call(&data, pass, 0, pass_rows(&data, pass), NULL, &node);
    prepare_call(backend, &call, &prepared);
    FAR_CHECK_MSG((strstr(prepared.impl, family) != NULL) == is_theirs,
                  "%s of %" PRId64 " -> %" PRId64 ", kernel %" PRId64 ", %" PRId64 " columns is run by %s",
                  pass_name[pass], attr->in_channels, attr->out_channels, attr->kernel[0], attr->in_extent[1],
                  prepared.impl);
    backend->release(backend, &prepared);
    conv_data_free(&data);
}

/* Forward and dx, band by band of so many rows, by kernels of the family. */
static inline void check_conv_bands(fari_backend *backend, const fari_conv_attr *attr, conv_pass pass, int64_t samples,
                                    int64_t band, const char *family)
{
    conv_data data = conv_data_make(attr, samples, true, SEED);
    const int64_t rows = pass_rows(&data, pass);
    const fari_view shape = pass_out(&data, pass, NULL);
    const int64_t elems = fari_view_elems(&shape);
    double *want = conv_reference(&data, pass, elems);
    float *got = floats(elems);
    char impl[CALL_IMPL_BYTES];
    fari_node node;
    for (int64_t lo = 0; lo < rows; lo += band) {
        const fari_call call = conv_call(&data, pass, lo, lo + band < rows ? lo + band : rows, got, &node);
        run_call(backend, &call, impl);
        FAR_CHECK_HAS(impl, family);
    }
    check_tail(impl, got, elems);
    FAR_CHECK_CLOSE(pass_name[pass], got, want, elems, 5e-6);
    free(want);
    free(got);
    conv_data_free(&data);
}

/* Weight gradients of bands, added up. */
static inline void check_conv_bands_dw(fari_backend *backend, const fari_conv_attr *attr, int64_t samples, int64_t band,
                                       const char *family)
{
    conv_data data = conv_data_make(attr, samples, false, SEED);
    const int64_t rows = pass_rows(&data, PASS_DW), elems = fari_view_elems(&data.weight);
    double *want = conv_reference(&data, PASS_DW, elems);
    float *part = floats(elems), *sum = floats(elems);
    char impl[CALL_IMPL_BYTES];
    fari_node node;
    memset(sum, 0, (size_t)elems * sizeof *sum);
    for (int64_t lo = 0; lo < rows; lo += band) {
        const fari_call call = conv_call(&data, PASS_DW, lo, lo + band < rows ? lo + band : rows, part, &node);
        run_call(backend, &call, impl);
        FAR_CHECK_HAS(impl, family);
        for (int64_t i = 0; i < elems; i++) sum[i] += part[i];
    }
    check_tail(impl, part, elems);
    FAR_CHECK_CLOSE("weight gradient", sum, want, elems, 2e-6);
    free(want);
    free(part);
    free(sum);
    conv_data_free(&data);
}
#endif
