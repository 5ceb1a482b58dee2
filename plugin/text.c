/*-------------------------------------------------------------------------
 * text.c
 *	  Frames as lines for people and for the regression tests: format text.
 *
 * It reads the very bytes that the binary format would send, so what it
 * shows is what encode.c and row.c wrote, in the server's encoding.  One
 * frame is one line.  Null, unchanged and withheld are words without quotes.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/tupmacs.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "cdc_s3.h"

/* Longer values are cut, so that a line stays below what a text may hold. */
#define SHOWN_MAX (128 * 1024)

/* What is left of a frame.  The bytes are our own, so they are not checked. */
typedef struct Cursor
{
	const char *p;
	const char *end;
} Cursor;

static const char *
get_bytes(Cursor *c, Size n)
{
	const char *p = c->p;

	Assert((Size) (c->end - c->p) >= n);
	c->p += n;
	return p;
}

#define GET_FUNCTION(name, type)                                               \
	static type name(Cursor *c)                                                \
	{                                                                          \
		type v;                                                                \
                                                                               \
		memcpy(&v, get_bytes(c, sizeof(v)), sizeof(v));                        \
		return v;                                                              \
	}
GET_FUNCTION(get_u8, uint8)
GET_FUNCTION(get_u16, uint16)
GET_FUNCTION(get_u32, uint32)
GET_FUNCTION(get_u64, uint64)

static const char *
get_blob(Cursor *c, Size *len)
{
	*len = get_u8(c);
	if (*len == CDC_S3_BLOB_LONG)
		*len = get_u32(c);
	return get_bytes(c, *len);
}

static const char *
get_str(Cursor *c)
{
	uint16 n = get_u16(c);

	return pnstrdup(get_bytes(c, n), n);
}

/* ---- values ---- */

static void
show_quoted(StringInfo out, const char *s, Size len)
{
	Size shown = len;

	if (len > SHOWN_MAX)
		shown = pg_mbcliplen(s, SHOWN_MAX, SHOWN_MAX);
	appendStringInfoChar(out, '\'');
	for (const char *end = s + shown; s < end; s++)
	{
		if (*s == '\'' || *s == '\\')
			appendStringInfoChar(out, *s);
		if (*s == '\n')
			appendStringInfoString(out, "\\n");
		else if (*s == '\t')
			appendStringInfoString(out, "\\t");
		else if ((unsigned char) *s < ' ' || *s == 0x7f)
			appendStringInfo(out, "\\x%02x", (unsigned char) *s);
		else
			appendStringInfoChar(out, *s);
	}
	appendStringInfoChar(out, '\'');
	if (shown < len)
		appendStringInfo(out, "(%zu bytes)", len);
}

static void
show_hex(StringInfo out, const char *s, Size len)
{
	Size shown = Min(len, SHOWN_MAX);

	appendStringInfoString(out, "'\\x");
	for (Size i = 0; i < shown; i++)
		appendStringInfo(out, "%02x", (unsigned char) s[i]);
	appendStringInfoChar(out, '\'');
	if (shown < len)
		appendStringInfo(out, "(%zu bytes)", len);
}

/* Content of any kind: as text where it can be that. */
static void
show_content(StringInfo out, const char *s, Size len)
{
	if (pg_verify_mbstr(GetDatabaseEncoding(), s, (int) len, true))
		show_quoted(out, s, len);
	else
		show_hex(out, s, len);
}

static void
show_fixed(StringInfo out, Cursor *c, CdcS3Column *col)
{
	union
	{
		char bytes[16];
		int64 align;
	} u;
	char *text;
	bool bare = col->kind <= CDC_S3_KIND_FLOAT8;

	memcpy(u.bytes, get_bytes(c, col->attlen), col->attlen);
	text = OutputFunctionCall(&col->out,
							  fetch_att(u.bytes, col->attbyval, col->attlen));
	if (bare)
		appendStringInfoString(out, text);
	else
		show_quoted(out, text, strlen(text));
}

static void
show_numeric(StringInfo out, Cursor *c, CdcS3Column *col)
{
	Size len;
	const char *data = get_blob(c, &len);
	struct varlena *v = palloc(VARHDRSZ + len);

	SET_VARSIZE(v, VARHDRSZ + len);
	memcpy(VARDATA(v), data, len);
	appendStringInfoString(out,
						   OutputFunctionCall(&col->out, PointerGetDatum(v)));
}

