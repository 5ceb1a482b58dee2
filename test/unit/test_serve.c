/*-------------------------------------------------------------------------
 * test_serve.c
 *	  serve/: the text of metrics, escaping, readiness, status and page, who
 *	  may ask, addresses to listen on.
 *-------------------------------------------------------------------------
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <jansson.h>
#include <math.h>

#include "base/beat.h"
#include "base/clock.h"
#include "base/mem.h"
#include "serve/answer.h"
#include "serve/exposition.h"
#include "serve/listen.h"
#include "serve/metrics.h"
#include "serve/status.h"

#define EVIL "<img src=x onerror=\"alert(1)\">"

static int64_t mono;

static int64_t
now_us(void)
{
	return INT64_C(1795248847000000) + mono * 1000;
}

static int64_t
now_ms(void)
{
	return mono;
}

static void
no_sleep(int64_t ms)
{
	mono += ms;
}

static const ClockOps clock_ops = { now_us, now_ms, no_sleep };
static const AnswerOptions open_options = {
	.version = "1.2.3", .token = "", .basic = "", .loopback = true
};

static int
set_up(void **state)
{
	Buf *out = xcalloc(1, sizeof(*out));

	mono = 1000000;
	clock_set(&clock_ops);
	seen_reset();
	view_forget();
	count_set(&stats.role, ROLE_RUN);
	count_set(&stats.link, LINK_UP);
	count_set(&stats.began_us, now_us());
	count_set(&stats.oldest_us, 0);
	count_set(&stats.oldest_large, 0);
	count_set(&stats.flush_interval_ms, 60000);
	count_set(&stats.slot_asked_us, 0);
	count_set(&stats.merge_lsn, 0);
	count_set(&stats.merge_failed, 0);
	count_set(&stats.merge_at_us, 0);
	buf_init(out, METRICS_MAX_BYTES);
	*state = out;
	return 0;
}

static int
tear_down(void **state)
{
	Buf *out = *state;

	buf_done(out);
	free(out);
	beat_end();
	clock_set(NULL);
	return 0;
}

static void
see_table(const char *schema, const char *table)
{
	int64_t ops[SEEN_OPS] = { [SEEN_INSERT] = 5, [SEEN_DELETE] = 2 };

	seen_object(&(SeenObject){ schema, table, ops, 100 });
}

static void
numbers(void **state)
{
	static const struct
	{
		double v;
		const char *want;
	} rows[] = {
		{ 0, "0" },
		{ -3, "-3" },
		{ 0.25, "0.25" },
		{ -0.0, "0" },
		{ 1e15, "1000000000000000" },
		{ 9007199254740991.0, "9007199254740991" },
		{ -9007199254740991.0, "-9007199254740991" },
		{ 9007199254740992.0, "9.00719925e+15" },
		{ INFINITY, "+Inf" },
		{ NAN, "NaN" },
		{ 1.5e300, "1.5e+300" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
	{
		buf_reset(*state);
		expose_number(*state, rows[i].v);
		assert_string_equal(buf_cstr(*state), rows[i].want);
	}
}

static void
label_values(void **state)
{
	expose_escape(*state, "a\"b\\c\nd\te\xc3\xa9");
	assert_string_equal(buf_cstr(*state), "a\\\"b\\\\c\\nd?e\xc3\xa9");
	buf_reset(*state);
	expose_escape(*state, "\xff\xfe"); /* of a SQL_ASCII server */
	assert_string_equal(buf_cstr(*state), "??");
}

