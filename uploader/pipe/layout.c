/*-------------------------------------------------------------------------
 * layout.c
 *	  Where objects lie and in which format, by the time of their changes.
 *
 * Layer: pipe.
 *-------------------------------------------------------------------------
 */
#include "pipe/layout.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "io/zonefile.h"

#define SPANS_MAX 4096 /* two days of minutes, and some */

/* So long a layout is known that ended: its folders' names may come again. */
#define KEPT_US (2 * ZONE_OFFSET_MAX * US_PER_SEC)

/*
 * One layout
 */
static bool
is_same_place(const EntryLayout *a, const EntryLayout *b)
{
	return strcmp(a->path, b->path) == 0 && strcmp(a->zone, b->zone) == 0;
}

static bool
is_same_form(const EntryLayout *a, const EntryLayout *b)
{
	return strcmp(a->format, b->format) == 0 &&
		   strcmp(a->variant, b->variant) == 0 &&
		   strcmp(a->compression, b->compression) == 0;
}

static bool
open_layout(Layout *l, const EntryLayout *said, Err *err)
{
	Zone *zone;

	entry_layout_copy(said, &l->said);
	l->added = (EntryLayout){ 0 };
	l->path = NULL;
	l->format = format_find(said->format);
	if (!l->format ||
		!compression_parse_inner(said->compression, &l->compression))
		return err_set(err, ERR_DATA, 0,
					   "the log names format \"%.32s\" with compression "
					   "\"%.32s\", which this release does not know",
					   said->format, said->compression);
	return zone_open(said->zone, &zone, err) &&
		   path_parse(said->path, zone, &l->path, err);
}

static void
close_layout(Layout *l)
{
	entry_layout_done(&l->said);
	entry_layout_done(&l->added);
	path_free(l->path);
}

void
layout_options(const Layout *l, FormatOptions *options)
{
	options->dms = l->said.variant;
	options->csv_escape = strcmp(l->said.variant, "escape") == 0;
	options->parquet_exact = strncmp(l->said.variant, "exact", 5) == 0;
	options->parquet_ms = strcmp(l->said.variant, "ms") == 0 ||
						  strcmp(l->said.variant, "exact-ms") == 0;
}

/* The partition of that time, no part of it before the layout's start. */
static PathSpan
span_of(const Layout *l, int64_t unix_us)
{
	int64_t first = l->said.start;
	PathSpan span;

	if (l->said.from > first)
		first = l->said.from;
	if (first && unix_us < first)
		unix_us = first;
	span = path_span(l->path, unix_us);
	if (first && span.begin < first)
		span.begin = first;
	return span;
}

/*
 * Changes
 */

/*
 * The last local time, as PathSpan's id, by which one of these names a folder;
 * folders of times that lie far ahead do not count.
 */
static int64_t
last_name(const Layout *l, int64_t start)
{
	const EntryLayout *said = &l->said;
	int64_t far = start + ZONE_OFFSET_MAX * US_PER_SEC;
	int64_t at = said->until - 1 > said->from ? said->until - 1 : said->from;
	int64_t last = path_span(l->path, at).id;

	for (int i = 0; i < said->npartitions; i++)
	{
		int64_t id = path_span(l->path, said->partitions[i]).id;

		if (said->partitions[i] < far && id > last)
			last = id;
	}
	return last;
}

/* From start on the first time whose folder none before it names so. */
static int64_t
first_free(const Layouts *l, int64_t start)
{
	const Layout *new = &l->items[l->n - 1];
	int64_t last = INT64_MIN;
	int64_t from = start;

	for (int i = 0; i < l->n - 1; i++)
	{
		int64_t id = last_name(&l->items[i], start);

		if (strcmp(l->items[i].said.path, new->said.path) == 0 && id > last)
			last = id;
	}
	for (int i = 0; i < SPANS_MAX; i++)
	{
		PathSpan span = path_span(new->path, from);

		if (span.id > last || span.until == INT64_MAX)
			break;
		from = span.until;
	}
	return from;
}

