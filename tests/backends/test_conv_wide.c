/* Our own weight gradients of convolutions between many channels: equal bits in all instruction sets, sums of bands of rows, and which
   convolutions they run. Whole networks' convolutions against the reference: test_conv_dnnl.c. */
#include "backends/cpu/loops.h"
#include "cpu_call.h"

#define SEED UINT64_C(0x71de5eed)

static fari_conv_attr conv_of(int64_t in_channels, int64_t out_channels, int64_t rows, int64_t cols, int64_t kernel,
                              int64_t stride, int64_t pad)
{
    return (fari_conv_attr){ .spatial_ndim = 2,
                             .kernel = { kernel, kernel, 1 },
                             .stride = { stride, stride, 1 },
                             .dilation = { 1, 1, 1 },
                             .pad_lo = { pad, pad, 0 },
                             .pad_hi = { pad, pad, 0 },
                             .groups = 1,
                             .in_extent = { rows, cols, 1 },
                             .in_channels = in_channels,
                             .out_channels = out_channels };
}

/* ---- instruction sets ---- */

static fari_wide_conv wide_of(const fari_conv_attr *attr, int64_t samples)
{
    return (fari_wide_conv){ .samples = samples,
                             .in_channels = attr->in_channels,
                             .out_channels = attr->out_channels,
                             .in_rows = attr->in_extent[0],
                             .in_cols = attr->in_extent[1],
                             .out_rows = fari_conv_out_extent(attr, 0),
                             .out_cols = fari_conv_out_extent(attr, 1),
                             .kernel_rows = attr->kernel[0],
                             .kernel_cols = attr->kernel[1],
                             .stride_rows = attr->stride[0],
                             .stride_cols = attr->stride[1],
                             .pad_rows = attr->pad_lo[0],
                             .pad_cols = attr->pad_lo[1] };
}

static float *run_kernel(const fari_wide_conv *conv, fari_isa isa, bool is_added)
{
    const fari_wide_kernels *kernels = fari_cpu_loops_of(isa)->wide;
    const int64_t elems = fari_wide_weight_elems(conv);
    float *in = random_floats(conv->samples * conv->in_rows * conv->in_cols * conv->in_channels, SEED);
    float *dy = random_floats(conv->samples * conv->out_rows * conv->out_cols * conv->out_channels, SEED + 1);
    float *partial = is_added ? random_floats(elems, SEED + 2) : floats(elems);
    const size_t scratch_bytes = (size_t)fari_wide_dw_scratch(conv) * sizeof(float);
    void *scratch = scratch_make(scratch_bytes);
    kernels->dw(conv, in, dy, is_added, partial, scratch);
    check_tail(kernels->impl, partial, elems);
    scratch_end(scratch, scratch_bytes);
    free(in);
    free(dy);
    return partial;
}

static void check_isas(const fari_conv_attr *attr, int64_t samples, bool is_added)
{
    const fari_wide_conv conv = wide_of(attr, samples);
    fari_isa best = FARI_ISA_BASE;
    char what[160];
    float *want = run_kernel(&conv, FARI_ISA_BASE, is_added);
    FAR_CHECK_OK(fari_isa_select(NULL, &best));
    for (int isa = FARI_ISA_BASE + 1; isa <= (int)best; isa++) {
        float *got = run_kernel(&conv, (fari_isa)isa, is_added);
        (void)snprintf(what, sizeof what, "%" PRId64 " -> %" PRId64 ", kernel %" PRId64 ", %" PRId64 " columns, by %s",
                       conv.in_channels, conv.out_channels, conv.kernel_rows, conv.in_cols,
                       fari_isa_name((fari_isa)isa));
        FAR_CHECK_BITS(what, got, want, fari_wide_weight_elems(&conv));
        free(got);
    }
    free(want);
}

FAR_TEST(instruction_sets_agree_to_the_bit)
{
    const fari_conv_attr attrs[] = {
        conv_of(32, 32, 7, 7, 3, 1, 1),    conv_of(48, 64, 9, 11, 3, 2, 1),  conv_of(64, 32, 14, 14, 1, 1, 0),
        conv_of(32, 64, 15, 13, 1, 2, 0),  conv_of(32, 32, 6, 300, 3, 1, 1), /* several chains a row */
        conv_of(32, 32, 100, 40, 1, 1, 0),                                   /* several blocks are copied */
        conv_of(512, 32, 5, 5, 1, 1, 0),   conv_of(32, 32, 8, 8, 5, 1, 2),
    };
    for (size_t i = 0; i < FAR_COUNT(attrs); i++) {
        check_isas(&attrs[i], 3, false);
        check_isas(&attrs[i], 2, true);
    }
}

/* ---- against the reference ---- */

