/* farandole help, and --help of every command. */
#include "cli.h"
#include <farandole/config.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct topic {
    const char *name, *sentence;
    const char *text; /* NULL: made from the table of config keys */
} topic;

static const topic topics[] = {
    { "config", "all keys of a config file, with defaults", NULL },
    { "run", "what a training writes, and how to go on with one",
      "A training writes one folder: run.dir, or runs/MODEL-DATE-TIME.\n"
      "\n"
      "  config.yaml           the complete configuration, all defaults written out; trains the same again\n"
      "  plan.json             what every step does: tensors, buffers, instructions\n"
      "  metrics.jsonl         a JSON object a line: step, epoch, train/loss, train/lr; eval/... at evaluations\n"
      "  checkpoints/STEP/     model.safetensors, optimizer.safetensors, manifest.json with checksums\n"
      "  checkpoints/last      link to the newest; checkpoints/best to the one that scored best\n"
      "\n"
      "Checkpoints are written every train.checkpoint_every steps, after the best evaluation so far, at the end, and when\n"
      "SIGINT or SIGTERM asks the run to stop. A kill at any moment leaves the ones before it whole.\n"
      "\n"
      "  farandole train --resume RUN      goes on: same numbers, to the bit, as without the break, on any number of threads\n"
      "  farandole eval RUN                scores the best checkpoint\n"
      "  farandole train NEW.yaml --weights RUN/checkpoints/best     starts another training from its weights\n"
      "\n"
      "In PyTorch: safetensors.torch.load_file(\"RUN/checkpoints/best/model.safetensors\"); names are those of state_dict.\n" },
    { "data", "how data sets have to look",
      "data.path names a folder (of pictures also a tar, tar.gz or zip) with one of these:\n"
      "\n"
      "  data.kind: idx    train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte, t10k-labels-idx1-ubyte,\n"
      "                    each plain or .gz: MNIST, Fashion-MNIST and their relatives\n"
      "  data.kind: npy    train-images.npy, train-labels.npy, test-images.npy, test-labels.npy: NumPy arrays, images\n"
      "                    [N, H, W] or [N, H, W, C] (with data.channels_first [N, C, H, W]), whole numbers or floating point;\n"
      "                    labels [N] for classes or [N, H, W] for label maps\n"
      "  data.kind: arrays train.npz, test.npz, train.h5, test.h5 (HDF5) with the arrays \"images\" and \"labels\" (or what\n"
      "                    data.array.images, data.array.labels say), or train-images.raw, train-labels.raw, test-...: bytes as\n"
      "                    they are, with train-images.raw.json beside it: {\"shape\": [1, 21600, 43200], \"type\": \"uint16\",\n"
      "                    \"byte_order\": \"big\", \"offset\": 512}. Shapes as of npy, and [H, W] for one image; images larger than\n"
      "                    memory are read in rows: from HDF5 the chunks that hold them, from a packed .npz in order from the top\n"
      "  data.kind: volumes\n"
      "                    the same files with volumes: images [N, D, H, W], [N, D, H, W, C] or with data.channels_first\n"
      "                    [N, C, D, H, W], labels [N] or [N, D, H, W]; for networks such as unet3d\n"
      "  data.kind: images        folders of JPEG, PNG and TIFF named by their classes, cat/1.jpg; perhaps in train/ and val/ (test/)\n"
      "  data.kind: segmentation  images/ and labels/ (or masks/) with equal names, label maps as PNG or TIFF: values or palette indices are\n"
      "                    classes, else see data.label_values and data.labels_as. Other names: data.images: \"scans/*.jpg\" with\n"
      "                    data.labels: \"truth/*_mask.png\"\n"
      "  data.kind: lartpc        one HDF5 file, or a folder with train.h5 and test.h5: sparse images of liquid-argon detectors, as\n"
      "                    farandole synth lartpc writes them\n"
      "  data.kind: landmask      one file with a map of land and sea: windows of it, from a coarse view to the map itself\n"
      "\n"
      "u8 pixels are read as value / 255. Other names: data.images, data.labels, data.test_images, data.test_labels.\n"
      "Without a test part, data.holdout sets training samples apart: a share (by the names of pictures) or a number.\n"
      "data.kind: synthetic makes images up, for trying things.\n"
      "\n"
      "Images of different sizes: data.size brings all of them to one, data.fit says how (resize, crop, pad). To train on parts,\n"
      "data.augment.crop cuts them out at random places, and data.augment.resized_crop parts of random size, resized.\n"
      "Label maps of such images are evaluated and predicted whole, each in its own size: eval.size.\n"
      "Augmentation: data.augment.*, see farandole help data.augment\n" },
    { "numbers", "what results depend on, and what not",
      "The same config gives the same bits on any number of threads, in any order of execution, with and without a break.\n"
      "Bits may depend on the batch, the grain table (grain.*), the instruction set and library versions; a run records them\n"
      "and --resume refuses to go on under others. Every random choice is a function of seed, epoch and sample, not of the\n"
      "order in which things happen. The digest that a training prints is a SHA-256 over all parameters: compare it.\n"
      "\n"
      "exec.backend=reference runs every operation in plain double precision, slowly: the oracle that kernels are tested by.\n" },
    { "exit-codes", "what exit codes mean",
      "   0  done\n"
      "   1  failed; the message says what\n"
      "   2  bad command line or config\n"
      "   3  data or checkpoints are not there, unreadable or damaged\n"
      "   4  does not fit in memory; nothing was started\n"
      "  75  stopped by SIGINT or SIGTERM after a checkpoint: farandole train --resume RUN goes on\n"
      "\n"
      "In a job script: farandole train c.yaml run.dir=runs/a || test $? -ne 75 || sbatch again.sh\n" },
};

