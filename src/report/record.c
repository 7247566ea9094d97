#include "report/record.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/status.h"
#include <math.h>
#include <stdarg.h>
#include <string.h>

#define CONFIG_BYTES_MAX (INT64_C(4) << 20)
#define JSON_BYTES_MAX (INT64_C(64) << 20)
#define KEY_BYTES 256

static far_status remark(fari_record *record, const char *text)
{
    if (record->remark_count == FARI_REMARKS_MAX) return FAR_OK;
    record->remarks[record->remark_count] = fari_strdup(text);
    if (record->remarks[record->remark_count] == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory to read a run");
    record->remark_count++;
    return FAR_OK;
}

/* What the thread's last error says becomes a remark; only lack of memory ends the reading. */
static far_status excuse(fari_record *record, far_status st)
{
    if (st == FAR_OK || st == FAR_E_NOMEM) return st;
    if (st != FAR_E_NOTFOUND) st = remark(record, far_error_message());
    else st = FAR_OK;
    far_error_clear();
    return st;
}

static far_status read_config(fari_record *record)
{
    size_t bytes = 0;
    char *path = fari_path_join(record->folder, "config.yaml");
    if (path == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory for a path");
    const far_status st = fari_file_read(path, CONFIG_BYTES_MAX, &record->config, &bytes);
    fari_free(path);
    return excuse(record, st);
}

static far_status read_json(fari_record *record, const char *name, json_t **root_out)
{
    char *path = fari_path_join(record->folder, name), *data = NULL;
    size_t bytes = 0;
    if (path == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory for a path");
    far_status st = fari_file_read(path, JSON_BYTES_MAX, &data, &bytes);
    if (st == FAR_OK) st = fari_json_parse(path, 0, data, bytes, root_out);
    fari_free(data);
    fari_free(path);
    return excuse(record, st);
}

static far_status read_metrics(fari_record *record)
{
    char text[160];
    char *path = fari_path_join(record->folder, "metrics.jsonl");
    if (path == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory for a path");
    const far_status st = fari_table_read(path, &record->table);
    fari_free(path);
    FAR_TRY(excuse(record, st));
    const fari_table *table = &record->table;
    if (table->lines == 0) FAR_TRY(remark(record, "metrics.jsonl has no lines yet"));
    if (table->damaged_lines > 0) {
        (void)snprintf(text, sizeof text, "%lld lines of metrics.jsonl are damaged and were left out",
                       (long long)table->damaged_lines);
        FAR_TRY(remark(record, text));
    }
    if (table->is_torn) FAR_TRY(remark(record, "the last line of metrics.jsonl is not complete and was left out"));
    return FAR_OK;
}

far_status fari_record_open(const char *folder, fari_record *record_out)
{
    fari_record record = { 0 };
    far_status st = FAR_OK;
    if (!fari_path_is_folder(folder)) return FAR_FAIL(FAR_E_NOTFOUND, "%s: no such folder of a run", folder);
    record.folder = fari_strdup(folder);
    if (record.folder == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory to read a run");
    for (size_t end = strlen(record.folder); end > 1 && record.folder[end - 1] == '/'; end--)
        record.folder[end - 1] = '\0';
    const char *slash = strrchr(record.folder, '/');
    record.name = slash != NULL && slash[1] != '\0' ? slash + 1 : record.folder;
    FAR_TRY_GOTO(read_metrics(&record), failed);
    FAR_TRY_GOTO(read_config(&record), failed);
    FAR_TRY_GOTO(read_json(&record, "run.json", &record.run), failed);
    FAR_TRY_GOTO(read_json(&record, "profile.json", &record.profile), failed);
    FAR_TRY_GOTO(read_json(&record, "samples/index.json", &record.samples), failed);
    *record_out = record;
    return FAR_OK;
failed:
    fari_record_close(&record);
    return st;
}

void fari_record_close(fari_record *record)
{
    fari_table_free(&record->table);
    fari_free(record->folder);
    fari_free(record->config);
    json_decref(record->run);
    json_decref(record->profile);
    json_decref(record->samples);
    for (int32_t i = 0; i < record->remark_count; i++) fari_free(record->remarks[i]);
    *record = (fari_record){ 0 };
}

const json_t *fari_json_at(const json_t *root, const char *path)
{
    char key[KEY_BYTES];
    const json_t *at = root;
    while (at != NULL) {
        const char *dot = strchr(path, '.');
        const size_t length = dot != NULL ? (size_t)(dot - path) : strlen(path);
        if (length >= sizeof key) return NULL;
        memcpy(key, path, length);
        key[length] = '\0';
        at = json_object_get(at, key);
        if (dot == NULL) break;
        path = dot + 1;
    }
    return at;
}

double fari_json_number(const json_t *root, const char *path)
{
    const json_t *at = fari_json_at(root, path);
    return json_is_number(at) ? json_number_value(at) : (double)NAN;
}

const char *fari_json_string(const json_t *root, const char *path)
{
    const json_t *at = fari_json_at(root, path);
    return json_is_string(at) ? json_string_value(at) : NULL;
}

/* ---- settings ---- */

/* far_config_dump gives a key a line, groups indented by two; a value is the rest of its line. */
void fari_settings_each(const char *yaml, fari_setting_fn fn, void *context)
{
    char key[KEY_BYTES], value[4096];
    size_t starts[16] = { 0 }; /* where the key of a depth begins in `key` */
    for (const char *line = yaml; line != NULL && *line != '\0';) {
        const char *end = strchr(line, '\n');
        const size_t length = end != NULL ? (size_t)(end - line) : strlen(line);
        const size_t blanks = strspn(line, " "), depth = blanks / 2;
        const char *name = line + blanks;
        const char *colon = blanks < length ? memchr(name, ':', length - blanks) : NULL;
        if (colon != NULL && *name != '#' && *name != '-' && depth < FAR_COUNT(starts) - 1) {
            const size_t name_bytes = (size_t)(colon - name), at = starts[depth];
            const size_t rest = length - (size_t)(colon - line) - 1;
            if (at + name_bytes + 2 < sizeof key) {
                memcpy(key + at, name, name_bytes);
                key[at + name_bytes] = '\0';
                if (rest == 0) {
                    key[at + name_bytes] = '.';
                    starts[depth + 1] = at + name_bytes + 1;
                } else {
                    const size_t skip = strspn(colon + 1, " ");
                    (void)snprintf(value, sizeof value, "%.*s", (int)(rest > skip ? rest - skip : 0), colon + 1 + skip);
                    fn(context, key, value);
                }
            }
        }
        line = end != NULL ? end + 1 : NULL;
    }
}

typedef struct wanted {
    const char *key;
    char *text;
    size_t bytes;
    bool is_found;
} wanted;

static void look(void *context, const char *key, const char *value)
{
    wanted *want = context;
    if (strcmp(key, want->key) != 0) return;
    (void)snprintf(want->text, want->bytes, "%s", value);
    want->is_found = true;
}

const char *fari_record_setting(const fari_record *record, const char *key, char *text_out, size_t bytes)
{
    wanted want = { .key = key, .text = text_out, .bytes = bytes };
    if (record->config != NULL) fari_settings_each(record->config, look, &want);
    return want.is_found ? text_out : NULL;
}
