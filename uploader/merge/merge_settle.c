/*-------------------------------------------------------------------------
 * merge_settle.c
 *	  Steps that wait for the end of their source transaction.
 *
 * At the source the transaction passed as a whole, so what one change of it
 * lacked another one may have brought.  They are performed again, deletes
 * first and the last of them first (the source's cascades tell parents
 * before children), as long as some pass.  What is left then stands in a
 * circle, or cannot be:
 *
 *	  circle	 rows to delete refer to each other: they go along
 *	  at once	 changes of keys of one table, in one statement: a row that
 *				 others refer to leaves its key to another one
 *	  together	 all of them while constraints wait
 *	  parked	 rows of the circle first give up their unique values for
 *				 ones that nobody has (NULL where they may)
 *	  less one	 all but one, which is rejected
 *	  rejected	 the first of them; then again
 *
 * Layer: merge.
 *-------------------------------------------------------------------------
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "merge/merge_equal.h"
#include "merge/merge_step.h"

#include "base/mem.h"

#define LESS_ONE_MAX 16
#define AT_ONCE_MAX 10000

/* What waits, taken out of the Exact; in the order in which it is tried. */
typedef struct Waiting
{
	int n;
	Step *steps;
	Step **list;
} Waiting;

static bool
is_delete(const Step *s)
{
	return s->kind == STEP_DELETE || s->kind == STEP_BAG_DELETE;
}

/* Nobody before it waits. */
static bool
is_free(const Exact *x, const Step *s)
{
	for (int i = 0; i < 2; i++)
	{
		const Fate *f = fate_get(&x->fates, s->table, s->prev[i]);

		if (f && f->kind == FATE_WAITS)
			return false;
	}
	return true;
}

static int
compare_steps(const void *a, const void *b)
{
	const Step *x = *(Step *const *) a;
	const Step *y = *(Step *const *) b;

	return record_pos_after(x->pos, y->pos)   ? 1
		   : record_pos_after(y->pos, x->pos) ? -1
											  : 0;
}

static Waiting
take_waiting(Exact *x)
{
	Waiting w = { .steps = x->held };
	int deletes = 0;

	w.list = xmalloc(((size_t) x->nheld + 1) * sizeof(*w.list));
	for (int i = x->nheld - 1; i >= 0; i--)
	{
		Step *s = &x->held[i];

		s->state = s->state == STEP_DONE ? STEP_DONE : STEP_PENDING;
		if (s->state == STEP_PENDING && is_delete(s) && is_free(x, s))
			w.list[deletes++] = s;
	}
	w.n = deletes;
	for (int i = 0; i < x->nheld; i++)
	{
		Step *s = &x->held[i];

		if (s->state == STEP_PENDING && (!is_delete(s) || !is_free(x, s)))
			w.list[w.n++] = s;
	}
	qsort(w.list + deletes, (size_t) (w.n - deletes), sizeof(*w.list),
		  compare_steps);
	for (int i = 0; i < w.n; i++)
	{
		fate_set(&x->fates, w.list[i]->table, w.list[i]->rn, FATE_NONE, 0);
		if (w.list[i]->old)
			fate_set(&x->fates, w.list[i]->table, w.list[i]->old, FATE_NONE, 0);
	}
	x->held = NULL;
	x->nheld = x->cap_held = 0;
	return w;
}

static void
waiting_done(Waiting *w, int nsteps)
{
	for (int i = 0; i < nsteps; i++)
		free(w->steps[i].reason);
	free(w->steps);
	free(w->list);
}

static bool
is_number(const char *type)
{
	return strcmp(type, "integer") == 0 || strcmp(type, "bigint") == 0 ||
		   strcmp(type, "smallint") == 0 || strncmp(type, "numeric", 7) == 0;
}

