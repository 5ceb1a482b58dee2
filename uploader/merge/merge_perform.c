/*-------------------------------------------------------------------------
 * merge_perform.c
 *	  Steps as statements, taken apart where one is refused.
 *
 *	  perform: span of many statements under one savepoint (run_span)
 *		passed > count
 *		statement k was refused > undo, perform those before it, and
 *			several steps > halves
 *			one step > hold it, or reject it
 *		the source transaction ends and steps wait > settle
 *
 * Layer: merge.
 *-------------------------------------------------------------------------
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "merge/merge_equal.h"
#include "merge/merge_step.h"

#define SPAN_BATCHES 16 /* pipelines under one savepoint */
#define NUMBER_MAX 24

/* One statement: the pending ones of list[from] … list[to - 1]. */
typedef struct Call
{
	int from;
	int to;
	int n;
	size_t values[2]; /* offsets in Batch.params */
} Call;

typedef struct Batch
{
	int n;
	bool apart; /* steps that may be refused go alone … */
	bool begun; /* … and so under no savepoint that has others */
	Call calls[SQL_CALLS_MAX];
	SqlCall sql[SQL_CALLS_MAX];
	Buf params;
} Batch;

/* Why no more was put into a batch. */
typedef enum Stop
{
	STOP_END,
	STOP_FULL,
	STOP_SETTLE,  /* the next step is of another transaction */
	STOP_SPECIAL, /* the next step is no statement */
} Stop;

typedef struct Failure
{
	bool failed;
	bool mismatch; /* no error: too few rows */
	int from;
	int to;
	char state[8];
	char reason[sizeof(((Err *) 0)->msg)];
} Failure;

typedef enum Look
{
	LOOK_RUN,
	LOOK_SKIP,
	LOOK_SPECIAL
} Look;

static const char lost[] = "columns that did not change are not known, and "
						   "the row they belong to is not either";

static const char behind[] = "an earlier change of its key was rejected, and "
							 "the key may be that of another row, too";

void
perform_hold(Exact *x, Step *s, const char *state, const char *reason)
{
	Step *copy;

	assert(x->nheld == 0 || x->held_lsn == s->pos.lsn);
	if (x->nheld == x->cap_held)
	{
		x->cap_held = x->cap_held ? 2 * x->cap_held : 16;
		x->held = xrealloc(x->held, (size_t) x->cap_held * sizeof(*x->held));
	}
	x->held_lsn = s->pos.lsn;
	copy = &x->held[x->nheld++];
	*copy = *s;
	copy->reason = xstrdup(reason);
	(void) snprintf(copy->sqlstate, sizeof(copy->sqlstate), "%s", state);
	s->state = STEP_WAITS;
	fate_set(&x->fates, s->table, s->rn, FATE_WAITS, x->nheld - 1);
	if (s->old)
		fate_set(&x->fates, s->table, s->old, FATE_WAITS, x->nheld - 1);
}

/* At this key a row stands that a rejected change should have taken along. */
static bool
is_left(const Fate *f)
{
	return f && f->kind == FATE_REJECTED && f->from < 0;
}

/*
 * Of a step that is not applied: the staged row under whose key the row still
 * is, 0 where that is the step's own.
 */
static int64_t
left_under(const Exact *x, const Step *s)
{
	const Fate *f = fate_get(&x->fates, s->table, s->prev[0]);

	if (f && f->kind == FATE_REJECTED && f->from > 0)
		return s->flips > 0 && s->kind == STEP_INSERT ? 0 : f->from;
	return s->kind == STEP_MOVE || s->kind == STEP_MARK ? s->old : 0;
}

static void
set_rejected(Exact *x, Step *s)
{
	int64_t from = left_under(x, s);
	const Fate *left = fate_get(&x->fates, s->table, s->prev[s->old ? 1 : 0]);

	s->state = STEP_DONE;
	if (s->kind == STEP_MARK && is_left(left)) /* it is this one's now */
		fate_set(&x->fates, s->table, -left->from, FATE_REJECTED, 0);
	fate_set(&x->fates, s->table, s->rn, FATE_REJECTED, from);
	if (from) /* who takes the old key takes it from the row left behind */
		fate_set(&x->fates, s->table, from, FATE_REJECTED, -s->rn);
}

