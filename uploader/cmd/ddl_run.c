/*-------------------------------------------------------------------------
 * ddl_run.c
 *	  The folders of a table by their form, and which of them have objects of
 *	  one format one after the other.
 *
 *	  public/orders/year={yyyy}/month={mm}/	 a form: its unit is the month,
 *	  |-- base ----|						 and 2026/11 has the number
 *											 2026 * 12 + 10
 *
 * No folder has objects of two formats (doc/lake.md), but a folder that an
 * engine reads with all below it may have.  So a table's folders of one form
 * are cut into runs.
 *
 * Invariant (1): runs are sorted by form and number, and none overlap.
 * Layer: cmd.
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "cmd/ddl.h"

static const DdlTime times[] = {
	{ "{yyyy}", "yyyy", "year", "????", NULL, DDL_YEARS },
	{ "{mm}", "MM", "month", "??", "1,12", DDL_MONTHS },
	{ "{dd}", "dd", "day", "??", "1,31", DDL_DAYS },
	{ "{hh}", "HH", "hour", "??", "0,23", DDL_HOURS },
	{ "{mi}", "mm", "minute", "??", "0,59", DDL_MINUTES },
};

#define NTIMES (sizeof(times) / sizeof(times[0]))
#define US_PER_MINUTE (60 * INT64_C(1000000))

const DdlTime *
ddl_time_at(const char *p)
{
	for (size_t i = 0; i < NTIMES; i++)
	{
		if (strncmp(p, times[i].text, strlen(times[i].text)) == 0)
			return &times[i];
	}
	return NULL;
}

DdlUnit
ddl_unit(const char *form)
{
	DdlUnit finest = DDL_NO_UNIT;

	for (size_t i = 0; i < NTIMES; i++)
	{
		if (strstr(form, times[i].text))
			finest = times[i].unit;
	}
	return finest;
}

const char *
ddl_unit_name(DdlUnit unit)
{
	static const char *const names[] = { "",     "YEARS", "MONTHS",
										 "DAYS", "HOURS", "MINUTES" };

	return names[unit];
}

size_t
ddl_form_base(const char *form)
{
	size_t at = strcspn(form, "{");

	if (!form[at])
		return at;
	while (at > 0 && form[at - 1] != '/')
		at--;
	return at;
}

/* ---- numbers ---- */

static int64_t
number_of(DdlUnit unit, const CivilTime *c)
{
	int64_t minutes;

	if (unit <= DDL_YEARS)
		return unit == DDL_YEARS ? c->year : 0;
	if (unit == DDL_MONTHS)
		return c->year * 12 + c->month - 1;
	minutes = unix_us_from_civil(c) / US_PER_MINUTE;
	return unit == DDL_MINUTES ? minutes
		   : unit == DDL_HOURS ? minutes / 60
							   : minutes / 1440;
}

static void
civil_of(DdlUnit unit, int64_t number, CivilTime *c)
{
	static const int64_t minutes[] = {
		[DDL_DAYS] = 1440,
		[DDL_HOURS] = 60,
		[DDL_MINUTES] = 1,
	};

	*c = (CivilTime){ .year = 2000, .month = 1, .day = 1 };
	if (unit == DDL_YEARS)
		c->year = number;
	else if (unit == DDL_MONTHS)
	{
		c->year = number / 12;
		c->month = (int) (number % 12) + 1;
	}
	else if (unit > DDL_MONTHS)
		civil_from_unix_us(number * minutes[unit] * US_PER_MINUTE, c);
}

/* Reads the times of a folder that the form's pattern matches. */
static int64_t
folder_number(const char *form, const char *folder)
{
	CivilTime c = { .year = 2000, .month = 1, .day = 1 };
	DdlUnit unit = ddl_unit(form);

	while (*form && *folder)
	{
		const DdlTime *time = ddl_time_at(form);
		char digits[8] = "";
		size_t n;
		int value;

		if (!time)
		{
			form++;
			folder++;
			continue;
		}
		n = strlen(time->glob);
		memcpy(digits, folder, n); /* the pattern matched: so many are there */
		value = (int) strtol(digits, NULL, 10);
		if (time->unit == DDL_YEARS)
			c.year = value;
		else
			*(time->unit == DDL_MONTHS  ? &c.month
			  : time->unit == DDL_DAYS  ? &c.day
			  : time->unit == DDL_HOURS ? &c.hour
										: &c.minute) = value;
		form += strlen(time->text);
		folder += n;
	}
	return number_of(unit, &c);
}

