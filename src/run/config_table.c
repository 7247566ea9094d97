/* The one table of configuration keys: parsing, checking, overrides, dumps and the reference all read it. To add a key, add a row;
   rows of one group stay together. */
#include "base/status.h"
#include "run/config_priv.h"
#include <farandole/model.h>
#include <farandole/recipe.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define ANY -INFINITY, INFINITY
#define FROM(low) (low), INFINITY

/* name, type, default, unit, help, words, min, max, results do not depend on it */
static const far_config_key fixed[] = {
    /* data */
    { "data.path", FAR_CONFIG_PATH, "", "",
      "Folder with the data set; of pictures also an archive (tar, tar.gz, zip) or one picture, of arrays and lartpc also one file.",
      NULL, ANY, true },
    { "data.kind", FAR_CONFIG_ENUM, "auto", "", "Format; auto looks at the names in the folder.",
      "auto|idx|npy|arrays|volumes|images|segmentation|lartpc|landmask|synthetic", ANY, false },
    { "data.images", FAR_CONFIG_PATH, "", "",
      "File of training images, where it is not named as usual; then no folder is looked at. Of pictures with label maps: a pattern inside of data.path, as images/*.png.",
      NULL, ANY, true },
    { "data.labels", FAR_CONFIG_PATH, "", "",
      "File of training labels beside data.images; or the pattern of label maps, as labels/*.png, where each star stands for what it does in data.images.",
      NULL, ANY, true },
    { "data.test_images", FAR_CONFIG_PATH, "", "", "File of test images beside data.images.", NULL, ANY, true },
    { "data.test_labels", FAR_CONFIG_PATH, "", "", "File of test labels beside data.test_images.", NULL, ANY, true },
    { "data.channels", FAR_CONFIG_INT, "auto", "",
      "Of pictures: 1 grey, 3 RGB, of TIFF 1 to 4; auto: 1 where all are grey, else what they have.", "auto", 1, 4,
      false },
    { "data.labels_as", FAR_CONFIG_ENUM, "classes", "",
      "What label maps hold: classes, or numbers of objects, which become background 0, inside 1, boundary 2.",
      "classes|instances", ANY, false },
    { "data.label_values", FAR_CONFIG_STRINGS, "", "",
      "Values in label maps that stand for class 0, 1, ..., as [0, 255], or colours, as ['#000000', '#ff0000']; empty: values are "
      "the classes.",
      NULL, ANY, false },
    { "data.ignore", FAR_CONFIG_STRINGS, "", "", "Values or colours in label maps that count for nothing, as [255].",
      NULL, ANY, false },
    { "data.boundary", FAR_CONFIG_INT, "1", "pixels",
      "Of objects: pixels so near to another object or the background are boundary.", NULL, 1, 16, false },
    { "data.class_names", FAR_CONFIG_STRINGS, "", "", "Names of the classes of label maps, from class 0 on.", NULL, ANY,
      true },
    { "data.array.images", FAR_CONFIG_STRING, "images", "",
      "In an .npz or HDF5 file: name of the array with the images.", NULL, ANY, false },
    { "data.array.labels", FAR_CONFIG_STRING, "labels", "",
      "Likewise with the labels, where data.labels names no file of their own.", NULL, ANY, false },
    { "data.lartpc.image", FAR_CONFIG_STRING, "sbndwire", "",
      "In a file of liquid-argon images: NAME of the group sparse2d_NAME_group with the images.", NULL, ANY, false },
    { "data.lartpc.label", FAR_CONFIG_STRING, "auto", "",
      "Likewise of the group with the labels; auto: sbnd_cosmicseg where there is one.", NULL, ANY, false },
    { "data.lartpc.keep", FAR_CONFIG_SIZE, "1GiB", "bytes",
      "Voxels stay in memory once read: all of a file, or those of as many events as fit in so much, of one at least.",
      NULL, FROM(0), true },
    { "data.landmask.array", FAR_CONFIG_STRING, "mask", "",
      "Of a map of land and sea: name of the array in the .npz or HDF5 file.", NULL, ANY, false },
    { "data.landmask.window", FAR_CONFIG_INT, "2048", "pixels",
      "Side of the windows into the map that are the samples; 0: the whole map is the only one.", NULL, 0, 1e9, false },
    { "data.landmask.windows", FAR_CONFIG_INT, "256", "", "Training windows.", NULL, 1, 1e9, false },
    { "data.landmask.test_windows", FAR_CONFIG_INT, "32", "", "Test windows, inside the longitudes held out.", NULL, 1,
      1e9, false },
    { "data.landmask.held_out", FAR_CONFIG_FLOATS, "[100, 140]", "degrees",
      "Longitudes, west and east, of which no training window holds anything.", NULL, -180, 180, false },
    { "data.landmask.view", FAR_CONFIG_INT, "16", "pixels",
      "The image is the map in blocks of so many pixels square, brought back to full size bilinearly.", NULL, 1, 256,
      false },
    { "data.classes", FAR_CONFIG_INT, "auto", "", "Number of classes; auto: the largest label plus one.", "auto", 1,
      1e6, false },
    { "data.channels_first", FAR_CONFIG_BOOL, "false", "",
      "Channels come first in arrays: [N, C, H, W] instead of [N, H, W, C], and likewise of volumes.", NULL, ANY,
      false },
    { "data.holdout", FAR_CONFIG_FLOAT, "0", "",
      "Training samples set apart to evaluate on and to choose the best checkpoint: a share below 1, or how many. By a hash of the "
      "sample's name where it has one (a share then never moves a sample when others are added), else of its number; 0: the test "
      "samples are used.",
      NULL, FROM(0), false },
    { "data.mean", FAR_CONFIG_FLOATS, "", "", "Subtracted from each channel; one number for all, or one a channel.",
      NULL, ANY, false },
    { "data.std", FAR_CONFIG_FLOATS, "", "", "Each channel is divided by it, after data.mean.", NULL, FROM(1e-30),
      false },
    { "data.downsample", FAR_CONFIG_INT, "0", "",
      "Halvings of the image: blocks of 2^k x 2^k pixels become their mean, labels their maximum.", NULL, 0, 12,
      false },
    { "data.size", FAR_CONFIG_INTS, "", "pixels",
      "Height and width that all images are brought to, or one number for both, before data.downsample; empty: they have one size "
      "already.",
      NULL, 1, 65536, false },
    { "data.fit", FAR_CONFIG_ENUM, "auto", "",
      "How: resize until data.size is covered and take the middle; crop the middle in its own resolution; pad at the bottom and on "
      "the right, where pixels count for nothing. auto: pad for label maps, else resize.",
      "auto|resize|crop|pad", ANY, false },
    { "data.fit_share", FAR_CONFIG_FLOAT, "auto", "",
      "Share of the resized image's shorter side that data.fit: resize keeps; auto: 0.875 (256 to 224), for label maps 1.",
      "auto", 0.01, 1, false },
    { "data.shuffle", FAR_CONFIG_BOOL, "true", "", "A new order of the training samples each epoch.", NULL, ANY,
      false },
    { "data.threads", FAR_CONFIG_INT, "auto", "",
      "Threads that prepare batches; auto: half of the cores, at most 8, where files are decoded, else 1.", "auto", 1,
      64, true },
    { "data.ahead", FAR_CONFIG_INT, "2", "batches", "Batches prepared ahead.", NULL, 1, 64, true },
    { "data.feed", FAR_CONFIG_ENUM, "auto", "",
      "How images come into a step: batches, made whole and ahead of time; rows, read when the step wants them, so that no image is ever whole in "
      "memory; auto: rows where a step goes through images band by band. The results are the same.",
      "auto|batches|rows", ANY, true },
    { "data.on_error", FAR_CONFIG_ENUM, "stop", "",
      "What becomes of a sample that cannot be read: stop names it and ends the run; skip leaves it out, warns and counts.",
      "stop|skip", ANY, false },
    { "data.augment.normalize", FAR_CONFIG_BOOL, "false", "",
      "Take data.mean and data.std from the training samples where they are not given.", NULL, ANY, false },
    { "data.augment.log1p", FAR_CONFIG_BOOL, "false", "",
      "x becomes log(1 + x), before normalisation; also in evaluation.", NULL, ANY, false },
    { "data.augment.crop", FAR_CONFIG_INTS, "", "pixels",
      "Train on a part of this height and width at a random place, padded where an image is smaller.", NULL, 1, 65536,
      false },
    { "data.augment.resized_crop", FAR_CONFIG_BOOL, "false", "",
      "Train on a random part resized to data.augment.crop, or to data.size.", NULL, ANY, false },
    { "data.augment.resized_area", FAR_CONFIG_FLOATS, "[0.08, 1]", "",
      "Least and largest share of the image's area in such a part.", NULL, 1e-6, 1, false },
    { "data.augment.resized_ratio", FAR_CONFIG_FLOATS, "[0.75, 1.3333333333333333]", "",
      "Least and largest ratio of its width to its height.", NULL, 1e-3, 1e3, false },
    { "data.augment.brightness", FAR_CONFIG_FLOAT, "0", "",
      "Pixels times a random factor within 1 plus or minus this; for images in [0, 1].", NULL, 0, 10, false },
    { "data.augment.contrast", FAR_CONFIG_FLOAT, "0", "", "The same for differences from the mean grey of the image.",
      NULL, 0, 10, false },
    { "data.augment.saturation", FAR_CONFIG_FLOAT, "0", "", "The same for differences from each pixel's grey.", NULL, 0,
      10, false },
    { "data.augment.hue", FAR_CONFIG_FLOAT, "0", "turns",
      "Hues turn by a random part of the colour circle, up to this.", NULL, 0, 0.5, false },
    { "data.augment.invert", FAR_CONFIG_FLOAT, "0", "",
      "Probability that x becomes 1 - x, dark on bright becomes bright on dark; for images in [0, 1].", NULL, 0, 1,
      false },
    { "data.augment.flip", FAR_CONFIG_BOOL, "false", "", "Left-right flip with probability 1/2.", NULL, ANY, false },
    { "data.augment.vflip", FAR_CONFIG_BOOL, "false", "", "Top-bottom flip with probability 1/2.", NULL, ANY, false },
    { "data.augment.turns", FAR_CONFIG_BOOL, "false", "", "Turn by 0, 90, 180 or 270 degrees; square images only.",
      NULL, ANY, false },
    { "data.augment.crop_pad", FAR_CONFIG_INT, "0", "pixels",
      "Zero padding on each side before a random crop of the old size.", NULL, 0, 4096, false },
    { "data.augment.erase", FAR_CONFIG_FLOAT, "0", "", "Probability that a random rectangle is erased.", NULL, 0, 1,
      false },
    { "data.augment.erase_area", FAR_CONFIG_FLOATS, "[0.02, 0.33]", "", "Least and largest share of the image erased.",
      NULL, 0, 1, false },
    { "data.augment.cutout", FAR_CONFIG_INT, "0", "pixels", "Side of a square erased around a random pixel.", NULL, 0,
      65536, false },
    { "data.synthetic.samples", FAR_CONFIG_INT, "1024", "", "Training samples of the synthetic set.", NULL, FROM(1),
      false },
    { "data.synthetic.test_samples", FAR_CONFIG_INT, "256", "", "Test samples of the synthetic set.", NULL, FROM(1),
      false },
    { "data.synthetic.shape", FAR_CONFIG_INTS, "[1, 32, 32]", "",
      "Channels, height and width of its images; of volumes channels, depth, height and width.", NULL, FROM(1), false },
    { "data.synthetic.vary", FAR_CONFIG_FLOAT, "0", "",
      "Sizes vary: each side of each image is a random share, from 1 minus this up to 1, of that in data.synthetic.shape.",
      NULL, 0, 0.99, false },
    { "data.synthetic.classes", FAR_CONFIG_INT, "10", "", "Its classes.", NULL, 1, 1e6, false },
    { "data.synthetic.label", FAR_CONFIG_ENUM, "class", "", "A label for each image, or for each pixel.", "class|map",
      ANY, false },
    { "data.synthetic.noise", FAR_CONFIG_FLOAT, "0.5", "", "Share of noise in a pixel.", NULL, 1e-6, 1, false },

    /* training */
    { "train.epochs", FAR_CONFIG_FLOAT, "10", "epochs", "Length of the training, where train.steps does not say it.",
      NULL, FROM(0), false },
    { "train.steps", FAR_CONFIG_INT, "auto", "steps", "Length of the training; auto: from train.epochs.", "auto",
      FROM(1), false },
    { "train.eval_every", FAR_CONFIG_INT, "auto", "steps", "Steps between evaluations; auto: once an epoch.", "auto",
      FROM(1), true },
    { "train.checkpoint_every", FAR_CONFIG_INT, "auto", "steps", "Steps between checkpoints; auto: once an epoch.",
      "auto", FROM(1), true },
    { "train.checkpoint_background", FAR_CONFIG_ENUM, "auto", "",
      "Checkpoints are written while training goes on, from a copy of parameters and optimizer state; of several ranks each copies and "
      "writes its share. auto: with several ranks, and with one where the copy is at most a tenth of the memory.",
      "auto|true|false", ANY, true },
    { "train.patience", FAR_CONFIG_INT, "0", "evaluations",
      "Training ends early when eval.metric has not got better for so many evaluations; 0: never.", NULL, FROM(0),
      false },
    { "train.min_delta", FAR_CONFIG_FLOAT, "0", "",
      "By more than this it has to get better to count for train.patience.", NULL, FROM(0), false },
    { "train.log_every", FAR_CONFIG_INT, "auto", "steps",
      "Steps between lines of metrics; auto: every step, at most 10,000 lines.", "auto", FROM(1), true },
    { "train.keep", FAR_CONFIG_INT, "3", "checkpoints", "Newest checkpoints kept, beside the best; 0: all.", NULL,
      FROM(0), true },
    { "train.compare_every", FAR_CONFIG_INT, "100", "steps",
      "Of several ranks: steps between comparisons of checksums of parameters and optimizer state, which all ranks hold alike. A rank "
      "with a wrong bit is named. Before each checkpoint they are compared in any case; 0: only then.",
      NULL, FROM(0), true },
    { "batch", FAR_CONFIG_INT, "64", "samples", "Samples a training step, over all ranks.", NULL, FROM(1), false },
    { "eval.batch", FAR_CONFIG_INT, "auto", "samples",
      "Samples an evaluation step; auto: as batch, of whole images as many as have the pixels of a training step.",
      "auto", FROM(1), true },
    { "eval.size", FAR_CONFIG_ENUM, "auto", "",
      "native: whole images in their own sizes, padded only as far as the network needs; fixed: in data.size. auto: native for label maps "
      "of images that vary or are trained on in parts.",
      "auto|native|fixed", ANY, true },
    { "eval.metric", FAR_CONFIG_STRING, "auto", "",
      "The score that makes a checkpoint the best, by its name in an evaluation (accuracy, top5, miou, iou/1); of loss the smallest is "
      "best. auto: mean IoU for label maps, else accuracy.",
      NULL, ANY, true },
    { "seed", FAR_CONFIG_INT, "0", "", "Of initial weights, order of samples, augmentation and dropout.", NULL, 0,
      9007199254740992.0, false },
    { "grain.samples", FAR_CONFIG_INT, "auto", "samples",
      "Samples in a grain, the unit of arithmetic: results depend on it, on ranks and threads they do not. `grain: 4` is short for it.",
      "auto", FROM(1), false },
    { "grain.rows", FAR_CONFIG_INT, "auto", "rows", "Image rows in a grain.", "auto", FROM(1), false },
    { "grain.min_rows", FAR_CONFIG_INT, "auto", "rows",
      "Grains of a level that would have fewer rows are taken together.", "auto", FROM(1), false },
    { "grain.dense", FAR_CONFIG_INT, "auto", "samples", "Samples in a grain of tensors without rows.", "auto", FROM(1),
      false },
    { "grain.leaves", FAR_CONFIG_INT, "auto", "", "Leaves of a tree of partial sums at most; auto: 64.", "auto", 1,
      65536, false },

    /* the network */
    { "model.name", FAR_CONFIG_STRING, "lenet5", "", "Network of the zoo, or layers for model.layers.", NULL, ANY,
      false },
    { "model.preset", FAR_CONFIG_STRING, "", "", "Named set of the network's options.", NULL, ANY, false },
    { "model.weights", FAR_CONFIG_PATH, "", "",
      "Weights to start from, found by name: a safetensors file (PyTorch's, torchvision's or timm's), a checkpoint or a run's folder.",
      NULL, ANY, false },
    { "model.weights_strict", FAR_CONFIG_ENUM, "auto", "",
      "What has to fit: true: every tensor, and no others may be there; auto: all but the last layer, which starts anew where classes "
      "differ; false: what fits is taken.",
      "auto|true|false", ANY, false },
    { "model.freeze", FAR_CONFIG_STRINGS, "", "",
      "Layers or parameters that are not trained, as shell patterns of their names: [conv1, bn1, layer1]. No gradients are computed for them.",
      NULL, ANY, false },
    { "model.freeze_stats", FAR_CONFIG_BOOL, "false", "",
      "Batch norms of frozen layers use their running statistics and do not move them.", NULL, ANY, false },
    { "model.classes", FAR_CONFIG_INT, "auto", "", "Outputs; auto: as the data has classes.", "auto", 1, 1e6, false },
    { "model.layers", FAR_CONFIG_NODE, "", "", "The network as a list of layers.", NULL, ANY, false },

    /* what is minimised, and how */
    { "loss.recipe", FAR_CONFIG_STRING, "auto", "",
      "Training method; auto: classify, or segment for label maps. Its options are the other keys of this group.", NULL,
      ANY, false },
    { "optim.name", FAR_CONFIG_ENUM, "sgd", "", "Optimizer.", "sgd|adam|adamw|rmsprop|lars|lamb", ANY, false },
    { "optim.form", FAR_CONFIG_STRING, "", "", "Which of the published forms of lars or lamb; empty: its usual one.",
      NULL, ANY, false },
    { "optim.lr", FAR_CONFIG_FLOAT, "0.01", "", "Learning rate at the schedule's top.", NULL, FROM(0), false },
    { "optim.momentum", FAR_CONFIG_FLOAT, "auto", "", "Of sgd, lars and rmsprop; auto: 0.9 for lars, else 0.", "auto",
      0, 1, false },
    { "optim.dampening", FAR_CONFIG_FLOAT, "0", "", "Of sgd and lars: the gradient counts 1 - dampening.", NULL, 0, 1,
      false },
    { "optim.nesterov", FAR_CONFIG_BOOL, "false", "", "Nesterov's momentum.", NULL, ANY, false },
    { "optim.betas", FAR_CONFIG_FLOATS, "[0.9, 0.999]", "",
      "Decay of the first and second moment of adam, adamw and lamb.", NULL, 0, 1, false },
    { "optim.alpha", FAR_CONFIG_FLOAT, "auto", "", "Decay of rmsprop's second moment; auto: 0.99.", "auto", 0, 1,
      false },
    { "optim.centered", FAR_CONFIG_BOOL, "false", "", "rmsprop divides by the deviation instead of the second moment.",
      NULL, ANY, false },
    { "optim.eps", FAR_CONFIG_FLOAT, "auto", "", "Added to divisors; auto: 1e-8, lamb 1e-6, lars as its form.", "auto",
      FROM(0), false },
    { "optim.weight_decay", FAR_CONFIG_FLOAT, "auto", "", "Weight decay; auto: 0.01 for adamw, else 0.", "auto",
      FROM(0), false },
    { "optim.no_decay_bias_norm", FAR_CONFIG_BOOL, "false", "",
      "No weight decay for biases and normalisation parameters.", NULL, ANY, false },
    { "optim.eta", FAR_CONFIG_FLOAT, "auto", "", "Trust coefficient of lars; auto: 0.001.", "auto", FROM(0), false },
    { "optim.trust_clip", FAR_CONFIG_BOOL, "false", "", "Trust ratios of lars and lamb are at most 1.", NULL, ANY,
      false },
    { "optim.always_adapt", FAR_CONFIG_BOOL, "false", "", "Trust ratios also for tensors without weight decay.", NULL,
      ANY, false },
    { "optim.lr_place", FAR_CONFIG_ENUM, "auto", "",
      "Where the learning rate enters the momentum of lars: inside, v = m v + lr u, or outside, w -= lr v; auto: as its form.",
      "auto|inside|outside", ANY, false },
    { "optim.exclude", FAR_CONFIG_ENUM, "auto", "",
      "What lars and lamb give neither weight decay nor a trust ratio; auto: as their form.",
      "auto|none|norm|bias_norm", ANY, false },
    { "optim.momentum_correction", FAR_CONFIG_BOOL, "false", "",
      "Momentum times the ratio of learning rates, where they enter it.", NULL, ANY, false },
    { "optim.clip_norm", FAR_CONFIG_FLOAT, "0", "", "Largest norm of all gradients together; 0: none.", NULL, FROM(0),
      false },
    { "optim.clip_tensor_norm", FAR_CONFIG_FLOAT, "0", "", "Largest norm of each gradient by itself; 0: none.", NULL,
      FROM(0), false },
    { "optim.clip_value", FAR_CONFIG_FLOAT, "0", "", "Largest magnitude of a gradient's element; 0: none.", NULL,
      FROM(0), false },
    { "optim.ema", FAR_CONFIG_FLOAT, "0", "", "Decay of averaged weights; 0: none are kept.", NULL, 0, 1, false },
    { "optim.groups", FAR_CONFIG_NODE, "", "",
      "Parameters treated differently: a list of maps {match: names or layers as shell patterns, lr: factor of optim.lr, weight_decay: "
      "its own, frozen: true, adapt: false for no trust ratio}. The first that matches counts.",
      NULL, ANY, false },
    { "schedule.name", FAR_CONFIG_ENUM, "constant", "", "How the learning rate goes, after the warm-up.",
      "constant|step|multistep|linear|cosine|polynomial|cosmictagger", ANY, false },
    { "schedule.unit", FAR_CONFIG_ENUM, "epochs", "",
      "What schedule.milestones, schedule.every and schedule.decay count.", "epochs|steps", ANY, false },
    { "schedule.warmup_epochs", FAR_CONFIG_FLOAT, "0", "epochs",
      "Length of the warm-up, where schedule.warmup_steps does not say it.", NULL, FROM(0), false },
    { "schedule.warmup_steps", FAR_CONFIG_INT, "0", "steps", "Length of the warm-up.", NULL, FROM(0), false },
    { "schedule.warmup_start", FAR_CONFIG_FLOAT, "0", "", "Learning rate at its start, as a share of optim.lr.", NULL,
      FROM(0), false },
    { "schedule.warmup_shape", FAR_CONFIG_ENUM, "linear", "", "Shape of the warm-up.", "linear|quadratic", ANY, false },
    { "schedule.milestones", FAR_CONFIG_FLOATS, "", "schedule.unit", "Where multistep multiplies by schedule.gamma.",
      NULL, FROM(0), false },
    { "schedule.every", FAR_CONFIG_FLOAT, "auto", "schedule.unit",
      "How often step multiplies by schedule.gamma (auto: every 30 epochs); how long cosmictagger stays flat (auto: 20 epochs).",
      "auto", FROM(1e-9), false },
    { "schedule.gamma", FAR_CONFIG_FLOAT, "0.1", "", "Factor of step and multistep.", NULL, FROM(0), false },
    { "schedule.power", FAR_CONFIG_FLOAT, "2", "", "Exponent of polynomial.", NULL, FROM(0), false },
    { "schedule.decay", FAR_CONFIG_FLOAT, "0", "schedule.unit",
      "Length of the decay of linear, cosine and polynomial; 0: to the end of the training.", NULL, FROM(0), false },
    { "schedule.final", FAR_CONFIG_FLOAT, "0", "", "Learning rate at the end, as a share of optim.lr.", NULL, FROM(0),
      false },
    { "schedule.from_zero", FAR_CONFIG_BOOL, "false", "",
      "The decay counts from step 0 instead of the end of the warm-up (Caffe).", NULL, ANY, false },
    { "schedule.per_epoch", FAR_CONFIG_BOOL, "false", "", "After the warm-up the rate changes only between epochs.",
      NULL, ANY, false },

    /* the machine */
    { "exec.backend", FAR_CONFIG_ENUM, "cpu", "", "Kernels: fast ones, or the plain references in double precision.",
      "cpu|reference", ANY, false },
    { "exec.isa", FAR_CONFIG_ENUM, "auto", "",
      "Instruction set up to which kernels go: a lower one gives the bits of a lesser machine. auto: the best there is.",
      "auto|base|avx2|avx512", ANY, false },
    { "exec.order", FAR_CONFIG_ENUM, "forward", "", "Order in which ready grains run; for tests.",
      "forward|reversed|random", ANY, true },
    { "exec.recompute", FAR_CONFIG_ENUM, "auto", "",
      "What norms, activations and the like made is made once more going back instead of being kept, where that lowers the memory of "
      "a step. auto: what saves most for a few percent of its time; most: all that saves any, for up to a tenth or so; all: "
      "convolutions, too, where that saves any; none: all is kept. The same bits.",
      "auto|most|all|none", ANY, true },
    { "exec.spill", FAR_CONFIG_ENUM, "auto", "",
      "Tensors of a training step that wait on disk between two uses that lie far apart. auto: as many as it takes to keep within memory; "
      "none; most: all that can, for the least memory. The same bits.",
      "auto|none|most", ANY, true },
    { "exec.pack", FAR_CONFIG_ENUM, "auto", "",
      "Whether what waits on disk is packed: images that are mostly empty or have areas of one value take a fraction of the disk. auto: where it "
      "would not go on the disk otherwise; none; always. Nothing is lost, the same bits.",
      "auto|none|always", ANY, true },
    { "exec.bands", FAR_CONFIG_ENUM, "auto", "",
      "Whether a step goes through its images in bands of rows, with only windows of long tensors in memory. auto: where it does not fit "
      "otherwise; none; always. One rank. The same bits.",
      "auto|none|always", ANY, true },
    { "device", FAR_CONFIG_ENUM, "cpu", "", "Where kernels run.", "cpu", ANY, false },
    { "threads", FAR_CONFIG_INT, "auto", "", "Threads of this process; auto: all cores it may use.", "auto", 1, 4096,
      true },
    { "layout", FAR_CONFIG_STRING, "", "",
      "What several ranks (--ranks, mpirun, srun) share out: data=D samples, spatial=S rows, as data=2,spatial=2 for four; empty: samples. One rank does not look at it.",
      NULL, ANY, true },
    { "memory", FAR_CONFIG_SIZE, "auto", "bytes", "Memory the run may use; auto: what the machine has.", "auto", ANY,
      true },
    { "run.dir", FAR_CONFIG_PATH, "", "", "Folder of this run; empty: runs/ with a name from the model and the date.",
      NULL, ANY, true },
    { "run.spill_dir", FAR_CONFIG_PATH, "", "",
      "Folder on the disk where tensors wait (exec.spill), in a file without a name; empty: that of the run, or where the command was started.",
      NULL, ANY, true },
    { "run.samples", FAR_CONFIG_INT, "8", "samples",
      "Held-out samples of which the run's folder keeps pictures, truth and prediction of the last evaluation, if they have no more than 16 Mi pixels; 0: none.",
      NULL, 0, 1000, true },
    { "run.hang_s", FAR_CONFIG_FLOAT, "auto", "seconds",
      "Of several ranks: one that gets no further for so long is named with what it does, and all are ended; 0: never. auto: ten times the longest that any step of work has taken so far, at least a minute, and ten minutes before the first training step.",
      "auto", FROM(0), true },
    { "log.level", FAR_CONFIG_ENUM, "info", "", "How much is said.", "error|warn|info|debug|trace", ANY, true },
};

