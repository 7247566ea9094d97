/* The model zoo from C: lists it, or builds one of its networks with options and counts parameters.

       cc zoo.c $(pkg-config --cflags --libs farandole) -o zoo
       ./zoo
       ./zoo uresnet depth=4 width=8 norm=group */
#include <farandole/model.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static void list_models(void)
{
    char text[128];
    for (int32_t i = 0; i < far_model_count(); i++) {
        const far_model *model = far_model_at(i);
        printf("%s: %s (%s)\n", model->name, model->help, far_shape_text(&model->input, text));
        for (int32_t k = 0; k < model->preset_count; k++)
            printf("  %-12s %s\n", model->presets[k].name, model->presets[k].help);
    }
}

/* "width=8" into the options. */
static far_status set_option(far_options *opts, char *assignment)
{
    char *value = strchr(assignment, '=');
    if (value == NULL) return far_options_set(opts, assignment, "");
    *value = '\0';
    return far_options_set(opts, assignment, value + 1);
}

static far_status build(const char *name, int count, char **assignments)
{
    far_options *opts = NULL;
    far_graph *graph = NULL;
    far_model_result result;
    char text[128];
    far_status st = far_model_opts_create(name, NULL, &opts);
    for (int i = 0; i < count && st == FAR_OK; i++) st = set_option(opts, assignments[i]);
    if (st == FAR_OK) st = far_graph_create(false, &graph);
    if (st == FAR_OK) {
        const far_value image = far_graph_input(graph, "image", FAR_F32, &far_model_of(opts)->input);
        st = far_model_build(graph, opts, image, &result);
    }
    if (st == FAR_OK) {
        const far_shape logits = far_graph_shape(graph, result.logits[0]);
        printf("%s: %" PRId64 " parameters, %d x logits %s\n", name, far_graph_param_elems(graph), (int)result.count,
               far_shape_text(&logits, text));
    }
    far_graph_destroy(graph);
    far_options_destroy(opts);
    return st;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        list_models();
        return 0;
    }
    if (build(argv[1], argc - 2, argv + 2) == FAR_OK) return 0;
    (void)fprintf(stderr, "%s\n", far_error_message());
    return 1;
}
