#include "base/status.h"
#include <farandole/tensor.h>
#include <inttypes.h>
#include <stdio.h>

static const struct {
    const char *name;
    int64_t bytes;
} dtypes[FAR_DTYPE_COUNT] = {
    [FAR_F32] = { "f32", 4 },
    [FAR_F64] = { "f64", 8 },
    [FAR_I32] = { "i32", 4 },
    [FAR_U8] = { "u8", 1 },
};

int64_t far_dtype_bytes(far_dtype dtype)
{
    FAR_ASSERT((unsigned)dtype < FAR_DTYPE_COUNT);
    return dtypes[dtype].bytes;
}

const char *far_dtype_name(far_dtype dtype)
{
    return (unsigned)dtype < FAR_DTYPE_COUNT ? dtypes[dtype].name : "?";
}

int64_t far_shape_elems(const far_shape *shape)
{
    int64_t elems = 1;
    for (int32_t axis = 0; axis < shape->ndim; axis++) elems *= shape->dim[axis];
    return elems;
}

const char *far_shape_text(const far_shape *shape, char text_out[128])
{
    /* six extents of at most 20 characters and five crosses: 125 */
    size_t used = 0;
    for (int32_t axis = 0; axis < shape->ndim && axis < FAR_NDIM_MAX; axis++) {
        const int n = snprintf(text_out + used, 128 - used, "%s%" PRId64, axis > 0 ? "x" : "", shape->dim[axis]);
        if (n < 0 || (size_t)n >= 128 - used) break;
        used += (size_t)n;
    }
    if (used == 0) (void)snprintf(text_out, 128, "scalar");
    return text_out;
}
