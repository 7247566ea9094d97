/* The CPU backend: instruction sets, products of matrices, sums, sharing of prepared kernels, threads. */
#include "backends/cpu/isa_select.h"
#include "backends/cpu/kernel_table.h"
#include "backends/cpu/loops.h"
#include "base/mem.h"
#include "cpu_call.h"
#include "ops/linear.h"
#include "ops/matmul.h"
#include "ops/pool.h"
#include <pthread.h>

#define SEED UINT64_C(0xbacce2d)
#define TOLERANCE 4e-6 /* times the square root of the products summed */

static fari_backend *backend_make(const char *limit)
{
    fari_backend *backend = NULL;
    FAR_CHECK_OK(fari_backend_cpu_create(limit, &backend));
    return backend;
}

/* ---- instruction sets ---- */

FAR_TEST(a_limit_lowers_the_instruction_set)
{
    fari_isa best = FARI_ISA_BASE, isa = FARI_ISA_AVX512;
    FAR_CHECK_OK(fari_isa_select(NULL, &best));
    FAR_CHECK_OK(fari_isa_select("base", &isa));
    FAR_CHECK(isa == FARI_ISA_BASE);
    FAR_CHECK_OK(fari_isa_select("avx2", &isa));
    FAR_CHECK(isa <= FARI_ISA_AVX2 && isa <= best);
    FAR_CHECK_OK(fari_isa_select("avx512", &isa));
    FAR_CHECK(isa == best);
    FAR_CHECK_STATUS(fari_isa_select("sse9", &isa), FAR_E_ARG);
    FAR_CHECK_HAS(far_error_message(), "sse9");
    fari_backend *backend = NULL;
    FAR_CHECK_STATUS(fari_backend_cpu_create("sse9", &backend), FAR_E_ARG);
    FAR_CHECK(backend == NULL);
}

FAR_TEST(every_row_of_the_table_has_its_kernels)
{
    const fari_kernel_row *row = fari_kernel_find(&fari_op_max_pool);
    FAR_CHECK(row != NULL && fari_kernel_find(&fari_op_conv) == NULL);
    for (int isa = 0; isa < FARI_ISA_COUNT; isa++)
        FAR_CHECK(row->kernel[isa] != NULL && strstr(row->impl[isa], "farandole:") != NULL);
}

FAR_TEST(loops_give_the_same_bits_on_every_instruction_set)
{
    fari_isa best = FARI_ISA_BASE;
    FAR_CHECK_OK(fari_isa_select(NULL, &best));
    for (int64_t channels = 1; channels <= 37; channels += 4) {
        const int64_t pixels = 23, elems = pixels * channels;
        float *right = random_floats(elems, SEED), *row = random_floats(channels, SEED + 1),
              *start = random_floats(elems, SEED + 2);
        float *want = floats(elems), *got = floats(elems);
        for (int isa = 0; isa <= (int)best; isa++) {
            const fari_cpu_loops *loops = fari_cpu_loops_of((fari_isa)isa);
            for (int64_t i = 0; i < elems; i++) want[i] = (start[i] + right[i]) + row[i % channels];
            memcpy(got, start, (size_t)elems * sizeof *got);
            loops->add_f32(got, right, elems);
            loops->add_row(got, row, pixels, channels);
            FAR_CHECK_BITS("add", got, want, elems);
            for (int64_t i = 0; i < elems; i++) want[i] = row[i % channels];
            loops->fill_row(got, row, pixels, channels);
            FAR_CHECK_BITS("fill", got, want, elems);
            loops->fill_row(got, NULL, pixels, channels);
            for (int64_t i = 0; i < elems; i++) FAR_CHECK(got[i] == 0.0f);
        }
        free(right);
        free(row);
        free(start);
        free(want);
        free(got);
    }
}

/* ---- products ---- */

static fari_view plain_view(float *data, int32_t ndim, const int64_t *dim)
{
    return dense_view(data, FARI_ROW_MAJOR, ndim, dim);
}

