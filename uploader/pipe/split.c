/*-------------------------------------------------------------------------
 * split.c
 *	  An update that changes the key, as two changes.
 *
 * Layer: pipe.
 *-------------------------------------------------------------------------
 */
#include "pipe/split.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

struct Split
{
	Change head;
	RowView old; /* its columns follow; those that are not the key are absent */
	bool begun;  /* the old row is told again from "next" on */
	int next;
	ColView cols[];
};

bool
split_wants(const Table *t, const Change *change)
{
	return t->split_keys && change->op == 'u' && change->key_changed;
}

Change
split_gone(const Change *change)
{
	Change gone = *change;

	gone.op = 'd';
	gone.moved = gone.no_before = true;
	gone.key_changed = false;
	gone.row = change->old;
	gone.old = NULL;
	return gone;
}

Change
split_come(const Change *change)
{
	Change come = *change;

	come.seq++; /* the wire leaves that free */
	return come;
}

void
split_fill(const Change *change)
{
	if (change->op != 'u' || !change->old || !change->row)
		return;
	for (int i = 0; i < change->row->ncols && i < change->old->ncols; i++)
	{
		ColView *v = &change->row->cols[i];
		const ColView *old = &change->old->cols[i];

		if (v->state == COL_UNCHANGED && old->state != COL_ABSENT)
			*v = *old;
	}
}

/*
 * Rows in parts
 */
Split *
split_new(const Change *head, int ncols)
{
	Split *s = xcalloc(1, sizeof(*s) + (size_t) ncols * sizeof(s->cols[0]));

	s->head = *head;
	s->old = (RowView){ ncols, s->cols };
	for (int i = 0; i < ncols; i++)
		s->cols[i].state = COL_ABSENT;
	return s;
}

void
split_free(Split *s)
{
	if (!s)
		return;
	for (int i = 0; i < s->old.ncols; i++)
		free((void *) s->cols[i].p); /* our copy */
	free(s);
}

static void
take_states(Split *s, const Table *t, const RowView *row)
{
	for (int i = 0; i < row->ncols && i < s->old.ncols; i++)
	{
		uint8_t state = row->cols[i].state;

		if (t->shape->cols[i].key && state != COL_VALUE &&
			state != COL_WITHHELD)
			s->cols[i].state = state;
	}
}

static void
take_value(Split *s, int col, const ColView *v)
{
	uint8_t *copy = xmalloc((size_t) v->n + 1);

	if (v->n > 0)
		memcpy(copy, v->p, v->n);
	free((void *) s->cols[col].p);
	s->cols[col] = *v;
	s->cols[col].p = copy;
}

bool
split_take(Split *s, const Table *t, const PartItem *item, bool *out_end,
		   Err *err)
{
	*out_end = item->type == PART_ROW_END;
	if (item->type == PART_ROW_OLD)
		take_states(s, t, &item->row);
	else if (item->type == PART_VALUE && t->shape->cols[item->col].key)
		take_value(s, item->col, item->view);
	else if (item->type == PART_BEGIN && t->shape->cols[item->col].key)
		return err_set(err, ERR_LIMIT, 0,
					   "the key of a row of table \"%s.%s\" is longer than "
					   "any index holds",
					   t->schema, t->name);
	else if (item->type == PART_ROW_NEW || item->type == PART_DONE)
		return err_set(err, ERR_DATA, 0,
					   "a changed key of table \"%s.%s\" came without the old "
					   "one",
					   t->schema, t->name);
	return true;
}

Change
split_part_gone(const Split *s)
{
	Change gone = split_gone(&s->head);

	gone.row = &s->old;
	return gone;
}

Change
split_part_come(const Split *s)
{
	Change come = split_come(&s->head);

	come.no_before = true;
	return come;
}

bool
split_next(Split *s, PartItem *out)
{
	*out = (PartItem){ .type = PART_ROW_OLD, .row = s->old };
	if (!s->begun)
	{
		s->begun = true;
		return true;
	}
	for (; s->next < s->old.ncols; s->next++)
	{
		ColView *v = &s->cols[s->next];

		if (v->state != COL_VALUE && v->state != COL_WITHHELD)
			continue;
		*out = (PartItem){ .type = PART_VALUE, .col = s->next++, .view = v };
		return true;
	}
	out->type = PART_ROW_END;
	return s->next++ == s->old.ncols;
}
