/*-------------------------------------------------------------------------
 * merge_record.c
 *	  One record line, taken apart along the schema it was written with.
 *
 * Metadata may stand anywhere in the line; what names columns (_unchanged,
 * _withheld, _jsonnull) is therefore kept and read once the line is through.
 * A name that is no column and starts with '_' is metadata of a later
 * version and skipped; any other is an error.
 *
 * Columns mostly follow each other as the schema has them: then one comparison
 * tells a column (json_next_named), and the slow way takes the others.
 * Layer: merge.
 *-------------------------------------------------------------------------
 */
#include "merge/merge_record.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define META_MAX 32 /* longest metadata string, with its zero */
#define HEADS_MAX_BYTES ((size_t) 64 * 1024 * 1024)

/* Members that name columns, read after the rest. */
typedef struct Later
{
	JsonValue unchanged;
	JsonValue withheld;
	JsonValue jsonnull;
	JsonValue key;
	JsonValue before;
} Later;

void
record_init(Record *r)
{
	memset(r, 0, sizeof(*r));
	buf_init(&r->heads, HEADS_MAX_BYTES);
}

void
record_done(Record *r)
{
	buf_done(&r->heads);
	free(r->head);
	free(r->row);
	free(r->key);
	free(r->before);
	memset(r, 0, sizeof(*r));
}

/* What the lake's names need no escape for; '_' may begin metadata. */
static bool
is_plain(const char *name)
{
	if (name[0] == '_')
		return false;
	for (const char *p = name; *p; p++)
	{
		if (*p == '"' || *p == '\\' || (unsigned char) *p < 0x20)
			return false;
	}
	return true;
}

/* A column whose name is not plain has an empty head, and is never found so. */
static void
make_heads(Record *r, const Schema *schema)
{
	int n = schema->ncols;

	r->head = xrealloc(r->head, ((size_t) n + 1) * sizeof(*r->head));
	buf_reset(&r->heads);
	for (int i = 0; i < n; i++)
	{
		r->head[i] = r->heads.n;
		if (is_plain(schema->cols[i].json_name))
			buf_printf(&r->heads, ",\"%s\":", schema->cols[i].json_name);
	}
	r->head[n] = r->heads.n;
}

static void
record_reset(Record *r, const Schema *schema)
{
	size_t n = (size_t) schema->ncols;
	bool other = r->schema != schema;

	if (other)
	{
		r->row = xrealloc(r->row, (n + 1) * sizeof(*r->row));
		r->key = xrealloc(r->key, (n + 1) * sizeof(*r->key));
		r->before = xrealloc(r->before, (n + 1) * sizeof(*r->before));
		make_heads(r, schema);
		r->schema = schema;
	}
	memset(r->row, 0, n * sizeof(*r->row));
	if (other || r->has_key)
		memset(r->key, 0, n * sizeof(*r->key));
	if (other || r->has_before)
		memset(r->before, 0, n * sizeof(*r->before));
	r->op = 0;
	r->pos = (RecordPos){ 0, -1 };
	r->no_key = r->moved = r->partial = r->has_key = r->has_before = false;
	r->nwithheld = 0;
	r->parts = (JsonValue){ .kind = JSON_NULL };
	memcpy(r->reason, "other", sizeof("other"));
}

/* The column of that name, looked for from "from" on; -1: none. */
static int
find_column(const Schema *s, Slice name, bool escaped, int from)
{
	for (int i = 0; i < s->ncols; i++)
	{
		int at = (from + i) % s->ncols;

		if (json_equals(name, escaped, s->cols[at].json_name))
			return at;
	}
	return -1;
}

static bool
copy_string(const JsonValue *v, char *out, size_t size)
{
	Slice s;

	if (v->kind != JSON_STRING || v->escaped)
		return false;
	s = json_inner(v);
	if (s.n >= size)
		return false;
	memcpy(out, s.p, s.n);
	out[s.n] = '\0';
	return true;
}

/* Inlined, so that the length is known. */
static inline bool
is_named(const JsonMember *m, const char *name)
{
	size_t n = strlen(name);

	return !m->escaped && m->name.n == n && memcmp(m->name.p, name, n) == 0;
}

