/*-------------------------------------------------------------------------
 * csv_read.c
 *	  The format "csv": a record back to its record line.
 *
 * Fields are checked as far as the line depends on them: what comes out is one
 * object in one line, whatever stands in the file.
 *
 * Layer: codec.
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>

#include "base/mem.h"
#include "cdc_s3_proto.h"
#include "codec/csv_impl.h"
#include "codec/hash.h"
#include "codec/jsonline.h"

/*
 * A byte of a line takes at most two of its record, and a column that is not
 * in the line three.
 */
#define RECORD_MAX(line, columns) (2 * (line) + 8 * (size_t) (columns) + 4096)

/* Room that is asked for ahead of need when text is put into a line. */
#define LINE_SLACK ((size_t) 32 << 10)

typedef struct Field
{
	Slice s;    /* without its quotes */
	bool text;  /* it has quotes */
	bool plain; /* stands for itself */
} Field;

/* What the lists of a record say of a column. */
typedef enum Mark
{
	MARK_NONE,
	MARK_ABSENT, /* unchanged, or withheld */
	MARK_DETAILS /* withheld, and its field says how */
} Mark;

struct FormatReader
{
	const Schema *schema;
	JsonTable *json;
	JsonWriter *values;
	LineReader *lines;
	size_t max_line;
	int64_t record; /* its number, from 1 */
	int nmetas;     /* 0: the header was not read */
	bool escape;
	int room;       /* for fields */
	Field *fields;  /* metadata, then the table's columns */
	uint8_t *marks; /* of the table's columns, Mark */
	int *jsonnull;  /* columns */
	int njsonnull;
	size_t bytes_room; /* of withheld values, as JSON has it */
	Buf text;          /* a field as it was */
	Buf line;
	Buf withheld; /* members */
};

FormatReader *
csv_reader_open(const FormatSource *source)
{
	static const FormatOptions options = { .numeric = NUMERIC_NUMBER };
	FormatReader *r = xcalloc(1, sizeof(*r));
	int ncols = source->schema->ncols;

	r->schema = source->schema;
	r->json = json_table_new(source->schema, &options);
	r->values = json_writer_new(r->json);
	r->max_line = source->max_line;
	r->lines = lines_open_quoted(source->compression, source->object,
								 RECORD_MAX(source->max_line, ncols));
	r->room = CSV_METAS + ncols;
	r->fields = xcalloc((size_t) r->room, sizeof(*r->fields));
	r->marks = xcalloc((size_t) ncols + 1, 1);
	r->jsonnull = xcalloc((size_t) ncols + 1, sizeof(int));
	buf_init(&r->text, source->max_line);
	buf_init(&r->line, source->max_line + LINE_SLACK);
	buf_init(&r->withheld, source->max_line + LINE_SLACK);
	return r;
}

void
csv_reader_done(FormatReader *r)
{
	if (!r)
		return;
	lines_close(r->lines);
	json_writer_free(r->values);
	json_table_free(r->json);
	free(r->fields);
	free(r->marks);
	free(r->jsonnull);
	buf_done(&r->text);
	buf_done(&r->line);
	buf_done(&r->withheld);
	free(r);
}

static bool
bad_record(const FormatReader *r, const char *what, Err *err)
{
	return err_set(err, ERR_DATA, 0, "%s in CSV record %lld", what,
				   (long long) r->record);
}

static bool
too_long(const FormatReader *r, Err *err)
{
	return err_set(err, ERR_LIMIT, 0, "line is longer than %zu bytes",
				   r->max_line);
}

/*
 * Fields
 */

/* From behind the opening quote; returns behind the closing one, or NULL. */
static const uint8_t *
split_quoted(const uint8_t *p, const uint8_t *end, Field *out)
{
	const uint8_t *from = p;

	out->text = out->plain = true;
	for (;;)
	{
		p = memchr(p, '"', (size_t) (end - p));
		if (!p)
			return NULL;
		if (p + 1 == end || p[1] != '"')
			break;
		out->plain = false;
		p += 2;
		if (p == end)
			return NULL;
	}
	out->s = (Slice){ from, (size_t) (p - from) };
	return p + 1;
}

static const uint8_t *
split_bare(const uint8_t *p, const uint8_t *end, Field *out)
{
	const uint8_t *from = p;

	while (p < end && *p != ',')
	{
		if (*p == '"' || *p == '\r' || *p == '\n')
			return NULL;
		p++;
	}
	*out = (Field){ { from, (size_t) (p - from) }, false, true };
	return p;
}