static void
families(void **state)
{
	Exposition x = { .out = *state };
	static const int64_t bounds[] = { 500000, 2000000, 0 };
	Histogram h = { .bounds_us = bounds };
	const Label labels[] = { { "op", "x" }, { NULL, NULL } };

	histogram_add(&h, 100000, 1);
	histogram_add(&h, 1000000, 2);
	histogram_add(&h, 9000000, 1);
	expose_family(&x, "a_total", METRIC_COUNTER, "Help.");
	expose_sample(&x, labels, 3);
	expose_family(&x, "b_seconds", METRIC_HISTOGRAM, "Help.");
	expose_histogram(&x, labels, &h);
	expose_end(&x);
	assert_string_equal(buf_cstr(*state),
						"# HELP a_total Help.\n# TYPE a_total counter\n"
						"a_total{op=\"x\"} 3\n"
						"# HELP b_seconds Help.\n# TYPE b_seconds histogram\n"
						"b_seconds_bucket{op=\"x\",le=\"0.5\"} 1\n"
						"b_seconds_bucket{op=\"x\",le=\"2\"} 3\n"
						"b_seconds_bucket{op=\"x\",le=\"+Inf\"} 4\n"
						"b_seconds_sum{op=\"x\"} 11.1\n"
						"b_seconds_count{op=\"x\"} 4\n");
	buf_reset(*state);
	x.open_metrics = true;
	expose_family(&x, "a_total", METRIC_COUNTER, "Help.");
	expose_sample(&x, NULL, 3);
	expose_family(&x, "b_seconds", METRIC_HISTOGRAM, "Help.");
	expose_histogram(&x, NULL, &h);
	expose_end(&x);
	assert_non_null(strstr(buf_cstr(*state), "# TYPE a counter\na_total 3\n"));
	assert_non_null(strstr(buf_cstr(*state), "le=\"2.0\""));
	assert_non_null(strstr(buf_cstr(*state), "\n# EOF\n"));
}

static const char *
metrics(Buf *out, bool open_metrics, bool dms)
{
	View *v = view_new("1.2.3");

	buf_reset(out);
	metrics_add(v, &(MetricsForm){ open_metrics, dms }, out);
	view_free(v);
	assert_false(out->overflow);
	return buf_cstr(out);
}

#define HAS(text, part) assert_non_null(strstr(text, part))
#define HAS_NOT(text, part) assert_null(strstr(text, part))

static void
metrics_of_run(void **state)
{
	Err err;
	const char *m;

	see_table("public", EVIL);
	(void) err_set(&err, ERR_BUSY, 503, "x");
	seen_failure("put", &err, true);
	count_set(&stats.oldest_us, now_us() - 2500000);
	count_set(&stats.server_lsn, 3000);
	count_set(&stats.durable_lsn, 1000);
	m = metrics(*state, false, false);
	HAS(m, "cdc_s3_build_info{version=\"1.2.3\"} 1\n");
	HAS(m, "cdc_s3_rows_total{schema=\"public\",table=\"<img src=x "
		   "onerror=\\\"alert(1)\\\">\",op=\"insert\"} 5\n");
	HAS(m, "cdc_s3_rows_total{schema=\"\",table=\"other\",op=\"insert\"} 0\n");
	HAS(m, "cdc_s3_store_retries_total{call=\"put\",code=\"503\"} 1\n");
	HAS(m, "cdc_s3_lag_seconds 2.5\n");
	HAS(m, "cdc_s3_lag_bytes 2000\n");
	HAS(m, "cdc_s3_connected 1\n");
	HAS_NOT(m, "cdc_s3_slot_");
	HAS_NOT(m, "cdc_s3_merge_");
	HAS_NOT(m, "CDCLatency");
	HAS(metrics(*state, false, true), "\nCDCLatencySource 2.5\n");
}

static void
metrics_of_slot(void **state)
{
	const char *m;

	count_set(&stats.slot_asked_us, now_us());
	count_set(&stats.slot_safe_bytes, -1);
	count_set(&stats.slot_retained_bytes, 77);
	seen_slot("cdc_s3", "extended");
	m = metrics(*state, false, false);
	HAS(m, "cdc_s3_slot_wal_status{status=\"extended\"} 1\n");
	HAS(m, "cdc_s3_slot_wal_status{status=\"reserved\"} 0\n");
	HAS(m, "cdc_s3_slot_safe_wal_size_bytes +Inf\n");
	HAS(m, "cdc_s3_slot_until_lost_seconds +Inf\n");
	HAS(m, "cdc_s3_slot_retained_bytes 77\n");
	count_set(&stats.server_lsn, 1000);
	view_sample();
	mono += 10000;
	count_set(&stats.server_lsn, 2000); /* 100 bytes a second */
	count_set(&stats.slot_safe_bytes, 50000);
	HAS(metrics(*state, false, false), "cdc_s3_slot_until_lost_seconds 500\n");
}

