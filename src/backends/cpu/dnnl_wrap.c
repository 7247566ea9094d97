#include "backends/cpu/dnnl_wrap.h"
#include "base/hash.h"
#include "base/status.h"
#include <dlfcn.h>
#include <pthread.h>
#include <string.h>

#if DNNL_VERSION_MAJOR != 2
#error "this wrapper speaks the C API of oneDNN 2.x"
#endif

/* ---- the process ---- */

/* oneDNN is one a process (its instruction set limit, its code), and so is its engine: made once, never freed. */
static struct {
    pthread_mutex_t lock;
    dnnl_engine_t engine;
    pthread_key_t thread_key;
    /* The OpenMP that oneDNN was linked with; NULL: it has none and is sequential. Looked up at run time: which one it is, is
       known to oneDNN only. */
    void (*set_threads)(int);
    int (*max_threads)(void);
} process = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* What a thread needs to execute. The memory objects' descriptors say one float: implementations take layouts from the
   primitive and only the address from here. (True descriptors would have oneDNN write the padding of shared packed weights anew
   each time an address is set.) */
typedef struct thread_kit {
    bool is_ready;
    dnnl_stream_t stream;
    dnnl_memory_t memory[FARI_DNNL_ARGS_MAX];
} thread_kit;
static _Thread_local thread_kit my_kit;

static void kit_destroy(void *kit_ptr)
{
    thread_kit *kit = kit_ptr;
    for (int i = 0; i < FARI_DNNL_ARGS_MAX; i++) (void)dnnl_memory_destroy(kit->memory[i]);
    if (kit->stream != NULL) (void)dnnl_stream_destroy(kit->stream);
    memset(kit, 0, sizeof *kit);
}

far_status fari_dnnl_fail(dnnl_status_t status, const char *what)
{
    static const char *const names[] = { "success",       "out of memory",  "invalid arguments", "unimplemented",
                                         "iterator ends", "run-time error", "not required" };
    const char *name = (size_t)status < FAR_COUNT(names) ? names[status] : "unknown status";
    return FAR_FAIL(status == dnnl_out_of_memory ? FAR_E_NOMEM : FAR_E_LIBRARY, "oneDNN: %s in %s", name, what);
}

static dnnl_cpu_isa_t dnnl_isa(fari_isa isa)
{
    switch (isa) {
    case FARI_ISA_AVX512: return dnnl_cpu_isa_avx512_core;
    case FARI_ISA_AVX2: return dnnl_cpu_isa_avx2;
    default: return dnnl_cpu_isa_sse41;
    }
}

static far_status start_locked(fari_isa isa)
{
    if (process.engine != NULL) return FAR_OK;
    (void)dnnl_set_max_cpu_isa(dnnl_isa(isa)); /* refused once oneDNN has run in this process: it keeps what it had */
    /* Through a union: ISO C has no cast from an object pointer to a function pointer. */
    union {
        void *object;
        void (*set)(int);
        int (*get)(void);
    } sym;
    sym.object = dlsym(RTLD_DEFAULT, "omp_set_num_threads");
    process.set_threads = sym.object != NULL ? sym.set : NULL;
    sym.object = dlsym(RTLD_DEFAULT, "omp_get_max_threads");
    process.max_threads = sym.object != NULL ? sym.get : NULL;
    if (pthread_key_create(&process.thread_key, kit_destroy) != 0) return FAR_FAIL(FAR_E_NOMEM, "no thread key left");
    dnnl_engine_t engine = NULL;
    FARI_DNNL_TRY(dnnl_engine_create(&engine, dnnl_cpu, 0));
    process.engine = engine;
    (void)dnnl_set_primitive_cache_capacity(0); /* plans share their own; oneDNN's would keep what closed plans had */
    return FAR_OK;
}

far_status fari_dnnl_start(fari_isa isa)
{
    (void)pthread_mutex_lock(&process.lock);
    const far_status st = start_locked(isa);
    (void)pthread_mutex_unlock(&process.lock);
    return st;
}

