/* Convolutions of the CPU backend against the reference kernels, and what their bits must not depend on. */
#include "base/mem.h"
#include "cpu_call.h"

#define SEED UINT64_C(0xfa7a11d01e)
#define TOLERANCE 2e-6 /* of products of numbers up to 1, times the square root of the terms of a sum */

/* In torture a few of tens of thousands of shapes may go beyond, by what the roundings of long sums can come to: each rounds by a part of what is
   summed so far, which grows with the square root of the terms; that many, of either sign, add up to the same times this root again. */
#define TOLERANCE_LONG 15e-8 /* times the terms: six times the root mean square of a rounding */
#define SHAPES_PER_BEYOND 4000

static bool beyond_is_counted; /* else nothing may go beyond TOLERANCE */
static int32_t beyond_count;   /* outputs with an element beyond TOLERANCE, within TOLERANCE_LONG */

static fari_backend *backend_make(const char *isa_limit)
{
    fari_backend *backend = NULL;
    FAR_CHECK_OK(fari_backend_cpu_create(isa_limit, &backend));
    return backend;
}

static fari_conv_attr conv_2d(int64_t in_channels, int64_t out_channels, int64_t height, int64_t width, int64_t kernel,
                              int64_t stride, int64_t pad, int64_t groups)
{
    fari_conv_attr attr = square_conv(in_channels, out_channels, height, width, kernel, stride, pad);
    attr.groups = groups;
    return attr;
}

static void attr_text(const fari_conv_attr *a, int64_t samples, char text_out[256])
{
    (void)snprintf(text_out, 256,
                   "%dd n%" PRId64 " %" PRId64 "->%" PRId64 " g%" PRId64 " x%" PRId64 ",%" PRId64 ",%" PRId64
                   " k%" PRId64 ",%" PRId64 ",%" PRId64 " s%" PRId64 ",%" PRId64 ",%" PRId64 " d%" PRId64 ",%" PRId64
                   ",%" PRId64 " lo%" PRId64 ",%" PRId64 ",%" PRId64 " hi%" PRId64 ",%" PRId64 ",%" PRId64,
                   a->spatial_ndim, samples, a->in_channels, a->out_channels, a->groups, a->in_extent[0],
                   a->in_extent[1], a->in_extent[2], a->kernel[0], a->kernel[1], a->kernel[2], a->stride[0],
                   a->stride[1], a->stride[2], a->dilation[0], a->dilation[1], a->dilation[2], a->pad_lo[0],
                   a->pad_lo[1], a->pad_lo[2], a->pad_hi[0], a->pad_hi[1], a->pad_hi[2]);
}

/* Products summed for one element of the output. */
static double terms(const conv_data *data, conv_pass pass)
{
    double taps = 1.0;
    for (int d = 0; d < 3; d++) taps *= (double)data->attr.kernel[d];
    if (pass == PASS_FORWARD) return taps * (double)(data->attr.in_channels / data->attr.groups);
    if (pass == PASS_DX) return taps * (double)(data->attr.out_channels / data->attr.groups);
    return (double)(fari_view_elems(&data->y) / data->attr.out_channels);
}

static void check_close(const conv_data *data, conv_pass pass, const char *what, const float *got, const double *want)
{
    char text[256];
    const fari_view shape = pass_out(data, pass, NULL);
    const int64_t elems = fari_view_elems(&shape);
    const double count = terms(data, pass) + 1.0, usual = TOLERANCE * sqrt(count);
    const double limit = beyond_is_counted ? fmax(usual, TOLERANCE_LONG * count) : usual;
    bool is_beyond = false;
    attr_text(&data->attr, data->samples, text);
    for (int64_t i = 0; i < elems; i++) {
        is_beyond = is_beyond || fabs((double)got[i] - want[i]) > usual;
        FAR_CHECK_MSG(fabs((double)got[i] - want[i]) <= limit, "%s %s of %s: element %" PRId64 " is %g, not %g", what,
                      pass_name[pass], text, i, (double)got[i], want[i]);
    }
    beyond_count += is_beyond;
}

