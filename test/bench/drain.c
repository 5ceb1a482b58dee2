/*-------------------------------------------------------------------------
 * drain.c
 *	  Reads a logical slot up to an LSN, throws the bytes away, and says how
 *	  long that took.  The slot is left where it was, so the same WAL can be
 *	  decoded again.
 *
 *	drain CONNINFO SLOT LSN [OPTION=VALUE ...]
 *
 * Prints one line: seconds, CPU seconds of the walsender, messages, and bytes
 * of payload.
 *-------------------------------------------------------------------------
 */
#include <endian.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <libpq-fe.h>

#define XLOG_DATA_HEADER 25
#define IDLE_MS 60000

typedef struct Drain
{
	PGconn *conn;
	uint64_t until;
	uint64_t seen; /* highest position the server has named */
	int64_t messages;
	int64_t bytes;
} Drain;

static void
die(const char *what, PGconn *conn)
{
	fprintf(stderr, "drain: %s: %s\n", what, conn ? PQerrorMessage(conn) : "");
	exit(1);
}

static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double) t.tv_sec + (double) t.tv_nsec / 1e9;
}

/* CPU time of a process so far, in seconds; 0 where /proc does not say. */
static double
cpu_of(int pid)
{
	char path[64], line[1024];
	unsigned long user = 0, sys = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	f = fopen(path, "r");
	if (!f)
		return 0;
	if (fgets(line, sizeof(line), f))
	{
		char *end = strrchr(line, ')'); /* the name may hold anything */

		if (end)
			(void) sscanf(end + 2,
						  "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u "
						  "%lu %lu",
						  &user, &sys);
	}
	fclose(f);
	return (double) (user + sys) / (double) sysconf(_SC_CLK_TCK);
}

static uint64_t
read_u64(const char *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return be64toh(v);
}

/* Status that confirms nothing. */
static void
send_status(Drain *d)
{
	char msg[34] = { 'r' };

	if (PQputCopyData(d->conn, msg, sizeof(msg)) <= 0 || PQflush(d->conn) < 0)
		die("could not send status", d->conn);
}

static void
start(Drain *d, const char *slot, int noptions, char **options)
{
	char sql[4096];
	int n = snprintf(sql, sizeof(sql),
					 "START_REPLICATION SLOT \"%s\" LOGICAL 0/0", slot);
	PGresult *res;

	for (int i = 0; i < noptions; i++)
	{
		char *eq = strchr(options[i], '=');

		if (!eq)
			die("option without \"=\"", NULL);
		n += snprintf(sql + n, sizeof(sql) - (size_t) n, "%s\"%.*s\" '%s'",
					  i ? ", " : " (", (int) (eq - options[i]), options[i],
					  eq + 1);
		if (n >= (int) sizeof(sql) - 2)
			die("too many options", NULL);
	}
	if (noptions)
		snprintf(sql + n, sizeof(sql) - (size_t) n, ")");
	res = PQexec(d->conn, sql);
	if (PQresultStatus(res) != PGRES_COPY_BOTH)
		die(sql, d->conn);
	PQclear(res);
}

static void
take(Drain *d, const char *msg, int len)
{
	if (msg[0] == 'w' && len >= XLOG_DATA_HEADER)
	{
		uint64_t at = read_u64(msg + 1);

		d->messages++;
		d->bytes += len - XLOG_DATA_HEADER;
		if (at > d->seen)
			d->seen = at;
	}
	else if (msg[0] == 'k' && len >= 18)
	{
		uint64_t at = read_u64(msg + 1);

		if (at > d->seen)
			d->seen = at;
		if (msg[17])
			send_status(d);
	}
}

static void
drain(Drain *d)
{
	while (d->seen < d->until)
	{
		char *msg = NULL;
		int len = PQgetCopyData(d->conn, &msg, 1);

		if (len > 0)
		{
			take(d, msg, len);
			PQfreemem(msg);
		}
		else if (len == 0)
		{
			struct pollfd p = { .fd = PQsocket(d->conn), .events = POLLIN };

			if (poll(&p, 1, IDLE_MS) <= 0)
				die("the server says nothing", NULL);
			if (!PQconsumeInput(d->conn))
				die("could not receive", d->conn);
		}
		else
			die("the stream ended", d->conn);
	}
}

int
main(int argc, char **argv)
{
	Drain d = { 0 };
	char conninfo[2048];
	unsigned hi, lo;
	double began, cpu;

	if (argc < 4 || sscanf(argv[3], "%X/%X", &hi, &lo) != 2)
	{
		fprintf(stderr, "usage: drain CONNINFO SLOT LSN [OPTION=VALUE ...]\n");
		return 2;
	}
	d.until = ((uint64_t) hi << 32) | lo;
	snprintf(conninfo, sizeof(conninfo), "%s replication=database", argv[1]);
	d.conn = PQconnectdb(conninfo);
	if (PQstatus(d.conn) != CONNECTION_OK)
		die("could not connect", d.conn);

	cpu = cpu_of(PQbackendPID(d.conn));
	began = now();
	start(&d, argv[2], argc - 4, argv + 4);
	drain(&d);
	printf("seconds=%.3f cpu=%.2f messages=%" PRId64 " bytes=%" PRId64 "\n",
		   now() - began, cpu_of(PQbackendPID(d.conn)) - cpu, d.messages,
		   d.bytes);
	PQfinish(d.conn);
	return 0;
}
