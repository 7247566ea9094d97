/* Which tensors have windows, how long these are, and what goes to disk and comes back between sweeps. */
#include "base/mem.h"
#include "plan/bands.h"
#include "plan/lower.h"
#include "plan/spill.h"
#include <string.h>

#define PIECE_MOST (INT64_C(4) << 20) /* what a disk likes */
#define PIECE_LEAST (INT64_C(16) << 10)
#define PIECES_WANTED 64 /* of a tensor, so that a ring is about as long as the rows that are in use */
#define NEVER INT64_MAX

/* A use of a buffer: who, and which bytes. */
typedef struct use {
    int64_t instr, lo, hi;
    bool is_write;
} use;

/* A windowed buffer in one sweep. */
typedef struct segment {
    int32_t buffer, made; /* as lowered; the one that stands for it in this sweep */
    int64_t use0, use1;   /* its uses: uses[use0 .. use1) */
    int64_t slots;        /* pieces that its ring holds; all of the buffer's: it is no ring */
} segment;

/* A WRITE (`from` in memory) or a READ (`to` in memory) of piece `piece` to come: behind instruction `at`, or before it. */
typedef struct move {
    int64_t at;
    bool is_after, is_write;
    int64_t wanted; /* the instruction that wants what is read: the most urgent first */
    int32_t from, to;
    int64_t piece;
} move;

typedef struct windowing {
    fari_plan *plan;
    fari_buffer *buffers; /* [buffer_count] as lowered */
    int64_t buffer_count;
    use *uses; /* by buffer, then in the order of instructions */
    int64_t *use0;
    segment *segments; /* by buffer, then by sweep */
    int64_t segment_count, segment_cap;
    int64_t *segment0; /* [buffer_count + 1] */
    int32_t *disk;     /* [buffer_count] in the file, -1: not there */
    int64_t *piece0;   /* [buffer_count] */
    /* of one segment, by piece: [pieces of the longest buffer] */
    int64_t *first, *last, *changed;
    bool *has_contents;
    move *moves;
    int64_t move_count, move_cap;
    fari_lists old;
} windowing;

static far_status no_memory(void)
{
    return FAR_FAIL(FAR_E_NOMEM, "no memory to plan windows of rows");
}

/* Bytes of a piece of a tensor. */
static int64_t piece_bytes(const windowing *w, int64_t buffer)
{
    const int64_t given = w->plan->opts.spill.piece_bytes,
                  pages = w->buffers[buffer].bytes / PIECES_WANTED / FARI_PAGE_BYTES;
    if (given > 0) return given;
    if (pages * FARI_PAGE_BYTES < PIECE_LEAST) return PIECE_LEAST;
    return pages * FARI_PAGE_BYTES < PIECE_MOST ? pages * FARI_PAGE_BYTES : PIECE_MOST;
}

static int64_t pieces_of(const windowing *w, int64_t buffer)
{
    return (w->buffers[buffer].bytes + piece_bytes(w, buffer) - 1) / piece_bytes(w, buffer);
}

static int32_t sweep_of(const fari_plan *plan, int32_t turn)
{
    int64_t lo = 0, hi = plan->sweep_count;
    while (hi - lo > 1) {
        const int64_t mid = lo + (hi - lo) / 2;
        if (plan->sweep0[mid] <= turn) lo = mid;
        else hi = mid;
    }
    return (int32_t)lo;
}

/* ---- uses ---- */

static far_status list_uses(windowing *w)
{
    const fari_plan *plan = w->plan;
    int64_t *fill = NULL;
    w->use0 = fari_calloc((size_t)w->buffer_count + 2, sizeof *w->use0);
    w->uses = fari_alloc((size_t)(plan->access_count + 1) * sizeof *w->uses);
    fill = fari_alloc((size_t)(w->buffer_count + 1) * sizeof *fill);
    if (w->use0 == NULL || w->uses == NULL || fill == NULL) {
        fari_free(fill);
        return no_memory();
    }
    for (int64_t a = 0; a < plan->access_count; a++)
        w->use0[plan->accesses[a].buffer + 1] += plan->accesses[a].hi > plan->accesses[a].lo;
    for (int64_t b = 0; b < w->buffer_count; b++) w->use0[b + 1] += w->use0[b];
    memcpy(fill, w->use0, (size_t)w->buffer_count * sizeof *fill);
    for (int64_t i = 0; i < plan->instr_count; i++)
        for (int64_t a = plan->access0[i]; a < plan->access0[i + 1]; a++) {
            const fari_access *access = &plan->accesses[a];
            if (access->hi > access->lo)
                w->uses[fill[access->buffer]++] = (use){ i, access->lo, access->hi, access->is_write };
        }
    fari_free(fill);
    return FAR_OK;
}

