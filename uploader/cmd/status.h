/*-------------------------------------------------------------------------
 * status.h
 *	  How lake, source and target stand, from them alone: "run" may be down.
 *
 * Gathering and showing are apart: status_gather() fills a Status,
 * status_json() is its one form for programs, and cmd_status.c prints it.
 * What cannot be reached is a part whose error says why; the others are filled
 * all the same.
 * Ownership: status_done() frees.  Layer: cmd.
 *-------------------------------------------------------------------------
 */
#ifndef STATUS_H
#define STATUS_H

#include <stdatomic.h>

#include "cmd/config.h"
#include "codec/entry.h"
#include "io/source.h"
#include "store/store.h"

/* Was it asked, and what did it say? */
typedef struct StatusPart
{
	bool asked; /* it is configured */
	bool ok;
	Err err; /* else */
} StatusPart;

/* A load that was announced with the oldest one that is open, or later. */
typedef struct StatusLoad
{
	char *schema;
	char *table;
	LoadState state;
	int64_t rows;       /* done: of its objects; open: of the COPYs now */
	int64_t table_rows; /* as the source's catalog guesses; -1: not known */
	int64_t table_bytes;
	int percent; /* -1: not known */
} StatusLoad;

typedef struct StatusResync
{
	char *schema;
	char *table;
	char *reason;
	char *state;
	char *since;
} StatusResync;

typedef struct Status
{
	int64_t now; /* unix us, our clock */

	StatusPart lake;
	bool has_log;
	int64_t entry; /* the last */
	Lsn log_end;
	int64_t log_time; /* when it was written, unix us */
	int64_t closed_until;
	int64_t swept_until;
	int64_t expired;
	int64_t loads_open;
	bool loaded;
	char *system_identifier;
	char *database;
	char *slot;
	int64_t tables;   /* that the lake knows */
	int64_t requests; /* loads that wait for run */
	int nloads;
	StatusLoad *loads;
	int loads_percent; /* of all of them by bytes; -1: none, or not known */

	StatusPart source;
	char server_version[64];
	char source_database[SOURCE_NAME_SIZE];
	bool standby;
	Lsn wal_end;
	SourceSlot slot_now;
	int64_t retained;    /* bytes of WAL that the slot holds; -1: not known */
	int64_t lag_bytes;   /* from the log's end to the WAL's; -1: not known */
	int64_t lag_seconds; /* since the log's last entry, where it is behind */

	StatusPart target;
	bool merged; /* it has a position */
	int64_t merged_entry;
	Lsn merged_lsn;
	int64_t merged_at;     /* unix us */
	int64_t merged_closed; /* hours that are complete at the target */
	int64_t behind_entries;
	int64_t behind_bytes;
	int64_t behind_seconds;
	int64_t rejected;
	int64_t needs;   /* the first entry whose objects it may still read */
	int64_t waiting; /* tables whose changes wait for a load */
	int nresync;
	StatusResync *resync;
} Status;

void status_gather(const Config *cfg, Status *out);

/* The lake and the target alone, at most until *stop is set. */
void status_gather_target(const Config *cfg, atomic_bool *stop, Status *out);
void status_done(Status *s);

/* The parts, for status_gather() alone. */
void status_source(const Config *cfg, Status *s);
void status_target(const Config *cfg, Store *store, const PgWait *wait,
				   Status *s);

/* One JSON object, with a line feed. */
void status_json(const Status *s, Buf *out);

/* The first part that could not be reached; NULL: none. */
const Err *status_error(const Status *s);

#endif
