/* Configurations: defaults, YAML, overrides, errors with file, line and nearest key, dumps that read back. */
#include "base/file.h"
#include "base/mem.h"
#include "test.h"
#include <farandole/config.h>
#include <farandole/model.h>
#include <farandole/recipe.h>
#include <unistd.h>

static far_config *defaults(void)
{
    far_config *config = NULL;
    FAR_CHECK_OK(far_config_create(&config));
    return config;
}

static far_status parse(far_config *config, const char *text)
{
    return far_config_parse(config, "exp.yaml", text, strlen(text));
}

FAR_TEST(table_is_sound)
{
    char *reference = NULL;
    FAR_CHECK_OK(far_config_reference(&reference));
    for (int32_t i = 0; i < far_config_key_count(); i++) {
        const far_config_key *key = far_config_key_at(i);
        char cell[128];
        FAR_CHECK_MSG(far_config_key_find(key->name) == key, "key %s is there twice", key->name);
        FAR_CHECK(key->help != NULL && key->help[0] != '\0' && key->unit != NULL && key->default_text != NULL);
        FAR_CHECK(key->type != FAR_CONFIG_ENUM || key->values != NULL);
        (void)snprintf(cell, sizeof cell, "| `%s`", key->name);
        FAR_CHECK_HAS(reference, cell);
        /* rows of one group stay together, so that a dump has each heading once */
        const size_t group = strcspn(key->name, ".");
        bool has_ended = false;
        for (int32_t k = i + 1; k < far_config_key_count(); k++) {
            const char *other = far_config_key_at(k)->name;
            const bool is_same = strcspn(other, ".") == group && strncmp(other, key->name, group) == 0;
            FAR_CHECK_MSG(!(is_same && has_ended), "%s lies apart from %s", other, key->name);
            has_ended = has_ended || !is_same;
        }
    }
    far_config_text_free(reference);
}

FAR_TEST(defaults_are_typed)
{
    far_config *config = defaults();
    FAR_CHECK_EQ_I64(far_config_i64(config, "batch"), 64);
    FAR_CHECK_EQ_I64(far_config_i64(config, "threads"), 0); /* auto */
    FAR_CHECK(far_config_f64(config, "optim.lr") == 0.01);
    FAR_CHECK(!far_config_bool(config, "data.augment.flip"));
    FAR_CHECK_STR(far_config_text(config, "data.kind"), "auto");
    FAR_CHECK_STR(far_config_text(config, "data.path"), "");
    FAR_CHECK_EQ_I64(far_config_list_count(config, "optim.betas"), 2);
    FAR_CHECK(far_config_list_f64(config, "optim.betas", 1) == 0.999);
    FAR_CHECK_EQ_I64(far_config_list_count(config, "data.mean"), 0);
    FAR_CHECK(far_config_node_of(config, "model.layers") == NULL);
    FAR_CHECK(!far_config_is_set(config, "batch"));
    FAR_CHECK_STR(far_config_where(config, "batch"), "default");
    far_config_destroy(config);
    far_config_destroy(NULL);
    FAR_CHECK_EQ_I64(fari_alloc_live(), 0);
}

static const char example[] = "# an experiment\n"
                              "model: lenet5\n"
                              "data:\n"
                              "  path: /data/fashion mnist\n"
                              "  mean: 0.5\n"
                              "  std: [0.5]\n"
                              "  augment: {flip: yes, crop_pad: 4}\n"
                              "  synthetic.shape: [3, 8, 8]\n"
                              "optim:\n"
                              "  name: sgd\n"
                              "  lr: 1e-1\n"
                              "  betas: [0.8, 0.9]\n"
                              "train: {steps: auto, epochs: 2.5}\n"
                              "batch: 1_024\n"
                              "memory: 1.5GiB\n"
                              "grain: samples=2,rows=64\n"
                              "schedule: ~\n"
                              "loss:\n";

