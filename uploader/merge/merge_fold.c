/*-------------------------------------------------------------------------
 * merge_fold.c
 *	  From the staged changes of a table with a key to the last state of each
 *	  key.
 *
 * Where each change tells its whole row, the last change of a key is its
 * state.  Else the changes of each key are cut into
 * *segments*, a segment being the life of one row under one key:
 *
 *	  it starts with 'i', 'r' (a new row), 'n' (a row that came from another
 *	  key), 'x' (unknown from here on) or behind a 'd' or 'm';
 *	  it ends with 'd' (gone) or 'm' (moved to another key).
 *
 * A segment that starts otherwise and is the first of its key is the *base*:
 * it goes on with the row that the target has.  Within a segment a column
 * has its last known value.  What a segment that came from another key does
 * not know, it takes from the segment where the row was before; this is done
 * by doubling steps, so a chain of n key changes takes log n statements.
 * What is unknown at the end of such a chain is in the target, under the key
 * of the chain's base (its *origin*), and is read from there before anything
 * is written.
 *
 * Keys are compared by the target's types: grouping uses their default
 * order, never the text.
 * Layer: merge.
 *-------------------------------------------------------------------------
 */
#include "merge/merge_fold.h"

#include <stdio.h>
#include <stdlib.h>

#define STEPS_MAX 64 /* chains cannot be longer than 2^64 */

static const char *
short_name(const Stage *s)
{
	return s->name + sizeof("pg_temp.cdc_s3_stage_") - 1;
}

static bool
run(Stage *s, const char *doing, Buf *sql, int64_t *rows, Err *err)
{
	bool ok = sql->overflow
				  ? err_set(err, ERR_LIMIT, 0, "the table has too many columns")
				  : sql_run(s->cx, doing, buf_cstr(sql), rows, err);

	buf_reset(sql);
	return ok;
}

static bool
fold_last(Stage *s, const char *name, Buf *sql, Err *err)
{
	buf_printf(sql,
			   "CREATE TEMP TABLE %s ON COMMIT DROP AS SELECT DISTINCT ON (",
			   name + sizeof("pg_temp.") - 1);
	stage_add_key(s, sql, "");
	buf_str(sql, ") rn, lsn, seq, sub, CASE op WHEN 'm' THEN 'd' ELSE op END"
				 " AS op, unk");
	for (int i = 0; i < s->target->ncols; i++)
		buf_printf(sql, ", c%d", i + 1);
	buf_printf(sql, " FROM %s", s->name);
	stage_add_condition(s, sql);
	buf_str(sql, " ORDER BY ");
	stage_add_key(s, sql, "");
	buf_str(sql, ", lsn DESC, seq DESC, sub DESC");
	return run(s, "find the last changes", sql, NULL, err);
}

/* Changes with their segment (sid) and key (gid), in order (ord). */
static bool
make_changes(Stage *s, Buf *sql, Err *err)
{
	const char *n = short_name(s);

	buf_printf(sql,
			   "CREATE TEMP TABLE cdc_s3_ev_%s ON COMMIT DROP AS "
			   "SELECT rn, lsn, seq, op, unk, first, base,"
			   " row_number() OVER o AS ord,"
			   " sum(first) OVER (o ROWS UNBOUNDED PRECEDING) AS sid,"
			   " dense_rank() OVER (ORDER BY ",
			   n);
	stage_add_key(s, sql, "");
	buf_str(sql, ") AS gid FROM (SELECT *,"
				 " CASE WHEN op IN ('i', 'r', 'n', 'x') OR lag(op) OVER w IS"
				 " NULL OR lag(op) OVER w IN ('d', 'm') THEN 1 ELSE 0 END AS"
				 " first,");
	if (s->empty_base)
		buf_str(sql, " false AS base");
	else
		buf_str(sql, " lag(op) OVER w IS NULL AND op NOT IN"
					 " ('i', 'r', 'n', 'x') AS base");
	buf_printf(sql, " FROM %s", s->name);
	stage_add_condition(s, sql);
	buf_str(sql, " WINDOW w AS (PARTITION BY ");
	stage_add_key(s, sql, "");
	buf_str(sql, " ORDER BY lsn, seq, sub)) e WINDOW o AS (ORDER BY ");
	stage_add_key(s, sql, "");
	buf_str(sql, ", lsn, seq, sub)");
	if (!run(s, "order the changes by key", sql, NULL, err))
		return false;
	buf_printf(sql,
			   "CREATE INDEX ON cdc_s3_ev_%s (ord);"
			   "ANALYZE cdc_s3_ev_%s (rn, ord, sid, gid, op)",
			   n, n);
	return run(s, "order the changes by key", sql, NULL, err);
}

/* "{3,5}": all columns that any change left unknown. */
static void
add_all_unknown(const Stage *s, Buf *sql)
{
	bool any = false;

	buf_str(sql, "'{");
	for (int i = 0; i < s->target->ncols; i++)
	{
		if (s->unknown[i])
			buf_printf(sql, "%s%d", any ? "," : "", i + 1);
		any = any || s->unknown[i];
	}
	buf_str(sql, "}'::int2[]");
}

