/* The simulator: its functions, and what makes its files data to rely on. */
#include "base/file.h"
#include "base/mem.h"
#include "sim/params.h"
#include "sim/sim.h"
#include "support/temp_folder.h"
#include "test.h"
#include <farandole/lartpc.h>

FAR_TEST(own_functions)
{
    static fari_sim_normal_table table;
    double s, c;
    for (double x = 1e-12; x < 1e12; x *= 1.37) FAR_CHECK_NEAR(fari_sim_log(x), log(x), 1e-14 * (1.0 + fabs(log(x))));
    for (double x = -600.0; x < 600.0; x += 0.731) FAR_CHECK_NEAR(fari_sim_exp(x) / exp(x), 1.0, 2e-13);
    for (double u = 0.0; u < 1.0; u += 0.00137) {
        fari_sim_sincos(u, &s, &c);
        FAR_CHECK_NEAR(s, sin(6.283185307179586 * u), 1e-14);
        FAR_CHECK_NEAR(c, cos(6.283185307179586 * u), 1e-14);
    }
    fari_sim_normal_fill(&table);
    for (double t = -9.0; t < 9.0; t += 0.013)
        FAR_CHECK_NEAR(fari_sim_phi(&table, (float)t), 0.5 * erfc(-t / sqrt(2.0)), 3e-6);
}

FAR_TEST(poisson_and_normal)
{
    fari_sim_rng rng = fari_sim_rng_branch(5, 1);
    static const double means[] = { 0.3, 6.5, 90.0, 1500.0 };
    for (size_t i = 0; i < FAR_COUNT(means); i++) {
        double sum = 0.0, sum2 = 0.0;
        for (int k = 0; k < 2000; k++) {
            const double n = (double)fari_sim_poisson(&rng, means[i]);
            sum += n;
            sum2 += n * n;
        }
        const double mean = sum / 2000.0;
        FAR_CHECK_NEAR(mean, means[i], 5.0 * sqrt(means[i] / 2000.0));
        FAR_CHECK_NEAR((sum2 / 2000.0 - mean * mean) / means[i], 1.0, 0.2);
    }
}

/* On average particles come to rest where Bethe's whole formula, integrated, says: what is cut off it comes back as electrons knocked free. */
FAR_TEST(ranges_of_particles)
{
    static const struct {
        fari_sim_kind kind;
        double energy, range, within;
    } cases[] = {
        { FARI_SIM_MUON, 100.0, 30.4, 0.03 },
        { FARI_SIM_MUON, 300.0, 123.6, 0.03 },
        { FARI_SIM_PROTON, 100.0, 7.78, 0.04 },
    };
    for (size_t i = 0; i < FAR_COUNT(cases); i++) {
        fari_sim_event event = { .key = 77 };
        const fari_sim_particle p = { cases[i].kind, 0, cases[i].energy, { 50.0, 0.0, 50.0 }, { 0.0, 0.0, 1.0 } };
        double sum = 0.0;
        int64_t count = 0;
        for (int k = 0; k < 60; k++) {
            const fari_sim_track track = fari_sim_transport(&event, &p, 0.0, FARI_SIM_COSMIC);
            if (cases[i].kind == FARI_SIM_PROTON && track.length < 0.7 * cases[i].range)
                continue; /* it met a nucleus */
            sum += track.length;
            count++;
        }
        FAR_CHECK(count > 40);
        FAR_CHECK_NEAR(sum / (double)count / cases[i].range, 1.0, cases[i].within);
        fari_sim_event_free(&event);
    }
    FAR_CHECK_EQ_I64(fari_alloc_live(), 0);
}

/* A shower's energy stays in the detector, and what is deposited never exceeds what came. */
FAR_TEST(energy_is_kept)
{
    static const fari_sim_kind kinds[] = { FARI_SIM_ELECTRON, FARI_SIM_PHOTON, FARI_SIM_MUON };
    for (size_t i = 0; i < FAR_COUNT(kinds); i++) {
        fari_sim_event event = { .key = 5 };
        const fari_sim_particle p = { kinds[i], 0, 300.0, { 100.0, 0.0, 100.0 }, { 0.0, 0.0, 1.0 } };
        double sum = 0.0;
        const double rest = kinds[i] == FARI_SIM_MUON ? 52.8 : 1e-6; /* a muon's mass becomes an electron's energy */
        for (int k = 0; k < 40; k++) {
            const double got = fari_sim_transport(&event, &p, 0.0, FARI_SIM_COSMIC).deposited;
            FAR_CHECK(got > 0.0 && got <= 300.0 + rest);
            sum += got;
        }
        FAR_CHECK(sum / 40.0 > 0.85 * 300.0);
        fari_sim_event_free(&event);
    }
}

