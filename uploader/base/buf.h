/*-------------------------------------------------------------------------
 * buf.h
 *	  Borrowed bytes (Slice), and growing bytes with a stated maximum (Buf).
 *
 * A Buf's memory is always one byte longer than its content and that byte
 * is zero, so that data can be read as a C string.  Growth doubles.  Asking
 * for more than the maximum sets "overflow", writes nothing more, and stays
 * so until buf_reset(): check it once at the end instead of at each append.
 * Threads: one owner at a time.  Layer: base.
 *-------------------------------------------------------------------------
 */
#ifndef BUF_H
#define BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Borrowed: who makes one says how long it is valid. */
typedef struct Slice
{
	const uint8_t *p;
	size_t n;
} Slice;

static inline Slice
slice_cstr(const char *s)
{
	return (Slice){ (const uint8_t *) s, strlen(s) };
}

typedef struct Buf
{
	uint8_t *p; /* NULL until the first byte */
	size_t n;   /* bytes of content */
	size_t cap; /* bytes that fit, without the terminator */
	size_t max;
	bool overflow;
} Buf;

void buf_init(Buf *b, size_t max);
void buf_done(Buf *b);              /* frees; the buffer may be used again */
void buf_reset(Buf *b);             /* empties, keeps the memory */
bool buf_grow(Buf *b, size_t more); /* slow path of buf_room */

/* Makes room for n more bytes; false when the maximum would be passed. */
static inline bool
buf_room(Buf *b, size_t n)
{
	if (b->cap - b->n >= n && b->p != NULL && !b->overflow)
		return true;
	return buf_grow(b, n);
}

static inline void
buf_add(Buf *b, const void *p, size_t n)
{
	if (n == 0 || !buf_room(b, n))
		return;
	memcpy(b->p + b->n, p, n);
	b->n += n;
	b->p[b->n] = 0;
}

static inline void
buf_byte(Buf *b, uint8_t c)
{
	if (!buf_room(b, 1))
		return;
	b->p[b->n++] = c;
	b->p[b->n] = 0;
}

static inline void
buf_str(Buf *b, const char *s)
{
	buf_add(b, s, strlen(s));
}

void buf_printf(Buf *b, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* Content as a C string; "" while empty.  Valid until the next change. */
static inline const char *
buf_cstr(const Buf *b)
{
	return b->p ? (const char *) b->p : "";
}

static inline Slice
buf_slice(const Buf *b)
{
	return (Slice){ b->p, b->n };
}

#endif
