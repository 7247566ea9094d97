#include "data/resize.h"
#include <math.h>
#include <string.h>

/* The pixels of one axis that make output `idx`, and their weights: a triangle as wide as an output pixel, at least two input pixels. */
typedef struct axis {
    int64_t in_size;
    double start, scale, support;
} axis;

static axis axis_of(int64_t in_size, double start, double extent, int64_t out_size)
{
    const double scale = extent / (double)out_size;
    return (axis){ in_size, start, scale, scale > 1.0 ? scale : 1.0 };
}

static int64_t taps_max(const axis *a)
{
    return (int64_t)ceil(a->support) * 2 + 1;
}

static void span_of(const axis *a, int64_t idx, int64_t *first_out, int64_t *count_out)
{
    const double centre = a->start + ((double)idx + 0.5) * a->scale;
    int64_t first = (int64_t)(centre - a->support + 0.5), end = (int64_t)(centre + a->support + 0.5);
    if (centre - a->support + 0.5 < 0.0) first = 0;
    if (end > a->in_size) end = a->in_size;
    *first_out = first;
    *count_out = end - first;
}

static int64_t taps_of(const axis *a, int64_t idx, float *weights, int64_t *first_out)
{
    const double centre = a->start + ((double)idx + 0.5) * a->scale;
    int64_t first, count;
    double sum = 0.0;
    span_of(a, idx, &first, &count);
    for (int64_t k = 0; k < count; k++) {
        const double away = fabs(((double)(first + k) - centre + 0.5) / a->support);
        sum += away < 1.0 ? 1.0 - away : 0.0;
    }
    for (int64_t k = 0; k < count; k++) {
        const double away = fabs(((double)(first + k) - centre + 0.5) / a->support);
        weights[k] = away < 1.0 ? (float)((1.0 - away) / sum) : 0.0f;
    }
    /* no multiplications by the zeros at the ends */
    while (count > 1 && weights[count - 1] == 0.0f) count--;
    *first_out = first;
    return count;
}

/* --- scratch: taps of all columns, taps of one row, one row of sums --- */

typedef struct parts {
    int64_t taps;     /* room for each column's */
    float *weights;   /* [out_width][taps] */
    int32_t *columns; /* [out_width][2]: first, count */
    float *row_taps;
    float *row; /* [in_width * channels], and room to read four floats at its end */
} parts;

static parts lay_out(const fari_resize *r, const axis *rows, const axis *columns, void *block)
{
    const int64_t taps = taps_max(columns);
    float *const weights = block, *const ends = weights + r->out_width * taps;
    float *const row_taps = ends + 2 * r->out_width;
    return (parts){ taps, weights, (int32_t *)(void *)ends, row_taps, row_taps + taps_max(rows) };
}

int64_t fari_resize_scratch_bytes(const fari_resize *r)
{
    const axis rows = axis_of(r->in_height, r->y, r->height, r->out_height);
    const axis columns = axis_of(r->in_width, r->x, r->width, r->out_width);
    return (r->out_width * (taps_max(&columns) + 2) + taps_max(&rows) + r->in_width * r->channels + 4) *
           (int64_t)sizeof(float);
}

fari_resize fari_resize_of(int64_t in_height, int64_t in_width, int64_t channels, const far_region *region)
{
    return (fari_resize){ in_height,
                          in_width,
                          channels,
                          (double)region->y,
                          (double)region->x,
                          (double)region->height,
                          (double)region->width,
                          region->out_height,
                          region->out_width };
}

static void reach_of(const axis *a, int64_t out_size, int64_t *first_out, int64_t *count_out)
{
    int64_t first, count;
    span_of(a, 0, first_out, &count);
    span_of(a, out_size - 1, &first, &count);
    *count_out = first + count - *first_out;
}

void fari_resize_rows(const fari_resize *r, int64_t *first_out, int64_t *count_out)
{
    const axis rows = axis_of(r->in_height, r->y, r->height, r->out_height);
    reach_of(&rows, r->out_height, first_out, count_out);
}

void fari_resize_columns(const fari_resize *r, int64_t *first_out, int64_t *count_out)
{
    const axis columns = axis_of(r->in_width, r->x, r->width, r->out_width);
    reach_of(&columns, r->out_width, first_out, count_out);
}

/* --- down the columns: rows of the picture, weighted, added up. Lanes do not meet, so that any vector width gives the same bits. --- */

#define DEFINE_SUM_ROWS(name, type)                                                                             \
    static void name(const type *restrict in, int64_t stride, const float *restrict w, int64_t taps, int64_t n, \
                     float *restrict sum)                                                                       \
    {                                                                                                           \
        int64_t k = 0;                                                                                          \
        if (taps >= 3) {                                                                                        \
            const type *restrict a = in, *restrict b = in + stride, *restrict c = in + 2 * stride;              \
            const float wa = w[0], wb = w[1], wc = w[2];                                                        \
            for (int64_t i = 0; i < n; i++) sum[i] = wa * (float)a[i] + wb * (float)b[i] + wc * (float)c[i];    \
            k = 3;                                                                                              \
        } else if (taps == 2) {                                                                                 \
            const type *restrict a = in, *restrict b = in + stride;                                             \
            const float wa = w[0], wb = w[1];                                                                   \
            for (int64_t i = 0; i < n; i++) sum[i] = wa * (float)a[i] + wb * (float)b[i];                       \
            k = 2;                                                                                              \
        } else {                                                                                                \
            for (int64_t i = 0; i < n; i++) sum[i] = w[0] * (float)in[i];                                       \
            k = 1;                                                                                              \
        }                                                                                                       \
        for (; k < taps; k++) {                                                                                 \
            const type *restrict a = in + k * stride;                                                           \
            const float wa = w[k];                                                                              \
            for (int64_t i = 0; i < n; i++) sum[i] += wa * (float)a[i];                                         \
        }                                                                                                       \
    }
