/* Checksums: SHA-256 (FIPS 180-4) for what people compare with sha256sum, XXH3 for what has to be fast (xxhsum -H3, -H2),
   CRC-32C where a format asks for it. */
#ifndef FARI_BASE_HASH_H
#define FARI_BASE_HASH_H
#include <stddef.h>
#include <stdint.h>

#define FARI_SHA256_HEX 65 /* characters of a digest in hexadecimal, with the closing zero */
#define FARI_XXH128_HEX 33

typedef struct fari_sha256 {
    uint32_t state[8];
    uint64_t bytes; /* taken in so far */
    uint8_t block[64];
} fari_sha256;

void fari_sha256_begin(fari_sha256 *sha);
void fari_sha256_add(fari_sha256 *sha, const void *data, size_t bytes);
void fari_sha256_end(fari_sha256 *sha, uint8_t digest_out[32]);
void fari_sha256_hex(const void *data, size_t bytes, char hex_out[FARI_SHA256_HEX]);

uint64_t fari_xxh3(const void *data, size_t bytes);
void fari_xxh128_hex(const void *data, size_t bytes, char hex_out[FARI_XXH128_HEX]);

/* XXH3-128 of data that comes in pieces. */
typedef struct fari_xxh128 fari_xxh128;
fari_xxh128 *fari_xxh128_create(void); /* NULL when there is no memory */
void fari_xxh128_destroy(fari_xxh128 *xxh);
void fari_xxh128_begin(fari_xxh128 *xxh);
void fari_xxh128_add(fari_xxh128 *xxh, const void *data, size_t bytes);
void fari_xxh128_end(const fari_xxh128 *xxh, char hex_out[FARI_XXH128_HEX]);

/* CRC-32C (Castagnoli), as iSCSI and TensorFlow's records have it. */
uint32_t fari_crc32c(const void *data, size_t bytes);

void fari_hex(const uint8_t *data, size_t bytes, char *hex_out); /* 2 bytes + 1 characters */
#endif
