/* What `farandole predict` writes: a table of all samples, and for maps of classes a picture or array of each. */
#ifndef FARI_CLI_PREDICT_OUT_H
#define FARI_CLI_PREDICT_OUT_H
#include <farandole/picture.h>
#include <jansson.h>
#include <stdio.h>

typedef enum predict_format {
    PREDICT_AUTO = 0, /* maps: png, classes: csv */
    PREDICT_PNG,
    PREDICT_NPY,
    PREDICT_CSV,
    PREDICT_JSONL,
    PREDICT_TIFF
} predict_format;

typedef struct predict_out {
    /* set by the caller */
    const char *folder; /* there already */
    predict_format format;
    bool has_probabilities, has_overlays;
    int64_t top;           /* classes told of a sample */
    const json_t *classes; /* names by number, or NULL */
    /* found while writing */
    int64_t samples, files;
    int64_t right, counted; /* samples, or pixels, whose truth is known */
    char *table_path, *table_temporary;
    FILE *table;
    far_npy *probabilities; /* of classes: one array of all samples */
    int32_t *labels;        /* of the sample at hand */
    float *shares;
    int64_t label_room, share_room;
    far_tiff *map_tiff, *share_tiff; /* of the map at hand, as far as its rows have come */
    int64_t map_right, map_counted;
    int64_t *of_class; /* pixels of the map at hand */
    int64_t class_room;
    char stem[200];  /* of the files of the sample at hand */
    uint64_t *stems; /* hashes of file names in use: an open table */
    int64_t stem_count, stem_room;
} predict_out;

/* A far_prediction_fn; `context` is the predict_out. */
far_status predict_out_take(void *context, const far_prediction *prediction);
/* Ends the files; they have their names only if is_complete. */
far_status predict_out_close(predict_out *out, bool is_complete);
#endif
