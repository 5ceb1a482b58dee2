/*-------------------------------------------------------------------------
 * wal_act.c
 *	  The bad client: what it does in the middle of a stream.
 *-------------------------------------------------------------------------
 */
#include "wal_client.h"

#include <stdlib.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/mem.h"

/* Streams that brought nothing new, before a calm one. */
#define FRUITLESS_MAX 4

/* Read nothing until the walsender waits for that, or for WAL. */
static Went
do_wait(Client *c, Err *err)
{
	char waits[TEXT_MAX];

	(void) err;
	for (int i = 0; i < 100; i++)
	{
		if (!wal_ask_about(c,
						   "select wait_event like 'WalSender%%'"
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
	clock_sleep_ms((int64_t) wal_chance(c, 300));
	return WENT_ON;
}

static Went
do_nibble(Client *c, Err *err)
{
	(void) err;
	c->nibbles = (int) wal_chance(c, 100);
	return WENT_ON;
}

static Went
do_ask(Client *c, Err *err)
{
	(void) err;
	for (uint64_t n = 1 + wal_chance(c, 3); n > 0; n--)
		wal_confirm(c, true);
	return WENT_ON;
}

static Went
do_confirm(Client *c, Err *err)
{
	(void) err;
	wal_confirm(c, false);
	return WENT_ON;
}

Went
wal_copydone(Client *c, Err *err)
{
	if (PQputCopyEnd(c->conn, NULL) != 1)
		return WENT_DOWN;
	(void) PQflush(c->conn);
	wal_said(c);
	c->ended = 1;
	return wal_drain(c, err);
}

/* The same while the walsender waits. */
static Went
do_last_call(Client *c, Err *err)
{
	(void) do_wait(c, err);
	return wal_copydone(c, err);
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
	if (wal_chance(c, 2))
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
	(void) wal_ask_about(c, "select pg_terminate_backend(%d)", done);
	return WENT_ON;
}

/*
 * Answer nothing; at times, read nothing either.  A server that warns its
 * client, or tells it that the session was ended, waits for it to read, without
 * a limit.
 */
static Went
do_silence(Client *c, Err *err)
{
	int64_t until = clock_mono_ms() + HANGS_MS;
	char pid[TEXT_MAX];

	if (c->timeout_ms == 0)
		return WENT_ON;
	c->silent = true;
	if (!c->unwarned || c->cancelled || c->excused || c->ended)
		return WENT_ON;
	while (wal_ask_about(c, "select pid from pg_stat_activity where pid = %d",
						 pid))
	{
		if (clock_mono_ms() > until)
			return wal_wrong(err, ERR_SOURCE,
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
	(void) wal_ask_server(c, "load 'cdc_s3'", done);
	if (wal_chance(c, 2))
		sql = xasprintf("alter system set %s", settings[wal_chance(c, 8)]);
	else
		sql = xstrdup("alter system reset all");
	(void) wal_ask_server(c, sql, done);
	(void) wal_ask_server(c, "select pg_reload_conf()", done);
	free(sql);
	return WENT_ON;
}

/* So that a stream that begins anew has less to read. */
static Went
do_checkpoint(Client *c, Err *err)
{
	char done[TEXT_MAX];

	(void) err;
	(void) wal_ask_server(c, "checkpoint", done);
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
	{ "copydone", 6, false, wal_copydone, 0 },
	{ "last call", 6, false, do_last_call, 0 },
	{ "cancel", 6, false, do_cancel, 0 },
	{ "close", 6, false, do_close, 0 },
	{ "terminate", 4, false, do_terminate, 0 },
	{ "silence", 2, false, do_silence, 0 },
};

#define NACTIONS (sizeof(actions) / sizeof(actions[0]))

void
wal_plan(Client *c)
{
	c->act_bytes = c->bytes + wal_magnitude(c, 22);
	c->act_ms = clock_mono_ms() + (int64_t) wal_magnitude(c, 10);
}

static struct Action *
choose(Client *c)
{
	bool calm = c->fruitless > FRUITLESS_MAX;

	for (;;)
	{
		struct Action *a = &actions[wal_chance(c, NACTIONS)];

		if ((a->mild || !calm) && (int) wal_chance(c, 12) < a->weight)
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

Went
wal_act(Client *c, Err *err)
{
	struct Action *a = NULL;

	if (c->script)
		a = scripted(c);
	else if (c->o->seed && c->left > 0 &&
			 (c->bytes >= c->act_bytes || clock_mono_ms() >= c->act_ms))
	{
		a = choose(c);
		wal_plan(c);
		if (c->end)
			c->left--;
	}
	if (!a)
		return WENT_ON;
	a->done++;
	wal_tell(c, a->name);
	return a->run(c, err);
}

void
wal_print_actions(void)
{
	for (size_t i = 0; i < NACTIONS; i++)
		printf("%s %" PRIu64 "%s", actions[i].name, actions[i].done,
			   i + 1 < NACTIONS ? ", " : "\n");
}
