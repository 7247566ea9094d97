/* Fully connected layers and batched products by oneDNN's matmul, on row-major tensors as they are: nothing is packed, since a
 * weight of 9216 x 4096 is read once a grain at the speed of memory either way.
 *
 * oneDNN has two families here. "brg" (AVX-512 only in 2.6.3): a row's result is the same bits whatever rows are beside it, scratch
 * is ours. "gemm:jit": several times faster where it must walk a big matrix against its grain, but it packs into memory that it
 * allocates itself, and a row's bits may change with the number of rows (measured: at 1, below 16 and at 128 rows). So brg is taken
 * but for d_x of weights of GEMM_WEIGHT_ELEMS and more, and for weight gradients that are set and not added to. */
#include "backends/cpu/dnnl_wrap.h"
#include "backends/cpu/state.h"
#include "base/mem.h"
#include "base/status.h"
#include "ops/linear.h"
#include "ops/matmul.h"
#include <string.h>

#define GEMM_WEIGHT_ELEMS (INT64_C(1) << 19) /* measured: at 512 x 1000 gemm wins by 1.5, at 400 x 120 brg is even */

typedef enum linear_kind { LINEAR_FORWARD, LINEAR_DX, LINEAR_DW, LINEAR_MATMUL } linear_kind;

/* out [batch, m, n] = a [batch, m, k] b [batch, k, n]; is_*_turned: stored with the last two axes swapped. */
typedef struct linear_key {
    int64_t kind, batch, m, k, n;
    int64_t is_a_turned, is_b_turned, has_bias;
} linear_key;
_Static_assert(sizeof(linear_key) <= FARI_CPU_KEY_BYTES, "grow FARI_CPU_KEY_BYTES");

typedef struct linear_state {
    fari_cpu_state base;
    linear_key key;
    fari_dnnl_primitive set, add; /* add: LINEAR_DW only, out += a b */
    char impl[96];
} linear_state;

/* ---- what is asked ---- */

static bool is_plain(const fari_view *view)
{
    return view->dtype == FAR_F32 && (view->order == FARI_ROW_MAJOR || view->ndim < 3);
}

static bool all_plain(const fari_call *call)
{
    for (int32_t i = 0; i < call->in_count; i++)
        if (!is_plain(&call->in[i])) return false;
    return is_plain(&call->out[0]);
}

static int64_t leading(const fari_view *view, int32_t last_axes)
{
    int64_t count = 1;
    for (int32_t i = 0; i < view->ndim - last_axes; i++) count *= view->dim[i];
    return count;
}

static bool fits(const linear_key *key)
{
    return key->batch > 0 && key->m > 0 && key->k > 0 && key->n > 0;
}

static bool describe_forward(const fari_call *call, fari_isa isa, void *key_out)
{
    (void)isa;
    linear_key *key = key_out;
    if (!all_plain(call)) return false;
    const int64_t *weight = call->in[1].dim; /* [O, F] */
    *key = (linear_key){ .kind = LINEAR_FORWARD,
                         .batch = 1,
                         .m = leading(&call->in[0], 1),
                         .k = weight[1],
                         .n = weight[0],
                         .is_b_turned = true,
                         .has_bias = call->in_count > 2 };
    return fits(key);
}

static bool describe_dx(const fari_call *call, fari_isa isa, void *key_out)
{
    (void)isa;
    linear_key *key = key_out;
    if (!all_plain(call)) return false;
    const int64_t *weight = call->in[1].dim;
    *key = (linear_key){ .kind = LINEAR_DX, .batch = 1, .m = leading(&call->in[0], 1), .k = weight[0], .n = weight[1] };
    return fits(key);
}

static bool describe_dw(const fari_call *call, fari_isa isa, void *key_out)
{
    (void)isa;
    linear_key *key = key_out;
    if (!all_plain(call)) return false;
    const int64_t *weight = call->out[0].dim;
    *key = (linear_key){ .kind = LINEAR_DW,
                         .batch = 1,
                         .m = weight[0],
                         .k = leading(&call->in[0], 1),
                         .n = weight[1],
                         .is_a_turned = true };
    return fits(key);
}

static bool describe_matmul(const fari_call *call, fari_isa isa, void *key_out)
{
    (void)isa;
    linear_key *key = key_out;
    const fari_matmul_attr *attr = call->attr;
    const fari_view *a = &call->in[0], *out = &call->out[0];
    if (!all_plain(call) || a->ndim < 2) return false;
    *key = (linear_key){ .kind = LINEAR_MATMUL,
                         .batch = leading(out, 2),
                         .m = out->dim[out->ndim - 2],
                         .k = a->dim[a->ndim - (attr->transpose_a ? 2 : 1)],
                         .n = out->dim[out->ndim - 1],
                         .is_a_turned = attr->transpose_a,
                         .is_b_turned = attr->transpose_b };
    return fits(key);
}

/* ---- making ---- */

static far_status matrix_md(int64_t batch, int64_t rows, int64_t columns, bool is_turned, dnnl_memory_desc_t *md_out)
{
    dnnl_dims_t dims = { 0 }, stride = { 0 };
    int ndim = 0;
    if (batch > 1) {
        dims[ndim] = batch;
        stride[ndim++] = rows * columns;
    }
    dims[ndim] = rows;
    stride[ndim++] = is_turned ? 1 : columns;
    dims[ndim] = columns;
    stride[ndim++] = is_turned ? rows : 1;
    FARI_DNNL_TRY(dnnl_memory_desc_init_by_strides(md_out, ndim, dims, dnnl_f32, stride));
    return FAR_OK;
}

