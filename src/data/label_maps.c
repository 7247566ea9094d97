/* Images with label maps beside them. */
#include "base/mem.h"
#include "base/status.h"
#include "data/label_values.h"
#include "data/picture_names.h"
#include "data/picture_set.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define NAME_MAX_BYTES 4096

static const char *inner(const fari_files *files, size_t common, int64_t idx)
{
    const char *name = fari_files_name(files, idx);
    return strlen(name) > common ? name + common : "";
}

/* --- which folders, where nobody says it --- */

typedef struct side {
    char folder[512]; /* after the common one, with its '/' */
} side;

static bool is_word(const char *word, size_t length, const char *const *words, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strlen(words[i]) == length && strncasecmp(word, words[i], length) == 0) return true;
    return false;
}

static bool is_image_word(const char *word, size_t length)
{
    static const char *const words[] = { "images", "image", "imgs", "img" };
    return is_word(word, length, words, FAR_COUNT(words));
}

static bool is_label_word(const char *word, size_t length)
{
    static const char *const words[] = { "labels",      "label",      "masks",     "mask",
                                         "annotations", "annotation", "instances", "instance" };
    return is_word(word, length, words, FAR_COUNT(words));
}

/* The folder of this side and part that a name lies in: images/, train/images/ or images/train/. rank: of the part's word; 0 without parts. */
static bool folder_of(const char *name, bool (*is_side)(const char *, size_t), bool has_parts, far_data_part part,
                      size_t *length_out, int *rank_out)
{
    const size_t first = fari_first_part(name);
    if (name[first] != '/') return false;
    const char *second = name + first + 1;
    const size_t length = fari_first_part(second);
    *rank_out = 0;
    *length_out = first + 1;
    if (!has_parts) return is_side(name, first);
    if (second[length] != '/') return false;
    *length_out = first + 1 + length + 1;
    if (is_side(name, first)) *rank_out = fari_part_rank(second, length, part);
    else *rank_out = is_side(second, length) ? fari_part_rank(name, first, part) : -1;
    return *rank_out >= 0;
}

/* The best folder of a side; false: there is none. */
static bool find_side(const fari_files *files, size_t common, bool (*is_side)(const char *, size_t), bool has_parts,
                      far_data_part part, side *side_out)
{
    int best = -1;
    for (int64_t i = 0; i < fari_files_count(files); i++) {
        const char *name = inner(files, common, i);
        size_t length = 0;
        int rank = 0;
        if (!folder_of(name, is_side, has_parts, part, &length, &rank) || name[length] == '\0') continue;
        if (best >= 0 && rank >= best) continue;
        if (length >= sizeof side_out->folder) continue;
        memcpy(side_out->folder, name, length);
        side_out->folder[length] = '\0';
        best = rank;
    }
    return best >= 0;
}

static far_status find_sides(const fari_files *files, size_t common, far_data_part part, side *images, side *labels)
{
    side other;
    const bool has_parts = find_side(files, common, is_image_word, true, FAR_DATA_TRAIN, &other);
    if (!has_parts && part == FAR_DATA_TEST)
        return FAR_FAIL(FAR_E_NOTFOUND,
                        "%s has no part for testing; looked for images/ in val, valid, validation, test",
                        fari_files_label(files));
    if (!find_side(files, common, is_image_word, has_parts, part, images))
        return FAR_FAIL(
            FAR_E_NOTFOUND,
            "%s has no folder images/%s with JPEG, PNG or TIFF pictures. Name them otherwise? Then give patterns for images and labels",
            fari_files_label(files), has_parts ? " in a part for testing (val, valid, validation, test)" : "");
    if (!find_side(files, common, is_label_word, has_parts, part, labels))
        return FAR_FAIL(
            FAR_E_NOTFOUND,
            "%s has %s but no folder labels/ or masks/ beside it. Named otherwise? Then give patterns for images and labels",
            fari_files_label(files), images->folder);
    return FAR_OK;
}

/* --- pairs --- */

