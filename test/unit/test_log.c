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
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/log_sink.h"

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
	char want[1000];

	(void) state;
	log_init(LOG_INFO, true);
	capture();
	(void) err_set(&err, ERR_NET, 0, "no \"host\"\nat all");
	log_err(LOG_ERROR, "store does not answer", &err);
	(void) snprintf(want, sizeof(want),
					"{\"@timestamp\":\"" AT "\",\"log.level\":\"error\","
					"\"message\":\"store does not answer\","
					"\"ecs.version\":\"8.11\",\"service.name\":\"cdc-s3\","
					"\"process.pid\":\"%d\","
					"\"error.message\":\"no \\\"host\\\"\\nat all\","
					"\"error.type\":\"net\"}\n",
					(int) getpid());
	assert_string_equal(captured(), want);
	capture();
	(void) err_hint(&err, "Try again.");
	log_err(LOG_ERROR, "e", &err);
	assert_non_null(strstr(captured(), ",\"cdc_s3.hint\":\"Try again.\"}\n"));
}

static const char *
read_file(const char *path)
{
	FILE *f = fopen(path, "r");
	size_t n;

	assert_non_null(f);
	n = fread(text, 1, sizeof(text) - 1, f);
	text[n] = '\0';
	assert_int_equal(fclose(f), 0);
	return text;
}

/* A file that somebody moves away is opened anew, and not before. */
static void
test_file(void **state)
{
	char folder[] = "/tmp/cdc_s3.log.XXXXXX";
	char path[64];
	char moved[64];
	Err err;

	(void) state;
	clock_set(&ops);
	assert_non_null(mkdtemp(folder));
	(void) snprintf(path, sizeof(path), "%s/log", folder);
	(void) snprintf(moved, sizeof(moved), "%s/log.1", folder);
	log_init(LOG_INFO, LOG_TEXT);
	assert_true(log_sink_file(path, &err));
	log_over_line(true); /* of a terminal: not in a file */
	log_info("one", NULL);
	log_over_line(false);
	assert_int_equal(rename(path, moved), 0);
	log_info("two", NULL);
	assert_string_equal(read_file(moved), "time=" AT " level=info event=one\n"
										  "time=" AT " level=info event=two\n");
	log_sink_reopen();
	log_info("three", NULL);
	assert_string_equal(read_file(path),
						"time=" AT " level=info event=three\n");
	assert_true(log_sink_file(path, &err)); /* what is there stays */
	log_info("four", NULL);
	assert_non_null(strstr(read_file(path), "event=three\n"));
	assert_non_null(strstr(read_file(path), "event=four\n"));
	assert_false(log_sink_file("/nothing/here/log", &err));
	assert_int_equal(err.kind, ERR_USAGE);
	log_info("five", NULL); /* it goes where it went */
	assert_non_null(strstr(read_file(path), "event=five\n"));
	assert_true(log_sink_file("", &err));
	clock_set(NULL);
	assert_int_equal(unlink(path) + unlink(moved) + rmdir(folder), 0);
}

/* What the journal's socket gets: a field for each pair. */
static void
test_journal(void **state)
{
	char folder[] = "/tmp/cdc_s3.log.XXXXXX";
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
	ssize_t n;

	(void) state;
	assert_non_null(mkdtemp(folder));
	(void) snprintf(at.sun_path, sizeof(at.sun_path), "%s/socket", folder);
	assert_int_equal(bind(fd, (struct sockaddr *) &at, sizeof(at)), 0);
	log_sink_journal_path(at.sun_path);
	log_init(LOG_INFO, LOG_JOURNAL);
	capture();
	log_warn("table lost", "table", "a=b", "error", "two\nlines", NULL);
	assert_string_equal(captured(), "");
	n = recv(fd, text, sizeof(text) - 1, MSG_DONTWAIT);
	assert_true(n > 0);
	text[n] = '\0';
	assert_non_null(strstr(text, "MESSAGE=\"table lost\" table=\"a=b\" "
								 "error=\"two\\nlines\"\nPRIORITY=4\n"
								 "SYSLOG_IDENTIFIER=cdc-s3\n"
								 "CDC_S3_EVENT=table lost\n"
								 "CDC_S3_TABLE=a=b\nCDC_S3_ERROR\n"));
	assert_memory_equal(text + n - 18, "\x09\0\0\0\0\0\0\0two\nlines\n", 18);
	assert_int_equal(close(fd) + unlink(at.sun_path) + rmdir(folder), 0);
	capture();
	log_warn("nobody listens", NULL); /* then it stands where it can */
	assert_string_equal(captured(), "time=" AT " level=warn event=\"nobody "
									"listens\"\n");
	log_sink_journal_path(NULL);
	log_init(LOG_INFO, LOG_TEXT);
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
					assert_non_null(json_object_get(doc, "cdc_s3.key"));
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

/*
 * A pipe that nobody reads: who logs goes on, and what was lost is counted once
 * somebody does.
 */
static void
test_full_pipe(void **state)
{
	static char read_back[1 << 20];
	char value[3000];
	int ends[2];
	size_t n = 0;
	ssize_t got;
	int saved = dup(STDERR_FILENO);

	(void) state;
	clock_set(&ops);
	log_init(LOG_INFO, LOG_TEXT);
	assert_int_equal(pipe(ends), 0);
	assert_true(dup2(ends[1], STDERR_FILENO) >= 0);
	(void) close(ends[1]);
	memset(value, 'v', sizeof(value) - 1);
	value[sizeof(value) - 1] = '\0';
	for (int i = 0; i < 100; i++) /* a pipe takes 64 kB */
		log_info("filling", "value", value, NULL);
	while (n < 40000 && (got = read(ends[0], read_back, sizeof(read_back))) > 0)
		n += (size_t) got;
	log_info("room again", NULL);
	assert_true(dup2(saved, STDERR_FILENO) >= 0); /* the pipe's last end */
	n = 0;
	while ((got = read(ends[0], read_back + n, sizeof(read_back) - n - 1)) > 0)
		n += (size_t) got;
	read_back[n] = '\0';
	(void) close(ends[0]);
	(void) close(saved);
	clock_set(NULL);
	assert_non_null(strstr(read_back, "level=warn event=\"log lines were lost: "
									  "nobody read them\" lines="));
	assert_non_null(strstr(read_back, "event=\"room again\"\n"));
	assert_true(strstr(read_back, "room again") >
				strstr(read_back, "were lost"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text),    cmocka_unit_test(test_over_line),
		cmocka_unit_test(test_quoting), cmocka_unit_test(test_json),
		cmocka_unit_test(test_file),    cmocka_unit_test(test_journal),
		cmocka_unit_test(test_levels),  cmocka_unit_test(test_too_long),
		cmocka_unit_test(test_ring),    cmocka_unit_test(test_full_pipe),
	};

	return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
