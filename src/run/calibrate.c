#include "run/calibrate.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#define FILE_VERSION 1
#define FILE_LIMIT (INT64_C(64) << 20)
/* Where nothing was measured: a middling core. Only ratios between kernels matter until the machine is calibrated. */
#define GUESS_FLOPS 4e10
#define GUESS_BYTES_A_SECOND 8e9
#define GUESS_CALL_S 2e-6

typedef struct entry {
    uint64_t key;
    double seconds;
} entry;

struct fari_calibration {
    char *path;
    char machine[96];
    entry *entries; /* sorted by key */
    int64_t count, cap;
    bool is_changed;
};

/* ---- the table ---- */

static int64_t lower_bound(const fari_calibration *cal, uint64_t key)
{
    int64_t lo = 0, hi = cal->count;
    while (lo < hi) {
        const int64_t mid = (lo + hi) / 2;
        if (cal->entries[mid].key < key) lo = mid + 1;
        else hi = mid;
    }
    return lo;
}

static const entry *find(const fari_calibration *cal, uint64_t key)
{
    const int64_t at = lower_bound(cal, key);
    return at < cal->count && cal->entries[at].key == key ? &cal->entries[at] : NULL;
}

static far_status insert(fari_calibration *cal, uint64_t key, double seconds)
{
    const int64_t at = lower_bound(cal, key);
    if (at < cal->count && cal->entries[at].key == key) {
        cal->entries[at].seconds = seconds;
        return FAR_OK;
    }
    if (!fari_reserve((void **)&cal->entries, &cal->cap, cal->count + 1, sizeof(entry)))
        return FAR_FAIL(FAR_E_NOMEM, "no memory for the calibration");
    memmove(&cal->entries[at + 1], &cal->entries[at], (size_t)(cal->count - at) * sizeof(entry));
    cal->entries[at] = (entry){ key, seconds };
    cal->count++;
    return FAR_OK;
}

/* ---- the file ---- */

/* Speeds are of one kind of processor. */
static void machine_name(char *name_out, size_t bytes)
{
    char line[256];
    FILE *file = fopen("/proc/cpuinfo", "r");
    (void)snprintf(name_out, bytes, "unknown");
    if (file == NULL) return;
    while (fgets(line, sizeof line, file) != NULL) {
        char *colon = strchr(line, ':');
        if (strncmp(line, "model name", 10) != 0 || colon == NULL) continue;
        line[strcspn(line, "\n")] = '\0';
        (void)snprintf(name_out, bytes, "%s", colon + 2);
        break;
    }
    (void)fclose(file);
}

static char *default_path(void)
{
    const char *set = getenv("FAR_CALIBRATION"), *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    if (set != NULL && set[0] != '\0') return fari_strdup(set);
    if (cache != NULL && cache[0] != '\0') return fari_printf("%s/farandole/calibration.json", cache);
    return fari_printf("%s/.cache/farandole/calibration.json", home != NULL ? home : "/tmp");
}

static far_status entries_read(fari_calibration *cal, const json_t *root)
{
    const char *machine = NULL, *key;
    json_t *kernels = NULL, *value;
    FAR_TRY(fari_json_text(cal->path, root, "machine", &machine));
    if (strcmp(machine, cal->machine) != 0) return FAR_OK; /* another processor's speeds are of no use */
    FAR_TRY(fari_json_object(cal->path, root, "kernels", &kernels));
    json_object_foreach(kernels, key, value)
    {
        if (json_is_number(value) && json_number_value(value) > 0.0)
            FAR_TRY(insert(cal, strtoull(key, NULL, 16), json_number_value(value)));
    }
    return FAR_OK;
}

