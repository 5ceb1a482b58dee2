/*-------------------------------------------------------------------------
 * merge_piece.c
 *	  Records as rows of a staging table, and the COPYs that bring them there.
 *
 * A piece is what one COPY takes.  One that is refused is sent again in parts,
 * until the record is alone that the target does not take: that one is
 * rejected, and its key marked.
 *
 * Layer: merge.
 *-------------------------------------------------------------------------
 */
#include "merge/merge_stage.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "codec/pgfmt.h"
#include "merge/merge_reject.h"
#include "merge/merge_value.h"

#define PIECE_BYTES (4 * 1024 * 1024)
#define PIECE_RECORDS 50000
#define PIECE_MAX_BYTES (3 * LINE_MAX_BYTES)
#define STEP_MIN 64
#define KEEP_MAX_BYTES ((size_t) 64 * 1024 * 1024)

/* Which row of a record a staging row is made of. */
typedef struct RowSource
{
	char op;
	int sub;
	bool key_only;
	const RecordField *first;  /* a column's value is looked for here */
	const RecordField *second; /* then here; may be NULL */
} RowSource;

StagePiece *
piece_new(const char *table)
{
	StagePiece *p = xcalloc(1, sizeof(*p));

	buf_init(&p->rows, PIECE_MAX_BYTES);
	buf_init(&p->lines, PIECE_MAX_BYTES);
	buf_init(&p->scratch, PIECE_MAX_BYTES);
	buf_init(&p->copy_sql, SQL_MAX);
	buf_printf(&p->copy_sql, "COPY %s FROM STDIN", table);
	p->items = xcalloc(PIECE_RECORDS + 1, sizeof(*p->items));
	record_init(&p->record);
	return p;
}

void
piece_free(StagePiece *p)
{
	buf_done(&p->rows);
	buf_done(&p->lines);
	buf_done(&p->scratch);
	buf_done(&p->copy_sql);
	free(p->items);
	record_done(&p->record);
	free(p);
}

/* The field of a column, looked for where the source says. */
static const RecordField *
find_field(const RowSource *src, int column)
{
	const RecordField *f = &src->first[column];

	if (f->state == FIELD_VALUE || f->state == FIELD_NULL_JSON || !src->second)
		return f;
	if (src->second[column].state == FIELD_VALUE ||
		src->second[column].state == FIELD_NULL_JSON)
		return &src->second[column];
	return f;
}

static bool
is_known(const RowSource *src, const StageVersion *v, int i)
{
	const RecordField *f;

	if (v->columns[i] < 0) /* the table had no such column then */
		return v->missing[i] || src->op == 'i' || src->op == 'r' ||
			   src->op == 'd';
	f = find_field(src, v->columns[i]);
	return f->state == FIELD_VALUE || f->state == FIELD_NULL_JSON;
}

/* unk: "{3,5}", or \N where all is known; a key column must be known. */
static bool
add_unknown(Stage *s, const RowSource *src, const StageVersion *v, Err *err)
{
	Buf *rows = &s->piece->rows;
	bool any = false;

	for (int i = 0; i < s->target->ncols; i++)
	{
		if (is_known(src, v, i) || (src->key_only && !s->target->cols[i].key))
			continue;
		if (s->target->cols[i].key)
			return err_set(err, ERR_DATA, 0,
						   "the record lacks key column "
						   "\"%s\"",
						   s->target->cols[i].name);
		buf_printf(rows, "%s%d", any ? "," : "{", i + 1);
		s->unknown[i] = true;
		any = true;
	}
	buf_str(rows, any ? "}" : "\\N");
	s->partial += any;
	return true;
}

/* The separator and the value of the target's column i. */
static bool
add_field(Stage *s, const StageVersion *v, const RowSource *src, int i,
		  const char *before, Err *err)
{
	Buf *rows = &s->piece->rows;
	const RecordField *f;

	buf_str(rows, before);
	if (v->missing[i] && (!src->key_only || s->target->cols[i].key))
	{
		buf_str(rows, v->missing[i]);
		return true;
	}
	if (v->columns[i] < 0 || !is_known(src, v, i) ||
		(src->key_only && !s->target->cols[i].key))
	{
		buf_add(rows, "\\N", 2);
		return true;
	}
	f = find_field(src, v->columns[i]);
	return value_add_copy(rows, &v->schema->cols[v->columns[i]], &f->value,
						  f->state == FIELD_NULL_JSON, &s->piece->scratch, err);
}

