/* The grain table of every tensor, derived from graph, batch and config alone: never from ranks, threads or memory. */
#include "base/mem.h"
#include "plan/plan.h"
#include <inttypes.h>

#define GRAINS_WANTED 8                   /* automatic choice: about so many grains at the input */
#define GRAIN_PIXELS (INT64_C(512) << 10) /* of images of more than eight times as many */
#define ROWS_ROUND 16 /* automatic row grains are multiples of this, so that they halve cleanly with each level */

static int64_t ceil_div(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

static int64_t gcd(int64_t a, int64_t b)
{
    while (b != 0) {
        const int64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

int64_t fari_grain_count(const fari_grains *grains)
{
    return grains->index_count * grains->row_count;
}

/* A range of rows of one sample is one contiguous range of memory. */
bool fari_tensor_has_row_windows(const fari_tensor *t)
{
    return t->batch_of == 1 && t->shape.ndim >= 3 && (t->order == FARI_CHANNELS_LAST || t->shape.dim[1] == 1);
}

/* Samples and rows of the inputs. */
static far_status measure_inputs(fari_plan *plan)
{
    const far_graph *graph = plan->graph;
    plan->batch = 0;
    plan->rows_at_input = 0;
    for (int64_t i = 0; i < graph->tensor_count; i++) {
        const fari_tensor *t = graph->tensors[i];
        if (t->role != FARI_ROLE_INPUT) continue;
        if (plan->batch != 0 && t->shape.dim[0] != plan->batch)
            return FAR_FAIL(FAR_E_SHAPE, "input %s has %" PRId64 " samples, the inputs before it %" PRId64, t->name,
                            t->shape.dim[0], plan->batch);
        plan->batch = t->shape.dim[0];
        if (t->has_rows && t->shape.dim[2] > plan->rows_at_input) plan->rows_at_input = t->shape.dim[2];
    }
    return FAR_OK;
}

/* Statistics over groups of k samples need sample grains that divide k. */
static int64_t group_gcd(const far_graph *graph)
{
    int64_t common = 0;
    for (int64_t i = 0; i < graph->tensor_count; i++)
        if (graph->tensors[i]->batch_of > 1) common = gcd(common, graph->tensors[i]->batch_of);
    return common;
}

/* Pixels of a row of the tallest input: of volumes those of a slice. */
static int64_t row_pixels(const fari_plan *plan)
{
    const far_graph *graph = plan->graph;
    int64_t most = 1;
    for (int64_t i = 0; i < graph->tensor_count; i++) {
        const fari_tensor *t = graph->tensors[i];
        if (t->role != FARI_ROLE_INPUT || !t->has_rows || t->shape.dim[2] != plan->rows_at_input) continue;
        int64_t pixels = 1;
        for (int32_t d = 3; d < t->shape.ndim; d++) pixels *= t->shape.dim[d];
        if (pixels > most) most = pixels;
    }
    return most;
}

/* Images so large that an eighth is too much for a window of rows (bands.h). */
static void cut_large(fari_plan *plan)
{
    const int64_t pixels = row_pixels(plan);
    if (plan->rows_at_input * pixels <= GRAINS_WANTED * GRAIN_PIXELS || plan->grain_rows * pixels <= GRAIN_PIXELS)
        return;
    const int64_t rows = GRAIN_PIXELS / pixels / ROWS_ROUND * ROWS_ROUND;
    plan->grain_rows = rows > ROWS_ROUND ? rows : ROWS_ROUND;
}

static void choose(fari_plan *plan)
{
    fari_grain_config *g = &plan->opts.grain;
    const int64_t batch = plan->batch > 0 ? plan->batch : 1, rows = plan->rows_at_input, group = group_gcd(plan->graph);
    if (g->min_rows <= 0) g->min_rows = 4;
    if (g->dense <= 0) g->dense = 64;
    if (g->leaves <= 0 || g->leaves > 64) g->leaves = 64;
    plan->grain_samples = g->samples > 0 ? g->samples : ceil_div(batch, GRAINS_WANTED);
    plan->grain_rows = g->rows > 0 ? g->rows : rows;
    if (g->rows <= 0 && g->samples <= 0 && batch < GRAINS_WANTED && rows > 0) {
        const int64_t pieces = ceil_div(GRAINS_WANTED, batch);
        const int64_t step = ceil_div(ceil_div(rows, pieces), ROWS_ROUND) * ROWS_ROUND;
        plan->grain_rows = step < rows ? step : rows;
    }
    if (g->rows <= 0 && g->samples <= 0) cut_large(plan);
    if (plan->grain_rows < rows) plan->grain_samples = 1; /* a window of rows is one contiguous range of one sample */
    if (plan->grain_samples > batch) plan->grain_samples = batch;
    if (group > 0) {
        plan->grain_samples = gcd(plan->grain_samples, group);
        g->dense = plan->grain_samples; /* a grain lies within one group */
    }
}

/* Grains of the rows of the tallest input; 1 where no input has rows. */
static int64_t input_pieces(const fari_plan *plan)
{
    return plan->rows_at_input > 0 ? ceil_div(plan->rows_at_input, plan->grain_rows) : 1;
}

/* How many pieces rows [0, total) are cut into: as many as the input's rows; where such pieces would have fewer than min_rows rows,
   neighbours are taken together until they have as many. */
static int64_t row_pieces(const fari_plan *plan, int64_t total)
{
    const int64_t tall = plan->rows_at_input, least = plan->opts.grain.min_rows, pieces = input_pieces(plan);
    if (pieces == 1 || total == 0) return 1;
    const int64_t together = least < total ? ceil_div(least * tall, plan->grain_rows * total) : pieces;
    return together < pieces ? pieces / together : 1;
}

/* Rows [0, total) cut in proportion to the input's grains: a border is one of theirs. */
static far_status row_cut(fari_plan *plan, int64_t total, fari_grains *grains)
{
    const int64_t pieces = row_pieces(plan, total);
    for (int64_t i = 0; i < plan->row_table_count; i++)
        if (plan->row_tables[i][0] == total) { /* tables are kept as {total, count, start...} */
            grains->row_count = plan->row_tables[i][1];
            grains->row_start = plan->row_tables[i] + 2;
            return FAR_OK;
        }
    if (!fari_reserve((void **)&plan->row_tables, &plan->row_table_cap, plan->row_table_count + 1, sizeof(int64_t *)))
        return FAR_FAIL(FAR_E_NOMEM, "no memory for grain tables");
    int64_t *table = fari_alloc((size_t)(pieces + 3) * sizeof *table);
    if (table == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory for grain tables");
    plan->row_tables[plan->row_table_count++] = table;
    table[0] = total;
    table[1] = pieces;
    table[2] = 0;
    for (int64_t i = 1; i < pieces; i++) {
        const int64_t grain = i * input_pieces(plan) / pieces; /* of the input: piece i begins where it does */
        table[2 + i] = grain * plan->grain_rows * total / plan->rows_at_input;
    }
    table[2 + pieces] = total;
    grains->row_count = pieces;
    grains->row_start = table + 2;
    return FAR_OK;
}

static const int64_t no_rows[2] = { 0, 1 };

far_status fari_plan_cut_grains(fari_plan *plan)
{
    const far_graph *graph = plan->graph;
    plan->grains = fari_calloc((size_t)graph->tensor_count, sizeof *plan->grains);
    if (plan->grains == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory for grain tables");
    FAR_TRY(measure_inputs(plan));
    choose(plan);
    for (int64_t i = 0; i < graph->tensor_count; i++) {
        const fari_tensor *t = graph->tensors[i];
        fari_grains *grains = &plan->grains[i];
        grains->index_total = t->batch_of > 0 ? t->shape.dim[0] : 1;
        grains->index_step = grains->index_total;
        if (t->batch_of > 1) grains->index_step = 1;
        if (t->batch_of == 1)
            grains->index_step = t->shape.ndim >= 3 || plan->grain_samples > plan->opts.grain.dense
                                     ? plan->grain_samples
                                     : plan->opts.grain.dense;
        if (grains->index_step > grains->index_total) grains->index_step = grains->index_total;
        grains->index_count = ceil_div(grains->index_total, grains->index_step);
        grains->row_count = 1;
        grains->row_start = no_rows;
        if (t->has_rows && fari_tensor_has_row_windows(t)) FAR_TRY(row_cut(plan, t->shape.dim[2], grains));
    }
    return FAR_OK;
}
