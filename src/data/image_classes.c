/* Pictures in folders named by their classes. */
#include "base/mem.h"
#include "base/status.h"
#include "data/picture_names.h"
#include "data/picture_set.h"
#include <inttypes.h>
#include <string.h>

/* A name in the collection without what all names begin with. */
static const char *inner(const fari_files *files, size_t common, int64_t idx)
{
    const char *name = fari_files_name(files, idx);
    return strlen(name) > common ? name + common : "";
}

/* The folder of the part, as "train/", by its first name; NULL: none is named so. */
static const char *part_folder(const fari_files *files, size_t common, far_data_part part, size_t *length_out)
{
    const char *best = NULL;
    int best_rank = -1;
    for (int64_t i = 0; i < fari_files_count(files); i++) {
        const char *name = inner(files, common, i);
        const size_t length = fari_first_part(name);
        const int rank = name[length] == '/' ? fari_part_rank(name, length, part) : -1;
        if (rank < 0 || (best != NULL && rank >= best_rank)) continue;
        best = name;
        best_rank = rank;
        *length_out = length + 1;
    }
    return best;
}

/* Where the classes of a part lie: names begin with `prefix`. */
typedef struct place {
    const char *prefix;
    size_t length;
} place;

static far_status places_of(const fari_files *files, size_t common, far_data_part part, place *classes_out,
                            place *samples_out)
{
    size_t length = 0;
    const char *train = part_folder(files, common, FAR_DATA_TRAIN, &length);
    *classes_out = *samples_out = (place){ train != NULL ? train : "", length };
    if (part == FAR_DATA_TRAIN) return FAR_OK;
    size_t test_length = 0;
    const char *test = train == NULL ? NULL : part_folder(files, common, FAR_DATA_TEST, &test_length);
    if (test == NULL)
        return FAR_FAIL(FAR_E_NOTFOUND,
                        "%s has no part for testing; looked for the folders val, valid, validation, test beside train",
                        fari_files_label(files));
    *samples_out = (place){ test, test_length };
    return FAR_OK;
}

/* What follows the place's folder in a name; NULL: the name lies elsewhere, or is that folder. */
static const char *below(const char *name, const place *where)
{
    if (strncmp(name, where->prefix, where->length) != 0 || name[where->length] == '\0') return NULL;
    return name + where->length;
}

/* --- classes --- */

static far_status end_class(const fari_files *files, const char *name, size_t length, int64_t pictures)
{
    if (name == NULL || pictures > 0) return FAR_OK;
    return FAR_FAIL(FAR_E_FORMAT, "%s: the folder of class %.*s has no JPEG, PNG or TIFF in it; remove it or fill it",
                    fari_files_label(files), (int)length, name);
}

/* Each folder in the place is a class; files of one folder follow each other. */
static far_status add_classes(fari_picture_set *set, size_t common, const place *where)
{
    const fari_files *files = fari_picture_set_files(set);
    const char *name = NULL;
    size_t length = 0;
    int64_t pictures = 0;
    for (int64_t i = 0; i < fari_files_count(files); i++) {
        const char *at = below(inner(files, common, i), where);
        if (at == NULL) continue;
        const size_t part = fari_first_part(at);
        if (at[part] != '/') continue;
        if (name == NULL || part != length || strncmp(at, name, part) != 0) {
            FAR_TRY(end_class(files, name, length, pictures));
            FAR_TRY(fari_picture_set_add_class(set, at, part));
            name = at;
            length = part;
            pictures = 0;
        }
        pictures += at[strlen(at) - 1] != '/';
    }
    FAR_TRY(end_class(files, name, length, pictures));
    fari_picture_set_sort_classes(set);
    return FAR_OK;
}

/* --- samples --- */

static far_status unread_kind(const fari_files *files, int64_t idx)
{
    char label[FARI_FILES_LABEL];
    return FAR_FAIL(FAR_E_UNSUPPORTED,
                    "%s: pictures of this kind are not read; convert it to PNG, JPEG or TIFF, or remove it",
                    fari_files_name_for_people(files, idx, label));
}

static far_status add_samples(fari_picture_set *set, size_t common, const place *where, const far_pictures_opts *opts,
                              bool has_classes)
{
    const fari_files *files = fari_picture_set_files(set);
    for (int64_t i = 0; i < fari_files_count(files); i++) {
        const char *name = inner(files, common, i), *at = below(name, where);
        if (at == NULL || at[strlen(at) - 1] == '/') continue;
        if (fari_ending_of(at) == FARI_ENDING_UNREAD) return unread_kind(files, i);
        const size_t part = fari_first_part(at);
        int32_t class_idx = -1;
        if (has_classes && at[part] != '/') continue; /* beside the folders of the classes */
        if (has_classes) class_idx = fari_picture_set_class_of(set, at, part);
        if (has_classes && class_idx < 0)
            return FAR_FAIL(FAR_E_FORMAT, "%s: folder %.*s%.*s is of no class: the training part has none of this name",
                            fari_files_label(files), (int)where->length, where->prefix, (int)part, at);
        FAR_TRY(fari_picture_set_add(set, i, name, strlen(name), class_idx, -1, opts->keep_broken));
    }
    return FAR_OK;
}

static bool has_pictures(const fari_files *files, size_t common, const place *where, bool in_folders)
{
    for (int64_t i = 0; i < fari_files_count(files); i++) {
        const char *at = below(inner(files, common, i), where);
        if (at == NULL || at[strlen(at) - 1] == '/') continue;
        if (!in_folders || at[fari_first_part(at)] == '/') return true;
    }
    return false;
}

far_status far_dataset_open_images(const char *path, const far_pictures_opts *opts, far_dataset **dataset_out)
{
    static const far_pictures_opts defaults = { 0 };
    const far_pictures_opts *o = opts != NULL ? opts : &defaults;
    fari_files *files = NULL;
    fari_picture_set *set = NULL;
    place classes, samples;
    far_status st;
    FAR_TRY(fari_files_open(path, fari_name_is_picture, NULL, &files));
    const size_t common = fari_names_common(files, true);
    FAR_TRY_GOTO(places_of(files, common, o->part, &classes, &samples), close_files);
    if (!has_pictures(files, common, &samples, false)) {
        st = FAR_FAIL(FAR_E_NOTFOUND, "%s has no JPEG, PNG or TIFF pictures%s%.*s", path,
                      samples.length > 0 ? " in " : "", (int)samples.length, samples.prefix);
        goto close_files;
    }
    const bool has_classes = has_pictures(files, common, &classes, true);
    FAR_TRY(fari_picture_set_create(files, has_classes ? FAR_LABEL_CLASS : FAR_LABEL_NONE, &set));
    if (has_classes) FAR_TRY_GOTO(add_classes(set, common, &classes), destroy_set);
    FAR_TRY_GOTO(add_samples(set, common, &samples, o, has_classes), destroy_set);
    FAR_TRY(fari_picture_set_finish(set, o->channels, o->class_count, dataset_out));
    return FAR_OK;
destroy_set:
    fari_picture_set_destroy(set);
    return st;
close_files:
    fari_files_close(files);
    return st;
}
