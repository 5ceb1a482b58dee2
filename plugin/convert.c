/*-------------------------------------------------------------------------
 * convert.c
 *	  Text that depends on nothing: settings pinned around output functions,
 *	  and the server's encoding converted to UTF-8 without ever failing.
 *
 * Settings are pinned at the first text value of each transaction that is
 * decoded, in the (sub)transaction that the server opens for it and rolls back
 * at its end.  So a later SET, a reload of the configuration or an error
 * changes nothing, and a caller of the SQL functions gets its own settings
 * back.  Elsewhere they are pinned in a nest level of their own.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "pgtime.h"
#include "port/pg_bitutils.h"
#include "utils/builtins.h"
#include "utils/bytea.h"
#include "utils/float.h"
#include "utils/guc.h"

#include "cdc_s3.h"

/* utils/pg_locale.h wants ICU's headers, which the server's do not bring. */
extern PGDLLIMPORT char *locale_monetary;

static void
pin(const char *name, const char *value)
{
	(void) set_config_option(name, value, PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
}

/* Only what differs is set: it usually is a time zone and a search path. */
void
cdc_s3_pin_settings(CdcS3State *st)
{
	if (DateStyle != USE_ISO_DATES)
		pin("DateStyle", "ISO");
	if (IntervalStyle != INTSTYLE_POSTGRES)
		pin("IntervalStyle", "postgres");
	if (extra_float_digits < 1) /* any above mean the shortest exact form */
		pin("extra_float_digits", "1");
	if (bytea_output != BYTEA_OUTPUT_HEX)
		pin("bytea_output", "hex");
	if (namespace_search_path[0] != '\0')
		pin("search_path", "");
	if (strcmp(pg_get_timezone_name(session_timezone), "UTC") != 0)
		pin("TimeZone", "UTC");
	if (strcmp(locale_monetary, "C") != 0)
		pin("lc_monetary", "C");
	if (quote_all_identifiers)
		pin("quote_all_identifiers", "off");
	st->pinned = true;
}

/*
 * A client's client_min_messages = debug5 would have the server send it a
 * message for each of its own steps, between packets.  And what an output
 * function warns of would be sent at once: the server waits for a client that
 * does not read without any limit then.  So a walsender that streams sends
 * errors only; the server's log has what log_min_messages says.
 */
void
cdc_s3_pin_messages(void)
{
	if (client_min_messages < ERROR)
		(void) set_config_option("client_min_messages", "error", PGC_USERSET,
								 PGC_S_SESSION, GUC_ACTION_SET, true, 0, false);
}

void
cdc_s3_convert_init(CdcS3State *st)
{
	st->encoding = GetDatabaseEncoding();
	st->convert = st->encoding != PG_UTF8 && st->encoding != PG_SQL_ASCII &&
				  st->encoding != PG_MULE_INTERNAL;
	/* The text format is for the server's own clients. */
	if (st->opt.format == FORMAT_TEXT)
		st->convert = false;
	st->verify = !st->convert && st->encoding != PG_SQL_ASCII &&
				 st->encoding != PG_MULE_INTERNAL;
}

/*
 * Look the conversion up, in a transaction.  The search path is pinned
 * meanwhile, else a default conversion in a schema of the user's would be
 * taken.
 */
void
cdc_s3_convert_lookup(CdcS3State *st)
{
	int nest_level;
	Oid proc;

	if (!st->convert)
		return;
	nest_level = NewGUCNestLevel();
	cdc_s3_pin_settings(st);
	proc = FindDefaultConversionProc(st->encoding, PG_UTF8);
	if (OidIsValid(proc))
	{
		fmgr_info_cxt(proc, &st->convert_fn, st->cxt);
		st->convert_ready = true;
	}
	AtEOXact_GUC(true, nest_level);
	st->pinned = false;
}

/*
 * Convert the beginning of *src to dst, which is not terminated; advance
 * *src.  Returns false, with nothing consumed, if it has no UTF-8 form.
 */
bool
cdc_s3_convert_chunk(CdcS3State *st, const char **src, Size *src_len, char *dst,
					 Size dst_size, Size *out_len)
{
	Size n = Min(*src_len, (dst_size - 1) / MAX_CONVERSION_GROWTH);
	int done;

	if (!st->convert_ready)
		return false;
	done = DatumGetInt32(FunctionCall6(
		&st->convert_fn, Int32GetDatum(st->encoding), Int32GetDatum(PG_UTF8),
		CStringGetDatum(*src), CStringGetDatum(dst), Int32GetDatum((int32) n),
		BoolGetDatum(true)));
	if (done <= 0)
		return false;
	*src += done;
	*src_len -= done;
	*out_len = strlen(dst);
	return true;
}

/*
 * Convert a value as a whole.  The result is allocated in the current memory
 * context, or is the source where that is UTF-8 already.  False if the value
 * has no UTF-8 form, or is no text.
 */
bool
cdc_s3_convert(CdcS3State *st, const char *src, Size src_len, const char **out,
			   Size *out_len)
{
	Size size;
	Size len = 0;
	char *dst;

	*out = src;
	*out_len = src_len;
	if (!st->convert)
		return cdc_s3_valid(st, src, src_len);
	if (cdc_s3_is_plain(src, src_len))
		return true;
	size = src_len * MAX_CONVERSION_GROWTH + 1;
	dst = palloc_extended(size, MCXT_ALLOC_HUGE);
	while (src_len > 0)
	{
		Size n;

		if (!cdc_s3_convert_chunk(st, &src, &src_len, dst + len, size - len,
								  &n))
		{
			pfree(dst);
			return false;
		}
		len += n;
	}
	*out = dst;
	*out_len = len;
	return true;
}

/*
 * A name of the catalog as UTF-8.  Where it has no such form its bytes above
 * ASCII are spelled \xNN, since a name cannot be withheld.
 */
const char *
cdc_s3_name_utf8(CdcS3State *st, const char *name, Size *out_len)
{
	const char *out;
	StringInfoData s;

	if (cdc_s3_convert(st, name, strlen(name), &out, out_len))
		return out;
	initStringInfo(&s);
	for (; *name; name++)
	{
		if (IS_HIGHBIT_SET(*name))
			appendStringInfo(&s, "\\x%02x", (unsigned char) *name);
		else
			appendStringInfoChar(&s, *name);
	}
	*out_len = s.len;
	return s.data;
}

/* A character of UTF-8 of any form; see utf8_length(). */
static Size
utf8_any_length(const unsigned char *p, Size left)
{
	unsigned char low = 0x80;
	unsigned char high = 0xBF;
	Size len = p[0] < 0xE0 ? 2 : p[0] < 0xF0 ? 3 : 4;

	if (p[0] < 0xC2 || p[0] > 0xF4 || left < len)
		return 0;
	if (p[0] == 0xE0)
		low = 0xA0;
	else if (p[0] == 0xED)
		high = 0x9F;
	else if (p[0] == 0xF0)
		low = 0x90;
	else if (p[0] == 0xF4)
		high = 0x8F;
	if (p[1] < low || p[1] > high)
		return 0;
	for (Size i = 2; i < len; i++)
		if ((p[i] & 0xC0) != 0x80)
			return 0;
	return len;
}

/*
 * Length of the UTF-8 character at p, whose first byte is zero or above ASCII;
 * 0 if there is none: a wrong or missing byte, a surrogate, a longer form than
 * needed.
 */
static inline Size
utf8_length(const unsigned char *p, Size left)
{
	if (left >= 2 && p[0] >= 0xC2 && p[0] < 0xE0)
		return (p[1] & 0xC0) == 0x80 ? 2 : 0;
	if (left >= 3 && p[0] > 0xE0 && p[0] < 0xF0 && p[0] != 0xED)
		return (p[1] & 0xC0) == 0x80 && (p[2] & 0xC0) == 0x80 ? 3 : 0;
	return utf8_any_length(p, left);
}

/*
 * Whether bytes are UTF-8 without a zero.  Eight bytes of ASCII are one step;
 * the server's own function, once it has met another, takes one for each byte.
 */
bool
cdc_s3_is_utf8(const char *s, Size len)
{
	const unsigned char *p = (const unsigned char *) s;
	const unsigned char *end = p + len;
	Size n;

	while (end - p >= (ptrdiff_t) sizeof(uint64))
	{
		uint64 w;
		uint64 odd;

		memcpy(&w, p, sizeof(w));
		odd = cdc_s3_not_plain(w);
		if (odd == 0)
		{
			p += sizeof(w);
			continue;
		}
		p += pg_rightmost_one_pos64(odd) / 8;
		do
		{
			n = utf8_length(p, end - p);
			if (n == 0)
				return false;
			p += n;
		} while (p < end && *p >= 0x80);
	}
	for (; p < end; p += n)
	{
		n = 1;
		if ((unsigned char) (*p - 1) >= 0x7f)
			n = utf8_length(p, end - p);
		if (n == 0)
			return false;
	}
	return true;
}

/*
 * Whether bytes are text in the server's encoding.  What came with a cast that
 * calls no function, or from a faulty one, may be none.
 */
bool
cdc_s3_valid(CdcS3State *st, const char *s, Size len)
{
	if (!st->verify)
		return true;
	if (st->encoding == PG_UTF8)
		return cdc_s3_is_utf8(s, len);
	return cdc_s3_is_plain(s, len) ||
		   pg_verify_mbstr(st->encoding, s, (int) len, true);
}
