/*-------------------------------------------------------------------------
 * json_format.c
 *	  The format "json": record lines.
 *
 * Layer: codec.
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>

#include "base/mem.h"
#include "codec/json.h"
#include "codec/json_part.h"

struct FormatWriter
{
	JsonWriter *lines;
	JsonPart *part; /* NULL before the first row in parts */
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
	return w;
}

static bool
check_room(const Buf *out, Err *err)
{
	return !out->overflow ||
		   err_set(err, ERR_LIMIT, 0, "a row's line is longer than %zu bytes",
				   out->max);
}

static bool
add(FormatWriter *w, const Change *change, Buf *out, Err *err)
{
	json_write(w->lines, change, out);
	return check_room(out, err);
}

static bool
add_head(FormatWriter *w, const Change *change, Buf *out, Err *err)
{
	if (!w->part)
		w->part = json_part_new();
	json_part_begin(w->part, w->lines, change, out);
	return check_room(out, err);
}

static bool
add_item(FormatWriter *w, const PartItem *item, Buf *out, Err *err)
{
	return json_part_item(w->part, item, out, err) && check_room(out, err);
}

static bool
end(FormatWriter *w, Buf *out, Err *err)
{
	(void) w;
	return check_room(out, err);
}

static size_t
memory(const FormatWriter *w)
{
	return w->part ? json_part_memory(w->part) : 0;
}

static void
close_writer(FormatWriter *w)
{
	if (!w)
		return;
	json_part_free(w->part);
	json_writer_free(w->lines);
	free(w);
}

static FormatReader *
open_reader(const FormatSource *source)
{
	FormatReader *r = xcalloc(1, sizeof(*r));

	r->lines =
		lines_open(source->compression, source->object, source->max_line);
	return r;
}

static bool
next(FormatReader *r, Slice *out_line, bool *out_end, Err *err)
{
	return lines_next(r->lines, out_line, out_end, err);
}

static void
done(FormatReader *r)
{
	if (!r)
		return;
	lines_close(r->lines);
	free(r);
}

const Format json_format = { .name = "json",
							 .suffix = ".json",
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
