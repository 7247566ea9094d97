#include "data/npy.h"
#include "base/status.h"
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *code, *name; /* without and with words, as numpy.dtype has them */
    fari_npy_type type;
    int64_t bytes;
} types[] = {
    { "u1", "uint8", FARI_NPY_U8, 1 },    { "b1", "bool", FARI_NPY_U8, 1 },   { "i1", "int8", FARI_NPY_I8, 1 },
    { "u2", "uint16", FARI_NPY_U16, 2 },  { "i2", "int16", FARI_NPY_I16, 2 }, { "u4", "uint32", FARI_NPY_U32, 4 },
    { "i4", "int32", FARI_NPY_I32, 4 },   { "i8", "int64", FARI_NPY_I64, 8 }, { "f4", "float32", FARI_NPY_F32, 4 },
    { "f8", "float64", FARI_NPY_F64, 8 },
};

far_status fari_npy_type_named(const char *label, const char *name, fari_npy *npy)
{
    for (size_t i = 0; i < FAR_COUNT(types); i++) {
        if (strcmp(name, types[i].name) != 0) continue;
        npy->type = types[i].type;
        npy->elem_bytes = types[i].bytes;
        return FAR_OK;
    }
    return FAR_FAIL(
        FAR_E_UNSUPPORTED,
        "%s: elements of type \"%s\"; read are uint8, int8, uint16, int16, uint32, int32, int64, float32, float64 "
        "and bool",
        label, name);
}

/* A Python dictionary of texts, truth values and tuples of numbers. */
typedef struct scan {
    const char *label, *next, *end, *start;
} scan;

static far_status bad(const scan *in, const char *what)
{
    return FAR_FAIL(FAR_E_FORMAT, "%s: its header is no NumPy header at byte %td: %s", in->label, in->next - in->start,
                    what);
}

static void skip_blanks(scan *in)
{
    while (in->next < in->end && (*in->next == ' ' || *in->next == '\n' || *in->next == '\t')) in->next++;
}

static bool take(scan *in, char wanted)
{
    skip_blanks(in);
    if (in->next >= in->end || *in->next != wanted) return false;
    in->next++;
    return true;
}

static far_status take_text(scan *in, char text_out[32])
{
    skip_blanks(in);
    if (in->next >= in->end || (*in->next != '\'' && *in->next != '"')) return bad(in, "expected a text in quotes");
    const char quote = *in->next++;
    size_t used = 0;
    while (in->next < in->end && *in->next != quote && used < 31) text_out[used++] = *in->next++;
    text_out[used] = '\0';
    if (in->next >= in->end || *in->next != quote) return bad(in, "a text without its end");
    in->next++;
    return FAR_OK;
}

static far_status take_shape(scan *in, fari_npy *npy)
{
    if (!take(in, '(')) return bad(in, "expected the shape in brackets");
    while (!take(in, ')')) {
        int64_t dim = 0;
        skip_blanks(in);
        const char *first = in->next;
        while (in->next < in->end && *in->next >= '0' && *in->next <= '9') {
            if (dim > (INT64_MAX - 9) / 10) return bad(in, "an extent that is too large");
            dim = 10 * dim + (*in->next++ - '0');
        }
        if (in->next == first) return bad(in, "expected an extent");
        if (npy->ndim == FARI_NPY_AXES)
            return FAR_FAIL(FAR_E_UNSUPPORTED, "%s has more than %d axes", in->label, FARI_NPY_AXES);
        npy->dim[npy->ndim++] = dim;
        if (!take(in, ',')) {
            if (!take(in, ')')) return bad(in, "expected a comma or the end of the shape");
            break;
        }
    }
    if (npy->ndim == 0) return FAR_FAIL(FAR_E_FORMAT, "%s holds a single number, no samples", in->label);
    return FAR_OK;
}

static far_status take_type(scan *in, fari_npy *npy)
{
    char descr[32];
    FAR_TRY(take_text(in, descr));
    if (descr[0] == '\0') return bad(in, "an empty type");
    for (size_t i = 0; i < FAR_COUNT(types); i++) {
        const char order = descr[0];
        if (strcmp(descr + 1, types[i].code) != 0 ||
            (order != '<' && order != '>' && (order != '|' || types[i].bytes > 1)))
            continue;
        npy->type = types[i].type;
        npy->elem_bytes = types[i].bytes;
        npy->is_swapped = order == '>' && types[i].bytes > 1;
        return FAR_OK;
    }
    return FAR_FAIL(FAR_E_UNSUPPORTED, "%s: elements of type '%s'; u1, i1, u2, i2, u4, i4, i8, f4, f8 and b1 are read",
                    in->label, descr);
}

