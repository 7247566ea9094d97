/* farandole bench: steps of an experiment timed, beside what the machine can do. */
#include "backends/cpu_info.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/mem.h"
#include "plan/print.h"
#include "run/bench.h"
#include "run/run_priv.h"
#include <farandole/info.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#define STEPS_MAX 100000
#define STEPS_MIN 5
#define WARM_STEPS 3 /* pages, caches, clocks */
#define PROFILED_MIN 5
#define PROFILED_MAX 32
#define PROFILED_S 2.0
#define SECONDS 10.0

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static far_status one(far_run *run, int64_t done, int64_t total)
{
    double loss = NAN;
    FAR_TRY(run_step(run, &loss));
    run_report(run, "bench", done, total, NAN, 0.0, NULL);
    if (run_wants_stop(run)) return FAR_FAIL(FAR_E_STOPPED, "stopped on request");
    return FAR_OK;
}

/* Of the process: what others do on the same cores is not in it. */
static double cpu_clock_s(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* How many steps will be timed, after what a step of the warm-up took. */
static int64_t steps_wanted(const far_bench_opts *opts, double step_s)
{
    const double seconds = opts->seconds > 0.0 ? opts->seconds : SECONDS;
    if (opts->steps > 0) return opts->steps < STEPS_MAX ? opts->steps : STEPS_MAX;
    const double steps = seconds / fmax(step_s, 1e-7);
    return steps < STEPS_MIN ? STEPS_MIN : steps > STEPS_MAX ? STEPS_MAX : (int64_t)steps;
}

static far_status time_steps(far_run *run, int64_t steps, run_bench *bench)
{
    double *each = fari_alloc((size_t)steps * sizeof *each);
    far_status st = FAR_OK;
    if (each == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory for %" PRId64 " times", steps);
    const double data_before = run->clocks.data_s, exposed_before = run->clocks.exposed_s;
    const double disk_before = run->clocks.disk_s;
    const double began_s = fari_clock_s(), cpu_began_s = cpu_clock_s();
    for (int64_t i = 0; i < steps; i++) {
        const double before = run->clocks.step_s;
        FAR_TRY_GOTO(one(run, i + 1, steps), done);
        each[i] = run->clocks.step_s - before;
    }
    bench->wall_s = (fari_clock_s() - began_s) / (double)steps;
    bench->cpu_s = (cpu_clock_s() - cpu_began_s) / (double)steps;
    bench->waiting_s = (run->clocks.data_s - data_before) / (double)steps;
    bench->exposed_s = (run->clocks.exposed_s - exposed_before) / (double)steps;
    bench->disk_s = (run->clocks.disk_s - disk_before) / (double)steps;
    qsort(each, (size_t)steps, sizeof *each, by_value);
    bench->steps = steps;
    bench->step_s = each[steps / 2];
    bench->least_s = each[0];
    bench->most_s = each[steps - 1];
done:
    fari_free(each);
    return st;
}

static far_status profile_steps(far_run *run, double step_s)
{
    const double wanted = PROFILED_S / fmax(step_s, 1e-7);
    int64_t steps = wanted < PROFILED_MIN ? PROFILED_MIN : wanted > PROFILED_MAX ? PROFILED_MAX : (int64_t)wanted;
    FAR_TRY(run_agree(run, &steps));
    run->is_profiling = true;
    for (int64_t i = 0; i < steps; i++) FAR_TRY(one(run, i + 1, steps));
    run->is_profiling = false;
    return FAR_OK;
}

static far_status measure(far_run *run, const far_bench_opts *opts, run_bench *bench)
{
    struct rusage usage;
    FAR_TRY(far_loader_seek(run->loader, 0, 0));
    fari_thread_touch();
    for (int64_t i = 0; i < WARM_STEPS; i++) FAR_TRY(one(run, i + 1, WARM_STEPS));
    int64_t steps = steps_wanted(opts, run_median_step_s(run));
    FAR_TRY(run_agree(run, &steps));
    FAR_TRY(time_steps(run, steps, bench));
    FAR_TRY(profile_steps(run, bench->step_s));
    bench->peak_bytes = getrusage(RUSAGE_SELF, &usage) == 0 ? (int64_t)usage.ru_maxrss * 1024 : 0;
    FAR_TRY(fari_profile_families(run->profile, bench->families, &bench->family_count));
    for (int32_t i = 0; i < bench->family_count; i++) bench->busy_s += fari_family_seconds(&bench->families[i]);
    bench->profiled_s = fari_profile_wall_s(run->profile);
    FAR_TRY(run_bench_ranks(run, bench));
    return fari_cpu_peak(run->threads, &bench->peak_flops, &bench->peak_bandwidth);
}

/* The first of all steps begins where a training does. */
far_status far_run_time_steps(far_run *run, int64_t steps, double *seconds_out)
{
    if (run->opts.purpose != FAR_RUN_BENCH) return FAR_FAIL(FAR_E_ARG, "this run was not opened to be timed");
    if (run->clocks.steps == 0) {
        FAR_TRY(far_loader_seek(run->loader, 0, 0));
        fari_thread_touch();
    }
    for (int64_t i = 0; i < steps; i++) {
        const double began_s = fari_clock_s();
        FAR_TRY(one(run, i + 1, steps));
        seconds_out[i] = fari_clock_s() - began_s;
    }
    return FAR_OK;
}

/* ---- for people ---- */

const char *run_time_text(double seconds, char text_out[32])
{
    if (seconds < 1e-3) (void)snprintf(text_out, 32, "%.0f us", seconds * 1e6);
    else if (seconds < 1.0) (void)snprintf(text_out, 32, "%.3g ms", seconds * 1e3);
    else (void)snprintf(text_out, 32, "%.3g s", seconds);
    return text_out;
}

static void print_families(const run_bench *bench, fari_text *text)
{
    char seconds[32];
    fari_text_add(
        text, "time of a step     of all threads together, which are busy for %.0f %% of it; rates as of all at once\n",
        100.0 * fmin(1.0, bench->busy_s / (bench->profiled_s * (double)bench->threads)));
    for (int32_t i = 0; i < bench->family_count; i++) {
        const fari_family *f = &bench->families[i];
        const double all = fari_family_seconds(f);
        if (all < 0.002 * bench->busy_s) break;
        fari_text_add(text, "  %-21s %8s %4.0f %%", f->name, run_time_text(all, seconds), 100.0 * all / bench->busy_s);
        if (f->flops > 1e-3 * f->bytes)
            fari_text_add(text, " %9.3g GFLOP/s", 1e-9 * f->flops / all * (double)bench->threads);
        else fari_text_add(text, "                  ");
        if (f->bytes > 0.0) fari_text_add(text, " %8.3g GB/s", 1e-9 * f->bytes / all * (double)bench->threads);
        fari_text_add(text, "\n");
    }
}

static void print_text(const far_run *run, const run_bench *bench, fari_text *text)
{
    char a[32], b[32], c[32];
    const double samples_s = (double)run->train.batch / bench->wall_s, rate = run->train.plan->flops / bench->step_s;
    const char *preset = far_config_text(run->config, "model.preset");
    fari_text_add(text, "experiment         %s%s%s, batch %" PRId64 ", %d threads, %s\n",
                  far_config_text(run->config, "model.name"), preset[0] != '\0' ? " " : "", preset, run->train.batch,
                  (int)run->threads, far_isa());
    fari_text_add(text, "speed              %.4g samples/s: %s a step, the median of %" PRId64 " (%s to %s)", samples_s,
                  run_time_text(bench->step_s, a), bench->steps, run_time_text(bench->least_s, b),
                  run_time_text(bench->most_s, c));
    fari_text_add(text, ", %s of processor time, and %s waiting for data\n", run_time_text(bench->cpu_s, a),
                  run_time_text(bench->waiting_s, b));
    run_bench_ranks_text(run, bench, text);
    fari_text_add(
        text, "arithmetic         %.3g GFLOP a step, %.3g GFLOP/s: %.0f %% of the %.3g GFLOP/s of this machine\n",
        1e-9 * run->train.plan->flops, 1e-9 * rate, 100.0 * rate / bench->peak_flops, 1e-9 * bench->peak_flops);
    fari_text_add(text, "memory             %s planned, %s at the peak; the machine moves %.3g GB/s\n",
                  fari_bytes_text(far_run_planned_bytes(run), a), fari_bytes_text(bench->peak_bytes, b),
                  1e-9 * bench->peak_bandwidth);
    if (run->train.plan->spill_bytes > 0)
        fari_text_add(text,
                      "disk               %s written and %s read in a step, %s of it waiting with nothing to compute\n",
                      fari_bytes_text(run->train.plan->written_bytes, a),
                      fari_bytes_text(run->train.plan->read_bytes, b), run_time_text(bench->disk_s, c));
    print_families(bench, text);
    fari_text_add(text, "most expensive     and what could be done\n");
    for (int32_t i = 0; i < bench->expense_count; i++) {
        const run_expense *e = &bench->expenses[i];
        fari_text_add(text, "  %d  %s, %.0f %% of a step%s%s\n     %s\n", (int)i + 1, e->name, 100.0 * e->share,
                      e->what[0] != '\0' ? ": " : "", e->what, e->advice);
    }
}

/* ---- for programs ---- */

static void add(fari_text *text, const char *key, double value, const char *end)
{
    char number[FARI_NUMBER_TEXT];
    fari_text_add(text, "\"%s\": %s%s", key, isfinite(value) ? fari_f64_text(value, number) : "null", end);
}

static void print_json(const far_run *run, const run_bench *bench, fari_text *text)
{
    fari_text_add(text, "{\n  \"model\": ");
    fari_text_json(text, far_config_text(run->config, "model.name"));
    fari_text_add(text, ", \"preset\": ");
    fari_text_json(text, far_config_text(run->config, "model.preset"));
    fari_text_add(text, ", \"batch\": %" PRId64 ", \"threads\": %d, \"isa\": \"%s\",\n  \"steps\": %" PRId64 ", ",
                  run->train.batch, (int)run->threads, far_isa(), bench->steps);
    add(text, "samples_per_s", (double)run->train.batch / bench->wall_s, ", ");
    add(text, "step_s", bench->step_s, ", ");
    add(text, "least_s", bench->least_s, ", ");
    add(text, "most_s", bench->most_s, ", ");
    add(text, "cpu_s", bench->cpu_s, ", ");
    add(text, "waiting_for_data_s", bench->waiting_s, ", ");
    add(text, "waiting_for_disk_s", bench->disk_s, ",\n  ");
    add(text, "flops", run->train.plan->flops, ", ");
    add(text, "peak_flops_per_s", bench->peak_flops, ", ");
    add(text, "share_of_peak", run->train.plan->flops / bench->step_s / bench->peak_flops, ", ");
    add(text, "bandwidth_bytes_per_s", bench->peak_bandwidth, ",\n");
    run_bench_ranks_json(run, bench, text);
    fari_text_add(text,
                  "  \"planned_bytes\": %" PRId64 ", \"peak_bytes\": %" PRId64 ", \"disk_bytes\": %" PRId64
                  ", \"written_bytes\": %" PRId64 ", \"read_bytes\": %" PRId64 ",\n  \"families\": [",
                  far_run_planned_bytes(run), bench->peak_bytes, run->train.plan->spill_bytes,
                  run->train.plan->written_bytes, run->train.plan->read_bytes);
    for (int32_t i = 0; i < bench->family_count; i++) {
        const fari_family *f = &bench->families[i];
        fari_text_add(text, "%s\n    {\"name\": \"%s\", ", i > 0 ? "," : "", f->name);
        add(text, "forward_s", f->seconds[FARI_FORWARD], ", ");
        add(text, "backward_s", f->seconds[FARI_BACKWARD], ", ");
        add(text, "update_s", f->seconds[FARI_UPDATE], ", ");
        add(text, "flops", f->flops, ", ");
        add(text, "bytes", f->bytes, "}");
    }
    fari_text_add(text, "\n  ],\n  \"most_expensive\": [");
    for (int32_t i = 0; i < bench->expense_count; i++) {
        const run_expense *e = &bench->expenses[i];
        fari_text_add(text, "%s\n    {\"name\": \"%s\", ", i > 0 ? "," : "", e->name);
        add(text, "share", e->share, ", ");
        fari_text_add(text, "\"what\": ");
        fari_text_json(text, e->what);
        fari_text_add(text, ", \"advice\": ");
        fari_text_json(text, e->advice);
        fari_text_add(text, "}");
    }
    fari_text_add(text, "\n  ],\n  \"nodes\": [");
    fari_profile_print_nodes(run->profile, text);
    fari_text_add(text, "\n  ]\n}\n");
}

far_status far_run_bench(far_run *run, const far_bench_opts *opts, bool is_json, char **text_out)
{
    const far_bench_opts defaults = { 0 };
    fari_text text = { 0 };
    run_bench bench = { .threads = run->threads };
    if (run->opts.purpose != FAR_RUN_BENCH) return FAR_FAIL(FAR_E_ARG, "this run was not opened to be timed");
    const far_status st = measure(run, opts != NULL ? opts : &defaults, &bench);
    if (st != FAR_OK) {
        fari_free(bench.ranks);
        return st;
    }
    run_expenses_find(run, &bench);
    if (is_json) print_json(run, &bench, &text);
    else print_text(run, &bench, &text);
    fari_free(bench.ranks);
    if (text.failed) {
        fari_text_free(&text);
        return FAR_FAIL(FAR_E_NOMEM, "no memory to print what was measured");
    }
    *text_out = text.data;
    return FAR_OK;
}
