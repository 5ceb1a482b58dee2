/*-------------------------------------------------------------------------
 * parquet_column.h
 *	  One leaf of the open row group: the page that grows, and those that are
 *	  ready.
 *
 * NULL costs nothing: a column is told the number of the record with each
 * value, and fills up those before it that had none.
 *
 * A column begins with a dictionary.  One that does not pay is given up: the
 * page that grows is turned to PLAIN, and the column stays so in the object's
 * later row groups.
 * Memory: a page of values, pages that are compressed, and the dictionary.
 * Layer: codec.
 *-------------------------------------------------------------------------
 */
#ifndef PARQUET_COLUMN_H
#define PARQUET_COLUMN_H

#include "codec/parquet_codec.h"
#include "codec/parquet_dict.h"
#include "codec/parquet_rle.h"
#include "codec/parquet_stats.h"

/* What the columns of one writer share while a page is made. */
typedef struct ParquetScratch
{
	ParquetCodec codec;
	Buf body;       /* a page before its compression */
	Buf compressed; /* and behind it */
} ParquetScratch;

typedef struct ParquetColumn
{
	const ParquetLeaf *leaf;
	size_t page_bytes;
	bool no_dict; /* this chunk, and those that follow */

	/* of the page that grows */
	uint64_t first;   /* its first record, in the row group */
	uint64_t records; /* that have their levels, in the row group */
	uint64_t slots;   /* levels, or values where there are none */
	uint64_t nvalues;
	uint64_t bytes; /* of its values in PLAIN */
	Buf values;     /* PLAIN, or uint32 indices */
	RleOut def;
	RleOut rep;
	Buf defs;
	Buf reps;
	ParquetStats page;

	/* of the chunk */
	ParquetDict dict; /* in use where !no_dict, or where pages have it */
	ParquetStats stats;
	uint64_t chunk_slots;
	uint64_t nulls;
	Buf pages; /* with their headers */
	Buf notes; /* a PageNote and its bounds each */
	uint32_t npages;
	uint32_t dict_pages;
	uint32_t plain_pages;
	uint32_t delta_pages;
	uint64_t plain_bytes; /* before compression, with headers */
	size_t flushed;       /* bytes of pages that went out before its end */
	bool no_index;        /* a page of values without bounds */
} ParquetColumn;

/* Where a page is, and what it holds; its bounds follow in notes. */
typedef struct PageNote
{
	uint64_t first_row;
	uint64_t nulls;
	uint32_t size; /* with its header */
	bool null_page;
	uint8_t min_n;
	uint8_t max_n;
} PageNote;

/* What the footer says of a chunk. */
typedef struct ParquetChunk
{
	int64_t dict_offset; /* 0: none */
	int64_t data_offset;
	int64_t compressed;
	int64_t uncompressed;
} ParquetChunk;

ParquetColumn *column_new(const ParquetLeaf *leaf, size_t page_bytes);
void column_free(ParquetColumn *c);
size_t column_memory(const ParquetColumn *c);

/*
 * A slot of record number "record" of the row group.  rep 0 begins the
 * record.  value, its PLAIN bytes without length, where def is all there is.
 * May end the page before it.
 */
bool column_put(ParquetColumn *c, uint64_t record, int rep, int def,
				Slice value, ParquetScratch *s, Err *err) MUST_CHECK;

/*
 * Ends the chunk of so many records: appends it to out, which is at "offset"
 * of the object, and tells where it is.  The column is then as new, but for
 * stats and notes, which stay until column_reset().
 */
bool column_end(ParquetColumn *c, uint64_t records, int64_t offset,
				ParquetScratch *s, Buf *out, ParquetChunk *chunk,
				Err *err) MUST_CHECK;
void column_reset(ParquetColumn *c);

/*
 * For a record that is a row group of its own.  column_flush() appends what
 * there is so far, so that a chunk's pages follow one another in out; then
 * column_end() is told where the first one was.  column_single() makes the
 * column describe a chunk of one value in one page, which the caller writes.
 */
bool column_flush(ParquetColumn *c, ParquetScratch *s, Buf *out,
				  Err *err) MUST_CHECK;
void column_single(ParquetColumn *c);

/* ColumnIndex and OffsetIndex of the chunk; false: there is none. */
bool column_put_index(const ParquetColumn *c, Buf *out);
void column_put_offsets(const ParquetColumn *c, const ParquetChunk *chunk,
						Buf *out);

/* ColumnMetaData's field "statistics", and "encodings". */
void column_put_statistics(const ParquetColumn *c, ThriftOut *out, int field);
void column_put_encodings(const ParquetColumn *c, ThriftOut *out, int field);

/* A page's header (parquet.thrift, "PageHeader"), appended. */
void column_put_header(Buf *out, bool dictionary, size_t uncompressed,
					   size_t compressed, uint64_t slots,
					   ParquetEncoding encoding);

#endif
