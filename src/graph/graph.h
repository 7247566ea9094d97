/* The graph's inside: tensors, nodes and how ops add to them. The public side is <farandole/graph.h>. */
#ifndef FARI_GRAPH_GRAPH_H
#define FARI_GRAPH_GRAPH_H
#include "base/status.h"
#include "graph/op.h"

typedef enum fari_role {
    FARI_ROLE_COMPUTED = 0,
    FARI_ROLE_INPUT,
    FARI_ROLE_PARAM,    /* trained, saved */
    FARI_ROLE_STATE,    /* saved with the model, not trained: running statistics */
    FARI_ROLE_OPT_STATE /* saved with the optimizer: momenta */
} fari_role;

struct fari_tensor {
    char *name; /* owned; never NULL once in a graph */
    fari_role role;
    far_dtype dtype;
    fari_order order;
    far_shape shape;
    int64_t
        batch_of;  /* 0: no batch axis, one global piece. k >= 1: index i of axis 0 stands for samples [i k, (i+1) k) */
    bool has_rows; /* axis 2 holds image rows and may be cut */
    int32_t producer; /* node, -1 for inputs, parameters and state */
    far_value grad;   /* FAR_NO_VALUE until differentiated */
    far_init init;    /* parameters and states */
    bool frozen;      /* a parameter that is not trained */
};

typedef enum fari_phase { FARI_FORWARD, FARI_BACKWARD, FARI_UPDATE } fari_phase;

struct fari_node {
    const fari_op *op;
    char *name;
    void *attr; /* op->attr_bytes, owned */
    far_value in[FARI_IN_MAX], out[FARI_OUT_MAX];
    int32_t in_count, out_count;
    int32_t id;
    fari_phase phase;
    bool mutates;  /* out[] are tensors that existed before and are overwritten in place */
    bool is_again; /* a copy of a forward node that makes its results once more for the backward pass: recompute.h */
};

typedef struct fari_output {
    char *name;
    far_value value;
    bool is_taken; /* handed over piece by piece while a step runs (fari_step.take_rows), not kept to its end */
} fari_output;

struct far_graph {
    fari_tensor **tensors; /* each its own block: addresses stay valid while the graph grows */
    int64_t tensor_count, tensor_cap;
    fari_node **nodes; /* in an order in which every node follows its inputs' producers */
    int64_t node_count, node_cap;
    fari_output *outputs;
    int64_t output_count, output_cap;
    bool is_training;
    fari_phase phase;  /* of the nodes added now */
    far_status status; /* the first failure */
    fari_error_copy error;
    far_value loss;
    char *fixed_norms; /* patterns of far_graph_fix_norms, NULL: none */
};

static inline fari_tensor *fari_tensor_of(const far_graph *graph, far_value value)
{
    return graph->tensors[value];
}

/* Adds a node. Inputs may be FAR_NO_VALUE only after an earlier failure: then nothing happens. Trailing optional inputs are left
   out by a smaller in_count. Converts inputs' order as the op needs. Gives the first output; output k is `result + k`. */
far_value fari_emit(far_graph *graph, const fari_op *op, const char *name, const void *attr, int32_t in_count,
                    const far_value *in);
/* As fari_emit, but the node overwrites the given tensors (state, parameters) in place. */
void fari_emit_mutate(far_graph *graph, const fari_op *op, const char *name, const void *attr, int32_t in_count,
                      const far_value *in, int32_t out_count, const far_value *out);
/* Keeps the first failure; gives FAR_NO_VALUE so that builders can `return fari_graph_fail(...)`. Words come from FAR_FAIL before. */
far_value fari_graph_fail(far_graph *graph, far_status status);
/* The value as one of that order: itself or a conversion (made once). */
far_value fari_as_order(far_graph *graph, far_value value, fari_order order);
/* Optimizer state beside a parameter, starting at `start`. */
far_value fari_graph_opt_state(far_graph *graph, const char *name, far_dtype dtype, const far_shape *shape,
                               double start);

/* A copy of a node with tensors of its own for its results; not yet in the list of nodes. NULL: no memory. */
fari_node *fari_graph_node_copy(far_graph *graph, const fari_node *node);

/* Helpers for infer: out becomes like `in` (dtype, order, batch, rows) with its shape. */
void fari_infer_like(fari_tensor *out, const fari_tensor *in);
/* Words a shape error with op, node name and both shapes. */
far_status fari_shape_error(const fari_node *node, const fari_tensor *a, const fari_tensor *b, const char *what);

/* The ops graph/ itself needs: src/graph/structural.c. */
extern const fari_op
    fari_op_reorder; /* row-major <-> channels-last; the output's order is its attr, an int32_t of fari_order */
extern const fari_op fari_op_add_n; /* sum of up to FARI_IN_MAX tensors of equal shape, in order */
extern const fari_op fari_op_fill;  /* a constant, global */
typedef struct fari_fill_attr {
    far_shape shape;
    double value;
    far_dtype dtype;
} fari_fill_attr;

/* Views: element access for reference kernels; slow on purpose. */
int64_t fari_view_elems(const fari_view *view);
int64_t fari_view_offset(const fari_view *view, const int64_t *idx); /* in elements; idx relative to the piece */
double fari_view_get(const fari_view *view, const int64_t *idx);
void fari_view_set(const fari_view *view, const int64_t *idx, double value);
double fari_view_get_flat(const fari_view *view, int64_t elem); /* by position in memory */
void fari_view_set_flat(const fari_view *view, int64_t elem, double value);
/* Steps idx over dim[0..ndim) in row-major order of the axes; false after the last. Start from zeros. */
bool fari_idx_next(int64_t *idx, const int64_t *dim, int32_t ndim);
#endif
