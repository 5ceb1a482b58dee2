/*-------------------------------------------------------------------------
 * line_change.c
 *	  A record line back to its Change.
 *
 * Values are put into one buffer that is as large as they may become before the
 * first of them is there, so that it never moves.
 *
 * Layer: codec.
 *-------------------------------------------------------------------------
 */
#include "codec/line_change.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cdc_s3_proto.h"
#include "codec/jsonline.h"
#include "codec/pgread.h"
#include "codec/rowbytes.h"

#define VALUES_MAX ((size_t) 8 << 30)
#define REASON_SIZE 32
#define PARTS_MAX 65536

typedef struct RowOf
{
	ColView *cols;
	bool there;
} RowOf;

struct LineChange
{
	const Schema *schema;
	RowOf row;
	RowOf key;
	RowOf before;
	RowView row_view;
	RowView old_view;
	Buf values;
	ChangePartition *parts;
	char reason[REASON_SIZE];
	int next; /* column that the next member is likely to be */
};

LineChange *
line_change_new(const Schema *schema)
{
	LineChange *l = xcalloc(1, sizeof(*l));
	size_t n = (size_t) schema->ncols + 1;

	l->schema = schema;
	l->row.cols = xcalloc(n, sizeof(ColView));
	l->key.cols = xcalloc(n, sizeof(ColView));
	l->before.cols = xcalloc(n, sizeof(ColView));
	buf_init(&l->values, VALUES_MAX);
	return l;
}

void
line_change_free(LineChange *l)
{
	if (!l)
		return;
	free(l->row.cols);
	free(l->key.cols);
	free(l->before.cols);
	free(l->parts);
	buf_done(&l->values);
	free(l);
}

static bool
bad(Slice name, Err *err)
{
	return err_set(err, ERR_DATA, 0,
				   "\"%.*s\" of the record is not what is written there",
				   name.n > 64 ? 64 : (int) name.n, (const char *) name.p);
}

/* -1: there is no such column. */
static int
column_of(LineChange *l, Slice name, bool escaped)
{
	int n = l->schema->ncols;

	for (int i = 0; i < n; i++)
	{
		int at = (l->next + i) % n;

		if (json_equals(name, escaped, l->schema->cols[at].json_name))
		{
			l->next = at + 1;
			return at;
		}
	}
	return -1;
}

static bool
is_json(const SchemaColumn *c)
{
	return c->kind == CDC_S3_KIND_JSON || c->base_oid == OID_JSONB;
}

/* The text of a number, a word, or a string without its quotes. */
static bool
text_of(LineChange *l, const JsonValue *v, Slice *out, Err *err)
{
	size_t from = l->values.n;

	*out = v->text;
	if (v->kind != JSON_STRING)
		return true;
	*out = json_inner(v);
	if (!v->escaped)
		return true;
	if (!json_unescape(*out, &l->values, err))
		return false;
	*out = (Slice){ l->values.p + from, l->values.n - from };
	return true;
}

static bool
read_hex(LineChange *l, Slice s, Slice *out)
{
	size_t from = l->values.n;

	if (s.n < 2 || s.n % 2 || s.p[0] != '\\' || s.p[1] != 'x')
		return false;
	for (size_t i = 2; i < s.n; i += 2)
	{
		unsigned v = 0;

		for (size_t k = i; k < i + 2; k++)
		{
			uint8_t c = s.p[k];

			if (c >= '0' && c <= '9')
				v = v << 4 | (unsigned) (c - '0');
			else if (c >= 'a' && c <= 'f')
				v = v << 4 | (unsigned) (c - 'a' + 10);
			else
				return false;
		}
		buf_byte(&l->values, (uint8_t) v);
	}
	*out = (Slice){ l->values.p + from, l->values.n - from };
	return true;
}

static bool
add_element(LineChange *l, const JsonValue *v, Err *err)
{
	Buf *out = &l->values;
	Buf text;
	bool ok = true;

	if (v->kind != JSON_STRING)
	{
		if (v->kind == JSON_NULL)
			buf_str(out, "NULL");
		else if (v->kind == JSON_TRUE || v->kind == JSON_FALSE)
			buf_str(out, v->kind == JSON_TRUE ? "t" : "f");
		else
			buf_add(out, v->text.p, v->text.n);
		return true;
	}
	buf_init(&text, v->text.n + 1);
	ok = json_unescape(json_inner(v), &text, err);
	buf_byte(out, '"');
	for (size_t i = 0; ok && i < text.n; i++)
	{
		if (text.p[i] == '"' || text.p[i] == '\\')
			buf_byte(out, '\\');
		buf_byte(out, text.p[i]);
	}
	buf_byte(out, '"');
	buf_done(&text);
	return ok;
}

