/* Packing gives back what was packed, takes a fraction of what repeats, and believes nothing that it unpacks. */
#include "base/pack.h"
#include "base/rng.h"
#include "test.h"

#define WORDS 20000
#define KEY 77

static uint32_t data[WORDS], again[WORDS];
static unsigned char packed[WORDS * 5];

/* Areas of one pixel, of so many words each, between stretches of noise; `areas` of a hundred. */
static void fill(uint64_t seed, size_t pixel, uint64_t areas)
{
    uint64_t at = 0;
    for (size_t i = 0; i < WORDS;) {
        const bool is_area = fari_rng_below(seed, at++, 100) < areas;
        const size_t length = 1 + (size_t)fari_rng_below(seed, at++, 300), first = i;
        const uint64_t value = fari_rng_bits(seed, at++);
        for (; i < WORDS && i < first + length; i++)
            data[i] = (uint32_t)(is_area ? value + i % pixel : fari_rng_bits(seed, 1000000 + i));
    }
}

static size_t there_and_back(size_t words, size_t pixel, size_t cap)
{
    const size_t bytes = fari_pack(data, words * 4, pixel * 4, packed, cap);
    memset(again, 0x5a, sizeof again);
    if (bytes == 0) return 0;
    FAR_CHECK(bytes <= cap);
    FAR_CHECK(fari_unpack(packed, bytes, pixel * 4, again, words * 4));
    FAR_CHECK(memcmp(again, data, words * 4) == 0);
    FAR_CHECK(words == WORDS || again[words] == 0x5a5a5a5a);
    return bytes;
}

FAR_TEST(what_is_packed_comes_back)
{
    for (size_t pixel = 1; pixel <= 9; pixel++)
        for (uint64_t areas = 0; areas <= 100; areas += 20) {
            fill(KEY + pixel, pixel, areas);
            const size_t bytes = there_and_back(WORDS, pixel, sizeof packed);
            FAR_CHECK(bytes > 0 && bytes <= sizeof data + 16 + sizeof data / 32);
            if (areas == 100) FAR_CHECK_MSG(bytes < sizeof data / 5, "%zu bytes of areas take %zu", sizeof data, bytes);
        }
    for (size_t words = 0; words < 40; words++) FAR_CHECK(there_and_back(words, 3, sizeof packed) > 0);
    memset(data, 0, sizeof data);
    FAR_CHECK(there_and_back(WORDS, 4, sizeof packed) < 100);
}

FAR_TEST(noise_is_left_alone)
{
    fill(KEY, 4, 0);
    FAR_CHECK_EQ_U64(there_and_back(WORDS, 4, sizeof data - sizeof data / 8), 0);
}

FAR_TEST(what_is_unpacked_is_not_believed)
{
    fill(KEY, 2, 60);
    const size_t bytes = fari_pack(data, sizeof data, 8, packed, sizeof packed);
    FAR_CHECK(!fari_unpack(packed, bytes - 1, 8, again, sizeof again));
    FAR_CHECK(!fari_unpack(packed, bytes, 8, again, sizeof again - 4));
    FAR_CHECK(!fari_unpack(packed, 0, 8, again, sizeof again));
    for (uint64_t i = 0; i < 5000; i++) { /* sanitizers see a step outside */
        const size_t at = (size_t)fari_rng_below(KEY, 2 * i, bytes);
        const unsigned char old = packed[at];
        packed[at] = (unsigned char)fari_rng_bits(KEY, 2 * i + 1);
        (void)fari_unpack(packed, bytes, 8, again, sizeof again);
        packed[at] = old;
    }
}
