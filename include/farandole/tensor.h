/**
 * @file farandole/tensor.h
 * Element types and shapes, in the field's usual axis order: N samples, C channels, then D, H, W.
 */
#ifndef FAR_TENSOR_H
#define FAR_TENSOR_H
#include <farandole/status.h>
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif

#define FAR_NDIM_MAX 6

typedef enum far_dtype {
    FAR_F32 = 0,
    FAR_F64,
    FAR_I32, /**< class indices */
    FAR_U8,
    FAR_DTYPE_COUNT
} far_dtype;

/** A shape: `dim[0 .. ndim)` elements; ndim 0 is a scalar. */
typedef struct far_shape {
    int32_t ndim;
    int64_t dim[FAR_NDIM_MAX];
} far_shape;

/** @return bytes of one element. */
FAR_API int64_t far_dtype_bytes(far_dtype dtype);
/** @return "f32", "f64", "i32" or "u8". */
FAR_API const char *far_dtype_name(far_dtype dtype);
/** @return the number of elements; 1 for a scalar. */
FAR_API int64_t far_shape_elems(const far_shape *shape);
/** Writes "2x3x224x224" ("scalar" for ndim 0) and gives back `text_out`. */
FAR_API const char *far_shape_text(const far_shape *shape, char text_out[128]);

#ifdef __cplusplus
}
#endif
#endif /* FAR_TENSOR_H */
