/* Any text as the manifest of a checkpoint whose tensors are whole. It gets the checksum that it should have, so that more than this one is tried. */
#include "base/hash.h"
#include "base/log.h"
#include "base/status.h"
#include "fuzz/folder_input.h"
#include "run/checkpoint.h"
#include "run/checkpoint_priv.h"

#define MANIFEST_MAX 65536

static float weight[6], momentum[3];
static const fari_ckpt_tensor model = { "weight", FAR_F32, { 2, { 2, 3 } }, weight },
                              optimizer = { "weight.momentum", FAR_F32, { 1, { 3 } }, momentum };

static void prepare(void)
{
    fari_ckpt_state state = { .step = 7, .epoch = 1, .position = 5, .seed = 3, .library_count = 1 };
    const char *folder = input_path("");
    for (int i = 0; i < 6; i++) weight[i] = (float)i;
    (void)snprintf(state.libraries[0].name, sizeof state.libraries[0].name, "some");
    far_log_set_level(FAR_LOG_ERROR);
    if (fari_ckpt_prepare(folder) != FAR_OK ||
        fari_ckpt_save(folder, &state, &model, 1, &optimizer, 1, true, 0) != FAR_OK)
        abort();
}

static bool ends(const char *text)
{
    return memchr(text, '\0', FARI_CKPT_TEXT) != NULL;
}

static void check(const fari_ckpt *ckpt)
{
    const fari_ckpt_state *state = fari_ckpt_state_of(ckpt);
    if (!ends(state->config_hash) || !ends(state->grains) || !ends(state->isa)) abort();
    if (state->library_count < 0 || state->library_count > FARI_CKPT_LIBRARIES) abort();
    for (int32_t i = 0; i < state->library_count; i++)
        if (!ends(state->libraries[i].name) || !ends(state->libraries[i].version)) abort();
    if (fari_ckpt_read_model(ckpt, &model, 1, true) != FAR_OK || weight[5] != 5.0f) abort();
    if (fari_ckpt_read_optimizer(ckpt, &optimizer, 1, true) != FAR_OK) abort();
}

static void put_manifest(const uint8_t *data, size_t bytes)
{
    static char text[MANIFEST_MAX + 64];
    char self[FARI_XXH128_HEX];
    if (bytes > 0) memcpy(text, data, bytes);
    fari_xxh128_hex(text, bytes, self);
    const int more = snprintf(text + bytes, 64, FARI_CKPT_SELF "%s\"\n}\n", self);
    input_put("7/" FARI_CKPT_MANIFEST, text, bytes + (size_t)more);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    static bool is_ready;
    if (!is_ready) prepare();
    is_ready = true;
    if (bytes > MANIFEST_MAX) return 0;
    put_manifest(data, bytes);
    far_error_clear();
    fari_ckpt *ckpt = NULL;
    const far_status st = fari_ckpt_open(input_path(""), "last", &ckpt);
    if (st == FAR_OK) check(ckpt);
    else if (ckpt != NULL || strstr(far_error_message(), "far-fuzz-") == NULL) abort();
    fari_ckpt_close(ckpt);
    if (fari_alloc_live() != 0) abort();
    return 0;
}
