/*-------------------------------------------------------------------------
 * merge_sequence.c
 *	  Sequences of merged tables at the target, moved past the source's.
 *
 * Layer: merge.
 *-------------------------------------------------------------------------
 */
#include "merge/merge_sequence.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "io/source.h"
#include "merge/merge_ahead.h"
#include "merge/merge_range.h"
#include "merge/merge_session.h"
#include "merge/merge_state.h"

typedef struct Sequences
{
	MergeCx cx;
	PGconn *source;
	MergeSequences *out;
	PGresult *tables; /* of cdc_s3.tables: source and target names */
	PGresult *from;   /* columns with sequences at the source */
	PGresult *to;     /* and at the target */
} Sequences;

/*
 * Columns with the sequences that they own or that their default names:
 * schema, table, column, sequence (quoted), its OID, does it go up, is the
 * column an integer, may we read the sequence.
 */
static const char columns_sql[] =
	"WITH s (rel, att, seq) AS ("
	" SELECT d.refobjid, d.refobjsubid, d.objid FROM pg_catalog.pg_depend d"
	"  WHERE d.classid = 'pg_catalog.pg_class'::regclass"
	"  AND d.refclassid = 'pg_catalog.pg_class'::regclass"
	"  AND d.deptype IN ('a', 'i') AND d.refobjsubid > 0"
	" UNION SELECT f.adrelid, f.adnum, d.refobjid"
	"  FROM pg_catalog.pg_attrdef f JOIN pg_catalog.pg_depend d"
	"  ON d.classid = 'pg_catalog.pg_attrdef'::regclass AND d.objid = f.oid"
	"  AND d.refclassid = 'pg_catalog.pg_class'::regclass)"
	"SELECT n.nspname, c.relname, a.attname,"
	" pg_catalog.format('%I.%I', m.nspname, q.relname), s.seq,"
	" p.seqincrement > 0, a.atttypid IN (20, 21, 23) OR t.typbasetype IN"
	" (20, 21, 23), pg_catalog.has_sequence_privilege(s.seq, 'SELECT')"
	" FROM s JOIN pg_catalog.pg_sequence p ON p.seqrelid = s.seq"
	" JOIN pg_catalog.pg_class q ON q.oid = s.seq AND q.relpersistence = 'p'"
	" JOIN pg_catalog.pg_namespace m ON m.oid = q.relnamespace"
	" JOIN pg_catalog.pg_class c ON c.oid = s.rel"
	" JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
	" JOIN pg_catalog.pg_attribute a ON a.attrelid = s.rel"
	"  AND a.attnum = s.att"
	" JOIN pg_catalog.pg_type t ON t.oid = a.atttypid"
	" ORDER BY 1, 2, 3, 4";

/* All sequences of the source that users have. */
static const char all_sql[] =
	"SELECT c.oid, pg_catalog.format('%I.%I', n.nspname, c.relname)"
	" FROM pg_catalog.pg_class c"
	" JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
	" WHERE c.relkind = 'S' AND c.relpersistence = 'p'"
	" AND n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema',"
	" 'cdc_s3') ORDER BY 2";

enum
{
	COL_SCHEMA,
	COL_TABLE,
	COL_COLUMN,
	COL_SEQUENCE,
	COL_OID,
	COL_UP,
	COL_INTEGER,
	COL_READABLE
};

/*
 * Moves sequence $1 (named once more behind FROM) to the first of its own
 * values at or past the source's ($2) and the column's ($3): what it handed
 * out last, what that is now, whether it may be, and whether it was set.  One
 * that was never asked stands one step before its first value.
 */
static const char set_head[] =
	"WITH o AS MATERIALIZED (SELECT s.last_value::numeric - CASE WHEN"
	"  s.is_called THEN 0 ELSE p.seqincrement END AS own,"
	"  CASE WHEN s.is_called THEN s.last_value END AS shown,"
	"  p.seqincrement::numeric AS inc, p.seqmin, p.seqmax, p.seqcycle FROM ";
