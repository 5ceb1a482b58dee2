/*-------------------------------------------------------------------------
 * json_part.h
 *	  A row that arrives in parts (framepart.h) to a line of the lake.
 *
 * The line has the bytes that json_write() would have made of the whole row,
 * with one exception: text of a SQL_ASCII server that is longer than
 * ROW_WHOLE_MAX and turns out not to be UTF-8 stands there with U+FFFD for
 * what is none, and is named in "_withheld" too.
 *
 * Memory: what the caller leaves in "out" between two items, and a key.
 * Threads: one owner at a time.  Layer: codec.
 *-------------------------------------------------------------------------
 */
#ifndef JSON_PART_H
#define JSON_PART_H

#include "codec/framepart.h"
#include "codec/json.h"

typedef struct JsonPart JsonPart;

JsonPart *json_part_new(void);
void json_part_free(JsonPart *p);

/* Held now: a key, and what is withheld, until the row ends. */
size_t json_part_memory(const JsonPart *p);

/*
 * Begins a line; the change comes without rows.  The writer is borrowed
 * until its end, and writes no other line meanwhile.
 */
void json_part_begin(JsonPart *p, JsonWriter *w, const Change *change,
					 Buf *out);

/*
 * Appends what the item brings, from PART_ROW_OLD or PART_ROW_NEW on;
 * PART_DONE ends the line.  The caller may take away what is in out between
 * two calls.  ERR_LIMIT: a key that is longer than any index takes.
 */
bool json_part_item(JsonPart *p, const PartItem *item, Buf *out,
					Err *err) MUST_CHECK;

#endif
