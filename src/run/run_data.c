/* The data of a run: training and test sets, samples held back, moments for normalisation. */
#include "base/mem.h"
#include "data/dataset.h"
#include "run/machine.h"
#include "run/run_priv.h"
#include <inttypes.h>
#include <math.h>
#include <string.h>

#define LOADER_THREADS_MAX 8

#define MOMENT_SAMPLES 10000 /* enough for three digits of mean and deviation */

static far_status open_synthetic(const far_config *config, run_data *data)
{
    const int64_t samples = far_config_i64(config, "data.synthetic.samples");
    const int64_t axes = far_config_list_count(config, "data.synthetic.shape");
    if (axes != 3 && axes != 4)
        return far_config_fail(config, "data.synthetic.shape",
                               "expected channels, height and width, or channels, depth, height and width");
    far_synthetic_opts opts = {
        .sample_count = samples,
        .channels = far_config_list_i64(config, "data.synthetic.shape", 0),
        .depth = axes == 4 ? far_config_list_i64(config, "data.synthetic.shape", 1) : 1,
        .height = far_config_list_i64(config, "data.synthetic.shape", axes - 2),
        .width = far_config_list_i64(config, "data.synthetic.shape", axes - 1),
        .class_count = (int32_t)far_config_i64(config, "data.synthetic.classes"),
        .label = strcmp(far_config_text(config, "data.synthetic.label"), "map") == 0 ? FAR_LABEL_MAP : FAR_LABEL_CLASS,
        .noise = far_config_f64(config, "data.synthetic.noise"),
        .vary = far_config_f64(config, "data.synthetic.vary"),
        .seed = 1,
    };
    FAR_TRY(far_dataset_open_synthetic(&opts, &data->train));
    opts.first = samples;
    opts.sample_count = far_config_i64(config, "data.synthetic.test_samples");
    return far_dataset_open_synthetic(&opts, &data->test);
}

static far_status open_files(const far_config *config, run_data *data)
{
    const int32_t classes = (int32_t)far_config_i64(config, "data.classes");
    const char *images = far_config_text(config, "data.images"), *labels = far_config_text(config, "data.labels");
    const char *test_images = far_config_text(config, "data.test_images"),
               *test_labels = far_config_text(config, "data.test_labels");
    FAR_TRY(far_dataset_open_idx(images, labels, classes, &data->train));
    return test_images[0] != '\0' ? far_dataset_open_idx(test_images, test_labels, classes, &data->test) : FAR_OK;
}

static far_status open_folder(const far_config *config, run_data *data)
{
    const int32_t classes = (int32_t)far_config_i64(config, "data.classes");
    const bool is_channels_first = far_config_bool(config, "data.channels_first");
    const char *path = far_config_text(config, "data.path"), *kind_name = far_config_text(config, "data.kind");
    const far_data_kind kind = strcmp(kind_name, "idx") == 0       ? FAR_DATA_IDX
                               : strcmp(kind_name, "npy") == 0     ? FAR_DATA_NPY
                               : strcmp(kind_name, "volumes") == 0 ? FAR_DATA_VOLUMES
                                                                   : FAR_DATA_AUTO;
    if (path[0] == '\0')
        return far_config_fail(config, "data.path", "no data: set data.path to the folder with the data set");
    FAR_TRY(far_dataset_open_folder(path, kind, FAR_DATA_TRAIN, is_channels_first, classes, &data->train));
    const far_status st = far_dataset_open_folder(path, kind, FAR_DATA_TEST, is_channels_first, classes, &data->test);
    if (st != FAR_E_NOTFOUND) return st;
    far_error_clear(); /* a folder without a test part: held-back samples or nothing */
    return FAR_OK;
}

/* --- which reader: the first row that is meant --- */

static bool is_synthetic(const far_config *config)
{
    return strcmp(far_config_text(config, "data.kind"), "synthetic") == 0;
}

static bool is_files(const far_config *config)
{
    return far_config_text(config, "data.images")[0] != '\0';
}

