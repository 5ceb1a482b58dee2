/*-------------------------------------------------------------------------
 * merge_limit.c
 *	  merge.reject_limit: how many changes of a merge may be rejected.
 *
 * Layer: merge.
 *-------------------------------------------------------------------------
 */
#include "merge/merge_limit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* 0: no limit. */
typedef struct Limit
{
	double value;
	bool percent;
} Limit;

static bool
parse(const char *text, Limit *out)
{
	char *end;

	*out = (Limit){ 0, false };
	if (!text[0])
		return true;
	if (text[0] < '0' || text[0] > '9' ||
		strspn(text, "0123456789.%") != strlen(text))
		return false;
	errno = 0;
	out->value = strtod(text, &end);
	out->percent = strcmp(end, "%") == 0;
	if (errno != 0 || (!out->percent && *end))
		return false;
	return out->percent ? out->value <= 100 : strchr(text, '.') == NULL;
}

bool
limit_check(const char *limit, Err *err)
{
	Limit l;

	if (parse(limit, &l))
		return true;
	err_set(err, ERR_USAGE, 0, "cannot understand merge.reject_limit \"%s\"",
			limit);
	return err_hint(err, "write a number of rows like 1000, a share of the "
						 "changes like 1%%, or 0 for no limit");
}

bool
limit_keep(const MergeCx *cx, const MergeResult *r, bool whole, Err *err)
{
	int64_t changes = 0;
	int64_t rejected = -r->again;
	Limit l;

	if (!parse(cx->opt->reject_limit, &l) || l.value <= 0 ||
		(l.percent && !whole))
		return true;
	for (int i = 0; i < r->ntables; i++)
	{
		changes += r->tables[i].records;
		rejected += r->tables[i].rejected;
	}
	if ((double) rejected <=
		(l.percent ? (double) changes * l.value / 100 : l.value))
		return true;
	err_set(err, ERR_TARGET, 0,
			"%lld of %lld changes were rejected, and merge.reject_limit is %s; "
			"the first one: %s",
			(long long) rejected, (long long) changes, cx->opt->reject_limit,
			cx->why);
	return err_hint(err, "nothing of this transaction was changed: mend the "
						 "target, or set a higher merge.reject_limit");
}
