/*-------------------------------------------------------------------------
 * secret.c
 *	  Passwords that AWS Secrets Manager keeps.
 *
 * Layer: store.
 *-------------------------------------------------------------------------
 */
#include "store/secret.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "codec/hash.h"
#include "codec/sigv4.h"
#include "io/http.h"
#include "store/creds.h"

#define ANSWER_MAX ((size_t) 256 * 1024) /* a secret has 64 kB at most */
#define REGION_SIZE 64

static void
wipe_buf(Buf *b)
{
	if (b->p)
		wipe(b->p, b->cap);
	buf_done(b);
}

/*
 * What a secret says
 */

/* A member as text; a port may be a number. */
static char *
member(const json_t *object, const char *name)
{
	const json_t *v = json_object_get(object, name);

	if (json_is_integer(v))
		return xasprintf("%lld", (long long) json_integer_value(v));
	return xstrdup(json_is_string(v) ? json_string_value(v) : "");
}

bool
secret_parse(const char *setting, const char *text, PgLogin *out, Err *err)
{
	json_t *j = json_loads(text, 0, NULL);

	if (json_is_object(j))
		*out = (PgLogin){ .password = member(j, "password"),
						  .user = member(j, "username"),
						  .host = member(j, "host"),
						  .port = member(j, "port") };
	else
		*out = (PgLogin){ .password = xstrdup(text),
						  .user = xstrdup(""),
						  .host = xstrdup(""),
						  .port = xstrdup("") };
	json_decref(j);
	if (*out->password)
		return true;
	pg_login_done(out);
	(void) err_set(err, ERR_AUTH, 0,
				   "the secret that %s names holds no password", setting);
	return err_hint(err, "give it the members \"username\" and \"password\", "
						 "or the password alone");
}

/*
 * AWS Secrets Manager
 */

/* The fourth part of arn:aws:secretsmanager:REGION:ACCOUNT:secret:NAME. */
static void
region_of(const CredsOptions *options, const char *arn, char *out, size_t size)
{
	const char *p = arn;

	(void) snprintf(out, size, "%s", options->region ? options->region : "");
	if (strncmp(arn, "arn:", 4) == 0)
	{
		for (int i = 0; i < 3 && p; i++)
		{
			p = strchr(p, ':');
			p = p ? p + 1 : NULL;
		}
		if (p && *p)
			(void) snprintf(out, size, "%.*s", (int) strcspn(p, ":"), p);
	}
	if (*out == '\0')
		(void) snprintf(out, size, "us-east-1");
}

/* Its url, and the host that is signed. */
static char *
endpoint_of(const char *region, const char **out_host)
{
	char *own = aws_service_endpoint("AWS_ENDPOINT_URL_SECRETS_MANAGER");
	char *url =
		*own ? xasprintf("%s/", own)
			 : xasprintf("https://secretsmanager.%s.amazonaws.com%s/", region,
						 strncmp(region, "cn-", 3) == 0 ? ".cn" : "");

	free(own);
	*out_host = strstr(url, "://") ? strstr(url, "://") + 3 : url;
	return url;
}

/* The service's word for what is wrong, without the name of its model. */
static void
error_type(Slice body, char *out, size_t size)
{
	json_t *j = json_loadb((const char *) body.p, body.n, 0, NULL);
	const char *type = json_string_value(json_object_get(j, "__type"));
	const char *hash = type ? strchr(type, '#') : NULL;

	(void) snprintf(out, size, "%.80s", hash ? hash + 1 : type ? type : "");
	json_decref(j);
}

static bool
refused(const char *setting, const HttpResponse *r, Err *err)
{
	char type[100];
	ErrKind kind = r->status >= 500 || r->status == 429 ? ERR_BUSY : ERR_AUTH;

	error_type(buf_slice(&r->body), type, sizeof(type));
	if (strstr(type, "Throttling"))
		kind = ERR_BUSY;
	(void) err_set(err, kind, r->status,
				   "could not read the secret that %s names: HTTP %d%s%s",
				   setting, r->status, *type ? " " : "", type);
	if (strcmp(type, "ResourceNotFoundException") == 0)
		return err_hint(err, "correct the ARN, or its region");
	if (strstr(type, "AccessDenied"))
		return err_hint(err, "allow secretsmanager:GetSecretValue on it, and "
							 "kms:Decrypt where it has a key of its own");
	return false;
}

