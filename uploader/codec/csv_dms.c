/*-------------------------------------------------------------------------
 * csv_dms.c
 *	  The format "csv-dms": CSV as AWS DMS writes it.
 *
 * Layer: codec.
 *-------------------------------------------------------------------------
 */
#include "codec/csv_dms.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cdc_s3_proto.h"
#include "codec/json_impl.h"
#include "codec/pgfmt.h"
#include "codec/rowbytes.h"
#include "codec/value_text.h"

#define TEXT_MAX ((size_t) 1 << 30)

struct FormatTable
{
	RowShape *shape;
	bool has_header;
	bool has_time;
	char delimiter;
	char *null;
	Buf header;
};

struct FormatWriter
{
	const FormatTable *table;
	bool headed;
	/* of a row in parts */
	char op;
	bool shown; /* the row at hand is the record's */
	int next;   /* its first column that was not written */
};

struct FormatReader
{
	int unused;
};

/* ---- fields ---- */

static void
add_quoted(Buf *out, const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
	{
		if (p[i] == '"')
			buf_byte(out, '"');
		buf_byte(out, p[i]);
	}
}

/* Would the bare text be read as something else? */
static bool
needs_quotes(const FormatTable *t, const uint8_t *p, size_t n)
{
	if (n == 0 || (strlen(t->null) == n && memcmp(t->null, p, n) == 0))
		return true;
	for (size_t i = 0; i < n; i++)
	{
		if (p[i] == (uint8_t) t->delimiter || p[i] == '"' || p[i] == '\n' ||
			p[i] == '\r')
			return true;
	}
	return p[0] == ' ' || p[n - 1] == ' ';
}

static void
put_text(const FormatTable *t, Buf *out, const void *text, size_t n)
{
	bool quotes = needs_quotes(t, text, n);

	if (!quotes)
	{
		buf_add(out, text, n);
		return;
	}
	buf_byte(out, '"');
	add_quoted(out, text, n);
	buf_byte(out, '"');
}

/* 2026-11-21T08:14:07.123456Z as DMS has it: a space for T, and no Z. */
static size_t
plain_time(char *text, size_t n)
{
	char *t = memchr(text, 'T', n);

	if (t)
		*t = ' ';
	return n > 0 && text[n - 1] == 'Z' ? n - 1 : n;
}

static void
put_fixed(const FormatTable *t, Buf *out, uint8_t kind, const ColView *v)
{
	char text[PGFMT_MAX];
	bool string;
	size_t n = value_text_fixed(text, kind, v->p, &string);

	if (kind == CDC_S3_KIND_TIMESTAMP || kind == CDC_S3_KIND_TIMESTAMPTZ)
		n = plain_time(text, n);
	put_text(t, out, text, n);
}

static void
put_numeric(const FormatTable *t, Buf *out, const ColView *v)
{
	Buf text;
	bool special;
	size_t n = fmt_numeric_size(v->p, v->n);

	buf_init(&text, TEXT_MAX);
	if (buf_room(&text, n + 1))
		put_text(t, out, text.p,
				 fmt_numeric((char *) text.p, v->p, v->n, &special));
	out->overflow |= text.overflow;
	buf_done(&text);
}

static void
put_value(const FormatTable *t, Buf *out, int i, const ColView *v)
{
	uint8_t kind = t->shape->cols[i].kind;

	if (v->state != COL_VALUE)
		buf_str(out, t->null);
	else if (kind == CDC_S3_KIND_NUMERIC)
		put_numeric(t, out, v);
	else if (kind < CDC_S3_KIND_NUMERIC)
		put_fixed(t, out, kind, v);
	else if (kind == CDC_S3_KIND_BYTEA)
	{
		buf_str(out, "\\x");
		json_put_hex_digits(out, v->p, v->n);
	}
	else
		put_text(t, out, v->p, v->n);
}

/* ---- tables ---- */

static void
make_header(FormatTable *t, const Schema *s, Slice time)
{
	buf_init(&t->header, TEXT_MAX);
	buf_str(&t->header, "Op");
	if (t->has_time)
	{
		buf_byte(&t->header, (uint8_t) t->delimiter);
		put_text(t, &t->header, time.p, time.n);
	}
	for (int i = 0; i < s->ncols; i++)
	{
		buf_byte(&t->header, (uint8_t) t->delimiter);
		put_text(t, &t->header, s->cols[i].json_name,
				 strlen(s->cols[i].json_name));
	}
	buf_byte(&t->header, '\n');
}

static FormatTable *
table_new(const Schema *schema, const FormatOptions *options)
{
	FormatTable *t = xcalloc(1, sizeof(*t));
	const char *how =
		options->dms && strlen(options->dms) >= 3 && strchr(options->dms, '\t')
			? options->dms
			: "0,\t";
	const char *tab = strchr(how + 2, '\t');
	Slice time = { (const uint8_t *) how + 2, (size_t) (tab - how) - 2 };

	t->shape = row_shape_new(schema);
	t->has_header = how[0] == '1';
	t->delimiter = how[1] == '\x01' ? '\t' : how[1];
	t->has_time = time.n > 0;
	t->null = xstrdup(tab + 1);
	make_header(t, schema, time);
	return t;
}

