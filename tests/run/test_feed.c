/* Inputs that are asked for row by row while a step runs, instead of lying in arrays: the same bits, whatever is cut into whichever pieces. */
#include "support/net_cases.h"
#include "test.h"

#define STEPS 2

static void meet(const net_case *net, const fari_grain_config *grain)
{
    net_result want, got;
    net_variant variant = { .grain = *grain, .threads = 2 };
    net_run(net, &variant, STEPS, &want);
    variant.is_fed_by_rows = true;
    for (int32_t order = 0; order < 3; order++) {
        variant.order = (fari_exec_order)order;
        net_run(net, &variant, STEPS, &got);
        FAR_CHECK_STR(got.digest, want.digest);
        FAR_CHECK(got.loss == want.loss);
    }
    printf("%s: %d x %d pieces of the image\n", net->label, (int)want.sample_grains, (int)want.row_grains);
}

FAR_TEST(several_samples_a_piece)
{
    meet(&net_lenet5, &(fari_grain_config){ .samples = 3, .rows = 1 << 20, .dense = 2 });
}

FAR_TEST(rows_of_maps)
{
    meet(&net_unet_group, &(fari_grain_config){ .samples = 1, .rows = 6, .min_rows = 1, .dense = 2 });
}

FAR_TEST(slices_of_volumes)
{
    net_case net = net_unet_group;
    net.model = "unet3d";
    net.preset = NULL;
    net.options = "width=8 depth=2";
    net.depth = 8;
    meet(&net, &(fari_grain_config){ .samples = 1, .rows = 3, .min_rows = 1, .dense = 2 });
}
