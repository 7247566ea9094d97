/* The bytes choose the names in an archive, its small pictures, some of them damaged, and what is asked of a set of them: classes or label maps, by which
   patterns and values. Whatever opens can be read, or is refused with words. Bytes turned in an archive itself: fuzz_archive; in a picture: fuzz_png. */
#include "base/mem.h"
#include "base/png.h"
#include "base/status.h"
#include "fuzz/folder_input.h"
#include <archive.h>
#include <archive_entry.h>
#include <farandole/pictures.h>

#define FILES_MAX 12
#define PIECES_MAX 6 /* of a name */
#define SIDE_MAX 9
#define ARCHIVE_BYTES (64 << 10)

typedef struct choices {
    const uint8_t *data;
    size_t left;
} choices;

static unsigned byte_of(choices *c)
{
    if (c->left == 0) return 0;
    c->left--;
    return *c->data++;
}

static unsigned one_of(choices *c, unsigned count)
{
    return byte_of(c) % count;
}

/* --- the archive --- */

static void name_of(choices *c, char name_out[PIECES_MAX * 16])
{
    static const char *const pieces[] = { "train/", "val/", "test/", "images/", "labels/", "masks/", "set/",
                                          "a/",     "b/",   "a",     "b",       "1",       "2",      ".png",
                                          ".png",   ".jpg", ".PNG",  ".tif",    "_mask",   "-",      "/",
                                          "../",    "./",   ".",     "\xC3\xA9" };
    const unsigned count = 1 + one_of(c, PIECES_MAX);
    name_out[0] = '\0';
    for (unsigned i = 0; i < count; i++) {
        const unsigned pick = byte_of(c);
        const char any[2] = { (char)pick, '\0' };
        const char *piece = pick < 5 * FAR_COUNT(pieces) ? pieces[pick % FAR_COUNT(pieces)] : any;
        (void)snprintf(name_out + strlen(name_out), 16, "%s", piece);
    }
}

/* A picture, sound or with a byte changed or its end cut off; or what is none. */
static uint8_t *content_of(choices *c, size_t *bytes_out)
{
    static const uint8_t palette[4][3] = { { 0, 0, 0 }, { 255, 0, 0 }, { 0, 0, 1 }, { 255, 255, 255 } };
    static uint8_t pixels[SIDE_MAX * SIDE_MAX * 3];
    const unsigned kind = one_of(c, 4), damage = byte_of(c);
    const unsigned height = 1 + one_of(c, SIDE_MAX), width = 1 + one_of(c, SIDE_MAX);
    const unsigned first = byte_of(c), step = byte_of(c);
    const fari_png png = { pixels, height, width, kind == 2 ? 3 : 1, kind == 1 ? palette : NULL, FAR_COUNT(palette) };
    uint8_t *file = NULL;
    for (unsigned i = 0; i < FAR_COUNT(pixels); i++)
        pixels[i] = (uint8_t)(kind == 1 ? (first + i * step) % FAR_COUNT(palette) : first + i / 7 * step);
    if (fari_png_encode(&png, &file, bytes_out) != FAR_OK) abort();
    if (kind == 3) *bytes_out = damage % 64 < *bytes_out ? damage % 64 : *bytes_out;
    if (damage < 32 && *bytes_out > 0) file[byte_of(c) % *bytes_out] ^= (uint8_t)(1U << damage % 8);
    return file;
}

static void add_file(choices *c, struct archive *a)
{
    char name[PIECES_MAX * 16];
    size_t bytes = 0;
    name_of(c, name);
    uint8_t *file = content_of(c, &bytes);
    struct archive_entry *entry = archive_entry_new();
    archive_entry_set_pathname(entry, name);
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_entry_set_perm(entry, 0644);
    archive_entry_set_size(entry, (la_int64_t)bytes);
    if (archive_write_header(a, entry) == ARCHIVE_OK && bytes > 0) (void)archive_write_data(a, file, bytes);
    archive_entry_free(entry);
    fari_free(file);
}

static void put_archive(choices *c)
{
    static char data[ARCHIVE_BYTES];
    size_t bytes = 0;
    struct archive *a = archive_write_new();
    if (archive_write_set_format_ustar(a) != ARCHIVE_OK ||
        archive_write_open_memory(a, data, sizeof data, &bytes) != ARCHIVE_OK)
        abort();
    for (unsigned i = 0; i < FILES_MAX && c->left > 0; i++) add_file(c, a);
    if (archive_write_close(a) != ARCHIVE_OK) abort();
    (void)archive_write_free(a);
    input_put("set.tar", data, bytes);
}

/* --- the set --- */

