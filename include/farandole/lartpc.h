/**
 * @file farandole/lartpc.h
 * Images of liquid-argon detectors: the sparse HDF5 layout that CosmicTagger's data sets are kept in, and a simulator that writes it.
 * Threads     a data set as every other; a simulation belongs to one thread, several may run at once. HDF5 is called under one lock of ours: a
 *             program that also calls HDF5 itself keeps those calls out of ours.
 * Collective  no call communicates.
 */
#ifndef FAR_LARTPC_H
#define FAR_LARTPC_H
#include <farandole/data.h>
#ifdef __cplusplus
extern "C" {
#endif

/** Zero in a field means its default. */
typedef struct far_lartpc_opts {
    const char *image;   /**< images lie in /Data/sparse2d_NAME_group; NULL: "sbndwire" */
    const char *label;   /**< labels likewise; NULL: "sbnd_cosmicseg" where the file has it; "": none */
    int32_t class_count; /**< default 3: background, cosmic, neutrino */
    int64_t
        keep_bytes; /**< voxels stay in memory once read: all, or of as many events as fit in so much, one at least; default 1 GiB; -1: of one */
} far_lartpc_opts;

/**
 * Opens a file of sparse images. A sample is an event: image [H, W, planes] f32, zero where the file has no voxel; label map
 * [H, W, planes] i32, 0 there. Fields are found by name; chunks, compression, order and offsets of fields are free; every plane's ranges
 * are respected. Sizes and ranges are checked here, voxels when they are read.
 * @param opts  NULL: defaults.
 * @return FAR_OK, FAR_E_NOTFOUND (file, or the group of images or labels; names those there are), FAR_E_IO, FAR_E_FORMAT (names file, table
 *         and row), FAR_E_NOMEM.
 */
FAR_API far_status far_dataset_open_lartpc(const char *path, const far_lartpc_opts *opts, far_dataset **dataset_out);

/** Zero in a field means its default. */
typedef struct far_lartpc_sim_opts {
    int64_t event_count; /**< default 1 */
    int64_t
        first; /**< number of the first event: files that do not overlap (training, test) differ here, or in the seed */
    int64_t height,
        width; /**< pixels of a plane's image: the same detector, seen coarser or finer; default 1280, 2048 */
    uint64_t seed;
    bool (*progress)(void *context, int64_t done, int64_t total); /**< after each event; false stops; NULL: none */
    void *context;
    int32_t plane_count; /**< the last so many of the planes: 1 only the one with upright wires; default 3 */
} far_lartpc_sim_opts;

/**
 * Simulates events and writes them to a file. Event `first + k` is a pure function of (seed, first + k, height, width), each plane for itself: the same bits on every
 * machine with IEEE arithmetic, as no function of the system's mathematical library takes part.
 * @param path  overwritten when all is done; until then the file is called path.part.
 * @return FAR_OK, FAR_E_ARG (sides below 64 or above 131,072, more than 2^32 pixels; no events), FAR_E_IO, FAR_E_STOPPED (by `progress`; nothing is left), FAR_E_NOMEM.
 */
FAR_API far_status far_lartpc_simulate(const far_lartpc_sim_opts *opts, const char *path);

#ifdef __cplusplus
}
#endif
#endif /* FAR_LARTPC_H */