/* The file in the collection whose name without its ending is `stem`; -1: none. */
static int64_t find_stem(const fari_files *files, const char *stem)
{
    const size_t length = strlen(stem);
    int64_t low = 0, high = fari_files_count(files);
    while (low < high) {
        const int64_t middle = low + (high - low) / 2;
        if (strcmp(fari_files_name(files, middle), stem) < 0) low = middle + 1;
        else high = middle;
    }
    for (; low < fari_files_count(files); low++) {
        const char *name = fari_files_name(files, low);
        if (strncmp(name, stem, length) != 0) return -1;
        if (name[length] == '.' && fari_stem_length(name) == length) return low;
    }
    return -1;
}

static far_status no_label(const fari_files *files, int64_t image, const char *wanted, const char *ending)
{
    char label[FARI_FILES_LABEL];
    return FAR_FAIL(FAR_E_FORMAT, "%s has no label map: there is no %s%s",
                    fari_files_name_for_people(files, image, label), wanted, ending);
}

static far_status check_ending(const fari_files *files, int64_t idx)
{
    char label[FARI_FILES_LABEL];
    if (fari_ending_of(fari_files_name(files, idx)) == FARI_ENDING_PICTURE) return FAR_OK;
    return FAR_FAIL(FAR_E_UNSUPPORTED, "%s: pictures of this kind are not read; convert it to PNG or TIFF",
                    fari_files_name_for_people(files, idx, label));
}

static far_status add_pair(fari_picture_set *set, int64_t image, int64_t label, const char *name, size_t length,
                           const far_pictures_opts *opts)
{
    FAR_TRY(check_ending(fari_picture_set_files(set), image));
    FAR_TRY(check_ending(fari_picture_set_files(set), label));
    return fari_picture_set_add(set, image, name, length, -1, label, opts->keep_broken);
}

/* Pairs by names without endings. room: NAME_MAX_BYTES. */
static far_status add_by_stems(fari_picture_set *set, size_t common, const side *images, const side *labels,
                               const far_pictures_opts *opts, char *room)
{
    const fari_files *files = fari_picture_set_files(set);
    const size_t length = strlen(images->folder);
    for (int64_t i = 0; i < fari_files_count(files); i++) {
        const char *full = fari_files_name(files, i), *name = inner(files, common, i);
        if (strncmp(name, images->folder, length) != 0 || name[strlen(name) - 1] == '/') continue;
        const char *rest = name + length;
        const int stem = (int)fari_stem_length(rest);
        const int bytes = snprintf(room, NAME_MAX_BYTES, "%.*s%s%.*s", (int)common, full, labels->folder, stem, rest);
        const int64_t label = bytes > 0 && bytes < NAME_MAX_BYTES ? find_stem(files, room) : -1;
        if (label < 0) return no_label(files, i, room + common, ".png");
        FAR_TRY(add_pair(set, i, label, rest, (size_t)stem, opts));
    }
    return FAR_OK;
}

/* What the stars stand for, joined by '/'. */
static size_t join(const fari_match *match, char *out)
{
    size_t at = 0;
    for (int32_t i = 0; i < match->count; i++) {
        if (i > 0) out[at++] = '/';
        memcpy(out + at, match->star[i].text, match->star[i].length);
        at += match->star[i].length;
    }
    return at;
}

static far_status add_by_patterns(fari_picture_set *set, size_t common, const far_pictures_opts *opts, char *room)
{
    const fari_files *files = fari_picture_set_files(set);
    for (int64_t i = 0; i < fari_files_count(files); i++) {
        fari_match match;
        const char *full = fari_files_name(files, i), *name = inner(files, common, i);
        if (name[0] == '\0' || name[strlen(name) - 1] == '/' || !fari_pattern_matches(opts->images, name, &match))
            continue;
        memcpy(room, full, common);
        int64_t label = -1;
        if (fari_pattern_fill(opts->labels, &match, room + common, NAME_MAX_BYTES - common))
            label = fari_files_find(files, room);
        if (label < 0) return no_label(files, i, room + common, "");
        const size_t length = join(&match, room);
        FAR_TRY(add_pair(set, i, label, room, length, opts));
    }
    return FAR_OK;
}

