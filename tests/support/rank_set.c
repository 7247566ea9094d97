#include "rank_set.h"
#include "graph/graph.h"
#include "run/store.h"
#include "test.h"

void rank_plans(const far_graph *graph, const fari_plan_opts *opts, fari_plan **plans_out)
{
    for (int32_t r = 0; r < fari_mesh_ranks(&opts->mesh); r++) {
        fari_plan_opts own = *opts;
        own.rank = r;
        FAR_CHECK_OK(fari_plan_create(graph, &own, &plans_out[r]));
    }
}

void rank_set_open(const far_graph *graph, const rank_set_opts *opts, rank_set *set_out)
{
    fari_plan *plans[RANK_SET_MAX];
    memset(set_out, 0, sizeof *set_out);
    set_out->graph = graph;
    set_out->count = fari_mesh_ranks(&opts->plan.mesh);
    FAR_CHECK(set_out->count <= RANK_SET_MAX);
    rank_plans(graph, &opts->plan, plans);
    if (!opts->is_unchecked) FAR_CHECK_OK(fari_plan_check_ranks((const fari_plan *const *)plans, set_out->count));
    FAR_CHECK_OK(fari_mailbox_create(set_out->count, opts->arrival_seed, &set_out->box));
    for (int32_t r = 0; r < set_out->count; r++) {
        rank_run *run = &set_out->runs[r];
        fari_exec_opts exec = opts->exec;
        run->plan = plans[r];
        if (opts->change_plan != NULL) opts->change_plan(run->plan);
        FAR_CHECK_OK(fari_store_create(graph, opts->plan.is_reference_f64, opts->seed, &run->store));
        FAR_CHECK_OK(fari_mailbox_comm(set_out->box, r, &run->comm));
        exec.order_seed += (uint64_t)r;
        exec.comm = run->comm;
        FAR_CHECK_OK(fari_executor_create(run->plan, run->store, &exec, &run->exec));
    }
}

void rank_set_close(rank_set *set)
{
    for (int32_t r = 0; r < set->count; r++) {
        rank_run *run = &set->runs[r];
        fari_executor_destroy(run->exec);
        for (int32_t k = 0; k < RANK_INPUTS_MAX && run->plan->part != NULL; k++) free(run->feed[k]);
        run->comm->ops->destroy(run->comm);
        fari_store_destroy(run->store);
        fari_plan_destroy(run->plan);
    }
    fari_mailbox_destroy(set->box);
}

/* The box of an input that a rank reads, cut out of the whole batch. */
static void cut_feed(const fari_plan *plan, int32_t ordinal, const void *whole, void **box_io)
{
    if (plan->part == NULL) {
        memcpy(box_io, &whole, sizeof whole);
        return;
    }
    const fari_feed_box *box = &plan->part->feeds[ordinal];
    const fari_tensor *t = fari_tensor_of(plan->graph, box->input);
    const int64_t rows = t->shape.ndim >= 3 ? t->shape.dim[2] : 1;
    const int64_t sample_bytes = far_shape_elems(&t->shape) / t->shape.dim[0] * far_dtype_bytes(t->dtype);
    const int64_t row_bytes = sample_bytes / rows, cut_bytes = (box->row_hi - box->row_lo) * row_bytes;
    const int64_t samples = box->sample_hi - box->sample_lo;
    if (*box_io == NULL) *box_io = malloc((size_t)(samples * cut_bytes + 1));
    FAR_CHECK(*box_io != NULL);
    for (int64_t i = 0; i < samples; i++)
        memcpy((char *)*box_io + i * cut_bytes,
               (const char *)whole + (box->sample_lo + i) * sample_bytes + box->row_lo * row_bytes, (size_t)cut_bytes);
}

static void *rank_main(void *arg)
{
    rank_run *run = arg;
    fari_step own = *run->step;
    own.feed = run->feed;
    run->status = fari_executor_step(run->exec, &own);
    if (run->looks_for_bad && run->status == FAR_E_NONFINITE)
        run->status = fari_executor_find_bad(run->exec, &own, &run->bad);
    else if (run->looks_for_bad) run->status = FAR_FAIL(FAR_E_INTERNAL, "the loss is a number");
    if (run->status != FAR_OK) (void)snprintf(run->message, sizeof run->message, "%s", far_error_message());
    return NULL;
}

static int32_t input_count(const far_graph *graph)
{
    int32_t count = 0;
    for (int64_t i = 0; i < graph->tensor_count; i++) count += graph->tensors[i]->role == FARI_ROLE_INPUT;
    return count;
}

static void run_all(rank_set *set, const fari_step *step)
{
    const int32_t inputs = input_count(set->graph);
    FAR_CHECK(inputs <= RANK_INPUTS_MAX);
    for (int32_t r = 0; r < set->count; r++) {
        rank_run *run = &set->runs[r];
        for (int32_t k = 0; k < inputs; k++) cut_feed(run->plan, k, step->feed[k], &run->feed[k]);
        run->step = step;
        FAR_CHECK(pthread_create(&run->thread, NULL, rank_main, run) == 0);
    }
    for (int32_t r = 0; r < set->count; r++) (void)pthread_join(set->runs[r].thread, NULL);
}

void rank_set_step(rank_set *set, const fari_step *step)
{
    run_all(set, step);
    for (int32_t r = 0; r < set->count; r++)
        FAR_CHECK_MSG(set->runs[r].status == FAR_OK, "rank %d failed: %s", (int)r, set->runs[r].message);
}

