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
    return plan->graph->nodes[t->producer]->phase == FARI_FORWARD ? FARI_BUFFER_ACTIVATION : FARI_BUFFER_GRADIENT;
}

static far_status feed_input(fari_plan *plan, far_value input, int32_t buffer);

/* The buffer of a tensor, made when it is first named; an input is fed at that point. */
static far_status tensor_buffer(fari_plan *plan, far_value value, int32_t *buffer_out)
{
    const fari_tensor *t = fari_tensor_of(plan->graph, value);
    if (plan->tensor_buffer[value] < 0) {
        const int64_t bytes = far_shape_elems(&t->shape) * far_dtype_bytes(fari_plan_dtype(plan, value));
        FAR_TRY(fari_lower_buffer(plan, kind_of(plan, t), value, bytes, &plan->tensor_buffer[value]));
        if (t->role == FARI_ROLE_INPUT) FAR_TRY(feed_input(plan, value, plan->tensor_buffer[value]));
    }
    *buffer_out = plan->tensor_buffer[value];
    return FAR_OK;
}

/* ---- views ---- */

static fari_view view_whole(const fari_plan *plan, far_value value)
{
    const fari_tensor *t = fari_tensor_of(plan->graph, value);
    fari_view view = {
        .dtype = fari_plan_dtype(plan, value), .order = t->order, .ndim = t->shape.ndim, .rows_total = 1
    };
    memcpy(view.dim, t->shape.dim, sizeof view.dim);
    if (t->shape.ndim >= 3) view.rows_total = t->shape.dim[2];
    return view;
}

/* Indices [lo, hi) of axis 0 and rows [row_lo, row_hi): contiguous, because rows are cut only with one sample at a time. */
static fari_view view_piece(const fari_plan *plan, far_value value, int64_t lo, int64_t hi, int64_t row_lo,
                            int64_t row_hi)
{
    fari_view view = view_whole(plan, value);
    const int64_t index_elems = fari_view_elems(&view) / view.dim[0];
    int64_t offset = lo * index_elems;
    view.dim[0] = hi - lo;
    view.sample0 = lo;
    if (view.ndim >= 3 && row_hi - row_lo < view.dim[2]) {
        FAR_ASSERT(hi - lo == 1);
        offset += row_lo * (index_elems / view.dim[2]);
        view.dim[2] = row_hi - row_lo;
        view.row0 = row_lo;
    }
    view.data =
        (void *)(uintptr_t)(offset * far_dtype_bytes(view.dtype)); /* NOLINT: an offset until the plan is bound */
    return view;
}

/* Elements [lo, hi) of a tensor seen as flat. */
static fari_view view_flat(const fari_plan *plan, far_value value, int64_t lo, int64_t hi)
{
    fari_view view = {
        .dtype = fari_plan_dtype(plan, value), .ndim = 1, .dim = { hi - lo }, .rows_total = 1, .elem0 = lo
    };
    view.data = (void *)(uintptr_t)(lo * far_dtype_bytes(view.dtype)); /* NOLINT */
    return view;
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

static int64_t view_bytes(const fari_view *view)
{
    return fari_view_elems(view) * far_dtype_bytes(view->dtype);
}

/* The graph's inputs are numbered in the order of their creation: that number names their array in step->feed. */
static int32_t input_ordinal(const far_graph *graph, far_value input)
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
    for (int64_t i = 0; i < grains->index_count; i++) {
        const int64_t lo = i * grains->index_step;
        const int64_t hi =
            lo + grains->index_step < grains->index_total ? lo + grains->index_step : grains->index_total;
        const fari_view view = view_piece(plan, input, lo, hi, 0, rows);
        FAR_TRY(fari_lower_begin(plan, FARI_INSTR_FEED, -1));
        plan->instrs[plan->instr_count - 1].aux = input_ordinal(plan->graph, input);
        FAR_TRY(fari_lower_view(plan, buffer, &view, view_bytes(&view), true));
    }
    return FAR_OK;
}

