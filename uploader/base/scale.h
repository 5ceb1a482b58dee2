/*-------------------------------------------------------------------------
 * scale.h
 *	  How much smaller the sizes are at which something begins to happen.
 *
 * A batch is full at 256 kB, a list leaves its entry at 1 MB.  The simulation
 * (test/sim) is built with SCALE=16, so that all of that happens within some
 * hundred rows; nothing else may be.
 * Layer: base.
 *-------------------------------------------------------------------------
 */
#ifndef SCALE_H
#define SCALE_H

#ifndef SCALE
#define SCALE 1
#endif

#endif
