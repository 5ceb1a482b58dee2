/*-------------------------------------------------------------------------
 * test_s3_url.c
 *	  store/s3_url: hosts and paths; store/s3_error: what refusals mean.
 *-------------------------------------------------------------------------
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "store/s3_error.h"
#include "store/s3_url.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static void
test_places(void **state)
{
	static const struct
	{
		const char *url, *endpoint, *region, *addressing;
		const char *host, *path; /* of key "a=b"; NULL: refused */
	} rows[] = {
		{ "s3://b/p", "", "", "", "b.s3.us-east-1.amazonaws.com", "/p/a%3Db" },
		{ "s3://b/p/", "", "eu-west-1", "auto", "b.s3.eu-west-1.amazonaws.com",
		  "/p/a%3Db" },
		{ "s3://b", "", "cn-north-1", "", "b.s3.cn-north-1.amazonaws.com.cn",
		  "/a%3Db" },
		{ "s3://b.c/", "", "", "", "s3.us-east-1.amazonaws.com", "/b.c/a%3Db" },
		{ "s3://b_c", "", "", "", "s3.us-east-1.amazonaws.com", "/b_c/a%3Db" },
		{ "s3://b/p/q r", "", "", "path", "s3.us-east-1.amazonaws.com",
		  "/b/p/q%20r/a%3Db" },
		{ "s3://b/p", "http://127.0.0.1:9000", "", "", "127.0.0.1:9000",
		  "/b/p/a%3Db" },
		{ "s3://b/p", "http://h:80/", "", "", "h", "/b/p/a%3Db" },
		{ "s3://b/p", "https://h:443", "", "", "h", "/b/p/a%3Db" },
		{ "s3://b/p", "https://h:80", "", "", "h:80", "/b/p/a%3Db" },
		{ "s3://b/p", "http://[::1]:9000", "", "", "[::1]:9000", "/b/p/a%3Db" },
		{ "s3://b/p", "https://h/storage/v1/s3/", "", "", "h",
		  "/storage/v1/s3/b/p/a%3Db" },
		{ "s3://b/p", "http://s3.localhost:1", "", "virtual",
		  "b.s3.localhost:1", "/p/a%3Db" },
		{ "s3://b/p", "https://s3.eu-west-3.amazonaws.com", "", "",
		  "b.s3.eu-west-3.amazonaws.com", "/p/a%3Db" },
		{ "s3:///p", "", "", "", NULL, NULL },
		{ "s3://", "", "", "", NULL, NULL },
		{ "s3://b c/p", "", "", "", NULL, NULL },
		{ "s3://../p", "", "", "", NULL, NULL },
		{ "s3://b/../p", "", "", "", NULL, NULL },
		{ "s3://b/./p", "", "", "", NULL, NULL },
		{ "s3://b//p", "", "", "", NULL, NULL },
		{ "s3://b/p//", "", "", "", NULL, NULL },
		{ "s3://key:hidden@b/p", "", "", "", NULL, NULL },
		{ "s3://b", "127.0.0.1:9000", "", "", NULL, NULL },
		{ "s3://b", "ftp://h", "", "", NULL, NULL },
		{ "s3://b", "http://", "", "", NULL, NULL },
		{ "s3://b", "http://u:hidden@h", "", "", NULL, NULL },
		{ "s3://b", "http://h?x", "", "", NULL, NULL },
		{ "s3://b", "http://h/a b", "", "", NULL, NULL },
		{ "s3://b", "http://h\n", "", "", NULL, NULL },
		{ "s3://b", "", "eu west", "", NULL, NULL },
		{ "s3://b", "", "", "style", NULL, NULL },
	};

	(void) state;
	for (size_t i = 0; i < COUNT(rows); i++)
	{
		S3PlaceOptions o = { rows[i].url, rows[i].endpoint, rows[i].region,
							 rows[i].addressing };
		S3Place p;
		Err err;
		Buf host, path;
		bool ok = s3_place_parse(&o, &p, &err);

		if (ok != (rows[i].host != NULL))
			fail_msg("%s %s: %d", o.url, o.endpoint, ok);
		if (!ok)
		{
			assert_int_equal(err.kind, ERR_USAGE);
			assert_null(strstr(err.msg, "hidden"));
			continue;
		}
		buf_init(&host, 1000);
		buf_init(&path, 1000);
		s3_place_add_host(&p, &host);
		s3_place_add_path(&p, "a=b", &path);
		if (strcmp(buf_cstr(&host), rows[i].host) != 0 ||
			strcmp(buf_cstr(&path), rows[i].path) != 0)
			fail_msg("%s %s: %s%s", o.url, o.endpoint, buf_cstr(&host),
					 buf_cstr(&path));
		buf_done(&host);
		buf_done(&path);
		s3_place_done(&p);
	}
}