/* A JSON array as the array's literal. */
static bool
read_array(LineChange *l, const JsonValue *v, Slice *out, Err *err)
{
	size_t from = l->values.n;
	JsonCursor c;
	JsonValue item;

	if (!json_open_array(&c, v->text, err))
		return false;
	buf_byte(&l->values, '{');
	for (bool first = true;; first = false)
	{
		if (!json_next_item(&c, &item, err))
			return false;
		if (c.done)
			break;
		if (!first)
			buf_byte(&l->values, ',');
		if (!add_element(l, &item, err))
			return false;
	}
	buf_byte(&l->values, '}');
	*out = (Slice){ l->values.p + from, l->values.n - from };
	return true;
}

static bool
read_value(LineChange *l, const SchemaColumn *c, const JsonMember *m,
		   Slice *out, Err *err)
{
	const JsonValue *v = &m->value;
	size_t from;
	Slice text;

	if (is_json(c))
	{
		*out = v->raw;
		return true;
	}
	if (v->kind == JSON_ARRAY)
		return read_array(l, v, out, err);
	if (!text_of(l, v, &text, err))
		return false;
	*out = text;
	if (c->kind == CDC_S3_KIND_BYTEA)
		return read_hex(l, text, out) || bad(m->name, err);
	if (c->kind > CDC_S3_KIND_NUMERIC)
		return true;
	from = l->values.n;
	if (c->kind == CDC_S3_KIND_NUMERIC)
	{
		if (!read_numeric(text, &l->values))
			return bad(m->name, err);
	}
	else
	{
		uint8_t fixed[16];

		if (!read_fixed(c->kind, text, fixed))
			return bad(m->name, err);
		buf_add(&l->values, fixed, (size_t) kind_width(c->kind));
	}
	*out = (Slice){ l->values.p + from, l->values.n - from };
	return true;
}

static bool
read_column(LineChange *l, RowOf *row, int at, const JsonMember *m, Err *err)
{
	ColView *v = &row->cols[at];
	Slice value;

	if (m->value.kind == JSON_NULL)
	{
		*v = (ColView){ .p = m->value.raw.p,
						.n = (uint32_t) m->value.raw.n,
						.state = COL_NULL }; /* _jsonnull comes later */
		return true;
	}
	if (!read_value(l, &l->schema->cols[at], m, &value, err))
		return false;
	*v = (ColView){ .p = value.p, .n = (uint32_t) value.n, .state = COL_VALUE };
	return true;
}

/* Names of columns get that state; of a JSON null its text is known. */
static bool
read_names(LineChange *l, RowOf *row, const JsonMember *m, ColState state,
		   Err *err)
{
	JsonCursor c;
	JsonValue item;

	if (!json_open_array(&c, m->value.text, err))
		return false;
	for (;;)
	{
		int at;

		if (!json_next_item(&c, &item, err))
			return false;
		if (c.done)
			return true;
		at = item.kind == JSON_STRING
				 ? column_of(l, json_inner(&item), item.escaped)
				 : -1;
		if (at < 0)
			return bad(m->name, err);
		row->cols[at].state = (uint8_t) state;
	}
}

static bool
withheld_member(LineChange *l, const JsonMember *m, ColView *v, Err *err)
{
	int64_t size;
	Slice text;

	if (json_equals(m->name, m->escaped, "size"))
	{
		if (!json_int64(&m->value, &size))
			return bad(m->name, err);
		v->size = (uint64_t) size;
		return true;
	}
	if (!text_of(l, &m->value, &text, err))
		return false;
	if (json_equals(m->name, m->escaped, "reason"))
		v->reason =
			json_equals(text, false, "encoding")   ? CDC_S3_WITHHELD_ENCODING
			: json_equals(text, false, "too_deep") ? CDC_S3_WITHHELD_TOO_DEEP
												   : CDC_S3_WITHHELD_TOO_LONG;
	else if (json_equals(m->name, m->escaped, "crc32c"))
		v->crc32c = (uint32_t) strtoul((const char *) text.p, NULL, 16);
	else if (json_equals(m->name, m->escaped, "bytes"))
	{
		Slice bytes;

		if (!read_hex(l, text, &bytes))
			return bad(m->name, err);
		v->p = bytes.p;
		v->n = (uint32_t) bytes.n;
	}
	return true;
}

