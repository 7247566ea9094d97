/* Drawings in SVG that read without colours: lines differ in dashes and marks, areas in brightness. */
#ifndef FARI_REPORT_CHART_H
#define FARI_REPORT_CHART_H
#include "report/html.h"
#include "report/series.h"

#define FARI_STYLES 8 /* kinds of line that can be told apart */

typedef struct fari_line {
    const char *name;
    const fari_series *series;
    int32_t style;  /* in [0, FARI_STYLES) */
    bool has_marks; /* a mark at each point: evaluations */
    bool has_band;  /* from the lowest to the highest value where points were merged */
} fari_line;

typedef struct fari_chart {
    const char *title;
    const char *note; /* below; NULL: none */
    const char *x_label;
    const fari_line *lines;
    int32_t line_count;
    bool is_zero_based; /* the axis begins at 0 */
    bool is_log_wanted; /* logarithmic where values span more than a factor of 30 */
} fari_chart;

/* A figure with its legend; nothing where no line has points. */
void fari_chart_write(fari_html *html, const fari_chart *chart);
/* A short piece of line with its mark, for legends and tables. */
void fari_chart_swatch(fari_html *html, int32_t style, bool has_marks);

/* ---- layers on top of each other over a common axis ---- */
typedef struct fari_layer {
    const char *name;
    const double *values; /* [count] */
} fari_layer;
typedef struct fari_stack {
    const char *title, *note, *x_label;
    const fari_layer *layers; /* from the bottom up */
    int32_t layer_count;
    int64_t count; /* of places along the axis */
    double split;  /* where a second phase begins, as a share of the axis; negative: nowhere */
    const char *split_names[2];
    const char *(*text)(double value, char text_out[FARI_SHORT_TEXT]);
} fari_stack;
void fari_stack_write(fari_html *html, const fari_stack *stack);

/* ---- bars ---- */
typedef struct fari_bar {
    const char *name;
    double value;
    const char *text; /* at the bar's end */
} fari_bar;
/* Horizontal bars from 0 to `full`; markup of a table, so that it reads without style sheets too. */
void fari_bars_write(fari_html *html, const char *name_head, const char *value_head, const fari_bar *bars,
                     int32_t count, double full);
#endif
