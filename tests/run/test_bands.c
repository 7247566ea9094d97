/* Networks trained in bands of rows, with tensors of which only windows are in memory: the same bits as with all in memory. */
#include "base/mem.h"
#include "support/net_cases.h"
#include "support/temp_folder.h"
#include "test.h"

#define STEPS 3

static const fari_grain_config rows_cut = { .samples = 1, .rows = 6, .min_rows = 1, .dense = 2 };
static char folder[TEMP_FOLDER_BYTES];

static net_variant variant_of(fari_spill_config spill)
{
    if (folder[0] == '\0') temp_folder(folder);
    return (net_variant){ .grain = rows_cut, .threads = 2, .spill = spill, .spill_folder = folder };
}

static void all_ways(net_case net)
{
    net_result want, got;
    for (int32_t way = 0; way < 6; way++) {
        net_variant variant = variant_of((fari_spill_config){ 0 });
        net.is_keeping_all = way % 2 == 0;
        if (way < 2) {
            net_run(&net, &variant, STEPS, way == 0 ? &want : &got);
            continue;
        }
        variant.spill = (fari_spill_config){ .mode = way < 3 ? FARI_SPILL_NONE : FARI_SPILL_MOST,
                                             .min_bytes = 1,
                                             .piece_bytes = way == 4 ? 3 * FARI_PAGE_BYTES : FARI_PAGE_BYTES,
                                             .is_packed = way == 5,
                                             .is_banded = true };
        variant.order = (fari_exec_order)(way % 3);
        variant.order_seed = (uint64_t)way;
        net_run(&net, &variant, STEPS, &got);
        printf("%s, way %d: arena of %.0f instead of %.0f kB, %.0f kB of disk, %.0f kB written, %.0f kB read\n",
               net.label, way, 1e-3 * (double)got.arena_bytes, 1e-3 * (double)want.arena_bytes,
               1e-3 * (double)got.spill_bytes, 1e-3 * (double)got.written_bytes, 1e-3 * (double)got.read_bytes);
        FAR_CHECK_MSG(strcmp(got.digest, want.digest) == 0, "%s, way %d: other bits: %s, not %s", net.label, way,
                      got.digest, want.digest);
        FAR_CHECK_MSG(memcmp(&got.loss, &want.loss, sizeof got.loss) == 0, "%s, way %d: another loss", net.label, way);
    }
    FAR_CHECK_EQ_I64(fari_alloc_live(), 0);
}

FAR_TEST(resnet18_gives_the_same_bits)
{
    net_case net = net_resnet18;
    net.options = "width=8";
    net.height = 37;
    net.batch = 3;
    all_ways(net);
}

FAR_TEST(a21_gives_the_same_bits)
{
    net_case net = net_narrow_a21;
    net.batch = 1;
    all_ways(net);
}

FAR_TEST(unet_gives_the_same_bits)
{
    net_case net = net_unet_group;
    net.batch = 2;
    net.height = 44;
    all_ways(net);
}
