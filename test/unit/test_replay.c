/*-------------------------------------------------------------------------
 * test_replay.c
 *	  cmd_ls and cmd_replay on a log made by hand: order, ranges, loads,
 *	  and damage.
 *-------------------------------------------------------------------------
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "cmd/cmd.h"
#include "codec/compress.h"
#include "codec/hash.h"
#include "store/commitlog.h"

#define MAX_ARGS 16

static char folder[] = "/tmp/test_replay.XXXXXX";
static char url[64];

static Store *
open_store(void)
{
	StoreOptions options = { .url = url };
	Store *s = NULL;
	Err err;

	if (!store_open(&options, &s, &err))
		fail_msg("%s", err.msg);
	return s;
}

/* rows: "lsn:seq,lsn:seq"; each becomes a line that names its object. */
static void
add_object(Store *store, Entry *e, const char *table, const char *key,
		   const char *load, const char *rows)
{
	EntryObject *o = entry_add_object(e);
	Compressor *c = compressor_new(compression_of_key(key), 0);
	Buf text, body;
	Err err;

	buf_init(&text, SIZE_MAX);
	buf_init(&body, SIZE_MAX);
	entry_set(&o->key, key);
	entry_set(&o->schema, "public");
	entry_set(&o->table, table);
	entry_set(&o->hash, "0123456789abcdef");
	entry_set(&o->load, load);
	while (*rows)
	{
		char *p;

		o->last_lsn = strtoull(rows, &p, 10);
		o->last_seq = strtoll(p + 1, &p, 10);
		if (o->rows++ == 0)
		{
			o->first_lsn = o->last_lsn;
			o->first_seq = o->last_seq;
		}
		buf_printf(&text,
				   "{\"_op\":\"i\",\"_lsn\":\"" LSN_HEX_FMT
				   "\",\"_seq\":%lld,\"k\":\"%s\"}\n",
				   o->last_lsn, (long long) o->last_seq, key);
		rows = *p ? p + 1 : p;
	}
	assert_true(compressor_run(c, buf_slice(&text), &body, &err));
	o->bytes = (int64_t) body.n;
	o->crc32c = crc32c(0, body.p, body.n);
	assert_true(store_put(store, key, buf_slice(&body), false, &err));
	compressor_free(c);
	buf_done(&text);
	buf_done(&body);
}

static Entry *
new_entry(int64_t seq, Lsn prev_end, Lsn end)
{
	Entry *e = entry_new();

	e->seq = seq;
	e->prev_end = prev_end;
	e->end = end;
	e->timeline = 1;
	e->time = INT64_C(1795249800000000);
	entry_set(&e->system_identifier, "7");
	entry_set(&e->database, "db");
	entry_set(&e->slot, "cdc_s3");
	entry_set(&e->writer, "0a0b0c0d");
	return e;
}

static void
write_entry(Store *store, Entry *e)
{
	Err err;

	if (!commitlog_write(store, e, &err))
		fail_msg("%s", err.msg);
	entry_free(e);
}

/*
 *	0	begins at 100
 *	1	100 .. 200	three objects that overlap
 *	2	200 .. 200	a load of t with S = 150, announced done
 *	3	200 .. 300	one object
 *	4	300 .. 300	empty
 */
static int
set_up(void **state)
{
	Store *store;
	Entry *e;

	(void) state;
	if (!mkdtemp(folder))
		return 1;
	(void) snprintf(url, sizeof(url), "file://%s", folder);
	store = open_store();
	write_entry(store, new_entry(0, 100, 100));
	e = new_entry(1, 100, 200);
	add_object(store, e, "t", "c.json.zst", "", "150:2,200:1");
	add_object(store, e, "t", "a.json", "", "110:1,110:3,200:2");
	add_object(store, e, "u", "b.json.gz", "", "110:2,150:1");
	write_entry(store, e);
	e = new_entry(2, 200, 200);
	add_object(store, e, "t", "l.json", "00000000000000aa",
			   "150:1099511627776,150:1099511627777");
	write_entry(store, e);
	e = new_entry(3, 200, 300);
	add_object(store, e, "t", "d.json.zst", "", "250:1,300:1");
	write_entry(store, e);
	write_entry(store, new_entry(4, 300, 300));
	store_close(store);
	return 0;
}

static int
tear_down(void **state)
{
	char *command = xasprintf("rm -rf %s", folder);
	int rc = system(command);

	(void) state;
	free(command);
	return rc;
}