/* Whole, and for one sample in bands of rows that meet the whole bit for bit. */
static void check_pass(fari_backend *backend, const conv_data *data, conv_pass pass, int64_t band, bool wants_fast)
{
    fari_node node;
    char impl[CALL_IMPL_BYTES], text[256];
    const fari_view shape = pass_out(data, pass, NULL);
    const int64_t elems = fari_view_elems(&shape), rows = pass_rows(data, pass);
    float *whole = floats(elems), *bands = floats(elems);
    double *want = conv_reference(data, pass, elems);
    const fari_call all = conv_call(data, pass, 0, rows, whole, &node);
    run_call(backend, &all, impl);
    attr_text(&data->attr, data->samples, text);
    if (wants_fast) FAR_CHECK_MSG(strstr(impl, "ref") == NULL, "%s of %s is run by %s", pass_name[pass], text, impl);
    check_close(data, pass, impl, whole, want);
    check_tail(impl, whole, elems);
    for (int64_t lo = 0; lo < rows && data->samples == 1 && band < rows && pass != PASS_DW; lo += band) {
        const fari_call part = conv_call(data, pass, lo, lo + band < rows ? lo + band : rows, bands, &node);
        run_call(backend, &part, impl);
        if (wants_fast)
            FAR_CHECK_MSG(strstr(impl, "ref") == NULL, "rows of %s of %s are run by %s", pass_name[pass], text, impl);
    }
    if (data->samples == 1 && band < rows && pass != PASS_DW) check_close(data, pass, "bands", bands, want);
    check_tail("a band", bands, elems);
    free(whole);
    free(bands);
    free(want);
}

/* Partials of unequal bands, in one buffer as a leaf of the tree sums them. */
static void check_dw_bands(fari_backend *backend, const conv_data *data, int64_t band)
{
    fari_node node;
    const int64_t rows = data->y.dim[2], elems = fari_view_elems(&data->weight);
    float *got = floats(elems), *partial = NULL;
    double *want = conv_reference(data, PASS_DW, elems);
    size_t partial_bytes = 0;
    for (int64_t lo = 0; lo < rows; lo += band) {
        fari_prepared prepared;
        fari_call call = conv_call(data, PASS_DW, lo, lo + band < rows ? lo + band : rows, got, &node);
        call.accumulate = lo > 0;
        prepare_call(backend, &call, &prepared);
        if (lo == 0) partial_bytes = prepared.partial_bytes;
        FAR_CHECK_EQ_U64(prepared.partial_bytes, partial_bytes); /* else partials could not be summed */
        if (partial_bytes > 0 && partial == NULL) partial = block(partial_bytes, 64);
        if (partial_bytes > 0) call.out[0].data = partial;
        call.scratch = scratch_make(prepared.scratch_bytes);
        call.prepared = prepared.state;
        FAR_CHECK_OK(prepared.run(&call));
        scratch_end(call.scratch, prepared.scratch_bytes);
        if (partial_bytes > 0 && lo + band >= rows) FAR_CHECK_OK(backend->unpack(&prepared, partial, got));
        backend->release(backend, &prepared);
    }
    check_close(data, PASS_DW, "partials", got, want);
    free(partial);
    free(got);
    free(want);
}

static void check_conv(fari_backend *backend, const fari_conv_attr *attr, int64_t samples, bool has_bias, int64_t band,
                       bool wants_fast)
{
    conv_data data = conv_data_make(attr, samples, has_bias, SEED + (uint64_t)band);
    for (int pass = 0; pass < PASS_COUNT; pass++) check_pass(backend, &data, (conv_pass)pass, band, wants_fast);
    if (samples == 1 && band < data.y.dim[2]) check_dw_bands(backend, &data, band);
    conv_data_free(&data);
}

/* ---- any shape ---- */

static int64_t draw(uint64_t key, uint64_t *at_io, int64_t lo, int64_t hi)
{
    return lo + (int64_t)fari_rng_below(key, (*at_io)++, (uint64_t)(hi - lo + 1));
}

/* What our own kernels take (conv_thin.c, conv_plane.c, conv_fan.c), and what they just do not: extents of too few columns. */
static bool random_thin(uint64_t key, uint64_t *at_io, fari_conv_attr *attr_out)
{
    const int64_t kind = draw(key, at_io, 0, 3), eights_in = 8 * draw(key, at_io, 1, 5);
    const int64_t eights_out = 8 * draw(key, at_io, 1, 5), few = draw(key, at_io, 1, 11);
    const int64_t kernel = kind == 0 ? 3 : draw(key, at_io, 2, 5), cols = draw(key, at_io, kind == 2 ? 4 : 9, 60);
    fari_conv_attr a = conv_2d(kind <= 1   ? eights_in
                               : kind == 2 ? few
                                           : 1,
                               kind <= 1 ? eights_out : few, draw(key, at_io, 1, 9), cols, kernel, 1, 0, 1);
    for (int d = 0; d < 2; d++) {
        a.pad_lo[d] = draw(key, at_io, 0, kernel);
        a.pad_hi[d] = draw(key, at_io, 0, kernel);
        if (fari_conv_out_extent(&a, d) < 1) return false;
    }
    *attr_out = a;
    return true;
}

