/*-------------------------------------------------------------------------
 * test_sigv4.c
 *	  codec/sigv4: the vectors of S3's documentation, AWS's signing suite,
 *	  and the cached key.
 *-------------------------------------------------------------------------
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "codec/sigv4.h"
#include "sigv4_suite.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const SigV4Scope suite_scope = {
	"AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "us-east-1",
	"service"
};

static const SigV4Scope s3_scope = { "AKIAIOSFODNN7EXAMPLE",
									 "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
									 "us-east-1", "s3" };

#define S3_HOST                                                                \
	{                                                                          \
		"host", "examplebucket.s3.amazonaws.com"                               \
	}
#define S3_DATE                                                                \
	{                                                                          \
		"x-amz-date", "20130524T000000Z"                                       \
	}
#define S3_EMPTY                                                               \
	{                                                                          \
		"x-amz-content-sha256", SIGV4_EMPTY_HASH                               \
	}
#define S3_BODY                                                                \
	"44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072"

/* "Examples: Signature Calculations" of the S3 API reference */
static const SuiteRow s3_rows[] = {
	{ "get object",
	  "GET",
	  "/test.txt",
	  { { NULL, NULL } },
	  { S3_HOST, { "range", "bytes=0-9" }, S3_EMPTY, S3_DATE },
	  SIGV4_EMPTY_HASH,
	  "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41" },
	{ "put object",
	  "PUT",
	  "/test%24file.text",
	  { { NULL, NULL } },
	  { { "date", "Fri, 24 May 2013 00:00:00 GMT" },
		S3_HOST,
		{ "x-amz-content-sha256", S3_BODY },
		S3_DATE,
		{ "x-amz-storage-class", "REDUCED_REDUNDANCY" } },
	  S3_BODY,
	  "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd" },
	{ "get bucket lifecycle",
	  "GET",
	  "/",
	  { { "lifecycle", "" } },
	  { S3_HOST, S3_EMPTY, S3_DATE },
	  SIGV4_EMPTY_HASH,
	  "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543" },
	{ "list objects",
	  "GET",
	  "/",
	  { { "prefix", "J" }, { "max-keys", "2" } },
	  { S3_HOST, S3_EMPTY, S3_DATE },
	  SIGV4_EMPTY_HASH,
	  "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7" },
};

static const char *
date_of(const SuiteRow *row)
{
	for (size_t i = 0; row->headers[i].name; i++)
		if (strcmp(row->headers[i].name, "x-amz-date") == 0)
			return row->headers[i].value;
	return "";
}

static void
check(SigV4Key *key, const SigV4Scope *scope, const SuiteRow *row)
{
	Buf query, out;
	SigV4Request r = { .method = row->method,
					   .path = row->path,
					   .headers = row->headers,
					   .payload_hash = row->payload_hash,
					   .date = date_of(row) };
	int nparams = 0;

	while (nparams < 4 && row->params[nparams].name)
		nparams++;
	while (r.nheaders < 8 && row->headers[r.nheaders].name)
		r.nheaders++;
	buf_init(&query, 1000);
	buf_init(&out, 1000);
	sigv4_add_query(&query, row->params, nparams);
	r.query = buf_cstr(&query);
	sigv4_sign(key, scope, &r, &out);
	if (strcmp(strstr(buf_cstr(&out), "Signature=") + 10, row->signature))
	{
		buf_reset(&query);
		sigv4_add_canonical(&query, &r);
		fail_msg("%s: %s\n%s", row->name, buf_cstr(&out), buf_cstr(&query));
	}
	buf_done(&query);
	buf_done(&out);
}

static void
test_s3_documentation(void **state)
{
	SigV4Key key;

	(void) state;
	sigv4_key_init(&key);
	for (size_t i = 0; i < COUNT(s3_rows); i++)
		check(&key, &s3_scope, &s3_rows[i]);
	sigv4_key_done(&key);
}

static void
test_suite(void **state)
{
	SigV4Key key;

	(void) state;
	sigv4_key_init(&key);
	for (size_t i = 0; i < COUNT(suite_rows); i++)
		check(&key, &suite_scope, &suite_rows[i]);
	sigv4_key_done(&key);
}

/* One key over changing scopes signs as a new one does. */
static void
test_key_cache(void **state)
{
	SigV4Key key;
	SigV4Scope other = s3_scope;
	Buf a, b;
	SigV4Header h = { "host", "x" };
	SigV4Request r = {
		"GET", "/", "", &h, 1, SIGV4_EMPTY_HASH, "20130525T000000Z"
	};

	(void) state;
	sigv4_key_init(&key);
	for (int i = 0; i < 3; i++)
	{
		check(&key, &s3_scope, &s3_rows[i]);
		check(&key, &suite_scope, &suite_rows[i]);
	}
	buf_init(&a, 1000);
	buf_init(&b, 1000);
	sigv4_sign(&key, &s3_scope, &r, &a);
	r.date = "20130526T000000Z";
	sigv4_sign(&key, &s3_scope, &r, &b);
	assert_string_not_equal(strstr(buf_cstr(&a), "Sig"),
							strstr(buf_cstr(&b), "Sig"));
	buf_reset(&a);
	other.region = "eu-west-1";
	sigv4_sign(&key, &other, &r, &a);
	assert_non_null(strstr(buf_cstr(&a), "/20130526/eu-west-1/s3/"));
	check(&key, &s3_scope, &s3_rows[0]);
	sigv4_key_done(&key);
	sigv4_key_done(&key); /* twice is fine */
	buf_done(&a);
	buf_done(&b);
}

static void
test_date(void **state)
{
	char date[SIGV4_DATE_SIZE];

	(void) state;
	sigv4_date(INT64_C(1369353600000000), date);
	assert_string_equal(date, "20130524T000000Z");
	sigv4_date(INT64_C(1795248847999999), date);
	assert_string_equal(date, "20261121T081407Z");
}

static void
test_query(void **state)
{
	/* Sorted by what is sent: "%" sorts before letters. */
	static const SigV4Param params[] = {
		{ "b", "" }, { "a", "2" }, { "a", "1 +/=&" }, { "\xc3\xa9", "x" }
	};
	Buf b;

	(void) state;
	buf_init(&b, 1000);
	sigv4_add_query(&b, params, 4);
	assert_string_equal(buf_cstr(&b), "%C3%A9=x&a=1%20%2B%2F%3D%26&a=2&b=");
	buf_reset(&b);
	sigv4_add_query(&b, NULL, 0);
	assert_string_equal(buf_cstr(&b), "");
	buf_done(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_s3_documentation),
		cmocka_unit_test(test_suite),
		cmocka_unit_test(test_key_cache),
		cmocka_unit_test(test_date),
		cmocka_unit_test(test_query),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
