/*-------------------------------------------------------------------------
 * xml.c
 *	  Finds the few elements that an object store's answers hold.
 *
 * Layer: codec.
 *-------------------------------------------------------------------------
 */
#include "codec/xml.h"

#include <stdlib.h>
#include <string.h>

typedef enum TagKind
{
	TAG_OPEN,
	TAG_CLOSE,
	TAG_EMPTY
} TagKind;

/* One tag; name is without the prefix of its name space. */
typedef struct Tag
{
	TagKind kind;
	Slice name;
	const uint8_t *start; /* its '<' */
	const uint8_t *end;   /* behind its '>' */
} Tag;

static bool
starts_with(Slice s, const char *what)
{
	size_t n = strlen(what);

	return s.n >= n && memcmp(s.p, what, n) == 0;
}

/* Moves *s behind the next "what"; false where there is none. */
static bool
skip_past(Slice *s, const char *what)
{
	size_t n = strlen(what);
	const uint8_t *at = s->n ? memmem(s->p, s->n, what, n) : NULL;

	if (at == NULL)
		return false;
	s->n -= (size_t) (at - s->p) + n;
	s->p = at + n;
	return true;
}

static bool
is_name_end(uint8_t c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '/';
}

/* Reads the inside of <...> into a tag. */
static void
split_tag(Slice inside, Tag *t)
{
	size_t n = 0;
	const uint8_t *colon;

	t->kind = TAG_OPEN;
	if (inside.n > 0 && inside.p[0] == '/')
	{
		t->kind = TAG_CLOSE;
		inside.p++;
		inside.n--;
	}
	else if (inside.n > 0 && inside.p[inside.n - 1] == '/')
		t->kind = TAG_EMPTY;
	while (n < inside.n && !is_name_end(inside.p[n]))
		n++;
	colon = n ? memchr(inside.p, ':', n) : NULL;
	if (colon)
	{
		n -= (size_t) (colon + 1 - inside.p);
		inside.p = colon + 1;
	}
	t->name = (Slice){ inside.p, n };
}

/* The next tag; *rest moves behind it. */
static bool
next_tag(Slice *rest, Tag *t)
{
	for (;;)
	{
		const uint8_t *p;

		if (!skip_past(rest, "<"))
			return false;
		t->start = rest->p - 1;
		if (starts_with(*rest, "!--"))
		{
			if (!skip_past(rest, "-->"))
				return false;
			continue;
		}
		p = rest->p;
		if (!skip_past(rest, ">"))
			return false;
		if (*p == '?' || *p == '!')
			continue;
		t->end = rest->p;
		split_tag((Slice){ p, (size_t) (rest->p - p) - 1 }, t);
		return true;
	}
}

static bool
has_name(const Tag *t, const char *name)
{
	return t->name.n == strlen(name) && memcmp(t->name.p, name, t->name.n) == 0;
}

bool
xml_next(Slice *rest, const char *name, Slice *out)
{
	Slice s = *rest;
	Tag t;
	const uint8_t *begin;
	int depth = 1;

	do
		if (!next_tag(&s, &t))
			return false;
	while (t.kind == TAG_CLOSE || !has_name(&t, name));

	begin = t.end;
	if (t.kind == TAG_EMPTY)
		depth = 0;
	while (depth > 0)
	{
		if (!next_tag(&s, &t))
			return false;
		if (!has_name(&t, name))
			continue;
		if (t.kind == TAG_OPEN)
			depth++;
		else if (t.kind == TAG_CLOSE)
			depth--;
	}
	*out =
		(Slice){ begin, t.kind == TAG_EMPTY ? 0 : (size_t) (t.start - begin) };
	*rest = s;
	return true;
}

bool
xml_find(Slice doc, const char *name, Slice *out)
{
	return xml_next(&doc, name, out);
}

bool
xml_has_root(Slice doc, const char *name)
{
	Slice s = doc;
	Slice inside;
	Tag t;

	return next_tag(&s, &t) && t.kind != TAG_CLOSE && has_name(&t, name) &&
		   xml_find(doc, name, &inside);
}

static void
add_utf8(Buf *out, unsigned long c)
{
	if (c < 0x80)
		buf_byte(out, (uint8_t) c);
	else if (c < 0x800)
	{
		buf_byte(out, (uint8_t) (0xc0 | c >> 6));
		buf_byte(out, (uint8_t) (0x80 | (c & 0x3f)));
	}
	else if (c < 0x10000)
	{
		buf_byte(out, (uint8_t) (0xe0 | c >> 12));
		buf_byte(out, (uint8_t) (0x80 | (c >> 6 & 0x3f)));
		buf_byte(out, (uint8_t) (0x80 | (c & 0x3f)));
	}
	else
	{
		buf_byte(out, (uint8_t) (0xf0 | c >> 18));
		buf_byte(out, (uint8_t) (0x80 | (c >> 12 & 0x3f)));
		buf_byte(out, (uint8_t) (0x80 | (c >> 6 & 0x3f)));
		buf_byte(out, (uint8_t) (0x80 | (c & 0x3f)));
	}
}

/* "#13" or "#xD", already known to be short. */
static bool
add_numbered(Buf *out, const char *s)
{
	int base = s[1] == 'x' ? 16 : 10;
	const char *digits = s + (base == 16 ? 2 : 1);
	char *end;
	unsigned long c;

	if (strchr("0123456789abcdefABCDEF", *digits) == NULL || *digits == '\0')
		return false; /* strtoul would take a sign or a space */
	c = strtoul(digits, &end, base);
	if (*end != '\0' || c == 0 || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
		return false;
	add_utf8(out, c);
	return true;
}

static bool
add_entity(Buf *out, Slice name)
{
	static const struct
	{
		const char *name;
		char c;
	} known[] = { { "amp", '&' },
				  { "lt", '<' },
				  { "gt", '>' },
				  { "quot", '"' },
				  { "apos", '\'' } };
	char s[12];

	if (name.n == 0 || name.n >= sizeof(s))
		return false;
	memcpy(s, name.p, name.n);
	s[name.n] = '\0';
	if (s[0] == '#')
		return add_numbered(out, s);
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
	{
		if (strcmp(s, known[i].name) == 0)
		{
			buf_byte(out, (uint8_t) known[i].c);
			return true;
		}
	}
	return false;
}

bool
xml_add_text(Buf *out, Slice raw)
{
	size_t start = out->n;

	for (size_t i = 0; i < raw.n; i++)
	{
		const uint8_t *end;

		if (raw.p[i] == '&')
		{
			end = memchr(raw.p + i, ';', raw.n - i);
			if (end &&
				add_entity(out, (Slice){ raw.p + i + 1,
										 (size_t) (end - raw.p) - i - 1 }))
			{
				i = (size_t) (end - raw.p);
				continue;
			}
		}
		else if (raw.p[i] != '<')
		{
			buf_byte(out, raw.p[i]);
			continue;
		}
		out->n = start;
		if (out->p)
			out->p[start] = 0;
		return false;
	}
	return true;
}