/* -1: these are no fields, or too many. */
static int
split_record(FormatReader *r, Slice record)
{
	const uint8_t *p = record.p;
	const uint8_t *end = p + record.n;
	int n = 0;

	for (;;)
	{
		Field *f = &r->fields[n++];

		if (p < end && *p == '"')
			p = p + 1 < end ? split_quoted(p + 1, end, f) : NULL;
		else
			p = split_bare(p, end, f);
		if (!p || (p < end && *p != ','))
			return -1;
		if (p == end)
			return n;
		p++;
		if (n == r->room)
			return -1;
	}
}

static bool
is_null(const Field *f)
{
	return !f->text && f->s.n == 2 && memcmp(f->s.p, "\\N", 2) == 0;
}

static bool
is_word(const Field *f, const char *word)
{
	return f->plain && f->s.n == strlen(word) &&
		   memcmp(f->s.p, word, f->s.n) == 0;
}

/* Behind a backslash; 0: nothing that is written. */
static uint8_t
unescape_byte(uint8_t c)
{
	return c == 'n' ? '\n' : c == 'r' ? '\r' : c == '\\' ? '\\' : 0;
}

/* False where the escapes are none. */
static bool
unescape(Slice s, Buf *out)
{
	size_t from = 0;

	for (size_t i = 0; i < s.n; i++)
	{
		uint8_t c = 0;

		if (s.p[i] != '\\')
			continue;
		if (i + 1 < s.n)
			c = unescape_byte(s.p[i + 1]);
		if (!c)
			return false;
		buf_add(out, s.p + from, i - from);
		buf_byte(out, c);
		from = ++i + 1;
	}
	if (s.n > from)
		buf_add(out, s.p + from, s.n - from);
	return true;
}

/* One quote of each two. */
static void
undouble(Slice s, Buf *out)
{
	const uint8_t *p = s.p;
	const uint8_t *end = p + s.n;

	while (p < end)
	{
		const uint8_t *quote = memchr(p, '"', (size_t) (end - p));
		size_t n = (size_t) ((quote ? quote + 1 : end) - p);

		buf_add(out, p, n);
		p += quote ? n + 1 : n;
	}
}

/* The text that the field stands for; valid until the next call. */
static bool
field_text(FormatReader *r, const Field *f, Slice *out, Err *err)
{
	Slice s = f->s;
	Buf plain;
	bool ok = true;

	if (!f->text)
		return bad_record(r, "unquoted text", err);
	if (f->plain && (!r->escape || !memchr(s.p, '\\', s.n)))
	{
		*out = s;
		return true;
	}
	buf_reset(&r->text);
	if (!r->escape)
		undouble(s, &r->text);
	else if (f->plain)
		ok = unescape(s, &r->text);
	else
	{
		buf_init(&plain, r->max_line * 2);
		undouble(s, &plain);
		ok = unescape(buf_slice(&plain), &r->text) && !plain.overflow;
		buf_done(&plain);
	}
	if (!ok)
		return bad_record(r, "unknown escape", err);
	if (r->text.overflow)
		return too_long(r, err);
	*out = (Slice){ r->text.p ? r->text.p : (const uint8_t *) "", r->text.n };
	return true;
}

/*
 * Header
 */
static int
find_meta(const Field *f)
{
	for (int i = 0; i < CSV_METAS; i++)
	{
		if (is_word(f, csv_meta_names[i]))
			return i;
	}
	return -1;
}

static bool
wrong_header(const FormatReader *r, Err *err)
{
	return err_set(err, ERR_DATA, 0,
				   "header of the CSV object is not one of schema %s; one "
				   "of output.shape = dms has none, and cannot be read back",
				   r->schema->hash);
}

/* The table's columns, which are the last ones, in their order. */
static bool
check_columns(FormatReader *r, Err *err)
{
	for (int i = 0; i < r->schema->ncols; i++)
	{
		Field f = r->fields[r->nmetas + i];
		const char *want = r->schema->cols[i].json_name;
		Slice name;

		f.text = true; /* a plain name has no quotes */
		if (!field_text(r, &f, &name, err))
			return false;
		if (name.n != strlen(want) || memcmp(name.p, want, name.n) != 0)
			return wrong_header(r, err);
	}
	return true;
}

