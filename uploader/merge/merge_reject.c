/*-------------------------------------------------------------------------
 * merge_reject.c
 *	  cdc_s3.rejected: what is kept there of a change that was refused.
 *
 * Layer: merge.
 *-------------------------------------------------------------------------
 */
#include "merge/merge_reject.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codec/json.h"

#define NUMBER_MAX 40
#define ROW_KEPT_MAX ((size_t) 16 << 20) /* what is longer is cut */
#define FIELDS_BEFORE 6                  /* of a staging row: rn … unk */
#define FIELD_UNK 5

static const char insert_sql[] =
	"INSERT INTO cdc_s3.rejected (system_identifier, database, slot,"
	" source_schema, source_table, lsn, seq, op, \"row\", old_key, new_key,"
	" unchanged, sqlstate, reason, schema_hash)";

bool
reject_create(MergeCx *cx, Err *err)
{
	PGresult *res;
	bool have;

	if (!sql_query(cx, "look for the columns of cdc_s3.rejected",
				   "SELECT count(*) = 4 FROM pg_attribute"
				   " WHERE attrelid = 'cdc_s3.rejected'::regclass"
				   " AND attname IN ('old_key', 'new_key', 'unchanged',"
				   " 'schema_hash') AND NOT attisdropped",
				   &res, err))
		return false;
	have = PQgetvalue(res, 0, 0)[0] == 't';
	PQclear(res);
	return have ||
		   sql_run(cx, "add columns to cdc_s3.rejected",
				   "ALTER TABLE cdc_s3.rejected"
				   " ADD COLUMN IF NOT EXISTS old_key jsonb,"
				   " ADD COLUMN IF NOT EXISTS new_key jsonb,"
				   " ADD COLUMN IF NOT EXISTS unchanged text[],"
				   " ADD COLUMN IF NOT EXISTS schema_hash text;"
				   /* a hash takes keys of any length */
				   "CREATE INDEX IF NOT EXISTS rejected_old_key"
				   " ON cdc_s3.rejected USING hash (old_key);"
				   "CREATE INDEX IF NOT EXISTS rejected_new_key"
				   " ON cdc_s3.rejected USING hash (new_key);"
				   "CREATE INDEX IF NOT EXISTS rejected_position"
				   " ON cdc_s3.rejected (source_schema, source_table, lsn,"
				   " seq)",
				   NULL, err);
}

static bool
stop_here(const RejectTo *s, RecordPos pos, const char *reason, Err *err)
{
	err_set(err, ERR_TARGET, 0,
			"row of table \"%s.%s\" at LSN " LSN_FMT
			", ordinal %lld was refused: %s",
			s->table->schema, s->table->table, LSN_ARGS(pos.lsn),
			(long long) pos.seq, reason);
	return err_hint(err, "mend the target, or set merge.on_reject=continue: "
						 "such rows then go to cdc_s3.rejected");
}

/*
 * Labels of a row that the target's enums lack, and composite types that may
 * have got attributes: of columns whose type has the name of the source's.
 */
static const char lacks_sql[] =
	"SELECT a.attname, n.nspname, t.typname, CASE e.typtype"
	"  WHEN 'e' THEN format('ALTER TYPE %s ADD VALUE %L', e.oid::regtype,"
	"   l.label)"
	"  ELSE format('ALTER TYPE %s ADD ATTRIBUTE …', e.oid::regtype) END"
	" FROM json_each_text($2::json) j"
	" JOIN pg_attribute a ON a.attrelid = to_regclass($1)"
	"  AND a.attname = j.key AND NOT a.attisdropped"
	" JOIN pg_type t ON t.oid = a.atttypid"
	" JOIN pg_type e ON e.oid = CASE WHEN t.typcategory = 'A' THEN t.typelem"
	"  ELSE t.oid END"
	" JOIN pg_namespace n ON n.oid = t.typnamespace"
	" CROSS JOIN LATERAL unnest(CASE WHEN t.typcategory = 'A'"
	"  THEN j.value::text[] ELSE ARRAY[j.value] END) l(label)"
	" WHERE l.label IS NOT NULL AND (e.typtype = 'c' OR (e.typtype = 'e'"
	"  AND NOT EXISTS (SELECT FROM pg_enum x WHERE x.enumtypid = e.oid"
	"   AND x.enumlabel = l.label))) ORDER BY e.typtype DESC, a.attnum";

