/* Sparse HDF5 files of liquid-argon images: written and read, files that others made, damage. */
#include "base/file.h"
#include "base/mem.h"
#include "base/status.h"
#include "lartpc_file.h"
#include "support/temp_folder.h"
#include "test.h"
#include <farandole/lartpc.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#define ELEMS (LARTPC_PIXELS * 3)

static void check_samples(far_dataset *set)
{
    float image[ELEMS], want_image[ELEMS];
    int32_t label[ELEMS], want_label[ELEMS];
    const far_dataset_info info = far_dataset_info_of(set);
    FAR_CHECK(info.sample_count == 2 && info.height == LARTPC_HEIGHT && info.width == LARTPC_WIDTH);
    FAR_CHECK(info.channels == 3 && info.label == FAR_LABEL_MAP && info.label_planes == 3 && info.class_count == 3);
    FAR_CHECK(!info.is_integer && !info.varies);
    FAR_CHECK_STR(far_dataset_class_name(set, 2), "neutrino");
    for (int64_t idx = 0; idx < 2; idx++) {
        lartpc_want(idx, want_image, want_label);
        FAR_CHECK_OK(far_dataset_read(set, idx, image, label));
        FAR_CHECK_BITS("image", image, want_image, ELEMS);
        for (int i = 0; i < ELEMS; i++) FAR_CHECK_EQ_I64(label[i], want_label[i]);
    }
}

FAR_TEST(what_is_written_is_read)
{
    const far_lartpc_opts never = { .keep_bytes = -1 };
    far_dataset *set = NULL;
    int64_t bytes[2];
    lartpc_put(test_path("events.h5"));
    for (int i = 0; i < 2; i++) { /* kept in memory; read each time */
        FAR_CHECK_OK(far_dataset_open_lartpc(test_path("events.h5"), i == 0 ? NULL : &never, &set));
        check_samples(set);
        check_samples(set);
        bytes[i] = far_dataset_bytes(set);
        far_dataset_close(set);
    }
    FAR_CHECK(bytes[0] > bytes[1] && bytes[1] > 0);
    FAR_CHECK(!fari_path_exists(test_path("events.h5.part")));
    FAR_CHECK_EQ_I64(fari_alloc_live(), 0);
}

FAR_TEST(layouts_of_others)
{
    static const lartpc_style styles[] = {
        { .chunk = 0 },
        { .is_reversed = true, .chunk = 3 },
        { .is_big_endian = true, .chunk = 1000, .deflate = 9, .shuffle = true },
        { .is_reversed = true, .is_big_endian = true, .chunk = 7, .deflate = 4, .checked = true },
    };
    lartpc_put(test_path("events.h5"));
    for (size_t i = 0; i < FAR_COUNT(styles); i++) {
        far_dataset *set = NULL;
        lartpc_restyle(test_path("events.h5"), test_path("other.h5"), &styles[i]);
        FAR_CHECK_OK(far_dataset_open_lartpc(test_path("other.h5"), NULL, &set));
        check_samples(set);
        far_dataset_close(set);
    }
    FAR_CHECK_EQ_I64(fari_alloc_live(), 0);
}

