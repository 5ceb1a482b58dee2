/*-------------------------------------------------------------------------
 * check_layout.c
 *	  "check" of what the output settings change in a lake that is there: from
 *	  when on, and for which tables of engines.
 *
 * Layer: cmd.
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "cmd/check.h"
#include "cmd/config_layout.h"
#include "codec/key.h"
#include "codec/pattern.h"
#include "pipe/layout.h"

#define TEXT_MAX_BYTES 8192
#define NAMED_MAX 20

static const char why[] = "a table of an engine reads one format in one kind "
						  "of folders; merge and replay read all";

/* The layouts at hand. */
typedef struct Checked
{
	Check *c;
	const char *name;
	const OutputOptions *further; /* NULL: of the main output */
} Checked;

/* Its tables, each once; those past the limit are counted. */
typedef struct Named
{
	const OutputOptions *further;
	Buf text;
	Buf last;
	int n;
} Named;

/* The segments [schema, table) and (table, end). */
static bool
has_table(const OutputOptions *o, const char *schema, const char *table,
		  const char *end)
{
	Buf s;
	Buf t;
	bool has = true;

	buf_init(&s, KEY_TEXT_MAX);
	buf_init(&t, KEY_TEXT_MAX);
	(void) key_parse_segment(
		(Slice){ (const uint8_t *) schema, (size_t) (table - schema) }, &s);
	(void) key_parse_segment(
		(Slice){ (const uint8_t *) table + 1, (size_t) (end - table) - 1 }, &t);
	if (o)
		has = (o->tables[0] == '\0' ||
			   pattern_list_matches(o->tables, buf_cstr(&s), buf_cstr(&t))) &&
			  !pattern_list_matches(o->exclude, buf_cstr(&s), buf_cstr(&t));
	buf_done(&s);
	buf_done(&t);
	return has;
}

/* "_cdc/schema/<schema>/<table>/<hash>.json", in any order of tables. */
static bool
on_schema_file(const StoreItem *item, void *arg)
{
	static const char prefix[] = "_cdc/schema/";
	Named *named = arg;
	const char *schema = item->key + sizeof(prefix) - 1;
	const char *slash = strrchr(item->key, '/');
	const char *table;

	if (strncmp(item->key, prefix, sizeof(prefix) - 1) != 0 || slash < schema)
		return true;
	table = memchr(schema, '/', (size_t) (slash - schema));
	if (!table || !has_table(named->further, schema, table, slash) ||
		(named->last.n == (size_t) (slash - schema) &&
		 memcmp(named->last.p, schema, named->last.n) == 0))
		return true;
	buf_reset(&named->last);
	buf_add(&named->last, schema, (size_t) (slash - schema));
	if (named->n++ >= NAMED_MAX)
		return true;
	buf_str(&named->text, named->n > 1 ? ", " : "");
	(void) key_parse_segment(
		(Slice){ (const uint8_t *) schema, (size_t) (table - schema) },
		&named->text);
	buf_byte(&named->text, '.');
	(void) key_parse_segment(
		(Slice){ (const uint8_t *) table + 1, (size_t) (slash - table) - 1 },
		&named->text);
	return true;
}

/* Makes them anew. */
static void
add_mend(const Checked *k, const char *when, Buf *mend)
{
	const Check *c = k->c;
	Named named = { .further = k->further };
	Err err;

	buf_init(&named.text, TEXT_MAX_BYTES);
	buf_init(&named.last, KEY_TEXT_MAX);
	buf_printf(mend, "%smake anew what engines have of ", when);
	if (!c->store ||
		!store_list(c->store, "_cdc/schema/", on_schema_file, &named, &err))
		buf_str(mend, "the lake");
	else
		buf_str(mend, buf_cstr(&named.text));
	if (named.n > NAMED_MAX)
		buf_printf(mend, " and %d more", named.n - NAMED_MAX);
	buf_str(mend, ", one table for each format and kind of folders");
	buf_done(&named.text);
	buf_done(&named.last);
}

static void
report_change(const Checked *k, const EntryLayout *old, const EntryLayout *new,
			  bool wanted)
{
	Finding f = { .level = CHECK_WARNING, .name = k->name, .why = why };
	char from[40];
	char when[80];
	Buf mend;

	iso_from_unix_us(new->start, false, from, sizeof(from));
	(void) snprintf(when, sizeof(when), "once it is %s, ", from);
	buf_init(&mend, TEXT_MAX_BYTES);
	add_mend(k, new->start > clock_unix_us() ? when : "", &mend);
	f.mend = buf_cstr(&mend);
	check_report(k->c, &f,
				 "%s %s in \"%s\" (%s) up to %s, %s %s in \"%s\" (%s) from "
				 "then on%s",
				 old->format, old->compression, old->path, old->zone, from,
				 new->format, new->compression, new->path, new->zone,
				 wanted ? ", if run starts now" : "");
	buf_done(&mend);
}

static void
report_never(const Checked *k, const EntryLayout *now,
			 const EntryLayout *wanted)
{
	const Finding f = {
		.level = CHECK_WARNING,
		.name = k->name,
		.why = "a folder without a time never ends, and no folder holds two "
			   "formats",
		.mend = "set output.path to another template, or begin a new lake",
	};

	check_report(k->c, &f, "%s %s takes no effect in \"%s\", which has %s %s",
				 wanted->format, wanted->compression, now->path, now->format,
				 now->compression);
}

static void
check_layouts(const Checked *k, const LayoutsSaid *said,
			  const EntryLayout *wanted)
{
	Layouts l;
	LayoutChange change;
	Err err;

	if (!layouts_go_on(&l, said, wanted, clock_unix_us(), &change, &err))
		check_failed(k->c, k->name, why, &err);
	else if (change == LAYOUT_NEVER)
		report_never(k, &l.items[l.n - 1].said, wanted);
	else if (l.n > 1)
		report_change(k, &l.items[l.n - 2].said, &l.items[l.n - 1].said,
					  change == LAYOUT_NEW);
	else
		check_ok(k->c, k->name, "%s %s", wanted->format, wanted->compression);
	layouts_done(&l);
}

void
check_layout(Check *c)
{
	const Checked k = { c, "output", NULL };
	const LayoutSettings s = config_layout_main(c->cfg);
	LayoutsSaid said;
	EntryLayout wanted;
	char room[LAYOUT_ROOM];

	if (!c->last || c->last->nlayouts == 0)
		return;
	said = (LayoutsSaid){ c->last->layouts, c->last->nlayouts,
						  c->last->closed_until };
	config_layout(&s, &wanted, room, sizeof(room));
	check_layouts(&k, &said, &wanted);
}

void
check_layout_of(Check *c, const char *name, const OutputOptions *o,
				const EntryOutput *e)
{
	const Checked k = { c, name, o };
	const LayoutsSaid said = { e->layouts, e->nlayouts, c->last->closed_until };

	if (e->nlayouts > 0)
		check_layouts(&k, &said, &o->layout);
}
