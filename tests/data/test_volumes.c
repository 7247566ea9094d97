/* Volumes: NumPy arrays of four and five axes, made-up balls; slices lie one below the other. */
#include "base/file.h"
#include "base/mem.h"
#include "support/temp_folder.h"
#include "test.h"
#include <farandole/data.h>

static void put_npy(const char *name, const char *descr, const char *shape, const void *data, size_t bytes)
{
    char head[128];
    FILE *file = fopen(test_path(name), "wb");
    FAR_CHECK(file != NULL);
    const int used =
        snprintf(head + 10, sizeof head - 10, "{'descr': '%s', 'fortran_order': False, 'shape': %s, }", descr, shape);
    memset(head + 10 + used, ' ', sizeof head - 10 - (size_t)used);
    memcpy(head, "\x93NUMPY\x01\x00\x76\x00", 10);
    head[127] = '\n';
    FAR_CHECK(fwrite(head, 1, sizeof head, file) == sizeof head && fwrite(data, 1, bytes, file) == bytes);
    FAR_CHECK(fclose(file) == 0);
}

/* Opens what was put and gives the elements and labels of sample 1. */
static far_dataset_info open_and_read(bool channels_first, bool has_labels, float *image_out, int32_t *label_out)
{
    far_dataset *set = NULL;
    FAR_CHECK_OK(far_dataset_open_volumes(test_path("images"), has_labels ? test_path("labels") : NULL, channels_first,
                                          0, &set));
    const far_dataset_info info = far_dataset_info_of(set);
    FAR_CHECK_OK(far_dataset_read(set, 1, image_out, label_out));
    far_dataset_close(set);
    return info;
}

FAR_TEST(axes_of_arrays)
{
    float numbers[2 * 2 * 3 * 2 * 2], image[24]; /* two samples of 24 numbers */
    uint8_t maps[2 * 2 * 3 * 2];
    int32_t labels[24];
    for (int i = 0; i < 48; i++) numbers[i] = (float)i;
    for (int i = 0; i < 24; i++) maps[i] = (uint8_t)(i % 5);

    put_npy("images", "<f4", "(2, 2, 6, 2)", numbers, sizeof numbers); /* [N, D, H, W] */
    far_dataset_info info = open_and_read(false, false, image, NULL);
    FAR_CHECK(info.depth == 2 && info.height == 12 && info.width == 2 && info.channels == 1);
    for (int i = 0; i < 24; i++) FAR_CHECK(image[i] == numbers[24 + i]);

    put_npy("images", "<f4", "(2, 2, 3, 2, 2)", numbers, sizeof numbers); /* [N, D, H, W, C] */
    put_npy("labels", "|u1", "(2, 2, 3, 2)", maps, sizeof maps);
    info = open_and_read(false, true, image, labels);
    FAR_CHECK(info.depth == 2 && info.height == 6 && info.width == 2 && info.channels == 2);
    FAR_CHECK(info.label == FAR_LABEL_MAP && info.class_count == 5 && info.label_planes == 1);
    for (int i = 0; i < 24; i++) FAR_CHECK(image[i] == numbers[24 + i]);
    for (int i = 0; i < 12; i++) FAR_CHECK_EQ_I64(labels[i], maps[12 + i]);

    put_npy("images", "<f4", "(2, 2, 2, 3, 2)", numbers, sizeof numbers); /* [N, C, D, H, W] */
    info = open_and_read(true, true, image, labels);
    FAR_CHECK(info.depth == 2 && info.height == 6 && info.width == 2 && info.channels == 2);
    for (int voxel = 0; voxel < 12; voxel++)
        for (int c = 0; c < 2; c++) FAR_CHECK(image[2 * voxel + c] == numbers[24 + 12 * c + voxel]);

    far_dataset *set = NULL; /* five axes are volumes without being told */
    FAR_CHECK_OK(far_dataset_open_npy(test_path("images"), test_path("labels"), true, 0, &set));
    FAR_CHECK_EQ_I64(far_dataset_info_of(set).depth, 2);
    far_dataset_close(set);
    FAR_CHECK_EQ_I64(fari_alloc_live(), 0);
}