/* Ranges count, not places: planes in another order, voxels of two planes exchanged, an event that has not all planes. */
FAR_TEST(ranges_are_respected)
{
    static const char *const groups[] = { LARTPC_IMAGE, LARTPC_LABEL };
    far_dataset *set = NULL;
    float image[ELEMS], want[ELEMS];
    int32_t label[ELEMS], want_label[ELEMS];
    char table[100];
    lartpc_put(test_path("events.h5"));
    for (int g = 0; g < 2;
         g++) { /* the second event's planes 0 and 1 change numbers; the first event loses its last plane */
        (void)snprintf(table, sizeof table, "%s/voxel_extents", groups[g]);
        lartpc_poke(test_path("events.h5"), table, 3, "ID", 1);
        lartpc_poke(test_path("events.h5"), table, 4, "ID", 0);
        (void)snprintf(table, sizeof table, "%s/image_meta", groups[g]);
        lartpc_poke(test_path("events.h5"), table, 3, "projection_id", 1);
        lartpc_poke(test_path("events.h5"), table, 4, "projection_id", 0);
        (void)snprintf(table, sizeof table, "%s/extents", groups[g]);
        lartpc_poke(test_path("events.h5"), table, 0, "N", 2);
    }
    FAR_CHECK_OK(far_dataset_open_lartpc(test_path("events.h5"), NULL, &set));
    lartpc_want(1, want, want_label);
    FAR_CHECK_OK(far_dataset_read(set, 1, image, label));
    for (int i = 0; i < ELEMS; i++) {
        const int from = i % 3 == 2 ? i : i % 3 == 0 ? i + 1 : i - 1;
        FAR_CHECK(image[i] == want[from] && label[i] == want_label[from]);
    }
    lartpc_want(0, want, want_label);
    FAR_CHECK_OK(far_dataset_read(set, 0, image, label));
    for (int i = 0; i < ELEMS; i++)
        FAR_CHECK(image[i] == (i % 3 == 2 ? 0.0f : want[i]) && label[i] == (i % 3 == 2 ? 0 : want_label[i]));
    far_dataset_close(set);
    FAR_CHECK_EQ_I64(fari_alloc_live(), 0);
}

FAR_TEST(groups_by_name)
{
    const far_lartpc_opts none = { .label = "" }, label_as_image = { .image = "sbnd_cosmicseg", .label = "sbndwire" },
                          wrong = { .label = "sbndcosmicseg" }, slash = { .image = "a/b" };
    far_dataset *set = NULL;
    float image[ELEMS], want[ELEMS];
    int32_t want_label[ELEMS];
    lartpc_put(test_path("events.h5"));
    FAR_CHECK_OK(far_dataset_open_lartpc(test_path("events.h5"), &none, &set));
    FAR_CHECK(far_dataset_info_of(set).label == FAR_LABEL_NONE && far_dataset_info_of(set).label_planes == 0);
    lartpc_want(1, want, want_label);
    FAR_CHECK_OK(far_dataset_read(set, 1, image, NULL));
    FAR_CHECK_BITS("image", image, want, ELEMS);
    far_dataset_close(set);
    FAR_CHECK_OK(far_dataset_open_lartpc(test_path("events.h5"), &label_as_image, &set));
    FAR_CHECK_STATUS(far_dataset_read(set, 0, image, want_label), FAR_E_FORMAT); /* 5.5 is no class */
    FAR_CHECK_HAS(far_error_message(), "sbndwire_group/voxels row 0: label 5.5");
    far_dataset_close(set);
    FAR_CHECK_STATUS(far_dataset_open_lartpc(test_path("events.h5"), &wrong, &set), FAR_E_NOTFOUND);
    FAR_CHECK_HAS(far_error_message(), "sparse2d_sbnd_cosmicseg_group, sparse2d_sbndwire_group");
    FAR_CHECK_STATUS(far_dataset_open_lartpc(test_path("events.h5"), &slash, &set), FAR_E_ARG);
    lartpc_remove(test_path("events.h5"), LARTPC_LABEL);
    FAR_CHECK_OK(far_dataset_open_lartpc(test_path("events.h5"), NULL, &set)); /* something to predict */
    FAR_CHECK(far_dataset_info_of(set).label == FAR_LABEL_NONE);
    far_dataset_close(set);
    lartpc_remove(test_path("events.h5"), LARTPC_IMAGE);
    FAR_CHECK_STATUS(far_dataset_open_lartpc(test_path("events.h5"), NULL, &set), FAR_E_NOTFOUND);
    FAR_CHECK_HAS(far_error_message(), "no file of sparse liquid-argon images");
    FAR_CHECK_EQ_I64(fari_alloc_live(), 0);
}

