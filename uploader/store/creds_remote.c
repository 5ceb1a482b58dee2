/*-------------------------------------------------------------------------
 * creds_remote.c
 *	  Credentials that somebody else has to be asked for.
 *
 * Layer: store.
 *-------------------------------------------------------------------------
 */
#include "store/creds_remote.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "codec/hash.h"
#include "codec/uri.h"
#include "codec/xml.h"
#include "io/fs.h"
#include "io/http.h"

#define ANSWER_MAX 65536
#define TOKEN_MAX 65536
#define PROCESS_MS 60000
#define POLL_MS 20 /* how late the end of a process is seen */
#define AGENT_CONNECT_MS 1000
#define AGENT_SILENCE_MS 5000
#define MACHINE_ENDPOINT "http://169.254.169.254"
#define MACHINE_TOKEN_LIFE "21600"

extern char **environ;

static void
wipe_buf(Buf *b)
{
	if (b->p)
		wipe(b->p, b->cap);
	buf_done(b);
}

/* ---- reading answers ---- */

/* "2026-11-21T08:00:00Z", with a fraction, or with "+00:00". */
static bool
parse_expiration(const char *text, int64_t *out_us)
{
	static const char offset[] = "+00:00";
	size_t n = strlen(text);
	char *copy = xstrdup(text);
	bool ok;

	if (n > strlen(offset) && strcmp(copy + n - strlen(offset), offset) == 0)
	{
		copy[n - strlen(offset)] = 'Z';
		copy[n - strlen(offset) + 1] = '\0';
	}
	ok = iso_parse(copy, out_us);
	free(copy);
	return ok;
}

static bool
fill(Creds *out, const char *who, const char *id, const char *secret,
	 const char *token, const char *expiration, Err *err)
{
	int64_t expires_us = 0;

	if (id == NULL || *id == '\0' || secret == NULL || *secret == '\0')
		return err_set(err, ERR_AUTH, 0,
					   "%s gave an answer without credentials", who);
	if (expiration && *expiration && !parse_expiration(expiration, &expires_us))
		return err_set(err, ERR_AUTH, 0,
					   "%s gave an expiration that is no time", who);
	out->access_key_id = xstrdup(id);
	out->secret = xstrdup(secret);
	out->session_token = token && *token ? xstrdup(token) : NULL;
	out->expires_us = expires_us;
	return true;
}

static const char *
json_text(const json_t *object, const char *name)
{
	return json_string_value(json_object_get(object, name));
}

/* The JSON that programs, agents and machines give. */
static bool
read_json(const char *who, Slice text, Creds *out, Err *err)
{
	json_t *j = json_loadb((const char *) text.p, text.n, 0, NULL);
	const char *token;
	bool ok;

	if (!json_is_object(j))
	{
		json_decref(j);
		return err_set(err, ERR_AUTH, 0, "%s gave an answer that is no JSON",
					   who);
	}
	token = json_text(j, "SessionToken");
	if (token == NULL)
		token = json_text(j, "Token");
	ok = fill(out, who, json_text(j, "AccessKeyId"),
			  json_text(j, "SecretAccessKey"), token,
			  json_text(j, "Expiration"), err);
	json_decref(j);
	return ok;
}

/* ---- a program ---- */

