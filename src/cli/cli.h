/* The command `farandole`: a table of commands (main.c), each with a table of options. Public headers only.
 *
 * To add a command: a file command_<name>.c with its options and its function, and a row in main.c. */
#ifndef FARI_CLI_CLI_H
#define FARI_CLI_CLI_H
#include <farandole/config.h>
#include <farandole/ranks.h>
#include <farandole/status.h>
#include <stdbool.h>
#include <stdint.h>

#define CLI_COUNT(array) ((int32_t)(sizeof(array) / sizeof((array)[0])))

typedef enum cli_exit {
    CLI_OK = 0,
    CLI_FAILED = 1,
    CLI_USAGE = 2,   /* command line or config */
    CLI_DATA = 3,    /* data or checkpoints: not there, unreadable, damaged */
    CLI_NOFIT = 4,   /* not enough memory, known before the start */
    CLI_STOPPED = 75 /* on request; resumable. EX_TEMPFAIL of sysexits.h */
} cli_exit;

typedef struct cli_option {
    const char *name;  /* "--resume" */
    const char *value; /* what stands for its value in help: "RUN"; NULL: a switch without one */
    const char *help;
    const char *key; /* the config key that it sets, NULL: none */
} cli_option;

typedef struct cli_args cli_args;

typedef struct cli_command {
    const char *name;
    const char *sentence; /* for the list of commands */
    const char *usage;    /* what follows "farandole NAME"; several forms in lines */
    const char *about;    /* a few sentences */
    const char *examples; /* lines "command", each followed by "    what it does" */
    const char *exits;    /* beside 0, 1 and 2; NULL: no others */
    const cli_option *options;
    int32_t option_count;
    int32_t word_max;     /* arguments that are no options and no key=value */
    bool has_assignments; /* key=value goes into the config */
    cli_exit (*run)(const cli_args *args);
} cli_command;

struct cli_args {
    const cli_command *command;
    const char **values; /* [option_count], NULL where not given; a switch has "" */
    const char **words;
    const char **assignments;
    int32_t word_count, assignment_count;
    bool has_trace; /* --trace or FAR_TRACE=1 */
    bool has_help;
    int argc; /* what the command was called with, borrowed from main */
    char **argv;
};

/* args.c */
cli_exit cli_args_parse(const cli_command *command, int argc, char **argv, cli_args *args_out);
void cli_args_free(cli_args *args);
/* The option's value, "" for a switch; NULL: not given. The option must be in the command's table. */
const char *cli_value(const cli_args *args, const char *option);
bool cli_has(const cli_args *args, const char *option);
/* The name nearest to `word` of `count` names that `name_at` gives, NULL when none is near. */
const char *cli_nearest(const char *word, int32_t count, const char *(*name_at)(int32_t idx));

/* fail.c: what went wrong, on stderr; all give the exit code. */
cli_exit cli_usage_error(const cli_command *command, const char *fmt, ...) FAR_PRINTF(2, 3);
typedef enum cli_phase {
    CLI_READING_CONFIG,
    CLI_OPENING, /* data, network, plan, memory */
    CLI_RUNNING
} cli_phase;
/* The calling thread's last error, with its trace where asked for. */
cli_exit cli_fail(const cli_args *args, far_status status, cli_phase phase);
/* Of several ranks one speaks: from now on nothing is said, only codes are given. */
void cli_fall_silent(void);
bool cli_is_silent(void);
/* What is still in the buffer of stdout reaches its file, or else CLI_FAILED. */
cli_exit cli_flush(cli_exit code);

/* help.c */
void cli_print_short_help(bool is_error);
void cli_print_command_help(const cli_command *command);
extern const cli_command cli_help;

/* main.c */
int32_t cli_command_count(void);
const cli_command *cli_command_at(int32_t idx);
const cli_command *cli_command_find(const char *name);

/* ranks.c: for commands with --ranks. */
typedef struct cli_ranks {
    far_ranks *joined; /* NULL: this process is alone, or starts ranks */
    int32_t launched;  /* processes that a launcher has started, 1: none */
    int32_t wanted;    /* by --ranks, 0: nothing said */
    int32_t restarts;  /* by --restarts */
} cli_ranks;
/* Joins the ranks that were started; all but the first fall silent. */
cli_exit cli_ranks_begin(const cli_args *args, cli_ranks *ranks_out);
/* All end together; the first tells what any has failed with. ranks: NULL where there is one. */
cli_exit cli_ranks_end(const cli_args *args, far_ranks *ranks, far_status status, cli_phase phase);
/* The same before anything has begun, of a command line that is refused with `code`. Gives it. */
cli_exit cli_ranks_refuse(const cli_ranks *ranks, cli_exit code);

/* restarts.c: --ranks. Starts the command again as so many ranks and waits for them. */
cli_exit cli_launch(const cli_args *args, int32_t ranks);
/* The same of a training, with --restarts. config: what the ranks will read, too. */
cli_exit cli_launch_lives(const cli_args *args, const far_config *config, const cli_ranks *ranks);
/* A whole number; false: the option's value is none. Absent: `absent`. */
bool cli_whole_number(const cli_args *args, const char *option, int32_t absent, int32_t *number_out);
/* The code of a failure, without a word. */
cli_exit cli_exit_of(far_status status, cli_phase phase);

/* config.c */
bool cli_is_folder(const char *path);
/* FOLDER/name; allocated. NULL when there is no memory. */
char *cli_path(const char *folder, const char *name);
/* The file, or FOLDER/config.yaml, then the options that set keys, then key=value. */
cli_exit cli_config_open(const cli_args *args, const char *path, far_config **config_out);

/* weights.c: for commands with --weights and --checkpoint. */
typedef struct cli_weights {
    far_config *config; /* with the options and key=value of the command line */
    char *run;          /* folder of the run, NULL where there is none */
    char *path;         /* of a checkpoint or file, NULL: as the configuration says */
} cli_weights;
/* `path` is a run's folder, a checkpoint in one, or a config file. */
cli_exit cli_weights_open(const cli_args *args, const char *path, cli_weights *weights_out);
void cli_weights_close(cli_weights *weights);
/* Names of classes as the training of a run knew them, a list; NULL: not known, or no run. To be let go with json_decref. */
struct json_t *cli_class_names(const char *run);

/* text.c */
const char *cli_seconds_text(double seconds, char text_out[32]); /* "1 h 02 min", "3 min 05 s", "4.2 s" */
const char *cli_count_text(int64_t count, char text_out[32]);    /* "1,234,567" */

extern const cli_command cli_train, cli_eval, cli_plan, cli_synth, cli_models, cli_ops, cli_predict, cli_report,
    cli_bench, cli_doctor, cli_verify, cli_version;
#endif
