/**
 * @file farandole/data.h
 * Data sets of images with labels, and loaders that make batches of them ahead of time on threads of their own.
 * Life cycle  far_dataset_open_* (or far_dataset_create for a reader of one's own), then loaders over it, then far_dataset_close after the loaders.
 * Threads     a data set may be read by any number of threads at once; one loader belongs to one thread at a time.
 * Collective  no call communicates; ranks stay consistent through equal seeds.
 */
#ifndef FAR_DATA_H
#define FAR_DATA_H
#include <farandole/status.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif

/* --- data sets --- */

typedef struct far_dataset far_dataset; /**< opaque */

typedef enum far_label_kind {
    FAR_LABEL_NONE = 0,
    FAR_LABEL_CLASS, /**< one class index a sample */
    FAR_LABEL_MAP    /**< one class index a pixel, or one a pixel and label plane */
} far_label_kind;

/** The label that counts for nothing: padding, and samples that fill up the last batch of an evaluation. */
#define FAR_LABEL_IGNORE (-1)

typedef struct far_dataset_info {
    int64_t sample_count;
    int64_t height, width; /**< pixels; where sizes vary, the largest height and the largest width */
    int64_t channels;
    far_label_kind label;
    int32_t class_count;  /**< labels are in [0, class_count), or FAR_LABEL_IGNORE */
    bool is_integer;      /**< pixels are stored as 0..255; reading gives value / 255 */
    int64_t label_planes; /**< label maps a sample, [H, W, label_planes]; 0 means 1: [H, W]. Other labels: 0 */
    bool varies;          /**< samples have sizes of their own, see far_dataset_ops.extent */
    /**
     * Volumes: slices of a sample, one below the other: `height` is depth times a slice's rows, and images are [D, H, W, C], label maps
     * [D, H, W], in memory the same as [D H, W, C]. 0 means 1: images.
     */
    int64_t depth;
} far_dataset_info;

/** A part of a sample, in pixels from its top left, and the size it is wanted in. */
typedef struct far_region {
    int64_t y, x, height, width;   /**< inside the sample, at least 1 x 1 */
    int64_t out_height, out_width; /**< at least 1 x 1; equal to height, width: no resizing */
} far_region;

