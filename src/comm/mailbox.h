/* Ranks that are threads of one process: for tests of plans and executors, and where one machine simulates many. A message is handed
   over when both sides have started it (no buffering: the strictest engine there could be), in an order drawn at random, so that a
   plan which counts on an order of arrival shows it. */
#ifndef FARI_COMM_MAILBOX_H
#define FARI_COMM_MAILBOX_H
#include "comm/comm.h"

typedef struct fari_mailbox fari_mailbox;

/* seed: of the order of arrival. 0: as messages come. */
far_status fari_mailbox_create(int32_t world_size, uint64_t seed, fari_mailbox **mailbox_out);
/* After all communicators. NULL is allowed. */
void fari_mailbox_destroy(fari_mailbox *mailbox);
/* The communicator of one rank. Destroyed by its own `destroy`. */
far_status fari_mailbox_comm(fari_mailbox *mailbox, int32_t rank, fari_comm **comm_out);
/* Messages and bytes handed over so far. */
void fari_mailbox_count(fari_mailbox *mailbox, int64_t *messages_out, int64_t *bytes_out);
#endif
