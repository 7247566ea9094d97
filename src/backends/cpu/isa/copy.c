/* What moves elements: fari_reorder, fari_concat, fari_slice, fari_pad, fari_transpose, fari_reshape: ops of the same names.
 * All but reshape are one walk over a box whose axes have strides on both sides. Elements of four bytes; no scratch. */
#include "backends/cpu/isa/isa.h"
#include "backends/cpu/isa/kernels_elementwise.h"
#include "backends/cpu/isa/turn.h"
#include "graph/graph.h"
#include "ops/concat.h"
#include "ops/pad.h"
#include "ops/slice.h"
#include "ops/transpose.h"
#include <stdbool.h>
#include <string.h>

typedef uint32_t word; /* f32 or i32 */

/* ---- the walk ---- */

typedef struct walk_axis {
    int64_t count, to, from; /* strides in words */
} walk_axis;

typedef struct walk {
    int32_t ndim;
    walk_axis axis[FAR_NDIM_MAX]; /* outermost first */
    word *to;
    const word *from;
} walk;

static void walk_add(walk *w, int64_t count, int64_t to, int64_t from)
{
    if (count != 1) w->axis[w->ndim++] = (walk_axis){ count, to, from };
}

/* Orders axes by where they write, longest stride first, and joins those that continue each other. */
static void walk_simplify(walk *w)
{
    int32_t kept = 0;
    for (int32_t i = 1; i < w->ndim; i++)
        for (int32_t j = i; j > 0 && w->axis[j].to > w->axis[j - 1].to; j--) {
            const walk_axis swapped = w->axis[j];
            w->axis[j] = w->axis[j - 1];
            w->axis[j - 1] = swapped;
        }
    for (int32_t i = 0; i < w->ndim; i++) {
        walk_axis *last = &w->axis[kept > 0 ? kept - 1 : 0];
        const walk_axis next = w->axis[i];
        if (kept > 0 && last->to == next.to * next.count && last->from == next.from * next.count)
            *last = (walk_axis){ last->count * next.count, next.to, next.from };
        else w->axis[kept++] = next;
    }
    w->ndim = kept;
}

/* `lines` runs of `count` words each. A constant count becomes a few vector moves. */
FARI_INLINE void copy_lines(word *to, const word *from, int64_t lines, const walk_axis *line, int64_t count)
{
    for (int64_t i = 0; i < lines; i++) memcpy(to + i * line->to, from + i * line->from, (size_t)count * sizeof *to);
}

static void copy_runs(word *to, const word *from, const walk_axis *line, int64_t count)
{
    switch (count) {
    case 1: copy_lines(to, from, line->count, line, 1); return;
    case 2: copy_lines(to, from, line->count, line, 2); return;
    case 3: copy_lines(to, from, line->count, line, 3); return;
    case 4: copy_lines(to, from, line->count, line, 4); return;
    case 8: copy_lines(to, from, line->count, line, 8); return;
    case 16: copy_lines(to, from, line->count, line, 16); return;
    case 24: copy_lines(to, from, line->count, line, 24); return;
    case 32: copy_lines(to, from, line->count, line, 32); return;
    case 48: copy_lines(to, from, line->count, line, 48); return;
    case 64: copy_lines(to, from, line->count, line, 64); return;
    default: copy_lines(to, from, line->count, line, count);
    }
}

#define TILE 16

#if defined(__AVX2__)
/* The same by squares turned in registers. Where the last ones would stick out they begin earlier and copy again what is there. */
static bool copy_squares(word *to, const word *from, const walk_axis *slow, const walk_axis *fast)
{
    if (slow->from != 1 || fast->to != 1 || slow->count < TURN_ROWS || fast->count < WIDE) return false;
    for (int64_t s = 0; s < slow->count; s += TURN_ROWS) {
        if (s + TURN_ROWS > slow->count) s = slow->count - TURN_ROWS;
        for (int64_t f = 0; f < fast->count; f += WIDE) {
            if (f + WIDE > fast->count) f = fast->count - WIDE;
            wide v[TURN_ROWS];
            WIDE_UNROLL
            for (int i = 0; i < TURN_ROWS; i++)
                v[i] = turn_load((const float *)from + s + f * fast->from, fast->from, i);
            turn(v);
            WIDE_UNROLL
            for (int i = 0; i < TURN_ROWS; i++) wide_store((float *)to + (s + i) * slow->to + f, v[i]);
        }
    }
    return true;
}
#endif

