/*-------------------------------------------------------------------------
 * parquet_value.h
 *	  Values of the wire as Parquet's PLAIN bytes (doc/parquet.md), and back.
 *
 * What a Parquet type cannot hold is told so, and stands in "_exact" instead.
 * Layer: codec.
 *-------------------------------------------------------------------------
 */
#ifndef PARQUET_VALUE_H
#define PARQUET_VALUE_H

#include "codec/parquet_type.h"
#include "codec/pgfmt.h"

/* Room for a value that is made: text of a fixed kind, or a decimal. */
#define PARQUET_ROOM PGFMT_MAX

/*
 * The value's bytes: the view's own, or in room, or (text of a numeric) in
 * text, which is emptied.  False: its type does not hold it.  *out_cut: it
 * holds it with fewer digits, so that it stands in "_exact" too.
 */
bool parquet_value(const ParquetLeaf *leaf, const ColView *v,
				   uint8_t room[PARQUET_ROOM], Buf *text, Slice *out,
				   bool *out_cut);

/*
 * An array literal's elements to out, each as: one byte 1 and a uint32 length
 * and the bytes of its value, or one byte 0 where it is NULL; *out_n of them.
 * False where a list does not hold the array; out is to be forgotten.
 */
bool parquet_array(const ParquetLeaf *leaf, Slice literal, Buf *out,
				   size_t *out_n);

/* Appends what stands in "_exact": the text that the json format writes. */
void parquet_exact_text(uint8_t kind, const ColView *v, Buf *out);

/*
 * Back: the wire's bytes of a fixed kind, for forms but PARQUET_NUMERIC_TEXT
 * and PARQUET_FIXED_TEXT; returns how many.
 */
size_t parquet_to_wire(const ParquetLeaf *leaf, Slice value,
					   uint8_t room[PARQUET_ROOM]);

/* A decimal's text; at most PARQUET_ROOM bytes. */
size_t parquet_decimal_text(const ParquetLeaf *leaf, Slice value, char *out);

/* Appends a list's element as it stands in an array literal. */
void parquet_put_element(const ParquetLeaf *leaf, Slice value, Buf *out);

/* A buffer's first memory: less than its own step, since columns are many. */
#define PARQUET_FIRST_ROOM 32
void parquet_first_room(Buf *b);

/* Little-endian stores. */
static inline void
parquet_put32(uint8_t *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (uint8_t) (v >> (8 * i));
}

static inline void
parquet_put64(uint8_t *p, uint64_t v)
{
	for (int i = 0; i < 8; i++)
		p[i] = (uint8_t) (v >> (8 * i));
}

#endif
