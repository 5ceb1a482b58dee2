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

struct ParquetText
{
	JsonTable *json;
};

ParquetText *
text_new(const FormatTable *t, size_t whole_max)
{
	ParquetText *x = xcalloc(1, sizeof(*x));
	const JsonOptions options = {
		.numeric = t->options.numeric == NUMERIC_STRING ? JSON_NUMERIC_STRING
				   : t->options.numeric == NUMERIC_AUTO ? JSON_NUMERIC_AUTO
														: JSON_NUMERIC_NUMBER,
		.before = t->options.before,
		.raw_text = t->options.raw_text,
		.whole_max = whole_max
	};

	x->json = json_table_new(t->schema, &options);
	return x;
}

void
text_free(ParquetText *x)
{
	if (!x)
		return;
	json_table_free(x->json);
	free(x);
}

void
text_put_object(ParquetText *x, const RowView *row, bool key_only, Buf *out)
{
	JsonTable *t = x->json;
	size_t start;

	buf_byte(out, '{');
	start = out->n;
	t->nwithheld = t->njsonnull = 0;
	for (int i = 0; i < row->ncols; i++)
	{
		if (!key_only || t->cols[i].key)
			json_put_column(t, out, i, &row->cols[i]);
	}
	if (out->n > start && !out->overflow)
	{
		/* the first column brought a comma */
		memmove(out->p + start, out->p + start + 1, out->n - start - 1);
		out->n--;
	}
	if (t->njsonnull > 0)
		json_put_names(t, out, "_jsonnull", t->jsonnull, t->njsonnull);
	buf_byte(out, '}');
	t->nwithheld = t->njsonnull = 0;
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
	const JsonColumn *c = &x->json->cols[col];

	buf_add(out, c->head, c->head_n);
	json_put_string(out, text.p, text.n);
}

void
text_put_numeric(ParquetText *x, int col, Slice text, Buf *out)
{
	const JsonColumn *c = &x->json->cols[col];
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
	JsonTable *t = x->json;

	if (t->njsonnull > 0)
		json_put_names(t, out, "_jsonnull", t->jsonnull, t->njsonnull);
}

void
text_put_json(Slice json, Buf *out)
{
	json_put_embedded(out, json.p, json.n);
}
