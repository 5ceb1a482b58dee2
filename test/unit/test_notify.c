/*-------------------------------------------------------------------------
 * test_notify.c
 *	  base/notify: what a service manager hears, and what it never does.
 *-------------------------------------------------------------------------
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/notify.h"

#define LONG_MS 60000 /* comes long before, unless all is lost */

static int manager = -1;
static char folder[] = "/tmp/cdc_s3.notify.XXXXXX";
static char path[64];

/* A manager that listens at name, as NOTIFY_SOCKET has it. */
static void
listen_at(const char *name)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	socklen_t n =
		(socklen_t) (offsetof(struct sockaddr_un, sun_path) + strlen(name));

	memcpy(a.sun_path, name, strlen(name));
	if (name[0] == '@')
		a.sun_path[0] = '\0';
	manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_true(manager >= 0);
	assert_int_equal(bind(manager, (struct sockaddr *) &a, n), 0);
	assert_int_equal(setenv("NOTIFY_SOCKET", name, 1), 0);
}

/* The next message; "" where none comes in time. */
static const char *
heard(int timeout_ms)
{
	static char message[4096];
	struct pollfd fd = { .fd = manager, .events = POLLIN };
	ssize_t n = 0;

	if (poll(&fd, 1, timeout_ms) == 1)
		n = recv(manager, message, sizeof(message) - 1, 0);
	message[n > 0 ? n : 0] = '\0';
	return message;
}

static int
setup(void **state)
{
	(void) state;
	unsetenv("NOTIFY_SOCKET");
	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
	return 0;
}

static int
teardown(void **state)
{
	(void) state;
	notify_close();
	if (manager >= 0)
		close(manager);
	manager = -1;
	unlink(path);
	return 0;
}

static void
test_no_manager(void **state)
{
	Err err;

	(void) state;
	assert_true(notify_open(&err));
	notify_ready();
	notify_status("nobody %s", "listens");
	assert_int_equal(setenv("NOTIFY_SOCKET", "", 1), 0);
	assert_true(notify_open(&err));
}

static void
test_messages(void **state)
{
	Err err;
	char long_text[3000];

	(void) state;
	listen_at(path);
	assert_true(notify_open(&err));
	notify_ready();
	assert_string_equal(heard(LONG_MS), "READY=1");
	notify_status("entry %d", 7);
	assert_string_equal(heard(LONG_MS), "STATUS=entry 7");
	notify_status("a\nREADY=1\tb");
	assert_string_equal(heard(LONG_MS), "STATUS=a READY=1 b");
	notify_reloading();
	assert_non_null(strstr(heard(LONG_MS), "RELOADING=1\nMONOTONIC_USEC="));
	notify_reloaded();
	assert_string_equal(heard(LONG_MS), "READY=1");
	notify_stopping(20000);
	assert_non_null(strstr(heard(LONG_MS), "STOPPING=1\n"));
	notify_stopping(20000);
	assert_non_null(strstr(heard(LONG_MS), "\nEXTEND_TIMEOUT_USEC=30000000"));
	memset(long_text, 'x', sizeof(long_text) - 1);
	long_text[sizeof(long_text) - 1] = '\0';
	notify_status("%s", long_text);
	assert_int_equal(strlen(heard(LONG_MS)), 1023);
}

static void
test_abstract(void **state)
{
	char name[64];
	Err err;

	(void) state;
	(void) snprintf(name, sizeof(name), "@cdc-s3-test-%d", (int) getpid());
	listen_at(name);
	assert_true(notify_open(&err));
	notify_ready();
	assert_string_equal(heard(LONG_MS), "READY=1");
}

static void
test_bad_socket(void **state)
{
	static const char *const names[] = { "relative", "@", "/",
										 "/no/such/folder/notify" };
	char too_long[200];
	Err err = { 0 };

	(void) state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
	{
		assert_int_equal(setenv("NOTIFY_SOCKET", names[i], 1), 0);
		assert_false(notify_open(&err));
		assert_int_equal(err.kind, ERR_USAGE);
		assert_non_null(strstr(err.msg, "NOTIFY_SOCKET"));
	}
	memset(too_long, '/', sizeof(too_long) - 1);
	too_long[sizeof(too_long) - 1] = '\0';
	assert_int_equal(setenv("NOTIFY_SOCKET", too_long, 1), 0);
	assert_false(notify_open(&err));
}

