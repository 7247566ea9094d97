/* Our own weight gradients of convolutions between many channels: equal bits in all instruction sets, sums of bands of rows, and which
   convolutions they run. Whole networks' convolutions against the reference: test_conv_dnnl.c. */
#include "backends/cpu/loops.h"
#include "conv_check.h"

#define FAMILY "farandole wide:"

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
        square_conv(32, 32, 7, 7, 3, 1, 1),    square_conv(48, 64, 9, 11, 3, 2, 1),
        square_conv(64, 32, 14, 14, 1, 1, 0),  square_conv(32, 64, 15, 13, 1, 2, 0),
        square_conv(32, 32, 6, 300, 3, 1, 1),  /* several chains a row */
        square_conv(32, 32, 100, 40, 1, 1, 0), /* several blocks are copied */
        square_conv(512, 32, 5, 5, 1, 1, 0),   square_conv(32, 32, 8, 8, 5, 1, 2),
    };
    for (size_t i = 0; i < FAR_COUNT(attrs); i++) {
        check_isas(&attrs[i], 3, false);
        check_isas(&attrs[i], 2, true);
    }
}

/* ---- against the reference ---- */

FAR_TEST(bands_of_rows_add_up_to_the_reference)
{
    fari_backend *backend = NULL;
    if (!has_avx512()) FAR_SKIP("no AVX-512");
    FAR_CHECK_OK(fari_backend_cpu_create("avx512", &backend));
    const fari_conv_attr attrs[] = {
        square_conv(32, 32, 12, 9, 3, 1, 1), square_conv(48, 32, 13, 10, 3, 2, 1),
        square_conv(32, 64, 12, 9, 1, 1, 0), square_conv(32, 32, 13, 9, 1, 2, 0),
        square_conv(32, 32, 11, 8, 5, 1, 2), square_conv(32, 32, 12, 12, 2, 2, 0),
        square_conv(32, 32, 9, 9, 3, 1, 0),  square_conv(32, 32, 10, 290, 3, 1, 1),
    };
    for (size_t i = 0; i < FAR_COUNT(attrs); i++) {
        check_conv_bands_dw(backend, &attrs[i], 1, 100, FAMILY);
        check_conv_bands_dw(backend, &attrs[i], 1, 3, FAMILY);
        check_conv_bands_dw(backend, &attrs[i], 1, 1, FAMILY);
        check_conv_bands_dw(backend, &attrs[i], 3, 100, FAMILY);
    }
    backend->destroy(backend);
}

/* ---- which convolutions they run ---- */

FAR_TEST(wide_weight_gradients_are_ours_with_avx512)
{
    fari_backend *backend = NULL;
    if (!has_avx512()) FAR_SKIP("no AVX-512");
    FAR_CHECK_OK(fari_backend_cpu_create("avx512", &backend));
    const fari_conv_attr ours[] = { square_conv(32, 32, 8, 8, 3, 1, 1), square_conv(64, 256, 8, 8, 1, 2, 0) };
    const fari_conv_attr theirs[] = { square_conv(3, 64, 16, 16, 7, 2, 3), square_conv(64, 48, 8, 8, 3, 1, 1),
                                      square_conv(40, 64, 8, 8, 3, 1, 1), square_conv(64, 64, 8, 8, 1, 1, 1) };
    for (size_t i = 0; i < FAR_COUNT(ours); i++) check_conv_who(backend, &ours[i], PASS_DW, FAMILY, true);
    for (size_t i = 0; i < FAR_COUNT(theirs); i++) check_conv_who(backend, &theirs[i], PASS_DW, FAMILY, false);
    fari_conv_attr attr = square_conv(64, 64, 8, 8, 3, 1, 1);
    attr.groups = 2;
    check_conv_who(backend, &attr, PASS_DW, FAMILY, false);
    attr.groups = 1;
    attr.dilation[1] = 2;
    check_conv_who(backend, &attr, PASS_DW, FAMILY, false);
    backend->destroy(backend);
    FAR_CHECK_OK(fari_backend_cpu_create("avx2", &backend));
    check_conv_who(backend, &ours[0], PASS_DW, FAMILY, false);
    backend->destroy(backend);
}
