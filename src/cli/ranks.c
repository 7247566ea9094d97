/* What commands that run on several ranks have in common. */
#include "cli.h"
#include "node_watch.h"
#include "stop.h"

cli_exit cli_ranks_begin(const cli_args *args, cli_ranks *ranks_out)
{
    int32_t rank = 0;
    *ranks_out = (cli_ranks){ .launched = 1 };
    const far_status known = far_ranks_launched(&ranks_out->launched, &rank);
    if (rank > 0) cli_fall_silent();
    if (known != FAR_OK) return cli_fail(args, known, CLI_OPENING);
    if (!cli_whole_number(args, "--ranks", 0, &ranks_out->wanted) ||
        (cli_has(args, "--ranks") && ranks_out->wanted < 1))
        return cli_usage_error(args->command, "--ranks needs a number from 1 to 65536, not %s",
                               cli_value(args, "--ranks"));
    if (args->command == &cli_train && !cli_whole_number(args, "--restarts", 0, &ranks_out->restarts))
        return cli_usage_error(args->command, "--restarts needs a number from 0 on, not %s",
                               cli_value(args, "--restarts"));
    if (ranks_out->restarts > 0 && (ranks_out->launched > 1 || ranks_out->wanted < 2))
        return cli_usage_error(args->command,
                               ranks_out->launched > 1
                                   ? "--restarts belongs to --ranks: here a launcher started the ranks, and it, or "
                                     "the scheduler, starts them again; --resume RUN goes on"
                                   : "--restarts belongs to --ranks N, N at least 2");
    if (ranks_out->launched == 1) return CLI_OK;
    if (ranks_out->wanted > 0 && ranks_out->wanted != ranks_out->launched)
        return cli_usage_error(args->command, "--ranks %d, but the launcher started %d processes; leave out --ranks",
                               (int)ranks_out->wanted, (int)ranks_out->launched);
    const far_status st = far_ranks_join(cli_node_watch_start(ranks_out->launched), &ranks_out->joined);
    return st == FAR_OK ? CLI_OK : cli_fail(args, st, CLI_RUNNING);
}

cli_exit cli_ranks_refuse(const cli_ranks *ranks, cli_exit code)
{
    if (ranks->joined != NULL) (void)far_ranks_part(ranks->joined, FAR_E_CONFIG, NULL);
    far_ranks_leave(ranks->joined);
    return code;
}

cli_exit cli_ranks_end(const cli_args *args, far_ranks *ranks, far_status status, cli_phase phase)
{
    far_status worst = FAR_OK;
    if (ranks != NULL) {
        status = far_ranks_part(ranks, status, &worst);
        cli_stop_unwatch(); /* the first to leave makes mpirun signal the others */
    }
    if (status == FAR_OK) return CLI_OK;
    const cli_exit code = cli_fail(args, status, phase);
    return status == FAR_E_PEER && worst != FAR_OK ? cli_exit_of(worst, phase) : code;
}