/* Updates that this one was to write over were not applied either. */
static bool
note_overwritten(Exact *x, const Step *s, Err *err)
{
	const Stage *stage = x->tables[s->table].m.stage;
	bool ok;
	Buf sql;

	if (!s->over)
		return true;
	buf_init(&sql, SQL_MAX);
	buf_printf(&sql, "UPDATE %s d SET op = 'x' FROM %s f WHERE f.rn = %lld",
			   stage->name, stage->name, (long long) s->rn);
	for (int i = 0; i < stage->target->ncols; i++)
	{
		const TargetColumn *c = &stage->target->cols[i];

		if (c->key)
			buf_printf(&sql, " AND d.c%d %s f.c%d", i + 1, c->equal, i + 1);
	}
	buf_printf(&sql,
			   " AND d.op = 'u' AND d.lsn <= f.lsn AND (d.lsn, d.seq) <"
			   " (f.lsn, f.seq) AND d.lsn >= '" LSN_FMT "' AND (d.lsn, d.seq) >"
			   " ('" LSN_FMT "'::pg_lsn, %lld::int8)",
			   LSN_ARGS(s->prev_pos.lsn), LSN_ARGS(s->prev_pos.lsn),
			   (long long) s->prev_pos.seq);
	ok = sql_run(x->cx, "note changes that were left out", buf_cstr(&sql), NULL,
				 err);
	buf_done(&sql);
	return ok;
}

bool
perform_reject(Exact *x, Step *s, const char *state, const char *reason,
			   Err *err)
{
	Stage *stage = x->tables[s->table].m.stage;
	char said[sizeof(err->msg)];

	(void) snprintf(said, sizeof(said), "%s", reason); /* its key is more */
	if ((state[0] == '\0' || sql_state_is_order(state)) &&
		!equal_reason(stage, s->rn, said, sizeof(said), err))
		return false;
	set_rejected(x, s);
	return stage_reject(stage, s->rn, state, said, err) &&
		   note_overwritten(x, s, err);
}

/* A delete waits, and a new row of its key comes: then it is no delete. */
static bool
cancel_delete(Exact *x, int64_t place)
{
	Step *h = &x->held[place];

	assert(place < x->nheld);
	if (h->kind != STEP_DELETE || h->state != STEP_PENDING)
		return false;
	h->state = STEP_DONE;
	fate_set(&x->fates, h->table, h->rn, FATE_NONE, 0);
	return true;
}

/* A step behind a change that was rejected. */
static Look
look_rejected(Exact *x, Step *s, const Fate *f)
{
	int64_t from = f->from;

	/* by a weak key it would find another row */
	if (s->unk || x->tables[s->table].m.stage->target->weak)
		return LOOK_SPECIAL;
	if (from < 0 && s->kind == STEP_INSERT)
		fate_set(&x->fates, s->table, -from, FATE_REJECTED, 0);
	if (from <= 0 || s->flips > 0)
		return LOOK_RUN;
	s->old = from;
	if (s->kind != STEP_DELETE)
		s->kind = STEP_MOVE;
	return LOOK_RUN;
}

/* The step that changed the parent's key did so: then its action ran. */
static bool
action_ran(const Exact *x, const Step *s)
{
	const Fate *f = fate_get(&x->fates, s->parent, s->parent_rn);

	return !(f && (f->kind == FATE_WAITS || f->kind == FATE_REJECTED)) &&
		   !fate_get(&x->unmoved, s->parent, s->parent_rn);
}

