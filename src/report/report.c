/* The public side: folders in, one file out. */
#include "base/file.h"
#include "base/mem.h"
#include "base/status.h"
#include "report/page.h"
#include <farandole/report.h>
#include <string.h>
#include <unistd.h>

static far_status write_page(const fari_record *records, int32_t count, const char *path)
{
    fari_html html;
    char title[256];
    FAR_TRY(fari_html_open(path, &html));
    if (count == 1) (void)snprintf(title, sizeof title, "%s \xE2\x80\x93 farandole", records[0].name);
    else (void)snprintf(title, sizeof title, "%d runs compared \xE2\x80\x93 farandole", (int)count);
    fari_page_begin(&html, title);
    if (count == 1) fari_page_run(&html, &records[0]);
    else fari_page_compare(&html, records, count);
    fari_page_end(&html);
    return fari_html_close(&html);
}

/* Under another name first: a report that is looked at meanwhile stays whole. */
static far_status write_file(const fari_record *records, int32_t count, const char *path)
{
    char *temporary = fari_printf("%s.tmp%ld", path, (long)getpid());
    if (temporary == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory for a path");
    far_status st = write_page(records, count, temporary);
    if (st == FAR_OK) st = fari_rename(temporary, path);
    if (st != FAR_OK) (void)unlink(temporary);
    fari_free(temporary);
    return st;
}

far_status far_report_write(const char *const *folders, int32_t run_count, const char *path)
{
    fari_record records[FAR_REPORT_RUNS_MAX] = { 0 };
    char *own_path = NULL;
    int32_t opened = 0;
    far_status st = FAR_OK;
    if (run_count < 1 || run_count > FAR_REPORT_RUNS_MAX)
        return FAR_FAIL(FAR_E_ARG, "a report of %d runs: from 1 to %d can be told apart", (int)run_count,
                        FAR_REPORT_RUNS_MAX);
    if (path == NULL && run_count > 1)
        return FAR_FAIL(FAR_E_ARG, "a report of several runs needs a path: it belongs to none of them");
    if (path == NULL) {
        own_path = fari_path_join(folders[0], "report.html");
        if (own_path == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory for a path");
    }
    for (; opened < run_count; opened++) FAR_TRY_GOTO(fari_record_open(folders[opened], &records[opened]), done);
    FAR_TRY_GOTO(write_file(records, run_count, path != NULL ? path : own_path), done);
done:
    for (int32_t i = 0; i < opened; i++) fari_record_close(&records[i]);
    fari_free(own_path);
    return st;
}