static void
show_value(StringInfo out, Cursor *c, CdcS3Column *col)
{
	Size len;
	const char *data;

	switch ((CdcS3Kind) col->kind)
	{
		case CDC_S3_KIND_NUMERIC:
			show_numeric(out, c, col);
			break;

		case CDC_S3_KIND_STRING:
		case CDC_S3_KIND_JSON:
		case CDC_S3_KIND_TEXT:
			data = get_blob(c, &len);
			show_quoted(out, data, len);
			break;

		case CDC_S3_KIND_BYTEA:
			data = get_blob(c, &len);
			show_hex(out, data, len);
			break;

		default:
			show_fixed(out, c, col);
			break;
	}
}

static void
show_withheld(StringInfo out, Cursor *c)
{
	uint8 reason = get_u8(c);
	uint64 stored = get_u64(c);
	Size len;

	(void) get_u32(c);
	(void) get_blob(c, &len);
	appendStringInfo(out, "withheld(%s, " UINT64_FORMAT " bytes)",
					 reason == CDC_S3_WITHHELD_ENCODING   ? "encoding"
					 : reason == CDC_S3_WITHHELD_TOO_LONG ? "too long"
														  : "too deep",
					 stored);
}

static bool
has_bit(const char *map, int i)
{
	return map && (map[i / 8] & (1 << (i % 8))) != 0;
}

static void
show_row(StringInfo out, Cursor *c, CdcS3Rel *rel, bool key_only)
{
	uint8 flags = get_u8(c);
	const char *nulls = NULL;
	const char *unchanged = NULL;
	const char *withheld = NULL;

	if (flags & CDC_S3_ROW_NULLS)
		nulls = get_bytes(c, rel->bitmap_len);
	if (flags & CDC_S3_ROW_UNCHANGED)
		unchanged = get_bytes(c, rel->bitmap_len);
	if (flags & CDC_S3_ROW_WITHHELD)
		withheld = get_bytes(c, rel->bitmap_len);
	for (int i = 0; i < rel->ncols; i++)
	{
		CdcS3Column *col = &rel->cols[i];

		if (key_only && !(col->flags & CDC_S3_COL_KEY))
			continue;
		appendStringInfo(out, " %s=", quote_identifier(col->name));
		if (has_bit(nulls, i))
			appendStringInfoString(out, "null");
		else if (has_bit(unchanged, i))
			appendStringInfoString(out, "unchanged");
		else if (has_bit(withheld, i))
			show_withheld(out, c);
		else
			show_value(out, c, col);
	}
	if (rel->ncols == 0)
		appendStringInfoString(out, " (no columns)");
}

/* ---- frames ---- */

/* What the include options ask for, in brackets. */
typedef struct Details
{
	bool has_lsn;
	bool has_ordinal;
	bool has_xid;
	bool has_time;
	uint64 lsn;
	uint64 ordinal;
	uint32 xid;
	int64 time;
} Details;

static void
show_details(CdcS3State *st, StringInfo out, const Details *d)
{
	StringInfoData s;

	initStringInfo(&s);
	if (d->has_xid && st->opt.include_xid)
		appendStringInfo(&s, " xid %u", d->xid);
	if (d->has_lsn && st->opt.include_lsn)
		appendStringInfo(&s, " lsn %X/%X", LSN_FORMAT_ARGS(d->lsn));
	if (d->has_ordinal && st->opt.include_lsn)
		appendStringInfo(&s, " seq " UINT64_FORMAT, d->ordinal);
	if (d->has_time && st->opt.include_time)
		appendStringInfo(&s, " time %s", timestamptz_to_str(d->time));
	if (s.len > 0)
		appendStringInfo(out, " [%s]", s.data + 1);
}

static CdcS3Rel *
get_relation(CdcS3State *st, Cursor *c)
{
	Oid relid = get_u32(c);

	(void) get_u32(c); /* the version is the current one */
	return hash_search(st->rels, &relid, HASH_FIND, NULL);
}

