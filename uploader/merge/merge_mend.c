/*-------------------------------------------------------------------------
 * merge_mend.c
 *	  What to do about a statement that changed fewer rows than it was sent:
 *	  a new row is there already, a row to change is not, a guard or a trigger
 *	  kept it, or a column takes no value.
 *
 * Layer: merge.
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "merge/merge_apply.h"
#include "merge/merge_equal.h"
#include "merge/merge_step.h"

#define FLIPS_MAX 2

static const char missing[] = "columns that did not change are not known, and "
							  "the row is not at the target";
static const char kept_by_trigger[] =
	"a trigger or rule of the target left the row out";
static const char kept_as_one_of_many[] =
	"several rows of the target have its key, or a trigger or rule left it out";
static const char other_row[] =
	"the target has its key in a row with another primary key; the identity of "
	"a partition must tell apart the rows of all partitions";
static const char kept_by_key[] =
	"a foreign key's action at the target would change rows that no change "
	"names, or rows refer to it";

bool
mend_look_up(Exact *x, Step **list, int n, bool *present, Err *err)
{
	const Stage *stage = x->tables[list[0]->table].m.stage;
	PGresult *res;
	Buf sql;
	bool ok;

	buf_init(&sql, SQL_MAX);
	buf_printf(&sql, "SELECT f.rn FROM %s f WHERE f.rn = ANY ('{", stage->name);
	for (int i = 0; i < n; i++)
		buf_printf(&sql, "%s%lld", i ? "," : "", (long long) step_row(list[i]));
	buf_printf(&sql, "}') AND EXISTS (SELECT FROM %s t WHERE ",
			   stage->target->name);
	equal_add_same(stage, &sql, "f", "t");
	buf_str(&sql, " OFFSET 0)");
	ok = sql_query(x->cx, "look for rows", buf_cstr(&sql), &res, err);
	buf_done(&sql);
	if (!ok)
		return false;
	for (int i = 0; i < n; i++)
	{
		present[i] = false;
		for (int k = 0; !present[i] && k < PQntuples(res); k++)
			present[i] =
				strtoll(PQgetvalue(res, k, 0), NULL, 10) == step_row(list[i]);
	}
	PQclear(res);
	return true;
}

static bool
has_fixed(const ExactTable *t)
{
	for (int i = 0; !t->by_default && i < t->m.stage->target->ncols; i++)
	{
		if (t->m.stage->target->cols[i].identity_always)
			return true;
	}
	return false;
}

static bool
alter_identity(Exact *x, const ExactTable *t, const char *how, Err *err)
{
	const Target *target = t->m.stage->target;
	bool ok = true;
	Buf sql;

	buf_init(&sql, SQL_MAX);
	for (int i = 0; ok && i < target->ncols; i++)
	{
		if (!target->cols[i].identity_always)
			continue;
		buf_reset(&sql);
		buf_printf(&sql, "ALTER TABLE %s ALTER COLUMN ", target->name);
		pg_add_ident(&sql, target->cols[i].name);
		buf_printf(&sql, " SET GENERATED %s", how);
		ok = sql_run(x->cx, "alter an identity column", buf_cstr(&sql), NULL,
					 err);
	}
	buf_done(&sql);
	return ok;
}

/* Makes identity columns take values; *done false where it may not. */
static bool
free_identity(Exact *x, int table, bool *done, Err *err)
{
	ExactTable *t = &x->tables[table];
	Err refused;

	*done = false;
	if (!sql_savepoint(x->cx, "cdc_s3_identity", err))
		return false;
	if (!alter_identity(x, t, "BY DEFAULT", &refused))
	{
		if (strcmp(x->cx->state, "42501") != 0 &&
			strcmp(x->cx->state, "55006") != 0)
		{
			*err = refused;
			return false;
		}
		return sql_rollback_to(x->cx, "cdc_s3_identity", err);
	}
	*done = t->by_default = true;
	return sql_release(x->cx, "cdc_s3_identity", err) &&
		   shape_forget(x, table, err);
}

bool
mend_identity_back(Exact *x, Err *err)
{
	for (int i = 0; i < x->ntables; i++)
	{
		ExactTable *t = &x->tables[i];

		if (t->by_default && !alter_identity(x, t, "ALWAYS", err))
			return false;
		t->by_default = false;
	}
	return true;
}

