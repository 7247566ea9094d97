/* Pictures of samples, truth and prediction side by side, inside the page. */
#include "base/file.h"
#include "base/mem.h"
#include "base/status.h"
#include "report/page.h"
#include <farandole/picture.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define PICTURE_BYTES_MAX (INT64_C(8) << 20)
#define ALL_BYTES_MAX (INT64_C(32) << 20) /* pictures beyond stay in their folder */
#define SMALL_SIDE 160                    /* pixels: shown larger than they are, with sharp edges */
#define LEGEND_MAX 64

typedef struct gallery {
    fari_html *html;
    const fari_record *record;
    const json_t *classes;
    int64_t bytes; /* of pictures so far */
    bool is_cut;
} gallery;

const char *fari_class_text(const fari_record *record, int64_t class_idx, char text_out[96])
{
    const json_t *classes = fari_json_at(record->run, "data.classes");
    const json_t *name = class_idx >= 0 ? json_array_get(classes, (size_t)class_idx) : NULL;
    if (json_is_string(name)) (void)snprintf(text_out, 96, "%s", json_string_value(name));
    else (void)snprintf(text_out, 96, "%lld", (long long)class_idx);
    return text_out;
}

/* ---- pictures ---- */

static bool is_plain_name(const char *name)
{
    const size_t bytes = strlen(name);
    return bytes > 4 && strchr(name, '/') == NULL && name[0] != '.' && strcmp(name + bytes - 4, ".png") == 0;
}

/* The bytes of samples/NAME where it is a PNG; NULL: it is none, or too much. */
static char *read_picture(gallery *g, const char *name, size_t *bytes_out)
{
    static const char signature[8] = "\x89PNG\r\n\x1a\n";
    char *data = NULL;
    const bool is_plain = is_plain_name(name);
    char *path = is_plain ? fari_printf("%s/samples/%s", g->record->folder, name) : NULL;
    far_status st = is_plain ? FAR_E_NOMEM : FAR_E_NOTFOUND;
    if (path != NULL) st = fari_file_read(path, PICTURE_BYTES_MAX, &data, bytes_out);
    fari_free(path);
    if (st != FAR_OK) far_error_clear();
    if (st == FAR_E_NOMEM) g->html->text.failed = true; /* a page without its pictures would seem whole */
    if (st != FAR_OK || *bytes_out < 33 || memcmp(data, signature, sizeof signature) != 0 ||
        g->bytes + (int64_t)*bytes_out > ALL_BYTES_MAX) {
        g->is_cut = g->is_cut || st == FAR_OK;
        fari_free(st == FAR_OK ? data : NULL);
        return NULL;
    }
    g->bytes += (int64_t)*bytes_out;
    return data;
}