/* ---- one segment ---- */

/* A convolution with a stride leaves out rows. Pieces that nobody uses between such as are used come along with those before them: whoever has their
   slots next then waits for one who has waited himself. Those at the end do not come. */
static void fill_gaps(const windowing *w, int64_t pieces)
{
    int64_t next = NEVER;
    for (int64_t p = pieces; p-- > 0;) {
        if (w->first[p] != NEVER) next = w->first[p];
        else w->first[p] = next;
    }
    for (int64_t p = 0; p < pieces && w->first[p] != NEVER; p++)
        if (w->last[p] < 0) w->last[p] = p > 0 ? w->last[p - 1] : w->first[p];
}

/* First and last use and last change of each piece. */
static void segment_scan(const windowing *w, const segment *s)
{
    const int64_t pieces = pieces_of(w, s->buffer), bytes = piece_bytes(w, s->buffer);
    for (int64_t p = 0; p < pieces; p++) {
        w->first[p] = NEVER;
        w->last[p] = w->changed[p] = -1;
    }
    for (int64_t k = s->use0; k < s->use1; k++) {
        const use *u = &w->uses[k];
        const int64_t hi = (u->hi - 1) / bytes;
        for (int64_t p = u->lo / bytes; p <= hi; p++) {
            if (w->first[p] == NEVER) w->first[p] = u->instr;
            w->last[p] = u->instr;
            if (u->is_write) w->changed[p] = u->instr;
        }
    }
    fill_gaps(w, pieces);
}

/* Slots so that whoever takes one comes after all who used the piece that had it: piece p's goes to piece p + slots. Leaves in first[] the first
   use of a piece or a later one. */
static int64_t slots_wanted(const windowing *w, int64_t pieces)
{
    int64_t slots = 1;
    for (int64_t p = pieces - 1; p-- > 0;)
        if (w->first[p + 1] < w->first[p]) w->first[p] = w->first[p + 1];
    for (int64_t p = 0; p < pieces; p++) {
        int64_t lo = p, hi = pieces; /* the furthest piece that is begun before this one is done with */
        while (hi - lo > 1) {
            const int64_t mid = lo + (hi - lo) / 2;
            if (w->first[mid] <= w->last[p]) lo = mid;
            else hi = mid;
        }
        if (lo - p + 1 > slots) slots = lo - p + 1;
    }
    return slots;
}

/* ---- segments ---- */

static far_status segment_add(windowing *w, int64_t buffer, int64_t use0, int64_t use1)
{
    if (!fari_reserve((void **)&w->segments, &w->segment_cap, w->segment_count + 1, sizeof(segment)))
        return no_memory();
    w->segments[w->segment_count++] =
        (segment){ .buffer = (int32_t)buffer, .made = (int32_t)buffer, .use0 = use0, .use1 = use1 };
    return FAR_OK;
}

/* One a sweep. */
static far_status list_segments_of(windowing *w, int64_t buffer)
{
    const fari_plan *plan = w->plan;
    const int64_t end = w->use0[buffer + 1];
    for (int64_t lo = w->use0[buffer], hi; lo < end; lo = hi) {
        const int32_t sweep = sweep_of(plan, plan->instrs[w->uses[lo].instr].turn);
        for (hi = lo + 1; hi < end && plan->instrs[w->uses[hi].instr].turn < plan->sweep0[sweep + 1];) hi++;
        FAR_TRY(segment_add(w, buffer, lo, hi));
        segment *s = &w->segments[w->segment_count - 1];
        segment_scan(w, s);
        s->slots = slots_wanted(w, pieces_of(w, buffer));
    }
    return FAR_OK;
}

