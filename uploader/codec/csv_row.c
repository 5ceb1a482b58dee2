/*-------------------------------------------------------------------------
 * csv_row.c
 *	  The format "csv": rows that are there as a whole.
 *
 * Old rows and partitions are JSON text in one field; the json format makes
 * it, and so it is the same in both.
 *
 * Layer: codec.
 *-------------------------------------------------------------------------
 */
#include "codec/csv.h"

#include <stdlib.h>

#include "base/mem.h"
#include "cdc_s3_proto.h"
#include "codec/csv_impl.h"
#include "codec/hash.h"
#include "codec/jsonline.h"
#include "codec/pgfmt.h"
#include "codec/value_text.h"

#define TEXT_MAX ((size_t) 1 << 31)
#define TEXT_KEPT ((size_t) 64 << 10)

const char *const csv_meta_names[CSV_METAS] = {
	"_op",    "_lsn",       "_seq",      "_xid",      "_ts",
	"_nokey", "_moved",     "_partial",  "_reason",   "_before",
	"_key",   "_unchanged", "_withheld", "_jsonnull", "_escaped"
};

/*
 * Fields
 */
void
csv_put_null(Buf *out)
{
	buf_add(out, ",\\N", 3);
}

/* What stands for it within quotes; 0: itself. */
static inline char
escape_of(uint8_t c)
{
	return c == '\n' ? 'n' : c == '\r' ? 'r' : c == '\\' ? '\\' : 0;
}

static void
add_escaped(Buf *out, const uint8_t *p, size_t n)
{
	size_t from = 0;

	for (size_t i = 0; i < n; i++)
	{
		char e = escape_of(p[i]);

		if (!e && p[i] != '"')
			continue;
		buf_add(out, p + from, i - from);
		buf_byte(out, e ? '\\' : '"');
		buf_byte(out, e ? (uint8_t) e : '"');
		from = i + 1;
	}
	if (n > from)
		buf_add(out, p + from, n - from);
}

void
csv_add_text(const FormatTable *t, Buf *out, const uint8_t *p, size_t n)
{
	const uint8_t *end = p + n;

	if (t->options.csv_escape)
	{
		add_escaped(out, p, n);
		return;
	}
	while (n > 0)
	{
		const uint8_t *quote = memchr(p, '"', (size_t) (end - p));

		if (!quote)
			break;
		buf_add(out, p, (size_t) (quote - p) + 1);
		buf_byte(out, '"');
		p = quote + 1;
		n = (size_t) (end - p);
	}
	if (n > 0)
		buf_add(out, p, n);
}

void
csv_put_text(const FormatTable *t, Buf *out, Slice s)
{
	buf_add(out, ",\"", 2);
	csv_add_text(t, out, s.p, s.n);
	buf_byte(out, '"');
}

void
csv_put_text_or_null(const FormatTable *t, Buf *out, Slice s)
{
	if (s.n > 0)
		csv_put_text(t, out, s);
	else
		csv_put_null(out);
}

/* n bytes of text behind a byte of room at o; returns how many there are. */
static size_t
with_quotes(char *o, size_t n, bool quotes)
{
	if (!quotes)
	{
		memmove(o, o + 1, n);
		return n;
	}
	o[0] = '"';
	o[n + 1] = '"';
	return n + 2;
}

static void
add_number(Buf *out, const JsonColumn *c, const ColView *v)
{
	bool fixed = c->kind != CDC_S3_KIND_NUMERIC;
	size_t room = fixed ? 0 : fmt_numeric_size(v->p, v->n);
	bool string;
	char *o;
	size_t n;

	if (!buf_room(out, room + PGFMT_MAX + 2))
		return;
	o = (char *) out->p + out->n;
	if (fixed)
		n = value_text_fixed(o + 1, c->kind, v->p, &string);
	else
	{
		n = fmt_numeric(o + 1, v->p, v->n, &string);
		string |= c->numeric_string;
	}
	out->n += with_quotes(o, n, string);
	out->p[out->n] = 0;
}

void
csv_add_hex_prefix(const FormatTable *t, Buf *out)
{
	buf_str(out, t->options.csv_escape ? "\\\\x" : "\\x");
}

void
csv_put_column(const FormatTable *t, Buf *out, int i, const ColView *v)
{
	const JsonColumn *c = &t->json->cols[i];

	if (v->state != COL_VALUE)
		csv_put_null(out);
	else if (c->kind <= CDC_S3_KIND_NUMERIC)
	{
		buf_byte(out, ',');
		add_number(out, c, v);
	}
	else if (c->kind == CDC_S3_KIND_BYTEA)
	{
		buf_add(out, ",\"", 2);
		csv_add_hex_prefix(t, out);
		json_put_hex_digits(out, v->p, v->n);
		buf_byte(out, '"');
	}
	else
		csv_put_text(t, out, (Slice){ v->p, v->n });
}

/*
 * Tables
 */

/* A name without anything to mind stands without quotes. */
static void
add_name(const FormatTable *t, Buf *out, const char *name)
{
	size_t n = strlen(name);

	if (strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
					 "0123456789_") == n)
	{
		buf_byte(out, ',');
		buf_add(out, name, n);
	}
	else
		csv_put_text(t, out, slice_cstr(name));
}

