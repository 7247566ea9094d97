#ifndef FARI_RUN_RANKS_H
#define FARI_RUN_RANKS_H
#include "comm/comm.h"
#include <farandole/ranks.h>

fari_comm *fari_ranks_comm(const far_ranks *ranks); /* borrowed */
/* For who watches this rank; nothing where nobody does. */
void fari_ranks_tell_step(const far_ranks *ranks, int64_t step);
void fari_ranks_tell_folder(const far_ranks *ranks, const char *folder);
void fari_ranks_tell_patience(const far_ranks *ranks, int64_t ms); /* as far_ranks_watch_patience_ms */
#endif
