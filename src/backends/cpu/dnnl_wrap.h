/* oneDNN 2.x behind four nouns: engine, primitive, memory descriptor, reorder. Only this header includes the library's; only
 * dnnl_wrap.c, conv_*.c and linear_dnnl.c include this one.
 *
 * Threads  A primitive runs on one thread. oneDNN takes its thread count from OpenMP, when a primitive is made as well as when it
 *          runs, so both happen between fari_dnnl_one_thread_begin and _end, or on a thread that said fari_dnnl_thread_begin.
 * Memory   Scratchpads are the caller's. Executing takes dnnl_memory objects; each thread has a few generic ones (fari_dnnl_run),
 *          so that nothing of ours is allocated and nothing is shared. oneDNN itself makes a few small allocations an execution. */
#ifndef FARI_CPU_DNNL_WRAP_H
#define FARI_CPU_DNNL_WRAP_H
#include "backends/cpu/isa_select.h"
#include <dnnl.h>
#include <farandole/status.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FARI_DNNL_ARGS_MAX 6

/* The process's engine, made at the first call. `isa`: oneDNN goes no further; the first caller in a process decides. */
far_status fari_dnnl_start(fari_isa isa);
const char *fari_dnnl_isa_name(void); /* the instruction set it goes up to: "avx512_core" */
dnnl_engine_t fari_dnnl_engine(void);

int fari_dnnl_one_thread_begin(void); /* gives what _end wants */
void fari_dnnl_one_thread_end(int threads_before);
void fari_dnnl_thread_begin(void); /* for the rest of this thread's life */

typedef struct fari_dnnl_primitive {
    dnnl_primitive_desc_t desc;
    dnnl_primitive_t handle;
    size_t scratch_bytes;
    const char *impl; /* owned by desc */
} fari_dnnl_primitive;

/* Which of oneDNN's implementations, by their names ("brgconv:avx512_core"). */
typedef struct fari_dnnl_taste {
    const char *prefer; /* the first that has this in its name, else the first; NULL: the first */
    const char *avoid;  /* none that has this in its name; NULL: all are welcome */
    bool is_any;        /* oneDNN's slow reference too, where there is no other */
} fari_dnnl_taste;

/* Asks oneDNN for an implementation, in its own order. `desc` stays NULL where it has none, or only its reference and no taste for that. */
far_status fari_dnnl_choose(const_dnnl_op_desc_t op_desc, const_dnnl_primitive_attr_t attr,
                            const_dnnl_primitive_desc_t hint, fari_dnnl_taste taste,
                            fari_dnnl_primitive *primitive_out);
bool fari_dnnl_is_reference(const char *impl); /* by its name */
/* A primitive descriptor that only serves as the hint of a backward one; NULL where there is none. */
dnnl_primitive_desc_t fari_dnnl_hint(const_dnnl_op_desc_t op_desc);
/* Generates the code. */
far_status fari_dnnl_build(fari_dnnl_primitive *primitive_io);
void fari_dnnl_drop(fari_dnnl_primitive *primitive_io); /* zeroed is allowed */
/* An attribute with the caller's scratchpad; NULL when there is no memory. */
dnnl_primitive_attr_t fari_dnnl_attr(void);

typedef struct fari_dnnl_arg {
    int id; /* DNNL_ARG_... */
    const void *data;
} fari_dnnl_arg;

far_status fari_dnnl_run(const fari_dnnl_primitive *primitive, int count, const fari_dnnl_arg *args, void *scratch);

/* A copy between layouts. As fari_dnnl_run, but pads with zeros where the target's layout has room beyond the tensor. */
far_status fari_dnnl_reorder_make(const dnnl_memory_desc_t *from, const dnnl_memory_desc_t *to,
                                  fari_dnnl_primitive *reorder_out);
far_status fari_dnnl_reorder_run(const fari_dnnl_primitive *reorder, const void *from, void *to);

const dnnl_memory_desc_t *fari_dnnl_md(const fari_dnnl_primitive *primitive, dnnl_query_t what);
uint64_t fari_dnnl_md_hash(const dnnl_memory_desc_t *md);
/* Words a failure of the library. */
far_status fari_dnnl_fail(dnnl_status_t status, const char *what);
#define FARI_DNNL_TRY(call)                                                   \
    do {                                                                      \
        dnnl_status_t dnnl_st_ = (call);                                      \
        if (dnnl_st_ != dnnl_success) return fari_dnnl_fail(dnnl_st_, #call); \
    } while (0)
#endif
