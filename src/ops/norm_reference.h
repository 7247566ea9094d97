/* Kernels of the norm family: the scalar oracle, and what runs for its small tensors. */
#ifndef FARI_OPS_NORM_REFERENCE_H
#define FARI_OPS_NORM_REFERENCE_H
#include "ops/norm.h"

far_status fari_norm_stats_reference(const fari_call *call);
far_status fari_norm_stats_combine(const fari_call *call);
far_status fari_norm_finalize_reference(const fari_call *call); /* both finalize ops */
far_status fari_norm_running_reference(const fari_call *call);
far_status fari_norm_fixed_reference(const fari_call *call);
far_status fari_norm_apply_reference(const fari_call *call);
far_status fari_norm_dstats_reference(const fari_call *call);
far_status fari_norm_dx_reference(const fari_call *call);
far_status fari_norm_dparam_sum_reference(const fari_call *call);
far_status fari_norm_dparam_reference(const fari_call *call);
far_status fari_norm_dx_sum_reference(const fari_call *call);
#endif