FAR_TEST(more_classes)
{
    const far_lartpc_opts two = { .class_count = 2 }, many = { .class_count = 257 }, four = { .class_count = 4 };
    far_dataset *set = NULL;
    float image[ELEMS];
    int32_t label[ELEMS];
    lartpc_put(test_path("events.h5"));
    lartpc_poke(test_path("events.h5"), LARTPC_LABEL "/voxels", 0, "value", 3.0);
    FAR_CHECK_OK(far_dataset_open_lartpc(test_path("events.h5"), &four, &set));
    FAR_CHECK(far_dataset_class_name(set, 1) == NULL && far_dataset_info_of(set).class_count == 4);
    FAR_CHECK_OK(far_dataset_read(set, 0, image, label));
    FAR_CHECK_EQ_I64(label[0], 3);
    far_dataset_close(set);
    FAR_CHECK_OK(far_dataset_open_lartpc(test_path("events.h5"), &two, &set));
    FAR_CHECK_STATUS(far_dataset_read(set, 0, image, label), FAR_E_FORMAT);
    FAR_CHECK_HAS(far_error_message(), "classes are the whole numbers 0 to 1");
    far_dataset_close(set);
    FAR_CHECK_STATUS(far_dataset_open_lartpc(test_path("events.h5"), &many, &set), FAR_E_ARG);
    FAR_CHECK_EQ_I64(fari_alloc_live(), 0);
}

/* --- damage --- */

static const struct {
    const char *table;
    int64_t row;
    const char *field;
    double value;
    const char *part; /* of the message; the file's name is in it as well */
} pokes[] = {
    { LARTPC_IMAGE "/voxels", 3, "id", 35, "sbndwire_group/voxels row 3: id 35 in an image of 35 pixels" },
    { LARTPC_IMAGE "/voxels", 3, "id", 1e18, "id 1000000000000000000 in" },
    { LARTPC_IMAGE "/voxels", 1, "id", 0, "voxels row 1: id 0 after 0; ids of a plane ascend" },
    { LARTPC_IMAGE "/voxels", 0, "value", NAN, "voxels row 0: the value is not finite" },
    { LARTPC_IMAGE "/voxels", 2, "value", INFINITY, "voxels row 2: the value is not finite" },
    { LARTPC_LABEL "/voxels", 1, "value", 3, "sbnd_cosmicseg_group/voxels row 1: label 3, but classes" },
    { LARTPC_LABEL "/voxels", 1, "value", 0.5, "label 0.5" },
    { LARTPC_LABEL "/voxels", 1, "value", -1, "label -1" },
    { LARTPC_LABEL "/voxels", 1, "value", NAN, "voxels row 1: label nan" },
    { LARTPC_LABEL "/voxels", 1, "value", 1e30, "label 1" },
    { LARTPC_LABEL "/voxels", 4, "id", 12, "row 4: the label of pixel 12 where the image has pixel 11" },
    { LARTPC_IMAGE "/extents", 0, "first", 7,
      "sbndwire_group/extents row 0: planes 7 and the next 3, but there are 6" },
    { LARTPC_IMAGE "/extents", 1, "N", 4, "extents row 1: planes 3 and the next 4, but there are 6" },
    { LARTPC_IMAGE "/extents", 1, "first", 1.8e19, "extents row 1: planes 18" },
    { LARTPC_IMAGE "/extents", 0, "N", 6, "plane 0 a second time in event 0" },
    { LARTPC_IMAGE "/voxel_extents", 5, "N", 36, "voxel_extents row 5: voxels 10 and the next 36, but there are 45" },
    { LARTPC_IMAGE "/voxel_extents", 5, "first", 46, "voxels 46 and the next 35" },
    { LARTPC_IMAGE "/voxel_extents", 5, "first", 1.8e19, "voxels 18" },
    { LARTPC_IMAGE "/voxel_extents", 0, "N", 40, "row 0: 40 voxels in 5 x 7 pixels" },
    { LARTPC_IMAGE "/voxel_extents", 5, "ID", 64, "voxel_extents row 5: plane 64; at most 64" },
    { LARTPC_IMAGE "/voxel_extents", 5, "ID", 1,
      "image_meta row 5 is of plane 2, but the same row of voxel_extents of 1" },
    { LARTPC_LABEL "/voxel_extents", 5, "ID", 3, "voxel_extents row 5: plane 3; planes are numbered 0 to 2" },
    { LARTPC_LABEL "/voxel_extents", 3, "N", 0, "event 1 plane 0: 1 pixels in " LARTPC_IMAGE "/voxels, but 0 labels" },
    { LARTPC_LABEL "/extents", 0, "N", 2, "event 0 plane 2: 1 pixels" },
    { LARTPC_IMAGE "/image_meta", 0, "number_of_voxels", 0, "image_meta row 0: an image of 0 x 0 pixels" },
    { LARTPC_IMAGE "/image_meta", 0, "number_of_voxels", 1e6, "an image of 1000000 x 1000000" },
    { LARTPC_IMAGE "/image_meta", 4, "number_of_voxels", 6, "6 x 6 pixels among images of 5 x 7" },
    { LARTPC_LABEL "/image_meta", 0, "number_of_voxels", 6, "cosmicseg_group/image_meta row 0: an image of 6 x 6" },
    { LARTPC_IMAGE "/image_meta", 0, "projection_id", 2, "image_meta row 0 is of plane 2" },
};

