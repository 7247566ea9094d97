/* From charge in the argon to counts on pixels. Images lie in memory as ids count, column by column, and a strip of columns at a time: however large
   an image, no more of it is dense than STRIP_BYTES. */
#include "base/mem.h"
#include "sim/params.h"
#include "sim/sim.h"
#include <inttypes.h>
#include <string.h>

#define PLANES 3
#define WEIGHTS_MAX 4096                /* 8 standard deviations of the widest pulse in images of 131,072 rows */
#define STRIP_BYTES (INT64_C(96) << 20) /* of all three dense images: those of the usual size are one strip */
#define REACH 4.0f                      /* standard deviations */
#define NOISE_FROM 1.0f                 /* counts: pixels below are not looked at */
#define SPREAD_LEAST 0.05f              /* pixels */

typedef struct column_span {
    int32_t first, end; /* rows that hold something */
} column_span;

struct fari_sim_planes {
    int64_t height, width;
    int32_t first_plane; /* that is simulated; those behind it are, too */
    double row_cm, column_cm;
    fari_sim_normal_table normal;
    int64_t strip_columns;             /* at most */
    int64_t first, end;                /* columns of the strip that is being filled */
    float *signal, *cosmic, *neutrino; /* [strip_columns][height] */
    column_span *spans;                /* [strip_columns] */
    column_span *reach;                /* [deposits]: the columns that a deposit touches */
    int64_t reach_cap;
    uint32_t *ids[PLANES];
    float *values[PLANES];
    uint8_t *labels[PLANES];
    int64_t id_cap[PLANES], value_cap[PLANES], label_cap[PLANES];
    fari_lartpc_plane out[PLANES];
};

/* Shares of a charge that fall on the pixels from `first` on. */
typedef struct weights {
    int64_t first;
    int32_t count;
    float share[WEIGHTS_MAX];
} weights;