/* Of rows [lo, hi) of dy, by the backend. */
static float *gradient_of(fari_backend *backend, const conv_data *data, int64_t lo, int64_t hi)
{
    char impl[CALL_IMPL_BYTES];
    fari_node node;
    const fari_view shape = pass_out(data, PASS_DW, NULL);
    float *out = floats(fari_view_elems(&shape));
    const fari_call call = conv_call(data, PASS_DW, lo, hi, out, &node);
    run_call(backend, &call, impl);
    FAR_CHECK_HAS(impl, "farandole wide:");
    return out;
}

static void check_bands(fari_backend *backend, const fari_conv_attr *attr, int64_t samples, int64_t band)
{
    conv_data data = conv_data_make(attr, samples, false, SEED);
    const int64_t rows = pass_rows(&data, PASS_DW), elems = fari_view_elems(&data.weight);
    double *want = block((size_t)elems * sizeof(double), 64);
    float *sum = floats(elems);
    fari_node node;
    fari_call call = conv_call(&data, PASS_DW, 0, rows, NULL, &node);
    call.out[0].dtype = FAR_F64;
    call.out[0].data = want;
    FAR_CHECK_OK(fari_op_conv_dw.reference(&call));
    memset(sum, 0, (size_t)elems * sizeof *sum);
    for (int64_t lo = 0; lo < rows; lo += band) {
        float *part = gradient_of(backend, &data, lo, lo + band < rows ? lo + band : rows);
        for (int64_t i = 0; i < elems; i++) sum[i] += part[i];
        free(part);
    }
    FAR_CHECK_CLOSE("weight gradient", sum, want, elems, 2e-6);
    free(want);
    free(sum);
    conv_data_free(&data);
}

FAR_TEST(bands_of_rows_add_up_to_the_reference)
{
    fari_backend *backend = NULL;
    if (!has_avx512()) FAR_SKIP("no AVX-512");
    FAR_CHECK_OK(fari_backend_cpu_create("avx512", &backend));
    const fari_conv_attr attrs[] = {
        conv_of(32, 32, 12, 9, 3, 1, 1), conv_of(48, 32, 13, 10, 3, 2, 1),  conv_of(32, 64, 12, 9, 1, 1, 0),
        conv_of(32, 32, 13, 9, 1, 2, 0), conv_of(32, 32, 11, 8, 5, 1, 2),   conv_of(32, 32, 12, 12, 2, 2, 0),
        conv_of(32, 32, 9, 9, 3, 1, 0),  conv_of(32, 32, 10, 290, 3, 1, 1),
    };
    for (size_t i = 0; i < FAR_COUNT(attrs); i++) {
        check_bands(backend, &attrs[i], 1, 100);
        check_bands(backend, &attrs[i], 1, 3);
        check_bands(backend, &attrs[i], 1, 1);
        check_bands(backend, &attrs[i], 3, 100);
    }
    backend->destroy(backend);
}

/* ---- which convolutions they run ---- */

static void check_who(fari_backend *backend, const fari_conv_attr *attr, bool is_ours)
{
    conv_data data = conv_data_make(attr, 1, false, SEED);
    fari_node node;
    fari_prepared prepared;
    const fari_call call = conv_call(&data, PASS_DW, 0, pass_rows(&data, PASS_DW), NULL, &node);
    prepare_call(backend, &call, &prepared);
    FAR_CHECK_MSG((strstr(prepared.impl, "farandole wide:") != NULL) == is_ours,
                  "%" PRId64 " -> %" PRId64 ", kernel %" PRId64 ", is run by %s", attr->in_channels, attr->out_channels,
                  attr->kernel[0], prepared.impl);
    backend->release(backend, &prepared);
    conv_data_free(&data);
}

FAR_TEST(wide_weight_gradients_are_ours_with_avx512)
{
    fari_backend *backend = NULL;
    if (!has_avx512()) FAR_SKIP("no AVX-512");
    FAR_CHECK_OK(fari_backend_cpu_create("avx512", &backend));
    const fari_conv_attr ours[] = { conv_of(32, 32, 8, 8, 3, 1, 1), conv_of(64, 256, 8, 8, 1, 2, 0) };
    const fari_conv_attr theirs[] = { conv_of(3, 64, 16, 16, 7, 2, 3), conv_of(64, 48, 8, 8, 3, 1, 1),
                                      conv_of(40, 64, 8, 8, 3, 1, 1), conv_of(64, 64, 8, 8, 1, 1, 1) };
    for (size_t i = 0; i < FAR_COUNT(ours); i++) check_who(backend, &ours[i], true);
    for (size_t i = 0; i < FAR_COUNT(theirs); i++) check_who(backend, &theirs[i], false);
    fari_conv_attr attr = conv_of(64, 64, 8, 8, 3, 1, 1);
    attr.groups = 2;
    check_who(backend, &attr, false);
    attr.groups = 1;
    attr.dilation[1] = 2;
    check_who(backend, &attr, false);
    backend->destroy(backend);
    FAR_CHECK_OK(fari_backend_cpu_create("avx2", &backend));
    check_who(backend, &ours[0], false);
    backend->destroy(backend);
}
