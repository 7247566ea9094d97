/* Data sets of pictures: folders of classes, images with label maps, in folders and archives; and what is wrong with them. */
#include "base/png.h"
#include "data/archives.h"
#include "data/pictures.h"
#include <farandole/pictures.h>
#include <pthread.h>

/* Real data lie outside the repository, where FAR_SHARED_DATA says or in ../shared/data. */
static const char *shared(const char *name)
{
    static char path[1024];
    const char *folder = getenv("FAR_SHARED_DATA");
    (void)snprintf(path, sizeof path, "%s/%s", folder != NULL ? folder : FAR_TEST_SOURCE_DIR "/../shared/data", name);
    if (!fari_path_exists(path)) FAR_SKIP("no shared data (FAR_SHARED_DATA)");
    return path;
}

/* --- files to make sets of --- */

enum { H = 45, W = 61 };

static uint8_t map[H * W];

typedef struct blob {
    char *data;
    size_t bytes;
} blob;

static blob picture_file(const char *name)
{
    char path[256];
    blob b = { 0 };
    (void)snprintf(path, sizeof path, PICTURES "%s", name);
    FAR_CHECK_OK(fari_file_read(path, 1 << 20, &b.data, &b.bytes));
    return b;
}

/* A PNG of these values, grey or with a palette. */
static blob png_file(const uint8_t *values, int64_t height, int64_t width, const uint8_t (*palette)[3], int32_t colours)
{
    blob b = { 0 };
    const fari_png png = { values, height, width, 1, palette, colours };
    FAR_CHECK_OK(fari_png_encode(&png, (uint8_t **)(void *)&b.data, &b.bytes));
    return b;
}

typedef struct entry {
    const char *name, *picture; /* of tests/data/pictures; NULL: a folder */
} entry;

static packing pack(const entry *entries, size_t count)
{
    packing p = pack_begin(ARCHIVE_FORMAT_TAR_USTAR, ARCHIVE_FILTER_NONE);
    pack_open(&p);
    for (size_t i = 0; i < count; i++) {
        blob b = { 0 };
        if (entries[i].picture != NULL) b = picture_file(entries[i].picture);
        pack_add(&p, entries[i].name, b.data, b.bytes);
        fari_free(b.data);
    }
    pack_end(&p);
    return p;
}

/* The archive as a file of the case's folder. */
static const char *put_pack(const char *name, packing p)
{
    const char *path = test_path(name);
    FAR_CHECK_OK(fari_file_write_atomic(path, p.data, p.bytes));
    free(p.data);
    return path;
}

static void put(const char *name, const void *data, size_t bytes)
{
    char folder[1024];
    (void)snprintf(folder, sizeof folder, "%s", test_path(name));
    *strrchr(folder, '/') = '\0';
    FAR_CHECK_OK(fari_folder_make(folder));
    FAR_CHECK_OK(fari_file_write_atomic(test_path(name), data, bytes));
}

static void put_picture(const char *name, const char *picture)
{
    blob b = picture_file(picture);
    put(name, b.data, b.bytes);
    fari_free(b.data);
}

static void put_map(const char *name, const uint8_t *values, int64_t height, int64_t width)
{
    blob b = png_file(values, height, width, NULL, 0);
    put(name, b.data, b.bytes);
    fari_free(b.data);
}

/* --- classes --- */

static const entry classes[] = {
    { "set/LICENSE", "decodes.txt" },
    { "set/train/b/1.jpg", "jpeg_444.jpg" },
    { "set/train/b/2.jpg", "jpeg_turn6.jpg" },
    { "set/train/a-x/p.png", "png_rgb.png" },
    { "set/train/a/q.PNG", "png_grey8.png" },
    { "set/train/a/notes.txt", "decodes.txt" },
    { "set/validation/b/v.jpg", "jpeg_420.jpg" },
    { "set/validation/a/w.jpg", "jpeg_grey.jpg" },
    { "set/test/a/t.jpg", "jpeg_grey.jpg" },
};

static void check_sample(far_dataset *set, int64_t idx, const char *name, int32_t label, const char *picture)
{
    static float image[64 * 64 * 3];
    loaded l;
    int32_t got = -2;
    int64_t height = 0, width = 0;
    load_picture(picture, &l);
    FAR_CHECK_STR(far_dataset_sample_name(set, idx), name);
    FAR_CHECK_OK(far_dataset_extent(set, idx, &height, &width));
    FAR_CHECK(height == l.height && width == l.width);
    FAR_CHECK_OK(far_dataset_read(set, idx, image, &got));
    FAR_CHECK_EQ_I64(got, label);
    for (int64_t i = 0; i < height * width * 3; i++) FAR_CHECK(image[i] == l.want[l.channels == 3 ? i : i / 3]);
    drop_picture(&l);
}

