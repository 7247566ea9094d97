#include "report/chart.h"
#include "base/status.h"
#include "report/axis.h"
#include <math.h>
#include <string.h>

/* The drawing's own units: at a phone's width one of them is a little less than a pixel. */
#define WIDTH 400
#define HEIGHT 230
#define LEFT 46
#define RIGHT 12
#define TOP 8
#define BOTTOM 32
#define LOG_SPAN 30.0

static const char *const dashes[FARI_STYLES] = { "", "7 3", "2 3", "9 3 2 3", "1 2 5 2", "14 4", "4 4", "9 2 2 2 2 2" };

/* Marks around (0, 0): disc, square, triangle, diamond, cross, plus, triangle on its tip, ring. */
static const char *const marks[FARI_STYLES] = {
    "M-3,0a3,3 0 1 0 6,0a3,3 0 1 0 -6,0z",
    "M-2.6,-2.6h5.2v5.2h-5.2z",
    "M0,-3.4L3.2,2.4H-3.2z",
    "M0,-3.8L3.2,0L0,3.8L-3.2,0z",
    "M-2.8,-2.8L2.8,2.8M-2.8,2.8L2.8,-2.8",
    "M-3.4,0H3.4M0,-3.4V3.4",
    "M0,3.4L3.2,-2.4H-3.2z",
    "M-3.4,0a3.4,3.4 0 1 0 6.8,0a3.4,3.4 0 1 0 -6.8,0zM-1,0h2",
};

static void stroke(fari_html *html, int32_t style)
{
    fari_html_add(html, "class=\"l s%d\"", (int)style);
    if (dashes[style][0] != '\0') fari_html_add(html, " stroke-dasharray=\"%s\"", dashes[style]);
}

static void mark(fari_html *html, int32_t style, double x, double y)
{
    fari_html_add(html, "<path class=\"m s%d\" transform=\"translate(", (int)style);
    fari_html_at(html, x);
    fari_html_put(html, ",");
    fari_html_at(html, y);
    fari_html_add(html, ")\" d=\"%s\"", marks[style]);
}

void fari_chart_swatch(fari_html *html, int32_t style, bool has_marks)
{
    fari_html_put(html, "<svg class=\"swatch\" viewBox=\"0 0 34 10\" aria-hidden=\"true\"><path ");
    stroke(html, style);
    fari_html_put(html, " d=\"M1,5H33\"/>");
    if (has_marks) {
        mark(html, style, 17, 5);
        fari_html_put(html, "/>");
    }
    fari_html_put(html, "</svg>");
}

static void point(fari_html *html, const char *command, double x, double y)
{
    fari_html_put(html, command);
    fari_html_at(html, x);
    fari_html_put(html, ",");
    fari_html_at(html, y);
}

static void text_at(fari_html *html, const char *anchor, double x, double y, const char *text)
{
    fari_html_put(html, "<text x=\"");
    fari_html_at(html, x);
    fari_html_put(html, "\" y=\"");
    fari_html_at(html, y);
    fari_html_add(html, "\" text-anchor=\"%s\">", anchor);
    fari_html_text(html, text);
    fari_html_put(html, "</text>");
}

/* Grid and labels. */
static void axes(fari_html *html, const fari_axis *x, const fari_axis *y, const char *x_label,
                 const char *(*y_text)(double value, char text_out[FARI_SHORT_TEXT]))
{
    char number[FARI_SHORT_TEXT];
    fari_html_put(html, "<path class=\"grid\" d=\"");
    for (int32_t i = 0; i < y->tick_count; i++) {
        point(html, "M", x->from, fari_axis_at(y, y->ticks[i]));
        fari_html_put(html, "H");
        fari_html_at(html, x->to);
    }
    for (int32_t i = 0; i < x->tick_count; i++) {
        point(html, "M", fari_axis_at(x, x->ticks[i]), y->from);
        fari_html_put(html, "v4");
    }
    fari_html_put(html, "\"/><path class=\"axis\" d=\"");
    point(html, "M", x->from, y->from);
    fari_html_put(html, "H");
    fari_html_at(html, x->to);
    fari_html_put(html, "\"/>");
    for (int32_t i = 0; i < y->tick_count; i++)
        text_at(html, "end", x->from - 5, fari_axis_at(y, y->ticks[i]) + 4, y_text(y->ticks[i], number));
    for (int32_t i = 0; i < x->tick_count; i++)
        text_at(html, "middle", fari_axis_at(x, x->ticks[i]), y->from + 15, fari_rough_text(x->ticks[i], number));
    if (x_label != NULL) text_at(html, "middle", (x->from + x->to) / 2, HEIGHT - 3, x_label);
}

