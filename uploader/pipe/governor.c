/*-------------------------------------------------------------------------
 * governor.c
 *	  How much WAL the slot may hold still: the judgement.
 *
 * Layer: pipe.
 *-------------------------------------------------------------------------
 */
#include "pipe/governor.h"

#define WARN_MINUTES 60
#define SHED_MINUTES 15
#define RATE_MIN_MS 10000               /* a rate over less says nothing */
#define QUIET_BYTES (INT64_C(64) << 20) /* so much is held at any time */

/* What is left; *limit: of how much. */
static int64_t
left_of(const Governor *g, const GovernorSample *s, int64_t *limit)
{
	int64_t left = -1;

	if (s->safe >= 0)
		left = s->safe;
	if (g->max_retained > 0)
	{
		int64_t own =
			g->max_retained > s->retained ? g->max_retained - s->retained : 0;

		if (left < 0 || own < left)
			left = own;
	}
	*limit = left < 0 ? -1 : left + s->retained;
	return left;
}

/* Bytes a second by which what the slot holds grew over the window. */
static int64_t
rate_of(const Governor *g, const GovernorSample *s)
{
	int first = g->n > GOVERNOR_WINDOW ? g->n - GOVERNOR_WINDOW : 0;
	const GovernorSample *old = &g->samples[first % GOVERNOR_WINDOW];
	int64_t ms = s->at_ms - old->at_ms;

	if (g->n < 2 || ms < RATE_MIN_MS)
		return 0;
	return (s->retained - old->retained) * 1000 / ms;
}

static GovernorLevel
level_of(const Governor *g, const GovernorSample *s, const GovernorVerdict *v,
		 int64_t limit)
{
	bool soon = v->minutes >= 0 && s->retained > QUIET_BYTES;

	if (v->left < 0)
		return GOVERNOR_CALM;
	if (v->left <= g->min_free && s->retained > 0)
		return GOVERNOR_DROP;
	if (v->left < limit / 4 || (soon && v->minutes < SHED_MINUTES))
		return GOVERNOR_SHED;
	/* what was shed is taken up again only with room to spare */
	if (g->level >= GOVERNOR_SHED && v->left < limit / 2)
		return GOVERNOR_SHED;
	if (v->left < limit / 2 || (soon && v->minutes < WARN_MINUTES))
		return GOVERNOR_WARN;
	return GOVERNOR_CALM;
}

GovernorVerdict
governor_judge(Governor *g, const GovernorSample *s)
{
	GovernorVerdict v = { .minutes = -1 };
	int64_t limit;

	g->samples[g->n++ % GOVERNOR_WINDOW] = *s;
	v.left = left_of(g, s, &limit);
	v.rate = rate_of(g, s);
	if (v.left >= 0 && v.rate > 0)
		v.minutes = v.left / v.rate / 60;
	v.level = g->level = level_of(g, s, &v, limit);
	return v;
}