const char *fari_dnnl_isa_name(void)
{
    static const struct {
        dnnl_cpu_isa_t isa;
        const char *name;
    } names[] = {
        { dnnl_cpu_isa_sse41, "sse41" },
        { dnnl_cpu_isa_avx, "avx" },
        { dnnl_cpu_isa_avx2, "avx2" },
        { dnnl_cpu_isa_avx2_vnni, "avx2_vnni" },
        { dnnl_cpu_isa_avx512_core, "avx512_core" },
        { dnnl_cpu_isa_avx512_core_vnni, "avx512_core_vnni" },
        { dnnl_cpu_isa_avx512_core_bf16, "avx512_core_bf16" },
        { dnnl_cpu_isa_avx512_core_amx, "avx512_core_amx" },
    };
    const dnnl_cpu_isa_t isa = dnnl_get_effective_cpu_isa();
    for (size_t i = 0; i < FAR_COUNT(names); i++)
        if (names[i].isa == isa) return names[i].name;
    return "another";
}

dnnl_engine_t fari_dnnl_engine(void)
{
    return process.engine;
}

/* ---- threads ---- */

int fari_dnnl_one_thread_begin(void)
{
    if (process.set_threads == NULL || process.max_threads == NULL) return 0;
    const int before = process.max_threads();
    if (before != 1) process.set_threads(1);
    return before;
}

void fari_dnnl_one_thread_end(int threads_before)
{
    if (threads_before > 1) process.set_threads(threads_before);
}

static far_status kit_make(thread_kit *kit)
{
    const dnnl_dims_t one = { 1 };
    dnnl_memory_desc_t md;
    if (process.set_threads != NULL) process.set_threads(1);
    FARI_DNNL_TRY(dnnl_memory_desc_init_by_tag(&md, 1, one, dnnl_f32, dnnl_a));
    (void)pthread_setspecific(process.thread_key, kit); /* from here on the thread's end frees */
    FARI_DNNL_TRY(dnnl_stream_create(&kit->stream, process.engine, dnnl_stream_default_flags));
    for (int i = 0; i < FARI_DNNL_ARGS_MAX; i++)
        FARI_DNNL_TRY(dnnl_memory_create(&kit->memory[i], &md, process.engine, DNNL_MEMORY_NONE));
    kit->is_ready = true;
    return FAR_OK;
}

void fari_dnnl_thread_begin(void)
{
    /* A failure shows at this thread's first call, which tries again. */
    if (process.engine != NULL && !my_kit.is_ready && kit_make(&my_kit) != FAR_OK) kit_destroy(&my_kit);
}

static far_status kit_of_thread(thread_kit **kit_out)
{
    if (!my_kit.is_ready) {
        const far_status st = kit_make(&my_kit);
        if (st != FAR_OK) {
            kit_destroy(&my_kit);
            return st;
        }
    }
    *kit_out = &my_kit;
    return FAR_OK;
}

/* ---- primitives ---- */

dnnl_primitive_attr_t fari_dnnl_attr(void)
{
    dnnl_primitive_attr_t attr = NULL;
    if (dnnl_primitive_attr_create(&attr) != dnnl_success) return NULL;
    (void)dnnl_primitive_attr_set_scratchpad_mode(attr, dnnl_scratchpad_mode_user);
    return attr;
}

bool fari_dnnl_is_reference(const char *impl)
{
    return strncmp(impl, "ref", 3) == 0;
}

static const char *impl_of(const_dnnl_primitive_desc_t desc)
{
    const char *impl = NULL;
    (void)dnnl_primitive_desc_query(desc, dnnl_query_impl_info_str, 0, &impl);
    return impl != NULL ? impl : "";
}

static bool has(const char *impl, const char *part)
{
    return part != NULL && strstr(impl, part) != NULL;
}