FAR_TEST(what_does_not_fit_is_told)
{
    const float numbers[24] = { 0.0f };
    const uint8_t maps[24] = { 0 };
    far_dataset *set = NULL;
    put_npy("images", "<f4", "(2, 2, 3, 2)", numbers, sizeof numbers);
    put_npy("labels", "|u1", "(2, 6, 2)", maps, sizeof maps);
    FAR_CHECK_STATUS(far_dataset_open_volumes(test_path("images"), test_path("labels"), false, 0, &set), FAR_E_FORMAT);
    FAR_CHECK_HAS(far_error_message(), "neither one axis (N) nor the volumes' N x 2 x 3 x 2");
    put_npy("images", "<f4", "(2, 6, 2)", numbers, sizeof numbers);
    FAR_CHECK_STATUS(far_dataset_open_volumes(test_path("images"), NULL, false, 0, &set), FAR_E_FORMAT);
    FAR_CHECK_HAS(far_error_message(), "3 axes; volumes need 4 (N, D, H, W)");
    put_npy("images", "<f4", "(24,)", numbers, sizeof numbers);
    FAR_CHECK_STATUS(far_dataset_open_npy(test_path("images"), NULL, false, 0, &set), FAR_E_FORMAT);
    FAR_CHECK_HAS(far_error_message(), "images need 2 (H, W), 3 (N, H, W) or 4 (N, H, W, C), volumes 5");
    FAR_CHECK_EQ_I64(fari_alloc_live(), 0);
}

FAR_TEST(volumes_in_a_folder)
{
    const float numbers[24] = { 0.0f };
    const uint8_t classes[2] = { 1, 0 };
    far_dataset *set = NULL;
    put_npy("train-images.npy", "<f4", "(2, 2, 3, 2)", numbers, sizeof numbers);
    put_npy("train-labels.npy", "|u1", "(2,)", classes, sizeof classes);
    FAR_CHECK_OK(far_dataset_open_folder(test_path(""), FAR_DATA_VOLUMES, FAR_DATA_TRAIN, false, 0, &set));
    FAR_CHECK_EQ_I64(far_dataset_info_of(set).depth, 2);
    FAR_CHECK(far_dataset_info_of(set).label == FAR_LABEL_CLASS);
    far_dataset_close(set);
    FAR_CHECK_OK(far_dataset_open_folder(test_path(""), FAR_DATA_AUTO, FAR_DATA_TRAIN, false, 0, &set));
    FAR_CHECK_EQ_I64(far_dataset_info_of(set).depth, 1); /* [N, H, W, C] */
    far_dataset_close(set);
}

/* Balls, not columns: labels change from slice to slice, and each class is there in some. */
FAR_TEST(made_up_balls)
{
    enum { D = 8, H = 24, W = 24 };
    static float image[D * H * W];
    static int32_t labels[D * H * W];
    far_dataset *set = NULL;
    const far_synthetic_opts opts = {
        .sample_count = 4, .depth = D, .height = H, .width = W, .class_count = 3, .label = FAR_LABEL_MAP, .seed = 1
    };
    int64_t changes = 0, same = 0, seen[3] = { 0 };
    FAR_CHECK_OK(far_dataset_open_synthetic(&opts, &set));
    FAR_CHECK(far_dataset_info_of(set).height == D * H && far_dataset_info_of(set).depth == D);
    for (int64_t i = 0; i < 4; i++) {
        FAR_CHECK_OK(far_dataset_read(set, i, image, labels));
        for (int k = 0; k < D * H * W; k++) seen[labels[k]]++;
        for (int k = H * W; k < D * H * W; k++) {
            changes += labels[k] != labels[k - H * W];
            same += labels[k] > 0 && labels[k] == labels[k - H * W];
        }
    }
    FAR_CHECK(seen[0] > seen[1] && seen[1] > 0 && seen[2] > 0);
    FAR_CHECK(changes > 50 && same > 50);
    far_dataset_close(set);
    FAR_CHECK_STATUS(far_dataset_open_synthetic(&(far_synthetic_opts){ .depth = -1 }, &set), FAR_E_ARG);
    FAR_CHECK_STATUS(far_dataset_open_synthetic(&(far_synthetic_opts){ .depth = 2, .vary = 0.5 }, &set), FAR_E_ARG);
}