/* Opens and reads all events; gives the first failure. */
static far_status read_all(const char *path)
{
    float image[ELEMS];
    int32_t label[ELEMS];
    far_dataset *set = NULL;
    far_status st = far_dataset_open_lartpc(path, NULL, &set);
    const int64_t count = st == FAR_OK ? far_dataset_info_of(set).sample_count : 0;
    far_dataset_info info = { 0 };
    if (st == FAR_OK) info = far_dataset_info_of(set);
    if (st == FAR_OK && info.height * info.width * info.channels > ELEMS)
        st = FAR_FAIL(FAR_E_FORMAT, "%s: large", path);
    for (int64_t i = 0; i < count && st == FAR_OK; i++) st = far_dataset_read(set, i, image, label);
    far_dataset_close(set);
    return st;
}

FAR_TEST(fields_are_not_believed)
{
    for (size_t i = 0; i < FAR_COUNT(pokes); i++) {
        lartpc_put(test_path("bad.h5"));
        lartpc_poke(test_path("bad.h5"), pokes[i].table, pokes[i].row, pokes[i].field, pokes[i].value);
        const far_status st = read_all(test_path("bad.h5"));
        FAR_CHECK_MSG(st == FAR_E_FORMAT, "%s row %" PRId64 " %s = %g: %s %s", pokes[i].table, pokes[i].row,
                      pokes[i].field, pokes[i].value, far_status_name(st), far_error_message());
        FAR_CHECK_HAS(far_error_message(), pokes[i].part);
        FAR_CHECK_HAS(far_error_message(), "bad.h5: ");
    }
    FAR_CHECK_EQ_I64(fari_alloc_live(), 0);
}

