/*-------------------------------------------------------------------------
 * pipe.h
 *	  One session of the stream, and what its threads share.
 *
 *	  receiver ──events──> encoder ──objects' batches──> shippers ──> store
 *	  (recv.c)			   (encode.c)					 (ship.c)
 *		 ^						└──checkpoints──> committer ──entry──> store
 *		 └──────────── confirmed LSN ──────────── (checkpoint.c)
 *	  loader (load.c) and its workers (load_job.c)
 *		──objects' batches──> shippers; ──load done──> encoder
 *	  sweeper (sweep.c): removes what can never count
 *
 * A session is one replication connection.  When it breaks, what is under
 * way is settled, everything else is thrown away, and a new session starts
 * from the log (run.c).
 *
 * Words: frame, transaction, change, batch, object, entry, checkpoint,
 * confirm: see doc/architecture.md.
 *
 * Threads: what is shared says how it is guarded.  Layer: pipe.
 *-------------------------------------------------------------------------
 */
#ifndef PIPE_H
#define PIPE_H

#include <libpq-fe.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/lsn.h"
#include "base/queue.h"
#include "codec/compress.h"
#include "codec/entry.h"
#include "codec/format.h"
#include "codec/key.h"
#include "codec/path.h"
#include "io/pgwait.h"
#include "pipe/flush.h"
#include "pipe/lag.h"
#include "pipe/layout.h"
#include "store/request.h"
#include "store/store.h"

/*
 * What can change while it runs: asked for by signal handlers, which then
 * write to wake_fd (an eventfd), and the settings that a reload brings.
 */
typedef struct RunControl
{
	atomic_bool stop;
	atomic_uint checkpoints; /* how often one was asked for */
	atomic_uint reloads;     /* likewise */
	int wake_fd;

	_Atomic int64_t grace_ms;
	_Atomic int64_t flush_interval_ms;
	_Atomic int64_t flush_bytes;
	_Atomic int64_t shutdown_ms;
	void (*reload)(struct RunControl *c); /* in the receiver's thread */

	/* The governor's (governor.h). */
	atomic_bool shed;
	atomic_bool dropping; /* the slot will be dropped; stop is set, too */
} RunControl;

/* What is done where WAL piles up behind the slot; see governor.h. */
typedef struct GovernorOptions
{
	int action; /* a GovernorLevel: warn, shed or drop */
	int64_t max_retained;
	int64_t min_free;
} GovernorOptions;

/* How tables are loaded; 0 says none or never where nothing else is said. */
typedef struct LoadOptions
{
	bool only; /* run ends when all loads are done */
	int jobs;  /* tables or chunks read at the same time, at least one */
	int64_t chunk_bytes;
	int64_t max_rate; /* bytes a second */
	int64_t yield_ms;
	int64_t max_age_ms;
	int64_t progress_ms;
	bool terminal; /* progress is shown in lines that are written over */
} LoadOptions;

/* The main output, number 0, and further ones (output.h). */
#define OUTPUTS_MAX STATS_OUTPUTS

/* How a further output is; it outlives the session. */
typedef struct OutputHealth
{
	_Atomic int64_t failing_ms; /* since when (monotonic); 0: it works */
	atomic_bool detached;
} OutputHealth;

/* A further output; strings are borrowed for the whole run. */
typedef struct OutputOptions
{
	const char *name;
	StoreOptions store;
	const char *tables; /* patterns; "": all */
	const char *exclude;
	Compression compression;
	const Path *path;
	const Format *format;
	EntryLayout layout; /* as in RunOptions, and these, too */
	FormatOptions format_options;
	bool dms_names;
	int64_t max_bytes;
	int64_t max_rows;
	bool detach; /* the stream goes on without it when it failed … */
	int64_t detach_after_ms; /* … for so long */
	OutputHealth *health;
} OutputOptions;

