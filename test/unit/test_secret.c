/*-------------------------------------------------------------------------
 * test_secret.c
 *	  store/secret_file and store/secret: what a file and a secret's text mean,
 *	  and what is said where they mean nothing.
 *-------------------------------------------------------------------------
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/secret.h"
#include "store/secret_file.h"

static char folder[] = "/tmp/cdc_s3.secret.XXXXXX";
static char path[64];

static void
put(const char *p, size_t n)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(p, 1, n, f), n);
	assert_int_equal(fclose(f), 0);
}

static void
test_file(void **state)
{
	static const struct
	{
		const char *text, *want;
	} rows[] = {
		{ "secret", "secret" },     { "secret\n", "secret" },
		{ "secret\r\n", "secret" }, { " two words \n", " two words " },
		{ "a\nb\n", "a\nb" },       { "one\n\n", "one\n" },
	};

	(void) state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
	{
		char *got = NULL;
		Err err = { 0 };

		put(rows[i].text, strlen(rows[i].text));
		assert_true(secret_read_file("a.b", path, &got, &err));
		assert_string_equal(got, rows[i].want);
		free(got);
	}
}

/* Neither what stands in the file nor its name is repeated. */
static void
expect_refused(const char *file, const char *why)
{
	char *got = NULL;
	Err err = { 0 };

	assert_false(secret_read_file("source.password_file", file, &got, &err));
	assert_null(got);
	assert_int_equal(err.kind, ERR_AUTH);
	assert_non_null(strstr(err.msg, "source.password_file"));
	assert_non_null(strstr(err.msg, why));
	assert_null(strstr(err.msg, file));
}

static void
test_bad_file(void **state)
{
	char large[5000];

	(void) state;
	put("", 0);
	expect_refused(path, "empty or no text");
	put("\n", 1);
	expect_refused(path, "empty or no text");
	put("se\0cret", 7);
	expect_refused(path, "empty or no text");
	memset(large, 'x', sizeof(large));
	put(large, sizeof(large));
	expect_refused(path, "more than 4096 bytes");
	assert_int_equal(unlink(path), 0);
	expect_refused(path, "No such file");
	expect_refused("hunter2", "No such file");
}

static void
test_text(void **state)
{
	static const struct
	{
		const char *text, *password, *user, *host, *port;
	} rows[] = {
		{ "plain words", "plain words", "", "", "" },
		{ "{\"username\":\"u\",\"password\":\"p\"}", "p", "u", "", "" },
		{ "{\"username\":\"u\",\"password\":\"p\",\"host\":\"h\","
		  "\"port\":5433,\"engine\":\"postgres\",\"dbname\":\"d\"}",
		  "p", "u", "h", "5433" },
		{ "{\"password\":\"p\",\"port\":\"6432\",\"host\":null}", "p", "", "",
		  "6432" },
		{ "{not json", "{not json", "", "", "" },
		{ "\"quoted\"", "\"quoted\"", "", "", "" },
	};

	(void) state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
	{
		PgLogin got = { 0 };
		Err err = { 0 };

		assert_true(secret_parse("a.b", rows[i].text, &got, &err));
		assert_string_equal(got.password, rows[i].password);
		assert_string_equal(got.user, rows[i].user);
		assert_string_equal(got.host, rows[i].host);
		assert_string_equal(got.port, rows[i].port);
		pg_login_done(&got);
		assert_null(got.password);
	}
}

static void
test_no_password(void **state)
{
	static const char *const texts[] = { "", "{}", "{\"Password\":\"p\"}",
										 "{\"password\":7.5}",
										 "{\"password\":\"\"}" };

	(void) state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
	{
		PgLogin got = { 0 };
		Err err = { 0 };

		assert_false(
			secret_parse("target.password_secret", texts[i], &got, &err));
		assert_int_equal(err.kind, ERR_AUTH);
		assert_non_null(strstr(err.msg, "target.password_secret"));
		assert_null(got.password);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_file),
		cmocka_unit_test(test_bad_file),
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_no_password),
	};
	int code;

	if (!mkdtemp(folder))
		return 1;
	(void) snprintf(path, sizeof(path), "%s/f", folder);
	code = cmocka_run_group_tests_name("secret", tests, NULL, NULL);
	(void) unlink(path);
	(void) rmdir(folder);
	return code;
}