/* Where the last layout can end; 0: nowhere. */
static int64_t
end_of(const Layout *old, const Layout *l, int64_t at)
{
	PathSpan span = path_span(old->path, at);

	if (span.end != INT64_MAX)
		return span.end;
	if (strcmp(old->said.path, l->said.path) == 0)
		return 0;
	return (at / US_PER_SEC + 1) * US_PER_SEC; /* no folder of theirs is one */
}

/* The last one begins where the one before it ends. */
static void
begin_at(Layouts *l, int64_t end)
{
	Layout *old = &l->items[l->n - 2];
	Layout *new = &l->items[l->n - 1];
	PathSpan span = path_span(new->path, end);
	int64_t from;

	new->said.start = end;
	if (strcmp(old->said.path, new->said.path) != 0 && span.begin < end &&
		span.begin != INT64_MIN && span.end != INT64_MAX)
		new->said.start = span.end; /* a folder of it begins there */
	old->said.until = new->said.start;
	from = first_free(l, new->said.start);
	if (from > new->said.start)
		new->said.from = from;
}

/* Another layout behind the last one. */
static bool
add_change(Layouts *l, const EntryLayout *wanted, int64_t at, LayoutChange *out,
		   Err *err)
{
	Layout *old = &l->items[l->n - 1];
	Layout *new = &l->items[l->n];
	int64_t end;

	if (l->n == ENTRY_LAYOUTS_MAX)
	{
		(void) err_set(err, ERR_USAGE, 0,
					   "the output settings changed %d times within "
					   "partitions that are not complete",
					   l->n);
		return err_hint(err, "set them back to what the last entry says, and "
							 "change them once a partition is complete");
	}
	l->n++;
	if (!open_layout(new, wanted, err))
		return false;
	if (at < old->said.start)
		at = old->said.start;
	if (at < old->said.from)
		at = old->said.from;
	end = end_of(old, new, at);
	*out = end ? LAYOUT_NEW : LAYOUT_NEVER;
	if (end)
	{
		begin_at(l, end);
		return true;
	}
	/* a zone is nothing to folders without times */
	if (is_same_form(&old->said, wanted))
		*out = LAYOUT_SAME;
	close_layout(new);
	l->n--;
	return true;
}

static bool
want(Layouts *l, const EntryLayout *wanted, int64_t at, LayoutChange *out,
	 Err *err)
{
	Layout *last = &l->items[l->n - 1];

	*out = LAYOUT_SAME;
	if (is_same_form(&last->said, wanted) && is_same_place(&last->said, wanted))
		return true;
	if (l->n > 1 && last->said.start > at && last->said.npartitions == 0)
	{
		/* it never began */
		close_layout(last);
		l->n--;
		last--;
		last->said.until = 0;
		if (is_same_form(&last->said, wanted) &&
			is_same_place(&last->said, wanted))
			return true;
	}
	return add_change(l, wanted, at, out, err);
}

bool
layout_is_open(const Layout *l, int64_t closed_until)
{
	return l->said.until == 0 || l->said.until > closed_until ||
		   l->said.npartitions > 0;
}

bool
layouts_go_on(Layouts *l, const LayoutsSaid *said, const EntryLayout *wanted,
			  int64_t now_us, LayoutChange *out, Err *err)
{
	int64_t at = said->closed_until;

	*l = (Layouts){ 0 };
	*out = LAYOUT_SAME;
	for (int i = 0; i < said->n; i++)
	{
		l->n++;
		if (!open_layout(&l->items[i], &said->all[i], err))
			return false;
	}
	if (now_us > at)
		at = now_us;
	if (l->n > 0)
		return want(l, wanted, at, out, err);
	l->n = 1;
	return open_layout(&l->items[0], wanted, err);
}

