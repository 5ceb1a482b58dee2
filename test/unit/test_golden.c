/*-------------------------------------------------------------------------
 * test_golden.c
 *	  codec/frame: the plugin's golden packets are read as the plugin tells
 *	  them as text, and each byte of them is needed.
 *-------------------------------------------------------------------------
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "../fuzz/frame_encode.h"
#include "base/mem.h"
#include "codec/pgfmt.h"
#include "packets.h"

#define GOLDEN CDC_S3_TOP "/test/golden/"
#define MAX_PACKETS 64

static const char *const goldens[] = { "changes", "kinds",   "messages",
									   "parts",   "raw",     "tables",
									   "toast",   "withheld" };

typedef struct Golden
{
	int n;
	Slice packets[MAX_PACKETS]; /* each in memory of exactly its size */
} Golden;

static void
read_golden(const char *name, Golden *g)
{
	char *path = xasprintf(GOLDEN "%s.hex", name);
	FILE *f = fopen(path, "r");
	char *line = NULL;
	size_t size = 0;
	ssize_t len;

	g->n = 0;
	if (!f)
		fail_msg("no %s", path);
	while ((len = getline(&line, &size, f)) > 1)
	{
		size_t n = (size_t) len / 2;
		uint8_t *p = xmalloc(n);

		assert_true(g->n < MAX_PACKETS);
		assert_true(hex_decode(line, n, p));
		g->packets[g->n++] = (Slice){ p, n };
	}
	assert_true(g->n > 0);
	free(line);
	(void) fclose(f);
	free(path);
}

static void
free_golden(Golden *g)
{
	for (int i = 0; i < g->n; i++)
		free((void *) g->packets[i].p);
}

/*
 * An event as the plugin's format "text" has it.  What the decoder does not
 * hand out is a \1, which stands for anything.
 */

/* "-0043-03-15T12:00:00" to "0044-03-15 12:00:00 BC" */
static void
show_time(Buf *out, const char *iso, size_t n, const char *zone)
{
	bool bc = *iso == '-' || strncmp(iso, "0000-", 5) == 0;
	long year = labs(strtol(iso, NULL, 10)) + bc;
	const char *rest = memchr(iso + 1, '-', n - 1);

	if (!rest || strncmp(rest, "-infinity", 9) == 0)
	{
		buf_add(out, iso, n);
		return;
	}
	buf_printf(out, "%04ld", year);
	for (; rest < iso + n; rest++)
	{
		if (*rest != 'Z')
			buf_byte(out, *rest == 'T' ? ' ' : (uint8_t) *rest);
	}
	buf_str(out, zone);
	if (bc)
		buf_str(out, " BC");
}

static void
show_value(Buf *out, uint8_t kind, const ColView *v)
{
	char o[1024];
	size_t n = 0;
	float f4;
	double f8;
	uint32_t u32;
	uint64_t u64;
	bool special;

	assert_true(kind_width(kind) == 0 || kind_width(kind) == (int) v->n);
	switch (kind)
	{
		case CDC_S3_KIND_BOOL:
			buf_str(out, *v->p ? "t" : "f");
			return;
		case CDC_S3_KIND_INT2:
			n = fmt_i64(o, (int16_t) get_u16(v->p));
			break;
		case CDC_S3_KIND_INT4:
			n = fmt_i64(o, (int32_t) get_u32(v->p));
			break;
		case CDC_S3_KIND_INT8:
			n = fmt_i64(o, (int64_t) get_u64(v->p));
			break;
		case CDC_S3_KIND_OID:
			n = fmt_u64(o, get_u32(v->p));
			break;
		case CDC_S3_KIND_FLOAT4:
			u32 = get_u32(v->p);
			memcpy(&f4, &u32, sizeof(f4));
			n = fmt_float4(o, f4);
			break;
		case CDC_S3_KIND_FLOAT8:
			u64 = get_u64(v->p);
			memcpy(&f8, &u64, sizeof(f8));
			n = fmt_float8(o, f8);
			break;
		case CDC_S3_KIND_NUMERIC:
			assert_true(fmt_numeric_size(v->p, v->n) <= sizeof(o));
			n = fmt_numeric(o, v->p, v->n, &special);
			break;
		default:
			break;
	}
	if (n > 0)
	{
		buf_add(out, o, n);
		return;
	}
	buf_byte(out, '\'');
	switch (kind)
	{
		case CDC_S3_KIND_DATE:
			n = fmt_date(o, (int32_t) get_u32(v->p));
			show_time(out, o, n, "");
			break;
		case CDC_S3_KIND_TIMESTAMP:
			n = fmt_timestamp(o, (int64_t) get_u64(v->p), false);
			show_time(out, o, n, "");
			break;
		case CDC_S3_KIND_TIMESTAMPTZ:
			n = fmt_timestamp(o, (int64_t) get_u64(v->p), true);
			show_time(out, o, n, "+00");
			break;
		case CDC_S3_KIND_TIME:
			buf_add(out, o, fmt_time(o, (int64_t) get_u64(v->p)));
			break;
		case CDC_S3_KIND_TIMETZ:
			n = fmt_timetz(o, (int64_t) get_u64(v->p),
						   (int32_t) get_u32(v->p + 8));
			buf_add(out, o, n);
			break;
		case CDC_S3_KIND_INTERVAL:
			n = fmt_interval(o, (int64_t) get_u64(v->p),
							 (int32_t) get_u32(v->p + 8),
							 (int32_t) get_u32(v->p + 12));
			buf_add(out, o, n);
			break;
		case CDC_S3_KIND_UUID:
			buf_add(out, o, fmt_uuid(o, v->p));
			break;
		case CDC_S3_KIND_BYTEA:
			buf_str(out, "\\x");
			for (uint32_t i = 0; i < v->n; i++)
				buf_printf(out, "%02x", v->p[i]);
			break;
		default:
			buf_add(out, v->p, v->n);
			break;
	}
	buf_byte(out, '\'');
}

