/* On what the bits of results depend beside the config: grains, instruction sets, versions. A checkpoint records it; going on under another
   is refused, or told. */
#include "base/log.h"
#include "run/run_priv.h"
#include <farandole/info.h>
#include <string.h>

static far_status add_library(fari_ckpt_state *state, const char *name, const char *version)
{
    if (state->library_count == FARI_CKPT_LIBRARIES)
        return FAR_FAIL(FAR_E_INTERNAL, "more than %d libraries in a checkpoint", FARI_CKPT_LIBRARIES);
    const int32_t i = state->library_count++;
    (void)snprintf(state->libraries[i].name, FARI_CKPT_TEXT, "%s", name);
    (void)snprintf(state->libraries[i].version, FARI_CKPT_TEXT, "%s", version);
    return FAR_OK;
}

far_status run_bits_describe(const far_run *run, fari_ckpt_state *state_io)
{
    far_library library;
    (void)snprintf(state_io->grains, sizeof state_io->grains, "%s", run->plan_grains);
    (void)snprintf(state_io->isa, sizeof state_io->isa, "%s", run->backend->isa);
    FAR_TRY(add_library(state_io, "farandole", far_version()));
    for (int32_t i = 0; i < far_library_count(); i++) {
        FAR_TRY(far_library_at(i, &library));
        if (library.changes_bits) FAR_TRY(add_library(state_io, library.name, library.version));
    }
    return FAR_OK;
}

static const char *version_of(const fari_ckpt_state *state, const char *name)
{
    for (int32_t i = 0; i < state->library_count; i++)
        if (strcmp(state->libraries[i].name, name) == 0) return state->libraries[i].version;
    return "none";
}

/* "instruction set avx2, now avx512; oneDNN 2.6.3, now 2.7.0", "" where all is as it was. */
static void list_changes(const fari_ckpt_state *was, const fari_ckpt_state *is, char *text_out, size_t bytes)
{
    size_t used = 0;
    text_out[0] = '\0';
    if (strcmp(was->isa, is->isa) != 0)
        used += (size_t)snprintf(text_out, bytes, "instruction set %s, now %s", was->isa, is->isa);
    for (int32_t i = 0; i < is->library_count && used < bytes; i++) {
        const char *name = is->libraries[i].name, *before = version_of(was, name), *now = is->libraries[i].version;
        if (strcmp(before, now) != 0)
            used += (size_t)snprintf(text_out + used, bytes - used, "%s%s %s, now %s", used > 0 ? "; " : "", name,
                                     before, now);
    }
}

far_status run_bits_check(const far_run *run, const fari_ckpt_state *state, const char *path)
{
    fari_ckpt_state now = { 0 };
    char changes[512];
    FAR_TRY(run_bits_describe(run, &now));
    if (strcmp(state->grains, now.grains) != 0)
        return FAR_FAIL(FAR_E_CONFIG,
                        "checkpoint %s was made with other grains: going on would change results. Use the run's own "
                        "config (batch, grain.*), or start a new run from its weights with --weights",
                        path);
    list_changes(state, &now, changes, sizeof changes);
    if (changes[0] == '\0') return FAR_OK;
    if (!run->opts.accept_other_bits)
        return FAR_FAIL(
            FAR_E_CONFIG,
            "checkpoint %s was made with %s: going on gives other bits than an undisturbed run. Go on all the "
            "same with --accept-other-bits, or on a machine like the first (exec.isa lowers the instruction set)",
            path, changes);
    fari_log(FAR_LOG_WARN, "checkpoint %s was made with %s: results will differ in their last bits", path, changes);
    return FAR_OK;
}
