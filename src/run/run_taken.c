/* Predictions of images that are larger than memory: while a step goes through an image band by band, what the network gives is taken from each piece
   and put into a file without a name; then it is handed over in bands of rows, from top to bottom. */
#include "base/file.h"
#include "base/mem.h"
#include "run/run_priv.h"
#include <errno.h>
#include <string.h>

#define BAND_BYTES (INT64_C(8) << 20) /* of what a network gives for a band */
#define BAND_ROWS 256                 /* at most: those of a TIFF's tile */

struct run_taken {
    const far_run *run;
    const run_side *side;
    int fd;
    char *path;                    /* for messages */
    int64_t rows, width, classes;  /* of the map with most classes */
    int64_t band;                  /* rows handed over at once */
    int64_t first[FAR_LOGITS_MAX]; /* bytes of the file */
    float *raw;                    /* [band][width][classes] */
    float *elems;                  /* [classes][band][width] */
    float *image;
    int32_t *labels, *plane;
};

/* ---- which outputs ---- */

/* Of the network's results for each pixel of an image, where a step goes in bands. */
static bool is_taken(const run_side *side, int32_t map)
{
    const far_shape shape = far_graph_shape(side->graph, side->model.logits[map]);
    return shape.ndim == 4 && shape.dim[2] == side->height && shape.dim[3] == side->width;
}

void run_taken_mark(const far_run *run, run_side *side, bool is_banded)
{
    far_graph *graph = side->graph;
    if (run->opts.purpose != FAR_RUN_PREDICT) return;
    for (int32_t map = 0; map < side->model.count; map++)
        for (int64_t i = 0; i < graph->output_count; i++)
            if (graph->outputs[i].value == side->model.logits[map])
                graph->outputs[i].is_taken = is_banded && is_taken(side, map);
}

bool run_is_taken(const far_run *run, const run_side *side)
{
    return run->opts.purpose == FAR_RUN_PREDICT && side->graph != NULL && side->spill.is_banded &&
           side->model.count > 0 && is_taken(side, 0);
}

/* ---- life ---- */

static int64_t classes_of(const run_side *side, int32_t map)
{
    return far_graph_shape(side->graph, side->model.logits[map]).dim[1];
}

static void measure(const far_run *run, const run_side *side, run_taken *t)
{
    *t = (run_taken){ .run = run, .side = side, .fd = -1, .rows = side->height, .width = side->width };
    int64_t at = 0;
    for (int32_t map = 0; map < side->model.count; map++) {
        const int64_t classes = classes_of(side, map);
        if (classes > t->classes) t->classes = classes;
        t->first[map] = at;
        at += side->batch * side->height * side->width * classes * (int64_t)sizeof(float);
    }
    t->band = BAND_BYTES / (t->width * t->classes * (int64_t)sizeof(float));
    if (t->band < 1) t->band = 1;
    if (t->band > BAND_ROWS) t->band = BAND_ROWS;
    if (t->band > t->rows) t->band = t->rows;
}

static int64_t band_pixels(const run_taken *t)
{
    return t->band * t->width;
}

static int64_t planes_of(const far_run *run)
{
    return run->data.info.label != FAR_LABEL_MAP ? 0
           : run->data.info.label_planes > 1     ? run->data.info.label_planes
                                                 : 1;
}

int64_t run_taken_bytes(const far_run *run, const run_side *side)
{
    run_taken t;
    measure(run, side, &t);
    return (int64_t)sizeof t + band_pixels(&t) * (2 * t.classes + run->data.info.channels) * (int64_t)sizeof(float) +
           (band_pixels(&t) * (planes_of(run) + 1) + 1) * (int64_t)sizeof(int32_t);
}

