/*-------------------------------------------------------------------------
 * s3_call.c
 *	  One signed request to S3, and what its refusal teaches.
 *
 * A request is sent again at once where the answer says how to do better:
 * with new credentials, with the server's clock, or for the bucket's region;
 * each at most once a call.  All other second tries belong to
 * store_retry.c.
 *
 * Invariants:
 *	(1) What is sent is what was signed: path, query and headers are built
 *		once and used for both.
 *	(2) No answer moves us to another host, but to another region of AWS.
 *	(3) A status of 200 is success only where the body is no error.
 *
 * Layer: store.
 *-------------------------------------------------------------------------
 */
#include "store/s3_call.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "codec/hash.h"
#include "codec/xml.h"
#include "store/creds.h"

#define SKEW_MAX_US (24 * US_PER_HOUR)

/* ---- one request ---- */

void
s3_add_header(SigV4Header *h, int *n, const char *name, const char *value)
{
	assert(*n < S3_HEADERS_MAX);
	h[(*n)++] = (SigV4Header){ name, value };
}

/* All that is signed; the values live as long as their owners. */
static int
collect_headers(const S3Store *s, const S3Request *r, const Creds *creds,
				const char *host, const char *date, SigV4Header *h)
{
	int n = 0;

	s3_add_header(h, &n, "host", host);
	s3_add_header(h, &n, "x-amz-content-sha256", r->body_hash);
	s3_add_header(h, &n, "x-amz-date", date);
	if (creds->session_token)
		s3_add_header(h, &n, "x-amz-security-token", creds->session_token);
	for (int i = 0; i < s->nall_headers; i++)
		s3_add_header(h, &n, s->all_headers[i].name, s->all_headers[i].value);
	for (int i = 0; i < r->nheaders; i++)
		s3_add_header(h, &n, r->headers[i].name, r->headers[i].value);
	return n;
}

static bool
transmit(S3Store *s, const S3Request *r, const char *url,
		 const SigV4Header *headers, int nheaders, const char *authorization,
		 Err *err)
{
	char *lines[S3_HEADERS_MAX + 2];
	int n = 0;
	bool ok;

	for (; n < nheaders; n++)
		lines[n] = xasprintf("%s: %s", headers[n].name, headers[n].value);
	lines[n++] = xasprintf("authorization: %s", authorization);
	lines[n] = NULL;
	ok = http_send(s->http,
				   &(HttpRequest){ .method = r->method,
								   .url = url,
								   .headers = (const char *const *) lines,
								   .body = r->body,
								   .out = r->out,
								   .silence_ms = r->silence_ms,
								   .once = r->once },
				   &s->response, err);
	while (n-- > 0)
	{
		wipe(lines[n], strlen(lines[n]));
		free(lines[n]);
	}
	return ok;
}

/* Signs the request and sends it: any status is success here. */
static bool
send_signed(S3Store *s, const S3Request *r, const Creds *creds, Err *err)
{
	SigV4Header headers[S3_HEADERS_MAX];
	char date[SIGV4_DATE_SIZE];
	Buf host, path, query, url, authorization;
	SigV4Scope scope = { creds->access_key_id, creds->secret, s->place.region,
						 "s3" };
	int n;
	bool ok;

	buf_init(&host, S3_PATH_MAX);
	buf_init(&path, S3_PATH_MAX);
	buf_init(&query, S3_PATH_MAX);
	buf_init(&url, (size_t) 4 * S3_PATH_MAX);
	buf_init(&authorization, S3_PATH_MAX);

	sigv4_date(clock_unix_us() + s->skew_us, date);
	s3_place_add_host(&s->place, &host);
	s3_place_add_path(&s->place, r->key, &path);
	sigv4_add_query(&query, r->params, r->nparams);
	buf_printf(&url, "%s://%s%s%s%s", s->place.scheme, buf_cstr(&host),
			   buf_cstr(&path), query.n ? "?" : "", buf_cstr(&query));
	n = collect_headers(s, r, creds, buf_cstr(&host), date, headers);
	sigv4_sign(&s->key, &scope,
			   &(SigV4Request){ .method = r->method,
								.path = buf_cstr(&path),
								.query = buf_cstr(&query),
								.headers = headers,
								.nheaders = n,
								.payload_hash = r->body_hash,
								.date = date },
			   &authorization);
	if (host.overflow || path.overflow || query.overflow || url.overflow ||
		authorization.overflow)
		ok = err_set(err, ERR_LIMIT, 0, "the request line is too long");
	else
		ok = transmit(s, r, buf_cstr(&url), headers, n,
					  buf_cstr(&authorization), err);
	buf_done(&host);
	buf_done(&path);
	buf_done(&query);
	buf_done(&url);
	buf_done(&authorization);
	return ok;
}