static bool is_folder(const far_config *config)
{
    (void)config;
    return true;
}

static const struct {
    bool (*is_meant)(const far_config *config);
    far_status (*open)(const far_config *config, run_data *data);
} readers[] = {
    { is_synthetic, open_synthetic },
    { run_data_is_landmask, run_data_open_landmask },
    { run_data_is_lartpc, run_data_open_lartpc },
    { run_data_is_arrays, run_data_open_arrays },
    { run_data_is_pictures, run_data_open_pictures },
    { is_files, open_files },
    { is_folder, open_folder },
};

static far_status open_sets(const far_config *config, run_data *data)
{
    size_t i = 0;
    while (!readers[i].is_meant(config)) i++;
    return readers[i].open(config, data);
}

bool run_wants_maps(const far_run *run)
{
    const char *recipe = far_config_text(run->config, "loss.recipe");
    if (run->data.info.label != FAR_LABEL_NONE) return run->data.info.label == FAR_LABEL_MAP;
    return strcmp(recipe, "auto") != 0 && strcmp(recipe, "classify") != 0;
}

/* Predictions go over all images where none are set apart. */
static far_status take_all(run_data *data, int64_t total)
{
    data->kept = fari_alloc((size_t)total * sizeof *data->kept);
    if (data->kept == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory for %" PRId64 " sample numbers", total);
    for (int64_t i = 0; i < total; i++) data->kept[i] = i;
    data->held = data->kept;
    data->held_count = total;
    return FAR_OK;
}

static far_status split(far_run *run)
{
    run_data *data = &run->data;
    const int64_t total = far_dataset_info_of(data->train).sample_count;
    const double holdout = far_config_f64(run->config, "data.holdout");
    if (run->opts.purpose == FAR_RUN_PREDICT && (run->opts.images != NULL || (data->test == NULL && holdout == 0.0)))
        return take_all(data, total);
    if (holdout >= 1.0 && holdout != floor(holdout))
        return far_config_fail(run->config, "data.holdout", "%g; expected a share below 1 or a number of samples",
                               holdout);
    if (holdout >= (double)total)
        return far_config_fail(run->config, "data.holdout",
                               "%.0f samples held back of %" PRId64 ": none left to train on", holdout, total);
    data->kept = fari_alloc((size_t)total * sizeof *data->kept);
    if (data->kept == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory for %" PRId64 " sample numbers", total);
    FAR_TRY(far_dataset_split(data->train, holdout, (uint64_t)far_config_i64(run->config, "seed"), data->kept,
                              &data->kept_count));
    data->held = data->kept + data->kept_count;
    data->held_count = total - data->kept_count;
    if (data->kept_count == 0 || (holdout > 0.0 && data->held_count == 0))
        return far_config_fail(
            run->config, "data.holdout",
            "a share of %g holds back %" PRId64 " of %" PRId64
            " samples, as each is held back or not by its name or number: say how many with a whole number",
            holdout, data->held_count, total);
    return FAR_OK;
}

far_on_error run_on_error(const far_run *run)
{
    return strcmp(far_config_text(run->config, "data.on_error"), "skip") == 0 ? FAR_ON_ERROR_SKIP : FAR_ON_ERROR_STOP;
}

far_status run_sample_failed(const far_run *run, far_status status)
{
    fari_error_copy error;
    if (status == FAR_OK || !fari_is_damage(status) || run_on_error(run) == FAR_ON_ERROR_SKIP) return status;
    fari_error_save(&error);
    return FAR_FAIL(status, "%s; data.on_error=skip leaves such samples out", error.message);
}

/* Mean and deviation a channel: given, or taken from the training samples. */
static far_status moments(far_run *run)
{
    const far_config *config = run->config;
    run_data *data = &run->data;
    const int64_t channels = data->info.channels;
    const int64_t means = far_config_list_count(config, "data.mean"), stds = far_config_list_count(config, "data.std");
    double mean[16] = { 0.0 }, deviation[16];
    if (means == 0 && stds == 0 && !far_config_bool(config, "data.augment.normalize")) return FAR_OK;
    if (channels > (int64_t)FAR_COUNT(data->mean))
        return far_config_fail(config, "data.mean", "normalisation of %" PRId64 " channels; at most %zu are served",
                               channels, FAR_COUNT(data->mean));
    for (int64_t c = 0; c < channels; c++) deviation[c] = 1.0;
    if (means == 0 && stds == 0) {
        const int64_t known = data->kept_count > 0 ? data->kept_count : data->held_count;
        const int64_t count = known < MOMENT_SAMPLES ? known : MOMENT_SAMPLES;
        const fari_moments_opts opts = { .log1p = far_config_bool(config, "data.augment.log1p"),
                                         .skips_damage = run_on_error(run) == FAR_ON_ERROR_SKIP };
        if (run->opts.images != NULL)
            return far_config_fail(config, "data.mean",
                                   "the network was trained on images normalised by figures of theirs, which this "
                                   "configuration does not hold: name the run's folder, or set data.mean and data.std");
        FAR_TRY(run_sample_failed(run, fari_dataset_moments(data->train, data->kept, count, &opts, mean, deviation)));
    }
    if ((means > 1 && means != channels) || (stds > 1 && stds != channels))
        return far_config_fail(config, means > 1 ? "data.mean" : "data.std",
                               "give one number, or one for each of %" PRId64 " channels", channels);
    for (int64_t c = 0; c < channels; c++) {
        if (means > 0) mean[c] = far_config_list_f64(config, "data.mean", means > 1 ? c : 0);
        if (stds > 0) deviation[c] = far_config_list_f64(config, "data.std", stds > 1 ? c : 0);
        data->mean[c] = (float)mean[c];
        data->std[c] = (float)(deviation[c] > 0.0 ? deviation[c] : 1.0);
    }
    data->has_moments = true;
    return FAR_OK;
}

far_augment run_augment(const far_run *run, bool is_training)
{
    const far_config *config = run->config;
    const run_data *data = &run->data;
    far_augment augment = {
        .frame = is_training ? data->train_frame : data->eval_frame,
        .downsample = (int32_t)far_config_i64(config, "data.downsample"),
        .log1p = far_config_bool(config, "data.augment.log1p"),
        .mean = data->has_moments ? data->mean : NULL,
        .std = data->has_moments ? data->std : NULL,
    };
    if (!is_training) return augment;
    augment.crop_pad = (int32_t)far_config_i64(config, "data.augment.crop_pad");
    augment.brightness = far_config_f64(config, "data.augment.brightness");
    augment.contrast = far_config_f64(config, "data.augment.contrast");
    augment.saturation = far_config_f64(config, "data.augment.saturation");
    augment.hue = far_config_f64(config, "data.augment.hue");
    augment.invert = far_config_f64(config, "data.augment.invert");
    augment.flip = far_config_bool(config, "data.augment.flip");
    augment.vflip = far_config_bool(config, "data.augment.vflip");
    augment.turns = far_config_bool(config, "data.augment.turns");
    augment.erase = far_config_f64(config, "data.augment.erase");
    if (far_config_list_count(config, "data.augment.erase_area") == 2) {
        augment.erase_area_min = far_config_list_f64(config, "data.augment.erase_area", 0);
        augment.erase_area_max = far_config_list_f64(config, "data.augment.erase_area", 1);
    }
    augment.cutout = (int32_t)far_config_i64(config, "data.augment.cutout");
    return augment;
}

static far_status check_downsample(const far_run *run)
{
    const far_dataset_info *info = &run->data.info;
    const int64_t blocks = INT64_C(1) << far_config_i64(run->config, "data.downsample");
    if (info->height % blocks == 0 && info->width % blocks == 0) return FAR_OK;
    return far_config_fail(run->config, "data.downsample",
                           "images of %" PRId64 " x %" PRId64 " do not divide into blocks of %" PRId64, info->height,
                           info->width, blocks);
}

/* What is evaluated has to look like what is trained on. */
static far_status check_test(const far_run *run)
{
    const run_data *data = &run->data;
    if (data->test == NULL) return FAR_OK;
    const far_dataset_info train = data->info, test = far_dataset_info_of(data->test);
    if (train.channels != test.channels || train.label != test.label || train.label_planes != test.label_planes)
        return FAR_FAIL(FAR_E_FORMAT,
                        "test and training data do not match: %" PRId64 " and %" PRId64
                        " channels, labels of kind %d and %d with %" PRId64 " and %" PRId64 " planes",
                        test.channels, train.channels, (int)test.label, (int)train.label, test.label_planes,
                        train.label_planes);
    if (train.depth != test.depth)
        return FAR_FAIL(FAR_E_FORMAT, "test data of %" PRId64 " slices, training data of %" PRId64, test.depth,
                        train.depth);
    if (test.class_count > train.class_count && far_config_i64(run->config, "data.classes") == 0)
        return far_config_fail(
            run->config, "data.classes",
            "the test data have labels up to %d, the training data up to %d: say how many classes there "
            "are",
            test.class_count - 1, train.class_count - 1);
    if (data->eval_frame.fit != FAR_FIT_AS_IS ||
        (!test.varies && test.height == train.height && test.width == train.width))
        return FAR_OK;
    return far_config_fail(run->config, "data.size",
                           "test images of %s%" PRId64 " x %" PRId64 ", training images of %" PRId64 " x %" PRId64
                           ": set data.size to bring them to one size",
                           test.varies ? "up to " : "", test.height, test.width, train.height, train.width);
}

/* Bytes of a loader. What cannot be loaded as it is configured is the configuration's fault. */
far_status run_loader_need(far_dataset *set, const far_loader_opts *opts, int64_t *bytes_out)
{
    const far_status st = fari_loader_bytes(set, opts, bytes_out);
    return st == FAR_E_ARG ? fari_error_prefix(FAR_E_CONFIG, "data.size, data.fit, data.augment: ") : st;
}

/* Where pictures are decoded, half of the cores; where they only have to be copied, one thread. */
int32_t run_loader_threads(const far_run *run)
{
    const int64_t set = far_config_i64(run->config, "data.threads");
    const int32_t half = fari_machine_cores() / run_core_share(run) / 2;
    if (set > 0) return (int32_t)set;
    if (!fari_dataset_decodes(run->data.train) || half < 1) return 1;
    return half < LOADER_THREADS_MAX ? half : LOADER_THREADS_MAX;
}

far_status run_data_open(far_run *run)
{
    run_data *data = &run->data;
    FAR_TRY(run->opts.images != NULL ? run_data_open_images(run->config, run->opts.images, data)
                                     : open_sets(run->config, data));
    data->info = far_dataset_info_of(data->train);
    if (data->info.label == FAR_LABEL_NONE && run->opts.purpose != FAR_RUN_PREDICT)
        return far_config_fail(run->config, "data.labels", "training needs labels");
    FAR_TRY(split(run));
    FAR_TRY(moments(run));
    FAR_TRY(run_volume_check(run));
    FAR_TRY(run_frames_choose(run));
    FAR_TRY(check_downsample(run));
    FAR_TRY(check_test(run));
    FAR_TRY(run_class_weights(run));
    data->has_rows = run_rows_check(run) == FAR_OK;
    if (!data->has_rows) far_error_clear(); /* data.feed: rows will say it */
    data->bytes = far_dataset_bytes(data->train) + (data->test != NULL ? far_dataset_bytes(data->test) : 0) +
                  (data->kept_count + data->held_count) * (int64_t)sizeof(int64_t);
    return FAR_OK;
}

void run_data_close(run_data *data)
{
    far_dataset_close(data->train);
    far_dataset_close(data->test);
    fari_free(data->kept);
}
