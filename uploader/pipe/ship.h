/*-------------------------------------------------------------------------
 * ship.h
 *	  Shippers: threads that compress batches and write objects.
 *
 * Each owns a store and a compressor for objects of one batch; an object that
 * waits for more batches has its own compressor and part buffer, and any
 * shipper goes on with it.  Layer: pipe.
 *-------------------------------------------------------------------------
 */
#ifndef SHIP_H
#define SHIP_H

#include "pipe/pipe.h"

/*
 * The threads of a shipper and of a putter; arg is the Pipe.  Each ends when
 * its queue is closed: that of the putters after the shippers are through.
 */
void *ship_main(void *arg);
void *put_main(void *arg);

/*
 * Once all threads are through: frees the objects that did not become
 * durable, and abandons their uploads where the store still answers.
 */
void ship_abandon(Pipe *p);

#endif
