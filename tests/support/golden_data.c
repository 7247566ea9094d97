#include "support/golden_data.h"
#include "base/rng.h"
#include "test.h"

/* Purposes of keys in tests/golden/make_golden.py, which are not the library's. */
enum { WEIGHT = 1, INPUT, LABEL, PROJECT, PROJECT_OUTPUT, PROJECT_STATISTIC };

/* ---- reading ---- */

static json_t *member(const golden *g, const json_t *object, const char *key)
{
    json_t *value = json_object_get(object, key);
    FAR_CHECK_MSG(value != NULL, "%s.json has no \"%s\" where it is needed", g->label, key);
    return value;
}

static double number(const golden *g, const json_t *object, const char *key)
{
    return json_number_value(member(g, object, key));
}

static far_shape shape_of(const golden *g, const json_t *object)
{
    const json_t *list = member(g, object, "shape");
    far_shape shape = { .ndim = (int32_t)json_array_size(list) };
    FAR_CHECK(shape.ndim <= FAR_NDIM_MAX);
    for (int32_t i = 0; i < shape.ndim; i++) shape.dim[i] = json_integer_value(json_array_get(list, (size_t)i));
    return shape;
}

static void numbers(const golden *g, const json_t *object, const char *key, int32_t count, double *out)
{
    const json_t *list = member(g, object, key);
    FAR_CHECK_EQ_I64(json_array_size(list), count);
    for (int32_t i = 0; i < count; i++) out[i] = json_number_value(json_array_get(list, (size_t)i));
}

static void tensor_read(const golden *g, golden_kind kind, int32_t idx, const json_t *item)
{
    static const uint64_t purpose[GOLDEN_KIND_COUNT] = { PROJECT, PROJECT_STATISTIC, PROJECT_OUTPUT };
    golden_tensor *t = &g->tensors[kind][idx];
    t->shape = shape_of(g, item);
    t->norm = number(g, item, "norm");
    t->d32 = number(g, item, "d32");
    t->proj_count = (int32_t)json_array_size(member(g, item, "proj"));
    FAR_CHECK(t->proj_count >= 1 && t->proj_count <= GOLDEN_PROJECTIONS_MAX);
    numbers(g, item, "proj", t->proj_count, t->proj);
    for (int32_t p = 0; p < t->proj_count; p++)
        t->key[p] = fari_rng_key(g->seed, purpose[kind], (uint64_t)idx, (uint64_t)p);
    if (kind == GOLDEN_OUTPUT) return;
    t->name = json_string_value(member(g, item, "name"));
    if (kind == GOLDEN_STATISTIC) return;
    double init[2];
    numbers(g, item, "init", 2, init);
    t->init_offset = init[0];
    t->init_scale = init[1];
    t->init_bits = (uint64_t)json_integer_value(member(g, item, "bits_sum"));
    t->flip = number(g, item, "flip");
    FAR_CHECK_MSG(golden_is_zero(g, t) == json_is_true(member(g, item, "zero")), "%s: %s is marked by another rule",
                  g->label, t->name);
}

static void tensors_read(golden *g, golden_kind kind, const char *key)
{
    const json_t *list = member(g, g->root, key);
    g->count[kind] = (int32_t)json_array_size(list);
    g->tensors[kind] = calloc((size_t)g->count[kind] + 1, sizeof *g->tensors[kind]);
    FAR_CHECK(g->tensors[kind] != NULL);
    for (int32_t i = 0; i < g->count[kind]; i++) tensor_read(g, kind, i, json_array_get(list, (size_t)i));
}

static void outputs_read(golden *g)
{
    static const char *const names[] = { "output_train", "output_eval" };
    g->count[GOLDEN_OUTPUT] = FAR_COUNT(names);
    g->tensors[GOLDEN_OUTPUT] = calloc(FAR_COUNT(names), sizeof *g->tensors[GOLDEN_OUTPUT]);
    FAR_CHECK(g->tensors[GOLDEN_OUTPUT] != NULL);
    for (int32_t i = 0; i < g->count[GOLDEN_OUTPUT]; i++) {
        tensor_read(g, GOLDEN_OUTPUT, i, member(g, g->root, names[i]));
        g->tensors[GOLDEN_OUTPUT][i].name = names[i];
    }
}

