/* Our own kernel of input gradients to few channels: equal bits in all instruction sets, and which convolutions it runs. Against the
   reference: test_conv_dnnl.c. */
#include "thin_check.h"

#define FAMILY "farandole fan:"

/* From dy to dx. */
static fari_thin_conv conv_of(int64_t in_channels, int64_t out_channels, int64_t kernel, int64_t cols, int64_t pad)
{
    return thin_conv(2, in_channels, out_channels, kernel, 5, cols, pad);
}

static float *run_kernel(const fari_thin_conv *conv, fari_isa isa)
{
    const fari_fan_kernels *kernels = fari_cpu_loops_of(isa)->fan;
    const int64_t out_elems = thin_out_elems(conv);
    const size_t scratch_bytes = (size_t)fari_fan_scratch(conv) * sizeof(float);
    float *in = random_floats(thin_in_elems(conv), SEED);
    float *bias = random_floats(conv->out_channels, SEED + 1);
    float *weight = random_floats(fari_fan_weight_elems(conv), SEED + 2);
    const fari_conv_operands operands = { in, weight, bias, floats(out_elems), scratch_make(scratch_bytes) };
    kernels->run(conv, &operands);
    check_tail(kernels->impl, operands.out, out_elems);
    scratch_end(operands.scratch, scratch_bytes);
    free(in);
    free(bias);
    free(weight);
    return operands.out;
}

static void check_isas(fari_thin_conv conv)
{
    fari_isa best = FARI_ISA_BASE;
    char what[160];
    float *want = run_kernel(&conv, FARI_ISA_BASE);
    FAR_CHECK_OK(fari_isa_select(NULL, &best));
    for (int isa = FARI_ISA_BASE + 1; isa <= (int)best; isa++) {
        float *got = run_kernel(&conv, (fari_isa)isa);
        (void)snprintf(what, sizeof what, "%" PRId64 " -> %" PRId64 ", kernel %" PRId64 ", %" PRId64 " columns, by %s",
                       conv.in_channels, conv.out_channels, conv.kernel_cols, conv.in_cols,
                       fari_isa_name((fari_isa)isa));
        FAR_CHECK_BITS(what, got, want, thin_out_elems(&conv));
        free(got);
    }
    free(want);
}

FAR_TEST(instruction_sets_agree_to_the_bit)
{
    for (int64_t kernel = 3; kernel <= 5; kernel += 2)
        for (int64_t out = 1; out * kernel <= FARI_FAN_MAX; out++)
            for (int64_t cols = FARI_FAN_COLS_MIN; cols <= 26; cols += 5) {
                check_isas(conv_of(7, out, kernel, cols, kernel - 1));
                check_isas(conv_of(16, out, kernel, cols, kernel / 2));
            }
}

/* ---- which convolutions it runs ---- */

static void check_who(fari_backend *backend, int64_t channels, int64_t cols, int64_t kernel, int64_t stride,
                      bool is_ours)
{
    const fari_conv_attr attr = square_conv(channels, 16, 14, cols, kernel, stride, kernel / 2);
    check_conv_who(backend, &attr, PASS_DX, FAMILY, is_ours);
}

FAR_TEST(gradients_to_few_channels_are_ours_with_avx512)
{
    fari_backend *backend = NULL;
    if (!has_isa(FARI_ISA_AVX512)) FAR_SKIP("no AVX-512");
    FAR_CHECK_OK(fari_backend_cpu_create("avx512", &backend));
    check_who(backend, 6, 14, 5, 1, true);
    check_who(backend, 3, 14, 3, 1, true);
    check_who(backend, 8, 14, 3, 1, true);
    check_who(backend, 8, 16, 3, 1, false); /* isa/conv_thin.h */
    check_who(backend, 11, 14, 3, 1, false);
    check_who(backend, 10, 14, 5, 1, false);
    check_who(backend, 6, 14, 1, 1, false);
    check_who(backend, 6, 14, 5, 2, false);
    check_who(backend, 6, 5, 5, 1, false);
    backend->destroy(backend);
}

FAR_TEST(gradients_to_few_channels_are_ours_with_avx2)
{
    fari_backend *backend = NULL;
    if (!has_isa(FARI_ISA_AVX2)) FAR_SKIP("no AVX2");
    FAR_CHECK_OK(fari_backend_cpu_create("avx2", &backend));
    check_who(backend, 6, 14, 5, 1, true);
    check_who(backend, 3, 14, 3, 1, true);
    check_who(backend, 6, 14, 3, 1, false);
    check_who(backend, 8, 14, 3, 1, false);
    backend->destroy(backend);
}

FAR_TEST(gradients_to_few_channels_are_onednns_without_avx2)
{
    fari_backend *backend = NULL;
    FAR_CHECK_OK(fari_backend_cpu_create("base", &backend));
    check_who(backend, 6, 14, 5, 1, false);
    backend->destroy(backend);
}