static bool
has_type(const Schema *s, const char *column, const char *schema,
		 const char *type)
{
	for (int i = 0; s && i < s->ncols; i++)
	{
		const SchemaColumn *c = &s->cols[i];

		if (strcmp(c->name, column) == 0)
			return strcmp(c->type_schema, schema) == 0 &&
				   strcmp(c->type_name, type) == 0;
	}
	return false;
}

static void
note_reject(const RejectTo *s, const char *reason)
{
	if (!s->cx->why[0])
		(void) snprintf(s->cx->why, sizeof(s->cx->why), "%s", reason);
}

void
reject_add_names(const Target *t, Buf *sql, bool keys)
{
	bool first = true;
	Buf list;

	buf_init(&list, SQL_MAX);
	buf_byte(&list, '{');
	for (int i = 0; i < t->ncols; i++)
	{
		if (keys && !t->cols[i].key)
			continue;
		sql_add_array_item(&list, t->cols[i].name, first);
		first = false;
	}
	buf_byte(&list, '}');
	pg_add_literal(sql, buf_cstr(&list));
	buf_done(&list);
}

/* ---- records, from what COPY was sent ---- */

/* Takes the next field of a COPY line off it; false at the end. */
static bool
take_field(Slice *line, Slice *field)
{
	size_t n = 0;

	if (!line->p)
		return false;
	while (n < line->n && line->p[n] != '\t')
		n++;
	*field = (Slice){ line->p, n };
	*line = n < line->n ? (Slice){ line->p + n + 1, line->n - n - 1 }
						: (Slice){ NULL, 0 };
	return true;
}

/* A field as a JSON string. */
static void
add_string(Slice field, Buf *text, Buf *out)
{
	buf_reset(text);
	for (size_t i = 0; i < field.n; i++)
	{
		uint8_t c = field.p[i];

		if (c == '\\' && i + 1 < field.n)
		{
			c = field.p[++i];
			c = c == 'n' ? '\n' : c == 'r' ? '\r' : c == 't' ? '\t' : c;
		}
		buf_byte(text, c);
	}
	buf_byte(out, '"');
	json_add_escaped(out, text->p, text->n);
	buf_byte(out, '"');
}

/* Is the column (from 1) in a field like "{3,5}"? */
static bool
is_unknown(Slice unk, int column)
{
	int n = 0;

	for (size_t i = 0; i < unk.n; i++)
	{
		if (unk.p[i] >= '0' && unk.p[i] <= '9')
			n = 10 * n + unk.p[i] - '0';
		else if (n == column)
			return true;
		else
			n = 0;
	}
	return n == column;
}

/* The line as a JSON object, and the columns that it does not tell. */
static void
add_object(const RejectTo *s, Slice line, bool keys, Buf *out, Buf *unchanged)
{
	const Target *t = s->target;
	Slice unk = { NULL, 0 };
	Slice field;
	Buf text;
	bool any = false;
	bool left_out = false;

	buf_init(&text, out->max);
	for (int i = 0; i < FIELDS_BEFORE && take_field(&line, &field); i++)
		unk = i == FIELD_UNK ? field : unk;
	buf_byte(out, '{');
	for (int i = 0; i < t->ncols && take_field(&line, &field); i++)
	{
		if (keys && !t->cols[i].key)
			continue;
		if (is_unknown(unk, i + 1))
		{
			if (unchanged)
				sql_add_array_item(unchanged, t->cols[i].name, !left_out);
			left_out = true;
			continue;
		}
		buf_str(out, any ? ", \"" : "\"");
		json_add_escaped(out, (const uint8_t *) t->cols[i].name,
						 strlen(t->cols[i].name));
		buf_str(out, "\": ");
		if (field.n == 2 && memcmp(field.p, "\\N", 2) == 0)
			buf_str(out, "null");
		else
			add_string(field, &text, out);
		any = true;
	}
	buf_byte(out, '}');
	buf_done(&text);
}

