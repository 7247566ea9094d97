/* The processes that train together: joining and parting. */
#include "run/ranks.h"
#include "base/mem.h"
#include "comm/mpi_load.h"
#include "run/ranks_board.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATIENCE_S 8.0 /* after a failure: who has said nothing by then is gone, or hangs */

struct far_ranks {
    fari_comm *comm;
    fari_board *board; /* of who watches this machine's ranks; NULL: nobody does */
    int32_t *statuses; /* [world_size] of far_ranks_part */
};

far_status far_ranks_launched(int32_t *count_out, int32_t *rank_out)
{
    return fari_mpi_launched(count_out, rank_out);
}

bool far_ranks_are_supported(void)
{
    char path[4096];
    return fari_mpi_module_path(path, sizeof path);
}

bool far_ranks_are_watched(void)
{
    return getenv(FARI_BOARD_VARIABLE) != NULL;
}

/* What ranks that nobody started for us tell each other of their boards. */
typedef struct board_place {
    char path[FARI_BOARD_PATH]; /* "": has none */
} board_place;

/* Some rank of each machine has a board: the others take that of the nearest before them. */
static far_status share_board(far_ranks *ranks, const far_ranks_watch *own)
{
    fari_comm *comm = ranks->comm;
    board_place here = { "" }, *all = fari_calloc((size_t)comm->world_size, sizeof *all);
    if (all == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory to hear from %d ranks", (int)comm->world_size);
    if (own != NULL) (void)snprintf(here.path, sizeof here.path, "%s", far_ranks_watch_path(own));
    far_status st = comm->ops->gather_begin(comm, &here, sizeof here, all);
    if (st == FAR_OK) st = comm->ops->gather_end(comm);
    if (st != FAR_OK) return st; /* not freed: it may still be written */
    const bool is_new = ranks->board == NULL;
    for (int32_t r = comm->rank; r >= 0 && ranks->board == NULL; r--)
        if (all[r].path[0] != '\0' && strcmp(comm->hosts[r], comm->hosts[comm->rank]) == 0)
            ranks->board = fari_board_attach(all[r].path, comm->world_size);
    if (ranks->board != NULL && is_new) fari_board_begin(ranks->board, comm->rank);
    fari_free(all);
    return FAR_OK;
}

/* Before MPI is there: joining may take long, or fail. */
static void board_begin(far_ranks *ranks, const far_ranks_watch *own, int32_t count, int32_t rank)
{
    const char *path = far_ranks_are_watched() ? getenv(FARI_BOARD_VARIABLE)
                       : own != NULL           ? far_ranks_watch_path(own)
                                               : NULL;
    if (path != NULL) ranks->board = fari_board_attach(path, count);
    if (ranks->board == NULL) return;
    fari_board_begin(ranks->board, rank);
    fari_doing(FARI_DOING_AWAIT_RANKS, 0, "to find each other", NULL);
}

far_status far_ranks_join(const far_ranks_watch *own, far_ranks **ranks_out)
{
    int32_t count = 1, rank = 0;
    far_status st = FAR_OK;
    FAR_TRY(fari_mpi_launched(&count, &rank));
    far_ranks *ranks = fari_calloc(1, sizeof *ranks);
    if (ranks == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory to join other ranks");
    ranks->statuses = fari_calloc((size_t)count, sizeof *ranks->statuses);
    if (ranks->statuses == NULL) {
        st = FAR_FAIL(FAR_E_NOMEM, "no memory to join %d ranks", (int)count);
        goto failed;
    }
    board_begin(ranks, own, count, rank);
    FAR_TRY_GOTO(fari_mpi_join(count, &ranks->comm), failed);
    if (!far_ranks_are_watched()) FAR_TRY_GOTO(share_board(ranks, own), failed);
    fari_doing(FARI_DOING_OTHER, 0, "opens the run", NULL);
    *ranks_out = ranks;
    return FAR_OK;
failed:
    if (ranks->board != NULL) fari_board_leave(ranks->board, rank);
    far_ranks_leave(ranks);
    return st;
}

int32_t far_ranks_count(const far_ranks *ranks)
{
    return ranks->comm->world_size;
}

int32_t far_ranks_rank(const far_ranks *ranks)
{
    return ranks->comm->rank;
}

fari_comm *fari_ranks_comm(const far_ranks *ranks)
{
    return ranks->comm;
}

far_status far_ranks_agree(far_ranks *ranks, int64_t *value_io)
{
    fari_comm *comm = ranks->comm;
    int64_t *all = fari_calloc((size_t)comm->world_size, sizeof *all);
    if (all == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory to hear from %d ranks", (int)comm->world_size);
    far_status st = comm->ops->gather_begin(comm, value_io, sizeof *value_io, all);
    if (st == FAR_OK) st = comm->ops->gather_end(comm);
    if (st != FAR_OK) return st; /* not freed: it may still be written */
    *value_io = all[0];
    fari_free(all);
    return FAR_OK;
}

far_status far_ranks_part(far_ranks *ranks, far_status status, far_status *worst_out)
{
    fari_error_copy error;
    const bool is_well = status == FAR_OK || status == FAR_E_STOPPED;
    far_status worst = FAR_OK;
    fari_error_save(&error);
    fari_doing(FARI_DOING_AWAIT_RANKS, 0, "the end", NULL);
    const far_status peers =
        ranks->comm->ops->part(ranks->comm, status, error.message, is_well ? -1.0 : PATIENCE_S, ranks->statuses);
    for (int32_t r = 0; r < ranks->comm->world_size; r++) {
        const far_status of = (far_status)ranks->statuses[r];
        if (ranks->statuses[r] != FARI_COMM_SILENT && of != FAR_OK && of != FAR_E_PEER && worst == FAR_OK) worst = of;
    }
    if (worst_out != NULL) *worst_out = worst;
    if (ranks->board != NULL) fari_board_leave(ranks->board, ranks->comm->rank);
    if (is_well && peers != FAR_OK) return peers;
    fari_error_restore(&error);
    return status;
}

void far_ranks_leave(far_ranks *ranks)
{
    if (ranks == NULL) return;
    if (ranks->comm != NULL) ranks->comm->ops->destroy(ranks->comm);
    if (ranks->board != NULL) fari_doing_tell_in(NULL);
    fari_board_detach(ranks->board);
    fari_free(ranks->statuses);
    fari_free(ranks);
}

void fari_ranks_tell_step(const far_ranks *ranks, int64_t step)
{
    if (ranks->board != NULL) fari_board_step(ranks->board, ranks->comm->rank, step);
}

void fari_ranks_tell_folder(const far_ranks *ranks, const char *folder)
{
    if (ranks->board != NULL) fari_board_folder(ranks->board, folder);
}

void fari_ranks_tell_patience(const far_ranks *ranks, int64_t ms)
{
    if (ranks->board != NULL) fari_board_patience(ranks->board, ms);
}
