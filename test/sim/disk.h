/*-------------------------------------------------------------------------
 * disk.h
 *	  A disk in memory below file:// stores, of which every call may fail.
 *
 * The linker puts it in the place of the calls that store_file.c and fs.c make
 * (build.sh).  What is read is what was written; what a power cut leaves is
 * what was synced, and of the rest a part that chance chooses:
 *
 *	- a file's bytes are safe once it was synced, a name once its folder was;
 *	- where a sync fails, what it should have written counts as clean, as in
 *	  Linux: the next one does nothing and succeeds, until something is written
 *	  there again;
 *	- a name that was removed comes back, unless its folder was synced.
 *
 * Calls are counted from 1 where a process makes them that is not the world.
 *-------------------------------------------------------------------------
 */
#ifndef DISK_H
#define DISK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "fiber.h"
#include "lake.h"

#define DISK_ROOT "/sim/lake"
#define DISK_URL "file://" DISK_ROOT
#define DISK_CALLS_MAX 100000

typedef enum DiskOp
{
	DISK_OPEN,
	DISK_CREATE,
	DISK_READ,
	DISK_WRITE,
	DISK_SYNC,
	DISK_SYNC_FOLDER,
	DISK_CLOSE,
	DISK_LINK,
	DISK_UNLINK,
	DISK_MKDIR,
	DISK_LIST, /* fdopendir, readdir */
	DISK_STAT,
	DISK_OPS
} DiskOp;

typedef enum DiskFault
{
	DISK_WELL,
	DISK_EIO,
	DISK_ENOSPC,
	DISK_EACCES,
	DISK_EMFILE,
	DISK_EINTR,
	DISK_SHORT,  /* half of the bytes */
	DISK_FULL,   /* and for 20 s: whatever needs room fails */
	DISK_BROKEN, /* and until the process ends: all fail with EIO */
	DISK_KILL,   /* the process, before the call */
	DISK_POWER,  /* of the machine, before the call */
	DISK_FAULTS
} DiskFault;

extern const char *const disk_op_names[DISK_OPS];
extern const char *const disk_fault_names[DISK_FAULTS];

/* Can it happen to such a call? */
bool disk_fits(DiskOp op, DiskFault f);

extern int64_t disk_calls;
extern int64_t disk_fault_at; /* 0: never */
extern DiskFault disk_fault;
extern uint8_t *disk_ops; /* of call n, its DiskOp; NULL: nobody asks */

/* The fault came, whichever it is. */
bool disk_strikes(void);

/* The errno of the fault, once it came; 0: none came, or it has none. */
int disk_errno(void);

/* A log's file, or an object: it is there as a whole after a power cut. */
bool disk_has_safe(const LakeObject *o);

/* Of fiber.c's read() and write(). */
bool disk_fd(int fd);
ssize_t disk_read(int fd, void *buf, size_t n);
ssize_t disk_write(int fd, const void *buf, size_t n);

/* The machine goes down and comes up; its processes are gone. */
void disk_cut(void);

#endif
