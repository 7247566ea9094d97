/* Particles through argon, step by step: ionisation that fluctuates, electrons knocked free, scattering, radiation, interactions, decays. Simple forms of
   the usual formulas (PDG review, passage of particles through matter); enough to look and measure like such a detector, no tool for physics. */
#include "base/mem.h"
#include "sim/params.h"
#include "sim/sim.h"
#include <math.h>

#define ELECTRON_MEV 0.5109989
#define MOYAL_MEAN 1.27036284546 /* of -ln z^2, z standard normal: a variable of Moyal's density */
#define LOST_CM 40.0             /* so far outside, nothing comes back */
#define STACK_MAX 4096           /* a shower of 10 GeV has some hundred at once */

typedef struct journey {
    fari_sim_event *event;
    fari_sim_rng *rng;
    double late, deposited;
    uint8_t label;
} journey;

double fari_sim_mass(fari_sim_kind kind)
{
    static const double masses[FARI_SIM_KINDS] = { ELECTRON_MEV, 0.0, 105.658, 139.570, 938.272, 939.565 };
    return masses[kind];
}

static void push(const journey *trip, fari_sim_kind kind, double energy, fari_vec at, fari_vec dir)
{
    static const int32_t pdg[FARI_SIM_KINDS] = { 11, 22, 13, 211, 2212, 2112 };
    fari_sim_event *event = trip->event;
    if (event->stack_count >= STACK_MAX) return;
    if (!fari_reserve((void **)&event->stack, &event->stack_cap, event->stack_count + 1, sizeof *event->stack)) {
        event->failed = true;
        return;
    }
    event->stack[event->stack_count++] = (fari_sim_particle){ kind, pdg[kind], energy, at, dir };
}

void fari_sim_deposit_add(fari_sim_event *event, fari_vec at, double charge, double late, uint8_t label)
{
    if (!fari_reserve((void **)&event->deposits, &event->deposit_cap, event->deposit_count + 1,
                      sizeof *event->deposits)) {
        event->failed = true;
        return;
    }
    event->deposits[event->deposit_count++] =
        (fari_sim_deposit){ (float)at.x, (float)at.y, (float)at.z, (float)charge, (float)late, label };
}

/* `energy` over `length` (0: in a point, as densely as what stops). */
static void deposit(journey *trip, fari_vec at, double energy, double length)
{
    const double density = length > 0.0 ? energy / length : 10.0;
    if (energy <= 0.0 || !fari_sim_is_inside(at, 0.0)) return;
    trip->deposited += energy;
    fari_sim_deposit_add(trip->event, at, energy * SIM_BIRKS_A / (1.0 + SIM_BIRKS_K * density), trip->late,
                         trip->label);
}

/* --- ionisation --- */

typedef struct motion {
    double beta2, momentum, tmax; /* tmax: the most that one electron can get */
} motion;

static motion motion_of(fari_sim_kind kind, double energy)
{
    const double mass = fari_sim_mass(kind), total = energy + mass, p2 = energy * (energy + 2.0 * mass);
    const double ratio = ELECTRON_MEV / mass, gamma = total / mass;
    motion m = { .beta2 = p2 / (total * total), .momentum = sqrt(p2) };
    m.tmax = kind == FARI_SIM_ELECTRON
                 ? 0.5 * energy
                 : 2.0 * ELECTRON_MEV * p2 / (mass * mass) / (1.0 + 2.0 * gamma * ratio + ratio * ratio);
    return m;
}

/* Sternheimer's density effect in liquid argon. */
static double density_effect(double beta_gamma)
{
    const double x = fari_sim_log(beta_gamma) / 2.30258509299;
    if (x < 0.2) return 0.0;
    const double rest = x < 3.0 ? 3.0 - x : 0.0;
    const double delta = 2.0 * 2.30258509299 * x - 5.2146 + 0.19559 * rest * rest * rest;
    return delta > 0.0 ? delta : 0.0;
}

/* Bethe's formula without the electrons that are led on their own; MeV/cm. */
static double stopping_power(const motion *m, double mass)
{
    const double cut = m->tmax < SIM_DELTA_MEV ? m->tmax : SIM_DELTA_MEV;
    const double bg2 = m->momentum * m->momentum / (mass * mass);
    const double log_term =
        0.5 * fari_sim_log(2.0 * ELECTRON_MEV * bg2 * cut / (SIM_EXCITATION_MEV * SIM_EXCITATION_MEV));
    const double loss =
        SIM_BETHE / m->beta2 * (log_term - 0.5 * m->beta2 * (1.0 + cut / m->tmax) - 0.5 * density_effect(sqrt(bg2)));
    return loss > 1.0 ? loss : 1.0;
}

