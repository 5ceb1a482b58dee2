/*-------------------------------------------------------------------------
 * parquet_part.c
 *	  A row in parts to a Parquet object, without holding it.
 *
 * Such a row is a row group of its own.  A long value is the one page of its
 * column's chunk, which is not compressed, since a page's header tells its
 * length before it; so it can go out as it comes.  What has no length before
 * its end stands in "_exact" in items of about EXACT_PIECE bytes each, that
 * belong together: the old row, text that may be no UTF-8, an array, which no
 * list holds.  That is one chunk, too, and nothing can be written between its
 * pages: once it is begun, all long values go there.
 *
 *	  part_head > old row > new row, or a delete's key > part_done
 *
 * Layer: codec.
 *-------------------------------------------------------------------------
 */
#include "codec/parquet_part.h"

#include <stdlib.h>

#include "base/mem.h"
#include "cdc_s3_proto.h"
#include "codec/hash.h"
#include "codec/json_impl.h"
#include "codec/parquet_group.h"
#include "codec/parquet_value.h"
#include "codec/rowbytes.h"

#define EXACT_PIECE ((size_t) 1 << 20)
#define HELD_MAX ((size_t) 8 << 20) /* a long key of a delete */

/* Where a long value goes. */
typedef enum Place
{
	PLACE_NONE,
	PLACE_CHUNK, /* its column's */
	PLACE_EXACT,
	PLACE_HELD /* memory, then its column */
} Place;

struct ParquetPart
{
	Change change;
	GroupChunk *chunks; /* those that are written have a column */
	RowView row;        /* states of the row that is read */
	bool old;
	int next;         /* first column that was not looked at */
	bool exact;       /* "_exact" goes out in pieces */
	int64_t exact_at; /* where it begins */
	Buf piece;        /* of "_exact" */
	Buf before;       /* of "_before" */
	bool before_long;

	/* the long value under way */
	Place place;
	size_t left; /* bytes that are to come */
	uint64_t size;
	char word[5]; /* its first bytes that are no space, to know a JSON null */
	int nword;
	bool check; /* it may not be UTF-8 */
	bool bad;   /* and it is not */
	uint32_t crc;
	uint8_t tail[4]; /* bytes that may begin a character */
	size_t ntail;
};

void
part_free(ParquetPart *p)
{
	if (!p)
		return;
	free(p->chunks);
	buf_done(&p->piece);
	buf_done(&p->before);
	free(p);
}

bool
part_head(FormatWriter *w, const Change *change, Buf *out, Err *err)
{
	ParquetPart *p;

	if (!writer_end_group(w, GROUP_ROW, out, err))
		return false;
	writer_start(w, out);
	part_free(w->part);
	p = w->part = xcalloc(1, sizeof(*p));
	p->change = *change;
	p->chunks = group_chunks(w);
	buf_init(&p->piece, SIZE_MAX);
	buf_init(&p->before, SIZE_MAX);
	return writer_put_meta(w, change, err);
}

/* ---- "_exact" ---- */

/* Bytes at the front that are whole characters. */
static size_t
whole_characters(const Buf *b)
{
	size_t at = b->n;

	while (at > 0 && b->n - at < 3 && (b->p[at - 1] & 0xC0) == 0x80)
		at--;
	if (at > 0 && b->p[at - 1] >= 0xC0 &&
		utf8_sequence(b->p + at - 1, b->n - at + 1) == 0)
		return at - 1;
	return b->n;
}

/* The first n bytes of b, as an item of that name, go out. */
static bool
put_piece(FormatWriter *w, const char *name, Buf *b, size_t n, Buf *out,
		  Err *err)
{
	ParquetPart *p = w->part;
	ParquetColumn *c;
	size_t start = out->n;

	if (!p->exact)
		p->exact_at = w->offset;
	p->exact = true;
	if (!writer_put_exact(w, name, (Slice){ b->p, n }, err))
		return false;
	c = w->cols[LEAF_EXACT_TEXT];
	if (!column_flush(c, &w->scratch, out, err))
		return false;
	group_went_out(w, out, start);
	if (b->n > n)
		memmove(b->p, b->p + n, b->n - n);
	b->n -= n;
	return true;
}