/* Runs a call on the backend and on the reference, in double, and compares; `more`: runs it again on top of what is there. */
static void check_product(fari_backend *backend, fari_call call, int64_t inner, bool more, bool wants_fast)
{
    char impl[CALL_IMPL_BYTES];
    fari_prepared prepared;
    const int64_t elems = fari_view_elems(&call.out[0]);
    float *got = floats(elems);
    double *want = block((size_t)elems * sizeof *want, 64);
    call.out_count = 1;
    call.out[0].data = got;
    prepare_call(backend, &call, &prepared);
    (void)snprintf(impl, sizeof impl, "%s", prepared.impl);
    run_prepared(backend, call, &prepared);
    call.accumulate = more;
    if (more) run_prepared(backend, call, &prepared);
    backend->release(backend, &prepared);
    if (wants_fast) FAR_CHECK_MSG(strstr(impl, "ref") == NULL, "%s is run by %s", call.node->op->name, impl);
    call.out[0].dtype = FAR_F64;
    call.out[0].data = want;
    call.accumulate = false;
    FAR_CHECK_OK(call.node->op->reference(&call));
    for (int64_t i = 0; i < elems; i++) {
        const double expect = (more ? 2.0 : 1.0) * want[i],
                     limit = TOLERANCE * sqrt((double)inner + 1.0) * (more ? 2.0 : 1.0);
        FAR_CHECK_MSG(fabs((double)got[i] - expect) <= limit,
                      "%s (%s): element %" PRId64 " of %" PRId64 " is %g, not %g", call.node->op->name, impl, i, elems,
                      (double)got[i], expect);
    }
    free(got);
    free(want);
}

static void check_linear(fari_backend *backend, int64_t samples, int64_t tokens, int64_t features, int64_t outputs,
                         bool has_bias)
{
    const bool has_tokens = tokens > 0;
    const int64_t positions = samples * (has_tokens ? tokens : 1);
    const int64_t x_dim[3] = { samples, has_tokens ? tokens : features, features };
    const int64_t y_dim[3] = { samples, has_tokens ? tokens : outputs, outputs }, w_dim[2] = { outputs, features };
    const int32_t ndim = has_tokens ? 3 : 2;
    float *x = random_floats(positions * features, SEED), *w = random_floats(outputs * features, SEED + 1);
    float *dy = random_floats(positions * outputs, SEED + 2), *bias = random_floats(outputs, SEED + 3);
    fari_node node = { .op = &fari_op_linear, .name = (char *)"fc" };
    fari_call call = { .node = &node, .in_count = has_bias ? 3 : 2 };
    call.in[0] = plain_view(x, ndim, x_dim);
    call.in[1] = plain_view(w, 2, w_dim);
    call.in[2] = vector_view(bias, outputs);
    call.out[0] = plain_view(NULL, ndim, y_dim);
    check_product(backend, call, features, false, true);
    node.op = &fari_op_linear_dx;
    call.in_count = 2;
    call.in[0] = plain_view(dy, ndim, y_dim);
    call.out[0] = plain_view(NULL, ndim, x_dim);
    check_product(backend, call, outputs, false, true);
    node.op = &fari_op_linear_dw;
    call.in[0] = plain_view(x, ndim, x_dim);
    call.in[1] = plain_view(dy, ndim, y_dim);
    call.out[0] = plain_view(NULL, 2, w_dim);
    check_product(backend, call, positions, false, true);
    check_product(backend, call, positions, true, true);
    free(x);
    free(w);
    free(dy);
    free(bias);
}

FAR_TEST(linear_layers_match_the_reference)
{
    fari_backend *backend = backend_make(NULL);
    const int64_t shapes[][4] = { { 1, 0, 1, 1 },  { 1, 0, 400, 120 }, { 16, 0, 120, 84 }, { 64, 0, 84, 10 },
                                  { 3, 0, 17, 5 }, { 7, 5, 12, 9 },    { 2, 33, 64, 48 },  { 16, 0, 512, 1000 },
                                  { 5, 0, 1, 7 },  { 4, 0, 7, 1 },     { 130, 0, 33, 65 }, { 2, 0, 900, 700 } };
    for (size_t i = 0; i < FAR_COUNT(shapes); i++)
        check_linear(backend, shapes[i][0], shapes[i][1], shapes[i][2], shapes[i][3], i % 2 == 0);
    for (int i = 0; i < 60; i++) {
        const uint64_t key = SEED + 100, at = 4 * (uint64_t)i;
        check_linear(backend, 1 + (int64_t)fari_rng_below(key, at, 20), (int64_t)fari_rng_below(key, at + 1, 4),
                     1 + (int64_t)fari_rng_below(key, at + 2, 70), 1 + (int64_t)fari_rng_below(key, at + 3, 70),
                     i % 2 == 0);
    }
    backend->destroy(backend);
    FAR_CHECK_EQ_I64(fari_alloc_live(), 0);
}

