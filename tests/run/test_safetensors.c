/* safetensors: what is written reads back, foreign element types, everything that can be wrong with a file. */
#include "base/file.h"
#include "base/mem.h"
#include "run/safetensors.h"
#include "support/temp_folder.h"
#include "test.h"
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

static const char *temporary(void)
{
    return test_path("x.safetensors");
}

static const float weights[6] = { 1.5f, -2.0f, 0.0f, 1e-40f, 3e38f, -0.0f };
static const double statistics[2] = { 1.0 / 3.0, 1e300 };
static const int32_t counts[1] = { -7 };
static const uint8_t bytes[3] = { 0, 128, 255 };

static const fari_st_tensor tensors[] = {
    { "layer.weight", FAR_F32, { 2, { 2, 3 } }, weights },
    { "bytes \"quoted\" ü", FAR_U8, { 1, { 3 } }, bytes },
    { "layer.running_mean", FAR_F64, { 1, { 2 } }, statistics },
    { "count", FAR_I32, { 0, { 0 } }, counts },
    { "empty", FAR_F32, { 2, { 0, 4 } }, weights },
};
static const fari_st_meta meta[] = { { "format", "pt" }, { "note", "a\nb" } };

FAR_TEST(written_reads_back)
{
    fari_st_file *file = NULL;
    FAR_CHECK_OK(fari_st_write_atomic(temporary(), tensors, FAR_COUNT(tensors), meta, FAR_COUNT(meta)));
    FAR_CHECK_OK(fari_st_open(temporary(), &file));
    FAR_CHECK_EQ_I64(fari_st_count(file), FAR_COUNT(tensors));
    FAR_CHECK_STR(fari_st_metadata(file, "format"), "pt");
    FAR_CHECK_STR(fari_st_metadata(file, "note"), "a\nb");
    FAR_CHECK(fari_st_metadata(file, "none") == NULL);
    FAR_CHECK_EQ_I64(fari_st_find(file, "layer"), -1);
    FAR_CHECK_STR(fari_st_nearest(file, "layer.wieght"), "layer.weight");
    for (size_t i = 0; i < FAR_COUNT(tensors); i++) {
        unsigned char back[64];
        const int64_t idx = fari_st_find(file, tensors[i].name), elems = far_shape_elems(&tensors[i].shape);
        FAR_CHECK(idx >= 0);
        const fari_st_info *info = fari_st_at(file, idx);
        FAR_CHECK_EQ_I64(info->elems, elems);
        FAR_CHECK_EQ_I64(info->shape.ndim, tensors[i].shape.ndim);
        FAR_CHECK_EQ_I64(info->first_byte % far_dtype_bytes(tensors[i].dtype),
                         0); /* aligned for readers that map the file */
        FAR_CHECK_OK(fari_st_read(file, idx, 0, elems, tensors[i].dtype, back));
        FAR_CHECK(memcmp(back, tensors[i].data, (size_t)(elems * far_dtype_bytes(tensors[i].dtype))) == 0);
        FAR_CHECK_OK(fari_st_read_raw(file, idx, back));
        FAR_CHECK(memcmp(back, tensors[i].data, (size_t)info->bytes) == 0);
    }
    float part[2];
    FAR_CHECK_OK(fari_st_read(file, fari_st_find(file, "layer.weight"), 3, 2, FAR_F32, part));
    FAR_CHECK(memcmp(part, weights + 3, sizeof part) == 0);
    FAR_CHECK_STATUS(fari_st_read(file, fari_st_find(file, "layer.weight"), 5, 2, FAR_F32, part), FAR_E_ARG);
    fari_st_close(file);
    FAR_CHECK_EQ_I64(fari_alloc_live(), 0);
}

