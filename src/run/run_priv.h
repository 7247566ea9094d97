/* The inside of a run, shared by the files run_*.c. */
#ifndef FARI_RUN_RUN_PRIV_H
#define FARI_RUN_RUN_PRIV_H
#include "base/status.h"
#include "base/text.h"
#include "comm/comm.h"
#include "plan/part.h"
#include "plan/plan.h"
#include "run/calibrate.h"
#include "run/checkpoint.h"
#include "run/executor.h"
#include "run/metrics_log.h"
#include "run/profile.h"
#include "run/run_saver.h"
#include "run/store.h"
#include "run/timeline.h"
#include <farandole/data.h>
#include <farandole/model.h>
#include <farandole/optim.h>
#include <farandole/recipe.h>
#include <farandole/run.h>
#include <farandole/schedule.h>

#define RUN_SCORES_MAX 256
#define RUN_GROUPS_MAX 64 /* of parameters */

/* The training and the test samples, and which of the training samples are held back for choosing. */
typedef struct run_data {
    far_dataset *train, *test;
    far_dataset_info info;             /* of the training set as it is */
    far_frame train_frame, eval_frame; /* how samples come to the size of a batch */
    int64_t *kept, *held;              /* sample numbers of the training set; one block, owned as kept */
    int64_t kept_count, held_count;
    float mean[16], std[16];
    bool has_moments;
    bool has_rows; /* run_rows_check: they can be made one by one */
    int64_t bytes; /* held by both sets */
} run_data;

/* A graph with its plan and what runs it. */
typedef struct run_side {
    far_graph *graph;
    fari_plan *plan;
    fari_executor *exec;
    far_model_result model; /* what the network gives; of the evaluation side these are outputs */
    far_value image, loss;
    int64_t batch, height, width;
    int64_t own_first, own_count; /* samples of a batch that this rank reads: all, or what its part of the plan wants */
    int64_t row_first, row_count; /* and their rows; of volumes slices */
    fari_feed_box boxes[2];       /* how they are fed */
    fari_spill_config spill;      /* of the plan: what waits on disk */
    struct run_rows *rows;        /* makes its inputs row by row; NULL: batches are fed */
    struct run_taken *taken; /* takes what the network gives piece by piece; NULL: it is kept to the end of a step */
} run_side;

/* What ranks tell each other while a step is computed. */
typedef struct run_word {
    int64_t step, skipped, wants_stop;
    int64_t is_written; /* the rank's share of the checkpoint under way */
} run_word;

#define RUN_RECENT_STEPS 128

/* Seconds of this life of the run. */
typedef struct run_clocks {
    double step_s, data_s, eval_s, save_s;
    double exposed_s; /* of step_s and between steps: waiting for other ranks with nothing to compute */
    double disk_s;    /* of step_s: waiting for tensors on disk with nothing to compute */
    int64_t steps;
    double recent_s[RUN_RECENT_STEPS]; /* of the last steps, a ring */
} run_clocks;

/* Samples that are evaluated together. */
typedef struct run_part {
    far_dataset *set;
    const int64_t *ids; /* NULL: all */
    int64_t count;      /* of ids */
} run_part;

/* A size in which whole samples are evaluated. */
typedef struct run_extent {
    int64_t height, width; /* as the network gets it */
    int64_t most;          /* samples of it in one part of the data */
    int64_t batch;
} run_extent;

/* Evaluation in the samples' own sizes: run_native.c. */
typedef struct run_native {
    bool is_on;
    int64_t multiple;    /* sides are padded to multiples of it */
    run_extent *extents; /* ascending */
    int64_t count;
    run_side other; /* the size at work, where it is not the largest, which has run->eval */
} run_native;

/* Goes over batches: `begin` before the first one of each side, `batch` after each step. */
typedef struct run_visitor {
    far_status (*begin)(void *context, const run_side *side);
    far_status (*batch)(void *context, const run_side *side, const far_batch *batch, int64_t done, int64_t total);
    void *context;
} run_visitor;

/* run_predict.c: what the network gives for single samples of a batch. */
typedef struct run_results {
    const far_run *run;
    const run_side *side;
    far_dataset *set;
    float *elems, *image; /* image: of padded samples, without the padding */
    int32_t *labels;      /* of one plane */
    float *fed_image;     /* where inputs are made row by row: of one sample, whole */
    int32_t *fed_labels;
    struct run_collect *collect; /* of several ranks; else NULL */
} run_results;

