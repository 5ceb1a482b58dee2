/*-------------------------------------------------------------------------
 * merge_relabel.c
 *	  Lines of rejected rows name columns as the target's are named.
 *
 * Layer: merge.
 *-------------------------------------------------------------------------
 */
#include "merge/merge_relabel.h"

#include <string.h>

/* Names in the objects of a line; order and digits stay. */
#define RENAMED(what)                                                          \
	"(SELECT '{' || coalesce(string_agg(to_json(coalesce(n.new, e.key))::text" \
	" || ':' || e.value::text, ',' ORDER BY e.o), '') || '}'"                  \
	" FROM json_each(" what "::json) WITH ORDINALITY e(key, value, o)"         \
	" LEFT JOIN unnest($6::text[], $7::text[]) n(old, new) ON n.old = e.key)"

static const char lines_sql[] =
	"UPDATE cdc_s3.rejected SET"
	" old_key = CASE WHEN old_key IS NOT NULL THEN"
	" " RENAMED(
		"old_key") "::jsonb END,"
				   " new_key = CASE WHEN new_key IS NOT NULL THEN"
				   " " RENAMED(
					   "new_key") "::jsonb END,"
								  " \"row\" = " RENAMED(
									  "\"row\"") ","
												 " unchanged = ARRAY(SELECT "
												 "coalesce(n.new, u) FROM "
												 "unnest(unchanged) u"
												 "  LEFT JOIN "
												 "unnest($6::text[], "
												 "$7::text[]) n(old, new) ON "
												 "n.old = u)"
												 " WHERE (system_identifier, "
												 "database, slot, "
												 "source_schema, source_table)"
												 " = ($1, $2, $3, $4, $5) AND "
												 "unchanged IS NOT NULL";

bool
relabel_lines(MergeCx *cx, const PlanTable *t, const Schema *old,
			  const Schema *now, Err *err)
{
	const PlanKnown *k = t->known;
	const char *values[] = { cx->system_identifier,
							 cx->database,
							 cx->slot,
							 k->schema,
							 k->table,
							 NULL,
							 NULL };
	Buf from;
	Buf to;
	int n = 0;
	bool ok = true;

	buf_init(&from, SQL_MAX);
	buf_init(&to, SQL_MAX);
	buf_byte(&from, '{');
	buf_byte(&to, '{');
	for (int i = 0; i < old->ncols; i++)
	{
		const SchemaColumn *was = &old->cols[i];
		const SchemaColumn *is = view_find(now, was->attnum);
		const char *name = is ? is->name : view_kept(&t->view, was->attnum);

		if (!name || strcmp(name, was->name) == 0)
			continue;
		sql_add_array_item(&from, was->name, n == 0);
		sql_add_array_item(&to, name, n++ == 0);
	}
	buf_byte(&from, '}');
	buf_byte(&to, '}');
	values[5] = buf_cstr(&from);
	values[6] = buf_cstr(&to);
	if (n > 0 && !cx->opt->preview)
		ok = sql_params(cx, "rename columns of rejected rows", lines_sql, 7,
						values, NULL, err);
	buf_done(&from);
	buf_done(&to);
	return ok;
}
