/*-------------------------------------------------------------------------
 * test_config.c
 *	  cmd/config: the four sources, what wins, and what each mistake says.
 *-------------------------------------------------------------------------
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "cmd/args.h"
#include "cmd/config.h"
#include "cmd/ini.h"

#define MAX_ARGS 16

static char path[] = "/tmp/test_config.XXXXXX";

static void
write_file(const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static int
set_up(void **state)
{
	int fd = mkstemp(path);

	(void) state;
	return fd < 0 || close(fd) != 0;
}

static int
tear_down(void **state)
{
	(void) state;
	return unlink(path);
}

/* Loads from a NULL-ended list; what is left of it replaces it. */
static bool
load(const char **args, Config **out, Err *err)
{
	int argc = 0;
	bool ok;

	while (args[argc])
		argc++;
	ok = config_load(&argc, (char **) args, out, err);
	args[argc] = NULL;
	if (ok && !config_complete(*out, err))
	{
		config_free(*out);
		*out = NULL;
		ok = false;
	}
	return ok;
}

static Config *
must_load(const char **args)
{
	Config *c = NULL;
	Err err;

	if (!load(args, &c, &err))
		fail_msg("%s; %s", err.msg, err.hint);
	return c;
}

#define URL "--store.url=file:///lake"

static void
defaults(void **state)
{
	const char *args[MAX_ARGS] = { "run", URL };
	Config *c = must_load(args);

	(void) state;
	assert_string_equal(c->source_slot, "cdc_s3");
	assert_string_equal(c->source_tables, "");
	assert_string_equal(c->output_compression, "zstd");
	assert_string_equal(c->merge_until, "hour");
	assert_int_equal(c->flush_interval_ms, 60000);
	assert_int_equal(c->flush_bytes, 64 * 1024 * 1024);
	assert_int_equal(c->memory_limit, 32 * 1024 * 1024);
	assert_int_equal(c->output_grace_ms, 30000);
	assert_int_equal(c->merge_every_ms, 0);
	assert_string_equal(args[0], "run");
	assert_null(args[1]);
	config_free(c);
}

/* One setting from each source, each source over the ones below it. */
static void
precedence(void **state)
{
	const char *args[MAX_ARGS] = { "--config", path, "run", "--flush.interval",
								   "4s" };
	Config *c;

	(void) state;
	write_file("# a comment\n"
			   "[store]\n"
			   "url = file:///from-file\n"
			   "\n"
			   "[flush]\n"
			   "interval=2s\r\n"
			   "bytes = 1 MB\n"
			   "; another\n"
			   "[log]\n"
			   "level = \"warn\"");
	assert_int_equal(setenv("CDC_S3_FLUSH_INTERVAL", "3s", 1), 0);
	assert_int_equal(setenv("CDC_S3_FLUSH_BYTES", "2MB", 1), 0);
	assert_int_equal(setenv("CDC_S3_LOG_FORMAT", "", 1), 0);
	/* what an orchestrator adds for a service of our name */
	assert_int_equal(setenv("CDC_S3_SERVICE_HOST", "10.0.0.1", 1), 0);
	assert_int_equal(setenv("CDC_S3_PORT", "tcp://10.0.0.1:1", 1), 0);
	assert_int_equal(setenv("CDC_S3_PORT_9187_TCP_ADDR", "10.0.0.1", 1), 0);
	c = must_load(args);
	assert_string_equal(c->store_url, "file:///from-file");
	assert_int_equal(c->flush_interval_ms, 4000);
	assert_int_equal(c->flush_bytes, 2 * 1024 * 1024);
	assert_string_equal(c->log_level, "warn");
	assert_string_equal(c->log_format, "text");
	assert_string_equal(args[0], "run");
	assert_null(args[1]);
	config_free(c);
	unsetenv("CDC_S3_FLUSH_INTERVAL");
	unsetenv("CDC_S3_FLUSH_BYTES");
	unsetenv("CDC_S3_LOG_FORMAT");
	unsetenv("CDC_S3_SERVICE_HOST");
	unsetenv("CDC_S3_PORT");
	unsetenv("CDC_S3_PORT_9187_TCP_ADDR");
}

static void
config_variable(void **state)
{
	const char *args[MAX_ARGS] = { "run" };
	Config *c;

	(void) state;
	write_file("[store]\nurl = file:///x\n");
	assert_int_equal(setenv("CDC_S3_CONFIG", path, 1), 0);
	c = must_load(args);
	assert_string_equal(c->store_url, "file:///x");
	config_free(c);
	unsetenv("CDC_S3_CONFIG");
}

