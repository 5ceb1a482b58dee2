/*-------------------------------------------------------------------------
 * merge_hold.c
 *	  Tables that wait since another one waits.
 *
 * Layer: merge.
 *-------------------------------------------------------------------------
 */
#include "merge/merge_hold.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/strmap.h"
#include "merge/merge_map.h"
#include "merge/merge_owner.h"

/* Foreign keys, those of partitions for the tables that they belong to. */
static const char keys_sql[] =
	"SELECT DISTINCT cn.nspname, c.relname, pn.nspname, p.relname,"
	" quote_ident(k.conname) FROM pg_constraint k"
	" JOIN pg_class c"
	"  ON c.oid = coalesce(pg_partition_root(k.conrelid), k.conrelid)"
	" JOIN pg_namespace cn ON cn.oid = c.relnamespace"
	" JOIN pg_class p"
	"  ON p.oid = coalesce(pg_partition_root(k.confrelid), k.confrelid)"
	" JOIN pg_namespace pn ON pn.oid = p.relnamespace"
	" WHERE k.contype = 'f' AND k.conparentid = 0 AND c.oid <> p.oid"
	" ORDER BY 1, 2, 3, 4, 5";

void
held_done(Held *h)
{
	for (int i = 0; i < h->n; i++)
		free(h->tables[i].why);
	free(h->tables);
	*h = (Held){ 0 };
}

void
held_add(Held *h, uint32_t relation, const char *why)
{
	h->tables = xrealloc(h->tables, ((size_t) h->n + 1) * sizeof(*h->tables));
	h->tables[h->n++] = (HeldTable){ relation, xstrdup(why) };
}

void
hold_known(const Held *h, Plan *plan)
{
	for (int i = 0; i < plan->ntables; i++)
	{
		PlanTable *t = &plan->tables[i];

		for (int k = 0; !t->held && k < h->n; k++)
		{
			t->held = h->tables[k].relation == t->relation_id;
			t->held_why = h->tables[k].why;
		}
	}
}

static bool
waits(const PlanTable *t)
{
	return t->refused || t->held || t->waiting;
}

static bool
any_waits(const Plan *plan)
{
	bool any = false;

	for (int i = 0; !any && i < plan->ntables; i++)
		any = waits(&plan->tables[i]);
	return any;
}

static char *
place_key(const char *schema, const char *table)
{
	return xasprintf("%s\xFF%s", schema, table);
}

/* Which table of the plan is where at the target. */
static void
map_places(const Ddl *d, const Plan *plan, StrMap *out)
{
	for (int i = 0; i < plan->ntables; i++)
	{
		const PlanTable *t = &plan->tables[i];
		char *schema = NULL;
		char *table = NULL;
		char *key;

		if (t->target_table)
			key = place_key(t->target_schema, t->target_table);
		else if (t->known && t->known->target_table)
			key = place_key(t->known->target_schema, t->known->target_table);
		else
		{
			map_target(d->cx->opt->map, t->schema, t->table, &schema, &table);
			key = place_key(schema, table);
		}
		if (strmap_get(out, key) == STRMAP_NONE)
			strmap_put(out, key, i);
		free(key);
		free(schema);
		free(table);
	}
}

static PlanTable *
find_place(const StrMap *places, Plan *plan, const PGresult *res, int row,
		   int column)
{
	char *key = place_key(PQgetvalue(res, row, column),
						  PQgetvalue(res, row, column + 1));
	int i = strmap_get(places, key);

	free(key);
	return i == STRMAP_NONE ? NULL : &plan->tables[i];
}

/* Something is to be done with its rows. */
static bool
has_changes(const Ddl *d, const PlanTable *t)
{
	return (t->nobjects > 0 || t->replace) && !owner_excludes(d->cx, t);
}

/* Has the target followed what became of it? */
static bool
has_followed(const PlanTable *t)
{
	const PlanKnown *k = t->known;
	bool found = false;

	if (!k || !k->target_table || t->held)
		return false;
	for (int i = 0; !found && i < t->nevents; i++)
		found = t->events[i].gone || t->events[i].left ||
				(k->hash && strcmp(t->events[i].hash, k->hash) != 0);
	return found || t->displaced || strcmp(t->schema, k->schema) != 0 ||
		   strcmp(t->table, k->table) != 0;
}

static bool
hold(Ddl *d, PlanTable *t, const PlanTable *parent, const char *key, Err *err)
{
	char *why = xasprintf("foreign key %s refers to \"%s.%s\", which waits",
						  key, parent->schema, parent->table);
	bool ok = ddl_wait(d, t, "parent", why, err);

	free(why);
	return ok;
}

/* Who has the name of a table that waits; what is held before is, too. */
static bool
hold_names(Ddl *d, Plan *plan, Held *h, bool *more, Err *err)
{
	StrMap names = { 0 };
	bool ok = true;

	for (int pass = 0; pass < 2; pass++)
	{
		for (int i = 0; ok && i < plan->ntables; i++)
		{
			PlanTable *t = &plan->tables[i];
			char *key = place_key(t->schema, t->table);
			bool taken = strmap_get(&names, key) != STRMAP_NONE;

			if (pass == 0 && t->refused)
				strmap_put(&names, key, i);
			free(key);
			if (pass == 0 || t->refused || !taken)
				continue;
			if (has_followed(t))
				held_add(h, t->relation_id, "a table that waited had its name");
			*more = true;
			ok = ddl_wait(d, t, "schema", "a table that waits goes by its name",
						  err);
		}
	}
	strmap_done(&names);
	return ok;
}

/* One round over all keys: children of what waits by now. */
static bool
hold_round(Ddl *d, Plan *plan, const StrMap *places, const PGresult *res,
		   Held *h, bool *more, Err *err)
{
	for (int i = 0; i < PQntuples(res); i++)
	{
		PlanTable *child = find_place(places, plan, res, i, 0);
		PlanTable *parent = find_place(places, plan, res, i, 2);

		if (!child || !parent || child == parent || child->refused ||
			child->ahead || /* what it would wait with is done */
			!waits(parent) || !(child->held || has_changes(d, child)))
			continue;
		if (has_followed(child))
			held_add(h, child->relation_id, "a table that it refers to waited");
		*more = true;
		if (!hold(d, child, parent, PQgetvalue(res, i, 4), err))
			return false;
	}
	return true;
}

/* What else is held: also where the other one passes by now. */
static bool
hold_rest(Ddl *d, Plan *plan, Err *err)
{
	for (int i = 0; i < plan->ntables; i++)
	{
		PlanTable *t = &plan->tables[i];

		if (t->held && !t->refused &&
			!ddl_wait(d, t, "schema", t->held_why, err))
			return false;
	}
	return true;
}

bool
hold_others(Ddl *d, Plan *plan, Held *h, bool *again, Err *err)
{
	int before = h->n;
	StrMap places = { 0 };
	PGresult *res = NULL;
	bool more = true;
	bool ok = true;

	*again = false;
	if (d->cx->opt->preview || !any_waits(plan))
		return true;
	if (!d->cx->replica &&
		!sql_query(d->cx, "read foreign keys", keys_sql, &res, err))
		return false;
	map_places(d, plan, &places);
	while (ok && more)
	{
		more = false;
		ok = hold_names(d, plan, h, &more, err) &&
			 (!res || hold_round(d, plan, &places, res, h, &more, err));
	}
	ok = ok && hold_rest(d, plan, err);
	*again = ok && h->n > before;
	strmap_done(&places);
	PQclear(res);
	return ok;
}