/* Starts it with its output to fd; no input, and what it says is dropped. */
static int
spawn_shell(char *const *argv, int fd, pid_t *out_pid)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	sigset_t none, pipe_signal;
	int rc;

	/* Initializing and setting flags cannot fail here. */
	(void) posix_spawn_file_actions_init(&actions);
	(void) posix_spawnattr_init(&attr);
	(void) sigemptyset(&none);
	(void) sigemptyset(&pipe_signal);
	(void) sigaddset(&pipe_signal, SIGPIPE);
	(void) posix_spawnattr_setsigmask(&attr, &none);
	(void) posix_spawnattr_setsigdefault(&attr, &pipe_signal);
	/* a group of its own, so that its children can be ended with it */
	(void) posix_spawnattr_setpgroup(&attr, 0);
	(void) posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK |
											   POSIX_SPAWN_SETSIGDEF |
											   POSIX_SPAWN_SETPGROUP);
	rc =
		posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
	if (rc == 0)
		rc = posix_spawn_file_actions_adddup2(&actions, fd, 1);
	if (rc == 0)
		rc = posix_spawn_file_actions_addopen(&actions, 2, "/dev/null",
											  O_WRONLY, 0);
	if (rc == 0)
		rc = posix_spawn(out_pid, argv[0], &actions, &attr, argv, environ);
	(void) posix_spawnattr_destroy(&attr);
	(void) posix_spawn_file_actions_destroy(&actions);
	return rc;
}

static bool
start_process(const char *command, pid_t *out_pid, int *out_fd, Err *err)
{
	char shell[] = "/bin/sh";
	char option[] = "-c";
	char *script = xstrdup(command);
	char *argv[] = { shell, option, script, NULL };
	int ends[2] = { -1, -1 };
	int errnum = 0;
	char text[128];

	if (pipe2(ends, O_CLOEXEC) != 0)
		errnum = errno;
	else
	{
		errnum = spawn_shell(argv, ends[1], out_pid);
		(void) close(ends[1]); /* the child has its own */
		if (errnum != 0)
			(void) close(ends[0]); /* nothing was read */
	}
	free(script);
	if (errnum != 0)
		return err_set(err, ERR_AUTH, errnum,
					   "could not start credential_process: %s",
					   err_errno(errnum, text, sizeof(text)));
	*out_fd = ends[0];
	return true;
}

typedef struct Process
{
	pid_t pid;
	int fd;     /* its output */
	int status; /* once it has ended */
	bool ended;
} Process;

static void
look_for_end(Process *p)
{
	pid_t pid;

	while ((pid = waitpid(p->pid, &p->status, WNOHANG)) < 0 && errno == EINTR)
		;
	p->ended = pid != 0; /* an error would be that somebody took the status */
}

/* Ends it, and whatever it started that is in its group. */
static void
end_process(Process *p)
{
	(void) kill(-p->pid, SIGKILL); /* they may be gone already */
	while (!p->ended && waitpid(p->pid, &p->status, 0) < 0 && errno == EINTR)
		;
	p->ended = true;
}

static bool
may_go_on(const CredsOptions *o, int64_t until_ms, Err *err)
{
	if (o->stop && atomic_load(o->stop))
		return err_set(err, ERR_STOP, 0,
					   "stopped while waiting for credential_process");
	if (clock_mono_ms() > until_ms)
		return err_set(err, ERR_NET, 0,
					   "credential_process did not end within %d s",
					   PROCESS_MS / 1000);
	return true;
}

/* What there is to read; false at its end. */
static bool
read_some(int fd, Buf *out)
{
	uint8_t bytes[4096];
	ssize_t n = read(fd, bytes, sizeof(bytes));

	if (n > 0)
		buf_add(out, bytes, (size_t) n);
	wipe(bytes, sizeof(bytes));
	return n > 0 || (n < 0 && errno == EINTR);
}

/*
 * Reads to the end of the output, and waits for the end of the process; false
 * at a limit of time or size.  A child of it that lives on may hold the output
 * open, and a process may close it and live on: neither is waited for longer
 * than for an answer.
 */
static bool
read_process(const CredsOptions *o, Process *p, Buf *out, Err *err)
{
	int64_t until_ms = clock_mono_ms() + PROCESS_MS;
	bool open = true;

	for (;;)
	{
		struct pollfd fd = { open ? p->fd : -1, POLLIN, 0 };

		if (!may_go_on(o, until_ms, err))
			return false;
		if (poll(&fd, 1, p->ended ? 0 : POLL_MS) > 0)
			open = read_some(p->fd, out);
		else if (p->ended)
			return true; /* nothing is left of what it said */
		if (out->overflow)
			return err_set(err, ERR_AUTH, 0,
						   "credential_process writes without end");
		if (!p->ended)
			look_for_end(p);
	}
}

