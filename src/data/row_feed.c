/* Rows are made in pieces of at most PIECE_BYTES as read, in the scratch of a desk that a thread borrows; where nothing moves, straight in place. Of
   readers that want order there is one desk, so that a tile that the rows of several threads lie in is decoded once. */
#include "data/row_feed.h"
#include "base/doing.h"
#include "base/mem.h"
#include "base/status.h"
#include "data/dataset.h"
#include "data/maker.h"
#include <pthread.h>
#include <string.h>

#define PIECE_BYTES (INT64_C(1) << 20)

typedef struct desk {
    fari_maker_scratch scratch;
    struct desk *next; /* free ones */
} desk;

struct fari_row_feed {
    fari_maker maker;
    int64_t piece_rows; /* made at once; as many as are asked for where no scratch is needed */
    float *moments;     /* mean, then std: copies */
    desk *desks;
    int32_t desk_count;
    pthread_mutex_t mutex;
    pthread_cond_t returned;
    desk *free_desks; /* under the mutex */
};

/* ---- what can be served ---- */

far_status fari_row_feed_check(const far_dataset *dataset, const far_augment *augment)
{
    const far_dataset_ops *ops = &dataset->ops;
    const char *why = ops->why_not_rows != NULL ? ops->why_not_rows(dataset->context) : NULL;
    if (why != NULL) return FAR_FAIL(FAR_E_UNSUPPORTED, "rows cannot be read one by one: %s", why);
    if (ops->read_rows == NULL && ops->read_region == NULL)
        return FAR_FAIL(FAR_E_UNSUPPORTED, "rows cannot be read one by one: this data set reads samples whole");
    if (fari_augment_wants_whole(augment))
        return FAR_FAIL(FAR_E_UNSUPPORTED,
                        "rows cannot be made one by one: quarter turns, changes of contrast and resizing look at whole "
                        "images");
    return FAR_OK;
}

/* Rows of a batch whose pixels, as read, take about that many bytes. */
static int64_t piece_rows_of(const far_dataset_info *info, const far_augment *augment, int64_t piece_bytes)
{
    const int64_t planes = info->label_planes > info->channels ? info->label_planes : info->channels;
    const int64_t row_bytes = (info->width * planes * (int64_t)sizeof(float)) << augment->downsample;
    return row_bytes < piece_bytes ? piece_bytes / row_bytes : 1;
}

static far_status init(far_dataset *dataset, const fari_row_feed_opts *opts, fari_row_feed *feed)
{
    fari_augment_sizes sizes;
    FAR_TRY(fari_row_feed_check(dataset, &opts->augment));
    FAR_TRY(fari_augment_check(&opts->augment, &dataset->info, &sizes));
    const bool is_placed = fari_augment_in_place(&opts->augment) && dataset->ops.reads_apart;
    const int64_t piece_bytes = opts->piece_bytes > 0 ? opts->piece_bytes : PIECE_BYTES;
    const int64_t rows = is_placed ? sizes.height : piece_rows_of(&dataset->info, &opts->augment, piece_bytes);
    feed->piece_rows = rows < sizes.height ? rows : sizes.height;
    feed->desk_count = opts->readers > 0 && !dataset->ops.wants_order ? opts->readers : 1;
    return fari_maker_init(dataset, &opts->augment, opts->seed,
                           (fari_maker_rows){ .count = feed->piece_rows, .is_on_demand = true }, &feed->maker);
}

/* ---- memory ---- */

/* Of one desk. Samples are read straight into their place where nothing moves and each is asked for alone. */
static far_status desk_needs(const fari_row_feed *feed, const fari_row_feed_opts *opts, fari_maker_needs *needs_out)
{
    const far_dataset *dataset = feed->maker.dataset;
    fari_maker maker = feed->maker;
    if (!dataset->ops.reads_apart) maker.is_in_place = false;
    FAR_TRY(fari_maker_needs_of(&maker, opts->sample_ids, opts->sample_count, needs_out));
    needs_out->whole.resize_bytes = 0; /* nothing is resized */
    return FAR_OK;
}

