/* Tensors that wait on disk: the same bits as with all in memory, on any number of ranks, for any memory down to the least; and what goes wrong
   with disks is told. */
#include "base/file.h"
#include "base/mem.h"
#include "plan/part.h"
#include "support/net_cases.h"
#include "support/net_ranks.h"
#include "support/temp_folder.h"
#include "test.h"

#define STEPS 3

/* Tall images of odd heights where the network takes them; skips that are sums, and such that are joined. */
static net_case smaller(const net_case *net)
{
    net_case copy = *net;
    if (net == &net_resnet18) {
        copy.options = "width=8";
        copy.height = 37;
        copy.batch = 3;
    }
    if (net == &net_narrow_a21) copy.batch = 1;
    if (net == &net_unet_group) {
        copy.batch = 2;
        copy.height = 44;
    }
    return copy;
}

static const net_case *const nets[] = { &net_resnet18, &net_narrow_a21, &net_unet_group, &net_uresnet, &net_unet3d };
static const fari_grain_config rows_cut = { .samples = 1, .rows = 6, .min_rows = 1, .dense = 2 };
/* In small networks everything is small. */
static const fari_spill_config most = { .mode = FARI_SPILL_MOST, .min_bytes = 1, .piece_bytes = FARI_PAGE_BYTES };

static char folder[TEMP_FOLDER_BYTES];

static net_variant variant_of(fari_spill_config spill)
{
    if (folder[0] == '\0') temp_folder(folder);
    return (net_variant){ .grain = rows_cut, .threads = 2, .spill = spill, .spill_folder = folder };
}

static void check_same(const char *label, const char *how, const char *got, const char *want)
{
    FAR_CHECK_MSG(strcmp(got, want) == 0, "%s, %s: other bits: %s, not %s", label, how, got, want);
}

/* Kept or made again, in memory or on disk, in any order. */
static void all_ways(const net_case *whole)
{
    net_result want, got;
    net_case net = smaller(whole);
    net.is_keeping_all = true;
    net_variant plain = variant_of((fari_spill_config){ 0 });
    net_run(&net, &plain, STEPS, &want);
    FAR_CHECK(isfinite(want.loss) && want.spill_bytes == 0);
    for (int32_t way = 0; way < 6; way++) {
        if (way == 2 || way == 5) continue; /* orders backwards and at random: one of both is enough of each */
        net_variant variant = variant_of(most);
        char how[64];
        net.is_keeping_all = way % 2 == 0;
        variant.order = (fari_exec_order)(way / 2);
        variant.order_seed = (uint64_t)way;
        variant.threads = 1 + way % 3;
        if (way == 3) variant.spill.piece_bytes = 5 * FARI_PAGE_BYTES;
        (void)snprintf(how, sizeof how, "%s, order %d, on disk", net.is_keeping_all ? "kept" : "made again", way / 2);
        net_run(&net, &variant, STEPS, &got);
        check_same(net.label, how, got.digest, want.digest);
        FAR_CHECK_MSG(memcmp(&got.loss, &want.loss, sizeof got.loss) == 0, "%s, %s: another loss", net.label, how);
        if (way < 2)
            printf("%s, %s: arena of %.0f instead of %.0f kB, %.0f kB of disk, %.0f kB written, %.0f kB read\n",
                   net.label, how, 1e-3 * (double)got.arena_bytes, 1e-3 * (double)want.arena_bytes,
                   1e-3 * (double)got.spill_bytes, 1e-3 * (double)got.written_bytes, 1e-3 * (double)got.read_bytes);
        FAR_CHECK(got.arena_bytes < want.arena_bytes && got.written_bytes > 0 && got.read_bytes >= got.written_bytes);
        FAR_CHECK(got.spill_bytes <= got.written_bytes && got.spill_bytes > 0);
    }
}

FAR_TEST(resnet18_gives_the_same_bits)
{
    all_ways(nets[0]);
}
FAR_TEST(a21_gives_the_same_bits)
{
    all_ways(nets[1]);
}
FAR_TEST(unet_gives_the_same_bits)
{
    all_ways(nets[2]);
}
FAR_TEST(uresnet_gives_the_same_bits)
{
    all_ways(nets[3]);
}
FAR_TEST(unet3d_gives_the_same_bits)
{
    all_ways(nets[4]);
}

