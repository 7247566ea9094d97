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

/* print_memory.c: what fills the arena of a rank where a step takes most. */
typedef enum fari_memory_part {
    FARI_MEMORY_OWN,   /* what it computes of activations and their gradients */
    FARI_MEMORY_HALO,  /* of these, what others compute and it reads: rows of neighbours */
    FARI_MEMORY_WHOLE, /* levels that are not cut in rows, where others are: gathered by one rank for each sample */
    FARI_MEMORY_INPUT,
    FARI_MEMORY_SUMS, /* gradients of parameters, statistics, partial sums */
    FARI_MEMORY_PACKED,
    FARI_MEMORY_GAPS, /* between all these: together they make the arena */
    FARI_MEMORY_PARTS
} fari_memory_part;
far_status fari_plan_memory(const fari_plan *plan, int64_t bytes_out[FARI_MEMORY_PARTS]);
void fari_plan_print_memory_text(const fari_plan *plan, fari_text *text);
void fari_plan_print_memory_json(const fari_plan *plan, fari_text *text); /* two members, each with a comma behind */

/* print_spill.c: what waits on disk, the largest few by name; nothing where none does. */
void fari_plan_print_spill_text(const fari_plan *plan, fari_text *text);

/* "12.3 MB": three digits and a unit of powers of 1,000. */
const char *fari_bytes_text(int64_t bytes, char text_out[32]);
#endif
