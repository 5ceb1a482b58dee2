/*-------------------------------------------------------------------------
 * cmd_merge_plan.c
 *	  cdc-s3 merge --plan: what the next merge would do, table by table.
 *
 * Exit code 0 where it would go on to the end; else the code and the words
 * that the merge itself would end with.
 * Layer: cmd.
 *-------------------------------------------------------------------------
 */
#include <stdio.h>

#include "cmd/cmd_merge.h"

static void
print_count(int64_t n, const char *one, const char *many, const char **comma)
{
	if (n == 0)
		return;
	printf("%s%lld %s", *comma, (long long) n, n == 1 ? one : many);
	*comma = ", ";
}

static void
print_table(const MergeTable *t)
{
	const char *comma = "";

	if (!t->way)
		return; /* it is among the notes */
	cmd_merge_print_table(t->schema, t->table);
	printf(": ");
	print_count(t->ops.loads, "loaded row", "loaded rows", &comma);
	print_count(t->ops.inserts, "insert", "inserts", &comma);
	print_count(t->ops.updates, "update", "updates", &comma);
	print_count(t->ops.deletes, "delete", "deletes", &comma);
	print_count(t->ops.truncates, "truncate", "truncates", &comma);
	print_count(t->ops.others, "change without rows", "changes without rows",
				&comma);
	print_count(t->rejected, "rejected row", "rejected rows", &comma);
	printf("%s%s%s, %s way (", comma[0] ? "" : "no changes",
		   t->replaced ? ", replaces the table's rows" : "",
		   t->created ? ", creates the table" : "", t->way);
	cmd_merge_print_name(t->why ? t->why : "");
	printf(")\n");
}

static void
print_notes(const MergePreview *p)
{
	for (int i = 0; i < p->nnotes; i++)
	{
		const MergeNote *n = &p->notes[i];

		cmd_merge_print_table(n->schema, n->table);
		printf(": ");
		cmd_merge_print_name(n->text);
		printf("\n");
	}
	if (p->nddl > 0)
		printf("statements before that:\n");
	for (int i = 0; i < p->nddl; i++)
	{
		printf("  ");
		cmd_merge_print_name(p->ddl[i]);
		printf("\n");
	}
}

static void
print_plan(const MergePreview *p, const MergeResult *r)
{
	const char *none = "";

	if (r->entries == 0)
	{
		printf("there is nothing to merge\n");
		return;
	}
	printf("the next merge takes ");
	print_count(r->entries, "entry", "entries", &none);
	printf(" (%lld to %lld) with %lld rows in %lld objects (%lld bytes), from "
		   "LSN " LSN_FMT " to " LSN_FMT "\n",
		   (long long) r->from_entry, (long long) r->to_entry,
		   (long long) p->rows, (long long) p->objects, (long long) p->bytes,
		   LSN_ARGS(p->from_lsn), LSN_ARGS(r->lsn));
	for (int i = 0; i < r->ntables; i++)
		print_table(&r->tables[i]);
	print_notes(p);
	if (p->more)
		printf("that is the first of several transactions\n");
}

bool
cmd_merge_plan(MergeOptions *o, Store *store, Err *err)
{
	MergePreview p = { 0 };
	MergeResult r;
	bool ok;

	o->preview = &p;
	ok = merge_run(store, o, &r, err);
	o->preview = NULL;
	if (ok)
	{
		if (p.running)
			printf("a merge is running: when it is done there is less to do\n");
		print_plan(&p, &r);
		cmd_merge_print_resync(&r, true);
		if (r.rejected > 0)
			printf("rejected rows that are outstanding: %lld\n",
				   (long long) r.rejected);
		printf("nothing was changed\n");
		merge_result_done(&r);
	}
	merge_preview_done(&p);
	return ok;
}
