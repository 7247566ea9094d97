#include "run/run_collect.h"
#include "base/mem.h"
#include <string.h>

#define PARTS 2 /* of a message: rows of the image and of the labels, or of an output */

/* A range of an item, in the hands of a rank: rows of what went in, bytes of an output. */
typedef struct holding {
    int32_t rank;
    int64_t at, count;
} holding;

/* Item 0 of a sample is what went in, image and labels; item 1 + k is output k. A message brings a range of an item. */
struct run_collect {
    const far_run *run;
    const run_side *side;
    int64_t rows, row_elems;        /* of an image */
    int64_t held_first, held_count; /* rows of it for which `image` and `labels` have room */
    int64_t row_labels;             /* labels of a row of a label map; 0: none, or one a sample */
    bool has_label;                 /* one a sample */
    float *image;                   /* first rank: of a sample; others: the rows that they have read of one */
    int32_t *labels;
    char *output; /* first rank: the largest output of a sample */
    fari_comm_message *messages;
    fari_comm_part *parts; /* [message_count][PARTS] */
    int64_t message_count, message_cap, part_cap;
    int64_t *first;   /* [batch items + 1] the first message of each item */
    int32_t *tags;    /* [ranks] messages of each so far */
    int64_t *arrived; /* [message_count] */
    fari_comm_binding *binding;
};

static bool is_first(const run_collect *c)
{
    return c->run->comm->rank == 0;
}

static int64_t items_of(const run_side *side)
{
    return 1 + side->model.count;
}

static int64_t output_bytes(const run_side *side, int32_t map)
{
    const far_value value = side->model.logits[map];
    const far_shape shape = far_graph_shape(side->graph, value);
    return far_shape_elems(&shape) / shape.dim[0] * far_dtype_bytes(fari_plan_dtype(side->plan, value));
}

/* ---- who has what ---- */

typedef far_status (*holding_fn)(run_collect *c, const holding *h, int64_t sample, int32_t item);

static far_status each_input(run_collect *c, int64_t sample, holding_fn fn)
{
    for (int64_t row = 0, end = 0; row < c->rows; row = end) {
        int64_t next = 0;
        const int32_t rank = run_side_holder(c->side, sample, row, &end);
        while (end < c->rows && run_side_holder(c->side, sample, end, &next) == rank) end = next;
        FAR_TRY(fn(c, &(holding){ rank, row, end - row }, sample, 0));
    }
    return FAR_OK;
}

static far_status each_output(run_collect *c, int64_t sample, int32_t item, holding_fn fn)
{
    const fari_part *part = c->side->plan->part;
    const int64_t bytes = output_bytes(c->side, item - 1), lo = sample * bytes, hi = lo + bytes;
    for (int64_t i = 0; i < part->result_count; i++) {
        const fari_result *r = &part->results[i];
        if (r->value != c->side->model.logits[item - 1] || r->hi <= lo || r->lo >= hi) continue;
        const int64_t from = r->lo > lo ? r->lo : lo, to = r->hi < hi ? r->hi : hi;
        FAR_TRY(fn(c, &(holding){ r->rank == FARI_EVERY_RANK ? 0 : r->rank, from - lo, to - from }, sample, item));
    }
    return FAR_OK;
}

static far_status each_holding(run_collect *c, int64_t sample, int32_t item, holding_fn fn)
{
    return item == 0 ? each_input(c, sample, fn) : each_output(c, sample, item, fn);
}

/* ---- messages ---- */

static void part_add(fari_comm_message *message, fari_comm_part *parts, const void *data, int64_t bytes)
{
    fari_comm_part *part = &parts[message->part_count++];
    part->bytes = (size_t)bytes;
    memcpy(&part->data, &data, sizeof data); /* what is sent is only read */
}

