/*-------------------------------------------------------------------------
 * test_framepart.c
 *	  codec/framepart and json_part: a row that arrives in parts makes the line
 *	  that the whole row makes, wherever it is cut.
 *-------------------------------------------------------------------------
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "../fuzz/frame_encode.h"
#include "base/mem.h"
#include "codec/framepart.h"
#include "codec/json_part.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define MAX_COLS 8
#define SMALL 9 /* longer values come in pieces */
#define LSN UINT64_C(0x16B374D8)

#define VALUE(s)                                                               \
	{                                                                          \
		(const uint8_t *) (s), sizeof(s) - 1, COL_VALUE, 0, 0, 0               \
	}
#define STATE(st)                                                              \
	{                                                                          \
		NULL, 0, (st), 0, 0, 0                                                 \
	}
#define WITHHELD(s)                                                            \
	{                                                                          \
		(const uint8_t *) (s), sizeof(s) - 1, COL_WITHHELD,                    \
			CDC_S3_WITHHELD_ENCODING, 0xABCD, 1234                             \
	}

static const struct
{
	const char *name;
	uint8_t kind;
	uint32_t oid;
	bool key;
} columns[MAX_COLS] = {
	{ "id", CDC_S3_KIND_INT4, 23, true },
	{ "t\"ext", CDC_S3_KIND_STRING, 25, true },
	{ "bytes", CDC_S3_KIND_BYTEA, 17, false },
	{ "json", CDC_S3_KIND_JSON, 114, false },
	{ "jsonb", CDC_S3_KIND_TEXT, 3802, false },
	{ "array", CDC_S3_KIND_TEXT, 1009, false },
	{ "n", CDC_S3_KIND_NUMERIC, 1700, false },
	{ "other", CDC_S3_KIND_TEXT, 869, false },
};

#define ID VALUE("\1\0\0\0")
#define TEXT                                                                   \
	VALUE("a \"text\" \\ with\nlines, \x01 and \xc3\xa4\xf0\x9f\x98\x80")
#define BYTES VALUE("\x00\xff\x10 and more than nine \x80")
#define JSON VALUE("{\"a\":\n [1, \"\xc3\xa4\"],\r\n\"long\": 1234567890}")
#define JSONB VALUE("\"a string that is long enough\"")
#define ARRAY VALUE("{\"an array\",NULL,\"of, many\"}")
#define NUMERIC VALUE("\x80\x81\x0c\x00")
#define OTHER VALUE("10.0.0.0/8")

static ColView all_long[] = { ID,    TEXT,  BYTES,   JSON,
							  JSONB, ARRAY, NUMERIC, OTHER };
static ColView all_short[] = { ID,         VALUE("a"),  VALUE(""),
							   VALUE("1"), VALUE("[]"), VALUE("{a,b}"),
							   NUMERIC,    VALUE("::1") };
static ColView nulls[] = { ID,
						   VALUE("k"),
						   STATE(COL_NULL),
						   VALUE("null"),
						   VALUE("  \n    null     "),
						   STATE(COL_NULL),
						   STATE(COL_NULL),
						   STATE(COL_NULL) };
static ColView no_nulls[] = { ID,
							  TEXT,
							  VALUE("\1"),
							  VALUE("\"null\"      "),
							  VALUE("           nul "),
							  ARRAY,
							  NUMERIC,
							  STATE(COL_NULL) };
static ColView unchanged[] = { ID,
							   STATE(COL_UNCHANGED),
							   BYTES,
							   STATE(COL_UNCHANGED),
							   STATE(COL_UNCHANGED),
							   STATE(COL_NULL),
							   NUMERIC,
							   STATE(COL_UNCHANGED) };
static ColView withheld[] = {
	ID,           WITHHELD("\xff"),
	BYTES,        STATE(COL_NULL),
	WITHHELD(""), WITHHELD("many bytes, which are left out"),
	NUMERIC,      WITHHELD("\xfe\xfd")
};
static ColView key_row[] = { ID,
							 TEXT,
							 STATE(COL_ABSENT),
							 STATE(COL_ABSENT),
							 STATE(COL_ABSENT),
							 STATE(COL_ABSENT),
							 STATE(COL_ABSENT),
							 STATE(COL_ABSENT) };

