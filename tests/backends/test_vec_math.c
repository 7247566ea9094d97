/* The float functions our vector kernels stand on, against the C library in double. */
#include "backends/cpu/isa/vec_math.h"
#include "test.h"

/* |got - want| in units of the last place of want as a float. */
static double ulps(float got, double want)
{
    const double at = fabs(want) > (double)FLT_MIN ? fabs(want) : (double)FLT_MIN;
    int exponent;
    (void)frexp(at, &exponent);
    return fabs((double)got - want) / ldexp(1.0, exponent - 24);
}

typedef struct range {
    const char *name;
    float (*fn)(float);
    double (*want)(double);
    double lo, hi, limit; /* limit in ulp */
} range;

static float exp_of(float x)
{
    return vec_exp(x);
}

static float log_of(float x)
{
    return vec_log(x);
}

static float log1p_of(float x)
{
    return vec_log1p(x);
}

static float tanh_of(float x)
{
    return vec_tanh(x);
}

static float sigmoid_of(float x)
{
    return vec_sigmoid(x);
}

static float cdf_of(float x)
{
    float cdf, pdf;
    vec_normal(x, &cdf, &pdf);
    return cdf;
}

static float pdf_of(float x)
{
    float cdf, pdf;
    vec_normal(x, &cdf, &pdf);
    return pdf;
}

static double sigmoid_want(double x)
{
    return 1.0 / (1.0 + exp(-x));
}

static double cdf_want(double x)
{
    return 0.5 * erfc(-x * 0.70710678118654752440);
}

static double pdf_want(double x)
{
    return exp(-0.5 * x * x) * 0.39894228040143267794;
}

/* e^(-x^2 / 2) carries the rounding of x^2: half an ulp of it, which is x^2 / 4 ulp of the result. */
static const range ranges[] = {
    { "exp near 0", exp_of, exp, -1.0, 1.0, 2.0 },
    { "exp", exp_of, exp, -86.9, 88.7, 2.0 },
    { "log near 1", log_of, log, 0.7, 1.4, 3.0 },
    { "log", log_of, log, 1e-30, 1e30, 2.0 },
    { "log of small", log_of, log, 1e-6, 1.0, 3.0 },
    { "log1p", log1p_of, log1p, 0.0, 1.0, 3.0 },
    { "log1p of small", log1p_of, log1p, 0.0, 1e-5, 2.0 },
    { "log1p of large", log1p_of, log1p, 0.0, 1000.0, 3.0 },
    { "tanh near 0", tanh_of, tanh, -0.7, 0.7, 3.0 },
    { "tanh", tanh_of, tanh, -10.0, 10.0, 3.0 },
    { "sigmoid", sigmoid_of, sigmoid_want, -10.0, 20.0, 4.0 },
    { "normal distribution", cdf_of, cdf_want, -1.0, 10.0, 8.0 },
    { "normal distribution, tail", cdf_of, cdf_want, -6.0, -1.0, 24.0 },
    { "normal density", pdf_of, pdf_want, -3.0, 3.0, 6.0 },
};

FAR_TEST(vec_math_is_accurate)
{
    const int steps = 200000;
    for (size_t r = 0; r < FAR_COUNT(ranges); r++) {
        double worst = 0.0, worst_at = 0.0;
        for (int i = 0; i <= steps; i++) {
            const float x = (float)(ranges[r].lo + (ranges[r].hi - ranges[r].lo) * i / steps);
            const double off = ulps(ranges[r].fn(x), ranges[r].want((double)x));
            if (!(off <= worst)) {
                worst = off;
                worst_at = (double)x;
            }
        }
        printf("%-28s %.2f ulp at %.9g\n", ranges[r].name, worst, worst_at);
        FAR_CHECK_MSG(worst <= ranges[r].limit, "%s: %.3g ulp off at %.9g", ranges[r].name, worst, worst_at);
    }
}

FAR_TEST(vec_math_at_the_ends)
{
    FAR_CHECK(vec_exp(0.0f) == 1.0f); /* exactly: losses count on the largest logit's 1 */
    FAR_CHECK(vec_exp(-0.0f) == 1.0f);
    FAR_CHECK(vec_exp(-88.0f) == 0.0f && vec_exp(-1000.0f) == 0.0f && vec_exp(-INFINITY) == 0.0f);
    FAR_CHECK(vec_exp(89.0f) == INFINITY && vec_exp(INFINITY) == INFINITY);
    FAR_CHECK(vec_log(1.0f) == 0.0f);
    FAR_CHECK(vec_log1p(0.0f) == 0.0f);
    FAR_CHECK(vec_log1p(1e-12f) == 1e-12f);
    FAR_CHECK(vec_tanh(100.0f) == 1.0f && vec_tanh(-100.0f) == -1.0f && vec_tanh(1e-10f) == 1e-10f);
    FAR_CHECK(vec_sigmoid(200.0f) == 1.0f && vec_sigmoid(-200.0f) == 0.0f && vec_sigmoid(0.0f) == 0.5f);
    FAR_CHECK(cdf_of(40.0f) == 1.0f && fabsf(cdf_of(-40.0f)) < 1e-30f);
    FAR_CHECK_NEAR(cdf_of(0.0f), 0.5, 1e-7);
}

FAR_TEST(vec_math_keeps_nan)
{
    FAR_CHECK(isnan(vec_exp(NAN)) && isnan(vec_log(NAN)) && isnan(vec_log1p(NAN)) && isnan(vec_tanh(NAN)) &&
              isnan(vec_sigmoid(NAN)));
    FAR_CHECK(isnan(cdf_of(NAN)) && isnan(pdf_of(NAN)));
}
