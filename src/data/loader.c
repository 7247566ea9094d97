/* Batches made ahead. Batch number s (counted through the epochs) lies in slot s % slot_count; workers take runs of its samples. A slot is free
   again when the batch that was lent from it has been given back, which the next far_loader_next does. */
#include "base/arena.h"
#include "base/doing.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/status.h"
#include "data/dataset.h"
#include "data/maker.h"
#include "data/shuffle.h"
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>

#define ALIGN 64
#define THREADS_MAX 256
#define SKIPPED_MIN 8 /* so many may be left out of an epoch, or a tenth of its samples */

typedef struct slot {
    float *images; /* of the loader's own places */
    int32_t *labels;
    int64_t *ids;
    int64_t number; /* the batch it holds or gets; -1: none */
    int64_t count;  /* valid samples */
    int64_t done;   /* own places filled */
    int64_t skipped;
    fari_perm perm;
    far_status status; /* of the failed sample with the lowest place */
    int64_t failed_at;
    fari_error_copy error;
} slot;

/* How all memory of a loader is laid out in one block. */
typedef struct layout {
    int64_t slots, threads, ids;
    int64_t images_at, labels_at, batch_ids_at, sample_ids_at; /* bytes from the block's start */
    int64_t image_bytes, label_bytes, batch_id_bytes;          /* of one slot */
    int64_t raw_at, raw_map_at, whole_at, whole_map_at, resize_at;
    fari_maker_needs needs; /* of one thread, rounded up */
    int64_t bytes;
} layout;

typedef struct worker {
    far_loader *loader;
    fari_maker_scratch scratch;
    pthread_t thread;
} worker;

struct far_loader {
    far_dataset *dataset;
    far_loader_opts opts;
    fari_maker maker;
    layout lay;
    char *block;
    float *moments; /* mean, then std: copies */
    int64_t sample_count, batches;
    int64_t own_first, own_count; /* places of each batch that are made here */
    const int64_t *sample_ids;    /* NULL: all */
    slot *slots;
    worker *workers;
    int32_t started;

    pthread_mutex_t mutex;
    pthread_cond_t work, ready; /* there may be work; a slot is full or the workers are idle */
    /* under the mutex: */
    int64_t low;           /* the batch lent, or the next to lend */
    int64_t next;          /* the next to lend */
    int64_t make, make_at; /* the batch being given out to workers, and its next place */
    int32_t in_flight;
    bool is_paused, is_stopped;
    int64_t skipped; /* of the epoch being lent */
};

/* --- memory --- */

static int64_t own_count(const far_loader_opts *opts)
{
    return opts->own_count > 0 ? opts->own_count : opts->batch;
}

/* What cannot be read is left out whole, by all ranks alike: so each looks at the whole sample. */
static fari_maker_rows rows_of(const far_loader_opts *opts)
{
    return (fari_maker_rows){ .first = opts->row_first,
                              .count = opts->row_count,
                              .wants_whole = opts->on_error == FAR_ON_ERROR_SKIP };
}

static far_status check_opts(const far_dataset *dataset, const far_loader_opts *opts)
{
    const int64_t total = dataset->info.sample_count;
    const int64_t count = opts->sample_ids == NULL ? total : opts->sample_count;
    if (opts->own_first < 0 || opts->own_count < 0 || opts->own_first > opts->batch - own_count(opts))
        return FAR_FAIL(FAR_E_ARG, "%" PRId64 " samples from %" PRId64 " on, of a batch of %" PRId64, opts->own_count,
                        opts->own_first, opts->batch);
    if (opts->batch < 1) return FAR_FAIL(FAR_E_ARG, "a batch of %" PRId64 " samples", opts->batch);
    if (count < 1) return FAR_FAIL(FAR_E_ARG, "no samples to make batches of");
    if (opts->last == FAR_LAST_DROP && opts->batch > count)
        return FAR_FAIL(FAR_E_ARG, "a batch of %" PRId64 " samples, but there are only %" PRId64, opts->batch, count);
    if (opts->ahead < 0 || opts->epochs < 0)
        return FAR_FAIL(FAR_E_ARG, "%d batches ahead, %" PRId64 " epochs", opts->ahead, opts->epochs);
    for (int64_t i = 0; opts->sample_ids != NULL && i < count; i++)
        if (opts->sample_ids[i] < 0 || opts->sample_ids[i] >= total)
            return FAR_FAIL(FAR_E_ARG, "sample %" PRId64 " of a data set of %" PRId64, opts->sample_ids[i], total);
    for (int64_t c = 0; opts->augment.std != NULL && c < dataset->info.channels; c++)
        if (!(opts->augment.std[c] > 0.0f))
            return FAR_FAIL(FAR_E_ARG, "standard deviation %g of channel %" PRId64, (double)opts->augment.std[c], c);
    return FAR_OK;
}

