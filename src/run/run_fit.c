/* Whether there is as much memory as a run takes, and what would fit where there is not. */
#include "base/mem.h"
#include "plan/print.h"
#include "run/machine.h"
#include "run/run_priv.h"
#include <inttypes.h>
#include <string.h>

/* Memory this process may take: as configured, else what is free. */
int64_t run_memory_limit(const far_run *run)
{
    const int64_t set = far_config_i64(run->config, "memory");
    if (set > 0) return set;
    const int64_t available = fari_machine_memory_available(""), group = fari_machine_memory_limit("");
    const int64_t group_left = group > 0 ? group - fari_machine_memory_used_of_limit("") : INT64_MAX;
    const int64_t least = available > 0 && available < group_left ? available : group_left;
    return least > 0 ? least / run_core_share(run) : INT64_MAX;
}

#define PROCESS_BYTES (INT64_C(40) << 20) /* code, libraries, stacks: the constant of docs/architecture.md */

int64_t run_bytes_in_all(const far_run *run)
{
    return far_run_planned_bytes(run) + PROCESS_BYTES;
}

/* A copy of a configuration with one key changed. */
static far_status copy_with(const far_config *config, const char *assignment, far_config **copy_out)
{
    char *text = NULL;
    far_config *copy = NULL;
    far_status st;
    FAR_TRY(far_config_dump(config, &text));
    FAR_TRY_GOTO(far_config_create(&copy), free_text);
    FAR_TRY_GOTO(far_config_parse(copy, "a smaller run", text, strlen(text)), destroy);
    FAR_TRY_GOTO(far_config_set(copy, assignment), destroy);
    *copy_out = copy;
    copy = NULL;
destroy:
    far_config_destroy(copy);
free_text:
    far_config_text_free(text);
    return st;
}

/* Bytes that the run would take with `assignment`. Plans it with the same open data; runs nothing. */
static far_status measure(const far_run *run, const char *assignment, int64_t *bytes_out)
{
    far_config *config = NULL;
    far_status st = FAR_OK;
    far_run *probe = fari_calloc(1, sizeof *probe);
    if (probe == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory to plan a smaller run");
    FAR_TRY_GOTO(copy_with(run->config, assignment, &config), free_probe);
    probe->config = config;
    probe->opts.purpose = run->opts.purpose;
    probe->data = run->data;
    st = run_plan_sides(probe);
    if (st == FAR_OK) st = run_spill_fit(probe);
    if (st == FAR_OK) *bytes_out = run_bytes_in_all(probe);
    run_unbuild(probe);
    far_config_destroy(config);
free_probe:
    fari_free(probe);
    return st;
}

/* Adds "batch=8 (1.2 GB)" where the run fits so. */
static bool suggest(const far_run *run, const char *assignment, int64_t limit, fari_text *text)
{
    char bytes_text[32];
    int64_t bytes = 0;
    if (measure(run, assignment, &bytes) != FAR_OK || bytes > limit) return false;
    fari_text_add(text, "%s%s (%s)", text->bytes > 0 ? ", " : "", assignment, fari_bytes_text(bytes, bytes_text));
    return true;
}

/* The largest of the batches halved again and again that fits. */
static void suggest_batch(const far_run *run, int64_t limit, fari_text *text)
{
    char assignment[64];
    for (int64_t batch = far_config_i64(run->config, "batch") / 2; batch >= 1; batch /= 2) {
        (void)snprintf(assignment, sizeof assignment, "batch=%" PRId64, batch);
        if (suggest(run, assignment, limit, text)) return;
    }
}

static void suggest_downsample(const far_run *run, int64_t limit, fari_text *text)
{
    char assignment[64];
    const far_dataset_info *info = &run->data.info;
    if (run->data.train_frame.fit != FAR_FIT_AS_IS) return; /* of images that are cut or resized there is data.size */
    for (int64_t halvings = far_config_i64(run->config, "data.downsample") + 1; halvings <= 6; halvings++) {
        const int64_t blocks = INT64_C(1) << halvings;
        if (info->height % blocks != 0 || info->width % blocks != 0) return;
        (void)snprintf(assignment, sizeof assignment, "data.downsample=%" PRId64, halvings);
        if (suggest(run, assignment, limit, text)) return;
    }
}

far_status run_check_fit(const far_run *run)
{
    char need[32], have[32];
    fari_text text = { 0 };
    const int64_t bytes = run_bytes_in_all(run), limit = run_memory_limit(run);
    if (bytes <= limit) return FAR_OK;
    if (run->comm != NULL)
        return FAR_FAIL(
            FAR_E_NOFIT,
            "rank %d needs %s and there are %s for it; nothing was started. More ranks, or a layout that cuts "
            "what is large: farandole plan --ranks N --layout ... says what each takes",
            (int)run->comm->rank, fari_bytes_text(bytes, need), fari_bytes_text(limit, have));
    const bool is_spilled = run->train.spill.mode != FARI_SPILL_NONE || run->eval.spill.mode != FARI_SPILL_NONE;
    if (!is_spilled) { /* first what gives the same results */
        (void)suggest(run, "exec.spill=most", limit, &text);
        if (run_is_training(run) && strcmp(far_config_text(run->config, "exec.recompute"), "most") != 0)
            (void)suggest(run, "exec.recompute=most", limit, &text);
    }
    if (run->data.has_rows && strcmp(far_config_text(run->config, "data.feed"), "rows") != 0)
        (void)suggest(run, "data.feed=rows", limit, &text);
    suggest_batch(run, limit, &text);
    suggest_downsample(run, limit, &text);
    if (run->native.is_on) (void)suggest(run, "eval.size=fixed", limit, &text);
    const bool has_some = text.bytes > 0 && !text.failed;
    const char *spilled = is_spilled ? ", with all on disk that can wait there," : "";
    const far_status st = FAR_FAIL(
        FAR_E_NOFIT,
        "the plan needs %s%s and there are %s; nothing was started. %s%s; more memory is given with memory=SIZE",
        fari_bytes_text(bytes, need), spilled, fari_bytes_text(limit, have), has_some ? "What would fit: " : "",
        has_some ? text.data : "No smaller batch and no data.downsample would fit: take a smaller network (model.*)");
    fari_text_free(&text);
    return st;
}