/* Small, odd, and mostly not what a network would have. */
static bool random_attr(uint64_t key, uint64_t *at_io, fari_conv_attr *attr_out)
{
    fari_conv_attr a = { .spatial_ndim = (int32_t)draw(key, at_io, 1, 3), .groups = 1 };
    const int64_t kind = draw(key, at_io, 0, 6);
    if (kind == 6) return random_thin(key, at_io, attr_out);
    a.in_channels = draw(key, at_io, 1, kind == 0 ? 40 : 12);
    a.out_channels = draw(key, at_io, 1, kind == 0 ? 40 : 12);
    if (kind == 1) a.groups = a.out_channels = a.in_channels;
    if (kind == 2) {
        a.groups = draw(key, at_io, 2, 4);
        a.in_channels *= a.groups;
        a.out_channels *= a.groups;
    }
    for (int d = 0; d < 3; d++) {
        const bool is_used = d < a.spatial_ndim;
        a.kernel[d] = is_used ? draw(key, at_io, 1, 5) : 1;
        a.stride[d] = is_used ? draw(key, at_io, 1, 3) : 1;
        a.dilation[d] = is_used ? draw(key, at_io, 1, 2) : 1;
        a.in_extent[d] = is_used ? draw(key, at_io, 1, a.spatial_ndim == 3 ? 8 : 14) : 1;
        a.pad_lo[d] = is_used ? draw(key, at_io, 0, kind == 3 ? 7 : a.kernel[d] - 1) : 0;
        a.pad_hi[d] = is_used ? draw(key, at_io, 0, kind == 3 ? 7 : a.kernel[d] - 1) : 0;
        if (fari_conv_out_extent(&a, d) < 1) return false;
    }
    *attr_out = a;
    return true;
}

static void check_random(const char *isa_limit, uint64_t seed, int count)
{
    fari_backend *backend = backend_make(isa_limit);
    uint64_t at = 0;
    for (int i = 0; i < count;) {
        fari_conv_attr attr;
        if (!random_attr(seed, &at, &attr)) continue;
        const int64_t samples = draw(seed, &at, 0, 2) > 0 ? 1 : draw(seed, &at, 2, 3), band = draw(seed, &at, 1, 5);
        check_conv(backend, &attr, samples, i % 2 == 0, band, false);
        i++;
    }
    backend->destroy(backend);
    FAR_CHECK_EQ_I64(fari_alloc_live(), 0);
}

FAR_TEST(random_shapes_match_the_reference)
{
    check_random(NULL, SEED, 400);
}

/* A case is a process: oneDNN is held to the limit too. */
FAR_TEST(random_shapes_match_the_reference_on_avx2)
{
    check_random("avx2", SEED + 1, 400);
}

FAR_TEST(random_shapes_match_the_reference_on_base)
{
    check_random("base", SEED + 2, 200);
}

static void check_many_random(const char *isa_limit, uint64_t sign)
{
    beyond_is_counted = true;
    for (uint64_t seed = 1; seed <= 20; seed++) check_random(isa_limit, fari_mix64(SEED + sign * seed), 1000);
    (void)printf("of 20000 shapes, %d outputs of long sums beyond the usual limit\n", beyond_count);
    FAR_CHECK_MSG(beyond_count <= 20000 / SHAPES_PER_BEYOND, "%d outputs beyond the usual limit", beyond_count);
}

FAR_TEST_TORTURE(many_random_shapes_match_the_reference)
{
    check_many_random(NULL, 1);
}

FAR_TEST_TORTURE(many_random_shapes_match_the_reference_on_avx2)
{
    check_many_random("avx2", UINT64_MAX);
}

/* ---- the convolutions of the zoo: never a reference, bits of rows and samples ---- */

