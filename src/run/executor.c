#include "run/executor.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/doing.h"
#include "base/mem.h"
#include "base/rng.h"
#include "run/exec_comm.h"
#include "run/exec_spill.h"
#include "run/exec_windows.h"
#include "run/executor_priv.h"
#include "run/ready_heap.h"
#include "run/spill_file.h"
#include <math.h>
#include <string.h>
#include <unistd.h>

/* ---- ready heap: smallest key first ---- */

static uint64_t ready_key(const fari_executor *exec, int32_t instr)
{
    uint32_t key = (uint32_t)instr;
    if (exec->opts.order == FARI_EXEC_REVERSED) key = UINT32_MAX - key;
    if (exec->opts.order == FARI_EXEC_RANDOM)
        key =
            (uint32_t)(fari_rng_bits(fari_rng_key(exec->opts.order_seed, FARI_RNG_ORDER, 0, (uint64_t)exec->generation),
                                     (uint64_t)instr) >>
                       32);
    return ((uint64_t)key << 32) | (uint32_t)instr;
}

static void heap_push(fari_executor *exec, int32_t instr)
{
    fari_ready_push(exec->heap, &exec->heap_count, ready_key(exec, instr));
    atomic_store_explicit(&exec->ready, exec->heap_count, memory_order_release);
}

/* Under lock: nothing holds the instruction back any more. Gives the number of workers that this can keep busy. */
static int32_t make_ready(fari_executor *exec, int32_t instr)
{
    const fari_instr *what = &exec->plan->instrs[instr];
    if (what->kind == FARI_INSTR_SEND || what->kind == FARI_INSTR_RECV) {
        if (exec->is_tracing) exec->times[instr] = (fari_instr_time){ .begin_s = fari_clock_s(), .thread = -1 };
        fari_exec_comm_start(exec->comm, what->aux);
        return 0;
    }
    if (fari_instr_is_move(what)) {
        fari_exec_spill_start(exec->spill, ready_key(exec, instr));
        return 0;
    }
    heap_push(exec, instr);
    return 1;
}

static int32_t heap_pop(fari_executor *exec)
{
    const int32_t instr = fari_ready_pop(exec->heap, &exec->heap_count);
    atomic_store_explicit(&exec->ready, exec->heap_count, memory_order_release);
    return instr;
}

/* ---- one instruction ---- */

void *fari_exec_view_data(const fari_executor *exec, int64_t view)
{
    const fari_plan *plan = exec->plan;
    const int32_t buffer = plan->view_buffer[view];
    return exec->buffer_data[buffer] + fari_plan_place_in(&plan->buffers[buffer], &plan->views[view]);
}

static far_status run_call(const fari_executor *exec, const fari_instr *instr, char *scratch)
{
    const fari_plan *plan = exec->plan;
    fari_call call;
    call.node = plan->graph->nodes[instr->node];
    call.attr = call.node->attr;
    call.in_count = instr->in_count;
    call.out_count = instr->out_count;
    call.accumulate = instr->accumulate;
    call.scratch = scratch;
    call.prepared = instr->state;
    call.step = exec->step;
    for (int32_t i = 0; i < instr->in_count; i++) {
        call.in[i] = plan->views[instr->view0 + i];
        call.in[i].data = fari_exec_view_data(exec, instr->view0 + i);
    }
    for (int32_t i = 0; i < instr->out_count; i++) {
        call.out[i] = plan->views[instr->view0 + instr->in_count + i];
        call.out[i].data = fari_exec_view_data(exec, instr->view0 + instr->in_count + i);
    }
    return instr->run(&call);
}

/* What a call has made of an output that is taken: only now is it sure to be there. */
static far_status take_output(const fari_executor *exec, const fari_instr *instr)
{
    const fari_plan *plan = exec->plan;
    const fari_node *node = plan->graph->nodes[instr->node];
    for (int32_t i = 0; i < plan->graph->output_count; i++) {
        const fari_output *output = &plan->graph->outputs[i];
        if (!output->is_taken || output->value != node->out[0]) continue;
        fari_view piece = plan->views[instr->view0 + instr->in_count];
        piece.data = fari_exec_view_data(exec, instr->view0 + instr->in_count);
        return exec->step->take_rows(exec->step->take_context, i, &piece);
    }
    return FAR_OK;
}

