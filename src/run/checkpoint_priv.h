/* What writing and reading checkpoints share. */
#ifndef FARI_RUN_CHECKPOINT_PRIV_H
#define FARI_RUN_CHECKPOINT_PRIV_H
#include "base/text.h"
#include "run/checkpoint.h"

#define FARI_CKPT_MODEL "model.safetensors"
#define FARI_CKPT_OPTIMIZER "optimizer.safetensors"
#define FARI_CKPT_MANIFEST "manifest.json"
#define FARI_CKPT_MANIFEST_MAX ((int64_t)256 << 20)
/* The manifest's last member: XXH3-128 of all the text before this one. */
#define FARI_CKPT_SELF "\n  \"xxh3_128_above\": \""

#define FARI_CKPT_BEST "best-" /* and a step: a best checkpoint whose step another life of the run has taken */
#define FARI_CKPT_NAME 64

/* The folder that checkpoint `step` is written in before it has its name; allocated, NULL when there is no memory. */
char *fari_ckpt_temporary(const char *folder, int64_t step);

/* The name that a link in the folder reads, "" where it is none. FAR_E_IO, FAR_E_NOMEM. */
far_status fari_ckpt_read_link(const char *folder, const char *link, char name_out[FARI_CKPT_NAME]);
/* The number a folder's name stands for; false for other names ("0012", "last", ".tmp-3"). */
bool fari_ckpt_parse_step(const char *name, int64_t *step_out);
#endif