static void
test_learn_region(void **state)
{
	S3PlaceOptions aws = { "s3://b/p", "", "us-east-1", "" };
	S3PlaceOptions own = { "s3://b/p", "http://h:1", "", "" };
	S3Place p;
	Err err;

	(void) state;
	assert_true(s3_place_parse(&aws, &p, &err));
	assert_false(s3_place_learn_region(&p, "us-east-1"));
	assert_false(s3_place_learn_region(&p, "evil.example.com/"));
	assert_false(s3_place_learn_region(&p, ""));
	assert_true(s3_place_learn_region(&p, "eu-west-1"));
	assert_string_equal(p.host, "s3.eu-west-1.amazonaws.com");
	s3_place_done(&p);
	assert_true(s3_place_parse(&own, &p, &err));
	assert_true(s3_place_learn_region(&p, "eu-west-1"));
	assert_string_equal(p.host, "h:1"); /* never another host */
	assert_string_equal(p.region, "eu-west-1");
	s3_place_done(&p);
}

#define E(code) "<Error><Code>" code "</Code><Message>Why.</Message></Error>"

static void
test_refusals(void **state)
{
	static const struct
	{
		const char *name;
		int status;
		const char *body;
		bool key;
		ErrKind kind;
		const char *hint;
	} rows[] = {
		{ "no key", 404, E("NoSuchKey"), true, ERR_NOT_FOUND, "" },
		{ "no key, no body", 404, "", true, ERR_NOT_FOUND, "" },
		{ "no bucket", 404, E("NoSuchBucket"), true, ERR_STORE, "bucket" },
		{ "no user", 404, E("XAdminUserNotFound"), true, ERR_AUTH, "key id" },
		{ "404 of the bucket", 404, "", false, ERR_STORE, "" },
		{ "unknown 404", 404, E("NoSuchThing"), true, ERR_STORE, "" },
		{ "forbidden", 403, E("AccessDenied"), true, ERR_AUTH, "s3:Do" },
		{ "forbidden, no body", 403, "", true, ERR_AUTH, "s3:Do" },
		{ "wrong secret", 403, E("SignatureDoesNotMatch"), true, ERR_AUTH,
		  "AWS_SECRET_ACCESS_KEY" },
		{ "taken", 412, E("PreconditionFailed"), true, ERR_EXISTS, "" },
		{ "taken, no body", 412, "", true, ERR_EXISTS, "" },
		{ "conflict", 409, E("ConditionalRequestConflict"), true, ERR_BUSY,
		  "" },
		{ "slow down", 503, E("SlowDown"), true, ERR_BUSY, "" },
		{ "bad gateway", 502, "<html>Bad gateway</html>", true, ERR_BUSY, "" },
		{ "internal", 500, E("InternalError"), true, ERR_BUSY, "" },
		{ "error in a 200", 200, E("InternalError"), true, ERR_BUSY, "" },
		{ "unknown error in a 200", 200, E("Oops"), true, ERR_BUSY, "" },
		{ "timeout", 400, E("RequestTimeout"), true, ERR_BUSY, "" },
		{ "cut body of a 400", 400, "<Error><Code>Req", true, ERR_BUSY, "" },
		{ "bad request", 400, E("InvalidArgument"), true, ERR_STORE, "" },
		{ "bad digest", 400, E("BadDigest"), true, ERR_BUSY, "" },
		{ "too many", 429, "", true, ERR_BUSY, "" },
		{ "not implemented", 501, E("NotImplemented"), true, ERR_STORE,
		  "checksum" },
		{ "redirect", 301, E("PermanentRedirect"), true, ERR_STORE, "region" },
		{ "redirect, no body", 307, "", true, ERR_STORE, "region" },
	};

	(void) state;
	for (size_t i = 0; i < COUNT(rows); i++)
	{
		S3Asked asked = { "do", "s3:Do", "b", rows[i].key ? "p/k" : NULL };
		HttpResponse response;
		S3Refusal refusal;
		Err err;

		http_response_init(&response);
		response.status = rows[i].status;
		buf_str(&response.body, rows[i].body);
		s3_refusal_read(&response, &refusal);
		assert_false(s3_refusal_error(&refusal, &asked, &err));
		if (err.kind != rows[i].kind || strstr(err.hint, rows[i].hint) == NULL)
			fail_msg("%s: %s: %s (%s)", rows[i].name, err_kind_name(err.kind),
					 err.msg, err.hint);
		http_response_done(&response);
	}
}

