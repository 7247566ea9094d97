/* What an op is: one table row per op. Adding an op is one file in src/ops and one row in src/ops/table.c.
 *
 * Kinds
 *   MAP     each grain of the output is computed wholly by one call, from windows of the inputs (gather, never scatter)
 *   REDUCE  each grain of the domain input gives a partial; partials are combined in a fixed binary tree
 *   GLOBAL  one call on whole tensors (parameters, statistics, scalars)
 *   CHUNK   elementwise over parameters: calls on runs of 16,384-element chunks of the flat tensor
 *   CHUNK_REDUCE  as CHUNK, but each leaf gives a partial and partials are combined in the tree
 */
#ifndef FARI_GRAPH_OP_H
#define FARI_GRAPH_OP_H
#include <farandole/graph.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FARI_IN_MAX 12
#define FARI_OUT_MAX 6
#define FARI_CHUNK_ELEMS 16384

typedef struct fari_op fari_op;
typedef struct fari_node fari_node;
typedef struct fari_tensor fari_tensor;
typedef struct fari_call fari_call;

typedef enum fari_op_kind { FARI_MAP, FARI_REDUCE, FARI_GLOBAL, FARI_CHUNK, FARI_CHUNK_REDUCE } fari_op_kind;

/* How a tensor's elements lie in memory. Axis order in shapes never changes. */
typedef enum fari_order {
    FARI_ROW_MAJOR = 0, /* as written: [N][C][H][W] */
    FARI_CHANNELS_LAST  /* [N][D][H][W][C]: rows of one sample are contiguous, so a window with halo is a pointer */
} fari_order;

/* What an op asks of its grained inputs' order. */
typedef enum fari_order_need {
    FARI_ORDER_ANY,       /* follows input 0; the others are converted to it. Output has the same order */
    FARI_ORDER_CL,        /* channels-last in, channels-last out (tensors of three axes or more) */
    FARI_ORDER_ROW_MAJOR, /* row-major in, row-major out */
    FARI_ORDER_FREE       /* the kernel copes with each input as it is; infer sets the output's order */
} fari_order_need;

/* A dense piece of a tensor as a kernel sees it: `dim` are this piece's extents. */
typedef struct fari_view {
    void *data;
    far_dtype dtype;
    fari_order order;
    int32_t ndim;
    int64_t dim[FAR_NDIM_MAX];
    int64_t row0;       /* first row (axis 2) in the whole tensor; 0 when not cut */
    int64_t rows_total; /* rows of the whole tensor; dim[2] when not cut; 1 when ndim < 3 */
    int64_t sample0;    /* first index of axis 0 in the whole tensor */
    int64_t elem0;      /* CHUNK kinds: first element of the flat tensor */
} fari_view;

/* What changes from step to step; kernels read it, never write it. */
typedef struct fari_step {
    uint64_t seed;
    int64_t step; /* optimizer steps done before this one */
    int64_t epoch;
    const int64_t *sample_ids; /* [batch]: dataset index of each sample of the batch */
    const double *hyper;       /* [FARI_HYPER_COUNT] per parameter group, see src/ops/optim.h */
    void *const *feed;         /* [inputs]: this step's batch, one dense array an input, in the tensor's own order */
    /* Of an input that feed has NULL for: rows [row_lo, row_hi) of the sample at a place of the batch, as they would lie there (f32 or i32);
       of an input without rows those are [0, 1). Called whenever and as often as the plan needs them, by any thread, several at once; may
       block; a failure ends the step. NULL: all inputs are in feed. */
    far_status (*feed_rows)(void *context, int32_t input, int64_t sample, int64_t row_lo, int64_t row_hi,
                            void *rows_out);
    void *feed_context;
    /* Of an output that is taken: a piece of it, once it is there; `output` counts the graph's outputs. In any order, by any thread, several at
       once; a failure ends the step. NULL: nobody wants them. */
    far_status (*take_rows)(void *context, int32_t output, const fari_view *piece);
    void *take_context;
} fari_step;

/* One kernel call. Fixed when the plan is made, but for what `step` points to. */
struct fari_call {
    const fari_node *node;
    const void *attr; /* the op's own struct */
    fari_view in[FARI_IN_MAX];
    fari_view out[FARI_OUT_MAX];
    int32_t in_count, out_count;
    bool accumulate; /* REDUCE: add to the partial in out[] instead of setting it */
    void *scratch;   /* this thread's scratch, as large as the kernel asked, 64-byte aligned */
    void *prepared;  /* what the backend's prepare made for this geometry */
    const fari_step *step;
};
typedef far_status (*fari_kernel_fn)(const fari_call *call);

typedef struct fari_cost {
    double flops, bytes;
} fari_cost;

/* Passed to an op's gradient rule. d_out[i] is FAR_NO_VALUE where nothing flows back into output i. */
typedef struct fari_grad {
    far_graph *graph;
    const fari_node *node; /* a copy: stays valid while nodes are emitted */
    const far_value *in, *out, *d_out;
    const bool *need; /* need[i]: input i wants a gradient */
    far_value *d_in;  /* set to FAR_NO_VALUE before the call; the rule fills in what is needed */
} fari_grad;

struct fari_op {
    const char *name;
    fari_op_kind kind;
    fari_order_need order;
    size_t attr_bytes;
    /* Sets out[0..out_count): shape, dtype and, where they differ from input 0's, order, batch_of, has_rows. NULL: one output, as input 0. */
    far_status (*infer)(const far_graph *graph, const fari_node *node, const fari_tensor *const *in, fari_tensor *out,
                        int32_t *out_count);
    /* Emits the nodes that compute the gradients; NULL: nothing flows back. */
    far_status (*gradient)(fari_grad *grad);
    /* Of ops with one output, optional: makes the gradient of it that `gradient` gets as d_out[0] out of those of its users, the earliest
       user's first, where their plain sum would be passed over once more. FAR_NO_VALUE: the plain sum will do. grad->d_out is not set yet. */
    far_value (*gather)(const fari_grad *grad, int32_t count, const far_value *terms);
    /* MAP: rows [*lo, *hi) of input `input_idx` (not yet clipped to the image) that rows [out_lo, out_hi) of the output read.
       REDUCE: the same for rows of the domain input. NULL: the same rows; where row counts differ, all rows. */
    void (*rows)(const fari_node *node, const fari_tensor *const *in, int input_idx, int64_t out_lo, int64_t out_hi,
                 int64_t *lo, int64_t *hi);
    /* REDUCE: the input whose grains are the domain. */
    int32_t domain_input;
    /* REDUCE, CHUNK_REDUCE: out[] of `call` (left) becomes left combined with in[] (right, same shapes). NULL: elementwise sum. */
    fari_kernel_fn combine;
    /* One call's work. NULL: bytes of its operands, one operation an output element. */
    fari_cost (*cost)(const fari_call *call);
    /* The oracle: scalar, in double, any order and f32 or f64 views; also what runs where a backend has no kernel. */
    fari_kernel_fn reference;
    /* MAP: little more than a pass over memory, a function of its inputs alone: the backward pass may run it once more rather than
       keep its results (recompute.h). */
    bool is_light;
    /* Extra scratch of the reference kernel in bytes; NULL: none. */
    size_t (*reference_scratch)(const fari_call *call);
};
#endif
