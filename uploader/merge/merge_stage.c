/*-------------------------------------------------------------------------
 * merge_stage.c
 *	  Records of one table from the lake to a temporary table of the target.
 *
 * Rows travel in pieces, each a COPY under a savepoint.  When the target
 * refuses a piece it is halved until the bad record stands alone.
 * Layer: merge.
 *-------------------------------------------------------------------------
 */
#include "merge/merge_stage.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "codec/compress.h"
#include "codec/pgfmt.h"
#include "merge/merge_bound.h"
#include "merge/merge_hurry.h"
#include "merge/merge_reject.h"
#include "merge/merge_value.h"

#define PIECE_BYTES (4 * 1024 * 1024)
#define PIECE_RECORDS 50000
#define STEP_MIN 64
#define LINE_MAX_BYTES ((size_t) 1024 * 1024 * 1024)
#define PIECE_MAX_BYTES (3 * LINE_MAX_BYTES)
#define OBJECT_MAX_BYTES (4 * LINE_MAX_BYTES)
#define LSN_TEXT_MAX 24
#define KEEP_MAX_BYTES ((size_t) 64 * 1024 * 1024)

/* One record of a piece: its rows for COPY and its line. */
typedef struct PieceItem
{
	size_t row;
	size_t line;
	RecordPos pos;
	char op;
	const StageVersion *version;
} PieceItem;

struct StagePiece
{
	Buf rows;
	Buf lines;
	Buf scratch;
	Buf copy_sql;
	PieceItem *items; /* n + 1: the last marks the end */
	int n;
	Record record;
	Lsn lsn; /* of the last row, and its text: */
	char lsn_text[LSN_TEXT_MAX];
};

/* Which row of a record a staging row is made of. */
typedef struct RowSource
{
	char op;
	int sub;
	bool key_only;
	const RecordField *first;  /* a column's value is looked for here */
	const RecordField *second; /* then here; may be NULL */
} RowSource;

static bool
run_ddl(Stage *s, Err *err)
{
	Buf sql;
	bool ok;

	buf_init(&sql, SQL_MAX);
	buf_printf(&sql,
			   "CREATE TEMP TABLE %s (rn int8, lsn pg_lsn, seq int8, sub int2,"
			   " op \"char\", unk int2[]",
			   s->name + strlen("pg_temp."));
	for (int i = 0; i < s->target->ncols; i++)
	{
		const TargetColumn *c = &s->target->cols[i];

		buf_printf(&sql, ", c%d %s", i + 1, c->type);
		if (c->collation[0])
			buf_printf(&sql, " COLLATE %s", c->collation);
	}
	for (int i = 0; i < s->target->ncols; i++)
		form_add_column(&s->target->cols[i].form, i + 1, &sql);
	buf_str(&sql, ") ON COMMIT DROP");
	ok = sql_run(s->cx, "create a staging table", buf_cstr(&sql), NULL, err);
	buf_done(&sql);
	return ok;
}

static void
map_version(const Target *t, Schema *schema, StageVersion *v)
{
	v->schema = schema;
	v->columns = xmalloc(((size_t) t->ncols + 1) * sizeof(int));
	for (int i = 0; i < t->ncols; i++)
	{
		v->columns[i] = -1;
		for (int k = 0; k < schema->ncols; k++)
		{
			if (strcmp(schema->cols[k].name, t->cols[i].name) == 0)
				v->columns[i] = k;
		}
	}
}

