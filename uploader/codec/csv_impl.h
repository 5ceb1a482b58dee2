/*-------------------------------------------------------------------------
 * csv_impl.h
 *	  What writer and reader of CSV share; for csv*.c only.
 *
 * csv_row.c writes a row that is there as a whole, csv_part.c one that arrives
 * in parts, csv_read.c makes the record line of either.  Layer: codec.
 *-------------------------------------------------------------------------
 */
#ifndef CSV_IMPL_H
#define CSV_IMPL_H

#include "codec/csv.h"
#include "codec/json_impl.h"

/* Columns before those of the table, in their order. */
typedef enum CsvMeta
{
	CSV_OP,
	CSV_LSN,
	CSV_SEQ,
	CSV_XID,
	CSV_TS,
	CSV_NOKEY,
	CSV_MOVED,
	CSV_PARTIAL, /* JSON text, and so are those from "_before" on */
	CSV_REASON,
	CSV_BEFORE,
	CSV_KEY,
	CSV_UNCHANGED,
	CSV_WITHHELD,
	CSV_JSONNULL,
	CSV_ESCAPED, /* only with csv_escape */
	CSV_METAS
} CsvMeta;

extern const char *const csv_meta_names[CSV_METAS];

struct FormatTable
{
	JsonTable *json; /* its columns are ours */
	FormatOptions options;
	Buf header; /* its line */
};

typedef struct CsvPart CsvPart;

struct FormatWriter
{
	const FormatTable *table;
	bool headed;      /* the header stands in the object */
	JsonWriter *json; /* makes the JSON text of old rows */
	Buf text;         /* JSON on its way to a field */
	Buf unchanged;    /* the row's lists, open ones; empty: no list */
	Buf withheld;
	Buf jsonnull;
	CsvPart *part; /* NULL before the first row in parts */
};

/*
 * Fields.  Each but the first of a record brings its comma.
 */
void csv_put_null(Buf *out);

/* Inside of a field with quotes, any piece of it. */
void csv_add_text(const FormatTable *t, Buf *out, const uint8_t *p, size_t n);
void csv_put_text(const FormatTable *t, Buf *out, Slice s);
void csv_put_text_or_null(const FormatTable *t, Buf *out, Slice s);

/* What a bytea's digits begin with. */
void csv_add_hex_prefix(const FormatTable *t, Buf *out);

/* A column; what is no value is NULL. */
void csv_put_column(const FormatTable *t, Buf *out, int i, const ColView *v);

/* The object's header, once, and the fields up to "_reason". */
void csv_put_meta(FormatWriter *w, const Change *change, Slice partial,
				  Buf *out);

/* A column's name into an open list: ["a","b" */
void csv_list_name(Buf *list, const JsonColumn *c);

/* "_unchanged" and what follows up to the table's columns. */
void csv_put_lists(FormatWriter *w, Buf *out);

/*
 * A row in parts (csv_part.c).
 */
CsvPart *csv_part_new(FormatWriter *w);
void csv_part_free(CsvPart *p);
size_t csv_part_memory(const CsvPart *p);
void csv_part_begin(CsvPart *p, const Change *change, Buf *out);
bool csv_part_item(CsvPart *p, const PartItem *item, Buf *out,
				   Err *err) MUST_CHECK;

/*
 * Reading (csv_read.c).
 */
FormatReader *csv_reader_open(const FormatSource *source);
bool csv_reader_next(FormatReader *r, Slice *out_line, bool *out_end,
					 Err *err) MUST_CHECK;
void csv_reader_done(FormatReader *r);

#endif
