/* What the program and its MPI module know of each other. The module is a file of its own, so that the program needs no MPI and does not
 * load it where one rank runs; it takes from the program what it needs through this table, and links to nothing of ours. */
#ifndef FARI_COMM_MPI_MODULE_H
#define FARI_COMM_MPI_MODULE_H
#include "comm/comm.h"

#define FARI_MPI_MODULE_ABI 1
#define FARI_MPI_MODULE_FILE "farandole-mpi.so"
#define FARI_MPI_MODULE_SYMBOL "fari_mpi_entry"

typedef struct fari_mpi_host {
    far_status (*fail)(far_status status, const char *file, int line, const char *func, const char *fmt, ...)
        FAR_PRINTF(5, 6);
    void *(*calloc)(size_t count, size_t bytes);
    void (*free)(void *data);
} fari_mpi_host;

typedef struct fari_mpi_module {
    int32_t abi;
    size_t comm_bytes; /* sizeof(fari_comm), sizeof(fari_comm_ops): both sides were built from the same headers */
    size_t ops_bytes;
    /* Initialises MPI. Collective over all processes that the launcher started. The communicator's destroy ends MPI. */
    far_status (*join)(const fari_mpi_host *host, fari_comm **comm_out);
    void (*version)(char *text_out, size_t bytes); /* before or after join: "Open MPI v4.1.4" */
} fari_mpi_module;
#endif