static void
make_header(FormatTable *t, const Schema *schema)
{
	int metas = t->options.csv_escape ? CSV_METAS : CSV_ESCAPED;

	buf_str(&t->header, csv_meta_names[0]);
	for (int i = 1; i < metas; i++)
		add_name(t, &t->header, csv_meta_names[i]);
	for (int i = 0; i < schema->ncols; i++)
		add_name(t, &t->header, schema->cols[i].json_name);
	buf_byte(&t->header, '\n');
}

static FormatTable *
table_new(const Schema *schema, const FormatOptions *options)
{
	FormatTable *t = xcalloc(1, sizeof(*t));

	t->options = *options;
	t->json = json_table_new(schema, options);
	buf_init(&t->header, TEXT_MAX);
	make_header(t, schema);
	return t;
}

static void
table_free(FormatTable *t)
{
	if (!t)
		return;
	json_table_free(t->json);
	buf_done(&t->header);
	free(t);
}

/*
 * Rows
 */
static FormatWriter *
begin(const FormatTable *t)
{
	FormatWriter *w = xcalloc(1, sizeof(*w));

	w->table = t;
	w->json = json_writer_new(t->json);
	buf_init(&w->text, TEXT_MAX);
	buf_init(&w->unchanged, TEXT_MAX);
	buf_init(&w->withheld, TEXT_MAX);
	buf_init(&w->jsonnull, TEXT_MAX);
	return w;
}

static void
close_writer(FormatWriter *w)
{
	if (!w)
		return;
	csv_part_free(w->part);
	json_writer_free(w->json);
	buf_done(&w->text);
	buf_done(&w->unchanged);
	buf_done(&w->withheld);
	buf_done(&w->jsonnull);
	free(w);
}

static void
put_header(FormatWriter *w, Buf *out)
{
	if (!w->headed)
		buf_add(out, w->table->header.p, w->table->header.n);
	w->headed = true;
}

static void
put_true_or_null(Buf *out, bool yes)
{
	if (yes)
		buf_str(out, ",true");
	else
		csv_put_null(out);
}

void
csv_put_meta(FormatWriter *w, const Change *change, Slice partial, Buf *out)
{
	char *o;

	put_header(w, out);
	if (!buf_room(out, 160))
		return;
	o = (char *) out->p + out->n;
	*o++ = '"';
	*o++ = change->op;
	memcpy(o, "\",\"", 3);
	o += 3;
	for (int i = 0; i < 16; i++)
		*o++ = "0123456789ABCDEF"[change->lsn >> (60 - 4 * i) & 15];
	*o++ = '"';
	*o++ = ',';
	o += fmt_i64(o, change->seq);
	*o++ = ',';
	if (change->xid != 0)
		o += fmt_u64(o, change->xid);
	else
	{
		*o++ = '\\';
		*o++ = 'N';
	}
	*o++ = ',';
	*o++ = '"';
	o += fmt_timestamp_us(o, change->time);
	*o++ = '"';
	out->n = (size_t) (o - (char *) out->p);
	*o = 0;
	put_true_or_null(out, change->no_identity);
	put_true_or_null(out, change->moved);
	csv_put_text_or_null(w->table, out, partial);
	csv_put_text_or_null(w->table, out,
						 change->reason ? slice_cstr(change->reason)
										: (Slice){ NULL, 0 });
}

/* Members of the change's line that stand in a field as they are. */
typedef struct Members
{
	Slice partial;
	Slice before;
	Slice key;
} Members;

/* The members are valid until w->text changes. */
static bool
find_members(FormatWriter *w, const Change *change, Members *out, Err *err)
{
	static const RowView no_row = { 0, NULL };
	Change bare = *change;
	JsonCursor c;
	JsonMember m;

	if (change->op == 'u')
		bare.row = &no_row; /* its columns are not asked for */
	buf_reset(&w->text);
	json_write(w->json, &bare, &w->text);
	if (w->text.overflow)
		return err_set(err, ERR_LIMIT, 0, "an old row is longer than %zu bytes",
					   TEXT_MAX);
	if (!json_open_object(&c, buf_slice(&w->text), err))
		return false;
	while (json_next_member(&c, &m, err))
	{
		if (c.done)
			return true;
		if (json_equals(m.name, m.escaped, "_partial"))
			out->partial = m.value.text;
		else if (json_equals(m.name, m.escaped, "_before"))
			out->before = m.value.text;
		else if (json_equals(m.name, m.escaped, "_key"))
			out->key = m.value.text;
	}
	return false;
}

static bool
has_members(const FormatWriter *w, const Change *change)
{
	bool old = change->op == 'd' ? change->row && change->row->ncols > 0
								 : change->old != NULL;

	return change->npartial > 0 || (old && (json_has_before(w->json, change) ||
											json_has_key(w->json, change)));
}

void
csv_list_name(Buf *list, const JsonColumn *c)
{
	buf_byte(list, list->n == 0 ? '[' : ',');
	buf_add(list, c->head + 1, c->head_n - 2); /* without , and : */
}

