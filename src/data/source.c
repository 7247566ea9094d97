#include "data/source.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/status.h"
#include "data/zlib_memory.h"
#include <inttypes.h>
#include <string.h>

#define PIECE_BYTES 65536
#define INFLATE_RATIO 1032 /* deflate's largest: 258 bytes in 2 bits */

struct fari_source {
    char *label;
    int fd; /* -1: memory */
    const unsigned char *memory;
    int64_t bytes, taken;  /* stored bytes, and how many of them were taken in */
    int64_t given;         /* bytes handed out */
    bool is_gzip, is_over; /* is_over: the gzip stream has ended */
    z_stream stream;
    unsigned char *piece; /* stored bytes not inflated yet */
};

static far_status take_in(fari_source *source, void *data_out, size_t bytes)
{
    if (source->fd >= 0) FAR_TRY(fari_file_read_at(source->fd, source->label, source->taken, data_out, bytes));
    else memcpy(data_out, source->memory + source->taken, bytes);
    source->taken += (int64_t)bytes;
    return FAR_OK;
}

static far_status start_gzip(fari_source *source)
{
    source->piece = fari_alloc(PIECE_BYTES);
    if (source->piece == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory to read %s", source->label);
    fari_zlib_count_memory(&source->stream);
    if (inflateInit2(&source->stream, 15 + 16) != Z_OK) /* 15 bits of window, gzip wrapping */
        return FAR_FAIL(FAR_E_NOMEM, "no memory to read %s", source->label);
    source->is_gzip = true;
    return FAR_OK;
}

static far_status open_any(const char *label, const void *memory, size_t bytes, fari_source **source_out)
{
    unsigned char mark[2] = { 0, 0 };
    far_status st;
    fari_source *source = fari_calloc(1, sizeof *source);
    if (source == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory to read %s", label);
    source->fd = -1;
    source->memory = memory;
    source->bytes = (int64_t)bytes;
    source->label = fari_strdup(label);
    if (source->label == NULL) {
        st = FAR_FAIL(FAR_E_NOMEM, "no memory to read %s", label);
        goto close_source;
    }
    if (memory == NULL) FAR_TRY_GOTO(fari_file_open(label, &source->fd, &source->bytes), close_source);
    if (source->bytes >= 2) {
        FAR_TRY_GOTO(take_in(source, mark, sizeof mark), close_source);
        source->taken = 0;
    }
    if (mark[0] == 0x1f && mark[1] == 0x8b) FAR_TRY_GOTO(start_gzip(source), close_source);
    *source_out = source;
    return FAR_OK;
close_source:
    fari_source_close(source);
    return st;
}

far_status fari_source_open(const char *path, fari_source **source_out)
{
    return open_any(path, NULL, 0, source_out);
}

far_status fari_source_open_memory(const char *label, const void *data, size_t bytes, fari_source **source_out)
{
    return open_any(label, data == NULL ? "" : data, bytes, source_out);
}

void fari_source_close(fari_source *source)
{
    if (source == NULL) return;
    if (source->is_gzip) (void)inflateEnd(&source->stream);
    fari_free(source->piece);
    fari_file_close(source->fd);
    fari_free(source->label);
    fari_free(source);
}

static far_status ends_early(const fari_source *source)
{
    return FAR_FAIL(FAR_E_FORMAT, "%s is cut short: its%s data end at byte %" PRId64, source->label,
                    source->is_gzip ? " unpacked" : "", source->given);
}

static far_status refill(fari_source *source)
{
    const int64_t left = source->bytes - source->taken;
    const size_t bytes = left < PIECE_BYTES ? (size_t)left : PIECE_BYTES;
    if (bytes == 0) return ends_early(source);
    FAR_TRY(take_in(source, source->piece, bytes));
    source->stream.next_in = source->piece;
    source->stream.avail_in = (uInt)bytes;
    return FAR_OK;
}

/* Up to `bytes` unpacked bytes; fewer only at the end of the stream. */
static far_status unpack(fari_source *source, unsigned char *data_out, size_t bytes, size_t *got_out)
{
    size_t done = 0;
    while (done < bytes && !source->is_over) {
        const size_t want = bytes - done < ((size_t)1 << 30) ? bytes - done : (size_t)1 << 30;
        if (source->stream.avail_in == 0) FAR_TRY(refill(source));
        source->stream.next_out = data_out + done;
        source->stream.avail_out = (uInt)want;
        const int result = inflate(&source->stream, Z_NO_FLUSH);
        done += want - source->stream.avail_out;
        source->given += (int64_t)(want - source->stream.avail_out);
        if (result == Z_STREAM_END) source->is_over = true;
        else if (result == Z_MEM_ERROR) return FAR_FAIL(FAR_E_NOMEM, "no memory to read %s", source->label);
        else if (result != Z_OK && result != Z_BUF_ERROR)
            return FAR_FAIL(FAR_E_FORMAT, "%s is damaged near byte %" PRId64 " of its packed data: %s", source->label,
                            source->taken - (int64_t)source->stream.avail_in,
                            source->stream.msg != NULL ? source->stream.msg : "no valid gzip");
    }
    *got_out = done;
    return FAR_OK;
}

far_status fari_source_read(fari_source *source, void *data_out, size_t bytes)
{
    if (source->is_gzip) {
        size_t got = 0;
        FAR_TRY(unpack(source, data_out, bytes, &got));
        return got == bytes ? FAR_OK : ends_early(source);
    }
    if ((uint64_t)(source->bytes - source->taken) < bytes) {
        source->given = source->bytes;
        return ends_early(source);
    }
    FAR_TRY(take_in(source, data_out, bytes));
    source->given = source->taken;
    return FAR_OK;
}

far_status fari_source_expect_end(fari_source *source)
{
    unsigned char more;
    size_t got = 0;
    if (source->is_gzip) FAR_TRY(unpack(source, &more, 1, &got));
    else got = source->taken < source->bytes;
    if (got == 0) return FAR_OK;
    return FAR_FAIL(FAR_E_FORMAT, "%s has more data than its header says: they should end at byte %" PRId64,
                    source->label, source->given - (source->is_gzip ? 1 : 0));
}

int64_t fari_source_bytes_left(const fari_source *source)
{
    const int64_t left = source->bytes - source->taken;
    if (!source->is_gzip) return left;
    const int64_t packed = left + (int64_t)source->stream.avail_in;
    return packed > INT64_MAX / INFLATE_RATIO - 1 ? INT64_MAX : (packed + 1) * INFLATE_RATIO;
}

const char *fari_source_label(const fari_source *source)
{
    return source->label;
}
