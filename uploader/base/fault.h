/*-------------------------------------------------------------------------
 * fault.h
 *	  Named points at which a test kills or stops the process.
 *
 * FAULT_POINT("name") stands where the outside world has just changed, or is
 * about to: whatever dies there, the next start has to make good.  In a normal
 * build it is nothing.  "make -C uploader faults" builds build/faults/cdc-s3,
 * where the environment says at which point something happens:
 *
 *	  CDCS3_TEST_FAULT=name[:n[:stop]]	SIGKILL, or SIGSTOP, when the point is
 *										reached for the n-th time (the first)
 *	  CDCS3_TEST_FAULT_LOG=file			gets the point's name before
 *
 * Each name stands at one place, and test/t/140_crash_matrix.pl fails for one
 * that it does not know or that was never reached.
 * Threads: any.  Layer: base.
 *-------------------------------------------------------------------------
 */
#ifndef FAULT_H
#define FAULT_H

#ifdef CDC_S3_FAULTS
void fault_point(const char *name);
#define FAULT_POINT(name) fault_point(name)
#else
#define FAULT_POINT(name) ((void) 0)
#endif

#endif