/* Segments: first and last change, last row, what that row leaves unknown. */
static bool
make_segments(Stage *s, Buf *sql, Err *err)
{
	const char *n = short_name(s);

	buf_printf(sql,
			   "CREATE TEMP TABLE cdc_s3_sg_%s ON COMMIT DROP AS "
			   "SELECT a.sid, f.gid, f.base, f.op AS first_op,"
			   " f.lsn AS first_lsn, f.seq AS first_seq, z.op AS last_op,"
			   " z.lsn AS last_lsn, z.seq AS last_seq, z.rn AS last_rn,"
			   " r.rn AS row_rn, NULL::int8 AS pred,"
			   " CASE WHEN f.base THEN a.sid END AS origin,"
			   " CASE WHEN r.rn IS NULL THEN ",
			   n);
	add_all_unknown(s, sql);
	buf_str(sql, " ELSE coalesce(r.unk, '{}') END AS unk");
	for (int i = 0; i < s->target->ncols; i++)
	{
		if (s->unknown[i])
			buf_printf(sql, ", st.c%d", i + 1);
	}
	buf_printf(sql,
			   " FROM (SELECT sid, min(ord) AS fo, max(ord) AS zo, max(ord)"
			   " FILTER (WHERE op IN ('i', 'r', 'u', 'n')) AS ro"
			   " FROM cdc_s3_ev_%s GROUP BY sid) a"
			   " JOIN cdc_s3_ev_%s f ON f.ord = a.fo"
			   " JOIN cdc_s3_ev_%s z ON z.ord = a.zo"
			   " LEFT JOIN cdc_s3_ev_%s r ON r.ord = a.ro"
			   " LEFT JOIN %s st ON st.rn = r.rn",
			   n, n, n, n, s->name);
	if (!run(s, "cut the changes into rows", sql, NULL, err))
		return false;
	buf_printf(sql,
			   "CREATE INDEX ON cdc_s3_sg_%s (sid);"
			   "ANALYZE cdc_s3_sg_%s (sid, gid, last_lsn, last_seq)",
			   n, n);
	return run(s, "cut the changes into rows", sql, NULL, err);
}

/* Within each segment: the last value known of a column. */
static bool
fill_within(Stage *s, Buf *sql, Err *err)
{
	const char *n = short_name(s);

	for (int i = 0; i < s->target->ncols; i++)
	{
		int c = i + 1;

		if (!s->unknown[i])
			continue;
		buf_printf(sql,
				   "UPDATE cdc_s3_sg_%s g SET c%d = x.c%d,"
				   " unk = array_remove(g.unk, %d::int2)"
				   " FROM (SELECT DISTINCT ON (e.sid) e.sid, st.c%d"
				   "  FROM cdc_s3_ev_%s e JOIN %s st ON st.rn = e.rn"
				   "  JOIN cdc_s3_sg_%s q ON q.sid = e.sid"
				   "  AND %d = ANY (q.unk)"
				   "  WHERE e.op IN ('i', 'r', 'u', 'n')"
				   "  AND (e.unk IS NULL OR %d <> ALL (e.unk))"
				   "  ORDER BY e.sid, e.ord DESC) x"
				   " WHERE g.sid = x.sid AND %d = ANY (g.unk)",
				   n, c, c, c, c, n, s->name, n, c, c, c);
		if (!run(s, "find the last known values", sql, NULL, err))
			return false;
	}
	return true;
}

/* Where rows came from: the segment that a key change ended. */
static bool
link_moves(Stage *s, Buf *sql, Err *err)
{
	const char *n = short_name(s);

	buf_printf(sql,
			   "UPDATE cdc_s3_sg_%s g SET pred = p.sid FROM cdc_s3_sg_%s p"
			   " WHERE g.first_op = 'n' AND p.last_op = 'm'"
			   " AND p.last_lsn = g.first_lsn AND p.last_seq = g.first_seq",
			   n, n);
	return run(s, "follow key changes", sql, NULL, err);
}

/*
 * One step: each segment that misses something takes what the one before it
 * knows, and looks on where that one would look.
 */
static bool
follow_step(Stage *s, Buf *sql, int64_t *rows, Err *err)
{
	const char *n = short_name(s);

	buf_printf(sql,
			   "UPDATE cdc_s3_sg_%s g SET pred = p.pred,"
			   " origin = CASE WHEN p.pred IS NULL THEN p.origin END,"
			   " unk = ARRAY(SELECT u FROM unnest(g.unk) u"
			   " WHERE u = ANY (p.unk))",
			   n);
	for (int i = 0; i < s->target->ncols; i++)
	{
		int c = i + 1;

		if (s->unknown[i])
			buf_printf(sql,
					   ", c%d = CASE WHEN %d = ANY (g.unk)"
					   " AND %d <> ALL (p.unk) THEN p.c%d ELSE g.c%d END",
					   c, c, c, c, c);
	}
	buf_printf(sql,
			   " FROM cdc_s3_sg_%s p WHERE g.pred = p.sid"
			   " AND cardinality(g.unk) > 0",
			   n);
	return run(s, "follow key changes", sql, rows, err);
}

