/*-------------------------------------------------------------------------
 * stats.h
 *	  Counters of what the process does, for whoever looks at it (serve/).
 *
 * Each is one atomic number.  Writers never wait and never take a lock, and
 * what is written once a row is plain arithmetic in the one thread that
 * writes it (count_own); a scrape reads what is there and disturbs nobody.
 * What has names (tables, entries, errors) is in seen.h.
 *
 * Invariants:
 *	(1) What is called a total never goes back while the process lives, also
 *		across sessions.
 *	(2) A Histogram's count is the sum of its buckets, so that a reader never
 *		sees one without the other.
 *
 * Threads: any.  Layer: base.
 *-------------------------------------------------------------------------
 */
#ifndef STATS_H
#define STATS_H

#include <stdatomic.h>
#include <stdint.h>

typedef _Atomic int64_t Count;

static inline int64_t
count_get(const Count *c)
{
	return atomic_load_explicit(c, memory_order_relaxed);
}

static inline void
count_set(Count *c, int64_t v)
{
	atomic_store_explicit(c, v, memory_order_relaxed);
}

static inline void
count_add(Count *c, int64_t n)
{
	atomic_fetch_add_explicit(c, n, memory_order_relaxed);
}

/* For a counter that one thread alone writes: no locked instruction. */
static inline void
count_own(Count *c, int64_t n)
{
	count_set(c, count_get(c) + n);
}

#define HISTOGRAM_BUCKETS 16

typedef struct Histogram
{
	const int64_t *bounds_us; /* ascending, then 0; at most BUCKETS - 1 */
	Count buckets[HISTOGRAM_BUCKETS]; /* not cumulated; the last: above all */
	Count sum_us;
} Histogram;

/* n observations of one value. */
void histogram_add(Histogram *h, int64_t us, int64_t n);

/* How many there were. */
int64_t histogram_count(const Histogram *h);

typedef enum StatsRole
{
	ROLE_NONE,
	ROLE_RUN,
	ROLE_MERGE
} StatsRole;

typedef enum StatsLink
{
	LINK_STARTING, /* there was no session yet */
	LINK_UP,
	LINK_DOWN,
	LINK_STOPPING,
	LINK_STANDBY /* another process has the slot */
} StatsLink;

/* Phases of a checkpoint. */
typedef enum StatsPhase
{
	CHECKPOINT_GATHER,  /* from its first row to its close */
	CHECKPOINT_OBJECTS, /* until all its objects are durable */
	CHECKPOINT_ENTRY,   /* until the entry is */
	CHECKPOINT_PHASES
} StatsPhase;

#define STATS_MERGE_PHASES 5 /* of merge_progress.h */
#define STATS_GROUP_ENDS 4   /* of format.h */

#define STATS_OUTPUTS 9 /* the lake's own, and further ones */

/* An output: 0 is the lake's own; seen_output() names them. */
typedef struct StatsOutput
{
	Count objects; /* totals of what entries list */
	Count bytes;
	Count errors;     /* total: tries of calls of its store that failed */
	Count failing_us; /* since when nothing can be stored; 0: the last was */
	Count detached;   /* 0, 1: for as long as the process lives */
	Count oldest_us;  /* commit of the oldest change that it lacks; 0: none */
} StatsOutput;

typedef struct Stats
{
	Count role;     /* StatsRole */
	Count began_us; /* unix time */
	Count link;     /* StatsLink */
	Count sessions; /* total */

	/* positions, as of the receiver and the committer */
	Count received_lsn;
	Count durable_lsn;
	Count confirmed_lsn;
	Count server_lsn; /* end of the source's WAL, as it said last */
	Count log_seq;
	Count closed_until_us;
	Count hours_closed; /* total */
	Count entries;      /* total */

	/* What waits: 0 where nothing does (pipe/lag.h). */
	Count oldest_us;    /* when the oldest change was made */
	Count oldest_large; /* it is of a transaction larger than memory */
	Count moved_ms;     /* mono: something went on at that time */
	Count rows_waiting; /* received and not durable */

	/* totals */
	Count rows_received;
	Count bytes_received; /* packets */
	Count transactions;
	Count rows_durable;
	Count bytes_written; /* objects, as stored */
	Count objects;
	Count row_groups[STATS_GROUP_ENDS]; /* of columns, by what ended them */
	Count row_groups_small[STATS_GROUP_ENDS]; /* of these, below 1 MB */

	Histogram lag; /* commit to durable, of transactions */
	Histogram put; /* puts and parts that worked */
	Histogram checkpoint[CHECKPOINT_PHASES];

	/* of the receiver's last look */
	Count budget_used;
	Count budget_limit;
	Count queued_bytes;
	Count paused; /* 0, 1 */
	Count flush_interval_ms;

	StatsOutput outputs[STATS_OUTPUTS];

	Count loads_open; /* tables */
	Count loads_done; /* total */

	/* the slot; asked_us 0: not known yet */
	Count slot_asked_us;
	Count slot_safe_bytes; /* -1: no limit */
	Count slot_retained_bytes;

	Count credentials_expire_us;  /* of the store; 0: never, or not known */
	Count certificate_expires_us; /* of the source server; likewise */
	Count client_certificate_expires_us;

	/* merge */
	Count merges; /* total */
	Count merge_failures;
	Count merge_failed; /* the last one did: 0, 1 */
	Count merge_at_us;  /* the end of the last one that did not */
	Count merge_lsn;
	Count merge_entry;
	Count merge_entry_us; /* when the entry was written that it ends with */
	Count merge_behind;   /* entries of the log behind it */
	Count merge_entries;  /* applied, total */
	Count merge_inserted; /* totals */
	Count merge_updated;
	Count merge_deleted;
	Count merge_rejected;
	Count merge_phase_ms[STATS_MERGE_PHASES];
	Count rejected_rows; /* in cdc_s3.rejected now */
	Count resync_tables; /* in cdc_s3.resync now */
} Stats;

extern Stats stats;

/* Something went on: what waits does not wait in vain. */
void stats_moved(void);

#endif