static void
output(int n)
{
	memset(stats.outputs, 0, sizeof(stats.outputs));
	seen_output(0, "main", true);
	seen_output(1, "report", true);
	seen_output(2, "archive", false);
	count_set(&stats.outputs[n].objects, 7);
	count_set(&stats.outputs[n].bytes, 700);
	count_set(&stats.outputs[n].errors, 3);
	count_set(&stats.outputs[n].failing_us, now_us() - 1);
	count_set(&stats.outputs[n].oldest_us, now_us() - 2500000);
}

static void
metrics_of_outputs(void **state)
{
	const char *m = metrics(*state, false, false);

	HAS_NOT(m, "cdc_s3_output_objects_total{");
	output(1);
	m = metrics(*state, false, false);
	HAS(m, "cdc_s3_output_objects_total{output=\"main\"} 0\n");
	HAS(m, "cdc_s3_output_objects_total{output=\"report\"} 7\n");
	HAS(m, "cdc_s3_output_written_bytes_total{output=\"report\"} 700\n");
	HAS(m, "cdc_s3_output_errors_total{output=\"report\"} 3\n");
	HAS(m, "cdc_s3_output_lag_seconds{output=\"report\"} 2.5\n");
	HAS(m, "cdc_s3_output_lag_seconds{output=\"main\"} 0\n");
	HAS(m, "cdc_s3_output_state{output=\"main\",state=\"works\"} 1\n");
	HAS(m, "cdc_s3_output_state{output=\"report\",state=\"holds\"} 1\n");
	HAS(m, "cdc_s3_output_state{output=\"report\",state=\"works\"} 0\n");
	output(2);
	m = metrics(*state, true, false);
	HAS(m, "cdc_s3_output_state{output=\"archive\",state=\"fails\"} 1\n");
	count_set(&stats.outputs[2].detached, 1);
	m = metrics(*state, true, false);
	HAS(m, "cdc_s3_output_state{output=\"archive\",state=\"detached\"} 1\n");
	HAS(m, "cdc_s3_output_state{output=\"archive\",state=\"fails\"} 0\n");
}

static void
status_of_outputs(void **state)
{
	View *v;
	json_t *j;
	json_t *o;

	output(2);
	beat_begin("sweeper");
	v = view_new("1.2.3");
	status_add_json(v, *state);
	j = json_loads(buf_cstr(*state), 0, NULL);
	assert_non_null(j);
	assert_int_equal(json_array_size(json_object_get(j, "outputs")), 3);
	o = json_array_get(json_object_get(j, "outputs"), 2);
	assert_string_equal(json_string_value(json_object_get(o, "name")),
						"archive");
	assert_string_equal(json_string_value(json_object_get(o, "state")),
						"fails");
	assert_int_equal(json_integer_value(json_object_get(o, "errors")), 3);
	o = json_array_get(json_object_get(j, "threads"), 0);
	assert_string_equal(json_string_value(json_object_get(o, "name")),
						"sweeper");
	json_decref(j);
	buf_reset(*state);
	status_add_page(v, *state);
	HAS(buf_cstr(*state), "<h2>Outputs</h2>");
	HAS(buf_cstr(*state), "archive</td><td class=\"bad\">fails</td>");
	HAS(buf_cstr(*state), "main</td><td class=\"good\">works</td>");
	view_free(v);
	seen_reset();
	seen_output(0, "main", true); /* the lake alone */
	v = view_new("1.2.3");
	buf_reset(*state);
	status_add_page(v, *state);
	HAS_NOT(buf_cstr(*state), "<h2>Outputs</h2>");
	view_free(v);
}

