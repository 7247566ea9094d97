/* farandole predict */
#include "cli.h"
#include "predict_out.h"
#include "progress.h"
#include <errno.h>
#include <farandole/extend.h>
#include <farandole/run.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TOP_DEFAULT 5

/* With its parents. */
static far_status folder_make(const char *path)
{
    char *copy = strdup(path);
    if (copy == NULL) return far_fail(FAR_E_NOMEM, "no memory for a path");
    for (char *at = copy + 1; *at != '\0'; at++) {
        if (*at != '/') continue;
        *at = '\0';
        (void)mkdir(copy, 0777); /* what is in the way shows at the end */
        *at = '/';
    }
    (void)mkdir(copy, 0777);
    free(copy);
    return cli_is_folder(path) ? FAR_OK : far_fail(FAR_E_IO, "cannot make the folder %s: %s", path, strerror(errno));
}

static cli_exit format_of(const cli_args *args, predict_format *format_out)
{
    static const char *const names[] = { "png", "npy", "csv", "jsonl", "tiff" };
    const char *name = cli_value(args, "--format");
    *format_out = PREDICT_AUTO;
    if (name == NULL) return CLI_OK;
    for (int32_t i = 0; i < CLI_COUNT(names); i++)
        if (strcmp(name, names[i]) == 0) {
            *format_out = (predict_format)(i + 1);
            return CLI_OK;
        }
    return cli_usage_error(args->command, "--format %s: expected png, npy or tiff for maps, csv or jsonl for classes",
                           name);
}

static cli_exit top_of(const cli_args *args, int64_t *top_out)
{
    const char *text = cli_value(args, "--top");
    char *end = NULL;
    *top_out = TOP_DEFAULT;
    if (text == NULL) return CLI_OK;
    const long top = strtol(text, &end, 10);
    if (*end != '\0' || top < 1 || top > 100000)
        return cli_usage_error(args->command, "--top %s: expected a number of classes, from 1 on", text);
    *top_out = top;
    return CLI_OK;
}

static void tell(const cli_args *args, const predict_out *out)
{
    char count[32];
    if (cli_has(args, "--json")) {
        json_t *all = json_pack("{s:s, s:I, s:I}", "folder", out->folder, "samples", (json_int_t)out->samples, "files",
                                (json_int_t)out->files);
        if (out->counted > 0)
            (void)json_object_set_new(all, "right", json_real((double)out->right / (double)out->counted));
        (void)json_dumpf(all, stdout, JSON_INDENT(2));
        (void)fputc('\n', stdout);
        json_decref(all);
        return;
    }
    (void)printf("%-20s %s\n", "samples", cli_count_text(out->samples, count));
    if (out->counted > 0) (void)printf("%-20s %.6g\n", "right", (double)out->right / (double)out->counted);
    (void)printf("%-20s %s, %s files\n", "folder", out->folder, cli_count_text(out->files, count));
}

/* Ends together with the other ranks; the first writes. */
static cli_exit predict(const cli_args *args, const cli_weights *weights, far_ranks *ranks, predict_out *out)
{
    far_run *run = NULL;
    cli_progress progress;
    cli_phase phase = CLI_OPENING;
    cli_progress_begin(&progress, cli_has(args, "--quiet"));
    const far_run_opts opts = { .purpose = FAR_RUN_PREDICT,
                                .weights = weights->path,
                                .images = cli_value(args, "--images"),
                                .progress = cli_is_silent() ? NULL : cli_progress_show,
                                .progress_context = &progress,
                                .layout = cli_value(args, "--layout"),
                                .joined = ranks };
    const bool is_new = !cli_is_silent() && !cli_is_folder(out->folder);
    far_status st = is_new ? folder_make(out->folder) : FAR_OK; /* while all ranks are opening: they end alike */
    if (st == FAR_OK) st = far_run_open(weights->config, &opts, &run);
    if (st != FAR_OK && is_new) (void)rmdir(out->folder);
    if (st == FAR_OK) {
        phase = CLI_RUNNING;
        st = far_run_predict_rows(run, predict_out_take, out);
    }
    cli_progress_end(&progress);
    far_status closed = FAR_OK;
    if (st == FAR_OK) st = closed = predict_out_close(out, true);
    const cli_exit code = cli_ranks_end(args, ranks, st, phase);
    if (st != FAR_OK && closed == FAR_OK) (void)predict_out_close(out, false);
    far_run_close(run);
    return code;
}