/** A data set of one's own. Calls come from several threads at once. New fields are only ever appended: use designated initialisers. */
typedef struct far_dataset_ops {
    /**
     * Reads sample `idx`. [H, W] are the sample's own extents.
     * @param image_out  [H, W, C] f32, channels last.
     * @param label_out  one i32, or [H, W, label_planes] i32; NULL when there are no labels.
     */
    far_status (*read)(void *context, int64_t idx, float *image_out, int32_t *label_out);
    const char *(*class_name)(const void *context, int32_t class_idx); /**< may be NULL; NULL: unknown */
    int64_t (*bytes)(const void *context);                             /**< memory held; may be NULL: 0 */
    void (*close)(void *context);                                      /**< may be NULL */
    /**
     * The size of sample `idx`, without decoding it: at most the info's height and width. Needed when sizes vary, else may be NULL.
     * Asked of every sample before the first is read, so it should come from memory.
     */
    far_status (*extent)(void *context, int64_t idx, int64_t *height_out, int64_t *width_out);
    /**
     * Reads a region, resized: images antialiased bilinear (as Pillow with `box`: pixels around the region count where the filter
     * reaches over its edge), label maps nearest. For readers that can decode less than the whole sample; may be NULL: the sample is
     * read whole and then cut and resized.
     * @param region     inside the sample; checked before.
     * @param image_out  [out_height, out_width, C] f32.
     * @param label_out  one i32, or [out_height, out_width, label_planes] i32; NULL when there are no labels.
     */
    far_status (*read_region)(void *context, int64_t idx, const far_region *region, float *image_out,
                              int32_t *label_out);
    /**
     * What the sample is called (a file's path inside the set, an image id): unique, and the same whatever else the set holds. Borrowed
     * while the set is open. Samples are held back by a hash of it. May be NULL: samples are known by their numbers.
     */
    const char *(*sample_name)(const void *context, int64_t idx);
    /**
     * Makes the memory that `readers` reads at the same time take, regions of about out_height x out_width, so that reading allocates
     * nothing; a loader calls it when it is opened. May be NULL. prepare_bytes tells how much that would be, without making it.
     */
    far_status (*prepare)(void *context, int32_t readers, int64_t out_height, int64_t out_width);
    int64_t (*prepare_bytes)(const void *context, int32_t readers, int64_t out_height, int64_t out_width);
    /**
     * The labels of sample `idx` alone, as `read` gives them, where that is less work. May be NULL: `read` is called.
     */
    far_status (*read_label)(void *context, int64_t idx, int32_t *label_out);
    /**
     * Reads rows [row, row + count) of sample `idx` in its own size and leaves the others alone: for readers that need not read a whole
     * sample, of which a rank may want some rows only. May be NULL: read_region is called, or the sample is read whole and then cut.
     * @param image_out  [count, W, C] f32.
     * @param label_out  one i32, or [count, W, label_planes] i32; NULL when there are no labels.
     */
    far_status (*read_rows)(void *context, int64_t idx, int64_t row, int64_t count, float *image_out,
                            int32_t *label_out);
    /**
     * The calls that read also take NULL for image_out: only labels are wanted; or NULL for label_out: only the image is. Of images larger than
     * memory, whose rows are read when a step wants them, each is asked for alone; otherwise both are read and one is thrown away.
     */
    bool reads_apart;
    /**
     * Rows cost less where one caller at a time reads all that it wants, most often from top to bottom: packed tiles, chunks and streams. A run
     * that reads rows when it needs them then lets no two threads read at once.
     */
    bool wants_order;
    /**
     * Why rows of samples cannot be read without what lies before them, as "PNG pictures are decoded from their first row"; NULL: they can. The
     * call may be NULL: they can where there is read_rows or read_region.
     */
    const char *(*why_not_rows)(const void *context);
} far_dataset_ops;

/**
 * Wraps `context`, which is closed with the data set, or at once when this call fails.
 * @return FAR_OK, FAR_E_ARG (extents or classes out of range, varying sizes without `extent`, label planes without label maps), FAR_E_NOMEM.
 */
FAR_API far_status far_dataset_create(const far_dataset_ops *ops, void *context, const far_dataset_info *info,
                                      far_dataset **dataset_out);

/**
 * Opens IDX files (MNIST and its relatives), plain or gzip; pixels stay in memory as bytes.
 * @param images_path  u8, [N, H, W] or [N, H, W, C].
 * @param labels_path  u8, [N] or, for label maps, [N, H, W]; NULL: without labels.
 * @param class_count  0: the largest label plus one.
 * @return FAR_OK, FAR_E_NOTFOUND, FAR_E_IO, FAR_E_FORMAT (names file and byte), FAR_E_NOMEM.
 */
FAR_API far_status far_dataset_open_idx(const char *images_path, const char *labels_path, int32_t class_count,
                                        far_dataset **dataset_out);

/** Arrays of images and labels; zero means the default. */
typedef struct far_arrays_opts {
    /**
     * .npy; .npz, packed or not (of packed ones, reading goes on from where it is, and who jumps begins at a mark that was set on the way: best
     * read from top to bottom, in order of samples); .h5 or .hdf5, of which only the chunks that are needed are read; .raw, .bin or .dat, whose shape, type,
     * byte_order and offset stand in PATH.json beside it. Elements: u8 (read as value / 255), i8, u16, i16, u32, i32, i64, f32, f64, either
     * byte order, C order; [N, H, W], [N, H, W, C], [H, W] (one image).
     */
    const char *images_path;
    const char *labels_path; /**< whole numbers, [N] or [N, H, W]; NULL: see labels_name */
    const char *images_name; /**< in an .npz or HDF5 file; NULL: "images", or the only array of an .npz */
    const char *
        labels_name; /**< likewise, NULL: "labels"; without labels_path: in the images' file, if there; both NULL: without labels */
    bool channels_first; /**< images of four axes are [N, C, H, W] */
    bool is_volume;      /**< as far_dataset_open_volumes */
    int32_t class_count; /**< default: the largest label plus one */
} far_arrays_opts;