typedef struct net_conv {
    const char *net;
    int32_t spatial_ndim;
    int64_t in_channels, out_channels, depth, height, width, kernel, stride, pad, groups;
    bool is_stem; /* no gradient of its input is asked for */
} net_conv;

/* Extents shortened where a network's are many times the band: what counts are channels, kernels and odd remainders. */
static const net_conv net_convs[] = {
    { "lenet5", 2, 1, 6, 0, 28, 28, 5, 1, 2, 1, true },
    { "lenet5", 2, 6, 16, 0, 14, 14, 5, 1, 0, 1, false },
    { "lenet5", 2, 16, 120, 0, 5, 5, 5, 1, 0, 1, false },
    { "resnet", 2, 3, 64, 0, 112, 112, 7, 2, 3, 1, true },
    { "resnet", 2, 64, 64, 0, 56, 56, 3, 1, 1, 1, false },
    { "resnet", 2, 64, 128, 0, 56, 56, 3, 2, 1, 1, false },
    { "resnet", 2, 64, 128, 0, 56, 56, 1, 2, 0, 1, false },
    { "resnet", 2, 256, 256, 0, 14, 14, 3, 1, 1, 1, false },
    { "resnet", 2, 512, 512, 0, 7, 7, 3, 1, 1, 1, false },
    { "resnet", 2, 64, 256, 0, 56, 56, 1, 1, 0, 1, false },
    { "resnet", 2, 256, 64, 0, 56, 56, 1, 1, 0, 1, false },
    { "resnet", 2, 512, 128, 0, 28, 28, 1, 1, 0, 1, false },
    { "resnet", 2, 1024, 256, 0, 14, 14, 1, 1, 0, 1, false },
    { "resnet", 2, 512, 1024, 0, 28, 28, 1, 2, 0, 1, false },
    { "alexnet_bn", 2, 3, 96, 0, 227, 115, 11, 4, 0, 1, true },
    { "alexnet_bn", 2, 96, 256, 0, 27, 27, 5, 1, 2, 2, false },
    { "alexnet_bn", 2, 384, 256, 0, 13, 13, 3, 1, 1, 2, false },
    { "a21", 2, 1, 8, 0, 80, 128, 5, 1, 2, 1, true },
    { "a21", 2, 8, 8, 0, 80, 128, 3, 1, 1, 1, false },
    { "a21", 2, 8, 16, 0, 80, 128, 3, 1, 1, 1, false },
    { "a21", 2, 16, 24, 0, 80, 64, 3, 1, 1, 1, false },
    { "a21", 2, 24, 24, 0, 80, 64, 1, 1, 0, 1, false },
    { "a21", 2, 40, 48, 0, 40, 64, 3, 2, 1, 1, false },
    { "a21", 2, 56, 56, 0, 20, 32, 3, 1, 1, 1, false },
    { "a21", 2, 168, 256, 0, 10, 16, 1, 1, 0, 1, false },
    { "a21", 2, 256, 256, 0, 10, 16, 5, 1, 2, 1, false },
    { "a21", 2, 8, 3, 0, 80, 128, 1, 1, 0, 1, false },
    { "uresnet", 2, 1, 16, 0, 96, 96, 7, 1, 3, 1, true },
    { "uresnet", 2, 16, 32, 0, 96, 96, 3, 2, 1, 1, false },
    { "uresnet", 2, 16, 32, 0, 96, 96, 1, 2, 0, 1, false },
    { "uresnet", 2, 16, 3, 0, 96, 96, 3, 1, 1, 1, false },
    { "unet", 2, 64, 64, 0, 64, 64, 3, 1, 1, 1, false },
    { "unet", 2, 1024, 512, 0, 16, 16, 3, 1, 1, 1, false },
    { "unet up", 2, 64, 128, 0, 64, 64, 2, 2, 0, 1, false },
    { "unet up", 2, 512, 1024, 0, 32, 16, 2, 2, 0, 1, false },
    { "unet", 2, 64, 2, 0, 64, 64, 1, 1, 0, 1, false },
    { "unet", 2, 64, 64, 0, 70, 60, 3, 1, 0, 1, false },
    { "unet3d", 3, 1, 16, 36, 16, 16, 3, 1, 1, 1, true },
    { "unet3d", 3, 16, 32, 36, 16, 16, 3, 1, 1, 1, false },
    { "unet3d", 3, 64, 128, 12, 8, 8, 3, 1, 1, 1, false },
    { "unet3d up", 3, 16, 32, 36, 16, 16, 2, 2, 0, 1, false },
    { "signal", 1, 8, 16, 0, 1, 400, 5, 1, 2, 1, false },
    { "depthwise", 2, 32, 32, 0, 56, 56, 3, 1, 1, 32, false },
};

