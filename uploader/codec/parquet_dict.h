/*-------------------------------------------------------------------------
 * parquet_dict.h
 *	  The different values of a column chunk, each once, in the order in
 *	  which they came.
 *
 * Memory: the values, four bytes each for where they stand, and a table of
 * two to four times four bytes each.  Layer: codec.
 *-------------------------------------------------------------------------
 */
#ifndef PARQUET_DICT_H
#define PARQUET_DICT_H

#include "base/buf.h"

typedef struct ParquetDict
{
	Buf plain;    /* the page's bytes: PLAIN */
	size_t width; /* of a value; 0: a uint32 length is before each */
	uint32_t n;
	uint32_t last;   /* found or added last */
	uint32_t *at;    /* where each stands in plain, where width is 0 */
	uint32_t *table; /* an index and 1; 0: free */
	uint32_t mask;
} ParquetDict;

void dict_init(ParquetDict *d, size_t width);
void dict_done(ParquetDict *d);

/* The value's index; it is added where it is new. */
uint32_t dict_index(ParquetDict *d, Slice value);
Slice dict_value(const ParquetDict *d, uint32_t index);
size_t dict_memory(const ParquetDict *d);

#endif