static const char *name_at(int32_t idx)
{
    return idx < CLI_COUNT(topics) ? topics[idx].name : cli_command_at(idx - CLI_COUNT(topics))->name;
}

void cli_print_short_help(bool is_error)
{
    FILE *out = is_error ? stderr : stdout;
    (void)fprintf(out,
                  "farandole trains neural networks on images: same numbers on any number of threads.\n\nCommands\n");
    for (int32_t i = 0; i < cli_command_count(); i++)
        (void)fprintf(out, "  %-11s %s\n", cli_command_at(i)->name, cli_command_at(i)->sentence);
    (void)fprintf(out, "\nTopics of farandole help\n");
    for (int32_t i = 0; i < CLI_COUNT(topics); i++)
        (void)fprintf(out, "  %-11s %s\n", topics[i].name, topics[i].sentence);
    (void)fprintf(out, "\nBegin with\n"
                       "  farandole train examples/synthetic.yaml\n"
                       "  farandole COMMAND --help\n");
}

/* Each line of `text` after `before`. */
static void print_lines(const char *before, const char *text)
{
    while (*text != '\0') {
        const int length = (int)strcspn(text, "\n");
        (void)printf("%s%.*s\n", before, length, text);
        text += length + (text[length] == '\n');
    }
}

static void print_option(const char *name, const char *value, const char *help)
{
    char left[64];
    (void)snprintf(left, sizeof left, "%s%s%s", name, value != NULL ? " " : "", value != NULL ? value : "");
    (void)printf("  %-20s %s\n", left, help);
}

void cli_print_command_help(const cli_command *command)
{
    char before[64];
    (void)snprintf(before, sizeof before, "farandole %s ", command->name);
    print_lines(before, command->usage);
    (void)printf("\n%s\n\nOptions\n", command->about);
    for (int32_t i = 0; i < command->option_count; i++)
        print_option(command->options[i].name, command->options[i].value, command->options[i].help);
    print_option("--trace", NULL, "with an error, the places in the code that it passed; also FAR_TRACE=1");
    print_option("--help", NULL, "this text");
    (void)printf("\nExamples\n");
    print_lines("  ", command->examples);
    (void)printf("\nExit codes\n  0 done, 1 failed, 2 bad command line%s%s%s\n",
                 command->has_assignments ? " or config" : "", command->exits != NULL ? ", " : "",
                 command->exits != NULL ? command->exits : "");
}

static void print_key(const far_config_key *key)
{
    (void)printf("%s\n    %s\n    default: %s%s%s", key->name, key->help,
                 key->default_text[0] != '\0' ? key->default_text : "none", key->unit[0] != '\0' ? " " : "",
                 key->default_text[0] != '\0' ? key->unit : "");
    if (key->values != NULL) (void)printf("; %s: %s", key->type == FAR_CONFIG_ENUM ? "one of" : "also", key->values);
    (void)printf("\n");
}

/* Keys named `name` or below it. */
static int32_t print_keys(const char *name)
{
    const size_t length = strlen(name);
    int32_t count = 0;
    for (int32_t i = 0; i < far_config_key_count(); i++) {
        const far_config_key *key = far_config_key_at(i);
        if (strncmp(key->name, name, length) != 0 || (key->name[length] != '\0' && key->name[length] != '.')) continue;
        print_key(key);
        count++;
    }
    return count;
}

static cli_exit print_reference(const cli_args *args)
{
    char *text = NULL;
    const far_status st = far_config_reference(&text);
    if (st != FAR_OK) return cli_fail(args, st, CLI_RUNNING);
    (void)fputs(text, stdout);
    far_config_text_free(text);
    return CLI_OK;
}

static cli_exit print_topic(const cli_args *args, const topic *found)
{
    if (found->text == NULL) return print_reference(args);
    (void)fputs(found->text, stdout);
    return CLI_OK;
}

static cli_exit no_such_topic(const cli_args *args, const char *word)
{
    const char *nearest = cli_nearest(word, CLI_COUNT(topics) + cli_command_count(), name_at);
    if (nearest == NULL && strchr(word, '.') != NULL) nearest = far_config_key_nearest(word);
    return cli_usage_error(args->command, "no help on \"%s\"%s%s%s", word, nearest != NULL ? "; did you mean " : "",
                           nearest != NULL ? nearest : "", nearest != NULL ? "?" : "");
}

static cli_exit run_help(const cli_args *args)
{
    if (args->word_count == 0) {
        cli_print_short_help(false);
        return CLI_OK;
    }
    const char *word = args->words[0];
    if (args->word_count == 2) { /* "help config data" as well as "help data.path" */
        if (strcmp(word, "config") != 0)
            return cli_usage_error(args->command, "one argument too many: \"%s\"", args->words[1]);
        word = args->words[1];
        return print_keys(word) > 0 ? CLI_OK : no_such_topic(args, word);
    }
    for (int32_t i = 0; i < CLI_COUNT(topics); i++)
        if (strcmp(topics[i].name, word) == 0) return print_topic(args, &topics[i]);
    const cli_command *command = cli_command_find(word);
    if (command != NULL) {
        cli_print_command_help(command);
        return CLI_OK;
    }
    return print_keys(word) > 0 ? CLI_OK : no_such_topic(args, word);
}

const cli_command cli_help = {
    .name = "help",
    .sentence = "explain a command, a topic or a config key",
    .usage = "[COMMAND|TOPIC|KEY]\nconfig KEY",
    .about = "Explains a command, one of the topics that `farandole help` lists, or config keys by name or group.",
    .examples = "farandole help train\n"
                "    the same as farandole train --help\n"
                "farandole help optim\n"
                "    all config keys of the optimizer\n",
    .word_max = 2,
    .run = run_help,
};
