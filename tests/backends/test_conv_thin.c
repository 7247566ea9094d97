/* Our own kernels of thin convolutions: equal bits in all instruction sets, and which convolutions they run. Against the reference:
   test_conv_dnnl.c. */
#include "thin_check.h"

#define FAMILY "farandole thin:"

static fari_thin_conv square(int64_t in_channels, int64_t out_channels, int64_t kernel, int64_t rows, int64_t cols,
                             int64_t pad)
{
    return thin_conv(2, in_channels, out_channels, kernel, rows, cols, pad);
}

/* y, or (is_dw) a partial that had something in it. */
static float *run_kernel(const fari_thin_conv *conv, fari_isa isa, bool is_dw)
{
    const fari_thin_kernels *kernels = fari_cpu_loops_of(isa)->thin;
    const int64_t weight_elems = fari_thin_weight_elems(conv);
    float *in = random_floats(thin_in_elems(conv), SEED), *bias = random_floats(conv->out_channels, SEED + 1);
    float *weight = random_floats(weight_elems, SEED + 2), *dy = random_floats(thin_out_elems(conv), SEED + 3);
    const int64_t scratch = is_dw ? fari_thin_dw_scratch(conv) : fari_thin_forward_scratch(conv);
    const size_t scratch_bytes = (size_t)scratch * sizeof(float);
    fari_conv_operands operands = { in, weight, bias, is_dw ? weight : floats(thin_out_elems(conv)),
                                    scratch_make(scratch_bytes) };
    if (is_dw) kernels->dw(conv, in, dy, operands.out, operands.scratch);
    else kernels->forward(conv, &operands);
    check_tail(kernels->impl, operands.out, is_dw ? weight_elems : thin_out_elems(conv));
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
        (void)snprintf(what, sizeof what, "%s of %" PRId64 " -> %" PRId64 ", %" PRId64 " columns, by %s",
                       is_dw ? "dw" : "forward", conv->in_channels, conv->out_channels, conv->in_cols,
                       fari_isa_name((fari_isa)isa));
        FAR_CHECK_BITS(what, got, want, is_dw ? fari_thin_weight_elems(conv) : thin_out_elems(conv));
        free(got);
    }
    free(want);
}

FAR_TEST(instruction_sets_agree_to_the_bit)
{
    for (int64_t out = 8; out <= FARI_THIN_OUT_MAX; out += 8)
        for (int64_t in = 8; in <= 24; in += 16)
            for (int64_t cols = 16; cols <= 40; cols += 5) {
                const fari_thin_conv conv = square(in, out, 3, 5, cols, 1);
                check_isas(&conv, false);
                check_isas(&conv, true);
            }
    for (int64_t cols = 20; cols <= 300; cols += 35) {
        const fari_thin_conv conv = square(1, 8, 5, 7, cols, 2), none = square(1, 8, 5, 7, cols, 0);
        check_isas(&conv, false);
        check_isas(&conv, true);
        check_isas(&none, false);
        check_isas(&none, true);
    }
    for (int64_t cols = 12; cols <= 24; cols += 2) { /* blocks of 8 and of 10 */
        const fari_thin_conv even = square(6, 16, 5, 7, cols, 0), odd = square(3, 16, 5, 7, cols, 0);
        check_isas(&even, false);
        check_isas(&odd, false);
    }
    const fari_thin_conv wide = square(8, 8, 3, 4, 600, 1); /* several runs of columns */
    check_isas(&wide, true);
}

/* ---- which convolutions they run ---- */

static fari_conv_attr conv_of(int64_t in_channels, int64_t out_channels, int64_t cols, int64_t kernel)
{
    return square_conv(in_channels, out_channels, 20, cols, kernel, 1, kernel / 2);
}

static void check_passes(fari_backend *backend, fari_conv_attr attr, bool forward, bool dx, bool dw)
{
    check_conv_who(backend, &attr, PASS_FORWARD, FAMILY, forward);
    check_conv_who(backend, &attr, PASS_DX, FAMILY, dx);
    check_conv_who(backend, &attr, PASS_DW, FAMILY, dw);
}

FAR_TEST(thin_convolutions_are_ours_with_avx512)
{
    fari_backend *backend = NULL;
    if (!has_isa(FARI_ISA_AVX512)) FAR_SKIP("no AVX-512");
    FAR_CHECK_OK(fari_backend_cpu_create("avx512", &backend));
    check_passes(backend, conv_of(1, 8, 32, 5), true, false, true);
    check_passes(backend, conv_of(8, 8, 32, 3), true, true, true);
    check_passes(backend, conv_of(24, 24, 32, 3), true, true, true);
    check_passes(backend, conv_of(40, 40, 32, 3), true, true, false);
    check_passes(backend, conv_of(16, 16, 32, 3), true, true, false);
    check_passes(backend, conv_of(16, 8, 32, 3), true, true, true);
    check_passes(backend, conv_of(32, 32, 32, 3), false, false, false);
    check_passes(backend, conv_of(8, 8, 32, 1), false, false, false);
    check_passes(backend, conv_of(8, 8, 15, 3), false, false, false);
    check_passes(backend, conv_of(3, 8, 32, 3), false, false, false);
    check_passes(backend, conv_of(72, 8, 32, 3), false, false, false);
    fari_conv_attr attr = conv_of(6, 16, 14, 5);
    check_conv_who(backend, &attr, PASS_FORWARD, FAMILY, false); /* edges */
    memset(attr.pad_lo, 0, sizeof attr.pad_lo);
    memset(attr.pad_hi, 0, sizeof attr.pad_hi);
    check_conv_who(backend, &attr, PASS_FORWARD, FAMILY, true);
    attr.in_extent[1] = 15;
    check_conv_who(backend, &attr, PASS_FORWARD, FAMILY, false);
    attr = conv_of(8, 8, 64, 3);
    attr.stride[1] = 2;
    check_passes(backend, attr, false, false, false);
    attr = conv_of(8, 8, 64, 3);
    attr.dilation[0] = 2;
    check_passes(backend, attr, false, false, false);
    attr = conv_of(16, 16, 64, 3);
    attr.groups = 2;
    check_passes(backend, attr, false, false, false);
    backend->destroy(backend);
}

FAR_TEST(thin_convolutions_are_ours_with_avx2)
{
    fari_backend *backend = NULL;
    if (!has_isa(FARI_ISA_AVX2)) FAR_SKIP("no AVX2");
    FAR_CHECK_OK(fari_backend_cpu_create("avx2", &backend));
    check_passes(backend, conv_of(1, 8, 32, 5), true, false, false);
    check_passes(backend, conv_of(8, 8, 32, 3), true, true, true);
    check_passes(backend, conv_of(16, 16, 32, 3), true, false, true);
    check_passes(backend, conv_of(40, 40, 32, 3), false, false, false);
    backend->destroy(backend);
}

FAR_TEST(thin_convolutions_are_onednns_without_avx2)
{
    fari_backend *backend = NULL;
    FAR_CHECK_OK(fari_backend_cpu_create("base", &backend));
    check_passes(backend, conv_of(8, 8, 32, 3), false, false, false);
    backend->destroy(backend);
}
