/* Images made when they are read, which a network can learn: a pure function of options and sample number. */
#include "base/mem.h"
#include "base/rng.h"
#include "base/status.h"
#include "data/dataset.h"
#include <inttypes.h>

#define DISCS 4

typedef struct synthetic {
    far_synthetic_opts opts;
} synthetic;

/* Streams of numbers, named by the "epoch" of their key. */
enum { STREAM_LABEL, STREAM_PATTERN, STREAM_NOISE, STREAM_DISCS, STREAM_TINT, STREAM_EXTENT, STREAM_SLICE };

static uint64_t key_of(const synthetic *set, uint64_t stream, uint64_t number)
{
    return fari_rng_key(set->opts.seed, FARI_RNG_SYNTH, stream, number);
}

/* A sample's own size; of volumes that of a slice. And which rows of it are made, of all slices. */
typedef struct extent {
    int64_t height, width;
    int64_t row, row_end;
} extent;

static int64_t side_of(const synthetic *set, uint64_t sample, uint64_t draw, int64_t most)
{
    const double share = 1.0 - set->opts.vary * fari_rng_unit_f64(key_of(set, STREAM_EXTENT, sample), draw);
    const int64_t side = (int64_t)(share * (double)most + 0.5);
    return side > 0 ? side : 1;
}

static extent extent_of(const synthetic *set, uint64_t sample)
{
    const far_synthetic_opts *o = &set->opts;
    extent e = { .height = o->height, .width = o->width };
    if (o->vary != 0.0) e.height = side_of(set, sample, 0, o->height);
    if (o->vary != 0.0) e.width = side_of(set, sample, 1, o->width);
    e.row_end = o->depth * e.height;
    return e;
}

/* A pattern for each class, the same in all samples, under noise of the sample. */
static void make_classified(const synthetic *set, uint64_t sample, extent e, float *image, int32_t *label_out)
{
    const far_synthetic_opts *o = &set->opts;
    const int32_t label = (int32_t)fari_rng_below(key_of(set, STREAM_LABEL, sample), 0, (uint64_t)o->class_count);
    const uint64_t pattern = key_of(set, STREAM_PATTERN, (uint64_t)label), noise = key_of(set, STREAM_NOISE, sample);
    const float share = (float)o->noise;
    const int64_t row_elems = e.width * o->channels;
    const uint64_t first = (uint64_t)(e.row * row_elems), end = (uint64_t)(e.row_end * row_elems);
    for (uint64_t i = first; i < end && image != NULL; i++)
        image[i - first] = (1.0f - share) * fari_rng_unit(pattern, i) + share * fari_rng_unit(noise, i);
    if (label_out != NULL) *label_out = label;
}

typedef struct disc {
    double z, y, x, radius2; /* z is counted in rows: a ball spans as much of the depth as of the height */
    int32_t label;
} disc;

static void make_discs(const synthetic *set, uint64_t sample, extent e, disc discs[DISCS])
{
    const far_synthetic_opts *o = &set->opts;
    const uint64_t key = key_of(set, STREAM_DISCS, sample);
    const double side = (double)(e.height < e.width ? e.height : e.width);
    for (uint64_t k = 0; k < DISCS; k++) {
        const double radius = side * (0.08 + 0.17 * fari_rng_unit_f64(key, 4 * k));
        discs[k].y = (double)e.height * fari_rng_unit_f64(key, 4 * k + 1);
        discs[k].x = (double)e.width * fari_rng_unit_f64(key, 4 * k + 2);
        if (o->depth > 1) discs[k].z = (double)e.height * fari_rng_unit_f64(key_of(set, STREAM_SLICE, sample), k);
        discs[k].radius2 = radius * radius;
        discs[k].label =
            o->class_count < 2 ? 0 : 1 + (int32_t)fari_rng_below(key, 4 * k + 3, (uint64_t)o->class_count - 1);
    }
}

static int32_t label_at(const disc discs[DISCS], double z, double y, double x)
{
    int32_t label = 0;
    for (int k = 0; k < DISCS; k++) {
        const double dz = z - discs[k].z, dy = y - discs[k].y, dx = x - discs[k].x;
        if (dz * dz + dy * dy + dx * dx <= discs[k].radius2) label = discs[k].label;
    }
    return label;
}

