/*-------------------------------------------------------------------------
 * test_frame.c
 *	  codec/frame: the plugin's golden packets are read as the plugin tells
 *	  them as text, damage of any kind is refused, and relations are kept.
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

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define MAX_FRAME (64 * 1024 * 1024)
#define GOLDEN CDC_S3_TOP "/test/golden/"
#define MAX_PACKETS 64

static const char *const goldens[] = { "changes", "kinds", "messages", "parts",
									   "raw",     "toast", "withheld" };

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

/* The next event; false at the packet's end. */
static bool
next(FrameReader *r, FrameEvent *ev)
{
	bool end;
	Err err;

	if (!frame_next(r, ev, &end, &err))
		fail_msg("%s", err.msg);
	return !end;
}

static void
start(FrameReader *r, Slice packet)
{
	Err err;

	if (!frame_reader_packet(r, packet, &err))
		fail_msg("%s", err.msg);
}

/* Reads a packet to its end; false with err where it is refused. */
static bool
swallow(FrameReader *r, Slice packet, Err *err)
{
	FrameEvent ev;
	bool end = false;

	err_clear(err);
	if (!frame_reader_packet(r, packet, err))
		return false;
	while (!end)
	{
		if (!frame_next(r, &ev, &end, err))
			return false;
	}
	return true;
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
	assert_int_equal(strlen(s->hash), SCHEMA_HASH_LEN);
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

/* Positions of one transaction: begin and commit agree, ordinals rise. */
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
		assert_true(ev->ordinal == *ordinal);
	}
	else if (ev->type != CDC_S3_RELATION && ev->ordinal > 0)
	{
		assert_true(ev->ordinal > *ordinal);
		assert_true(ev->lsn < begin->lsn);
		*ordinal = ev->ordinal;
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

static void
test_packet_header(void **state)
{
	static const struct
	{
		const char *name;
		const char *hex;
		const char *message; /* a part of it; NULL: taken */
	} rows[] = {
		{ "nothing", "", "magic" },
		{ "short", "43330100000000", "magic" },
		{ "no frames", "4333010000000000", NULL },
		{ "another plugin", "7b22613a20317d0a", "is its plugin cdc_s3?" },
		{ "lower case", "6333010000000000", "magic" },
		{ "version 0", "4333000000000000", "protocol version 0" },
		{ "version 2", "4333020000000000", "protocol version 2" },
		{ "flags", "4333010100000000", "protocol version 1" },
		{ "CRC", "4333010001000000", "CRC32C" },
		{ "no whole frame", "43330100b3435112ff", "CRC32C" },
	};
	FrameReader *r = frame_reader_new(MAX_FRAME, NULL, NULL);

	(void) state;
	for (size_t i = 0; i < COUNT(rows); i++)
	{
		size_t n = strlen(rows[i].hex) / 2;
		uint8_t *p = xmalloc(n);
		bool ok;
		Err err;

		assert_true(hex_decode(rows[i].hex, n, p));
		ok = swallow(r, (Slice){ p, n }, &err);
		if (ok != !rows[i].message)
			fail_msg("%s: %s", rows[i].name, ok ? "taken" : err.msg);
		if (!ok && !strstr(err.msg, rows[i].message))
			fail_msg("%s: %s", rows[i].name, err.msg);
		if (!ok)
			assert_int_equal(err.kind, ERR_DATA);
		free(p);
	}
	frame_reader_free(r);
}

/* A reader, and the frames of the packet that it is to get. */
typedef struct Lab
{
	FrameReader *r;
	Buf frames;
	Buf body;
	Buf packet;
	int gone; /* relations that went */
} Lab;

static void
count_gone(FrameRelation *rel, void *arg)
{
	assert_non_null(rel->schema);
	((Lab *) arg)->gone++;
}

static void
lab_init(Lab *l, size_t max_frame)
{
	l->r = frame_reader_new(max_frame, count_gone, l);
	l->gone = 0;
	buf_init(&l->frames, SIZE_MAX);
	buf_init(&l->body, SIZE_MAX);
	buf_init(&l->packet, SIZE_MAX);
}

static void
lab_done(Lab *l)
{
	frame_reader_free(l->r);
	buf_done(&l->frames);
	buf_done(&l->body);
	buf_done(&l->packet);
}

/* The body becomes a frame. */
static void
lab_frame(Lab *l, uint8_t type, uint8_t flags)
{
	put_frame(&l->frames, type, flags, buf_slice(&l->body));
	buf_reset(&l->body);
}

/* The frames become a packet. */
static Slice
lab_packet(Lab *l)
{
	buf_reset(&l->packet);
	put_packet(&l->packet, buf_slice(&l->frames));
	buf_reset(&l->frames);
	return buf_slice(&l->packet);
}

static void
lab_taken(Lab *l)
{
	Err err;

	if (!swallow(l->r, lab_packet(l), &err))
		fail_msg("%s", err.msg);
}

static void
lab_refused(Lab *l, ErrKind kind, const char *message)
{
	Err err;

	assert_false(swallow(l->r, lab_packet(l), &err));
	if (err.kind != kind || !strstr(err.msg, message))
		fail_msg("want \"%s\", got %s", message, err.msg);
}

/* A table of one int4 key and one text column. */
static void
lab_relation(Lab *l, uint32_t id, uint32_t version, const char *table)
{
	Schema *s = schema_new("public", table, 2);

	s->relation_id = id;
	s->identity = 'd';
	for (int i = 0; i < 2; i++)
	{
		s->cols[i].name = xstrdup(i ? "note" : "id");
		s->cols[i].type_schema = xstrdup("pg_catalog");
		s->cols[i].type_name = xstrdup(i ? "text" : "int4");
		s->cols[i].kind = i ? CDC_S3_KIND_STRING : CDC_S3_KIND_INT4;
		s->cols[i].type_oid = s->cols[i].base_oid = i ? 25 : 23;
		s->cols[i].typmod = -1;
		s->cols[i].attnum = i + 1;
		s->cols[i].key = s->cols[i].identity = i == 0;
		s->cols[i].pk = i == 0;
	}
	put_relation(&l->body, id, version, table, s);
	lab_frame(l, CDC_S3_RELATION, 0);
	schema_free(s);
}

static void
put_header(Buf *b, uint32_t id, uint32_t version)
{
	put_int(b, id, 4);
	put_int(b, version, 4);
	put_int(b, 0x1234, 8);
	put_int(b, 1, 8);
}

/* An insert of (7, note). */
static void
lab_insert_body(Lab *l, uint32_t id, uint32_t version, const char *note)
{
	put_header(&l->body, id, version);
	buf_byte(&l->body, 0);
	put_int(&l->body, 7, 4);
	put_blob(&l->body, (const uint8_t *) note, (uint32_t) strlen(note));
}

static void
lab_insert(Lab *l, uint32_t id, uint32_t version)
{
	lab_insert_body(l, id, version, "x");
	lab_frame(l, CDC_S3_INSERT, 0);
}

static void
test_unknown_types(void **state)
{
	FrameEvent ev;
	Lab l;

	(void) state;
	lab_init(&l, MAX_FRAME);
	for (int type = 0; type < 256; type++)
	{
		if (type < 0x80 && strchr("HRBCIUDTMP", type) && type > 0)
			continue;
		buf_str(&l.body, "anything");
		lab_frame(&l, (uint8_t) type, 0xff);
		if (type & 0x80)
			lab_taken(&l);
		else
			lab_refused(&l, ERR_DATA, "breaks the wire contract");
	}
	/* what comes behind one that is skipped is read */
	buf_str(&l.body, "anything");
	lab_frame(&l, 0x80, 1);
	lab_relation(&l, 1, 1, "t");
	start(l.r, lab_packet(&l));
	assert_true(next(l.r, &ev));
	assert_int_equal(ev.type, CDC_S3_RELATION);
	assert_string_equal(ev.rel->schema->table, "t");
	lab_done(&l);
}

static void
test_unknown_flags(void **state)
{
	static const struct
	{
		char type;
		uint8_t known;
	} rows[] = {
		{ CDC_S3_RELATION, 0x01 }, { CDC_S3_BEGIN, 0x01 },
		{ CDC_S3_COMMIT, 0 },      { CDC_S3_INSERT, 0x80 },
		{ CDC_S3_MESSAGE, 0x81 },  { CDC_S3_TRUNCATE, 0x83 },
	};
	Lab l;

	(void) state;
	lab_init(&l, MAX_FRAME);
	lab_relation(&l, 1, 1, "t");
	lab_taken(&l);
	for (size_t i = 0; i < COUNT(rows); i++)
	{
		for (int bit = 0; bit < 8; bit++)
		{
			uint8_t flag = (uint8_t) (1 << bit);

			if (rows[i].type == CDC_S3_RELATION)
			{
				lab_relation(&l, 1, 1, "t");
				l.frames.p[1] = flag;
			}
			else
			{
				/* begins with relation 1, version 1, and zeros enough */
				put_int(&l.body, rows[i].type == CDC_S3_INSERT, 4);
				put_int(&l.body, rows[i].type == CDC_S3_INSERT, 4);
				put_int(&l.body, 0, 8);
				put_int(&l.body, 0, 8);
				put_int(&l.body, 0, 8);
				put_int(&l.body, 0, 8);
				lab_frame(&l, (uint8_t) rows[i].type, flag);
			}
			if (rows[i].known & flag)
				lab_taken(&l);
			else
				lab_refused(&l, ERR_DATA, "breaks the wire contract");
		}
	}
	lab_done(&l);
}

/* A body may grow: what is behind its known part is skipped. */
static void
test_longer_bodies(void **state)
{
	FrameEvent ev;
	Lab l;

	(void) state;
	lab_init(&l, MAX_FRAME);
	lab_relation(&l, 1, 1, "t");
	lab_insert_body(&l, 1, 1, "x");
	buf_str(&l.body, "of version 2");
	lab_frame(&l, CDC_S3_INSERT, 0);
	put_int(&l.body, 99, 8);
	put_int(&l.body, 98, 8);
	put_int(&l.body, 97, 8);
	buf_str(&l.body, "of version 2");
	lab_frame(&l, CDC_S3_COMMIT, 0);
	start(l.r, lab_packet(&l));
	assert_true(next(l.r, &ev));
	assert_true(next(l.r, &ev));
	assert_int_equal(ev.type, CDC_S3_INSERT);
	assert_int_equal(ev.new_row.cols[1].n, 1);
	assert_true(next(l.r, &ev));
	assert_int_equal(ev.type, CDC_S3_COMMIT);
	assert_true(ev.lsn == 99 && ev.time == 98 && ev.ordinal == 97);
	assert_false(next(l.r, &ev));
	lab_done(&l);
}

/* Bodies that say what they may not. */
static void
test_broken_bodies(void **state)
{
	static const struct
	{
		const char *name;
		char type;
		uint8_t flags;
		const char *tail; /* hex, behind the change header of relation 1 */
	} rows[] = {
		{ "unknown row flag", 'I', 0, "08070000000178" },
		{ "no row", 'I', 0, "" },
		{ "no bitmap", 'I', 0, "01" },
		{ "value cut off", 'I', 0, "0007000000057878" },
		{ "long blob cut off", 'I', 0, "0007000000ffffffffff78" },
		{ "blob length cut off", 'I', 0, "0007000000ff0100" },
		{ "withheld cut off", 'I', 0, "0402070000000105000000" },
		{ "both old rows", 'U', 3, "0007000000017800070000000178" },
		{ "old row alone", 'U', 2, "00070000000178" },
		{ "no new row", 'U', 1, "0007000000" },
		{ "no old row", 'D', 1, "" },
		{ "insert with an old row", 'I', 2, "0007000000017800070000000178" },
	};
	Lab l;

	(void) state;
	lab_init(&l, MAX_FRAME);
	lab_relation(&l, 1, 1, "t");
	lab_taken(&l);
	for (size_t i = 0; i < COUNT(rows); i++)
	{
		uint8_t tail[64];
		size_t n = strlen(rows[i].tail) / 2;
		Err err;

		assert_true(hex_decode(rows[i].tail, n, tail));
		put_header(&l.body, 1, 1);
		buf_add(&l.body, tail, n);
		lab_frame(&l, (uint8_t) rows[i].type, rows[i].flags);
		if (swallow(l.r, lab_packet(&l), &err))
			fail_msg("%s was taken", rows[i].name);
		assert_int_equal(err.kind, ERR_DATA);
	}
	lab_done(&l);
}

static void
test_broken_relations(void **state)
{
	/* offsets into the body of lab_relation(…, "t") */
	static const struct
	{
		const char *name;
		size_t at;
		uint8_t byte;
		bool ok;
	} rows[] = {
		{ "as it is", 0, 1, true },
		{ "kind 0", 37, 0, false },
		{ "kind 20", 37, 20, false },
		{ "unknown column flag", 38, 0x13, false },
		{ "too many columns", 36, 0xff, false },
		{ "name longer than the frame", 55, 0xff, false },
		{ "NUL in a name", 57, 0, false },
	};
	Lab l;

	(void) state;
	lab_init(&l, MAX_FRAME);
	for (size_t i = 0; i < COUNT(rows); i++)
	{
		Err err;
		bool ok;

		lab_relation(&l, 1, 1, "t");
		assert_int_equal(l.frames.p[6 + 37], CDC_S3_KIND_INT4);
		assert_memory_equal(l.frames.p + 6 + 57, "id", 2);
		l.frames.p[6 + rows[i].at] = rows[i].byte;
		ok = swallow(l.r, lab_packet(&l), &err);
		if (ok != rows[i].ok)
			fail_msg("%s: %s", rows[i].name, ok ? "taken" : err.msg);
		if (!ok)
			assert_int_equal(err.kind, ERR_DATA);
	}
	lab_done(&l);
}

/*
 * Names of a SQL_ASCII server may be no UTF-8: the lake's files, being JSON,
 * cannot hold them.
 */
static void
test_names(void **state)
{
	Lab l;

	(void) state;
	lab_init(&l, MAX_FRAME);
	lab_relation(&l, 1, 1, "caf\xc3\xa9");
	lab_taken(&l);
	lab_relation(&l, 1, 2, "caf\xe9");
	lab_refused(&l, ERR_USAGE, "table \"public/caf%E9/\"");
	lab_relation(&l, 1, 3, "t");
	assert_memory_equal(l.frames.p + 6 + 57, "id", 2);
	l.frames.p[6 + 57] = 0xff;
	lab_refused(&l, ERR_USAGE, "table \"public/t/\", or a column of it");
	lab_insert(&l, 1, 1); /* as it was */
	lab_taken(&l);
	lab_done(&l);
}

static void
lab_part(Lab *l, char type, uint8_t frame_flags, uint32_t number,
		 uint8_t part_flags, const void *p, size_t n)
{
	buf_byte(&l->body, (uint8_t) type);
	buf_byte(&l->body, frame_flags);
	put_int(&l->body, number, 4);
	buf_add(&l->body, p, n);
	lab_frame(l, CDC_S3_PART, part_flags);
}

/* A frame cut into parts of every size, in one packet and one packet each. */
static void
test_parts(void **state)
{
	Lab l;
	Buf body;

	(void) state;
	buf_init(&body, SIZE_MAX);
	lab_init(&l, MAX_FRAME);
	lab_relation(&l, 1, 1, "t");
	lab_taken(&l);
	lab_insert_body(&l, 1, 1, "in parts");
	buf_add(&body, l.body.p, l.body.n);
	buf_reset(&l.body);
	for (size_t size = 1; size <= body.n; size++)
	{
		for (int alone = 0; alone < 2; alone++)
		{
			FrameEvent ev;
			uint32_t number = 0;

			for (size_t at = 0; at < body.n; at += size)
			{
				size_t n = body.n - at < size ? body.n - at : size;
				bool last = at + n == body.n;

				lab_part(&l, CDC_S3_INSERT, 0, number++, last, body.p + at, n);
				if (alone && !last)
					lab_taken(&l);
			}
			start(l.r, lab_packet(&l));
			assert_true(next(l.r, &ev));
			assert_int_equal(ev.type, CDC_S3_INSERT);
			assert_int_equal(get_u32(ev.new_row.cols[0].p), 7);
			assert_int_equal(ev.new_row.cols[1].n, 8);
			assert_memory_equal(ev.new_row.cols[1].p, "in parts", 8);
			assert_false(next(l.r, &ev));
		}
	}
	/* an empty last part is one too */
	lab_part(&l, CDC_S3_INSERT, 0, 0, 0, body.p, body.n);
	lab_part(&l, CDC_S3_INSERT, 0, 1, CDC_S3_PART_LAST, NULL, 0);
	lab_taken(&l);
	/* a long frame of a type to be skipped is skipped */
	lab_part(&l, (char) 0x81, 0xff, 0, 0, "x", 1);
	lab_part(&l, (char) 0x81, 0xff, 1, CDC_S3_PART_LAST, "x", 1);
	lab_taken(&l);
	buf_done(&body);
	lab_done(&l);
}

static void
test_parts_out_of_order(void **state)
{
	Lab l;

	(void) state;
	lab_init(&l, MAX_FRAME);
	lab_relation(&l, 1, 1, "t");
	lab_taken(&l);

	lab_part(&l, CDC_S3_INSERT, 0, 1, 0, "x", 1); /* not from 0 */
	lab_refused(&l, ERR_DATA, "part 1 of a frame is out of order");
	frame_reader_reset(l.r);

	lab_part(&l, CDC_S3_INSERT, 0, 0, 0, "x", 1);
	lab_part(&l, CDC_S3_INSERT, 0, 2, 0, "x", 1); /* a hole */
	lab_refused(&l, ERR_DATA, "part 2 of a frame is out of order");
	frame_reader_reset(l.r);

	lab_part(&l, CDC_S3_INSERT, 0, 0, 0, "x", 1);
	lab_part(&l, CDC_S3_INSERT, 0, 0, 0, "x", 1); /* again */
	lab_refused(&l, ERR_DATA, "part 0 of a frame is out of order");
	frame_reader_reset(l.r);

	lab_part(&l, CDC_S3_INSERT, 0, 0, 0, "x", 1);
	lab_part(&l, CDC_S3_UPDATE, 0, 1, 0, "x", 1); /* of another frame */
	lab_refused(&l, ERR_DATA, "part 1 of a frame is out of order");
	frame_reader_reset(l.r);

	lab_part(&l, CDC_S3_UPDATE, 1, 0, 0, "x", 1);
	lab_part(&l, CDC_S3_UPDATE, 2, 1, 0, "x", 1); /* with other flags */
	lab_refused(&l, ERR_DATA, "part 1 of a frame is out of order");
	frame_reader_reset(l.r);

	lab_part(&l, CDC_S3_INSERT, 0, 0, 0, "x", 1);
	put_int(&l.body, 1, 8);
	put_int(&l.body, 1, 8);
	put_int(&l.body, 1, 8);
	lab_frame(&l, CDC_S3_COMMIT, 0); /* another frame between */
	lab_refused(&l, ERR_DATA, "between the parts of another");
	frame_reader_reset(l.r);

	lab_part(&l, CDC_S3_PART, 0, 0, CDC_S3_PART_LAST, "x", 1); /* in itself */
	lab_refused(&l, ERR_DATA, "breaks the wire contract");
	frame_reader_reset(l.r);

	lab_part(&l, CDC_S3_INSERT, 0, 0, 2, "x", 1); /* unknown flag */
	lab_refused(&l, ERR_DATA, "out of order");
	frame_reader_reset(l.r);

	buf_str(&l.body, "Ix"); /* no number */
	lab_frame(&l, CDC_S3_PART, 0);
	lab_refused(&l, ERR_DATA, "out of order");
	lab_done(&l);
}

/* A frame over the limit is refused, and its memory does not stay. */
static void
test_parts_limit(void **state)
{
	FrameEvent ev;
	char *note;
	size_t size = 9 * 1024 * 1024;
	Slice packet;
	Lab l;
	Err err;

	(void) state;
	lab_init(&l, 10 * 1024 * 1024);
	lab_relation(&l, 1, 1, "t");
	lab_taken(&l);
	note = xmalloc(size + 1);
	memset(note, 'x', size);
	note[size] = '\0';
	lab_insert_body(&l, 1, 1, note);
	/* the body is in the packet's own frames, so build the parts by hand */
	for (size_t at = 0, number = 0; at < l.body.n; number++)
	{
		size_t n = l.body.n - at < 1000000 ? l.body.n - at : 1000000;
		bool last = at + n == l.body.n;
		Buf part;

		buf_init(&part, SIZE_MAX);
		buf_byte(&part, CDC_S3_INSERT);
		buf_byte(&part, 0);
		put_int(&part, number, 4);
		buf_add(&part, l.body.p + at, n);
		put_frame(&l.frames, CDC_S3_PART, last, buf_slice(&part));
		buf_done(&part);
		at += n;
	}
	buf_reset(&l.body);
	packet = lab_packet(&l);
	start(l.r, packet);
	assert_true(next(l.r, &ev));
	assert_int_equal(ev.new_row.cols[1].n, size);
	assert_memory_equal(ev.new_row.cols[1].p, note, size);
	assert_false(next(l.r, &ev));

	frame_reader_free(l.r);
	l.r = frame_reader_new(8 * 1024 * 1024, count_gone, &l);
	assert_false(swallow(l.r, packet, &err));
	assert_int_equal(err.kind, ERR_LIMIT);
	assert_non_null(strstr(err.msg, "8388608"));
	free(note);
	lab_done(&l);
}

/* A change names the version of its relation; another one is refused. */
static void
test_relation_versions(void **state)
{
	FrameEvent ev;
	Lab l;

	(void) state;
	lab_init(&l, MAX_FRAME);
	lab_insert(&l, 1, 1);
	lab_refused(&l, ERR_DATA, "type 'I' breaks the wire contract");

	lab_relation(&l, 1, 1, "t");
	lab_insert(&l, 1, 1);
	lab_taken(&l);
	lab_insert(&l, 1, 2);
	lab_refused(&l, ERR_DATA, "breaks");
	lab_insert(&l, 2, 1);
	lab_refused(&l, ERR_DATA, "breaks");
	assert_int_equal(l.gone, 0);

	lab_relation(&l, 1, 2, "renamed");
	lab_insert(&l, 1, 2);
	start(l.r, lab_packet(&l));
	assert_true(next(l.r, &ev));
	assert_int_equal(l.gone, 1);
	assert_true(next(l.r, &ev));
	assert_string_equal(ev.rel->schema->table, "renamed");
	lab_insert(&l, 1, 1);
	lab_refused(&l, ERR_DATA, "breaks");

	/* the same version again takes the place of the first */
	lab_relation(&l, 1, 2, "again");
	lab_insert(&l, 1, 2);
	lab_taken(&l);
	assert_int_equal(l.gone, 2);

	/* a new connection knows none */
	frame_reader_reset(l.r);
	assert_int_equal(l.gone, 3);
	lab_insert(&l, 1, 2);
	lab_refused(&l, ERR_DATA, "breaks");
	lab_done(&l);
	assert_int_equal(l.gone, 3);
}

/* A partition is told under its own name, or under the root's. */
static void
test_relation_names(void **state)
{
	FrameEvent ev;
	Lab l;

	(void) state;
	lab_init(&l, MAX_FRAME);
	for (int as_root = 0; as_root < 2; as_root++)
	{
		Schema *s = schema_new("app", "root", 0);

		s->relation_id = 100;
		s->identity = 'i';
		put_relation(&l.body, 200, 1, "leaf", s);
		lab_frame(&l, CDC_S3_RELATION, as_root ? CDC_S3_REL_AS_ROOT : 0);
		start(l.r, lab_packet(&l));
		assert_true(next(l.r, &ev));
		assert_int_equal(ev.rel->id, 200);
		assert_string_equal(ev.rel->schema->schema, "app");
		assert_string_equal(ev.rel->schema->table, as_root ? "root" : "leaf");
		assert_int_equal(ev.rel->schema->relation_id, as_root ? 100 : 200);
		assert_int_equal(ev.rel->schema->identity, 'i');
		assert_int_equal(ev.rel->schema->ncols, 0);
		schema_free(s);
	}
	lab_done(&l);
}

/* Ids that collide in a small table, and many of them. */
static void
test_many_relations(void **state)
{
	enum
	{
		MANY = 5000
	};
	Lab l;

	(void) state;
	lab_init(&l, MAX_FRAME);
	for (uint32_t i = 0; i < MANY; i++)
	{
		char name[16];

		(void) snprintf(name, sizeof(name), "t%u", i);
		lab_relation(&l, i * 64, i + 1, name);
	}
	lab_taken(&l);
	for (uint32_t i = 0; i < MANY; i++)
		lab_insert(&l, i * 64, i + 1);
	start(l.r, lab_packet(&l));
	for (uint32_t i = 0; i < MANY; i++)
	{
		FrameEvent ev;
		char name[16];

		(void) snprintf(name, sizeof(name), "t%u", i);
		assert_true(next(l.r, &ev));
		assert_int_equal(ev.rel->id, i * 64);
		assert_string_equal(ev.rel->schema->table, name);
	}
	assert_int_equal(l.gone, 0);
	/* every second one gets a new version */
	for (uint32_t i = 0; i < MANY; i += 2)
		lab_relation(&l, i * 64, MANY, "new");
	lab_taken(&l);
	assert_int_equal(l.gone, MANY / 2);
	lab_insert(&l, 64, 2);
	lab_insert(&l, 0, MANY);
	lab_taken(&l);
	lab_insert(&l, 0, 1);
	lab_refused(&l, ERR_DATA, "breaks");
	lab_done(&l);
	assert_int_equal(l.gone, MANY + MANY / 2);
}

static void
test_truncate(void **state)
{
	FrameEvent ev;
	Lab l;

	(void) state;
	lab_init(&l, MAX_FRAME);
	lab_relation(&l, 1, 1, "a");
	lab_relation(&l, 2, 1, "b");
	lab_taken(&l);
	for (int broken = 0; broken < 5; broken++)
	{
		put_int(&l.body, 500, 8);
		put_int(&l.body, 9, 8);
		put_int(&l.body, 4711, 4);
		put_int(&l.body, broken == 1 ? 3 : 2, 2); /* one more than there is */
		put_int(&l.body, 1, 4);
		put_int(&l.body, 1, 4);
		buf_byte(&l.body, broken == 2 ? 2 : 0);   /* unknown flag */
		put_int(&l.body, broken == 3 ? 3 : 2, 4); /* unknown relation */
		put_int(&l.body, 1, 4);
		buf_byte(&l.body, CDC_S3_TRUNC_PARTIAL);
		put_int(&l.body, broken == 4 ? 7 : 6, 4); /* bound cut off */
		buf_str(&l.body, "(true)");
		lab_frame(&l, CDC_S3_TRUNCATE,
				  CDC_S3_TRUNC_RESTART | CDC_S3_CHANGE_XID);
		if (broken > 0)
		{
			lab_refused(&l, ERR_DATA, "type 'T' breaks");
			continue;
		}
		start(l.r, lab_packet(&l));
		assert_true(next(l.r, &ev));
		assert_true(ev.lsn == 500 && ev.ordinal == 9 && ev.xid == 4711);
		assert_int_equal(ev.nrels, 2);
		assert_string_equal(ev.rels[0]->schema->table, "a");
		assert_string_equal(ev.rels[1]->schema->table, "b");
		assert_int_equal(ev.rel_flags[0], 0);
		assert_int_equal(ev.rel_flags[1], CDC_S3_TRUNC_PARTIAL);
	}
	/* as many as fit the count */
	put_int(&l.body, 500, 8);
	put_int(&l.body, 9, 8);
	put_int(&l.body, UINT16_MAX, 2);
	for (int i = 0; i < UINT16_MAX; i++)
	{
		put_int(&l.body, 1, 4);
		put_int(&l.body, 1, 4);
		buf_byte(&l.body, 0);
	}
	lab_frame(&l, CDC_S3_TRUNCATE, 0);
	lab_taken(&l);
	lab_done(&l);
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
		cmocka_unit_test(test_packet_header),
		cmocka_unit_test(test_unknown_types),
		cmocka_unit_test(test_unknown_flags),
		cmocka_unit_test(test_longer_bodies),
		cmocka_unit_test(test_broken_bodies),
		cmocka_unit_test(test_broken_relations),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_parts),
		cmocka_unit_test(test_parts_out_of_order),
		cmocka_unit_test(test_parts_limit),
		cmocka_unit_test(test_relation_versions),
		cmocka_unit_test(test_relation_names),
		cmocka_unit_test(test_many_relations),
		cmocka_unit_test(test_truncate),
	};

	return cmocka_run_group_tests_name("frame", tests, NULL, NULL);
}
