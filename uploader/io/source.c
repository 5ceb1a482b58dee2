/*-------------------------------------------------------------------------
 * source.c
 *	  What is asked of the source server, and what its refusals mean.
 *
 * A refusal is told by its SQLSTATE and by what the server's settings say,
 * not by the words of the message: those may be in any language.
 * Layer: io.
 *-------------------------------------------------------------------------
 */
#include "io/source.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"

#define COMMAND_MAX 1024
#define WAIT_NOTE_MS 5000

static void
copy_name(char *out, size_t size, const char *s)
{
	(void) snprintf(out, size, "%s", s); /* the server's names are shorter */
}

bool
source_text(PGconn *conn, const char *doing, const char *sql, Buf *out,
			Err *err)
{
	PGresult *res;

	if (!pg_exec(conn, PG_SOURCE, doing, sql, &res, err))
		return false;
	if (PQntuples(res) > 0)
		buf_str(out, PQgetvalue(res, 0, 0));
	PQclear(res);
	return true;
}

bool
source_identify(PGconn *replication, SourceSystem *out, Err *err)
{
	PGresult *res;
	bool ok = true;

	if (!pg_exec(replication, PG_SOURCE_REPLICATION, "identify the source",
				 "IDENTIFY_SYSTEM", &res, err))
		return false;
	*out = (SourceSystem){ 0 };
	if (PQntuples(res) != 1 || PQnfields(res) < 4 ||
		!lsn_parse(PQgetvalue(res, 0, 2), &out->end))
		ok = err_set(err, ERR_SOURCE, 0,
					 "the source's answer to IDENTIFY_SYSTEM is not known");
	else
	{
		copy_name(out->system_identifier, sizeof(out->system_identifier),
				  PQgetvalue(res, 0, 0));
		out->timeline = strtoll(PQgetvalue(res, 0, 1), NULL, 10);
		copy_name(out->database, sizeof(out->database), PQgetvalue(res, 0, 3));
	}
	PQclear(res);
	return ok;
}

bool
source_slot(PGconn *conn, const char *name, SourceSlot *out, Err *err)
{
	static const char sql[] =
		"SELECT slot_type, temporary, coalesce(plugin, ''),"
		" coalesce(database, ''), coalesce(active_pid, 0),"
		" coalesce(wal_status, ''), coalesce(safe_wal_size, -1),"
		" coalesce(restart_lsn, '0/0'), coalesce(confirmed_flush_lsn, '0/0')"
		" FROM pg_catalog.pg_replication_slots WHERE slot_name = $1";
	PGresult *res;

	if (!pg_exec_params(conn, PG_SOURCE, "read the slot", sql, 1, &name, &res,
						err))
		return false;
	*out = (SourceSlot){ .exists = PQntuples(res) > 0 };
	if (out->exists)
	{
		out->logical = strcmp(PQgetvalue(res, 0, 0), "logical") == 0;
		out->temporary = PQgetvalue(res, 0, 1)[0] == 't';
		copy_name(out->plugin, sizeof(out->plugin), PQgetvalue(res, 0, 2));
		copy_name(out->database, sizeof(out->database), PQgetvalue(res, 0, 3));
		out->active_pid = strtoll(PQgetvalue(res, 0, 4), NULL, 10);
		copy_name(out->wal_status, sizeof(out->wal_status),
				  PQgetvalue(res, 0, 5));
		out->safe_wal_size = strtoll(PQgetvalue(res, 0, 6), NULL, 10);
		(void) lsn_parse(PQgetvalue(res, 0, 7), &out->restart);
		(void) lsn_parse(PQgetvalue(res, 0, 8), &out->confirmed);
	}
	PQclear(res);
	return true;
}

/* Is name one of a list of identifiers, each perhaps in double quotes? */
static bool
list_has(const char *list, const char *name)
{
	size_t n = strlen(name);

	while (*list)
	{
		const char *item;

		list += strspn(list, " \t\n,\"");
		item = list;
		list += strcspn(list, " \t\n,\"");
		if ((size_t) (list - item) == n && strncmp(item, name, n) == 0)
			return true;
	}
	return false;
}

static void
add_list_mend(const char *list, Buf *mend)
{
	buf_printf(mend,
			   "ALTER SYSTEM SET output_plugin_libraries = %s%s%s; SELECT "
			   "pg_reload_conf();",
			   list, *list ? ", " : "", SOURCE_PLUGIN);
}

