/* What farandole bench says of several ranks: what each takes and sends, and how long it waits for the others with nothing to compute. */
#include "base/mem.h"
#include "plan/print.h"
#include "run/bench.h"
#include "run/run_priv.h"
#include <inttypes.h>
#include <math.h>

#define PRINTED_MAX 16 /* text names so many; JSON all */

far_status run_agree(const far_run *run, int64_t *value_io)
{
    void *all = NULL;
    if (run->comm == NULL) return FAR_OK;
    FAR_TRY(run_shared_gather(run, value_io, sizeof *value_io, &all));
    *value_io = *(const int64_t *)all;
    fari_free(all);
    return FAR_OK;
}

far_status run_bench_ranks(const far_run *run, run_bench *bench)
{
    run_bench_rank own = { .step_s = bench->wall_s,
                           .cpu_s = bench->cpu_s,
                           .exposed_s = bench->exposed_s,
                           .data_s = bench->waiting_s,
                           .planned_bytes = far_run_planned_bytes(run),
                           .peak_bytes = bench->peak_bytes,
                           .arena_bytes = run->train.plan->arena_bytes };
    void *all = NULL;
    if (run->comm == NULL) return FAR_OK;
    for (int64_t i = 0; i < run->train.plan->part->message_count; i++) {
        const fari_message *m = &run->train.plan->part->messages[i];
        if (m->from != run->comm->rank) continue;
        own.messages++;
        own.message_bytes += m->bytes;
    }
    FAR_TRY(run_shared_gather(run, &own, sizeof own, &all));
    bench->ranks = all;
    bench->rank_count = run->comm->world_size;
    return FAR_OK;
}

static double mean_exposed(const run_bench *bench, int32_t *most_out)
{
    double sum = 0.0;
    *most_out = 0;
    for (int32_t r = 0; r < bench->rank_count; r++) {
        sum += bench->ranks[r].exposed_s;
        if (bench->ranks[r].exposed_s > bench->ranks[*most_out].exposed_s) *most_out = r;
    }
    return sum / (double)bench->rank_count;
}

void run_bench_ranks_text(const far_run *run, const run_bench *bench, fari_text *text)
{
    char a[32], b[32], c[32];
    int32_t most = 0;
    if (bench->rank_count == 0) return;
    const double mean_s = mean_exposed(bench, &most);
    fari_text_add(text, "ranks              %d: data=%d, spatial=%d\n", (int)bench->rank_count, (int)run->mesh.data,
                  (int)run->mesh.spatial);
    fari_text_add(
        text,
        "exposed            %s a step a rank waits for others with nothing to compute: %.1f %%; rank %d most, %s\n",
        run_time_text(mean_s, a), 100.0 * mean_s / bench->wall_s, (int)most,
        run_time_text(bench->ranks[most].exposed_s, b));
    for (int32_t r = 0; r < bench->rank_count && r < PRINTED_MAX; r++) {
        const run_bench_rank *of = &bench->ranks[r];
        fari_text_add(text, "  rank %-12d  sends %" PRId64 " messages, %s a step; waits %s", (int)r, of->messages,
                      fari_bytes_text(of->message_bytes, a), run_time_text(of->exposed_s, b));
        fari_text_add(text, "; memory %s planned, ", fari_bytes_text(of->planned_bytes, a));
        fari_text_add(text, "%s at the peak\n", fari_bytes_text(of->peak_bytes, c));
    }
    if (bench->rank_count > PRINTED_MAX)
        fari_text_add(text, "  ...                %d more ranks: --json names all\n",
                      (int)(bench->rank_count - PRINTED_MAX));
    fari_text_add(text, "rank 0's share\n");
}

static void add(fari_text *text, const char *key, double value)
{
    char number[FARI_NUMBER_TEXT];
    fari_text_add(text, "\"%s\": %s, ", key, isfinite(value) ? fari_f64_text(value, number) : "null");
}

void run_bench_ranks_json(const far_run *run, const run_bench *bench, fari_text *text)
{
    if (bench->rank_count == 0) return;
    fari_text_add(text, "  \"layout\": {\"data\": %d, \"spatial\": %d},\n  \"ranks\": [", (int)run->mesh.data,
                  (int)run->mesh.spatial);
    for (int32_t r = 0; r < bench->rank_count; r++) {
        const run_bench_rank *of = &bench->ranks[r];
        fari_text_add(text, "%s\n    {\"rank\": %d, ", r > 0 ? "," : "", (int)r);
        add(text, "step_s", of->step_s);
        add(text, "cpu_s", of->cpu_s);
        add(text, "exposed_s", of->exposed_s);
        add(text, "waiting_for_data_s", of->data_s);
        fari_text_add(text,
                      "\"messages\": %" PRId64 ", \"message_bytes\": %" PRId64 ", \"planned_bytes\": %" PRId64
                      ", \"arena_bytes\": %" PRId64 ", \"peak_bytes\": %" PRId64 "}",
                      of->messages, of->message_bytes, of->planned_bytes, of->arena_bytes, of->peak_bytes);
    }
    fari_text_add(text, "\n  ],\n");
}