static bool
read_withheld(LineChange *l, const JsonMember *m, Err *err)
{
	JsonCursor c;
	JsonMember column;

	if (!json_open_object(&c, m->value.text, err))
		return false;
	for (;;)
	{
		JsonCursor inner;
		JsonMember member;
		ColView v = { .state = COL_WITHHELD };
		int at;

		if (!json_next_member(&c, &column, err))
			return false;
		if (c.done)
			return true;
		at = column_of(l, column.name, column.escaped);
		if (at < 0)
			return bad(m->name, err);
		if (!json_open_object(&inner, column.value.text, err))
			return false;
		for (;;)
		{
			if (!json_next_member(&inner, &member, err))
				return false;
			if (inner.done)
				break;
			if (!withheld_member(l, &member, &v, err))
				return false;
		}
		l->row.cols[at] = v;
	}
}

/* "_key" and "_before": rows of their own. */
static bool
read_old(LineChange *l, RowOf *row, Slice text, Err *err)
{
	JsonCursor c;
	JsonMember m;

	row->there = true;
	if (!json_open_object(&c, text, err))
		return false;
	for (;;)
	{
		int at;

		if (!json_next_member(&c, &m, err))
			return false;
		if (c.done)
			return true;
		if (json_equals(m.name, m.escaped, "_jsonnull"))
		{
			if (!read_names(l, row, &m, COL_VALUE, err))
				return false;
			continue;
		}
		at = column_of(l, m.name, m.escaped);
		if (at < 0)
			return bad(m.name, err);
		if (!read_column(l, row, at, &m, err))
			return false;
	}
}

/* A string with a zero behind it; null is "". */
static bool
read_string(LineChange *l, const JsonValue *v, Slice *out, Err *err)
{
	size_t from = l->values.n;

	if (v->kind == JSON_STRING &&
		!json_unescape(json_inner(v), &l->values, err))
		return false;
	*out = (Slice){ l->values.p + from, l->values.n - from };
	buf_byte(&l->values, 0);
	return true;
}

static bool
read_part(LineChange *l, Slice text, ChangePartition *out, Err *err)
{
	JsonCursor c;
	JsonMember m;
	Slice s;

	*out = (ChangePartition){ "", "", { NULL, 0 } };
	if (!json_open_object(&c, text, err))
		return false;
	for (;;)
	{
		if (!json_next_member(&c, &m, err))
			return false;
		if (c.done)
			return true;
		if (!read_string(l, &m.value, &s, err))
			return false;
		if (json_equals(m.name, m.escaped, "schema"))
			out->schema = (const char *) s.p;
		else if (json_equals(m.name, m.escaped, "table"))
			out->table = (const char *) s.p;
		else
			out->bound = s;
	}
}

static bool
read_partial(LineChange *l, const JsonMember *m, Change *out, Err *err)
{
	JsonCursor c;
	JsonValue item;

	if (!json_open_array(&c, m->value.text, err))
		return false;
	for (;;)
	{
		size_t n = (size_t) out->npartial;

		if (!json_next_item(&c, &item, err))
			return false;
		if (c.done)
			break;
		if (n == PARTS_MAX)
			return bad(m->name, err);
		l->parts = xrealloc(l->parts, (n + 1) * sizeof(*l->parts));
		if (!read_part(l, item.text, &l->parts[n], err))
			return false;
		out->npartial++;
	}
	out->partial = l->parts;
	return true;
}

/* What says where the change is. */
static bool
read_place(LineChange *l, const JsonMember *m, Change *out, bool *taken,
		   Err *err)
{
	const JsonValue *v = &m->value;
	int64_t number;
	Slice text;

	*taken = true;
	if (json_equals(m->name, m->escaped, "_op"))
	{
		out->op = v->text.n == 3 ? (char) v->text.p[1] : 0;
		return out->op || bad(m->name, err);
	}
	if (json_equals(m->name, m->escaped, "_lsn"))
	{
		char lsn[17] = "";

		if (v->text.n == 18)
			memcpy(lsn, v->text.p + 1, 16);
		return lsn_parse(lsn, &out->lsn) || bad(m->name, err);
	}
	if (json_equals(m->name, m->escaped, "_seq"))
		return json_int64(v, &out->seq) || bad(m->name, err);
	if (json_equals(m->name, m->escaped, "_xid"))
	{
		if (!json_int64(v, &number))
			return bad(m->name, err);
		out->xid = (uint32_t) number;
		return true;
	}
	if (json_equals(m->name, m->escaped, "_ts"))
		return text_of(l, v, &text, err) &&
			   (read_timestamp(text, &out->time) || bad(m->name, err));
	*taken = false;
	return true;
}

