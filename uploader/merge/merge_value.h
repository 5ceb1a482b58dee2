/*-------------------------------------------------------------------------
 * merge_value.h
 *	  A value of a record line as a field of COPY's text format.
 *
 * The text is what PostgreSQL's input function takes for the same value:
 * digits are copied, ISO years before 1 become "BC", a JSON array becomes an
 * array literal, json and jsonb keep their text.
 * Threads: any.  Layer: merge.
 *-------------------------------------------------------------------------
 */
#ifndef MERGE_VALUE_H
#define MERGE_VALUE_H

#include "codec/jsonline.h"
#include "codec/schema.h"

/*
 * Appends the field without its separator; null_json: the value is the JSON
 * null, not SQL's NULL.  scratch is emptied and used.
 */
bool value_add_copy(Buf *out, const SchemaColumn *col, const JsonValue *v,
					bool null_json, Buf *scratch, Err *err) MUST_CHECK;

/* Appends bytes with COPY's escapes. */
void value_add_escaped(Buf *out, Slice s);

#endif
