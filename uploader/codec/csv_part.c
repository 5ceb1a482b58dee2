/*-------------------------------------------------------------------------
 * csv_part.c
 *	  The format "csv": a row that arrives in parts.
 *
 * The old row is JSON text in "_before", in "_key", or in both.  The json
 * format makes it of the same items; its output is split here, and each object
 * goes to its field as it comes.  Of a delete the old row is also the record's
 * own columns; where it has "_before", which stands before them, they are kept
 * until that ends.
 *
 * Layer: codec.
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>

#include "base/mem.h"
#include "cdc_s3_proto.h"
#include "codec/csv_impl.h"
#include "codec/json_part.h"

#define KEY_MAX ((size_t) 8 << 20) /* as of json_part.c */
#define JSON_MAX ((size_t) 1 << 31)
#define PIECE_MAX ((size_t) 16 << 10) /* becomes JSON at a time */

/* Splits the json format's output for an old row into its two objects. */
typedef struct Split
{
	CsvMeta next; /* field that has not been begun */
	size_t depth; /* of brackets; 0: between the objects */
	bool string;
	bool escape; /* the last byte was a backslash in a string */
} Split;

struct CsvPart
{
	FormatWriter *w;
	JsonPart *json;
	Buf text; /* of json, until it is split */
	Change change;
	RowView row; /* states of the row that is read */
	bool old;    /* which is the old one */
	bool ahead;  /* its columns are the record's */
	bool before;
	bool key;
	Split split;
	bool lists;  /* are written */
	int next;    /* first column of the record that was not written */
	Buf columns; /* those of a delete with "_before", until it ends */
	size_t room; /* for bytes of withheld values */
};

CsvPart *
csv_part_new(FormatWriter *w)
{
	CsvPart *p = xcalloc(1, sizeof(*p));

	p->w = w;
	p->json = json_part_new();
	buf_init(&p->text, JSON_MAX);
	buf_init(&p->columns, KEY_MAX);
	return p;
}

void
csv_part_free(CsvPart *p)
{
	if (!p)
		return;
	json_part_free(p->json);
	buf_done(&p->text);
	buf_done(&p->columns);
	free(p);
}

size_t
csv_part_memory(const CsvPart *p)
{
	return p ? p->text.cap + p->columns.cap + json_part_memory(p->json) : 0;
}

void
csv_part_begin(CsvPart *p, const Change *change, Buf *out)
{
	p->change = *change;
	p->before = json_has_before(p->w->json, change);
	p->key = json_has_key(p->w->json, change);
	p->split = (Split){ .next = CSV_BEFORE };
	p->old = p->ahead = p->lists = false;
	p->next = 0;
	p->room = p->w->table->json->whole_max;
	buf_done(&p->columns);
	csv_put_meta(p->w, change, (Slice){ NULL, 0 }, out);
}

/*
 * The old row's objects
 */

/* Fields before this one that have no object. */
static void
put_missing_objects(CsvPart *p, CsvMeta until, Buf *out)
{
	for (; p->split.next < until; p->split.next++)
		csv_put_null(out);
}

/* Steps over one byte within an object. */
static void
split_step(Split *s, uint8_t c)
{
	if (s->escape)
		s->escape = false;
	else if (s->string)
	{
		s->escape = c == '\\';
		s->string = c != '"';
	}
	else if (c == '"')
		s->string = true;
	else if (c == '{' || c == '[')
		s->depth++;
	else if (c == '}' || c == ']')
		s->depth--;
}

/* Begins the object at this byte, if it is the first of one. */
static void
begin_object(CsvPart *p, uint8_t c, Buf *out)
{
	CsvMeta field =
		p->before && p->split.next == CSV_BEFORE ? CSV_BEFORE : CSV_KEY;

	if (c != '{')
		return;
	put_missing_objects(p, field, out);
	p->split.next++;
	p->split.depth = 1;
	buf_add(out, ",\"{", 3);
}

/* Behind the objects stand a delete's columns, which are written elsewhere. */
static bool
objects_end(const CsvPart *p)
{
	CsvMeta end = p->change.op == 'd' ? CSV_KEY : CSV_UNCHANGED;

	return p->split.depth == 0 && p->split.next >= end;
}

/* What the json format wrote. */
static void
split_text(CsvPart *p, Buf *out)
{
	const FormatTable *t = p->w->table;
	size_t from = 0;

	for (size_t i = 0; i < p->text.n && !objects_end(p); i++)
	{
		if (p->split.depth == 0)
		{
			begin_object(p, p->text.p[i], out);
			from = i + 1;
			continue;
		}
		split_step(&p->split, p->text.p[i]);
		if (p->split.depth > 0)
			continue;
		csv_add_text(t, out, p->text.p + from, i + 1 - from);
		buf_byte(out, '"');
	}
	if (p->split.depth > 0)
		csv_add_text(t, out, p->text.p + from, p->text.n - from);
	out->overflow |= p->text.overflow;
	buf_reset(&p->text);
}

static bool
put_object_item(CsvPart *p, const PartItem *item, Buf *out, Err *err)
{
	PartItem copy = *item;
	ColView view;
	Slice left = item->piece;

	if (item->view)
	{
		view = *item->view; /* the json format may change it */
		copy.view = &view;
	}
	do
	{
		copy.piece = left;
		if (item->type == PART_PIECE && left.n > PIECE_MAX)
			copy.piece.n = PIECE_MAX;
		if (!json_part_item(p->json, &copy, &p->text, err))
			return false;
		left.p += copy.piece.n;
		left.n -= copy.piece.n;
		split_text(p, out);
	} while (item->type == PART_PIECE && left.n > 0);
	return true;
}

