/* The parts of a report. */
#ifndef FARI_REPORT_PAGE_H
#define FARI_REPORT_PAGE_H
#include "report/html.h"
#include "report/record.h"

extern const char *const fari_report_style[]; /* style.c; NULL after the last */

void fari_page_begin(fari_html *html, const char *title);
void fari_page_end(fari_html *html);
void fari_page_section(fari_html *html, const char *id, const char *title);
/* One figure in the list of key figures. */
void fari_page_key(fari_html *html, const char *name, const char *value);
void fari_page_remarks(fari_html *html, const fari_record *record);

/* curves.c: one run, or several on top of each other */
void fari_page_curves(fari_html *html, const fari_record *records, int32_t count);
/* Scores of the last evaluation, those of classes as bars. */
void fari_page_scores(fari_html *html, const fari_record *record);
/* samples.c */
void fari_page_samples(fari_html *html, const fari_record *record);
/* The class's name where the run knows one, else its number. */
const char *fari_class_text(const fari_record *record, int64_t class_idx, char text_out[96]);
/* facts.c: from run.json and profile.json */
void fari_page_time(fari_html *html, const fari_record *record);
void fari_page_memory(fari_html *html, const fari_record *record);
void fari_page_network(fari_html *html, const fari_record *record);
/* page_run.c, page_compare.c: the body of a report */
void fari_page_run(fari_html *html, const fari_record *record);
void fari_page_compare(fari_html *html, const fari_record *records, int32_t count);
#endif
