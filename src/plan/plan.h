/* The plan: everything a step will do, decided before the first byte is allocated. Instructions on ranges of buffers, their order of
   dependence, the offsets of every buffer and the exact peak. Pure: no files, no clock, no MPI.
   A plan is of one rank. Plans of several ranks are made one by one, on any machine, from the same graph and options: each walks
   through the whole step and keeps its own share (part.h). */
#ifndef FARI_PLAN_PLAN_H
#define FARI_PLAN_PLAN_H
#include "graph/graph.h"
#include "plan/backend.h"

/* How tensors are cut into grains, the unit of arithmetic. Results depend on this and never on threads, ranks or memory. */
typedef struct fari_grain_config {
    int64_t samples; /* samples a grain; 0: so that the batch makes about 8 grains */
    int64_t
        rows; /* rows a grain of the tallest input; 0: whole images for batches of 8 or more, else about 8 grains in all; of images above 4 Mi pixels, grains of half a Mi */
    int64_t min_rows; /* grains of a level that would have fewer rows are taken together; 0: 4 */
    int64_t dense;    /* samples a grain of tensors without rows; 0: 64 */
    int64_t leaves;   /* at most so many leaves in a tree of partial sums; 0: 64 */
} fari_grain_config;

/* How the pieces of tensors are dealt out over ranks: samples over `data` columns, rows over `spatial` rows of a mesh of
   data x spatial ranks. Rank d * spatial + s stands at (d, s). Results never depend on it. */
typedef struct fari_mesh {
    int32_t data, spatial; /* 0: 1 */
} fari_mesh;

#define FARI_RANKS_MAX 65536

/* Whether tensors wait on disk between two uses that lie far apart. Results never depend on it. */
typedef enum fari_spill_mode {
    FARI_SPILL_NONE = 0,
    FARI_SPILL_AUTO, /* as much as it takes for the arena to be no larger than the limit; all where even that does not do */
    FARI_SPILL_MOST /* all that can: the smallest arena */
} fari_spill_mode;

typedef struct fari_spill_config {
    fari_spill_mode mode;
    int64_t arena_limit; /* AUTO: bytes that the arena may have */
    int64_t min_bytes;   /* of a tensor that is worth it; 0: 64 KiB */
    int64_t
        piece_bytes; /* written and read at once, a multiple of FARI_PAGE_BYTES; 0: 4 MiB; of windows at most 1 MiB */
    bool is_packed;  /* pieces are packed, losslessly, as they go to disk; the plan counts them as they are */
    bool is_banded;  /* in bands of rows: bands.h. One rank */
} fari_spill_config;

#define FARI_PAGE_BYTES 4096 /* of disk and memory: what is written past the page cache begins and ends at such */

typedef struct fari_plan_opts {
    fari_grain_config grain;
    fari_mesh mesh;
    fari_spill_config spill;
    int32_t rank;              /* whose plan: 0 .. data * spatial - 1 */
    int32_t threads;           /* scratch is planned for so many; 0: 1 */
    bool is_keeping_gradients; /* gradients of parameters and inputs can be read after a step */
    bool is_reference_f64;     /* every f32 tensor is held in double: the oracle */
    fari_backend *backend;     /* borrowed, must outlive the plan */
} fari_plan_opts;

/* The grain table of one tensor: pieces of axis 0 times pieces of the rows. */
typedef struct fari_grains {
    int64_t index_total, index_step; /* axis 0 of the tensor: pieces [i step, min((i+1) step, total)) */
    int64_t index_count;
    int64_t row_count;
    const int64_t *row_start; /* [row_count + 1] */
} fari_grains;

typedef enum fari_base {
    FARI_BASE_ARENA = 0,
    FARI_BASE_STORE,
    FARI_BASE_SPILL /* the file of what waits on disk: known to READ and WRITE alone */
} fari_base;

typedef enum fari_buffer_kind {
    FARI_BUFFER_PARAM,
    FARI_BUFFER_STATE,
    FARI_BUFFER_OPT_STATE,
    FARI_BUFFER_INPUT,
    FARI_BUFFER_ACTIVATION, /* made in the forward phase, or again for the backward phase */
    FARI_BUFFER_GRADIENT,   /* made in the backward phase */
    FARI_BUFFER_PARTIAL,    /* partial sums of a tree */
    FARI_BUFFER_PACKED,     /* weights in a kernel's own form */
    FARI_BUFFER_KIND_COUNT
} fari_buffer_kind;