/* Short flags of the command's own section; the rest stays in order. */
static void
left_over(void **state)
{
	const char *args[MAX_ARGS] = {
		URL,       "merge", "--every", "1h", "--json",
		"--until", "now",   "word",    "--", "--log.level=debug"
	};
	Config *c = must_load(args);

	(void) state;
	assert_int_equal(c->merge_every_ms, 3600000);
	assert_string_equal(c->merge_until, "now");
	assert_string_equal(c->log_level, "info");
	assert_string_equal(args[0], "merge");
	assert_string_equal(args[1], "--json");
	assert_string_equal(args[2], "word");
	assert_string_equal(args[3], "--");
	assert_string_equal(args[4], "--log.level=debug");
	assert_null(args[5]);
	config_free(c);
}

/* The last of two equal flags wins. */
static void
repeated_flag(void **state)
{
	const char *args[MAX_ARGS] = { "run", URL, "--log.level=warn",
								   "--log.level=error" };
	Config *c = must_load(args);

	(void) state;
	assert_string_equal(c->log_level, "error");
	config_free(c);
}

/* Sections of outputs, from all sources; what is not said is as above them. */
static void
outputs(void **state)
{
	const char *args[MAX_ARGS] = { "--config", path, "run",
								   "--output.report.format=csv",
								   "--output.b2.url=file:///b" };
	const OutputConfig *o;
	Config *c;
	Err err;

	(void) state;
	write_file("[store]\nurl = s3://bucket/lake\nendpoint = http://s3:9000\n"
			   "region = eu-central-1\n"
			   "[output]\ncompression = gzip\npartition = day\n"
			   "names = dms\ndms_null = NULL\ndms_timestamp = ts\n"
			   "max_bytes = 5MB\n"
			   "[output.report]\nurl = s3://bucket/report\n"
			   "path = {schema}/{table}\nmax_bytes = 2MB\n"
			   "format = parquet\ntables = public.*\ndms_null =\n");
	assert_int_equal(setenv("CDC_S3_OUTPUT_REPORT_MAX_BYTES", "3MB", 1), 0);
	assert_int_equal(setenv("CDC_S3_OUTPUT_REPORT_ON_FAILURE", "detach", 1), 0);
	assert_int_equal(setenv("CDC_S3_OUTPUT_REPORT_TAGS", "", 1), 0);
	assert_int_equal(setenv("CDC_S3_OUTPUT_REPORT_DMS_TIMESTAMP", "", 1), 0);
	assert_int_equal(setenv("CDC_S3_OUTPUT_REPORT_NAMES", "part", 1), 0);
	c = must_load(args);
	assert_int_equal(c->outputs.n, 2);
	o = c->outputs.all[0];
	assert_string_equal(o->name, "b2");
	assert_string_equal(o->format, "json");
	assert_string_equal(o->partition, "day");
	assert_string_equal(o->endpoint, "http://s3:9000");
	assert_string_equal(o->on_failure, "hold");
	assert_int_equal(o->detach_after_ms, 600000);
	assert_int_equal(o->max_bytes, 5 * 1024 * 1024);
	assert_string_equal(o->names, "dms");
	assert_string_equal(o->dms_null, "NULL");
	assert_string_equal(o->dms_delimiter, ",");
	o = config_output_find(&c->outputs, "report", &err);
	assert_ptr_equal(o, c->outputs.all[1]);
	assert_string_equal(o->url, "s3://bucket/report");
	assert_string_equal(o->format, "csv");
	assert_string_equal(o->compression, "gzip");
	assert_string_equal(o->region, "eu-central-1");
	assert_string_equal(o->partition, "hour"); /* its path says it */
	assert_string_equal(o->path, "{schema}/{table}");
	assert_string_equal(o->tables, "public.*");
	assert_string_equal(o->on_failure, "detach");
	assert_int_equal(o->max_bytes, 3 * 1024 * 1024);
	assert_int_equal(o->max_rows, 0);
	assert_string_equal(o->names, "part");
	assert_string_equal(o->dms_null, ""); /* which is a value of its own */
	assert_string_equal(o->dms_timestamp, "ts"); /* an empty variable is none */
	assert_null(config_output_find(&c->outputs, "none", &err));
	assert_non_null(strstr(err.hint, "b2, report"));
	config_free(c);
	unsetenv("CDC_S3_OUTPUT_REPORT_MAX_BYTES");
	unsetenv("CDC_S3_OUTPUT_REPORT_ON_FAILURE");
	unsetenv("CDC_S3_OUTPUT_REPORT_TAGS");
	unsetenv("CDC_S3_OUTPUT_REPORT_DMS_TIMESTAMP");
	unsetenv("CDC_S3_OUTPUT_REPORT_NAMES");
}