static far_status run_and_take(const fari_executor *exec, const fari_instr *instr, char *scratch)
{
    FAR_TRY(run_call(exec, instr, scratch));
    return exec->step->take_rows != NULL ? take_output(exec, instr) : FAR_OK;
}

/* left += right for every pair of outputs. */
static far_status run_sum(const fari_executor *exec, const fari_instr *instr)
{
    const fari_plan *plan = exec->plan;
    for (int32_t i = 0; i < instr->in_count; i++) {
        const fari_view *view = &plan->views[instr->view0 + i];
        const int64_t elems = fari_view_elems(view);
        void *left = fari_exec_view_data(exec, instr->view0 + instr->in_count + i);
        const void *right = fari_exec_view_data(exec, instr->view0 + i);
        if (view->dtype == FAR_F64)
            for (int64_t k = 0; k < elems; k++) ((double *)left)[k] += ((const double *)right)[k];
        else plan->opts.backend->add_f32(left, right, elems);
    }
    return FAR_OK;
}

/* Where the piece begins in what is fed: all of the input, or the box that this rank reads. In elements. */
static int64_t feed_offset(const fari_executor *exec, const fari_instr *instr, const fari_view *view)
{
    const fari_plan *plan = exec->plan;
    const int64_t rows = view->ndim >= 3 ? view->dim[2] : 1;
    const int64_t row_elems = fari_view_elems(view) / view->dim[0] / rows;
    if (plan->part == NULL) return (view->sample0 * view->rows_total + view->row0) * row_elems;
    const fari_feed_box *box =
        exec->opts.boxes != NULL ? &exec->opts.boxes[instr->aux] : &plan->part->feeds[instr->aux];
    return ((view->sample0 - box->sample_lo) * (box->row_hi - box->row_lo) + view->row0 - box->row_lo) * row_elems;
}

/* From arrays that hold the batch. */
static void copy_feed(const fari_executor *exec, const fari_instr *instr, const fari_view *view, void *to)
{
    const int64_t elems = fari_view_elems(view), first = feed_offset(exec, instr, view);
    const void *from = exec->step->feed[instr->aux];
    if (view->dtype == FAR_F64) /* the oracle holds f32 inputs in double */
        for (int64_t i = 0; i < elems; i++) ((double *)to)[i] = (double)((const float *)from)[first + i];
    else
        memcpy(to, (const char *)from + first * far_dtype_bytes(view->dtype),
               (size_t)(elems * far_dtype_bytes(view->dtype)));
}

/* Made when they are needed, sample by sample. The oracle gets its floats into the upper half of their place, from where they spread. */
static far_status make_feed(const fari_executor *exec, const fari_instr *instr, const fari_view *view, char *to)
{
    const fari_step *step = exec->step;
    const bool is_wide = view->dtype == FAR_F64;
    const int64_t rows = view->ndim >= 3 ? view->dim[2] : 1, elems = fari_view_elems(view);
    const int64_t sample_bytes =
        elems / view->dim[0] * (is_wide ? (int64_t)sizeof(float) : far_dtype_bytes(view->dtype));
    char *out = is_wide ? to + elems * (int64_t)sizeof(float) : to;
    for (int64_t i = 0; i < view->dim[0]; i++)
        FAR_TRY(step->feed_rows(step->feed_context, instr->aux, view->sample0 + i, view->row0, view->row0 + rows,
                                out + i * sample_bytes));
    for (int64_t i = 0; i < elems && is_wide; i++) {
        float value;
        memcpy(&value, out + i * (int64_t)sizeof(float), sizeof value);
        ((double *)(void *)to)[i] = (double)value;
    }
    return FAR_OK;
}

static far_status run_feed(const fari_executor *exec, const fari_instr *instr)
{
    const fari_view *view = &exec->plan->views[instr->view0];
    void *to = fari_exec_view_data(exec, instr->view0);
    if (exec->step->feed[instr->aux] != NULL) {
        copy_feed(exec, instr, view, to);
        return FAR_OK;
    }
    if (exec->step->feed_rows != NULL) return make_feed(exec, instr, view, to);
    return FAR_FAIL(FAR_E_ARG, "input %d of the graph is not fed", (int)instr->aux);
}

