/*-------------------------------------------------------------------------
 * http.c
 *	  One HTTP request and its answer, over libcurl.
 *
 * A server may answer before it has read all of a body, and then close: the
 * sender sees a broken connection while the answer (412, 403, 503) is lost.
 * So a long body is announced with "Expect: 100-continue", and after a
 * failed send the next request is, however short its body.  A server that
 * is seen to ignore the announcement (each time it costs a wait) is not
 * asked again.
 *
 * After any failure the next request opens a new connection.
 *
 * Layer: io.
 *-------------------------------------------------------------------------
 */
#include "io/http.h"

#include <curl/curl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/mem.h"

#define CONNECT_TIMEOUT_MS 10000
#define SILENCE_MS 30000
#define SLOW_BYTES_PER_S 64
#define EXPECT_WAIT_MS 1000
#define EXPECT_BYTES ((size_t) 256 * 1024)
#define EXPECT_RETRY_BYTES 1024
#define USER_AGENT "cdc-s3"

struct Http
{
	CURL *curl;
	HttpOptions options;
	char *ca_file;
	char *proxy;
	char error[CURL_ERROR_SIZE];
	bool fresh;          /* open a new connection next time */
	bool send_failed;    /* the last body met a broken connection */
	bool ignores_expect; /* the server never says 100 */

	/* the request at hand */
	const HttpRequest *request;
	HttpResponse *response;
	size_t out_start;
	bool got_continue;
	bool asked_continue;
	bool too_large;
};

static void
global_init(void)
{
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != 0)
		abort(); /* no memory */
}

static size_t
on_header(char *p, size_t size, size_t n, void *arg)
{
	Http *h = arg;
	HttpResponse *r = h->response;
	size_t len = size * n;
	Slice line = { (const uint8_t *) p, len };

	if (len > 5 && memcmp(p, "HTTP/", 5) == 0)
	{
		buf_reset(&r->headers); /* a new answer: 100 comes before the real */
		if (len > 12 && memcmp(p + 8, " 100", 4) == 0)
			h->got_continue = true;
		return len;
	}
	while (line.n > 0 &&
		   (line.p[line.n - 1] == '\n' || line.p[line.n - 1] == '\r'))
		line.n--;
	buf_add(&r->headers, line.p, line.n);
	buf_byte(&r->headers, '\n');
	return len;
}

static size_t
on_body(char *p, size_t size, size_t n, void *arg)
{
	Http *h = arg;
	size_t len = size * n;
	long status = 0;
	Buf *body = &h->response->body;

	(void) curl_easy_getinfo(h->curl, CURLINFO_RESPONSE_CODE, &status);
	if (h->request->out && status >= 200 && status < 300)
	{
		if (!buf_room(h->request->out, len))
		{
			h->too_large = true;
			return 0; /* ends the transfer */
		}
		buf_add(h->request->out, p, len);
		return len;
	}
	/* Enough of an error is enough. */
	buf_add(body, p, len < body->max - body->n ? len : body->max - body->n);
	return len;
}

static int
on_progress(void *arg, curl_off_t dltotal, curl_off_t dlnow, curl_off_t ultotal,
			curl_off_t ulnow)
{
	const Http *h = arg;

	(void) dltotal, (void) dlnow, (void) ultotal, (void) ulnow; /* not ours */
	return h->options.stop && atomic_load(h->options.stop);
}

Http *
http_new(const HttpOptions *options)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	Http *h;

	(void) pthread_once(&once, global_init); /* cannot fail with these */
	h = xcalloc(1, sizeof(*h));
	h->options = *options;
	h->ca_file = options->ca_file ? xstrdup(options->ca_file) : NULL;
	h->proxy = options->proxy ? xstrdup(options->proxy) : NULL;
	h->curl = curl_easy_init();
	if (h->curl == NULL)
		abort(); /* no memory */
	return h;
}

void
http_free(Http *h)
{
	if (h == NULL)
		return;
	curl_easy_cleanup(h->curl);
	free(h->ca_file);
	free(h->proxy);
	free(h);
}

