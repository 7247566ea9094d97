/* The side of who watches ranks: what the board says, in words. */
#include "base/mem.h"
#include "run/ranks_board.h"
#include <farandole/ranks.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct far_ranks_watch {
    fari_board *board;
    int fd; /* -1: the board is somebody else's */
    char path[FARI_BOARD_PATH];
};

far_status far_ranks_watch_open(int32_t count, far_ranks_watch **watch_out)
{
    far_ranks_watch *watch = fari_calloc(1, sizeof *watch);
    if (watch == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory to watch %d ranks", (int)count);
    const far_status st = fari_board_create(count, &watch->board, &watch->fd);
    if (st != FAR_OK) {
        fari_free(watch);
        return st;
    }
    (void)snprintf(watch->path, sizeof watch->path, "/proc/%ld/fd/%d", (long)getpid(), watch->fd);
    *watch_out = watch;
    return FAR_OK;
}

far_status far_ranks_watch_attach(const char *path, far_ranks_watch **watch_out)
{
    far_ranks_watch *watch = fari_calloc(1, sizeof *watch);
    if (watch == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory to watch ranks");
    watch->fd = -1;
    watch->board = fari_board_attach(path, 0);
    if (watch->board == NULL) {
        fari_free(watch);
        return FAR_FAIL(FAR_E_NOTFOUND, "%.60s is no board of ranks", path);
    }
    (void)snprintf(watch->path, sizeof watch->path, "%s", path);
    *watch_out = watch;
    return FAR_OK;
}

void far_ranks_watch_close(far_ranks_watch *watch)
{
    if (watch == NULL) return;
    fari_board_detach(watch->board);
    if (watch->fd >= 0) (void)close(watch->fd);
    fari_free(watch);
}

const char *far_ranks_watch_path(const far_ranks_watch *watch)
{
    return watch->path;
}

int32_t far_ranks_watch_count(const far_ranks_watch *watch)
{
    return (int32_t)watch->board->count;
}

const char *far_ranks_watch_folder(const far_ranks_watch *watch)
{
    return atomic_load(&watch->board->has_folder) != 0 ? watch->board->folder : "";
}

int64_t far_ranks_watch_patience_ms(const far_ranks_watch *watch)
{
    return atomic_load(&watch->board->patience_ms);
}

far_rank_state far_ranks_watch_state(const far_ranks_watch *watch, int32_t rank)
{
    const fari_board_row *row = &watch->board->rows[rank];
    far_rank_state state = { .pid = atomic_load(&row->pid),
                             .step = atomic_load(&row->step),
                             .steps_seen = atomic_load(&row->steps_seen),
                             .has_left = atomic_load(&row->has_left) != 0 };
    const fari_doing_slot *slots = fari_board_slots(watch->board, rank);
    for (int32_t i = 0; state.pid != 0 && i < FARI_DOING_SLOTS; i++)
        state.words += (int64_t)atomic_load(&slots[i].count);
    return state;
}

/* ---- what a rank does ---- */

/* What a slot said, at one moment. */
typedef struct word {
    fari_doing_kind kind;
    int64_t number;
    char what[FARI_DOING_TEXT];
} word;

static word word_of(const fari_doing_slot *slot)
{
    word said = { .kind = (fari_doing_kind)atomic_load(&slot->kind), .number = atomic_load(&slot->number) };
    memcpy(said.what, slot->what, sizeof said.what);
    said.what[sizeof said.what - 1] = '\0';
    return said;
}

/* Another thread of the rank that is at such a thing. */
static bool find(const fari_doing_slot *slots, fari_doing_kind kind, word *word_out)
{
    for (int32_t i = 1; i < FARI_DOING_SLOTS; i++) {
        if (atomic_load(&slots[i].thread) == 0 || atomic_load(&slots[i].kind) != (int32_t)kind) continue;
        *word_out = word_of(&slots[i]);
        return word_out->kind == kind;
    }
    return false;
}

/* The first thread is the one that takes the steps; where it waits for others of its process, one of them holds it up. */
static word what_counts(const fari_doing_slot *slots)
{
    word said = word_of(&slots[0]), other;
    if (said.kind != FARI_DOING_AWAIT_OWN) return said;
    if (find(slots, (fari_doing_kind)said.number, &other)) return other;
    if (find(slots, FARI_DOING_SPILL, &other)) return other;
    if (find(slots, FARI_DOING_AWAIT_RANK, &other)) return other;
    return said;
}

far_rank_doing far_ranks_watch_doing(const far_ranks_watch *watch, int32_t rank)
{
    far_rank_doing doing = { .awaits = FAR_RANK_AWAITS_NONE };
    const word said = what_counts(fari_board_slots(watch->board, rank));
    char *text = doing.text;
    const size_t room = sizeof doing.text;
    switch (said.kind) {
    case FARI_DOING_NOTHING: (void)snprintf(text, room, "starts"); break;
    case FARI_DOING_COMPUTE: (void)snprintf(text, room, "computes %s", said.what); break;
    case FARI_DOING_READ: (void)snprintf(text, room, "reads sample %" PRId64, said.number); break;
    case FARI_DOING_WRITE: (void)snprintf(text, room, "writes %s", said.what); break;
    case FARI_DOING_SPILL:
    case FARI_DOING_OTHER: (void)snprintf(text, room, "%s", said.what); break;
    case FARI_DOING_AWAIT_OWN:
        (void)snprintf(text, room, "waits for %s", said.number == FARI_DOING_READ ? "samples" : "messages");
        break;
    case FARI_DOING_AWAIT_RANK:
        doing.awaits = (int32_t)said.number;
        (void)snprintf(text, room, "waits for rank %" PRId64 " (%s)", said.number, said.what);
        break;
    case FARI_DOING_AWAIT_RANKS:
        doing.awaits = FAR_RANK_AWAITS_ALL;
        (void)snprintf(text, room, "waits for all (%s)", said.what);
        break;
    }
    return doing;
}
