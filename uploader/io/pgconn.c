/*-------------------------------------------------------------------------
 * pgconn.c
 *	  Connections to PostgreSQL over libpq, with our errors.
 *
 * Layer: io.
 *-------------------------------------------------------------------------
 */
#include "io/pgconn.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define SQL_MAX_BYTES (1024 * 1024)

/*
 * Settings pinned at connection start, but of a target.  A replication
 * connection takes them too; the plugin pins its own besides.
 */
#define PINNED                                                                 \
	"-c search_path= -c datestyle=ISO -c intervalstyle=postgres "              \
	"-c extra_float_digits=3 -c bytea_output=hex -c timezone=UTC "             \
	"-c statement_timeout=0 -c idle_in_transaction_session_timeout=0 "         \
	"-c lock_timeout=0"

const char pg_begin_target[] =
	"BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE NOT DEFERRABLE;"
	"SET LOCAL statement_timeout = 0;"
	"SET LOCAL idle_in_transaction_session_timeout = 0;"
	"SET LOCAL search_path = ''";

/*
 * All settings of the classes "Client Connection Defaults", "Compatibility"
 * and "Error Handling" that a role may set and that change the meaning of
 * text, of a statement, or of an error; of those that the server knows.
 */
#define PIN_SETTINGS(local, more)                                              \
	"SELECT pg_catalog.count(pg_catalog.set_config(p.name, v.s, " local        \
	")) FROM (VALUES ('array_nulls', 'on'), ('backslash_quote',"               \
	" 'safe_encoding'), ('bytea_output', 'hex'), ('client_encoding',"          \
	" 'UTF8'), ('client_min_messages', 'warning'), ('DateStyle',"              \
	" 'ISO, MDY'), ('exit_on_error', 'off'), ('extra_float_digits', '3'),"     \
	" ('gin_fuzzy_search_limit', '0'), ('IntervalStyle', 'postgres'),"         \
	" ('lc_monetary', 'C'), ('lock_timeout', '0'),"                            \
	" ('quote_all_identifiers', 'off'), ('row_security', 'off'),"              \
	" ('standard_conforming_strings', 'on'), ('TimeZone', 'UTC'),"             \
	" ('timezone_abbreviations', 'Default'),"                                  \
	" ('transaction_timeout', '0'), ('transform_null_equals', 'off'),"         \
	" ('xmlbinary', 'base64'), ('xmloption', 'content')" more ") v (n, s)"     \
	" JOIN pg_catalog.pg_settings p ON p.name = v.n"                           \
	" WHERE p.setting <> v.s"

const char pg_pin_target[] = PIN_SETTINGS("true", "");

const char pg_pin_source[] =
	PIN_SETTINGS("false", ", ('search_path', ''), ('statement_timeout', '0'),"
						  " ('idle_in_transaction_session_timeout', '0'),"
						  " ('idle_session_timeout', '0')");

/* SQLSTATEs (prefixes) after which the same thing may work later. */
static const char *const transient_states[] = { "08",    "53",    "57P01",
												"57P02", "57P03", "55006",
												"40",    "55P03", NULL };

static bool
state_is(const char *state, const char *prefix)
{
	return strncmp(state, prefix, strlen(prefix)) == 0;
}

bool
pg_state_is_transient(const char *state)
{
	for (int i = 0; transient_states[i]; i++)
	{
		if (state_is(state, transient_states[i]))
			return true;
	}
	return false;
}

static ErrKind
role_kind(PgRole role)
{
	return role == PG_TARGET ? ERR_TARGET : ERR_SOURCE;
}

/* One line: libpq's message without "ERROR:  " and without its line ends. */
static void
one_line(const char *msg, char *out, size_t size)
{
	size_t n = 0;
	static const char *const prefixes[] = { "ERROR:  ", "FATAL:  ",
											"PANIC:  " };

	for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++)
	{
		if (strncmp(msg, prefixes[i], strlen(prefixes[i])) == 0)
			msg += strlen(prefixes[i]);
	}
	for (; *msg && n + 1 < size; msg++)
	{
		bool space = *msg == '\n' || *msg == '\t' || *msg == ' ';

		if (space && n > 0 && out[n - 1] != ' ')
			out[n++] = ' ';
		else if (!space)
			out[n++] = *msg;
	}
	while (n > 0 && out[n - 1] == ' ')
		n--;
	out[n] = '\0';
}

bool
pg_error(PGconn *conn, const PGresult *res, PgRole role, const char *doing,
		 Err *err)
{
	const char *state = res ? PQresultErrorField(res, PG_DIAG_SQLSTATE) : NULL;
	const char *primary =
		res ? PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY) : NULL;
	const char *hint =
		res ? PQresultErrorField(res, PG_DIAG_MESSAGE_HINT) : NULL;
	char msg[512];

	one_line(primary ? primary : PQerrorMessage(conn), msg, sizeof(msg));
	if (state && state_is(state, "28"))
		err_set(err, ERR_AUTH, 0, "could not %s: %s (SQLSTATE %s)", doing, msg,
				state);
	else if (state)
		err_set(err, role_kind(role),
				pg_state_is_transient(state) ? PG_TRANSIENT : 0,
				"could not %s: %s (SQLSTATE %s)", doing, msg, state);
	else /* the connection broke */
		err_set(err, role_kind(role), PG_TRANSIENT, "could not %s: %s", doing,
				msg[0] ? msg : "the connection was lost");
	if (hint)
		err_hint(err, "%s", hint);
	return false;
}