/* Documented of "brg" alone: a position's bits are the same whatever positions are beside it. */
FAR_TEST(positions_of_a_linear_layer_are_those_alone)
{
    fari_backend *backend = backend_make(NULL);
    const int64_t features = 400, outputs = 120, positions = 70, w_dim[2] = { outputs, features };
    float *x = random_floats(positions * features, SEED), *w = random_floats(outputs * features, SEED + 1);
    float *all = floats(positions * outputs), *some = floats(positions * outputs);
    fari_node node = { .op = &fari_op_linear, .name = (char *)"fc" };
    for (int64_t count = positions; count >= 1; count -= 3) {
        char impl[CALL_IMPL_BYTES];
        fari_call call = { .node = &node, .in_count = 2, .out_count = 1 };
        call.in[0] = plain_view(x, 2, (int64_t[2]){ count, features });
        call.in[1] = plain_view(w, 2, w_dim);
        call.out[0] = plain_view(count == positions ? all : some, 2, (int64_t[2]){ count, outputs });
        run_call(backend, &call, impl);
        if (strncmp(impl, "brg", 3) != 0) break;
        if (count < positions) FAR_CHECK_BITS("fewer positions", some, all, count * outputs);
    }
    free(x);
    free(w);
    free(all);
    free(some);
    backend->destroy(backend);
}

static void check_matmul(fari_backend *backend, int32_t ndim, const int64_t lead[2], int64_t m, int64_t k, int64_t n,
                         bool turn_a, bool turn_b)
{
    fari_matmul_attr attr = { turn_a, turn_b };
    fari_node node = { .op = &fari_op_matmul, .name = (char *)"product", .attr = &attr };
    fari_call call = { .node = &node, .attr = &attr, .in_count = 2 };
    int64_t a[4] = { 0 }, b[4] = { 0 }, y[4] = { 0 }, batch = 1;
    for (int32_t i = 0; i < ndim - 2; i++) {
        a[i] = b[i] = y[i] = lead[i];
        batch *= lead[i];
    }
    a[ndim - 2] = turn_a ? k : m;
    a[ndim - 1] = turn_a ? m : k;
    b[ndim - 2] = turn_b ? n : k;
    b[ndim - 1] = turn_b ? k : n;
    y[ndim - 2] = m;
    y[ndim - 1] = n;
    float *a_data = random_floats(batch * m * k, SEED), *b_data = random_floats(batch * k * n, SEED + 1);
    call.in[0] = plain_view(a_data, ndim, a);
    call.in[1] = plain_view(b_data, ndim, b);
    call.out[0] = plain_view(NULL, ndim, y);
    check_product(backend, call, k, false, true);
    free(a_data);
    free(b_data);
}

FAR_TEST(products_match_the_reference)
{
    fari_backend *backend = backend_make(NULL);
    for (int turn = 0; turn < 4; turn++) {
        const bool turn_a = (turn & 1) != 0, turn_b = (turn & 2) != 0;
        check_matmul(backend, 2, (int64_t[2]){ 1, 1 }, 5, 7, 3, turn_a, turn_b);
        check_matmul(backend, 3, (int64_t[2]){ 3, 1 }, 16, 33, 9, turn_a, turn_b);
        check_matmul(backend, 3, (int64_t[2]){ 1, 1 }, 1, 1, 1, turn_a, turn_b);
        check_matmul(backend, 4, (int64_t[2]){ 2, 4 }, 50, 16, 50, turn_a, turn_b);
        check_matmul(backend, 4, (int64_t[2]){ 2, 3 }, 1, 20, 31, turn_a, turn_b);
        check_matmul(backend, 4, (int64_t[2]){ 3, 2 }, 31, 20, 1, turn_a, turn_b);
    }
    backend->destroy(backend);
}