/* Discs of classes 1 and up on background 0; each class has its tint in each channel. */
static void make_mapped(const synthetic *set, uint64_t sample, extent e, float *image, int32_t *labels_out)
{
    const far_synthetic_opts *o = &set->opts;
    const uint64_t noise = key_of(set, STREAM_NOISE, sample);
    const float share = (float)o->noise;
    disc discs[DISCS] = { 0 };
    make_discs(set, sample, e, discs);
    for (int64_t row = e.row; row < e.row_end; row++) {
        const double y = (double)(row % e.height);
        const int64_t slice = row / e.height; /* 0 in images */
        const double z = (double)slice * (double)e.height / (double)o->depth;
        for (int64_t x = 0; x < e.width; x++) {
            const int64_t pixel = row * e.width + x, place = (row - e.row) * e.width + x;
            const int32_t label = label_at(discs, z, y, (double)x);
            const uint64_t tint = key_of(set, STREAM_TINT, (uint64_t)label);
            for (int64_t c = 0; c < o->channels && image != NULL; c++) {
                const int64_t at = pixel * o->channels + c;
                const float level = o->class_count < 2 ? 0.5f
                                                       : ((float)label + 0.5f * fari_rng_unit(tint, (uint64_t)c)) /
                                                             (float)o->class_count;
                image[place * o->channels + c] = (1.0f - share) * level + share * fari_rng_unit(noise, (uint64_t)at);
            }
            if (labels_out != NULL) labels_out[place] = label;
        }
    }
}

static void make(const synthetic *set, uint64_t sample, extent e, float *image_out, int32_t *label_out)
{
    if (set->opts.label == FAR_LABEL_MAP) make_mapped(set, sample, e, image_out, label_out);
    else make_classified(set, sample, e, image_out, label_out);
}

static far_status set_read(void *context, int64_t idx, float *image_out, int32_t *label_out)
{
    const synthetic *set = context;
    const uint64_t sample = (uint64_t)(set->opts.first + idx);
    make(set, sample, extent_of(set, sample), image_out, label_out);
    return FAR_OK;
}

static far_status set_read_rows(void *context, int64_t idx, int64_t row, int64_t count, float *image_out,
                                int32_t *label_out)
{
    const synthetic *set = context;
    const uint64_t sample = (uint64_t)(set->opts.first + idx);
    extent e = extent_of(set, sample);
    e.row = row;
    e.row_end = row + count;
    make(set, sample, e, image_out, label_out);
    return FAR_OK;
}

static far_status set_extent(void *context, int64_t idx, int64_t *height_out, int64_t *width_out)
{
    const synthetic *set = context;
    const extent e = extent_of(set, (uint64_t)(set->opts.first + idx));
    *height_out = e.height;
    *width_out = e.width;
    return FAR_OK;
}

static int64_t set_bytes(const void *context)
{
    (void)context;
    return (int64_t)sizeof(synthetic);
}

far_status far_dataset_open_synthetic(const far_synthetic_opts *opts, far_dataset **dataset_out)
{
    static const far_dataset_ops ops = { .read = set_read,
                                         .bytes = set_bytes,
                                         .close = fari_free,
                                         .extent = set_extent,
                                         .read_rows = set_read_rows,
                                         .reads_apart = true };
    far_synthetic_opts o = *opts;
    if (o.sample_count == 0) o.sample_count = 1024;
    if (o.height == 0) o.height = 32;
    if (o.width == 0) o.width = 32;
    if (o.channels == 0) o.channels = 1;
    if (o.depth == 0) o.depth = 1;
    if (o.class_count == 0) o.class_count = 10;
    if (!(o.noise > 0.0)) o.noise = 0.5;
    if (o.label == FAR_LABEL_NONE) o.label = FAR_LABEL_CLASS;
    if (o.class_count < 1 || o.noise > 1.0 || o.first < 0 || !(o.vary >= 0.0 && o.vary < 1.0) || o.depth < 1 ||
        o.height > INT32_MAX / o.depth || (o.depth > 1 && o.vary > 0.0))
        return FAR_FAIL(FAR_E_ARG,
                        "synthetic data: %d classes, noise %g, first sample %" PRId64
                        ", sizes varying by %g, depth %" PRId64,
                        o.class_count, o.noise, o.first, o.vary, o.depth);
    synthetic *set = fari_alloc(sizeof *set);
    if (set == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory for synthetic data");
    set->opts = o;
    const far_dataset_info info = { .sample_count = o.sample_count,
                                    .height = o.depth * o.height,
                                    .depth = o.depth,
                                    .width = o.width,
                                    .channels = o.channels,
                                    .label = o.label,
                                    .class_count = o.class_count,
                                    .varies = o.vary > 0.0 };
    FAR_TRY(far_dataset_create(&ops, set, &info, dataset_out));
    return FAR_OK;
}