static bool
read_header(FormatReader *r, Err *err)
{
	Slice record;
	bool end;
	int n;

	if (!lines_next(r->lines, &record, &end, err))
		return false;
	n = end ? -1 : split_record(r, record);
	if (n < CSV_ESCAPED + r->schema->ncols)
		return wrong_header(r, err);
	r->nmetas = n - r->schema->ncols;
	for (int i = 0; i < r->nmetas; i++)
	{
		if (find_meta(&r->fields[i]) != i)
			return wrong_header(r, err);
	}
	r->escape = r->nmetas > CSV_ESCAPED;
	return check_columns(r, err);
}

/*
 * Metadata
 */

/* Text of JSON that has no line end and is of this kind. */
static bool
json_text(FormatReader *r, CsvMeta meta, JsonKind kind, JsonValue *out,
		  Err *err)
{
	Slice s = { NULL, 0 };

	if (!field_text(r, &r->fields[meta], &s, err))
		return false;
	if (memchr(s.p, '\n', s.n) || memchr(s.p, '\r', s.n))
		return bad_record(r, "line feed between JSON tokens", err);
	if (!json_read_value(s, out, err))
		return err_prefix(err, "CSV record %lld, \"%s\"", (long long) r->record,
						  csv_meta_names[meta]);
	if (out->kind != kind || out->text.n != s.n)
		return bad_record(r, "JSON text of another kind", err);
	return true;
}

static void
add_name(FormatReader *r, CsvMeta meta)
{
	buf_str(&r->line, meta == CSV_OP ? "{\"" : ",\"");
	buf_str(&r->line, csv_meta_names[meta]);
	buf_add(&r->line, "\":", 2);
}

static bool
put_number(FormatReader *r, CsvMeta meta, Err *err)
{
	Slice s = r->fields[meta].s;

	if (r->fields[meta].text || s.n == 0 || s.n > 19)
		return bad_record(r, "bad number", err);
	for (size_t i = 0; i < s.n; i++)
	{
		if (s.p[i] < '0' || s.p[i] > '9')
			return bad_record(r, "bad number", err);
	}
	add_name(r, meta);
	buf_add(&r->line, s.p, s.n);
	return true;
}

static bool
put_string(FormatReader *r, CsvMeta meta, Err *err)
{
	Slice s = { NULL, 0 };

	if (!field_text(r, &r->fields[meta], &s, err))
		return false;
	add_name(r, meta);
	json_put_string(&r->line, s.p, s.n);
	return true;
}

static bool
put_json(FormatReader *r, CsvMeta meta, JsonKind kind, Err *err)
{
	JsonValue v;

	if (is_null(&r->fields[meta]))
		return true;
	if (!json_text(r, meta, kind, &v, err))
		return false;
	add_name(r, meta);
	buf_add(&r->line, v.text.p, v.text.n);
	return true;
}

/* true, or NULL for a member that is not there. */
static bool
put_true(FormatReader *r, CsvMeta meta, Err *err)
{
	if (is_null(&r->fields[meta]))
		return true;
	if (!is_word(&r->fields[meta], "true"))
		return bad_record(r, "a mark that is not true", err);
	add_name(r, meta);
	buf_str(&r->line, "true");
	return true;
}

static bool
put_meta(FormatReader *r, Err *err)
{
	const Field *f = r->fields;

	if (f[CSV_OP].s.n != 1 || !strchr("riudts", f[CSV_OP].s.p[0]) ||
		f[CSV_OP].s.p[0] == 0)
		return bad_record(r, "unknown _op", err);
	if (!put_string(r, CSV_OP, err) || !put_string(r, CSV_LSN, err) ||
		!put_number(r, CSV_SEQ, err))
		return false;
	if (!is_null(&f[CSV_XID]) && !put_number(r, CSV_XID, err))
		return false;
	if (!put_string(r, CSV_TS, err))
		return false;
	return put_true(r, CSV_NOKEY, err) && put_true(r, CSV_MOVED, err) &&
		   put_json(r, CSV_PARTIAL, JSON_ARRAY, err) &&
		   (is_null(&f[CSV_REASON]) || put_string(r, CSV_REASON, err)) &&
		   put_json(r, CSV_BEFORE, JSON_OBJECT, err) &&
		   put_json(r, CSV_KEY, JSON_OBJECT, err) &&
		   put_json(r, CSV_UNCHANGED, JSON_ARRAY, err);
}

/*
 * Lists
 */

/* The column of that name, looked for from "from" on; -1: none. */
static int
find_column(const FormatReader *r, Slice name, bool escaped, int from)
{
	for (int i = 0; i < r->schema->ncols; i++)
	{
		int at = (from + i) % r->schema->ncols;

		if (json_equals(name, escaped, r->schema->cols[at].json_name))
			return at;
	}
	return -1;
}