/* A point of charge is seen where it should be by all three planes. */
FAR_TEST(places_on_planes)
{
    fari_sim_planes *planes = NULL;
    const fari_lartpc_plane *images = NULL;
    fari_sim_event event = { .key = 3 };
    FAR_CHECK_OK(fari_sim_planes_create(1280, 2048, 3, 0, &planes));
    fari_sim_deposit_add(&event, (fari_vec){ 96.0, 60.0, 100.0 }, 5.0, 0.0, FARI_SIM_NEUTRINO);
    fari_sim_deposit_add(&event, (fari_vec){ -96.0, -60.0, 400.0 }, 5.0, 32.0, FARI_SIM_COSMIC);
    fari_sim_deposit_add(&event, (fari_vec){ 5.0, 0.0, 250.0 }, 5.0, 32.0, FARI_SIM_COSMIC); /* too late to be seen */
    FAR_CHECK_OK(fari_sim_project(planes, &event, &images));
    for (int p = 0; p < 3; p++) {
        double best[3] = { 0.0, 0.0, 0.0 };
        int64_t x[3] = { 0 }, y[3] = { 0 };
        for (int64_t i = 0; i < images[p].count; i++) {
            const int label = images[p].labels[i];
            if (i > 0) FAR_CHECK(images[p].ids[i] > images[p].ids[i - 1]);
            FAR_CHECK(images[p].values[i] >= 5.0f);
            if ((double)images[p].values[i] <= best[label]) continue;
            best[label] = (double)images[p].values[i];
            x[label] = images[p].ids[i] / 1280;
            y[label] = images[p].ids[i] % 1280;
        }
        const double sign = p == 0 ? 1.0 : -1.0;
        const double u = p == 2 ? -150.0 : 0.5 * -150.0 + sign * 0.8660254 * 60.0;
        const double v = p == 2 ? 150.0 : 0.5 * 150.0 - sign * 0.8660254 * 60.0;
        FAR_CHECK_NEAR(x[2], 1024.0 + u / 0.3, 1.5);
        FAR_CHECK_NEAR(y[2], 640.0 + 96.0 / 0.32, 1.5);
        FAR_CHECK_NEAR(x[1], 1024.0 + v / 0.3, 1.5);
        FAR_CHECK_NEAR(y[1], 640.0 - (96.0 - 32.0) / 0.32, 1.5);
    }
    FAR_CHECK_OK(fari_sim_project(planes, &event, &images)); /* nothing is left of the first time */
    const int64_t count = images[0].count;
    FAR_CHECK_OK(fari_sim_project(planes, &event, &images));
    FAR_CHECK_EQ_I64(images[0].count, count);
    fari_sim_planes_destroy(planes);
    fari_sim_event_free(&event);
    FAR_CHECK_EQ_I64(fari_alloc_live(), 0);
}

/* An image that is made in narrow strips, and a plane that is made alone, are the same; tall ones hold tracks as well. */
FAR_TEST(strips_and_single_planes)
{
    fari_sim_planes *whole = NULL, *strips = NULL, *last = NULL, *tall = NULL;
    const fari_lartpc_plane *want = NULL, *got = NULL, *alone = NULL;
    fari_sim_event event = { 0 };
    FAR_CHECK_OK(fari_sim_event_make(&event, 3, 1));
    FAR_CHECK_OK(fari_sim_planes_create(320, 512, 3, 0, &whole));
    FAR_CHECK_OK(fari_sim_planes_create(320, 512, 3, INT64_C(7) * 320 * 12, &strips));
    FAR_CHECK_OK(fari_sim_planes_create(320, 512, 1, 1, &last));
    FAR_CHECK_OK(fari_sim_planes_create(65536, 64, 1, 0, &tall));
    for (int again = 0; again < 2; again++) {
        FAR_CHECK_OK(fari_sim_project(whole, &event, &want));
        FAR_CHECK_OK(fari_sim_project(strips, &event, &got));
        FAR_CHECK_OK(fari_sim_project(last, &event, &alone));
        for (int p = 0; p < 4; p++) {
            const fari_lartpc_plane *a = &want[p < 3 ? p : 2], *b = p < 3 ? &got[p] : alone;
            FAR_CHECK_EQ_I64(b->count, a->count);
            FAR_CHECK(memcmp(b->ids, a->ids, (size_t)a->count * sizeof *a->ids) == 0);
            FAR_CHECK_BITS("counts", b->values, a->values, a->count);
            FAR_CHECK(memcmp(b->labels, a->labels, (size_t)a->count) == 0);
        }
    }
    FAR_CHECK_EQ_I64(fari_sim_frame(last).planes, 1);
    FAR_CHECK_OK(fari_sim_project(tall, &event, &got));
    FAR_CHECK(got->count > 1000 && got->ids[got->count - 1] < 65536 * 64);
    fari_sim_planes_destroy(whole);
    fari_sim_planes_destroy(strips);
    fari_sim_planes_destroy(last);
    fari_sim_planes_destroy(tall);
    fari_sim_event_free(&event);
    FAR_CHECK_EQ_I64(fari_alloc_live(), 0);
}