static void
metrics_of_merge(void **state)
{
	const char *m;

	count_set(&stats.role, ROLE_MERGE);
	count_set(&stats.merge_behind, 3);
	count_set(&stats.merge_entry_us, now_us() - 60000000);
	count_set(&stats.merge_updated, 4);
	count_set(&stats.rejected_rows, 2);
	m = metrics(*state, false, true);
	HAS(m, "cdc_s3_merge_entries_behind 3\n");
	HAS(m, "cdc_s3_merge_behind_seconds 60\n");
	HAS(m, "cdc_s3_merge_rows_total{op=\"update\"} 4\n");
	HAS(m, "cdc_s3_merge_rejected_rows 2\n");
	HAS(m, "\nCDCLatencyTarget 60\n");
	HAS_NOT(m, "cdc_s3_connected");
	count_set(&stats.merge_behind, 0);
	HAS(metrics(*state, false, false), "cdc_s3_merge_behind_seconds 0\n");
}

/*
 * With 10,000 tables of the longest names, each byte of which is escaped, a
 * hundred have lines of their own and the others are together; each answer is
 * far from its limit.
 */
static void
bounded(void **state)
{
	const int tables = 10000;
	char name[SEEN_NAME];
	char want[128];
	View *v;

	for (int i = 0; i < tables; i++)
	{
		(void) snprintf(name, sizeof(name), "%0126d", i);
		memset(name, '"', 121);
		see_table(name, name);
	}
	(void) snprintf(want, sizeof(want),
					"{schema=\"\",table=\"other\",op=\"insert\"} %d\n",
					5 * (tables - SEEN_TABLES));
	HAS(metrics(*state, true, true), want);
	assert_true(strlen(buf_cstr(*state)) < METRICS_MAX_BYTES / 2);
	v = view_new("1.2.3");
	buf_reset(*state);
	status_add_json(v, *state);
	assert_true(strlen(buf_cstr(*state)) < STATUS_MAX_BYTES / 2);
	buf_reset(*state);
	status_add_page(v, *state);
	assert_true(strlen(buf_cstr(*state)) < STATUS_MAX_BYTES / 2);
	view_free(v);
}

static void
emf(void **state)
{
	View *v = view_new("1");
	json_error_t why;
	json_t *j;

	emf_add(v, "a\"b", *state);
	view_free(v);
	assert_string_equal(strchr(buf_cstr(*state), '\n'), "\n");
	j = json_loads(buf_cstr(*state), 0, &why);
	assert_non_null(j);
	assert_string_equal(json_string_value(json_object_get(j, "Slot")), "a\"b");
	assert_non_null(json_object_get(j, "CDCLatencySource"));
	json_decref(j);
}

/* The rule of readiness, row by row. */
static void
readiness(void **state)
{
	static const struct
	{
		StatsLink link;
		int64_t age_s;
		bool large;
		int64_t still_s; /* nothing went on for so long */
		int64_t interval_s;
		const char *want;
	} rows[] = {
		{ LINK_STARTING, 0, false, 0, 60, "starting" },
		{ LINK_DOWN, 0, false, 0, 60, "disconnected" },
		{ LINK_STOPPING, 0, false, 0, 60, "stopping" },
		{ LINK_STANDBY, 0, false, 9999, 60, NULL }, /* as it was told to */
		{ LINK_UP, 0, false, 9999, 60, NULL },      /* idle */
		{ LINK_UP, 179, false, 0, 60, NULL },
		{ LINK_UP, 181, false, 0, 60, "behind" },
		{ LINK_UP, 59, false, 0, 1, NULL }, /* 60 s at least */
		{ LINK_UP, 61, false, 0, 1, "behind" },
		{ LINK_UP, 9999, true, 179, 60, NULL }, /* large, and it moves */
		{ LINK_UP, 9999, true, 181, 60, "stuck" },
	};

	(void) state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
	{
		const char *got;

		count_set(&stats.link, rows[i].link);
		count_set(&stats.oldest_us,
				  rows[i].age_s ? now_us() - rows[i].age_s * 1000000 : 0);
		count_set(&stats.oldest_large, rows[i].large);
		count_set(&stats.moved_ms, mono - rows[i].still_s * 1000);
		count_set(&stats.flush_interval_ms, rows[i].interval_s * 1000);
		got = view_unready(now_us(), mono);
		if (rows[i].want)
			assert_string_equal(got, rows[i].want);
		else
			assert_null(got);
	}
	count_set(&stats.role, ROLE_MERGE);
	assert_string_equal(view_unready(now_us(), mono), "starting");
	count_set(&stats.merge_at_us, now_us());
	assert_null(view_unready(now_us(), mono));
	count_set(&stats.merge_failed, 1);
	assert_string_equal(view_unready(now_us(), mono), "failing");
}

