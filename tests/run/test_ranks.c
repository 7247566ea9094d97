/* The same bits on any number of ranks: plans of several ranks run side by side in one process, messages arriving in random order,
   against the plan of one rank. */
#include "support/net_cases.h"
#include "support/net_ranks.h"
#include "test.h"

#define STEPS 3

/* Smaller than where one rank runs: every case is trained on up to eight. */
static net_case smaller(const net_case *net)
{
    net_case copy = *net;
    if (net == &net_resnet18) copy.options = "width=16";
    if (net == &net_narrow_a21) copy.batch = 2;
    if (net == &net_unet_group) copy.batch = 3;
    return copy;
}

static const fari_grain_config samples_cut = { .samples = 1, .rows = 1 << 20, .dense = 1 };
static const fari_grain_config rows_cut = { .samples = 1, .rows = 6, .min_rows = 1, .dense = 2 };
/* levels below a quarter of the height are whole */
static const fari_grain_config top_rows_cut = { .samples = 1, .rows = 8, .min_rows = 2, .dense = 1 };

static void meshes(const net_case *whole, const fari_grain_config *grain, const fari_mesh *mesh, size_t count)
{
    const net_variant variant = { .grain = *grain, .threads = 1 };
    const net_case small = smaller(whole), *net = &small;
    net_result want;
    net_run(net, &variant, STEPS, &want);
    for (size_t i = 0; i < count; i++) {
        net_ranks_result got;
        net_run_ranks(net, &variant, mesh[i], i + 1, STEPS, &got);
        printf("%s, data=%d, spatial=%d: %d messages, %.1f kB a step, %d idle, arena %.2f of one rank's\n", net->label,
               (int)mesh[i].data, (int)mesh[i].spatial, (int)(got.messages / STEPS), 1e-3 * (double)got.bytes / STEPS,
               (int)got.idle, (double)got.arena_most / (double)got.arena_one);
        FAR_CHECK_MSG(strcmp(got.digest, want.digest) == 0,
                      "%s on data=%d, spatial=%d gives other bits: %s, not %s (loss %.9g, %.9g)", net->label,
                      (int)mesh[i].data, (int)mesh[i].spatial, got.digest, want.digest, got.loss, want.loss);
    }
}

static const fari_mesh over_data[] = { { 2, 1 }, { 3, 1 }, { 4, 1 }, { 5, 1 }, { 8, 1 } };
static const fari_mesh over_rows[] = { { 1, 2 }, { 1, 3 }, { 1, 4 }, { 1, 5 }, { 1, 8 } };
static const fari_mesh over_both[] = { { 2, 2 }, { 2, 3 }, { 4, 2 } };

FAR_TEST(lenet5_over_data)
{
    meshes(&net_lenet5, &samples_cut, over_data, FAR_COUNT(over_data));
}
FAR_TEST(lenet5_over_rows)
{
    meshes(&net_lenet5, &rows_cut, over_rows, FAR_COUNT(over_rows));
    meshes(&net_lenet5, &rows_cut, over_both, FAR_COUNT(over_both));
}
FAR_TEST(resnet18_over_data)
{
    meshes(&net_resnet18, &samples_cut, over_data, FAR_COUNT(over_data));
}
FAR_TEST(resnet18_over_rows)
{
    meshes(&net_resnet18, &rows_cut, over_rows, FAR_COUNT(over_rows));
    meshes(&net_resnet18, &rows_cut, over_both, FAR_COUNT(over_both));
}
FAR_TEST(a21_over_data)
{
    meshes(&net_narrow_a21, &samples_cut, over_data, FAR_COUNT(over_data));
}
FAR_TEST(a21_over_rows)
{
    meshes(&net_narrow_a21, &rows_cut, over_rows, FAR_COUNT(over_rows));
    meshes(&net_narrow_a21, &top_rows_cut, over_both, FAR_COUNT(over_both));
}
FAR_TEST(unet_over_data)
{
    meshes(&net_unet_group, &samples_cut, over_data, FAR_COUNT(over_data));
}
FAR_TEST(unet_over_rows)
{
    meshes(&net_unet_group, &rows_cut, over_rows, FAR_COUNT(over_rows));
    meshes(&net_unet_group, &top_rows_cut, over_both, FAR_COUNT(over_both));
}

/* ---- mistakes of one rank are seen ---- */

static int64_t changed;

/* What other ranks know of the statistics is thrown away. */
static void local_statistics(fari_plan *plan)
{
    changed += net_drop_statistics(plan);
}

/* A received range lands a row too early: the last rows of the halo are never written. */
static void halo_astray(fari_plan *plan)
{
    for (int64_t i = 0; plan->opts.rank == 1 && i < plan->instr_count && changed == 0; i++) {
        const fari_instr *instr = &plan->instrs[i];
        if (instr->kind != FARI_INSTR_RECV) continue;
        fari_view *view = &plan->views[instr->view0];
        const fari_buffer *buffer = &plan->buffers[plan->view_buffer[instr->view0]];
        if (buffer->kind != FARI_BUFFER_ACTIVATION || (uintptr_t)view->data < 64) continue;
        view->data = (void *)((uintptr_t)view->data - 64); /* NOLINT: an offset */
        changed++;
    }
}

static void must_differ(const net_case *whole, void (*change)(fari_plan *plan), const char *what)
{
    net_variant variant = { .grain = rows_cut, .threads = 1 };
    variant.grain.min_rows = 4; /* statistics of a row or two are near enough to 0 for a loss that is none */
    const net_case small = smaller(whole);
    net_ranks_result right, wrong;
    net_run_ranks(&small, &variant, (fari_mesh){ 1, 3 }, 1, STEPS, &right);
    changed = 0;
    variant.change_plan = change;
    net_run_ranks(&small, &variant, (fari_mesh){ 1, 3 }, 1, STEPS, &wrong);
    FAR_CHECK_MSG(changed > 0, "%s: nothing was changed", what);
    FAR_CHECK_MSG(strcmp(right.digest, wrong.digest) != 0, "%s is not seen", what);
}

FAR_TEST(local_statistics_are_seen)
{
    must_differ(&net_narrow_a21, local_statistics, "statistics of a rank alone");
}

FAR_TEST(a_halo_astray_is_seen)
{
#ifdef __SANITIZE_THREAD__
    FAR_SKIP("rows that land where a kernel writes are a data race, by which ThreadSanitizer ends the case");
#endif
    must_differ(&net_unet_group, halo_astray, "a halo in the wrong place");
}
