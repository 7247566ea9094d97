/* How parameters start: the rule of each kind, for a weight of 5 x 7 channels. */
#include "test.h"

#include "run/store.h"
#include <math.h>

#define OUT 5
#define IN 7

typedef struct start {
    far_graph *graph;
    fari_store *store;
    const float *weight;
    int64_t count;
} start;

static start start_of(far_init init, const far_shape *shape, uint64_t seed)
{
    start s = { .count = far_shape_elems(shape) };
    FAR_CHECK_OK(far_graph_create(true, &s.graph));
    (void)far_graph_param(s.graph, "weight", shape, init);
    FAR_CHECK_OK(fari_store_create(s.graph, false, seed, &s.store));
    const fari_kept *kept = fari_store_find(s.store, FARI_ROLE_PARAM, "weight");
    FAR_CHECK(kept != NULL);
    s.weight = fari_store_data(s.store, kept);
    return s;
}

static void end(start *s)
{
    fari_store_destroy(s->store);
    far_graph_destroy(s->graph);
}

static double largest(const start *s)
{
    double most = 0.0;
    for (int64_t i = 0; i < s->count; i++) most = fmax(most, fabs((double)s->weight[i]));
    return most;
}

static double deviation(const start *s)
{
    double sum = 0.0;
    for (int64_t i = 0; i < s->count; i++) sum += (double)s->weight[i] * (double)s->weight[i];
    return sqrt(sum / (double)s->count);
}

/* Of 1,575 draws the largest comes within 2 % of a uniform rule's bound, and the deviation within 8 % of a normal rule's. */
FAR_TEST(each_rule_has_its_size)
{
    const far_shape shape = { 5, { OUT, IN, 3, 3, 5 } };
    const double field = 45.0;
    const struct {
        far_init init;
        double bound, deviation;
    } rules[] = {
        { { .kind = FAR_INIT_UNIFORM, .value = 0.3 }, 0.3, 0.0 },
        { { .kind = FAR_INIT_NORMAL, .value = 0.3 }, 0.0, 0.3 },
        { { .kind = FAR_INIT_XAVIER_UNIFORM }, sqrt(6.0 / (field * (OUT + IN))), 0.0 },
        { { .kind = FAR_INIT_XAVIER_UNIFORM, .value = 2.0 }, 2.0 * sqrt(6.0 / (field * (OUT + IN))), 0.0 },
        { { .kind = FAR_INIT_HE_NORMAL }, 0.0, sqrt(2.0 / (field * OUT)) },
        { { .kind = FAR_INIT_TORCH_UNIFORM }, 1.0 / sqrt(field * IN), 0.0 },
    };
    for (size_t i = 0; i < FAR_COUNT(rules); i++) {
        start s = start_of(rules[i].init, &shape, 3);
        if (rules[i].bound > 0.0) {
            FAR_CHECK(largest(&s) <= rules[i].bound);
            FAR_CHECK_NEAR(largest(&s), rules[i].bound, 0.02 * rules[i].bound);
            FAR_CHECK_NEAR(deviation(&s), rules[i].bound / sqrt(3.0), 0.08 * rules[i].bound);
        } else {
            FAR_CHECK_NEAR(deviation(&s), rules[i].deviation, 0.08 * rules[i].deviation);
        }
        end(&s);
    }
}

/* 1 from a channel to itself through the kernel's middle, 0 elsewhere, whatever the rank and whichever side has more channels. */
FAR_TEST(dirac_gives_back_its_input)
{
    const far_shape shapes[] = {
        { 4, { OUT, IN, 3, 5 } }, { 4, { IN, OUT, 5, 3 } }, { 5, { OUT, OUT, 1, 3, 7 } }, { 2, { OUT, IN } }
    };
    for (size_t k = 0; k < FAR_COUNT(shapes); k++) {
        start s = start_of((far_init){ .kind = FAR_INIT_DIRAC }, &shapes[k], 1);
        const int64_t field = s.count / (shapes[k].dim[0] * shapes[k].dim[1]);
        for (int64_t o = 0; o < shapes[k].dim[0]; o++)
            for (int64_t i = 0; i < shapes[k].dim[1]; i++)
                for (int64_t t = 0; t < field; t++) {
                    /* extents are odd, so that the middle of all of them is the middle of their product */
                    const float expect = o == i && t == field / 2 ? 1.0F : 0.0F;
                    FAR_CHECK_NEAR(s.weight[(o * shapes[k].dim[1] + i) * field + t], expect, 0.0);
                }
        end(&s);
    }
}

/* What dirac adds is xavier's draw for the same seed and name, made smaller. */
FAR_TEST(dirac_adds_a_share_of_xavier)
{
    const far_shape shape = { 4, { OUT, IN, 3, 3 } };
    start plain = start_of((far_init){ .kind = FAR_INIT_DIRAC }, &shape, 5);
    start noisy = start_of((far_init){ .kind = FAR_INIT_DIRAC, .value = 0.25 }, &shape, 5);
    start xavier = start_of((far_init){ .kind = FAR_INIT_XAVIER_UNIFORM }, &shape, 5);
    start other = start_of((far_init){ .kind = FAR_INIT_XAVIER_UNIFORM }, &shape, 6);
    for (int64_t i = 0; i < plain.count; i++) {
        FAR_CHECK_NEAR(noisy.weight[i] - plain.weight[i], 0.25F * xavier.weight[i], 1e-7);
        FAR_CHECK(xavier.weight[i] != other.weight[i]);
    }
    end(&plain);
    end(&noisy);
    end(&xavier);
    end(&other);
}
