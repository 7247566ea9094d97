/* Resampling along the innermost axis for V channels of one pixel; included by upsample.c and upsample_dx.c once per width. No include
   guard. */

FARI_INLINE void BLOCK(mix_block)(const float *a, const float *b, float weight_a, float weight_b, float *y)
{
    *(VEC_F *)y = weight_a * *(const VEC_F *)a + weight_b * *(const VEC_F *)b;
}

#if V >= 4
/* The same past the caches: y is aligned to V floats. */
FARI_INLINE void BLOCK(mix_block_far)(const float *a, const float *b, float weight_a, float weight_b, float *y)
{
    FARI_ISA_PASTE(STREAM_, V)(y, weight_a * *(const VEC_F *)a + weight_b * *(const VEC_F *)b);
}
#endif

FARI_INLINE void BLOCK(copy_block)(const float *from, float *to)
{
    *(VEC_F *)to = *(const VEC_F *)from;
}

/* Weighted sum of `count` pixels side by side, in order. */
FARI_INLINE void BLOCK(gather_block)(const float *from, int64_t pixel, const float *weight, int32_t count, float *to)
{
    VEC_F sum = { 0 };
    for (int32_t k = 0; k < count; k++) sum += weight[k] * *(const VEC_F *)(from + k * pixel);
    *(VEC_F *)to = sum;
}
#undef V