void
http_response_init(HttpResponse *r)
{
	r->status = 0;
	buf_init(&r->headers, HTTP_HEADERS_MAX);
	buf_init(&r->body, HTTP_ERROR_BODY_MAX);
}

void
http_response_done(HttpResponse *r)
{
	buf_done(&r->headers);
	buf_done(&r->body);
}

/* For options that cannot be refused by the libcurl we are built with. */
#define SET(h, option, value)                                                  \
	((void) curl_easy_setopt((h)->curl, (option), (value)))

static void
set_connection(Http *h)
{
	const HttpOptions *o = &h->options;
	int connect_ms = o->connect_timeout_ms;
	int silence_ms = o->silence_ms ? o->silence_ms : SILENCE_MS;

	if (h->request->silence_ms)
		silence_ms = h->request->silence_ms;
	SET(h, CURLOPT_NOSIGNAL, 1L);
	SET(h, CURLOPT_PROTOCOLS_STR, "http,https");
	SET(h, CURLOPT_FOLLOWLOCATION, 0L);
	SET(h, CURLOPT_PATH_AS_IS, 1L);
	SET(h, CURLOPT_HTTP_VERSION, (long) CURL_HTTP_VERSION_1_1);
	SET(h, CURLOPT_USERAGENT, USER_AGENT);
	SET(h, CURLOPT_ERRORBUFFER, h->error);
	SET(h, CURLOPT_SSL_VERIFYPEER, 1L);
	SET(h, CURLOPT_SSL_VERIFYHOST, 2L);
	SET(h, CURLOPT_SSLVERSION, (long) CURL_SSLVERSION_TLSv1_2);
	SET(h, CURLOPT_CONNECTTIMEOUT_MS,
		(long) (connect_ms ? connect_ms : CONNECT_TIMEOUT_MS));
	SET(h, CURLOPT_LOW_SPEED_LIMIT, (long) SLOW_BYTES_PER_S);
	SET(h, CURLOPT_LOW_SPEED_TIME, (long) ((silence_ms + 999) / 1000));
	SET(h, CURLOPT_TCP_KEEPALIVE, 1L);
	SET(h, CURLOPT_FRESH_CONNECT, h->fresh || h->request->once ? 1L : 0L);
	SET(h, CURLOPT_EXPECT_100_TIMEOUT_MS, (long) EXPECT_WAIT_MS);
	if (h->ca_file)
		SET(h, CURLOPT_CAINFO, h->ca_file);
	if (h->proxy)
		SET(h, CURLOPT_PROXY, h->proxy);
	if (h->proxy && *h->proxy == '\0')
		SET(h, CURLOPT_NOPROXY, "*");
	SET(h, CURLOPT_HEADERFUNCTION, on_header);
	SET(h, CURLOPT_HEADERDATA, h);
	SET(h, CURLOPT_WRITEFUNCTION, on_body);
	SET(h, CURLOPT_WRITEDATA, h);
	SET(h, CURLOPT_XFERINFOFUNCTION, on_progress);
	SET(h, CURLOPT_XFERINFODATA, h);
	SET(h, CURLOPT_NOPROGRESS, 0L);
}

static bool
wants_expect(const Http *h, const HttpRequest *r)
{
	if (h->send_failed && r->body.n >= EXPECT_RETRY_BYTES)
		return true;
	return r->body.n >= EXPECT_BYTES && !h->ignores_expect;
}

static void
set_method(Http *h, const HttpRequest *r)
{
	bool has_body =
		strcmp(r->method, "PUT") == 0 || strcmp(r->method, "POST") == 0;

	if (strcmp(r->method, "HEAD") == 0)
		SET(h, CURLOPT_NOBODY, 1L);
	else if (has_body)
	{
		/* Sent from the caller's memory, so it can be sent from the start. */
		SET(h, CURLOPT_POST, 1L);
		SET(h, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t) r->body.n);
		SET(h, CURLOPT_POSTFIELDS, r->body.p ? (const char *) r->body.p : "");
		SET(h, CURLOPT_CUSTOMREQUEST, r->method);
	}
	else
	{
		SET(h, CURLOPT_HTTPGET, 1L);
		SET(h, CURLOPT_CUSTOMREQUEST, r->method);
	}
}