/* The first line of some, or the last, without its end. */
static Slice
line_of(Slice rows, bool last)
{
	size_t end = rows.n > 0 ? rows.n - 1 : 0;
	size_t from = 0;

	for (size_t i = 0; i < end; i++)
	{
		if (rows.p[i] != '\n')
			continue;
		if (!last)
			return (Slice){ rows.p, i };
		from = i + 1;
	}
	return (Slice){ rows.p + from, end - from };
}

/* What a line of cdc_s3.rejected holds of a record. */
typedef struct Kept
{
	Buf row;
	Buf old_key;
	Buf new_key;
	Buf unchanged;
} Kept;

static void
kept_init(Kept *k)
{
	buf_init(&k->row, ROW_KEPT_MAX);
	buf_init(&k->old_key, ROW_KEPT_MAX);
	buf_init(&k->new_key, ROW_KEPT_MAX);
	buf_init(&k->unchanged, SQL_MAX);
}

static void
kept_done(Kept *k)
{
	buf_done(&k->row);
	buf_done(&k->old_key);
	buf_done(&k->new_key);
	buf_done(&k->unchanged);
}

static void
keep_keys(const RejectTo *s, const Refused *r, Kept *k)
{
	Slice keys = r->keys.n > 0 ? r->keys : r->rows;

	if (keys.n == 0 || (!s->target->has_key && r->op != 'u'))
		return;
	if (r->op == 'u' || r->op == 'd')
		add_object(s, line_of(keys, false), s->target->has_key, &k->old_key,
				   NULL);
	if (r->op != 'd' && s->target->has_key)
		add_object(s, line_of(keys, true), true, &k->new_key, NULL);
}

/* Cut where it is too long, and as text that any database takes. */
static void
keep_line(Slice line, Kept *k)
{
	buf_reset(&k->row);
	k->row.overflow = false;
	for (size_t i = 0; i < line.n && i < ROW_KEPT_MAX - 1; i++)
		buf_byte(&k->row,
				 line.p[i] >= 0x80 || line.p[i] == 0 ? '?' : line.p[i]);
}

static bool
insert_record(const RejectTo *s, const Refused *r, const Kept *k, bool readable,
			  Err *err)
{
	char lsn[NUMBER_MAX];
	char seq[NUMBER_MAX];
	char op[2] = { r->op, '\0' };
	const char *values[] = { s->cx->system_identifier,
							 s->cx->database,
							 s->cx->slot,
							 s->table->schema,
							 s->table->table,
							 lsn,
							 seq,
							 op,
							 buf_cstr(&k->row),
							 k->old_key.n > 0 ? buf_cstr(&k->old_key) : NULL,
							 k->new_key.n > 0 ? buf_cstr(&k->new_key) : NULL,
							 readable ? buf_cstr(&k->unchanged) : NULL,
							 r->state,
							 r->reason,
							 r->hash };
	char sql[512];

	/* all fit */
	(void) snprintf(lsn, sizeof(lsn), LSN_FMT, LSN_ARGS(r->pos.lsn));
	(void) snprintf(seq, sizeof(seq), "%lld", (long long) r->pos.seq);
	(void) snprintf(sql, sizeof(sql),
					"%s VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11,"
					" $12, $13, $14, $15)",
					insert_sql);
	return sql_params(s->cx, "keep a rejected row", sql, 15, values, NULL, err);
}

/*
 * The row is from before its column had the type that it has now: it may well
 * not fit, and the table is to be loaded anew (merge_run.c).
 */
static bool
is_recast(const PlanTable *t, RecordPos pos)
{
	return t->recast && !record_pos_after(pos, t->recast_pos);
}

/*
 * True where the row was refused since a type of the target is not what it is
 * at the source: what it lacks is noted, and the table can wait.
 */
