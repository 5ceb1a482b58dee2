/*-------------------------------------------------------------------------
 * iniline.c
 *	  The lines of files that have sections and settings.
 *
 * Layer: base.
 *-------------------------------------------------------------------------
 */
#include "base/iniline.h"

#include <string.h>

static const uint8_t byte_order_mark[] = { 0xEF, 0xBB, 0xBF };

static bool
is_blank(uint8_t c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

Slice
ini_trim(Slice s)
{
	while (s.n > 0 && is_blank(s.p[0]))
		s.p++, s.n--;
	while (s.n > 0 && is_blank(s.p[s.n - 1]))
		s.n--;
	return s;
}

static void
classify(IniLine *l)
{
	const Slice s = l->text;
	const uint8_t *equals;
	size_t n;

	if (s.n == 0 || s.p[0] == '#' || s.p[0] == ';')
		l->kind = INI_EMPTY;
	else if (s.p[0] == '[')
		l->kind = INI_SECTION;
	else if ((equals = memchr(s.p, '=', s.n)) == NULL)
		l->kind = INI_NEITHER;
	else
	{
		n = (size_t) (equals - s.p);
		l->kind = INI_SETTING;
		l->name = ini_trim((Slice){ s.p, n });
		l->value = ini_trim((Slice){ equals + 1, s.n - n - 1 });
	}
}

bool
ini_next(IniReader *r, IniLine *out)
{
	const uint8_t *feed;
	size_t n;

	if (r->number == 0 && r->rest.n >= sizeof(byte_order_mark) &&
		memcmp(r->rest.p, byte_order_mark, sizeof(byte_order_mark)) == 0)
	{
		r->rest.p += sizeof(byte_order_mark);
		r->rest.n -= sizeof(byte_order_mark);
	}
	if (r->rest.n == 0)
		return false;
	feed = memchr(r->rest.p, '\n', r->rest.n);
	n = feed ? (size_t) (feed - r->rest.p) : r->rest.n;
	*out = (IniLine){ .number = ++r->number };
	out->text = ini_trim((Slice){ r->rest.p, n });
	out->indented = out->text.n > 0 && out->text.p != r->rest.p;
	classify(out);
	n += feed != NULL;
	r->rest.p += n;
	r->rest.n -= n;
	return true;
}