far_status fari_exec_run_instr(fari_executor *exec, int32_t idx, char *scratch)
{
    const fari_plan *plan = exec->plan;
    const fari_instr *instr = &plan->instrs[idx];
    const fari_backend *backend = plan->opts.backend;
    switch ((fari_instr_kind)instr->kind) {
    case FARI_INSTR_CALL: return run_and_take(exec, instr, scratch);
    case FARI_INSTR_COMBINE: return instr->aux ? run_sum(exec, instr) : run_call(exec, instr, scratch);
    case FARI_INSTR_FEED: return run_feed(exec, instr);
    case FARI_INSTR_SEND: /* never here: make_ready */
    case FARI_INSTR_RECV:
    case FARI_INSTR_WRITE:
    case FARI_INSTR_READ: break;
    case FARI_INSTR_PACK:
        return backend->pack(&plan->prepared[instr->prepared], instr->aux, fari_exec_view_data(exec, instr->view0),
                             fari_exec_view_data(exec, instr->view0 + 1));
    case FARI_INSTR_UNPACK:
        return backend->unpack(&plan->prepared[instr->prepared], fari_exec_view_data(exec, instr->view0),
                               fari_exec_view_data(exec, instr->view0 + 1));
    }
    return FAR_FAIL(FAR_E_INTERNAL, "instruction of no kind");
}

/* The loss is there: a step goes on to its updates only if it is a number. */
static far_status check_loss(const fari_executor *exec)
{
    double loss = 0.0;
    FAR_TRY(fari_executor_read_f64(exec, exec->plan->graph->loss, &loss));
    if (isfinite(loss)) return FAR_OK;
    return FAR_FAIL(FAR_E_NONFINITE, "the loss is %s", isnan(loss) ? "nan" : loss > 0.0 ? "inf" : "-inf");
}

/* A step whose loss is no number goes on where other ranks wait for its messages, but updates nothing. */
static bool is_left_out(const fari_executor *exec, int32_t idx)
{
    const int32_t node = exec->plan->instrs[idx].node;
    return atomic_load_explicit(&exec->is_void, memory_order_relaxed) && node >= 0 &&
           fari_node_is_guarded(exec->plan->graph->nodes[node]);
}

/* ---- the pool ---- */

/* Under lock: the first failure ends the step, on every rank. */
static void fail_step(fari_executor *exec, far_status st)
{
    if (exec->status != FAR_OK) return;
    exec->status = st;
    fari_error_save(&exec->error);
    exec->remaining = 0; /* nothing more starts */
    exec->heap_count = 0;
    atomic_store(&exec->ready, 0);
    if (exec->comm != NULL) fari_exec_comm_abandon(exec->comm, st);
    if (exec->spill != NULL) fari_exec_spill_abandon(exec->spill);
}

/* Under lock: marks `idx` done and readies what waited for it alone. The caller takes `own` of the readied itself. */
static void retire(fari_executor *exec, int32_t idx, far_status st, int32_t own)
{
    const fari_plan *plan = exec->plan;
    if (st != FAR_OK) fail_step(exec, st);
    if (exec->status == FAR_OK && idx == plan->guard && exec->comm != NULL && check_loss(exec) != FAR_OK) {
        atomic_store(&exec->is_void, true);
        far_error_clear(); /* fari_executor_step says it in the end */
    }
    if (exec->status == FAR_OK) {
        exec->remaining--;
        int32_t readied = 0;
        for (int64_t s = plan->succ0[idx]; s < plan->succ0[idx + 1]; s++)
            if (--exec->waits[plan->succ[s]] == 0) readied += make_ready(exec, plan->succ[s]);
        for (; readied > own; readied--) (void)pthread_cond_signal(&exec->wake);
    }
    if (exec->remaining == 0) (void)pthread_cond_broadcast(&exec->wake);
}