/* ---- what is prepared ---- */

static conv_data conv_small(int64_t channels)
{
    const fari_conv_attr attr = { .spatial_ndim = 2,
                                  .kernel = { 3, 3, 1 },
                                  .stride = { 1, 1, 1 },
                                  .dilation = { 1, 1, 1 },
                                  .pad_lo = { 1, 1, 0 },
                                  .pad_hi = { 1, 1, 0 },
                                  .groups = 1,
                                  .in_extent = { 40, 24, 1 },
                                  .in_channels = channels,
                                  .out_channels = channels };
    return conv_data_make(&attr, 1, false, SEED);
}

FAR_TEST(equal_geometries_share_one_kernel)
{
    fari_backend *backend = backend_make(NULL);
    conv_data data = conv_small(8);
    fari_node node[3];
    fari_prepared prepared[3];
    const fari_call calls[3] = { conv_call(&data, PASS_FORWARD, 8, 16, NULL, &node[0]),
                                 conv_call(&data, PASS_FORWARD, 16, 24, NULL, &node[1]),
                                 conv_call(&data, PASS_FORWARD, 0, 8, NULL, &node[2]) };
    for (int i = 0; i < 3; i++) prepare_call(backend, &calls[i], &prepared[i]);
    FAR_CHECK(prepared[0].state == prepared[1].state);
    FAR_CHECK(prepared[0].state != prepared[2].state); /* the top rows have padding */
    FAR_CHECK_EQ_U64(prepared[0].pack_id[1], prepared[2].pack_id[1]);
    backend->release(backend, &prepared[0]);
    FAR_CHECK(prepared[0].state == NULL);
    char what[CALL_IMPL_BYTES];
    (void)snprintf(what, sizeof what, "%s", prepared[1].impl); /* still held by the second user */
    backend->release(backend, &prepared[1]);
    backend->release(backend, &prepared[2]);
    conv_data_free(&data);
    backend->destroy(backend);
    FAR_CHECK_EQ_I64(fari_alloc_live(), 0);
}

FAR_TEST(a_backend_frees_what_nobody_returned)
{
    fari_backend *backend = backend_make(NULL);
    conv_data data = conv_small(16);
    for (int pass = 0; pass < PASS_COUNT; pass++) {
        fari_node node;
        fari_prepared prepared;
        const fari_call call = conv_call(&data, (conv_pass)pass, 0, 40, NULL, &node);
        prepare_call(backend, &call, &prepared);
        FAR_CHECK(!prepared.is_reference);
    }
    conv_data_free(&data);
    backend->destroy(backend);
    FAR_CHECK_EQ_I64(fari_alloc_live(), 0);
}

FAR_TEST(what_no_library_does_is_the_references)
{
    fari_backend *backend = backend_make(NULL);
    conv_data data = conv_small(4);
    fari_node node;
    fari_prepared prepared;
    fari_call call = conv_call(&data, PASS_FORWARD, 0, 40, NULL, &node);
    for (int32_t i = 0; i < call.in_count; i++) call.in[i].dtype = FAR_F64;
    call.out[0].dtype = FAR_F64;
    prepare_call(backend, &call, &prepared);
    FAR_CHECK(prepared.is_reference && prepared.run == fari_op_conv.reference);
    FAR_CHECK_STR(prepared.impl, "reference");
    call = conv_call(&data, PASS_FORWARD, 0, 40, NULL, &node);
    call.in[0].order = FARI_ROW_MAJOR;
    prepare_call(backend, &call, &prepared);
    FAR_CHECK(prepared.is_reference);
    conv_data_free(&data);
    backend->destroy(backend);
}

