/*-------------------------------------------------------------------------
 * json_line.c
 *	  Rows to the lake's JSON lines: a row that is there as a whole.
 *
 * Layer: codec.
 *-------------------------------------------------------------------------
 */
#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"
#include "cdc_s3_proto.h"
#include "codec/hash.h"
#include "codec/json_impl.h"
#include "codec/pgfmt.h"
#include "codec/rowbytes.h"

/* OIDs of built-in types, fixed in the server's pg_type.dat. */
enum
{
	OID_BOOL_ARRAY = 1000,
	OID_INT2_ARRAY = 1005,
	OID_INT4_ARRAY = 1007,
	OID_TEXT_ARRAY = 1009,
	OID_BPCHAR_ARRAY = 1014,
	OID_VARCHAR_ARRAY = 1015,
	OID_INT8_ARRAY = 1016,
	OID_FLOAT4_ARRAY = 1021,
	OID_FLOAT8_ARRAY = 1022,
	OID_NUMERIC_ARRAY = 1231,
	OID_UUID_ARRAY = 2951
};

#define SCRATCH_MAX ((size_t) 1 << 31)
#define HEADS_MAX ((size_t) 1 << 30) /* 1,600 strs of the wire, escaped */
#define HEAD_STEP 16

/*
 * Tables
 */
static JsonForm
form_of(const SchemaColumn *c)
{
	if (c->kind == CDC_S3_KIND_JSON || c->base_oid == OID_JSONB)
		return FORM_JSON;
	switch (c->base_oid)
	{
		case OID_BOOL_ARRAY:
			return FORM_BOOLS;
		case OID_INT2_ARRAY:
		case OID_INT4_ARRAY:
		case OID_INT8_ARRAY:
		case OID_FLOAT4_ARRAY:
		case OID_FLOAT8_ARRAY:
		case OID_NUMERIC_ARRAY:
			return FORM_NUMBERS;
		case OID_TEXT_ARRAY:
		case OID_BPCHAR_ARRAY:
		case OID_VARCHAR_ARRAY:
		case OID_UUID_ARRAY:
			return FORM_STRINGS;
		default:
			return FORM_KIND;
	}
}

/* Declared precision of a numeric; 0: none. */
static int
declared_digits(int32_t typmod)
{
	return typmod >= 4 ? ((typmod - 4) >> 16) & 0xffff : 0;
}

/* Appends the column's head, with room for whole steps, to heads. */
static void
column_init(JsonColumn *c, const SchemaColumn *s, const FormatOptions *o,
			Buf *heads)
{
	static const char room[HEAD_STEP];
	size_t start = heads->n;
	int digits = declared_digits(s->typmod);

	c->kind = s->kind;
	c->form = (uint8_t) form_of(s);
	c->key = s->key;
	c->numeric_string =
		o->numeric == NUMERIC_STRING ||
		(o->numeric == NUMERIC_AUTO && (digits == 0 || digits > 15));
	buf_str(heads, ",");
	json_put_string(heads, (const uint8_t *) s->json_name,
					strlen(s->json_name));
	buf_str(heads, ":");
	c->head_n = heads->n - start;
	c->head_room = (c->head_n + HEAD_STEP - 1) / HEAD_STEP * HEAD_STEP;
	buf_add(heads, room, c->head_room - c->head_n);
}

/* Takes the memory of heads, where those of all columns stand in a row. */
static void
take_heads(JsonTable *t, Buf *heads)
{
	size_t at = 0;

	t->heads = xrealloc(heads->p, heads->n + 1);
	for (int i = 0; i < t->ncols; i++)
	{
		t->cols[i].head = t->heads + at;
		at += t->cols[i].head_room;
	}
}