/* Files of wider and signed numbers: HDF5 would take -1 for 0, or for the largest that the field holds. */
FAR_TEST(numbers_that_do_not_fit_are_refused)
{
    static const lartpc_style styles[] = { { .is_signed = true, .chunk = 5 }, { .is_big_endian = true, .chunk = 5 } };
    static const struct {
        const char *table;
        int64_t row;
        const char *field;
        double value;
    } wrong[] = {
        { LARTPC_IMAGE "/extents", 0, "first", -1 },
        { LARTPC_IMAGE "/voxel_extents", 0, "first", -1 },
        { LARTPC_IMAGE "/voxel_extents", 1, "N", -1 },
        { LARTPC_LABEL "/voxel_extents", 0, "ID", -1 },
        { LARTPC_LABEL "/voxel_extents", 5, "ID", 1099511627776.0 },
        { LARTPC_IMAGE "/image_meta", 0, "projection_id", -1 },
        { LARTPC_IMAGE "/voxels", 0, "id", -1 },
        { LARTPC_LABEL "/voxels", 5, "id", -1 },
    };
    lartpc_put(test_path("events.h5"));
    for (size_t i = 0; i < FAR_COUNT(wrong) * FAR_COUNT(styles); i++) {
        const size_t k = i / FAR_COUNT(styles);
        lartpc_restyle(test_path("events.h5"), test_path("bad.h5"), &styles[i % FAR_COUNT(styles)]);
        FAR_CHECK_OK(read_all(test_path("bad.h5")));
        lartpc_poke(test_path("bad.h5"), wrong[k].table, wrong[k].row, wrong[k].field, wrong[k].value);
        FAR_CHECK_STATUS(read_all(test_path("bad.h5")), FAR_E_FORMAT);
        FAR_CHECK_HAS(far_error_message(), wrong[k].table);
        if (i % FAR_COUNT(styles) ==
            0) /* of the others some only become vast: the library turns bytes round, no more */
            FAR_CHECK_HAS(far_error_message(), "a number that is negative, or larger than any that belongs there");
    }
    FAR_CHECK_EQ_I64(fari_alloc_live(), 0);
}

FAR_TEST(tables_are_not_believed)
{
    static const char *const groups[] = { LARTPC_IMAGE, LARTPC_LABEL };
    static const char *const tables[] = { "extents", "voxel_extents", "image_meta", "voxels" };
    static const struct {
        const char *kind, *part;
    } kinds[] = {
        { "floats", "its elements are no records" },
        { "plane", "has not one axis" },
        { "elsewhere", "keeps its data in other files" },
        { "wide", "records of more than 65,536 bytes" },
        { "void", "claims 1125899906842624 rows, but stores 0 bytes" },
    };
    char name[100];
    for (size_t i = 0; i < FAR_COUNT(groups) * FAR_COUNT(tables); i++) {
        (void)snprintf(name, sizeof name, "%s/%s", groups[i / FAR_COUNT(tables)], tables[i % FAR_COUNT(tables)]);
        lartpc_put(test_path("bad.h5"));
        lartpc_remove(test_path("bad.h5"), name);
        FAR_CHECK_STATUS(read_all(test_path("bad.h5")), FAR_E_FORMAT);
        FAR_CHECK_HAS(far_error_message(), name);
        if (i % FAR_COUNT(tables) == 3) continue;
        lartpc_put(test_path("bad.h5"));
        lartpc_replace(test_path("bad.h5"), name, ""); /* voxels' records in its place */
        FAR_CHECK_STATUS(read_all(test_path("bad.h5")), FAR_E_FORMAT);
        FAR_CHECK_HAS(far_error_message(), "has no field");
    }
    for (size_t i = 0; i < FAR_COUNT(kinds); i++) {
        lartpc_put(test_path("bad.h5"));
        lartpc_replace(test_path("bad.h5"), LARTPC_LABEL "/voxels", kinds[i].kind);
        FAR_CHECK_STATUS(read_all(test_path("bad.h5")), FAR_E_FORMAT);
        FAR_CHECK_HAS(far_error_message(), kinds[i].part);
    }
    FAR_CHECK_EQ_I64(fari_alloc_live(), 0);
}

