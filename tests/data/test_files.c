/* Collections of files: folders, plain and packed archives, and what is wrong with them. */
#include "base/file.h"
#include "base/mem.h"
#include "data/archives.h"
#include "data/files.h"

enum { BIG = 70000 };

static char big[BIG];

static void fill(void)
{
    uint32_t state = 1;
    for (int i = 0; i < BIG; i++) {
        state = state * 1664525 + 1013904223;
        big[i] = (char)(state >> 24);
    }
}

static packing sample(int format, int filter)
{
    packing p = pack_begin(format, filter);
    fill();
    pack_open(&p);
    pack_add(&p, "set/", NULL, 0);
    pack_add(&p, "set/b.txt", "second", 6);
    pack_add(&p, "set/a.bin", big, BIG);
    pack_add(&p, "set/.hidden", "x", 1);
    pack_add(&p, "./set/deep/er/c.txt", "third", 5);
    pack_add(&p, "set/empty", "", 0);
    pack_add(
        &p,
        "set/a folder with a name of many characters, for the oldest tar/has room for a hundred of them and has to split the name.txt",
        "long", 4);
    pack_end(&p);
    return p;
}

static void check_sample(const fari_files *files)
{
    static char room[BIG];
    const uint8_t *data = NULL;
    char label[FARI_FILES_LABEL];
    const int64_t a = fari_files_find(files, "set/a.bin"), b = fari_files_find(files, "set/b.txt");
    const int64_t c = fari_files_find(files, "set/deep/er/c.txt"), empty = fari_files_find(files, "set/empty");
    FAR_CHECK(a >= 0 && b >= 0 && c >= 0 && empty >= 0);
    FAR_CHECK_EQ_I64(fari_files_find(files, "set/.hidden"), -1);
    FAR_CHECK_EQ_I64(fari_files_find(files, "set/"), 0);
    FAR_CHECK_STR(fari_files_name(files, a), "set/a.bin");
    FAR_CHECK_EQ_I64(fari_files_bytes(files, a), BIG);
    for (int64_t i = 1; i < fari_files_count(files); i++)
        FAR_CHECK(strcmp(fari_files_name(files, i - 1), fari_files_name(files, i)) < 0);
    FAR_CHECK_OK(fari_files_get(files, a, room, &data));
    FAR_CHECK(memcmp(data, big, BIG) == 0);
    FAR_CHECK_OK(fari_files_read(files, a, 33333, room, 1000));
    FAR_CHECK(memcmp(room, big + 33333, 1000) == 0);
    FAR_CHECK_OK(fari_files_get(files, b, room, &data));
    FAR_CHECK(memcmp(data, "second", 6) == 0);
    FAR_CHECK_OK(fari_files_get(files, empty, room, &data));
    FAR_CHECK_STATUS(fari_files_read(files, c, 3, room, 3), FAR_E_FORMAT);
    FAR_CHECK_HAS(far_error_message(), "set/deep/er/c.txt ends at byte 5, before byte 6");
    FAR_CHECK_HAS(fari_files_name_for_people(files, b, label), "set/b.txt");
    FAR_CHECK(fari_files_memory(files) > 0);
}

static const struct {
    int format, filter;
    const char *name;
} kinds[] = {
    { ARCHIVE_FORMAT_TAR_USTAR, ARCHIVE_FILTER_NONE, "x.tar" },
    { ARCHIVE_FORMAT_TAR_PAX_INTERCHANGE, ARCHIVE_FILTER_NONE, "pax.tar" },
    { ARCHIVE_FORMAT_TAR_GNUTAR, ARCHIVE_FILTER_NONE, "gnu.tar" },
    { ARCHIVE_FORMAT_TAR_PAX_INTERCHANGE, ARCHIVE_FILTER_GZIP, "x.tar.gz" },
    { ARCHIVE_FORMAT_TAR_PAX_INTERCHANGE, ARCHIVE_FILTER_XZ, "x.tar.xz" },
    { ARCHIVE_FORMAT_TAR_PAX_INTERCHANGE, ARCHIVE_FILTER_ZSTD, "x.tar.zst" },
    { ARCHIVE_FORMAT_ZIP, ARCHIVE_FILTER_NONE, "x.zip" },
};

