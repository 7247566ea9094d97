/* Arithmetic element by element on f32.
 *   fari_binary, fari_binary_select, fari_unary, fari_unary_dx, fari_add_n: ops of the same names. No scratch. */
#include "ops/elementwise.h"
#include "backends/cpu/isa/isa.h"
#include "backends/cpu/isa/kernels_elementwise.h"
#include "backends/cpu/isa/stream.h"
#include "backends/cpu/isa/vec_math.h"
#include "graph/graph.h"
#include <math.h>

static bool all_f32(const fari_call *call)
{
    for (int32_t i = 0; i < call->in_count; i++)
        if (call->in[i].dtype != FAR_F32) return false;
    return call->out[0].dtype == FAR_F32;
}

/* ---- two operands ---- */

#define BINARY_LOOP(formula)              \
    for (int64_t k = 0; k < elems; k++) { \
        const float p = a[k], q = b[k];   \
        y[k] = (formula);                 \
    }                                     \
    return

static void binary_run(fari_binary_kind kind, const float *restrict a, const float *restrict b, float *restrict y,
                       int64_t elems)
{
    switch (kind) {
    case FARI_BINARY_ADD: BINARY_LOOP(p + q);
    case FARI_BINARY_SUB: BINARY_LOOP(p - q);
    case FARI_BINARY_MUL: BINARY_LOOP(p * q);
    case FARI_BINARY_DIV: BINARY_LOOP(p / q);
    case FARI_BINARY_MAX: BINARY_LOOP(p > q ? p : q);
    case FARI_BINARY_MIN: BINARY_LOOP(p < q ? p : q);
    case FARI_BINARY_COUNT: return;
    }
}

#define FAR_BLOCK 512 /* floats that are computed before they are written past the caches */

static void binary_far(fari_binary_kind kind, const float *a, const float *b, float *y, int64_t elems)
{
    float line[FAR_BLOCK];
    const int64_t full = elems / FAR_BLOCK * FAR_BLOCK;
    for (int64_t k = 0; k < full; k += FAR_BLOCK) {
        binary_run(kind, a + k, b + k, line, FAR_BLOCK);
        stream_row(y + k, line, FAR_BLOCK);
    }
    binary_run(kind, a + full, b + full, y + full, elems - full);
    stream_end();
}

/* A short second operand laid out again and again, so that the loops over it are long. */
#define TILE 1024

typedef struct tile {
    float value[TILE];
    int64_t period; /* elements of it that are used; a multiple of the operand's, or all of b where that is long */
    const float *data;
} tile;

static void tile_fill(tile *t, const float *b, int64_t count)
{
    FAR_ASSERT(count > 0);
    t->data = b;
    t->period = count;
    if (count > TILE / 2) return;
    t->data = t->value;
    t->period = TILE / count * count;
    for (int64_t k = 0; k < count; k++) t->value[k] = b[k];
    for (int64_t k = count; k < t->period; k++) t->value[k] = t->value[k - count];
}

/* b[k % count] beside a[k]. */
static void binary_periodic(fari_binary_kind kind, const float *a, const float *b, int64_t count, float *y,
                            int64_t elems)
{
    tile t;
    tile_fill(&t, b, count);
    for (int64_t k = 0; k < elems; k += t.period)
        binary_run(kind, a + k, t.data, y + k, elems - k < t.period ? elems - k : t.period);
}

/* b[c] beside all of a's channel c: [C][pixels] when rows are major, [pixels][C] when channels are last. */
static void binary_channels(fari_binary_kind kind, const fari_view *view, const float *a, const float *b, float *y,
                            int64_t elems)
{
    const int64_t channels = view->dim[1], pixels = elems / channels;
    if (view->order == FARI_CHANNELS_LAST || pixels == 1) {
        binary_periodic(kind, a, b, channels, y, elems);
        return;
    }
    for (int64_t c = 0; c < channels; c++) binary_periodic(kind, a + c * pixels, b + c, 1, y + c * pixels, pixels);
}

far_status FARI_ISA(fari_binary)(const fari_call *call)
{
    const fari_binary_attr *attr = call->attr;
    const fari_view *view = &call->in[0];
    const float *a = call->in[0].data, *b = call->in[1].data;
    float *y = call->out[0].data;
    const int64_t elems = fari_view_elems(&call->out[0]), samples = view->ndim > 0 ? view->dim[0] : 1,
                  each = elems / samples;
    const bool is_flat = view->order == FARI_ROW_MAJOR || view->ndim < 3;
    if (!all_f32(call) ||
        (attr->repeat == FARI_REPEAT_OVER_SAMPLES && !(is_flat && fari_view_elems(&call->in[1]) == each)))
        return call->node->op->reference(call);
    switch (attr->repeat) {
    case FARI_REPEAT_NONE:
        if (stream_pays(&call->out[0], 0)) binary_far(attr->kind, a, b, y, elems);
        else binary_run(attr->kind, a, b, y, elems);
        break;
    case FARI_REPEAT_SCALAR: binary_periodic(attr->kind, a, b, 1, y, elems); break;
    case FARI_REPEAT_CHANNEL:
    case FARI_REPEAT_SAMPLE_CHANNEL:
        for (int64_t n = 0; n < samples; n++)
            binary_channels(attr->kind, view, a + n * each,
                            b + (attr->repeat == FARI_REPEAT_CHANNEL ? 0 : n * view->dim[1]), y + n * each, each);
        break;
    case FARI_REPEAT_OVER_SAMPLES: binary_periodic(attr->kind, a, b, each, y, elems); break;
    }
    return FAR_OK;
}