static void
show_row(Buf *out, const Schema *s, const RowView *row)
{
	assert_int_equal(row->ncols, s->ncols);
	for (int i = 0; i < row->ncols; i++)
	{
		const ColView *v = &row->cols[i];

		if (v->state == COL_ABSENT)
			continue;
		buf_printf(out, " %s=", s->cols[i].name);
		if (v->state == COL_NULL)
			buf_str(out, "null");
		else if (v->state == COL_UNCHANGED)
			buf_str(out, "unchanged");
		else
		{
			assert_int_equal(v->state, COL_VALUE);
			show_value(out, s->cols[i].kind, v);
		}
	}
}

static void
show_change(Buf *out, const FrameEvent *ev)
{
	const Schema *s = ev->rel->schema;

	buf_printf(out, "%s %s.%s:",
			   ev->type == CDC_S3_INSERT   ? "insert"
			   : ev->type == CDC_S3_UPDATE ? "update"
										   : "delete",
			   s->schema, s->table);
	if (ev->old_row.ncols > 0)
	{
		buf_str(out, ev->flags & CDC_S3_OLD_FULL ? " old" : " key");
		show_row(out, s, &ev->old_row);
	}
	if (ev->type != CDC_S3_DELETE)
	{
		if (ev->old_row.ncols > 0)
			buf_str(out, " new");
		show_row(out, s, &ev->new_row);
	}
	if (ev->flags & CDC_S3_KEY_CHANGED)
		buf_str(out, " (key changed)");
	if (ev->flags & CDC_S3_NO_IDENTITY)
		buf_str(out, " (no identity)");
}

static void
show_missing(Buf *out, const Schema *s)
{
	const char *before = " missing";

	for (int i = 0; i < s->ncols; i++)
	{
		const SchemaColumn *c = &s->cols[i];

		if (!c->has_missing)
			continue;
		buf_printf(out, c->missing ? "%s %s='%s'" : "%s %s=?", before, c->name,
				   c->missing);
		before = "";
	}
}

static void
show_relation(Buf *out, const FrameEvent *ev)
{
	const Schema *s = ev->rel->schema;

	buf_printf(out, "relation \1 of %s.%s%s identity %s:", s->schema, s->table,
			   ev->flags & CDC_S3_REL_AS_ROOT ? " as root" : "",
			   s->identity == 'f'   ? "full"
			   : s->identity == 'd' ? "default"
									: "?");
	for (int i = 0; i < s->ncols; i++)
	{
		const SchemaColumn *c = &s->cols[i];

		buf_printf(out, "%s %d %s %s.%s", i ? "," : "", c->attnum, c->name,
				   c->type_schema, c->type_name);
		if (c->typmod >= 0)
			buf_printf(out, "(%d)", c->typmod);
		buf_printf(out, " kind %d", c->kind);
		if (c->pk)
			buf_printf(out, " pk %d", c->pk);
		buf_printf(out, "%s%s%s%s", c->identity ? " identity" : "",
				   c->key ? " key" : "", c->not_null ? " not null" : "",
				   c->generated ? " generated" : "");
		assert_string_equal(c->json_name, c->name);
	}
	show_missing(out, s);
	assert_true(s->row_type >= 16384 && s->row_type != s->relation_id);
	assert_int_equal(strlen(s->hash), SCHEMA_HASH_LEN);
}

