#include "backends/cpu_info.h"
#include "backends/cpu/kernel_table.h"
#include "backends/cpu/state.h"
#include <dnnl.h>
#include <stdio.h>

const char *fari_cpu_isa(void)
{
    fari_isa isa = FARI_ISA_BASE;
    (void)fari_isa_select(NULL, &isa); /* fails only for a limit that does not exist */
    return fari_isa_name(isa);
}

static bool has_maker(const fari_cpu_maker *makers, const fari_op *op)
{
    for (; makers->op != NULL; makers++)
        if (makers->op == op) return true;
    return false;
}

const char *fari_cpu_kernel_of(const fari_op *op)
{
    const bool is_library = has_maker(fari_cpu_conv_makers, op) || has_maker(fari_cpu_linear_makers, op);
    const bool is_ours = fari_kernel_find(op) != NULL || has_maker(fari_cpu_thin_makers, op);
    if (is_library) return is_ours ? "both" : "oneDNN";
    return is_ours ? "farandole" : NULL;
}

void fari_cpu_library_version(char *text_out, size_t text_bytes)
{
    const dnnl_version_t *version = dnnl_version();
    (void)snprintf(text_out, text_bytes, "%d.%d.%d", version->major, version->minor, version->patch);
}
