/* Files of liquid-argon images as training and test sets: data.images and data.test_images, or data.path as one file, or as a folder with train.h5 and
   perhaps test.h5. */
#include "base/file.h"
#include "base/mem.h"
#include "data/array.h"
#include "run/run_priv.h"
#include <farandole/lartpc.h>
#include <string.h>

static bool has_ending(const char *path)
{
    static const char *const endings[] = { ".h5", ".hdf5" };
    const size_t length = strlen(path);
    for (size_t i = 0; i < FAR_COUNT(endings); i++) {
        const size_t bytes = strlen(endings[i]);
        if (length > bytes && strcmp(path + length - bytes, endings[i]) == 0) return true;
    }
    return false;
}

bool run_data_is_lartpc(const far_config *config)
{
    const char *kind = far_config_text(config, "data.kind"), *images = far_config_text(config, "data.images");
    if (strcmp(kind, "auto") != 0) return strcmp(kind, "lartpc") == 0;
    const char *name = far_config_text(config, "data.array.images"); /* of an HDF5 file of arrays */
    if (images[0] != '\0') return has_ending(images) && !fari_array_in_h5(images, name);
    const char *path = far_config_text(config, "data.path");
    if (has_ending(path)) return !fari_array_in_h5(path, name);
    char *train = fari_path_join(path, "train.h5"); /* NULL: no memory, which whatever comes next will find as well */
    const bool is_there = train != NULL && fari_path_exists(train) && !fari_array_in_h5(train, name);
    fari_free(train);
    return is_there;
}

static far_status open_file(const far_config *config, const char *path, far_dataset **dataset_out)
{
    const int64_t keep = far_config_i64(config, "data.lartpc.keep");
    const char *label = far_config_text(config, "data.lartpc.label");
    const far_lartpc_opts opts = {
        .image = far_config_text(config, "data.lartpc.image"),
        .label = strcmp(label, "auto") == 0 ? NULL : label,
        .class_count = (int32_t)far_config_i64(config, "data.classes"),
        .keep_bytes = keep > 0 ? keep : -1,
    };
    return far_dataset_open_lartpc(path, &opts, dataset_out);
}

static far_status open_in_folder(const far_config *config, const char *folder, const char *name, bool is_needed,
                                 far_dataset **dataset_out)
{
    char *path = fari_path_join(folder, name);
    if (path == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory to open %s", folder);
    const far_status st = is_needed || fari_path_exists(path) ? open_file(config, path, dataset_out) : FAR_OK;
    fari_free(path);
    return st;
}

far_status run_data_open_lartpc(const far_config *config, run_data *data)
{
    const char *images = far_config_text(config, "data.images"), *test = far_config_text(config, "data.test_images"),
               *path = far_config_text(config, "data.path");
    if (images[0] == '\0' && path[0] == '\0')
        return far_config_fail(config, "data.path", "no data: set data.path to an HDF5 file or a folder with train.h5");
    if (images[0] == '\0' && fari_path_is_folder(path)) {
        FAR_TRY(open_in_folder(config, path, "train.h5", true, &data->train));
        if (test[0] == '\0') return open_in_folder(config, path, "test.h5", false, &data->test);
    } else {
        FAR_TRY(open_file(config, images[0] != '\0' ? images : path, &data->train));
    }
    return test[0] != '\0' ? open_file(config, test, &data->test) : FAR_OK;
}
