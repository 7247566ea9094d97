/* Events into a file. */
#include "base/mem.h"
#include "sim/sim.h"
#include <farandole/lartpc.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define SIDE_MIN 64
#define SIDE_MAX 131072
#define PIXELS_MAX (INT64_C(1) << 32) /* ids have 32 bits */
#define PLANES 3

static fari_h5_vertex vertex_of(fari_vec at)
{
    return (fari_h5_vertex){ at.x, at.y, at.z, 0.0 };
}

/* The neutrino is its own ancestor, and that of all others. */
static void particle_record(const fari_sim_event *event, int64_t idx, fari_h5_particle *out)
{
    const fari_sim_track *track = &event->tracks[idx], *neutrino = &event->tracks[0];
    const fari_sim_particle *p = &track->particle;
    const double mass = p->kind == FARI_SIM_KINDS ? 0.0 : fari_sim_mass(p->kind);
    const double momentum = 1e-3 * sqrt(p->energy * (p->energy + 2.0 * mass));
    const bool is_shower = p->kind == FARI_SIM_ELECTRON || p->kind == FARI_SIM_PHOTON;
    memset(out, 0, sizeof *out); /* the gaps between fields as well: they go to the file */
    out->id = out->mcst_idx = (uint16_t)idx;
    out->shape = p->kind == FARI_SIM_KINDS ? 2 : is_shower ? 0 : 1;
    out->current_type = event->is_charged_current ? 0 : 1;
    out->interaction_type = -1;
    out->track = (uint32_t)idx;
    out->pdg = p->pdg;
    out->px = momentum * p->dir.x;
    out->py = momentum * p->dir.y;
    out->pz = momentum * p->dir.z;
    out->vertex = out->first_step = vertex_of(p->at);
    out->end = out->last_step = vertex_of(track->end);
    out->distance = track->length;
    out->energy = 1e-3 * (p->energy + mass);
    out->energy_deposited = track->deposited;
    (void)snprintf(out->process, sizeof out->process, "primary");
    out->parent_pdg = out->ancestor_pdg = neutrino->particle.pdg;
    out->parent_vertex = out->ancestor_vertex = vertex_of(neutrino->particle.at);
}

static far_status write_event(fari_lartpc_writer *writer, const fari_sim_event *event, const fari_lartpc_plane *planes,
                              int64_t number)
{
    fari_h5_particle *particles = fari_alloc((size_t)event->track_count * sizeof *particles);
    if (particles == NULL) return FAR_FAIL(FAR_E_NOMEM, "no memory for the particles of an event");
    for (int64_t i = 0; i < event->track_count; i++) particle_record(event, i, &particles[i]);
    const fari_lartpc_event record = { { 1, 0, number }, planes, particles, event->track_count };
    const far_status st = fari_lartpc_append(writer, &record);
    fari_free(particles);
    return st;
}

static far_status simulate(const far_lartpc_sim_opts *opts, fari_sim_planes *planes, fari_lartpc_writer *writer)
{
    fari_sim_event event = { 0 };
    far_status st = FAR_OK;
    for (int64_t k = 0; k < opts->event_count; k++) {
        const fari_lartpc_plane *images = NULL;
        FAR_TRY_GOTO(fari_sim_event_make(&event, opts->seed, opts->first + k), free_event);
        FAR_TRY_GOTO(fari_sim_project(planes, &event, &images), free_event);
        FAR_TRY_GOTO(write_event(writer, &event, images, opts->first + k), free_event);
        if (opts->progress == NULL || opts->progress(opts->context, k + 1, opts->event_count)) continue;
        st = FAR_FAIL(FAR_E_STOPPED, "stopped after %" PRId64 " of %" PRId64 " events; nothing was kept", k + 1,
                      opts->event_count);
        goto free_event;
    }
free_event:
    fari_sim_event_free(&event);
    return st;
}

far_status far_lartpc_simulate(const far_lartpc_sim_opts *opts_in, const char *path)
{
    far_lartpc_sim_opts opts = *opts_in;
    fari_sim_planes *planes = NULL;
    fari_lartpc_writer *writer = NULL;
    far_status st;
    if (opts.event_count == 0) opts.event_count = 1;
    if (opts.height == 0 && opts.width == 0) {
        opts.height = 1280;
        opts.width = 2048;
    }
    if (opts.event_count < 1 || opts.first < 0)
        return FAR_FAIL(FAR_E_ARG, "%" PRId64 " events from number %" PRId64, opts.event_count, opts.first);
    if (opts.height < SIDE_MIN || opts.width < SIDE_MIN || opts.height > SIDE_MAX || opts.width > SIDE_MAX)
        return FAR_FAIL(FAR_E_ARG, "images of %" PRId64 " x %" PRId64 "; sides of %d to %d are served", opts.height,
                        opts.width, SIDE_MIN, SIDE_MAX);
    if (opts.height > PIXELS_MAX / opts.width)
        return FAR_FAIL(FAR_E_ARG, "images of %" PRId64 " x %" PRId64 "; the layout numbers at most 2^32 pixels",
                        opts.height, opts.width);
    if (opts.plane_count == 0) opts.plane_count = PLANES;
    if (opts.plane_count < 1 || opts.plane_count > PLANES)
        return FAR_FAIL(FAR_E_ARG, "%d planes; the detector has %d", (int)opts.plane_count, PLANES);
    FAR_TRY(fari_sim_planes_create(opts.height, opts.width, opts.plane_count, 0, &planes));
    const fari_lartpc_frame frame = fari_sim_frame(planes);
    st = fari_lartpc_create(path, &frame, &writer);
    if (st == FAR_OK) {
        st = simulate(&opts, planes, writer);
        if (st == FAR_OK) st = fari_lartpc_finish(writer);
        else fari_lartpc_abandon(writer);
    }
    fari_sim_planes_destroy(planes);
    return st == FAR_OK ? FAR_OK : fari_trace_push(st, __FILE__, __LINE__, __func__);
}
