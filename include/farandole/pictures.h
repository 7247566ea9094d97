/**
 * @file farandole/pictures.h
 * Data sets of pictures, JPEG, PNG and TIFF, in folders and archives (tar, also packed; zip): photographs in folders named by their classes,
 * and images with label maps. Of a TIFF only the tiles that hold what is wanted are read, so it may be larger than memory. Opening reads headers only; pictures are decoded when they are read, no more of them than is wanted.
 * Images are grey (one channel) where all are, else RGB; transparency is dropped, CMYK becomes RGB, EXIF's orientation is followed. Eight bits
 * a channel give value / 255, sixteen value / 65535; in TIFFs of signed, of larger or of floating-point numbers values are what they are.
 * Threads     as farandole/data.h says.
 * Collective  no call communicates.
 */
#ifndef FAR_PICTURES_H
#define FAR_PICTURES_H
#include <farandole/data.h>
#ifdef __cplusplus
extern "C" {
#endif

/** Zero in a field means its default. */
typedef struct far_pictures_opts {
    far_data_part part;
    int32_t channels; /**< 1 or 3, of TIFFs 1 to 4; default: 1 where all images are grey, else 3, or what TIFFs have */
    int32_t
        class_count; /**< default: as many as there are folders, colours or values; else the largest label plus one, for which all label maps
                              are decoded once */
    bool
        keep_broken; /**< a file whose header is damaged stays a sample, which cannot be read; default: an error when opening */

    /**
     * Which files are images and which label maps, relative to the folder or archive (a single folder in which everything lies is passed over).
     * '*' stands for any characters but '/', "**" for any. A label map belongs to the image for which the stars stand for the same.
     * Default: images/ (imgs/, image/, img/) with labels/ (masks/, annotations/, instances/ and their singulars) beside it, paired by names without
     * their endings; or the same inside train/ and val/ (valid/, validation/, test/), or with those inside.
     */
    const char *images, *labels;
    bool
        labels_are_instances; /**< each object has a value of its own: classes become background 0, inside 1, boundary 2 */
    int32_t
        boundary; /**< pixels within so many rows and columns of another object or the background are boundary; default 1 */
    const int32_t
        *values; /**< value (or palette index) that stands for class 0, 1, ...; NULL: the value is the class */
    int32_t value_count;
    bool values_are_colours; /**< values are 0xRRGGBB, of palettes too */
    const int32_t *ignored;  /**< values that become FAR_LABEL_IGNORE */
    int32_t ignored_count;
    const char *const *class_names; /**< of label maps; NULL, or one for each class */
    int32_t class_name_count;
} far_pictures_opts;

/**
 * Opens pictures in folders named by their classes: path/<class>/x.jpg, or path/train/<class>/x.jpg with val/ (valid/, validation/, test/).
 * Classes are numbered in the order of their names; those of the training part count for all parts. Pictures that lie in no folder make a
 * set without labels.
 * @param path  folder or archive.
 * @param opts  NULL for defaults.
 * @return FAR_OK; FAR_E_NOTFOUND (no such path; no pictures; no such part), FAR_E_FORMAT (names what is damaged; a class without pictures),
 *         FAR_E_UNSUPPORTED (pictures of another kind), FAR_E_IO, FAR_E_NOMEM.
 */
FAR_API far_status far_dataset_open_images(const char *path, const far_pictures_opts *opts, far_dataset **dataset_out);

/**
 * Opens images with label maps, which are PNG or TIFF: numbers or palette indices are classes, or what `opts` says.
 * Samples are called by what the stars of `images` stand for, or by names without their endings.
 * @return as far_dataset_open_images; FAR_E_FORMAT also: an image without a label map or of another size, a label out of range.
 */
FAR_API far_status far_dataset_open_label_maps(const char *path, const far_pictures_opts *opts,
                                               far_dataset **dataset_out);

typedef enum far_pictures_kind {
    FAR_PICTURES_NONE = 0,
    FAR_PICTURES_CLASSES,
    FAR_PICTURES_LABEL_MAPS
} far_pictures_kind;

/** What the names in a folder or archive look like. NONE: it is neither; no error is worded. */
FAR_API far_pictures_kind far_pictures_kind_of(const char *path);

#ifdef __cplusplus
}
#endif
#endif /* FAR_PICTURES_H */
