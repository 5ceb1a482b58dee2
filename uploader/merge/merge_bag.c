/*-------------------------------------------------------------------------
 * merge_bag.c
 *	  Tables without a key: bags of rows.
 *
 * Rows are told apart by all their columns, in the target's own text, so
 * that types without an equality (json, point) count too and NULL equals
 * NULL.  Over the range only the balance of each row value matters: so many
 * copies come, or so many go, and which of equal copies goes is all the same.
 * Layer: merge.
 *-------------------------------------------------------------------------
 */
#include "merge/merge_apply.h"

typedef struct Bag
{
	Stage *stage;
	const char *number;
	MergeTable *out;
} Bag;

static bool
run(Bag *b, const char *doing, Buf *sql, int64_t *rows, Err *err)
{
	bool ok = sql->overflow
				  ? err_set(err, ERR_LIMIT, 0, "the table has too many columns")
				  : sql_run(b->stage->cx, doing, buf_cstr(sql), rows, err);

	buf_reset(sql);
	return ok;
}

/* The text that stands for a row. */
static void
add_image(const Stage *s, Buf *sql, const char *prefix, bool staged)
{
	buf_str(sql, "ROW(");
	for (int i = 0; i < s->target->ncols; i++)
	{
		buf_printf(sql, "%s%s.", i ? ", " : "", prefix);
		if (staged)
			buf_printf(sql, "c%d", i + 1);
		else
			pg_add_ident(sql, s->target->cols[i].name);
	}
	buf_str(sql, ")::text COLLATE \"C\"");
}

/* Row values whose number of copies changes: n > 0 come, n < 0 go. */
static bool
make_balance(Bag *b, Buf *sql, Err *err)
{
	Stage *s = b->stage;

	buf_printf(sql,
			   "CREATE TEMP TABLE cdc_s3_bag_%s ON COMMIT DROP AS"
			   " SELECT image, sum(CASE op WHEN 'd' THEN -1 ELSE 1 END) AS n,"
			   " max(rn) AS rn FROM (SELECT ",
			   b->number);
	add_image(s, sql, "s", true);
	buf_printf(sql, " AS image, op, rn FROM %s s", s->name);
	stage_add_condition(s, sql);
	buf_printf(sql,
			   ") x GROUP BY image"
			   " HAVING sum(CASE op WHEN 'd' THEN -1 ELSE 1 END) <> 0;"
			   "ANALYZE cdc_s3_bag_%s (n, rn)",
			   b->number);
	return run(b, "balance the rows", sql, NULL, err);
}

static bool
empty_table(Bag *b, Buf *sql, Err *err)
{
	int64_t rows = 0;

	if (!b->stage->empty_base)
		return true;
	buf_printf(sql, "DELETE FROM %s", b->stage->target->name);
	if (!run(b, "delete rows", sql, &rows, err))
		return false;
	b->out->deleted += rows;
	return true;
}

/* Are rows that should go not there? */
static bool
look_for_missing(Bag *b, Buf *sql, bool *refused, Err *err)
{
	PGresult *res;
	bool ok;

	buf_printf(sql,
			   "SELECT FROM cdc_s3_bag_%s d WHERE d.n < 0 AND -d.n >"
			   " (SELECT count(*) FROM cdc_s3_hit_%s h"
			   "  WHERE h.image = d.image) LIMIT 1",
			   b->number, b->number);
	ok = sql_query(b->stage->cx, "look for missing rows", buf_cstr(sql), &res,
				   err);
	buf_reset(sql);
	if (!ok)
		return false;
	*refused = PQntuples(res) > 0;
	PQclear(res);
	return true;
}

static bool
delete_rows(Bag *b, Buf *sql, bool *refused, Err *err)
{
	Stage *s = b->stage;
	const char *name = s->target->name;
	int64_t hits = 0;
	int64_t rows = 0;

	if (s->deletes == 0)
		return true;
	buf_printf(sql,
			   "CREATE TEMP TABLE cdc_s3_hit_%s ON COMMIT DROP AS"
			   " SELECT oid, tid, image FROM (SELECT t.tableoid AS oid,"
			   " t.ctid AS tid, d.image, d.n,"
			   " row_number() OVER (PARTITION BY d.image) AS k"
			   " FROM %s t JOIN cdc_s3_bag_%s d ON ",
			   b->number, name, b->number);
	add_image(s, sql, "t", false);
	buf_printf(sql,
			   " = d.image WHERE d.n < 0) x WHERE k <= -n;"
			   "ANALYZE cdc_s3_hit_%s",
			   b->number);
	if (!run(b, "find rows to delete", sql, &hits, err) ||
		!look_for_missing(b, sql, refused, err))
		return false;
	if (*refused)
		return true;
	buf_printf(sql,
			   "DELETE FROM %s t USING cdc_s3_hit_%s h"
			   " WHERE t.tableoid = h.oid AND t.ctid = h.tid",
			   name, b->number);
	if (!run(b, "delete rows", sql, &rows, err))
		return false;
	b->out->deleted += rows;
	return true;
}

static bool
insert_rows(Bag *b, Buf *sql, Err *err)
{
	Stage *s = b->stage;
	int64_t rows = 0;

	buf_printf(sql, "INSERT INTO %s ", s->target->name);
	if (s->target->ncols > 0)
	{
		buf_byte(sql, '(');
		apply_add_names(s, sql);
		buf_str(sql, ") OVERRIDING SYSTEM VALUE ");
	}
	buf_str(sql, "SELECT ");
	apply_add_columns(s, sql, "st");
	buf_printf(sql,
			   " FROM cdc_s3_bag_%s d JOIN %s st ON st.rn = d.rn"
			   " CROSS JOIN generate_series(1, d.n) WHERE d.n > 0",
			   b->number, s->name);
	if (!run(b, "insert rows", sql, &rows, err))
		return false;
	b->out->inserted += rows;
	return true;
}

bool
apply_bag(Stage *stage, MergeTable *out, bool *refused, Err *err)
{
	Bag b = { stage, stage->name + sizeof("pg_temp.cdc_s3_stage_") - 1, out };
	Buf sql;
	bool ok;

	*refused = false;
	buf_init(&sql, SQL_MAX);
	ok = make_balance(&b, &sql, err) && empty_table(&b, &sql, err) &&
		 delete_rows(&b, &sql, refused, err) &&
		 (*refused || insert_rows(&b, &sql, err));
	buf_done(&sql);
	return ok;
}