static far_status list_segments(windowing *w)
{
    for (int64_t b = 0; b < w->buffer_count; b++) {
        w->segment0[b] = w->segment_count;
        if (fari_spill_may_wait(w->plan, &w->buffers[b])) FAR_TRY(list_segments_of(w, b));
    }
    w->segment0[w->buffer_count] = w->segment_count;
    return FAR_OK;
}

/* ---- buffers ---- */

typedef struct choice {
    int64_t kept_bytes; /* tensors above have windows */
    int64_t room;       /* rings are so many quarters longer than they must be, so that the disk has time */
} choice;

static int64_t slots_of(const windowing *w, const segment *s, const choice *how)
{
    const int64_t pieces = pieces_of(w, s->buffer), quarter = s->slots / 4 > 2 ? s->slots / 4 : 2;
    const int64_t slots = s->slots + how->room * quarter;
    return slots < pieces ? slots : pieces;
}

static far_status segment_buffer(windowing *w, int64_t idx, const choice *how)
{
    fari_plan *plan = w->plan;
    segment *s = &w->segments[idx];
    const fari_buffer old = w->buffers[s->buffer];
    s->made = s->buffer;
    if (idx > w->segment0[s->buffer]) FAR_TRY(fari_lower_buffer(plan, old.kind, old.tensor, 0, &s->made));
    const int64_t slots = slots_of(w, s, how), pieces = pieces_of(w, s->buffer);
    fari_buffer *made = &plan->buffers[s->made];
    made->bytes = slots * piece_bytes(w, s->buffer);
    made->ring_of = slots < pieces ? pieces * piece_bytes(w, s->buffer) : 0;
    made->is_paged = true;
    made->first_turn = plan->instrs[w->uses[s->use0].instr].turn;
    made->last_turn = plan->instrs[w->uses[s->use1 - 1].instr].turn;
    return FAR_OK;
}

static far_status buffer_split(windowing *w, int64_t b, const choice *how)
{
    fari_plan *plan = w->plan;
    const int64_t first = w->segment0[b], end = w->segment0[b + 1];
    w->disk[b] = -1;
    if (first == end || w->buffers[b].bytes < how->kept_bytes) return FAR_OK;
    for (int64_t s = first; s < end; s++) FAR_TRY(segment_buffer(w, s, how));
    if (end - first < 2) return FAR_OK;
    FAR_TRY(fari_lower_buffer(plan, w->buffers[b].kind, w->buffers[b].tensor, pieces_of(w, b) * piece_bytes(w, b),
                              &w->disk[b]));
    fari_buffer *disk = &plan->buffers[w->disk[b]];
    disk->base = FARI_BASE_SPILL;
    disk->is_paged = true;
    disk->first_turn = w->buffers[b].first_turn;
    disk->last_turn = w->buffers[b].last_turn;
    return FAR_OK;
}

static far_status place(windowing *w, const choice *how)
{
    fari_plan *plan = w->plan;
    memcpy(plan->buffers, w->buffers, (size_t)w->buffer_count * sizeof *w->buffers);
    plan->buffer_count = w->buffer_count;
    for (int64_t s = 0; s < w->segment_count; s++) w->segments[s].made = -1;
    for (int64_t b = 0; b < w->buffer_count; b++) FAR_TRY(buffer_split(w, b, how));
    return fari_plan_place_buffers(plan);
}

#define KEPT_STEP 4 /* a trial keeps tensors so many times smaller than the one before */

/* What is left goes to longer rings. */
static far_status make_room(windowing *w, choice *how)
{
    static const int64_t rooms[] = { 64, 48, 32, 24, 16, 12, 8, 6, 5, 4, 3, 2, 1 };
    for (size_t i = 0; i < FAR_COUNT(rooms); i++) {
        how->room = rooms[i];
        FAR_TRY(place(w, how));
        if (w->plan->arena_bytes <= w->plan->opts.spill.arena_limit) break;
    }
    return FAR_OK;
}

