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
    char text[FARI_SHORT_TEXT], name[128];
    const fari_table *table = &record->table;
    const fari_series *loss = fari_table_find(table, "train/loss");
    const char *metric = fari_json_string(record->run, "metric.name");
    fari_html_put(html, "<dl class=\"keys\">\n");
    if (metric != NULL && isfinite(fari_json_number(record->run, "metric.best"))) {
        (void)snprintf(name, sizeof name, "best %s", metric);
        key_number(html, name, fari_json_number(record->run, "metric.best"), 4);
    }
    for (int64_t i = 0; i < table->count; i++) {
        const fari_series *s = &table->series[i];
        if (strncmp(s->name, "eval/", 5) != 0 || strchr(s->name + 5, '/') != NULL) continue;
        (void)snprintf(name, sizeof name, "%s%s", s->name + 5,
                       strcmp(s->name, "eval/loss") == 0 ? " in evaluation" : "");
        key_number(html, name, s->last, 4);
    }
    key_number(html, "loss in training", last_of(record, "train/loss"), 4);
    if (loss != NULL && loss->count > 0) key_count(html, "steps", loss->last_step);
    key_count(html, "epochs completed", last_of(record, "epoch"));
    key_count(html, "parameters", fari_json_number(record->run, "parameters"));
    if (isfinite(last_of(record, "time_s")))
        fari_page_key(html, "time", fari_time_text(last_of(record, "time_s"), text));
    if (isfinite(last_of(record, "train/samples_per_s")))
        fari_page_key(html, "samples a second", fari_rough_text(last_of(record, "train/samples_per_s"), text));
    if (isfinite(fari_json_number(record->run, "memory.peak_bytes")))
        fari_page_key(html, "memory at the peak",
                      fari_size_text(fari_json_number(record->run, "memory.peak_bytes"), text));
    fari_html_put(html, "</dl>\n");
}

static bool has_class_scores(const fari_table *table)
{
    for (int64_t i = 0; i < table->count; i++)
        if (strncmp(table->series[i].name, "eval/", 5) == 0 && strchr(table->series[i].name + 5, '/') != NULL)
            return true;
    return false;
}

static void say_count(fari_html *html, double value, const char *words)
{
    char text[FARI_SHORT_TEXT];
    if (!isfinite(value)) return;
    fari_html_text(html, fari_count_text((int64_t)value, text));
    fari_html_put(html, words);
}

/* What was trained on what, in a sentence. */
static void lead(fari_html *html, const fari_record *record)
{
    char model[128];
    const char *name = fari_json_string(record->run, "model"), *preset = fari_json_string(record->run, "preset"),
               *ending = fari_json_string(record->run, "ending"), *version = fari_json_string(record->run, "farandole");
    if (name == NULL) name = fari_record_setting(record, "model.name", model, sizeof model);
    if (name == NULL) return;
    fari_html_put(html, "<p class=\"mute\">A training of ");
    fari_html_text(html, name);
    if (preset != NULL && preset[0] != '\0') {
        fari_html_put(html, " ");
        fari_html_text(html, preset);
    }
    if (record->run != NULL) {
        fari_html_put(html, " on ");
        say_count(html, fari_json_number(record->run, "data.train"), " images of ");
        say_count(html, fari_json_number(record->run, "data.height"), " \xC3\x97 ");
        say_count(html, fari_json_number(record->run, "data.width"), " pixels, ");
        say_count(html, (double)json_array_size(fari_json_at(record->run, "data.classes")), " classes, in batches of ");
        say_count(html, fari_json_number(record->run, "batch"), ", on ");
        say_count(html, fari_json_number(record->run, "threads"), " threads");
    }
    if (version != NULL) {
        fari_html_put(html, "; farandole ");
        fari_html_text(html, version);
    }
    fari_html_put(html, ".</p>\n");
    if (ending == NULL || strcmp(ending, "done") == 0) return;
    fari_html_put(
        html, strcmp(ending, "stopped") == 0  ? "<p class=\"warn\">Stopped on request; it can be resumed.</p>\n"
              : strcmp(ending, "early") == 0  ? "<p>It ended early: its score got no better (train.patience).</p>\n"
              : strcmp(ending, "failed") == 0 ? "<p class=\"warn\">It ended with an error: see log.txt.</p>\n"
                                              : "<p class=\"warn\">Not over when this was written, or killed.</p>\n");
}

static bool has_samples(const fari_record *record)
{
    return json_array_size(fari_json_at(record->samples, "samples")) > 0;
}

static void contents(fari_html *html, const fari_record *record)
{
    fari_html_put(html, "<nav><a href=\"#curves\">Curves</a> ");
    if (has_class_scores(&record->table)) fari_html_put(html, "<a href=\"#classes\">Classes</a> ");
    if (has_samples(record)) fari_html_put(html, "<a href=\"#samples\">Samples</a> ");
    if (record->run != NULL)
        fari_html_put(html,
                      "<a href=\"#time\">Time</a> <a href=\"#memory\">Memory</a> <a href=\"#network\">Network</a> ");
    fari_html_put(html, "<a href=\"#config\">Configuration</a></nav>\n");
}

static void config_section(fari_html *html, const fari_record *record)
{
    fari_page_section(html, "config", "Configuration");
    if (record->config == NULL) {
        fari_html_put(html, "<p>There is no config.yaml.</p>\n");
        return;
    }
    fari_html_put(html, "<details><summary>config.yaml, complete</summary><pre>");
    fari_html_text(html, record->config);
    fari_html_put(html, "</pre></details>\n");
}

void fari_page_run(fari_html *html, const fari_record *record)
{
    fari_html_put(html, "<h1>");
    fari_html_text(html, record->name);
    fari_html_put(html, "</h1>\n");
    lead(html, record);
    fari_page_remarks(html, record);
    contents(html, record);
    key_figures(html, record);
    fari_page_section(html, "curves", "Curves");
    fari_page_curves(html, record, 1);
    if (has_class_scores(&record->table)) {
        fari_page_section(html, "classes", "Classes in the last evaluation");
        fari_page_scores(html, record);
    }
    if (has_samples(record)) {
        fari_page_section(html, "samples", "Samples");
        fari_page_samples(html, record);
    }
    if (record->run != NULL) {
        fari_page_section(html, "time", "Time");
        fari_page_time(html, record);
        fari_page_section(html, "memory", "Memory");
        fari_page_memory(html, record);
        fari_page_section(html, "network", "Network");
        fari_page_network(html, record);
    }
    config_section(html, record);
}
