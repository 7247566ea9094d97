/* Arrays in NumPy's .npz files, which are zip archives of .npy files: stored ones are read at offsets; packed ones (numpy.savez_compressed) are
   inflated as far as they are wanted: who reads on goes on from there. On the way the inflater's state is kept every now and then (a mark), so that who
   goes back, or far ahead a second time, begins at the mark before. */
#include "base/file.h"
#include "base/mem.h"
#include "base/status.h"
#include "data/array.h"
#include <inttypes.h>
#include <pthread.h>
#include <string.h>
#include <zlib.h>

#define HEADER_BYTES 65536
#define PIECE_BYTES 65536
#define DIRECTORY_BYTES_MAX (INT64_C(64) << 20)
#define INFLATE_RATIO 1032 /* deflate's largest */
#define MARKS_MAX 128
#define MARK_APART (INT64_C(1) << 20) /* bytes of the array at least, between two marks */
#define WINDOW_BYTES 32768            /* deflate's */
#define ALIGN 64

typedef struct member {
    int64_t at, packed_bytes, bytes; /* of the packed data in the file */
    uint32_t crc;
    bool is_packed;
} member;

/* Memory for one state of an inflater: pieces are handed out one after the other, and all are free once each was given back. */
typedef struct slab {
    char *data;
    size_t bytes, used;
    int32_t pieces;
} slab;

/* The inflater as it was after `given` bytes. */
typedef struct mark {
    bool is_set;
    z_stream stream;
    int64_t taken, given;
    uint32_t crc;
    slab room;
} mark;

typedef struct npz {
    int fd;
    member m;
    pthread_mutex_t mutex; /* over all that follows */
    z_stream stream;
    bool is_begun;
    int64_t taken, given; /* packed bytes taken in, bytes given out */
    uint32_t crc;         /* of those given */
    int64_t unpacked;     /* in all, for tests */
    unsigned char *piece, *skipped;
    slab room; /* of the stream */
    mark *marks;
    int64_t mark_count, apart; /* mark i is set after (i + 1) * apart bytes, or soon behind */
    char *rooms;               /* of the stream and all marks */
    size_t room_bytes;         /* of one */
} npz;

/* --- the archive's directory --- */

static uint64_t little(const unsigned char *data, int bytes)
{
    uint64_t value = 0;
    for (int i = bytes - 1; i >= 0; i--) value = value << 8 | data[i];
    return value;
}

static far_status bad_zip(const char *path, const char *what)
{
    return FAR_FAIL(FAR_E_FORMAT, "%s: no NumPy archive (.npz), or a damaged one: %s; save it again", path, what);
}

typedef struct directory {
    int64_t at, bytes;
} directory;

static far_status find_directory(int fd, const char *path, int64_t bytes, directory *out)
{
    unsigned char tail[1024 + 22];
    const int64_t length = bytes < (int64_t)sizeof tail ? bytes : (int64_t)sizeof tail;
    if (bytes < 22) return bad_zip(path, "it is too short");
    FAR_TRY(fari_file_read_at(fd, path, bytes - length, tail, (size_t)length));
    int64_t end = length - 22;
    while (end >= 0 && memcmp(tail + end, "PK\5\6", 4) != 0) end--;
    if (end < 0) return bad_zip(path, "its end is missing");
    *out = (directory){ (int64_t)little(tail + end + 16, 4), (int64_t)little(tail + end + 12, 4) };
    if (end >= 20 && memcmp(tail + end - 20, "PK\6\7", 4) == 0) { /* of more than 4 GiB: the larger record's place */
        unsigned char large[56];
        const uint64_t at = little(tail + end - 12, 8);
        if (at > (uint64_t)bytes - sizeof large) return bad_zip(path, "its directory lies beyond its end");
        FAR_TRY(fari_file_read_at(fd, path, (int64_t)at, large, sizeof large));
        if (memcmp(large, "PK\6\6", 4) != 0) return bad_zip(path, "its directory is not where it should be");
        *out =
            (directory){ (int64_t)(little(large + 48, 8) & INT64_MAX), (int64_t)(little(large + 40, 8) & INT64_MAX) };
    }
    if (out->at > bytes || out->bytes > bytes - out->at || out->bytes > DIRECTORY_BYTES_MAX)
        return bad_zip(path, "its directory lies beyond its end");
    return FAR_OK;
}