static int64_t needs_bytes(const fari_maker_needs *needs)
{
    return needs->raw + needs->raw_map + needs->whole.image_bytes + needs->whole.label_bytes;
}

far_status fari_row_feed_bytes(far_dataset *dataset, const fari_row_feed_opts *opts, int64_t *bytes_out)
{
    fari_row_feed feed = { 0 };
    fari_maker_needs needs;
    FAR_TRY(init(dataset, opts, &feed));
    FAR_TRY(desk_needs(&feed, opts, &needs));
    const int64_t width = feed.maker.sizes.frame.width; /* of however many rows: nothing is resized */
    *bytes_out = (int64_t)sizeof feed + feed.desk_count * ((int64_t)sizeof(desk) + needs_bytes(&needs)) +
                 2 * dataset->info.channels * (int64_t)sizeof(float);
    if (dataset->ops.prepare_bytes != NULL)
        *bytes_out += dataset->ops.prepare_bytes(dataset->context, feed.desk_count, width, width);
    return FAR_OK;
}

static far_status allocate_block(void **block_out, int64_t bytes)
{
    *block_out = NULL;
    if (bytes == 0) return FAR_OK;
    *block_out = fari_calloc(1, (size_t)bytes); /* touched: no page faults later */
    return *block_out != NULL ? FAR_OK : FAR_FAIL(FAR_E_NOMEM, "no memory to read rows: %lld bytes", (long long)bytes);
}

static far_status make_desk(const fari_maker_needs *needs, desk *d)
{
    FAR_TRY(allocate_block((void **)&d->scratch.raw, needs->raw));
    FAR_TRY(allocate_block((void **)&d->scratch.raw_map, needs->raw_map));
    FAR_TRY(allocate_block((void **)&d->scratch.whole.image, needs->whole.image_bytes));
    return allocate_block((void **)&d->scratch.whole.labels, needs->whole.label_bytes);
}

