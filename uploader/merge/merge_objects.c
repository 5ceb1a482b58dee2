/*-------------------------------------------------------------------------
 * merge_objects.c
 *	  The record lines of a table's objects, in the order of the source.
 *
 * Invariant: no object that is not open has a row before the least of those
 * that are; so an object is opened when its first row's turn has come.
 *
 * Where it pays, all this is done by a thread of its own (merge_feed.h): then
 * what stands above "last" belongs to it once it runs.
 * Layer: merge.
 *-------------------------------------------------------------------------
 */
#include "merge/merge_objects.h"

#include <stdlib.h>

#include "base/mem.h"
#include "codec/format.h"
#include "codec/key.h"
#include "merge/merge_feed.h"
#include "store/expiry.h"

#define OBJECT_MAX_BYTES (4 * LINE_MAX_BYTES)

/* One object of less is read before a thread would have begun. */
#define AHEAD_MIN_BYTES (64 * 1024)

/* An open object. */
typedef struct Source
{
	int number;
	const EntryObject *object;
	const Format *format;
	FormatReader *reader;
	Buf body;
	Slice line;    /* the next one */
	RecordPos pos; /* of it, where others are open */
	bool placed;   /* it is known */
	int64_t lines; /* read so far */
} Source;

struct ObjectsReader
{
	MergeCx *cx;
	const EntryObject *const *objects;
	const Schema *const *schemas;
	int n;
	int next; /* to be opened */
	Source **open;
	int nopen;
	int given; /* whose line was told last; -1: none */

	bool started;
	bool ahead; /* a thread reads */
	Feed *feed; /* it */
	FeedLine last;
};

ObjectsReader *
objects_new(MergeCx *cx, const EntryObject *const *objects,
			const Schema *const *schemas, int n)
{
	ObjectsReader *r = xcalloc(1, sizeof(*r));

	r->cx = cx;
	r->objects = objects;
	r->schemas = schemas;
	r->n = n;
	r->given = -1;
	return r;
}

static void
source_free(Source *s)
{
	if (s->format)
		s->format->done(s->reader);
	buf_done(&s->body);
	free(s);
}

void
objects_free(ObjectsReader *r)
{
	if (!r)
		return;
	feed_stop(r->feed);
	for (int i = 0; i < r->nopen; i++)
		source_free(r->open[i]);
	free(r->open);
	free(r);
}

/* It was there when the merge was planned, as far as the log said then. */
static bool
has_expired(const ObjectsReader *r, const EntryObject *o, Err *err)
{
	Entry *last = NULL;
	int64_t seq;
	Err other;
	bool expired = false;

	if (commitlog_head(r->cx->store, 0, &last, &other) && last)
		expired = key_parse_part(o->key, &seq) ? seq <= last->expired
											   : last->expired > 0;
	if (expired)
	{
		(void) expiry_error(o->load[0] ? last->expired : seq, last->expired,
							o->key, err);
		err_hint(err, "the target needs it for want of a later load: cdc-s3 "
					  "snapshot --wait with its table, then merge again with "
					  "merge.until=now; nothing was changed at the target");
	}
	entry_free(last);
	return expired;
}

/* What the log lists must be there and whole. */
static bool
as_gap(const EntryObject *o, Err *err)
{
	if (err->kind != ERR_NOT_FOUND && err->kind != ERR_DATA)
		return false;
	err->kind = ERR_GAP;
	err_prefix(err, "object \"%s\", which the commit log lists", o->key);
	return err_hint(err, "restore the object; nothing was changed at the "
						 "target");
}

bool
objects_wrong_line(const ObjectsReader *r, Err *err)
{
	if (err->kind == ERR_DATA)
		err_prefix(err, "line %lld", (long long) r->last.number);
	return as_gap(r->objects[r->last.object], err);
}

/* A record that no COPY takes: its columns would pass 1 GB as text. */
static bool
too_long(const Source *s, Err *err)
{
	err_set(err, ERR_GAP, 0,
			"line %lld of object \"%s\" is longer than %zu MB, which is more "
			"than PostgreSQL takes in one row of a COPY",
			(long long) s->lines + 1, s->object->key, LINE_MAX_BYTES >> 20);
	return err_hint(err, "bring this row to the target by other means and "
						 "leave out its table (source.exclude), or its long "
						 "columns (a publication with a column list), in a new "
						 "lake; doc/merge.md");
}

/* The next line of s; *out_end: there is none. */
static bool
advance(Source *s, bool *out_end, Err *err)
{
	long long rows = (long long) s->object->rows;

	s->placed = false;
	if (!s->format->next(s->reader, &s->line, out_end, err))
		return err->kind == ERR_LIMIT ? too_long(s, err)
									  : as_gap(s->object, err);
	if (!*out_end && s->lines++ < rows)
		return true;
	if (!*out_end) /* do not read on for ever */
		err_set(err, ERR_DATA, 0,
				"it holds more than the %lld rows that the log says", rows);
	else if (s->lines == rows)
		return true;
	else
		err_set(err, ERR_DATA, 0, "it holds %lld rows, the log says %lld",
				(long long) s->lines, rows);
	return as_gap(s->object, err);
}

