#include "ops/norm_reference.h"
#include "graph/graph.h"
#include <math.h>

/* Views of statistics are [segments, fields * C]. */
static int64_t field_at(const fari_view *view, int64_t segment, int64_t field, int64_t channels, int64_t c)
{
    return segment * view->dim[1] + field * channels + c;
}

static double field_get(const fari_view *view, int64_t segment, int64_t field, int64_t channels, int64_t c)
{
    return fari_view_get_flat(view, field_at(view, segment, field, channels, c));
}

static void field_set(const fari_view *view, int64_t segment, int64_t field, int64_t channels, int64_t c, double value)
{
    fari_view_set_flat(view, field_at(view, segment, field, channels, c), value);
}

/* Samples [lo, hi) of a piece that belong to a segment of the piece. Only per-sample statistics give a piece several. */
static void segment_samples(const fari_norm_attr *attr, const fari_view *x, int64_t segment, int64_t *lo_out,
                            int64_t *hi_out)
{
    *lo_out = attr->group_samples == 1 ? segment : 0;
    *hi_out = attr->group_samples == 1 ? segment + 1 : x->dim[0];
}

static int64_t segment_of(const fari_norm_attr *attr, int64_t sample)
{
    return attr->group_samples == 1 ? sample : 0;
}

/* Steps over the pixels of one sample and channel. */
static bool pixel_next(const fari_view *view, int64_t *idx)
{
    return fari_idx_next(idx + 2, view->dim + 2, view->ndim - 2);
}

typedef struct moments {
    double mean, m2, count;
} moments;

/* Chan, Golub, LeVeque 1979: the moments of two sets as one. */
static moments moments_merge(moments a, moments b)
{
    const double count = a.count + b.count, delta = b.mean - a.mean;
    if (b.count == 0.0) return a;
    if (a.count == 0.0) return b;
    return (moments){ a.mean + delta * (b.count / count), a.m2 + b.m2 + delta * delta * (a.count * b.count / count),
                      count };
}

static moments moments_get(const fari_view *stats, int64_t segment, int64_t channels, int64_t c)
{
    return (moments){ field_get(stats, segment, 0, channels, c), field_get(stats, segment, 1, channels, c),
                      field_get(stats, segment, 2, channels, c) };
}

static void moments_set(const fari_view *stats, int64_t segment, int64_t channels, int64_t c, moments m)
{
    field_set(stats, segment, 0, channels, c, m.mean);
    field_set(stats, segment, 1, channels, c, m.m2);
    field_set(stats, segment, 2, channels, c, m.count);
}

/* Of samples [lo, hi) of one channel, in two passes. */
static moments moments_of(const fari_view *x, int64_t lo, int64_t hi, int64_t c)
{
    moments m = { 0.0, 0.0, 0.0 };
    for (int64_t n = lo; n < hi; n++) {
        int64_t idx[FAR_NDIM_MAX] = { n, c };
        do {
            m.mean += fari_view_get(x, idx);
            m.count += 1.0;
        } while (pixel_next(x, idx));
    }
    m.mean /= m.count;
    for (int64_t n = lo; n < hi; n++) {
        int64_t idx[FAR_NDIM_MAX] = { n, c };
        do {
            const double d = fari_view_get(x, idx) - m.mean;
            m.m2 += d * d;
        } while (pixel_next(x, idx));
    }
    return m;
}

far_status fari_norm_stats_reference(const fari_call *call)
{
    const fari_norm_attr *attr = call->attr;
    const fari_view *x = &call->in[0], *stats = &call->out[0];
    const int64_t channels = x->dim[1];
    for (int64_t s = 0; s < stats->dim[0]; s++) {
        int64_t lo, hi;
        segment_samples(attr, x, s, &lo, &hi);
        for (int64_t c = 0; c < channels; c++) {
            moments m = moments_of(x, lo, hi, c);
            if (call->accumulate) m = moments_merge(moments_get(stats, s, channels, c), m);
            moments_set(stats, s, channels, c, m);
        }
    }
    return FAR_OK;
}

