#include "graph/graph.h"
#include "base/mem.h"
#include <inttypes.h>
#include <string.h>

far_status far_graph_create(bool training, far_graph **graph_out)
{
    far_graph *graph = fari_calloc(1, sizeof *graph);
    if (graph == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory for a graph");
    graph->is_training = training;
    graph->loss = FAR_NO_VALUE;
    *graph_out = graph;
    return FAR_OK;
}

static void tensor_free(fari_tensor *tensor)
{
    if (tensor == NULL) return;
    fari_free(tensor->name);
    fari_free(tensor);
}

static void node_free(fari_node *node)
{
    if (node == NULL) return;
    fari_free(node->name);
    fari_free(node->attr);
    fari_free(node);
}

void far_graph_destroy(far_graph *graph)
{
    if (graph == NULL) return;
    for (int64_t i = 0; i < graph->tensor_count; i++) tensor_free(graph->tensors[i]);
    for (int64_t i = 0; i < graph->node_count; i++) node_free(graph->nodes[i]);
    for (int64_t i = 0; i < graph->output_count; i++) fari_free(graph->outputs[i].name);
    fari_free(graph->tensors);
    fari_free(graph->nodes);
    fari_free(graph->outputs);
    fari_free(graph->fixed_norms);
    fari_free(graph);
}

far_value fari_graph_fail(far_graph *graph, far_status status)
{
    if (graph->status == FAR_OK) {
        graph->status = status;
        fari_error_save(&graph->error);
    }
    return FAR_NO_VALUE;
}

far_status far_graph_status(far_graph *graph)
{
    if (graph->status != FAR_OK) fari_error_restore(&graph->error);
    return graph->status;
}

bool far_graph_is_training(const far_graph *graph)
{
    return graph->is_training;
}

/* Appends a copy of *proto named `name`. */
static far_value tensor_add(far_graph *graph, const fari_tensor *proto, const char *name)
{
    fari_tensor *tensor = NULL;
    if (!fari_reserve((void **)&graph->tensors, &graph->tensor_cap, graph->tensor_count + 1, sizeof(fari_tensor *)))
        goto no_memory;
    tensor = fari_alloc(sizeof *tensor);
    if (tensor == NULL) goto no_memory;
    *tensor = *proto;
    tensor->name = fari_strdup(name);
    if (tensor->name == NULL) goto no_memory;
    graph->tensors[graph->tensor_count] = tensor;
    return (far_value)graph->tensor_count++;
no_memory:
    fari_free(tensor);
    return fari_graph_fail(graph, FAR_FAIL(FAR_E_NOMEM, "no memory for tensor %s", name));
}

static bool shape_is_sound(const far_shape *shape)
{
    int64_t elems = 1;
    if (shape->ndim < 0 || shape->ndim > FAR_NDIM_MAX) return false;
    for (int32_t i = 0; i < shape->ndim; i++)
        if (shape->dim[i] < 1 || __builtin_mul_overflow(elems, shape->dim[i], &elems) || elems > INT64_MAX / 16)
            return false;
    return true;
}

far_value far_graph_input(far_graph *graph, const char *name, far_dtype dtype, const far_shape *shape)
{
    char text[128];
    if (graph->status != FAR_OK) return FAR_NO_VALUE;
    if (!shape_is_sound(shape) || shape->ndim < 1)
        return fari_graph_fail(graph,
                               FAR_FAIL(FAR_E_SHAPE, "input %s: shape %s needs a batch axis and extents of at least 1",
                                        name, far_shape_text(shape, text)));
    const bool is_image = shape->ndim >= 3;
    const fari_tensor tensor = { .role = FARI_ROLE_INPUT,
                                 .dtype = dtype,
                                 .order = is_image ? FARI_CHANNELS_LAST : FARI_ROW_MAJOR,
                                 .shape = *shape,
                                 .batch_of = 1,
                                 .has_rows = is_image,
                                 .producer = -1,
                                 .grad = FAR_NO_VALUE };
    return tensor_add(graph, &tensor, name);
}

static bool shapes_equal(const far_shape *a, const far_shape *b)
{
    return a->ndim == b->ndim && memcmp(a->dim, b->dim, (size_t)a->ndim * sizeof a->dim[0]) == 0;
}

static far_value kept_tensor(far_graph *graph, fari_role role, const char *name, far_dtype dtype,
                             const far_shape *shape, far_init init)
{
    char want[128], have[128];
    if (graph->status != FAR_OK) return FAR_NO_VALUE;
    for (int64_t i = 0; i < graph->tensor_count; i++) {
        const fari_tensor *old = graph->tensors[i];
        if (old->role != role || strcmp(old->name, name) != 0) continue;
        if (shapes_equal(&old->shape, shape)) return (far_value)i;
        return fari_graph_fail(graph, FAR_FAIL(FAR_E_SHAPE, "parameter %s is shared with two shapes: %s and %s", name,
                                               far_shape_text(&old->shape, have), far_shape_text(shape, want)));
    }
    if (!shape_is_sound(shape))
        return fari_graph_fail(graph, FAR_FAIL(FAR_E_SHAPE, "parameter %s: shape %s has an extent below 1", name,
                                               far_shape_text(shape, want)));
    const fari_tensor tensor = {
        .role = role, .dtype = dtype, .shape = *shape, .producer = -1, .grad = FAR_NO_VALUE, .init = init
    };
    return tensor_add(graph, &tensor, name);
}

far_value far_graph_param(far_graph *graph, const char *name, const far_shape *shape, far_init init)
{
    return kept_tensor(graph, FARI_ROLE_PARAM, name, FAR_F32, shape, init);
}

far_value far_graph_state(far_graph *graph, const char *name, const far_shape *shape, far_init init)
{
    return kept_tensor(graph, FARI_ROLE_STATE, name, FAR_F32, shape, init);
}

far_value fari_graph_opt_state(far_graph *graph, const char *name, far_dtype dtype, const far_shape *shape,
                               double start)
{
    return kept_tensor(graph, FARI_ROLE_OPT_STATE, name, dtype, shape,
                       (far_init){ .kind = FAR_INIT_CONST, .value = start });
}

void far_graph_output(far_graph *graph, const char *name, far_value value)
{
    if (graph->status != FAR_OK || value < 0) return;
    if (fari_reserve((void **)&graph->outputs, &graph->output_cap, graph->output_count + 1, sizeof(fari_output))) {
        char *copy = fari_strdup(name);
        if (copy != NULL) {
            graph->outputs[graph->output_count++] = (fari_output){ .name = copy, .value = value };
            return;
        }
    }
    (void)fari_graph_fail(graph, FAR_FAIL(FAR_E_NOMEM, "no memory for output %s", name));
}

far_shape far_graph_shape(const far_graph *graph, far_value value)
{
    if (value < 0 || value >= graph->tensor_count) return (far_shape){ 0 };
    return graph->tensors[value]->shape;
}

const char *far_graph_value_name(const far_graph *graph, far_value value)
{
    return value < 0 || value >= graph->tensor_count ? "" : graph->tensors[value]->name;
}

far_value far_graph_gradient(const far_graph *graph, far_value value)
{
    return value < 0 || value >= graph->tensor_count ? FAR_NO_VALUE : graph->tensors[value]->grad;
}

far_value far_graph_find(const far_graph *graph, const char *name)
{
    for (int64_t i = 0; i < graph->output_count; i++)
        if (strcmp(graph->outputs[i].name, name) == 0) return graph->outputs[i].value;
    for (int64_t i = 0; i < graph->tensor_count; i++)
        if (graph->tensors[i]->role != FARI_ROLE_COMPUTED && strcmp(graph->tensors[i]->name, name) == 0)
            return (far_value)i;
    return FAR_NO_VALUE;
}

int32_t far_graph_param_count(const far_graph *graph)
{
    int32_t count = 0;
    for (int64_t i = 0; i < graph->tensor_count; i++) count += graph->tensors[i]->role == FARI_ROLE_PARAM;
    return count;
}

far_value far_graph_param_at(const far_graph *graph, int32_t idx)
{
    for (int64_t i = 0; i < graph->tensor_count; i++)
        if (graph->tensors[i]->role == FARI_ROLE_PARAM && idx-- == 0) return (far_value)i;
    return FAR_NO_VALUE;
}

int64_t far_graph_param_elems(const far_graph *graph)
{
    int64_t elems = 0;
    for (int64_t i = 0; i < graph->tensor_count; i++)
        if (graph->tensors[i]->role == FARI_ROLE_PARAM) elems += far_shape_elems(&graph->tensors[i]->shape);
    return elems;
}

/* ---- adding nodes ---- */

void fari_infer_like(fari_tensor *out, const fari_tensor *in)
{
    out->dtype = in->dtype;
    out->order = in->order;
    out->shape = in->shape;
    out->batch_of = in->batch_of;
    out->has_rows = in->has_rows;
}

far_status fari_shape_error(const fari_node *node, const fari_tensor *a, const fari_tensor *b, const char *what)
{
    char text_a[128], text_b[128];
    if (b == NULL)
        return FAR_FAIL(FAR_E_SHAPE, "%s '%s': %s; got %s [%s]", node->op->name, node->name, what, a->name,
                        far_shape_text(&a->shape, text_a));
    return FAR_FAIL(FAR_E_SHAPE, "%s '%s': %s; got %s [%s] and %s [%s]", node->op->name, node->name, what, a->name,
                    far_shape_text(&a->shape, text_a), b->name, far_shape_text(&b->shape, text_b));
}

far_value fari_as_order(far_graph *graph, far_value value, fari_order order)
{
    if (value < 0) return value;
    const fari_tensor *tensor = graph->tensors[value];
    if (tensor->shape.ndim < 3 || tensor->batch_of == 0 || tensor->order == order) return value;
    for (int64_t i = 0; i < graph->node_count; i++) /* made once: look for an earlier conversion */
        if (graph->nodes[i]->op == &fari_op_reorder && graph->nodes[i]->in[0] == value) return graph->nodes[i]->out[0];
    const int32_t attr = (int32_t)order;
    return fari_emit(graph, &fari_op_reorder, tensor->name, &attr, 1, &value);
}

/* Converts grained inputs to what the op asks for. */
static void convert_inputs(far_graph *graph, fari_node *node)
{
    const fari_order_need need = node->op->order;
    if (need == FARI_ORDER_FREE) return;
    fari_order want = need == FARI_ORDER_CL ? FARI_CHANNELS_LAST : FARI_ROW_MAJOR;
    if (need == FARI_ORDER_ANY) {
        want = FARI_CHANNELS_LAST;
        for (int32_t i = node->in_count; i-- > 0;) {
            const fari_tensor *in = fari_tensor_of(graph, node->in[i]);
            if (in->shape.ndim >= 3 && in->batch_of != 0) want = in->order;
        }
    }
    for (int32_t i = 0; i < node->in_count; i++) node->in[i] = fari_as_order(graph, node->in[i], want);
}

static fari_node *node_new(far_graph *graph, const fari_op *op, const char *name, const void *attr)
{
    fari_node *node = fari_calloc(1, sizeof *node);
    if (node == NULL) return NULL;
    node->op = op;
    node->phase = graph->phase;
    node->name = fari_strdup(name);
    node->attr = fari_alloc(op->attr_bytes > 0 ? op->attr_bytes : 1);
    if (node->name == NULL || node->attr == NULL) {
        node_free(node);
        return NULL;
    }
    if (op->attr_bytes > 0) memcpy(node->attr, attr, op->attr_bytes);
    return node;
}

/* Puts a finished node at the end of the list. */
static far_status node_append(far_graph *graph, fari_node *node)
{
    if (!fari_reserve((void **)&graph->nodes, &graph->node_cap, graph->node_count + 1, sizeof(fari_node *)))
        return FAR_FAIL(FAR_E_NOMEM, "no memory for node %s", node->name);
    node->id = (int32_t)graph->node_count;
    graph->nodes[graph->node_count++] = node;
    return FAR_OK;
}

/* Shapes of the outputs, by the op's rule. */
static far_status outputs_infer(far_graph *graph, fari_node *node, fari_tensor *out)
{
    const fari_tensor *in[FARI_IN_MAX] = { NULL };
    for (int32_t i = 0; i < node->in_count; i++) in[i] = fari_tensor_of(graph, node->in[i]);
    memset(out, 0, FARI_OUT_MAX * sizeof *out);
    if (node->in_count > 0)
        for (int32_t i = 0; i < FARI_OUT_MAX; i++) fari_infer_like(&out[i], in[0]);
    node->out_count = 1;
    if (node->op->infer != NULL) FAR_TRY(node->op->infer(graph, node, in, out, &node->out_count));
    for (int32_t i = 0; i < node->out_count; i++) {
        out[i].role = FARI_ROLE_COMPUTED;
        out[i].grad = FAR_NO_VALUE;
        out[i].producer = (int32_t)graph->node_count;
        if (!shape_is_sound(&out[i].shape))
            return fari_shape_error(node, in[0] != NULL ? in[0] : &out[i], NULL,
                                    "the result would have an extent below 1");
    }
    return FAR_OK;
}

static bool inputs_present(const far_graph *graph, int32_t in_count, const far_value *in)
{
    if (graph->status != FAR_OK) return false;
    for (int32_t i = 0; i < in_count; i++)
        if (in[i] < 0 || in[i] >= graph->tensor_count) return false;
    return true;
}

static far_value emit(far_graph *graph, const fari_op *op, const char *name, const void *attr, int32_t in_count,
                      const far_value *in, int32_t mutated_count, const far_value *mutated)
{
    fari_tensor out[FARI_OUT_MAX];
    if (!inputs_present(graph, in_count, in)) {
        if (graph->status == FAR_OK)
            (void)fari_graph_fail(graph, FAR_FAIL(FAR_E_ARG, "%s '%s': an input is missing", op->name, name));
        return FAR_NO_VALUE;
    }
    FAR_ASSERT(in_count <= FARI_IN_MAX && mutated_count <= FARI_OUT_MAX);
    fari_node *node = node_new(graph, op, name, attr);
    if (node == NULL) return fari_graph_fail(graph, FAR_FAIL(FAR_E_NOMEM, "no memory for node %s", name));
    node->in_count = in_count;
    if (in_count > 0) memcpy(node->in, in, (size_t)in_count * sizeof in[0]);
    convert_inputs(graph, node);
    if (graph->status != FAR_OK) goto failed;
    far_status st = FAR_OK;
    if (mutated_count > 0) {
        node->mutates = true;
        node->out_count = mutated_count;
        memcpy(node->out, mutated, (size_t)mutated_count * sizeof mutated[0]);
    } else {
        st = outputs_infer(graph, node, out);
    }
    if (st == FAR_OK) st = node_append(graph, node);
    if (st != FAR_OK) {
        (void)fari_graph_fail(graph, st);
        goto failed;
    }
    for (int32_t i = 0; i < node->out_count && !node->mutates; i++) {
        char label[192];
        (void)snprintf(label, sizeof label, i == 0 ? "%s" : "%s:%d", name, (int)i);
        node->out[i] = tensor_add(graph, &out[i], label);
    }
    return node->out_count > 0 ? node->out[0] : FAR_NO_VALUE;
failed:
    node_free(node);
    return FAR_NO_VALUE;
}

far_value fari_emit(far_graph *graph, const fari_op *op, const char *name, const void *attr, int32_t in_count,
                    const far_value *in)
{
    return emit(graph, op, name, attr, in_count, in, 0, NULL);
}

void fari_emit_mutate(far_graph *graph, const fari_op *op, const char *name, const void *attr, int32_t in_count,
                      const far_value *in, int32_t out_count, const far_value *out)
{
    if (inputs_present(graph, out_count, out)) (void)emit(graph, op, name, attr, in_count, in, out_count, out);
}

fari_node *fari_graph_node_copy(far_graph *graph, const fari_node *node)
{
    const fari_phase phase = graph->phase;
    graph->phase = node->phase;
    fari_node *copy = node_new(graph, node->op, node->name, node->attr);
    graph->phase = phase;
    if (copy == NULL) return NULL;
    copy->in_count = node->in_count;
    memcpy(copy->in, node->in, sizeof copy->in);
    for (copy->out_count = 0; copy->out_count < node->out_count; copy->out_count++) {
        const fari_tensor *original = fari_tensor_of(graph, node->out[copy->out_count]);
        fari_tensor proto = *original;
        proto.grad = FAR_NO_VALUE;
        copy->out[copy->out_count] = tensor_add(graph, &proto, original->name);
        if (copy->out[copy->out_count] < 0) {
            node_free(copy);
            return NULL;
        }
    }
    return copy;
}