static int64_t place(int64_t *bytes_io, int64_t bytes)
{
    const int64_t at = *bytes_io;
    *bytes_io += (bytes + ALIGN - 1) / ALIGN * ALIGN;
    return at;
}

static int32_t thread_count(const far_loader_opts *opts)
{
    return opts->threads == 0 ? 1 : opts->threads < 0 ? 0 : opts->threads < THREADS_MAX ? opts->threads : THREADS_MAX;
}

static int64_t rounded(int64_t bytes)
{
    return (bytes + ALIGN - 1) / ALIGN * ALIGN;
}

static fari_maker_needs rounded_needs(fari_maker_needs needs)
{
    return (fari_maker_needs){ rounded(needs.raw),
                               rounded(needs.raw_map),
                               { rounded(needs.whole.image_bytes), rounded(needs.whole.label_bytes),
                                 rounded(needs.whole.resize_bytes) } };
}

static far_status lay_out(const fari_maker *maker, const far_loader_opts *opts, layout *lay_out)
{
    layout lay = { 0 };
    const int64_t places = opts->without_pixels ? 0 : own_count(opts);
    if (!opts->without_pixels) FAR_TRY(fari_maker_needs_of(maker, opts->sample_ids, opts->sample_count, &lay.needs));
    lay.needs = rounded_needs(lay.needs);
    lay.slots = 1 + (opts->threads < 0 ? 0 : opts->ahead > 0 ? opts->ahead : 2);
    lay.threads = thread_count(opts) > 0 ? thread_count(opts) : 1;
    lay.ids = opts->sample_ids == NULL ? 0 : opts->sample_count;
    lay.image_bytes = rounded(places * maker->image_elems * (int64_t)sizeof(float));
    lay.label_bytes = rounded(places * maker->label_elems * (int64_t)sizeof(int32_t));
    lay.batch_id_bytes = rounded(opts->batch * (int64_t)sizeof(int64_t));
    lay.images_at = place(&lay.bytes, lay.slots * lay.image_bytes);
    lay.labels_at = place(&lay.bytes, lay.slots * lay.label_bytes);
    lay.batch_ids_at = place(&lay.bytes, lay.slots * lay.batch_id_bytes);
    lay.sample_ids_at = place(&lay.bytes, lay.ids * (int64_t)sizeof(int64_t));
    lay.raw_at = place(&lay.bytes, lay.threads * lay.needs.raw);
    lay.raw_map_at = place(&lay.bytes, lay.threads * lay.needs.raw_map);
    lay.whole_at = place(&lay.bytes, lay.threads * lay.needs.whole.image_bytes);
    lay.whole_map_at = place(&lay.bytes, lay.threads * lay.needs.whole.label_bytes);
    lay.resize_at = place(&lay.bytes, lay.threads * lay.needs.whole.resize_bytes);
    lay.bytes += ALIGN; /* to align the start */
    *lay_out = lay;
    return FAR_OK;
}

static int64_t own_bytes(const layout *lay, int64_t channels)
{
    return (int64_t)sizeof(far_loader) + lay->slots * (int64_t)sizeof(slot) + lay->threads * (int64_t)sizeof(worker) +
           2 * channels * (int64_t)sizeof(float);
}

/* What the data set makes for the loader's threads. */
static int64_t reading_bytes(const fari_maker *maker, const far_loader_opts *opts, const layout *lay)
{
    const far_dataset *set = maker->dataset;
    if (set->ops.prepare_bytes == NULL || opts->without_pixels) return 0;
    return set->ops.prepare_bytes(set->context, (int32_t)lay->threads, maker->sizes.frame.height,
                                  maker->sizes.frame.width);
}

