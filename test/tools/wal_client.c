/*-------------------------------------------------------------------------
 * wal_client.c
 *	  A client of a slot of cdc_s3 that behaves badly, for the tests.
 *
 *		wal_client option=value ...
 *
 *	  via		how to connect; several: one of them each time
 *	  admin		for an ordinary connection beside (default: the first via)
 *	  slot		its name
 *	  with		options of START_REPLICATION, such as "exclude 'a.b'"
 *	  options	settings, as PGOPTIONS has them
 *	  from		the LSN to begin at (0/0: where the slot is)
 *	  until		the LSN to end at, or
 *	  end_file	a file that will name it
 *	  out		a file for what came: see wal_check.h
 *	  raw		a file for the packets
 *	  script	what to do behind so many bytes of a stream, in this order:
 *				"wait@1000000 copydone@1000000"
 *	  seed		what to do at random (default: nothing)
 *
 * What came is checked (wal_check.c), and so is the end of each stream: behind
 * CopyDone and behind a cancel the connection must be of use, and it must not
 * be lost without a reason.  Reasons are: the client's own, a server that was
 * started anew, and wal_sender_timeout where the client set one.
 *
 * Exit status: 0 when all up to "until" came, 1 with the reason on stderr.
 *-------------------------------------------------------------------------
 */
#include <libpq-fe.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/mem.h"
#include "codec/row.h"
#include "wal_check.h"

/* Whoever lets us wait so long hangs. */
#define HANGS_MS (180 * 1000)

#define STATUS_MS 200     /* between two confirmations */
#define FRUITLESS_MAX 4   /* streams that brought nothing, before a calm one */
#define ACTIONS_AT_END 30 /* once the end is known */
#define XLOG_DATA_HEAD 25 /* before a packet */
#define KEEPALIVE_LENGTH 18 /* type, LSN, time, whether a reply is wanted */
#define STATUS_LENGTH 34    /* type, three LSNs, time, the same */
#define VIA_MAX 8
#define TEXT_MAX 512

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

/* ---- chance ---- */