FAR_TEST(yaml_is_read)
{
    far_config *config = defaults();
    FAR_CHECK_OK(parse(config, example));
    FAR_CHECK_STR(far_config_text(config, "model.name"), "lenet5");
    FAR_CHECK_STR(far_config_text(config, "data.path"), "/data/fashion mnist");
    FAR_CHECK_EQ_I64(far_config_list_count(config, "data.mean"), 1);
    FAR_CHECK(far_config_list_f64(config, "data.mean", 0) == 0.5 && far_config_list_f64(config, "data.std", 0) == 0.5);
    FAR_CHECK(far_config_bool(config, "data.augment.flip"));
    FAR_CHECK_EQ_I64(far_config_i64(config, "data.augment.crop_pad"), 4);
    FAR_CHECK_EQ_I64(far_config_list_i64(config, "data.synthetic.shape", 0), 3);
    FAR_CHECK(far_config_f64(config, "optim.lr") == 0.1);
    FAR_CHECK_EQ_I64(far_config_i64(config, "train.steps"), 0);
    FAR_CHECK(!far_config_is_set(config, "train.steps")); /* auto is nothing given */
    FAR_CHECK(far_config_f64(config, "train.epochs") == 2.5);
    FAR_CHECK_EQ_I64(far_config_i64(config, "batch"), 1024);
    FAR_CHECK_EQ_I64(far_config_i64(config, "memory"), INT64_C(3) << 29);
    FAR_CHECK_EQ_I64(far_config_i64(config, "grain.samples"), 2);
    FAR_CHECK_EQ_I64(far_config_i64(config, "grain.rows"), 64);
    FAR_CHECK_STR(far_config_where(config, "optim.lr"), "exp.yaml:11");
    FAR_CHECK_STR(far_config_where(config, "grain.rows"), "exp.yaml:16");
    FAR_CHECK_STATUS(far_config_fail(config, "optim.lr", "too %s", "high"), FAR_E_CONFIG);
    FAR_CHECK_STR(far_error_message(), "exp.yaml:11: optim.lr: too high");
    FAR_CHECK_OK(parse(config, ""));
    FAR_CHECK_OK(parse(config, "# nothing\n"));
    FAR_CHECK_OK(parse(config, "optim: {lr: null}\n")); /* back to the default */
    FAR_CHECK(far_config_f64(config, "optim.lr") == 0.01);
    FAR_CHECK(!far_config_is_set(config, "optim.lr"));
    far_config_destroy(config);
    FAR_CHECK_EQ_I64(fari_alloc_live(), 0);
}

FAR_TEST(overrides_win)
{
    static const char *const given[] = { "optim.lr=0.3",
                                         "optim.betas=0.5,0.6",
                                         "data.path=/a: b # c=d",
                                         "model=resnet",
                                         "grain=4",
                                         "data.augment={flip: true, vflip: true}",
                                         "log.level=debug",
                                         "data.std=[1, 2]" };
    far_config *config = defaults();
    FAR_CHECK_OK(parse(config, "optim: {lr: 0.2}\n"));
    for (size_t i = 0; i < FAR_COUNT(given); i++) FAR_CHECK_OK(far_config_set(config, given[i]));
    FAR_CHECK(far_config_f64(config, "optim.lr") == 0.3);
    FAR_CHECK_STR(far_config_where(config, "optim.lr"), "command line");
    FAR_CHECK(far_config_list_f64(config, "optim.betas", 1) == 0.6);
    FAR_CHECK_STR(far_config_text(config, "data.path"), "/a: b # c=d");
    FAR_CHECK_STR(far_config_text(config, "model.name"), "resnet");
    FAR_CHECK_EQ_I64(far_config_i64(config, "grain.samples"), 4);
    FAR_CHECK_EQ_I64(far_config_list_count(config, "data.std"), 2);
    FAR_CHECK_OK(far_config_set(config, "data.path="));
    FAR_CHECK_STR(far_config_text(config, "data.path"), "");
    far_config_destroy(config);
    FAR_CHECK_EQ_I64(fari_alloc_live(), 0);
}

