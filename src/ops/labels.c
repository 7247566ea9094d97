#include "ops/labels.h"
#include <inttypes.h>

far_status fari_labels_check(const fari_node *node, const fari_tensor *logits, const fari_tensor *labels)
{
    const far_shape *x = &logits->shape, *t = &labels->shape;
    if (logits->dtype != FAR_F32 || x->ndim < 2 || logits->batch_of != 1)
        return fari_shape_error(node, logits, NULL, "logits must be a batch of f32 [N, K, ...]");
    if (labels->dtype != FAR_I32 && labels->dtype != FAR_U8)
        return fari_shape_error(node, labels, NULL, "labels must be i32 or u8");
    bool fits = t->dim[0] == x->dim[0] && labels->batch_of == 1 &&
                (x->ndim == 2 ? t->ndim == 1 : t->ndim == x->ndim && t->dim[1] == 1);
    for (int32_t i = 2; fits && i < x->ndim; i++) fits = t->dim[i] == x->dim[i];
    if (!fits) return fari_shape_error(node, logits, labels, "logits [N, K, ...] need labels [N] or [N, 1, ...]");
    return FAR_OK;
}

far_value fari_labels_logits(far_graph *graph, far_value logits)
{
    return graph->status == FAR_OK && logits >= 0 && logits < graph->tensor_count
               ? fari_as_order(graph, logits, FARI_CHANNELS_LAST)
               : FAR_NO_VALUE;
}

far_status fari_label_error(const fari_call *call, int64_t label, int64_t classes)
{
    return FAR_FAIL(FAR_E_FORMAT, "%s '%s': label %" PRId64 " is outside [0, %" PRId64 ") and not the ignored one",
                    call->node->op->name, call->node->name, label, classes);
}
