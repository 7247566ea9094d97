/* The simulator of a liquid-argon detector: particles (cosmic.c, neutrino.c) are led through the argon (transport.c) and leave charge, which drifts to
   three planes of wires (planes.c). An event is put together in event.c; simulate.c writes many of them. Every number that was chosen is in params.h.
   Lengths in cm, energies in MeV. x is the drift direction (the cathode is at 0, wires at both ends), y points up, z along the beam. */
#ifndef FARI_SIM_SIM_H
#define FARI_SIM_SIM_H
#include "base/status.h"
#include "data/lartpc.h"
#include "sim/sim_rng.h"

typedef struct fari_vec {
    double x, y, z;
} fari_vec;

typedef enum fari_sim_kind {
    FARI_SIM_ELECTRON = 0,
    FARI_SIM_PHOTON,
    FARI_SIM_MUON,
    FARI_SIM_PION,
    FARI_SIM_PROTON,
    FARI_SIM_NEUTRON,
    FARI_SIM_KINDS
} fari_sim_kind;

typedef struct fari_sim_particle {
    fari_sim_kind kind;
    int32_t pdg;
    double energy; /* kinetic */
    fari_vec at, dir;
} fari_sim_particle;

enum { FARI_SIM_BACKGROUND = 0, FARI_SIM_COSMIC, FARI_SIM_NEUTRINO };

/* Charge in one place, in MeV of ionisation that survives recombination. */
typedef struct fari_sim_deposit {
    float x, y, z, charge;
    float late; /* cm that it seems to have drifted more, because it came late */
    uint8_t label;
} fari_sim_deposit;

/* What became of a particle that a generator made. */
typedef struct fari_sim_track {
    fari_sim_particle particle;
    fari_vec end;
    double length, deposited; /* cm in the argon; MeV, with all that it set free */
} fari_sim_track;

/* Grows; a failure for want of memory is sticky. Zeroed to begin with. */
typedef struct fari_sim_event {
    uint64_t key;
    fari_sim_deposit *deposits;
    int64_t deposit_count, deposit_cap;
    fari_sim_track *tracks; /* of the neutrino's particles; the first is the neutrino */
    int64_t track_count, track_cap;
    bool is_charged_current;
    int64_t primary_count; /* so far: each has a stream of its own */
    fari_sim_particle *stack;
    int64_t stack_count, stack_cap;
    bool failed;
} fari_sim_event;

/* Mass by kind, MeV. */
double fari_sim_mass(fari_sim_kind kind);
static inline fari_vec fari_vec_along(fari_vec at, fari_vec dir, double length)
{
    return (fari_vec){ at.x + length * dir.x, at.y + length * dir.y, at.z + length * dir.z };
}
static inline double fari_vec_dot(fari_vec a, fari_vec b)
{
    return a.x * b.x + a.y * b.y + a.z * b.z;
}
fari_vec fari_vec_unit(fari_vec v);
/* Two unit vectors that make a right-handed system with a unit vector. */
void fari_vec_basis(fari_vec dir, fari_vec *a_out, fari_vec *b_out);
/* A direction at the angle of cosine `cosine` to `dir`, around it anywhere. */
fari_vec fari_sim_tilt(fari_sim_rng *rng, fari_vec dir, double cosine);
fari_vec fari_sim_isotropic(fari_sim_rng *rng);
bool fari_sim_is_inside(fari_vec at, double margin); /* the argon, larger by a margin all around */
/* How far it is along a line into the argon and out again; false: it misses. */
bool fari_sim_crossing(fari_vec at, fari_vec dir, double *enter_out, double *leave_out);

void fari_sim_deposit_add(fari_sim_event *event, fari_vec at, double charge, double late, uint8_t label);
/* Leads a particle, and all it sets free, through the argon. */
fari_sim_track fari_sim_transport(fari_sim_event *event, const fari_sim_particle *particle, double late, uint8_t label);
void fari_sim_cosmics(fari_sim_event *event);
void fari_sim_neutrino(fari_sim_event *event);

/* Room for one event's images, the last `count` of its three planes; made once, used for many. strip_bytes: that images take
   while they are dense, a strip of columns at a time, 0: the usual; what comes out does not depend on it. */
typedef struct fari_sim_planes fari_sim_planes;
far_status fari_sim_planes_create(int64_t height, int64_t width, int32_t count, int64_t strip_bytes,
                                  fari_sim_planes **planes_out);
void fari_sim_planes_destroy(fari_sim_planes *planes);
fari_lartpc_frame fari_sim_frame(const fari_sim_planes *planes);
/* Fills the images of an event; borrowed until the next call. */
far_status fari_sim_project(fari_sim_planes *planes, const fari_sim_event *event, const fari_lartpc_plane **planes_out);

/* Particles and deposits of event `number`. Arrays are used again. */
far_status fari_sim_event_make(fari_sim_event *event, uint64_t seed, int64_t number);
void fari_sim_event_free(fari_sim_event *event);
#endif
