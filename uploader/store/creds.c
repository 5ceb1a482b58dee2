/*-------------------------------------------------------------------------
 * creds.c
 *	  Credentials for S3, and the one set of them that the process shares.
 *
 * Invariants:
 *	(1) One thread at a time asks a source; nobody holds the mutex meanwhile.
 *	(2) While credentials are still good, a source that fails harms nobody.
 *	(3) Secrets are in Creds and in buffers that are wiped; no function
 *		formats them.
 *
 * Layer: store.
 *-------------------------------------------------------------------------
 */
#include "store/creds.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "codec/hash.h"
#include "io/fs.h"
#include "store/profile.h"

#define FILE_MAX ((size_t) 1024 * 1024)
#define VALUE_MAX 65536
#define REFRESH_US (300 * US_PER_SEC) /* fetch again this long before */
#define FAILED_WAIT_MS 10000          /* after a failure, while still good */
#define WAIT_STEP_MS 100

/* A source's answer. */
typedef enum Found
{
	FOUND_NOTHING, /* not configured: ask the next one */
	FOUND_CREDS,
	FOUND_ERROR
} Found;

typedef Found (*SourceFn)(const CredsOptions *options, Creds *out, Err *err);

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static Creds cached; /* access_key_id NULL: none */
static bool fetching;
static int64_t not_before_ms; /* no new fetch before, after a failure */

/* ---- environment ---- */

static const char *
env(const char *name)
{
	const char *v = getenv(name);

	return v ? v : "";
}

static const char *
profile_name(void)
{
	if (*env("AWS_PROFILE"))
		return env("AWS_PROFILE");
	if (*env("AWS_DEFAULT_PROFILE"))
		return env("AWS_DEFAULT_PROFILE");
	return "default";
}

static void
wipe_str(char **s)
{
	if (*s)
		wipe(*s, strlen(*s));
	free(*s);
	*s = NULL;
}

static void
wipe_buf(Buf *b)
{
	if (b->p)
		wipe(b->p, b->cap);
	buf_done(b);
}

void
creds_done(Creds *c)
{
	wipe_str(&c->access_key_id);
	wipe_str(&c->secret);
	wipe_str(&c->session_token);
	*c = (Creds){ 0 };
}

static void
creds_copy(const Creds *from, Creds *to)
{
	*to = *from;
	to->access_key_id = xstrdup(from->access_key_id);
	to->secret = xstrdup(from->secret);
	if (from->session_token)
		to->session_token = xstrdup(from->session_token);
}

/* ---- the shared files ---- */

/* The path of a shared file; "" where there is no home. */
static char *
shared_path(const char *variable, const char *name)
{
	if (*env(variable))
		return xstrdup(env(variable));
	if (*env("HOME"))
		return xasprintf("%s/.aws/%s", env("HOME"), name);
	return xstrdup("");
}

/* Reads a shared file; a file that is not there is empty. */
static bool
read_shared(bool config, Buf *out, Err *err)
{
	char *path =
		config ? shared_path("AWS_CONFIG_FILE", "config")
			   : shared_path("AWS_SHARED_CREDENTIALS_FILE", "credentials");
	bool ok =
		*path == '\0' || fs_read(path, out, err) || err->kind == ERR_NOT_FOUND;

	free(path);
	if (!ok)
		err->kind = ERR_AUTH;
	return ok;
}

/* A value of the profile in use; "" where there is none.  Freed by caller. */
static char *
profile_get(bool config, const char *name)
{
	Buf text;
	Buf value;
	Err err;
	char *s;

	buf_init(&text, FILE_MAX);
	buf_init(&value, VALUE_MAX);
	if (read_shared(config, &text, &err))
		(void) profile_value(buf_cstr(&text), profile_name(), config, name,
							 &value); /* nothing is "" */
	s = xstrdup(buf_cstr(&value));
	wipe_buf(&value);
	wipe_buf(&text);
	return s;
}