/* As few windows as fit. */
static far_status choose(windowing *w)
{
    const fari_spill_config *spill = &w->plan->opts.spill;
    const int64_t least = fari_spill_least_bytes(w->plan);
    choice how = { .kept_bytes = least, .room = 1 };
    for (int64_t b = 0; b < w->buffer_count && spill->mode == FARI_SPILL_AUTO; b++)
        while (w->segment0[b + 1] > w->segment0[b] && w->buffers[b].bytes >= how.kept_bytes)
            how.kept_bytes *= KEPT_STEP;
    for (; how.kept_bytes >= least; how.kept_bytes /= KEPT_STEP) {
        FAR_TRY(place(w, &how));
        if (w->plan->arena_bytes <= spill->arena_limit) return make_room(w, &how);
    }
    if (spill->mode == FARI_SPILL_MOST) return FAR_OK;
    how = (choice){ .kept_bytes = 0 };
    return place(w, &how);
}

/* ---- moves ---- */

static far_status move_add(windowing *w, const move *what)
{
    if (!fari_reserve((void **)&w->moves, &w->move_cap, w->move_count + 1, sizeof(move))) return no_memory();
    w->moves[w->move_count++] = *what;
    return FAR_OK;
}

static far_status moves_of(windowing *w, const segment *s, bool is_last)
{
    const fari_plan *plan = w->plan;
    const fari_buffer *made = &plan->buffers[s->made];
    const int64_t pieces = pieces_of(w, s->buffer), slots = made->bytes / piece_bytes(w, s->buffer);
    const int64_t begin = fari_lower_first_of_turn(plan, made->first_turn);
    segment_scan(w, s);
    for (int64_t p = 0; p < pieces; p++) {
        const bool is_freed = p >= slots; /* its slot was another's */
        if (w->first[p] == NEVER) break;
        const move read = { .at = is_freed ? w->last[p - slots] : begin,
                            .is_after = is_freed,
                            .wanted = w->first[p],
                            .from = w->disk[s->buffer],
                            .to = s->made,
                            .piece = p };
        const move write = { .at = w->changed[p],
                             .is_after = true,
                             .is_write = true,
                             .from = s->made,
                             .to = w->disk[s->buffer],
                             .piece = p };
        if (w->has_contents[p]) FAR_TRY(move_add(w, &read));
        if (w->changed[p] >= 0 && !is_last) FAR_TRY(move_add(w, &write));
        w->has_contents[p] = w->has_contents[p] || w->changed[p] >= 0;
    }
    return FAR_OK;
}

static int by_place(const void *a, const void *b)
{
    const move *x = a, *y = b;
    if (x->at != y->at) return x->at < y->at ? -1 : 1;
    if (x->is_after != y->is_after) return x->is_after ? 1 : -1;
    if (x->is_write != y->is_write) return x->is_write ? -1 : 1;
    if (x->wanted != y->wanted) return x->wanted < y->wanted ? -1 : 1;
    if (x->from != y->from) return x->from < y->from ? -1 : 1;
    return (x->piece > y->piece) - (x->piece < y->piece);
}

static far_status list_moves(windowing *w)
{
    int64_t count = 0;
    for (int64_t b = 0; b < w->buffer_count; b++) {
        w->piece0[b] = count;
        if (w->disk[b] < 0) continue;
        count += pieces_of(w, b);
        memset(w->has_contents, 0, (size_t)pieces_of(w, b) * sizeof *w->has_contents);
        for (int64_t s = w->segment0[b]; s < w->segment0[b + 1]; s++)
            FAR_TRY(moves_of(w, &w->segments[s], s + 1 == w->segment0[b + 1]));
    }
    w->plan->spill_pieces = count;
    if (w->move_count > 0) qsort(w->moves, (size_t)w->move_count, sizeof *w->moves, by_place);
    return FAR_OK;
}

/* ---- the new list ---- */

/* Which buffer stands for `buffer` at an instruction. */
static int32_t buffer_at(const windowing *w, int32_t buffer, int64_t instr)
{
    if (w->segment0[buffer] == w->segment0[buffer + 1] || w->segments[w->segment0[buffer]].made < 0) return buffer;
    for (int64_t s = w->segment0[buffer]; s < w->segment0[buffer + 1]; s++)
        if (instr <= w->uses[w->segments[s].use1 - 1].instr) return w->segments[s].made;
    return w->segments[w->segment0[buffer + 1] - 1].made;
}

