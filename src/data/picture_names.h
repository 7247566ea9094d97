/* What names of files say: endings, parts of a data set, patterns. */
#ifndef FARI_DATA_PICTURE_NAMES_H
#define FARI_DATA_PICTURE_NAMES_H
#include "data/files.h"
#include <farandole/data.h>

typedef enum fari_ending {
    FARI_ENDING_OTHER = 0,
    FARI_ENDING_PICTURE, /* JPEG, PNG or TIFF */
    FARI_ENDING_UNREAD   /* a picture of a kind that is not read */
} fari_ending;

fari_ending fari_ending_of(const char *name);
/* For fari_files_open: pictures of any kind. */
bool fari_name_is_picture(const char *name, void *context);

/* Characters of the folders in which everything lies, with the last '/': "nuclei/" gives 7. Folders with the name of a part are not passed over,
   nor, with `keep_last`, the one in which files lie. */
size_t fari_names_common(const fari_files *files, bool keep_last);
/* "train", "val"... with that many characters; case does not count. Rank: the smaller is taken first; -1: none of them. */
int fari_part_rank(const char *word, size_t length, far_data_part part);

/* Characters before the first '/', or all. */
size_t fari_first_part(const char *name);
/* Without the ending after the last '.' of the last part. */
size_t fari_stem_length(const char *name);

/* --- patterns --- */

#define FARI_STARS_MAX 4

typedef struct fari_match {
    int32_t count;
    struct {
        const char *text; /* in the name */
        size_t length;
    } star[FARI_STARS_MAX];
} fari_match;

/* FAR_E_ARG: too many stars, or none. */
far_status fari_pattern_check(const char *pattern, int32_t *stars_out);
bool fari_pattern_matches(const char *pattern, const char *name, fari_match *match_out);
/* The pattern with its stars replaced; false: it does not fit into `bytes`. */
bool fari_pattern_fill(const char *pattern, const fari_match *match, char *out, size_t bytes);
#endif
