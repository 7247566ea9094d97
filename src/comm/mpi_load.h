/* Finding and loading the MPI module, and what a launcher says in the environment. Neither initialises anything where one rank runs. */
#ifndef FARI_COMM_MPI_LOAD_H
#define FARI_COMM_MPI_LOAD_H
#include "comm/comm.h"

/* Processes that mpirun or srun started together with this one, 1: none, and its number. FAR_E_ARG: tasks of srun that cannot find each
   other; the number is set all the same. */
far_status fari_mpi_launched(int32_t *world_size_out, int32_t *rank_out);
/* Loads the module and initialises MPI. Collective. FAR_E_NOTFOUND: the program was built without MPI; FAR_E_LIBRARY: it cannot be loaded, or
   another MPI than its own started the processes. */
far_status fari_mpi_join(int32_t world_size, fari_comm **comm_out);
/* Whether there is a module, without loading it. path_out: where, or where it was looked for. */
bool fari_mpi_module_path(char *path_out, size_t bytes);
#endif
