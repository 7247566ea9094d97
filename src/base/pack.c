/* A row of tokens: so many words as they are, then so many that equal those a distance before. Distances are the period times powers of two, as
   areas of one value stay periodic under resampling; a general search would take longer than the disk. */
#include "base/pack.h"
#include <stdint.h>
#include <string.h>

#define WORD 4
#define DISTANCES 7   /* 1, 2, 4 ... 64 periods */
#define MATCH_LEAST 8 /* words: less does not pay for a token */
#define MATCH_MOST (1u << 28)
#define LITERALS_A_STEP 512 /* the longer nothing repeats, the faster it is passed over */
#define STEP_MOST 16

typedef struct token {
    uint32_t literals; /* words as they are, which follow the token */
    uint32_t match;    /* words that repeat, times 8, plus which distance */
} token;

static uint64_t two_words(const unsigned char *at)
{
    uint64_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

/* Words from `at` on that equal those `distance` before, up to `most`. */
static size_t match_length(const unsigned char *data, size_t at, size_t distance, size_t most)
{
    const unsigned char *a = data + at * WORD, *b = a - distance * WORD;
    size_t n = 0;
    while (n + 2 <= most && two_words(a + n * WORD) == two_words(b + n * WORD)) n += 2;
    if (n < most && memcmp(a + n * WORD, b + n * WORD, WORD) == 0) n++;
    return n;
}

/* The first distance at which enough repeats; DISTANCES: none. */
static uint32_t find_match(const unsigned char *data, size_t at, size_t words, size_t period, size_t *length_out)
{
    const size_t most = words - at < MATCH_MOST ? words - at : MATCH_MOST;
    for (uint32_t k = 0; k < DISTANCES && most >= MATCH_LEAST; k++) {
        const size_t distance = period << k;
        if (distance > at) break;
        if (two_words(data + at * WORD) != two_words(data + (at - distance) * WORD)) continue;
        *length_out = match_length(data, at, distance, most);
        if (*length_out >= MATCH_LEAST) return k;
    }
    return DISTANCES;
}

static bool put(unsigned char *out, size_t cap, size_t *used_io, const token *what, const unsigned char *literals)
{
    const size_t bytes = (size_t)what->literals * WORD;
    if (*used_io + sizeof *what + bytes > cap) return false;
    memcpy(out + *used_io, what, sizeof *what);
    memcpy(out + *used_io + sizeof *what, literals, bytes);
    *used_io += sizeof *what + bytes;
    return true;
}

size_t fari_pack(const void *from, size_t bytes, size_t period, void *to, size_t cap)
{
    const unsigned char *data = from;
    const size_t words = bytes / WORD, step = period / WORD;
    size_t used = 0, literal0 = 0, at = 0, length = 0;
    while (at < words) {
        const uint32_t k = find_match(data, at, words, step, &length);
        if (k == DISTANCES) {
            const size_t skip = 1 + (at - literal0) / LITERALS_A_STEP;
            at += skip < STEP_MOST ? skip : STEP_MOST;
            if ((at - literal0) * WORD > cap) return 0;
            continue;
        }
        const token what = { (uint32_t)(at - literal0), (uint32_t)length << 3 | k };
        if (!put(to, cap, &used, &what, data + literal0 * WORD)) return 0;
        at += length;
        literal0 = at;
    }
    const token rest = { (uint32_t)(words - literal0), DISTANCES };
    return put(to, cap, &used, &rest, data + literal0 * WORD) ? used : 0;
}

/* Repeats what lies a distance before, which may reach into what is being written. */
static void repeat(unsigned char *at, size_t distance, size_t bytes)
{
    for (size_t done = 0; done < bytes;) {
        const size_t there = distance + done, now = bytes - done < there ? bytes - done : there;
        memcpy(at + done, at - distance, now);
        done += now;
    }
}

bool fari_unpack(const void *packed, size_t packed_bytes, size_t period, void *to, size_t bytes)
{
    const unsigned char *from = packed;
    unsigned char *out = to;
    size_t used = 0, done = 0;
    while (packed_bytes - used >= sizeof(token)) {
        token what;
        memcpy(&what, from + used, sizeof what);
        used += sizeof what;
        const size_t literals = (size_t)what.literals * WORD, match = (size_t)(what.match >> 3) * WORD;
        const size_t distance = (what.match & 7) < DISTANCES ? period << (what.match & 7) : 0;
        if (literals > packed_bytes - used || literals > bytes - done) return false;
        memcpy(out + done, from + used, literals);
        used += literals;
        done += literals;
        if (match > bytes - done || (match > 0 && (distance == 0 || distance > done))) return false;
        repeat(out + done, distance, match);
        done += match;
    }
    return done == bytes && used == packed_bytes;
}