static void
show_table(Buf *out, const FrameEvent *ev)
{
	static const struct
	{
		uint8_t flag;
		const char *what;
	} rows[] = {
		{ CDC_S3_TABLE_CREATED, " created" },
		{ CDC_S3_TABLE_REWRITTEN, " rewritten" },
		{ CDC_S3_TABLE_GONE, " gone" },
		{ CDC_S3_TABLE_LEFT, " left" },
	};
	const FrameRelation *rel = ev->rel;

	if (!rel)
		buf_str(out, "table (no name):");
	else
		buf_printf(out, "table %s%s.%s:",
				   rel->id != rel->schema->relation_id ? "partition of " : "",
				   rel->schema->schema, rel->schema->table);
	for (size_t i = 0; i < COUNT(rows); i++)
		buf_str(out, ev->table_flags & rows[i].flag ? rows[i].what : "");
	if (ev->table_flags == 0)
		buf_str(out, " altered");
}

static void
show_truncate(Buf *out, const FrameEvent *ev)
{
	buf_str(out, "truncate ");
	for (int i = 0; i < ev->nrels; i++)
	{
		const Schema *s = ev->rels[i]->schema;

		buf_printf(out, "%s%s.%s", i ? ", " : "", s->schema, s->table);
		if (ev->rel_flags[i] & CDC_S3_TRUNC_PARTIAL)
		{
			buf_str(out, " where ");
			buf_add(out, ev->rel_bounds[i].p, ev->rel_bounds[i].n);
		}
	}
	if (ev->flags & CDC_S3_TRUNC_CASCADE)
		buf_str(out, " (cascade)");
	if (ev->flags & CDC_S3_TRUNC_RESTART)
		buf_str(out, " (restart identity)");
}

static void
show_event(Buf *out, const FrameEvent *ev)
{
	buf_reset(out);
	switch (ev->type)
	{
		case CDC_S3_RELATION:
			show_relation(out, ev);
			break;
		case CDC_S3_BEGIN:
			buf_str(out, "begin");
			if (ev->flags & CDC_S3_BEGIN_ORIGIN)
				buf_str(out, " origin \1");
			break;
		case CDC_S3_COMMIT:
			buf_str(out, "commit");
			break;
		case CDC_S3_TRUNCATE:
			show_truncate(out, ev);
			break;
		case CDC_S3_TABLE:
			show_table(out, ev);
			break;
		case CDC_S3_MESSAGE:
			buf_printf(out, "message %stransactional '",
					   ev->flags & CDC_S3_MSG_TRANSACTIONAL ? "" : "non-");
			buf_add(out, ev->prefix.p, ev->prefix.n);
			buf_str(out, "': '");
			buf_add(out, ev->content.p, ev->content.n);
			buf_str(out, "'");
			break;
		default:
			show_change(out, ev);
			break;
	}
}

/* Equal, a \1 in "got" standing for any run of characters. */
static bool
matches(const char *got, const char *want)
{
	const char *any = strchr(got, '\1');
	size_t head = any ? (size_t) (any - got) : 0;
	size_t tail = any ? strlen(any + 1) : 0;

	if (!any)
		return strcmp(got, want) == 0;
	return strlen(want) > head + tail && strncmp(got, want, head) == 0 &&
		   strcmp(any + 1, want + strlen(want) - tail) == 0;
}

/*
 * Positions of one transaction: begin and commit agree, ordinals rise.  A table
 * frame has that of the change that follows, or its own behind all of them.
 */
