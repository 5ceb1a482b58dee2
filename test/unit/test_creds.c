/*-------------------------------------------------------------------------
 * test_creds.c
 *	  store/creds and store/profile: which source wins, and what is said
 *	  where there is none.
 *-------------------------------------------------------------------------
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "store/creds.h"
#include "store/creds_remote.h"
#include "store/profile.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const char config_text[] = "# a comment\r\n"
								  "[default]\r\n"
								  "region = eu-west-1   # where we are\r\n"
								  "s3 =\n"
								  "  region = not-this\n"
								  "  endpoint_url = http://nested\n"
								  "endpoint_url=http://127.0.0.1:9000\n"
								  "[profile  two ]\n"
								  "\tregion=us-west-2\n"
								  "[profile \"three words here\"]\n"
								  "region=three\n"
								  "[two]\n"
								  "region=no-profile-word\n"
								  "[profile empty]\n"
								  "region=\n"
								  "[default]\n"
								  "output=json";

static const char credentials_text[] = "[default]\n"
									   "aws_access_key_id = AKID\n"
									   "aws_secret_access_key = se=cret/+#x\n"
									   "\n"
									   "[two]\n"
									   "aws_access_key_id=AKID2\n"
									   "aws_secret_access_key=secret2\n"
									   "aws_session_token=token2\n"
									   ";aws_session_token=no\n"
									   "[half]\n"
									   "aws_access_key_id=AKID3\n";

static void
test_profile(void **state)
{
	static const struct
	{
		const char *profile;
		bool config;
		const char *name, *value; /* NULL: none */
	} rows[] = {
		{ "default", true, "region", "eu-west-1" },
		{ "default", true, "endpoint_url", "http://127.0.0.1:9000" },
		{ "default", true, "output", "json" },
		{ "two", true, "region", "us-west-2" },
		{ "three words here", true, "region", "three" },
		{ "empty", true, "region", NULL },
		{ "none", true, "region", NULL },
		{ "default", false, "aws_secret_access_key", "se=cret/+#x" },
		{ "two", false, "aws_session_token", "token2" },
		{ "default", false, "aws_session_token", NULL },
	};

	(void) state;
	for (size_t i = 0; i < COUNT(rows); i++)
	{
		Buf b;
		bool found;

		buf_init(&b, 1000);
		found =
			profile_value(rows[i].config ? config_text : credentials_text,
						  rows[i].profile, rows[i].config, rows[i].name, &b);
		if (found != (rows[i].value != NULL) ||
			(found && strcmp(buf_cstr(&b), rows[i].value) != 0))
			fail_msg("[%s] %s: %d \"%s\"", rows[i].profile, rows[i].name, found,
					 buf_cstr(&b));
		buf_done(&b);
	}
	assert_true(profile_exists(config_text, "empty", true));
	assert_false(profile_exists(config_text, "none", true));
	assert_true(profile_exists(credentials_text, "half", false));
}

static char folder[64];

static void
write_file(const char *name, const char *text)
{
	char *path = xasprintf("%s/.aws/%s", folder, name);
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
	free(path);
}

static void
clear_environment(void)
{
	static const char *const names[] = {
		"AWS_ACCESS_KEY_ID",
		"AWS_SECRET_ACCESS_KEY",
		"AWS_SESSION_TOKEN",
		"AWS_PROFILE",
		"AWS_DEFAULT_PROFILE",
		"AWS_SHARED_CREDENTIALS_FILE",
		"AWS_CONFIG_FILE",
		"AWS_REGION",
		"AWS_DEFAULT_REGION",
		"AWS_ENDPOINT_URL",
		"AWS_ENDPOINT_URL_S3",
		"AWS_CA_BUNDLE",
		"AWS_WEB_IDENTITY_TOKEN_FILE",
		"AWS_ROLE_ARN",
		"AWS_CONTAINER_CREDENTIALS_FULL_URI",
		"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
	};

	for (size_t i = 0; i < COUNT(names); i++)
		assert_int_equal(unsetenv(names[i]), 0);
	assert_int_equal(setenv("AWS_EC2_METADATA_DISABLED", "true", 1), 0);
}

static int
set_up(void **state)
{
	char *aws;

	(void) state;
	(void) snprintf(folder, sizeof(folder), "/tmp/test_creds.XXXXXX");
	assert_non_null(mkdtemp(folder));
	aws = xasprintf("%s/.aws", folder);
	assert_int_equal(mkdir(aws, 0700), 0);
	free(aws);
	clear_environment();
	assert_int_equal(setenv("HOME", folder, 1), 0);
	creds_reset();
	return 0;
}

