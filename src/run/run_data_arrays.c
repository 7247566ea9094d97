/* Arrays as training and test sets: data.images and data.test_images, or data.path as one file, or as a folder with train.npz, train.h5 or
   train-images.raw. A folder of .npy files is opened by its usual names (run_data.c). */
#include "base/file.h"
#include "base/mem.h"
#include "base/status.h"
#include "data/array.h"
#include "run/run_priv.h"
#include <string.h>

/* The usual names in a folder, of the images of a part. */
static const struct {
    const char *train, *test, *train_labels, *test_labels; /* labels NULL: in the same file */
} usual[] = {
    { "train.npz", "test.npz", NULL, NULL },
    { "train.h5", "test.h5", NULL, NULL },
    { "train-images.raw", "test-images.raw", "train-labels.raw", "test-labels.raw" },
    { "train-images.npy", "test-images.npy", "train-labels.npy", "test-labels.npy" }, /* only where it was asked for */
};

static bool is_in(const char *folder, const char *name)
{
    char *path = fari_path_join(folder, name); /* NULL: no memory, which whatever comes next will find as well */
    const bool is_there = path != NULL && fari_path_exists(path);
    fari_free(path);
    return is_there;
}

bool run_data_is_arrays(const far_config *config)
{
    const char *kind = far_config_text(config, "data.kind"), *images = far_config_text(config, "data.images"),
               *path = far_config_text(config, "data.path");
    const bool is_auto = strcmp(kind, "auto") == 0;
    if (strcmp(kind, "arrays") == 0) return true;
    if (!is_auto && strcmp(kind, "npy") != 0 && strcmp(kind, "volumes") != 0) return false;
    if (images[0] != '\0') return strchr(images, '*') == NULL && fari_array_is_named(images);
    if (fari_path_exists(path) && !fari_path_is_folder(path)) return fari_array_is_named(path);
    for (size_t i = 0; i + 1 < FAR_COUNT(usual) && is_auto; i++)
        if (is_in(path, usual[i].train)) return true;
    return false;
}

/* labels NULL: by name in the images' file. */
static far_status open_file(const far_config *config, const char *images, const char *labels, far_dataset **set_out)
{
    const far_arrays_opts opts = { .images_path = images,
                                   .labels_path = labels,
                                   .images_name = far_config_text(config, "data.array.images"),
                                   .labels_name = far_config_text(config, "data.array.labels"),
                                   .channels_first = far_config_bool(config, "data.channels_first"),
                                   .is_volume = strcmp(far_config_text(config, "data.kind"), "volumes") == 0,
                                   .class_count = (int32_t)far_config_i64(config, "data.classes") };
    return far_dataset_open_arrays(&opts, set_out);
}

static far_status open_in(const far_config *config, const char *folder, const char *images, const char *labels,
                          far_dataset **set_out)
{
    char *images_path = fari_path_join(folder, images);
    char *labels_path = labels != NULL ? fari_path_join(folder, labels) : NULL;
    far_status st = FAR_OK;
    if (images_path == NULL || (labels != NULL && labels_path == NULL))
        st = FAR_FAIL(FAR_E_NOMEM, "no memory to open %s", folder);
    const bool has_labels = labels_path != NULL && fari_path_exists(labels_path);
    if (st == FAR_OK) st = open_file(config, images_path, has_labels ? labels_path : NULL, set_out);
    fari_free(labels_path);
    fari_free(images_path);
    return st;
}

static far_status open_folder(const far_config *config, const char *folder, run_data *data)
{
    for (size_t i = 0; i < FAR_COUNT(usual); i++) {
        if (!is_in(folder, usual[i].train)) continue;
        FAR_TRY(open_in(config, folder, usual[i].train, usual[i].train_labels, &data->train));
        if (!is_in(folder, usual[i].test)) return FAR_OK;
        return open_in(config, folder, usual[i].test, usual[i].test_labels, &data->test);
    }
    return far_config_fail(config, "data.path",
                           "no arrays in %s: looked for train.npz, train.h5, train-images.raw and train-images.npy",
                           folder);
}

static const char *or_null(const char *text)
{
    return text[0] != '\0' ? text : NULL;
}

far_status run_data_open_arrays(const far_config *config, run_data *data)
{
    const char *images = far_config_text(config, "data.images"), *test = far_config_text(config, "data.test_images"),
               *path = far_config_text(config, "data.path");
    if (images[0] == '\0' && path[0] == '\0')
        return far_config_fail(config, "data.path",
                               "no data: set data.path to a folder with arrays, or data.images to a file");
    if (images[0] == '\0' && fari_path_is_folder(path)) return open_folder(config, path, data);
    FAR_TRY(open_file(config, images[0] != '\0' ? images : path, or_null(far_config_text(config, "data.labels")),
                      &data->train));
    if (test[0] == '\0') return FAR_OK;
    return open_file(config, test, or_null(far_config_text(config, "data.test_labels")), &data->test);
}