DEFINE_SUM_ROWS(sum_rows_f32, float)
DEFINE_SUM_ROWS(sum_rows_u8, uint8_t)

/* --- along the row --- */

static void sum_columns(const parts *s, int64_t out_width, int64_t channels, float *restrict out)
{
    for (int64_t x = 0; x < out_width; x++) {
        const float *w = s->weights + x * s->taps, *from = s->row + s->columns[2 * x] * channels;
        const int32_t taps = s->columns[2 * x + 1];
        for (int64_t c = 0; c < channels; c++) {
            float sum = w[0] * from[c];
            for (int32_t k = 1; k < taps; k++) sum += w[k] * from[k * channels + c];
            out[x * channels + c] = sum;
        }
    }
}

/* Three channels as four lanes; the fourth belongs to the next pixel and is overwritten by it. The same sums as above. */
static void sum_columns_rgb(const parts *s, int64_t out_width, float *restrict out)
{
    typedef float f4 __attribute__((vector_size(16), aligned(4)));
    for (int64_t x = 0; x < out_width; x++) {
        const float *w = s->weights + x * s->taps, *from = s->row + s->columns[2 * x] * INT64_C(3);
        const int32_t taps = s->columns[2 * x + 1];
        f4 sum = w[0] * *(const f4 *)(const void *)from;
        for (int32_t k = 1; k < taps; k++) sum += w[k] * *(const f4 *)(const void *)(from + 3 * k);
        if (x + 1 < out_width) *(f4 *)(void *)(out + 3 * x) = sum;
        else memcpy(out + 3 * x, &sum, 3 * sizeof *out);
    }
}

static void resize_any(const fari_resize *r, const void *in, bool is_u8, void *block, float *out)
{
    const axis rows = axis_of(r->in_height, r->y, r->height, r->out_height);
    const axis columns = axis_of(r->in_width, r->x, r->width, r->out_width);
    const int64_t stride = r->in_width * r->channels;
    const parts s = lay_out(r, &rows, &columns, block);
    int64_t first, count;
    for (int64_t x = 0; x < r->out_width; x++) {
        s.columns[2 * x + 1] = (int32_t)taps_of(&columns, x, s.weights + x * s.taps, &first);
        s.columns[2 * x] = (int32_t)first;
    }
    fari_resize_columns(r, &first, &count); /* columns outside of it are not looked at */
    const int64_t skip = first * r->channels, elems = count * r->channels;
    for (int64_t y = 0; y < r->out_height; y++) {
        float *to = out + y * r->out_width * r->channels;
        int64_t row = 0;
        const int64_t taps = taps_of(&rows, y, s.row_taps, &row);
        const int64_t at = row * stride + skip;
        if (is_u8) sum_rows_u8((const uint8_t *)in + at, stride, s.row_taps, taps, elems, s.row + skip);
        else sum_rows_f32((const float *)in + at, stride, s.row_taps, taps, elems, s.row + skip);
        memset(s.row + skip + elems, 0, 4 * sizeof *s.row); /* read as a fourth lane, never used */
        if (r->channels == 3) sum_columns_rgb(&s, r->out_width, to);
        else sum_columns(&s, r->out_width, r->channels, to);
        if (is_u8)
            for (int64_t i = 0; i < r->out_width * r->channels; i++) to[i] /= 255.0f;
    }
}

void fari_resize_f32(const fari_resize *resize, const float *in, void *scratch, float *out)
{
    resize_any(resize, in, false, scratch, out);
}

void fari_resize_u8(const fari_resize *resize, const uint8_t *in, void *scratch, float *out)
{
    resize_any(resize, in, true, scratch, out);
}

/* --- labels --- */

int64_t fari_resize_nearest(int64_t in, int64_t out, int64_t idx)
{
    return (2 * idx + 1) * in / (2 * out);
}

void fari_resize_labels(int64_t in_width, int64_t planes, const far_region *r, const int32_t *in, int32_t *out)
{
    for (int64_t y = 0; y < r->out_height; y++) {
        const int32_t *row = in + (r->y + fari_resize_nearest(r->height, r->out_height, y)) * in_width * planes;
        for (int64_t x = 0; x < r->out_width; x++) {
            const int32_t *from = row + (r->x + fari_resize_nearest(r->width, r->out_width, x)) * planes;
            for (int64_t p = 0; p < planes; p++) *out++ = from[p];
        }
    }
}
