/* Our own kernels of convolutions from one channel: equal bits in all instruction sets, and which convolutions they run. Against the
   reference: test_conv_dnnl.c. */
#include "thin_check.h"

#define FAMILY "farandole plane:"

static fari_thin_conv conv_of(int64_t samples, int64_t out_channels, int64_t kernel, int64_t rows, int64_t cols,
                              int64_t pad)
{
    return thin_conv(samples, 1, out_channels, kernel, rows, cols, pad);
}

static int64_t weight_elems(const fari_thin_conv *conv)
{
    return conv->out_channels * conv->kernel_rows * conv->kernel_cols;
}

/* y, or (is_dw) a gradient that had something in it. */
static float *run_kernel(const fari_thin_conv *conv, fari_isa isa, bool is_dw)
{
    const fari_plane_kernels *kernels = fari_cpu_loops_of(isa)->plane;
    float *in = random_floats(thin_in_elems(conv), SEED);
    float *bias = random_floats(conv->out_channels, SEED + 1), *weight = random_floats(weight_elems(conv), SEED + 2);
    float *dy = random_floats(thin_out_elems(conv), SEED + 3);
    const int64_t scratch = is_dw ? fari_plane_dw_scratch(conv) : fari_plane_forward_scratch(conv);
    const size_t scratch_bytes = (size_t)scratch * sizeof(float);
    fari_conv_operands operands = { in, weight, bias, is_dw ? weight : floats(thin_out_elems(conv)),
                                    scratch_make(scratch_bytes) };
    if (is_dw) kernels->dw(conv, in, dy, true, operands.out, operands.scratch);
    else kernels->forward(conv, &operands);
    check_tail(kernels->impl, operands.out, is_dw ? weight_elems(conv) : thin_out_elems(conv));
    scratch_end(operands.scratch, scratch_bytes);
    free(in);
    free(bias);
    free(dy);
    if (!is_dw) free(weight);
    return operands.out;
}

static void check_isas(const fari_thin_conv *conv, bool is_dw)
{
    fari_isa best = FARI_ISA_BASE;
    char what[160];
    float *want = run_kernel(conv, FARI_ISA_BASE, is_dw);
    FAR_CHECK_OK(fari_isa_select(NULL, &best));
    for (int isa = FARI_ISA_BASE + 1; isa <= (int)best; isa++) {
        float *got = run_kernel(conv, (fari_isa)isa, is_dw);
        (void)snprintf(what, sizeof what, "%s to %" PRId64 ", %" PRId64 " columns, by %s", is_dw ? "dw" : "forward",
                       conv->out_channels, conv->in_cols, fari_isa_name((fari_isa)isa));
        FAR_CHECK_BITS(what, got, want, is_dw ? weight_elems(conv) : thin_out_elems(conv));
        free(got);
    }
    free(want);
}

static void check_both(fari_thin_conv conv)
{
    check_isas(&conv, false);
    check_isas(&conv, true);
}

FAR_TEST(instruction_sets_agree_to_the_bit)
{
    for (int64_t out = 1; out <= FARI_PLANE_OUT_MAX; out++)
        for (int64_t kernel = 3; kernel <= FARI_PLANE_KERNEL_MAX; kernel += 2) {
            for (int64_t cols = 16; cols <= 40; cols += 6) check_both(conv_of(3, out, kernel, 6, cols, kernel / 2));
            check_both(conv_of(2, out, kernel, 7, 33, 0));
        }
    check_both(conv_of(2, 6, 5, 70, 31, 2));  /* several strips, the last one shorter */
    check_both(conv_of(2, 6, 5, 5, 1100, 2)); /* a row longer than a strip */
    check_both(conv_of(1, 1, 3, 3, 17, 0));   /* one row, whose last vector is one pixel of one channel */
}

/* ---- which convolutions they run ---- */

static void check_who(fari_backend *backend, int64_t in_channels, int64_t out_channels, int64_t cols, int64_t kernel,
                      int64_t stride, conv_pass pass, bool is_ours)
{
    const fari_conv_attr attr = square_conv(in_channels, out_channels, 20, cols, kernel, stride, kernel / 2);
    check_conv_who(backend, &attr, pass, FAMILY, is_ours);
}

static void check_passes(fari_backend *backend, int64_t out_channels, int64_t kernel, bool forward, bool dw)
{
    check_who(backend, 1, out_channels, 28, kernel, 1, PASS_FORWARD, forward);
    check_who(backend, 1, out_channels, 28, kernel, 1, PASS_DW, dw);
}

FAR_TEST(convolutions_from_one_channel_are_ours_with_avx512)
{
    fari_backend *backend = NULL;
    if (!has_isa(FARI_ISA_AVX512)) FAR_SKIP("no AVX-512");
    FAR_CHECK_OK(fari_backend_cpu_create("avx512", &backend));
    check_passes(backend, 6, 5, true, true);
    check_passes(backend, 4, 3, true, true);
    check_passes(backend, 6, 3, true, false);
    check_passes(backend, 8, 5, false, false); /* isa/conv_thin.h */
    check_passes(backend, 9, 5, false, false);
    check_passes(backend, 6, 7, false, false);
    check_who(backend, 2, 6, 28, 5, 1, PASS_FORWARD, false);
    check_who(backend, 1, 6, 28, 5, 2, PASS_FORWARD, false);
    check_who(backend, 1, 6, 11, 5, 1, PASS_FORWARD, false);
    check_who(backend, 1, 6, 28, 5, 1, PASS_DX, false);
    backend->destroy(backend);
}

FAR_TEST(convolutions_from_one_channel_are_ours_with_avx2)
{
    fari_backend *backend = NULL;
    if (!has_isa(FARI_ISA_AVX2)) FAR_SKIP("no AVX2");
    FAR_CHECK_OK(fari_backend_cpu_create("avx2", &backend));
    check_passes(backend, 6, 5, true, true);
    check_passes(backend, 6, 3, true, true);
    check_passes(backend, 8, 3, true, false);
    backend->destroy(backend);
}

FAR_TEST(convolutions_from_one_channel_are_onednns_without_avx2)
{
    fari_backend *backend = NULL;
    FAR_CHECK_OK(fari_backend_cpu_create("base", &backend));
    check_passes(backend, 6, 5, false, false);
    backend->destroy(backend);
}