far_status fari_norm_stats_combine(const fari_call *call)
{
    const fari_view *left = &call->out[0], *right = &call->in[0];
    const int64_t channels = left->dim[1] / 3;
    for (int64_t s = 0; s < left->dim[0]; s++)
        for (int64_t c = 0; c < channels; c++)
            moments_set(left, s, channels, c,
                        moments_merge(moments_get(left, s, channels, c), moments_get(right, s, channels, c)));
    return FAR_OK;
}

far_status fari_norm_finalize_reference(const fari_call *call)
{
    const fari_norm_attr *attr = call->attr;
    const fari_view *stats = &call->in[0], *meanrstd = &call->out[0];
    const int64_t channels = stats->dim[1] / 3, width = channels / attr->groups;
    for (int64_t s = 0; s < stats->dim[0]; s++)
        for (int64_t first = 0; first < channels; first += width) {
            moments m = moments_get(stats, s, channels, first);
            for (int64_t c = first + 1; c < first + width; c++)
                m = moments_merge(m, moments_get(stats, s, channels, c));
            const double rstd = 1.0 / sqrt(m.m2 / m.count + attr->eps);
            for (int64_t c = first; c < first + width; c++) {
                field_set(meanrstd, s, 0, channels, c, m.mean);
                field_set(meanrstd, s, 1, channels, c, rstd);
            }
        }
    return FAR_OK;
}

/* in: stats, running_mean, running_var; out: the last two. Several segments: the mean of their means and of their variances. */
far_status fari_norm_running_reference(const fari_call *call)
{
    const fari_norm_attr *attr = call->attr;
    const fari_view *stats = &call->in[0];
    const int64_t channels = stats->dim[1] / 3, segments = stats->dim[0];
    for (int64_t c = 0; c < channels; c++) {
        double mean = 0.0, var = 0.0;
        for (int64_t s = 0; s < segments; s++) {
            const moments m = moments_get(stats, s, channels, c);
            mean += m.mean;
            var += m.m2 / (m.count - 1.0);
        }
        mean /= (double)segments;
        var /= (double)segments;
        const double old_mean = fari_view_get_flat(&call->in[1], c), old_var = fari_view_get_flat(&call->in[2], c);
        fari_view_set_flat(&call->out[0], c, (1.0 - attr->momentum) * old_mean + attr->momentum * mean);
        fari_view_set_flat(&call->out[1], c, (1.0 - attr->momentum) * old_var + attr->momentum * var);
    }
    return FAR_OK;
}

far_status fari_norm_fixed_reference(const fari_call *call)
{
    const fari_norm_attr *attr = call->attr;
    const int64_t channels = call->in[0].dim[0];
    for (int64_t c = 0; c < channels; c++) {
        field_set(&call->out[0], 0, 0, channels, c, fari_view_get_flat(&call->in[0], c));
        field_set(&call->out[0], 0, 1, channels, c, 1.0 / sqrt(fari_view_get_flat(&call->in[1], c) + attr->eps));
    }
    return FAR_OK;
}

far_status fari_norm_apply_reference(const fari_call *call)
{
    const fari_norm_attr *attr = call->attr;
    const fari_view *x = &call->in[0], *meanrstd = &call->in[1], *y = &call->out[0];
    const int64_t channels = x->dim[1];
    const int32_t residual = attr->has_affine ? 4 : 2;
    int64_t idx[FAR_NDIM_MAX] = { 0 };
    do {
        const int64_t c = idx[1], s = segment_of(attr, idx[0]);
        double z =
            (fari_view_get(x, idx) - field_get(meanrstd, s, 0, channels, c)) * field_get(meanrstd, s, 1, channels, c);
        if (attr->has_affine) z = fari_view_get_flat(&call->in[2], c) * z + fari_view_get_flat(&call->in[3], c);
        if (attr->has_residual) z += fari_view_get(&call->in[residual], idx);
        if (attr->act != FAR_ACT_NONE && z < 0.0) z = attr->act == FAR_ACT_RELU ? 0.0 : attr->slope * z;
        fari_view_set(y, idx, z);
    } while (fari_idx_next(idx, y->dim, y->ndim));
    return FAR_OK;
}

