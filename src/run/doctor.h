/* The look behind <farandole/info.h>, with a root for recorded machines. */
#ifndef FARI_RUN_DOCTOR_H
#define FARI_RUN_DOCTOR_H
#include <farandole/info.h>

/* As far_doctor_look; `root` stands before /proc, /sys and /dev. */
far_status fari_doctor_look(const char *root, const char *folder, far_doctor **doctor_out);
#endif