/* run_samples.c: pictures of some samples of an evaluation. */
typedef struct run_samples {
    int64_t wanted, total, position;
    bool is_on, has_failed;
    double written_s; /* clock; 0: not yet in this life of the run */
    far_dataset *set;
    run_results results;
    fari_text index; /* index.json as it grows */
    int64_t empty_bytes;
} run_samples;

struct far_run {
    const far_config *config; /* the caller's, or own_config */
    far_config *own_config;   /* a copy with what the data decided; NULL: none */
    far_run_opts opts;
    char *folder; /* of the run; NULL while only planning */
    run_data data;
    far_options *model_opts, *recipe_opts;
    far_optim_opts optim;
    far_param_group groups[RUN_GROUPS_MAX]; /* what optim.groups points to; their patterns are owned */
    int64_t frozen_elems;
    far_schedule schedule;
    fari_backend *backend;
    run_side train, eval; /* eval: the network as used after training */
    run_native native;
    fari_store *store;
    struct fari_spill_file *spill_file; /* of training and evaluation; NULL: nothing waits on disk */
    void *arena;                        /* one block, of the larger of the two sides */
    int64_t arena_bytes, store_bytes;
    int64_t arena_others;     /* of arena_bytes what evaluations in other sizes take */
    int64_t heap_before;      /* planning */
    bool is_recomputing_most; /* whatever exec.recompute says: else it would not fit */
    int32_t threads;
    fari_mesh mesh;      /* of the ranks that are planned for, or train */
    fari_comm *comm;     /* of the ranks that train together; NULL: this process alone */
    run_word *words;     /* [world_size + 1]: of all ranks, then this one's */
    bool is_stop_agreed; /* by all ranks */

    int64_t label_planes;  /* label maps the network wants for a sample */
    int32_t *plane_labels; /* [batch, H, W, planes], or NULL where one is enough */
    int64_t plane_labels_bytes;

    far_loader *loader;
    int64_t loader_bytes, eval_loader_bytes;
    int64_t graph_bytes;           /* heap that graphs, plans and kernels took */
    int64_t other_bytes;           /* the same of native.other */
    int64_t skipped, eval_skipped; /* samples left out: of training, in this life of the run; of the last evaluation */
    int64_t steps_total, steps_per_epoch;
    int64_t step, epoch, batch_idx; /* where training stands: steps done; the next batch */
    run_saver *saver;               /* NULL where nothing is written */
    int64_t saved_step;             /* of the newest checkpoint, -1: none yet; it may be under way */
    int64_t compared_step;          /* after which all ranks held the same parameters */
    double best;                    /* NaN before the first evaluation */
    double patience_metric;         /* of the last evaluation that was better by train.min_delta; NaN before */
    int64_t patience_used;          /* evaluations since then */
    bool is_early;                  /* training ended because of it */
    double last_lr;
    fari_metrics_log *metrics;
    double started_s; /* clock at the start of training */
    run_clocks clocks;
    run_samples samples;
    bool is_profiling;       /* FAR_RUN_BENCH: the next steps are */
    fari_profile *profile;   /* of training; NULL where nothing trains */
    fari_timeline *timeline; /* until it is written; NULL: none wanted */

    far_score scores[RUN_SCORES_MAX];
    int64_t score_count;
    char metric[96]; /* the score that makes a checkpoint the best */
    bool is_less_better;
    char plan_grains[65];
};

static inline bool run_is_training(const far_run *run) /* or plans to */
{
    return run->opts.purpose == FAR_RUN_TRAIN || run->opts.purpose == FAR_RUN_PLAN ||
           run->opts.purpose == FAR_RUN_BENCH || run->opts.purpose == FAR_RUN_VERIFY;
}

