/*-------------------------------------------------------------------------
 * entry_layout.c
 *	  How objects are laid out, in an entry of the commit log.
 *
 * Layer: codec.
 *-------------------------------------------------------------------------
 */
#include "codec/entry_layout.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"

void
entry_layout_init(EntryLayout *l)
{
	*l = (EntryLayout){ .format = xstrdup(""),
						.variant = xstrdup(""),
						.compression = xstrdup(""),
						.path = xstrdup(""),
						.zone = xstrdup("") };
}

void
entry_layout_done(EntryLayout *l)
{
	free(l->format);
	free(l->variant);
	free(l->compression);
	free(l->path);
	free(l->zone);
	free(l->partitions);
	*l = (EntryLayout){ 0 };
}

void
entry_layout_copy(const EntryLayout *from, EntryLayout *to)
{
	size_t n = (size_t) from->npartitions;

	*to = *from;
	to->format = xstrdup(from->format);
	to->variant = xstrdup(from->variant);
	to->compression = xstrdup(from->compression);
	to->path = xstrdup(from->path);
	to->zone = xstrdup(from->zone);
	to->partitions = NULL;
	if (n > 0)
	{
		to->partitions = xmalloc(n * sizeof(int64_t));
		memcpy(to->partitions, from->partitions, n * sizeof(int64_t));
	}
}

void
entry_layouts_free(EntryLayout *l, int n)
{
	for (int i = 0; i < n; i++)
		entry_layout_done(&l[i]);
	free(l);
}

void
entry_layout_use(EntryLayout *l, int64_t partition)
{
	for (int i = 0; i < l->npartitions; i++)
	{
		if (l->partitions[i] == partition)
			return;
	}
	if (l->npartitions == ENTRY_PARTITIONS_MAX)
		return;
	l->partitions = xrealloc(l->partitions,
							 ((size_t) l->npartitions + 1) * sizeof(int64_t));
	l->partitions[l->npartitions++] = partition;
}

/* None of these has a byte that JSON would want escaped (path.c, zone.c). */
static void
add_text(Buf *out, const char *name, const char *value)
{
	buf_printf(out, ",\"%s\":\"", name);
	for (; *value; value++)
	{
		if (*value == '"' || *value == '\\' || (uint8_t) *value < 0x20)
			buf_printf(out, "\\u%04x", (uint8_t) *value);
		else
			buf_byte(out, (uint8_t) *value);
	}
	buf_byte(out, '"');
}

static void
add_time(Buf *out, const char *name, int64_t unix_us)
{
	char iso[40];

	if (unix_us == 0)
		return;
	iso_from_unix_us(unix_us, true, iso, sizeof(iso));
	buf_printf(out, ",\"%s\":\"%s\"", name, iso);
}

void
entry_layouts_encode(const EntryLayout *l, int n, Buf *out)
{
	char iso[40];

	buf_str(out, "\"layouts\":[");
	for (int i = 0; i < n; i++, l++)
	{
		buf_printf(out, "%s{\"format\":\"%s\"", i ? ",\n" : "\n", l->format);
		if (l->variant[0])
			add_text(out, "variant", l->variant);
		add_text(out, "compression", l->compression);
		add_text(out, "path", l->path);
		add_text(out, "timezone", l->zone);
		add_time(out, "start", l->start);
		add_time(out, "from", l->from);
		add_time(out, "until", l->until);
		buf_str(out, ",\"partitions\":[");
		for (int k = 0; k < l->npartitions; k++)
		{
			iso_from_unix_us(l->partitions[k], true, iso, sizeof(iso));
			buf_printf(out, "%s\"%s\"", k ? "," : "", iso);
		}
		buf_str(out, "]}");
	}
	buf_byte(out, ']');
}

/*
 * Reading
 */
static char *
take_text(json_t *obj, const char *name, bool needed, bool *ok)
{
	const char *s = json_string_value(json_object_get(obj, name));

	*ok = *ok && (s || !needed);
	return xstrdup(s ? s : "");
}

static int64_t
take_time(json_t *v, bool needed, bool *ok)
{
	int64_t us = 0;

	if (v || needed)
		*ok = *ok && json_is_string(v) && iso_parse(json_string_value(v), &us);
	return us;
}

static void
take_partitions(json_t *list, EntryLayout *l, bool *ok)
{
	size_t n = json_array_size(list);

	if (!json_is_array(list) || n > ENTRY_PARTITIONS_MAX)
		*ok = false;
	for (size_t i = 0; *ok && i < n; i++)
		entry_layout_use(l, take_time(json_array_get(list, i), true, ok));
}

EntryLayout *
entry_layouts_parse(json_t *list, int *out_n, bool *ok)
{
	EntryLayout *out = xcalloc(ENTRY_LAYOUTS_MAX, sizeof(*out));
	int n = 0;

	if (!json_is_array(list) || json_array_size(list) > ENTRY_LAYOUTS_MAX)
		*ok = false;
	while (*ok && (size_t) n < json_array_size(list))
	{
		json_t *obj = json_array_get(list, (size_t) n);
		EntryLayout *l = &out[n++];

		*l = (EntryLayout){
			.format = take_text(obj, "format", true, ok),
			.variant = take_text(obj, "variant", false, ok),
			.compression = take_text(obj, "compression", true, ok),
			.path = take_text(obj, "path", true, ok),
			.zone = take_text(obj, "timezone", true, ok),
			.start = take_time(json_object_get(obj, "start"), false, ok),
			.from = take_time(json_object_get(obj, "from"), false, ok),
			.until = take_time(json_object_get(obj, "until"), false, ok)
		};
		take_partitions(json_object_get(obj, "partitions"), l, ok);
	}
	*out_n = n;
	return out;
}
