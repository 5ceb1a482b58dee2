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

#include "base/iniline.h"

static bool
is_space(uint8_t c)
{
	return c == ' ' || c == '\t';
}

static Slice
without_comment(Slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((s.p[i] == '#' || s.p[i] == ';') &&
			(i == 0 || is_space(s.p[i - 1])))
			s.n = i;
	return ini_trim(s);
}

static bool
equals(Slice s, const char *text)
{
	return s.n == strlen(text) && memcmp(s.p, text, s.n) == 0;
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
	line = ini_trim((Slice){ line.p + 1, line.n - 2 });
	if (in_config && line.n > n && memcmp(line.p, word, n) == 0 &&
		is_space(line.p[n]))
	{
		line = ini_trim((Slice){ line.p + n, line.n - n });
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
	IniReader r = { slice_cstr(text), 0 };
	IniLine l;
	bool inside = false;
	bool nested = false;

	while (ini_next(&r, &l))
	{
		Slice value;

		nested = nested && (l.indented || l.text.n == 0);
		if (nested)
			continue;
		if (l.kind == INI_SECTION)
			inside = is_section_of(l.text, profile, in_config);
		if (!inside || l.kind != INI_SETTING)
			continue;
		value = without_comment(l.value);
		nested = value.n == 0;
		if (nested || !equals(l.name, name))
			continue;
		buf_add(out, value.p, value.n);
		return true;
	}
	return false;
}

bool
profile_exists(const char *text, const char *profile, bool in_config)
{
	IniReader r = { slice_cstr(text), 0 };
	IniLine l;

	while (ini_next(&r, &l))
		if (l.kind == INI_SECTION && is_section_of(l.text, profile, in_config))
			return true;
	return false;
}
