/*-------------------------------------------------------------------------
 * uri.c
 *	  Percent-encoding by the one rule that SigV4 knows.
 *
 * Layer: codec.
 *-------------------------------------------------------------------------
 */
#include "codec/uri.h"

#include "codec/hash.h"

static bool
is_unreserved(uint8_t c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
		   (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' ||
		   c == '~';
}

void
uri_add_encoded(Buf *out, Slice s, bool keep_slash)
{
	static const char digits[] = "0123456789ABCDEF";

	for (size_t i = 0; i < s.n; i++)
	{
		uint8_t c = s.p[i];

		if (is_unreserved(c) || (keep_slash && c == '/'))
		{
			buf_byte(out, c);
			continue;
		}
		buf_byte(out, '%');
		buf_byte(out, (uint8_t) digits[c >> 4]);
		buf_byte(out, (uint8_t) digits[c & 15]);
	}
}

bool
uri_add_decoded(Buf *out, Slice s)
{
	for (size_t i = 0; i < s.n; i++)
	{
		uint8_t c = s.p[i];

		if (c == '%')
		{
			if (s.n - i < 3 || !hex_decode((const char *) s.p + i + 1, 1, &c))
				return false;
			i += 2;
		}
		buf_byte(out, c);
	}
	return true;
}
