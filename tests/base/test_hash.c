/* SHA-256 against the examples of FIPS 180-4 and NIST's CAVS, XXH3 against the values of its own test suite. */
#include "base/hash.h"
#include "base/mem.h"
#include "test.h"

static const struct {
    const char *text, *hex;
} sha_cases[] = {
    { "", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" },
    { "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
    { "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
      "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1" },
    { "abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu",
      "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1" },
};

FAR_TEST(sha256_matches_published_digests)
{
    char hex[FARI_SHA256_HEX];
    for (size_t i = 0; i < FAR_COUNT(sha_cases); i++) {
        fari_sha256_hex(sha_cases[i].text, strlen(sha_cases[i].text), hex);
        FAR_CHECK_STR(hex, sha_cases[i].hex);
    }
}

FAR_TEST(crc32c_matches_rfc_3720)
{
    uint8_t block[32];
    memset(block, 0, sizeof block);
    FAR_CHECK_EQ_U64(fari_crc32c(block, 32), 0x8A9136AA);
    memset(block, 0xFF, sizeof block);
    FAR_CHECK_EQ_U64(fari_crc32c(block, 32), 0x62A8AB43);
    for (int i = 0; i < 32; i++) block[i] = (uint8_t)i;
    FAR_CHECK_EQ_U64(fari_crc32c(block, 32), 0x46DD794E);
    for (int i = 0; i < 32; i++) block[i] = (uint8_t)(31 - i);
    FAR_CHECK_EQ_U64(fari_crc32c(block, 32), 0x113FDB5C);
    FAR_CHECK_EQ_U64(fari_crc32c("123456789", 9), 0xE3069283);
    FAR_CHECK_EQ_U64(fari_crc32c("", 0), 0);
}

FAR_TEST(sha256_of_a_million_letters_in_odd_pieces)
{
    static char letters[1000000];
    uint8_t digest[32];
    char hex[FARI_SHA256_HEX];
    memset(letters, 'a', sizeof letters);
    for (size_t piece = 1; piece < 200; piece += 37) {
        fari_sha256 sha;
        fari_sha256_begin(&sha);
        for (size_t done = 0; done < sizeof letters; done += piece)
            fari_sha256_add(&sha, letters + done, sizeof letters - done < piece ? sizeof letters - done : piece);
        fari_sha256_end(&sha, digest);
        fari_hex(digest, sizeof digest, hex);
        FAR_CHECK_STR(hex, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    }
}

FAR_TEST(sha256_pads_every_length)
{
    /* the digest of all digests of 0 to 130 zero bytes: as Python's hashlib gives it */
    static const uint8_t zeros[131];
    fari_sha256 all, one;
    uint8_t digest[32];
    char hex[FARI_SHA256_HEX];
    fari_sha256_begin(&all);
    for (size_t n = 0; n <= 130; n++) {
        fari_sha256_begin(&one);
        fari_sha256_add(&one, zeros, n);
        fari_sha256_end(&one, digest);
        fari_sha256_add(&all, digest, sizeof digest);
    }
    fari_sha256_end(&all, digest);
    fari_hex(digest, sizeof digest, hex);
    FAR_CHECK_STR(hex, "d6e99a52e4f306ac462a8669cfa9744fc9ac0cd54f1c1c92b91d2e3257397ead");
}

FAR_TEST(xxh3_of_nothing)
{
    char hex[FARI_XXH128_HEX];
    FAR_CHECK_EQ_U64(fari_xxh3("", 0), UINT64_C(0x2D06800538D394C2));
    fari_xxh128_hex("", 0, hex);
    FAR_CHECK_STR(hex, "99aa06d3014798d86001c324468d497f");
}

FAR_TEST(xxh128_in_pieces_equals_whole)
{
    static unsigned char data[100000];
    char whole[FARI_XXH128_HEX], pieces[FARI_XXH128_HEX];
    for (size_t i = 0; i < sizeof data; i++) data[i] = (unsigned char)(i * 131 + i / 253);
    fari_xxh128 *xxh = fari_xxh128_create();
    FAR_CHECK(xxh != NULL);
    for (size_t bytes = 0; bytes < sizeof data; bytes = bytes * 3 + 1) {
        fari_xxh128_hex(data, bytes, whole);
        fari_xxh128_begin(xxh);
        for (size_t done = 0; done < bytes; done += 777)
            fari_xxh128_add(xxh, data + done, bytes - done < 777 ? bytes - done : 777);
        fari_xxh128_end(xxh, pieces);
        FAR_CHECK_STR(pieces, whole);
    }
    fari_xxh128_destroy(xxh);
    fari_xxh128_destroy(NULL);
    FAR_CHECK_EQ_I64(fari_alloc_live(), 0);
}
