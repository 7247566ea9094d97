/* Tables of options: values of every type, from text and from YAML, and what is refused. */
#include "test.h"

#include "base/mem.h"
#include <farandole/options.h>

static const far_config_key table[] = {
    { .name = "count", .type = FAR_CONFIG_INT, .default_text = "3", .help = "how many", .min = 1, .max = 10 },
    { .name = "size",
      .type = FAR_CONFIG_INT,
      .default_text = "auto",
      .help = "how large",
      .values = "auto",
      .min = 1,
      .max = 1e15 },
    { .name = "rate", .type = FAR_CONFIG_FLOAT, .default_text = "0.5", .help = "how fast", .min = 0, .max = 1 },
    { .name = "is_on", .type = FAR_CONFIG_BOOL, .default_text = "no", .help = "whether" },
    { .name = "kind", .type = FAR_CONFIG_ENUM, .default_text = "b", .help = "which", .values = "a|b|cc" },
    { .name = "title", .type = FAR_CONFIG_STRING, .default_text = "", .help = "what it is called" },
    { .name = "sizes", .type = FAR_CONFIG_INTS, .default_text = "1,2", .help = "several", .min = -5, .max = 100 },
    { .name = "weights", .type = FAR_CONFIG_FLOATS, .default_text = "", .help = "several", .min = 0, .max = 1e9 },
    { .name = "names", .type = FAR_CONFIG_STRINGS, .default_text = "", .help = "several" },
    { .name = "tree", .type = FAR_CONFIG_NODE, .default_text = "", .help = "anything" },
    { .name = "must", .type = FAR_CONFIG_INT, .help = "always given", .min = 0, .max = 9 },
};

static far_options *options(void)
{
    far_options *opts = NULL;
    FAR_CHECK_OK(far_options_create("the thing", table, (int32_t)FAR_COUNT(table), &opts));
    return opts;
}

FAR_TEST(defaults_are_the_tables)
{
    far_options *opts = options();
    FAR_CHECK_EQ_I64(far_options_i64(opts, "count"), 3);
    FAR_CHECK_EQ_I64(far_options_i64(opts, "size"), 0);
    FAR_CHECK_NEAR(far_options_f64(opts, "rate"), 0.5, 0);
    FAR_CHECK(!far_options_bool(opts, "is_on"));
    FAR_CHECK_EQ_I64(far_options_enum(opts, "kind"), 1);
    FAR_CHECK_STR(far_options_text(opts, "title"), "");
    FAR_CHECK_EQ_I64(far_options_list_count(opts, "sizes"), 2);
    FAR_CHECK_EQ_I64(far_options_list_i64(opts, "sizes", 1), 2);
    FAR_CHECK_EQ_I64(far_options_list_count(opts, "weights"), 0);
    FAR_CHECK(far_options_node(opts, "tree") == NULL);
    FAR_CHECK(!far_options_is_set(opts, "count") && far_options_has(opts, "rate") && !far_options_has(opts, "ratio"));
    FAR_CHECK(far_options_rows(opts) == table && far_options_row_count(opts) == (int32_t)FAR_COUNT(table));
    FAR_CHECK_STATUS(far_options_check(opts, NULL), FAR_E_CONFIG);
    FAR_CHECK_HAS(far_error_message(), "the thing needs a value for 'must': always given");
    far_options_destroy(opts);
    far_options_destroy(NULL);
}

