/* Pictures and NumPy arrays of predictions: values by hand. */
#include "support/temp_folder.h"
#include "test.h"
#include <farandole/data.h>
#include <farandole/picture.h>
#include <unistd.h>

FAR_TEST(classes_and_probabilities)
{
    /* three classes, two pixels; then one class */
    const float logits[] = { 0.0F, 5.0F, 0.0F, 5.0F, (float)M_LN2, -1000.0F };
    const far_prediction map = { .shape = { 3, { 3, 1, 2 } }, .elems = logits };
    int32_t classes[2];
    float p[6];
    far_prediction_classes(&map, classes);
    FAR_CHECK_EQ_I64(classes[0], 2);
    FAR_CHECK_EQ_I64(classes[1], 0); /* the first of two equal ones */
    far_prediction_probabilities(&map, p);
    FAR_CHECK_NEAR(p[0], 0.25, 1e-6);
    FAR_CHECK_NEAR(p[4], 0.5, 1e-6);
    FAR_CHECK_NEAR(p[3], 0.5, 1e-6);
    FAR_CHECK_NEAR(p[5], 0.0, 1e-6);
    const far_prediction one = { .shape = { 3, { 1, 1, 2 } }, .elems = logits };
    far_prediction_classes(&one, classes);
    FAR_CHECK(classes[0] == 0 && classes[1] == 1);
    far_prediction_probabilities(&one, p);
    FAR_CHECK_NEAR(p[0], 0.5, 1e-6);
    FAR_CHECK_NEAR(p[1], 1.0 / (1.0 + exp(-5.0)), 1e-6);
}

FAR_TEST(bytes_come_back_through_normalisation)
{
    const float mean[] = { 0.25F }, deviation[] = { 0.5F };
    float image[6];
    far_picture picture;
    for (int i = 0; i < 6; i++) image[i] = ((float)(i * 50) / 255.0F - mean[0]) / deviation[0];
    const far_prediction p = { .height = 2,
                               .width = 3,
                               .channels = 1,
                               .image = image,
                               .mean = mean,
                               .std = deviation,
                               .is_byte = true,
                               .map_count = 1 };
    FAR_CHECK_OK(far_picture_of_image(&p, 1, &picture));
    FAR_CHECK(picture.height == 2 && picture.width == 3 && picture.channels == 1 && !picture.is_classes);
    for (int i = 0; i < 6; i++) FAR_CHECK_EQ_I64(picture.pixels[i], i * 50);
    far_picture_free(&picture);
    /* blocks of 2 x 2: the last column stands alone */
    FAR_CHECK_OK(far_picture_of_image(&p, 2, &picture));
    FAR_CHECK(picture.height == 1 && picture.width == 2);
    FAR_CHECK_EQ_I64(picture.pixels[0], (0 + 50 + 150 + 200) / 4);
    FAR_CHECK_EQ_I64(picture.pixels[1], (100 + 250) / 2);
    far_picture_free(&picture);
    FAR_CHECK_STATUS(far_picture_of_image(&p, 0, &picture), FAR_E_ARG);
}

FAR_TEST(planes_and_colours)
{
    const float image[] = { 0.0F, 0.2F, 1.0F, 1.0F, 0.6F, 0.0F }; /* 1 x 2 pixels of three channels */
    far_picture picture;
    far_prediction p = { .height = 1, .width = 2, .channels = 3, .image = image, .is_byte = true, .map_count = 1 };
    FAR_CHECK_OK(far_picture_of_image(&p, 1, &picture));
    FAR_CHECK(picture.channels == 3 && picture.pixels[1] == 51 && picture.pixels[3] == 255 && picture.pixels[4] == 153);
    far_picture_free(&picture);
    p.map_count = 3; /* an output a channel: each shows its own */
    p.map = 1;
    FAR_CHECK_OK(far_picture_of_image(&p, 1, &picture));
    FAR_CHECK(picture.channels == 1 && picture.pixels[0] == 51 && picture.pixels[1] == 153);
    far_picture_free(&picture);
}

FAR_TEST(sparse_images_come_dark_on_white)
{
    float image[100] = { 0.0F };
    far_picture picture;
    for (int i = 0; i < 10; i++) image[i] = 4.0F;
    image[3] = 1.0F;
    const far_prediction p = { .height = 10, .width = 10, .channels = 1, .image = image, .map_count = 1 };
    FAR_CHECK_OK(far_picture_of_image(&p, 1, &picture));
    FAR_CHECK(picture.pixels[50] == 255 && picture.pixels[0] == 0);
    FAR_CHECK(picture.pixels[3] > 100 && picture.pixels[3] < 200);
    far_picture_free(&picture);
    image[0] = NAN; /* odd, but drawn */
    image[1] = INFINITY;
    FAR_CHECK_OK(far_picture_of_image(&p, 1, &picture));
    far_picture_free(&picture);
}

