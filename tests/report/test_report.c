/* The report's parts: thinned series, axes, settings; and that lack of memory ends it cleanly. */
#include "base/file.h"
#include "base/mem.h"
#include "report/axis.h"
#include "report/html.h"
#include "report/record.h"
#include "report/series.h"
#include "support/temp_folder.h"
#include "test.h"
#include <farandole/report.h>
#include <unistd.h>

static char folder[600];

static const char *in_folder(const char *name, char path_out[700])
{
    (void)snprintf(path_out, 700, "%s/%s", folder, name);
    return path_out;
}

static void new_folder(void)
{
    (void)snprintf(folder, sizeof folder, "%s", test_path(""));
}

static void write_file(const char *name, const char *text)
{
    char path[700];
    FAR_CHECK_OK(fari_file_write_atomic(in_folder(name, path), text, strlen(text)));
}

/* Every line is in exactly one point, whatever the thinning: counts, means, extremes. */
FAR_TEST(thinning_loses_nothing)
{
    static const int64_t lengths[] = { 1, 1023, 1024, 1025, 2049, 5000, 10001 };
    char path[700];
    new_folder();
    for (size_t n = 0; n < FAR_COUNT(lengths); n++) {
        fari_text text = { 0 };
        fari_table table;
        double sum = 0.0, want = 0.0;
        int64_t lines = 0;
        for (int64_t i = 1; i <= lengths[n]; i++) {
            const int64_t value = i * 7919 % 1000;
            fari_text_add(&text, "{\"step\": %" PRId64 ", \"x\": %" PRId64 "}\n", i, value);
            want += (double)value;
        }
        write_file("metrics.jsonl", text.data);
        FAR_CHECK_OK(fari_table_read(in_folder("metrics.jsonl", path), &table));
        const fari_series *x = fari_table_find(&table, "x");
        FAR_CHECK(x != NULL && fari_table_find(&table, "y") == NULL && fari_table_find(&table, "step") == NULL);
        FAR_CHECK(x->count <= FARI_POINTS_MAX && x->first_step == 1.0 && x->last_step == (double)lengths[n]);
        for (int64_t i = 0; i < x->count; i++) {
            const fari_point *p = &x->points[i];
            lines += p->count;
            sum += p->value * (double)p->count;
            FAR_CHECK_MSG(p->count == x->stride || i == x->count - 1, "point %d of %d lines has %d, not %d", (int)i,
                          (int)lengths[n], (int)p->count, (int)x->stride);
            FAR_CHECK(p->low <= p->value + 1e-9 && p->value <= p->high + 1e-9);
            FAR_CHECK(p->step == (double)lines);
        }
        FAR_CHECK_EQ_I64(lines, lengths[n]);
        FAR_CHECK_NEAR(sum, want, 1e-6 * want);
        fari_table_free(&table);
        fari_text_free(&text);
    }
}

FAR_TEST(axes_have_round_numbers)
{
    static const struct {
        double low, high;
        bool is_log, is_log_after;
        double first, last; /* ticks */
    } cases[] = {
        { 0.0, 1.0, false, false, 0.0, 1.0 },           { 0.13, 2.31, false, false, 0.0, 2.5 },
        { -3.0, 7.0, false, false, -4.0, 8.0 },         { 5.0, 5.0, false, false, 4.4, 5.6 },
        { 0.0, 0.0, false, false, 0.0, 1.0 },           { 1e-8, 3e-8, false, false, 1e-8, 3e-8 },
        { 1e-4, 10.0, true, true, 1e-4, 10.0 },         { 0.0, 10.0, true, false, 0.0, 10.0 },
        { -1e300, 1e300, false, false, -1e300, 1e300 },
    };
    for (size_t i = 0; i < FAR_COUNT(cases); i++) {
        fari_axis axis;
        fari_axis_begin(&axis);
        fari_axis_take(&axis, cases[i].low);
        fari_axis_take(&axis, cases[i].high);
        fari_axis_take(&axis, NAN);
        axis.is_log = cases[i].is_log;
        axis.from = 100.0;
        axis.to = 200.0;
        fari_axis_finish(&axis, 5, false);
        FAR_CHECK_MSG(axis.tick_count >= 2 && axis.tick_count <= 12, "case %d: %d ticks", (int)i, (int)axis.tick_count);
        FAR_CHECK(axis.is_log == cases[i].is_log_after);
        FAR_CHECK_NEAR(axis.ticks[0], cases[i].first, 1e-9 * fabs(cases[i].first));
        FAR_CHECK_NEAR(axis.ticks[axis.tick_count - 1], cases[i].last, 1e-9 * fabs(cases[i].last));
        for (int32_t k = 0; k < axis.tick_count; k++) {
            const double at = fari_axis_at(&axis, axis.ticks[k]);
            FAR_CHECK_MSG(at >= 99.9 && at <= 200.1, "case %d: tick %g lies at %g", (int)i, axis.ticks[k], at);
        }
    }
}