static bool
contains(const char *msg, const char *word)
{
	return strstr(msg, word) != NULL;
}

/* Words of a server, or of a pooler before it, that has no room right now. */
static bool
is_busy(const char *msg)
{
	static const char *const words[] = {
		"too many clients",     /* 53300 */
		"too many connections", /* of a role, a database */
		"slots are reserved",   /* the last ones */
		"is starting up",       /* 57P03 */
		"is shutting down",
		"not accepting connections",
		"not yet accepting",
		"in recovery mode",
		"no more connections allowed", /* pgbouncer */
		"query_wait_timeout",
		"server login has been failing",
		"pgbouncer cannot connect",
	};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (contains(msg, words[i]))
			return true;
	return false;
}

/*
 * libpq gives no SQLSTATE for a connection that failed, so the server's
 * words decide (they may be in another language: then it is a plain error).
 */
static bool
connect_error(PGconn *conn, PgRole role, Err *err)
{
	char msg[512];
	const char *side = role == PG_TARGET ? "target" : "source";
	bool busy;

	one_line(PQerrorMessage(conn), msg, sizeof(msg));
	busy = is_busy(msg);
	if (role == PG_TARGET && busy)
	{
		err_set(err, ERR_BUSY, 0, "could not connect to the %s server: %s",
				side, msg);
		return err_hint(err, "try again later");
	}
	if (!busy &&
		(contains(msg, "password") || contains(msg, "authentication") ||
		 contains(msg, "no pg_hba.conf entry") || contains(msg, "role \"")))
	{
		err_set(err, ERR_AUTH, 0, "could not connect to the %s server: %s",
				side, msg);
		return err_hint(err,
						"correct %s.conninfo, or give the password by "
						"PGPASSWORD or PGPASSFILE",
						side);
	}
	err_set(err, role_kind(role), PG_TRANSIENT,
			"could not connect to the %s server: %s", side, msg);
	if (!busy && contains(msg, "database \""))
	{
		err->code = 0;
		return err_hint(err, "correct dbname in %s.conninfo", side);
	}
	return err_hint(err, "start the server, or correct %s.conninfo", side);
}

bool
pg_connect(const char *conninfo, PgRole role, PGconn **out, Err *err)
{
	const char *keys[] = { "application_name", "options",
						   "dbname",           "replication",
						   "client_encoding",  "keepalives_idle",
						   "connect_timeout",  NULL };
	const char *values[] = {
		"cdc-s3", role == PG_TARGET ? NULL : PINNED,
		conninfo, role == PG_SOURCE_REPLICATION ? "database" : NULL,
		"UTF8",   "30",
		"30",     NULL
	};
	PGconn *conn;

	/* expand_dbname: conninfo stands behind, so it overrides what is above */
	conn = PQconnectdbParams(keys, values, 1);
	if (PQstatus(conn) != CONNECTION_OK)
	{
		connect_error(conn, role, err);
		PQfinish(conn);
		return false;
	}
	PQsetErrorVerbosity(conn, PQERRORS_DEFAULT);
	*out = conn;
	return true;
}

bool
pg_exec_params(PGconn *conn, PgRole role, const char *doing, const char *sql,
			   int nparams, const char *const *values, PGresult **out, Err *err)
{
	PGresult *res;
	ExecStatusType status;

	if (nparams > 0)
		res = PQexecParams(conn, sql, nparams, NULL, values, NULL, NULL, 0);
	else
		res = PQexec(conn, sql);
	status = PQresultStatus(res);
	if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK &&
		status != PGRES_COPY_IN && status != PGRES_COPY_OUT &&
		status != PGRES_COPY_BOTH && status != PGRES_EMPTY_QUERY)
	{
		pg_error(conn, res, role, doing, err);
		PQclear(res);
		return false;
	}
	if (out)
		*out = res;
	else
		PQclear(res);
	return true;
}

bool
pg_exec(PGconn *conn, PgRole role, const char *doing, const char *sql,
		PGresult **out, Err *err)
{
	return pg_exec_params(conn, role, doing, sql, 0, NULL, out, err);
}

static void
add_quoted(Buf *out, const char *s, char quote)
{
	buf_byte(out, (uint8_t) quote);
	for (; *s; s++)
	{
		if (*s == quote)
			buf_byte(out, (uint8_t) quote);
		buf_byte(out, (uint8_t) *s);
	}
	buf_byte(out, (uint8_t) quote);
}

void
pg_add_ident(Buf *out, const char *name)
{
	add_quoted(out, name, '"');
}

void
pg_add_literal(Buf *out, const char *value)
{
	/* E'' so that a backslash means the same under any setting */
	if (strchr(value, '\\') == NULL)
	{
		add_quoted(out, value, '\'');
		return;
	}
	buf_str(out, " E'");
	for (; *value; value++)
	{
		if (*value == '\'' || *value == '\\')
			buf_byte(out, (uint8_t) *value);
		buf_byte(out, (uint8_t) *value);
	}
	buf_byte(out, '\'');
}

bool
pg_conninfo_has_password(const char *conninfo)
{
	char *msg = NULL;
	PQconninfoOption *opts = PQconninfoParse(conninfo, &msg);
	bool found = false;

	PQfreemem(msg);
	for (PQconninfoOption *o = opts; o && o->keyword; o++)
	{
		if (o->val && o->val[0] &&
			(strcmp(o->keyword, "password") == 0 ||
			 strcmp(o->keyword, "sslpassword") == 0))
			found = true;
	}
	PQconninfoFree(opts);
	return found;
}
