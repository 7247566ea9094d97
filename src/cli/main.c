/* The command `farandole`. */
#include "cli.h"
#include "node_watch.h"
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* One row a command, in the order of the help. */
static const cli_command *const commands[] = {
    &cli_train, &cli_eval,   &cli_predict, &cli_report, &cli_bench,   &cli_plan, &cli_verify,
    &cli_synth, &cli_models, &cli_ops,     &cli_doctor, &cli_version, &cli_help,
};

int32_t cli_command_count(void)
{
    return CLI_COUNT(commands);
}

const cli_command *cli_command_at(int32_t idx)
{
    return commands[idx];
}

const cli_command *cli_command_find(const char *name)
{
    for (int32_t i = 0; i < CLI_COUNT(commands); i++)
        if (strcmp(commands[i]->name, name) == 0) return commands[i];
    return NULL;
}

static const char *name_at(int32_t idx)
{
    return commands[idx]->name;
}

static cli_exit unknown_command(const char *word)
{
    struct stat info;
    const char *nearest = cli_nearest(word, CLI_COUNT(commands), name_at);
    if (nearest != NULL)
        (void)fprintf(stderr, "farandole: error: no command \"%s\"; did you mean farandole %s?\n", word, nearest);
    else if (stat(word, &info) == 0)
        (void)fprintf(stderr, "farandole: error: no command \"%s\"; did you mean farandole %s %s?\n", word,
                      S_ISDIR(info.st_mode) ? "eval" : "train", word);
    else (void)fprintf(stderr, "farandole: error: no command \"%s\"; farandole --help lists them\n", word);
    return CLI_USAGE;
}

/* Spellings of commands that other programs have taught people. */
static const char *command_word(const char *word)
{
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) return "help";
    if (strcmp(word, "--version") == 0 || strcmp(word, "-V") == 0) return "version";
    return word;
}

int main(int argc, char **argv)
{
    cli_args args;
    if (argc < 2) {
        cli_print_short_help(true);
        return CLI_USAGE;
    }
    (void)signal(SIGXFSZ, SIG_IGN); /* a limit on file sizes is then an error with words */
    if (argc == 4 && strcmp(argv[1], CLI_WATCH_WORD) == 0) return cli_node_watch_main(argv[2], argv[3]);
    const cli_command *command = cli_command_find(command_word(argv[1]));
    if (command == NULL) return unknown_command(argv[1]);
    cli_exit code = cli_args_parse(command, argc - 2, argv + 2, &args);
    if (code != CLI_OK) return code;
    if (args.has_help) cli_print_command_help(command);
    else code = command->run(&args);
    cli_args_free(&args);
    return cli_flush(code);
}
