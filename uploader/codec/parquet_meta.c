/*-------------------------------------------------------------------------
 * parquet_meta.c
 *	  A record's metadata, from its leaves to the line.
 *
 * Layer: codec.
 *-------------------------------------------------------------------------
 */
#include "codec/json_impl.h"
#include "codec/parquet_read.h"
#include "codec/parquet_value.h"

/* Between 1970 and 2000. */
#define EPOCH_US (10957 * INT64_C(86400000000))

static int
find_column(FormatReader *r, Slice name)
{
	const Schema *s = r->footer.table->schema;

	for (int i = 0; i < s->ncols; i++)
	{
		int at = (r->hint + i) % s->ncols;
		const char *column = s->cols[at].json_name;

		if (strlen(column) != name.n || memcmp(column, name.p, name.n) != 0)
			continue;
		r->hint = at;
		return at;
	}
	return -1;
}

static bool
unknown_name(Slice name, Err *err)
{
	return err_set(err, ERR_DATA, 0,
				   "a record is damaged: it names column \"%.*s\"",
				   name.n > 64 ? 64 : (int) name.n, (const char *) name.p);
}

static bool
take_names(FormatReader *r, int leaf, uint8_t said, Buf *out, Err *err)
{
	Slice name;
	bool more = false;

	if (!reader_list(r, leaf, &more, err))
		return false;
	while (more)
	{
		int at;

		if (!leaf_take(&r->leaves[leaf], &name, err))
			return false;
		at = find_column(r, name);
		if (at < 0)
			return unknown_name(name, err);
		r->said[at] |= said;
		if (out && out->n > 0)
			buf_byte(out, ',');
		if (out)
			json_put_string(out, name.p, name.n);
		if (!reader_more(r, leaf, &more, err))
			return false;
	}
	return true;
}

/* The member of an item that is loaded, or has to be. */
static bool
take_member(FormatReader *r, int leaf, Slice *out, bool *out_there, Err *err)
{
	LeafReader *l = &r->leaves[leaf];
	bool end = false;

	if (!leaf_peek(l, &end, err))
		return false;
	if (end || l->next_def < 2)
		return reader_damaged("a list lacks a member", err);
	*out_there = l->next_def == l->leaf->max_def;
	return leaf_take(l, out, err);
}

/* "name":{"reason":…} of one withheld value. */
static bool
take_one_withheld(FormatReader *r, Err *err)
{
	Buf *out = &r->withheld;
	Slice s = { NULL, 0 };
	bool there = false;
	int at;

	if (!take_member(r, LEAF_WITHHELD_COLUMN, &s, &there, err))
		return false;
	at = find_column(r, s);
	if (at < 0)
		return unknown_name(s, err);
	r->said[at] |= SAID_WITHHELD;
	if (out->n > 0)
		buf_byte(out, ',');
	json_put_string(out, s.p, s.n);
	if (!take_member(r, LEAF_WITHHELD_REASON, &s, &there, err))
		return false;
	buf_str(out, ":{\"reason\":");
	json_put_string(out, s.p, s.n);
	if (!take_member(r, LEAF_WITHHELD_SIZE, &s, &there, err))
		return false;
	buf_printf(out, ",\"size\":%llu", (unsigned long long) get_u64(s.p));
	if (!take_member(r, LEAF_WITHHELD_CRC32C, &s, &there, err))
		return false;
	buf_str(out, ",\"crc32c\":");
	json_put_string(out, s.p, s.n);
	if (!take_member(r, LEAF_WITHHELD_BYTES, &s, &there, err))
		return false;
	if (there)
	{
		buf_str(out, ",\"bytes\":");
		json_put_hex(out, s.p, s.n);
	}
	buf_byte(out, '}');
	return true;
}

static bool
take_withheld(FormatReader *r, Err *err)
{
	bool more = false;
	bool others = false;

	if (!reader_list(r, LEAF_WITHHELD_COLUMN, &more, err))
		return false;
	for (int i = LEAF_WITHHELD_REASON; i <= LEAF_WITHHELD_BYTES; i++)
	{
		if (!reader_list(r, i, &others, err))
			return false;
		if (others != more)
			return reader_damaged("a list lacks a member", err);
	}
	while (more)
	{
		if (!take_one_withheld(r, err) ||
			!reader_more(r, LEAF_WITHHELD_COLUMN, &more, err))
			return false;
	}
	return true;
}

