/* A map of land and sea as training and test set: data.path is the array's file; both parts share nothing but that. */
#include "base/status.h"
#include "run/run_priv.h"
#include <farandole/landmask.h>
#include <string.h>

bool run_data_is_landmask(const far_config *config)
{
    return strcmp(far_config_text(config, "data.kind"), "landmask") == 0;
}

far_status run_data_open_landmask(const far_config *config, run_data *data)
{
    const char *path = far_config_text(config, "data.path");
    if (path[0] == '\0')
        return far_config_fail(config, "data.path", "no data: set data.path to the file with the mask");
    if (far_config_list_count(config, "data.landmask.held_out") != 2)
        return far_config_fail(config, "data.landmask.held_out", "expected two longitudes, west and east");
    const int64_t window = far_config_i64(config, "data.landmask.window");
    far_landmask_opts opts = { .name = far_config_text(config, "data.landmask.array"),
                               .view = (int32_t)far_config_i64(config, "data.landmask.view"),
                               .window = window > 0 ? window : -1,
                               .count = far_config_i64(config, "data.landmask.windows"),
                               .west = far_config_list_f64(config, "data.landmask.held_out", 0),
                               .east = far_config_list_f64(config, "data.landmask.held_out", 1),
                               .seed = (uint64_t)far_config_i64(config, "seed") };
    FAR_TRY(far_dataset_open_landmask(path, &opts, &data->train));
    if (window <= 0) return FAR_OK;
    opts.part = FAR_DATA_TEST;
    opts.other = data->train;
    opts.count = far_config_i64(config, "data.landmask.test_windows");
    return far_dataset_open_landmask(path, &opts, &data->test);
}
