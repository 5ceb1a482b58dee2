/*-------------------------------------------------------------------------
 * test_path.c
 *	  codec/path: templates of folders, and the instants that a folder covers.
 *-------------------------------------------------------------------------
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "codec/path.h"
#include "io/zonefile.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define MINUTE (60 * US_PER_SEC)
#define DAY (24 * US_PER_HOUR)

static const PathNames orders = { "public", "orders", "shop", "cdc_s3" };

static Path *
make(const char *text, const char *zone)
{
	Zone *z;
	Path *p;
	Err err;

	if (!zone_open(zone, &z, &err) || !path_parse(text, z, &p, &err))
		fail_msg("%s: %s", text, err.msg);
	return p;
}

static int64_t
at(const char *iso)
{
	int64_t us;

	assert_true(iso_parse(iso, &us));
	return us;
}

static void
check_folder(const char *text, const char *zone, const PathNames *names,
			 const char *iso, const char *want)
{
	Path *p = make(text, zone);
	Buf b;

	buf_init(&b, 4096);
	path_add(p, names, at(iso), &b);
	if (strcmp(buf_cstr(&b), want) != 0)
		fail_msg("%s of %s in %s:\nwant %s\ngot  %s", text, iso, zone, want,
				 buf_cstr(&b));
	buf_done(&b);
	path_free(p);
}

static void
test_default(void **state)
{
	static const struct
	{
		const char *iso, *want;
	} rows[] = {
		{ "2026-11-21T08:14:07.123456Z", "year=2026/month=11/day=21/hour=08/" },
		{ "1970-01-01T00:00:00Z", "year=1970/month=01/day=01/hour=00/" },
		{ "1969-12-31T23:59:59.999999Z", "year=1969/month=12/day=31/hour=23/" },
		{ "1999-12-31T23:59:59.999999Z", "year=1999/month=12/day=31/hour=23/" },
		{ "2000-02-29T00:00:00Z", "year=2000/month=02/day=29/hour=00/" },
		{ "0001-02-28T12:00:00Z", "year=0001/month=02/day=28/hour=12/" },
		{ "9999-12-31T23:59:59Z", "year=9999/month=12/day=31/hour=23/" },
	};
	PathNames names = { "public", "_orders/2", "", "" };

	(void) state;
	for (size_t i = 0; i < COUNT(rows); i++)
	{
		char *want = xasprintf("public/%%5Forders%%2F2/%s", rows[i].want);

		check_folder(PATH_DEFAULT, "UTC", &names, rows[i].iso, want);
		free(want);
	}
}

/* DMS: DatePartitionSequence and DatePartitionDelimiter, each with each. */
static void
test_dms(void **state)
{
	static const char *const sequences[][4] = {
		{ "{yyyy}", "{mm}", "{dd}", NULL },
		{ "{yyyy}", "{mm}", "{dd}", "{hh}" },
		{ "{yyyy}", "{mm}", NULL, NULL },
		{ "{mm}", "{yyyy}", "{dd}", NULL },
		{ "{dd}", "{mm}", "{yyyy}", NULL },
	};
	static const char *const delimiters[] = { "", "/", "-", "_" };
	static const char *const want[5][4] = {
		{ "20261121", "2026/11/21", "2026-11-21", "2026_11_21" },
		{ "2026112108", "2026/11/21/08", "2026-11-21-08", "2026_11_21_08" },
		{ "202611", "2026/11", "2026-11", "2026_11" },
		{ "11202621", "11/2026/21", "11-2026-21", "11_2026_21" },
		{ "21112026", "21/11/2026", "21-11-2026", "21_11_2026" },
	};

	(void) state;
	for (size_t s = 0; s < COUNT(sequences); s++)
	{
		for (size_t d = 0; d < COUNT(delimiters); d++)
		{
			char text[128] = "{schema}/{table}/";
			char folder[128];

			for (int i = 0; i < 4 && sequences[s][i]; i++)
			{
				size_t n = strlen(text);

				(void) snprintf(text + n, sizeof(text) - n, "%s%s",
								i > 0 ? delimiters[d] : "", sequences[s][i]);
			}
			(void) snprintf(folder, sizeof(folder), "public/orders/%s/",
							want[s][d]);
			check_folder(text, "UTC", &orders, "2026-11-21T08:14:07Z", folder);
		}
	}
}

