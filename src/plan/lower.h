/* Shared between the files that make instructions. */
#ifndef FARI_PLAN_LOWER_H
#define FARI_PLAN_LOWER_H
#include "plan/plan.h"

typedef struct fari_pack {
    far_value tensor;
    uint64_t pack_id;
    int32_t buffer;
} fari_pack;

typedef struct lowering {
    fari_plan *plan;
    const fari_node *node; /* being lowered */
    fari_pack *packs;
    int64_t pack_count, pack_cap;
} lowering;

far_status fari_lower_buffer(fari_plan *plan, fari_buffer_kind kind, far_value tensor, int64_t bytes,
                             int32_t *buffer_out);
/* Starts an instruction; fari_lower_view then adds its views, inputs before outputs, with the bytes that each touches. */
far_status fari_lower_begin(fari_plan *plan, fari_instr_kind kind, int32_t node);
far_status fari_lower_view(fari_plan *plan, int32_t buffer, const fari_view *view, int64_t bytes, bool is_write);
#endif
