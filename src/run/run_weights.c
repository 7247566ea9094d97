/* Weights to start from: tensors found by name in any safetensors file or checkpoint, what does not fit told in full. Optimizer state starts
   anew. */
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "graph/graph.h"
#include "run/run_priv.h"
#include "run/safetensors.h"
#include <inttypes.h>
#include <string.h>

#define NAMES_TOLD 6 /* of a list in a message */

typedef enum strictness { STRICT_AUTO = 0, STRICT_TRUE, STRICT_FALSE } strictness;

/* What became of one tensor of the network. */
typedef enum outcome { TAKEN = 0, MISSING, MISSHAPED } outcome;

typedef struct matching {
    const far_run *run;
    const fari_st_file *file;
    strictness strict;
    char prefix[128];       /* of all names in the file: "module." */
    const fari_kept **kept; /* [count] the network's tensors */
    outcome *outcomes;      /* [count] */
    bool *is_head;          /* [count] belongs to the layer that gives the logits */
    bool *is_used;          /* [tensors of the file] */
    int64_t count;
} matching;

/* ---- the head ---- */

/* The parameters of the layer that makes `value`: those of the nearest node before it that has a weight. */
static void mark_head(matching *m, const far_graph *graph, far_value value)
{
    for (bool has_weight = false; value >= 0 && !has_weight;) {
        const int32_t producer = fari_tensor_of(graph, value)->producer;
        if (producer < 0) return;
        const fari_node *node = graph->nodes[producer];
        for (int32_t i = 0; i < node->in_count; i++) {
            const fari_tensor *t = fari_tensor_of(graph, node->in[i]);
            if (t->role != FARI_ROLE_PARAM) continue;
            has_weight = has_weight || t->shape.ndim > 1;
            for (int64_t k = 0; k < m->count; k++)
                if (strcmp(m->kept[k]->name, t->name) == 0) m->is_head[k] = true;
        }
        value = node->in_count > 0 ? node->in[0] : FAR_NO_VALUE;
    }
}

static void mark_heads(matching *m)
{
    const run_side *side = m->run->train.graph != NULL ? &m->run->train : &m->run->eval;
    for (int32_t i = 0; i < side->model.count; i++) mark_head(m, side->graph, side->model.logits[i]);
}

/* ---- names ---- */

static int64_t find(const matching *m, const char *prefix, const char *name)
{
    char whole[512];
    const int length = snprintf(whole, sizeof whole, "%s%s", prefix, name);
    return length > 0 && (size_t)length < sizeof whole ? fari_st_find(m->file, whole) : -1;
}

static int64_t count_found(const matching *m, const char *prefix)
{
    int64_t found = 0;
    for (int64_t i = 0; i < m->count; i++) found += find(m, prefix, m->kept[i]->name) >= 0;
    return found;
}

/* Files of other programs put a word before all names ("module.", "model.", "backbone."): the one under which most are found. */
static void find_prefix(matching *m)
{
    int64_t most = count_found(m, "");
    if (most == m->count || m->count == 0) return;
    for (int64_t i = 0; i < fari_st_count(m->file); i++) {
        char prefix[sizeof m->prefix];
        const char *name = fari_st_at(m->file, i)->name, *own = m->kept[0]->name;
        const size_t length = strlen(name), own_length = strlen(own);
        if (length <= own_length || length - own_length >= sizeof prefix) continue;
        if (strcmp(name + length - own_length, own) != 0 || name[length - own_length - 1] != '.') continue;
        (void)snprintf(prefix, sizeof prefix, "%.*s", (int)(length - own_length), name);
        const int64_t found = count_found(m, prefix);
        if (found <= most) continue;
        most = found;
        (void)snprintf(m->prefix, sizeof m->prefix, "%s", prefix);
    }
}

/* Counts batches in PyTorch; nothing here needs it. */
static bool is_counter(const char *name)
{
    static const char end[] = "num_batches_tracked";
    const size_t length = strlen(name);
    return length >= sizeof end - 1 && strcmp(name + length - (sizeof end - 1), end) == 0;
}

/* ---- matching ---- */

static bool is_same_shape(const far_shape *a, const far_shape *b)
{
    return a->ndim == b->ndim && memcmp(a->dim, b->dim, (size_t)a->ndim * sizeof a->dim[0]) == 0;
}

