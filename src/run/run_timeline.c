/* A timeline of a run: some steps of all ranks, in one file, each rank writing its own stretch of it. */
#include "base/file.h"
#include "base/mem.h"
#include "run/run_priv.h"
#include <inttypes.h>
#include <math.h>
#include <string.h>

#define FIRST_STEP 3 /* of this life of the run: before it pages, caches and clocks settle */
#define BOOT_BYTES 40

static const char head[] = "{\"displayTimeUnit\":\"ms\",\"traceEvents\":[\n", tail[] = "]}\n";

/* What ranks tell each other before they write. */
typedef struct words {
    char boot[BOOT_BYTES]; /* of the kernel: one kernel has one clock */
    double begin_s;
    int64_t sends;
} words;

bool run_timeline_is_due(const far_run *run)
{
    const int64_t left = run->steps_total - run->step;
    if (run->timeline == NULL) return false;
    return run->clocks.steps >= FIRST_STEP || (run->opts.purpose == FAR_RUN_TRAIN && left <= FARI_TIMELINE_STEPS);
}

/* ---- clocks ---- */

static bool is_one_clock(const words *all, int32_t ranks)
{
    for (int32_t r = 1; r < ranks; r++)
        if (memcmp(all[r].boot, all[0].boot, BOOT_BYTES) != 0 || all[0].boot[0] == '\0') return false;
    return true;
}

/* least [of][from]: the shortest way of a message by both clocks. What there and back differ in is taken for twice the difference of the
   clocks, as NTP does; a rank is held against one that is known already. */
static void clocks_compare(const double *least, int32_t ranks, double *ahead_out, bool *is_known)
{
    for (int32_t r = 0; r < ranks; r++) {
        ahead_out[r] = 0.0;
        is_known[r] = r == 0;
    }
    for (bool has_found = true; has_found;) {
        has_found = false;
        for (int32_t a = 0; a < ranks; a++)
            for (int32_t b = 0; b < ranks && is_known[a]; b++) {
                const double there = least[(int64_t)b * ranks + a], back = least[(int64_t)a * ranks + b];
                if (is_known[b] || !isfinite(there) || !isfinite(back)) continue;
                ahead_out[b] = ahead_out[a] + 0.5 * (there - back);
                is_known[b] = has_found = true;
            }
    }
}

/* NULL: all clocks are one. */
static far_status clocks_gather(const far_run *run, const words *all, double **ahead_out)
{
    const int32_t ranks = run->comm->world_size;
    void *least = NULL;
    far_status st = FAR_OK;
    if (is_one_clock(all, ranks)) return FAR_OK;
    double *own = fari_calloc((size_t)ranks, sizeof *own), *ahead = fari_calloc((size_t)ranks, sizeof *ahead);
    bool *is_known = fari_calloc((size_t)ranks, sizeof *is_known);
    if (own == NULL || ahead == NULL || is_known == NULL) {
        st = FAR_FAIL(FAR_E_NOMEM, "no memory to compare the clocks of %d ranks", (int)ranks);
    } else {
        for (int32_t r = 0; r < ranks; r++) own[r] = fari_timeline_least_s(run->timeline, r);
        st = run_shared_gather(run, own, (size_t)ranks * sizeof *own, &least);
    }
    if (st == FAR_OK) {
        clocks_compare(least, ranks, ahead, is_known);
        *ahead_out = ahead;
        ahead = NULL;
    }
    fari_free(least);
    fari_free(own); /* once the gathering is over */
    fari_free(ahead);
    fari_free(is_known);
    return st;
}

/* ---- sends ---- */

static far_status sends_gather(const far_run *run, const words *all)
{
    const int32_t ranks = run->comm->world_size;
    int64_t most = 1;
    void *heard = NULL;
    for (int32_t r = 0; r < ranks; r++) most = all[r].sends > most ? all[r].sends : most;
    fari_timeline_send *own = fari_calloc((size_t)most, sizeof *own);
    if (own == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory for the sends of %d ranks", (int)ranks);
    fari_timeline_sends(run->timeline, own);
    const far_status st = run_shared_gather(run, own, (size_t)most * sizeof *own, &heard);
    for (int32_t r = 0; r < ranks && st == FAR_OK; r++)
        fari_timeline_hear(run->timeline, r, (const fari_timeline_send *)heard + r * most, all[r].sends);
    fari_free(heard);
    fari_free(own);
    return st;
}

/* ---- the file ---- */

/* Where this rank's stretch begins; the first rank has made the file, empty, before anybody learns that. */
static far_status stretch_of(const far_run *run, int64_t own, int64_t *from_out)
{
    void *all = NULL;
    int fd = -1;
    *from_out = 0;
    if (!run_is_follower(run)) {
        FAR_TRY(fari_file_create(run->opts.timeline, &fd));
        fari_file_close(fd);
    }
    if (run->comm == NULL) return FAR_OK;
    FAR_TRY(run_shared_gather(run, &own, sizeof own, &all));
    for (int32_t r = 0; r < run->comm->rank; r++) *from_out += ((const int64_t *)all)[r];
    fari_free(all);
    return FAR_OK;
}

static far_status write_stretch(const far_run *run, const fari_timeline_view *view)
{
    const int32_t ranks = run->comm != NULL ? run->comm->world_size : 1, rank = run->comm != NULL ? run->comm->rank : 0;
    fari_text text = { 0 };
    int64_t from = 0;
    far_status st = FAR_OK;
    if (rank == 0) fari_text_put(&text, head, sizeof head - 1);
    FAR_TRY_GOTO(fari_timeline_print(run->timeline, view, &text), done);
    if (rank + 1 == ranks) fari_text_put(&text, tail, sizeof tail - 1);
    FAR_TRY_GOTO(stretch_of(run, text.bytes, &from), done);
    st = fari_file_write_stretch(run->opts.timeline, from, text.data, (size_t)text.bytes);
done:
    fari_text_free(&text);
    return st;
}

static far_status timeline_write(const far_run *run)
{
    words own = { .begin_s = fari_timeline_begin_s(run->timeline), .sends = fari_timeline_send_count(run->timeline) };
    fari_timeline_view view = { .zero_s = own.begin_s };
    void *all = NULL;
    double *ahead = NULL;
    if (run->comm == NULL) return write_stretch(run, &view);
    FILE *file = fopen("/proc/sys/kernel/random/boot_id", "re");
    if (file != NULL) {
        if (fgets(own.boot, sizeof own.boot, file) == NULL) own.boot[0] = '\0';
        (void)fclose(file); /* read-only */
    }
    FAR_TRY(run_shared_gather(run, &own, sizeof own, &all));
    view.zero_s = ((const words *)all)->begin_s;
    view.host = run->comm->hosts != NULL ? run->comm->hosts[run->comm->rank] : NULL;
    far_status st = sends_gather(run, all);
    if (st == FAR_OK) st = clocks_gather(run, all, &ahead);
    view.ahead = ahead;
    if (st == FAR_OK) st = write_stretch(run, &view);
    fari_free(ahead);
    fari_free(all);
    return st;
}

far_status run_timeline_flush(far_run *run)
{
    const bool is_last = run->opts.purpose == FAR_RUN_TRAIN && run->step + 1 == run->steps_total;
    if (run->timeline == NULL || fari_timeline_steps(run->timeline) < (is_last ? 1 : FARI_TIMELINE_STEPS))
        return FAR_OK;
    const far_status st = timeline_write(run);
    fari_timeline_destroy(run->timeline);
    run->timeline = NULL;
    return st;
}
