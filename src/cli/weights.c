/* Which weights a command is to use: RUN, one of its checkpoints, or CONFIG with --weights. */
#include "cli.h"
#include <dirent.h>
#include <farandole/extend.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static bool is_there(const char *folder, const char *name)
{
    struct stat info;
    char *path = cli_path(folder, name);
    const bool is = path != NULL && stat(path, &info) == 0;
    free(path);
    return is;
}

/* What the folder holds, for the message: "1200 2400 best last". */
static void list_names(const char *folder, char *text_out, size_t bytes)
{
    struct dirent **names = NULL;
    size_t used = 0;
    const int count = scandir(folder, &names, NULL, versionsort);
    text_out[0] = '\0';
    for (int i = 0; i < count; i++) {
        if (names[i]->d_name[0] != '.' && used < bytes)
            used += (size_t)snprintf(text_out + used, bytes - used, " %s", names[i]->d_name);
        free(names[i]);
    }
    free(names);
}

/* RUN/checkpoints/WHICH; without --checkpoint the best one, else the last. */
static cli_exit checkpoint_of(const cli_args *args, const char *run, char **path_out)
{
    char names[512];
    const char *which = cli_value(args, "--checkpoint");
    char *folder = cli_path(run, "checkpoints");
    char *path = folder != NULL ? cli_path(folder, which != NULL ? which : "best") : NULL;
    if (path != NULL && which == NULL && !cli_is_folder(path)) {
        free(path);
        path = cli_path(folder, "last");
    }
    cli_exit code = CLI_OK;
    if (path == NULL) {
        code = cli_fail(args, far_fail(FAR_E_NOMEM, "no memory for a path"), CLI_OPENING);
    } else if (!cli_is_folder(path) && !cli_is_folder(folder)) {
        code = cli_usage_error(args->command, "%s is no folder of a training: it has no checkpoints", run);
    } else if (!cli_is_folder(path)) {
        list_names(folder, names, sizeof names);
        code =
            cli_usage_error(args->command, "no checkpoint %s in %s; there %s%s", which != NULL ? which : "best or last",
                            folder, names[0] != '\0' ? "are:" : "is none", names);
    }
    free(folder);
    if (code == CLI_OK) *path_out = path;
    else free(path);
    return code;
}

/* RUN/checkpoints/80, or a link to it: the run is two folders up. */
static bool is_checkpoint(const char *path)
{
    return is_there(path, "manifest.json") && !is_there(path, "config.yaml") && is_there(path, "../../config.yaml");
}

static cli_exit copy_of(const cli_args *args, const char *text, char **copy_out)
{
    *copy_out = strdup(text);
    return *copy_out != NULL ? CLI_OK : cli_fail(args, far_fail(FAR_E_NOMEM, "no memory for a path"), CLI_OPENING);
}

static cli_exit find(const cli_args *args, const char *path, cli_weights *weights_out)
{
    const char *given = cli_value(args, "--weights");
    const bool is_folder = cli_is_folder(path);
    if (!is_folder && cli_has(args, "--checkpoint"))
        return cli_usage_error(args->command, "--checkpoint belongs to a run folder, and %s is none", path);
    if (given != NULL && cli_has(args, "--checkpoint"))
        return cli_usage_error(args->command, "--weights and --checkpoint exclude each other");
    if (is_folder && is_checkpoint(path)) {
        if (given != NULL || cli_has(args, "--checkpoint"))
            return cli_usage_error(args->command, "%s is a checkpoint: leave out --weights and --checkpoint", path);
        weights_out->run = cli_path(path, "../..");
        return weights_out->run != NULL ? copy_of(args, path, &weights_out->path)
                                        : cli_fail(args, far_fail(FAR_E_NOMEM, "no memory for a path"), CLI_OPENING);
    }
    if (is_folder) {
        const cli_exit code = copy_of(args, path, &weights_out->run);
        if (code != CLI_OK) return code;
    }
    if (given != NULL) return copy_of(args, given, &weights_out->path);
    return is_folder ? checkpoint_of(args, path, &weights_out->path) : CLI_OK;
}

static bool has_assignment(const cli_args *args, const char *key)
{
    const size_t bytes = strlen(key);
    for (int32_t i = 0; i < args->assignment_count; i++)
        if (strncmp(args->assignments[i], key, bytes) == 0 && args->assignments[i][bytes] == '=') return true;
    return false;
}

/* Other data than the run's own: what the run said of files belongs to those, and does not count. */
static far_status forget_data(const cli_args *args, far_config *config)
{
    static const char *const keys[] = { "data.images", "data.labels", "data.test_images", "data.test_labels" };
    char assignment[64];
    far_status st = FAR_OK;
    if (!has_assignment(args, "data.path") && !has_assignment(args, "data.images")) return FAR_OK;
    for (int32_t i = 0; i < CLI_COUNT(keys) && st == FAR_OK; i++) {
        if (has_assignment(args, keys[i])) continue;
        (void)snprintf(assignment, sizeof assignment, "%s=", keys[i]);
        st = far_config_set(config, assignment);
    }
    if (st == FAR_OK && !has_assignment(args, "data.kind")) st = far_config_set(config, "data.kind=auto");
    return st;
}

cli_exit cli_weights_open(const cli_args *args, const char *path, cli_weights *weights_out)
{
    *weights_out = (cli_weights){ 0 };
    cli_exit code = find(args, path, weights_out);
    if (code == CLI_OK)
        code = cli_config_open(args, weights_out->run != NULL ? weights_out->run : path, &weights_out->config);
    if (code == CLI_OK && weights_out->run != NULL) {
        const far_status st = forget_data(args, weights_out->config);
        if (st != FAR_OK) code = cli_fail(args, st, CLI_READING_CONFIG);
    }
    if (code != CLI_OK) cli_weights_close(weights_out);
    return code;
}

void cli_weights_close(cli_weights *weights)
{
    far_config_destroy(weights->config);
    free(weights->run);
    free(weights->path);
    *weights = (cli_weights){ 0 };
}

json_t *cli_class_names(const char *run)
{
    char *path = run != NULL ? cli_path(run, "run.json") : NULL;
    json_t *facts = path != NULL ? json_load_file(path, 0, NULL) : NULL;
    json_t *names = json_incref(json_object_get(json_object_get(facts, "data"), "classes"));
    json_decref(facts);
    free(path);
    return names;
}
