/* A graph planned and fed: which part of a batch this rank reads, and how it is handed to the executor. */
#include "run/run_config.h"
#include "run/run_priv.h"
#include <string.h>

int64_t run_side_rows(const run_side *side)
{
    return far_graph_shape(side->graph, side->image).dim[2]; /* of volumes slices */
}

/* The rows of a piece of the image's grains. */
static void piece_rows(const run_side *side, int64_t piece, int64_t *lo_out, int64_t *hi_out)
{
    const fari_grains *grains = &side->plan->grains[side->image];
    *lo_out = grains->row_count > 1 ? grains->row_start[piece] : 0;
    *hi_out = grains->row_count > 1 ? grains->row_start[piece + 1] : run_side_rows(side);
}

int32_t run_side_holder(const run_side *side, int64_t sample, int64_t row, int64_t *row_end_out)
{
    const fari_grains *grains = &side->plan->grains[side->image];
    int64_t piece = 0, lo;
    for (piece_rows(side, 0, &lo, row_end_out); *row_end_out <= row; piece_rows(side, piece, &lo, row_end_out)) piece++;
    return fari_rank_of_grain(side->plan, side->image, sample / grains->index_step, piece);
}

static void box_grow(fari_feed_box *box, const fari_feed_box *other)
{
    if (other->sample_hi <= other->sample_lo || other->row_hi <= other->row_lo) return;
    const bool is_empty = box->sample_hi <= box->sample_lo;
    if (is_empty || other->sample_lo < box->sample_lo) box->sample_lo = other->sample_lo;
    if (is_empty || other->sample_hi > box->sample_hi) box->sample_hi = other->sample_hi;
    if (is_empty || other->row_lo < box->row_lo) box->row_lo = other->row_lo;
    if (is_empty || other->row_hi > box->row_hi) box->row_hi = other->row_hi;
}

/* What the rank's part of the plan wants, and what it holds for whoever looks at whole samples. */
static fari_feed_box wanted(const run_side *side)
{
    const fari_plan *plan = side->plan;
    const fari_grains *grains = &plan->grains[side->image];
    fari_feed_box box = { 0 };
    for (int32_t i = 0; i < plan->part->feed_count; i++) {
        fari_feed_box feed = plan->part->feeds[i];
        if (far_graph_shape(side->graph, feed.input).ndim < 3) { /* labels of whole samples */
            feed.row_lo = 0;
            feed.row_hi = 1;
        }
        box_grow(&box, &feed);
    }
    for (int64_t i = 0; i < grains->index_count; i++)
        for (int64_t j = 0; j < grains->row_count; j++) {
            const int64_t lo = i * grains->index_step, hi = lo + grains->index_step;
            if (fari_rank_of_grain(plan, side->image, i, j) != plan->opts.rank) continue;
            fari_feed_box piece = { .sample_lo = lo, .sample_hi = hi < side->batch ? hi : side->batch };
            piece_rows(side, j, &piece.row_lo, &piece.row_hi);
            box_grow(&box, &piece);
        }
    return box;
}

/* Which samples of a batch are read, and which of their rows. */
static void side_feeds(run_side *side)
{
    const fari_part *part = side->plan->part;
    const fari_feed_box all = { .sample_hi = side->batch, .row_hi = run_side_rows(side) };
    fari_feed_box box = part != NULL ? wanted(side) : all;
    if (box.sample_hi <= box.sample_lo)
        box = (fari_feed_box){ .sample_hi = 1, .row_hi = 1 }; /* nothing, but a loader reads something */
    side->own_first = box.sample_lo;
    side->own_count = box.sample_hi - box.sample_lo;
    side->row_first = box.row_lo;
    side->row_count = box.row_hi - box.row_lo;
    for (int32_t i = 0; part != NULL && i < part->feed_count && i < (int32_t)FAR_COUNT(side->boxes); i++) {
        const bool has_rows = far_graph_shape(side->graph, part->feeds[i].input).ndim >= 3;
        side->boxes[i] = box;
        side->boxes[i].input = part->feeds[i].input;
        if (!has_rows) side->boxes[i].row_lo = 0;
        if (!has_rows) side->boxes[i].row_hi = 1;
    }
}

/* Pixels of a row of an image; of a volume those of a slice. */
static int64_t row_pixels(const run_side *side)
{
    return side->height * side->width / run_side_rows(side);
}

void run_side_loader(const run_side *side, far_loader_opts *opts_io)
{
    const int64_t lines = side->height / run_side_rows(side); /* of volumes: rows of pixels in a slice */
    opts_io->own_first = side->own_first;
    opts_io->own_count = side->own_count;
    opts_io->row_first = side->row_first * lines;
    opts_io->row_count = side->row_count * lines;
}

static far_status plan_for(const far_run *run, run_side *side, const fari_mesh *mesh, int32_t rank)
{
    fari_plan_opts opts = { .mesh = *mesh, .rank = rank, .threads = run->threads, .backend = run->backend };
    opts.spill = side->spill;
    opts.spill.is_banded = side->spill.is_banded && fari_mesh_ranks(mesh) == 1;
    run_config_grain(run->config, &opts.grain);
    run_taken_mark(run, side, opts.spill.is_banded);
    FAR_TRY(fari_plan_create(side->graph, &opts, &side->plan));
    side_feeds(side);
    return FAR_OK;
}

far_status run_side_plan(const far_run *run, run_side *side)
{
    /* where many ranks are planned for, nobody needs the plan of one rank alone, which may be large */
    return plan_for(run, side, &run->mesh, run->comm != NULL ? run->comm->rank : 0);
}

far_status run_side_plan_rank(const far_run *run, run_side *side, int32_t rank)
{
    return plan_for(run, side, &run->mesh, rank);
}

far_status run_side_plan_alone(const far_run *run, run_side *side)
{
    return plan_for(run, side, &(fari_mesh){ 1, 1 }, 0);
}

far_status run_side_start(const far_run *run, run_side *side, fari_exec_opts *opts)
{
    opts->comm = side->plan->part != NULL ? run->comm : NULL;
    opts->boxes = side->plan->part != NULL ? side->boxes : NULL;
    return fari_executor_create(side->plan, run->store, opts, &side->exec);
}

void run_side_close(run_side *side)
{
    run_rows_close(side);
    run_taken_close(side);
    fari_executor_destroy(side->exec);
    fari_plan_destroy(side->plan);
    far_graph_destroy(side->graph);
    *side = (run_side){ 0 };
}

/* ---- labels repeated for each plane, where the network has several and the data one ---- */

int64_t run_plane_labels_bytes(const far_run *run, const run_side *side)
{
    if (run->opts.purpose == FAR_RUN_PREDICT || run->label_planes == run->data.info.label_planes ||
        run->label_planes <= 1 || run_feeds_rows(run, side))
        return 0;
    return side->own_count * side->row_count * row_pixels(side) * run->label_planes * (int64_t)sizeof(int32_t);
}

void run_feed(far_run *run, const run_side *side, const far_batch *batch, void *feed_out[2])
{
    memcpy(&feed_out[0], &batch->images, sizeof feed_out[0]); /* the executor only reads */
    memcpy(&feed_out[1], &batch->labels, sizeof feed_out[1]);
    if (run->plane_labels == NULL || batch->labels == NULL) return;
    const int64_t pixels = side->own_count * side->row_count * row_pixels(side);
    for (int64_t i = 0; i < pixels; i++)
        for (int64_t p = 0; p < run->label_planes; p++) run->plane_labels[i * run->label_planes + p] = batch->labels[i];
    feed_out[1] = run->plane_labels;
}
