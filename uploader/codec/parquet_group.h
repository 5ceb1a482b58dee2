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

/* Room for a chunk of each leaf, that group_end() frees. */
GroupChunk *group_chunks(const FormatWriter *w);

/*
 * Ends the row group.  Chunks that have a column are written already, and
 * what was written in pieces has no page index, nor have the others.
 */
bool group_end(FormatWriter *w, GroupChunk *chunks, GroupEnd why,
			   bool in_pieces, Buf *out, Err *err) MUST_CHECK;

/* Takes note of what was appended to out since "start". */
void group_went_out(FormatWriter *w, const Buf *out, size_t start);

/* Ends the row group, if there is one; and the object. */
bool writer_end_group(FormatWriter *w, GroupEnd why, Buf *out,
					  Err *err) MUST_CHECK;
bool writer_end_object(FormatWriter *w, Buf *out, Err *err) MUST_CHECK;

/* The object's first bytes, where they are not written. */
void writer_start(FormatWriter *w, Buf *out);

#endif
