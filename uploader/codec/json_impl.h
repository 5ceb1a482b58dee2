/*-------------------------------------------------------------------------
 * json_impl.h
 *	  What the writers of JSON lines share; for json*.c only.
 *
 * json_line.c writes a row that is there as a whole, json_part.c one that
 *arrives in parts, json_value.c the values of both: their lines have the same
 *bytes. Layer: codec.
 *-------------------------------------------------------------------------
 */
#ifndef JSON_IMPL_H
#define JSON_IMPL_H

#include "codec/json.h"

/* How a column's values are written. */
typedef enum JsonForm
{
	FORM_KIND,  /* as the kind says */
	FORM_JSON,  /* embedded */
	FORM_BOOLS, /* arrays */
	FORM_NUMBERS,
	FORM_STRINGS
} JsonForm;

typedef struct JsonColumn
{
	uint8_t kind;
	uint8_t form; /* JsonForm */
	bool key;
	bool numeric_string;
	const char *head; /* "name": with a comma before it */
	size_t head_n;
	size_t head_room; /* rounded up to a step, and head is as long */
} JsonColumn;

struct JsonTable
{
	int ncols;
	JsonColumn *cols;
	char *heads;
	bool raw_text;
	size_t whole_max;
	bool before_always; /* identity full without a primary key */
	bool before;
};

/* What all lines of one transaction share. */
typedef struct JsonTxn
{
	Lsn of_lsn;
	uint32_t of_xid;
	int64_t of_time;
	char lsn[32];  /* ,"_lsn":"…" */
	size_t lsn_n;  /* 0: nothing is there yet */
	char tail[80]; /* ,"_xid":…,"_ts":"…" */
	size_t tail_n;
} JsonTxn;

struct JsonWriter
{
	const JsonTable *table;
	JsonTxn txn;
	Buf scratch; /* an array while it is found out whether it is simple */
	/* of the row being written */
	int *withheld; /* columns, for the end of the line */
	int nwithheld;
	int *jsonnull; /* behind those, in the same memory */
	int njsonnull;
};

/* Inside of a string, a chunk at a time. */
void json_put_string(Buf *out, const uint8_t *p, size_t n);

/* bytea's digits, without prefix and quotes. */
void json_put_hex_digits(Buf *out, const uint8_t *p, size_t n);
void json_put_hex(Buf *out, const uint8_t *p, size_t n);

/* Embeds checked JSON, or a piece of it, as one line. */
void json_put_embedded(Buf *out, const uint8_t *p, size_t n);

/* A value as a whole. */
void json_put_value(JsonWriter *w, Buf *out, const JsonColumn *c,
					const ColView *v);

/* Length of the UTF-8 sequence at p, 0 where it is none (RFC 3629). */
size_t utf8_sequence(const uint8_t *p, size_t left);

/*
 * Parts of a line.  A column writes its comma; an object takes back that of
 * its first one.
 */
void json_put_meta(JsonWriter *w, const Change *change, Buf *out);
void json_put_names(const JsonWriter *w, Buf *out, const char *name,
					const int *cols, int n);
void json_put_unchanged(JsonWriter *w, Buf *out, const RowView *row);
void json_put_column(JsonWriter *w, Buf *out, int i, ColView *v);

/* A member of "_withheld"; *room: bytes that may still stand in the line. */
void json_put_one_withheld(const JsonColumn *c, const ColView *v, bool first,
						   size_t *room, Buf *out);

/* Which of the old rows stand in a record of this change. */
bool json_has_key(const JsonWriter *w, const Change *change);
bool json_has_before(const JsonWriter *w, const Change *change);

#endif