/* What run needs to know; strings are borrowed for the whole run. */
typedef struct RunOptions
{
	const char *conninfo;
	const char *slot;
	const char *tables;
	const char *exclude;
	const char *publication;
	int64_t slot_wait_ms; /* for a slot that somebody else has */
	bool standby;         /* wait for the first one without end (standby.h) */
	int64_t silence_ms;   /* of the source; 0: silence_default_ms() */
	StoreOptions store;
	Compression compression;
	const Path *path;
	const Format *format;
	EntryLayout layout; /* these in words; strings are borrowed.  Without a
						 * format (a test) no layouts are kept. */
	FormatOptions format_options; /* less raw_text, which the session knows */
	bool split_keys;     /* a change of a key is two records (split.h) */
	bool fill_unchanged; /* from the old row, where that is at hand */
	bool dms_names;      /* of objects, as AWS DMS begins them */
	int64_t max_bytes;   /* of an object, as the format writes it, before
						  * compression; 0: OBJECT_FULL_BYTES */
	int64_t max_rows;    /* likewise; 0: any number */
	const OutputOptions *further; /* besides the main one, which is above */
	int nfurther;
	int workers;             /* shippers; 0: one */
	const FlushRules *flush; /* NULL: none */
	int64_t memory_limit;
	bool load_initial;
	int64_t retention_ms; /* objects of older entries are given up; 0: never */
	bool resync_auto;     /* tables are loaded that no person asks for … */
	int daily_max;        /* … so often within 24 h */
	LoadOptions load;
	GovernorOptions governor;
	RunControl *control;
} RunOptions;

/* (commit LSN, ordinal): the order of changes. */
typedef struct Position
{
	Lsn lsn;
	int64_t seq;
} Position;

typedef struct Batch Batch;
typedef struct Object Object;
typedef struct Checkpoint Checkpoint;
typedef struct LoadTable LoadTable;

/* Rows of a load are behind all changes that its snapshot has. */
#define LOAD_FIRST_SEQ (INT64_C(1) << 40)

/* How rows of a table are written into an output. */
typedef struct TableForm
{
	const Format *format;
	FormatTable *form;      /* NULL: it is not in that output */
	const Layouts *layouts; /* the pipe's, and … */
	int nold;               /* … how many there are before the last; by … */
	FormatTable **old;      /* … these; NULL: they get no rows any more */
} TableForm;

/*
 * One version of one table, as one thread writes it: the encoder's live in
 * its registry, the loader has its own.  Immutable but for "unwritten", which
 * is used by who writes it, and "file_known", "file_due", "said", "open" and
 * "no_key", which are the encoder's.
 */
typedef struct Table
{
	struct Table *next; /* in its bucket */
	char *schema;
	char *name;
	char hash[SCHEMA_HASH_LEN + 1];
	uint32_t relation_id;
	uint32_t row_type;
	Schema *unwritten; /* until the schema file is durable */
	bool file_known;   /* an entry of this session names it */
	bool file_due;     /* its next object brings the file */
	struct Said *said; /* of the table; told.h */
	RowShape *shape;   /* how its rows are read */
	bool split_keys;   /* split.h */
	TableForm *forms;  /* how they are written, by output */
	int nforms;
	int flush_rule; /* of the options; -1: none */
	Batch *open;    /* batches that still grow, one a partition */
	int64_t no_key; /* updates and deletes that name no row, this session */
} Table;

#define PIPE_BUCKETS 1024

/*
 * One reading of a table or of a chunk of it.  It lives until the session ends,
 * whether it counts or not: shippers report to it.
 */
typedef struct LoadPart
{
	struct LoadPart *next; /* of its table, the newest first */
	Entry *list;           /* only its objects are used */
	int outstanding;       /* of these, on their way */
	Table *table;
	int64_t rows;
} LoadPart;

