/* Collections: archives, by libarchive. */
#include "base/file.h"
#include "base/mem.h"
#include "base/status.h"
#include "data/files_priv.h"
#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define TAR_BLOCK 512
#define INDEX_BYTES 2048    /* read at a time where only headers are wanted */
#define STREAM_BYTES 131072 /* where all is unpacked */
#define PIECE_BYTES 65536
#define RATIO_MAX 1000 /* unpacked to packed; pictures are packed already */

/* An error of libarchive in words; `name` NULL: before any member. */
static far_status fail(const fari_files *files, struct archive *a, const char *name)
{
    const char *why = archive_error_string(a);
    if (archive_errno(a) == ENOMEM) return FAR_FAIL(FAR_E_NOMEM, "no memory to read %s", files->label);
    if (name == NULL && files->count == 0)
        return FAR_FAIL(FAR_E_FORMAT,
                        "%s is neither a folder nor an archive that can be read (tar, tar.gz, zip...): %s",
                        files->label, why != NULL ? why : "its format is not known");
    return FAR_FAIL(FAR_E_FORMAT, "%s is damaged or cut short, after %" PRId64 " files%s%s: %s", files->label,
                    files->count, name != NULL ? ", in " : "", name != NULL ? name : "",
                    why != NULL ? why : "libarchive does not say why");
}

/* --- the archive's bytes --- */

/* libarchive's own reader of files takes 64 KiB for each header that it looks at; with many members that is the whole archive. */
typedef struct stream {
    const fari_files *files;
    int64_t at;
    size_t block;
    unsigned char data[STREAM_BYTES];
} stream;

static la_ssize_t read_block(struct archive *a, void *context, const void **data_out)
{
    stream *s = context;
    const fari_files *files = s->files;
    const int64_t left = files->archive_bytes - s->at;
    const size_t bytes = left < (int64_t)s->block ? (size_t)(left > 0 ? left : 0) : s->block;
    *data_out = s->data;
    if (bytes == 0) return 0;
    if (files->memory != NULL) memcpy(s->data, files->memory + s->at, bytes);
    else if (fari_file_read_at(files->archive_fd, files->label, s->at, s->data, bytes) != FAR_OK) {
        archive_set_error(a, EIO, "%s", far_error_message());
        return ARCHIVE_FATAL;
    }
    s->at += (int64_t)bytes;
    return (la_ssize_t)bytes;
}

static la_int64_t skip_bytes(struct archive *a, void *context, la_int64_t bytes)
{
    stream *s = context;
    const int64_t left = s->files->archive_bytes - s->at;
    (void)a;
    if (bytes > left) bytes = left > 0 ? left : 0;
    s->at += bytes;
    return bytes;
}

static la_int64_t seek_to(struct archive *a, void *context, la_int64_t offset, int whence)
{
    stream *s = context;
    const int64_t from = whence == SEEK_SET ? 0 : whence == SEEK_CUR ? s->at : s->files->archive_bytes;
    if (offset < -from || offset > s->files->archive_bytes - from) {
        archive_set_error(a, EINVAL, "it refers to bytes outside of itself");
        return ARCHIVE_FATAL;
    }
    s->at = from + offset;
    return s->at;
}

static far_status open_archive(const fari_files *files, struct archive *a, stream *s)
{
    unsigned char head[TAR_BLOCK] = { 0 };
    const bool has_head = files->archive_bytes >= TAR_BLOCK;
    if (has_head && files->memory != NULL) memcpy(head, files->memory, sizeof head);
    else if (has_head) FAR_TRY(fari_file_read_at(files->archive_fd, files->label, 0, head, sizeof head));
    if (archive_read_support_format_tar(a) != ARCHIVE_OK || archive_read_support_format_zip(a) != ARCHIVE_OK)
        return fail(files, a, NULL);
    (void)archive_read_support_filter_gzip(a); /* a filter that this libarchive lacks: said when it is needed */
    (void)archive_read_support_filter_bzip2(a);
    (void)archive_read_support_filter_xz(a);
    (void)archive_read_support_filter_lzma(a);
    (void)archive_read_support_filter_zstd(a);
    (void)archive_read_support_filter_lz4(a);
    s->files = files;
    s->block = memcmp(head + 257, "ustar", 5) == 0 ? INDEX_BYTES : STREAM_BYTES;
    (void)archive_read_set_callback_data(a, s);
    (void)archive_read_set_read_callback(a, read_block);
    (void)archive_read_set_skip_callback(a, skip_bytes);
    (void)archive_read_set_seek_callback(a, seek_to);
    return archive_read_open1(a) == ARCHIVE_OK ? FAR_OK : fail(files, a, NULL);
}

/* --- members --- */