/* Between the first rank's memory of a sample and a rank's own. */
static far_status message_add(run_collect *c, const holding *h, int64_t sample, int32_t item)
{
    const int32_t tag = c->tags[h->rank]++;
    if (h->rank == 0 || (!is_first(c) && h->rank != c->run->comm->rank)) return FAR_OK;
    if (!fari_reserve((void **)&c->messages, &c->message_cap, c->message_count + 1, sizeof *c->messages) ||
        !fari_reserve((void **)&c->parts, &c->part_cap, PARTS * (c->message_count + 1), sizeof *c->parts))
        return FAR_FAIL(FAR_E_NOMEM, "no memory for the messages of a prediction");
    fari_comm_message message = { .is_send = !is_first(c), .peer = is_first(c) ? h->rank : 0, .tag = tag };
    fari_comm_part *parts = &c->parts[PARTS * c->message_count];
    if (item > 0) {
        const int64_t whole_at = sample * output_bytes(c->side, item - 1) + h->at;
        const void *own = fari_executor_data_at(c->side->exec, c->side->model.logits[item - 1], whole_at);
        part_add(&message, parts, is_first(c) ? c->output + h->at : own, h->count);
    } else {
        const int64_t at = h->at - c->held_first;
        part_add(&message, parts, c->image + at * c->row_elems, h->count * c->row_elems * (int64_t)sizeof(float));
        if (c->row_labels > 0)
            part_add(&message, parts, c->labels + at * c->row_labels,
                     h->count * c->row_labels * (int64_t)sizeof(int32_t));
        else if (c->has_label && h->at == 0) part_add(&message, parts, c->labels, sizeof(int32_t));
    }
    c->messages[c->message_count++] = message;
    return FAR_OK;
}

