/* Our kernels for normalisation, activations, softmax, losses and metrics, node by node: every instruction set this machine has gives
   the same bits, pieces of samples and rows the bits of the whole (MAP), and all are near the f32 reference. */
#include "backends/cpu/kernel_table.h"
#include "base/rng.h"
#include "graph/autodiff.h"
#include "ops/reduce.h"
#include "test.h"
#include <farandole/activation.h>
#include <farandole/elementwise.h>
#include <farandole/loss.h>
#include <farandole/metric.h>
#include <farandole/norm.h>

typedef struct scene {
    far_graph *graph;
    const char *label;
    void **data; /* [tensors] whole, in their own order */
    fari_step step;
    uint64_t key, draws;
} scene;

static int64_t elems_of(const fari_tensor *t)
{
    return far_shape_elems(&t->shape);
}

static size_t bytes_of(const fari_tensor *t)
{
    return (size_t)(elems_of(t) * far_dtype_bytes(t->dtype));
}

/* At cache lines, as in a plan's arena. */
static void *memory_take(size_t bytes)
{
    void *data = aligned_alloc(64, (bytes / 64 + 1) * 64);
    FAR_CHECK(data != NULL);
    return data;
}

static uint64_t draw(scene *s, uint64_t bound)
{
    return fari_rng_below(s->key, s->draws++, bound);
}

/* ---- views ---- */

static fari_view whole_view(const scene *s, far_value value, void *data)
{
    const fari_tensor *t = fari_tensor_of(s->graph, value);
    fari_view view = { .data = data, .dtype = t->dtype, .order = t->order, .ndim = t->shape.ndim, .rows_total = 1 };
    memcpy(view.dim, t->shape.dim, sizeof view.dim);
    if (view.ndim >= 3) view.rows_total = view.dim[2];
    return view;
}

/* Samples [n0, n1) and rows [r0, r1); a piece of the rows has one sample and is channels-last, so it is contiguous. */
static fari_view piece_view(const scene *s, far_value value, void *data, int64_t n0, int64_t n1, int64_t r0, int64_t r1)
{
    const fari_tensor *t = fari_tensor_of(s->graph, value);
    fari_view view = whole_view(s, value, data);
    if (t->batch_of == 0) return view;
    const int64_t lo = n0 / t->batch_of, hi = (n1 + t->batch_of - 1) / t->batch_of, each = elems_of(t) / view.dim[0];
    int64_t offset = lo * each;
    view.dim[0] = hi - lo;
    view.sample0 = lo;
    if (view.ndim >= 3) {
        offset += r0 * (each / view.dim[2]);
        view.dim[2] = r1 - r0;
        view.row0 = r0;
    }
    view.data = (char *)view.data + offset * far_dtype_bytes(t->dtype);
    return view;
}

static fari_call call_of(const scene *s, const fari_node *node)
{
    fari_call call = {
        .node = node, .attr = node->attr, .in_count = node->in_count, .out_count = node->out_count, .step = &s->step
    };
    for (int32_t i = 0; i < node->in_count; i++) call.in[i] = whole_view(s, node->in[i], s->data[node->in[i]]);
    return call;
}

static void outputs_point(const scene *s, const fari_node *node, fari_call *call, void *const *out)
{
    for (int32_t i = 0; i < node->out_count; i++) call->out[i] = whole_view(s, node->out[i], out[i]);
}

/* ---- checks ---- */

static void outputs_take(const scene *s, const fari_node *node, void **out)
{
    for (int32_t i = 0; i < node->out_count; i++) {
        const size_t bytes = bytes_of(fari_tensor_of(s->graph, node->out[i]));
        out[i] = memory_take(bytes);
        memset(out[i], 0xff, bytes); /* NaN */
    }
}

static void outputs_free(const fari_node *node, void **out)
{
    for (int32_t i = 0; i < node->out_count; i++) free(out[i]);
}

