/* Evaluation of whole samples in their own sizes. The network is planned for each size by itself, one at a time: the largest is planned
   and counted before anything starts, the others when their turn comes, in the same arena. Where the network cannot take a size, samples are
   padded at the bottom and on the right, with zeros that count for nothing, and what comes out is cut back. */
#include "base/log.h"
#include "base/mem.h"
#include "data/dataset.h"
#include "plan/print.h"
#include "run/run_priv.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define MULTIPLE_MAX 4096
#define PROBES_MAX 64 /* sizes on which the network is tried */
#define LARGE_MAX 4   /* candidates for the largest plan */

/* --- whether, and on which samples --- */

bool run_native_wanted(const far_run *run)
{
    const run_data *data = &run->data;
    const char *size = far_config_text(run->config, "eval.size");
    const bool varies = data->info.varies || (data->test != NULL && far_dataset_info_of(data->test).varies);
    const bool is_cut = data->train_frame.fit != FAR_FIT_AS_IS && far_config_list_count(run->config, "data.size") == 0;
    if (strcmp(size, "fixed") == 0) return false;
    if (strcmp(size, "native") == 0) return varies || data->train_frame.fit != FAR_FIT_AS_IS;
    return run_wants_maps(run) && (varies || is_cut);
}

static int64_t part_size(const run_part *part)
{
    return part->ids != NULL ? part->count : far_dataset_info_of(part->set).sample_count;
}

/* Both parts that may be evaluated; those that are not there have no samples. */
static void parts_of(const far_run *run, run_part parts_out[2])
{
    const run_data *data = &run->data;
    parts_out[0] = (run_part){ .set = data->train, .ids = data->held, .count = data->held_count };
    parts_out[1] = (run_part){ .set = data->test };
}

static int64_t padded(int64_t side, int64_t multiple)
{
    return (side + multiple - 1) / multiple * multiple;
}

static int compare_extents(const void *a, const void *b)
{
    const run_extent *x = a, *y = b;
    if (x->height != y->height) return x->height < y->height ? -1 : 1;
    return (x->width > y->width) - (x->width < y->width);
}

/* Equal ones become one; their counts are added up. */
static int64_t merge_extents(run_extent *extents, int64_t count)
{
    int64_t kept = 0;
    qsort(extents, (size_t)count, sizeof *extents, compare_extents);
    for (int64_t i = 0; i < count; i++) {
        if (kept > 0 && compare_extents(&extents[kept - 1], &extents[i]) == 0) {
            extents[kept - 1].most += extents[i].most;
            continue;
        }
        extents[kept++] = extents[i];
    }
    return kept;
}

/* The distinct sizes of a part, padded to the multiple, ascending; appended. */
static far_status collect(const run_part *part, int64_t multiple, run_extent **extents_io, int64_t *count_io,
                          int64_t *cap_io)
{
    const int64_t samples = part->set == NULL ? 0 : part_size(part), first = *count_io;
    int64_t limit = 256; /* merged now and then, so that many samples of few sizes need little room */
    for (int64_t i = 0; i < samples; i++) {
        int64_t height, width;
        FAR_TRY(far_dataset_extent(part->set, part->ids != NULL ? part->ids[i] : i, &height, &width));
        if (!fari_reserve((void **)extents_io, cap_io, *count_io + 1, sizeof **extents_io))
            return FAR_FAIL(FAR_E_NOMEM, "no memory for the sizes of %" PRId64 " samples", samples);
        (*extents_io)[(*count_io)++] =
            (run_extent){ .height = padded(height, multiple), .width = padded(width, multiple), .most = 1 };
        if (*count_io - first < limit) continue;
        *count_io = first + merge_extents(*extents_io + first, *count_io - first);
        if (*count_io - first > limit / 2) limit *= 2;
    }
    if (*count_io > first) *count_io = first + merge_extents(*extents_io + first, *count_io - first);
    return FAR_OK;
}

/* --- what the network takes --- */

static far_status takes(far_run *run, int64_t height, int64_t width)
{
    run_side side = { .batch = 1, .height = height, .width = width };
    const far_status st = run_graph_build(run, false, &side);
    run_side_close(&side);
    return st;
}