static void message_done(void *ctx, int32_t message, far_status st)
{
    fari_executor *exec = ctx;
    (void)pthread_mutex_lock(&exec->lock);
    if (st == FAR_OK && exec->is_checking) {
        exec->awaited = -1;
        (void)pthread_cond_broadcast(&exec->wake);
    } else if (st == FAR_OK) {
        const int32_t instr = exec->plan->part->messages[message].instr;
        if (exec->is_tracing) exec->times[instr].end_s = fari_clock_s();
        retire(exec, instr, FAR_OK, 0);
        fari_exec_idle_end(exec, instr);
    } else {
        fail_step(exec, st);
        (void)pthread_cond_broadcast(&exec->wake);
    }
    (void)pthread_mutex_unlock(&exec->lock);
}

static void piece_done(void *ctx, int32_t instr, far_status st, int32_t lane, double begin_s)
{
    fari_executor *exec = ctx;
    if (exec->windows != NULL) fari_exec_windows_done(exec->windows, instr);
    (void)pthread_mutex_lock(&exec->lock);
    if (exec->is_tracing) exec->times[instr] = (fari_instr_time){ begin_s, fari_clock_s(), FARI_THREAD_OF_DISK - lane };
    retire(exec, instr, st, 0);
    fari_exec_idle_end(exec, instr);
    (void)pthread_mutex_unlock(&exec->lock);
}

/* Under lock: works until the step has no more instructions. */
static void work(fari_executor *exec, fari_worker *self)
{
    while (exec->remaining > 0) {
        if (exec->heap_count == 0) {
            (void)pthread_mutex_unlock(&exec->lock);
            for (int32_t i = 0; i < exec->spins && atomic_load_explicit(&exec->ready, memory_order_acquire) == 0; i++) {
#if defined(__x86_64__)
                __builtin_ia32_pause();
#endif
            }
            fari_doing(FARI_DOING_AWAIT_OWN, FARI_DOING_COMPUTE, NULL, NULL);
            (void)pthread_mutex_lock(&exec->lock);
            if (exec->heap_count == 0 && exec->remaining > 0) (void)pthread_cond_wait(&exec->wake, &exec->lock);
            continue;
        }
        const int32_t idx = heap_pop(exec);
        exec->running++;
        (void)pthread_mutex_unlock(&exec->lock);
        far_status st = is_left_out(exec, idx) ? FAR_OK : fari_exec_run_told(exec, idx, self);
        if (exec->hashes != NULL) fari_exec_hash(exec, idx);
        if (exec->windows != NULL) fari_exec_windows_done(exec->windows, idx);
        /* of several ranks the others wait for messages: there the step goes on to its end */
        if (st == FAR_OK && idx == exec->plan->guard && exec->comm == NULL) st = check_loss(exec);
        (void)pthread_mutex_lock(&exec->lock);
        exec->running--;
        retire(exec, idx, st, 1);
        if (exec->comm != NULL || exec->spill != NULL) fari_exec_idle_begin(exec);
    }
}

static void *worker_main(void *arg)
{
    fari_worker *self = arg;
    fari_executor *exec = self->exec;
    if (exec->plan->opts.backend->thread_begin != NULL)
        exec->plan->opts.backend->thread_begin(exec->plan->opts.backend);
    fari_arena_touch(self->scratch, exec->plan->scratch_bytes);
    fari_thread_touch();
    (void)pthread_mutex_lock(&exec->lock);
    exec->warm++;
    (void)pthread_cond_signal(&exec->finished);
    for (int64_t seen = 0;;) {
        while (exec->generation == seen && !exec->is_stopping) (void)pthread_cond_wait(&exec->wake, &exec->lock);
        if (exec->is_stopping) break;
        seen = exec->generation;
        exec->busy++;
        work(exec, self);
        if (--exec->busy == 0) (void)pthread_cond_signal(&exec->finished);
    }
    (void)pthread_mutex_unlock(&exec->lock);
    return NULL;
}

/* ---- life ---- */

