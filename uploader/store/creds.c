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
#include <strings.h>

#include "base/clock.h"
#include "base/mem.h"
#include "codec/hash.h"
#include "io/fs.h"
#include "store/creds_remote.h"
#include "store/profile.h"
#include "store/secret_file.h"

#define FILE_MAX ((size_t) 1024 * 1024)
#define VALUE_MAX 65536
#define REFRESH_US (300 * US_PER_SEC) /* fetch again this long before */
#define FETCH_WAIT_MS 10000           /* between two, while still good */
#define WAIT_STEP_MS 100

/* A source's answer. */
typedef enum Found
{
	FOUND_NOTHING, /* not configured: ask the next one */
	FOUND_CREDS,
	FOUND_LATER, /* configured, but it takes a request */
	FOUND_ERROR
} Found;

/*
 * options NULL: make no request, answer FOUND_LATER.  profile: the one that was
 * asked for, "" the environment's.
 */
typedef Found (*SourceFn)(const CredsOptions *options, const char *profile,
						  Creds *out, Err *err);

/* The process's own set, and one for each profile that a store names. */
typedef struct Set
{
	struct Set *next;
	char *profile; /* "": the process's own */
	Creds cached;  /* access_key_id NULL: none */
	bool fetching;
	int64_t not_before_ms; /* no new fetch before, while still good */
	bool renewable;        /* there were some that end: others will come */
} Set;

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static Set own = { .profile = "" };

/* ---- environment ---- */

static const char *
env(const char *name)
{
	const char *v = getenv(name);

	return v ? v : "";
}

