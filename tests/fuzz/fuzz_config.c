/* Any text as a configuration: refused with a message, or taken, and then its dump reads back equal. */
#include "base/mem.h"
#include <farandole/config.h>
#include <stdlib.h>
#include <string.h>

static far_config *fresh(void)
{
    far_config *config = NULL;
    if (far_config_create(&config) != FAR_OK) abort();
    return config;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    far_config *config = fresh();
    const far_status st = far_config_parse(config, "fuzz", (const char *)data, bytes);
    if (st == FAR_OK) {
        char *first = NULL, *again = NULL;
        far_config *copy = fresh();
        if (far_config_dump(config, &first) != FAR_OK) abort();
        if (far_config_parse(copy, "dump", first, strlen(first)) != FAR_OK) abort();
        if (far_config_dump(copy, &again) != FAR_OK || strcmp(first, again) != 0) abort();
        far_config_text_free(first);
        far_config_text_free(again);
        far_config_destroy(copy);
    } else if (st != FAR_E_CONFIG || far_error_message()[0] == '\0') {
        abort();
    }
    far_config_destroy(config);
    if (fari_alloc_live() != 0) abort();
    return 0;
}
