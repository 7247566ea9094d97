/* How rows of the levels of a network are cut. */
#include "graph/graph.h"
#include "plan/plan.h"
#include "test.h"
#include <farandole/pool.h>
#include <string.h>

#define LEVELS 7
#define PIECES 64

/* The rows where the pieces of a level begin, and its last one's end; least: as plan.h has it. */
static void cut(int64_t height, int64_t rows, int64_t least, int64_t borders[LEVELS][PIECES], int64_t counts[LEVELS])
{
    const far_shape image = { .ndim = 4, .dim = { 1, 1, height, 4 } };
    far_graph *graph = NULL;
    fari_backend *backend = NULL;
    fari_plan *plan = NULL;
    far_value levels[LEVELS];
    FAR_CHECK_OK(far_graph_create(true, &graph));
    levels[0] = far_graph_input(graph, "image", FAR_F32, &image);
    for (int i = 1; i < LEVELS; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "pool%d", i);
        const far_pool_opts halves = { .kernel = { 2, 1 }, .ceil_mode = true };
        levels[i] = far_max_pool(graph, name, levels[i - 1], &halves);
    }
    FAR_CHECK_OK(far_graph_status(graph));
    FAR_CHECK_OK(fari_backend_reference_create(&backend));
    const fari_plan_opts opts = { .grain = { .samples = 1, .rows = rows, .min_rows = least }, .backend = backend };
    FAR_CHECK_OK(fari_plan_create(graph, &opts, &plan));
    for (int i = 0; i < LEVELS; i++) {
        const fari_grains *grains = &plan->grains[levels[i]];
        counts[i] = grains->row_count;
        FAR_CHECK(counts[i] >= 1 && counts[i] < PIECES);
        for (int64_t k = 0; k <= counts[i]; k++) borders[i][k] = grains->row_start[k];
        if (counts[i] == 1) borders[i][1] = graph->tensors[levels[i]]->shape.dim[2];
    }
    fari_plan_destroy(plan);
    backend->destroy(backend);
    far_graph_destroy(graph);
}

static void check_cut(int64_t height, int64_t rows, int64_t least, const char *want)
{
    int64_t borders[LEVELS][PIECES], counts[LEVELS];
    char got[2048];
    size_t used = 0;
    cut(height, rows, least, borders, counts);
    for (int i = 0; i < LEVELS; i++)
        for (int64_t k = 0; k <= counts[i]; k++)
            used += (size_t)snprintf(got + used, sizeof got - used, "%d%s", (int)borders[i][k],
                                     k < counts[i]    ? " "
                                     : i + 1 < LEVELS ? " | "
                                                      : "");
    FAR_CHECK_MSG(strcmp(got, want) == 0, "%d rows by %d, at least %d:\n  %s\nnot\n  %s", (int)height, (int)rows,
                  (int)least, got, want);
}

/* Pieces of too few rows are taken together, no more than needed; nothing is lost where they do not divide. */
FAR_TEST(levels_of_few_rows_have_fewer_pieces)
{
    check_cut(64, 16, 4, "0 16 32 48 64 | 0 8 16 24 32 | 0 4 8 12 16 | 0 4 8 | 0 4 | 0 2 | 0 1");
    check_cut(112, 16, 4, /* seven grains: two, two, three */
              "0 16 32 48 64 80 96 112 | 0 8 16 24 32 40 48 56 | 0 4 8 12 16 20 24 28 | 0 4 8 14 | 0 7 | 0 4 | 0 2");
    check_cut(64, 16, 1, "0 16 32 48 64 | 0 8 16 24 32 | 0 4 8 12 16 | 0 2 4 6 8 | 0 1 2 3 4 | 0 1 2 | 0 1");
    check_cut(64, 16, 16, "0 16 32 48 64 | 0 16 32 | 0 16 | 0 8 | 0 4 | 0 2 | 0 1");
    check_cut(176, 16, 20, /* eleven: what is over does not all go to the last */
              "0 32 64 96 128 176 | 0 24 56 88 | 0 20 44 | 0 22 | 0 11 | 0 6 | 0 3");
    check_cut(64, 64, 4, "0 64 | 0 32 | 0 16 | 0 8 | 0 4 | 0 2 | 0 1");
    check_cut(50, 20, 4, "0 20 40 50 | 0 10 20 25 | 0 5 10 13 | 0 7 | 0 4 | 0 2 | 0 1"); /* the last one may be short */
}

/* The rule, at many heights: borders are borders of the input's grains, and all pieces that hold none but whole grains are large enough. */
FAR_TEST(borders_lie_on_borders_of_the_input)
{
    for (int64_t height = 1; height < 200; height += 7)
        for (int64_t rows = 5; rows < 40; rows += 4)
            for (int64_t least = 1; least < 9; least += 3) {
                int64_t borders[LEVELS][PIECES], counts[LEVELS];
                cut(height, rows, least, borders, counts);
                for (int i = 0; i < LEVELS; i++) {
                    const int64_t total = borders[i][counts[i]];
                    FAR_CHECK(borders[i][0] == 0);
                    for (int64_t k = 0; k < counts[i]; k++) {
                        bool is_border = false;
                        for (int64_t g = 0; g * rows < height; g++)
                            is_border = is_border || borders[i][k] == g * rows * total / height;
                        FAR_CHECK(is_border && borders[i][k] < borders[i][k + 1]);
                        FAR_CHECK(k + 1 == counts[i] || borders[i][k + 1] - borders[i][k] >= least);
                    }
                }
            }
}
