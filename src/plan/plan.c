#include "plan/plan.h"
#include "base/mem.h"
#include "plan/bands.h"
#include "plan/part.h"
#include <string.h>

far_dtype fari_plan_dtype(const fari_plan *plan, far_value tensor)
{
    const far_dtype dtype = fari_tensor_of(plan->graph, tensor)->dtype;
    return plan->opts.is_reference_f64 && dtype == FAR_F32 ? FAR_F64 : dtype;
}

void fari_plan_destroy(fari_plan *plan)
{
    if (plan == NULL) return;
    if (plan->opts.backend != NULL && plan->opts.backend->release != NULL)
        for (int64_t i = 0; i < plan->prepared_count; i++)
            plan->opts.backend->release(plan->opts.backend, &plan->prepared[i]);
    for (int64_t i = 0; i < plan->row_table_count; i++) fari_free(plan->row_tables[i]);
    fari_free(plan->row_tables);
    fari_free(plan->order);
    fari_free(plan->turn);
    fari_free(plan->grains);
    fari_free(plan->tensor_buffer);
    fari_free(plan->buffers);
    fari_free(plan->instrs);
    fari_free(plan->views);
    fari_free(plan->view_buffer);
    fari_free(plan->prepared);
    fari_free(plan->accesses);
    fari_free(plan->access0);
    fari_free(plan->sweep0);
    fari_free(plan->succ);
    fari_free(plan->succ0);
    fari_free(plan->indegree);
    fari_part_destroy(plan->part);
    fari_free(plan);
}

/* Gives back what an array has beyond its elements. */
static far_status shrink_array(void **array_io, int64_t *cap_io, int64_t count, size_t elem_bytes)
{
    if (count >= *cap_io) return FAR_OK;
    void *less = fari_realloc(*array_io, (size_t)(count > 0 ? count : 1) * elem_bytes);
    if (less == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory for a plan");
    *array_io = less;
    *cap_io = count;
    return FAR_OK;
}

static far_status shrink(fari_plan *plan)
{
    FAR_TRY(shrink_array((void **)&plan->instrs, &plan->instr_cap, plan->instr_count, sizeof *plan->instrs));
    FAR_TRY(shrink_array((void **)&plan->views, &plan->view_cap, plan->view_count, sizeof *plan->views));
    FAR_TRY(
        shrink_array((void **)&plan->view_buffer, &plan->view_buffer_cap, plan->view_count, sizeof *plan->view_buffer));
    FAR_TRY(shrink_array((void **)&plan->accesses, &plan->access_cap, plan->access_count, sizeof *plan->accesses));
    FAR_TRY(shrink_array((void **)&plan->access0, &plan->access0_cap, plan->instr_count + 1, sizeof *plan->access0));
    return shrink_array((void **)&plan->prepared, &plan->prepared_cap, plan->prepared_count, sizeof *plan->prepared);
}

far_status fari_plan_create(const far_graph *graph, const fari_plan_opts *opts, fari_plan **plan_out)
{
    far_status st = FAR_OK;
    if (graph->status != FAR_OK) {
        fari_error_restore(&graph->error);
        return graph->status;
    }
    FAR_TRY(fari_mesh_check(&opts->mesh, opts->rank));
    fari_plan *plan = fari_calloc(1, sizeof *plan);
    if (plan == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory for a plan");
    plan->graph = graph;
    plan->opts = *opts;
    if (plan->opts.threads < 1) plan->opts.threads = 1;
    if (plan->opts.mesh.data < 1) plan->opts.mesh.data = 1;
    if (plan->opts.mesh.spatial < 1) plan->opts.mesh.spatial = 1;
    if (fari_mesh_ranks(&plan->opts.mesh) > 1) FAR_TRY_GOTO(fari_part_create(plan), failed);
    FAR_TRY_GOTO(fari_plan_order_nodes(plan), failed);
    FAR_TRY_GOTO(fari_plan_cut_grains(plan), failed);
    FAR_TRY_GOTO(fari_plan_lower(plan), failed);
    plan->turn_count = (int32_t)graph->node_count;
    if (plan->opts.spill.is_banded) FAR_TRY_GOTO(fari_plan_band(plan), failed);
    FAR_TRY_GOTO(fari_plan_spill(plan), failed);
    FAR_TRY_GOTO(fari_plan_find_hazards(plan), failed);
    fari_part_link(plan);
    FAR_TRY_GOTO(shrink(plan), failed);
    plan->scratch_bytes = (plan->scratch_bytes + 4095) / 4096 * 4096;
    *plan_out = plan;
    return FAR_OK;
failed:
    fari_plan_destroy(plan);
    return st;
}

int64_t fari_plan_run_bytes(const fari_plan *plan)
{
    return plan->arena_bytes + plan->scratch_bytes * plan->opts.threads;
}

int64_t fari_plan_bytes_of_kind(const fari_plan *plan, fari_buffer_kind kind)
{
    int64_t bytes = 0;
    for (int64_t i = 0; i < plan->buffer_count; i++)
        if (plan->buffers[i].kind == kind && plan->buffers[i].base != FARI_BASE_SPILL) bytes += plan->buffers[i].bytes;
    return bytes;
}

int64_t fari_plan_own_bytes(const fari_plan *plan)
{
    const int64_t edges = plan->succ0 != NULL ? plan->succ0[plan->instr_count] : 0;
    return plan->view_cap * (int64_t)sizeof(fari_view) + plan->view_buffer_cap * (int64_t)sizeof(int32_t) +
           plan->instr_cap * (int64_t)sizeof(fari_instr) + plan->access_cap * (int64_t)sizeof(fari_access) +
           plan->access0_cap * (int64_t)sizeof(int64_t) + edges * (int64_t)sizeof(int32_t) +
           plan->instr_count * (int64_t)(sizeof(int64_t) + sizeof(int32_t)) +
           plan->buffer_cap * (int64_t)sizeof(fari_buffer) + plan->prepared_cap * (int64_t)sizeof(fari_prepared) +
           fari_part_own_bytes(plan);
}

const char *fari_buffer_kind_name(fari_buffer_kind kind)
{
    static const char *const names[] = { "parameters",  "state",     "optimizer state", "inputs",
                                         "activations", "gradients", "partial sums",    "packed weights" };
    return (size_t)kind < FAR_COUNT(names) ? names[kind] : "?";
}