/* Only code and message leave the body, printable and cut. */
static void
test_redaction(void **state)
{
	S3Asked asked = { "do", "s3:Do", "b", "k" };
	HttpResponse response;
	S3Refusal refusal;
	Err err;

	(void) state;
	http_response_init(&response);
	response.status = 403;
	buf_str(&response.body,
			"<Error><Code>SignatureDoesNotMatch</Code><Message>a&#10;b&#27;[c"
			"</Message><AWSAccessKeyId>AKHIDDEN</AWSAccessKeyId>"
			"<StringToSign>HIDDEN</StringToSign>"
			"<CanonicalRequest>HIDDEN</CanonicalRequest></Error>");
	s3_refusal_read(&response, &refusal);
	(void) s3_refusal_error(&refusal, &asked, &err);
	assert_null(strstr(err.msg, "HIDDEN"));
	assert_null(strstr(err.hint, "HIDDEN"));
	assert_non_null(strstr(err.msg, "a b [c"));

	buf_reset(&response.body);
	buf_str(&response.body, "<Error><Code>X</Code><Message>");
	for (int i = 0; i < 5000; i++)
		buf_byte(&response.body, 'm');
	buf_str(&response.body, "</Message></Error>");
	s3_refusal_read(&response, &refusal);
	(void) s3_refusal_error(&refusal, &asked, &err);
	assert_in_range(strlen(err.msg), 200, 400);
	http_response_done(&response);
}

static void
test_cures(void **state)
{
	static const struct
	{
		int status;
		const char *body, *headers;
		S3Cure cure;
	} rows[] = {
		{ 400, E("ExpiredToken"), "", S3_CURE_CREDENTIALS },
		{ 403, E("RequestTimeTooSkewed"), "", S3_CURE_CLOCK },
		{ 400,
		  "<Error><Code>AuthorizationHeaderMalformed</Code>"
		  "<Region>eu-west-1</Region></Error>",
		  "", S3_CURE_REGION },
		{ 301, "", "x-amz-bucket-region: eu-west-1\n", S3_CURE_REGION },
		{ 403, "", "X-Amz-Bucket-Region: eu-west-1\n", S3_CURE_REGION },
		{ 404, "", "x-amz-bucket-region: eu-west-1\n", S3_CURE_NONE },
		{ 403, E("AccessDenied"), "", S3_CURE_NONE },
		{ 503, "", "", S3_CURE_NONE },
	};

	(void) state;
	for (size_t i = 0; i < COUNT(rows); i++)
	{
		HttpResponse response;
		S3Refusal refusal;

		http_response_init(&response);
		response.status = rows[i].status;
		buf_str(&response.body, rows[i].body);
		buf_str(&response.headers, rows[i].headers);
		s3_refusal_read(&response, &refusal);
		assert_int_equal(s3_refusal_cure(&refusal), rows[i].cure);
		if (rows[i].cure == S3_CURE_REGION)
			assert_string_equal(refusal.region, "eu-west-1");
		http_response_done(&response);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_places),   cmocka_unit_test(test_learn_region),
		cmocka_unit_test(test_refusals), cmocka_unit_test(test_redaction),
		cmocka_unit_test(test_cures),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
