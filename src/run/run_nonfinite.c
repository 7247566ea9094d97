/* Numbers that are none: which tensor was the first, which checkpoint is still good, what to do. */
#include "base/mem.h"
#include "run/run_priv.h"
#include <inttypes.h>
#include <math.h>
#include <string.h>

static const char *number_name(double value)
{
    return isnan(value) ? "nan" : value > 0.0 ? "inf" : "-inf";
}

/* From where one can go on. */
static const char *good_checkpoint(const far_run *run, char text_out[300])
{
    if (run->saved_step < 0) (void)snprintf(text_out, 300, "no checkpoint has been written yet");
    else
        (void)snprintf(text_out, 300,
                       "checkpoint %" PRId64
                       " is good: farandole train --resume %.200s optim.lr=... goes on from there",
                       run->saved_step, run->folder);
    return text_out;
}

/* " (sample 17, cat/3.jpg)", or "" */
static const char *sample_name(const far_run *run, const fari_step *step, const fari_bad_tensor *bad,
                               char text_out[300])
{
    text_out[0] = '\0';
    if (bad->sample < 0) return text_out;
    const int64_t id = step->sample_ids[bad->sample];
    const char *name = id >= 0 ? far_dataset_sample_name(run->data.train, id) : NULL;
    (void)snprintf(text_out, 300, " (sample %" PRId64 "%s%.200s)", id, name != NULL ? ", " : "",
                   name != NULL ? name : "");
    return text_out;
}

static const char *const lower = "lower optim.lr, clip gradients (optim.clip_norm) or lengthen the warm-up";

/* How it came to be bad, and what to do about it. */
static void explain_origin(const fari_bad_tensor *bad, const char **origin_out, const char **advice_out)
{
    *advice_out = lower;
    *origin_out = "computed from finite numbers";
    if (strcmp(bad->op, "parameter") == 0) *origin_out = "left so by the step before";
    if (strcmp(bad->op, "input") != 0) return;
    *origin_out = "as read from the data";
    *advice_out = "look at that sample";
}

/* What the first bad tensor is called: words, because ranks tell each other. */
typedef struct finding {
    bool is_there;
    int64_t place[4];
    char words[700];
} finding;

static void word_tensor(const far_run *run, const fari_step *step, const fari_bad_tensor *bad, finding *found)
{
    char shape[128], sample[300], rows[64] = "", rank[100] = "";
    const char *origin, *advice;
    explain_origin(bad, &origin, &advice);
    if (bad->row_hi > 0)
        (void)snprintf(rows, sizeof rows, ", rows %" PRId64 " to %" PRId64, bad->row_lo, bad->row_hi - 1);
    if (run->comm != NULL && bad->place[0] >= 0)
        (void)snprintf(rank, sizeof rank, " on rank %d (%.60s)", (int)run->comm->rank,
                       run->comm->hosts[run->comm->rank]);
    (void)snprintf(found->words, sizeof found->words, "%s \"%.100s\" [%s]%s%s%s, %" PRId64 " elements %s, %s: %s",
                   bad->op, bad->name, far_shape_text(&bad->shape, shape), sample_name(run, step, bad, sample), rows,
                   rank, bad->count, number_name(bad->value), origin, advice);
}

static bool is_before(const finding *one, const finding *other)
{
    for (size_t i = 0; i < FAR_COUNT(one->place); i++)
        if (one->place[i] != other->place[i]) return one->place[i] < other->place[i];
    return false;
}

/* Collective: the first of all that ranks have found. */
static far_status agree(const far_run *run, finding *found_io)
{
    void *gathered = NULL;
    const finding own = *found_io;
    if (run->comm == NULL) return FAR_OK;
    FAR_TRY(run_shared_gather(run, &own, sizeof own, &gathered));
    const finding *all = gathered;
    *found_io = all[0];
    for (int32_t r = 1; r < run->comm->world_size; r++)
        if (all[r].is_there && (!found_io->is_there || is_before(&all[r], found_io))) *found_io = all[r];
    fari_free(gathered);
    return FAR_OK;
}

far_status run_explain_nonfinite(far_run *run, const fari_step *step)
{
    char loss[64], when[96], checkpoint[300];
    finding found = { 0 };
    fari_bad_tensor bad;
    (void)snprintf(loss, sizeof loss, "%.60s", far_error_message());
    (void)snprintf(when, sizeof when, "at step %" PRId64 " of %" PRId64 " (epoch %" PRId64 ")", run->step + 1,
                   run->steps_total, run->epoch + 1);
    FAR_TRY(run_shared_step_end(run));                     /* ranks have all come here: the loss is the same on all */
    if (run->saver != NULL) FAR_TRY(run_save_finish(run)); /* it is called good */
    const far_status st = fari_executor_find_bad(run->train.exec, step, &bad);
    if (st == FAR_E_PEER) return st;
    found.is_there = st == FAR_OK;
    if (found.is_there) {
        memcpy(found.place, bad.place, sizeof found.place);
        word_tensor(run, step, &bad, &found);
    }
    FAR_TRY(agree(run, &found));
    if (!found.is_there)
        return FAR_FAIL(FAR_E_NONFINITE, "%s %s: %s; %s", loss, when, lower, good_checkpoint(run, checkpoint));
    return FAR_FAIL(FAR_E_NONFINITE, "%s %s. First bad tensor: %s; %s", loss, when, found.words,
                    good_checkpoint(run, checkpoint));
}

far_status run_check_finite(const far_run *run)
{
    char checkpoint[300];
    const fari_kept *bad = fari_store_find_bad(run->store);
    if (bad == NULL) return FAR_OK;
    return FAR_FAIL(FAR_E_NONFINITE,
                    "%s \"%s\" is not finite after step %" PRId64 " of %" PRId64
                    ", so no checkpoint of it was written: %s; %s",
                    bad->role == FARI_ROLE_PARAM   ? "parameter"
                    : bad->role == FARI_ROLE_STATE ? "running statistic"
                                                   : "optimizer state",
                    bad->name, run->step, run->steps_total, lower, good_checkpoint(run, checkpoint));
}
