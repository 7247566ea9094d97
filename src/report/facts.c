/* Sections made from run.json and profile.json: time, memory, network. */
#include "base/status.h"
#include "report/chart.h"
#include "report/page.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

#define ROWS_MAX 64
#define NODES_SHOWN 10
#define LAYERS_OPEN 40 /* longer tables are folded */

static double number_or(const json_t *root, const char *path, double otherwise)
{
    const double value = fari_json_number(root, path);
    return isfinite(value) ? value : otherwise;
}

static void cell(fari_html *html, const char *text)
{
    fari_html_put(html, "<td>");
    fari_html_text(html, text);
    fari_html_put(html, "</td>");
}

static void number_cell(fari_html *html, const char *text)
{
    fari_html_put(html, "<td class=\"n\">");
    fari_html_text(html, text);
    fari_html_put(html, "</td>");
}

/* "1.2 ms, 38 %" */
static const char *part_text(const char *amount, double part, double whole, char *text_out, size_t bytes)
{
    char share[FARI_SHORT_TEXT];
    if (whole > 0.0)
        (void)snprintf(text_out, bytes, "%s, %s %%", amount, fari_short_text(100.0 * part / whole, 2, share));
    else (void)snprintf(text_out, bytes, "%s", amount);
    return text_out;
}

/* ---- time ---- */

static void time_of_training(fari_html *html, const json_t *run)
{
    static const struct {
        const char *name, *key;
    } rows[] = { { "steps", "time.steps_s" },
                 { "evaluations", "time.evaluations_s" },
                 { "checkpoints", "time.checkpoints_s" },
                 { "waiting for data", "time.waiting_for_data_s" } };
    fari_bar bars[FAR_COUNT(rows)];
    char texts[FAR_COUNT(rows)][96], amount[FARI_SHORT_TEXT];
    double all = 0.0;
    for (size_t i = 0; i < FAR_COUNT(rows); i++) all += number_or(run, rows[i].key, 0.0);
    if (all <= 0.0) return;
    for (size_t i = 0; i < FAR_COUNT(rows); i++) {
        const double seconds = number_or(run, rows[i].key, 0.0);
        bars[i] = (fari_bar){ rows[i].name, seconds,
                              part_text(fari_time_text(seconds, amount), seconds, all, texts[i], sizeof texts[i]) };
    }
    fari_html_put(html, "<div><h3>Of the training</h3>\n");
    fari_bars_write(html, "what", "time", bars, (int32_t)FAR_COUNT(rows), all);
    fari_html_put(html, "</div>\n");
}

typedef struct phase {
    const char *suffix, *key;
} phase;

/* A bar for each family and phase, the dearest first. */
static void time_by_family(fari_html *html, const json_t *profile)
{
    static const phase phases[] = { { "", "forward_s" }, { ", backward", "backward_s" }, { "", "update_s" } };
    fari_bar bars[ROWS_MAX];
    char texts[ROWS_MAX][96], names[ROWS_MAX][96], amount[FARI_SHORT_TEXT], note[200], number[2][FARI_SHORT_TEXT];
    const json_t *families = fari_json_at(profile, "families"), *family;
    const double busy_s = number_or(profile, "busy_s", 0.0), step_s = number_or(profile, "step_s", 0.0),
                 threads = number_or(profile, "threads", 1.0);
    int32_t count = 0;
    size_t idx;
    json_array_foreach(families, idx, family) for (size_t p = 0; p < FAR_COUNT(phases) && count < ROWS_MAX; p++)
    {
        const double seconds = number_or(family, phases[p].key, 0.0);
        const char *name = fari_json_string(family, "name");
        if (seconds < 0.005 * busy_s || name == NULL) continue;
        (void)snprintf(names[count], sizeof names[0], "%s%s", name, phases[p].suffix);
        bars[count] =
            (fari_bar){ names[count], seconds,
                        part_text(fari_time_text(seconds, amount), seconds, busy_s, texts[count], sizeof texts[0]) };
        count++;
    }
    if (count == 0) return;
    for (int32_t i = 1; i < count; i++)
        for (int32_t k = i; k > 0 && bars[k].value > bars[k - 1].value; k--) {
            const fari_bar swap = bars[k];
            bars[k] = bars[k - 1];
            bars[k - 1] = swap;
        }
    fari_html_put(html, "<div><h3>Of a step, by kind of operation</h3>\n");
    fari_bars_write(html, "operation", "time of all threads together", bars, count, bars[0].value);
    (void)snprintf(note, sizeof note, "Mean of %s steps that were timed; a step took %s, and %s threads were busy for ",
                   fari_short_text(number_or(profile, "steps", 0.0), 6, number[0]), fari_time_text(step_s, amount),
                   fari_short_text(threads, 4, number[1]));
    fari_html_put(html, "<p class=\"note\">");
    fari_html_text(html, note);
    fari_html_text(html, fari_short_text(fmin(100.0, 100.0 * busy_s / fmax(1e-12, step_s * threads)), 3, number[0]));
    fari_html_put(html, " % of it.</p></div>\n");
}

