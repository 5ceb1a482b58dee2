/*-------------------------------------------------------------------------
 * test_cores.c
 *	  io/cores: the quota of a cgroup and of those above it.
 *-------------------------------------------------------------------------
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <ftw.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "io/cores.h"

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void) st, (void) type, (void) ftw;
	return remove(path);
}

/* NULL: no such file. */
static void
put(const char *root, const char *group, const char *max)
{
	char path[200];
	FILE *f;

	(void) snprintf(path, sizeof(path), "%s%s", root, group);
	(void) mkdir(path, 0700);
	(void) snprintf(path, sizeof(path), "%s%s/cpu.max", root, group);
	(void) remove(path);
	if (!max)
		return;
	f = fopen(path, "w");
	assert_non_null(f);
	assert_true(fputs(max, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static void
test_cgroup(void **state)
{
	static const struct
	{
		const char *root, *a, *b;
		const char *path;
		int want;
	} rows[] = {
		{ NULL, NULL, NULL, "/a/b", 0 },
		{ NULL, "max 100000\n", "max 100000\n", "/a/b", 0 },
		{ NULL, NULL, "200000 100000\n", "/a/b", 2 },
		{ NULL, NULL, "150000 100000\n", "/a/b", 2 },
		{ NULL, NULL, "50000 100000\n", "/a/b", 1 },
		{ NULL, "100000 100000\n", "300000 100000\n", "/a/b", 1 },
		{ NULL, "300000 100000\n", "max 100000\n", "/a/b", 3 },
		{ "400000 100000\n", NULL, NULL, "", 4 },
		{ "400000 100000\n", "800000 100000\n", NULL, "/a/b", 4 },
		{ NULL, NULL, "nonsense", "/a/b", 0 },
		{ NULL, NULL, "-1 100000\n", "/a/b", 0 },
		{ NULL, NULL, "100000 0\n", "/a/b", 0 },
	};
	char root[] = "/tmp/test_cores.XXXXXX";

	(void) state;
	assert_non_null(mkdtemp(root));
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
	{
		put(root, "", rows[i].root);
		put(root, "/a", rows[i].a);
		put(root, "/a/b", rows[i].b);
		if (cores_of_cgroup(root, rows[i].path) != rows[i].want)
			fail_msg("row %zu: %d", i, cores_of_cgroup(root, rows[i].path));
	}
	assert_int_equal(nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}

static void
test_available(void **state)
{
	cpu_set_t one;
	int n = cores_available();

	(void) state;
	assert_true(n >= 1);
	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
	assert_int_equal(cores_available(), 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cgroup),
		cmocka_unit_test(test_available),
	};

	return cmocka_run_group_tests_name("cores", tests, NULL, NULL);
}