bool
stage_open(MergeCx *cx, const PlanTable *table, const Target *target,
		   Schema **schemas, int nschemas, int number, bool replace,
		   Stage **out, Err *err)
{
	Stage *s = xcalloc(1, sizeof(*s));
	StagePiece *p = xcalloc(1, sizeof(*p));

	s->cx = cx;
	s->table = table;
	s->target = target;
	s->piece = p;
	s->nversions = nschemas;
	s->versions = xcalloc((size_t) nschemas, sizeof(*s->versions));
	for (int i = 0; i < nschemas; i++)
		map_version(target, schemas[i], &s->versions[i]);
	s->unknown = xcalloc((size_t) target->ncols + 1, sizeof(bool));
	(void) snprintf(s->name, sizeof(s->name), "pg_temp.cdc_s3_stage_%d",
					number); /* fits */
	if (replace)
	{
		s->empty_base = s->barrier_set = true;
		s->barrier = (RecordPos){ table->load_lsn, STAGE_LOAD_SEQ - 1 };
	}
	buf_init(&p->rows, PIECE_MAX_BYTES);
	buf_init(&p->lines, PIECE_MAX_BYTES);
	buf_init(&p->scratch, PIECE_MAX_BYTES);
	buf_init(&p->copy_sql, SQL_MAX);
	buf_printf(&p->copy_sql, "COPY %s FROM STDIN", s->name);
	p->items = xcalloc(PIECE_RECORDS + 1, sizeof(*p->items));
	record_init(&p->record);
	memcpy(s->hash, schemas[nschemas - 1]->hash, sizeof(s->hash));
	if (!run_ddl(s, err))
	{
		stage_free(s);
		return false;
	}
	*out = s;
	return true;
}

void
stage_free(Stage *s)
{
	if (!s)
		return;
	for (int i = 0; i < s->nversions; i++)
		free(s->versions[i].columns);
	free(s->versions);
	for (int i = 0; i < s->ncuts; i++)
		free(s->cuts[i].condition);
	free(s->cuts);
	free(s->unknown);
	free(s->objects);
	hurry_free(s->hurry);
	buf_done(&s->piece->rows);
	buf_done(&s->piece->lines);
	buf_done(&s->piece->scratch);
	buf_done(&s->piece->copy_sql);
	free(s->piece->items);
	record_done(&s->piece->record);
	free(s->piece);
	free(s);
}

void
stage_add_condition(const Stage *s, Buf *sql)
{
	const char *word = " WHERE";

	if (s->barrier_set)
	{
		buf_printf(sql,
				   " WHERE (lsn, seq) > ('" LSN_FMT "'::pg_lsn, %lld::int8)",
				   LSN_ARGS(s->barrier.lsn), (long long) s->barrier.seq);
		word = " AND";
	}
	if (s->until_set)
		buf_printf(sql, "%s (lsn, seq) < ('" LSN_FMT "'::pg_lsn, %lld::int8)",
				   word, LSN_ARGS(s->until.lsn), (long long) s->until.seq);
}

void
stage_add_key(const Stage *s, Buf *sql, const char *prefix)
{
	bool first = true;

	for (int i = 0; i < s->target->ncols; i++)
	{
		if (!s->target->cols[i].key)
			continue;
		buf_printf(sql, "%s%sc%d", first ? "" : ", ", prefix, i + 1);
		first = false;
	}
}

void
stage_add_match(const Stage *s, Buf *sql, const char *left, const char *right)
{
	bool first = true;

	for (int i = 0; i < s->target->ncols; i++)
	{
		const TargetColumn *c = &s->target->cols[i];

		if (!c->key)
			continue;
		buf_printf(sql, "%s%s.c%d %s %s.", first ? "" : " AND ", left, i + 1,
				   c->equal, right);
		pg_add_ident(sql, c->name);
		first = false;
	}
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
		return src->op == 'i' || src->op == 'r' || src->op == 'd';
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

static bool
add_rows(Stage *s, const StageVersion *v, const Record *r, Err *err)
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

static RejectTo
reject_to(const Stage *s)
{
	return (RejectTo){ s->cx, s->table, s->target, s->name, s->hash };
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
static bool
refuse(Stage *s, const PieceItem *item, Slice line, size_t rows, size_t nrows,
	   const char *state, const char *reason, Err *err)
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

	if (s->cx->keep_going)
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
	return refuse(s, from, line, from->row, rows.n, state, reason, err);
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
		if (!refuse(s, &p->items[bad], line, p->items[bad].row,
					p->items[bad + 1].row - p->items[bad].row, state, reason,
					err))
			return false;
		step = 2 * (bad - lo) > STEP_MIN ? 2 * (bad - lo) : STEP_MIN;
		lo = bad + 1;
	}
	return true;
}

/* A long record's memory is not kept. */
static void
empty(Buf *b)
{
	if (b->cap > KEEP_MAX_BYTES)
		buf_done(b);
	else
		buf_reset(b);
}

