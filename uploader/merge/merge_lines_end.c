/*-------------------------------------------------------------------------
 * merge_lines_end.c
 *	  Which lines of cdc_s3.rejected are over, once changes were applied.
 *
 * A line ends by a later change of its key that passed, and what goes on from
 * its key by what that one becomes.
 * Layer: merge.
 *-------------------------------------------------------------------------
 */
#include "merge/merge_lines.h"
#include "merge/merge_lines_impl.h"

#include <stdio.h>

#define ROUNDS_MAX 1000 /* of lines that go on from each other */

/*
 * cdc_s3_ended_N: the table's lines as they are now, with the keys that cast.
 * "k" is where the row should be, "o" where it still is.
 */
static bool
make_ended(const Stage *s, Buf *sql, Err *err)
{
	const char *n = lines_number(s);

	buf_printf(sql,
			   "CREATE TEMP TABLE cdc_s3_ended_%s (n int8, lsn pg_lsn,"
			   " seq int8, moved bool, old_key jsonb, new_key jsonb,"
			   " ended bool, taker int8, took bool",
			   n);
	for (int i = 0; i < s->target->ncols; i++)
	{
		const TargetColumn *c = &s->target->cols[i];

		for (int k = 0; c->key && k < 2; k++)
		{
			buf_printf(sql, ", %c%d %s", k ? 'k' : 'o', i + 1,
					   c->form.type ? c->form.type : c->type);
			if (c->collation[0] && !c->form.type)
				buf_printf(sql, " COLLATE %s", c->collation);
		}
	}
	buf_str(sql, ") ON COMMIT DROP");
	if (!lines_run(s, "read rejected rows", sql, NULL, err))
		return false;
	buf_printf(sql,
			   "INSERT INTO cdc_s3_ended_%s SELECT row_number() OVER (),"
			   " lsn, seq, old_key <> new_key, old_key,"
			   " coalesce(new_key, old_key), false, NULL, false FROM"
			   " cdc_s3.rejected"
			   " WHERE " OF_TABLE,
			   n);
	if (!lines_of_table(s, "read rejected rows", buf_cstr(sql), NULL, err))
		return false;
	buf_reset(sql);
	return true;
}

static void
add_cast(const Stage *s, char which, Buf *sql)
{
	const char *column = which == 'k' ? "new_key" : "old_key";
	char from[80];
	bool first = true;

	(void) snprintf(from, sizeof(from), "jsonb_to_record(coalesce(l.%s, '{}'))",
					column); /* fits */
	buf_printf(sql, "UPDATE cdc_s3_ended_%s e SET ", lines_number(s));
	for (int i = 0; i < s->target->ncols; i++)
	{
		if (!s->target->cols[i].key)
			continue;
		buf_printf(sql, "%s%c%d = r.", first ? "" : ", ", which, i + 1);
		pg_add_ident(sql, s->target->cols[i].name);
		if (s->target->cols[i].form.type)
			buf_printf(sql, "::%s", s->target->cols[i].form.type);
		first = false;
	}
	buf_printf(sql, " FROM cdc_s3_ended_%s l CROSS JOIN LATERAL ",
			   lines_number(s));
	lines_add_record(s, from, "r", true, sql);
	buf_str(sql, " WHERE l.n = e.n");
}

/* Casts the keys of lines lo … hi - 1, by halves where one does not. */
static bool
cast_range(const Stage *s, int64_t lo, int64_t hi, Buf *sql, Err *err)
{
	int64_t mid = lo + (hi - lo) / 2;

	if (lo >= hi)
		return true;
	if (!sql_savepoint(s->cx, "cdc_s3_cast", err))
		return false;
	for (int i = 0; i < 2; i++)
	{
		buf_str(sql, i ? "; " : "");
		add_cast(s, i ? 'k' : 'o', sql);
		buf_printf(sql, " AND l.n >= %lld AND l.n < %lld", (long long) lo,
				   (long long) hi);
	}
	if (lines_run(s, "read the keys of rejected rows", sql, NULL, err))
		return sql_release(s->cx, "cdc_s3_cast", err);
	if (!sql_state_is_data(s->cx) ||
		!sql_rollback_to(s->cx, "cdc_s3_cast", err))
		return false;
	return hi - lo == 1 || (cast_range(s, lo, mid, sql, err) &&
							cast_range(s, mid, hi, sql, err));
}