/* What is left of b, if it is long enough or the last. */
static bool
put_pieces(FormatWriter *w, const char *name, Buf *b, bool last, Buf *out,
		   Err *err)
{
	size_t n = last ? b->n : whole_characters(b);

	if (b->overflow)
		return err_set(err, ERR_LIMIT, 0, "a row is longer than %zu bytes",
					   b->max);
	if (!last && b->n < EXACT_PIECE)
		return true;
	return n == 0 || put_piece(w, name, b, n, out, err);
}

/* ---- the old row ---- */

static bool
wants_old(const FormatWriter *w)
{
	const Change *change = &w->part->change;

	return writer_has_before(w, change) || writer_has_key(w, change);
}

static bool
end_before(FormatWriter *w, Buf *out, Err *err)
{
	ParquetPart *p = w->part;

	if (p->before_long)
		return put_pieces(w, "_before", &p->before, true, out, err);
	return writer_put(w, LEAF_BEFORE, 0, 1, buf_slice(&p->before), err);
}

static bool
old_item(FormatWriter *w, const PartItem *item, Buf *out, Err *err)
{
	ParquetPart *p = w->part;
	size_t start = p->before.n;
	OldEnds ends;

	if (item->type == PART_ROW_OLD)
		text_old_begin(writer_text(w), &p->change);
	if (!text_old_item(writer_text(w), item, &p->before, &ends, err))
		return false;
	if (ends.key_n > 0 &&
		!writer_put(w, LEAF_KEY, 0, 1,
					(Slice){ p->before.p + ends.key_at, ends.key_n }, err))
		return false;
	if (!writer_has_before(w, &p->change))
		return true;
	p->before.n = start + ends.before; /* without what follows it */
	if (item->type == PART_ROW_END)
		return end_before(w, out, err);
	if (p->before.n >= EXACT_PIECE)
		p->before_long = true;
	return put_pieces(w, "_before", &p->before, false, out, err);
}

/* ---- long values ---- */

static bool
is_text(const SchemaColumn *c)
{
	return c->kind >= CDC_S3_KIND_STRING && c->kind != CDC_S3_KIND_BYTEA;
}

static bool
is_json(const SchemaColumn *c)
{
	return c->kind == CDC_S3_KIND_JSON || c->base_oid == OID_JSONB;
}

static Place
choose_place(const FormatWriter *w, int col)
{
	const ParquetPart *p = w->part;

	if (p->old && (p->change.op != 'd' || !w->t->schema->cols[col].key))
		return PLACE_NONE;
	if (p->old && writer_has_before(w, &p->change))
		return PLACE_HELD;
	return p->exact || p->check || w->t->leaves[LEAF_COLUMNS + col].list
			   ? PLACE_EXACT
			   : PLACE_CHUNK;
}

/* The page's header, its level, and the value's length. */
static void
begin_chunk(FormatWriter *w, int col, size_t n, Buf *out)
{
	static const uint8_t level[] = { 2, 0, 0, 0, 1 << 1, 1 }; /* one 1 */
	int leaf = LEAF_COLUMNS + col;
	GroupChunk *g = &w->part->chunks[leaf];
	size_t body = sizeof(level) + 4 + n;
	size_t start = out->n;
	uint8_t length[4];

	if (!w->cols[leaf])
		w->cols[leaf] = column_new(&w->t->leaves[leaf], w->t->page_bytes);
	g->column = w->cols[leaf];
	g->codec = COMPRESS_NONE;
	g->chunk.data_offset = w->offset;
	column_single(g->column);
	column_put_header(out, false, body, body, 1, ENCODING_PLAIN);
	g->chunk.compressed = g->chunk.uncompressed =
		(int64_t) (out->n - start + body);
	parquet_put32(length, (uint32_t) n);
	buf_add(out, level, sizeof(level));
	buf_add(out, length, sizeof(length));
	group_went_out(w, out, start);
}

