/*-------------------------------------------------------------------------
 * check_slot.c
 *	  "check" of the slot, by itself and against the log.
 *
 * Layer: cmd.
 *-------------------------------------------------------------------------
 */
#include <inttypes.h>
#include <string.h>

#include "cmd/check.h"

#define NEW_LAKE                                                               \
	"bring back the server or the lake that belong together; or begin a new "  \
	"lake with a first load: another store.url, then cdc-s3 init"

/* Position and state of a slot that exists and is ours. */
static void
check_state(Check *c, const SourceSlot *s)
{
	const char *name = c->cfg->source_slot;
	const Finding lost = {
		.level = CHECK_ERROR,
		.kind = ERR_GAP,
		.name = "slot",
		.why = "WAL that the stream still needs was removed",
		.mend = NEW_LAKE,
	};
	const Finding near = {
		.level = CHECK_WARNING,
		.name = "slot",
		.why = "the server will soon remove WAL that the stream needs",
		.mend = "let the sidecar catch up, or raise max_slot_wal_keep_size",
	};

	if (strcmp(s->wal_status, "lost") == 0)
		check_report(c, &lost, "\"%s\" has lost its WAL", name);
	else if (strcmp(s->wal_status, "unreserved") == 0)
		check_report(c, &near, "\"%s\" is about to lose its WAL", name);
	else if (s->active_pid != 0)
		check_ok(c, "slot", "\"%s\" is at " LSN_FMT ", in use by pid %" PRId64,
				 name, LSN_ARGS(s->confirmed), s->active_pid);
	else
		check_ok(c, "slot", "\"%s\" is at " LSN_FMT ", idle", name,
				 LSN_ARGS(s->confirmed));
}

/* A slot that exists: is it one that we can use? */
static bool
check_ours(Check *c, const SourceSlot *s)
{
	const Finding f = {
		.level = CHECK_ERROR,
		.kind = ERR_SOURCE,
		.name = "slot",
		.why = "the stream needs a slot of its own, made with its plugin in "
			   "its database",
		.mend = "choose another name in source.slot",
	};
	const char *name = c->cfg->source_slot;

	if (!s->logical || strcmp(s->plugin, SOURCE_PLUGIN) != 0)
		check_report(c, &f, "\"%s\" is of plugin \"%s\", not \"%s\"", name,
					 s->plugin, SOURCE_PLUGIN);
	else if (strcmp(s->database, PQdb(c->conn)) != 0)
		check_report(c, &f, "\"%s\" is of database \"%s\", not \"%s\"", name,
					 s->database, PQdb(c->conn));
	else
		return true;
	return false;
}

static void
check_against_log(Check *c, const SourceSlot *s)
{
	Finding f = {
		.level = CHECK_ERROR,
		.kind = ERR_GAP,
		.name = "log",
		.why = "changes between the log and the slot would be missing",
		.mend = NEW_LAKE,
	};
	const Entry *e = c->last;

	if (c->replication &&
		strcmp(e->system_identifier, c->system.system_identifier) != 0)
		check_report(c, &f,
					 "it is of the server with system identifier %s, the "
					 "source's is %s",
					 e->system_identifier, c->system.system_identifier);
	else if (strcmp(e->slot, c->cfg->source_slot) != 0 ||
			 strcmp(e->database, PQdb(c->conn)) != 0)
		check_report(c, &f, "it is of slot \"%s\" in database \"%s\"", e->slot,
					 e->database);
	else if (!s->exists)
		check_report(c, &f, "slot \"%s\" is missing, the log ends at " LSN_FMT,
					 e->slot, LSN_ARGS(e->end));
	else if (s->confirmed > e->end)
		check_report(c, &f,
					 "the slot is at " LSN_FMT
					 ", ahead of the log's end " LSN_FMT,
					 LSN_ARGS(s->confirmed), LSN_ARGS(e->end));
	else
		check_ok(c, "log", "ends at " LSN_FMT " in entry %" PRId64,
				 LSN_ARGS(e->end), e->seq);
}

void
check_slot(Check *c)
{
	SourceSlot s;
	Err err;

	if (!c->conn)
		return;
	if (!source_slot(c->conn, c->cfg->source_slot, &s, &err))
	{
		check_failed(c, "slot", "it could not be checked", &err);
		return;
	}
	if (s.exists && !check_ours(c, &s))
		return;
	if (s.exists)
		check_state(c, &s);
	else if (!c->last)
		check_ok(c, "slot", "\"%s\" does not exist yet: cdc-s3 init makes it",
				 c->cfg->source_slot);
	if (c->last)
		check_against_log(c, &s);
	else if (c->log_known)
		check_ok(c, "log", "there is none yet: cdc-s3 init begins it");
}
