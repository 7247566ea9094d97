#ifndef FARI_RUN_RANKS_H
#define FARI_RUN_RANKS_H
#include "comm/comm.h"
#include <farandole/ranks.h>

fari_comm *fari_ranks_comm(const far_ranks *ranks); /* borrowed */
#endif
