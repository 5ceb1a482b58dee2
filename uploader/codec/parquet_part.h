/*-------------------------------------------------------------------------
 * parquet_part.h
 *	  A row in parts to a Parquet object, for parquet*.c only.
 *
 * Layer: codec.
 *-------------------------------------------------------------------------
 */
#ifndef PARQUET_PART_H
#define PARQUET_PART_H

#include "codec/parquet_write.h"

bool part_head(FormatWriter *w, const Change *change, Buf *out,
			   Err *err) MUST_CHECK;
bool part_item(FormatWriter *w, const PartItem *item, Buf *out,
			   Err *err) MUST_CHECK;
void part_free(ParquetPart *p);

#endif
