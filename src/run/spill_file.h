/* The file of what waits on disk. It has no name, so that nothing is left of it however the process ends; its space is taken before the
   first step; and the page cache is passed by, which would take the very memory that spilling is to save. */
#ifndef FARI_RUN_SPILL_FILE_H
#define FARI_RUN_SPILL_FILE_H
#include <farandole/status.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct fari_spill_file fari_spill_file;

/* A file of `bytes`, a multiple of FARI_PAGE_BYTES, on the file system on which `folder` lies. Its room is taken at once; is_sparse: only as it is
   written, for what is packed. FAR_E_IO: there is no room, or it cannot be written. */
far_status fari_spill_file_open(const char *folder, int64_t bytes, bool is_sparse, fari_spill_file **file_out);
void fari_spill_file_close(fari_spill_file *file);
/* Offset, data and bytes are multiples of FARI_PAGE_BYTES. Any threads at once. FAR_E_IO names the file, the place and what to do. */
far_status fari_spill_file_write(fari_spill_file *file, int64_t offset, const void *data, size_t bytes);
far_status fari_spill_file_read(fari_spill_file *file, int64_t offset, void *data_out, size_t bytes);
/* Gives room back: nobody wants what is there. As good as the file system can. */
void fari_spill_file_drop(const fari_spill_file *file, int64_t offset, int64_t bytes);
int64_t fari_spill_file_bytes(const fari_spill_file *file); /* as it was opened */
int64_t fari_spill_file_used(const fari_spill_file *file);  /* bytes of disk that it takes now */
/* Bytes that are free on the disk of a folder; -1: nobody knows. */
int64_t fari_folder_free_bytes(const char *folder);
/* Whether the page cache is passed by without being asked to forget. */
bool fari_spill_file_is_direct(const fari_spill_file *file);
/* Whether a folder lies in memory: what is spilled there is not saved. */
bool fari_folder_is_in_memory(const char *folder);
#endif
