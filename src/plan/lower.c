/* From nodes to instructions: for each grain of a node's domain one kernel call on ranges of buffers, and for sums across grains the
   combining calls of the tree. Instructions come out in the canonical order, which one thread would follow. */
#include "plan/lower.h"
#include "base/mem.h"
#include <inttypes.h>
#include <string.h>

far_status fari_lower_buffer(fari_plan *plan, fari_buffer_kind kind, far_value tensor, int64_t bytes,
                             int32_t *buffer_out)
{
    if (!fari_reserve((void **)&plan->buffers, &plan->buffer_cap, plan->buffer_count + 1, sizeof(fari_buffer)))
        return FAR_FAIL(FAR_E_NOMEM, "no memory for the plan's buffers");
    const bool is_stored = kind == FARI_BUFFER_PARAM || kind == FARI_BUFFER_STATE || kind == FARI_BUFFER_OPT_STATE;
    plan->buffers[plan->buffer_count] = (fari_buffer){ .kind = kind,
                                                       .base = is_stored ? FARI_BASE_STORE : FARI_BASE_ARENA,
                                                       .tensor = tensor,
                                                       .bytes = bytes,
                                                       .first_turn = INT32_MAX,
                                                       .last_turn = -1 };
    *buffer_out = (int32_t)plan->buffer_count++;
    return FAR_OK;
}

static fari_buffer_kind kind_of(const fari_plan *plan, const fari_tensor *t)
{
    switch (t->role) {
    case FARI_ROLE_INPUT: return FARI_BUFFER_INPUT;
    case FARI_ROLE_PARAM: return FARI_BUFFER_PARAM;
    case FARI_ROLE_STATE: return FARI_BUFFER_STATE;
    case FARI_ROLE_OPT_STATE: return FARI_BUFFER_OPT_STATE;
    case FARI_ROLE_COMPUTED: break;
    }
    const fari_node *producer = plan->graph->nodes[t->producer];
    return producer->phase == FARI_FORWARD || producer->is_again ? FARI_BUFFER_ACTIVATION : FARI_BUFFER_GRADIENT;
}

static far_status feed_input(fari_plan *plan, far_value input, int32_t buffer);

far_status fari_lower_tensor(fari_plan *plan, far_value value, int32_t *buffer_out)
{
    const fari_tensor *t = fari_tensor_of(plan->graph, value);
    if (plan->tensor_buffer[value] < 0) {
        const int64_t bytes = far_shape_elems(&t->shape) * far_dtype_bytes(fari_plan_dtype(plan, value));
        FAR_TRY(fari_lower_buffer(plan, kind_of(plan, t), value, bytes, &plan->tensor_buffer[value]));
        if (t->role == FARI_ROLE_INPUT && plan->part == NULL)
            FAR_TRY(feed_input(plan, value, plan->tensor_buffer[value]));
    }
    *buffer_out = plan->tensor_buffer[value];
    return FAR_OK;
}

/* ---- instructions ---- */

far_status fari_lower_begin(fari_plan *plan, fari_instr_kind kind, int32_t node)
{
    if (!fari_reserve((void **)&plan->instrs, &plan->instr_cap, plan->instr_count + 1, sizeof(fari_instr)) ||
        !fari_reserve((void **)&plan->access0, &plan->access0_cap, plan->instr_count + 2, sizeof(int64_t)))
        return FAR_FAIL(FAR_E_NOMEM, "no memory for the plan's instructions");
    plan->instrs[plan->instr_count] =
        (fari_instr){ .kind = (uint8_t)kind, .node = node, .prepared = -1, .view0 = plan->view_count };
    plan->access0[plan->instr_count] = plan->access_count;
    plan->instr_count++;
    plan->access0[plan->instr_count] = plan->access_count;
    return FAR_OK;
}

