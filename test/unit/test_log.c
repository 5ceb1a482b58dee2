/*-------------------------------------------------------------------------
 * test_log.c
 *	  base/log: the bytes of a line in both forms.
 *-------------------------------------------------------------------------
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"

#define AT "2026-11-21T08:14:07.123456Z"

static int64_t
now_us(void)
{
	return INT64_C(1795248847123456);
}

static int64_t
now_ms(void)
{
	return 0;
}

static void
no_sleep(int64_t ms)
{
	(void) ms;
}

static const ClockOps ops = { now_us, now_ms, no_sleep };
static char text[20000];
static FILE *file;
static int real_stderr;

static void
capture(void)
{
	clock_set(&ops);
	file = tmpfile();
	assert_non_null(file);
	real_stderr = dup(STDERR_FILENO);
	assert_true(dup2(fileno(file), STDERR_FILENO) >= 0);
}

/* What was written since capture(). */
static const char *
captured(void)
{
	size_t n;

	assert_true(dup2(real_stderr, STDERR_FILENO) >= 0);
	assert_int_equal(close(real_stderr), 0);
	rewind(file);
	n = fread(text, 1, sizeof(text) - 1, file);
	text[n] = '\0';
	assert_int_equal(fclose(file), 0);
	clock_set(NULL);
	return text;
}

static void
test_text(void **state)
{
	(void) state;
	log_init(LOG_INFO, false);
	capture();
	log_info("entry written", "entry", log_int(-42), "lsn",
			 log_lsn(UINT64_C(0x16B374D848)), "none", NULL, "bytes", "7", NULL);
	assert_string_equal(captured(), "time=" AT " level=info "
									"event=\"entry written\" entry=-42 "
									"lsn=16/B374D848 bytes=7\n");
}

static void
test_over_line(void **state)
{
	(void) state;
	log_init(LOG_INFO, false);
	capture();
	log_over_line(true);
	log_debug("not written", NULL);
	log_info("e", NULL);
	log_over_line(false);
	log_info("e", NULL);
	assert_string_equal(captured(), "\r\033[Jtime=" AT " level=info event=e\n"
									"time=" AT " level=info event=e\n");
}

static void
test_quoting(void **state)
{
	static const struct
	{
		const char *value;
		const char *want;
	} rows[] = {
		{ "plain", "plain" },
		{ "", "\"\"" },
		{ "a b", "\"a b\"" },
		{ "a=b", "\"a=b\"" },
		{ "a\"b", "\"a\\\"b\"" },
		{ "a\\b", "\"a\\\\b\"" },
		{ "a\nb", "\"a\\nb\"" },
		{ "a\tb\177", "\"a\\u0009b\\u007f\"" },
		{ "caf\xc3\xa9", "caf\xc3\xa9" },
	};

	(void) state;
	log_init(LOG_INFO, false);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
	{
		char want[200];

		capture();
		log_warn("e", "k", rows[i].value, NULL);
		(void) snprintf(want, sizeof(want),
						"time=" AT " level=warn event=e k=%s\n", rows[i].want);
		assert_string_equal(captured(), want);
	}
}

static void
test_json(void **state)
{
	Err err;

	(void) state;
	log_init(LOG_INFO, true);
	capture();
	(void) err_set(&err, ERR_NET, 0, "no \"host\"\nat all");
	log_err(LOG_ERROR, "store does not answer", &err);
	assert_string_equal(captured(), "{\"time\":\"" AT "\",\"level\":\"error\","
									"\"event\":\"store does not answer\","
									"\"error\":\"no \\\"host\\\"\\nat all\","
									"\"kind\":\"net\"}\n");
	capture();
	(void) err_hint(&err, "Try again.");
	log_err(LOG_ERROR, "e", &err);
	assert_non_null(strstr(captured(), ",\"hint\":\"Try again.\"}\n"));
}

static void
test_levels(void **state)
{
	(void) state;
	log_init(LOG_WARN, false);
	capture();
	log_debug("a", NULL);
	log_info("b", NULL);
	log_warn("c", NULL);
	log_error("d", NULL);
	assert_string_equal(captured(), "time=" AT " level=warn event=c\n"
									"time=" AT " level=error event=d\n");
	assert_false(log_enabled(LOG_INFO));
	assert_true(log_enabled(LOG_WARN));
	log_init(LOG_DEBUG, false);
	assert_true(log_enabled(LOG_DEBUG));
}

/* A value too long is cut between two characters; a line stays a line. */
static void
test_too_long(void **state)
{
	static const char *const units[] = { "x",   "\xc3\xa9",         "\n",
										 "a b", "\xf0\x9f\x98\x80", "\"" };
	static char value[12000];

	(void) state;
	for (int json = 0; json < 2; json++)
	{
		log_init(LOG_INFO, json);
		for (size_t i = 0; i < 6; i++)
		{
			for (size_t lead = 0; lead < 12; lead++)
			{
				const char *got;
				size_t n = lead;

				memset(value, '-', lead);
				while (n < sizeof(value) - 8)
				{
					memcpy(value + n, units[i], strlen(units[i]));
					n += strlen(units[i]);
				}
				value[n] = '\0';
				capture();
				log_info("e", "key", value, "more", value, "last", "z", NULL);
				got = captured();
				n = strlen(got);
				assert_true(n > 8000 && n <= 8192 + 2);
				assert_ptr_equal(strchr(got, '\n'), got + n - 1);
				if (json)
				{
					json_t *doc = json_loads(got, 0, NULL);

					if (!doc)
						fail_msg("no JSON: …%s", got + n - 40);
					assert_non_null(json_object_get(doc, "key"));
					json_decref(doc);
				}
				else
					assert_int_equal(got[n - 2], '"');
			}
		}
	}
}

/* The values of one line live together. */
static void
test_ring(void **state)
{
	const char *v[16];
	char want[16];

	(void) state;
	for (int i = 0; i < 16; i++)
		v[i] = log_int(i);
	for (int i = 0; i < 16; i++)
	{
		(void) snprintf(want, sizeof(want), "%d", i);
		assert_string_equal(v[i], want);
	}
	assert_string_equal(log_int(INT64_MIN), "-9223372036854775808");
	assert_string_equal(log_lsn(UINT64_MAX), "FFFFFFFF/FFFFFFFF");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text),    cmocka_unit_test(test_over_line),
		cmocka_unit_test(test_quoting), cmocka_unit_test(test_json),
		cmocka_unit_test(test_levels),  cmocka_unit_test(test_too_long),
		cmocka_unit_test(test_ring),
	};

	return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
