/* The zoo and the recipes against PyTorch in double: same weights, same batch, same loss of the first step. A quick look at whether
   networks are wired right; gradients and training are compared elsewhere. Weights and data: tests/golden/make_golden.py. */
#include "test.h"

#include "base/rng.h"
#include "run/executor.h"
#include <farandole/model.h>
#include <farandole/recipe.h>
#include <jansson.h>

enum { PURPOSE_WEIGHT = 1, PURPOSE_INPUT = 2, PURPOSE_LABEL = 3 };

typedef struct loss_case {
    const char *file; /* in tests/golden/data */
    const char *model, *model_settings;
    const char *recipe, *recipe_settings;
} loss_case;

static const loss_case cases[] = {
    { "lenet5", "lenet5", "", "classify", "" },
    { "resnet18", "resnet18", "", "classify", "" },
    { "resnet50", "resnet50", "", "classify", "" },
    { "alexnet_bn", "alexnet_bn", "dropout=0", "classify", "" },
    { "a21", "a21", "", "cosmictagger", "" },
    { "uresnet", "uresnet", "", "cosmictagger", "" },
    { "scc21", "scc21", "", "cosmictagger", "" },
    { "polaris", "polaris", "", "cosmictagger", "normalisation=pixels" },
    { "stream", "stream", "", "cosmictagger", "" },
    { "unet_none", "unet", "classes=3 width=16 norm=none", "segment", "" },
    { "unet_batch", "unet", "classes=3 width=16 norm=batch", "segment", "" },
    { "unet_group", "unet", "classes=3 width=16 norm=group", "segment", "" },
    { "unet_instance", "unet", "classes=3 width=16 norm=instance", "segment", "" },
    { "unet3d_group", "unet3d", "classes=3", "segment", "" },
    { "unet3d_batch", "unet3d", "classes=3 width=8 norm=batch", "segment", "" },
};

static far_shape shape_of(const json_t *list)
{
    far_shape shape = { .ndim = (int32_t)json_array_size(list) };
    for (int32_t i = 0; i < shape.ndim; i++) shape.dim[i] = json_integer_value(json_array_get(list, (size_t)i));
    return shape;
}

static void set_all(far_options *opts, const char *settings)
{
    char copy[256], *save = NULL;
    (void)snprintf(copy, sizeof copy, "%s", settings);
    for (char *word = strtok_r(copy, " ", &save); word != NULL; word = strtok_r(NULL, " ", &save)) {
        char *value = strchr(word, '=');
        *value++ = '\0';
        FAR_CHECK_OK(far_options_set(opts, word, value));
    }
}

/* Where element `elem` of the axes' order lies in a channels-last array. */
static int64_t channels_last(const far_shape *shape, int64_t elem)
{
    int64_t idx[FAR_NDIM_MAX], at = 0;
    if (shape->ndim < 3) return elem;
    for (int32_t i = shape->ndim; i-- > 0; elem /= shape->dim[i]) idx[i] = elem % shape->dim[i];
    at = idx[0];
    for (int32_t i = 2; i < shape->ndim; i++) at = at * shape->dim[i] + idx[i];
    return at * shape->dim[1] + idx[1];
}

static float *images_of(const far_shape *shape, uint64_t seed)
{
    const int64_t elems = far_shape_elems(shape);
    const uint64_t key = fari_rng_key(seed, PURPOSE_INPUT, 0, 0);
    float *x = malloc((size_t)elems * sizeof *x);
    for (int64_t i = 0; i < elems; i++)
        x[channels_last(shape, i)] = (float)(2.0 * (double)fari_rng_unit(key, (uint64_t)i) - 1.0);
    return x;
}

/* Label maps are drawn in blocks of `block` pixels along each spatial axis. `shape` is ours, [N] or [N, planes, spatial..]. */
static int32_t *labels_of(const far_shape *shape, uint64_t seed, int64_t classes, int64_t block)
{
    const int64_t elems = far_shape_elems(shape);
    const uint64_t key = fari_rng_key(seed, PURPOSE_LABEL, 0, 0);
    int32_t *labels = malloc((size_t)elems * sizeof *labels);
    for (int64_t i = 0; i < elems; i++) {
        int64_t coarse = 0, stride = 1, left = i;
        for (int32_t a = shape->ndim; a-- > 0; left /= shape->dim[a]) {
            const int64_t unit = a >= 2 ? block : 1;
            coarse += left % shape->dim[a] / unit * stride;
            stride *= (shape->dim[a] + unit - 1) / unit;
        }
        labels[channels_last(shape, i)] = (int32_t)((double)fari_rng_unit(key, (uint64_t)coarse) * (double)classes);
    }
    return labels;
}

