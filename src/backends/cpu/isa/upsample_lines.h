/* Weighted sums of whole lines, any number of channels at once. */
#ifndef FARI_CPU_ISA_UPSAMPLE_LINES_H
#define FARI_CPU_ISA_UPSAMPLE_LINES_H
#include "backends/cpu/isa/isa.h"
#include <stdbool.h>
#include <stdint.h>

#define LINES_MAX 4

typedef struct line_mix {
    int32_t count;
    const float *line[LINES_MAX];
    float weight[LINES_MAX];
} line_mix;

/* to = (or +=) w0 l0 + w1 l1 + .., from left to right. */
static inline void lines_mix(const line_mix *mix, bool adds, int64_t floats, float *restrict to)
{
    const float *l0 = mix->line[0], *l1 = mix->line[1], *l2 = mix->line[2], *l3 = mix->line[3];
    const float w0 = mix->weight[0], w1 = mix->weight[1], w2 = mix->weight[2], w3 = mix->weight[3];
    if (adds) {
        for (int32_t k = 0; k < mix->count; k++) {
            const float *line = mix->line[k], weight = mix->weight[k];
            for (int64_t i = 0; i < floats; i++) to[i] = to[i] + weight * line[i];
        }
        return;
    }
    switch (mix->count) {
    case 1:
        for (int64_t i = 0; i < floats; i++) to[i] = w0 * l0[i];
        break;
    case 2:
        for (int64_t i = 0; i < floats; i++) to[i] = w0 * l0[i] + w1 * l1[i];
        break;
    case 3:
        for (int64_t i = 0; i < floats; i++) to[i] = w0 * l0[i] + w1 * l1[i] + w2 * l2[i];
        break;
    default:
        for (int64_t i = 0; i < floats; i++) to[i] = w0 * l0[i] + w1 * l1[i] + w2 * l2[i] + w3 * l3[i];
    }
}
#endif
