/**
 * @file farandole/options.h
 * A table of options with the values given to them: how models, recipes and layers of a described network take settings.
 * A table is an array of far_config_key; only its name, type, default, help, values, min and max count here. A row without default
 * (NULL) must be given a value: far_options_check.
 * Errors      FAR_E_CONFIG: what the table is of, the key, the nearest valid one; with file and line where the value is from YAML.
 *             A failed call leaves the options as they were.
 * Threads     options belong to one thread at a time; getters on options that nobody changes are safe from any.
 * Collective  no call communicates.
 */
#ifndef FAR_OPTIONS_H
#define FAR_OPTIONS_H
#include <farandole/config.h>
#include <farandole/status.h>
#include <stdbool.h>
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif

typedef struct far_options far_options; /**< opaque */

/**
 * Creates options at their defaults.
 * @param what      begins messages: "model 'resnet'"; copied.
 * @param rows      [row_count], borrowed: as long as the options live. Their names have no dots.
 * @param opts_out  receives options owned by the caller; untouched on failure.
 * @return FAR_OK, FAR_E_NOMEM, FAR_E_CONFIG (a default breaks its own row).
 */
FAR_API far_status far_options_create(const char *what, const far_config_key *rows, int32_t row_count,
                                      far_options **opts_out);
/** Frees them. NULL is allowed. */
FAR_API void far_options_destroy(far_options *opts);

/** Sets one option from text: "10", "yes", "group"; lists as "3,4,6,3" or "[3, 4, 6, 3]". @return FAR_OK, FAR_E_CONFIG, FAR_E_NOMEM. */
FAR_API far_status far_options_set(far_options *opts, const char *key, const char *text);
/** Sets one option from YAML. A FAR_CONFIG_NODE option borrows the node: its configuration must outlive the options. */
FAR_API far_status far_options_set_node(far_options *opts, const char *key, const far_config_node *value);
/**
 * Sets options from every member of a YAML map.
 * @param skip  names that are not ours, ended by NULL; NULL: none.
 */
FAR_API far_status far_options_set_map(far_options *opts, const far_config_node *map, const char *const *skip);
/** Words an error about one option; with file and line where its value is from YAML. @return FAR_E_CONFIG. */
FAR_API far_status far_options_fail(const far_options *opts, const char *key, const char *fmt, ...) FAR_PRINTF(3, 4);

/**
 * Checks that every option without default was given a value.
 * @param where  what the options were read from, for the message; NULL: nowhere.
 * @return FAR_OK, FAR_E_CONFIG.
 */
FAR_API far_status far_options_check(const far_options *opts, const far_config_node *where);
/** @return the table given to far_options_create. */
FAR_API const far_config_key *far_options_rows(const far_options *opts);
FAR_API int32_t far_options_row_count(const far_options *opts);
/** @return whether the table has that key. */
FAR_API bool far_options_has(const far_options *opts, const char *key);
/** @return whether it was given a value. */
FAR_API bool far_options_is_set(const far_options *opts, const char *key);

/** Getters. The key must be in the table with that type: anything else is a bug of the caller and ends the program. */
FAR_API int64_t far_options_i64(const far_options *opts, const char *key);
FAR_API double far_options_f64(const far_options *opts, const char *key);
FAR_API bool far_options_bool(const far_options *opts, const char *key);
FAR_API const char *far_options_text(const far_options *opts,
                                     const char *key); /**< STRING, ENUM, PATH; borrowed; never NULL */
/** @return the place of an ENUM's value in the row's `values`: 0 for "a" of "a|b|c". */
FAR_API int32_t far_options_enum(const far_options *opts, const char *key);
FAR_API const far_config_node *far_options_node(const far_options *opts, const char *key); /**< NULL when not given */
FAR_API int64_t far_options_list_count(const far_options *opts, const char *key);
FAR_API int64_t far_options_list_i64(const far_options *opts, const char *key, int64_t idx);
FAR_API double far_options_list_f64(const far_options *opts, const char *key, int64_t idx);
FAR_API const char *far_options_list_text(const far_options *opts, const char *key, int64_t idx);

#ifdef __cplusplus
}
#endif
#endif /* FAR_OPTIONS_H */