static void set_weights(const far_graph *graph, const fari_store *store, const json_t *params, uint64_t seed)
{
    FAR_CHECK_EQ_I64(json_array_size(params), far_graph_param_count(graph));
    for (int32_t t = 0; t < far_graph_param_count(graph); t++) {
        const json_t *row = json_array_get(params, (size_t)t);
        const char *name = far_graph_value_name(graph, far_graph_param_at(graph, t));
        FAR_CHECK_STR(name, json_string_value(json_object_get(row, "name")));
        const fari_kept *kept = fari_store_find(store, FARI_ROLE_PARAM, name);
        const double offset = json_number_value(json_array_get(json_object_get(row, "init"), 0));
        const double scale = json_number_value(json_array_get(json_object_get(row, "init"), 1));
        const uint64_t key = fari_rng_key(seed, PURPOSE_WEIGHT, 0, (uint64_t)t);
        float *weight = fari_store_data(store, kept);
        for (int64_t i = 0; i < far_shape_elems(&kept->shape); i++)
            weight[i] = (float)(offset + scale * (2.0 * (double)fari_rng_unit(key, (uint64_t)i) - 1.0));
    }
}

/* The forward pass of one batch; its loss. */
static double first_loss(far_graph *graph, far_value loss, const json_t *golden, uint64_t seed, void *feed[2])
{
    fari_backend *backend = NULL;
    fari_plan *plan = NULL;
    fari_store *store = NULL;
    fari_executor *exec = NULL;
    double value = NAN;
    FAR_CHECK_OK(fari_backend_cpu_create(NULL, &backend));
    const fari_plan_opts plan_opts = { .threads = 1, .backend = backend };
    FAR_CHECK_OK(fari_plan_create(graph, &plan_opts, &plan));
    FAR_CHECK_OK(fari_store_create(graph, false, 0, &store));
    set_weights(graph, store, json_object_get(golden, "params"), seed);
    const fari_exec_opts exec_opts = { .order = FARI_EXEC_FORWARD };
    FAR_CHECK_OK(fari_executor_create(plan, store, &exec_opts, &exec));
    const int64_t sample_ids[16] = { 0 };
    const fari_step step = { .sample_ids = sample_ids, .feed = feed };
    FAR_CHECK_OK(fari_executor_step(exec, &step));
    FAR_CHECK_OK(fari_executor_read_f64(exec, loss, &value));
    fari_executor_destroy(exec);
    fari_store_destroy(store);
    fari_plan_destroy(plan);
    backend->destroy(backend);
    return value;
}

static void check_case(const loss_case *row)
{
    char path[512];
    json_error_t error;
    far_options *model_opts = NULL, *recipe_opts = NULL;
    far_graph *graph = NULL;
    far_model_result model;
    far_shape label_shape;
    far_value loss = FAR_NO_VALUE;
    (void)snprintf(path, sizeof path, FAR_TEST_SOURCE_DIR "/tests/golden/data/%s.json", row->file);
    json_t *golden = json_load_file(path, 0, &error);
    if (golden == NULL) FAR_SKIP("no golden data");
    const uint64_t seed = (uint64_t)json_integer_value(json_object_get(golden, "seed"));
    const json_t *labels = json_object_get(golden, "labels");
    const far_shape x_shape = shape_of(json_object_get(json_object_get(golden, "x"), "shape"));
    FAR_CHECK_OK(far_model_opts_create(row->model, NULL, &model_opts));
    set_all(model_opts, row->model_settings);
    FAR_CHECK_OK(far_recipe_opts_create(row->recipe, &recipe_opts));
    set_all(recipe_opts, row->recipe_settings);
    FAR_CHECK_OK(far_graph_create(true, &graph));
    FAR_CHECK_OK(far_model_build(graph, model_opts, far_graph_input(graph, "image", FAR_F32, &x_shape), &model));
    FAR_CHECK_OK(far_recipe_labels(graph, recipe_opts, &model, &label_shape));
    FAR_CHECK_OK(
        far_recipe_build(graph, recipe_opts, &model, far_graph_input(graph, "label", FAR_I32, &label_shape), &loss));
    float *x = images_of(&x_shape, seed);
    int32_t *y = labels_of(&label_shape, seed, json_integer_value(json_object_get(labels, "classes")),
                           json_integer_value(json_object_get(labels, "block")));
    int64_t sum = 0;
    for (int64_t i = 0; i < far_shape_elems(&label_shape); i++) sum += y[i];
    FAR_CHECK_EQ_I64(sum, json_integer_value(json_object_get(labels, "sum")));
    void *feed[2] = { x, y };
    const double got = first_loss(graph, loss, golden, seed, feed);
    const double want = json_number_value(json_array_get(json_object_get(json_object_get(golden, "loss"), "f64"), 0));
    FAR_CHECK_NEAR(got, want, 1e-5 * want);
    free(x);
    free(y);
    far_graph_destroy(graph);
    far_options_destroy(model_opts);
    far_options_destroy(recipe_opts);
    json_decref(golden);
}

FAR_TEST(lenet5)
{
    check_case(&cases[0]);
}

FAR_TEST(resnet18)
{
    check_case(&cases[1]);
}

FAR_TEST(resnet50)
{
    check_case(&cases[2]);
}

FAR_TEST(alexnet_bn)
{
    check_case(&cases[3]);
}

FAR_TEST(uresnet_family)
{
    for (int i = 4; i < 8; i++) check_case(&cases[i]);
}

FAR_TEST(unet_with_every_norm)
{
    for (int i = 8; i < 12; i++) check_case(&cases[i]);
}

FAR_TEST(unet3d)
{
    check_case(&cases[12]);
    check_case(&cases[13]);
}
