/* Maximum pooling for V channels of one pixel; included by pool_max.c once per width. No include guard. */

FARI_INLINE void BLOCK(argmax_store)(void *argmax, bool is_wide, int64_t at, VEC_I number)
{
    if (is_wide) *(VEC_I *)((int32_t *)argmax + at) = number;
    else *(VEC_B *)((uint8_t *)argmax + at) = VEC_B_OF_I(number);
}

/* One pixel of y. `from` is where c is in x. Counts are given beside the box so that they may be constants. */
FARI_INLINE void BLOCK(max_block)(const tap_box *box, int64_t n0, int64_t n1, int64_t n2, const float *from, float *y,
                                  void *argmax, bool is_wide, int64_t at)
{
    const VEC_I zero = { 0 };
    VEC_F max = (VEC_F)zero - INFINITY;
    VEC_I arg = zero + box->number;
    for (int64_t t0 = 0; t0 < n0; t0++) {
        for (int64_t t1 = 0; t1 < n1; t1++) {
            for (int64_t t2 = 0; t2 < n2; t2++) {
                const VEC_F v =
                    *(const VEC_F *)(from + t0 * box->stride[0] + t1 * box->stride[1] + t2 * box->stride[2]);
                const int32_t number = box->number + (int32_t)t0 * box->numbers[0] + (int32_t)t1 * box->numbers[1] +
                                       (int32_t)t2 * box->numbers[2];
                const VEC_I wins = (v > max) | ~(v <= INFINITY); /* PyTorch's rule: a NaN always wins */
                max = VEC_SELECT_F(wins, v, max);
                arg = VEC_SELECT_I(wins, zero + number, arg);
            }
        }
    }
    *(VEC_F *)(y + at) = max;
    BLOCK(argmax_store)(argmax, is_wide, at, arg);
}

FARI_INLINE VEC_I BLOCK(argmax_load)(const void *argmax, bool is_wide, int64_t at)
{
    if (is_wide) return *(const VEC_I *)((const int32_t *)argmax + at);
    return VEC_I_OF_B(*(const VEC_B *)((const uint8_t *)argmax + at));
}

/* What flows back from a pixel of dy through tap `number`. */
FARI_INLINE VEC_F BLOCK(flow)(const float *dy, int64_t at, VEC_I arg, int32_t number)
{
    const VEC_I zero = { 0 };
    return (VEC_F)((VEC_I) * (const VEC_F *)(dy + at) & (arg == zero + number));
}

FARI_INLINE void BLOCK(dx_tap)(float *dx, const float *dy, const void *argmax, bool is_wide, int64_t at, int32_t number)
{
    *(VEC_F *)dx += BLOCK(flow)(dy, at, BLOCK(argmax_load)(argmax, is_wide, at), number);
}

/* Two taps side by side that no other window reads. */
FARI_INLINE void BLOCK(dx_pair)(float *dx, int64_t pixel, const float *dy, const void *argmax, int64_t at,
                                int32_t number)
{
    const VEC_I arg = BLOCK(argmax_load)(argmax, false, at);
    *(VEC_F *)dx = BLOCK(flow)(dy, at, arg, number);
    *(VEC_F *)(dx + pixel) = BLOCK(flow)(dy, at, arg, number + 1);
}

#if V >= 4
/* The same past the caches: dx is aligned to V floats. */
FARI_INLINE void BLOCK(dx_pair_far)(float *dx, int64_t pixel, const float *dy, const void *argmax, int64_t at,
                                    int32_t number)
{
    const VEC_I arg = BLOCK(argmax_load)(argmax, false, at);
    FARI_ISA_PASTE(STREAM_, V)(dx, BLOCK(flow)(dy, at, arg, number));
    FARI_ISA_PASTE(STREAM_, V)(dx + pixel, BLOCK(flow)(dy, at, arg, number + 1));
}
#endif

/* A window of 2 x 2 for each lane: lines x0 and x1, a pixel and the one `apart` from it. Taps in ascending order, by the rule above. */
FARI_INLINE void BLOCK(max_square)(const float *x0, const float *x1, int64_t apart, float *y, uint8_t *arg_out)
{
    const VEC_I zero = { 0 };
    const float *taps[4] = { x0, x0 + apart, x1, x1 + apart };
    VEC_F max = *(const VEC_F *)x0;
    VEC_I arg = zero;
    for (int32_t t = 1; t < 4; t++) {
        const VEC_F v = *(const VEC_F *)taps[t];
        const VEC_I wins = (v > max) | ~(v <= INFINITY);
        max = VEC_SELECT_F(wins, v, max);
        arg = VEC_SELECT_I(wins, zero + t, arg);
    }
    *(VEC_F *)y = max;
    BLOCK(argmax_store)(arg_out, false, 0, arg);
}
#undef V
