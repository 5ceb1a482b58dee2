/*-------------------------------------------------------------------------
 * merge_trigger.c
 *	  merge.triggers: tables of the target whose triggers run although this
 *	  role switches triggers off.
 *
 * A trigger that is enabled runs where session_replication_role is origin; one
 * that is enabled ALWAYS runs here too.  Setting the role back instead would
 * bring the foreign keys into force, and tables are brought over one by one.
 * Layer: merge.
 *-------------------------------------------------------------------------
 */
#include "merge/merge_trigger.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "codec/pattern.h"

static const char find_sql[] =
	"SELECT string_agg(format('ALTER TABLE ONLY %I.%I ENABLE ALWAYS TRIGGER"
	" %I', n.nspname, c.relname, t.tgname), '; '),"
	" string_agg(format('ALTER TABLE ONLY %I.%I ENABLE TRIGGER %I',"
	" n.nspname, c.relname, t.tgname), '; ')"
	" FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid"
	" JOIN pg_namespace n ON n.oid = c.relnamespace"
	" WHERE NOT t.tgisinternal AND t.tgenabled = 'O' AND t.tgrelid IN"
	" (SELECT $1::regclass UNION"
	"  SELECT relid FROM pg_partition_tree($1::regclass))";

/* The patterns that the setting stands for. */
static const char *
patterns_of(const char *triggers)
{
	return strcmp(triggers, "off") == 0  ? ""
		   : strcmp(triggers, "on") == 0 ? "*"
										 : triggers;
}

bool
trigger_check(const char *triggers, Err *err)
{
	if (pattern_list_valid(patterns_of(triggers)))
		return true;
	err_set(err, ERR_USAGE, 0, "cannot understand merge.triggers \"%s\"",
			triggers);
	return err_hint(err, "write off, on, or schema.table patterns with *, by "
						 "comma");
}

bool
trigger_enable(MergeCx *cx, const Target *t, char **back, Err *err)
{
	const char *patterns = patterns_of(cx->opt->triggers);
	const char *values[] = { t->name };
	PGresult *res;
	bool ok = true;

	*back = NULL;
	if (!cx->replica || cx->opt->preview || !patterns[0] ||
		!pattern_list_matches(patterns, t->schema, t->table))
		return true;
	if (!sql_params(cx, "look for triggers", find_sql, 1, values, &res, err))
		return false;
	if (!PQgetisnull(res, 0, 0))
	{
		*back = xstrdup(PQgetvalue(res, 0, 1));
		ok = sql_run(cx, "enable triggers", PQgetvalue(res, 0, 0), NULL, err);
	}
	PQclear(res);
	if (!ok)
		err_prefix(err, "merge.triggers names table \"%s.%s\"", t->schema,
				   t->table);
	return ok;
}

bool
trigger_back(MergeCx *cx, const char *back, Err *err)
{
	if (!back)
		return true;
	/* what still waits for the commit has to run before */
	return sql_run(cx, "check constraints",
				   "SET CONSTRAINTS ALL IMMEDIATE;"
				   "SET CONSTRAINTS ALL DEFERRED",
				   NULL, err) &&
		   sql_run(cx, "disable triggers", back, NULL, err);
}
