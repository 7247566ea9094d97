/* Growing text, numbers as text in any locale, nearness of words. */
#include "base/mem.h"
#include "base/text.h"
#include "test.h"
#include <locale.h>

FAR_TEST(text_grows_and_fails_once_for_all)
{
    fari_text text = { 0 };
    for (int i = 0; i < 1000; i++) fari_text_add(&text, "%d,", i);
    FAR_CHECK(!text.failed && text.bytes == 3890 && strlen(text.data) == 3890);
    fari_alloc_fail_after(0);
    for (int i = 0; i < 1000; i++) fari_text_put(&text, "1234567890", 10);
    fari_alloc_fail_after(-1);
    FAR_CHECK(text.failed);
    fari_text_free(&text);
    FAR_CHECK_EQ_I64(fari_alloc_live(), 0);
}

static void check_json(const char *string, const char *want)
{
    fari_text text = { 0 };
    fari_text_json(&text, string);
    FAR_CHECK_STR(text.data, want);
    fari_text_free(&text);
}

FAR_TEST(json_texts_are_escaped)
{
    check_json("", "\"\"");
    check_json("a\"b\\c/\n\t\x01", "\"a\\\"b\\\\c/\\u000a\\u0009\\u0001\"");
    check_json("grün 漢 😀", "\"grün 漢 😀\"");
    check_json("\xff\xc0\xaf ok \xe2\x82", "\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD ok \xEF\xBF\xBD\xEF\xBF\xBD\"");
    check_json("\xed\xa0\x80", "\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\""); /* half of a surrogate pair */
}

FAR_TEST(numbers_read_back_the_same)
{
    char text[FARI_NUMBER_TEXT];
    FAR_CHECK_STR(fari_f64_text(0.1, text), "0.1");
    FAR_CHECK_STR(fari_f64_text(1.0 / 3.0, text), "0.3333333333333333");
    FAR_CHECK_STR(fari_f64_text(-0.0, text), "-0");
    FAR_CHECK_STR(fari_f64_text(1e22, text), "1e+22");
    FAR_CHECK_STR(fari_f64_text((double)NAN, text), "nan");
    FAR_CHECK_STR(fari_f64_text(-(double)INFINITY, text), "-inf");
    FAR_CHECK_STR(fari_f32_text(0.1f, text), "0.1");
    FAR_CHECK_STR(fari_f32_text(16777216.0f, text), "16777216");
    uint64_t state = 88172645463325252u;
    for (int i = 0; i < 20000; i++) {
        double value, again;
        state ^= state << 13, state ^= state >> 7, state ^= state << 17;
        memcpy(&value, &state, sizeof value);
        if (!isfinite(value)) continue;
        FAR_CHECK(fari_parse_f64(fari_f64_text(value, text), &again));
        FAR_CHECK(memcmp(&value, &again, sizeof value) == 0);
        float small, small_again;
        const uint32_t bits = (uint32_t)state;
        memcpy(&small, &bits, sizeof small);
        if (!isfinite(small)) continue;
        small_again = strtof(fari_f32_text(small, text), NULL);
        FAR_CHECK(memcmp(&small, &small_again, sizeof small) == 0);
    }
}

FAR_TEST(numbers_are_whole_texts)
{
    static const char *const bad[] = { "",   " 1",  "1 ",       "0x10", "1.2.3", "--1", "1e",
                                       "e5", "1,5", "infinity", "NaN",  "1e999", ".",   "+" };
    double f64 = 0.0;
    int64_t i64 = 0;
    for (size_t i = 0; i < FAR_COUNT(bad); i++)
        FAR_CHECK_MSG(!fari_parse_f64(bad[i], &f64) && !fari_parse_i64(bad[i], &i64), "\"%s\" was read as a number",
                      bad[i]);
    FAR_CHECK(fari_parse_f64("-.inf", &f64) && f64 < 0 && isinf(f64));
    FAR_CHECK(fari_parse_f64("1e-400", &f64) && f64 == 0.0);
    FAR_CHECK(fari_parse_i64("60_000", &i64) && i64 == 60000);
    FAR_CHECK(fari_parse_i64("1e6", &i64) && i64 == 1000000);
    FAR_CHECK(fari_parse_i64("9223372036854775807", &i64) && i64 == INT64_MAX);
    FAR_CHECK(!fari_parse_i64("9223372036854775808", &i64));
    FAR_CHECK(!fari_parse_i64("1.5", &i64) && !fari_parse_i64("_1", &i64) && !fari_parse_i64("1_", &i64));
    FAR_CHECK(!fari_parse_i64("0.1e1x", &i64));
}

FAR_TEST(numbers_ignore_the_locale)
{
    static const char *const names[] = { "de_DE.UTF-8", "fr_FR.UTF-8", "de_DE", "fr_FR" };
    char text[FARI_NUMBER_TEXT];
    double value = 0.0;
    bool is_set = false;
    for (size_t i = 0; i < FAR_COUNT(names) && !is_set; i++) is_set = setlocale(LC_ALL, names[i]) != NULL;
    if (!is_set || strcmp(localeconv()->decimal_point, ",") != 0)
        FAR_SKIP("no locale with a decimal comma is installed");
    FAR_CHECK_STR(fari_f64_text(0.5, text), "0.5");
    FAR_CHECK(fari_parse_f64("2.75", &value) && value == 2.75);
}

FAR_TEST(distances)
{
    FAR_CHECK_EQ_I64(fari_edit_distance("optim.lr", "optim.lr"), 0);
    FAR_CHECK_EQ_I64(fari_edit_distance("optim.lrr", "optim.lr"), 2);
    FAR_CHECK_EQ_I64(fari_edit_distance("optmi.lr", "optim.lr"), 2); /* swapped neighbours are one edit */
    FAR_CHECK_EQ_I64(fari_edit_distance("Batch", "batch"), 1);
    FAR_CHECK_EQ_I64(fari_edit_distance("", "abc"), 6);
    FAR_CHECK(fari_edit_distance(
                  "a-very-long-name-a-very-long-name-a-very-long-name-a-very-long-name-a-very-long-name-a-very-long-"
                  "name-a-very-long-name-",
                  "b") > 0);
}
