/* Checkpoints on their way to disk: what is written is what was when it began, whatever training does meanwhile; a name comes last. */
#include "base/file.h"
#include "base/mem.h"
#include "run/checkpoint_parts.h"
#include "run/run_saver.h"
#include "support/temp_folder.h"
#include "test.h"
#include <sys/stat.h>
#include <unistd.h>

#define ELEMS (1 << 21) /* 8 MiB: writing takes longer than the training step of these tests */
#define RANKS 3

typedef struct rig {
    char folder[TEMP_FOLDER_BYTES];
    far_graph *graph;
    fari_store *store;
    run_saver *savers[RANKS];
    int32_t ranks;
} rig;

static float *weight(const rig *r)
{
    return fari_store_data(r->store, &r->store->kept[0]);
}

static void train(const rig *r, float value)
{
    float *elems = weight(r);
    for (int64_t i = 0; i < ELEMS; i++) elems[i] = value + (float)(i % 1000);
}

static void rig_open(rig *r, int32_t ranks, bool is_background)
{
    const far_shape large = { 1, { ELEMS } }, small = { 2, { 3, 5 } };
    const far_init init = { FAR_INIT_UNIFORM, 1.0, 0 };
    temp_folder_in_memory(r->folder);
    FAR_CHECK_OK(fari_ckpt_prepare(r->folder));
    FAR_CHECK_OK(far_graph_create(true, &r->graph));
    (void)far_graph_param(r->graph, "large", &large, init);
    (void)fari_graph_opt_state(r->graph, "large.momentum", FAR_F32, &large, 0.0);
    (void)far_graph_param(r->graph, "small", &small, init);
    FAR_CHECK_OK(far_graph_status(r->graph));
    FAR_CHECK_OK(fari_store_create(r->graph, false, 7, &r->store));
    r->ranks = ranks;
    for (int32_t i = 0; i < ranks; i++) {
        FAR_CHECK_OK(run_saver_create(r->graph, i, ranks, &r->savers[i]));
        run_saver_set_background(r->savers[i], is_background);
        FAR_CHECK_OK(run_saver_allocate(r->savers[i], r->store));
    }
}

static void rig_close(rig *r)
{
    for (int32_t i = 0; i < r->ranks; i++) run_saver_destroy(r->savers[i]);
    fari_store_destroy(r->store);
    far_graph_destroy(r->graph);
    FAR_CHECK_EQ_I64(fari_alloc_live(), 0);
}

static far_status begin(const rig *r, int32_t rank, int64_t step)
{
    const fari_ckpt_state state = { .step = step, .best_metric = 0.5, .patience_metric = 0.5 };
    return run_saver_begin(r->savers[rank], r->folder, &state, false, 0);
}

/* What the ranks would tell each other. */
static void *gather(const rig *r)
{
    size_t bytes = 0;
    (void)run_saver_own_hashes(r->savers[0], &bytes);
    char *all = fari_alloc(bytes * (size_t)r->ranks);
    for (int32_t i = 0; i < r->ranks; i++)
        memcpy(all + (size_t)i * bytes, run_saver_own_hashes(r->savers[i], &bytes), bytes);
    return all;
}

static void check_holds(const rig *r, int64_t step, float value)
{
    char path[TEMP_FOLDER_BYTES + 32];
    fari_ckpt *ckpt = NULL;
    float *got = fari_alloc(ELEMS * sizeof *got);
    const fari_ckpt_tensor tensor = { "large", FAR_F32, { 1, { ELEMS } }, got };
    (void)snprintf(path, sizeof path, "%" PRId64, step);
    FAR_CHECK_OK(fari_ckpt_open(r->folder, path, &ckpt)); /* checks all checksums */
    FAR_CHECK_OK(fari_ckpt_read_model(ckpt, &tensor, 1, false));
    int64_t wrong = 0;
    for (int64_t i = 0; i < ELEMS; i++) wrong += got[i] != value + (float)(i % 1000);
    FAR_CHECK_EQ_I64(wrong, 0);
    fari_ckpt_close(ckpt);
    fari_free(got);
}