static void
check_order(const FrameEvent *ev, FrameEvent *begin, uint64_t *ordinal)
{
	if (ev->type == CDC_S3_BEGIN)
	{
		*begin = *ev;
		*ordinal = 0;
		assert_true(ev->xid > 0);
		assert_true(ev->lsn > 0);
		assert_true(ev->time > INT64_C(800000000000000)); /* 2025 */
	}
	else if (ev->type == CDC_S3_COMMIT)
	{
		assert_true(ev->lsn == begin->lsn);
		assert_true(ev->time == begin->time);
		assert_true(ev->ordinal == *ordinal || begin->type == CDC_S3_TABLE);
		assert_true(ev->ordinal >= *ordinal);
	}
	else if (ev->type == CDC_S3_TABLE)
	{
		assert_true(ev->ordinal > *ordinal);
		begin->type = CDC_S3_TABLE; /* there was one */
	}
	else if (ev->type != CDC_S3_RELATION && ev->ordinal > 0)
	{
		assert_true(ev->ordinal > *ordinal);
		assert_true(ev->lsn < begin->lsn);
		*ordinal = ev->ordinal;
		/* those that it takes besides */
		if (ev->type == CDC_S3_UPDATE && ev->flags & CDC_S3_KEY_CHANGED)
			++*ordinal;
		if (ev->type == CDC_S3_TRUNCATE)
			*ordinal += (uint64_t) ev->nrels - 1;
	}
}

static void
check_golden(const char *name)
{
	char *path = xasprintf(GOLDEN "%s.txt", name);
	FILE *f = fopen(path, "r");
	FrameReader *r = frame_reader_new(MAX_FRAME, NULL, NULL);
	FrameEvent begin = { 0 };
	uint64_t ordinal = 0;
	char *want = NULL;
	size_t size = 0;
	Golden g;
	Buf got;

	assert_non_null(f);
	read_golden(name, &g);
	buf_init(&got, SIZE_MAX);
	for (int i = 0; i < g.n; i++)
	{
		FrameEvent ev;

		start(r, g.packets[i]);
		while (next(r, &ev))
		{
			if (ev.type == CDC_S3_HELLO)
			{
				assert_int_equal(i, 0);
				continue;
			}
			check_order(&ev, &begin, &ordinal);
			show_event(&got, &ev);
			assert_true(getline(&want, &size, f) > 0);
			want[strcspn(want, "\n")] = '\0';
			if (!matches(buf_cstr(&got), want))
				fail_msg("%s:\nwant %s\ngot  %s", name, want, buf_cstr(&got));
		}
	}
	assert_int_equal(getline(&want, &size, f), -1);
	free(want);
	buf_done(&got);
	free_golden(&g);
	frame_reader_free(r);
	(void) fclose(f);
	free(path);
}

static void
test_golden(void **state)
{
	(void) state;
	for (size_t i = 0; i < COUNT(goldens); i++)
	{
		/* its text is of another encoding; see test_golden_withheld */
		if (strcmp(goldens[i], "withheld") != 0)
			check_golden(goldens[i]);
	}
}

static void
test_golden_withheld(void **state)
{
	static const uint8_t kanji[] = { 0xe6, 0x97, 0xa5, 0xe6, 0x9c, 0xac };
	FrameReader *r = frame_reader_new(MAX_FRAME, NULL, NULL);
	int inserts = 0;
	Golden g;

	(void) state;
	read_golden("withheld", &g);
	for (int i = 0; i < g.n; i++)
	{
		FrameEvent ev;

		start(r, g.packets[i]);
		while (next(r, &ev))
		{
			const ColView *c = ev.new_row.cols;

			if (ev.type == CDC_S3_HELLO)
			{
				assert_false(ev.hello.raw_text);
				assert_memory_equal(ev.hello.server_encoding.p, "EUC_JP", 6);
			}
			if (ev.type != CDC_S3_INSERT)
				continue;
			assert_int_equal(ev.new_row.ncols, 4);
			assert_int_equal(get_u32(c[0].p), ++inserts);
			assert_int_equal(get_u32(c[3].p), 7);
			if (inserts == 1)
			{
				assert_int_equal(c[1].state, COL_VALUE);
				assert_int_equal(c[1].n, sizeof(kanji));
				assert_memory_equal(c[1].p, kanji, sizeof(kanji));
				assert_int_equal(c[2].state, COL_NULL);
				continue;
			}
			assert_int_equal(c[1].state, COL_WITHHELD);
			assert_int_equal(c[1].reason, CDC_S3_WITHHELD_ENCODING);
			assert_int_equal(c[1].size, 4);
			assert_int_equal(c[1].n, 4);
			assert_memory_equal(c[1].p, "ab\xa9\xa1", 4);
			assert_int_equal(c[1].crc32c, crc32c(0, c[1].p, 4));
			assert_int_equal(c[2].state,
							 inserts == 2 ? COL_WITHHELD : COL_NULL);
			if (inserts == 2)
				assert_int_equal(c[2].reason, CDC_S3_WITHHELD_ENCODING);
		}
	}
	assert_int_equal(inserts, 3);
	free_golden(&g);
	frame_reader_free(r);
}