static void
bad_output_variables(void **state)
{
	static const char *const names[] = {
		"CDC_S3_OUTPUT_REPORT_NONSENSE",
		"CDC_S3_OUTPUT_REPORT",
		"CDC_S3_OUTPUT__URL",
		"CDC_S3_OUTPUT_FORMAT_URL",
	};

	(void) state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
	{
		const char *args[MAX_ARGS] = { "run", URL };
		Config *c;
		Err err;

		assert_int_equal(setenv(names[i], "file:///x", 1), 0);
		if (load(args, &c, &err))
			fail_msg("%s was taken", names[i]);
		assert_int_equal(err.kind, ERR_USAGE);
		unsetenv(names[i]);
	}
}

/* Outputs need a restart; what would have changed is named. */
static void
outputs_reload(void **state)
{
	const char *args[MAX_ARGS] = { "run", "--config", path,
								   "--output.a.url=file:///a" };
	Config *c;
	Config *again;
	Buf kept;
	Err err;

	(void) state;
	buf_init(&kept, 4096);
	write_file("[store]\nurl=file:///x\n[output.b]\nurl=file:///b\n"
			   "[log]\nlevel=warn\n");
	c = must_load(args);
	write_file("[store]\nurl=file:///x\n[output.a]\nformat=csv\n"
			   "[output.c]\nurl=file:///c\n[log]\nlevel=error\n");
	assert_true(config_reload(c, &again, &kept, &err));
	assert_string_equal(buf_cstr(&kept),
						"output.a.format, output.b.url, output.c.url");
	assert_string_equal(again->log_level, "error");
	assert_int_equal(again->outputs.n, 2);
	assert_string_equal(again->outputs.all[0]->format, "json");
	assert_string_equal(again->outputs.all[1]->url, "file:///b");
	buf_done(&kept);
	config_free(c);
	config_free(again);
}

typedef struct Bad
{
	const char *flag; /* one argument besides URL */
	const char *msg;  /* part of the message */
	const char *hint; /* part of the hint, or NULL */
} Bad;

static const Bad bad_flags[] = {
	{ "--output.a.format=csv", "\"output.a.url\" is not set", NULL },
	{ "--output.a.format=xml", "\"output.a.format\" has the value \"xml\"",
	  "json, csv, parquet" },
	{ "--output.a.uri=x", "no setting \"output.a.uri\"", "output.a.url" },
	{ "--output.a.=x", "no setting \"output.a.\"", NULL },
	{ "--output..url=x", "\"\" is no name of an output", "small letter" },
	{ "--output.A.url=x", "\"A\" is no name", NULL },
	{ "--output.a_b.url=x", "\"a_b\" is no name", NULL },
	{ "--output.1a.url=x", "\"1a\" is no name", NULL },
	{ "--output.main.url=x", "\"main\" is no name", NULL },
	{ "--output.workers.url=x", "\"workers\" is no name", NULL },
	{ "--output.a.url=s3://me:secret@host/x", "holds credentials", NULL },
	{ "--flush.interval=60", "\"flush.interval\" has the value \"60\"",
	  "1s to 1h" },
	{ "--flush.interval=", "has the value \"\"", NULL },
	{ "--flush.interval=-1s", "has the value \"-1s\"", NULL },
	{ "--flush.interval=1.5s", "has the value \"1.5s\"", NULL },
	{ "--flush.interval=2h", "not in its range", "1s to 1h" },
	{ "--flush.interval=0", "not in its range", "1s to 1h" },
	{ "--flush.bytes=64XB", "not a size", "64kB to 64GB" },
	{ "--flush.bytes=99999999999999999999", "not a size", NULL },
	{ "--flush.bytes=9999999999TB", "not a size", NULL },
	{ "--output.compression=lz4", "(flag)", "zstd, gzip, snappy, none" },
	{ "--output.compression=z", "not known", "zstd, gzip, snappy, none" },
	{ "--output.compression=", "not known", "zstd, gzip, snappy, none" },
	{ "--store.sse=kms", "not known", "AES256, aws:kms" },
	{ "--source.slot=Big", "slot's name", NULL },
	{ "--source.slot=", "slot's name", NULL },
	{ "--merge.until=tomorrow", "hour, now, an LSN", NULL },
	{ "--flush.intervall=1s", "no setting \"flush.intervall\"",
	  "\"flush.interval\"" },
	{ "--a.b=1", "no setting \"a.b\"", "cdc-s3 help" },
	{ "--flush.interval", "needs a value", NULL },
	{ "--config", "needs a value", NULL },
	{ "--config=/no/such/file", "/no/such/file", "--config" },
	{ "--source.conninfo=host=x usr=y", "usr", NULL },
};