static void
test_folders(void **state)
{
	static const struct
	{
		const char *text, *zone, *iso, *want;
	} rows[] = {
		{ "{schema}/{table}", "UTC", "2026-11-21T08:14:07Z", "public/orders/" },
		{ "{database}/{slot}/{schema}.{table}/{yyyy}", "UTC",
		  "2026-11-21T08:14:07Z", "shop/cdc_s3/public.orders/2026/" },
		{ "lake-2/{yyyy}/{mm}/{schema}/{table}/d={dd}", "UTC",
		  "2026-11-21T08:14:07Z", "lake-2/2026/11/public/orders/d=21/" },
		{ "{schema}/{table}/{yyyy}{mm}{dd}T{hh}{mi}", "UTC",
		  "2026-11-21T08:14:07Z", "public/orders/20261121T0814/" },
		{ "{schema}/{table}/{yyyy}-{mm}-{dd}-{hh}", "+05:30",
		  "2026-11-21T18:29:59Z", "public/orders/2026-11-21-23/" },
		{ "{schema}/{table}/{yyyy}-{mm}-{dd}-{hh}", "+05:30",
		  "2026-11-21T18:30:00Z", "public/orders/2026-11-22-00/" },
		{ "{schema}/{table}/{yyyy}-{mm}-{dd}", "-08",
		  "2026-11-21T07:59:59.999999Z", "public/orders/2026-11-20/" },
		{ "{schema}/{table}/{yyyy}-{mm}", "UTC", "1969-12-31T23:59:59Z",
		  "public/orders/1969-12/" },
	};

	(void) state;
	for (size_t i = 0; i < COUNT(rows); i++)
		check_folder(rows[i].text, rows[i].zone, &orders, rows[i].iso,
					 rows[i].want);
}

/* What ends a name cannot be in it. */
static void
test_injective(void **state)
{
	static const struct
	{
		const char *text, *schema, *table, *want;
	} rows[] = {
		{ "{schema}.{table}", "a.b", "c", "a%2Eb.c/" },
		{ "{schema}.{table}", "a", "b.c", "a.b.c/" },
		{ "{schema}_{table}", "a_b", "c", "a%5Fb_c/" },
		{ "{schema}-to-{table}", "a-to-b", "c-to-d", "a%2Dto%2Db-to-c-to-d/" },
		{ "{schema}={table}", "a=b", "c", "a%3Db=c/" },
		{ "{schema}.{table}", "%2E", "_", "%252E.%5F/" },
		{ "{table}/x.{schema}", ".", "_cdc", "%5Fcdc/x.%2E/" },
		{ "{schema}/{table}.d", "a", "b.d", "a/b.d.d/" },
		{ "{schema}/{table}", "a/b", "..", "a%2Fb/%2E./" },
	};

	(void) state;
	for (size_t i = 0; i < COUNT(rows); i++)
	{
		PathNames names = { rows[i].schema, rows[i].table, "d", "s" };

		check_folder(rows[i].text, "UTC", &names, "2026-11-21T00:00:00Z",
					 rows[i].want);
	}
}

static int
compare_strings(const void *a, const void *b)
{
	return strcmp(*(char *const *) a, *(char *const *) b);
}