static void check_bits(const scene *s, const fari_node *node, const char *what, void *const *got, void *const *want)
{
    for (int32_t i = 0; i < node->out_count; i++)
        FAR_CHECK_MSG(memcmp(got[i], want[i], bytes_of(fari_tensor_of(s->graph, node->out[i]))) == 0,
                      "%s: %s output %d: other bits %s", s->label, node->op->name, (int)i, what);
}

static void check_near(const scene *s, const fari_node *node, void *const *got, double limit)
{
    for (int32_t i = 0; i < node->out_count; i++) {
        const fari_view have = whole_view(s, node->out[i], got[i]),
                        want = whole_view(s, node->out[i], s->data[node->out[i]]);
        const int64_t elems = fari_view_elems(&want);
        double top = 0.0;
        for (int64_t k = 0; k < elems; k++) top = fmax(top, fabs(fari_view_get_flat(&want, k)));
        for (int64_t k = 0; k < elems; k++) {
            const double off = fabs(fari_view_get_flat(&have, k) - fari_view_get_flat(&want, k));
            FAR_CHECK_MSG(off <= limit * top + 1e-30, "%s: %s output %d element %" PRId64 " is %.9g, want %.9g",
                          s->label, node->op->name, (int)i, k, fari_view_get_flat(&have, k),
                          fari_view_get_flat(&want, k));
        }
    }
}

/* Rows of input i that rows [r0, r1) of the output need. */
static void rows_needed(const scene *s, const fari_node *node, int32_t i, int64_t r0, int64_t r1, int64_t *lo,
                        int64_t *hi)
{
    const fari_tensor *in[FARI_IN_MAX] = { NULL };
    const fari_tensor *out = fari_tensor_of(s->graph, node->out[0]);
    for (int32_t k = 0; k < node->in_count; k++) in[k] = fari_tensor_of(s->graph, node->in[k]);
    const int64_t rows = in[i]->shape.ndim >= 3 ? in[i]->shape.dim[2] : 1,
                  out_rows = out->shape.ndim >= 3 ? out->shape.dim[2] : 1;
    *lo = rows == out_rows ? r0 : 0;
    *hi = rows == out_rows ? r1 : rows;
    if (node->op->rows != NULL) node->op->rows(node, in, (int)i, r0, r1, lo, hi);
    if (in[i]->order != FARI_CHANNELS_LAST && in[i]->shape.ndim >= 3 &&
        in[i]->shape.dim[1] != 1) { /* never cut: comes whole */
        *lo = 0;
        *hi = rows;
    }
}

/* A MAP node in random pieces: runs of samples, or runs of rows of each sample. */
static void run_pieces(scene *s, const fari_node *node, fari_kernel_fn kernel, void *const *out)
{
    const fari_tensor *lead = fari_tensor_of(s->graph, node->out[0]);
    const bool by_rows = lead->has_rows && lead->order == FARI_CHANNELS_LAST && draw(s, 3) > 0;
    const int64_t samples = lead->shape.dim[0], rows = lead->shape.ndim >= 3 ? lead->shape.dim[2] : 1;
    for (int64_t n = 0; n < samples;) {
        const int64_t run = by_rows ? 1 : 1 + (int64_t)draw(s, (uint64_t)(samples - n));
        for (int64_t r = 0; r < rows;) {
            const int64_t some = by_rows ? 1 + (int64_t)draw(s, (uint64_t)(rows - r)) : rows;
            fari_call call = call_of(s, node);
            for (int32_t i = 0; i < node->in_count; i++) {
                int64_t lo, hi;
                rows_needed(s, node, i, r, r + some, &lo, &hi);
                call.in[i] = piece_view(s, node->in[i], s->data[node->in[i]], n, n + run, lo, hi);
            }
            for (int32_t i = 0; i < node->out_count; i++)
                call.out[i] = piece_view(s, node->out[i], out[i], n, n + run, r, r + some);
            FAR_CHECK_OK(kernel(&call));
            r += some;
        }
        n += run;
    }
}