static far_status open_set(choices *c, const char *path, bool *is_maps_out, far_dataset **set_out)
{
    static const char *const images[] = { NULL, "images/*.png", "**.png", "a/*/*", "*", "**/images/*.png", "a*", "no" };
    static const char *const labels[] = { NULL, "labels/*.png", "**_mask.png", "b/*/*", "*", "**/labels/*.png", "b*" };
    static int32_t values[4], ignored[2];
    const unsigned flags = byte_of(c), parts = byte_of(c);
    *is_maps_out = (flags & 1) != 0;
    far_pictures_opts opts = { .part = (far_data_part)(parts % 3),
                               .channels = parts / 3 % 3 == 2 ? 3 : (int32_t)(parts / 3 % 3),
                               .class_count = (int32_t)one_of(c, 5),
                               .keep_broken = (flags & 2) != 0,
                               .labels_are_instances = (flags & 4) != 0,
                               .boundary = (int32_t)(flags >> 6),
                               .values_are_colours = (flags & 8) != 0 };
    const unsigned pick = byte_of(c);
    if (pick % 2 == 1) {
        opts.images = images[pick / 2 % FAR_COUNT(images)];
        opts.labels = labels[pick / 16 % FAR_COUNT(labels)];
    }
    if ((flags & 16) != 0) {
        opts.values = values;
        opts.value_count = 1 + (int32_t)one_of(c, FAR_COUNT(values));
        for (int32_t i = 0; i < opts.value_count; i++) {
            const unsigned byte = byte_of(c), shift = opts.values_are_colours ? one_of(c, 24) : 0;
            values[i] = (int32_t)(byte << shift);
        }
    }
    if ((flags & 32) != 0) {
        opts.ignored = ignored;
        opts.ignored_count = (int32_t)FAR_COUNT(ignored);
        for (unsigned i = 0; i < FAR_COUNT(ignored); i++) ignored[i] = (int32_t)byte_of(c);
    }
    return *is_maps_out ? far_dataset_open_label_maps(path, &opts, set_out)
                        : far_dataset_open_images(path, &opts, set_out);
}

static void check_values(const far_dataset_info *info, int64_t pixels, const float *image, const int32_t *label)
{
    const int64_t labels = info->label == FAR_LABEL_MAP ? pixels : info->label == FAR_LABEL_CLASS ? 1 : 0;
    for (int64_t i = 0; i < pixels * info->channels; i++)
        if (!(image[i] >= 0.0f && image[i] <= 1.00001f)) abort();
    for (int64_t i = 0; i < labels; i++)
        if (label[i] != FAR_LABEL_IGNORE && (label[i] < 0 || label[i] >= info->class_count)) abort();
}

static void check_sample(far_dataset *set, int64_t idx, const char *path)
{
    static float image[SIDE_MAX * SIDE_MAX * 3];
    static int32_t label[SIDE_MAX * SIDE_MAX];
    const far_dataset_info info = far_dataset_info_of(set);
    int64_t height = 0, width = 0;
    const char *name = far_dataset_sample_name(set, idx);
    if (name == NULL || name[0] == '\0') abort();
    if (far_dataset_extent(set, idx, &height, &width) != FAR_OK) abort();
    if (height < 1 || height > info.height || width < 1 || width > info.width) abort();
    far_error_clear();
    const far_status st = far_dataset_read(set, idx, image, label);
    if (st != FAR_OK && strstr(far_error_message(), path) == NULL) abort();
    if (st == FAR_OK) check_values(&info, height * width, image, label);
    const far_region part = { height / 2, 0, height - height / 2, (width + 1) / 2, 4, 5 };
    if (far_dataset_read_region(set, idx, &part, image, label) == FAR_OK) check_values(&info, 20, image, label);
    else if (far_error_message()[0] == '\0') abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    char path[256];
    choices c = { data, bytes };
    /* what is asked first, so that it stays when files are added */
    choices asked = { data, bytes < 12 ? bytes : 12 };
    far_dataset *set = NULL;
    bool is_maps = false;
    c.data += asked.left;
    c.left -= asked.left;
    put_archive(&c);
    (void)snprintf(path, sizeof path, "%s", input_path("set.tar"));
    far_error_clear();
    const far_pictures_kind kind = far_pictures_kind_of(path);
    if (kind < FAR_PICTURES_NONE || kind > FAR_PICTURES_LABEL_MAPS) abort();
    const far_status st = open_set(&asked, path, &is_maps, &set);
    if (st == FAR_OK) {
        const far_dataset_info info = far_dataset_info_of(set);
        if (info.sample_count < 1 || (is_maps && info.label != FAR_LABEL_MAP)) abort();
        if (info.channels != 1 && info.channels != 3) abort();
        if (info.height <= SIDE_MAX && info.width <= SIDE_MAX) /* else a damaged header says so */
            for (int64_t i = 0; i < info.sample_count; i++) check_sample(set, i, path);
        far_dataset_close(set);
    } else if (set != NULL || far_error_message()[0] == '\0') {
        abort();
    }
    if (fari_alloc_live() != 0) abort();
    return 0;
}