/* The table as it is used: the rows above and, behind those of model and loss, one for each option that a network of the zoo or a recipe
   has. Their values are kept as YAML: the network's or recipe's own table says what is allowed. */
#define ROWS_MAX 512
#define NAMES_BYTES 16384

static struct {
    far_config_key rows[ROWS_MAX];
    int32_t count;
    char names[NAMES_BYTES];
    size_t names_used;
} table;

static pthread_once_t table_once = PTHREAD_ONCE_INIT;

static bool is_in_table(const char *group, const char *name)
{
    const size_t length = strlen(group);
    for (int32_t i = 0; i < table.count; i++)
        if (strncmp(table.rows[i].name, group, length) == 0 && strcmp(table.rows[i].name + length, name) == 0)
            return true;
    return false;
}

static void add_option(const char *group, const far_config_key *option)
{
    char *name = table.names + table.names_used;
    if (is_in_table(group, option->name)) return;
    const int length = snprintf(name, NAMES_BYTES - table.names_used, "%s%s", group, option->name);
    FAR_ASSERT(table.count < ROWS_MAX && length > 0 && (size_t)length < NAMES_BYTES - table.names_used);
    table.names_used += (size_t)length + 1;
    table.rows[table.count++] = (far_config_key){ name, FAR_CONFIG_NODE, "", "", option->help, NULL, ANY, false };
}