/* A manager that reads nothing must not hold us up. */
static void
test_manager_hangs(void **state)
{
	Err err;

	(void) state;
	listen_at(path);
	assert_true(notify_open(&err));
	for (int i = 0; i < 100000; i++)
		notify_status("message %d that nobody reads", i);
	close(manager);
	manager = -1;
	notify_ready();
}

static atomic_bool lives;
static atomic_int asked;

static bool
is_alive(void *arg)
{
	assert_ptr_equal(arg, &lives);
	atomic_fetch_add(&asked, 1);
	return atomic_load(&lives);
}

static void
test_watchdog(void **state)
{
	Err err;
	int before;

	(void) state;
	listen_at(path);
	assert_int_equal(setenv("WATCHDOG_USEC", "30000", 1), 0);
	assert_true(notify_open(&err));
	atomic_store(&lives, true);
	assert_true(notify_watchdog_start(is_alive, &lives, &err));
	for (int i = 0; i < 3; i++)
		assert_string_equal(heard(LONG_MS), "WATCHDOG=1");

	/* Asked, and silent: one word may have been on its way. */
	atomic_store(&lives, false);
	before = atomic_load(&asked);
	while (atomic_load(&asked) < before + 2)
		(void) poll(NULL, 0, 1);
	while (*heard(0))
		;
	before = atomic_load(&asked);
	while (atomic_load(&asked) < before + 5)
		(void) poll(NULL, 0, 1);
	assert_string_equal(heard(0), "");

	atomic_store(&lives, true);
	assert_string_equal(heard(LONG_MS), "WATCHDOG=1");
	notify_watchdog_stop();
	while (*heard(0))
		;
	before = atomic_load(&asked);
	assert_int_equal(atomic_load(&asked), before);
}

/* A long pause between two words does not make the end wait. */
static void
test_watchdog_ends(void **state)
{
	Err err;

	(void) state;
	listen_at(path);
	assert_int_equal(setenv("WATCHDOG_USEC", "36000000000", 1), 0);
	assert_true(notify_open(&err));
	atomic_store(&lives, true);
	assert_true(notify_watchdog_start(is_alive, &lives, &err));
	assert_string_equal(heard(LONG_MS), "WATCHDOG=1");
	notify_watchdog_stop();
}

/* Somebody else's watchdog, and a value that is none. */
static void
test_no_watchdog(void **state)
{
	static const char *const values[] = { "0", "-5", "soon", "" };
	Err err;

	(void) state;
	atomic_store(&asked, 0);
	listen_at(path);
	assert_int_equal(setenv("WATCHDOG_USEC", "1000", 1), 0);
	assert_int_equal(setenv("WATCHDOG_PID", "1", 1), 0);
	assert_true(notify_open(&err));
	assert_true(notify_watchdog_start(is_alive, &lives, &err));
	notify_close();
	unsetenv("WATCHDOG_PID");
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++)
	{
		assert_int_equal(setenv("WATCHDOG_USEC", values[i], 1), 0);
		assert_true(notify_open(&err));
		assert_true(notify_watchdog_start(is_alive, &lives, &err));
		notify_close();
	}
	assert_int_equal(atomic_load(&asked), 0);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_no_manager),    T(test_messages),      T(test_abstract),
		T(test_bad_socket),    T(test_manager_hangs), T(test_watchdog),
		T(test_watchdog_ends), T(test_no_watchdog),
	};
	int code;

	if (!mkdtemp(folder))
		return 1;
	(void) snprintf(path, sizeof(path), "%s/socket", folder);
	code = cmocka_run_group_tests_name("notify", tests, NULL, NULL);
	(void) rmdir(folder);
	return code;
}