/**
 * Opens arrays; samples, and rows of them, are read from disk when they are needed.
 * @return as far_dataset_open_idx; FAR_E_UNSUPPORTED for other element types and Fortran order.
 */
FAR_API far_status far_dataset_open_arrays(const far_arrays_opts *opts, far_dataset **dataset_out);

/**
 * Opens NumPy arrays, or what far_arrays_opts says of others.
 * @param images_path     u8 (read as value / 255), i32, i64, f32 or f64, C order, [N, H, W] or [N, H, W, C].
 * @param labels_path     u8, i32 or i64, [N] or [N, H, W]; NULL: without labels.
 * @param channels_first  images of four axes are [N, C, H, W].
 * @param class_count     0: the largest label plus one.
 * @return as far_dataset_open_idx; FAR_E_UNSUPPORTED for other element types and Fortran order.
 */
FAR_API far_status far_dataset_open_npy(const char *images_path, const char *labels_path, bool channels_first,
                                        int32_t class_count, far_dataset **dataset_out);

/**
 * Opens NumPy arrays of volumes; as far_dataset_open_npy, but images are [N, D, H, W], [N, D, H, W, C] or, with channels_first,
 * [N, C, D, H, W], and label maps [N, D, H, W]. Arrays of five axes are taken for volumes by far_dataset_open_npy, too.
 */
FAR_API far_status far_dataset_open_volumes(const char *images_path, const char *labels_path, bool channels_first,
                                            int32_t class_count, far_dataset **dataset_out);

/** Options of the synthetic set; zero means the default in brackets. */
typedef struct far_synthetic_opts {
    int64_t sample_count;            /**< [1,024] */
    int64_t height, width, channels; /**< [32], [32], [1] */
    int32_t class_count;             /**< [10] */
    far_label_kind
        label;    /**< FAR_LABEL_CLASS: a pattern for each class under noise. FAR_LABEL_MAP: discs on background 0 */
    double noise; /**< share of noise in a pixel, (0, 1) [0.5] */
    uint64_t seed;
    int64_t first; /**< number of the first sample: sets that do not overlap (training, test) differ here */
    double vary;   /**< each side of each sample is a random share in [1 - vary, 1] of height or width, [0, 1) [0] */
    int64_t depth; /**< volumes of so many slices of height x width; balls in place of discs [1: images] */
} far_synthetic_opts;

/** Images that can be learned, computed when read: a pure function of options and sample number. @return FAR_OK, FAR_E_ARG, FAR_E_NOMEM. */
FAR_API far_status far_dataset_open_synthetic(const far_synthetic_opts *opts, far_dataset **dataset_out);

typedef enum far_data_part { FAR_DATA_TRAIN = 0, FAR_DATA_TEST } far_data_part;

typedef enum far_data_kind {
    FAR_DATA_AUTO = 0,
    FAR_DATA_IDX,
    FAR_DATA_NPY,
    FAR_DATA_LARTPC,
    FAR_DATA_IMAGES,       /**< folders of pictures named by their classes: far_dataset_open_images */
    FAR_DATA_SEGMENTATION, /**< images and label maps: far_dataset_open_label_maps */
    FAR_DATA_VOLUMES,
    FAR_DATA_ARRAYS /**< .npz, HDF5 and raw arrays: far_dataset_open_arrays */
} far_data_kind;

/**
 * Opens the files with the usual names in a folder: train-images-idx3-ubyte[.gz] with train-labels-idx1-ubyte[.gz], t10k-... (or test-...) for
 * the test part; train-images.npy with train-labels.npy, test-images.npy with test-labels.npy; train.h5, test.h5
 * (<farandole/lartpc.h>, or the arrays "images" and "labels"); train.npz, test.npz; train-images.raw with train-labels.raw, test-images.raw...
 * Where there are none: pictures with the options' defaults, also in an archive (<farandole/pictures.h>).
 * @return FAR_OK; FAR_E_NOTFOUND: names what was looked for; as the openers above.
 */