static const char set_tail[] =
	" s, pg_sequence p WHERE p.seqrelid = $1::oid),"
	" n AS (SELECT *, CASE WHEN inc > 0"
	"  THEN greatest(own, $2::numeric, $3::numeric)"
	"  ELSE least(own, $2::numeric, $3::numeric) END AS need FROM o),"
	" w AS (SELECT *, own + (div(need - own, inc) + CASE WHEN"
	"  mod(need - own, inc) = 0 THEN 0 ELSE 1 END) * inc AS want FROM n),"
	" f AS (SELECT *, want BETWEEN seqmin AND seqmax AND (seqcycle OR"
	"  want + inc BETWEEN seqmin AND seqmax) AS fits FROM w)"
	"SELECT shown, want, want = own OR fits, CASE WHEN want <> own AND fits"
	" THEN setval($1::oid::regclass, want::bigint, true) END FROM f";

/* ---- the source ---- */

/* The database that the lake's log was written from, and no other. */
static bool
check_source(Sequences *s, Err *err)
{
	PGresult *res;
	bool same;

	if (!pg_exec(s->source, PG_SOURCE, "identify the source",
				 "SELECT system_identifier, current_database()"
				 " FROM pg_catalog.pg_control_system()",
				 &res, err))
		return false;
	same = strcmp(PQgetvalue(res, 0, 0), s->cx.system_identifier) == 0 &&
		   strcmp(PQgetvalue(res, 0, 1), s->cx.database) == 0;
	if (!same)
	{
		err_set(err, ERR_USAGE, 0,
				"the lake is of database \"%s\" of system %s, but "
				"source.conninfo leads to database \"%s\" of system %s",
				s->cx.database, s->cx.system_identifier, PQgetvalue(res, 0, 1),
				PQgetvalue(res, 0, 0));
		err_hint(err, "correct source.conninfo or store.url");
	}
	PQclear(res);
	return same;
}

static bool
read_source_end(Sequences *s, Err *err)
{
	Buf text;
	bool ok;

	buf_init(&text, SQL_MAX);
	ok = source_text(s->source, "read the source's position",
					 "SELECT CASE WHEN pg_catalog.pg_is_in_recovery()"
					 " THEN pg_catalog.pg_last_wal_replay_lsn()"
					 " ELSE pg_catalog.pg_current_wal_flush_lsn() END",
					 &text, err);
	if (ok && !lsn_parse(buf_cstr(&text), &s->out->source_at))
		ok = err_set(err, ERR_SOURCE, 0, "the source has no position");
	buf_done(&text);
	return ok;
}

/*
 * The last value that the source's sequence handed out; one that was never
 * asked has none, unless it was told where to begin.
 */
static bool
source_value(Sequences *s, int row, char **out, Err *err)
{
	Buf sql;
	Buf text;
	bool ok;

	buf_init(&sql, SQL_MAX);
	buf_init(&text, SQL_MAX);
	buf_printf(&sql,
			   "SELECT s.last_value::numeric - CASE WHEN s.is_called THEN 0"
			   " ELSE p.seqincrement END FROM %s s, pg_catalog.pg_sequence p"
			   " WHERE p.seqrelid = %s",
			   PQgetvalue(s->from, row, COL_SEQUENCE),
			   PQgetvalue(s->from, row, COL_OID));
	ok = source_text(s->source, "read a sequence", buf_cstr(&sql), &text, err);
	if (ok)
		*out = xstrdup(buf_cstr(&text));
	buf_done(&sql);
	buf_done(&text);
	return ok;
}

/* ---- the target ---- */

/* A merge by groups has to be ended first. */
static bool
check_one_position(MergeCx *cx, PlanFrom *state, Err *err)
{
	bool ok = ahead_read(cx, state, err);

	if (ok && state->naheads > 0)
	{
		ok = err_set(err, ERR_BUSY, 0,
					 "%d tables of the target are at LSN " LSN_FMT
					 ", and the others at " LSN_FMT,
					 state->naheads, LSN_ARGS(state->ahead.lsn),
					 LSN_ARGS(state->position.lsn));
		err_hint(err, "a merge by groups was not ended: run \"cdc-s3 merge\" "
					  "again first");
	}
	ahead_done(state);
	if (!ok)
		state_done(state);
	return ok;
}

