/*-------------------------------------------------------------------------
 * merge_late.c
 *	  Changes of rows that change all the time: those which the next one
 *	  writes over are never read to their end.
 *
 * In a hurry, and while most changes write over others (window_is_hot), a
 * change that tells its whole row goes to the window (merge_window.h) as its
 * line, with its key; only if it leaves is the line read and made a row.
 *
 * Invariants:
 *	(1) What is taken so is no fence: as far as its line shows, it tells all
 *		columns and does not move.
 *	(2) A line that turns out otherwise when it leaves is an objection
 *		(merge_hurry.h): the table is staged with care, which says what is
 *		wrong with it.
 *	(3) Numbers of staged rows, and counts, are as if the row had been made at
 *		once.
 *
 * Layer: merge.
 *-------------------------------------------------------------------------
 */
#include "merge/merge_hurry.h"
#include "merge/merge_stage.h"
#include "merge/merge_value.h"

void
late_map(const Target *t, StageVersion *v)
{
	int front = 0;

	v->front = 0;
	for (int i = 0; i < t->ncols; i++)
	{
		if (v->columns[i] < 0 && (t->cols[i].key || !v->missing[i]))
			return;
		if (t->cols[i].key && v->columns[i] >= front)
			front = v->columns[i] + 1;
	}
	v->front = front;
}

/* The key as merge_piece.c makes it, to the piece's lines. */
static bool
add_key(Stage *s, const StageVersion *v, const Record *r)
{
	StagePiece *p = s->piece;
	Err ignored; /* as for any value that is wrong: not so, then */

	piece_empty(&p->lines);
	for (int i = 0; i < s->target->ncols; i++)
	{
		int at = v->columns[i];

		if (!s->target->cols[i].key)
			continue;
		if (r->row[at].value.kind == JSON_NULL ||
			!value_add_copy(&p->lines, &v->schema->cols[at], &r->row[at].value,
							false, &p->scratch, &ignored))
			return false;
		buf_byte(&p->lines, '\t');
	}
	return !p->lines.overflow;
}

bool
late_take(Stage *s, const StageVersion *v, Slice line, bool *taken, Err *err)
{
	StagePiece *p = s->piece;
	const Record *r = &p->record;
	WindowLine late = { line, v, s->next_rn + 1 };

	*taken = false;
	if (!s->target->has_key || v->front == 0 || !hurry_is_hot(s->hurry) ||
		!record_peek(&p->record, v->schema, v->front, line) ||
		!add_key(s, v, r))
		return true;
	*taken = true;
	if (!stage_counts(s, r))
		return true;
	s->records++;
	stage_count_op(&s->ops, r->op);
	if (!hurry_note(s->hurry, r->pos, false, err))
		return false;
	s->late++;
	s->next_rn++;
	s->rows++;
	s->updates += r->op == 'u';
	return hurry_stage_line(s->hurry, &late, buf_slice(&p->lines), err);
}

bool
late_make(void *arg, const WindowLine *late, Slice *out, Err *err)
{
	Stage *s = arg;
	StagePiece *p = s->piece;
	const StageVersion *v = late->of;
	int64_t next_rn = s->next_rn;
	int64_t rows = s->rows;
	int64_t updates = s->updates;
	int64_t others = s->partial + s->moves + s->deletes;
	bool ok;

	piece_empty(&p->rows);
	piece_empty(&p->lines);
	s->next_rn = late->number - 1;
	ok = record_parse(&p->record, v->schema, late->line, err) &&
		 piece_add_rows(s, v, &p->record, err);
	if ((!ok && err->kind == ERR_DATA) ||
		(ok && s->partial + s->moves + s->deletes != others)) /* (2) */
		ok = hurry_object(s->hurry, err);
	s->next_rn = next_rn; /* (3) */
	s->rows = rows;
	s->updates = updates;
	*out = buf_slice(&p->rows);
	return ok;
}