FAR_TEST(values_are_set_from_text)
{
    far_options *opts = options();
    FAR_CHECK_OK(far_options_set(opts, "count", "10"));
    FAR_CHECK_OK(far_options_set(opts, "size", "1e6"));
    FAR_CHECK_OK(far_options_set(opts, "rate", "2.5e-1"));
    FAR_CHECK_OK(far_options_set(opts, "is_on", "true"));
    FAR_CHECK_OK(far_options_set(opts, "kind", "cc"));
    FAR_CHECK_OK(far_options_set(opts, "title", "a, b"));
    FAR_CHECK_OK(far_options_set(opts, "sizes", "[-1, 20,3 ]"));
    FAR_CHECK_OK(far_options_set(opts, "weights", "0.5"));
    FAR_CHECK_OK(far_options_set(opts, "names", "one,two words"));
    FAR_CHECK_OK(far_options_set(opts, "must", "0"));
    FAR_CHECK_OK(far_options_check(opts, NULL));
    FAR_CHECK_EQ_I64(far_options_i64(opts, "count"), 10);
    FAR_CHECK_EQ_I64(far_options_i64(opts, "size"), 1000000);
    FAR_CHECK_NEAR(far_options_f64(opts, "rate"), 0.25, 0);
    FAR_CHECK(far_options_bool(opts, "is_on") && far_options_is_set(opts, "is_on"));
    FAR_CHECK_STR(far_options_text(opts, "kind"), "cc");
    FAR_CHECK_EQ_I64(far_options_enum(opts, "kind"), 2);
    FAR_CHECK_STR(far_options_text(opts, "title"), "a, b");
    FAR_CHECK_EQ_I64(far_options_list_count(opts, "sizes"), 3);
    FAR_CHECK_EQ_I64(far_options_list_i64(opts, "sizes", 0), -1);
    FAR_CHECK_EQ_I64(far_options_list_i64(opts, "sizes", 2), 3);
    FAR_CHECK_NEAR(far_options_list_f64(opts, "weights", 0), 0.5, 0);
    FAR_CHECK_STR(far_options_list_text(opts, "names", 1), "two words");
    FAR_CHECK_OK(far_options_set(opts, "size", "auto"));
    FAR_CHECK_EQ_I64(far_options_i64(opts, "size"), 0);
    FAR_CHECK_OK(far_options_set(opts, "sizes", "[]"));
    FAR_CHECK_EQ_I64(far_options_list_count(opts, "sizes"), 0);
    far_options_destroy(opts);
}

FAR_TEST(wrong_values_are_refused_and_change_nothing)
{
    static const struct {
        const char *key, *value, *words;
    } wrong[] = {
        { "count", "11", "the thing: option 'count': 11 is outside [1, 10]" },
        { "count", "2.5", "'2.5' is not a whole number" },
        { "count", "", "is not a whole number" },
        { "count", "99999999999999999999", "is not a whole number" },
        { "rate", "nan", "outside" },
        { "rate", "fast", "'fast' is not a number" },
        { "is_on", "1", "neither yes nor no" },
        { "kind", "c", "'c' is not one of a|b|cc" },
        { "kind", "", "is not one of" },
        { "kind", "a|b", "is not one of" },
        { "sizes", "1,,2", "is not a whole number" },
        { "sizes", "1,200", "200 is outside [-5, 100]" },
        { "tree", "x", "in a YAML file only" },
        { "cuont", "1", "no option 'cuont'; the nearest is 'count'" },
    };
    far_options *opts = options();
    for (size_t i = 0; i < FAR_COUNT(wrong); i++) {
        FAR_CHECK_STATUS(far_options_set(opts, wrong[i].key, wrong[i].value), FAR_E_CONFIG);
        FAR_CHECK_HAS(far_error_message(), wrong[i].words);
    }
    FAR_CHECK_EQ_I64(far_options_i64(opts, "count"), 3);
    FAR_CHECK_EQ_I64(far_options_list_count(opts, "sizes"), 2);
    FAR_CHECK_STATUS(far_options_fail(opts, "count", "too %s", "odd"), FAR_E_CONFIG);
    FAR_CHECK_STR(far_error_message(), "the thing: option 'count': too odd");
    far_options_destroy(opts);
}

