/* Which gaps are spilled: greedily, at the turn where most is alive, the gap that takes the most of what is too much, there and
   elsewhere, for each byte that it moves. */
#include "plan/spill.h"
#include <string.h>

static int64_t bytes_of(const fari_spilling *s, const fari_gap *gap)
{
    return s->buffers[gap->buffer].bytes;
}

static void add(fari_spilling *s, int32_t first, int32_t last, int64_t bytes)
{
    for (int32_t t = first > 0 ? first : 0; t <= last && t < s->turns; t++) s->alive[t] += bytes;
}

static void mark(fari_spilling *s, fari_gap *gap, bool is_spilled)
{
    gap->is_spilled = is_spilled;
    gap->leaves = gap->last_use;
    gap->returns = gap->next_use;
    add(s, gap->last_use + 1, gap->next_use - 1, is_spilled ? -bytes_of(s, gap) : bytes_of(s, gap));
}

void fari_spill_count(fari_spilling *s)
{
    memset(s->alive, 0, (size_t)s->turns * sizeof *s->alive);
    for (int64_t b = 0; b < s->buffer_count; b++)
        if (s->buffers[b].base == FARI_BASE_ARENA)
            add(s, s->buffers[b].first_turn, s->buffers[b].is_kept ? s->turns - 1 : s->buffers[b].last_turn,
                s->buffers[b].bytes);
    for (int64_t g = 0; g < s->gap_count; g++)
        if (s->gaps[g].is_spilled) mark(s, &s->gaps[g], true);
}

static int32_t fullest(const fari_spilling *s)
{
    int32_t best = 0;
    for (int32_t t = 1; t < s->turns; t++)
        if (s->alive[t] > s->alive[best]) best = t;
    return best;
}

int64_t fari_spill_peak(const fari_spilling *s)
{
    return s->turns > 0 ? s->alive[fullest(s)] : 0;
}

/* A buffer is written once, however many gaps it has. */
static bool is_written(const fari_spilling *s, int32_t buffer)
{
    for (int64_t g = s->gap0[buffer]; g < s->gap0[buffer + 1]; g++)
        if (s->gaps[g].is_spilled) return true;
    return false;
}

/* Of what is too much, in bytes times turns, for each byte that moves. */
static double worth(const fari_spilling *s, const fari_gap *gap, int64_t target)
{
    const int64_t bytes = bytes_of(s, gap);
    int64_t taken = 0;
    for (int32_t t = gap->last_use + 1; t < gap->next_use; t++) {
        const int64_t over = s->alive[t] - target;
        if (over > 0) taken += over < bytes ? over : bytes;
    }
    return (double)taken / (double)(is_written(s, gap->buffer) ? bytes : 2 * bytes);
}

static fari_gap *best_at(const fari_spilling *s, int32_t turn, int64_t target)
{
    fari_gap *best = NULL;
    double most = 0.0;
    for (int64_t g = 0; g < s->gap_count; g++) {
        fari_gap *gap = &s->gaps[g];
        if (gap->is_spilled || turn <= gap->last_use || turn >= gap->next_use) continue;
        const double value = worth(s, gap, target);
        if (value <= most) continue;
        most = value;
        best = gap;
    }
    return best;
}

static bool can_stay(const fari_spilling *s, const fari_gap *gap, int64_t target)
{
    for (int32_t t = gap->last_use + 1; t < gap->next_use; t++)
        if (s->alive[t] + bytes_of(s, gap) > target) return false;
    return true;
}

bool fari_spill_choose(fari_spilling *s, int64_t target)
{
    for (int64_t g = 0; g < s->gap_count; g++) s->gaps[g].is_spilled = false;
    fari_spill_count(s);
    for (int32_t t = fullest(s); s->alive[t] > target; t = fullest(s)) {
        fari_gap *gap = best_at(s, t, target);
        if (gap == NULL) return false;
        mark(s, gap, true);
    }
    for (int64_t g = s->gap_count; g-- > 0;) /* some were marked for what others took as well */
        if (s->gaps[g].is_spilled && can_stay(s, &s->gaps[g], target)) mark(s, &s->gaps[g], false);
    return true;
}

static void widen_by_one(fari_spilling *s, fari_gap *gap, int64_t limit)
{
    const int64_t bytes = bytes_of(s, gap);
    if (gap->returns - gap->leaves > 2 && s->alive[gap->returns - 1] + bytes <= limit)
        s->alive[--gap->returns] += bytes;
    if (gap->returns - gap->leaves > 2 && s->alive[gap->leaves + 1] + bytes <= limit) s->alive[++gap->leaves] += bytes;
}

void fari_spill_widen(fari_spilling *s, int32_t turns, int64_t limit)
{
    fari_spill_count(s);
    for (int32_t k = 0; k < turns; k++)
        for (int64_t g = 0; g < s->gap_count; g++)
            if (s->gaps[g].is_spilled) widen_by_one(s, &s->gaps[g], limit);
}