/* Asks the backend for the kernel of `call` and keeps the answer; equal answers are kept once. */
static far_status prepare(fari_plan *plan, const fari_call *call, int32_t *prepared_out)
{
    fari_prepared answer = { 0 };
    FAR_TRY(plan->opts.backend->prepare(plan->opts.backend, call, &answer));
    if ((int64_t)answer.scratch_bytes > plan->scratch_bytes) plan->scratch_bytes = (int64_t)answer.scratch_bytes;
    if (answer.is_reference) plan->reference_calls++;
    for (int64_t i = plan->prepared_count; i-- > 0 && i + 64 > plan->prepared_count;) {
        const fari_prepared *old = &plan->prepared[i];
        if (old->run == answer.run && old->state == answer.state) {
            *prepared_out = (int32_t)i;
            return FAR_OK;
        }
    }
    if (!fari_reserve((void **)&plan->prepared, &plan->prepared_cap, plan->prepared_count + 1, sizeof(fari_prepared)))
        return FAR_FAIL(FAR_E_NOMEM, "no memory for the plan's kernels");
    plan->prepared[plan->prepared_count] = answer;
    *prepared_out = (int32_t)plan->prepared_count++;
    return FAR_OK;
}

/* The packed form of a parameter, packed before its first use in the step. */
static far_status packed_buffer(lowering *low, int32_t prepared, int32_t input_idx, far_value value,
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
    FAR_TRY(tensor_buffer(plan, value, &plain));
    FAR_TRY(fari_lower_buffer(plan, FARI_BUFFER_PACKED, value, bytes, &packed));
    const fari_view from = view_whole(plan, value);
    const fari_view to = { .dtype = FAR_F32, .ndim = 1, .dim = { bytes / 4 }, .rows_total = 1 };
    FAR_TRY(fari_lower_begin(plan, FARI_INSTR_PACK, low->node->id));
    plan->instrs[plan->instr_count - 1].prepared = prepared;
    plan->instrs[plan->instr_count - 1].aux = input_idx;
    FAR_TRY(fari_lower_view(plan, plain, &from, view_bytes(&from), false));
    FAR_TRY(fari_lower_view(plan, packed, &to, bytes, true));
    low->packs[low->pack_count++] = (fari_pack){ value, id, packed };
    *buffer_out = packed;
    return FAR_OK;
}

