/* Files: whole reads, writes that are there or not, full disks. */
#include "base/file.h"
#include "base/mem.h"
#include "support/temp_folder.h"
#include "test.h"
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static void put(const char *path, const char *text)
{
    FAR_CHECK_OK(fari_file_write_atomic(path, text, strlen(text)));
}

static void check_content(const char *path, const char *want)
{
    char *data = NULL;
    size_t bytes = 0;
    FAR_CHECK_OK(fari_file_read(path, 1 << 20, &data, &bytes));
    FAR_CHECK_EQ_U64(bytes, strlen(want));
    FAR_CHECK_STR(data, want);
    fari_free(data);
}

FAR_TEST(write_then_read)
{
    put(test_path("a.txt"), "first");
    check_content(test_path("a.txt"), "first");
    put(test_path("a.txt"), "second, longer");
    check_content(test_path("a.txt"), "second, longer");
    put(test_path("empty"), "");
    check_content(test_path("empty"), "");
    char **names = NULL;
    int64_t count = 0;
    FAR_CHECK_OK(fari_folder_list(test_path(""), &names, &count));
    FAR_CHECK_EQ_I64(count, 2); /* no temporary file is left */
    FAR_CHECK_STR(names[0], "a.txt");
    FAR_CHECK_STR(names[1], "empty");
    fari_names_free(names, count);
    FAR_CHECK_OK(fari_remove_tree(test_path("")));
    FAR_CHECK(!fari_path_exists(test_path("")));
    FAR_CHECK_EQ_I64(fari_alloc_live(), 0);
}

FAR_TEST(errors_name_the_path)
{
    char *data = NULL;
    size_t bytes = 0;
    FAR_CHECK_STATUS(fari_file_read(test_path("none"), 100, &data, &bytes), FAR_E_NOTFOUND);
    FAR_CHECK_HAS(far_error_message(), "/none");
    FAR_CHECK_STATUS(fari_file_read(test_path(""), 100, &data, &bytes), FAR_E_IO);
    FAR_CHECK_HAS(far_error_message(), "folder");
    put(test_path("long"), "12345");
    FAR_CHECK_STATUS(fari_file_read(test_path("long"), 4, &data, &bytes), FAR_E_FORMAT);
    FAR_CHECK_HAS(far_error_message(), "5 bytes");
    FAR_CHECK_STATUS(fari_file_write_atomic(test_path("no/such/file"), "x", 1), FAR_E_NOTFOUND);
    FAR_CHECK_HAS(far_error_message(), "no/such/file");
    FAR_CHECK_STATUS(fari_folder_make(test_path("long/inner")), FAR_E_IO); /* a file is in the way */
    FAR_CHECK(data == NULL);
}

FAR_TEST(reads_what_has_no_size)
{
    char *data = NULL;
    size_t bytes = 0;
    FAR_CHECK_OK(fari_file_read("/proc/self/status", 1 << 20, &data, &bytes));
    FAR_CHECK(bytes > 100 && strlen(data) == bytes);
    fari_free(data);
    FAR_CHECK_STATUS(fari_file_read("/dev/zero", 1 << 20, &data, &bytes), FAR_E_FORMAT);
}

FAR_TEST(cut_files_are_noticed)
{
    char data[10];
    int fd = -1;
    int64_t bytes = 0;
    put(test_path("cut"), "0123456789");
    FAR_CHECK_OK(fari_file_open(test_path("cut"), &fd, &bytes));
    FAR_CHECK_EQ_I64(bytes, 10);
    FAR_CHECK(truncate(test_path("cut"), 7) == 0);
    FAR_CHECK_OK(fari_file_read_at(fd, "cut", 2, data, 5));
    FAR_CHECK(memcmp(data, "23456", 5) == 0);
    FAR_CHECK_STATUS(fari_file_read_at(fd, "cut", 2, data, 6), FAR_E_FORMAT);
    FAR_CHECK_HAS(far_error_message(), "byte 7");
    fari_file_close(fd);
}

FAR_TEST(full_disk_by_dev_full)
{
    int fd = -1;
    if (access("/dev/full", W_OK) != 0) FAR_SKIP("no /dev/full");
    FAR_CHECK_OK(fari_file_create("/dev/full", &fd));
    FAR_CHECK_STATUS(fari_file_write(fd, "/dev/full", "x", 1), FAR_E_IO);
    FAR_CHECK_HAS(far_error_message(), "No space left");
    FAR_CHECK_HAS(far_error_message(), "make room");
    (void)close(fd);
}

FAR_TEST(failed_write_keeps_the_old_file)
{
    static char large[100000];
    struct rlimit limit = { 4096, 4096 };
    put(test_path("kept"), "old");
    (void)signal(SIGXFSZ, SIG_IGN);
    FAR_CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0); /* files end at 4 KiB, as on a full disk */
    FAR_CHECK_STATUS(fari_file_write_atomic(test_path("kept"), large, sizeof large), FAR_E_IO);
    FAR_CHECK_HAS(far_error_message(), "/kept");
    check_content(test_path("kept"), "old");
    char **names = NULL;
    int64_t count = 0;
    FAR_CHECK_OK(fari_folder_list(test_path(""), &names, &count));
    FAR_CHECK_EQ_I64(count, 1);
    fari_names_free(names, count);
}

FAR_TEST(folders_links_and_removal)
{
    char target[64];
    FAR_CHECK_OK(fari_folder_make(test_path("a/b//c/")));
    FAR_CHECK_OK(fari_folder_make(test_path("a/b/c")));
    FAR_CHECK(fari_path_is_folder(test_path("a/b/c")));
    put(test_path("a/b/c/file"), "x");
    put(test_path("outside"), "stays");
    FAR_CHECK_OK(fari_link_atomic("../../outside", test_path("a/b/link")));
    FAR_CHECK_OK(fari_link_atomic("c", test_path("a/b/link"))); /* in place of the first */
    const ssize_t length = readlink(test_path("a/b/link"), target, sizeof target);
    FAR_CHECK(length == 1 && target[0] == 'c');
    FAR_CHECK_OK(fari_link_atomic("../../outside", test_path("a/b/link")));
    FAR_CHECK_OK(fari_remove_tree(test_path("a")));
    FAR_CHECK(!fari_path_exists(test_path("a")));
    check_content(test_path("outside"), "stays"); /* the link went, not what it points to */
    FAR_CHECK_OK(fari_remove_tree(test_path("a")));
    FAR_CHECK_EQ_I64(fari_alloc_live(), 0);
}

FAR_TEST(each_allocation_may_fail)
{
    put(test_path("file"), "content");
    far_status st = FAR_E_NOMEM;
    for (int64_t nth = 0; st == FAR_E_NOMEM && nth < 100; nth++) {
        char *data = NULL, **names = NULL;
        size_t bytes = 0;
        int64_t count = 0;
        fari_alloc_fail_after(nth);
        st = fari_folder_make(test_path("x/y"));
        if (st == FAR_OK) st = fari_file_write_atomic(test_path("x/y/z"), "12", 2);
        if (st == FAR_OK) st = fari_file_read(test_path("x/y/z"), 100, &data, &bytes);
        if (st == FAR_OK) st = fari_folder_list(test_path(""), &names, &count);
        if (st == FAR_OK) st = fari_link_atomic("y", test_path("x/link"));
        if (st == FAR_OK) st = fari_remove_tree(test_path("x"));
        fari_alloc_fail_after(-1);
        fari_free(data);
        fari_names_free(names, count);
        FAR_CHECK_EQ_I64(fari_alloc_live(), 0);
    }
    FAR_CHECK_OK(st);
}