FAR_TEST(archives_of_every_kind)
{
    for (size_t i = 0; i < FAR_COUNT(kinds); i++) {
        packing p = sample(kinds[i].format, kinds[i].filter);
        fari_files *files = NULL;
        const char *path = test_path(kinds[i].name);
        FAR_CHECK_OK(fari_file_write_atomic(path, p.data, p.bytes));
        FAR_CHECK_OK(fari_files_open(path, NULL, NULL, &files));
        check_sample(files);
        const bool is_plain = i < 3;
        FAR_CHECK((fari_files_memory(files) > BIG) == !is_plain);
        fari_files_close(files);
        FAR_CHECK_OK(fari_files_open_memory("memory", p.data, p.bytes, &files));
        check_sample(files);
        fari_files_close(files);
        free(p.data);
    }
    FAR_CHECK_EQ_I64(fari_alloc_live(), 0);
}

static void put(const char *name, const void *data, size_t bytes)
{
    FAR_CHECK_OK(fari_file_write_atomic(test_path(name), data, bytes));
}

FAR_TEST(a_folder_and_all_below_it)
{
    fari_files *files = NULL;
    fill();
    FAR_CHECK_OK(fari_folder_make(test_path("set/deep/er")));
    put("set/a.bin", big, BIG);
    put("set/b.txt", "second", 6);
    put("set/.hidden", "x", 1);
    put("set/deep/er/c.txt", "third", 5);
    put("set/empty", "", 0);
    FAR_CHECK_EQ_I64(symlink("nowhere", test_path("set/dangling")), 0);
    FAR_CHECK_OK(fari_files_open(test_path(""), NULL, NULL, &files));
    check_sample(files);
    FAR_CHECK_EQ_I64(fari_files_count(files), 7);
    char room[8];
    const int64_t b = fari_files_find(files, "set/b.txt");
    FAR_CHECK_EQ_I64(unlink(test_path("set/b.txt")), 0); /* gone since */
    FAR_CHECK_STATUS(fari_files_read(files, b, 0, room, 1), FAR_E_IO);
    FAR_CHECK_HAS(far_error_message(), "set/b.txt");
    fari_files_close(files);
    FAR_CHECK_EQ_I64(symlink(".", test_path("set/circle")), 0);
    FAR_CHECK_STATUS(fari_files_open(test_path(""), NULL, NULL, &files), FAR_E_UNSUPPORTED);
    FAR_CHECK_HAS(far_error_message(), "goes in circles");
    FAR_CHECK_EQ_I64(fari_alloc_live(), 0);
}

static bool is_text(const char *name, void *context)
{
    (void)context;
    const size_t length = strlen(name);
    return length > 4 && strcmp(name + length - 4, ".txt") == 0;
}

FAR_TEST(only_what_is_wanted_takes_memory)
{
    packing p = sample(ARCHIVE_FORMAT_TAR_PAX_INTERCHANGE, ARCHIVE_FILTER_GZIP);
    fari_files *files = NULL;
    put("x.tgz", p.data, p.bytes);
    FAR_CHECK_OK(fari_files_open(test_path("x.tgz"), is_text, NULL, &files));
    FAR_CHECK(fari_files_memory(files) < BIG);
    FAR_CHECK(fari_files_find(files, "set/b.txt") >= 0 && fari_files_find(files, "set/a.bin") < 0);
    fari_files_close(files);
    free(p.data);
}

FAR_TEST(of_equal_names_the_last_counts)
{
    packing p = pack_begin(ARCHIVE_FORMAT_TAR_USTAR, ARCHIVE_FILTER_NONE);
    fari_files *files = NULL;
    const uint8_t *data = NULL;
    pack_open(&p);
    pack_add(&p, "a", "old", 3);
    pack_add(&p, "b", "b", 1);
    pack_add(&p, "a", "newer", 5);
    pack_end(&p);
    FAR_CHECK_OK(fari_files_open_memory("m", p.data, p.bytes, &files));
    FAR_CHECK_EQ_I64(fari_files_count(files), 2);
    FAR_CHECK_EQ_I64(fari_files_bytes(files, 0), 5);
    FAR_CHECK_OK(fari_files_get(files, 0, NULL, &data));
    FAR_CHECK(memcmp(data, "newer", 5) == 0);
    fari_files_close(files);
    free(p.data);
    FAR_CHECK_EQ_I64(fari_alloc_live(), 0);
}

