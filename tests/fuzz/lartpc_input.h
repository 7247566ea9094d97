/* What the targets of liquid-argon images share: reading all of a file. */
#ifndef TESTS_FUZZ_LARTPC_INPUT_H
#define TESTS_FUZZ_LARTPC_INPUT_H
#include "data/lartpc.h"
#include "fuzz/h5_input.h"
#include <math.h>

#define VOXELS_MAX 100000 /* of a plane: what claims more is opened, not read */

static inline void check_plane(const fari_lartpc_file *file, int64_t count, const uint32_t *ids, const float *values,
                               const uint8_t *labels, int32_t class_count)
{
    const fari_lartpc_frame frame = fari_lartpc_frame_of(file);
    for (int64_t i = 0; i < count; i++) {
        if (ids[i] >= frame.height * frame.width || (i > 0 && ids[i] <= ids[i - 1])) abort();
        if (!isfinite(values[i]) || (labels != NULL && labels[i] >= class_count)) abort();
    }
}

static inline bool read_planes(fari_lartpc_file *file, const char *path, int32_t class_count)
{
    static uint32_t ids[VOXELS_MAX];
    static float values[VOXELS_MAX];
    static uint8_t labels[VOXELS_MAX];
    uint8_t *labels_out = fari_lartpc_has_label(file) ? labels : NULL;
    for (int64_t i = 0; i < fari_lartpc_event_count(file); i++)
        for (int32_t p = 0; p < fari_lartpc_frame_of(file).planes; p++) {
            const int64_t count = fari_lartpc_count(file, i, p);
            if (count < 0) abort();
            if (count > VOXELS_MAX) continue;
            if (fari_lartpc_read(file, i, p, ids, values, labels_out) == FAR_OK)
                check_plane(file, count, ids, values, labels_out, class_count);
            else if (strstr(far_error_message(), path) == NULL) abort();
            else return false;
        }
    return true;
}

static inline void read_lartpc(const char *path, const char *image, const char *label, int32_t class_count)
{
    fari_lartpc_file *file = NULL;
    count_input();
    far_error_clear();
    const far_status st = fari_lartpc_open(path, image, label, class_count, &file);
    if (st == FAR_OK) {
        tally.opened++;
        if (read_planes(file, path, class_count)) tally.read++;
        fari_lartpc_close(file);
    } else {
        if (file != NULL) abort();
        count_refusal(st, path);
    }
    if (fari_alloc_live() != 0) abort();
}
#endif
