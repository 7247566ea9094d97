/* Runs convolutions that conv_dnnl.c made. */
#include "backends/cpu/conv_state.h"
#include "base/status.h"
#include <string.h>

far_status fari_conv_pack(const fari_cpu_state *base, int32_t input_idx, const void *plain, void *packed)
{
    const conv_state *state = (const conv_state *)base;
    FAR_ASSERT(input_idx == 1 && state->weight_reorder.desc != NULL);
    return fari_dnnl_reorder_run(&state->weight_reorder, plain, packed);
}

far_status fari_conv_unpack(const fari_cpu_state *base, const void *partial, void *plain)
{
    const conv_state *state = (const conv_state *)base;
    FAR_ASSERT(state->weight_reorder.desc != NULL);
    if (state->tiles.edge == 0) return fari_dnnl_reorder_run(&state->weight_reorder, partial, plain);
    fari_tiles_to_plain(&state->tiles, partial, plain);
    return FAR_OK;
}

/* One run of the primitive: samples [n, n + samples_a_run) of a call. Views' rows before and after the piece are stepped over. */
typedef struct conv_run {
    const conv_state *state;
    float *x, *y; /* first row of the piece */
    char *scratch;
} conv_run;

static int64_t view_rows_x(const fari_conv_piece *piece)
{
    return piece->x_lead + piece->x[0] + piece->x_tail;
}

static int64_t view_rows_y(const fari_conv_piece *piece)
{
    return piece->y_lead + piece->y[0] + piece->y_tail;
}

static conv_run run_of(const fari_call *call, const fari_view *x, const fari_view *y, int64_t n)
{
    const conv_state *state = call->prepared;
    const fari_conv_piece *piece = &state->key.piece;
    return (conv_run){ .state = state,
                       .x = (float *)x->data + (n * view_rows_x(piece) + piece->x_lead) * fari_conv_piece_row_x(piece),
                       .y = (float *)y->data + (n * view_rows_y(piece) + piece->y_lead) * fari_conv_piece_row_y(piece),
                       .scratch = call->scratch };
}

static const float *bias_of(const fari_call *call)
{
    return call->in_count > 2 ? call->in[2].data : NULL;
}

/* The operand as the primitive wants it: copied where a reorder says so. */
static far_status operand(const conv_run *run, const fari_dnnl_primitive *reorder, const float *data, size_t copy_at,
                          const void **operand_out)
{
    *operand_out = data;
    if (reorder->desc == NULL) return FAR_OK;
    *operand_out = run->scratch + copy_at;
    return fari_dnnl_reorder_run(reorder, data, run->scratch + copy_at);
}

static far_status forward_once(const fari_call *call, const conv_run *run)
{
    const conv_state *state = run->state;
    const bool is_copied = state->y_reorder.desc != NULL;
    void *dst = is_copied ? (void *)(run->scratch + state->y_at) : run->y;
    const void *src = NULL;
    FAR_TRY(operand(run, &state->x_reorder, run->x, state->x_at, &src));
    const fari_dnnl_arg args[] = { { DNNL_ARG_SRC, src },
                                   { DNNL_ARG_WEIGHTS, call->in[1].data },
                                   { DNNL_ARG_DST, dst },
                                   { DNNL_ARG_BIAS, bias_of(call) } };
    FAR_TRY(fari_dnnl_run(&state->primitive, state->key.has_bias ? 4 : 3, args, run->scratch + state->own_at));
    return is_copied ? fari_dnnl_reorder_run(&state->y_reorder, dst, run->y) : FAR_OK;
}

/* Rows of every sample outside the piece: the bias alone, or zero. */
static void fill_around(const fari_cpu_loops *loops, float *data, int64_t samples, int64_t lead, int64_t rows,
                        int64_t tail, int64_t row_elems, int64_t channels, const float *bias)
{
    if (lead == 0 && tail == 0) return;
    for (int64_t n = 0; n < samples; n++) {
        float *sample = data + n * (lead + rows + tail) * row_elems;
        loops->fill_row(sample, bias, lead * row_elems / channels, channels);
        loops->fill_row(sample + (lead + rows) * row_elems, bias, tail * row_elems / channels, channels);
    }
}