char *
ddl_folder_of(const char *form, int64_t number)
{
	CivilTime c;
	char *text;
	Buf b;

	buf_init(&b, DDL_NAME_MAX);
	civil_of(ddl_unit(form), number, &c);
	for (const char *p = form + ddl_form_base(form);
		 *p && (p[0] != '/' || p[1]);)
	{
		const DdlTime *time = ddl_time_at(p);

		if (!time)
		{
			buf_byte(&b, (uint8_t) *p++);
			continue;
		}
		buf_printf(&b, "%0*d", (int) strlen(time->glob),
				   time->unit == DDL_YEARS    ? (int) c.year
				   : time->unit == DDL_MONTHS ? c.month
				   : time->unit == DDL_DAYS   ? c.day
				   : time->unit == DDL_HOURS  ? c.hour
											  : c.minute);
		p += strlen(time->text);
	}
	text = xstrdup(buf_cstr(&b));
	buf_done(&b);
	return text;
}

char *
ddl_java_format(const char *form)
{
	bool quoted = false;
	char *text;
	Buf b;

	buf_init(&b, DDL_NAME_MAX);
	for (const char *p = form + ddl_form_base(form);
		 *p && (p[0] != '/' || p[1]);)
	{
		const DdlTime *time = ddl_time_at(p);

		if (quoted != !time)
			buf_byte(&b, '\'');
		quoted = !time;
		if (time)
			buf_str(&b, time->java);
		else
			buf_byte(&b, (uint8_t) *p);
		p += time ? strlen(time->text) : 1;
	}
	if (quoted)
		buf_byte(&b, '\'');
	text = xstrdup(buf_cstr(&b));
	buf_done(&b);
	return text;
}

/* ---- runs ---- */

static int
compare(const DdlRun *r, const char *form, int64_t number)
{
	int c = strcmp(r->form, form);

	return c ? c : r->last < number ? -1 : r->first > number;
}

static void
insert(DdlTable *t, int at, DdlRun run)
{
	t->runs = xrealloc(t->runs, ((size_t) t->nruns + 1) * sizeof(*t->runs));
	memmove(&t->runs[at + 1], &t->runs[at],
			(size_t) (t->nruns - at) * sizeof(*t->runs));
	t->runs[at] = run;
	t->runs[at].form = xstrdup(run.form);
	t->nruns++;
}

/* The first run that does not lie before it. */
static int
place_of(const DdlTable *t, const char *form, int64_t number)
{
	int at = 0;

	while (at < t->nruns && compare(&t->runs[at], form, number) < 0)
		at++;
	return at;
}

static bool
goes_on(const DdlTable *t, int at, const char *form, DdlForm format)
{
	return at >= 0 && at < t->nruns && t->runs[at].format == format &&
		   strcmp(t->runs[at].form, form) == 0;
}

/* A folder of its own among those of another format. */
static void
split_run(DdlTable *t, int at, DdlRun run)
{
	DdlRun rest = t->runs[at];

	rest.first = run.first + 1;
	t->runs[at].last = run.first - 1;
	if (t->runs[at].first <= t->runs[at].last)
		insert(t, ++at, run);
	else
	{
		t->runs[at].first = t->runs[at].last = run.first;
		t->runs[at].format = run.format;
	}
	if (rest.first <= rest.last)
		insert(t, at + 1, rest);
}

void
ddl_add_run(DdlTable *t, const char *form, bool own, DdlForm format,
			const char *folder)
{
	int64_t number = folder_number(form, folder);
	int at = place_of(t, form, number);
	DdlRun run = { (char *) form, own, format, number, number };

	if (at < t->nruns && compare(&t->runs[at], form, number) == 0)
	{
		if (t->runs[at].format != format)
			split_run(t, at, run);
		return;
	}
	if (goes_on(t, at - 1, form, format))
		t->runs[at - 1].last = number;
	else if (goes_on(t, at, form, format))
		t->runs[at].first = number;
	else
		insert(t, at, run);
}

void
ddl_runs_done(DdlTable *t)
{
	for (int i = 0; i < t->nruns; i++)
		free(t->runs[i].form);
	free(t->runs);
}

static bool
is_same_form(const DdlTable *t, const DdlRun *run, int step)
{
	int at = (int) (run - t->runs) + step;

	return at >= 0 && at < t->nruns && strcmp(t->runs[at].form, run->form) == 0;
}

int64_t
ddl_run_begin(const DdlTable *t, const DdlRun *run)
{
	DdlUnit unit = ddl_unit(run->form);

	if (is_same_form(t, run, -1))
		return run->first;
	return run->first - (unit == DDL_MINUTES ? 1440
						 : unit == DDL_HOURS ? 24
											 : unit > DDL_NO_UNIT);
}

bool
ddl_run_end(const DdlTable *t, const DdlRun *run, int64_t *out)
{
	if (!is_same_form(t, run, 1))
		return false;
	*out = run[1].first - 1;
	return true;
}

char *
ddl_first_year(const DdlTable *t, const DdlRun *run)
{
	CivilTime c;

	civil_of(ddl_unit(run->form), ddl_run_begin(t, run), &c);
	return xasprintf("%04d", (int) c.year);
}