static bool
lacks_something(const RejectTo *s, const Refused *r, Err *err)
{
	MergeCx *cx = s->cx;
	Buf name;
	Buf row;
	const char *values[2];
	PGresult *res = NULL;
	bool found = false;

	if (strcmp(r->state, "22P02") != 0 || r->rows.n == 0 || cx->opt->preview ||
		s->table->relation_id == 0 || !sql_savepoint(cx, "cdc_s3_lacks", err))
		return false;
	buf_init(&name, SQL_MAX);
	buf_init(&row, ROW_KEPT_MAX);
	sql_add_qualified(&name, s->target->schema, s->target->table);
	add_object(s, line_of(r->rows, true), false, &row, NULL);
	values[0] = buf_cstr(&name);
	values[1] = buf_cstr(&row);
	if (!row.overflow &&
		sql_params(cx, "look what types lack", lacks_sql, 2, values, &res, err))
	{
		for (int i = 0; !found && i < PQntuples(res); i++)
		{
			if (!has_type(s->table->now, PQgetvalue(res, i, 0),
						  PQgetvalue(res, i, 1), PQgetvalue(res, i, 2)))
				continue;
			found = true;
			cx->lacks_of = s->table->relation_id;
			(void) snprintf(cx->lacks, sizeof(cx->lacks), "%s; -- %s",
							PQgetvalue(res, i, 3), r->reason); /* may be cut */
		}
		PQclear(res);
	}
	buf_done(&name);
	buf_done(&row);
	return sql_rollback_to(cx, "cdc_s3_lacks", err) && found;
}

bool
reject_record(const RejectTo *s, const Refused *r, Err *err)
{
	Kept k;
	bool readable = r->rows.n > 0;
	bool ok;

	note_reject(s, r->reason);
	if (!s->goes_on && !is_recast(s->table, r->pos))
	{
		(void) lacks_something(s, r, err); /* merge_run looks at it */
		return stop_here(s, r->pos, r->reason, err);
	}
	kept_init(&k);
	buf_byte(&k.unchanged, '{');
	if (readable)
		add_object(s, line_of(r->rows, true),
				   r->op == 'd' && s->target->has_key, &k.row, &k.unchanged);
	else
		buf_add(&k.row, r->line.p, r->line.n);
	buf_byte(&k.unchanged, '}');
	keep_keys(s, r, &k);
	ok = sql_savepoint(s->cx, "cdc_s3_reject", err);
	if (!ok)
		goto done;
	if (!k.row.overflow && !k.old_key.overflow && !k.new_key.overflow &&
		memchr(buf_cstr(&k.row), 0, k.row.n) == NULL &&
		insert_record(s, r, &k, readable, err))
		ok = sql_release(s->cx, "cdc_s3_reject", err);
	else
	{
		keep_line(r->line, &k);
		buf_reset(&k.old_key);
		buf_reset(&k.new_key);
		ok = sql_rollback_to(s->cx, "cdc_s3_reject", err) &&
			 insert_record(s, r, &k, false, err);
	}

done:
	kept_done(&k);
	return ok;
}

/* ---- staged rows ---- */

/* ARRAY[f.c1::text, …]: of all columns, or of the key. */
static void
add_values(const RejectTo *s, const char *prefix, bool keys, Buf *sql)
{
	bool first = true;

	buf_str(sql, "ARRAY[");
	for (int i = 0; i < s->target->ncols; i++)
	{
		if (keys && !s->target->cols[i].key)
			continue;
		/* as the source has it */
		buf_printf(sql, "%s%s.%s%d::text", first ? "" : ", ", prefix,
				   s->target->cols[i].form.type ? "k" : "c", i + 1);
		first = false;
	}
	buf_str(sql, "]::text[]");
}

static void
add_key_object(const RejectTo *s, const char *prefix, bool keys, Buf *sql)
{
	buf_str(sql, "jsonb_object(");
	reject_add_names(s->target, sql, keys);
	buf_str(sql, ", ");
	add_values(s, prefix, keys, sql);
	buf_byte(sql, ')');
}

/* A subquery with the row as one JSON object, its column "j". */
static void
add_row_object(const RejectTo *s, Buf *sql)
{
	buf_str(sql, "(SELECT coalesce(json_object_agg(u.n, u.v ORDER BY u.i),"
				 " '{}')::text AS j FROM unnest(");
	reject_add_names(s->target, sql, false);
	buf_str(sql, "::text[], ");
	add_values(s, "f", false, sql);
	buf_str(sql, ") WITH ORDINALITY u (n, v, i)"
				 " WHERE u.i <> ALL (coalesce(f.unk, '{}'))");
	if (s->target->has_key)
	{
		buf_str(sql, " AND (f.op <> 'd' OR u.n = ANY (");
		reject_add_names(s->target, sql, true);
		buf_str(sql, "))");
	}
	buf_byte(sql, ')');
}

