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
static far_status output_view(const far_run *run, int32_t map, fari_view *view_out, far_shape *shape_out)
{
    const far_value value = run->eval.model.logits[map];
    const fari_tensor *t = fari_tensor_of(run->eval.graph, value);
    const void *data = fari_executor_data(run->eval.exec, value);
    if (data == NULL) return FAR_FAIL(FAR_E_INTERNAL, "output %d of the network was not computed", (int)map);
    *view_out =
        (fari_view){ .dtype = fari_plan_dtype(run->eval.plan, value), .order = t->order, .ndim = t->shape.ndim };
    memcpy(view_out->dim, t->shape.dim, sizeof view_out->dim);
    memcpy(&view_out->data, &data, sizeof data); /* only read */
    shape_out->ndim = t->shape.ndim - 1;
    memset(shape_out->dim, 0, sizeof shape_out->dim);
    memcpy(shape_out->dim, t->shape.dim + 1, (FAR_NDIM_MAX - 1) * sizeof shape_out->dim[0]);
    return FAR_OK;
}

static far_status hand_over(const far_run *run, const far_batch *batch, float *elems, far_prediction_fn fn,
                            void *context)
{
    for (int64_t i = 0; i < batch->count; i++)
        for (int32_t map = 0; map < run->eval.model.count; map++) {
            fari_view view;
            far_prediction prediction = {
                .sample = batch->sample_ids[i], .map = map, .map_count = run->eval.model.count, .elems = elems
            };
            FAR_TRY(output_view(run, map, &view, &prediction.shape));
            read_sample(&view, i, &prediction.shape, elems);
            FAR_TRY(fn(context, &prediction));
        }
    return FAR_OK;
}

/* Elements of the largest output of one sample. */
static int64_t elems_of_sample(const far_run *run)
{
    int64_t most = 1;
    for (int32_t map = 0; map < run->eval.model.count; map++) {
        const far_shape shape = far_graph_shape(run->eval.graph, run->eval.model.logits[map]);
        const int64_t elems = far_shape_elems(&shape) / shape.dim[0];
        if (elems > most) most = elems;
    }
    return most;
}

far_status far_run_predict(far_run *run, far_prediction_fn fn, void *context)
{
    far_loader *loader = NULL;
    far_batch batch;
    int64_t done = 0;
    far_status st = FAR_OK;
    FAR_TRY(run_eval_loader(run, &loader));
    float *elems = fari_alloc((size_t)elems_of_sample(run) * sizeof *elems);
    if (elems == NULL) {
        st = FAR_FAIL(FAR_E_NOMEM, "no memory for the results of a sample");
        goto done;
    }
    while ((st = far_loader_next(loader, &batch)) == FAR_OK) {
        FAR_TRY_GOTO(run_eval_step(run, &batch), done);
        FAR_TRY_GOTO(hand_over(run, &batch, elems, fn, context), done);
        run_report(run, "predict", ++done, far_loader_batch_count(loader), 0.0, 0.0, NULL);
    }
    if (st == FAR_END) st = FAR_OK;
done:
    far_loader_close(loader);
    fari_free(elems);
    return st;
}