bool
source_plugin_list(PGconn *conn, SourcePluginList *out, Buf *mend, Err *err)
{
	PGresult *res = PQsendQuery(conn, "SHOW output_plugin_libraries")
						? pg_take(conn)
						: NULL;
	const char *state = PQresultErrorField(res, PG_DIAG_SQLSTATE);
	bool ok = true;

	if (PQresultStatus(res) == PGRES_TUPLES_OK)
	{
		const char *list = PQgetvalue(res, 0, 0);

		*out = list_has(list, SOURCE_PLUGIN) ? PLUGIN_LIST_WITH
											 : PLUGIN_LIST_WITHOUT;
		if (*out == PLUGIN_LIST_WITHOUT)
			add_list_mend(list, mend);
	}
	else if (state && strcmp(state, "42704") == 0) /* no such parameter */
		*out = PLUGIN_LIST_NONE;
	else if (state && strcmp(state, "42501") == 0) /* for superusers only */
	{
		*out = PLUGIN_LIST_HIDDEN;
		add_list_mend("pgoutput, test_decoding", mend);
		buf_str(mend,
				" (keep what SHOW output_plugin_libraries lists besides)");
	}
	else
		ok =
			pg_error(conn, res, PG_SOURCE, "read output_plugin_libraries", err);
	PQclear(res);
	return ok;
}

bool
source_connect_replication(const char *conninfo, PGconn *conn, PGconn **out,
						   Err *err)
{
	static const char sql[] =
		"SELECT rolreplication OR rolsuper FROM pg_catalog.pg_roles "
		"WHERE rolname = current_user";
	Err ignored;
	Buf may;
	Buf role;

	if (pg_connect(conninfo, PG_SOURCE_REPLICATION, out, err))
		return true;
	buf_init(&may, COMMAND_MAX);
	buf_init(&role, COMMAND_MAX);
	pg_add_ident(&role, PQuser(conn));
	if (source_text(conn, "read the role", sql, &may, &ignored) &&
		strcmp(buf_cstr(&may), "f") == 0)
	{
		err_set(err, ERR_SOURCE, 0,
				"role %s of the source has no right to replicate",
				buf_cstr(&role));
		err_hint(err, "as a superuser: ALTER ROLE %s REPLICATION;",
				 buf_cstr(&role));
	}
	buf_done(&may);
	buf_done(&role);
	return false;
}

/* True, and the mend, where the list of plugins is why we were refused. */
static bool
list_is_why(PGconn *conn, const char *state, Buf *mend)
{
	SourcePluginList list;
	Err ignored;

	if (!source_plugin_list(conn, &list, mend, &ignored))
		return false;
	/* a walsender's role has the right itself, so the library has not */
	return list == PLUGIN_LIST_WITHOUT ||
		   (list == PLUGIN_LIST_HIDDEN && strcmp(state, "42501") == 0);
}

bool
source_explain_refusal(PGconn *conn, const char *state, Err *err)
{
	Err ignored;
	Buf text;

	buf_init(&text, COMMAND_MAX);
	if (strcmp(state, "58P01") == 0)
		err_hint(err,
				 "install the plugin on the source server: make install, or "
				 "copy cdc_s3.so into the folder that pg_config --pkglibdir "
				 "names there");
	else if (strcmp(state, "53400") == 0)
		err_hint(err, "drop a slot that nobody uses, or raise "
					  "max_replication_slots and restart the server");
	else if (list_is_why(conn, state, &text))
	{
		err->kind = ERR_SOURCE;
		err_hint(err, "as a superuser: %s", buf_cstr(&text));
	}
	else
	{
		buf_reset(&text);
		if (source_text(conn, "read wal_level", "SHOW wal_level", &text,
						&ignored) &&
			strcmp(buf_cstr(&text), "logical") != 0)
			err_hint(err, "as a superuser: ALTER SYSTEM SET wal_level = "
						  "logical; then restart the server");
	}
	buf_done(&text);
	return false;
}

/*
 * A slot becomes consistent once all transactions that were open have ended:
 * who waits wants to know for whom.
 */