/* old_key, new_key; o is the old row where there is one. */
static void
add_keys(const RejectTo *s, Buf *sql)
{
	if (!s->target->has_key)
	{
		buf_str(sql, "CASE WHEN o.rn IS NOT NULL THEN ");
		add_key_object(s, "o", false, sql);
		buf_str(sql, " END, NULL");
		return;
	}
	buf_str(sql, "CASE WHEN f.op IN ('i', 'r') THEN NULL"
				 " WHEN o.rn IS NOT NULL THEN ");
	add_key_object(s, "o", true, sql);
	buf_str(sql, " ELSE ");
	add_key_object(s, "f", true, sql);
	buf_str(sql, " END, CASE WHEN f.op <> 'd' THEN ");
	add_key_object(s, "f", true, sql);
	buf_str(sql, " END");
}

/* $1 to $5: source and table; $6 row; $7 SQLSTATE, $8 reason, $9 hash. */
static void
add_insert(const RejectTo *s, Buf *sql)
{
	buf_printf(sql,
			   "%s SELECT $1, $2, $3, $4, $5, f.lsn, f.seq,"
			   " CASE WHEN o.rn IS NOT NULL THEN 'u' ELSE f.op::text END,"
			   " left(r.j, %zu), ",
			   insert_sql, ROW_KEPT_MAX);
	add_keys(s, sql);
	buf_printf(sql,
			   ", CASE WHEN octet_length(r.j) <= %zu THEN"
			   " ARRAY(SELECT (",
			   ROW_KEPT_MAX);
	reject_add_names(s->target, sql, false);
	buf_printf(sql,
			   "::text[])[k] FROM unnest(f.unk) k) END, $7, $8, $9"
			   " FROM %s f LEFT JOIN %s o ON o.rn = f.rn - 1"
			   " AND o.lsn = f.lsn AND o.seq = f.seq AND o.op = '%c'"
			   " AND f.op = '%c' CROSS JOIN LATERAL ",
			   s->stage, s->stage, s->target->has_key ? 'm' : 'd',
			   s->target->has_key ? 'n' : 'i');
	add_row_object(s, sql);
	buf_str(sql, " r WHERE f.rn = $6::int8");
}

/* Where it stops the run: what the message says. */
static bool
stop_at(const RejectTo *s, int64_t rn, const char *reason, Err *err)
{
	char sql[128];
	PGresult *res;
	RecordPos pos = { 0, 0 };

	(void) snprintf(sql, sizeof(sql),
					"SELECT lsn - '0/0'::pg_lsn, seq FROM %s WHERE rn = %lld",
					s->stage, (long long) rn); /* fits */
	if (!sql_query(s->cx, "read a refused row", sql, &res, err))
		return false;
	if (PQntuples(res) > 0)
		pos = (RecordPos){ strtoull(PQgetvalue(res, 0, 0), NULL, 10),
						   strtoll(PQgetvalue(res, 0, 1), NULL, 10) };
	PQclear(res);
	return stop_here(s, pos, reason, err);
}

bool
reject_staged(const RejectTo *s, int64_t rn, bool again, const char *state,
			  const char *reason, Err *err)
{
	char number[NUMBER_MAX];
	const char *values[] = { s->cx->system_identifier,
							 s->cx->database,
							 s->cx->slot,
							 s->table->schema,
							 s->table->table,
							 number,
							 state,
							 reason,
							 s->hash };
	Buf sql;
	bool ok;

	note_reject(s, reason);
	if (!s->goes_on && !again)
		return stop_at(s, rn, reason, err);
	(void) snprintf(number, sizeof(number), "%lld", (long long) rn); /* fits */
	buf_init(&sql, SQL_MAX);
	add_insert(s, &sql);
	ok = sql_params(s->cx, "keep a rejected row", buf_cstr(&sql), 9, values,
					NULL, err);
	buf_done(&sql);
	return ok;
}
