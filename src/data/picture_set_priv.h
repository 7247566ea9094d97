/* Inside of a set of pictures: what filling it (picture_set.c) and reading it (picture_read.c) share. */
#ifndef FARI_DATA_PICTURE_SET_PRIV_H
#define FARI_DATA_PICTURE_SET_PRIV_H
#include "data/picture_set.h"
#include <pthread.h>

/* One file of a collection. */
typedef struct fari_member {
    const fari_files *files;
    int64_t idx;
} fari_member;

/* What one reading thread needs; free ones lie in a list. */
typedef struct fari_desk {
    fari_decoder *decoder;
    fari_member image, map; /* files that the decoder may have kept open */
    uint8_t *room;          /* a file */
    int64_t room_bytes;
    int32_t *rows; /* of a label map */
    int64_t rows_elems;
    struct fari_desk *next;
} fari_desk;

struct fari_picture_set {
    fari_files *files;
    far_label_kind label;
    fari_picture_sample *samples;
    int64_t count, cap;
    char *names; /* of samples, then classes follow in a table of their own */
    int64_t names_bytes, names_cap;
    char **classes;
    int64_t class_count, class_cap;
    fari_label_rule rule;
    int32_t channels;
    int64_t height, width;             /* largest */
    fari_picture largest, largest_map; /* as large in everything as any; of label maps, TIFFs */
    int64_t file_bytes;                /* of the largest file that is read whole */
    pthread_mutex_t mutex;
    pthread_mutex_t preparing; /* one at a time: it takes all desks */
    pthread_cond_t returned;   /* a desk is free again */
    fari_desk *free_desks;     /* under the mutex, as are the next two */
    int64_t desk_count;
    int64_t desk_limit; /* prepared: who finds none free waits, and allocates nothing; 0: as many as are needed */
};

/* ---- picture_read.c: called from several threads at once ---- */

/* A desk for the calling thread, made where none is free and none prepared; waits where all that were prepared are taken. */
far_status fari_desk_acquire(fari_picture_set *set, fari_desk **desk_out);
void fari_desk_return(fari_picture_set *set, fari_desk *d);
void fari_desk_destroy(fari_desk *d); /* NULL is allowed */
/* The largest class in the label map of sample `s`, which is not held. line: room for a row. */
far_status fari_picture_set_largest_label(const fari_picture_set *set, fari_desk *d, const fari_picture_sample *s,
                                          int32_t *line, int32_t *largest_io);
/* Bytes of a file through its fari_member: fari_head_source.read. */
far_status fari_member_read(const void *member, int64_t offset, void *out, size_t bytes);
/* A region of the label map of sample `s`, as classes. */
far_status fari_picture_set_read_map(const fari_picture_set *set, fari_desk *d, const fari_picture_sample *s,
                                     const far_region *r, int32_t *out);

/* As far_dataset_ops says; context: the set. */
far_status fari_picture_set_extent(void *context, int64_t idx, int64_t *height_out, int64_t *width_out);
far_status fari_picture_set_read(void *context, int64_t idx, float *image_out, int32_t *label_out);
far_status fari_picture_set_read_region(void *context, int64_t idx, const far_region *region, float *image_out,
                                        int32_t *label_out);
far_status fari_picture_set_read_label(void *context, int64_t idx, int32_t *label_out);
far_status fari_picture_set_prepare(void *context, int32_t readers, int64_t out_height, int64_t out_width);
int64_t fari_picture_set_prepare_bytes(const void *context, int32_t readers, int64_t out_height, int64_t out_width);
#endif
