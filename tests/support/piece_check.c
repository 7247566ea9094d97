#include "piece_check.h"
#include "backends/cpu/isa/kernels.h"
#include "base/rng.h"
#include "ops/conv.h"
#include "ops/pool.h"
#include "ops/upsample.h"
#include "test.h"

/* ---- our own kernels ---- */

#define SETS_MAX 4
typedef struct kernel_row {
    const fari_op *op;
    fari_kernel_fn sets[3]; /* base, avx2, avx512 */
    size_t (*scratch)(const fari_call *call);
} kernel_row;

#ifdef FARI_ISA_X86
#define SETS_OF(name)                           \
    {                                           \
        name##_base, name##_avx2, name##_avx512 \
    }
#else
#define SETS_OF(name)           \
    {                           \
        name##_base, NULL, NULL \
    }
#endif

static const kernel_row rows[] = {
    { &fari_op_max_pool, SETS_OF(fari_max_pool), NULL },
    { &fari_op_max_pool_dx, SETS_OF(fari_max_pool_dx), NULL },
    { &fari_op_avg_pool, SETS_OF(fari_avg_pool), NULL },
    { &fari_op_avg_pool_dx, SETS_OF(fari_avg_pool_dx), NULL },
    { &fari_op_global_sum, SETS_OF(fari_global_sum), NULL },
    { &fari_op_global_sum_dx, SETS_OF(fari_global_sum_dx), NULL },
    { &fari_op_scale_cast, SETS_OF(fari_scale_cast), NULL },
    { &fari_op_channel_sum, SETS_OF(fari_channel_sum), NULL },
    { &fari_op_upsample, SETS_OF(fari_upsample), fari_upsample_scratch },
    { &fari_op_upsample_dx, SETS_OF(fari_upsample_dx), fari_upsample_dx_scratch },
};

static bool cpu_has(int set)
{
#ifdef FARI_ISA_X86
    if (set == 1) return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    if (set == 2)
        return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
               __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq");
#endif
    return set == 0;
}

/* Kernel 0 is the reference, then the instruction sets. NULL: not here. */
static fari_kernel_fn kernel_of(const fari_op *op, int which, size_t (**scratch_out)(const fari_call *call))
{
    *scratch_out = op->reference_scratch;
    if (which == 0) return op->reference;
    for (size_t i = 0; i < FAR_COUNT(rows); i++) {
        if (rows[i].op != op || !cpu_has(which - 1)) continue;
        *scratch_out = rows[i].scratch;
        return rows[i].sets[which - 1];
    }
    return NULL;
}

/* ---- tensors ---- */

typedef struct check {
    const char *label;
    const far_graph *graph;
    uint64_t key, draws;
    double **value; /* [tensors] what the oracle says, rounded to the tensor's type */
    double limit;
} check;

static uint64_t draw(check *t, uint64_t bound)
{
    return fari_rng_below(t->key, t->draws++, bound);
}

static void *take(size_t bytes)
{
    void *block = NULL; /* at a cache line, as a plan's buffers are */
    FAR_CHECK(posix_memalign(&block, 64, bytes > 0 ? bytes : 1) == 0);
    FAR_CHECK(block != NULL);
    memset(block, 0xff, bytes); /* NaN */
    return block;
}

static fari_view whole_view(const fari_tensor *tensor, far_dtype dtype)
{
    fari_view view = { .dtype = dtype, .order = tensor->order, .ndim = tensor->shape.ndim, .rows_total = 1 };
    memcpy(view.dim, tensor->shape.dim, sizeof view.dim);
    if (view.ndim >= 3) view.rows_total = view.dim[2];
    return view;
}

static void round_values(check *t, far_value tensor)
{
    const fari_tensor *of = fari_tensor_of(t->graph, tensor);
    const int64_t elems = far_shape_elems(&of->shape);
    if (of->dtype == FAR_F64) return;
    for (int64_t i = 0; i < elems; i++) t->value[tensor][i] = (double)(float)t->value[tensor][i];
}

static double draw_value(check *t, bool is_coarse)
{
    if (!is_coarse) return (double)(int64_t)draw(t, 1 << 20) / (1 << 19) - 1.0;
    return draw(t, 50) == 0 ? (double)NAN : (double)draw(t, 7) / 4.0 - 0.75;
}