#define KEY CDC_S3_OLD_KEY
#define FULL CDC_S3_OLD_FULL
#define MOVED CDC_S3_KEY_CHANGED

static const struct
{
	uint8_t type;
	uint8_t flags;
	ColView *old;
	ColView *new;
} changes[] = {
	{ CDC_S3_INSERT, 0, NULL, all_long },
	{ CDC_S3_INSERT, 0, NULL, all_short },
	{ CDC_S3_INSERT, CDC_S3_CHANGE_XID, NULL, nulls },
	{ CDC_S3_INSERT, 0, NULL, no_nulls },
	{ CDC_S3_INSERT, 0, NULL, withheld },
	{ CDC_S3_UPDATE, 0, NULL, unchanged },
	{ CDC_S3_UPDATE, CDC_S3_NO_IDENTITY, NULL, all_long },
	{ CDC_S3_UPDATE, KEY | MOVED, key_row, all_long },
	{ CDC_S3_UPDATE, KEY, key_row, unchanged },
	{ CDC_S3_UPDATE, FULL | MOVED, all_long, nulls },
	{ CDC_S3_UPDATE, FULL, nulls, all_long },
	{ CDC_S3_UPDATE, FULL | MOVED, withheld, withheld },
	{ CDC_S3_UPDATE, FULL | MOVED | CDC_S3_CHANGE_XID, no_nulls, unchanged },
	{ CDC_S3_DELETE, KEY, key_row, NULL },
	{ CDC_S3_DELETE, FULL, all_long, NULL },
	{ CDC_S3_DELETE, FULL, nulls, NULL },
	{ CDC_S3_DELETE, FULL, withheld, NULL },
	{ CDC_S3_DELETE, CDC_S3_NO_IDENTITY, NULL, NULL },
};

/* Ways to write a line. */
static const struct
{
	char identity;
	bool all_key; /* identity full without a primary key */
	FormatOptions options;
} tables[] = {
	{ 'd', false, { .whole_max = SMALL } },
	{ 'f', false, { .whole_max = SMALL } },
	{ 'f', false, { .whole_max = SMALL, .before = true } },
	{ 'f', true, { .whole_max = SMALL } },
	{ 'f', true, { .whole_max = SMALL, .before = true } },
	{ 'f', false, { .whole_max = SMALL, .before = true, .raw_text = true } },
};

typedef struct Lab
{
	Schema *schema;
	FrameReader *reader; /* passes rows */
	FrameReader *whole;
	FramePart *part;
	JsonPart *json;
	JsonTable *table;
	JsonWriter *writer;
	bool damaged; /* numbers are not what they were */
	Buf packet;
	Buf frame;
	Buf line;
} Lab;

static void
lab_packet(Lab *l, FrameReader *r, Slice frames)
{
	Err err;

	buf_reset(&l->packet);
	put_packet(&l->packet, frames);
	assert_true(frame_reader_packet(r, buf_slice(&l->packet), &err));
}

static void
lab_init(Lab *l, char identity, bool all_key, const FormatOptions *o,
		 size_t whole_max)
{
	FrameReader **readers[] = { &l->reader, &l->whole };
	Buf body;
	FrameEvent ev;
	bool end;
	Err err;

	*l = (Lab){ .schema = schema_new("public", "t", MAX_COLS) };
	l->schema->identity = identity;
	for (int i = 0; i < MAX_COLS; i++)
	{
		SchemaColumn *c = &l->schema->cols[i];

		c->name = xstrdup(columns[i].name);
		c->type_schema = xstrdup("pg_catalog");
		c->type_name = xstrdup("x");
		c->kind = columns[i].kind;
		c->type_oid = c->base_oid = columns[i].oid;
		c->key = all_key || columns[i].key;
		c->pk = !all_key && columns[i].key ? i + 1 : 0;
		c->typmod = -1;
		c->attnum = i + 1;
	}
	schema_finish(l->schema);
	buf_init(&l->packet, SIZE_MAX);
	buf_init(&l->frame, SIZE_MAX);
	buf_init(&l->line, SIZE_MAX);
	buf_init(&body, SIZE_MAX);
	put_relation(&body, 7, 3, "t", l->schema);
	for (int i = 0; i < 2; i++)
	{
		*readers[i] = frame_reader_new(1 << 26, NULL, NULL);
		buf_reset(&l->frame);
		put_frame(&l->frame, CDC_S3_RELATION, 0, buf_slice(&body));
		lab_packet(l, *readers[i], buf_slice(&l->frame));
		assert_true(frame_next(*readers[i], &ev, &end, &err) && !end);
		assert_true(frame_next(*readers[i], &ev, &end, &err) && end);
	}
	buf_done(&body);
	frame_reader_pass_rows(l->reader);
	l->part = framepart_new(whole_max);
	l->json = json_part_new();
	l->table = json_table_new(l->schema, o);
	l->writer = json_writer_new(l->table);
}

