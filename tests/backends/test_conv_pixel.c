/* Our own convolutions with kernels of one pixel: equal bits in all instruction sets, rows in bands against the reference, and which
   convolutions they run. */
#include "backends/cpu/loops.h"
#include "conv_check.h"

#define FAMILY "farandole pixel:"

static fari_conv_attr conv_of(int64_t in_channels, int64_t out_channels, int64_t rows, int64_t cols, int64_t stride)
{
    return square_conv(in_channels, out_channels, rows, cols, 1, stride, 0);
}

/* ---- instruction sets ---- */

static float *run_kernel(const fari_pixel_conv *conv, fari_isa isa, bool has_bias)
{
    const fari_pixel_kernels *kernels = fari_cpu_loops_of(isa)->pixel;
    const int64_t elems = conv->samples * conv->out_rows * conv->out_cols * conv->out_channels;
    const size_t scratch_bytes = (size_t)fari_pixel_scratch(conv) * sizeof(float);
    float *in = random_floats(conv->samples * conv->in_rows * conv->in_cols * conv->in_channels, SEED);
    float *weight = random_floats(fari_pixel_weight_elems(conv), SEED + 1);
    float *bias = random_floats(conv->out_channels, SEED + 2);
    const fari_conv_operands operands = { in, weight, has_bias ? bias : NULL, floats(elems),
                                          scratch_make(scratch_bytes) };
    kernels->run(conv, &operands);
    check_tail(kernels->impl, operands.out, elems);
    scratch_end(operands.scratch, scratch_bytes);
    free(in);
    free(weight);
    free(bias);
    return operands.out;
}

static void check_isas(const fari_pixel_conv *conv, bool has_bias)
{
    fari_isa best = FARI_ISA_BASE;
    char what[160];
    float *want = run_kernel(conv, FARI_ISA_BASE, has_bias);
    FAR_CHECK_OK(fari_isa_select(NULL, &best));
    for (int isa = FARI_ISA_BASE + 1; isa <= (int)best; isa++) {
        float *got = run_kernel(conv, (fari_isa)isa, has_bias);
        (void)snprintf(what, sizeof what, "%" PRId64 " -> %" PRId64 ", %" PRId64 " columns, by %s", conv->in_channels,
                       conv->out_channels, conv->cols, fari_isa_name((fari_isa)isa));
        FAR_CHECK_BITS(what, got, want, conv->samples * conv->out_rows * conv->out_cols * conv->out_channels);
        free(got);
    }
    free(want);
}

FAR_TEST(instruction_sets_agree_to_the_bit)
{
    const fari_pixel_conv convs[] = {
        { 3, 40, 32, 7, 7, 7, 7, 0, 1, 7, 7, 0, 1 },         /* dense */
        { 2, 600, 64, 5, 3, 5, 3, 0, 1, 5, 3, 0, 1 },        /* several chains */
        { 2, 33, 32, 6, 5, 14, 9, 2, 2, 6, 5, 0, 1 },        /* reads every other pixel */
        { 2, 32, 96, 4, 5, 6, 5, 1, 1, 12, 10, 3, 2 },       /* writes every other pixel */
        { 1, 64, 32, 19, 20, 19, 20, 0, 1, 19, 20, 0, 1 },   /* several blocks */
        { 2, 1024, 512, 12, 11, 12, 11, 0, 1, 12, 11, 0, 1 } /* a large weight */
    };
    for (size_t i = 0; i < FAR_COUNT(convs); i++) {
        check_isas(&convs[i], false);
        check_isas(&convs[i], true);
    }
}

/* ---- against the reference ---- */

FAR_TEST(bands_of_rows_are_the_reference)
{
    fari_backend *backend = NULL;
    if (!has_avx512()) FAR_SKIP("no AVX-512");
    FAR_CHECK_OK(fari_backend_cpu_create("avx512", &backend));
    const fari_conv_attr forward[] = { conv_of(64, 32, 13, 9, 1), conv_of(72, 32, 13, 10, 2),
                                       conv_of(96, 32, 14, 9, 3) };
    const fari_conv_attr dx[] = { conv_of(32, 64, 13, 9, 1), conv_of(64, 40, 13, 10, 2), conv_of(32, 96, 14, 9, 3),
                                  conv_of(96, 32, 7, 7, 1) };
    for (int64_t band = 1; band <= 15; band += 7) {
        for (size_t i = 0; i < FAR_COUNT(forward); i++)
            check_conv_bands(backend, &forward[i], PASS_FORWARD, 1, band, FAMILY);
        for (size_t i = 0; i < FAR_COUNT(dx); i++) check_conv_bands(backend, &dx[i], PASS_DX, 1, band, FAMILY);
    }
    for (size_t i = 0; i < FAR_COUNT(forward); i++)
        check_conv_bands(backend, &forward[i], PASS_FORWARD, 3, 100, FAMILY);
    for (size_t i = 0; i < FAR_COUNT(dx); i++) check_conv_bands(backend, &dx[i], PASS_DX, 3, 100, FAMILY);
    backend->destroy(backend);
}

/* ---- which convolutions they run ---- */

FAR_TEST(narrow_outputs_small_images_and_strides_are_ours_with_avx512)
{
    fari_backend *backend = NULL;
    if (!has_avx512()) FAR_SKIP("no AVX-512");
    FAR_CHECK_OK(fari_backend_cpu_create("avx512", &backend));
    const fari_conv_attr narrow = conv_of(256, 64, 12, 12, 1), widening = conv_of(64, 256, 12, 12, 1),
                         even = conv_of(256, 256, 12, 12, 1), small = conv_of(256, 256, 7, 7, 1),
                         strided = conv_of(256, 256, 12, 12, 2), odd = conv_of(256, 72, 12, 12, 1);
    check_conv_who(backend, &narrow, PASS_FORWARD, FAMILY, true);
    check_conv_who(backend, &narrow, PASS_DX, FAMILY, false);
    check_conv_who(backend, &widening, PASS_FORWARD, FAMILY, false);
    check_conv_who(backend, &widening, PASS_DX, FAMILY, true);
    check_conv_who(backend, &even, PASS_FORWARD, FAMILY, false);
    check_conv_who(backend, &even, PASS_DX, FAMILY, false);
    check_conv_who(backend, &small, PASS_FORWARD, FAMILY, false);
    check_conv_who(backend, &small, PASS_DX, FAMILY, true);
    check_conv_who(backend, &strided, PASS_FORWARD, FAMILY, false);
    check_conv_who(backend, &strided, PASS_DX, FAMILY, true);
    check_conv_who(backend, &odd, PASS_FORWARD, FAMILY, false);
    fari_conv_attr attr = narrow;
    attr.groups = 2;
    check_conv_who(backend, &attr, PASS_FORWARD, FAMILY, false);
    attr = narrow;
    attr.pad_lo[0] = attr.pad_hi[0] = 1;
    check_conv_who(backend, &attr, PASS_FORWARD, FAMILY, false);
    attr = narrow;
    attr.stride[1] = 2;
    check_conv_who(backend, &attr, PASS_FORWARD, FAMILY, false);
    backend->destroy(backend);
}