FAR_TEST(classes_in_an_archive)
{
    far_dataset *set = NULL;
    char path[1024];
    (void)snprintf(path, sizeof path, "%s", put_pack("c.tar", pack(classes, FAR_COUNT(classes))));
    FAR_CHECK_EQ_I64(far_pictures_kind_of(path), FAR_PICTURES_CLASSES);
    FAR_CHECK_OK(far_dataset_open_images(path, NULL, &set));
    const far_dataset_info info = far_dataset_info_of(set);
    FAR_CHECK(info.sample_count == 4 && info.class_count == 3 && info.channels == 3 && info.label == FAR_LABEL_CLASS);
    FAR_CHECK(info.varies && info.height == 45 && info.width == 61 && info.is_integer);
    FAR_CHECK_STR(far_dataset_class_name(set, 0), "a"); /* not in the order of the paths, where '-' comes before '/' */
    FAR_CHECK_STR(far_dataset_class_name(set, 1), "a-x");
    FAR_CHECK_STR(far_dataset_class_name(set, 2), "b");
    FAR_CHECK(far_dataset_class_name(set, 3) == NULL);
    check_sample(set, 0, "train/a-x/p.png", 1, "png_rgb.png");
    check_sample(set, 1, "train/a/q.PNG", 0, "png_grey8.png");
    check_sample(set, 2, "train/b/1.jpg", 2, "jpeg_444.jpg");
    check_sample(set, 3, "train/b/2.jpg", 2, "jpeg_turn6.jpg");
    FAR_CHECK(far_dataset_bytes(set) > 0);
    int64_t counts[3];
    FAR_CHECK_OK(far_dataset_count_labels(set, NULL, 4, counts, NULL));
    FAR_CHECK(counts[0] == 1 && counts[1] == 1 && counts[2] == 2);
    far_dataset_close(set);
    const far_pictures_opts test = { .part = FAR_DATA_TEST, .channels = 3 };
    FAR_CHECK_OK(far_dataset_open_images(path, &test, &set));
    FAR_CHECK_EQ_I64(far_dataset_info_of(set).sample_count, 2); /* validation before test */
    FAR_CHECK_EQ_I64(far_dataset_info_of(set).class_count, 3);
    FAR_CHECK(!far_dataset_info_of(set).varies);
    check_sample(set, 1, "validation/b/v.jpg", 2, "jpeg_420.jpg");
    far_dataset_close(set);
    FAR_CHECK_EQ_I64(fari_alloc_live(), 0);
}

FAR_TEST(classes_in_a_folder_without_parts)
{
    far_dataset *set = NULL;
    put_picture("s/cat/1.jpg", "jpeg_grey.jpg");
    put_picture("s/dog/deep/2.jpg", "png_grey8.png"); /* the bytes say what it is, not the ending */
    FAR_CHECK_OK(far_dataset_open_images(test_path("s"), NULL, &set));
    const far_dataset_info info = far_dataset_info_of(set);
    FAR_CHECK(info.sample_count == 2 && info.class_count == 2 && info.channels == 1 && !info.varies);
    FAR_CHECK_STR(far_dataset_sample_name(set, 1), "dog/deep/2.jpg");
    far_dataset_close(set);
    const far_pictures_opts test = { .part = FAR_DATA_TEST };
    FAR_CHECK_STATUS(far_dataset_open_images(test_path("s"), &test, &set), FAR_E_NOTFOUND);
    FAR_CHECK_HAS(far_error_message(), "no part for testing");
    FAR_CHECK_EQ_I64(fari_alloc_live(), 0);
}

FAR_TEST(pictures_without_classes_have_no_labels)
{
    far_dataset *set = NULL;
    put_picture("s/1.jpg", "jpeg_444.jpg");
    put_picture("s/2.jpg", "jpeg_420.jpg");
    FAR_CHECK_OK(far_dataset_open_images(test_path("s"), NULL, &set));
    FAR_CHECK_EQ_I64(far_dataset_info_of(set).label, FAR_LABEL_NONE);
    FAR_CHECK_STR(far_dataset_sample_name(set, 0), "1.jpg");
    far_dataset_close(set);
}

