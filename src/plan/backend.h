/* What the plan asks of a backend, and what the executor calls. A backend is a const table of questions and answers; backends never
   include each other and the plan never includes a backend. */
#ifndef FARI_PLAN_BACKEND_H
#define FARI_PLAN_BACKEND_H
#include "graph/graph.h"

/* What a backend will do for one geometry of one op: `call` with data == NULL everywhere.
   Two calls with equal answers of `prepare` may share them: the plan asks once per distinct geometry. */
typedef struct fari_prepared {
    fari_kernel_fn run;
    void *state; /* immutable while running, shared by threads; released by `release`. Given to run as call->prepared */
    size_t scratch_bytes; /* per thread, while the call runs */
    const char *
        impl; /* static or owned by state: which implementation, e.g. "brgconv:avx512_core", "farandole:avx2", "reference" */
    /* Inputs that the kernel wants in a form of its own (convolution weights). pack_bytes[i] == 0: as it is. Packed once a step
       from the whole tensor; packs with equal pack_id of the same tensor are shared. */
    size_t pack_bytes[FARI_IN_MAX];
    uint64_t pack_id[FARI_IN_MAX];
    /* REDUCE: partials are kept in a form of the kernel's own and unpacked once at the root (0: as out[0]). Elementwise f32 sums of
       packed partials must mean sums of the tensors. */
    size_t partial_bytes;
    bool is_reference;
} fari_prepared;

typedef struct fari_backend fari_backend;
struct fari_backend {
    const char *name;
    const char *isa; /* the instruction sets its kernels use, on which bits depend; lives as long as the backend */
    /* Chooses a kernel for the geometry and makes what it needs. Falls back to the op's reference kernel. */
    far_status (*prepare)(fari_backend *backend, const fari_call *call, fari_prepared *prepared_out);
    void (*release)(fari_backend *backend, fari_prepared *prepared);
    /* Packs input `input_idx`: plain is the whole tensor (dense, f32), packed has pack_bytes. scratch: as `prepare` said. */
    far_status (*pack)(const fari_prepared *prepared, int32_t input_idx, const void *plain, void *packed);
    /* Turns a summed partial into the plain output tensor. */
    far_status (*unpack)(const fari_prepared *prepared, const void *partial, void *plain);
    /* Plain sum of partials, elems floats (or doubles): left += right; a fixed instruction sequence. */
    void (*add_f32)(float *left, const float *right, int64_t elems);
    /* Called once on each thread that will run calls. */
    void (*thread_begin)(fari_backend *backend);
    void (*destroy)(fari_backend *backend);
};

/* src/backends/cpu/backend.c. isa_limit: NULL, or "base", "avx2", "avx512" to go no further (tests). */
far_status fari_backend_cpu_create(const char *isa_limit, fari_backend **backend_out);
/* Reference kernels only, any of f32 and f64: src/plan/backend_reference.c. */
far_status fari_backend_reference_create(fari_backend **backend_out);
#endif