/* What is to be done with a step that is pending. */
static Look
look(Exact *x, Step *s)
{
	if (s->by_action && action_ran(x, s))
	{
		s->state = STEP_ACTED;
		return LOOK_SKIP;
	}
	if (s->kind == STEP_MARK || s->kind == STEP_CUT)
		return LOOK_SPECIAL;
	for (int i = 0; i < 2; i++)
	{
		const Fate *f = fate_get(&x->fates, s->table, s->prev[i]);

		if (f && f->kind == FATE_WAITS)
		{
			if (i == 0 && (s->kind == STEP_INSERT || s->renews) &&
				cancel_delete(x, f->from))
			{
				s->renews = true;
				s->kind = STEP_UPDATE;
				continue;
			}
			if (i == 1 && s->kind == STEP_MOVE && !s->asked &&
				release_may(x, f->from))
				return LOOK_SPECIAL;
			perform_hold(x, s, "", "a change of this row before it waits");
			return LOOK_SKIP;
		}
		if (f && f->kind == FATE_REJECTED && i == 0)
			return look_rejected(x, s, f);
		if (is_left(f) && s->kind == STEP_MOVE)
			return LOOK_SPECIAL;
	}
	if (s->kind == STEP_DELETE && !x->settling &&
		x->tables[s->table].referenced)
	{
		perform_hold(x, s, "23503", "rows of another table refer to it");
		return LOOK_SKIP;
	}
	return LOOK_RUN;
}

static bool
another_transaction(const Exact *x, const Step *s)
{
	return !x->settling && x->nheld > 0 && s->pos.lsn > x->held_lsn;
}

/* May s stand in one statement with the steps from first on? */
static bool
joins(const Step *first, const Step *s)
{
	return s->table == first->table && s->kind == first->kind &&
		   s->unk == first->unk && s->kind != STEP_MOVE &&
		   s->kind != STEP_BAG_UPDATE &&
		   record_pos_after(first->pos, s->prev_pos);
}

static void
add_number(Buf *b, int64_t n, bool first)
{
	buf_printf(b, "%s%lld", first ? "" : ",", (long long) n);
}

/* A statement of list[from] and those behind it that join it. */
static bool
form_call(Exact *x, Step **list, int n, int from, Batch *b, Err *err)
{
	Step *first = list[from];
	Call *c = &b->calls[b->n];
	SqlCall *q = &b->sql[b->n];
	bool pair = first->kind == STEP_MOVE || first->kind == STEP_BAG_UPDATE;
	bool alone = pair || (b->apart && suspect_is(x, first));

	*c = (Call){ .from = from, .to = from + 1, .n = 1 };
	*q = (SqlCall){ .nparams = pair ? 2 : 1 };
	if (!shape_name(x, first, &q->name, err))
		return false;
	c->values[0] = b->params.n;
	buf_str(&b->params, pair ? "" : "{");
	add_number(&b->params, step_row(first), true);
	if (pair)
	{
		buf_byte(&b->params, 0);
		c->values[1] = b->params.n;
		add_number(&b->params, first->rn, true);
	}
	for (; c->to < n && c->n < BATCH_MAX && !alone; c->to++)
	{
		Step *s = list[c->to];

		if (s->state != STEP_PENDING)
			continue;
		if (another_transaction(x, s) || !joins(first, s) ||
			(b->apart && suspect_is(x, s)))
			break;
		if (x->fates.n > 0 || s->kind == STEP_DELETE)
		{
			Look l = look(x, s);

			if (l == LOOK_SKIP)
				continue;
			if (l == LOOK_SPECIAL || !joins(first, s))
				break;
		}
		add_number(&b->params, step_row(s), false);
		c->n++;
	}
	buf_str(&b->params, pair ? "" : "}");
	buf_byte(&b->params, 0);
	b->n++;
	return true;
}

/* Fills the batch from *at on. */
static bool
form(Exact *x, Step **list, int n, int *at, Batch *b, Stop *stop, Err *err)
{
	b->n = 0;
	buf_reset(&b->params);
	*stop = STOP_END;
	while (*at < n)
	{
		Step *s = list[*at];
		bool suspect = b->apart && suspect_is(x, s);
		Look l;

		if (s->state != STEP_PENDING)
		{
			(*at)++;
			continue;
		}
		if (suspect && (b->begun || b->n > 0))
			return true;
		*stop = another_transaction(x, s) ? STOP_SETTLE
				: b->n == SQL_CALLS_MAX   ? STOP_FULL
										  : STOP_END;
		if (*stop != STOP_END)
			return true;
		l = look(x, s);
		if (l == LOOK_SPECIAL)
		{
			*stop = STOP_SPECIAL;
			return true;
		}
		if (l == LOOK_SKIP)
			continue;
		if (!form_call(x, list, n, *at, b, err))
			return false;
		*at = b->calls[b->n - 1].to;
		if (suspect)
			return true;
	}
	return true;
}