/* A load of one table, owned by the loader until the session ends. */
struct LoadTable
{
	char id[LOAD_ID_LEN + 1];
	char *schema;
	char *name;
	const char *reason; /* as in EntryLoad */
	Lsn resync;
	Lsn lsn; /* S, the consistent point */
	int64_t rows;
	Entry *list;     /* its objects, once all of them are durable */
	LoadPart *parts; /* guarded by Pipe.lock, and so is what is in them */
	Table *table;    /* of one of its parts */
	int next_object; /* guarded by Pipe.lock */
	bool gone;       /* the table does not exist any more */
	bool over;       /* the loader's: all of it is read */
};

/* A table of which the log will tell whether it has to be loaded (later.h). */
typedef struct LaterTable
{
	char *schema;
	char *table;
} LaterTable;

typedef struct Later
{
	int n;
	LaterTable *tables;
	Lsn lsn; /* once the log ends behind it */
} Later;

typedef struct Pipe
{
	const RunOptions *options;

	/* Fixed before the threads start. */
	char writer[9]; /* 8 hex digits */
	Entry *start;   /* the last entry when the session started */
	Entry *loads;   /* its loads member: to be announced by this session */
	Entry *outputs; /* its outputs member: state of the further ones, the
					 * committer's once that runs */
	bool announces_outputs; /* they are not those of "start" */
	Entry *publications;    /* its publications member (published.h) … */
	Lsn published_at; /* … counts in entries that end at or behind this */
	/* By output: what fills it, to be listed by the first entry; and where
	 * that may still come (fixed before the threads start). */
	Entry *fills[OUTPUTS_MAX];
	bool unfilled[OUTPUTS_MAX];
	RequestList asked; /* load requests that were there (asked.h); later on
						* the watcher's, as these: */
	Layouts layouts[OUTPUTS_MAX]; /* by output; none in a test */
	struct Fields *fields;        /* field ids; NULL in a test (fields.h) */
	Later later;
	unsigned reloads; /* of the configuration, that were looked at */
	bool by_itself;   /* tables are loaded that no person asks for */
	bool raw_text;    /* the server is SQL_ASCII */
	int putters;      /* 0: shippers put all objects themselves */

	Queue events;      /* to the encoder */
	Queue objects;     /* to the shippers: those with something to do */
	Queue puts;        /* to the putters: small ones, compressed */
	Queue checkpoints; /* to the committer */
	Budget budget;
	atomic_long queued_bytes; /* memory of packets in events */
	atomic_long open_bytes;   /* memory of objects between two batches */
	atomic_bool paused;       /* the receiver waits for room in events */

	atomic_bool stop;   /* everybody ends as soon as possible */
	atomic_bool ending; /* what is closed is settled, nothing new begins */
	atomic_bool renew;  /* ends as for a stop; then another session begins */
	atomic_bool loaded; /* ends as for a stop: nothing is left to load */

	/* What is durable; written by the committer alone (checkpoint.c). */
	_Atomic Lsn log_end;
	_Atomic int64_t log_seq;
	_Atomic int64_t closed_until; /* unix us */
	_Atomic int64_t swept_until;
	_Atomic int64_t further_swept_until[OUTPUTS_MAX]; /* by output */
	_Atomic int64_t expired;        /* as the log says (expire.h) */
	_Atomic int64_t removed_logged; /* likewise */
	_Atomic int64_t expire_to;      /* as it is to say; the expirer's */
	_Atomic int64_t removed;        /* likewise */
	_Atomic int64_t swept_entry;    /* of the main output */
	atomic_int pending_checkpoints;
	atomic_bool finished;      /* the encoder is through after EVENT_STOP */
	atomic_int loads_active;   /* tables still to be loaded */
	_Atomic int64_t loads_seq; /* the entry that lists the last one done */
	_Atomic Lsn received;      /* the highest position the encoder has seen */
	atomic_long rows;          /* for the log */
	Waiting waiting;           /* what is not durable, for who looks */

	pthread_mutex_t lock; /* guards error, Objects, counts of outstanding */
	pthread_cond_t changed;
	Err error;         /* the first; kind ERR_NONE while all is well */
	bool outage;       /* a warning was logged, its end was not; under lock */
	int64_t outage_ms; /* of the last warning; 0: none yet */
	int64_t again_ms;  /* when pipe_again() last said so; under lock */

	Checkpoint *dropped; /* will not be written, but shippers may still report
						  * to them; guarded by lock */
	Object *alive;       /* all that are not durable; guarded by lock */
	int unstarted;       /* of these, open and holding nothing; under lock */
	LoadTable *load_tables; /* what the loader loads; its own while it runs */
	int nload_tables;

	/* The encoder's, by hash; here, since batches outlive the encoder. */
	Table *tables[PIPE_BUCKETS];
} Pipe;

