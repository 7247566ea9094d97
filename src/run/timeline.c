#include "run/timeline.h"
#include "base/mem.h"
#include "run/exec_spill.h"
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define LANES_MAX 64 /* of messages on the way at once; more are drawn in the last one */
/* Tracks beside those of threads, which have their numbers. */
#define STEP_TRACK 9000
#define WAIT_TRACK 10000
#define ARRIVING_TRACK 11000
#define LEAVING_TRACK 12000
#define DISK_TRACK 13000

typedef struct step_record {
    int64_t step;
    double asked_s, begin_s, end_s;
    fari_instr_time *times; /* [instr_count] */
    fari_exec_wait *waits;  /* [message_count] */
    int64_t wait_count;
} step_record;

struct fari_timeline {
    const fari_plan *plan;
    step_record steps[FARI_TIMELINE_STEPS];
    int64_t step_count, message_count;
    double *
        sent_s; /* [message_count][FARI_TIMELINE_STEPS] of messages that come here: when they were sent; NaN: not known */
};

far_status fari_timeline_create(const fari_plan *plan, fari_timeline **timeline_out)
{
    fari_timeline *t = fari_calloc(1, sizeof *t);
    bool is_there = t != NULL;
    if (is_there) {
        t->plan = plan;
        t->message_count = plan->part != NULL ? plan->part->message_count : 0;
        t->sent_s = fari_calloc((size_t)t->message_count + 1, FARI_TIMELINE_STEPS * sizeof *t->sent_s);
        is_there = t->sent_s != NULL;
    }
    for (int32_t s = 0; is_there && s < FARI_TIMELINE_STEPS; s++) {
        t->steps[s].times = fari_calloc((size_t)plan->instr_count + 1, sizeof *t->steps[s].times);
        t->steps[s].waits = fari_calloc((size_t)t->message_count + 1, sizeof *t->steps[s].waits);
        is_there = t->steps[s].times != NULL && t->steps[s].waits != NULL;
    }
    if (!is_there) {
        fari_timeline_destroy(t);
        return FAR_FAIL(FAR_E_NOMEM, "no memory to trace %d steps", FARI_TIMELINE_STEPS);
    }
    for (int64_t i = 0; i < t->message_count * FARI_TIMELINE_STEPS; i++) t->sent_s[i] = NAN;
    *timeline_out = t;
    return FAR_OK;
}

void fari_timeline_destroy(fari_timeline *t)
{
    if (t == NULL) return;
    for (int32_t s = 0; s < FARI_TIMELINE_STEPS; s++) {
        fari_free(t->steps[s].times);
        fari_free(t->steps[s].waits);
    }
    fari_free(t->sent_s);
    fari_free(t);
}

int64_t fari_timeline_bytes(const fari_plan *plan)
{
    const int64_t messages = plan->part != NULL ? plan->part->message_count : 0;
    return plan->instr_count * (FARI_TIMELINE_STEPS + 1) * (int64_t)sizeof(fari_instr_time) +
           messages * ((FARI_TIMELINE_STEPS + 1) * (int64_t)sizeof(fari_exec_wait) +
                       FARI_TIMELINE_STEPS * (int64_t)sizeof(double));
}

void fari_timeline_add(fari_timeline *t, const fari_executor *exec, int64_t step, double asked_s, double begin_s,
                       double end_s)
{
    if (t->step_count == FARI_TIMELINE_STEPS) return;
    step_record *r = &t->steps[t->step_count++];
    const fari_exec_wait *waits = fari_executor_waits(exec, &r->wait_count);
    r->step = step;
    r->asked_s = asked_s;
    r->begin_s = begin_s;
    r->end_s = end_s;
    memcpy(r->times, fari_executor_times(exec), (size_t)t->plan->instr_count * sizeof *r->times);
    if (r->wait_count > 0) memcpy(r->waits, waits, (size_t)r->wait_count * sizeof *r->waits);
}

int64_t fari_timeline_steps(const fari_timeline *t)
{
    return t->step_count;
}

double fari_timeline_begin_s(const fari_timeline *t)
{
    return t->step_count > 0 ? t->steps[0].asked_s : 0.0;
}

/* ---- what ranks tell each other ---- */

static bool is_sent(const fari_timeline *t, int64_t message)
{
    return t->plan->part->messages[message].from == t->plan->opts.rank;
}

int64_t fari_timeline_send_count(const fari_timeline *t)
{
    int64_t count = 0;
    for (int64_t i = 0; i < t->message_count; i++) count += is_sent(t, i);
    return count;
}

