/*-------------------------------------------------------------------------
 * parquet_footer.h
 *	  Reads the footer of a Parquet object that our writer wrote.
 *
 * All slices point into the object.  Errors: ERR_DATA.  Layer: codec.
 *-------------------------------------------------------------------------
 */
#ifndef PARQUET_FOOTER_H
#define PARQUET_FOOTER_H

#include "codec/parquet_page.h"

typedef struct ParquetFooter
{
	Slice object;
	size_t end;         /* of the row groups' bytes: where the footer begins */
	FormatTable *table; /* as the file's own words and the schema say */
	ThriftIn groups;    /* before the next one */
	size_t ngroups;     /* that are left */
} ParquetFooter;

/* On success the footer's table is the caller's. */
bool footer_open(ParquetFooter *f, Slice object, const Schema *schema,
				 Err *err) MUST_CHECK;

/* The next row group: a chunk for each leaf, and its rows. */
bool footer_next_group(ParquetFooter *f, ChunkInfo *chunks, uint64_t *out_rows,
					   Err *err) MUST_CHECK;

#endif
