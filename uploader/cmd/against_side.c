/*-------------------------------------------------------------------------
 * against_side.c
 *	  A server's rows, as records of the same form as the lake's.
 *
 * They are read as a load reads them, and written as a load's records are.
 * Layer: cmd.
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include "cmd/against.h"
#include "codec/json.h"
#include "pipe/copyrow.h"
#include "pipe/describe.h"

#define QUERY_MAX ((size_t) 16 << 20)
#define LINE_BYTES_MAX ((size_t) 1 << 30)

typedef struct Reading
{
	AgainstSide *side;
	const Schema *schema;
	CopyReader reader;
	JsonTable *form;
	JsonWriter *writer;
	Buf line;
	Record record;
	bool begun;
	SideFn fn;
	void *arg;
} Reading;

static bool
failed(const AgainstSide *s, const PGresult *res, const char *doing, Err *err)
{
	const char *state = res ? PQresultErrorField(res, PG_DIAG_SQLSTATE) : NULL;

	pg_error(s->conn, res, s->role, doing, err);
	if (atomic_load(s->stop))
		return err_set(err, ERR_STOP, 0, "stopped");
	if (state && strcmp(state, "42501") == 0)
		return err_hint(err, "grant SELECT on it to the role; where row "
							 "security hides rows, ALTER ROLE ... BYPASSRLS; "
							 "or leave it out with --table");
	if (state && pg_state_is_transient(state))
		err->kind = ERR_BUSY;
	return false;
}

/* Sends the statement; NULL where it fails, else its result. */
static PGresult *
ask(AgainstSide *s, const char *doing, const char *sql, Err *err)
{
	ExecStatusType status;
	PGresult *res;

	if (!PQsendQuery(s->conn, sql))
	{
		(void) failed(s, NULL, doing, err);
		return NULL;
	}
	res = pg_take(s->conn);
	status = PQresultStatus(res);
	if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK ||
		status == PGRES_COPY_OUT)
		return res;
	(void) failed(s, res, doing, err);
	PQclear(res);
	return NULL;
}

bool
side_query(AgainstSide *s, const char *doing, const char *sql, PGresult **out,
		   Err *err)
{
	PGresult *res = ask(s, doing, sql, err);

	if (!res)
		return false;
	if (out)
		*out = res;
	else
		PQclear(res);
	return true;
}

bool
side_encoding(AgainstSide *s, Err *err)
{
	PGresult *res;

	if (!side_query(s, "ask for the server's encoding",
					"SELECT pg_catalog.current_setting('server_encoding')",
					&res, err))
		return false;
	s->raw_text = strcmp(PQgetvalue(res, 0, 0), "SQL_ASCII") == 0;
	PQclear(res);
	return true;
}

bool
side_describe(AgainstSide *s, const WantedTable *t, Schema **out, Err *err)
{
	bool ok = describe_table(s->conn, t, out, err);

	if (!ok && err->kind == ERR_SOURCE && s->role == PG_TARGET)
		err->kind = ERR_TARGET;
	return ok;
}

/* ---- rows ---- */

static void
reading_begin(Reading *r, AgainstSide *s, const Schema *schema, SideFn fn,
			  void *arg)
{
	const FormatOptions options = { .raw_text = s->raw_text };
	RowShape *shape = row_shape_new(schema);

	*r = (Reading){ .side = s, .schema = schema, .fn = fn, .arg = arg };
	copy_reader_init(&r->reader, shape);
	row_shape_free(shape);
	r->form = json_table_new(schema, &options);
	r->writer = json_writer_new(r->form);
	buf_init(&r->line, LINE_BYTES_MAX);
	record_init(&r->record);
}

static void
reading_done(Reading *r)
{
	record_done(&r->record);
	buf_done(&r->line);
	json_writer_free(r->writer);
	json_table_free(r->form);
	copy_reader_done(&r->reader);
}

