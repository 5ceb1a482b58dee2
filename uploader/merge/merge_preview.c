/*-------------------------------------------------------------------------
 * merge_preview.c
 *	  A merge that changes nothing: what the next one would do.
 *
 * Layer: merge.
 *-------------------------------------------------------------------------
 */
#include "merge/merge_preview.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define NOTE_MAX 512

static bool
begins(const char *sql, const char *word)
{
	return strncmp(sql, word, strlen(word)) == 0;
}

void
preview_ddl(MergePreview *p, const char *sql)
{
	for (int i = 0; i < p->nddl; i++)
	{
		if (strcmp(p->ddl[i], sql) == 0)
			return; /* a merge would find it done by the second time */
	}
	p->ddl = xrealloc(p->ddl, ((size_t) p->nddl + 1) * sizeof(*p->ddl));
	p->ddl[p->nddl++] = xstrdup(sql);
}

bool
preview_skips(MergePreview *p, const char *sql)
{
	static const char *const writes[] = { "INSERT ", "UPDATE ",  "DELETE ",
										  "COPY ",   "ANALYZE ", "DROP ",
										  "CREATE ", "ALTER ",   "COMMIT" };
	bool skips = false;

	for (size_t i = 0; !skips && i < sizeof(writes) / sizeof(writes[0]); i++)
		skips = begins(sql, writes[i]);
	if (begins(sql, "ALTER ") ||
		(begins(sql, "CREATE ") && !begins(sql, "CREATE TEMP ")))
		preview_ddl(p, sql);
	return skips;
}

void
preview_note(MergePreview *p, const char *schema, const char *table,
			 const char *fmt, ...)
{
	char text[NOTE_MAX];
	va_list ap;

	va_start(ap, fmt);
	(void) vsnprintf(text, sizeof(text), fmt, ap); /* a cut is fine */
	va_end(ap);
	p->notes = xrealloc(p->notes, ((size_t) p->nnotes + 1) * sizeof(*p->notes));
	p->notes[p->nnotes++] =
		(MergeNote){ xstrdup(schema), xstrdup(table), xstrdup(text) };
}

void
preview_plan(MergePreview *p, const Plan *plan)
{
	p->from_lsn = plan->start.lsn;
	p->more = plan->more;
	for (int i = 0; i < plan->ntables; i++)
	{
		const PlanTable *t = &plan->tables[i];

		for (int k = 0; k < t->nobjects; k++)
		{
			p->objects++;
			p->rows += t->objects[k]->rows;
			p->bytes += t->objects[k]->bytes;
		}
		if (t->waiting)
			preview_note(p, t->schema, t->table, "waits for its load");
	}
}

void
merge_preview_done(MergePreview *p)
{
	for (int i = 0; i < p->nddl; i++)
		free(p->ddl[i]);
	free(p->ddl);
	for (int i = 0; i < p->nnotes; i++)
	{
		free(p->notes[i].schema);
		free(p->notes[i].table);
		free(p->notes[i].text);
	}
	free(p->notes);
	*p = (MergePreview){ 0 };
}