static bool
flush(Stage *s, Err *err)
{
	StagePiece *p = s->piece;

	if (p->n == 0)
		return true;
	p->items[p->n] = (PieceItem){ .row = p->rows.n, .line = p->lines.n };
	if (!send_piece(s, 0, p->n, err))
		return false;
	p->n = 0;
	empty(&p->rows);
	empty(&p->lines);
	empty(&p->scratch);
	return true;
}

static void
raise_barrier(Stage *s, RecordPos pos)
{
	s->empty_base = true;
	if (!s->barrier_set || record_pos_after(pos, s->barrier))
		s->barrier = pos;
	s->barrier_set = true;
	s->truncates++;
}

static bool
counts(const Stage *s, const Record *r)
{
	return !s->barrier_set || record_pos_after(r->pos, s->barrier);
}

void
stage_note_resync(Stage *s, RecordPos pos, const char *reason)
{
	if (s->resync_set && !record_pos_after(pos, s->resync))
		return;
	s->resync_set = true;
	s->resync = pos;
	(void) snprintf(s->resync_reason, sizeof(s->resync_reason), "%s",
					reason); /* fits */
}

/* " OR (condition)"; *known false where the partition's bound is not. */
static bool
add_bound(const Schema *schema, Slice part, Buf *sql, Buf *text, bool *known,
		  Err *err)
{
	JsonCursor c;
	JsonMember m;

	if (!json_open_object(&c, part, err))
		return false;
	buf_reset(text);
	for (;;)
	{
		if (!json_next_member(&c, &m, err))
			return false;
		if (c.done)
			break;
		if (json_equals(m.name, m.escaped, "bound") &&
			m.value.kind == JSON_STRING &&
			!json_unescape(json_inner(&m.value), text, err))
			return false;
	}
	buf_str(sql, sql->n > 0 ? " OR (" : "(");
	*known = *known && bound_to_sql(buf_slice(text), schema, sql);
	buf_byte(sql, ')');
	return true;
}

/* Does a bound name a column that the target compares otherwise? */
static bool
names_coarse(const Target *t, const char *sql)
{
	bool found = false;

	for (int i = 0; !found && i < t->ncols; i++)
	{
		Buf name;

		if (!t->cols[i].form.coarse)
			continue;
		buf_init(&name, SQL_MAX);
		pg_add_ident(&name, t->cols[i].name);
		found = strstr(sql, buf_cstr(&name)) != NULL;
		buf_done(&name);
	}
	return found;
}

/* Some partitions were truncated: a cut, or nobody knows which rows went. */
static bool
take_cut(Stage *s, const StageVersion *v, const Record *r, Err *err)
{
	bool known = r->parts.kind == JSON_ARRAY;
	JsonCursor c;
	JsonValue item;
	Buf sql;
	Buf text;
	bool ok = !known || json_open_array(&c, r->parts.text, err);

	buf_init(&sql, SQL_MAX);
	buf_init(&text, SQL_MAX);
	while (ok && known)
	{
		ok = json_next_item(&c, &item, err);
		if (!ok || c.done)
			break;
		ok = add_bound(v->schema, item.text, &sql, &text, &known, err);
	}
	/* what the target holds equal, the bound may tell apart */
	known = known && !names_coarse(s->target, buf_cstr(&sql));
	if (ok && known && sql.n > 0 && !sql.overflow)
	{
		s->cuts = xrealloc(s->cuts, ((size_t) s->ncuts + 1) * sizeof(*s->cuts));
		s->cuts[s->ncuts++] = (StageCut){ r->pos, xstrdup(buf_cstr(&sql)) };
		s->truncates++;
	}
	else if (ok)
		stage_note_resync(s, r->pos, "truncate");
	buf_done(&sql);
	buf_done(&text);
	return ok;
}

static int
compare_cuts(const void *a, const void *b)
{
	const StageCut *x = a;
	const StageCut *y = b;

	return record_pos_after(x->pos, y->pos)   ? 1
		   : record_pos_after(y->pos, x->pos) ? -1
											  : 0;
}