static void add_model_options(void)
{
    for (int32_t m = 0; m < far_model_count(); m++) {
        const far_model *model = far_model_at(m);
        for (int32_t i = 0; i < model->option_count; i++) add_option("model.", &model->options[i]);
    }
}

static void add_loss_options(void)
{
    for (int32_t r = 0; r < far_recipe_count(); r++) {
        const far_recipe *recipe = far_recipe_at(r);
        for (int32_t i = 0; i < recipe->option_count; i++) add_option("loss.", &recipe->options[i]);
    }
}

static const struct {
    const char *group;
    void (*add)(void);
} open_groups[] = { { "model.", add_model_options }, { "loss.", add_loss_options } };

static bool is_of(const char *group, size_t row)
{
    return row < FAR_COUNT(fixed) && strncmp(fixed[row].name, group, strlen(group)) == 0;
}

static void fill_table(void)
{
    for (size_t i = 0; i < FAR_COUNT(fixed); i++) {
        FAR_ASSERT(table.count < ROWS_MAX);
        table.rows[table.count++] = fixed[i];
        for (size_t g = 0; g < FAR_COUNT(open_groups); g++)
            if (is_of(open_groups[g].group, i) && !is_of(open_groups[g].group, i + 1)) open_groups[g].add();
    }
}