static far_status open_file(const far_run *run, run_taken *t)
{
    const char *folder = run_spill_folder(run);
    t->path = fari_printf("the file of predictions in %s", folder);
    if (t->path == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory for a path");
    t->fd = fari_file_open_nameless(folder);
    if (t->fd >= 0) return FAR_OK;
    return FAR_FAIL(FAR_E_IO, "cannot make a file for predictions in %s: %s; run.spill_dir names another folder",
                    folder, strerror(errno));
}

far_status run_taken_open(const far_run *run, run_side *side)
{
    far_status st = FAR_OK;
    run_taken *t = fari_calloc(1, sizeof *t);
    if (t == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory for predictions");
    measure(run, side, t);
    side->taken = t;
    const size_t pixels = (size_t)band_pixels(t);
    t->raw = fari_alloc(pixels * (size_t)t->classes * sizeof *t->raw);
    t->elems = fari_alloc(pixels * (size_t)t->classes * sizeof *t->elems);
    t->image = fari_alloc(pixels * (size_t)run->data.info.channels * sizeof *t->image);
    t->labels = fari_alloc((pixels * (size_t)planes_of(run) + 1) * sizeof *t->labels);
    t->plane = fari_alloc(pixels * sizeof *t->plane);
    if (t->raw == NULL || t->elems == NULL || t->image == NULL || t->labels == NULL || t->plane == NULL)
        st = FAR_FAIL(FAR_E_NOMEM, "no memory for predictions");
    if (st == FAR_OK) st = open_file(run, t);
    if (st != FAR_OK) run_taken_close(side);
    return st;
}

void run_taken_close(run_side *side)
{
    run_taken *t = side->taken;
    side->taken = NULL;
    if (t == NULL) return;
    if (t->fd >= 0) fari_file_close(t->fd);
    fari_free(t->path);
    fari_free(t->raw);
    fari_free(t->elems);
    fari_free(t->image);
    fari_free(t->labels);
    fari_free(t->plane);
    fari_free(t);
}

/* ---- taking ---- */

static int64_t row_bytes(const run_taken *t, int32_t map)
{
    return t->width * classes_of(t->side, map) * (int64_t)sizeof(float);
}

static int64_t place_of(const run_taken *t, int32_t map, int64_t sample, int64_t row)
{
    return t->first[map] + (sample * t->rows + row) * row_bytes(t, map);
}

static far_status take(void *context, int32_t output, const fari_view *piece)
{
    const run_taken *t = context;
    const far_value value = t->side->graph->outputs[output].value;
    int32_t map = 0;
    while (t->side->model.logits[map] != value) map++; /* run_taken_mark has marked only these */
    const int64_t bytes = piece->dim[2] * row_bytes(t, map);
    if (piece->dtype != FAR_F32 || piece->order != FARI_CHANNELS_LAST)
        return FAR_FAIL(FAR_E_UNSUPPORTED, "predictions in bands of a network whose results are not channels-last f32");
    for (int64_t i = 0; i < piece->dim[0]; i++)
        FAR_TRY(fari_file_write_at(t->fd, t->path, place_of(t, map, piece->sample0 + i, piece->row0),
                                   (const char *)piece->data + i * bytes, (size_t)bytes));
    return FAR_OK;
}

void run_taken_step(const run_side *side, fari_step *step_io)
{
    if (side->taken == NULL) return;
    step_io->take_rows = take;
    step_io->take_context = side->taken;
}

/* ---- handing over ---- */

/* Rows of what went in; of padded samples the columns that are their own. */
static far_status band_inputs(const run_taken *t, const far_batch *batch, int64_t idx, far_prediction *p)
{
    const far_run *run = t->run;
    const run_side *side = t->side;
    const int64_t channels = run->data.info.channels, planes = planes_of(run), given = planes > 0 ? planes : 1;
    const int64_t at = (idx * side->height + p->row) * side->width, count = p->rows * side->width;
    if (side->rows != NULL) FAR_TRY(run_rows_image(side, batch, idx, p->row, p->rows, t->image));
    else memcpy(t->image, batch->images + at * channels, (size_t)(count * channels) * sizeof *t->image);
    if (planes > 0 && side->rows != NULL) FAR_TRY(run_rows_labels(side, batch, idx, p->row, p->rows, t->labels));
    else if (planes > 0) memcpy(t->labels, batch->labels + at * planes, (size_t)(count * planes) * sizeof *t->labels);
    for (int64_t y = 1; y < p->rows && p->width < side->width; y++)
        memmove(t->image + y * p->width * channels, t->image + y * side->width * channels,
                (size_t)(p->width * channels) * sizeof *t->image);
    p->image = t->image;
    p->labels = planes > 0 ? t->plane : NULL;
    const int64_t plane = p->map < given ? p->map : given - 1;
    for (int64_t y = 0; y < p->rows && planes > 0; y++)
        for (int64_t x = 0; x < p->width; x++)
            t->plane[y * p->width + x] = t->labels[(y * side->width + x) * planes + plane];
    return FAR_OK;
}

static far_status band_output(const run_taken *t, int64_t idx, far_prediction *p)
{
    const int64_t classes = classes_of(t->side, p->map), pixels = p->rows * p->width;
    FAR_TRY(fari_file_read_at(t->fd, t->path, place_of(t, p->map, idx, p->row), t->raw,
                              (size_t)(p->rows * row_bytes(t, p->map))));
    for (int64_t y = 0; y < p->rows; y++)
        for (int64_t x = 0; x < p->width; x++)
            for (int64_t k = 0; k < classes; k++)
                t->elems[k * pixels + y * p->width + x] = t->raw[(y * t->width + x) * classes + k];
    p->shape = (far_shape){ 3, { classes, p->rows, p->width } };
    p->elems = t->elems;
    return FAR_OK;
}

far_status run_taken_each(const run_side *side, far_dataset *set, const far_batch *batch, int64_t idx,
                          far_prediction_fn fn, void *context)
{
    const run_taken *t = side->taken;
    far_prediction p;
    if (batch->sample_ids[idx] < 0) return FAR_OK; /* could not be read */
    FAR_TRY(run_prediction_begin(t->run, side, set, batch->sample_ids[idx], &p));
    for (p.map = 0; p.map < p.map_count; p.map++)
        for (p.row = 0; p.row < p.height; p.row += t->band) {
            p.rows = p.height - p.row < t->band ? p.height - p.row : t->band;
            FAR_TRY(band_inputs(t, batch, idx, &p));
            FAR_TRY(band_output(t, idx, &p));
            FAR_TRY(fn(context, &p));
        }
    return FAR_OK;
}
