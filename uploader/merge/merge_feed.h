/*-------------------------------------------------------------------------
 * merge_feed.h
 *	  Lines that a thread of its own reads ahead of who takes them.
 *
 * What a line costs before it can be parsed (its object is fetched, its bytes
 * are decompressed, a Parquet page or a CSV field becomes the record line) is
 * done beside what it costs then, and beside the COPY at the target.
 *
 * The lines come in the order in which they were read, and an error when all
 * lines before it were taken.
 *
 * Invariants:
 *	(1) Whose thread reads, alone reads: nobody else touches what the reader
 *		touches between feed_start() and feed_stop().
 *	(2) Read ahead are FEED_BLOCKS blocks of FEED_BYTES at most.  A line that
 *		is longer is not copied: the thread waits until it was taken.
 *
 * Layer: merge.
 *-------------------------------------------------------------------------
 */
#ifndef MERGE_FEED_H
#define MERGE_FEED_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

#define FEED_BLOCKS 4
#define FEED_BYTES ((size_t) 128 * 1024)
#define FEED_LINES 2048 /* no more in a block, either */

typedef struct FeedLine
{
	Slice line;
	int object;     /* by its number; -1: there is no more */
	int64_t number; /* the line's, in its object */
} FeedLine;

/* Reads the next line, valid until the next call.  In the feed's thread. */
typedef bool (*FeedRead)(void *arg, FeedLine *out, Err *err);

typedef struct Feed Feed;

/* NULL where the system has no thread to give. */
Feed *feed_start(FeedRead read, void *arg);

/* The next line, valid until the next call; waits for it. */
bool feed_next(Feed *f, FeedLine *out, Err *err) MUST_CHECK;

/* Would feed_next() have to wait? */
bool feed_is_dry(Feed *f);

/* Ends the thread, once what it is reading is read.  NULL is fine. */
void feed_stop(Feed *f);

#endif
