/*-------------------------------------------------------------------------
 * parquet_group.h
 *	  Row groups and the footer of an object, for parquet*.c only.
 *
 * Layer: codec.
 *-------------------------------------------------------------------------
 */
#ifndef PARQUET_GROUP_H
#define PARQUET_GROUP_H

#include "codec/parquet_write.h"

typedef struct GroupChunk
{
	ParquetColumn *column;
	ParquetChunk chunk;
	Compression codec;
	int64_t index_at;
	int64_t offsets_at;
	int32_t index_n; /* 0: there is none */
	int32_t offsets_n;
} GroupChunk;

/* Appends the RowGroup of all leaves' chunks; the next one begins. */
void group_describe(FormatWriter *w, const GroupChunk *chunks);

/* Ends the row group, if there is one; and the object. */
bool writer_end_group(FormatWriter *w, Buf *out, Err *err) MUST_CHECK;
bool writer_end_object(FormatWriter *w, Buf *out, Err *err) MUST_CHECK;

/* The object's first bytes, where they are not written. */
void writer_start(FormatWriter *w, Buf *out);

#endif
