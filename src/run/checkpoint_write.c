#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/status.h"
#include "run/checkpoint.h"
#include "run/checkpoint_parts.h"
#include "run/checkpoint_priv.h"
#include "run/safetensors.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define TEMPORARY ".tmp-"
#define REPLACED ".old-"

/* --- the manifest --- */

static void add_text(fari_text *text, const char *indent, const char *key, const char *value, const char *end)
{
    fari_text_add(text, "%s\"%s\": ", indent, key);
    fari_text_json(text, value);
    fari_text_add(text, "%s", end);
}

static void add_state(fari_text *text, const fari_ckpt_state *state)
{
    char number[FARI_NUMBER_TEXT];
    fari_text_add(text, "{\n  \"format\": \"farandole checkpoint\",\n  \"version\": %d,\n", FARI_CKPT_VERSION);
    fari_text_add(text, "  \"step\": %" PRId64 ",\n  \"epoch\": %" PRId64 ",\n  \"position\": %" PRId64 ",\n",
                  state->step, state->epoch, state->position);
    fari_text_add(text, "  \"seed\": %" PRId64 ",\n", (int64_t)state->seed);
    fari_text_add(text, "  \"best_metric\": %s,\n",
                  isfinite(state->best_metric) ? fari_f64_text(state->best_metric, number) : "null");
    fari_text_add(text, "  \"patience_metric\": %s,\n  \"patience_used\": %" PRId64 ",\n",
                  isfinite(state->patience_metric) ? fari_f64_text(state->patience_metric, number) : "null",
                  state->patience_used);
    add_text(text, "  ", "config_sha256", state->config_hash, ",\n");
    fari_text_add(text, "  \"bits\": {\n");
    add_text(text, "    ", "grains", state->grains, ",\n");
    add_text(text, "    ", "isa", state->isa, ",\n");
    fari_text_add(text, "    \"libraries\": {");
    for (int32_t i = 0; i < state->library_count; i++)
        add_text(text, i > 0 ? ", " : "", state->libraries[i].name, state->libraries[i].version, "");
    fari_text_add(text, "}\n  },\n");
}

/* What is in one file. A tensor of one piece has one checksum, a larger one a list. */
static void add_file(fari_text *text, const fari_ckpt_parts *parts, int32_t file, const char (*hashes)[FARI_XXH128_HEX])
{
    char head_hash[FARI_XXH128_HEX];
    int64_t last = -1;
    fari_xxh128_hex(parts->heads[file], (size_t)parts->head_bytes[file], head_hash);
    fari_text_add(text, "    \"%s\": {\n      \"bytes\": %" PRId64 ",\n      \"piece_bytes\": %" PRId64 ",\n",
                  file == 0 ? FARI_CKPT_MODEL : FARI_CKPT_OPTIMIZER, parts->file_bytes[file], FARI_CKPT_PIECE);
    fari_text_add(text, "      \"head_xxh3_128\": \"%s\",\n      \"tensors_xxh3_128\": {", head_hash);
    for (int64_t p = 0; p < parts->piece_count; p++) {
        const fari_ckpt_piece *piece = &parts->pieces[p], *next = piece + 1;
        if (piece->file != file) continue;
        const bool has_more = p + 1 < parts->piece_count && next->file == file && next->tensor == piece->tensor;
        if (piece->tensor != last) {
            fari_text_add(text, "%s\n        ", last >= 0 ? "," : "");
            fari_text_json(text, parts->tensors[file][piece->tensor].name);
            fari_text_add(text, has_more ? ": [" : ": ");
        } else fari_text_add(text, ", ");
        fari_text_add(text, "\"%s\"%s", hashes[p], piece->first > 0 && !has_more ? "]" : "");
        last = piece->tensor;
    }
    fari_text_add(text, "\n      }\n    }%s\n", file + 1 < FARI_CKPT_FILES ? "," : "");
}

static far_status write_manifest(const char *folder, fari_text *text)
{
    char self[FARI_XXH128_HEX];
    int fd = -1;
    far_status st;
    if (!text->failed) {
        fari_xxh128_hex(text->data, (size_t)text->bytes, self);
        fari_text_add(text, FARI_CKPT_SELF "%s\"\n}\n", self);
    }
    char *path = fari_path_join(folder, FARI_CKPT_MANIFEST);
    if (text->failed || path == NULL) {
        st = FAR_FAIL(FAR_E_NOMEM, "no memory to write checkpoint %s", folder);
        goto free_path;
    }
    FAR_TRY_GOTO(fari_file_create(path, &fd), free_path);
    st = fari_file_write(fd, path, text->data, (size_t)text->bytes);
    if (st == FAR_OK) st = fari_file_close_synced(fd, path);
    else (void)close(fd);
free_path:
    fari_free(path);
    return st;
}

