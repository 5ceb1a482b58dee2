/*-------------------------------------------------------------------------
 * merge_plan.c
 *	  What a merge is about to apply.
 *
 * Layer: merge.
 *-------------------------------------------------------------------------
 */
#include "merge/merge_plan.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

int64_t
plan_rows(const Plan *p)
{
	int64_t rows = 0;

	for (int i = 0; i < p->ntables; i++)
	{
		for (int o = 0; o < p->tables[i].nobjects; o++)
			rows += p->tables[i].objects[o]->rows;
	}
	return rows;
}

void
plan_retry(Plan *p, const char *schema, const char *table, const char *hash)
{
	PlanTable *t = NULL;

	for (int i = 0; !t && i < p->ntables; i++)
	{
		if (strcmp(p->tables[i].schema, schema) == 0 &&
			strcmp(p->tables[i].table, table) == 0)
			t = &p->tables[i];
	}
	if (!t)
	{
		p->tables =
			xrealloc(p->tables, ((size_t) p->ntables + 1) * sizeof(*p->tables));
		t = &p->tables[p->ntables++];
		*t = (PlanTable){ .schema = xstrdup(schema), .table = xstrdup(table) };
	}
	t->retry = true;
	if (!t->hash && hash)
		t->hash = xstrdup(hash);
}

bool
plan_is_blocked(const Plan *p)
{
	bool any = false;

	for (int i = 0; !any && i < p->ntables; i++)
		any = p->tables[i].blocked;
	return any;
}

void
plan_table_done(PlanTable *t)
{
	free(t->schema);
	free(t->table);
	free(t->events);
	free(t->objects);
	free(t->load);
	free(t->waiting_load);
	free(t->hash);
	schema_free(t->now);
	view_done(&t->view);
	free(t->target_schema);
	free(t->target_table);
	free(t->said_schema);
	free(t->said_table);
	free(t->grants_from);
}