static bool
mark_unchanged(FormatReader *r, Err *err)
{
	JsonValue list;
	JsonCursor c;
	JsonValue v;
	int at = 0;

	if (is_null(&r->fields[CSV_UNCHANGED]))
		return true;
	if (!json_text(r, CSV_UNCHANGED, JSON_ARRAY, &list, err) ||
		!json_open_array(&c, list.text, err))
		return false;
	for (;;)
	{
		if (!json_next_item(&c, &v, err))
			return false;
		if (c.done)
			return true;
		at = v.kind == JSON_STRING
				 ? find_column(r, json_inner(&v), v.escaped, at)
				 : -1;
		if (at < 0)
			return bad_record(r, "unknown column in _unchanged", err);
		r->marks[at] = MARK_ABSENT;
	}
}

static void
add_withheld(FormatReader *r, int at, Slice details)
{
	const JsonColumn *c = &r->json->cols[at];

	if (r->withheld.n > 0)
		buf_byte(&r->withheld, ',');
	buf_add(&r->withheld, c->head + 1, c->head_n - 1);
	buf_add(&r->withheld, details.p, details.n);
}

static bool
mark_withheld(FormatReader *r, Err *err)
{
	JsonValue object;
	JsonCursor c;
	JsonMember m;
	int at = 0;

	if (is_null(&r->fields[CSV_WITHHELD]))
		return true;
	if (!json_text(r, CSV_WITHHELD, JSON_OBJECT, &object, err) ||
		!json_open_object(&c, object.text, err))
		return false;
	for (;;)
	{
		if (!json_next_member(&c, &m, err))
			return false;
		if (c.done)
			return true;
		at = find_column(r, m.name, m.escaped, at);
		if (at < 0)
			return bad_record(r, "unknown column in _withheld", err);
		r->marks[at] = m.value.kind == JSON_NULL ? MARK_DETAILS : MARK_ABSENT;
		if (m.value.kind != JSON_NULL)
			add_withheld(r, at, m.value.text);
	}
}

/*
 * Columns
 */
static void
add_head(FormatReader *r, int i)
{
	buf_add(&r->line, r->json->cols[i].head, r->json->cols[i].head_n);
}

/* What is said in the place of a withheld value. */
static bool
take_details(FormatReader *r, int i, const Field *f, Err *err)
{
	JsonValue v;
	Slice s;

	if (!field_text(r, f, &s, err) || !json_read_value(s, &v, err))
		return false;
	if (v.kind != JSON_OBJECT || memchr(s.p, '\n', s.n))
		return bad_record(r, "bad details of a withheld value", err);
	add_withheld(r, i, v.text);
	return true;
}

/* Long text of a SQL_ASCII server, with U+FFFD for each byte that is none. */
static void
put_replaced(FormatReader *r, const JsonColumn *c, Slice s)
{
	bool json = c->form == FORM_JSON;
	size_t n;

	if (!json)
		buf_byte(&r->line, '"');
	for (size_t i = 0; i < s.n && !r->line.overflow; i += n > 0 ? n : 1)
	{
		n = utf8_sequence(s.p + i, s.n - i);
		if (n == 0)
			buf_str(&r->line, "\xEF\xBF\xBD");
		else if (json)
			json_put_embedded(&r->line, s.p + i, n);
		else
			json_add_escaped(&r->line, s.p + i, n);
	}
	if (!json)
		buf_byte(&r->line, '"');
}

/* Text that is not UTF-8, of a row in parts: withheld, and a long one told. */
static void
put_not_utf8(FormatReader *r, int i, Slice s)
{
	const JsonColumn *c = &r->json->cols[i];
	bool is_long = s.n > r->json->whole_max;
	ColView v = { .p = is_long ? NULL : s.p,
				  .n = is_long ? 0 : (uint32_t) s.n,
				  .state = COL_WITHHELD,
				  .reason = CDC_S3_WITHHELD_ENCODING,
				  .size = s.n,
				  .crc32c = crc32c(0, s.p, s.n) };

	if (is_long)
	{
		add_head(r, i);
		put_replaced(r, c, s);
	}
	json_put_one_withheld(c, &v, r->withheld.n == 0, &r->bytes_room,
						  &r->withheld);
}

