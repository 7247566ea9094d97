/* farandole ops */
#include "cli.h"
#include <farandole/info.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

static const char *yes(bool is_so)
{
    return is_so ? "yes" : "-";
}

static bool is_wanted(const cli_args *args, const far_op_info *op)
{
    return args->word_count == 0 || strcmp(args->words[0], op->name) == 0 || strcmp(args->words[0], op->role) == 0;
}

static const char *role_name_at(int32_t idx)
{
    static const char *const roles[] = { "layer", "loss", "metric", "gradient", "optimizer", "structure" };
    return roles[idx];
}

static const char *name_at(int32_t idx)
{
    far_op_info op;
    if (idx >= far_op_count()) return role_name_at(idx - far_op_count());
    return far_op_at(idx, &op) == FAR_OK ? op.name : "";
}

static void print_text(const cli_args *args)
{
    far_op_info op;
    (void)printf("%-20s %-10s %-13s %-8s %-14s %-5s %-5s %-5s %-10s %s\n", "op", "role", "kind", "gradient", "order",
                 "rows", "cost", "ref.", "CPU", "tested by");
    for (int32_t i = 0; i < far_op_count(); i++)
        if (far_op_at(i, &op) == FAR_OK && is_wanted(args, &op))
            (void)printf("%-20s %-10s %-13s %-8s %-14s %-5s %-5s %-5s %-10s %s\n", op.name, op.role, op.kind,
                         yes(op.has_gradient), op.order, op.rows, yes(op.has_cost), yes(op.has_reference),
                         op.cpu_kernel, op.tested_by != NULL ? op.tested_by : "-");
}

static void print_json(const cli_args *args)
{
    far_op_info op;
    json_t *list = json_array();
    for (int32_t i = 0; i < far_op_count(); i++)
        if (far_op_at(i, &op) == FAR_OK && is_wanted(args, &op))
            (void)json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s, s:s, s:b, s:b, s:b, s:s, s:s?}", "name",
                                                        op.name, "role", op.role, "kind", op.kind, "order", op.order,
                                                        "rows", op.rows, "gradient", op.has_gradient, "cost",
                                                        op.has_cost, "reference", op.has_reference, "cpu",
                                                        op.cpu_kernel, "tested_by", op.tested_by));
    (void)json_dumpf(list, stdout, JSON_INDENT(2));
    (void)fputc('\n', stdout);
    json_decref(list);
}

static cli_exit run_ops(const cli_args *args)
{
    far_op_info op;
    int32_t wanted = 0;
    for (int32_t i = 0; i < far_op_count(); i++) wanted += far_op_at(i, &op) == FAR_OK && is_wanted(args, &op);
    if (wanted == 0) {
        const char *nearest = cli_nearest(args->words[0], far_op_count() + 6, name_at);
        return cli_usage_error(args->command, "no op or role \"%s\"%s%s%s", args->words[0],
                               nearest != NULL ? "; did you mean " : "", nearest != NULL ? nearest : "",
                               nearest != NULL ? "?" : "");
    }
    if (cli_has(args, "--json")) print_json(args);
    else print_text(args);
    return CLI_OK;
}

static const cli_option options[] = {
    { "--json", NULL, "as JSON", NULL },
};

const cli_command cli_ops = {
    .name = "ops",
    .sentence = "list the operations that networks are made of",
    .usage = "[NAME|ROLE] [--json]",
    .about =
        "Lists every operation with what it has: a gradient, a rule for the rows it reads, a cost rule, a reference kernel,\n"
        "fast kernels on processors, and the test that holds it to its reference. Where no fast kernel fits, the reference runs.",
    .examples = "farandole ops layer\n"
                "    those of a network's layers\n"
                "farandole ops --json\n"
                "    all, for a program to read\n",
    .options = options,
    .option_count = CLI_COUNT(options),
    .word_max = 1,
    .run = run_ops,
};
