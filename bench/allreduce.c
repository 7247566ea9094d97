/* The time of MPI_Allreduce for a list of sizes, one call each, as gradients of layers come: the median of some rounds, in seconds.
 *   mpirun -n 2 allreduce ELEMENTS... */
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>

#define ROUNDS 15

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    int rank = 0, most = 1;
    double seconds[ROUNDS];
    (void)MPI_Init(&argc, &argv);
    (void)MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    for (int i = 1; i < argc; i++) most = atoi(argv[i]) > most ? atoi(argv[i]) : most;
    float *from = calloc((size_t)most, sizeof *from), *to = calloc((size_t)most, sizeof *to);
    for (int r = 0; from != NULL && to != NULL && r < ROUNDS; r++) {
        (void)MPI_Barrier(MPI_COMM_WORLD);
        const double began = MPI_Wtime();
        for (int i = 1; i < argc; i++) (void)MPI_Allreduce(from, to, atoi(argv[i]), MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD);
        seconds[r] = MPI_Wtime() - began;
    }
    qsort(seconds, ROUNDS, sizeof *seconds, by_value);
    if (rank == 0) (void)printf("%.9f\n", seconds[ROUNDS / 2]);
    free(from);
    free(to);
    return MPI_Finalize();
}
