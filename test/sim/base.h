/*-------------------------------------------------------------------------
 * base.h
 *	  The source of the simulation: a database that is a list of
 *	  transactions, its WAL positions, and the rules of a replication slot.
 *
 * pq.c serves it to the sidecar as libpq would.  Rules: the server's
 * slot.c, logical.c (LogicalConfirmReceivedLocation, CreateDecodingContext),
 * snapbuild.c (SnapBuildXactNeedsSkip), walsender.c.
 *-------------------------------------------------------------------------
 */
#ifndef BASE_H
#define BASE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/lsn.h"
#include "codec/schema.h"
#include "fiber.h"

#define BASE_TABLES 4
#define BASE_KEYS 48
#define BASE_OID 16384
#define BASE_COLUMNS 3 /* id, v, and from some transaction on n */
#define ROWS_A_BLOCK 4

typedef enum ChangeOp
{
	OP_INSERT,
	OP_UPDATE,
	OP_DELETE,
	OP_TRUNCATE
} ChangeOp;

typedef struct ModelChange
{
	ChangeOp op;
	int table;   /* truncate: the first of them */
	int ntables; /* truncate */
	int ncols;   /* of the table then */
	int key;
	int old_key;      /* key changes; else the same */
	uint64_t content; /* of which the values are made */
	int len;          /* of v */
	bool unchanged;   /* v is */
	int64_t ordinal;
} ModelChange;

typedef struct ModelTxn
{
	Lsn end;
	uint32_t xid;
	int64_t time;  /* unix us, of the commit */
	bool odd_time; /* it is not the time of the server's clock */
	bool big;
	int64_t committed; /* sim_now() */
	int nchanges;
	ModelChange *changes;
	int ncols[BASE_TABLES]; /* behind it */
} ModelTxn;

typedef struct ModelRow
{
	bool there;
	uint64_t v; /* content of v, and its length */
	int len;
	uint64_t n;
} ModelRow;

typedef struct Base
{
	bool up;
	int64_t up_at; /* while it is down */
	int64_t timeline;
	Lsn switched;         /* where the timeline began; 0: it is the first */
	Lsn insert;           /* the end of the WAL */
	int64_t clock_offset; /* of the server: unix us = sim_now() + it */
	int64_t silent_until;
	unsigned hangs; /* of 1,000 statements, that are never answered */
	unsigned cuts;  /* likewise, beside which connections are cut */
	int ntxns;
	ModelTxn *txns;
	int ncols[BASE_TABLES];
	uint32_t filenode[BASE_TABLES];
	ModelRow rows[BASE_TABLES][BASE_KEYS];

	/* The slot. */
	Lsn confirmed;
	Lsn saved;    /* what a crash leaves of it */
	void *active; /* connection */
} Base;

extern Base base;

void base_init(void);
int64_t base_clock(void);

/* One transaction of random changes; bytes: about so many of values. */
void base_commit(int nchanges, int64_t bytes, bool odd_time);
void base_add_column(int table);
void base_noise(int64_t bytes); /* WAL of other databases */
void base_crash(bool promote);

/* Somebody else reads the slot up to its end. */
void base_consume_slot(void);

/* The schema of a table with so many columns; shared. */
Schema *base_schema(int table, int ncols);
const char *base_table_name(int table);

/* Text of v, of length len. */
void base_text(uint64_t content, int len, char *out);
bool base_n_is_null(uint64_t content);
int32_t base_n(uint64_t content);

/* The rows of a table as of the first ntxns transactions. */
void base_rows_at(int table, int ntxns, ModelRow *out);

/* Of pq.c: what crashes and kills do to connections. */
void pq_cut_all(void);
void pq_cut_some(void);

/*
 * The server gives up the slot's connection, and its client hears nothing of
 * it; false: there is none.
 */
bool pq_half_open(void);
void pq_killed(Proc *p);
void pq_tick(void); /* wal_sender_timeout */

#endif
