/* A neutrino's interaction: a lepton or none, and what the struck nucleus sends out. Shares of energy and directions are plausible, not calculated. */
#include "base/mem.h"
#include "sim/params.h"
#include "sim/sim.h"

#define PRONGS_MAX 24

typedef struct interaction {
    fari_sim_particle prongs[PRONGS_MAX];
    int32_t count;
    fari_vec at;
    double energy;
    int32_t pdg;
    bool is_charged; /* current */
} interaction;

static void add(interaction *it, fari_sim_kind kind, int32_t pdg, double energy, fari_vec dir)
{
    if (it->count < PRONGS_MAX && energy > 0.0)
        it->prongs[it->count++] = (fari_sim_particle){ kind, pdg, energy, it->at, dir };
}

/* Towards `dir` by `share`, else anywhere. */
static fari_vec roughly(fari_sim_rng *rng, fari_vec dir, double share)
{
    const fari_vec any = fari_sim_isotropic(rng);
    return fari_vec_unit((fari_vec){ share * dir.x + any.x, share * dir.y + any.y, share * dir.z + any.z });
}

/* Two photons, even in the pion's own frame. */
static void neutral_pion(interaction *it, fari_sim_rng *rng, double kinetic, fari_vec dir)
{
    const double mass = 134.977, total = kinetic + mass, momentum = sqrt(kinetic * (kinetic + 2.0 * mass));
    const double beta = momentum / total, cosine = fari_sim_between(rng, -1.0, 1.0);
    fari_vec a, b;
    double s, c;
    fari_vec_basis(dir, &a, &b);
    fari_sim_sincos(fari_sim_unit(rng), &s, &c);
    for (int i = 0; i < 2; i++) {
        const double sign = i == 0 ? 1.0 : -1.0, along = (sign * cosine + beta) / (1.0 + sign * beta * cosine);
        const double across = sign * sqrt(along * along < 1.0 ? 1.0 - along * along : 0.0);
        const fari_vec to = { along * dir.x + across * (c * a.x + s * b.x),
                              along * dir.y + across * (c * a.y + s * b.y),
                              along * dir.z + across * (c * a.z + s * b.z) };
        add(it, FARI_SIM_PHOTON, 22, 0.5 * total * (1.0 + sign * beta * cosine), fari_vec_unit(to));
    }
}

/* The nucleus sends out hadrons that share `energy`. */
static void hadrons(interaction *it, fari_sim_rng *rng, double energy, fari_vec dir)
{
    const double gev = 1e-3 * energy;
    const int64_t charged = fari_sim_poisson(rng, 0.9 * gev), neutral = fari_sim_poisson(rng, 0.5 * gev);
    const int64_t protons = 1 + fari_sim_poisson(rng, 0.8), neutrons = fari_sim_poisson(rng, 0.8);
    double left = energy - 25.0;
    for (int64_t i = 0; i < charged + neutral; i++) {
        const double mass = i < charged ? 139.57 : 134.977;
        const double kinetic = (left - mass) * fari_sim_between(rng, 0.1, 0.6);
        const fari_vec to = roughly(rng, dir, 0.9);
        if (kinetic < 10.0) continue;
        if (i < charged) add(it, FARI_SIM_PION, fari_sim_unit(rng) < 0.6 ? 211 : -211, kinetic, to);
        else neutral_pion(it, rng, kinetic, to);
        left -= kinetic + mass;
    }
    for (int64_t i = 0; i < protons + neutrons; i++) {
        const double kinetic = left * fari_sim_between(rng, 0.15, 0.7);
        const fari_vec to = roughly(rng, dir, 1.2);
        if (kinetic < 5.0) continue;
        const bool is_proton = i < protons;
        add(it, is_proton ? FARI_SIM_PROTON : FARI_SIM_NEUTRON, is_proton ? 2212 : 2112, kinetic, to);
        left -= kinetic + 8.0;
    }
}

static void draw(interaction *it, fari_sim_rng *rng)
{
    const fari_vec beam = fari_sim_isotropic(rng);
    const double kind = fari_sim_unit(rng), margin = SIM_VERTEX_MARGIN_CM;
    it->count = 0;
    it->at.x = fari_sim_between(rng, margin - SIM_DRIFT_CM, SIM_DRIFT_CM - margin);
    it->at.y = fari_sim_between(rng, margin - SIM_HALF_Y_CM, SIM_HALF_Y_CM - margin);
    it->at.z = fari_sim_between(rng, margin, SIM_LENGTH_CM - margin);
    do
        it->energy =
            SIM_NEUTRINO_LEAST_MEV + SIM_NEUTRINO_SCALE_MEV * (fari_sim_exponential(rng) + fari_sim_exponential(rng));
    while (it->energy > SIM_NEUTRINO_MOST_MEV);
    const bool is_muon = kind < SIM_SHARE_MUON;
    it->is_charged = kind < SIM_SHARE_MUON + SIM_SHARE_ELECTRON;
    it->pdg = it->is_charged && !is_muon ? 12 : 14;
    const double mass = is_muon ? 105.658 : 0.511, draw_y = fari_sim_unit(rng);
    const double lepton = (it->energy - mass) * (1.0 - 0.1 - 0.75 * draw_y * draw_y); /* kinetic */
    const double q2 = 1e6 * SIM_Q2_GEV2 * fari_sim_exponential(rng), total = lepton + mass;
    const double cosine = 1.0 - q2 / (2.0 * it->energy * total);
    const fari_vec to = fari_sim_tilt(rng, beam, cosine < -1.0 ? fari_sim_between(rng, -1.0, 1.0) : cosine);
    if (it->is_charged) add(it, is_muon ? FARI_SIM_MUON : FARI_SIM_ELECTRON, is_muon ? 13 : 11, lepton, to);
    const fari_vec push = { -total * to.x, -total * to.y, it->energy - total * to.z };
    hadrons(it, rng, it->energy - total, fari_vec_unit(push));
}

static double visible(const interaction *it)
{
    double sum = 0.0;
    for (int32_t i = 0; i < it->count; i++)
        if (it->prongs[i].kind != FARI_SIM_NEUTRON) sum += it->prongs[i].energy;
    return sum;
}

static void keep(fari_sim_event *event, const fari_sim_track *track)
{
    if (!fari_reserve((void **)&event->tracks, &event->track_cap, event->track_count + 1, sizeof *event->tracks))
        event->failed = true;
    else event->tracks[event->track_count++] = *track;
}

void fari_sim_neutrino(fari_sim_event *event)
{
    fari_sim_rng rng = fari_sim_rng_branch(event->key, UINT64_C(2) << 32);
    interaction it;
    for (int i = 0; i < 20; i++) {
        draw(&it, &rng);
        if (visible(&it) >= SIM_VISIBLE_LEAST_MEV) break;
    }
    const fari_sim_track neutrino = {
        { FARI_SIM_KINDS, it.pdg, it.energy, it.at, { 0.0, 0.0, 1.0 } }, it.at, 0.0, 0.0
    };
    event->is_charged_current = it.is_charged;
    keep(event, &neutrino);
    for (int32_t i = 0; i < it.count; i++) {
        const fari_sim_track track = fari_sim_transport(event, &it.prongs[i], 0.0, FARI_SIM_NEUTRINO);
        keep(event, &track);
    }
}