/* Big-endian, as PNG's first chunk has width and height. */
static uint32_t extent_at(const char *data)
{
    const unsigned char *at = (const unsigned char *)data;
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static void picture(gallery *g, const char *name, const char *what)
{
    size_t bytes = 0;
    char *data = name != NULL ? read_picture(g, name, &bytes) : NULL;
    if (data == NULL) return;
    const uint32_t width = extent_at(data + 16), height = extent_at(data + 20);
    const bool is_small = width <= SMALL_SIDE && height <= SMALL_SIDE;
    fari_html_add(g->html, "<figure class=\"%s\"><img width=\"%u\" height=\"%u\" alt=\"", is_small ? "small" : "large",
                  (unsigned)width, (unsigned)height);
    fari_html_text(g->html, what);
    fari_html_put(g->html, "\" src=\"data:image/png;base64,");
    fari_html_base64(g->html, data, bytes);
    fari_html_put(g->html, "\"><figcaption>");
    fari_html_text(g->html, what);
    fari_html_put(g->html, "</figcaption></figure>\n");
    fari_free(data);
}

/* ---- label maps ---- */

static void legend(gallery *g)
{
    char name[96];
    uint8_t colour[3];
    const size_t count = json_array_size(g->classes);
    fari_html_put(g->html, "<ul class=\"legend\">");
    for (size_t i = 0; i < count && i < LEGEND_MAX; i++) {
        far_class_colour((int32_t)i, colour);
        fari_html_add(g->html,
                      "<li><svg class=\"swatch\" viewBox=\"0 0 34 10\" aria-hidden=\"true\"><rect x=\"9\" width=\"16\" "
                      "height=\"10\" fill=\"#%02x%02x%02x\" stroke=\"#777\"/></svg>",
                      colour[0], colour[1], colour[2]);
        fari_html_text(g->html, fari_class_text(g->record, (int64_t)i, name));
        fari_html_put(g->html, "</li>");
    }
    fari_html_put(g->html, "</ul>\n");
}

/* Background is easy, and often most of the image. */
static void say_objects(gallery *g, const json_t *sample)
{
    char number[FARI_SHORT_TEXT], name[96];
    const double right = fari_json_number(sample, "right_but_class_0"),
                 counted = fari_json_number(sample, "counted_but_class_0");
    if (!(counted > 0.0) || counted == fari_json_number(sample, "counted")) return;
    fari_html_put(g->html, ", ");
    fari_html_text(g->html, fari_short_text(100.0 * right / counted, 4, number));
    fari_html_put(g->html, " % of those that are not ");
    if (strcmp(fari_class_text(g->record, 0, name), "0") == 0) fari_html_put(g->html, "class ");
    fari_html_text(g->html, name);
}

static void map_sample(gallery *g, const json_t *sample)
{
    char number[FARI_SHORT_TEXT];
    const char *name = fari_json_string(sample, "name");
    const double right = fari_json_number(sample, "right"), counted = fari_json_number(sample, "counted"),
                 map = fari_json_number(sample, "map");
    fari_html_put(g->html, "<div class=\"sample\"><p><b>");
    if (name != NULL) fari_html_text(g->html, name);
    else {
        fari_html_put(g->html, "sample ");
        fari_html_text(g->html, fari_short_text(fari_json_number(sample, "id"), 12, number));
    }
    fari_html_put(g->html, "</b>");
    if (map > 0.0 || (isfinite(map) && fari_json_number(g->record->samples, "maps") > 1.0)) {
        fari_html_put(g->html, ", plane ");
        fari_html_text(g->html, fari_short_text(map, 4, number));
    }
    if (counted > 0.0) {
        fari_html_put(g->html, ": ");
        fari_html_text(g->html, fari_short_text(100.0 * right / counted, 4, number));
        fari_html_put(g->html, " % of the pixels right");
        say_objects(g, sample);
    }
    fari_html_put(g->html, "</p>\n<div class=\"trio\">");
    picture(g, fari_json_string(sample, "image"), "image");
    picture(g, fari_json_string(sample, "truth"), "truth");
    picture(g, fari_json_string(sample, "prediction"), "prediction");
    fari_html_put(g->html, "</div></div>\n");
}

/* ---- classes ---- */

static void class_line(gallery *g, const json_t *likeliest, bool is_bold)
{
    char name[96], number[FARI_SHORT_TEXT];
    const double class_idx = fari_json_number(likeliest, "class"), p = fari_json_number(likeliest, "probability");
    if (!(class_idx >= 0.0 && class_idx < 1e9)) return;
    fari_html_put(g->html, is_bold ? "<b>" : "");
    fari_html_text(g->html, fari_class_text(g->record, (int64_t)class_idx, name));
    fari_html_put(g->html, is_bold ? "</b> " : " ");
    fari_html_text(g->html, fari_short_text(100.0 * p, p < 0.1 ? 1 : 2, number));
    fari_html_put(g->html, " %<br>");
}

static void class_sample(gallery *g, const json_t *sample)
{
    char name[96], number[FARI_SHORT_TEXT], what[64];
    const json_t *likeliest = json_object_get(sample, "likeliest"), *item;
    const double truth = fari_json_number(sample, "truth"),
                 first = fari_json_number(json_array_get(likeliest, 0), "class");
    size_t idx;
    fari_html_put(g->html, "<div class=\"one\">");
    (void)snprintf(what, sizeof what, "sample %s", fari_short_text(fari_json_number(sample, "id"), 12, number));
    picture(g, fari_json_string(sample, "image"), what);
    fari_html_put(g->html, "<p>");
    json_array_foreach(likeliest, idx, item) class_line(g, item, idx == 0);
    if (truth >= 0.0 && truth < 1e9) {
        fari_html_put(g->html, truth == first ? "\xE2\x9C\x93 right" : "\xE2\x9C\x97 it is ");
        if (truth != first) fari_html_text(g->html, fari_class_text(g->record, (int64_t)truth, name));
    }
    fari_html_put(g->html, "</p></div>\n");
}

void fari_page_samples(fari_html *html, const fari_record *record)
{
    char number[FARI_SHORT_TEXT];
    gallery g = { .html = html, .record = record, .classes = fari_json_at(record->run, "data.classes") };
    const json_t *samples = fari_json_at(record->samples, "samples"), *sample;
    const char *label = fari_json_string(record->samples, "label");
    const bool has_maps = label != NULL && strcmp(label, "map") == 0;
    size_t idx;
    fari_html_put(html, "<p>Held-out samples, as the network saw them after step ");
    fari_html_text(html, fari_count_text((int64_t)fmax(0.0, fari_json_number(record->samples, "step")), number));
    fari_html_put(html, has_maps ? ".</p>\n" : ", with the classes it finds likeliest.</p>\n");
    if (has_maps) legend(&g);
    const double width = fari_json_number(record->run, "data.width"),
                 height = fari_json_number(record->run, "data.height");
    const bool is_small = width <= SMALL_SIDE && height <= SMALL_SIDE;
    fari_html_add(html, "<div class=\"%s\">\n", !has_maps ? "ones" : is_small ? "trios" : "wides");
    json_array_foreach(samples, idx, sample)
    {
        if (has_maps) map_sample(&g, sample);
        else class_sample(&g, sample);
    }
    fari_html_put(html, "</div>\n");
    if (g.is_cut) fari_html_put(html, "<p class=\"warn\">Some pictures are too large or damaged: see samples/.</p>\n");
}
