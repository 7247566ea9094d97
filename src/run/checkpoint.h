/* Checkpoints of a run:
 *
 *   checkpoints/1200/model.safetensors       parameters and running statistics, as PyTorch names them
 *   checkpoints/1200/optimizer.safetensors   momenta
 *   checkpoints/1200/manifest.json           step, position in the data, sizes of the files, XXH3-128 of each tensor (by pieces of 1 MiB)
 *   checkpoints/last, checkpoints/best       links to folders
 *
 * A folder gets its name only when all in it is on disk, so a kill at any moment leaves the checkpoints before it whole. */
#ifndef FARI_RUN_CHECKPOINT_H
#define FARI_RUN_CHECKPOINT_H
#include <farandole/tensor.h>
#include <stdbool.h>
#include <stdint.h>

#define FARI_CKPT_VERSION 2 /* 1: no tensor's checksum is one of pieces */
#define FARI_CKPT_TEXT 80   /* bytes of the texts in a state */
#define FARI_CKPT_LIBRARIES 16

typedef struct fari_ckpt_tensor {
    const char *name;
    far_dtype dtype;
    far_shape shape;
    void *data; /* row-major; read when saving, written when loading */
} fari_ckpt_tensor;

/* Everything but tensors. Texts are "" where not known. */
typedef struct fari_ckpt_state {
    int64_t step;     /* optimizer steps done */
    int64_t epoch;    /* epochs completed */
    int64_t position; /* samples consumed in the epoch under way */
    uint64_t seed;
    double best_metric;               /* of the run so far; NaN when there is none */
    double patience_metric;           /* that has to be surpassed by train.min_delta; NaN when there is none */
    int64_t patience_used;            /* evaluations since it was */
    char config_hash[FARI_CKPT_TEXT]; /* far_config_hash */
    /* On what the bits of results depend besides the config: */
    char grains[FARI_CKPT_TEXT]; /* hash of the grain table */
    char isa[FARI_CKPT_TEXT];    /* of the kernels, ours and the libraries' */
    struct {
        char name[FARI_CKPT_TEXT], version[FARI_CKPT_TEXT];
    } libraries[FARI_CKPT_LIBRARIES];
    int32_t library_count;
} fari_ckpt_state;

/* Creates `folder` where needed and clears away what killed writes left. Call once at start, before save and open. */
far_status fari_ckpt_prepare(const char *folder);

/* Writes checkpoint `state->step`, points `last` at it (and `best` too when is_best), then removes all but the newest `keep` and those that
   `last` and `best` point at. keep 0: all stay. What `best` points at is never removed or overwritten by one that is not best: it moves to
   `best-STEP`. On failure all checkpoints before are still there. */
far_status fari_ckpt_save(const char *folder, const fari_ckpt_state *state, const fari_ckpt_tensor *model,
                          int64_t model_count, const fari_ckpt_tensor *optimizer, int64_t optimizer_count, bool is_best,
                          int64_t keep);

typedef struct fari_ckpt fari_ckpt;

/* Opens checkpoint `which`: "last", "best" or a step's number; all bytes are checked. Where "last" is damaged or missing, the newest whole one is
   opened instead, with a warning that says what is wrong with it. FAR_E_NOTFOUND: there is none. */
far_status fari_ckpt_open(const char *folder, const char *which, fari_ckpt **ckpt_out);
/* Opens the checkpoint in exactly this folder (checkpoints/1200). */
far_status fari_ckpt_open_path(const char *path, fari_ckpt **ckpt_out);
void fari_ckpt_close(fari_ckpt *ckpt); /* NULL is allowed */

const fari_ckpt_state *fari_ckpt_state_of(const fari_ckpt *ckpt);
const char *fari_ckpt_path(const fari_ckpt *ckpt);
/* Fills tensors by name. All must be there with that shape; FAR_E_NOTFOUND and FAR_E_SHAPE name tensor and file. Tensors of the file that are not asked
   for are an error too when is_complete. */
far_status fari_ckpt_read_model(const fari_ckpt *ckpt, const fari_ckpt_tensor *tensors, int64_t count,
                                bool is_complete);
far_status fari_ckpt_read_optimizer(const fari_ckpt *ckpt, const fari_ckpt_tensor *tensors, int64_t count,
                                    bool is_complete);

/* The file with parameters and running statistics. Borrowed. */
const struct fari_st_file *fari_ckpt_model(const fari_ckpt *ckpt);

/* Steps of the checkpoints in a folder, ascending; free with fari_free. Does not check them. */
far_status fari_ckpt_list(const char *folder, int64_t **steps_out, int64_t *count_out);
#endif
