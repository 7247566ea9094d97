/* The report that compares several runs. */
#include "base/status.h"
#include "report/chart.h"
#include "report/page.h"
#include <math.h>
#include <string.h>

static void head_row(fari_html *html, const char *first, const fari_record *records, int32_t count)
{
    fari_html_put(html, "<thead><tr><th>");
    fari_html_text(html, first);
    fari_html_put(html, "</th>");
    for (int32_t i = 0; i < count; i++) {
        fari_html_put(html, "<th class=\"n\">");
        fari_chart_swatch(html, i % FARI_STYLES, true);
        fari_html_text(html, records[i].name);
        fari_html_put(html, "</th>");
    }
    fari_html_put(html, "</tr></thead>\n<tbody>\n");
}

typedef const char *(*text_fn)(double value, char text_out[FARI_SHORT_TEXT]);

static const char *score_text(double value, char text_out[FARI_SHORT_TEXT])
{
    return fari_short_text(value, 5, text_out);
}

static const char *whole_text(double value, char text_out[FARI_SHORT_TEXT])
{
    return fari_count_text((int64_t)value, text_out);
}

static void figure_row(fari_html *html, const char *name, const char *key, text_fn text, const fari_record *records,
                       int32_t count)
{
    char number[FARI_SHORT_TEXT];
    fari_html_put(html, "<tr><td>");
    fari_html_text(html, name);
    fari_html_put(html, "</td>");
    for (int32_t i = 0; i < count; i++) {
        const fari_series *s = fari_table_find(&records[i].table, key);
        fari_html_put(html, "<td class=\"n\">");
        fari_html_text(html, s != NULL && s->count > 0 ? text(s->last, number) : "\xE2\x80\x93");
        fari_html_put(html, "</td>");
    }
    fari_html_put(html, "</tr>\n");
}

/* The same from run.json. */
static void fact_row(fari_html *html, const char *name, const char *path, text_fn text, const fari_record *records,
                     int32_t count)
{
    char number[FARI_SHORT_TEXT];
    bool is_any = false;
    for (int32_t i = 0; i < count; i++) is_any = is_any || isfinite(fari_json_number(records[i].run, path));
    if (!is_any) return;
    fari_html_put(html, "<tr><td>");
    fari_html_text(html, name);
    fari_html_put(html, "</td>");
    for (int32_t i = 0; i < count; i++) {
        const double value = fari_json_number(records[i].run, path);
        fari_html_put(html, "<td class=\"n\">");
        fari_html_text(html, isfinite(value) ? text(value, number) : "\xE2\x80\x93");
        fari_html_put(html, "</td>");
    }
    fari_html_put(html, "</tr>\n");
}

static bool is_known(const fari_record *records, int32_t count, const char *key)
{
    for (int32_t i = 0; i < count; i++)
        if (fari_table_find(&records[i].table, key) != NULL) return true;
    return false;
}

static void figures(fari_html *html, const fari_record *records, int32_t count)
{
    fari_html_put(html, "<div class=\"wide\"><table>");
    head_row(html, "last value", records, count);
    for (int32_t run = 0; run < count; run++)
        for (int64_t i = 0; i < records[run].table.count; i++) {
            const char *key = records[run].table.series[i].name;
            if (strncmp(key, "eval/", 5) == 0 && !is_known(records, run, key))
                figure_row(html, key + 5, key, score_text, records, count);
        }
    figure_row(html, "training loss", "train/loss", score_text, records, count);
    figure_row(html, "epochs completed", "epoch", whole_text, records, count);
    figure_row(html, "time", "time_s", fari_time_text, records, count);
    figure_row(html, "samples a second", "train/samples_per_s", fari_rough_text, records, count);
    fact_row(html, "time of a step", "time.median_step_s", fari_time_text, records, count);
    fact_row(html, "memory at the peak", "memory.peak_bytes", fari_size_text, records, count);
    fact_row(html, "parameters", "parameters", whole_text, records, count);
    fari_html_put(html, "</tbody></table></div>\n");
}

/* ---- settings that differ ---- */

#define VALUE_BYTES 512

typedef struct differ {
    fari_html *html;
    const fari_record *records;
    int32_t count, run; /* whose settings are gone through */
    int64_t rows;
} differ;

static void setting_cells(const differ *d, const char *key)
{
    char value[VALUE_BYTES];
    for (int32_t i = 0; i < d->count; i++) {
        const char *text = fari_record_setting(&d->records[i], key, value, sizeof value);
        fari_html_put(d->html, "<td>");
        fari_html_text(d->html, text != NULL ? text : "\xE2\x80\x93");
        fari_html_put(d->html, "</td>");
    }
}

/* Options of networks and losses stand there only where they were given; a key of another kind is of another version. */
static bool may_be_missing(const char *key)
{
    return strncmp(key, "model.", 6) == 0 || strncmp(key, "loss.", 5) == 0;
}

static void compare_setting(void *context, const char *key, const char *value)
{
    differ *d = context;
    char other[VALUE_BYTES];
    bool is_different = false;
    (void)value;
    if (strcmp(key, "run.dir") == 0) return;
    for (int32_t i = 0; i < d->run; i++) /* an earlier run's settings have been gone through */
        if (fari_record_setting(&d->records[i], key, other, sizeof other) != NULL) return;
    char own[VALUE_BYTES];
    if (fari_record_setting(&d->records[d->run], key, own, sizeof own) == NULL) return;
    for (int32_t i = 0; i < d->count; i++) {
        const char *text = fari_record_setting(&d->records[i], key, other, sizeof other);
        const bool is_missing = text == NULL && d->records[i].config != NULL && may_be_missing(key);
        if (is_missing || (text != NULL && strcmp(text, own) != 0)) is_different = true;
    }
    if (!is_different) return;
    d->rows++;
    fari_html_put(d->html, "<tr><td>");
    fari_html_text(d->html, key);
    fari_html_put(d->html, "</td>");
    setting_cells(d, key);
    fari_html_put(d->html, "</tr>\n");
}

static void differences(fari_html *html, const fari_record *records, int32_t count)
{
    differ d = { .html = html, .records = records, .count = count };
    fari_html_put(html, "<div class=\"wide\"><table>");
    head_row(html, "setting", records, count);
    for (d.run = 0; d.run < count; d.run++)
        if (records[d.run].config != NULL) fari_settings_each(records[d.run].config, compare_setting, &d);
    fari_html_put(html, "</tbody></table></div>\n");
    if (d.rows == 0) fari_html_put(html, "<p>All settings are equal.</p>\n");
}

void fari_page_compare(fari_html *html, const fari_record *records, int32_t count)
{
    fari_html_add(html, "<h1>%d runs compared</h1>\n", (int)count);
    for (int32_t i = 0; i < count; i++) fari_page_remarks(html, &records[i]);
    fari_page_section(html, "figures", "Figures");
    figures(html, records, count);
    fari_page_section(html, "settings", "Settings that differ");
    differences(html, records, count);
    fari_page_section(html, "curves", "Curves");
    fari_page_curves(html, records, count);
}
