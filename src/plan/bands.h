/* Bands and windows: an image of which one tensor does not fit in memory goes through the network in bands of rows.
 *
 * bands.c puts instructions in another order: the nodes that lie between two sums over the whole image (statistics, the loss) make a sweep, and a
 * sweep is gone through band by band, each band through all of its nodes, in place of node by node. Dependences of the canonical order are kept,
 * so the bits are. windows.c then gives tensors that are long a ring in place of a block: of a tensor of `ring_of` bytes, byte i lies at i modulo
 * `bytes` of its buffer, and only the rows that the band and its halo want are there at a time. Between two sweeps it waits on disk, from where
 * READ brings it back piece by piece, ahead of its first user. */
#ifndef FARI_PLAN_BANDS_H
#define FARI_PLAN_BANDS_H
#include "plan/plan.h"

/* Reorders the instructions of a lowered plan of one rank; sets plan->sweep0 and new turns. */
far_status fari_plan_band(fari_plan *plan);
/* Windows, the disk and places, for plans that were reordered: with the longest tensors in windows that make the arena no larger than
   opts.spill.arena_limit, or as many as can be. */
far_status fari_plan_window(fari_plan *plan);
#endif