/* What lies before the barrier, which may have come later, is over. */
static void
settle_cuts(Stage *s)
{
	int kept = 0;

	for (int i = 0; i < s->ncuts; i++)
	{
		if (s->barrier_set && !record_pos_after(s->cuts[i].pos, s->barrier))
			free(s->cuts[i].condition);
		else
			s->cuts[kept++] = s->cuts[i];
	}
	s->ncuts = kept;
	if (kept > 1)
		qsort(s->cuts, (size_t) kept, sizeof(*s->cuts), compare_cuts);
	s->whole_base = s->barrier_set;
	s->base = s->barrier;
	if (s->barrier_set && !record_pos_after(s->resync, s->barrier))
		s->resync_set = false;
}

void
stage_set_barrier(Stage *s, RecordPos pos)
{
	raise_barrier(s, pos);
	settle_cuts(s);
}

/* A record that does not reach the staging table. */
static bool
refuse_line(Stage *s, PieceItem item, Slice line, Err *err)
{
	char reason[sizeof(err->msg)];

	memcpy(reason, err->msg, sizeof(reason));
	return flush(s, err) && refuse(s, &item, line, 0, 0, "", reason, err);
}

static void
count_op(MergeOps *ops, char op)
{
	int64_t *count = op == 'r'   ? &ops->loads
					 : op == 'i' ? &ops->inserts
					 : op == 'u' ? &ops->updates
					 : op == 'd' ? &ops->deletes
					 : op == 't' ? &ops->truncates
								 : &ops->others;

	(*count)++;
}

/* A row of a load for the table itself. */
static bool
load_row(Stage *s, const StageVersion *v, const Record *r, Err *err)
{
	RowSource src = { 'r', 0, false, r->row, r->has_before ? r->before : NULL };

	for (int i = 0; i < s->target->ncols; i++)
	{
		if (r->nwithheld > 0 || !is_known(&src, v, i))
			return hurry_object(s->hurry, err);
	}
	if (!add_columns(s, v, &src, "", err))
		return err->kind == ERR_DATA ? hurry_object(s->hurry, err) : false;
	return hurry_load(s->hurry, buf_slice(&s->piece->rows), err);
}

/* Nothing of a record is kept here: what is refused is read again. */
static bool
take_in_hurry(Stage *s, const StageVersion *v, const Record *r, Err *err)
{
	StagePiece *p = s->piece;
	int64_t partial = s->partial;
	int64_t moves = s->moves;

	empty(&p->rows);
	empty(&p->lines);
	if (r->op == 'r' && s->direct)
		return load_row(s, v, r, err);
	if (!add_rows(s, v, r, err))
		return err->kind == ERR_DATA ? hurry_object(s->hurry, err) : false;
	return hurry_stage(
		s->hurry, buf_slice(&p->rows), buf_slice(&p->lines),
		!s->target->has_key || s->partial > partial || s->moves > moves, err);
}

static bool
stage_line(Stage *s, const StageVersion *v, Slice line, Err *err)
{
	StagePiece *p = s->piece;
	Record *r = &p->record;
	PieceItem item = { .row = p->rows.n, .line = p->lines.n, .version = v };
	int64_t rows = s->rows;

	if (!record_parse(r, v->schema, line, err))
		return false; /* the lake itself is wrong: no row to reject */
	item.pos = r->pos;
	item.op = r->op;
	if (!counts(s, r))
		return true;
	s->records++;
	count_op(&s->ops, r->op);
	if (s->hurry &&
		!hurry_note(s->hurry, r->pos, r->op == 't' || r->op == 's', err))
		return false;
	if (r->op == 't' && !r->partial)
	{
		raise_barrier(s, r->pos);
		return true;
	}
	if (r->op == 't')
		return take_cut(s, v, r, err);
	if (r->op == 's')
	{
		stage_note_resync(s, r->pos, r->reason);
		return true;
	}
	if (s->hurry)
		return take_in_hurry(s, v, r, err);
	if (r->op == 'r' && s->direct)
		return true; /* it is in the table */
	if (!add_rows(s, v, r, err))
	{
		if (err->kind != ERR_DATA)
			return false;
		p->rows.n = item.row;
		s->rows = rows;
		return refuse_line(s, item, line, err);
	}
	buf_add(&p->lines, line.p, line.n);
	p->items[p->n++] = item;
	if (p->n == PIECE_RECORDS || p->rows.n + p->lines.n > PIECE_BYTES)
		return flush(s, err);
	return true;
}

