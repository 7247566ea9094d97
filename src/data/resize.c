#include "data/resize.h"
#include "base/status.h"
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

/* --- scratch --- */

typedef struct parts {
    const void **rows; /* those that make one row of output */
    int64_t rows_max;
    float *row_taps;
    float *sums;      /* one row of sums, [in_width * channels], and room to read four floats at its end */
    float *line;      /* one row of output */
    float *weights;   /* [out_width][taps] */
    int32_t *columns; /* [out_width][2]: first, count */
    int64_t taps;
    char *ring; /* rows_max rows as they came; NULL: rows lie in memory */
    size_t row_bytes;
} parts;

static axis rows_of(const fari_resize *r)
{
    return axis_of(r->in_height, r->y, r->height, r->out_height);
}

static axis columns_of(const fari_resize *r)
{
    return axis_of(r->in_width, r->x, r->width, r->out_width);
}

static size_t row_bytes_of(const fari_resize *r, fari_row_type type)
{
    static const size_t bytes[] = { [FARI_ROW_U8] = 1, [FARI_ROW_U16] = 2, [FARI_ROW_F32] = 4 };
    return ((size_t)(r->in_width * r->channels) * bytes[type] + 7) / 8 * 8;
}

/* The order is that of the layout: pointers, floats, bytes. */
static parts lay_out(const fari_resize *r, fari_row_type type, bool has_ring, void *block)
{
    const axis rows = rows_of(r), columns = columns_of(r);
    parts p = {
        .rows = block, .rows_max = taps_max(&rows), .taps = taps_max(&columns), .row_bytes = row_bytes_of(r, type)
    };
    p.row_taps = (float *)(void *)(p.rows + p.rows_max);
    p.sums = p.row_taps + p.rows_max;
    p.line = p.sums + r->in_width * r->channels + 4;
    p.weights = p.line + r->out_width * r->channels;
    p.columns = (int32_t *)(void *)(p.weights + r->out_width * p.taps);
    if (has_ring) p.ring = (char *)(((uintptr_t)(p.columns + 2 * r->out_width) + 7) / 8 * 8);
    return p;
}

int64_t fari_resize_scratch_bytes(const fari_resize *r)
{
    const axis rows = rows_of(r), columns = columns_of(r);
    const int64_t floats =
        taps_max(&rows) + r->in_width * r->channels + 4 + r->out_width * (r->channels + taps_max(&columns) + 2);
    return taps_max(&rows) * (int64_t)sizeof(void *) + floats * (int64_t)sizeof(float);
}

/* A column of output has at most 2 ceil(in / out) + 1 taps, so all of them at most 2 in + 3 out; a row's may be the whole height. */
int64_t fari_resize_scratch_most(int64_t in_height, int64_t in_width, int64_t channels, int64_t out_width)
{
    const int64_t row_taps = 2 * in_height + 1, columns = 2 * in_width + (3 + 2 + channels) * out_width;
    return row_taps * (int64_t)sizeof(void *) + (row_taps + in_width * channels + 4 + columns) * (int64_t)sizeof(float);
}

int64_t fari_resize_stream_bytes(const fari_resize *r, fari_row_type type)
{
    const axis rows = rows_of(r);
    return fari_resize_scratch_bytes(r) + 8 + taps_max(&rows) * (int64_t)row_bytes_of(r, type);
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
    const axis rows = rows_of(r);
    reach_of(&rows, r->out_height, first_out, count_out);
}

void fari_resize_columns(const fari_resize *r, int64_t *first_out, int64_t *count_out)
{
    const axis columns = columns_of(r);
    reach_of(&columns, r->out_width, first_out, count_out);
}

/* --- down the columns: rows of the picture, weighted, added up. Lanes do not meet and nothing is fused, so that any vector width gives the
   same bits; the same loops are compiled a second time for machines with wider vectors. --- */