/*
 * a.k1 = b.o1 AND …, or against the staged row's columns ("c"): keys as the
 * source has them, so that a line ends by changes of its own key only.
 */
static void
add_match(const Stage *s, const char *a, char x, const char *b, char y,
		  Buf *sql)
{
	bool first = true;

	for (int i = 0; i < s->target->ncols; i++)
	{
		const TargetColumn *c = &s->target->cols[i];

		if (!c->key)
			continue;
		buf_printf(sql, "%s%s.%c%d %s %s.%c%d", first ? "" : " AND ", a,
				   x == 'c' && c->form.type ? 'k' : x, i + 1,
				   c->form.type ? c->form.equal : c->equal, b,
				   y == 'c' && c->form.type ? 'k' : y, i + 1);
		first = false;
	}
}

/* Change f passed, tells its whole row, and lies behind line a. */
static void
add_passed(const Stage *s, const char *ops, Buf *sql)
{
	buf_printf(sql,
			   "f.op IN (%s) AND (f.unk IS NULL OR f.op = 'n')"
			   " AND (f.lsn, f.seq) > (a.lsn, a.seq)"
			   " AND NOT EXISTS (SELECT FROM cdc_s3_ended_%s r"
			   " WHERE r.lsn = f.lsn AND r.seq = f.seq)",
			   ops, lines_number(s));
}

/* Line b, still open, goes on from the key of line a. */
static void
add_goes_on(const Stage *s, const char *until, Buf *sql)
{
	buf_str(sql, "b.moved AND NOT b.ended AND (b.lsn, b.seq) > (a.lsn, a.seq)"
				 " AND ");
	add_match(s, "b", 'o', "a", 'k', sql);
	buf_str(sql, until);
}

static const char before_f[] = " AND (b.lsn, b.seq) < (f.lsn, f.seq)";

/* A later change of the key passed. */
static bool
end_changed(const Stage *s, Buf *sql, Err *err)
{
	buf_printf(sql,
			   "UPDATE cdc_s3_ended_%s a SET ended = true FROM %s f"
			   " WHERE NOT a.ended AND ",
			   lines_number(s), s->name);
	add_match(s, "f", 'c', "a", 'k', sql);
	buf_str(sql, " AND ");
	add_passed(s, "'i', 'r', 'u', 'n', 'd', 'm'", sql);
	buf_printf(sql, " AND NOT EXISTS (SELECT FROM cdc_s3_ended_%s b WHERE ",
			   lines_number(s));
	add_goes_on(s, before_f, sql);
	buf_byte(sql, ')');
	return lines_run(s, "end rejected rows", sql, NULL, err);
}

/* A line that goes on from the key ended. */
static bool
end_followed(const Stage *s, Buf *sql, Err *err)
{
	int64_t rows = 1;

	for (int i = 0; rows > 0 && i < ROUNDS_MAX; i++)
	{
		buf_printf(sql,
				   "UPDATE cdc_s3_ended_%s a SET ended = true FROM"
				   " cdc_s3_ended_%s b WHERE NOT a.ended AND b.ended AND"
				   " b.moved AND (b.lsn, b.seq) > (a.lsn, a.seq) AND ",
				   lines_number(s), lines_number(s));
		add_match(s, "b", 'o', "a", 'k', sql);
		if (!lines_run(s, "end rejected rows", sql, &rows, err))
			return false;
	}
	return true;
}

/* Lines whose place another row takes, and which line goes on from each. */
static bool
find_takers(const Stage *s, Buf *sql, int64_t *rows, Err *err)
{
	const char *n = lines_number(s);

	buf_printf(sql,
			   "UPDATE cdc_s3_ended_%s SET taker = NULL;"
			   "UPDATE cdc_s3_ended_%s e SET taker = w.bn FROM"
			   " (SELECT DISTINCT ON (a.n) a.n AS an, b.n AS bn"
			   " FROM cdc_s3_ended_%s a, cdc_s3_ended_%s b, %s f"
			   " WHERE NOT a.ended AND ",
			   n, n, n, n, s->name);
	add_match(s, "f", 'c', "a", 'k', sql);
	buf_str(sql, " AND ");
	add_passed(s, "'i', 'r', 'u', 'n'", sql);
	buf_str(sql, " AND ");
	add_goes_on(s, before_f, sql);
	buf_str(sql, " ORDER BY a.n, b.lsn, b.seq) w WHERE e.n = w.an");
	return lines_run(s, "end rejected rows", sql, rows, err);
}

