/* Small random graphs for tests of plans: a graph is a function of its dice, which a failure prints as a seed. */
#ifndef FAR_TESTS_RANDOM_GRAPH_H
#define FAR_TESTS_RANDOM_GRAPH_H
#include "base/rng.h"
#include "plan/plan.h"

typedef struct dice {
    uint64_t key, draws;
} dice;

/* In [lo, hi]. */
int64_t roll(dice *d, int64_t lo, int64_t hi);
bool chance(dice *d, int64_t percent);
/* Image layers, skips, a loss, mostly an optimizer. The inputs are "image" and "label". */
far_graph *random_graph(dice *d);
/* The same; whether results are made again going back, as random_graph does. */
far_graph *random_graph_as(dice *d, bool is_recomputing);
fari_grain_config random_grain(dice *d);
#endif