/* A value that no row has in the column; false where we know of none. */
static bool
add_unused(const char *table, const char *column, const char *type, Buf *sql)
{
	if (is_number(type))
	{
		buf_str(sql, "(SELECT least(min(m.");
		pg_add_ident(sql, column);
		buf_printf(sql, "), 0) - 1 FROM %s m)", table);
	}
	else if (strcmp(type, "uuid") == 0)
		buf_str(sql, "gen_random_uuid()");
	else if (strcmp(type, "text") == 0 ||
			 strncmp(type, "character varying", 17) == 0)
		buf_str(sql, "gen_random_uuid()::text");
	else
		return false;
	return true;
}

/* Is it written by the changes?  What only the target has stays. */
static bool
is_written(const Stage *s, const char *column)
{
	for (int i = 0; i < s->target->ncols; i++)
	{
		if (strcmp(s->target->cols[i].name, column) == 0)
			return !s->target->cols[i].identity_always;
	}
	return false;
}

/* '"a" = NULL, "b" = …'; false where a column has no value to be parked on. */
static bool
add_parked(const ExactTable *t, Buf *sql)
{
	const Stage *s = t->m.stage;
	bool any = false;

	for (int i = 0; i < t->m.facts->nunique; i++)
	{
		const FactColumn *c = &t->m.facts->unique[i];

		if (!is_written(s, c->name))
			continue;
		buf_str(sql, any ? ", " : "");
		pg_add_ident(sql, c->name);
		buf_str(sql, " = ");
		if (c->nullable)
			buf_str(sql, "NULL");
		else if (!add_unused(s->target->name, c->name, c->type, sql))
			return false;
		any = true;
	}
	return any;
}

/* False with *parked false: the target does not let the row be parked. */
static bool
run_parking(Exact *x, Buf *sql, bool *parked, Err *err)
{
	bool ok = sql_run(x->cx, "park a row", buf_cstr(sql), NULL, err);

	if (ok || !sql_state_is_data(x->cx))
		return ok;
	*parked = false;
	return true;
}

/* The row gives up its unique values. */
static bool
park_values(Exact *x, const Step *s, bool *parked, Err *err)
{
	const ExactTable *t = &x->tables[s->table];
	const Stage *stage = t->m.stage;
	Buf sql;
	bool ok = true;

	buf_init(&sql, SQL_MAX);
	buf_printf(&sql, "UPDATE %s t SET ", stage->target->name);
	if (add_parked(t, &sql))
	{
		buf_printf(&sql, " FROM %s f WHERE f.rn = %lld AND ", stage->name,
				   (long long) (s->old ? s->old : s->rn));
		equal_add_same(stage, &sql, "f", "t");
		ok = run_parking(x, &sql, parked, err);
	}
	buf_done(&sql);
	return ok;
}

/* An action of the target would follow the values that are parked. */
static bool
may_park(const Exact *x, const Step *s)
{
	const FactTable *f = x->tables[s->table].m.facts;

	/* what a change does not tell it could not give back */
	if (s->unk || (s->kind != STEP_UPDATE && s->kind != STEP_MOVE))
		return false;
	for (int i = 0; i < x->facts->nkeys; i++)
	{
		const FactKey *k = &x->facts->keys[i];

		if (k->parent != f->oid || !facts_acts(k->on_update))
			continue;
		for (int p = 0; p < k->npairs; p++)
		{
			for (int u = 0; u < f->nunique; u++)
			{
				if (strcmp(f->unique[u].name, k->pairs[p].parent) == 0)
					return false;
			}
		}
	}
	return true;
}

/* *parked false: the target let one of them not be parked. */
static bool
park_rows(Exact *x, Waiting *w, bool *parked, Err *err)
{
	for (int i = 0; *parked && i < w->n; i++)
	{
		const Step *s = w->list[i];

		if (s->state == STEP_PENDING && may_park(x, s) &&
			!park_values(x, s, parked, err))
			return false;
	}
	return true;
}