/* What the opener of folders finds out by itself. */
FAR_TEST(folders_and_archives_tell_their_kind)
{
    far_dataset *set = NULL;
    memset(map, 0, sizeof map);
    put_picture("s/images/x.png", "png_rgb.png");
    put_map("s/labels/x.png", map, H, W);
    FAR_CHECK_OK(far_dataset_open_folder(test_path("s"), FAR_DATA_AUTO, FAR_DATA_TRAIN, false, 2, &set));
    FAR_CHECK_EQ_I64(far_dataset_info_of(set).label, FAR_LABEL_MAP);
    far_dataset_close(set);
    FAR_CHECK_OK(far_dataset_open_folder(test_path("s"), FAR_DATA_IMAGES, FAR_DATA_TRAIN, false, 0, &set));
    FAR_CHECK_STR(far_dataset_class_name(set, 1), "labels");
    far_dataset_close(set);
    FAR_CHECK_OK(far_dataset_open_folder(put_pack("c.tar", pack(classes, FAR_COUNT(classes))), FAR_DATA_AUTO,
                                         FAR_DATA_TEST, false, 0, &set));
    FAR_CHECK_EQ_I64(far_dataset_info_of(set).sample_count, 2);
    far_dataset_close(set);
    put("t/notes.txt", "", 0);
    FAR_CHECK_STATUS(far_dataset_open_folder(test_path("t"), FAR_DATA_AUTO, FAR_DATA_TRAIN, false, 0, &set),
                     FAR_E_NOTFOUND);
    FAR_CHECK_HAS(far_error_message(), "and for folders with pictures");
    FAR_CHECK_EQ_I64(fari_alloc_live(), 0);
}

static void refused(far_status status, const char *says, const far_pictures_opts *opts)
{
    far_dataset *set = NULL;
    FAR_CHECK_STATUS(far_dataset_open_images(test_path("s"), opts, &set), status);
    FAR_CHECK_HAS(far_error_message(), says);
    FAR_CHECK(set == NULL);
    FAR_CHECK_EQ_I64(fari_alloc_live(), 0);
}

FAR_TEST(what_is_wrong_with_classes_is_named)
{
    const far_pictures_opts test = { .part = FAR_DATA_TEST }, one = { .class_count = 1 }, grey = { .channels = 1 },
                            four = { .channels = 4 }, five = { .channels = 5 };
    refused(FAR_E_NOTFOUND, "/s", NULL);
    FAR_CHECK_OK(fari_folder_make(test_path("s/train/empty")));
    refused(FAR_E_NOTFOUND, "has no JPEG, PNG or TIFF pictures", NULL);
    put_picture("s/train/cat/1.jpg", "jpeg_444.jpg");
    refused(FAR_E_FORMAT, "class empty has no JPEG, PNG or TIFF", NULL);
    FAR_CHECK_OK(fari_remove_tree(test_path("s/train/empty")));
    put_picture("s/val/dog/1.jpg", "jpeg_444.jpg");
    refused(FAR_E_FORMAT, "folder val/dog is of no class", &test);
    put_picture("s/train/dog/1.jpg", "jpeg_444.jpg");
    refused(FAR_E_FORMAT, "has 2 classes, but there are to be 1", &one);
    refused(FAR_E_FORMAT, "cat/1.jpg is in colour", &grey);
    refused(FAR_E_FORMAT, "has 3 channels, but images are read with 4", &four);
    refused(FAR_E_ARG, "pictures of 5 channels", &five);
    put("s/train/dog/2.webp", "RIFF", 4);
    refused(FAR_E_UNSUPPORTED, "dog/2.webp: pictures of this kind are not read", NULL);
    FAR_CHECK_OK(fari_remove_tree(test_path("s/train/dog/2.webp")));
    put("s/train/dog/2.jpg", "", 0);
    refused(FAR_E_FORMAT, "dog/2.jpg has 0 bytes", NULL);
}

/* A damaged picture in the middle: named with its archive, and the others go on. */
FAR_TEST(a_damaged_picture_is_named_and_others_are_read)
{
    static float image[64 * 64 * 3];
    far_dataset *set = NULL;
    int32_t label = 0;
    packing p = pack_begin(ARCHIVE_FORMAT_TAR_USTAR, ARCHIVE_FILTER_NONE);
    blob b = picture_file("jpeg_444.jpg");
    pack_open(&p);
    pack_add(&p, "a/1.jpg", b.data, b.bytes);
    pack_add(&p, "a/2.jpg", b.data, b.bytes / 2); /* its header is whole */
    pack_add(&p, "a/3.jpg", b.data, 100);
    pack_add(&p, "b/4.jpg", b.data, b.bytes);
    pack_end(&p);
    fari_free(b.data);
    char path[1024];
    (void)snprintf(path, sizeof path, "%s", put_pack("d.tar", p));
    FAR_CHECK_STATUS(far_dataset_open_images(path, NULL, &set), FAR_E_FORMAT);
    FAR_CHECK_HAS(far_error_message(), "d.tar: a/3.jpg is damaged or cut short");
    const far_pictures_opts keep = { .keep_broken = true };
    FAR_CHECK_OK(far_dataset_open_images(path, &keep, &set));
    FAR_CHECK_OK(far_dataset_read(set, 0, image, &label));
    FAR_CHECK_STATUS(far_dataset_read(set, 1, image, &label), FAR_E_FORMAT);
    FAR_CHECK_HAS(far_error_message(), "d.tar: a/2.jpg: the JPEG is damaged or cut short");
    FAR_CHECK_STATUS(far_dataset_read(set, 2, image, &label), FAR_E_FORMAT);
    FAR_CHECK_HAS(far_error_message(), "d.tar: a/3.jpg");
    FAR_CHECK_OK(far_dataset_read(set, 3, image, &label));
    FAR_CHECK_EQ_I64(label, 1);
    far_dataset_close(set);
    FAR_CHECK_EQ_I64(fari_alloc_live(), 0);
}