void golden_load(const char *name, golden *g)
{
    char path[512];
    json_error_t error;
    memset(g, 0, sizeof *g);
    g->label = name;
    (void)snprintf(path, sizeof path, "%s/tests/golden/data/%s.json", FAR_TEST_SOURCE_DIR, name);
    g->root = json_load_file(path, 0, &error);
    FAR_CHECK_MSG(g->root != NULL, "%s: %s (line %d)", path, error.text, error.line);
    FAR_CHECK_EQ_I64(json_integer_value(member(g, g->root, "format")), 1);
    const json_t *x = member(g, g->root, "x"), *labels = member(g, g->root, "labels"),
                 *loss = member(g, g->root, "loss");
    const json_t *sgd = member(g, g->root, "sgd");
    g->seed = (uint64_t)json_integer_value(member(g, g->root, "seed"));
    g->x = shape_of(g, x);
    g->labels = shape_of(g, labels);
    g->classes = json_integer_value(member(g, labels, "classes"));
    g->label_block = json_integer_value(member(g, labels, "block"));
    g->loss_name = json_string_value(member(g, loss, "name"));
    numbers(g, loss, "f64", GOLDEN_STEPS, g->loss_f64);
    numbers(g, loss, "f32", GOLDEN_STEPS, g->loss_f32);
    g->lr = number(g, sgd, "lr");
    g->momentum = number(g, sgd, "momentum");
    g->gradient_norm = number(g, member(g, g->root, "grad"), "norm");
    g->kinks_near = json_integer_value(member(g, member(g, g->root, "kinks"), "near"));
    tensors_read(g, GOLDEN_GRADIENT, "params");
    tensors_read(g, GOLDEN_STATISTIC, "buffers");
    outputs_read(g);
}

void golden_free(golden *g)
{
    for (int32_t kind = 0; kind < GOLDEN_KIND_COUNT; kind++) free(g->tensors[kind]);
    json_decref(g->root);
}

/* ---- the contract ---- */

bool golden_is_zero(const golden *g, const golden_tensor *t)
{
    return t->norm <= 1e-12 * g->gradient_norm;
}

double golden_limit(const golden *g, golden_kind kind, double norm, double d32)
{
    return fmax(2.0 * d32, 1e-5 * norm + (kind == GOLDEN_GRADIENT ? 1e-7 * g->gradient_norm : 0.0));
}

double golden_loss_limit(const golden *g, int32_t step)
{
    return fmax(2.0 * fabs(g->loss_f32[step] - g->loss_f64[step]), 1e-5 * fabs(g->loss_f64[step]));
}

/* ---- formulas ---- */

void golden_weights(const golden *g, int32_t param, float *elems)
{
    const golden_tensor *t = &g->tensors[GOLDEN_GRADIENT][param];
    const uint64_t key = fari_rng_key(g->seed, WEIGHT, 0, (uint64_t)param);
    const int64_t count = far_shape_elems(&t->shape);
    for (int64_t i = 0; i < count; i++)
        elems[i] = (float)(t->init_offset + t->init_scale * (2.0 * (double)fari_rng_unit(key, (uint64_t)i) - 1.0));
    FAR_CHECK_MSG(golden_bits_sum(elems, count) == t->init_bits, "%s: %s starts with other bits", g->label, t->name);
}

void golden_x(const golden *g, float *elems)
{
    const uint64_t key = fari_rng_key(g->seed, INPUT, 0, 0);
    const int64_t count = far_shape_elems(&g->x);
    for (int64_t i = 0; i < count; i++) elems[i] = (float)(2.0 * (double)fari_rng_unit(key, (uint64_t)i) - 1.0);
    FAR_CHECK_EQ_I64(golden_bits_sum(elems, count), json_integer_value(member(g, member(g, g->root, "x"), "bits_sum")));
}

/* One label a block of pixels; where there are planes (focal losses), axis 1 is theirs. */
void golden_labels(const golden *g, int32_t *elems)
{
    const uint64_t key = fari_rng_key(g->seed, LABEL, 0, 0);
    const int32_t first = strncmp(g->loss_name, "focal", 5) == 0 ? 2 : 1;
    const int64_t count = far_shape_elems(&g->labels);
    int64_t sum = 0;
    for (int64_t i = 0; i < count; i++) {
        int64_t block = 0, stride = 1, rest = i;
        for (int32_t axis = g->labels.ndim; axis-- > 0;) { /* the last axis first: the block's row-major number */
            const int64_t side = axis >= first ? g->label_block : 1, extent = g->labels.dim[axis];
            block += rest % extent / side * stride;
            stride *= (extent + side - 1) / side;
            rest /= extent;
        }
        elems[i] = (int32_t)((double)fari_rng_unit(key, (uint64_t)block) * (double)g->classes);
        sum += elems[i];
    }
    FAR_CHECK_EQ_I64(sum, json_integer_value(member(g, member(g, g->root, "labels"), "sum")));
}

uint64_t golden_bits_sum(const float *elems, int64_t count)
{
    uint64_t sum = 0;
    for (int64_t i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, &elems[i], sizeof bits);
        sum += bits;
    }
    return sum;
}

double golden_project(uint64_t key, const float *elems, int64_t count)
{
    double sum[4] = { 0.0 };
    for (int64_t i = 0; i < count; i++) {
        const double value = (double)elems[i];
        sum[i % 4] += (fari_rng_bits(key, (uint64_t)i) >> 63) != 0 ? -value : value;
    }
    return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}
