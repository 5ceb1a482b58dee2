/*-------------------------------------------------------------------------
 * cmd_init.c
 *	  "init": creates the slot and the lake's log, or finds both there.
 *
 *	log		slot	what happens
 *	no		no		slot created, entry 0 at its consistent point
 *	no		yes		slot adopted where it is ours and idle: entry 0 at its
 *					confirmed position (an init that was cut off leaves this)
 *	yes		yes		nothing, where they fit together; else a gap
 *	yes		no		gap: changes since the log's end may be lost
 *
 * Layer: cmd.
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/mem.h"
#include "cmd/args.h"
#include "cmd/cmd.h"
#include "cmd/config_show.h"
#include "cmd/probe.h"
#include "io/source.h"
#include "pipe/published.h"
#include "pipe/wanted.h"
#include "store/commitlog.h"

typedef struct Init
{
	const Config *cfg;
	PGconn *conn;
	PGconn *replication;
	Store *store;
	SourceSystem system;
	SourceSlot slot;
	Entry *last; /* of the log; NULL where there is none */
} Init;

static bool
init_open(Init *in, Err *err)
{
	const Config *cfg = in->cfg;
	StoreOptions options = config_store_options(cfg);

	return store_open(&options, &in->store, err) &&
		   pg_connect(cfg->source_conninfo, PG_SOURCE, &in->conn, err) &&
		   source_connect_replication(cfg->source_conninfo, in->conn,
									  &in->replication, err) &&
		   source_identify(in->replication, &in->system, err) &&
		   source_slot(in->conn, cfg->source_slot, &in->slot, err) &&
		   commitlog_last(in->store, 0, &in->last, err);
}

static void
init_close(Init *in)
{
	entry_free(in->last);
	store_close(in->store);
	PQfinish(in->replication);
	PQfinish(in->conn);
}

/* The log is of this system, database and slot, or it is a gap. */
static bool
check_log_source(const Init *in, Err *err)
{
	const Entry *e = in->last;
	const SourceSystem *s = &in->system;

	if (strcmp(e->system_identifier, s->system_identifier) != 0)
		err_set(err, ERR_GAP, 0,
				"the log in \"%s\" is of another server: its system "
				"identifier is %s, the source's is %s",
				in->cfg->store_url, e->system_identifier, s->system_identifier);
	else if (strcmp(e->database, s->database) != 0 ||
			 strcmp(e->slot, in->cfg->source_slot) != 0)
		err_set(err, ERR_GAP, 0,
				"the log in \"%s\" is of slot \"%s\" in database \"%s\", not "
				"of slot \"%s\" in \"%s\"",
				in->cfg->store_url, e->slot, e->database, in->cfg->source_slot,
				s->database);
	else
		return true;
	return err_hint(err, "correct source.conninfo, source.slot or store.url, "
						 "or begin a new lake under another prefix");
}

/* There is a log: is the slot still the one that feeds it? */
static bool
check_existing(const Init *in, Err *err)
{
	const SourceSlot *slot = &in->slot;
	const Entry *e = in->last;

	if (!check_log_source(in, err))
		return false;
	if (!slot->exists)
	{
		err_set(err, ERR_GAP, 0,
				"slot \"%s\" is missing, but the log ends at " LSN_FMT
				" in entry %" PRId64 ": changes behind that may be lost",
				in->cfg->source_slot, LSN_ARGS(e->end), e->seq);
		return err_hint(err,
						"connect to the server that has the slot, or begin a "
						"new lake with a first load under another prefix");
	}
	if (slot->confirmed > e->end)
	{
		err_set(err, ERR_GAP, 0,
				"slot \"%s\" is at " LSN_FMT ", ahead of the log's end " LSN_FMT
				": changes between them are not in the lake",
				in->cfg->source_slot, LSN_ARGS(slot->confirmed),
				LSN_ARGS(e->end));
		return err_hint(err,
						"find who read the slot; then begin a new lake with a "
						"first load under another prefix");
	}
	printf("already initialised: slot \"%s\" at " LSN_FMT
		   ", log ends at " LSN_FMT " in entry %" PRId64 "\n",
		   in->cfg->source_slot, LSN_ARGS(slot->confirmed), LSN_ARGS(e->end),
		   e->seq);
	return true;
}

