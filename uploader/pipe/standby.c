/*-------------------------------------------------------------------------
 * standby.c
 *	  run --standby: waits while another process has the slot.
 *
 * Layer: pipe.
 *-------------------------------------------------------------------------
 */
#include "pipe/standby.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/notify.h"
#include "base/stats.h"
#include "io/pgconn.h"

#define LOOK_EVERY_MS 1000
#define TELL_EVERY_MS 600000
#define STEP_MS 50
#define AGAIN_BASE_MS 1000
#define AGAIN_CAP_MS 20000

void
standby_init(Standby *s)
{
	*s = (Standby){ .free_ms = -1, .told_ms = -1 };
}

StandbyStep
standby_look(Standby *s, int64_t holder, int64_t now_ms)
{
	bool other = holder != s->holder;

	s->holder = holder;
	if (holder == 0)
	{
		if (s->free_ms < 0)
			s->free_ms = now_ms;
		return now_ms - s->free_ms >= STANDBY_FREE_MS ? STANDBY_TAKES_OVER
													  : STANDBY_WAITS;
	}
	s->free_ms = -1;
	if (s->told_ms >= 0 && !other && now_ms - s->told_ms < TELL_EVERY_MS)
		return STANDBY_WAITS;
	s->told_ms = now_ms;
	return STANDBY_TELLS;
}

static bool
is_stopped(void *arg)
{
	const RunOptions *o = arg;

	return atomic_load(&o->control->stop);
}

/* Waits; false at a stop. */
static bool
pause_ms(const RunOptions *o, int64_t ms)
{
	int64_t until = clock_mono_ms() + ms;

	while (!atomic_load(&o->control->stop) && clock_mono_ms() < until)
		clock_sleep_ms(STEP_MS);
	return !atomic_load(&o->control->stop);
}

/* Who has the slot; *out_there: there is such a slot.  Closes what is lost. */
static bool
look(const RunOptions *o, PGconn **conn, int64_t *holder, bool *out_there,
	 Err *err)
{
	const PgWait wait = { .stopped = is_stopped,
						  .arg = (void *) o,
						  .limit_ms = o->silence_ms };
	PGresult *res;

	if (!*conn && !pg_connect_wait(o->conninfo, PG_SOURCE, &wait, conn, err))
		return false;
	if (!pg_exec_params(*conn, PG_SOURCE, "look who has the slot",
						"SELECT coalesce(active_pid, 0)"
						" FROM pg_catalog.pg_replication_slots"
						" WHERE slot_name = $1",
						1, &o->slot, &res, err))
	{
		PQfinish(*conn);
		*conn = NULL;
		return false;
	}
	*out_there = PQntuples(res) == 1;
	*holder =
		*out_there ? strtoll(PQgetvalue(res, 0, 0), NULL, 10) : INT64_C(0);
	PQclear(res);
	return true;
}

static void
tell(const RunOptions *o, int64_t holder)
{
	count_set(&stats.link, LINK_STANDBY);
	log_info("standby: another process has the slot, waiting", "slot", o->slot,
			 "pid", log_int(holder), NULL);
	notify_status("standby: the process with pid %" PRId64
				  " of the source server has the slot",
				  holder);
}

/* May a later look work? */
static bool
may_pass(const Err *err, bool looked)
{
	return looked && ((err->kind == ERR_SOURCE && err->code == PG_TRANSIENT) ||
					  err_is_retryable(err->kind));
}

/* The source does not answer; false where that ends the wait. */
static bool
again(const RunOptions *o, int attempt, bool looked, const Err *err)
{
	if (!may_pass(err, looked) || atomic_load(&o->control->stop))
		return false;
	if (attempt == 1) /* a line for each time that it goes away */
		log_warn("standby: the source does not answer, trying again", "error",
				 err->msg, NULL);
	notify_status("standby: the source does not answer");
	return pause_ms(o, backoff_ms(attempt, AGAIN_BASE_MS, AGAIN_CAP_MS));
}

static bool
wait_for_slot(const RunOptions *o, PGconn **conn, Err *err)
{
	Standby s;
	int attempt = 0;
	bool looked = false;
	bool there;
	int64_t holder;

	standby_init(&s);
	do
	{
		StandbyStep step;

		if (!look(o, conn, &holder, &there, err))
		{
			standby_init(&s); /* what was seen is old */
			if (!again(o, ++attempt, looked, err))
				return false;
			continue;
		}
		attempt = 0;
		if (!there)
			return true;
		looked = true;
		step = standby_look(&s, holder, clock_mono_ms());
		if (step == STANDBY_TAKES_OVER)
			return true;
		if (step == STANDBY_TELLS)
			tell(o, holder);
	} while (pause_ms(o, LOOK_EVERY_MS));
	return err_set(err, ERR_STOP, 0, "stopped");
}

bool
standby_wait(const RunOptions *o, Err *err)
{
	PGconn *conn = NULL;
	bool ok = wait_for_slot(o, &conn, err);

	PQfinish(conn);
	if (count_get(&stats.link) == LINK_STANDBY)
	{
		count_set(&stats.link, LINK_STARTING);
		if (ok)
			log_info("standby: the slot is free, taking over", "slot", o->slot,
					 NULL);
	}
	return ok;
}
