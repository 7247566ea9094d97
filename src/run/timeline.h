/* Some steps of a rank as a Chrome trace, for chrome://tracing and ui.perfetto.dev: operations by thread, messages, waits. */
#ifndef FARI_RUN_TIMELINE_H
#define FARI_RUN_TIMELINE_H
#include "base/text.h"
#include "run/executor.h"

#define FARI_TIMELINE_STEPS 3

typedef struct fari_timeline fari_timeline;

/* The plan is borrowed. Adding allocates nothing. */
far_status fari_timeline_create(const fari_plan *plan, fari_timeline **timeline_out);
void fari_timeline_destroy(fari_timeline *timeline); /* NULL is allowed */
int64_t fari_timeline_bytes(const fari_plan *plan);
/* The last step of a traced executor: number `step`; its batch was asked for at asked_s, it began and ended at the other times. At most
   FARI_TIMELINE_STEPS. */
void fari_timeline_add(fari_timeline *timeline, const fari_executor *exec, int64_t step, double asked_s, double begin_s,
                       double end_s);
int64_t fari_timeline_steps(const fari_timeline *timeline);
double fari_timeline_begin_s(const fari_timeline *timeline); /* of the first step */

/* When this rank's sends began, for those who receive them. */
typedef struct fari_timeline_send {
    int32_t to, tag;
    double begin_s[FARI_TIMELINE_STEPS];
} fari_timeline_send;
int64_t fari_timeline_send_count(const fari_timeline *timeline);
void fari_timeline_sends(const fari_timeline *timeline, fari_timeline_send *sends_out);
/* The sends of rank `from`, in its order: from now on messages from there are on the way since then. */
void fari_timeline_hear(fari_timeline *timeline, int32_t from, const fari_timeline_send *sends, int64_t count);
/* The shortest time that a message from that rank took, by the clocks of both; infinite where none came. */
double fari_timeline_least_s(const fari_timeline *timeline, int32_t from);

typedef struct fari_timeline_view {
    const char *host;    /* of this rank; NULL: not known */
    double zero_s;       /* the clock of rank 0 at the trace's zero */
    const double *ahead; /* [ranks] by how much each rank's clock is ahead of that of rank 0; NULL: all are one */
} fari_timeline_view;
/* Events, one a line, each with a comma behind it but the very last one of the last rank. */
far_status fari_timeline_print(const fari_timeline *timeline, const fari_timeline_view *view, fari_text *text);
#endif
