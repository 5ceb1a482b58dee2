/*-------------------------------------------------------------------------
 * fault.c
 *	  Named points at which a test kills or stops the process.
 *
 * Layer: base.
 *-------------------------------------------------------------------------
 */
#include "base/fault.h"

#ifdef CDC_S3_FAULTS

#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The test sees that the point was reached, whatever becomes of us. */
static void
tell(const char *name)
{
	const char *path = getenv("CDCS3_TEST_FAULT_LOG");
	int fd =
		path ? open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666) : -1;

	if (fd < 0)
		return;
	if (write(fd, name, strlen(name)) < 0 || write(fd, "\n", 1) < 0)
		abort(); /* a test that cannot see is none */
	(void) close(fd);
}

void
fault_point(const char *name)
{
	static atomic_long hits;
	const char *wanted = getenv("CDCS3_TEST_FAULT");
	size_t n = strlen(name);
	char *end = NULL;
	long at = 1;

	if (!wanted || strncmp(wanted, name, n) != 0 ||
		(wanted[n] != '\0' && wanted[n] != ':'))
		return;
	if (wanted[n] == ':')
		at = strtol(wanted + n + 1, &end, 10);
	if (atomic_fetch_add(&hits, 1) + 1 != at)
		return;
	tell(name);
	(void) kill(getpid(), end && *end == ':' ? SIGSTOP : SIGKILL);
}

#endif