/*
 * All pending ones in the order of the source, their rows parked before;
 * *passed false: nothing of it was done.
 */
static bool
try_together(Exact *x, Waiting *w, bool park, bool *passed, Err *err)
{
	Step **list = xmalloc(((size_t) w->n + 1) * sizeof(*list));
	bool ok = sql_savepoint(x->cx, "cdc_s3_together", err);
	bool fine = ok;

	memcpy(list, w->list, (size_t) w->n * sizeof(*list));
	if (!park)
		qsort(list, (size_t) w->n, sizeof(*list), compare_steps);
	if (ok && park)
		ok = park_rows(x, w, &fine, err);
	fine = ok && fine;
	if (fine && x->deferrable)
		ok = fine = sql_run(x->cx, "defer constraints",
							"SET CONSTRAINTS ALL DEFERRED", NULL, err);
	if (fine)
		ok = perform_all(x, list, w->n, &fine, err);
	if (ok && fine && x->immediate)
	{
		fine = sql_run(x->cx, "check constraints",
					   "SET CONSTRAINTS ALL IMMEDIATE", NULL, err);
		ok = fine || sql_state_is_data(x->cx);
	}
	free(list);
	*passed = ok && fine;
	for (int i = 0; !*passed && i < w->n; i++)
	{
		if (w->list[i]->state == STEP_ACTED)
			w->list[i]->state = STEP_PENDING;
	}
	if (!ok)
		return false;
	return fine ? sql_release(x->cx, "cdc_s3_together", err)
				: sql_rollback_to(x->cx, "cdc_s3_together", err);
}

/* perform_all leaves them pending; what passed is counted here. */
static void
count_together(Exact *x, Waiting *w)
{
	for (int i = 0; i < w->n; i++)
	{
		Step *s = w->list[i];
		MergeTable *out = x->tables[s->table].m.out;

		if (s->state != STEP_PENDING && s->state != STEP_ACTED)
			continue;
		s->state = STEP_DONE;
		out->updated += s->kind == STEP_UPDATE || s->kind == STEP_MOVE ||
						s->kind == STEP_BAG_UPDATE;
		out->inserted += s->kind == STEP_INSERT || s->kind == STEP_BAG_INSERT;
		out->deleted += is_delete(s) && !s->absent;
	}
}

static bool
reject_one(Exact *x, Step *s, Err *err)
{
	return perform_reject(x, s, s->sqlstate, s->reason, err);
}

/* Together, or with their rows parked. */
static bool
try_ways(Exact *x, Waiting *w, bool *passed, Err *err)
{
	*passed = false;
	if (x->immediate && !try_together(x, w, false, passed, err))
		return false;
	if (!*passed && !try_together(x, w, true, passed, err))
		return false;
	if (*passed)
		count_together(x, w);
	return true;
}

/* Rows of deletes that are still there? */
static bool
any_left(Exact *x, Step **list, int n, bool *left, Err *err)
{
	*left = false;
	for (int i = 0; !*left && i < n; i++)
	{
		if (!mend_look_up(x, &list[i], 1, left, err))
			return false;
	}
	return true;
}

/* *passed false: nothing of it was done. */
static bool
delete_along(Exact *x, Step **list, int n, bool *passed, Err *err)
{
	bool left = true;
	bool ok = sql_savepoint(x->cx, "cdc_s3_circle", err);

	*passed = false;
	for (int i = 0; i < n; i++)
	{
		list[i]->kind = STEP_DELETE_ALONG;
		list[i]->absent = false;
	}
	ok = ok && perform_all(x, list, n, passed, err);
	if (ok && *passed)
		ok = any_left(x, list, n, &left, err);
	*passed = ok && *passed && !left;
	for (int i = 0; i < n; i++)
	{
		list[i]->kind = STEP_DELETE;
		if (!*passed)
			continue;
		list[i]->state = STEP_DONE;
		x->tables[list[i]->table].m.out->deleted += !list[i]->absent;
	}
	if (!ok)
		return false;
	return *passed ? sql_release(x->cx, "cdc_s3_circle", err)
				   : sql_rollback_to(x->cx, "cdc_s3_circle", err);
}