/* Cut anywhere, an archive is refused, and the message names it. */
FAR_TEST(cut_short)
{
    for (size_t i = 0; i < FAR_COUNT(kinds); i++) {
        packing p = sample(kinds[i].format, kinds[i].filter);
        for (size_t bytes = 1; bytes + 600 < p.bytes; bytes += 1 + p.bytes / 31) {
            fari_files *files = NULL;
            char *exact = malloc(bytes);
            memcpy(exact, p.data, bytes);
            FAR_CHECK_STATUS(fari_files_open_memory("memory", exact, bytes, &files), FAR_E_FORMAT);
            free(exact);
        }
        fari_files *files = NULL;
        put(kinds[i].name, p.data, p.bytes / 2);
        FAR_CHECK_STATUS(fari_files_open(test_path(kinds[i].name), NULL, NULL, &files), FAR_E_FORMAT);
        FAR_CHECK_HAS(far_error_message(), kinds[i].name);
        free(p.data);
    }
    FAR_CHECK_EQ_I64(fari_alloc_live(), 0);
}

FAR_TEST(cut_between_two_members)
{
    packing p = sample(ARCHIVE_FORMAT_TAR_USTAR, ARCHIVE_FILTER_NONE);
    fari_files *files = NULL;
    FAR_CHECK_STATUS(fari_files_open_memory("m.tar", p.data, 512 + 1024, &files), FAR_E_FORMAT); /* set/, set/b.txt */
    FAR_CHECK_HAS(far_error_message(), "m.tar is cut short");
    FAR_CHECK_HAS(far_error_message(), "two blocks of zeros");
    free(p.data);
}

FAR_TEST(what_is_refused)
{
    fari_files *files = NULL;
    FAR_CHECK_STATUS(fari_files_open(test_path("nowhere.tar"), NULL, NULL, &files), FAR_E_NOTFOUND);
    FAR_CHECK_HAS(far_error_message(), "nowhere.tar");
    fill();
    put("noise.tar", big, BIG);
    FAR_CHECK_STATUS(fari_files_open(test_path("noise.tar"), NULL, NULL, &files), FAR_E_FORMAT);
    FAR_CHECK_HAS(far_error_message(), "neither a folder nor an archive");
    put("empty.tar", "", 0);
    FAR_CHECK_STATUS(fari_files_open(test_path("empty.tar"), NULL, NULL, &files), FAR_E_FORMAT);
    packing p = pack_begin(ARCHIVE_FORMAT_TAR_USTAR, ARCHIVE_FILTER_NONE);
    pack_open(&p);
    struct archive_entry *link = archive_entry_new();
    archive_entry_set_pathname(link, "link.jpg");
    archive_entry_set_filetype(link, AE_IFLNK);
    archive_entry_set_symlink(link, "elsewhere.jpg");
    FAR_CHECK_EQ_I64(archive_write_header(p.a, link), ARCHIVE_OK);
    archive_entry_free(link);
    pack_end(&p);
    FAR_CHECK_STATUS(fari_files_open_memory("m.tar", p.data, p.bytes, &files), FAR_E_UNSUPPORTED);
    FAR_CHECK_HAS(far_error_message(), "link.jpg is a link");
    free(p.data);
}

FAR_TEST(a_bomb_is_refused)
{
    packing p = pack_begin(ARCHIVE_FORMAT_TAR_USTAR, ARCHIVE_FILTER_XZ);
    fari_files *files = NULL;
    char *zeros = calloc(1, 1 << 25);
    pack_open(&p);
    pack_add(&p, "zeros.png", zeros, 1 << 25);
    pack_end(&p);
    FAR_CHECK_STATUS(fari_files_open_memory("m.tar.xz", p.data, p.bytes, &files), FAR_E_FORMAT);
    FAR_CHECK_HAS(far_error_message(), "made to fill the memory");
    free(zeros);
    free(p.data);
    FAR_CHECK_EQ_I64(fari_alloc_live(), 0);
}

FAR_TEST(each_allocation_may_fail)
{
    packing p = sample(ARCHIVE_FORMAT_TAR_PAX_INTERCHANGE, ARCHIVE_FILTER_GZIP);
    fari_files *files = NULL;
    far_status st = FAR_E_NOMEM;
    for (int64_t nth = 0; st != FAR_OK && nth < 100; nth++) {
        fari_alloc_fail_after(nth);
        st = fari_files_open_memory("m", p.data, p.bytes, &files);
        fari_alloc_fail_after(-1);
        if (st != FAR_OK) FAR_CHECK_EQ_I64(st, FAR_E_NOMEM);
        if (st != FAR_OK) FAR_CHECK_EQ_I64(fari_alloc_live(), 0);
    }
    FAR_CHECK_OK(st);
    fari_files_close(files);
    free(p.data);
}
