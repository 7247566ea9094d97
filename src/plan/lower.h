/* Shared between the files that make instructions. */
#ifndef FARI_PLAN_LOWER_H
#define FARI_PLAN_LOWER_H
#include "plan/flow.h"
#include "plan/plan.h"

typedef struct fari_pack {
    far_value tensor;
    uint64_t pack_id;
    int32_t buffer;
} fari_pack;

/* One of several ranks: where its instructions stand in the walk that all ranks share. */
typedef struct fari_walk {
    fari_flow *flow; /* NULL: one rank, which runs everything */
    int64_t *at;     /* [instr_count] */
    int64_t at_count, at_cap;
    int32_t partial_data, partial_buffer; /* of the sum that is lowered now */
    int64_t packed_bytes;                 /* size of its partials where the kernel has a form of its own, else 0 */
    int32_t *partials;                    /* buffer of the partials numbered graph->tensor_count + i */
    int64_t partials_count, partials_cap;
} fari_walk;

struct fari_reduction;

typedef struct fari_lowering {
    fari_plan *plan;
    const fari_node *node; /* being lowered */
    fari_pack *packs;
    int64_t pack_count, pack_cap;
    fari_walk walk;
    struct fari_reduction *waiting; /* several ranks: sums whose partials have still to travel */
    int64_t waiting_count, waiting_cap;
} fari_lowering;

/* A plan's instructions as they were, taken away so that the plan's own lists can be made anew from them. */
typedef struct fari_lists {
    fari_instr *instrs;
    int64_t instr_count;
    fari_view *views;
    int32_t *view_buffer;
    fari_access *accesses;
    int64_t *access0; /* [instr_count + 1] */
} fari_lists;

typedef struct fari_grain_range {
    int64_t sample_lo, sample_hi, row_lo, row_hi;
} fari_grain_range;

#define FARI_LEAVES_MAX 64

/* One tree: the grains of one segment of the domain, in order. */
struct fari_reduction {
    fari_lowering *low;
    far_value domain;
    int64_t grain0, grain_count, run;  /* grains of the segment, grains a leaf */
    fari_view out[FARI_OUT_MAX];       /* where the segment's result lies in the outputs; data: byte offset */
    int64_t slot_offset[FARI_OUT_MAX]; /* of each output within a slot */
    int64_t slot_bytes;
    int32_t partials; /* buffer of slots 1.. (and of slot 0 when packed) */
    bool is_packed, is_frugal;
    int32_t prepared;
    const fari_node *node;
    /* several ranks: combinations of partials of two ranks, put off until all that ranks do alone is done */
    struct {
        int64_t left, right;
        int32_t height; /* one above those that it needs */
    } waiting[FARI_LEAVES_MAX];
    int32_t waiting_count;
    int32_t height[FARI_LEAVES_MAX]; /* of a slot whose contents come about in one of these, else 0 */
    int32_t partial_data;            /* as in fari_walk */
};
typedef struct fari_reduction fari_reduction;

/* ---- lower.c: buffers and instructions ---- */
far_status fari_lower_buffer(fari_plan *plan, fari_buffer_kind kind, far_value tensor, int64_t bytes,
                             int32_t *buffer_out);
/* The buffer of a tensor, made when it is first named; an input is fed at that point (by one rank of several: where it is needed). */
far_status fari_lower_tensor(fari_plan *plan, far_value value, int32_t *buffer_out);
/* Starts an instruction; fari_lower_view then adds its views, inputs before outputs, with the bytes that each touches. */
far_status fari_lower_begin(fari_plan *plan, fari_instr_kind kind, int32_t node);
far_status fari_lower_view(fari_plan *plan, int32_t buffer, const fari_view *view, int64_t bytes, bool is_write);
/* Leaves the plan without instructions; the caller frees what it has taken. */
void fari_lower_take_lists(fari_plan *plan, fari_lists *lists_out);
void fari_lower_free_lists(fari_lists *lists);
#define FARI_ACCESS_MAX 256 /* of an instruction, which counts them in bytes */

/* Adds instruction `idx` of the lists as it was; buffers: those that it uses now, by access; NULL: as it did. */
far_status fari_lower_put(fari_plan *plan, const fari_lists *lists, int64_t idx, const int32_t *buffers);
/* The first instruction of a turn, or of a later one: turns never go back. */
int64_t fari_lower_first_of_turn(const fari_plan *plan, int32_t turn);
/* Adds a WRITE or a READ of bytes [lo, hi) of a tensor, of number `number` among plan->spill_pieces. */
typedef struct fari_piece {
    int64_t lo, hi;
} fari_piece;
far_status fari_lower_put_move(fari_plan *plan, fari_instr_kind kind, int32_t turn, int32_t from, int32_t to,
                               int64_t number, const fari_piece *piece);
