/* A data set of a test's own: samples of varying size whose pixels tell sample, row, column and channel. */
#ifndef FAR_TESTS_OWN_SET_H
#define FAR_TESTS_OWN_SET_H
#include <farandole/data.h>

typedef struct own_set {
    int64_t samples, channels;
    int64_t least, most; /* sides are in [least, most]; equal: all samples have one size */
    far_label_kind label;
    int64_t planes; /* of label maps */
    int32_t classes;
    bool is_unit;   /* pixels are noise in [0, 1) instead of codes */
    bool has_names; /* "name-<number + first_name>" */
    int64_t first_name;
    int32_t bad_label;      /* what those have for a label instead of being unreadable; 0: unreadable */
    int64_t bad, bad_count; /* samples [bad, bad + bad_count) cannot be read: FAR_E_FORMAT */
} own_set;

/* `own` stays the caller's and has to outlive the set. */
far_dataset *own_set_open(own_set *own);
void own_set_extent(const own_set *own, int64_t idx, int64_t *height_out, int64_t *width_out);
/* At a place of a sample; labels are in [0, classes). */
float own_set_pixel(const own_set *own, int64_t idx, int64_t y, int64_t x, int64_t c);
int32_t own_set_label(const own_set *own, int64_t idx, int64_t y, int64_t x, int64_t p);
#endif