/* Sizes that do not fit in 32 bits stand in an extra field, in this order, only those that do not fit. */
static void take_large(const unsigned char *extra, size_t length, member *m)
{
    for (size_t at = 0; at + 4 <= length;) {
        const size_t bytes = (size_t)little(extra + at + 2, 2);
        size_t from = at + 4;
        if (bytes > length - from) return;
        if (little(extra + at, 2) == 1) {
            int64_t *fields[] = { &m->bytes, &m->packed_bytes, &m->at };
            for (size_t i = 0; i < FAR_COUNT(fields); i++)
                if (*fields[i] == UINT32_MAX && from + 8 <= at + 4 + bytes) {
                    *fields[i] = (int64_t)(little(extra + from, 8) & INT64_MAX);
                    from += 8;
                }
        }
        at += 4 + bytes;
    }
}

typedef struct search {
    const char *name; /* with .npy */
    member found, any;
    int64_t count, members; /* arrays, and all that the archive holds */
    int method, any_method;
    bool is_found;
    char names[300]; /* for messages */
} search;

static void look_at(const unsigned char *entry, size_t name_length, size_t extra_length, search *s)
{
    const char *name = (const char *)entry + 46;
    member m = { .at = (int64_t)little(entry + 42, 4),
                 .packed_bytes = (int64_t)little(entry + 20, 4),
                 .bytes = (int64_t)little(entry + 24, 4),
                 .crc = (uint32_t)little(entry + 16, 4) };
    const int method = (int)little(entry + 10, 2);
    if (name_length < 5 || memcmp(name + name_length - 4, ".npy", 4) != 0) return;
    take_large(entry + 46 + name_length, extra_length, &m);
    const size_t used = strlen(s->names);
    (void)snprintf(s->names + used, sizeof s->names - used, "%s%.*s", used > 0 ? ", " : "", (int)name_length - 4, name);
    s->any = m;
    s->any_method = method;
    s->count++;
    if (strlen(s->name) != name_length || memcmp(s->name, name, name_length) != 0) return;
    s->found = m;
    s->method = method;
    s->is_found = true;
}

static far_status search_directory(const char *path, const unsigned char *data, size_t bytes, search *s)
{
    for (size_t at = 0; at + 46 <= bytes && memcmp(data + at, "PK\1\2", 4) == 0;) {
        const size_t name = (size_t)little(data + at + 28, 2), extra = (size_t)little(data + at + 30, 2);
        const size_t whole = 46 + name + extra + (size_t)little(data + at + 32, 2);
        if (whole > bytes - at) return bad_zip(path, "its directory is cut short");
        look_at(data + at, name, extra, s);
        s->members++;
        at += whole;
    }
    if (s->is_found) return FAR_OK;
    if (s->count != 1 || s->members != 1)
        return FAR_FAIL(FAR_E_NOTFOUND, "%s has no array %.*s; it has %s", path, (int)strlen(s->name) - 4, s->name,
                        s->count > 0 ? s->names : "none");
    s->found = s->any; /* all there is */
    s->method = s->any_method;
    return FAR_OK;
}

/* Behind the member's own header. */
static far_status place_member(int fd, const char *path, int64_t bytes, int method, member *m)
{
    unsigned char head[30];
    if (method != 0 && method != 8)
        return FAR_FAIL(FAR_E_UNSUPPORTED,
                        "%s: packed by method %d; numpy.savez and numpy.savez_compressed files are read", path, method);
    m->is_packed = method == 8;
    if (m->at > bytes - (int64_t)sizeof head) return bad_zip(path, "an array lies beyond its end");
    FAR_TRY(fari_file_read_at(fd, path, m->at, head, sizeof head));
    if (memcmp(head, "PK\3\4", 4) != 0) return bad_zip(path, "an array is not where it should be");
    m->at += (int64_t)sizeof head + (int64_t)little(head + 26, 2) + (int64_t)little(head + 28, 2);
    if (m->at > bytes || m->packed_bytes > bytes - m->at || (!m->is_packed && m->packed_bytes != m->bytes) ||
        (m->is_packed && m->bytes / INFLATE_RATIO > m->packed_bytes))
        return bad_zip(path, "an array is larger than the file can hold");
    return FAR_OK;
}

