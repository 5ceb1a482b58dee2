/*-------------------------------------------------------------------------
 * story.h
 *	  What happens in a simulation: a long story that a seed makes up, or a
 *	  small one that is always the same but for one fault.
 *-------------------------------------------------------------------------
 */
#ifndef STORY_H
#define STORY_H

#include "disk.h"
#include "lake.h"

/* The small story, and what goes wrong in it; 0: nothing. */
typedef struct Small
{
	bool on;
	int64_t kill_step; /* the first writer is killed there */
	int64_t fault_at;  /* the call of the store */
	LakeFault fault;
	bool disk;            /* the lake is a folder */
	int64_t disk_call;    /* the call of the file system */
	DiskFault disk_fault; /* what it meets */
} Small;

/* To its end; the hash of the way it took.  Once a process. */
uint64_t story_run(uint64_t seed, const Small *small);

#endif
