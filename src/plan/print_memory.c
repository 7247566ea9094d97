/* What fills the memory of one of several ranks where a step takes most: its own part of activations, rows of neighbours, levels that are
   not cut, input, sums, packed weights. */
#include "base/mem.h"
#include "plan/part.h"
#include "plan/print.h"
#include <inttypes.h>
#include <stdlib.h>

static const struct {
    const char *key, *text;
} parts[FARI_MEMORY_PARTS] = {
    [FARI_MEMORY_OWN] = { "own", "activations and their gradients" },
    [FARI_MEMORY_HALO] = { "halo", "rows of neighbours" },
    [FARI_MEMORY_WHOLE] = { "whole_levels", "levels that are not cut" },
    [FARI_MEMORY_INPUT] = { "input", "input" },
    [FARI_MEMORY_SUMS] = { "sums", "gradients of parameters, sums" },
    [FARI_MEMORY_PACKED] = { "packed", "weights in the form of kernels" },
    [FARI_MEMORY_GAPS] = { "gaps", "gaps" },
};

/* [buffer_count] bytes that come from other ranks. */
static int64_t *received_bytes(const fari_plan *plan)
{
    int64_t *bytes = fari_calloc((size_t)plan->buffer_count + 1, sizeof *bytes), count = 0, end = 0;
    fari_buffer_range *ranges = fari_alloc((size_t)(plan->part->part_count + 1) * sizeof *ranges);
    for (int64_t i = 0; ranges != NULL && i < plan->instr_count; i++)
        for (int64_t a = plan->access0[i]; plan->instrs[i].kind == FARI_INSTR_RECV && a < plan->access0[i + 1]; a++)
            ranges[count++] =
                (fari_buffer_range){ plan->accesses[a].buffer, plan->accesses[a].lo, plan->accesses[a].hi };
    if (count > 0) qsort(ranges, (size_t)count, sizeof *ranges, fari_buffer_range_order);
    for (int64_t i = 0; bytes != NULL && ranges != NULL && i < count; i++) {
        if (i == 0 || ranges[i].buffer != ranges[i - 1].buffer) end = 0;
        const int64_t from = ranges[i].lo > end ? ranges[i].lo : end;
        if (ranges[i].hi <= from) continue;
        bytes[ranges[i].buffer] += ranges[i].hi - from;
        end = ranges[i].hi;
    }
    if (ranges == NULL) {
        fari_free(bytes);
        bytes = NULL;
    }
    fari_free(ranges);
    return bytes;
}

static bool is_cut_in_rows(const fari_plan *plan)
{
    return plan->opts.mesh.spatial > 1 && plan->grain_rows < plan->rows_at_input;
}

static fari_memory_part part_of(const fari_plan *plan, const fari_buffer *b)
{
    if (b->kind == FARI_BUFFER_INPUT) return FARI_MEMORY_INPUT;
    if (b->kind == FARI_BUFFER_PACKED) return FARI_MEMORY_PACKED;
    if (b->kind == FARI_BUFFER_PARTIAL || plan->graph->tensors[b->tensor]->batch_of == 0) return FARI_MEMORY_SUMS;
    return is_cut_in_rows(plan) && plan->grains[b->tensor].row_count == 1 ? FARI_MEMORY_WHOLE : FARI_MEMORY_OWN;
}

static void turn_add(int64_t *sums, const fari_plan *plan, const fari_buffer *b, int64_t received)
{
    const fari_memory_part part = part_of(plan, b);
    const int64_t halo = part == FARI_MEMORY_OWN ? received : 0;
    sums[part] += b->bytes - halo;
    sums[FARI_MEMORY_HALO] += halo;
}

static int64_t sum_of(const int64_t *sums)
{
    int64_t sum = 0;
    for (int32_t p = 0; p < FARI_MEMORY_PARTS; p++) sum += sums[p];
    return sum;
}

far_status fari_plan_memory(const fari_plan *plan, int64_t bytes_out[FARI_MEMORY_PARTS])
{
    const int64_t turns = plan->turn_count;
    int64_t fullest = 0;
    int64_t *received = plan->part != NULL ? received_bytes(plan) : NULL;
    int64_t *sums = fari_calloc((size_t)(turns + 1) * FARI_MEMORY_PARTS, sizeof *sums);
    if ((plan->part != NULL && received == NULL) || sums == NULL) {
        fari_free(received);
        fari_free(sums);
        return FAR_FAIL(FAR_E_NOMEM, "no memory to add up the memory of a step");
    }
    for (int64_t i = 0; i < plan->buffer_count; i++) {
        const fari_buffer *b = &plan->buffers[i];
        if (b->base != FARI_BASE_ARENA) continue;
        const int64_t last = b->last_turn < turns ? b->last_turn : turns - 1;
        for (int64_t t = b->first_turn > 0 ? b->first_turn : 0; t <= last; t++)
            turn_add(&sums[t * FARI_MEMORY_PARTS], plan, b, received != NULL ? received[i] : 0);
    }
    for (int64_t t = 1; t < turns; t++)
        if (sum_of(&sums[t * FARI_MEMORY_PARTS]) > sum_of(&sums[fullest * FARI_MEMORY_PARTS])) fullest = t;
    for (int32_t p = 0; p < FARI_MEMORY_PARTS; p++) bytes_out[p] = sums[fullest * FARI_MEMORY_PARTS + p];
    bytes_out[FARI_MEMORY_GAPS] = plan->arena_bytes - sum_of(bytes_out);
    fari_free(received);
    fari_free(sums);
    return FAR_OK;
}

void fari_plan_print_memory_text(const fari_plan *plan, fari_text *text)
{
    int64_t bytes[FARI_MEMORY_PARTS];
    char shown[32];
    if (fari_plan_memory(plan, bytes) != FAR_OK) {
        text->failed = true;
        return;
    }
    for (int32_t p = 0; p < FARI_MEMORY_PARTS; p++)
        if (bytes[p] > 0) fari_text_add(text, "    %-9s    %s\n", fari_bytes_text(bytes[p], shown), parts[p].text);
}

void fari_plan_print_memory_json(const fari_plan *plan, fari_text *text)
{
    int64_t bytes[FARI_MEMORY_PARTS];
    if (fari_plan_memory(plan, bytes) != FAR_OK) {
        text->failed = true;
        return;
    }
    fari_text_add(text, "\"scratch_bytes\": %" PRId64 ", \"fullest\": {", plan->scratch_bytes * plan->opts.threads);
    for (int32_t p = 0; p < FARI_MEMORY_PARTS; p++)
        fari_text_add(text, "%s\"%s\": %" PRId64, p > 0 ? ", " : "", parts[p].key, bytes[p]);
    fari_text_add(text, "}, ");
}
