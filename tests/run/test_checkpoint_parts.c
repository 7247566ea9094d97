/* A checkpoint written by several ranks: the files of one, whatever their number; no name before all have written. */
#include "base/file.h"
#include "base/mem.h"
#include "run/checkpoint_parts.h"
#include "support/temp_folder.h"
#include "test.h"

#define LARGE (3 * FARI_CKPT_PIECE / 4 + 77) /* elements: three pieces and a bit, which end nowhere in particular */

static float large[LARGE], small[6], momentum[LARGE];
static double mean[3];
static const fari_ckpt_tensor model[] = {
    { "large", FAR_F32, { 1, { LARGE } }, large },
    { "mean", FAR_F64, { 1, { 3 } }, mean },
    { "nothing", FAR_F32, { 2, { 0, 4 } }, small },
    { "small", FAR_F32, { 2, { 2, 3 } }, small },
};
static const fari_ckpt_tensor optimizer[] = { { "large.momentum", FAR_F32, { 1, { LARGE } }, momentum } };

static fari_ckpt_state state_at(int64_t step)
{
    return (fari_ckpt_state){ .step = step, .best_metric = 0.5, .patience_metric = (double)NAN, .isa = "base" };
}

static void fill(int64_t step)
{
    for (int64_t i = 0; i < LARGE; i++) large[i] = (float)(step * 1000 + i % 9973) / 7.0f;
    for (int64_t i = 0; i < LARGE; i++) momentum[i] = large[i] - 3.0f;
    for (int i = 0; i < 6; i++) small[i] = (float)(step + i);
    for (int i = 0; i < 3; i++) mean[i] = (double)(step - i) / 3.0;
}

static void new_folder(char folder[TEMP_FOLDER_BYTES])
{
    temp_folder_in_memory(folder);
    FAR_CHECK_OK(fari_ckpt_prepare(folder));
}