/* Energy lost in a step: narrow steps fluctuate towards large losses, as Landau and Moyal describe. */
static double step_loss(journey *trip, const motion *m, double power, double length)
{
    const double mean = power * length, width = 0.5 * SIM_BETHE / m->beta2 * length;
    double z, unused;
    fari_sim_normals(trip->rng, &z, &unused);
    const double moyal = -fari_sim_log(z * z + 1e-12) - MOYAL_MEAN;
    const double loss = mean + 1.4 * (width < 0.15 * mean ? width : 0.15 * mean) * moyal;
    return loss > 0.3 * mean ? loss : 0.3 * mean;
}

/* An electron knocked free now and then; gives its energy. */
static double maybe_delta(journey *trip, const motion *m, double length, fari_vec at, fari_vec dir)
{
    if (m->tmax <= SIM_DELTA_MEV) return 0.0;
    const double rate = 0.5 * SIM_BETHE / m->beta2 * length * (1.0 / SIM_DELTA_MEV - 1.0 / m->tmax);
    if (fari_sim_unit(trip->rng) >= rate) return 0.0;
    const double energy = SIM_DELTA_MEV / (1.0 - fari_sim_unit(trip->rng) * (1.0 - SIM_DELTA_MEV / m->tmax));
    if (fari_sim_unit(trip->rng) < m->beta2 * energy / m->tmax) return 0.0;
    const double cosine = sqrt(energy * (m->tmax + 2.0 * ELECTRON_MEV) / (m->tmax * (energy + 2.0 * ELECTRON_MEV)));
    push(trip, FARI_SIM_ELECTRON, energy, at, fari_sim_tilt(trip->rng, dir, cosine));
    return energy;
}

/* Highland's formula. */
static fari_vec scatter(journey *trip, const motion *m, double length, fari_vec dir)
{
    fari_vec a, b;
    double u, v;
    const double angle = 13.6 / (m->momentum * sqrt(m->beta2)) * sqrt(length / SIM_RADIATION_CM) *
                         (1.0 + 0.038 * fari_sim_log(length / SIM_RADIATION_CM));
    fari_sim_normals(trip->rng, &u, &v);
    fari_vec_basis(dir, &a, &b);
    u *= angle;
    v *= angle;
    return fari_vec_unit((fari_vec){ dir.x + u * a.x + v * b.x, dir.y + u * a.y + v * b.y, dir.z + u * a.z + v * b.z });
}

/* --- photons --- */

/* What the photon gives to an electron: Klein and Nishina by rejection. */
static void compton(journey *trip, double energy, fari_vec at, fari_vec dir)
{
    const double least = 1.0 / (1.0 + 2.0 * energy / ELECTRON_MEV), log_least = fari_sim_log(least);
    double kept = 1.0, cosine = 1.0;
    for (int i = 0; i < 100; i++) {
        kept = fari_sim_exp(log_least * fari_sim_unit(trip->rng));
        const double t = ELECTRON_MEV * (1.0 - kept) / (energy * kept), sine2 = t * (2.0 - t);
        cosine = 1.0 - t;
        if (2.0 * fari_sim_unit(trip->rng) < 1.0 + kept * kept - kept * sine2) break;
    }
    const double left = kept * energy;
    const fari_vec to = fari_sim_tilt(trip->rng, dir, cosine);
    const fari_vec recoil = { energy * dir.x - left * to.x, energy * dir.y - left * to.y,
                              energy * dir.z - left * to.z };
    push(trip, FARI_SIM_PHOTON, left, at, to);
    push(trip, FARI_SIM_ELECTRON, energy - left, at, fari_vec_unit(recoil));
}

