/**
 * @file farandole/info.h
 * What this library is and what it runs on: version, ops, libraries, and a look at the machine.
 * Threads     all calls are safe from any thread; one far_doctor belongs to one thread at a time.
 * Collective  no call communicates.
 */
#ifndef FAR_INFO_H
#define FAR_INFO_H
#include <farandole/status.h>
#include <stdbool.h>
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif

/* --- version --- */

/** @return the project's version, "0.1.0". */
FAR_API const char *far_version(void);
/** @return the compiler that built the library, "gcc 12.2.0". */
FAR_API const char *far_compiler(void);
/** @return the best instruction set of our own kernels that this processor runs: "base", "avx2" or "avx512". */
FAR_API const char *far_isa(void);

/** A library that farandole is linked with. */
typedef struct far_library {
    const char *name;    /**< "oneDNN" */
    char version[32];    /**< of the library that runs, not of its headers; "?" where it does not tell */
    const char *purpose; /**< "kernels on processors" */
    bool changes_bits;   /**< another version may give results with other bits */
} far_library;

FAR_API int32_t far_library_count(void);
/** Fills `library_out`. @return FAR_OK, FAR_E_ARG (no such index). */
FAR_API far_status far_library_at(int32_t idx, far_library *library_out);

/* --- ops --- */

/** One row of the table of ops. Texts are static. */
typedef struct far_op_info {
    const char *name; /**< as in plans and traces: "conv" */
    const char *role; /**< "layer", "loss", "metric", "gradient", "optimizer", "structure" */
    const char
        *kind; /**< how it is cut: "map", "reduce", "global", "chunk", "chunk-reduce"; see docs/architecture.md */
    const char *order; /**< of its inputs in memory: "any", "channels-last", "row-major", "free" */
    const char *
        rows; /**< input rows for output rows: "rule" (its own: windows with halo, or all rows), "same", "-" (no rows) */
    bool has_gradient;  /**< gradients flow back through it */
    bool has_cost;      /**< its arithmetic is counted by a rule of its own */
    bool has_reference; /**< a scalar kernel in double: the oracle of the tests */
    const char
        *cpu_kernel; /**< what runs it fast on processors: "oneDNN", "farandole", "both"; "-": the reference does */
    const char *tested_by; /**< test file, relative to the repository; NULL: none */
} far_op_info;

FAR_API int32_t far_op_count(void);
/** Fills `info_out`. @return FAR_OK, FAR_E_ARG (no such index). */
FAR_API far_status far_op_at(int32_t idx, far_op_info *info_out);

/* --- the machine --- */

typedef enum far_verdict {
    FAR_VERDICT_OK = 0,
    FAR_VERDICT_NOTE,   /**< works; the advice could make it better */
    FAR_VERDICT_PROBLEM /**< training would fail or be needlessly slow */
} far_verdict;

/** One thing that was looked at. Texts live as long as the far_doctor. */
typedef struct far_finding {
    const char *topic;  /**< "memory" */
    const char *value;  /**< "23.5 GiB, 22.9 GiB available" */
    const char *advice; /**< what to do; "" where all is well */
    far_verdict verdict;
} far_finding;

typedef struct far_doctor far_doctor; /**< opaque; the findings of one look */

/**
 * Looks at processor, memory, limits, libraries, accelerators, MPI, disk and clock. Takes milliseconds and starts no other program.
 * @param folder      whose disk is looked at; NULL: the working directory.
 * @param doctor_out  receives the findings, owned by the caller.
 * @return FAR_OK, FAR_E_NOMEM. What cannot be found out is a finding, not an error.
 */
FAR_API far_status far_doctor_look(const char *folder, far_doctor **doctor_out);
FAR_API int32_t far_doctor_count(const far_doctor *doctor);
/** @return finding `idx`, in [0, far_doctor_count). */
FAR_API const far_finding *far_doctor_at(const far_doctor *doctor, int32_t idx);
/** Frees it. NULL is allowed. */
FAR_API void far_doctor_destroy(far_doctor *doctor);

#ifdef __cplusplus
}
#endif
#endif /* FAR_INFO_H */