/* REDUCE: what a second call adds to a partial. Both halves of the sum are the whole, so it is twice that (statistics: merged). */
static void run_accumulating(const scene *s, const fari_node *node, fari_kernel_fn kernel, void *const *out,
                             void *const *once)
{
    fari_call call = call_of(s, node);
    outputs_point(s, node, &call, out);
    call.accumulate = true;
    for (int32_t i = 0; i < node->out_count; i++)
        memcpy(out[i], once[i], bytes_of(fari_tensor_of(s->graph, node->out[i])));
    FAR_CHECK_OK(kernel(&call));
}

static void check_kernels(scene *s, const fari_node *node, const fari_kernel_row *row, fari_isa best, double limit)
{
    void *first[FARI_OUT_MAX], *other[FARI_OUT_MAX], *twice[FARI_OUT_MAX], *reference[FARI_OUT_MAX];
    outputs_take(s, node, first);
    outputs_take(s, node, twice);
    for (int isa = 0; isa <= (int)best; isa++) {
        fari_call call = call_of(s, node);
        outputs_take(s, node, other);
        outputs_point(s, node, &call, isa == 0 ? first : other);
        FAR_CHECK_OK(row->kernel[isa](&call));
        if (isa > 0) check_bits(s, node, row->impl[isa], other, first);
        if (node->op->kind == FARI_MAP) {
            for (int round = 0; round < 3; round++) {
                run_pieces(s, node, row->kernel[isa], other);
                check_bits(s, node, "in pieces", other, first);
            }
        } else {
            run_accumulating(s, node, row->kernel[isa], isa == 0 ? twice : other, first);
            if (isa > 0) check_bits(s, node, "accumulating", other, twice);
        }
        outputs_free(node, other);
    }
    check_near(s, node, first, limit);
    if (node->op->kind == FARI_REDUCE) {
        outputs_take(s, node, reference);
        run_accumulating(s, node, node->op->reference, reference, s->data + node->out[0]);
        for (int32_t i = 0; i < node->out_count; i++) {
            void *kept = s->data[node->out[i]];
            s->data[node->out[i]] = reference[i];
            check_near(s, node, twice, limit);
            s->data[node->out[i]] = kept;
        }
        outputs_free(node, reference);
    }
    outputs_free(node, first);
    outputs_free(node, twice);
}

/* ---- data ---- */

static void fill(scene *s, far_value value, double scale, int64_t classes)
{
    const fari_tensor *t = fari_tensor_of(s->graph, value);
    const fari_view view = whole_view(s, value, s->data[value]);
    for (int64_t k = 0; k < elems_of(t); k++) {
        const double unit = 2.0 * fari_rng_unit_f64(s->key, s->draws++) - 1.0;
        if (t->role == FARI_ROLE_STATE) fari_view_set_flat(&view, k, 1.5 + unit);
        else if (t->dtype == FAR_F32) fari_view_set_flat(&view, k, t->role == FARI_ROLE_INPUT ? scale * unit : unit);
        else fari_view_set_flat(&view, k, (double)draw(s, (uint64_t)classes));
    }
}

