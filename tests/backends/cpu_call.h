/* Calls of single ops through a backend, as the executor would make them: prepared, packed, given scratch, unpacked. */
#ifndef FAR_TESTS_CPU_CALL_H
#define FAR_TESTS_CPU_CALL_H
#include "backends/cpu/loops.h"
#include "base/rng.h"
#include "graph/graph.h"
#include "ops/conv.h"
#include "plan/backend.h"
#include "test.h"

#define CALL_IMPL_BYTES 128

static inline void *block(size_t bytes, size_t align)
{
    void *data = NULL;
    FAR_CHECK(posix_memalign(&data, align, bytes > 0 ? bytes : 1) == 0);
    memset(data, 0xff, bytes); /* NaN as floats: nobody may count on what was there */
    return data;
}

#define TAIL 32 /* floats behind every array, which nobody may touch */

static inline float *floats(int64_t count)
{
    return block((size_t)(count + TAIL) * sizeof(float), 64);
}

static inline void check_tail(const char *what, const float *data, int64_t count)
{
    const unsigned char *tail = (const unsigned char *)(data + count);
    for (size_t i = 0; i < TAIL * sizeof(float); i++)
        FAR_CHECK_MSG(tail[i] == 0xff, "%s wrote behind its output", what);
}

/* Uniform in [-1, 1). */
static inline float *random_floats(int64_t count, uint64_t key)
{
    float *data = floats(count);
    for (int64_t i = 0; i < count; i++) data[i] = 2.0f * fari_rng_unit(key, (uint64_t)i) - 1.0f;
    return data;
}

/* The scratch, with a guard behind it. */
static inline void *scratch_make(size_t bytes)
{
    unsigned char *data = block(bytes + 64, 64);
    memset(data + bytes, 0xa5, 64);
    return data;
}

static inline void scratch_end(void *scratch, size_t bytes)
{
    const unsigned char *guard = (const unsigned char *)scratch + bytes;
    for (int i = 0; i < 64; i++)
        FAR_CHECK_MSG(guard[i] == 0xa5, "a kernel wrote behind its %zu bytes of scratch", bytes);
    free(scratch);
}

/* Asks the backend for `call`, whose views' data may be set already. */
static inline void prepare_call(fari_backend *backend, const fari_call *call, fari_prepared *prepared_out)
{
    fari_call geometry = *call;
    for (int32_t i = 0; i < FARI_IN_MAX; i++) geometry.in[i].data = NULL;
    for (int32_t i = 0; i < FARI_OUT_MAX; i++) geometry.out[i].data = NULL;
    *prepared_out = (fari_prepared){ 0 };
    FAR_CHECK_OK(backend->prepare(backend, &geometry, prepared_out));
    FAR_CHECK(prepared_out->run != NULL && prepared_out->impl != NULL && prepared_out->impl[0] != '\0');
}

/* Runs a prepared call; packs inputs, and unpacks the partial of a REDUCE into out[0]. */
static inline void run_prepared(fari_backend *backend, fari_call call, const fari_prepared *prepared)
{
    void *packed[FARI_IN_MAX] = { NULL }, *plain = call.out[0].data, *partial = NULL;
    for (int32_t i = 0; i < call.in_count; i++) {
        if (prepared->pack_bytes[i] == 0) continue;
        packed[i] = block(prepared->pack_bytes[i], 64);
        FAR_CHECK_OK(backend->pack(prepared, i, call.in[i].data, packed[i]));
        call.in[i].data = packed[i];
    }
    if (prepared->partial_bytes > 0) call.out[0].data = partial = block(prepared->partial_bytes, 64);
    call.scratch = scratch_make(prepared->scratch_bytes);
    call.prepared = prepared->state;
    FAR_CHECK_OK(prepared->run(&call));
    if (partial != NULL) FAR_CHECK_OK(backend->unpack(prepared, partial, plain));
    scratch_end(call.scratch, prepared->scratch_bytes);
    free(partial);
    for (int32_t i = 0; i < call.in_count; i++) free(packed[i]);
}

