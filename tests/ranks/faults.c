/* Faults for a rank, brought in with LD_PRELOAD: FARANDOLE_FAULT="RANK WHAT AFTER", the AFTERth call of a kind goes wrong on that rank.
 *   lose    a message is never sent               fail    MPI says that a message cannot be started
 *   gather  a rank never says what all say        read    a file of samples (*.png) never comes
 *   kernel  a kernel of oneDNN never ends         slow    each message takes 20 ms: no fault, but slow
 * The profiling interface of MPI gives the true functions. */
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

static atomic_long calls;

static bool is_due(const char *what)
{
    char wanted[32];
    int rank = -1;
    long after = 0;
    const char *fault = getenv("FARANDOLE_FAULT"), *own = getenv("OMPI_COMM_WORLD_RANK");
    if (fault == NULL || own == NULL || sscanf(fault, "%d %31s %ld", &rank, wanted, &after) != 3) return false;
    return rank == atoi(own) && strcmp(what, wanted) == 0 && atomic_fetch_add(&calls, 1) >= after;
}

static void hang(void)
{
    for (;;) (void)pause();
}

int MPI_Start(MPI_Request *request)
{
    if (is_due("fail")) return MPI_ERR_OTHER;
    if (is_due("slow")) (void)usleep(20000);
    if (is_due("lose")) return MPI_SUCCESS; /* and it is never done: a request that was not started */
    return PMPI_Start(request);
}

int MPI_Testsome(int count, MPI_Request requests[], int *done, int idx[], MPI_Status statuses[])
{
    const int code = PMPI_Testsome(count, requests, done, idx, statuses);
    if (code == MPI_SUCCESS && *done == MPI_UNDEFINED && count > 0) *done = 0; /* all of them were lost */
    return code;
}

int MPI_Iallgather(const void *own, int count, MPI_Datatype type, void *all, int each, MPI_Datatype all_type,
                   MPI_Comm comm, MPI_Request *request)
{
    if (is_due("gather")) hang();
    return PMPI_Iallgather(own, count, type, all, each, all_type, comm, request);
}

int open(const char *path, int flags, ...)
{
    va_list args;
    va_start(args, flags);
    const mode_t mode = (flags & O_CREAT) != 0 ? va_arg(args, mode_t) : 0;
    va_end(args);
    const char *end = strrchr(path, '.');
    if (end != NULL && strcmp(end, ".png") == 0 && is_due("read")) hang();
    return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

int open64(const char *path, int flags, ...) __attribute__((alias("open")));

extern int dnnl_primitive_execute(const void *primitive, void *stream, int count, const void *args);