/* Where the target stands, and which tables were merged. */
static bool
read_target(Sequences *s, Err *err)
{
	MergeCx *cx = &s->cx;
	const char *values[] = { cx->system_identifier, cx->database, cx->slot };
	PlanFrom state = { .position = { -1, 0 } };
	PGresult *res;
	bool ready;

	if (!sql_query(cx, "look for schema cdc_s3",
				   "SELECT to_regclass('cdc_s3.position') IS NOT NULL"
				   " AND to_regclass('cdc_s3.tables') IS NOT NULL",
				   &res, err))
		return false;
	ready = PQgetvalue(res, 0, 0)[0] == 't';
	PQclear(res);
	if (ready && !state_read(cx, &state, err))
	{
		state_done(&state);
		return false;
	}
	if (ready && !check_one_position(cx, &state, err))
		return false;
	ready = ready && state.position.entry >= 0;
	s->out->merged = state.position.lsn;
	state_done(&state);
	if (!ready)
	{
		err_set(err, ERR_USAGE, 0, "nothing was merged into the target yet");
		return err_hint(err, "run \"cdc-s3 merge\" first");
	}
	return sql_params(cx, "read which tables were merged",
					  "SELECT source_schema, source_table, target_schema,"
					  " target_table FROM cdc_s3.tables"
					  " WHERE (system_identifier, database, slot)"
					  " = ($1, $2, $3) AND target_table IS NOT NULL"
					  " ORDER BY 3, 4",
					  3, values, &s->tables, err) &&
		   sql_query(cx, "read sequences", columns_sql, &s->to, err);
}

/* The largest value of the column, the smallest where the sequence falls. */
static bool
read_largest(Sequences *s, MergeSequence *q, int row, Err *err)
{
	const char *fn = PQgetvalue(s->to, row, COL_UP)[0] == 't' ? "max" : "min";
	PGresult *res;
	Buf sql;
	bool ok;

	if (PQgetvalue(s->to, row, COL_INTEGER)[0] != 't')
		return true;
	buf_init(&sql, SQL_MAX);
	buf_printf(&sql, "SELECT %s(t.", fn);
	pg_add_ident(&sql, q->column);
	buf_str(&sql, ") FROM ");
	sql_add_qualified(&sql, q->schema, q->table);
	buf_str(&sql, " t");
	ok = sql_query(&s->cx, "read a column's largest value", buf_cstr(&sql),
				   &res, err);
	buf_done(&sql);
	if (!ok)
		return false;
	if (!PQgetisnull(res, 0, 0))
		q->largest = xstrdup(PQgetvalue(res, 0, 0));
	PQclear(res);
	return true;
}

static bool
move(Sequences *s, MergeSequence *q, int row, Err *err)
{
	const char *values[] = { PQgetvalue(s->to, row, COL_OID), q->source,
							 q->largest };
	PGresult *res;
	Buf sql;
	bool ok;

	buf_init(&sql, SQL_MAX);
	buf_printf(&sql, "%s%s%s", set_head, q->sequence, set_tail);
	ok = sql_params(&s->cx, "set a sequence", buf_cstr(&sql), 3, values, &res,
					err);
	buf_done(&sql);
	if (!ok)
		return false;
	if (!PQgetisnull(res, 0, 0))
		q->before = xstrdup(PQgetvalue(res, 0, 0));
	q->value = xstrdup(PQgetvalue(res, 0, 1));
	q->moved = !PQgetisnull(res, 0, 3);
	if (PQgetvalue(res, 0, 2)[0] != 't')
		q->why =
			xasprintf("%s would be its last value, or is beyond it", q->value);
	PQclear(res);
	return true;
}