/*
 * Columns, each after the separator, and forms of the key behind them; in a
 * hurry, where there are no forms, the key's too, to lines.
 */
static bool
add_columns(Stage *s, const StageVersion *v, const RowSource *src,
			const char *before, Err *err)
{
	StagePiece *p = s->piece;
	Buf *rows = &p->rows;

	for (int i = 0; i < s->target->ncols; i++)
	{
		size_t from = rows->n + strlen(before);

		if (!add_field(s, v, src, i, before, err))
			return false;
		before = "\t";
		if (!s->hurry || !s->target->cols[i].key || rows->overflow)
			continue;
		buf_add(&p->lines, rows->p + from, rows->n - from);
		buf_byte(&p->lines, '\t');
	}
	for (int i = 0; i < s->target->ncols; i++)
	{
		if (!s->target->cols[i].form.type)
			continue;
		assert(!s->hurry);
		if (!add_field(s, v, src, i, "\t", err))
			return false;
	}
	buf_byte(rows, '\n');
	if (rows->overflow)
		return err_set(err, ERR_LIMIT, 0, "the record is too long");
	return true;
}

static void
add_number(Buf *out, int64_t v)
{
	char text[PGFMT_MAX];

	buf_add(out, text, fmt_i64(text, v));
}

static bool
add_row(Stage *s, const StageVersion *v, const Record *r, RowSource src,
		Err *err)
{
	StagePiece *p = s->piece;
	char end[] = { '\t', (char) ('0' + src.sub), '\t', src.op, '\t' };

	if (p->lsn != r->pos.lsn || !p->lsn_text[0])
	{
		(void) snprintf(p->lsn_text, sizeof(p->lsn_text), "\t" LSN_FMT "\t",
						LSN_ARGS(r->pos.lsn)); /* fits */
		p->lsn = r->pos.lsn;
	}
	add_number(&p->rows, ++s->next_rn);
	buf_str(&p->rows, p->lsn_text);
	add_number(&p->rows, r->pos.seq);
	buf_add(&p->rows, end, sizeof(end));
	s->rows++;
	return add_unknown(s, &src, v, err) && add_columns(s, v, &src, "\t", err);
}

/* Rows of a record of a table with a key. */
static bool
add_keyed(Stage *s, const StageVersion *v, const Record *r, Err *err)
{
	RowSource src = { r->op, 0, false, r->row,
					  r->has_before ? r->before : NULL };

	if (r->op == 'd')
	{
		src.key_only = true;
		s->deletes++;
		return add_row(s, v, r, src, err);
	}
	if (r->op == 'u' && r->has_key)
	{
		RowSource old = { 'm', 0, true, r->key, r->row };

		/* an old key that is no change holds a value too long for its place */
		if (!src.second)
			src.second = r->key;
		src.op = 'n';
		src.sub = 1;
		s->moves++;
		return add_row(s, v, r, old, err) && add_row(s, v, r, src, err);
	}
	s->updates += r->op == 'u';
	return add_row(s, v, r, src, err);
}

/* Rows of a record of a table without a key: old rows out, new rows in. */
static bool
add_bag(Stage *s, const StageVersion *v, const Record *r, Err *err)
{
	RowSource in = { 'i', 1, false, r->row, r->has_before ? r->before : NULL };
	RowSource out = { 'd', 0, false, r->row, NULL };
	int64_t partial = s->partial;

	if (r->op == 'u')
	{
		out.first = r->before;
		if (!r->has_before)
			return err_set(err, ERR_DATA, 0, "the record lacks the old row");
	}
	if (r->op == 'u' || r->op == 'd')
	{
		s->deletes++;
		if (!add_row(s, v, r, out, err))
			return false;
	}
	if (r->op != 'd' && !add_row(s, v, r, in, err))
		return false;
	return s->partial == partial ||
		   err_set(err, ERR_DATA, 0,
				   "the record lacks columns of a row that "
				   "has no key");
}

bool
piece_add_rows(Stage *s, const StageVersion *v, const Record *r, Err *err)
{
	if (r->nwithheld > 0)
		return err_set(err, ERR_DATA, 0,
					   "the source could not send a value "
					   "of this row");
	if (r->no_key && (r->op == 'u' || r->op == 'd'))
	{
		err_set(err, ERR_DATA, 0,
				"the table has no key at the source, so the "
				"row is not known");
		return err_hint(err, "give the table a primary key or REPLICA IDENTITY "
							 "FULL at the source");
	}
	return s->target->has_key ? add_keyed(s, v, r, err) : add_bag(s, v, r, err);
}