static void dearest_nodes(fari_html *html, const json_t *profile)
{
    char amount[FARI_SHORT_TEXT], text[96];
    const json_t *nodes = fari_json_at(profile, "nodes"), *node;
    const double busy_s = number_or(profile, "busy_s", 0.0);
    size_t idx;
    if (json_array_size(nodes) == 0) return;
    fari_html_put(html, "<h3>The dearest single operations of a step</h3>\n<div class=\"wide\"><table><thead><tr>"
                        "<th>where</th><th>operation</th><th class=\"n\">time, share</th><th class=\"n\">GFLOP/s</th>"
                        "<th>kernel</th></tr></thead><tbody>\n");
    json_array_foreach(nodes, idx, node)
    {
        const double seconds = number_or(node, "seconds", 0.0), flops = number_or(node, "flops", 0.0);
        const char *name = fari_json_string(node, "name"), *op = fari_json_string(node, "op"),
                   *impl = fari_json_string(node, "impl");
        if (idx >= NODES_SHOWN || name == NULL || op == NULL) break;
        fari_html_put(html, "<tr>");
        cell(html, name);
        cell(html, op);
        number_cell(html, part_text(fari_time_text(seconds, amount), seconds, busy_s, text, sizeof text));
        number_cell(html, flops > 0.0 && seconds > 0.0 ? fari_short_text(1e-9 * flops / seconds, 3, amount) : "");
        cell(html, impl != NULL ? impl : "");
        fari_html_put(html, "</tr>\n");
    }
    fari_html_put(html, "</tbody></table></div>\n");
}

static void predicted_row(fari_html *html, const char *what, const char *predicted, const char *measured, double ratio)
{
    char number[FARI_SHORT_TEXT];
    fari_html_put(html, "<tr>");
    cell(html, what);
    number_cell(html, predicted);
    number_cell(html, measured);
    number_cell(html, isfinite(ratio) && ratio > 0.0 ? fari_short_text(ratio, 3, number) : "");
    fari_html_put(html, "</tr>\n");
}

static void predicted_and_measured(fari_html *html, const json_t *run)
{
    char a[FARI_SHORT_TEXT], b[FARI_SHORT_TEXT];
    const double step = fari_json_number(run, "time.predicted_step_s"),
                 median = fari_json_number(run, "time.median_step_s"),
                 share = fari_json_number(run, "time.measured_share"),
                 planned = fari_json_number(run, "memory.planned_bytes"),
                 peak = fari_json_number(run, "memory.peak_bytes"),
                 constant = number_or(run, "memory.constant_bytes", 0.0);
    if (!isfinite(step) && !isfinite(planned)) return;
    fari_html_put(html,
                  "<div><h3>Predicted and measured</h3>\n<table><thead><tr><th></th><th class=\"n\">predicted</th>"
                  "<th class=\"n\">measured</th><th class=\"n\">ratio</th></tr></thead><tbody>\n");
    if (isfinite(step) && isfinite(median))
        predicted_row(html, "time of a step", fari_time_text(step, a), fari_time_text(median, b), median / step);
    if (isfinite(planned) && isfinite(peak))
        predicted_row(html, "memory at the peak", fari_size_text(planned, a), fari_size_text(peak, b), peak / planned);
    fari_html_put(html, "</tbody></table>\n<p class=\"note\">");
    if (isfinite(share)) {
        fari_html_text(html, fari_short_text(100.0 * share, 2, a));
        fari_html_put(html, " % of the predicted time rests on kernels measured on this machine (<code>farandole plan "
                            "--measure</code> measures them), the rest on operations and bytes. ");
    }
    if (constant > 0.0) {
        fari_html_put(html, "The memory predicted is that of data, plan and kernels; at most ");
        fari_html_text(html, fari_size_text(constant, a));
        fari_html_put(html, " for code and libraries come on top.");
    }
    fari_html_put(html, "</p></div>\n");
}

void fari_page_time(fari_html *html, const fari_record *record)
{
    fari_html_put(html, "<div class=\"charts\">\n");
    time_of_training(html, record->run);
    predicted_and_measured(html, record->run);
    time_by_family(html, record->profile);
    fari_html_put(html, "</div>\n");
    dearest_nodes(html, record->profile);
}

/* ---- memory ---- */

#define PLACES_MAX FARI_POINTS_MAX

static int64_t add_places(const json_t *list, double *values, int64_t count)
{
    const int64_t size = (int64_t)json_array_size(list) < PLACES_MAX ? (int64_t)json_array_size(list) : PLACES_MAX;
    for (int64_t i = 0; i < size; i++) {
        const json_t *item = json_array_get(list, (size_t)i);
        if (json_is_number(item)) values[i] += fmax(0.0, json_number_value(item));
    }
    return size > count ? size : count;
}