/* Whatever one sequence lacks is its line's alone. */
static bool
set_one(Sequences *s, MergeSequence *q, int row, Err *err)
{
	Err own = { 0 };

	if (!sql_savepoint(&s->cx, "cdc_s3_sequence", err))
		return false;
	if (read_largest(s, q, row, &own) && move(s, q, row, &own))
		return sql_release(&s->cx, "cdc_s3_sequence", err);
	if (own.kind == ERR_STOP || PQstatus(s->cx.conn) == CONNECTION_BAD)
	{
		*err = own;
		return false;
	}
	q->why = xstrdup(own.msg);
	return sql_rollback_to(&s->cx, "cdc_s3_sequence", err);
}

/* ---- both ---- */

static bool
is_column(const PGresult *res, int row, const char *schema, const char *table,
		  const char *column)
{
	return strcmp(PQgetvalue(res, row, COL_TABLE), table) == 0 &&
		   strcmp(PQgetvalue(res, row, COL_SCHEMA), schema) == 0 &&
		   (!column || strcmp(PQgetvalue(res, row, COL_COLUMN), column) == 0);
}

static MergeSequence *
add_line(Sequences *s, int table, const char *column)
{
	MergeSequences *out = s->out;
	MergeSequence *q;

	out->list = xrealloc(out->list, ((size_t) out->n + 1) * sizeof(*out->list));
	q = &out->list[out->n++];
	*q = (MergeSequence){
		.schema = xstrdup(PQgetvalue(s->tables, table, 2)),
		.table = xstrdup(PQgetvalue(s->tables, table, 3)),
		.column = xstrdup(column),
	};
	return q;
}

/*
 * What the source says of the column of a merged table.  A column that owns a
 * sequence and takes its default from another has two: the further one counts.
 */
static bool
take_source(Sequences *s, int table, int row, MergeSequence *q, Err *err)
{
	for (int i = 0; i < PQntuples(s->from); i++)
	{
		bool up = PQgetvalue(s->from, i, COL_UP)[0] == 't';
		char *value;

		if (!is_column(s->from, i, PQgetvalue(s->tables, table, 0),
					   PQgetvalue(s->tables, table, 1), q->column))
			continue;
		if (PQgetvalue(s->from, i, COL_READABLE)[0] != 't')
			q->why = xasprintf("the role may not read %s at the source (GRANT "
							   "SELECT ON SEQUENCE)",
							   PQgetvalue(s->from, i, COL_SEQUENCE));
		else if (up != (PQgetvalue(s->to, row, COL_UP)[0] == 't'))
			q->why = xstrdup("it goes up at one side, and down at the other");
		if (q->why)
			return true;
		if (!source_value(s, i, &value, err))
			return false;
		if (!q->source ||
			(strtoll(value, NULL, 10) > strtoll(q->source, NULL, 10)) == up)
		{
			free(q->source);
			q->source = value;
		}
		else
			free(value);
	}
	return true;
}

/* A sequence of the target, with what the source says of its column. */
static bool
take_target(Sequences *s, int table, int row, Err *err)
{
	const char *column = PQgetvalue(s->to, row, COL_COLUMN);
	MergeSequence *q = add_line(s, table, column);

	q->sequence = xstrdup(PQgetvalue(s->to, row, COL_SEQUENCE));
	return take_source(s, table, row, q, err) &&
		   (q->why || set_one(s, q, row, err));
}

static bool
take_table(Sequences *s, int table, Err *err)
{
	const char *schema = PQgetvalue(s->tables, table, 2);
	const char *name = PQgetvalue(s->tables, table, 3);
	int first = s->out->n;

	for (int i = 0; i < PQntuples(s->to); i++)
	{
		if (is_column(s->to, i, schema, name, NULL) &&
			!take_target(s, table, i, err))
			return false;
	}
	for (int i = 0; i < PQntuples(s->from); i++)
	{
		const char *column = PQgetvalue(s->from, i, COL_COLUMN);
		bool found = false;

		if (!is_column(s->from, i, PQgetvalue(s->tables, table, 0),
					   PQgetvalue(s->tables, table, 1), NULL))
			continue;
		for (int k = first; !found && k < s->out->n; k++)
			found = strcmp(s->out->list[k].column, column) == 0;
		if (!found)
			add_line(s, table, column)->why =
				xstrdup("the column has no sequence at the target");
	}
	return true;
}