void fari_timeline_sends(const fari_timeline *t, fari_timeline_send *sends_out)
{
    for (int64_t i = 0; i < t->message_count; i++) {
        const fari_message *m = &t->plan->part->messages[i];
        if (!is_sent(t, i)) continue;
        *sends_out = (fari_timeline_send){ .to = m->to, .tag = m->tag };
        for (int64_t s = 0; s < t->step_count; s++) sends_out->begin_s[s] = t->steps[s].times[m->instr].begin_s;
        sends_out++;
    }
}

/* Both sides list the messages of a pair by their tags. */
void fari_timeline_hear(fari_timeline *t, int32_t from, const fari_timeline_send *sends, int64_t count)
{
    int64_t at = 0;
    for (int64_t i = 0; i < t->message_count; i++) {
        const fari_message *m = &t->plan->part->messages[i];
        if (m->from != from || m->to != t->plan->opts.rank) continue;
        while (at < count && (sends[at].to != m->to || sends[at].tag != m->tag)) at++;
        if (at == count) return;
        for (int64_t s = 0; s < t->step_count; s++) t->sent_s[i * FARI_TIMELINE_STEPS + s] = sends[at].begin_s[s];
    }
}

double fari_timeline_least_s(const fari_timeline *t, int32_t from)
{
    double least = INFINITY;
    for (int64_t i = 0; i < t->message_count; i++) {
        const fari_message *m = &t->plan->part->messages[i];
        if (m->from != from || m->to != t->plan->opts.rank) continue;
        for (int64_t s = 0; s < t->step_count; s++)
            least = fmin(least, t->steps[s].times[m->instr].end_s - t->sent_s[i * FARI_TIMELINE_STEPS + s]);
    }
    return least;
}

/* ---- what a message carries ---- */

typedef enum cargo { CARGO_SUMS, CARGO_RESULTS, CARGO_ROWS } cargo;
static const char *const cargo_names[] = { "partial sums", "results of sums", "rows" };

static cargo cargo_of(const fari_plan *plan, const fari_message_part *part)
{
    if (part->data >= plan->graph->tensor_count) return CARGO_SUMS;
    return plan->graph->tensors[part->data]->batch_of > 0 ? CARGO_ROWS : CARGO_RESULTS;
}

/* Of a part: the tensor, or the one that a sum becomes. */
static const char *part_name(const fari_plan *plan, const fari_message *m, int32_t part)
{
    const int64_t view = plan->instrs[m->instr].view0 + part;
    return plan->graph->tensors[plan->buffers[plan->view_buffer[view]].tensor]->name;
}

/* Tensors, not ranges: parts of one lie side by side in the list. */
static int32_t names_count(const fari_plan *plan, const fari_message *m)
{
    int32_t count = 0;
    for (int32_t p = 0; p < m->part_count; p++)
        count += p == 0 || strcmp(part_name(plan, m, p), part_name(plan, m, p - 1)) != 0;
    return count;
}

static void print_cargo(const fari_plan *plan, const fari_message *m, fari_text *text)
{
    char name[256];
    const int32_t others = names_count(plan, m) - 1;
    const char *what = cargo_names[cargo_of(plan, &plan->part->parts[m->part0])];
    int used = snprintf(name, sizeof name, "%s: %s", what, part_name(plan, m, 0));
    if (others > 0 && used > 0 && (size_t)used < sizeof name)
        (void)snprintf(name + used, sizeof name - (size_t)used, " and %d more", (int)others);
    fari_text_json(text, name);
}

/* ---- events ---- */

/* A message between its ends. */
typedef struct travel {
    double begin_us, end_us;
    int64_t message;
} travel;

/* What overlaps in time is drawn side by side. */
typedef struct lanes {
    double end_us[LANES_MAX]; /* of the last message in each */
    int32_t count;
} lanes;

typedef struct printing {
    const fari_timeline *timeline;
    fari_timeline_view view;
    fari_text *text;
    int32_t rank;
    travel *travels; /* [message_count] of the step at hand */
    lanes arriving, leaving;
} printing;

/* Microseconds since the trace's zero. */
static double at_us(const printing *p, double clock_s, int32_t of_rank)
{
    const double ahead_s = p->view.ahead != NULL ? p->view.ahead[of_rank] : 0.0;
    return 1e6 * (clock_s - ahead_s - p->view.zero_s);
}

static void event_begin(const printing *p, int32_t track, double begin_us, double end_us)
{
    fari_text_add(p->text, "{\"ph\":\"X\",\"pid\":%d,\"tid\":%d,\"ts\":%.3f,\"dur\":%.3f,\"name\":", (int)p->rank,
                  (int)track, begin_us, fmax(end_us - begin_us, 0.0));
}