static void
lab_done(Lab *l)
{
	schema_free(l->schema);
	frame_reader_free(l->reader);
	frame_reader_free(l->whole);
	framepart_free(l->part);
	json_part_free(l->json);
	json_writer_free(l->writer);
	json_table_free(l->table);
	buf_done(&l->packet);
	buf_done(&l->frame);
	buf_done(&l->line);
}

static void
make_body(Lab *l, uint8_t type, uint8_t flags, ColView *old, ColView *new,
		  Buf *out)
{
	FrameRelation rel = { .id = 7, .version = 3, .schema = l->schema };
	FrameEvent ev = { .type = type,
					  .flags = flags,
					  .xid = 5,
					  .lsn = 99,
					  .ordinal = 4,
					  .rel = &rel };

	if (old)
		ev.old_row = (RowView){ MAX_COLS, old };
	if (new)
		ev.new_row = (RowView){ MAX_COLS, new };
	put_change(out, &ev, (Slice){ NULL, 0 });
}

static Change
change_of(uint8_t type, uint8_t flags)
{
	return (Change){ .op = type == CDC_S3_INSERT   ? 'i'
						   : type == CDC_S3_UPDATE ? 'u'
												   : 'd',
					 .lsn = LSN,
					 .seq = 4,
					 .xid = 712,
					 .time = 1,
					 .key_changed = flags & CDC_S3_KEY_CHANGED,
					 .no_identity = flags & CDC_S3_NO_IDENTITY };
}

/* The line of the row as a whole. */
static void
whole_line(Lab *l, uint8_t type, uint8_t flags, Slice body)
{
	Change change = change_of(type, flags);
	FrameEvent ev;
	bool end;
	Err err;

	buf_reset(&l->frame);
	put_frame(&l->frame, type, flags, body);
	lab_packet(l, l->whole, buf_slice(&l->frame));
	assert_true(frame_next(l->whole, &ev, &end, &err) && !end);
	change.row = type == CDC_S3_DELETE ? &ev.old_row : &ev.new_row;
	change.old = flags & (KEY | FULL) ? &ev.old_row : NULL;
	buf_reset(&l->line);
	json_write(l->writer, &change, &l->line);
}

/* The first event of a row tells what stands before its bytes. */
static bool
begin_row(Lab *l, const FrameEvent *ev, uint8_t type, uint8_t flags, Buf *line,
		  Err *err)
{
	Change change = change_of(type, flags);

	assert_int_equal(ev->rel->id, 7);
	if (!l->damaged)
	{
		assert_int_equal(ev->lsn, 99);
		assert_int_equal(ev->ordinal, 4);
	}
	json_part_begin(l->json, l->writer, &change, line);
	return framepart_open(l->part, ev->rel->shape, type, ev->flags, err);
}