/* Steps through oneDNN's implementations, fastest first by its own reckoning; its references come last. */
static far_status walk(dnnl_primitive_desc_iterator_t iterator, fari_dnnl_taste taste, dnnl_primitive_desc_t *best_out)
{
    do {
        const dnnl_primitive_desc_t desc = dnnl_primitive_desc_iterator_fetch(iterator);
        if (desc == NULL) return FAR_FAIL(FAR_E_NOMEM, "oneDNN gave no primitive descriptor");
        const char *impl = impl_of(desc);
        const bool is_last = fari_dnnl_is_reference(impl), is_liked = taste.prefer == NULL || has(impl, taste.prefer);
        if (is_last && taste.is_any && *best_out == NULL) {
            *best_out = desc;
            return FAR_OK;
        }
        if (is_last || has(impl, taste.avoid) || (*best_out != NULL && !is_liked)) {
            (void)dnnl_primitive_desc_destroy(desc);
            if (is_last) return FAR_OK;
            continue;
        }
        if (*best_out != NULL) (void)dnnl_primitive_desc_destroy(*best_out);
        *best_out = desc;
        if (is_liked) return FAR_OK;
    } while (dnnl_primitive_desc_iterator_next(iterator) == dnnl_success);
    return FAR_OK;
}

far_status fari_dnnl_choose(const_dnnl_op_desc_t op_desc, const_dnnl_primitive_attr_t attr,
                            const_dnnl_primitive_desc_t hint, fari_dnnl_taste taste, fari_dnnl_primitive *primitive_out)
{
    dnnl_primitive_desc_iterator_t iterator = NULL;
    dnnl_primitive_desc_t desc = NULL;
    memset(primitive_out, 0, sizeof *primitive_out);
    const dnnl_status_t st = dnnl_primitive_desc_iterator_create(&iterator, op_desc, attr, fari_dnnl_engine(), hint);
    if (st == dnnl_unimplemented || st == dnnl_invalid_arguments) return FAR_OK;
    if (st != dnnl_success) return fari_dnnl_fail(st, "dnnl_primitive_desc_iterator_create");
    const far_status walked = walk(iterator, taste, &desc);
    (void)dnnl_primitive_desc_iterator_destroy(iterator);
    if (walked != FAR_OK || desc == NULL) {
        if (desc != NULL) (void)dnnl_primitive_desc_destroy(desc);
        return walked;
    }
    const dnnl_memory_desc_t *scratch = dnnl_primitive_desc_query_md(desc, dnnl_query_scratchpad_md, 0);
    *primitive_out = (fari_dnnl_primitive){ .desc = desc, .impl = impl_of(desc) };
    primitive_out->scratch_bytes = scratch != NULL ? dnnl_memory_desc_get_size(scratch) : 0;
    return FAR_OK;
}

dnnl_primitive_desc_t fari_dnnl_hint(const_dnnl_op_desc_t op_desc)
{
    dnnl_primitive_desc_t desc = NULL;
    return dnnl_primitive_desc_create(&desc, op_desc, NULL, fari_dnnl_engine(), NULL) == dnnl_success ? desc : NULL;
}

far_status fari_dnnl_build(fari_dnnl_primitive *primitive_io)
{
    FARI_DNNL_TRY(dnnl_primitive_create(&primitive_io->handle, primitive_io->desc));
    return FAR_OK;
}

void fari_dnnl_drop(fari_dnnl_primitive *primitive_io)
{
    if (primitive_io->handle != NULL) (void)dnnl_primitive_destroy(primitive_io->handle);
    if (primitive_io->desc != NULL) (void)dnnl_primitive_desc_destroy(primitive_io->desc);
    memset(primitive_io, 0, sizeof *primitive_io);
}

/* oneDNN's handles are not const; what an argument's id says is only read stays unwritten. */
static void *no_const(const void *ptr)
{
    union {
        const void *from;
        void *to;
    } cast = { .from = ptr };
    return cast.to;
}

