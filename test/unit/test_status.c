/*-------------------------------------------------------------------------
 * test_status.c
 *	  cmd/status: the JSON of a status, what is not known as null, and which
 *	  error decides.
 *-------------------------------------------------------------------------
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <jansson.h>
#include <stdlib.h>

#include "base/mem.h"
#include "cmd/status.h"

static Status
whole(void)
{
	Status s = { .now = INT64_C(1795248847000000),
				 .lake = { .asked = true, .ok = true },
				 .source = { .asked = true, .ok = true },
				 .target = { .asked = true, .ok = true },
				 .has_log = true,
				 .entry = 42,
				 .log_end = 0x116B374D8,
				 .log_time = INT64_C(1795248840000000),
				 .closed_until = INT64_C(1795248000000000),
				 .expired = 7,
				 .loads_percent = 50,
				 .tables = 3,
				 .wal_end = 0x116B37500,
				 .retained = 4096,
				 .lag_bytes = 40,
				 .lag_seconds = 7,
				 .merged = true,
				 .merged_entry = 40,
				 .rejected = 2,
				 .nresync = 1 };

	s.slot_now = (SourceSlot){ .exists = true,
							   .wal_status = "extended",
							   .safe_wal_size = -1,
							   .active_pid = 0 };
	s.system_identifier = xstrdup("7");
	s.database = xstrdup("shop");
	s.slot = xstrdup("cdc_s3");
	s.nloads = 1;
	s.loads = xcalloc(1, sizeof(*s.loads));
	s.loads[0] = (StatusLoad){ .schema = xstrdup("public"),
							   .table = xstrdup("t\"\n"),
							   .state = LOAD_OPEN,
							   .rows = 5,
							   .table_rows = -1,
							   .percent = -1 };
	s.resync = xcalloc(1, sizeof(*s.resync));
	s.resync[0] = (StatusResync){ .schema = xstrdup("public"),
								  .table = xstrdup("u"),
								  .reason = xstrdup("rewrite"),
								  .state = xstrdup("often"),
								  .since = xstrdup("2026-11-21T08:00:00Z") };
	return s;
}

static json_t *
parsed(const Status *s)
{
	json_t *doc;
	Buf b;

	buf_init(&b, SIZE_MAX);
	status_json(s, &b);
	assert_int_equal(b.p[b.n - 1], '\n');
	doc = json_loadb((const char *) b.p, b.n, 0, NULL);
	assert_non_null(doc);
	buf_done(&b);
	return doc;
}

/* "lake.loads.0.table" */
static json_t *
at(json_t *doc, const char *path)
{
	char *copy = xstrdup(path);
	char *rest = copy;
	char *word;

	while (doc && (word = strsep(&rest, ".")) != NULL)
		doc = json_is_array(doc) ? json_array_get(doc, strtoul(word, NULL, 10))
								 : json_object_get(doc, word);
	free(copy);
	if (!doc)
		fail_msg("no %s", path);
	return doc;
}

static void
assert_text(json_t *doc, const char *path, const char *text)
{
	assert_true(json_is_string(at(doc, path)));
	assert_string_equal(json_string_value(at(doc, path)), text);
}

static void
assert_number(json_t *doc, const char *path, int64_t n)
{
	assert_true(json_is_integer(at(doc, path)));
	assert_int_equal(json_integer_value(at(doc, path)), n);
}

static void
all_is_told(void **state)
{
	Status s = whole();
	json_t *doc = parsed(&s);

	(void) state;
	assert_text(doc, "time", "2026-11-21T08:14:07Z");
	assert_number(doc, "lake.entry", 42);
	assert_text(doc, "lake.end_lsn", "1/16B374D8");
	assert_text(doc, "lake.closed_until", "2026-11-21T08:00:00Z");
	assert_true(json_is_null(at(doc, "lake.swept_until")));
	assert_number(doc, "lake.expired_entry", 7);
	assert_number(doc, "lake.loads_percent", 50);
	assert_text(doc, "lake.loads.0.table", "t\"\n");
	assert_text(doc, "lake.loads.0.state", "open");
	assert_true(json_is_null(at(doc, "lake.loads.0.percent")));
	assert_text(doc, "source.slot.wal_status", "extended");
	assert_true(json_is_null(at(doc, "source.slot.safe_wal_size")));
	assert_true(json_is_null(at(doc, "source.slot.active_pid")));
	assert_number(doc, "source.slot.retained_bytes", 4096);
	assert_number(doc, "source.lag_bytes", 40);
	assert_number(doc, "source.lag_seconds", 7);
	assert_number(doc, "target.entry", 40);
	assert_number(doc, "target.rejected", 2);
	assert_text(doc, "target.resync.0.state", "often");
	assert_null(status_error(&s));
	json_decref(doc);
	status_done(&s);
}

static void
what_is_not_there(void **state)
{
	Status s = { .lake = { .asked = true, .ok = true },
				 .source = { .asked = true } };
	json_t *doc;

	(void) state;
	err_set(&s.source.err, ERR_SOURCE, 0, "no \"server\"");
	doc = parsed(&s);
	assert_true(json_is_null(at(doc, "target")));
	assert_true(json_is_false(at(doc, "source.reachable")));
	assert_text(doc, "source.error", "no \"server\"");
	assert_null(json_object_get(at(doc, "source"), "lag_bytes"));
	assert_null(json_object_get(at(doc, "lake"), "entry"));
	assert_int_equal(status_error(&s)->kind, ERR_SOURCE);
	json_decref(doc);
	s.lake.ok = false; /* the first one decides */
	err_set(&s.lake.err, ERR_STORE, 0, "no store");
	assert_int_equal(status_error(&s)->kind, ERR_STORE);
	status_done(&s);
}

/* Not known is not 0. */
static void
lag_that_nobody_knows(void **state)
{
	Status s = whole();
	json_t *doc;

	(void) state;
	s.lag_bytes = -1;
	s.retained = -1;
	s.slot_now.safe_wal_size = 0;
	doc = parsed(&s);
	assert_true(json_is_null(at(doc, "source.lag_bytes")));
	assert_true(json_is_null(at(doc, "source.lag_seconds")));
	assert_true(json_is_null(at(doc, "source.slot.retained_bytes")));
	assert_number(doc, "source.slot.safe_wal_size", 0);
	json_decref(doc);
	status_done(&s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_is_told),
		cmocka_unit_test(what_is_not_there),
		cmocka_unit_test(lag_that_nobody_knows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