/* One part as a packet of its own, in memory of just its size. */
static bool
send_part(Lab *l, uint8_t type, uint8_t flags, uint32_t number, Slice bytes,
		  bool last, Buf *line, Err *err)
{
	Buf body;
	uint8_t *exact;
	FrameEvent ev;
	bool end;
	bool ok;

	buf_init(&body, SIZE_MAX);
	buf_byte(&body, type);
	buf_byte(&body, flags);
	put_int(&body, number, 4);
	buf_add(&body, bytes.p, bytes.n);
	buf_reset(&l->frame);
	put_frame(&l->frame, CDC_S3_PART, last ? CDC_S3_PART_LAST : 0,
			  buf_slice(&body));
	buf_done(&body);
	buf_reset(&l->packet);
	put_packet(&l->packet, buf_slice(&l->frame));
	exact = xmalloc(l->packet.n);
	memcpy(exact, l->packet.p, l->packet.n);
	ok = frame_reader_packet(l->reader, (Slice){ exact, l->packet.n }, err) &&
		 frame_next(l->reader, &ev, &end, err);
	if (ok && end) /* the change's head has not all come */
	{
		assert_false(last);
		free(exact);
		return true;
	}
	if (ok)
	{
		assert_int_equal(ev.type, CDC_S3_PART);
		assert_int_equal(ev.part_type, type);
		assert_true(ev.part_last == last);
		if (ev.part_first)
			ok = begin_row(l, &ev, type, flags, line, err);
		framepart_push(l->part, ev.part, ev.part_last);
	}
	while (ok)
	{
		PartItem item;

		ok = framepart_next(l->part, &item, err);
		if (!ok || item.type == PART_NEED)
			break;
		ok = json_part_item(l->json, &item, line, err);
		if (item.type == PART_DONE)
			break;
	}
	if (!ok)
		frame_reader_reset(l->reader);
	free(exact);
	return ok;
}

/* Cut at these places, which are in order. */
static void
check_cuts(Lab *l, uint8_t type, uint8_t flags, Slice body, const size_t *cuts,
		   int n)
{
	Buf line;
	size_t from = 0;
	Err err;

	buf_init(&line, SIZE_MAX);
	for (int i = 0; i <= n; i++)
	{
		size_t to = i < n ? cuts[i] : body.n;

		if (!send_part(l, type, flags, (uint32_t) i,
					   (Slice){ body.p + from, to - from }, i == n, &line,
					   &err))
			fail_msg("part %d of '%c': %s", i, type, err.msg);
		from = to;
	}
	if (line.n != l->line.n || memcmp(line.p, l->line.p, line.n) != 0)
		fail_msg("'%c' flags %d cut at %zu of %zu:\nwant %.3000s\ngot  %.3000s",
				 type, flags, n ? cuts[0] : 0, body.n, buf_cstr(&l->line),
				 buf_cstr(&line));
	buf_done(&line);
}

/* Every change in every table, cut once at each byte, and at every byte. */
static void
test_every_cut(void **state)
{
	(void) state;
	for (size_t t = 0; t < COUNT(tables); t++)
	{
		Lab l;

		lab_init(&l, tables[t].identity, tables[t].all_key, &tables[t].options,
				 SMALL);
		for (size_t i = 0; i < COUNT(changes); i++)
		{
			uint8_t type = changes[i].type;
			uint8_t flags = changes[i].flags;
			Buf body;
			size_t *each;

			if (tables[t].all_key && flags & KEY)
				continue; /* there the old row is always a whole one */
			buf_init(&body, SIZE_MAX);
			make_body(&l, type, flags, changes[i].old, changes[i].new, &body);
			buf_str(&body, "later"); /* behind what is known */
			whole_line(&l, type, flags, buf_slice(&body));
			check_cuts(&l, type, flags, buf_slice(&body), NULL, 0);
			each = xcalloc(body.n, sizeof(size_t));
			for (size_t at = 0; at < body.n; at++)
			{
				each[at] = at;
				check_cuts(&l, type, flags, buf_slice(&body), &at, 1);
			}
			check_cuts(&l, type, flags, buf_slice(&body), each, (int) body.n);
			free(each);
			buf_done(&body);
		}
		lab_done(&l);
	}
}

/* The real size of what is long, in parts as the plugin makes them. */
static void
test_large(void **state)
{
	const size_t n = 3 * ROW_WHOLE_MAX + 12345;
	const size_t part = (size_t) 1 << 20;
	FormatOptions o = { .before = true };
	uint8_t *data = xmalloc(n);
	ColView row[MAX_COLS];
	size_t cuts[16];
	int ncuts = 0;
	Buf body;
	Lab l;

	(void) state;
	for (size_t i = 0; i < n; i++)
		data[i] = (uint8_t) (i % 251 < 128 ? i % 251 : 'x');
	memcpy(row, all_long, sizeof(row));
	row[1].p = row[2].p = data;
	row[1].n = (uint32_t) (ROW_WHOLE_MAX + 1);
	row[2].n = (uint32_t) n;
	row[7].p = data;
	row[7].n = (uint32_t) ROW_WHOLE_MAX;
	lab_init(&l, 'f', false, &o, ROW_WHOLE_MAX);
	buf_init(&body, SIZE_MAX);
	make_body(&l, CDC_S3_UPDATE, FULL, row, all_short, &body);
	whole_line(&l, CDC_S3_UPDATE, FULL, buf_slice(&body));
	for (size_t at = part; at < body.n; at += part)
		cuts[ncuts++] = at;
	check_cuts(&l, CDC_S3_UPDATE, FULL, buf_slice(&body), cuts, ncuts);
	buf_done(&body);
	lab_done(&l);
	free(data);
}