FAR_API far_status far_dataset_open_folder(const char *path, far_data_kind kind, far_data_part part,
                                           bool channels_first, int32_t class_count, far_dataset **dataset_out);

/** Frees it. No loader may use it any more. NULL is allowed. */
FAR_API void far_dataset_close(far_dataset *dataset);
FAR_API far_dataset_info far_dataset_info_of(const far_dataset *dataset);
/** Reads one sample as far_dataset_ops.read says. @return FAR_OK, FAR_E_ARG (no such sample), FAR_E_IO, FAR_E_FORMAT. */
FAR_API far_status far_dataset_read(far_dataset *dataset, int64_t idx, float *image_out, int32_t *label_out);
/**
 * Counts labels of samples (NULL: samples [0, count)), all label planes together.
 * @param counts_out  [class_count] labels of each class.
 * @param among_out   [class_count] or NULL: labels in those samples in which the class occurs.
 * @return as far_dataset_read; FAR_E_ARG: there are no labels. FAR_E_FORMAT: labels out of range.
 */
FAR_API far_status far_dataset_count_labels(far_dataset *dataset, const int64_t *sample_ids, int64_t count,
                                            int64_t *counts_out, int64_t *among_out);
/** Height and width of one sample, pixels. @return FAR_OK, FAR_E_ARG (no such sample), FAR_E_FORMAT, FAR_E_IO. */
FAR_API far_status far_dataset_extent(far_dataset *dataset, int64_t idx, int64_t *height_out, int64_t *width_out);
/**
 * Reads a region of one sample, resized, as far_dataset_ops.read_region says. Where the reader has no such call and the region is not
 * the whole sample in its own size, memory for the whole sample, or for the rows where it reads rows, is taken and freed again.
 * @return FAR_OK, FAR_E_ARG (no such sample, region not inside it), FAR_E_NOMEM, FAR_E_IO, FAR_E_FORMAT.
 */
FAR_API far_status far_dataset_read_region(far_dataset *dataset, int64_t idx, const far_region *region,
                                           float *image_out, int32_t *label_out);
/** @return what the sample is called, NULL where samples have no names. Borrowed while the set is open. */
FAR_API const char *far_dataset_sample_name(const far_dataset *dataset, int64_t idx);
/** @return the class's name, NULL where unknown. */
FAR_API const char *far_dataset_class_name(const far_dataset *dataset, int32_t class_idx);
/** @return bytes of memory the data set holds. */
FAR_API int64_t far_dataset_bytes(const far_dataset *dataset);
/** Mean and standard deviation of each channel over `sample_ids` (NULL: samples [0, count)), in double. @return as far_dataset_read. */
FAR_API far_status far_dataset_moments(far_dataset *dataset, const int64_t *sample_ids, int64_t count, double *mean_out,
                                       double *std_out);

/* --- which samples --- */

/**
 * Sets samples apart, a pure function of (seed, sample number): those with the `holdout_count` smallest keyed hashes. Both lists ascend.
 * @param kept_out  room for sample_count - holdout_count numbers.
 * @param held_out  room for holdout_count numbers.
 * @return FAR_OK, FAR_E_ARG (holdout_count outside [0, sample_count]), FAR_E_NOMEM.
 */
FAR_API far_status far_sample_split(int64_t sample_count, int64_t holdout_count, uint64_t seed, int64_t *kept_out,
                                    int64_t *held_out);

/**
 * Sets samples of a data set apart. Where samples have names, what happens to one depends on its name alone: h, the first 8 bytes of the
 * SHA-256 of its name as a big-endian number over 2^64, neither the seed nor the other samples; so pictures that are added move no other.
 * Without names h is a keyed hash of the sample's number.
 * @param holdout   below 1: a share, those with h below it; from 1 on: a whole number, so many with the smallest h (of named samples, too,
 *                  another one may then take the place of one).
 * @param ids_out   room for all sample numbers: those kept, then those held back; both ascend.
 * @param kept_out  how many are kept.
 * @return FAR_OK, FAR_E_ARG (negative, no whole number, or more than there are), FAR_E_NOMEM.
 */