static const struct {
    const char *text, *part;
} bad[] = {
    { "a: 1\noptim:\n  lrr: 0.1\n", "exp.yaml:1: unknown key \"a\"" },
    { "\noptim:\n  lrr: 0.1\n", "exp.yaml:3: unknown key \"optim.lrr\"; nearest valid key: \"optim.lr\"" },
    { "lr: 0.1\n", "nearest valid key: \"optim.lr\"" },
    { "Batch: 1\n", "nearest valid key: \"batch\"" },
    { "optimizer: {lr: 1}\n", "nearest valid key: \"optim.lr\"" },
    { "data: {height: 64}\n", "nearest valid key: \"data.size\"" },
    { "learning_rate: 0.1\n", "nearest valid key: \"optim.lr\"" },
    { "optim: 7.5\nbatch: x\n", "optim.name is \"7.5\"" },
    { "batch: many\n", "exp.yaml:1: batch is \"many\"; expected a whole number" },
    { "batch: 1.5\n", "expected a whole number" },
    { "batch: 0\n", "batch is 0; expected a whole number of at least 1" },
    { "batch: [1]\n", "batch is a list" },
    { "batch: {a: 1}\n", "unknown key \"batch.a\"" },
    { "batch: 99999999999999999999\n", "expected a whole number" },
    { "optim: {momentum: 1.5}\n", "expected a number from 0 to 1" },
    { "optim: {lr: .nan}\n", "optim.lr is .nan" },
    { "optim: {betas: [0.9, high]}\n", "optim.betas is \"high\"" },
    { "optim: {betas: {a: 1}}\n", "unknown key \"optim.betas.a\"" },
    { "optim: {nesterov: 2}\n", "expected true or false" },
    { "schedule: {name: cos}\n", "nearest: cosine" },
    { "loss: {gama: 2}\n", "nearest valid key: \"loss.gamma\"" },
    { "memory: 5 apples\n", "a size such as" },
    { "data: [1, 2]\n", "\"data\" is a group of keys" },
    { "train: 5\n", "\"train\" is a group of keys" },
    { "grain: samples=1,row=3\n", "nearest valid key: \"grain.rows\"" },
    { "grain: samples=x\n", "grain.samples" },
    { "batch: 1\nbatch: 2\n", "exp.yaml:2: key \"batch\" is there already, on line 1" },
    { "batch: 1\n  seed: 2\n", "exp.yaml:2" },
    { "batch: &x 1\nseed: *x\n", "anchors" },
    { "seed: *x\n", "anchors" },
    { "- 1\n", "expected keys and values" },
    { "just words", "expected keys and values" },
    { "batch: 1\n---\nbatch: 2\n", "second document" },
    { "batch: \"\\x00\"\n", "zero byte" },
    { "batch: \xff\n", "exp.yaml" },
    { "? [1]\n: 2\n", "a key has to be" },
    { "optim: {lr: 0.1\n", "exp.yaml:" },
    { "\t\tx", "exp.yaml:" },
};

FAR_TEST(errors_say_where)
{
    far_config *config = defaults();
    for (size_t i = 0; i < FAR_COUNT(bad); i++) {
        FAR_CHECK_MSG(parse(config, bad[i].text) == FAR_E_CONFIG, "accepted: %s", bad[i].text);
        FAR_CHECK_HAS(far_error_message(), bad[i].part);
        FAR_CHECK_HAS(far_error_message(), "exp.yaml");
    }
    FAR_CHECK_EQ_I64(far_config_i64(config, "batch"), 64); /* as it was: none of the failed texts changed anything */
    FAR_CHECK_STATUS(far_config_set(config, "optim.lr"), FAR_E_CONFIG);
    FAR_CHECK_HAS(far_error_message(), "key=value");
    FAR_CHECK_STATUS(far_config_set(config, "optim.rl=1"), FAR_E_CONFIG);
    FAR_CHECK_HAS(far_error_message(), "command line: unknown key \"optim.rl\"; nearest valid key: \"optim.lr\"");
    FAR_CHECK_STATUS(far_config_set(config, "=1"), FAR_E_CONFIG);
    FAR_CHECK_STATUS(far_config_load(config, "/no/such.yaml"), FAR_E_CONFIG);
    FAR_CHECK_HAS(far_error_message(), "/no/such.yaml");
    far_config_destroy(config);
    FAR_CHECK_EQ_I64(fari_alloc_live(), 0);
}

FAR_TEST(deep_nesting_is_refused)
{
    char text[400];
    far_config *config = defaults();
    (void)snprintf(text, sizeof text, "model: {layers: ");
    for (int i = 0; i < 200; i++) (void)strncat(text, "[", sizeof text - strlen(text) - 1);
    FAR_CHECK_STATUS(parse(config, text), FAR_E_CONFIG);
    FAR_CHECK_HAS(far_error_message(), "deep");
    far_config_destroy(config);
}