static far_status bind_buffers(fari_executor *exec, const fari_store *store)
{
    const fari_plan *plan = exec->plan;
    for (int64_t i = 0; i < plan->buffer_count; i++) {
        const fari_buffer *buffer = &plan->buffers[i];
        if (buffer->base == FARI_BASE_SPILL) continue; /* nowhere in memory */
        if (buffer->base == FARI_BASE_ARENA) {
            exec->buffer_data[i] = exec->arena + buffer->offset;
            continue;
        }
        const fari_tensor *t = fari_tensor_of(plan->graph, buffer->tensor);
        const fari_kept *kept = fari_store_find(store, t->role, t->name);
        if (kept == NULL || kept->bytes != buffer->bytes)
            return FAR_FAIL(FAR_E_NOTFOUND, "tensor %s of the graph is not in the store with that shape", t->name);
        exec->buffer_data[i] = fari_store_data(store, kept);
    }
    return FAR_OK;
}

static far_status executor_allocate(fari_executor *exec)
{
    const fari_plan *plan = exec->plan;
    const size_t instrs = (size_t)plan->instr_count + 1;
    exec->buffer_data = fari_calloc((size_t)plan->buffer_count + 1, sizeof *exec->buffer_data);
    exec->heap = fari_alloc(instrs * sizeof *exec->heap);
    exec->waits = fari_alloc(instrs * sizeof *exec->waits);
    exec->workers = fari_calloc((size_t)exec->threads, sizeof *exec->workers);
    if (exec->opts.is_timed) exec->seconds = fari_calloc(instrs, sizeof *exec->seconds);
    if (exec->opts.is_hashed) exec->hashes = fari_calloc(instrs, sizeof *exec->hashes);
    if (exec->opts.is_traced) exec->times = fari_calloc(instrs, sizeof *exec->times);
    if (exec->opts.is_traced && plan->part != NULL)
        exec->idle_waits = fari_calloc((size_t)plan->part->message_count + 1, sizeof *exec->idle_waits);
    if (exec->buffer_data == NULL || exec->heap == NULL || exec->waits == NULL || exec->workers == NULL ||
        (exec->opts.is_timed && exec->seconds == NULL) || (exec->opts.is_hashed && exec->hashes == NULL) ||
        (exec->opts.is_traced && (exec->times == NULL || (plan->part != NULL && exec->idle_waits == NULL))))
        return FAR_FAIL(FAR_E_NOMEM, "no memory for the executor");
    if (exec->opts.shared_arena != NULL) {
        exec->arena = exec->opts.shared_arena;
    } else {
        void *arena = NULL;
        const int64_t bytes = plan->arena_bytes + plan->scratch_bytes * exec->threads;
        FAR_TRY(plan->sweep_count > 0 ? fari_arena_map_shared(bytes, &arena) : fari_arena_map(bytes, &arena));
        exec->arena = arena;
        exec->owns_arena = true;
    }
    for (int32_t i = 0; i < exec->threads; i++)
        exec->workers[i] = (fari_worker){ .exec = exec,
                                          .idx = i,
                                          .scratch = exec->arena + plan->arena_bytes + i * plan->scratch_bytes };
    return FAR_OK;
}

static far_status threads_start(fari_executor *exec)
{
    const fari_backend *backend = exec->plan->opts.backend;
    if (backend->thread_begin != NULL) backend->thread_begin(exec->plan->opts.backend);
    fari_arena_touch(exec->workers[0].scratch, exec->plan->scratch_bytes);
    fari_thread_touch();
    for (exec->started = 1; exec->started < exec->threads; exec->started++)
        if (pthread_create(&exec->workers[exec->started].thread, NULL, worker_main, &exec->workers[exec->started]) != 0)
            return FAR_FAIL(FAR_E_NOMEM, "the system gave no thread %d of %d", (int)exec->started, (int)exec->threads);
    /* an arena may be shared: nobody touches it once this executor is there */
    (void)pthread_mutex_lock(&exec->lock);
    while (exec->warm < exec->threads - 1) (void)pthread_cond_wait(&exec->finished, &exec->lock);
    (void)pthread_mutex_unlock(&exec->lock);
    return FAR_OK;
}

