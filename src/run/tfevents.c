#include "run/tfevents.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/status.h"
#include "base/text.h"
#include <string.h>
#include <time.h>
#include <unistd.h>

#define PREFIX "events.out.tfevents."
#define SUFFIX ".farandole"
#define EVENT_BYTES 8192

struct fari_tfevents {
    char *path;
    int fd;
    fari_text value, summary, event, record; /* what is being made, from the inside out */
};

/* ---- protocol buffers: a tag is the field's number and how its value is written ---- */

enum { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5 };

static void put_varint(fari_text *text, uint64_t value)
{
    char bytes[10];
    size_t count = 0;
    do {
        bytes[count++] = (char)(uint8_t)((value & 0x7F) | (value > 0x7F ? 0x80 : 0));
        value >>= 7;
    } while (value > 0);
    fari_text_put(text, bytes, count);
}

static void put_tag(fari_text *text, uint32_t field, uint32_t wire)
{
    put_varint(text, field << 3 | wire);
}

static void put_bytes(fari_text *text, uint32_t field, const void *data, size_t bytes)
{
    put_tag(text, field, WIRE_BYTES);
    put_varint(text, bytes);
    fari_text_put(text, data, bytes);
}

/* Little-endian, whatever the machine is. */
static void put_fixed(fari_text *text, uint64_t value, size_t bytes)
{
    char little[8];
    for (size_t i = 0; i < bytes; i++) little[i] = (char)(uint8_t)(value >> 8 * i);
    fari_text_put(text, little, bytes);
}

static void put_f64(fari_text *text, uint32_t field, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    put_tag(text, field, WIRE_64);
    put_fixed(text, bits, 8);
}

static void put_f32(fari_text *text, uint32_t field, float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    put_tag(text, field, WIRE_32);
    put_fixed(text, bits, 4);
}

static void put_varint_field(fari_text *text, uint32_t field, uint64_t value)
{
    put_tag(text, field, WIRE_VARINT);
    put_varint(text, value);
}

/* ---- records ---- */

static uint32_t masked_crc(const void *data, size_t bytes)
{
    const uint32_t crc = fari_crc32c(data, bytes);
    return ((crc >> 15) | (crc << 17)) + 0xA282EAD8U;
}

static void event_begin(fari_tfevents *events, int64_t step)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    events->event.bytes = 0;
    events->event.failed = false;
    put_f64(&events->event, 1, (double)now.tv_sec + 1e-9 * (double)now.tv_nsec);
    put_varint_field(&events->event, 2, (uint64_t)step);
}

static far_status event_end(fari_tfevents *events)
{
    const fari_text *event = &events->event;
    fari_text *record = &events->record;
    record->bytes = 0;
    record->failed = event->failed;
    put_fixed(record, (uint64_t)event->bytes, 8);
    if (!record->failed) put_fixed(record, masked_crc(record->data, 8), 4);
    fari_text_put(record, event->data, (size_t)event->bytes);
    put_fixed(record, masked_crc(event->data, (size_t)event->bytes), 4);
    if (record->failed) return FAR_FAIL(FAR_E_NOMEM, "no memory for a record of %s", events->path);
    const off_t before = lseek(events->fd, 0, SEEK_END);
    const far_status st = fari_file_write(events->fd, events->path, record->data, (size_t)record->bytes);
    if (st != FAR_OK && before >= 0 && ftruncate(events->fd, before) != 0)
        fari_log(FAR_LOG_WARN, "%s may end in a torn record", events->path);
    return st;
}

void fari_tfevents_begin(fari_tfevents *events, int64_t step)
{
    events->summary.bytes = 0;
    events->summary.failed = false;
    event_begin(events, step);
}

void fari_tfevents_scalar(fari_tfevents *events, const char *tag, double value)
{
    events->value.bytes = 0;
    events->value.failed = events->summary.failed;
    put_bytes(&events->value, 1, tag, strlen(tag));
    put_f32(&events->value, 2, (float)value);
    if (events->value.failed) events->summary.failed = true;
    else put_bytes(&events->summary, 1, events->value.data, (size_t)events->value.bytes);
}

far_status fari_tfevents_end(fari_tfevents *events)
{
    if (events->summary.failed) events->event.failed = true;
    else put_bytes(&events->event, 5, events->summary.data, (size_t)events->summary.bytes);
    return event_end(events);
}

/* ---- life ---- */

static far_status first_records(fari_tfevents *events, int64_t resume_step)
{
    static const char version[] = "brain.Event:2";
    static const char start[] = { 1 << 3 | WIRE_VARINT, 1 }; /* SessionLog { status: START } */
    event_begin(events, 0);
    put_bytes(&events->event, 3, version, strlen(version));
    FAR_TRY(event_end(events));
    if (resume_step < 0) return FAR_OK;
    event_begin(events, resume_step + 1);
    put_bytes(&events->event, 7, start, sizeof start);
    return event_end(events);
}

static bool is_ours(const char *name)
{
    const size_t bytes = strlen(name), suffix = strlen(SUFFIX);
    return strncmp(name, PREFIX, strlen(PREFIX)) == 0 && bytes > suffix && strcmp(name + bytes - suffix, SUFFIX) == 0;
}

static far_status remove_old(const char *folder)
{
    char **names = NULL;
    int64_t count = 0;
    FAR_TRY(fari_folder_list(folder, &names, &count));
    for (int64_t i = 0; i < count; i++) {
        char *path = is_ours(names[i]) ? fari_path_join(folder, names[i]) : NULL;
        if (path != NULL) (void)unlink(path);
        fari_free(path);
    }
    fari_names_free(names, count);
    return FAR_OK;
}

static bool has_room(fari_tfevents *events)
{
    fari_text *texts[] = { &events->value, &events->summary, &events->event, &events->record };
    for (size_t i = 0; i < FAR_COUNT(texts); i++)
        if (!fari_reserve((void **)&texts[i]->data, &texts[i]->cap, EVENT_BYTES, 1)) return false;
    return true;
}

far_status fari_tfevents_open(const char *folder, int64_t resume_step, fari_tfevents **events_out)
{
    char name[96];
    far_status st = FAR_OK;
    fari_tfevents *events = fari_calloc(1, sizeof *events);
    if (events == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory for an event file in %s", folder);
    events->fd = -1;
    (void)snprintf(name, sizeof name, PREFIX "%010lld.%ld" SUFFIX, (long long)time(NULL), (long)getpid());
    events->path = fari_path_join(folder, name);
    if (events->path == NULL || !has_room(events)) {
        st = FAR_FAIL(FAR_E_NOMEM, "no memory for an event file in %s", folder);
        goto failed;
    }
    if (resume_step < 0) FAR_TRY_GOTO(remove_old(folder), failed);
    FAR_TRY_GOTO(fari_file_create(events->path, &events->fd), failed);
    FAR_TRY_GOTO(first_records(events, resume_step), failed);
    *events_out = events;
    return FAR_OK;
failed:
    fari_tfevents_close(events);
    return st;
}

void fari_tfevents_close(fari_tfevents *events)
{
    if (events == NULL) return;
    if (events->fd >= 0) {
        (void)fsync(events->fd);
        (void)close(events->fd);
    }
    fari_text_free(&events->value);
    fari_text_free(&events->summary);
    fari_text_free(&events->event);
    fari_text_free(&events->record);
    fari_free(events->path);
    fari_free(events);
}
