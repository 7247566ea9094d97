/* Sums over pixels for V channels; included by channel_sum.c once per width, with HALF = V / 2. No include guard.
   In two halves: doubles are twice as wide as the floats of a full vector. */
#define HALF_F FARI_ISA_PASTE(vec_f_, HALF)
#define HALF_D FARI_ISA_PASTE(vec_d_, HALF)

/* sum[0 .. V) += the sum over pixels of x, in pixel order, in double. */
FARI_INLINE void BLOCK(sum_block)(const float *x, int64_t pixels, int64_t stride, double *sum)
{
    HALF_D lo = *(const HALF_D *)sum, hi = *(const HALF_D *)(sum + HALF);
    for (int64_t p = 0; p < pixels; p++, x += stride) {
        lo += __builtin_convertvector(*(const HALF_F *)x, HALF_D);
        hi += __builtin_convertvector(*(const HALF_F *)(x + HALF), HALF_D);
    }
    *(HALF_D *)sum = lo;
    *(HALF_D *)(sum + HALF) = hi;
}
#undef HALF_F
#undef HALF_D
#undef HALF
#undef V