/* Unpacks the member to memory of its own. */
static far_status unpack(fari_files *files, struct archive *a, files_entry *entry, const char *name)
{
    int64_t cap = 0;
    const int64_t most = files->archive_bytes > INT64_MAX / RATIO_MAX / 2
                             ? INT64_MAX / 2
                             : files->archive_bytes * RATIO_MAX + PIECE_BYTES;
    for (;;) {
        if (!fari_reserve((void **)&entry->data, &cap, entry->bytes + PIECE_BYTES, 1))
            return FAR_FAIL(FAR_E_NOMEM, "no memory to unpack %s from %s: it has more than %" PRId64 " bytes", name,
                            files->label, entry->bytes);
        const la_ssize_t got = archive_read_data(a, entry->data + entry->bytes, (size_t)(cap - entry->bytes));
        if (got == 0) break;
        if (got < 0) return fail(files, a, name);
        entry->bytes += (int64_t)got;
        files->data_bytes += (int64_t)got;
        if (files->data_bytes > most)
            return FAR_FAIL(FAR_E_FORMAT,
                            "%s unpacks to more than %d times its size, in %s: such files are made to fill the memory",
                            files->label, RATIO_MAX, name);
    }
    uint8_t *exact = fari_realloc(entry->data, (size_t)entry->bytes); /* shrinks */
    if (exact != NULL) entry->data = exact;
    return FAR_OK;
}

static far_status locate(const fari_files *files, struct archive *a, files_entry *entry, const char *name,
                         int64_t bytes)
{
    entry->offset = archive_filter_bytes(a, -1);
    entry->bytes = bytes;
    if (entry->offset % TAR_BLOCK != 0)
        return FAR_FAIL(FAR_E_INTERNAL, "%s: %s begins at byte %" PRId64, files->label, name, entry->offset);
    if (bytes < 0 || bytes > files->archive_bytes || entry->offset > files->archive_bytes - bytes)
        return FAR_FAIL(FAR_E_FORMAT,
                        "%s is cut short: its %s should end at byte %" PRId64 ", the archive ends at %" PRId64,
                        files->label, name, entry->offset + bytes, files->archive_bytes);
    return FAR_OK;
}

static bool is_plain_tar(struct archive *a)
{
    return (archive_format(a) & ARCHIVE_FORMAT_BASE_MASK) == ARCHIVE_FORMAT_TAR &&
           archive_filter_code(a, 0) == ARCHIVE_FILTER_NONE;
}

static far_status add_member(fari_files *files, struct archive *a, struct archive_entry *member)
{
    const char *full = archive_entry_pathname_utf8(member);
    if (full == NULL) full = archive_entry_pathname(member);
    if (full == NULL) return FAR_FAIL(FAR_E_FORMAT, "%s: member %" PRId64 " has no name", files->label, files->count);
    if (strlen(full) > FILES_NAME_MAX)
        return FAR_FAIL(FAR_E_UNSUPPORTED, "%s: a name longer than %d bytes, %.200s...", files->label, FILES_NAME_MAX,
                        full);
    const char *name = files_plain_name(full);
    const bool is_folder = archive_entry_filetype(member) == AE_IFDIR;
    if (name == NULL || (!is_folder && !files_is_wanted(files, name))) return FAR_OK;
    if (!is_folder && (archive_entry_filetype(member) != AE_IFREG || archive_entry_hardlink(member) != NULL ||
                       archive_entry_sparse_count(member) > 0))
        return FAR_FAIL(FAR_E_UNSUPPORTED, "%s: %s is a link or a sparse file; pack it as a plain file", files->label,
                        name);
    files_entry *entry = files_add(files, name, is_folder);
    if (entry == NULL) return FAR_E_NOMEM;
    if (is_folder) return FAR_OK;
    if (is_plain_tar(a)) return locate(files, a, entry, name, archive_entry_size(member));
    return unpack(files, a, entry, name);
}

/* A plain tar ends in two blocks of zeros. Cut between two members, nothing else tells. */
static far_status check_end(const fari_files *files)
{
    unsigned char end[2 * TAR_BLOCK], zeros[2 * TAR_BLOCK] = { 0 };
    if (files->archive_bytes < (int64_t)sizeof end) return FAR_FAIL(FAR_E_FORMAT, "%s is cut short", files->label);
    const int64_t at = files->archive_bytes - (int64_t)sizeof end;
    if (files->memory != NULL) memcpy(end, files->memory + at, sizeof end);
    else FAR_TRY(fari_file_read_at(files->archive_fd, files->label, at, end, sizeof end));
    if (memcmp(end, zeros, sizeof end) == 0) return FAR_OK;
    return FAR_FAIL(FAR_E_FORMAT,
                    "%s is cut short: after its %" PRId64
                    " files the two blocks of zeros that end a tar archive are missing",
                    files->label, files->count);
}

far_status files_list_archive(fari_files *files)
{
    struct archive_entry *member = NULL;
    struct archive *a = archive_read_new();
    stream *s = fari_calloc(1, sizeof *s);
    bool is_plain = false;
    far_status st;
    if (a == NULL || s == NULL) {
        st = FAR_FAIL(FAR_E_NOMEM, "no memory to read %s", files->label);
        goto free_archive;
    }
    FAR_TRY_GOTO(open_archive(files, a, s), free_archive);
    for (;;) {
        const int result = archive_read_next_header(a, &member);
        if (result == ARCHIVE_EOF) break;
        if (result != ARCHIVE_OK && result != ARCHIVE_WARN) {
            st = fail(files, a, NULL);
            goto free_archive;
        }
        is_plain = is_plain_tar(a);
        FAR_TRY_GOTO(add_member(files, a, member), free_archive);
    }
    if (is_plain) st = check_end(files);
free_archive:
    if (a != NULL) (void)archive_read_free(a);
    fari_free(s);
    return st;
}
