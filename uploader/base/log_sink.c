/*-------------------------------------------------------------------------
 * log_sink.c
 *	  Where lines of the log go.
 *
 * A file that is opened anew takes the number of the one before (dup2), so that
 * who writes at the same moment writes to the one or the other, and never to a
 * descriptor that is something else by then.
 * Layer: base.
 *-------------------------------------------------------------------------
 */
#include "base/log_sink.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/mem.h"

#define JOURNAL "/run/systemd/journal/socket"
#define FILE_MODE 0640
#define STALL_MS 200 /* a reader that is slow loses nothing */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char *file_path;         /* NULL: standard error; under the lock */
static atomic_int file_fd = -1; /* once opened it stays the same number */
static atomic_bool to_file;
static atomic_bool asked;
static atomic_int journal_fd = -1;
static const char *journal_path = JOURNAL;

/* Of the sink: a pipe that can be written takes PIPE_BUF bytes at once. */
static pthread_mutex_t writing = PTHREAD_MUTEX_INITIALIZER;
static int64_t lost;  /* lines; under writing */
static bool cut_line; /* the last one has no end; under writing */

static bool
has_room(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLOUT };
	int n;

	while ((n = poll(&p, 1, lost ? 0 : STALL_MS)) < 0 && errno == EINTR)
		;
	return n > 0;
}

/* False where there was no room for all of it. */
static bool
write_pieces(int fd, const uint8_t *p, size_t n)
{
	size_t done = 0;

	while (done < n)
	{
		size_t piece = n - done < PIPE_BUF ? n - done : PIPE_BUF;
		ssize_t k;

		if (!has_room(fd))
		{
			cut_line |= done > 0;
			return false;
		}
		k = write(fd, p + done, piece);
		if (k < 0 && errno != EINTR)
			return true; /* nobody to tell, now or later */
		if (k > 0)
			done += (size_t) k;
	}
	return true;
}

/* A file has room, or an error. */
static bool
is_file(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
}

static void
write_file(int fd, const uint8_t *p, size_t n)
{
	while (n > 0)
	{
		ssize_t k = write(fd, p, n);

		if (k < 0 && errno != EINTR)
			return; /* nobody to tell */
		if (k > 0)
		{
			p += k;
			n -= (size_t) k;
		}
	}
}

static void
write_all(int fd, const uint8_t *p, size_t n)
{
	if (is_file(fd))
	{
		write_file(fd, p, n);
		return;
	}
	pthread_mutex_lock(&writing);
	if (cut_line && write_pieces(fd, (const uint8_t *) "\n", 1))
		cut_line = false;
	lost += !write_pieces(fd, p, n);
	pthread_mutex_unlock(&writing);
}

/* Under the lock. */
static bool
open_file(const char *path, Err *err)
{
	int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, FILE_MODE);
	int old = atomic_load(&file_fd);
	char why[64];

	if (fd >= 0 && old >= 0)
	{
		int moved = dup3(fd, old, O_CLOEXEC);

		(void) close(fd); /* nothing was written to it */
		fd = moved;
	}
	if (fd < 0)
	{
		err_set(err, ERR_USAGE, errno, "could not open log.file \"%s\": %s",
				path, err_errno(errno, why, sizeof(why)));
		return err_hint(err, "its folder must be there, and ours to write");
	}
	atomic_store(&file_fd, fd);
	return true;
}

bool
log_sink_file(const char *path, Err *err)
{
	bool ok = true;

	pthread_mutex_lock(&lock);
	if (path[0] == '\0')
		atomic_store(&to_file, false);
	else
	{
		ok = open_file(path, err);
		if (ok)
		{
			free(file_path);
			file_path = xstrdup(path);
			atomic_store(&to_file, true);
		}
	}
	pthread_mutex_unlock(&lock);
	return ok;
}

void
log_sink_reopen(void)
{
	atomic_store(&asked, true);
}

bool
log_sink_is_file(void)
{
	return atomic_load(&to_file);
}

/* It goes on in the old one where that fails, and says so there. */
static void
reopen(void)
{
	Err err;
	char line[1024];
	int n = 0;

	pthread_mutex_lock(&lock);
	if (atomic_load(&to_file) && !open_file(file_path, &err))
		n = snprintf(line, sizeof(line), "cdc-s3: %s\n", err.msg);
	pthread_mutex_unlock(&lock);
	if (n > 0)
		write_all(atomic_load(&file_fd), (const uint8_t *) line, (size_t) n);
}

static int
sink_fd(void)
{
	return atomic_load(&to_file) ? atomic_load(&file_fd) : STDERR_FILENO;
}

int64_t
log_sink_take_lost(void)
{
	int64_t n = 0;

	if (is_file(sink_fd()))
		return 0;
	pthread_mutex_lock(&writing);
	if (lost > 0 && has_room(sink_fd()))
	{
		n = lost;
		lost = 0;
	}
	pthread_mutex_unlock(&writing);
	return n;
}

void
log_sink_write(const void *p, size_t n)
{
	if (atomic_exchange(&asked, false))
		reopen();
	write_all(sink_fd(), p, n);
}

static int
open_journal(void)
{
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int none = -1;

	if (fd < 0)
		return -1;
	if (atomic_compare_exchange_strong(&journal_fd, &none, fd))
		return fd;
	(void) close(fd); /* another thread was first */
	return none;
}

bool
log_sink_journal(const void *p, size_t n)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	int fd = atomic_load(&journal_fd);
	ssize_t sent;

	if (fd < 0)
		fd = open_journal();
	/* fits: it is ours, or a test's */
	(void) snprintf(to.sun_path, sizeof(to.sun_path), "%s", journal_path);
	do
		sent =
			sendto(fd, p, n, MSG_NOSIGNAL, (struct sockaddr *) &to, sizeof(to));
	while (sent < 0 && errno == EINTR);
	return sent == (ssize_t) n;
}

void
log_sink_journal_path(const char *path)
{
	journal_path = path ? path : JOURNAL;
}
