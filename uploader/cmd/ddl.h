/*-------------------------------------------------------------------------
 * ddl.h
 *	  What the parts of "ddl" share: a table as the log knows it (ddl_log.c),
 *	  the engines (ddl_engine.c), and what is written for one of them
 *	  (ddl_table.c, ddl_hive.c, ddl_duckdb.c, ddl_source.c; ddl_value.c,
 *	  ddl_view.c).
 *
 * Layer: cmd.
 *-------------------------------------------------------------------------
 */
#ifndef DDL_H
#define DDL_H

#include "base/buf.h"
#include "base/lsn.h"
#include "codec/schema.h"
#include "store/store.h"

#define DDL_NAME_MAX ((size_t) 1 << 20) /* of a name, a path, an expression */

#define DDL_KEY_MAX 72 /* a name has at most 63 bytes */

/* Redshift has external tables in a schema of their own. */
#define DDL_REDSHIFT_SUFFIX "_lake"

/* From this change on the table had that schema. */
typedef struct DdlVersion
{
	Lsn lsn;
	int64_t seq;
	char hash[SCHEMA_HASH_LEN + 1];
	Schema *schema; /* owned; read once the log is through */
} DdlVersion;

/* Rows of these partitions went, and no others. */
typedef struct DdlTruncate
{
	Lsn lsn;
	int64_t seq;
	char *bound; /* owned; SQL on the source's names; NULL: not to be said */
} DdlTruncate;

/* How finely the folders of a table are cut. */
typedef enum DdlFolders
{
	DDL_NO_FOLDERS,
	DDL_BY_DAY,
	DDL_BY_HOUR
} DdlFolders;

/* Objects of one format and compression in folders of one kind. */
typedef struct DdlSource
{
	char *glob;   /* "public/orders/year=????/", relative to the lake */
	char *suffix; /* ".json.zst" */
} DdlSource;

/* What a suffix says of the objects. */
typedef enum DdlForm
{
	DDL_FORM_JSON,
	DDL_FORM_CSV,
	DDL_FORM_PARQUET,
	DDL_FORM_OTHER
} DdlForm;

/*
 * Folders that follow one another, all with objects of one format: for engines
 * that read a folder with all that is in it.  "form" is path_add_form()'s,
 * and a folder's number counts its finest time (ddl_run.c).
 */
typedef struct DdlRun
{
	char *form;
	bool own; /* what stands before its times is this table's alone */
	DdlForm format;
	int64_t first;
	int64_t last;
} DdlRun;

typedef struct DdlTable
{
	char *schema;
	char *table;
	uint32_t relation_id;
	uint32_t row_type;
	DdlVersion *versions; /* in their order, equal neighbours once */
	int nversions;

	/* Where today's table has its name from. */
	Lsn begin_lsn;
	int64_t begin_seq;

	/* Where the rows of today's table begin: at this change, or, where it
	 * was loaded, with the load's rows and behind its point. */
	Lsn start_lsn;
	int64_t start_seq;
	bool created; /* it was empty there */
	bool loaded;
	Lsn load_lsn;
	Lsn *loads; /* the points of all loads that are done */
	int nloads;
	int loads_open;
	int64_t start_entry; /* which says so */
	Lsn lacks; /* an output has nothing of it up to here; 0: it has all */
	bool gone; /* dropped, or it has another name now */
	bool left; /* not streamed any more */
	Lsn left_lsn;
	char *renamed_from; /* the folder of its earlier rows; or NULL */
	Lsn renamed_lsn;

	/* Of the objects that are listed. */
	DdlSource *sources; /* of objects whose folders a layout of the log has */
	int nsources;
	bool unplaced; /* there are others */
	DdlRun *runs;  /* of those, by form, and within it by number */
	int nruns;
	int64_t objects;
	char *suffix;   /* of the last one: ".json.zst"; or NULL */
	bool mixed;     /* not all have it */
	bool elsewhere; /* some lie in other folders: output.path */
	bool other;     /* some are of a format that ddl does not know */
	DdlFolders folders;

	DdlTruncate *truncates; /* those that were looked for */
	int ntruncates;
} DdlTable;

typedef struct DdlTables
{
	int n;
	DdlTable *items;
	int64_t entry; /* the last one that was read */
	bool escaped;  /* csv may be of output.csv_newlines = escape */
	bool dms;      /* csv may be of output.shape = dms */
	bool exact;    /* parquet may be of output.parquet_types = exact */
	bool zoned;    /* folders may be of another time zone than UTC */
} DdlTables;

/* Of which output, and where. */
typedef struct DdlFrom
{
	Store *log;         /* the lake's */
	Store *store;       /* of the objects */
	const char *output; /* a further one's name; NULL: the lake itself */
	const char *wanted; /* patterns; NULL: all */
	bool truncates;
} DdlFrom;