static void draw_inputs(check *t, bool is_coarse)
{
    for (int64_t i = 0; i < t->graph->tensor_count; i++) {
        const fari_tensor *tensor = t->graph->tensors[i];
        const int64_t elems = far_shape_elems(&tensor->shape);
        t->value[i] = take((size_t)elems * sizeof(double));
        for (int64_t k = 0; k < elems && tensor->producer < 0; k++) t->value[i][k] = draw_value(t, is_coarse);
    }
}

/* ---- pieces ---- */

/* Samples [n0, n1) and rows [r0, r1) of a tensor. */
typedef struct range {
    int64_t n0, n1, r0, r1;
} range;

/* A range of the tensor as the kernel's type, in a block of its own, with the values copied or not a number. */
static fari_view piece_of(const check *t, far_value tensor, far_dtype dtype, range at, bool is_filled)
{
    const fari_tensor *of = fari_tensor_of(t->graph, tensor);
    const fari_view whole = whole_view(of, FAR_F64);
    fari_view piece = whole_view(of, dtype), source = whole;
    int64_t idx[FAR_NDIM_MAX] = { 0 };
    source.data = t->value[tensor];
    if (of->batch_of != 0) {
        piece.dim[0] = at.n1 - at.n0;
        piece.sample0 = at.n0;
        if (piece.ndim >= 3) {
            piece.dim[2] = at.r1 - at.r0;
            piece.row0 = at.r0;
        }
    }
    piece.data = take((size_t)(fari_view_elems(&piece) * far_dtype_bytes(dtype)));
    if (!is_filled) return piece;
    do {
        int64_t from[FAR_NDIM_MAX];
        memcpy(from, idx, sizeof from);
        from[0] += piece.sample0;
        if (piece.ndim >= 3) from[2] += piece.row0;
        fari_view_set(&piece, idx, fari_view_get(&source, from));
    } while (fari_idx_next(idx, piece.dim, piece.ndim));
    return piece;
}

/* Writes a piece's elements where they belong in a flat array in the tensor's own order. */
static void put_back(const check *t, far_value tensor, const fari_view *piece, double *to)
{
    fari_view target = whole_view(fari_tensor_of(t->graph, tensor), FAR_F64);
    int64_t idx[FAR_NDIM_MAX] = { 0 };
    target.data = to;
    do {
        int64_t at[FAR_NDIM_MAX];
        memcpy(at, idx, sizeof at);
        at[0] += piece->sample0;
        if (piece->ndim >= 3) at[2] += piece->row0;
        fari_view_set(&target, at, fari_view_get(piece, idx));
    } while (fari_idx_next(idx, piece->dim, piece->ndim));
}

/* What input i of the node is asked for when the output (or domain) range is `at`. */
static range input_range(const check *t, const fari_node *node, int32_t i, range at, int64_t rows_of_at)
{
    const fari_tensor *in[FARI_IN_MAX] = { NULL };
    for (int32_t k = 0; k < node->in_count; k++) in[k] = fari_tensor_of(t->graph, node->in[k]);
    const int64_t total = in[i]->shape.ndim >= 3 ? in[i]->shape.dim[2] : 1;
    range asked = { at.n0, at.n1, 0, total };
    if (in[i]->shape.ndim < 3 || in[i]->batch_of == 0) return asked;
    if (node->op->rows != NULL) node->op->rows(node, in, i, at.r0, at.r1, &asked.r0, &asked.r1);
    else if (total == rows_of_at) asked = at;
    if (asked.r0 < 0) asked.r0 = 0;
    if (asked.r1 > total) asked.r1 = total;
    FAR_CHECK_MSG(asked.r0 < asked.r1, "%s: %s asks for no rows of input %d for rows %" PRId64 " to %" PRId64, t->label,
                  node->op->name, (int)i, at.r0, at.r1);
    return asked;
}

static far_dtype kernel_dtype(const fari_tensor *tensor, bool is_f64)
{
    return is_f64 && tensor->dtype == FAR_F32 ? FAR_F64 : tensor->dtype;
}

