/**
 * @file farandole/run.h
 * A run: an experiment's configuration carried out. Data, network, plan, training, evaluation, checkpoints, metrics.
 * Life cycle  far_run_open, then far_run_plan_text, far_run_train or far_run_evaluate, then far_run_close.
 * Threads     one run belongs to one thread at a time; it starts `threads` workers of its own.
 * Collective  with far_run_opts.joined: far_run_open, far_run_train, far_run_evaluate, far_run_predict and far_run_verify, on all ranks with
 *             the same configuration. Without: no call.
 * Files       DIR/config.yaml, plan.json, metrics.jsonl, checkpoints/; see docs/architecture.md.
 */
#ifndef FAR_RUN_H
#define FAR_RUN_H
#include <farandole/config.h>
#include <farandole/graph.h>
#include <farandole/ranks.h>
#include <farandole/status.h>
#include <farandole/tensor.h>
#ifdef __cplusplus
extern "C" {
#endif

typedef struct far_run far_run; /**< opaque */

typedef enum far_run_purpose {
    FAR_RUN_TRAIN = 0,
    FAR_RUN_EVALUATE, /**< only the evaluation graph; needs weights */
    FAR_RUN_PLAN,     /**< no data is read, nothing is allocated for it, nothing runs */
    FAR_RUN_BENCH,    /**< as FAR_RUN_TRAIN without a folder: nothing is written */
    FAR_RUN_PREDICT,  /**< only the network; needs weights, but no labels */
    FAR_RUN_VERIFY    /**< training on several ranks beside training on one, compared; without a folder */
} far_run_purpose;

/** What a run tells while it goes on. Texts are borrowed during the call. */
typedef struct far_progress {
    const char *phase;        /**< "train", "eval", "checkpoint" */
    int64_t step, step_total; /**< steps (or batches, in eval) done and to do */
    int64_t epoch;
    double loss;          /**< of the last step; NaN when there is none */
    double samples_per_s; /**< over the last seconds */
    double eta_s;         /**< seconds to go; negative when not known */
    const char *message;  /**< a line for people, or NULL */
} far_progress;
typedef void (*far_progress_fn)(void *context, const far_progress *progress);

/** Zero in a field means its default. */
typedef struct far_run_opts {
    far_run_purpose purpose;
    const char *resume;       /**< folder of a run to go on with; its config.yaml is the caller's to load */
    const char *weights;      /**< a checkpoint folder or safetensors file to start from, or NULL */
    far_progress_fn progress; /**< may be NULL */
    void *progress_context;
    bool (*should_stop)(
        void *context); /**< asked between steps: true checkpoints and ends with FAR_E_STOPPED; may be NULL */
    void *stop_context;
    bool
        accept_other_bits; /**< resume although instruction set or libraries differ from those of the checkpoint: a warning */
    int32_t ranks; /**< FAR_RUN_PLAN: the plan is for so many processes; 0: as many as the layout says, or one */
    /**
     * FAR_RUN_PREDICT: a folder or archive of pictures, a .npy or IDX file, in place of the configured data, without labels; NULL: the
     * test part of the data, without one the samples held back, without these all.
     */
    const char *images;
    const char *layout; /**< what is dealt out over ranks, as "data=2,spatial=2"; NULL: as configured (layout) */
    /**
     * The processes that work together; borrowed. NULL: this one alone. Rank 0 writes the run's folder.
     */
    far_ranks *joined;
    bool
        has_flip; /**< FAR_RUN_TRAIN on several ranks, to see that the comparison of ranks finds it: a bit is made wrong */
    int32_t flip_rank; /**< on that rank */
    int64_t flip_step; /**< after that step, in a parameter, a running statistic or the optimizer's state */
    /**
     * FAR_RUN_TRAIN, FAR_RUN_BENCH: a file to write where the time of some steps goes, of all ranks, as a Chrome trace (chrome://tracing,
     * ui.perfetto.dev); NULL: none. Borrowed.
     */
    const char *timeline;
} far_run_opts;

/**
 * Reads the data, builds the network, makes the plan, checks that it fits and allocates it.
 * @param config   borrowed during the life of the run.
 * @param run_out  receives a run owned by the caller; untouched on failure.
 * @return FAR_OK, FAR_E_CONFIG, FAR_E_SHAPE, FAR_E_IO, FAR_E_FORMAT (bad data), FAR_E_NOFIT, FAR_E_NOMEM, FAR_E_NOTFOUND.
 */
FAR_API far_status far_run_open(const far_config *config, const far_run_opts *opts, far_run **run_out);
/** Frees everything. NULL is allowed. */
FAR_API void far_run_close(far_run *run);

/** Trains to the configured end, or until train.patience is used up. @return FAR_OK, FAR_E_STOPPED (resumable), FAR_E_NONFINITE (loss is not a number), FAR_E_IO. */
FAR_API far_status far_run_train(far_run *run);

/** One figure of an evaluation. */
typedef struct far_score {
    char name[96]; /**< "accuracy", "iou/cosmic" */
    double value;
} far_score;
/**
 * Evaluates on the test part of the data. Collective: each rank computes its share of every batch; scores are the same on all.
 * @param scores_out  borrowed until the next evaluation or the end of the run.
 */
FAR_API far_status far_run_evaluate(far_run *run, const far_score **scores_out, int64_t *score_count_out);

/** What the network gives for one sample, beside what went in. Borrowed during the call. */
typedef struct far_prediction {
    int64_t sample;         /**< its number in the part of the data that is evaluated */
    int32_t map, map_count; /**< which of the network's outputs, for networks with several (image planes) */
    far_shape
        shape; /**< without the batch: [classes], or [classes, H, W]; where samples are padded, the sample's own size */
    const float *elems;              /**< row-major: logits, or what else the network's last layer gives */
    const char *name;                /**< what the sample is called, NULL where samples have no names */
    int64_t height, width, channels; /**< of the image; of volumes all slices one below the other */
    int64_t depth;                   /**< of volumes: slices; 1: an image */
    const float *image;              /**< [height, width, channels], as the network gets it */
    const float *mean, *std;         /**< [channels]: it was normalised by them; NULL: not */
    bool is_byte;                    /**< before that its values were in [0, 1], from bytes */
    const int32_t
        *labels; /**< the truth: one, or [height, width]; FAR_LABEL_IGNORE where there is none; NULL: none at all */
    /**
     * far_run_predict_rows: which rows of the image these are; elems are [classes, rows, W], image [rows, width, channels], labels [rows, width].
     * All of them, 0 and height, where images fit into memory.
     */
    int64_t row, rows;
} far_prediction;
/** Anything but FAR_OK ends the prediction and is what far_run_predict returns. */
typedef far_status (*far_prediction_fn)(void *context, const far_prediction *prediction);
/**
 * Runs the samples that far_run_evaluate would score through the network and hands the results over one sample at a time: in the order
 * of the data; where samples are taken in sizes of their own, one size after the other, and within a size in the order of the data.
 * Collective: results come to rank 0, a sample at a time, and `fn` is called there only.
 * @return as far_run_evaluate, or what `fn` returned.
 */
FAR_API far_status far_run_predict(far_run *run, far_prediction_fn fn, void *context);
/**
 * As far_run_predict, also of images that do not fit into memory (far_run_predict then gives FAR_E_UNSUPPORTED): what the network gives for
 * each pixel comes in bands of rows, all of one map from top to bottom before the next map. It waits on disk (run.spill_dir) while the step runs.
 */
FAR_API far_status far_run_predict_rows(far_run *run, far_prediction_fn fn, void *context);

/**
 * The plan for people (or as JSON): memory by kind, instructions, predicted step time; of several ranks what each does, takes and
 * sends. Free with far_config_text_free.
 * @return FAR_OK, FAR_E_NOFIT (a rank needs more than the configured memory), FAR_E_NOMEM.
 */
FAR_API far_status far_run_plan_text(far_run *run, bool is_json, char **text_out);
/** The whole plan of one rank as JSON: tensors, buffers, instructions, messages. Free with far_config_text_free. */
FAR_API far_status far_run_plan_rank_json(far_run *run, int32_t rank, char **text_out);
/** Measures the kernels of the training plan on this machine and keeps their speeds for predictions. Opened for FAR_RUN_PLAN too. */
FAR_API far_status far_run_calibrate(far_run *run);
/** Zero in a field means its default. */
typedef struct far_bench_opts {
    int64_t steps;  /**< steps that are timed, after a warm-up; 0: as many as take `seconds`, at least 5 */
    double seconds; /**< default 10 */
} far_bench_opts;
/**
 * Times training steps of a run opened for FAR_RUN_BENCH, and the machine itself: samples a second, share of the machine's peak, time by
 * kind of operation, memory, and the three things that cost most with what could be done about each.
 * @param opts      NULL for defaults.
 * @param text_out  for people, or JSON; free with far_config_text_free.
 * @return FAR_OK, FAR_E_STOPPED (far_run_opts.should_stop), as far_run_train.
 */
FAR_API far_status far_run_bench(far_run *run, const far_bench_opts *opts, bool is_json, char **text_out);
/**
 * Trains so many steps of a run opened for FAR_RUN_BENCH and times each, with the wait for its batch. Nothing is done before or between
 * but what a training does: the first steps of a run warm it up.
 * @param seconds_out  [steps], of each step. Those before a failure are written.
 * @return FAR_OK, FAR_E_STOPPED, as far_run_train.
 */
FAR_API far_status far_run_time_steps(far_run *run, int64_t steps, double *seconds_out);
/** Zero in a field means its default. */
typedef struct far_verify_opts {
    int64_t steps;     /**< default 3 */
    bool has_flip;     /**< to see that the check finds it: a bit of one result is wrong */
    int32_t flip_rank; /**< on that rank */
} far_verify_opts;
/**
 * Trains some steps of a run opened for FAR_RUN_VERIFY on its ranks, and on each rank the same steps once more as one rank alone would. Holds
 * what each rank computed, grain by grain, and parameters and optimizer state against that, bit by bit. Collective.
 * @param opts          NULL for defaults.
 * @param is_equal_out  the same on all ranks.
 * @param text_out      for people: what was compared, or the first operation that gives other bits. Free with far_config_text_free.
 * @return FAR_OK, also where bits differ; FAR_E_NOFIT: both together do not fit; as far_run_train.
 */
FAR_API far_status far_run_verify(far_run *run, const far_verify_opts *opts, bool *is_equal_out, char **text_out);
/** Bytes the process will hold at its peak, as planned; the constant for code and libraries not counted. */
FAR_API int64_t far_run_planned_bytes(const far_run *run);
/** SHA-256 over parameters and running statistics as they are now, 64 hex digits and a zero. */
FAR_API void far_run_digest(const far_run *run, char hex_out[65]);
/** @return the folder of the run. Borrowed. */
FAR_API const char *far_run_folder(const far_run *run);
FAR_API int64_t far_run_step(const far_run *run);
/** @return whether the training ended before its length because the score got no better (train.patience). */
FAR_API bool far_run_is_early(const far_run *run);

#ifdef __cplusplus
}
#endif
#endif /* FAR_RUN_H */
