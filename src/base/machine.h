/* What this process may use of the machine. */
#ifndef FARI_BASE_MACHINE_H
#define FARI_BASE_MACHINE_H
#include <stdint.h>

int32_t fari_cores(void);       /* processors this process may run on; at least 1 */
int64_t fari_memory_free(void); /* bytes it may still take: what the machine has available, within its control group's limit */
#endif