static void
bad_values(void **state)
{
	(void) state;
	for (size_t i = 0; i < sizeof(bad_flags) / sizeof(bad_flags[0]); i++)
	{
		const char *args[MAX_ARGS] = { "run", URL, bad_flags[i].flag };
		Config *c = NULL;
		Err err = { 0 };

		if (load(args, &c, &err))
			fail_msg("\"%s\" was taken", bad_flags[i].flag);
		assert_int_equal(err.kind, ERR_USAGE);
		if (!strstr(err.msg, bad_flags[i].msg))
			fail_msg("\"%s\": %s", bad_flags[i].flag, err.msg);
		if (bad_flags[i].hint && !strstr(err.hint, bad_flags[i].hint))
			fail_msg("\"%s\": %s", bad_flags[i].flag, err.hint);
	}
}

static const char *const good_flags[] = {
	"--flush.interval=1s",
	"--flush.interval=1500ms",
	"--flush.interval=1h",
	"--flush.bytes=65536",
	"--flush.bytes=64kB",
	"--flush.bytes=64 MB",
	"--flush.bytes=64m",
	"--merge.until=0/16B374D8",
	"--merge.until=0000000016B374D8",
	"--merge.until=2026-11-21T08:00:00Z",
	"--source.conninfo=shop",
	"--source.conninfo=host=db dbname=shop user=cdc",
	"--source.conninfo=postgresql://cdc@db/shop",
	"--source.conninfo=",
	"--store.url=s3://secrets/passwords",
	"--store.endpoint=http://127.0.0.1:9000",
	"--store.sse=",
	"--store.sse=aws:kms",
};

static void
good_values(void **state)
{
	(void) state;
	for (size_t i = 0; i < sizeof(good_flags) / sizeof(good_flags[0]); i++)
	{
		const char *args[MAX_ARGS] = { "run", URL, good_flags[i] };

		config_free(must_load(args));
	}
}

#define SECRET "hunter2"

/* None is taken from a flag, and none is repeated. */
static const char *const secret_flags[] = {
	"--source.conninfo=host=x password=" SECRET,
	"--source.conninfo=host=x,password=" SECRET,
	"--source.conninfo=host=x passwrd=y password=" SECRET,
	"--source.conninfo=host=x password=a " SECRET,
	"--source.conninfo=host=x password='" SECRET,
	"--source.conninfo=host=x sslpassword=" SECRET,
	"--source.conninfo=postgresql://cdc:" SECRET "@db/shop",
	"--source.conninfo=postgresql://db/shop?password=" SECRET,
	"--target.conninfo=postgres://cdc:" SECRET "@db/sh%op",
	"--target.conninfo=dbname=x password=" SECRET,
	"--store.url=s3://AKIA:" SECRET "@bucket/x",
	"--store.url=s3://AKIA:a/" SECRET "@bucket/x",
	"--store.endpoint=https://me:" SECRET "@minio",
	"--store.password=" SECRET,
	"--source.password=" SECRET,
};

static void
secrets_in_flags(void **state)
{
	(void) state;
	for (size_t i = 0; i < sizeof(secret_flags) / sizeof(secret_flags[0]); i++)
	{
		const char *args[MAX_ARGS] = { "run", URL, secret_flags[i] };
		Config *c = NULL;
		Err err = { 0 };

		if (load(args, &c, &err))
			fail_msg("\"%s\" was taken", secret_flags[i]);
		assert_int_equal(err.kind, ERR_USAGE);
		assert_null(strstr(err.msg, SECRET));
		assert_null(strstr(err.hint, SECRET));
	}
}

