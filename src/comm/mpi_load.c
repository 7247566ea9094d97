#include "comm/mpi_load.h"
#include "base/mem.h"
#include "comm/mpi_module.h"
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PATH_BYTES 4096

/* ---- the environment ---- */

static int32_t number_in(const char *name)
{
    const char *text = getenv(name);
    const long number = text != NULL ? strtol(text, NULL, 10) : 0;
    return number > 0 && number < INT32_MAX ? (int32_t)number : 0;
}

/* The first of these that is set. */
static int32_t rank_in_environment(void)
{
    static const char *const names[] = { "OMPI_COMM_WORLD_RANK", "PMI_RANK", "PMIX_RANK", "SLURM_PROCID" };
    for (size_t i = 0; i < FAR_COUNT(names); i++)
        if (getenv(names[i]) != NULL) return number_in(names[i]);
    return 0;
}

far_status fari_mpi_launched(int32_t *world_size_out, int32_t *rank_out)
{
    int32_t size = number_in("OMPI_COMM_WORLD_SIZE"); /* mpirun of Open MPI */
    if (size == 0) size = number_in("PMI_SIZE");      /* mpirun of MPICH; srun --mpi=pmi2 */
    const int32_t tasks = number_in("SLURM_STEP_NUM_TASKS");
    *rank_out = size > 1 || tasks > 1 ? rank_in_environment() : 0;
    if (size == 0 && tasks > 1 && getenv("SLURM_PROCID") != NULL) {
        if (getenv("PMIX_RANK") == NULL)
            return FAR_FAIL(
                FAR_E_ARG,
                "srun started %d tasks which cannot find each other: each would train on its own. Start them "
                "with srun --mpi=pmix",
                (int)tasks);
        size = tasks;
    }
    *world_size_out = size > 1 ? size : 1;
    return FAR_OK;
}

/* ---- the module ---- */

/* Beside the program, as the build leaves it, or where it is installed: bin/../lib/farandole. */
bool fari_mpi_module_path(char *path_out, size_t bytes)
{
    static const char *const places[] = { "", "../lib/farandole/", "../lib64/farandole/" };
    char program[PATH_BYTES];
    const char *set = getenv("FARANDOLE_MPI_MODULE");
    if (set != NULL && set[0] != '\0') {
        (void)snprintf(path_out, bytes, "%s", set);
        return access(path_out, R_OK) == 0;
    }
    const ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
    program[length > 0 ? length : 0] = '\0';
    char *slash = strrchr(program, '/');
    if (slash != NULL) slash[1] = '\0';
    for (size_t i = 0; i < FAR_COUNT(places); i++) {
        (void)snprintf(path_out, bytes, "%s%s%s", program, places[i], FARI_MPI_MODULE_FILE);
        if (access(path_out, R_OK) == 0) return true;
    }
    (void)snprintf(path_out, bytes, "%s%s", program, FARI_MPI_MODULE_FILE);
    return false;
}

static far_status module_load(const fari_mpi_module **module_out)
{
    char path[PATH_BYTES];
    if (!fari_mpi_module_path(path, sizeof path))
        return FAR_FAIL(
            FAR_E_NOTFOUND,
            "this Farandole was built without MPI, which several ranks need (no %s). Install libopenmpi-dev "
            "and openmpi-bin, and build again",
            path);
    /* global: libraries of MPI load further ones that look for its names */
    void *library = dlopen(path, RTLD_NOW | RTLD_GLOBAL);
    if (library == NULL) return FAR_FAIL(FAR_E_LIBRARY, "%s cannot be loaded: %s", path, dlerror());
    const fari_mpi_module *module =
        dlsym(library, FARI_MPI_MODULE_SYMBOL); /* never unloaded: MPI does not take it well */
    if (module == NULL || module->abi != FARI_MPI_MODULE_ABI || module->comm_bytes != sizeof(fari_comm) ||
        module->ops_bytes != sizeof(fari_comm_ops))
        return FAR_FAIL(FAR_E_VERSION, "%s belongs to another version of Farandole", path);
    *module_out = module;
    return FAR_OK;
}

far_status fari_mpi_join(int32_t world_size, fari_comm **comm_out)
{
    static const fari_mpi_host host = { .fail = fari_fail, .calloc = fari_calloc, .free = fari_free };
    const fari_mpi_module *module = NULL;
    fari_comm *comm = NULL;
    char version[128];
    FAR_TRY(module_load(&module));
    FAR_TRY(module->join(&host, &comm));
    if (comm->world_size != world_size) {
        module->version(version, sizeof version);
        const int32_t found = comm->world_size;
        comm->ops->destroy(comm);
        return FAR_FAIL(
            FAR_E_LIBRARY,
            "the launcher started %d processes, but %s sees %d: start them with the mpirun of that MPI, or with "
            "srun --mpi=pmix",
            (int)world_size, version, (int)found);
    }
    *comm_out = comm;
    return FAR_OK;
}
