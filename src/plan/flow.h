/* Follows the bytes of a step over all ranks: who made them, who has a copy, which messages that takes. Every rank runs it alike. */
#ifndef FARI_PLAN_FLOW_H
#define FARI_PLAN_FLOW_H
#include "plan/part.h"

typedef struct fari_flow fari_flow;

far_status fari_flow_create(fari_plan *plan, fari_flow **flow_out);
void fari_flow_destroy(fari_flow *flow);
/* A number for the partials of a sum, each of so many bytes, the same on every rank. */
far_status fari_flow_partials(fari_flow *flow, int64_t slot_bytes, int32_t *data_out);
/* The node that is lowered now. */
void fari_flow_turn(fari_flow *flow, int32_t turn);
/* Rank `rank` (or every rank) is about to read the range: messages bring what it lacks. */
far_status fari_flow_need(fari_flow *flow, int32_t data, int64_t lo, int64_t hi, int32_t rank);
/* The place of the next instruction in the walk. */
int64_t fari_flow_next(fari_flow *flow);
int64_t fari_flow_now(const fari_flow *flow);
/* Parameters and state: whoever changes them changes them on every rank. */
bool fari_flow_is_everywhere(const fari_flow *flow, int32_t data);
/* The instruction at that place, run by `rank` (or every rank), has made the range anew: older copies are void. */
far_status fari_flow_made(fari_flow *flow, int32_t data, int64_t lo, int64_t hi, int32_t rank);
/* Who made the bytes from `lo` on last, up to *end_out, at most `hi`; FARI_EVERY_RANK: everybody. */
int32_t fari_flow_maker(const fari_flow *flow, int32_t data, int64_t lo, int64_t hi, int64_t *end_out);
/* Place and turn of the first need of an input by this rank; false: it needs nothing of it. */
bool fari_flow_first_need(const fari_flow *flow, int32_t data, int64_t *at_out, int32_t *turn_out);
#endif