static void figure_begin(fari_html *html, const char *title)
{
    fari_html_put(html, "<figure><figcaption>");
    fari_html_text(html, title);
    fari_html_put(html, "</figcaption>\n");
    fari_html_add(html, "<svg viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"", WIDTH, HEIGHT);
    fari_html_text(html, title);
    fari_html_put(html, "\">");
}

static void figure_end(fari_html *html, const char *note)
{
    if (note != NULL) {
        fari_html_put(html, "<p class=\"note\">");
        fari_html_text(html, note);
        fari_html_put(html, "</p>");
    }
    fari_html_put(html, "</figure>\n");
}

/* ---- lines ---- */

static const char *tick_text(double value, char text_out[FARI_SHORT_TEXT])
{
    return fabs(value) >= 1000.0 ? fari_rough_text(value, text_out) : fari_short_text(value, 4, text_out);
}

static void band(fari_html *html, const fari_line *line, const fari_axis *x, const fari_axis *y)
{
    const fari_series *s = line->series;
    if (!line->has_band || s->stride < 2) return;
    fari_html_add(html, "<path class=\"band s%d\" d=\"", (int)line->style);
    for (int64_t i = 0; i < s->count; i++)
        point(html, i == 0 ? "M" : "L", fari_axis_at(x, s->points[i].step), fari_axis_at(y, s->points[i].high));
    for (int64_t i = s->count - 1; i >= 0; i--)
        point(html, "L", fari_axis_at(x, s->points[i].step), fari_axis_at(y, s->points[i].low));
    fari_html_put(html, "z\"/>");
}

/* Marks of evaluations carry their figures: a pointer that rests on one shows them. */
static void line_marks(fari_html *html, const fari_line *line, const fari_axis *x, const fari_axis *y)
{
    char step[FARI_SHORT_TEXT], value[FARI_SHORT_TEXT];
    const fari_series *s = line->series;
    const int64_t every = s->count > 40 ? (s->count + 39) / 40 : 1;
    for (int64_t i = 0; i < s->count; i++) {
        if ((s->count - 1 - i) % every != 0) continue;
        const fari_point *p = &s->points[i];
        mark(html, line->style, fari_axis_at(x, p->step), fari_axis_at(y, p->value));
        fari_html_put(html, "><title>");
        fari_html_text(html, line->name);
        fari_html_add(html, ", step %s: %s</title></path>", fari_count_text((int64_t)p->step, step),
                      fari_short_text(p->value, 5, value));
    }
}

static void draw_line(fari_html *html, const fari_line *line, const fari_axis *x, const fari_axis *y)
{
    const fari_series *s = line->series;
    if (s->count > 1) {
        fari_html_put(html, "<path ");
        stroke(html, line->style);
        fari_html_put(html, " d=\"");
        for (int64_t i = 0; i < s->count; i++)
            point(html, i == 0 ? "M" : "L", fari_axis_at(x, s->points[i].step), fari_axis_at(y, s->points[i].value));
        fari_html_put(html, "\"/>");
    }
    if (line->has_marks || s->count == 1) line_marks(html, line, x, y);
}

static bool is_drawn(const fari_line *line)
{
    return line->series != NULL && line->series->count > 0;
}

/* Where the data reaches; the lowest one percent and the highest of a long noisy curve do not stretch the axis. */
static void ranges(const fari_chart *chart, fari_axis *x, fari_axis *y)
{
    fari_axis_begin(x);
    fari_axis_begin(y);
    fari_axis_take(x, 0.0);
    for (int32_t k = 0; k < chart->line_count; k++) {
        if (!is_drawn(&chart->lines[k])) continue;
        const fari_series *s = chart->lines[k].series;
        for (int64_t i = 0; i < s->count; i++) {
            const bool has_band = chart->lines[k].has_band;
            fari_axis_take(x, s->points[i].step);
            fari_axis_take(y, has_band ? s->points[i].low : s->points[i].value);
            fari_axis_take(y, has_band ? s->points[i].high : s->points[i].value);
        }
    }
    y->is_log = chart->is_log_wanted && y->low > 0.0 && y->high / y->low > LOG_SPAN;
    if (chart->is_zero_based && !y->is_log) fari_axis_take(y, 0.0);
    x->from = LEFT;
    x->to = WIDTH - RIGHT;
    y->from = HEIGHT - BOTTOM;
    y->to = TOP;
    fari_axis_finish(x, 5, true);
    fari_axis_finish(y, 5, false);
}

static void legend(fari_html *html, const fari_chart *chart)
{
    fari_html_put(html, "<ul class=\"legend\">");
    for (int32_t i = 0; i < chart->line_count; i++) {
        if (!is_drawn(&chart->lines[i])) continue;
        fari_html_put(html, "<li>");
        fari_chart_swatch(html, chart->lines[i].style, chart->lines[i].has_marks || chart->lines[i].series->count == 1);
        fari_html_text(html, chart->lines[i].name);
        fari_html_put(html, "</li>");
    }
    fari_html_put(html, "</ul>");
}

void fari_chart_write(fari_html *html, const fari_chart *chart)
{
    fari_axis x, y;
    int32_t drawn = 0;
    for (int32_t i = 0; i < chart->line_count; i++) drawn += is_drawn(&chart->lines[i]);
    if (drawn == 0) return;
    ranges(chart, &x, &y);
    figure_begin(html, chart->title);
    axes(html, &x, &y, chart->x_label, tick_text);
    for (int32_t i = 0; i < chart->line_count; i++)
        if (is_drawn(&chart->lines[i])) band(html, &chart->lines[i], &x, &y);
    for (int32_t i = 0; i < chart->line_count; i++)
        if (is_drawn(&chart->lines[i])) draw_line(html, &chart->lines[i], &x, &y);
    fari_html_put(html, "</svg>");
    legend(html, chart);
    figure_end(html, y.is_log && chart->note == NULL ? "logarithmic scale" : chart->note);
}

/* ---- layers ---- */

static void layer_path(fari_html *html, const double *top, const double *bottom, int64_t count, int32_t shade,
                       const fari_axis *x, const fari_axis *y)
{
    fari_html_add(html, "<path class=\"layer a%d\" d=\"", (int)shade);
    for (int64_t i = 0; i < count; i++) {
        point(html, i == 0 ? "M" : "L", fari_axis_at(x, (double)i), fari_axis_at(y, top[i]));
        fari_html_put(html, "H");
        fari_html_at(html, fari_axis_at(x, (double)(i + 1)));
    }
    for (int64_t i = count - 1; i >= 0; i--) {
        point(html, "L", fari_axis_at(x, (double)(i + 1)), fari_axis_at(y, bottom[i]));
        fari_html_put(html, "H");
        fari_html_at(html, fari_axis_at(x, (double)i));
    }
    fari_html_put(html, "z\"/>");
}

static void split_line(fari_html *html, const fari_stack *stack, const fari_axis *x, const fari_axis *y)
{
    if (stack->split < 0.0) return;
    const double at = x->from + stack->split * (x->to - x->from);
    fari_html_put(html, "<path class=\"split\" d=\"");
    point(html, "M", at, y->from);
    fari_html_put(html, "V");
    fari_html_at(html, y->to);
    fari_html_put(html, "\"/>");
    text_at(html, "middle", (x->from + at) / 2, y->from + 15, stack->split_names[0]);
    text_at(html, "middle", (at + x->to) / 2, y->from + 15, stack->split_names[1]);
}

void fari_stack_write(fari_html *html, const fari_stack *stack)
{
    double low[FARI_POINTS_MAX] = { 0.0 }, high[FARI_POINTS_MAX];
    fari_axis x, y;
    const int64_t count = stack->count < FARI_POINTS_MAX ? stack->count : FARI_POINTS_MAX;
    if (count < 1 || stack->layer_count < 1) return;
    fari_axis_begin(&y);
    fari_axis_take(&y, 0.0);
    for (int64_t i = 0; i < count; i++) {
        double sum = 0.0;
        for (int32_t k = 0; k < stack->layer_count; k++) sum += stack->layers[k].values[i];
        fari_axis_take(&y, sum);
    }
    x = (fari_axis){ .low = 0.0, .high = (double)count, .from = LEFT + 12, .to = WIDTH - RIGHT };
    y.from = HEIGHT - BOTTOM;
    y.to = TOP;
    fari_axis_finish(&y, 5, false);
    figure_begin(html, stack->title);
    for (int32_t k = 0; k < stack->layer_count; k++) {
        for (int64_t i = 0; i < count; i++) high[i] = low[i] + stack->layers[k].values[i];
        layer_path(html, high, low, count, k, &x, &y);
        memcpy(low, high, sizeof low);
    }
    axes(html, &x, &y, stack->x_label, stack->text);
    split_line(html, stack, &x, &y);
    fari_html_put(html, "</svg><ul class=\"legend\">");
    for (int32_t k = stack->layer_count - 1; k >= 0; k--) {
        fari_html_add(html,
                      "<li><svg class=\"swatch\" viewBox=\"0 0 34 10\" aria-hidden=\"true\"><path class=\"layer a%d\" "
                      "d=\"M9,0H25V10H9z\"/></svg>",
                      (int)k);
        fari_html_text(html, stack->layers[k].name);
        fari_html_put(html, "</li>");
    }
    fari_html_put(html, "</ul>");
    figure_end(html, stack->note);
}

/* ---- bars ---- */

void fari_bars_write(fari_html *html, const char *name_head, const char *value_head, const fari_bar *bars,
                     int32_t count, double full)
{
    if (count < 1) return;
    fari_html_put(html, "<table class=\"bars\"><thead><tr><th>");
    fari_html_text(html, name_head);
    fari_html_put(html, "</th><th colspan=\"2\">");
    fari_html_text(html, value_head);
    fari_html_put(html, "</th></tr></thead><tbody>\n");
    for (int32_t i = 0; i < count; i++) {
        const double share = full > 0.0 && isfinite(bars[i].value) ? fmin(fmax(bars[i].value / full, 0.0), 1.0) : 0.0;
        fari_html_put(html, "<tr><td>");
        fari_html_text(html, bars[i].name);
        fari_html_put(html, "</td><td class=\"track\"><span class=\"bar\" style=\"width:");
        fari_html_at(html, 100.0 * share);
        fari_html_put(html, "%\"></span></td><td class=\"n\">");
        fari_html_text(html, bars[i].text);
        fari_html_put(html, "</td></tr>\n");
    }
    fari_html_put(html, "</tbody></table>\n");
}
