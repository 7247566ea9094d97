/* Parts of samples, resized: by the reader where it can, else from the whole sample. */
#ifndef FARI_DATA_REGION_H
#define FARI_DATA_REGION_H
#include <farandole/data.h>

/* Room for one whole sample; used only where the reader does not cut and resize. */
typedef struct fari_region_scratch {
    float *image;
    int32_t *labels;
} fari_region_scratch;

/* Elements of both for the largest sample; 0, 0 where `region` reading never needs them. */
void fari_region_scratch_elems(const far_dataset *dataset, int64_t *image_out, int64_t *labels_out);
/* far_dataset_read_region without allocating. */
far_status fari_region_read(far_dataset *dataset, int64_t idx, const far_region *region,
                            const fari_region_scratch *scratch, float *image_out, int32_t *label_out);
#endif