/* --- folders --- */

/* Moves what `place` holds to `aside`; back again where the new folder then does not get its name. */
static far_status swap_by_hand(const char *temporary, const char *place, const char *aside)
{
    FAR_TRY(fari_remove_tree(aside));
    FAR_TRY(fari_rename(place, aside));
    const far_status st = fari_rename(temporary, place);
    if (st != FAR_OK) {
        (void)rename(aside, place);
        return st;
    }
    return fari_remove_tree(aside);
}

/* Gives the finished folder its name. A checkpoint of that step may be there (a run that went back): it is replaced, by an exchange where
   the system has one, so that there is no moment without it. */
static far_status put_in_place(const char *folder, const char *temporary, int64_t step)
{
    far_status st = FAR_OK;
    char *place = fari_printf("%s/%" PRId64, folder, step);
    char *aside = fari_printf("%s/" REPLACED "%" PRId64, folder, step);
    if (place == NULL || aside == NULL) {
        st = FAR_FAIL(FAR_E_NOMEM, "no memory to name checkpoint %" PRId64, step);
        goto free_names;
    }
    if (!fari_path_exists(place)) FAR_TRY_GOTO(fari_rename(temporary, place), free_names);
    else if (renameat2(AT_FDCWD, temporary, AT_FDCWD, place, RENAME_EXCHANGE) == 0)
        FAR_TRY_GOTO(fari_remove_tree(temporary), free_names);
    else FAR_TRY_GOTO(swap_by_hand(temporary, place, aside), free_names);
    st = fari_folder_sync(folder);
free_names:
    fari_free(aside);
    fari_free(place);
    return st;
}

