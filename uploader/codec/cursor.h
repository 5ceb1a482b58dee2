/*-------------------------------------------------------------------------
 * cursor.h
 *	  Reads little-endian bytes one after the other.
 *
 * Once a read passes the end the cursor is "bad" and yields zeros; who reads
 * looks at that once, at the end.  So the decoding functions read as the
 * contract's text does.  Layer: codec.
 *-------------------------------------------------------------------------
 */
#ifndef CURSOR_H
#define CURSOR_H

#include "base/buf.h"
#include "codec/row.h"

typedef struct Cursor
{
	const uint8_t *p;
	size_t left;
	bool bad;
} Cursor;

static inline const uint8_t *
take(Cursor *c, size_t n)
{
	const uint8_t *p = c->p;

	if (n > c->left)
	{
		c->bad = true;
		c->left = 0;
		return NULL;
	}
	c->p += n;
	c->left -= n;
	return p;
}

static inline uint8_t
take_u8(Cursor *c)
{
	const uint8_t *p = take(c, 1);

	return p ? *p : 0;
}

static inline uint16_t
take_u16(Cursor *c)
{
	const uint8_t *p = take(c, 2);

	return p ? get_u16(p) : 0;
}

static inline uint32_t
take_u32(Cursor *c)
{
	const uint8_t *p = take(c, 4);

	return p ? get_u32(p) : 0;
}

static inline uint64_t
take_u64(Cursor *c)
{
	const uint8_t *p = take(c, 8);

	return p ? get_u64(p) : 0;
}

static inline Slice
take_bytes(Cursor *c, size_t n)
{
	const uint8_t *p = take(c, n);

	return (Slice){ p, p ? n : 0 };
}

#endif
