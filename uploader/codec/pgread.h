/*-------------------------------------------------------------------------
 * pgread.h
 *	  Texts of pgfmt.h back to stored values, as they are on the wire.
 *
 * Each takes exactly what pgfmt.h writes; false where it is something else.
 * Threads: any.  Layer: codec.
 *-------------------------------------------------------------------------
 */
#ifndef PGREAD_H
#define PGREAD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

/* A value of fixed width (kind_width), to at most 16 bytes at out. */
bool read_fixed(uint8_t kind, Slice text, uint8_t *out)
	__attribute__((warn_unused_result));

/* Appends the stored form of a numeric. */
bool read_numeric(Slice text, Buf *out) __attribute__((warn_unused_result));

/* Of a timestamp, with or without its Z: microseconds since 2000-01-01. */
bool read_timestamp(Slice text, int64_t *out)
	__attribute__((warn_unused_result));

#endif