JsonTable *
json_table_new(const Schema *schema, const FormatOptions *options)
{
	JsonTable *t = xcalloc(1, sizeof(*t));
	bool has_pk = false;
	Buf heads;

	t->ncols = schema->ncols;
	t->cols = xcalloc((size_t) t->ncols, sizeof(*t->cols));
	t->raw_text = options->raw_text;
	t->before = options->before;
	t->whole_max = options->whole_max ? options->whole_max : ROW_WHOLE_MAX;
	buf_init(&heads, HEADS_MAX);
	for (int i = 0; i < t->ncols; i++)
	{
		column_init(&t->cols[i], &schema->cols[i], options, &heads);
		has_pk |= schema->cols[i].pk > 0;
	}
	take_heads(t, &heads);
	t->before_always = schema->identity == 'f' && !has_pk;
	return t;
}

void
json_table_free(JsonTable *t)
{
	if (!t)
		return;
	free(t->heads);
	free(t->cols);
	free(t);
}

JsonWriter *
json_writer_new(const JsonTable *t)
{
	JsonWriter *w = xcalloc(1, sizeof(*w));

	w->table = t;
	w->withheld = xcalloc(2 * (size_t) t->ncols + 1, sizeof(int));
	w->jsonnull = w->withheld + t->ncols;
	buf_init(&w->scratch, SCRATCH_MAX);
	return w;
}

void
json_writer_free(JsonWriter *w)
{
	if (!w)
		return;
	free(w->withheld);
	buf_done(&w->scratch);
	free(w);
}

/* What all lines of a transaction share is written once. */
static void
txn_set(JsonTxn *txn, Lsn lsn, uint32_t xid, int64_t time)
{
	char *p = txn->tail;

	txn->of_lsn = lsn;
	txn->of_xid = xid;
	txn->of_time = time;

	memcpy(txn->lsn, ",\"_lsn\":\"", 9);
	for (int i = 0; i < 16; i++)
		txn->lsn[9 + i] = "0123456789ABCDEF"[lsn >> (60 - 4 * i) & 15];
	txn->lsn[25] = '"';
	txn->lsn_n = 26;
	if (xid != 0)
	{
		memcpy(p, ",\"_xid\":", 8);
		p += 8;
		p += fmt_u64(p, xid);
	}
	memcpy(p, ",\"_ts\":\"", 8);
	p += 8;
	p += fmt_timestamp_us(p, time);
	*p++ = '"';
	txn->tail_n = (size_t) (p - txn->tail);
	assert(txn->tail_n <= sizeof(txn->tail));
}

static const JsonTxn *
txn_of(JsonWriter *w, const Change *c)
{
	JsonTxn *txn = &w->txn;

	if (txn->lsn_n == 0 || txn->of_lsn != c->lsn || txn->of_xid != c->xid ||
		txn->of_time != c->time)
		txn_set(txn, c->lsn, c->xid, c->time);
	return txn;
}

/*
 * Lines
 */

/* A list of column names: ,"_unchanged":["a","b"] */
void
json_put_names(const JsonWriter *w, Buf *out, const char *name, const int *cols,
			   int n)
{
	buf_printf(out, ",\"%s\":[", name);
	for (int i = 0; i < n; i++)
	{
		const JsonColumn *c = &w->table->cols[cols[i]];

		if (i > 0)
			buf_byte(out, ',');
		buf_add(out, c->head + 1, c->head_n - 2); /* without , and : */
	}
	buf_byte(out, ']');
}

void
json_put_unchanged(JsonWriter *w, Buf *out, const RowView *row)
{
	int n = 0;

	for (int i = 0; i < row->ncols; i++)
	{
		if (row->cols[i].state == COL_UNCHANGED)
			w->jsonnull[n++] = i; /* free until the columns are written */
	}
	if (n > 0)
		json_put_names(w, out, "_unchanged", w->jsonnull, n);
}

