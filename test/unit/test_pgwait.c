/*-------------------------------------------------------------------------
 * test_pgwait.c
 *	  Connections to a server that takes them and then says nothing: each
 *	  wait ends at the stop, and at its limit.
 *-------------------------------------------------------------------------
 */
#include <arpa/inet.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/beat.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "io/aside.h"
#include "io/pgconn.h"

/* Authenticated, process 4711 with its key, ready for a query. */
static const char welcome[] = "R\0\0\0\x08\0\0\0\0"
							  "K\0\0\0\x0c\0\0\x12\x67\0\0\0\x01"
							  "Z\0\0\0\x05I";

typedef struct Server
{
	int listen;
	char conninfo[128];
	pthread_t thread;
	atomic_bool mute; /* says nothing to new connections, either */
	atomic_bool deaf; /* reads nothing but the startup packet */
	atomic_bool over;
} Server;

static void *
serve_one(void *arg)
{
	int fd = (int) (intptr_t) arg;
	char bytes[4096];

	while (read(fd, bytes, sizeof(bytes)) > 0)
		continue;
	close(fd);
	return NULL;
}

static void *
serve(void *arg)
{
	Server *s = arg;
	int fd;

	while ((fd = accept(s->listen, NULL, NULL)) >= 0)
	{
		pthread_t t;
		char startup[1024];

		if (atomic_load(&s->over))
		{
			close(fd);
			break;
		}
		if (!atomic_load(&s->mute) && read(fd, startup, sizeof(startup)) > 0)
			assert_true(write(fd, welcome, sizeof(welcome) - 1) > 0);
		if (atomic_load(&s->deaf))
			continue; /* open until the process ends */
		assert_int_equal(
			pthread_create(&t, NULL, serve_one, (void *) (intptr_t) fd), 0);
		pthread_detach(t);
	}
	return NULL;
}

static Server *
server_new(void)
{
	Server *s = xcalloc(1, sizeof(*s));
	struct sockaddr_in a = { .sin_family = AF_INET };
	socklen_t n = sizeof(a);

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	s->listen = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(bind(s->listen, (struct sockaddr *) &a, n), 0);
	assert_int_equal(listen(s->listen, 8), 0);
	assert_int_equal(getsockname(s->listen, (struct sockaddr *) &a, &n), 0);
	(void) snprintf(s->conninfo, sizeof(s->conninfo),
					"host=127.0.0.1 port=%d user=u dbname=d sslmode=disable "
					"gssencmode=disable",
					ntohs(a.sin_port));
	assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
	return s;
}

static void
server_free(Server *s)
{
	struct sockaddr_in a;
	socklen_t n = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	atomic_store(&s->over, true);
	assert_int_equal(getsockname(s->listen, (struct sockaddr *) &a, &n), 0);
	assert_int_equal(connect(fd, (struct sockaddr *) &a, n), 0);
	pthread_join(s->thread, NULL);
	close(fd);
	close(s->listen);
	free(s);
}

/* Stops at the n-th look. */
static atomic_int looks_left;

static bool
stop_soon(void *arg)
{
	(void) arg;
	return atomic_fetch_sub(&looks_left, 1) <= 0;
}

static PGconn *
connected(Server *s, const PgWait *wait)
{
	PGconn *conn = NULL;
	Err err = { 0 };

	if (!pg_connect_wait(s->conninfo, PG_SOURCE, wait, &conn, &err))
		fail_msg("%s", err.msg);
	return conn;
}

static void
test_stop_in_connect(void **state)
{
	Server *s = *state;
	PgWait wait = { .stopped = stop_soon };
	PGconn *conn;
	Err err = { 0 };

	atomic_store(&s->mute, true);
	atomic_store(&looks_left, 3);
	assert_false(pg_connect_wait(s->conninfo, PG_SOURCE, &wait, &conn, &err));
	assert_int_equal(err.kind, ERR_STOP);
	assert_true(aside_left());
}

static void
test_limit_in_connect(void **state)
{
	Server *s = *state;
	PgWait wait = { .limit_ms = 50, .final = true };
	PGconn *conn;
	Err err = { 0 };

	atomic_store(&s->mute, true);
	assert_false(pg_connect_wait(s->conninfo, PG_SOURCE, &wait, &conn, &err));
	assert_int_equal(err.kind, ERR_SOURCE);
	assert_int_equal(err.code, PG_TRANSIENT);
	assert_non_null(strstr(err.msg, "no answer"));
}