/* Something that is above zero where z is: y (slopes are not negative), or z itself. */
static double above_at(const fari_call *call, const fari_norm_ins *ins, const int64_t *idx)
{
    const fari_view *x = &call->in[0], *meanrstd = &call->in[1];
    const int64_t channels = x->dim[1], c = idx[1], s = segment_of(call->attr, idx[0]);
    if (ins->y > 0) return fari_view_get(&call->in[ins->y], idx);
    double z =
        (fari_view_get(x, idx) - field_get(meanrstd, s, 0, channels, c)) * field_get(meanrstd, s, 1, channels, c);
    if (ins->gamma > 0) z *= fari_view_get_flat(&call->in[ins->gamma], c);
    if (ins->beta > 0) z += fari_view_get_flat(&call->in[ins->beta], c);
    return z;
}

/* dy act'(z) */
static double dz_at(const fari_call *call, const fari_norm_ins *ins, const int64_t *idx)
{
    const fari_norm_attr *attr = call->attr;
    const double d = fari_view_get(&call->in[2], idx);
    if (attr->act == FAR_ACT_NONE || above_at(call, ins, idx) > 0.0) return d;
    return attr->act == FAR_ACT_RELU ? 0.0 : attr->slope * d;
}

far_status fari_norm_dstats_reference(const fari_call *call)
{
    const fari_norm_attr *attr = call->attr;
    const fari_view *x = &call->in[0], *meanrstd = &call->in[1], *dstats = &call->out[0];
    const fari_norm_ins ins = fari_norm_dstats_ins(attr);
    const int64_t channels = x->dim[1];
    for (int64_t s = 0; s < dstats->dim[0]; s++) {
        int64_t lo, hi;
        segment_samples(attr, x, s, &lo, &hi);
        for (int64_t c = 0; c < channels; c++) {
            const double mean = field_get(meanrstd, s, 0, channels, c), rstd = field_get(meanrstd, s, 1, channels, c);
            double sum = call->accumulate ? field_get(dstats, s, 0, channels, c) : 0.0;
            double sum_xhat = call->accumulate ? field_get(dstats, s, 1, channels, c) : 0.0;
            for (int64_t n = lo; n < hi; n++) {
                int64_t idx[FAR_NDIM_MAX] = { n, c };
                do {
                    const double dz = dz_at(call, &ins, idx);
                    sum += dz;
                    sum_xhat += dz * ((fari_view_get(x, idx) - mean) * rstd);
                } while (pixel_next(x, idx));
            }
            field_set(dstats, s, 0, channels, c, sum);
            field_set(dstats, s, 1, channels, c, sum_xhat);
        }
    }
    return FAR_OK;
}

/* Means over the statistic's elements of gamma dz and of gamma dz xhat, for the channel group of c. */
static void group_means(const fari_norm_attr *attr, const fari_view *gamma, const fari_view *dstats, int64_t s,
                        int64_t channels, int64_t c, double *mean_out, double *mean_xhat_out)
{
    const int64_t width = channels / attr->groups, first = c / width * width;
    double sum = 0.0, sum_xhat = 0.0;
    for (int64_t k = first; k < first + width; k++) {
        const double g = gamma != NULL ? fari_view_get_flat(gamma, k) : 1.0;
        sum += g * field_get(dstats, s, 0, channels, k);
        sum_xhat += g * field_get(dstats, s, 1, channels, k);
    }
    *mean_out = sum / (double)(attr->count * width);
    *mean_xhat_out = sum_xhat / (double)(attr->count * width);
}

