/* Which tensor of a step was the first that is not finite. */
#include "run/exec_comm.h"
#include "run/exec_spill.h"
#include "run/executor_priv.h"
#include <math.h>
#include <string.h>

/* Elements that are not finite in dense memory; the first of them, -1: none. */
static int64_t count_bad(const void *data, far_dtype dtype, int64_t elems, int64_t *first_out)
{
    const float *f32 = data;
    const double *f64 = data;
    int64_t count = 0;
    *first_out = -1;
    if (dtype != FAR_F32 && dtype != FAR_F64) return 0;
    for (int64_t i = 0; i < elems; i++) {
        if (dtype == FAR_F32 ? isfinite(f32[i]) : isfinite(f64[i])) continue;
        if (count++ == 0) *first_out = i;
    }
    return count;
}

static double element(const void *data, far_dtype dtype, int64_t elem)
{
    return dtype == FAR_F32 ? (double)((const float *)data)[elem] : ((const double *)data)[elem];
}

/* Whether a piece of a tensor is bad; fills in what it says about the place. */
static bool look_at(const fari_executor *exec, const fari_view *view, const void *data, far_value tensor,
                    fari_bad_tensor *bad)
{
    int64_t first;
    const int64_t elems = fari_view_elems(view);
    const fari_tensor *t = fari_tensor_of(exec->plan->graph, tensor);
    bad->count = count_bad(data, view->dtype, elems, &first);
    if (bad->count == 0) return false;
    bad->value = element(data, view->dtype, first);
    bad->shape = t->shape;
    bad->sample = -1;
    bad->row_lo = bad->row_hi = 0;
    if (t->has_rows && view->ndim >= 3 && view->dim[2] < t->shape.dim[2]) {
        bad->row_lo = view->row0;
        bad->row_hi = view->row0 + view->dim[2];
    }
    if (t->batch_of > 0 && t->shape.dim[0] > 0)
        bad->sample = (view->sample0 + first / (elems / view->dim[0])) * t->batch_of;
    return true;
}

/* Parameters first: an update may have left them without a finite value though the loss before it was a number. */
static bool look_at_parameters(const fari_executor *exec, fari_bad_tensor *bad)
{
    const far_graph *graph = exec->plan->graph;
    for (far_value i = 0; i < graph->tensor_count; i++) {
        const fari_tensor *t = graph->tensors[i];
        const void *data = fari_executor_data(exec, i);
        if (t->role != FARI_ROLE_PARAM || data == NULL) continue;
        fari_view view = { .dtype = fari_plan_dtype(exec->plan, i), .ndim = 1, .dim = { far_shape_elems(&t->shape) } };
        bad->op = "parameter";
        bad->name = t->name;
        if (look_at(exec, &view, data, i, bad)) return true;
    }
    return false;
}

/* Partial sums and packed weights mean nothing by themselves; running statistics are on no way to the loss. */
static bool has_no_meaning(fari_buffer_kind kind)
{
    return kind == FARI_BUFFER_PARTIAL || kind == FARI_BUFFER_PACKED || kind == FARI_BUFFER_STATE;
}

/* The tensors that instruction `idx` wrote. */
static bool look_at_outputs(const fari_executor *exec, int64_t idx, fari_bad_tensor *bad)
{
    const fari_plan *plan = exec->plan;
    const fari_instr *instr = &plan->instrs[idx];
    for (int64_t v = instr->view0 + instr->in_count; v < instr->view0 + instr->in_count + instr->out_count; v++) {
        const fari_buffer *buffer = &plan->buffers[plan->view_buffer[v]];
        if (has_no_meaning(buffer->kind)) continue;
        bad->op = instr->node >= 0 ? plan->graph->nodes[instr->node]->op->name : "input";
        bad->name = instr->node >= 0 ? plan->graph->nodes[instr->node]->name
                                     : fari_tensor_of(plan->graph, buffer->tensor)->name;
        if (look_at(exec, &plan->views[v], fari_exec_view_data(exec, v), buffer->tensor, bad)) return true;
    }
    return false;
}

/* Of a piece: the turn, feeds before calls, sample, row. */
static void note_place(const fari_executor *exec, int64_t idx, fari_bad_tensor *bad)
{
    const fari_plan *plan = exec->plan;
    const fari_instr *instr = &plan->instrs[idx];
    const int64_t view = instr->view0 + instr->in_count;
    bad->place[0] = instr->node >= 0 ? plan->turn[instr->node] : plan->buffers[plan->view_buffer[view]].first_turn;
    bad->place[1] = instr->node >= 0;
    bad->place[2] = plan->views[view].sample0;
    bad->place[3] = plan->views[view].row0;
}

/* A message, until it has come or gone. */
static far_status run_message(fari_executor *exec, int32_t message)
{
    (void)pthread_mutex_lock(&exec->lock);
    exec->awaited = message;
    fari_exec_comm_start(exec->comm, message);
    while (exec->awaited >= 0 && exec->status == FAR_OK) (void)pthread_cond_wait(&exec->wake, &exec->lock);
    const far_status st = exec->status;
    (void)pthread_mutex_unlock(&exec->lock);
    if (st != FAR_OK) fari_error_restore(&exec->error);
    return st;
}

/* What comes before the loss is there; of several ranks others wait for the rest as well, but nothing is updated. */
static far_status run_again(fari_executor *exec, int32_t idx)
{
    const fari_instr *instr = &exec->plan->instrs[idx];
    if (instr->kind == FARI_INSTR_SEND || instr->kind == FARI_INSTR_RECV) return run_message(exec, instr->aux);
    if (fari_instr_is_move(instr)) return fari_exec_spill_move(exec->spill, idx);
    if (instr->node >= 0 && fari_node_is_guarded(exec->plan->graph->nodes[instr->node])) return FAR_OK;
    return fari_exec_run_instr(exec, idx, exec->workers[0].scratch);
}

static bool moves_only(const fari_instr *instr)
{
    return instr->kind == FARI_INSTR_SEND || instr->kind == FARI_INSTR_RECV || fari_instr_is_move(instr);
}

static far_status look_at_all(fari_executor *exec, bool has_found, fari_bad_tensor *bad)
{
    const fari_plan *plan = exec->plan;
    const int32_t loss_turn = plan->turn[fari_tensor_of(plan->graph, plan->graph->loss)->producer];
    const int64_t end = exec->comm != NULL ? plan->instr_count : plan->guard + 1;
    if (exec->spill != NULL) fari_exec_spill_begin(exec->spill);
    for (int32_t i = 0; i < end; i++) {
        const fari_instr *instr = &plan->instrs[i];
        FAR_TRY(run_again(exec, i));
        if (has_found || moves_only(instr) || (instr->node >= 0 && plan->turn[instr->node] > loss_turn)) continue;
        has_found = look_at_outputs(exec, i, bad);
        if (has_found) note_place(exec, i, bad);
        if (has_found && exec->comm == NULL) break;
    }
    return has_found ? FAR_OK : FAR_FAIL(FAR_E_NOTFOUND, "every tensor of the step is finite");
}

far_status fari_executor_find_bad(fari_executor *exec, const fari_step *step, fari_bad_tensor *bad_out)
{
    memset(bad_out, 0, sizeof *bad_out);
    const bool has_found = look_at_parameters(exec, bad_out);
    if (has_found) bad_out->place[0] = -1;
    if (has_found && exec->comm == NULL) return FAR_OK;
    exec->step = step;
    exec->is_checking = true;
    exec->status = FAR_OK;
    const far_status st = look_at_all(exec, has_found, bad_out);
    exec->is_checking = false;
    return st;
}