/*
 * Reads the whole commit log, the schema files of the tables that are wanted,
 * and, where it is to look for truncates of single partitions, their objects.
 * Tables that are gone are left out, and those that the output has not.
 * ddl_tables_done() also after a failure.
 */
bool ddl_read(const DdlFrom *from, DdlTables *out, Err *err) MUST_CHECK;
void ddl_tables_done(DdlTables *t);

/* The schema in force. */
static inline const Schema *
ddl_schema(const DdlTable *t)
{
	return t->versions[t->nversions - 1].schema;
}

/* The first version that rows of today's table may have. */
int ddl_first_version(const DdlTable *t);

/* ---- types and engines ---- */

/* What a column's values are to an engine. */
typedef enum DdlClass
{
	DDL_BOOL,
	DDL_INT2,
	DDL_INT4,
	DDL_INT8,
	DDL_FLOAT4,
	DDL_FLOAT8,
	DDL_DECIMAL, /* numeric(p,s), 0 <= s <= p <= 38 */
	DDL_NUMERIC, /* any other numeric */
	DDL_DATE,
	DDL_TIME,
	DDL_TIMESTAMP,
	DDL_TIMESTAMPTZ,
	DDL_UUID,
	DDL_BYTEA,
	DDL_JSON,
	DDL_ARRAY, /* of numbers, booleans or text: a list, or text */
	DDL_TEXT,  /* all others */
	DDL_CLASSES
} DdlClass;

/*
 * A class in an engine.  "raw" is the type of what a reader of the format
 * gives without ever failing on a value; "cast" makes the right type of it:
 * % is the value, # precision and scale, @ the element's type.  NULL: raw is
 * right.
 */
typedef struct DdlType
{
	const char *raw;
	const char *cast;
	const char *sql; /* raw, as a query calls it; NULL: the same */
} DdlType;

typedef struct DdlEngine DdlEngine;

/* What a statement is made of. */
typedef struct DdlJob
{
	const DdlEngine *engine;
	const DdlTable *table;
	const char *url;       /* of the store, without a slash at the end */
	const char *format;    /* of the objects: "json" */
	bool truncates;        /* they were looked for */
	bool escaped;          /* as of DdlTables */
	bool zoned;            /* likewise */
	bool one_key;          /* partitions are one key, not four */
	char key[DDL_KEY_MAX]; /* its name: "dh", with underscores where a
							* column has that name */
	Buf *out;
} DdlJob;

struct DdlEngine
{
	const char *name;
	const char *format; /* the row is for objects of this format */
	DdlType types[DDL_CLASSES];
	const char *text; /* type of a text */
	const char *list; /* type of a list of texts */
	const char *json; /* type of "_key", "_before" … */

	char quote;     /* of names */
	bool backslash; /* a literal's escape is \, else '' */
	bool typed;     /* what create() makes has the right types already */
	bool colons;    /* value::type is a cast */
	bool recursive; /* WITH RECURSIVE, in views, and well */
	int back; /* if not: so many key changes back a view looks; each reads the
			   * table anew, and Trino allows a query 150 stages */
	bool has_schema;      /* CREATE SCHEMA IF NOT EXISTS works there */
	bool pointer;         /* a member's $ is a JSON pointer, else its name */
	bool json_path;       /* the same: a path $["name"] */
	const char *respect;  /* what first_value needs to see NULLs, or "" */
	const char *contains; /* % the list, $ the text: a condition */
	const char *member;   /* % the object, $ the name: a text, or @ a type */
	const char *if_not_exists;
	const char *view;     /* between the view's name and its query */
	const char *view_end; /* behind it */

	void (*create)(const DdlJob *job);
};

/* By name; NULL: there is none. */
const DdlEngine *ddl_engine_find(const char *name, const char *format);
const DdlEngine *ddl_engine_at(int i); /* NULL behind the last */

DdlClass ddl_class(const SchemaColumn *c);

/* Of a DDL_ARRAY: a column of the type of its elements, as Parquet has them. */
void ddl_element(const SchemaColumn *c, SchemaColumn *out);

DdlForm ddl_form(const char *suffix);

/* ---- pieces of SQL, appended ---- */

void ddl_name(const DdlJob *job, const char *name);
void ddl_text(const DdlJob *job, const char *text); /* a literal */
void ddl_table_name(const DdlJob *job, const char *suffix);

/* A table of files, which lies outside in Redshift. */
void ddl_files_name(const DdlJob *job, const char *suffix);

/* The table of create(), as the views name it. */
void ddl_source_name(const DdlJob *job);

