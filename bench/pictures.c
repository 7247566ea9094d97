/* Photographs to batches, for pictures.py: a loader in the calling thread, as training sets it up. Built into a shared object there. */
#include <farandole/data.h>
#include <farandole/pictures.h>

static const float mean[3] = { 0.485F, 0.456F, 0.406F }, std_dev[3] = { 0.229F, 0.224F, 0.225F };

static far_dataset *set;
static far_loader *loader;

/* is_random: a random part resized, else the middle of the resized picture. @return 0, or the error's code: bench_error says what. */
FAR_API int bench_open(const char *path, int side, int batch, int is_random);
FAR_API int bench_next(const float **images_out);
FAR_API const char *bench_error(void);
FAR_API void bench_close(void);

int bench_open(const char *path, int side, int batch, int is_random)
{
    const far_loader_opts opts = {
        .batch = batch,
        .shuffle = true,
        .threads = -1,
        .augment = { .frame = { .fit = is_random ? FAR_FIT_RANDOM_RESIZED_CROP : FAR_FIT_RESIZE,
                                .height = side,
                                .width = side,
                                .share = 0.875 },
                     .flip = is_random,
                     .mean = mean,
                     .std = std_dev },
    };
    far_status st = far_dataset_open_images(path, NULL, &set);
    if (st == FAR_OK) st = far_loader_open(set, &opts, &loader);
    return (int)st;
}

int bench_next(const float **images_out)
{
    far_batch batch = { 0 };
    const far_status st = far_loader_next(loader, &batch);
    *images_out = batch.images;
    return (int)st;
}

const char *bench_error(void)
{
    return far_error_message();
}

void bench_close(void)
{
    far_loader_close(loader);
    far_dataset_close(set);
}