static void track_name(const printing *p, int32_t track, const char *name, int32_t number)
{
    fari_text_add(p->text, "{\"ph\":\"M\",\"pid\":%d,\"tid\":%d,\"name\":\"thread_name\",\"args\":{\"name\":\"%s",
                  (int)p->rank, (int)track, name);
    if (number >= 0) fari_text_add(p->text, " %d", (int)number);
    fari_text_add(p->text,
                  "\"}},\n{\"ph\":\"M\",\"pid\":%d,\"tid\":%d,\"name\":\"thread_sort_index\",\"args\":{"
                  "\"sort_index\":%d}},\n",
                  (int)p->rank, (int)track, (int)track);
}

/* "conv conv1", and where of the tensor it works. */
static void print_instr(const printing *p, int64_t idx, const fari_instr_time *time)
{
    static const char *const phases[] = { "forward", "backward", "update" };
    static const char *const kinds[] = { "", "add up ", "pack ", "unpack " };
    const fari_plan *plan = p->timeline->plan;
    const fari_instr *instr = &plan->instrs[idx];
    const fari_node *node = instr->node >= 0 ? plan->graph->nodes[instr->node] : NULL;
    char name[256];
    event_begin(p, time->thread, at_us(p, time->begin_s, p->rank), at_us(p, time->end_s, p->rank));
    if (node == NULL) (void)snprintf(name, sizeof name, "feed input %d", (int)instr->aux);
    else (void)snprintf(name, sizeof name, "%s%s %s", kinds[instr->kind], node->op->name, node->name);
    fari_text_json(p->text, name);
    fari_text_add(p->text, ",\"cat\":\"%s\"", node != NULL ? phases[node->phase] : phases[FARI_FORWARD]);
    if (instr->kind == FARI_INSTR_CALL && instr->in_count + instr->out_count > 0) {
        const fari_view *view = &plan->views[instr->view0 + (instr->out_count > 0 ? instr->in_count : 0)];
        fari_text_add(p->text, ",\"args\":{\"instruction\":%" PRId64 ",\"sample\":%" PRId64 ",\"row\":%" PRId64 "}",
                      idx, view->sample0, view->row0);
    }
    fari_text_add(p->text, "},\n");
}

/* A piece of a tensor that went to disk, or came back. */
static void print_move(const printing *p, int64_t idx, const fari_instr_time *time)
{
    const fari_plan *plan = p->timeline->plan;
    const fari_instr *instr = &plan->instrs[idx];
    const fari_buffer *buffer = &plan->buffers[plan->view_buffer[instr->view0]];
    char name[256];
    event_begin(p, DISK_TRACK + FARI_THREAD_OF_DISK - time->thread, at_us(p, time->begin_s, p->rank),
                at_us(p, time->end_s, p->rank));
    (void)snprintf(name, sizeof name, "%s %s", instr->kind == FARI_INSTR_WRITE ? "write" : "read",
                   plan->graph->tensors[buffer->tensor]->name);
    fari_text_json(p->text, name);
    fari_text_add(p->text, ",\"cat\":\"disk\",\"args\":{\"instruction\":%" PRId64 ",\"bytes\":%" PRId64 "}},\n", idx,
                  plan->views[instr->view0].dim[0]);
}

/* One that comes here: from its start by the sender, where that is known, to its end here. One that goes: until it needs its bytes no more. */
static travel travel_of(const printing *p, int64_t idx, int64_t step)
{
    const fari_timeline *t = p->timeline;
    const fari_message *m = &t->plan->part->messages[idx];
    const fari_instr_time *time = &t->steps[step].times[m->instr];
    const double sent_s = t->sent_s[idx * FARI_TIMELINE_STEPS + step];
    const bool is_known = !is_sent(t, idx) && isfinite(sent_s);
    return (travel){ is_known ? at_us(p, sent_s, m->from) : at_us(p, time->begin_s, p->rank),
                     at_us(p, time->end_s, p->rank), idx };
}

static int by_begin(const void *a, const void *b)
{
    const travel *x = a, *y = b;
    if (x->begin_us != y->begin_us) return x->begin_us < y->begin_us ? -1 : 1;
    return (x->message > y->message) - (x->message < y->message);
}

static int32_t lane_take(lanes *all, const travel *of)
{
    int32_t lane = 0;
    while (lane < LANES_MAX - 1 && lane < all->count && all->end_us[lane] > of->begin_us) lane++;
    if (lane == all->count) all->count++;
    all->end_us[lane] = of->end_us;
    return lane;
}

static void print_message(printing *p, const travel *of)
{
    const fari_timeline *t = p->timeline;
    const fari_message *m = &t->plan->part->messages[of->message];
    const bool is_from_here = is_sent(t, of->message);
    const int32_t lane =
        is_from_here ? LEAVING_TRACK + lane_take(&p->leaving, of) : ARRIVING_TRACK + lane_take(&p->arriving, of);
    event_begin(p, lane, of->begin_us, of->end_us);
    print_cargo(t->plan, m, p->text);
    fari_text_add(p->text,
                  ",\"cat\":\"message\",\"args\":{\"bucket\":%" PRId64 ",\"%s\":%d,\"tag\":%d,\"bytes\":%" PRId64
                  ",\"tensors\":%d}},\n",
                  of->message, is_from_here ? "to" : "from", (int)(is_from_here ? m->to : m->from), (int)m->tag,
                  m->bytes, (int)names_count(t->plan, m));
}