/* --- label maps --- */

/* Objects as blocks: 0 between them. */
static void fill_objects(void)
{
    for (int i = 0; i < H * W; i++) {
        const int y = i / W, x = i % W;
        map[i] = (uint8_t)(x % 9 < 6 && y % 7 < 6 ? 1 + x / 9 + y / 7 * 7 : 0);
        if (x / 9 == 1) map[i] = (uint8_t)(y < 20 ? 200 : 201); /* two that touch */
    }
}

static void read_map(const char *path, const far_pictures_opts *opts, const far_region *region, int32_t *out)
{
    static float image[H * W * 3];
    far_dataset *set = NULL;
    FAR_CHECK_OK(far_dataset_open_label_maps(path, opts, &set));
    FAR_CHECK_EQ_I64(far_dataset_info_of(set).label, FAR_LABEL_MAP);
    FAR_CHECK_EQ_I64(far_dataset_info_of(set).label_planes, 1);
    FAR_CHECK_OK(far_dataset_read_region(set, 0, region, image, out));
    if (region->out_height * region->out_width == H * W) { /* the same without the image */
        int64_t counts[600] = { 0 }, want[600] = { 0 };
        for (int i = 0; i < H * W; i++)
            if (out[i] >= 0) want[out[i]]++;
        FAR_CHECK(far_dataset_info_of(set).class_count <= 600);
        FAR_CHECK_OK(far_dataset_count_labels(set, NULL, 1, counts, NULL));
        for (int k = 0; k < 600; k++) FAR_CHECK_EQ_I64(counts[k], want[k]);
    }
    far_dataset_close(set);
    FAR_CHECK_EQ_I64(fari_alloc_live(), 0);
}

static const far_region all = { 0, 0, H, W, H, W };

static int32_t instance_class(int y, int x, int reach)
{
    if (map[y * W + x] == 0) return 0;
    for (int v = y - reach; v <= y + reach; v++)
        for (int u = x - reach; u <= x + reach; u++)
            if (v >= 0 && v < H && u >= 0 && u < W && map[v * W + u] != map[y * W + x]) return 2;
    return 1;
}

FAR_TEST(objects_become_background_inside_and_boundary)
{
    static int32_t labels[H * W];
    fill_objects();
    put_picture("s/images/x.png", "png_rgb.png");
    put_map("s/instances/x.png", map, H, W);
    FAR_CHECK_EQ_I64(far_pictures_kind_of(test_path("s")), FAR_PICTURES_LABEL_MAPS);
    for (int32_t reach = 1; reach <= 3; reach++) {
        const far_pictures_opts opts = { .labels_are_instances = true, .boundary = reach };
        const far_region small = { 7, 11, 30, 40, 13, 17 }, large = { 20, 30, 4, 5, 9, 11 };
        read_map(test_path("s"), &opts, &all, labels);
        for (int i = 0; i < H * W; i++) FAR_CHECK_EQ_I64(labels[i], instance_class(i / W, i % W, reach));
        const far_region *const regions[] = { &small, &large };
        for (size_t k = 0; k < FAR_COUNT(regions); k++) {
            const far_region *r = regions[k];
            read_map(test_path("s"), &opts, r, labels);
            for (int64_t i = 0; i < r->out_height * r->out_width; i++) {
                const int64_t y = r->y + (2 * (i / r->out_width) + 1) * r->height / (2 * r->out_height);
                const int64_t x = r->x + (2 * (i % r->out_width) + 1) * r->width / (2 * r->out_width);
                FAR_CHECK_EQ_I64(labels[i], instance_class((int)y, (int)x, reach));
            }
        }
    }
}

