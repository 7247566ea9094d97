/* Permutations without tables. */
#ifndef FARI_DATA_SHUFFLE_H
#define FARI_DATA_SHUFFLE_H
#include <stdint.h>

typedef struct fari_perm {
    uint64_t key;
    uint64_t count, left, right; /* left * right >= count, both near its root */
} fari_perm;

fari_perm fari_perm_of(uint64_t seed, int64_t epoch, int64_t count);
int64_t fari_perm_at(const fari_perm *perm, int64_t pos);
#endif