static void
append(struct curl_slist **list, const char *line)
{
	struct curl_slist *grown = curl_slist_append(*list, line);

	if (grown == NULL)
		abort(); /* no memory */
	*list = grown;
}

static struct curl_slist *
make_headers(const Http *h, const HttpRequest *r)
{
	static const char type[] = "content-type:";
	struct curl_slist *list = NULL;
	bool has_type = false;

	append(&list, h->asked_continue ? "Expect: 100-continue" : "Expect:");
	for (int i = 0; r->headers[i]; i++)
	{
		append(&list, r->headers[i]);
		if (strncasecmp(r->headers[i], type, strlen(type)) == 0)
			has_type = true;
	}
	/* Else libcurl calls a body a form, and some servers read it as one. */
	if (!has_type)
		append(&list, "Content-Type:");
	return list;
}

#define HINT_CA                                                                \
	"If the server's certificate is signed by an authority of your own, name " \
	"its file in store.ca_file."
#define HINT_NAME                                                              \
	"The server's certificate is for another name: use that name in "          \
	"store.endpoint, or have one issued for this one; where the bucket's "     \
	"name stands in the host, store.addressing=path may be enough."
#define HINT_TLS                                                               \
	"If the server speaks TLS at this port, the URL begins with https://."
#define HINT_PLAIN                                                             \
	"If the server speaks no TLS at this port, the URL begins with http://."

/* Connected, and no TLS yet: libcurl has no code for it. */
static bool
in_handshake(const Http *h)
{
	return strstr(h->error, "SSL connection timeout") != NULL;
}

/* An answer that makes no sense, or none: the other protocol, perhaps. */
static bool
hint_protocol(const Http *h, CURLcode code, Err *err)
{
	bool plain = strncmp(h->request->url, "http://", 7) == 0;

	if (plain && (code == CURLE_GOT_NOTHING || code == CURLE_RECV_ERROR ||
				  code == CURLE_WEIRD_SERVER_REPLY ||
				  code == CURLE_UNSUPPORTED_PROTOCOL))
		return err_hint(err, HINT_TLS);
	if (!plain && (code == CURLE_SSL_CONNECT_ERROR ||
				   (code == CURLE_OPERATION_TIMEDOUT && in_handshake(h))))
		return err_hint(err, HINT_PLAIN);
	return false;
}

/*
 * The chain was good, so it was the name: libcurl keeps 0, or 1 where it came
 * to the name first; each fault of a chain has another number.
 */
static bool
is_other_name(Http *h)
{
	long verified = -1;

	(void) curl_easy_getinfo(h->curl, CURLINFO_SSL_VERIFYRESULT, &verified);
	return verified == 0 || verified == 1;
}

static bool
set_error_of(Http *h, CURLcode code, Err *err)
{
	const char *text = h->error[0] ? h->error : curl_easy_strerror(code);

	switch (code)
	{
		case CURLE_ABORTED_BY_CALLBACK:
			return err_set(err, ERR_STOP, 0, "the request was stopped");
		case CURLE_SSL_CACERT_BADFILE:
			return err_set(err, ERR_USAGE, (int) code, "%s", text);
		case CURLE_PEER_FAILED_VERIFICATION:
			err_set(err, ERR_NET, (int) code, "%s", text);
			return err_hint(err, "%s", is_other_name(h) ? HINT_NAME : HINT_CA);
		case CURLE_UNSUPPORTED_PROTOCOL:
		case CURLE_URL_MALFORMAT:
			return err_set(err, ERR_USAGE, (int) code, "%s", text);
		case CURLE_OPERATION_TIMEDOUT:
			return err_set(err, ERR_NET, (int) code, "no answer in time: %s",
						   text);
		case CURLE_GOT_NOTHING:
			return err_set(err, ERR_NET, (int) code,
						   "the server closed the connection without an "
						   "answer");
		default:
			return err_set(err, ERR_NET, (int) code, "%s", text);
	}
}