bool
creds_from_process(const CredsOptions *options, const char *command, Creds *out,
				   Err *err)
{
	Process p = { 0 };
	bool ok;
	Buf answer;

	if (!start_process(command, &p.pid, &p.fd, err))
		return false;
	buf_init(&answer, ANSWER_MAX);
	ok = read_process(options, &p, &answer, err);
	(void) close(p.fd); /* only read from */
	if (!ok)
		end_process(&p);
	if (ok && p.status != 0)
	{
		ok = err_set(err, ERR_AUTH, WEXITSTATUS(p.status),
					 "credential_process failed with exit code %d",
					 WEXITSTATUS(p.status));
		err_hint(err, "Run the command that the AWS config file names, and "
					  "see what it says.");
	}
	ok = ok && read_json("credential_process", buf_slice(&answer), out, err);
	out->source = "credential_process";
	wipe_buf(&answer);
	return ok;
}

/* ---- servers ---- */

/* One request; a body of 2xx is appended to answer. */
static bool
ask(const HttpOptions *http, const char *who, const char *method,
	const char *url, const char *header, Slice body, Buf *answer,
	int *out_status, Err *err)
{
	const char *headers[] = { header, NULL };
	Http *h = http_new(http);
	HttpResponse r;
	HttpRequest q = { .method = method,
					  .url = url,
					  .headers = headers,
					  .body = body,
					  .out = answer };
	bool ok;

	http_response_init(&r);
	ok = http_send(h, &q, &r, err);
	*out_status = r.status;
	if (!ok)
		err_prefix(err, "could not ask %s for credentials", who);
	else if (r.status < 200 || r.status > 299)
	{
		Slice raw = { NULL, 0 };
		Buf code;

		buf_init(&code, 100);
		if (xml_find(buf_slice(&r.body), "Code", &raw))
			(void) xml_add_text(&code, raw); /* nothing is nothing */
		ok = err_set(err,
					 r.status >= 500 || r.status == 429 ? ERR_BUSY : ERR_AUTH,
					 r.status, "%s gave no credentials: HTTP %d%s%s", who,
					 r.status, code.n ? " " : "", buf_cstr(&code));
		buf_done(&code);
	}
	http_response_done(&r);
	http_free(h);
	return ok;
}

/* A token from its file, without the newline at its end. */
static bool
read_token(const char *path, Buf *out, Err *err)
{
	if (!fs_read(path, out, err))
	{
		err->kind = err->kind == ERR_BUSY ? ERR_BUSY : ERR_AUTH;
		return false;
	}
	while (out->n > 0 && strchr("\r\n \t", out->p[out->n - 1]))
		out->p[--out->n] = 0;
	for (size_t i = 0; i < out->n; i++)
		if (out->p[i] < ' ' || out->p[i] == 0x7f)
			return err_set(err, ERR_AUTH, 0,
						   "the token in \"%s\" is not one line", path);
	if (out->n == 0)
		return err_set(err, ERR_AUTH, 0, "the token in \"%s\" is empty", path);
	return true;
}

static void
add_form(Buf *out, const char *name, Slice value)
{
	buf_printf(out, "%s%s=", out->n ? "&" : "", name);
	uri_add_encoded(out, value, false);
}

