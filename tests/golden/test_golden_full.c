/* Whole networks against PyTorch, tensor by tensor: |ours - f64| <= max(2 |torch_f32 - f64|, 1e-5 |g| + 1e-7 |all g|) in the 2-norm, nothing
   estimated. The tensors are gigabytes, so they are made on the spot (docs/numerics.md):

     tests/golden/make_golden.py --out DIR [--case NAME ...]
     FAR_GOLDEN_DIR=DIR make torture ONLY=golden_full

   Cases whose files are not in DIR are skipped. */
#include "base/mem.h"
#include "run/safetensors.h"
#include "support/golden_check.h"
#include "test.h"

#define CHUNK ((int64_t)1 << 18) /* elements compared at a time */

/* The files of one case; [0] float64, [1] PyTorch's float32. */
typedef struct full {
    golden_outcome outcome;
    fari_st_file *gradients[2], *states[2];
    double *buffer[2];
} full;

static fari_st_file *open_one(const char *dir, const char *name, const char *kind)
{
    char path[1024];
    fari_st_file *file = NULL;
    (void)snprintf(path, sizeof path, "%s/%s.%s.safetensors", dir, name, kind);
    const far_status st = fari_st_open(path, &file);
    if (st == FAR_E_NOTFOUND) FAR_SKIP("make_golden.py --out has not made this case");
    FAR_CHECK_OK(st);
    return file;
}

static void full_open(const char *dir, const char *name, full *f)
{
    f->gradients[0] = open_one(dir, name, "grad.f64");
    f->gradients[1] = open_one(dir, name, "grad.f32");
    f->states[0] = open_one(dir, name, "state.f64");
    f->states[1] = open_one(dir, name, "state.f32");
    for (int32_t i = 0; i < 2; i++) f->buffer[i] = malloc((size_t)CHUNK * sizeof *f->buffer[i]);
    FAR_CHECK(f->buffer[0] != NULL && f->buffer[1] != NULL);
}

static void full_close(full *f)
{
    for (int32_t i = 0; i < 2; i++) {
        fari_st_close(f->gradients[i]);
        fari_st_close(f->states[i]);
        free(f->buffer[i]);
    }
}

static void compare(void *ctx, golden_kind kind, int32_t idx, const float *elems, int64_t count)
{
    full *f = ctx;
    golden_outcome *o = &f->outcome;
    const golden_tensor *t = &o->g->tensors[kind][idx];
    fari_st_file *const *files = kind == GOLDEN_GRADIENT ? f->gradients : f->states;
    double ours = 0.0, theirs = 0.0, norm = 0.0;
    int64_t at[2];
    if (kind == GOLDEN_GRADIENT && golden_is_zero(o->g, t)) {
        o->zero++;
        return;
    }
    for (int32_t i = 0; i < 2; i++) {
        at[i] = fari_st_find(files[i], t->name);
        FAR_CHECK_MSG(at[i] >= 0 && fari_st_at(files[i], at[i])->elems == count, "%s: no %s", fari_st_path(files[i]),
                      t->name);
    }
    for (int64_t first = 0; first < count; first += CHUNK) {
        const int64_t n = count - first < CHUNK ? count - first : CHUNK;
        const double *f64 = f->buffer[0], *f32 = f->buffer[1];
        for (int32_t i = 0; i < 2; i++) FAR_CHECK_OK(fari_st_read(files[i], at[i], first, n, FAR_F64, f->buffer[i]));
        for (int64_t i = 0; i < n; i++) {
            const double off = (double)elems[first + i] - f64[i];
            ours += off * off;
            theirs += (f32[i] - f64[i]) * (f32[i] - f64[i]);
            norm += f64[i] * f64[i];
        }
    }
    FAR_CHECK_MSG(fabs(sqrt(norm) - t->norm) <= 1e-6 * t->norm, "%s: %s is not of the case in tests/golden/data",
                  fari_st_path(files[0]), t->name);
    golden_outcome_add(o, kind, idx, sqrt(ours), sqrt(norm), sqrt(theirs), 1.0);
}

static void check(const char *name, int64_t rows)
{
    const golden_variant variants[] = {
        { .label = "one grain", .grain = { .samples = 1 << 20, .rows = 1 << 20, .dense = 1 << 20 } },
        { .label = "grains of samples", .grain = { .samples = 1, .rows = 1 << 20, .dense = 1 } },
        { .label = "grains of rows", .grain = { .samples = 1, .rows = rows, .min_rows = 1, .dense = 2 } },
        { .label = "grains of rows, base",
          .grain = { .samples = 1, .rows = rows, .min_rows = 1, .dense = 2 },
          .isa = "base",
          .steps = 1 },
    };
    const char *dir = getenv("FAR_GOLDEN_DIR");
    golden g;
    full f;
    int32_t beyond = 0;
    char first[sizeof f.outcome.first_failure] = "";
    if (dir == NULL) FAR_SKIP("FAR_GOLDEN_DIR names no folder of make_golden.py --out");
    full_open(dir, name, &f);
    golden_load(name, &g);
    for (size_t i = 0; i < FAR_COUNT(variants); i++) {
        golden_run_info info;
        if (i == 1 && g.x.dim[0] == 1) continue; /* one sample: as before */
        golden_outcome_begin(&f.outcome, &g, variants[i].label);
        golden_run(&g, &variants[i], compare, &f, &info);
        golden_outcome_end(&f.outcome, &info);
        if (beyond == 0) memcpy(first, f.outcome.first_failure, sizeof first);
        beyond += f.outcome.beyond;
    }
    golden_free(&g);
    full_close(&f);
    FAR_CHECK_MSG(beyond == 0, "%d numbers beyond their limits; the first: %s", (int)beyond, first);
}

FAR_TEST_TORTURE(full_lenet5)
{
    check("lenet5", 6);
}
FAR_TEST_TORTURE(full_resnet18)
{
    check("resnet18", 10);
}
FAR_TEST_TORTURE(full_resnet50)
{
    check("resnet50", 16);
}
FAR_TEST_TORTURE(full_alexnet_bn)
{
    check("alexnet_bn", 60);
}
FAR_TEST_TORTURE(full_uresnet_a21)
{
    check("a21", 32);
}
FAR_TEST_TORTURE(full_uresnet_default)
{
    check("uresnet", 50);
}
FAR_TEST_TORTURE(full_uresnet_without_norm)
{
    check("scc21", 32);
}
FAR_TEST_TORTURE(full_uresnet_polaris)
{
    check("polaris", 100);
}
FAR_TEST_TORTURE(full_uresnet_stream)
{
    check("stream", 48);
}
FAR_TEST_TORTURE(full_unet_without_norm)
{
    check("unet_none", 14);
}
FAR_TEST_TORTURE(full_unet_batch_norm)
{
    check("unet_batch", 16);
}
FAR_TEST_TORTURE(full_unet_group_norm)
{
    check("unet_group", 16);
}
FAR_TEST_TORTURE(full_unet_instance_norm)
{
    check("unet_instance", 20);
}
FAR_TEST_TORTURE(full_unet3d_group_norm)
{
    check("unet3d_group", 7);
}
FAR_TEST_TORTURE(full_unet3d_batch_norm)
{
    check("unet3d_batch", 8);
}
