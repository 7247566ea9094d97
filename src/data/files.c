#include "data/files.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/status.h"
#include "data/files_priv.h"
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* --- making --- */

const char *files_plain_name(const char *name)
{
    while (name[0] == '/' || (name[0] == '.' && name[1] == '/')) name++;
    if (name[0] == '\0' || name[0] == '.' || strstr(name, "/.") != NULL || strncmp(name, "__MACOSX/", 9) == 0)
        return NULL;
    return name;
}

bool files_is_wanted(const fari_files *files, const char *name)
{
    return files->wanted == NULL || files->wanted(name, files->context);
}

files_entry *files_add(fari_files *files, const char *name, bool is_folder)
{
    size_t length = strlen(name);
    while (is_folder && length > 0 && name[length - 1] == '/') length--;
    const int64_t need = files->names_bytes + (int64_t)length + 2;
    if (!fari_reserve((void **)&files->entries, &files->cap, files->count + 1, sizeof *files->entries) ||
        !fari_reserve((void **)&files->names, &files->names_cap, need, 1)) {
        (void)FAR_FAIL(FAR_E_NOMEM, "no memory for the names of the files in %s", files->label);
        return NULL;
    }
    files_entry *entry = &files->entries[files->count++];
    *entry = (files_entry){ .name_at = files->names_bytes };
    memcpy(files->names + files->names_bytes, name, length);
    if (is_folder) files->names[files->names_bytes + (int64_t)length++] = '/';
    files->names[files->names_bytes + (int64_t)length] = '\0';
    files->names_bytes += (int64_t)length + 1;
    return entry;
}

static int compare_entries(const void *a, const void *b)
{
    const files_entry *left = a, *right = b;
    const int by_name = strcmp(left->name, right->name);
    if (by_name != 0) return by_name;
    return left->name < right->name ? -1 : left->name > right->name; /* equal ones: in the order they came */
}

/* By name; of equal names the last counts, as when an archive is unpacked. */
static void sort(fari_files *files)
{
    int64_t kept = 0;
    for (int64_t i = 0; i < files->count; i++) {
        const int64_t at = files->entries[i].name_at;
        files->entries[i].name = files->names + at;
    }
    if (files->count > 0) qsort(files->entries, (size_t)files->count, sizeof *files->entries, compare_entries);
    for (int64_t i = 0; i < files->count; i++) {
        if (i + 1 < files->count && strcmp(files->entries[i].name, files->entries[i + 1].name) == 0) {
            if (files->entries[i].data != NULL) files->data_bytes -= files->entries[i].bytes;
            fari_free(files->entries[i].data);
            continue;
        }
        files->entries[kept++] = files->entries[i];
    }
    files->count = kept;
}