static bool
read_sts(Slice doc, Creds *out, Err *err)
{
	static const char *const names[] = { "AccessKeyId", "SecretAccessKey",
										 "SessionToken", "Expiration" };
	Buf values[4];
	Slice creds = { NULL, 0 };
	Slice raw;
	bool ok;

	if (!xml_find(doc, "Credentials", &creds))
		creds.n = 0;
	for (int i = 0; i < 4; i++)
	{
		buf_init(&values[i], ANSWER_MAX);
		if (xml_find(creds, names[i], &raw))
			(void) xml_add_text(&values[i], raw); /* fill() finds out */
	}
	ok = fill(out, "STS", buf_cstr(&values[0]), buf_cstr(&values[1]),
			  buf_cstr(&values[2]), buf_cstr(&values[3]), err);
	for (int i = 0; i < 4; i++)
		wipe_buf(&values[i]);
	return ok;
}

bool
creds_from_web_identity(const CredsOptions *options, const WebIdentity *w,
						Creds *out, Err *err)
{
	HttpOptions http = { .ca_file = options->ca_file,
						 .proxy = options->proxy,
						 .stop = options->stop };
	char *url =
		*w->sts_endpoint
			? xstrdup(w->sts_endpoint)
			: xasprintf("https://sts.%s.amazonaws.com%s", options->region,
						strncmp(options->region, "cn-", 3) == 0 ? ".cn" : "");
	Buf token, form, answer;
	int status;
	bool ok;

	buf_init(&token, TOKEN_MAX);
	buf_init(&form, (size_t) 4 * TOKEN_MAX);
	buf_init(&answer, ANSWER_MAX);
	ok = read_token(w->token_file, &token, err);
	if (ok)
	{
		add_form(&form, "Action", slice_cstr("AssumeRoleWithWebIdentity"));
		add_form(&form, "Version", slice_cstr("2011-06-15"));
		add_form(&form, "RoleArn", slice_cstr(w->role_arn));
		add_form(&form, "RoleSessionName",
				 slice_cstr(*w->session_name ? w->session_name : "cdc-s3"));
		add_form(&form, "WebIdentityToken", buf_slice(&token));
		ok = ask(&http, "STS", "POST", url,
				 "content-type: application/x-www-form-urlencoded",
				 buf_slice(&form), &answer, &status, err) &&
			 read_sts(buf_slice(&answer), out, err);
	}
	out->source = "web identity";
	wipe_buf(&token);
	wipe_buf(&form);
	wipe_buf(&answer);
	free(url);
	return ok;
}

/* Plain HTTP may carry a token to these hosts only. */
static bool
is_allowed_agent(const char *url)
{
	static const char *const hosts[] = { "127.0.0.1",      "localhost",
										 "[::1]",          "169.254.170.2",
										 "169.254.170.23", "[fd00:ec2::23]" };
	static const char plain[] = "http://";

	if (strncmp(url, "https://", 8) == 0)
		return true;
	if (strncmp(url, plain, strlen(plain)) != 0)
		return false;
	url += strlen(plain);
	for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++)
	{
		size_t n = strlen(hosts[i]);

		if (strncmp(url, hosts[i], n) == 0 &&
			(url[n] == '\0' || strchr("/:?", url[n])))
			return true;
	}
	return false;
}

bool
creds_from_container(const CredsOptions *options, const char *url,
					 const char *token_file, const char *token, Creds *out,
					 Err *err)
{
	HttpOptions http = { .ca_file = options->ca_file,
						 .proxy = "",
						 .connect_timeout_ms = AGENT_CONNECT_MS,
						 .silence_ms = AGENT_SILENCE_MS,
						 .stop = options->stop };
	Buf header, value, answer;
	int status;
	bool ok = true;

	if (!is_allowed_agent(url) || strchr(url, '@'))
	{
		err_set(err, ERR_AUTH, 0,
				"AWS_CONTAINER_CREDENTIALS_FULL_URI names a host that is not "
				"to be trusted");
		return err_hint(err, "Allowed are https, this machine, and the "
							 "addresses of the ECS and EKS agents.");
	}
	buf_init(&header, (size_t) 2 * TOKEN_MAX);
	buf_init(&value, TOKEN_MAX);
	buf_init(&answer, ANSWER_MAX);
	if (*token_file)
		ok = read_token(token_file, &value, err);
	else
		buf_str(&value, token);
	if (ok && strpbrk(buf_cstr(&value), "\r\n"))
		ok = err_set(err, ERR_AUTH, 0,
					 "AWS_CONTAINER_AUTHORIZATION_TOKEN is not one line");
	if (value.n > 0)
		buf_printf(&header, "authorization: %s", buf_cstr(&value));
	ok = ok &&
		 ask(&http, "the container's agent", "GET", url,
			 header.n ? buf_cstr(&header) : NULL, (Slice){ NULL, 0 }, &answer,
			 &status, err) &&
		 read_json("the container's agent", buf_slice(&answer), out, err);
	out->source = "container";
	wipe_buf(&header);
	wipe_buf(&value);
	wipe_buf(&answer);
	return ok;
}

