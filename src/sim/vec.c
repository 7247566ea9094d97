#include "sim/params.h"
#include "sim/sim.h"

fari_vec fari_vec_unit(fari_vec v)
{
    const double length = sqrt(fari_vec_dot(v, v));
    if (!(length > 0.0)) return (fari_vec){ 0.0, 0.0, 1.0 };
    return (fari_vec){ v.x / length, v.y / length, v.z / length };
}

/* Duff et al., Journal of Computer Graphics Techniques 6, 2017. */
void fari_vec_basis(fari_vec dir, fari_vec *a_out, fari_vec *b_out)
{
    const double sign = dir.z < 0.0 ? -1.0 : 1.0, a = -1.0 / (sign + dir.z), b = dir.x * dir.y * a;
    *a_out = (fari_vec){ 1.0 + sign * dir.x * dir.x * a, sign * b, -sign * dir.x };
    *b_out = (fari_vec){ b, sign + dir.y * dir.y * a, -dir.y };
}

fari_vec fari_sim_tilt(fari_sim_rng *rng, fari_vec dir, double cosine)
{
    fari_vec a, b;
    double s, c;
    if (cosine > 1.0) cosine = 1.0;
    if (cosine < -1.0) cosine = -1.0;
    const double sine = sqrt(1.0 - cosine * cosine);
    fari_vec_basis(dir, &a, &b);
    fari_sim_sincos(fari_sim_unit(rng), &s, &c);
    return fari_vec_unit((fari_vec){ cosine * dir.x + sine * (c * a.x + s * b.x),
                                     cosine * dir.y + sine * (c * a.y + s * b.y),
                                     cosine * dir.z + sine * (c * a.z + s * b.z) });
}

fari_vec fari_sim_isotropic(fari_sim_rng *rng)
{
    return fari_sim_tilt(rng, (fari_vec){ 0.0, 0.0, 1.0 }, fari_sim_between(rng, -1.0, 1.0));
}

bool fari_sim_is_inside(fari_vec at, double margin)
{
    return fabs(at.x) <= SIM_DRIFT_CM + margin && fabs(at.y) <= SIM_HALF_Y_CM + margin && at.z >= -margin &&
           at.z <= SIM_LENGTH_CM + margin;
}

/* One pair of walls: the part of the line between them. */
static void clip(double at, double dir, double low, double high, double *enter_io, double *leave_io)
{
    if (fabs(dir) < 1e-12) {
        if (at < low || at > high) *leave_io = *enter_io - 1.0;
        return;
    }
    const double a = (low - at) / dir, b = (high - at) / dir;
    if ((a < b ? a : b) > *enter_io) *enter_io = a < b ? a : b;
    if ((a < b ? b : a) < *leave_io) *leave_io = a < b ? b : a;
}

bool fari_sim_crossing(fari_vec at, fari_vec dir, double *enter_out, double *leave_out)
{
    *enter_out = 0.0;
    *leave_out = 1e9;
    clip(at.x, dir.x, -SIM_DRIFT_CM, SIM_DRIFT_CM, enter_out, leave_out);
    clip(at.y, dir.y, -SIM_HALF_Y_CM, SIM_HALF_Y_CM, enter_out, leave_out);
    clip(at.z, dir.z, 0.0, SIM_LENGTH_CM, enter_out, leave_out);
    return *leave_out > *enter_out;
}