static void
rates(void **state)
{
	View *v;

	(void) state;
	count_set(&stats.rows_received, 1000);
	v = view_new("1");
	assert_true(v->rates.rows_received == 0); /* nothing to compare with */
	view_free(v);
	view_sample();
	mono += 4000;
	count_set(&stats.rows_received, 3000);
	v = view_new("1");
	assert_true(v->rates.rows_received == 500);
	view_free(v);
	for (int i = 0; i < 100; i++) /* only the last minute counts */
	{
		mono += 4000;
		view_sample();
	}
	v = view_new("1");
	assert_true(v->rates.rows_received == 0);
	assert_true(v->process.threads >= 1);
	assert_true(v->process.resident_bytes > 100000);
	view_free(v);
}

static void
status(void **state)
{
	View *v;
	json_t *j;
	json_t *t;

	see_table("public", EVIL);
	see_table("public", "\xff");
	seen_error(true, "session lost, starting again", "source");
	v = view_new("1.2.3");
	status_add_json(v, *state);
	view_free(v);
	j = json_loads(buf_cstr(*state), 0, NULL);
	assert_non_null(j);
	assert_true(json_is_true(json_object_get(j, "ready")));
	t = json_array_get(json_object_get(j, "tables"), 0);
	assert_string_equal(json_string_value(json_object_get(t, "table")), EVIL);
	t = json_array_get(json_object_get(j, "tables"), 1);
	assert_string_equal(json_string_value(json_object_get(t, "table")), "?");
	t = json_array_get(json_object_get(j, "errors"), 0);
	assert_string_equal(json_string_value(json_object_get(t, "kind")),
						"source");
	json_decref(j);
}

static void
page(void **state)
{
	View *v;
	const SeenLoad list[2] = { { .schema = EVIL, .table = "t", .share = 0.5 },
							   { .share = 0.5, .left_s = 75, .tables = 1 } };
	const char *p;

	see_table(EVIL, "a&b'c\x01");
	seen_loads(list, 2);
	seen_error(false, EVIL, EVIL);
	seen_entry(&(SeenEntry){ .seq = 1234567 });
	count_set(&stats.slot_asked_us, 1);
	seen_slot(EVIL, EVIL);
	v = view_new("1.2.3");
	status_add_page(v, *state);
	view_free(v);
	p = buf_cstr(*state);
	HAS_NOT(p, "<img");
	HAS_NOT(p, "<script");
	HAS_NOT(p, "http://");
	HAS(p, "&lt;img src=x onerror=&quot;alert(1)&quot;&gt;");
	HAS(p, "a&amp;b&#39;c?");
	HAS(p, "value=\"50\"");
	HAS(p, "1:15 min");
	HAS(p, "1\xe2\x80\xaf"
		   "234\xe2\x80\xaf"
		   "567");
	HAS(p, "http-equiv=\"refresh\"");
	HAS(p, "</html>");
	buf_reset(*state);
	count_set(&stats.role, ROLE_MERGE);
	v = view_new("1.2.3");
	status_add_page(v, *state);
	view_free(v);
	HAS(buf_cstr(*state), "Rejected rows");
	HAS(buf_cstr(*state), "not ready: starting");
}

/*
 * Requests
 */