/* Items of one column, one behind the other, are one text. */
static bool
take_exact(FormatReader *r, Err *err)
{
	int ncols = r->footer.table->schema->ncols;
	int last = -1;
	Slice s = { NULL, 0 };
	bool there = false;
	bool more = false;
	bool others = false;

	if (!reader_list(r, LEAF_EXACT_COLUMN, &more, err) ||
		!reader_list(r, LEAF_EXACT_TEXT, &others, err))
		return false;
	if (others != more)
		return reader_damaged("a list lacks a member", err);
	while (more)
	{
		int at;

		if (!take_member(r, LEAF_EXACT_COLUMN, &s, &there, err))
			return false;
		at = s.n == 7 && memcmp(s.p, "_before", 7) == 0 ? ncols
			 : s.n == 4 && memcmp(s.p, "_key", 4) == 0  ? ncols + 1
														: find_column(r, s);
		if (at < 0)
			return unknown_name(s, err);
		if (!take_member(r, LEAF_EXACT_TEXT, &s, &there, err))
			return false;
		if (at != last)
			r->exacts[at] = (Exact){ r->exact.n, 0 };
		r->said[at] |= SAID_EXACT;
		r->exacts[at].n += s.n;
		buf_add(&r->exact, s.p, s.n);
		last = at;
		if (r->exact.overflow)
			return err_set(err, ERR_LIMIT, 0, "line is longer than %zu bytes",
						   r->source.max_line);
		if (!reader_more(r, LEAF_EXACT_COLUMN, &more, err))
			return false;
	}
	return true;
}

/* {"_op":"u","_lsn":"…","_seq":3,"_xid":712,"_ts":"…" */
static bool
take_position(FormatReader *r, Err *err)
{
	Buf *out = &r->line;
	char number[PGFMT_MAX];
	Slice s = { NULL, 0 };
	bool there = false;

	if (!reader_flat(r, LEAF_OP, &s, &there, err))
		return false;
	if (s.n != 1 || !memchr("riudts", s.p[0], 6))
		return reader_damaged("unknown _op", err);
	r->op = (char) s.p[0];
	buf_add(out, "{\"_op\":\"", 8);
	buf_byte(out, s.p[0]);
	buf_str(out, "\",\"_lsn\":");
	if (!reader_flat(r, LEAF_LSN, &s, &there, err))
		return false;
	json_put_string(out, s.p, s.n);
	if (!reader_flat(r, LEAF_SEQ, &s, &there, err))
		return false;
	buf_str(out, ",\"_seq\":");
	buf_add(out, number, fmt_i64(number, (int64_t) get_u64(s.p)));
	if (!reader_flat(r, LEAF_XID, &s, &there, err))
		return false;
	if (there)
	{
		buf_str(out, ",\"_xid\":");
		buf_add(out, number, fmt_i64(number, (int64_t) get_u64(s.p)));
	}
	if (!reader_flat(r, LEAF_TS, &s, &there, err))
		return false;
	buf_str(out, ",\"_ts\":\"");
	buf_add(out, number,
			fmt_timestamp_us(number,
							 (int64_t) (get_u64(s.p) - (uint64_t) EPOCH_US)));
	buf_byte(out, '"');
	return true;
}

static bool
take_json(FormatReader *r, int leaf, const char *name, Err *err)
{
	Slice s = { NULL, 0 };
	bool there = false;

	if (!reader_flat(r, leaf, &s, &there, err))
		return false;
	if (there)
	{
		buf_printf(&r->line, ",\"%s\":", name);
		text_put_json(s, &r->line);
	}
	return true;
}

static bool
take_rare_meta(FormatReader *r, Err *err)
{
	Slice s = { NULL, 0 };
	bool there = false;

	if (!reader_flat(r, LEAF_NOKEY, &s, &there, err))
		return false;
	r->nokey = there && s.p[0];
	if (r->nokey)
		buf_str(&r->line, ",\"_nokey\":true");
	if (!reader_flat(r, LEAF_MOVED, &s, &there, err))
		return false;
	if (there && s.p[0])
		buf_str(&r->line, ",\"_moved\":true");
	if (!take_json(r, LEAF_PARTIAL, "_partial", err) ||
		!reader_flat(r, LEAF_REASON, &s, &there, err))
		return false;
	if (there)
	{
		buf_str(&r->line, ",\"_reason\":");
		json_put_string(&r->line, s.p, s.n);
	}
	return true;
}

static void
put_exact_json(FormatReader *r, int at, const char *name)
{
	const Exact *e = &r->exacts[at];

	if (!(r->said[at] & SAID_EXACT))
		return;
	buf_printf(&r->line, ",\"%s\":", name);
	text_put_json((Slice){ r->exact.p + e->at, e->n }, &r->line);
}

bool
reader_meta(FormatReader *r, Err *err)
{
	int ncols = r->footer.table->schema->ncols;

	if (!take_position(r, err) || !take_rare_meta(r, err) ||
		!take_names(r, LEAF_UNCHANGED, SAID_UNCHANGED, &r->unchanged, err) ||
		!take_withheld(r, err) ||
		!take_names(r, LEAF_JSONNULL, SAID_JSONNULL, NULL, err) ||
		!take_exact(r, err))
		return false;
	if (!take_json(r, LEAF_BEFORE, "_before", err))
		return false;
	put_exact_json(r, ncols, "_before");
	if (!take_json(r, LEAF_KEY, "_key", err))
		return false;
	put_exact_json(r, ncols + 1, "_key");
	if (r->op == 'u' && r->unchanged.n > 0)
	{
		buf_str(&r->line, ",\"_unchanged\":[");
		buf_add(&r->line, r->unchanged.p, r->unchanged.n);
		buf_byte(&r->line, ']');
	}
	return true;
}
