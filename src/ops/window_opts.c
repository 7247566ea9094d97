#include "ops/window_opts.h"
#include "base/status.h"
#include <inttypes.h>

/* Later zeros become the first entry. */
static void spread(int64_t *entries, int32_t count)
{
    for (int32_t d = 1; d < count; d++)
        if (entries[d] == 0) entries[d] = entries[0];
}

static far_status in_range(const int64_t *entries, int32_t count, int64_t least, const char *what, const char *op,
                           const char *name)
{
    for (int32_t d = 0; d < 3; d++) {
        if (d < count && entries[d] < least)
            return FAR_FAIL(FAR_E_ARG, "%s '%s': %s of axis %" PRId32 " is %" PRId64 "; must be at least %" PRId64, op,
                            name, what, d, entries[d], least);
        if (d >= count && entries[d] != 0)
            return FAR_FAIL(FAR_E_ARG,
                            "%s '%s': %s has an entry for axis %" PRId32 ", the input has %" PRId32 " spatial axes", op,
                            name, what, d, count);
    }
    return FAR_OK;
}

far_status fari_window_opts_read(fari_window_opts *opts_io, int32_t spatial_ndim, int64_t stride_default,
                                 const char *op, const char *name)
{
    fari_window_opts *o = opts_io;
    const int32_t n = spatial_ndim;
    if (n < 1 || n > 3)
        return FAR_FAIL(FAR_E_SHAPE, "%s '%s': the input must have one to three spatial axes, it has %" PRId32, op,
                        name, n);
    if (n > 1 && o->kernel[1] == 0 && o->pad[1] == 0 && o->pad[2] == 0) spread(o->pad, n);
    spread(o->kernel, n);
    if (o->stride[0] == 0 && stride_default != 0) o->stride[0] = stride_default;
    spread(o->stride, n);
    for (int32_t d = 0; d < n; d++)
        if (o->stride[d] == 0) o->stride[d] = o->kernel[d];
    if (o->dilation[0] == 0) o->dilation[0] = 1;
    spread(o->dilation, n);
    FAR_TRY(in_range(o->kernel, n, 1, "kernel", op, name));
    FAR_TRY(in_range(o->stride, n, 1, "stride", op, name));
    FAR_TRY(in_range(o->dilation, n, 1, "dilation", op, name));
    FAR_TRY(in_range(o->pad, n, 0, "pad", op, name));
    for (int32_t d = n; d < 3; d++) {
        o->kernel[d] = o->stride[d] = o->dilation[d] = 1;
        o->pad[d] = 0;
    }
    return FAR_OK;
}