static void
table_free(FormatTable *t)
{
	if (!t)
		return;
	row_shape_free(t->shape);
	free(t->null);
	buf_done(&t->header);
	free(t);
}

/* ---- rows ---- */

static FormatWriter *
begin(const FormatTable *t)
{
	FormatWriter *w = xcalloc(1, sizeof(*w));

	w->table = t;
	return w;
}

static char
op_of(const Change *change)
{
	switch (change->op)
	{
		case 'r':
		case 'i':
			return 'I';
		case 'u':
			return 'U';
		case 'd':
			return 'D';
		default:
			return change->op == 't' ? 'T' : 'S';
	}
}

static void
put_header(FormatWriter *w, Buf *out)
{
	if (!w->headed && w->table->has_header)
		buf_add(out, w->table->header.p, w->table->header.n);
	w->headed = true;
}

static void
put_head(FormatWriter *w, const Change *change, Buf *out)
{
	char text[PGFMT_MAX];

	put_header(w, out);
	buf_byte(out, (uint8_t) op_of(change));
	if (!w->table->has_time)
		return;
	buf_byte(out, (uint8_t) w->table->delimiter);
	buf_add(out, text, plain_time(text, fmt_timestamp_us(text, change->time)));
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
	static const ColView none = { .state = COL_NULL };
	const FormatTable *t = w->table;
	const RowView *row = change->row;

	put_head(w, change, out);
	for (int i = 0; i < t->shape->ncols; i++)
	{
		buf_byte(out, (uint8_t) t->delimiter);
		put_value(t, out, i, row && i < row->ncols ? &row->cols[i] : &none);
	}
	buf_byte(out, '\n');
	return check_room(out, err);
}

static bool
add_head(FormatWriter *w, const Change *change, Buf *out, Err *err)
{
	w->op = change->op;
	w->shown = false;
	w->next = 0;
	put_head(w, change, out);
	return check_room(out, err);
}

/* Columns before this one that make no item; it begins then. */
static void
go_to(FormatWriter *w, int col, Buf *out)
{
	for (; w->next < col; w->next++)
	{
		buf_byte(out, (uint8_t) w->table->delimiter);
		buf_str(out, w->table->null);
	}
	if (col < w->table->shape->ncols)
		buf_byte(out, (uint8_t) w->table->delimiter);
	w->next++;
}

static void
put_piece(const FormatWriter *w, const PartItem *item, Buf *out)
{
	if (w->table->shape->cols[item->col].kind == CDC_S3_KIND_BYTEA)
		json_put_hex_digits(out, item->piece.p, item->piece.n);
	else
		add_quoted(out, item->piece.p, item->piece.n);
}

static bool
add_item(FormatWriter *w, const PartItem *item, Buf *out, Err *err)
{
	const FormatTable *t = w->table;

	if (item->type == PART_ROW_OLD || item->type == PART_ROW_NEW)
		w->shown = item->type == PART_ROW_NEW || w->op == 'd';
	else if (item->type == PART_DONE)
	{
		go_to(w, t->shape->ncols, out);
		buf_byte(out, '\n');
	}
	else if (!w->shown)
		return true;
	else if (item->type == PART_VALUE)
	{
		go_to(w, item->col, out);
		put_value(t, out, item->col, item->view);
	}
	else if (item->type == PART_BEGIN)
	{
		go_to(w, item->col, out);
		buf_byte(out, '"');
		if (t->shape->cols[item->col].kind == CDC_S3_KIND_BYTEA)
			buf_str(out, "\\x");
	}
	else if (item->type == PART_PIECE)
		put_piece(w, item, out);
	else if (item->type == PART_END)
		buf_byte(out, '"');
	return check_room(out, err);
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
	return sizeof(*w);
}

static void
close_writer(FormatWriter *w)
{
	free(w);
}

/* ---- reading ---- */

static FormatReader *
open_reader(const FormatSource *source)
{
	(void) source;
	return xcalloc(1, sizeof(FormatReader));
}

static bool
next(FormatReader *r, Slice *out_line, bool *out_end, Err *err)
{
	(void) r;
	(void) out_line;
	(void) out_end;
	return err_set(
		err, ERR_DATA, 0,
		"objects of output.shape = dms tell no positions, so nothing "
		"can be read back from them");
}

static void
done(FormatReader *r)
{
	free(r);
}

const Format csv_dms_format = { .name = "csv-dms",
								.suffix = ".csv",
								.table_new = table_new,
								.table_free = table_free,
								.begin = begin,
								.add = add,
								.add_head = add_head,
								.add_item = add_item,
								.end = end,
								.memory = memory,
								.close = close_writer,
								.open = open_reader,
								.next = next,
								.done = done };
