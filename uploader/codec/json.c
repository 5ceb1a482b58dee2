/*-------------------------------------------------------------------------
 * json.c
 *	  Rows to the lake's JSON lines.
 *
 * Layer: codec.
 *-------------------------------------------------------------------------
 */
#include "codec/json.h"

#include <stdlib.h>

#include "base/mem.h"
#include "cdc_s3_proto.h"
#include "codec/hash.h"
#include "codec/pgfmt.h"

/* OIDs of built-in types, fixed in the server's pg_type.dat. */
enum
{
	OID_JSONB = 3802,
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

/* How a column's values are written. */
typedef enum Form
{
	FORM_KIND,  /* as the kind says */
	FORM_JSON,  /* embedded */
	FORM_BOOLS, /* arrays */
	FORM_NUMBERS,
	FORM_STRINGS
} Form;

typedef struct JsonColumn
{
	uint8_t kind;
	uint8_t form;
	bool key;
	bool numeric_string;
	char *head; /* "name": with a comma before it */
	size_t head_n;
	size_t head_room; /* rounded up to HEAD_STEP, and head is as long */
} JsonColumn;

struct JsonTable
{
	int ncols;
	JsonColumn *cols;
	bool raw_text;
	bool before_always; /* identity full without a primary key */
	bool before;
	Buf scratch; /* an array while it is found out whether it is simple */
	/* of the row being written */
	int *withheld; /* columns, for the end of the line */
	int nwithheld;
	int *jsonnull;
	int njsonnull;
};

#define ESCAPE_CHUNK 4096
#define SCRATCH_MAX ((size_t) 1 << 31)
#define HEAD_MAX ((size_t) 1 << 19) /* a str of the wire, escaped */
#define HEAD_STEP 16

static const char hex_digits[] = "0123456789abcdef";

/*
 * Strings
 */

/* 0: plain; 'u': \u00xx; else the character behind the backslash. */
static const char escapes[256] = {
	['"'] = '"',  ['\\'] = '\\', ['\b'] = 'b', ['\f'] = 'f', ['\n'] = 'n',
	['\r'] = 'r', ['\t'] = 't',  [0] = 'u',    [1] = 'u',    [2] = 'u',
	[3] = 'u',    [4] = 'u',     [5] = 'u',    [6] = 'u',    [7] = 'u',
	[11] = 'u',   [14] = 'u',    [15] = 'u',   [16] = 'u',   [17] = 'u',
	[18] = 'u',   [19] = 'u',    [20] = 'u',   [21] = 'u',   [22] = 'u',
	[23] = 'u',   [24] = 'u',    [25] = 'u',   [26] = 'u',   [27] = 'u',
	[28] = 'u',   [29] = 'u',    [30] = 'u',   [31] = 'u',   [127] = 'u',
};

/*
 * Whether none of eight bytes needs an escape: a zero byte, or one below
 * 0x20, borrows into its highest bit.  May say no where it is so.
 */
static bool
all_plain(uint64_t w)
{
	const uint64_t ones = UINT64_C(0x0101010101010101);
	uint64_t quote = w ^ ones * '"';
	uint64_t backslash = w ^ ones * '\\';
	uint64_t del = w ^ ones * 0x7f;
	uint64_t borrows = ((w - ones * 0x20) & ~w) | ((quote - ones) & ~quote) |
					   ((backslash - ones) & ~backslash) |
					   ((del - ones) & ~del);

	return (borrows & ones * 0x80) == 0;
}

static uint8_t *
escape_byte(uint8_t *o, uint8_t c)
{
	char e = escapes[c];

	if (e == 0)
	{
		*o = c;
		return o + 1;
	}
	*o++ = '\\';
	*o++ = (uint8_t) e;
	if (e == 'u')
	{
		*o++ = '0';
		*o++ = '0';
		*o++ = (uint8_t) hex_digits[c >> 4];
		*o++ = (uint8_t) hex_digits[c & 15];
	}
	return o;
}

/* At most ESCAPE_CHUNK bytes; the room is made here. */
static void
escape_chunk(Buf *out, const uint8_t *p, size_t n)
{
	const uint8_t *end = p + n;
	uint8_t *o;

	if (!buf_room(out, 6 * n))
		return;
	o = out->p + out->n;
	while (p < end)
	{
		const uint8_t *stop = end - p > 8 ? p + 8 : end;
		uint64_t w;

		if (end - p >= 8 && (memcpy(&w, p, 8), all_plain(w)))
		{
			memcpy(o, &w, 8);
			o += 8;
			p += 8;
			continue;
		}
		while (p < stop)
			o = escape_byte(o, *p++);
	}
	out->n = (size_t) (o - out->p);
	*o = 0;
}

void
json_add_escaped(Buf *out, const uint8_t *p, size_t n)
{
	while (n > ESCAPE_CHUNK)
	{
		escape_chunk(out, p, ESCAPE_CHUNK);
		p += ESCAPE_CHUNK;
		n -= ESCAPE_CHUNK;
	}
	escape_chunk(out, p, n);
}

static void
add_string(Buf *out, const uint8_t *p, size_t n)
{
	buf_byte(out, '"');
	json_add_escaped(out, p, n);
	buf_byte(out, '"');
}

/* Length of the UTF-8 sequence at p, 0 where it is none (RFC 3629). */
static size_t
utf8_sequence(const uint8_t *p, size_t left)
{
	uint8_t lo = 0x80;
	uint8_t hi = 0xBF;
	size_t len;

	if (p[0] < 0x80)
		return 1;
	if (p[0] < 0xC2 || p[0] > 0xF4)
		return 0;
	len = p[0] < 0xE0 ? 2 : p[0] < 0xF0 ? 3 : 4;
	if (p[0] == 0xE0)
		lo = 0xA0;
	else if (p[0] == 0xED)
		hi = 0x9F;
	else if (p[0] == 0xF0)
		lo = 0x90;
	else if (p[0] == 0xF4)
		hi = 0x8F;
	if (left < len || p[1] < lo || p[1] > hi)
		return 0;
	for (size_t i = 2; i < len; i++)
	{
		if ((p[i] & 0xC0) != 0x80)
			return 0;
	}
	return len;
}

bool
utf8_valid(const uint8_t *p, size_t n)
{
	while (n > 0)
	{
		size_t len = utf8_sequence(p, n);

		if (len == 0)
			return false;
		p += len;
		n -= len;
	}
	return true;
}

static bool
name_valid(const char *s)
{
	return utf8_valid((const uint8_t *) s, strlen(s));
}

bool
json_names_valid(const Schema *s)
{
	bool ok = name_valid(s->schema) && name_valid(s->table);

	for (int i = 0; ok && i < s->ncols; i++)
		ok = name_valid(s->cols[i].name) &&
			 name_valid(s->cols[i].type_schema) &&
			 name_valid(s->cols[i].type_name);
	return ok;
}

/*
 * Values
 */
static void
add_hex(Buf *out, const uint8_t *p, size_t n)
{
	buf_str(out, "\"\\\\x");
	for (size_t i = 0; i < n; i += ESCAPE_CHUNK)
	{
		size_t chunk = n - i < ESCAPE_CHUNK ? n - i : ESCAPE_CHUNK;
		uint8_t *o;

		if (!buf_room(out, 2 * chunk))
			return;
		o = out->p + out->n;
		for (size_t k = 0; k < chunk; k++)
		{
			*o++ = (uint8_t) hex_digits[p[i + k] >> 4];
			*o++ = (uint8_t) hex_digits[p[i + k] & 15];
		}
		out->n += 2 * chunk;
	}
	buf_byte(out, '"');
}

static void
add_numeric(Buf *out, const ColView *v, bool as_string)
{
	size_t room = fmt_numeric_size(v->p, v->n) + 2;
	bool special;
	char *o;
	size_t n;

	if (!buf_room(out, room + PGFMT_MAX))
		return;
	o = (char *) out->p + out->n;
	n = fmt_numeric(o + 1, v->p, v->n, &special);
	if (special || as_string)
	{
		o[0] = '"';
		o[n + 1] = '"';
		out->n += n + 2;
	}
	else
	{
		memmove(o, o + 1, n);
		out->n += n;
	}
	out->p[out->n] = 0;
}

static bool
is_space(uint8_t c)
{
	return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

/*
 * Embeds JSON that the server has checked.  A line break can stand between
 * its tokens only, and becomes a blank: a record is one line.
 */
static void
add_embedded(Buf *out, const uint8_t *p, size_t n)
{
	size_t start = out->n;

	buf_add(out, p, n);
	if (out->overflow)
		return;
	for (size_t i = start; i < out->n; i++)
	{
		if (out->p[i] == '\n' || out->p[i] == '\r')
			out->p[i] = ' ';
	}
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

static void
add_element(Buf *out, Form form, const uint8_t *p, size_t n, bool quoted)
{
	if (!quoted && n == 4 && memcmp(p, "NULL", 4) == 0)
		buf_str(out, "null");
	else if (form == FORM_BOOLS)
		buf_str(out, p[0] == 't' ? "true" : "false");
	else if (form == FORM_NUMBERS && n > 0 && p[n - 1] >= '0' &&
			 p[n - 1] <= '9')
		buf_add(out, p, n);
	else /* also NaN and the infinities */
		add_string(out, p, n);
}

/*
 * Writes a one-dimensional array literal with lower bound 1 as a JSON array
 * into out.  False where it is of another shape: out is to be forgotten.
 */
static bool
convert_array(Buf *out, Buf *element, Form form, const uint8_t *p, size_t n)
{
	size_t i = 1;

	if (n < 2 || p[0] != '{' || p[n - 1] != '}')
		return false;
	n--; /* the closing brace */
	buf_byte(out, '[');
	while (i < n)
	{
		bool quoted = p[i] == '"';

		buf_reset(element);
		if (p[i] == '{')
			return false;
		for (i += quoted; i < n && p[i] != (quoted ? '"' : ','); i++)
		{
			if (p[i] == '\\')
				i++;
			buf_byte(element, p[i]);
		}
		if (!quoted && element->n == 0)
			return false;
		if (out->n > 1)
			buf_byte(out, ',');
		add_element(out, form, element->n ? element->p : (const uint8_t *) "",
					element->n, quoted);
		i += quoted; /* closing quote */
		i++;         /* comma */
	}
	buf_byte(out, ']');
	return !out->overflow && !element->overflow;
}

static void
add_array(JsonTable *t, Buf *out, Form form, const ColView *v)
{
	Buf element;
	bool ok;

	buf_init(&element, SCRATCH_MAX);
	buf_reset(&t->scratch);
	ok = convert_array(&t->scratch, &element, form, v->p, v->n);
	buf_done(&element);
	if (ok)
		buf_add(out, t->scratch.p, t->scratch.n);
	else
		add_string(out, v->p, v->n);
	if (t->scratch.cap > 64 * 1024)
		buf_done(&t->scratch);
}

/* Numbers and times: at most PGFMT_MAX bytes and two quotes. */
static size_t
format_fixed(char *o, uint8_t kind, const uint8_t *p, bool *quote)
{
	uint32_t u32;
	uint64_t u64;
	float f4;
	double f8;
	size_t n;

	*quote = kind >= CDC_S3_KIND_DATE;
	switch (kind)
	{
		case CDC_S3_KIND_BOOL:
			memcpy(o, p[0] ? "true" : "false", 5);
			return p[0] ? 4 : 5;
		case CDC_S3_KIND_INT2:
			return fmt_i64(o, (int16_t) get_u16(p));
		case CDC_S3_KIND_INT4:
			return fmt_i64(o, (int32_t) get_u32(p));
		case CDC_S3_KIND_INT8:
			return fmt_i64(o, (int64_t) get_u64(p));
		case CDC_S3_KIND_OID:
			return fmt_u64(o, get_u32(p));
		case CDC_S3_KIND_FLOAT4:
			u32 = get_u32(p);
			memcpy(&f4, &u32, 4);
			n = fmt_float4(o, f4);
			*quote = o[n - 1] == 'N' || o[n - 1] == 'y';
			return n;
		case CDC_S3_KIND_FLOAT8:
			u64 = get_u64(p);
			memcpy(&f8, &u64, 8);
			n = fmt_float8(o, f8);
			*quote = o[n - 1] == 'N' || o[n - 1] == 'y';
			return n;
		case CDC_S3_KIND_DATE:
			return fmt_date(o, (int32_t) get_u32(p));
		case CDC_S3_KIND_TIME:
			return fmt_time(o, (int64_t) get_u64(p));
		case CDC_S3_KIND_TIMETZ:
			return fmt_timetz(o, (int64_t) get_u64(p),
							  (int32_t) get_u32(p + 8));
		case CDC_S3_KIND_TIMESTAMP:
			return fmt_timestamp(o, (int64_t) get_u64(p), false);
		case CDC_S3_KIND_TIMESTAMPTZ:
			return fmt_timestamp(o, (int64_t) get_u64(p), true);
		case CDC_S3_KIND_INTERVAL:
			return fmt_interval(o, (int64_t) get_u64(p),
								(int32_t) get_u32(p + 8),
								(int32_t) get_u32(p + 12));
		default:
			return fmt_uuid(o, p);
	}
}

static void
add_fixed(Buf *out, uint8_t kind, const uint8_t *p)
{
	char *o;
	size_t n;
	bool quote;

	if (!buf_room(out, PGFMT_MAX + 2))
		return;
	o = (char *) out->p + out->n;
	if (kind >= CDC_S3_KIND_DATE)
	{
		n = format_fixed(o + 1, kind, p, &quote);
		o[0] = '"';
		o[n + 1] = '"';
		n += 2;
	}
	else
	{
		n = format_fixed(o, kind, p, &quote);
		if (quote)
		{
			memmove(o + 1, o, n);
			o[0] = '"';
			o[n + 1] = '"';
			n += 2;
		}
	}
	out->n += n;
	out->p[out->n] = 0;
}

static void
add_value(JsonTable *t, Buf *out, const JsonColumn *c, const ColView *v)
{
	if (c->kind < CDC_S3_KIND_NUMERIC)
		add_fixed(out, c->kind, v->p);
	else if (c->kind == CDC_S3_KIND_NUMERIC)
		add_numeric(out, v, c->numeric_string);
	else if (c->form == FORM_JSON)
		add_embedded(out, v->p, v->n);
	else if (c->form != FORM_KIND)
		add_array(t, out, (Form) c->form, v);
	else if (c->kind == CDC_S3_KIND_BYTEA)
		add_hex(out, v->p, v->n);
	else
		add_string(out, v->p, v->n);
}

/*
 * Tables
 */
static Form
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

static void
column_init(JsonColumn *c, const SchemaColumn *s, const JsonOptions *o)
{
	int digits = declared_digits(s->typmod);
	Buf b;

	c->kind = s->kind;
	c->form = (uint8_t) form_of(s);
	c->key = s->key;
	c->numeric_string =
		o->numeric == JSON_NUMERIC_STRING ||
		(o->numeric == JSON_NUMERIC_AUTO && (digits == 0 || digits > 15));
	buf_init(&b, HEAD_MAX);
	buf_str(&b, ",");
	add_string(&b, (const uint8_t *) s->json_name, strlen(s->json_name));
	buf_str(&b, ":");
	c->head_n = b.n;
	c->head_room = (b.n + HEAD_STEP - 1) / HEAD_STEP * HEAD_STEP;
	c->head = xcalloc(1, c->head_room);
	memcpy(c->head, buf_cstr(&b), b.n);
	buf_done(&b);
}

JsonTable *
json_table_new(const Schema *schema, const JsonOptions *options)
{
	JsonTable *t = xcalloc(1, sizeof(*t));
	bool has_pk = false;

	t->ncols = schema->ncols;
	t->cols = xcalloc((size_t) t->ncols, sizeof(*t->cols));
	t->withheld = xcalloc((size_t) t->ncols, sizeof(int));
	t->jsonnull = xcalloc((size_t) t->ncols, sizeof(int));
	t->raw_text = options->raw_text;
	t->before = options->before;
	buf_init(&t->scratch, SCRATCH_MAX);
	for (int i = 0; i < t->ncols; i++)
	{
		column_init(&t->cols[i], &schema->cols[i], options);
		has_pk |= schema->cols[i].pk > 0;
	}
	t->before_always = schema->identity == 'f' && !has_pk;
	return t;
}

void
json_table_free(JsonTable *t)
{
	if (!t)
		return;
	for (int i = 0; i < t->ncols; i++)
		free(t->cols[i].head);
	free(t->cols);
	free(t->withheld);
	free(t->jsonnull);
	buf_done(&t->scratch);
	free(t);
}

void
json_txn_set(JsonTxn *txn, Lsn lsn, uint32_t xid, int64_t time)
{
	char *p = txn->tail;

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
}

/*
 * Lines
 */

/* A list of column names: ,"_unchanged":["a","b"] */
static void
add_names(const JsonTable *t, Buf *out, const char *name, const int *cols,
		  int n)
{
	buf_printf(out, ",\"%s\":[", name);
	for (int i = 0; i < n; i++)
	{
		const JsonColumn *c = &t->cols[cols[i]];

		if (i > 0)
			buf_byte(out, ',');
		buf_add(out, c->head + 1, c->head_n - 2); /* without , and : */
	}
	buf_byte(out, ']');
}

static void
add_unchanged(JsonTable *t, Buf *out, const RowView *row)
{
	int n = 0;

	for (int i = 0; i < row->ncols; i++)
	{
		if (row->cols[i].state == COL_UNCHANGED)
			t->jsonnull[n++] = i; /* free until the columns are written */
	}
	if (n > 0)
		add_names(t, out, "_unchanged", t->jsonnull, n);
}

/* True where the value cannot stand in a line, and is noted for its end. */
static bool
note_withheld(JsonTable *t, const JsonColumn *c, int i, ColView *v)
{
	if (v->state != COL_WITHHELD)
	{
		if (!t->raw_text || c->kind < CDC_S3_KIND_STRING ||
			c->kind == CDC_S3_KIND_BYTEA || utf8_valid(v->p, v->n))
			return false;
		v->state = COL_WITHHELD;
		v->reason = CDC_S3_WITHHELD_ENCODING;
		v->size = v->n;
		v->crc32c = crc32c(0, v->p, v->n);
	}
	t->withheld[t->nwithheld++] = i;
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

static void
add_column(JsonTable *t, Buf *out, int i, ColView *v)
{
	const JsonColumn *c = &t->cols[i];

	if (v->state == COL_ABSENT || v->state == COL_UNCHANGED)
		return;
	if (v->state == COL_NULL)
	{
		add_head(out, c);
		buf_add(out, "null", 4);
		return;
	}
	if (note_withheld(t, c, i, v))
		return;
	add_head(out, c);
	if (c->form == FORM_JSON && is_json_null(v))
		t->jsonnull[t->njsonnull++] = i;
	add_value(t, out, c, v);
}

/* ,"_key":{…} or ,"_before":{…}: an object of its own. */
static void
add_object(JsonTable *t, Buf *out, const char *name, const RowView *row,
		   bool key_only)
{
	size_t start;

	buf_printf(out, ",\"%s\":{", name);
	start = out->n;
	for (int i = 0; i < row->ncols; i++)
	{
		if (!key_only || t->cols[i].key)
			add_column(t, out, i, &row->cols[i]);
	}
	if (out->n > start && !out->overflow)
	{
		/* the first column brought a comma */
		memmove(out->p + start, out->p + start + 1, out->n - start - 1);
		out->n--;
	}
	if (t->njsonnull > 0)
		add_names(t, out, "_jsonnull", t->jsonnull, t->njsonnull);
	buf_byte(out, '}');
	/* what is withheld in here is told of the row only */
	t->nwithheld = t->njsonnull = 0;
}

static void
add_withheld(const JsonTable *t, Buf *out, const RowView *row)
{
	buf_str(out, ",\"_withheld\":{");
	for (int i = 0; i < t->nwithheld; i++)
	{
		const JsonColumn *c = &t->cols[t->withheld[i]];
		const ColView *v = &row->cols[t->withheld[i]];

		if (i > 0)
			buf_byte(out, ',');
		buf_add(out, c->head + 1, c->head_n - 1);
		buf_printf(out, "{\"reason\":\"%s\",\"size\":%llu,\"crc32c\":\"%08x\"",
				   v->reason == CDC_S3_WITHHELD_ENCODING ? "encoding"
														 : "too_long",
				   (unsigned long long) v->size, v->crc32c);
		if (v->n > 0)
		{
			buf_str(out, ",\"bytes\":");
			add_hex(out, v->p, v->n);
		}
		buf_byte(out, '}');
	}
	buf_byte(out, '}');
}

static void
add_text_or_null(Buf *out, const char *name, const uint8_t *p, size_t n)
{
	buf_printf(out, "\"%s\":", name);
	if (n > 0 && utf8_valid(p, n))
		add_string(out, p, n);
	else
		buf_str(out, "null");
}

/* ,"_partial":[{"schema":…,"table":…,"bound":…}] */
static void
add_partial(Buf *out, const JsonPartial *parts, int n)
{
	buf_str(out, ",\"_partial\":[");
	for (int i = 0; i < n; i++)
	{
		const JsonPartial *p = &parts[i];

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

static void
add_meta(const JsonTxn *txn, const JsonChange *change, Buf *out)
{
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
}

void
json_write(JsonTable *t, const JsonTxn *txn, const JsonChange *change, Buf *out)
{
	const RowView *row = change->row;

	t->nwithheld = t->njsonnull = 0;
	add_meta(txn, change, out);
	if (change->no_identity)
		buf_str(out, ",\"_nokey\":true");
	if (change->npartial > 0)
		add_partial(out, change->partial, change->npartial);
	if (change->reason)
		buf_printf(out, ",\"_reason\":\"%s\"", change->reason);
	if (change->op == 'u')
	{
		add_unchanged(t, out, row);
		if (change->old && change->key_changed)
			add_object(t, out, "_key", change->old, true);
		if (change->old && (t->before || t->before_always))
			add_object(t, out, "_before", change->old, false);
	}
	if (change->op == 'd' && t->before && row && row->ncols > 0)
		add_object(t, out, "_before", row, false);
	for (int i = 0; row && i < row->ncols; i++)
	{
		if (change->op != 'd' || t->cols[i].key)
			add_column(t, out, i, &row->cols[i]);
	}
	if (t->nwithheld > 0)
		add_withheld(t, out, row);
	if (t->njsonnull > 0)
		add_names(t, out, "_jsonnull", t->jsonnull, t->njsonnull);
	buf_add(out, "}\n", 2);
}