/* Sends the signed request; its answer is appended to answer. */
static bool
get_secret_value(const CredsOptions *options, const char *setting,
				 const char *region, const Creds *creds, Slice body,
				 Buf *answer, Err *err)
{
	static const char target[] = "secretsmanager.GetSecretValue";
	static const char type[] = "application/x-amz-json-1.1";
	const char *host;
	char *url = endpoint_of(region, &host);
	char *signed_host = xasprintf("%.*s", (int) strcspn(host, "/"), host);
	char date[SIGV4_DATE_SIZE];
	char hash[SHA256_HEX_SIZE];
	SigV4Header h[] = { { "content-type", type },
						{ "host", signed_host },
						{ "x-amz-date", date },
						{ "x-amz-target", target },
						{ "x-amz-security-token", creds->session_token } };
	int nh = creds->session_token ? 5 : 4;
	char *lines[7] = { NULL };
	SigV4Key key;
	Buf authorization;
	HttpResponse r;
	Http *http = http_new(&(HttpOptions){ .ca_file = options->ca_file,
										  .proxy = options->proxy,
										  .stop = options->stop });
	bool ok;

	sigv4_date(clock_unix_us(), date);
	sha256_hex(body.p, body.n, hash);
	buf_init(&authorization, 4096);
	sigv4_key_init(&key);
	sigv4_sign(
		&key,
		&(SigV4Scope){ creds->access_key_id, creds->secret, region,
					   "secretsmanager" },
		&(SigV4Request){ "POST", strchr(host, '/'), "", h, nh, hash, date },
		&authorization);
	for (int i = 0; i < nh; i++)
		lines[i] = xasprintf("%s: %s", h[i].name, h[i].value);
	lines[nh] = xasprintf("authorization: %s", buf_cstr(&authorization));
	http_response_init(&r);
	ok = http_send(http,
				   &(HttpRequest){ .method = "POST",
								   .url = url,
								   .headers = (const char *const *) lines,
								   .body = body,
								   .out = answer },
				   &r, err);
	if (!ok)
		(void) err_prefix(err, "could not ask for the secret that %s names",
						  setting);
	else if (r.status < 200 || r.status > 299)
		ok = refused(setting, &r, err);
	for (int i = 0; i <= nh; i++)
		free(lines[i]);
	http_response_done(&r);
	http_free(http);
	sigv4_key_done(&key);
	buf_done(&authorization);
	free(signed_host);
	free(url);
	return ok;
}

static bool
read_answer(const char *setting, Slice answer, PgLogin *out, Err *err)
{
	json_t *j = json_loadb((const char *) answer.p, answer.n, 0, NULL);
	const char *text = json_string_value(json_object_get(j, "SecretString"));
	bool ok = text ? secret_parse(setting, text, out, err)
				   : err_set(err, ERR_AUTH, 0,
							 "the secret that %s names is no text", setting);

	json_decref(j);
	return ok;
}

bool
secret_fetch(const CredsOptions *options, const char *setting, const char *arn,
			 PgLogin *out, Err *err)
{
	char region[REGION_SIZE];
	Creds creds = { 0 };
	json_t *question;
	char *body;
	Buf answer;
	bool ok;

	region_of(options, arn, region, sizeof(region));
	if (!creds_get(options, &creds, err))
		return err_prefix(err, "%s", setting);
	question = json_pack("{s:s}", "SecretId", arn);
	body = question ? json_dumps(question, JSON_COMPACT) : NULL;
	json_decref(question);
	buf_init(&answer, ANSWER_MAX);
	if (!body)
		ok = err_set(err, ERR_AUTH, 0, "%s names no secret", setting);
	else
		ok = get_secret_value(options, setting, region, &creds,
							  (Slice){ (const uint8_t *) body, strlen(body) },
							  &answer, err) &&
			 read_answer(setting, buf_slice(&answer), out, err);
	wipe_buf(&answer);
	free(body);
	creds_done(&creds);
	return ok;
}
