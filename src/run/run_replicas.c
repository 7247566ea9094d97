/* Parameters, running statistics and optimizer state are held by all ranks of a run, with the same bits. Memory errs now and then, and a wrong
   bit would go on unseen: so checksums are compared every train.compare_every steps and before each checkpoint. */
#include "base/hash.h"
#include "base/mem.h"
#include "base/rng.h"
#include "run/run_priv.h"
#include <inttypes.h>
#include <string.h>

static const char *role_word(fari_role role)
{
    return role == FARI_ROLE_PARAM ? "parameter" : role == FARI_ROLE_STATE ? "statistic" : "optimizer state";
}

/* ---- where ranks differ ---- */

/* What the checksums of all tensors on all ranks come to. */
typedef struct verdict {
    int64_t tensor;       /* the first that is not the same everywhere, -1: none */
    int64_t tensor_count; /* of those */
    int32_t right, wrong; /* two ranks that differ in it */
    int32_t right_count;  /* ranks that hold what `right` holds */
    int32_t wrong_count;  /* ranks that do not */
} verdict;

/* The rank that most others agree with on tensor i, the lowest of several; how many hold the same. */
static int32_t most_agreed(const uint64_t *sums, int64_t tensors, int32_t ranks, int64_t i, int32_t *count_out)
{
    int32_t best = 0;
    *count_out = 0;
    for (int32_t r = 0; r < ranks; r++) {
        int32_t count = 0;
        for (int32_t other = 0; other < ranks; other++) count += sums[other * tensors + i] == sums[r * tensors + i];
        if (count <= *count_out) continue;
        best = r;
        *count_out = count;
    }
    return best;
}

/* sums [ranks][tensors] */
static verdict judge(const uint64_t *sums, int64_t tensors, int32_t ranks)
{
    verdict found = { .tensor = -1 };
    for (int64_t i = 0; i < tensors; i++) {
        int32_t count;
        const int32_t right = most_agreed(sums, tensors, ranks, i, &count);
        if (count == ranks) continue;
        if (found.tensor_count++ > 0) continue;
        found.tensor = i;
        found.right = right;
        found.right_count = count;
        found.wrong_count = ranks - count;
        for (int32_t r = ranks - 1; r >= 0; r--)
            if (sums[r * tensors + i] != sums[right * tensors + i]) found.wrong = r;
    }
    return found;
}

static void word_others(const verdict *found, char *text_out, size_t bytes)
{
    text_out[0] = '\0';
    if (found->tensor_count > 1)
        (void)snprintf(text_out, bytes, " and %" PRId64 " other tensor%s", found->tensor_count - 1,
                       found->tensor_count > 2 ? "s" : "");
}

/* Words the error; the same on all ranks. */
static far_status tell(const far_run *run, const verdict *found)
{
    const fari_kept *kept = &run->store->kept[found->tensor];
    const char *const *hosts = run->comm->hosts;
    char others[64], more[64] = "";
    word_others(found, others, sizeof others);
    if (found->right_count <= run->comm->world_size / 2)
        return FAR_FAIL(FAR_E_IO,
                        "rank %d on %s and rank %d on %s hold different bits of %s \"%s\"%s after step %" PRId64
                        "; after step %" PRId64
                        " all were the same. Most likely one of these machines has erred, and there is "
                        "no majority to say which. The checkpoints are good: farandole train --resume %s",
                        (int)found->right, hosts[found->right], (int)found->wrong, hosts[found->wrong],
                        role_word(kept->role), kept->name, others, run->step, run->compared_step, run->folder);
    if (found->wrong_count > 1) (void)snprintf(more, sizeof more, " and %d more", (int)found->wrong_count - 1);
    return FAR_FAIL(
        FAR_E_IO,
        "rank %d on %s%s has wrong bits in %s \"%s\"%s after step %" PRId64
        ": the %d other ranks agree on others; after step %" PRId64
        " all were the same. Most likely memory or a processor of that machine has erred. The checkpoints are good: "
        "farandole train --resume %s goes on, best without that machine",
        (int)found->wrong, hosts[found->wrong], more, role_word(kept->role), kept->name, others, run->step,
        (int)found->right_count, run->compared_step, run->folder);
}

/* Collective, on all ranks where their checksums are not the same. sums [kept_count + 1]: this rank's, the last of all the others. */
static far_status tell_difference(const far_run *run, const uint64_t *sums)
{
    const int64_t tensors = run->store->kept_count;
    void *all = NULL;
    FAR_TRY(run_shared_gather(run, sums, (size_t)tensors * sizeof *sums, &all));
    const verdict found = judge(all, tensors, run->comm->world_size);
    fari_free(all);
    return found.tensor < 0 ? FAR_FAIL(FAR_E_INTERNAL, "ranks differ in no tensor") : tell(run, &found);
}

static bool are_same(const uint64_t *all, int32_t count)
{
    bool same = true;
    for (int32_t r = 1; r < count; r++) same &= all[r] == all[0];
    return same;
}

far_status run_replicas_compare(far_run *run)
{
    const fari_store *store = run->store;
    void *all = NULL;
    if (run->comm == NULL || run->compared_step == run->step) return FAR_OK;
    uint64_t *sums = fari_calloc((size_t)store->kept_count + 1, sizeof *sums);
    if (sums == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory for %" PRId64 " checksums", store->kept_count);
    for (int64_t i = 0; i < store->kept_count; i++)
        sums[i] = fari_xxh3(fari_store_data(store, &store->kept[i]), (size_t)store->kept[i].bytes);
    uint64_t *total = &sums[store->kept_count];
    *total = fari_xxh3(sums, (size_t)store->kept_count * sizeof *sums);
    far_status st = run_shared_gather(run, total, sizeof *total, &all);
    if (st == FAR_OK && !are_same(all, run->comm->world_size)) st = tell_difference(run, sums);
    if (st == FAR_OK) run->compared_step = run->step;
    fari_free(all);
    fari_free(sums);
    return st;
}

/* ---- an error made on purpose ---- */

/* The first element from `first` on, going round, that is not zero: a zero's bit would be lost in the next update. */
static int64_t not_zero(const uint32_t *elems, int64_t count, int64_t first)
{
    for (int64_t i = 0; i < count; i++)
        if (elems[(first + i) % count] != 0) return (first + i) % count;
    return first;
}

void run_replicas_flip(far_run *run)
{
    const far_run_opts *opts = &run->opts;
    if (!opts->has_flip || run->step != opts->flip_step || run->comm == NULL || run->comm->rank != opts->flip_rank)
        return;
    const uint64_t draw = fari_rng_key(0, FARI_RNG_FLIP, (uint64_t)run->step, (uint64_t)opts->flip_rank);
    const fari_kept *kept = &run->store->kept[draw % (uint64_t)run->store->kept_count];
    uint32_t *words = fari_store_data(run->store, kept);
    const int64_t count = kept->bytes / (int64_t)sizeof *words;
    if (count > 0) words[not_zero(words, count, (int64_t)(draw >> 32) % count)] ^= UINT32_C(1) << 16;
}
