/*-------------------------------------------------------------------------
 * pattern.c
 *	  Lists of table patterns.
 *
 * A part of a pattern is unfolded into plain bytes and ANY marks, so that a
 * quoted star is a star.
 * Layer: codec.
 *-------------------------------------------------------------------------
 */
#include "codec/pattern.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define PART_MAX 256
#define ANY INT16_C(256)

typedef struct Part
{
	int16_t c[PART_MAX];
	size_t n;
} Part;

static const char *
skip_space(const char *p)
{
	while (*p == ' ' || *p == '\t' || *p == '\n' || *p == '\r' || *p == '\f')
		p++;
	return p;
}

static bool
part_add(Part *part, int c)
{
	if (part->n == PART_MAX)
		return false;
	part->c[part->n++] = (int16_t) c;
	return true;
}

/* What follows the part, or NULL where it is malformed. */
static const char *
parse_part(const char *p, Part *part)
{
	bool ok = true;

	part->n = 0;
	p = skip_space(p);
	if (*p == '"')
	{
		for (p++; !(p[0] == '"' && p[1] != '"'); p++)
		{
			if (*p == '\0')
				return NULL;
			if (*p == '"')
				p++;
			ok = ok && part_add(part, (unsigned char) *p);
		}
		p++;
	}
	else
	{
		while (*p && !strchr(".,\" \t\n\r\f", *p))
		{
			int c = (unsigned char) *p++;

			if (c >= 'A' && c <= 'Z')
				c += 'a' - 'A';
			ok = ok && part_add(part, c == '*' ? ANY : c);
		}
	}
	p = skip_space(p);
	return ok && part->n > 0 ? p : NULL;
}

static bool
part_matches(const Part *part, const char *name)
{
	size_t i = 0;
	size_t after_star = SIZE_MAX;
	const char *resume = NULL;

	while (*name)
	{
		if (i < part->n && part->c[i] == ANY)
		{
			after_star = ++i;
			resume = name;
		}
		else if (i < part->n && part->c[i] == (unsigned char) *name)
		{
			i++;
			name++;
		}
		else if (after_star != SIZE_MAX)
		{
			i = after_star;
			name = ++resume;
		}
		else
			return false;
	}
	while (i < part->n && part->c[i] == ANY)
		i++;
	return i == part->n;
}

/* One star or a run of them. */
static bool
is_star(const Part *part)
{
	for (size_t i = 0; i < part->n; i++)
	{
		if (part->c[i] != ANY)
			return false;
	}
	return true;
}

/* *out_found: one of the patterns matches; false where it is malformed. */
static bool
list_scan(const char *list, const char *schema, const char *table,
		  bool *out_found)
{
	const char *p = skip_space(list ? list : "");

	*out_found = false;
	if (*p == '\0')
		return true;
	for (;; p++)
	{
		Part s;
		Part t;
		bool lone;

		p = parse_part(p, &s);
		if (!p)
			return false;
		lone = *p != '.';
		if (!lone)
			p = parse_part(p + 1, &t);
		if (!p || (*p != ',' && *p != '\0'))
			return false;
		if (lone && !is_star(&s))
			return false; /* a pattern without a schema */
		if (lone || (part_matches(&s, schema) && part_matches(&t, table)))
			*out_found = true;
		if (*p == '\0')
			return true;
	}
}

bool
pattern_list_matches(const char *list, const char *schema, const char *table)
{
	bool found;

	return list_scan(list, schema, table, &found) && found;
}

bool
pattern_list_valid(const char *list)
{
	bool found;

	return list_scan(list, "", "", &found);
}
