/* Resampling by its definition, in double. Positions are those of the whole image: pieces may start at any row. */
#include "ops/spatial.h"
#include "ops/upsample.h"

static const int64_t origin[3] = { 0, 0, 0 };

static double read_at(const fari_volume *vol, int64_t n, int64_t c, const int64_t whole[3])
{
    const int64_t at[3] = { whole[0] - vol->row0, whole[1], whole[2] };
    for (int d = 0; d < 3; d++) FAR_ASSERT(at[d] >= 0 && at[d] < vol->extent[d]);
    return fari_volume_get(vol, fari_volume_at(vol, n, c, at));
}

/* One element of y: up to two inputs an axis. */
static double upsample_at(const fari_upsample_attr *attr, const fari_volume *x, int64_t n, int64_t c,
                          const int64_t whole[3])
{
    static const int64_t two[3] = { 2, 2, 2 };
    fari_upsample_tap tap[3];
    int64_t side[3] = { 0, 0, 0 };
    double sum = 0.0;
    for (int d = 0; d < 3; d++) tap[d] = fari_upsample_tap_of(attr, d, whole[d]);
    do {
        int64_t at[3];
        double weight = 1.0;
        for (int d = 0; d < 3; d++) {
            at[d] = side[d] == 0 ? tap[d].i0 : tap[d].i1;
            weight *= side[d] == 0 ? 1.0 - tap[d].w : tap[d].w;
        }
        if (weight != 0.0) sum += weight * read_at(x, n, c, at);
    } while (fari_pos_next(side, origin, two));
    return sum;
}

far_status fari_upsample_reference(const fari_call *call)
{
    const fari_volume x = fari_volume_of(&call->in[0]), y = fari_volume_of(&call->out[0]);
    for (int64_t n = 0; n < y.samples; n++) {
        for (int64_t c = 0; c < y.channels; c++) {
            int64_t pos[3] = { 0, 0, 0 };
            do {
                const int64_t whole[3] = { pos[0] + y.row0, pos[1], pos[2] };
                fari_volume_set(&y, fari_volume_at(&y, n, c, pos), upsample_at(call->attr, &x, n, c, whole));
            } while (fari_pos_next(pos, origin, y.extent));
        }
    }
    return FAR_OK;
}

/* Weight with which output o reads input i along axis d; 0 when it does not. */
static double weight_of(const fari_upsample_attr *attr, int d, int64_t o, int64_t i)
{
    const fari_upsample_tap tap = fari_upsample_tap_of(attr, d, o);
    return (tap.i0 == i ? 1.0 - tap.w : 0.0) + (tap.i1 == i ? tap.w : 0.0);
}

/* One element of dx: the outputs that read it, in ascending order. */
static double upsample_dx_at(const fari_upsample_attr *attr, const fari_volume *dy, int64_t n, int64_t c,
                             const int64_t whole[3])
{
    int64_t lo[3], hi[3], pos[3];
    double sum = 0.0;
    for (int d = 0; d < 3; d++) {
        fari_upsample_rows_dy(attr, d, whole[d], whole[d] + 1, &lo[d], &hi[d]);
        pos[d] = lo[d];
    }
    do {
        double weight = 1.0;
        for (int d = 0; d < 3; d++) weight *= weight_of(attr, d, pos[d], whole[d]);
        if (weight != 0.0) sum += weight * read_at(dy, n, c, pos);
    } while (fari_pos_next(pos, lo, hi));
    return sum;
}

far_status fari_upsample_dx_reference(const fari_call *call)
{
    const fari_volume dy = fari_volume_of(&call->in[0]), dx = fari_volume_of(&call->out[0]);
    for (int64_t n = 0; n < dx.samples; n++) {
        for (int64_t c = 0; c < dx.channels; c++) {
            int64_t pos[3] = { 0, 0, 0 };
            do {
                const int64_t whole[3] = { pos[0] + dx.row0, pos[1], pos[2] };
                fari_volume_set(&dx, fari_volume_at(&dx, n, c, pos), upsample_dx_at(call->attr, &dy, n, c, whole));
            } while (fari_pos_next(pos, origin, dx.extent));
        }
    }
    return FAR_OK;
}
