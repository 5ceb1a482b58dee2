/*-------------------------------------------------------------------------
 * merge_read.c
 *	  Staged changes as steps, in the order of the source.
 *
 * A cursor over all staging tables of the group, sorted by the target: so
 * memory is one piece, however many tables there are.  Of each change it
 * tells the one before it of the same key, by the target's own equality, and by
 * the source's where that is finer (merge_equal.h).
 * Truncates of partitions lie in the stages and are put between.
 * Layer: merge.
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "merge/merge_equal.h"
#include "merge/merge_step.h"

#define FETCH "FETCH 5000 FROM cdc_s3_steps"

enum
{
	COL_TABLE,
	COL_LSN,
	COL_SEQ,
	COL_SUB,
	COL_RN,
	COL_OP,
	COL_UNK,
	COL_PREV,
	COL_PREV_LSN,
	COL_PREV_SEQ
};

static void
add_stage(const Stage *s, int number, Buf *sql)
{
	buf_printf(sql,
			   "SELECT %d AS tab, lsn - '0/0'::pg_lsn AS l, seq, sub, rn, op,"
			   " unk::text AS unk, ",
			   number);
	if (s->target->has_key)
		buf_str(sql, "lag(rn) OVER w AS prev,"
					 " lag(lsn) OVER w - '0/0'::pg_lsn AS prev_l,"
					 " lag(seq) OVER w AS prev_seq");
	else
		buf_str(sql, "NULL::int8, NULL::numeric, NULL::int8");
	buf_printf(sql, " FROM %s", s->name);
	stage_add_condition(s, sql);
	if (!s->target->has_key)
		return;
	buf_str(sql, " WINDOW w AS (PARTITION BY ");
	stage_add_key(s, sql, "");
	equal_add_forms(s->target, sql);
	buf_str(sql, " ORDER BY lsn, seq, sub)");
}

bool
read_open(Exact *x, Err *err)
{
	Buf sql;
	bool ok;

	buf_init(&sql, SQL_MAX);
	buf_str(&sql, "DECLARE cdc_s3_steps NO SCROLL CURSOR FOR ");
	for (int i = 0; i < x->ntables; i++)
	{
		buf_str(&sql, i ? " UNION ALL (" : "(");
		add_stage(x->tables[i].m.stage, i, &sql);
		buf_byte(&sql, ')');
	}
	buf_str(&sql, " ORDER BY 2, 3, 1, 4");
	x->read = (ExactRead){ 0 };
	ok = sql.overflow
			 ? err_set(err, ERR_LIMIT, 0, "the group has too many tables")
			 : sql_run(x->cx, "order the changes", buf_cstr(&sql), NULL, err);
	buf_done(&sql);
	return ok;
}

bool
read_close(Exact *x, Err *err)
{
	PQclear(x->read.res);
	x->read.res = NULL;
	return sql_run(x->cx, "order the changes", "CLOSE cdc_s3_steps", NULL, err);
}

/* Makes sure that a row is at hand, or that the end is known. */
static bool
have_row(Exact *x, Err *err)
{
	ExactRead *r = &x->read;

	if (r->end || (r->res && r->at < PQntuples(r->res)))
		return true;
	PQclear(r->res);
	r->res = NULL;
	r->at = 0;
	if (!sql_query(x->cx, "read the changes", FETCH, &r->res, err))
		return false;
	r->end = PQntuples(r->res) == 0;
	return true;
}

static const char *
field(const ExactRead *r, int column)
{
	return PQgetvalue(r->res, r->at, column);
}

static int64_t
number(const ExactRead *r, int column)
{
	return strtoll(field(r, column), NULL, 10);
}

static RecordPos
position(const ExactRead *r)
{
	return (RecordPos){ strtoull(field(r, COL_LSN), NULL, 10),
						number(r, COL_SEQ) };
}

/* The number of a set of unknown columns, 0 for none. */
static int
unknown_number(ExactTable *t, const ExactRead *r)
{
	const char *text = field(r, COL_UNK);

	if (PQgetisnull(r->res, r->at, COL_UNK))
		return 0;
	for (int i = 0; i < t->nunknown; i++)
	{
		if (strcmp(t->unknown[i], text) == 0)
			return i + 1;
	}
	t->unknown =
		xrealloc(t->unknown, ((size_t) t->nunknown + 1) * sizeof(char *));
	t->unknown[t->nunknown++] = xstrdup(text);
	return t->nunknown;
}