static void
secrets_elsewhere(void **state)
{
	const char *args[MAX_ARGS] = { "run", URL, "--config", path };
	Config *c;

	(void) state;
	write_file("[source]\nconninfo = host=x password='a; b #c'\n");
	assert_int_equal(
		setenv("CDC_S3_TARGET_CONNINFO", "postgresql://u:" SECRET "@h/d", 1),
		0);
	c = must_load(args);
	assert_string_equal(c->source_conninfo, "host=x password='a; b #c'");
	assert_string_equal(c->target_conninfo, "postgresql://u:" SECRET "@h/d");
	config_free(c);
	unsetenv("CDC_S3_TARGET_CONNINFO");
}

/* In the file and in a variable a broken one is not repeated either. */
static void
broken_secret(void **state)
{
	const char *args[MAX_ARGS] = { "run", URL };
	Config *c = NULL;
	Err err = { 0 };

	(void) state;
	assert_int_equal(
		setenv("CDC_S3_SOURCE_CONNINFO", "host=x password=a " SECRET, 1), 0);
	assert_false(load(args, &c, &err));
	assert_int_equal(err.kind, ERR_USAGE);
	assert_non_null(strstr(err.msg, "source.conninfo"));
	assert_non_null(strstr(err.msg, "CDC_S3_SOURCE_CONNINFO"));
	assert_null(strstr(err.msg, SECRET));
	unsetenv("CDC_S3_SOURCE_CONNINFO");
}

static void
bad_variable(void **state)
{
	const char *args[MAX_ARGS] = { "run", URL };
	Config *c = NULL;
	Err err = { 0 };

	(void) state;
	assert_int_equal(setenv("CDC_S3_STORE_URI", "x", 1), 0);
	assert_false(load(args, &c, &err));
	assert_int_equal(err.kind, ERR_USAGE);
	assert_non_null(strstr(err.msg, "\"CDC_S3_STORE_URI\""));
	assert_non_null(strstr(err.hint, "\"CDC_S3_STORE_URL\""));
	unsetenv("CDC_S3_STORE_URI");
}

static const Bad bad_files[] = {
	{ "[flush]\ninterval = 3\n", "line 2", "1s to 1h" },
	{ "[flush]\n\nintervall = 3s\n", "line 3", "\"flush.interval\"" },
	{ "[flush]\ninterval = 3s\ninterval = 3s\n", "twice, in line 2 and 3",
	  NULL },
	{ "interval = 3s\n", "no setting \"interval\"", NULL },
	{ "[flush\n", "line 1", NULL },
	{ "[]\n", "line 1", NULL },
	{ "[flush]\nwhat\n", "line 2", NULL },
	{ "[flush]\n= 3s\n", "line 2", NULL },
	{ "[flush]\nin terval = 3s\n", "line 2", NULL },
	{ "[log]\nlevel = warn ; loud\n", "warn ; loud", NULL },
};

static void
bad_file(void **state)
{
	(void) state;
	for (size_t i = 0; i < sizeof(bad_files) / sizeof(bad_files[0]); i++)
	{
		const char *args[MAX_ARGS] = { "run", URL, "--config", path };
		Config *c = NULL;
		Err err = { 0 };

		write_file(bad_files[i].flag);
		if (load(args, &c, &err))
			fail_msg("\"%s\" was taken", bad_files[i].flag);
		assert_int_equal(err.kind, ERR_USAGE);
		if (!strstr(err.msg, bad_files[i].msg) || !strstr(err.msg, path))
			if (!strstr(err.msg, "has the value"))
				fail_msg("\"%s\": %s", bad_files[i].flag, err.msg);
		if (bad_files[i].hint && !strstr(err.hint, bad_files[i].hint))
			fail_msg("\"%s\": %s", bad_files[i].flag, err.hint);
	}
}

/* Lists of tables are long. */
static void
long_line(void **state)
{
	const char *args[MAX_ARGS] = { "run", URL, "--config", path };
	Config *c;
	Buf b;

	(void) state;
	buf_init(&b, SIZE_MAX);
	buf_str(&b, "\xEF\xBB\xBF[source]\ntables = ");
	for (int i = 0; i < 1000; i++)
		buf_printf(&b, "%spublic.table_%d", i ? "," : "", i);
	write_file(buf_cstr(&b));
	c = must_load(args);
	assert_true(strlen(c->source_tables) > 15000);
	assert_non_null(strstr(c->source_tables, ",public.table_999"));
	config_free(c);
	buf_done(&b);
}