/*
 * Deletes of rows that refer to each other: each may take the others along,
 * since all are deleted.  Where one key of the circle restricts and another
 * one cascades it matters who is first: then the order of the source passes,
 * where the first one took the others along.  *passed false: nothing of it
 * was done.
 */
static bool
try_circle(Exact *x, Waiting *w, bool *passed, Err *err)
{
	Step **list = xmalloc(((size_t) w->n + 1) * sizeof(*list));
	int n = 0;
	bool ok = true;

	*passed = false;
	for (int i = 0; i < w->n; i++)
	{
		if (w->list[i]->kind == STEP_DELETE && w->list[i]->unk == 0)
			list[n++] = w->list[i];
	}
	if (n > 1)
		ok = delete_along(x, list, n, passed, err);
	if (ok && n > 1 && !*passed)
	{
		qsort(list, (size_t) n, sizeof(*list), compare_steps);
		ok = delete_along(x, list, n, passed, err);
	}
	free(list);
	return ok;
}

/* The pending changes of keys of the table that has the first; all or 0. */
static int
take_moves(const Exact *x, const Waiting *w, Step **out)
{
	int n = 0;

	for (int i = 0; i < w->n; i++)
	{
		Step *s = w->list[i];

		if (s->state != STEP_PENDING || s->kind != STEP_MOVE ||
			(n > 0 && s->table != out[0]->table))
			continue;
		if (s->unk || !s->old || x->tables[s->table].m.stage->target->weak)
			return 0;
		out[n++] = s;
	}
	qsort(out, (size_t) n, sizeof(*out), compare_steps);
	return n <= AT_ONCE_MAX ? n : 0;
}

/* *passed false: nothing of it was done. */
static bool
try_at_once(Exact *x, Waiting *w, bool *passed, Err *err)
{
	Step **list = xmalloc(((size_t) w->n + 1) * sizeof(*list));
	int n = take_moves(x, w, list);
	int64_t rows = 0;
	Buf sql;
	bool ok = n < 2 || sql_savepoint(x->cx, "cdc_s3_at_once", err);

	*passed = false;
	if (!ok || n < 2)
		goto done;
	buf_init(&sql, SQL_MAX);
	shape_add_moves(x, list, n, &sql);
	ok = sql_run(x->cx, "change keys at once", buf_cstr(&sql), &rows, err);
	buf_done(&sql);
	*passed = ok && rows == n;
	if (!ok && !sql_state_is_data(x->cx))
		goto done;
	ok = *passed ? sql_release(x->cx, "cdc_s3_at_once", err)
				 : sql_rollback_to(x->cx, "cdc_s3_at_once", err);
	for (int i = 0; *passed && i < n; i++)
	{
		list[i]->state = STEP_DONE;
		x->tables[list[i]->table].m.out->updated++;
	}

done:
	free(list);
	return ok;
}

/* They wait on, those that are still pending. */
static void
hold_again(Exact *x, Waiting *w)
{
	for (int i = 0; i < w->n; i++)
	{
		Step *s = w->list[i];

		if (s->state != STEP_PENDING)
			continue;
		perform_hold(x, s, s->sqlstate, s->reason);
		s->state = STEP_DONE;
	}
}