/* Each in its own file. */
far_shape run_image_shape(const far_run *run, const run_side *side); /* run_volume.c: of the network's input */
/* Whether a result [N, K, spatial..] has the images' extents. */
bool run_is_pixelwise(const far_run *run, const run_side *side, const far_shape *shape);
far_status run_volume_check(const far_run *run); /* FAR_E_CONFIG: an augmentation that volumes do not have */
far_status run_ranks_layout(far_run *run);       /* run_ranks.c: what the options say of ranks */
/* run_shared.c: what the ranks of a run tell each other. Where one process runs alone these do nothing. */
bool run_is_follower(const far_run *run);   /* a rank but the first: it does not write */
int32_t run_core_share(const far_run *run); /* ranks that share this one's cores and memory */
/* Collective, of a run that has a communicator: what each rank has in `own`. all_out [world_size][bytes]: free it. */
far_status run_shared_gather(const far_run *run, const void *own, size_t bytes, void **all_out);
far_status run_shared_compare(const far_run *run);              /* FAR_E_CONFIG names what ranks differ in */
far_status run_shared_weights(const far_run *run);              /* FAR_E_PEER: they begin from other weights */
far_status run_shared_folder(far_run *run, bool *is_used_io);   /* the first rank's, to all */
far_status run_shared_flag(const far_run *run, bool *is_on_io); /* collective: the first rank's, to all */
/* Collective: sums over all ranks, exact where these are whole numbers or multiples of one quantum. */
far_status run_shared_sum(const far_run *run, double *sums_io, int64_t count);
/* Collective: sample numbers of a batch, -1 where any rank could not read a sample; ids_io [batch], of own samples as the loader has them. */
far_status run_shared_unread(const far_run *run, int64_t *ids_io, int64_t batch);
far_status run_shared_step_begin(far_run *run, int64_t skipped);
far_status run_shared_step_end(far_run *run);
bool run_wants_stop(far_run *run);
/* run_replicas.c. Collective: FAR_E_IO names rank and tensor where not all ranks hold the same parameters and optimizer state. */
far_status run_replicas_compare(far_run *run);
void run_replicas_flip(far_run *run); /* makes a bit wrong where far_run_opts ask for it */
far_status run_ranks_text(const far_run *run, bool is_json, fari_text *text); /* the plans of all ranks */
far_status run_groups_read(far_run *run); /* run_groups.c: model.freeze and optim.groups; after the other options */
void run_groups_free(far_run *run);
far_status run_groups_fix_norms(const far_run *run, far_graph *graph); /* before the network is built */
far_status run_groups_apply(far_run *run,
                            far_graph *graph); /* before gradients: FAR_E_CONFIG names what matches nothing */
