/* Golden numbers: what tests/golden/data/<case>.json says of a whole network in PyTorch, and the formulas from which both sides make equal
   weights and batches (tests/golden/README.md). float64 is the truth, float32 the yardstick. */
#ifndef FAR_TESTS_GOLDEN_DATA_H
#define FAR_TESTS_GOLDEN_DATA_H
#include <farandole/tensor.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#define GOLDEN_STEPS 20
#define GOLDEN_PROJECTIONS_MAX 16

typedef enum golden_kind { GOLDEN_GRADIENT = 0, GOLDEN_STATISTIC, GOLDEN_OUTPUT, GOLDEN_KIND_COUNT } golden_kind;

/* A tensor of float64 as its norm and its projections, and how far PyTorch's float32 is from it. */
typedef struct golden_tensor {
    const char *name;
    far_shape shape;
    double init_offset, init_scale; /* gradients: where their parameter starts */
    uint64_t init_bits;
    double norm;
    double d32;  /* |torch_f32 - f64| */
    double flip; /* gradients: what the kinks within reach of float32 would change, kinks.py */
    double proj[GOLDEN_PROJECTIONS_MAX];
    int32_t proj_count;
    uint64_t key[GOLDEN_PROJECTIONS_MAX]; /* of the signs */
} golden_tensor;

typedef struct golden {
    json_t *root; /* owns all names */
    const char *label;
    const char *loss_name; /* cross_entropy, focal, focal_v21 */
    uint64_t seed;
    far_shape x, labels;
    int64_t classes, label_block;
    double lr, momentum;
    double loss_f64[GOLDEN_STEPS], loss_f32[GOLDEN_STEPS];
    double gradient_norm; /* of all gradients together */
    int64_t kinks_near;   /* kinks within reach of float32 */
    golden_tensor *tensors[GOLDEN_KIND_COUNT];
    int32_t count[GOLDEN_KIND_COUNT];
} golden;

void golden_load(const char *name, golden *g);
void golden_free(golden *g);

/* The true gradient is zero but for rounding: at most 1e-12 of the whole. */
bool golden_is_zero(const golden *g, const golden_tensor *t);
/* The contract: how far from float64 this tensor may be, in the 2-norm, when PyTorch's float32 is `d32` from it. */
double golden_limit(const golden *g, golden_kind kind, double norm, double d32);
double golden_loss_limit(const golden *g, int32_t step);

/* Fills elements in row-major order; x and labels are dense in that order too. */
void golden_weights(const golden *g, int32_t param, float *elems);
void golden_x(const golden *g, float *elems);
void golden_labels(const golden *g, int32_t *elems);
/* Sum of the elements' bits as unsigned numbers. */
uint64_t golden_bits_sum(const float *elems, int64_t count);
/* Sum of sign(i) elems[i], the sign from a key. */
double golden_project(uint64_t key, const float *elems, int64_t count);
#endif