far_status fari_lower_view(fari_plan *plan, int32_t buffer, const fari_view *view, int64_t bytes, bool is_write)
{
    fari_instr *instr = &plan->instrs[plan->instr_count - 1];
    if (!fari_reserve((void **)&plan->views, &plan->view_cap, plan->view_count + 1, sizeof(fari_view)) ||
        !fari_reserve((void **)&plan->view_buffer, &plan->view_buffer_cap, plan->view_count + 1, sizeof(int32_t)) ||
        !fari_reserve((void **)&plan->accesses, &plan->access_cap, plan->access_count + 1, sizeof(fari_access)))
        return FAR_FAIL(FAR_E_NOMEM, "no memory for the plan's views");
    const int64_t lo = (int64_t)(uintptr_t)view->data;
    plan->views[plan->view_count] = *view;
    plan->view_buffer[plan->view_count++] = buffer;
    plan->accesses[plan->access_count++] = (fari_access){ buffer, is_write, lo, lo + bytes };
    plan->access0[plan->instr_count] = plan->access_count;
    if (is_write) instr->out_count++;
    else instr->in_count++;
    return FAR_OK;
}

void fari_lower_take_lists(fari_plan *plan, fari_lists *lists_out)
{
    *lists_out = (fari_lists){ .instrs = plan->instrs,
                               .instr_count = plan->instr_count,
                               .views = plan->views,
                               .view_buffer = plan->view_buffer,
                               .accesses = plan->accesses,
                               .access0 = plan->access0 };
    plan->instrs = NULL;
    plan->views = NULL;
    plan->view_buffer = NULL;
    plan->accesses = NULL;
    plan->access0 = NULL;
    plan->instr_count = plan->instr_cap = plan->view_count = plan->view_cap = plan->view_buffer_cap = 0;
    plan->access_count = plan->access_cap = plan->access0_cap = 0;
}

void fari_lower_free_lists(fari_lists *lists)
{
    fari_free(lists->instrs);
    fari_free(lists->views);
    fari_free(lists->view_buffer);
    fari_free(lists->accesses);
    fari_free(lists->access0);
}

int64_t fari_lower_first_of_turn(const fari_plan *plan, int32_t turn)
{
    int64_t lo = 0, hi = plan->instr_count;
    while (lo < hi) {
        const int64_t mid = lo + (hi - lo) / 2;
        if (plan->instrs[mid].turn < turn) lo = mid + 1;
        else hi = mid;
    }
    return lo;
}

far_status fari_lower_put(fari_plan *plan, const fari_lists *lists, int64_t idx, const int32_t *buffers)
{
    const fari_instr *old = &lists->instrs[idx];
    const int64_t first = lists->access0[idx];
    FAR_TRY(fari_lower_begin(plan, (fari_instr_kind)old->kind, old->node));
    fari_instr *instr = &plan->instrs[plan->instr_count - 1];
    const int64_t view0 = instr->view0;
    *instr = *old;
    instr->view0 = view0;
    instr->in_count = instr->out_count = 0; /* counted again */
    for (int64_t k = 0; first + k < lists->access0[idx + 1]; k++) {
        const fari_access *access = &lists->accesses[first + k];
        FAR_TRY(fari_lower_view(plan, buffers != NULL ? buffers[k] : access->buffer, &lists->views[old->view0 + k],
                                access->hi - access->lo, access->is_write));
    }
    if (old->kind == FARI_INSTR_SEND || old->kind == FARI_INSTR_RECV)
        plan->part->messages[old->aux].instr = (int32_t)(plan->instr_count - 1);
    return FAR_OK;
}