static far_status messages_make(run_collect *c)
{
    const int64_t items = items_of(c->side);
    for (int64_t sample = 0; sample < c->side->batch; sample++)
        for (int32_t item = 0; item < items; item++) {
            FAR_TRY(each_holding(c, sample, item, message_add));
            c->first[sample * items + item + 1] = c->message_count;
        }
    for (int64_t i = 0; i < c->message_count; i++) c->messages[i].parts = &c->parts[PARTS * i];
    c->arrived = fari_alloc((size_t)(c->message_count + 1) * sizeof *c->arrived);
    if (c->arrived == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory for the messages of a prediction");
    return c->run->comm->ops->bind(c->run->comm, c->messages, c->message_count, &c->binding);
}

/* The messages of an item, until all are there. */
static far_status exchange(run_collect *c, int64_t sample, int32_t item)
{
    fari_comm *comm = c->run->comm;
    const int64_t idx = sample * items_of(c->side) + item, end = c->first[idx + 1];
    int64_t open = 0, count = 0;
    for (int64_t i = c->first[idx]; i < end; i++, open++) FAR_TRY(comm->ops->start(comm, c->binding, i));
    while (open > 0) {
        FAR_TRY(comm->ops->poll(comm, c->binding, c->arrived, c->message_count, &count));
        if (count == 0) comm->ops->pause(comm);
        open -= count;
    }
    return FAR_OK;
}

/* ---- memory ---- */

static int64_t image_bytes(const run_collect *c)
{
    return c->held_count * c->row_elems * (int64_t)sizeof(float);
}

static int64_t label_bytes(const run_collect *c)
{
    return (c->row_labels > 0 ? c->held_count * c->row_labels : c->has_label) * (int64_t)sizeof(int32_t);
}

static int64_t most_output_bytes(const run_side *side)
{
    int64_t most = 1;
    for (int32_t map = 0; map < side->model.count; map++)
        if (output_bytes(side, map) > most) most = output_bytes(side, map);
    return most;
}

static run_collect shape_of(const far_run *run, const run_side *side, const far_dataset_info *info)
{
    const int64_t rows = run_side_rows(side), row_pixels = side->height * side->width / rows;
    const int64_t planes = info->label_planes > 1 ? info->label_planes : 1;
    const bool is_whole = run->comm->rank == 0;
    return (run_collect){ .run = run,
                          .side = side,
                          .rows = rows,
                          .held_first = is_whole ? 0 : side->row_first,
                          .held_count = is_whole ? rows : side->row_count,
                          .row_elems = row_pixels * info->channels,
                          .row_labels = info->label == FAR_LABEL_MAP ? row_pixels * planes : 0,
                          .has_label = info->label == FAR_LABEL_CLASS };
}

int64_t run_collect_bytes(const far_run *run, const run_side *side, const far_dataset_info *info)
{
    const run_collect c = shape_of(run, side, info);
    return image_bytes(&c) + label_bytes(&c) + (run->comm->rank == 0 ? most_output_bytes(side) : 0);
}

far_status run_collect_open(const far_run *run, const run_side *side, const far_dataset_info *info,
                            run_collect **collect_out)
{
    far_status st = FAR_OK;
    run_collect *c = fari_calloc(1, sizeof *c);
    if (c == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory for the messages of a prediction");
    *c = shape_of(run, side, info);
    c->image = fari_alloc((size_t)image_bytes(c));
    c->labels = fari_alloc((size_t)label_bytes(c) + 1);
    c->output = is_first(c) ? fari_alloc((size_t)most_output_bytes(side)) : NULL;
    c->first = fari_calloc((size_t)(side->batch * items_of(side)) + 1, sizeof *c->first);
    c->tags = fari_calloc((size_t)run->comm->world_size, sizeof *c->tags);
    if (c->image == NULL || c->labels == NULL || c->first == NULL || c->tags == NULL ||
        (is_first(c) && c->output == NULL)) {
        st = FAR_FAIL(FAR_E_NOMEM, "no memory for the results of a sample");
        goto failed;
    }
    FAR_TRY_GOTO(messages_make(c), failed);
    *collect_out = c;
    return FAR_OK;
failed:
    run_collect_close(c);
    return st;
}

void run_collect_close(run_collect *c)
{
    if (c == NULL) return;
    if (c->binding != NULL) c->run->comm->ops->unbind(c->run->comm, c->binding);
    fari_free(c->image);
    fari_free(c->labels);
    fari_free(c->output);
    fari_free(c->messages);
    fari_free(c->parts);
    fari_free(c->first);
    fari_free(c->tags);
    fari_free(c->arrived);
    fari_free(c);
}

/* ---- one sample ---- */

/* Where no batch has them. */
static far_status make_own_rows(const run_collect *c, const far_batch *batch, int64_t sample, const holding *h)
{
    const int64_t to = h->at - c->held_first;
    FAR_TRY(run_rows_image(c->side, batch, sample, h->at, h->count, c->image + to * c->row_elems));
    if (c->row_labels > 0)
        return run_rows_labels(c->side, batch, sample, h->at, h->count, c->labels + to * c->row_labels);
    return c->has_label && h->at == 0 ? run_rows_labels(c->side, batch, sample, 0, 1, c->labels) : FAR_OK;
}

/* What this rank has read of a sample, to where messages take it from or where it is looked at. */
static far_status take_own_rows(run_collect *c, const far_batch *batch, int64_t sample, const holding *h)
{
    const int64_t place = sample - c->side->own_first, to = h->at - c->held_first;
    if (c->side->rows != NULL) return make_own_rows(c, batch, sample, h);
    const int64_t from = place * c->side->row_count + h->at - c->side->row_first;
    memcpy(c->image + to * c->row_elems, batch->images + from * c->row_elems,
           (size_t)(h->count * c->row_elems) * sizeof *c->image);
    if (c->row_labels > 0)
        memcpy(c->labels + to * c->row_labels, batch->labels + from * c->row_labels,
               (size_t)(h->count * c->row_labels) * sizeof *c->labels);
    else if (c->has_label && h->at == 0) c->labels[0] = batch->labels[place];
    return FAR_OK;
}

far_status run_collect_inputs(run_collect *c, const far_batch *batch, int64_t idx, const float **image_out,
                              const int32_t **labels_out)
{
    for (int64_t row = 0, end = 0; row < c->rows; row = end)
        if (run_side_holder(c->side, idx, row, &end) == c->run->comm->rank)
            FAR_TRY(take_own_rows(c, batch, idx, &(holding){ 0, row, end - row }));
    FAR_TRY(exchange(c, idx, 0));
    *image_out = c->image;
    *labels_out = c->row_labels > 0 || c->has_label ? c->labels : NULL;
    return FAR_OK;
}

static far_status copy_own_output(run_collect *c, const holding *h, int64_t sample, int32_t item)
{
    const far_value value = c->side->model.logits[item - 1];
    if (h->rank != 0) return FAR_OK;
    memcpy(c->output + h->at,
           fari_executor_data_at(c->side->exec, value, sample * output_bytes(c->side, item - 1) + h->at),
           (size_t)h->count);
    return FAR_OK;
}

far_status run_collect_output(run_collect *c, int64_t idx, int32_t map, const void **data_out)
{
    if (is_first(c)) FAR_TRY(each_output(c, idx, map + 1, copy_own_output));
    FAR_TRY(exchange(c, idx, map + 1));
    *data_out = c->output;
    return FAR_OK;
}