far_status fari_sim_planes_create(int64_t height, int64_t width, int32_t count, int64_t strip_bytes,
                                  fari_sim_planes **planes_out)
{
    const int64_t fits = (strip_bytes > 0 ? strip_bytes : STRIP_BYTES) / (3 * (int64_t)sizeof(float)) / height;
    const int64_t columns = fits < 1 ? 1 : fits < width ? fits : width;
    const size_t pixels = (size_t)(height * columns);
    fari_sim_planes *planes = fari_calloc(1, sizeof *planes);
    if (planes == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory for the simulated planes");
    planes->strip_columns = columns;
    planes->first_plane = PLANES - count;
    planes->height = height;
    planes->width = width;
    planes->row_cm = SIM_ROW_CM * SIM_ROWS / (double)height;
    planes->column_cm = SIM_COLUMN_CM * SIM_COLUMNS / (double)width;
    fari_sim_normal_fill(&planes->normal);
    planes->signal = fari_calloc(pixels, sizeof(float));
    planes->cosmic = fari_calloc(pixels, sizeof(float));
    planes->neutrino = fari_calloc(pixels, sizeof(float));
    planes->spans = fari_calloc((size_t)columns, sizeof *planes->spans);
    if (planes->signal == NULL || planes->cosmic == NULL || planes->neutrino == NULL || planes->spans == NULL) {
        fari_sim_planes_destroy(planes);
        return FAR_FAIL(FAR_E_NOMEM, "no memory for simulated planes of %" PRId64 " x %" PRId64, height, width);
    }
    *planes_out = planes;
    return FAR_OK;
}

void fari_sim_planes_destroy(fari_sim_planes *planes)
{
    if (planes == NULL) return;
    fari_free(planes->signal);
    fari_free(planes->cosmic);
    fari_free(planes->neutrino);
    fari_free(planes->spans);
    fari_free(planes->reach);
    for (int p = 0; p < PLANES; p++) {
        fari_free(planes->ids[p]);
        fari_free(planes->values[p]);
        fari_free(planes->labels[p]);
    }
    fari_free(planes);
}

fari_lartpc_frame fari_sim_frame(const fari_sim_planes *planes)
{
    return (fari_lartpc_frame){ planes->height, planes->width, PLANES - planes->first_plane, planes->row_cm,
                                planes->column_cm };
}

/* --- spreading --- */

/* A normal density around `at` on pixels [0, limit); with `tail` of it in a wider one. */
static void spread(const fari_sim_planes *planes, float at, float sigma, float tail, float tail_sigma, int64_t limit,
                   weights *out)
{
    const float wide = tail > 0.0f && tail_sigma > sigma ? tail_sigma : sigma;
    int64_t first = (int64_t)(at - REACH * wide + 65536.0f) - 65536,
            end = (int64_t)(at + REACH * wide + 65536.0f) - 65535;
    float before = 0.0f;
    if (first < 0) first = 0;
    if (end > limit) end = limit;
    if (end - first > WEIGHTS_MAX) end = first + WEIGHTS_MAX;
    out->first = first;
    out->count = end > first ? (int32_t)(end - first) : 0;
    for (int32_t i = -1; i < out->count; i++) {
        const float edge = (float)(first + i + 1) - at;
        float sum = (1.0f - tail) * fari_sim_phi(&planes->normal, edge / sigma);
        if (tail > 0.0f) sum += tail * fari_sim_phi(&planes->normal, edge / wide);
        if (i >= 0) out->share[i] = sum - before;
        before = sum;
    }
}

/* Those of the columns of `w` that lie in the strip: from *from_out up to the one given back. */
static int32_t in_strip(const fari_sim_planes *planes, const weights *w, int32_t *from_out)
{
    const int64_t from = planes->first - w->first, to = planes->end - w->first;
    *from_out = from > 0 ? (int32_t)(from < w->count ? from : w->count) : 0;
    return to < w->count ? (int32_t)(to > *from_out ? to : *from_out) : w->count;
}

static void add(const fari_sim_planes *planes, float *image, float charge, const weights *columns, const weights *rows)
{
    int32_t from;
    const int32_t to = in_strip(planes, columns, &from);
    for (int32_t c = from; c < to; c++) {
        const float part = charge * columns->share[c];
        float *line = image + (columns->first + c - planes->first) * planes->height + rows->first;
        for (int32_t r = 0; r < rows->count; r++) line[r] += part * rows->share[r];
    }
}

/* Which rows of each column have to be looked at, and cleared afterwards. */
static void mark(fari_sim_planes *planes, const weights *columns, const weights *rows)
{
    const int32_t first = (int32_t)rows->first, end = first + rows->count;
    int32_t from;
    const int32_t to = in_strip(planes, columns, &from);
    for (int32_t c = from; c < to; c++) {
        column_span *span = &planes->spans[columns->first + c - planes->first];
        if (span->end == 0 || first < span->first) span->first = first;
        if (end > span->end) span->end = end;
    }
}

/* Where the plane's wires see a place, in cm from the middle one. */
static double wire_coordinate(int plane, double y, double z)
{
    const double along = z - 0.5 * SIM_LENGTH_CM;
    if (plane == 2) return along;
    return SIM_WIRE_COS * along + (plane == 0 ? SIM_WIRE_SIN : -SIM_WIRE_SIN) * y;
}

static float larger(double a, float b)
{
    return (float)a > b ? (float)a : b;
}

/* The part of a deposit in the strip. *reach_out: columns that it touches; none where it is not seen. */
static void add_deposit(fari_sim_planes *planes, int plane, const fari_sim_deposit *d, column_span *reach_out)
{
    weights columns, rows, true_columns, true_rows;
    const double side = d->x < 0.0f ? -1.0 : 1.0, drift = SIM_DRIFT_CM - side * (double)d->x;
    const double seen = drift + (double)d->late;
    *reach_out = (column_span){ 0, 0 };
    if (seen < 0.0 || seen > SIM_DRIFT_CM) return; /* before or after the read-out */
    const float charge = (float)((double)d->charge * fari_sim_exp(-drift / SIM_LIFETIME_CM));
    const double along2 = SIM_SPREAD_ALONG * SIM_SPREAD_ALONG * drift,
                 across2 = SIM_SPREAD_ACROSS * SIM_SPREAD_ACROSS * drift;
    const float row = (float)(0.5 * (double)planes->height + side * (SIM_DRIFT_CM - seen) / planes->row_cm);
    const float column =
        (float)(0.5 * (double)planes->width + wire_coordinate(plane, (double)d->y, (double)d->z) / planes->column_cm);
    spread(planes, row, larger(sqrt(along2 + SIM_PULSE_CM * SIM_PULSE_CM) / planes->row_cm, SPREAD_LEAST),
           SIM_PULSE_TAIL, (float)(SIM_TAIL_CM / planes->row_cm), planes->height, &rows);
    spread(planes, column, larger(sqrt(across2 + SIM_INDUCED_CM * SIM_INDUCED_CM) / planes->column_cm, SPREAD_LEAST),
           0.0f, 0.0f, planes->width, &columns);
    if (rows.count == 0 || columns.count == 0) return;
    *reach_out = (column_span){ (int32_t)columns.first, (int32_t)columns.first + columns.count };
    add(planes, planes->signal, charge, &columns, &rows);
    mark(planes, &columns, &rows);
    if (d->label == FARI_SIM_BACKGROUND) return;
    spread(planes, row, larger(sqrt(along2 + SIM_LABEL_CM * SIM_LABEL_CM) / planes->row_cm, SPREAD_LEAST), 0.0f, 0.0f,
           planes->height, &true_rows);
    spread(planes, column, larger(sqrt(across2) / planes->column_cm, SPREAD_LEAST), 0.0f, 0.0f, planes->width,
           &true_columns);
    add(planes, d->label == FARI_SIM_NEUTRINO ? planes->neutrino : planes->cosmic, charge, &true_columns, &true_rows);
    mark(planes, &true_columns, &true_rows);
}

/* Of the charge that counts, what falls on one of very short pixels. */
static double row_share(const fari_sim_planes *planes)
{
    return planes->row_cm < SIM_SAMPLE_CM ? planes->row_cm / SIM_SAMPLE_CM : 1.0;
}

/* Counts for a MeV. Coarser pixels gather more charge; the wires' amplifiers are set so that a track looks about as bright. */
static double gain_of(const fari_sim_planes *planes, int plane)
{
    return SIM_GAIN * (plane == 2 ? SIM_GAIN_COLLECTION : SIM_GAIN_INDUCTION) * SIM_COLUMN_CM / planes->column_cm /
           row_share(planes);
}

/* Short pulses on single wires that no charge made; in counts, so that gain is taken out. */
static void add_hits(fari_sim_planes *planes, int plane, uint64_t key)
{
    fari_sim_rng rng = { key, 0 };
    const int64_t count = fari_sim_poisson(&rng, SIM_HITS);
    const float sigma = larger(SIM_HIT_CM / planes->row_cm, SPREAD_LEAST);
    weights rows, columns = { .count = 1, .share = { 1.0f } };
    for (int64_t i = 0; i < count; i++) {
        const double height = SIM_HIT_LEAST + SIM_HIT_MORE * fari_sim_exponential(&rng);
        const double row = fari_sim_between(&rng, 0.0, (double)planes->height),
                     column = fari_sim_between(&rng, 0.0, (double)planes->width);
        columns.first = (int64_t)column;
        if (columns.first < planes->first || columns.first >= planes->end) continue;
        spread(planes, (float)row, sigma, 0.0f, 0.0f, planes->height, &rows);
        add(planes, planes->signal, (float)(height / gain_of(planes, plane)) * sigma * 2.5066283f, &columns, &rows);
        mark(planes, &columns, &rows);
    }
}

/* --- counts --- */

static bool reserve(fari_sim_planes *planes, int p, int64_t count)
{
    return fari_reserve((void **)&planes->ids[p], &planes->id_cap[p], count, sizeof(uint32_t)) &&
           fari_reserve((void **)&planes->values[p], &planes->value_cap[p], count, sizeof(float)) &&
           fari_reserve((void **)&planes->labels[p], &planes->label_cap[p], count, sizeof(uint8_t));
}

/* One column: pixels over the threshold become voxels; the column is cleared. Noise is a function of the pixel alone. */
static bool read_column(fari_sim_planes *planes, int p, int64_t x, uint64_t key, int64_t *count_io)
{
    const float gain = (float)gain_of(planes, p),
                least = (float)(SIM_LABEL_MEV * planes->column_cm / SIM_COLUMN_CM * row_share(planes));
    column_span *const own = &planes->spans[x - planes->first];
    const column_span span = *own;
    const int64_t top = x * planes->height; /* the id of the column's first pixel */
    const int64_t at = (x - planes->first) * planes->height;
    const size_t bytes = (size_t)(span.end - span.first) * sizeof(float);
    if (!reserve(planes, p, *count_io + span.end - span.first)) return false;
    for (int64_t y = span.first; y < span.end; y++) {
        const int64_t id = top + y, place = at + y;
        const float clean = gain * planes->signal[place];
        if (clean < NOISE_FROM) continue;
        fari_sim_rng rng = { key, 2 * (uint64_t)id };
        double a, b;
        fari_sim_normals(&rng, &a, &b);
        const float value = clean + (float)(SIM_NOISE * a), cosmic = planes->cosmic[place],
                    neutrino = planes->neutrino[place];
        if (value < (float)SIM_THRESHOLD) continue;
        planes->ids[p][*count_io] = (uint32_t)id;
        planes->values[p][*count_io] = value;
        planes->labels[p][*count_io] = cosmic < least && neutrino < least ? FARI_SIM_BACKGROUND
                                       : neutrino > cosmic                ? FARI_SIM_NEUTRINO
                                                                          : FARI_SIM_COSMIC;
        (*count_io)++;
    }
    memset(planes->signal + at + span.first, 0, bytes);
    memset(planes->cosmic + at + span.first, 0, bytes);
    memset(planes->neutrino + at + span.first, 0, bytes);
    *own = (column_span){ 0, 0 };
    return true;
}

/* Columns of the strip at work. Deposits keep their order, so a pixel's sum is the same however wide strips are. */
static bool fill_strip(fari_sim_planes *planes, int p, const fari_sim_event *event, uint64_t key, int64_t *count_io)
{
    const bool is_first = planes->first == 0;
    for (int64_t i = 0; i < event->deposit_count; i++) {
        const column_span *reach = &planes->reach[i];
        if (is_first || (reach->first < planes->end && reach->end > planes->first))
            add_deposit(planes, p, &event->deposits[i], &planes->reach[i]);
    }
    add_hits(planes, p, fari_sim_rng_branch(key, 0).key);
    for (int64_t x = planes->first; x < planes->end; x++)
        if (planes->spans[x - planes->first].end > 0 && !read_column(planes, p, x, key, count_io)) return false;
    return true;
}

far_status fari_sim_project(fari_sim_planes *planes, const fari_sim_event *event, const fari_lartpc_plane **planes_out)
{
    if (!fari_reserve((void **)&planes->reach, &planes->reach_cap, event->deposit_count + 1, sizeof *planes->reach))
        return FAR_FAIL(FAR_E_NOMEM, "no memory for the charge of a simulated event");
    for (int p = planes->first_plane; p < PLANES; p++) {
        const uint64_t key = fari_sim_rng_branch(event->key, (UINT64_C(3) << 32) + (uint64_t)p).key;
        int64_t count = 0;
        for (planes->first = 0; planes->first < planes->width; planes->first = planes->end) {
            const int64_t left = planes->width - planes->first;
            planes->end = planes->first + (left < planes->strip_columns ? left : planes->strip_columns);
            if (!fill_strip(planes, p, event, key, &count))
                return FAR_FAIL(FAR_E_NOMEM, "no memory for the pixels of a simulated plane");
        }
        planes->out[p - planes->first_plane] =
            (fari_lartpc_plane){ count, planes->ids[p], planes->values[p], planes->labels[p] };
    }
    *planes_out = planes->out;
    return FAR_OK;
}