/* ---- sources ---- */

static Found
from_environment(const CredsOptions *options, Creds *out, Err *err)
{
	const char *id = env("AWS_ACCESS_KEY_ID");
	const char *secret = env("AWS_SECRET_ACCESS_KEY");

	(void) options;
	if (*id == '\0' && *secret == '\0')
		return FOUND_NOTHING;
	if (*id == '\0' || *secret == '\0')
	{
		err_set(err, ERR_AUTH, 0, "%s is set, but %s is not",
				*id ? "AWS_ACCESS_KEY_ID" : "AWS_SECRET_ACCESS_KEY",
				*id ? "AWS_SECRET_ACCESS_KEY" : "AWS_ACCESS_KEY_ID");
		return FOUND_ERROR;
	}
	out->access_key_id = xstrdup(id);
	out->secret = xstrdup(secret);
	if (*env("AWS_SESSION_TOKEN"))
		out->session_token = xstrdup(env("AWS_SESSION_TOKEN"));
	out->source = "environment";
	return FOUND_CREDS;
}

static Found
from_file(bool config, Creds *out, Err *err)
{
	char *id = profile_get(config, "aws_access_key_id");
	char *secret = profile_get(config, "aws_secret_access_key");
	char *token = profile_get(config, "aws_session_token");
	Found found = FOUND_NOTHING;

	if (*id && *secret)
	{
		out->access_key_id = xstrdup(id);
		out->secret = xstrdup(secret);
		if (*token)
			out->session_token = xstrdup(token);
		out->source = config ? "config file" : "credentials file";
		found = FOUND_CREDS;
	}
	else if (*id || *secret)
	{
		err_set(err, ERR_AUTH, 0,
				"profile \"%s\" of the AWS %s file has only one of "
				"aws_access_key_id and aws_secret_access_key",
				profile_name(), config ? "config" : "credentials");
		found = FOUND_ERROR;
	}
	wipe_str(&id);
	wipe_str(&secret);
	wipe_str(&token);
	return found;
}

static Found
from_credentials_file(const CredsOptions *options, Creds *out, Err *err)
{
	(void) options;
	return from_file(false, out, err);
}

static Found
from_config_file(const CredsOptions *options, Creds *out, Err *err)
{
	(void) options;
	return from_file(true, out, err);
}

/* A profile that was asked for by name must be there. */
static Found
check_profile(const CredsOptions *options, Creds *out, Err *err)
{
	Buf text;
	bool there = false;

	(void) options, (void) out; /* gives none */
	if (strcmp(profile_name(), "default") == 0)
		return FOUND_NOTHING;
	for (int config = 0; config < 2 && !there; config++)
	{
		buf_init(&text, FILE_MAX);
		if (!read_shared(config, &text, err))
		{
			wipe_buf(&text);
			return FOUND_ERROR;
		}
		there = profile_exists(buf_cstr(&text), profile_name(), config);
		wipe_buf(&text);
	}
	if (there)
		return FOUND_NOTHING;
	err_set(err, ERR_AUTH, 0, "profile \"%s\" was not found", profile_name());
	err_hint(err, "AWS_PROFILE names it; add it to ~/.aws/credentials or "
				  "~/.aws/config, or correct the name.");
	return FOUND_ERROR;
}

static const SourceFn sources[] = {
	from_environment,
	check_profile,
	from_credentials_file,
	from_config_file,
};

static bool
none_found(Err *err)
{
	err_set(err, ERR_AUTH, 0, "no credentials for the store were found");
	return err_hint(err,
					"Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or "
					"add them to profile \"%s\" in ~/.aws/credentials.",
					profile_name());
}

static bool
ask_sources(const CredsOptions *options, Creds *out, Err *err)
{
	for (size_t i = 0; i < sizeof(sources) / sizeof(sources[0]); i++)
	{
		Found found = sources[i](options, out, err);

		if (found != FOUND_NOTHING)
			return found == FOUND_CREDS;
	}
	return none_found(err);
}