static void
show_change(CdcS3State *st, StringInfo out, Cursor *c, const char *verb,
			bool has_new, uint8 flags)
{
	CdcS3Rel *rel = get_relation(st, c);
	Details d = { .has_lsn = true, .has_ordinal = true };

	d.lsn = get_u64(c);
	d.ordinal = get_u64(c);
	if (flags & CDC_S3_CHANGE_XID)
	{
		d.has_xid = true;
		d.xid = get_u32(c);
	}
	appendStringInfoString(out, verb);
	show_details(st, out, &d);
	appendStringInfo(
		out, " %s:", quote_qualified_identifier(rel->schema, rel->name));
	if (flags & (CDC_S3_OLD_KEY | CDC_S3_OLD_FULL))
	{
		bool key_only = (flags & CDC_S3_OLD_KEY) != 0;

		appendStringInfoString(out, key_only ? " key" : " old");
		show_row(out, c, rel, key_only);
		if (has_new)
			appendStringInfoString(out, " new");
	}
	if (has_new)
		show_row(out, c, rel, false);
	if (flags & CDC_S3_KEY_CHANGED)
		appendStringInfoString(out, " (key changed)");
	if (flags & CDC_S3_NO_IDENTITY)
		appendStringInfoString(out, " (no identity)");
}

static void
show_truncate(CdcS3State *st, StringInfo out, Cursor *c, uint8 flags)
{
	Details d = { .has_lsn = true, .has_ordinal = true };
	int n;

	d.lsn = get_u64(c);
	d.ordinal = get_u64(c);
	if (flags & CDC_S3_CHANGE_XID)
	{
		d.has_xid = true;
		d.xid = get_u32(c);
	}
	appendStringInfoString(out, "truncate");
	show_details(st, out, &d);
	n = get_u16(c);
	for (int i = 0; i < n; i++)
	{
		CdcS3Rel *rel = get_relation(st, c);

		appendStringInfo(out, "%s %s", i > 0 ? "," : "",
						 quote_qualified_identifier(rel->schema, rel->name));
		if (get_u8(c) & CDC_S3_TRUNC_PARTIAL)
		{
			uint32 len = get_u32(c);

			appendStringInfoString(out, " where ");
			appendBinaryStringInfo(out, get_bytes(c, len), (int) len);
		}
	}
	if (flags & CDC_S3_TRUNC_CASCADE)
		appendStringInfoString(out, " (cascade)");
	if (flags & CDC_S3_TRUNC_RESTART)
		appendStringInfoString(out, " (restart identity)");
}

static void
show_message(CdcS3State *st, StringInfo out, Cursor *c, uint8 flags)
{
	Details d = { .has_lsn = true, .has_ordinal = true };
	const char *prefix;
	uint32 len;

	d.lsn = get_u64(c);
	d.ordinal = get_u64(c);
	if (flags & CDC_S3_CHANGE_XID)
	{
		d.has_xid = true;
		d.xid = get_u32(c);
	}
	appendStringInfoString(out, "message");
	show_details(st, out, &d);
	appendStringInfoString(out, flags & CDC_S3_MSG_TRANSACTIONAL
									? " transactional "
									: " non-transactional ");
	prefix = get_str(c);
	show_quoted(out, prefix, strlen(prefix));
	appendStringInfoString(out, ": ");
	len = get_u32(c);
	show_content(out, get_bytes(c, len), len);
}

static void
show_begin(CdcS3State *st, StringInfo out, Cursor *c, const char *verb,
		   uint8 flags)
{
	Details d = { .has_xid = true, .has_lsn = true, .has_time = true };

	d.xid = get_u32(c);
	d.lsn = get_u64(c);
	d.time = (int64) get_u64(c);
	appendStringInfoString(out, verb);
	show_details(st, out, &d);
	if (flags & CDC_S3_BEGIN_ORIGIN)
	{
		const char *origin = get_str(c);

		appendStringInfoString(out, " origin ");
		show_quoted(out, origin, strlen(origin));
	}
}

static void
show_commit(CdcS3State *st, StringInfo out, Cursor *c)
{
	Details d = { .has_lsn = true, .has_time = true, .has_ordinal = true };

	d.lsn = get_u64(c);
	d.time = (int64) get_u64(c);
	d.ordinal = get_u64(c);
	appendStringInfoString(out, "commit");
	show_details(st, out, &d);
}

static const char *
identity_name(char identity)
{
	switch (identity)
	{
		case REPLICA_IDENTITY_DEFAULT:
			return "default";
		case REPLICA_IDENTITY_INDEX:
			return "index";
		case REPLICA_IDENTITY_FULL:
			return "full";
		default:
			return "nothing";
	}
}

