/*-------------------------------------------------------------------------
 * cmd_ping.c
 *	  cdc-s3 ping: asks /livez of the process that http.listen is of.  For
 *	  where there is no other program to ask with, as in a container.
 *
 * Exit code 0: alive; 1: a thread of it is not; 75: nobody answers.
 * Layer: cmd.
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <string.h>

#include "cmd/args.h"
#include "cmd/cmd.h"
#include "io/http.h"
#include "serve/listen.h"

#define PING_MS 5000
#define WORD_MAX 64

static bool
not_alive(const HttpResponse *r, Err *err)
{
	int n = (int) strcspn(buf_cstr(&r->body), "\r\n");

	err_set(err, ERR_INTERNAL, r->status, "/livez says %d: %.*s is not alive",
			r->status, n < WORD_MAX ? n : WORD_MAX, buf_cstr(&r->body));
	return err_hint(err, "restart the process");
}

static bool
ask(const char *url, Err *err)
{
	HttpOptions o = { .proxy = "",
					  .connect_timeout_ms = PING_MS,
					  .silence_ms = PING_MS };
	const char *const headers[] = { NULL };
	HttpRequest request = { .method = "GET", .url = url, .headers = headers };
	HttpResponse r;
	Http *http = http_new(&o);
	bool ok;

	http_response_init(&r);
	ok = http_send(http, &request, &r, err);
	if (!ok)
	{
		err->kind = ERR_NET;
		(void) err_hint(err, "is \"cdc-s3 run\" there, with http.listen?");
	}
	else if (r.status != 200)
		ok = not_alive(&r, err);
	http_response_done(&r);
	http_free(http);
	return ok;
}

bool
cmd_ping(const Config *cfg, int argc, char **argv, Err *err)
{
	const ArgSpec spec = { "ping", NULL, 0, NULL, 0 };
	char base[320];
	char url[340];

	if (!args_parse(&spec, argc, argv, NULL, err) ||
		!config_need(cfg, "http.listen", err) ||
		!serve_url(cfg->http_listen, base, sizeof(base), err))
		return false;
	(void) snprintf(url, sizeof(url), "%s/livez", base); /* fits */
	return ask(url, err);
}