static bool
put_json_column(FormatReader *r, int i, Slice s, Err *err)
{
	JsonValue v;

	if (!json_read_value(s, &v, err))
		return err_prefix(err, "CSV record %lld, column \"%s\"",
						  (long long) r->record, r->schema->cols[i].name);
	if (v.kind == JSON_NULL)
		r->jsonnull[r->njsonnull++] = i;
	add_head(r, i);
	json_put_embedded(&r->line, s.p, s.n);
	return true;
}

static bool
put_text_column(FormatReader *r, int i, const Field *f, Err *err)
{
	const JsonColumn *c = &r->json->cols[i];
	ColView v = { .state = COL_VALUE };
	Slice s;

	if (!field_text(r, f, &s, err))
		return false;
	if (c->kind >= CDC_S3_KIND_STRING && c->kind != CDC_S3_KIND_BYTEA &&
		!utf8_valid(s.p, s.n))
	{
		put_not_utf8(r, i, s);
		return true;
	}
	if (c->form == FORM_JSON)
		return put_json_column(r, i, s, err);
	add_head(r, i);
	v.p = s.p;
	v.n = (uint32_t) s.n;
	if (c->form != FORM_KIND && s.n <= r->json->whole_max)
		json_put_value(r->values, &r->line, c, &v);
	else
		json_put_string(&r->line, s.p, s.n);
	return true;
}

static bool
put_bare_column(FormatReader *r, int i, const Field *f, Err *err)
{
	JsonValue v;

	if (is_null(f))
	{
		add_head(r, i);
		buf_add(&r->line, "null", 4);
		return true;
	}
	if (!json_read_value(f->s, &v, err) || v.text.n != f->s.n ||
		(v.kind != JSON_NUMBER && v.kind != JSON_TRUE && v.kind != JSON_FALSE))
		return bad_record(r, "field without quotes that is no number", err);
	add_head(r, i);
	buf_add(&r->line, f->s.p, f->s.n);
	return true;
}

/* Which columns stand in the record's line. */
static bool
is_shown(const FormatReader *r, int i)
{
	uint8_t op = r->fields[CSV_OP].s.p[0];

	if (op == 't' || op == 's' || r->marks[i] == MARK_ABSENT)
		return false;
	return op != 'd' ||
		   (r->json->cols[i].key && is_null(&r->fields[CSV_NOKEY]));
}

static bool
put_columns(FormatReader *r, Err *err)
{
	for (int i = 0; i < r->schema->ncols; i++)
	{
		const Field *f = &r->fields[r->nmetas + i];
		bool ok;

		if (!is_shown(r, i))
		{
			if (!is_null(f))
				return bad_record(r, "value of a column that has none", err);
			continue;
		}
		if (r->marks[i] == MARK_DETAILS)
			ok = take_details(r, i, f, err);
		else
			ok = f->text ? put_text_column(r, i, f, err)
						 : put_bare_column(r, i, f, err);
		if (!ok)
			return false;
	}
	return true;
}

static void
put_names(FormatReader *r)
{
	if (r->withheld.n > 0)
	{
		buf_str(&r->line, ",\"_withheld\":{");
		buf_add(&r->line, r->withheld.p, r->withheld.n);
		buf_byte(&r->line, '}');
	}
	if (r->njsonnull > 0)
		json_put_names(r->values, &r->line, "_jsonnull", r->jsonnull,
					   r->njsonnull);
	buf_byte(&r->line, '}');
}

static bool
make_line(FormatReader *r, Slice record, Err *err)
{
	if (split_record(r, record) != r->nmetas + r->schema->ncols)
		return bad_record(r, "fields that are not those of the header", err);
	buf_reset(&r->line);
	buf_reset(&r->withheld);
	memset(r->marks, MARK_NONE, (size_t) r->schema->ncols);
	r->njsonnull = 0;
	r->bytes_room = r->json->whole_max;
	if (!put_meta(r, err) || !mark_unchanged(r, err) ||
		!mark_withheld(r, err) || !put_columns(r, err))
		return false;
	put_names(r);
	if (r->line.overflow || r->withheld.overflow || r->line.n > r->max_line)
		return too_long(r, err);
	return true;
}

bool
csv_reader_next(FormatReader *r, Slice *out_line, bool *out_end, Err *err)
{
	Slice record;
	bool end;

	if (r->nmetas == 0 && !read_header(r, err))
		return false;
	r->record++;
	if (!lines_next(r->lines, &record, &end, err))
		return false;
	if (end)
	{
		*out_end = true;
		return true;
	}
	if (!make_line(r, record, err))
		return false;
	*out_line = buf_slice(&r->line);
	*out_end = false;
	return true;
}
