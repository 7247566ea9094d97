/* The CPU backend: for each geometry of an op a kernel that packs weights (ours for thin convolutions, or a library's primitive), else another
   of ours, else the op's reference. */
#include "plan/backend.h"
#include "backends/cpu/dnnl_wrap.h"
#include "backends/cpu/kernel_table.h"
#include "backends/cpu/state.h"
#include "base/mem.h"
#include "base/status.h"
#include <pthread.h>

/* Raised when a change here gives other bits, be it in a kernel or in which kernel runs what: checkpoints tell by it. */
#define BITS_VERSION 8

typedef struct cpu_backend {
    fari_backend base;
    fari_isa isa;
    const fari_cpu_loops *loops;
    pthread_mutex_t lock; /* of the cache: plans may share a backend */
    fari_cpu_cache cache;
    char isa_text[64];
} cpu_backend;

static far_status prepare_library(cpu_backend *backend, const fari_call *call, fari_prepared *prepared_out,
                                  bool *is_done_out)
{
    fari_cpu_state *state = NULL;
    (void)pthread_mutex_lock(&backend->lock);
    const int threads = fari_dnnl_one_thread_begin();
    const far_status st = fari_cpu_cache_take(&backend->cache, call, backend->loops, &state);
    fari_dnnl_one_thread_end(threads);
    (void)pthread_mutex_unlock(&backend->lock);
    if (st == FAR_OK && state != NULL) *prepared_out = state->answer;
    *is_done_out = state != NULL;
    return st;
}

static bool prepare_ours(const cpu_backend *backend, const fari_call *call, fari_prepared *prepared_out)
{
    const fari_kernel_row *row = fari_kernel_find(call->node->op);
    if (row == NULL || (row->supports != NULL && !row->supports(call))) return false;
    *prepared_out = (fari_prepared){ .run = row->kernel[backend->isa], .impl = row->impl[backend->isa] };
    if (row->scratch != NULL) prepared_out->scratch_bytes = row->scratch(call);
    return true;
}

static far_status prepare_reference(const fari_call *call, fari_prepared *prepared_out)
{
    const fari_op *op = call->node->op;
    if (op->reference == NULL) return FAR_FAIL(FAR_E_UNSUPPORTED, "op %s has no kernel for this call", op->name);
    *prepared_out = (fari_prepared){ .run = op->reference, .impl = "reference", .is_reference = true };
    if (op->reference_scratch != NULL) prepared_out->scratch_bytes = op->reference_scratch(call);
    return FAR_OK;
}

static far_status cpu_prepare(fari_backend *base, const fari_call *call, fari_prepared *prepared_out)
{
    cpu_backend *backend = (cpu_backend *)base;
    bool is_done = false;
    FAR_TRY(prepare_library(backend, call, prepared_out, &is_done));
    if (is_done || prepare_ours(backend, call, prepared_out)) return FAR_OK;
    return prepare_reference(call, prepared_out);
}

static void cpu_release(fari_backend *base, fari_prepared *prepared)
{
    cpu_backend *backend = (cpu_backend *)base;
    if (prepared->state == NULL) return; /* only libraries keep states */
    (void)pthread_mutex_lock(&backend->lock);
    fari_cpu_cache_return(&backend->cache, prepared->state);
    (void)pthread_mutex_unlock(&backend->lock);
    prepared->state = NULL;
}

static far_status cpu_pack(const fari_prepared *prepared, int32_t input_idx, const void *plain, void *packed)
{
    const fari_cpu_state *state = prepared->state;
    FAR_ASSERT(state != NULL && state->pack != NULL && prepared->pack_bytes[input_idx] > 0);
    return state->pack(state, input_idx, plain, packed);
}

static far_status cpu_unpack(const fari_prepared *prepared, const void *partial, void *plain)
{
    const fari_cpu_state *state = prepared->state;
    FAR_ASSERT(state != NULL && state->unpack != NULL && prepared->partial_bytes > 0);
    return state->unpack(state, partial, plain);
}

static void cpu_thread_begin(fari_backend *base)
{
    (void)base;
    fari_dnnl_thread_begin();
}

static void cpu_destroy(fari_backend *base)
{
    cpu_backend *backend = (cpu_backend *)base;
    fari_cpu_cache_clear(&backend->cache);
    (void)pthread_mutex_destroy(&backend->lock);
    fari_free(backend);
}

far_status fari_backend_cpu_create(const char *isa_limit, fari_backend **backend_out)
{
    fari_isa isa = FARI_ISA_BASE;
    FAR_TRY(fari_isa_select(isa_limit, &isa));
    FAR_TRY(fari_dnnl_start(isa));
    cpu_backend *backend = fari_calloc(1, sizeof *backend);
    if (backend == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory for a backend");
    if (pthread_mutex_init(&backend->lock, NULL) != 0) {
        fari_free(backend);
        return FAR_FAIL(FAR_E_NOMEM, "no lock for a backend");
    }
    backend->isa = isa;
    backend->loops = fari_cpu_loops_of(isa);
    (void)snprintf(backend->isa_text, sizeof backend->isa_text, "%s, kernels %d, oneDNN %s", fari_isa_name(isa),
                   BITS_VERSION, fari_dnnl_isa_name());
    backend->base = (fari_backend){ .name = "cpu",
                                    .isa = backend->isa_text,
                                    .prepare = cpu_prepare,
                                    .release = cpu_release,
                                    .pack = cpu_pack,
                                    .unpack = cpu_unpack,
                                    .add_f32 = backend->loops->add_f32,
                                    .thread_begin = cpu_thread_begin,
                                    .destroy = cpu_destroy };
    *backend_out = &backend->base;
    return FAR_OK;
}
