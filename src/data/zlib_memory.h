/* zlib's memory is counted as ours is. */
#ifndef FARI_DATA_ZLIB_MEMORY_H
#define FARI_DATA_ZLIB_MEMORY_H
#include "base/mem.h"
#include <zlib.h>

static inline voidpf fari_zlib_alloc(voidpf opaque, uInt items, uInt bytes)
{
    (void)opaque;
    return fari_calloc(items, bytes);
}

static inline void fari_zlib_free(voidpf opaque, voidpf ptr)
{
    (void)opaque;
    fari_free(ptr);
}

/* To be called before inflateInit2 or deflateInit2. */
static inline void fari_zlib_count_memory(z_stream *stream)
{
    stream->zalloc = fari_zlib_alloc;
    stream->zfree = fari_zlib_free;
}
#endif