static bool
follow_moves(Stage *s, Buf *sql, Err *err)
{
	int64_t rows = 1;

	if (s->moves == 0)
		return true;
	if (!link_moves(s, sql, err))
		return false;
	for (int i = 0; i < STEPS_MAX && rows > 0; i++)
	{
		if (!follow_step(s, sql, &rows, err))
			return false;
	}
	return true;
}

/* The last segment of each key, less those that only ended in a reject. */
static bool
make_last(Stage *s, const char *name, Buf *sql, Err *err)
{
	buf_printf(sql,
			   "CREATE TEMP TABLE %s ON COMMIT DROP AS "
			   "SELECT st.rn, g.last_lsn AS lsn, g.last_seq AS seq, st.sub,"
			   " CASE WHEN g.gone THEN 'd' ELSE st.op END AS op,"
			   " CASE WHEN g.gone OR cardinality(g.unk) = 0 THEN NULL"
			   " ELSE g.unk END AS unk",
			   name + sizeof("pg_temp.") - 1);
	for (int i = 0; i < s->target->ncols; i++)
		buf_printf(sql, ", %s.c%d", s->unknown[i] ? "g" : "st", i + 1);
	buf_printf(sql,
			   ", g.sid, g.origin FROM (SELECT DISTINCT ON (gid) *,"
			   " last_op IN ('d', 'm') AS gone FROM cdc_s3_sg_%s"
			   " ORDER BY gid, sid DESC) g JOIN %s st ON st.rn ="
			   " CASE WHEN g.gone THEN g.last_rn ELSE g.row_rn END",
			   short_name(s), s->name);
	return run(s, "find the last states", sql, NULL, err);
}

/* Rows that came from a key of the target take the rest from there. */
static bool
fill_from_target(Stage *s, const char *name, Buf *sql, Err *err)
{
	if (s->moves == 0 || s->empty_base || s->partial == 0)
		return true;
	buf_printf(sql, "UPDATE %s f SET unk = NULL", name);
	for (int i = 0; i < s->target->ncols; i++)
	{
		if (!s->unknown[i])
			continue;
		buf_printf(sql, ", c%d = CASE WHEN %d = ANY (f.unk) THEN t.", i + 1,
				   i + 1);
		pg_add_ident(sql, s->target->cols[i].name);
		buf_printf(sql, " ELSE f.c%d END", i + 1);
	}
	buf_printf(sql,
			   " FROM cdc_s3_sg_%s o JOIN %s k ON k.rn = o.last_rn"
			   " JOIN %s t ON ",
			   short_name(s), s->name, s->target->name);
	stage_add_match(s, sql, "k", "t");
	buf_str(sql, " WHERE f.origin = o.sid AND f.origin <> f.sid"
				 " AND f.op <> 'd' AND f.unk IS NOT NULL");
	return run(s, "read rows whose key changed", sql, NULL, err);
}

/* What a row misses is nowhere: the change cannot be applied. */
static bool
mark_lost(Stage *s, const char *name, Buf *sql, Err *err)
{
	buf_printf(sql,
			   "UPDATE %s SET op = 'x' WHERE op <> 'd' AND unk IS NOT NULL"
			   " AND origin IS DISTINCT FROM sid",
			   name);
	return run(s, "find rows that are not complete", sql, NULL, err);
}

static bool
fold_segments(Stage *s, const char *name, Buf *sql, Err *err)
{
	return make_changes(s, sql, err) && make_segments(s, sql, err) &&
		   fill_within(s, sql, err) && follow_moves(s, sql, err) &&
		   make_last(s, name, sql, err) &&
		   fill_from_target(s, name, sql, err) && mark_lost(s, name, sql, err);
}

bool
fold_changes(Stage *s, char *name, size_t size, Err *err)
{
	bool whole = s->partial == 0 && s->poisoned == 0;
	Buf sql;
	bool ok;

	if (whole && s->moves == 0 && s->truncates == 0 &&
		(s->distinct || (s->updates == 0 && s->deletes == 0)))
	{
		(void) snprintf(name, size, "%s", s->name); /* fits */
		return true;
	}
	buf_init(&sql, SQL_MAX);
	(void) snprintf(name, size, "pg_temp.cdc_s3_last_%s",
					short_name(s)); /* fits */
	ok = whole ? fold_last(s, name, &sql, err)
			   : fold_segments(s, name, &sql, err);
	if (ok)
	{
		buf_printf(&sql, "ANALYZE %s (rn, op, ", name);
		stage_add_key(s, &sql, "");
		buf_byte(&sql, ')');
		ok = run(s, "analyze the last states", &sql, NULL, err);
	}
	buf_done(&sql);
	return ok;
}