static void
begin_long(FormatWriter *w, const PartItem *item, Buf *out)
{
	ParquetPart *p = w->part;
	const SchemaColumn *c = &w->t->schema->cols[item->col];

	p->check = w->t->options.raw_text && is_text(c);
	p->bad = false;
	p->crc = 0;
	p->ntail = 0;
	p->nword = 0;
	p->size = p->left = item->view->n;
	p->place = choose_place(w, item->col);
	buf_reset(&p->piece);
	if (p->place == PLACE_CHUNK)
		begin_chunk(w, item->col, p->left, out);
	else if (p->place == PLACE_EXACT && c->kind == CDC_S3_KIND_BYTEA)
		buf_str(&p->piece, "\\x");
}

/* Text with U+FFFD for each byte that is none. */
static void
add_clean(ParquetPart *p, Slice s, bool last)
{
	static const uint8_t unknown[] = { 0xEF, 0xBF, 0xBD };
	size_t at = 0;
	Buf text;

	buf_init(&text, SIZE_MAX);
	buf_add(&text, p->tail, p->ntail);
	buf_add(&text, s.p, s.n);
	while (at < text.n && (last || text.n - at >= sizeof(p->tail)))
	{
		size_t n = utf8_sequence(text.p + at, text.n - at);

		if (n > 0)
			buf_add(&p->piece, text.p + at, n);
		else
			buf_add(&p->piece, unknown, sizeof(unknown));
		p->bad |= n == 0;
		at += n ? n : 1;
	}
	p->ntail = text.n - at;
	memcpy(p->tail, text.p + at, p->ntail);
	buf_done(&text);
}

static void
look_for_null(ParquetPart *p, Slice s)
{
	for (size_t i = 0; i < s.n && p->nword < (int) sizeof(p->word); i++)
	{
		if (!memchr(" \t\r\n", s.p[i], 4))
			p->word[p->nword++] = (char) s.p[i];
	}
}

static bool
put_long(FormatWriter *w, int col, Slice s, Buf *out, Err *err)
{
	ParquetPart *p = w->part;
	const SchemaColumn *c = &w->t->schema->cols[col];
	size_t start = out->n;

	if (s.n > p->left)
		return err_set(err, ERR_INTERNAL, 0, "a value is longer than was told");
	p->left -= s.n;
	if (p->place == PLACE_CHUNK) /* others are put as values are */
		w->bytes += s.n;
	look_for_null(p, s);
	switch (p->place)
	{
		case PLACE_CHUNK:
			buf_add(out, s.p, s.n);
			group_went_out(w, out, start);
			return true;
		case PLACE_HELD:
			buf_add(&p->piece, s.p, s.n);
			return p->piece.n <= HELD_MAX ||
				   err_set(err, ERR_LIMIT, 0,
						   "the key of a row is longer than %zu", HELD_MAX);
		case PLACE_EXACT:
			if (p->check)
			{
				p->crc = crc32c(p->crc, s.p, s.n);
				add_clean(p, s, false);
			}
			else if (c->kind == CDC_S3_KIND_BYTEA)
				text_put_hex(s, &p->piece);
			else
				buf_add(&p->piece, s.p, s.n);
			return put_pieces(w, c->json_name, &p->piece, false, out, err);
		default:
			return true;
	}
}

