/* Archives for tests, made by libarchive in memory or in a file. */
#ifndef TESTS_DATA_ARCHIVES_H
#define TESTS_DATA_ARCHIVES_H
#include "support/temp_folder.h"
#include "test.h"
#include <archive.h>
#include <archive_entry.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct packing {
    struct archive *a;
    char *data;
    size_t bytes;
} packing;

/* format: ARCHIVE_FORMAT_TAR_USTAR, _TAR_PAX_INTERCHANGE, _TAR_GNUTAR, _ZIP; filter: ARCHIVE_FILTER_NONE, _GZIP, _XZ, _BZIP2, _ZSTD. */
static inline packing pack_begin(int format, int filter)
{
    packing p = { archive_write_new(), malloc(1 << 22), 0 };
    FAR_CHECK_EQ_I64(archive_write_set_format(p.a, format), ARCHIVE_OK);
    FAR_CHECK_EQ_I64(archive_write_add_filter(p.a, filter), ARCHIVE_OK);
    return p;
}

static inline void pack_open(packing *p)
{
    FAR_CHECK_EQ_I64(archive_write_open_memory(p->a, p->data, 1 << 22, &p->bytes), ARCHIVE_OK);
}

/* data NULL: a folder. */
static inline void pack_add(packing *p, const char *name, const void *data, size_t bytes)
{
    struct archive_entry *entry = archive_entry_new();
    archive_entry_set_pathname(entry, name);
    archive_entry_set_filetype(entry, data == NULL ? AE_IFDIR : AE_IFREG);
    archive_entry_set_perm(entry, data == NULL ? 0755 : 0644);
    archive_entry_set_size(entry, (la_int64_t)bytes);
    FAR_CHECK_EQ_I64(archive_write_header(p->a, entry), ARCHIVE_OK);
    if (bytes > 0) FAR_CHECK_EQ_I64(archive_write_data(p->a, data, bytes), bytes);
    archive_entry_free(entry);
}

static inline void pack_end(packing *p)
{
    FAR_CHECK_EQ_I64(archive_write_close(p->a), ARCHIVE_OK);
    archive_write_free(p->a);
}
#endif