static void
test_golden_hello(void **state)
{
	FrameReader *r = frame_reader_new(MAX_FRAME, NULL, NULL);
	FrameEvent ev;
	Golden g;

	(void) state;
	read_golden("raw", &g);
	start(r, g.packets[0]);
	assert_true(next(r, &ev));
	assert_int_equal(ev.type, CDC_S3_HELLO);
	assert_true(ev.hello.raw_text);
	assert_int_equal(ev.hello.server_encoding.n, 9);
	assert_memory_equal(ev.hello.server_encoding.p, "SQL_ASCII", 9);
	assert_int_equal(ev.hello.database.n, 3);
	assert_memory_equal(ev.hello.database.p, "raw", 3);
	assert_int_equal(ev.hello.plugin_version.n, strlen(CDC_S3_PLUGIN_VERSION));
	assert_true(ev.hello.server_version >= 150000);
	free_golden(&g);
	frame_reader_free(r);
}

/* A frame of the packet behind its header; p moves behind it. */
static Slice
cut_frame(Slice *p, uint8_t *type, uint8_t *flags)
{
	Slice body;

	assert_true(p->n >= CDC_S3_FRAME_HEADER);
	*type = p->p[0];
	*flags = p->p[1];
	body = (Slice){ p->p + CDC_S3_FRAME_HEADER, get_u32(p->p + 2) };
	p->p += CDC_S3_FRAME_HEADER + body.n;
	p->n -= CDC_S3_FRAME_HEADER + body.n;
	return body;
}

/* What was decoded, encoded again, gives the plugin's bytes. */
static void
test_golden_identity(void **state)
{
	int changes = 0;

	(void) state;
	for (size_t k = 0; k < COUNT(goldens); k++)
	{
		FrameReader *r = frame_reader_new(MAX_FRAME, NULL, NULL);
		Golden g;
		Buf again;
		Buf parts;

		read_golden(goldens[k], &g);
		buf_init(&again, SIZE_MAX);
		buf_init(&parts, SIZE_MAX);
		for (int i = 0; i < g.n; i++)
		{
			Slice rest = { g.packets[i].p + CDC_S3_PACKET_HEADER,
						   g.packets[i].n - CDC_S3_PACKET_HEADER };
			FrameEvent ev;

			start(r, g.packets[i]);
			while (rest.n > 0)
			{
				uint8_t type;
				uint8_t flags;
				Slice body = cut_frame(&rest, &type, &flags);

				if (type == CDC_S3_PART)
				{
					buf_add(&parts, body.p + 6, body.n - 6);
					if (!(flags & CDC_S3_PART_LAST))
						continue;
					type = body.p[0];
					flags = body.p[1];
					body = buf_slice(&parts);
				}
				assert_true(next(r, &ev));
				assert_int_equal(ev.type, type);
				assert_int_equal(ev.flags, flags);
				if (strchr("IUD", type))
				{
					buf_reset(&again);
					put_change(&again, &ev, body);
					assert_int_equal(again.n, body.n);
					assert_memory_equal(again.p, body.p, body.n);
					changes++;
				}
				buf_reset(&parts);
			}
			assert_false(next(r, &ev));
		}
		buf_done(&again);
		buf_done(&parts);
		free_golden(&g);
		frame_reader_free(r);
	}
	assert_true(changes > 40);
}

/*
 * Streamed and prepared transactions are never asked for: their frames are
 * refused.  The changes between them are read, with the xid they carry.
 */
