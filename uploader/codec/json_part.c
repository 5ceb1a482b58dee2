/*-------------------------------------------------------------------------
 * json_part.c
 *	  A row that arrives in parts to a line of the lake.
 *
 * A value of the old row may have two places: in "_before", which is written
 * as it comes, and in the key, which stands behind and is kept until then.
 *
 * Layer: codec.
 *-------------------------------------------------------------------------
 */
#include "codec/json_part.h"

#include <stdlib.h>

#include "base/mem.h"
#include "cdc_s3_proto.h"
#include "codec/hash.h"
#include "codec/json_impl.h"

#define KEY_MAX ((size_t) 8 << 20)
#define WITHHELD_MAX ((size_t) 16 << 20) /* 1,600 heads and ROW_WHOLE_MAX */

/* Where a value goes. */
typedef enum Place
{
	PLACE_TOP,
	PLACE_BEFORE,
	PLACE_KEY
} Place;

/* A long value under way. */
typedef struct LongValue
{
	const JsonColumn *column;
	size_t size;
	char word[5]; /* its first bytes that are no space, to know a JSON null */
	int nword;
	bool check; /* it may not be UTF-8 */
	bool bad;   /* and it is not */
	uint32_t crc;
	uint8_t tail[4]; /* a sequence that the last piece began */
	size_t ntail;
} LongValue;

struct JsonPart
{
	JsonWriter *w;
	Change change;
	RowView row; /* states of the row that is read */
	bool old;    /* which is the old one */
	int next;    /* first column that was not written */
	bool first;  /* nothing stands in "_before" yet */
	Buf key;     /* columns of the key, each with its comma */
	int *keynull;
	int nkeynull;
	int keynull_cap;
	Buf withheld; /* members of "_withheld" */
	size_t withheld_room;
	LongValue value;
};

JsonPart *
json_part_new(void)
{
	JsonPart *p = xcalloc(1, sizeof(*p));

	buf_init(&p->key, KEY_MAX);
	buf_init(&p->withheld, WITHHELD_MAX);
	return p;
}

void
json_part_free(JsonPart *p)
{
	if (!p)
		return;
	buf_done(&p->key);
	buf_done(&p->withheld);
	free(p->keynull);
	free(p);
}

size_t
json_part_memory(const JsonPart *p)
{
	return sizeof(*p) + p->key.cap + p->withheld.cap +
		   (size_t) p->keynull_cap * sizeof(int);
}

void
json_part_begin(JsonPart *p, JsonWriter *w, const Change *change, Buf *out)
{
	const JsonTable *t = w->table;

	p->w = w;
	p->change = *change;
	buf_done(&p->key);
	buf_done(&p->withheld);
	p->withheld_room = t->whole_max;
	p->nkeynull = 0;
	if (p->keynull_cap < t->ncols)
	{
		p->keynull_cap = t->ncols;
		p->keynull =
			xrealloc(p->keynull, (size_t) p->keynull_cap * sizeof(int));
	}
	w->nwithheld = w->njsonnull = 0;
	json_put_meta(w, change, out);
}

/* ---- places ---- */

static bool
wants(const JsonPart *p, Place place, int col)
{
	bool before = json_has_before(p->w, &p->change);
	bool delete = p->change.op == 'd';
	bool key = p->w->table->cols[col].key;

	switch (place)
	{
		case PLACE_BEFORE:
			return p->old && before;
		case PLACE_KEY:
			return p->old && key &&
				   (delete ? before : json_has_key(p->w, &p->change));
		default:
			return !p->old || (delete &&key && !before);
	}
}

static Buf *
buf_of(JsonPart *p, Place place, Buf *out)
{
	return place == PLACE_KEY ? &p->key : out;
}

/* The first column of an object has no comma. */
static void
drop_comma(JsonPart *p, Place place, Buf *b, size_t start)
{
	if (place != PLACE_BEFORE || !p->first || b->n == start || b->overflow)
		return;
	memmove(b->p + start, b->p + start + 1, b->n - start - 1);
	b->n--;
	p->first = false;
}

static void
note_jsonnull(JsonPart *p, Place place, int col)
{
	if (place == PLACE_KEY)
		p->keynull[p->nkeynull++] = col;
	else
		p->w->jsonnull[p->w->njsonnull++] = col;
}

/* What is withheld in an old row is told of a delete's key only. */
static void
note_withheld(JsonPart *p, Place place, int col, const ColView *v)
{
	if (place == PLACE_BEFORE || (place == PLACE_KEY && p->change.op == 'u'))
		return;
	json_put_one_withheld(&p->w->table->cols[col], v, p->withheld.n == 0,
						  &p->withheld_room, &p->withheld);
}

/* A column that is there as a whole. */
static void
put_column(JsonPart *p, Place place, int col, ColView *v, Buf *out)
{
	JsonWriter *w = p->w;
	Buf *b = buf_of(p, place, out);
	size_t start = b->n;
	int nulls = w->njsonnull;
	bool is_null;

	w->nwithheld = 0;
	json_put_column(w, b, col, v);
	is_null = w->njsonnull > nulls;
	w->njsonnull = nulls;
	if (is_null)
		note_jsonnull(p, place, col);
	if (w->nwithheld > 0)
		note_withheld(p, place, col, v);
	w->nwithheld = 0;
	drop_comma(p, place, b, start);
}

