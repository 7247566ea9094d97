/* Arithmetic and traffic of single instructions, for predictions and profiles. */
#include "plan/plan.h"
#include <string.h>

fari_cost fari_plan_cost(const fari_plan *plan, int64_t instr_idx)
{
    const fari_instr *instr = &plan->instrs[instr_idx];
    fari_cost cost = { 0.0, 0.0 };
    for (int64_t a = plan->access0[instr_idx]; a < plan->access0[instr_idx + 1]; a++)
        cost.bytes += (double)(plan->accesses[a].hi - plan->accesses[a].lo);
    if (instr->kind != FARI_INSTR_CALL || plan->graph->nodes[instr->node]->op->cost == NULL) return cost;
    fari_call call = { .node = plan->graph->nodes[instr->node],
                       .in_count = instr->in_count,
                       .out_count = instr->out_count };
    call.attr = call.node->attr;
    for (int32_t i = 0; i < instr->in_count; i++) call.in[i] = plan->views[instr->view0 + i];
    for (int32_t i = 0; i < instr->out_count; i++) call.out[i] = plan->views[instr->view0 + instr->in_count + i];
    cost.flops = call.node->op->cost(&call).flops;
    return cost;
}