far_status fari_lower_put_move(fari_plan *plan, fari_instr_kind kind, int32_t turn, int32_t from, int32_t to,
                               int64_t number, const fari_piece *piece)
{
    const int64_t bytes = piece->hi - piece->lo;
    const fari_view view = { .data = (void *)(uintptr_t)piece->lo, /* NOLINT: an offset */
                             .dtype = FAR_U8,
                             .ndim = 1,
                             .dim = { bytes },
                             .rows_total = 1 };
    FAR_TRY(fari_lower_begin(plan, kind, -1));
    plan->instrs[plan->instr_count - 1].turn = turn;
    plan->instrs[plan->instr_count - 1].aux = (int32_t)number;
    *(kind == FARI_INSTR_WRITE ? &plan->written_bytes : &plan->read_bytes) += bytes;
    FAR_TRY(fari_lower_view(plan, from, &view, bytes, false));
    return fari_lower_view(plan, to, &view, bytes, true);
}

int32_t fari_lower_input_ordinal(const far_graph *graph, far_value input)
{
    int32_t ordinal = 0;
    for (far_value i = 0; i < input; i++) ordinal += graph->tensors[i]->role == FARI_ROLE_INPUT;
    return ordinal;
}

static far_status feed_input(fari_plan *plan, far_value input, int32_t buffer)
{
    const fari_grains *grains = &plan->grains[input];
    const fari_tensor *t = fari_tensor_of(plan->graph, input);
    const int64_t rows = t->shape.ndim >= 3 ? t->shape.dim[2] : 1;
    for (int64_t i = 0; i < fari_grain_count(grains); i++) {
        const int64_t lo = i / grains->row_count * grains->index_step;
        const int64_t hi =
            lo + grains->index_step < grains->index_total ? lo + grains->index_step : grains->index_total;
        const int64_t *row = grains->row_count > 1 ? &grains->row_start[i % grains->row_count] : NULL;
        const fari_view view =
            fari_lower_view_piece(plan, input, lo, hi, row != NULL ? row[0] : 0, row != NULL ? row[1] : rows);
        FAR_TRY(fari_lower_begin(plan, FARI_INSTR_FEED, -1));
        plan->instrs[plan->instr_count - 1].aux = fari_lower_input_ordinal(plan->graph, input);
        FAR_TRY(fari_lower_view(plan, buffer, &view, fari_lower_view_bytes(&view), true));
    }
    return FAR_OK;
}

far_status fari_lower_prepare(fari_plan *plan, const fari_call *call, int32_t *prepared_out)
{
    fari_prepared answer = { 0 };
    fari_backend *backend = plan->opts.backend;
    FAR_TRY(backend->prepare(backend, call, &answer));
    if ((int64_t)answer.scratch_bytes > plan->scratch_bytes) plan->scratch_bytes = (int64_t)answer.scratch_bytes;
    if (answer.is_reference) plan->reference_calls++;
    for (int64_t i = plan->prepared_count; i-- > 0 && i + 64 > plan->prepared_count;) {
        const fari_prepared *old = &plan->prepared[i];
        if (old->run == answer.run && old->state == answer.state) {
            *prepared_out = (int32_t)i;
            if (backend->release != NULL) backend->release(backend, &answer); /* the plan holds it already */
            return FAR_OK;
        }
    }
    if (!fari_reserve((void **)&plan->prepared, &plan->prepared_cap, plan->prepared_count + 1, sizeof(fari_prepared))) {
        if (backend->release != NULL) backend->release(backend, &answer);
        return FAR_FAIL(FAR_E_NOMEM, "no memory for the plan's kernels");
    }
    plan->prepared[plan->prepared_count] = answer;
    *prepared_out = (int32_t)plan->prepared_count++;
    return FAR_OK;
}