/* One request to the machine's metadata service. */
static bool
ask_machine(const CredsOptions *o, const char *method, const char *endpoint,
			const char *path, const char *header, Buf *answer, int *out_status,
			Err *err)
{
	HttpOptions http = { .proxy = "", /* it is on this link */
						 .connect_timeout_ms = AGENT_CONNECT_MS,
						 .silence_ms = AGENT_SILENCE_MS,
						 .stop = o->stop };
	char *url = xasprintf("%s/latest/%s",
						  *endpoint ? endpoint : MACHINE_ENDPOINT, path);
	bool ok = ask(&http, "the machine's metadata service", method, url, header,
				  (Slice){ NULL, 0 }, answer, out_status, err);

	free(url);
	return ok;
}

/* The first line of the list of roles. */
static bool
role_path(Buf *roles, Buf *out)
{
	size_t n = strcspn(buf_cstr(roles), "\r\n");

	if (n == 0)
		return false;
	buf_str(out, "meta-data/iam/security-credentials/");
	uri_add_encoded(out, (Slice){ roles->p, n }, false);
	return true;
}

bool
creds_from_machine(const CredsOptions *options, const char *endpoint,
				   Creds *out, bool *out_absent, Err *err)
{
	Buf token, header, roles, path, answer;
	int status = 0;
	bool ok;

	buf_init(&token, ANSWER_MAX);
	buf_init(&header, ANSWER_MAX);
	buf_init(&roles, ANSWER_MAX);
	buf_init(&path, ANSWER_MAX);
	buf_init(&answer, ANSWER_MAX);
	ok =
		ask_machine(options, "PUT", endpoint, "api/token",
					"x-aws-ec2-metadata-token-ttl-seconds: " MACHINE_TOKEN_LIFE,
					&token, &status, err);
	/* Nobody there, or one who does not know version 2: not a machine. */
	*out_absent = !ok && (err->kind == ERR_NET || err->kind == ERR_AUTH);
	if (ok && strpbrk(buf_cstr(&token), "\r\n"))
		ok = err_set(err, ERR_AUTH, 0,
					 "the machine's metadata service gave a token that is not "
					 "one line");
	if (!ok)
		goto done;
	buf_printf(&header, "x-aws-ec2-metadata-token: %s", buf_cstr(&token));
	ok = ask_machine(options, "GET", endpoint,
					 "meta-data/iam/security-credentials/", buf_cstr(&header),
					 &roles, &status, err);
	*out_absent = !ok && status == 404;
	if (!ok)
		goto done;
	ok = role_path(&roles, &path) &&
		 ask_machine(options, "GET", endpoint, buf_cstr(&path),
					 buf_cstr(&header), &answer, &status, err);
	if (path.n == 0)
		*out_absent = true;
	ok = ok && read_json("the machine's metadata service", buf_slice(&answer),
						 out, err);

done:
	out->source = "machine role";
	wipe_buf(&token);
	wipe_buf(&header);
	wipe_buf(&roles);
	wipe_buf(&path);
	wipe_buf(&answer);
	return ok;
}
