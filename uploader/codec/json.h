/*-------------------------------------------------------------------------
 * json.h
 *	  Rows to the lake's JSON lines (doc/lake.md, doc/types.md).
 *
 *	{"_op":"u","_lsn":"0000000016B374D8","_seq":3,"_xid":712,
 *	 "_ts":"2026-11-21T08:14:07.123456Z","order_id":7,"price":89.20,…}
 *
 * All that depends on the table alone is worked out once, in a JsonTable; a
 * transaction's share of each line once a transaction.  Writing a row
 * allocates nothing but the growth of the output.
 * Threads: one owner at a time.  Layer: codec.
 *-------------------------------------------------------------------------
 */
#ifndef JSON_H
#define JSON_H

#include "base/buf.h"
#include "base/lsn.h"
#include "codec/row.h"
#include "codec/schema.h"

typedef enum JsonNumeric
{
	JSON_NUMERIC_NUMBER,
	JSON_NUMERIC_STRING,
	JSON_NUMERIC_AUTO /* string where over 15 digits are declared, or none */
} JsonNumeric;

typedef struct JsonOptions
{
	JsonNumeric numeric;
	bool before;      /* write the old row where it is at hand */
	bool raw_text;    /* the server is SQL_ASCII: text may not be UTF-8 */
	size_t whole_max; /* 0: JSON_WHOLE_MAX; a test may take less */
} JsonOptions;

typedef struct JsonTable JsonTable;

JsonTable *json_table_new(const Schema *schema, const JsonOptions *options);
void json_table_free(JsonTable *t);

/* What all lines of one transaction share. */
typedef struct JsonTxn
{
	char lsn[32]; /* ,"_lsn":"…" */
	size_t lsn_n;
	char tail[80]; /* ,"_xid":…,"_ts":"…" */
	size_t tail_n;
} JsonTxn;

/* time: microseconds since 2000-01-01; xid 0: leave it out (a load). */
void json_txn_set(JsonTxn *txn, Lsn lsn, uint32_t xid, int64_t time);

/* A partition that was emptied without its root. */
typedef struct JsonPartial
{
	const char *schema;
	const char *table;
	Slice bound; /* the condition its rows fulfil, as SQL; empty: not known */
} JsonPartial;

typedef struct JsonChange
{
	char op; /* 'r', 'i', 'u', 'd', 't', 's' */
	int64_t seq;
	bool key_changed;           /* old_row has another key */
	bool no_identity;           /* nobody can tell which row it was */
	const JsonPartial *partial; /* truncate: of these partitions only */
	int npartial;
	const char *reason; /* resync: why; a plain word */
	const RowView *row; /* new row, or of a delete the old one; or NULL */
	const RowView *old; /* of an update, or NULL */
} JsonChange;

/*
 * Values up to this size are written as a whole.  A longer array stands as
 * PostgreSQL prints it, in a string; of values that are withheld, so many
 * bytes at most stand in a line.
 */
#define JSON_WHOLE_MAX ((size_t) 1 << 20)

/* Appends one line. */
void json_write(JsonTable *t, const JsonTxn *txn, const JsonChange *change,
				Buf *out);

/* Appends s as the inside of a JSON string. */
void json_add_escaped(Buf *out, const uint8_t *p, size_t n);

/* True where the bytes are UTF-8 without surrogates. */
bool utf8_valid(const uint8_t *p, size_t n);

/*
 * True where the names of a table and its columns can stand in JSON.  Those
 * of a SQL_ASCII server may be anything, and a log with such bytes could
 * never be read again.
 */
bool json_names_valid(const Schema *s);

#endif