/* The packed form of a parameter, packed before its first use in the step. */
static far_status packed_buffer(fari_lowering *low, int32_t prepared, int32_t input_idx, far_value value,
                                int32_t *buffer_out)
{
    fari_plan *plan = low->plan;
    const fari_prepared *p = &plan->prepared[prepared];
    const uint64_t id = p->pack_id[input_idx];
    const int64_t bytes = (int64_t)p->pack_bytes[input_idx];
    for (int64_t i = 0; i < low->pack_count; i++)
        if (low->packs[i].tensor == value && low->packs[i].pack_id == id) {
            *buffer_out = low->packs[i].buffer;
            return FAR_OK;
        }
    if (!fari_reserve((void **)&low->packs, &low->pack_cap, low->pack_count + 1, sizeof(fari_pack)))
        return FAR_FAIL(FAR_E_NOMEM, "no memory for packed weights");
    int32_t plain = -1, packed = -1;
    FAR_TRY(fari_lower_tensor(plan, value, &plain));
    FAR_TRY(fari_lower_buffer(plan, FARI_BUFFER_PACKED, value, bytes, &packed));
    const fari_view from = fari_lower_view_whole(plan, value);
    const fari_view to = { .dtype = FAR_F32, .ndim = 1, .dim = { bytes / 4 }, .rows_total = 1 };
    FAR_TRY(fari_lower_begin(plan, FARI_INSTR_PACK, low->node->id));
    plan->instrs[plan->instr_count - 1].prepared = prepared;
    plan->instrs[plan->instr_count - 1].aux = input_idx;
    FAR_TRY(fari_lower_view(plan, plain, &from, fari_lower_view_bytes(&from), false));
    FAR_TRY(fari_lower_view(plan, packed, &to, bytes, true));
    low->packs[low->pack_count++] = (fari_pack){ value, id, packed };
    *buffer_out = packed;
    return FAR_OK;
}

/* out_buffer[] overrides the outputs' own buffers (partials). */
far_status fari_lower_call(fari_lowering *low, const fari_call *call, const int32_t *out_buffer, int32_t rank)
{
    fari_plan *plan = low->plan;
    const fari_node *node = low->node;
    fari_call geometry = *call;
    int32_t prepared = -1, buffer[FARI_IN_MAX];
    fari_view in[FARI_IN_MAX];
    bool is_own = true;
    FAR_TRY(fari_walk_call(low, call, out_buffer, rank, &is_own));
    if (!is_own) return FAR_OK;
    for (int32_t i = 0; i < call->in_count; i++) geometry.in[i].data = NULL;
    for (int32_t i = 0; i < call->out_count; i++) geometry.out[i].data = NULL;
    FAR_TRY(fari_lower_prepare(plan, &geometry, &prepared));
    for (int32_t i = 0; i < call->in_count; i++) {
        in[i] = call->in[i];
        if (plan->prepared[prepared].pack_bytes[i] > 0) {
            FAR_TRY(packed_buffer(low, prepared, i, node->in[i], &buffer[i]));
            in[i].data = NULL;
        } else {
            FAR_TRY(fari_lower_tensor(plan, node->in[i], &buffer[i]));
        }
    }
    FAR_TRY(fari_lower_begin(plan, FARI_INSTR_CALL, node->id));
    const int64_t idx = plan->instr_count - 1;
    plan->instrs[idx].prepared = prepared;
    plan->instrs[idx].run = plan->prepared[prepared].run;
    plan->instrs[idx].state = plan->prepared[prepared].state;
    plan->instrs[idx].accumulate = call->accumulate;
    for (int32_t i = 0; i < call->in_count; i++) {
        const int64_t bytes = plan->prepared[prepared].pack_bytes[i] > 0
                                  ? (int64_t)plan->prepared[prepared].pack_bytes[i]
                                  : fari_lower_view_bytes(&in[i]);
        FAR_TRY(fari_lower_view(plan, buffer[i], &in[i], bytes, false));
    }
    for (int32_t i = 0; i < call->out_count; i++) {
        const int64_t partial = (int64_t)plan->prepared[prepared].partial_bytes;
        FAR_TRY(fari_lower_view(plan, out_buffer[i], &call->out[i],
                                partial > 0 ? partial : fari_lower_view_bytes(&call->out[i]), true));
    }
    if (node->op->cost != NULL) {
        const fari_cost cost = node->op->cost(&geometry);
        plan->flops += cost.flops;
        plan->bytes_moved += cost.bytes;
    }
    return fari_walk_note(low);
}

