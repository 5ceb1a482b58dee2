/*-------------------------------------------------------------------------
 * pgconn.h
 *	  Connections to PostgreSQL over libpq, with our errors.
 *
 * Connections to the source are opened with pinned settings (search_path
 * empty, ISO dates, UTC, client_encoding UTF8, no statement timeout), so that
 * what a role or database sets changes nothing.  One to the target may go
 * through a pooler, which takes no options at start and gives each transaction
 * another server connection: there a transaction begins with pg_begin_target.
 * Messages never hold a password.
 * Threads: a connection is used by one thread at a time.  Layer: io.
 *-------------------------------------------------------------------------
 */
#ifndef PGCONN_H
#define PGCONN_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "io/pgwait.h"

/* Err.code of a failure that may pass: server down, restarting, too busy. */
#define PG_TRANSIENT 1
/* … because somebody else uses the slot. */
#define PG_SLOT_TAKEN 2

typedef enum PgRole
{
	PG_SOURCE,             /* ordinary connection; errors are ERR_SOURCE */
	PG_SOURCE_REPLICATION, /* walsender, replication=database */
	PG_TARGET              /* ordinary connection; errors are ERR_TARGET */
} PgRole;

/*
 * What is looked up for each connection, so that what was rotated is picked
 * up; NULL or "" where nothing.  conninfo goes before it, PG* variables come
 * behind.  pg_login_done() wipes it.
 */
typedef struct PgLogin
{
	char *password;
	char *user;
	char *host;
	char *port;
} PgLogin;

void pg_login_done(PgLogin *login);

/*
 * Who is asked for it, by every pg_connect() from then on; NULL for nobody.
 * To be set before the first thread begins.
 */
typedef bool (*PgLoginFn)(PgRole role, PgLogin *out, Err *err);
void pg_set_login(PgLoginFn fn);

/*
 * conninfo may be empty: then the PG* variables say all.  A refused password
 * or missing right to connect is ERR_AUTH; a target that has no room, starts
 * or stops is ERR_BUSY.  The caller PQfinish()es.  Nothing stops it, and its
 * statements wait as pgwait.h says.
 */
bool pg_connect(const char *conninfo, PgRole role, PGconn **out,
				Err *err) MUST_CHECK;

/* The same with a stop, which is ERR_STOP, and what else is to be heard. */
bool pg_connect_wait(const char *conninfo, PgRole role, const PgWait *wait,
					 PGconn **out, Err *err) MUST_CHECK;

/*
 * Statements that begin a transaction at the target in which no setting of
 * role, database or server changes how text is read, what a statement does,
 * or how long it may take.  Two of them, to be sent one after the other.
 */
extern const char pg_begin_target[];
extern const char pg_pin_target[];

/*
 * The same for a session at the source, to its end: what conninfo brings as
 * "options" goes before what pg_connect() asks for.
 */
extern const char pg_pin_source[];

/* The failure may pass: the server starts, stops, or has no room. */
bool pg_state_is_transient(const char *state);

/*
 * Fills err from the connection's or the result's error (res may be NULL):
 * "could not <doing>: <server's message> (SQLSTATE …)".  Returns false.
 */
bool pg_error(PGconn *conn, const PGresult *res, PgRole role, const char *doing,
			  Err *err);

/* Runs one statement; *out may be NULL when the result is of no interest. */
bool pg_exec(PGconn *conn, PgRole role, const char *doing, const char *sql,
			 PGresult **out, Err *err) MUST_CHECK;

/* The same with text parameters (NULL: SQL NULL). */
bool pg_exec_params(PGconn *conn, PgRole role, const char *doing,
					const char *sql, int nparams, const char *const *values,
					PGresult **out, Err *err) MUST_CHECK;

/* Appends name as a quoted SQL identifier, or value as a quoted literal. */
void pg_add_ident(Buf *out, const char *name);
void pg_add_literal(Buf *out, const char *value);

/*
 * When the certificates of an encrypted connection end, unix us: the server's,
 * and the one that we show it; 0 where there is none.
 */
void pg_certificates(PGconn *conn, int64_t *out_server, int64_t *out_client);

/*
 * True where a conninfo string or URI holds a password: such a thing is not
 * to come from argv.
 */
bool pg_conninfo_has_password(const char *conninfo);

#endif