static inline void run_call(fari_backend *backend, const fari_call *call, char impl_out[CALL_IMPL_BYTES])
{
    fari_prepared prepared;
    prepare_call(backend, call, &prepared);
    run_prepared(backend, *call, &prepared);
    if (impl_out != NULL) (void)snprintf(impl_out, CALL_IMPL_BYTES, "%s", prepared.impl);
    if (backend->release != NULL) backend->release(backend, &prepared);
}

/* ---- convolutions ---- */

typedef enum conv_pass { PASS_FORWARD, PASS_DX, PASS_DW, PASS_COUNT } conv_pass;

static inline fari_view dense_view(void *data, fari_order order, int32_t ndim, const int64_t *dim)
{
    fari_view view = { .data = data, .order = order, .ndim = ndim };
    for (int32_t i = 0; i < ndim; i++) view.dim[i] = dim[i];
    view.rows_total = ndim > 2 ? dim[2] : 1;
    return view;
}

static inline fari_view conv_view(const fari_conv_attr *attr, int64_t samples, bool is_y, float *data)
{
    int64_t dim[FAR_NDIM_MAX] = { samples, is_y ? attr->out_channels : attr->in_channels };
    for (int d = 0; d < attr->spatial_ndim; d++) dim[d + 2] = is_y ? fari_conv_out_extent(attr, d) : attr->in_extent[d];
    return dense_view(data, FARI_CHANNELS_LAST, attr->spatial_ndim + 2, dim);
}

static inline fari_view conv_weight_view(const fari_conv_attr *attr, float *data)
{
    int64_t dim[FAR_NDIM_MAX] = { attr->out_channels, attr->in_channels / attr->groups };
    for (int d = 0; d < attr->spatial_ndim; d++) dim[d + 2] = attr->kernel[d];
    return dense_view(data, FARI_ROW_MAJOR, attr->spatial_ndim + 2, dim);
}

static inline fari_view vector_view(float *data, int64_t elems)
{
    return dense_view(data, FARI_ROW_MAJOR, 1, &elems);
}

/* Rows [lo, hi) of one-sample tensors; of others, which are not cut, all rows. */
static inline fari_view rows_view(const fari_view *whole, int64_t lo, int64_t hi)
{
    fari_view view = *whole;
    int64_t row_elems = whole->dim[1];
    for (int32_t i = 3; i < whole->ndim; i++) row_elems *= whole->dim[i];
    if (lo < 0) lo = 0;
    if (hi > whole->dim[2]) hi = whole->dim[2];
    FAR_CHECK(lo < hi);
    if (whole->dim[0] > 1) return view;
    if (view.data != NULL) view.data = (float *)view.data + lo * row_elems;
    view.dim[2] = hi - lo;
    view.row0 = whole->row0 + lo;
    return view;
}

typedef struct conv_data {
    fari_conv_attr attr;
    int64_t samples;
    fari_view x, y, weight, bias_y, bias_x; /* y doubles as its gradient */
    bool has_bias;
} conv_data;

static inline conv_data conv_data_make(const fari_conv_attr *attr, int64_t samples, bool has_bias, uint64_t seed)
{
    conv_data data = { .attr = *attr, .samples = samples, .has_bias = has_bias };
    data.x = conv_view(attr, samples, false, NULL);
    data.y = conv_view(attr, samples, true, NULL);
    data.weight = conv_weight_view(attr, NULL);
    data.x.data = random_floats(fari_view_elems(&data.x), seed + 1);
    data.y.data = random_floats(fari_view_elems(&data.y), seed + 2);
    data.weight.data = random_floats(fari_view_elems(&data.weight), seed + 3);
    data.bias_y = vector_view(random_floats(attr->out_channels, seed + 4), attr->out_channels);
    data.bias_x = vector_view(random_floats(attr->in_channels, seed + 5), attr->in_channels);
    return data;
}