static void
put_everywhere(JsonPart *p, int col, ColView *v, Buf *out)
{
	for (Place place = PLACE_TOP; place <= PLACE_KEY; place++)
	{
		if (wants(p, place, col))
			put_column(p, place, col, v, out);
	}
}

/* Columns before this one that make no item: NULL, unchanged, absent. */
static void
put_missing(JsonPart *p, int until, Buf *out)
{
	for (; p->next < until; p->next++)
	{
		ColView v = { .state = p->row.cols[p->next].state };

		if (v.state == COL_NULL)
			put_everywhere(p, p->next, &v, out);
	}
}

/* ---- long values ---- */

static bool
is_text(const JsonColumn *c)
{
	return c->kind >= CDC_S3_KIND_STRING && c->kind != CDC_S3_KIND_BYTEA;
}

static void
begin_long(JsonPart *p, const PartItem *item, Buf *out)
{
	LongValue *v = &p->value;

	*v = (LongValue){ .column = &p->w->table->cols[item->col],
					  .size = item->view->n,
					  .check = p->w->table->raw_text &&
							   is_text(&p->w->table->cols[item->col]) };
	for (Place place = PLACE_TOP; place <= PLACE_KEY; place++)
	{
		Buf *b = buf_of(p, place, out);
		size_t start = b->n;

		if (!wants(p, place, item->col))
			continue;
		buf_add(b, v->column->head, v->column->head_n);
		if (v->column->kind == CDC_S3_KIND_BYTEA)
			buf_str(b, "\"\\\\x");
		else if (v->column->form != FORM_JSON)
			buf_byte(b, '"');
		drop_comma(p, place, b, start);
	}
}

/* Bytes that are as they are to be, to each place. */
static void
put_piece(JsonPart *p, int col, Slice s, Buf *out)
{
	const JsonColumn *c = p->value.column;

	for (Place place = PLACE_TOP; place <= PLACE_KEY; place++)
	{
		Buf *b = buf_of(p, place, out);

		if (!wants(p, place, col))
			continue;
		if (c->kind == CDC_S3_KIND_BYTEA)
			json_put_hex_digits(b, s.p, s.n);
		else if (c->form == FORM_JSON)
			json_put_embedded(b, s.p, s.n);
		else
			json_add_escaped(b, s.p, s.n);
	}
}

static void
put_bad(JsonPart *p, int col, Buf *out)
{
	static const uint8_t unknown[] = { 0xEF, 0xBF, 0xBD }; /* U+FFFD */

	p->value.bad = true;
	put_piece(p, col, (Slice){ unknown, sizeof(unknown) }, out);
}

/* True where more bytes could still make the n bytes at p a sequence. */
static bool
may_go_on(const uint8_t *p, size_t n)
{
	static const uint8_t fill[] = { 0x80, 0x90, 0xA0 };
	uint8_t b[4];

	for (size_t i = 0; n < 4 && i < sizeof(fill); i++)
	{
		memset(b, 0x80, sizeof(b));
		memcpy(b, p, n);
		if (n == 1)
			b[1] = fill[i];
		if (utf8_sequence(b, sizeof(b)) > n)
			return true;
	}
	return false;
}

/* What the last piece began, with the first bytes of this one. */
static void
finish_tail(JsonPart *p, int col, Slice *s, bool last, Buf *out)
{
	LongValue *v = &p->value;

	while (v->ntail > 0)
	{
		if (utf8_sequence(v->tail, v->ntail) == v->ntail)
		{
			put_piece(p, col, (Slice){ v->tail, v->ntail }, out);
			v->ntail = 0;
		}
		else if (!last && s->n == 0 && may_go_on(v->tail, v->ntail))
			return;
		else if (s->n > 0 && may_go_on(v->tail, v->ntail))
		{
			v->tail[v->ntail++] = *s->p++;
			s->n--;
		}
		else
		{
			/* one byte is none; what follows may begin anew */
			put_bad(p, col, out);
			memmove(v->tail, v->tail + 1, --v->ntail);
		}
	}
}

/* Pieces of text that may not be UTF-8. */
static void
put_checked(JsonPart *p, int col, Slice s, bool last, Buf *out)
{
	LongValue *v = &p->value;
	size_t from = 0;
	size_t at = 0;

	finish_tail(p, col, &s, last, out);
	while (at < s.n)
	{
		size_t n = utf8_sequence(s.p + at, s.n - at);

		if (n > 0)
		{
			at += n;
			continue;
		}
		put_piece(p, col, (Slice){ s.p + from, at - from }, out);
		if (!last && s.n - at < 4 && may_go_on(s.p + at, s.n - at))
		{
			v->ntail = s.n - at;
			memcpy(v->tail, s.p + at, v->ntail);
			return;
		}
		put_bad(p, col, out);
		from = ++at;
	}
	put_piece(p, col, (Slice){ s.p + from, at - from }, out);
}