/* A line of its own. */
void ddl_comment(const DdlJob *job, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* The type that the table of create() gives a column. */
void ddl_raw_type(const DdlJob *job, const SchemaColumn *c);

/* "value", an expression of type raw, as the right type. */
void ddl_cast(const DdlJob *job, const SchemaColumn *c, const char *value);

/* Fills %, $, # and @ of a template. */
typedef struct DdlFill
{
	const char *value; /* % */
	const char *text;  /* $: as a literal */
	const char *type;  /* @ */
	int precision;     /* # */
	int scale;
} DdlFill;

void ddl_fill(const DdlJob *job, const char *pattern, const DdlFill *fill);

/* The same with a column's # and @. */
void ddl_fill_column(const DdlJob *job, const char *pattern,
					 const SchemaColumn *c);

/* ---- statements ---- */

/* A column of the table of create(). */
typedef struct DdlField
{
	const char *name;
	const SchemaColumn *column; /* NULL: of the record */
	const char *type;           /* of the record's; else by column */
	bool conflict;              /* versions differ in its type: it is a text */
} DdlField;

/*
 * All fields, those of the record first; the caller frees the array.  Columns
 * are those of the schema in force, and names that they had before.
 */
DdlField *ddl_fields(const DdlJob *job, int *out_n);

/* Sets job->key. */
void ddl_choose_key(DdlJob *job);

/* The type of a field, as SQL. */
void ddl_field_type(const DdlJob *job, const DdlField *f);

/* "s3://bucket/prefix", likewise. */
void ddl_put_url(const DdlJob *job, const char *scheme);

/* "s3://bucket/prefix/public/orders" with what the engine wants before it. */
void ddl_location(const DdlJob *job, const char *scheme);

/* "s3://bucket/prefix/public/orders/year=????/…" with "*" and the suffix. */
void ddl_put_files(const DdlJob *job, const DdlSource *s, const char *scheme);

/*
 * All that the table has are JSON objects in the default folders; for an engine
 * that reads whole folders, in folders of one kind.
 */
bool ddl_is_plain(const DdlJob *job);

/* What is not, as a view on tables of files, or on functions that read them
 * (ddl_source.c). */
void ddl_create_sources(const DdlJob *job);

/* ---- folders and runs (ddl_run.c) ---- */

/* Takes a folder of this form, "public/orders/year=2026/", into the runs. */
void ddl_add_run(DdlTable *t, const char *form, bool own, DdlForm format,
				 const char *folder);
void ddl_runs_done(DdlTable *t);

/* The finest time of a form. */
typedef enum DdlUnit
{
	DDL_NO_UNIT,
	DDL_YEARS,
	DDL_MONTHS,
	DDL_DAYS,
	DDL_HOURS,
	DDL_MINUTES
} DdlUnit;

DdlUnit ddl_unit(const char *form);
const char *ddl_unit_name(DdlUnit unit);

/* Where the segment begins that has the first time; else its end. */
size_t ddl_form_base(const char *form);

/* How a time of a form is called, written, and read by Java. */
typedef struct DdlTime
{
	const char *text; /* "{yyyy}" */
	const char *java; /* "yyyy" */
	const char *key;  /* "year" */
	const char *glob; /* "????" */
	const char *range;
	DdlUnit unit;
} DdlTime;

/* The time that stands here, or NULL. */
const DdlTime *ddl_time_at(const char *p);

/* The part of the folder of that number behind the base, without a slash at
 * the end; the caller frees it. */
char *ddl_folder_of(const char *form, int64_t number);

/* The year in which the run's range begins; the caller frees it. */
char *ddl_first_year(const DdlTable *t, const DdlRun *run);

/* What stands behind the base, as Java's date formats write it. */
char *ddl_java_format(const char *form);

/*
 * What a table of the run reads: the first of a form from a day before its
 * first object on, since a commit that is late may go to an older folder that
 * is open; up to the next run of the form, or, where that is false, for ever.
 */
int64_t ddl_run_begin(const DdlTable *t, const DdlRun *run);
bool ddl_run_end(const DdlTable *t, const DdlRun *run, int64_t *out);

void ddl_create_duckdb(const DdlJob *job);
void ddl_create_hive(const DdlJob *job); /* athena */
void ddl_create_trino(const DdlJob *job);
void ddl_create_spark(const DdlJob *job);
void ddl_create_clickhouse(const DdlJob *job);
void ddl_create_snowflake(const DdlJob *job);
void ddl_create_redshift(const DdlJob *job);
void ddl_create_glue(const DdlJob *job); /* JSON, not SQL */

/* Views over the table of create(): each change once, and the rows of now. */
void ddl_view_changes(const DdlJob *job);
void ddl_view_latest(const DdlJob *job);

#endif
