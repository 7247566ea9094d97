/* From what a label map holds, values, palette indices, colours or numbers of objects, to classes. */
#ifndef FARI_DATA_LABEL_VALUES_H
#define FARI_DATA_LABEL_VALUES_H
#include <farandole/pictures.h>

#define FARI_BOUNDARY_MAX 16

typedef struct fari_label_rule {
    bool is_instances, is_colours;
    int32_t boundary;          /* of instances */
    int32_t class_count;       /* 0: not known yet; any value from 0 on is taken */
    int32_t *values, *classes; /* sorted values and what they stand for, owned; NULL: the value is the class */
    int32_t value_count;
} fari_label_rule;

/* Copies what the options say. FAR_E_ARG: a value named twice, more values than classes. */
far_status fari_label_rule_make(const far_pictures_opts *opts, fari_label_rule *rule_out);
void fari_label_rule_free(fari_label_rule *rule);
/* `count` values in place. FAR_E_FORMAT says which value is none of a class; the caller adds where. */
far_status fari_label_rule_apply(const fari_label_rule *rule, int32_t *values, int64_t count);
/* Of objects' numbers: 0 background, 1 inside, 2 boundary, at column x of the middle one of 2 boundary + 1 rows; NULL: outside of the picture. */
int32_t fari_label_instance_at(const int32_t *const *rows, int32_t boundary, int64_t width, int64_t x);
#endif
