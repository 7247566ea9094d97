#include "cli.h"
#include <farandole/extend.h>
#include <stdlib.h>
#include <string.h>

/* Further off than so, a suggestion is a riddle. far_word_distance counts 2 an edit. */
static int reach_of(const char *word)
{
    const size_t length = strlen(word);
    return length <= 3 ? 3 : length <= 6 ? 4 : 6;
}

const char *cli_nearest(const char *word, int32_t count, const char *(*name_at)(int32_t idx))
{
    const char *nearest = NULL;
    int least = reach_of(word) + 1;
    for (int32_t i = 0; i < count; i++) {
        const int distance = far_word_distance(word, name_at(i));
        if (distance >= least) continue;
        least = distance;
        nearest = name_at(i);
    }
    return nearest;
}

/* key=value, as opposed to a path that has a '=' in it: before the first one only what keys are made of. */
static bool is_assignment(const char *word)
{
    const size_t length = strspn(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-");
    return length > 0 && word[length] == '=';
}

static int32_t option_find(const cli_command *command, const char *word, size_t length)
{
    for (int32_t i = 0; i < command->option_count; i++)
        if (strncmp(command->options[i].name, word, length) == 0 && command->options[i].name[length] == '\0') return i;
    return -1;
}

static cli_exit unknown_option(const cli_command *command, const char *word, size_t length)
{
    char name[64];
    const char *nearest = NULL;
    int least = 7;
    if (length >= sizeof name) length = sizeof name - 1;
    memcpy(name, word, length);
    name[length] = '\0';
    for (int32_t i = 0; i < command->option_count; i++) {
        const int distance = far_word_distance(name, command->options[i].name);
        if (distance >= least) continue;
        least = distance;
        nearest = command->options[i].name;
    }
    if (nearest != NULL) return cli_usage_error(command, "no option %s; did you mean %s?", name, nearest);
    if (command->has_assignments && far_config_key_find(name + strspn(name, "-")) != NULL)
        return cli_usage_error(command, "no option %s; config keys are set without dashes: %s=VALUE", name,
                               name + strspn(name, "-"));
    return cli_usage_error(command, "no option %s", name);
}

/* Takes the option at argv[*at_io], and its value from the same or the next word. */
static cli_exit take_option(const cli_command *command, int argc, char **argv, int *at_io, cli_args *args)
{
    const char *word = argv[*at_io];
    const size_t length = strcspn(word, "=");
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
        args->has_help = true;
        return CLI_OK;
    }
    if (strcmp(word, "--trace") == 0) {
        args->has_trace = true;
        return CLI_OK;
    }
    const int32_t idx = option_find(command, word, length);
    if (idx < 0) return unknown_option(command, word, length);
    const cli_option *option = &command->options[idx];
    if (args->values[idx] != NULL) return cli_usage_error(command, "%s is given twice", option->name);
    if (option->value == NULL) {
        if (word[length] == '=') return cli_usage_error(command, "%s takes no value", option->name);
        args->values[idx] = "";
    } else if (word[length] == '=') {
        args->values[idx] = word + length + 1;
    } else if (*at_io + 1 < argc && strncmp(argv[*at_io + 1], "--", 2) != 0) {
        args->values[idx] = argv[++*at_io];
    } else {
        return cli_usage_error(command, "%s needs a value: %s %s", option->name, option->name, option->value);
    }
    if (option->value != NULL && args->values[idx][0] == '\0')
        return cli_usage_error(command, "the value of %s is empty", option->name);
    return CLI_OK;
}

static cli_exit take_word(const cli_command *command, const char *word, cli_args *args)
{
    if (command->has_assignments && is_assignment(word)) {
        args->assignments[args->assignment_count++] = word;
        return CLI_OK;
    }
    if (args->word_count == command->word_max)
        return cli_usage_error(command, "\"%s\": %s", word,
                               command->word_max == 0 ? "this command takes no arguments" : "one argument too many");
    args->words[args->word_count++] = word;
    return CLI_OK;
}

cli_exit cli_args_parse(const cli_command *command, int argc, char **argv, cli_args *args_out)
{
    const char *trace = getenv("FAR_TRACE");
    cli_args args = {
        .command = command, .argc = argc, .argv = argv, .has_trace = trace != NULL && strcmp(trace, "1") == 0
    };
    cli_exit code = CLI_OK;
    bool has_ended = false; /* "--": what follows are words */
    args.values = calloc((size_t)command->option_count + 1, sizeof *args.values);
    args.words = calloc((size_t)argc + 1, sizeof *args.words);
    args.assignments = calloc((size_t)argc + 1, sizeof *args.assignments);
    if (args.values == NULL || args.words == NULL || args.assignments == NULL) {
        (void)cli_usage_error(NULL, "no memory for the command line");
        cli_args_free(&args);
        return CLI_FAILED;
    }
    for (int i = 0; i < argc && code == CLI_OK && !args.has_help; i++) {
        if (!has_ended && strcmp(argv[i], "--") == 0) has_ended = true;
        else if (!has_ended && argv[i][0] == '-' && argv[i][1] != '\0')
            code = take_option(command, argc, argv, &i, &args);
        else code = take_word(command, argv[i], &args);
    }
    if (code != CLI_OK) {
        cli_args_free(&args);
        return code;
    }
    *args_out = args;
    return CLI_OK;
}

void cli_args_free(cli_args *args)
{
    free(args->values);
    free(args->words);
    free(args->assignments);
}

const char *cli_value(const cli_args *args, const char *option)
{
    const int32_t idx = option_find(args->command, option, strlen(option));
    if (idx < 0) abort(); /* a bug: the command asks for an option that its table lacks */
    return args->values[idx];
}

bool cli_whole_number(const cli_args *args, const char *option, int32_t absent, int32_t *number_out)
{
    const char *text = cli_value(args, option);
    char *end = NULL;
    *number_out = absent;
    if (text == NULL) return true;
    const long number = strtol(text, &end, 10);
    *number_out = (int32_t)number;
    return end != text && *end == '\0' && number >= 0 && number <= 65536;
}

bool cli_has(const cli_args *args, const char *option)
{
    return cli_value(args, option) != NULL;
}
