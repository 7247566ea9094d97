#include "data/shuffle.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/status.h"
#include <farandole/data.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define ROUNDS 8

fari_perm fari_perm_of(uint64_t seed, int64_t epoch, int64_t count)
{
    fari_perm perm = { fari_rng_key(seed, FARI_RNG_SHUFFLE, (uint64_t)epoch, 0), (uint64_t)count, 1, 1 };
    while (perm.left * perm.left < perm.count) perm.left++;
    if (perm.count > 0) perm.right = (perm.count + perm.left - 1) / perm.left;
    return perm;
}

/* A Feistel network on pairs (l, r) in [0, left) x [0, right) with additions, each round of which can be undone whatever the function, so
   the whole is a permutation of left * right places; places outside [0, count) are passed on until one is inside (cycle walking; Black and
   Rogaway 2002). Fewer than `left` places are outside. */
int64_t fari_perm_at(const fari_perm *perm, int64_t pos)
{
    uint64_t place = (uint64_t)pos;
    do {
        uint64_t l = place % perm->left, r = place / perm->left;
        for (uint64_t round = 0; round < ROUNDS; round += 2) {
            l = (l + fari_rng_below(perm->key + round, r, perm->left)) % perm->left;
            r = (r + fari_rng_below(perm->key + round + 1, l, perm->right)) % perm->right;
        }
        place = r * perm->left + l;
    } while (place >= perm->count);
    return (int64_t)place;
}

int64_t far_shuffle(uint64_t seed, int64_t epoch, int64_t count, int64_t pos)
{
    const fari_perm perm = fari_perm_of(seed, epoch, count);
    return fari_perm_at(&perm, pos);
}

/* --- setting apart --- */

typedef struct ranked {
    uint64_t hash;
    int64_t sample;
} ranked;

static int compare_hashes(const void *a, const void *b)
{
    const ranked *x = a, *y = b;
    if (x->hash != y->hash) return x->hash < y->hash ? -1 : 1;
    return (x->sample > y->sample) - (x->sample < y->sample);
}

static int compare_samples(const void *a, const void *b)
{
    const ranked *x = a, *y = b;
    return (x->sample > y->sample) - (x->sample < y->sample);
}

/* Writes the samples in two ascending lists: from `held` on of `all`, sorted by hash, are those kept. */
static void write_lists(ranked *all, int64_t count, int64_t held, int64_t *kept_out, int64_t *held_out)
{
    if (held > 0) qsort(all, (size_t)held, sizeof *all, compare_samples);
    if (held < count) qsort(all + held, (size_t)(count - held), sizeof *all, compare_samples);
    for (int64_t i = 0; i < held; i++) held_out[i] = all[i].sample;
    for (int64_t i = held; i < count; i++) kept_out[i - held] = all[i].sample;
}

far_status far_sample_split(int64_t sample_count, int64_t holdout_count, uint64_t seed, int64_t *kept_out,
                            int64_t *held_out)
{
    if (sample_count < 0 || holdout_count < 0 || holdout_count > sample_count)
        return FAR_FAIL(FAR_E_ARG, "cannot set %" PRId64 " of %" PRId64 " samples apart", holdout_count, sample_count);
    if (sample_count == 0) return FAR_OK;
    ranked *all = fari_calloc((size_t)sample_count, sizeof *all);
    if (all == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory to split %" PRId64 " samples", sample_count);
    for (int64_t i = 0; i < sample_count; i++)
        all[i] = (ranked){ fari_rng_key(seed, FARI_RNG_SPLIT, 0, (uint64_t)i), i };
    qsort(all, (size_t)sample_count, sizeof *all, compare_hashes);
    write_lists(all, sample_count, holdout_count, kept_out, held_out);
    fari_free(all);
    return FAR_OK;
}

/* The first 8 bytes of the SHA-256 of a name: what sha256sum prints first. */
static uint64_t hash_of_name(const char *name)
{
    fari_sha256 sha;
    uint8_t digest[32];
    uint64_t hash = 0;
    fari_sha256_begin(&sha);
    fari_sha256_add(&sha, name, strlen(name));
    fari_sha256_end(&sha, digest);
    for (int i = 0; i < 8; i++) hash = hash << 8 | digest[i];
    return hash;
}

far_status far_dataset_split(const far_dataset *dataset, double holdout, uint64_t seed, int64_t *ids_out,
                             int64_t *kept_out)
{
    const int64_t count = far_dataset_info_of(dataset).sample_count;
    const bool is_share = holdout < 1.0;
    if (!(holdout >= 0.0 && (is_share || (holdout == floor(holdout) && holdout <= (double)count))))
        return FAR_FAIL(FAR_E_ARG, "cannot set %g of %" PRId64 " samples apart", holdout, count);
    ranked *all = fari_calloc((size_t)count, sizeof *all);
    int64_t held = is_share ? 0 : (int64_t)holdout;
    if (all == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory to split %" PRId64 " samples", count);
    for (int64_t i = 0; i < count; i++) {
        const char *name = far_dataset_sample_name(dataset, i);
        all[i] = (ranked){ name != NULL ? hash_of_name(name) : fari_rng_key(seed, FARI_RNG_SPLIT, 0, (uint64_t)i), i };
        held += is_share && ldexp((double)all[i].hash, -64) < holdout;
    }
    qsort(all, (size_t)count, sizeof *all, compare_hashes);
    write_lists(all, count, held, ids_out, ids_out + (count - held));
    *kept_out = count - held;
    fari_free(all);
    return FAR_OK;
}
