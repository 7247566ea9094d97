/* Finds states of libraries by geometry. A plan has tens to hundreds: a list with hashes will do. */
#include "backends/cpu/state.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/status.h"
#include <string.h>

typedef struct cache_key {
    const fari_cpu_maker *maker;
    _Alignas(8) unsigned char geometry[FARI_CPU_KEY_BYTES];
} cache_key;

/* In the order in which they are asked. */
static const fari_cpu_maker *const all_makers[] = { fari_cpu_thin_makers, fari_cpu_plane_makers,
                                                    fari_cpu_fan_makers,  fari_cpu_winograd_makers,
                                                    fari_cpu_wide_makers, fari_cpu_pixel_makers,
                                                    fari_cpu_conv_makers, fari_cpu_linear_makers };

/* The first that takes the call, with its key; NULL: none does. */
static const fari_cpu_maker *maker_of(const fari_call *call, fari_isa isa, cache_key *key_out)
{
    for (size_t i = 0; i < FAR_COUNT(all_makers); i++)
        for (const fari_cpu_maker *maker = all_makers[i]; maker->op != NULL; maker++) {
            if (maker->op != call->node->op) continue;
            memset(key_out, 0, sizeof *key_out);
            key_out->maker = maker;
            if (maker->describe(call, isa, key_out->geometry)) return maker;
        }
    return NULL;
}

static fari_cpu_state *find(const fari_cpu_cache *cache, uint64_t hash, const cache_key *key)
{
    for (fari_cpu_state *state = cache->first; state != NULL; state = state->next)
        if (state->key_hash == hash && memcmp(state->key, key, sizeof *key) == 0) return state;
    return NULL;
}

static far_status add(fari_cpu_cache *cache, uint64_t hash, const cache_key *key, fari_cpu_state *state)
{
    state->key = fari_alloc(sizeof *key);
    if (state->key == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory for a kernel's key");
    memcpy(state->key, key, sizeof *key);
    state->key_hash = hash;
    state->next = cache->first;
    cache->first = state;
    cache->count++;
    return FAR_OK;
}

far_status fari_cpu_cache_take(fari_cpu_cache *cache, const fari_call *call, const fari_cpu_loops *loops,
                               fari_cpu_state **state_out)
{
    cache_key key;
    const fari_cpu_maker *maker = maker_of(call, loops->isa, &key);
    *state_out = NULL;
    if (maker == NULL) return FAR_OK;
    const uint64_t hash = fari_xxh3(&key, sizeof key);
    fari_cpu_state *state = find(cache, hash, &key);
    if (state == NULL) {
        FAR_TRY(maker->make(key.geometry, loops, &state));
        if (state == NULL) return FAR_OK;
        const far_status st = add(cache, hash, &key, state);
        if (st != FAR_OK) {
            state->destroy(state);
            return st;
        }
    }
    state->users++;
    *state_out = state;
    return FAR_OK;
}

static void drop(fari_cpu_cache *cache, fari_cpu_state *state)
{
    fari_cpu_state **link = &cache->first;
    while (*link != state) link = &(*link)->next;
    *link = state->next;
    cache->count--;
    fari_free(state->key);
    state->destroy(state);
}

void fari_cpu_cache_return(fari_cpu_cache *cache, fari_cpu_state *state)
{
    FAR_ASSERT(state->users > 0);
    if (--state->users == 0) drop(cache, state);
}

void fari_cpu_cache_clear(fari_cpu_cache *cache)
{
    while (cache->first != NULL) drop(cache, cache->first);
}
