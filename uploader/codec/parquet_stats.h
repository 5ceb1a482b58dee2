/*-------------------------------------------------------------------------
 * parquet_stats.h
 *	  Least and greatest value of a page or a column chunk, in the order that
 *	  parquet.thrift's TypeDefinedOrder gives their type.
 *
 * Long strings are cut: what is kept is never above the least value and never
 * below the greatest.  NaN is in no order and left out.
 * Layer: codec.
 *-------------------------------------------------------------------------
 */
#ifndef PARQUET_STATS_H
#define PARQUET_STATS_H

#include "codec/parquet_type.h"

#define STATS_BYTES 64 /* that are kept of a value */

/* One bound: what is kept of a value. */
typedef struct ParquetBound
{
	uint8_t n;
	bool cut; /* the value goes on */
	uint8_t p[STATS_BYTES];
} ParquetBound;

typedef struct ParquetStats
{
	bool any; /* there are both bounds */
	union
	{
		int64_t i;
		double d;
	} min, max;
	ParquetBound *bounds; /* of bytes: least, greatest; NULL until needed */
} ParquetStats;

void stats_reset(ParquetStats *s);
void stats_done(ParquetStats *s);

/* value: PLAIN bytes, without a length. */
void stats_add(ParquetStats *s, const ParquetLeaf *leaf, Slice value);

/* What another one has seen, too. */
void stats_merge(ParquetStats *s, const ParquetLeaf *leaf,
				 const ParquetStats *other);

/*
 * The bounds as they stand in the file; false where there are none.  *exact
 * where it is a value itself.
 */
bool stats_min(const ParquetStats *s, const ParquetLeaf *leaf,
			   ParquetBound *out, bool *out_exact);
bool stats_max(const ParquetStats *s, const ParquetLeaf *leaf,
			   ParquetBound *out, bool *out_exact);

#endif
