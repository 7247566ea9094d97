/**
 * @file farandole/landmask.h
 * A map of land and sea as a task: from a coarse view of a piece of the map, made of the mean of blocks and brought back to full size bilinearly,
 * to the mask at full resolution. Made for the Earth at 43,200 x 21,600 pixels (global-land-mask), which stays in memory as bits, 117 MB.
 * Threads     as farandole/data.h says.
 * Collective  no call communicates.
 */
#ifndef FAR_LANDMASK_H
#define FAR_LANDMASK_H
#include <farandole/data.h>
#ifdef __cplusplus
extern "C" {
#endif

/** Zero in a field means its default in brackets. */
typedef struct far_landmask_opts {
    const char *name; /**< of the array in an .npz or HDF5 file, [H, W]; other than 0 is sea ["mask"] */
    int32_t view; /**< the coarse view has blocks of so many pixels square: a divisor of both sides, at most 256 [16] */
    int64_t window; /**< side of the windows, a multiple of `view`; below 0: one sample, the whole map [2,048] */
    int64_t count;  /**< windows [256] */
    far_data_part
        part; /**< windows of the training part lie outside of the longitudes held out, those of the test part inside */
    double west, east; /**< the longitudes held out, degrees, of a map from -180 to 180; both 0: [100, 140] */
    const far_dataset
        *other;    /**< a land mask of the same file: its map is shared, and the file not opened; NULL: read */
    uint64_t seed; /**< where windows lie, with the window's number alone */
} far_landmask_opts;

/**
 * Opens a map. Images are [H, W, 1]: the share of land, 0 to 1; labels [H, W]: 0 sea, 1 land. Windows begin at multiples of `view` and hold
 * between a quarter and three quarters of land, as long as such are found.
 * @param path  an array as far_arrays_opts has it.
 * @return FAR_OK, FAR_E_ARG (options that do not fit the map), FAR_E_NOTFOUND, FAR_E_IO, FAR_E_FORMAT, FAR_E_NOMEM.
 */
FAR_API far_status far_dataset_open_landmask(const char *path, const far_landmask_opts *opts,
                                             far_dataset **dataset_out);

#ifdef __cplusplus
}
#endif
#endif /* FAR_LANDMASK_H */