far_status FARI_ISA(fari_binary_select)(const fari_call *call)
{
    const fari_binary_attr *attr = call->attr;
    const float *restrict dy = call->in[0].data, *restrict a = call->in[1].data, *restrict b = call->in[2].data;
    float *restrict da = call->out[0].data;
    const int64_t elems = fari_view_elems(&call->out[0]);
    const float sign = attr->kind == FARI_BINARY_MAX ? 1.0f : -1.0f;
    if (!all_f32(call) || attr->repeat != FARI_REPEAT_NONE) return call->node->op->reference(call);
    for (int64_t k = 0; k < elems; k++) {
        const float p = sign * a[k], q = sign * b[k];
        da[k] = dy[k] * (p > q ? 1.0f : p == q ? 0.5f : 0.0f);
    }
    return FAR_OK;
}

/* ---- one operand ---- */

#define UNARY_LOOP(formula)               \
    for (int64_t k = 0; k < elems; k++) { \
        const float v = x[k];             \
        y[k] = (formula);                 \
    }                                     \
    return FAR_OK

/* The logarithm of v where it is no number of the usual kind: `log` holds elsewhere. */
FARI_INLINE float log_edges(float v, float log)
{
    const float below = v < 0.0f ? NAN : log, zero = v == 0.0f ? -INFINITY : below;
    return v == INFINITY ? INFINITY : zero;
}

far_status FARI_ISA(fari_unary)(const fari_call *call)
{
    const fari_unary_attr *attr = call->attr;
    const float *restrict x = call->in[0].data;
    float *restrict y = call->out[0].data;
    const float alpha = (float)attr->alpha, beta = (float)attr->beta;
    const int64_t elems = fari_view_elems(&call->out[0]);
    if (!all_f32(call)) return call->node->op->reference(call);
    switch (attr->kind) {
    case FARI_UNARY_AFFINE: UNARY_LOOP(alpha * v + beta);
    case FARI_UNARY_CLAMP: UNARY_LOOP(v < alpha ? alpha : v > beta ? beta : v);
    case FARI_UNARY_EXP: UNARY_LOOP(vec_exp(v));
    case FARI_UNARY_LOG: UNARY_LOOP(log_edges(v, vec_log(v)));
    case FARI_UNARY_LOG1P: UNARY_LOOP(log_edges(1.0f + v, vec_log1p(v)));
    case FARI_UNARY_SQRT: UNARY_LOOP(sqrtf(v));
    case FARI_UNARY_ABS: UNARY_LOOP(fabsf(v));
    case FARI_UNARY_SQUARE: UNARY_LOOP(v * v);
    case FARI_UNARY_COUNT: break;
    }
    return call->node->op->reference(call);
}

#define UNARY_DX_LOOP(formula)            \
    for (int64_t k = 0; k < elems; k++) { \
        const float v = at[k], d = dy[k]; \
        dx[k] = (formula);                \
    }                                     \
    return FAR_OK

far_status FARI_ISA(fari_unary_dx)(const fari_call *call)
{
    const fari_unary_attr *attr = call->attr;
    const float *restrict dy = call->in[0].data, *restrict at = call->in[1].data;
    float *restrict dx = call->out[0].data;
    const float alpha = (float)attr->alpha, beta = (float)attr->beta;
    const int64_t elems = fari_view_elems(&call->out[0]);
    if (!all_f32(call)) return call->node->op->reference(call);
    switch (attr->kind) {
    case FARI_UNARY_CLAMP: UNARY_DX_LOOP(((v >= alpha) & (v <= beta)) ? d : 0.0f);
    case FARI_UNARY_EXP: UNARY_DX_LOOP(d * v);
    case FARI_UNARY_LOG: UNARY_DX_LOOP(d / v);
    case FARI_UNARY_LOG1P: UNARY_DX_LOOP(d / (1.0f + v));
    case FARI_UNARY_SQRT: UNARY_DX_LOOP(d * 0.5f / v);
    case FARI_UNARY_ABS: UNARY_DX_LOOP(v > 0.0f ? d : v < 0.0f ? -d : 0.0f * d);
    case FARI_UNARY_SQUARE: UNARY_DX_LOOP(d * (2.0f * v));
    case FARI_UNARY_AFFINE:
    case FARI_UNARY_COUNT: break;
    }
    return call->node->op->reference(call);
}

/* ---- sum of equal shapes ---- */

#define ADD_BLOCK 2048 /* floats: the running sum stays in the first-level cache */

FARI_INLINE void add_two(const float *restrict a, const float *restrict b, float *restrict y, int64_t elems)
{
    for (int64_t k = 0; k < elems; k++) y[k] = a[k] + b[k];
}

FARI_INLINE void add_one(float *restrict y, const float *restrict a, int64_t elems)
{
    for (int64_t k = 0; k < elems; k++) y[k] += a[k];
}

far_status FARI_ISA(fari_add_n)(const fari_call *call)
{
    const int64_t elems = fari_view_elems(&call->out[0]);
    const bool is_far = stream_pays(&call->out[0], 0);
    float *y = call->out[0].data, line[ADD_BLOCK];
    if (!all_f32(call) || call->in_count < 2) return call->node->op->reference(call);
    for (int32_t i = 0; i < call->in_count; i++)
        if (fari_view_elems(&call->in[i]) != elems) return call->node->op->reference(call);
    for (int64_t k = 0; k < elems; k += ADD_BLOCK) {
        const int64_t count = elems - k < ADD_BLOCK ? elems - k : ADD_BLOCK;
        float *sum = is_far && count == ADD_BLOCK ? line : y + k;
        add_two((const float *)call->in[0].data + k, (const float *)call->in[1].data + k, sum, count);
        for (int32_t i = 2; i < call->in_count; i++) add_one(sum, (const float *)call->in[i].data + k, count);
        if (sum == line) stream_row(y + k, line, ADD_BLOCK);
    }
    if (is_far) stream_end();
    return FAR_OK;
}
