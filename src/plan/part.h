/* A plan for one of several ranks.
 *
 * Every rank walks through the whole step in the canonical order, as a plan for one rank would, and asks of each instruction: who
 * runs it, who holds what it reads? It keeps the instructions that are its own, and the messages that it sends or receives. So all
 * ranks know the same messages without a word between them, and every message has a place in one order that all share: nobody
 * ever waits in a circle.
 *
 *   pieces of tensors with a batch axis   computed by one rank each (ranks.c), read by others with messages: halo rows, levels gathered
 *   sums                                  each rank sums its own leaves; a partial travels to the holder of the one left of it
 *   what belongs to no sample             parameters, their updates, statistics, scalars: computed by every rank, the same bits
 *   inputs                                every rank reads its own, halo rows too
 *
 * flow.c follows the data, part.c turns what it found into instructions and cuts buffers down to what the rank touches. */
#ifndef FARI_PLAN_PART_H
#define FARI_PLAN_PART_H
#include "plan/plan.h"

#define FARI_EVERY_RANK (-1)

/* Bytes [lo, hi) of a tensor (or of a sum's partials) as one rank alone would hold them. */
typedef struct fari_message_part {
    int32_t
        data; /* below graph->tensor_count a tensor; from there on partials, numbered as the walk meets their sums */
    int32_t message;
    int64_t lo, hi;
} fari_message_part;

/* Sent as one; ranks number a pair's messages alike: tag 1, 3, 5... large sums, 0, 2, 4... all else. */
typedef struct fari_message {
    int32_t from, to, tag;
    int32_t turn;  /* of the first node that needs it */
    int64_t at;    /* place in the walk that all ranks share */
    int64_t bytes; /* of all parts */
    int64_t part0; /* first of part_count parts */
    int32_t part_count;
    int32_t instr; /* this rank's SEND or RECV */
    int32_t
        partner; /* SEND: the last instruction that made a part; RECV: the first that waits for it; -1: none in this plan */
} fari_message;

/* Which bytes of a whole tensor a rank's buffer holds: [lo, hi) lie from byte `local` on. */
typedef struct fari_span {
    int64_t lo, hi, local;
} fari_span;

/* Bytes [lo, hi) of a buffer; in the order of buffers, then of bytes (for qsort). */
typedef struct fari_buffer_range {
    int32_t buffer;
    int64_t lo, hi;
} fari_buffer_range;
int fari_buffer_range_order(const void *a, const void *b);

/* What a rank reads of a graph's input: step->feed holds exactly this box, dense. */
typedef struct fari_feed_box {
    far_value input;
    int64_t sample_lo, sample_hi, row_lo, row_hi; /* empty where the rank needs nothing of it */
} fari_feed_box;

/* Bytes [lo, hi) of one of the graph's outputs that have a batch axis, and who holds them after a step. Results over the whole batch are
   everywhere and not listed. */
typedef struct fari_result {
    far_value value;
    int32_t rank; /* FARI_EVERY_RANK: all hold them */
    int64_t lo, hi;
} fari_result;

typedef struct fari_part {
    fari_message *messages; /* in the order of all ranks */
    int64_t message_count, message_cap;
    fari_message_part *parts;
    int64_t part_count, part_cap;
    fari_span *spans; /* of buffer b: spans[span0[b] .. span0[b + 1]), ascending; buffers held whole have none */
    int64_t *span0;
    int64_t span_count, span_cap;
    fari_feed_box *feeds; /* [graph inputs], by their ordinal */
    int32_t feed_count;
    fari_result *results; /* of all ranks, by output and then ascending; without gaps */
    int64_t result_count, result_cap;
} fari_part;

far_status fari_part_create(fari_plan *plan);
void fari_part_destroy(fari_part *part);
/* Once the dependences are known: who makes and who awaits each message. */
void fari_part_link(fari_plan *plan);
int64_t fari_part_own_bytes(const fari_plan *plan);
/* Where byte `local` of a rank's buffer lies in the whole buffer. */
int64_t fari_part_whole_offset(const fari_plan *plan, int32_t buffer, int64_t local);
/* The other way round. The byte has to be one that the rank touches. */
int64_t fari_part_local_offset(const fari_plan *plan, int32_t buffer, int64_t whole);
/* True when the buffer holds all of its tensor, byte for byte. */
bool fari_part_is_whole(const fari_plan *plan, int32_t buffer);

/* check_ranks.c: what must hold of the plans of all ranks together; the first thing that does not is worded.
     every send has its receive, with the same tag, bytes and parts;
     no deadlock: what waits for what, over all ranks, has no circle, even where messages are handed over one by one, in order;
     instructions of a rank that touch the same bytes are ordered;
     each grain is computed once, or by every rank. */
far_status fari_plan_check_ranks(const fari_plan *const *plans, int32_t count);
/* The last but one of these, of one plan; and that nothing is read before it was written. */
far_status fari_plan_check_hazards(const fari_plan *plan);
#endif