bool
layouts_open(Layouts *l, const Entry *last, const EntryLayout *wanted,
			 int64_t now_us, LayoutChange *out, Err *err)
{
	const LayoutsSaid said = { last->layouts, last->nlayouts,
							   last->closed_until };

	return layouts_go_on(l, &said, wanted, now_us, out, err);
}

void
layouts_done(Layouts *l)
{
	for (int i = 0; i < l->n; i++)
		close_layout(&l->items[i]);
	l->n = 0;
}

/*
 * Rows
 */
static bool
lists(const EntryLayout *said, int64_t folder)
{
	for (int i = 0; i < said->npartitions; i++)
	{
		if (said->partitions[i] == folder)
			return true;
	}
	return false;
}

/* Does it list the partition that has this time? */
static bool
lists_time(const Layout *l, int64_t unix_us)
{
	int64_t begin = l->said.npartitions ? span_of(l, unix_us).begin : 0;

	for (int i = 0; i < l->said.npartitions; i++)
	{
		if (span_of(l, l->said.partitions[i]).begin == begin)
			return true;
	}
	return false;
}

static int
of_time(const Layouts *l, int64_t unix_us)
{
	for (int i = 0; i < l->n - 1; i++)
	{
		const Layout *old = &l->items[i];

		if (unix_us < old->said.until || lists_time(old, unix_us))
			return i;
	}
	return l->n - 1;
}

int
layouts_of_folder(const Layouts *l, int64_t folder)
{
	for (int i = 0; i < l->n - 1; i++)
	{
		const EntryLayout *old = &l->items[i].said;

		if (folder < old->until || lists(old, folder))
			return i;
	}
	return l->n - 1;
}

int64_t
layouts_folder(const Layouts *l, int64_t unix_us, int64_t closed_until)
{
	int i = of_time(l, unix_us);
	PathSpan span = span_of(&l->items[i], unix_us);

	if (span.end <= closed_until)
	{
		i = of_time(l, closed_until);
		span = span_of(&l->items[i], closed_until);
	}
	/* one that begins as a partition that another layout lists */
	while (span.begin != INT64_MIN && layouts_of_folder(l, span.begin) < i)
		span.begin++;
	return span.begin;
}

void
layouts_use(Layouts *l, int64_t folder)
{
	if (folder != INT64_MIN) /* that never ends */
		entry_layout_use(&l->items[layouts_of_folder(l, folder)].added, folder);
}

/*
 * Its partitions that are not complete; of one that ended, those behind its end
 * for as long as their names may come again.
 */
static void
copy_open(const Layout *l, int64_t closed_until, EntryLayout *out)
{
	int n = 0;

	entry_layout_copy(&l->said, out);
	for (int i = 0; i < l->added.npartitions; i++)
		entry_layout_use(out, l->added.partitions[i]);
	for (int i = 0; i < out->npartitions; i++)
	{
		int64_t end = span_of(l, out->partitions[i]).end;

		if (out->until && out->partitions[i] >= out->until &&
			end < INT64_MAX - KEPT_US)
			end += KEPT_US;
		if (end > closed_until)
			out->partitions[n++] = out->partitions[i];
	}
	out->npartitions = n;
}

EntryLayout *
layouts_to_say(const Layouts *l, int64_t closed_until, int64_t swept_until,
			   int *out_n)
{
	int64_t done = closed_until < swept_until ? closed_until : swept_until;
	EntryLayout *all = l->n ? xcalloc((size_t) l->n, sizeof(*all)) : NULL;

	*out_n = 0;
	for (int i = 0; i < l->n; i++)
	{
		EntryLayout *out = &all[*out_n];

		copy_open(&l->items[i], closed_until, out);
		if (i < l->n - 1 && out->npartitions == 0 &&
			l->items[i].said.until + KEPT_US <= done)
			entry_layout_done(out);
		else
			++*out_n;
	}
	return all;
}

void
layouts_to_entry(const Layouts *l, Entry *e)
{
	e->layouts =
		layouts_to_say(l, e->closed_until, e->swept_until, &e->nlayouts);
}
