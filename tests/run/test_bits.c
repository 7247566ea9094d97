/* The same bits in any order and on any number of threads; and mistakes in the sums, the halos, the statistics and the tails are seen. */
#include "ops/conv.h"
#include "ops/linear.h"
#include "support/net_cases.h"
#include "test.h"
#include <math.h>

#define STEPS 20

static const struct {
    const char *label;
    fari_grain_config grain;
    int64_t sample_grains_min, row_grains_min;
} cuts[] = {
    { "grains of samples", { .samples = 1, .rows = 1 << 20, .dense = 1 }, 5, 1 },
    { "grains of samples and rows", { .samples = 1, .rows = 6, .min_rows = 1, .dense = 2 }, 5, 5 },
};

static void all_orders(const net_case *net, size_t first_cut, size_t last_cut)
{
    static const int32_t threads[] = { 1, 2, 4 };
    static const char *const orders[] = { "forward", "reversed", "random" };
    for (size_t c = first_cut; c <= last_cut; c++) {
        net_result first = { .digest = "" }, now;
        for (size_t t = 0; t < FAR_COUNT(threads); t++)
            for (int32_t order = 0; order < 3; order++) {
                const net_variant variant = {
                    .grain = cuts[c].grain, .order = (fari_exec_order)order, .threads = threads[t], .order_seed = t + 1
                };
                net_run(net, &variant, STEPS, &now);
                if (first.digest[0] == '\0') first = now;
                FAR_CHECK(isfinite(now.loss));
                FAR_CHECK(now.sample_grains >= cuts[c].sample_grains_min && now.row_grains >= cuts[c].row_grains_min);
                FAR_CHECK_MSG(strcmp(now.digest, first.digest) == 0,
                              "%s, %s: %s order on %d threads gives other bits: %s, not %s (loss %.9g, %.9g)",
                              net->label, cuts[c].label, orders[order], (int)threads[t], now.digest, first.digest,
                              now.loss, first.loss);
            }
        printf("%s, %s: %d x %d grains, %d instructions, %d reference calls, 9 equal digests %.16s\n", net->label,
               cuts[c].label, (int)first.sample_grains, (int)first.row_grains, (int)first.calls,
               (int)first.reference_calls, first.digest);
    }
}

FAR_TEST(lenet5_bits_in_grains_of_samples)
{
    all_orders(&net_lenet5, 0, 0);
}
FAR_TEST(lenet5_bits_in_grains_of_samples_and_rows)
{
    all_orders(&net_lenet5, 1, 1);
}
FAR_TEST(resnet18_bits_in_grains_of_samples)
{
    all_orders(&net_resnet18, 0, 0);
}
FAR_TEST(resnet18_bits_in_grains_of_samples_and_rows)
{
    all_orders(&net_resnet18, 1, 1);
}
FAR_TEST(narrow_a21_bits_in_grains_of_samples)
{
    all_orders(&net_narrow_a21, 0, 0);
}
FAR_TEST(narrow_a21_bits_in_grains_of_samples_and_rows)
{
    all_orders(&net_narrow_a21, 1, 1);
}
FAR_TEST(unet_group_norm_bits_in_grains_of_samples)
{
    all_orders(&net_unet_group, 0, 0);
}
FAR_TEST(unet_group_norm_bits_in_grains_of_samples_and_rows)
{
    all_orders(&net_unet_group, 1, 1);
}

/* ---- mutations: each must change the digest ---- */

static int64_t changed; /* how many places a mutation touched */

/* Leaves 1 and 2 of the first tree with four leaves change places: (0 + 2) + (1 + 3). */
static void swap_children(fari_plan *plan)
{
    int64_t leaf[4], count = 0;
    changed = 0;
    for (int64_t i = 0; i < plan->instr_count && changed == 0; i++) {
        const fari_instr *instr = &plan->instrs[i];
        if (instr->kind != FARI_INSTR_CALL || plan->graph->nodes[instr->node]->op != &fari_op_conv_dw) {
            if (instr->kind == FARI_INSTR_CALL) count = 0;
            continue;
        }
        if (count > 0 && plan->instrs[leaf[0]].node != instr->node) count = 0;
        leaf[count++] = i;
        if (count < 4) continue;
        const int64_t a = plan->instrs[leaf[1]].view0 + plan->instrs[leaf[1]].in_count;
        const int64_t b = plan->instrs[leaf[2]].view0 + plan->instrs[leaf[2]].in_count;
        const fari_view view = plan->views[a];
        const int32_t buffer = plan->view_buffer[a];
        plan->views[a] = plan->views[b];
        plan->view_buffer[a] = plan->view_buffer[b];
        plan->views[b] = view;
        plan->view_buffer[b] = buffer;
        changed++;
    }
}