/* A matrix that is read along `slow` and written along `fast`: in tiles, so that both sides use whole cache lines. */
static void copy_matrix(word *restrict to, const word *restrict from, const walk_axis *slow, const walk_axis *fast)
{
#if defined(__AVX2__)
    if (copy_squares(to, from, slow, fast)) return;
#endif
    for (int64_t s = 0; s < slow->count; s += TILE) {
        const int64_t s_end = s + TILE < slow->count ? s + TILE : slow->count;
        for (int64_t f = 0; f < fast->count; f += TILE) {
            const int64_t f_end = f + TILE < fast->count ? f + TILE : fast->count;
            for (int64_t i = s; i < s_end; i++)
                for (int64_t j = f; j < f_end; j++)
                    to[i * slow->to + j * fast->to] = from[i * slow->from + j * fast->from];
        }
    }
}

/* The innermost two axes are done by `line` and `run`; the others step here. */
static void walk_outer(const walk *w, int32_t outer, const walk_axis *line, const walk_axis *run)
{
    int64_t idx[FAR_NDIM_MAX] = { 0 };
    word *to = w->to;
    const word *from = w->from;
    for (;;) {
        if (run->to == 1 && run->from == 1) copy_runs(to, from, line, run->count);
        else copy_matrix(to, from, line, run);
        int32_t i = outer - 1;
        for (; i >= 0; i--) {
            to += w->axis[i].to;
            from += w->axis[i].from;
            if (++idx[i] < w->axis[i].count) break;
            to -= w->axis[i].count * w->axis[i].to;
            from -= w->axis[i].count * w->axis[i].from;
            idx[i] = 0;
        }
        if (i < 0) return;
    }
}

static void walk_copy(walk *w)
{
    const walk_axis one = { 1, 0, 0 }, single = { 1, 1, 1 };
    walk_simplify(w);
    if (w->ndim == 0) {
        walk_outer(w, 0, &one, &single);
        return;
    }
    walk_axis run = w->axis[w->ndim - 1];
    if (w->ndim == 1) {
        walk_outer(w, 0, &one, &run);
        return;
    }
    if (run.from != 1) /* the axis that is consecutive when read becomes the other side of a matrix */
        for (int32_t i = 0; i < w->ndim - 2; i++)
            if (w->axis[i].from == 1) {
                const walk_axis swapped = w->axis[i];
                w->axis[i] = w->axis[w->ndim - 2];
                w->axis[w->ndim - 2] = swapped;
            }
    const walk_axis line = w->axis[w->ndim - 2];
    walk_outer(w, w->ndim - 2, &line, &run);
}

/* Strides in elements along the axes of a dense piece. */
static void strides_of(const fari_view *view, int64_t stride[FAR_NDIM_MAX])
{
    const bool is_last = view->order == FARI_CHANNELS_LAST && view->ndim >= 3;
    int64_t run = 1;
    if (is_last) {
        stride[1] = 1;
        run = view->dim[1];
    }
    for (int32_t i = view->ndim - 1; i >= 0; i--) {
        if (is_last && i == 1) continue;
        stride[i] = run;
        run *= view->dim[i];
    }
}

static bool are_words(const fari_call *call)
{
    for (int32_t i = 0; i < call->in_count; i++)
        if (call->in[i].dtype != call->out[0].dtype) return false;
    return call->out[0].dtype == FAR_F32 || call->out[0].dtype == FAR_I32;
}

static int64_t rows_between(const fari_view *y, const fari_view *x)
{
    return y->ndim > 2 ? y->row0 - x->row0 : 0;
}

/* ---- the ops ---- */