static void
test_golden_streams(void **state)
{
	static const char *const names[] = { "stream", "prepared" };
	int refused = 0;
	int changes = 0;

	(void) state;
	for (size_t k = 0; k < COUNT(names); k++)
	{
		FrameReader *r = frame_reader_new(MAX_FRAME, NULL, NULL);
		Buf frame;
		Buf packet;
		Buf again;
		Golden g;

		read_golden(names[k], &g);
		buf_init(&frame, SIZE_MAX);
		buf_init(&packet, SIZE_MAX);
		buf_init(&again, SIZE_MAX);
		for (int i = 0; i < g.n; i++)
		{
			Slice rest = { g.packets[i].p + CDC_S3_PACKET_HEADER,
						   g.packets[i].n - CDC_S3_PACKET_HEADER };

			while (rest.n > 0)
			{
				uint8_t type;
				uint8_t flags;
				Slice body = cut_frame(&rest, &type, &flags);
				FrameEvent ev;
				Err err;

				buf_reset(&frame);
				buf_reset(&packet);
				put_frame(&frame, type, flags, body);
				put_packet(&packet, buf_slice(&frame));
				if (strchr("SEApcr", type))
				{
					assert_false(swallow(r, buf_slice(&packet), &err));
					assert_int_equal(err.kind, ERR_DATA);
					refused++;
					continue;
				}
				start(r, buf_slice(&packet));
				assert_true(next(r, &ev));
				if (k == 0 && strchr("IMT", type))
				{
					assert_int_equal(ev.flags & CDC_S3_CHANGE_XID,
									 CDC_S3_CHANGE_XID);
					assert_true(ev.xid > 0);
				}
				if (type == CDC_S3_INSERT)
				{
					buf_reset(&again);
					put_change(&again, &ev, body);
					assert_int_equal(again.n, body.n);
					assert_memory_equal(again.p, body.p, body.n);
					changes++;
				}
				if (type == CDC_S3_TRUNCATE)
					assert_string_equal(ev.rels[0]->schema->table, "streamed");
			}
		}
		buf_done(&frame);
		buf_done(&packet);
		buf_done(&again);
		free_golden(&g);
		frame_reader_free(r);
	}
	assert_true(refused > 8);
	assert_true(changes >= 1202);
}

/* The packet's first n bytes in memory of that size, with a right CRC. */
static uint8_t *
cut_packet(Slice packet, size_t n)
{
	uint8_t *p = xmalloc(n);

	memcpy(p, packet.p, n);
	if (n >= CDC_S3_PACKET_HEADER)
	{
		uint32_t crc =
			crc32c(0, p + CDC_S3_PACKET_HEADER, n - CDC_S3_PACKET_HEADER);

		for (int i = 0; i < 4; i++)
			p[4 + i] = (uint8_t) (crc >> (8 * i));
	}
	return p;
}

/* Is this offset the end of a frame? */
static bool
at_frame_end(Slice packet, size_t n)
{
	size_t at = CDC_S3_PACKET_HEADER;

	while (at < n && at + CDC_S3_FRAME_HEADER <= packet.n)
		at += CDC_S3_FRAME_HEADER + get_u32(packet.p + at + 2);
	return at == n;
}

/*
 * Packets cut off at every offset, with the CRC of what is left, so that the
 * frames themselves are looked at.
 */
static void
test_truncated(void **state)
{
	(void) state;
	for (size_t k = 0; k < COUNT(goldens); k++)
	{
		FrameReader *r = frame_reader_new(MAX_FRAME, NULL, NULL);
		Golden g;
		Err err;

		read_golden(goldens[k], &g);
		for (int i = 0; i < g.n; i++)
		{
			for (size_t n = 0; n < g.packets[i].n; n++)
			{
				uint8_t *p = cut_packet(g.packets[i], n);
				bool ok = swallow(r, (Slice){ p, n }, &err);

				if (ok != at_frame_end(g.packets[i], n))
					fail_msg("%s, packet %d cut at %zu: %s", goldens[k], i, n,
							 ok ? "taken" : err.msg);
				if (!ok)
					assert_int_equal(err.kind, ERR_DATA);
				free(p);
				/* the reader as it was before the packet */
				frame_reader_reset(r);
				for (int b = 0; b < i; b++)
					assert_true(swallow(r, g.packets[b], &err));
			}
			assert_true(swallow(r, g.packets[i], &err));
		}
		free_golden(&g);
		frame_reader_free(r);
	}
}

/* One wrong byte anywhere is seen. */
static void
test_damaged_byte(void **state)
{
	FrameReader *r = frame_reader_new(MAX_FRAME, NULL, NULL);
	Golden g;
	Err err;

	(void) state;
	read_golden("kinds", &g);
	for (size_t n = 0; n < g.packets[0].n; n++)
	{
		uint8_t *p = (uint8_t *) g.packets[0].p + n;

		*p ^= 0x10;
		assert_false(frame_reader_packet(r, g.packets[0], &err));
		assert_int_equal(err.kind, ERR_DATA);
		*p ^= 0x10;
	}
	assert_true(frame_reader_packet(r, g.packets[0], &err));
	free_golden(&g);
	frame_reader_free(r);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_golden),
		cmocka_unit_test(test_golden_withheld),
		cmocka_unit_test(test_golden_hello),
		cmocka_unit_test(test_golden_identity),
		cmocka_unit_test(test_golden_streams),
		cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_damaged_byte),
	};

	return cmocka_run_group_tests_name("golden", tests, NULL, NULL);
}