/* ---- kinds of op ---- */

/* Of piece (i, j) of a tensor. */
static int32_t rank_of(const fari_lowering *low, far_value value, int64_t i, int64_t j)
{
    if (low->walk.flow == NULL) return 0;
    if (fari_tensor_of(low->plan->graph, value)->batch_of == 0) return fari_walk_rank_of_whole(low);
    return fari_rank_of_grain(low->plan, value, i, j);
}

static far_status lower_map(fari_lowering *low)
{
    fari_plan *plan = low->plan;
    const fari_node *node = low->node;
    const far_value domain_value = node->out[0];
    const fari_tensor *domain = fari_tensor_of(plan->graph, domain_value);
    const fari_grains *g = &plan->grains[domain_value];
    for (int64_t i = 0; i < g->index_count; i++)
        for (int64_t j = 0; j < g->row_count; j++) {
            const fari_grain_range range = fari_lower_grain(plan, domain_value, i, j);
            fari_call call = {
                .node = node, .attr = node->attr, .in_count = node->in_count, .out_count = node->out_count
            };
            int32_t out_buffer[FARI_OUT_MAX];
            for (int32_t k = 0; k < node->in_count; k++)
                call.in[k] = domain->batch_of == 0 ? fari_lower_view_whole(plan, node->in[k])
                                                   : fari_lower_window(low, k, domain, &range);
            for (int32_t k = 0; k < node->out_count; k++) {
                call.out[k] = fari_lower_view_of_samples(plan, node->out[k], &range);
                FAR_TRY(fari_lower_tensor(plan, node->out[k], &out_buffer[k]));
            }
            FAR_TRY(fari_lower_call(low, &call, out_buffer, rank_of(low, domain_value, i, j)));
        }
    return FAR_OK;
}

static far_status lower_global(fari_lowering *low)
{
    fari_plan *plan = low->plan;
    const fari_node *node = low->node;
    fari_call call = { .node = node, .attr = node->attr, .in_count = node->in_count, .out_count = node->out_count };
    int32_t out_buffer[FARI_OUT_MAX];
    for (int32_t k = 0; k < node->in_count; k++) call.in[k] = fari_lower_view_whole(plan, node->in[k]);
    for (int32_t k = 0; k < node->out_count; k++) {
        call.out[k] = fari_lower_view_whole(plan, node->out[k]);
        FAR_TRY(fari_lower_tensor(plan, node->out[k], &out_buffer[k]));
    }
    return fari_lower_call(low, &call, out_buffer, fari_walk_rank_of_whole(low));
}

/* Operands as long as input 0 come as elements [lo, hi), others whole. */
void fari_lower_chunk_call(const fari_lowering *low, int64_t lo, int64_t hi, fari_call *call)
{
    const fari_plan *plan = low->plan;
    const fari_node *node = low->node;
    const int64_t elems = fari_lower_elems(plan, node->in[0]);
    *call = (fari_call){ .node = node, .attr = node->attr, .in_count = node->in_count, .out_count = node->out_count };
    for (int32_t k = 0; k < node->in_count; k++)
        call->in[k] = fari_lower_elems(plan, node->in[k]) == elems ? fari_lower_view_flat(plan, node->in[k], lo, hi)
                                                                   : fari_lower_view_whole(plan, node->in[k]);
    for (int32_t k = 0; k < node->out_count; k++)
        call->out[k] = fari_lower_elems(plan, node->out[k]) == elems && node->op->kind == FARI_CHUNK
                           ? fari_lower_view_flat(plan, node->out[k], lo, hi)
                           : fari_lower_view_whole(plan, node->out[k]);
}

#define CHUNKS_A_CALL 64 /* elementwise updates: about a million elements a call */