FAR_TEST(values_become_classes)
{
    static int32_t labels[H * W];
    static const int32_t values[] = { 0, 255 }, ignored[] = { 7 };
    put_picture("s/images/x.png", "png_rgb.png");
    for (int i = 0; i < H * W; i++) map[i] = (uint8_t)(i % 5);
    put_map("s/masks/x.png", map, H, W);
    read_map(test_path("s"), NULL, &all, labels);
    for (int i = 0; i < H * W; i++) FAR_CHECK_EQ_I64(labels[i], i % 5);
    for (int i = 0; i < H * W; i++) map[i] = i % 11 == 0 ? 7 : i % 3 == 0 ? 255 : 0;
    put_map("s/masks/x.png", map, H, W);
    const far_pictures_opts opts = { .values = values, .value_count = 2, .ignored = ignored, .ignored_count = 1 };
    read_map(test_path("s"), &opts, &all, labels);
    for (int i = 0; i < H * W; i++) FAR_CHECK_EQ_I64(labels[i], i % 11 == 0 ? FAR_LABEL_IGNORE : i % 3 == 0);
}

FAR_TEST(the_largest_label_tells_the_classes_where_nobody_does)
{
    far_dataset *set = NULL;
    memset(map, 0, sizeof map);
    put_picture("s/images/x.png", "png_rgb.png");
    put_picture("s/images/y.png", "png_rgb.png");
    put_map("s/labels/x.png", map, H, W);
    map[H * W - 1] = 6;
    put_map("s/labels/y.png", map, H, W);
    FAR_CHECK_OK(far_dataset_open_label_maps(test_path("s"), NULL, &set));
    FAR_CHECK_EQ_I64(far_dataset_info_of(set).class_count, 7);
    FAR_CHECK_STR(far_dataset_sample_name(set, 1), "y");
    far_dataset_close(set);
}

/* Indices of a palette are classes; or its colours are, by a table. */
FAR_TEST(palettes_and_colours)
{
    static const uint8_t palette[3][3] = { { 0, 0, 0 }, { 255, 0, 0 }, { 0, 128, 255 } };
    static const int32_t colours[] = { 0x0080FF, 0x000000, 0xFF0000 };
    static int32_t labels[H * W];
    for (int i = 0; i < H * W; i++) map[i] = (uint8_t)(i % 3);
    put_picture("s/images/x.png", "png_rgb.png");
    blob b = png_file(map, H, W, palette, 3);
    put("s/labels/x.png", b.data, b.bytes);
    fari_free(b.data);
    read_map(test_path("s"), NULL, &all, labels);
    for (int i = 0; i < H * W; i++) FAR_CHECK_EQ_I64(labels[i], i % 3);
    const far_pictures_opts opts = { .values = colours, .value_count = 3, .values_are_colours = true };
    read_map(test_path("s"), &opts, &all, labels);
    for (int i = 0; i < H * W; i++) FAR_CHECK_EQ_I64(labels[i], (i + 1) % 3);
    uint8_t rgb[H * W * 3]; /* the same picture in colours */
    for (int i = 0; i < H * W; i++) memcpy(rgb + 3 * i, palette[map[i]], 3);
    const fari_png png = { rgb, H, W, 3, NULL, 0 };
    FAR_CHECK_OK(fari_png_write(test_path("s/labels/x.png"), &png));
    read_map(test_path("s"), &opts, &all, labels);
    for (int i = 0; i < H * W; i++) FAR_CHECK_EQ_I64(labels[i], (i + 1) % 3);
}

FAR_TEST(patterns_say_what_belongs_together)
{
    far_dataset *set = NULL;
    memset(map, 0, sizeof map);
    put_picture("s/scans/p1/a.jpg", "jpeg_444.jpg");
    put_picture("s/scans/p2/b.jpg", "jpeg_444.jpg");
    put_picture("s/scans/p2/preview.png", "png_rgb.png");
    put_map("s/truth/p1-a_mask.png", map, H, W);
    put_map("s/truth/p2-b_mask.png", map, H, W);
    const far_pictures_opts opts = { .images = "scans/*/*.jpg", .labels = "truth/*-*_mask.png" };
    FAR_CHECK_OK(far_dataset_open_label_maps(test_path("s"), &opts, &set));
    FAR_CHECK_EQ_I64(far_dataset_info_of(set).sample_count, 2);
    FAR_CHECK_STR(far_dataset_sample_name(set, 0), "p1/a");
    FAR_CHECK_STR(far_dataset_sample_name(set, 1), "p2/b");
    far_dataset_close(set);
    const far_pictures_opts all_below = { .images = "scans/**.jpg", .labels = "truth/**_mask.png" };
    FAR_CHECK_STATUS(far_dataset_open_label_maps(test_path("s"), &all_below, &set), FAR_E_FORMAT);
    FAR_CHECK_HAS(far_error_message(), "scans/p1/a.jpg has no label map: there is no truth/p1/a_mask.png");
    const far_pictures_opts none = { .images = "scan/*.jpg", .labels = "truth/*.png" };
    FAR_CHECK_STATUS(far_dataset_open_label_maps(test_path("s"), &none, &set), FAR_E_NOTFOUND);
    FAR_CHECK_HAS(far_error_message(), "no image matches scan/*.jpg");
    const far_pictures_opts uneven = { .images = "scans/*/*.jpg", .labels = "truth/*.png" };
    FAR_CHECK_STATUS(far_dataset_open_label_maps(test_path("s"), &uneven, &set), FAR_E_ARG);
    const far_pictures_opts half = { .images = "scans/*.jpg" };
    FAR_CHECK_STATUS(far_dataset_open_label_maps(test_path("s"), &half, &set), FAR_E_ARG);
    const far_pictures_opts starless = { .images = "a.jpg", .labels = "b.png" };
    FAR_CHECK_STATUS(far_dataset_open_label_maps(test_path("s"), &starless, &set), FAR_E_ARG);
    FAR_CHECK_EQ_I64(fari_alloc_live(), 0);
}