static far_status find_member(int fd, const char *path, int64_t bytes, const char *name, member *m_out)
{
    directory d = { 0 };
    search s = { 0 };
    char full[256];
    if ((size_t)snprintf(full, sizeof full, "%s.npy", name) >= sizeof full)
        return FAR_FAIL(FAR_E_ARG, "%s: the name of an array is too long: %.40s...", path, name);
    s.name = full;
    FAR_TRY(find_directory(fd, path, bytes, &d));
    unsigned char *data = fari_alloc((size_t)d.bytes + 1);
    if (data == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory to open %s", path);
    far_status st = fari_file_read_at(fd, path, d.at, data, (size_t)d.bytes);
    if (st == FAR_OK) st = search_directory(path, data, (size_t)d.bytes, &s);
    fari_free(data);
    FAR_TRY(st);
    *m_out = s.found;
    return place_member(fd, path, bytes, s.method, m_out);
}

/* --- states of the inflater: their memory is made when the file is opened, as nothing is allocated in a step --- */

static size_t rounded(size_t bytes)
{
    return (bytes + ALIGN - 1) / ALIGN * ALIGN;
}

static voidpf slab_alloc(voidpf opaque, uInt items, uInt bytes)
{
    slab *s = opaque;
    const size_t want = rounded((size_t)items * bytes);
    if (want > s->bytes - s->used) return Z_NULL;
    char *at = s->data + s->used;
    s->used += want;
    s->pieces++;
    return at;
}

static void slab_free(voidpf opaque, voidpf ptr)
{
    slab *s = opaque;
    (void)ptr;
    if (--s->pieces == 0) s->used = 0;
}

/* What a state takes without its window, which comes with the first bytes. */
static voidpf measure_alloc(voidpf opaque, uInt items, uInt bytes)
{
    *(size_t *)opaque += rounded((size_t)items * bytes);
    return fari_calloc(items, bytes);
}

static void measure_free(voidpf opaque, voidpf ptr)
{
    (void)opaque;
    fari_free(ptr);
}

static far_status state_bytes(const fari_array *array, size_t *bytes_out)
{
    size_t bytes = 0;
    z_stream stream = { .zalloc = measure_alloc, .zfree = measure_free, .opaque = &bytes };
    if (inflateInit2(&stream, -15) != Z_OK) return FAR_FAIL(FAR_E_NOMEM, "no memory to read %s", array->label);
    (void)inflateEnd(&stream);
    *bytes_out = rounded(bytes) + WINDOW_BYTES + ALIGN;
    return FAR_OK;
}

static far_status make_marks(fari_array *array, npz *z)
{
    FAR_TRY(state_bytes(array, &z->room_bytes));
    z->apart = z->m.bytes / MARKS_MAX > MARK_APART ? z->m.bytes / MARKS_MAX : MARK_APART;
    z->mark_count = z->m.bytes / z->apart;
    z->marks = fari_calloc((size_t)z->mark_count + 1, sizeof *z->marks);
    z->rooms = fari_alloc((size_t)(z->mark_count + 1) * z->room_bytes + ALIGN);
    if (z->marks == NULL || z->rooms == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory to read %s", array->label);
    char *at = z->rooms + (ALIGN - (uintptr_t)z->rooms % ALIGN) % ALIGN;
    z->room = (slab){ .data = at, .bytes = z->room_bytes };
    for (int64_t i = 0; i < z->mark_count; i++)
        z->marks[i].room = (slab){ .data = at += z->room_bytes, .bytes = z->room_bytes };
    array->bytes += (z->mark_count + 1) * (int64_t)(z->room_bytes + sizeof *z->marks);
    return FAR_OK;
}

/* A copy of a state; its pieces come from `room`. */
static bool copy_state(z_stream *to, z_stream *from, slab *room)
{
    voidpf own = from->opaque;
    from->opaque = room; /* the copy's memory is asked for in its name */
    const bool is_copied = inflateCopy(to, from) == Z_OK;
    from->opaque = own;
    if (is_copied) to->opaque = room;
    return is_copied;
}

/* After bytes were given out. A mark that cannot be set is one less. */
static void set_mark(npz *z)
{
    const int64_t i = z->given / z->apart - 1;
    if (i < 0 || i >= z->mark_count || z->marks[i].is_set) return;
    mark *m = &z->marks[i];
    m->taken = z->taken - (int64_t)z->stream.avail_in;
    m->given = z->given;
    m->crc = z->crc;
    m->is_set = copy_state(&m->stream, &z->stream, &m->room);
}

/* The last mark at or before a byte; NULL: none. */
static mark *mark_before(const npz *z, int64_t first)
{
    int64_t i = first / z->apart - 1;
    if (i >= z->mark_count) i = z->mark_count - 1;
    while (i >= 0 && (!z->marks[i].is_set || z->marks[i].given > first)) i--;
    return i >= 0 ? &z->marks[i] : NULL;
}

/* --- inflating --- */

static far_status begin_inflate(const fari_array *array, npz *z)
{
    z->taken = z->given = 0;
    z->crc = (uint32_t)crc32(0, NULL, 0);
    z->stream.avail_in = 0;
    if (z->is_begun && inflateReset(&z->stream) == Z_OK) return FAR_OK;
    z->stream = (z_stream){ .zalloc = slab_alloc, .zfree = slab_free, .opaque = &z->room };
    z->room.used = 0;
    z->room.pieces = 0;
    if (inflateInit2(&z->stream, -15) != Z_OK) return FAR_FAIL(FAR_E_NOMEM, "no memory to read %s", array->label);
    z->is_begun = true;
    return FAR_OK;
}

/* From a mark on; from the beginning where that fails. */
static far_status begin_at(const fari_array *array, npz *z, mark *m)
{
    if (z->is_begun) (void)inflateEnd(&z->stream);
    z->is_begun = m != NULL && copy_state(&z->stream, &m->stream, &z->room);
    if (!z->is_begun) return begin_inflate(array, z);
    z->stream.avail_in = 0;
    z->taken = m->taken;
    z->given = m->given;
    z->crc = m->crc;
    return FAR_OK;
}

static far_status damaged(const fari_array *array, const npz *z, const char *what)
{
    return FAR_FAIL(FAR_E_FORMAT, "%s: damaged near byte %" PRId64 " of its packed data: %s; copy or save it again",
                    array->label, z->taken - (int64_t)z->stream.avail_in, what);
}

/* The next bytes of the member. */
static far_status inflate_next(const fari_array *array, npz *z, void *out, size_t bytes)
{
    z->stream.next_out = out;
    z->stream.avail_out = (uInt)bytes;
    while (z->stream.avail_out > 0) {
        if (z->stream.avail_in == 0) {
            const int64_t left = z->m.packed_bytes - z->taken, want = left < PIECE_BYTES ? left : PIECE_BYTES;
            FAR_TRY(fari_file_read_at(z->fd, array->path, z->m.at + z->taken, z->piece, (size_t)want));
            z->taken += want;
            z->stream.next_in = z->piece;
            z->stream.avail_in = (uInt)want;
        }
        const int result = inflate(&z->stream, Z_NO_FLUSH);
        if (result == Z_MEM_ERROR) return FAR_FAIL(FAR_E_NOMEM, "no memory to read %s", array->label);
        const bool is_over = result == Z_STREAM_END || (z->stream.avail_in == 0 && z->taken == z->m.packed_bytes);
        if (result != Z_OK && result != Z_STREAM_END && result != Z_BUF_ERROR)
            return damaged(array, z, z->stream.msg != NULL ? z->stream.msg : "no valid deflate");
        if (is_over && z->stream.avail_out > 0) return damaged(array, z, "it ends too early");
    }
    z->given += (int64_t)bytes;
    z->unpacked += (int64_t)bytes;
    z->crc = (uint32_t)crc32(z->crc, out, (uInt)bytes);
    set_mark(z);
    if (z->given == z->m.bytes && z->crc != z->m.crc) return damaged(array, z, "its checksum is wrong");
    return FAR_OK;
}

static far_status inflate_at(const fari_array *array, npz *z, int64_t first, void *out, size_t bytes)
{
    const bool is_behind = !z->is_begun || first < z->given;
    mark *m = mark_before(z, first);
    if (m != NULL && (is_behind || m->given > z->given)) FAR_TRY(begin_at(array, z, m));
    else if (is_behind) FAR_TRY(begin_inflate(array, z));
    while (z->given < first) {
        const int64_t left = first - z->given;
        FAR_TRY(inflate_next(array, z, z->skipped, (size_t)(left < PIECE_BYTES ? left : PIECE_BYTES)));
    }
    return inflate_next(array, z, out, bytes);
}

/* --- the array --- */

static far_status read_bytes(const fari_array *array, npz *z, int64_t first, void *out, size_t bytes)
{
    if (!z->m.is_packed) return fari_file_read_at(z->fd, array->path, z->m.at + first, out, bytes);
    (void)pthread_mutex_lock(&z->mutex);
    const far_status st = inflate_at(array, z, first, out, bytes);
    if (st != FAR_OK) z->given = INT64_MAX; /* the next one begins again */
    (void)pthread_mutex_unlock(&z->mutex);
    return st;
}

static far_status npz_read(const fari_array *array, int64_t first, int64_t count, void *out)
{
    const int64_t bytes = array->npy.elem_bytes;
    return read_bytes(array, array->state, array->npy.first_byte + first * bytes, out, (size_t)(count * bytes));
}

static void npz_close(fari_array *array)
{
    npz *z = array->state;
    if (z->is_begun) (void)inflateEnd(&z->stream); /* what marks took lies in z->rooms */
    (void)pthread_mutex_destroy(&z->mutex);
    fari_file_close(z->fd);
    fari_free(z->piece);
    fari_free(z->skipped);
    fari_free(z->marks);
    fari_free(z->rooms);
    fari_free(z);
}

static far_status open_member(fari_array *array, npz *z, const char *name)
{
    int64_t bytes = 0;
    FAR_TRY(fari_file_open(array->path, &z->fd, &bytes));
    FAR_TRY(find_member(z->fd, array->path, bytes, name, &z->m));
    if (z->m.is_packed) {
        z->piece = fari_alloc(PIECE_BYTES);
        z->skipped = fari_alloc(PIECE_BYTES);
        if (z->piece == NULL || z->skipped == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory to read %s", array->label);
        array->bytes = 2 * PIECE_BYTES;
        array->is_stream = true;
        FAR_TRY(make_marks(array, z));
    }
    return FAR_OK;
}

int64_t fari_array_unpacked(const fari_array *array)
{
    return array->kind->read == npz_read ? ((const npz *)array->state)->unpacked : 0;
}

far_status array_open_npz(fari_array *array, const char *name)
{
    static const fari_array_kind kind = { .read = npz_read, .close = npz_close };
    far_status st;
    npz *z = fari_calloc(1, sizeof *z);
    if (z == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory to open %s", array->path);
    z->fd = -1;
    (void)pthread_mutex_init(&z->mutex, NULL); /* cannot fail on Linux */
    array->state = z;
    array->kind = &kind;
    FAR_TRY(open_member(array, z, name));
    char *head = fari_alloc(HEADER_BYTES);
    if (head == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory to open %s", array->path);
    const size_t head_bytes = z->m.bytes < HEADER_BYTES ? (size_t)z->m.bytes : HEADER_BYTES;
    FAR_TRY_GOTO(read_bytes(array, z, 0, head, head_bytes), free_head);
    FAR_TRY_GOTO(fari_npy_parse(array->label, head, head_bytes, z->m.bytes, &array->npy), free_head);
free_head:
    fari_free(head);
    return st;
}