static fari_conv_attr net_attr(const net_conv *conv)
{
    fari_conv_attr attr = { .spatial_ndim = conv->spatial_ndim,
                            .groups = conv->groups,
                            .in_channels = conv->in_channels,
                            .out_channels = conv->out_channels };
    const int64_t extent[3][3] = { { conv->width, 1, 1 },
                                   { conv->height, conv->width, 1 },
                                   { conv->depth, conv->height, conv->width } };
    for (int d = 0; d < 3; d++) {
        const bool is_used = d < conv->spatial_ndim;
        attr.in_extent[d] = is_used ? extent[conv->spatial_ndim - 1][d] : 1;
        attr.kernel[d] = is_used ? conv->kernel : 1;
        attr.stride[d] = is_used ? conv->stride : 1;
        attr.dilation[d] = 1;
        attr.pad_lo[d] = attr.pad_hi[d] = is_used ? conv->pad : 0;
    }
    return attr;
}

/* Gives whether the kernel is one whose bits do not depend on the number of rows. Not so: "gemm", which AVX2 has for strided volumes,
   and on AVX2 signals, whose rows are the pixels of a line. */
static bool run_rows(fari_backend *backend, const conv_data *data, conv_pass pass, int64_t lo, int64_t hi, float *out,
                     const char *net)
{
    fari_node node;
    char impl[CALL_IMPL_BYTES];
    const fari_call call = conv_call(data, pass, lo, hi, out, &node);
    run_call(backend, &call, impl);
    FAR_CHECK_MSG(strstr(impl, "ref") == NULL, "%s: rows %" PRId64 " to %" PRId64 " of %s are run by %s", net, lo, hi,
                  pass_name[pass], impl);
    return strstr(impl, "gemm") == NULL && (data->attr.spatial_ndim > 1 || strstr(impl, "avx2") == NULL);
}

static void check_band_bits(fari_backend *backend, const net_conv *conv, conv_pass pass, int64_t band)
{
    const fari_conv_attr attr = net_attr(conv);
    conv_data data = conv_data_make(&attr, 1, true, SEED);
    const fari_view shape = pass_out(&data, pass, NULL);
    const int64_t elems = fari_view_elems(&shape), rows = pass_rows(&data, pass);
    float *whole = floats(elems), *bands = floats(elems);
    char text[256], what[320];
    bool is_exact = run_rows(backend, &data, pass, 0, rows, whole, conv->net);
    for (int64_t lo = 0; lo < rows; lo += band)
        is_exact &= run_rows(backend, &data, pass, lo, lo + band < rows ? lo + band : rows, bands, conv->net);
    attr_text(&attr, 1, text);
    (void)snprintf(what, sizeof what, "%s %s in bands of %" PRId64 ", %s", conv->net, pass_name[pass], band, text);
    if (is_exact) FAR_CHECK_BITS(what, bands, whole, elems);
    free(whole);
    free(bands);
    conv_data_free(&data);
}

static void check_all_band_bits(const char *isa_limit)
{
    fari_backend *backend = backend_make(isa_limit);
    for (size_t i = 0; i < FAR_COUNT(net_convs); i++)
        for (int64_t band = 8; band <= 64; band *= 2) {
            check_band_bits(backend, &net_convs[i], PASS_FORWARD, band);
            if (!net_convs[i].is_stem) check_band_bits(backend, &net_convs[i], PASS_DX, band);
        }
    backend->destroy(backend);
}

FAR_TEST(row_bands_are_the_rows_of_the_whole)
{
    check_all_band_bits(NULL);
}

FAR_TEST(row_bands_are_the_rows_of_the_whole_on_avx2)
{
    check_all_band_bits("avx2");
}

