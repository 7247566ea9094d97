/* Softmax along contiguous lines: softmax and softmax_dx for both forms of src/ops/softmax.h, f32. Short lines are taken a block of
   lines at a time (blocks.h), long ones along the line. */
#include "ops/softmax.h"
#include "backends/cpu/isa/blocks.h"
#include "backends/cpu/isa/kernels_norm.h"
#include "backends/cpu/isa/lanes.h"
#include "backends/cpu/isa/vec_math.h"
#include "ops/lines.h"

/* Lines of the call: channels are the innermost axis of channels-last tensors, so that both forms are alike. */
static fari_lines lines_of(const fari_view *whole, const fari_view *piece)
{
    const bool is_channels = whole->order == FARI_CHANNELS_LAST && whole->ndim >= 3;
    const int64_t channels = whole->dim[1];
    if (!is_channels) return fari_lines_of(whole, piece);
    return (fari_lines){ fari_view_elems(whole) / channels, channels, 0, channels };
}

static void softmax_block(block *b, int64_t length, bool is_log)
{
    float top[BLOCK], sum[BLOCK];
    block_top(b, length, top);
    for (int j = 0; j < BLOCK; j++) sum[j] = 0.0f;
    for (int64_t k = 0; k < length; k++)
        for (int j = 0; j < BLOCK; j++) {
            const float shifted = b->v[k][j] - top[j], e = vec_exp(shifted);
            b->v[k][j] = is_log ? shifted : e;
            sum[j] += e;
        }
    if (is_log) {
        for (int j = 0; j < BLOCK; j++) sum[j] = vec_log(sum[j]);
        for (int64_t k = 0; k < length; k++)
            for (int j = 0; j < BLOCK; j++) b->v[k][j] -= sum[j];
    } else {
        for (int j = 0; j < BLOCK; j++) sum[j] = 1.0f / sum[j];
        for (int64_t k = 0; k < length; k++)
            for (int j = 0; j < BLOCK; j++) b->v[k][j] *= sum[j];
    }
}

static void softmax_line(const float *restrict x, float *restrict y, const fari_lines *lines, bool is_log)
{
    const float top = block_line_top(x, lines->length);
    const bool is_whole = lines->part == lines->length;
    const float *restrict part = x + lines->first;
    double sum;
    if (is_whole && !is_log) { /* exponentials are kept where they end up; the same bits as below */
        for (int64_t i = 0; i < lines->length; i++) y[i] = vec_exp(x[i] - top);
        LANES_SUM(sum, lines->length, (double)y[i]);
    } else {
        LANES_SUM(sum, lines->length, (double)vec_exp(x[i] - top));
    }
    const float by = (float)(1.0 / sum), log_sum = vec_log((float)sum);
    if (is_log) {
        for (int64_t i = 0; i < lines->part; i++) y[i] = (part[i] - top) - log_sum;
    } else if (is_whole) {
        for (int64_t i = 0; i < lines->part; i++) y[i] *= by;
    } else {
        for (int64_t i = 0; i < lines->part; i++) y[i] = vec_exp(part[i] - top) * by;
    }
}

far_status FARI_ISA(fari_softmax)(const fari_call *call)
{
    const fari_softmax_attr *attr = call->attr;
    const fari_lines lines = lines_of(&call->in[0], &call->out[0]);
    const float *x = call->in[0].data;
    float *y = call->out[0].data;
    if (lines.length > BLOCK_CLASSES || lines.part != lines.length) {
        for (int64_t l = 0; l < lines.count; l++)
            softmax_line(x + l * lines.length, y + l * lines.part, &lines, attr->is_log);
        return FAR_OK;
    }
    block b;
    for (int64_t l = 0; l < lines.count; l += BLOCK) {
        const int64_t n = lines.count - l < BLOCK ? lines.count - l : BLOCK;
        block_read(&b, x + l * lines.length, n, lines.length);
        softmax_block(&b, lines.length, attr->is_log);
        block_write(&b, y + l * lines.length, n, lines.length);
    }
    return FAR_OK;
}

/* softmax: dx = y (dy - sum(y dy)); log-softmax: dx = dy - exp(y) sum(dy). */
static void softmax_dx_block(const block *y, block *d, int64_t length, bool is_log)
{
    float sum[BLOCK];
    for (int j = 0; j < BLOCK; j++) sum[j] = 0.0f;
    for (int64_t k = 0; k < length; k++)
        for (int j = 0; j < BLOCK; j++) sum[j] += is_log ? d->v[k][j] : y->v[k][j] * d->v[k][j];
    for (int64_t k = 0; k < length; k++)
        for (int j = 0; j < BLOCK; j++)
            d->v[k][j] = is_log ? d->v[k][j] - vec_exp(y->v[k][j]) * sum[j] : y->v[k][j] * (d->v[k][j] - sum[j]);
}

static void softmax_dx_line(const float *restrict y, const float *restrict dy, float *restrict dx,
                            const fari_lines *lines, bool is_log)
{
    double total;
    if (is_log) {
        LANES_SUM(total, lines->length, (double)dy[i]);
    } else {
        LANES_SUM(total, lines->length, (double)y[i] * (double)dy[i]);
    }
    const float sum = (float)total;
    y += lines->first;
    dy += lines->first;
    if (is_log) {
        for (int64_t i = 0; i < lines->part; i++) dx[i] = dy[i] - vec_exp(y[i]) * sum;
    } else {
        for (int64_t i = 0; i < lines->part; i++) dx[i] = y[i] * (dy[i] - sum);
    }
}

far_status FARI_ISA(fari_softmax_dx)(const fari_call *call)
{
    const fari_softmax_attr *attr = call->attr;
    const fari_lines lines = lines_of(&call->in[0], &call->out[0]);
    const float *y = call->in[0].data, *dy = call->in[1].data;
    float *dx = call->out[0].data;
    if (lines.length > BLOCK_CLASSES || lines.part != lines.length) {
        for (int64_t l = 0; l < lines.count; l++)
            softmax_dx_line(y + l * lines.length, dy + l * lines.length, dx + l * lines.part, &lines, attr->is_log);
        return FAR_OK;
    }
    block by, bd;
    for (int64_t l = 0; l < lines.count; l += BLOCK) {
        const int64_t n = lines.count - l < BLOCK ? lines.count - l : BLOCK;
        block_read(&by, y + l * lines.length, n, lines.length);
        block_read(&bd, dy + l * lines.length, n, lines.length);
        softmax_dx_block(&by, &bd, lines.length, attr->is_log);
        block_write(&bd, dx + l * lines.length, n, lines.length);
    }
    return FAR_OK;
}
