/* What the network gives for each sample of the part of the data that is evaluated, handed over one sample at a time. */
#include "base/mem.h"
#include "run/run_priv.h"
#include <math.h>
#include <string.h>

/* The logits of output `map` as the executor holds them. */
static far_status output_view(const run_side *side, int32_t map, fari_view *view_out)
{
    const far_value value = side->model.logits[map];
    const fari_tensor *t = fari_tensor_of(side->graph, value);
    const void *data = fari_executor_data(side->exec, value);
    if (data == NULL) return FAR_FAIL(FAR_E_INTERNAL, "output %d of the network was not computed", (int)map);
    *view_out = (fari_view){ .dtype = fari_plan_dtype(side->plan, value), .order = t->order, .ndim = t->shape.ndim };
    memcpy(view_out->dim, t->shape.dim, sizeof view_out->dim);
    memcpy(&view_out->data, &data, sizeof data); /* only read */
    return FAR_OK;
}

/* Elements of one sample, row-major, whatever their order in memory; of maps only the first `height` rows and `width` columns. */
static void read_sample(const fari_view *whole, int64_t idx_in_batch, const far_shape *shape, float *elems_out)
{
    int64_t idx[FAR_NDIM_MAX] = { 0 }, inner[FAR_NDIM_MAX] = { 0 };
    do {
        idx[0] = idx_in_batch;
        memcpy(idx + 1, inner, (FAR_NDIM_MAX - 1) * sizeof idx[0]);
        *elems_out++ = (float)fari_view_get(whole, idx);
    } while (fari_idx_next(inner, shape->dim, shape->ndim));
}

/* The same for maps [classes, H, W] that lie channels-last, which is what networks give: a hundred times as fast. */
static void read_map(const fari_view *whole, int64_t idx_in_batch, const far_shape *shape, float *elems_out)
{
    const int64_t classes = shape->dim[0], height = shape->dim[1], width = shape->dim[2], row = whole->dim[3];
    const float *image = (const float *)whole->data + idx_in_batch * whole->dim[2] * row * classes;
    for (int64_t y = 0; y < height; y++)
        for (int64_t x = 0; x < width; x++)
            for (int64_t k = 0; k < classes; k++)
                elems_out[(k * height + y) * width + x] = image[(y * row + x) * classes + k];
}

/* ---- buffers ---- */

/* Samples may be smaller than what the network gets. */
static bool is_padded(const far_run *run)
{
    return run->native.is_on || run->data.eval_frame.fit == FAR_FIT_PAD || run->data.eval_frame.fit == FAR_FIT_CROP;
}

/* Elements of the largest output of one sample. */
static int64_t elems_of_sample(const run_side *side)
{
    int64_t most = 1;
    for (int32_t map = 0; map < side->model.count; map++) {
        const far_shape shape = far_graph_shape(side->graph, side->model.logits[map]);
        const int64_t elems = far_shape_elems(&shape) / shape.dim[0];
        if (elems > most) most = elems;
    }
    return most;
}

int64_t run_results_bytes(const far_run *run)
{
    const int64_t pixels = run->eval.height * run->eval.width; /* the largest side */
    const int64_t labels = run->data.info.label == FAR_LABEL_MAP ? pixels * (int64_t)sizeof(int32_t) : 0;
    const int64_t image = is_padded(run) ? pixels * run->data.info.channels * (int64_t)sizeof(float) : 0;
    return elems_of_sample(&run->eval) * (int64_t)sizeof(float) + labels + image;
}

far_status run_results_open(const far_run *run, const run_side *side, far_dataset *set, run_results *results_out)
{
    const size_t pixels = (size_t)(side->height * side->width);
    const bool has_maps = run->data.info.label == FAR_LABEL_MAP;
    run_results results = { .run = run, .side = side, .set = set };
    results.elems = fari_alloc((size_t)elems_of_sample(side) * sizeof *results.elems);
    if (has_maps) results.labels = fari_alloc(pixels * sizeof *results.labels);
    if (is_padded(run)) results.image = fari_alloc(pixels * (size_t)run->data.info.channels * sizeof *results.image);
    *results_out = results;
    if (results.elems != NULL && (results.labels != NULL || !has_maps) && (results.image != NULL || !is_padded(run)))
        return FAR_OK;
    run_results_close(results_out);
    return FAR_FAIL(FAR_E_NOMEM, "no memory for the results of a sample");
}

void run_results_close(run_results *results)
{
    fari_free(results->elems);
    fari_free(results->image);
    fari_free(results->labels);
    *results = (run_results){ 0 };
}

/* ---- one sample ---- */

/* The part of a padded image that is the sample's own. */
static far_status take_extent(const run_results *results, far_prediction *p)
{
    int64_t height = 0, width = 0;
    p->height = results->side->height;
    p->width = results->side->width;
    if (!is_padded(results->run)) return FAR_OK;
    FAR_TRY(far_dataset_extent(results->set, p->sample, &height, &width));
    height >>= far_config_i64(results->run->config, "data.downsample");
    width >>= far_config_i64(results->run->config, "data.downsample");
    if (height < p->height) p->height = height;
    if (width < p->width) p->width = width;
    return FAR_OK;
}

