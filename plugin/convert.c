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
#include "utils/builtins.h"
#include "utils/bytea.h"
#include "utils/float.h"
#include "utils/guc.h"
#include "utils/pg_locale.h"

#include "cdc_s3.h"

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
 * message for each of its own steps, between packets.  In a walsender that
 * streams it is for warnings.
 */
void
cdc_s3_pin_messages(void)
{
	if (client_min_messages < WARNING)
		(void) set_config_option("client_min_messages", "warning", PGC_USERSET,
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
 * context, or is the source where that is UTF-8 already.
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
	if (!st->convert || cdc_s3_is_ascii(src, src_len))
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

bool
cdc_s3_is_ascii(const char *s, Size len)
{
	uint64 chunk;

	for (; len >= sizeof(chunk); len -= sizeof(chunk), s += sizeof(chunk))
	{
		memcpy(&chunk, s, sizeof(chunk));
		if (chunk & UINT64CONST(0x8080808080808080))
			return false;
	}
	for (; len > 0; len--, s++)
		if (IS_HIGHBIT_SET(*s))
			return false;
	return true;
}