/* Adds a loss and its gradients, runs all nodes by their references, and checks those that have kernels. Gives how many had. */
static int64_t scene_check(const char *label, far_graph *graph, far_value y, double scale, int64_t classes)
{
    static const int64_t ids[128] = { 5, 9, 2, 11, 40, 3, 7, 1 };
    scene s = { .graph = graph,
                .label = label,
                .step = { .seed = 3, .step = 8, .sample_ids = ids },
                .key = fari_rng_key(8, 8, 8, 8) };
    const far_shape shape = far_graph_shape(graph, y);
    const far_value x = far_graph_find(graph, "x");
    int64_t checked = 0;
    fari_isa best;
    FAR_CHECK_OK(far_graph_status(graph));
    FAR_CHECK_OK(fari_isa_select(NULL, &best));
    if (fari_tensor_of(graph, y)->batch_of == 1 && fari_tensor_of(graph, y)->dtype == FAR_F32) {
        y = far_mul(graph, "weighted", y, far_graph_input(graph, "weight", FAR_F32, &shape));
        y = fari_emit(graph, &fari_op_reduce_all, "loss", NULL, 1, &y);
    }
    if (far_graph_shape(graph, y).ndim == 0) FAR_CHECK_OK(fari_graph_backward_wrt(graph, y, 1, &x));
    s.data = calloc((size_t)graph->tensor_count, sizeof *s.data);
    FAR_CHECK(s.data != NULL);
    for (int64_t i = 0; i < graph->tensor_count; i++) {
        s.data[i] = memory_take(bytes_of(graph->tensors[i]));
        if (graph->tensors[i]->producer < 0) fill(&s, (far_value)i, scale, classes);
    }
    for (int64_t n = 0; n < graph->node_count; n++) {
        const fari_node *node = graph->nodes[n];
        fari_call call = call_of(&s, node);
        outputs_point(&s, node, &call, s.data + node->out[0]);
        if (node->mutates)
            for (int32_t i = 0; i < node->out_count; i++) call.out[i].data = s.data[node->out[i]];
        FAR_CHECK_OK(node->op->reference(&call));
        const fari_kernel_row *row = fari_kernel_find(node->op);
        if (row == NULL || row->scratch != NULL || (row->supports != NULL && !row->supports(&call))) continue;
        check_kernels(&s, node, row, best, 2e-5);
        checked++;
    }
    for (int64_t i = 0; i < graph->tensor_count; i++) free(s.data[i]);
    free(s.data);
    far_graph_destroy(graph);
    return checked;
}

/* ---- what is checked ---- */

static far_value input(far_graph *graph, const far_shape *shape)
{
    return far_graph_input(graph, "x", FAR_F32, shape);
}

static far_graph *graph_new(bool is_training)
{
    far_graph *graph = NULL;
    FAR_CHECK_OK(far_graph_create(is_training, &graph));
    return graph;
}

/* Odd tails, whole vectors, tiles of channels, more channels than a tile. */
static const far_shape images[] = {
    { 4, { 2, 8, 9, 7 } },    { 4, { 3, 3, 11, 5 } },    { 4, { 2, 16, 6, 10 } }, { 4, { 2, 40, 5, 5 } },
    { 4, { 1, 1, 30, 31 } },  { 4, { 2, 33, 5, 4 } },    { 4, { 2, 255, 3, 4 } }, { 4, { 2, 260, 3, 3 } },
    { 4, { 2, 1030, 3, 2 } }, { 5, { 2, 24, 4, 3, 5 } }, { 3, { 2, 12, 33 } },    { 4, { 1, 8, 64, 40 } },
    { 4, { 4, 64, 3, 3 } },   { 4, { 2, 100, 4, 3 } },
};

FAR_TEST(norm_kernels)
{
    static const far_act acts[] = { FAR_ACT_NONE, FAR_ACT_RELU, FAR_ACT_LEAKY_RELU };
    for (size_t i = 0; i < FAR_COUNT(images); i++)
        for (int act = 0; act < 3; act++)
            for (int how = 0; how < 10; how++) { /* 5 layers, with and without a residual */
                far_graph *graph = graph_new(how != 4 && how != 9);
                const far_value x = input(graph, &images[i]),
                                residual = far_graph_input(graph, "residual", FAR_F32, &images[i]);
                far_norm_opts opts = { .act = acts[act], .slope = 0.1, .no_affine = (i + (size_t)how) % 3 == 0 };
                far_value y = FAR_NO_VALUE;
                if (how >= 5) opts.residual = &residual;
                if (how % 5 == 0 || how % 5 == 4) y = far_batch_norm(graph, "norm", x, &opts);
                if (how % 5 == 1) y = far_instance_norm(graph, "norm", x, &opts);
                if (how % 5 == 2) y = far_layer_norm(graph, "norm", x, &opts);
                if (how % 5 == 3) y = far_group_norm(graph, "norm", x, images[i].dim[1] % 4 == 0 ? 4 : 1, &opts);
                FAR_CHECK(scene_check("norm", graph, y, 2.0, 2) >= 2);
            }
}