/* Flies on to where it scatters or makes a pair. Attenuation in argon, 1/cm, by two formulas close to the tables of NIST. */
static void photon(journey *trip, const fari_sim_particle *p)
{
    const double scatter_rate = 0.0801 * fari_sim_exp(-(p->energy > 1.0 ? 0.6 : 0.45) * fari_sim_log(p->energy));
    const double pair_rate = p->energy > 1.1 ? 0.055 * (1.0 - fari_sim_exp((1.022 - p->energy) / 30.0)) : 0.0;
    if (p->energy < SIM_STOP_LIGHT_MEV) {
        deposit(trip, p->at, p->energy, 0.0);
        return;
    }
    const double flight = fari_sim_exponential(trip->rng) / (scatter_rate + pair_rate);
    const fari_vec at = fari_vec_along(p->at, p->dir, flight);
    if (!fari_sim_is_inside(at, LOST_CM)) return;
    if (fari_sim_unit(trip->rng) * (scatter_rate + pair_rate) >= pair_rate) {
        compton(trip, p->energy, at, p->dir);
        return;
    }
    const double energy = p->energy - 2.0 * ELECTRON_MEV, share = fari_sim_unit(trip->rng);
    for (int i = 0; i < 2; i++) {
        const double part = energy * (i == 0 ? share : 1.0 - share);
        const double angle = ELECTRON_MEV / (part + ELECTRON_MEV) * fari_sim_exponential(trip->rng);
        push(trip, FARI_SIM_ELECTRON, part, at, fari_sim_tilt(trip->rng, p->dir, 1.0 - 0.5 * angle * angle));
    }
}

/* Bremsstrahlung: gives the photon's energy, 0 where there is none. */
static double maybe_radiate(journey *trip, double energy, double length, fari_vec at, fari_vec dir)
{
    if (energy <= SIM_PHOTON_MEV) return 0.0;
    const double span = fari_sim_log(energy / SIM_PHOTON_MEV);
    if (fari_sim_unit(trip->rng) >= length / SIM_RADIATION_CM * (4.0 / 3.0) * span) return 0.0;
    const double share = fari_sim_exp(span * (fari_sim_unit(trip->rng) - 1.0));
    if (fari_sim_unit(trip->rng) > 1.0 - share + 0.75 * share * share) return 0.0;
    push(trip, FARI_SIM_PHOTON, share * energy, at, dir);
    return share * energy;
}

/* --- ends --- */

/* The electron of a muon's decay: density x^2 (3 - 2 x). */
static void michel(journey *trip, fari_vec at)
{
    double x = 1.0;
    for (int i = 0; i < 100; i++) {
        x = fari_sim_unit(trip->rng);
        if (fari_sim_unit(trip->rng) < x * x * (3.0 - 2.0 * x)) break;
    }
    push(trip, FARI_SIM_ELECTRON, 52.8 * x, at, fari_sim_isotropic(trip->rng));
}

/* A few protons and neutrons share an energy; what is left over goes into binding. */
static void break_up(journey *trip, double energy, fari_vec at, fari_vec dir)
{
    double left = energy;
    for (int i = 0; i < 4 && left > 15.0; i++) {
        const double part = left * fari_sim_between(trip->rng, 0.2, 0.7);
        const fari_vec around = fari_sim_isotropic(trip->rng);
        const fari_vec to = fari_vec_unit((fari_vec){ dir.x + around.x, dir.y + around.y, dir.z + around.z });
        push(trip, fari_sim_unit(trip->rng) < 0.5 ? FARI_SIM_PROTON : FARI_SIM_NEUTRON, part, at, to);
        left -= part + 8.0;
    }
}

static void stopped(journey *trip, fari_sim_kind kind, double energy, fari_vec at)
{
    deposit(trip, at, energy, 0.0);
    if (!fari_sim_is_inside(at, 0.0)) return;
    if (kind == FARI_SIM_MUON && fari_sim_unit(trip->rng) < 0.67) michel(trip, at); /* the others are captured */
    if (kind != FARI_SIM_PION) return;
    if (fari_sim_unit(trip->rng) < 0.5) push(trip, FARI_SIM_MUON, 4.1, at, fari_sim_isotropic(trip->rng));
    else break_up(trip, 90.0, at, fari_sim_isotropic(trip->rng)); /* a negative one is absorbed */
}

/* A pion or proton meets a nucleus. */
static void interact(journey *trip, fari_sim_kind kind, double energy, fari_vec at, fari_vec dir)
{
    const double kept = fari_sim_between(trip->rng, 0.1, 0.8) * energy, fate = fari_sim_unit(trip->rng);
    if (kind == FARI_SIM_PION && fate < 0.15) { /* becomes neutral, which is two photons */
        const double half = 0.5 * (kept + 135.0), cosine = fari_sim_between(trip->rng, 0.0, 1.0);
        push(trip, FARI_SIM_PHOTON, half, at, fari_sim_tilt(trip->rng, dir, cosine));
        push(trip, FARI_SIM_PHOTON, half, at, fari_sim_tilt(trip->rng, dir, cosine));
        break_up(trip, energy - kept, at, dir);
    } else if (kind == FARI_SIM_PION && fate < 0.5) {
        break_up(trip, energy + 100.0, at, dir); /* absorbed */
    } else {
        push(trip, kind, kept, at, fari_sim_tilt(trip->rng, dir, fari_sim_between(trip->rng, 0.3, 1.0)));
        break_up(trip, energy - kept, at, dir);
    }
}

