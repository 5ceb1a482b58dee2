/*-------------------------------------------------------------------------
 * merge_choose.c
 *	  Whether a table may be staged in a hurry.
 *
 * Layer: merge.
 *-------------------------------------------------------------------------
 */
#include "merge/merge_choose.h"

#include <string.h>

/* Is it in a foreign key; are there rows, if that is asked? */
static bool
look_at_table(Stage *s, bool ask, bool *joined, bool *rows, Err *err)
{
	const char *name = s->target->name;
	Buf sql;
	PGresult *res;
	bool ok;

	buf_init(&sql, SQL_MAX);
	buf_str(&sql,
			"SELECT EXISTS (SELECT FROM pg_constraint c"
			" WHERE c.contype = 'f' AND $1::regclass IN (c.conrelid,"
			" c.confrelid)), EXISTS (SELECT FROM pg_partition_tree("
			"$1::regclass) p JOIN pg_constraint c ON c.contype = 'f'"
			" AND p.relid IN (c.conrelid, c.confrelid)), EXISTS (SELECT FROM ");
	buf_printf(&sql, "%s WHERE %s)", name, ask ? "true" : "false");
	ok = sql_params(s->cx, "look at a table", buf_cstr(&sql), 1, &name, &res,
					err);
	buf_done(&sql);
	if (!ok)
		return false;
	*joined =
		PQgetvalue(res, 0, 0)[0] == 't' || PQgetvalue(res, 0, 1)[0] == 't';
	*rows = PQgetvalue(res, 0, 2)[0] == 't';
	PQclear(res);
	return true;
}

/*
 * Types of which one value has one text, as we write it: keys of other bytes
 * are other keys.
 */
static bool
one_text(const TargetColumn *c, uint32_t oid)
{
	static const struct
	{
		uint32_t oid;
		const char *type;
	} types[] = { { 20, "bigint" }, { 21, "smallint" }, { 23, "integer" },
				  { 26, "oid" },    { 2950, "uuid" },   { 1082, "date" } };

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
	{
		if (types[i].oid == oid)
			return strcmp(c->type, types[i].type) == 0;
	}
	/* deterministic, both of them */
	return oid == 25 && strcmp(c->type, "text") == 0 &&
		   (strcmp(c->collation, "pg_catalog.\"default\"") == 0 ||
			strcmp(c->collation, "pg_catalog.\"C\"") == 0);
}

static bool
keys_have_one_text(const Stage *s)
{
	for (int i = 0; i < s->target->ncols; i++)
	{
		for (int k = 0; s->target->cols[i].key && k < s->nversions; k++)
		{
			const StageVersion *v = &s->versions[k];

			if (v->columns[i] < 0 ||
				!one_text(&s->target->cols[i],
						  v->schema->cols[v->columns[i]].base_oid))
				return false;
		}
	}
	return s->target->has_key;
}

/* Keys that are one at the target and two at the source are looked at one by
 * one, in SQL (merge_equal.h). */
static bool
is_coarse(const Target *t)
{
	for (int i = 0; i < t->ncols; i++)
	{
		if (t->cols[i].form.type)
			return true;
	}
	return t->weak;
}

bool
choose_hurry(Stage *s, const FactTable *facts, bool several, Err *err)
{
	const Target *t = s->target;
	bool load = s->table->replace && s->empty_base && !facts->deferrable &&
				(t->arbiter || !t->has_key);
	bool joined = false;
	bool rows = false;

	/* earlier changes of a key have to be there for lines of it */
	if (s->cx->opt->preview || several || t->ncols == 0 || is_coarse(t) ||
		s->old_lines > 0)
		return true;
	s->keep_all = facts->watched || strcmp(s->cx->opt->way, "exact") == 0;
	if (!s->keep_all && (!s->cx->replica || load) &&
		!look_at_table(s, load, &joined, &rows, err))
		return false;
	s->keep_all = s->keep_all || (joined && !s->cx->replica);
	s->in_hurry = true;
	s->one_text = keys_have_one_text(s);
	s->direct = load && !rows && !s->keep_all;
	return true;
}