static void memory_over_step(fari_html *html, const json_t *run)
{
    static const struct {
        const char *name;
        const char *keys[2];
    } rows[] = { { "parameters, statistics, optimizer", { NULL, NULL } },
                 { "activations", { "activations", NULL } },
                 { "gradients", { "gradients", NULL } },
                 { "inputs", { "inputs", NULL } },
                 { "partial sums, packed weights", { "partial sums", "packed weights" } } };
    static const size_t row_count = FAR_COUNT(rows);
    double values[FAR_COUNT(rows)][PLACES_MAX] = { { 0.0 } };
    fari_layer layers[FAR_COUNT(rows)];
    const json_t *over = fari_json_at(run, "memory.over_step");
    const json_t *parts = fari_json_at(run, "memory.parts");
    const double store = number_or(parts, "parameters, statistics, optimizer", 0.0);
    int64_t count = 0;
    for (size_t i = 0; i < row_count; i++)
        for (size_t k = 0; k < 2; k++)
            if (rows[i].keys[k] != NULL) count = add_places(json_object_get(over, rows[i].keys[k]), values[i], count);
    for (int64_t p = 0; p < count; p++) values[0][p] = store;
    for (size_t i = 0; i < row_count; i++) layers[i] = (fari_layer){ rows[i].name, values[i] };
    const fari_stack stack = { .title = "Memory over a step",
                               .note = "By the plan, in the order of work; what the step itself holds.",
                               .x_label = "order of work",
                               .layers = layers,
                               .layer_count = (int32_t)row_count,
                               .count = count,
                               .split = number_or(over, "backward_from", -1.0),
                               .split_names = { "forward", "backward, update" },
                               .text = fari_size_text };
    fari_stack_write(html, &stack);
}

static void memory_parts(fari_html *html, const json_t *run)
{
    fari_bar bars[ROWS_MAX];
    char texts[ROWS_MAX][96], amount[FARI_SHORT_TEXT];
    const json_t *parts = fari_json_at(run, "memory.parts");
    const double planned = number_or(run, "memory.planned_bytes", 0.0);
    int32_t count = 0;
    double most = 0.0;
    for (void *it = json_object_iter(json_is_object(parts) ? (json_t *)(uintptr_t)parts : NULL);
         it != NULL && count < ROWS_MAX; it = json_object_iter_next((json_t *)(uintptr_t)parts, it)) {
        const double bytes = json_number_value(json_object_iter_value(it));
        bars[count] =
            (fari_bar){ json_object_iter_key(it), bytes,
                        part_text(fari_size_text(bytes, amount), bytes, planned, texts[count], sizeof texts[0]) };
        most = fmax(most, bytes);
        count++;
    }
    if (count == 0) return;
    fari_html_put(html, "<div><h3>Of the process</h3>\n");
    fari_bars_write(html, "what", "bytes, share of the plan", bars, count, most);
    fari_html_put(html, "</div>\n");
}

void fari_page_memory(fari_html *html, const fari_record *record)
{
    fari_html_put(html, "<div class=\"charts\">\n");
    memory_over_step(html, record->run);
    memory_parts(html, record->run);
    fari_html_put(html, "</div>\n");
}

/* ---- network ---- */

static void layer_row(fari_html *html, const json_t *layer)
{
    char number[FARI_SHORT_TEXT], shape[128] = "";
    const json_t *dims = json_object_get(layer, "shape"), *dim;
    const char *name = fari_json_string(layer, "name"), *op = fari_json_string(layer, "op");
    const double parameters = number_or(layer, "parameters", 0.0), flops = number_or(layer, "flops", 0.0);
    size_t idx, used = 0;
    json_array_foreach(dims, idx, dim) if (used < sizeof shape) used +=
        (size_t)snprintf(shape + used, sizeof shape - used, "%s%s", idx > 0 ? " \xC3\x97 " : "",
                         fari_short_text(json_number_value(dim), 9, number));
    fari_html_put(html, "<tr>");
    cell(html, name != NULL ? name : "");
    cell(html, op != NULL ? op : "");
    cell(html, shape);
    number_cell(html, parameters > 0.0 ? fari_count_text((int64_t)parameters, number) : "");
    number_cell(html, flops > 0.0 ? fari_short_text(1e-6 * flops, 3, number) : "");
    fari_html_put(html, "</tr>\n");
}

void fari_page_network(fari_html *html, const fari_record *record)
{
    char number[FARI_SHORT_TEXT];
    const json_t *layers = fari_json_at(record->run, "network"), *layer;
    const size_t count = json_array_size(layers);
    size_t idx;
    fari_html_add(html, "<details%s><summary>", count <= LAYERS_OPEN ? " open" : "");
    fari_html_text(html, fari_count_text((int64_t)count, number));
    fari_html_put(html, " layers</summary>\n<div class=\"wide\"><table><thead><tr><th>layer</th><th>operation</th>"
                        "<th>output</th><th class=\"n\">parameters</th><th class=\"n\">MFLOP a sample</th></tr></thead>"
                        "<tbody>\n");
    json_array_foreach(layers, idx, layer) layer_row(html, layer);
    fari_html_put(html, "</tbody></table></div></details>\n");
}
