/*-------------------------------------------------------------------------
 * pq_fault.c
 *	  Loaded before libpq: the n-th statement of a program goes wrong.
 *
 *	PQ_FAULT_AT=n		which, from 1 on, over all connections; 0: none
 *	PQ_FAULT=error		the server refuses it (53100, its disk is full)
 *			 close		the connection breaks before it is sent
 *			 lost		it breaks once the server has answered, unheard
 *			 silent		the server does not answer for an hour
 *			 never		from then on the connection takes what is sent, and
 *						nothing comes, as behind a box that forgot it; the
 *						server's side of it stays open
 *			 kill		the program is killed before it is sent
 *	PQ_FAULT_LIKE=text	which, by its words, in place of a number: the first
 *	PQ_FAULT_TRACE=file	gets a line for each: its kind and its words
 *
 * Data of a COPY and its end count as statements.  Lines of the trace are
 * there before what they name is done.
 *-------------------------------------------------------------------------
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <libpq-fe.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ANSWER_MS 30000
#define PIPELINED_MS 300 /* nobody answers before the sync */
#define REFUSED                                                                \
	"DO $$BEGIN RAISE EXCEPTION 'no space, says the test' USING ERRCODE = "    \
	"'53100'; END$$"
#define SILENT "SELECT pg_sleep(3600)"

typedef enum Fault
{
	NONE,
	ERROR,
	CLOSE,
	LOST,
	SILENCE,
	NEVER,
	KILL
} Fault;

static atomic_int statements;
static PGconn *_Atomic refused_copy; /* its data and its end go nowhere */

static void *
real(const char *name)
{
	void *p = dlsym(RTLD_NEXT, name);

	if (!p)
		abort();
	return p;
}

static void
trace(int n, const char *kind, const char *words)
{
	const char *file = getenv("PQ_FAULT_TRACE");
	char line[256];
	int fd = file ? open(file, O_WRONLY | O_CREAT | O_APPEND, 0666) : -1;
	int length = snprintf(line, sizeof(line) - 1, "%d %s %s", n, kind, words);

	if (fd < 0)
		return;
	if (length > (int) sizeof(line) - 2)
		length = sizeof(line) - 2;
	for (int i = 0; i < length; i++)
	{
		if (line[i] == '\n' || line[i] == '\t')
			line[i] = ' ';
	}
	line[length] = '\n';
	if (write(fd, line, (size_t) length + 1) < 0)
		abort();
	(void) close(fd);
}

/* What happens to this one. */
static Fault
next(const char *kind, const char *words)
{
	static const char *const names[] = { "",       "error", "close", "lost",
										 "silent", "never", "kill" };
	static atomic_bool was;
	const char *at = getenv("PQ_FAULT_AT");
	const char *like = getenv("PQ_FAULT_LIKE");
	const char *name = getenv("PQ_FAULT");
	int n = atomic_fetch_add(&statements, 1) + 1;

	trace(n, kind, words);
	if (!name || !(at ? atoi(at) == n : like && strstr(words, like)) ||
		atomic_exchange(&was, true))
		return NONE;
	for (int f = ERROR; f <= KILL; f++)
	{
		if (strcmp(names[f], name) == 0)
		{
			if (f == KILL)
				raise(SIGKILL);
			return (Fault) f;
		}
	}
	abort();
}

static void
cut(PGconn *conn)
{
	(void) shutdown(PQsocket(conn), SHUT_RDWR);
}

/* Both ends of what is there now stay open. */
static void
black_hole(PGconn *conn)
{
	int fd = PQsocket(conn);
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0 || dup(fd) < 0 ||
		dup2(ends[0], fd) < 0 || fcntl(fd, F_SETFL, O_NONBLOCK) != 0)
		abort();
}

/* Once the server has done what was sent. */
static void
cut_behind_answer(PGconn *conn)
{
	struct pollfd p = { .fd = PQsocket(conn), .events = POLLIN };

	while (PQflush(conn) > 0)
		(void) usleep(1000);
	(void) poll(&p, 1,
				PQpipelineStatus(conn) == PQ_PIPELINE_OFF ? ANSWER_MS
														  : PIPELINED_MS);
	cut(conn);
}

static int
instead(PGconn *conn, const char *sql)
{
	int (*send)(PGconn *, const char *, int, const Oid *, const char *const *,
				const int *, const int *, int) = real("PQsendQueryParams");

	return send(conn, sql, 0, NULL, NULL, NULL, NULL, 0);
}

/* True where something else was sent; *result is what the caller gets. */
static bool
goes_wrong(PGconn *conn, Fault f, int *result)
{
	if (f == CLOSE)
		cut(conn);
	if (f == NEVER)
		black_hole(conn);
	if (f != ERROR && f != SILENCE)
		return false;
	*result = instead(conn, f == ERROR ? REFUSED : SILENT);
	return true;
}

int
PQsendQuery(PGconn *conn, const char *sql)
{
	int (*send)(PGconn *, const char *) = real("PQsendQuery");
	Fault f = next("query", sql);
	int result;

	if (goes_wrong(conn, f, &result))
		return result;
	result = send(conn, sql);
	if (f == LOST)
		cut_behind_answer(conn);
	return result;
}

int
PQsendQueryParams(PGconn *conn, const char *sql, int n, const Oid *types,
				  const char *const *values, const int *lengths,
				  const int *formats, int format)
{
	int (*send)(PGconn *, const char *, int, const Oid *, const char *const *,
				const int *, const int *, int) = real("PQsendQueryParams");
	Fault f = next("query", sql);
	int result;

	if (goes_wrong(conn, f, &result))
		return result;
	result = send(conn, sql, n, types, values, lengths, formats, format);
	if (f == LOST)
		cut_behind_answer(conn);
	return result;
}

int
PQsendQueryPrepared(PGconn *conn, const char *name, int n,
					const char *const *values, const int *lengths,
					const int *formats, int format)
{
	int (*send)(PGconn *, const char *, int, const char *const *, const int *,
				const int *, int) = real("PQsendQueryPrepared");
	Fault f = next("execute", name);
	int result;

	if (goes_wrong(conn, f, &result))
		return result;
	result = send(conn, name, n, values, lengths, formats, format);
	if (f == LOST)
		cut_behind_answer(conn);
	return result;
}

/* A COPY that the server gave up takes data until somebody asks. */
int
PQputCopyData(PGconn *conn, const char *data, int n)
{
	int (*put)(PGconn *, const char *, int) = real("PQputCopyData");
	int (*end)(PGconn *, const char *) = real("PQputCopyEnd");
	Fault f;

	if (atomic_load(&refused_copy) == conn)
		return 1;
	f = next("data", "");
	if (f == ERROR)
	{
		atomic_store(&refused_copy, conn);
		return end(conn, "no space, says the test");
	}
	if (f == NEVER)
		black_hole(conn);
	else if (f != NONE)
		cut(conn);
	return put(conn, data, n);
}

int
PQputCopyEnd(PGconn *conn, const char *error)
{
	int (*end)(PGconn *, const char *) = real("PQputCopyEnd");
	Fault f;
	int result;

	if (atomic_load(&refused_copy) == conn)
	{
		atomic_store(&refused_copy, NULL);
		return 1;
	}
	f = next("end", "");
	if (f == ERROR)
		return end(conn, "no space, says the test");
	if (f == NEVER)
		black_hole(conn);
	if (f == CLOSE || f == SILENCE)
		cut(conn);
	result = end(conn, error);
	if (f == LOST)
		cut_behind_answer(conn);
	return result;
}