static int64_t
expected(const Exact *x, Step **list, const Call *c, int64_t rows)
{
	const Step *s = list[c->from];
	const ExactTable *t = &x->tables[s->table];

	if (s->kind == STEP_DELETE_ALONG) /* the caller looks what is left */
		return rows;
	/* nothing but a missing row keeps a plain delete from its row */
	if (s->kind == STEP_DELETE && !t->referenced && !t->m.facts->watched &&
		t->m.stage->target->unique && rows < c->n)
		return rows;
	return c->n;
}

static void
note_absent(Step **list, const Call *c, int64_t rows)
{
	int64_t missing = c->n - rows;

	for (int i = c->from; i < c->to && missing > 0; i++)
	{
		if (list[i]->state != STEP_PENDING)
			continue;
		list[i]->absent = true;
		missing--;
	}
}

/* Executes the batch; what was refused goes to f. */
static bool
execute(Exact *x, Step **list, Batch *b, Failure *f, Err *err)
{
	int done;
	bool ok;

	for (int i = 0; i < b->n; i++)
	{
		for (int v = 0; v < b->sql[i].nparams; v++)
			b->sql[i].values[v] = buf_cstr(&b->params) + b->calls[i].values[v];
	}
	ok = sql_pipeline(x->cx, "apply changes", b->sql, b->n, &done, err);
	for (int i = 0; i < done; i++)
	{
		const Call *c = &b->calls[i];
		int64_t rows = b->sql[i].rows;

		if (rows != expected(x, list, c, rows))
		{
			*f = (Failure){ true, true, c->from, c->to, "", "" };
			return true;
		}
		note_absent(list, c, rows);
	}
	if (ok)
		return true;
	if (!sql_state_is_data(x->cx) || done == b->n)
		return false;
	*f = (Failure){
		true, false, b->calls[done].from, b->calls[done].to, "", ""
	};
	memcpy(f->state, x->cx->state, sizeof(f->state));
	memcpy(f->reason, err->msg, sizeof(f->reason));
	return true;
}

static void
count(Exact *x, Step **list, int from, int to)
{
	for (int i = from; i < to; i++)
	{
		Step *s = list[i];
		MergeTable *out = x->tables[s->table].m.out;

		if (s->state != STEP_PENDING && s->state != STEP_ACTED)
			continue;
		s->state = STEP_DONE;
		out->inserted += s->kind == STEP_INSERT || s->kind == STEP_BAG_INSERT;
		out->updated += s->kind == STEP_UPDATE || s->kind == STEP_MOVE ||
						s->kind == STEP_BAG_UPDATE;
		out->deleted += !s->absent &&
						(s->kind == STEP_DELETE || s->kind == STEP_BAG_DELETE);
	}
}

/* What was looked at behind a step that was refused is looked at again. */
static void
unhold(Exact *x, Step **list, int from, int to, int nheld)
{
	for (int i = from; i < to; i++)
	{
		Step *s = list[i];

		if (s->state == STEP_ACTED)
			s->state = STEP_PENDING;
		if (s->state != STEP_WAITS)
			continue;
		s->state = STEP_PENDING;
		fate_set(&x->fates, s->table, s->rn, FATE_NONE, 0);
		if (s->old)
			fate_set(&x->fates, s->table, s->old, FATE_NONE, 0);
	}
	while (x->nheld > nheld)
		free(x->held[--x->nheld].reason);
}

/* As many statements as one savepoint should hold, from *at on. */
static bool
run_span(Exact *x, Step **list, int n, int *at, Stop *stop, Failure *f,
		 Err *err)
{
	Batch b = { .n = 0, .apart = true };
	int from = *at;
	int nheld = x->nheld;
	bool saved = false;
	bool ok = true;

	f->failed = false;
	buf_init(&b.params, SQL_MAX);
	for (int k = 0; ok && !f->failed && k < SPAN_BATCHES; k++)
	{
		ok = form(x, list, n, at, &b, stop, err);
		if (ok && b.n > 0 && !saved)
			ok = saved = sql_savepoint(x->cx, "cdc_s3_span", err);
		b.begun = saved;
		ok = ok && execute(x, list, &b, f, err);
		if (*stop != STOP_FULL)
			break;
	}
	buf_done(&b.params);
	if (ok && !saved)
		count(x, list, from, *at);
	if (!ok || !saved)
		return ok;
	if (f->failed)
	{
		unhold(x, list, from, *at, nheld);
		return sql_rollback_to(x->cx, "cdc_s3_span", err);
	}
	count(x, list, from, *at);
	return sql_release(x->cx, "cdc_s3_span", err);
}

