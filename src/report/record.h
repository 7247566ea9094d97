/* What a report is made of: a run's folder as it is found, damaged or not. */
#ifndef FARI_REPORT_RECORD_H
#define FARI_REPORT_RECORD_H
#include "report/series.h"
#include <jansson.h>

#define FARI_REMARKS_MAX 8

typedef struct fari_record {
    char *folder;
    const char *name;                /* the folder's own name: the end of `folder` */
    fari_table table;                /* metrics.jsonl */
    char *config;                    /* config.yaml; NULL: not there */
    json_t *run;                     /* run.json; NULL: not there */
    json_t *profile;                 /* profile.json */
    json_t *samples;                 /* samples/index.json */
    char *remarks[FARI_REMARKS_MAX]; /* what could not be read, for the reader of the page */
    int32_t remark_count;
} fari_record;

/* FAR_E_NOTFOUND where there is no such folder; FAR_E_NOMEM. Files that are missing or damaged are remarks. */
far_status fari_record_open(const char *folder, fari_record *record_out);
void fari_record_close(fari_record *record);

/* Members of the JSON files, for files that may be anything: the value, or what stands for "not there". */
const json_t *fari_json_at(const json_t *root, const char *path);   /* "memory.planned_bytes"; NULL */
double fari_json_number(const json_t *root, const char *path);      /* NaN */
const char *fari_json_string(const json_t *root, const char *path); /* NULL */

/* One value of config.yaml as it is written there, "optim.lr"; copied into text_out (at most `bytes`), which is returned; NULL: not there. */
const char *fari_record_setting(const fari_record *record, const char *key, char *text_out, size_t bytes);

/* Calls fn for each setting of a configuration as far_config_dump writes it. */
typedef void (*fari_setting_fn)(void *context, const char *key, const char *value);
void fari_settings_each(const char *yaml, fari_setting_fn fn, void *context);
#endif
