#include "report/axis.h"
#include <math.h>

void fari_axis_begin(fari_axis *axis)
{
    *axis = (fari_axis){ .low = INFINITY, .high = -INFINITY };
}

void fari_axis_take(fari_axis *axis, double value)
{
    if (!isfinite(value)) return;
    axis->low = fmin(axis->low, value);
    axis->high = fmax(axis->high, value);
}

/* The round number, 1, 2 or 5 times a power of ten, nearest above `step`. */
static double round_step(double step)
{
    const double decade = pow(10.0, floor(log10(step)));
    const double share = step / decade;
    return decade * (share <= 1.0001 ? 1.0 : share <= 2.0001 ? 2.0 : share <= 5.0001 ? 5.0 : 10.0);
}

static void add_tick(fari_axis *axis, double value)
{
    if (axis->tick_count < FARI_TICKS_MAX) axis->ticks[axis->tick_count++] = value;
}

static void linear_ticks(fari_axis *axis, int32_t ticks, bool is_tight)
{
    const double step = round_step((axis->high - axis->low) / (double)ticks);
    if (!is_tight) {
        axis->low = floor(axis->low / step + 1e-9) * step;
        axis->high = ceil(axis->high / step - 1e-9) * step;
    }
    const double first = ceil(axis->low / step - 1e-9);
    for (int32_t i = 0; i < FARI_TICKS_MAX; i++) {
        const double value = (first + i) * step;
        if (value > axis->high + 1e-9 * step) break;
        add_tick(axis, fabs(value) < 1e-9 * step ? 0.0 : value);
    }
}

/* Powers of ten; where these are few, 2 and 5 times them too; where they are many, only some. */
static void log_ticks(fari_axis *axis, int32_t ticks)
{
    static const double parts[] = { 1.0, 2.0, 5.0 };
    const double decades = log10(axis->high / axis->low);
    const int32_t skip = (int32_t)fmax(1.0, ceil(decades / (double)ticks));
    const int32_t part_count = decades <= (double)ticks / 2.0 ? 3 : 1;
    for (int32_t k = (int32_t)floor(log10(axis->low)); k <= (int32_t)ceil(log10(axis->high)); k++)
        for (int32_t p = 0; p < part_count; p++) {
            const double value = parts[p] * pow(10.0, k);
            if (k % skip == 0 && value >= axis->low * 0.999 && value <= axis->high * 1.001) add_tick(axis, value);
        }
}

void fari_axis_finish(fari_axis *axis, int32_t ticks, bool is_tight)
{
    if (!(axis->low <= axis->high)) { /* no data */
        axis->low = 0.0;
        axis->high = 1.0;
    }
    if (axis->is_log && axis->low > 0.0 && axis->high > axis->low) {
        log_ticks(axis, ticks);
        if (axis->tick_count > 0) return;
    }
    axis->is_log = false;
    const double size = fmax(fabs(axis->low), fabs(axis->high));
    if (axis->high - axis->low <= 1e-9 * size || axis->high == axis->low) { /* one value: in the middle */
        const double room = size > 0.0 ? size * 0.1 : 1.0;
        axis->low = axis->low >= 0.0 ? fmax(0.0, axis->low - room) : axis->low - room;
        axis->high += room;
    }
    linear_ticks(axis, ticks, is_tight);
}

double fari_axis_at(const fari_axis *axis, double value)
{
    const double share = axis->is_log ? log(fmax(value, axis->low) / axis->low) / log(axis->high / axis->low)
                                      : (value - axis->low) / (axis->high - axis->low);
    return axis->from + (axis->to - axis->from) * share;
}
