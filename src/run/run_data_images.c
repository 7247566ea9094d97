/* Images without labels, for predictions: a folder or archive of pictures, an array, an IDX file. */
#include "base/file.h"
#include "data/array.h"
#include "run/run_priv.h"
#include <farandole/pictures.h>
#include <string.h>

static bool ends_with(const char *text, const char *end)
{
    const size_t length = strlen(text), end_length = strlen(end);
    return length >= end_length && strcmp(text + length - end_length, end) == 0;
}

static bool is_idx(const char *path)
{
    return ends_with(path, "-ubyte") || ends_with(path, "-ubyte.gz") || ends_with(path, ".idx") ||
           ends_with(path, ".idx.gz");
}

far_status run_data_open_images(const far_config *config, const char *path, run_data *data)
{
    const far_pictures_opts opts = { .channels = (int32_t)far_config_i64(config, "data.channels") };
    if (!fari_path_exists(path)) return FAR_FAIL(FAR_E_NOTFOUND, "%s: no such file or folder with images", path);
    if (fari_array_is_named(path))
        return far_dataset_open_arrays(
            &(far_arrays_opts){ .images_path = path,
                                .images_name = far_config_text(config, "data.array.images"),
                                .channels_first = far_config_bool(config, "data.channels_first") },
            &data->train);
    if (!fari_path_is_folder(path) && is_idx(path)) return far_dataset_open_idx(path, NULL, 0, &data->train);
    return far_dataset_open_images(path, &opts, &data->train);
}
