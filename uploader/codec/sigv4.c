/*-------------------------------------------------------------------------
 * sigv4.c
 *	  Signs a request for AWS's Signature Version 4, given the time.
 *
 * Layer: codec.
 *-------------------------------------------------------------------------
 */
#include "codec/sigv4.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "codec/uri.h"

#define ALGORITHM "AWS4-HMAC-SHA256"
#define CANONICAL_MAX (256 * 1024)

void
sigv4_date(int64_t unix_us, char out[SIGV4_DATE_SIZE])
{
	CivilTime c;
	char text[64]; /* as wide as the numbers could be */

	civil_from_unix_us(unix_us, &c);
	(void) snprintf(text, sizeof(text), "%04" PRId64 "%02d%02dT%02d%02d%02dZ",
					c.year, c.month, c.day, c.hour, c.minute, c.second);
	(void) snprintf(out, SIGV4_DATE_SIZE, "%.*s", SIGV4_DATE_SIZE - 1, text);
}

/* Encoded parameters are sorted by name, then by value. */
typedef struct EncodedParam
{
	char *name;
	char *value;
} EncodedParam;

static char *
encode(const char *s)
{
	Buf b;

	buf_init(&b, SIZE_MAX / 8);
	uri_add_encoded(&b, slice_cstr(s), false);
	if (b.p == NULL)
		return xstrdup("");
	return (char *) b.p;
}

static int
compare_params(const void *a, const void *b)
{
	const EncodedParam *x = a;
	const EncodedParam *y = b;
	int order = strcmp(x->name, y->name);

	return order ? order : strcmp(x->value, y->value);
}

void
sigv4_add_query(Buf *out, const SigV4Param *params, int nparams)
{
	EncodedParam p[SIGV4_MAX_PARAMS];

	assert(nparams <= SIGV4_MAX_PARAMS);
	for (int i = 0; i < nparams; i++)
	{
		p[i].name = encode(params[i].name);
		p[i].value = encode(params[i].value);
	}
	qsort(p, (size_t) nparams, sizeof(p[0]), compare_params);
	for (int i = 0; i < nparams; i++)
	{
		if (i > 0)
			buf_byte(out, '&');
		buf_str(out, p[i].name);
		buf_byte(out, '=');
		buf_str(out, p[i].value);
		free(p[i].name);
		free(p[i].value);
	}
}

/* Indexes of the headers in the order of their names; equal ones stay. */
static void
sort_headers(const SigV4Request *r, int order[SIGV4_MAX_HEADERS])
{
	assert(r->nheaders <= SIGV4_MAX_HEADERS);
	for (int i = 0; i < r->nheaders; i++)
	{
		int k = i;

		for (; k > 0 &&
			   strcmp(r->headers[order[k - 1]].name, r->headers[i].name) > 0;
			 k--)
			order[k] = order[k - 1];
		order[k] = i;
	}
}

static bool
is_same_name(const SigV4Request *r, const int *order, int i)
{
	return i > 0 && strcmp(r->headers[order[i - 1]].name,
						   r->headers[order[i]].name) == 0;
}

static void
add_signed_names(Buf *out, const SigV4Request *r, const int *order)
{
	for (int i = 0; i < r->nheaders; i++)
	{
		if (is_same_name(r, order, i))
			continue;
		if (i > 0)
			buf_byte(out, ';');
		buf_str(out, r->headers[order[i]].name);
	}
}

/* The value without white space at its ends, runs within as one space. */
static void
add_trimmed(Buf *out, const char *value)
{
	bool space = false;
	bool any = false;

	for (; *value; value++)
	{
		if (strchr(" \t\r\n", *value))
		{
			space = true;
			continue;
		}
		if (space && any)
			buf_byte(out, ' ');
		space = false;
		any = true;
		buf_byte(out, (uint8_t) *value);
	}
}

