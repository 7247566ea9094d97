/* A trial run in a process of its own, for files that a library may crash on. */
#ifndef FARI_DATA_PROBE_H
#define FARI_DATA_PROBE_H
#include <farandole/status.h>

/* Calls `fn` in a forked child, whose memory and results are lost. FAR_OK: it came back, or there could be no child; FAR_E_FORMAT: it crashed, hung or ended the
   process on `path`. `fn` must not wait for other threads: they are not there. */
far_status fari_probe(const char *path, void (*fn)(void *context), void *context);
#endif