/*
 * The begin of the folder for changes of that time (unix us): its own, or where
 * that is complete the one that closed_until is in.
 */
int64_t pipe_folder(const Pipe *p, int64_t unix_us, int64_t closed_until);

/* How connections to the source wait: until the session ends. */
PgWait pipe_pg_wait(Pipe *p);

/* The same for each output. */
typedef struct Folders
{
	int64_t at[OUTPUTS_MAX]; /* 0 where there is no such output */
} Folders;

void pipe_folders(const Pipe *p, int64_t unix_us, int64_t closed_until,
				  Folders *out);

/* Keeps the first error and stops the session. */
void pipe_fail(Pipe *p, const Err *err);
void pipe_wake(Pipe *p);

/* True with that error, once there is one. */
bool pipe_failed(Pipe *p, Err *err);

static inline int
outputs_n(const Pipe *p)
{
	return 1 + p->options->nfurther;
}

static inline const OutputOptions *
output_options(const Pipe *p, int output)
{
	return &p->options->further[output - 1];
}

static inline const char *
output_name(const Pipe *p, int output)
{
	return output ? output_options(p, output)->name : "";
}

static inline const Path *
output_path(const Pipe *p, int output)
{
	return output ? output_options(p, output)->path : p->options->path;
}

static inline Compression
output_compression(const Pipe *p, int output)
{
	return output ? output_options(p, output)->compression
				  : p->options->compression;
}

static inline const FormatOptions *
output_format_options(const Pipe *p, int output)
{
	return output ? &output_options(p, output)->format_options
				  : &p->options->format_options;
}

static inline bool
output_dms_names(const Pipe *p, int output)
{
	return output ? output_options(p, output)->dms_names
				  : p->options->dms_names;
}

static inline int64_t
output_max_bytes(const Pipe *p, int output)
{
	return output ? output_options(p, output)->max_bytes
				  : p->options->max_bytes;
}

static inline int64_t
output_max_rows(const Pipe *p, int output)
{
	return output ? output_options(p, output)->max_rows : p->options->max_rows;
}

static inline const Format *
output_format(const Table *t, int output)
{
	return t->forms[output].format;
}

static inline FormatTable *
output_form(const Table *t, int output)
{
	return t->forms[output].form;
}

static inline bool
output_is_detached(const Pipe *p, int output)
{
	return output > 0 &&
		   atomic_load(&output_options(p, output)->health->detached);
}

/* Is it attached, and has it this table? */
static inline bool
output_wants(const Pipe *p, int output, const Table *t)
{
	return output == 0 ||
		   (t->forms[output].form && !output_is_detached(p, output));
}

/* The caller owns it, and frees it when no batch points to it any more. */
Table *table_new(const Pipe *p, Schema *schema);
void table_free(Table *t);

/* Makes the schema file durable. */
bool table_put_file(Pipe *p, Store *store, Table *t, Err *err) MUST_CHECK;

/* The options with which each thread opens its own store, the main one's. */
bool pipe_open_store(Pipe *p, Store **out, Err *err) MUST_CHECK;

/* Those of a store of the session, retry_ms included. */
StoreOptions pipe_store_options(Pipe *p, const StoreOptions *from);

/*
 * Calls again, with a warning in the log, while a store call fails with
 * something that may pass.  Use:  do ok = store_…(…, &err);
 *								   while (!ok && pipe_again(p, "…", &err));
 */
bool pipe_again(Pipe *p, const char *doing, const Err *err);

#endif