static const char *at(const char *folder, const char *name)
{
    static char paths[4][TEMP_FOLDER_BYTES + 64];
    static int turn;
    char *path = paths[turn++ % 4];
    (void)snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static far_status save_alone(const char *folder, int64_t step)
{
    const fari_ckpt_state state = state_at(step);
    return fari_ckpt_save(folder, &state, model, FAR_COUNT(model), optimizer, FAR_COUNT(optimizer), false, 0);
}

static void parts_of(int32_t rank, int32_t ranks, fari_ckpt_parts **parts_out)
{
    FAR_CHECK_OK(
        fari_ckpt_parts_create(model, FAR_COUNT(model), optimizer, FAR_COUNT(optimizer), rank, ranks, parts_out));
}

/* What one of several ranks does; its hashes to where they belong. A copy has been made before the tensors change. */
static void write_one(const char *folder, int64_t step, int32_t rank, int32_t ranks, bool has_copy,
                      char (*hashes)[FARI_XXH128_HEX])
{
    fari_ckpt_parts *parts = NULL;
    parts_of(rank, ranks, &parts);
    char *copy = has_copy ? fari_alloc((size_t)parts->own_bytes) : NULL;
    if (has_copy) {
        fari_ckpt_parts_copy(parts, copy);
        fill(999);
    }
    FAR_CHECK_OK(fari_ckpt_parts_write(parts, folder, step, copy, hashes + parts->own_first));
    if (has_copy) fill(step);
    fari_free(copy);
    fari_ckpt_parts_destroy(parts);
}

/* All ranks from the last to the first, but for `missing`. */
static far_status save_together(const char *folder, int64_t step, int32_t ranks, int32_t missing)
{
    const fari_ckpt_state state = state_at(step);
    fari_ckpt_parts *parts = NULL;
    parts_of(0, ranks, &parts);
    char(*hashes)[FARI_XXH128_HEX] = fari_calloc((size_t)parts->piece_count, sizeof *hashes);
    for (int32_t r = ranks - 1; r >= 0; r--)
        if (r != missing) write_one(folder, step, r, ranks, r % 2 == 1, hashes);
    const far_status st =
        fari_ckpt_parts_publish(parts, folder, &state, (const char(*)[FARI_XXH128_HEX])hashes, false, 0);
    fari_free(hashes);
    fari_ckpt_parts_destroy(parts);
    return st;
}

static void check_same_file(const char *one, const char *other, const char *name)
{
    char *want = NULL, *got = NULL;
    size_t want_bytes = 0, got_bytes = 0;
    FAR_CHECK_OK(fari_file_read(at(one, name), 1 << 30, &want, &want_bytes));
    FAR_CHECK_OK(fari_file_read(at(other, name), 1 << 30, &got, &got_bytes));
    FAR_CHECK_MSG(want_bytes == got_bytes && memcmp(want, got, want_bytes) == 0, "%s differs", name);
    fari_free(want);
    fari_free(got);
}

static void check_opens(const char *folder, const char *which, int64_t step)
{
    fari_ckpt *ckpt = NULL;
    FAR_CHECK_OK(fari_ckpt_open(folder, which, &ckpt));
    FAR_CHECK_EQ_I64(fari_ckpt_state_of(ckpt)->step, step);
    fill(7);
    FAR_CHECK_OK(fari_ckpt_read_model(ckpt, model, FAR_COUNT(model), true));
    FAR_CHECK_OK(fari_ckpt_read_optimizer(ckpt, optimizer, FAR_COUNT(optimizer), true));
    FAR_CHECK(large[LARGE - 1] == (float)(step * 1000 + (LARGE - 1) % 9973) / 7.0f && small[5] == (float)(step + 5));
    FAR_CHECK(momentum[5] == large[5] - 3.0f && mean[2] == (double)(step - 2) / 3.0);
    fari_ckpt_close(ckpt);
}

FAR_TEST(files_are_those_of_one_rank)
{
    char one[TEMP_FOLDER_BYTES], many[TEMP_FOLDER_BYTES];
    static const char *const names[] = { "20/model.safetensors", "20/optimizer.safetensors", "20/manifest.json" };
    new_folder(one);
    fill(20);
    FAR_CHECK_OK(save_alone(one, 20));
    check_opens(one, "last", 20);
    for (int32_t ranks = 1; ranks <= 20; ranks += ranks < 4 ? 1 : 8) {
        new_folder(many);
        fill(20);
        FAR_CHECK_OK(save_together(many, 20, ranks, -1));
        for (size_t i = 0; i < FAR_COUNT(names); i++) check_same_file(one, many, names[i]);
        FAR_CHECK(!fari_path_exists(at(many, ".tmp-20")));
        FAR_CHECK_OK(fari_remove_tree(many));
    }
    FAR_CHECK_EQ_I64(fari_alloc_live(), 0);
}

FAR_TEST(shares_are_even_and_all)
{
    for (int32_t ranks = 1; ranks <= 20; ranks++) {
        int64_t next = 0, total = 0;
        for (int32_t r = 0; r < ranks; r++) {
            fari_ckpt_parts *parts = NULL;
            parts_of(r, ranks, &parts);
            FAR_CHECK_EQ_I64(parts->own_first, next);
            next += parts->own_count;
            total += parts->own_bytes;
            const int64_t even = (parts->file_bytes[0] + parts->file_bytes[1]) / ranks;
            FAR_CHECK_MSG(parts->own_bytes < even + 2 * FARI_CKPT_PIECE, "rank %d of %d has %" PRId64 " bytes", (int)r,
                          (int)ranks, parts->own_bytes);
            FAR_CHECK(parts->own_count <= parts->most_count);
            if (r + 1 == ranks) FAR_CHECK_EQ_I64(next, parts->piece_count);
            if (r + 1 == ranks)
                FAR_CHECK_EQ_I64(total, parts->file_bytes[0] - parts->head_bytes[0] + parts->file_bytes[1] -
                                            parts->head_bytes[1]);
            fari_ckpt_parts_destroy(parts);
        }
    }
}

FAR_TEST(without_one_rank_there_is_no_checkpoint)
{
    char folder[TEMP_FOLDER_BYTES];
    new_folder(folder);
    fill(10);
    FAR_CHECK_OK(save_together(folder, 10, 3, -1));
    fill(20);
    FAR_CHECK_STATUS(save_together(folder, 20, 3, 2), FAR_E_IO); /* the file's end is missing */
    FAR_CHECK_HAS(far_error_message(), "checkpoint 20 was not written");
    FAR_CHECK_HAS(far_error_message(), "optimizer.safetensors");
    check_opens(folder, "last", 10);
    FAR_CHECK(!fari_path_exists(at(folder, "20")) && !fari_path_exists(at(folder, ".tmp-20")));
    /* what a rank left that was killed does no harm */
    fill(30);
    char hashes[64][FARI_XXH128_HEX];
    write_one(folder, 30, 1, 3, false, hashes);
    FAR_CHECK(fari_path_exists(at(folder, ".tmp-30")));
    FAR_CHECK_OK(fari_ckpt_prepare(folder));
    FAR_CHECK(!fari_path_exists(at(folder, ".tmp-30")));
    check_opens(folder, "last", 10);
    FAR_CHECK_EQ_I64(fari_alloc_live(), 0);
}

FAR_TEST(a_wrong_bit_names_its_piece)
{
    char folder[TEMP_FOLDER_BYTES], words[128];
    fari_ckpt *ckpt = NULL;
    fari_ckpt_parts *parts = NULL;
    new_folder(folder);
    fill(10);
    FAR_CHECK_OK(save_together(folder, 10, 4, -1));
    parts_of(0, 1, &parts);
    const fari_ckpt_piece *piece = &parts->pieces[1];
    FILE *file = fopen(at(folder, "10/model.safetensors"), "r+b");
    FAR_CHECK(file != NULL && fseek(file, (long)(piece->at + piece->bytes - 1), SEEK_SET) == 0);
    FAR_CHECK(fputc(99, file) == 99 && fclose(file) == 0);
    FAR_CHECK_STATUS(fari_ckpt_open(folder, "10", &ckpt), FAR_E_FORMAT);
    (void)snprintf(words, sizeof words, "tensor \"large\" at bytes %" PRId64 " to %" PRId64, piece->at,
                   piece->at + piece->bytes);
    FAR_CHECK_HAS(far_error_message(), words);
    fari_ckpt_parts_destroy(parts);
    FAR_CHECK_EQ_I64(fari_alloc_live(), 0);
}
