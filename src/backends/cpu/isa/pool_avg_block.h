/* Average pooling for V channels of one pixel; included by pool_avg.c once per width. No include guard. */

/* Mean of a box of pixels. */
FARI_INLINE void BLOCK(avg_block)(const int64_t count[3], const int64_t stride[3], const float *from, float divisor,
                                  float *y)
{
    VEC_F sum = { 0 };
    for (int64_t t0 = 0; t0 < count[0]; t0++)
        for (int64_t t1 = 0; t1 < count[1]; t1++)
            for (int64_t t2 = 0; t2 < count[2]; t2++)
                sum += *(const VEC_F *)(from + t0 * stride[0] + t1 * stride[1] + t2 * stride[2]);
    *(VEC_F *)y = sum / divisor;
}

/* `count` pixels of dx, `stride` apart, each get their share of dy. */
FARI_INLINE void BLOCK(spread_block)(int64_t count, int64_t stride, const float *dy, float divisor, float *dx)
{
    const VEC_F share = *(const VEC_F *)dy / divisor;
    for (int64_t t = 0; t < count; t++) *(VEC_F *)(dx + t * stride) += share;
}
#undef V