/* run_data_lartpc.c: files of liquid-argon images */
bool run_data_is_lartpc(const far_config *config);
far_status run_data_open_lartpc(const far_config *config, run_data *data);
/* run_data_landmask.c */
bool run_data_is_landmask(const far_config *config);
far_status run_data_open_landmask(const far_config *config, run_data *data);
/* run_data_arrays.c */
bool run_data_is_arrays(const far_config *config);
far_status run_data_open_arrays(const far_config *config, run_data *data);
bool run_data_is_pictures(const far_config *config); /* run_data_pictures.c */
far_status run_data_open_pictures(const far_config *config, run_data *data);
far_status run_data_open(far_run *run); /* run_data.c */
void run_data_close(run_data *data);
far_status run_loader_need(far_dataset *set, const far_loader_opts *opts, int64_t *bytes_out);
far_on_error run_on_error(const far_run *run);
far_status run_sample_failed(const far_run *run, far_status status); /* adds to the error what can be done about it */
int32_t run_loader_threads(const far_run *run);
far_status run_class_weights(far_run *run); /* run_class_weights.c: numbers for loss.class_weights: auto */
far_status run_frames_choose(far_run *run); /* run_frame.c */
void run_frame_size(const far_run *run, const far_frame *frame, int64_t *height_out, int64_t *width_out);
far_status run_data_open_images(const far_config *config, const char *path, run_data *data); /* run_data_images.c */
bool run_wants_maps(const far_run *run); /* classes of pixels, by the labels, or where there are none by the recipe */
far_status run_config_resolved(const far_run *run, char **yaml_out); /* run_resolve.c; free with far_config_text_free */
far_augment run_augment(const far_run *run, bool is_training);
far_status run_plan_sides(far_run *run); /* run_build.c: graphs and plans of both sides, and what their kernels need */
far_status run_build(far_run *run);      /* and memory */
void run_unbuild(far_run *run);
far_status run_graph_build(far_run *run, bool is_training, run_side *side); /* of the side's batch, height and width */
far_loader_opts run_train_loader_opts(const far_run *run, const run_side *side);
fari_exec_opts run_exec_opts(const far_run *run);
bool run_native_wanted(const far_run *run);  /* run_native.c */
far_status run_native_plan(far_run *run);    /* which sizes there are; the largest becomes that of run->eval */
far_status run_native_measure(far_run *run); /* arena_others, with run->eval.spill */
void run_native_close(run_native *native);
void run_native_report(const far_run *run, fari_text *text);
far_frame run_native_frame(const run_extent *extent);
/* What runs samples of that size, borrowed until the next call. */
far_status run_native_side(far_run *run, const run_extent *extent, run_side **side_out);
/* A part's samples by their size, in order: those of extent e are ids_out[first_out[e]] up to first_out[e + 1]. */
far_status run_native_group(const far_run *run, const run_part *part, int64_t *ids_out, int64_t *first_out);
far_status run_metric_choose(far_run *run);   /* run_metric.c: the score that makes a checkpoint the best */
bool run_metric_take(far_run *run);           /* after an evaluation: whether it is the best so far */
bool run_patience_ends(far_run *run);         /* whether train.patience is used up; says so */
int64_t run_heap_bytes(void);                 /* run_memory.c: of the process, in use */
void run_heap_trim(void);                     /* gives free heap back to the system */
int64_t run_memory_limit(const far_run *run); /* run_fit.c: bytes this process may take */
int64_t run_bytes_in_all(const far_run *run); /* that it will take, code and stacks as well */
void run_sum_sides(far_run *run);             /* run_build.c: what both sides take, once they are planned */
/* run_spill.c: where training or evaluation does not fit, as much of it waits on disk as makes it fit, if that can be; exec.spill. */
far_status run_spill_fit(far_run *run);
/* Takes the room on disk, if plans want any: one file for training and evaluation, which never run at once. */
far_status run_spill_open(far_run *run);
far_status run_spill_open_side(const far_run *run, const run_side *side); /* a file of its own */
far_status run_spill_share(const far_run *run, const run_side *side);     /* the run's where that is large enough */
far_status run_check_fit(const far_run *run); /* run_fit.c: FAR_E_NOFIT where the plan needs more than there is */
/* run_save.c. Collective, but for saver_plan. run_save begins a checkpoint, each step brings it on, run_save_finish waits for it. */
far_status run_saver_plan(far_run *run);
far_status run_save(far_run *run, bool is_best);
far_status run_save_go_on(far_run *run);
far_status run_save_finish(far_run *run);
far_status run_restore(far_run *run, const char *which);
far_status run_explain_nonfinite(far_run *run, const fari_step *step); /* run_nonfinite.c: words FAR_E_NONFINITE */
far_status run_check_finite(const far_run *run);                       /* what a checkpoint would keep */
far_status run_bits_describe(const far_run *run, fari_ckpt_state *state_io); /* run_bits.c: on what bits depend */
far_status run_bits_check(const far_run *run, const fari_ckpt_state *state, const char *path);
far_status run_load_weights(far_run *run,
                            const char *path);            /* run_weights.c: a safetensors file, a checkpoint or a run */
far_status run_score(far_run *run, const run_part *part); /* run_eval.c */
far_status run_part_of(const far_run *run, run_part *part_out); /* the test part, without one the samples held back */
far_status run_each_batch(far_run *run, const run_part *part, const run_visitor *visitor);
far_status run_eval_loader_bytes(const far_run *run, const run_side *largest, int64_t *bytes_out);
/* run_predict.c. Buffers for samples of one side. Collective. */
far_status run_results_open(const far_run *run, const run_side *side, far_dataset *set, run_results *results_out);
void run_results_close(run_results *results);
int64_t run_results_bytes(const far_run *run);
/* An evaluation of `total` samples: begin, each batch that went through the graph, end. Does nothing where no pictures are due. */
far_status run_samples_begin(far_run *run, const run_part *part, int64_t total);
far_status run_samples_side(far_run *run, const run_side *side); /* before the first batch of each side */
far_status run_samples_take(far_run *run, const far_batch *batch);
far_status run_samples_end(far_run *run, bool is_complete);
/* Held-out samples of which there will be pictures: what run.samples says, none of very large images. */
int64_t run_samples_wanted(const far_run *run, const run_side *side);
int64_t run_samples_bytes(const far_run *run);
/* Sample `idx` of a batch that went through the evaluation graph: `fn` for each of the network's outputs. Collective; `fn` is called on
   the first rank. */
far_status run_results_each(const run_results *results, const far_batch *batch, int64_t idx, far_prediction_fn fn,
                            void *context);
