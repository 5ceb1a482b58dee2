/*-------------------------------------------------------------------------
 * governor_thread.c
 *	  How much WAL the slot may hold still: who looks, and what is done.
 *
 * Layer: pipe.
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "io/source.h"
#include "pipe/governor.h"

#define LOOK_MIN_MS 1000
#define LOOK_MAX_MS 10000
#define TELL_EVERY_MS 60000
#define STEP_MS 100
#define DROP_FOR_MS 60000 /* until the walsender has seen that we are gone */

struct GovernorThread
{
	const RunOptions *o;
	Governor g;
	pthread_t thread;
	atomic_bool over;
	PGconn *conn;
	int64_t told_ms;
	GovernorLevel told;
	bool warned; /* that it cannot look */
	bool no_limit_told;
};

static bool
is_over(void *arg)
{
	GovernorThread *t = arg;

	return atomic_load(&t->over);
}

static bool
connect_source(GovernorThread *t, PgRole role, PGconn **out, Err *err)
{
	const PgWait wait = { .stopped = is_over, .arg = t };

	return pg_connect_wait(t->o->conninfo, role, &wait, out, err);
}

/* ---- looking ---- */

static const char sample_sql[] =
	"SELECT CASE WHEN pg_catalog.pg_is_in_recovery()"
	"  THEN pg_catalog.pg_last_wal_replay_lsn()"
	"  ELSE pg_catalog.pg_current_wal_lsn() END,"
	" restart_lsn, confirmed_flush_lsn, coalesce(safe_wal_size, -1)"
	" FROM pg_catalog.pg_replication_slots"
	" WHERE slot_name = $1 AND restart_lsn IS NOT NULL"
	" AND confirmed_flush_lsn IS NOT NULL";

/* *out_there: there is a slot that holds WAL. */
static bool
sample(GovernorThread *t, GovernorSample *out, bool *out_there, Err *err)
{
	PGresult *res;
	Lsn end = 0;
	Lsn restart = 0;
	Lsn confirmed = 0;

	if (!t->conn && !connect_source(t, PG_SOURCE, &t->conn, err))
		return false;
	if (!pg_exec_params(t->conn, PG_SOURCE, "read what the slot holds",
						sample_sql, 1, &t->o->slot, &res, err))
	{
		PQfinish(t->conn);
		t->conn = NULL;
		return false;
	}
	*out_there = PQntuples(res) == 1 &&
				 lsn_parse(PQgetvalue(res, 0, 0), &end) &&
				 lsn_parse(PQgetvalue(res, 0, 1), &restart) &&
				 lsn_parse(PQgetvalue(res, 0, 2), &confirmed);
	if (*out_there)
		*out = (GovernorSample){
			.at_ms = clock_mono_ms(),
			.retained = end > restart ? (int64_t) (end - restart) : 0,
			.lag = end > confirmed ? (int64_t) (end - confirmed) : 0,
			.safe = strtoll(PQgetvalue(res, 0, 3), NULL, 10)
		};
	PQclear(res);
	return true;
}

/* ---- telling ---- */

static void
tell_no_limit(GovernorThread *t, const GovernorSample *s)
{
	if (s->safe >= 0 || t->no_limit_told)
		return;
	t->no_limit_told = true;
	log_info(
		"the source has no limit for WAL that slots hold, and what its "
		"disk has left cannot be asked by SQL",
		"max_retained", log_int(t->g.max_retained), "hint",
		t->g.max_retained > 0
			? "governor.max_retained stands for it; max_slot_wal_keep_size "
			  "is the server's own"
			: "set governor.max_retained to what the disk can spare, or "
			  "max_slot_wal_keep_size at the server",
		NULL);
}

static void
tell(GovernorThread *t, const GovernorSample *s, const GovernorVerdict *v)
{
	int64_t now = clock_mono_ms();

	if (v->level == t->told &&
		(v->level == GOVERNOR_CALM || now - t->told_ms < TELL_EVERY_MS))
		return;
	if (v->level == GOVERNOR_CALM)
		log_info("the slot has room for WAL again", "retained",
				 log_int(s->retained), "left", log_int(v->left), NULL);
	else
		log_event(
			LOG_WARN, "WAL piles up behind the slot", "retained",
			log_int(s->retained), "lag", log_int(s->lag), "left",
			log_int(v->left), "bytes_per_second", log_int(v->rate),
			"minutes_left", v->minutes >= 0 ? log_int(v->minutes) : NULL,
			v->minutes >= 0 ? "hint" : NULL,
			"then the slot is lost, at this rate; see why run is slow, or "
			"raise what may be held",
			NULL);
	t->told = v->level;
	t->told_ms = now;
}

/* ---- doing ---- */