static far_status lower_chunk(fari_lowering *low)
{
    fari_plan *plan = low->plan;
    const fari_node *node = low->node;
    const int64_t elems = fari_lower_elems(plan, node->in[0]), step = (int64_t)FARI_CHUNK_ELEMS * CHUNKS_A_CALL;
    int32_t out_buffer[FARI_OUT_MAX];
    for (int32_t k = 0; k < node->out_count; k++) FAR_TRY(fari_lower_tensor(plan, node->out[k], &out_buffer[k]));
    for (int64_t lo = 0; lo < elems; lo += step) {
        fari_call call;
        fari_lower_chunk_call(low, lo, lo + step < elems ? lo + step : elems, &call);
        FAR_TRY(fari_lower_call(low, &call, out_buffer, fari_walk_rank_of_whole(low)));
    }
    return FAR_OK;
}

void fari_lower_note_turns(fari_plan *plan, int64_t first_instr, int32_t turn)
{
    if (first_instr == plan->instr_count) return;
    for (int64_t i = first_instr; i < plan->instr_count; i++) plan->instrs[i].turn = turn;
    for (int64_t a = plan->access0[first_instr]; a < plan->access_count; a++) {
        fari_buffer *buffer = &plan->buffers[plan->accesses[a].buffer];
        if (turn < buffer->first_turn) buffer->first_turn = turn;
        if (turn > buffer->last_turn) buffer->last_turn = turn;
    }
}

static far_status lower_node(fari_lowering *low)
{
    switch (low->node->op->kind) {
    case FARI_MAP: return lower_map(low);
    case FARI_GLOBAL: return lower_global(low);
    case FARI_CHUNK: return lower_chunk(low);
    case FARI_REDUCE:
    case FARI_CHUNK_REDUCE: return fari_lower_reduce(low);
    }
    return FAR_FAIL(FAR_E_INTERNAL, "op %s has no kind", low->node->op->name);
}

/* Nothing reads a node's result and it is no output: it is left out. */
static void mark_used(const fari_plan *plan, bool *used)
{
    const far_graph *graph = plan->graph;
    for (int64_t i = 0; i < graph->output_count; i++) used[graph->outputs[i].value] = true;
    if (graph->loss >= 0) used[graph->loss] = true;
    for (int64_t i = 0; i < graph->tensor_count;
         i++) /* gradients are results as long as nothing consumes them: tests read them */
        if (graph->tensors[i]->grad >= 0 && graph->tensors[i]->producer < 0) used[graph->tensors[i]->grad] = true;
    for (int64_t n = graph->node_count; n-- > 0;) {
        const fari_node *node = graph->nodes[n];
        bool needed = node->mutates;
        for (int32_t k = 0; k < node->out_count; k++) needed = needed || used[node->out[k]];
        for (int32_t k = 0; needed && k < node->in_count; k++) used[node->in[k]] = true;
    }
}

static bool node_is_needed(const fari_node *node, const bool *used)
{
    bool needed = node->mutates;
    for (int32_t k = 0; k < node->out_count; k++) needed = needed || used[node->out[k]];
    return needed;
}

#define SUMS_WAITING_MAX 64

/* Of several ranks: every rank learns the loss before the first update, for which it may turn out that there is to be none. */
static far_status tell_loss(fari_lowering *low)
{
    const far_value loss = low->plan->graph->loss;
    if (low->walk.flow == NULL || loss < 0 || low->plan->tensor_buffer[loss] < 0) return FAR_OK;
    FAR_TRY(fari_lower_finish_sums(low));
    return fari_flow_need(low->walk.flow, loss, 0, far_dtype_bytes(fari_plan_dtype(low->plan, loss)), FARI_EVERY_RANK);
}