/* Whatever else is in the file, an event is the same; and the file itself is the same bytes. */
FAR_TEST(events_are_a_pure_function)
{
    const far_lartpc_sim_opts three = { .event_count = 3, .height = 320, .width = 512, .seed = 7 };
    far_lartpc_sim_opts last = three;
    far_dataset *all = NULL, *one = NULL;
    static float a[320 * 512 * 3], b[320 * 512 * 3];
    static int32_t la[320 * 512 * 3], lb[320 * 512 * 3];
    int64_t of_class[3] = { 0 };
    char *first = NULL, *second = NULL;
    size_t bytes = 0, bytes_again = 0;
    last.event_count = 1;
    last.first = 2;
    FAR_CHECK_OK(far_lartpc_simulate(&three, test_path("three.h5")));
    FAR_CHECK_OK(far_lartpc_simulate(&three, test_path("again.h5")));
    FAR_CHECK_OK(far_lartpc_simulate(&last, test_path("one.h5")));
    FAR_CHECK_OK(fari_file_read(test_path("three.h5"), 1 << 26, &first, &bytes));
    FAR_CHECK_OK(fari_file_read(test_path("again.h5"), 1 << 26, &second, &bytes_again));
    FAR_CHECK(bytes == bytes_again && memcmp(first, second, bytes) == 0);
    fari_free(first);
    fari_free(second);
    FAR_CHECK_OK(far_dataset_open_lartpc(test_path("three.h5"), NULL, &all));
    FAR_CHECK_OK(far_dataset_open_lartpc(test_path("one.h5"), NULL, &one));
    FAR_CHECK_OK(far_dataset_read(all, 2, a, la));
    FAR_CHECK_OK(far_dataset_read(one, 0, b, lb));
    FAR_CHECK_BITS("event 2", b, a, 320 * 512 * 3);
    FAR_CHECK(memcmp(la, lb, sizeof la) == 0);
    for (int i = 0; i < 320 * 512 * 3; i++) {
        of_class[la[i]]++;
        FAR_CHECK(a[i] == 0.0f ? la[i] == 0 : a[i] >= 5.0f);
    }
    for (int k = 0; k < 3; k++) FAR_CHECK(of_class[k] > 10);
    far_dataset_close(all);
    far_dataset_close(one);
    FAR_CHECK_EQ_I64(fari_alloc_live(), 0);
}

/* The same on every machine: a sum over all charge of some events, to the last bit. Other figures here mean other data: see sim/params.h. */
FAR_TEST(same_bits_everywhere)
{
    fari_sim_event event = { 0 };
    uint64_t sum = 0;
    for (int64_t k = 0; k < 4; k++) {
        FAR_CHECK_OK(fari_sim_event_make(&event, 1, k));
        for (int64_t i = 0; i < event.deposit_count; i++) {
            uint32_t bits[5];
            memcpy(bits, &event.deposits[i].x, sizeof bits);
            for (int j = 0; j < 5; j++) sum = fari_mix64(sum + bits[j]);
        }
    }
    fari_sim_event_free(&event);
    FAR_CHECK_EQ_U64(sum, UINT64_C(0x67d98fb2529c44f2));
}

static bool stop_after_two(void *context, int64_t done, int64_t total)
{
    *(int64_t *)context = total;
    return done < 2;
}

FAR_TEST(wrong_wishes_and_stopping)
{
    far_lartpc_sim_opts opts = { .event_count = -1 };
    int64_t total = 0;
    FAR_CHECK_STATUS(far_lartpc_simulate(&opts, test_path("x.h5")), FAR_E_ARG);
    opts = (far_lartpc_sim_opts){ .height = 32, .width = 512 };
    FAR_CHECK_STATUS(far_lartpc_simulate(&opts, test_path("x.h5")), FAR_E_ARG);
    opts = (far_lartpc_sim_opts){ .height = 320, .width = 140000 };
    FAR_CHECK_STATUS(far_lartpc_simulate(&opts, test_path("x.h5")), FAR_E_ARG);
    opts = (far_lartpc_sim_opts){
        .event_count = 5, .height = 64, .width = 128, .progress = stop_after_two, .context = &total
    };
    FAR_CHECK_STATUS(far_lartpc_simulate(&opts, test_path("x.h5")), FAR_E_STOPPED);
    FAR_CHECK(total == 5 && !fari_path_exists(test_path("x.h5")) && !fari_path_exists(test_path("x.h5.part")));
    opts.progress = NULL;
    FAR_CHECK_STATUS(far_lartpc_simulate(&opts, "/no/such/folder/x.h5"), FAR_E_IO);
    FAR_CHECK_HAS(far_error_message(), "/no/such/folder/x.h5");
    FAR_CHECK_STATUS(far_lartpc_simulate(&opts, "/dev/full/x.h5"), FAR_E_IO);
    FAR_CHECK_EQ_I64(fari_alloc_live(), 0);
}