FAR_TEST(files_are_not_believed)
{
    static const char *const tables[] = { LARTPC_IMAGE "/voxels", LARTPC_LABEL "/voxels", LARTPC_IMAGE "/extents",
                                          LARTPC_IMAGE "/image_meta" };
    far_dataset *set = NULL;
    for (size_t i = 0; i < FAR_COUNT(tables); i++) {
        lartpc_put(test_path("bad.h5"));
        lartpc_flip_chunk(test_path("bad.h5"), tables[i]);
        FAR_CHECK_STATUS(read_all(test_path("bad.h5")), FAR_E_FORMAT);
        FAR_CHECK_HAS(far_error_message(), tables[i]);
    }
    FAR_CHECK_STATUS(far_dataset_open_lartpc(test_path("none.h5"), NULL, &set), FAR_E_NOTFOUND);
    FAR_CHECK_STATUS(far_dataset_open_lartpc(test_path(""), NULL, &set), FAR_E_IO); /* a folder */
    lartpc_put(test_path("bad.h5"));
    char *data = NULL;
    size_t bytes = 0;
    FAR_CHECK_OK(fari_file_read(test_path("bad.h5"), 1 << 20, &data, &bytes));
    for (size_t cut = 0; cut < bytes; cut += cut < 4000 ? 97 : 1013) {
        FAR_CHECK_OK(fari_file_write_atomic(test_path("cut.h5"), data, cut));
        FAR_CHECK_STATUS(read_all(test_path("cut.h5")), FAR_E_FORMAT);
        FAR_CHECK_HAS(far_error_message(), "cut.h5");
    }
    fari_free(data);
    FAR_CHECK_EQ_I64(fari_alloc_live(), 0);
}

/* Single flipped bits: an error or right images, never a crash; without the trial in a process apart about one in a hundred of these crashes the library. */
static void flip_bits(size_t first, size_t last, size_t stride)
{
    char *data = NULL;
    size_t bytes = 0;
    int64_t failed = 0, fine = 0;
    lartpc_put(test_path("good.h5"));
    FAR_CHECK_OK(fari_file_read(test_path("good.h5"), 1 << 20, &data, &bytes));
    for (size_t i = first; i < last && i < bytes; i += stride) {
        const char kept = data[i];
        data[i] = (char)(kept ^ (1 << i % 8));
        FILE *out = fopen(test_path("bad.h5"), "wb");
        FAR_CHECK(out != NULL && fwrite(data, 1, bytes, out) == bytes && fclose(out) == 0);
        data[i] = kept;
        const far_status st = read_all(test_path("bad.h5"));
        FAR_CHECK_MSG(st == FAR_OK || st == FAR_E_FORMAT || st == FAR_E_NOTFOUND, "byte %zu: %s", i,
                      far_error_message());
        if (st != FAR_OK) FAR_CHECK_HAS(far_error_message(), "bad.h5");
        *(st == FAR_OK ? &fine : &failed) += 1;
    }
    FAR_CHECK(failed > 0 && fine > 0);
    fari_free(data);
    FAR_CHECK_EQ_I64(fari_alloc_live(), 0);
}

FAR_TEST(flipped_bits_crash_nothing)
{
    flip_bits(4206, 8000, 89); /* four of these crash HDF5 1.10.8 */
}

FAR_TEST_TORTURE(any_flipped_bit_crashes_nothing)
{
    flip_bits(0, SIZE_MAX, 1);
}

/* --- a full disk --- */

