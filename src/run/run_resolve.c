/* The configuration as the data made it: what was left to be found out is written down, so that the network serves other data too. */
#include "base/file.h"
#include "base/mem.h"
#include "base/text.h"
#include "run/run_priv.h"
#include <inttypes.h>
#include <string.h>

static void add_list(fari_text *text, const char *key, const float *values, int64_t count)
{
    char number[FARI_NUMBER_TEXT];
    text->bytes = 0;
    fari_text_add(text, "%s=[", key);
    for (int64_t i = 0; i < count; i++)
        fari_text_add(text, "%s%s", i > 0 ? ", " : "", fari_f32_text(values[i], number));
    fari_text_add(text, "]");
}

static far_status set(far_config *config, const fari_text *text)
{
    if (text->failed) return FAR_FAIL(FAR_E_NOMEM, "no memory to write a configuration");
    return far_config_set(config, text->data);
}

static far_status set_moments(const far_run *run, far_config *config, fari_text *text)
{
    if (!run->data.has_moments) return FAR_OK;
    if (far_config_list_count(config, "data.mean") == 0) {
        add_list(text, "data.mean", run->data.mean, run->data.info.channels);
        FAR_TRY(set(config, text));
    }
    if (far_config_list_count(config, "data.std") > 0) return FAR_OK;
    add_list(text, "data.std", run->data.std, run->data.info.channels);
    return set(config, text);
}

static far_status set_number(far_config *config, const char *key, int64_t value, fari_text *text)
{
    if (far_config_i64(config, key) != 0 || value < 1) return FAR_OK;
    text->bytes = 0;
    fari_text_add(text, "%s=%" PRId64, key, value);
    return set(config, text);
}

static bool has_file(const char *folder, const char *name)
{
    char *path = fari_path_join(folder, name);
    const bool has = path != NULL && fari_path_exists(path);
    fari_free(path);
    return has;
}

/* What data.kind: auto came to: the folder may hold other things later. */
static far_status set_kind(const far_run *run, far_config *config)
{
    const char *path = far_config_text(config, "data.path");
    if (strcmp(far_config_text(config, "data.kind"), "auto") != 0) return FAR_OK;
    if (run_data_is_lartpc(config)) return far_config_set(config, "data.kind=lartpc");
    const bool has_images = far_config_text(config, "data.images")[0] != '\0';
    if (run_data_is_arrays(config)) /* images: by their files' endings */
        return has_images ? FAR_OK : far_config_set(config, "data.kind=arrays");
    if (run_data_is_pictures(config))
        return far_config_set(config, run_wants_maps(run) ? "data.kind=segmentation" : "data.kind=images");
    if (has_images) return FAR_OK;
    if (has_file(path, "train-images.npy")) return far_config_set(config, "data.kind=npy");
    if (has_file(path, "train-images-idx3-ubyte") || has_file(path, "train-images-idx3-ubyte.gz"))
        return far_config_set(config, "data.kind=idx");
    return FAR_OK;
}

static far_status resolve(const far_run *run, far_config *config, fari_text *text)
{
    const run_data *data = &run->data;
    FAR_TRY(set_kind(run, config));
    FAR_TRY(set_moments(run, config, text));
    FAR_TRY(set_number(config, "data.classes", data->info.class_count, text));
    if (data->info.channels == 1 || data->info.channels == 3)
        FAR_TRY(set_number(config, "data.channels", data->info.channels, text));
    if (strcmp(far_config_text(config, "loss.recipe"), "auto") != 0) return FAR_OK;
    return far_config_set(config, run_wants_maps(run) ? "loss.recipe=segment" : "loss.recipe=classify");
}

far_status run_config_resolved(const far_run *run, char **yaml_out)
{
    char *given = NULL;
    far_config *config = NULL;
    fari_text text = { 0 };
    far_status st = FAR_OK;
    FAR_TRY(far_config_dump(run->config, &given));
    FAR_TRY_GOTO(far_config_create(&config), done);
    FAR_TRY_GOTO(far_config_parse(config, "config.yaml", given, strlen(given)), done);
    FAR_TRY_GOTO(resolve(run, config, &text), done);
    FAR_TRY_GOTO(far_config_dump(config, yaml_out), done);
done:
    fari_text_free(&text);
    far_config_destroy(config);
    far_config_text_free(given);
    return st;
}
