/* A map of land and sea: windows of it, a coarse view as the image and the mask as labels. The mask is kept as bits and the land of each block as a
   count, so that windows may lie anywhere, whatever the file is packed in. */
#include "base/mem.h"
#include "base/rng.h"
#include "base/status.h"
#include "data/array.h"
#include "data/dataset.h"
#include <farandole/landmask.h>
#include <inttypes.h>
#include <math.h>
#include <stdatomic.h>
#include <string.h>

#define VIEW_MAX 256
#define TRIES 1000
#define PIECE 8192
#define LEAST_LAND 0.25
#define MOST_LAND 0.75

typedef struct place {
    int32_t y, x;
} place;

/* What data sets of one map share. */
typedef struct map {
    _Atomic int32_t users;
    int64_t height, width, view;
    int64_t row_bytes; /* of bits */
    uint8_t *bits;     /* 1: land */
    int32_t *land;     /* [height / view][width / view], pixels of a block */
} map;

typedef struct landmask {
    map *map;
    bool is_first; /* of its users: the memory is its */
    int64_t side;  /* 0: the whole map */
    place *places;
    int64_t count;
} landmask;

static bool is_land(const map *m, int64_t y, int64_t x)
{
    return m->bits[y * m->row_bytes + x / 8] >> x % 8 & 1;
}

/* --- the map --- */

static far_status take_row(const fari_array *array, map *m, int64_t y)
{
    char piece[PIECE * 8];
    uint8_t *row = m->bits + y * m->row_bytes;
    int32_t *land = m->land + y / m->view * (m->width / m->view);
    for (int64_t x = 0; x < m->width; x += PIECE) {
        const int64_t count = m->width - x < PIECE ? m->width - x : PIECE, bytes = array->npy.elem_bytes;
        FAR_TRY(fari_array_read(array, y * m->width + x, count, piece));
        for (int64_t i = 0; i < count; i++) {
            if (fari_array_element(array->npy.type, piece + i * bytes) != 0.0) continue; /* sea */
            row[(x + i) / 8] |= (uint8_t)(1 << (x + i) % 8);
            land[(x + i) / m->view]++;
        }
    }
    return FAR_OK;
}

static far_status load(const fari_array *array, const char *path, map *m)
{
    const fari_npy *npy = &array->npy;
    if (npy->ndim != 2)
        return FAR_FAIL(FAR_E_FORMAT, "%s: a map has two axes, this array has %d", array->label, npy->ndim);
    m->height = npy->dim[0];
    m->width = npy->dim[1];
    if (m->height % m->view != 0 || m->width % m->view != 0 || m->height > INT32_MAX || m->width > INT32_MAX)
        return FAR_FAIL(FAR_E_ARG, "%s: a map of %" PRId64 " x %" PRId64 " does not divide into blocks of %" PRId64,
                        path, m->height, m->width, m->view);
    m->row_bytes = (m->width + 7) / 8;
    m->bits = fari_calloc((size_t)m->height, (size_t)m->row_bytes);
    m->land = fari_calloc((size_t)(m->height / m->view), (size_t)(m->width / m->view) * sizeof *m->land);
    if (m->bits == NULL || m->land == NULL)
        return FAR_FAIL(FAR_E_NOMEM, "no memory for a map of %" PRId64 " x %" PRId64 " bits", m->height, m->width);
    for (int64_t y = 0; y < m->height; y++) FAR_TRY(take_row(array, m, y));
    return FAR_OK;
}

/* --- where windows lie --- */

static double land_share(const landmask *set, int64_t y, int64_t x)
{
    const map *m = set->map;
    const int64_t blocks = set->side / m->view, row = m->width / m->view;
    int64_t land = 0;
    for (int64_t v = 0; v < blocks; v++)
        for (int64_t u = 0; u < blocks; u++) land += m->land[(y / m->view + v) * row + x / m->view + u];
    return (double)land / (double)(set->side * set->side);
}

/* Columns [first, first + count * view) at which a window may begin, as a list of up to two runs. */
typedef struct runs {
    int64_t first[2], count[2];
} runs;

static void add_run(const landmask *set, int64_t from, int64_t to, int run, runs *r)
{
    const int64_t view = set->map->view, first = (from + view - 1) / view * view, last = to - set->side;
    r->first[run] = first;
    r->count[run] = last < first ? 0 : (last - first) / view + 1;
}

static runs runs_of(const landmask *set, const far_landmask_opts *o)
{
    runs r = { 0 };
    const map *m = set->map;
    const int64_t west = (int64_t)((o->west + 180.0) / 360.0 * (double)m->width),
                  east = (int64_t)((o->east + 180.0) / 360.0 * (double)m->width);
    if (o->part == FAR_DATA_TEST) {
        add_run(set, west, east, 0, &r);
    } else {
        add_run(set, 0, west, 0, &r);
        add_run(set, east, m->width, 1, &r);
    }
    return r;
}