FAR_TEST(equal_tensors_give_equal_bytes)
{
    char *first = NULL, *again = NULL;
    size_t first_bytes = 0, again_bytes = 0;
    char hash[33], whole[33];
    int64_t file_bytes = 0;
    FAR_CHECK_OK(fari_st_write(temporary(), tensors, FAR_COUNT(tensors), meta, 2, &file_bytes, hash));
    FAR_CHECK_OK(fari_file_read(temporary(), 1 << 20, &first, &first_bytes));
    FAR_CHECK_OK(fari_st_write_atomic(temporary(), tensors, FAR_COUNT(tensors), meta, 2));
    FAR_CHECK_OK(fari_file_read(temporary(), 1 << 20, &again, &again_bytes));
    FAR_CHECK_EQ_U64(first_bytes, file_bytes);
    FAR_CHECK(first_bytes == again_bytes && memcmp(first, again, first_bytes) == 0);
    /* the head begins with its length and ends on a multiple of eight, as the format asks */
    FAR_CHECK(first[8] == '{' && first[1] == 1 && (unsigned char)first[0] % 8 == 0); /* between 256 and 511 */
    fari_st_file *file = NULL;
    FAR_CHECK_OK(fari_st_open_memory("memory", first, first_bytes, &file));
    FAR_CHECK_OK(fari_st_hash_head(file, whole));
    fari_st_close(file);
    fari_free(first);
    fari_free(again);
    FAR_CHECK_EQ_I64(fari_alloc_live(), 0);
}

/* --- foreign files, built by hand --- */

static size_t build(char *out, const char *header, const void *data, size_t data_bytes)
{
    const uint64_t length = strlen(header);
    for (int i = 0; i < 8; i++) out[i] = (char)(length >> (8 * i));
    memcpy(out + 8, header, length);
    if (data_bytes > 0) memcpy(out + 8 + length, data, data_bytes);
    return 8 + length + data_bytes;
}

FAR_TEST(all_element_types_read_as_f32)
{
    static const struct {
        const char *dtype;
        unsigned char data[16]; /* two elements */
        size_t bytes;
        float want[2];
    } cases[] = {
        { "F16", { 0x00, 0x3c, 0x01, 0x80 }, 4, { 1.0f, -0x1p-24f } },
        { "F16", { 0xff, 0x7b, 0x00, 0xfc }, 4, { 65504.0f, -INFINITY } },
        { "F16", { 0x00, 0x04, 0xff, 0x03 }, 4, { 0x1p-14f, 1023.0f * 0x1p-24f } },
        { "BF16", { 0x80, 0x3f, 0x49, 0xc0 }, 4, { 1.0f, -3.140625f } },
        { "F64", { 0, 0, 0, 0, 0, 0, 0xf0, 0x3f, 0, 0, 0, 0, 0, 0, 0, 0xc0 }, 16, { 1.0f, -2.0f } },
        { "I64", { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 3, 0, 0, 0, 0, 0, 0, 0 }, 16, { -1.0f, 3.0f } },
        { "U64", { 0, 0, 0, 0, 0, 0, 0, 0x80, 3, 0, 0, 0, 0, 0, 0, 0 }, 16, { 0x1p63f, 3.0f } },
        { "I32", { 0xfe, 0xff, 0xff, 0xff, 5, 0, 0, 0 }, 8, { -2.0f, 5.0f } },
        { "U32", { 0xff, 0xff, 0xff, 0xff, 5, 0, 0, 0 }, 8, { 4294967296.0f, 5.0f } },
        { "I16", { 0xfe, 0xff, 5, 0 }, 4, { -2.0f, 5.0f } },
        { "U16", { 0xfe, 0xff, 5, 0 }, 4, { 65534.0f, 5.0f } },
        { "I8", { 0xfe, 5 }, 2, { -2.0f, 5.0f } },
        { "U8", { 0xfe, 5 }, 2, { 254.0f, 5.0f } },
        { "BOOL", { 1, 0 }, 2, { 1.0f, 0.0f } },
    };
    for (size_t i = 0; i < FAR_COUNT(cases); i++) {
        char header[200], file_bytes[300];
        float got[2] = { NAN, NAN };
        fari_st_file *file = NULL;
        (void)snprintf(header, sizeof header, "{\"x\":{\"dtype\":\"%s\",\"shape\":[2],\"data_offsets\":[0,%zu]}}",
                       cases[i].dtype, cases[i].bytes);
        const size_t size = build(file_bytes, header, cases[i].data, cases[i].bytes);
        FAR_CHECK_OK(fari_st_open_memory("memory", file_bytes, size, &file));
        FAR_CHECK_OK(fari_st_read(file, 0, 0, 2, FAR_F32, got));
        FAR_CHECK_BITS(cases[i].dtype, got, cases[i].want, 2);
        fari_st_close(file);
    }
}

