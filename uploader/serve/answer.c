/*-------------------------------------------------------------------------
 * answer.c
 *	  What is answered to a request.
 *
 * Layer: serve.
 *-------------------------------------------------------------------------
 */
#include "serve/answer.h"

#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/beat.h"
#include "base/clock.h"
#include "codec/hash.h"
#include "serve/metrics.h"
#include "serve/status.h"

#define PLAIN "text/plain; charset=utf-8"
#define CREDENTIALS_MAX 4096

/* Invariant (2) */
static bool
equal_secret(const void *a, size_t na, const void *b, size_t nb)
{
	uint8_t x[SHA256_LEN];
	uint8_t y[SHA256_LEN];

	sha256(a, na, x);
	sha256(b, nb, y);
	return CRYPTO_memcmp(x, y, sizeof(x)) == 0;
}

/* What follows the scheme; NULL where it is another one. */
static const char *
credentials(const char *authorization, const char *scheme)
{
	size_t n = strlen(scheme);

	if (!authorization || strncasecmp(authorization, scheme, n) != 0 ||
		authorization[n] != ' ')
		return NULL;
	authorization += n;
	return authorization + strspn(authorization, " ");
}

static bool
is_token(const AnswerOptions *o, const char *authorization)
{
	const char *given = credentials(authorization, "Bearer");

	return o->token[0] && given &&
		   equal_secret(given, strlen(given), o->token, strlen(o->token));
}

static bool
is_basic(const AnswerOptions *o, const char *authorization)
{
	const char *given = credentials(authorization, "Basic");
	Buf plain;
	bool ok;

	if (!o->basic[0] || !given)
		return false;
	buf_init(&plain, CREDENTIALS_MAX);
	ok = base64_decode(given, strlen(given), &plain) &&
		 equal_secret(plain.p, plain.n, o->basic, strlen(o->basic));
	if (plain.p)
		wipe(plain.p, plain.n);
	buf_done(&plain);
	return ok;
}

static bool
is_allowed(const AnswerOptions *o, const AnswerRequest *r)
{
	bool open = !o->token[0] && !o->basic[0];

	return open || is_token(o, r->authorization) ||
		   is_basic(o, r->authorization);
}

bool
answer_is_local(const char *host)
{
	static const char *const names[] = { "localhost", "[::1]" };
	size_t n = host[0] == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":");
	int a;
	int b;
	int c;
	int end = 0;

	if (n > strlen(host) || (host[n] != '\0' && host[n] != ':'))
		return false;
	for (int i = 0; i < 2; i++)
		if (n == strlen(names[i]) && strncasecmp(host, names[i], n) == 0)
			return true;
	return sscanf(host, "127.%3d.%3d.%3d%n", &a, &b, &c, &end) == 3 &&
		   (size_t) end == n;
}

static void
word(Answer *a, int status, const char *text)
{
	a->status = status;
	a->type = PLAIN;
	buf_reset(&a->body);
	buf_str(&a->body, text);
	buf_byte(&a->body, '\n');
}

static void
add_live(Answer *a)
{
	const char *silent = beat_silent(BEAT_LIMIT_MS);

	word(a, silent ? 503 : 200, silent ? silent : "alive");
}

static void
add_ready(Answer *a)
{
	const char *why = view_unready(clock_unix_us(), clock_mono_ms());
	bool ready = true;

	if (!why)
		why = count_get(&stats.link) == LINK_STANDBY ? "standby" : NULL;
	else
		ready = false;
	word(a, ready ? 200 : 503, why ? why : "ready");
}

static void
add_metrics(const AnswerOptions *o, const AnswerRequest *r, const View *v,
			Answer *a)
{
	MetricsForm form = { .dms = o->dms };

	form.open_metrics =
		r->accept && strstr(r->accept, "application/openmetrics-text");
	a->type = form.open_metrics
				  ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
				  : "text/plain; version=0.0.4; charset=utf-8";
	metrics_add(v, &form, &a->body);
}

/* True where the path is one of those that ask for a View. */
static bool
add_view(const AnswerOptions *o, const AnswerRequest *r, Answer *a)
{
	bool metrics = strcmp(r->path, "/metrics") == 0;
	bool status = strcmp(r->path, "/status") == 0;
	View *v;

	if (!metrics && !status && strcmp(r->path, "/") != 0)
		return false;
	a->status = 200;
	v = view_new(o->version);
	if (metrics)
		add_metrics(o, r, v, a);
	else if (status)
	{
		a->type = "application/json";
		status_add_json(v, &a->body);
	}
	else
	{
		a->type = "text/html; charset=utf-8";
		status_add_page(v, &a->body);
	}
	view_free(v);
	return true;
}

static void
refuse(const AnswerOptions *o, Answer *a)
{
	word(a, 401, "unauthorized");
	a->asks = o->basic[0] ? "Basic realm=\"cdc-s3\", charset=\"UTF-8\""
						  : "Bearer realm=\"cdc-s3\"";
}

void
answer_request(const AnswerOptions *o, const AnswerRequest *r, Answer *out)
{
	*out = (Answer){ .status = 404 };
	buf_init(&out->body, METRICS_MAX_BYTES);
	if (strcmp(r->method, "GET") != 0 && strcmp(r->method, "HEAD") != 0)
	{
		word(out, 405, "method not allowed");
		out->allow = "GET, HEAD";
	}
	else if (o->loopback && r->host && !answer_is_local(r->host))
		word(out, 421, "unknown host");
	else if (strcmp(r->path, "/livez") == 0)
		add_live(out);
	else if (strcmp(r->path, "/readyz") == 0)
		add_ready(out);
	else if (!is_allowed(o, r))
		refuse(o, out);
	else if (strcmp(r->path, "/style.css") == 0)
	{
		out->status = 200;
		out->type = "text/css; charset=utf-8";
		buf_str(&out->body, status_css);
	}
	else if (!add_view(o, r, out))
		word(out, 404, "not found");
	if (out->body.overflow)
		word(out, 500, "too large");
}

void
answer_done(Answer *a)
{
	buf_done(&a->body);
}