/* dx = rstd (gamma dz - mean(gamma dz) - xhat mean(gamma dz xhat)): Ioffe and Szegedy 2015, for any set of elements. */
far_status fari_norm_dx_reference(const fari_call *call)
{
    const fari_norm_attr *attr = call->attr;
    const fari_view *x = &call->in[0], *meanrstd = &call->in[1];
    const fari_norm_ins ins = fari_norm_dx_ins(attr);
    const fari_view *gamma = ins.gamma > 0 ? &call->in[ins.gamma] : NULL;
    const fari_view *dstats = ins.dstats > 0 ? &call->in[ins.dstats] : NULL;
    const int64_t channels = x->dim[1];
    int64_t idx[FAR_NDIM_MAX] = { 0 };
    do {
        const int64_t c = idx[1], s = segment_of(attr, idx[0]);
        const double rstd = field_get(meanrstd, s, 1, channels, c), dz = dz_at(call, &ins, idx);
        double mean = 0.0, mean_xhat = 0.0, xhat = 0.0;
        if (dstats != NULL) {
            xhat = (fari_view_get(x, idx) - field_get(meanrstd, s, 0, channels, c)) * rstd;
            group_means(attr, gamma, dstats, s, channels, c, &mean, &mean_xhat);
        }
        const double scaled = gamma != NULL ? fari_view_get_flat(gamma, c) * dz : dz;
        fari_view_set(&call->out[0], idx, rstd * (scaled - mean - xhat * mean_xhat));
        if (call->out_count > 1) fari_view_set(&call->out[1], idx, dz);
    } while (fari_idx_next(idx, x->dim, x->ndim));
    return FAR_OK;
}

far_status fari_norm_dparam_sum_reference(const fari_call *call)
{
    const fari_view *dstats = &call->in[0];
    for (int64_t k = 0; k < dstats->dim[1]; k++) {
        double sum = call->accumulate ? fari_view_get_flat(&call->out[0], k) : 0.0;
        for (int64_t s = 0; s < dstats->dim[0]; s++) sum += fari_view_get_flat(dstats, s * dstats->dim[1] + k);
        fari_view_set_flat(&call->out[0], k, sum);
    }
    return FAR_OK;
}

far_status fari_norm_dparam_reference(const fari_call *call)
{
    const int64_t channels = call->in[0].dim[1] / 2;
    for (int64_t c = 0; c < channels; c++) {
        fari_view_set_flat(&call->out[0], c, field_get(&call->in[0], 0, 1, channels, c));
        fari_view_set_flat(&call->out[1], c, field_get(&call->in[0], 0, 0, channels, c));
    }
    return FAR_OK;
}

/* Adds the sums of dx over channels [first, first + width) of segment s, which share statistics. All have as many elements. */
static void group_dx_sum(const fari_call *call, int64_t s, int64_t first, int64_t width)
{
    const fari_norm_attr *attr = call->attr;
    const fari_view *stats = &call->in[0], *meanrstd = &call->in[1], *dstats = &call->in[2], *out = &call->out[0];
    const fari_view *gamma = attr->has_affine ? &call->in[3] : NULL;
    const int64_t channels = stats->dim[1] / 3;
    const double count = (double)attr->count, rstd = field_get(meanrstd, s, 1, channels, first);
    double x_mean = 0.0, mean, mean_xhat;
    for (int64_t c = first; c < first + width; c++) x_mean += field_get(stats, s, 0, channels, c) / (double)width;
    group_means(attr, gamma, dstats, s, channels, first, &mean, &mean_xhat);
    for (int64_t c = first; c < first + width; c++) {
        const double g = gamma != NULL ? fari_view_get_flat(gamma, c) : 1.0;
        const double dz = field_get(dstats, s, 0, channels, c);
        const double xhat = count * rstd * (field_get(stats, s, 0, channels, c) - x_mean);
        fari_view_set_flat(out, c, fari_view_get_flat(out, c) + rstd * (g * dz - count * mean - xhat * mean_xhat));
    }
}

/* norm_dx's formula, summed over a channel: of dz and xhat the sums are known. */
far_status fari_norm_dx_sum_reference(const fari_call *call)
{
    const fari_norm_attr *attr = call->attr;
    const int64_t channels = call->in[0].dim[1] / 3, width = channels / attr->groups;
    for (int64_t c = 0; c < channels && !call->accumulate; c++) fari_view_set_flat(&call->out[0], c, 0.0);
    for (int64_t s = 0; s < call->in[0].dim[0]; s++)
        for (int64_t first = 0; first < channels; first += width) group_dx_sum(call, s, first, width);
    return FAR_OK;
}