static int
tear_down(void **state)
{
	static const char *const names[] = {
		".aws/credentials", ".aws/config", ".aws/other",
		".aws/token",       ".aws",        "."
	};

	(void) state;
	for (size_t i = 0; i < COUNT(names); i++)
	{
		char *path = xasprintf("%s/%s", folder, names[i]);

		(void) remove(strcmp(names[i], ".") == 0 ? folder : path);
		free(path);
	}
	creds_reset();
	return 0;
}

static void
set(const char *name, const char *value)
{
	assert_int_equal(setenv(name, value, 1), 0);
	creds_reset();
}

static void
assert_creds(const char *id, const char *secret, const char *token)
{
	CredsOptions o = { 0 };
	Creds c = { 0 };
	Err err;

	if (!creds_get(&o, &c, &err))
		fail_msg("%s", err.msg);
	assert_string_equal(c.access_key_id, id);
	assert_string_equal(c.secret, secret);
	if (token)
		assert_string_equal(c.session_token, token);
	else
		assert_null(c.session_token);
	creds_done(&c);
}

static void
assert_refused(const char *says)
{
	CredsOptions o = { 0 };
	Creds c = { 0 };
	Err err;

	creds_reset();
	assert_false(creds_get(&o, &c, &err));
	assert_int_equal(err.kind, ERR_AUTH);
	if (strstr(err.msg, says) == NULL)
		fail_msg("%s", err.msg);
}

static void
test_order(void **state)
{
	(void) state;
	assert_refused("no credentials");
	write_file("config", "[default]\naws_access_key_id=C\n"
						 "aws_secret_access_key=cs\n");
	set("AWS_PROFILE", "default");
	assert_creds("C", "cs", NULL);
	write_file("credentials", credentials_text);
	creds_reset();
	assert_creds("AKID", "se=cret/+#x", NULL);
	set("AWS_PROFILE", "two");
	assert_creds("AKID2", "secret2", "token2");
	set("AWS_ACCESS_KEY_ID", "E");
	assert_refused("AWS_SECRET_ACCESS_KEY is not");
	set("AWS_SECRET_ACCESS_KEY", "es");
	assert_creds("E", "es", NULL);
	set("AWS_SESSION_TOKEN", "et");
	assert_creds("E", "es", "et");
}

static void
test_mistakes(void **state)
{
	(void) state;
	write_file("credentials", credentials_text);
	set("AWS_PROFILE", "nobody");
	assert_refused("profile \"nobody\" was not found");
	set("AWS_PROFILE", "half");
	assert_refused("only one of");
	set("AWS_SHARED_CREDENTIALS_FILE", "/nowhere/at/all");
	set("AWS_PROFILE", "default");
	assert_refused("no credentials");
}

/* Expired ones are read again where they can have changed. */
static void
test_refused_by_server(void **state)
{
	(void) state;
	write_file("credentials", credentials_text);
	set("AWS_PROFILE", "two");
	assert_creds("AKID2", "secret2", "token2");
	write_file("credentials", "[two]\naws_access_key_id=NEW\n"
							  "aws_secret_access_key=s\n");
	assert_creds("AKID2", "secret2", "token2"); /* not read each time */
	assert_true(creds_refused("AKID2"));
	assert_creds("NEW", "s", NULL);
	assert_true(creds_refused("AKID2")); /* others are in their place */
	assert_creds("NEW", "s", NULL);
	set("AWS_ACCESS_KEY_ID", "E");
	set("AWS_SECRET_ACCESS_KEY", "es");
	assert_creds("E", "es", NULL);
	assert_false(creds_refused("E")); /* would only be the same again */
}

/* A store's own profile has nothing of the environment, and its own set. */
static void
test_named(void **state)
{
	CredsOptions two = { .profile = "two" };
	CredsOptions none = { .profile = "none" };
	Creds c = { 0 };
	AwsSettings s;
	Err err;

	(void) state;
	write_file("credentials", credentials_text);
	write_file("config", config_text);
	set("AWS_SECRET_ACCESS_KEY", "x");
	set("AWS_ACCESS_KEY_ID", "E");
	set("AWS_REGION", "r");
	for (int i = 0; i < 3; i++) /* from the files, from memory, and anew */
	{
		assert_creds("E", "x", NULL);
		assert_false(creds_are_missing("two", &err));
		assert_true(creds_get(&two, &c, &err));
		assert_string_equal(c.access_key_id, "AKID2");
		assert_string_equal(c.session_token, "token2");
		creds_done(&c);
		if (i == 1)
			assert_true(creds_refused("AKID2"));
	}
	assert_true(creds_are_missing("none", &err));
	assert_false(creds_get(&none, &c, &err));
	assert_int_equal(err.kind, ERR_AUTH);
	assert_non_null(strstr(err.msg, "\"none\" was not found"));
	aws_settings_read_of("two", &s);
	assert_string_equal(s.region, "us-west-2");
	assert_string_equal(s.endpoint, "");
	aws_settings_done(&s);
	aws_settings_read_of(NULL, &s);
	assert_string_equal(s.region, "r");
	aws_settings_done(&s);
}

