/* Sparse HDF5 files of liquid-argon images: written and read, files of others, damage. */
#include "base/file.h"
#include "base/mem.h"
#include "data/lartpc.h"
#include "test.h"
#include <farandole/lartpc.h>

#define HEIGHT 5
#define WIDTH 7
#define PIXELS (HEIGHT * WIDTH)

static const char *at(const char *name)
{
    static char paths[4][512];
    static int next;
    char *path = paths[next++ % 4];
    (void)snprintf(path, sizeof paths[0], "%s/%s", getenv("TMPDIR") != NULL ? getenv("TMPDIR") : "/tmp", name);
    return path;
}

/* Two events; plane 1 of the first is empty, plane 2 of the second is full. */
static const uint32_t ids_a[] = { 0, 4, 5, 34 }, ids_c[] = { 11 };
static const float values_a[] = { 5.5f, 6.0f, 2772.0f, 7.25f }, values_c[] = { -1.0f };
static const uint8_t labels_a[] = { 0, 1, 2, 1 }, labels_c[] = { 2 };
static uint32_t ids_all[PIXELS];
static float values_all[PIXELS];
static uint8_t labels_all[PIXELS];

static void put_file(const char *path)
{
    const fari_lartpc_frame frame = { HEIGHT, WIDTH, 3, 0.32, 0.3 };
    const fari_lartpc_plane first[3] = { { 4, ids_a, values_a, labels_a },
                                         { 0, NULL, NULL, NULL },
                                         { 1, ids_c, values_c, labels_c } };
    const fari_lartpc_plane second[3] = { { 1, ids_c, values_c, labels_c },
                                          { 4, ids_a, values_a, labels_a },
                                          { PIXELS, ids_all, values_all, labels_all } };
    const fari_lartpc_event events[2] = { { { 1, 2, 3 }, first, NULL, 0 }, { { 1, 2, 4 }, second, NULL, 0 } };
    fari_lartpc_writer *writer = NULL;
    for (uint32_t i = 0; i < PIXELS; i++) {
        ids_all[i] = i;
        values_all[i] = (float)(i + 1);
        labels_all[i] = (uint8_t)(i % 3);
    }
    FAR_CHECK_OK(fari_lartpc_create(path, &frame, &writer));
    for (int i = 0; i < 2; i++) FAR_CHECK_OK(fari_lartpc_append(writer, &events[i]));
    FAR_CHECK_OK(fari_lartpc_finish(writer));
}

static void check_samples(far_dataset *set)
{
    float image[PIXELS * 3];
    int32_t label[PIXELS * 3];
    const far_dataset_info info = far_dataset_info_of(set);
    FAR_CHECK(info.sample_count == 2 && info.height == HEIGHT && info.width == WIDTH && info.channels == 3);
    FAR_CHECK(info.label == FAR_LABEL_MAP && info.label_planes == 3 && info.class_count == 3 && !info.is_integer);
    FAR_CHECK_STR(far_dataset_class_name(set, 2), "neutrino");
    FAR_CHECK_OK(far_dataset_read(set, 0, image, label));
    for (int k = 0; k < PIXELS * 3; k++) { /* [y][x][plane]; id = x * height + y */
        const int plane = k % 3, x = k / 3 % WIDTH, y = k / 3 / WIDTH, id = x * HEIGHT + y;
        float value = 0.0f;
        int32_t class_idx = 0;
        for (int i = 0; i < 4 && plane == 0; i++)
            if ((int)ids_a[i] == id) {
                value = values_a[i];
                class_idx = labels_a[i];
            }
        if (plane == 2 && id == 11) {
            value = -1.0f;
            class_idx = 2;
        }
        FAR_CHECK_MSG(image[k] == value && label[k] == class_idx, "y %d x %d plane %d: %g, %d", y, x, plane,
                      (double)image[k], label[k]);
    }
    FAR_CHECK_OK(far_dataset_read(set, 1, image, label));
    for (int k = 2; k < PIXELS * 3; k += 3) {
        const int id = k / 3 % WIDTH * HEIGHT + k / 3 / WIDTH;
        FAR_CHECK(image[k] == (float)(id + 1) && label[k] == id % 3);
    }
}

FAR_TEST(what_is_written_is_read)
{
    far_dataset *set = NULL;
    put_file(at("events.h5"));
    const far_lartpc_opts never = { .keep_bytes = -1 };
    for (int i = 0; i < 2; i++) { /* kept in memory; read each time */
        FAR_CHECK_OK(far_dataset_open_lartpc(at("events.h5"), i == 0 ? NULL : &never, &set));
        check_samples(set);
        check_samples(set);
        far_dataset_close(set);
    }
    FAR_CHECK(!fari_path_exists(at("events.h5.part")));
    FAR_CHECK_EQ_I64(fari_alloc_live(), 0);
}

FAR_TEST(simulated_events_are_a_pure_function)
{
    const far_lartpc_sim_opts three = { .event_count = 3, .height = 320, .width = 512, .seed = 7 };
    far_lartpc_sim_opts last = three;
    far_dataset *all = NULL, *one = NULL;
    static float a[320 * 512 * 3], b[320 * 512 * 3];
    static int32_t la[320 * 512 * 3], lb[320 * 512 * 3];
    int64_t of_class[3] = { 0 };
    last.event_count = 1;
    last.first = 2;
    FAR_CHECK_OK(far_lartpc_simulate(&three, at("three.h5")));
    FAR_CHECK_OK(far_lartpc_simulate(&last, at("one.h5")));
    FAR_CHECK_OK(far_dataset_open_lartpc(at("three.h5"), NULL, &all));
    FAR_CHECK_OK(far_dataset_open_lartpc(at("one.h5"), NULL, &one));
    FAR_CHECK_OK(far_dataset_read(all, 2, a, la));
    FAR_CHECK_OK(far_dataset_read(one, 0, b, lb));
    FAR_CHECK_BITS("event 2", b, a, 320 * 512 * 3);
    FAR_CHECK(memcmp(la, lb, sizeof la) == 0);
    for (int i = 0; i < 320 * 512 * 3; i++) {
        of_class[la[i]]++;
        FAR_CHECK(a[i] == 0.0f || a[i] >= 5.0f);
    }
    for (int c = 0; c < 3; c++) FAR_CHECK(of_class[c] > 10);
    far_dataset_close(all);
    far_dataset_close(one);
    FAR_CHECK_EQ_I64(fari_alloc_live(), 0);
}