FAR_TEST(parts_with_images_and_labels_either_way_round)
{
    far_dataset *set = NULL;
    const far_pictures_opts test = { .part = FAR_DATA_TEST };
    memset(map, 0, sizeof map);
    put_picture("a/train/images/1.jpg", "jpeg_444.jpg");
    put_map("a/train/labels/1.png", map, H, W);
    put_picture("a/val/images/2.jpg", "jpeg_444.jpg");
    put_map("a/val/labels/2.png", map, H, W);
    put_picture("b/images/train/1.jpg", "jpeg_444.jpg");
    put_map("b/masks/train/1.png", map, H, W);
    put_picture("b/images/test/2.jpg", "jpeg_444.jpg");
    put_map("b/masks/test/2.png", map, H, W);
    for (int i = 0; i < 2; i++) {
        FAR_CHECK_OK(far_dataset_open_label_maps(test_path(i == 0 ? "a" : "b"), NULL, &set));
        FAR_CHECK_EQ_I64(far_dataset_info_of(set).sample_count, 1);
        FAR_CHECK_STR(far_dataset_sample_name(set, 0), "1");
        far_dataset_close(set);
        FAR_CHECK_OK(far_dataset_open_label_maps(test_path(i == 0 ? "a" : "b"), &test, &set));
        FAR_CHECK_STR(far_dataset_sample_name(set, 0), "2");
        far_dataset_close(set);
    }
}

static void refused_maps(far_status status, const char *says, const far_pictures_opts *opts)
{
    far_dataset *set = NULL;
    FAR_CHECK_STATUS(far_dataset_open_label_maps(test_path("s"), opts, &set), status);
    FAR_CHECK_HAS(far_error_message(), says);
    FAR_CHECK_EQ_I64(fari_alloc_live(), 0);
}

FAR_TEST(what_is_wrong_with_label_maps_is_named)
{
    static float image[H * W * 3];
    static int32_t labels[H * W];
    static const int32_t twice[] = { 3, 3 }, few[] = { 0 };
    far_dataset *set = NULL;
    const far_pictures_opts test = { .part = FAR_DATA_TEST }, three = { .class_count = 3 };
    put_picture("s/pics/x.jpg", "jpeg_444.jpg");
    refused_maps(FAR_E_NOTFOUND, "no folder images/", NULL);
    put_picture("s/images/x.jpg", "jpeg_444.jpg");
    refused_maps(FAR_E_NOTFOUND, "no folder labels/ or masks/", NULL);
    memset(map, 0, sizeof map);
    put_map("s/labels/y.png", map, H, W);
    refused_maps(FAR_E_FORMAT, "images/x.jpg has no label map: there is no labels/x.png", NULL);
    refused_maps(FAR_E_NOTFOUND, "no part for testing", &test);
    put_map("s/labels/x.png", map, H - 1, W);
    refused_maps(FAR_E_FORMAT, "has 45 x 61 pixels (height x width), but its label map", NULL);
    put_picture("s/labels/x.png", "jpeg_grey.jpg");
    refused_maps(FAR_E_UNSUPPORTED, "store them as PNG", NULL);
    map[5 * W + 3] = 9;
    put_map("s/labels/x.png", map, H, W);
    FAR_CHECK_OK(far_dataset_open_label_maps(test_path("s"), &three, &set));
    FAR_CHECK_STATUS(far_dataset_read(set, 0, image, labels), FAR_E_FORMAT);
    FAR_CHECK_HAS(far_error_message(), "labels/x.png: row 5: label 9, but there are 3 classes, 0 to 2");
    far_dataset_close(set);
    const far_pictures_opts one = { .values = few, .value_count = 1 };
    FAR_CHECK_OK(far_dataset_open_label_maps(test_path("s"), &one, &set));
    FAR_CHECK_STATUS(far_dataset_read(set, 0, image, labels), FAR_E_FORMAT);
    FAR_CHECK_HAS(far_error_message(), "labels/x.png: row 5: value 9 stands for no class");
    far_dataset_close(set);
    const far_pictures_opts colour = { .values = few, .value_count = 1, .values_are_colours = true };
    FAR_CHECK_OK(far_dataset_open_label_maps(test_path("s"), &colour, &set));
    FAR_CHECK_STATUS(far_dataset_read(set, 0, image, labels), FAR_E_FORMAT);
    FAR_CHECK_HAS(far_error_message(), "colour #090909 stands for no class");
    far_dataset_close(set);
    const far_pictures_opts doubled = { .values = twice, .value_count = 2 };
    refused_maps(FAR_E_ARG, "label value 3 is given twice", &doubled);
    const far_pictures_opts wide = { .labels_are_instances = true, .boundary = 17 };
    refused_maps(FAR_E_ARG, "17 pixels wide", &wide);
    const far_pictures_opts both = { .labels_are_instances = true, .values = few, .value_count = 1 };
    refused_maps(FAR_E_ARG, "one or the other", &both);
    const far_pictures_opts four = { .labels_are_instances = true, .class_count = 4 };
    refused_maps(FAR_E_ARG, "3 classes", &four);
}

