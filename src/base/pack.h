/* Lossless packing of floats that repeat: sparse images, results of ReLU, and whatever convolutions make of areas of one value. */
#ifndef FARI_BASE_PACK_H
#define FARI_BASE_PACK_H
#include <stdbool.h>
#include <stddef.h>

/* Packs `bytes`, a multiple of 4, into out[cap]; `period`: bytes after which they often repeat, as those of a pixel: a multiple of 4. Gives the
   bytes of the packed form; 0: it does not fit in `cap`. */
size_t fari_pack(const void *data, size_t bytes, size_t period, void *out, size_t cap);
/* The reverse, for the same period. False: not a packed form of so many bytes; never steps outside either array. */
bool fari_unpack(const void *packed, size_t packed_bytes, size_t period, void *out, size_t bytes);
#endif
