/* Measured speeds of kernels on this machine, kept in a file, and the step time they predict for a plan. */
#ifndef FARI_RUN_CALIBRATE_H
#define FARI_RUN_CALIBRATE_H
#include "plan/plan.h"

typedef struct fari_calibration fari_calibration;

/* Reads the file, or starts empty where there is none or it is of another machine. path NULL: FAR_CALIBRATION in the environment,
   else ~/.cache/farandole/calibration.json (XDG_CACHE_HOME counts). */
far_status fari_calibration_open(const char *path, fari_calibration **cal_out);
void fari_calibration_close(fari_calibration *cal); /* NULL is allowed */
/* Writes it back where something was added; a folder that cannot be written is no error, only a warning. */
void fari_calibration_save(fari_calibration *cal);
/* Runs every kernel of the plan that is not known yet, a few times, with all planned threads busy at once as they are in a step. */
far_status fari_calibration_measure(fari_calibration *cal, const fari_plan *plan);

/* What a solid-state disk moves, reading and writing: assumed, not measured. */
#define FARI_DISK_BYTES_A_SECOND 1e9

typedef struct fari_prediction {
    double step_s;      /* of one step on the planned threads */
    double busy_s;      /* sum over instructions that threads run */
    double disk_s;      /* sum over pieces that go to disk and come back, at FARI_DISK_BYTES_A_SECOND */
    double disk_adds_s; /* of step_s: what it would be shorter by with a disk that takes no time */
    double
        measured_share; /* of busy_s that rests on measured kernels; the rest is estimated from operations and bytes */
} fari_prediction;

/* Runs the plan on paper: ready instructions in canonical order on the planned threads. per_instr_out [instr_count] may be NULL. */
far_status fari_predict(const fari_calibration *cal, const fari_plan *plan, fari_prediction *prediction_out,
                        double *per_instr_out);
#endif