static bool
end_long(FormatWriter *w, int col, Buf *out, Err *err)
{
	ParquetPart *p = w->part;
	const SchemaColumn *c = &w->t->schema->cols[col];
	ColView held = { .p = p->piece.p,
					 .n = (uint32_t) p->piece.n,
					 .state = COL_VALUE };
	ColView bad = { .state = COL_WITHHELD,
					.reason = CDC_S3_WITHHELD_ENCODING,
					.size = p->size,
					.crc32c = p->crc };

	if (p->left > 0)
		return err_set(err, ERR_INTERNAL, 0,
					   "a value is shorter than was told");
	if (p->place == PLACE_NONE)
		return true;
	if (p->place == PLACE_HELD)
		return writer_put_column(w, col, &held, err);
	if (p->place == PLACE_EXACT)
	{
		if (p->check)
			add_clean(p, (Slice){ NULL, 0 }, true);
		if (!put_pieces(w, c->json_name, &p->piece, true, out, err))
			return false;
	}
	if (is_json(c) && p->nword == 4 && memcmp(p->word, "null", 4) == 0 &&
		!writer_put_name(w, LEAF_JSONNULL, &w->njsonnull, col, err))
		return false;
	return !p->bad || writer_put_withheld(w, col, &bad, err);
}

/* ---- rows ---- */

/* Columns before this one that make no item: unchanged ones have a name. */
static bool
put_missing(FormatWriter *w, int until, Err *err)
{
	ParquetPart *p = w->part;

	for (; p->next < until; p->next++)
	{
		ColView v = { .state = p->row.cols[p->next].state };

		if (!p->old && v.state == COL_UNCHANGED &&
			!writer_put_column(w, p->next, &v, err))
			return false;
	}
	return true;
}

/* A column that is there as a whole. */
static bool
put_short(FormatWriter *w, const PartItem *item, Err *err)
{
	const ParquetPart *p = w->part;
	ColView v = *item->view;

	if (p->old && (p->change.op != 'd' || !w->t->schema->cols[item->col].key))
		return true;
	return writer_put_column(w, item->col, &v, err);
}

static bool
part_done(FormatWriter *w, Buf *out, Err *err)
{
	ParquetPart *p = w->part;
	GroupChunk *chunks = p->chunks;
	GroupChunk *g = &chunks[LEAF_EXACT_TEXT];
	size_t start = out->n;

	if (p->exact)
	{
		/* its pages went out: what is left follows them */
		ParquetColumn *c = w->cols[LEAF_EXACT_TEXT];

		if (!column_end(c, 1, p->exact_at, &w->scratch, out, &g->chunk, err))
			return false;
		group_went_out(w, out, start);
		g->column = c;
		g->codec = w->t->options.compression;
	}
	p->chunks = NULL;
	part_free(p);
	w->part = NULL;
	writer_end_record(w);
	return group_end(w, chunks, GROUP_ROW, true, out, err);
}

static bool
new_item(FormatWriter *w, const PartItem *item, Buf *out, Err *err)
{
	ParquetPart *p = w->part;

	switch (item->type)
	{
		case PART_ROW_OLD:
		case PART_ROW_NEW:
			p->row = item->row;
			p->old = item->type == PART_ROW_OLD;
			p->next = 0;
			return true;
		case PART_VALUE:
		case PART_BEGIN:
			if (!put_missing(w, item->col, err))
				return false;
			p->next = item->col + 1;
			if (item->type == PART_VALUE)
				return put_short(w, item, err);
			begin_long(w, item, out);
			return true;
		case PART_PIECE:
			return put_long(w, item->col, item->piece, out, err);
		case PART_END:
			return end_long(w, item->col, out, err);
		case PART_ROW_END:
			return put_missing(w, p->row.ncols, err);
		case PART_DONE:
			return part_done(w, out, err);
		default:
			return true;
	}
}

bool
part_item(FormatWriter *w, const PartItem *item, Buf *out, Err *err)
{
	ParquetPart *p = w->part;
	bool old =
		item->type == PART_ROW_OLD ||
		(p->old && item->type != PART_ROW_NEW && item->type != PART_DONE);

	if (old && wants_old(w) && !old_item(w, item, out, err))
		return false;
	return new_item(w, item, out, err);
}