far_status fari_conv_forward_run(const fari_call *call)
{
    const conv_state *state = call->prepared;
    const fari_conv_piece *piece = &state->key.piece;
    const int64_t row = fari_conv_piece_row_y(piece), channels = piece->out_channels;
    if (piece->is_empty) {
        state->loops->fill_row(call->out[0].data, bias_of(call), piece->samples * view_rows_y(piece) * row / channels,
                               channels);
        return FAR_OK;
    }
    for (int64_t n = 0; n < piece->samples; n += fari_conv_samples_a_run(piece)) {
        const conv_run run = run_of(call, &call->in[0], &call->out[0], n);
        FAR_TRY(forward_once(call, &run));
    }
    fill_around(state->loops, call->out[0].data, piece->samples, piece->y_lead, piece->y[0], piece->y_tail, row,
                channels, bias_of(call));
    return FAR_OK;
}

static far_status dx_once(const fari_call *call, const conv_run *run)
{
    const conv_state *state = run->state;
    const bool is_copied = state->x_reorder.desc != NULL;
    void *d_src = is_copied ? (void *)(run->scratch + state->x_at) : run->x;
    const void *d_dst = NULL;
    FAR_TRY(operand(run, &state->y_reorder, run->y, state->y_at, &d_dst));
    const fari_dnnl_arg args[] = { { DNNL_ARG_DIFF_DST, d_dst },
                                   { DNNL_ARG_WEIGHTS, call->in[1].data },
                                   { DNNL_ARG_DIFF_SRC, d_src } };
    FAR_TRY(fari_dnnl_run(&state->primitive, 3, args, run->scratch + state->own_at));
    if (is_copied) FAR_TRY(fari_dnnl_reorder_run(&state->x_reorder, d_src, run->x));
    if (state->key.has_bias) {
        const fari_conv_piece *piece = &state->key.piece;
        const int64_t pixels = fari_conv_samples_a_run(piece) * piece->x[0] * piece->x[1] * piece->x[2];
        state->loops->add_row(run->x, bias_of(call), pixels, piece->in_channels);
    }
    return FAR_OK;
}

far_status fari_conv_dx_run(const fari_call *call)
{
    const conv_state *state = call->prepared;
    const fari_conv_piece *piece = &state->key.piece;
    const int64_t row = fari_conv_piece_row_x(piece), channels = piece->in_channels;
    if (piece->is_empty) {
        state->loops->fill_row(call->out[0].data, bias_of(call), piece->samples * view_rows_x(piece) * row / channels,
                               channels);
        return FAR_OK;
    }
    for (int64_t n = 0; n < piece->samples; n += fari_conv_samples_a_run(piece)) {
        const conv_run run = run_of(call, &call->out[0], &call->in[0], n);
        FAR_TRY(dx_once(call, &run));
    }
    fill_around(state->loops, call->out[0].data, piece->samples, piece->x_lead, piece->x[0], piece->x_tail, row,
                channels, bias_of(call));
    return FAR_OK;
}

/* Into `target`, which has the layout of partials. */
static far_status dw_once(const conv_run *run, float *target)
{
    const conv_state *state = run->state;
    const bool is_copied = state->dw_reorder.desc != NULL;
    void *d_weight = is_copied ? (void *)(run->scratch + state->dw_at) : target;
    const void *src = NULL, *d_dst = NULL;
    FAR_TRY(operand(run, &state->x_reorder, run->x, state->x_at, &src));
    FAR_TRY(operand(run, &state->y_reorder, run->y, state->y_at, &d_dst));
    const fari_dnnl_arg args[] = { { DNNL_ARG_SRC, src },
                                   { DNNL_ARG_DIFF_DST, d_dst },
                                   { DNNL_ARG_DIFF_WEIGHTS, d_weight } };
    FAR_TRY(fari_dnnl_run(&state->primitive, 3, args, run->scratch + state->own_at));
    return is_copied ? fari_dnnl_reorder_run(&state->dw_reorder, d_weight, target) : FAR_OK;
}

far_status fari_conv_dw_run(const fari_call *call)
{
    const conv_state *state = call->prepared;
    const fari_conv_piece *piece = &state->key.piece;
    const int64_t elems = (int64_t)(dnnl_memory_desc_get_size(&state->weight) / sizeof(float));
    float *partial = call->out[0].data, *more = (float *)((char *)call->scratch + state->sum_at);
    if (piece->is_empty) {
        if (!call->accumulate) memset(partial, 0, (size_t)elems * sizeof *partial);
        return FAR_OK;
    }
    for (int64_t n = 0; n < piece->samples; n += fari_conv_samples_a_run(piece)) {
        const conv_run run = run_of(call, &call->in[0], &call->in[1], n);
        const bool is_first = n == 0 && !call->accumulate;
        FAR_TRY(dw_once(&run, is_first ? partial : more));
        if (!is_first) state->loops->add_f32(partial, more, elems);
    }
    return FAR_OK;
}
