/* The public side of the table of ops, and versions. */
#include "backends/cpu_info.h"
#include "base/status.h"
#include "ops/table.h"
#include <farandole/info.h>
#include <hwloc.h>
#include <jansson.h>
#include <stdio.h>
#include <xxhash.h>
#include <yaml.h>
#include <zlib.h>

#define TEXT_OF(x) #x
#define NUMBER_TEXT(x) TEXT_OF(x)

const char *far_version(void)
{
    return FARI_VERSION;
}

const char *far_compiler(void)
{
#if defined(__clang__)
    return "clang " __clang_version__;
#else
    return "gcc " NUMBER_TEXT(__GNUC__) "." NUMBER_TEXT(__GNUC_MINOR__) "." NUMBER_TEXT(__GNUC_PATCHLEVEL__);
#endif
}

const char *far_isa(void)
{
    return fari_cpu_isa();
}

/* --- libraries --- */

static void copy_version(const char *version, char *text_out, size_t text_bytes)
{
    (void)snprintf(text_out, text_bytes, "%s", version != NULL && version[0] != '\0' ? version : "?");
}

static void yaml_text(char *text_out, size_t text_bytes)
{
    copy_version(yaml_get_version_string(), text_out, text_bytes);
}

static void jansson_text(char *text_out, size_t text_bytes)
{
    copy_version(jansson_version_str(), text_out, text_bytes);
}

static void zlib_text(char *text_out, size_t text_bytes)
{
    copy_version(zlibVersion(), text_out, text_bytes);
}

static void xxhash_text(char *text_out, size_t text_bytes)
{
    const unsigned number = XXH_versionNumber(); /* major x 10,000 + minor x 100 + patch */
    (void)snprintf(text_out, text_bytes, "%u.%u.%u", number / 10000, number / 100 % 100, number % 100);
}

static void hwloc_text(char *text_out, size_t text_bytes)
{
    const unsigned number = hwloc_get_api_version(); /* bytes: major, minor, patch; of the interface */
    (void)snprintf(text_out, text_bytes, "%u.%u.%u", number >> 16, number >> 8 & 0xffU, number & 0xffU);
}

typedef struct library_row {
    const char *name, *purpose;
    void (*version)(char *text_out, size_t text_bytes);
    bool changes_bits; /* what only moves bytes does not */
} library_row;

static const library_row libraries[] = {
    { "oneDNN", "kernels on processors", fari_cpu_library_version, true },
    { "hwloc", "topology of the machine", hwloc_text, false },
    { "libyaml", "configurations", yaml_text, false },
    { "jansson", "JSON", jansson_text, false },
    { "xxHash", "checksums of checkpoints", xxhash_text, false },
    { "zlib", "packed data files", zlib_text, false },
};

int32_t far_library_count(void)
{
    return (int32_t)FAR_COUNT(libraries);
}

far_status far_library_at(int32_t idx, far_library *library_out)
{
    if (idx < 0 || idx >= far_library_count()) return FAR_FAIL(FAR_E_ARG, "no library %d", (int)idx);
    library_out->name = libraries[idx].name;
    library_out->purpose = libraries[idx].purpose;
    library_out->changes_bits = libraries[idx].changes_bits;
    libraries[idx].version(library_out->version, sizeof library_out->version);
    return FAR_OK;
}

/* --- ops --- */

static const char *const role_names[] = {
    [FARI_OP_LAYER] = "layer",       [FARI_OP_LOSS] = "loss",           [FARI_OP_METRIC] = "metric",
    [FARI_OP_GRADIENT] = "gradient", [FARI_OP_OPTIMIZER] = "optimizer", [FARI_OP_STRUCTURE] = "structure",
};
static const char *const kind_names[] = {
    [FARI_MAP] = "map",
    [FARI_REDUCE] = "reduce",
    [FARI_GLOBAL] = "global",
    [FARI_CHUNK] = "chunk",
    [FARI_CHUNK_REDUCE] = "chunk-reduce",
};
static const char *const order_names[] = {
    [FARI_ORDER_ANY] = "any",
    [FARI_ORDER_CL] = "channels-last",
    [FARI_ORDER_ROW_MAJOR] = "row-major",
    [FARI_ORDER_FREE] = "free",
};

static const char *rows_name(const fari_op *op)
{
    if (op->kind != FARI_MAP && op->kind != FARI_REDUCE) return "-";
    return op->rows != NULL ? "rule" : "same";
}

int32_t far_op_count(void)
{
    return fari_op_count();
}

far_status far_op_at(int32_t idx, far_op_info *info_out)
{
    if (idx < 0 || idx >= fari_op_count()) return FAR_FAIL(FAR_E_ARG, "no op %d", (int)idx);
    const fari_op_row *row = fari_op_row_at(idx);
    const fari_op *op = row->op;
    const char *kernel = fari_cpu_kernel_of(op);
    *info_out = (far_op_info){ .name = op->name,
                               .role = role_names[row->role],
                               .kind = kind_names[op->kind],
                               .order = order_names[op->order],
                               .rows = rows_name(op),
                               .has_gradient = op->gradient != NULL,
                               .has_cost = op->cost != NULL,
                               .has_reference = op->reference != NULL,
                               .cpu_kernel = kernel != NULL ? kernel : "-",
                               .tested_by = row->tested_by };
    return FAR_OK;
}
