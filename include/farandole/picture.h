/**
 * @file farandole/picture.h
 * Pictures of what goes into a network and comes out of it: images, maps of classes, one over the other; as PNG or TIFF, numbers as NumPy arrays.
 * Threads     all calls are safe from any thread on pictures of their own.
 * Collective  no call communicates.
 */
#ifndef FAR_PICTURE_H
#define FAR_PICTURE_H
#include <farandole/run.h>
#include <farandole/status.h>
#include <stdbool.h>
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif

/* --- numbers from a prediction --- */

/** @return elements of one class: 1, or the pixels of a map. */
FAR_API int64_t far_prediction_pixels(const far_prediction *prediction);
/** The likeliest class of the sample, or of each pixel; of equal ones the first. A single class is taken where its logit is above 0. */
FAR_API void far_prediction_classes(const far_prediction *prediction, int32_t *classes_out);
/** Softmax over the classes, in the order of `elems`; of a single class the logistic function. */
FAR_API void far_prediction_probabilities(const far_prediction *prediction, float *probabilities_out);

/* --- pictures --- */

/** Bytes to look at. Owned: free with far_picture_free. */
typedef struct far_picture {
    uint8_t *pixels; /**< [height, width, channels], dense */
    int64_t height, width;
    int32_t channels; /**< 1: grey, or classes; 3: RGB */
    bool
        is_classes; /**< bytes are classes in the colours of far_class_colour, FAR_PICTURE_NO_CLASS where there is none */
} far_picture;

/** Classes from this one on share it: a picture has 256 colours. */
#define FAR_PICTURE_CLASSES_MAX 255
#define FAR_PICTURE_NO_CLASS 255

/**
 * Colour of a class, equal in all pictures. The first ones differ in brightness too, class 0 is nearly white: for the eye of everybody,
 * and for print in grey. A class outside [0, 255) is white.
 */
FAR_API void far_class_colour(int32_t class_idx, uint8_t rgb_out[3]);

/**
 * The image that a prediction was made of, with its normalisation undone. Three channels are colours where the network has one output;
 * where it has as many outputs as the image has channels, the one of this output; otherwise the mean. Values in [0, 1] from bytes are
 * these bytes again; others are spread from their least to where nearly all lie below. Images that are nearly everywhere at
 * their least value come dark on white.
 * @param shrink  blocks of so many pixels square become one, their mean; 1: none.
 * @return FAR_OK, FAR_E_ARG (shrink below 1), FAR_E_NOMEM.
 */
FAR_API far_status far_picture_of_image(const far_prediction *prediction, int32_t shrink, far_picture *picture_out);
/**
 * A map of classes.
 * @param labels  [height, width]; what is outside [0, 255) is no class.
 * @param shrink  blocks of so many pixels square become one, the largest class in it; 1: none.
 */
FAR_API far_status far_picture_of_classes(const int32_t *labels, int64_t height, int64_t width, int32_t shrink,
                                          far_picture *picture_out);
/** The image with the classes' colours over it, RGB; class 0 and pixels without a class leave it as it is. @return FAR_OK, FAR_E_SHAPE, FAR_E_NOMEM. */
FAR_API far_status far_picture_overlay(const far_picture *image, const far_picture *classes, far_picture *picture_out);
/** Writes a PNG, there completely or not at all; maps of classes with a palette: their bytes are the classes. @return FAR_OK, FAR_E_ARG, FAR_E_NOTFOUND (no such folder), FAR_E_IO, FAR_E_NOMEM. */
FAR_API far_status far_picture_write(const char *path, const far_picture *picture);
/** Frees the pixels. */
FAR_API void far_picture_free(far_picture *picture);

/* --- NumPy arrays --- */

typedef enum far_npy_type { FAR_NPY_U8 = 0, FAR_NPY_I32, FAR_NPY_F32 } far_npy_type;
typedef struct far_npy far_npy; /**< opaque; a file that grows along its first axis */

/**
 * Begins a .npy file under a temporary name.
 * @param item     extents of one item, without the first axis; ndim 0: numbers. is_single: exactly one item, and no first axis.
 * @param npy_out  end it with far_npy_close.
 */
FAR_API far_status far_npy_create(const char *path, far_npy_type type, const far_shape *item, bool is_single,
                                  far_npy **npy_out);
/** Adds `count` items, dense. @return FAR_OK, FAR_E_IO. */
FAR_API far_status far_npy_add(far_npy *npy, const void *items, int64_t count);
/** Writes the header and gives the file its name; is_kept false: removes it. Frees `npy` in any case; NULL is allowed. */
FAR_API far_status far_npy_close(far_npy *npy, bool is_kept);

/* --- TIFF --- */

typedef enum far_tiff_type { FAR_TIFF_U8 = 0, FAR_TIFF_U16, FAR_TIFF_I32, FAR_TIFF_F32 } far_tiff_type;
typedef struct far_tiff far_tiff; /**< opaque; a picture that is written from its first row to its last */

typedef struct far_tiff_opts {
    int64_t height, width;
    int32_t channels;
    far_tiff_type type;
    bool is_classes; /**< bytes are classes, in the colours of far_class_colour */
    int32_t tile;    /**< side of the tiles, a multiple of 16 up to 4,096; default 256 */
} far_tiff_opts;

/** @return bytes of memory that writing such a picture takes: a row of tiles, whatever the picture's height. */
FAR_API int64_t far_tiff_memory(const far_tiff_opts *opts);
/**
 * Begins a tiled BigTIFF under a temporary name, packed without loss.
 * @param tiff_out  end it with far_tiff_close.
 * @return FAR_OK, FAR_E_ARG, FAR_E_NOTFOUND (no such folder), FAR_E_IO, FAR_E_NOMEM, FAR_E_UNSUPPORTED (built without libtiff).
 */
FAR_API far_status far_tiff_create(const char *path, const far_tiff_opts *opts, far_tiff **tiff_out);
/** The next `count` rows, dense [count, width, channels]. @return FAR_OK, FAR_E_ARG (more rows than there are), FAR_E_IO. */
FAR_API far_status far_tiff_add(far_tiff *tiff, const void *rows, int64_t count);
/** Ends the file and gives it its name; is_kept false: removes it. Frees `tiff` in any case; NULL is allowed. @return also FAR_E_ARG: rows are missing. */
FAR_API far_status far_tiff_close(far_tiff *tiff, bool is_kept);

#ifdef __cplusplus
}
#endif
#endif /* FAR_PICTURE_H */