/* Runs the command with its standard output in out. */
static bool
captured(CmdFn fn, const char **args, Buf *out, Err *err)
{
	static char program[] = "run";
	char *store_flag = xasprintf("--store.url=%s", url);
	char *config_args[] = { program, store_flag, NULL };
	int config_argc = 2;
	Config *cfg = NULL;
	FILE *file = tmpfile();
	int saved;
	int argc = 0;
	int c;
	bool ok;

	assert_true(config_load(&config_argc, config_args, &cfg, err));
	while (args[argc])
		argc++;
	(void) fflush(stdout);
	saved = dup(STDOUT_FILENO);
	assert_true(dup2(fileno(file), STDOUT_FILENO) >= 0);
	ok = fn(cfg, argc, (char **) args, err);
	(void) fflush(stdout);
	assert_true(dup2(saved, STDOUT_FILENO) >= 0);
	(void) close(saved);
	rewind(file);
	while ((c = getc(file)) != EOF)
		buf_byte(out, (uint8_t) c);
	(void) fclose(file);
	config_free(cfg);
	free(store_flag);
	return ok;
}

/* "a110:1 b110:2 …" of the lines that replay printed. */
static void
summary(const Buf *out, Buf *sum)
{
	const char *p = buf_cstr(out);

	for (; *p; p = strchr(p, '\n') + 1)
	{
		char *end;
		unsigned long long lsn =
			strtoull(strstr(p, "\"_lsn\":\"") + 8, NULL, 16);
		long long seq = strtoll(strstr(p, "\"_seq\":") + 7, &end, 10);

		buf_printf(sum, "%s%c%llu:%lld", sum->n ? " " : "",
				   strstr(p, "\"k\":\"")[5], lsn, seq);
		assert_int_equal(
			strncmp(p, "{\"_schema\":\"public\",\"_table\":\"",
					strlen("{\"_schema\":\"public\",\"_table\":\"")),
			0);
	}
}

typedef struct Range
{
	const char *args[MAX_ARGS];
	const char *expected;
} Range;

#define LOAD_ROWS "l150:1099511627776 l150:1099511627777"

static const Range ranges[] = {
	{ { NULL },
	  "a110:1 b110:2 a110:3 b150:1 c150:2 c200:1 a200:2 " LOAD_ROWS
	  " d250:1 d300:1" },
	{ { "--to", "0/6E" }, "a110:1 b110:2 a110:3" },
	{ { "--from", "0/6E", "--to", "0/96" }, "b150:1 c150:2" },
	{ { "--from", "0/96", "--to", "0/C8" }, "c200:1 a200:2 " LOAD_ROWS },
	{ { "--from", "0/C8" }, "d250:1 d300:1" },
	{ { "--from=0/12C" }, "" },
	{ { "--to=0/64" }, "" },
	{ { "--table", "public.u" }, "b110:2 b150:1" },
	{ { "--table", "public.nix" }, "" },
	{ { "--table=public.t", "--from", "0/C8", "--to", "00000000000000FA" },
	  "d250:1" },
};

static void
replay_ranges(void **state)
{
	Buf out, sum;
	Err err;

	(void) state;
	buf_init(&out, SIZE_MAX);
	buf_init(&sum, SIZE_MAX);
	for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++)
	{
		const char *args[MAX_ARGS];

		memcpy(args, ranges[i].args, sizeof(args));
		buf_reset(&out);
		buf_reset(&sum);
		if (!captured(cmd_replay, args, &out, &err))
			fail_msg("%s", err.msg);
		summary(&out, &sum);
		assert_string_equal(buf_cstr(&sum), ranges[i].expected);
	}
	buf_done(&out);
	buf_done(&sum);
}

static void
list_entries(void **state)
{
	const char *all[MAX_ARGS] = { "--json" };
	const char *some[MAX_ARGS] = { "--json", "--table=public.u" };
	const char *objects[MAX_ARGS] = { "objects", "--json", "--from=0/C8" };
	const char *text[MAX_ARGS] = { NULL };
	Buf out;
	Err err;

	(void) state;
	buf_init(&out, SIZE_MAX);
	assert_true(captured(cmd_ls, all, &out, &err));
	assert_non_null(strstr(buf_cstr(&out), "{\"entry\":0,"));
	assert_non_null(strstr(buf_cstr(&out), "{\"entry\":4,"));
	assert_non_null(strstr(buf_cstr(&out), "\"objects\":3,\"rows\":7,"));
	buf_reset(&out);
	assert_true(captured(cmd_ls, some, &out, &err));
	assert_int_equal(strncmp(buf_cstr(&out), "{\"entry\":1,", 11), 0);
	assert_non_null(strstr(buf_cstr(&out), "\"objects\":1,\"rows\":2,"));
	assert_ptr_equal(strchr(buf_cstr(&out), '\n') + 1, out.p + out.n);
	buf_reset(&out);
	assert_true(captured(cmd_ls, objects, &out, &err));
	assert_non_null(strstr(buf_cstr(&out), "\"key\":\"d.json.zst\""));
	assert_null(strstr(buf_cstr(&out), "\"key\":\"l.json\""));
	buf_reset(&out);
	assert_true(captured(cmd_ls, text, &out, &err));
	assert_non_null(strstr(buf_cstr(&out), "closed until"));
	assert_non_null(strstr(buf_cstr(&out), "0/12C"));
	buf_done(&out);
}