/* Sample n of a batch, alone. */
static void check_sample_bits(fari_backend *backend, const net_conv *conv, conv_pass pass, int64_t samples)
{
    const fari_conv_attr attr = net_attr(conv);
    conv_data data = conv_data_make(&attr, samples, true, SEED), one = data;
    const fari_view shape = pass_out(&data, pass, NULL);
    const int64_t elems = fari_view_elems(&shape), rows = pass_rows(&data, pass);
    float *all = floats(elems), *alone = floats(elems / samples);
    char what[320], text[256];
    (void)run_rows(backend, &data, pass, 0, rows, all, conv->net);
    one.samples = one.x.dim[0] = one.y.dim[0] = 1;
    attr_text(&attr, samples, text);
    (void)snprintf(what, sizeof what, "%s %s of one sample, %s", conv->net, pass_name[pass], text);
    for (int64_t n = 0; n < samples; n++) {
        (void)run_rows(backend, &one, pass, 0, rows, alone, conv->net);
        FAR_CHECK_BITS(what, alone, all + n * (elems / samples), elems / samples);
        one.x.data = (float *)one.x.data + fari_view_elems(&one.x);
        one.y.data = (float *)one.y.data + fari_view_elems(&one.y);
    }
    free(all);
    free(alone);
    conv_data_free(&data);
}

static void check_all_sample_bits(const char *isa_limit)
{
    fari_backend *backend = backend_make(isa_limit);
    for (size_t i = 0; i < FAR_COUNT(net_convs); i++) {
        check_sample_bits(backend, &net_convs[i], PASS_FORWARD, 3);
        if (!net_convs[i].is_stem) check_sample_bits(backend, &net_convs[i], PASS_DX, 3);
    }
    backend->destroy(backend);
}

FAR_TEST(samples_of_a_batch_are_those_alone)
{
    check_all_sample_bits(NULL);
}

FAR_TEST(samples_of_a_batch_are_those_alone_on_avx2)
{
    check_all_sample_bits("avx2");
}

/* Operands at other addresses: 4 floats further, as pieces of a tensor may start. */
static void check_dw_bits(fari_backend *backend, const net_conv *conv)
{
    const fari_conv_attr attr = net_attr(conv);
    conv_data data = conv_data_make(&attr, 2, false, SEED);
    const int64_t elems = fari_view_elems(&data.weight), x_elems = fari_view_elems(&data.x),
                  y_elems = fari_view_elems(&data.y);
    float *first = floats(elems), *again = floats(elems + 4), *x = floats(x_elems + 4), *y = floats(y_elems + 4);
    (void)run_rows(backend, &data, PASS_DW, 0, data.y.dim[2], first, conv->net);
    (void)run_rows(backend, &data, PASS_DW, 0, data.y.dim[2], again, conv->net);
    FAR_CHECK_BITS(conv->net, again, first, elems);
    conv_data moved = data;
    memcpy(x + 4, data.x.data, (size_t)x_elems * sizeof(float));
    memcpy(y + 4, data.y.data, (size_t)y_elems * sizeof(float));
    moved.x.data = x + 4;
    moved.y.data = y + 4;
    (void)run_rows(backend, &moved, PASS_DW, 0, data.y.dim[2], again + 4, conv->net);
    FAR_CHECK_BITS(conv->net, again + 4, first, elems);
    free(first);
    free(again);
    free(x);
    free(y);
    conv_data_free(&data);
}

FAR_TEST(weight_gradients_repeat)
{
    fari_backend *backend = backend_make(NULL);
    for (size_t i = 0; i < FAR_COUNT(net_convs); i++) check_dw_bits(backend, &net_convs[i]);
    backend->destroy(backend);
}

FAR_TEST(convolutions_of_networks_match_the_reference)
{
    fari_backend *backend = backend_make(NULL);
    const fari_conv_attr attrs[] = { conv_2d(1, 8, 33, 40, 5, 1, 2, 1),   conv_2d(8, 8, 33, 40, 3, 1, 1, 1),
                                     conv_2d(8, 16, 20, 24, 3, 2, 1, 1),  conv_2d(24, 32, 17, 19, 1, 1, 0, 1),
                                     conv_2d(6, 16, 14, 14, 5, 1, 0, 1),  conv_2d(12, 16, 13, 13, 3, 1, 1, 2),
                                     conv_2d(16, 32, 16, 16, 1, 2, 0, 1), conv_2d(16, 32, 16, 16, 2, 2, 0, 1),
                                     conv_2d(3, 16, 30, 31, 7, 2, 3, 1) };
    for (size_t i = 0; i < FAR_COUNT(attrs); i++)
        for (int64_t samples = 1; samples <= 2; samples++) check_conv(backend, &attrs[i], samples, true, 8, true);
    backend->destroy(backend);
}