/* --- a charged particle, a neutron --- */

static double free_path(journey *trip, fari_sim_kind kind)
{
    if (kind == FARI_SIM_PION) return SIM_PION_CM * fari_sim_exponential(trip->rng);
    if (kind == FARI_SIM_PROTON) return SIM_PROTON_CM * fari_sim_exponential(trip->rng);
    return 1e9;
}

/* Gives the length of its way in the argon. */
static double charged(journey *trip, fari_sim_particle p, fari_vec *end_out)
{
    const double mass = fari_sim_mass(p.kind), free = free_path(trip, p.kind);
    const double least = p.kind == FARI_SIM_ELECTRON ? SIM_STOP_LIGHT_MEV : SIM_STOP_HEAVY_MEV;
    double way = 0.0, inside = 0.0;
    while (p.energy > least && way < free && fari_sim_is_inside(p.at, 0.5)) {
        const motion m = motion_of(p.kind, p.energy);
        const double power = stopping_power(&m, mass), sense = 0.2 * p.energy / power;
        const double length = sense < 0.02 ? 0.02 : sense < SIM_STEP_CM ? sense : SIM_STEP_CM;
        double loss = step_loss(trip, &m, power, length);
        if (loss > p.energy) loss = p.energy;
        const fari_vec middle = fari_vec_along(p.at, p.dir, 0.5 * length);
        deposit(trip, middle, loss, length);
        if (fari_sim_is_inside(middle, 0.0)) inside += length;
        p.at = fari_vec_along(p.at, p.dir, length);
        p.energy -= loss;
        way += length;
        if (p.energy > least) p.energy -= maybe_delta(trip, &m, length, p.at, p.dir);
        if (p.kind == FARI_SIM_ELECTRON) p.energy -= maybe_radiate(trip, p.energy, length, p.at, p.dir);
        p.dir = scatter(trip, &m, length, p.dir);
    }
    *end_out = p.at;
    if (p.energy <= least) stopped(trip, p.kind, p.energy > 0.0 ? p.energy : 0.0, p.at);
    else if (way >= free) interact(trip, p.kind, p.energy, p.at, p.dir);
    return inside;
}

static void neutron(journey *trip, const fari_sim_particle *p)
{
    const fari_vec at = fari_vec_along(p->at, p->dir, SIM_NEUTRON_CM * fari_sim_exponential(trip->rng));
    if (p->energy < 8.0 || !fari_sim_is_inside(at, LOST_CM)) return;
    const double given = fari_sim_unit(trip->rng) * p->energy;
    push(trip, FARI_SIM_PROTON, given, at, fari_sim_tilt(trip->rng, p->dir, fari_sim_between(trip->rng, 0.2, 1.0)));
    push(trip, FARI_SIM_NEUTRON, p->energy - given, at,
         fari_sim_tilt(trip->rng, p->dir, fari_sim_between(trip->rng, 0.2, 1.0)));
}

fari_sim_track fari_sim_transport(fari_sim_event *event, const fari_sim_particle *particle, double late, uint8_t label)
{
    fari_sim_rng rng = fari_sim_rng_branch(event->key, (uint64_t)++event->primary_count);
    journey trip = { .event = event, .rng = &rng, .late = late, .label = label };
    fari_sim_track track = { .particle = *particle, .end = particle->at };
    bool is_first = true;
    event->stack_count = 0;
    push(&trip, particle->kind, particle->energy, particle->at, particle->dir);
    while (event->stack_count > 0 && !event->failed) {
        const fari_sim_particle p = event->stack[--event->stack_count];
        fari_vec end = p.at;
        double length = 0.0;
        if (p.kind == FARI_SIM_PHOTON) photon(&trip, &p);
        else if (p.kind == FARI_SIM_NEUTRON) neutron(&trip, &p);
        else length = charged(&trip, p, &end);
        if (is_first) {
            track.end = end;
            track.length = length;
        }
        is_first = false;
    }
    track.deposited = trip.deposited;
    return track;
}
