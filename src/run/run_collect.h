/* Single samples of a batch that lies on several ranks, brought to the first rank: what went in, and what the network gave. A sample at
   a time, so the first rank holds one whole image and one whole output more, and no rank anything else. */
#ifndef FARI_RUN_RUN_COLLECT_H
#define FARI_RUN_RUN_COLLECT_H
#include "run/run_priv.h"

typedef struct run_collect run_collect;

/* Collective, as the others: all ranks call them alike. For batches of that side; labels: as a set of samples has them. */
far_status run_collect_open(const far_run *run, const run_side *side, const far_dataset_info *info,
                            run_collect **collect_out);
void run_collect_close(run_collect *collect);
int64_t run_collect_bytes(const far_run *run, const run_side *side, const far_dataset_info *info);
/* On the first rank the image [H, W, C] and its labels as a batch has them (NULL without); on others they are of no use. Borrowed until
   the next call. */
far_status run_collect_inputs(run_collect *collect, const far_batch *batch, int64_t idx, const float **image_out,
                              const int32_t **labels_out);
/* On the first rank output `map` of sample `idx` as the executor would hold a batch of this one sample. */
far_status run_collect_output(run_collect *collect, int64_t idx, int32_t map, const void **data_out);
#endif
