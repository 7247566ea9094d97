/* The report of one run. */
#include "base/status.h"
#include "report/page.h"
#include <math.h>
#include <string.h>

static void key_number(fari_html *html, const char *name, double value, int digits)
{
    char text[FARI_SHORT_TEXT];
    if (isfinite(value)) fari_page_key(html, name, fari_short_text(value, digits, text));
}

static void key_count(fari_html *html, const char *name, double value)
{
    char text[FARI_SHORT_TEXT];
    if (isfinite(value)) fari_page_key(html, name, fari_count_text((int64_t)value, text));
}

static double last_of(const fari_record *record, const char *name)
{
    const fari_series *series = fari_table_find(&record->table, name);
    return series != NULL && series->count > 0 ? series->last : (double)NAN;
}

static void key_figures(fari_html *html, const fari_record *record)
{
    char text[FARI_SHORT_TEXT];
    const fari_table *table = &record->table;
    const fari_series *loss = fari_table_find(table, "train/loss");
    fari_html_put(html, "<dl class=\"keys\">\n");
    for (int64_t i = 0; i < table->count; i++) {
        const fari_series *s = &table->series[i];
        if (strncmp(s->name, "eval/", 5) == 0 && strchr(s->name + 5, '/') == NULL)
            key_number(html, s->name + 5, s->last, 4);
    }
    key_number(html, "last training loss", last_of(record, "train/loss"), 4);
    if (loss != NULL && loss->count > 0) key_count(html, "steps", loss->last_step);
    key_count(html, "epochs completed", last_of(record, "epoch"));
    if (isfinite(last_of(record, "time_s")))
        fari_page_key(html, "time", fari_time_text(last_of(record, "time_s"), text));
    if (isfinite(last_of(record, "train/samples_per_s")))
        fari_page_key(html, "samples a second", fari_rough_text(last_of(record, "train/samples_per_s"), text));
    fari_html_put(html, "</dl>\n");
}

static bool has_class_scores(const fari_table *table)
{
    for (int64_t i = 0; i < table->count; i++)
        if (strncmp(table->series[i].name, "eval/", 5) == 0 && strchr(table->series[i].name + 5, '/') != NULL)
            return true;
    return false;
}

static void title(fari_html *html, const fari_record *record)
{
    char model[128];
    fari_html_put(html, "<h1>");
    fari_html_text(html, record->name);
    fari_html_put(html, "</h1>\n");
    if (fari_record_setting(record, "model.name", model, sizeof model) == NULL) return;
    fari_html_put(html, "<p class=\"mute\">A training of ");
    fari_html_text(html, model);
    fari_html_put(html, "</p>\n");
}

void fari_page_run(fari_html *html, const fari_record *record)
{
    title(html, record);
    fari_page_remarks(html, record);
    key_figures(html, record);
    fari_page_section(html, "curves", "Curves");
    fari_page_curves(html, record, 1);
    if (has_class_scores(&record->table)) {
        fari_page_section(html, "classes", "Classes in the last evaluation");
        fari_page_scores(html, record);
    }
    if (record->config != NULL) {
        fari_page_section(html, "config", "Configuration");
        fari_html_put(html, "<details><summary>config.yaml, complete</summary><pre>");
        fari_html_text(html, record->config);
        fari_html_put(html, "</pre></details>\n");
    }
}
