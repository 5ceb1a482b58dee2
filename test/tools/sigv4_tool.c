/*-------------------------------------------------------------------------
 * sigv4_tool.c
 *	  Signs requests for test/s3/botocore_sigv4.py, which compares.
 *
 * A line of input: method, key, and the value of the parameter "prefix" (or
 * "-" for no query), the last two in hex, divided by tabs.  A line of
 * output: the signature.
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <string.h>

#include "codec/hash.h"
#include "codec/sigv4.h"
#include "codec/uri.h"

#define LINE_MAX 16384

static char *
unhex(const char *hex, char *out, size_t size)
{
	size_t n = strlen(hex) / 2;

	if (n >= size || !hex_decode(hex, n, (uint8_t *) out))
		n = 0;
	out[n] = '\0';
	return out;
}

int
main(void)
{
	static char line[LINE_MAX], key[LINE_MAX], prefix[LINE_MAX];
	static const SigV4Header headers[] = {
		{ "host", "bucket.s3.us-east-1.amazonaws.com" },
		{ "x-amz-content-sha256", SIGV4_EMPTY_HASH },
		{ "x-amz-date", "20261121T081407Z" },
	};
	static const SigV4Scope scope = { "AKIDEXAMPLE", "secret/+EXAMPLE",
									  "us-east-1", "s3" };
	SigV4Key signing_key;
	Buf path, query, out;

	sigv4_key_init(&signing_key);
	buf_init(&path, (size_t) 4 * LINE_MAX);
	buf_init(&query, (size_t) 4 * LINE_MAX);
	buf_init(&out, (size_t) 4 * LINE_MAX);
	while (fgets(line, sizeof(line), stdin))
	{
		char *save = NULL;
		const char *method = strtok_r(line, "\t\n", &save);
		const char *hex_key = strtok_r(NULL, "\t\n", &save);
		const char *hex_prefix = strtok_r(NULL, "\t\n", &save);
		SigV4Param params[] = { { "prefix", prefix }, { "list-type", "2" } };
		SigV4Request r = { .method = method,
						   .headers = headers,
						   .nheaders = 3,
						   .payload_hash = SIGV4_EMPTY_HASH,
						   .date = headers[2].value };

		if (hex_prefix == NULL)
			return 1;
		buf_reset(&path);
		buf_reset(&query);
		buf_reset(&out);
		buf_byte(&path, '/');
		uri_add_encoded(&path, slice_cstr(unhex(hex_key, key, sizeof(key))),
						true);
		if (strcmp(hex_prefix, "-") != 0)
		{
			(void) unhex(hex_prefix, prefix, sizeof(prefix)); /* in params */
			sigv4_add_query(&query, params, 2);
		}
		r.path = buf_cstr(&path);
		r.query = buf_cstr(&query);
		sigv4_sign(&signing_key, &scope, &r, &out);
		puts(strstr(buf_cstr(&out), "Signature=") + strlen("Signature="));
	}
	sigv4_key_done(&signing_key);
	buf_done(&path);
	buf_done(&query);
	buf_done(&out);
	return 0;
}
