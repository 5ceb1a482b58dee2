/*-------------------------------------------------------------------------
 * buf.c
 *	  Growing bytes with a stated maximum.
 *
 * Layer: base.
 *-------------------------------------------------------------------------
 */
#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"

#define BUF_FIRST 256

void
buf_init(Buf *b, size_t max)
{
	*b = (Buf){ .max = max };
}

void
buf_done(Buf *b)
{
	free(b->p);
	*b = (Buf){ .max = b->max };
}

void
buf_reset(Buf *b)
{
	b->n = 0;
	b->overflow = false;
	if (b->p)
		b->p[0] = 0;
}

bool
buf_grow(Buf *b, size_t more)
{
	size_t cap = b->cap ? b->cap : BUF_FIRST;

	if (b->overflow || more > b->max || b->n > b->max - more)
	{
		b->overflow = true;
		return false;
	}
	while (cap < b->n + more)
		cap *= 2;
	if (cap > b->max)
		cap = b->max;
	b->p = xrealloc(b->p, cap + 1);
	b->cap = cap;
	b->p[b->n] = 0;
	return true;
}

void
buf_printf(Buf *b, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n <= 0 || !buf_room(b, (size_t) n))
		return;
	va_start(ap, fmt);
	(void) vsnprintf((char *) b->p + b->n, (size_t) n + 1, fmt, ap);
	va_end(ap);
	b->n += (size_t) n;
}