far_status fari_loader_bytes(far_dataset *dataset, const far_loader_opts *opts, int64_t *bytes_out)
{
    fari_maker maker = { 0 };
    layout lay = { 0 };
    FAR_TRY(check_opts(dataset, opts));
    FAR_TRY(fari_maker_init(dataset, &opts->augment, opts->seed, rows_of(opts), &maker));
    FAR_TRY(lay_out(&maker, opts, &lay));
    *bytes_out = lay.bytes + own_bytes(&lay, dataset->info.channels) + reading_bytes(&maker, opts, &lay);
    return FAR_OK;
}

int64_t far_loader_bytes(far_dataset *dataset, const far_loader_opts *opts)
{
    int64_t bytes = 0;
    if (fari_loader_bytes(dataset, opts, &bytes) != FAR_OK) far_error_clear(); /* far_loader_open will say why */
    return bytes;
}

/* The part of a thread in one of the areas of the block; NULL where there is none. */
static void *part_of(char *base, int64_t at, int64_t bytes, int64_t thread)
{
    return bytes > 0 ? base + at + thread * bytes : NULL;
}

static void assign(far_loader *loader)
{
    const layout *lay = &loader->lay;
    char *base = loader->block + (ALIGN - (uintptr_t)loader->block % ALIGN) % ALIGN;
    for (int64_t i = 0; i < lay->slots; i++) {
        slot *s = &loader->slots[i];
        if (lay->image_bytes > 0) s->images = (float *)(void *)(base + lay->images_at + i * lay->image_bytes);
        if (lay->label_bytes > 0) s->labels = (int32_t *)(void *)(base + lay->labels_at + i * lay->label_bytes);
        s->ids = (int64_t *)(void *)(base + lay->batch_ids_at + i * lay->batch_id_bytes);
        s->number = -1;
    }
    for (int64_t i = 0; i < lay->threads; i++) {
        worker *w = &loader->workers[i];
        w->loader = loader;
        w->scratch = (fari_maker_scratch){
            part_of(base, lay->raw_at, lay->needs.raw, i),
            part_of(base, lay->raw_map_at, lay->needs.raw_map, i),
            { part_of(base, lay->whole_at, lay->needs.whole.image_bytes, i),
              part_of(base, lay->whole_map_at, lay->needs.whole.label_bytes, i),
              part_of(base, lay->resize_at, lay->needs.whole.resize_bytes, i), lay->needs.whole.resize_bytes },
        };
    }
    if (lay->ids > 0) {
        int64_t *ids = (int64_t *)(void *)(base + lay->sample_ids_at);
        memcpy(ids, loader->opts.sample_ids, sizeof *ids * (size_t)lay->ids);
        loader->sample_ids = ids;
    }
}

/* --- filling --- */

/* What a worker's run of places came to. */
typedef struct outcome {
    int64_t failed_at; /* -1: none */
    int64_t skipped;
    far_status status;
} outcome;

/* The sample at a place of a batch that has one. */
static int64_t sample_at(const far_loader *loader, const slot *s, int64_t place)
{
    int64_t sample = s->number % loader->batches * loader->opts.batch + place;
    if (loader->opts.shuffle) sample = fari_perm_at(&s->perm, sample);
    return loader->sample_ids != NULL ? loader->sample_ids[sample] : sample;
}

/* Place `at` of the own ones of a slot: a sample, or padding. */
static far_status fill_place(const worker *w, slot *s, int64_t at, outcome *out)
{
    const far_loader *loader = w->loader;
    const fari_maker *maker = &loader->maker;
    const int64_t epoch = s->number / loader->batches, place = loader->own_first + at;
    float *image = s->images == NULL ? NULL : s->images + at * maker->image_elems;
    int32_t *label = s->labels == NULL ? NULL : s->labels + at * maker->label_elems;
    s->ids[place] = -1;
    if (place >= s->count) {
        fari_maker_blank(maker, image, label);
        return FAR_OK;
    }
    const int64_t sample = sample_at(loader, s, place);
    if (image == NULL) { /* without pixels */
        s->ids[place] = sample;
        return FAR_OK;
    }
    fari_doing(FARI_DOING_READ, sample, NULL, NULL);
    const far_status st = fari_maker_make(maker, &w->scratch, epoch, sample, image, label);
    if (st != FAR_OK && loader->opts.on_error == FAR_ON_ERROR_SKIP && fari_is_damage(st)) {
        if (fari_dataset_tells(maker->dataset, sample)) fari_log(FAR_LOG_WARN, "left out: %s", far_error_message());
        far_error_clear();
        fari_maker_blank(maker, image, label);
        out->skipped++;
        return FAR_OK;
    }
    s->ids[place] = sample;
    return st;
}

