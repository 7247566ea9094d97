/* A TensorBoard event file beside metrics.jsonl, with the same figures. Records of TFRecord (length, masked CRC-32C, payload, masked
   CRC-32C), each an Event in protocol buffers:
     Event   { double wall_time = 1; int64 step = 2; string file_version = 3; Summary summary = 5; SessionLog session_log = 7; }
     Summary { repeated Value value = 1; }   Value { string tag = 1; float simple_value = 2; }
     SessionLog { SessionStatus status = 1; }   START = 1 */
#ifndef FARI_RUN_TFEVENTS_H
#define FARI_RUN_TFEVENTS_H
#include <farandole/status.h>
#include <stdint.h>

typedef struct fari_tfevents fari_tfevents;

/* Begins a file of its own, FOLDER/events.out.tfevents.<time>.<pid>.farandole. resume_step -1: a new run, earlier files of ours in the
   folder go; else TensorBoard is told to forget what earlier files say of steps above it. */
far_status fari_tfevents_open(const char *folder, int64_t resume_step, fari_tfevents **events_out);
void fari_tfevents_close(fari_tfevents *events); /* NULL is allowed */

/* One Event: begin, scalars, end. Does not allocate for events below 8 KiB. */
void fari_tfevents_begin(fari_tfevents *events, int64_t step);
void fari_tfevents_scalar(fari_tfevents *events, const char *tag, double value);
far_status fari_tfevents_end(fari_tfevents *events); /* FAR_E_IO: names the file; the record is whole or not there */
#endif