static far_status take_order(scan *in)
{
    static const char no[] = "False", yes[] = "True";
    skip_blanks(in);
    const size_t left = (size_t)(in->end - in->next);
    if (left >= sizeof yes - 1 && memcmp(in->next, yes, sizeof yes - 1) == 0)
        return FAR_FAIL(FAR_E_UNSUPPORTED, "%s is in Fortran order; save numpy.ascontiguousarray(x)", in->label);
    if (left < sizeof no - 1 || memcmp(in->next, no, sizeof no - 1) != 0) return bad(in, "expected True or False");
    in->next += sizeof no - 1;
    return FAR_OK;
}

static far_status take_dictionary(scan *in, fari_npy *npy)
{
    bool has_type = false, has_order = false, has_shape = false;
    if (!take(in, '{')) return bad(in, "expected a dictionary");
    while (!take(in, '}')) {
        char key[32];
        FAR_TRY(take_text(in, key));
        if (!take(in, ':')) return bad(in, "expected a colon");
        bool *seen = strcmp(key, "descr") == 0           ? &has_type
                     : strcmp(key, "fortran_order") == 0 ? &has_order
                     : strcmp(key, "shape") == 0         ? &has_shape
                                                         : NULL;
        if (seen == NULL || *seen) return bad(in, "an unknown or doubled key");
        *seen = true;
        if (seen == &has_type) FAR_TRY(take_type(in, npy));
        else if (seen == &has_order) FAR_TRY(take_order(in));
        else FAR_TRY(take_shape(in, npy));
        if (take(in, ',')) continue;
        if (!take(in, '}')) return bad(in, "expected a comma or the end of the dictionary");
        break;
    }
    if (!has_type || !has_order || !has_shape) return bad(in, "descr, fortran_order or shape is missing");
    return FAR_OK;
}

far_status fari_npy_parse(const char *label, const char *data, size_t bytes, int64_t file_bytes, fari_npy *npy_out)
{
    fari_npy npy = { 0 };
    const unsigned char *lead = (const unsigned char *)data;
    if (bytes < 10 || memcmp(data, "\x93NUMPY", 6) != 0)
        return FAR_FAIL(FAR_E_FORMAT, "%s is no NumPy file (.npy)", label);
    const int version = lead[6];
    if (version < 1 || version > 3)
        return FAR_FAIL(FAR_E_VERSION, "%s: NumPy format version %d; 1 to 3 are read", label, version);
    const size_t first = version == 1 ? 10 : 12;
    if (bytes < first) return FAR_FAIL(FAR_E_FORMAT, "%s is cut short at byte %zu", label, bytes);
    uint64_t length = (uint64_t)lead[8] | (uint64_t)lead[9] << 8;
    if (version > 1) length |= (uint64_t)lead[10] << 16 | (uint64_t)lead[11] << 24;
    if (length > bytes - first)
        return FAR_FAIL(FAR_E_FORMAT, "%s: a header of %" PRIu64 " bytes, which is cut short or too long", label,
                        length);
    scan in = { label, data + first, data + first + length, data };
    FAR_TRY(take_dictionary(&in, &npy));
    npy.first_byte = (int64_t)(first + length);
    int64_t want = npy.elem_bytes;
    for (int32_t axis = 0; axis < npy.ndim; axis++) {
        if (npy.dim[axis] < 1) return FAR_FAIL(FAR_E_FORMAT, "%s: axis %d has no elements", label, axis);
        if (npy.dim[axis] > INT64_MAX / want)
            return FAR_FAIL(FAR_E_FORMAT, "%s: its shape has more elements than any file", label);
        want *= npy.dim[axis];
    }
    if (want != file_bytes - npy.first_byte)
        return FAR_FAIL(FAR_E_FORMAT,
                        "%s has %" PRId64 " bytes of data after byte %" PRId64 ", its shape needs %" PRId64, label,
                        file_bytes - npy.first_byte, npy.first_byte, want);
    *npy_out = npy;
    return FAR_OK;
}