/* What the log lists must be there and whole. */
static bool
as_gap(const EntryObject *o, Err *err)
{
	if (err->kind != ERR_NOT_FOUND && err->kind != ERR_DATA)
		return false;
	err->kind = ERR_GAP;
	err_prefix(err, "object \"%s\", which the commit log lists", o->key);
	return err_hint(err, "restore the object; nothing was changed at the "
						 "target");
}

/* A record that no COPY takes: its columns would pass 1 GB as text. */
static bool
too_long(const EntryObject *o, int64_t line, Err *err)
{
	err_set(err, ERR_GAP, 0,
			"line %lld of object \"%s\" is longer than %zu MB, which is more "
			"than PostgreSQL takes in one row of a COPY",
			(long long) line, o->key, LINE_MAX_BYTES >> 20);
	return err_hint(err, "bring this row to the target by other means and "
						 "leave out its table (source.exclude), or its long "
						 "columns (a publication with a column list), in a new "
						 "lake; doc/merge.md");
}

static bool
stage_lines(Stage *s, const StageVersion *v, const EntryObject *o,
			LineReader *reader, Err *err)
{
	int64_t n = 0;

	for (;;)
	{
		Slice line;
		bool end = false;

		if (!lines_next(reader, &line, &end, err))
			return err->kind == ERR_LIMIT ? too_long(o, n + 1, err)
										  : as_gap(o, err);
		if (end)
			break;
		if (n++ == o->rows) /* do not read on for ever */
		{
			err_set(err, ERR_DATA, 0,
					"it holds more than the %lld rows that "
					"the log says",
					(long long) o->rows);
			return as_gap(o, err);
		}
		if (!stage_line(s, v, line, err))
		{
			if (err->kind == ERR_DATA)
				err_prefix(err, "line %lld", (long long) n);
			return as_gap(o, err);
		}
		s->lines++;
		s->cx->progress->read++;
	}
	if (n == o->rows)
		return true;
	err_set(err, ERR_DATA, 0, "it holds %lld rows, the log says %lld",
			(long long) n, (long long) o->rows);
	return as_gap(o, err);
}

static bool
stage_object(Stage *s, const EntryObject *o, Err *err)
{
	const StageVersion *v = NULL;
	LineReader *reader;
	Buf body;
	bool ok;

	if (sql_stopped(s->cx, err))
		return false;
	for (int i = 0; i < s->nversions; i++)
	{
		if (strcmp(s->versions[i].schema->hash, o->hash) == 0)
			v = &s->versions[i];
	}
	if (!v)
		return err_set(err, ERR_INTERNAL, 0, "schema %s was not read", o->hash);
	buf_init(&body, OBJECT_MAX_BYTES);
	progress_table(s->cx->progress, s->target->schema, s->target->table);
	progress_phase(s->cx->progress, PHASE_READ);
	ok = commitlog_object(s->cx->store, o, &body, err) || as_gap(o, err);
	progress_phase(s->cx->progress, PHASE_STAGE);
	if (ok)
	{
		reader = lines_open(compression_of_key(o->key), buf_slice(&body),
							LINE_MAX_BYTES);
		ok = stage_lines(s, v, o, reader, err);
		lines_close(reader);
	}
	buf_done(&body);
	return ok;
}

bool
stage_analyze(Stage *s, Err *err)
{
	Buf sql;
	bool ok;

	buf_init(&sql, SQL_MAX);
	buf_printf(&sql, "ANALYZE %s (rn, lsn, seq, op", s->name);
	if (s->target->has_key)
	{
		buf_str(&sql, ", ");
		stage_add_key(s, &sql, "");
	}
	buf_byte(&sql, ')');
	ok = sql_run(s->cx, "analyze a staging table", buf_cstr(&sql), NULL, err);
	buf_done(&sql);
	return ok;
}

/* Behind the last object: the rest of the rows, and statistics. */
static bool
finish(Stage *s, Err *err)
{
	if (s->hurry ? !hurry_end(s->hurry, err) : !flush(s, err))
		return false;
	settle_cuts(s);
	return stage_analyze(s, err);
}