/* Sets *known where the member is metadata. */
static bool
take_metadata(Record *r, const JsonMember *m, Later *later, bool *known,
			  Err *err)
{
	char text[META_MAX];
	const JsonValue *v = &m->value;

	*known = true;
	if (is_named(m, "_op"))
	{
		if (!copy_string(v, text, sizeof(text)) || strlen(text) != 1 ||
			!strchr("riudts", text[0]))
			return err_set(err, ERR_DATA, 0, "record with unknown _op");
		r->op = text[0];
	}
	else if (is_named(m, "_lsn"))
	{
		if (!copy_string(v, text, sizeof(text)) ||
			!lsn_parse(text, &r->pos.lsn))
			return err_set(err, ERR_DATA, 0, "record with a bad _lsn");
	}
	else if (is_named(m, "_seq"))
	{
		if (!json_int64(v, &r->pos.seq) || r->pos.seq < 0)
			return err_set(err, ERR_DATA, 0, "record with a bad _seq");
	}
	else if (is_named(m, "_nokey"))
		r->no_key = v->kind == JSON_TRUE;
	else if (is_named(m, "_moved"))
		r->moved = v->kind == JSON_TRUE;
	else if (is_named(m, "_partial"))
	{
		r->partial = v->kind != JSON_FALSE && v->kind != JSON_NULL;
		r->parts = *v;
	}
	else if (is_named(m, "_reason"))
		(void) copy_string(v, r->reason, sizeof(r->reason)); /* or "other" */
	else if (is_named(m, "_unchanged"))
		later->unchanged = *v;
	else if (is_named(m, "_withheld"))
		later->withheld = *v;
	else if (is_named(m, "_jsonnull"))
		later->jsonnull = *v;
	else if (is_named(m, "_key"))
		later->key = *v;
	else if (is_named(m, "_before"))
		later->before = *v;
	else
		*known = is_named(m, "_xid") || is_named(m, "_ts");
	return true;
}

static bool
unknown_name(const Schema *s, Slice name, Err *err)
{
	return err_set(
		err, ERR_DATA, 0, "record names column \"%.*s\", which schema %s lacks",
		name.n > 64 ? 64 : (int) name.n, (const char *) name.p, s->hash);
}

static bool
take_column(const Schema *s, const JsonMember *m, RecordField *row, int *next,
			Err *err)
{
	int at = s->ncols > 0 ? find_column(s, m->name, m->escaped, *next) : -1;

	if (at < 0)
	{
		if (m->name.n > 0 && m->name.p[0] == '_')
			return true;
		return unknown_name(s, m->name, err);
	}
	row[at] = (RecordField){ FIELD_VALUE, m->value };
	*next = at + 1 < s->ncols ? at + 1 : 0;
	return true;
}

/* An array of column names: these get the state. */
static bool
mark_names(const Schema *s, const JsonValue *list, RecordField *row,
		   FieldState state, Err *err)
{
	JsonCursor c;
	JsonValue v;
	int at = 0;

	if (list->kind != JSON_ARRAY)
		return list->text.n == 0 ||
			   err_set(err, ERR_DATA, 0, "expected a list of column names");
	if (!json_open_array(&c, list->text, err))
		return false;
	for (;;)
	{
		if (!json_next_item(&c, &v, err))
			return false;
		if (c.done)
			return true;
		at = v.kind == JSON_STRING && s->ncols > 0
				 ? find_column(s, json_inner(&v), v.escaped, at)
				 : -1;
		if (at < 0)
			return unknown_name(s, v.text, err);
		row[at].state = state;
		if (state == FIELD_NULL_JSON && row[at].value.raw.n == 0)
			row[at].value.text = row[at].value.raw = slice_cstr("null");
	}
}

static bool
mark_withheld(Record *r, const JsonValue *v, Err *err)
{
	JsonCursor c;
	JsonMember m;
	int at = 0;

	if (v->text.n == 0)
		return true;
	if (!json_open_object(&c, v->text, err))
		return false;
	for (;;)
	{
		if (!json_next_member(&c, &m, err))
			return false;
		if (c.done)
			return true;
		at = r->schema->ncols > 0
				 ? find_column(r->schema, m.name, m.escaped, at)
				 : -1;
		if (at < 0)
			return unknown_name(r->schema, m.name, err);
		r->row[at].state = FIELD_WITHHELD;
		r->nwithheld++;
	}
}

/* "_key" or "_before": an object of columns. */
static bool
take_row(const Schema *s, const JsonValue *v, RecordField *row, bool *has,
		 Err *err)
{
	JsonCursor c;
	JsonMember m;
	JsonValue jsonnull = { .kind = JSON_NULL };
	int next = 0;

	if (v->text.n == 0)
		return true;
	*has = true; /* also where it fails half way */
	if (!json_open_object(&c, v->text, err))
		return false;
	for (;;)
	{
		if (!json_next_member(&c, &m, err))
			return false;
		if (c.done)
			break;
		if (json_equals(m.name, m.escaped, "_jsonnull"))
			jsonnull = m.value;
		else if (!take_column(s, &m, row, &next, err))
			return false;
	}
	return mark_names(s, &jsonnull, row, FIELD_NULL_JSON, err);
}