/* The smallest power of two to whose multiples sides have to be padded; tried on the sizes there are. */
static far_status find_multiple(far_run *run, const run_extent *extents, int64_t count, int64_t *multiple_out)
{
    int64_t multiple = 1;
    const int64_t stride = (count + PROBES_MAX - 1) / PROBES_MAX;
    for (int64_t i = 0; i < count; i += stride) {
        far_status st = FAR_E_SHAPE;
        fari_error_copy first;
        for (bool is_first = true; st == FAR_E_SHAPE && multiple <= MULTIPLE_MAX; is_first = false) {
            st = takes(run, padded(extents[i].height, multiple), padded(extents[i].width, multiple));
            if (is_first) fari_error_save(&first);
            if (st == FAR_E_SHAPE) multiple *= 2;
        }
        if (st != FAR_OK) { /* no multiple helps: what it said of the size itself */
            fari_error_restore(&first);
            return fari_error_prefix(st, "evaluation of whole images of %" PRId64 " x %" PRId64 " (eval.size): ",
                                     extents[i].height, extents[i].width);
        }
    }
    far_error_clear();
    *multiple_out = multiple;
    return FAR_OK;
}

/* Samples a step of this size: as many as set, else as many pixels as a training step has; never more than there are. */
static int64_t batch_of(const far_run *run, const run_extent *extent)
{
    const int64_t set = far_config_i64(run->config, "eval.batch"), usual = run->train.batch;
    const int64_t pixels = extent->height * extent->width,
                  alike = usual * run->train.height * run->train.width / pixels;
    int64_t batch = set > 0 ? set : alike < 1 ? 1 : alike < usual ? alike : usual;
    if (batch > extent->most) batch = extent->most;
    return batch;
}

static int64_t work_of(const run_extent *extent)
{
    return extent->height * extent->width * extent->batch;
}

static far_status find_extents(far_run *run)
{
    run_native *native = &run->native;
    run_part parts[2];
    int64_t cap = 0;
    parts_of(run, parts);
    native->multiple = 1;
    for (int pass = 0; pass < 2; pass++) {
        native->count = 0;
        int64_t of_held = 0;
        FAR_TRY(collect(&parts[0], native->multiple, &native->extents, &native->count, &cap));
        of_held = native->count;
        FAR_TRY(collect(&parts[1], native->multiple, &native->extents, &native->count, &cap));
        /* a size's count is that of the part with more samples of it */
        for (int64_t i = of_held; i < native->count; i++)
            for (int64_t k = 0; k < of_held; k++) {
                run_extent *test = &native->extents[i], *held = &native->extents[k];
                if (compare_extents(test, held) != 0) continue;
                if (test->most > held->most) held->most = 0;
                else test->most = 0;
            }
        native->count = merge_extents(native->extents, native->count);
        if (pass == 0) FAR_TRY(find_multiple(run, native->extents, native->count, &native->multiple));
        if (native->multiple == 1) break;
    }
    for (int64_t i = 0; i < native->count; i++) native->extents[i].batch = batch_of(run, &native->extents[i]);
    return FAR_OK;
}

/* --- the largest, planned at once --- */

/* What waits on disk follows from the same room as of the largest. */
static run_side side_of(const far_run *run, const run_extent *extent)
{
    return (
        run_side){ .batch = extent->batch, .height = extent->height, .width = extent->width, .spill = run->eval.spill };
}

static int compare_work(const void *a, const void *b)
{
    const int64_t x = work_of(a), y = work_of(b);
    return (x < y) - (x > y);
}

