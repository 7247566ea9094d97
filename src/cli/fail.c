#include "cli.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static bool is_silent;

void cli_fall_silent(void)
{
    is_silent = true;
}

bool cli_is_silent(void)
{
    return is_silent;
}

cli_exit cli_usage_error(const cli_command *command, const char *fmt, ...)
{
    va_list args;
    if (is_silent) return CLI_USAGE;
    (void)fputs("farandole: error: ", stderr);
    va_start(args, fmt);
    (void)vfprintf(stderr, fmt, args);
    va_end(args);
    if (command != NULL) (void)fprintf(stderr, "\nfarandole: farandole %s --help explains it\n", command->name);
    else (void)fputc('\n', stderr);
    return CLI_USAGE;
}

/* Bad config, bad data and too little memory have codes of their own, so that job scripts can tell them from failures. */
cli_exit cli_exit_of(far_status status, cli_phase phase)
{
    switch (status) {
    case FAR_OK: return CLI_OK;
    case FAR_E_STOPPED: return CLI_STOPPED;
    case FAR_E_ARG:
    case FAR_E_CONFIG: return CLI_USAGE;
    case FAR_E_SHAPE: return phase == CLI_RUNNING ? CLI_FAILED : CLI_USAGE;
    case FAR_E_UNSUPPORTED:
    case FAR_E_NOTFOUND:
    case FAR_E_IO: return phase == CLI_READING_CONFIG ? CLI_USAGE : phase == CLI_OPENING ? CLI_DATA : CLI_FAILED;
    case FAR_E_FORMAT: return phase == CLI_READING_CONFIG ? CLI_USAGE : CLI_DATA;
    case FAR_E_NOFIT: return CLI_NOFIT;
    default: return CLI_FAILED;
    }
}

static void print_trace(void)
{
    const char *trace = far_error_trace();
    while (*trace != '\0') {
        const int length = (int)strcspn(trace, "\n");
        (void)fprintf(stderr, "    at %.*s\n", length, trace);
        trace += length + (trace[length] == '\n');
    }
}

cli_exit cli_fail(const cli_args *args, far_status status, cli_phase phase)
{
    const char *message = far_error_message();
    if (is_silent) return cli_exit_of(status, phase);
    if (status == FAR_E_STOPPED) (void)fprintf(stderr, "farandole: %s\n", message);
    else (void)fprintf(stderr, "farandole: error: %s\n", message[0] != '\0' ? message : far_status_name(status));
    if (args->has_trace) {
        (void)fprintf(stderr, "    %s\n", far_status_name(status));
        print_trace();
    }
    return cli_exit_of(status, phase);
}

cli_exit cli_flush(cli_exit code)
{
    if (fflush(stdout) == 0 && !ferror(stdout)) return code;
    perror("farandole: error: cannot write the output");
    return code == CLI_OK ? CLI_FAILED : code;
}