static const char *
show_column(StringInfo out, Cursor *c)
{
	uint8 kind = get_u8(c);
	uint8 flags = get_u8(c);
	int16 attnum = (int16) get_u16(c);
	uint16 pk = get_u16(c);
	int32 typmod;
	const char *name;
	const char *schema;

	(void) get_u32(c); /* OIDs would differ from run to run */
	(void) get_u32(c);
	typmod = (int32) get_u32(c);
	name = get_str(c);
	schema = get_str(c);
	appendStringInfo(out, "%d %s %s.%s", attnum, quote_identifier(name), schema,
					 get_str(c));
	if (typmod >= 0)
		appendStringInfo(out, "(%d)", typmod);
	appendStringInfo(out, " kind %d", kind);
	if (pk > 0)
		appendStringInfo(out, " pk %d", pk);
	if (flags & CDC_S3_COL_IDENTITY)
		appendStringInfoString(out, " identity");
	if (flags & CDC_S3_COL_KEY)
		appendStringInfoString(out, " key");
	if (flags & CDC_S3_COL_NOT_NULL)
		appendStringInfoString(out, " not null");
	if (flags & CDC_S3_COL_GENERATED)
		appendStringInfoString(out, " generated");
	return name;
}

/* Missing values, of the columns whose names these are. */
static void
show_missing(StringInfo out, Cursor *c, const char **names)
{
	int n;

	(void) get_u32(c); /* the row type */
	n = get_u16(c);
	for (int i = 0; i < n; i++)
	{
		const char *name = names[get_u16(c)];
		uint32 len = get_u32(c);

		appendStringInfo(out, "%s %s=", i > 0 ? "" : " missing",
						 quote_identifier(name));
		if (len == CDC_S3_NO_TEXT)
			appendStringInfoString(out, "?");
		else
			show_quoted(out, get_bytes(c, len), len);
	}
}

static void
show_relation(StringInfo out, Cursor *c, uint8 flags)
{
	char identity;
	const char *schema;
	const char **names;
	int n;

	(void) get_u32(c); /* OIDs and version */
	(void) get_u32(c);
	(void) get_u32(c);
	identity = (char) get_u8(c);
	schema = get_str(c);
	appendStringInfo(out, "relation %s",
					 quote_qualified_identifier(schema, get_str(c)));
	schema = get_str(c);
	appendStringInfo(out, " of %s",
					 quote_qualified_identifier(schema, get_str(c)));
	if (flags & CDC_S3_REL_AS_ROOT)
		appendStringInfoString(out, " as root");
	appendStringInfo(out, " identity %s:", identity_name(identity));
	n = get_u16(c);
	names = palloc(sizeof(char *) * Max(n, 1));
	for (int i = 0; i < n; i++)
	{
		appendStringInfoString(out, i > 0 ? ", " : " ");
		names[i] = show_column(out, c);
	}
	show_missing(out, c, names);
}

/* The name of a table, which the stream may not want any more, or not know. */
static void
show_name(StringInfo out, const CdcS3Rel *rel)
{
	Cursor c;
	const char *schema;

	if (rel && rel->name)
	{
		appendStringInfo(out, "%s%s", rel->as_root ? "partition of " : "",
						 quote_qualified_identifier(rel->schema, rel->name));
		return;
	}
	if (!rel || !rel->body)
	{
		appendStringInfoString(out, "(no name)");
		return;
	}
	c = (Cursor){ rel->body + 13, rel->body + rel->body_len };
	schema = get_str(&c);
	appendStringInfoString(out,
						   quote_qualified_identifier(schema, get_str(&c)));
}

/* What became of a table. */
static void
show_table(CdcS3State *st, StringInfo out, Cursor *c, uint8 frame_flags)
{
	Details d = { .has_lsn = true, .has_ordinal = true };
	CdcS3Rel *rel;
	uint8 flags;

	d.lsn = get_u64(c);
	d.ordinal = get_u64(c);
	if (frame_flags & CDC_S3_CHANGE_XID)
	{
		d.has_xid = true;
		d.xid = get_u32(c);
	}
	rel = get_relation(st, c);
	flags = get_u8(c);
	appendStringInfoString(out, "table");
	show_details(st, out, &d);
	appendStringInfoChar(out, ' ');
	show_name(out, rel);
	appendStringInfoChar(out, ':');
	if (flags & CDC_S3_TABLE_CREATED)
		appendStringInfoString(out, " created");
	if (flags & CDC_S3_TABLE_REWRITTEN)
		appendStringInfoString(out, " rewritten");
	if (flags & CDC_S3_TABLE_GONE)
		appendStringInfoString(out, " gone");
	if (flags & CDC_S3_TABLE_LEFT)
		appendStringInfoString(out, " left");
	if (flags == 0)
		appendStringInfoString(out, " altered");
}