far_status fari_executor_create(const fari_plan *plan, const fari_store *store, const fari_exec_opts *opts,
                                fari_executor **exec_out)
{
    far_status st = FAR_OK;
    fari_executor *exec = fari_calloc(1, sizeof *exec);
    if (exec == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory for the executor");
    exec->plan = plan;
    exec->opts = *opts;
    exec->is_timing = opts->is_timed;
    exec->flipped = -1;
    exec->threads = opts->threads > 0 ? opts->threads : plan->opts.threads;
    (void)pthread_mutex_init(&exec->lock, NULL);
    (void)pthread_cond_init(&exec->wake, NULL);
    (void)pthread_cond_init(&exec->finished, NULL);
    exec->spins =
        exec->threads <= (int32_t)sysconf(_SC_NPROCESSORS_ONLN) ? 4000 : 0; /* no spinning where cores are shared */
    FAR_TRY_GOTO(executor_allocate(exec), failed);
    FAR_TRY_GOTO(bind_buffers(exec, store), failed);
    fari_arena_touch(exec->arena, plan->arena_bytes);
    if (plan->sweep_count > 0) {
        fari_arena_rest(exec->arena, plan->arena_bytes);
        FAR_TRY_GOTO(fari_exec_windows_create(plan, exec->arena, exec->buffer_data, &exec->windows), failed);
    }
    FAR_TRY_GOTO(threads_start(exec), failed);
    if (plan->part != NULL)
        FAR_TRY_GOTO(fari_exec_comm_create(plan, exec->buffer_data, opts->comm, message_done, exec, &exec->comm),
                     failed);
    if (opts->spill_folder != NULL) FAR_TRY_GOTO(fari_executor_open_spill(exec, opts->spill_folder), failed);
    *exec_out = exec;
    return FAR_OK;
failed:
    fari_executor_destroy(exec);
    return st;
}

far_status fari_executor_open_spill(fari_executor *exec, const char *folder)
{
    const fari_plan *plan = exec->plan;
    if (plan->spill_bytes == 0 || exec->spill != NULL) return FAR_OK;
    FAR_TRY(fari_spill_file_open(folder, plan->spill_bytes, plan->opts.spill.is_packed, &exec->spill_file));
    return fari_executor_use_spill(exec, exec->spill_file);
}

far_status fari_executor_use_spill(fari_executor *exec, fari_spill_file *file)
{
    if (exec->plan->spill_bytes == 0 || exec->spill != NULL) return FAR_OK;
    return fari_exec_spill_create(exec->plan, exec->buffer_data, file, piece_done, exec, &exec->spill);
}

int64_t fari_executor_disk_bytes(const fari_executor *exec)
{
    return exec->spill != NULL ? fari_exec_spill_most_bytes(exec->spill) : 0;
}

int64_t fari_executor_own_bytes(const fari_plan *plan)
{
    return plan->buffer_count * (int64_t)sizeof(char *) +
           plan->instr_count * (int64_t)(sizeof(uint64_t) + sizeof(int32_t)) + fari_exec_comm_own_bytes(plan) +
           fari_exec_spill_own_bytes(plan) + fari_exec_windows_own_bytes(plan);
}

void fari_executor_destroy(fari_executor *exec)
{
    if (exec == NULL) return;
    fari_exec_comm_destroy(exec->comm);
    fari_exec_spill_destroy(exec->spill);
    fari_spill_file_close(exec->spill_file);
    (void)pthread_mutex_lock(&exec->lock);
    exec->is_stopping = true;
    (void)pthread_cond_broadcast(&exec->wake);
    (void)pthread_mutex_unlock(&exec->lock);
    for (int32_t i = 1; i < exec->started; i++) (void)pthread_join(exec->workers[i].thread, NULL);
    fari_exec_windows_destroy(exec->windows);
    if (exec->owns_arena)
        fari_arena_unmap(exec->arena, exec->plan->arena_bytes + exec->plan->scratch_bytes * exec->threads);
    fari_free(exec->buffer_data);
    fari_free(exec->heap);
    fari_free(exec->waits);
    fari_free(exec->workers);
    fari_free(exec->seconds);
    fari_free(exec->hashes);
    fari_free(exec->times);
    fari_free(exec->idle_waits);
    (void)pthread_cond_destroy(&exec->wake);
    (void)pthread_cond_destroy(&exec->finished);
    (void)pthread_mutex_destroy(&exec->lock);
    fari_free(exec);
}

far_status fari_executor_step(fari_executor *exec, const fari_step *step)
{
    const fari_plan *plan = exec->plan;
    if (plan->spill_bytes > 0 && exec->spill == NULL)
        return FAR_FAIL(FAR_E_INTERNAL, "a plan with tensors that wait on disk has no file for them");
    fari_alloc_forbid(true);
    (void)pthread_mutex_lock(&exec->lock);
    memcpy(exec->waits, plan->indegree, (size_t)plan->instr_count * sizeof *exec->waits);
    exec->step = step;
    exec->status = FAR_OK;
    atomic_store(&exec->is_void, false);
    exec->remaining = plan->instr_count;
    exec->heap_count = 0;
    exec->idle_s = exec->disk_idle_s = 0.0;
    exec->idle_since_s = -1.0;
    exec->idle_wait_count = 0;
    exec->generation++;
    if (exec->windows != NULL) fari_exec_windows_begin(exec->windows);
    if (exec->spill != NULL) fari_exec_spill_begin(exec->spill);
    for (int32_t i = 0; i < plan->instr_count; i++)
        if (plan->indegree[i] == 0) (void)make_ready(exec, i);
    if (exec->comm != NULL) fari_exec_idle_begin(exec);
    (void)pthread_cond_broadcast(&exec->wake);
    work(exec, &exec->workers[0]);
    fari_doing(FARI_DOING_AWAIT_OWN, FARI_DOING_COMPUTE, NULL, NULL);
    while (exec->busy > 0) (void)pthread_cond_wait(&exec->finished, &exec->lock);
    const far_status st = exec->status;
    (void)pthread_mutex_unlock(&exec->lock);
    if (exec->spill != NULL) fari_exec_spill_settle(exec->spill); /* of a step that failed pieces may be on their way */
    fari_alloc_forbid(false);
    if (st != FAR_OK) fari_error_restore(&exec->error);
    return st == FAR_OK && exec->comm != NULL && plan->guard >= 0 ? check_loss(exec) : st;
}

const void *fari_executor_data(const fari_executor *exec, far_value value)
{
    const int32_t buffer = value >= 0 ? exec->plan->tensor_buffer[value] : -1;
    return buffer >= 0 && exec->plan->buffers[buffer].ring_of == 0 ? exec->buffer_data[buffer] : NULL;
}

const void *fari_executor_data_at(const fari_executor *exec, far_value value, int64_t at)
{
    const int32_t buffer = value >= 0 ? exec->plan->tensor_buffer[value] : -1;
    return buffer >= 0 ? exec->buffer_data[buffer] + fari_part_local_offset(exec->plan, buffer, at) : NULL;
}

far_status fari_executor_read_f64(const fari_executor *exec, far_value value, double *elems_out)
{
    const void *data = fari_executor_data(exec, value);
    if (data == NULL)
        return FAR_FAIL(FAR_E_NOTFOUND, "tensor %s was not computed", far_graph_value_name(exec->plan->graph, value));
    const fari_tensor *t = fari_tensor_of(exec->plan->graph, value);
    if (!fari_part_is_whole(exec->plan, exec->plan->tensor_buffer[value]))
        return FAR_FAIL(FAR_E_UNSUPPORTED, "rank %d holds only a part of tensor %s", (int)exec->plan->opts.rank,
                        t->name);
    fari_view view = { .dtype = fari_plan_dtype(exec->plan, value), .order = t->order, .ndim = t->shape.ndim };
    memcpy(view.dim, t->shape.dim, sizeof view.dim);
    memcpy(&view.data, &data, sizeof data); /* only read */
    int64_t idx[FAR_NDIM_MAX] = { 0 };
    do *elems_out++ = fari_view_get(&view, idx);
    while (fari_idx_next(idx, view.dim, view.ndim));
    return FAR_OK;
}

const double *fari_executor_seconds(const fari_executor *exec)
{
    return exec->seconds;
}

void fari_executor_time(fari_executor *exec, bool is_on)
{
    exec->is_timing = is_on && exec->seconds != NULL;
}