FAR_TEST(numbers_that_do_not_fit_are_named)
{
    static const char header[] = "{\"x\":{\"dtype\":\"F64\",\"shape\":[3],\"data_offsets\":[0,24]}}";
    const double data[3] = { 1.0, 2.0, 2.5 };
    char file_bytes[300];
    int32_t whole[3];
    uint8_t small[3];
    fari_st_file *file = NULL;
    FAR_CHECK_OK(fari_st_open_memory("memory", file_bytes, build(file_bytes, header, data, sizeof data), &file));
    FAR_CHECK_OK(fari_st_read(file, 0, 0, 2, FAR_I32, whole));
    FAR_CHECK(whole[0] == 1 && whole[1] == 2);
    FAR_CHECK_STATUS(fari_st_read(file, 0, 0, 3, FAR_I32, whole), FAR_E_FORMAT);
    FAR_CHECK_HAS(far_error_message(), "tensor \"x\", byte 79: 2.5 does not fit i32");
    FAR_CHECK_STATUS(fari_st_read(file, 0, 0, 3, FAR_U8, small), FAR_E_FORMAT);
    fari_st_close(file);
}

#define ENTRY(name, dtype, shape, first, last) \
    "\"" name "\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":[" #first "," #last "]}"

static const struct {
    const char *name, *header;
    far_status status;
    const char *part; /* of the message */
} bad[] = {
    { "no JSON", "{x}", FAR_E_FORMAT, "not valid JSON at byte" },
    { "an array", "[1,2]", FAR_E_FORMAT, "not a JSON object" },
    { "no tensors but data", "{}", FAR_E_FORMAT, "tensors end at byte 10" },
    { "doubled name", "{" ENTRY("a", "F32", "[1]", 0, 4) "," ENTRY("a", "F32", "[1]", 4, 8) "}", FAR_E_FORMAT,
      "duplicate" },
    { "overlap", "{" ENTRY("a", "F32", "[1]", 0, 4) "," ENTRY("b", "F32", "[2]", 0, 8) "}", FAR_E_FORMAT,
      "\"a\" and \"b\" overlap" },
    { "gap", "{" ENTRY("a", "F32", "[1]", 4, 8) "}", FAR_E_FORMAT, "belong to no tensor" },
    { "data left over", "{" ENTRY("a", "F32", "[1]", 0, 4) "}", FAR_E_FORMAT, "the file at byte" },
    { "beyond the end", "{" ENTRY("a", "F32", "[3]", 0, 12) "}", FAR_E_FORMAT, "cut short" },
    { "size against shape", "{" ENTRY("a", "F32", "[3]", 0, 8) "}", FAR_E_FORMAT, "3 of F32 takes 12" },
    { "size against type", "{" ENTRY("a", "F64", "[2]", 0, 8) "}", FAR_E_FORMAT, "tensor \"a\"" },
    { "unknown type", "{" ENTRY("a", "F8_E4M3", "[8]", 0, 8) "}", FAR_E_UNSUPPORTED, "F8_E4M3" },
    { "negative extent", "{" ENTRY("a", "F32", "[-2]", 0, 8) "}", FAR_E_FORMAT, "axis 0" },
    { "fraction of an extent", "{" ENTRY("a", "F32", "[2.0]", 0, 8) "}", FAR_E_FORMAT, "axis 0" },
    { "overflow", "{" ENTRY("a", "F32", "[4294967296,4294967296,4294967296]", 0, 8) "}", FAR_E_FORMAT,
      "more elements than any file" },
    { "offsets past 63 bits", "{" ENTRY("a", "F32", "[2]", 0, 99999999999999999999) "}", FAR_E_FORMAT, "byte" },
    { "offsets backwards", "{" ENTRY("a", "F32", "[2]", 8, 0) "}", FAR_E_FORMAT, "not a range" },
    { "offsets missing", "{\"a\":{\"dtype\":\"F32\",\"shape\":[2]}}", FAR_E_FORMAT, "data_offsets" },
    { "type missing", "{\"a\":{\"shape\":[2],\"data_offsets\":[0,8]}}", FAR_E_FORMAT, "dtype" },
    { "shape missing", "{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,8]}}", FAR_E_FORMAT, "shape" },
    { "entry no object", "{\"a\":7}", FAR_E_FORMAT, "tensor \"a\"" },
    { "seven axes", "{" ENTRY("a", "F32", "[1,1,1,1,1,1,2]", 0, 8) "}", FAR_E_UNSUPPORTED, "7 axes" },
    { "metadata no object", "{\"__metadata__\":3," ENTRY("a", "F32", "[2]", 0, 8) "}", FAR_E_FORMAT, "__metadata__" },
    { "metadata no text", "{\"__metadata__\":{\"k\":3}," ENTRY("a", "F32", "[2]", 0, 8) "}", FAR_E_FORMAT, "\"k\"" },
};