static void
show_stream(CdcS3State *st, StringInfo out, Cursor *c, uint8 type)
{
	Details d = { .has_xid = true };

	d.xid = get_u32(c);
	if (type == CDC_S3_STREAM_ABORT)
	{
		uint32 sub = get_u32(c);

		appendStringInfoString(out, sub == d.xid
										? "stream abort"
										: "stream abort of subtransaction");
		d.xid = sub;
		d.has_lsn = true;
		d.lsn = get_u64(c);
	}
	else
		appendStringInfoString(
			out, type == CDC_S3_STREAM_START ? "stream start" : "stream stop");
	show_details(st, out, &d);
}

static void
show_prepared(CdcS3State *st, StringInfo out, Cursor *c, const char *verb)
{
	Details d = { .has_xid = true, .has_lsn = true, .has_time = true };
	const char *gid;

	d.xid = get_u32(c);
	d.lsn = get_u64(c);
	d.time = (int64) get_u64(c);
	appendStringInfoString(out, verb);
	show_details(st, out, &d);
	appendStringInfoChar(out, ' ');
	gid = get_str(c);
	show_quoted(out, gid, strlen(gid));
}

static void
show_frame(CdcS3State *st, StringInfo out, Cursor *c, uint8 type, uint8 flags)
{
	switch ((CdcS3Frame) type)
	{
		case CDC_S3_INSERT:
			show_change(st, out, c, "insert", true, flags);
			break;
		case CDC_S3_UPDATE:
			show_change(st, out, c, "update", true, flags);
			break;
		case CDC_S3_DELETE:
			show_change(st, out, c, "delete", false, flags);
			break;
		case CDC_S3_TRUNCATE:
			show_truncate(st, out, c, flags);
			break;
		case CDC_S3_MESSAGE:
			show_message(st, out, c, flags);
			break;
		case CDC_S3_BEGIN:
			show_begin(st, out, c, "begin", flags);
			break;
		case CDC_S3_COMMIT:
			show_commit(st, out, c);
			break;
		case CDC_S3_RELATION:
			show_relation(out, c, flags);
			break;
		case CDC_S3_TABLE:
			show_table(st, out, c, flags);
			break;
		case CDC_S3_STREAM_START:
		case CDC_S3_STREAM_STOP:
		case CDC_S3_STREAM_ABORT:
			show_stream(st, out, c, type);
			break;
		case CDC_S3_STREAM_COMMIT:
			show_begin(st, out, c, "stream commit", flags);
			break;
		case CDC_S3_PREPARE:
			show_prepared(st, out, c, "prepare");
			break;
		case CDC_S3_COMMIT_PREPARED:
			show_prepared(st, out, c, "commit prepared");
			break;
		case CDC_S3_ROLLBACK_PREPARED:
			show_prepared(st, out, c, "rollback prepared");
			break;
		case CDC_S3_HELLO:
		case CDC_S3_PART:
			break;
	}
}

/* Write the line of one whole frame. */
void
cdc_s3_text_frame(CdcS3State *st, const char *frame, Size len)
{
	uint8 type = (uint8) frame[0];
	Cursor c = { frame + CDC_S3_FRAME_HEADER, frame + len };
	bool pinned = st->pinned;
	int nest_level;
	MemoryContext old;

	if (type == CDC_S3_HELLO ||
		(type == CDC_S3_RELATION && !st->opt.include_relation))
		return;
	OutputPluginPrepareWrite(st->ctx, true);
	old = MemoryContextSwitchTo(st->scratch);
	nest_level = NewGUCNestLevel();
	cdc_s3_pin_settings(st);
	show_frame(st, st->ctx->out, &c, type, (uint8) frame[1]);
	AtEOXact_GUC(true, nest_level);
	st->pinned = pinned;
	MemoryContextSwitchTo(old);
	cdc_s3_deliver_prepared(st);
}