static far_status add_pairs(fari_picture_set *set, size_t common, const side *images, const side *labels,
                            const far_pictures_opts *opts)
{
    char *room = fari_alloc(2 * NAME_MAX_BYTES);
    if (room == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory to pair images and label maps");
    const far_status st = opts->images != NULL ? add_by_patterns(set, common, opts, room)
                                               : add_by_stems(set, common, images, labels, opts, room);
    fari_free(room);
    return st;
}

/* --- opening --- */

static far_status check_patterns(const far_pictures_opts *opts)
{
    int32_t in_images = 0, in_labels = 0;
    if ((opts->images == NULL) != (opts->labels == NULL))
        return FAR_FAIL(FAR_E_ARG, "patterns for images and for labels go together; only one is given, %s",
                        opts->images != NULL ? opts->images : opts->labels);
    if (opts->images == NULL) return FAR_OK;
    FAR_TRY(fari_pattern_check(opts->images, &in_images));
    FAR_TRY(fari_pattern_check(opts->labels, &in_labels));
    if (in_images == in_labels) return FAR_OK;
    return FAR_FAIL(
        FAR_E_ARG,
        "patterns %s and %s have %d and %d stars; each star of the labels stands for what that of the images does",
        opts->images, opts->labels, in_images, in_labels);
}

static far_status add_names(fari_picture_set *set, const far_pictures_opts *opts, int32_t classes)
{
    static const char *const of_instances[] = { "background", "inside", "boundary" };
    const char *const *names =
        opts->labels_are_instances && opts->class_names == NULL ? of_instances : opts->class_names;
    const int32_t count = names == of_instances ? 3 : opts->class_name_count;
    if (names == NULL) return FAR_OK;
    if (classes > 0 && count != classes) return FAR_FAIL(FAR_E_ARG, "%d names for %d classes", count, classes);
    for (int32_t i = 0; i < count; i++) FAR_TRY(fari_picture_set_add_class(set, names[i], strlen(names[i])));
    return FAR_OK;
}

far_status far_dataset_open_label_maps(const char *path, const far_pictures_opts *opts, far_dataset **dataset_out)
{
    static const far_pictures_opts defaults = { 0 };
    const far_pictures_opts *o = opts != NULL ? opts : &defaults;
    fari_files *files = NULL;
    fari_picture_set *set = NULL;
    fari_label_rule rule = { 0 };
    side images, labels;
    far_status st;
    FAR_TRY(check_patterns(o));
    FAR_TRY(fari_label_rule_make(o, &rule));
    const int32_t classes = rule.class_count;
    FAR_TRY_GOTO(fari_files_open(path, fari_name_is_picture, NULL, &files), free_rule);
    const size_t common = fari_names_common(files, true);
    if (o->images == NULL) FAR_TRY_GOTO(find_sides(files, common, o->part, &images, &labels), close_files);
    st = fari_picture_set_create(files, FAR_LABEL_MAP, &set);
    if (st != FAR_OK) goto free_rule;
    fari_picture_set_label_rule(set, &rule);
    FAR_TRY_GOTO(add_names(set, o, classes), destroy_set);
    FAR_TRY_GOTO(add_pairs(set, common, &images, &labels, o), destroy_set);
    if (fari_picture_set_count(set) == 0) {
        st = FAR_FAIL(FAR_E_NOTFOUND, "%s: no image matches %s", path, o->images != NULL ? o->images : images.folder);
        goto destroy_set;
    }
    FAR_TRY(fari_picture_set_finish(set, o->channels, o->class_count, dataset_out));
    return FAR_OK;
destroy_set:
    fari_picture_set_destroy(set);
    return st;
close_files:
    fari_files_close(files);
free_rule:
    fari_label_rule_free(&rule);
    return st;
}

far_pictures_kind far_pictures_kind_of(const char *path)
{
    fari_files *files = NULL;
    side images, labels;
    far_pictures_kind kind = FAR_PICTURES_NONE;
    if (fari_files_open(path, fari_name_is_picture, NULL, &files) == FAR_OK) {
        const size_t common = fari_names_common(files, true);
        for (int64_t i = 0; i < fari_files_count(files) && kind == FAR_PICTURES_NONE; i++) {
            const char *name = inner(files, common, i);
            const size_t part = fari_first_part(name);
            if (name[part] == '/' && name[strlen(name) - 1] != '/') kind = FAR_PICTURES_CLASSES;
        }
        if (kind != FAR_PICTURES_NONE && find_sides(files, common, FAR_DATA_TRAIN, &images, &labels) == FAR_OK)
            kind = FAR_PICTURES_LABEL_MAPS;
        fari_files_close(files);
    }
    far_error_clear();
    return kind;
}
