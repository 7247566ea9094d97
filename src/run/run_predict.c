/* What the network gives for each sample of the part of the data that is evaluated, handed over one sample at a time. */
#include "base/mem.h"
#include "run/run_collect.h"
#include "run/run_priv.h"
#include <inttypes.h>
#include <math.h>
#include <string.h>

/* The logits of output `map`, and which of them are sample `idx`: those of the batch as the executor holds them, or of several ranks those
   of the sample alone. */
static far_status output_view(const run_results *results, int64_t idx, int32_t map, fari_view *view_out,
                              int64_t *idx_out)
{
    const run_side *side = results->side;
    const far_value value = side->model.logits[map];
    const fari_tensor *t = fari_tensor_of(side->graph, value);
    const void *data = NULL;
    *view_out = (fari_view){ .dtype = fari_plan_dtype(side->plan, value), .order = t->order, .ndim = t->shape.ndim };
    memcpy(view_out->dim, t->shape.dim, sizeof view_out->dim);
    *idx_out = idx;
    if (results->collect != NULL) {
        view_out->dim[0] = 1;
        *idx_out = 0;
        FAR_TRY(run_collect_output(results->collect, idx, map, &data));
    } else {
        data = fari_executor_data(side->exec, value);
        if (data == NULL) return FAR_FAIL(FAR_E_INTERNAL, "output %d of the network was not computed", (int)map);
    }
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

/* Labels of one sample as the data has them. */
static int64_t label_elems(const far_run *run, const run_side *side)
{
    const far_dataset_info *info = &run->data.info;
    if (info->label != FAR_LABEL_MAP) return 1;
    return side->height * side->width * (info->label_planes > 1 ? info->label_planes : 1);
}

/* Of a sample as it went in, where no batch has it. */
static int64_t fed_bytes(const far_run *run, const run_side *side)
{
    const int64_t pixels = side->height * side->width;
    if (!run_feeds_rows(run, side) || run->comm != NULL) return 0;
    return pixels * run->data.info.channels * (int64_t)sizeof(float) +
           label_elems(run, side) * (int64_t)sizeof(int32_t);
}

int64_t run_results_bytes(const far_run *run)
{
    const int64_t pixels = run->eval.height * run->eval.width; /* the largest side */
    const int64_t labels = run->data.info.label == FAR_LABEL_MAP ? pixels * (int64_t)sizeof(int32_t) : 0;
    const int64_t image = is_padded(run) ? pixels * run->data.info.channels * (int64_t)sizeof(float) : 0;
    if (run_is_taken(run, &run->eval)) return run_taken_bytes(run, &run->eval);
    const int64_t collect = run->comm != NULL ? run_collect_bytes(run, &run->eval, &run->data.info) : 0;
    if (run_is_follower(run)) return collect;
    return elems_of_sample(&run->eval) * (int64_t)sizeof(float) + labels + image + collect + fed_bytes(run, &run->eval);
}

/* On the first rank, which looks at the samples. */
static far_status results_allocate(const far_run *run, const run_side *side, run_results *results)
{
    const size_t pixels = (size_t)(side->height * side->width);
    const bool has_maps = run->data.info.label == FAR_LABEL_MAP;
    results->elems = fari_alloc((size_t)elems_of_sample(side) * sizeof *results->elems);
    if (has_maps) results->labels = fari_alloc(pixels * sizeof *results->labels);
    if (is_padded(run)) results->image = fari_alloc(pixels * (size_t)run->data.info.channels * sizeof *results->image);
    if (fed_bytes(run, side) > 0) {
        results->fed_image = fari_alloc(pixels * (size_t)run->data.info.channels * sizeof *results->fed_image);
        results->fed_labels = fari_alloc((size_t)label_elems(run, side) * sizeof *results->fed_labels);
        if (results->fed_image == NULL || results->fed_labels == NULL)
            return FAR_FAIL(FAR_E_NOMEM, "no memory for a sample");
    }
    if (results->elems != NULL && (results->labels != NULL || !has_maps) && (results->image != NULL || !is_padded(run)))
        return FAR_OK;
    return FAR_FAIL(FAR_E_NOMEM, "no memory for the results of a sample");
}

far_status run_results_open(const far_run *run, const run_side *side, far_dataset *set, run_results *results_out)
{
    const far_dataset_info info = far_dataset_info_of(set);
    run_results results = { .run = run, .side = side, .set = set };
    far_status st = run_is_follower(run) ? FAR_OK : results_allocate(run, side, &results);
    if (st == FAR_OK && side->plan->part != NULL) st = run_collect_open(run, side, &info, &results.collect);
    if (st != FAR_OK) run_results_close(&results);
    *results_out = results;
    return st;
}

void run_results_close(run_results *results)
{
    run_collect_close(results->collect);
    fari_free(results->elems);
    fari_free(results->image);
    fari_free(results->labels);
    fari_free(results->fed_image);
    fari_free(results->fed_labels);
    *results = (run_results){ 0 };
}

/* ---- one sample ---- */

/* The part of a padded image that is the sample's own. */
static far_status take_extent(const far_run *run, const run_side *side, far_dataset *set, far_prediction *p)
{
    int64_t height = 0, width = 0;
    p->height = side->height;
    p->width = side->width;
    if (!is_padded(run)) return FAR_OK;
    FAR_TRY(far_dataset_extent(set, p->sample, &height, &width));
    height >>= far_config_i64(run->config, "data.downsample");
    width >>= far_config_i64(run->config, "data.downsample");
    if (height < p->height) p->height = height;
    if (width < p->width) p->width = width;
    return FAR_OK;
}

/* image: of the sample, padded. */
static void take_image(const run_results *results, const float *image, far_prediction *p)
{
    const run_side *side = results->side;
    const int64_t row = side->width * p->channels;
    p->image = image;
    if (p->height == side->height && p->width == side->width) return;
    for (int64_t y = 0; y < p->height; y++)
        memcpy(results->image + y * p->width * p->channels, image + y * row,
               (size_t)(p->width * p->channels) * sizeof *image);
    p->image = results->image;
}

/* labels: of the sample, NULL: none. */
static void take_labels(const run_results *results, const int32_t *labels, far_prediction *p)
{
    const far_run *run = results->run;
    const run_side *side = results->side;
    const int64_t given = run->data.info.label_planes, planes = given > 1 ? given : 1;
    const int64_t plane = p->map < planes ? p->map : planes - 1;
    p->labels = labels;
    if (labels == NULL || run->data.info.label != FAR_LABEL_MAP) return;
    for (int64_t y = 0; y < p->height; y++)
        for (int64_t x = 0; x < p->width; x++)
            results->labels[y * p->width + x] = labels[(y * side->width + x) * planes + plane];
    p->labels = results->labels;
}

static void take_output(const run_results *results, const fari_view *view, int64_t idx, far_prediction *p)
{
    const run_side *side = results->side;
    const far_shape whole = far_graph_shape(side->graph, side->model.logits[p->map]);
    const bool is_pixelwise = run_is_pixelwise(results->run, side, &whole), is_map = is_pixelwise && view->ndim == 4;
    p->shape.ndim = view->ndim - 1;
    memcpy(p->shape.dim, view->dim + 1, (FAR_NDIM_MAX - 1) * sizeof view->dim[0]);
    if (is_map) {
        p->shape.dim[1] = p->height;
        p->shape.dim[2] = p->width;
    }
    if (is_map && view->order == FARI_CHANNELS_LAST && view->dtype == FAR_F32)
        read_map(view, idx, &p->shape, results->elems);
    else read_sample(view, idx, &p->shape, results->elems);
    p->elems = results->elems;
    if (is_pixelwise && view->ndim == 5) p->shape = (far_shape){ 3, { view->dim[1], p->height, p->width } };
}

/* A sample whose rows no batch has. */
static far_status make_inputs(const run_results *results, const far_batch *batch, int64_t idx, const float **image_out,
                              const int32_t **labels_out)
{
    const run_side *side = results->side;
    const int64_t rows = run_side_rows(side);
    *image_out = results->fed_image;
    *labels_out = NULL;
    FAR_TRY(run_rows_image(side, batch, idx, 0, rows, results->fed_image));
    if (results->run->data.info.label == FAR_LABEL_NONE) return FAR_OK;
    *labels_out = results->fed_labels;
    return run_rows_labels(side, batch, idx, 0, rows, results->fed_labels);
}

/* The sample as it went in: of a batch that lies here whole, or of several ranks. */
static far_status find_inputs(const run_results *results, const far_batch *batch, int64_t idx, const float **image_out,
                              const int32_t **labels_out)
{
    const run_side *side = results->side;
    const int64_t pixels = side->height * side->width, labels = label_elems(results->run, side);
    if (results->collect != NULL) return run_collect_inputs(results->collect, batch, idx, image_out, labels_out);
    if (side->rows != NULL) return make_inputs(results, batch, idx, image_out, labels_out);
    *image_out = batch->images + idx * pixels * results->run->data.info.channels;
    *labels_out = batch->labels != NULL ? batch->labels + idx * labels : NULL;
    return FAR_OK;
}

far_status run_prediction_begin(const far_run *run, const run_side *side, far_dataset *set, int64_t sample,
                                far_prediction *p_out)
{
    *p_out =
        (far_prediction){ .sample = sample,
                          .map_count = side->model.count,
                          .name = far_dataset_sample_name(set, sample),
                          .channels = run->data.info.channels,
                          .depth = run->data.info.depth,
                          .mean = run->data.has_moments ? run->data.mean : NULL,
                          .std = run->data.has_moments ? run->data.std : NULL,
                          .is_byte = run->data.info.is_integer && !far_config_bool(run->config, "data.augment.log1p") };
    return take_extent(run, side, set, p_out);
}

far_status run_results_each(const run_results *results, const far_batch *batch, int64_t idx, far_prediction_fn fn,
                            void *context)
{
    const far_run *run = results->run;
    const float *image = NULL;
    const int32_t *labels = NULL;
    far_status told = FAR_OK;
    if (batch->sample_ids[idx] < 0) return FAR_OK; /* could not be read */
    far_prediction p;
    FAR_TRY(run_prediction_begin(run, results->side, results->set, batch->sample_ids[idx], &p));
    p.rows = p.height;
    FAR_TRY(find_inputs(results, batch, idx, &image, &labels));
    if (!run_is_follower(run)) take_image(results, image, &p);
    for (p.map = 0; p.map < p.map_count; p.map++) {
        fari_view view;
        int64_t at = 0;
        FAR_TRY(
            output_view(results, idx, p.map, &view, &at)); /* also where `fn` has failed: others are still sending */
        if (run_is_follower(run) || told != FAR_OK) continue;
        take_labels(results, labels, &p);
        take_output(results, &view, at, &p);
        told = fn(context, &p);
    }
    return told;
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
    if (side->taken != NULL) return FAR_OK;
    return run_results_open(p->run, side, p->set, &p->results);
}

static far_status predict_batch(void *context, const run_side *side, const far_batch *batch, int64_t done,
                                int64_t total)
{
    const predicting *p = context;
    for (int64_t i = 0; i < batch->count; i++)
        FAR_TRY(side->taken != NULL ? run_taken_each(side, p->set, batch, i, p->fn, p->context)
                                    : run_results_each(&p->results, batch, i, p->fn, p->context));
    run_report(p->run, "predict", done, total, NAN, 0.0, NULL);
    return FAR_OK;
}

far_status far_run_predict(far_run *run, far_prediction_fn fn, void *context)
{
    if (run_is_taken(run, &run->eval))
        return FAR_FAIL(FAR_E_UNSUPPORTED,
                        "images of %" PRId64 " x %" PRId64 " do not fit into memory whole: far_run_predict_rows hands "
                        "over what the network makes of them in bands",
                        run->eval.height, run->eval.width);
    return far_run_predict_rows(run, fn, context);
}

far_status far_run_predict_rows(far_run *run, far_prediction_fn fn, void *context)
{
    run_part part = { 0 };
    FAR_TRY(run_part_of(run, &part));
    predicting p = { .run = run, .set = part.set, .fn = fn, .context = context };
    const run_visitor visitor = { predict_begin, predict_batch, &p };
    const far_status st = run_each_batch(run, &part, &visitor);
    run_results_close(&p.results);
    return st;
}
