/* What the backend itself needs of isa/, compiled once per instruction set: small loops (add.c) and convolutions. Each loop is a fixed sequence of plain IEEE
   operations an element, so the instruction set changes no bit. */
#ifndef FARI_CPU_LOOPS_H
#define FARI_CPU_LOOPS_H
#include "backends/cpu/isa/conv_fan.h"
#include "backends/cpu/isa/conv_pixel.h"
#include "backends/cpu/isa/conv_plane.h"
#include "backends/cpu/isa/conv_thin.h"
#include "backends/cpu/isa/conv_wide.h"
#include "backends/cpu/isa/conv_winograd.h"
#include "backends/cpu/isa_select.h"
#include <stdint.h>

typedef struct fari_cpu_loops {
    /* left += right */
    void (*add_f32)(float *left, const float *right, int64_t elems);
    /* [pixels][channels] += row[channels] */
    void (*add_row)(float *pixels, const float *row, int64_t pixel_count, int64_t channels);
    /* [pixels][channels] = row[channels]; row NULL: zeros */
    void (*fill_row)(float *pixels, const float *row, int64_t pixel_count, int64_t channels);
    fari_isa isa;
    const fari_thin_kernels *thin;
    const fari_plane_kernels *plane;
    const fari_fan_kernels *fan;
    const fari_wide_kernels *wide;
    const fari_pixel_kernels *pixel;
    const fari_winograd_kernels *winograd;
} fari_cpu_loops;

const fari_cpu_loops *fari_cpu_loops_of(fari_isa isa);
#endif