static place draw_place(const landmask *set, const far_landmask_opts *o, const runs *r, int64_t idx)
{
    const map *m = set->map;
    const uint64_t key = fari_rng_key(o->seed, FARI_RNG_SYNTH, (uint64_t)o->part, (uint64_t)idx);
    const int64_t rows = (m->height - set->side) / m->view + 1;
    place best = { 0, 0 };
    double nearest = 2.0;
    for (uint64_t i = 0; i < TRIES; i++) {
        const int64_t y = (int64_t)fari_rng_below(key, 2 * i, (uint64_t)rows) * m->view;
        int64_t at = (int64_t)fari_rng_below(key, 2 * i + 1, (uint64_t)(r->count[0] + r->count[1]));
        const int run = at >= r->count[0];
        if (run == 1) at -= r->count[0];
        const int64_t x = r->first[run] + at * m->view;
        const double share = land_share(set, y, x), off = fabs(share - 0.5);
        if (off < nearest) {
            nearest = off;
            best = (place){ (int32_t)y, (int32_t)x };
        }
        if (share >= LEAST_LAND && share <= MOST_LAND) return (place){ (int32_t)y, (int32_t)x };
    }
    return best;
}

static far_status draw_places(landmask *set, const far_landmask_opts *o)
{
    const map *m = set->map;
    if (set->side == 0) return FAR_OK;
    const runs r = runs_of(set, o);
    if (set->side > m->height || set->side % m->view != 0 || r.count[0] + r.count[1] == 0)
        return FAR_FAIL(FAR_E_ARG,
                        "windows of %" PRId64 " pixels, which have to be a multiple of %" PRId64
                        " and fit into a map of %" PRId64 " x %" PRId64 " %s the longitudes %g to %g",
                        set->side, m->view, m->height, m->width, o->part == FAR_DATA_TEST ? "inside" : "outside of",
                        o->west, o->east);
    set->places = fari_calloc((size_t)set->count, sizeof *set->places);
    if (set->places == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory for %" PRId64 " windows", set->count);
    for (int64_t i = 0; i < set->count; i++) set->places[i] = draw_place(set, o, &r, i);
    return FAR_OK;
}

/* --- samples --- */

/* Between which blocks a pixel lies, and how near to the second; at the map's edges the last block counts alone. */
typedef struct between {
    int64_t low, high;
    float share;
} between;

static between between_of(int64_t at, int64_t view, int64_t blocks)
{
    const int64_t twice = 2 * at + 1 - view, low = twice < 0 ? -1 : twice / (2 * view);
    const float share = (float)(twice - low * 2 * view) / (float)(2 * view); /* a multiple of 1 / (2 view): exact */
    return (between){ low < 0 ? 0 : low, low + 1 < blocks ? low + 1 : blocks - 1, share };
}

/* Pixels between the same two blocks, from `rest` halves of a pixel behind the first one's middle on. */
static void image_run(const map *m, const int32_t *above, const int32_t *below, const between *u, float share_v,
                      int64_t rest, int64_t count, float *out)
{
    const float whole = (float)(m->view * m->view), span = (float)(2 * m->view);
    const float above_low = (float)above[u->low], above_high = (float)above[u->high];
    const float below_low = (float)below[u->low], below_high = (float)below[u->high];
    for (int64_t k = 0; k < count; k++) {
        const float share = (float)(int32_t)(rest + 2 * k) / span;
        const float top = above_low * (1.0f - share) + above_high * share;
        const float bottom = below_low * (1.0f - share) + below_high * share;
        out[k] = (top * (1.0f - share_v) + bottom * share_v) / whole;
    }
}

static void image_row(const map *m, int64_t y, int64_t x, int64_t width, float *out)
{
    const int64_t row = m->width / m->view, span = 2 * m->view;
    const between v = between_of(y, m->view, m->height / m->view);
    for (int64_t i = 0, count; i < width; i += count) {
        const between u = between_of(x + i, m->view, row);
        const int64_t twice = 2 * (x + i) + 1 - m->view, rest = twice < 0 ? twice + span : twice % span;
        count = (span - rest + 1) / 2;
        if (count > width - i) count = width - i;
        image_run(m, m->land + v.low * row, m->land + v.high * row, &u, v.share, rest, count, out + i);
    }
}

static far_status read_rows(void *context, int64_t idx, int64_t row, int64_t count, float *image_out,
                            int32_t *label_out)
{
    const landmask *set = context;
    const place at = set->side > 0 ? set->places[idx] : (place){ 0, 0 };
    const int64_t width = set->side > 0 ? set->side : set->map->width;
    for (int64_t y = 0; y < count; y++) {
        if (image_out != NULL) image_row(set->map, at.y + row + y, at.x, width, image_out + y * width);
        for (int64_t x = 0; x < width && label_out != NULL; x++)
            label_out[y * width + x] = is_land(set->map, at.y + row + y, at.x + x);
    }
    return FAR_OK;
}

static far_status read_whole(void *context, int64_t idx, float *image_out, int32_t *label_out)
{
    const landmask *set = context;
    return read_rows(context, idx, 0, set->side > 0 ? set->side : set->map->height, image_out, label_out);
}

static int64_t set_bytes(const void *context)
{
    const landmask *set = context;
    const map *m = set->map;
    const int64_t own =
        m->height * m->row_bytes + m->height / m->view * (m->width / m->view) * (int64_t)sizeof *m->land;
    return (int64_t)sizeof *set + set->count * (int64_t)sizeof *set->places + (set->is_first ? own : 0);
}

static void map_release(map *m)
{
    if (m == NULL || atomic_fetch_sub(&m->users, 1) > 1) return;
    fari_free(m->bits);
    fari_free(m->land);
    fari_free(m);
}

static void set_close(void *context)
{
    landmask *set = context;
    map_release(set->map);
    fari_free(set->places);
    fari_free(set);
}

static const char *class_name(const void *context, int32_t class_idx)
{
    (void)context;
    return class_idx == 0 ? "sea" : class_idx == 1 ? "land" : NULL;
}

/* --- opening --- */

static far_status with_defaults(const far_landmask_opts *opts, far_landmask_opts *o)
{
    *o = *opts;
    if (o->name == NULL) o->name = "mask";
    if (o->view == 0) o->view = 16;
    if (o->window == 0) o->window = 2048;
    if (o->count == 0) o->count = 256;
    if (o->west == 0.0 && o->east == 0.0) {
        o->west = 100.0;
        o->east = 140.0;
    }
    if (o->view < 1 || o->view > VIEW_MAX || o->count < 1)
        return FAR_FAIL(FAR_E_ARG, "a land mask in blocks of %d and %" PRId64 " windows; blocks have 1 to %d pixels",
                        o->view, o->count, VIEW_MAX);
    if (!(o->west >= -180.0 && o->west <= o->east && o->east <= 180.0))
        return FAR_FAIL(FAR_E_ARG, "longitudes %g to %g held out; expected two from -180 to 180, west before east",
                        o->west, o->east);
    return FAR_OK;
}

static far_status load_map(const char *path, const far_landmask_opts *o, map **map_out)
{
    fari_array array;
    map *m = fari_calloc(1, sizeof *m);
    if (m == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory to open %s", path);
    m->users = 1;
    m->view = o->view;
    far_status st = fari_array_open(path, o->name, &array);
    if (st == FAR_OK) {
        st = load(&array, path, m);
        fari_array_close(&array);
    }
    if (st == FAR_OK) *map_out = m;
    else map_release(m);
    return st;
}

/* That of another data set, or from the file. */
static far_status take_map(const char *path, const far_landmask_opts *o, landmask *set)
{
    if (o->other == NULL) {
        set->is_first = true;
        return load_map(path, o, &set->map);
    }
    map *m = o->other->ops.read == read_whole ? ((const landmask *)o->other->context)->map : NULL;
    if (m == NULL || m->view != o->view)
        return FAR_FAIL(FAR_E_ARG, "%s: the other data set is no land mask in blocks of %d", path, o->view);
    (void)atomic_fetch_add(&m->users, 1);
    set->map = m;
    return FAR_OK;
}

far_status far_dataset_open_landmask(const char *path, const far_landmask_opts *opts, far_dataset **dataset_out)
{
    static const far_dataset_ops ops = { .read = read_whole,
                                         .class_name = class_name,
                                         .bytes = set_bytes,
                                         .close = set_close,
                                         .read_rows = read_rows,
                                         .reads_apart = true };
    far_landmask_opts o;
    FAR_TRY(with_defaults(opts, &o));
    landmask *set = fari_calloc(1, sizeof *set);
    if (set == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory to open %s", path);
    set->side = o.window > 0 ? o.window : 0;
    set->count = o.window > 0 ? o.count : 1;
    far_status st = take_map(path, &o, set);
    if (st == FAR_OK) st = draw_places(set, &o);
    if (st != FAR_OK) {
        set_close(set);
        return st;
    }
    const far_dataset_info info = { .sample_count = set->count,
                                    .height = set->side > 0 ? set->side : set->map->height,
                                    .width = set->side > 0 ? set->side : set->map->width,
                                    .channels = 1,
                                    .label = FAR_LABEL_MAP,
                                    .class_count = 2 };
    FAR_TRY(far_dataset_create(&ops, set, &info, dataset_out)); /* closes the set itself where it fails */
    return FAR_OK;
}
