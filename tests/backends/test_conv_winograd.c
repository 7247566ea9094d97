/* Our own convolutions of 3 x 3 by Winograd's way: equal bits in all instruction sets, rows in bands against the reference, no less exact than
   plain sums, and which convolutions they run. */
#include "backends/cpu/loops.h"
#include "conv_check.h"
#include <math.h>

#define FAMILY "farandole winograd:"

static fari_conv_attr conv_of(int64_t in_channels, int64_t out_channels, int64_t rows, int64_t cols, int64_t pad)
{
    return square_conv(in_channels, out_channels, rows, cols, 3, 1, pad);
}

/* ---- instruction sets ---- */

static float *run_kernel(const fari_thin_conv *conv, fari_isa isa, bool has_bias, bool is_turned)
{
    const fari_winograd_kernels *kernels = fari_cpu_loops_of(isa)->winograd;
    const int64_t elems = conv->samples * conv->out_rows * conv->out_cols * conv->out_channels;
    const int64_t packed_elems = fari_winograd_weight_elems(conv);
    const size_t scratch_bytes = (size_t)fari_winograd_scratch(conv) * sizeof(float);
    float *in = random_floats(conv->samples * conv->in_rows * conv->in_cols * conv->in_channels, SEED);
    float *weight = random_floats(9 * conv->in_channels * conv->out_channels, SEED + 1), *packed = floats(packed_elems);
    float *bias = random_floats(conv->out_channels, SEED + 2);
    const fari_conv_operands operands = { in, packed, has_bias ? bias : NULL, floats(elems),
                                          scratch_make(scratch_bytes) };
    kernels->pack(conv->in_channels, conv->out_channels, is_turned, weight, packed);
    check_tail(kernels->impl, packed, packed_elems);
    kernels->run(conv, &operands);
    check_tail(kernels->impl, operands.out, elems);
    scratch_end(operands.scratch, scratch_bytes);
    free(in);
    free(weight);
    free(packed);
    free(bias);
    return operands.out;
}

static void check_isas(const fari_thin_conv *conv, bool has_bias, bool is_turned)
{
    fari_isa best = FARI_ISA_BASE;
    char what[160];
    float *want = run_kernel(conv, FARI_ISA_BASE, has_bias, is_turned);
    FAR_CHECK_OK(fari_isa_select(NULL, &best));
    for (int isa = FARI_ISA_BASE + 1; isa <= (int)best; isa++) {
        float *got = run_kernel(conv, (fari_isa)isa, has_bias, is_turned);
        (void)snprintf(what, sizeof what, "%" PRId64 " -> %" PRId64 ", %" PRId64 " columns, by %s", conv->in_channels,
                       conv->out_channels, conv->out_cols, fari_isa_name((fari_isa)isa));
        FAR_CHECK_BITS(what, got, want, conv->samples * conv->out_rows * conv->out_cols * conv->out_channels);
        free(got);
    }
    free(want);
}

static float *run_dw(const fari_thin_conv *conv, fari_isa isa, bool is_added)
{
    const fari_winograd_kernels *kernels = fari_cpu_loops_of(isa)->winograd;
    const int64_t elems = 9 * conv->in_channels * conv->out_channels;
    const size_t scratch_bytes = (size_t)fari_winograd_dw_scratch(conv) * sizeof(float);
    float *in = random_floats(conv->samples * conv->in_rows * conv->in_cols * conv->in_channels, SEED);
    float *dy = random_floats(conv->samples * conv->out_rows * conv->out_cols * conv->out_channels, SEED + 1);
    float *partial = is_added ? random_floats(elems, SEED + 2) : floats(elems);
    void *scratch = scratch_make(scratch_bytes);
    kernels->dw(conv, in, dy, is_added, partial, scratch);
    check_tail(kernels->impl, partial, elems);
    scratch_end(scratch, scratch_bytes);
    free(in);
    free(dy);
    return partial;
}

