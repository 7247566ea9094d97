#include "cli.h"
#include <errno.h>
#include <farandole/extend.h>
#include <farandole/log.h>
#include <farandole/model.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

bool cli_is_folder(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

char *cli_path(const char *folder, const char *name)
{
    const size_t length = strlen(folder);
    const size_t bytes = length + strlen(name) + 2;
    char *path = malloc(bytes);
    if (path != NULL)
        (void)snprintf(path, bytes, "%s%s%s", folder, length > 0 && folder[length - 1] == '/' ? "" : "/", name);
    return path;
}

static far_status set_option(far_config *config, const char *key, const char *value)
{
    const size_t bytes = strlen(key) + strlen(value) + 2;
    char *assignment = malloc(bytes);
    if (assignment == NULL) return far_fail(FAR_E_NOMEM, "no memory for the command line");
    (void)snprintf(assignment, bytes, "%s=%s", key, value);
    const far_status st = far_config_set(config, assignment);
    free(assignment);
    return st;
}

static far_status fill(const cli_args *args, const char *path, far_config *config)
{
    far_status st = FAR_OK;
    if (access(path, F_OK) != 0 && errno == ENOENT)
        return far_fail(FAR_E_CONFIG, "%s: there is no such configuration file or run folder", path);
    if (cli_is_folder(path)) {
        char *file = cli_path(path, "config.yaml");
        if (file == NULL) return far_fail(FAR_E_NOMEM, "no memory for the command line");
        st = far_config_load(config, file);
        free(file);
    } else {
        st = far_config_load(config, path);
    }
    for (int32_t i = 0; i < args->assignment_count && st == FAR_OK; i++)
        st = far_config_set(config, args->assignments[i]);
    for (int32_t i = 0; i < args->command->option_count && st == FAR_OK; i++) {
        const cli_option *option = &args->command->options[i];
        if (option->key != NULL && args->values[i] != NULL) st = set_option(config, option->key, args->values[i]);
    }
    return st;
}

/* A name that the zoo lacks is a mistake in the config, not a file that is not there. */
static far_status check_model(const far_config *config)
{
    far_options *opts = NULL;
    char words[512];
    const far_status st =
        far_model_opts_create(far_config_text(config, "model.name"), far_config_text(config, "model.preset"), &opts);
    far_options_destroy(opts);
    if (st != FAR_E_NOTFOUND) return st;
    (void)snprintf(words, sizeof words, "%s", far_error_message());
    return far_config_fail(config, far_config_is_set(config, "model.preset") ? "model.preset" : "model.name", "%s",
                           words);
}

cli_exit cli_config_open(const cli_args *args, const char *path, far_config **config_out)
{
    far_config *config = NULL;
    far_log_level level = FAR_LOG_WARN;
    far_status st = far_config_create(&config);
    if (st == FAR_OK) st = fill(args, path, config);
    if (st == FAR_OK) st = check_model(config);
    if (st == FAR_OK) st = far_log_level_parse(far_config_text(config, "log.level"), &level);
    if (st != FAR_OK) {
        far_config_destroy(config);
        return cli_fail(args, st, CLI_READING_CONFIG);
    }
    far_log_set_level(level);
    *config_out = config;
    return CLI_OK;
}