/* From all that is needed in memory down to the least, and below. */
static void budgets(const net_case *whole)
{
    net_result want, least, got;
    const net_case net = smaller(whole);
    net_variant variant = variant_of((fari_spill_config){ 0 });
    net_run(&net, &variant, STEPS, &want);
    variant.spill = most;
    net_run(&net, &variant, STEPS, &least);
    int64_t written_before = 0;
    for (int32_t i = 0; i <= 3; i++) {
        const int64_t limit = want.arena_bytes - (want.arena_bytes - least.arena_bytes) * i / 3;
        variant.spill.mode = FARI_SPILL_AUTO;
        variant.spill.arena_limit = limit;
        net_run(&net, &variant, STEPS, &got);
        printf("%s: %.0f of %.0f kB allowed, %.0f taken, %.0f kB written\n", net.label, 1e-3 * (double)limit,
               1e-3 * (double)want.arena_bytes, 1e-3 * (double)got.arena_bytes, 1e-3 * (double)got.written_bytes);
        check_same(net.label, "within a limit", got.digest, want.digest);
        FAR_CHECK_MSG(got.arena_bytes <= limit, "%s: an arena of %" PRId64 " bytes where %" PRId64 " are allowed",
                      net.label, got.arena_bytes, limit);
        FAR_CHECK((i == 0) == (got.written_bytes == 0) && got.written_bytes >= written_before);
        FAR_CHECK(got.written_bytes <= least.written_bytes);
        written_before = got.written_bytes / 2; /* the choice is no exact science */
    }
    variant.spill.arena_limit = least.arena_bytes / 2;
    net_run(&net, &variant, STEPS, &got);
    FAR_CHECK_EQ_I64(got.arena_bytes, least.arena_bytes);
    check_same(net.label, "below the least", got.digest, want.digest);
}

FAR_TEST(any_memory_down_to_the_least)
{
    for (size_t i = 0; i < FAR_COUNT(nets); i++) budgets(nets[i]);
}

FAR_TEST(ranks_spill_each_for_itself)
{
    static const fari_mesh meshes[] = { { 1, 2 }, { 1, 3 }, { 2, 1 } };
    for (size_t i = 0; i < FAR_COUNT(nets); i++) {
        net_result want;
        const net_case net = smaller(nets[i]);
        const net_variant plain = variant_of((fari_spill_config){ 0 });
        net_run(&net, &plain, STEPS, &want);
        for (size_t m = 0; m < FAR_COUNT(meshes); m++) {
            if (nets[i] != &net_narrow_a21 && m != i % FAR_COUNT(meshes)) continue;
            net_ranks_result got;
            net_variant variant = variant_of(most);
            variant.threads = 1;
            variant.order = (fari_exec_order)m;
            net_run_ranks(&net, &variant, meshes[m], m + 1, STEPS, &got);
            printf("%s on data=%d, spatial=%d: %.0f kB written\n", net.label, (int)meshes[m].data,
                   (int)meshes[m].spatial, 1e-3 * (double)got.written_bytes);
            check_same(net.label, "on ranks", got.digest, want.digest);
            FAR_CHECK(got.written_bytes > 0);
        }
    }
}

/* ---- mistakes are seen ---- */

static int64_t changed;

static int64_t find_kind(const fari_plan *plan, fari_instr_kind kind, int64_t skipped)
{
    for (int64_t i = 0; i < plan->instr_count; i++)
        if (plan->instrs[i].kind == kind && skipped-- == 0) return i;
    return -1;
}

/* A piece comes back from where the next one lies. */
static void read_astray(fari_plan *plan)
{
    const int64_t i = find_kind(plan, FARI_INSTR_READ, 0);
    fari_view *disk = &plan->views[plan->instrs[i].view0];
    const fari_buffer *buffer = &plan->buffers[plan->view_buffer[plan->instrs[i].view0]];
    const int64_t at = (int64_t)(uintptr_t)disk->data;
    disk->data = (void *)(uintptr_t)(at == 0 ? buffer->bytes - disk->dim[0] : 0); /* NOLINT: an offset */
    changed += buffer->bytes > disk->dim[0];
}

/* The last piece of a tensor stays what it was before. */
static void read_too_little(fari_plan *plan)
{
    for (int64_t k = 0; changed == 0; k++) {
        const int64_t i = find_kind(plan, FARI_INSTR_READ, k);
        if (i < 0) return;
        fari_view *disk = &plan->views[plan->instrs[i].view0], *memory = disk + 1;
        if (disk->dim[0] < 2 * FARI_PAGE_BYTES) continue;
        disk->dim[0] -= FARI_PAGE_BYTES;
        memory->dim[0] -= FARI_PAGE_BYTES;
        changed++;
    }
}

static void must_differ(void (*change)(fari_plan *plan), int64_t piece_bytes, const char *what)
{
    net_result want, got;
    const net_case net = smaller(&net_unet_group);
    net_variant variant = variant_of(most);
    variant.spill.piece_bytes = piece_bytes;
    net_run(&net, &variant, STEPS, &want);
    variant.change_plan = change;
    changed = 0;
    net_run(&net, &variant, STEPS, &got);
    FAR_CHECK_MSG(changed > 0, "%s: nothing was changed", what);
    FAR_CHECK_MSG(strcmp(got.digest, want.digest) != 0, "%s: not seen", what);
}

FAR_TEST(a_piece_from_elsewhere_is_seen)
{
    must_differ(read_astray, FARI_PAGE_BYTES, "a piece from elsewhere");
}

FAR_TEST(a_page_too_little_is_seen)
{
    must_differ(read_too_little, 64 * FARI_PAGE_BYTES, "a page too little");
}
