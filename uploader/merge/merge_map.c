/*-------------------------------------------------------------------------
 * merge_map.c
 *	  merge.map: where rows of a source table go.
 *
 * Layer: merge.
 *-------------------------------------------------------------------------
 */
#include "merge/merge_map.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

bool
map_check_schema(const char *schema, const char *table, Err *err)
{
	if (strncmp(schema, "pg_", 3) != 0 && strcmp(schema, "cdc_s3") != 0 &&
		strcmp(schema, "information_schema") != 0)
		return true;
	err_set(err, ERR_USAGE, 0,
			"merge never writes a table of schema \"%s\", as \"%s.%s\"", schema,
			schema, table);
	return err_hint(err, "leave it out with merge.exclude, or send it "
						 "elsewhere with merge.map");
}

/*
 * One name of a map: up to '.', '=', ',' or the end, or in double quotes.
 * Returns behind it, NULL where there is none; *star: it was a bare "*".
 */
static const char *
map_name(const char *s, char *out, size_t size, bool *star)
{
	size_t n = 0;
	bool quoted;

	while (*s == ' ')
		s++;
	quoted = *s == '"';
	s += quoted;
	for (; *s; s++)
	{
		if (quoted && *s == '"')
		{
			if (s[1] != '"')
				break;
			s++;
		}
		else if (!quoted && strchr(".=, ", *s))
			break;
		if (n + 1 == size)
			return NULL;
		out[n++] = *s;
	}
	out[n] = '\0';
	if (quoted && *s++ != '"')
		return NULL;
	while (*s == ' ')
		s++;
	*star = !quoted && strcmp(out, "*") == 0;
	return n > 0 ? s : NULL;
}

typedef struct MapItem
{
	char names[4][256]; /* schema, table, schema, table */
	bool stars[4];
} MapItem;

/* Reads one item; NULL where it is malformed. */
static const char *
map_item(const char *s, MapItem *out)
{
	static const char ends[4] = { '.', '=', '.', ',' };

	for (int i = 0; i < 4; i++)
	{
		s = map_name(s, out->names[i], sizeof(out->names[i]), &out->stars[i]);
		if (!s || (*s != ends[i] && !(i == 3 && *s == '\0')))
			return NULL;
		if (*s)
			s++;
	}
	if (out->stars[0] || out->stars[2] || out->stars[1] != out->stars[3])
		return NULL;
	return s;
}

bool
map_check(const char *map, Err *err)
{
	MapItem item;

	for (const char *s = map; *s;)
	{
		s = map_item(s, &item);
		if (!s)
		{
			err_set(err, ERR_USAGE, 0, "cannot understand merge.map \"%s\"",
					map);
			return err_hint(err, "write it as schema.table=schema.table or "
								 "schema.*=schema.*, separated by commas");
		}
		if (!map_check_schema(item.names[2], item.names[3], err))
			return err_prefix(err, "merge.map");
	}
	return true;
}

static bool
find_item(const char *map, const char *schema, const char *table, bool stars)
{
	MapItem item;

	for (const char *s = map; *s;)
	{
		s = map_item(s, &item);
		if (!s)
			return false; /* was checked before */
		if (strcmp(item.names[0], schema) == 0 &&
			(item.stars[1] ? stars : strcmp(item.names[1], table) == 0))
			return true;
	}
	return false;
}

bool
map_has(const char *map, const char *schema, const char *table)
{
	return find_item(map, schema, table, true);
}

bool
map_has_exactly(const char *map, const char *schema, const char *table)
{
	return find_item(map, schema, table, false);
}

void
map_target(const char *map, const char *schema, const char *table,
		   char **out_schema, char **out_table)
{
	MapItem item;
	bool exact = false;

	*out_schema = xstrdup(schema);
	*out_table = xstrdup(table);
	for (const char *s = map; *s && !exact;)
	{
		s = map_item(s, &item);
		if (!s)
			return; /* was checked before */
		exact = !item.stars[1] && strcmp(item.names[1], table) == 0;
		if (strcmp(item.names[0], schema) != 0 || (!exact && !item.stars[1]))
		{
			exact = false;
			continue;
		}
		free(*out_schema);
		*out_schema = xstrdup(item.names[2]);
		if (!exact)
			continue;
		free(*out_table);
		*out_table = xstrdup(item.names[3]);
	}
}
