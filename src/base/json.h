/* Reading JSON with errors that say where. Writing is plain text: fari_text_json and fari_f64_text of base/text.h. */
#ifndef FARI_BASE_JSON_H
#define FARI_BASE_JSON_H
#include <farandole/status.h>
#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

/* Parses one document; doubled keys are errors. `what` names the file in messages; `first_byte` is where the text begins in it.
   *root_out goes back with json_decref. */
far_status fari_json_parse(const char *what, int64_t first_byte, const char *text, size_t bytes, json_t **root_out);

/* Members that must be there with that type; otherwise FAR_E_FORMAT names `what` and the key. Texts are borrowed from `object`. */
far_status fari_json_i64(const char *what, const json_t *object, const char *key, int64_t *value_out);
far_status fari_json_text(const char *what, const json_t *object, const char *key, const char **value_out);
far_status fari_json_object(const char *what, const json_t *object, const char *key, json_t **value_out);
far_status fari_json_array(const char *what, const json_t *object, const char *key, json_t **value_out);
#endif
