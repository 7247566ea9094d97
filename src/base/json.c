#include "base/json.h"
#include "base/status.h"
#include <inttypes.h>
#include <stdbool.h>

far_status fari_json_parse(const char *what, int64_t first_byte, const char *text, size_t bytes, json_t **root_out)
{
    json_error_t error;
    json_t *root = json_loadb(text, bytes, JSON_REJECT_DUPLICATES, &error);
    if (root == NULL) {
        if (json_error_code(&error) == json_error_out_of_memory)
            return FAR_FAIL(FAR_E_NOMEM, "no memory to read %s", what);
        return FAR_FAIL(FAR_E_FORMAT, "%s is not valid JSON at byte %" PRId64 ": %s", what, first_byte + error.position,
                        error.text);
    }
    *root_out = root;
    return FAR_OK;
}

static far_status member(const char *what, const json_t *object, const char *key, bool fits, const char *wanted)
{
    if (fits) return FAR_OK;
    return FAR_FAIL(FAR_E_FORMAT, "%s: \"%s\" is %s; expected %s", what, key,
                    json_object_get(object, key) == NULL ? "missing" : "of another type", wanted);
}

far_status fari_json_i64(const char *what, const json_t *object, const char *key, int64_t *value_out)
{
    const json_t *value = json_object_get(object, key);
    FAR_TRY(member(what, object, key, json_is_integer(value), "a whole number"));
    *value_out = json_integer_value(value);
    return FAR_OK;
}

far_status fari_json_text(const char *what, const json_t *object, const char *key, const char **value_out)
{
    const json_t *value = json_object_get(object, key);
    FAR_TRY(member(what, object, key, json_is_string(value), "a string"));
    *value_out = json_string_value(value);
    return FAR_OK;
}

far_status fari_json_object(const char *what, const json_t *object, const char *key, json_t **value_out)
{
    json_t *value = json_object_get(object, key);
    FAR_TRY(member(what, object, key, json_is_object(value), "an object"));
    *value_out = value;
    return FAR_OK;
}

far_status fari_json_array(const char *what, const json_t *object, const char *key, json_t **value_out)
{
    json_t *value = json_object_get(object, key);
    FAR_TRY(member(what, object, key, json_is_array(value), "an array"));
    *value_out = value;
    return FAR_OK;
}