static void
note_wait(PGconn *conn)
{
	static const char sql[] =
		"SELECT format('pid %s, user %s, open since %s', pid, usename,"
		" xact_start) FROM pg_catalog.pg_stat_activity"
		" WHERE backend_xid IS NOT NULL AND pid <> pg_backend_pid()"
		" ORDER BY xact_start LIMIT 1";
	Err ignored;
	Buf who;

	buf_init(&who, COMMAND_MAX);
	if (source_text(conn, "read open transactions", sql, &who, &ignored))
		log_info("waiting for open transactions to end", "oldest",
				 who.n ? buf_cstr(&who) : "unknown", NULL);
	buf_done(&who);
}

/*
 * Sends the command and waits for its answer; false after max_ms without
 * one (0: for ever, telling now and then for whom).
 */
static bool
send_and_wait(PGconn *conn, PGconn *replication, const char *command,
			  int64_t max_ms)
{
	if (!PQsendQuery(replication, command))
		return true; /* the connection holds the error */
	if (max_ms)
		return pg_wait(replication, max_ms);
	while (!pg_wait(replication, WAIT_NOTE_MS))
		note_wait(conn);
	return true;
}

static void
add_create_slot(PGconn *replication, const char *name, bool temporary, Buf *out)
{
	buf_str(out, "CREATE_REPLICATION_SLOT ");
	pg_add_ident(out, name);
	buf_printf(out, "%s LOGICAL %s %s", temporary ? " TEMPORARY" : "",
			   SOURCE_PLUGIN,
			   PQserverVersion(replication) >= 150000 ? "(SNAPSHOT 'nothing')"
													  : "NOEXPORT_SNAPSHOT");
}

static bool
slot_refused(PGconn *conn, PGconn *replication, const PGresult *res,
			 const char *name, Err *err)
{
	const char *state = PQresultErrorField(res, PG_DIAG_SQLSTATE);
	char doing[SOURCE_NAME_SIZE + 16];

	(void) snprintf(doing, sizeof(doing), "create slot \"%s\"", name);
	pg_error(replication, res, PG_SOURCE_REPLICATION, doing, err);
	return state ? source_explain_refusal(conn, state, err) : false;
}

bool
source_create_slot(PGconn *conn, PGconn *replication, const char *name,
				   Lsn *out_consistent, Err *err)
{
	bool ok = true;
	Buf command;
	PGresult *res;

	buf_init(&command, COMMAND_MAX);
	add_create_slot(replication, name, false, &command);
	(void) send_and_wait(conn, replication, buf_cstr(&command), 0);
	res = pg_take(replication);
	buf_done(&command);
	if (PQresultStatus(res) != PGRES_TUPLES_OK)
		ok = slot_refused(conn, replication, res, name, err);
	else if (PQntuples(res) != 1 || PQnfields(res) < 2 ||
			 !lsn_parse(PQgetvalue(res, 0, 1), out_consistent))
		ok = err_set(err, ERR_SOURCE, 0,
					 "the source's answer to CREATE_REPLICATION_SLOT is not "
					 "known");
	PQclear(res);
	return ok;
}

bool
source_try_plugin(PGconn *conn, PGconn *replication, int64_t max_ms,
				  bool *out_in_time, Err *err)
{
	char name[32];
	Buf command;
	PGresult *res;
	bool in_time;
	bool ok = true;

	(void) snprintf(name, sizeof(name), "cdc_s3_check_%08" PRIx32,
					random_u32());
	buf_init(&command, COMMAND_MAX);
	add_create_slot(replication, name, true, &command);
	in_time = send_and_wait(conn, replication, buf_cstr(&command), max_ms);
	buf_done(&command);
	if (!in_time)
		pg_cancel(replication);
	res = pg_take(replication);
	/* the server loads the plugin first and waits then */
	if (PQresultStatus(res) == PGRES_TUPLES_OK)
		ok = source_drop_slot(replication, name, err);
	else if (in_time)
		ok = slot_refused(conn, replication, res, name, err);
	PQclear(res);
	if (ok)
		*out_in_time = in_time;
	return ok;
}

bool
source_drop_slot(PGconn *replication, const char *name, Err *err)
{
	Buf command;
	bool ok;

	buf_init(&command, COMMAND_MAX);
	buf_str(&command, "DROP_REPLICATION_SLOT ");
	pg_add_ident(&command, name);
	ok = pg_exec(replication, PG_SOURCE_REPLICATION, "drop the slot",
				 buf_cstr(&command), NULL, err);
	buf_done(&command);
	return ok;
}
