/*-------------------------------------------------------------------------
 * source.h
 *	  What is asked of the source server, and what its refusals mean.
 *
 * Names of at most NAME_SIZE - 1 bytes fit: the server's own limit is 63.
 * Layer: io.
 *-------------------------------------------------------------------------
 */
#ifndef SOURCE_H
#define SOURCE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/lsn.h"
#include "io/pgconn.h"

#define SOURCE_PLUGIN "cdc_s3"
#define SOURCE_NAME_SIZE 128

typedef struct SourceSystem
{
	char system_identifier[32];
	int64_t timeline;
	Lsn end; /* of its WAL */
	char database[SOURCE_NAME_SIZE];
} SourceSystem;

typedef struct SourceSlot
{
	bool exists;
	bool logical;
	bool temporary;
	char plugin[SOURCE_NAME_SIZE];
	char database[SOURCE_NAME_SIZE];
	int64_t active_pid; /* 0: nobody uses it */
	char wal_status[32];
	int64_t safe_wal_size; /* -1: no limit */
	Lsn restart;
	Lsn confirmed; /* 0 while it is not consistent yet */
} SourceSlot;

/* IDENTIFY_SYSTEM on a replication connection. */
bool source_identify(PGconn *replication, SourceSystem *out,
					 Err *err) MUST_CHECK;

/* The slot's row; out->exists is false where there is none. */
bool source_slot(PGconn *conn, const char *name, SourceSlot *out,
				 Err *err) MUST_CHECK;

/* The connection for replication; a role without the right is told. */
bool source_connect_replication(const char *conninfo, PGconn *conn,
								PGconn **out, Err *err) MUST_CHECK;

/*
 * Creates the slot with our plugin.  conn is an ordinary connection to the
 * same server, by which the reason of a refusal and of a long wait is found.
 */
bool source_create_slot(PGconn *conn, PGconn *replication, const char *name,
						Lsn *out_consistent, Err *err) MUST_CHECK;

/*
 * Makes a temporary slot and drops it, to see whether the plugin is there and
 * allowed.  *out_in_time is false where the plugin is good, but the slot was
 * not consistent after max_ms: transactions are open.
 */
bool source_try_plugin(PGconn *conn, PGconn *replication, int64_t max_ms,
					   bool *out_in_time, Err *err) MUST_CHECK;

/*
 * Adds the mend of a slot that was refused with this SQLSTATE ("" where there
 * is none) to err, which holds the server's words.  Decides by SQLSTATE and
 * by what the server says of itself, not by words that may be translated.
 * Returns false.
 */
bool source_explain_refusal(PGconn *conn, const char *state, Err *err);

bool source_drop_slot(PGconn *replication, const char *name,
					  Err *err) MUST_CHECK;

typedef enum SourcePluginList
{
	PLUGIN_LIST_NONE,    /* this release has none: any plugin is allowed */
	PLUGIN_LIST_HIDDEN,  /* there is one that our role may not read */
	PLUGIN_LIST_WITHOUT, /* ours is not in it */
	PLUGIN_LIST_WITH
} SourcePluginList;

/*
 * The server's list of allowed plugins.  Where ours may be missing, mend gets
 * the two statements that put it there.
 */
bool source_plugin_list(PGconn *conn, SourcePluginList *out, Buf *mend,
						Err *err) MUST_CHECK;

/* One value of one row as text; "" for NULL or where there is no row. */
bool source_text(PGconn *conn, const char *doing, const char *sql, Buf *out,
				 Err *err) MUST_CHECK;

#endif
