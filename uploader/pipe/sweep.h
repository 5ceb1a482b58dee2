/*-------------------------------------------------------------------------
 * sweep.h
 *	  The sweeper: removes objects and uploads that can never count.
 *
 * Only an object with the number of an entry that is written and does not
 * list it, or of a load that is over, is removed; never one that may still
 * count.  So it is with uploads.  A delete that is refused is a warning. Layer:
 *pipe.
 *-------------------------------------------------------------------------
 */
#ifndef SWEEP_H
#define SWEEP_H

/* The sweeper's thread; arg is the Pipe. */
void *sweep_main(void *arg);

#endif
