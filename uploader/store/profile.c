/*-------------------------------------------------------------------------
 * profile.c
 *	  Reads the shared files of the AWS tools.
 *
 * "[section]" lines, "name = value" lines, comments from '#' or ';' at the
 * start of a line or behind white space.  Lines that begin with white space
 * and follow a name without a value ("s3 =") are nested, and passed over.
 *
 * Layer: store.
 *-------------------------------------------------------------------------
 */
#include "store/profile.h"

#include <string.h>
#include <strings.h>

static bool
is_space(uint8_t c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

static Slice
trim(Slice s)
{
	while (s.n > 0 && is_space(s.p[0]))
		s.p++, s.n--;
	while (s.n > 0 && is_space(s.p[s.n - 1]))
		s.n--;
	return s;
}

static Slice
without_comment(Slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((s.p[i] == '#' || s.p[i] == ';') &&
			(i == 0 || is_space(s.p[i - 1])))
			s.n = i;
	return trim(s);
}

static bool
equals(Slice s, const char *text)
{
	return s.n == strlen(text) && memcmp(s.p, text, s.n) == 0;
}

/* The next line of *text; false at its end. */
static bool
next_line(const char **text, Slice *out)
{
	size_t n = strcspn(*text, "\n");

	if (**text == '\0')
		return false;
	*out = (Slice){ (const uint8_t *) *text, n };
	*text += n + ((*text)[n] == '\n');
	return true;
}

/* "[profile x]" of the profile x? */
static bool
is_section_of(Slice line, const char *profile, bool in_config)
{
	static const char word[] = "profile";
	size_t n = sizeof(word) - 1;

	line = without_comment(line);
	if (line.n < 2 || line.p[line.n - 1] != ']')
		return false;
	line = trim((Slice){ line.p + 1, line.n - 2 });
	if (in_config && line.n > n && memcmp(line.p, word, n) == 0 &&
		is_space(line.p[n]))
	{
		line = trim((Slice){ line.p + n, line.n - n });
		if (line.n >= 2 && line.p[0] == '"' && line.p[line.n - 1] == '"')
			line = (Slice){ line.p + 1, line.n - 2 };
		return equals(line, profile);
	}
	return equals(line, profile) &&
		   (!in_config || strcmp(profile, "default") == 0);
}

bool
profile_value(const char *text, const char *profile, bool in_config,
			  const char *name, Buf *out)
{
	bool inside = false;
	bool nested = false;
	Slice line;

	while (next_line(&text, &line))
	{
		const uint8_t *eq;
		Slice value;

		nested = nested && line.n > 0 && is_space(line.p[0]);
		line = trim(line);
		if (nested || line.n == 0)
			continue;
		if (line.p[0] == '[')
		{
			inside = is_section_of(line, profile, in_config);
			continue;
		}
		eq = inside ? memchr(line.p, '=', line.n) : NULL;
		if (eq == NULL || line.p[0] == '#' || line.p[0] == ';')
			continue;
		value = without_comment(
			(Slice){ eq + 1, line.n - (size_t) (eq + 1 - line.p) });
		nested = value.n == 0;
		if (nested ||
			!equals(trim((Slice){ line.p, (size_t) (eq - line.p) }), name))
			continue;
		buf_add(out, value.p, value.n);
		return true;
	}
	return false;
}

bool
profile_exists(const char *text, const char *profile, bool in_config)
{
	Slice line;

	while (next_line(&text, &line))
		if (line.n > 0 && line.p[0] == '[' &&
			is_section_of(line, profile, in_config))
			return true;
	return false;
}
