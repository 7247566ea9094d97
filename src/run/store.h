/* What outlives a step: parameters, running statistics, optimizer state. One block; tensors found by role and name. */
#ifndef FARI_RUN_STORE_H
#define FARI_RUN_STORE_H
#include "graph/graph.h"

typedef struct fari_kept {
    char *name;
    fari_role role;
    far_dtype dtype; /* as stored: f64 for f32 tensors of an oracle run */
    far_shape shape;
    far_init init;
    int64_t offset, bytes;
    bool frozen;
} fari_kept;

typedef struct fari_store {
    fari_kept *kept;
    int64_t kept_count;
    void *data;
    int64_t bytes;
} fari_store;

/* Makes the block for the graph's kept tensors and fills it with their initial values: pure functions of (seed, name, element). */
far_status fari_store_create(const far_graph *graph, bool is_f64, uint64_t seed, fari_store **store_out);
void fari_store_destroy(fari_store *store);
/* NULL when there is none. */
fari_kept *fari_store_find(const fari_store *store, fari_role role, const char *name);
/* Like find for parameters, states, optimizer states in turn. */
fari_kept *fari_store_find_any(const fari_store *store, const char *name);
void *fari_store_data(const fari_store *store, const fari_kept *kept);
/* The first tensor with an element that is not finite, NULL: all are. */
const fari_kept *fari_store_find_bad(const fari_store *store);
/* SHA-256 of all parameters and states, in order, as 64 hex digits. */
void fari_store_digest(const fari_store *store, bool has_opt_state, char hex_out[65]);
#endif