/* A row that is there and did not take its change. */
static bool
mend_present(Exact *x, Step *s, bool *again, Err *err)
{
	ExactTable *t = &x->tables[s->table];

	if (s->kind != STEP_DELETE && has_fixed(t))
	{
		if (!free_identity(x, s->table, again, err))
			return false;
		if (!*again)
			return perform_reject(x, s, "428C9",
								  "the target always generates a column, and "
								  "belongs to another role",
								  err);
		return true;
	}
	if (t->referenced)
	{
		perform_hold(x, s, "23503", kept_by_key);
		return true;
	}
	return perform_reject(x, s, "",
						  t->m.stage->target->unique ? kept_by_trigger
													 : kept_as_one_of_many,
						  err);
}

/* One step whose row is there, or is not; alone: it is its statement's only. */
static bool
mend_keyed(Exact *x, Step *s, bool present, bool alone, bool *again, Err *err)
{
	bool may_flip = s->flips < FLIPS_MAX;

	switch (s->kind)
	{
		case STEP_INSERT:
			if (present && may_flip)
				break;
			return !alone || perform_reject(x, s, "", kept_by_trigger, err);
		case STEP_UPDATE:
		case STEP_MOVE:
			if (present)
				return !alone || mend_present(x, s, again, err);
			if (s->cascaded && s->kind == STEP_UPDATE && may_flip)
				break;
			if (s->unk || !may_flip)
				return perform_reject(x, s, "", missing, err);
			break;
		default: /* STEP_DELETE */
			if (present)
				return !alone || mend_present(x, s, again, err);
			s->state = STEP_DONE;
			return true;
	}
	if (s->kind == STEP_MOVE)
		fate_set(&x->unmoved, s->table, s->rn, FATE_CASCADED, 0);
	s->flips++;
	*again = true;
	if (s->kind == STEP_UPDATE && s->cascaded)
		s->kind = STEP_MOVE;
	else
		s->kind = s->kind == STEP_INSERT ? STEP_UPDATE : STEP_INSERT;
	return true;
}

/* The new row of a bag's update is there: an action of the target made it. */
static bool
is_done(Exact *x, const Step *s, bool *done, Err *err)
{
	const Stage *stage = x->tables[s->table].m.stage;
	PGresult *res;
	Buf sql;
	bool ok;

	buf_init(&sql, SQL_MAX);
	buf_printf(&sql, "SELECT FROM %s t, %s f WHERE f.rn = %lld AND ROW(",
			   stage->target->name, stage->name, (long long) s->rn);
	apply_add_columns(stage, &sql, "f");
	buf_str(&sql, ")::text COLLATE \"C\" = ROW(");
	for (int i = 0; i < stage->target->ncols; i++)
	{
		buf_str(&sql, i ? ", t." : "t.");
		pg_add_ident(&sql, stage->target->cols[i].name);
	}
	buf_str(&sql, ")::text COLLATE \"C\" LIMIT 1");
	ok = sql_query(x->cx, "look for a row", buf_cstr(&sql), &res, err);
	buf_done(&sql);
	if (!ok)
		return false;
	*done = PQntuples(res) > 0;
	PQclear(res);
	return true;
}

static bool
mend_bag(Exact *x, Step *s, Err *err)
{
	bool done = false;

	if (s->kind == STEP_BAG_INSERT)
		return perform_reject(x, s, "", kept_by_trigger, err);
	if (s->cascaded && !is_done(x, s, &done, err))
		return false;
	if (done)
	{
		s->state = STEP_DONE;
		x->tables[s->table].m.out->updated++;
		return true;
	}
	return perform_reject(x, s, "",
						  s->kind == STEP_BAG_DELETE
							  ? "the row to delete is not at the target"
							  : "the row to change is not at the target",
						  err);
}

/* New rows whose key is that of another row. */
static bool
hold_others(Exact *x, Step **list, int n, Err *err)
{
	int64_t rns[BATCH_MAX];
	bool other[BATCH_MAX];

	for (int i = 0; i < n; i++)
		rns[i] = list[i]->rn;
	if (!equal_other(x->tables[list[0]->table].m.stage, rns, n, other, err))
		return false;
	for (int i = 0; i < n; i++)
	{
		if (other[i])
			perform_hold(x, list[i], "23505", other_row);
	}
	return true;
}

bool
mend(Exact *x, Step **list, int n, bool *again, Err *err)
{
	bool present[BATCH_MAX];
	StepKind kind = list[0]->kind;

	*again = false;
	if (kind == STEP_BAG_INSERT || kind == STEP_BAG_DELETE ||
		kind == STEP_BAG_UPDATE)
		return n > 1 || mend_bag(x, list[0], err);
	if (!mend_look_up(x, list, n, present, err) ||
		(kind == STEP_INSERT && !hold_others(x, list, n, err)))
		return false;
	for (int i = 0; i < n; i++)
	{
		if (list[i]->state == STEP_PENDING &&
			!mend_keyed(x, list[i], present[i], n == 1, again, err))
			return false;
	}
	return true;
}