static const far_config_key *rows(void)
{
    (void)pthread_once(&table_once, fill_table);
    return table.rows;
}

int32_t far_config_key_count(void)
{
    (void)rows();
    return table.count;
}

const far_config_key *far_config_key_at(int32_t idx)
{
    FAR_ASSERT(idx >= 0 && idx < far_config_key_count());
    return &rows()[idx];
}

const far_config_key *far_config_key_find(const char *name)
{
    const far_config_key *keys = rows();
    for (int32_t i = 0; i < table.count; i++)
        if (strcmp(keys[i].name, name) == 0) return &keys[i];
    return NULL;
}

static const char *last_part(const char *name)
{
    const char *dot = strrchr(name, '.');
    return dot == NULL ? name : dot + 1;
}

/* The key whose sentence has the last part of `name` ("learning_rate" as "learning rate"), first in the same group. NULL: none. */
static const char *nearest_by_meaning(const char *name)
{
    char words[64];
    const char *last = last_part(name), *found = NULL;
    const far_config_key *keys = rows();
    if (strlen(last) < 4 || strlen(last) >= sizeof words) return NULL;
    (void)snprintf(words, sizeof words, "%s", last);
    for (char *c = words; *c != '\0'; c++)
        if (*c == '_') *c = ' ';
    for (int32_t i = 0; i < table.count; i++) {
        const bool is_same_group = strncmp(keys[i].name, name, (size_t)(last - name)) == 0;
        if (strcasestr(keys[i].help, words) == NULL) continue;
        if (is_same_group) return keys[i].name;
        if (found == NULL) found = keys[i].name;
    }
    return found;
}

const char *far_config_key_nearest(const char *name)
{
    const far_config_key *keys = rows();
    const char *nearest = keys[0].name;
    int least = -1;
    for (int32_t i = 0; i < table.count; i++) {
        /* also right but for its group: "lr" for "optim.lr" */
        const int whole = fari_edit_distance(name, keys[i].name);
        const int part = 2 * fari_edit_distance(last_part(name), last_part(keys[i].name)) + 2;
        const int distance = whole < part ? whole : part;
        if (least >= 0 && distance >= least) continue;
        least = distance;
        nearest = keys[i].name;
    }
    /* no slip of the pen: perhaps another word for it */
    const char *other = 3 * least > (int)strlen(name) ? nearest_by_meaning(name) : NULL;
    return other != NULL ? other : nearest;
}
