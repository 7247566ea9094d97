/* Where the buffers of a plan in bands (plan/bands.h) lie: each at addresses of its own, a ring at twice as many, so that rows that go round its
 * end are in one piece. Addresses that nobody uses for the rest of a step are given back, or the system would count one page of memory for each
 * buffer that ever lay there. */
#ifndef FARI_RUN_EXEC_WINDOWS_H
#define FARI_RUN_EXEC_WINDOWS_H
#include "plan/plan.h"

typedef struct fari_exec_windows fari_exec_windows;

/* arena: from fari_arena_map_shared. Fills in buffer_data of the buffers that get addresses of their own. */
far_status fari_exec_windows_create(const fari_plan *plan, char *arena, char **buffer_data,
                                    fari_exec_windows **windows_out);
void fari_exec_windows_destroy(fari_exec_windows *windows);
void fari_exec_windows_begin(fari_exec_windows *windows); /* a step */
/* The instruction is done with its buffers. On any thread, several at once. */
void fari_exec_windows_done(fari_exec_windows *windows, int32_t instr);
int64_t fari_exec_windows_own_bytes(const fari_plan *plan);
#endif
