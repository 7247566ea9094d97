#include "run/store.h"
#include "base/arena.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/rng.h"
#include <math.h>
#include <string.h>

#define ALIGN_BYTES 64

static bool is_kept_role(fari_role role)
{
    return role == FARI_ROLE_PARAM || role == FARI_ROLE_STATE || role == FARI_ROLE_OPT_STATE;
}

/* FNV-1a, 64 bits: a name as a number for the random key. */
static uint64_t name_key(const char *name)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (; *name != '\0'; name++) hash = (hash ^ (uint8_t)*name) * UINT64_C(0x100000001b3);
    return hash;
}

/* Fans as PyTorch counts them: weight [out, in / groups, kernel...]. */
static void fans(const far_shape *shape, double *fan_in_out, double *fan_out_out)
{
    double field = 1.0;
    for (int32_t i = 2; i < shape->ndim; i++) field *= (double)shape->dim[i];
    *fan_in_out = shape->ndim >= 2 ? (double)shape->dim[1] * field : (double)shape->dim[0];
    *fan_out_out = shape->ndim >= 2 ? (double)shape->dim[0] * field : (double)shape->dim[0];
}

/* Whether element `elem` of a weight [out, in, kernel...] leads a channel to the one of the same number, through the kernel's middle. */
static bool is_identity(const far_shape *shape, int64_t elem)
{
    for (int32_t i = shape->ndim - 1; i >= 2; i--) {
        if (elem % shape->dim[i] != shape->dim[i] / 2) return false;
        elem /= shape->dim[i];
    }
    return shape->ndim >= 2 && elem % shape->dim[1] == elem / shape->dim[1];
}

/* Element `elem` of a tensor that starts by `init`. */
static double init_value(const far_init *init, const far_shape *shape, uint64_t key, int64_t elem, double fan_in,
                         double fan_out)
{
    const double xavier = sqrt(6.0 / (fan_in + fan_out));
    const double scale = init->value != 0.0 ? init->value : 1.0;
    const double symmetric = 2.0 * fari_rng_unit_f64(key, (uint64_t)elem) - 1.0;
    switch (init->kind) {
    case FAR_INIT_ZERO: return 0.0;
    case FAR_INIT_CONST: return init->value;
    case FAR_INIT_UNIFORM: return init->value * symmetric;
    case FAR_INIT_NORMAL: return init->value * fari_rng_normal(key, (uint64_t)elem);
    case FAR_INIT_XAVIER_UNIFORM: return scale * xavier * symmetric;
    case FAR_INIT_HE_NORMAL: return scale * sqrt(2.0 / fan_out) * fari_rng_normal(key, (uint64_t)elem);
    case FAR_INIT_TORCH_UNIFORM: return symmetric / sqrt(fan_in);
    case FAR_INIT_DIRAC: return (is_identity(shape, elem) ? 1.0 : 0.0) + init->value * xavier * symmetric;
    }
    return 0.0;
}

static void kept_fill(const fari_store *store, const fari_kept *kept, uint64_t seed)
{
    const uint64_t key = fari_rng_key(seed, FARI_RNG_INIT, 0, name_key(kept->name));
    const int64_t elems = far_shape_elems(&kept->shape);
    void *data = fari_store_data(store, kept);
    double fan_in, fan_out;
    fans(&kept->shape, &fan_in, &fan_out);
    if (kept->init.fan_in > 0) fan_in = (double)kept->init.fan_in;
    for (int64_t i = 0; i < elems; i++) {
        const double value = init_value(&kept->init, &kept->shape, key, i, fan_in, fan_out);
        if (kept->dtype == FAR_F64) ((double *)data)[i] = value;
        else ((float *)data)[i] = (float)value;
    }
}

