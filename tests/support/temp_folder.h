/* Folders for files of a test. */
#ifndef FAR_TESTS_TEMP_FOLDER_H
#define FAR_TESTS_TEMP_FOLDER_H

#define TEMP_FOLDER_BYTES 512

/* A new, empty folder under $TMPDIR, else /tmp. scripts/check.py gives every test a $TMPDIR that it removes. */
void temp_folder(char path_out[TEMP_FOLDER_BYTES]);
/* Likewise in memory where there is such a place: for thousands of fsync. */
void temp_folder_in_memory(char path_out[TEMP_FOLDER_BYTES]);
/* A path in the running case's own folder ("": the folder itself), which the first call makes, in memory where there is such a place; good
   until the fourth next call. Where there is no $TMPDIR it goes with a case that passes. */
const char *test_path(const char *name);
#endif