static int
ask(const AnswerOptions *o, const AnswerRequest *r, char *body, size_t size)
{
	Answer a;
	int status;

	answer_request(o, r, &a);
	status = a.status;
	if (body)
		(void) snprintf(body, size, "%s", buf_cstr(&a.body));
	assert_non_null(a.type);
	answer_done(&a);
	return status;
}

static void
paths(void **state)
{
	static const struct
	{
		const char *method;
		const char *path;
		int want;
	} rows[] = {
		{ "GET", "/livez", 200 },     { "GET", "/readyz", 200 },
		{ "GET", "/metrics", 200 },   { "GET", "/status", 200 },
		{ "GET", "/", 200 },          { "HEAD", "/", 200 },
		{ "GET", "/style.css", 200 }, { "GET", "/other", 404 },
		{ "GET", "/livez/", 404 },    { "GET", "", 404 },
		{ "POST", "/livez", 405 },    { "DELETE", "/", 405 },
	};

	(void) state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
	{
		AnswerRequest r = { .method = rows[i].method, .path = rows[i].path };

		assert_int_equal(ask(&open_options, &r, NULL, 0), rows[i].want);
	}
}

static void
probes(void **state)
{
	AnswerRequest live = { .method = "GET", .path = "/livez" };
	AnswerRequest ready = { .method = "GET", .path = "/readyz" };
	char body[64];

	(void) state;
	beat_begin("encoder");
	count_set(&stats.link, LINK_DOWN); /* no reason to restart us */
	mono += BEAT_LIMIT_MS - 1;
	assert_int_equal(ask(&open_options, &live, body, sizeof(body)), 200);
	assert_int_equal(ask(&open_options, &ready, body, sizeof(body)), 503);
	assert_string_equal(body, "disconnected\n");
	count_set(&stats.link, LINK_STANDBY);
	assert_int_equal(ask(&open_options, &ready, body, sizeof(body)), 200);
	assert_string_equal(body, "standby\n");
	mono += 1;
	assert_int_equal(ask(&open_options, &live, body, sizeof(body)), 503);
	assert_string_equal(body, "encoder\n");
}

static void
hosts(void **state)
{
	static const struct
	{
		const char *host;
		bool local;
	} rows[] = {
		{ "localhost", true },       { "LOCALHOST:8470", true },
		{ "127.0.0.1", true },       { "127.0.0.1:8470", true },
		{ "127.1.2.3:1", true },     { "[::1]", true },
		{ "[::1]:8470", true },      { "", false },
		{ "evil.example", false },   { "localhost.evil.example", false },
		{ "127.0.0.1.evil", false }, { "127.0.0.1evil:1", false },
		{ "[::1", false },           { "[::1]evil", false },
		{ "10.0.0.1", false },       { "127.0.0", false },
	};
	AnswerRequest r = { .method = "GET", .path = "/livez" };
	AnswerOptions beyond = open_options;

	(void) state;
	beyond.loopback = false;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
	{
		r.host = rows[i].host;
		assert_int_equal(answer_is_local(r.host), rows[i].local);
		assert_int_equal(ask(&open_options, &r, NULL, 0),
						 rows[i].local ? 200 : 421);
		assert_int_equal(ask(&beyond, &r, NULL, 0), 200);
	}
}

