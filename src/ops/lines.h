/* Lines along a tensor's last axis, for ops that normalise over it. Where that axis is axis 2 ([N, T, F]) a plan may cut it: then
   an output piece holds part of each line, and inputs come with whole lines. */
#ifndef FARI_OPS_LINES_H
#define FARI_OPS_LINES_H
#include "graph/graph.h"

typedef struct fari_lines {
    int64_t count;  /* lines */
    int64_t length; /* elements of a whole line */
    int64_t first;  /* the piece's part of each line: [first, first + part) */
    int64_t part;
} fari_lines;

/* `whole` has whole lines, `piece` the same lines or a part of each. */
static inline fari_lines fari_lines_of(const fari_view *whole, const fari_view *piece)
{
    const int32_t last = whole->ndim - 1;
    fari_lines lines = { .length = whole->dim[last], .part = piece->dim[last] };
    lines.count = lines.length > 0 ? fari_view_elems(whole) / lines.length : 0;
    lines.first = whole->ndim == 3 ? piece->row0 - whole->row0 : 0;
    return lines;
}

/* The rows rule of such ops: the same rows, but all of them where rows are the last axis. */
static inline void fari_lines_rows(const fari_node *node, const fari_tensor *const *in, int input_idx, int64_t out_lo,
                                   int64_t out_hi, int64_t *lo, int64_t *hi)
{
    (void)node, (void)input_idx;
    const bool is_line = in[0]->shape.ndim == 3;
    *lo = is_line ? 0 : out_lo;
    *hi = is_line ? in[0]->shape.dim[2] : out_hi;
}
#endif