/*
 * Text of a SQL_ASCII server that is none: the line stays JSON, and says so.
 */
static void
test_not_utf8(void **state)
{
	static const struct
	{
		const char *bytes;
		const char *want;
	} rows[] = {
		{ "0123456789\xff", "0123456789\xef\xbf\xbd" },
		{ "\xff\xfe"
		  "0123456789",
		  "\xef\xbf\xbd\xef\xbf\xbd"
		  "0123456789" },
		{ "0123456789\xc3", "0123456789\xef\xbf\xbd" },
		{ "0123456789\xf0\x9f\x98", "0123456789\xef\xbf\xbd\xef\xbf\xbd"
									"\xef\xbf\xbd" },
		{ "0123\xf0\x9f\x98xyz789", "0123\xef\xbf\xbd\xef\xbf\xbd"
									"\xef\xbf\xbdxyz789" },
		{ "0123\xc3\xc3\xa4xyz789", "0123\xef\xbf\xbd\xc3\xa4xyz789" },
		{ "0123\xed\xa0\x80yz789", "0123\xef\xbf\xbd\xef\xbf\xbd"
								   "\xef\xbf\xbdyz789" },
		{ "\xe0\x80\xe1\x80\x80yz789", "\xef\xbf\xbd\xef\xbf\xbd"
									   "\xe1\x80\x80yz789" },
	};
	FormatOptions o = { .raw_text = true, .whole_max = SMALL };
	Lab l;

	(void) state;
	lab_init(&l, 'd', false, &o, SMALL);
	for (size_t i = 0; i < COUNT(rows); i++)
	{
		ColView row[MAX_COLS];
		Buf body;
		char *want = xasprintf(",\"other\":\"%s\",\"_withheld\":{\"other\":{"
							   "\"reason\":\"encoding\",\"size\":%zu,"
							   "\"crc32c\":\"%08x\"}}}\n",
							   rows[i].want, strlen(rows[i].bytes),
							   crc32c(0, rows[i].bytes, strlen(rows[i].bytes)));

		memcpy(row, all_short, sizeof(row));
		row[7].p = (const uint8_t *) rows[i].bytes;
		row[7].n = (uint32_t) strlen(rows[i].bytes);
		buf_init(&body, SIZE_MAX);
		make_body(&l, CDC_S3_INSERT, 0, NULL, row, &body);
		for (size_t at = 0; at <= body.n; at++)
		{
			Buf line;
			Err err;

			buf_init(&line, SIZE_MAX);
			assert_true(send_part(&l, CDC_S3_INSERT, 0, 0,
								  (Slice){ body.p, at }, false, &line, &err));
			assert_true(send_part(&l, CDC_S3_INSERT, 0, 1,
								  (Slice){ body.p + at, body.n - at }, true,
								  &line, &err));
			if (!strstr(buf_cstr(&line), want))
				fail_msg("%zu cut at %zu: %s", i, at, buf_cstr(&line));
			buf_done(&line);
		}
		buf_done(&body);
		free(want);
	}
	lab_done(&l);
}

