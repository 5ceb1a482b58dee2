/*-------------------------------------------------------------------------
 * wal_talk.c
 *	  The bad client: what it says to the walsender and hears from it, and an
 *	  ordinary connection beside.
 *-------------------------------------------------------------------------
 */
#include "wal_client.h"

#include <poll.h>

#include "base/clock.h"

#define XLOG_DATA_HEAD 25   /* before a packet */
#define KEEPALIVE_LENGTH 18 /* type, LSN, time, whether a reply is wanted */
#define STATUS_LENGTH 34    /* type, three LSNs, time, the same */
#define STATUS_MS 200       /* between two confirmations */

/* ---- chance ---- */

uint64_t
wal_chance(Client *c, uint64_t n)
{
	uint64_t z = (c->random += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return (z ^ (z >> 31)) % n;
}

uint64_t
wal_magnitude(Client *c, int bits)
{
	return wal_chance(c, UINT64_C(2) << wal_chance(c, (uint64_t) bits));
}

void
wal_tell(const Client *c, const char *what)
{
	printf("%" PRId64 " ms, pid %d: %s\n", clock_mono_ms() - c->began_ms,
		   c->conn ? PQbackendPID(c->conn) : 0, what);
}

/* ---- the ordinary connection ---- */

bool
wal_ask_server(Client *c, const char *sql, char *out)
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

bool
wal_ask_surely(Client *c, const char *sql, char *out, Err *err)
{
	int64_t until = clock_mono_ms() + HANGS_MS;

	while (!wal_ask_server(c, sql, out))
	{
		if (clock_mono_ms() > until)
			return err_set(err, ERR_SOURCE, 0, "the server does not answer: %s",
						   PQerrorMessage(c->admin));
		clock_sleep_ms(50);
	}
	return true;
}

bool
wal_ask_about(Client *c, const char *sql, char *out)
{
	char query[TEXT_MAX];

	out[0] = '\0';
	(void) snprintf(query, sizeof(query), sql, PQbackendPID(c->conn));
	return wal_ask_server(c, query, out);
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

void
wal_said(Client *c)
{
	int64_t now = clock_mono_ms();

	if (now - c->said_ms > c->quiet_ms)
		c->quiet_ms = now - c->said_ms;
	c->said_ms = now;
}

void
wal_confirm(Client *c, bool ask)
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
	wal_said(c);
	c->status_ms = c->said_ms + STATUS_MS;
}

/* ---- what it hears ---- */

Went
wal_wrong(Err *err, ErrKind kind, const char *what)
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
		return wal_wrong(err, ERR_DATA,
						 "a message is neither data nor keepalive");
	if (!wal_check_keepalive(c->check, get_be64(m + 1), err))
		return WENT_WRONG;
	if (!wal_check_inside(c->check))
		c->keepalive = get_be64(m + 1);
	if (m[KEEPALIVE_LENGTH - 1])
		wal_confirm(c, false);
	return WENT_ON;
}

bool
wal_hear(Client *c, int ms)
{
	struct pollfd fd = { .fd = PQsocket(c->conn), .events = POLLIN };

	if (fd.fd < 0 || PQstatus(c->conn) != CONNECTION_OK)
		return false;
	if (poll(&fd, 1, ms) > 0)
		c->heard_ms = clock_mono_ms();
	return PQconsumeInput(c->conn) == 1;
}

bool
wal_hangs(const Client *c)
{
	return clock_mono_ms() > c->heard_ms + HANGS_MS;
}

Went
wal_take_one(Client *c, bool *taken, Err *err)
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

Went
wal_drain(Client *c, Err *err)
{
	Went went = WENT_ON;

	c->heard_ms = clock_mono_ms();
	while (went == WENT_ON)
	{
		bool taken;

		went = wal_take_one(c, &taken, err);
		if (went != WENT_ON || taken)
			continue;
		if (!wal_hear(c, 1000))
			return WENT_DOWN;
		if (wal_hangs(c))
			return wal_wrong(err, ERR_SOURCE,
							 "the walsender hangs behind CopyDone");
	}
	return went;
}
