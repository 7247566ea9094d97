/* The pictures of make_pictures.py for tests. */
#ifndef TESTS_DATA_PICTURES_H
#define TESTS_DATA_PICTURES_H
#include "base/file.h"
#include "base/mem.h"
#include "data/npy.h"
#include "data/picture.h"
#include "test.h"

#define PICTURES "tests/data/pictures/"

typedef struct loaded {
    char name[64];
    char *data;
    size_t bytes;
    fari_picture picture;
    int64_t height, width, channels; /* as it is looked at */
    float *want;                     /* what Pillow shows, in [0, 1] */
} loaded;

static inline far_status read_memory(const void *context, int64_t offset, void *out, size_t bytes)
{
    memcpy(out, (const char *)context + offset, bytes);
    return FAR_OK;
}

static inline far_status probe_memory(const char *label, const void *data, size_t bytes, fari_picture *picture_out)
{
    const fari_head_source source = { read_memory, data, (int64_t)bytes, label };
    return fari_picture_probe(&source, picture_out);
}

static inline fari_picture_file file_of(const loaded *l)
{
    return (fari_picture_file){
        .label = l->name, .data = (const uint8_t *)l->data, .bytes = l->bytes, .picture = l->picture
    };
}

static inline void load_picture(const char *name, loaded *out)
{
    char path[256], *npy_data = NULL;
    size_t npy_bytes = 0;
    fari_npy npy;
    (void)snprintf(out->name, sizeof out->name, "%s", name);
    (void)snprintf(path, sizeof path, PICTURES "%s", name);
    FAR_CHECK_OK(fari_file_read(path, 1 << 20, &out->data, &out->bytes));
    FAR_CHECK_OK(probe_memory(name, out->data, out->bytes, &out->picture));
    (void)snprintf(path, sizeof path, PICTURES "%s.npy", name);
    FAR_CHECK_OK(fari_file_read(path, 1 << 20, &npy_data, &npy_bytes));
    FAR_CHECK_OK(fari_npy_parse(name, npy_data, npy_bytes, (int64_t)npy_bytes, &npy));
    const bool is_wide = npy.type == FARI_NPY_I32; /* of pictures with 16 bits */
    out->height = npy.dim[0];
    out->width = npy.dim[1];
    out->channels = npy.dim[2];
    const int64_t elems = out->height * out->width * out->channels;
    out->want = malloc((size_t)elems * sizeof *out->want);
    for (int64_t i = 0; i < elems; i++) {
        int32_t wide;
        memcpy(&wide, npy_data + npy.first_byte + (is_wide ? 4 * i : 0), sizeof wide);
        const uint8_t byte = (uint8_t)npy_data[npy.first_byte + i];
        out->want[i] = is_wide ? (float)wide / 65535.0f : (float)byte / 255.0f;
    }
    fari_free(npy_data);
}

static inline void drop_picture(loaded *l)
{
    fari_free(l->data);
    free(l->want);
}

/* Calls `use` with each picture of decodes.txt. */
static inline int each_picture(void (*use)(const loaded *l))
{
    char name[64];
    int count = 0;
    FILE *list = fopen(PICTURES "decodes.txt", "r");
    FAR_CHECK(list != NULL);
    for (; fscanf(list, "%63s", name) == 1; count++) {
        loaded l;
        load_picture(name, &l);
        use(&l);
        drop_picture(&l);
    }
    (void)fclose(list);
    return count;
}
#endif