/* One block of memory: a tensor, the partials of one reduction, a packed weight. */
typedef struct fari_buffer {
    fari_buffer_kind kind;
    fari_base base;
    far_value tensor;
    int64_t bytes, offset;
    int32_t first_turn, last_turn; /* turns (positions in the node order; bands) between which its contents count */
    bool is_kept;                  /* must outlive the step: outputs */
    bool is_paged; /* comes from disk, or goes there: offset and bytes are multiples of FARI_PAGE_BYTES */
    int64_t
        ring_of; /* > 0: a ring through which so many bytes pass, byte i at i modulo `bytes` (bands.h); accesses count in these */
} fari_buffer;

typedef enum fari_instr_kind {
    FARI_INSTR_CALL,
    FARI_INSTR_COMBINE,
    FARI_INSTR_PACK,
    FARI_INSTR_UNPACK,
    FARI_INSTR_FEED,
    FARI_INSTR_SEND, /* parts of buffers to another rank: one message */
    FARI_INSTR_RECV,
    FARI_INSTR_WRITE, /* a piece of a buffer to disk, or back: spill.h */
    FARI_INSTR_READ
} fari_instr_kind;

typedef struct fari_instr {
    uint8_t kind; /* fari_instr_kind */
    bool accumulate;
    uint8_t in_count, out_count;
    int32_t node; /* -1 for FEED, SEND, RECV, WRITE, READ */
    int32_t
        aux; /* PACK: which input; FEED: which graph input; COMBINE: 1 when the plain sum serves; SEND, RECV: which message;
                WRITE, READ: which of plan->spill_pieces */
    int32_t prepared; /* index in plan->prepared, -1: none */
    int32_t turn;     /* in which it uses its buffers; never less than that of the instruction before it */
    int64_t view0;    /* first of in_count + out_count views */
    fari_kernel_fn run;
    void *state;
} fari_instr;

static inline bool fari_instr_is_move(const fari_instr *instr)
{
    return instr->kind == FARI_INSTR_WRITE || instr->kind == FARI_INSTR_READ;
}

/* A byte range that an instruction touches. */
typedef struct fari_access {
    int32_t buffer;
    bool is_write;
    int64_t lo, hi; /* bytes within the buffer */
} fari_access;

typedef struct fari_plan {
    const far_graph *graph; /* borrowed */
    fari_plan_opts opts;
    int64_t batch; /* samples a step */

    int32_t *order;         /* [node_count] nodes in the canonical order: a node's position is its turn */
    int32_t *turn;          /* [node_count] inverse of order */
    fari_grains *grains;    /* [tensor_count] */
    int32_t *tensor_buffer; /* [tensor_count], -1: never used */
    int64_t **row_tables;   /* owned cut tables */
    int64_t row_table_count, row_table_cap;
    int64_t grain_samples, grain_rows, rows_at_input; /* what the automatic choice came to */

    fari_buffer *buffers;
    int64_t buffer_count, buffer_cap;
    int32_t turn_count; /* nodes, or bands */
    int32_t *sweep0;    /* plans in bands: sweep s has the turns from sweep0[s] to sweep0[s + 1] */
    int64_t sweep_count, sweep_cap;
    fari_instr *instrs; /* in canonical order: every dependence points backwards */
    int64_t instr_count, instr_cap;
    fari_view *views; /* data holds the byte offset within the view's buffer */
    int32_t *view_buffer;
    int64_t view_count, view_cap, view_buffer_cap;
    fari_prepared *prepared;
    int64_t prepared_count, prepared_cap;
    fari_access *accesses;
    int64_t access_count, access_cap;
    int64_t *access0; /* [instr_count + 1] */
    int64_t access0_cap;

    int32_t *succ; /* successors of instruction i: succ[succ0[i] .. succ0[i+1]) */
    int64_t *succ0;
    int32_t *indegree;
    int32_t
        guard; /* the instruction that completes the loss, for which every update waits: a step whose loss is not finite changes no
                      parameter; -1: none */

    int64_t arena_bytes;               /* exact: the one allocation for everything but the store */
    int64_t store_bytes;               /* parameters, state, optimizer state */
    int64_t spill_bytes;               /* exact: the file of what waits on disk; 0: nothing does */
    int64_t spill_pieces;              /* in which it goes there */
    int64_t written_bytes, read_bytes; /* to and from that file, in a step */
    int64_t scratch_bytes;             /* a thread's */
    int64_t reference_calls;           /* calls that no kernel but the reference serves */
    double flops, bytes_moved;

    struct fari_part *part; /* part.h: what a plan for one of several ranks says beyond; NULL for a plan of one rank */
} fari_plan;

