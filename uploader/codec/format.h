/*-------------------------------------------------------------------------
 * format.h
 *	  The forms in which changes stand in the lake's objects.
 *
 * A format is one file that fills a Format, and a row in formats.c's table.
 * doc/architecture.md shows how one is added.
 *
 *	  table = f->table_new(schema, options)	 once for a version of a table
 *	  w = f->begin(table)					 once for an object
 *	  f->add(w, change, out)				 for each change, or, where a row
 *											 arrives in parts: add_head, and
 *											 add_item for each item
 *	  f->end(w, out); f->close(w)
 *
 * What is in "out" after a call is the object's next bytes; the caller takes
 * them away when it likes.  Equal changes give equal bytes.
 *
 * A reader yields each change as one record line (doc/lake.md), the bytes that
 * the json format writes for it, so that merge and replay know one form only.
 *
 * Threads: a FormatTable is immutable and shared by threads; a writer and a
 * reader have one owner at a time, any thread.
 * Memory: a writer's is told by memory(), and bounded by what doc/lake.md says
 * of its format, not by the object.
 * Errors: ERR_LIMIT where a change is longer than the format can hold; reading:
 * ERR_DATA.  Layer: codec.
 *-------------------------------------------------------------------------
 */
#ifndef FORMAT_H
#define FORMAT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"
#include "codec/change.h"
#include "codec/compress.h"
#include "codec/framepart.h"
#include "codec/schema.h"

typedef enum FormatNumeric
{
	NUMERIC_NUMBER,
	NUMERIC_STRING,
	NUMERIC_AUTO /* string where over 15 digits are declared, or none */
} FormatNumeric;

typedef struct FormatOptions
{
	FormatNumeric numeric;
	bool before;      /* write the old row where it is at hand */
	bool raw_text;    /* the server is SQL_ASCII: text may not be UTF-8 */
	size_t whole_max; /* 0: ROW_WHOLE_MAX; a test may take less */
	bool csv_escape;  /* csv: no line ends within fields, for readers that
					   * know no quoted ones (csv.h) */
	const char *dms;  /* csv-dms: its form (csv_dms.h); lives as long as the
					   * options' user */
	Compression compression; /* for a format that compresses by itself */
	int level;               /* of that; 0: the default */
	bool parquet_ms;         /* Parquet's timestamps in milliseconds */
	bool parquet_exact;      /* types that not all readers of Parquet know */
} FormatOptions;

/* What ends a group of rows, in formats that have such. */
typedef enum GroupEnd
{
	GROUP_FULL,   /* as many values as one holds */
	GROUP_OBJECT, /* the object's end */
	GROUP_MEMORY, /* shrink() */
	GROUP_ROW,    /* a row in parts, which is one by itself, is or was next */
	GROUP_ENDS
} GroupEnd;

#define GROUP_SMALL_BYTES ((uint64_t) 1 << 20) /* of values */

/* How many there are in an object, and how many of these are small. */
typedef struct FormatGroups
{
	int64_t all[GROUP_ENDS];
	int64_t small[GROUP_ENDS];
} FormatGroups;

typedef struct FormatTable FormatTable;
typedef struct FormatWriter FormatWriter;
typedef struct FormatReader FormatReader;

/* What a reader reads: a whole object in memory, borrowed until its close. */
typedef struct FormatSource
{
	Slice object;
	Compression compression; /* around all of it; from its key */
	size_t max_line;         /* of a record line */
	const Schema *schema;    /* that its entry names; NULL for a format that
							  * does not need one */
} FormatSource;

typedef struct Format
{
	const char *name;   /* "json": the setting's value */
	const char *suffix; /* ".json": of an object's key, before that of its
						 * compression */
	bool compresses;    /* its bytes are compressed by itself, as the options
						 * say; nothing else compresses them */
	bool reads_schema;  /* its reader needs the schema */

	FormatTable *(*table_new)(const Schema *schema,
							  const FormatOptions *options);
	void (*table_free)(FormatTable *t);

	/* Makes no bytes; table is borrowed until close(). */
	FormatWriter *(*begin)(const FormatTable *t);
	bool (*add)(FormatWriter *w, const Change *change, Buf *out,
				Err *err) MUST_CHECK;

	/* A row in parts: the change without its rows, then each item from
	 * PART_ROW_OLD or PART_ROW_NEW on; PART_DONE ends it. */
	bool (*add_head)(FormatWriter *w, const Change *change, Buf *out,
					 Err *err) MUST_CHECK;
	bool (*add_item)(FormatWriter *w, const PartItem *item, Buf *out,
					 Err *err) MUST_CHECK;

	/* The object's last bytes. */
	bool (*end)(FormatWriter *w, Buf *out, Err *err) MUST_CHECK;
	size_t (*memory)(const FormatWriter *w); /* held now */

	/* Writes out what is held only to be written together (a row group), for
	 * memory's sake; NULL: there is no such thing.  Not in a row in parts. */
	bool (*shrink)(FormatWriter *w, Buf *out, Err *err) MUST_CHECK;

	/* For a format that has shrink: bytes of the object's values so far, before
	 * compression, and of those that shrink() would write; its groups. */
	uint64_t (*plain)(const FormatWriter *w);
	uint64_t (*waiting)(const FormatWriter *w);
	const FormatGroups *(*groups)(const FormatWriter *w);
	void (*close)(FormatWriter *w); /* NULL is fine */

	FormatReader *(*open)(const FormatSource *source);
	/* The next record without line feed, valid until the next call; *out_end:
	 * there is none. */
	bool (*next)(FormatReader *r, Slice *out_line, bool *out_end,
				 Err *err) MUST_CHECK;
	void (*done)(FormatReader *r); /* NULL is fine */
} Format;

/* By the setting's value; NULL: there is none of that name. */
const Format *format_find(const char *name);

/* By an object's key; NULL: none has its suffix. */
const Format *format_of_key(const char *key);

/* The error of who reads an object of which format_of_key() knows none. */
bool format_unknown(const char *key, Err *err);

/* All, in their order; NULL behind the last. */
const Format *format_at(int i);

#endif
