/*-------------------------------------------------------------------------
 * fs.h
 *	  Files that are there whole or not at all, also after a power cut.
 *
 * fs_error() gives an errno our kinds: not there ERR_NOT_FOUND; no space or
 * quota, or too many open files ERR_BUSY, since that may pass; all else
 * ERR_STORE.  A mend goes into the hint.
 * Where the sync of a folder fails, Linux counts the names that it should have
 * written as clean: the next sync, by whoever and after whatever time, does
 * nothing and succeeds.  So a folder is synced only after a name came into it
 * since it was last known to be on disk: one of ours, or FS_SYNC_NAME, which
 * is made and removed for that.  Readers pass over it.
 *
 * Threads: any; FsSynced belongs to one thread.  Layer: io.
 *-------------------------------------------------------------------------
 */
#ifndef FS_H
#define FS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

#define FS_SYNC_NAME ".sync"

/*
 * Folders whose own names are known to be on disk, and those whose names were
 * when they were last looked at.  Small tables that forget: forgetting costs
 * one fsync.  All zero to begin.
 */
typedef struct FsSynced
{
	uint64_t hash[256];
	uint64_t names[256];
	int failures; /* of the process, of which the tables know */
} FsSynced;

/* Fills err for errnum: "could not <doing> "<path>": …"; returns false. */
bool fs_error(Err *err, int errnum, const char *doing, const char *path);

/* Appends the whole file to out; ERR_LIMIT past out->max. */
bool fs_read(const char *path, Buf *out, Err *err) MUST_CHECK;

/* Makes the folder and those above it that are missing. */
bool fs_make_folders(const char *folder, FsSynced *synced, Err *err) MUST_CHECK;

/*
 * Brings a folder's list of names to disk, and the names of the folders
 * above it, up to and with "root", where they are not known to be there.
 * fresh: the caller has just made or removed a name in the folder.
 */
bool fs_sync_folders(const char *root, const char *folder, bool fresh,
					 FsSynced *synced, Err *err) MUST_CHECK;

/*
 * Writes a new file and brings its content to disk; nothing is left behind
 * on failure.  After a failed fsync the kernel may have dropped the pages
 * and call the next one a success, so the file is then written anew, once.
 */
bool fs_write_synced(const char *path, Slice body, Err *err) MUST_CHECK;

#endif
