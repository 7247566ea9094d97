/* The columns of metrics.jsonl, thinned as they are read: however long a training was, a curve keeps some hundred points. */
#ifndef FARI_REPORT_SERIES_H
#define FARI_REPORT_SERIES_H
#include <farandole/status.h>
#include <stdbool.h>
#include <stdint.h>

/* One or several neighbouring lines of the file. */
typedef struct fari_point {
    double step;  /* of the last of them */
    double value; /* mean */
    double low, high;
    int64_t count;
} fari_point;

#define FARI_POINTS_MAX 1024

typedef struct fari_series {
    char *name; /* "train/loss" */
    fari_point *points;
    int64_t count, cap;
    int64_t stride; /* lines merged in a full point */
    double last;    /* the newest value, unmerged */
    double first_step, last_step;
    int64_t nonfinite_count; /* lines in which it was no number */
} fari_series;

typedef struct fari_table {
    fari_series *series; /* in the order of their first appearance */
    int64_t count, cap;
    int64_t lines, damaged_lines;
    bool is_torn; /* the last line has no end */
} fari_table;

/* Reads a metrics.jsonl line by line. Damaged lines are counted and skipped; a missing file gives an empty table. FAR_E_IO, FAR_E_NOMEM. */
far_status fari_table_read(const char *path, fari_table *table_out);
void fari_table_free(fari_table *table);
const fari_series *fari_table_find(const fari_table *table, const char *name); /* NULL: there is none */
#endif