static void match(matching *m)
{
    find_prefix(m);
    for (int64_t i = 0; i < m->count; i++) {
        const int64_t idx = find(m, m->prefix, m->kept[i]->name);
        if (idx >= 0) m->is_used[idx] = true;
        m->outcomes[i] = idx < 0                                                               ? MISSING
                         : is_same_shape(&fari_st_at(m->file, idx)->shape, &m->kept[i]->shape) ? TAKEN
                                                                                               : MISSHAPED;
    }
}

static int64_t count_of(const matching *m, outcome what, bool of_head)
{
    int64_t count = 0;
    for (int64_t i = 0; i < m->count; i++) count += m->outcomes[i] == what && m->is_head[i] == of_head;
    return count;
}

static int64_t count_unexpected(const matching *m)
{
    int64_t count = 0;
    for (int64_t i = 0; i < fari_st_count(m->file); i++)
        count += !m->is_used[i] && !is_counter(fari_st_at(m->file, i)->name);
    return count;
}

/* ---- words ---- */

/* "fc.weight (here 10x512, in the file 1000x512), fc.bias, ... and 3 more" */
static void list_tensors(const matching *m, outcome what, bool of_head, fari_text *text)
{
    char here[128], there[128];
    int64_t told = 0;
    for (int64_t i = 0; i < m->count; i++) {
        if (m->outcomes[i] != what || m->is_head[i] != of_head || told++ >= NAMES_TOLD) continue;
        fari_text_add(text, "%s%s", told > 1 ? ", " : "", m->kept[i]->name);
        const int64_t idx = find(m, m->prefix, m->kept[i]->name);
        if (what == MISSHAPED)
            fari_text_add(text, " (here %s, in the file %s)", far_shape_text(&m->kept[i]->shape, here),
                          far_shape_text(&fari_st_at(m->file, idx)->shape, there));
    }
    if (told > NAMES_TOLD) fari_text_add(text, " and %" PRId64 " more", told - NAMES_TOLD);
}

static void list_unexpected(const matching *m, fari_text *text)
{
    int64_t told = 0;
    for (int64_t i = 0; i < fari_st_count(m->file); i++) {
        const char *name = fari_st_at(m->file, i)->name;
        if (m->is_used[i] || is_counter(name) || told++ >= NAMES_TOLD) continue;
        fari_text_add(text, "%s%s", told > 1 ? ", " : "", name);
    }
    if (told > NAMES_TOLD) fari_text_add(text, " and %" PRId64 " more", told - NAMES_TOLD);
}

/* "; 2 missing in the file: a, b" */
static void tell(const matching *m, const char *words, outcome what, bool of_head, fari_text *text)
{
    const int64_t count = count_of(m, what, of_head);
    if (count == 0) return;
    fari_text_add(text, "; %" PRId64 " %s: ", count, words);
    list_tensors(m, what, of_head, text);
}

static void tell_unexpected(const matching *m, fari_text *text)
{
    const int64_t count = count_unexpected(m);
    if (count == 0) return;
    fari_text_add(text, "; %" PRId64 " only in the file: ", count);
    list_unexpected(m, text);
}

static far_status no_memory(const matching *m)
{
    return FAR_FAIL(FAR_E_NOMEM, "no memory to read weights from %s", fari_st_path(m->file));
}

/* Everything that does not fit, in one message. */
static far_status refuse(const matching *m)
{
    fari_text text = { 0 };
    const int64_t taken = count_of(m, TAKEN, false) + count_of(m, TAKEN, true);
    fari_text_add(&text, "%" PRId64 " of %" PRId64 " tensors of the network are in it", taken, m->count);
    for (int head = 0; head < 2; head++) {
        tell(m, head ? "of the last layer missing" : "missing", MISSING, head, &text);
        tell(m, head ? "of the last layer of another shape" : "of another shape", MISSHAPED, head, &text);
    }
    tell_unexpected(m, &text);
    if (text.failed) {
        fari_text_free(&text);
        return no_memory(m);
    }
    const far_status st =
        FAR_FAIL(FAR_E_SHAPE, "%s does not fit the network: %.800s", fari_st_path(m->file), text.data);
    fari_text_free(&text);
    return st;
}

