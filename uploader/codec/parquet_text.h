/*-------------------------------------------------------------------------
 * parquet_text.h
 *	  What stands in Parquet files and record lines as JSON: all that the
 *	  Parquet format asks of the json format.
 *
 * Threads: one owner at a time.  Layer: codec.
 *-------------------------------------------------------------------------
 */
#ifndef PARQUET_TEXT_H
#define PARQUET_TEXT_H

#include "codec/change.h"
#include "codec/parquet_type.h"

typedef struct ParquetText ParquetText;

/* whole_max: as in FormatOptions; an array up to it is one in JSON, too. */
ParquetText *text_new(const FormatTable *t, size_t whole_max);
void text_free(ParquetText *x);

/* "_before" or "_key": an object of the row's columns, or of its key's. */
void text_put_object(ParquetText *x, const RowView *row, bool key_only,
					 Buf *out);

/* "_partial" */
void text_put_partial(const ChangePartition *parts, int n, Buf *out);

/*
 * A record line's columns, one by one; then its "_jsonnull".  A view may be
 * changed.
 */
void text_begin_columns(ParquetText *x);
void text_put_column(ParquetText *x, int col, ColView *v, Buf *out);

/* The same of text that is none of the wire's kinds: quoted, or a number. */
void text_put_string(ParquetText *x, int col, Slice text, Buf *out);
void text_put_numeric(ParquetText *x, int col, Slice text, Buf *out);
void text_end_columns(ParquetText *x, Buf *out);

/*
 * The old row of a change whose rows arrive in parts: the items of that row,
 * from PART_ROW_OLD to PART_ROW_END.  Appends "_before" as it comes; "_key"
 * is appended with the last item, which tells where each of them ends.
 */
typedef struct OldEnds
{
	size_t before; /* bytes of "_before" that this item has added */
	size_t key_at; /* "_key": its offset in out, and its length */
	size_t key_n;
} OldEnds;

void text_old_begin(ParquetText *x, const Change *change);
bool text_old_item(ParquetText *x, const PartItem *item, Buf *out,
				   OldEnds *ends, Err *err) MUST_CHECK;

/* Digits of bytea, without a prefix. */
void text_put_hex(Slice bytes, Buf *out);

/* JSON as one line. */
void text_put_json(Slice json, Buf *out);

#endif