/* The sizes, the largest first; the caller's to free. */
static far_status sort_by_work(const run_native *native, run_extent **sorted_out)
{
    run_extent *sorted = fari_alloc((size_t)native->count * sizeof *sorted);
    if (sorted == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory for %" PRId64 " sizes", native->count);
    memcpy(sorted, native->extents, (size_t)native->count * sizeof *sorted);
    qsort(sorted, (size_t)native->count, sizeof *sorted, compare_work);
    *sorted_out = sorted;
    return FAR_OK;
}

/* Batches and grains may make a size next to the largest need more. Where tensors wait on disk so that a size fits, all of the room is for any: what
   they need then hardly follows from their extents. */
far_status run_native_measure(far_run *run)
{
    const run_side *largest = &run->eval;
    run_extent *by_work = NULL;
    far_status st = FAR_OK;
    run->arena_others = 0;
    if (!run->native.is_on) return FAR_OK;
    if (largest->plan != NULL && largest->spill.mode == FARI_SPILL_AUTO && run->native.count > 1)
        run->arena_others =
            largest->spill.arena_limit + fari_plan_run_bytes(largest->plan) - largest->plan->arena_bytes;
    FAR_TRY(sort_by_work(&run->native, &by_work));
    const int64_t least = work_of(&by_work[0]) - work_of(&by_work[0]) / 4;
    for (int64_t i = 1; i < run->native.count && i < LARGE_MAX && work_of(&by_work[i]) >= least && st == FAR_OK; i++) {
        run_side side = side_of(run, &by_work[i]);
        st = run_graph_build(run, false, &side);
        if (st == FAR_OK) st = run_side_plan(run, &side);
        if (st == FAR_OK && fari_plan_run_bytes(side.plan) > run->arena_others)
            run->arena_others = fari_plan_run_bytes(side.plan);
        run_side_close(&side);
    }
    fari_free(by_work);
    return st;
}

far_status run_native_plan(far_run *run)
{
    run_native *native = &run->native;
    FAR_TRY(find_extents(run));
    if (native->count == 0) { /* nothing to evaluate on: the sizes of training will do */
        native->is_on = false;
        return FAR_OK;
    }
    run_extent *by_work = NULL;
    FAR_TRY(sort_by_work(native, &by_work));
    run->eval.batch = by_work[0].batch;
    run->eval.height = by_work[0].height;
    run->eval.width = by_work[0].width;
    fari_free(by_work);
    return FAR_OK;
}

void run_native_close(run_native *native)
{
    run_side_close(&native->other);
    fari_free(native->extents);
}

void run_native_report(const far_run *run, fari_text *text)
{
    const run_native *native = &run->native;
    int64_t most_h = 0, most_w = 0;
    char bytes[32];
    if (!native->is_on) return;
    for (int64_t i = 0; i < native->count; i++) {
        if (native->extents[i].height > most_h) most_h = native->extents[i].height;
        if (native->extents[i].width > most_w) most_w = native->extents[i].width;
    }
    fari_text_add(text,
                  "evaluation       whole images in %" PRId64 " sizes up to %" PRId64 " x %" PRId64
                  ", sides padded to multiples of %" PRId64 "; the largest step (%" PRId64 " of %" PRId64 " x %" PRId64
                  ") takes %s of the arena\n",
                  native->count, most_h, most_w, native->multiple, run->eval.batch, run->eval.height, run->eval.width,
                  fari_bytes_text(fari_plan_run_bytes(run->eval.plan), bytes));
}

/* --- at work --- */

far_frame run_native_frame(const run_extent *extent)
{
    return (far_frame){ .fit = FAR_FIT_PAD, .height = extent->height, .width = extent->width };
}

far_status run_native_side(far_run *run, const run_extent *extent, run_side **side_out)
{
    run_side *other = &run->native.other;
    const run_side *largest = &run->eval;
    if (extent->height == largest->height && extent->width == largest->width && extent->batch == largest->batch) {
        *side_out = &run->eval;
        return FAR_OK;
    }
    run_side_close(other);
    *other = side_of(run, extent);
    FAR_TRY(run_graph_build(run, false, other));
    FAR_TRY(run_side_plan(run, other));
    fari_exec_opts opts = run_exec_opts(run);
    if (fari_plan_run_bytes(other->plan) > run->arena_bytes) {
        opts.shared_arena = NULL;
        fari_log(FAR_LOG_WARN,
                 "evaluation of %" PRId64 " images of %" PRId64 " x %" PRId64
                 " needs more memory than was planned for the largest: %" PRId64 " bytes on top",
                 extent->batch, extent->height, extent->width, fari_plan_run_bytes(other->plan));
    }
    FAR_TRY(run_side_start(run, other, &opts));
    FAR_TRY(run_spill_share(run, other));
    *side_out = other;
    return FAR_OK;
}

static int64_t extent_of(const run_native *native, int64_t height, int64_t width)
{
    const run_extent wanted = { .height = padded(height, native->multiple), .width = padded(width, native->multiple) };
    const run_extent *found = bsearch(&wanted, native->extents, (size_t)native->count, sizeof wanted, compare_extents);
    return found == NULL ? -1 : found - native->extents;
}

far_status run_native_group(const far_run *run, const run_part *part, int64_t *ids_out, int64_t *first_out)
{
    const run_native *native = &run->native;
    const int64_t samples = part_size(part);
    memset(first_out, 0, sizeof *first_out * (size_t)(native->count + 1));
    for (int pass = 0; pass < 2; pass++) { /* counted, then put in their places, in the order of the part */
        for (int64_t i = 0; i < samples; i++) {
            const int64_t sample = part->ids != NULL ? part->ids[i] : i;
            int64_t height, width;
            FAR_TRY(far_dataset_extent(part->set, sample, &height, &width));
            const int64_t e = extent_of(native, height, width);
            if (e < 0)
                return FAR_FAIL(FAR_E_INTERNAL, "no plan for sample %" PRId64 " of %" PRId64 " x %" PRId64, sample,
                                height, width);
            if (pass == 0) first_out[e + 1]++;
            else ids_out[first_out[e]++] = sample;
        }
        if (pass == 0)
            for (int64_t e = 0; e < native->count; e++) first_out[e + 1] += first_out[e];
    }
    memmove(first_out + 1, first_out, sizeof *first_out * (size_t)native->count); /* ends have become beginnings */
    first_out[0] = 0;
    return FAR_OK;
}