/* Ends early, comes out of order, or says what cannot be. */
static void
test_refused(void **state)
{
	FormatOptions o = { .whole_max = SMALL };
	Buf body;
	Buf line;
	Err err;
	RowShape *shape;
	Lab l;

	(void) state;
	lab_init(&l, 'd', false, &o, SMALL);
	buf_init(&body, SIZE_MAX);
	buf_init(&line, SIZE_MAX);
	shape = row_shape_new(l.schema);
	make_body(&l, CDC_S3_UPDATE, KEY | MOVED, key_row, all_long, &body);
	for (size_t n = 0; n < body.n; n++) /* the last part is cut off */
	{
		buf_reset(&line);
		assert_false(send_part(&l, CDC_S3_UPDATE, KEY | MOVED, 0,
							   (Slice){ body.p, n }, true, &line, &err));
		assert_int_equal(err.kind, ERR_DATA);
		lab_done(&l);
		lab_init(&l, 'd', false, &o, SMALL);
	}
	/* flags that this type has not, both kinds of old row, unknown ones */
	assert_false(framepart_open(l.part, shape, CDC_S3_INSERT, KEY, &err));
	assert_false(framepart_open(l.part, shape, CDC_S3_DELETE, MOVED, &err));
	assert_false(
		framepart_open(l.part, shape, CDC_S3_UPDATE, KEY | FULL, &err));
	assert_false(framepart_open(l.part, shape, CDC_S3_UPDATE, 0x40, &err));
	assert_false(framepart_open(l.part, shape, CDC_S3_TRUNCATE, 0, &err));
	/* a relation that nobody sent, and another version */
	for (int at = 0; at < 8; at += 4)
	{
		buf_reset(&line);
		body.p[at] ^= 1;
		assert_false(send_part(&l, CDC_S3_UPDATE, KEY | MOVED, 0,
							   buf_slice(&body), true, &line, &err));
		assert_int_equal(err.kind, ERR_DATA);
		body.p[at] ^= 1;
		lab_done(&l);
		lab_init(&l, 'd', false, &o, SMALL);
	}
	/* the second part first; a part left out; another flag */
	assert_false(send_part(&l, CDC_S3_UPDATE, KEY, 1, buf_slice(&body), true,
						   &line, &err));
	lab_done(&l);
	lab_init(&l, 'd', false, &o, SMALL);
	assert_true(send_part(&l, CDC_S3_UPDATE, KEY, 0, (Slice){ body.p, 9 },
						  false, &line, &err));
	assert_false(send_part(&l, CDC_S3_UPDATE, KEY, 2,
						   (Slice){ body.p + 9, body.n - 9 }, true, &line,
						   &err));
	lab_done(&l);
	lab_init(&l, 'd', false, &o, SMALL);
	assert_true(send_part(&l, CDC_S3_UPDATE, KEY, 0, (Slice){ body.p, 9 },
						  false, &line, &err));
	assert_false(send_part(&l, CDC_S3_UPDATE, KEY | MOVED, 1,
						   (Slice){ body.p + 9, body.n - 9 }, true, &line,
						   &err));
	buf_done(&body);
	buf_done(&line);
	row_shape_free(shape);
	lab_done(&l);
}

/* Any byte changed, any cut: taken or refused, never a read elsewhere. */
static void
test_damaged(void **state)
{
	FormatOptions o = { .whole_max = SMALL, .before = true, .raw_text = true };
	Buf body;
	Lab l;

	(void) state;
	lab_init(&l, 'f', false, &o, SMALL);
	buf_init(&body, SIZE_MAX);
	make_body(&l, CDC_S3_UPDATE, FULL | MOVED, withheld, all_long, &body);
	for (size_t at = 0; at < body.n; at++)
	{
		static const uint8_t odd[] = { 0, 1, 0x7f, 0x80, 0xfe, 0xff };

		for (size_t k = 0; k < COUNT(odd); k++)
		{
			uint8_t kept = body.p[at];
			size_t cut = (at * 7 + k * 13) % body.n;
			Buf line;
			Err err;

			body.p[at] = odd[k];
			l.damaged = true;
			buf_init(&line, 1 << 20);
			if (!send_part(&l, CDC_S3_UPDATE, FULL | MOVED, 0,
						   (Slice){ body.p, cut }, false, &line, &err) ||
				!send_part(&l, CDC_S3_UPDATE, FULL | MOVED, 1,
						   (Slice){ body.p + cut, body.n - cut }, true, &line,
						   &err))
			{
				assert_int_equal(err.kind, ERR_DATA);
				lab_done(&l);
				lab_init(&l, 'f', false, &o, SMALL);
			}
			buf_done(&line);
			body.p[at] = kept;
		}
	}
	buf_done(&body);
	lab_done(&l);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_cut), cmocka_unit_test(test_large),
		cmocka_unit_test(test_not_utf8),  cmocka_unit_test(test_refused),
		cmocka_unit_test(test_damaged),
	};

	return cmocka_run_group_tests_name("framepart", tests, NULL, NULL);
}