/* Makes the plan of a finished graph. The graph and the backend must outlive it. */
far_status fari_plan_create(const far_graph *graph, const fari_plan_opts *opts, fari_plan **plan_out);
void fari_plan_destroy(fari_plan *plan);
/* Bytes that running the plan takes: arena and every thread's scratch; without the store. */
int64_t fari_plan_run_bytes(const fari_plan *plan);
int64_t fari_plan_bytes_of_kind(const fari_plan *plan, fari_buffer_kind kind);
/* Bytes the plan object itself holds. */
int64_t fari_plan_own_bytes(const fari_plan *plan);
/* One instruction's arithmetic (by its op's rule; 0 without one) and the bytes it touches. */
fari_cost fari_plan_cost(const fari_plan *plan, int64_t instr_idx); /* cost.c */
const char *fari_buffer_kind_name(fari_buffer_kind kind);
int64_t fari_grain_count(const fari_grains *grains);
bool fari_tensor_has_row_windows(const fari_tensor *tensor);
far_dtype fari_plan_dtype(const fari_plan *plan, far_value tensor);

/* Where a view lies in its buffer. */
static inline int64_t fari_plan_place_in(const fari_buffer *buffer, const fari_view *view)
{
    const int64_t at = (int64_t)(uintptr_t)view->data;
    return buffer->ring_of > 0 ? at % buffer->bytes : at;
}

/* It overwrites parameters or optimizer state, and so waits for plan->guard. */
bool fari_node_is_guarded(const fari_node *node);

/* ranks.c: who computes what. */
int32_t fari_mesh_ranks(const fari_mesh *mesh);
/* "data=2,spatial=4" for so many ranks; NULL: all of them over data. ranks 0: as many as the layout says. Fails with FAR_E_CONFIG. */
far_status fari_mesh_parse(const char *layout, int32_t ranks, fari_mesh *mesh_out);
far_status fari_mesh_check(const fari_mesh *mesh, int32_t rank);
/* The rank that computes a piece of a tensor that has a batch axis. */
int32_t fari_rank_of_grain(const fari_plan *plan, far_value tensor, int64_t index_piece, int64_t row_piece);

/* ---- steps of fari_plan_create, each in its own file ---- */
far_status fari_plan_order_nodes(fari_plan *plan);   /* order.c: updates as early as they may run */
far_status fari_plan_cut_grains(fari_plan *plan);    /* grains.c */
far_status fari_plan_lower(fari_plan *plan);         /* lower.c: instructions, views, accesses */
far_status fari_plan_spill(fari_plan *plan);         /* spill.c: what waits on disk; then places the buffers */
far_status fari_plan_place_buffers(fari_plan *plan); /* place.c: lifetimes and offsets; may be repeated */
far_status fari_plan_find_hazards(fari_plan *plan);  /* hazards.c: who must wait for whom */

/* tree.c: the fixed order of every sum. Calls leaf(ctx, i, slot) and combine(ctx, left slot, right slot) in the order in which one
   thread would work: a left-complete binary tree over `leaf_count` leaves. Slot numbers stay below the slot count given back by
   fari_tree_slots; the root ends in slot 0. */
typedef struct fari_tree_visitor {
    far_status (*leaf)(void *ctx, int64_t leaf_idx, int64_t slot);
    far_status (*combine)(void *ctx, int64_t left_slot, int64_t right_slot);
    void *ctx;
} fari_tree_visitor;
int64_t fari_tree_slots(int64_t leaf_count, bool is_frugal);
far_status fari_tree_visit(int64_t leaf_count, bool is_frugal, const fari_tree_visitor *visitor);
#endif
