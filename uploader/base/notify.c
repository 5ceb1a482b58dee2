/*-------------------------------------------------------------------------
 * notify.c
 *	  What a service manager hears of us: the protocol of sd_notify(3).
 *
 * A message is one datagram of lines NAME=value.  The socket is opened once,
 * since a sandbox may take away later what it takes to open one.
 * Layer: base.
 *-------------------------------------------------------------------------
 */
#include "base/notify.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/queue.h"

#define MESSAGE_MAX 1024
#define STOP_SPARE_MS 10000 /* beyond what the stop itself may take */

static int notify_fd = -1;
static int64_t watchdog_ms; /* 0: there is none */

static struct
{
	pthread_t thread;
	Queue wake; /* nothing comes; it is closed to end the thread */
	atomic_bool stop;
	bool runs;
	bool (*alive)(void *arg);
	void *arg;
} dog;

static void
notify_send(const char *message)
{
	if (notify_fd >= 0)
		(void) send(notify_fd, message, strlen(message),
					MSG_DONTWAIT | MSG_NOSIGNAL); /* lost is lost */
}

/* How often the manager wants to hear of us; not meant for our children. */
static int64_t
watchdog_wanted_ms(void)
{
	const char *usec = getenv("WATCHDOG_USEC");
	const char *pid = getenv("WATCHDOG_PID");
	long long wanted = usec ? strtoll(usec, NULL, 10) : 0;

	if (wanted <= 0 || (pid && strtoll(pid, NULL, 10) != getpid()))
		return 0;
	return wanted >= 1000 ? wanted / 1000 : 1;
}

/* '@' stands for the NUL byte that begins the name of an abstract socket. */
static bool
socket_address(const char *name, struct sockaddr_un *out, socklen_t *out_n,
			   Err *err)
{
	size_t n = strlen(name);

	memset(out, 0, sizeof(*out));
	out->sun_family = AF_UNIX;
	if ((name[0] != '/' && name[0] != '@') || n < 2 ||
		n >= sizeof(out->sun_path))
		return err_set(err, ERR_USAGE, 0,
					   "variable NOTIFY_SOCKET names no socket: \"%.108s\"",
					   name);
	memcpy(out->sun_path, name, n);
	if (name[0] == '@')
		out->sun_path[0] = '\0';
	*out_n = (socklen_t) (offsetof(struct sockaddr_un, sun_path) + n);
	return true;
}

bool
notify_open(Err *err)
{
	const char *name = getenv("NOTIFY_SOCKET");
	struct sockaddr_un address;
	socklen_t n = 0;
	char why[64];
	int fd;

	if (notify_fd >= 0 || !name || *name == '\0')
		return true;
	if (!socket_address(name, &address, &n, err))
		return false;
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *) &address, n) != 0)
	{
		int saved = errno;

		if (fd >= 0)
			(void) close(fd); /* nothing was sent */
		return err_set(err, ERR_USAGE, saved,
					   "could not reach the service manager at "
					   "NOTIFY_SOCKET=\"%.108s\": %s; unset it where there "
					   "is none",
					   name, err_errno(saved, why, sizeof(why)));
	}
	notify_fd = fd;
	watchdog_ms = watchdog_wanted_ms();
	return true;
}

void
notify_ready(void)
{
	notify_send("READY=1");
}

void
notify_status(const char *format, ...)
{
	char message[MESSAGE_MAX] = "STATUS=";
	size_t n = strlen(message);
	va_list args;

	if (notify_fd < 0)
		return;
	va_start(args, format);
	(void) vsnprintf(message + n, sizeof(message) - n, format, args);
	va_end(args);
	for (char *p = message + n; *p; p++)
		if ((unsigned char) *p < 0x20 || *p == 0x7f)
			*p = ' '; /* a line end would begin another NAME=value */
	notify_send(message);
}

void
notify_reloading(void)
{
	char message[MESSAGE_MAX];

	(void) snprintf(message, sizeof(message),
					"RELOADING=1\nMONOTONIC_USEC=%" PRId64,
					(clock_mono_ms() + 1) * 1000);
	notify_send(message);
}

void
notify_reloaded(void)
{
	notify_ready();
}

void
notify_stopping(int64_t timeout_ms)
{
	char message[MESSAGE_MAX];

	(void) snprintf(message, sizeof(message),
					"STOPPING=1\nSTATUS=stopping: the last checkpoint\n"
					"EXTEND_TIMEOUT_USEC=%" PRId64,
					(timeout_ms + STOP_SPARE_MS) * 1000);
	notify_send(message);
}

/*
 * The watchdog
 */
static void *
watchdog_main(void *arg)
{
	while (!atomic_load(&dog.stop))
	{
		if (dog.alive(dog.arg))
			notify_send("WATCHDOG=1");
		(void) queue_pop(&dog.wake, watchdog_ms / 3 + 1); /* only waits */
	}
	return arg;
}

bool
notify_watchdog_start(bool (*alive)(void *arg), void *arg, Err *err)
{
	int code;

	if (notify_fd < 0 || watchdog_ms == 0)
		return true;
	queue_init(&dog.wake);
	atomic_store(&dog.stop, false);
	dog.alive = alive;
	dog.arg = arg;
	code = pthread_create(&dog.thread, NULL, watchdog_main, NULL);
	if (code != 0)
	{
		queue_done(&dog.wake);
		return err_set(err, ERR_INTERNAL, code,
					   "could not start the thread of the watchdog");
	}
	dog.runs = true;
	return true;
}

void
notify_watchdog_stop(void)
{
	if (!dog.runs)
		return;
	atomic_store(&dog.stop, true);
	queue_close(&dog.wake);
	pthread_join(dog.thread, NULL);
	queue_done(&dog.wake);
	dog.runs = false;
}

void
notify_close(void)
{
	notify_watchdog_stop();
	if (notify_fd >= 0)
		(void) close(notify_fd); /* nothing is owed */
	notify_fd = -1;
	watchdog_ms = 0;
}