/* Statistics of the first grain stand for the group's. */
static void drop_statistics(fari_plan *plan)
{
    changed = net_drop_statistics(plan);
}

static far_status (*true_conv)(const fari_call *);
static far_status (*true_linear)(const fari_call *);

/* As a kernel whose tail rounds otherwise: the last element is one unit in the last place off. */
static far_status linear_other_tail(const fari_call *call)
{
    const far_status st = true_linear(call);
    float *last = (float *)call->out[0].data + fari_view_elems(&call->out[0]) - 1;
    *last = nextafterf(*last, INFINITY);
    return st;
}

static void round_one_tail(fari_plan *plan)
{
    changed = 0;
    for (int64_t i = 0; i < plan->instr_count && changed == 0; i++)
        if (plan->instrs[i].kind == FARI_INSTR_CALL &&
            plan->graph->nodes[plan->instrs[i].node]->op == &fari_op_linear) {
            true_linear = plan->instrs[i].run;
            plan->instrs[i].run = linear_other_tail;
            changed++;
        }
}

/* A window whose last row never came: zeros stand where a neighbour's row should be. */
static far_status conv_without_last_row(const fari_call *call)
{
    fari_call copy = *call;
    fari_view *x = &copy.in[0];
    const int64_t elems = fari_view_elems(x), row_elems = elems / x->dim[0] / x->dim[2];
    float *rows = malloc((size_t)elems * sizeof *rows);
    memcpy(rows, x->data, (size_t)elems * sizeof *rows);
    memset(rows + elems - row_elems, 0, (size_t)row_elems * sizeof *rows);
    x->data = rows;
    const far_status st = true_conv(&copy);
    free(rows);
    return st;
}

/* One grain in the middle of the image. */
static void shorten_halo(fari_plan *plan)
{
    changed = 0;
    for (int64_t i = 0; i < plan->instr_count && changed == 0; i++) {
        const fari_instr *instr = &plan->instrs[i];
        const fari_view *x = &plan->views[instr->view0];
        if (instr->kind != FARI_INSTR_CALL || plan->graph->nodes[instr->node]->op != &fari_op_conv) continue;
        if (x->dim[2] <= plan->views[instr->view0 + instr->in_count].dim[2] || x->row0 + x->dim[2] >= x->rows_total)
            continue;
        true_conv = plan->instrs[i].run;
        plan->instrs[i].run = conv_without_last_row;
        changed++;
    }
}

static void must_differ(const net_case *net, const net_variant *mutant, const char *what)
{
    net_result right, wrong;
    net_variant plain = *mutant;
    plain.change_plan = NULL;
    net_run(net, &plain, 3, &right);
    changed = -1;
    net_run(net, mutant, 3, &wrong);
    FAR_CHECK_MSG(changed > 0, "%s: nothing was changed in %s", what, net->label);
    FAR_CHECK_MSG(strcmp(right.digest, wrong.digest) != 0, "%s is not seen in %s", what, net->label);
}

FAR_TEST(swapped_children_are_seen)
{
    must_differ(&net_narrow_a21, &(net_variant){ .grain = cuts[0].grain, .threads = 1, .change_plan = swap_children },
                "a swap in the tree");
}

FAR_TEST(short_halo_is_seen)
{
    must_differ(&net_unet_group, &(net_variant){ .grain = cuts[1].grain, .threads = 1, .change_plan = shorten_halo },
                "a short halo");
}

FAR_TEST(statistics_of_one_grain_are_seen)
{
    must_differ(&net_narrow_a21, &(net_variant){ .grain = cuts[0].grain, .threads = 1, .change_plan = drop_statistics },
                "local statistics");
}

FAR_TEST(other_tail_is_seen)
{
    must_differ(&net_lenet5, &(net_variant){ .grain = cuts[0].grain, .threads = 1, .change_plan = round_one_tail },
                "a tail");
}
