/* What calls have made, as hashes: to hold one way of running a step against another. */
#include "base/hash.h"
#include "run/executor_priv.h"

void fari_exec_hash(fari_executor *exec, int32_t idx)
{
    const fari_plan *plan = exec->plan;
    const fari_instr *instr = &plan->instrs[idx];
    uint64_t hash = 0;
    if (instr->kind != FARI_INSTR_CALL) return;
    for (int32_t k = 0; k < instr->out_count; k++) {
        const int64_t v = instr->view0 + instr->in_count + k;
        char *data = fari_exec_view_data(exec, v);
        const size_t bytes = (size_t)fari_view_elems(&plan->views[v]) * (size_t)far_dtype_bytes(plan->views[v].dtype);
        if (idx == exec->flipped && k == 0 && bytes > 0) data[0] = (char)(data[0] ^ 1);
        hash = hash * UINT64_C(0x9E3779B97F4A7C15) + fari_xxh3(data, bytes);
    }
    exec->hashes[idx] = hash;
}

const uint64_t *fari_executor_hashes(const fari_executor *exec)
{
    return exec->hashes;
}

void fari_executor_flip(fari_executor *exec, int32_t instr)
{
    exec->flipped = instr;
}