static void
bad_arguments(void **state)
{
	const char *lsn[MAX_ARGS] = { "--from", "yesterday" };
	const char *word[MAX_ARGS] = { "tables" };
	const char *more[MAX_ARGS] = { "more" };
	Buf out;
	Err err;

	(void) state;
	buf_init(&out, SIZE_MAX);
	assert_false(captured(cmd_replay, lsn, &out, &err));
	assert_int_equal(err.kind, ERR_USAGE);
	assert_non_null(strstr(err.msg, "yesterday"));
	assert_false(captured(cmd_ls, word, &out, &err));
	assert_int_equal(err.kind, ERR_USAGE);
	assert_false(captured(cmd_replay, more, &out, &err));
	assert_int_equal(err.kind, ERR_USAGE);
	buf_done(&out);
}

/* Replaces an object's file and expects replay to name it. */
static void
expect_damage(const char *key, const char *content, const char *message)
{
	const char *args[MAX_ARGS] = { NULL };
	Store *store = open_store();
	Buf old, out;
	Err err;

	buf_init(&old, SIZE_MAX);
	buf_init(&out, SIZE_MAX);
	assert_true(store_get(store, key, &old, &err));
	assert_true(store_del(store, key, &err)); /* objects never change */
	if (content)
		assert_true(store_put(store, key, slice_cstr(content), false, &err));
	assert_false(captured(cmd_replay, args, &out, &err));
	if (!strstr(err.msg, key) || !strstr(err.msg, message))
		fail_msg("%s", err.msg);
	assert_true(store_del(store, key, &err));
	assert_true(store_put(store, key, buf_slice(&old), false, &err));
	store_close(store);
	buf_done(&old);
	buf_done(&out);
}

static void
damage(void **state)
{
	(void) state;
	expect_damage("d.json.zst", "short", "bytes");
	expect_damage("l.json", NULL, "");
}

/* An entry whose objects do not hold what it says. */
static void
lies(void **state)
{
	static const struct
	{
		const char *rows;
		int64_t claimed;
		const char *message;
	} cases[] = {
		{ "310:1,310:2", 3, "the log says 3 rows" },
		{ "310:1,310:2,310:3", 2, "the log says 2 rows, it has more" },
		{ "310:2,310:1", 2, "not behind" },
		{ "310:1,310:1", 2, "not behind" },
	};
	const char *args[MAX_ARGS] = { "--from=0/12C" };
	char *path = xasprintf("%s/_cdc/log/00000000000000000005.json", folder);
	Store *store = open_store();
	Buf out;
	Err err;

	(void) state;
	buf_init(&out, SIZE_MAX);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		Entry *e = new_entry(5, 300, 400);

		add_object(store, e, "t", "x.json.zst", "", cases[i].rows);
		e->objects[0].rows = cases[i].claimed;
		write_entry(store, e);
		assert_false(captured(cmd_replay, args, &out, &err));
		assert_int_equal(err.kind, ERR_GAP);
		if (!strstr(err.msg, cases[i].message) ||
			!strstr(err.msg, "x.json.zst") || !strstr(err.msg, "entry 5"))
			fail_msg("%s", err.msg);
		assert_int_equal(unlink(path), 0);
		assert_true(store_del(store, "x.json.zst", &err));
	}
	/* and a chain that does not hold */
	write_entry(store, new_entry(5, 301, 400));
	assert_false(captured(cmd_replay, args, &out, &err));
	assert_int_equal(err.kind, ERR_GAP);
	assert_non_null(strstr(err.msg, "entry 5"));
	assert_int_equal(unlink(path), 0);
	store_close(store);
	free(path);
	buf_done(&out);
}

static void
no_log(void **state)
{
	const char *args[MAX_ARGS] = { NULL };
	char *full = xstrdup(url);
	Buf out;
	Err err;

	(void) state;
	buf_init(&out, SIZE_MAX);
	(void) snprintf(url, sizeof(url), "file://%s/none", folder);
	assert_false(captured(cmd_ls, args, &out, &err));
	assert_int_equal(err.kind, ERR_USAGE);
	assert_non_null(strstr(err.hint, "cdc-s3 init"));
	(void) snprintf(url, sizeof(url), "%s", full);
	free(full);
	buf_done(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(replay_ranges), cmocka_unit_test(list_entries),
		cmocka_unit_test(bad_arguments), cmocka_unit_test(damage),
		cmocka_unit_test(lies),          cmocka_unit_test(no_log),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