static far_status layout(const far_graph *graph, bool is_f64, fari_store *store)
{
    int64_t count = 0;
    for (int64_t i = 0; i < graph->tensor_count; i++) count += is_kept_role(graph->tensors[i]->role);
    store->kept = fari_calloc((size_t)count + 1, sizeof *store->kept);
    if (store->kept == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory for %lld parameters", (long long)count);
    for (int64_t i = 0; i < graph->tensor_count; i++) {
        const fari_tensor *t = graph->tensors[i];
        if (!is_kept_role(t->role)) continue;
        fari_kept *kept = &store->kept[store->kept_count];
        *kept = (fari_kept){ .role = t->role,
                             .dtype = is_f64 && t->dtype == FAR_F32 ? FAR_F64 : t->dtype,
                             .shape = t->shape,
                             .init = t->init,
                             .frozen = t->frozen,
                             .offset = store->bytes };
        kept->bytes = far_shape_elems(&t->shape) * far_dtype_bytes(kept->dtype);
        kept->name = fari_strdup(t->name);
        if (kept->name == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory for %lld parameters", (long long)count);
        store->kept_count++;
        store->bytes += (kept->bytes + ALIGN_BYTES - 1) / ALIGN_BYTES * ALIGN_BYTES;
    }
    return FAR_OK;
}

far_status fari_store_create(const far_graph *graph, bool is_f64, uint64_t seed, fari_store **store_out)
{
    far_status st = FAR_OK;
    fari_store *store = fari_calloc(1, sizeof *store);
    if (store == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory for parameters");
    FAR_TRY_GOTO(layout(graph, is_f64, store), failed);
    FAR_TRY_GOTO(fari_arena_map(store->bytes, &store->data), failed);
    for (int64_t i = 0; i < store->kept_count; i++) kept_fill(store, &store->kept[i], seed);
    *store_out = store;
    return FAR_OK;
failed:
    fari_store_destroy(store);
    return st;
}

void fari_store_destroy(fari_store *store)
{
    if (store == NULL) return;
    for (int64_t i = 0; i < store->kept_count; i++) fari_free(store->kept[i].name);
    fari_free(store->kept);
    fari_arena_unmap(store->data, store->bytes);
    fari_free(store);
}

fari_kept *fari_store_find(const fari_store *store, fari_role role, const char *name)
{
    for (int64_t i = 0; i < store->kept_count; i++)
        if (store->kept[i].role == role && strcmp(store->kept[i].name, name) == 0) return &store->kept[i];
    return NULL;
}

fari_kept *fari_store_find_any(const fari_store *store, const char *name)
{
    fari_kept *kept = fari_store_find(store, FARI_ROLE_PARAM, name);
    if (kept == NULL) kept = fari_store_find(store, FARI_ROLE_STATE, name);
    return kept != NULL ? kept : fari_store_find(store, FARI_ROLE_OPT_STATE, name);
}

void *fari_store_data(const fari_store *store, const fari_kept *kept)
{
    return (char *)store->data + kept->offset;
}

static bool is_finite(const void *data, far_dtype dtype, int64_t elems)
{
    const float *f32 = data;
    const double *f64 = data;
    int64_t bad = 0; /* no way out of the loops: they stay fast */
    for (int64_t i = 0; dtype == FAR_F32 && i < elems; i++) bad += !isfinite(f32[i]);
    for (int64_t i = 0; dtype == FAR_F64 && i < elems; i++) bad += !isfinite(f64[i]);
    return bad == 0;
}

const fari_kept *fari_store_find_bad(const fari_store *store)
{
    for (int64_t i = 0; i < store->kept_count; i++) {
        const fari_kept *kept = &store->kept[i];
        if (!is_finite(fari_store_data(store, kept), kept->dtype, far_shape_elems(&kept->shape))) return kept;
    }
    return NULL;
}

void fari_store_digest(const fari_store *store, bool has_opt_state, char hex_out[65])
{
    fari_sha256 sha;
    uint8_t digest[32];
    fari_sha256_begin(&sha);
    for (int64_t i = 0; i < store->kept_count; i++)
        if (has_opt_state || store->kept[i].role != FARI_ROLE_OPT_STATE)
            fari_sha256_add(&sha, fari_store_data(store, &store->kept[i]), (size_t)store->kept[i].bytes);
    fari_sha256_end(&sha, digest);
    fari_hex(digest, 32, hex_out);
}