/* Adds the call: `call` has geometry and, in data, byte offsets; out_buffer[] overrides the outputs' own buffers (partials). */
static far_status emit_call(lowering *low, const fari_call *call, const int32_t *out_buffer, int32_t *prepared_out)
{
    fari_plan *plan = low->plan;
    const fari_node *node = low->node;
    fari_call geometry = *call;
    int32_t prepared = -1, buffer[FARI_IN_MAX];
    fari_view in[FARI_IN_MAX];
    for (int32_t i = 0; i < call->in_count; i++) geometry.in[i].data = NULL;
    for (int32_t i = 0; i < call->out_count; i++) geometry.out[i].data = NULL;
    FAR_TRY(prepare(plan, &geometry, &prepared));
    for (int32_t i = 0; i < call->in_count; i++) {
        in[i] = call->in[i];
        if (plan->prepared[prepared].pack_bytes[i] > 0) {
            FAR_TRY(packed_buffer(low, prepared, i, node->in[i], &buffer[i]));
            in[i].data = NULL;
        } else {
            FAR_TRY(tensor_buffer(plan, node->in[i], &buffer[i]));
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
                                  : view_bytes(&in[i]);
        FAR_TRY(fari_lower_view(plan, buffer[i], &in[i], bytes, false));
    }
    for (int32_t i = 0; i < call->out_count; i++) {
        const int64_t partial = (int64_t)plan->prepared[prepared].partial_bytes;
        FAR_TRY(fari_lower_view(plan, out_buffer[i], &call->out[i], partial > 0 ? partial : view_bytes(&call->out[i]),
                                true));
    }
    if (node->op->cost != NULL) {
        const fari_cost cost = node->op->cost(&geometry);
        plan->flops += cost.flops;
        plan->bytes_moved += cost.bytes;
    }
    if (prepared_out != NULL) *prepared_out = prepared;
    return FAR_OK;
}

/* ---- windows ---- */

typedef struct grain_range {
    int64_t sample_lo, sample_hi, row_lo, row_hi;
} grain_range;

static int64_t rows_of(const fari_tensor *t)
{
    return t->shape.ndim >= 3 ? t->shape.dim[2] : 1;
}

/* The part of tensor `value` that belongs to samples [lo, hi) with the given rows. */
static fari_view view_of_samples(const fari_plan *plan, far_value value, const grain_range *r)
{
    const fari_tensor *t = fari_tensor_of(plan->graph, value);
    if (t->batch_of == 0) return view_whole(plan, value);
    const int64_t lo = r->sample_lo / t->batch_of, hi = (r->sample_hi + t->batch_of - 1) / t->batch_of;
    return view_piece(plan, value, lo, hi < t->shape.dim[0] ? hi : t->shape.dim[0], r->row_lo, r->row_hi);
}

/* What a call on `range` of the domain reads of input `i`. */
static fari_view input_window(const lowering *low, int32_t i, const fari_tensor *domain, const grain_range *range)
{
    const fari_plan *plan = low->plan;
    const fari_node *node = low->node;
    const fari_tensor *t = fari_tensor_of(plan->graph, node->in[i]);
    const fari_tensor *in[FARI_IN_MAX] = { NULL };
    grain_range need = *range;
    const int64_t rows = rows_of(t);
    need.row_lo = 0;
    need.row_hi = rows;
    if (fari_tensor_has_row_windows(t) && range->sample_hi - range->sample_lo == 1 && domain->shape.ndim >= 3) {
        for (int32_t k = 0; k < node->in_count; k++) in[k] = fari_tensor_of(plan->graph, node->in[k]);
        if (node->op->rows != NULL)
            node->op->rows(node, in, i, range->row_lo, range->row_hi, &need.row_lo, &need.row_hi);
        else if (rows == rows_of(domain)) {
            need.row_lo = range->row_lo;
            need.row_hi = range->row_hi;
        }
        if (need.row_lo < 0) need.row_lo = 0;
        if (need.row_hi > rows) need.row_hi = rows;
        FAR_ASSERT(need.row_lo < need.row_hi);
    }
    return view_of_samples(plan, node->in[i], &need);
}

static grain_range grain_at(const fari_plan *plan, far_value value, int64_t index_piece, int64_t row_piece)
{
    const fari_grains *g = &plan->grains[value];
    const fari_tensor *t = fari_tensor_of(plan->graph, value);
    grain_range r = { 0, plan->batch, 0, rows_of(t) };
    if (t->batch_of > 0) {
        const int64_t lo = index_piece * g->index_step;
        const int64_t hi = lo + g->index_step < g->index_total ? lo + g->index_step : g->index_total;
        r.sample_lo = lo * t->batch_of;
        r.sample_hi = hi * t->batch_of < plan->batch ? hi * t->batch_of : plan->batch;
    }
    if (g->row_count > 1) {
        r.row_lo = g->row_start[row_piece];
        r.row_hi = g->row_start[row_piece + 1];
    }
    return r;
}

/* ---- kinds of op ---- */

static far_status lower_map(lowering *low)
{
    fari_plan *plan = low->plan;
    const fari_node *node = low->node;
    const far_value domain_value = node->out[0];
    const fari_tensor *domain = fari_tensor_of(plan->graph, domain_value);
    const fari_grains *g = &plan->grains[domain_value];
    for (int64_t i = 0; i < g->index_count; i++)
        for (int64_t j = 0; j < g->row_count; j++) {
            const grain_range range = grain_at(plan, domain_value, i, j);
            fari_call call = {
                .node = node, .attr = node->attr, .in_count = node->in_count, .out_count = node->out_count
            };
            int32_t out_buffer[FARI_OUT_MAX];
            for (int32_t k = 0; k < node->in_count; k++)
                call.in[k] =
                    domain->batch_of == 0 ? view_whole(plan, node->in[k]) : input_window(low, k, domain, &range);
            for (int32_t k = 0; k < node->out_count; k++) {
                call.out[k] = view_of_samples(plan, node->out[k], &range);
                FAR_TRY(tensor_buffer(plan, node->out[k], &out_buffer[k]));
            }
            FAR_TRY(emit_call(low, &call, out_buffer, NULL));
        }
    return FAR_OK;
}

static far_status lower_global(lowering *low)
{
    fari_plan *plan = low->plan;
    const fari_node *node = low->node;
    fari_call call = { .node = node, .attr = node->attr, .in_count = node->in_count, .out_count = node->out_count };
    int32_t out_buffer[FARI_OUT_MAX];
    for (int32_t k = 0; k < node->in_count; k++) call.in[k] = view_whole(plan, node->in[k]);
    for (int32_t k = 0; k < node->out_count; k++) {
        call.out[k] = view_whole(plan, node->out[k]);
        FAR_TRY(tensor_buffer(plan, node->out[k], &out_buffer[k]));
    }
    return emit_call(low, &call, out_buffer, NULL);
}

static int64_t elems_of(const fari_plan *plan, far_value value)
{
    return far_shape_elems(&fari_tensor_of(plan->graph, value)->shape);
}

/* Operands as long as input 0 come as elements [lo, hi), others whole. */
static void chunk_call(const lowering *low, int64_t lo, int64_t hi, fari_call *call)
{
    const fari_plan *plan = low->plan;
    const fari_node *node = low->node;
    const int64_t elems = elems_of(plan, node->in[0]);
    *call = (fari_call){ .node = node, .attr = node->attr, .in_count = node->in_count, .out_count = node->out_count };
    for (int32_t k = 0; k < node->in_count; k++)
        call->in[k] =
            elems_of(plan, node->in[k]) == elems ? view_flat(plan, node->in[k], lo, hi) : view_whole(plan, node->in[k]);
    for (int32_t k = 0; k < node->out_count; k++)
        call->out[k] = elems_of(plan, node->out[k]) == elems && node->op->kind == FARI_CHUNK
                           ? view_flat(plan, node->out[k], lo, hi)
                           : view_whole(plan, node->out[k]);
}

#define CHUNKS_A_CALL 64 /* elementwise updates: about a million elements a call */

static far_status lower_chunk(lowering *low)
{
    fari_plan *plan = low->plan;
    const fari_node *node = low->node;
    const int64_t elems = elems_of(plan, node->in[0]), step = (int64_t)FARI_CHUNK_ELEMS * CHUNKS_A_CALL;
    int32_t out_buffer[FARI_OUT_MAX];
    for (int32_t k = 0; k < node->out_count; k++) FAR_TRY(tensor_buffer(plan, node->out[k], &out_buffer[k]));
    for (int64_t lo = 0; lo < elems; lo += step) {
        fari_call call;
        chunk_call(low, lo, lo + step < elems ? lo + step : elems, &call);
        FAR_TRY(emit_call(low, &call, out_buffer, NULL));
    }
    return FAR_OK;
}

/* ---- sums across grains ---- */

/* One tree: the grains of one segment of the domain, in order. */
typedef struct reduction {
    lowering *low;
    far_value domain;
    int64_t grain0, grain_count, run;  /* grains of the segment, grains a leaf */
    fari_view out[FARI_OUT_MAX];       /* where the segment's result lies in the outputs; data: byte offset */
    int64_t slot_offset[FARI_OUT_MAX]; /* of each output within a slot */
    int64_t slot_bytes;
    int32_t partials; /* buffer of slots 1.. (and of slot 0 when packed) */
    bool is_packed;
} reduction;

/* Where output k of a slot lies. */
static void slot_view(const reduction *red, int64_t slot, int32_t k, fari_view *view_out, int32_t *buffer_out)
{
    const fari_plan *plan = red->low->plan;
    *view_out = red->out[k];
    if (slot == 0 && !red->is_packed) {
        *buffer_out = plan->tensor_buffer[red->low->node->out[k]];
        return;
    }
    const int64_t first = red->is_packed ? 0 : 1;
    *buffer_out = red->partials;
    view_out->data = (void *)(uintptr_t)((slot - first) * red->slot_bytes + red->slot_offset[k]); /* NOLINT */
}

/* Grain `g` of the segment as a call. */
static void reduce_call(const reduction *red, int64_t g, fari_call *call)
{
    const lowering *low = red->low;
    const fari_plan *plan = low->plan;
    const fari_node *node = low->node;
    const int64_t grain = red->grain0 + g;
    if (node->op->kind == FARI_CHUNK_REDUCE) {
        const int64_t elems = elems_of(plan, node->in[0]), lo = grain * FARI_CHUNK_ELEMS * red->run;
        const int64_t hi = lo + FARI_CHUNK_ELEMS * red->run;
        chunk_call(low, lo, hi < elems ? hi : elems, call);
        return;
    }
    const fari_grains *table = &plan->grains[red->domain];
    const grain_range range = grain_at(plan, red->domain, grain / table->row_count, grain % table->row_count);
    *call = (fari_call){ .node = node, .attr = node->attr, .in_count = node->in_count, .out_count = node->out_count };
    for (int32_t k = 0; k < node->in_count; k++)
        call->in[k] = input_window(low, k, fari_tensor_of(plan->graph, red->domain), &range);
}

static far_status reduce_leaf(void *ctx, int64_t leaf, int64_t slot)
{
    const reduction *red = ctx;
    const bool is_chunked = red->low->node->op->kind == FARI_CHUNK_REDUCE;
    const int64_t run = is_chunked ? 1 : red->run, first = leaf * run;
    const int64_t last = first + run < red->grain_count ? first + run : red->grain_count;
    for (int64_t g = first; g < last; g++) {
        fari_call call;
        int32_t out_buffer[FARI_OUT_MAX];
        reduce_call(red, g, &call);
        call.accumulate = g > first;
        for (int32_t k = 0; k < call.out_count; k++) slot_view(red, slot, k, &call.out[k], &out_buffer[k]);
        FAR_TRY(emit_call(red->low, &call, out_buffer, NULL));
    }
    return FAR_OK;
}

static far_status reduce_combine(void *ctx, int64_t left, int64_t right)
{
    const reduction *red = ctx;
    fari_plan *plan = red->low->plan;
    const fari_node *node = red->low->node;
    FAR_TRY(fari_lower_begin(plan, FARI_INSTR_COMBINE, node->id));
    const int64_t idx = plan->instr_count - 1;
    plan->instrs[idx].run = node->op->combine;
    plan->instrs[idx].aux = node->op->combine == NULL;
    for (int32_t pass = 0; pass < 2; pass++) /* inputs first: the right partial; then the left one, which takes it in */
        for (int32_t k = 0; k < node->out_count; k++) {
            fari_view view;
            int32_t buffer = -1;
            slot_view(red, pass == 0 ? right : left, k, &view, &buffer);
            if (red->is_packed)
                view = (fari_view){ view.data, FAR_F32, FARI_ROW_MAJOR, 1, { red->slot_bytes / 4 }, 0, 1, 0, 0 };
            FAR_TRY(fari_lower_view(plan, buffer, &view, view_bytes(&view), pass == 1));
        }
    return FAR_OK;
}

static far_status reduce_unpack(const reduction *red, int32_t prepared)
{
    fari_plan *plan = red->low->plan;
    fari_view from = red->out[0];
    from.data = NULL;
    FAR_TRY(fari_lower_begin(plan, FARI_INSTR_UNPACK, red->low->node->id));
    plan->instrs[plan->instr_count - 1].prepared = prepared;
    FAR_TRY(fari_lower_view(plan, red->partials, &from, red->slot_bytes, false));
    return fari_lower_view(plan, plan->tensor_buffer[red->low->node->out[0]], &red->out[0], view_bytes(&red->out[0]),
                           true);
}

#define PARTIALS_FREE_BYTES \
    (INT64_C(32) << 20) /* below this every leaf has a slot; above, few slots are reused in order */
#define LEAVES_BIG_BYTES (INT64_C(16) << 20) /* partials above this size have at most LEAVES_BIG leaves */
#define LEAVES_BIG 8

static int64_t align64(int64_t bytes)
{
    return (bytes + 63) / 64 * 64;
}

/* Sizes of partials and slots; asks the backend on the first grain whether partials are packed. */
static far_status reduction_begin(reduction *red, int32_t *prepared_out)
{
    fari_plan *plan = red->low->plan;
    const fari_node *node = red->low->node;
    fari_call call;
    reduce_call(red, 0, &call);
    for (int32_t k = 0; k < call.in_count; k++) call.in[k].data = NULL;
    for (int32_t k = 0; k < call.out_count; k++) {
        call.out[k] = red->out[k];
        call.out[k].data = NULL;
    }
    const int64_t reference_before = plan->reference_calls; /* this question is not a call */
    FAR_TRY(prepare(plan, &call, prepared_out));
    plan->reference_calls = reference_before;
    red->is_packed = plan->prepared[*prepared_out].partial_bytes > 0;
    red->slot_bytes = 0;
    for (int32_t k = 0; k < node->out_count; k++) {
        red->slot_offset[k] = red->slot_bytes;
        red->slot_bytes += align64(view_bytes(&red->out[k]));
    }
    if (red->is_packed) red->slot_bytes = align64((int64_t)plan->prepared[*prepared_out].partial_bytes);
    return FAR_OK;
}

/* One segment: leaves, tree, result in the output. */
static far_status lower_segment(reduction *red)
{
    fari_plan *plan = red->low->plan;
    int32_t prepared = -1;
    red->run = 1;
    FAR_TRY(reduction_begin(red, &prepared));
    int64_t leaves = red->grain_count;
    const int64_t most = red->slot_bytes > LEAVES_BIG_BYTES && plan->opts.grain.leaves > LEAVES_BIG
                             ? LEAVES_BIG
                             : plan->opts.grain.leaves;
    if (leaves > most) leaves = most;
    red->run = (red->grain_count + leaves - 1) / leaves;
    leaves = (red->grain_count + red->run - 1) / red->run;
    if (red->low->node->op->kind == FARI_CHUNK_REDUCE) red->grain_count = leaves;
    const bool is_frugal = leaves * red->slot_bytes > PARTIALS_FREE_BYTES;
    const int64_t slots = fari_tree_slots(leaves, is_frugal) - (red->is_packed ? 0 : 1);
    red->partials = -1;
    if (slots > 0)
        FAR_TRY(fari_lower_buffer(plan, FARI_BUFFER_PARTIAL, red->low->node->out[0], slots * red->slot_bytes,
                                  &red->partials));
    const fari_tree_visitor visitor = { reduce_leaf, reduce_combine, red };
    FAR_TRY(fari_tree_visit(leaves, is_frugal, &visitor));
    return red->is_packed ? reduce_unpack(red, prepared) : FAR_OK;
}

static far_status lower_reduce(lowering *low)
{
    fari_plan *plan = low->plan;
    const fari_node *node = low->node;
    const bool is_chunked = node->op->kind == FARI_CHUNK_REDUCE;
    reduction red = { .low = low, .domain = node->in[is_chunked ? 0 : node->op->domain_input] };
    int32_t unused = -1;
    for (int32_t k = 0; k < node->in_count; k++) FAR_TRY(tensor_buffer(plan, node->in[k], &unused));
    for (int32_t k = 0; k < node->out_count; k++) FAR_TRY(tensor_buffer(plan, node->out[k], &unused));
    if (is_chunked) {
        for (int32_t k = 0; k < node->out_count; k++) red.out[k] = view_whole(plan, node->out[k]);
        red.grain_count = (elems_of(plan, red.domain) + FARI_CHUNK_ELEMS - 1) / FARI_CHUNK_ELEMS;
        return lower_segment(&red);
    }
    const fari_tensor *out = fari_tensor_of(plan->graph, node->out[0]);
    const fari_grains *table = &plan->grains[red.domain];
    int64_t pieces_a_segment = table->index_count; /* pieces of axis 0 of the domain that are summed into one result */
    if (out->batch_of == 1) pieces_a_segment = 1;
    if (out->batch_of > 1)
        pieces_a_segment = out->batch_of / table->index_step > 0 ? out->batch_of / table->index_step : 1;
    for (int64_t i = 0; i < table->index_count; i += pieces_a_segment) {
        const int64_t pieces = i + pieces_a_segment <= table->index_count ? pieces_a_segment : table->index_count - i;
        grain_range range = grain_at(plan, red.domain, i, 0);
        range.sample_hi = grain_at(plan, red.domain, i + pieces - 1, 0).sample_hi;
        red.grain0 = i * table->row_count;
        red.grain_count = pieces * table->row_count;
        range.row_lo = 0;
        range.row_hi = rows_of(out);
        for (int32_t k = 0; k < node->out_count; k++) red.out[k] = view_of_samples(plan, node->out[k], &range);
        FAR_TRY(lower_segment(&red));
    }
    return FAR_OK;
}

/* Lifetimes: the turns of a buffer's first and last use. */
static void note_turns(fari_plan *plan, int64_t first_instr, int32_t turn)
{
    for (int64_t a = plan->access0[first_instr]; a < plan->access_count; a++) {
        fari_buffer *buffer = &plan->buffers[plan->accesses[a].buffer];
        if (turn < buffer->first_turn) buffer->first_turn = turn;
        if (turn > buffer->last_turn) buffer->last_turn = turn;
    }
}

static far_status lower_node(lowering *low)
{
    switch (low->node->op->kind) {
    case FARI_MAP: return lower_map(low);
    case FARI_GLOBAL: return lower_global(low);
    case FARI_CHUNK: return lower_chunk(low);
    case FARI_REDUCE:
    case FARI_CHUNK_REDUCE: return lower_reduce(low);
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

static far_status lower_all(lowering *low, const bool *used)
{
    fari_plan *plan = low->plan;
    for (int32_t turn = 0; turn < plan->graph->node_count; turn++) {
        const fari_node *node = plan->graph->nodes[plan->order[turn]];
        const int64_t first_instr = plan->instr_count;
        if (!node_is_needed(node, used)) continue;
        low->node = node;
        far_status st = lower_node(low);
        if (st != FAR_OK) return fari_error_prefix(st, "node '%s': ", node->name);
        note_turns(plan, first_instr, turn);
    }
    return FAR_OK;
}

far_status fari_plan_lower(fari_plan *plan)
{
    const far_graph *graph = plan->graph;
    lowering low = { .plan = plan };
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
            FAR_TRY_GOTO(tensor_buffer(plan, (far_value)i, &unused), done);
    }
    mark_used(plan, used);
    FAR_TRY_GOTO(lower_all(&low, used), done);
    for (int64_t i = 0; i < graph->tensor_count; i++) {
        const bool is_result = graph->tensors[i]->producer < 0 && graph->tensors[i]->grad >= 0;
        if (is_result && plan->opts.is_keeping_gradients && plan->tensor_buffer[graph->tensors[i]->grad] >= 0)
            plan->buffers[plan->tensor_buffer[graph->tensors[i]->grad]].is_kept = true;
    }
    if (graph->loss >= 0 && plan->tensor_buffer[graph->loss] >= 0)
        plan->buffers[plan->tensor_buffer[graph->loss]].is_kept = true;
    for (int64_t i = 0; i < graph->output_count; i++)
        if (plan->tensor_buffer[graph->outputs[i].value] >= 0)
            plan->buffers[plan->tensor_buffer[graph->outputs[i].value]].is_kept = true;
done:
    fari_free(low.packs);
    fari_free(used);
    return st;
}
