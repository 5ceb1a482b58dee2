/*-------------------------------------------------------------------------
 * jsonline.h
 *	  Reads the record lines of the lake: one JSON object a line, values as
 *	  they stand in the text, no number ever made a double.
 *
 * A cursor walks the members of one object or the items of one array.
 * Nested values are skipped and given as a slice of their text, which a
 * second cursor may walk.  What is skipped is only balanced, not proved:
 * such text goes to PostgreSQL, which reads it itself.
 *
 * All slices point into the text that was opened and live as long as it.
 * Errors: ERR_DATA.  Threads: a cursor is a value; no state besides.
 * Layer: codec.
 *-------------------------------------------------------------------------
 */
#ifndef JSONLINE_H
#define JSONLINE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/lsn.h"

typedef enum JsonKind
{
	JSON_NULL,
	JSON_FALSE,
	JSON_TRUE,
	JSON_NUMBER,
	JSON_STRING,
	JSON_ARRAY,
	JSON_OBJECT
} JsonKind;

typedef struct JsonValue
{
	JsonKind kind;
	bool escaped; /* a string that holds a backslash */
	Slice text;   /* all of it, a string with its quotes */
	Slice raw;    /* and the space around it, which a json value may have */
} JsonValue;

typedef struct JsonMember
{
	bool escaped; /* the name holds a backslash */
	Slice name;   /* without quotes, as it stands */
	JsonValue value;
} JsonMember;

typedef struct JsonCursor
{
	const uint8_t *start;
	const uint8_t *p;
	const uint8_t *end;
	uint8_t close; /* '}' or ']' */
	bool first;
	bool done; /* behind the closing bracket */
} JsonCursor;

/* text is one object (or array) with nothing behind it but space. */
bool json_open_object(JsonCursor *c, Slice text, Err *err) MUST_CHECK;
bool json_open_array(JsonCursor *c, Slice text, Err *err) MUST_CHECK;

/*
 * The next member (item).  At the end c->done is set, and *out is untouched;
 * text behind the end is an error.
 */
bool json_next_member(JsonCursor *c, JsonMember *out, Err *err) MUST_CHECK;
bool json_next_item(JsonCursor *c, JsonValue *out, Err *err) MUST_CHECK;

/*
 * The value of the next member, if that begins with these bytes, which are its
 * comma, name and colon; else *is becomes false and nothing is taken.
 */
bool json_next_named(JsonCursor *c, Slice head, JsonValue *out, bool *is,
					 Err *err) MUST_CHECK;

/* What stands between the quotes of a string value, still escaped. */
static inline Slice
json_inner(const JsonValue *v)
{
	return (Slice){ v->text.p + 1, v->text.n - 2 };
}

/* text is one value, and at most space around it. */
bool json_read_value(Slice text, JsonValue *out, Err *err) MUST_CHECK;

/*
 * Appends the characters that an escaped string stands for, as UTF-8.  A
 * lone surrogate or unknown escape is ERR_DATA; \u0000 becomes a zero byte.
 */
bool json_unescape(Slice inner, Buf *out, Err *err) MUST_CHECK;

/* True where the name or string, unescaped, equals s (a C string). */
bool json_equals(Slice inner, bool escaped, const char *s);

/* A whole number of at most 18 digits. */
bool json_int64(const JsonValue *v, int64_t *out);

/* The position of a record line: its _lsn and _seq, which stand in front. */
bool jsonline_place(Slice line, Lsn *out_lsn, int64_t *out_seq,
					Err *err) MUST_CHECK;

/*
 * Is it the delete of an old key, whose row goes on in the next record?
 * *out_seq: the text of its _seq, in the line.
 */
bool jsonline_moved(Slice line, Slice *out_seq);

#endif
