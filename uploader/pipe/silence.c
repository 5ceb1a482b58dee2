/*-------------------------------------------------------------------------
 * silence.c
 *	  How long the source may say nothing, and what is done then.
 *
 * Layer: pipe.
 *-------------------------------------------------------------------------
 */
#include "pipe/silence.h"

#define DEFAULT_MS 120000
#define LIMIT_MAX_MS (3600 * INT64_C(1000))
#define ANSWER_MAX_MS                                                          \
	10000 /* the control connection has nothing else to do                     \
		   */

int64_t
silence_default_ms(int64_t wal_sender_timeout_ms)
{
	return wal_sender_timeout_ms > 0 ? 2 * wal_sender_timeout_ms : DEFAULT_MS;
}

static bool
is_progress(SilenceMark before, SilenceMark after)
{
	return after.log_end > before.log_end ||
		   after.closed_until > before.closed_until;
}

void
silence_begin(Silence *s, int64_t base_ms, SilenceMark at, SilenceWatch *out,
			  int64_t now_ms)
{
	if (s->limit_ms == 0)
		s->mark = at;
	if (s->limit_ms < base_ms)
		s->limit_ms = base_ms;
	*out = (SilenceWatch){ .base_ms = base_ms,
						   .limit_ms = s->limit_ms,
						   .mark = s->mark,
						   .since_ms = now_ms,
						   .heard_ms = now_ms };
}

void
silence_was_cut(Silence *s, const SilenceWatch *w, SilenceMark at)
{
	s->limit_ms = 2 * w->limit_ms;
	if (s->limit_ms > LIMIT_MAX_MS)
		s->limit_ms = LIMIT_MAX_MS;
	if (s->limit_ms < w->base_ms || is_progress(w->mark, at))
		s->limit_ms = w->base_ms;
	s->mark = at;
}

void
silence_heard(SilenceWatch *w, int64_t now_ms)
{
	w->since_ms = now_ms;
	w->heard_ms = now_ms;
	w->asked_ms = 0;
}

SilenceStep
silence_look(SilenceWatch *w, SilenceMark at, int64_t now_ms)
{
	int64_t wait_ms;

	if (w->limit_ms > w->base_ms && is_progress(w->mark, at))
		w->limit_ms = w->base_ms;
	wait_ms = w->limit_ms < ANSWER_MAX_MS ? w->limit_ms : ANSWER_MAX_MS;
	if (w->limit_ms == 0 || now_ms - w->since_ms < w->limit_ms)
		return SILENCE_NONE;
	if (w->asked_ms == 0)
	{
		w->asked_ms = now_ms;
		return SILENCE_ASK;
	}
	return now_ms - w->asked_ms < wait_ms ? SILENCE_NONE : SILENCE_CUT;
}

void
silence_works(SilenceWatch *w, int64_t now_ms)
{
	w->since_ms = now_ms;
	w->asked_ms = 0;
}