#define DEFINE_SUM_ROWS(name, type, attribute)                                                               \
    attribute static void name(const void *const *rows, int64_t skip, const float *restrict w, int64_t taps, \
                               int64_t n, float *restrict sum)                                               \
    {                                                                                                        \
        const type *restrict a = (const type *)rows[0] + skip;                                               \
        const type *restrict b = taps > 1 ? (const type *)rows[1] + skip : a;                                \
        const type *restrict c = taps > 2 ? (const type *)rows[2] + skip : a;                                \
        const float wa = w[0], wb = taps > 1 ? w[1] : 0.0f, wc = taps > 2 ? w[2] : 0.0f;                     \
        if (taps == 1)                                                                                       \
            for (int64_t i = 0; i < n; i++) sum[i] = wa * (float)a[i];                                       \
        else if (taps == 2)                                                                                  \
            for (int64_t i = 0; i < n; i++) sum[i] = wa * (float)a[i] + wb * (float)b[i];                    \
        else                                                                                                 \
            for (int64_t i = 0; i < n; i++) sum[i] = wa * (float)a[i] + wb * (float)b[i] + wc * (float)c[i]; \
        for (int64_t k = 3; k < taps; k++) {                                                                 \
            const type *restrict d = (const type *)rows[k] + skip;                                           \
            const float wd = w[k];                                                                           \
            for (int64_t i = 0; i < n; i++) sum[i] += wd * (float)d[i];                                      \
        }                                                                                                    \
    }

#define DEFINE_SCALE(name, attribute)                                          \
    attribute static void name(float *restrict line, int64_t n, float divisor) \
    {                                                                          \
        for (int64_t i = 0; i < n; i++) line[i] /= divisor;                    \
    }

typedef void (*sum_rows_fn)(const void *const *rows, int64_t skip, const float *w, int64_t taps, int64_t n, float *sum);

typedef struct loops {
    sum_rows_fn sum_rows[3]; /* by fari_row_type */
    void (*scale)(float *line, int64_t n, float divisor);
} loops;

DEFINE_SUM_ROWS(sum_rows_u8, uint8_t, )
DEFINE_SUM_ROWS(sum_rows_u16, uint16_t, )
DEFINE_SUM_ROWS(sum_rows_f32, float, )
DEFINE_SCALE(scale, )

#if defined(__x86_64__)
#define WIDE __attribute__((target("avx2")))
DEFINE_SUM_ROWS(sum_rows_u8_wide, uint8_t, WIDE)
DEFINE_SUM_ROWS(sum_rows_u16_wide, uint16_t, WIDE)
DEFINE_SUM_ROWS(sum_rows_f32_wide, float, WIDE)
DEFINE_SCALE(scale_wide, WIDE)
#endif

static loops loops_here(void)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2"))
        return (loops){ { sum_rows_u8_wide, sum_rows_u16_wide, sum_rows_f32_wide }, scale_wide };
#endif
    return (loops){ { sum_rows_u8, sum_rows_u16, sum_rows_f32 }, scale };
}

/* --- along the row --- */

static void sum_columns(const parts *p, int64_t out_width, int64_t channels, float *restrict out)
{
    for (int64_t x = 0; x < out_width; x++) {
        const float *w = p->weights + x * p->taps, *from = p->sums + p->columns[2 * x] * channels;
        const int32_t taps = p->columns[2 * x + 1];
        for (int64_t c = 0; c < channels; c++) {
            float sum = w[0] * from[c];
            for (int32_t k = 1; k < taps; k++) sum += w[k] * from[k * channels + c];
            out[x * channels + c] = sum;
        }
    }
}

/* Three channels as four lanes; the fourth belongs to the next pixel and is overwritten by it. The same sums as above. */
static void sum_columns_rgb(const parts *p, int64_t out_width, float *restrict out)
{
    typedef float f4 __attribute__((vector_size(16), aligned(4)));
    for (int64_t x = 0; x < out_width; x++) {
        const float *w = p->weights + x * p->taps, *from = p->sums + p->columns[2 * x] * INT64_C(3);
        const int32_t taps = p->columns[2 * x + 1];
        f4 sum = w[0] * *(const f4 *)(const void *)from;
        for (int32_t k = 1; k < taps; k++) sum += w[k] * *(const f4 *)(const void *)(from + 3 * k);
        if (x + 1 < out_width) *(f4 *)(void *)(out + 3 * x) = sum;
        else memcpy(out + 3 * x, &sum, 3 * sizeof *out);
    }
}