static far_status point_link(const char *folder, const char *link, const char *target)
{
    char *path = fari_path_join(folder, link);
    if (path == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory to link %s", link);
    const far_status st = fari_link_atomic(target, path);
    fari_free(path);
    return st;
}

/* The step a link points at, -1 when it points at none. A link that cannot be read is an error: what it points at has to stay. */
static far_status step_of_link(const char *folder, const char *link, int64_t *step_out)
{
    char name[FARI_CKPT_NAME];
    FAR_TRY(fari_ckpt_read_link(folder, link, name));
    if (!fari_ckpt_parse_step(name, step_out)) *step_out = -1;
    return FAR_OK;
}

/* A second name for a checkpoint's files. */
static far_status link_file(const char *from, const char *to, const char *name)
{
    far_status st = FAR_OK;
    char *old = fari_path_join(from, name), *new = fari_path_join(to, name);
    if (old == NULL || new == NULL) st = FAR_FAIL(FAR_E_NOMEM, "no memory to name %s", from);
    else if (link(old, new) != 0)
        st = FAR_FAIL(FAR_E_IO, "cannot give %s the second name %s: %s", old, new, strerror(errno));
    fari_free(new);
    fari_free(old);
    return st;
}

/* The checkpoint in folder `from` under another name as well; its files are not copied. */
static far_status link_folder(const char *from, const char *temporary, const char *to)
{
    static const char *const names[] = { FARI_CKPT_MODEL, FARI_CKPT_OPTIMIZER, FARI_CKPT_MANIFEST };
    FAR_TRY(fari_remove_tree(temporary));
    FAR_TRY(fari_remove_tree(to));
    FAR_TRY(fari_folder_make(temporary));
    for (size_t i = 0; i < FAR_COUNT(names); i++) FAR_TRY(link_file(from, temporary, names[i]));
    FAR_TRY(fari_folder_sync(temporary));
    return fari_rename(temporary, to);
}

/* Step `step` is about to be replaced. Where `best` points at it, and the new one is none of the best, it is of an earlier life of the run
   that went another way: it gets a name of its own, `best-20`. At no moment is there no best. */
static far_status keep_best(const char *folder, int64_t step)
{
    char name[FARI_CKPT_NAME];
    int64_t best = -1;
    far_status st = FAR_OK;
    FAR_TRY(step_of_link(folder, "best", &best));
    if (best != step) return FAR_OK;
    (void)snprintf(name, sizeof name, FARI_CKPT_BEST "%" PRId64, step);
    char *place = fari_printf("%s/%" PRId64, folder, step), *aside = fari_path_join(folder, name);
    char *temporary = fari_printf("%s/" TEMPORARY "%s", folder, name);
    if (place == NULL || aside == NULL || temporary == NULL) {
        st = FAR_FAIL(FAR_E_NOMEM, "no memory to keep checkpoint %" PRId64, step);
        goto free_names;
    }
    if (!fari_path_exists(place)) goto free_names; /* the link dangles */
    FAR_TRY_GOTO(link_folder(place, temporary, aside), free_names);
    FAR_TRY_GOTO(point_link(folder, "best", name), free_names);
    fari_log(FAR_LOG_WARN, "checkpoint %" PRId64 ", the best one, is of an earlier life of this run and stays as %s",
             step, name);
free_names:
    fari_free(temporary);
    fari_free(aside);
    fari_free(place);
    return st;
}

static far_status remove_step(const char *folder, int64_t step)
{
    /* out of the way first: a kill in the middle must not leave half a checkpoint under a valid name */
    far_status st;
    char *place = fari_printf("%s/%" PRId64, folder, step);
    char *doomed = fari_printf("%s/" TEMPORARY "%" PRId64, folder, step);
    if (place == NULL || doomed == NULL) {
        st = FAR_FAIL(FAR_E_NOMEM, "no memory to remove checkpoint %" PRId64, step);
        goto free_names;
    }
    FAR_TRY_GOTO(fari_remove_tree(doomed), free_names);
    FAR_TRY_GOTO(fari_rename(place, doomed), free_names);
    st = fari_remove_tree(doomed);
free_names:
    fari_free(doomed);
    fari_free(place);
    return st;
}

static bool is_best_name(const char *name)
{
    int64_t step;
    return strncmp(name, FARI_CKPT_BEST, sizeof FARI_CKPT_BEST - 1) == 0 &&
           fari_ckpt_parse_step(name + sizeof FARI_CKPT_BEST - 1, &step);
}
/* A best-20 that `best` no longer points at. */
static far_status remove_old_best(const char *folder)
{
    char best[FARI_CKPT_NAME];
    char **names = NULL;
    int64_t count = 0;
    far_status st = FAR_OK;
    FAR_TRY(fari_ckpt_read_link(folder, "best", best));
    FAR_TRY(fari_folder_list(folder, &names, &count));
    for (int64_t i = 0; i < count && st == FAR_OK; i++) {
        if (!is_best_name(names[i]) || strcmp(names[i], best) == 0) continue;
        char *path = fari_path_join(folder, names[i]);
        st = path == NULL ? FAR_FAIL(FAR_E_NOMEM, "no memory to remove %s", names[i]) : fari_remove_tree(path);
        fari_free(path);
    }
    fari_names_free(names, count);
    return st;
}

/* All but the newest `keep` and those that `last` and `best` point at. */
static far_status remove_old(const char *folder, int64_t keep)
{
    int64_t *steps = NULL;
    int64_t count = 0, last = -1, best = -1;
    far_status st = FAR_OK;
    FAR_TRY(step_of_link(folder, "last", &last));
    FAR_TRY(step_of_link(folder, "best", &best));
    FAR_TRY(fari_ckpt_list(folder, &steps, &count));
    for (int64_t i = 0; i < count - keep && st == FAR_OK; i++)
        if (steps[i] != last && steps[i] != best) st = remove_step(folder, steps[i]);
    fari_free(steps);
    return st == FAR_OK ? remove_old_best(folder) : st;
}

/* All bytes are there: whoever should have written some would not have reported otherwise, but files are easily looked at. */
static far_status check_bytes(const char *temporary, const char *name, int64_t want)
{
    int64_t bytes = 0;
    char *path = fari_path_join(temporary, name);
    if (path == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory to look at %s", temporary);
    far_status st = fari_file_bytes(path, &bytes);
    if (st == FAR_OK && bytes != want)
        st = FAR_FAIL(FAR_E_IO, "%s has %" PRId64 " bytes, not %" PRId64 ": do all ranks see the same files?", path,
                      bytes, want);
    fari_free(path);
    return st;
}

/* The last file of the checkpoint, in a folder that has no name yet. */
static far_status write_last(const char *temporary, const fari_ckpt_parts *parts, const fari_ckpt_state *state,
                             const char (*hashes)[FARI_XXH128_HEX])
{
    fari_text manifest = { 0 };
    far_status st;
    FAR_TRY(check_bytes(temporary, FARI_CKPT_MODEL, parts->file_bytes[0]));
    FAR_TRY(check_bytes(temporary, FARI_CKPT_OPTIMIZER, parts->file_bytes[1]));
    add_state(&manifest, state);
    fari_text_add(&manifest, "  \"files\": {\n");
    for (int32_t f = 0; f < FARI_CKPT_FILES; f++) add_file(&manifest, parts, f, hashes);
    fari_text_add(&manifest, "  },");
    FAR_TRY_GOTO(write_manifest(temporary, &manifest), free_text);
    st = fari_folder_sync(temporary);
free_text:
    fari_text_free(&manifest);
    return st;
}

/* Name and links for the finished folder. */
static far_status publish(const char *folder, const char *temporary, int64_t step, bool is_best)
{
    char name[FARI_CKPT_NAME];
    (void)snprintf(name, sizeof name, "%" PRId64, step);
    if (!is_best) FAR_TRY(keep_best(folder, step));
    FAR_TRY(put_in_place(folder, temporary, step));
    /* best first: after a kill in between, the run goes on from before, scores this step again and finds it the best again */
    if (is_best) FAR_TRY(point_link(folder, "best", name));
    FAR_TRY(point_link(folder, "last", name));
    return fari_folder_sync(folder);
}

char *fari_ckpt_temporary(const char *folder, int64_t step)
{
    return fari_printf("%s/" TEMPORARY "%" PRId64, folder, step);
}

far_status fari_ckpt_parts_discard(const char *folder, int64_t step)
{
    char *temporary = fari_ckpt_temporary(folder, step);
    if (temporary == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory to clear checkpoint %" PRId64, step);
    const far_status st = fari_remove_tree(temporary);
    fari_free(temporary);
    return st;
}

far_status fari_ckpt_parts_publish(const fari_ckpt_parts *parts, const char *folder, const fari_ckpt_state *state,
                                   const char (*hashes)[FARI_XXH128_HEX], bool is_best, int64_t keep)
{
    fari_error_copy error; /* what went wrong first is what counts */
    char *temporary = fari_ckpt_temporary(folder, state->step);
    if (temporary == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory to write checkpoint %" PRId64, state->step);
    far_status st = write_last(temporary, parts, state, hashes);
    if (st == FAR_OK) st = publish(folder, temporary, state->step, is_best);
    if (st != FAR_OK) {
        fari_error_save(&error);
        (void)fari_remove_tree(temporary);
        fari_error_restore(&error);
        (void)fari_error_prefix(st, "checkpoint %" PRId64 " was not written: ", state->step);
    }
    fari_free(temporary);
    if (st != FAR_OK || keep == 0) return st;
    st = remove_old(folder, keep);
    if (st != FAR_OK)
        return fari_error_prefix(
            st, "checkpoint %" PRId64 " is written, but older ones could not be removed: ", state->step);
    return FAR_OK;
}

far_status fari_ckpt_save(const char *folder, const fari_ckpt_state *state, const fari_ckpt_tensor *model,
                          int64_t model_count, const fari_ckpt_tensor *optimizer, int64_t optimizer_count, bool is_best,
                          int64_t keep)
{
    fari_error_copy error;
    fari_ckpt_parts *parts = NULL;
    far_status st;
    FAR_TRY(fari_ckpt_parts_create(model, model_count, optimizer, optimizer_count, 0, 1, &parts));
    char(*hashes)[FARI_XXH128_HEX] = fari_calloc((size_t)parts->piece_count + 1, sizeof *hashes);
    st = hashes == NULL ? FAR_FAIL(FAR_E_NOMEM, "no memory to write checkpoint %" PRId64, state->step)
                        : fari_ckpt_parts_discard(folder, state->step);
    if (st == FAR_OK) {
        st = fari_ckpt_parts_write(parts, folder, state->step, NULL, hashes);
        if (st != FAR_OK) {
            fari_error_save(&error);
            (void)fari_ckpt_parts_discard(folder, state->step);
            fari_error_restore(&error);
        }
    }
    if (st == FAR_OK)
        st = fari_ckpt_parts_publish(parts, folder, state, (const char(*)[FARI_XXH128_HEX])hashes, is_best, keep);
    fari_free(hashes);
    fari_ckpt_parts_destroy(parts);
    return st;
}

/* One name in the folder that a killed write may have left. */
static far_status clear_leftover(const char *folder, const char *name)
{
    far_status st = FAR_OK;
    char *path = fari_path_join(folder, name);
    char *place = fari_path_join(folder, name + (sizeof REPLACED - 1));
    if (path == NULL || place == NULL) st = FAR_FAIL(FAR_E_NOMEM, "no memory to clear %s", folder);
    else if (strncmp(name, REPLACED, sizeof REPLACED - 1) == 0 && !fari_path_exists(place))
        st = fari_rename(path, place);
    else st = fari_remove_tree(path);
    fari_free(place);
    fari_free(path);
    return st;
}

static bool is_leftover(const char *name)
{
    static const char *const starts[] = { TEMPORARY, REPLACED, "last.tmp-", "best.tmp-" };
    for (size_t i = 0; i < FAR_COUNT(starts); i++)
        if (strncmp(name, starts[i], strlen(starts[i])) == 0) return true;
    return false;
}

far_status fari_ckpt_prepare(const char *folder)
{
    char **names = NULL;
    int64_t count = 0;
    far_status st = FAR_OK;
    FAR_TRY(fari_folder_make(folder));
    FAR_TRY(fari_folder_list(folder, &names, &count));
    for (int64_t i = 0; i < count && st == FAR_OK; i++)
        if (is_leftover(names[i])) st = clear_leftover(folder, names[i]);
    fari_names_free(names, count);
    return st;
}
