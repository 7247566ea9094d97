/* Where the time of steps goes: seconds of instructions added up by node of the graph, over the steps that were timed. */
#ifndef FARI_RUN_PROFILE_H
#define FARI_RUN_PROFILE_H
#include "base/text.h"
#include "plan/plan.h"

typedef struct fari_profile fari_profile;

/* The plan is borrowed. Adding allocates nothing. */
far_status fari_profile_create(const fari_plan *plan, fari_profile **profile_out);
void fari_profile_destroy(fari_profile *profile); /* NULL is allowed */
int64_t fari_profile_bytes(const fari_plan *plan);
/* One step: `seconds` [instr_count] of its instructions, `wall_s` from its begin to its end. */
void fari_profile_add(fari_profile *profile, int64_t step, const double *seconds, double wall_s);
double fari_profile_wall_s(const fari_profile *profile); /* mean length of the steps */
int64_t fari_profile_steps(const fari_profile *profile);

#define FARI_FAMILIES_MAX 24

/* What a kind of operation takes of a step, all threads together. */
typedef struct fari_family {
    const char *name;
    double seconds[3]; /* forward, backward, update */
    double flops, bytes;
    int32_t dearest; /* the node that takes longest; -1: none, such as packing */
    double dearest_s, dearest_flops;
} fari_family;
double fari_family_seconds(const fari_family *family); /* of all three */
/* The dearest first. FAR_E_NOMEM; FAR_E_ARG where no step was added. */
far_status fari_profile_families(const fari_profile *profile, fari_family families_out[FARI_FAMILIES_MAX],
                                 int32_t *count_out);
/* The content of profile.json, see docs/run-folder.md; nodes: how many of the dearest are listed. */
void fari_profile_print(const fari_profile *profile, int32_t nodes, fari_text *text);
/* For programs: rows of JSON, separated by commas, one a node that has calls. mean_s, least_s: of a step, all threads together, the mean over
   steps and the sum of each instruction's least; around_s: least, for packing its weights, adding up and unpacking its partials;
   bytes: of the tensors it reads and writes, each once. */
void fari_profile_print_nodes(const fari_profile *profile, fari_text *text);
#endif