static bool
read_meta(LineChange *l, const JsonMember *m, Change *out, bool *taken,
		  Err *err)
{
	Slice text;

	*taken = true;
	if (json_equals(m->name, m->escaped, "_nokey"))
		out->no_identity = m->value.kind == JSON_TRUE;
	else if (json_equals(m->name, m->escaped, "_moved"))
		out->moved = out->no_before = m->value.kind == JSON_TRUE;
	else if (json_equals(m->name, m->escaped, "_reason"))
	{
		if (!text_of(l, &m->value, &text, err))
			return false;
		if (text.n >= REASON_SIZE)
			return bad(m->name, err);
		memcpy(l->reason, text.p, text.n);
		l->reason[text.n] = '\0';
		out->reason = l->reason;
	}
	else if (json_equals(m->name, m->escaped, "_partial"))
		return read_partial(l, m, out, err);
	else if (json_equals(m->name, m->escaped, "_unchanged"))
		return read_names(l, &l->row, m, COL_UNCHANGED, err);
	else if (json_equals(m->name, m->escaped, "_jsonnull"))
		return read_names(l, &l->row, m, COL_VALUE, err);
	else if (json_equals(m->name, m->escaped, "_withheld"))
		return read_withheld(l, m, err);
	else if (json_equals(m->name, m->escaped, "_key"))
		return read_old(l, &l->key, m->value.text, err);
	else if (json_equals(m->name, m->escaped, "_before"))
		return read_old(l, &l->before, m->value.text, err);
	else
		*taken = false;
	return true;
}

static bool
read_member(LineChange *l, const JsonMember *m, Change *out, Err *err)
{
	bool taken = false;
	int at;

	if (m->name.n > 0 && m->name.p[0] == '_')
	{
		if (!read_place(l, m, out, &taken, err))
			return false;
		if (!taken && !read_meta(l, m, out, &taken, err))
			return false;
		if (taken)
			return true;
	}
	at = column_of(l, m->name, m->escaped);
	if (at < 0)
		return bad(m->name, err);
	return read_column(l, &l->row, at, m, err);
}

static void
begin(LineChange *l, Slice line)
{
	size_t n = (size_t) l->schema->ncols;

	memset(l->row.cols, 0, n * sizeof(ColView));
	memset(l->key.cols, 0, n * sizeof(ColView));
	memset(l->before.cols, 0, n * sizeof(ColView));
	l->key.there = l->before.there = false;
	l->next = 0;
	buf_reset(&l->values);
	(void) buf_room(&l->values, 3 * line.n + 3 * 64 * (n + 1));
}

/* The rows where a writer looks for them. */
static void
set_rows(LineChange *l, Change *out)
{
	ColView *old = l->before.there ? l->before.cols
				   : l->key.there  ? l->key.cols
								   : NULL;
	ColView *row = l->row.cols;
	int n = l->schema->ncols;

	if (out->op == 't' || out->op == 's')
		return;
	if (out->op == 'd' && l->before.there)
	{
		for (int i = 0; i < n; i++)
		{
			if (row[i].state == COL_WITHHELD)
				l->before.cols[i] = row[i]; /* it is told there alone */
		}
		row = l->before.cols; /* which has the key, too */
	}
	else if (out->op == 'd' && out->no_identity)
		return;
	l->row_view = (RowView){ n, row };
	out->row = &l->row_view;
	if (out->op != 'u' || !old)
		return;
	l->old_view = (RowView){ n, old };
	out->old = &l->old_view;
	out->key_changed = l->key.there;
}

bool
line_change_read(LineChange *l, Slice line, Change *out, Err *err)
{
	JsonCursor c;
	JsonMember m;

	*out = (Change){ 0 };
	begin(l, line);
	if (!json_open_object(&c, line, err))
		return false;
	for (;;)
	{
		if (!json_next_member(&c, &m, err))
			return false;
		if (c.done)
			break;
		if (!read_member(l, &m, out, err))
			return false;
	}
	if (!out->op || l->values.overflow)
		return err_set(err, ERR_DATA, 0, "a record without \"_op\"");
	set_rows(l, out);
	return true;
}