FAR_TEST(preparing_survives_each_allocation_failure)
{
    conv_data data = conv_small(8);
    for (int pass = 0; pass < PASS_COUNT; pass++) {
        far_status st = FAR_E_NOMEM;
        for (int64_t nth = 0; st != FAR_OK; nth++) {
            fari_backend *backend = NULL;
            fari_prepared prepared = { 0 };
            fari_node node;
            const fari_call call = conv_call(&data, (conv_pass)pass, 0, 40, NULL, &node);
            fari_alloc_fail_after(nth);
            st = fari_backend_cpu_create(NULL, &backend);
            if (st == FAR_OK) st = backend->prepare(backend, &call, &prepared);
            fari_alloc_fail_after(-1);
            FAR_CHECK(st == FAR_OK || st == FAR_E_NOMEM);
            if (backend != NULL) backend->destroy(backend);
            FAR_CHECK_EQ_I64(fari_alloc_live(), 0);
            FAR_CHECK(nth < 100);
        }
    }
    conv_data_free(&data);
}

/* ---- threads ---- */

#define THREADS 4
#define ROUNDS 50

typedef struct shared_job {
    fari_backend *backend;
    const conv_data *data;
    const fari_prepared *prepared;
    const void *packed;
    const float *want;
    int64_t wrong;
} shared_job;

static void *run_shared(void *arg)
{
    shared_job *job = arg;
    fari_node node;
    const int64_t elems = fari_view_elems(&job->data->y);
    float *got = floats(elems);
    job->backend->thread_begin(job->backend);
    fari_call call = conv_call(job->data, PASS_FORWARD, 0, 40, got, &node);
    call.in[1].data = (void *)(uintptr_t)job->packed;
    call.prepared = job->prepared->state;
    call.scratch = scratch_make(job->prepared->scratch_bytes);
    for (int round = 0; round < ROUNDS; round++) {
        memset(got, 0xff, (size_t)elems * sizeof *got);
        if (job->prepared->run(&call) != FAR_OK || memcmp(got, job->want, (size_t)elems * sizeof *got) != 0)
            job->wrong++;
    }
    scratch_end(call.scratch, job->prepared->scratch_bytes);
    free(got);
    return NULL;
}

FAR_TEST(threads_share_a_prepared_kernel)
{
    fari_backend *backend = backend_make(NULL);
    conv_data data = conv_small(24);
    fari_node node;
    fari_prepared prepared;
    float *want = floats(fari_view_elems(&data.y));
    const fari_call call = conv_call(&data, PASS_FORWARD, 0, 40, want, &node);
    prepare_call(backend, &call, &prepared);
    run_prepared(backend, call, &prepared);
    void *packed = block(prepared.pack_bytes[1], 64);
    FAR_CHECK(prepared.pack_bytes[1] > 0);
    FAR_CHECK_OK(backend->pack(&prepared, 1, data.weight.data, packed));
    shared_job job[THREADS];
    pthread_t thread[THREADS];
    for (int i = 0; i < THREADS; i++) {
        job[i] = (shared_job){ backend, &data, &prepared, packed, want, 0 };
        FAR_CHECK(pthread_create(&thread[i], NULL, run_shared, &job[i]) == 0);
    }
    for (int i = 0; i < THREADS; i++) {
        FAR_CHECK(pthread_join(thread[i], NULL) == 0);
        FAR_CHECK_EQ_I64(job[i].wrong, 0);
    }
    backend->release(backend, &prepared);
    conv_data_free(&data);
    free(want);
    free(packed);
    backend->destroy(backend);
}

FAR_TEST(running_allocates_nothing_of_ours)
{
    fari_backend *backend = backend_make(NULL);
    backend->thread_begin(backend);
    conv_data data = conv_small(16);
    for (int pass = 0; pass < PASS_COUNT; pass++) {
        fari_node node;
        fari_prepared prepared;
        float *out = floats(fari_view_elems(&data.x));
        const fari_call call = conv_call(&data, (conv_pass)pass, 0, 40, out, &node);
        prepare_call(backend, &call, &prepared);
        const int64_t before = fari_alloc_forbidden_count();
        fari_alloc_forbid(true);
        run_prepared(backend, call, &prepared);
        fari_alloc_forbid(false);
        FAR_CHECK_EQ_I64(fari_alloc_forbidden_count(), before);
        backend->release(backend, &prepared);
        free(out);
    }
    conv_data_free(&data);
    backend->destroy(backend);
}