static bool
take_message(Reading *r, Slice msg, Err *err)
{
	Change change = { .op = 'r', .seq = 1 };
	RowView row;
	Slice tuple;

	if (!copy_next_tuple(&r->begun, msg, &tuple, err))
		return false;
	if (tuple.n == 0)
		return true;
	if (!copy_reader_row(&r->reader, tuple, &row, err))
		return false;
	change.row = &row;
	buf_reset(&r->line);
	json_write(r->writer, &change, &r->line);
	if (r->line.overflow)
		return err_set(err, ERR_LIMIT, 0, "a row is longer than %zu MB",
					   LINE_BYTES_MAX >> 20);
	while (r->line.n > 0 && r->line.p[r->line.n - 1] == '\n')
		r->line.n--;
	return record_parse(&r->record, r->schema, buf_slice(&r->line), err) &&
		   r->fn(r->arg, &r->record, err);
}

static bool
read_copy(Reading *r, Err *err)
{
	PGconn *conn = r->side->conn;

	for (;;)
	{
		char *data = NULL;
		int n = PQgetCopyData(conn, &data, 1);
		bool ok;

		if (atomic_load(r->side->stop))
		{
			PQfreemem(data);
			return err_set(err, ERR_STOP, 0, "stopped");
		}
		if (n == -1)
			return true;
		if (n < -1)
			return failed(r->side, NULL, "read a table", err);
		if (n == 0)
		{
			if (!pg_wait_input(conn) || !PQconsumeInput(conn))
				return failed(r->side, NULL, "read a table", err);
			continue;
		}
		ok =
			take_message(r, (Slice){ (const uint8_t *) data, (size_t) n }, err);
		PQfreemem(data);
		if (!ok)
			return false;
	}
}

static bool
end_copy(Reading *r, Err *err)
{
	PGresult *res;
	bool ok = true;

	while ((res = PQgetResult(r->side->conn)) != NULL)
	{
		if (ok && PQresultStatus(res) != PGRES_COMMAND_OK)
			ok = failed(r->side, res, "read a table", err);
		PQclear(res);
	}
	return ok;
}

static bool
copy(Reading *r, const char *sql, Err *err)
{
	PGresult *res = ask(r->side, "read a table", sql, err);

	if (!res)
		return false;
	PQclear(res);
	return read_copy(r, err) && end_copy(r, err);
}

bool
side_rows(AgainstSide *s, const Schema *schema, const WantedTable *t, SideFn fn,
		  void *arg, Err *err)
{
	Reading r;
	Buf sql;
	bool ok;

	buf_init(&sql, QUERY_MAX);
	describe_copy(schema, t, (BlockRange){ 0 }, &sql);
	reading_begin(&r, s, schema, fn, arg);
	ok = copy(&r, buf_cstr(&sql), err);
	reading_done(&r);
	buf_done(&sql);
	return ok || err_prefix(err, "table \"%s.%s\"", t->schema, t->table);
}

bool
side_values(AgainstSide *s, const Schema *schema, const char *const *texts,
			SideFn fn, void *arg, Err *err)
{
	Reading r;
	Buf sql;
	bool ok;

	buf_init(&sql, QUERY_MAX);
	buf_str(&sql, "COPY (SELECT ");
	describe_columns(schema, &sql);
	buf_str(&sql, " FROM (SELECT ");
	for (int i = 0; i < schema->ncols; i++)
	{
		const SchemaColumn *c = &schema->cols[i];

		buf_str(&sql, i ? ", CAST(" : "CAST(");
		if (texts[i])
			pg_add_literal(&sql, texts[i]);
		else
			buf_str(&sql, "NULL");
		buf_str(&sql, " AS ");
		pg_add_ident(&sql, c->type_schema);
		buf_byte(&sql, '.');
		pg_add_ident(&sql, c->type_name);
		buf_str(&sql, ") AS ");
		pg_add_ident(&sql, c->name);
	}
	buf_str(&sql, ") v) TO STDOUT (FORMAT binary)");
	reading_begin(&r, s, schema, fn, arg);
	ok = copy(&r, buf_cstr(&sql), err);
	reading_done(&r);
	buf_done(&sql);
	return ok;
}