static void
required(void **state)
{
	const char *args[MAX_ARGS] = { "run" };
	Config *c = NULL;
	Err err = { 0 };

	(void) state;
	assert_false(load(args, &c, &err));
	assert_int_equal(err.kind, ERR_USAGE);
	assert_non_null(strstr(err.msg, "\"store.url\" is not set"));
	assert_non_null(strstr(err.hint, "--store.url="));
	assert_non_null(strstr(err.hint, "CDC_S3_STORE_URL"));
}

static void
reload(void **state)
{
	const char *args[MAX_ARGS] = { "run", URL, "--config", path,
								   "--log.level=debug" };
	Config *c;
	Config *again;
	Buf kept;
	Err err = { 0 };

	(void) state;
	buf_init(&kept, 4096);
	write_file("[flush]\ninterval = 5s\n[source]\nslot = a\n");
	c = must_load(args);
	write_file("[flush]\ninterval = 6s\n[source]\nslot = b\n"
			   "[log]\nlevel = warn\n[memory]\nlimit = 64MB\n");
	assert_true(config_reload(c, &again, &kept, &err));
	assert_int_equal(again->flush_interval_ms, 6000);
	assert_string_equal(again->source_slot, "a");
	assert_int_equal(again->memory_limit, 32 * 1024 * 1024);
	assert_string_equal(again->log_level, "debug"); /* the flag still wins */
	assert_string_equal(again->store_url, "file:///lake");
	assert_string_equal(buf_cstr(&kept), "source.slot, memory.limit");
	config_free(c);
	/* all or nothing */
	write_file("[flush]\ninterval = 7s\nbytes = much\n");
	assert_false(config_reload(again, &c, &kept, &err));
	assert_int_equal(again->flush_interval_ms, 6000);
	config_free(again);
	buf_done(&kept);
}

static void
command_options(void **state)
{
	const char *table = NULL;
	const char *word = NULL;
	bool json = false;
	const ArgDef defs[] = { { "--table", &table, NULL },
							{ "--json", NULL, &json } };
	const ArgSpec spec = { "ls", defs, 2, &word, 1 };
	char *good[] = { (char *) "objects", (char *) "--table=a.b",
					 (char *) "--json" };
	char *near[] = { (char *) "--tabel", (char *) "x" };
	char *more[] = { (char *) "a", (char *) "host=x password=pw" };
	char *half[] = { (char *) "--table" };
	char *value[] = { (char *) "--json=1" };
	Lsn lsn = 7;
	int n = 0;
	Err err = { 0 };

	(void) state;
	assert_true(args_parse(&spec, 3, good, &n, &err));
	assert_int_equal(n, 1);
	assert_string_equal(word, "objects");
	assert_string_equal(table, "a.b");
	assert_true(json);
	assert_false(args_parse(&spec, 2, near, &n, &err));
	assert_non_null(strstr(err.hint, "\"--table\""));
	assert_false(args_parse(&spec, 2, more, &n, &err));
	assert_null(strstr(err.msg, "pw"));
	assert_false(args_parse(&spec, 1, half, &n, &err));
	assert_false(args_parse(&spec, 1, value, &n, &err));
	assert_true(args_lsn("--from", NULL, &lsn, &err));
	assert_int_equal(lsn, 7);
	assert_true(args_lsn("--from", "0/10", &lsn, &err));
	assert_int_equal(lsn, 16);
	assert_false(args_lsn("--from", "ten", &lsn, &err));
	assert_int_equal(err.kind, ERR_USAGE);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults),
		cmocka_unit_test(precedence),
		cmocka_unit_test(config_variable),
		cmocka_unit_test(left_over),
		cmocka_unit_test(repeated_flag),
		cmocka_unit_test(bad_values),
		cmocka_unit_test(good_values),
		cmocka_unit_test(secrets_in_flags),
		cmocka_unit_test(secrets_elsewhere),
		cmocka_unit_test(broken_secret),
		cmocka_unit_test(bad_variable),
		cmocka_unit_test(bad_file),
		cmocka_unit_test(long_line),
		cmocka_unit_test(required),
		cmocka_unit_test(reload),
		cmocka_unit_test(command_options),
		cmocka_unit_test(outputs),
		cmocka_unit_test(bad_output_variables),
		cmocka_unit_test(outputs_reload),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