static inline void conv_data_free(conv_data *data)
{
    free(data->x.data);
    free(data->y.data);
    free(data->weight.data);
    free(data->bias_y.data);
    free(data->bias_x.data);
}

static const fari_op *const pass_op[PASS_COUNT] = { &fari_op_conv, &fari_op_conv_dx, &fari_op_conv_dw };
static const char *const pass_name[PASS_COUNT] = { "forward", "dx", "dw" };

/* Elements of the pass's whole output. */
static inline fari_view pass_out(const conv_data *data, conv_pass pass, void *out)
{
    fari_view view = pass == PASS_FORWARD ? data->y : pass == PASS_DX ? data->x : data->weight;
    view.data = out;
    return view;
}

/* The pass for rows [lo, hi) of its output (PASS_DW: of dy), with the inputs that the op's row rule asks for. `node` is filled in
   and must outlive the call. `out` is the whole output. */
static inline fari_call conv_call(const conv_data *data, conv_pass pass, int64_t lo, int64_t hi, void *out,
                                  fari_node *node)
{
    int64_t in_lo = 0, in_hi = 0;
    fari_call call = { .node = node, .attr = &data->attr };
    fari_view whole = pass_out(data, pass, out);
    memset(node, 0, sizeof *node);
    node->op = pass_op[pass];
    node->name = (char *)"test";
    node->attr = (void *)(uintptr_t)&data->attr;
    if (pass == PASS_DX) fari_conv_rows_dy(&data->attr, 0, lo, hi, &in_lo, &in_hi);
    else fari_conv_rows_x(&data->attr, 0, lo, hi, &in_lo, &in_hi);
    call.in[0] = pass == PASS_DX ? rows_view(&data->y, in_lo, in_hi) : rows_view(&data->x, in_lo, in_hi);
    call.in[1] = pass == PASS_DW ? rows_view(&data->y, lo, hi) : data->weight;
    call.in_count = 2;
    if (pass != PASS_DW && data->has_bias) call.in[call.in_count++] = pass == PASS_DX ? data->bias_x : data->bias_y;
    call.out[0] = pass == PASS_DW ? whole : rows_view(&whole, lo, hi);
    call.out_count = 1;
    return call;
}

/* Rows that a pass is cut along. */
static inline int64_t pass_rows(const conv_data *data, conv_pass pass)
{
    return pass == PASS_DX ? data->x.dim[2] : data->y.dim[2];
}

static inline bool has_avx512(void)
{
    fari_isa best = FARI_ISA_BASE;
    FAR_CHECK_OK(fari_isa_select(NULL, &best));
    return best >= FARI_ISA_AVX512;
}

/* Two axes, one group, the same kernel, stride and padding along both. */
static inline fari_conv_attr square_conv(int64_t in_channels, int64_t out_channels, int64_t rows, int64_t cols,
                                         int64_t kernel, int64_t stride, int64_t pad)
{
    return (fari_conv_attr){ .spatial_ndim = 2,
                             .kernel = { kernel, kernel, 1 },
                             .stride = { stride, stride, 1 },
                             .dilation = { 1, 1, 1 },
                             .pad_lo = { pad, pad, 0 },
                             .pad_hi = { pad, pad, 0 },
                             .groups = 1,
                             .in_extent = { rows, cols, 1 },
                             .in_channels = in_channels,
                             .out_channels = out_channels };
}

/* The whole output in double; to be freed. */
static inline double *conv_reference(const conv_data *data, conv_pass pass, int64_t elems)
{
    double *want = block((size_t)elems * sizeof(double), 64);
    fari_node node;
    fari_call call = conv_call(data, pass, 0, pass_rows(data, pass), NULL, &node);
    call.out[0].dtype = FAR_F64;
    call.out[0].data = want;
    FAR_CHECK_OK(pass_op[pass]->reference(&call));
    return want;
}
#endif
