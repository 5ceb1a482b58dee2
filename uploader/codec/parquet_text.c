/*-------------------------------------------------------------------------
 * parquet_text.c
 *	  What stands in Parquet files and record lines as JSON.
 *
 * Layer: codec.
 *-------------------------------------------------------------------------
 */
#include "codec/parquet_text.h"

#include <stdlib.h>

#include "base/mem.h"
#include "codec/json_impl.h"
#include "codec/json_part.h"

struct ParquetText
{
	JsonTable *table;
	JsonWriter *json;
	JsonPart *part; /* NULL until needed */
	Change change;  /* whose old row comes in parts */
};

ParquetText *
text_new(const FormatTable *t, size_t whole_max)
{
	ParquetText *x = xcalloc(1, sizeof(*x));
	FormatOptions options = t->options;

	options.whole_max = whole_max;
	x->table = json_table_new(t->schema, &options);
	x->json = json_writer_new(x->table);
	return x;
}

void
text_free(ParquetText *x)
{
	if (!x)
		return;
	json_part_free(x->part);
	json_writer_free(x->json);
	json_table_free(x->table);
	free(x);
}

void
text_put_object(ParquetText *x, const RowView *row, bool key_only, Buf *out)
{
	JsonWriter *w = x->json;
	size_t start;

	buf_byte(out, '{');
	start = out->n;
	w->nwithheld = w->njsonnull = 0;
	for (int i = 0; i < row->ncols; i++)
	{
		if (!key_only || x->table->cols[i].key)
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
	w->nwithheld = w->njsonnull = 0;
}

static void
put_text_or_null(const char *name, Slice text, Buf *out)
{
	buf_printf(out, "\"%s\":", name);
	if (text.n > 0 && utf8_valid(text.p, text.n))
		json_put_string(out, text.p, text.n);
	else
		buf_str(out, "null");
}

void
text_put_partial(const ChangePartition *parts, int n, Buf *out)
{
	buf_byte(out, '[');
	for (int i = 0; i < n; i++)
	{
		buf_str(out, i > 0 ? ",{" : "{");
		put_text_or_null("schema", slice_cstr(parts[i].schema), out);
		buf_byte(out, ',');
		put_text_or_null("table", slice_cstr(parts[i].table), out);
		buf_byte(out, ',');
		put_text_or_null("bound", parts[i].bound, out);
		buf_byte(out, '}');
	}
	buf_byte(out, ']');
}

void
text_begin_columns(ParquetText *x)
{
	x->json->nwithheld = x->json->njsonnull = 0;
}

void
text_put_column(ParquetText *x, int col, ColView *v, Buf *out)
{
	json_put_column(x->json, out, col, v);
}

void
text_put_string(ParquetText *x, int col, Slice text, Buf *out)
{
	const JsonColumn *c = &x->table->cols[col];

	buf_add(out, c->head, c->head_n);
	json_put_string(out, text.p, text.n);
}

void
text_put_numeric(ParquetText *x, int col, Slice text, Buf *out)
{
	const JsonColumn *c = &x->table->cols[col];
	bool number =
		text.n > 0 && text.p[text.n - 1] >= '0' && text.p[text.n - 1] <= '9';

	buf_add(out, c->head, c->head_n);
	if (number && !c->numeric_string)
		buf_add(out, text.p, text.n);
	else
		json_put_string(out, text.p, text.n);
}

void
text_end_columns(ParquetText *x, Buf *out)
{
	JsonWriter *w = x->json;

	if (w->njsonnull > 0)
		json_put_names(w, out, "_jsonnull", w->jsonnull, w->njsonnull);
}

void
text_put_json(Slice json, Buf *out)
{
	json_put_embedded(out, json.p, json.n);
}

void
text_put_hex(Slice bytes, Buf *out)
{
	json_put_hex_digits(out, bytes.p, bytes.n);
}

/*
 * The old row in parts.  The json format writes
 *
 *	  ,"_before":{columns,"_jsonnull":[…]},"_key":{…}
 *
 * of which columns come with their items and the rest with the last one, or a
 * delete's key columns instead of "_key".
 */
void
text_old_begin(ParquetText *x, const Change *change)
{
	Buf meta;

	if (!x->part)
		x->part = json_part_new();
	x->change = *change;
	buf_init(&meta, SIZE_MAX);
	json_part_begin(x->part, x->json, change, &meta);
	buf_done(&meta);
}

/* Bytes up to the end of an object that is open, strings passed over. */
static size_t
object_end(Slice s)
{
	bool in_string = false;

	for (size_t i = 0; i < s.n; i++)
	{
		if (in_string && s.p[i] == '\\')
			i++;
		else if (s.p[i] == '"')
			in_string = !in_string;
		else if (!in_string && s.p[i] == '}')
			return i + 1;
	}
	return s.n;
}

bool
text_old_item(ParquetText *x, const PartItem *item, Buf *out, OldEnds *ends,
			  Err *err)
{
	static const char key[] = ",\"_key\":";
	bool has_before = json_has_before(x->json, &x->change);
	size_t start = out->n;

	*ends = (OldEnds){ 0 };
	if (!json_part_item(x->part, item, out, err))
		return false;
	if (item->type == PART_ROW_OLD && has_before && !out->overflow)
	{
		/* the value only, without its name */
		out->n = start;
		buf_byte(out, '{');
	}
	ends->before = has_before ? out->n - start : 0;
	if (item->type != PART_ROW_END || out->overflow)
		return true;
	if (has_before)
		ends->before = object_end((Slice){ out->p + start, out->n - start });
	if (json_has_key(x->json, &x->change))
	{
		ends->key_at = start + ends->before + strlen(key);
		ends->key_n = out->n - ends->key_at;
	}
	return true;
}
