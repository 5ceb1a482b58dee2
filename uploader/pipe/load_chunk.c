/*-------------------------------------------------------------------------
 * load_chunk.c
 *	  How a large table is cut into chunks that can be read side by side.
 *
 * Layer: pipe.
 *-------------------------------------------------------------------------
 */
#include "pipe/load_chunk.h"

#include <stdlib.h>

#include "base/mem.h"

static int
compare_blocks(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *) a;
	uint32_t y = *(const uint32_t *) b;

	return x < y ? -1 : x > y;
}

uint64_t
load_blocks_in(const uint32_t *blocks, int n, BlockRange range)
{
	uint64_t sum = 0;

	for (int i = 0; i < n; i++)
	{
		uint32_t to = range.to && range.to < blocks[i] ? range.to : blocks[i];

		if (to > range.from)
			sum += to - range.from;
	}
	return sum;
}

/*
 * The lowest block number before which "want" blocks lie, of tables in the
 * order of their size.  *at and *before go on from call to call: tables that
 * end before the number, and their blocks.
 */
static uint32_t
block_at(const uint32_t *blocks, int n, uint64_t want, int *at,
		 uint64_t *before)
{
	while (*at < n && *before + (uint64_t) (n - *at) * blocks[*at] < want)
		*before += blocks[(*at)++];
	if (*at == n)
		return n > 0 ? blocks[n - 1] : 0;
	return (uint32_t) ((want - *before + (uint64_t) (n - *at) - 1) /
					   (uint64_t) (n - *at));
}

int
load_cut(uint32_t *blocks, int n, uint64_t chunk, BlockRange **out)
{
	uint64_t total = 0;
	uint64_t parts;
	uint64_t before = 0;
	int at = 0;
	int made = 1;

	if (n > 0)
		qsort(blocks, (size_t) n, sizeof(*blocks), compare_blocks);
	for (int i = 0; i < n; i++)
		total += blocks[i];
	parts = (total + chunk - 1) / chunk;
	if (parts > LOAD_CHUNKS_MAX)
		parts = LOAD_CHUNKS_MAX;
	*out = xcalloc(parts ? parts : 1, sizeof(BlockRange));
	for (uint64_t i = 1; i < parts; i++)
	{
		/* total < 2^53, since a table has 2^32 blocks at most */
		uint64_t want =
			(uint64_t) ((double) total * (double) i / (double) parts);
		uint32_t from = block_at(blocks, n, want, &at, &before);

		if (from <= (*out)[made - 1].from || from >= blocks[n - 1])
			continue;
		(*out)[made - 1].to = from;
		(*out)[made++].from = from;
	}
	return made;
}
