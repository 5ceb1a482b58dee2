/*-------------------------------------------------------------------------
 * test_strmap.c
 *	  base/strmap: growth, replacement, what is not there.
 *-------------------------------------------------------------------------
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "base/mem.h"
#include "base/strmap.h"

#define KEYS 5000

static void
test_empty(void **state)
{
	StrMap m = { 0 };

	(void) state;
	assert_int_equal(strmap_get(&m, ""), STRMAP_NONE);
	assert_int_equal(strmap_get(&m, "a"), STRMAP_NONE);
	strmap_done(&m);
}

static void
test_many(void **state)
{
	StrMap m = { 0 };
	char key[32];

	(void) state;
	for (int i = 0; i < KEYS; i++)
	{
		(void) snprintf(key, sizeof(key), "k%d", i); /* fits */
		strmap_put(&m, key, i);
	}
	key[0] = '\0'; /* keys are copied */
	for (int i = 0; i < KEYS; i += 2)
	{
		(void) snprintf(key, sizeof(key), "k%d", i); /* fits */
		strmap_put(&m, key, -2 - i);
	}
	assert_int_equal(m.n, KEYS);
	for (int i = 0; i < KEYS; i++)
	{
		(void) snprintf(key, sizeof(key), "k%d", i); /* fits */
		assert_int_equal(strmap_get(&m, key), i % 2 ? i : -2 - i);
	}
	assert_int_equal(strmap_get(&m, "k"), STRMAP_NONE);
	strmap_put(&m, "", 7);
	assert_int_equal(strmap_get(&m, ""), 7);
	strmap_done(&m);
	assert_int_equal(strmap_get(&m, "k1"), STRMAP_NONE);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
