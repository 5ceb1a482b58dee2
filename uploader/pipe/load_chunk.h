/*-------------------------------------------------------------------------
 * load_chunk.h
 *	  How a large table is cut into chunks that can be read side by side.
 *
 * A chunk is a range of block numbers, the same in each stored table that
 * belongs to the table: so a partitioned one is cut without a statement that
 * names its partitions, which the role may not be allowed to read.  Layer:
 *pipe.
 *-------------------------------------------------------------------------
 */
#ifndef LOAD_CHUNK_H
#define LOAD_CHUNK_H

#include <stdint.h>

/* Blocks [from, to); to = 0: to the end, however far that is by then. */
typedef struct BlockRange
{
	uint32_t from;
	uint32_t to;
} BlockRange;

#define LOAD_CHUNKS_MAX 100000

/*
 * Cuts stored tables of so many blocks into ranges that have about as many
 * blocks each, and not many more than "chunk" (> 0).  The ranges follow each
 * other, the first begins at block 0, the last is open.  Sorts blocks.  Returns
 * how many there are, at least one; the caller frees *out.
 */
int load_cut(uint32_t *blocks, int n, uint64_t chunk, BlockRange **out);

/* Blocks of these stored tables that lie in a range. */
uint64_t load_blocks_in(const uint32_t *blocks, int n, BlockRange range);

#endif