/* In [0, n); splitmix64. */
static uint64_t
chance(Client *c, uint64_t n)
{
	uint64_t z = (c->random += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return (z ^ (z >> 31)) % n;
}

/* All magnitudes up to that of 1 << bits. */
static uint64_t
magnitude(Client *c, int bits)
{
	return chance(c, UINT64_C(2) << chance(c, (uint64_t) bits));
}

/* What is done and when, for whoever wonders why a run failed. */
static void
tell(const Client *c, const char *what)
{
	printf("%" PRId64 " ms, pid %d: %s\n", clock_mono_ms() - c->began_ms,
		   c->conn ? PQbackendPID(c->conn) : 0, what);
}

/* ---- the ordinary connection ---- */

/* A row's first column; false if the server is not there. */
static bool
ask_server(Client *c, const char *sql, char *out)
{
	PGresult *res;
	bool ok;

	if (c->admin && PQstatus(c->admin) != CONNECTION_OK)
	{
		PQfinish(c->admin);
		c->admin = NULL;
	}
	if (!c->admin)
		c->admin = PQconnectdb(c->o->admin);
	res = PQexec(c->admin, sql);
	ok = PQresultStatus(res) == PGRES_TUPLES_OK && PQntuples(res) > 0;
	if (ok)
		(void) snprintf(out, TEXT_MAX, "%s", PQgetvalue(res, 0, 0));
	PQclear(res);
	return ok;
}

/* Ask until the server is there. */
static bool
ask_server_surely(Client *c, const char *sql, char *out, Err *err)
{
	int64_t until = clock_mono_ms() + HANGS_MS;

	while (!ask_server(c, sql, out))
	{
		if (clock_mono_ms() > until)
			return err_set(err, ERR_SOURCE, 0, "the server does not answer: %s",
						   PQerrorMessage(c->admin));
		clock_sleep_ms(50);
	}
	return true;
}

#define SERVER_STARTED "select pg_postmaster_start_time()::text"

/* What a query with the walsender's pid for %d says; "" if it is gone. */
static bool
ask_about_walsender(Client *c, const char *sql, char *out)
{
	char query[TEXT_MAX];

	out[0] = '\0';
	(void) snprintf(query, sizeof(query), sql, PQbackendPID(c->conn));
	return ask_server(c, query, out);
}

/* ---- what the client says ---- */

static void
put_be64(char *p, uint64_t v)
{
	for (int i = 7; i >= 0; i--, v >>= 8)
		p[i] = (char) v;
}

static uint64_t
get_be64(const char *p)
{
	uint64_t v = 0;

	for (int i = 0; i < 8; i++)
		v = v << 8 | (uint8_t) p[i];
	return v;
}

/* Confirm what is in the file.  A lost connection is seen by the next read. */
static void
confirm(Client *c, bool ask)
{
	char m[STATUS_LENGTH] = { 'r' };
	Lsn lsn = wal_check_written(c->check);

	if (c->silent)
		return;
	if (c->keepalive > lsn)
		lsn = c->keepalive;
	if (lsn > c->confirmed)
		c->confirmed = lsn;
	for (int i = 0; i < 3; i++)
		put_be64(m + 1 + 8 * i, c->confirmed);
	put_be64(m + 25, (uint64_t) (clock_unix_us() - PG_EPOCH_UNIX_US));
	m[33] = ask;
	if (PQputCopyData(c->conn, m, sizeof(m)) > 0)
		(void) PQflush(c->conn);
	c->status_ms = clock_mono_ms() + STATUS_MS;
}

/* ---- what it hears ---- */

static Went
wrong(Err *err, ErrKind kind, const char *what)
{
	(void) err_set(err, kind, 0, "%s", what);
	return WENT_WRONG;
}

static Went
take_message(Client *c, const char *m, int n, Err *err)
{
	if (m[0] == 'w' && n > XLOG_DATA_HEAD)
	{
		Slice packet = { (const uint8_t *) m + XLOG_DATA_HEAD,
						 (size_t) n - XLOG_DATA_HEAD };

		c->bytes += packet.n;
		return wal_check_packet(c->check, packet, err) ? WENT_ON : WENT_WRONG;
	}
	if (m[0] != 'k' || n != KEEPALIVE_LENGTH)
		return wrong(err, ERR_DATA, "a message is neither data nor keepalive");
	if (!wal_check_keepalive(c->check, get_be64(m + 1), err))
		return WENT_WRONG;
	if (!wal_check_inside(c->check))
		c->keepalive = get_be64(m + 1);
	if (m[KEEPALIVE_LENGTH - 1])
		confirm(c, false);
	return WENT_ON;
}

/* Wait for so long, or for bytes; take those. */
static bool
hear(Client *c, int ms)
{
	struct pollfd fd = { .fd = PQsocket(c->conn), .events = POLLIN };

	if (fd.fd < 0 || PQstatus(c->conn) != CONNECTION_OK)
		return false;
	if (poll(&fd, 1, ms) > 0)
		c->heard_ms = clock_mono_ms();
	return PQconsumeInput(c->conn) == 1;
}

static bool
hangs(const Client *c)
{
	return clock_mono_ms() > c->heard_ms + HANGS_MS;
}

/* Take one message; *taken tells whether there was one. */
static Went
take_one(Client *c, bool *taken, Err *err)
{
	char *m = NULL;
	int n = PQgetCopyData(c->conn, &m, 1);
	Went went = WENT_ON;

	*taken = n > 0;
	if (n > 0)
		went = take_message(c, m, n, err);
	else if (n < 0)
		went = WENT_DOWN;
	if (m)
		PQfreemem(m);
	return went;
}

/* Read until the server has ended the stream. */
static Went
drain(Client *c, Err *err)
{
	Went went = WENT_ON;

	c->heard_ms = clock_mono_ms();
	while (went == WENT_ON)
	{
		bool taken;

		went = take_one(c, &taken, err);
		if (went != WENT_ON || taken)
			continue;
		if (!hear(c, 1000))
			return WENT_DOWN;
		if (hangs(c))
			return wrong(err, ERR_SOURCE,
						 "the walsender hangs behind CopyDone");
	}
	return went;
}

/* ---- what it does ---- */

/* Read nothing until the walsender waits for that, or for WAL. */
static Went
do_wait(Client *c, Err *err)
{
	char waits[TEXT_MAX];

	(void) err;
	for (int i = 0; i < 100; i++)
	{
		if (!ask_about_walsender(c,
								 "select wait_event like 'WalSender%'"
								 " from pg_stat_activity where pid = %d",
								 waits) ||
			waits[0] == 't')
			break;
		clock_sleep_ms(20);
	}
	return WENT_ON;
}

static Went
do_stall(Client *c, Err *err)
{
	(void) err;
	clock_sleep_ms((int64_t) chance(c, 300));
	return WENT_ON;
}

static Went
do_nibble(Client *c, Err *err)
{
	(void) err;
	c->nibbles = (int) chance(c, 100);
	return WENT_ON;
}

static Went
do_ask(Client *c, Err *err)
{
	(void) err;
	for (uint64_t n = 1 + chance(c, 3); n > 0; n--)
		confirm(c, true);
	return WENT_ON;
}

static Went
do_confirm(Client *c, Err *err)
{
	(void) err;
	confirm(c, false);
	return WENT_ON;
}

static Went
do_copydone(Client *c, Err *err)
{
	if (PQputCopyEnd(c->conn, NULL) != 1)
		return WENT_DOWN;
	(void) PQflush(c->conn);
	c->ended = 1;
	return drain(c, err);
}

static Went
do_cancel(Client *c, Err *err)
{
	PGcancel *cancel = PQgetCancel(c->conn);
	char why[256];

	(void) err;
	c->cancelled = true;
	if (cancel)
		(void) PQcancel(cancel, why, sizeof(why));
	PQfreeCancel(cancel);
	return WENT_ON;
}

/* With Terminate, or as if the client had been killed. */
static Went
do_close(Client *c, Err *err)
{
	struct linger reset = { .l_onoff = 1 };

	(void) err;
	if (chance(c, 2))
	{
		(void) setsockopt(PQsocket(c->conn), SOL_SOCKET, SO_LINGER, &reset,
						  sizeof(reset));
		(void) shutdown(PQsocket(c->conn), SHUT_RDWR);
	}
	return WENT_AWAY;
}

static Went
do_terminate(Client *c, Err *err)
{
	char done[TEXT_MAX];

	(void) err;
	c->excused = true;
	(void) ask_about_walsender(c, "select pg_terminate_backend(%d)", done);
	return WENT_ON;
}

/*
 * Answer nothing; at times, read nothing either.  A server that warns its
 * client waits for it to read, without a limit.
 */
static Went
do_silence(Client *c, Err *err)
{
	int64_t until = clock_mono_ms() + HANGS_MS;
	char pid[TEXT_MAX];

	if (c->timeout_ms == 0)
		return WENT_ON;
	c->silent = true;
	if (!c->unwarned || c->cancelled)
		return WENT_ON;
	while (ask_about_walsender(
		c, "select pid from pg_stat_activity where pid = %d", pid))
	{
		if (clock_mono_ms() > until)
			return wrong(err, ERR_SOURCE,
						 "a walsender outlives its wal_sender_timeout");
		clock_sleep_ms(50);
	}
	return WENT_ON;
}

/* SIGHUP for all, with a setting that has changed. */
static Went
do_reload(Client *c, Err *err)
{
	static const char *const settings[] = {
		"cpu_tuple_cost = 1",        "cpu_tuple_cost = 2",
		"cdc_s3.read_ahead = 0",     "cdc_s3.read_ahead = 1",
		"cdc_s3.read_ahead = 32",    "cdc_s3.send_bytes = 0",
		"cdc_s3.send_bytes = 10000", "cdc_s3.send_bytes = 4000000",
	};
	char *sql;
	char done[TEXT_MAX];

	(void) err;
	(void) ask_server(c, "load 'cdc_s3'", done);
	if (chance(c, 2))
		sql = xasprintf("alter system set %s", settings[chance(c, 8)]);
	else
		sql = xstrdup("alter system reset all");
	(void) ask_server(c, sql, done);
	(void) ask_server(c, "select pg_reload_conf()", done);
	free(sql);
	return WENT_ON;
}

/* So that a stream that begins anew has less to read. */
static Went
do_checkpoint(Client *c, Err *err)
{
	char done[TEXT_MAX];

	(void) err;
	(void) ask_server(c, "checkpoint", done);
	return WENT_ON;
}

static struct Action
{
	const char *name;
	int weight;
	bool mild; /* the stream goes on */
	Went (*run)(Client *c, Err *err);
	uint64_t done;
} actions[] = {
	{ "wait", 12, true, do_wait, 0 },
	{ "stall", 12, true, do_stall, 0 },
	{ "nibble", 6, true, do_nibble, 0 },
	{ "ask", 12, true, do_ask, 0 },
	{ "confirm", 6, true, do_confirm, 0 },
	{ "reload", 6, true, do_reload, 0 },
	{ "checkpoint", 3, true, do_checkpoint, 0 },
	{ "copydone", 10, false, do_copydone, 0 },
	{ "cancel", 6, false, do_cancel, 0 },
	{ "close", 6, false, do_close, 0 },
	{ "terminate", 4, false, do_terminate, 0 },
	{ "silence", 2, false, do_silence, 0 },
};

#define NACTIONS (sizeof(actions) / sizeof(actions[0]))

static void
plan(Client *c)
{
	c->act_bytes = c->bytes + magnitude(c, 22);
	c->act_ms = clock_mono_ms() + (int64_t) magnitude(c, 10);
}

static struct Action *
choose(Client *c)
{
	bool calm = c->fruitless > FRUITLESS_MAX;

	for (;;)
	{
		struct Action *a = &actions[chance(c, NACTIONS)];

		if ((a->mild || !calm) && (int) chance(c, 12) < a->weight)
			return a;
	}
}

/* The script's next action, if it is due. */
static struct Action *
scripted(Client *c)
{
	const char *at = strchr(c->script, '@');
	char *end;

	if (!at || c->bytes < strtoull(at + 1, &end, 10))
		return NULL;
	for (size_t i = 0; i < NACTIONS; i++)
	{
		size_t n = strlen(actions[i].name);

		if (n == (size_t) (at - c->script) &&
			memcmp(actions[i].name, c->script, n) == 0)
		{
			c->script = end + strspn(end, " ");
			return &actions[i];
		}
	}
	return NULL;
}

static Went
act(Client *c, Err *err)
{
	struct Action *a = NULL;

	if (c->script)
		a = scripted(c);
	else if (c->o->seed && c->left > 0 &&
			 (c->bytes >= c->act_bytes || clock_mono_ms() >= c->act_ms))
	{
		a = choose(c);
		plan(c);
		if (c->end)
			c->left--;
	}
	if (!a)
		return WENT_ON;
	a->done++;
	tell(c, a->name);
	return a->run(c, err);
}

/* ---- a stream ---- */

/* Whether the end is known, and has come. */
static bool
at_end(Client *c)
{
	if (!c->end && c->o->end_file)
	{
		FILE *f = fopen(c->o->end_file, "r");
		char line[64] = "";

		if (f && fgets(line, sizeof(line), f))
		{
			line[strcspn(line, "\n")] = '\0';
			(void) lsn_parse(line, &c->end);
		}
		if (f)
			(void) fclose(f);
	}
	if (!c->end || wal_check_inside(c->check))
		return false;
	return c->keepalive >= c->end || wal_check_written(c->check) >= c->end;
}

/* Nothing came for a moment. */
static Went
idle(Client *c, bool *done, Err *err)
{
	*done = at_end(c);
	if (*done)
	{
		confirm(c, false);
		return do_copydone(c, err);
	}
	if (clock_mono_ms() > c->status_ms)
		confirm(c, c->end != 0);
	if (c->end && hangs(c))
		return wrong(err, ERR_SOURCE, "the walsender hangs");
	return hear(c, 50) ? WENT_ON : WENT_DOWN;
}

static Went
stream(Client *c, bool *done, Err *err)
{
	Went went = WENT_ON;

	c->heard_ms = clock_mono_ms();
	plan(c);
	while (went == WENT_ON)
	{
		bool taken;

		went = take_one(c, &taken, err);
		if (went != WENT_ON)
			break;
		if (!taken)
			went = idle(c, done, err);
		else if (clock_mono_ms() > c->status_ms)
			confirm(c, false);
		if (taken && c->nibbles > 0)
		{
			c->nibbles--;
			clock_sleep_ms(1);
		}
		if (went == WENT_ON)
			went = act(c, err);
	}
	return went;
}

/* ---- its end ---- */

/*
 * The text of an error, "" if it is none, and whether the connection is at its
 * end: libpq's own messages have no severity.
 */
static void
take_error(Client *c, const PGresult *res, char *text)
{
	const char *severity =
		PQresultErrorField(res, PG_DIAG_SEVERITY_NONLOCALIZED);

	(void) snprintf(text, TEXT_MAX, "%s", PQresultErrorMessage(res));
	if (PQstatus(c->conn) != CONNECTION_OK ||
		(text[0] && (!severity || strcmp(severity, "ERROR") != 0)))
		c->over = true;
}

/* Take all results; the last error's text is kept, "" if there was none. */
static bool
take_results(Client *c, char *text, Err *err)
{
	text[0] = '\0';
	c->heard_ms = clock_mono_ms();
	for (;;)
	{
		PGresult *res;

		while (PQisBusy(c->conn))
		{
			if (!hear(c, 1000))
				break;
			if (hangs(c))
				return err_set(err, ERR_SOURCE, 0,
							   "the walsender hangs at the end of a command");
		}
		res = PQgetResult(c->conn);
		if (!res)
			return true;
		if (PQresultStatus(res) == PGRES_FATAL_ERROR)
			take_error(c, res, text);
		PQclear(res);
		if (PQstatus(c->conn) != CONNECTION_OK)
		{
			c->over = true;
			return true;
		}
	}
}

static bool
was_cancelled(const Client *c, const char *text)
{
	return c->cancelled && strstr(text, "canceling statement due to user");
}

/* Whether there is a reason that the connection was lost. */
static bool
excuse(Client *c, const char *doing, const char *text, Err *err)
{
	char started[TEXT_MAX];

	if (c->excused || c->timeout_ms > 0)
		return true;
	if (!ask_server_surely(c, SERVER_STARTED, started, err))
		return false;
	if (strcmp(started, c->server_started) != 0)
		return true;
	return err_set(err, ERR_SOURCE, 0,
				   "the connection was lost without a reason %s: %s%s", doing,
				   text, PQerrorMessage(c->conn));
}

/* Is a connection whose stream has ended of use?  *again: it is. */
static bool
second_command(Client *c, bool *again, Err *err)
{
	char text[TEXT_MAX] = "";

	/* A cancel may come that late. */
	for (int i = 0; i < 2; i++)
	{
		PGresult *res = PQexec(c->conn, "IDENTIFY_SYSTEM");

		*again = PQresultStatus(res) == PGRES_TUPLES_OK;
		take_error(c, res, text);
		PQclear(res);
		if (*again)
			return true;
		if (!was_cancelled(c, text))
			break;
	}
	if (c->over)
		return excuse(c, "at a second command", text, err);
	return err_set(err, ERR_SOURCE, 0, "a second command fails: %s", text);
}

static bool
end_stream(Client *c, bool *again, Err *err)
{
	char text[TEXT_MAX];

	*again = false;
	if (!take_results(c, text, err))
		return false;
	tell(c, text[0] ? text : "the stream has ended");
	if (c->over || PQstatus(c->conn) != CONNECTION_OK)
		return excuse(c, "in a stream", text, err);
	if (text[0] && !was_cancelled(c, text))
		return err_set(err, ERR_SOURCE, 0, "a stream fails: %s", text);
	return second_command(c, again, err);
}

/* ---- its beginning ---- */

/*
 * A window that is soon full, though not below two packets of the loopback:
 * those would go by the persist timer.  A Unix socket has none of its own.
 */
static void
narrow(Client *c)
{
	int bytes = 1 << 17;

	(void) setsockopt(PQsocket(c->conn), SOL_SOCKET, SO_RCVBUF, &bytes,
					  sizeof(bytes));
}

static void
ignore_notice(void *arg, const PGresult *res)
{
	(void) arg;
	(void) res;
}

static void
choose_settings(Client *c)
{
	static const int timeouts[] = { 0, 0, 1000, 2000, 3000 };
	static const char *const levels[] = { "error", "notice", "debug1",
										  "debug5" };
	Buf settings;
	uint64_t level = chance(c, 4);

	c->timeout_ms = c->o->seed ? timeouts[chance(c, 5)] : 0;
	c->unwarned = level == 0;
	buf_init(&settings, TEXT_MAX);
	buf_printf(&settings, "-c wal_sender_timeout=%d", c->timeout_ms);
	if (c->o->seed)
		buf_printf(&settings, " -c client_min_messages=%s", levels[level]);
	if (c->o->settings)
		buf_printf(&settings, " %s", c->o->settings);
	(void) setenv("PGOPTIONS", buf_cstr(&settings), 1);
	buf_done(&settings);
}

static bool
connect_walsender(Client *c, Err *err)
{
	int64_t until = clock_mono_ms() + HANGS_MS;
	char started[TEXT_MAX];

	c->silent = c->excused = c->cancelled = c->over = false;
	c->ended = 0;
	for (;;)
	{
		char *conninfo =
			xasprintf("%s replication=database",
					  c->o->via[c->o->nvia > 1 ? chance(c, c->o->nvia) : 0]);

		(void) setenv("PGOPTIONS", "", 1);
		if (!ask_server_surely(c, SERVER_STARTED, started, err))
			return false;
		(void) snprintf(c->server_started, sizeof(c->server_started), "%s",
						started);
		choose_settings(c);
		c->conn = PQconnectdb(conninfo);
		(void) setenv("PGOPTIONS", "", 1);
		free(conninfo);
		if (PQstatus(c->conn) == CONNECTION_OK)
			break;
		if (clock_mono_ms() > until)
			return err_set(err, ERR_SOURCE, 0, "could not connect: %s",
						   PQerrorMessage(c->conn));
		PQfinish(c->conn);
		clock_sleep_ms(50);
	}
	(void) PQsetNoticeReceiver(c->conn, ignore_notice, NULL);
	if (c->o->seed && chance(c, 3) == 0)
		narrow(c);
	return true;
}

/*
 * Begin where the last stream ended.  *again: not now, the connection is of no
 * use any more.
 */
static bool
start_stream(Client *c, bool *again, Err *err)
{
	int64_t until = clock_mono_ms() + HANGS_MS;
	char *sql = xasprintf("START_REPLICATION SLOT \"%s\" LOGICAL " LSN_FMT
						  " (proto_version '1'%s%s)",
						  c->o->slot, LSN_ARGS(c->confirmed),
						  c->o->with ? ", " : "", c->o->with ? c->o->with : "");
	char text[TEXT_MAX] = "";
	bool started = false;
	bool ok = true;

	*again = false;
	while (ok && !started && !*again)
	{
		PGresult *res = PQexec(c->conn, sql);

		started = PQresultStatus(res) == PGRES_COPY_BOTH;
		take_error(c, res, text);
		PQclear(res);
		if (started)
			break;
		*again = c->over;
		if (*again)
			ok = excuse(c, "at START_REPLICATION", text, err);
		else if ((!strstr(text, " is active for PID") &&
				  !was_cancelled(c, text)) ||
				 clock_mono_ms() > until)
			ok = err_set(err, ERR_SOURCE, 0, "START_REPLICATION fails: %s",
						 text);
		else
			clock_sleep_ms(20);
	}
	free(sql);
	return ok;
}

static void
begin_stream(Client *c)
{
	uint64_t units = wal_check_counts(c->check)->units;

	c->fruitless = units > c->units ? 0 : c->fruitless + 1;
	c->units = units;
	c->bytes = 0;
	c->keepalive = 0;
	c->nibbles = 0;
	wal_check_stream(c->check, c->confirmed);
	tell(c, "a stream begins");
}

/*
 * One connection, with any number of streams.  Behind a CopyDone there is one
 * more, which the server ends at once: in logical replication it does not
 * forget that it has seen one (walsender.c of 15 to 18).
 */
static bool
connection(Client *c, bool *done, Err *err)
{
	bool again = true;
	bool ok = true;

	while (ok && again && !*done)
	{
		Went went;

		ok = start_stream(c, &again, err);
		if (!ok || again)
			break;
		begin_stream(c);
		went = stream(c, done, err);
		ok = went != WENT_WRONG;
		if (went == WENT_DOWN)
		{
			ok = end_stream(c, &again, err);
			*done = *done && again; /* else it is not sure that all was sent */
			again = again && (c->ended == 0 || c->ended++ == 1);
		}
	}
	return ok;
}

static bool
run(Client *c, Err *err)
{
	bool done = false;
	bool ok = true;

	while (ok && !done)
	{
		ok = connect_walsender(c, err) && connection(c, &done, err);
		PQfinish(c->conn);
		c->conn = NULL;
	}
	return ok;
}

/* ---- the command line ---- */

static bool
set_option(Options *o, const char *name, const char *value)
{
	static const struct
	{
		const char *name;
		size_t offset;
	} fields[] = {
		{ "admin", offsetof(Options, admin) },
		{ "slot", offsetof(Options, slot) },
		{ "with", offsetof(Options, with) },
		{ "options", offsetof(Options, settings) },
		{ "from", offsetof(Options, from) },
		{ "until", offsetof(Options, until) },
		{ "end_file", offsetof(Options, end_file) },
		{ "out", offsetof(Options, out) },
		{ "raw", offsetof(Options, raw) },
		{ "script", offsetof(Options, script) },
		{ "seed", offsetof(Options, seed) },
	};

	if (strcmp(name, "via") == 0 && o->nvia < VIA_MAX)
	{
		o->via[o->nvia++] = value;
		return true;
	}
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
	{
		if (strcmp(fields[i].name, name) == 0)
		{
			*(const char **) ((char *) o + fields[i].offset) = value;
			return true;
		}
	}
	return false;
}

static bool
parse_options(int argc, char **argv, Options *o)
{
	for (int i = 1; i < argc; i++)
	{
		char *eq = strchr(argv[i], '=');

		if (eq)
			*eq = '\0';
		if (!eq || !set_option(o, argv[i], eq + 1))
		{
			fprintf(stderr, "no such option \"%s\"\n", argv[i]);
			return false;
		}
	}
	if (!o->admin)
		o->admin = o->via[0];
	if (o->nvia == 0 || !o->slot || !o->out || (!o->until && !o->end_file))
	{
		fprintf(stderr, "via, slot, out, and until or end_file are needed\n");
		return false;
	}
	return true;
}

static bool
parse_positions(Client *c)
{
	if ((c->o->from && !lsn_parse(c->o->from, &c->confirmed)) ||
		(c->o->until && !lsn_parse(c->o->until, &c->end)))
	{
		fprintf(stderr, "from or until is no LSN\n");
		return false;
	}
	c->script = c->o->script;
	c->random = c->o->seed ? strtoull(c->o->seed, NULL, 10) : 0;
	c->left = ACTIONS_AT_END;
	return true;
}

static void
print_counts(const Client *c)
{
	const WalCounts *n = wal_check_counts(c->check);

	printf("%" PRIu64 " streams, %" PRIu64 " packets, %" PRIu64
		   " frames, %" PRIu64 " bytes; %" PRIu64 " units, and %" PRIu64
		   " again; confirmed " LSN_FMT "\n",
		   n->streams, n->packets, n->frames, n->bytes, n->units, n->again,
		   LSN_ARGS(c->confirmed));
	for (size_t i = 0; i < NACTIONS; i++)
		printf("%s %" PRIu64 "%s", actions[i].name, actions[i].done,
			   i + 1 < NACTIONS ? ", " : "\n");
}

int
main(int argc, char **argv)
{
	Options o = { 0 };
	Client c = { .o = &o };
	FILE *out;
	FILE *raw;
	Err err;
	bool ok;

	(void) signal(SIGPIPE, SIG_IGN);
	(void) setvbuf(stdout, NULL, _IOLBF, 0);
	if (!parse_options(argc, argv, &o) || !parse_positions(&c))
		return 2;
	out = fopen(o.out, "w");
	raw = o.raw ? fopen(o.raw, "w") : NULL;
	if (!out || (o.raw && !raw))
	{
		perror(out ? o.raw : o.out);
		return 2;
	}
	c.began_ms = clock_mono_ms();
	c.check = wal_check_new(out, raw, c.confirmed);
	ok = run(&c, &err);
	print_counts(&c);
	if (!ok)
		fprintf(stderr, "%s: %s\n", err_kind_name(err.kind), err.msg);
	wal_check_free(c.check);
	PQfinish(c.admin);
	ok = fclose(out) == 0 && (!raw || fclose(raw) == 0) && ok;
	return ok ? 0 : 1;
}
