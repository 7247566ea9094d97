#include "base/mem.h"
#include "sim/sim.h"

far_status fari_sim_event_make(fari_sim_event *event, uint64_t seed, int64_t number)
{
    event->key = fari_rng_key(seed, FARI_RNG_LARTPC, 0, (uint64_t)number);
    event->deposit_count = event->track_count = event->primary_count = 0;
    event->failed = false;
    fari_sim_neutrino(event);
    fari_sim_cosmics(event);
    return event->failed ? FAR_FAIL(FAR_E_NOMEM, "no memory for a simulated event") : FAR_OK;
}

void fari_sim_event_free(fari_sim_event *event)
{
    fari_free(event->deposits);
    fari_free(event->tracks);
    fari_free(event->stack);
}