/*
 * Another row stands in the way: that may change until the end; *again: it has
 * changed.
 */
static bool
refuse(Exact *x, Step *s, const Failure *f, bool *again, Err *err)
{
	if (!sql_state_is_order(f->state))
		return perform_reject(x, s, f->state, f->reason, err);
	if (strcmp(f->state, "23505") == 0 &&
		!release_deletes(x, s->table, again, err))
		return false;
	if (!*again)
		perform_hold(x, s, f->state, f->reason);
	return true;
}

/* The steps of a statement that was refused. */
static bool
take_apart(Exact *x, Step **list, const Failure *f, Err *err)
{
	Step **of = xmalloc((size_t) (f->to - f->from) * sizeof(Step *));
	bool again = false;
	bool ok = true;
	int n = 0;

	for (int i = f->from; i < f->to; i++)
	{
		if (list[i]->state == STEP_PENDING)
			of[n++] = list[i];
	}
	assert(n > 0);
	if (f->mismatch)
		ok = mend(x, of, n, &again, err);
	else if (n == 1)
		ok = refuse(x, of[0], f, &again, err);
	else
		ok = suspect_look(x, of[0]->table, f->state, err);
	for (int i = 0; ok && n > 1 && !again && i < n; i++)
		again = suspect_is(x, of[i]); /* then they fall apart by themselves */
	if (ok && again)
		ok = perform(x, of, n, err);
	else if (ok && n > 1)
		ok = perform(x, of, n / 2, err) &&
			 perform(x, of + n / 2, n - n / 2, err);
	free(of);
	return ok;
}

static bool
perform_cut(Exact *x, Step *s, Err *err)
{
	ExactTable *t = &x->tables[s->table];
	Stage *stage = t->m.stage;
	const StageCut *cut = &stage->cuts[s->rn];
	Buf sql;
	int64_t rows = 0;
	bool ok;

	s->state = STEP_DONE;
	if (!sql_savepoint(x->cx, "cdc_s3_cut", err))
		return false;
	buf_init(&sql, SQL_MAX);
	buf_printf(&sql, "DELETE FROM %s t WHERE (%s)", stage->target->name,
			   cut->condition);
	shape_add_guard(x, s->table, GUARD_STRICT, &sql);
	ok = sql_run(x->cx, "delete the rows of truncated partitions",
				 buf_cstr(&sql), &rows, err);
	buf_done(&sql);
	if (ok)
	{
		t->m.out->deleted += rows;
		return sql_release(x->cx, "cdc_s3_cut", err);
	}
	if (!sql_state_is_data(x->cx))
		return false;
	stage_note_resync(stage, cut->pos, "truncate");
	return sql_rollback_to(x->cx, "cdc_s3_cut", err);
}

/*
 * A change that does not tell its whole row, behind one that was rejected:
 * what the rejected one tells is not at the target, but it is staged.
 */
static bool
complete(Exact *x, Step *s, Err *err)
{
	const Stage *stage = x->tables[s->table].m.stage;
	const Target *t = stage->target;
	int64_t rows = 0;
	Buf sql;
	bool ok;

	buf_init(&sql, SQL_MAX);
	buf_printf(&sql, "UPDATE %s f SET unk = NULL", stage->name);
	for (int i = 0; i < t->ncols; i++)
	{
		if (!t->cols[i].key)
			buf_printf(&sql,
					   ", c%d = CASE WHEN %d = ANY (f.unk) THEN p.c%d"
					   " ELSE f.c%d END",
					   i + 1, i + 1, i + 1, i + 1);
	}
	buf_printf(&sql,
			   " FROM %s p WHERE f.rn = %lld AND p.rn = %lld"
			   " AND p.op IN ('i', 'r', 'u', 'n', 'w')"
			   " AND NOT f.unk && coalesce(p.unk, '{}')",
			   stage->name, (long long) s->rn, (long long) s->prev[0]);
	ok = sql_run(x->cx, "complete a change", buf_cstr(&sql), &rows, err);
	buf_done(&sql);
	if (ok && rows > 0)
		s->unk = 0;
	return ok;
}