static void
look_for_null(LongValue *v, Slice s)
{
	for (size_t i = 0; i < s.n && v->nword < (int) sizeof(v->word); i++)
	{
		uint8_t c = s.p[i];

		if (c != ' ' && c != '\n' && c != '\r' && c != '\t')
			v->word[v->nword++] = (char) c;
	}
}

static void
take_piece(JsonPart *p, const PartItem *item, Buf *out)
{
	LongValue *v = &p->value;

	if (v->column->form == FORM_JSON)
		look_for_null(v, item->piece);
	if (!v->check)
	{
		put_piece(p, item->col, item->piece, out);
		return;
	}
	v->crc = crc32c(v->crc, item->piece.p, item->piece.n);
	put_checked(p, item->col, item->piece, false, out);
}

static void
end_long(JsonPart *p, const PartItem *item, Buf *out)
{
	LongValue *v = &p->value;
	bool is_null = v->nword == 4 && memcmp(v->word, "null", 4) == 0;

	if (v->check)
		put_checked(p, item->col, (Slice){ NULL, 0 }, true, out);
	for (Place place = PLACE_TOP; place <= PLACE_KEY; place++)
	{
		ColView bad = { .state = COL_WITHHELD,
						.reason = CDC_S3_WITHHELD_ENCODING,
						.size = v->size,
						.crc32c = v->crc };

		if (!wants(p, place, item->col))
			continue;
		if (v->column->form != FORM_JSON)
			buf_byte(buf_of(p, place, out), '"');
		else if (is_null)
			note_jsonnull(p, place, item->col);
		if (v->bad)
			note_withheld(p, place, item->col, &bad);
	}
}

/* ---- rows ---- */

static void
begin_row(JsonPart *p, const PartItem *item, Buf *out)
{
	p->row = item->row;
	p->old = item->type == PART_ROW_OLD;
	p->next = 0;
	p->first = true;
	if (p->old && json_has_before(p->w, &p->change))
		buf_str(out, ",\"_before\":{");
	if (!p->old && p->change.op == 'u')
		json_put_unchanged(p->w, out, &p->row);
}

static void
put_key(JsonPart *p, Buf *out)
{
	bool object = p->change.op == 'u';

	if (object)
		buf_str(out, ",\"_key\":{");
	if (object && p->key.n > 0)
		buf_add(out, p->key.p + 1, p->key.n - 1); /* without its comma */
	else
		buf_add(out, p->key.p, p->key.n);
	if (object && p->nkeynull > 0)
		json_put_names(p->w, out, "_jsonnull", p->keynull, p->nkeynull);
	if (object)
		buf_byte(out, '}');
	for (int i = 0; !object && i < p->nkeynull; i++)
		p->w->jsonnull[p->w->njsonnull++] = p->keynull[i];
	buf_done(&p->key);
}

static bool
end_row(JsonPart *p, Buf *out, Err *err)
{
	JsonWriter *w = p->w;

	put_missing(p, p->row.ncols, out);
	if (!p->old)
		return true;
	if (p->key.overflow)
		return err_set(err, ERR_LIMIT, 0, "the key of a row is longer than %zu",
					   KEY_MAX);
	if (json_has_before(w, &p->change))
	{
		if (w->njsonnull > 0)
			json_put_names(w, out, "_jsonnull", w->jsonnull, w->njsonnull);
		buf_byte(out, '}');
		w->njsonnull = 0;
	}
	if (p->change.op == 'd' || json_has_key(w, &p->change))
		put_key(p, out);
	return true;
}

static void
end_line(JsonPart *p, Buf *out)
{
	JsonWriter *w = p->w;

	if (p->withheld.n > 0)
	{
		buf_str(out, ",\"_withheld\":{");
		buf_add(out, p->withheld.p, p->withheld.n);
		buf_byte(out, '}');
	}
	if (w->njsonnull > 0)
		json_put_names(w, out, "_jsonnull", w->jsonnull, w->njsonnull);
	buf_add(out, "}\n", 2);
	buf_done(&p->withheld);
}

bool
json_part_item(JsonPart *p, const PartItem *item, Buf *out, Err *err)
{
	switch (item->type)
	{
		case PART_ROW_OLD:
		case PART_ROW_NEW:
			begin_row(p, item, out);
			return true;
		case PART_VALUE:
			put_missing(p, item->col, out);
			put_everywhere(p, item->col, item->view, out);
			p->next = item->col + 1;
			return true;
		case PART_BEGIN:
			put_missing(p, item->col, out);
			begin_long(p, item, out);
			p->next = item->col + 1;
			return true;
		case PART_PIECE:
			take_piece(p, item, out);
			return true;
		case PART_END:
			end_long(p, item, out);
			return true;
		case PART_ROW_END:
			return end_row(p, out, err);
		case PART_DONE:
			end_line(p, out);
			return true;
		default:
			return true;
	}
}