static void
authorization(void **state)
{
	static const struct
	{
		const char *given;
		bool token;
		bool basic;
	} rows[] = {
		{ NULL, false, false },
		{ "", false, false },
		{ "Bearer topsecret", true, false },
		{ "bearer   topsecret", true, false },
		{ "Bearer topsecre", false, false },
		{ "Bearer topsecrets", false, false },
		{ "Bearer ", false, false },
		{ "Bearer", false, false },
		{ "Bearertopsecret", false, false },
		{ "topsecret", false, false },
		{ "Basic b3BzOnBhc3M=", false, true }, /* ops:pass */
		{ "BASIC b3BzOnBhc3M=", false, true },
		{ "Basic b3BzOnBhc3", false, false },
		{ "Basic b3BzOnBhcw==", false, false }, /* ops:pas */
		{ "Basic !!!!", false, false },
		{ "Basic ", false, false },
	};
	const AnswerOptions none = { "1", "", "", false, false };
	const AnswerOptions token = { "1", "topsecret", "", false, false };
	const AnswerOptions basic = { "1", "", "ops:pass", false, false };
	const AnswerOptions both = { "1", "topsecret", "ops:pass", false, false };

	(void) state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
	{
		AnswerRequest r = { .method = "GET",
							.path = "/status",
							.authorization = rows[i].given };
		int ok = rows[i].token ? 200 : 401;

		assert_int_equal(ask(&none, &r, NULL, 0), 200);
		assert_int_equal(ask(&token, &r, NULL, 0), ok);
		assert_int_equal(ask(&basic, &r, NULL, 0), rows[i].basic ? 200 : 401);
		assert_int_equal(ask(&both, &r, NULL, 0),
						 rows[i].token || rows[i].basic ? 200 : 401);
		r.path = "/livez"; /* for everybody */
		assert_int_equal(ask(&both, &r, NULL, 0), 200);
		r.path = "/nothing"; /* what there is, is nobody's business */
		assert_int_equal(ask(&token, &r, NULL, 0), rows[i].token ? 404 : 401);
	}
}

/*
 * Listening
 */
static void
addresses(void **state)
{
	static const char *const bad[] = { "8470",       "localhost", "a:b",
									   "a:123456",   "::1:8470",  "a:1x",
									   "127.0.0.1:", "" };
	static const struct
	{
		const char *listen;
		const char *url;
	} good[] = {
		{ "127.0.0.1:8470", "http://127.0.0.1:8470" },
		{ "0.0.0.0:1", "http://127.0.0.1:1" },
		{ ":1", "http://127.0.0.1:1" },
		{ "*:1", "http://127.0.0.1:1" },
		{ "[::]:1", "http://[::1]:1" },
		{ "[fe80::1]:1", "http://[fe80::1]:1" },
		{ "db.local:80", "http://db.local:80" },
	};
	char url[300];
	Err err;

	(void) state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
	{
		assert_false(serve_url(bad[i], url, sizeof(url), &err));
		assert_int_equal(err.kind, ERR_USAGE);
	}
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
	{
		assert_true(serve_url(good[i].listen, url, sizeof(url), &err));
		assert_string_equal(url, good[i].url);
	}
}

static bool
starts(const char *listen, const char *token, bool insecure, Err *err)
{
	ServeOptions o = { .role = ROLE_RUN,
					   .listen = listen,
					   .insecure = insecure,
					   .slot = "s",
					   .answer = { "1", token, "", false, false } };
	Serve *s;
	bool ok;

	clock_set(NULL); /* threads look at it */
	ok = serve_start(&o, &s, err);
	if (ok)
		serve_stop(s);
	return ok;
}

static void
beyond_loopback(void **state)
{
	Err err;

	(void) state;
	assert_true(starts("", "", false, &err));
	assert_true(starts("127.0.0.1:0", "", false, &err));
	assert_false(starts("0.0.0.0:0", "", false, &err));
	assert_int_equal(err.kind, ERR_USAGE);
	assert_non_null(strstr(err.hint, "http.token_file"));
	assert_true(starts("0.0.0.0:0", "secret", false, &err));
	assert_true(starts("0.0.0.0:0", "", true, &err));
	assert_false(starts("no-such-host.invalid:1", "", true, &err));
	assert_int_equal(err.kind, ERR_USAGE);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(numbers),
		TEST(label_values),
		TEST(families),
		TEST(metrics_of_run),
		TEST(metrics_of_slot),
		TEST(metrics_of_merge),
		TEST(metrics_of_outputs),
		TEST(status_of_outputs),
		TEST(bounded),
		TEST(emf),
		TEST(readiness),
		TEST(rates),
		TEST(status),
		TEST(page),
		TEST(paths),
		TEST(probes),
		TEST(hosts),
		TEST(authorization),
		TEST(addresses),
		TEST(beyond_loopback),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