static far_status lower_all(fari_lowering *low, const bool *used)
{
    fari_plan *plan = low->plan;
    int32_t last_turn = 0;
    bool is_loss_told = false;
    for (int32_t turn = 0; turn < plan->graph->node_count; turn++) {
        const fari_node *node = plan->graph->nodes[plan->order[turn]];
        const int64_t first_instr = plan->instr_count;
        if (!node_is_needed(node, used)) continue;
        low->node = node;
        if (low->walk.flow != NULL) fari_flow_turn(low->walk.flow, turn);
        if (low->waiting_count > 0 && (fari_lower_awaits_sums(low, node) || low->waiting_count >= SUMS_WAITING_MAX))
            FAR_TRY(fari_lower_finish_sums(low));
        if (fari_node_is_guarded(node) && !is_loss_told) FAR_TRY(tell_loss(low));
        is_loss_told = is_loss_told || fari_node_is_guarded(node);
        far_status st = lower_node(low);
        if (st != FAR_OK) return fari_error_prefix(st, "node '%s': ", node->name);
        fari_lower_note_turns(plan, first_instr, turn);
        last_turn = turn;
    }
    const int64_t first_instr = plan->instr_count;
    FAR_TRY(fari_lower_finish_sums(low));
    fari_lower_note_turns(plan, first_instr, last_turn);
    return FAR_OK;
}

far_status fari_plan_lower(fari_plan *plan)
{
    const far_graph *graph = plan->graph;
    fari_lowering low = { .plan = plan, .walk = { .partial_buffer = -1 } };
    bool *used = fari_calloc((size_t)graph->tensor_count, sizeof *used);
    plan->tensor_buffer = fari_alloc((size_t)graph->tensor_count * sizeof *plan->tensor_buffer);
    far_status st = FAR_OK;
    if (used == NULL || plan->tensor_buffer == NULL) {
        st = FAR_FAIL(FAR_E_NOMEM, "no memory to lower the graph");
        goto done;
    }
    for (int64_t i = 0; i < graph->tensor_count; i++) plan->tensor_buffer[i] = -1;
    /* Parameters and state lie in the store in the order of their creation, whether or not this graph uses them. */
    for (int64_t i = 0; i < graph->tensor_count; i++) {
        const fari_role role = graph->tensors[i]->role;
        int32_t unused = -1;
        if (role == FARI_ROLE_PARAM || role == FARI_ROLE_STATE || role == FARI_ROLE_OPT_STATE)
            FAR_TRY_GOTO(fari_lower_tensor(plan, (far_value)i, &unused), done);
    }
    mark_used(plan, used);
    if (plan->part != NULL) FAR_TRY_GOTO(fari_flow_create(plan, &low.walk.flow), done);
    FAR_TRY_GOTO(lower_all(&low, used), done);
    if (plan->part != NULL) FAR_TRY_GOTO(fari_part_lower(&low), done);
    for (int64_t i = 0; i < graph->tensor_count; i++) {
        const bool is_result = graph->tensors[i]->producer < 0 && graph->tensors[i]->grad >= 0;
        if (is_result && plan->opts.is_keeping_gradients && plan->tensor_buffer[graph->tensors[i]->grad] >= 0)
            plan->buffers[plan->tensor_buffer[graph->tensors[i]->grad]].is_kept = true;
    }
    if (graph->loss >= 0 && plan->tensor_buffer[graph->loss] >= 0)
        plan->buffers[plan->tensor_buffer[graph->loss]].is_kept = true;
    for (int64_t i = 0; i < graph->output_count; i++)
        if (plan->tensor_buffer[graph->outputs[i].value] >= 0 && !graph->outputs[i].is_taken)
            plan->buffers[plan->tensor_buffer[graph->outputs[i].value]].is_kept = true;
done:
    fari_flow_destroy(low.walk.flow);
    fari_free(low.walk.at);
    fari_free(low.walk.partials);
    fari_free(low.waiting);
    fari_free(low.packs);
    fari_free(used);
    return st;
}