static void print_messages(printing *p, int64_t step)
{
    const int64_t count = p->timeline->message_count;
    for (int64_t i = 0; i < count; i++) p->travels[i] = travel_of(p, i, step);
    if (count > 0) qsort(p->travels, (size_t)count, sizeof *p->travels, by_begin);
    for (int64_t i = 0; i < count; i++) print_message(p, &p->travels[i]);
}

static void print_waits(const printing *p, const step_record *r)
{
    const fari_plan *plan = p->timeline->plan;
    for (int64_t i = 0; i < r->wait_count; i++) {
        const fari_message *m = &plan->part->messages[plan->instrs[r->waits[i].instr].aux];
        event_begin(p, WAIT_TRACK, at_us(p, r->waits[i].begin_s, p->rank), at_us(p, r->waits[i].end_s, p->rank));
        fari_text_add(p->text, "\"nothing to compute\",\"cat\":\"wait\",\"args\":{\"until\":");
        print_cargo(plan, m, p->text);
        fari_text_add(p->text, ",\"%s\":%d}},\n", m->from == p->rank ? "to" : "from",
                      (int)(m->from == p->rank ? m->to : m->from));
    }
}

static void print_step(printing *p, int64_t step)
{
    const fari_timeline *t = p->timeline;
    const step_record *r = &t->steps[step];
    event_begin(p, STEP_TRACK, at_us(p, r->asked_s, p->rank), at_us(p, r->begin_s, p->rank));
    fari_text_add(p->text, "\"wait for data\"},\n");
    event_begin(p, STEP_TRACK, at_us(p, r->begin_s, p->rank), at_us(p, r->end_s, p->rank));
    fari_text_add(p->text, "\"step %" PRId64 "\"},\n", r->step);
    for (int64_t i = 0; i < t->plan->instr_count; i++)
        if (fari_instr_is_move(&t->plan->instrs[i])) print_move(p, i, &r->times[i]);
        else if (r->times[i].thread >= 0) print_instr(p, i, &r->times[i]);
    print_messages(p, step);
    print_waits(p, r);
}

static void print_tracks(const printing *p)
{
    const int32_t ranks = fari_mesh_ranks(&p->timeline->plan->opts.mesh);
    track_name(p, STEP_TRACK, "steps", -1);
    for (int32_t i = 0; i < p->timeline->plan->opts.threads; i++) track_name(p, i, "thread", i);
    if (ranks > 1) track_name(p, WAIT_TRACK, "waiting", -1);
    for (int32_t i = 0; i < FARI_SPILL_THREADS && p->timeline->plan->spill_bytes > 0; i++)
        track_name(p, DISK_TRACK + i, "disk", i);
    for (int32_t i = 0; i < p->arriving.count; i++) track_name(p, ARRIVING_TRACK + i, "arriving", i);
    for (int32_t i = 0; i < p->leaving.count; i++) track_name(p, LEAVING_TRACK + i, "leaving", i);
}

static void print_process(const printing *p)
{
    char name[128];
    const int32_t ranks = fari_mesh_ranks(&p->timeline->plan->opts.mesh);
    (void)snprintf(name, sizeof name, "rank %d%s%s", (int)p->rank, p->view.host != NULL ? " on " : "",
                   p->view.host != NULL ? p->view.host : "");
    fari_text_add(p->text, "{\"ph\":\"M\",\"pid\":%d,\"name\":\"process_sort_index\",\"args\":{\"sort_index\":%d}},\n",
                  (int)p->rank, (int)p->rank);
    fari_text_add(p->text, "{\"ph\":\"M\",\"pid\":%d,\"name\":\"process_name\",\"args\":{\"name\":", (int)p->rank);
    fari_text_json(p->text, name);
    fari_text_add(p->text, "}}%s\n", p->rank + 1 < ranks ? "," : "");
}

far_status fari_timeline_print(const fari_timeline *t, const fari_timeline_view *view, fari_text *text)
{
    printing p = { .timeline = t, .view = *view, .text = text, .rank = t->plan->opts.rank };
    p.travels = fari_alloc((size_t)(t->message_count + 1) * sizeof *p.travels);
    if (p.travels == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory to print a timeline");
    for (int64_t s = 0; s < t->step_count; s++) print_step(&p, s);
    print_tracks(&p);
    print_process(&p);
    fari_free(p.travels);
    return text->failed ? FAR_FAIL(FAR_E_NOMEM, "no memory to print a timeline") : FAR_OK;
}
