/* Sums across grains of f32: fari_column_sum and fari_reduce_all, ops of the same names. In double over fixed lanes. No scratch. */
#include "backends/cpu/isa/isa.h"
#include "backends/cpu/isa/kernels_elementwise.h"
#include "backends/cpu/isa/lanes.h"
#include "graph/graph.h"
#include "ops/reduce.h"

static double sum_run(const float *x, int64_t elems)
{
    double sum;
    LANES_SUM(sum, elems, (double)x[i]);
    return sum;
}

/* ---- columns: x is [lines][columns], `columns` consecutive ---- */

#define WIDTH 32 /* columns side by side: sums that fit the registers */

/* sum[i] += x[i], i in [0, count). With a constant count the compiler keeps the sums in registers. */
FARI_INLINE void columns_add(double *sum, const float *x, int64_t count)
{
    for (int64_t i = 0; i < count; i++) sum[i] += (double)x[i];
}

FARI_INLINE void columns_block(const float *x, int64_t lines, int64_t stride, int64_t width, double *sum)
{
    double acc[WIDTH] = { 0.0 };
    for (int64_t p = 0; p < lines; p++) columns_add(acc, x + p * stride, width);
    for (int64_t i = 0; i < width; i++) sum[i] = acc[i];
}

/* Few columns: as many lines side by side as fit. How many depends on the column count alone. */
static void columns_narrow(const float *x, int64_t lines, int64_t columns, double *sum)
{
    const int64_t together = WIDTH / columns, width = together * columns, steps = lines / together;
    double acc[WIDTH] = { 0.0 };
    if (width == WIDTH)
        for (int64_t s = 0; s < steps; s++) columns_add(acc, x + s * WIDTH, WIDTH);
    else
        for (int64_t s = 0; s < steps; s++) columns_add(acc, x + s * width, width);
    columns_add(acc, x + steps * width, (lines - steps * together) * columns);
    for (int64_t c = 0; c < columns; c++) {
        sum[c] = acc[c];
        for (int64_t t = 1; t < together; t++) sum[c] += acc[t * columns + c];
    }
}

/* y[c] (+)= the sum of column c. */
static void columns_sum(const float *x, int64_t lines, int64_t columns, bool accumulate, float *y)
{
    double sum[WIDTH];
    for (int64_t c = 0; c < columns; c += WIDTH) {
        const int64_t width = columns - c < WIDTH ? columns - c : WIDTH;
        if (columns <= WIDTH / 2) columns_narrow(x, lines, columns, sum);
        else if (width == WIDTH) columns_block(x + c, lines, columns, WIDTH, sum);
        else columns_block(x + c, lines, columns, width, sum);
        for (int64_t i = 0; i < width; i++) y[c + i] = (accumulate ? y[c + i] : 0.0f) + (float)sum[i];
    }
}

/* ---- the op ---- */

/* x [samples, C, ..] row-major with pixels behind the channels: y[c] (+)= the sum of its pixels over the samples. */
static void planes_sum(const float *x, int64_t samples, int64_t channels, int64_t pixels, bool accumulate, float *y)
{
    for (int64_t c = 0; c < channels; c++) {
        double sum = 0.0;
        for (int64_t n = 0; n < samples; n++) sum += sum_run(x + (n * channels + c) * pixels, pixels);
        y[c] = (accumulate ? y[c] : 0.0f) + (float)sum;
    }
}

static void channels_sum(const fari_view *view, const float *x, int64_t samples, int64_t each, bool accumulate,
                         float *y)
{
    const int64_t channels = view->dim[1], pixels = each / channels;
    if (view->order == FARI_CHANNELS_LAST || pixels == 1) columns_sum(x, samples * pixels, channels, accumulate, y);
    else planes_sum(x, samples, channels, pixels, accumulate, y);
}

far_status FARI_ISA(fari_column_sum)(const fari_call *call)
{
    const fari_column_sum_attr *attr = call->attr;
    const fari_view *view = &call->in[0], *out = &call->out[0];
    const float *x = view->data;
    float *y = out->data;
    const bool is_flat = view->order == FARI_ROW_MAJOR || view->ndim < 3;
    if (view->dtype != FAR_F32 || out->dtype != FAR_F32 || view->ndim < 1) return call->node->op->reference(call);
    const int64_t samples = view->dim[0], elems = fari_view_elems(view), each = elems / samples;
    if (attr->over_samples) {
        if (!is_flat || fari_view_elems(out) != each) return call->node->op->reference(call);
        columns_sum(x, samples, each, call->accumulate, y);
    } else if (attr->per_sample && attr->axis == 1) {
        for (int64_t n = 0; n < samples; n++)
            channels_sum(view, x + n * each, 1, each, call->accumulate,
                         y + (view->sample0 + n - out->sample0) * view->dim[1]);
    } else if (attr->axis < 0) {
        y[0] = (call->accumulate ? y[0] : 0.0f) + (float)sum_run(x, elems);
    } else if (attr->axis == view->ndim - 1 && is_flat) {
        columns_sum(x, elems / view->dim[attr->axis], view->dim[attr->axis], call->accumulate, y);
    } else if (attr->axis == 1) {
        channels_sum(view, x, samples, each, call->accumulate, y);
    } else {
        return call->node->op->reference(call);
    }
    return FAR_OK;
}

far_status FARI_ISA(fari_reduce_all)(const fari_call *call)
{
    double *y = call->out[0].data;
    if (call->in[0].dtype != FAR_F32 || call->out[0].dtype != FAR_F64) return call->node->op->reference(call);
    y[0] = (call->accumulate ? y[0] : 0.0) + sum_run(call->in[0].data, fari_view_elems(&call->in[0]));
    return FAR_OK;
}