/* All pairs of names of some bytes, in templates that put them together. */
static void
test_injective_pairs(void **state)
{
	static const char *const texts[] = {
		"{schema}.{table}",      "{schema}-{table}",   "{schema}_-{table}",
		"{table}={schema}",      "x{schema}-x{table}", "{schema}/{table}",
		"{yyyy}{schema}.{table}"
	};
	static const char letters[] = "a._-=%2xD/";
	static char names[120][4];
	static char *folders[120 * 120];
	int n = 0;

	(void) state;
	for (const char *a = letters; *a; a++)
	{
		(void) snprintf(names[n++], 4, "%c", *a);
		for (const char *b = letters; *b; b++)
			(void) snprintf(names[n++], 4, "%c%c", *a, *b);
	}
	for (size_t t = 0; t < COUNT(texts); t++)
	{
		Path *p = make(texts[t], "UTC");
		int k = 0;

		for (int i = 0; i < n; i++)
		{
			for (int j = 0; j < n; j++)
			{
				PathNames two = { names[i], names[j], "d", "s" };
				Buf b;

				buf_init(&b, 4096);
				path_add(p, &two, 0, &b);
				folders[k++] = xstrdup(buf_cstr(&b));
				buf_done(&b);
			}
		}
		qsort(folders, (size_t) k, sizeof(char *), compare_strings);
		for (int i = 1; i < k; i++)
		{
			if (strcmp(folders[i - 1], folders[i]) == 0)
				fail_msg("%s: %s", texts[t], folders[i]);
		}
		for (int i = 0; i < k; i++)
			free(folders[i]);
		path_free(p);
	}
}

static void
test_refused(void **state)
{
	static const struct
	{
		const char *text, *msg;
	} rows[] = {
		{ "", "empty segment" },
		{ "/{schema}/{table}", "empty segment" },
		{ "{schema}/{table}/", "empty segment" },
		{ "{schema}//{table}", "empty segment" },
		{ "{schema}/../{table}", "begins with" },
		{ "{schema}/./{table}", "begins with" },
		{ "{schema}/_{table}", "begins with" },
		{ ".x/{schema}/{table}", "begins with" },
		{ "_cdc/{schema}/{table}", "begins with" },
		{ "{schema}", "no {table}" },
		{ "{table}", "no {schema}" },
		{ "x/{yyyy}", "no {schema}" },
		{ "{schema}/{table}/{hour}", "unknown placeholder {hour}" },
		{ "{schema}/{table}/{}", "unknown placeholder {}" },
		{ "{schema}/{table}/{YYYY}", "unknown placeholder {YYYY}" },
		{ "{schema}/{table", "without its" },
		{ "{schema/{table}", "without its" },
		{ "{{schema}}/{table}", "without its" },
		{ "{schema}/{table}}", "0x7D" },
		{ "{schema}/{table} x", "0x20" },
		{ "{schema}/{table}/\xc3\xa4", "0xC3" },
		{ "{schema}/{table}%20", "0x25" },
		{ "{schema}/{table}\\", "0x5C" },
		{ "{schema}{table}", "where {schema} ends" },
		{ "{schema}x{table}", "where {schema} ends" },
		{ "{schema}2{table}", "where {schema} ends" },
		{ "{schema}/{table}{yyyy}", "where {table} ends" },
		{ "{schema}/{table}/{hh}", "{hh} without {dd}" },
		{ "{schema}/{table}/{mm}", "{mm} without {yyyy}" },
		{ "{schema}/{table}/{yyyy}/{dd}", "{dd} without {mm}" },
		{ "{schema}/{table}/{yyyy}{mm}{dd}{mi}", "{mi} without {hh}" },
	};
	char longer[600] = "{schema}/{table}/";
	Path *p;
	Err err;

	(void) state;
	for (size_t i = 0; i < COUNT(rows); i++)
	{
		if (path_parse(rows[i].text, zone_fixed("UTC"), &p, &err))
			fail_msg("\"%s\" is taken", rows[i].text);
		assert_int_equal(err.kind, ERR_USAGE);
		assert_int_not_equal(err.hint[0], 0);
		if (!strstr(err.msg, rows[i].msg))
			fail_msg("\"%s\": %s", rows[i].text, err.msg);
	}
	memset(longer + 17, 'x', 580);
	assert_false(path_parse(longer, zone_fixed("UTC"), &p, &err));
	for (int i = 17; i < 590; i += 2)
		memcpy(longer + i, "/x", 2);
	longer[200] = 0;
	assert_false(path_parse(longer, zone_fixed("UTC"), &p, &err));
}

