/* A network of one's own: built layer by layer, given a loss, differentiated. Nothing runs: graphs are made before memory is.
   Prints what a training program would hand on: parameters, shapes, gradients.

       cc own_network.c $(pkg-config --cflags --libs farandole) && ./a.out */
#include <farandole/activation.h>
#include <farandole/conv.h>
#include <farandole/linear.h>
#include <farandole/loss.h>
#include <farandole/norm.h>
#include <farandole/pool.h>
#include <inttypes.h>
#include <stdio.h>

/* Two 3x3 convolutions with the block's input added; norm, addition and activation are one pass over memory. */
static far_value residual_block(far_graph *graph, const char *at, far_value x, int64_t channels)
{
    const far_conv_opts conv = { .out_channels = channels, .kernel = { 3 }, .pad = { 1 }, .no_bias = true };
    char name[64];
    far_value y;
    (void)snprintf(name, sizeof name, "%s.conv1", at);
    y = far_conv(graph, name, x, &conv);
    (void)snprintf(name, sizeof name, "%s.bn1", at);
    y = far_batch_norm(graph, name, y, &(far_norm_opts){ .act = FAR_ACT_RELU });
    (void)snprintf(name, sizeof name, "%s.conv2", at);
    y = far_conv(graph, name, y, &conv);
    (void)snprintf(name, sizeof name, "%s.bn2", at);
    return far_batch_norm(graph, name, y, &(far_norm_opts){ .act = FAR_ACT_RELU, .residual = &x });
}

/* [N, 3, H, W] -> [N, 10] */
static far_value network(far_graph *graph, far_value x)
{
    const far_pool_opts half = { .kernel = { 2 } };
    x = far_conv(graph, "stem", x, &(far_conv_opts){ .out_channels = 16, .kernel = { 3 }, .pad = { 1 } });
    x = residual_block(graph, "block1", x, 16);
    x = far_max_pool(graph, "pool1", x, &half);
    x = far_conv(graph, "widen", x, &(far_conv_opts){ .out_channels = 32, .kernel = { 1 } });
    x = residual_block(graph, "block2", x, 32);
    x = far_global_avg_pool(graph, "mean", x);
    return far_linear(graph, "classes", x, &(far_linear_opts){ .out_features = 10 });
}

static void print_parameters(const far_graph *graph)
{
    char text[128];
    for (int32_t i = 0; i < far_graph_param_count(graph); i++) {
        const far_value param = far_graph_param_at(graph, i);
        const far_shape shape = far_graph_shape(graph, param);
        printf("%-20s %-14s%s\n", far_graph_value_name(graph, param), far_shape_text(&shape, text),
               far_graph_gradient(graph, param) == FAR_NO_VALUE ? "  no gradient" : "");
    }
    printf("%" PRId64 " parameters\n", far_graph_param_elems(graph));
}

int main(void)
{
    const far_shape image = { 4, { 32, 3, 32, 32 } }, label = { 1, { 32 } };
    far_graph *graph = NULL;
    far_status st = far_graph_create(true, &graph);
    if (st == FAR_OK) {
        /* Failures stick to the graph: one look at the end is enough. */
        const far_value x = far_graph_input(graph, "image", FAR_F32, &image);
        const far_value y = far_graph_input(graph, "label", FAR_I32, &label);
        const far_value loss = far_cross_entropy(graph, "loss", network(graph, x), y, NULL);
        st = far_graph_backward(graph, loss);
    }
    if (st == FAR_OK) print_parameters(graph);
    else (void)fprintf(stderr, "%s: %s\n", far_status_name(st), far_error_message());
    far_graph_destroy(graph);
    return st == FAR_OK ? 0 : 1;
}
