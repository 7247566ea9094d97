/* Sums of partials and rows of a bias. See backends/cpu/loops.h. */
#include "backends/cpu/isa/isa.h"
#include <stdint.h>
#include <string.h>

void FARI_ISA(fari_add_f32)(float *left, const float *right, int64_t elems);
void FARI_ISA(fari_add_row)(float *pixels, const float *row, int64_t pixel_count, int64_t channels);
void FARI_ISA(fari_fill_row)(float *pixels, const float *row, int64_t pixel_count, int64_t channels);

void FARI_ISA(fari_add_f32)(float *restrict left, const float *restrict right, int64_t elems)
{
    for (int64_t i = 0; i < elems; i++) left[i] += right[i];
}

void FARI_ISA(fari_add_row)(float *restrict pixels, const float *restrict row, int64_t pixel_count, int64_t channels)
{
    for (int64_t p = 0; p < pixel_count; p++, pixels += channels)
        for (int64_t c = 0; c < channels; c++) pixels[c] += row[c];
}

void FARI_ISA(fari_fill_row)(float *restrict pixels, const float *restrict row, int64_t pixel_count, int64_t channels)
{
    if (row == NULL) {
        memset(pixels, 0, (size_t)(pixel_count * channels) * sizeof *pixels);
        return;
    }
    for (int64_t p = 0; p < pixel_count; p++, pixels += channels)
        memcpy(pixels, row, (size_t)channels * sizeof *pixels);
}
