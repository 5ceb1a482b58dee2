/*-------------------------------------------------------------------------
 * parquet_write.h
 *	  The writer of one Parquet object, for parquet*.c only.
 *
 *	  parquet.c		   changes
 *	  parquet_part.c   rows in parts
 *	  parquet_group.c  row groups and the footer
 *	  parquet_write.c  values and metadata to leaves
 *
 * Layer: codec.
 *-------------------------------------------------------------------------
 */
#ifndef PARQUET_WRITE_H
#define PARQUET_WRITE_H

#include "codec/parquet_column.h"
#include "codec/parquet_text.h"

typedef struct ParquetPart ParquetPart;

struct FormatWriter
{
	const FormatTable *t;
	bool started;   /* the object's first bytes are written */
	int64_t offset; /* bytes of the object that went out */
	int64_t rows;   /* of row groups that ended */
	Buf groups;     /* their RowGroups, one behind the other */
	uint32_t ngroups;
	FormatGroups ended; /* the same, by what ended them */
	uint64_t plain;     /* bytes of values, of groups that ended */

	/* the open row group */
	uint64_t records;
	uint64_t bytes;       /* of its values */
	ParquetColumn **cols; /* of leaves; NULL: nothing but NULL yet */
	ParquetScratch scratch;

	/* the record */
	int nunchanged;
	int nwithheld;
	int njsonnull;
	int nexact;
	size_t withheld_room; /* for bytes of what is withheld */
	Lsn lsn;
	char lsn_text[16];
	bool lsn_known;
	ParquetText *text; /* NULL until needed */
	Buf value;         /* text of a value */
	Buf elements;
	ParquetPart *part; /* a row in parts is open */
};

/* A slot of the open record. */
bool writer_put(FormatWriter *w, int leaf, int rep, int def, Slice value,
				Err *err) MUST_CHECK;

/* The record's metadata but for its old row. */
bool writer_put_meta(FormatWriter *w, const Change *change,
					 Err *err) MUST_CHECK;

/* A column of the record, whatever its state. */
bool writer_put_column(FormatWriter *w, int col, ColView *v,
					   Err *err) MUST_CHECK;

/* One more name in a list; *n counts. */
bool writer_put_name(FormatWriter *w, int leaf, int *n, int col,
					 Err *err) MUST_CHECK;
bool writer_put_withheld(FormatWriter *w, int col, const ColView *v,
						 Err *err) MUST_CHECK;
bool writer_put_exact(FormatWriter *w, const char *name, Slice text,
					  Err *err) MUST_CHECK;

ParquetText *writer_text(FormatWriter *w);

/* Which of the old rows stand in a record (doc/lake.md). */
bool writer_has_before(const FormatWriter *w, const Change *change);
bool writer_has_key(const FormatWriter *w, const Change *change);

/* The record is through. */
void writer_end_record(FormatWriter *w);

#endif