static bool
read_objects(Stage *s, Err *err)
{
	for (int i = 0; i < s->nobjects; i++)
	{
		if (!stage_object(s, s->objects[i], err))
			return false;
	}
	return finish(s, err);
}

/* As if nothing had been read yet. */
static void
start_anew(Stage *s)
{
	s->empty_base = s->start_empty;
	s->barrier_set = s->start_set;
	s->barrier = s->start;
	for (int i = 0; i < s->ncuts; i++)
		free(s->cuts[i].condition);
	s->ncuts = 0;
	s->whole_base = s->resync_set = false;
	memset(s->unknown, 0, (size_t) s->target->ncols * sizeof(bool));
	s->records = s->rows = s->partial = s->moves = 0;
	s->updates = s->deletes = s->truncates = s->next_rn = 0;
	s->cx->progress->read -= s->lines;
	s->dropped = s->lines = 0;
	s->rejected = s->poisoned = 0;
	s->ops = (MergeOps){ 0 };
	s->distinct = s->in_hurry = false;
	empty(&s->piece->rows);
	empty(&s->piece->lines);
	empty(&s->piece->scratch);
}

/* False, too, where something speaks against it. */
static bool
read_in_hurry(Stage *s, Err *err)
{
	if (s->direct)
		s->empty_base = false;
	if (!read_objects(s, err))
		return false;
	s->loaded = hurry_loaded(s->hurry);
	s->dropped = hurry_dropped(s->hurry);
	s->distinct = s->one_text && hurry_distinct(s->hurry);
	return sql_release(s->cx, "cdc_s3_hurry", err);
}

static void
add_load_sql(const Stage *s, Buf *sql)
{
	buf_printf(sql, "COPY %s (", s->target->name);
	for (int i = 0; i < s->target->ncols; i++)
	{
		buf_str(sql, i ? ", " : "");
		pg_add_ident(sql, s->target->cols[i].name);
	}
	buf_str(sql, ") FROM STDIN");
}

static bool
stage_in_hurry(Stage *s, Err *err)
{
	bool ok;
	bool again;
	Buf load;

	if (!sql_savepoint(s->cx, "cdc_s3_hurry", err))
		return false;
	buf_init(&load, SQL_MAX);
	add_load_sql(s, &load);
	s->hurry = hurry_new(s->cx, buf_cstr(&s->piece->copy_sql), buf_cstr(&load),
						 s->keep_all);
	ok = read_in_hurry(s, err);
	again = !ok && hurry_objects(s->hurry);
	if (!ok)
		hurry_abort(s->hurry);
	hurry_free(s->hurry);
	s->hurry = NULL;
	buf_done(&load);
	if (ok)
		log_debug("table staged in a hurry", "table", s->target->table,
				  "loaded", log_int(s->loaded), "written_over",
				  log_int(s->dropped), "distinct", s->distinct ? "yes" : "no",
				  NULL);
	if (!again)
		return ok;
	log_debug("table staged with care after all", "table", s->target->table,
			  NULL);
	start_anew(s);
	s->direct = false;
	return sql_rollback_to(s->cx, "cdc_s3_hurry", err) && read_objects(s, err);
}

bool
stage_objects(Stage *s, const EntryObject *const *objects, int n, Err *err)
{
	size_t size = ((size_t) n + 1) * sizeof(*s->objects);

	s->objects = xmalloc(size);
	if (n > 0)
		memcpy(s->objects, objects, (size_t) n * sizeof(*s->objects));
	s->nobjects = n;
	s->start_empty = s->empty_base;
	s->start_set = s->barrier_set;
	s->start = s->barrier;
	return s->in_hurry ? stage_in_hurry(s, err) : read_objects(s, err);
}

bool
stage_all(Stage *s, Err *err)
{
	char sql[80];

	if (s->dropped == 0)
		return true;
	start_anew(s);
	if (s->direct) /* its rows are there */
		s->empty_base = false;
	(void) snprintf(sql, sizeof(sql), "TRUNCATE %s", s->name); /* fits */
	return sql_run(s->cx, "empty a staging table", sql, NULL, err) &&
		   read_objects(s, err);
}