/* One call; `result` holds the outputs in double. REDUCE: `at` is of the domain input and outputs accumulate over rows. */
static void run_piece(check *t, const fari_node *node, int which, bool is_f64, range at, bool accumulate,
                      double *const *result)
{
    const bool is_map = node->op->kind == FARI_MAP;
    const fari_tensor *lead = fari_tensor_of(t->graph, is_map ? node->out[0] : node->in[node->op->domain_input]);
    fari_call call = { .node = node,
                       .attr = node->attr,
                       .in_count = node->in_count,
                       .out_count = node->out_count,
                       .accumulate = accumulate };
    size_t (*scratch)(const fari_call *call) = NULL;
    const fari_kernel_fn kernel = kernel_of(node->op, which, &scratch);
    for (int32_t i = 0; i < node->in_count; i++) {
        const range asked = input_range(t, node, i, at, lead->shape.ndim >= 3 ? lead->shape.dim[2] : 1);
        call.in[i] = piece_of(t, node->in[i], kernel_dtype(fari_tensor_of(t->graph, node->in[i]), is_f64), asked, true);
    }
    for (int32_t i = 0; i < node->out_count; i++) {
        const fari_tensor *out = fari_tensor_of(t->graph, node->out[i]);
        const int64_t out_rows = out->shape.ndim >= 3 ? out->shape.dim[2] : 1;
        const range to = { at.n0, at.n1, is_map ? at.r0 : 0, is_map ? at.r1 : out_rows };
        double *own = t->value[node->out[i]];
        t->value[node->out[i]] = result[i]; /* what earlier pieces left, for accumulate */
        call.out[i] = piece_of(t, node->out[i], kernel_dtype(out, is_f64), to, accumulate);
        t->value[node->out[i]] = own;
    }
    if (scratch != NULL) call.scratch = aligned_alloc(64, (scratch(&call) + 64) / 64 * 64);
    FAR_CHECK_OK(kernel(&call));
    for (int32_t i = 0; i < node->out_count; i++) put_back(t, node->out[i], &call.out[i], result[i]);
    for (int32_t i = 0; i < node->in_count; i++) free(call.in[i].data);
    for (int32_t i = 0; i < node->out_count; i++) free(call.out[i].data);
    free(call.scratch);
}

/* The whole node, in one call or in random pieces: runs of samples, or runs of rows of one sample. */
static void run_node(check *t, const fari_node *node, int which, bool is_f64, bool in_pieces, double *const *result)
{
    const bool is_map = node->op->kind == FARI_MAP;
    const fari_tensor *lead = fari_tensor_of(t->graph, is_map ? node->out[0] : node->in[node->op->domain_input]);
    const int64_t samples = lead->shape.dim[0], rows_total = lead->shape.ndim >= 3 ? lead->shape.dim[2] : 1;
    const bool by_rows = in_pieces && rows_total > 1 && draw(t, 4) != 0;
    bool first = true;
    for (int64_t n = 0; n < samples;) {
        const int64_t run = !in_pieces ? samples : by_rows ? 1 : 1 + (int64_t)draw(t, (uint64_t)(samples - n));
        const bool per_sample = !is_map && fari_tensor_of(t->graph, node->out[0])->batch_of != 0;
        if (per_sample) first = true;
        for (int64_t r = 0; r < rows_total;) {
            const int64_t some = by_rows ? 1 + (int64_t)draw(t, (uint64_t)(rows_total - r)) : rows_total;
            run_piece(t, node, which, is_f64, (range){ n, n + run, r, r + some }, !is_map && !first, result);
            first = false;
            r += some;
        }
        n += run;
    }
}

/* ---- comparison ---- */

static double largest(const double *value, int64_t elems)
{
    double top = 0.0;
    for (int64_t i = 0; i < elems; i++)
        if (fabs(value[i]) > top) top = fabs(value[i]);
    return top;
}