static far_status create(const char *label, fari_files **files_out)
{
    fari_files *files = fari_calloc(1, sizeof *files);
    if (files == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory to open %s", label);
    files->folder_fd = files->archive_fd = -1;
    files->label = fari_strdup(label);
    if (files->label == NULL) {
        fari_free(files);
        return FAR_FAIL(FAR_E_NOMEM, "no memory to open %s", label);
    }
    *files_out = files;
    return FAR_OK;
}

static const char *name_in(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

/* A wanted file by itself: a collection of one, whose folder is the label. */
static far_status take_alone(fari_files *files, const char *path)
{
    int fd = -1;
    int64_t bytes = 0;
    const char *name = name_in(path);
    FAR_TRY(fari_file_open(path, &fd, &bytes)); /* words what is wrong */
    fari_file_close(fd);
    const size_t folder = (size_t)(name - path);
    (void)snprintf(files->label, strlen(files->label) + 1, "%.*s", folder > 1 ? (int)folder - 1 : (int)folder, path);
    if (folder == 0) (void)snprintf(files->label, strlen(path) + 1, ".");
    files->folder_fd = open(files->label, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (files->folder_fd < 0)
        return FAR_FAIL(FAR_E_IO, "cannot open the folder of %s: it may not be readable for you", path);
    files_entry *entry = files_add(files, name, false);
    if (entry == NULL) return FAR_E_NOMEM;
    entry->bytes = bytes;
    return FAR_OK;
}

far_status fari_files_open(const char *path, fari_files_wanted wanted, void *context, fari_files **files_out)
{
    fari_files *files = NULL;
    far_status st;
    FAR_TRY(create(path, &files));
    files->wanted = wanted;
    files->context = context;
    if (!fari_path_is_folder(path) && wanted != NULL && wanted(name_in(path), context)) {
        FAR_TRY_GOTO(take_alone(files, path), close_files);
    } else if (fari_path_is_folder(path)) {
        files->folder_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (files->folder_fd < 0) {
            st = FAR_FAIL(FAR_E_IO, "cannot open folder %s: it may not be readable for you", path);
            goto close_files;
        }
        FAR_TRY_GOTO(files_list_folder(files), close_files);
    } else {
        FAR_TRY_GOTO(fari_file_open(path, &files->archive_fd, &files->archive_bytes), close_files);
        FAR_TRY_GOTO(files_list_archive(files), close_files);
    }
    sort(files);
    *files_out = files;
    return FAR_OK;
close_files:
    fari_files_close(files);
    return st;
}

far_status fari_files_open_memory(const char *label, const void *data, size_t bytes, fari_files **files_out)
{
    fari_files *files = NULL;
    far_status st;
    FAR_TRY(create(label, &files));
    files->memory = data != NULL ? data : (const void *)"";
    files->archive_bytes = (int64_t)bytes;
    FAR_TRY_GOTO(files_list_archive(files), close_files);
    sort(files);
    *files_out = files;
    return FAR_OK;
close_files:
    fari_files_close(files);
    return st;
}

void fari_files_close(fari_files *files)
{
    if (files == NULL) return;
    for (int64_t i = 0; i < files->count; i++) fari_free(files->entries[i].data);
    fari_file_close(files->archive_fd);
    fari_file_close(files->folder_fd);
    fari_free(files->entries);
    fari_free(files->names);
    fari_free(files->label);
    fari_free(files);
}

/* --- asking --- */

const char *fari_files_label(const fari_files *files)
{
    return files->label;
}

int64_t fari_files_count(const fari_files *files)
{
    return files->count;
}

const char *fari_files_name(const fari_files *files, int64_t idx)
{
    return files->entries[idx].name;
}

int64_t fari_files_bytes(const fari_files *files, int64_t idx)
{
    return files->entries[idx].bytes;
}

int64_t fari_files_room(const fari_files *files, int64_t idx)
{
    return files->memory != NULL || files->entries[idx].data != NULL ? 0 : files->entries[idx].bytes;
}

int64_t fari_files_find(const fari_files *files, const char *name)
{
    int64_t low = 0, high = files->count;
    while (low < high) {
        const int64_t middle = low + (high - low) / 2;
        const int order = strcmp(files->entries[middle].name, name);
        if (order == 0) return middle;
        if (order < 0) low = middle + 1;
        else high = middle;
    }
    return -1;
}

int64_t fari_files_memory(const fari_files *files)
{
    return (int64_t)sizeof *files + files->cap * (int64_t)sizeof *files->entries + files->names_cap + files->data_bytes;
}

const char *fari_files_name_for_people(const fari_files *files, int64_t idx, char label_out[FARI_FILES_LABEL])
{
    (void)snprintf(label_out, FARI_FILES_LABEL, files->folder_fd >= 0 ? "%s/%s" : "%s: %s", files->label,
                   files->entries[idx].name);
    return label_out;
}

/* --- reading --- */

static far_status read_in_folder(const fari_files *files, int64_t idx, int64_t offset, void *out, size_t bytes)
{
    char label[FARI_FILES_LABEL];
    (void)fari_files_name_for_people(files, idx, label);
    const int fd = openat(files->folder_fd, files->entries[idx].name, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return FAR_FAIL(FAR_E_IO, "cannot open %s: it was there when its folder was listed", label);
    const far_status st = fari_file_read_at(fd, label, offset, out, bytes);
    fari_file_close(fd);
    return st;
}

far_status fari_files_read(const fari_files *files, int64_t idx, int64_t offset, void *out, size_t bytes)
{
    const files_entry *entry = &files->entries[idx];
    char label[FARI_FILES_LABEL];
    (void)fari_files_name_for_people(files, idx, label);
    if (offset < 0 || offset > entry->bytes || (int64_t)bytes > entry->bytes - offset)
        return FAR_FAIL(FAR_E_FORMAT, "%s ends at byte %" PRId64 ", before byte %" PRId64 ": it is cut short", label,
                        entry->bytes, offset + (int64_t)bytes);
    if (files->folder_fd >= 0) return read_in_folder(files, idx, offset, out, bytes);
    if (entry->data == NULL && files->memory == NULL)
        return fari_file_read_at(files->archive_fd, label, entry->offset + offset, out, bytes);
    const uint8_t *data = entry->data != NULL ? entry->data : files->memory + entry->offset;
    if (bytes > 0) memcpy(out, data + offset, bytes);
    return FAR_OK;
}

far_status fari_files_get(const fari_files *files, int64_t idx, void *room, const uint8_t **data_out)
{
    const files_entry *entry = &files->entries[idx];
    if (entry->data != NULL) *data_out = entry->data;
    else if (files->memory != NULL) *data_out = files->memory + entry->offset;
    else {
        FAR_TRY(fari_files_read(files, idx, 0, room, (size_t)entry->bytes));
        *data_out = room;
    }
    return FAR_OK;
}
