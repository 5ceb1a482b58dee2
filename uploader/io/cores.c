/*-------------------------------------------------------------------------
 * cores.c
 *	  How many processor cores this process may use.
 *
 * Source: sched_getaffinity(2), cgroups(7); cpu.max is "quota period" in
 * microseconds, or "max period" (the kernel's cgroup-v2 document).
 * Layer: io.
 *-------------------------------------------------------------------------
 */
#include "io/cores.h"

#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define PATH_MAX_BYTES 4096

/* Of one file; 0: none. */
static int
quota_of(const char *file)
{
	FILE *f = fopen(file, "re");
	long long quota = 0;
	long long period = 0;
	bool ok;

	if (!f)
		return 0;
	ok = fscanf(f, "%lld %lld", &quota, &period) == 2; /* "max" is no number */
	(void) fclose(f);
	if (!ok || quota <= 0 || period <= 0)
		return 0;
	return (int) ((quota + period - 1) / period);
}

int
cores_of_cgroup(const char *root, const char *path)
{
	char at[PATH_MAX_BYTES];
	char file[2 * PATH_MAX_BYTES];
	int least = 0;

	if (snprintf(at, sizeof(at), "%s", path) >= (int) sizeof(at))
		return 0;
	for (;;)
	{
		char *slash;
		int n;

		(void) snprintf(file, sizeof(file), "%s%s/cpu.max", root, at);
		n = quota_of(file);
		if (n > 0 && (least == 0 || n < least))
			least = n;
		slash = strrchr(at, '/');
		if (!slash)
			return least;
		*slash = '\0';
	}
}

/* The line of version 2 is "0::/path". */
static int
own_quota(void)
{
	FILE *f = fopen("/proc/self/cgroup", "re");
	char line[PATH_MAX_BYTES];
	int n = 0;

	if (!f)
		return 0;
	while (fgets(line, sizeof(line), f))
	{
		line[strcspn(line, "\n")] = '\0';
		if (strncmp(line, "0::", 3) == 0)
			n = cores_of_cgroup("/sys/fs/cgroup",
								strcmp(line + 3, "/") == 0 ? "" : line + 3);
	}
	(void) fclose(f);
	return n;
}

int
cores_available(void)
{
	cpu_set_t set;
	int n = 1;
	int quota = own_quota();

	if (sched_getaffinity(0, sizeof(set), &set) == 0 && CPU_COUNT(&set) > 0)
		n = CPU_COUNT(&set);
	return quota > 0 && quota < n ? quota : n;
}
