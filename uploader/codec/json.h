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
 * Threads: a table is immutable and shared, a writer has one owner at a time.
 * Layer: codec.
 *-------------------------------------------------------------------------
 */
#ifndef JSON_H
#define JSON_H

#include "base/buf.h"
#include "base/lsn.h"
#include "codec/format.h"
#include "codec/schema.h"

typedef struct JsonTable JsonTable;

JsonTable *json_table_new(const Schema *schema, const FormatOptions *options);
void json_table_free(JsonTable *t);

/* Writes lines; the table is borrowed. */
typedef struct JsonWriter JsonWriter;

JsonWriter *json_writer_new(const JsonTable *t);
void json_writer_free(JsonWriter *w);

/*
 * Appends one line.  Up to ROW_WHOLE_MAX an array is one of JSON; a longer one
 * stands as PostgreSQL prints it, in a string; of values that are withheld, so
 * many bytes at most stand in a line.
 */
void json_write(JsonWriter *w, const Change *change, Buf *out);

/* The format "json" of format.h. */
extern const Format json_format;

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
