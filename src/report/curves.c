/* Curves over steps, of one run or of several on top of each other. */
#include "base/status.h"
#include "report/chart.h"
#include "report/page.h"
#include <math.h>
#include <string.h>

#define LINES_MAX 16

typedef struct curves {
    fari_html *html;
    const fari_record *records;
    int32_t count;
    fari_line lines[LINES_MAX];
    char names[LINES_MAX][128];
    int32_t line_count;
} curves;

/* A line for each run: the style is the run's where several are compared, else the line's own. */
static void take(curves *c, const char *key, const char *name, int32_t style, bool has_marks, bool has_band)
{
    for (int32_t i = 0; i < c->count && c->line_count < LINES_MAX; i++) {
        const fari_series *series = fari_table_find(&c->records[i].table, key);
        if (series == NULL || series->count == 0) continue;
        char *label = c->names[c->line_count];
        if (c->count == 1) (void)snprintf(label, sizeof c->names[0], "%s", name);
        else (void)snprintf(label, sizeof c->names[0], "%s", c->records[i].name);
        c->lines[c->line_count] = (fari_line){ .name = label,
                                               .series = series,
                                               .style = (c->count > 1 ? i : style) % FARI_STYLES,
                                               .has_marks = has_marks,
                                               .has_band = has_band && c->count == 1 };
        c->line_count++;
    }
}

static void write_chart(curves *c, const char *title, const char *note, bool is_log_wanted, bool is_zero_based)
{
    const fari_chart chart = { .title = title,
                               .note = note,
                               .x_label = "step",
                               .lines = c->lines,
                               .line_count = c->line_count,
                               .is_log_wanted = is_log_wanted,
                               .is_zero_based = is_zero_based };
    fari_chart_write(c->html, &chart);
    c->line_count = 0;
}

static const char *merged_note(const curves *c)
{
    for (int32_t i = 0; i < c->line_count; i++)
        if (c->lines[i].has_band && c->lines[i].series->stride > 1)
            return "The line is the mean of neighbouring steps, the band reaches from the lowest to the highest.";
    return NULL;
}

/* Scores between 0 and 1 share a chart; what has a class in its name has a table of its own. */
static bool is_overall(const fari_series *series)
{
    if (strncmp(series->name, "eval/", 5) != 0 || strchr(series->name + 5, '/') != NULL) return false;
    return strcmp(series->name, "eval/loss") != 0 && series->count > 0;
}

static bool is_share(const fari_series *series)
{
    for (int64_t i = 0; i < series->count; i++)
        if (series->points[i].low < 0.0 || series->points[i].high > 1.0) return false;
    return true;
}

static void one_runs_scores(curves *c)
{
    const fari_table *table = &c->records[0].table;
    for (int64_t i = 0; i < table->count; i++)
        if (is_overall(&table->series[i]) && is_share(&table->series[i]) && c->line_count < FARI_STYLES)
            take(c, table->series[i].name, table->series[i].name + 5, c->line_count, true, false);
    write_chart(c, "Scores of evaluations", NULL, false, false);
    for (int64_t i = 0; i < table->count; i++) {
        if (!is_overall(&table->series[i]) || is_share(&table->series[i])) continue;
        take(c, table->series[i].name, table->series[i].name + 5, 0, true, false);
        write_chart(c, table->series[i].name + 5, NULL, true, false);
    }
}

static bool was_before(const curves *c, int32_t run, const char *name)
{
    for (int32_t i = 0; i < run; i++)
        if (fari_table_find(&c->records[i].table, name) != NULL) return true;
    return false;
}

/* A chart for each score, with a line for each run. */
static void several_runs_scores(curves *c)
{
    for (int32_t run = 0; run < c->count; run++) {
        const fari_table *table = &c->records[run].table;
        for (int64_t i = 0; i < table->count; i++) {
            if (!is_overall(&table->series[i]) || was_before(c, run, table->series[i].name)) continue;
            take(c, table->series[i].name, "", 0, true, false);
            write_chart(c, table->series[i].name + 5, NULL, false, false);
        }
    }
}

void fari_page_curves(fari_html *html, const fari_record *records, int32_t count)
{
    curves c = { .html = html, .records = records, .count = count };
    fari_html_put(html, "<div class=\"charts\">\n");
    take(&c, "train/loss", "training", 0, false, true);
    if (count == 1) {
        take(&c, "eval/loss", "evaluation", 1, true, false);
        write_chart(&c, "Loss", merged_note(&c), true, false);
        one_runs_scores(&c);
    } else {
        write_chart(&c, "Loss in training", NULL, true, false);
        take(&c, "eval/loss", "", 0, true, false);
        write_chart(&c, "Loss in evaluation", NULL, true, false);
        several_runs_scores(&c);
    }
    take(&c, "train/lr", "learning rate", 0, false, false);
    write_chart(&c, "Learning rate", NULL, false, true);
    take(&c, "train/samples_per_s", "samples a second", 0, false, true);
    write_chart(&c, "Samples a second", merged_note(&c), false, true);
    fari_html_put(html, "</div>\n");
}