FAR_TEST(a_dump_reads_back_equal)
{
    char *first = NULL, *again = NULL;
    char hash[65], hash_again[65];
    far_config *config = defaults(), *copy = defaults();
    FAR_CHECK_OK(parse(config, example));
    FAR_CHECK_OK(parse(config,
                       "model: {layers: [{conv: {out: 8, kernel: 3}}, relu, {name: \"12\", list: [a, 'b c', ~]}]}\n"
                       "run: {dir: \"quotes \\\" and # and : and ü\"}\n"
                       "model.weights: -odd\n"));
    FAR_CHECK_OK(far_config_dump(config, &first));
    FAR_CHECK_HAS(first, "data:\n  path: \"/data/fashion mnist\"\n");
    FAR_CHECK_HAS(first, "  augment:\n    normalize: false\n");
    FAR_CHECK_HAS(first, "batch: 1024\n");
    FAR_CHECK_HAS(first, "threads: auto\n");
    FAR_CHECK_OK(far_config_parse(copy, "dump", first, strlen(first)));
    FAR_CHECK_OK(far_config_dump(copy, &again));
    FAR_CHECK_STR(again, first);
    FAR_CHECK_OK(far_config_hash(config, hash));
    FAR_CHECK_OK(far_config_hash(copy, hash_again));
    FAR_CHECK_STR(hash_again, hash);
    FAR_CHECK_OK(far_config_set(copy, "threads=3"));
    FAR_CHECK_OK(far_config_hash(copy, hash_again));
    FAR_CHECK_STR(hash_again, hash); /* results do not depend on threads */
    FAR_CHECK_OK(far_config_set(copy, "optim.lr=0.2"));
    FAR_CHECK_OK(far_config_hash(copy, hash_again));
    FAR_CHECK(strcmp(hash_again, hash) != 0);
    far_config_text_free(first);
    far_config_text_free(again);
    far_config_destroy(config);
    far_config_destroy(copy);
    FAR_CHECK_EQ_I64(fari_alloc_live(), 0);
}

FAR_TEST(trees_are_walked)
{
    static const char text[] = "model:\n"
                               "  layers:\n"
                               "    - conv: {out: 8, bias: no}\n"
                               "    - relu\n"
                               "    - {rate: 0.5}\n";
    far_config *config = defaults();
    int64_t i64 = 0;
    double f64 = 0.0;
    bool truth = true;
    FAR_CHECK_OK(parse(config, text));
    const far_config_node *layers = far_config_node_of(config, "model.layers");
    FAR_CHECK(far_config_node_kind_of(layers) == FAR_NODE_LIST && far_config_node_count(layers) == 3);
    const far_config_node *conv = far_config_node_get(far_config_node_at(layers, 0), "conv");
    FAR_CHECK(conv != NULL && far_config_node_kind_of(conv) == FAR_NODE_MAP);
    FAR_CHECK_STR(far_config_node_key(conv, 1), "bias");
    FAR_CHECK_OK(far_config_node_i64(far_config_node_get(conv, "out"), &i64));
    FAR_CHECK_OK(far_config_node_bool(far_config_node_get(conv, "bias"), &truth));
    FAR_CHECK(i64 == 8 && !truth);
    FAR_CHECK(far_config_node_get(conv, "none") == NULL && far_config_node_get(layers, "x") == NULL);
    FAR_CHECK_STR(far_config_node_text(far_config_node_at(layers, 1)), "relu");
    FAR_CHECK(far_config_node_text(layers) == NULL);
    const far_config_node *rate = far_config_node_get(far_config_node_at(layers, 2), "rate");
    FAR_CHECK_OK(far_config_node_f64(rate, &f64));
    FAR_CHECK(f64 == 0.5);
    FAR_CHECK_EQ_I64(far_config_node_line(rate), 5);
    FAR_CHECK_STR(far_config_node_file(rate), "exp.yaml");
    FAR_CHECK_STATUS(far_config_node_i64(rate, &i64), FAR_E_CONFIG);
    FAR_CHECK_STR(far_error_message(), "exp.yaml:5: expected a whole number, not 0.5");
    FAR_CHECK_STATUS(far_config_node_bool(layers, &truth), FAR_E_CONFIG);
    far_config_destroy(config);
}

FAR_TEST(options_of_networks_are_kept_as_written)
{
    far_config *config = defaults();
    FAR_CHECK_OK(parse(config, "model: {name: resnet, width: 32}\n"));
    FAR_CHECK(far_config_is_set(config, "model.width"));
    FAR_CHECK_STR(far_config_node_text(far_config_node_of(config, "model.width")), "32");
    FAR_CHECK_STATUS(parse(config, "model: {widht: 32}\n"), FAR_E_CONFIG);
    FAR_CHECK_HAS(far_error_message(), "\"model.width\"");
    far_config_destroy(config);
}

