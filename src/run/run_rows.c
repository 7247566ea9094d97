/* Inputs of a step that are made row by row when the step wants them, so that no batch lies in memory: what is larger than memory, and data.feed:
   rows. A loader then tells which samples a batch has, and src/data/row_feed.h makes their rows. */
#include "base/mem.h"
#include "data/dataset.h"
#include "data/row_feed.h"
#include "run/run_priv.h"
#include <string.h>

struct run_rows {
    fari_row_feed *feed;
    int64_t lines; /* rows of pixels in a row of the graph's input: of volumes those of a slice */
    int64_t
        times; /* that the network wants each label: once for each of its planes, where the data has one map for all */
    int64_t epoch; /* of the batch */
    const int64_t *sample_ids;
};

bool run_feeds_rows(const far_run *run, const run_side *side)
{
    const char *feed = far_config_text(run->config, "data.feed");
    if (run->opts.purpose == FAR_RUN_VERIFY || strcmp(feed, "batches") == 0) return false;
    return strcmp(feed, "rows") == 0 || (side->spill.is_banded && run->data.has_rows);
}

/* ---- what cannot be served ---- */

static far_status check_augment(const far_config *config)
{
    static const struct {
        const char *key, *why;
    } whole[] = {
        { "data.augment.turns", "quarter turns need all of an image" },
        { "data.augment.resized_crop", "resizing needs all of an image; data.augment.crop cuts without it" },
    };
    for (size_t i = 0; i < FAR_COUNT(whole); i++)
        if (far_config_bool(config, whole[i].key))
            return far_config_fail(config, whole[i].key, "images are read row by row (data.feed), but %s",
                                   whole[i].why);
    if (far_config_f64(config, "data.augment.contrast") > 0.0)
        return far_config_fail(config, "data.augment.contrast",
                               "images are read row by row (data.feed), but a change of contrast needs the mean of all "
                               "of an image");
    return FAR_OK;
}

far_status run_rows_check(const far_run *run)
{
    const far_config *config = run->config;
    const run_data *data = &run->data;
    far_dataset *const sets[] = { data->train, data->test };
    if (run_on_error(run) == FAR_ON_ERROR_SKIP)
        return far_config_fail(config, "data.on_error",
                               "images are read row by row (data.feed): that one cannot be read is found in the middle "
                               "of a step, when it cannot be left out any more");
    if (run_is_training(run)) FAR_TRY(check_augment(config));
    if (data->eval_frame.fit == FAR_FIT_RESIZE || data->train_frame.fit == FAR_FIT_RESIZE)
        return far_config_fail(config, "data.fit",
                               "images are read row by row (data.feed), but resizing needs all of an image; crop or "
                               "pad, or leave out data.size");
    for (size_t i = 0; i < FAR_COUNT(sets); i++) {
        if (sets[i] == NULL) continue;
        const far_status st = fari_row_feed_check(sets[i], &(far_augment){ 0 });
        if (st == FAR_E_UNSUPPORTED) return fari_error_prefix(FAR_E_CONFIG, "data.feed: ");
        FAR_TRY(st);
    }
    return FAR_OK;
}

/* ---- memory ---- */

static fari_row_feed_opts feed_opts(const far_run *run, const far_loader_opts *loader)
{
    return (fari_row_feed_opts){ .augment = loader->augment,
                                 .seed = loader->seed,
                                 .sample_ids = loader->sample_ids,
                                 .sample_count = loader->sample_count,
                                 .readers = run->threads };
}

/* What a loader is asked for: samples' numbers only. */
static far_loader_opts bare(const far_loader_opts *opts)
{
    far_loader_opts own = *opts;
    own.without_pixels = true;
    own.threads = -1;
    return own;
}

far_status run_input_bytes(const far_run *run, const run_side *side, far_dataset *set, const far_loader_opts *opts,
                           int64_t *bytes_out)
{
    int64_t rows = 0;
    if (!run_feeds_rows(run, side)) return run_loader_need(set, opts, bytes_out);
    const far_loader_opts loader = bare(opts);
    const fari_row_feed_opts feed = feed_opts(run, opts);
    FAR_TRY(run_rows_check(run));
    FAR_TRY(run_loader_need(set, &loader, bytes_out));
    FAR_TRY(fari_row_feed_bytes(set, &feed, &rows));
    *bytes_out += rows + (int64_t)sizeof(run_rows);
    return FAR_OK;
}

/* ---- life ---- */

static far_status rows_open(const far_run *run, run_side *side, far_dataset *set, const far_loader_opts *opts)
{
    const fari_row_feed_opts feed = feed_opts(run, opts);
    run_rows *rows = fari_calloc(1, sizeof *rows);
    if (rows == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory to read rows");
    const far_status st = fari_row_feed_open(set, &feed, &rows->feed);
    if (st != FAR_OK) {
        fari_free(rows);
        return st;
    }
    rows->lines = side->height / run_side_rows(side);
    rows->times = run->data.info.label_planes == 1 && run->label_planes > 1 ? run->label_planes : 1;
    side->rows = rows;
    return FAR_OK;
}

void run_rows_close(run_side *side)
{
    if (side->rows != NULL) fari_row_feed_close(side->rows->feed);
    fari_free(side->rows);
    side->rows = NULL;
}

far_status run_input_open(const far_run *run, run_side *side, far_dataset *set, const far_loader_opts *opts,
                          far_loader **loader_out)
{
    if (!run_feeds_rows(run, side)) return far_loader_open(set, opts, loader_out);
    const far_loader_opts loader = bare(opts);
    FAR_TRY(rows_open(run, side, set, opts));
    const far_status st = far_loader_open(set, &loader, loader_out);
    if (st != FAR_OK) run_rows_close(side);
    return st;
}

/* ---- a step ---- */

static far_status make_rows(void *context, int32_t input, int64_t place, int64_t row_lo, int64_t row_hi, void *rows_out)
{
    const run_rows *rows = context;
    const int64_t sample = rows->sample_ids[place], lo = row_lo * rows->lines, hi = row_hi * rows->lines;
    return input == 0 ? fari_row_feed_image(rows->feed, rows->epoch, sample, lo, hi, rows_out)
                      : fari_row_feed_labels(rows->feed, rows->epoch, sample, lo, hi, rows->times, rows_out);
}

void run_input_feed(far_run *run, const run_side *side, const far_batch *batch, void *feed_out[2], fari_step *step_io)
{
    step_io->feed = feed_out;
    step_io->sample_ids = batch->sample_ids;
    run_feed(run, side, batch, feed_out);
    run_taken_step(side, step_io);
    if (side->rows == NULL) return;
    side->rows->epoch = batch->epoch;
    side->rows->sample_ids = batch->sample_ids;
    step_io->feed_rows = make_rows;
    step_io->feed_context = side->rows;
}

far_status run_rows_image(const run_side *side, const far_batch *batch, int64_t idx, int64_t row, int64_t count,
                          float *image_out)
{
    const run_rows *rows = side->rows;
    return fari_row_feed_image(rows->feed, batch->epoch, batch->sample_ids[idx], row * rows->lines,
                               (row + count) * rows->lines, image_out);
}

far_status run_rows_labels(const run_side *side, const far_batch *batch, int64_t idx, int64_t row, int64_t count,
                           int32_t *labels_out)
{
    const run_rows *rows = side->rows;
    return fari_row_feed_labels(rows->feed, batch->epoch, batch->sample_ids[idx], row * rows->lines,
                                (row + count) * rows->lines, 1, labels_out);
}
