#include "base/file.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/status.h"
#include "run/checkpoint.h"
#include "run/checkpoint_priv.h"
#include "run/safetensors.h"
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct fari_ckpt {
    char *path;
    fari_ckpt_state state;
    fari_st_file *model, *optimizer;
};

bool fari_ckpt_parse_step(const char *name, int64_t *step_out)
{
    char again[32];
    int64_t step;
    if (!fari_parse_i64(name, &step) || step < 0) return false;
    (void)snprintf(again, sizeof again, "%" PRId64, step);
    if (strcmp(again, name) != 0) return false;
    *step_out = step;
    return true;
}

static int compare_steps(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

far_status fari_ckpt_list(const char *folder, int64_t **steps_out, int64_t *count_out)
{
    char **names = NULL;
    int64_t name_count = 0, count = 0;
    FAR_TRY(fari_folder_list(folder, &names, &name_count));
    int64_t *steps = fari_calloc((size_t)name_count, sizeof *steps);
    for (int64_t i = 0; i < name_count && steps != NULL; i++)
        if (fari_ckpt_parse_step(names[i], &steps[count])) count++;
    fari_names_free(names, name_count);
    if (steps == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory to list %s", folder);
    if (count > 0) qsort(steps, (size_t)count, sizeof *steps, compare_steps);
    *steps_out = steps;
    *count_out = count;
    return FAR_OK;
}

/* --- the manifest --- */

static far_status check_self(const char *path, const char *text, size_t bytes)
{
    char want[FARI_XXH128_HEX];
    const size_t mark_bytes = sizeof FARI_CKPT_SELF - 1, tail_bytes = mark_bytes + 32 + sizeof "\"\n}\n" - 1;
    if (bytes < tail_bytes || memcmp(text + bytes - tail_bytes, FARI_CKPT_SELF, mark_bytes) != 0)
        return FAR_FAIL(FAR_E_FORMAT, "%s is damaged: its last line, a checksum, is not there", path);
    fari_xxh128_hex(text, bytes - tail_bytes, want);
    if (memcmp(text + bytes - tail_bytes + mark_bytes, want, 32) != 0)
        return FAR_FAIL(FAR_E_FORMAT, "%s is damaged: it does not have the checksum of its last line", path);
    return FAR_OK;
}

static far_status copy_text(const char *path, const json_t *object, const char *key, char text_out[FARI_CKPT_TEXT])
{
    const char *text;
    FAR_TRY(fari_json_text(path, object, key, &text));
    (void)snprintf(text_out, FARI_CKPT_TEXT, "%s", text);
    return FAR_OK;
}

static double number_or_nan(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return json_is_number(value) ? json_number_value(value) : (double)NAN;
}

static far_status parse_state(const char *path, const json_t *root, fari_ckpt_state *state_out)
{
    int64_t version = 0, seed = 0;
    json_t *bits, *libraries, *value;
    const char *name;
    memset(state_out, 0, sizeof *state_out);
    FAR_TRY(fari_json_i64(path, root, "version", &version));
    if (version < 1 || version > FARI_CKPT_VERSION)
        return FAR_FAIL(FAR_E_VERSION, "%s has format version %" PRId64 "; this program reads versions 1 to %d", path,
                        version, FARI_CKPT_VERSION);
    FAR_TRY(fari_json_i64(path, root, "step", &state_out->step));
    FAR_TRY(fari_json_i64(path, root, "epoch", &state_out->epoch));
    FAR_TRY(fari_json_i64(path, root, "position", &state_out->position));
    FAR_TRY(fari_json_i64(path, root, "seed", &seed));
    state_out->seed = (uint64_t)seed;
    state_out->best_metric = number_or_nan(root, "best_metric");
    state_out->patience_metric = number_or_nan(root, "patience_metric");
    FAR_TRY(fari_json_i64(path, root, "patience_used", &state_out->patience_used));
    FAR_TRY(copy_text(path, root, "config_sha256", state_out->config_hash));
    FAR_TRY(fari_json_object(path, root, "bits", &bits));
    FAR_TRY(copy_text(path, bits, "grains", state_out->grains));
    FAR_TRY(copy_text(path, bits, "isa", state_out->isa));
    FAR_TRY(fari_json_object(path, bits, "libraries", &libraries));
    json_object_foreach(libraries, name, value)
    {
        if (!json_is_string(value) || state_out->library_count == FARI_CKPT_LIBRARIES) continue;
        const int32_t i = state_out->library_count++;
        (void)snprintf(state_out->libraries[i].name, FARI_CKPT_TEXT, "%s", name);
        (void)snprintf(state_out->libraries[i].version, FARI_CKPT_TEXT, "%s", json_string_value(value));
    }
    return FAR_OK;
}

static far_status read_manifest(const char *folder, fari_ckpt_state *state_out, json_t **root_out)
{
    char *text = NULL;
    size_t bytes = 0;
    json_t *root = NULL;
    far_status st;
    char *path = fari_path_join(folder, FARI_CKPT_MANIFEST);
    if (path == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory to open %s", folder);
    FAR_TRY_GOTO(fari_file_read(path, FARI_CKPT_MANIFEST_MAX, &text, &bytes), free_path);
    FAR_TRY_GOTO(check_self(path, text, bytes), free_text);
    FAR_TRY_GOTO(fari_json_parse(path, 0, text, bytes, &root), free_text);
    FAR_TRY_GOTO(parse_state(path, root, state_out), free_text);
    *root_out = root;
    root = NULL;
free_text:
    json_decref(root);
    fari_free(text);
free_path:
    fari_free(path);
    return st;
}

/* --- the files --- */

static far_status check_hash(const char *path, const char *what, const char *name, const char *got, const json_t *want)
{
    if (json_is_string(want) && strcmp(json_string_value(want), got) == 0) return FAR_OK;
    return FAR_FAIL(FAR_E_FORMAT, "%s is damaged: %s%s%s does not have the checksum of the manifest", path, what,
                    name[0] != '\0' ? " " : "", name);
}

/* Bytes [first, first + bytes) of tensor i have the checksum `want`. */
static far_status check_range(const fari_st_file *file, int64_t i, int64_t first, int64_t bytes, const json_t *want)
{
    char hash[FARI_XXH128_HEX], what[256];
    const fari_st_info *info = fari_st_at(file, i);
    FAR_TRY(fari_st_hash_range(file, i, first, bytes, hash));
    (void)snprintf(what, sizeof what, "tensor \"%.120s\" at bytes %" PRId64 " to %" PRId64, info->name,
                   info->first_byte + first, info->first_byte + first + bytes);
    return check_hash(fari_st_path(file), what, "", hash, want);
}

/* One checksum, or one for each piece of the tensor. */
static far_status check_tensor(const fari_st_file *file, int64_t i, const json_t *entry, const json_t *want)
{
    const fari_st_info *info = fari_st_at(file, i);
    int64_t piece = 0;
    if (!json_is_array(want)) return check_range(file, i, 0, info->bytes, want);
    FAR_TRY(fari_json_i64(fari_st_path(file), entry, "piece_bytes", &piece));
    if (piece < 1 || (int64_t)json_array_size(want) != (info->bytes - 1) / piece + 1)
        return FAR_FAIL(FAR_E_FORMAT,
                        "%s is damaged: tensor \"%s\" of %" PRId64 " bytes has %zu checksums of %" PRId64
                        " bytes each in the manifest",
                        fari_st_path(file), info->name, info->bytes, json_array_size(want), piece);
    for (int64_t first = 0, p = 0; first < info->bytes; first += piece, p++) {
        const int64_t left = info->bytes - first;
        FAR_TRY(check_range(file, i, first, left < piece ? left : piece, json_array_get(want, (size_t)p)));
    }
    return FAR_OK;
}

static far_status check_file(const fari_st_file *file, const json_t *entry)
{
    char hash[FARI_XXH128_HEX];
    const char *path = fari_st_path(file);
    json_t *tensors;
    FAR_TRY(fari_st_hash_head(file, hash));
    FAR_TRY(check_hash(path, "its header", "", hash, json_object_get(entry, "head_xxh3_128")));
    FAR_TRY(fari_json_object(path, entry, "tensors_xxh3_128", &tensors));
    for (int64_t i = 0; i < fari_st_count(file); i++) {
        FAR_TRY(check_tensor(file, i, entry, json_object_get(tensors, fari_st_at(file, i)->name)));
    }
    return FAR_OK;
}

static far_status open_checked(const char *folder, const char *name, const json_t *files, fari_st_file **file_out)
{
    json_t *entry;
    fari_st_file *file = NULL;
    int64_t want = 0;
    far_status st;
    int fd = -1;
    int64_t bytes = 0;
    char *path = fari_path_join(folder, name);
    if (path == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory to open %s", folder);
    FAR_TRY_GOTO(fari_json_object(path, files, name, &entry), free_path);
    FAR_TRY_GOTO(fari_json_i64(path, entry, "bytes", &want), free_path);
    FAR_TRY_GOTO(fari_file_open(path, &fd, &bytes), free_path);
    fari_file_close(fd);
    if (bytes != want) {
        st = FAR_FAIL(FAR_E_FORMAT, "%s is damaged: it has %" PRId64 " bytes, the manifest says %" PRId64, path, bytes,
                      want);
        goto free_path;
    }
    FAR_TRY_GOTO(fari_st_open(path, &file), free_path);
    st = check_file(file, entry);
    if (st != FAR_OK) fari_st_close(file);
    else *file_out = file;
free_path:
    fari_free(path);
    return st;
}

far_status fari_ckpt_open_path(const char *path, fari_ckpt **ckpt_out)
{
    json_t *root = NULL, *files;
    far_status st;
    fari_ckpt *ckpt = fari_calloc(1, sizeof *ckpt);
    if (ckpt == NULL || (ckpt->path = fari_strdup(path)) == NULL) {
        st = FAR_FAIL(FAR_E_NOMEM, "no memory to open checkpoint %s", path);
        goto close_ckpt;
    }
    FAR_TRY_GOTO(read_manifest(path, &ckpt->state, &root), close_ckpt);
    FAR_TRY_GOTO(fari_json_object(path, root, "files", &files), close_ckpt);
    FAR_TRY_GOTO(open_checked(path, FARI_CKPT_MODEL, files, &ckpt->model), close_ckpt);
    FAR_TRY_GOTO(open_checked(path, FARI_CKPT_OPTIMIZER, files, &ckpt->optimizer), close_ckpt);
    *ckpt_out = ckpt;
    ckpt = NULL;
close_ckpt:
    json_decref(root);
    fari_ckpt_close(ckpt);
    return st;
}

far_status fari_ckpt_read_link(const char *folder, const char *link, char name_out[FARI_CKPT_NAME])
{
    char *path = fari_path_join(folder, link);
    if (path == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory to follow %s in %s", link, folder);
    const ssize_t length = readlink(path, name_out, FARI_CKPT_NAME - 1);
    const int error = errno;
    fari_free(path);
    name_out[length > 0 ? length : 0] = '\0';
    if (length < 0 && error != ENOENT && error != EINVAL)
        return FAR_FAIL(FAR_E_IO, "cannot read link %s in %s: %s", link, folder, strerror(error));
    return FAR_OK;
}

/* The folder that a link or a number names; "" where there is no such checkpoint. */
static far_status find_name(const char *folder, const char *which, char name_out[FARI_CKPT_NAME])
{
    int64_t step;
    if (strcmp(which, "last") == 0 || strcmp(which, "best") == 0) {
        FAR_TRY(fari_ckpt_read_link(folder, which, name_out));
        if (strchr(name_out, '/') != NULL) name_out[0] = '\0'; /* none of ours */
        return FAR_OK;
    }
    if (!fari_ckpt_parse_step(which, &step))
        return FAR_FAIL(FAR_E_ARG, "checkpoint \"%s\": expected last, best or the number of a step", which);
    (void)snprintf(name_out, FARI_CKPT_NAME, "%" PRId64, step);
    return FAR_OK;
}

static far_status open_name(const char *folder, const char *name, fari_ckpt **ckpt_out)
{
    char *path = fari_path_join(folder, name);
    if (path == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory to open %s", folder);
    const far_status st = fari_ckpt_open_path(path, ckpt_out);
    fari_free(path);
    return st;
}

static bool is_damage(far_status st)
{
    return st == FAR_E_FORMAT || st == FAR_E_NOTFOUND || st == FAR_E_IO;
}

static far_status open_step(const char *folder, int64_t step, fari_ckpt **ckpt_out)
{
    char name[FARI_CKPT_NAME];
    (void)snprintf(name, sizeof name, "%" PRId64, step);
    return open_name(folder, name, ckpt_out);
}

/* After `bad` ("": none named) could not be opened: the newest of the others that is whole. The first error stays the one told. */
static far_status open_newest(const char *folder, const char *bad, far_status bad_status, fari_ckpt **ckpt_out)
{
    fari_error_copy first;
    int64_t *steps = NULL;
    int64_t count = 0, bad_step = -1;
    far_status st = bad_status;
    fari_error_save(&first);
    if (!fari_ckpt_parse_step(bad, &bad_step)) bad_step = -1;
    FAR_TRY(fari_ckpt_list(folder, &steps, &count));
    for (int64_t i = count - 1; i >= 0 && is_damage(st); i--) {
        if (steps[i] == bad_step) continue;
        st = open_step(folder, steps[i], ckpt_out);
        if (is_damage(st))
            fari_log(FAR_LOG_WARN, "checkpoint %" PRId64 " cannot be used either: %s", steps[i], far_error_message());
        else if (st == FAR_OK) fari_log(FAR_LOG_WARN, "%s; going on from checkpoint %" PRId64, first.message, steps[i]);
    }
    fari_free(steps);
    if (is_damage(st)) {
        fari_error_restore(&first);
        return bad_status;
    }
    return st;
}

far_status fari_ckpt_open(const char *folder, const char *which, fari_ckpt **ckpt_out)
{
    char name[FARI_CKPT_NAME];
    far_status st;
    FAR_TRY(find_name(folder, which, name));
    if (name[0] != '\0') st = open_name(folder, name, ckpt_out);
    else st = FAR_FAIL(FAR_E_NOTFOUND, "there is no checkpoint \"%s\" in %s", which, folder);
    if (!is_damage(st) || strcmp(which, "last") != 0 || !fari_path_is_folder(folder)) return st;
    return open_newest(folder, name, st, ckpt_out);
}

void fari_ckpt_close(fari_ckpt *ckpt)
{
    if (ckpt == NULL) return;
    fari_st_close(ckpt->optimizer);
    fari_st_close(ckpt->model);
    fari_free(ckpt->path);
    fari_free(ckpt);
}

const fari_ckpt_state *fari_ckpt_state_of(const fari_ckpt *ckpt)
{
    return &ckpt->state;
}

const char *fari_ckpt_path(const fari_ckpt *ckpt)
{
    return ckpt->path;
}

const fari_st_file *fari_ckpt_model(const fari_ckpt *ckpt)
{
    return ckpt->model;
}

/* --- tensors --- */

static far_status read_tensor(const fari_st_file *file, const fari_ckpt_tensor *tensor)
{
    char got[128], want[128];
    const int64_t idx = fari_st_find(file, tensor->name);
    if (idx < 0) {
        const char *nearest = fari_st_nearest(file, tensor->name);
        return FAR_FAIL(FAR_E_NOTFOUND, "%s has no tensor \"%s\"%s%s%s", fari_st_path(file), tensor->name,
                        nearest != NULL ? "; nearest: \"" : "", nearest != NULL ? nearest : "",
                        nearest != NULL ? "\"" : "");
    }
    const fari_st_info *info = fari_st_at(file, idx);
    bool is_same = info->shape.ndim == tensor->shape.ndim;
    for (int32_t axis = 0; is_same && axis < info->shape.ndim; axis++)
        is_same = info->shape.dim[axis] == tensor->shape.dim[axis];
    if (!is_same)
        return FAR_FAIL(FAR_E_SHAPE, "%s: tensor \"%s\" is %s in the file, %s in the model", fari_st_path(file),
                        tensor->name, far_shape_text(&info->shape, got), far_shape_text(&tensor->shape, want));
    return fari_st_read(file, idx, 0, info->elems, tensor->dtype, tensor->data);
}

/* The stored tensors nobody asked for: the first is named. */
static far_status check_all_used(const fari_st_file *file, const fari_ckpt_tensor *tensors, int64_t count)
{
    for (int64_t i = 0; i < fari_st_count(file); i++) {
        const char *name = fari_st_at(file, i)->name;
        int64_t k = 0;
        while (k < count && strcmp(tensors[k].name, name) != 0) k++;
        if (k == count)
            return FAR_FAIL(FAR_E_NOTFOUND, "%s has a tensor \"%s\" that the model does not have", fari_st_path(file),
                            name);
    }
    return FAR_OK;
}

static far_status read_tensors(const fari_st_file *file, const fari_ckpt_tensor *tensors, int64_t count,
                               bool is_complete)
{
    for (int64_t i = 0; i < count; i++) FAR_TRY(read_tensor(file, &tensors[i]));
    if (is_complete && fari_st_count(file) != count) FAR_TRY(check_all_used(file, tensors, count));
    return FAR_OK;
}

far_status fari_ckpt_read_model(const fari_ckpt *ckpt, const fari_ckpt_tensor *tensors, int64_t count, bool is_complete)
{
    return read_tensors(ckpt->model, tensors, count, is_complete);
}

far_status fari_ckpt_read_optimizer(const fari_ckpt *ckpt, const fari_ckpt_tensor *tensors, int64_t count,
                                    bool is_complete)
{
    return read_tensors(ckpt->optimizer, tensors, count, is_complete);
}
