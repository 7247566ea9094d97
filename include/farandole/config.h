/**
 * @file farandole/config.h
 * Configurations: YAML files and `key=value` overrides, checked against one table of keys that also prints the documentation.
 * Life cycle  far_config_create gives the defaults; far_config_load and far_config_set change them, later ones win; then getters.
 * Errors      FAR_E_CONFIG with file, line, key and the nearest valid key; a failed call leaves the configuration as it was.
 * Threads     a configuration belongs to one thread at a time; getters on one that nobody changes are safe from any.
 * Collective  no call communicates.
 */
#ifndef FAR_CONFIG_H
#define FAR_CONFIG_H
#include <farandole/status.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif

typedef struct far_config far_config; /**< opaque */

typedef enum far_config_type {
    FAR_CONFIG_INT = 0,
    FAR_CONFIG_FLOAT,
    FAR_CONFIG_BOOL,
    FAR_CONFIG_STRING,
    FAR_CONFIG_ENUM, /**< one of far_config_key.values */
    FAR_CONFIG_PATH, /**< relative to the working directory; a leading ~/ is the home folder */
    FAR_CONFIG_SIZE, /**< bytes: 512M, 16G (powers of 1,024) */
    FAR_CONFIG_INTS, /**< a list; one number stands for a list of one */
    FAR_CONFIG_FLOATS,
    FAR_CONFIG_STRINGS,
    FAR_CONFIG_NODE /**< any YAML, read by far_config_node_* */
} far_config_type;

/**
 * One row of the table. Options of the zoo's networks (model.h) and of recipes (recipe.h) are rows "model.*" and "loss.*" of type
 * FAR_CONFIG_NODE: their own tables check them.
 */
typedef struct far_config_key {
    const char *name; /**< "optim.lr" */
    far_config_type type;
    const char *default_text; /**< as in YAML; "" for an empty string or list */
    const char *unit;         /**< "" where there is none */
    const char *help;         /**< one sentence */
    const char *values; /**< of an enum: "a|b|c"; otherwise NULL, or a word that is also allowed and means 0 ("auto") */
    double min, max;    /**< of numbers and of numbers in lists, both allowed */
    bool is_free;       /**< results do not depend on it: not in far_config_hash */
} far_config_key;

FAR_API int32_t far_config_key_count(void);
FAR_API const far_config_key *far_config_key_at(int32_t idx);
/** @return the row, NULL when there is no such key. */
FAR_API const far_config_key *far_config_key_find(const char *name);
/** @return the valid key nearest to `name`, by spelling, else by what it is about: "data.size" for "data.height". */
FAR_API const char *far_config_key_nearest(const char *name);

/** Creates a configuration of defaults. @return FAR_OK, FAR_E_NOMEM. */
FAR_API far_status far_config_create(far_config **config_out);
/** Frees it and all that getters lent. NULL is allowed. */
FAR_API void far_config_destroy(far_config *config);

/** Reads a YAML file on top. Maps nest or keys have dots: `optim: {lr: 0.1}` is `optim.lr: 0.1`. */
FAR_API far_status far_config_load(far_config *config, const char *path);
/** The same from text in memory; `label` stands for the file's name in messages. */
FAR_API far_status far_config_parse(far_config *config, const char *label, const char *text, size_t bytes);
/** Sets one key from "key=value"; the value is YAML: `optim.betas=[0.9, 0.99]`. */
FAR_API far_status far_config_set(far_config *config, const char *assignment);

/** Getters. The key must be in the table with that type: anything else is a bug of the caller and ends the program. */
FAR_API int64_t far_config_i64(const far_config *config, const char *key); /**< INT, SIZE */
FAR_API double far_config_f64(const far_config *config, const char *key);
FAR_API bool far_config_bool(const far_config *config, const char *key);
FAR_API const char *far_config_text(const far_config *config,
                                    const char *key); /**< STRING, ENUM, PATH; borrowed; never NULL */
FAR_API int64_t far_config_list_count(const far_config *config, const char *key);
FAR_API int64_t far_config_list_i64(const far_config *config, const char *key, int64_t idx);
FAR_API double far_config_list_f64(const far_config *config, const char *key, int64_t idx);
FAR_API const char *far_config_list_text(const far_config *config, const char *key, int64_t idx);
/** @return whether a file or override gave the key a value; the word "auto" is none. */
FAR_API bool far_config_is_set(const far_config *config, const char *key);
/** @return where the value is from: "train.yaml:12", "command line" or "default". Valid until the thread asks again. */
FAR_API const char *far_config_where(const far_config *config, const char *key);
/** Words an error about a key's value, with where it is from: `train.yaml:12: loss.name: ...`. @return FAR_E_CONFIG. */
FAR_API far_status far_config_fail(const far_config *config, const char *key, const char *fmt, ...) FAR_PRINTF(3, 4);

/** The complete configuration as YAML, which reads back equal; free with far_config_text_free. */
FAR_API far_status far_config_dump(const far_config *config, char **text_out);
/** All keys with type, default, unit and help as a Markdown document; free with far_config_text_free. */
FAR_API far_status far_config_reference(char **text_out);
FAR_API void far_config_text_free(char *text);
/** SHA-256 in hexadecimal over all values that results depend on; equal for equal experiments whatever the thread count or run folder. */
FAR_API far_status far_config_hash(const far_config *config, char hex_out[65]);

/* --- YAML as it was written --- */

typedef struct far_config_node far_config_node; /**< opaque; a scalar, list or map */
typedef enum far_config_node_kind { FAR_NODE_SCALAR = 0, FAR_NODE_LIST, FAR_NODE_MAP } far_config_node_kind;

/** @return the tree of a FAR_CONFIG_NODE key, borrowed; NULL when it was not given. */
FAR_API const far_config_node *far_config_node_of(const far_config *config, const char *key);
FAR_API far_config_node_kind far_config_node_kind_of(const far_config_node *node);
/** @return items of a list, members of a map, 0 for a scalar. */
FAR_API int64_t far_config_node_count(const far_config_node *node);
FAR_API const far_config_node *far_config_node_at(const far_config_node *node, int64_t idx);
/** @return the name of a map's member. */
FAR_API const char *far_config_node_key(const far_config_node *node, int64_t idx);
/** @return a map's member, NULL when there is none or `node` is no map. */
FAR_API const far_config_node *far_config_node_get(const far_config_node *node, const char *key);
/** @return a scalar's text; NULL for lists and maps. */
FAR_API const char *far_config_node_text(const far_config_node *node);
FAR_API int far_config_node_line(const far_config_node *node);
FAR_API const char *far_config_node_file(const far_config_node *node);
/** A scalar as a number or truth value; otherwise FAR_E_CONFIG with file and line. */
FAR_API far_status far_config_node_i64(const far_config_node *node, int64_t *value_out);
FAR_API far_status far_config_node_f64(const far_config_node *node, double *value_out);
FAR_API far_status far_config_node_bool(const far_config_node *node, bool *value_out);
/** Words an error about a node: `model.yaml:12: ...`. @return FAR_E_CONFIG. */
FAR_API far_status far_config_node_fail(const far_config_node *node, const char *fmt, ...) FAR_PRINTF(2, 3);

#ifdef __cplusplus
}
#endif
#endif /* FAR_CONFIG_H */