static far_status add_to_target(dnnl_primitive_attr_t attr)
{
    dnnl_post_ops_t ops = NULL;
    FARI_DNNL_TRY(dnnl_post_ops_create(&ops));
    dnnl_status_t st = dnnl_post_ops_append_sum(ops, 1.0f);
    if (st == dnnl_success) st = dnnl_primitive_attr_set_post_ops(attr, ops);
    (void)dnnl_post_ops_destroy(ops);
    return st == dnnl_success ? FAR_OK : fari_dnnl_fail(st, "a sum after a product");
}

static fari_dnnl_taste taste_of(const linear_key *key, bool is_add)
{
    const bool is_gemm =
        key->kind == LINEAR_DW ? !is_add : key->kind == LINEAR_DX && key->k * key->n >= GEMM_WEIGHT_ELEMS;
    return (fari_dnnl_taste){ .prefer = is_gemm ? "gemm" : "brg" };
}

static far_status make_product(const linear_key *key, bool is_add, fari_dnnl_primitive *primitive_out)
{
    dnnl_memory_desc_t a, b, bias, out;
    dnnl_matmul_desc_t desc;
    FAR_TRY(matrix_md(key->batch, key->m, key->k, key->is_a_turned, &a));
    FAR_TRY(matrix_md(key->batch, key->k, key->n, key->is_b_turned, &b));
    FAR_TRY(matrix_md(1, 1, key->n, false, &bias)); /* has_bias only where batch is 1 */
    FAR_TRY(matrix_md(key->batch, key->m, key->n, false, &out));
    FARI_DNNL_TRY(dnnl_matmul_desc_init(&desc, &a, &b, key->has_bias ? &bias : NULL, &out));
    const dnnl_primitive_attr_t attr = fari_dnnl_attr();
    if (attr == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory for a product's attributes");
    far_status st = is_add ? add_to_target(attr) : FAR_OK;
    if (st == FAR_OK) st = fari_dnnl_choose(&desc, attr, NULL, taste_of(key, is_add), primitive_out);
    (void)dnnl_primitive_attr_destroy(attr);
    if (st != FAR_OK || primitive_out->desc == NULL) return st;
    return fari_dnnl_build(primitive_out);
}

static far_status forward_run(const fari_call *call);
static far_status dx_run(const fari_call *call);
static far_status dw_run(const fari_call *call);
static far_status matmul_run(const fari_call *call);

static void linear_destroy(fari_cpu_state *base)
{
    linear_state *state = (linear_state *)base;
    fari_dnnl_drop(&state->set);
    fari_dnnl_drop(&state->add);
    fari_free(state);
}

static far_status linear_make(const void *key, const fari_cpu_loops *loops, fari_cpu_state **state_out)
{
    static const fari_kernel_fn runs[] = { forward_run, dx_run, dw_run, matmul_run };
    linear_state *state = fari_calloc(1, sizeof *state);
    (void)loops;
    if (state == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory for a product");
    memcpy(&state->key, key, sizeof state->key);
    const bool is_dw = state->key.kind == LINEAR_DW;
    far_status st = make_product(&state->key, false, &state->set);
    if (st == FAR_OK && is_dw) st = make_product(&state->key, true, &state->add);
    if (st != FAR_OK || state->set.desc == NULL || (is_dw && state->add.desc == NULL)) {
        linear_destroy(&state->base);
        return st;
    }
    (void)snprintf(state->impl, sizeof state->impl, "%s%s%s", state->set.impl, is_dw ? ", adding " : "",
                   is_dw ? state->add.impl : "");
    state->base.answer.run = runs[state->key.kind];
    state->base.answer.state = state;
    state->base.answer.impl = state->impl;
    state->base.answer.scratch_bytes =
        state->set.scratch_bytes > state->add.scratch_bytes ? state->set.scratch_bytes : state->add.scratch_bytes;
    state->base.destroy = linear_destroy;
    *state_out = &state->base;
    return FAR_OK;
}

/* ---- running ---- */

static far_status product(const fari_call *call, const fari_dnnl_primitive *primitive, const void *a, const void *b)
{
    const linear_state *state = call->prepared;
    const fari_dnnl_arg args[] = { { DNNL_ARG_SRC, a },
                                   { DNNL_ARG_WEIGHTS, b },
                                   { DNNL_ARG_DST, call->out[0].data },
                                   { DNNL_ARG_BIAS, state->key.has_bias ? call->in[2].data : NULL } };
    return fari_dnnl_run(primitive, state->key.has_bias ? 4 : 3, args, call->scratch);
}

static far_status forward_run(const fari_call *call)
{
    const linear_state *state = call->prepared;
    return product(call, &state->set, call->in[0].data, call->in[1].data);
}

static far_status dx_run(const fari_call *call)
{
    const linear_state *state = call->prepared;
    return product(call, &state->set, call->in[0].data, call->in[1].data);
}

/* in: x, d_y; the first factor is d_y turned. */
static far_status dw_run(const fari_call *call)
{
    const linear_state *state = call->prepared;
    return product(call, call->accumulate ? &state->add : &state->set, call->in[1].data, call->in[0].data);
}

static far_status matmul_run(const fari_call *call)
{
    const linear_state *state = call->prepared;
    return product(call, &state->set, call->in[0].data, call->in[1].data);
}

const fari_cpu_maker fari_cpu_linear_makers[] = {
    { &fari_op_linear, describe_forward, linear_make },
    { &fari_op_linear_dx, describe_dx, linear_make },
    { &fari_op_linear_dw, describe_dw, linear_make },
    { &fari_op_matmul, describe_matmul, linear_make },
    { NULL, NULL, NULL },
};