static void
test_settings(void **state)
{
	AwsSettings s;

	(void) state;
	write_file("config", config_text);
	aws_settings_read(&s);
	assert_string_equal(s.region, "eu-west-1");
	assert_string_equal(s.endpoint, "http://127.0.0.1:9000");
	assert_string_equal(s.ca_file, "");
	aws_settings_done(&s);
	set("AWS_PROFILE", "two");
	set("AWS_ENDPOINT_URL", "http://general");
	set("AWS_CA_BUNDLE", "/ca.pem");
	aws_settings_read(&s);
	assert_string_equal(s.region, "us-west-2");
	assert_string_equal(s.endpoint, "http://general");
	assert_string_equal(s.ca_file, "/ca.pem");
	aws_settings_done(&s);
	set("AWS_ENDPOINT_URL_S3", "http://special");
	set("AWS_DEFAULT_REGION", "d");
	aws_settings_read(&s);
	assert_string_equal(s.region, "d");
	assert_string_equal(s.endpoint, "http://special");
	aws_settings_done(&s);
	set("AWS_REGION", "r");
	aws_settings_read(&s);
	assert_string_equal(s.region, "r");
	aws_settings_done(&s);
}

/*
 * Processes
 */
static const char good[] =
	"echo '{\"Version\":1,\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"b\"}'";

/* Takes the command. */
static bool
from_process(char *command, atomic_bool *stop, Err *err)
{
	CredsOptions o = { .region = "r", .stop = stop };
	Creds creds = { 0 };
	bool ok = creds_from_process(&o, command, &creds, err);

	creds_done(&creds);
	free(command);
	return ok;
}

static bool
is_zombie(int pid)
{
	char *path = xasprintf("/proc/%d/stat", pid);
	FILE *f = fopen(path, "r");
	char state = 'Z';

	if (f && fscanf(f, "%*d (%*[^)]) %c", &state) != 1)
		state = 'Z';
	if (f)
		(void) fclose(f);
	free(path);
	return state == 'Z';
}

/* What it started and left holds its output open: that is nobody's wait. */
static void
test_process_leaves_child(void **state)
{
	char file[] = "/tmp/cdc_s3_creds.XXXXXX";
	int fd = mkstemp(file);
	Err err = { 0 };
	FILE *f;
	int pid = 0;

	(void) state;
	assert_true(fd >= 0);
	assert_true(from_process(
		xasprintf("%s; sleep 1000 & echo $! > %s", good, file), NULL, &err));
	f = fdopen(fd, "r");
	assert_int_equal(fscanf(f, "%d", &pid), 1);
	assert_int_equal(kill(pid, SIGKILL), 0);
	(void) fclose(f);
	(void) unlink(file);
}

/* The stop, once the process has written the file. */
typedef struct Stopper
{
	const char *file;
	atomic_bool stop;
} Stopper;

static void *
stop_when_written(void *arg)
{
	Stopper *s = arg;
	struct stat st;

	while (stat(s->file, &st) != 0 || st.st_size == 0)
		(void) usleep(1000);
	atomic_store(&s->stop, true);
	return NULL;
}

/*
 * It has closed its output and does not end: the stop ends it, and its
 * children.
 */
static void
test_process_goes_on(void **state)
{
	char file[] = "/tmp/cdc_s3_creds.XXXXXX";
	int fd = mkstemp(file);
	Stopper s = { .file = file };
	pthread_t thread;
	Err err = { 0 };
	FILE *f;
	int pid = 0;

	(void) state;
	assert_true(fd >= 0);
	assert_int_equal(pthread_create(&thread, NULL, stop_when_written, &s), 0);
	assert_false(from_process(
		xasprintf("%s; exec >&-; sleep 1000 & echo $! > %s; wait", good, file),
		&s.stop, &err));
	pthread_join(thread, NULL);
	assert_int_equal(err.kind, ERR_STOP);
	f = fdopen(fd, "r");
	assert_int_equal(fscanf(f, "%d", &pid), 1);
	/* an orphan goes when its new parent has looked */
	while (kill(pid, 0) == 0 && !is_zombie(pid))
		(void) usleep(1000);
	(void) fclose(f);
	(void) unlink(file);
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_profile),
		TEST(test_order),
		TEST(test_named),
		TEST(test_mistakes),
		TEST(test_refused_by_server),
		TEST(test_settings),
		cmocka_unit_test(test_process_leaves_child),
		cmocka_unit_test(test_process_goes_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
