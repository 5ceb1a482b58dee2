/*-------------------------------------------------------------------------
 * parquet_read.h
 *	  The reader of one Parquet object, for parquet*.c only.
 *
 *	  parquet_read.c	 row groups, records, columns
 *	  parquet_meta.c	 a record's metadata
 *	  parquet_footer.c	 where everything is
 *	  parquet_page.c	 one leaf
 *
 * Layer: codec.
 *-------------------------------------------------------------------------
 */
#ifndef PARQUET_READ_H
#define PARQUET_READ_H

#include "codec/parquet_footer.h"
#include "codec/parquet_text.h"

/* What the record's lists say of a column. */
enum
{
	SAID_UNCHANGED = 1,
	SAID_WITHHELD = 2,
	SAID_JSONNULL = 4,
	SAID_EXACT = 8
};

/* A column's text in "_exact". */
typedef struct Exact
{
	size_t at;
	size_t n;
} Exact;

struct FormatReader
{
	FormatSource source;
	bool opened;
	ParquetFooter footer;
	ChunkInfo *chunks;
	LeafReader *leaves;
	PageShare share;
	uint64_t rows; /* that are left in the row group */
	ParquetText *text;
	Buf line;
	Buf value;

	/* the record; columns, and behind them "_before" and "_key" */
	uint8_t *said;
	Exact *exacts;
	Buf exact;
	Buf unchanged; /* as members of the line */
	Buf withheld;
	int hint; /* the column that a list may name next */
	char op;
	bool nokey;
};

FormatReader *reader_open(const FormatSource *source);
bool reader_next(FormatReader *r, Slice *out_line, bool *out_end,
				 Err *err) MUST_CHECK;
void reader_done(FormatReader *r);

/* The one slot of a leaf that is no list; *out_there: it has a value. */
bool reader_flat(FormatReader *r, int leaf, Slice *out, bool *out_there,
				 Err *err) MUST_CHECK;

/* Begins a list: *out_items: its first item is loaded; else it is taken. */
bool reader_list(FormatReader *r, int leaf, bool *out_items,
				 Err *err) MUST_CHECK;

/* Behind an item: *out_more: another one is loaded. */
bool reader_more(FormatReader *r, int leaf, bool *out_more,
				 Err *err) MUST_CHECK;

/* All metadata: to the line what stands before the columns, and "said". */
bool reader_meta(FormatReader *r, Err *err) MUST_CHECK;

bool reader_damaged(const char *what, Err *err);

#endif