/* --- both --- */

typedef struct reading {
    far_dataset *set;
    const float *want;
    bool is_same;
} reading;

static void *read_many(void *context)
{
    reading *r = context;
    const far_region region = { 3, 5, 20, 30, 16, 16 };
    float image[16 * 16 * 3];
    int32_t label;
    r->is_same = true;
    for (int i = 0; i < 100; i++) {
        const int64_t idx = i % 3;
        if (far_dataset_read_region(r->set, idx, &region, image, &label) != FAR_OK) r->is_same = false;
        if (memcmp(image, r->want + idx * 16 * 16 * 3, sizeof image) != 0) r->is_same = false;
    }
    return NULL;
}

FAR_TEST(several_threads_read_the_same)
{
    static float want[3 * 16 * 16 * 3];
    const far_region region = { 3, 5, 20, 30, 16, 16 };
    far_dataset *set = NULL;
    reading readings[3];
    pthread_t threads[3];
    int32_t label;
    FAR_CHECK_OK(far_dataset_open_images(put_pack("c.tar", pack(classes, FAR_COUNT(classes))), NULL, &set));
    for (int64_t i = 0; i < 3; i++)
        FAR_CHECK_OK(far_dataset_read_region(set, i, &region, want + i * 16 * 16 * 3, &label));
    for (int i = 0; i < 3; i++) {
        readings[i] = (reading){ set, want, false };
        FAR_CHECK_EQ_I64(pthread_create(&threads[i], NULL, read_many, &readings[i]), 0);
    }
    for (int i = 0; i < 3; i++) {
        (void)pthread_join(threads[i], NULL);
        FAR_CHECK(readings[i].is_same);
    }
    far_dataset_close(set);
    FAR_CHECK_EQ_I64(fari_alloc_live(), 0);
}

static far_status open_and_read(const char *path, const far_pictures_opts *opts)
{
    static float image[64 * 64 * 3];
    static int32_t labels[64 * 64];
    far_dataset *set = NULL;
    far_status st = opts->labels_are_instances ? far_dataset_open_label_maps(path, opts, &set)
                                               : far_dataset_open_images(path, opts, &set);
    if (st != FAR_OK) return st;
    st = far_dataset_read(set, 0, image, labels);
    far_dataset_close(set);
    return st;
}

FAR_TEST(each_allocation_may_fail)
{
    char paths[2][1024];
    (void)snprintf(paths[0], sizeof paths[0], "%s", put_pack("c.tar", pack(classes, FAR_COUNT(classes))));
    put_picture("s/images/x.png", "png_rgb.png");
    put_map("s/instances/x.png", map, H, W);
    (void)snprintf(paths[1], sizeof paths[1], "%s", test_path("s"));
    for (int kind = 0; kind < 2; kind++) {
        const far_pictures_opts opts = { .labels_are_instances = kind == 1 };
        far_status st = FAR_E_NOMEM;
        for (int64_t nth = 0; st != FAR_OK && nth < 200; nth++) {
            fari_alloc_fail_after(nth);
            st = open_and_read(paths[kind], &opts);
            fari_alloc_fail_after(-1);
            if (st != FAR_OK) FAR_CHECK_EQ_I64(st, FAR_E_NOMEM);
            FAR_CHECK_EQ_I64(fari_alloc_live(), 0);
        }
        FAR_CHECK_OK(st);
    }
}