bool
piece_add_values(Stage *s, const StageVersion *v, const Record *r, bool *whole,
				 Err *err)
{
	RowSource src = { 'r', 0, false, r->row, r->has_before ? r->before : NULL };

	*whole = r->nwithheld == 0;
	for (int i = 0; *whole && i < s->target->ncols; i++)
		*whole = is_known(&src, v, i);
	return !*whole || add_columns(s, v, &src, "", err);
}

/*
 * Rows that mark the keys of a refused record, so that later changes which do
 * not tell the whole row are not applied to an older one, and the row that a
 * change of the key left behind is found.  None where a key cannot be staged.
 */
static void
add_marks(Stage *s, const PieceItem *item, Slice line)
{
	StagePiece *p = s->piece;
	size_t from = p->rows.n;
	Record *r = &p->record;
	RowSource src = { 'x', 0, true, NULL, NULL };
	Err ignored;
	bool ok = s->target->has_key && item->op != 'd' &&
			  record_parse(r, item->version->schema, line, &ignored);

	if (ok && r->op == 'u' && r->has_key)
	{
		RowSource old = { 'y', 0, true, r->key, r->row };

		src.sub = 1;
		ok = add_row(s, item->version, r, old, &ignored);
	}
	src.first = r->row;
	src.second = r->has_key ? r->key : NULL;
	if (!ok || !add_row(s, item->version, r, src, &ignored))
		p->rows.n = from;
}

static bool
stage_marks(Stage *s, Slice marks, Err *err)
{
	Err ignored;

	if (marks.n == 0)
		return true;
	if (!sql_savepoint(s->cx, "cdc_s3_mark", err))
		return false;
	if (!sql_copy(s->cx, "mark a rejected row", buf_cstr(&s->piece->copy_sql),
				  marks, &ignored))
		return sql_rollback_to(s->cx, "cdc_s3_mark", err);
	s->poisoned++;
	return sql_release(s->cx, "cdc_s3_mark", err);
}

/*
 * A table that is to be loaded anew may lack rows, or have others: what is
 * refused there is kept, and ends with the load.
 */
static RejectTo
reject_to(const Stage *s)
{
	bool unsure = s->resync_set ||
				  (!s->barrier_set && (s->table->unsure || s->table->strange));

	return (RejectTo){ .cx = s->cx,
					   .table = s->table,
					   .target = s->target,
					   .stage = s->name,
					   .hash = s->hash,
					   .goes_on = s->cx->keep_going || unsure };
}

bool
stage_reject(Stage *s, int64_t rn, const char *state, const char *reason,
			 Err *err)
{
	RejectTo to = reject_to(s);
	bool again = s->retried && rn > s->lines_rn;

	s->rejected++;
	s->again += again;
	return reject_staged(&to, rn, again, state, reason, err);
}

/* A record that does not reach the staging table; rows is what it made. */
bool
piece_refuse(Stage *s, const PieceItem *item, Slice line, size_t rows,
			 size_t nrows, const char *state, const char *reason, Err *err)
{
	Buf *b = &s->piece->rows;
	size_t from = b->n;
	RejectTo to = reject_to(s);
	Refused r = { .pos = item->pos,
				  .op = item->op,
				  .line = line,
				  .hash = item->version->schema->hash,
				  .state = state,
				  .reason = reason };
	bool ok;

	if (to.goes_on)
		add_marks(s, item, line);
	if (nrows > 0)
		r.rows = (Slice){ b->p + rows, nrows };
	if (b->n > from)
		r.keys = (Slice){ b->p + from, b->n - from };
	s->rejected++;
	ok = reject_record(&to, &r, err) && stage_marks(s, r.keys, err);
	b->n = from;
	return ok;
}

/* Sends items lo … hi-1; halves them where the target refuses. */
static bool
send_items(Stage *s, int lo, int hi, Err *err)
{
	StagePiece *p = s->piece;
	const PieceItem *from = &p->items[lo];
	const PieceItem *to = &p->items[hi];
	Slice rows = { p->rows.p + from->row, to->row - from->row };
	Slice line = { p->lines.p + from->line, from[1].line - from->line };
	char reason[sizeof(err->msg)];
	char state[sizeof(s->cx->state)];
	int mid = lo + (hi - lo) / 2;

	if (!sql_savepoint(s->cx, "cdc_s3_piece", err))
		return false;
	if (sql_copy(s->cx, "stage rows", buf_cstr(&p->copy_sql), rows, err))
		return sql_release(s->cx, "cdc_s3_piece", err);
	if (!sql_state_is_data(s->cx))
		return false;
	memcpy(reason, err->msg, sizeof(reason));
	memcpy(state, s->cx->state, sizeof(state));
	if (!sql_rollback_to(s->cx, "cdc_s3_piece", err))
		return false;
	if (hi - lo > 1)
		return send_items(s, lo, mid, err) && send_items(s, mid, hi, err);
	return piece_refuse(s, from, line, from->row, rows.n, state, reason, err);
}

