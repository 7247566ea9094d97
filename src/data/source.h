/* Bytes in order from a plain file, a gzip file or memory. */
#ifndef FARI_DATA_SOURCE_H
#define FARI_DATA_SOURCE_H
#include <farandole/status.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct fari_source fari_source;

/* Which it is, the first two bytes tell. */
far_status fari_source_open(const char *path, fari_source **source_out);
far_status fari_source_open_memory(const char *label, const void *data, size_t bytes,
                                   fari_source **source_out); /* borrowed */
void fari_source_close(fari_source *source);                  /* NULL is allowed */

/* Exactly these bytes. FAR_E_FORMAT: the file ends before, or its compressed data are damaged; names file and byte. */
far_status fari_source_read(fari_source *source, void *data_out, size_t bytes);
/* After the last read: nothing may follow, and a gzip file's checksum has to be right. */
far_status fari_source_expect_end(fari_source *source);
/* The most bytes that can still come: exact for plain files, a bound from the compressed size for gzip. */
int64_t fari_source_bytes_left(const fari_source *source);
const char *fari_source_label(const fari_source *source);
#endif