static void
add_headers(Buf *out, const SigV4Request *r, const int *order)
{
	for (int i = 0; i < r->nheaders; i++)
	{
		if (is_same_name(r, order, i))
			buf_byte(out, ',');
		else
		{
			if (i > 0)
				buf_byte(out, '\n');
			buf_str(out, r->headers[order[i]].name);
			buf_byte(out, ':');
		}
		add_trimmed(out, r->headers[order[i]].value);
	}
	if (r->nheaders > 0)
		buf_byte(out, '\n');
}

static void
add_canonical(Buf *out, const SigV4Request *r, const int *order)
{
	buf_printf(out, "%s\n", r->method);
	buf_printf(out, "%s\n", r->path);
	buf_printf(out, "%s\n", r->query);
	add_headers(out, r, order);
	buf_byte(out, '\n');
	add_signed_names(out, r, order);
	buf_byte(out, '\n');
	buf_str(out, r->payload_hash);
}

void
sigv4_add_canonical(Buf *out, const SigV4Request *request)
{
	int order[SIGV4_MAX_HEADERS];

	sort_headers(request, order);
	add_canonical(out, request, order);
}

void
sigv4_key_init(SigV4Key *key)
{
	*key = (SigV4Key){ 0 };
}

void
sigv4_key_done(SigV4Key *key)
{
	if (key->secret)
		wipe(key->secret, strlen(key->secret));
	free(key->secret);
	free(key->region);
	free(key->service);
	wipe(key, sizeof(*key));
}

static void
hmac_str(const uint8_t key[SHA256_LEN], const char *s, uint8_t out[SHA256_LEN])
{
	hmac_sha256(key, SHA256_LEN, s, strlen(s), out);
}

static void
derive_key(SigV4Key *k, const SigV4Scope *scope, const char day[9])
{
	uint8_t a[SHA256_LEN];
	uint8_t b[SHA256_LEN];
	char *first;

	if (k->secret && strcmp(k->day, day) == 0 &&
		strcmp(k->secret, scope->secret) == 0 &&
		strcmp(k->region, scope->region) == 0 &&
		strcmp(k->service, scope->service) == 0)
		return;
	sigv4_key_done(k);
	k->secret = xstrdup(scope->secret);
	k->region = xstrdup(scope->region);
	k->service = xstrdup(scope->service);
	memcpy(k->day, day, sizeof(k->day));

	first = xasprintf("AWS4%s", scope->secret);
	hmac_sha256(first, strlen(first), day, strlen(day), a);
	hmac_str(a, scope->region, b);
	hmac_str(b, scope->service, a);
	hmac_str(a, "aws4_request", k->key);
	wipe(first, strlen(first));
	free(first);
	wipe(a, sizeof(a));
	wipe(b, sizeof(b));
}

void
sigv4_sign(SigV4Key *key, const SigV4Scope *scope, const SigV4Request *request,
		   Buf *out)
{
	int order[SIGV4_MAX_HEADERS];
	char day[9];
	char hex[SHA256_HEX_SIZE];
	uint8_t sum[SHA256_LEN];
	Buf text;

	assert(strlen(request->date) == SIGV4_DATE_SIZE - 1);
	memcpy(day, request->date, 8);
	day[8] = '\0';
	derive_key(key, scope, day);
	sort_headers(request, order);

	buf_init(&text, CANONICAL_MAX);
	add_canonical(&text, request, order);
	sha256_hex(text.p, text.n, hex);
	buf_reset(&text);
	buf_printf(&text, ALGORITHM "\n%s\n%s/%s/%s/aws4_request\n%s",
			   request->date, day, scope->region, scope->service, hex);
	hmac_sha256(key->key, sizeof(key->key), text.p, text.n, sum);
	hex_encode(sum, sizeof(sum), hex);
	buf_done(&text);

	buf_printf(out, ALGORITHM " Credential=%s/%s/%s/%s/aws4_request, ",
			   scope->access_key_id, day, scope->region, scope->service);
	buf_str(out, "SignedHeaders=");
	add_signed_names(out, request, order);
	buf_printf(out, ", Signature=%s", hex);
}
