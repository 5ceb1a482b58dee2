/*-------------------------------------------------------------------------
 * key.c
 *	  Names of objects in the lake.
 *
 * Layer: codec.
 *-------------------------------------------------------------------------
 */
#include "codec/key.h"

#include <inttypes.h>
#include <string.h>

#include "base/clock.h"

static bool
is_plain(uint8_t c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
		   (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.';
}

void
key_add_segment(Buf *out, const char *name)
{
	key_add_part(out, name, 0);
}

void
key_add_part(Buf *out, const char *name, char also)
{
	for (const uint8_t *p = (const uint8_t *) name; *p; p++)
	{
		bool leading = p == (const uint8_t *) name && (*p == '_' || *p == '.');

		if (is_plain(*p) && !leading && *p != (uint8_t) also)
			buf_byte(out, *p);
		else
			buf_printf(out, "%%%02X", *p);
	}
}

/* As it is written: no lower case; -1: none. */
static int
hex_digit(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool
key_parse_segment(Slice s, Buf *out)
{
	for (size_t i = 0; i < s.n; i++)
	{
		int high;
		int low;

		if (s.p[i] != '%')
		{
			buf_byte(out, s.p[i]);
			continue;
		}
		high = s.n - i > 2 ? hex_digit(s.p[i + 1]) : -1;
		low = high >= 0 ? hex_digit(s.p[i + 2]) : -1;
		if (low < 0 || high * 16 + low == 0)
			return false;
		buf_byte(out, (uint8_t) (high * 16 + low));
		i += 2;
	}
	return s.n > 0 && !out->overflow;
}

void
key_add_table(Buf *out, const char *schema, const char *table)
{
	key_add_segment(out, schema);
	buf_byte(out, '/');
	key_add_segment(out, table);
	buf_byte(out, '/');
}

void
key_add_entry(Buf *out, int64_t seq)
{
	buf_printf(out, KEY_LOG_PREFIX "%020" PRId64 ".json", seq);
}

void
key_add_schema(Buf *out, const char *schema, const char *table,
			   const char *hash)
{
	buf_str(out, "_cdc/schema/");
	key_add_table(out, schema, table);
	buf_printf(out, "%s.json", hash);
}

static const char *
last_segment(const char *key)
{
	const char *slash = strrchr(key, '/');

	return slash ? slash + 1 : key;
}

/* So many digits and a '-' at s; NULL: none. */
static const char *
behind_digits(const char *s, size_t n, const char *digits)
{
	return strspn(s, digits) == n && s[n] == '-' ? s + n + 1 : NULL;
}

/* Behind "part-", or behind a time of DMS's form. */
static const char *
behind_part(const char *s)
{
	static const char digits[] = "0123456789";

	if (strncmp(s, "part-", 5) == 0)
		return s + 5;
	s = behind_digits(s, 8, digits);
	return s ? behind_digits(s, 9, digits) : NULL;
}

/* Behind "load-", or behind DMS's number. */
static const char *
behind_load(const char *s)
{
	if (strncmp(s, "load-", 5) == 0)
		return s + 5;
	return strncmp(s, "LOAD", 4) == 0
			   ? behind_digits(s + 4, 8, "0123456789ABCDEF")
			   : NULL;
}

void
key_add_dms_time(Buf *out, int64_t unix_us)
{
	CivilTime c;

	civil_from_unix_us(unix_us, &c);
	buf_printf(out, "%04d%02d%02d-%02d%02d%02d%03d", (int) c.year, c.month,
			   c.day, c.hour, c.minute, c.second, c.usec / 1000);
}

bool
key_parse_part(const char *key, int64_t *out_seq)
{
	const char *s = behind_part(last_segment(key));
	int64_t seq = 0;
	int n = 0;

	if (!s)
		return false;
	for (; *s >= '0' && *s <= '9' && n < 18; s++, n++)
		seq = seq * 10 + (*s - '0');
	if (n == 0 || *s != '-')
		return false;
	*out_seq = seq;
	return true;
}

bool
key_is_by(const char *key, const char *writer)
{
	const char *s = strrchr(last_segment(key), '-');
	size_t n = strlen(writer);

	return s && strncmp(s + 1, writer, n) == 0 &&
		   (s[n + 1] == '.' || s[n + 1] == '\0');
}

bool
key_parse_load(const char *key, char *id, size_t size)
{
	const char *s = behind_load(last_segment(key));
	size_t n;

	if (!s)
		return false;
	n = strcspn(s, "-");
	if (n == 0 || n >= size || s[n] != '-')
		return false;
	memcpy(id, s, n);
	id[n] = '\0';
	return true;
}
