/* The plan as text for people and as JSON for programs. */
#ifndef FARI_PLAN_PRINT_H
#define FARI_PLAN_PRINT_H
#include "base/text.h"
#include "plan/plan.h"

/* One line a layer would be too long: memory by kind, grains, instructions, the largest buffers. */
void fari_plan_print_text(const fari_plan *plan, fari_text *text);
/* One JSON object: grain tables, buffers with offsets and lifetimes, instructions in canonical order with the byte ranges they
   touch, peak. Deterministic: equal plans give equal text. */
void fari_plan_print_json(const fari_plan *plan, fari_text *text);
/* The same in pieces, as they come; ends with what `write` returned when that is not FAR_OK. */
typedef far_status (*fari_plan_write_fn)(void *ctx, const char *data, size_t bytes);
far_status fari_plan_write_json(const fari_plan *plan, fari_plan_write_fn write, void *ctx);
/* SHA-256 over the grain tables alone, 64 hex digits: results are equal only where these are. */
void fari_plan_grain_hash(const fari_plan *plan, char hex_out[65]);
/* Of one of several ranks: what it does, what it takes, its messages by size and partner. JSON: one object. */
void fari_plan_print_rank_text(const fari_plan *plan, fari_text *text);
void fari_plan_print_rank_json(const fari_plan *plan, fari_text *text);
/* Calls on pieces of tensors with a batch axis: of each, one rank makes it. None: the rank is idle but for updates. */
int64_t fari_plan_grain_calls(const fari_plan *plan);
/* Members of the plan's JSON that only plans of one of several ranks have: print_ranks.c. */
void fari_plan_json_message(const fari_plan *plan, int64_t i, fari_text *text);
void fari_plan_json_feed(const fari_plan *plan, int64_t i, fari_text *text);
void fari_plan_json_holds(const fari_plan *plan, int64_t buffer, fari_text *text);
/* "12.3 MB": three digits and a unit of powers of 1,000. */
const char *fari_bytes_text(int64_t bytes, char text_out[32]);
#endif