/* --- rows in, rows out --- */

/* Where rows come from: `source`, through the ring, or `memory`. */
typedef struct feed {
    const fari_row_source *source;
    const char *memory;
    int64_t next; /* row of the picture that `source` gives next */
} feed;

static far_status gather(const parts *p, feed *f, int64_t first, int64_t count)
{
    for (int64_t k = 0; k < count; k++) {
        const int64_t row = first + k;
        char *slot = p->ring == NULL ? NULL : p->ring + (size_t)(row % p->rows_max) * p->row_bytes;
        for (; slot != NULL && f->next <= row; f->next++)
            FAR_TRY(f->source->next(f->source->context, p->ring + (size_t)(f->next % p->rows_max) * p->row_bytes));
        p->rows[k] = slot != NULL ? slot : f->memory + (size_t)row * p->row_bytes;
    }
    return FAR_OK;
}

static void put_line(const float *line, int64_t width, int64_t channels, float *out, int64_t pixel_step)
{
    for (int64_t x = 0; x < width; x++)
        for (int64_t c = 0; c < channels; c++) out[x * pixel_step + c] = line[x * channels + c];
}

static far_status resize_any(const fari_resize *r, fari_row_type type, const parts *p, feed *f, float *out,
                             int64_t row_step, int64_t pixel_step)
{
    static const float divisors[] = { [FARI_ROW_U8] = 255.0f, [FARI_ROW_U16] = 65535.0f, [FARI_ROW_F32] = 1.0f };
    const axis rows = rows_of(r), columns = columns_of(r);
    const int64_t line_elems = r->out_width * r->channels;
    const loops run = loops_here();
    int64_t first, count;
    for (int64_t x = 0; x < r->out_width; x++) {
        p->columns[2 * x + 1] = (int32_t)taps_of(&columns, x, p->weights + x * p->taps, &first);
        p->columns[2 * x] = (int32_t)first;
    }
    fari_resize_rows(r, &f->next, &count);
    fari_resize_columns(r, &first, &count); /* columns outside of it are not looked at */
    const int64_t skip = first * r->channels, elems = count * r->channels;
    for (int64_t y = 0; y < r->out_height; y++) {
        float *to = out + y * row_step, *line = pixel_step == r->channels ? to : p->line;
        const int64_t taps = taps_of(&rows, y, p->row_taps, &first);
        FAR_TRY(gather(p, f, first, taps));
        run.sum_rows[type](p->rows, skip, p->row_taps, taps, elems, p->sums + skip);
        memset(p->sums + skip + elems, 0, 4 * sizeof *p->sums); /* read as a fourth lane, never used */
        if (r->channels == 3) sum_columns_rgb(p, r->out_width, line);
        else sum_columns(p, r->out_width, r->channels, line);
        if (type != FARI_ROW_F32) run.scale(line, line_elems, divisors[type]);
        if (line != to) put_line(line, r->out_width, r->channels, to, pixel_step);
    }
    return FAR_OK;
}

static void resize_memory(const fari_resize *r, fari_row_type type, const void *in, void *scratch, float *out)
{
    parts p = lay_out(r, type, false, scratch);
    feed f = { .memory = in };
    p.row_bytes = (size_t)(r->in_width * r->channels) * (type == FARI_ROW_F32 ? sizeof(float) : 1); /* dense */
    (void)resize_any(r, type, &p, &f, out, r->out_width * r->channels, r->channels); /* nothing to fail */
}

void fari_resize_f32(const fari_resize *resize, const float *in, void *scratch, float *out)
{
    resize_memory(resize, FARI_ROW_F32, in, scratch, out);
}

void fari_resize_u8(const fari_resize *resize, const uint8_t *in, void *scratch, float *out)
{
    resize_memory(resize, FARI_ROW_U8, in, scratch, out);
}

far_status fari_resize_stream(const fari_resize *resize, const fari_row_source *source, void *scratch, float *out,
                              int64_t row_step, int64_t pixel_step)
{
    const parts p = lay_out(resize, source->type, true, scratch);
    feed f = { .source = source };
    return resize_any(resize, source->type, &p, &f, out, row_step, pixel_step);
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
