#include "data/picture_names.h"
#include "base/status.h"
#include <string.h>
#include <strings.h>

fari_ending fari_ending_of(const char *name)
{
    static const struct {
        const char *ending;
        fari_ending kind;
    } endings[] = {
        { "jpg", FARI_ENDING_PICTURE }, { "jpeg", FARI_ENDING_PICTURE }, { "jpe", FARI_ENDING_PICTURE },
        { "png", FARI_ENDING_PICTURE }, { "gif", FARI_ENDING_UNREAD },   { "bmp", FARI_ENDING_UNREAD },
        { "tif", FARI_ENDING_PICTURE }, { "tiff", FARI_ENDING_PICTURE }, { "btf", FARI_ENDING_PICTURE },
        { "webp", FARI_ENDING_UNREAD }, { "heic", FARI_ENDING_UNREAD },  { "avif", FARI_ENDING_UNREAD },
        { "ppm", FARI_ENDING_UNREAD },  { "pgm", FARI_ENDING_UNREAD },   { "jp2", FARI_ENDING_UNREAD },
        { "jxl", FARI_ENDING_UNREAD },
    };
    const char *slash = strrchr(name, '/'), *dot = strrchr(slash != NULL ? slash : name, '.');
    for (size_t i = 0; dot != NULL && i < FAR_COUNT(endings); i++)
        if (strcasecmp(dot + 1, endings[i].ending) == 0) return endings[i].kind;
    return FARI_ENDING_OTHER;
}

bool fari_name_is_picture(const char *name, void *context)
{
    (void)context;
    return fari_ending_of(name) != FARI_ENDING_OTHER;
}

int fari_part_rank(const char *word, size_t length, far_data_part part)
{
    static const struct {
        far_data_part part;
        const char *word;
    } words[] = {
        { FAR_DATA_TRAIN, "train" },  { FAR_DATA_TRAIN, "training" },  { FAR_DATA_TEST, "val" },
        { FAR_DATA_TEST, "valid" },   { FAR_DATA_TEST, "validation" }, { FAR_DATA_TEST, "test" },
        { FAR_DATA_TEST, "testing" },
    };
    for (size_t i = 0; i < FAR_COUNT(words); i++)
        if (words[i].part == part && strlen(words[i].word) == length && strncasecmp(word, words[i].word, length) == 0)
            return (int)i;
    return -1;
}

size_t fari_first_part(const char *name)
{
    return strcspn(name, "/");
}

size_t fari_stem_length(const char *name)
{
    const char *slash = strrchr(name, '/'), *dot = strrchr(slash != NULL ? slash : name, '.');
    return dot != NULL ? (size_t)(dot - name) : strlen(name);
}

/* The folder after `common` characters in which all files lie, as a length with its '/'; 0: there is none. */
static size_t next_common(const fari_files *files, size_t common, bool keep_last)
{
    const char *first = NULL;
    size_t length = 0;
    for (int64_t i = 0; i < fari_files_count(files); i++) {
        const char *name = fari_files_name(files, i);
        if (name[strlen(name) - 1] == '/') continue; /* folders themselves */
        name += common;
        const size_t part = fari_first_part(name);
        if (name[part] != '/' || (keep_last && strchr(name + part + 1, '/') == NULL)) return 0;
        if (first != NULL && (part != length || strncmp(first, name, length) != 0)) return 0;
        first = name;
        length = part;
    }
    if (first == NULL || fari_part_rank(first, length, FAR_DATA_TRAIN) >= 0 ||
        fari_part_rank(first, length, FAR_DATA_TEST) >= 0)
        return 0;
    return length + 1;
}

size_t fari_names_common(const fari_files *files, bool keep_last)
{
    size_t common = 0;
    for (size_t more; (more = next_common(files, common, keep_last)) > 0;) common += more;
    return common;
}

/* --- patterns --- */

far_status fari_pattern_check(const char *pattern, int32_t *stars_out)
{
    int32_t stars = 0;
    for (const char *at = pattern; *at != '\0'; at++) {
        if (*at != '*') continue;
        stars++;
        if (at[1] == '*') at++;
        if (at[1] == '*') return FAR_FAIL(FAR_E_ARG, "pattern %s: more than two stars side by side", pattern);
    }
    if (stars < 1 || stars > FARI_STARS_MAX)
        return FAR_FAIL(FAR_E_ARG, "pattern %s has %d stars; 1 to %d are needed, as in images/*.png", pattern, stars,
                        FARI_STARS_MAX);
    *stars_out = stars;
    return FAR_OK;
}

/* Each star takes as little as the rest allows. Work is bounded by names' lengths and the few stars. */
static bool matches_from(const char *pattern, const char *name, fari_match *match)
{
    for (; *pattern != '*'; pattern++, name++) {
        if (*pattern != *name) return false;
        if (*pattern == '\0') return true;
    }
    const bool any = pattern[1] == '*';
    const char *rest = pattern + (any ? 2 : 1);
    const int32_t star = match->count;
    if (star >= FARI_STARS_MAX) return false;
    for (size_t length = 0;; length++) {
        match->star[star].text = name;
        match->star[star].length = length;
        match->count = star + 1;
        if (length > 0 && matches_from(rest, name + length, match)) return true;
        if (name[length] == '\0' || (name[length] == '/' && !any)) return false;
    }
}

bool fari_pattern_matches(const char *pattern, const char *name, fari_match *match_out)
{
    match_out->count = 0;
    return matches_from(pattern, name, match_out);
}

bool fari_pattern_fill(const char *pattern, const fari_match *match, char *out, size_t bytes)
{
    size_t at = 0;
    int32_t star = 0;
    for (; *pattern != '\0'; pattern++) {
        const char *text = pattern;
        size_t length = 1;
        if (*pattern == '*') {
            if (pattern[1] == '*') pattern++;
            text = match->star[star].text;
            length = match->star[star++].length;
        }
        if (length >= bytes - at) return false;
        memcpy(out + at, text, length);
        at += length;
    }
    out[at] = '\0';
    return true;
}
