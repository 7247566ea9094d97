/* The inside of configurations: YAML trees, values, the table. */
#ifndef FARI_RUN_CONFIG_PRIV_H
#define FARI_RUN_CONFIG_PRIV_H
#include "base/text.h"
#include <farandole/config.h>

struct far_config_node {
    far_config_node_kind kind;
    char *text;              /* of a scalar, owned */
    bool is_quoted;          /* "12" is a text, 12 a number */
    const char *file;        /* borrowed: lives as long as the configuration */
    int line;                /* 0: none */
    far_config_node **items; /* owned */
    char **keys;             /* of a map, owned; as many as items */
    int64_t count, item_cap, key_cap;
};

/* What a key stands at. Lists and trees stay nodes; scalars are parsed. */
typedef struct fari_config_value {
    far_config_node *node; /* owned; NULL: an absent tree, an empty list */
    int64_t i64;           /* INT, SIZE */
    double f64;
    bool truth;
    bool is_set; /* by a file or an override */
} fari_config_value;

struct far_config {
    fari_config_value *values; /* [far_config_key_count()] */
    char **labels;             /* names of files, for nodes */
    int64_t label_count, label_cap;
};

#define FARI_CONFIG_COMMAND_LINE "command line"

/* config.c: a copy that may be changed; names of files in it belong to the original, which has to outlive it. */
far_status fari_config_clone(const far_config *config, far_config **clone_out);

/* config_yaml.c */
far_status fari_config_yaml(const char *label, const char *text, size_t bytes,
                            far_config_node **root_out);                           /* NULL for an empty text */
far_config_node *fari_config_scalar(const char *file, int line, const char *text); /* NULL when there is no memory */
far_status fari_config_copy(const far_config_node *node, far_config_node **copy_out);
void fari_config_node_free(far_config_node *node);
bool fari_config_is_null(const far_config_node *node); /* nothing, ~ or null */

/* config_value.c: takes `node` in as the value of a key, checked. value_out owns a copy. */
far_status fari_config_check(const far_config_key *key, const far_config_node *node, fari_config_value *value_out);
far_status fari_config_default(const far_config_key *key, fari_config_value *value_out);
void fari_config_value_free(fari_config_value *value);
bool fari_config_parse_bool(const char *text, bool *value_out);
bool fari_config_is_list(far_config_type type);
bool fari_config_is_word(const char *values, const char *word); /* "a|b|c" has it */

/* config_dump.c: a value as YAML flow. Numbers in one spelling. */
void fari_config_write_value(fari_text *text, const far_config_key *key, const fari_config_value *value);
#endif