FAR_TEST(damage_is_named)
{
    static const float data[2] = { 1.0f, 2.0f };
    for (size_t i = 0; i < FAR_COUNT(bad); i++) {
        char file_bytes[600];
        fari_st_file *file = NULL;
        const size_t size = build(file_bytes, bad[i].header, data, sizeof data);
        const far_status st = fari_st_open_memory("weights.safetensors", file_bytes, size, &file);
        FAR_CHECK_MSG(st == bad[i].status, "%s: %s, %s", bad[i].name, far_status_name(st), far_error_message());
        FAR_CHECK_HAS(far_error_message(), bad[i].part);
        FAR_CHECK_HAS(far_error_message(), "weights.safetensors");
        FAR_CHECK(file == NULL);
    }
    FAR_CHECK_EQ_I64(fari_alloc_live(), 0);
}

FAR_TEST(every_cut_is_noticed)
{
    char *whole = NULL;
    size_t size = 0;
    FAR_CHECK_OK(fari_st_write_atomic(temporary(), tensors, FAR_COUNT(tensors), meta, 2));
    FAR_CHECK_OK(fari_file_read(temporary(), 1 << 20, &whole, &size));
    for (size_t cut = 0; cut < size; cut++) {
        fari_st_file *file = NULL;
        char *copy = fari_alloc(cut); /* of this size, so that reading past it is seen */
        if (cut > 0) memcpy(copy, whole, cut);
        FAR_CHECK_STATUS(fari_st_open_memory("cut", copy, cut, &file), FAR_E_FORMAT);
        fari_free(copy);
    }
    for (size_t cut = 0; cut < size; cut += 97) {
        fari_st_file *file = NULL;
        FAR_CHECK(truncate(temporary(), (off_t)(size - cut)) == 0);
        const far_status st = fari_st_open(temporary(), &file);
        FAR_CHECK(cut == 0 ? st == FAR_OK : st == FAR_E_FORMAT);
        fari_st_close(file);
    }
    fari_free(whole);
}

FAR_TEST(long_headers_are_refused)
{
    static const char lead[16] = { 0, 0, 0, 0, 1 }; /* 2^32 bytes */
    fari_st_file *file = NULL;
    FAR_CHECK_STATUS(fari_st_open_memory("x", lead, sizeof lead, &file), FAR_E_FORMAT);
    FAR_CHECK_HAS(far_error_message(), "100000000");
    FAR_CHECK_STATUS(fari_st_open_memory("x", NULL, 0, &file), FAR_E_FORMAT);
}