FAR_TEST(full_disk)
{
    const far_lartpc_sim_opts opts = { .event_count = 3, .height = 320, .width = 512 };
    struct rlimit limit, all;
    FAR_CHECK(getrlimit(RLIMIT_FSIZE, &all) == 0 && signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
    FAR_CHECK_OK(far_lartpc_simulate(&opts, test_path("kept.h5")));
    limit = all;
    for (rlim_t bytes = 0; bytes < 80000; bytes += 7919) { /* files end there, as on a disk without room */
        limit.rlim_cur = bytes;
        FAR_CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
        const far_status st = far_lartpc_simulate(&opts, test_path("kept.h5"));
        FAR_CHECK(setrlimit(RLIMIT_FSIZE, &all) == 0);
        FAR_CHECK_MSG(st == FAR_E_IO, "%ld bytes: %s %s", (long)bytes, far_status_name(st), far_error_message());
        FAR_CHECK_HAS(far_error_message(), "kept.h5.part");
        FAR_CHECK(!fari_path_exists(test_path("kept.h5.part")));
        FAR_CHECK_EQ_I64(fari_alloc_live(), 0);
    }
    far_dataset *set = NULL; /* what was there before is still whole */
    FAR_CHECK_OK(far_dataset_open_lartpc(test_path("kept.h5"), NULL, &set));
    far_dataset_close(set);
}

/* --- threads, memory --- */

typedef struct reader {
    far_dataset *set;
    int64_t first;
    bool is_wrong;
    pthread_t thread;
} reader;

static void *read_often(void *context)
{
    reader *r = context;
    float image[ELEMS], want[ELEMS];
    int32_t label[ELEMS], want_label[ELEMS];
    for (int64_t i = 0; i < 40 && !r->is_wrong; i++) {
        const int64_t idx = (r->first + i) % 2;
        lartpc_want(idx, want, want_label);
        r->is_wrong = far_dataset_read(r->set, idx, image, label) != FAR_OK || memcmp(image, want, sizeof want) != 0 ||
                      memcmp(label, want_label, sizeof label) != 0;
    }
    return NULL;
}

FAR_TEST(threads_read_at_once)
{
    reader readers[4] = { { 0 } };
    far_dataset *sets[2] = { NULL, NULL };
    const far_lartpc_opts never = { .keep_bytes = -1 };
    float warm[ELEMS];
    int32_t warm_label[ELEMS];
    lartpc_put(test_path("events.h5"));
    lartpc_want(0, warm, warm_label); /* what the helper makes once is made before threads come */
    FAR_CHECK_OK(far_dataset_open_lartpc(test_path("events.h5"), NULL, &sets[0]));
    FAR_CHECK_OK(far_dataset_open_lartpc(test_path("events.h5"), &never, &sets[1]));
    for (int i = 0; i < 4; i++) {
        readers[i].set = sets[i % 2];
        readers[i].first = i / 2;
        FAR_CHECK(pthread_create(&readers[i].thread, NULL, read_often, &readers[i]) == 0);
    }
    for (int i = 0; i < 4; i++) {
        (void)pthread_join(readers[i].thread, NULL);
        FAR_CHECK(!readers[i].is_wrong);
    }
    far_dataset_close(sets[0]);
    far_dataset_close(sets[1]);
}

/* ---- fewer events in memory than there are ---- */

enum { SIM_EVENTS = 5, SIM_HEIGHT = 64, SIM_WIDTH = 96, SIM_ROW = SIM_WIDTH * 3, SIM_ROWS = 9 };

typedef struct rows_reader {
    far_dataset *set, *all;
    int64_t first;
    pthread_t thread;
    bool is_wrong;
} rows_reader;

/* Rows of events in an order of its own, images and labels apart, beside those of a set that keeps all. */
static void *read_rows_often(void *arg)
{
    rows_reader *r = arg;
    float got[SIM_ROWS * SIM_ROW], want[SIM_ROWS * SIM_ROW];
    int32_t label[SIM_ROWS * SIM_ROW], want_label[SIM_ROWS * SIM_ROW];
    for (int64_t i = 0; i < 400 && !r->is_wrong; i++) {
        const int64_t idx = (r->first + 3 * i) % SIM_EVENTS, row = 7 * i % (SIM_HEIGHT - SIM_ROWS);
        const far_region part = { row, 0, SIM_ROWS, SIM_WIDTH, SIM_ROWS, SIM_WIDTH };
        r->is_wrong = far_dataset_read_region(r->set, idx, &part, got, NULL) != FAR_OK ||
                      far_dataset_read_region(r->set, idx, &part, NULL, label) != FAR_OK ||
                      far_dataset_read_region(r->all, idx, &part, want, want_label) != FAR_OK ||
                      memcmp(got, want, sizeof want) != 0 || memcmp(label, want_label, sizeof label) != 0;
    }
    return NULL;
}

FAR_TEST(some_events_are_kept)
{
    const far_lartpc_sim_opts sim = { .event_count = SIM_EVENTS, .height = SIM_HEIGHT, .width = SIM_WIDTH };
    far_dataset *all = NULL, *some = NULL;
    float image[SIM_HEIGHT * SIM_ROW];
    int32_t label[SIM_HEIGHT * SIM_ROW];
    int64_t voxels = 0;
    FAR_CHECK_OK(far_lartpc_simulate(&sim, test_path("sim.h5")));
    FAR_CHECK_OK(far_dataset_open_lartpc(test_path("sim.h5"), NULL, &all));
    for (int64_t i = 0; i < SIM_EVENTS; i++) {
        FAR_CHECK_OK(far_dataset_read(all, i, image, label));
        for (int64_t k = 0; k < SIM_HEIGHT * SIM_ROW; k++) voxels += image[k] != 0.0f;
    }
    FAR_CHECK_OK(
        far_dataset_open_lartpc(test_path("sim.h5"), &(far_lartpc_opts){ .keep_bytes = 9 * voxels / 2 }, &some));
    FAR_CHECK(far_dataset_bytes(some) < far_dataset_bytes(all));
    rows_reader readers[4];
    for (int i = 0; i < 4; i++) {
        readers[i] = (rows_reader){ .set = some, .all = all, .first = i };
        FAR_CHECK(pthread_create(&readers[i].thread, NULL, read_rows_often, &readers[i]) == 0);
    }
    for (int i = 0; i < 4; i++) {
        (void)pthread_join(readers[i].thread, NULL);
        FAR_CHECK(!readers[i].is_wrong);
    }
    far_dataset_close(some);
    far_dataset_close(all);
    FAR_CHECK_EQ_I64(fari_alloc_live(), 0);
}

FAR_TEST(each_allocation_may_fail)
{
    far_status st = FAR_E_NOMEM;
    lartpc_put(test_path("events.h5"));
    for (int64_t nth = 0; st == FAR_E_NOMEM && nth < 500; nth++) {
        fari_alloc_fail_after(nth);
        st = read_all(test_path("events.h5"));
        if (st == FAR_OK) {
            const far_lartpc_sim_opts opts = { .event_count = 1, .height = 64, .width = 64 };
            st = far_lartpc_simulate(&opts, test_path("sim.h5"));
        }
        fari_alloc_fail_after(-1);
        FAR_CHECK_EQ_I64(fari_alloc_live(), 0);
    }
    FAR_CHECK_OK(st);
    FAR_CHECK(!fari_path_exists(test_path("sim.h5.part")));
}

/* Dense images for others to compare: of FAR_LARTPC_FILE, or of the small file, to FAR_LARTPC_FILE.raw: [events][H][W][planes] f32, then i32. */
FAR_TEST(dump)
{
    const char *path = getenv("FAR_LARTPC_FILE");
    far_dataset *set = NULL;
    char raw[600];
    if (path == NULL) lartpc_put(path = test_path("events.h5"));
    (void)snprintf(raw, sizeof raw, "%s.raw", path);
    FAR_CHECK_OK(far_dataset_open_lartpc(path, NULL, &set));
    const far_dataset_info info = far_dataset_info_of(set);
    const size_t elems = (size_t)(info.height * info.width * info.channels);
    float *image = malloc(elems * sizeof *image);
    int32_t *label = malloc(elems * sizeof *label);
    FILE *out = fopen(raw, "wb");
    FAR_CHECK(image != NULL && label != NULL && out != NULL);
    for (int64_t i = 0; i < info.sample_count; i++) {
        FAR_CHECK_OK(far_dataset_read(set, i, image, label));
        FAR_CHECK(fwrite(image, sizeof *image, elems, out) == elems &&
                  fwrite(label, sizeof *label, elems, out) == elems);
    }
    FAR_CHECK(fclose(out) == 0);
    free(image);
    free(label);
    far_dataset_close(set);
}