/* Of several that go on from each other the first are taken over first. */
static const char first_taken[] =
	"e.taker IS NOT NULL AND NOT EXISTS (SELECT FROM cdc_s3_ended_%s y"
	" JOIN cdc_s3_ended_%s z ON z.taker = y.n WHERE y.taker = e.taker)";

/*
 * Another row came to the key of a line that a later one goes on from: that
 * one takes over where the row is.
 */
static bool
end_taken_over(const Stage *s, Buf *sql, Err *err)
{
	const char *n = lines_number(s);
	int64_t rows = 1;

	for (int i = 0; i < ROUNDS_MAX; i++)
	{
		if (!find_takers(s, sql, &rows, err))
			return false;
		if (rows == 0)
			break;
		buf_printf(sql,
				   "UPDATE cdc_s3_ended_%s b SET took = true, moved = a.moved,"
				   " old_key = CASE WHEN a.moved THEN a.old_key END",
				   n);
		for (int c = 0; c < s->target->ncols; c++)
		{
			if (s->target->cols[c].key)
				buf_printf(sql, ", o%d = a.o%d", c + 1, c + 1);
		}
		buf_printf(sql,
				   " FROM (SELECT DISTINCT ON (e.taker) e.*"
				   " FROM cdc_s3_ended_%s e WHERE ",
				   n);
		buf_printf(sql, first_taken, n, n);
		buf_printf(sql,
				   " ORDER BY e.taker, coalesce(e.moved, false) DESC,"
				   " e.lsn DESC, e.seq DESC) a WHERE b.n = a.taker;"
				   "UPDATE cdc_s3_ended_%s e SET ended = true WHERE ",
				   n);
		buf_printf(sql, first_taken, n, n);
		if (!lines_run(s, "end rejected rows", sql, NULL, err))
			return false;
	}
	return true;
}

/*
 * Another row came to the place of one that was left behind, or was to come:
 * what stands there is that one's from then on.
 */
static bool
note_replaced(const Stage *s, Buf *sql, Err *err)
{
	const char *n = lines_number(s);

	for (int i = 0; i < 2; i++)
	{
		buf_printf(sql,
				   "UPDATE cdc_s3_ended_%s a SET moved = false, old_key = NULL"
				   " WHERE a.moved AND NOT a.ended AND EXISTS (SELECT FROM ",
				   n);
		if (i == 0)
		{
			buf_printf(sql, "%s f WHERE ", s->name);
			add_match(s, "f", 'c', "a", 'o', sql);
			buf_str(sql, " AND ");
			add_passed(s, "'i', 'r', 'u', 'n'", sql);
		}
		else
		{
			buf_printf(sql,
					   "cdc_s3_ended_%s b WHERE"
					   " (b.lsn, b.seq) > (a.lsn, a.seq) AND ",
					   n);
			add_match(s, "a", 'o', "b", 'k', sql);
		}
		buf_printf(sql,
				   ") AND NOT EXISTS (SELECT FROM cdc_s3_ended_%s b WHERE"
				   " NOT b.ended AND (b.lsn, b.seq) < (a.lsn, a.seq) AND ",
				   n);
		add_match(s, "a", 'o', "b", 'k', sql);
		buf_byte(sql, ')');
		if (!lines_run(s, "end rejected rows", sql, NULL, err))
			return false;
	}
	return true;
}

/* Does any line that is left tell of another key before? */
static bool
any_moved(const Stage *s, Buf *sql, bool *any, Err *err)
{
	PGresult *res;
	bool ok;

	buf_printf(sql,
			   "ANALYZE cdc_s3_ended_%s; SELECT FROM cdc_s3_ended_%s"
			   " WHERE moved AND NOT ended LIMIT 1",
			   lines_number(s), lines_number(s));
	ok = sql_query(s->cx, "end rejected rows", buf_cstr(sql), &res, err);
	buf_reset(sql);
	if (!ok)
		return false;
	*any = PQntuples(res) > 0;
	PQclear(res);
	return true;
}