far_status fari_calibration_open(const char *path, fari_calibration **cal_out)
{
    char *data = NULL;
    size_t bytes = 0;
    json_t *root = NULL;
    fari_calibration *cal = fari_calloc(1, sizeof *cal);
    if (cal == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory for the calibration");
    machine_name(cal->machine, sizeof cal->machine);
    cal->path = path != NULL ? fari_strdup(path) : default_path();
    if (cal->path == NULL) {
        fari_calibration_close(cal);
        return FAR_FAIL(FAR_E_NOMEM, "no memory for the calibration");
    }
    far_status st = fari_file_read(cal->path, FILE_LIMIT, &data, &bytes);
    if (st == FAR_OK) st = fari_json_parse(cal->path, 0, data, bytes, &root);
    if (st == FAR_OK) st = entries_read(cal, root);
    if (root != NULL) json_decref(root);
    fari_free(data);
    if (st == FAR_E_NOMEM) {
        fari_calibration_close(cal);
        return st;
    }
    if (st != FAR_OK && st != FAR_E_NOTFOUND)
        fari_log(FAR_LOG_WARN, "calibration is started anew: %s", far_error_message());
    if (st != FAR_OK) far_error_clear();
    *cal_out = cal;
    return FAR_OK;
}

void fari_calibration_close(fari_calibration *cal)
{
    if (cal == NULL) return;
    fari_free(cal->path);
    fari_free(cal->entries);
    fari_free(cal);
}

void fari_calibration_save(fari_calibration *cal)
{
    fari_text text = { 0 };
    char number[FARI_NUMBER_TEXT], *folder = NULL;
    if (!cal->is_changed) return;
    fari_text_add(&text, "{\"version\": %d, \"machine\": ", FILE_VERSION);
    fari_text_json(&text, cal->machine);
    fari_text_add(&text, ", \"kernels\": {");
    for (int64_t i = 0; i < cal->count; i++)
        fari_text_add(&text, "%s\n\"%016" PRIx64 "\": %s", i > 0 ? "," : "", cal->entries[i].key,
                      fari_f64_text(cal->entries[i].seconds, number));
    fari_text_add(&text, "}}\n");
    folder = fari_strdup(cal->path);
    char *slash = folder != NULL ? strrchr(folder, '/') : NULL;
    if (slash != NULL) *slash = '\0';
    if (text.failed || folder == NULL || (slash != NULL && fari_folder_make(folder) != FAR_OK) ||
        fari_file_write_atomic(cal->path, text.data, (size_t)text.bytes) != FAR_OK) {
        fari_log(FAR_LOG_WARN, "calibration was not kept: %s", far_error_message());
        far_error_clear();
    } else {
        cal->is_changed = false;
    }
    fari_free(folder);
    fari_text_free(&text);
}

/* ---- what makes two instructions alike ---- */

/* Everything a kernel's time depends on: op, its attribute, implementation, geometry, but not where in the image it works. */
static far_status instr_key(const fari_plan *plan, const fari_instr *instr, fari_text *text, uint64_t *key_out)
{
    text->bytes = 0;
    fari_text_add(text, "%d %d ", (int)instr->kind, (int)instr->accumulate);
    if (instr->node >= 0) {
        const fari_node *node = plan->graph->nodes[instr->node];
        fari_text_add(text, "%s ", node->op->name);
        if (instr->kind == FARI_INSTR_CALL) fari_text_put(text, node->attr, node->op->attr_bytes);
    }
    if (instr->prepared >= 0) fari_text_add(text, "%s ", plan->prepared[instr->prepared].impl);
    for (int32_t i = 0; i < instr->in_count + instr->out_count; i++) {
        const fari_view *view = &plan->views[instr->view0 + i];
        fari_text_add(text, "%d:", (int)view->dtype);
        for (int32_t k = 0; k < view->ndim; k++) fari_text_add(text, "%" PRId64 "x", view->dim[k]);
    }
    fari_text_add(text, " t%d", (int)plan->opts.threads);
    if (text->failed) return FAR_FAIL(FAR_E_NOMEM, "no memory to look up the speed of a kernel");
    *key_out = fari_xxh3(text->data, (size_t)text->bytes);
    return FAR_OK;
}

/* ---- measuring ---- */

#define MEASURE_REPEATS_MAX 5
#define MEASURE_S 0.02 /* a kernel is repeated for about so long */

/* One thread's own operands for a call. */
typedef struct rig {
    const fari_plan *plan;
    const fari_instr *instr;
    fari_call call;
    void *memory;
    int64_t bytes;
    _Atomic bool *is_over;
    far_status status;
} rig;

static int64_t touched_bytes(const fari_plan *plan, int64_t instr_idx, int32_t operand)
{
    const fari_access *access = &plan->accesses[plan->access0[instr_idx] + operand];
    return (access->hi - access->lo + 63) / 64 * 64;
}

static far_status rig_open(rig *r, const fari_plan *plan, int64_t instr_idx, const fari_step *step)
{
    const fari_instr *instr = &plan->instrs[instr_idx];
    const int32_t operands = instr->in_count + instr->out_count;
    memset(r, 0, sizeof *r);
    r->plan = plan;
    r->instr = instr;
    r->bytes = plan->scratch_bytes + 64;
    for (int32_t i = 0; i < operands; i++) r->bytes += touched_bytes(plan, instr_idx, i);
    FAR_TRY(fari_arena_map(r->bytes, &r->memory));
    fari_call *call = &r->call;
    call->node = plan->graph->nodes[instr->node];
    call->attr = call->node->attr;
    call->in_count = instr->in_count;
    call->out_count = instr->out_count;
    call->accumulate = instr->accumulate;
    call->prepared = instr->state;
    call->scratch = r->memory;
    call->step = step;
    char *at = (char *)r->memory + plan->scratch_bytes;
    for (int32_t i = 0; i < operands; i++) {
        fari_view *view = i < instr->in_count ? &call->in[i] : &call->out[i - instr->in_count];
        const int64_t bytes = touched_bytes(plan, instr_idx, i);
        *view = plan->views[instr->view0 + i];
        view->data = at;
        if (view->dtype == FAR_F32)
            for (int64_t k = 0; k < bytes / 4; k++) ((float *)(void *)at)[k] = 0.01F * (float)(k % 13 - 6);
        at += bytes;
    }
    return FAR_OK;
}

static void rig_close(rig *r)
{
    fari_arena_unmap(r->memory, r->bytes);
}

/* Keeps a core as busy as a step would, while another thread measures. */
static void *rig_repeat(void *arg)
{
    rig *r = arg;
    if (r->plan->opts.backend->thread_begin != NULL) r->plan->opts.backend->thread_begin(r->plan->opts.backend);
    while (!atomic_load(r->is_over) && r->status == FAR_OK) r->status = r->instr->run(&r->call);
    return NULL;
}

static far_status rig_time(rig *r, double *seconds_out)
{
    double best = 1e30;
    const double begin = fari_clock_s();
    FAR_TRY(r->instr->run(&r->call)); /* warms caches and pages */
    for (int32_t i = 0; i < MEASURE_REPEATS_MAX && (i < 2 || fari_clock_s() - begin < MEASURE_S); i++) {
        const double at = fari_clock_s();
        FAR_TRY(r->instr->run(&r->call));
        const double took = fari_clock_s() - at;
        if (took < best) best = took;
    }
    *seconds_out = best;
    return FAR_OK;
}

#define THREADS_MAX 16

static far_status measure_call(const fari_plan *plan, int64_t instr_idx, double *seconds_out)
{
    static const double hyper[1024] = { 0.0 };
    int64_t *ids = fari_calloc((size_t)plan->batch + 1, sizeof *ids);
    const fari_step step = { .sample_ids = ids, .hyper = hyper };
    const int32_t threads = plan->opts.threads < THREADS_MAX ? plan->opts.threads : THREADS_MAX;
    rig rigs[THREADS_MAX];
    pthread_t thread[THREADS_MAX];
    _Atomic bool is_over = false;
    int32_t opened = 0, started = 1;
    far_status st = ids != NULL ? FAR_OK : FAR_FAIL(FAR_E_NOMEM, "no memory to calibrate");
    for (; st == FAR_OK && opened < threads; opened++) {
        st = rig_open(&rigs[opened], plan, instr_idx, &step);
        rigs[opened].is_over = &is_over;
    }
    for (; st == FAR_OK && started < threads; started++)
        if (pthread_create(&thread[started], NULL, rig_repeat, &rigs[started]) != 0) break;
    if (st == FAR_OK) st = rig_time(&rigs[0], seconds_out);
    atomic_store(&is_over, true);
    for (int32_t i = 1; i < started; i++) (void)pthread_join(thread[i], NULL);
    for (int32_t i = 0; i < opened; i++) rig_close(&rigs[i]);
    fari_free(ids);
    return st;
}

/* Measures what is not known yet; `text` is for keys. */
static far_status measure_instr(fari_calibration *cal, const fari_plan *plan, int64_t instr_idx, fari_text *text)
{
    uint64_t key = 0;
    double seconds = 0.0;
    FAR_TRY(instr_key(plan, &plan->instrs[instr_idx], text, &key));
    if (find(cal, key) != NULL) return FAR_OK;
    FAR_TRY(measure_call(plan, instr_idx, &seconds));
    FAR_TRY(insert(cal, key, seconds));
    cal->is_changed = true;
    return FAR_OK;
}

far_status fari_calibration_measure(fari_calibration *cal, const fari_plan *plan)
{
    fari_text text = { 0 };
    far_status st = FAR_OK;
    for (int64_t i = 0; i < plan->instr_count && st == FAR_OK; i++)
        if (plan->instrs[i].kind == FARI_INSTR_CALL) st = measure_instr(cal, plan, i, &text);
    fari_text_free(&text);
    return st;
}

/* ---- predicting ---- */

static double estimate(const fari_plan *plan, int64_t idx)
{
    if (fari_instr_is_move(&plan->instrs[idx]))
        return (double)plan->views[plan->instrs[idx].view0].dim[0] / FARI_DISK_BYTES_A_SECOND;
    const fari_cost cost = fari_plan_cost(plan, idx);
    const double by_flops = cost.flops / GUESS_FLOPS, by_bytes = cost.bytes / GUESS_BYTES_A_SECOND;
    return GUESS_CALL_S + (by_flops > by_bytes ? by_flops : by_bytes);
}

typedef struct paper {
    const fari_plan *plan;
    const double *seconds;
    int32_t *waits;
    uint8_t *is_ready;
    double *ready_at; /* when an instruction's last dependence ends */
    double disk_free_at;
} paper;

/* Instruction `idx` ends at `stop`. Pieces for the disk, which need no thread, begin as they become ready, one after the other. Gives how many
   instructions have ended. */
static int64_t end_at(paper *p, int64_t idx, double stop)
{
    const fari_plan *plan = p->plan;
    int64_t ended = 1;
    p->is_ready[idx] = 2;
    for (int64_t s = plan->succ0[idx]; s < plan->succ0[idx + 1]; s++) {
        const int32_t next = plan->succ[s];
        if (stop > p->ready_at[next]) p->ready_at[next] = stop;
        if (--p->waits[next] > 0 || !fari_instr_is_move(&plan->instrs[next])) continue;
        if (p->ready_at[next] > p->disk_free_at) p->disk_free_at = p->ready_at[next];
        p->disk_free_at += p->seconds[next];
        ended += end_at(p, next, p->disk_free_at);
    }
    return ended;
}

/* Greedy list schedule: each free thread takes the first ready instruction, as the executor does. */
static double schedule(paper *p)
{
    const fari_plan *plan = p->plan;
    const int32_t threads = plan->opts.threads < THREADS_MAX ? plan->opts.threads : THREADS_MAX;
    double free_at[THREADS_MAX] = { 0.0 }, end = 0.0;
    int64_t done = 0, first = 0;
    memcpy(p->waits, plan->indegree, (size_t)plan->instr_count * sizeof *p->waits);
    memset(p->is_ready, 0, (size_t)plan->instr_count * sizeof *p->is_ready);
    memset(p->ready_at, 0, (size_t)plan->instr_count * sizeof *p->ready_at);
    p->disk_free_at = 0.0;
    while (done < plan->instr_count) {
        int32_t t = 0;
        int64_t pick = -1, soonest = -1;
        for (int32_t i = 1; i < threads; i++)
            if (free_at[i] < free_at[t]) t = i;
        while (first < plan->instr_count && p->is_ready[first] == 2) first++;
        for (int64_t i = first; i < plan->instr_count && pick < 0 && i < first + 4096; i++) {
            if (p->is_ready[i] == 2 || p->waits[i] > 0) continue;
            if (p->ready_at[i] <= free_at[t]) pick = i;
            else if (soonest < 0 || p->ready_at[i] < p->ready_at[soonest]) soonest = i;
        }
        if (pick < 0) pick = soonest;
        FAR_ASSERT(pick >= 0);
        const double begin = p->ready_at[pick] > free_at[t] ? p->ready_at[pick] : free_at[t];
        const double stop = begin + p->seconds[pick];
        free_at[t] = stop;
        if (stop > end) end = stop;
        done += end_at(p, pick, stop);
    }
    return end > p->disk_free_at ? end : p->disk_free_at;
}

far_status fari_predict(const fari_calibration *cal, const fari_plan *plan, fari_prediction *prediction_out,
                        double *per_instr_out)
{
    const size_t instrs = (size_t)plan->instr_count + 1;
    double *seconds = fari_calloc(instrs, sizeof *seconds), measured = 0.0;
    paper p = { .plan = plan, .seconds = seconds };
    fari_text text = { 0 };
    far_status st = FAR_OK;
    memset(prediction_out, 0, sizeof *prediction_out);
    p.waits = fari_calloc(instrs, sizeof *p.waits);
    p.is_ready = fari_calloc(instrs, sizeof *p.is_ready);
    p.ready_at = fari_calloc(instrs, sizeof *p.ready_at);
    if (seconds == NULL || p.waits == NULL || p.is_ready == NULL || p.ready_at == NULL) {
        st = FAR_FAIL(FAR_E_NOMEM, "no memory to predict a step");
        goto done;
    }
    for (int64_t i = 0; i < plan->instr_count; i++) {
        uint64_t key = 0;
        const bool is_looked_up = cal != NULL && plan->instrs[i].kind == FARI_INSTR_CALL;
        if (is_looked_up) FAR_TRY_GOTO(instr_key(plan, &plan->instrs[i], &text, &key), done);
        const entry *known = is_looked_up ? find(cal, key) : NULL;
        seconds[i] = known != NULL ? known->seconds : estimate(plan, i);
        *(fari_instr_is_move(&plan->instrs[i]) ? &prediction_out->disk_s : &prediction_out->busy_s) += seconds[i];
        if (known != NULL) measured += seconds[i];
    }
    if (per_instr_out != NULL) memcpy(per_instr_out, seconds, (size_t)plan->instr_count * sizeof *seconds);
    prediction_out->step_s = schedule(&p);
    if (prediction_out->disk_s > 0.0) {
        for (int64_t i = 0; i < plan->instr_count; i++)
            if (fari_instr_is_move(&plan->instrs[i])) seconds[i] = 0.0;
        const double without_s = schedule(&p);
        prediction_out->disk_adds_s = prediction_out->step_s > without_s ? prediction_out->step_s - without_s : 0.0;
    }
    prediction_out->measured_share = prediction_out->busy_s > 0.0 ? measured / prediction_out->busy_s : 0.0;
done:
    fari_text_free(&text);
    fari_free(seconds);
    fari_free(p.waits);
    fari_free(p.is_ready);
    fari_free(p.ready_at);
    return st;
}