FAR_API far_status far_dataset_split(const far_dataset *dataset, double holdout, uint64_t seed, int64_t *ids_out,
                                     int64_t *kept_out);

/** @return which of `count` samples comes at place `pos` in epoch `epoch`: a permutation, computed without tables. */
FAR_API int64_t far_shuffle(uint64_t seed, int64_t epoch, int64_t count, int64_t pos);

/* --- loaders --- */

/** How a sample comes to the size that all samples of a batch have. Where it is padded: zeros after normalisation, FAR_LABEL_IGNORE. */
typedef enum far_fit {
    FAR_FIT_AS_IS = 0, /**< samples have one size, and keep it */
    FAR_FIT_RESIZE, /**< resized so that it just covers size / share, then the middle (torchvision's Resize and CenterCrop) */
    FAR_FIT_CROP, /**< the middle, in its own resolution; what is smaller is padded at the bottom and on the right */
    FAR_FIT_PAD,  /**< its own resolution, padded at the bottom and on the right; samples may not be larger */
    FAR_FIT_RANDOM_CROP,        /**< as FAR_FIT_CROP at a random place */
    FAR_FIT_RANDOM_RESIZED_CROP /**< a random part of random area and ratio, resized (torchvision's RandomResizedCrop) */
} far_fit;

/** Zero in a field means its default. */
typedef struct far_frame {
    far_fit fit;
    int64_t height, width; /**< pixels; not read by FAR_FIT_AS_IS */
    double share; /**< of FAR_FIT_RESIZE: of the resized image's shorter side that is kept, (0, 1]; default 1 */
    double area_min, area_max;   /**< of FAR_FIT_RANDOM_RESIZED_CROP: share of the area; default 0.08, 1 */
    double ratio_min, ratio_max; /**< width / height of that part; default 3/4, 4/3 */
} far_frame;

/** What is done to each sample, in this order. Random choices are a pure function of (seed, epoch, sample number). */
typedef struct far_augment {
    far_frame frame;
    int32_t
        downsample; /**< blocks of 2^k x 2^k pixels become one: mean of the image, largest label; sizes must divide, the frame's too. Only FAR_FIT_AS_IS and FAR_FIT_PAD */
    bool log1p;     /**< x becomes log(1 + x) */
    /**
     * Colours of images in [0, 1] with 1 or 3 channels, as torchvision's ColorJitter: each in a random order, by a random factor in
     * [max(0, 1 - b), 1 + b]; the hue by a random shift in [-h, h] turns, h at most 0.5. 0: none. Saturation and hue leave one channel as it is.
     */
    double brightness, contrast, saturation, hue;
    double invert; /**< probability that x becomes 1 - x, after the colours: torchvision's RandomInvert */
    int32_t
        crop_pad; /**< so many zero pixels around, then a crop of the old size at a random place. Only where nothing else crops or pads */
    bool flip, vflip;  /**< left-right, top-bottom, each with probability 1/2 */
    bool turns;        /**< by 0, 90, 180 or 270 degrees; needs square batches */
    const float *mean; /**< (x - mean) / std for each channel; NULL: not */
    const float *std;
    double erase; /**< probability that a random rectangle becomes 0 after normalisation; labels stay */
    double erase_area_min,
        erase_area_max; /**< its share of the area; 0, 0 means 0.02 to 0.33; sides' ratio is in [0.3, 1 / 0.3] */
    int32_t cutout;     /**< side of a square around a random pixel that becomes 0 after normalisation; 0: none */
} far_augment;

typedef enum far_last_batch {
    FAR_LAST_DROP = 0, /**< an epoch's last samples that fill no batch are left out (another few each epoch) */
    FAR_LAST_PAD       /**< the last batch is filled with zero images, labels FAR_LABEL_IGNORE and sample numbers -1 */
} far_last_batch;

