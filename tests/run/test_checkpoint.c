/* Checkpoints: what is saved comes back, kills leave the one before whole, damage is named and got around. */
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "run/checkpoint.h"
#include "support/temp_folder.h"
#include "test.h"
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[TEMP_FOLDER_BYTES];
static char warning[2048];

static void keep_warning(far_log_level level, const char *line, void *arg)
{
    (void)level;
    (void)arg;
    (void)snprintf(warning, sizeof warning, "%s", line);
}

static void new_folder(void)
{
    temp_folder_in_memory(folder);
    (void)strncat(folder, "/checkpoints", sizeof folder - strlen(folder) - 1);
    FAR_CHECK_OK(fari_ckpt_prepare(folder));
    far_log_set_sink(keep_warning, NULL);
}

static const char *at(const char *name)
{
    static char paths[2][1024]; /* two at a time */
    static int turn;
    char *path = paths[turn++ % 2];
    (void)snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static float weight[12];
static double mean[3];
static float momentum[12];

static const fari_ckpt_tensor model[] = {
    { "conv.weight", FAR_F32, { 4, { 3, 1, 2, 2 } }, weight },
    { "norm.running_mean", FAR_F64, { 1, { 3 } }, mean },
};
static const fari_ckpt_tensor optimizer[] = { { "conv.weight.momentum", FAR_F32, { 4, { 3, 1, 2, 2 } }, momentum } };

static void fill(int64_t step)
{
    for (int i = 0; i < 12; i++) weight[i] = (float)step + (float)i / 7.0f;
    for (int i = 0; i < 12; i++) momentum[i] = (float)step * 1e-3f - (float)i;
    for (int i = 0; i < 3; i++) mean[i] = (double)step / 3.0 + i;
}

static fari_ckpt_state state_at(int64_t step)
{
    return (fari_ckpt_state){ .step = step,
                              .epoch = step / 10,
                              .position = step % 10 * 64,
                              .seed = UINT64_C(0xFEDCBA9876543210),
                              .best_metric = step == 7 ? (double)NAN : 0.1 * (double)step,
                              .patience_metric = step == 7 ? (double)NAN : 0.2 * (double)step,
                              .patience_used = step % 3,
                              .config_hash = "c0ffee",
                              .grains = "8x4",
                              .isa = "avx512",
                              .libraries = { { "dnnl", "2.6.3" }, { "farandole", "0.1.0" } },
                              .library_count = 2 };
}

static far_status save(int64_t step, bool is_best, int64_t keep)
{
    const fari_ckpt_state state = state_at(step);
    fill(step);
    return fari_ckpt_save(folder, &state, model, FAR_COUNT(model), optimizer, FAR_COUNT(optimizer), is_best, keep);
}

static void check_is(fari_ckpt *ckpt, int64_t step)
{
    float want[12], want_momentum[12];
    const fari_ckpt_state *state = fari_ckpt_state_of(ckpt);
    const fari_ckpt_state expected = state_at(step);
    FAR_CHECK_EQ_I64(state->step, step);
    FAR_CHECK_EQ_I64(state->epoch, expected.epoch);
    FAR_CHECK_EQ_I64(state->position, expected.position);
    FAR_CHECK_EQ_U64(state->seed, expected.seed);
    FAR_CHECK(state->best_metric == expected.best_metric || (isnan(state->best_metric) && isnan(expected.best_metric)));
    FAR_CHECK(state->patience_metric == expected.patience_metric ||
              (isnan(state->patience_metric) && isnan(expected.patience_metric)));
    FAR_CHECK_EQ_I64(state->patience_used, expected.patience_used);
    FAR_CHECK_STR(state->config_hash, "c0ffee");
    FAR_CHECK_STR(state->grains, "8x4");
    FAR_CHECK_STR(state->isa, "avx512");
    FAR_CHECK_EQ_I64(state->library_count, 2);
    FAR_CHECK_STR(state->libraries[1].version, "0.1.0");
    fill(step);
    memcpy(want, weight, sizeof want);
    memcpy(want_momentum, momentum, sizeof want);
    fill(999);
    FAR_CHECK_OK(fari_ckpt_read_model(ckpt, model, FAR_COUNT(model), true));
    FAR_CHECK_OK(fari_ckpt_read_optimizer(ckpt, optimizer, FAR_COUNT(optimizer), true));
    FAR_CHECK_BITS("weight", weight, want, 12);
    FAR_CHECK_BITS("momentum", momentum, want_momentum, 12);
    FAR_CHECK(mean[1] == (double)step / 3.0 + 1.0);
}

static void open_is(const char *which, int64_t step)
{
    fari_ckpt *ckpt = NULL;
    FAR_CHECK_OK(fari_ckpt_open(folder, which, &ckpt));
    check_is(ckpt, step);
    fari_ckpt_close(ckpt);
}

static void check_steps(int64_t count, const int64_t *want)
{
    int64_t *steps = NULL, got = 0;
    FAR_CHECK_OK(fari_ckpt_list(folder, &steps, &got));
    FAR_CHECK_EQ_I64(got, count);
    for (int64_t i = 0; i < count; i++) FAR_CHECK_EQ_I64(steps[i], want[i]);
    fari_free(steps);
}

FAR_TEST(saved_comes_back)
{
    new_folder();
    FAR_CHECK_OK(save(7, true, 0));
    FAR_CHECK_OK(save(20, false, 0));
    open_is("last", 20);
    open_is("best", 7);
    open_is("7", 7);
    FAR_CHECK_OK(save(20, true, 0)); /* a second time, after going back */
    open_is("best", 20);
    check_steps(2, (const int64_t[]){ 7, 20 });
    FAR_CHECK(!fari_path_exists(at(".tmp-20")) && !fari_path_exists(at(".old-20")));
    FAR_CHECK_EQ_I64(fari_alloc_live(), 0);
}

FAR_TEST(keeps_so_many_and_best_and_last)
{
    new_folder();
    for (int64_t step = 1; step <= 8; step++) FAR_CHECK_OK(save(step, step == 2, 3));
    check_steps(4, (const int64_t[]){ 2, 6, 7, 8 });
    open_is("best", 2);
    open_is("last", 8);
    for (int64_t step = 9; step <= 10; step++) FAR_CHECK_OK(save(step, false, 1));
    check_steps(2, (const int64_t[]){ 2, 10 });
    FAR_CHECK_OK(save(11, true, 1));
    check_steps(1, (const int64_t[]){ 11 });
}

/* A run that went back to step 10 and comes by step 20 again, on another way: the best one, of its earlier life, is not overwritten. */
FAR_TEST(the_best_is_not_overwritten)
{
    fari_ckpt *ckpt = NULL;
    fari_ckpt_state state = state_at(20);
    new_folder();
    FAR_CHECK_OK(save(10, false, 2));
    FAR_CHECK_OK(save(20, true, 2));
    FAR_CHECK_OK(save(11, false, 2));
    fill(21);
    FAR_CHECK_OK(fari_ckpt_save(folder, &state, model, FAR_COUNT(model), optimizer, FAR_COUNT(optimizer), false, 2));
    FAR_CHECK_HAS(warning, "best-20");
    FAR_CHECK(fari_path_exists(at("best-20")));
    open_is("best", 20);
    FAR_CHECK_OK(fari_ckpt_open(folder, "last", &ckpt));
    FAR_CHECK_OK(fari_ckpt_read_model(ckpt, model, FAR_COUNT(model), true));
    FAR_CHECK(weight[0] == 21.0f);
    fari_ckpt_close(ckpt);
    FAR_CHECK_OK(fari_ckpt_prepare(folder));
    open_is("best", 20);
    FAR_CHECK_OK(save(30, true, 2));
    FAR_CHECK(!fari_path_exists(at("best-20")));
    open_is("best", 30);
}

FAR_TEST(files_are_equal_for_equal_runs)
{
    char *first = NULL, *again = NULL;
    size_t first_bytes = 0, again_bytes = 0;
    new_folder();
    FAR_CHECK_OK(save(5, false, 0));
    FAR_CHECK_OK(fari_file_read(at("5/manifest.json"), 1 << 20, &first, &first_bytes));
    new_folder();
    FAR_CHECK_OK(save(5, false, 0));
    FAR_CHECK_OK(fari_file_read(at("5/manifest.json"), 1 << 20, &again, &again_bytes));
    FAR_CHECK_STR(first, again); /* hashes in it cover the files */
    fari_free(first);
    fari_free(again);
}

FAR_TEST(missing_and_foreign_tensors_are_named)
{
    fari_ckpt *ckpt = NULL;
    const fari_ckpt_tensor typo = { "conv.wieght", FAR_F32, { 1, { 12 } }, weight };
    const fari_ckpt_tensor shape = { "conv.weight", FAR_F32, { 2, { 3, 4 } }, weight };
    new_folder();
    FAR_CHECK_STATUS(fari_ckpt_open(folder, "last", &ckpt), FAR_E_NOTFOUND);
    FAR_CHECK_HAS(far_error_message(), folder);
    FAR_CHECK_STATUS(fari_ckpt_open(folder, "3", &ckpt), FAR_E_NOTFOUND);
    FAR_CHECK_STATUS(fari_ckpt_open(folder, "first", &ckpt), FAR_E_ARG);
    FAR_CHECK_OK(save(5, false, 0));
    FAR_CHECK_OK(fari_ckpt_open(folder, "last", &ckpt));
    FAR_CHECK_STATUS(fari_ckpt_read_model(ckpt, &typo, 1, false), FAR_E_NOTFOUND);
    FAR_CHECK_HAS(far_error_message(), "no tensor \"conv.wieght\"; nearest: \"conv.weight\"");
    FAR_CHECK_STATUS(fari_ckpt_read_model(ckpt, &shape, 1, false), FAR_E_SHAPE);
    FAR_CHECK_HAS(far_error_message(), "3x1x2x2 in the file, 3x4 in the model");
    FAR_CHECK_OK(fari_ckpt_read_model(ckpt, model, 1, false));
    FAR_CHECK_STATUS(fari_ckpt_read_model(ckpt, model, 1, true), FAR_E_NOTFOUND);
    FAR_CHECK_HAS(far_error_message(), "norm.running_mean");
    fari_ckpt_close(ckpt);
}

/* Flips one bit of a file, or puts it back. */
static void flip(const char *name, int64_t byte)
{
    FILE *file = fopen(at(name), "r+b");
    FAR_CHECK(file != NULL && fseek(file, (long)byte, SEEK_SET) == 0);
    const int old = fgetc(file);
    FAR_CHECK(old != EOF && fseek(file, (long)byte, SEEK_SET) == 0);
    FAR_CHECK(fputc(old ^ 0x10, file) != EOF && fclose(file) == 0);
}

static int64_t size_of(const char *name)
{
    int fd = -1;
    int64_t size = 0;
    FAR_CHECK_OK(fari_file_open(at(name), &fd, &size));
    fari_file_close(fd);
    return size;
}

FAR_TEST(every_flipped_bit_is_noticed)
{
    static const char *const names[] = { "20/model.safetensors", "20/optimizer.safetensors", "20/manifest.json" };
    new_folder();
    FAR_CHECK_OK(save(10, false, 0));
    FAR_CHECK_OK(save(20, false, 0));
    for (size_t i = 0; i < FAR_COUNT(names); i++) {
        const int64_t size = size_of(names[i]);
        for (int64_t byte = 0; byte < size; byte += i == 2 ? 1 : 3) {
            fari_ckpt *ckpt = NULL;
            flip(names[i], byte);
            const far_status st = fari_ckpt_open(folder, "20", &ckpt);
            FAR_CHECK_MSG(st == FAR_E_FORMAT || st == FAR_E_UNSUPPORTED, "bit in byte %" PRId64 " of %s: %s", byte,
                          names[i], far_status_name(st));
            FAR_CHECK_HAS(far_error_message(), strchr(names[i], '/'));
            flip(names[i], byte);
        }
    }
    open_is("20", 20);
    FAR_CHECK_EQ_I64(fari_alloc_live(), 0);
}

FAR_TEST(a_flipped_weight_is_named_and_the_one_before_is_opened)
{
    fari_ckpt *ckpt = NULL;
    new_folder();
    for (int64_t step = 10; step <= 30; step += 10) FAR_CHECK_OK(save(step, false, 0));
    flip("30/model.safetensors", size_of("30/model.safetensors") - 1);
    FAR_CHECK_STATUS(fari_ckpt_open(folder, "30", &ckpt), FAR_E_FORMAT);
    FAR_CHECK_HAS(far_error_message(), "30/model.safetensors");
    FAR_CHECK_HAS(far_error_message(), "conv.weight");
    open_is("last", 20);
    FAR_CHECK_HAS(warning, "conv.weight");
    FAR_CHECK_HAS(warning, "going on from checkpoint 20");
    FAR_CHECK(unlink(at("20/optimizer.safetensors")) == 0);
    open_is("last", 10);
    FAR_CHECK(truncate(at("10/manifest.json"), 100) == 0);
    FAR_CHECK_STATUS(fari_ckpt_open(folder, "last", &ckpt), FAR_E_FORMAT);
    FAR_CHECK_HAS(far_error_message(), "30/model.safetensors"); /* the first that was wrong */
    FAR_CHECK_EQ_I64(fari_alloc_live(), 0);
}

FAR_TEST(a_dangling_last_is_got_around)
{
    new_folder();
    FAR_CHECK_OK(save(10, false, 0));
    FAR_CHECK_OK(fari_link_atomic("77", at("last")));
    open_is("last", 10);
    FAR_CHECK(unlink(at("last")) == 0);
    open_is("last", 10);
}

FAR_TEST(leftovers_are_cleared)
{
    new_folder();
    FAR_CHECK_OK(save(10, false, 0));
    FAR_CHECK_OK(save(20, false, 0));
    FAR_CHECK_OK(fari_folder_make(at(".tmp-30/inner")));
    FAR_CHECK_OK(fari_rename(at("20"), at(".old-20"))); /* killed while replacing 20 without an exchange */
    FAR_CHECK_OK(fari_folder_make(at(".old-10")));
    FAR_CHECK_OK(fari_link_atomic("10", at("last.tmp-123")));
    FAR_CHECK_OK(fari_ckpt_prepare(folder));
    check_steps(2, (const int64_t[]){ 10, 20 });
    open_is("last", 20);
    char **names = NULL;
    int64_t count = 0;
    FAR_CHECK_OK(fari_folder_list(folder, &names, &count));
    FAR_CHECK_EQ_I64(count, 3);
    fari_names_free(names, count);
}

FAR_TEST(full_disk_leaves_the_last_one)
{
    struct rlimit limit = { 400, 400 }; /* bytes a file may have: as a disk that fills up in the middle */
    new_folder();
    FAR_CHECK_OK(save(10, true, 0));
    (void)signal(SIGXFSZ, SIG_IGN);
    FAR_CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    FAR_CHECK_STATUS(save(20, true, 0), FAR_E_IO);
    FAR_CHECK_HAS(far_error_message(), "checkpoint 20 was not written");
    FAR_CHECK_HAS(far_error_message(), "File too large");
    check_steps(1, (const int64_t[]){ 10 });
    FAR_CHECK(!fari_path_exists(at(".tmp-20")));
    open_is("last", 10);
    open_is("best", 10);
    FAR_CHECK_EQ_I64(fari_alloc_live(), 0);
}

FAR_TEST(killed_at_random_moments)
{
    new_folder();
    FAR_CHECK_OK(save(1, false, 2));
    int64_t newest = 1;
    for (unsigned round = 0; round < 40; round++) {
        const pid_t pid = fork();
        FAR_CHECK(pid >= 0);
        if (pid == 0) {
            for (int64_t step = newest + 1;; step++)
                if (save(step, step % 3 == 0, 2) != FAR_OK) _exit(1);
        }
        (void)usleep(300 + round * 7919 % 60000);
        FAR_CHECK(kill(pid, SIGKILL) == 0);
        int status = 0;
        FAR_CHECK(waitpid(pid, &status, 0) == pid);
        FAR_CHECK(WIFSIGNALED(status));
        FAR_CHECK_OK(fari_ckpt_prepare(folder));
        fari_ckpt *ckpt = NULL;
        warning[0] = '\0';
        FAR_CHECK_OK(fari_ckpt_open(folder, "last", &ckpt));
        FAR_CHECK_STR(warning, ""); /* no kill damages what `last` points at */
        FAR_CHECK(fari_ckpt_state_of(ckpt)->step >= newest);
        newest = fari_ckpt_state_of(ckpt)->step;
        check_is(ckpt, newest);
        fari_ckpt_close(ckpt);
    }
    FAR_CHECK(newest > 1);
}

static int64_t step_of(const char *which)
{
    fari_ckpt *ckpt = NULL;
    FAR_CHECK_OK(fari_ckpt_open(folder, which, &ckpt));
    const int64_t step = fari_ckpt_state_of(ckpt)->step;
    check_is(ckpt, step);
    fari_ckpt_close(ckpt);
    return step;
}

static void begin_anew(int64_t best)
{
    FAR_CHECK_OK(fari_remove_tree(folder));
    FAR_CHECK_OK(fari_ckpt_prepare(folder));
    FAR_CHECK_OK(save(10, best == 10, 2));
    FAR_CHECK_OK(save(40, best == 40, 2));
}

/* Whatever fails in the middle, the best checkpoint stays, and so does a last one. */
FAR_TEST(no_failure_loses_the_best)
{
    static const struct {
        int64_t best_before, step;
        bool is_best;
    } saves[] = { { 10, 50, true }, { 40, 40, false }, { 40, 50, false }, { 10, 40, true } };
    new_folder();
    for (size_t i = 0; i < FAR_COUNT(saves); i++) {
        const int64_t before = saves[i].best_before, after = saves[i].is_best ? saves[i].step : before;
        far_status st = FAR_E_NOMEM;
        begin_anew(before);
        for (int64_t nth = 0; st == FAR_E_NOMEM && nth < 500; nth++) {
            fari_alloc_fail_after(nth);
            st = save(saves[i].step, saves[i].is_best, 1);
            fari_alloc_fail_after(-1);
            warning[0] = '\0';
            const int64_t best = step_of("best"), last = step_of("last");
            FAR_CHECK_STR(warning, ""); /* neither link dangles */
            FAR_CHECK_MSG(best == after || (st != FAR_OK && best == before), "best is %" PRId64, best);
            FAR_CHECK_MSG(last == saves[i].step || (st != FAR_OK && last == 40), "last is %" PRId64, last);
            if (best != before || last != 40 || fari_path_exists(at("best-40"))) begin_anew(before);
        }
        FAR_CHECK_OK(st);
    }
}

FAR_TEST(each_allocation_may_fail)
{
    far_status st = FAR_E_NOMEM;
    new_folder();
    for (int64_t nth = 0; st == FAR_E_NOMEM && nth < 2000; nth++) {
        fari_ckpt *ckpt = NULL;
        fari_alloc_fail_after(nth);
        st = save(nth % 3, false, 1);
        if (st == FAR_OK) st = fari_ckpt_open(folder, "last", &ckpt);
        if (st == FAR_OK) st = fari_ckpt_read_model(ckpt, model, FAR_COUNT(model), true);
        fari_alloc_fail_after(-1);
        fari_ckpt_close(ckpt);
        FAR_CHECK_EQ_I64(fari_alloc_live(), 0);
    }
    FAR_CHECK_OK(st);
}
