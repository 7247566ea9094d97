/* What the network gives for each sample of the part of the data that is evaluated, handed over one sample at a time. */
#include "base/mem.h"
#include "run/run_priv.h"
#include <string.h>

/* Reads one index of a batch's output: row-major, whatever its order in memory. */
static void read_sample(const fari_view *whole, int64_t idx_in_batch, const far_shape *shape, float *elems_out)
{
    int64_t idx[FAR_NDIM_MAX] = { 0 }, inner[FAR_NDIM_MAX] = { 0 };
    do {
        idx[0] = idx_in_batch;
        memcpy(idx + 1, inner, (FAR_NDIM_MAX - 1) * sizeof idx[0]);
        *elems_out++ = (float)fari_view_get(whole, idx);
    } while (fari_idx_next(inner, shape->dim, shape->ndim));
}

/* The logits of output `map` as the executor holds them, and their shape without the batch. */
static far_status output_view(const run_side *side, int32_t map, fari_view *view_out, far_shape *shape_out)
{
    const far_value value = side->model.logits[map];
    const fari_tensor *t = fari_tensor_of(side->graph, value);
    const void *data = fari_executor_data(side->exec, value);
    if (data == NULL) return FAR_FAIL(FAR_E_INTERNAL, "output %d of the network was not computed", (int)map);
    *view_out = (fari_view){ .dtype = fari_plan_dtype(side->plan, value), .order = t->order, .ndim = t->shape.ndim };
    memcpy(view_out->dim, t->shape.dim, sizeof view_out->dim);
    memcpy(&view_out->data, &data, sizeof data); /* only read */
    shape_out->ndim = t->shape.ndim - 1;
    memset(shape_out->dim, 0, sizeof shape_out->dim);
    memcpy(shape_out->dim, t->shape.dim + 1, (FAR_NDIM_MAX - 1) * sizeof shape_out->dim[0]);
    return FAR_OK;
}

typedef struct predicting {
    far_run *run;
    far_dataset *set;
    far_prediction_fn fn;
    void *context;
    float *elems; /* of the largest output of one sample */
} predicting;

/* What was padded is cut off: maps have the sample's own size. */
static far_status cut_back(const predicting *p, const run_side *side, int64_t sample, far_shape *shape_io)
{
    int64_t height, width;
    if (!p->run->native.is_on || shape_io->ndim != 3 || shape_io->dim[1] != side->height ||
        shape_io->dim[2] != side->width)
        return FAR_OK;
    FAR_TRY(far_dataset_extent(p->set, sample, &height, &width));
    shape_io->dim[1] = height;
    shape_io->dim[2] = width;
    return FAR_OK;
}

static far_status predict_batch(void *context, const run_side *side, const far_batch *batch, int64_t done,
                                int64_t total)
{
    const predicting *p = context;
    for (int64_t i = 0; i < batch->count; i++)
        for (int32_t map = 0; map < side->model.count; map++) {
            fari_view view;
            const int64_t sample = batch->sample_ids[i];
            far_prediction prediction = { .sample = sample,
                                          .map = map,
                                          .map_count = side->model.count,
                                          .elems = p->elems,
                                          .name = far_dataset_sample_name(p->set, sample) };
            FAR_TRY(output_view(side, map, &view, &prediction.shape));
            FAR_TRY(cut_back(p, side, sample, &prediction.shape));
            read_sample(&view, i, &prediction.shape, p->elems);
            FAR_TRY(p->fn(p->context, &prediction));
        }
    run_report(p->run, "predict", done, total, 0.0, 0.0, NULL);
    return FAR_OK;
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

static far_status predict_begin(void *context, const run_side *side)
{
    predicting *p = context;
    fari_free(p->elems);
    p->elems = fari_alloc((size_t)elems_of_sample(side) * sizeof *p->elems);
    return p->elems != NULL ? FAR_OK : FAR_FAIL(FAR_E_NOMEM, "no memory for the results of a sample");
}

far_status far_run_predict(far_run *run, far_prediction_fn fn, void *context)
{
    run_part part = { 0 };
    FAR_TRY(run_part_of(run, &part));
    predicting p = { .run = run, .set = part.set, .fn = fn, .context = context };
    const run_visitor visitor = { predict_begin, predict_batch, &p };
    const far_status st = run_each_batch(run, &part, &visitor);
    fari_free(p.elems);
    return st;
}
