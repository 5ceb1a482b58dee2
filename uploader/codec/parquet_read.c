/*-------------------------------------------------------------------------
 * parquet_read.c
 *	  Records of a Parquet object as the lines that the json format writes.
 *
 * A record is read leaf by leaf in their order: first the metadata, whose
 * lists say what the columns are (unchanged, withheld, exact), then the
 * columns, which go to the line as they are read.
 *
 * Layer: codec.
 *-------------------------------------------------------------------------
 */
#include "codec/parquet_read.h"

#include <stdlib.h>

#include "base/mem.h"
#include "cdc_s3_proto.h"
#include "codec/parquet_value.h"

/* Pages of all leaves, besides what one record may hold twice. */
#define HELD_MAX ((size_t) 64 << 20)
#define LINE_KEEP ((size_t) 1 << 20)

/* ---- life ---- */

FormatReader *
reader_open(const FormatSource *source)
{
	FormatReader *r = xcalloc(1, sizeof(*r));

	r->source = *source;
	for (int i = 0; i <= COMPRESS_SNAPPY; i++)
		codec_init(&r->share.codecs[i], (Compression) i, 0);
	r->share.held_max = HELD_MAX + 2 * source->max_line;
	buf_init(&r->line, source->max_line);
	buf_init(&r->value, source->max_line);
	buf_init(&r->exact, source->max_line);
	buf_init(&r->unchanged, source->max_line);
	buf_init(&r->withheld, source->max_line);
	return r;
}

void
reader_done(FormatReader *r)
{
	if (!r)
		return;
	for (int i = 0; r->opened && i < r->footer.table->nleaves; i++)
		leaf_done(&r->leaves[i]);
	for (int i = 0; i <= COMPRESS_SNAPPY; i++)
		codec_done(&r->share.codecs[i]);
	if (r->opened)
		parquet_table_free(r->footer.table);
	text_free(r->text);
	free(r->chunks);
	free(r->leaves);
	free(r->said);
	free(r->exacts);
	buf_done(&r->line);
	buf_done(&r->value);
	buf_done(&r->exact);
	buf_done(&r->unchanged);
	buf_done(&r->withheld);
	free(r);
}

static bool
open_object(FormatReader *r, Err *err)
{
	const FormatTable *t;
	size_t n;

	if (!footer_open(&r->footer, r->source.object, r->source.schema, err))
		return false;
	t = r->footer.table;
	n = (size_t) t->nleaves;
	r->opened = true;
	r->chunks = xcalloc(n, sizeof(*r->chunks));
	r->leaves = xcalloc(n, sizeof(*r->leaves));
	for (size_t i = 0; i < n; i++)
		leaf_init(&r->leaves[i], &t->leaves[i], &r->share);
	n = (size_t) t->schema->ncols + 2;
	r->said = xcalloc(n, sizeof(*r->said));
	r->exacts = xcalloc(n, sizeof(*r->exacts));
	/* a list is an array, however long its text */
	r->text = text_new(t, SIZE_MAX);
	return true;
}

/* ---- leaves ---- */

bool
reader_damaged(const char *what, Err *err)
{
	return err_set(err, ERR_DATA, 0, "a record is damaged: %s", what);
}

/* The one slot of a leaf that is no list; *out_there: it has a value. */
bool
reader_flat(FormatReader *r, int leaf, Slice *out, bool *out_there, Err *err)
{
	LeafReader *l = &r->leaves[leaf];
	bool end = false;

	if (!leaf_peek(l, &end, err))
		return false;
	if (end)
		return reader_damaged("a column ends before it", err);
	*out_there = l->next_def == l->leaf->max_def;
	return leaf_take(l, out, err);
}

/* Begins a list: its slot is loaded; *out_items: it is an item's. */
bool
reader_list(FormatReader *r, int leaf, bool *out_items, Err *err)
{
	LeafReader *l = &r->leaves[leaf];
	Slice none;
	bool end = false;

	if (!leaf_peek(l, &end, err))
		return false;
	if (end || l->next_rep != 0)
		return reader_damaged("a list does not begin with it", err);
	*out_items = l->next_def >= 2;
	return *out_items || leaf_take(l, &none, err);
}

/* Behind an item: *out_more: another one is loaded. */
bool
reader_more(FormatReader *r, int leaf, bool *out_more, Err *err)
{
	LeafReader *l = &r->leaves[leaf];
	bool end = false;

	if (!leaf_peek(l, &end, err))
		return false;
	*out_more = !end && l->next_rep == 1;
	return !*out_more || l->next_def >= 2 ||
		   reader_damaged("a list's item", err);
}

/* ---- columns ---- */

/* An array literal of a list's items; *out_there: it is not NULL. */
static bool
take_list(FormatReader *r, int leaf, bool *out_there, Err *err)
{
	LeafReader *l = &r->leaves[leaf];
	Slice s = { NULL, 0 };
	bool end = false;
	bool more = false;

	buf_reset(&r->value);
	if (!leaf_peek(l, &end, err))
		return false;
	if (end || l->next_rep != 0)
		return reader_damaged("a list does not begin with it", err);
	*out_there = l->next_def > 0;
	buf_byte(&r->value, '{');
	if (!reader_list(r, leaf, &more, err))
		return false;
	while (more)
	{
		bool null = l->next_def == 2;

		if (!leaf_take(l, &s, err))
			return false;
		if (r->value.n > 1)
			buf_byte(&r->value, ',');
		if (null)
			buf_str(&r->value, "NULL");
		else
			parquet_put_element(l->leaf, s, &r->value);
		if (!reader_more(r, leaf, &more, err))
			return false;
	}
	buf_byte(&r->value, '}');
	return true;
}

