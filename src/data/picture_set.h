/* What data sets of pictures share: samples in collections of files, decoders for as many threads as read, regions and label maps. */
#ifndef FARI_DATA_PICTURE_SET_H
#define FARI_DATA_PICTURE_SET_H
#include "data/files.h"
#include "data/label_values.h"
#include "data/picture.h"
#include <farandole/pictures.h>

typedef struct fari_picture_sample {
    int64_t file; /* in the collection */
    fari_picture picture;
    bool is_broken;     /* its header is damaged: reading says how */
    int32_t class_idx;  /* where labels are classes */
    int64_t label_file; /* where labels are maps */
    fari_picture label_picture;
    int64_t name_at; /* in names */
} fari_picture_sample;

typedef struct fari_picture_set fari_picture_set;

/* Makes an empty set over `files`, which it owns from here on, also when this fails. */
far_status fari_picture_set_create(fari_files *files, far_label_kind label, fari_picture_set **set_out);
void fari_picture_set_destroy(void *set);
const fari_files *fari_picture_set_files(const fari_picture_set *set);
int64_t fari_picture_set_count(const fari_picture_set *set);
/* Reads the header of a file. */
far_status fari_picture_set_probe(const fari_picture_set *set, int64_t file, fari_picture *picture_out);
/* Adds a sample, after reading its headers. name: copied. label_file -1: none. */
far_status fari_picture_set_add(fari_picture_set *set, int64_t file, const char *name, size_t name_length,
                                int32_t class_idx, int64_t label_file, bool keep_broken);
/* Adds a name of a class; class number = order of adding, or of names after sorting. */
far_status fari_picture_set_add_class(fari_picture_set *set, const char *name, size_t length);
void fari_picture_set_sort_classes(fari_picture_set *set);
int32_t fari_picture_set_class_of(const fari_picture_set *set, const char *name, size_t length); /* sorted; -1: none */
/* The rule for label maps, owned by the set from here on. */
void fari_picture_set_label_rule(fari_picture_set *set, fari_label_rule *rule);
/* All samples are there: becomes a data set, or is destroyed. channels 0: 1 where all are grey. class_count 0 with label maps: decodes them all. */
far_status fari_picture_set_finish(fari_picture_set *set, int32_t channels, int32_t class_count,
                                   far_dataset **dataset_out);
#endif
