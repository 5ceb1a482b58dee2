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
#include "io/aside.h"

#define SQL_MAX_BYTES (1024 * 1024)
#define QUESTION_MS 10000 /* is the process at work? */
#define CONNECT_MS 300000 /* of all hosts and names */

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
	if (pg_end(conn) == PG_STOPPED)
		return err_set(err, ERR_STOP, 0, "could not %s: stopped", doing);
	if (pg_end(conn) == PG_SILENT)
		return err_set(err, role_kind(role), PG_TRANSIENT,
					   "could not %s: the %s server says nothing, and does not "
					   "work at it",
					   doing, role == PG_TARGET ? "target" : "source");
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
	if (contains(msg, "does not match host name"))
		return err_hint(err,
						"use in %s.conninfo the host name that the server's "
						"certificate is for, with hostaddr for its address, or "
						"have a certificate issued for this name",
						side);
	return err_hint(err, "start the server, or correct %s.conninfo", side);
}

static PgLoginFn login_fn;

void
pg_set_login(PgLoginFn fn)
{
	login_fn = fn;
}

static void
wipe_str(char **s)
{
	if (*s)
		explicit_bzero(*s, strlen(*s));
	free(*s);
	*s = NULL;
}

void
pg_login_done(PgLogin *login)
{
	wipe_str(&login->password);
	wipe_str(&login->user);
	wipe_str(&login->host);
	wipe_str(&login->port);
}

/*
 * libpq has limits for each host, but none for the lookup of a name, and hears
 * no stop: so it connects aside.
 */
typedef struct Connect
{
	char *conninfo;
	PgLogin login;
	PgRole role;
	PGconn *conn;
} Connect;

static void
connect_run(void *arg)
{
	Connect *c = arg;
	bool target = c->role == PG_TARGET;
	/*
	 * What is not acknowledged for a minute is lost; at a target a full socket
	 * may only mean that a statement waits for a lock.
	 */
	const char *keys[] = { "application_name",
						   "options",
						   "host",
						   "port",
						   "user",
						   "password",
						   "dbname",
						   "replication",
						   "client_encoding",
						   "keepalives_idle",
						   "keepalives_interval",
						   "keepalives_count",
						   "connect_timeout",
						   "tcp_user_timeout",
						   NULL };
	const char *values[] = {
		"cdc-s3",      target ? NULL : PINNED,
		c->login.host, c->login.port,
		c->login.user, c->login.password,
		c->conninfo,   c->role == PG_SOURCE_REPLICATION ? "database" : NULL,
		"UTF8",        "30",
		"10",          "3",
		"30",          target ? NULL : "60000",
		NULL
	};

	/* expand_dbname: conninfo's words count more than those before it */
	c->conn = PQconnectdbParams(keys, values, 1);
}

static void
connect_drop(void *arg)
{
	Connect *c = arg;

	PQfinish(c->conn);
	pg_login_done(&c->login);
	free(c->conninfo);
	free(c);
}

static bool
connect_left(const PgWait *wait, PgRole role, Err *err)
{
	const char *side = role == PG_TARGET ? "target" : "source";

	if (wait && wait->stopped && wait->stopped(wait->arg))
		return err_set(err, ERR_STOP, 0,
					   "stopped while connecting to the %s server", side);
	err_set(err, role == PG_TARGET ? ERR_BUSY : ERR_SOURCE, PG_TRANSIENT,
			"could not connect to the %s server: no answer", side);
	return err_hint(err, "start the server, or correct %s.conninfo", side);
}

/*
 * The server may be waiting for us, or for WAL: then it does not work.  What
 * stands before a target may give out process numbers of its own; so any
 * statement of ours there counts.
 */
static const char works_sql[] =
	"SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_activity a"
	" WHERE a.state IN ('active', 'disabled')"
	" AND COALESCE(a.wait_event_type, '') <> 'Client'"
	" AND (a.pid = $1::int4 OR $2::bool AND a.pid <> pg_backend_pid()"
	"  AND a.usename = current_user AND a.backend_type = 'client backend'"
	"  AND a.application_name = current_setting('application_name'))";

static bool
works(PGconn *conn, const PgWait *as, const PgOrigin *origin)
{
	char pid[16];
	const char *values[] = { pid, origin->target ? "true" : "false" };
	PgWait wait = *as;
	PgRole role = origin->target ? PG_TARGET : PG_SOURCE;
	PGconn *other;
	PGresult *res;
	Err ignored;
	bool yes;

	wait.tick = NULL;
	wait.final = true;
	wait.limit_ms = QUESTION_MS;
	(void) snprintf(pid, sizeof(pid), "%d", PQbackendPID(conn));
	if (!pg_connect_wait(origin->conninfo, role, &wait, &other, &ignored))
		return false;
	yes = pg_exec_params(other, role, "ask whether the server works", works_sql,
						 2, values, &res, &ignored);
	if (yes)
	{
		yes = PQgetvalue(res, 0, 0)[0] != '0';
		PQclear(res);
	}
	PQfinish(other);
	return yes;
}

bool
pg_connect_wait(const char *conninfo, PgRole role, const PgWait *wait,
				PGconn **out, Err *err)
{
	Connect *c = xcalloc(1, sizeof(*c));
	AsideCall call = { .run = connect_run,
					   .drop = connect_drop,
					   .arg = c,
					   .limit_ms = CONNECT_MS };
	PGconn *conn;

	if (wait)
	{
		call.stopped = wait->stopped;
		call.stop_arg = wait->arg;
		if (wait->final)
			call.limit_ms = wait->limit_ms;
	}
	c->conninfo = xstrdup(conninfo);
	c->role = role;
	/* not aside: it reads settings, and has limits of its own */
	if (login_fn && !login_fn(role, &c->login, err))
	{
		connect_drop(c);
		return err_prefix(err, "could not connect to the %s server",
						  role == PG_TARGET ? "target" : "source");
	}
	if (!aside_run(&call))
		return connect_left(wait, role, err);
	conn = c->conn;
	c->conn = NULL;
	connect_drop(c);
	if (PQstatus(conn) != CONNECTION_OK)
	{
		connect_error(conn, role, err);
		PQfinish(conn);
		return false;
	}
	PQsetErrorVerbosity(conn, PQERRORS_DEFAULT);
	/* it fails on a broken connection only, and that shows at the first use */
	(void) PQsetnonblocking(conn, 1);
	pg_wait_as(conn, wait, &(PgOrigin){ conninfo, role == PG_TARGET, works });
	*out = conn;
	return true;
}

bool
pg_connect(const char *conninfo, PgRole role, PGconn **out, Err *err)
{
	return pg_connect_wait(conninfo, role, NULL, out, err);
}

bool
pg_exec_params(PGconn *conn, PgRole role, const char *doing, const char *sql,
			   int nparams, const char *const *values, PGresult **out, Err *err)
{
	PGresult *res = NULL;
	ExecStatusType status;
	int sent;

	if (nparams > 0)
		sent =
			PQsendQueryParams(conn, sql, nparams, NULL, values, NULL, NULL, 0);
	else
		sent = PQsendQuery(conn, sql);
	if (sent)
		res = pg_take(conn);
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