/* Nothing of these passed alone. */
static bool
settle_stuck(Exact *x, Waiting *w, Err *err)
{
	bool passed = false;

	if (!try_circle(x, w, &passed, err) ||
		(!passed && !try_at_once(x, w, &passed, err)))
		return false;
	if (passed)
	{
		hold_again(x, w);
		return true;
	}
	if (w->n > 1 && !try_ways(x, w, &passed, err))
		return false;
	if (w->n > 1 && passed)
		return true;
	for (int i = 0; w->n > 2 && w->n <= LESS_ONE_MAX && i < w->n; i++)
	{
		w->list[i]->state = STEP_DONE;
		if (!try_ways(x, w, &passed, err))
			return false;
		if (passed)
			return reject_one(x, w->list[i], err);
		w->list[i]->state = STEP_PENDING;
	}
	if (!reject_one(x, w->list[0], err))
		return false;
	hold_again(x, w);
	return true;
}

static void
add_row_number(Buf *list, int64_t rn)
{
	if (rn)
		buf_printf(list, "%s%lld", list->n > 1 ? "," : "", (long long) rn);
}

/* Is it among the numbers, which are sorted? */
static bool
has_row(const PGresult *res, int64_t rn)
{
	int lo = 0;
	int hi = PQntuples(res);

	while (lo < hi)
	{
		int mid = lo + (hi - lo) / 2;
		int64_t n = strtoll(PQgetvalue(res, mid, 0), NULL, 10);

		if (n == rn)
			return true;
		if (n < rn)
			lo = mid + 1;
		else
			hi = mid;
	}
	return false;
}

/* New rows of a table whose place nobody who waits can make free. */
static bool
reject_taken(Exact *x, Waiting *w, int table, Err *err)
{
	Buf rows;
	Buf all;
	PGresult *res = NULL;
	bool ok;

	buf_init(&rows, SQL_MAX);
	buf_init(&all, SQL_MAX);
	buf_byte(&rows, '{');
	buf_byte(&all, '{');
	for (int i = 0; i < w->n; i++)
	{
		const Step *s = w->list[i];

		if (s->table != table)
			continue;
		add_row_number(&all, s->rn);
		add_row_number(&all, s->old);
		if (s->kind == STEP_INSERT && strcmp(s->sqlstate, "23505") == 0)
			add_row_number(&rows, s->rn);
	}
	buf_byte(&rows, '}');
	buf_byte(&all, '}');
	ok = rows.n == 2 || equal_taken(x->tables[table].m.stage, buf_cstr(&rows),
									buf_cstr(&all), &res, err);
	for (int i = 0; ok && res && i < w->n; i++)
	{
		Step *s = w->list[i];

		if (s->table == table && s->kind == STEP_INSERT && has_row(res, s->rn))
			ok = reject_one(x, s, err);
	}
	PQclear(res);
	buf_done(&rows);
	buf_done(&all);
	return ok;
}

/* The rest tries each again for each that is rejected: these go before. */
static bool
reject_all_taken(Exact *x, Waiting *w, Err *err)
{
	for (int i = 0; w->n > LESS_ONE_MAX && i < x->ntables; i++)
	{
		bool only = true; /* stage of its table: it knows who waits for it */

		for (int k = 0; k < x->ntables; k++)
			only = only && (k == i || x->tables[k].m.facts->oid !=
										  x->tables[i].m.facts->oid);
		if (only && equal_is_coarse(x->tables[i].m.stage->target) &&
			!reject_taken(x, w, i, err))
			return false;
	}
	return true;
}

bool
settle(Exact *x, Err *err)
{
	bool ok = true;

	assert(!x->settling);
	x->settling = true;
	while (ok && x->nheld > 0)
	{
		int nsteps = x->nheld;
		Waiting w = take_waiting(x);
		int before = w.n;
		Waiting stuck;

		ok = reject_all_taken(x, &w, err) && perform(x, w.list, w.n, err);
		if (ok && x->nheld > 0 && x->nheld >= before)
		{
			int nstuck = x->nheld;

			stuck = take_waiting(x);
			ok = settle_stuck(x, &stuck, err);
			waiting_done(&stuck, nstuck);
		}
		waiting_done(&w, nsteps);
	}
	x->settling = false;
	x->releases = 0;
	if (ok)
		fate_forget(&x->fates);
	return ok;
}