static void
test_prefix(void **state)
{
	static const struct
	{
		const char *text, *want;
	} rows[] = {
		{ PATH_DEFAULT, "public/orders/" },
		{ "{schema}/{table}", "public/orders/" },
		{ "{schema}/{table}-{yyyy}", "public/" },
		{ "{yyyy}/{schema}/{table}", "" },
		{ "{slot}/{schema}.{table}/{yyyy}/{mm}", "cdc_s3/public.orders/" },
	};

	(void) state;
	for (size_t i = 0; i < COUNT(rows); i++)
	{
		Path *p = make(rows[i].text, "UTC");
		Buf b;

		buf_init(&b, 4096);
		path_add_prefix(p, &orders, &b);
		assert_string_equal(buf_cstr(&b), rows[i].want);
		buf_done(&b);
		path_free(p);
	}
}

/*
 * Instants
 */
#define HOURS "{schema}/{table}/{yyyy}-{mm}-{dd}-{hh}"
#define DAYS "{schema}/{table}/{yyyy}-{mm}-{dd}"
#define MONTHS "{schema}/{table}/{yyyy}-{mm}"
#define YEARS "{schema}/{table}/{yyyy}"
#define MINUTES "{schema}/{table}/{yyyy}-{mm}-{dd}-{hh}-{mi}"

