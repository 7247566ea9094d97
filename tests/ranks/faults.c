/* Faults of one rank, brought in with LD_PRELOAD by tests/cli/test_rank_faults.py. FARANDOLE_FAULT="RANK WHAT FILE": as soon as FILE is there
 *   lose    that rank's next message is never sent      fail    MPI says that a message cannot be started
 *   gather  it never says what all say                  read    it waits for a picture (*.png) without end
 *   kernel  a kernel of oneDNN never ends               slow    its messages take 300 ms each: no fault, only slow
 * The profiling interface of MPI gives the true functions. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <mpi.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static atomic_bool is_lost;

static bool is_due(const char *what)
{
    char wanted[32], file[1024];
    int rank = -1;
    const char *fault = getenv("FARANDOLE_FAULT"), *own = getenv("OMPI_COMM_WORLD_RANK");
    if (fault == NULL || own == NULL || sscanf(fault, "%d %31s %1023s", &rank, wanted, file) != 3) return false;
    return rank == (int)strtol(own, NULL, 10) && strcmp(what, wanted) == 0 && access(file, F_OK) == 0;
}

static void hang(void)
{
    for (;;) (void)pause();
}

int MPI_Start(MPI_Request *request)
{
    if (is_due("fail")) return MPI_ERR_OTHER;
    if (is_due("slow")) (void)usleep(300000);
    if (is_due("lose") && !atomic_exchange(&is_lost, true))
        return MPI_SUCCESS; /* a request that was not started is never done */
    return PMPI_Start(request);
}

int MPI_Testsome(int count, MPI_Request requests[], int *done, int idx[], MPI_Status statuses[])
{
    const int code = PMPI_Testsome(count, requests, done, idx, statuses);
    if (code == MPI_SUCCESS && *done == MPI_UNDEFINED && count > 0) *done = 0; /* only the lost one is left */
    return code;
}

int MPI_Iallgather(const void *own, int count, MPI_Datatype type, void *all, int each, MPI_Datatype all_type,
                   MPI_Comm comm, MPI_Request *request)
{
    if (is_due("gather")) hang();
    return PMPI_Iallgather(own, count, type, all, each, all_type, comm, request);
}

int openat(int folder, const char *path, int flags, ...)
{
    va_list args;
    va_start(args, flags);
    const mode_t mode = (flags & O_CREAT) != 0 ? va_arg(args, mode_t) : 0;
    va_end(args);
    const char *end = strrchr(path, '.');
    if (end != NULL && strcmp(end, ".png") == 0 && is_due("read")) hang();
    return (int)syscall(SYS_openat, folder, path, flags, mode);
}

int dnnl_primitive_execute(const void *primitive, void *stream, int count, const void *arguments);
int dnnl_primitive_execute(const void *primitive, void *stream, int count, const void *arguments)
{
    static int (*execute)(const void *, void *, int, const void *);
    if (is_due("kernel")) hang();
    if (execute == NULL) *(void **)&execute = dlsym(RTLD_NEXT, "dnnl_primitive_execute");
    return execute(primitive, stream, count, arguments);
}
