/*-------------------------------------------------------------------------
 * seen.h
 *	  What an operator wants to see and that has a name: tables and what was
 *	  written of them, the last entries and errors, loads, the slot's state,
 *	  failed calls by code.
 *
 * Invariants:
 *	(1) Memory is bounded, whatever the number of tables: SEEN_TABLES have
 *		counters of their own, chosen once and for good; all others share
 *		those of "other", which therefore never decrease.
 *	(2) No row's value, connection string or DETAIL of a server comes here: of
 *		an error its event, a fixed phrase of ours, and its kind.
 *
 * Threads: any; one mutex, held for a copy at most, and never while somebody
 * waits for something else.  Layer: base.
 *-------------------------------------------------------------------------
 */
#ifndef SEEN_H
#define SEEN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/lsn.h"
#include "base/stats.h"

#define SEEN_TABLES 100 /* with counters of their own */
#define SEEN_ENTRIES 10
#define SEEN_ERRORS 10
#define SEEN_LOADS 20
#define SEEN_FAILURES 40 /* pairs of call and code */
#define SEEN_NAME 132    /* 63 bytes may be 126 once they are UTF-8 */
#define SEEN_OUTPUT_NAME 32

typedef enum SeenOp
{
	SEEN_LOAD,
	SEEN_INSERT,
	SEEN_UPDATE,
	SEEN_DELETE,
	SEEN_TRUNCATE,
	SEEN_RESYNC,
	SEEN_OPS
} SeenOp;

/* "load", "insert", … */
const char *seen_op_name(SeenOp op);

/* Of a record's op: 'r', 'i', 'u', 'd', 't', 's'. */
SeenOp seen_op(char op);

/* An object that counts: its table, and rows by op. */
typedef struct SeenObject
{
	const char *schema;
	const char *table;
	const int64_t *ops; /* SEEN_OPS of them */
	int64_t bytes;      /* as stored */
} SeenObject;

typedef struct SeenTable
{
	char schema[SEEN_NAME]; /* "" for those of "other" */
	char table[SEEN_NAME];
	int64_t rows[SEEN_OPS];
	int64_t bytes;
	int64_t objects;
	int64_t last_us; /* unix: its last object */
} SeenTable;

typedef struct SeenEntry
{
	int64_t seq;
	Lsn end;
	int64_t time_us;
	int64_t objects;
	int64_t rows;
	int64_t bytes;
} SeenEntry;

typedef struct SeenError
{
	int64_t time_us;
	bool error; /* else a warning */
	char event[96];
	char kind[16]; /* "" where none is known */
} SeenError;

/* A table that is being read; schema "": all of them. */
typedef struct SeenLoad
{
	char schema[SEEN_NAME];
	char table[SEEN_NAME];
	double share; /* 0 to 1 */
	int64_t rows;
	int64_t rows_per_s;
	int64_t bytes_per_s;
	int64_t left_s; /* -1: not known */
	int tables_done;
	int tables;
} SeenLoad;

typedef struct SeenFailure
{
	char call[24]; /* "put", "list", … */
	char code[16]; /* an HTTP status, or a kind of error */
	int64_t errors;
	int64_t retries;
} SeenFailure;

/* An output; its numbers are stats.outputs[]. */
typedef struct SeenOutput
{
	char name[SEEN_OUTPUT_NAME];
	bool holds; /* the stream waits for it while it fails */
} SeenOutput;

/* A copy of all of it, as of one moment. */
typedef struct SeenAll
{
	char slot[64];
	char wal_status[32]; /* "" while it is not known */
	int ntables;         /* the first is "other" */
	SeenTable tables[SEEN_TABLES + 1];
	int nentries; /* the latest first, likewise errors */
	SeenEntry entries[SEEN_ENTRIES];
	int nerrors;
	SeenError errors[SEEN_ERRORS];
	int nloads; /* the last is all, where there are any */
	SeenLoad loads[SEEN_LOADS + 1];
	int noutputs; /* the first is the lake's own */
	SeenOutput outputs[STATS_OUTPUTS];
	int nfailures;
	SeenFailure failures[SEEN_FAILURES];
} SeenAll;

/*
 * Which tables have counters of their own; NULL: those that come first.
 * Before the first thread.
 */
void seen_choose(bool (*wanted)(void *arg, const char *schema,
								const char *table),
				 void *arg);

void seen_slot(const char *slot, const char *wal_status);
void seen_object(const SeenObject *o);
void seen_entry(const SeenEntry *e);
void seen_error(bool error, const char *event, const char *kind);

/* Takes the place of those before; n 0: nothing is loaded. */
void seen_loads(const SeenLoad *loads, int n);

/* Output n of stats.outputs is that one; they are told in order. */
void seen_output(int n, const char *name, bool holds);

/* A try failed; it is made again, or not. */
void seen_failure(const char *call, const Err *err, bool again);

/* out is large: the caller allocates it. */
void seen_copy(SeenAll *out);

/* As if nothing had been seen; for tests. */
void seen_reset(void);

#endif