/* Images of 2 MiB and more are written past the caches, where rows begin at cache lines: here all, every second, or none. */
FAR_TEST(norm_kernels_for_large_images)
{
    static const far_shape large[] = { { 4, { 1, 8, 260, 256 } },
                                       { 4, { 1, 8, 260, 255 } },
                                       { 4, { 1, 5, 331, 333 } } };
    for (size_t i = 0; i < FAR_COUNT(large); i++) {
        far_graph *graph = graph_new(true);
        const far_value x = input(graph, &large[i]), residual = far_graph_input(graph, "residual", FAR_F32, &large[i]);
        const far_norm_opts opts = { .act = FAR_ACT_LEAKY_RELU, .slope = 0.1, .residual = i == 1 ? &residual : NULL };
        far_value y = far_batch_norm(graph, "norm", x, &opts);
        if (i == 0) y = far_add(graph, "sum", y, x); /* and the sum of two gradients */
        FAR_CHECK(scene_check("large", graph, y, 2.0, 2) >= 4);
    }
}

/* The gradients of a sum's users, added up and taken back through its activation at once: one, two or three users, blocks and tails,
   past the caches and not. */
FAR_TEST(gathered_gradient_kernels)
{
    static const far_shape shapes[] = {
        { 4, { 2, 8, 9, 7 } }, { 4, { 2, 1030, 3, 2 } }, { 4, { 1, 8, 260, 256 } }, { 4, { 1, 5, 331, 333 } }
    };
    for (size_t i = 0; i < FAR_COUNT(shapes); i++)
        for (int users = 1; users <= 3; users++) {
            far_graph *graph = graph_new(true);
            const far_value x = input(graph, &shapes[i]);
            const far_norm_opts opts = { .act = i % 2 == 0 ? FAR_ACT_RELU : FAR_ACT_LEAKY_RELU,
                                         .slope = 0.1,
                                         .residual = &x };
            const far_value y = far_batch_norm(graph, "norm", x, &opts);
            far_value sum = y;
            if (users > 1) sum = far_add(graph, "sum", sum, far_tanh(graph, "tanh", y));
            if (users > 2) sum = far_add(graph, "sum", sum, far_sigmoid(graph, "sigmoid", y));
            FAR_CHECK(scene_check("gathered", graph, sum, 2.0, 2) >= 4 + users);
        }
}

FAR_TEST(batch_norm_kernels_for_vectors)
{
    static const far_shape vectors[] = { { 2, { 9, 5 } }, { 2, { 64, 64 } }, { 2, { 3, 700 } } };
    for (size_t i = 0; i < FAR_COUNT(vectors); i++) {
        far_graph *graph = graph_new(true);
        FAR_CHECK(
            scene_check("vectors", graph, far_batch_norm(graph, "norm", input(graph, &vectors[i]), NULL), 2.0, 2) >= 4);
    }
}

static const far_shape lines[] = {
    { 2, { 5, 16 } },    { 2, { 3, 1 } },         { 2, { 4, 77 } }, { 2, { 2, 1000 } },
    { 3, { 2, 7, 33 } }, { 4, { 1, 2, 65, 64 } }, { 2, { 70, 3 } },
};

FAR_TEST(layer_norm_kernels)
{
    for (size_t i = 0; i < FAR_COUNT(lines); i++)
        for (int affine = 0; affine < 2; affine++) {
            far_graph *graph = graph_new(true);
            const far_norm_opts opts = { .no_affine = affine == 0 };
            FAR_CHECK(scene_check("layer norm", graph,
                                  far_layer_norm_last(graph, "norm", input(graph, &lines[i]), &opts), 2.0,
                                  2) >= 2 + affine);
        }
}