far_status fari_dnnl_run(const fari_dnnl_primitive *primitive, int count, const fari_dnnl_arg *args, void *scratch)
{
    thread_kit *kit = NULL;
    dnnl_exec_arg_t exec[FARI_DNNL_ARGS_MAX];
    FAR_ASSERT(count < FARI_DNNL_ARGS_MAX);
    FAR_TRY(kit_of_thread(&kit));
    for (int i = 0; i < count; i++) {
        FARI_DNNL_TRY(dnnl_memory_set_data_handle_v2(kit->memory[i], no_const(args[i].data), kit->stream));
        exec[i] = (dnnl_exec_arg_t){ args[i].id, kit->memory[i] };
    }
    if (primitive->scratch_bytes > 0) {
        FARI_DNNL_TRY(dnnl_memory_set_data_handle_v2(kit->memory[count], scratch, kit->stream));
        exec[count] = (dnnl_exec_arg_t){ DNNL_ARG_SCRATCHPAD, kit->memory[count] };
        count++;
    }
    FARI_DNNL_TRY(dnnl_primitive_execute(primitive->handle, kit->stream, count, exec));
    return FAR_OK;
}

/* ---- layouts ---- */

far_status fari_dnnl_reorder_make(const dnnl_memory_desc_t *from, const dnnl_memory_desc_t *to,
                                  fari_dnnl_primitive *reorder_out)
{
    memset(reorder_out, 0, sizeof *reorder_out);
    const dnnl_engine_t engine = fari_dnnl_engine();
    FARI_DNNL_TRY(dnnl_reorder_primitive_desc_create(&reorder_out->desc, from, engine, to, engine, NULL));
    (void)dnnl_primitive_desc_query(reorder_out->desc, dnnl_query_impl_info_str, 0, &reorder_out->impl);
    const far_status st = fari_dnnl_build(reorder_out);
    if (st != FAR_OK) fari_dnnl_drop(reorder_out);
    return st;
}

/* With true descriptors, made for the occasion: they are how oneDNN knows what to fill with zeros. */
far_status fari_dnnl_reorder_run(const fari_dnnl_primitive *reorder, const void *from, void *to)
{
    thread_kit *kit = NULL;
    dnnl_memory_t memory[2] = { NULL, NULL };
    const dnnl_memory_desc_t *md[2] = { fari_dnnl_md(reorder, dnnl_query_src_md),
                                        fari_dnnl_md(reorder, dnnl_query_dst_md) };
    FAR_TRY(kit_of_thread(&kit));
    dnnl_status_t st = dnnl_memory_create(&memory[0], md[0], fari_dnnl_engine(), no_const(from));
    if (st == dnnl_success) st = dnnl_memory_create(&memory[1], md[1], fari_dnnl_engine(), to);
    const dnnl_exec_arg_t exec[2] = { { DNNL_ARG_FROM, memory[0] }, { DNNL_ARG_TO, memory[1] } };
    if (st == dnnl_success) st = dnnl_primitive_execute(reorder->handle, kit->stream, 2, exec);
    for (int i = 0; i < 2; i++)
        if (memory[i] != NULL) (void)dnnl_memory_destroy(memory[i]);
    return st == dnnl_success ? FAR_OK : fari_dnnl_fail(st, "a reorder");
}

const dnnl_memory_desc_t *fari_dnnl_md(const fari_dnnl_primitive *primitive, dnnl_query_t what)
{
    return dnnl_primitive_desc_query_md(primitive->desc, what, 0);
}

uint64_t fari_dnnl_md_hash(const dnnl_memory_desc_t *md)
{
    int64_t words[2 + 4 * DNNL_MAX_NDIMS + 2 * DNNL_MAX_NDIMS] = { md->ndims, md->format_kind };
    int64_t *at = words + 2;
    for (int i = 0; i < md->ndims; i++) *at++ = md->dims[i];
    for (int i = 0; i < md->ndims; i++) *at++ = md->padded_dims[i];
    if (md->format_kind == dnnl_blocked) {
        const dnnl_blocking_desc_t *blocking = &md->format_desc.blocking;
        for (int i = 0; i < md->ndims; i++) *at++ = blocking->strides[i];
        for (int i = 0; i < blocking->inner_nblks; i++) *at++ = blocking->inner_blks[i];
        for (int i = 0; i < blocking->inner_nblks; i++) *at++ = blocking->inner_idxs[i];
    }
    return fari_xxh3(words, (size_t)(at - words) * sizeof words[0]);
}