static void take_image(const run_results *results, const far_batch *batch, int64_t idx, far_prediction *p)
{
    const run_side *side = results->side;
    const int64_t row = side->width * p->channels;
    const float *image = batch->images + idx * side->height * row;
    p->image = image;
    if (p->height == side->height && p->width == side->width) return;
    for (int64_t y = 0; y < p->height; y++)
        memcpy(results->image + y * p->width * p->channels, image + y * row,
               (size_t)(p->width * p->channels) * sizeof *image);
    p->image = results->image;
}

static void take_labels(const run_results *results, const far_batch *batch, int64_t idx, far_prediction *p)
{
    const far_run *run = results->run;
    const run_side *side = results->side;
    const int64_t given = run->data.info.label_planes, planes = given > 1 ? given : 1;
    const int64_t plane = p->map < planes ? p->map : planes - 1;
    p->labels = NULL;
    if (batch->labels == NULL) return;
    if (run->data.info.label != FAR_LABEL_MAP) {
        p->labels = batch->labels + idx;
        return;
    }
    const int32_t *labels = batch->labels + idx * side->height * side->width * planes;
    for (int64_t y = 0; y < p->height; y++)
        for (int64_t x = 0; x < p->width; x++)
            results->labels[y * p->width + x] = labels[(y * side->width + x) * planes + plane];
    p->labels = results->labels;
}

static far_status take_output(const run_results *results, int64_t idx, far_prediction *p)
{
    const run_side *side = results->side;
    fari_view view;
    FAR_TRY(output_view(side, p->map, &view));
    const far_shape whole = far_graph_shape(side->graph, side->model.logits[p->map]);
    const bool is_pixelwise = run_is_pixelwise(results->run, side, &whole), is_map = is_pixelwise && view.ndim == 4;
    p->shape.ndim = view.ndim - 1;
    memcpy(p->shape.dim, view.dim + 1, (FAR_NDIM_MAX - 1) * sizeof view.dim[0]);
    if (is_map) {
        p->shape.dim[1] = p->height;
        p->shape.dim[2] = p->width;
    }
    if (is_map && view.order == FARI_CHANNELS_LAST && view.dtype == FAR_F32)
        read_map(&view, idx, &p->shape, results->elems);
    else read_sample(&view, idx, &p->shape, results->elems);
    p->elems = results->elems;
    if (is_pixelwise && view.ndim == 5) p->shape = (far_shape){ 3, { view.dim[1], p->height, p->width } };
    return FAR_OK;
}

far_status run_results_each(const run_results *results, const far_batch *batch, int64_t idx, far_prediction_fn fn,
                            void *context)
{
    const far_run *run = results->run;
    if (batch->sample_ids[idx] < 0) return FAR_OK; /* could not be read */
    far_prediction p = { .sample = batch->sample_ids[idx],
                         .map_count = results->side->model.count,
                         .name = far_dataset_sample_name(results->set, batch->sample_ids[idx]),
                         .channels = run->data.info.channels,
                         .depth = run->data.info.depth,
                         .mean = run->data.has_moments ? run->data.mean : NULL,
                         .std = run->data.has_moments ? run->data.std : NULL,
                         .is_byte = run->data.info.is_integer && !far_config_bool(run->config, "data.augment.log1p") };
    FAR_TRY(take_extent(results, &p));
    take_image(results, batch, idx, &p);
    for (p.map = 0; p.map < p.map_count; p.map++) {
        take_labels(results, batch, idx, &p);
        FAR_TRY(take_output(results, idx, &p));
        FAR_TRY(fn(context, &p));
    }
    return FAR_OK;
}

typedef struct predicting {
    far_run *run;
    far_dataset *set;
    far_prediction_fn fn;
    void *context;
    run_results results;
} predicting;

static far_status predict_begin(void *context, const run_side *side)
{
    predicting *p = context;
    run_results_close(&p->results);
    return run_results_open(p->run, side, p->set, &p->results);
}

static far_status predict_batch(void *context, const run_side *side, const far_batch *batch, int64_t done,
                                int64_t total)
{
    const predicting *p = context;
    (void)side;
    for (int64_t i = 0; i < batch->count; i++) FAR_TRY(run_results_each(&p->results, batch, i, p->fn, p->context));
    run_report(p->run, "predict", done, total, NAN, 0.0, NULL);
    return FAR_OK;
}

far_status far_run_predict(far_run *run, far_prediction_fn fn, void *context)
{
    run_part part = { 0 };
    FAR_TRY(run_part_of(run, &part));
    predicting p = { .run = run, .set = part.set, .fn = fn, .context = context };
    const run_visitor visitor = { predict_begin, predict_batch, &p };
    const far_status st = run_each_batch(run, &part, &visitor);
    run_results_close(&p.results);
    return st;
}