static void
test_spans(void **state)
{
	static const struct
	{
		const char *text, *zone, *iso, *begin, *end;
	} rows[] = {
		{ HOURS, "UTC", "2026-11-21T08:14:07Z", "2026-11-21T08:00:00Z",
		  "2026-11-21T09:00:00Z" },
		{ MINUTES, "UTC", "2026-11-21T08:14:59.999999Z", "2026-11-21T08:14:00Z",
		  "2026-11-21T08:15:00Z" },
		{ DAYS, "UTC", "2026-11-21T00:00:00Z", "2026-11-21T00:00:00Z",
		  "2026-11-22T00:00:00Z" },
		{ MONTHS, "UTC", "2026-12-31T23:00:00Z", "2026-12-01T00:00:00Z",
		  "2027-01-01T00:00:00Z" },
		{ MONTHS, "UTC", "2028-02-29T00:00:00Z", "2028-02-01T00:00:00Z",
		  "2028-03-01T00:00:00Z" },
		{ YEARS, "-01", "2027-01-01T00:59:59Z", "2026-01-01T01:00:00Z",
		  "2027-01-01T01:00:00Z" },
		/* half hours */
		{ HOURS, "Asia/Kolkata", "2026-11-21T08:14:07Z", "2026-11-21T07:30:00Z",
		  "2026-11-21T08:30:00Z" },
		{ HOURS, "Asia/Kolkata", "2026-11-21T08:30:00Z", "2026-11-21T08:30:00Z",
		  "2026-11-21T09:30:00Z" },
		{ DAYS, "Asia/Kathmandu", "2026-11-21T18:15:00Z",
		  "2026-11-21T18:15:00Z", "2026-11-22T18:15:00Z" },
		{ HOURS, "+05:30", "1969-12-31T23:45:00Z", "1969-12-31T23:30:00Z",
		  "1970-01-01T00:30:00Z" },
		/* days of 23 and 25 hours */
		{ DAYS, "Europe/Berlin", "2026-03-29T12:00:00Z", "2026-03-28T23:00:00Z",
		  "2026-03-29T22:00:00Z" },
		{ DAYS, "Europe/Berlin", "2026-10-25T12:00:00Z", "2026-10-24T22:00:00Z",
		  "2026-10-25T23:00:00Z" },
		{ MONTHS, "Europe/Berlin", "2026-10-25T12:00:00Z",
		  "2026-09-30T22:00:00Z", "2026-10-31T23:00:00Z" },
		/* an hour that comes twice is one folder, and none for one that is
		 * left out */
		{ HOURS, "Europe/Berlin", "2026-10-25T00:30:00Z",
		  "2026-10-25T00:00:00Z", "2026-10-25T02:00:00Z" },
		{ HOURS, "Europe/Berlin", "2026-10-25T01:30:00Z",
		  "2026-10-25T00:00:00Z", "2026-10-25T02:00:00Z" },
		{ HOURS, "Europe/Berlin", "2026-03-29T00:59:59Z",
		  "2026-03-29T00:00:00Z", "2026-03-29T01:00:00Z" },
		{ HOURS, "Europe/Berlin", "2026-03-29T01:00:00Z",
		  "2026-03-29T01:00:00Z", "2026-03-29T02:00:00Z" },
		/* a minute that comes twice, an hour later */
		{ MINUTES, "Europe/Berlin", "2026-10-25T00:30:10Z",
		  "2026-10-25T00:30:00Z", "2026-10-25T01:31:00Z" },
		/* half an hour is turned back: 01:30 to 02:00 comes twice */
		{ HOURS, "Australia/Lord_Howe", "2026-04-04T14:15:00Z",
		  "2026-04-04T14:00:00Z", "2026-04-04T15:30:00Z" },
		/* a day that was left out */
		{ DAYS, "Pacific/Apia", "2011-12-30T09:59:59Z", "2011-12-29T10:00:00Z",
		  "2011-12-30T10:00:00Z" },
		{ DAYS, "Pacific/Apia", "2011-12-30T10:00:00Z", "2011-12-30T10:00:00Z",
		  "2011-12-31T10:00:00Z" },
	};

	(void) state;
	for (size_t i = 0; i < COUNT(rows); i++)
	{
		Path *p = make(rows[i].text, rows[i].zone);
		PathSpan s = path_span(p, at(rows[i].iso));
		char begin[40];
		char end[40];

		iso_from_unix_us(s.begin, false, begin, sizeof(begin));
		iso_from_unix_us(s.end, false, end, sizeof(end));
		if (s.begin != at(rows[i].begin) || s.end != at(rows[i].end))
			fail_msg("%s in %s at %s: %s to %s", rows[i].text, rows[i].zone,
					 rows[i].iso, begin, end);
		assert_true(s.until > at(rows[i].iso) && s.until <= s.end);
		path_free(p);
	}
}

/* No times, and years that have no four digits. */
static void
test_ends(void **state)
{
	Path *p = make("{schema}/{table}", "UTC");
	PathSpan s = path_span(p, 0);
	Buf b;

	(void) state;
	assert_true(s.begin == INT64_MIN && s.end == INT64_MAX &&
				s.until == INT64_MAX && s.id == 0);
	path_free(p);

	buf_init(&b, 4096);
	p = make(HOURS, "UTC");
	path_add(p, &orders, INT64_MAX, &b);
	assert_string_equal(buf_cstr(&b), "public/orders/9999-12-31-23/");
	assert_true(path_span(p, INT64_MAX).end == INT64_MAX);
	assert_true(path_span(p, INT64_MAX).begin == at("9999-12-31T23:00:00Z"));
	assert_true(path_span(p, INT64_MAX).id ==
				path_span(p, at("9999-12-31T23:30:00Z")).id);
	buf_reset(&b);
	path_add(p, &orders, INT64_MIN, &b);
	assert_string_equal(buf_cstr(&b), "public/orders/0000-01-01-00/");
	s = path_span(p, INT64_MIN);
	assert_true(s.begin == INT64_MIN && s.until <= s.end);
	path_free(p);
	buf_done(&b);
}