/* Does a merged table use the source's sequence of that OID? */
static bool
is_used(const Sequences *s, const char *oid)
{
	for (int i = 0; i < PQntuples(s->from); i++)
	{
		if (strcmp(PQgetvalue(s->from, i, COL_OID), oid) != 0)
			continue;
		for (int t = 0; t < PQntuples(s->tables); t++)
		{
			if (is_column(s->from, i, PQgetvalue(s->tables, t, 0),
						  PQgetvalue(s->tables, t, 1), NULL))
				return true;
		}
	}
	return false;
}

/* Sequences that applications ask by themselves, or of other tables. */
static bool
list_left(Sequences *s, Err *err)
{
	MergeSequences *out = s->out;
	PGresult *res;

	if (!pg_exec(s->source, PG_SOURCE, "read sequences", all_sql, &res, err))
		return false;
	out->left = xcalloc((size_t) PQntuples(res) + 1, sizeof(*out->left));
	for (int i = 0; i < PQntuples(res); i++)
	{
		if (!is_used(s, PQgetvalue(res, i, 0)))
			out->left[out->nleft++] = xstrdup(PQgetvalue(res, i, 1));
	}
	PQclear(res);
	return true;
}

static bool
run(Sequences *s, const char *source, Err *err)
{
	MergeCx *cx = &s->cx;

	if (!sql_connect_source(cx, source, &s->source, err) ||
		!check_source(s, err) || !sql_connect(cx, err) ||
		!session_begin(cx, err) || !state_lock(cx, err) ||
		!read_target(s, err) ||
		!pg_exec(s->source, PG_SOURCE, "read sequences", columns_sql, &s->from,
				 err))
		return false;
	for (int i = 0; i < PQntuples(s->tables); i++)
	{
		if (!take_table(s, i, err))
			return false;
	}
	for (int i = 0; i < s->out->n; i++)
		s->out->failed += s->out->list[i].why != NULL;
	return list_left(s, err) && read_source_end(s, err) &&
		   sql_run(cx, "end a transaction", "COMMIT", NULL, err);
}

bool
merge_sequences(Store *store, const MergeOptions *o, const char *source,
				MergeSequences *out, Err *err)
{
	Entry *first = NULL;
	Progress none;
	Sequences s = { .cx = { .store = store, .opt = o, .progress = &none },
					.out = out };
	bool ok;

	*out = (MergeSequences){ 0 };
	if (!plan_source(store, &first, err))
		return false;
	progress_init(&none, 0, false);
	s.cx.system_identifier = first->system_identifier;
	s.cx.database = first->database;
	s.cx.slot = first->slot;
	ok = run(&s, source, err);
	if (!ok)
		session_judge(&s.cx, err);
	PQclear(s.tables);
	PQclear(s.from);
	PQclear(s.to);
	PQfinish(s.source);
	PQfinish(s.cx.conn);
	entry_free(first);
	if (!ok)
		merge_sequences_done(out);
	return ok;
}

void
merge_sequences_done(MergeSequences *s)
{
	for (int i = 0; i < s->n; i++)
	{
		free(s->list[i].schema);
		free(s->list[i].table);
		free(s->list[i].column);
		free(s->list[i].sequence);
		free(s->list[i].source);
		free(s->list[i].largest);
		free(s->list[i].before);
		free(s->list[i].value);
		free(s->list[i].why);
	}
	free(s->list);
	for (int i = 0; i < s->nleft; i++)
		free(s->left[i]);
	free(s->left);
	*s = (MergeSequences){ 0 };
}
