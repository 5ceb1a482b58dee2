/*-------------------------------------------------------------------------
 * merge_release.c
 *	  Deletes that wait for the end of their transaction, and whose row stands
 *	  in another one's way before.
 *
 * A row that others may refer to is deleted last.  Where another row takes its
 * key, and those that refer to that one are to follow it, they would find the
 * old row there: then neither can go.  So what can be deleted by then is.
 * Layer: merge.
 *-------------------------------------------------------------------------
 */
#include <assert.h>
#include <string.h>

#include "merge/merge_step.h"

#define RELEASE_MAX 16 /* tries of many in a source transaction */
#define DELETES_MAX 100

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

bool
release_may(const Exact *x, int64_t place)
{
	const Step *h = &x->held[place];

	assert(place < x->nheld);
	return !x->settling && h->kind == STEP_DELETE && h->state != STEP_DONE &&
		   is_free(x, h);
}

static void
set_fates(Exact *x, const Step *s, FateKind kind, int64_t place)
{
	fate_set(&x->fates, s->table, s->rn, kind, place);
	if (s->old)
		fate_set(&x->fates, s->table, s->old, kind, place);
}

bool
release_delete(Exact *x, int64_t place, bool *passed, Err *err)
{
	Step copy = x->held[place];
	Step *list[] = { &copy };
	bool ok;

	*passed = false;
	if (!sql_savepoint(x->cx, "cdc_s3_release", err))
		return false;
	copy.state = STEP_PENDING;
	set_fates(x, &copy, FATE_NONE, 0);
	x->settling = true;
	ok = perform_all(x, list, 1, passed, err);
	x->settling = false;
	if (!ok)
		return false;
	if (!*passed)
	{
		set_fates(x, &copy, FATE_WAITS, place);
		return sql_rollback_to(x->cx, "cdc_s3_release", err);
	}
	x->held[place].state = STEP_DONE;
	x->tables[copy.table].m.out->deleted += !copy.absent;
	return sql_release(x->cx, "cdc_s3_release", err);
}

bool
release_deletes(Exact *x, int table, bool *any, Err *err)
{
	int tried = 0;

	*any = false;
	if (x->settling || x->nheld == 0 || x->releases >= RELEASE_MAX)
		return true;
	x->releases++;
	for (int i = 0; i < x->nheld && tried < DELETES_MAX; i++)
	{
		bool passed;

		if (x->held[i].table != table || !release_may(x, i))
			continue;
		tried++;
		if (!release_delete(x, i, &passed, err))
			return false;
		*any = *any || passed;
	}
	return true;
}
