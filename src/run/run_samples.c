/* samples/: pictures of a few held-out samples with truth and prediction, written anew by evaluations in training. */
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "run/run_priv.h"
#include <farandole/picture.h>
#include <inttypes.h>
#include <string.h>

#define SIDE_MAX 1024    /* pixels: larger pictures are shrunk */
#define LIKELIEST 3      /* classes told of a sample */
#define AGAIN_AFTER_S 10 /* evaluations sooner than that after the last pictures make none, but for the last one */

/* ---- pictures of one sample ---- */

typedef struct taking {
    far_run *run;
    fari_text *index;
    bool is_first; /* no sample is in the index yet */
} taking;

static far_status write_picture(const taking *take, const char *file, far_picture *picture)
{
    char *path = fari_printf("%s/samples/%s", take->run->folder, file);
    const far_status st =
        path != NULL ? far_picture_write(path, picture) : FAR_FAIL(FAR_E_NOMEM, "no memory for a path");
    fari_free(path);
    far_picture_free(picture);
    return st;
}

static void file_name(char name_out[64], const far_prediction *p, const char *what)
{
    if (p->map_count > 1) (void)snprintf(name_out, 64, "%06" PRId64 "-%d-%s.png", p->sample, (int)p->map, what);
    else (void)snprintf(name_out, 64, "%06" PRId64 "-%s.png", p->sample, what);
}

static int32_t shrink_of(const far_prediction *p)
{
    const int64_t side = p->height > p->width ? p->height : p->width;
    return (int32_t)((side + SIDE_MAX - 1) / SIDE_MAX);
}

static far_status write_image(const taking *take, const far_prediction *p, char name_out[64])
{
    far_picture picture;
    file_name(name_out, p, "image");
    FAR_TRY(far_picture_of_image(p, shrink_of(p), &picture));
    return write_picture(take, name_out, &picture);
}

static far_status write_map(const taking *take, const far_prediction *p, const int32_t *labels, const char *what,
                            char name_out[64])
{
    far_picture picture;
    file_name(name_out, p, what);
    FAR_TRY(far_picture_of_classes(labels, p->height, p->width, shrink_of(p), &picture));
    return write_picture(take, name_out, &picture);
}

/* {"id": 7, "name": "a/b.png", "map": 0, "image": "000007-image.png" */
static void index_begin(taking *take, const far_prediction *p, const char *image)
{
    fari_text_add(take->index, "%s\n    {\"id\": %" PRId64 ", \"map\": %d, \"name\": ", take->is_first ? "" : ",",
                  p->sample, (int)p->map);
    take->is_first = false;
    if (p->name != NULL) fari_text_json(take->index, p->name);
    else fari_text_add(take->index, "null");
    fari_text_add(take->index, ", \"image\": \"%s\"", image);
}