/* y[..] = x[.. + start], over all of y; rows by number. */
static void copy_from(const fari_view *x, const fari_view *y, const int64_t *start)
{
    int64_t from[FAR_NDIM_MAX], to[FAR_NDIM_MAX];
    walk w = { .to = y->data, .from = x->data };
    strides_of(x, from);
    strides_of(y, to);
    for (int32_t i = 0; i < y->ndim; i++) {
        const int64_t first = (start != NULL ? start[i] : 0) + (i == 2 ? rows_between(y, x) : 0);
        w.from += first * from[i];
        walk_add(&w, y->dim[i], to[i], from[i]);
    }
    walk_copy(&w);
}

far_status FARI_ISA(fari_reorder)(const fari_call *call)
{
    if (!are_words(call)) return call->node->op->reference(call);
    copy_from(&call->in[0], &call->out[0], NULL);
    return FAR_OK;
}

far_status FARI_ISA(fari_slice)(const fari_call *call)
{
    const fari_slice_attr *attr = call->attr;
    if (!are_words(call)) return call->node->op->reference(call);
    copy_from(&call->in[0], &call->out[0], attr->start);
    return FAR_OK;
}

far_status FARI_ISA(fari_concat)(const fari_call *call)
{
    const fari_concat_attr *attr = call->attr;
    const fari_view *y = &call->out[0];
    int64_t to[FAR_NDIM_MAX], from[FAR_NDIM_MAX], start = 0;
    if (!are_words(call)) return call->node->op->reference(call);
    strides_of(y, to);
    for (int32_t k = 0; k < call->in_count; k++) {
        const fari_view *x = &call->in[k];
        walk w = { .to = (word *)y->data + start * to[attr->axis], .from = x->data };
        strides_of(x, from);
        for (int32_t i = 0; i < x->ndim; i++) walk_add(&w, x->dim[i], to[i], from[i]);
        walk_copy(&w);
        start += x->dim[attr->axis];
    }
    return FAR_OK;
}

/* Elements before and behind x are set first, all of them with it: one pass more over y, in cache for all but large pieces. */
far_status FARI_ISA(fari_pad)(const fari_call *call)
{
    const fari_pad_attr *attr = call->attr;
    const fari_view *x = &call->in[0], *y = &call->out[0];
    int64_t to[FAR_NDIM_MAX], from[FAR_NDIM_MAX];
    walk w = { .to = y->data, .from = x->data };
    if (!are_words(call) || y->dtype != FAR_F32) return call->node->op->reference(call);
    const float value = (float)attr->value;
    float *all = y->data;
    const int64_t elems = fari_view_elems(y);
    for (int64_t k = 0; k < elems; k++) all[k] = value;
    strides_of(y, to);
    strides_of(x, from);
    for (int32_t i = 0; i < y->ndim; i++) {
        const int64_t shift =
            attr->before[i] - (i == 2 ? rows_between(y, x) : 0); /* x's element 0 is y's element `shift` */
        const int64_t lo = shift > 0 ? shift : 0, hi = shift + x->dim[i] < y->dim[i] ? shift + x->dim[i] : y->dim[i];
        if (lo >= hi) return FAR_OK;
        w.to += lo * to[i];
        w.from += (lo - shift) * from[i];
        walk_add(&w, hi - lo, to[i], from[i]);
    }
    walk_copy(&w);
    return FAR_OK;
}

far_status FARI_ISA(fari_transpose)(const fari_call *call)
{
    const fari_transpose_attr *attr = call->attr;
    const fari_view *x = &call->in[0], *y = &call->out[0];
    int64_t to[FAR_NDIM_MAX], from[FAR_NDIM_MAX];
    walk w = { .to = y->data, .from = x->data };
    if (!are_words(call)) return call->node->op->reference(call);
    strides_of(y, to);
    strides_of(x, from);
    for (int32_t i = 0; i < y->ndim; i++) walk_add(&w, y->dim[i], to[i], from[attr->perm[i]]);
    walk_copy(&w);
    return FAR_OK;
}

far_status FARI_ISA(fari_reshape)(const fari_call *call)
{
    const fari_view *y = &call->out[0];
    memcpy(y->data, call->in[0].data, (size_t)(fari_view_elems(y) * far_dtype_bytes(y->dtype)));
    return FAR_OK;
}