/* What was taken and what was not. */
static far_status log_outcome(const matching *m)
{
    fari_text text = { 0 };
    const int64_t taken = count_of(m, TAKEN, false) + count_of(m, TAKEN, true);
    fari_text_add(&text, "%" PRId64 " of %" PRId64 " tensors taken", taken, m->count);
    if (m->prefix[0] != '\0') fari_text_add(&text, ", without \"%s\" before their names", m->prefix);
    for (int head = 0; head < 2; head++) {
        const char *anew = head ? "of the last layer start anew" : "start anew";
        tell(m, anew, MISSHAPED, head, &text);
        tell(m, anew, MISSING, head, &text);
    }
    tell_unexpected(m, &text);
    if (!text.failed)
        fari_log(taken < m->count && m->strict == STRICT_FALSE ? FAR_LOG_WARN : FAR_LOG_INFO, "weights from %s: %s",
                 fari_st_path(m->file), text.data);
    const bool failed = text.failed;
    fari_text_free(&text);
    return failed ? no_memory(m) : FAR_OK;
}

/* ---- taking ---- */

static bool is_acceptable(const matching *m)
{
    const int64_t taken = count_of(m, TAKEN, false) + count_of(m, TAKEN, true);
    const bool may_begin_head = m->strict == STRICT_AUTO && run_is_training(m->run);
    if (m->strict == STRICT_TRUE) return taken == m->count && count_unexpected(m) == 0;
    if (m->strict == STRICT_FALSE) return taken > 0;
    return may_begin_head
               ? count_of(m, TAKEN, false) > 0 && count_of(m, MISSING, false) == 0 && count_of(m, MISSHAPED, false) == 0
               : taken == m->count;
}

static far_status take(const matching *m)
{
    for (int64_t i = 0; i < m->count; i++) {
        const fari_kept *kept = m->kept[i];
        const int64_t idx = find(m, m->prefix, kept->name);
        if (m->outcomes[i] != TAKEN) continue;
        FAR_TRY(fari_st_read(m->file, idx, 0, fari_st_at(m->file, idx)->elems, kept->dtype,
                             fari_store_data(m->run->store, kept)));
    }
    return log_outcome(m);
}

static strictness strictness_of(const far_config *config)
{
    const char *word = far_config_text(config, "model.weights_strict");
    return strcmp(word, "true") == 0 ? STRICT_TRUE : strcmp(word, "false") == 0 ? STRICT_FALSE : STRICT_AUTO;
}

static far_status load(const far_run *run, const fari_st_file *file)
{
    const fari_store *store = run->store;
    const size_t most = (size_t)store->kept_count + 1;
    matching m = { .run = run, .file = file, .strict = strictness_of(run->config) };
    far_status st = FAR_OK;
    m.kept = fari_calloc(most, sizeof *m.kept);
    m.outcomes = fari_calloc(most, sizeof *m.outcomes);
    m.is_head = fari_calloc(most, sizeof *m.is_head);
    m.is_used = fari_calloc((size_t)fari_st_count(file) + 1, sizeof *m.is_used);
    if (m.kept == NULL || m.outcomes == NULL || m.is_head == NULL || m.is_used == NULL) {
        st = no_memory(&m);
        goto free_all;
    }
    for (int64_t i = 0; i < store->kept_count; i++)
        if (store->kept[i].role != FARI_ROLE_OPT_STATE) m.kept[m.count++] = &store->kept[i];
    mark_heads(&m);
    match(&m);
    st = is_acceptable(&m) ? take(&m) : refuse(&m);
free_all:
    fari_free(m.is_used);
    fari_free(m.is_head);
    fari_free(m.outcomes);
    fari_free(m.kept);
    return st;
}

static far_status load_checkpoint(const far_run *run, const char *path)
{
    fari_ckpt *ckpt = NULL;
    FAR_TRY(fari_ckpt_open_path(path, &ckpt));
    const far_status st = load(run, fari_ckpt_model(ckpt));
    fari_ckpt_close(ckpt);
    return st;
}

/* The best, or without one the last checkpoint of a run's folder. */
static far_status load_run(const far_run *run, const char *path)
{
    static const char *const names[] = { "checkpoints/best", "checkpoints/last" };
    for (size_t i = 0; i < FAR_COUNT(names); i++) {
        char *inner = fari_path_join(path, names[i]);
        if (inner == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory for a path");
        const bool is_there = fari_path_is_folder(inner);
        const far_status st = is_there ? load_checkpoint(run, inner) : FAR_OK;
        fari_free(inner);
        if (is_there) return st;
    }
    return load_checkpoint(run, path);
}

far_status run_load_weights(far_run *run, const char *path)
{
    fari_st_file *file = NULL;
    if (fari_path_is_folder(path)) return load_run(run, path);
    FAR_TRY(fari_st_open(path, &file));
    const far_status st = load(run, file);
    fari_st_close(file);
    return st;
}