/* The item of a line of a COPY of items from "at" on; hi: none. */
static int
item_at_line(const StagePiece *p, int at, int hi, int64_t line)
{
	size_t end = p->items[at].row;

	for (int64_t k = 0; k < line && end < p->items[hi].row; k++)
	{
		const uint8_t *nl =
			memchr(p->rows.p + end, '\n', p->items[hi].row - end);

		end = nl ? (size_t) (nl - p->rows.p) + 1 : p->items[hi].row;
	}
	while (at < hi && p->items[at + 1].row < end)
		at++;
	return line > 0 ? at : hi;
}

/* *failed: the item that was refused first; hi where that is not told. */
static bool
try_items(Stage *s, int lo, int hi, int *failed, char *reason, char *state,
		  Err *err)
{
	StagePiece *p = s->piece;
	Slice rows = { p->rows.p + p->items[lo].row,
				   p->items[hi].row - p->items[lo].row };

	*failed = -1;
	if (!sql_savepoint(s->cx, "cdc_s3_piece", err))
		return false;
	if (sql_copy(s->cx, "stage rows", buf_cstr(&p->copy_sql), rows, err))
		return sql_release(s->cx, "cdc_s3_piece", err);
	if (!sql_state_is_data(s->cx))
		return false;
	*failed = item_at_line(p, lo, hi, s->cx->copy_line);
	memcpy(reason, err->msg, sizeof(err->msg));
	memcpy(state, s->cx->state, sizeof(s->cx->state));
	return sql_rollback_to(s->cx, "cdc_s3_piece", err);
}

/*
 * Sends items lo … hi - 1.  A COPY that fails names its line: those before it
 * are sent, it is refused, and what follows goes in COPYs as long as the way
 * to it was, which grow again.
 */
static bool
send_piece(Stage *s, int lo, int hi, Err *err)
{
	StagePiece *p = s->piece;
	int step = hi - lo;

	while (lo < hi)
	{
		int to = hi - lo < step ? hi : lo + step;
		char reason[sizeof(err->msg)];
		char state[sizeof(s->cx->state)];
		int bad;
		Slice line;

		if (!try_items(s, lo, to, &bad, reason, state, err))
			return false;
		if (bad < 0 || bad >= to)
		{
			if (bad >= to && !send_items(s, lo, to, err))
				return false;
			lo = to;
			step = step < hi ? 2 * step : step;
			continue;
		}
		if (bad > lo && !send_items(s, lo, bad, err))
			return false;
		line = (Slice){ p->lines.p + p->items[bad].line,
						p->items[bad + 1].line - p->items[bad].line };
		if (!piece_refuse(s, &p->items[bad], line, p->items[bad].row,
						  p->items[bad + 1].row - p->items[bad].row, state,
						  reason, err))
			return false;
		step = 2 * (bad - lo) > STEP_MIN ? 2 * (bad - lo) : STEP_MIN;
		lo = bad + 1;
	}
	return true;
}

void
piece_empty(Buf *b)
{
	if (b->cap > KEEP_MAX_BYTES)
		buf_done(b);
	else
		buf_reset(b);
}

bool
piece_flush(Stage *s, Err *err)
{
	StagePiece *p = s->piece;

	if (p->n == 0)
		return true;
	p->items[p->n] = (PieceItem){ .row = p->rows.n, .line = p->lines.n };
	if (!send_piece(s, 0, p->n, err))
		return false;
	p->n = 0;
	piece_empty(&p->rows);
	piece_empty(&p->lines);
	piece_empty(&p->scratch);
	return true;
}

bool
piece_keep(Stage *s, const PieceItem *item, Slice line, Err *err)
{
	StagePiece *p = s->piece;

	buf_add(&p->lines, line.p, line.n);
	p->items[p->n++] = *item;
	if (p->n == PIECE_RECORDS || p->rows.n + p->lines.n > PIECE_BYTES)
		return piece_flush(s, err);
	return true;
}
