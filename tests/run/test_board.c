/* What the threads of a rank tell, as who watches them reads it. */
#include "run/ranks_board.h"
#include "test.h"
#include <farandole/ranks.h>
#include <pthread.h>

static pthread_barrier_t told, looked;

static void *compute(void *arg)
{
    (void)arg;
    fari_doing(FARI_DOING_COMPUTE, 0, "conv_dw", "stem");
    (void)pthread_barrier_wait(&told);
    (void)pthread_barrier_wait(&looked);
    return NULL;
}

static void begin(far_ranks_watch **watch, fari_board **board)
{
    FAR_CHECK_OK(far_ranks_watch_open(4, watch));
    *board = fari_board_attach(far_ranks_watch_path(*watch), 4);
    FAR_CHECK(*board != NULL);
}

static void end(far_ranks_watch *watch, fari_board *board)
{
    fari_doing_tell_in(NULL);
    fari_board_detach(board);
    far_ranks_watch_close(watch);
}

FAR_TEST(a_board_is_for_its_ranks)
{
    far_ranks_watch *watch = NULL, *other = NULL;
    fari_board *board = NULL;
    begin(&watch, &board);
    FAR_CHECK(fari_board_attach(far_ranks_watch_path(watch), 3) == NULL);
    FAR_CHECK(fari_board_attach("/dev/null", 4) == NULL);
    FAR_CHECK(fari_board_attach("/none", 4) == NULL);
    FAR_CHECK_STATUS(far_ranks_watch_attach("/dev/null", &other), FAR_E_NOTFOUND);
    FAR_CHECK_OK(far_ranks_watch_attach(far_ranks_watch_path(watch), &other));
    FAR_CHECK_EQ_I64(far_ranks_watch_count(other), 4);
    FAR_CHECK_EQ_I64(far_ranks_watch_state(other, 2).pid, 0);
    fari_board_begin(board, 2);
    fari_board_step(board, 2, 16);
    fari_board_folder(board, "runs/a");
    fari_board_patience(board, 1500);
    FAR_CHECK(far_ranks_watch_state(other, 2).pid > 0 && far_ranks_watch_state(other, 1).pid == 0);
    FAR_CHECK_EQ_I64(far_ranks_watch_state(other, 2).step, 16);
    FAR_CHECK_EQ_I64(far_ranks_watch_state(other, 2).steps_seen, 1);
    FAR_CHECK_STR(far_ranks_watch_folder(other), "runs/a");
    FAR_CHECK_EQ_I64(far_ranks_watch_patience_ms(other), 1500);
    fari_board_leave(board, 2);
    FAR_CHECK(far_ranks_watch_state(other, 2).has_left);
    far_ranks_watch_close(other);
    end(watch, board);
}

FAR_TEST(what_a_thread_does_in_words)
{
    far_ranks_watch *watch = NULL;
    fari_board *board = NULL;
    char name[300];
    begin(&watch, &board);
    fari_doing(FARI_DOING_READ, 1, NULL, NULL); /* nobody watches yet */
    fari_board_begin(board, 1);
    FAR_CHECK_STR(far_ranks_watch_doing(watch, 1).text, "starts");
    fari_doing(FARI_DOING_READ, 812, NULL, NULL);
    FAR_CHECK_STR(far_ranks_watch_doing(watch, 1).text, "reads sample 812");
    FAR_CHECK_EQ_I64(far_ranks_watch_doing(watch, 1).awaits, FAR_RANK_AWAITS_NONE);
    FAR_CHECK_EQ_I64(far_ranks_watch_state(watch, 1).words, 1);
    fari_doing(FARI_DOING_SPILL, 0, "reads from disk", "conv3");
    FAR_CHECK_STR(far_ranks_watch_doing(watch, 1).text, "reads from disk conv3");
    fari_doing(FARI_DOING_AWAIT_RANK, 3, "conv_dw", "stem");
    FAR_CHECK_STR(far_ranks_watch_doing(watch, 1).text, "waits for rank 3 (conv_dw stem)");
    FAR_CHECK_EQ_I64(far_ranks_watch_doing(watch, 1).awaits, 3);
    fari_doing(FARI_DOING_AWAIT_RANKS, 0, "the end of the step", NULL);
    FAR_CHECK_STR(far_ranks_watch_doing(watch, 1).text, "waits for all (the end of the step)");
    FAR_CHECK_EQ_I64(far_ranks_watch_doing(watch, 1).awaits, FAR_RANK_AWAITS_ALL);
    memset(name, 'x', sizeof name - 1); /* cut, not overrun */
    name[sizeof name - 1] = '\0';
    fari_doing(FARI_DOING_WRITE, 0, name, name);
    FAR_CHECK_EQ_I64((int64_t)strlen(far_ranks_watch_doing(watch, 1).text), FARI_DOING_TEXT - 1 + 7);
    end(watch, board);
}

FAR_TEST(the_thread_that_holds_up_the_step_is_named)
{
    far_ranks_watch *watch = NULL;
    fari_board *board = NULL;
    pthread_t thread;
    begin(&watch, &board);
    fari_board_begin(board, 0);
    fari_doing(FARI_DOING_AWAIT_OWN, FARI_DOING_COMPUTE, NULL, NULL);
    FAR_CHECK_STR(far_ranks_watch_doing(watch, 0).text, "waits for messages");
    FAR_CHECK(pthread_barrier_init(&told, NULL, 2) == 0 && pthread_barrier_init(&looked, NULL, 2) == 0);
    for (int32_t round = 0; round < 2 * FARI_DOING_SLOTS; round++) { /* slots come back */
        FAR_CHECK(pthread_create(&thread, NULL, compute, NULL) == 0);
        (void)pthread_barrier_wait(&told);
        FAR_CHECK_STR(far_ranks_watch_doing(watch, 0).text, "computes conv_dw stem");
        fari_doing(FARI_DOING_AWAIT_OWN, FARI_DOING_READ, NULL, NULL); /* it is not what is waited for */
        FAR_CHECK_STR(far_ranks_watch_doing(watch, 0).text, "waits for samples");
        fari_doing(FARI_DOING_AWAIT_OWN, FARI_DOING_COMPUTE, NULL, NULL);
        (void)pthread_barrier_wait(&looked);
        FAR_CHECK(pthread_join(thread, NULL) == 0);
        FAR_CHECK_STR(far_ranks_watch_doing(watch, 0).text, "waits for messages");
    }
    (void)pthread_barrier_destroy(&told);
    (void)pthread_barrier_destroy(&looked);
    end(watch, board);
}
