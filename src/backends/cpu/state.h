/* What this backend keeps for one geometry of an op that a library runs. Found again by its key, so that equal geometries of
   different layers and grains share it. */
#ifndef FARI_CPU_STATE_H
#define FARI_CPU_STATE_H
#include "backends/cpu/loops.h"
#include "plan/backend.h"

typedef struct fari_cpu_state fari_cpu_state;
struct fari_cpu_state {
    fari_prepared answer; /* answer.state is this struct */
    far_status (*pack)(const fari_cpu_state *state, int32_t input_idx, const void *plain, void *packed);
    far_status (*unpack)(const fari_cpu_state *state, const void *partial, void *plain);
    void (*destroy)(fari_cpu_state *state); /* frees what the library made and the struct */
    /* The cache's own: state_cache.c. */
    int64_t users;
    uint64_t key_hash;
    void *key;
    fari_cpu_state *next;
};

#define FARI_CPU_KEY_BYTES 896

/* How one op is run by a library, or by kernels of ours that pack weights. The key holds all that `make` may look at, and unused bytes are zero. */
typedef struct fari_cpu_maker {
    const fari_op *op;
    /* False: it cannot do that, or another does it faster. `isa`: of our own kernels. */
    bool (*describe)(const fari_call *call, fari_isa isa, void *key_out);
    /* Leaves *state_out NULL where the library has nothing better than a reference. */
    far_status (*make)(const void *key, const fari_cpu_loops *loops, fari_cpu_state **state_out);
} fari_cpu_maker;

extern const fari_cpu_maker fari_cpu_thin_makers[];     /* ends with a NULL op */
extern const fari_cpu_maker fari_cpu_fan_makers[];      /* ends with a NULL op */
extern const fari_cpu_maker fari_cpu_plane_makers[];    /* ends with a NULL op */
extern const fari_cpu_maker fari_cpu_wide_makers[];     /* ends with a NULL op */
extern const fari_cpu_maker fari_cpu_pixel_makers[];    /* ends with a NULL op */
extern const fari_cpu_maker fari_cpu_winograd_makers[]; /* ends with a NULL op */
extern const fari_cpu_maker fari_cpu_conv_makers[];     /* ends with a NULL op */
extern const fari_cpu_maker fari_cpu_linear_makers[];   /* ends with a NULL op */

/* All states of a backend. Zeroed is empty. Calls on one cache exclude each other by the caller's lock. */
typedef struct fari_cpu_cache {
    fari_cpu_state *first;
    int64_t count;
} fari_cpu_cache;

/* A state for the call, new or shared: one more user. *state_out is NULL where no library runs it. */
far_status fari_cpu_cache_take(fari_cpu_cache *cache, const fari_call *call, const fari_cpu_loops *loops,
                               fari_cpu_state **state_out);
/* One user less; the last one destroys the state. */
void fari_cpu_cache_return(fari_cpu_cache *cache, fari_cpu_state *state);
void fari_cpu_cache_clear(fari_cpu_cache *cache);
#endif
