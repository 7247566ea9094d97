/* Convolutions of 3 x 3 by Winograd's way: conv_winograd.h. */
#include "backends/cpu/isa/conv_winograd.h"
#include "backends/cpu/isa/turn.h"
#include "backends/cpu/isa/winograd.h"
#include <string.h>

/* Sums in registers: so many tiles times two vectors of channels. */
#if WIDE == 16
#define TILES 14
#else
#define TILES 6
#endif
#define VECTORS 2
#define OUT FARI_WINOGRAD_OUT
#define PLACES FARI_WINOGRAD_PLACES
#define CHAIN 256 /* channels of the input at a time: their weights stay in a first-level cache */

/* ---- sums over channels ---- */

/* One place of some tiles. */
typedef struct product {
    const float *in; /* the first tile */
    int64_t step;    /* floats to the next tile */
    const float *weight;
    int64_t channels;   /* of the chain */
    bool is_first;      /* the sums begin; else they go on from what `out` holds */
    float *out;         /* [tile][OUT] */
    const char *ahead;  /* what the next place will read: fetched meanwhile, ... */
    int64_t ahead_step; /* ... so many bytes a channel */
} product;

FARI_INLINE void product_run(const product *p, int tiles)
{
    wide sum[TILES * VECTORS];
    const float *weight = p->weight, *in = p->in;
    const char *ahead = p->ahead;
    const int64_t step = p->step;
    WIDE_UNROLL
    for (int i = 0; i < tiles * VECTORS; i++)
        sum[i] = p->is_first ? wide_all(0.0F) : wide_load(p->out + i / VECTORS * OUT + i % VECTORS * WIDE);
    for (int64_t c = 0; c < p->channels; c++, weight += OUT, in++, ahead += p->ahead_step) {
        wide w[VECTORS];
        __builtin_prefetch(ahead, 0, 2);
        WIDE_UNROLL
        for (int v = 0; v < VECTORS; v++) {
            w[v] = wide_load(weight + v * WIDE);
            WIDE_KEEP(w[v]);
        }
        WIDE_UNROLL
        for (int t = 0; t < tiles; t++) {
            const wide x = wide_all(in[t * step]);
            WIDE_UNROLL
            for (int v = 0; v < VECTORS; v++) sum[t * VECTORS + v] = wide_fma(x, w[v], sum[t * VECTORS + v]);
        }
    }
    WIDE_UNROLL
    for (int i = 0; i < tiles * VECTORS; i++) wide_store(p->out + i / VECTORS * OUT + i % VECTORS * WIDE, sum[i]);
}

static void product_of(const product *p, int64_t tiles)
{
    switch (tiles) {
#if TILES == 14
    case 14: product_run(p, 14); break;
    case 13: product_run(p, 13); break;
    case 12: product_run(p, 12); break;
    case 11: product_run(p, 11); break;
    case 10: product_run(p, 10); break;
    case 9: product_run(p, 9); break;
    case 8: product_run(p, 8); break;
    case 7: product_run(p, 7); break;
#endif
    case 6: product_run(p, 6); break;
    case 5: product_run(p, 5); break;
    case 4: product_run(p, 4); break;
    case 3: product_run(p, 3); break;
    case 2: product_run(p, 2); break;
    default: product_run(p, 1); break;
    }
}

/* ---- tiles ---- */

/* A block of tiles: `turned` holds them as [place][tile][step], `sums` as [place][tile][OUT]. */
typedef struct block {
    const fari_thin_conv *conv;
    const fari_conv_operands *operands;
    float *turned, *sums, *zeros;
    int64_t first, tiles, room; /* room: tiles a place has room for */
} block;

/* Turns one tile of the input. */
static void turn_in(const block *b, int64_t idx)
{
    const int64_t step = fari_winograd_step(b->conv);
    const winograd_tile at = winograd_tile_of(b->conv, b->first + idx);
    const float *from[PLACES];
    winograd_pixels(b->conv, at, b->operands->in, b->zeros, from);
    winograd_turn_tile(from, b->conv->in_channels, b->room * step, b->turned + idx * step);
}

/* Channels [out, out + OUT) of one tile of the output. */
static void turn_out(const block *b, int64_t idx, int64_t out)
{
    const fari_thin_conv *conv = b->conv;
    const winograd_tile at = winograd_tile_of(conv, b->first + idx);
    const float *from = b->sums + idx * OUT;
    const bool has_row = at.row + 1 < conv->out_rows, has_col = at.col + 1 < conv->out_cols;
    const int64_t row = conv->out_cols * conv->out_channels, col = conv->out_channels;
    float *to = b->operands->out + ((at.sample * conv->out_rows + at.row) * conv->out_cols + at.col) * col + out;
    for (int64_t c = 0; c < OUT; c += WIDE) {
        wide m[PLACES], y[4];
        WIDE_UNROLL
        for (int i = 0; i < PLACES; i++) m[i] = wide_load(from + i * b->room * OUT + c);
        winograd_turn_out(m, y);
        if (b->operands->bias != NULL) {
            const wide bias = wide_load(b->operands->bias + out + c);
            WIDE_UNROLL
            for (int i = 0; i < 4; i++) y[i] = wide_add(y[i], bias);
        }
        wide_store(to + c, y[0]);
        if (has_col) wide_store(to + col + c, y[1]);
        if (has_row) wide_store(to + row + c, y[2]);
        if (has_row && has_col) wide_store(to + row + col + c, y[3]);
    }
}

/* ---- blocks ---- */

