/* The inside of a profile, shared by profile.c and profile_nodes.c. */
#ifndef FARI_RUN_PROFILE_PRIV_H
#define FARI_RUN_PROFILE_PRIV_H
#include "run/profile.h"

#define FARI_OTHER_KINDS (FARI_INSTR_READ + 1)

struct fari_profile {
    const fari_plan *plan;
    double *node_s;                   /* [node_count] seconds of calls */
    double *least_s;                  /* [instr_count] of all steps: others on the same cores are hardly in it */
    double other_s[FARI_OTHER_KINDS]; /* of what is no call, by kind of instruction */
    double wall_s;
    int64_t steps, first_step, last_step;
};

/* Operations, bytes and the implementation of each node's calls. */
typedef struct fari_node_facts {
    double *flops, *bytes;
    const char **impl; /* of its first call; NULL: none */
} fari_node_facts;

/* False: no memory. To be freed in either case. */
bool fari_node_facts_collect(const fari_plan *plan, fari_node_facts *facts_out);
void fari_node_facts_free(fari_node_facts *facts);
#endif