/* Asks the backend for the kernel of `call` and keeps the answer; equal answers are kept once. */
far_status fari_lower_prepare(fari_plan *plan, const fari_call *call, int32_t *prepared_out);
/* Adds the call where `rank` is this plan's or FARI_EVERY_RANK: `call` has geometry and, in data, byte offsets. */
far_status fari_lower_call(fari_lowering *low, const fari_call *call, const int32_t *out_buffer, int32_t rank);
void fari_lower_chunk_call(const fari_lowering *low, int64_t lo, int64_t hi, fari_call *call);
/* Lifetimes: `turn` is one in which the instructions from first_instr on use their buffers. */
void fari_lower_note_turns(fari_plan *plan, int64_t first_instr, int32_t turn);
/* The graph's inputs are numbered in the order of their creation: that number names their array in step->feed. */
int32_t fari_lower_input_ordinal(const far_graph *graph, far_value input);

/* ---- lower_reduce.c: sums across grains ---- */
far_status fari_lower_reduce(fari_lowering *low);
/* Several ranks: finishes the sums that wait for others' partials; all together, so that messages are few. */
far_status fari_lower_finish_sums(fari_lowering *low);
/* Whether a node reads, or overwrites, what one of those sums makes. */
bool fari_lower_awaits_sums(const fari_lowering *low, const fari_node *node);
/* Where output k of a slot lies. */
void fari_lower_slot(const fari_reduction *red, int64_t slot, int32_t k, fari_view *view_out, int32_t *buffer_out);

/* ---- lower_combine.c ---- */
far_status fari_lower_combine(void *ctx, int64_t left,
                              int64_t right); /* of a fari_tree_visitor; ctx: the fari_reduction */
far_status fari_lower_combine_rest(fari_reduction *red,
                                   int32_t height); /* those of one height; nothing: none is left above */

/* ---- lower_views.c: which part of a tensor a call sees; data holds the byte offset within the tensor ---- */
fari_view fari_lower_view_whole(const fari_plan *plan, far_value value);
/* Indices [lo, hi) of axis 0 and rows [row_lo, row_hi): contiguous, because rows are cut only with one sample at a time. */
fari_view fari_lower_view_piece(const fari_plan *plan, far_value value, int64_t lo, int64_t hi, int64_t row_lo,
                                int64_t row_hi);
/* Elements [lo, hi) of a tensor seen as flat. */
fari_view fari_lower_view_flat(const fari_plan *plan, far_value value, int64_t lo, int64_t hi);
int64_t fari_lower_view_bytes(const fari_view *view);
int64_t fari_lower_elems(const fari_plan *plan, far_value value);
int64_t fari_lower_rows(const fari_tensor *t);
/* The part of tensor `value` that belongs to samples [lo, hi) with the given rows. */
fari_view fari_lower_view_of_samples(const fari_plan *plan, far_value value, const fari_grain_range *range);
/* What a call on `range` of the domain reads of input `i`. */
fari_view fari_lower_window(const fari_lowering *low, int32_t i, const fari_tensor *domain,
                            const fari_grain_range *range);
fari_grain_range fari_lower_grain(const fari_plan *plan, far_value value, int64_t index_piece, int64_t row_piece);

/* ---- lower_walk.c: one rank of several; where a plan is for one rank, these find nothing to do ---- */
/* The rank that runs the calls of a node which has no grains of its own: every rank, or one where pieces have to be gathered for it. */
int32_t fari_walk_rank_of_whole(const fari_lowering *low);
/* Brings what instruction and rank read of a buffer; notes what they make of it. The place of the instruction lies between. */
far_status fari_walk_need(fari_lowering *low, int32_t buffer, const fari_view *view, int64_t bytes, int32_t rank);
void fari_walk_next(fari_lowering *low);
far_status fari_walk_made(fari_lowering *low, int32_t buffer, const fari_view *view, int64_t bytes, int32_t rank);
/* Who made what lies at byte `at` of the view, and up to where, at most `hi`. */
int32_t fari_walk_maker(const fari_lowering *low, int32_t buffer, const fari_view *view, int64_t at, int64_t hi,
                        int64_t *end_out);
bool fari_walk_is_own(const fari_lowering *low, int32_t rank);
/* All of that for a call. Gives true where this rank runs it. */
far_status fari_walk_call(fari_lowering *low, const fari_call *call, const int32_t *out_buffer, int32_t rank,
                          bool *is_own_out);
/* A sum begins, whose partials lie in `buffer` (-1: none). */
far_status fari_walk_reduction(fari_lowering *low, int32_t buffer, int64_t slot_bytes, int64_t packed_bytes);
/* Instructions made since the last note stand at the walk's present place. */
far_status fari_walk_note(fari_lowering *low);

/* ---- part.c ---- */
/* The walk is done: results that everybody wants are handed out, messages and feeds become instructions, buffers shrink to what this
   rank touches. */
far_status fari_part_lower(fari_lowering *low);
#endif