/* Place `place` of all tiles of a block, for the channels of the panel `weight`; tiles are dealt out evenly over products. */
static void place_run(const block *b, const float *weight, int64_t place, bool is_last)
{
    const fari_thin_conv *conv = b->conv;
    const int64_t channels = conv->in_channels, step = fari_winograd_step(conv), parts = (b->tiles + TILES - 1) / TILES;
    product p = { .step = step };
    const float *w = weight + place * channels * OUT;
    for (int64_t half = 0; half < OUT; half += VECTORS * WIDE)
        for (int64_t chain = 0; chain < channels; chain += CHAIN) {
            const int64_t left = channels - chain;
            p.channels = left < CHAIN ? left : CHAIN;
            p.is_first = chain == 0;
            p.weight = w + chain * OUT + half;
            /* After the last place of the last panel there is nothing more to come. */
            const int64_t next_bytes = is_last ? 0 : channels * OUT * (int64_t)sizeof(float);
            p.ahead_step = next_bytes / (parts * channels);
            p.ahead = (const char *)(w + channels * OUT) + chain * parts * p.ahead_step;
            for (int64_t part = 0, tile = 0; part < parts; part++) {
                const int64_t next = b->tiles * (part + 1) / parts;
                p.in = b->turned + (place * b->room + tile) * step + chain;
                p.out = b->sums + (place * b->room + tile) * OUT + half;
                product_of(&p, next - tile);
                p.ahead += p.channels * p.ahead_step;
                tile = next;
            }
        }
}

static void block_run(const block *b)
{
    const fari_thin_conv *conv = b->conv;
    for (int64_t i = 0; i < b->tiles; i++) turn_in(b, i);
    for (int64_t out = 0; out < conv->out_channels; out += OUT) {
        const float *weight = b->operands->weight + out * PLACES * conv->in_channels;
        for (int64_t place = 0; place < PLACES; place++)
            place_run(b, weight, place, out + OUT >= conv->out_channels && place == PLACES - 1);
        for (int64_t i = 0; i < b->tiles; i++) turn_out(b, i, out);
    }
}

void FARI_ISA(fari_winograd_run)(const fari_thin_conv *conv, const fari_conv_operands *operands)
{
    const int64_t all = fari_winograd_tiles(conv), room = fari_winograd_block(conv);
    block b = { .conv = conv, .operands = operands, .turned = operands->scratch, .room = room };
    b.sums = b.turned + PLACES * room * fari_winograd_step(conv);
    b.zeros = b.sums + PLACES * room * OUT;
    memset(b.zeros, 0, (size_t)conv->in_channels * sizeof(float));
    for (b.first = 0; b.first < all; b.first += room) {
        b.tiles = all - b.first < room ? all - b.first : room;
        block_run(&b);
    }
}

/* ---- weights ---- */

#define PACKED_IN \
    8 /* channels of the input that are packed together: places lie far apart, so each gets a run of lines */
#define TAPS 9

/* Taps of PACKED_IN channels of the input for WIDE of the output, `apart` from each other: [in][tap][WIDE]. */
FARI_INLINE void read_kernels(const float *from, int64_t apart, float *taps)
{
    for (int64_t at = 0; at < PACKED_IN * TAPS; at += TURN_ROWS) {
        wide v[TURN_ROWS];
        WIDE_UNROLL
        for (int i = 0; i < TURN_ROWS; i++) v[i] = turn_load(from + at, apart, i);
        turn(v);
        WIDE_UNROLL
        for (int i = 0; i < TURN_ROWS; i++) wide_store(taps + (at + i) * WIDE, v[i]);
    }
}

/* The same where channels of the output follow each other and those of the input are `apart`; taps from the last to the first. */
FARI_INLINE void read_turned(const float *from, int64_t apart, float *taps)
{
    for (int64_t in = 0; in < PACKED_IN; in++, from += apart, taps += TAPS * WIDE) {
        wide v[TURN_ROWS];
        for (int64_t first = 0; first < 2; first++) { /* taps 0 to 7, then 1 to 8: nothing past the end is read */
            WIDE_UNROLL
            for (int i = 0; i < TURN_ROWS; i++) v[i] = turn_load(from + first, TAPS, i);
            turn(v);
            WIDE_UNROLL
            for (int i = 0; i < TURN_ROWS; i++) wide_store(taps + (TAPS - 1 - first - i) * WIDE, v[i]);
        }
    }
}

void FARI_ISA(fari_winograd_pack)(int64_t in_channels, int64_t out_channels, bool is_turned, const float *plain,
                                  float *packed)
{
    const int64_t in_step = is_turned ? out_channels * TAPS : TAPS, out_step = is_turned ? TAPS : in_channels * TAPS;
    float taps[PACKED_IN * TAPS * WIDE], some[PLACES * PACKED_IN * OUT];
    for (int64_t out = 0; out < out_channels; out += OUT)
        for (int64_t in = 0; in < in_channels; in += PACKED_IN) {
            for (int64_t o = 0; o < OUT; o += WIDE) {
                const float *from = plain + in * in_step + (out + o) * out_step;
                if (is_turned) read_turned(from, in_step, taps);
                else read_kernels(from, out_step, taps);
                for (int64_t i = 0; i < PACKED_IN; i++) {
                    wide g[TAPS], u[PLACES];
                    WIDE_UNROLL
                    for (int t = 0; t < TAPS; t++) g[t] = wide_load(taps + (i * TAPS + t) * WIDE);
                    winograd_turn_weight(g, u);
                    WIDE_UNROLL
                    for (int p = 0; p < PLACES; p++) wide_store(some + (p * PACKED_IN + i) * OUT + o, u[p]);
                }
            }
            for (int64_t place = 0; place < PLACES; place++)
                memcpy(packed + ((out / OUT * PLACES + place) * in_channels + in) * OUT, some + place * PACKED_IN * OUT,
                       PACKED_IN * OUT * sizeof(float));
        }
}