typedef struct found {
    char text[512];
} found;

static void keep(void *context, const char *key, const char *value)
{
    found *all = context;
    const size_t used = strlen(all->text);
    (void)snprintf(all->text + used, sizeof all->text - used, "%s=%s;", key, value);
}

FAR_TEST(settings_of_nested_yaml)
{
    found all = { "" };
    fari_settings_each("a: 1\nb:\n  c: x: y\n  d:\n    e: [1, 2]\n  f: \"\"\n# g: 1\nh: 2\n- i: 3\nj", keep, &all);
    FAR_CHECK_STR(all.text, "a=1;b.c=x: y;b.d.e=[1, 2];b.f=\"\";h=2;");
    char deep[2000] = "", *at = deep;
    for (int i = 0; i < 40; i++) at += snprintf(at, (size_t)(deep + sizeof deep - at), "%*sk:\n", 2 * i, "");
    fari_settings_each(deep, keep, &all); /* too deep: left out, not written past the end */
}

FAR_TEST(numbers_for_people)
{
    char text[FARI_SHORT_TEXT];
    FAR_CHECK_STR(fari_count_text(1234567, text), "1,234,567");
    FAR_CHECK_STR(fari_count_text(-100, text), "-100");
    FAR_CHECK_STR(fari_count_text(INT64_MIN, text), "-9,223,372,036,854,775,808");
    FAR_CHECK_STR(fari_size_text(999.0, text), "999 B");
    FAR_CHECK_STR(fari_size_text(1234567.0, text), "1.23 MB");
    FAR_CHECK_STR(fari_time_text(0.00123, text), "1.23 ms");
    FAR_CHECK_STR(fari_time_text(185.4, text), "3 min 05 s");
    FAR_CHECK_STR(fari_time_text(7260.0, text), "2 h 01 min");
    FAR_CHECK_STR(fari_time_text(NAN, text), "nan");
    FAR_CHECK_STR(fari_rough_text(15900.0, text), "15.9k");
    FAR_CHECK_STR(fari_short_text(0.000123456, 3, text), "0.000123");
}

FAR_TEST(lack_of_memory_ends_cleanly)
{
    char path[700];
    far_status st = FAR_E_NOMEM;
    int64_t nth = 0;
    const char *const folders[] = { folder, folder };
    new_folder();
    write_file("metrics.jsonl",
               "{\"step\": 1, \"train/loss\": 1.5, \"eval/iou/a\": 0.5}\n{\"step\": 2, \"train/loss\": 1}\n");
    write_file("config.yaml", "seed: 1\nmodel:\n  name: lenet5\n");
    FAR_CHECK_OK(far_report_write(folders, 2, in_folder("both.html", path))); /* libraries warm up */
    const int64_t live = fari_alloc_live();
    for (; st == FAR_E_NOMEM && nth < 1000; nth++) {
        fari_alloc_fail_after(nth);
        st = far_report_write(folders, 2, in_folder("again.html", path));
        fari_alloc_fail_after(-1);
        FAR_CHECK_MSG(fari_alloc_live() == live, "allocation %d: %d blocks leaked", (int)nth,
                      (int)(fari_alloc_live() - live));
    }
    FAR_CHECK_OK(st);
    FAR_CHECK(nth > 20);
    FAR_CHECK_STATUS(far_report_write(folders, 0, path), FAR_E_ARG);
    FAR_CHECK_STATUS(far_report_write(folders, 9, path), FAR_E_ARG);
    FAR_CHECK_STATUS(far_report_write(folders, 2, NULL), FAR_E_ARG);
    FAR_CHECK_OK(fari_remove_tree(folder));
}
