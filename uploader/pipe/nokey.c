/*-------------------------------------------------------------------------
 * nokey.c
 *	  Changes that do not say which row they change.
 *
 * Layer: pipe.
 *-------------------------------------------------------------------------
 */
#include "pipe/nokey.h"

#include <string.h>

#include "base/log.h"

/* Has the session said so of an earlier version of this table? */
static bool
was_told(const Pipe *p, const Table *t)
{
	for (int i = 0; i < PIPE_BUCKETS; i++)
	{
		for (const Table *o = p->tables[i]; o; o = o->next)
		{
			if (o->no_key > 0 && strcmp(o->name, t->name) == 0 &&
				strcmp(o->schema, t->schema) == 0)
				return true;
		}
	}
	return false;
}

void
nokey_count(Pipe *p, Table *t)
{
	if (t->no_key == 0 && !was_told(p, t))
		log_warn("updates and deletes of a table do not say which row they "
				 "change",
				 "schema", t->schema, "table", t->name, "hint",
				 "a merge cannot apply them: give the table a primary key, or "
				 "ALTER TABLE ... REPLICA IDENTITY FULL or USING INDEX",
				 NULL);
	t->no_key++;
}

void
nokey_tell(const Pipe *p)
{
	for (int i = 0; i < PIPE_BUCKETS; i++)
	{
		for (const Table *t = p->tables[i]; t; t = t->next)
		{
			if (t->no_key > 0)
				log_info("changes of this session that do not say which row",
						 "schema", t->schema, "table", t->name, "changes",
						 log_int(t->no_key), NULL);
		}
	}
}
