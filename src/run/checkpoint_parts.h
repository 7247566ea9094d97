/* Who writes which bytes of a checkpoint's files. The data of all tensors is cut into pieces of at most FARI_CKPT_PIECE bytes, none across two
 * tensors; each rank writes a run of them, about equally many bytes, into files under a temporary name, and hashes them. When all have
 * reported, one gives the checkpoint its name. The files are those that one rank would write: fari_ckpt_save is this with one rank. */
#ifndef FARI_RUN_CHECKPOINT_PARTS_H
#define FARI_RUN_CHECKPOINT_PARTS_H
#include "base/hash.h"
#include "run/checkpoint.h"

#define FARI_CKPT_PIECE (INT64_C(1) << 20)
#define FARI_CKPT_FILES 2 /* model, optimizer */

typedef struct fari_ckpt_piece {
    int32_t file;
    int64_t tensor;       /* its number among those of the file */
    int64_t first, bytes; /* in the tensor */
    int64_t at;           /* in the file */
} fari_ckpt_piece;

typedef struct fari_ckpt_parts {
    fari_ckpt_tensor *tensors[FARI_CKPT_FILES]; /* names borrowed; data NULL till there is some */
    int64_t tensor_count[FARI_CKPT_FILES];
    char *heads[FARI_CKPT_FILES]; /* what comes before the data */
    int64_t head_bytes[FARI_CKPT_FILES], file_bytes[FARI_CKPT_FILES];
    fari_ckpt_piece *pieces; /* [piece_count] in the order of the lists of tensors */
    int64_t piece_count;
    int32_t rank, world_size;
    int64_t own_first, own_count, own_bytes; /* pieces of this rank */
    int64_t most_count;                      /* of any rank */
} fari_ckpt_parts;

/* Follows from names, types, shapes and world_size alone. Names stay borrowed; data may be NULL, and filled in later. */
far_status fari_ckpt_parts_create(const fari_ckpt_tensor *model, int64_t model_count, const fari_ckpt_tensor *optimizer,
                                  int64_t optimizer_count, int32_t rank, int32_t world_size,
                                  fari_ckpt_parts **parts_out);
void fari_ckpt_parts_destroy(fari_ckpt_parts *parts); /* NULL is allowed */
/* The pieces of any rank are [fari_ckpt_parts_first(rank), fari_ckpt_parts_first(rank + 1)). */
int64_t fari_ckpt_parts_first(const fari_ckpt_parts *parts, int32_t rank);

/* This rank's pieces one after the other. copy_out [own_bytes] */
void fari_ckpt_parts_copy(const fari_ckpt_parts *parts, void *copy_out);
/* Writes this rank's pieces of checkpoint `step`, from a copy (NULL: from the tensors), and makes them last. hashes_out [own_count] get
   their XXH3-128. What is missing of the folder under the temporary name is made; that one is left over where this fails. */
far_status fari_ckpt_parts_write(const fari_ckpt_parts *parts, const char *folder, int64_t step, const void *copy,
                                 char (*hashes_out)[FARI_XXH128_HEX]);
/* When all pieces are written: the manifest, the checkpoint's name, the links; then old ones are removed as fari_ckpt_save says. hashes
   [piece_count]. Where this fails before the name is given, all under the temporary name is removed. */
far_status fari_ckpt_parts_publish(const fari_ckpt_parts *parts, const char *folder, const fari_ckpt_state *state,
                                   const char (*hashes)[FARI_XXH128_HEX], bool is_best, int64_t keep);
/* Removes what parts of checkpoint `step` may have been written under the temporary name. */
far_status fari_ckpt_parts_discard(const char *folder, int64_t step);
#endif
