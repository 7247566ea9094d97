#define XXH_STATIC_LINKING_ONLY /* the size of a state, so that it comes from our allocator */
#include "base/hash.h"
#include "base/mem.h"
#include <string.h>
#include <xxhash.h>

/* --- SHA-256, FIPS 180-4 section 6.2 --- */

static const uint32_t round_constants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static uint32_t rotr(uint32_t x, int n)
{
    return (x >> n) | (x << (32 - n));
}

static void sha256_block(uint32_t state[8], const uint8_t block[64])
{
    uint32_t w[64];
    for (int t = 0; t < 16; t++)
        w[t] = (uint32_t)block[4 * t] << 24 | (uint32_t)block[4 * t + 1] << 16 | (uint32_t)block[4 * t + 2] << 8 |
               block[4 * t + 3];
    for (int t = 16; t < 64; t++) {
        const uint32_t s0 = rotr(w[t - 15], 7) ^ rotr(w[t - 15], 18) ^ (w[t - 15] >> 3);
        const uint32_t s1 = rotr(w[t - 2], 17) ^ rotr(w[t - 2], 19) ^ (w[t - 2] >> 10);
        w[t] = w[t - 16] + s0 + w[t - 7] + s1;
    }
    /* scalars, no array that is moved along: sanitizers watch each move of one, and compilers make it a call */
    uint32_t a = state[0], b = state[1], c = state[2], d = state[3];
    uint32_t e = state[4], f = state[5], g = state[6], h = state[7];
    for (int t = 0; t < 64; t++) {
        const uint32_t s1 = rotr(e, 6) ^ rotr(e, 11) ^ rotr(e, 25);
        const uint32_t choose = (e & f) ^ (~e & g);
        const uint32_t t1 = h + s1 + choose + round_constants[t] + w[t];
        const uint32_t s0 = rotr(a, 2) ^ rotr(a, 13) ^ rotr(a, 22);
        const uint32_t majority = (a & b) ^ (a & c) ^ (b & c);
        h = g;
        g = f;
        f = e;
        e = d + t1;
        d = c;
        c = b;
        b = a;
        a = t1 + s0 + majority;
    }
    state[0] += a;
    state[1] += b;
    state[2] += c;
    state[3] += d;
    state[4] += e;
    state[5] += f;
    state[6] += g;
    state[7] += h;
}

void fari_sha256_begin(fari_sha256 *sha)
{
    static const uint32_t start[8] = { 0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                       0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19 };
    memcpy(sha->state, start, sizeof start);
    sha->bytes = 0;
}

void fari_sha256_add(fari_sha256 *sha, const void *data, size_t bytes)
{
    const uint8_t *next = data;
    while (bytes > 0) {
        const size_t held = sha->bytes % 64;
        const size_t take = bytes < 64 - held ? bytes : 64 - held;
        if (take == 64) {
            sha256_block(sha->state, next);
        } else {
            memcpy(sha->block + held, next, take);
            if (held + take == 64) sha256_block(sha->state, sha->block);
        }
        sha->bytes += take;
        next += take;
        bytes -= take;
    }
}

void fari_sha256_end(fari_sha256 *sha, uint8_t digest_out[32])
{
    static const uint8_t pad[64] = { 0x80 };
    const uint64_t bits = 8 * sha->bytes;
    uint8_t tail[8];
    fari_sha256_add(sha, pad, 1 + (64 + 55 - sha->bytes % 64) % 64);
    for (int i = 0; i < 8; i++) tail[i] = (uint8_t)(bits >> (56 - 8 * i));
    fari_sha256_add(sha, tail, sizeof tail);
    for (int i = 0; i < 32; i++) digest_out[i] = (uint8_t)(sha->state[i / 4] >> (24 - 8 * (i % 4)));
}

void fari_sha256_hex(const void *data, size_t bytes, char hex_out[FARI_SHA256_HEX])
{
    fari_sha256 sha;
    uint8_t digest[32];
    fari_sha256_begin(&sha);
    fari_sha256_add(&sha, data, bytes);
    fari_sha256_end(&sha, digest);
    fari_hex(digest, sizeof digest, hex_out);
}

/* --- XXH3 --- */

struct fari_xxh128 {
    XXH3_state_t state; /* wants 64-byte alignment */
    void *block;        /* the allocation this lies in */
};

uint64_t fari_xxh3(const void *data, size_t bytes)
{
    return XXH3_64bits(data, bytes);
}

static void xxh128_text(XXH128_hash_t hash, char hex_out[FARI_XXH128_HEX])
{
    XXH128_canonical_t canonical;
    XXH128_canonicalFromHash(&canonical, hash);
    fari_hex(canonical.digest, sizeof canonical.digest, hex_out);
}

void fari_xxh128_hex(const void *data, size_t bytes, char hex_out[FARI_XXH128_HEX])
{
    xxh128_text(XXH3_128bits(data, bytes), hex_out);
}

fari_xxh128 *fari_xxh128_create(void)
{
    char *block = fari_alloc(sizeof(fari_xxh128) + 63);
    if (block == NULL) return NULL;
    fari_xxh128 *xxh = (fari_xxh128 *)(void *)(block + (64 - (uintptr_t)block % 64) % 64);
    xxh->block = block;
    fari_xxh128_begin(xxh);
    return xxh;
}

void fari_xxh128_destroy(fari_xxh128 *xxh)
{
    if (xxh != NULL) fari_free(xxh->block);
}

void fari_xxh128_begin(fari_xxh128 *xxh)
{
    XXH3_INITSTATE(&xxh->state);
    (void)XXH3_128bits_reset(&xxh->state);
}

void fari_xxh128_add(fari_xxh128 *xxh, const void *data, size_t bytes)
{
    (void)XXH3_128bits_update(&xxh->state, data, bytes);
}

void fari_xxh128_end(const fari_xxh128 *xxh, char hex_out[FARI_XXH128_HEX])
{
    xxh128_text(XXH3_128bits_digest(&xxh->state), hex_out);
}

/* --- CRC-32C: for short records only, so a table of 16 entries does --- */

uint32_t fari_crc32c(const void *data, size_t bytes)
{
    static const uint32_t table[16] = { /* four bits through the reflected polynomial 0x82F63B78 */
                                        0x00000000, 0x105EC76F, 0x20BD8EDE, 0x30E349B1, 0x417B1DBC, 0x5125DAD3,
                                        0x61C69362, 0x7198540D, 0x82F63B78, 0x92A8FC17, 0xA24BB5A6, 0xB21572C9,
                                        0xC38D26C4, 0xD3D3E1AB, 0xE330A81A, 0xF36E6F75
    };
    const uint8_t *at = data;
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < bytes; i++) {
        crc ^= at[i];
        crc = table[crc & 15] ^ (crc >> 4);
        crc = table[crc & 15] ^ (crc >> 4);
    }
    return ~crc;
}

void fari_hex(const uint8_t *data, size_t bytes, char *hex_out)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < bytes; i++) {
        hex_out[2 * i] = digits[data[i] >> 4];
        hex_out[2 * i + 1] = digits[data[i] & 15];
    }
    hex_out[2 * bytes] = '\0';
}