/** What becomes of a sample that cannot be read (damaged, missing, labels out of range). */
typedef enum far_on_error {
    FAR_ON_ERROR_STOP = 0, /**< far_loader_next fails and names it */
    /**
     * It is left out: a zero image with labels FAR_LABEL_IGNORE and sample number -1 takes its place, a warning names it. More than a
     * tenth of an epoch (and more than 8), or all of it, is an error nevertheless.
     */
    FAR_ON_ERROR_SKIP
} far_on_error;

/** Zero in a field means its default. */
typedef struct far_loader_opts {
    int64_t batch;             /**< samples a batch */
    const int64_t *sample_ids; /**< which samples make an epoch; copied; NULL: all */
    int64_t sample_count;      /**< of sample_ids */
    bool shuffle;
    far_last_batch last;
    int64_t epochs;  /**< FAR_END after so many; 0: without end */
    uint64_t seed;   /**< of shuffling and augmentation */
    int32_t threads; /**< default 1; -1: none, far_loader_next does the work */
    int32_t ahead; /**< batches ready or in the making beside the one lent; default 2; each costs one batch of memory */
    far_augment augment;
    far_on_error on_error;
    /**
     * Of several ranks each makes a part of a batch: places [own_first, own_first + own_count); own_count 0: all of it. Images and labels are
     * of those places only, sample numbers of all; what could not be read is known of the own ones.
     */
    int64_t own_first, own_count;
    /**
     * Of these samples rows [row_first, row_first + row_count) only, as they lie in a batch (after cropping and flipping); row_count 0: all. No
     * more of a sample is read than they need where the reader allows (far_dataset_ops.read_rows) and neither resizing, quarter turns,
     * contrast nor on_error look at all of it. Labels outside the classes are found in what is read.
     */
    int64_t row_first, row_count;
    /** Batches tell which samples they have and nothing else: no images, no labels. Nothing is read. */
    bool without_pixels;
} far_loader_opts;

/** Arrays are dense and lent until the next call on the loader. */
typedef struct far_batch {
    int64_t epoch, idx; /**< batch `idx` of epoch `epoch`, both from 0 */
    int64_t count;      /**< valid samples, the first ones; below `batch` only with FAR_LAST_PAD */
    const float *
        images; /**< [batch, H, W, C] f32, channels last; of the loader's own places and rows where it has some; NULL without pixels */
    const int32_t *labels;     /**< [batch] or [batch, H, W, label_planes], likewise; NULL without labels or pixels */
    const int64_t *sample_ids; /**< [batch] */
    int64_t skipped; /**< of `count`: samples that could not be read and were left out, with sample number -1 */
} far_batch;

typedef struct far_loader far_loader; /**< opaque */

/**
 * Opens a loader; all of its memory is allocated here.
 * @return FAR_OK, FAR_E_ARG (batch below 1 or, with FAR_LAST_DROP, above the samples; sample numbers out of range; sizes that do not
 *         divide), FAR_E_NOMEM.
 */
FAR_API far_status far_loader_open(far_dataset *dataset, const far_loader_opts *opts, far_loader **loader_out);
/** Stops the threads and frees all. NULL is allowed. */
FAR_API void far_loader_close(far_loader *loader);
/** @return bytes that far_loader_open would hold, the data set's own not counted; 0 where it would fail. */
FAR_API int64_t far_loader_bytes(far_dataset *dataset, const far_loader_opts *opts);

/** Waits for the next batch. Allocates nothing. @return FAR_OK, FAR_END (batch_out untouched), or why a sample could not be read. */
FAR_API far_status far_loader_next(far_loader *loader, far_batch *batch_out);
/** Goes to a batch: the next one is `batch_idx` of `epoch`. @return FAR_OK, FAR_E_ARG. */
FAR_API far_status far_loader_seek(far_loader *loader, int64_t epoch, int64_t batch_idx);
/** @return batches in an epoch. */
FAR_API int64_t far_loader_batch_count(const far_loader *loader);
/** What comes out: extents of the images in a batch, samples of an epoch. */
FAR_API far_dataset_info far_loader_info(const far_loader *loader);

#ifdef __cplusplus
}
#endif
#endif /* FAR_DATA_H */