FAR_TEST(softmax_kernels)
{
    for (int is_log = 0; is_log < 2; is_log++)
        for (size_t i = 0; i < FAR_COUNT(lines) + FAR_COUNT(images); i++) {
            far_graph *graph = graph_new(true);
            const bool is_image = i >= FAR_COUNT(lines);
            const far_value x = input(graph, is_image ? &images[i - FAR_COUNT(lines)] : &lines[i]);
            const int32_t axis = is_image ? 1 : -1;
            const far_value y = is_log ? far_log_softmax(graph, "y", x, axis) : far_softmax(graph, "y", x, axis);
            FAR_CHECK(scene_check("softmax", graph, y, 8.0, 2) >= 2);
        }
}

FAR_TEST(activation_kernels)
{
    for (int act = FAR_ACT_RELU; act < FAR_ACT_COUNT; act++)
        for (size_t i = 0; i < 3; i++) {
            far_graph *graph = graph_new(true);
            FAR_CHECK(scene_check(far_act_name((far_act)act), graph,
                                  far_activation(graph, "y", input(graph, &images[i]), (far_act)act, 0.1),
                                  i == 0 ? 1.0 : 9.0, 2) >= 2);
        }
}

FAR_TEST(dropout_kernels)
{
    static const double ps[] = { 0.5, 0.1, 0.999 };
    for (size_t i = 0; i < FAR_COUNT(images); i++) {
        far_graph *graph = graph_new(true);
        FAR_CHECK(scene_check("dropout", graph, far_dropout(graph, "y", input(graph, &images[i]), ps[i % 3]), 1.0, 2) >=
                  2);
    }
    for (size_t i = 0; i < FAR_COUNT(lines); i++) { /* row-major after the last-axis norm */
        far_graph *graph = graph_new(true);
        const far_value normed = far_layer_norm_last(graph, "norm", input(graph, &lines[i]), NULL);
        FAR_CHECK(scene_check("dropout", graph, far_dropout(graph, "y", normed, ps[i % 3]), 1.0, 2) >= 4);
    }
}

static far_value labels_for(far_graph *graph, const far_shape *x, far_dtype dtype)
{
    far_shape shape = *x;
    if (x->ndim == 2) shape.ndim = 1;
    else shape.dim[1] = 1;
    return far_graph_input(graph, "labels", dtype, &shape);
}

static const far_shape scored[] = {
    { 4, { 2, 3, 9, 15 } }, { 4, { 1, 3, 64, 33 } }, { 4, { 2, 2, 8, 16 } },   { 2, { 130, 10 } }, { 2, { 9, 1000 } },
    { 4, { 2, 32, 5, 7 } }, { 4, { 2, 33, 5, 7 } },  { 5, { 2, 4, 3, 5, 6 } }, { 2, { 4, 1 } },
};

FAR_TEST(cross_entropy_kernels)
{
    double weight[1000];
    for (int k = 0; k < 1000; k++) weight[k] = 0.5 + (double)(k % 7) / 4.0;
    for (size_t i = 0; i < FAR_COUNT(scored); i++)
        for (int how = 0; how < 8; how++) {
            far_graph *graph = graph_new(true);
            const far_ce_opts opts = { .label_smoothing = how % 2 == 1 ? 0.1 : 0.0,
                                       .class_weight = how % 4 > 1 ? weight : NULL,
                                       .use_ignore_label = how % 3 == 0,
                                       .ignore_label = (int32_t)(scored[i].dim[1] - 1),
                                       .focal_gamma = how > 3 ? (how > 5 ? 2.0 : 0.7) : 0.0 };
            const far_value x = input(graph, &scored[i]),
                            labels = labels_for(graph, &scored[i], how % 2 == 0 ? FAR_I32 : FAR_U8);
            const int64_t classes = scored[i].dim[1] > 200 ? 200 : scored[i].dim[1];
            FAR_CHECK(scene_check("cross-entropy", graph, far_cross_entropy(graph, "loss", x, labels, &opts), 6.0,
                                  classes) >= 2);
        }
}