FAR_TEST(many_tensors_are_found)
{
    enum { COUNT = 3000 };
    static fari_st_tensor many[COUNT];
    static char names[COUNT][16];
    static int32_t values[COUNT];
    for (int32_t i = 0; i < COUNT; i++) {
        values[i] = i;
        (void)snprintf(names[i], sizeof names[i], "t%d", (i * 7919) % COUNT);
        many[i] = (fari_st_tensor){ names[i], FAR_I32, { 1, { 1 } }, &values[i] };
    }
    fari_st_file *file = NULL;
    FAR_CHECK_OK(fari_st_write_atomic(temporary(), many, COUNT, NULL, 0));
    FAR_CHECK_OK(fari_st_open(temporary(), &file));
    for (int32_t i = 0; i < COUNT; i++) {
        int32_t value = -1;
        const int64_t idx = fari_st_find(file, names[i]);
        FAR_CHECK(idx >= 0);
        FAR_CHECK_OK(fari_st_read(file, idx, 0, 1, FAR_I32, &value));
        FAR_CHECK_EQ_I64(value, i);
    }
    FAR_CHECK_EQ_I64(fari_st_find(file, "t"), -1);
    fari_st_close(file);
}

FAR_TEST(full_disk_is_told)
{
    static float large[65536];
    const fari_st_tensor one = { "large", FAR_F32, { 1, { 65536 } }, large };
    struct rlimit limit = { 100000, 100000 };
    (void)signal(SIGXFSZ, SIG_IGN);
    FAR_CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    FAR_CHECK_STATUS(fari_st_write_atomic(temporary(), &one, 1, NULL, 0), FAR_E_IO);
    FAR_CHECK_HAS(far_error_message(), "x.safetensors");
    FAR_CHECK(!fari_path_exists(temporary()));
    FAR_CHECK_EQ_I64(fari_alloc_live(), 0);
}

FAR_TEST(each_allocation_may_fail)
{
    far_status st = FAR_E_NOMEM;
    for (int64_t nth = 0; st == FAR_E_NOMEM && nth < 200; nth++) {
        fari_st_file *file = NULL;
        float back[2];
        fari_alloc_fail_after(nth);
        st = fari_st_write_atomic(temporary(), tensors, FAR_COUNT(tensors), meta, 2);
        if (st == FAR_OK) st = fari_st_open(temporary(), &file);
        if (st == FAR_OK) st = fari_st_read(file, fari_st_find(file, "layer.running_mean"), 0, 2, FAR_F32, back);
        fari_alloc_fail_after(-1);
        fari_st_close(file);
        FAR_CHECK_EQ_I64(fari_alloc_live(), 0);
    }
    FAR_CHECK_OK(st);
}

FAR_TEST(a_file_by_pytorch_users)
{
    char path[600];
    const char *data = getenv("FAR_SHARED_DATA");
    (void)snprintf(path, sizeof path, "%s/ref-mnist-cnn/mnist.safetensors",
                   data != NULL ? data : FAR_TEST_SOURCE_DIR "/../shared/data");
    if (access(path, R_OK) != 0) FAR_SKIP("no shared data (FAR_SHARED_DATA)");
    fari_st_file *file = NULL;
    FAR_CHECK_OK(fari_st_open(path, &file));
    FAR_CHECK(fari_st_count(file) > 10);
    int64_t elems = 0;
    for (int64_t i = 0; i < fari_st_count(file); i++) {
        const fari_st_info *info = fari_st_at(file, i);
        float *values = fari_calloc((size_t)info->elems, sizeof *values);
        FAR_CHECK_OK(fari_st_read(file, i, 0, info->elems, FAR_F32, values));
        for (int64_t k = 0; k < info->elems; k++) FAR_CHECK(isfinite(values[k]));
        elems += info->elems;
        fari_free(values);
    }
    FAR_CHECK(elems > 11616 * 32);
    fari_st_close(file);
}
