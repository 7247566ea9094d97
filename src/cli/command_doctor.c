/* farandole doctor and version */
#include "cli.h"
#include <farandole/info.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

static const char *const verdict_names[] = {
    [FAR_VERDICT_OK] = "ok",
    [FAR_VERDICT_NOTE] = "note",
    [FAR_VERDICT_PROBLEM] = "problem",
};

#define TOPIC_COLUMNS 18

static void print_findings(const far_doctor *doctor)
{
    for (int32_t i = 0; i < far_doctor_count(doctor); i++) {
        const far_finding *finding = far_doctor_at(doctor, i);
        (void)printf("%-8s %-*s %s\n", verdict_names[finding->verdict], TOPIC_COLUMNS, finding->topic, finding->value);
        if (finding->advice[0] != '\0') (void)printf("%*s-> %s\n", TOPIC_COLUMNS + 10, "", finding->advice);
    }
}

static void print_findings_json(const far_doctor *doctor, bool is_well)
{
    json_t *list = json_array();
    for (int32_t i = 0; i < far_doctor_count(doctor); i++) {
        const far_finding *finding = far_doctor_at(doctor, i);
        json_t *item = json_pack("{s:s, s:s}", "topic", finding->topic, "verdict", verdict_names[finding->verdict]);
        json_t *value = json_string(finding->value); /* NULL where the system's text is no UTF-8 */
        (void)json_object_set_new(item, "value", value != NULL ? value : json_string("?"));
        value = json_string(finding->advice);
        (void)json_object_set_new(item, "advice", value != NULL ? value : json_string(""));
        (void)json_array_append_new(list, item);
    }
    json_t *all = json_pack("{s:b, s:o}", "well", is_well, "findings", list);
    (void)json_dumpf(all, stdout, JSON_INDENT(2));
    (void)fputc('\n', stdout);
    json_decref(all);
}

static cli_exit run_doctor(const cli_args *args)
{
    far_doctor *doctor = NULL;
    bool is_well = true;
    const far_status st = far_doctor_look(NULL, &doctor);
    if (st != FAR_OK) return cli_fail(args, st, CLI_RUNNING);
    for (int32_t i = 0; i < far_doctor_count(doctor); i++)
        is_well = is_well && far_doctor_at(doctor, i)->verdict != FAR_VERDICT_PROBLEM;
    if (cli_has(args, "--json")) print_findings_json(doctor, is_well);
    else print_findings(doctor);
    far_doctor_destroy(doctor);
    return is_well ? CLI_OK : CLI_FAILED;
}

static cli_exit run_version(const cli_args *args)
{
    far_library library;
    json_t *list = json_object();
    for (int32_t i = 0; i < far_library_count(); i++)
        if (far_library_at(i, &library) == FAR_OK)
            (void)json_object_set_new(list, library.name, json_string(library.version));
    if (cli_has(args, "--json")) {
        json_t *all = json_pack("{s:s, s:s, s:s, s:O}", "version", far_version(), "compiler", far_compiler(), "isa",
                                far_isa(), "libraries", list);
        (void)json_dumpf(all, stdout, JSON_INDENT(2));
        (void)fputc('\n', stdout);
        json_decref(all);
    } else {
        (void)printf("farandole %s\ncompiler   %s\nkernels    %s\n", far_version(), far_compiler(), far_isa());
        for (void *it = json_object_iter(list); it != NULL; it = json_object_iter_next(list, it))
            (void)printf("%-10s %s\n", json_object_iter_key(it), json_string_value(json_object_iter_value(it)));
    }
    json_decref(list);
    return CLI_OK;
}

static const cli_option options[] = {
    { "--json", NULL, "as JSON", NULL },
};

const cli_command cli_doctor = {
    .name = "doctor",
    .sentence = "look at this machine and say what to improve",
    .usage = "[--json]",
    .about =
        "Looks at processor, memory, limits, libraries, accelerators, MPI, disk and clock, each with what to do about it.\n"
        "\"note\" works but could be better; \"problem\" would make a training fail, and gives exit code 1.",
    .examples = "farandole doctor\n"
                "    on the machine, or in the job, that will train\n"
                "srun -n 1 farandole doctor --json\n"
                "    what a node of a cluster offers inside a job\n",
    .options = options,
    .option_count = CLI_COUNT(options),
    .run = run_doctor,
};

const cli_command cli_version = {
    .name = "version",
    .sentence = "print versions of farandole and its libraries",
    .usage = "[--json]",
    .about =
        "Prints the version, the compiler that built it, the instruction set that kernels use here, and library versions.\n"
        "Results may depend on the last two: name them when you report numbers.",
    .examples = "farandole version\n"
                "    for a bug report\n"
                "farandole version --json\n"
                "    for a program to read\n",
    .options = options,
    .option_count = CLI_COUNT(options),
    .run = run_version,
};