/* Each row of an options table once, and each a key of the configuration. */
static void check_reachable(const char *group, const char *whose, const far_config_key *options, int32_t count)
{
    for (int32_t i = 0; i < count; i++) {
        char key[128];
        (void)snprintf(key, sizeof key, "%s.%s", group, options[i].name);
        FAR_CHECK_MSG(far_config_key_find(key) != NULL, "%s has an option that no configuration reaches: %s", whose,
                      key);
        for (int32_t k = 0; k < i; k++)
            FAR_CHECK_MSG(strcmp(options[i].name, options[k].name) != 0, "%s has the option %s twice", whose,
                          options[i].name);
    }
}

FAR_TEST(options_of_networks_and_recipes_are_all_keys)
{
    for (int32_t i = 0; i < far_model_count(); i++)
        check_reachable("model", far_model_at(i)->name, far_model_at(i)->options, far_model_at(i)->option_count);
    for (int32_t i = 0; i < far_recipe_count(); i++)
        check_reachable("loss", far_recipe_at(i)->name, far_recipe_at(i)->options, far_recipe_at(i)->option_count);
}

FAR_TEST(grain_is_short_for_its_samples)
{
    far_config *config = defaults();
    FAR_CHECK_OK(parse(config, "grain: 4\n"));
    FAR_CHECK(far_config_i64(config, "grain.samples") == 4 && far_config_i64(config, "grain.rows") == 0);
    FAR_CHECK_OK(parse(config, "grain: {samples: 1, rows: 64}\n"));
    FAR_CHECK(far_config_i64(config, "grain.samples") == 1 && far_config_i64(config, "grain.rows") == 64);
    FAR_CHECK_OK(far_config_set(config, "grain=8"));
    FAR_CHECK(far_config_i64(config, "grain.samples") == 8 && far_config_i64(config, "grain.rows") == 64);
    FAR_CHECK_OK(far_config_set(config, "grain={samples: 2, rows: 32}"));
    FAR_CHECK(far_config_i64(config, "grain.samples") == 2 && far_config_i64(config, "grain.rows") == 32);
    FAR_CHECK_OK(far_config_set(config, "grain=samples=1,rows=16"));
    FAR_CHECK(far_config_i64(config, "grain.samples") == 1 && far_config_i64(config, "grain.rows") == 16);
    FAR_CHECK_OK(far_config_set(config, "grain=auto"));
    FAR_CHECK(!far_config_is_set(config, "grain.samples"));
    FAR_CHECK_STATUS(far_config_set(config, "grain=0"), FAR_E_CONFIG);
    FAR_CHECK_STATUS(far_config_set(config, "grain=few"), FAR_E_CONFIG);
    FAR_CHECK_STATUS(parse(config, "grain: [4]\n"), FAR_E_CONFIG);
    far_config_destroy(config);
    FAR_CHECK_EQ_I64(fari_alloc_live(), 0);
}

FAR_TEST(home_is_expanded)
{
    far_config *config = defaults();
    FAR_CHECK(setenv("HOME", "/home/x", 1) == 0);
    FAR_CHECK_OK(far_config_set(config, "data.path=~/data"));
    FAR_CHECK_STR(far_config_text(config, "data.path"), "/home/x/data");
    far_config_destroy(config);
}

FAR_TEST(each_allocation_may_fail)
{
    far_status st = FAR_E_NOMEM;
    int64_t nth = 0;
    for (; st == FAR_E_NOMEM && nth < 20000; nth++) {
        far_config *config = NULL;
        char *text = NULL, hash[65];
        fari_alloc_fail_after(nth);
        st = far_config_create(&config);
        if (st == FAR_OK) st = parse(config, example);
        if (st == FAR_OK) st = far_config_set(config, "optim.betas=0.5,0.6");
        if (st == FAR_OK) st = far_config_dump(config, &text);
        if (st == FAR_OK) st = far_config_hash(config, hash);
        fari_alloc_fail_after(-1);
        far_config_text_free(text);
        far_config_destroy(config);
        FAR_CHECK_EQ_I64(fari_alloc_live(), 0);
    }
    FAR_CHECK_OK(st);
    FAR_CHECK(nth > 100);
}
