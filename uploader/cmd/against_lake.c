/*-------------------------------------------------------------------------
 * against_lake.c
 *	  Records of a table, those that count, in their order.
 *
 * Which objects are its the plan of a merge says.  Where a load replaces the
 * table its rows come first, and then the changes behind its LSN, wherever
 * their entries lie.
 * Layer: cmd.
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cmd/against.h"
#include "merge/merge_objects.h"

/* The schema of that hash, read once; -1 with err where it cannot be. */
static int
version_of(LakeTable *t, const char *schema, const char *table,
		   const char *hash, Err *err)
{
	Schema *s;

	for (int i = 0; i < t->nversions; i++)
	{
		if (strcmp(t->versions[i].schema->hash, hash) == 0)
			return i;
	}
	if (!commitlog_schema(t->cx->store, schema, table, hash, &s, err))
	{
		if (err->kind == ERR_NOT_FOUND || err->kind == ERR_DATA)
			err->kind = ERR_GAP;
		err_prefix(err, "schema %s of table \"%s.%s\"", hash, schema, table);
		return -1;
	}
	t->versions = xrealloc(t->versions,
						   ((size_t) t->nversions + 1) * sizeof(*t->versions));
	t->versions[t->nversions] = (AgainstVersion){ .schema = s };
	return t->nversions++;
}

/* Versions in the order in which the table had them, the one of now as well. */
static bool
read_schemas(LakeTable *t, Err *err)
{
	const PlanTable *p = t->plan;
	int now = -1;

	for (int i = 0; i < p->nevents; i++)
	{
		const PlanEvent *e = &p->events[i];

		if (e->hash[0] && !e->gone && !e->left &&
			version_of(t, e->schema, e->table, e->hash, err) < 0)
			return false;
	}
	for (int i = 0; i < t->nobjects; i++)
	{
		const EntryObject *o = t->objects[i];

		t->version_of[i] = version_of(t, o->schema, o->table, o->hash, err);
		if (t->version_of[i] < 0)
			return false;
	}
	if (p->hash && (now = version_of(t, p->schema, p->table, p->hash, err)) < 0)
		return false;
	if (now >= 0)
		t->now = t->versions[now].schema;
	for (int i = 0; i < t->nobjects; i++)
		t->schemas[i] = t->versions[t->version_of[i]].schema;
	return true;
}

static void
take_objects(LakeTable *t, bool of_load)
{
	const PlanTable *p = t->plan;

	for (int i = 0; i < p->nobjects; i++)
	{
		const EntryObject *o = p->objects[i];

		if ((o->load[0] != '\0') == of_load &&
			(of_load || o->first_lsn <= t->until))
			t->objects[t->nobjects++] = o;
	}
}

/* By one key from the first record to the last. */
static bool
same_key(const Schema *a, const Schema *b)
{
	for (int i = 0; i < a->ncols; i++)
	{
		const SchemaColumn *c = view_find(b, a->cols[i].attnum);

		if (a->cols[i].key != (c && c->key))
			return false;
	}
	return schema_is_bag(a) == schema_is_bag(b);
}

static void
judge(const LakeTable *t, char *why)
{
	const PlanTable *p = t->plan;
	const char *text = "";

	if (!t->now)
		text = "the log does not tell its columns";
	else if (p->displaced)
		text = "another table took its name";
	else if (p->strange)
		text = "the log has not all of its rows; cdc-s3 snapshot loads them";
	else if (p->waiting)
		text = "it is being loaded; try again when that is over";
	else if (p->replace && p->load_lsn > t->until)
		text = "it was loaded anew meanwhile; try again";
	for (int i = 0; !text[0] && i < t->nobjects; i++)
	{
		const Schema *s = t->schemas[i];

		if (s->relation_id != t->now->relation_id)
			text = "the log tells of two tables by this name";
		else if (!same_key(s, t->now) || !same_key(t->now, s))
			text = "its key was changed; cdc-s3 snapshot begins it anew";
	}
	(void) snprintf(why, AGAINST_WHY_MAX, "%s", text); /* fits */
}

bool
lake_open(MergeCx *cx, const PlanTable *p, Lsn until, LakeTable *t, char *why,
		  Err *err)
{
	size_t room = (size_t) p->nobjects + 1;

	*t = (LakeTable){ .cx = cx, .plan = p, .until = until };
	t->objects = xcalloc(room, sizeof(*t->objects));
	t->schemas = xcalloc(room, sizeof(*t->schemas));
	t->version_of = xcalloc(room, sizeof(*t->version_of));
	take_objects(t, true);
	take_objects(t, false);
	if (!read_schemas(t, err))
		return false;
	judge(t, why);
	return true;
}

void
lake_done(LakeTable *t)
{
	for (int i = 0; i < t->nversions; i++)
	{
		schema_free(t->versions[i].schema);
		free(t->versions[i].columns);
	}
	free(t->versions);
	free(t->objects);
	free(t->schemas);
	free(t->version_of);
	*t = (LakeTable){ 0 };
}

void
lake_shape(LakeTable *t, const AgainstShape *s)
{
	for (int i = 0; i < t->nversions; i++)
	{
		AgainstVersion *v = &t->versions[i];

		v->columns = xcalloc((size_t) s->n + 1, sizeof(int));
		for (int k = 0; k < s->n; k++)
		{
			const SchemaColumn *c = view_find(v->schema, s->cols[k].attnum);

			v->columns[k] = c ? (int) (c - v->schema->cols) : -1;
		}
	}
}

static bool
counts(const LakeTable *t, const Record *r, bool of_load)
{
	if (of_load)
		return true;
	return r->pos.lsn <= t->until && !r->moved &&
		   (!t->plan->replace || r->pos.lsn > t->plan->load_lsn);
}

bool
lake_walk(LakeTable *t, LakeFn fn, void *arg, Err *err)
{
	ObjectsReader *reader =
		objects_new(t->cx, t->objects, t->schemas, t->nobjects);
	Record r;
	bool ok;

	record_init(&r);
	for (;;)
	{
		Slice line;
		int n;

		ok = !sql_stopped(t->cx, err) && objects_next(reader, &line, &n, err);
		if (!ok || n < 0)
			break;
		ok = record_parse(&r, t->schemas[n], line, err) ||
			 objects_wrong_line(reader, err);
		if (ok && counts(t, &r, t->objects[n]->load[0] != '\0'))
			ok = fn(arg, &r, &t->versions[t->version_of[n]], err);
		if (!ok)
			break;
	}
	record_done(&r);
	objects_free(reader);
	return ok;
}
