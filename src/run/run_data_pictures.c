/* Pictures as training and test sets: data.path is a folder or an archive, with folders of classes, or with images and label maps. */
#include "base/file.h"
#include "base/mem.h"
#include "run/run_priv.h"
#include <farandole/pictures.h>
#include <string.h>

#define VALUES_MAX 1024

/* What the configuration says, with room for its lists. */
typedef struct settings {
    far_pictures_opts opts;
    int32_t values[VALUES_MAX], ignored[VALUES_MAX];
    const char *names[VALUES_MAX];
} settings;

bool run_data_is_pictures(const far_config *config)
{
    const char *kind = far_config_text(config, "data.kind"), *images = far_config_text(config, "data.images"),
               *path = far_config_text(config, "data.path");
    if (strcmp(kind, "auto") != 0) return strcmp(kind, "images") == 0 || strcmp(kind, "segmentation") == 0;
    if (images[0] != '\0') return strchr(images, '*') != NULL;
    if (!fari_path_exists(path)) return false;
    return !fari_path_is_folder(path) || far_pictures_kind_of(path) != FAR_PICTURES_NONE;
}

static bool is_segmentation(const far_config *config)
{
    const char *kind = far_config_text(config, "data.kind");
    if (strcmp(kind, "auto") != 0) return strcmp(kind, "segmentation") == 0;
    return far_config_text(config, "data.images")[0] != '\0' ||
           far_pictures_kind_of(far_config_text(config, "data.path")) == FAR_PICTURES_LABEL_MAPS;
}

/* "#ff0080" as 0xff0080, or a whole number. */
static far_status value_of(const far_config *config, const char *key, const char *text, int32_t *value_out)
{
    char *end = NULL;
    const bool is_colour = text[0] == '#';
    const long value = strtol(is_colour ? text + 1 : text, &end, is_colour ? 16 : 10);
    if (end == text || *end != '\0' || value < 0 || value > 0xFFFFFF || (is_colour && strlen(text) != 7))
        return far_config_fail(config, key, "%s is neither a colour as #ff0080 nor a number from 0 on", text);
    *value_out = (int32_t)value;
    return FAR_OK;
}

/* Texts of a list as values; their number. */
static far_status values_of(const far_config *config, const char *key, int32_t *values_out, int32_t *count_out)
{
    const int64_t count = far_config_list_count(config, key);
    if (count > VALUES_MAX) return far_config_fail(config, key, "at most %d values", VALUES_MAX);
    for (int64_t i = 0; i < count; i++)
        FAR_TRY(value_of(config, key, far_config_list_text(config, key, i), &values_out[i]));
    *count_out = (int32_t)count;
    return FAR_OK;
}

static far_status read_settings(const far_config *config, settings *s)
{
    far_pictures_opts *opts = &s->opts;
    opts->channels = (int32_t)far_config_i64(config, "data.channels");
    opts->class_count = (int32_t)far_config_i64(config, "data.classes");
    opts->keep_broken =
        strcmp(far_config_text(config, "data.on_error"), "skip") == 0; /* left out with those that break later */
    opts->labels_are_instances = strcmp(far_config_text(config, "data.labels_as"), "instances") == 0;
    opts->boundary = (int32_t)far_config_i64(config, "data.boundary");
    FAR_TRY(values_of(config, "data.label_values", s->values, &opts->value_count));
    FAR_TRY(values_of(config, "data.ignore", s->ignored, &opts->ignored_count));
    opts->values = s->values;
    opts->ignored = s->ignored;
    opts->values_are_colours = opts->value_count > 0 && far_config_list_text(config, "data.label_values", 0)[0] == '#';
    opts->class_name_count = (int32_t)far_config_list_count(config, "data.class_names");
    if (opts->class_name_count > VALUES_MAX)
        return far_config_fail(config, "data.class_names", "at most %d names", VALUES_MAX);
    for (int32_t i = 0; i < opts->class_name_count; i++)
        s->names[i] = far_config_list_text(config, "data.class_names", i);
    if (opts->class_name_count > 0) opts->class_names = s->names;
    return FAR_OK;
}

static const char *or_null(const char *text)
{
    return text[0] != '\0' ? text : NULL;
}

static far_status open_maps(const far_config *config, far_pictures_opts *opts, run_data *data)
{
    const char *path = far_config_text(config, "data.path");
    opts->images = or_null(far_config_text(config, "data.images"));
    opts->labels = or_null(far_config_text(config, "data.labels"));
    FAR_TRY(far_dataset_open_label_maps(path, opts, &data->train));
    const bool has_patterns = opts->images != NULL;
    opts->images = or_null(far_config_text(config, "data.test_images"));
    opts->labels = or_null(far_config_text(config, "data.test_labels"));
    if (has_patterns && opts->images == NULL) return FAR_OK;
    opts->part = FAR_DATA_TEST;
    opts->channels = (int32_t)far_dataset_info_of(data->train).channels;
    opts->class_count = far_dataset_info_of(data->train).class_count;
    return far_dataset_open_label_maps(path, opts, &data->test);
}

static far_status open_classes(const far_config *config, far_pictures_opts *opts, run_data *data)
{
    const char *path = far_config_text(config, "data.path");
    FAR_TRY(far_dataset_open_images(path, opts, &data->train));
    opts->part = FAR_DATA_TEST;
    opts->channels = (int32_t)far_dataset_info_of(data->train).channels;
    opts->class_count = far_dataset_info_of(data->train).class_count;
    return far_dataset_open_images(path, opts, &data->test);
}

far_status run_data_open_pictures(const far_config *config, run_data *data)
{
    if (far_config_text(config, "data.path")[0] == '\0')
        return far_config_fail(config, "data.path", "no data: set data.path to a folder or archive with pictures");
    settings *s = fari_calloc(1, sizeof *s);
    if (s == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory to open data");
    far_status st = read_settings(config, s);
    if (st == FAR_OK)
        st = is_segmentation(config) ? open_maps(config, &s->opts, data) : open_classes(config, &s->opts, data);
    fari_free(s);
    if (st != FAR_E_NOTFOUND || data->train == NULL) return st;
    far_error_clear(); /* without a test part: samples held back, or nothing */
    return FAR_OK;
}
