/* The backend that only knows the ops' reference kernels: the oracle of every test. */
#include "base/mem.h"
#include "plan/backend.h"

static far_status reference_prepare(fari_backend *backend, const fari_call *call, fari_prepared *prepared_out)
{
    const fari_op *op = call->node->op;
    (void)backend;
    if (op->reference == NULL) return FAR_FAIL(FAR_E_UNSUPPORTED, "op %s has no reference kernel", op->name);
    *prepared_out = (fari_prepared){ .run = op->reference, .impl = "reference", .is_reference = true };
    if (op->reference_scratch != NULL) prepared_out->scratch_bytes = op->reference_scratch(call);
    return FAR_OK;
}

static void reference_add(float *left, const float *right, int64_t elems)
{
    for (int64_t i = 0; i < elems; i++) left[i] += right[i];
}

static void reference_destroy(fari_backend *backend)
{
    fari_free(backend);
}

far_status fari_backend_reference_create(fari_backend **backend_out)
{
    fari_backend *backend = fari_calloc(1, sizeof *backend);
    if (backend == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory for a backend");
    *backend = (fari_backend){ .name = "reference",
                               .isa = "reference in double",
                               .prepare = reference_prepare,
                               .add_f32 = reference_add,
                               .destroy = reference_destroy };
    *backend_out = backend;
    return FAR_OK;
}
