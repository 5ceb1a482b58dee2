/*-------------------------------------------------------------------------
 * toy.c
 *	  The format "toy": a record line with its length before it.  Nobody needs
 *	  it: test/t/090_toy_format.pl adds it to a copy of the sources, as
 *	  doc/architecture.md says that a format is added.
 *
 *	  57 {"_op":"i",…}
 *
 * Layer: codec.
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>

#include "base/mem.h"
#include "codec/json.h"
#include "codec/json_part.h"

#define ROW_MAX ((size_t) 1 << 30)

extern const Format toy_format;

struct FormatWriter
{
	JsonWriter *lines;
	JsonPart *part;
	Buf row; /* a line, until its length is known */
};

struct FormatReader
{
	LineReader *lines;
};

static FormatTable *
table_new(const Schema *schema, const FormatOptions *options)
{
	return (FormatTable *) json_table_new(schema, options);
}

static void
table_free(FormatTable *t)
{
	json_table_free((JsonTable *) t);
}

static FormatWriter *
begin(const FormatTable *t)
{
	FormatWriter *w = xcalloc(1, sizeof(*w));

	w->lines = json_writer_new((const JsonTable *) t);
	w->part = json_part_new();
	buf_init(&w->row, ROW_MAX);
	return w;
}

/* The row has ended. */
static bool
put(FormatWriter *w, Buf *out, Err *err)
{
	buf_printf(out, "%zu ", w->row.n - 1);
	buf_add(out, w->row.p, w->row.n);
	buf_reset(&w->row);
	return !out->overflow || err_set(err, ERR_LIMIT, 0, "a row is too long");
}

static bool
add(FormatWriter *w, const Change *change, Buf *out, Err *err)
{
	json_write(w->lines, change, &w->row);
	return put(w, out, err);
}

static bool
add_head(FormatWriter *w, const Change *change, Buf *out, Err *err)
{
	(void) out, (void) err;
	json_part_begin(w->part, w->lines, change, &w->row);
	return true;
}

static bool
add_item(FormatWriter *w, const PartItem *item, Buf *out, Err *err)
{
	return json_part_item(w->part, item, &w->row, err) &&
		   (item->type != PART_DONE || put(w, out, err));
}

static bool
end(FormatWriter *w, Buf *out, Err *err)
{
	(void) w, (void) out, (void) err;
	return true;
}

static size_t
memory(const FormatWriter *w)
{
	return w->row.cap + json_part_memory(w->part);
}

static void
close_writer(FormatWriter *w)
{
	if (!w)
		return;
	json_part_free(w->part);
	json_writer_free(w->lines);
	buf_done(&w->row);
	free(w);
}

static FormatReader *
open_reader(const FormatSource *source)
{
	FormatReader *r = xcalloc(1, sizeof(*r));

	r->lines =
		lines_open(source->compression, source->object, source->max_line + 32);
	return r;
}

static bool
next(FormatReader *r, Slice *out_line, bool *out_end, Err *err)
{
	size_t n = 0;

	if (!lines_next(r->lines, out_line, out_end, err))
		return false;
	if (*out_end)
		return true;
	while (out_line->n > 0 && *out_line->p >= '0' && *out_line->p <= '9')
	{
		n = n * 10 + (size_t) (*out_line->p++ - '0');
		out_line->n--;
	}
	if (out_line->n != n + 1 || *out_line->p != ' ')
		return err_set(err, ERR_DATA, 0, "a row is not as long as it says");
	out_line->p++;
	out_line->n--;
	return true;
}

static void
done(FormatReader *r)
{
	if (!r)
		return;
	lines_close(r->lines);
	free(r);
}

const Format toy_format = { .name = "toy",
							.suffix = ".toy",
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