static void
put_view(FormatReader *r, int col, Slice s)
{
	ColView v = { .p = s.p, .n = (uint32_t) s.n, .state = COL_VALUE };

	text_put_column(r->text, col, &v, &r->line);
}

/* Text from "_exact". */
static void
put_exact(FormatReader *r, int col, Slice s)
{
	const FormatTable *t = r->footer.table;
	uint8_t kind = t->schema->cols[col].kind;
	bool long_array =
		t->leaves[LEAF_COLUMNS + col].list && s.n > parquet_whole_max(t);

	if (kind == CDC_S3_KIND_NUMERIC)
		text_put_numeric(r->text, col, s, &r->line);
	else if (kind < CDC_S3_KIND_NUMERIC || kind == CDC_S3_KIND_BYTEA ||
			 long_array)
		text_put_string(r->text, col, s, &r->line);
	else
		put_view(r, col, s);
}

static void
put_value(FormatReader *r, int col, Slice s)
{
	const ParquetLeaf *leaf = &r->footer.table->leaves[LEAF_COLUMNS + col];
	uint8_t room[PARQUET_ROOM];
	size_t n;

	if (leaf->form == PARQUET_DECIMAL)
	{
		n = parquet_decimal_text(leaf, s, (char *) room);
		text_put_numeric(r->text, col, (Slice){ room, n }, &r->line);
	}
	else if (leaf->form == PARQUET_NUMERIC_TEXT)
		text_put_numeric(r->text, col, s, &r->line);
	else if (leaf->form == PARQUET_FIXED_TEXT)
		text_put_string(r->text, col, s, &r->line);
	else if (leaf->physical == PARQUET_BYTE_ARRAY)
		put_view(r, col, s);
	else
	{
		n = parquet_to_wire(leaf, s, room);
		put_view(r, col, (Slice){ room, n });
	}
}

static bool
take_column(FormatReader *r, int col, Err *err)
{
	const Schema *schema = r->footer.table->schema;
	int leaf = LEAF_COLUMNS + col;
	bool list = r->footer.table->leaves[leaf].list;
	uint8_t said = r->said[col];
	ColView null = { .state = COL_NULL };
	Slice s = { NULL, 0 };
	bool there = false;

	if (list ? !take_list(r, leaf, &there, err)
			 : !reader_flat(r, leaf, &s, &there, err))
		return false;
	if (r->op == 't' || r->op == 's' ||
		(r->op == 'd' && (!schema->cols[col].key || (r->nokey && !there))))
		return true;
	if (said & SAID_EXACT)
		put_exact(r, col,
				  (Slice){ r->exact.p + r->exacts[col].at, r->exacts[col].n });
	else if (said & SAID_JSONNULL && !there)
		put_view(r, col, slice_cstr("null"));
	else if (said & (SAID_UNCHANGED | SAID_WITHHELD))
		return true;
	else if (!there)
		text_put_column(r->text, col, &null, &r->line);
	else if (list)
		put_view(r, col, buf_slice(&r->value));
	else
		put_value(r, col, s);
	return true;
}

/* ---- records ---- */

static void
begin_record(FormatReader *r)
{
	Buf *bufs[] = { &r->line, &r->value, &r->exact, &r->unchanged,
					&r->withheld };

	for (size_t i = 0; i < sizeof(bufs) / sizeof(bufs[0]); i++)
	{
		if (bufs[i]->cap > LINE_KEEP)
			buf_done(bufs[i]);
		buf_reset(bufs[i]);
	}
	memset(r->said, 0, (size_t) r->footer.table->schema->ncols + 2);
	r->hint = 0;
}

static bool
take_record(FormatReader *r, Err *err)
{
	int ncols = r->footer.table->schema->ncols;

	begin_record(r);
	if (!reader_meta(r, err))
		return false;
	text_begin_columns(r->text);
	for (int i = 0; i < ncols; i++)
	{
		if (!take_column(r, i, err))
			return err_prefix(err, "column \"%s\"",
							  r->footer.table->schema->cols[i].name);
	}
	if (r->withheld.n > 0)
	{
		buf_str(&r->line, ",\"_withheld\":{");
		buf_add(&r->line, r->withheld.p, r->withheld.n);
		buf_byte(&r->line, '}');
	}
	text_end_columns(r->text, &r->line);
	buf_byte(&r->line, '}');
	if (r->line.overflow || r->value.overflow || r->withheld.overflow ||
		r->unchanged.overflow)
		return err_set(err, ERR_LIMIT, 0, "line is longer than %zu bytes",
					   r->source.max_line);
	r->rows--;
	return true;
}

/* The next row group that has rows; *out_end: there is none. */
static bool
next_group(FormatReader *r, bool *out_end, Err *err)
{
	const FormatTable *t = r->footer.table;
	bool end = false;

	while (r->rows == 0)
	{
		*out_end = r->footer.ngroups == 0;
		for (int i = 0; i < t->nleaves; i++)
		{
			/* behind the last record nothing may be left */
			if (!leaf_peek(&r->leaves[i], &end, err))
				return false;
			if (!end)
				return reader_damaged("a column goes on behind it", err);
		}
		if (*out_end)
			return true;
		if (!footer_next_group(&r->footer, r->chunks, &r->rows, err))
			return false;
		for (int i = 0; i < t->nleaves; i++)
			leaf_open(&r->leaves[i], &r->chunks[i]);
	}
	*out_end = false;
	return true;
}

bool
reader_next(FormatReader *r, Slice *out_line, bool *out_end, Err *err)
{
	if ((!r->opened && !open_object(r, err)) || !next_group(r, out_end, err))
		return false;
	if (*out_end)
		return true;
	if (!take_record(r, err))
		return false;
	*out_line = buf_slice(&r->line);
	return true;
}
