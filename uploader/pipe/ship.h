/*-------------------------------------------------------------------------
 * ship.h
 *	  Shippers: threads that compress sealed batches and put them.
 *
 * Each owns a store, a compressor and an output buffer.  Layer: pipe.
 *-------------------------------------------------------------------------
 */
#ifndef SHIP_H
#define SHIP_H

/* A shipper's thread; arg is the Pipe.  Ends when the queue is closed. */
void *ship_main(void *arg);

#endif