/* ---- the shared set ---- */

static bool
is_good(int64_t margin_us)
{
	return cached.access_key_id != NULL &&
		   (cached.expires_us == 0 ||
			cached.expires_us - margin_us > clock_unix_us());
}

/*
 * Waits until the set can be used, or this thread is to fetch it.  Called,
 * and returns, with the mutex held.
 */
static bool
wait_for_fetch(const CredsOptions *options, bool *out_fetch, Err *err)
{
	for (;;)
	{
		*out_fetch = false;
		if (is_good(REFRESH_US))
			return true;
		if (is_good(0) && (fetching || clock_mono_ms() < not_before_ms))
			return true;
		if (!fetching)
		{
			*out_fetch = true;
			fetching = true;
			return true;
		}
		if (options->stop && atomic_load(options->stop))
			return err_set(err, ERR_STOP, 0,
						   "stopped while waiting for credentials");
		(void) pthread_mutex_unlock(&mutex);
		clock_sleep_ms(WAIT_STEP_MS); /* another thread is asking */
		(void) pthread_mutex_lock(&mutex);
	}
}

bool
creds_get(const CredsOptions *options, Creds *out, Err *err)
{
	Creds fresh = { 0 };
	bool fetch;
	bool ok;

	(void) pthread_mutex_lock(&mutex);
	ok = wait_for_fetch(options, &fetch, err);
	if (ok && fetch)
	{
		(void) pthread_mutex_unlock(&mutex);
		ok = ask_sources(options, &fresh, err);
		(void) pthread_mutex_lock(&mutex);
		fetching = false;
		if (ok)
		{
			creds_done(&cached);
			cached = fresh;
		}
		else
		{
			creds_done(&fresh);
			not_before_ms = clock_mono_ms() + FAILED_WAIT_MS;
			ok = is_good(0);
		}
	}
	if (ok)
		creds_copy(&cached, out);
	(void) pthread_mutex_unlock(&mutex);
	return ok;
}

bool
creds_are_missing(Err *err)
{
	Creds c = { 0 };
	CredsOptions none = { 0 };
	bool missing = false;

	(void) pthread_mutex_lock(&mutex);
	missing = cached.access_key_id == NULL;
	(void) pthread_mutex_unlock(&mutex);
	if (missing)
		missing = !ask_sources(&none, &c, err);
	creds_done(&c);
	return missing;
}

bool
creds_refused(const char *access_key_id)
{
	bool other = true;

	(void) pthread_mutex_lock(&mutex);
	if (cached.access_key_id &&
		strcmp(cached.access_key_id, access_key_id) == 0)
	{
		other = strcmp(cached.source, "environment") != 0;
		creds_done(&cached);
		not_before_ms = 0;
	}
	(void) pthread_mutex_unlock(&mutex);
	return other;
}

void
creds_reset(void)
{
	(void) pthread_mutex_lock(&mutex);
	creds_done(&cached);
	not_before_ms = 0;
	(void) pthread_mutex_unlock(&mutex);
}

/* ---- settings ---- */

static char *
first_of(const char *a, const char *b, const char *in_profile)
{
	if (*env(a))
		return xstrdup(env(a));
	if (*b && *env(b))
		return xstrdup(env(b));
	return profile_get(true, in_profile);
}

void
aws_settings_read(AwsSettings *out)
{
	out->region = first_of("AWS_REGION", "AWS_DEFAULT_REGION", "region");
	out->endpoint =
		first_of("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "endpoint_url");
	out->ca_file = first_of("AWS_CA_BUNDLE", "", "ca_bundle");
}

void
aws_settings_done(AwsSettings *s)
{
	free(s->region);
	free(s->endpoint);
	free(s->ca_file);
	*s = (AwsSettings){ 0 };
}
