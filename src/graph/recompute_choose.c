/* Which forward nodes are run again going back: those that give the least peak, as long as running them takes little time. */
#include "base/mem.h"
#include "graph/recompute_priv.h"
#include <string.h>

#define GAIN_MIN 20       /* a share of the peak: less is not worth running anything twice */
#define CANDIDATE_MIN 500 /* the same, of a single node's results */
#define EFFORT_SHARE 0.06 /* of a step's effort, that all copies together may take */

static bool is_candidate(const fari_chooser *c, int32_t n, fari_recompute_mode mode, int64_t peak)
{
    const fari_node *node = c->graph->nodes[n];
    const bool is_light = node->op->is_light || (mode == FARI_RECOMPUTE_ALL && node->op->kind == FARI_MAP);
    if (!is_light || node->mutates) return false;
    for (int32_t k = 0; k < node->out_count; k++)
        if (c->going_back[node->out[k]].last == c->node_count) return false; /* a result, kept anyway */
    return fari_chooser_result_bytes(c, n) >= peak / CANDIDATE_MIN;
}

/* Back to keeping whatever does not raise the peak, the last nodes first: they are kept for the shortest time. */
static int64_t keep_what_is_free(fari_chooser *c)
{
    int64_t peak = fari_chooser_peak(c);
    for (int32_t n = c->forward_count; n-- > 0;) {
        if (!c->is_again[n]) continue;
        c->is_again[n] = false;
        const int64_t kept = fari_chooser_peak(c);
        if (kept > peak) c->is_again[n] = true;
        else peak = kept;
    }
    return peak;
}

typedef struct offer {
    double price; /* bytes that keeping adds to the peak, for each unit of effort that it saves */
    int32_t node;
} offer;

static int by_price(const void *a, const void *b)
{
    const offer *x = a, *y = b;
    if (x->price != y->price) return x->price < y->price ? -1 : 1;
    return x->node < y->node ? 1 : -1;
}

/* What keeping one more node would do, with the copies that only its own copy wants. */
static double price_of(fari_chooser *c, int32_t n, int64_t peak, double effort)
{
    c->is_again[n] = false;
    const int64_t kept = fari_chooser_peak(c);
    const double saved = effort - fari_chooser_effort(c);
    c->is_again[n] = true;
    return saved > 0.0 ? (double)(kept - peak) / saved : 0.0;
}

/* Back to keeping the cheapest until the effort is within `limit`. */
static far_status keep_within(fari_chooser *c, double limit)
{
    const int64_t peak = fari_chooser_peak(c);
    double effort = fari_chooser_effort(c);
    int32_t count = 0;
    if (effort <= limit) return FAR_OK;
    offer *offers = fari_alloc((size_t)c->forward_count * sizeof *offers);
    if (offers == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory to choose what is run again");
    for (int32_t n = 0; n < c->forward_count; n++)
        if (c->is_again[n]) offers[count++] = (offer){ price_of(c, n, peak, effort), n };
    qsort(offers, (size_t)count, sizeof *offers, by_price);
    for (int32_t i = 0; i < count && effort > limit; i++) {
        c->is_again[offers[i].node] = false;
        (void)fari_chooser_peak(c);
        effort = fari_chooser_effort(c);
    }
    fari_free(offers);
    return FAR_OK;
}

far_status fari_chooser_choose(fari_chooser *c, fari_recompute_mode mode, int64_t peak_before, int64_t *peak_out)
{
    double step = 0.0;
    for (int32_t n = 0; n < c->forward_count; n++) c->is_again[n] = is_candidate(c, n, mode, peak_before);
    *peak_out = keep_what_is_free(c);
    if (mode == FARI_RECOMPUTE_AUTO) {
        for (int32_t n = 0; n < c->node_count; n++) step += c->effort[n];
        FAR_TRY(keep_within(c, EFFORT_SHARE * step));
        *peak_out = keep_what_is_free(c);
    }
    if (*peak_out > peak_before - peak_before / GAIN_MIN)
        memset(c->is_again, 0, (size_t)c->forward_count * sizeof *c->is_again);
    *peak_out = fari_chooser_peak(c);
    return FAR_OK;
}