static const char *
profile_name(const char *profile)
{
	if (*profile)
		return profile;
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

/* A value of the profile; "" where there is none.  Freed by caller. */
static char *
profile_get(const char *profile, bool config, const char *name)
{
	Buf text;
	Buf value;
	Err err;
	char *s;

	buf_init(&text, FILE_MAX);
	buf_init(&value, VALUE_MAX);
	if (read_shared(config, &text, &err))
		(void) profile_value(buf_cstr(&text), profile_name(profile), config,
							 name, &value); /* nothing is "" */
	s = xstrdup(buf_cstr(&value));
	wipe_buf(&value);
	wipe_buf(&text);
	return s;
}

/* ---- sources ---- */

static const char *secret_file; /* NULL: there is none */

void
creds_set_secret_file(const char *path)
{
	secret_file = path;
}

char *
aws_service_endpoint(const char *variable)
{
	return xstrdup(*env(variable) ? env(variable) : env("AWS_ENDPOINT_URL"));
}

/* Read each time: it may have been written anew. */
static Found
from_secret_file(const CredsOptions *options, const char *profile, Creds *out,
				 Err *err)
{
	static const char setting[] = "store.secret_key_file";
	const char *id = env("AWS_ACCESS_KEY_ID");

	(void) options, (void) profile;
	if (!secret_file)
		return FOUND_NOTHING;
	if (*id == '\0' || *env("AWS_SECRET_ACCESS_KEY"))
	{
		err_set(err, ERR_AUTH, 0, "%s is set, and AWS_%s", setting,
				*id ? "SECRET_ACCESS_KEY too" : "ACCESS_KEY_ID is not");
		err_hint(err, "the variable AWS_ACCESS_KEY_ID says whose key the file "
					  "holds, and AWS_SECRET_ACCESS_KEY is left out");
		return FOUND_ERROR;
	}
	if (!secret_read_file(setting, secret_file, &out->secret, err))
		return FOUND_ERROR;
	out->access_key_id = xstrdup(id);
	if (*env("AWS_SESSION_TOKEN"))
		out->session_token = xstrdup(env("AWS_SESSION_TOKEN"));
	out->source = "secret key file";
	return FOUND_CREDS;
}

static Found
from_environment(const CredsOptions *options, const char *profile, Creds *out,
				 Err *err)
{
	const char *id = env("AWS_ACCESS_KEY_ID");
	const char *secret = env("AWS_SECRET_ACCESS_KEY");

	(void) options, (void) profile;
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
from_file(bool config, const char *profile, Creds *out, Err *err)
{
	char *id = profile_get(profile, config, "aws_access_key_id");
	char *secret = profile_get(profile, config, "aws_secret_access_key");
	char *token = profile_get(profile, config, "aws_session_token");
	Found result = FOUND_NOTHING;

	if (*id && *secret)
	{
		out->access_key_id = xstrdup(id);
		out->secret = xstrdup(secret);
		if (*token)
			out->session_token = xstrdup(token);
		out->source = config ? "config file" : "credentials file";
		result = FOUND_CREDS;
	}
	else if (*id || *secret)
	{
		err_set(err, ERR_AUTH, 0,
				"profile \"%s\" of the AWS %s file has only one of "
				"aws_access_key_id and aws_secret_access_key",
				profile_name(profile), config ? "config" : "credentials");
		result = FOUND_ERROR;
	}
	wipe_str(&id);
	wipe_str(&secret);
	wipe_str(&token);
	return result;
}

static Found
from_credentials_file(const CredsOptions *options, const char *profile,
					  Creds *out, Err *err)
{
	(void) options;
	return from_file(false, profile, out, err);
}

static Found
from_config_file(const CredsOptions *options, const char *profile, Creds *out,
				 Err *err)
{
	(void) options;
	return from_file(true, profile, out, err);
}

/* A profile that was asked for by name must be there. */
static Found
check_profile(const CredsOptions *options, const char *profile, Creds *out,
			  Err *err)
{
	Buf text;
	bool there = false;

	(void) options, (void) out; /* gives none */
	if (strcmp(profile_name(profile), "default") == 0)
		return FOUND_NOTHING;
	for (int config = 0; config < 2 && !there; config++)
	{
		buf_init(&text, FILE_MAX);
		if (!read_shared(config, &text, err))
		{
			wipe_buf(&text);
			return FOUND_ERROR;
		}
		there = profile_exists(buf_cstr(&text), profile_name(profile), config);
		wipe_buf(&text);
	}
	if (there)
		return FOUND_NOTHING;
	err_set(err, ERR_AUTH, 0, "profile \"%s\" was not found",
			profile_name(profile));
	err_hint(err,
			 "%s names it; add it to ~/.aws/credentials or "
			 "~/.aws/config, or correct the name.",
			 *profile ? "A setting" : "AWS_PROFILE");
	return FOUND_ERROR;
}

static Found
found(bool ok)
{
	return ok ? FOUND_CREDS : FOUND_ERROR;
}

static const char *
sts_endpoint(void)
{
	return *env("AWS_ENDPOINT_URL_STS") ? env("AWS_ENDPOINT_URL_STS")
										: env("AWS_ENDPOINT_URL");
}

static Found
from_web_identity(const CredsOptions *options, const char *profile, Creds *out,
				  Err *err)
{
	WebIdentity w = { .sts_endpoint = sts_endpoint(),
					  .role_arn = env("AWS_ROLE_ARN"),
					  .token_file = env("AWS_WEB_IDENTITY_TOKEN_FILE"),
					  .session_name = env("AWS_ROLE_SESSION_NAME") };

	(void) profile;
	if (*w.token_file == '\0')
		return FOUND_NOTHING;
	if (*w.role_arn == '\0')
	{
		err_set(err, ERR_AUTH, 0,
				"AWS_WEB_IDENTITY_TOKEN_FILE is set, but AWS_ROLE_ARN is not");
		return FOUND_ERROR;
	}
	if (options == NULL)
		return FOUND_LATER;
	return found(creds_from_web_identity(options, &w, out, err));
}

static Found
from_profile_web_identity(const CredsOptions *options, const char *profile,
						  Creds *out, Err *err)
{
	char *file = profile_get(profile, true, "web_identity_token_file");
	char *role = profile_get(profile, true, "role_arn");
	char *name = profile_get(profile, true, "role_session_name");
	WebIdentity w = { .sts_endpoint = sts_endpoint(),
					  .role_arn = role,
					  .token_file = file,
					  .session_name = name };
	Found result = FOUND_NOTHING;

	if (*file && *role)
		result = options ? found(creds_from_web_identity(options, &w, out, err))
						 : FOUND_LATER;
	free(file);
	free(role);
	free(name);
	return result;
}

static Found
from_process(const CredsOptions *options, const char *profile, Creds *out,
			 Err *err)
{
	char *command = profile_get(profile, true, "credential_process");
	Found result = FOUND_NOTHING;

	if (*command == '\0')
	{
		free(command);
		command = profile_get(profile, false, "credential_process");
	}
	if (*command)
		result = options ? found(creds_from_process(options, command, out, err))
						 : FOUND_LATER;
	free(command);
	return result;
}

/* What a profile can ask for and we cannot do. */
static Found
check_unsupported(const CredsOptions *options, const char *profile, Creds *out,
				  Err *err)
{
	static const char *const names[] = { "source_profile", "credential_source",
										 "sso_session", "sso_start_url" };
	Found result = FOUND_NOTHING;

	(void) options, (void) out; /* gives none */
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
	{
		char *value = profile_get(profile, true, names[i]);

		if (*value && result == FOUND_NOTHING)
		{
			err_set(err, ERR_AUTH, 0,
					"profile \"%s\" has %s, which is not supported",
					profile_name(profile), names[i]);
			err_hint(err,
					 "Give another profile the line \"credential_process = aws "
					 "configure export-credentials --profile %s\", and name "
					 "that one in AWS_PROFILE.",
					 profile_name(profile));
			result = FOUND_ERROR;
		}
		free(value);
	}
	return result;
}

static Found
from_container(const CredsOptions *options, const char *profile, Creds *out,
			   Err *err)
{
	const char *relative = env("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
	const char *full = env("AWS_CONTAINER_CREDENTIALS_FULL_URI");
	char *url;
	bool ok;

	(void) profile;
	if (*relative == '\0' && *full == '\0')
		return FOUND_NOTHING;
	if (options == NULL)
		return FOUND_LATER;
	url = *relative ? xasprintf("http://169.254.170.2%s%s",
								*relative == '/' ? "" : "/", relative)
					: xstrdup(full);
	ok = creds_from_container(
		options, url, env("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"),
		env("AWS_CONTAINER_AUTHORIZATION_TOKEN"), out, err);
	free(url);
	return found(ok);
}

static Found
from_machine(const CredsOptions *options, const char *profile, Creds *out,
			 Err *err)
{
	bool absent = false;

	(void) profile;
	if (strcasecmp(env("AWS_EC2_METADATA_DISABLED"), "true") == 0)
		return FOUND_NOTHING;
	if (options == NULL)
		return FOUND_LATER;
	if (creds_from_machine(options, env("AWS_EC2_METADATA_SERVICE_ENDPOINT"),
						   out, &absent, err))
		return FOUND_CREDS;
	return absent ? FOUND_NOTHING : FOUND_ERROR;
}

static const SourceFn sources[] = {
	from_secret_file,
	from_environment,
	from_web_identity,
	check_profile,
	from_profile_web_identity,
	from_credentials_file,
	from_process,
	from_config_file,
	check_unsupported,
	from_container,
	from_machine,
};

/* A profile that is named says all; nothing of the environment's is used. */
static const SourceFn profile_sources[] = {
	check_profile, from_profile_web_identity, from_credentials_file,
	from_process,  from_config_file,          check_unsupported,
};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* Where some were found before, their source is only away for a while. */
static bool
none_found(const Set *set, Err *err)
{
	const char *profile = set->profile;

	err_set(err, set->renewable ? ERR_NET : ERR_AUTH, 0,
			"no credentials for the store were found");
	if (*profile)
		return err_hint(
			err, "Add them to profile \"%s\" in ~/.aws/credentials.", profile);
	return err_hint(err,
					"Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or "
					"add them to profile \"%s\" in ~/.aws/credentials.",
					profile_name(profile));
}

static Found
ask_sources(const CredsOptions *options, const Set *set, Creds *out, Err *err)
{
	const SourceFn *fns = *set->profile ? profile_sources : sources;
	size_t n = *set->profile ? COUNT(profile_sources) : COUNT(sources);

	for (size_t i = 0; i < n; i++)
	{
		Found f = fns[i](options, set->profile, out, err);

		if (f != FOUND_NOTHING)
			return f;
	}
	none_found(set, err);
	return FOUND_ERROR;
}

/* ---- the shared sets ---- */

/* With the mutex held.  A set lives as long as the process. */
static Set *
find_set(const char *profile)
{
	Set **link = &own.next;

	if (!profile || *profile == '\0')
		return &own;
	while (*link && strcmp((*link)->profile, profile) != 0)
		link = &(*link)->next;
	if (!*link)
	{
		*link = xcalloc(1, sizeof(**link));
		(*link)->profile = xstrdup(profile);
	}
	return *link;
}

static bool
is_good(const Set *set, int64_t margin_us)
{
	return set->cached.access_key_id != NULL &&
		   (set->cached.expires_us == 0 ||
			set->cached.expires_us - margin_us > clock_unix_us());
}

/*
 * Waits until the set can be used, or this thread is to fetch it.  Called,
 * and returns, with the mutex held.
 */
static bool
wait_for_fetch(Set *set, const CredsOptions *options, bool *out_fetch, Err *err)
{
	for (;;)
	{
		*out_fetch = false;
		if (is_good(set, REFRESH_US))
			return true;
		if (is_good(set, 0) &&
			(set->fetching || clock_mono_ms() < set->not_before_ms))
			return true;
		if (!set->fetching)
		{
			*out_fetch = true;
			set->fetching = true;
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
	Set *set;
	bool fetch;
	bool ok;

	(void) pthread_mutex_lock(&mutex);
	set = find_set(options->profile);
	ok = wait_for_fetch(set, options, &fetch, err);
	if (ok && fetch)
	{
		(void) pthread_mutex_unlock(&mutex);
		ok = ask_sources(options, set, &fresh, err) == FOUND_CREDS;
		(void) pthread_mutex_lock(&mutex);
		set->fetching = false;
		if (ok)
		{
			creds_done(&set->cached);
			set->cached = fresh;
			set->renewable = set->renewable || fresh.expires_us != 0;
		}
		else
		{
			creds_done(&fresh);
			ok = is_good(set, 0);
		}
		/* Also for those that come with little time left. */
		set->not_before_ms = clock_mono_ms() + FETCH_WAIT_MS;
	}
	if (ok)
		creds_copy(&set->cached, out);
	(void) pthread_mutex_unlock(&mutex);
	return ok;
}

bool
creds_are_missing(const char *profile, Err *err)
{
	Creds c = { 0 };
	Set *set;
	bool missing;

	(void) pthread_mutex_lock(&mutex);
	set = find_set(profile);
	missing = set->cached.access_key_id == NULL;
	(void) pthread_mutex_unlock(&mutex);
	if (missing)
		missing = ask_sources(NULL, set, &c, err) == FOUND_ERROR;
	creds_done(&c);
	return missing;
}

bool
creds_refused(const char *access_key_id)
{
	bool other = true;

	(void) pthread_mutex_lock(&mutex);
	for (Set *set = &own; set; set = set->next)
	{
		if (!set->cached.access_key_id ||
			strcmp(set->cached.access_key_id, access_key_id) != 0)
			continue;
		other = strcmp(set->cached.source, "environment") != 0;
		creds_done(&set->cached);
		set->not_before_ms = 0;
	}
	(void) pthread_mutex_unlock(&mutex);
	return other;
}

void
creds_reset(void)
{
	(void) pthread_mutex_lock(&mutex);
	for (Set *set = &own; set; set = set->next)
	{
		creds_done(&set->cached);
		set->not_before_ms = 0;
		set->renewable = false;
	}
	(void) pthread_mutex_unlock(&mutex);
}

/* ---- settings ---- */

/* A profile that is named goes first, then the environment. */
static char *
first_of(const char *profile, const char *a, const char *b,
		 const char *in_profile)
{
	char *named = *profile ? profile_get(profile, true, in_profile) : NULL;

	if (named && *named)
		return named;
	free(named);
	if (*env(a))
		return xstrdup(env(a));
	if (*b && *env(b))
		return xstrdup(env(b));
	return *profile ? xstrdup("") : profile_get(profile, true, in_profile);
}

void
aws_settings_read_of(const char *profile, AwsSettings *out)
{
	if (!profile)
		profile = "";
	out->region =
		first_of(profile, "AWS_REGION", "AWS_DEFAULT_REGION", "region");
	out->endpoint = first_of(profile, "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL",
							 "endpoint_url");
	out->ca_file = first_of(profile, "AWS_CA_BUNDLE", "", "ca_bundle");
}

void
aws_settings_read(AwsSettings *out)
{
	aws_settings_read_of("", out);
}

void
aws_settings_done(AwsSettings *s)
{
	free(s->region);
	free(s->endpoint);
	free(s->ca_file);
	*s = (AwsSettings){ 0 };
}
