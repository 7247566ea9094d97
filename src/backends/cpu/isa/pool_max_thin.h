/* Maximum pooling over windows of two along the last axis that lie side by side, on images of few channels. A pixel is taken as a whole
   vector: what is too much belongs to the next pixel, which overwrites it. So it has to have room behind it, at the very end too. Tie, NaN
   and number of a tap are those of pool_max_block.h. For pool_max.c. */
#ifndef FARI_CPU_ISA_POOL_MAX_THIN_H
#define FARI_CPU_ISA_POOL_MAX_THIN_H

/* Floats of a pixel's vector; 0: it does not pay, or the instruction set has none. */
FARI_INLINE int64_t thin_width(int64_t channels)
{
    const int64_t width = channels < 4 ? 4 : channels < 8 ? 8 : 16;
    return channels % 4 != 0 && channels < width && width <= VEC_WIDEST ? width : 0;
}

/* Whether `pixels` have room from `first` on: the last one a vector. */
FARI_INLINE bool thin_has_room(const float *first, const float *end, int64_t pixels, int64_t channels)
{
    return end - first >= (pixels - 1) * channels + thin_width(channels);
}

#if VEC_WIDEST >= 16
#define THIN_16(name, ...) \
    if (thin_width(channels) == 16) name##_16(__VA_ARGS__)
#else
#define THIN_16(name, ...)
#endif
#if VEC_WIDEST >= 8
#define THIN_8(name, ...) \
    if (thin_width(channels) == 8) name##_8(__VA_ARGS__)
#else
#define THIN_8(name, ...)
#endif
#define THIN_CALL(name, ...)                                  \
    do {                                                      \
        if (thin_width(channels) == 4) name##_4(__VA_ARGS__); \
        THIN_8(name, __VA_ARGS__);                            \
        THIN_16(name, __VA_ARGS__);                           \
    } while (0)

/* `pixels` of y from lines x0 and x1 of twice as many. */
static void thin_max(const float *x0, const float *x1, int64_t pixels, int64_t channels, float *y, uint8_t *arg)
{
    for (int64_t o = 0; o < pixels; o++, x0 += 2 * channels, x1 += 2 * channels, y += channels, arg += channels)
        THIN_CALL(max_square, x0, x1, channels, y, arg);
}

/* Twice as many pixels of dx as `pixels` of dy, through taps `number` and the next. */
static void thin_dx(const float *dy, const uint8_t *arg, int64_t pixels, int64_t channels, int32_t number, float *dx)
{
    for (int64_t o = 0; o < pixels; o++, dx += 2 * channels, dy += channels, arg += channels)
        THIN_CALL(dx_pair, dx, channels, dy, arg, 0, number);
}
#endif