static bool exists(const rig *r, const char *name)
{
    char path[TEMP_FOLDER_BYTES + 32];
    (void)snprintf(path, sizeof path, "%s/%s", r->folder, name);
    return fari_path_exists(path);
}

FAR_TEST(what_is_written_is_what_was)
{
    for (int32_t ranks = 1; ranks <= RANKS; ranks += 2) {
        rig r = { .ranks = 0 };
        rig_open(&r, ranks, true);
        train(&r, 10.0f);
        for (int32_t i = 0; i < ranks; i++) FAR_CHECK_OK(begin(&r, i, 10));
        fari_alloc_forbid(true); /* a step goes on */
        train(&r, 20.0f);
        for (int32_t i = 0; i < ranks; i++) FAR_CHECK_OK(run_saver_wait(r.savers[i]));
        fari_alloc_forbid(false);
        FAR_CHECK_EQ_I64(fari_alloc_forbidden_count(), 0);
        if (ranks > 1) {
            void *all = gather(&r);
            FAR_CHECK(!exists(&r, "10") && exists(&r, ".tmp-10"));
            for (int32_t i = ranks - 1; i >= 0; i--) FAR_CHECK_OK(run_saver_publish(r.savers[i], all, i == 0));
            fari_free(all);
            FAR_CHECK_OK(run_saver_wait(r.savers[0]));
        }
        check_holds(&r, 10, 10.0f);
        rig_close(&r);
    }
}

FAR_TEST(in_the_foreground_nothing_is_copied)
{
    rig r = { .ranks = 0 };
    rig_open(&r, 1, false);
    FAR_CHECK(run_saver_bytes(r.savers[0]) < 1 << 20);
    train(&r, 3.0f);
    FAR_CHECK_OK(begin(&r, 0, 5));
    check_holds(&r, 5, 3.0f); /* there at once */
    FAR_CHECK_OK(run_saver_wait(r.savers[0]));
    rig_close(&r);
}

FAR_TEST(a_share_that_cannot_be_written_is_told_and_cleared)
{
    char path[TEMP_FOLDER_BYTES + 64];
    bool is_written = true;
    rig r = { .ranks = 0 };
    rig_open(&r, RANKS, true);
    train(&r, 1.0f);
    (void)snprintf(path, sizeof path, "%s/.tmp-9/optimizer.safetensors", r.folder);
    FAR_CHECK_OK(fari_folder_make(path)); /* where the file should be */
    for (int32_t i = 0; i < RANKS; i++) FAR_CHECK_OK(begin(&r, i, 9));
    far_status st = FAR_OK;
    while (st == FAR_OK) st = run_saver_poll(r.savers[RANKS - 1], &is_written);
    FAR_CHECK_STATUS(st, FAR_E_IO);
    FAR_CHECK(!is_written);
    FAR_CHECK_HAS(far_error_message(), "checkpoint 9 was not written");
    FAR_CHECK_HAS(far_error_message(), "optimizer.safetensors");
    for (int32_t i = RANKS - 1; i >= 0; i--) run_saver_give_up(r.savers[i]);
    FAR_CHECK(!exists(&r, ".tmp-9") && !exists(&r, "9"));
    rig_close(&r);
}

FAR_TEST(shares_are_copied_once)
{
    rig r = { .ranks = 0 };
    int64_t copies = 0;
    rig_open(&r, RANKS, true);
    for (int32_t i = 0; i < RANKS; i++) {
        copies += run_saver_share_bytes(r.savers[0], i);
        FAR_CHECK(run_saver_bytes(r.savers[i]) >= run_saver_share_bytes(r.savers[0], i));
    }
    FAR_CHECK_EQ_I64(copies, 2 * ELEMS * (int64_t)sizeof(float) + 15 * (int64_t)sizeof(float));
    FAR_CHECK(run_saver_most_bytes(r.savers[0]) < copies / RANKS + 2 * FARI_CKPT_PIECE);
    rig_close(&r);
}
