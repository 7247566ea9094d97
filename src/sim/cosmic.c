/* What comes from above: muons, photons, and the hadrons that neutrons set free. */
#include "sim/params.h"
#include "sim/sim.h"

#define SPHERE_CM 380.0 /* around the middle, with the whole detector in it */

static const fari_vec middle = { 0.0, 0.0, 0.5 * SIM_LENGTH_CM };

/* Intensity as the square of the cosine of the angle to the vertical; downwards. */
static fari_vec downwards(fari_sim_rng *rng)
{
    const double cosine = fari_sim_exp(fari_sim_log(1.0 - fari_sim_unit(rng)) / 3.0);
    return fari_sim_tilt(rng, (fari_vec){ 0.0, -1.0, 0.0 }, cosine);
}

/* When it came: any time from one drift before the read-out began to its end. As a length of drift, which has to lie within one. */
static double lateness(fari_sim_rng *rng)
{
    return fari_sim_between(rng, -SIM_DRIFT_CM, SIM_DRIFT_CM);
}

static fari_vec anywhere(fari_sim_rng *rng)
{
    fari_vec at;
    at.x = fari_sim_between(rng, -SIM_DRIFT_CM, SIM_DRIFT_CM);
    at.y = fari_sim_between(rng, -SIM_HALF_Y_CM, SIM_HALF_Y_CM);
    at.z = fari_sim_between(rng, 0.0, SIM_LENGTH_CM);
    return at;
}

/* Muons cross a disc that stands square on their way and shadows the detector; those that miss it are drawn again. */
static void muon(fari_sim_event *event, fari_sim_rng *rng)
{
    fari_sim_particle p = { .kind = FARI_SIM_MUON, .pdg = fari_sim_unit(rng) < 0.56 ? -13 : 13 };
    double enter = 0.0, leave = 0.0;
    for (int i = 0; i < 1000; i++) {
        fari_vec a, b;
        double s, c;
        p.dir = downwards(rng);
        fari_vec_basis(p.dir, &a, &b);
        const double radius = SPHERE_CM * sqrt(fari_sim_unit(rng));
        fari_sim_sincos(fari_sim_unit(rng), &s, &c);
        p.at = fari_vec_along(fari_vec_along(middle, a, radius * c), b, radius * s);
        p.at = fari_vec_along(p.at, p.dir, -2.0 * SPHERE_CM);
        if (fari_sim_crossing(p.at, p.dir, &enter, &leave)) break;
    }
    const double power = -1.0 / (SIM_MUON_POWER - 1.0);
    p.energy = (SIM_MUON_LEAST_MEV + SIM_MUON_SCALE_MEV) *
                   fari_sim_exp(power * fari_sim_log(1.0 - 0.9999 * fari_sim_unit(rng))) -
               SIM_MUON_SCALE_MEV;
    p.at = fari_vec_along(p.at, p.dir, enter + 1e-6);
    (void)fari_sim_transport(event, &p, lateness(rng), FARI_SIM_COSMIC);
}

/* Energies as 1 / E. */
static void cosmic_photon(fari_sim_event *event, fari_sim_rng *rng)
{
    const double span = fari_sim_log(SIM_COSMIC_PHOTON_MOST_MEV / SIM_COSMIC_PHOTON_LEAST_MEV);
    const double energy = SIM_COSMIC_PHOTON_LEAST_MEV * fari_sim_exp(span * fari_sim_unit(rng));
    const fari_sim_particle p = { FARI_SIM_PHOTON, 22, energy, anywhere(rng), downwards(rng) };
    (void)fari_sim_transport(event, &p, lateness(rng), FARI_SIM_COSMIC);
}

/* A neutron's interaction: protons, and sometimes pions, from one place. */
static void cosmic_hadrons(fari_sim_event *event, fari_sim_rng *rng)
{
    const fari_vec at = anywhere(rng), dir = downwards(rng);
    const double late = lateness(rng);
    const int64_t protons = 1 + fari_sim_poisson(rng, 0.7), pions = fari_sim_poisson(rng, 0.3);
    for (int64_t i = 0; i < protons + pions; i++) {
        const bool is_pion = i >= protons;
        const fari_sim_particle p = { is_pion ? FARI_SIM_PION : FARI_SIM_PROTON, is_pion ? 211 : 2212,
                                      30.0 + 60.0 * fari_sim_exponential(rng), at,
                                      fari_sim_tilt(rng, dir, fari_sim_between(rng, -0.5, 1.0)) };
        (void)fari_sim_transport(event, &p, late, FARI_SIM_COSMIC);
    }
}

/* Decays in the argon and the like: a charge in one place, no particle's. */
static void blips(fari_sim_event *event, fari_sim_rng *rng)
{
    const int64_t count = fari_sim_poisson(rng, SIM_BLIPS);
    for (int64_t i = 0; i < count; i++) {
        const double charge = SIM_BLIP_LEAST_MEV + SIM_BLIP_MEV * fari_sim_exponential(rng);
        fari_sim_deposit_add(event, anywhere(rng), charge, 0.0, FARI_SIM_BACKGROUND);
    }
}

void fari_sim_cosmics(fari_sim_event *event)
{
    fari_sim_rng rng = fari_sim_rng_branch(event->key, UINT64_C(1) << 32);
    const int64_t muons = fari_sim_poisson(&rng, SIM_MUONS), photons = fari_sim_poisson(&rng, SIM_COSMIC_PHOTONS),
                  hadrons = fari_sim_poisson(&rng, SIM_COSMIC_HADRONS);
    for (int64_t i = 0; i < muons; i++) muon(event, &rng);
    for (int64_t i = 0; i < photons; i++) cosmic_photon(event, &rng);
    for (int64_t i = 0; i < hadrons; i++) cosmic_hadrons(event, &rng);
    blips(event, &rng);
}