/* Fills places [first, first + count); stops at the first that fails. */
static outcome fill_run(const worker *w, slot *s, int64_t first, int64_t count)
{
    outcome out = { .failed_at = -1 };
    for (int64_t at = first; at < first + count; at++) {
        out.status = fill_place(w, s, at, &out);
        if (out.status == FAR_OK) continue;
        out.failed_at = at;
        break;
    }
    return out;
}

static void begin_slot(far_loader *loader, slot *s, int64_t number)
{
    FAR_ASSERT(loader->batches > 0);
    const int64_t idx = number % loader->batches, left = loader->sample_count - idx * loader->opts.batch;
    s->number = number;
    s->count = left < loader->opts.batch ? left : loader->opts.batch;
    s->done = s->skipped = 0;
    s->status = FAR_OK;
    s->failed_at = loader->opts.batch;
    s->perm = fari_perm_of(loader->opts.seed, number / loader->batches, loader->sample_count);
    for (int64_t p = 0; p < loader->opts.batch && loader->own_count < loader->opts.batch; p++) /* the others' numbers */
        s->ids[p] = p < s->count ? sample_at(loader, s, p) : -1;
}

static void end_run(slot *s, int64_t count, const outcome *out)
{
    s->done += count;
    s->skipped += out->skipped;
    if (out->failed_at < 0 || out->failed_at >= s->failed_at) return;
    s->failed_at = out->failed_at;
    s->status = out->status;
    fari_error_save(&s->error);
}

static bool is_over(const far_loader *loader, int64_t number)
{
    return loader->opts.epochs > 0 && number / loader->batches >= loader->opts.epochs;
}

static bool has_work(const far_loader *loader)
{
    return !loader->is_paused && loader->make < loader->low + loader->lay.slots && !is_over(loader, loader->make);
}

/* Samples a worker takes at a time: about four turns a thread and batch. */
static int64_t run_length(const far_loader *loader)
{
    const int64_t turns = 4 * (int64_t)thread_count(&loader->opts);
    FAR_ASSERT(turns > 0); /* a worker asks */
    return (loader->own_count + turns - 1) / turns;
}

static void *work(void *arg)
{
    worker *w = arg;
    far_loader *loader = w->loader;
    const int64_t length = run_length(loader);
    fari_thread_touch();
    (void)pthread_mutex_lock(&loader->mutex);
    while (!loader->is_stopped) {
        if (!has_work(loader)) {
            fari_doing(FARI_DOING_NOTHING, 0, NULL, NULL);
            (void)pthread_cond_wait(&loader->work, &loader->mutex);
            continue;
        }
        slot *s = &loader->slots[loader->make % loader->lay.slots];
        if (loader->make_at == 0) begin_slot(loader, s, loader->make);
        const int64_t first = loader->make_at, left = loader->own_count - first, count = left < length ? left : length;
        loader->make_at += count;
        if (loader->make_at == loader->own_count) {
            loader->make_at = 0;
            loader->make++;
        }
        loader->in_flight++;
        (void)pthread_mutex_unlock(&loader->mutex);

        const outcome out = fill_run(w, s, first, count);

        (void)pthread_mutex_lock(&loader->mutex);
        loader->in_flight--;
        end_run(s, count, &out);
        if (s->done == loader->own_count || loader->in_flight == 0) (void)pthread_cond_broadcast(&loader->ready);
    }
    (void)pthread_mutex_unlock(&loader->mutex);
    return NULL;
}

/* --- life --- */