/* Ends it; "" is no list. */
static void
put_list(const FormatTable *t, Buf *list, char end, Buf *out)
{
	if (list->n > 0)
		buf_byte(list, (uint8_t) end);
	csv_put_text_or_null(t, out, buf_slice(list));
	out->overflow |= list->overflow;
	buf_reset(list);
}

void
csv_put_lists(FormatWriter *w, Buf *out)
{
	put_list(w->table, &w->unchanged, ']', out);
	put_list(w->table, &w->withheld, '}', out);
	put_list(w->table, &w->jsonnull, ']', out);
	if (w->table->options.csv_escape)
		buf_str(out, ",true");
}

static bool
is_space(uint8_t c)
{
	return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

/* The scalar null.  No other json value begins with that letter. */
static bool
is_json_null(const ColView *v)
{
	JsonValue value;
	Err err;
	size_t at = 0;

	while (at < v->n && is_space(v->p[at]))
		at++;
	return at < v->n && v->p[at] == 'n' &&
		   json_read_value((Slice){ v->p, v->n }, &value, &err);
}

/* True where the value cannot stand in its field. */
static bool
is_withheld(const FormatTable *t, const JsonColumn *c, ColView *v)
{
	if (v->state == COL_WITHHELD)
		return true;
	if (v->state != COL_VALUE || !t->options.raw_text ||
		c->kind < CDC_S3_KIND_STRING || c->kind == CDC_S3_KIND_BYTEA ||
		utf8_valid(v->p, v->n))
		return false;
	v->state = COL_WITHHELD;
	v->reason = CDC_S3_WITHHELD_ENCODING;
	v->size = v->n;
	v->crc32c = crc32c(0, v->p, v->n);
	return true;
}

/* What the lists say of the row's columns. */
static void
collect_lists(FormatWriter *w, const Change *change)
{
	const RowView *row = change->row;
	size_t room = w->table->json->whole_max;

	for (int i = 0; row && i < row->ncols; i++)
	{
		const JsonColumn *c = &w->table->json->cols[i];
		ColView *v = &row->cols[i];

		if (v->state == COL_UNCHANGED && change->op == 'u')
			csv_list_name(&w->unchanged, c);
		else if (change->op == 'd' && !c->key)
			continue;
		else if (is_withheld(w->table, c, v))
		{
			if (w->withheld.n == 0)
				buf_byte(&w->withheld, '{');
			json_put_one_withheld(c, v, w->withheld.n == 1, &room,
								  &w->withheld);
		}
		else if (v->state == COL_VALUE && c->form == FORM_JSON &&
				 is_json_null(v))
			csv_list_name(&w->jsonnull, c);
	}
}

static bool
check_room(const Buf *out, Err *err)
{
	return !out->overflow ||
		   err_set(err, ERR_LIMIT, 0, "a row's record is longer than %zu bytes",
				   out->max);
}

static bool
add(FormatWriter *w, const Change *change, Buf *out, Err *err)
{
	const FormatTable *t = w->table;
	const RowView *row = change->row;
	Members members = { { NULL, 0 }, { NULL, 0 }, { NULL, 0 } };

	if (has_members(w, change) && !find_members(w, change, &members, err))
		return false;
	csv_put_meta(w, change, members.partial, out);
	csv_put_text_or_null(t, out, members.before);
	csv_put_text_or_null(t, out, members.key);
	if (w->text.cap > TEXT_KEPT)
		buf_done(&w->text);
	collect_lists(w, change);
	csv_put_lists(w, out);
	for (int i = 0; i < t->json->ncols; i++)
	{
		if (row && i < row->ncols &&
			(change->op != 'd' || t->json->cols[i].key))
			csv_put_column(t, out, i, &row->cols[i]);
		else
			csv_put_null(out);
	}
	buf_byte(out, '\n');
	return check_room(out, err);
}

static bool
add_head(FormatWriter *w, const Change *change, Buf *out, Err *err)
{
	if (!w->part)
		w->part = csv_part_new(w);
	csv_part_begin(w->part, change, out);
	return check_room(out, err);
}

static bool
add_item(FormatWriter *w, const PartItem *item, Buf *out, Err *err)
{
	return csv_part_item(w->part, item, out, err) && check_room(out, err);
}

static bool
end(FormatWriter *w, Buf *out, Err *err)
{
	put_header(w, out);
	return check_room(out, err);
}

static size_t
memory(const FormatWriter *w)
{
	return w->text.cap + w->unchanged.cap + w->withheld.cap + w->jsonnull.cap +
		   csv_part_memory(w->part);
}

const Format csv_format = { .name = "csv",
							.suffix = ".csv",
							.reads_schema = true,
							.table_new = table_new,
							.table_free = table_free,
							.begin = begin,
							.add = add,
							.add_head = add_head,
							.add_item = add_item,
							.end = end,
							.memory = memory,
							.close = close_writer,
							.open = csv_reader_open,
							.next = csv_reader_next,
							.done = csv_reader_done };