static void
act(GovernorThread *t, const GovernorVerdict *v)
{
	RunControl *c = t->o->control;
	bool shed =
		t->o->governor.action >= GOVERNOR_SHED && v->level >= GOVERNOR_SHED;
	uint64_t one = 1;

	if (atomic_exchange(&c->shed, shed) != shed)
		log_event(LOG_WARN,
				  shed ? "load is shed: loads pause, entries are written at "
						 "once, compression is the cheapest"
					   : "load is taken up again",
				  "left", log_int(v->left), NULL);
	if (t->o->governor.action < GOVERNOR_DROP || v->level < GOVERNOR_DROP ||
		atomic_load(&c->stop))
		return;
	log_error("the slot is dropped, so that the source has room", "slot",
			  t->o->slot, "left", log_int(v->left), "min_free",
			  log_int(t->g.min_free), NULL);
	atomic_store(&c->dropping, true);
	atomic_store(&c->stop, true);
	if (write(c->wake_fd, &one, sizeof(one)) < 0)
		return; /* the counter is full: the reader is awake */
}

static void
look(GovernorThread *t)
{
	GovernorSample s;
	GovernorVerdict v;
	bool there = false;
	Err err;

	if (!sample(t, &s, &there, &err))
	{
		if (!t->warned && !atomic_load(&t->over))
			log_err(LOG_WARN, "could not see how much WAL the slot holds",
					&err);
		t->warned = true;
		return;
	}
	t->warned = false;
	if (!there)
		return;
	tell_no_limit(t, &s);
	v = governor_judge(&t->g, &s);
	tell(t, &s, &v);
	act(t, &v);
}

static int64_t
look_every_ms(const RunOptions *o)
{
	int64_t ms = atomic_load(&o->control->flush_interval_ms);

	return ms < LOOK_MIN_MS ? LOOK_MIN_MS : ms > LOOK_MAX_MS ? LOOK_MAX_MS : ms;
}

static void *
governor_main(void *arg)
{
	GovernorThread *t = arg;

	while (!atomic_load(&t->over) && !atomic_load(&t->o->control->dropping))
	{
		int64_t until = clock_mono_ms() + look_every_ms(t->o);

		look(t);
		while (!atomic_load(&t->over) && clock_mono_ms() < until)
			clock_sleep_ms(STEP_MS);
	}
	return NULL;
}

GovernorThread *
governor_begin(const RunOptions *o)
{
	GovernorThread *t = xcalloc(1, sizeof(*t));

	t->o = o;
	t->g.max_retained = o->governor.max_retained;
	t->g.min_free = o->governor.min_free;
	if (pthread_create(&t->thread, NULL, governor_main, t) == 0)
		return t;
	log_error("could not start the thread that watches WAL", NULL);
	free(t);
	return NULL;
}

/* ---- the end of the slot ---- */

static bool
try_drop(GovernorThread *t, Err *err)
{
	PGconn *replication = NULL;
	bool ok = connect_source(t, PG_SOURCE_REPLICATION, &replication, err) &&
			  source_drop_slot(replication, t->o->slot, err);

	PQfinish(replication);
	return ok;
}

/* Its walsender may need a while to see that nobody is there. */
static bool
drop_slot(GovernorThread *t, Err *err)
{
	int64_t until = clock_mono_ms() + DROP_FOR_MS;

	while (!try_drop(t, err))
	{
		if (clock_mono_ms() >= until)
			return false;
		clock_sleep_ms(STEP_MS);
	}
	return true;
}

/* Replaces err, which only tells how the last session ended. */
static void
end_of_slot(GovernorThread *t, Err *err)
{
	Err why;

	if (!drop_slot(t, &why))
	{
		err_set(err, ERR_GAP, 0,
				"slot \"%s\" was to be dropped, since the source has no more "
				"room than governor.min_free, and could not be: %s",
				t->o->slot, why.msg);
		err_hint(err,
				 "drop it by hand, or its WAL fills the source's disk: "
				 "SELECT pg_drop_replication_slot('%s');",
				 t->o->slot);
		return;
	}
	err_set(err, ERR_GAP, 0,
			"slot \"%s\" was dropped, since the source had no more room for "
			"WAL than governor.min_free",
			t->o->slot);
	err_hint(err, "changes from here on are not in the lake: begin a new lake "
				  "with a first load (another store.url, cdc-s3 init, cdc-s3 "
				  "run), then cdc-s3 merge --adopt");
}

bool
governor_end(GovernorThread *t, bool ok, Err *err)
{
	if (!t)
		return ok;
	atomic_store(&t->over, true);
	pthread_join(t->thread, NULL);
	PQfinish(t->conn);
	if (atomic_load(&t->o->control->dropping))
	{
		atomic_store(&t->over, false); /* nothing stops what is left to do */
		end_of_slot(t, err);
		ok = false;
	}
	free(t);
	return ok;
}