static bool
set_error(Http *h, CURLcode code, Err *err)
{
	(void) set_error_of(h, code, err);
	return err->hint[0] ? false : hint_protocol(h, code, err);
}

static bool
is_send_failure(CURLcode code)
{
	return code == CURLE_SEND_ERROR || code == CURLE_RECV_ERROR ||
		   code == CURLE_GOT_NOTHING;
}

/* Learns from how the request went; then reports it. */
static bool
finish(Http *h, CURLcode code, Err *err)
{
	long status = 0;
	Buf *out = h->request->out;

	(void) curl_easy_getinfo(h->curl, CURLINFO_RESPONSE_CODE, &status);
	h->fresh = code != CURLE_OK;
	h->send_failed = is_send_failure(code) && h->request->body.n > 0;
	if (code == CURLE_OK && h->asked_continue && !h->got_continue &&
		status >= 200 && status < 300)
		h->ignores_expect = true;
	if (code == CURLE_OK)
	{
		h->response->status = (int) status;
		return true;
	}
	if (out)
	{
		out->n = h->out_start;
		out->overflow = false;
		if (out->p)
			out->p[out->n] = 0;
	}
	if (h->too_large)
		return err_set(err, ERR_LIMIT, 0,
					   "the answer is larger than the limit of %zu bytes",
					   out->max);
	return set_error(h, code, err);
}

bool
http_send(Http *h, const HttpRequest *request, HttpResponse *out, Err *err)
{
	struct curl_slist *headers;
	CURLcode code;

	h->request = request;
	h->response = out;
	h->out_start = request->out ? request->out->n : 0;
	h->got_continue = false;
	h->too_large = false;
	h->error[0] = '\0';
	h->asked_continue = wants_expect(h, request);
	out->status = 0;
	buf_reset(&out->headers);
	buf_reset(&out->body);

	curl_easy_reset(h->curl); /* keeps connections and DNS */
	set_connection(h);
	set_method(h, request);
	headers = make_headers(h, request);
	SET(h, CURLOPT_HTTPHEADER, headers);
	SET(h, CURLOPT_URL, request->url);
	code = curl_easy_perform(h->curl);
	curl_slist_free_all(headers);
	return finish(h, code, err);
}

bool
http_header(const HttpResponse *r, const char *name, char *out, size_t size)
{
	const char *line = buf_cstr(&r->headers);
	size_t n = strlen(name);

	out[0] = '\0';
	while (*line)
	{
		const char *end = strchr(line, '\n');

		if (end == NULL)
			break; /* cut by the limit */
		if (strncasecmp(line, name, n) == 0 && line[n] == ':')
		{
			line += n + 1;
			while (*line == ' ' || *line == '\t')
				line++;
			(void) snprintf(out, size, "%.*s", (int) (end - line), line);
			n = strlen(out);
			while (n > 0 && (out[n - 1] == ' ' || out[n - 1] == '\t'))
				out[--n] = '\0';
			return true;
		}
		line = end + 1;
	}
	return false;
}

bool
http_parse_date(const char *s, int64_t *out_unix_us)
{
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	char month[4] = "";
	const char *at;
	int year = 0;
	CivilTime c = { 0 };

	if (sscanf(s, "%*3[A-Za-z], %2d %3[A-Za-z] %4d %2d:%2d:%2d GMT", &c.day,
			   month, &year, &c.hour, &c.minute, &c.second) != 6 ||
		strlen(month) != 3 || (at = strstr(months, month)) == NULL ||
		(at - months) % 3 != 0)
		return false;
	if (c.day < 1 || c.day > 31 || c.hour < 0 || c.hour > 23 || c.minute < 0 ||
		c.minute > 59 || c.second < 0 || c.second > 60 || year < 1970)
		return false;
	c.year = year;
	c.month = (int) (at - months) / 3 + 1;
	*out_unix_us = unix_us_from_civil(&c);
	return true;
}