static void copy_moments(far_loader *loader)
{
    const size_t channels = (size_t)loader->maker.sizes.channels;
    far_augment *augment = &loader->maker.augment;
    if (augment->mean != NULL) memcpy(loader->moments, augment->mean, channels * sizeof(float));
    if (augment->std != NULL) memcpy(loader->moments + channels, augment->std, channels * sizeof(float));
    if (augment->mean != NULL) augment->mean = loader->moments;
    if (augment->std != NULL) augment->std = loader->moments + channels;
}

static far_status start_workers(far_loader *loader)
{
    sigset_t all, old;
    int error = 0;
    (void)sigfillset(&all); /* signals go to the program's own threads */
    (void)pthread_sigmask(SIG_SETMASK, &all, &old);
    for (int32_t i = 0; i < thread_count(&loader->opts) && error == 0; i++) {
        error = pthread_create(&loader->workers[i].thread, NULL, work, &loader->workers[i]);
        if (error == 0) loader->started++;
    }
    (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (error != 0) return FAR_FAIL(FAR_E_NOMEM, "cannot start a thread to load data: %s", strerror(error));
    return FAR_OK;
}

far_status far_loader_open(far_dataset *dataset, const far_loader_opts *opts, far_loader **loader_out)
{
    far_status st = FAR_OK;
    fari_maker maker = { 0 };
    layout lay = { 0 };
    FAR_TRY(check_opts(dataset, opts));
    FAR_TRY(fari_maker_init(dataset, &opts->augment, opts->seed, rows_of(opts), &maker));
    FAR_TRY(lay_out(&maker, opts, &lay));
    if (dataset->ops.prepare != NULL && !opts->without_pixels)
        FAR_TRY(dataset->ops.prepare(dataset->context, (int32_t)lay.threads, maker.sizes.frame.height,
                                     maker.sizes.frame.width));
    far_loader *loader = fari_calloc(1, sizeof *loader);
    if (loader == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory for a loader");
    (void)pthread_mutex_init(&loader->mutex, NULL); /* cannot fail on Linux */
    (void)pthread_cond_init(&loader->work, NULL);
    (void)pthread_cond_init(&loader->ready, NULL);
    loader->dataset = dataset;
    loader->opts = *opts;
    loader->maker = maker;
    loader->lay = lay;
    loader->own_first = opts->own_first;
    loader->own_count = own_count(opts);
    loader->sample_count = opts->sample_ids == NULL ? dataset->info.sample_count : opts->sample_count;
    loader->batches = opts->last == FAR_LAST_DROP ? loader->sample_count / opts->batch
                                                  : (loader->sample_count + opts->batch - 1) / opts->batch;
    loader->slots = fari_calloc((size_t)loader->lay.slots, sizeof *loader->slots);
    loader->workers = fari_calloc((size_t)loader->lay.threads, sizeof *loader->workers);
    loader->moments = fari_calloc(2 * (size_t)maker.sizes.channels, sizeof *loader->moments);
    loader->block = fari_alloc((size_t)loader->lay.bytes);
    if (loader->slots == NULL || loader->workers == NULL || loader->moments == NULL || loader->block == NULL) {
        st = FAR_FAIL(FAR_E_NOMEM, "no memory for a loader: %" PRId64 " bytes", far_loader_bytes(dataset, opts));
        goto close_loader;
    }
    memset(loader->block, 0, (size_t)loader->lay.bytes); /* touched once: no page faults later */
    assign(loader);
    copy_moments(loader);
    FAR_TRY_GOTO(start_workers(loader), close_loader);
    *loader_out = loader;
    return FAR_OK;
close_loader:
    far_loader_close(loader);
    return st;
}

void far_loader_close(far_loader *loader)
{
    if (loader == NULL) return;
    (void)pthread_mutex_lock(&loader->mutex);
    loader->is_stopped = true;
    (void)pthread_cond_broadcast(&loader->work);
    (void)pthread_mutex_unlock(&loader->mutex);
    for (int32_t i = 0; i < loader->started; i++) (void)pthread_join(loader->workers[i].thread, NULL);
    (void)pthread_cond_destroy(&loader->ready);
    (void)pthread_cond_destroy(&loader->work);
    (void)pthread_mutex_destroy(&loader->mutex);
    fari_free(loader->block);
    fari_free(loader->moments);
    fari_free(loader->workers);
    fari_free(loader->slots);
    fari_free(loader);
}

/* --- use --- */

static bool is_full(const far_loader *loader, const slot *s, int64_t number)
{
    return s->number == number && s->done == loader->own_count;
}

/* Leaving out is for single damaged files: where it is many, something else is wrong. */
far_status fari_loader_may_skip(int64_t skipped, int64_t samples)
{
    int64_t most = samples / 10 > SKIPPED_MIN ? samples / 10 : SKIPPED_MIN;
    if (most >= samples) most = samples - 1;
    if (skipped <= most) return FAR_OK;
    return FAR_FAIL(FAR_E_FORMAT,
                    "%" PRId64 " samples could not be read in this epoch of %" PRId64
                    ": more than the tenth that may be left out; the warnings say why",
                    skipped, samples);
}

static void count_skipped(far_loader *loader, slot *s)
{
    if (s->number % loader->batches == 0) loader->skipped = 0;
    loader->skipped += s->skipped;
    if (s->status != FAR_OK) return;
    s->status = fari_loader_may_skip(loader->skipped, loader->sample_count);
    if (s->status != FAR_OK) fari_error_save(&s->error);
}

far_status far_loader_next(far_loader *loader, far_batch *batch_out)
{
    (void)pthread_mutex_lock(&loader->mutex);
    const int64_t number = loader->next;
    loader->low = number; /* gives back the batch lent before */
    slot *s = &loader->slots[number % loader->lay.slots];
    if (is_over(loader, number)) {
        (void)pthread_mutex_unlock(&loader->mutex);
        return FAR_END;
    }
    if (loader->started == 0 && !is_full(loader, s, number)) {
        begin_slot(loader, s, number);
        const outcome out = fill_run(&loader->workers[0], s, 0, loader->own_count);
        end_run(s, loader->own_count, &out);
    }
    (void)pthread_cond_broadcast(&loader->work);
    if (!is_full(loader, s, number)) fari_doing(FARI_DOING_AWAIT_OWN, FARI_DOING_READ, NULL, NULL);
    while (!is_full(loader, s, number)) (void)pthread_cond_wait(&loader->ready, &loader->mutex);
    if (s->status == FAR_OK) count_skipped(loader, s);
    const far_status st = s->status;
    if (st == FAR_OK) {
        loader->next++;
        *batch_out = (far_batch){ .epoch = number / loader->batches,
                                  .idx = number % loader->batches,
                                  .count = s->count,
                                  .images = s->images,
                                  .labels = s->labels,
                                  .sample_ids = s->ids,
                                  .skipped = s->skipped };
    }
    (void)pthread_mutex_unlock(&loader->mutex);
    if (st == FAR_OK) return FAR_OK;
    fari_error_restore(&s->error); /* the slot stays as it is: nobody moved on */
    return fari_trace_push(st, __FILE__, __LINE__, __func__);
}

far_status far_loader_seek(far_loader *loader, int64_t epoch, int64_t batch_idx)
{
    if (epoch < 0 || batch_idx < 0 || batch_idx > loader->batches)
        return FAR_FAIL(FAR_E_ARG, "batch %" PRId64 " of epoch %" PRId64 "; an epoch has %" PRId64 " batches",
                        batch_idx, epoch, loader->batches);
    (void)pthread_mutex_lock(&loader->mutex);
    loader->is_paused = true;
    while (loader->in_flight > 0) (void)pthread_cond_wait(&loader->ready, &loader->mutex);
    for (int64_t i = 0; i < loader->lay.slots; i++) loader->slots[i].number = -1;
    loader->skipped = 0;
    loader->low = loader->next = loader->make = epoch * loader->batches + batch_idx;
    loader->make_at = 0;
    loader->is_paused = false;
    (void)pthread_cond_broadcast(&loader->work);
    (void)pthread_mutex_unlock(&loader->mutex);
    return FAR_OK;
}

int64_t far_loader_batch_count(const far_loader *loader)
{
    return loader->batches;
}

far_dataset_info far_loader_info(const far_loader *loader)
{
    far_dataset_info info = loader->dataset->info;
    info.height = loader->maker.sizes.height;
    info.width = loader->maker.sizes.width;
    info.sample_count = loader->sample_count;
    return info;
}