/* What a loader says it needs is made when it is opened; then batches come without any allocation of ours. */
FAR_TEST(batches_allocate_nothing)
{
    char path[1024];
    (void)snprintf(path, sizeof path, "%s", put_pack("c.tar", pack(classes, FAR_COUNT(classes))));
    put_picture("s/images/x.png", "png_interlaced.png");
    put_picture("s/images/y.jpg", "jpeg_cmyk.jpg");
    fill_objects();
    put_map("s/instances/x.png", map, H, W);
    put_map("s/instances/y.png", map, H, W);
    for (int kind = 0; kind < 2; kind++) {
        far_dataset *set = NULL;
        far_loader *loader = NULL;
        far_batch batch;
        const far_pictures_opts maps = { .labels_are_instances = true };
        const far_loader_opts opts = {
            .batch = 2,
            .shuffle = true,
            .threads = 3,
            .augment = { .frame = { .fit = FAR_FIT_RANDOM_RESIZED_CROP, .height = 24, .width = 16 } }
        };
        if (kind == 0) FAR_CHECK_OK(far_dataset_open_images(path, NULL, &set));
        else FAR_CHECK_OK(far_dataset_open_label_maps(test_path("s"), &maps, &set));
        const int64_t needed = far_loader_bytes(set, &opts);
        FAR_CHECK_OK(far_loader_open(set, &opts, &loader));
        FAR_CHECK(needed > 2 * 3 * 24 * 16 * 3 * 4); /* batches alone */
        const int64_t before = fari_alloc_forbidden_count();
        fari_alloc_forbid(true);
        for (int i = 0; i < 40; i++) FAR_CHECK_OK(far_loader_next(loader, &batch));
        fari_alloc_forbid(false);
        FAR_CHECK_EQ_I64(fari_alloc_forbidden_count(), before);
        far_loader_close(loader);
        far_dataset_close(set);
        FAR_CHECK_EQ_I64(fari_alloc_live(), 0);
    }
}

/* --- real sets --- */

FAR_TEST(clothing)
{
    static float image[224 * 224 * 3];
    far_dataset *set = NULL;
    int32_t label = -1;
    const char *path = shared("clothing-cc0-subset.tar");
    FAR_CHECK_OK(far_dataset_open_images(path, NULL, &set));
    FAR_CHECK_EQ_I64(far_dataset_info_of(set).sample_count, 800);
    FAR_CHECK_EQ_I64(far_dataset_info_of(set).class_count, 10);
    FAR_CHECK_STR(far_dataset_class_name(set, 9), "t-shirt");
    for (int64_t i = 0; i < 800; i += 50) {
        far_region r = { 0, 0, 0, 0, 224, 224 };
        FAR_CHECK_OK(far_dataset_extent(set, i, &r.height, &r.width));
        FAR_CHECK_OK(far_dataset_read_region(set, i, &r, image, &label));
        FAR_CHECK_EQ_I64(label, i / 80);
    }
    far_dataset_close(set);
    const far_pictures_opts test = { .part = FAR_DATA_TEST };
    FAR_CHECK_OK(far_dataset_open_images(path, &test, &set));
    FAR_CHECK_EQ_I64(far_dataset_info_of(set).sample_count, 341);
    far_dataset_close(set);
}

FAR_TEST(nuclei)
{
    far_dataset *set = NULL;
    const char *path = shared("nuclei-cc0.tar");
    const far_pictures_opts opts = { .images = "images/*.png",
                                     .labels = "instances/*.png",
                                     .labels_are_instances = true };
    FAR_CHECK_OK(far_dataset_open_label_maps(path, &opts, &set));
    const far_dataset_info info = far_dataset_info_of(set);
    FAR_CHECK(info.sample_count == 196 && info.class_count == 3 && info.channels == 3 && info.varies);
    FAR_CHECK(info.height == 1024 && info.width == 1272);
    FAR_CHECK_EQ_I64(strlen(far_dataset_sample_name(set, 0)), 64);
    FAR_CHECK_STR(far_dataset_class_name(set, 2), "boundary");
    float *image = malloc((size_t)(info.height * info.width * 3) * sizeof *image);
    int32_t *labels = malloc((size_t)(info.height * info.width) * sizeof *labels);
    for (int64_t i = 0; i < 10; i++) {
        int64_t height, width, counts[3] = { 0 };
        FAR_CHECK_OK(far_dataset_extent(set, i, &height, &width));
        FAR_CHECK_OK(far_dataset_read(set, i, image, labels));
        for (int64_t k = 0; k < height * width; k++) counts[labels[k]]++;
        FAR_CHECK(counts[0] > 0 && counts[1] > 0 && counts[2] > 0);
    }
    free(labels);
    free(image);
    far_dataset_close(set);
}