FAR_TEST(kernels_of_losses_of_each_class)
{
    double weight[1000];
    for (int k = 0; k < 1000; k++) weight[k] = 0.5 + (double)(k % 7) / 4.0;
    for (size_t i = 0; i < FAR_COUNT(scored); i++)
        for (int how = 0; how < 8; how++) {
            far_graph *graph = graph_new(true);
            const far_ce_opts opts = { .kind = how % 2 == 0 ? FAR_CLASS_SIGMOID : FAR_CLASS_SQUARE,
                                       .label_smoothing = how > 3 ? 0.1 : 0.0,
                                       .class_weight = how % 4 > 1 ? weight : NULL,
                                       .use_ignore_label = how % 3 == 0,
                                       .ignore_label = (int32_t)(scored[i].dim[1] - 1) };
            const far_value x = input(graph, &scored[i]), labels = labels_for(graph, &scored[i], FAR_I32);
            const int64_t classes = scored[i].dim[1] > 200 ? 200 : scored[i].dim[1];
            FAR_CHECK(scene_check("each class", graph, far_cross_entropy(graph, "loss", x, labels, &opts), 6.0,
                                  classes) >= 2);
        }
}

FAR_TEST(dice_kernels)
{
    static const far_shape mask = { 4, { 2, 1, 9, 15 } };
    for (size_t i = 0; i <= FAR_COUNT(scored); i++)
        for (int square = 0; square < 2; square++) {
            far_graph *graph = graph_new(true);
            const far_shape *shape = i < FAR_COUNT(scored) ? &scored[i] : &mask;
            const far_dice_opts opts = { .square = square == 1, .use_ignore_label = true, .ignore_label = 1 };
            const far_value x = input(graph, shape), labels = labels_for(graph, shape, FAR_U8);
            const int64_t classes = shape->dim[1] > 200 ? 200 : shape->dim[1] == 1 ? 2 : shape->dim[1];
            FAR_CHECK(scene_check("dice", graph, far_dice_loss(graph, "loss", x, labels, &opts), 6.0, classes) >= 2);
        }
}

FAR_TEST(pointwise_loss_kernels)
{
    static const far_shape shapes[] = { { 2, { 5, 7 } }, { 4, { 2, 1, 19, 11 } }, { 4, { 2, 5, 9, 13 } } };
    static const far_dtype dtypes[] = { FAR_F32, FAR_U8, FAR_I32 };
    for (size_t i = 0; i < FAR_COUNT(shapes); i++)
        for (size_t d = 0; d < FAR_COUNT(dtypes); d++)
            for (int mse = 0; mse < 2; mse++) {
                if (mse == 1 && dtypes[d] != FAR_F32) continue;
                far_graph *graph = graph_new(true);
                const far_value x = input(graph, &shapes[i]),
                                target = far_graph_input(graph, "target", dtypes[d], &shapes[i]);
                const far_bce_opts opts = { .pos_weight = 2.5 };
                const far_value loss = mse ? far_mse_loss(graph, "loss", x, target, NULL)
                                           : far_bce_with_logits(graph, "loss", x, target, &opts);
                FAR_CHECK(scene_check("pointwise", graph, loss, 5.0, 2) >= 2);
            }
}

FAR_TEST(metric_kernels)
{
    for (size_t i = 0; i < FAR_COUNT(scored); i++)
        for (int how = 0; how < 3; how++) {
            far_graph *graph = graph_new(true);
            const far_metric_opts opts = { .use_ignore_label = true, .ignore_label = 0 };
            const far_value x = input(graph, &scored[i]), labels = labels_for(graph, &scored[i], FAR_I32);
            far_value y;
            if (how == 0) y = far_metric_topk(graph, "metric", x, labels, scored[i].dim[1] > 5 ? 5 : 1, &opts);
            if (how == 1) y = far_metric_confusion(graph, "metric", x, labels, &opts);
            if (how == 2) y = far_metric_confusion_each(graph, "metric", x, labels, &opts);
            FAR_CHECK(scene_check("metric", graph, y, 5.0, scored[i].dim[1]) >= 1);
        }
}