static far_status put_old(const windowing *w, int64_t idx)
{
    int32_t buffers[FARI_ACCESS_MAX];
    const int64_t first = w->old.access0[idx], count = w->old.access0[idx + 1] - first;
    FAR_ASSERT(count <= FARI_ACCESS_MAX);
    for (int64_t k = 0; k < count; k++) buffers[k] = buffer_at(w, w->old.accesses[first + k].buffer, idx);
    return fari_lower_put(w->plan, &w->old, idx, buffers);
}

static far_status put_move(const windowing *w, const move *what)
{
    fari_plan *plan = w->plan;
    const int64_t of = plan->tensor_buffer[plan->buffers[what->from].tensor], bytes = piece_bytes(w, of);
    return fari_lower_put_move(plan, what->is_write ? FARI_INSTR_WRITE : FARI_INSTR_READ, w->old.instrs[what->at].turn,
                               what->from, what->to, w->piece0[of] + what->piece,
                               &(fari_piece){ what->piece * bytes, (what->piece + 1) * bytes });
}

static far_status put_all(windowing *w)
{
    int64_t k = 0;
    for (int64_t i = 0; i < w->old.instr_count; i++) {
        for (; k < w->move_count && w->moves[k].at == i && !w->moves[k].is_after; k++)
            FAR_TRY(put_move(w, &w->moves[k]));
        FAR_TRY(put_old(w, i));
        for (; k < w->move_count && w->moves[k].at == i; k++) FAR_TRY(put_move(w, &w->moves[k]));
    }
    FAR_ASSERT(k == w->move_count);
    return FAR_OK;
}

/* ---- all of it ---- */

static far_status windowing_open(windowing *w)
{
    const fari_plan *plan = w->plan;
    const size_t buffers = (size_t)plan->buffer_count + 1;
    size_t pieces = 1;
    w->buffer_count = plan->buffer_count;
    w->buffers = fari_alloc(buffers * sizeof *w->buffers);
    w->segment0 = fari_calloc(buffers, sizeof *w->segment0);
    w->piece0 = fari_calloc(buffers, sizeof *w->piece0);
    w->disk = fari_calloc(buffers, sizeof *w->disk);
    if (w->buffers == NULL || w->segment0 == NULL || w->piece0 == NULL || w->disk == NULL) return no_memory();
    memcpy(w->buffers, plan->buffers, (size_t)plan->buffer_count * sizeof *w->buffers);
    for (int64_t b = 0; b < w->buffer_count; b++)
        if ((size_t)pieces_of(w, b) > pieces) pieces = (size_t)pieces_of(w, b);
    w->first = fari_alloc(pieces * sizeof *w->first);
    w->last = fari_alloc(pieces * sizeof *w->last);
    w->changed = fari_alloc(pieces * sizeof *w->changed);
    w->has_contents = fari_alloc(pieces * sizeof *w->has_contents);
    return w->first == NULL || w->last == NULL || w->changed == NULL || w->has_contents == NULL ? no_memory() : FAR_OK;
}

static void windowing_close(windowing *w)
{
    fari_free(w->buffers);
    fari_free(w->uses);
    fari_free(w->use0);
    fari_free(w->segments);
    fari_free(w->segment0);
    fari_free(w->disk);
    fari_free(w->piece0);
    fari_free(w->first);
    fari_free(w->last);
    fari_free(w->changed);
    fari_free(w->has_contents);
    fari_free(w->moves);
}

static far_status window_all(windowing *w)
{
    FAR_TRY(windowing_open(w));
    FAR_TRY(list_uses(w));
    FAR_TRY(list_segments(w));
    FAR_TRY(choose(w));
    FAR_TRY(list_moves(w));
    fari_lower_take_lists(w->plan, &w->old);
    const far_status st = put_all(w);
    fari_lower_free_lists(&w->old);
    return st;
}

far_status fari_plan_window(fari_plan *plan)
{
    windowing w = { .plan = plan };
    const far_status st = window_all(&w);
    windowing_close(&w);
    return st;
}
