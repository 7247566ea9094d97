/* What the ranks of a run tell each other beside the messages of their plans: that they are about to do the same, where the run's folder is,
   what evaluations have counted, whether somebody wants to stop. The first rank writes; all hold the same parameters. */
#include "base/doing.h"
#include "base/mem.h"
#include "run/ranks.h"
#include "run/run_priv.h"
#include <farandole/info.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

#define FOLDER_BYTES 4096

bool run_is_follower(const far_run *run)
{
    return run->comm != NULL && run->comm->rank > 0;
}

int32_t run_core_share(const far_run *run)
{
    return run->comm != NULL ? run->comm->local_size : 1;
}

far_status run_shared_gather(const far_run *run, const void *own, size_t bytes, void **all_out)
{
    fari_comm *comm = run->comm;
    void *all = fari_calloc((size_t)comm->world_size, bytes);
    if (all == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory to hear from %d ranks", (int)comm->world_size);
    fari_doing(FARI_DOING_OTHER, 0, "tells the others what it has", NULL);
    far_status st = comm->ops->gather_begin(comm, own, bytes, all);
    fari_doing(FARI_DOING_AWAIT_RANKS, 0, "to hear from them", NULL); /* who is not here has not begun it */
    if (st == FAR_OK) st = comm->ops->gather_end(comm);
    if (st != FAR_OK) return st; /* not freed: it may still be written */
    *all_out = all;
    return FAR_OK;
}

/* ---- at the start ---- */

/* What has to be the same for the bits to be. */
typedef struct identity {
    char version[32], isa[32], config[68], grains[68], data[32], libraries[256];
} identity;

static const struct {
    const char *what, *advice;
    size_t at;
} equals[] = {
    { "version", "install one on all machines", offsetof(identity, version) },
    { "instruction set", "exec.isa lowers it on all of them", offsetof(identity, isa) },
    { "library versions", "install the same on all machines", offsetof(identity, libraries) },
    { "configuration", "all ranks need the same file and key=value", offsetof(identity, config) },
    { "number of samples", "all ranks need the same data", offsetof(identity, data) },
    { "grains", "all ranks need the same batch and grain.*", offsetof(identity, grains) },
};

static far_status identify(const far_run *run, identity *out)
{
    char hash[65];
    far_library library;
    size_t used = 0;
    memset(out, 0, sizeof *out);
    (void)snprintf(out->version, sizeof out->version, "%s", far_version());
    (void)snprintf(out->isa, sizeof out->isa, "%s", run->backend->isa);
    (void)snprintf(out->grains, sizeof out->grains, "%s", run->plan_grains);
    (void)snprintf(out->data, sizeof out->data, "%" PRId64, run->data.kept_count);
    FAR_TRY(far_config_hash(run->config, hash));
    (void)snprintf(out->config, sizeof out->config, "%s", hash);
    for (int32_t i = 0; i < far_library_count(); i++) {
        FAR_TRY(far_library_at(i, &library));
        if (library.changes_bits && used < sizeof out->libraries)
            used += (size_t)snprintf(out->libraries + used, sizeof out->libraries - used, "%s%s %s",
                                     used > 0 ? ", " : "", library.name, library.version);
    }
    return FAR_OK;
}

static far_status compare_all(const far_run *run, const identity *all)
{
    for (int32_t r = 1; r < run->comm->world_size; r++)
        for (size_t i = 0; i < FAR_COUNT(equals); i++) {
            const char *first = (const char *)&all[0] + equals[i].at, *other = (const char *)&all[r] + equals[i].at;
            if (strcmp(first, other) == 0) continue;
            return FAR_FAIL(FAR_E_CONFIG, "rank %d on %s has another %s than rank 0 on %s: %s, not %s; %s", (int)r,
                            run->comm->hosts[r], equals[i].what, run->comm->hosts[0], other, first, equals[i].advice);
        }
    return FAR_OK;
}

far_status run_shared_compare(const far_run *run)
{
    identity own;
    void *all = NULL;
    if (run->comm == NULL) return FAR_OK;
    FAR_TRY(identify(run, &own));
    FAR_TRY(run_shared_gather(run, &own, sizeof own, &all));
    const far_status st = compare_all(run, all);
    fari_free(all);
    return st;
}

far_status run_shared_weights(const far_run *run)
{
    char own[72] = "";
    void *all = NULL;
    far_status st = FAR_OK;
    if (run->comm == NULL) return FAR_OK;
    fari_store_digest(run->store, true, own);
    FAR_TRY(run_shared_gather(run, own, sizeof own, &all));
    for (int32_t r = 1; r < run->comm->world_size && st == FAR_OK; r++)
        if (memcmp(all, (const char *)all + (size_t)r * sizeof own, sizeof own) != 0)
            st = FAR_FAIL(
                FAR_E_IO,
                "rank %d on %s read other weights or optimizer state than rank 0 on %s: do both see the same files?",
                (int)r, run->comm->hosts[r], run->comm->hosts[0]);
    fari_free(all);
    return st;
}

/* run.hang_s, as the board has it. */
static int64_t patience_ms(const far_run *run)
{
    const double seconds = far_config_f64(run->config, "run.hang_s");
    if (!far_config_is_set(run->config, "run.hang_s")) return 0;
    if (!(seconds > 0.0)) return -1;
    return seconds < 1e12 ? (int64_t)ceil(1000.0 * seconds) : -1;
}

far_status run_shared_folder(far_run *run, bool *is_used_io)
{
    struct {
        char folder[FOLDER_BYTES];
        bool is_used;
    } own = { .is_used = *is_used_io }, *first;
    void *all = NULL;
    if (run->comm == NULL) return FAR_OK;
    if (run->folder != NULL && snprintf(own.folder, sizeof own.folder, "%s", run->folder) >= FOLDER_BYTES)
        return FAR_FAIL(FAR_E_ARG, "the path of the run's folder is longer than %d bytes", FOLDER_BYTES);
    FAR_TRY(run_shared_gather(run, &own, sizeof own, &all));
    first = all;
    *is_used_io = first->is_used;
    if (run->folder == NULL) run->folder = fari_strdup(first->folder);
    fari_free(all);
    if (run->folder != NULL) fari_ranks_tell_folder(run->opts.joined, run->folder);
    fari_ranks_tell_patience(run->opts.joined, patience_ms(run));
    return run->folder != NULL ? FAR_OK : FAR_FAIL(FAR_E_NOMEM, "no memory for a path");
}

/* ---- while training ---- */

far_status run_shared_flag(const far_run *run, bool *is_on_io)
{
    void *all = NULL;
    if (run->comm == NULL) return FAR_OK;
    FAR_TRY(run_shared_gather(run, is_on_io, sizeof *is_on_io, &all));
    memcpy(is_on_io, all, sizeof *is_on_io);
    fari_free(all);
    return FAR_OK;
}

far_status run_shared_sum(const far_run *run, double *sums_io, int64_t count)
{
    void *gathered = NULL;
    if (run->comm == NULL || count == 0) return FAR_OK;
    FAR_TRY(run_shared_gather(run, sums_io, (size_t)count * sizeof *sums_io, &gathered));
    const double *all = gathered;
    for (int64_t k = 0; k < count; k++) sums_io[k] = all[k];
    for (int64_t r = 1; r < run->comm->world_size; r++)
        for (int64_t k = 0; k < count; k++) sums_io[k] += all[r * count + k];
    fari_free(gathered);
    return FAR_OK;
}

far_status run_shared_unread(const far_run *run, int64_t *ids_io, int64_t batch)
{
    void *gathered = NULL;
    if (run->comm == NULL) return FAR_OK;
    FAR_TRY(run_shared_gather(run, ids_io, (size_t)batch * sizeof *ids_io, &gathered));
    const int64_t *all = gathered;
    for (int64_t r = 0; r < run->comm->world_size; r++)
        for (int64_t i = 0; i < batch; i++)
            if (all[r * batch + i] < 0) ids_io[i] = -1;
    fari_free(gathered);
    return FAR_OK;
}

static bool is_stop_asked(const far_run *run)
{
    return run->opts.should_stop != NULL && run->opts.should_stop(run->opts.stop_context);
}

far_status run_shared_step_begin(far_run *run, int64_t skipped)
{
    if (run->comm == NULL) {
        run->skipped += skipped;
        return FAR_OK;
    }
    if (run->words == NULL) run->words = fari_calloc((size_t)run->comm->world_size + 1, sizeof *run->words);
    if (run->words == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory to hear from %d ranks", (int)run->comm->world_size);
    fari_ranks_tell_step(run->opts.joined, run->step);
    bool is_written = false;
    if (run->saver != NULL) FAR_TRY(run_saver_poll(run->saver, &is_written));
    run->words[run->comm->world_size] = (run_word){ run->step, skipped, is_stop_asked(run), is_written };
    fari_doing(FARI_DOING_OTHER, 0, "tells the others where it stands", NULL);
    return run->comm->ops->gather_begin(run->comm, &run->words[run->comm->world_size], sizeof *run->words, run->words);
}

far_status run_shared_step_end(far_run *run)
{
    if (run->comm == NULL) return FAR_OK;
    fari_doing(FARI_DOING_AWAIT_RANKS, 0, "the end of the step", NULL);
    FAR_TRY(run->comm->ops->gather_end(run->comm));
    for (int32_t r = 0; r < run->comm->world_size; r++) {
        run->is_stop_agreed |= run->words[r].wants_stop != 0;
        if (run->mesh.spatial == 1 || r % run->mesh.spatial == 0)
            run->skipped += run->words[r].skipped; /* ranks of a column read the same samples */
        if (run->words[r].step != run->step)
            return FAR_FAIL(FAR_E_PEER, "rank %d on %s is at step %" PRId64 ", rank %d at %" PRId64, (int)r,
                            run->comm->hosts[r], run->words[r].step, (int)run->comm->rank, run->step);
    }
    return FAR_OK;
}

bool run_wants_stop(far_run *run)
{
    return run->comm != NULL ? run->is_stop_agreed : is_stop_asked(run);
}
