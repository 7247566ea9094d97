/**
 * @file farandole/report.h
 * A run as a page to look at: one HTML file with curves, scores, pictures, time and memory. It needs no network, no script and no
 * other file. Made from what a run's folder holds (docs/run-folder.md); what is not there, or is damaged, is left out and said.
 * Threads     distinct reports are independent; far_report_write may be called from any thread.
 * Collective  no call communicates.
 */
#ifndef FAR_REPORT_H
#define FAR_REPORT_H
#include <farandole/status.h>
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif

/** Most runs that one report compares: curves of more could not be told apart in grey. */
#define FAR_REPORT_RUNS_MAX 8

/**
 * Writes the report of one run, or one that compares several.
 * @param folders  [run_count] folders of runs, with a metrics.jsonl each.
 * @param path     the file, there completely or not at all; NULL: report.html in the folder of the one run.
 * @return FAR_OK, FAR_E_ARG (run_count outside [1, FAR_REPORT_RUNS_MAX], or several runs and no path), FAR_E_NOTFOUND (no folder of a
 *         run), FAR_E_IO, FAR_E_NOMEM.
 */
FAR_API far_status far_report_write(const char *const *folders, int32_t run_count, const char *path);

#ifdef __cplusplus
}
#endif
#endif /* FAR_REPORT_H */
