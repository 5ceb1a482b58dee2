/*-------------------------------------------------------------------------
 * object.h
 *	  One object of the lake on its way from batches to the store.
 *
 *	  object_new() ── object_add() … ── object_close(), or object_add(last)
 *		the maker: encoder (through checkpoint.c) or loader, one thread
 *	  object_take() … object_yield(), at the end object_done()
 *		shippers: one at a time has the object, any of them; object_next()
 *		where it is full: the batches that follow go into the next one
 *
 * Invariants:
 *	(1) Batches go into the object in the order they were added, nothing
 *		between them: so a row may continue in the next batch (Batch.more).
 *	(2) Its entry (or load) names the object once, with what the shipper has
 *		written: the maker counts nothing.
 *	(3) It is in the ready queue, at a shipper, or idle: no batch is left and
 *		the maker may add one.
 *
 * Ownership: the maker has it until it closes it, the shippers free it.  What
 * is left when the session ends is freed by ship_abandon().
 * Threads: what is shared is guarded by Pipe.lock.  Layer: pipe.
 *-------------------------------------------------------------------------
 */
#ifndef OBJECT_H
#define OBJECT_H

#include "base/scale.h"
#include "pipe/batch.h"
#include "store/writer.h"

/*
 * Where no number is set (a test).  Engines read a compressed file of lines in
 * one task, and 128 MB is what they give to one; merge and replay hold a whole
 * object in its compressed form, mostly a tenth of that.
 */
#define OBJECT_FULL_BYTES ((int64_t) 128 << 20)

/* What a large one may hold: a compressor, and a part buffer of S3. */
#define OBJECT_LARGE_BYTES ((int64_t) (8 << 20) / SCALE)

/* What one holds at least that waits for more: a compressor. */
#define OBJECT_HELD_BYTES ((int64_t) (1280 << 10) / SCALE)

/* One of that size is not small any more. */
#define OBJECT_WORTH_BYTES ((int64_t) (4 << 20) / SCALE)

/* What the log says of its stored bytes. */
typedef struct ObjectSum
{
	int64_t bytes;
	uint32_t crc32c;
	char sha256[SHA256_HEX_SIZE]; /* "" in a log without a key */
} ObjectSum;

/* What names objects, and where they are listed. */
typedef struct ObjectPlace
{
	Entry *list;
	int *outstanding; /* objects of that list that are not durable */
	int *next_number; /* of the names; guarded by Pipe.lock, as the list */
	int digits;       /* of the number */
	char stem[48];    /* of the names, before the number */
	const char *load; /* id; NULL: not of a load */
	int output;       /* number: 0 is the main one */
} ObjectPlace;

struct Object
{
	QueueItem link; /* in the ready queue, or that of the putters */
	Table *table;
	int64_t folder; /* its begin: unix us (path.h) */
	const Path *path;
	const Format *format; /* of its output, or its folder's layout */
	const FormatTable *table_form;
	Compression compression;
	char *key; /* the shipper's, who names it anew; by others under Pipe.lock */
	int output; /* number: 0 is the main one */
	ObjectPlace place;
	int index;        /* in the list of its place */
	bool brings_file; /* the table's schema file is written with it */

	/* the maker's */
	int64_t change_bytes; /* so far */
	bool in_row;          /* the last batch ended in the middle of a row */
	int64_t own_bytes;    /* what the object itself takes up */
	int64_t charged;      /* these, from its close on */
	Object *next_open;

	/* guarded by Pipe.lock */
	Batch *first;
	Batch *last;
	int waiting;  /* batches from first to last */
	bool closed;  /* no more batches will come */
	bool started; /* it holds a compressor and the like */
	bool idle;
	Object *next; /* all of the session */
	Object *prev;

	/* of the shipper that has it */
	FormatWriter *form;  /* NULL before the first batch */
	FramePart *part;     /* of rows in parts; NULL before the first one */
	struct Split *split; /* of one whose key changes, up to its old row's end */
	Compressor *compressor;
	StoreWriter *writer;   /* NULL before anything went to the store */
	int64_t held;          /* memory of these, reserved in the budget */
	int64_t rows;          /* in it */
	int64_t written;       /* bytes of the format */
	int64_t ops[SEEN_OPS]; /* of these, by op */
	Position first_row;
	Position last_row;

	Slice body; /* of the putters: all of it, compressed; owned, charged */
};

/* What names of the entry's objects begin with (output.names). */
void object_stem(const Pipe *p, ObjectPlace *place, int64_t entry);

/* Adds the object to the list it belongs to. */
Object *object_new(Pipe *p, const ObjectPlace *place, Table *t, int64_t folder);

/* Takes b.  With "last" it takes o as well: that closes it. */
void object_add(Pipe *p, Object *o, Batch *b, bool last);
void object_close(Pipe *p, Object *o);

/* So many batches that no shipper has taken are a backlog. */
#define OBJECT_BACKLOG 4

int object_waiting(Pipe *p, const Object *o);

/* True where objects that wait for more hold too much memory. */
bool object_too_many(Pipe *p);

/* Another large one may grow: less than that would close those that do. */
bool object_room_beside(Pipe *p);

/*
 * object_too_many() for one of many makers, that has o alone: it is closed
 * where it is worth that, or where memory runs out.
 */
bool object_to_close(Pipe *p, const Object *o);

/*
 * For the shipper that took o from the ready queue: its next batch, NULL
 * where there is none.  *out_last: nothing will follow.
 */
Batch *object_take(Pipe *p, Object *o, bool *out_last);

/* The shipper that has it begins to hold memory for it. */
void object_started(Pipe *p, Object *o);

/*
 * o is durable, and told to its list, but not over: what follows goes into the
 * next object of its place.
 */
void object_next(Pipe *p, Object *o, const ObjectSum *sum);

/* Gives o back, after a batch that was not the last. */
void object_yield(Pipe *p, Object *o);

/*
 * The output was detached: nothing of the object will count.  Frees what it
 * holds, and once no more batches will come, itself; else it is given back.
 */
void object_drop(Pipe *p, Object *o);

/* The object is durable: tells the list it is in, and frees it. */
void object_done(Pipe *p, Object *o, const ObjectSum *sum);

/* Says how much memory the object holds now. */
void object_hold(Pipe *p, Object *o, int64_t bytes);

/* Frees it as it is, batches too; an upload that was begun stays. */
void object_free(Pipe *p, Object *o);

#endif
