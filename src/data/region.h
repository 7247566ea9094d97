/* Parts of samples, resized: by the reader where it can, else from the whole sample. */
#ifndef FARI_DATA_REGION_H
#define FARI_DATA_REGION_H
#include <farandole/data.h>

/* Room for one whole sample and for resizing it; used only where the reader does not cut and resize. */
typedef struct fari_region_scratch {
    float *image;
    int32_t *labels;
    void *resize;
    int64_t resize_bytes;
} fari_region_scratch;

/* Bytes of each for the largest sample, wanted at most `out_width` wide; all 0 where the reader makes regions itself. rows: at most so many
   are wanted, and none resized; 0: nothing is known of that. */
typedef struct fari_region_needs {
    int64_t image_bytes, label_bytes, resize_bytes;
} fari_region_needs;

fari_region_needs fari_region_needs_of(const far_dataset *dataset, int64_t rows, int64_t out_width);
/* far_dataset_read_region without allocating. Of sets that read apart image_out or label_out may be NULL: not wanted. */
far_status fari_region_read(far_dataset *dataset, int64_t idx, const far_region *region,
                            const fari_region_scratch *scratch, float *image_out, int32_t *label_out);
#endif