static void check_isas_dw(const fari_thin_conv *conv, bool is_added)
{
    fari_isa best = FARI_ISA_BASE;
    float *want = run_dw(conv, FARI_ISA_BASE, is_added);
    FAR_CHECK_OK(fari_isa_select(NULL, &best));
    for (int isa = FARI_ISA_BASE + 1; isa <= (int)best; isa++) {
        float *got = run_dw(conv, (fari_isa)isa, is_added);
        FAR_CHECK_BITS(fari_isa_name((fari_isa)isa), got, want, 9 * conv->in_channels * conv->out_channels);
        free(got);
    }
    free(want);
}

FAR_TEST(instruction_sets_agree_to_the_bit)
{
    const fari_thin_conv convs[] = {
        { 3, 64, 64, 7, 7, 7, 7, 3, 3, 1, 1 },     /* odd: tiles stick out of the output */
        { 2, 16, 32, 1, 1, 1, 1, 3, 3, 1, 1 },     /* one pixel */
        { 1, 32, 96, 9, 6, 7, 4, 3, 3, 0, 0 },     /* no padding */
        { 1, 48, 32, 4, 5, 7, 9, 3, 3, 2, 3 },     /* more padding than pixels of the window */
        { 2, 16, 32, 12, 5, 5, 5, 3, 3, -4, 1 },   /* rows of the input that nothing reads */
        { 1, 272, 32, 5, 6, 5, 6, 3, 3, 1, 1 },    /* several chains */
        { 1, 64, 32, 23, 33, 23, 33, 3, 3, 1, 1 }, /* several blocks */
    };
    for (size_t i = 0; i < FAR_COUNT(convs); i++) {
        for (int flags = 0; flags < 4; flags++) check_isas(&convs[i], (flags & 1) != 0, (flags & 2) != 0);
        check_isas_dw(&convs[i], false);
        check_isas_dw(&convs[i], true);
    }
}

/* ---- against the reference ---- */

FAR_TEST(bands_of_rows_are_the_reference)
{
    fari_backend *backend = NULL;
    if (!has_avx512()) FAR_SKIP("no AVX-512");
    FAR_CHECK_OK(fari_backend_cpu_create("avx512", &backend));
    fari_conv_attr attrs[] = { conv_of(64, 96, 13, 9, 1), conv_of(96, 64, 8, 7, 0), conv_of(64, 64, 5, 30, 2),
                               conv_of(64, 64, 9, 10, 1), conv_of(288, 64, 6, 5, 1) };
    attrs[3].pad_lo[1] = 0; /* uneven */
    attrs[3].pad_hi[0] = 2;
    for (size_t i = 0; i < FAR_COUNT(attrs); i++)
        for (conv_pass pass = PASS_FORWARD; pass <= PASS_DX; pass++) {
            for (int64_t band = 1; band <= 15; band += 7) check_conv_bands(backend, &attrs[i], pass, 1, band, FAMILY);
            check_conv_bands(backend, &attrs[i], pass, 3, 100, FAMILY);
        }
    backend->destroy(backend);
}

FAR_TEST(weight_gradients_of_bands_add_up_to_the_reference)
{
    fari_backend *backend = NULL;
    if (!has_avx512()) FAR_SKIP("no AVX-512");
    FAR_CHECK_OK(fari_backend_cpu_create("avx512", &backend));
    fari_conv_attr attrs[] = { conv_of(64, 96, 13, 11, 1), conv_of(144, 64, 16, 9, 0), conv_of(64, 64, 5, 30, 2),
                               conv_of(64, 64, 31, 35, 1), conv_of(64, 64, 15, 10, 1) };
    attrs[4].pad_lo[1] = 0; /* uneven */
    attrs[4].pad_hi[0] = 2;
    for (size_t i = 0; i < FAR_COUNT(attrs); i++) {
        for (int64_t band = 1; band <= 15; band += 7) check_conv_bands_dw(backend, &attrs[i], 1, band, FAMILY);
        check_conv_bands_dw(backend, &attrs[i], 3, 100, FAMILY);
    }
    backend->destroy(backend);
}