/* The row that was left behind under the new key of a step goes. */
static bool
remove_left(Exact *x, const Step *s, int64_t moved, Err *err)
{
	ExactTable *t = &x->tables[s->table];
	const Stage *stage = t->m.stage;
	int64_t rows = 0;
	Buf sql;
	bool ok;

	fate_set(&x->fates, s->table, s->prev[1], FATE_NONE, 0);
	fate_set(&x->fates, s->table, moved, FATE_REJECTED, 0);
	if (!sql_savepoint(x->cx, "cdc_s3_left", err))
		return false;
	buf_init(&sql, SQL_MAX);
	buf_printf(&sql, "DELETE FROM %s t USING %s f WHERE f.rn = %lld AND ",
			   stage->target->name, stage->name, (long long) s->prev[1]);
	stage_add_match(stage, &sql, "f", "t");
	shape_add_guard(x, s->table, GUARD_STRICT, &sql);
	ok = sql_run(x->cx, "delete a row that was left behind", buf_cstr(&sql),
				 &rows, err);
	buf_done(&sql);
	t->m.out->deleted += rows;
	if (ok)
		return sql_release(x->cx, "cdc_s3_left", err);
	/* then the row that comes is refused, by name */
	return sql_state_is_data(x->cx) &&
		   sql_rollback_to(x->cx, "cdc_s3_left", err);
}

/* A step that is no statement of its own. */
static bool
perform_special(Exact *x, Step *s, Err *err)
{
	const Fate *left = fate_get(&x->fates, s->table, s->prev[1]);

	if (s->kind == STEP_CUT)
		return perform_cut(x, s, err);
	if (s->kind == STEP_MOVE && !s->asked && left && left->kind == FATE_WAITS &&
		release_may(x, left->from))
	{
		bool passed;

		s->asked = true;
		return release_delete(x, left->from, &passed, err);
	}
	if (s->kind == STEP_MARK)
	{
		set_rejected(x, s);
		return true;
	}
	/* what was rejected may be another row */
	if (x->tables[s->table].m.stage->target->weak ||
		equal_is_coarse(x->tables[s->table].m.stage->target))
		return perform_reject(x, s, "", s->unk ? lost : behind, err);
	if (s->kind == STEP_MOVE && is_left(left))
		return remove_left(x, s, -left->from, err);
	return complete(x, s, err) &&
		   (s->unk == 0 || perform_reject(x, s, "", lost, err));
}

bool
perform(Exact *x, Step **list, int n, Err *err)
{
	int at = 0;

	while (at < n)
	{
		Failure f;
		Stop stop = STOP_END;
		int from = at;

		if (!run_span(x, list, n, &at, &stop, &f, err))
			return false;
		if (f.failed)
		{
			at = f.to;
			if (!perform(x, list + from, f.from - from, err) ||
				!take_apart(x, list, &f, err))
				return false;
		}
		else if (stop == STOP_SETTLE && !settle(x, err))
			return false;
		else if (stop == STOP_SPECIAL && !perform_special(x, list[at], err))
			return false;
	}
	return true;
}

bool
perform_all(Exact *x, Step **list, int n, bool *passed, Err *err)
{
	Batch b = { .n = 0 };
	Failure f = { .failed = false };
	Stop stop = STOP_FULL;
	int at = 0;
	bool ok = true;

	*passed = true;
	buf_init(&b.params, SQL_MAX);
	while (ok && !f.failed && at < n)
	{
		/* the statements of a few steps: one batch holds them */
		ok = form(x, list, n, &at, &b, &stop, err) &&
			 execute(x, list, &b, &f, err);
		if (ok && !f.failed && stop != STOP_FULL && at < n)
			break;
	}
	buf_done(&b.params);
	*passed = ok && !f.failed && at == n;
	return ok;
}
