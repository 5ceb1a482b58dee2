/*-------------------------------------------------------------------------
 * ddl_read.h
 *	  How an engine reads what the formats have (ddl_reader.c); for
 *	  ddl_source.c and ddl_hive.c, which write tables of files and a view on
 *them.
 *
 * Layer: cmd.
 *-------------------------------------------------------------------------
 */
#ifndef DDL_READ_H
#define DDL_READ_H

#include "cmd/ddl.h"
#include "cmd/ddl_view.h"

typedef struct Reader
{
	const char *types[DDL_CLASSES]; /* of Parquet's columns; of lists, of @ */
	const char *from_parquet[DDL_CLASSES]; /* % to raw; NULL: it is that */
	const char *from_csv[DDL_CLASSES];     /* from a text; NULL: it is that */
	const char *text;
	const char *names; /* a list of names, in Parquet, and … */
	const char *from_names;
	const char *csv_list; /* from the text of a JSON array to such */
	const char *json;     /* from a text to "json"; NULL: it is that */
	const char *withheld; /* type, in Parquet, and … */
	const char *from_withheld;
	const char *chr;      /* the function that makes a character of a number */
	const char *int8;     /* in a cast */
	bool text_is_null;    /* \N is a text, which NULLIF has to take away */
	bool slash_by_number; /* a literal has none that is sure to stay */
	bool by_run;          /* it reads whole folders: a table a run */
} Reader;

/* One source, or run, as it is read and written about. */
typedef struct Reading
{
	const DdlJob *job;
	const Reader *reader;
	DdlForm form;
	const DdlField *fields;
	int n;
	View view; /* for conditions on versions */
} Reading;

const Reader *ddl_reader_of(const DdlEngine *engine);

/* The type of a field in files of that form. */
void ddl_file_type(const Reading *r, const DdlField *f);

/* Columns of CSV, c0 and so on. */
int ddl_csv_columns(const DdlTable *t);

/* "_files", "_files2", …; the caller frees it. */
char *ddl_part_suffix(int number);

/* The table of a run, and of a source (ddl_hive.c, ddl_snowflake.c). */
void ddl_create_run(const Reading *r, const DdlRun *run, const char *suffix);
void ddl_create_snowflake_files(const Reading *r, const DdlSource *s,
								const char *suffix);

/* The keys of partitions, as further columns of a select of "t". */
void ddl_put_run_keys(const DdlJob *job, const DdlRun *run);

#endif