/* The cancel finds nobody that obeys, so the connection is broken off. */
static void
test_stop_in_statement(void **state)
{
	Server *s = *state;
	PgWait wait = { .stopped = stop_soon };
	PGconn *conn;
	Err err = { 0 };

	atomic_store(&looks_left, 1000);
	conn = connected(s, &wait);
	atomic_store(&looks_left, 2);
	assert_false(pg_exec(conn, PG_SOURCE, "wait", "SELECT 1", NULL, &err));
	assert_int_equal(err.kind, ERR_STOP);
	/* nothing that comes after waits either */
	assert_false(pg_exec(conn, PG_SOURCE, "wait", "SELECT 2", NULL, &err));
	assert_int_equal(err.kind, ERR_STOP);
	PQfinish(conn);
}

/* It is lost, and may be tried again. */
static void
test_silence(void **state)
{
	Server *s = *state;
	PgWait wait = { .limit_ms = 2000, .final = true };
	PGconn *conn = connected(s, &wait);
	Err err = { 0 };

	assert_false(pg_exec_params(conn, PG_SOURCE, "read it", "SELECT $1", 1,
								&(const char *){ "x" }, NULL, &err));
	assert_int_equal(err.kind, ERR_SOURCE);
	assert_int_equal(err.code, PG_TRANSIENT);
	assert_non_null(
		strstr(err.msg, "could not read it: the source server says"));
	PQfinish(conn);
}

/* More than the sockets hold: who does not read does not hold us up. */
static void
test_stop_in_sending(void **state)
{
	Server *s = *state;
	PgWait wait = { .stopped = stop_soon };
	size_t n = (size_t) 64 << 20;
	char *sql = xmalloc(n);
	PGconn *conn;
	Err err = { 0 };

	memset(sql, ' ', n);
	sql[n - 1] = '\0';
	atomic_store(&s->deaf, true);
	atomic_store(&looks_left, 1000);
	conn = connected(s, &wait);
	atomic_store(&looks_left, 2);
	assert_false(pg_exec(conn, PG_SOURCE, "send", sql, NULL, &err));
	assert_int_equal(err.kind, ERR_STOP);
	PQfinish(conn);
	free(sql);
}

/* A wait that is limited by its caller loses nothing. */
static void
test_wait_a_while(void **state)
{
	Server *s = *state;
	PGconn *conn = connected(s, NULL);

	assert_true(PQsendQuery(conn, "SELECT 1"));
	assert_false(pg_wait(conn, 30));
	assert_false(pg_wait(conn, 0));
	assert_int_equal(pg_end(conn), PG_GOES_ON);
	PQfinish(conn);
}

/* A thread that waits for a server is alive, however long that takes. */
static const char *silent_then = "nobody looked";

static void
look_who_is_silent(void *arg)
{
	(void) arg;
	silent_then = beat_silent(0);
}

static void
test_alive(void **state)
{
	Server *s = *state;
	PgWait wait = { .tick = look_who_is_silent };
	PGconn *conn;

	beat_begin("waiter");
	conn = connected(s, &wait);
	assert_string_equal(beat_silent(0), "waiter"); /* it works */
	assert_true(PQsendQuery(conn, "SELECT 1"));
	assert_false(pg_wait(conn, 30));
	assert_null(silent_then);
	assert_string_equal(beat_silent(0), "waiter");
	PQfinish(conn);
	beat_end();
}

static int
setup(void **state)
{
	log_init(LOG_ERROR, false);
	*state = server_new();
	return 0;
}

static int
teardown(void **state)
{
	server_free(*state);
	return 0;
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_stop_in_statement), T(test_silence), T(test_stop_in_sending),
		T(test_wait_a_while),      T(test_alive),   T(test_limit_in_connect),
		T(test_stop_in_connect),
	};
	int failed;

	(void) signal(SIGPIPE, SIG_IGN);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	(void) fflush(NULL);
	_exit(failed); /* the connects that were left go on */
}