static void
take_prev(Step *s, const ExactRead *r, int which)
{
	RecordPos pos;

	if (PQgetisnull(r->res, r->at, COL_PREV))
		return;
	s->prev[which] = number(r, COL_PREV);
	pos = (RecordPos){ strtoull(field(r, COL_PREV_LSN), NULL, 10),
					   number(r, COL_PREV_SEQ) };
	if (record_pos_after(pos, s->prev_pos))
		s->prev_pos = pos;
}

static StepKind
kind_of(char op, bool has_key)
{
	switch (op)
	{
		case 'i':
		case 'r':
			return has_key ? STEP_INSERT : STEP_BAG_INSERT;
		case 'd':
			return has_key ? STEP_DELETE : STEP_BAG_DELETE;
		case 'x':
		case 'y':
		case 'w':
			return STEP_MARK;
		default:
			return STEP_UPDATE;
	}
}

/*
 * Takes the row at hand.  An old row ('m'; 'd' of a bag) and the new one
 * behind it make one step.
 */
static bool
take_step(Exact *x, Step *s, Err *err)
{
	ExactRead *r = &x->read;
	char op = field(r, COL_OP)[0];
	ExactTable *t;
	const Fate *f;

	memset(s, 0, sizeof(*s));
	s->table = (int) number(r, COL_TABLE);
	t = &x->tables[s->table];
	s->pos = position(r);
	s->rn = number(r, COL_RN);
	s->kind = kind_of(op, t->m.stage->target->has_key);
	s->unk = unknown_number(t, r);
	take_prev(s, r, 0);
	r->at++;
	if (op != 'm' && op != 'y' && s->kind != STEP_BAG_DELETE)
		return true;
	if (!have_row(x, err))
		return false;
	if (r->end || number(r, COL_TABLE) != s->table ||
		number(r, COL_RN) != s->rn + 1 || record_pos_after(position(r), s->pos))
		return op != 'm' || err_set(err, ERR_INTERNAL, 0,
									"a staged change of a key has no new row");
	s->kind = op == 'm' ? STEP_MOVE : op == 'y' ? STEP_MARK : STEP_BAG_UPDATE;
	s->old = s->rn;
	s->rn = number(r, COL_RN);
	s->unk = unknown_number(t, r);
	take_prev(s, r, 1);
	r->at++;
	f = fate_get(&x->fates, s->table, s->old);
	s->cascaded = f && f->kind == FATE_CASCADED;
	s->by_action = s->cascaded && f->from != 0;
	if (s->by_action)
		fate_unpack(f->from, &s->parent, &s->parent_rn);
	if (s->cascaded && s->kind == STEP_MOVE)
		s->kind = STEP_UPDATE; /* at the new key, where it is there */
	return true;
}

/* A truncate of partitions that lies before pos, if any is left. */
static bool
take_cut(Exact *x, bool any, RecordPos pos, Step *s)
{
	for (int i = 0; i < x->ntables; i++)
	{
		ExactTable *t = &x->tables[i];
		const Stage *st = t->m.stage;

		if (t->next_cut == st->ncuts ||
			(any && record_pos_after(st->cuts[t->next_cut].pos, pos)))
			continue;
		*s = (Step){ .table = i,
					 .kind = STEP_CUT,
					 .pos = st->cuts[t->next_cut].pos,
					 .rn = t->next_cut };
		t->next_cut++;
		return true;
	}
	return false;
}

bool
read_piece(Exact *x, Step *steps, int max, int *n, bool *complete, Err *err)
{
	ExactRead *r = &x->read;

	*n = 0;
	*complete = true;
	while (*n < max)
	{
		if (!have_row(x, err))
			return false;
		if (r->end)
		{
			*n += take_cut(x, false, (RecordPos){ 0, 0 }, &steps[*n]);
			return true;
		}
		if (*n > max / 2 && position(r).lsn != steps[*n - 1].pos.lsn)
			return true;
		if (take_cut(x, true, position(r), &steps[*n]))
			(*n)++;
		else if (take_step(x, &steps[*n], err))
			(*n)++;
		else
			return false;
	}
	if (!have_row(x, err))
		return false;
	*complete = r->end || position(r).lsn != steps[*n - 1].pos.lsn;
	return true;
}