/* run_side.c: a graph planned for this rank, or as if it were the only one. */
far_status run_side_plan(const far_run *run, run_side *side);
far_status run_side_plan_alone(const far_run *run, run_side *side);
far_status run_side_plan_rank(const far_run *run, run_side *side, int32_t rank);     /* for any of the ranks */
far_status run_side_start(const far_run *run, run_side *side, fari_exec_opts *opts); /* its executor */
void run_side_close(run_side *side);
int64_t run_side_rows(const run_side *side);                          /* of an image; of a volume slices */
void run_side_loader(const run_side *side, far_loader_opts *opts_io); /* what of a batch is read for it */
/* The rank that answers for the input's rows of a sample of a batch, from `row` up to *row_end_out: it has read them. */
int32_t run_side_holder(const run_side *side, int64_t sample, int64_t row, int64_t *row_end_out);
int64_t run_plane_labels_bytes(const far_run *run, const run_side *side);
/* The arrays a step is fed with: image and label. */
void run_feed(far_run *run, const run_side *side, const far_batch *batch, void *feed_out[2]);
/* run_rows.c: inputs made row by row when a step wants them, where data.feed says so or the side's plan goes in bands. */
typedef struct run_rows run_rows;
bool run_feeds_rows(const far_run *run, const run_side *side);
far_status run_rows_check(const far_run *run); /* FAR_E_CONFIG says which key stands against it */
/* Of a side's inputs over a data set: a loader of batches, or one of samples' numbers and side->rows. */
far_status run_input_bytes(const far_run *run, const run_side *side, far_dataset *set, const far_loader_opts *opts,
                           int64_t *bytes_out);
far_status run_input_open(const far_run *run, run_side *side, far_dataset *set, const far_loader_opts *opts,
                          far_loader **loader_out);
void run_rows_close(run_side *side); /* what run_input_open made beside the loader, if anything */
/* Sets what a step is fed with and its samples; the batch and feed_out stay until the step is over. */
void run_input_feed(far_run *run, const run_side *side, const far_batch *batch, void *feed_out[2], fari_step *step_io);
/* Rows of sample `idx` of a batch, where side->rows is there; of the graph's input: of volumes slices. */
far_status run_rows_image(const run_side *side, const far_batch *batch, int64_t idx, int64_t row, int64_t count,
                          float *image_out);
far_status run_rows_labels(const run_side *side, const far_batch *batch, int64_t idx, int64_t row, int64_t count,
                           int32_t *labels_out);
/* run_build.c: loader_bytes and eval_loader_bytes, once sides are planned. */
far_status run_inputs_measure(far_run *run);
/* run_taken.c: of sides whose plans go in bands, what the network gives for each pixel is taken while a step runs, for predictions. */
typedef struct run_taken run_taken;
void run_taken_mark(const far_run *run, run_side *side,
                    bool is_banded); /* before it is planned: which outputs are taken */
bool run_is_taken(const far_run *run, const run_side *side);
int64_t run_taken_bytes(const far_run *run, const run_side *side);
far_status run_taken_open(const far_run *run, run_side *side); /* side->taken */
void run_taken_close(run_side *side);
void run_taken_step(const run_side *side, fari_step *step_io);
/* Sample `idx` of a batch that went through the graph: `fn` for each band of rows of each of the network's outputs. */
far_status run_taken_each(const run_side *side, far_dataset *set, const far_batch *batch, int64_t idx,
                          far_prediction_fn fn, void *context);
/* run_predict.c: what is known of a sample's predictions before any is there: all but row, rows, map, shape, elems, image and labels. */
far_status run_prediction_begin(const far_run *run, const run_side *side, far_dataset *set, int64_t sample,
                                far_prediction *p_out);
const char *run_spill_folder(const far_run *run);    /* run_spill.c: where tensors wait */
far_status run_step(far_run *run, double *loss_out); /* run_train.c: one step of training */
void run_advise(const far_run *run);                 /* run_advice.c: warnings at the start of a training */
bool run_timeline_is_due(const far_run *run);        /* run_timeline.c: whether the next step is traced */
far_status run_timeline_flush(far_run *run); /* after a step: collective; writes the file once there is enough */
bool run_is_profiled(const far_run *run);    /* whether the next step is */
void run_clock_step(far_run *run, double data_s, double step_s);
double run_median_step_s(const far_run *run);
/* run_facts.c: run.json and, once there is one, profile.json. ending: "running", "done", "stopped" or "failed". */
far_status run_facts_write(const far_run *run, const char *ending);
far_status run_predict_step(const far_run *run, fari_prediction *prediction_out); /* run.c */
void run_report(const far_run *run, const char *phase, int64_t at, int64_t total, double loss, double rate,
                const char *message);
#endif