FAR_TEST(maps_shrink_to_their_largest_class_and_lie_over_images)
{
    const int32_t labels[] = { 0, 1, 0, -1, 0, 2, 300, -1 }; /* 2 x 4 */
    far_picture classes, image, over;
    uint8_t colour[3];
    FAR_CHECK_OK(far_picture_of_classes(labels, 2, 4, 1, &classes));
    FAR_CHECK(classes.is_classes && classes.pixels[1] == 1 && classes.pixels[5] == 2);
    FAR_CHECK(classes.pixels[3] == FAR_PICTURE_NO_CLASS && classes.pixels[6] == FAR_PICTURE_NO_CLASS);
    const float grey[] = { 0.0F, 0.0F, 0.0F, 0.0F, 1.0F, 1.0F, 1.0F, 1.0F };
    const far_prediction p = { .height = 2, .width = 4, .channels = 1, .image = grey, .is_byte = true, .map_count = 1 };
    FAR_CHECK_OK(far_picture_of_image(&p, 1, &image));
    FAR_CHECK_OK(far_picture_overlay(&image, &classes, &over));
    far_class_colour(2, colour);
    FAR_CHECK(over.channels == 3 && over.pixels[0] == 0 && over.pixels[3 * 4] == 255 && over.pixels[3 * 3] == 0);
    for (int c = 0; c < 3; c++) FAR_CHECK_EQ_I64(over.pixels[3 * 5 + c], (255 * 2 + colour[c] * 3) / 5);
    far_picture_free(&over);
    far_picture_free(&classes);
    FAR_CHECK_OK(far_picture_of_classes(labels, 2, 4, 2, &classes));
    FAR_CHECK(classes.height == 1 && classes.width == 2 && classes.pixels[0] == 2);
    FAR_CHECK_STATUS(far_picture_overlay(&image, &classes, &over), FAR_E_SHAPE);
    far_picture_free(&classes);
    far_picture_free(&image);
}

FAR_TEST(every_class_has_a_colour)
{
    uint8_t a[3], b[3];
    for (int32_t i = 0; i < 9; i++) {
        far_class_colour(i, a);
        far_class_colour(i + 1, b);
        FAR_CHECK_MSG(abs(a[0] - b[0]) + abs(a[1] - b[1]) + abs(a[2] - b[2]) > 100, "classes %d and %d", i, i + 1);
    }
    far_class_colour(254, a);
    far_class_colour(255, b);
    FAR_CHECK(b[0] == 255 && b[1] == 255 && b[2] == 255);
    far_class_colour(-1, b);
    FAR_CHECK(b[0] == 255);
}

FAR_TEST(npy_grows_and_reads_back)
{
    const far_shape item = { 2, { 2, 3 } };
    const float first[] = { 1, 2, 3, 4, 5, 6 }, second[] = { 7, 8, 9, 10, 11, 12.5F };
    float back[6];
    far_npy *npy = NULL;
    far_dataset *set = NULL;
    FAR_CHECK_OK(far_npy_create(test_path("a.npy"), FAR_NPY_F32, &item, false, &npy));
    FAR_CHECK(access(test_path("a.npy"), F_OK) != 0); /* not there before it is complete */
    FAR_CHECK_OK(far_npy_add(npy, first, 1));
    FAR_CHECK_OK(far_npy_add(npy, second, 1));
    FAR_CHECK_OK(far_npy_close(npy, true));
    FAR_CHECK_OK(far_dataset_open_npy(test_path("a.npy"), NULL, false, 0, &set));
    const far_dataset_info info = far_dataset_info_of(set);
    FAR_CHECK(info.sample_count == 2 && info.height == 2 && info.width == 3 && info.channels == 1);
    FAR_CHECK_OK(far_dataset_read(set, 1, back, NULL));
    FAR_CHECK(back[0] == 7.0F && back[5] == 12.5F);
    far_dataset_close(set);
    FAR_CHECK_OK(far_npy_create(test_path("b.npy"), FAR_NPY_U8, &item, true, &npy));
    FAR_CHECK_OK(far_npy_close(npy, false));
    FAR_CHECK(access(test_path("b.npy"), F_OK) != 0);
    FAR_CHECK_STATUS(far_npy_create("/no/such/folder/x.npy", FAR_NPY_I32, &item, true, &npy), FAR_E_NOTFOUND);
}