/* The likeliest classes first. */
static far_status take_class(taking *take, const far_prediction *p)
{
    char image[64], number[FARI_NUMBER_TEXT];
    const int64_t classes = p->shape.dim[0];
    float *probabilities = fari_alloc((size_t)classes * sizeof *probabilities);
    if (probabilities == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory for %" PRId64 " probabilities", classes);
    far_prediction_probabilities(p, probabilities);
    const far_status st = write_image(take, p, image);
    index_begin(take, p, image);
    if (p->labels != NULL && p->labels[0] >= 0) fari_text_add(take->index, ", \"truth\": %d", (int)p->labels[0]);
    fari_text_add(take->index, ", \"likeliest\": [");
    for (int32_t i = 0; i < LIKELIEST && i < classes; i++) {
        int64_t best = 0;
        for (int64_t k = 1; k < classes; k++)
            if (probabilities[k] > probabilities[best]) best = k;
        fari_text_add(take->index, "%s{\"class\": %" PRId64 ", \"probability\": %s}", i > 0 ? ", " : "", best,
                      fari_f32_text(probabilities[best], number));
        probabilities[best] = -1.0F;
    }
    fari_text_add(take->index, "]}");
    fari_free(probabilities);
    return st;
}

/* Pixels with a true class, and those of them that are right: of all classes, and of all but class 0, the background. */
typedef struct tally {
    int64_t right, counted, right_objects, counted_objects;
} tally;

static tally count_right(const far_prediction *p, const int32_t *classes)
{
    tally t = { 0 };
    for (int64_t i = 0; i < p->height * p->width; i++) {
        if (p->labels[i] < 0) continue;
        t.right += classes[i] == p->labels[i];
        t.counted++;
        t.right_objects += p->labels[i] > 0 && classes[i] == p->labels[i];
        t.counted_objects += p->labels[i] > 0;
    }
    return t;
}

static far_status take_map(taking *take, const far_prediction *p)
{
    char image[64], prediction[64], truth[64] = "";
    tally t = { 0 };
    far_status st = FAR_OK;
    int32_t *classes = fari_alloc((size_t)(p->height * p->width) * sizeof *classes);
    if (classes == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory for a map of classes");
    far_prediction_classes(p, classes);
    FAR_TRY_GOTO(write_image(take, p, image), done);
    FAR_TRY_GOTO(write_map(take, p, classes, "prediction", prediction), done);
    if (p->labels != NULL) {
        FAR_TRY_GOTO(write_map(take, p, p->labels, "truth", truth), done);
        t = count_right(p, classes);
    }
    index_begin(take, p, image);
    fari_text_add(take->index, ", \"prediction\": \"%s\"", prediction);
    if (truth[0] != '\0')
        fari_text_add(take->index,
                      ", \"truth\": \"%s\", \"right\": %" PRId64 ", \"counted\": %" PRId64
                      ", \"right_but_class_0\": %" PRId64 ", \"counted_but_class_0\": %" PRId64,
                      truth, t.right, t.counted, t.right_objects, t.counted_objects);
    fari_text_add(take->index, "}");
done:
    fari_free(classes);
    return st;
}

static far_status take_sample(void *context, const far_prediction *p)
{
    taking *take = context;
    if (take->run->samples.has_failed) return FAR_OK;
    if (p->shape.ndim == 1) return p->map == 0 ? take_class(take, p) : FAR_OK;
    const bool is_map = p->shape.ndim == 3 && p->shape.dim[1] == p->height && p->shape.dim[2] == p->width;
    return is_map ? take_map(take, p) : FAR_OK;
}

/* ---- over an evaluation ---- */

/* As many as wanted, fewer where a sample has several maps; evenly over the data, which may lie class by class. */
static bool is_chosen(const run_samples *samples, int64_t position)
{
    return (position + 1) * samples->wanted / samples->total > position * samples->wanted / samples->total;
}

#define PIXELS_MOST (INT64_C(16) << 20) /* results of larger images are not kept whole for the sake of pictures */

int64_t run_samples_wanted(const far_run *run, const run_side *side)
{
    return side->height * side->width <= PIXELS_MOST ? far_config_i64(run->config, "run.samples") : 0;
}

int64_t run_samples_bytes(const far_run *run)
{
    const int64_t pixels = run->eval.height * run->eval.width;
    if (run->eval.graph == NULL || run_samples_wanted(run, &run->eval) == 0) return 0;
    if (run_is_follower(run)) return run_results_bytes(run);
    /* results, a map of classes, a picture and what becomes of it as PNG */
    return run_results_bytes(run) + pixels * (int64_t)(sizeof(int32_t) + 6);
}

/* What cannot be written is said once, and no reason to end a training. */
static far_status excuse(run_samples *samples, far_status st)
{
    if (st == FAR_OK || st == FAR_E_NOMEM) return st;
    fari_log(FAR_LOG_WARN, "no pictures of samples: %s", far_error_message());
    far_error_clear();
    samples->has_failed = true; /* other ranks go on to send theirs, so nothing ends here */
    return FAR_OK;
}

static far_status samples_open(far_run *run)
{
    run_samples *samples = &run->samples;
    char *folder = fari_path_join(run->folder, "samples");
    far_status st = folder != NULL ? FAR_OK : FAR_FAIL(FAR_E_NOMEM, "no memory for a path");
    if (st == FAR_OK && samples->written_s == 0.0) st = fari_remove_tree(folder); /* of an earlier life */
    if (st == FAR_OK) st = fari_folder_make(folder);
    fari_free(folder);
    return st;
}

far_status run_samples_begin(far_run *run, const run_part *part, int64_t total)
{
    run_samples *samples = &run->samples;
    const int32_t maps = run->eval.model.count > 1 ? run->eval.model.count : 1;
    const bool is_last = run->step == run->steps_total;
    samples->wanted = (run_samples_wanted(run, &run->eval) + maps - 1) / maps;
    if (samples->wanted > total) samples->wanted = total;
    samples->total = total;
    samples->position = 0;
    samples->is_on = run->opts.purpose == FAR_RUN_TRAIN && samples->wanted > 0 && !samples->has_failed &&
                     (is_last || samples->written_s == 0.0 || fari_clock_s() - samples->written_s > AGAIN_AFTER_S);
    if (run->opts.purpose == FAR_RUN_TRAIN) FAR_TRY(run_shared_flag(run, &samples->is_on));
    if (!samples->is_on) return FAR_OK;
    samples->set = part->set;
    if (run_is_follower(run)) return FAR_OK;
    FAR_TRY(excuse(samples, samples_open(run)));
    samples->index.bytes = 0;
    fari_text_add(&samples->index,
                  "{\n  \"version\": 1,\n  \"step\": %" PRId64
                  ",\n  \"label\": \"%s\",\n  \"maps\": %d,\n  \"samples\": [",
                  run->step, run->data.info.label == FAR_LABEL_MAP ? "map" : "class", (int)maps);
    samples->empty_bytes = samples->index.bytes;
    return FAR_OK;
}

far_status run_samples_side(far_run *run, const run_side *side)
{
    run_samples *samples = &run->samples;
    run_results_close(&samples->results);
    return samples->is_on ? run_results_open(run, side, samples->set, &samples->results) : FAR_OK;
}

far_status run_samples_take(far_run *run, const far_batch *batch)
{
    run_samples *samples = &run->samples;
    for (int64_t i = 0; i < batch->count && samples->is_on; i++) {
        if (!is_chosen(samples, samples->position++)) continue;
        taking take = { run, &samples->index, samples->index.bytes == samples->empty_bytes };
        FAR_TRY(excuse(samples, run_results_each(&samples->results, batch, i, take_sample, &take)));
    }
    return FAR_OK;
}

static far_status write_index(const far_run *run)
{
    const fari_text *index = &run->samples.index;
    char *path = fari_path_join(run->folder, "samples/index.json");
    const far_status st = path == NULL || index->failed
                              ? FAR_FAIL(FAR_E_NOMEM, "no memory to list the samples")
                              : fari_file_write_atomic(path, index->data, (size_t)index->bytes);
    fari_free(path);
    return st;
}

far_status run_samples_end(far_run *run, bool is_complete)
{
    run_samples *samples = &run->samples;
    far_status st = FAR_OK;
    if (samples->is_on && is_complete && !samples->has_failed && !run_is_follower(run)) {
        fari_text_add(&samples->index, "\n  ]\n}\n");
        st = excuse(samples, write_index(run));
        samples->written_s = fari_clock_s();
    }
    run_results_close(&samples->results);
    fari_text_free(&samples->index);
    samples->is_on = false;
    return st;
}
