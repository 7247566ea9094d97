/* Tensors that wait on disk between two uses that lie far apart: from the forward to the backward pass above all.
 *
 * A buffer whose life has such a gap becomes several: one up to the gap, one from its end on, each with a place in the arena and a life
 * of its own, and one in a file. WRITE instructions bring the first to the file, piece by piece, each as soon as the last that changes the piece
 * is done; READ instructions bring it back. Both are instructions as others are: hazards.c keeps a place until its pieces are written, and a
 * READ waits for whatever lay in its place, so that nobody has to know how fast a disk is. The file is planned as the arena is: its buffers have
 * places and lives, too. */
#ifndef FARI_PLAN_SPILL_H
#define FARI_PLAN_SPILL_H
#include "plan/plan.h"

/* Turns of a buffer's life in which nobody uses it, and after which nobody changes it any more. */
typedef struct fari_gap {
    int32_t buffer;
    int32_t last_use, next_use;
    bool is_spilled;
    int32_t leaves, returns; /* of the spilled: the last turn in its old place, the first in the new one */
    int32_t disk, after;     /* of the spilled: its buffers in the file, and from the gap on */
} fari_gap;

typedef struct fari_spilling {
    fari_plan *plan;
    fari_gap *gaps; /* by buffer, then in the order of turns */
    int64_t gap_count, gap_cap;
    int64_t *gap0;        /* gaps of buffer b: gaps[gap0[b] .. gap0[b + 1]) */
    fari_buffer *buffers; /* [buffer_count] as they were lowered */
    int64_t buffer_count;
    int64_t *alive; /* [turns] bytes, with the gaps that are spilled now */
    int32_t turns;
} fari_spilling;

/* ---- spill.c: what both ways of spilling, this and that of bands.h, take to the disk ---- */
int64_t fari_spill_least_bytes(const fari_plan *plan); /* of a tensor that is worth it */
/* Sums are small, or on their way to other ranks; packed weights can be packed again; results stay. */
bool fari_spill_may_wait(const fari_plan *plan, const fari_buffer *buffer);

/* ---- spill_choose.c: a model of what is alive in each turn ---- */
/* What is alive with the marked gaps, whatever `leaves` and `returns` say. */
void fari_spill_count(fari_spilling *spilling);
/* The most that is alive in a turn. */
int64_t fari_spill_peak(const fari_spilling *spilling);
/* Marks gaps, those that help most for the bytes that they move, until nowhere more than `target` bytes are alive. False: that cannot be; then
   any may be marked. */
bool fari_spill_choose(fari_spilling *spilling, int64_t target);
/* Lets the marked ones leave up to `turns` turns after their last use and return as long before their next one, where no more than `limit`
   bytes are alive then. */
void fari_spill_widen(fari_spilling *spilling, int32_t turns, int64_t limit);

/* ---- spill_lower.c ---- */
/* Makes the instructions use the buffers that the marked gaps were given, and adds WRITE and READ. */
far_status fari_spill_lower(fari_spilling *spilling);
#endif