/* Each instant of some days: folder, id and span agree with each other. */
static void
walk(const char *text, const char *zone, const char *from, int64_t length)
{
	Path *p = make(text, zone);
	int64_t step = 7 * MINUTE + 13 * US_PER_SEC + 1;
	int64_t start = at(from);
	char before[256] = "";
	PathSpan last = { 0 };
	int64_t last_us = 0;
	Buf b;

	buf_init(&b, 4096);
	for (int64_t us = start; us < start + length; us += step)
	{
		PathSpan s = path_span(p, us);

		buf_reset(&b);
		path_add(p, &orders, us, &b);
		assert_true(s.begin <= us && us < s.end && s.until > us);
		if (before[0])
		{
			bool same = strcmp(before, buf_cstr(&b)) == 0;

			assert_true(same == (last.id == s.id));
			assert_true(same || us >= last.until);
			if (same)
				assert_true(last.begin == s.begin && last.end == s.end);
			assert_true(last_us < us);
		}
		/* the same folder up to "until" */
		buf_reset(&b);
		path_add(p, &orders, s.until - 1, &b);
		(void) snprintf(before, sizeof(before), "%s", buf_cstr(&b));
		assert_true(path_span(p, s.until - 1).id == s.id);
		/* and none before its begin, nor at its end */
		assert_true(s.begin == INT64_MIN ||
					path_span(p, s.begin - 1).id != s.id);
		assert_true(s.end == INT64_MAX || path_span(p, s.end).id != s.id);
		assert_true(path_span(p, s.begin).id == s.id);
		assert_true(path_span(p, s.end - 1).id == s.id);
		last = s;
		last_us = us;
	}
	buf_done(&b);
	path_free(p);
}

static void
test_walk(void **state)
{
	static const char *const texts[] = { MINUTES, HOURS, DAYS, MONTHS, YEARS };
	static const struct
	{
		const char *zone, *from;
	} rows[] = {
		{ "UTC", "2026-12-30T00:00:00Z" },
		{ "Europe/Berlin", "2026-03-27T00:00:00Z" },
		{ "Europe/Berlin", "2026-10-23T00:00:00Z" },
		{ "America/New_York", "2026-10-30T00:00:00Z" },
		{ "Australia/Lord_Howe", "2026-04-02T00:00:00Z" },
		{ "Australia/Lord_Howe", "2026-10-02T00:00:00Z" },
		{ "Asia/Kolkata", "2026-12-30T00:00:00Z" },
		{ "Pacific/Apia", "2011-12-28T00:00:00Z" },
		{ "+05:30", "1969-12-30T00:00:00Z" },
	};

	(void) state;
	for (size_t t = 0; t < COUNT(texts); t++)
	{
		for (size_t i = 0; i < COUNT(rows); i++)
			walk(texts[t], rows[i].zone, rows[i].from, 4 * DAY);
	}
}

/* What engines look for: a "?" for each digit. */
static void
test_glob(void **state)
{
	static const struct
	{
		const char *path;
		const char *want;
	} rows[] = {
		{ PATH_DEFAULT, "a.b/%5Ft/year=???\?/month=?\?/day=?\?/hour=?\?/" },
		{ "{schema}/{table}", "a.b/%5Ft/" },
		{ "{yyyy}{mm}/{schema}.{table}/{dd}-{hh}{mi}",
		  "?????\?/a%2Eb.%5Ft/?\?-???\?/" },
	};

	(void) state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
	{
		Path *p;
		Err err;
		Buf b;

		buf_init(&b, 1024);
		assert_true(path_parse(rows[i].path, zone_fixed("UTC"), &p, &err));
		path_add_glob(p, &(PathNames){ "a.b", "_t", "d", "s" }, &b);
		assert_string_equal(buf_cstr(&b), rows[i].want);
		path_free(p);
		buf_done(&b);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_default),
		cmocka_unit_test(test_dms),
		cmocka_unit_test(test_folders),
		cmocka_unit_test(test_injective),
		cmocka_unit_test(test_injective_pairs),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_prefix),
		cmocka_unit_test(test_spans),
		cmocka_unit_test(test_ends),
		cmocka_unit_test(test_walk),
		cmocka_unit_test(test_glob),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
