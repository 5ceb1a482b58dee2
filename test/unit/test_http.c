/*-------------------------------------------------------------------------
 * test_http.c
 *	  io/http: what needs no server; the rest is in test/t.
 *-------------------------------------------------------------------------
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "io/http.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static void
test_date(void **state)
{
	static const struct
	{
		const char *text;
		int64_t unix_s; /* -1: refused */
	} rows[] = {
		{ "Sun, 06 Nov 1994 08:49:37 GMT", 784111777 },
		{ "Sat, 21 Nov 2026 08:14:07 GMT", 1795248847 },
		{ "Thu, 01 Jan 1970 00:00:00 GMT", 0 },
		{ "Sunday, 06-Nov-94 08:49:37 GMT", -1 },
		{ "Sun, 06 Nvo 1994 08:49:37 GMT", -1 },
		{ "Sun, 06 anF 1994 08:49:37 GMT", -1 },
		{ "Sun, 66 Nov 1994 08:49:37 GMT", -1 },
		{ "Sun, 06 Nov 1994 28:49:37 GMT", -1 },
		{ "", -1 },
		{ "now", -1 },
	};

	(void) state;
	for (size_t i = 0; i < COUNT(rows); i++)
	{
		int64_t us = -1;
		bool ok = http_parse_date(rows[i].text, &us);

		if (ok != (rows[i].unix_s >= 0) ||
			(ok && us != rows[i].unix_s * 1000000))
			fail_msg("%s: %d %lld", rows[i].text, ok, (long long) us);
	}
}

static void
test_header(void **state)
{
	HttpResponse r;
	char value[6];

	(void) state;
	http_response_init(&r);
	assert_false(http_header(&r, "a", value, sizeof(value)));
	buf_str(&r.headers, "Long-Name:  x y  \nname: toolong\nempty:\ncut: x");
	assert_true(http_header(&r, "long-name", value, sizeof(value)));
	assert_string_equal(value, "x y");
	assert_true(http_header(&r, "NAME", value, sizeof(value)));
	assert_string_equal(value, "toolo");
	assert_true(http_header(&r, "empty", value, sizeof(value)));
	assert_string_equal(value, "");
	assert_false(http_header(&r, "cut", value, sizeof(value)));
	assert_false(http_header(&r, "nam", value, sizeof(value)));
	assert_string_equal(value, "");
	http_response_done(&r);
}

/* Nobody listens, or it is no URL: an error, and not a hang. */
static void
test_no_server(void **state)
{
	static const char *const none[] = { NULL };
	static const struct
	{
		const char *url;
		ErrKind kind;
	} rows[] = {
		{ "http://127.0.0.1:1/", ERR_NET },
		{ "http://no.such.host.invalid/", ERR_NET },
		{ "file:///etc/passwd", ERR_USAGE },
		{ "gopher://127.0.0.1/", ERR_USAGE },
	};
	Http *h = http_new(&(HttpOptions){ .proxy = "" });
	HttpResponse r;
	Err err;

	(void) state;
	http_response_init(&r);
	for (size_t i = 0; i < COUNT(rows); i++)
	{
		HttpRequest q = { .method = "GET",
						  .url = rows[i].url,
						  .headers = none };

		assert_false(http_send(h, &q, &r, &err));
		if (err.kind != rows[i].kind)
			fail_msg("%s: %s: %s", rows[i].url, err_kind_name(err.kind),
					 err.msg);
	}
	http_response_done(&r);
	http_free(h);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_date),
		cmocka_unit_test(test_header),
		cmocka_unit_test(test_no_server),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