static far_status make_desks(fari_row_feed *feed, const fari_row_feed_opts *opts)
{
    fari_maker_needs needs;
    FAR_TRY(desk_needs(feed, opts, &needs));
    feed->desks = fari_calloc((size_t)feed->desk_count, sizeof *feed->desks);
    if (feed->desks == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory to read rows");
    for (int32_t i = 0; i < feed->desk_count; i++) {
        FAR_TRY(make_desk(&needs, &feed->desks[i]));
        feed->desks[i].next = feed->free_desks;
        feed->free_desks = &feed->desks[i];
    }
    return FAR_OK;
}

static far_status copy_moments(fari_row_feed *feed)
{
    const size_t channels = (size_t)feed->maker.sizes.channels;
    far_augment *augment = &feed->maker.augment;
    feed->moments = fari_calloc(2 * channels, sizeof *feed->moments);
    if (feed->moments == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory to read rows");
    if (augment->mean != NULL) memcpy(feed->moments, augment->mean, channels * sizeof(float));
    if (augment->std != NULL) memcpy(feed->moments + channels, augment->std, channels * sizeof(float));
    if (augment->mean != NULL) augment->mean = feed->moments;
    if (augment->std != NULL) augment->std = feed->moments + channels;
    return FAR_OK;
}

far_status fari_row_feed_open(far_dataset *dataset, const fari_row_feed_opts *opts, fari_row_feed **feed_out)
{
    far_status st;
    fari_row_feed *feed = fari_calloc(1, sizeof *feed);
    if (feed == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory to read rows");
    (void)pthread_mutex_init(&feed->mutex, NULL); /* cannot fail on Linux */
    (void)pthread_cond_init(&feed->returned, NULL);
    FAR_TRY_GOTO(init(dataset, opts, feed), close_feed);
    const int64_t width = feed->maker.sizes.frame.width;
    if (dataset->ops.prepare != NULL)
        FAR_TRY_GOTO(dataset->ops.prepare(dataset->context, feed->desk_count, width, width), close_feed);
    FAR_TRY_GOTO(copy_moments(feed), close_feed);
    FAR_TRY_GOTO(make_desks(feed, opts), close_feed);
    *feed_out = feed;
    return FAR_OK;
close_feed:
    fari_row_feed_close(feed);
    return st;
}

void fari_row_feed_close(fari_row_feed *feed)
{
    if (feed == NULL) return;
    for (int32_t i = 0; i < feed->desk_count && feed->desks != NULL; i++) {
        fari_free(feed->desks[i].scratch.raw);
        fari_free(feed->desks[i].scratch.raw_map);
        fari_free(feed->desks[i].scratch.whole.image);
        fari_free(feed->desks[i].scratch.whole.labels);
    }
    fari_free(feed->desks);
    fari_free(feed->moments);
    (void)pthread_cond_destroy(&feed->returned);
    (void)pthread_mutex_destroy(&feed->mutex);
    fari_free(feed);
}

/* ---- rows ---- */

static desk *borrow(fari_row_feed *feed)
{
    (void)pthread_mutex_lock(&feed->mutex);
    while (feed->free_desks == NULL) (void)pthread_cond_wait(&feed->returned, &feed->mutex);
    desk *d = feed->free_desks;
    feed->free_desks = d->next;
    (void)pthread_mutex_unlock(&feed->mutex);
    return d;
}

static void give_back(fari_row_feed *feed, desk *d)
{
    (void)pthread_mutex_lock(&feed->mutex);
    d->next = feed->free_desks;
    feed->free_desks = d;
    (void)pthread_cond_signal(&feed->returned);
    (void)pthread_mutex_unlock(&feed->mutex);
}

/* Which rows of which sample. */
typedef struct wanted {
    int64_t epoch, sample, row_lo, row_hi;
} wanted;

/* Image or labels, the other NULL. */
static far_status make_rows(fari_row_feed *feed, const wanted *w, float *image, int32_t *labels)
{
    const fari_maker *base = &feed->maker;
    far_status st = FAR_OK;
    FAR_ASSERT(w->row_lo >= 0 && w->row_lo < w->row_hi && w->row_hi <= base->sizes.height);
    fari_doing(FARI_DOING_READ, w->sample, NULL, NULL);
    desk *d = borrow(feed);
    for (int64_t row = w->row_lo; row < w->row_hi && st == FAR_OK; row += feed->piece_rows) {
        const int64_t left = w->row_hi - row;
        const fari_maker maker = fari_maker_of_rows(base, row, left < feed->piece_rows ? left : feed->piece_rows);
        if (w->sample < 0) fari_maker_blank(&maker, image, labels);
        else st = fari_maker_make(&maker, &d->scratch, w->epoch, w->sample, image, labels);
        if (image != NULL) image += maker.image_elems;
        if (labels != NULL) labels += maker.label_elems;
    }
    give_back(feed, d);
    return st;
}

far_status fari_row_feed_image(fari_row_feed *feed, int64_t epoch, int64_t sample, int64_t row_lo, int64_t row_hi,
                               float *image_out)
{
    return make_rows(feed, &(wanted){ epoch, sample, row_lo, row_hi }, image_out, NULL);
}

/* Each label `times` times, in place: they lie at the end of the room and spread from its beginning. */
static void repeat(int32_t *out, int64_t labels, int64_t times)
{
    const int32_t *from = out + labels * (times - 1);
    for (int64_t i = 0; i < labels; i++) {
        const int32_t label = from[i];
        for (int64_t k = 0; k < times; k++) out[i * times + k] = label;
    }
}

far_status fari_row_feed_labels(fari_row_feed *feed, int64_t epoch, int64_t sample, int64_t row_lo, int64_t row_hi,
                                int64_t times, int32_t *labels_out)
{
    const fari_maker *maker = &feed->maker;
    far_dataset *dataset = maker->dataset;
    if (dataset->info.label == FAR_LABEL_MAP) {
        const int64_t labels = (row_hi - row_lo) * maker->sizes.width * maker->sizes.map_planes;
        FAR_TRY(make_rows(feed, &(wanted){ epoch, sample, row_lo, row_hi }, NULL, labels_out + labels * (times - 1)));
        if (times > 1) repeat(labels_out, labels, times);
        return FAR_OK;
    }
    return make_rows(feed, &(wanted){ epoch, sample, 0, 1 }, NULL, labels_out); /* a class, with any row */
}