/* There is a slot and no log: may we take it? */
static bool
check_adoptable(const Init *in, Err *err)
{
	const SourceSlot *slot = &in->slot;
	const char *name = in->cfg->source_slot;

	if (!slot->logical || strcmp(slot->plugin, SOURCE_PLUGIN) != 0)
		err_set(err, ERR_SOURCE, 0,
				"slot \"%s\" exists and is %s%s%s, not of plugin \"%s\"", name,
				slot->logical ? "of plugin \"" : "physical", slot->plugin,
				slot->logical ? "\"" : "", SOURCE_PLUGIN);
	else if (strcmp(slot->database, in->system.database) != 0)
		err_set(err, ERR_SOURCE, 0,
				"slot \"%s\" exists in database \"%s\", not in \"%s\"", name,
				slot->database, in->system.database);
	else if (slot->active_pid != 0)
		err_set(err, ERR_SOURCE, 0,
				"slot \"%s\" exists and is in use by pid %" PRId64, name,
				slot->active_pid);
	else if (slot->temporary || slot->confirmed == 0 ||
			 strcmp(slot->wal_status, "lost") == 0)
		err_set(err, ERR_SOURCE, 0, "slot \"%s\" exists and cannot be used: %s",
				name,
				slot->temporary        ? "it is temporary"
				: slot->confirmed == 0 ? "it never became consistent"
									   : "its WAL was removed");
	else
		return true;
	return err_hint(err,
					"choose another name in source.slot, or, if nobody needs "
					"it, SELECT pg_drop_replication_slot('%s');",
					name);
}

static bool
write_first_entry(const Init *in, Lsn at, const Entry *known, Err *err)
{
	Entry *e = entry_new();
	char writer[16];
	bool ok;

	(void) snprintf(writer, sizeof(writer), "%08" PRIx32, random_u32());
	entry_set(&e->system_identifier, in->system.system_identifier);
	entry_set(&e->database, in->system.database);
	entry_set(&e->slot, in->cfg->source_slot);
	entry_set(&e->writer, writer);
	e->timeline = in->system.timeline;
	entry_copy_publications(e, known);
	e->prev_end = at;
	e->end = at;
	e->loaded = strcmp(in->cfg->load_mode, "never") == 0;
	e->time = clock_unix_us();
	ok = commitlog_write(in->store, e, err);
	entry_free(e);
	if (!ok)
		err_prefix(err, "could not write entry 0");
	return ok;
}

/*
 * A new slot has no past, so that what is there before it is known to the log;
 * one that is adopted may be older than the publications.
 */
static bool
make_slot(const Init *in, Entry *known, Lsn *at, Err *err)
{
	const Config *cfg = in->cfg;

	*at = in->slot.confirmed;
	return in->slot.exists ||
		   (publications_read(in->conn, cfg->source_publication, known, at,
							  err) &&
			source_create_slot(in->conn, in->replication, cfg->source_slot, at,
							   err));
}

/* The slot and the log's first entry. */
static bool
begin_log(const Init *in, Lsn *at, Err *err)
{
	Entry *known = entry_new();
	bool ok = make_slot(in, known, at, err);

	FAULT_POINT("init_slot_made");
	ok = ok && write_first_entry(in, *at, known, err);
	entry_free(known);
	return ok;
}

static bool
make_new(Init *in, Err *err)
{
	const char *name = in->cfg->source_slot;
	StoreOptions options = config_store_options(in->cfg);
	bool adopted = in->slot.exists;
	Lsn at;
	Err refused;

	if (!wanted_publications(in->conn, in->cfg->source_publication, err) ||
		(adopted && !check_adoptable(in, err)))
		return false;
	if (!probe_one_writer(in->store, &options, err))
		return false;
	if (!probe_delete(in->store, &refused))
		log_err(LOG_WARN, "objects cannot be deleted: leftovers will stay",
				&refused);
	if (!begin_log(in, &at, err))
		return false;
	printf("initialised: slot \"%s\" of database \"%s\" %s at " LSN_FMT
		   ", log in \"%s\"\nnext: cdc-s3 run\n",
		   name, in->system.database, adopted ? "adopted" : "created",
		   LSN_ARGS(at), in->cfg->store_url);
	return true;
}

bool
cmd_init(const Config *cfg, int argc, char **argv, Err *err)
{
	bool example = false;
	const ArgDef defs[] = { { "--example", NULL, &example } };
	const ArgSpec spec = { "init", defs, 1, NULL, 0 };
	Init in = { .cfg = cfg };
	bool ok;

	if (!args_parse(&spec, argc, argv, NULL, err))
		return false;
	if (example)
	{
		config_print_example(stdout);
		return cli_flush(err);
	}
	ok = init_open(&in, err);
	if (ok && in.last)
		ok = check_existing(&in, err);
	else if (ok)
		ok = make_new(&in, err);
	init_close(&in);
	return ok;
}