static bool
fetch(ObjectsReader *r, Source *s, Err *err)
{
	const EntryObject *o = s->object;
	FormatSource source = { .compression = compression_of_key(o->key),
							.max_line = LINE_MAX_BYTES,
							.schema = r->schemas[s->number] };
	bool ok;

	if (sql_stopped(r->cx, err))
		return false;
	s->format = format_of_key(o->key);
	if (!s->format)
		return format_unknown(o->key, err);
	if (!r->ahead)
		progress_phase(r->cx->progress, PHASE_READ);
	ok =
		commitlog_object(r->cx->store, o, &s->body, err) ||
		(err->kind == ERR_NOT_FOUND && has_expired(r, o, err) ? false
															  : as_gap(o, err));
	if (!r->ahead)
		progress_phase(r->cx->progress, PHASE_STAGE);
	source.object = buf_slice(&s->body);
	if (ok)
		s->reader = s->format->open(&source);
	return ok;
}

static bool
open_next(ObjectsReader *r, Err *err)
{
	Source *s = xcalloc(1, sizeof(*s));
	bool end = false;

	s->number = r->next;
	s->object = r->objects[r->next];
	buf_init(&s->body, OBJECT_MAX_BYTES);
	if (!fetch(r, s, err) || !advance(s, &end, err))
	{
		source_free(s);
		return false;
	}
	r->next++;
	if (end) /* an object without rows, as the log says */
	{
		source_free(s);
		return true;
	}
	r->open = xrealloc(r->open, ((size_t) r->nopen + 1) * sizeof(Source *));
	r->open[r->nopen++] = s;
	return true;
}

/* The line that was told is done with. */
static bool
take_given(ObjectsReader *r, Err *err)
{
	Source *s;
	bool end = false;

	if (r->given < 0)
		return true;
	s = r->open[r->given];
	if (!advance(s, &end, err))
		return false;
	if (end)
	{
		source_free(s);
		r->open[r->given] = r->open[--r->nopen];
	}
	r->given = -1;
	return true;
}

static bool
place(Source *s, Err *err)
{
	if (s->placed)
		return true;
	s->placed = jsonline_place(s->line, &s->pos.lsn, &s->pos.seq, err);
	if (s->placed)
		return true;
	err_prefix(err, "line %lld", (long long) s->lines);
	return as_gap(s->object, err);
}

/* Has the object rows that may lie before the last ones of an open one? */
static bool
may_overlap(const ObjectsReader *r, const EntryObject *o)
{
	RecordPos first = { o->first_lsn, o->first_seq };

	for (int i = 0; i < r->nopen; i++)
	{
		const EntryObject *a = r->open[i]->object;

		if (record_pos_after((RecordPos){ a->last_lsn, a->last_seq }, first))
			return true;
	}
	return false;
}

static bool
least(ObjectsReader *r, int *out, Err *err)
{
	*out = 0;
	for (int i = 0; i < r->nopen; i++)
	{
		if (!place(r->open[i], err))
			return false;
		if (record_pos_after(r->open[*out]->pos, r->open[i]->pos))
			*out = i;
	}
	return true;
}

/* The open object whose line comes next; opens those whose turn has come. */
static bool
choose(ObjectsReader *r, int *out, Err *err)
{
	*out = 0;
	while (r->next < r->n)
	{
		const EntryObject *o = r->objects[r->next];

		if (r->nopen > 0)
		{
			const Source *s;

			if (o->load[0] || !may_overlap(r, o))
				break;
			if (!least(r, out, err))
				return false;
			s = r->open[*out];
			if (record_pos_after((RecordPos){ o->first_lsn, o->first_seq },
								 s->pos))
				return true;
		}
		if (!open_next(r, err))
			return false;
	}
	return r->nopen < 2 || least(r, out, err);
}

static bool
read_line(void *arg, FeedLine *out, Err *err)
{
	ObjectsReader *r = arg;
	const Source *s;
	int i;

	*out = (FeedLine){ .object = -1 };
	if (!take_given(r, err) || !choose(r, &i, err))
		return false;
	if (r->nopen == 0)
		return true;
	r->given = i;
	s = r->open[i];
	*out = (FeedLine){ s->line, s->number, s->lines };
	return true;
}

static void
start(ObjectsReader *r)
{
	int64_t bytes = 0;

	r->started = true;
	for (int i = 0; i < r->n; i++)
		bytes += r->objects[i]->bytes;
	if (r->n < 2 && bytes < AHEAD_MIN_BYTES)
		return;
	r->ahead = true; /* before the thread is there */
	r->feed = feed_start(read_line, r);
	if (!r->feed)
		r->ahead = false;
}

/* What waits for the reader is time to read. */
static bool
take_line(ObjectsReader *r, Err *err)
{
	bool dry = feed_is_dry(r->feed);
	bool ok;

	if (dry)
		progress_phase(r->cx->progress, PHASE_READ);
	ok = feed_next(r->feed, &r->last, err);
	if (dry)
		progress_phase(r->cx->progress, PHASE_STAGE);
	return ok;
}

bool
objects_next(ObjectsReader *r, Slice *out_line, int *out_object, Err *err)
{
	if (!r->started)
		start(r);
	if (!(r->feed ? take_line(r, err) : read_line(r, &r->last, err)))
		return false;
	*out_line = r->last.line;
	*out_object = r->last.object;
	return true;
}