/* ---- one call: a request, and what its refusal teaches ---- */

bool
s3_clock_skew(const S3Store *s, int64_t *out_us)
{
	char date[64];
	int64_t theirs;

	if (!http_header(&s->response, "date", date, sizeof(date)) ||
		!http_parse_date(date, &theirs))
		return false;
	*out_us = theirs - clock_unix_us();
	return true;
}

static bool
learn_clock(S3Store *s)
{
	int64_t skew;

	if (!s3_clock_skew(s, &skew))
		return false;
	if (skew > SKEW_MAX_US || skew < -SKEW_MAX_US)
		return false;
	s->skew_us = skew;
	return true;
}

static bool
apply_cure(S3Store *s, S3Cure cure, const S3Refusal *refusal,
		   const char *access_key_id)
{
	switch (cure)
	{
		case S3_CURE_CREDENTIALS:
			return creds_refused(access_key_id);
		case S3_CURE_CLOCK:
			return learn_clock(s);
		case S3_CURE_REGION:
			return s3_place_learn_region(&s->place, refusal->region);
		default:
			return false;
	}
}

static bool
is_success(const S3Store *s)
{
	const HttpResponse *r = &s->response;

	return r->status >= 200 && r->status < 300 &&
		   !xml_has_root(buf_slice(&r->body), "Error");
}

bool
s3_prefix_error(const S3Store *s, const S3Asked *a, Err *err)
{
	if (a->key)
		return err_prefix(err,
						  "could not %s object \"%s\" in bucket \"%s\" "
						  "at %s://%s",
						  a->doing, a->key, a->bucket, s->place.scheme,
						  s->place.host);
	return err_prefix(err, "could not %s bucket \"%s\" at %s://%s", a->doing,
					  a->bucket, s->place.scheme, s->place.host);
}

/* A TLS server's words to a plain request are no XML. */
static bool
hint_tls(const S3Store *s, const S3Refusal *r, Err *err)
{
	if (r->status != 400 || r->is_whole || err->hint[0] ||
		strcmp(s->place.scheme, "http") != 0)
		return false;
	return err_hint(err, "If the server speaks TLS at this port, the URL "
						 "begins with https://.");
}

/* One line for each request; attempt counts those of one call. */
static void
log_request(const S3Store *s, const S3Request *r, const Err *failed, int64_t ms,
			int attempt)
{
	char id[64] = "";

	if (!log_enabled(LOG_DEBUG))
		return;
	if (!failed)
		s3_request_id(&s->response, id, sizeof(id));
	log_debug("request", "verb", r->method, "key", r->key ? r->key : "",
			  "status", failed ? NULL : log_int(s->response.status), "request",
			  id[0] ? id : NULL, "ms", log_int(ms), "attempt", log_int(attempt),
			  "error", failed ? failed->msg : NULL, NULL);
}

bool
s3_call(S3Store *s, const S3Request *r, S3Refusal *out_refusal, Err *err)
{
	CredsOptions creds_options = { s->place.region, s->ca_file, s->proxy,
								   s->stop, s->profile };
	unsigned cured = 0;
	int attempt = 0;

	out_refusal->status = 0;
	for (;;)
	{
		Creds creds = { 0 };
		S3Cure cure = S3_CURE_NONE;
		bool again = false;
		int64_t began_ms;
		bool ok;

		if (!creds_get(&creds_options, &creds, err))
			return false;
		began_ms = clock_mono_ms();
		ok = send_signed(s, r, &creds, err);
		log_request(s, r, ok ? NULL : err, clock_mono_ms() - began_ms,
					++attempt);
		if (ok && !is_success(s))
		{
			s3_refusal_read(&s->response, out_refusal);
			cure = s3_refusal_cure(out_refusal);
			again = (cured & 1u << cure) == 0 &&
					apply_cure(s, cure, out_refusal, creds.access_key_id);
			cured |= 1u << cure;
		}
		creds_done(&creds);
		if (!ok)
			return s3_prefix_error(s, &r->asked, err);
		if (again)
			continue;
		return is_success(s) || s3_refusal_error(out_refusal, &r->asked, err) ||
			   hint_tls(s, out_refusal, err);
	}
}

char *
s3_full_key(const S3Store *s, const char *key)
{
	return xasprintf("%s%s%s", s->place.prefix, *s->place.prefix ? "/" : "",
					 key);
}

S3Request
s3_object_request(const S3Store *s, const char *method, const char *doing,
				  const char *permission, const char *key, const char *full)
{
	return (S3Request){ .method = method,
						.asked = { doing, permission, s->place.bucket, full },
						.key = key,
						.body_hash = SIGV4_EMPTY_HASH };
}
