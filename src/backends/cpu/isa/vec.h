/* Vectors of 16, 8, 4 and 1 floats in GCC's notation, and loops over channels with them. A body is written once, for V floats at a
   time, in a file x_block.h that names its functions BLOCK(x); the .c file includes that file once per width that pays here:
       #define V 8
       #include "x_block.h"
   Lanes never meet, so a channel's bits do not depend on the width. */
#ifndef FARI_CPU_ISA_VEC_H
#define FARI_CPU_ISA_VEC_H
#include "backends/cpu/isa/isa.h"
#include <stdint.h>

#if defined(__AVX512F__)
#define VEC_WIDEST 16
#elif defined(__AVX2__)
#define VEC_WIDEST 8
#else
#define VEC_WIDEST 4
#endif

/* aligned(4): channels start anywhere. */
#define VEC_TYPES(width)                                                               \
    typedef float vec_f_##width __attribute__((vector_size(4 * width), aligned(4)));   \
    typedef int32_t vec_i_##width __attribute__((vector_size(4 * width), aligned(4))); \
    typedef uint8_t vec_b_##width __attribute__((vector_size(width), aligned(1)));     \
    typedef uint16_t vec_h_##width __attribute__((vector_size(2 * width)));            \
    typedef double vec_d_##width __attribute__((vector_size(8 * width), aligned(8)));
VEC_TYPES(16)
VEC_TYPES(8)
VEC_TYPES(4)
VEC_TYPES(2) /* halves only */
VEC_TYPES(1)

#define VEC_F FARI_ISA_PASTE(vec_f_, V)
#define VEC_I FARI_ISA_PASTE(vec_i_, V)
#define VEC_B FARI_ISA_PASTE(vec_b_, V)
#define VEC_H FARI_ISA_PASTE(vec_h_, V)
#define VEC_D FARI_ISA_PASTE(vec_d_, V)
#define BLOCK(name) FARI_ISA_PASTE(name##_, V)

/* By way of 16 bits: gcc 12 takes a factor of four lane by lane. */
#define VEC_I_OF_B(bytes) __builtin_convertvector(__builtin_convertvector(bytes, VEC_H), VEC_I)
#define VEC_B_OF_I(ints) __builtin_convertvector(__builtin_convertvector(ints, VEC_H), VEC_B)

/* Where `mask` (all ones or zero, from a comparison) a, else b. */
#define VEC_SELECT_I(mask, a, b) (((a) & (mask)) | ((b) & ~(mask)))
#define VEC_SELECT_F(mask, a, b) ((VEC_F)VEC_SELECT_I(mask, (VEC_I)(a), (VEC_I)(b)))

/* Calls name_16(arguments), name_8, .. for channels [0, channels); the arguments name the variable c. */
#if VEC_WIDEST >= 16
#define VEC_BLOCKS_16(c, channels, name, ...) \
    for (; c + 16 <= (channels); c += 16) name##_16(__VA_ARGS__);
#else
#define VEC_BLOCKS_16(c, channels, name, ...)
#endif
#if VEC_WIDEST >= 8
#define VEC_BLOCKS_8(c, channels, name, ...) \
    for (; c + 8 <= (channels); c += 8) name##_8(__VA_ARGS__);
#else
#define VEC_BLOCKS_8(c, channels, name, ...)
#endif
#define FOR_CHANNELS(c, channels, name, ...)                       \
    do {                                                           \
        int64_t c = 0;                                             \
        VEC_BLOCKS_16(c, channels, name, __VA_ARGS__)              \
        VEC_BLOCKS_8(c, channels, name, __VA_ARGS__)               \
        for (; c + 4 <= (channels); c += 4) name##_4(__VA_ARGS__); \
        for (; c < (channels); c++) name##_1(__VA_ARGS__);         \
    } while (0)

/* The same for channels that are a multiple of 4. */
#define FOR_FULL_CHANNELS(c, channels, name, ...)                  \
    do {                                                           \
        int64_t c = 0;                                             \
        VEC_BLOCKS_16(c, channels, name, __VA_ARGS__)              \
        VEC_BLOCKS_8(c, channels, name, __VA_ARGS__)               \
        for (; c + 4 <= (channels); c += 4) name##_4(__VA_ARGS__); \
    } while (0)
#endif