/* Columns that a row must have; no key column may hold NULL. */
static bool
check_complete(const Record *r, Err *err)
{
	if (r->op == 't' || r->op == 's')
		return true;
	for (int i = 0; i < r->schema->ncols; i++)
	{
		const SchemaColumn *c = &r->schema->cols[i];

		if (r->row[i].state != FIELD_ABSENT || (r->op == 'd' && !c->key))
			continue;
		return err_set(err, ERR_DATA, 0, "record lacks column \"%s\"", c->name);
	}
	return true;
}

/* Columns that follow each other from *next on, as the schema has them. */
static bool
take_in_order(Record *r, JsonCursor *c, int *next, int end, Err *err)
{
	bool is = true;

	while (is && *next < end)
	{
		size_t from = r->head[*next];
		Slice head = { r->heads.p + from, r->head[*next + 1] - from };

		if (head.n == 0)
			return true;
		if (!json_next_named(c, head, &r->row[*next].value, &is, err))
			return false;
		if (is)
			r->row[(*next)++].state = FIELD_VALUE;
	}
	return true;
}

/* Metadata in front; false where any says more than op, place and time. */
static bool
peek_metadata(Record *r, JsonCursor *c, Slice first, Err *err)
{
	Later later = { 0 };
	JsonMember m;
	bool known;

	while ((size_t) (c->end - c->p) < first.n ||
		   memcmp(c->p, first.p, first.n) != 0)
	{
		if (!json_next_member(c, &m, err) || c->done ||
			(!is_named(&m, "_op") && !is_named(&m, "_lsn") &&
			 !is_named(&m, "_seq") && !is_named(&m, "_xid") &&
			 !is_named(&m, "_ts")) ||
			!take_metadata(r, &m, &later, &known, err))
			return false;
	}
	return (r->op == 'i' || r->op == 'u') && r->pos.seq >= 0;
}

/*
 * Without a backslash each quote is the end of a string or its beginning; so
 * no name of metadata is in the text if no '_' follows a quote.
 */
static bool
has_no_metadata(const uint8_t *p, const uint8_t *end)
{
	if (memchr(p, '\\', (size_t) (end - p)))
		return false;
	for (; (p = memchr(p, '_', (size_t) (end - p))); p++)
	{
		if (p[-1] == '"') /* p began behind a column's name */
			return false;
	}
	return true;
}

bool
record_peek(Record *r, const Schema *schema, int n, Slice line)
{
	JsonCursor c;
	int next = 0;
	Err ignored; /* who reads all of it says so */

	if (line.n == 0 || line.p[line.n - 1] != '}')
		return false;
	record_reset(r, schema);
	if (r->head[1] == 0 || !json_open_object(&c, line, &ignored) ||
		!peek_metadata(r, &c, (Slice){ r->heads.p, r->head[1] }, &ignored))
		return false;
	return take_in_order(r, &c, &next, n, &ignored) && next == n &&
		   has_no_metadata(c.p, c.end);
}

bool
record_parse(Record *r, const Schema *schema, Slice line, Err *err)
{
	JsonCursor c;
	JsonMember m;
	Later later = { 0 };
	bool known;
	int next = 0;

	record_reset(r, schema);
	if (!json_open_object(&c, line, err))
		return false;
	for (;;)
	{
		if (!take_in_order(r, &c, &next, schema->ncols, err))
			return false;
		next = next < schema->ncols ? next : 0;
		if (!json_next_member(&c, &m, err))
			return false;
		if (c.done)
			break;
		known = false;
		if (m.name.n > 0 && (m.name.p[0] == '_' || m.escaped) &&
			!take_metadata(r, &m, &later, &known, err))
			return false;
		if (!known && !take_column(schema, &m, r->row, &next, err))
			return false;
	}
	if (!r->op || r->pos.seq < 0)
		return err_set(err, ERR_DATA, 0, "record without _op, _lsn or _seq");
	return mark_names(schema, &later.unchanged, r->row, FIELD_UNCHANGED, err) &&
		   mark_names(schema, &later.jsonnull, r->row, FIELD_NULL_JSON, err) &&
		   mark_withheld(r, &later.withheld, err) &&
		   take_row(schema, &later.key, r->key, &r->has_key, err) &&
		   take_row(schema, &later.before, r->before, &r->has_before, err) &&
		   check_complete(r, err);
}