void rank_set_find_bad(rank_set *set, const fari_step *step, fari_bad_tensor *bad_out)
{
    const fari_bad_tensor *first = NULL;
    for (int32_t r = 0; r < set->count; r++) set->runs[r].looks_for_bad = true;
    run_all(set, step);
    for (int32_t r = 0; r < set->count; r++) {
        const rank_run *run = &set->runs[r];
        FAR_CHECK_MSG(run->status == FAR_OK || run->status == FAR_E_NOTFOUND, "rank %d: %s", (int)r, run->message);
        if (run->status != FAR_OK) continue;
        int32_t k = 0;
        while (first != NULL && k < 3 && run->bad.place[k] == first->place[k]) k++;
        if (first == NULL || run->bad.place[k] < first->place[k]) first = &run->bad;
        set->runs[r].looks_for_bad = false;
    }
    FAR_CHECK(first != NULL);
    *bad_out = *first;
}

void rank_set_digest(const rank_set *set, char hex_out[65])
{
    char other[65];
    fari_store_digest(set->runs[0].store, true, hex_out);
    for (int32_t r = 1; r < set->count; r++) {
        fari_store_digest(set->runs[r].store, true, other);
        FAR_CHECK_MSG(strcmp(other, hex_out) == 0, "rank %d has other weights than rank 0", (int)r);
    }
}

double rank_set_loss(const rank_set *set)
{
    double loss = 0.0, other;
    if (set->graph->loss < 0) return 0.0;
    FAR_CHECK_OK(fari_executor_read_f64(set->runs[0].exec, set->graph->loss, &loss));
    for (int32_t r = 1; r < set->count; r++) {
        FAR_CHECK_OK(fari_executor_read_f64(set->runs[r].exec, set->graph->loss, &other));
        FAR_CHECK_MSG(memcmp(&other, &loss, sizeof loss) == 0, "rank %d has another loss than rank 0", (int)r);
    }
    return loss;
}

/* Puts what one rank holds of a tensor to the whole; what is there already must be the same. */
static void merge_spans(const rank_run *run, far_value value, char *whole, bool *is_there, int64_t bytes)
{
    const fari_plan *plan = run->plan;
    const int32_t buffer = plan->tensor_buffer[value];
    const char *data = fari_executor_data(run->exec, value);
    const fari_span all = { 0, bytes, 0 };
    const fari_span *span = plan->part == NULL ? &all : &plan->part->spans[buffer < 0 ? 0 : plan->part->span0[buffer]];
    const int64_t count = plan->part == NULL ? 1
                          : buffer < 0       ? 0
                                             : plan->part->span0[buffer + 1] - plan->part->span0[buffer];
    for (int64_t s = 0; s < count; s++)
        for (int64_t at = span[s].lo; at < span[s].hi; at++) {
            const char byte = data[span[s].local + at - span[s].lo];
            FAR_CHECK_MSG(!is_there[at] || whole[at] == byte, "rank %d has another byte %d of tensor %d",
                          (int)plan->opts.rank, (int)at, (int)value);
            whole[at] = byte;
            is_there[at] = true;
        }
}

/* What every plan says of who has an output: without gaps, and true. */
static void check_results(const rank_set *set, far_value value, const char *whole, int64_t bytes)
{
    for (int32_t r = 0; r < set->count && set->count > 1; r++) {
        const fari_part *part = set->runs[r].plan->part;
        int64_t at = 0;
        for (int64_t i = 0; i < part->result_count; i++) {
            const fari_result *result = &part->results[i];
            if (result->value != value) continue;
            const int32_t holder = result->rank == FARI_EVERY_RANK ? r : result->rank;
            FAR_CHECK(result->lo == at && result->hi > result->lo);
            at = result->hi;
            FAR_CHECK(memcmp(fari_executor_data_at(set->runs[holder].exec, value, result->lo), whole + result->lo,
                             (size_t)(result->hi - result->lo)) == 0);
        }
        const fari_tensor *t = fari_tensor_of(set->graph, value);
        FAR_CHECK_EQ_I64(at, t->batch_of > 0 && t->producer >= 0 ? bytes : 0);
    }
}

void *rank_set_gather(const rank_set *set, far_value value, int64_t *bytes_out)
{
    const int64_t bytes = far_shape_elems(&fari_tensor_of(set->graph, value)->shape) *
                          far_dtype_bytes(fari_plan_dtype(set->runs[0].plan, value));
    *bytes_out = 0;
    if (fari_tensor_of(set->graph, value)->role == FARI_ROLE_INPUT) return NULL; /* what nobody reads is not fed */
    char *whole = malloc((size_t)bytes);
    bool *is_there = calloc((size_t)bytes, sizeof *is_there);
    FAR_CHECK(whole != NULL && is_there != NULL);
    for (int32_t r = 0; r < set->count; r++) merge_spans(&set->runs[r], value, whole, is_there, bytes);
    for (int64_t i = 0; i < bytes; i++)
        FAR_CHECK_MSG(is_there[i], "no rank has byte %d of tensor %d", (int)i, (int)value);
    free(is_there);
    for (int64_t i = 0; i < set->graph->output_count; i++)
        if (set->graph->outputs[i].value == value) {
            check_results(set, value, whole, bytes);
            break;
        }
    *bytes_out = bytes;
    return whole;
}