static void
begin_objects(CsvPart *p)
{
	json_part_begin(p->json, p->w->json, &p->change, &p->text);
	buf_reset(&p->text); /* its metadata is ours already */
}

/*
 * The record's columns
 */

/* True for a column that has its own field. */
static bool
is_shown(const CsvPart *p, int i)
{
	return p->change.op != 'd' || p->w->table->json->cols[i].key;
}

/* Of what is withheld there are no details yet: they stand in its field. */
static void
put_lists(CsvPart *p, Buf *out)
{
	FormatWriter *w = p->w;

	put_missing_objects(p, CSV_UNCHANGED, out);
	for (int i = 0; p->ahead && i < p->row.ncols; i++)
	{
		const JsonColumn *c = &w->table->json->cols[i];
		uint8_t state = p->row.cols[i].state;

		if (state == COL_UNCHANGED && p->change.op == 'u')
			csv_list_name(&w->unchanged, c);
		if (state != COL_WITHHELD || !is_shown(p, i))
			continue;
		buf_byte(&w->withheld, w->withheld.n == 0 ? '{' : ',');
		buf_add(&w->withheld, c->head + 1, c->head_n - 1);
		buf_str(&w->withheld, "null");
	}
	csv_put_lists(w, out);
	p->lists = true;
}

/* Columns before this one: those without an item are NULL. */
static void
put_missing(CsvPart *p, int until, Buf *out)
{
	for (; p->next < until; p->next++)
		csv_put_null(out);
}

/* {"reason":…} in the place of the value. */
static void
put_details(CsvPart *p, int i, const ColView *v, Buf *out)
{
	const JsonColumn *c = &p->w->table->json->cols[i];
	size_t name = c->head_n - 1;

	json_put_one_withheld(c, v, true, &p->room, &p->text);
	if (!p->text.overflow)
		csv_put_text(p->w->table, out,
					 (Slice){ p->text.p + name, p->text.n - name });
	buf_reset(&p->text);
}

static void
begin_long(CsvPart *p, int i, Buf *out)
{
	buf_add(out, ",\"", 2);
	if (p->w->table->json->cols[i].kind == CDC_S3_KIND_BYTEA)
		csv_add_hex_prefix(p->w->table, out);
}

static void
put_piece(CsvPart *p, const PartItem *item, Buf *out)
{
	if (p->w->table->json->cols[item->col].kind == CDC_S3_KIND_BYTEA)
		json_put_hex_digits(out, item->piece.p, item->piece.n);
	else
		csv_add_text(p->w->table, out, item->piece.p, item->piece.n);
}

static void
put_column_item(CsvPart *p, const PartItem *item, Buf *out)
{
	if (item->type != PART_PIECE && item->type != PART_END)
	{
		put_missing(p, item->col, out);
		p->next++;
	}
	switch (item->type)
	{
		case PART_VALUE:
			if (item->view->state == COL_WITHHELD)
				put_details(p, item->col, item->view, out);
			else
				csv_put_column(p->w->table, out, item->col, item->view);
			break;
		case PART_BEGIN:
			begin_long(p, item->col, out);
			break;
		case PART_PIECE:
			put_piece(p, item, out);
			break;
		default:
			buf_byte(out, '"');
			break;
	}
}

/*
 * Rows
 */
static bool
begin_row(CsvPart *p, const PartItem *item, Buf *out, Err *err)
{
	p->row = item->row;
	p->old = item->type == PART_ROW_OLD;
	p->ahead = !p->old || p->change.op == 'd';
	if (p->ahead && !(p->old && p->before))
		put_lists(p, out);
	if (!p->old || !(p->before || p->key))
		return true;
	begin_objects(p);
	return put_object_item(p, item, out, err);
}

static bool
take_item(CsvPart *p, const PartItem *item, Buf *out, Err *err)
{
	bool kept = p->old && p->before; /* "_before" grows meanwhile */

	if (p->ahead && is_shown(p, item->col))
		put_column_item(p, item, kept ? &p->columns : out);
	if (!p->old || !(p->before || p->key))
		return true;
	return put_object_item(p, item, out, err);
}

static bool
end_row(CsvPart *p, const PartItem *item, Buf *out, Err *err)
{
	if (!p->old || !(p->before || p->key))
		return true;
	if (!put_object_item(p, item, out, err))
		return false;
	if (!p->ahead)
		return true;
	if (p->columns.overflow)
		return err_set(err, ERR_LIMIT, 0, "the key of a row is longer than %zu",
					   KEY_MAX);
	put_lists(p, out);
	buf_add(out, p->columns.p, p->columns.n);
	buf_done(&p->columns);
	return true;
}

bool
csv_part_item(CsvPart *p, const PartItem *item, Buf *out, Err *err)
{
	switch (item->type)
	{
		case PART_ROW_OLD:
		case PART_ROW_NEW:
			return begin_row(p, item, out, err);
		case PART_VALUE:
		case PART_BEGIN:
		case PART_PIECE:
		case PART_END:
			return take_item(p, item, out, err);
		case PART_ROW_END:
			return end_row(p, item, out, err);
		case PART_DONE:
			if (!p->lists)
				put_lists(p, out); /* there was no row */
			put_missing(p, p->w->table->json->ncols, out);
			buf_byte(out, '\n');
			buf_done(&p->text);
			return true;
		default:
			return true;
	}
}
