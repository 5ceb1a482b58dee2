/*-------------------------------------------------------------------------
 * encode.h
 *	  The encoder: turns frames into rows of batches, and decides when a
 *	  checkpoint is made.  Layer: pipe.
 *-------------------------------------------------------------------------
 */
#ifndef ENCODE_H
#define ENCODE_H

/* The encoder's thread; arg is the Pipe.  Ends after EVENT_STOP. */
void *encode_main(void *arg);

#endif