/* Root mean square of the error against double. */
static double error_of(fari_backend *backend, const conv_data *data, conv_pass pass, bool is_ours)
{
    const fari_view shape = pass_out(data, pass, NULL);
    const int64_t elems = fari_view_elems(&shape);
    double *want = conv_reference(data, pass, elems), sum = 0.0;
    float *got = floats(elems);
    char impl[CALL_IMPL_BYTES];
    fari_node node;
    const fari_call call = conv_call(data, pass, 0, pass_rows(data, pass), got, &node);
    run_call(backend, &call, impl);
    FAR_CHECK_MSG((strstr(impl, "farandole winograd:") != NULL) == is_ours, "is run by %s", impl);
    for (int64_t i = 0; i < elems; i++) sum += ((double)got[i] - want[i]) * ((double)got[i] - want[i]);
    free(want);
    free(got);
    return sqrt(sum / (double)elems);
}

/* oneDNN adds up weight gradients of few pixels in many short chains: ours may err up to three times as much there. */
FAR_TEST(errors_are_no_larger_than_of_plain_sums)
{
    fari_backend *ours = NULL, *plain = NULL;
    if (!has_avx512()) FAR_SKIP("no AVX-512");
    FAR_CHECK_OK(fari_backend_cpu_create("avx512", &ours));
    FAR_CHECK_OK(fari_backend_cpu_create("avx2", &plain)); /* where oneDNN runs them */
    const fari_conv_attr attrs[] = { conv_of(64, 64, 14, 14, 1), conv_of(256, 64, 14, 14, 1) };
    for (size_t i = 0; i < FAR_COUNT(attrs); i++)
        for (conv_pass pass = PASS_FORWARD; pass <= PASS_DW; pass++) {
            conv_data data = conv_data_make(&attrs[i], 1, false, SEED);
            const double error = error_of(ours, &data, pass, true);
            const double most = error_of(plain, &data, pass, false) * (pass == PASS_DW ? 3.0 : 1.0);
            FAR_CHECK_MSG(error < most, "%s of %" PRId64 " channels: error %g, at most %g", pass_name[pass],
                          attrs[i].in_channels, error, most);
            conv_data_free(&data);
        }
    ours->destroy(ours);
    plain->destroy(plain);
}

/* ---- which convolutions they run ---- */

static void check_who(fari_backend *backend, const fari_conv_attr *attr, bool is_ours)
{
    for (conv_pass pass = PASS_FORWARD; pass <= PASS_DW; pass++) check_conv_who(backend, attr, pass, FAMILY, is_ours);
}

FAR_TEST(many_channels_are_ours_with_avx512)
{
    fari_backend *backend = NULL;
    if (!has_avx512()) FAR_SKIP("no AVX-512");
    FAR_CHECK_OK(fari_backend_cpu_create("avx512", &backend));
    const fari_conv_attr ours = conv_of(64, 128, 12, 12, 1), few = conv_of(32, 64, 12, 12, 1),
                         odd = conv_of(72, 72, 12, 12, 1);
    check_who(backend, &ours, true);
    check_who(backend, &few, false);
    check_who(backend, &odd, false);
    fari_conv_attr attr = ours;
    attr.groups = 2;
    check_who(backend, &attr, false);
    attr = ours;
    attr.stride[0] = 2;
    check_who(backend, &attr, false);
    attr = ours;
    attr.dilation[1] = 2;
    check_who(backend, &attr, false);
    attr = ours;
    attr.kernel[1] = 5;
    check_who(backend, &attr, false);
    backend->destroy(backend);
    FAR_CHECK_OK(fari_backend_cpu_create("avx2", &backend));
    check_who(backend, &ours, false);
    backend->destroy(backend);
}