/* What was found out, to cdc_s3.rejected. */
static bool
write_ended(const Stage *s, Buf *sql, Err *err)
{
	const char *n = lines_number(s);
	bool ok;

	buf_printf(sql,
			   "DELETE FROM cdc_s3.rejected d USING cdc_s3_ended_%s a"
			   " WHERE a.ended AND d.lsn = a.lsn AND d.seq = a.seq"
			   " AND " OF_TABLE,
			   n);
	ok = lines_of_table(s, "end rejected rows", buf_cstr(sql), NULL, err);
	buf_reset(sql);
	if (!ok)
		return false;
	buf_printf(sql,
			   "UPDATE cdc_s3.rejected d SET old_key = a.old_key"
			   " FROM cdc_s3_ended_%s a WHERE NOT a.ended"
			   " AND d.lsn = a.lsn AND d.seq = a.seq"
			   " AND d.old_key IS DISTINCT FROM a.old_key AND " OF_TABLE,
			   n);
	ok = lines_of_table(s, "end rejected rows", buf_cstr(sql), NULL, err);
	buf_reset(sql);
	if (!ok)
		return false;
	/* what it does not tell the lines told that it took over from */
	buf_printf(sql,
			   "UPDATE cdc_s3.rejected d SET unchanged = NULL,"
			   " reason = reason || '; the change that told them was rejected,"
			   " and its key is another row''s now'"
			   " FROM cdc_s3_ended_%s a WHERE a.took AND NOT a.ended"
			   " AND d.lsn = a.lsn AND d.seq = a.seq"
			   " AND d.unchanged <> '{}' AND " OF_TABLE,
			   n);
	ok = lines_of_table(s, "end rejected rows", buf_cstr(sql), NULL, err);
	buf_reset(sql);
	return ok;
}

/* All rows of the table are known at the barrier. */
static bool
end_before(const Stage *s, Buf *sql, Err *err)
{
	bool ok;

	buf_printf(sql,
			   "DELETE FROM cdc_s3.rejected WHERE " OF_TABLE
			   " AND (lsn, seq) <= ('" LSN_FMT "'::pg_lsn, %lld::int8)",
			   LSN_ARGS(s->base.lsn), (long long) s->base.seq);
	ok = lines_of_table(s, "end rejected rows", buf_cstr(sql), NULL, err);
	buf_reset(sql);
	return ok;
}

bool
lines_end(Stage *s, Err *err)
{
	Buf sql;
	bool moves = false;
	bool ok = true;

	if (s->old_lines == 0 && s->rejected == 0)
		return true;
	buf_init(&sql, SQL_MAX);
	if (s->whole_base)
		ok = end_before(s, &sql, err);
	if (ok && s->target->has_key)
	{
		ok = make_ended(s, &sql, err) &&
			 cast_range(s, 1, s->old_lines + s->rejected + 1, &sql, err) &&
			 end_changed(s, &sql, err) && end_followed(s, &sql, err) &&
			 any_moved(s, &sql, &moves, err) &&
			 (!moves ||
			  (end_taken_over(s, &sql, err) && note_replaced(s, &sql, err))) &&
			 write_ended(s, &sql, err);
		buf_printf(&sql, "DROP TABLE cdc_s3_ended_%s", lines_number(s));
		ok = ok && lines_run(s, "end rejected rows", &sql, NULL, err);
	}
	if (ok && s->again > 0)
	{
		buf_printf(&sql,
				   "UPDATE cdc_s3.rejected d SET rejected_at = l.rejected_at"
				   " FROM cdc_s3_lines_%s l WHERE d.lsn = l.lsn"
				   " AND d.seq = l.seq AND (d.system_identifier, d.database,"
				   " d.slot, d.source_schema, d.source_table) ="
				   " (l.system_identifier, l.database, l.slot,"
				   " l.source_schema, l.source_table)",
				   lines_number(s));
		ok = lines_run(s, "keep when rows were rejected", &sql, NULL, err);
	}
	if (ok && s->old_lines > 0)
	{
		buf_printf(&sql, "DROP TABLE IF EXISTS cdc_s3_lines_%s",
				   lines_number(s));
		ok = lines_run(s, "end rejected rows", &sql, NULL, err);
	}
	buf_done(&sql);
	return ok;
}