FAR_TEST(values_are_set_from_yaml_with_their_place)
{
    static const char yaml[] =
        "model:\n"
        "  layers:\n"
        "    - {count: 4, rate: 0.75, is_on: yes, kind: a, sizes: 7, names: [x, y], tree: {deep: 1}}\n"
        "    - {count: 4,\n"
        "       sizes: [1, two]}\n"
        "    - {count: 4, rat: 1}\n"
        "    - {count: [4]}\n"
        "    - {sizes: [[4]]}\n"
        "    - {sizes: {a: 4}}\n"
        "    - [count]\n";
    far_config *config = NULL;
    far_options *opts = options();
    FAR_CHECK_OK(far_config_create(&config));
    FAR_CHECK_OK(far_config_parse(config, "x.yaml", yaml, strlen(yaml)));
    const far_config_node *list = far_config_node_of(config, "model.layers");
    FAR_CHECK_OK(far_options_set_map(opts, far_config_node_at(list, 0), NULL));
    FAR_CHECK_EQ_I64(far_options_i64(opts, "count"), 4);
    FAR_CHECK_NEAR(far_options_f64(opts, "rate"), 0.75, 0);
    FAR_CHECK_EQ_I64(far_options_list_i64(opts, "sizes", 0), 7);
    FAR_CHECK_STR(far_options_list_text(opts, "names", 1), "y");
    FAR_CHECK(far_config_node_get(far_options_node(opts, "tree"), "deep") != NULL);
    FAR_CHECK_STATUS(far_options_fail(opts, "rate", "no"), FAR_E_CONFIG);
    FAR_CHECK_STR(far_error_message(), "x.yaml:3: the thing: option 'rate': no");
    static const char *const words[] = { "x.yaml:5: the thing: option 'sizes': 'two' is not a whole number",
                                         "x.yaml:6: the thing has no option 'rat'; the nearest is 'rate'",
                                         "x.yaml:7: the thing: option 'count' takes one value",
                                         "x.yaml:8: the thing: option 'sizes' takes a list of plain values",
                                         "x.yaml:9: the thing: option 'sizes' takes a list",
                                         "x.yaml:10: the thing takes a map" };
    for (int64_t i = 0; i < (int64_t)FAR_COUNT(words); i++) {
        FAR_CHECK_STATUS(far_options_set_map(opts, far_config_node_at(list, i + 1), NULL), FAR_E_CONFIG);
        FAR_CHECK_HAS(far_error_message(), words[i]);
    }
    static const char *const skip[] = { "rat", NULL };
    FAR_CHECK_OK(far_options_set_map(opts, far_config_node_at(list, 2), skip));
    far_options_destroy(opts);
    far_config_destroy(config);
}

FAR_TEST(a_table_with_a_wrong_default_is_refused)
{
    static const far_config_key wrong[] = {
        { .name = "n", .type = FAR_CONFIG_INT, .default_text = "12", .min = 0, .max = 9 }
    };
    far_options *opts = NULL;
    const int64_t live = fari_alloc_live();
    FAR_CHECK_STATUS(far_options_create("it", wrong, 1, &opts), FAR_E_CONFIG);
    FAR_CHECK(opts == NULL && fari_alloc_live() == live);
}

FAR_TEST(options_survive_each_allocation_failure)
{
    far_status st = FAR_E_NOMEM;
    for (int64_t nth = 0; st == FAR_E_NOMEM && nth < 1000; nth++) {
        const int64_t live = fari_alloc_live();
        far_options *opts = NULL;
        fari_alloc_fail_after(nth);
        st = far_options_create("the thing", table, (int32_t)FAR_COUNT(table), &opts);
        if (st == FAR_OK) st = far_options_set(opts, "sizes", "1,2,3,4,5,6,7,8,9");
        fari_alloc_fail_after(-1);
        if (st == FAR_E_NOMEM && opts != NULL) FAR_CHECK_EQ_I64(far_options_list_count(opts, "sizes"), 2);
        far_options_destroy(opts);
        FAR_CHECK_EQ_I64(fari_alloc_live(), live);
    }
    FAR_CHECK_OK(st);
}
