/*-------------------------------------------------------------------------
 * test_err.c
 *	  base/err: filling, prefixes, and the table of kinds.
 *-------------------------------------------------------------------------
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "base/err.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static void
test_set(void **state)
{
	Err err;

	(void) state;
	memset(&err, 'x', sizeof(err));
	assert_false(err_set(&err, ERR_STORE, 403, "no \"%s\" today", "key"));
	assert_int_equal(err.kind, ERR_STORE);
	assert_int_equal(err.code, 403);
	assert_string_equal(err.msg, "no \"key\" today");
	assert_string_equal(err.hint, "");
	assert_false(err_hint(&err, "Ask %s.", "again"));
	assert_string_equal(err.hint, "Ask again.");
	assert_false(err_prefix(&err, "part %d", 7));
	assert_false(err_prefix(&err, "object \"%s\"", "a"));
	assert_string_equal(err.msg, "object \"a\": part 7: no \"key\" today");
	assert_string_equal(err.hint, "Ask again.");
	assert_int_equal(err.code, 403);
	/* a new error has no old hint */
	assert_false(err_set(&err, ERR_NET, 0, "else"));
	assert_string_equal(err.hint, "");
	err_clear(&err);
	assert_int_equal(err.kind, ERR_NONE);
	assert_string_equal(err.msg, "");
}

/* What is too long is cut, at its end. */
static void
test_long(void **state)
{
	char text[2000];
	Err err;

	(void) state;
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	(void) err_set(&err, ERR_DATA, 0, "%s", text);
	assert_int_equal(strlen(err.msg), sizeof(err.msg) - 1);
	(void) err_prefix(&err, "first");
	assert_int_equal(strlen(err.msg), sizeof(err.msg) - 1);
	assert_int_equal(strncmp(err.msg, "first: xxx", 10), 0);
	(void) err_prefix(&err, "%s", text);
	assert_int_equal(strlen(err.msg), sizeof(err.msg) - 1);
	assert_int_equal(err.msg[0], 'x');
	(void) err_hint(&err, "%s", text);
	assert_int_equal(strlen(err.hint), sizeof(err.hint) - 1);
}

/* The promise of the command line (DESIGN: exit codes). */
static void
test_kinds(void **state)
{
	static const struct
	{
		ErrKind kind;
		const char *name;
		int exit_code;
		bool retryable;
	} rows[] = {
		{ ERR_NONE, "none", 0, false },
		{ ERR_INTERNAL, "internal", 1, false },
		{ ERR_DATA, "data", 1, false },
		{ ERR_LIMIT, "limit", 1, false },
		{ ERR_USAGE, "usage", 2, false },
		{ ERR_GAP, "gap", 3, false },
		{ ERR_SOURCE, "source", 4, false },
		{ ERR_STORE, "store", 5, false },
		{ ERR_EXISTS, "exists", 5, false },
		{ ERR_NOT_FOUND, "not_found", 5, false },
		{ ERR_AUTH, "auth", 6, false },
		{ ERR_TARGET, "target", 7, false },
		{ ERR_OUTSTANDING, "outstanding", 8, false },
		{ ERR_LOST, "lost", 75, false },
		{ ERR_GONE, "gone", 75, false },
		{ ERR_NET, "net", 75, true },
		{ ERR_BUSY, "busy", 75, true },
		{ ERR_STOP, "stop", 0, false },
	};

	(void) state;
	assert_int_equal(COUNT(rows), ERR_KINDS);
	for (size_t i = 0; i < COUNT(rows); i++)
	{
		assert_string_equal(err_kind_name(rows[i].kind), rows[i].name);
		assert_int_equal(err_exit_code(rows[i].kind), rows[i].exit_code);
		assert_int_equal(err_is_retryable(rows[i].kind), rows[i].retryable);
	}
}

static void
test_errno(void **state)
{
	char buf[64];
	char other[64];

	(void) state;
	assert_string_equal(err_errno(ENOENT, buf, sizeof(buf)),
						"No such file or directory");
	assert_non_null(strstr(err_errno(99999, other, sizeof(other)), "99999"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_set),
		cmocka_unit_test(test_long),
		cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_errno),
	};

	return cmocka_run_group_tests_name("err", tests, NULL, NULL);
}
