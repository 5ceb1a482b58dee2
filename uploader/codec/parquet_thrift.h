/*-------------------------------------------------------------------------
 * parquet_thrift.h
 *	  Thrift's compact protocol, as far as Parquet's metadata needs it
 *	  (thrift/doc/specs/thrift-compact-protocol.md of Apache Thrift).
 *
 * Writing cannot fail but by the buffer's overflow.  A reader is a value over
 * borrowed bytes: after the first damage each call says ERR_DATA, nothing is
 * read behind the end, and structures nest THRIFT_DEPTH deep at most.
 * Layer: codec.
 *-------------------------------------------------------------------------
 */
#ifndef PARQUET_THRIFT_H
#define PARQUET_THRIFT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

#define THRIFT_DEPTH 16

typedef enum ThriftType
{
	THRIFT_STOP = 0,
	THRIFT_TRUE = 1,
	THRIFT_FALSE = 2,
	THRIFT_BYTE = 3,
	THRIFT_I16 = 4,
	THRIFT_I32 = 5,
	THRIFT_I64 = 6,
	THRIFT_DOUBLE = 7,
	THRIFT_BINARY = 8,
	THRIFT_LIST = 9,
	THRIFT_SET = 10,
	THRIFT_MAP = 11,
	THRIFT_STRUCT = 12
} ThriftType;

/* Writes; the fields of a structure in ascending order of their ids. */
typedef struct ThriftOut
{
	Buf *out;
	int depth;
	int16_t last[THRIFT_DEPTH]; /* field id of each open structure */
} ThriftOut;

void thrift_out(ThriftOut *t, Buf *out); /* in an open structure */
void thrift_stop(ThriftOut *t);          /* ends the innermost one */

void thrift_bool(ThriftOut *t, int id, bool v);
void thrift_i32(ThriftOut *t, int id, int32_t v); /* also enums */
void thrift_i64(ThriftOut *t, int id, int64_t v);
void thrift_binary(ThriftOut *t, int id, const void *p, size_t n);
void thrift_string(ThriftOut *t, int id, const char *s);
void thrift_struct(ThriftOut *t, int id); /* opens it */
void thrift_list(ThriftOut *t, int id, ThriftType type, size_t n);

/* Items of a list: n of them follow thrift_list(). */
void thrift_item_i32(ThriftOut *t, int32_t v);
void thrift_item_i64(ThriftOut *t, int64_t v);
void thrift_item_bool(ThriftOut *t, bool v);
void thrift_item_binary(ThriftOut *t, const void *p, size_t n);
void thrift_item_struct(ThriftOut *t); /* opens it */

/* Reads. */
typedef struct ThriftIn
{
	const uint8_t *start;
	const uint8_t *p;
	const uint8_t *end;
	int depth;
	int16_t last[THRIFT_DEPTH];
} ThriftIn;

/* The bytes are a structure, and may go on behind it. */
void thrift_in(ThriftIn *t, Slice bytes);

/* The next field; THRIFT_STOP: the structure has ended. */
bool thrift_field(ThriftIn *t, int *out_id, ThriftType *out_type,
				  Err *err) MUST_CHECK;

/* Its value; "type" is what the field said. */
bool thrift_read_bool(ThriftIn *t, ThriftType type, bool *out,
					  Err *err) MUST_CHECK;
bool thrift_read_i32(ThriftIn *t, ThriftType type, int32_t *out,
					 Err *err) MUST_CHECK;
bool thrift_read_i64(ThriftIn *t, ThriftType type, int64_t *out,
					 Err *err) MUST_CHECK;
bool thrift_read_binary(ThriftIn *t, ThriftType type, Slice *out,
						Err *err) MUST_CHECK;

/* Enters a structure: its fields come next. */
bool thrift_read_struct(ThriftIn *t, ThriftType type, Err *err) MUST_CHECK;

/*
 * A list's head.  Each item takes a byte at least, so that *out_n is never
 * more than the bytes that are left.
 */
bool thrift_read_list(ThriftIn *t, ThriftType type, ThriftType *out_item,
					  size_t *out_n, Err *err) MUST_CHECK;
bool thrift_skip(ThriftIn *t, ThriftType type, Err *err) MUST_CHECK;

/* Bytes that were read. */
static inline size_t
thrift_used(const ThriftIn *t)
{
	return (size_t) (t->p - t->start);
}

#endif