static cli_exit with_weights(const cli_args *args, const cli_weights *weights, far_ranks *ranks, predict_out *out)
{
    char *own = NULL;
    json_t *names = cli_class_names(weights->run);
    out->classes = names;
    out->folder = cli_value(args, "--out");
    if (out->folder == NULL && weights->run != NULL) own = cli_path(weights->run, "predictions");
    if (out->folder == NULL) out->folder = own != NULL ? own : "predictions";
    const cli_exit code = predict(args, weights, ranks, out);
    if (code == CLI_OK && !cli_is_silent()) tell(args, out);
    json_decref(names);
    free(own);
    return code;
}

static cli_exit run_predict(const cli_args *args)
{
    cli_weights weights;
    predict_out out = { .has_probabilities = cli_has(args, "--probabilities"),
                        .has_overlays = cli_has(args, "--overlay") };
    cli_ranks ranks = { 0 };
    cli_exit code = cli_ranks_begin(args, &ranks);
    if (code == CLI_OK && args->word_count == 0)
        code = cli_usage_error(args->command, "predict with what? name a run, a checkpoint or a config file");
    if (code == CLI_OK) code = format_of(args, &out.format);
    if (code == CLI_OK) code = top_of(args, &out.top);
    if (code == CLI_OK) code = cli_weights_open(args, args->words[0], &weights);
    if (code != CLI_OK) return cli_ranks_refuse(&ranks, code);
    code = ranks.launched == 1 && ranks.wanted > 1 ? cli_launch(args, ranks.wanted)
                                                   : with_weights(args, &weights, ranks.joined, &out);
    cli_weights_close(&weights);
    far_ranks_leave(ranks.joined);
    return code;
}

static const cli_option options[] = {
    { "--images", "PATH",
      "images without labels: a picture, a folder or archive of them, an array (.npy, .npz, .h5, .raw) or an IDX file",
      NULL },
    { "--out", "DIR", "where to; default: RUN/predictions, without a run predictions", NULL },
    { "--format", "FORMAT", "maps: png or tiff (bytes are classes, with colours) or npy; classes: csv or jsonl", NULL },
    { "--probabilities", NULL, "also probabilities of all classes, as .npy, with --format tiff of maps as .tif", NULL },
    { "--overlay", NULL, "also the image with the classes' colours over it, as PNG", NULL },
    { "--top", "K", "so many likeliest classes of an image; default: 5", NULL },
    { "--weights", "PATH", "a checkpoint folder or a safetensors file", NULL },
    { "--checkpoint", "WHICH", "of a run: best, last or a step; default: best", NULL },
    { "--threads", "N", "threads that compute; default: all cores this process may use", "threads" },
    { "--ranks", "N", "N processes on this machine share the work, with the same files", NULL },
    { "--layout", "data=D,spatial=S", "what ranks share out: samples, rows; default: samples", NULL },
    { "--memory", "SIZE", "memory it may use, as 512M or 16G; default: what there is", "memory" },
    { "--quiet", NULL, "no progress", NULL },
    { "--json", NULL, "what was written, as JSON", NULL },
};

const cli_command cli_predict = {
    .name = "predict",
    .sentence = "write what a trained network makes of images: maps, overlays, classes",
    .usage = "RUN|CHECKPOINT [--images PATH] [key=value ...] [options]\n"
             "CONFIG.yaml --weights PATH [--images PATH] [key=value ...] [options]",
    .about =
        "Runs images through a network. Where it labels pixels, each image gets a map of classes (and with --overlay the\n"
        "image with the map over it), and predictions.csv says how many pixels are of which class; where it names a class\n"
        "for an image, predictions.csv lists the likeliest ones. Files are called as the images are, or by their numbers.\n"
        "Without --images: the test part of the run's data, without one the samples held back; other data with labels\n"
        "are named by keys, as data.path=FOLDER.",
    .examples = "farandole predict runs/cells --images photos --overlay\n"
                "    maps and overlays of a folder of photographs, in runs/cells/predictions\n"
                "farandole predict runs/lenet5/checkpoints/900 --format jsonl --top 3 --out found\n"
                "    the three likeliest classes of the test images, by one checkpoint of a run\n",
    .exits = "3 images or weights cannot be read, 4 does not fit in memory",
    .options = options,
    .option_count = CLI_COUNT(options),
    .word_max = 1,
    .has_assignments = true,
    .run = run_predict,
};
