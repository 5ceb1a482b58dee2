/*-------------------------------------------------------------------------
 * wal_client.h
 *	  What the files of wal_client.c share: the client, and what it can do.
 *
 *		wal_client.c	the command line
 *		wal_stream.c	connections, streams, and how they may end
 *		wal_act.c		what is done to the server meanwhile
 *		wal_talk.c		what is said and heard
 *-------------------------------------------------------------------------
 */
#ifndef WAL_CLIENT_H
#define WAL_CLIENT_H

#include <libpq-fe.h>

#include "wal_check.h"

/* Whoever lets us wait so long hangs. */
#define HANGS_MS (180 * 1000)

#define VIA_MAX 8
#define TEXT_MAX 512
#define SERVER_STARTED "select pg_postmaster_start_time()::text"

/* How a stream went. */
typedef enum Went
{
	WENT_ON,   /* it goes on */
	WENT_DOWN, /* it has ended, the connection may be of use */
	WENT_AWAY, /* so has the connection, by our own doing */
	WENT_WRONG /* the error is set */
} Went;

typedef struct Options
{
	const char *via[VIA_MAX];
	size_t nvia;
	const char *admin;
	const char *slot;
	const char *with;
	const char *settings;
	const char *from;
	const char *until;
	const char *end_file;
	const char *out;
	const char *raw;
	const char *script;
	const char *seed;
} Options;

typedef struct Client
{
	const Options *o;
	WalCheck *check;
	PGconn *conn;
	PGconn *admin;
	char server_started[TEXT_MAX];
	uint64_t random;

	int64_t began_ms;
	Lsn confirmed;
	Lsn end; /* 0: not known yet */
	int64_t heard_ms;
	int64_t said_ms;   /* when we last said something … */
	int64_t quiet_ms;  /* … and the longest time that we did not */
	int64_t status_ms; /* when the next confirmation is due */

	/* The connection. */
	int timeout_ms; /* its wal_sender_timeout */
	bool unwarned;  /* it gets no notices */
	bool silent;    /* it answers nothing from now on */
	bool excused;   /* we did something that may end it */
	bool cancelled; /* an error may come */
	bool over;      /* it has ended, though libpq may not know */
	int ended;      /* streams that ended in, or behind, a CopyDone */

	/* The stream. */
	uint64_t bytes;
	Lsn keepalive; /* may be confirmed: no transaction was under way */
	int nibbles;   /* messages that are read one at a time */

	/* What is to be done next, and when. */
	const char *script;
	uint64_t act_bytes;
	int64_t act_ms;
	int fruitless;
	uint64_t units; /* when the stream began */
	int left;       /* actions, once the end is known */
} Client;

/* wal_talk.c; texts have room for TEXT_MAX. */

/* In [0, n), from the seed. */
uint64_t wal_chance(Client *c, uint64_t n);

/* All magnitudes up to that of 1 << bits. */
uint64_t wal_magnitude(Client *c, int bits);

/* What is done and when, for whoever wonders why a run failed. */
void wal_tell(const Client *c, const char *what);

/*
 * Over the ordinary connection: a row's first column; false if the server is
 * not there.
 */
bool wal_ask_server(Client *c, const char *sql, char *out);

/* Ask until the server is there. */
bool wal_ask_surely(Client *c, const char *sql, char *out, Err *err);

/* What a query with the walsender's pid for %d says; "" if it is gone. */
bool wal_ask_about(Client *c, const char *sql, char *out)
	__attribute__((format(printf, 2, 0)));

/* Confirm what is in the file.  A lost connection is seen by the next read. */
void wal_confirm(Client *c, bool ask);

/* We say something to the walsender now. */
void wal_said(Client *c);

Went wal_wrong(Err *err, ErrKind kind, const char *what);

/* Wait for so long, or for bytes; take those. */
bool wal_hear(Client *c, int ms);

bool wal_hangs(const Client *c);

/* Take one message; *taken tells whether there was one. */
Went wal_take_one(Client *c, bool *taken, Err *err);

/* Read until the server has ended the stream. */
Went wal_drain(Client *c, Err *err);

/* wal_act.c */

/* What is due by the script or by chance. */
Went wal_act(Client *c, Err *err);

/* When the next action is due. */
void wal_plan(Client *c);

/* End the stream, and read what comes yet. */
Went wal_copydone(Client *c, Err *err);

void wal_print_actions(void);

/* wal_stream.c: from the first connection to the end. */
bool wal_run(Client *c, Err *err);

#endif