static bool
is_space(uint8_t c)
{
	return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

/* The scalar null, which is not SQL NULL. */
static bool
is_json_null(const ColView *v)
{
	const uint8_t *p = v->p;
	size_t n = v->n;

	while (n > 0 && is_space(*p))
	{
		p++;
		n--;
	}
	while (n > 0 && is_space(p[n - 1]))
		n--;
	return n == 4 && memcmp(p, "null", 4) == 0;
}

/* True where the value cannot stand in a line, and is noted for its end. */
static bool
note_withheld(JsonWriter *w, const JsonColumn *c, int i, ColView *v)
{
	if (v->state != COL_WITHHELD)
	{
		if (!w->table->raw_text || c->kind < CDC_S3_KIND_STRING ||
			c->kind == CDC_S3_KIND_BYTEA || utf8_valid(v->p, v->n))
			return false;
		v->state = COL_WITHHELD;
		v->reason = CDC_S3_WITHHELD_ENCODING;
		v->size = v->n;
		v->crc32c = crc32c(0, v->p, v->n);
	}
	w->withheld[w->nwithheld++] = i;
	return true;
}

/* In steps of a fixed size: most names take one. */
static void
add_head(Buf *out, const JsonColumn *c)
{
	uint8_t *o;

	if (!buf_room(out, c->head_room))
		return;
	o = out->p + out->n;
	for (size_t i = 0; i < c->head_room; i += HEAD_STEP)
		memcpy(o + i, c->head + i, HEAD_STEP);
	out->n += c->head_n;
	out->p[out->n] = 0;
}

void
json_put_column(JsonWriter *w, Buf *out, int i, ColView *v)
{
	const JsonColumn *c = &w->table->cols[i];

	if (v->state == COL_ABSENT || v->state == COL_UNCHANGED)
		return;
	if (v->state == COL_NULL)
	{
		add_head(out, c);
		buf_add(out, "null", 4);
		return;
	}
	if (note_withheld(w, c, i, v))
		return;
	add_head(out, c);
	if (c->form == FORM_JSON && is_json_null(v))
		w->jsonnull[w->njsonnull++] = i;
	json_put_value(w, out, c, v);
}

/* ,"_key":{…} or ,"_before":{…}: an object of its own. */
static void
add_object(JsonWriter *w, Buf *out, const char *name, const RowView *row,
		   bool key_only)
{
	size_t start;

	buf_printf(out, ",\"%s\":{", name);
	start = out->n;
	for (int i = 0; i < row->ncols; i++)
	{
		if (!key_only || w->table->cols[i].key)
			json_put_column(w, out, i, &row->cols[i]);
	}
	if (out->n > start && !out->overflow)
	{
		/* the first column brought a comma */
		memmove(out->p + start, out->p + start + 1, out->n - start - 1);
		out->n--;
	}
	if (w->njsonnull > 0)
		json_put_names(w, out, "_jsonnull", w->jsonnull, w->njsonnull);
	buf_byte(out, '}');
	/* what is withheld in here is told of the row only */
	w->nwithheld = w->njsonnull = 0;
}

void
json_put_one_withheld(const JsonColumn *c, const ColView *v, bool first,
					  size_t *room, Buf *out)
{
	if (!first)
		buf_byte(out, ',');
	buf_add(out, c->head + 1, c->head_n - 1);
	buf_printf(out, "{\"reason\":\"%s\",\"size\":%llu,\"crc32c\":\"%08x\"",
			   v->reason == CDC_S3_WITHHELD_ENCODING   ? "encoding"
			   : v->reason == CDC_S3_WITHHELD_TOO_DEEP ? "too_deep"
													   : "too_long",
			   (unsigned long long) v->size, v->crc32c);
	if (v->n > 0 && v->n <= *room)
	{
		buf_str(out, ",\"bytes\":");
		json_put_hex(out, v->p, v->n);
		*room -= v->n;
	}
	buf_byte(out, '}');
}

static void
add_withheld(const JsonWriter *w, Buf *out, const RowView *row)
{
	size_t room = w->table->whole_max;

	buf_str(out, ",\"_withheld\":{");
	for (int i = 0; i < w->nwithheld; i++)
	{
		int at = w->withheld[i];

		json_put_one_withheld(&w->table->cols[at], &row->cols[at], i == 0,
							  &room, out);
	}
	buf_byte(out, '}');
}

static void
add_text_or_null(Buf *out, const char *name, const uint8_t *p, size_t n)
{
	buf_printf(out, "\"%s\":", name);
	if (n > 0 && utf8_valid(p, n))
		json_put_string(out, p, n);
	else
		buf_str(out, "null");
}

/* ,"_partial":[{"schema":…,"table":…,"bound":…}] */
static void
add_partial(Buf *out, const ChangePartition *parts, int n)
{
	buf_str(out, ",\"_partial\":[");
	for (int i = 0; i < n; i++)
	{
		const ChangePartition *p = &parts[i];

		buf_str(out, i > 0 ? ",{" : "{");
		add_text_or_null(out, "schema", (const uint8_t *) p->schema,
						 strlen(p->schema));
		buf_byte(out, ',');
		add_text_or_null(out, "table", (const uint8_t *) p->table,
						 strlen(p->table));
		buf_byte(out, ',');
		add_text_or_null(out, "bound", p->bound.p, p->bound.n);
		buf_byte(out, '}');
	}
	buf_byte(out, ']');
}

void
json_put_meta(JsonWriter *w, const Change *change, Buf *out)
{
	const JsonTxn *txn = txn_of(w, change);
	char *o;

	if (!buf_room(out, 160))
		return;
	o = (char *) out->p + out->n;
	memcpy(o, "{\"_op\":\"", 8);
	o[8] = change->op;
	o[9] = '"';
	o += 10;
	memcpy(o, txn->lsn, txn->lsn_n);
	o += txn->lsn_n;
	memcpy(o, ",\"_seq\":", 8);
	o += 8;
	o += fmt_i64(o, change->seq);
	memcpy(o, txn->tail, txn->tail_n);
	o += txn->tail_n;
	out->n = (size_t) (o - (char *) out->p);
	*o = 0;
	if (change->no_identity)
		buf_str(out, ",\"_nokey\":true");
	if (change->moved)
		buf_str(out, ",\"_moved\":true");
	if (change->npartial > 0)
		add_partial(out, change->partial, change->npartial);
	if (change->reason)
		buf_printf(out, ",\"_reason\":\"%s\"", change->reason);
}

/* Where all columns are the key, the old row tells it. */
bool
json_has_key(const JsonWriter *w, const Change *change)
{
	return change->op == 'u' && change->key_changed && !w->table->before_always;
}

bool
json_has_before(const JsonWriter *w, const Change *change)
{
	if (change->no_before)
		return false;
	if (change->op == 'u')
		return w->table->before || w->table->before_always;
	return change->op == 'd' && w->table->before && !w->table->before_always &&
		   w->table->ncols > 0;
}

void
json_write(JsonWriter *w, const Change *change, Buf *out)
{
	const RowView *row = change->row;
	const RowView *old = change->old;

	if (change->op == 'd')
		old = row && row->ncols > 0 ? row : NULL;
	w->nwithheld = w->njsonnull = 0;
	json_put_meta(w, change, out);
	if (old && json_has_before(w, change))
		add_object(w, out, "_before", old, false);
	if (old && json_has_key(w, change))
		add_object(w, out, "_key", old, true);
	if (change->op == 'u')
		json_put_unchanged(w, out, row);
	for (int i = 0; row && i < row->ncols; i++)
	{
		if (change->op != 'd' || w->table->cols[i].key)
			json_put_column(w, out, i, &row->cols[i]);
	}
	if (w->nwithheld > 0)
		add_withheld(w, out, row);
	if (w->njsonnull > 0)
		json_put_names(w, out, "_jsonnull", w->jsonnull, w->njsonnull);
	buf_add(out, "}\n", 2);
}
