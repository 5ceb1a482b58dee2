/*-------------------------------------------------------------------------
 * value_text.h
 *	  The text of stored values, as every format of text writes it
 *	  (doc/types.md).
 *
 * Numerics have fmt_numeric() (pgfmt.h); what is a blob on the wire is its own
 * text, but for bytea.
 * Threads: any.  Layer: codec.
 *-------------------------------------------------------------------------
 */
#ifndef VALUE_TEXT_H
#define VALUE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The value of a kind of fixed width (kind_width) at p: at most PGFMT_MAX
 * bytes, no terminator; returns how many.  *out_string: it is neither a
 * number nor true or false: dates and times, NaN, infinities, uuids.
 */
size_t value_text_fixed(char *out, uint8_t kind, const uint8_t *p,
						bool *out_string);

#endif
