/* Layer norm over contiguous lines: layer_norm, layer_norm_dx, layer_norm_dsums of src/ops/layer_norm.h, f32. */
#include "ops/layer_norm.h"
#include "backends/cpu/isa/kernels_norm.h"
#include "backends/cpu/isa/lanes.h"
#include "ops/lines.h"
#include <math.h>
#include <string.h>

typedef struct line_stats {
    float mean, rstd;
} line_stats;

static line_stats line_stats_of(const float *restrict x, int64_t length, double eps)
{
    double sum, m2;
    LANES_SUM(sum, length, (double)x[i]);
    const double mean = sum / (double)length;
    LANES_SUM(m2, length, ((double)x[i] - mean) * ((double)x[i] - mean));
    return (line_stats){ (float)mean,
                         (float)(1.0 / sqrt(m2 / (double)length + eps)) }; /* sqrt: one instruction, exactly rounded */
}

far_status FARI_ISA(fari_layer_norm)(const fari_call *call)
{
    const fari_layer_norm_attr *attr = call->attr;
    const fari_lines lines = fari_lines_of(&call->in[0], &call->out[0]);
    for (int64_t l = 0; l < lines.count; l++) {
        const float *restrict x = (const float *)call->in[0].data + l * lines.length;
        float *restrict y = (float *)call->out[0].data + l * lines.part;
        const line_stats s = line_stats_of(x, lines.length, attr->eps);
        const float *restrict part = x + lines.first;
        if (attr->has_affine) {
            const float *restrict gamma = (const float *)call->in[1].data + lines.first;
            const float *restrict beta = (const float *)call->in[2].data + lines.first;
            for (int64_t i = 0; i < lines.part; i++) y[i] = (part[i] - s.mean) * s.rstd * gamma[i] + beta[i];
        } else {
            for (int64_t i = 0; i < lines.part; i++) y[i] = (part[i] - s.mean) * s.rstd;
        }
    }
    return FAR_OK;
}

/* One line of dx; gamma NULL: ones. */
static void line_dx(const float *restrict x, const float *restrict dy, const float *restrict gamma, float *restrict dx,
                    const fari_lines *lines, line_stats s)
{
    const int64_t n = lines->length;
    double sum, sum_xhat;
    if (gamma != NULL) {
        LANES_SUM(sum, n, (double)(dy[i] * gamma[i]));
        LANES_SUM(sum_xhat, n, (double)(dy[i] * gamma[i]) * (double)((x[i] - s.mean) * s.rstd));
    } else {
        LANES_SUM(sum, n, (double)dy[i]);
        LANES_SUM(sum_xhat, n, (double)dy[i] * (double)((x[i] - s.mean) * s.rstd));
    }
    const float mean = (float)(sum / (double)n), mean_xhat = (float)(sum_xhat / (double)n);
    x += lines->first;
    dy += lines->first;
    if (gamma != NULL) {
        gamma += lines->first;
        for (int64_t i = 0; i < lines->part; i++)
            dx[i] = s.rstd * (dy[i] * gamma[i] - (mean + (x[i] - s.mean) * s.rstd * mean_xhat));
    } else {
        for (int64_t i = 0; i < lines->part; i++)
            dx[i] = s.rstd * (dy[i] - (mean + (x[i] - s.mean) * s.rstd * mean_xhat));
    }
}

far_status FARI_ISA(fari_layer_norm_dx)(const fari_call *call)
{
    const fari_layer_norm_attr *attr = call->attr;
    const fari_lines lines = fari_lines_of(&call->in[0], &call->out[0]);
    const float *gamma = attr->has_affine ? call->in[2].data : NULL;
    for (int64_t l = 0; l < lines.count; l++) {
        const float *x = (const float *)call->in[0].data + l * lines.length,
                    *dy = (const float *)call->in[1].data + l * lines.length;
        line_dx(x, dy, gamma, (float *)call->out[0].data + l * lines.part, &lines,
                line_stats_of(x, lines.length, attr->eps));
    }
    return FAR_OK;
}

/* Line after line into the sums of each element of the line: sum dy, then sum dy xhat. */
far_status FARI_ISA(fari_layer_norm_dsums)(const fari_call *call)
{
    const fari_layer_norm_attr *attr = call->attr;
    const fari_lines lines = fari_lines_of(&call->in[0], &call->in[1]);
    double *restrict sum = (double *)call->out[0].data + lines.first, *restrict product = sum + lines.length;
    if (!call->accumulate) memset(call->out[0].data, 0, (size_t)(2 * lines.length) * sizeof(double));
    for (int64_t l = 0; l < lines.count; l++) {
        const float *x = (const float *)call->in[0].data + l * lines.length;
        const float *restrict dy = (const float *)call->in[1].data + l * lines.part, *restrict part = x + lines.first;
        const line_stats s = line_stats_of(x, lines.length, attr->eps);
        for (int64_t i = 0; i < lines.part; i++) {
            sum[i] += (double)dy[i];
            product[i] += (double)dy[i] * (double)((part[i] - s.mean) * s.rstd);
        }
    }
    return FAR_OK;
}
