/*-------------------------------------------------------------------------
 * cores.h
 *	  How many processor cores this process may use.  Layer: io.
 *-------------------------------------------------------------------------
 */
#ifndef CORES_H
#define CORES_H

/*
 * At least 1: those it may be scheduled on, and no more than the quota of its
 * cgroup (version 2) or of one above it lets run at a time, rounded up.
 */
int cores_available(void);

/*
 * The quota of cpu.max in the folder of a cgroup and those above it, up to
 * root; 0: none.  For tests.
 */
int cores_of_cgroup(const char *root, const char *path);

#endif