static void compare(const check *t, const fari_node *node, int which, const char *how, double *const *got,
                    double *const *want, double limit)
{
    for (int32_t i = 0; i < node->out_count; i++) {
        const int64_t elems = far_shape_elems(&fari_tensor_of(t->graph, node->out[i])->shape);
        const double allowed = limit * largest(want[i], elems);
        for (int64_t k = 0; k < elems; k++) {
            const bool same = got[i][k] == want[i][k] || (isnan(got[i][k]) && isnan(want[i][k])) ||
                              fabs(got[i][k] - want[i][k]) <= allowed;
            FAR_CHECK_MSG(same, "%s: %s, kernel %d, %s: output %d element %" PRId64 " is %.9g, not %.9g", t->label,
                          node->op->name, which, how, (int)i, k, got[i][k], want[i][k]);
        }
    }
}

static void results_take(const check *t, const fari_node *node, double **result_out)
{
    for (int32_t i = 0; i < node->out_count; i++)
        result_out[i] = take((size_t)far_shape_elems(&fari_tensor_of(t->graph, node->out[i])->shape) * sizeof(double));
}

static void results_free(const fari_node *node, double **result)
{
    for (int32_t i = 0; i < node->out_count; i++) free(result[i]);
}

static void check_node(check *t, const fari_node *node)
{
    double *oracle[FARI_OUT_MAX], *fast[FARI_OUT_MAX] = { NULL };
    for (int32_t i = 0; i < node->out_count; i++) oracle[i] = t->value[node->out[i]];
    run_node(t, node, 0, true, false, oracle);
    for (int which = 0; which < SETS_MAX; which++) {
        double *whole[FARI_OUT_MAX], *pieces[FARI_OUT_MAX];
        size_t (*scratch)(const fari_call *call) = NULL;
        if (kernel_of(node->op, which, &scratch) == NULL) continue;
        results_take(t, node, whole);
        run_node(t, node, which, false, false, whole);
        compare(t, node, which, "whole", whole, oracle, t->limit);
        for (int round = 0; round < 3; round++) {
            results_take(t, node, pieces);
            run_node(t, node, which, false, true, pieces);
            compare(t, node, which, "in pieces", pieces, whole, node->op->kind == FARI_MAP ? 0.0 : t->limit);
            results_free(node, pieces);
        }
        if (which > 0 && fast[0] != NULL) compare(t, node, which, "other instruction set", whole, fast, 0.0);
        if (which > 0 && fast[0] == NULL) memcpy(fast, whole, sizeof whole);
        else results_free(node, whole);
    }
    if (fast[0] != NULL) results_free(node, fast);
    for (int32_t i = 0; i < node->out_count; i++) round_values(t, node->out[i]);
}

void piece_add_gradients(far_graph *graph)
{
    const int64_t node_count = graph->node_count;
    for (int64_t n = 0; n < node_count; n++) {
        const fari_node node = *graph->nodes[n];
        const fari_tensor *out = fari_tensor_of(graph, node.out[0]);
        far_value d_out[FARI_OUT_MAX], d_in[FARI_IN_MAX];
        bool need[FARI_IN_MAX];
        for (int i = 0; i < FARI_OUT_MAX; i++) d_out[i] = FAR_NO_VALUE;
        for (int i = 0; i < FARI_IN_MAX; i++) {
            d_in[i] = FAR_NO_VALUE;
            need[i] = true;
        }
        if (node.op->gradient == NULL) continue;
        d_out[0] = far_graph_input(graph, "d_out", out->dtype, &out->shape);
        FAR_CHECK_OK(node.op->gradient(&(fari_grad){ graph, &node, node.in, node.out, d_out, need, d_in }));
        FAR_CHECK_OK(far_graph_status(graph));
    }
}

void piece_check(const char *label, const far_graph *graph, uint64_t seed, bool is_coarse, double limit)
{
    check t = { .label = label, .graph = graph, .key = fari_rng_key(seed, 1000, 0, 0), .limit = limit };
    t.value = take((size_t)graph->tensor_count * sizeof *t.value);
    draw_inputs(&t, is_coarse);
    for (int64_t i = 0; i < graph->node_count; i++)
        if (graph->nodes[i]->op->kind == FARI_MAP || graph->nodes[i]->op->kind == FARI_REDUCE)
            check_node(&t, graph->nodes[i]);
    for (int64_t i = 0; i < graph->tensor_count; i++) free(t.value[i]);
    free(t.value);
}
