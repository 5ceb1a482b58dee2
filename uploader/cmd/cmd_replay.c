/*-------------------------------------------------------------------------
 * cmd_replay.c
 *	  "replay": the changes of a range as JSON lines, in order, each once.
 *
 * An entry's objects are merged by (commit LSN, seq).  An object is opened
 * when the merge comes to its first row and closed behind its last, so that
 * only those that overlap are in memory: their stored bytes, and a window
 * each.  A line is printed as it is stored, with the table's name before it;
 * but a change that stands there as two (output.key_change = split) comes as
 * the one that it was.
 *
 * Invariants:
 *	(1) heap[0] is the least of all open objects' next rows.
 *	(2) No object that is not open has a row before heap[0].
 *	(3) Each object's rows ascend, and there are as many as the log says.
 *
 * Layer: cmd.
 *-------------------------------------------------------------------------
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "cmd/args.h"
#include "cmd/cmd.h"
#include "cmd/fill_output.h"
#include "cmd/logwalk.h"
#include "cmd/outputs.h"
#include "codec/format.h"
#include "codec/json.h"
#include "codec/jsonline.h"
#include "store/commitlog.h"
#include "store/expiry.h"
#include "store/fill.h"

#define OBJECT_MAX_BYTES ((size_t) 5 << 30)
#define LINE_MAX_BYTES ((size_t) 2 << 30)
#define PREFIX_MAX_BYTES 4096

/* A row's place in the order. */
typedef struct Place
{
	Lsn lsn;
	int64_t seq;
} Place;

/* An open object. */
typedef struct Source
{
	const EntryObject *object;
	Buf body;
	Buf prefix; /* {"_schema":"…","_table":"…", */
	const Format *format;
	Schema *schema; /* where the format needs it */
	FormatReader *reader;
	Slice line; /* the next one */
	Place place;
	int64_t rows; /* read so far */
} Source;

typedef struct Replay
{
	Store *log;
	Store *store; /* of the objects; the log's, but for a further output's */
	LogRange range;
	int64_t since; /* entries before it are of an earlier output */
	bool fills;    /* objects that filled the output, and no others */
	Lsn end;       /* of the last entry seen */
	Place moved;   /* of the last delete that the record behind it tells, too */
	bool any_moved;
	int64_t expired; /* objects of entries up to this one are gone */
	Source **heap;
	int nheap;
} Replay;

static int
place_compare(Place a, Place b)
{
	if (a.lsn != b.lsn)
		return a.lsn < b.lsn ? -1 : 1;
	return a.seq < b.seq ? -1 : a.seq > b.seq;
}

static Place
first_place(const EntryObject *o)
{
	return (Place){ o->first_lsn, o->first_seq };
}

static bool
source_error(const Source *s, Err *err)
{
	return err_prefix(err, "object \"%s\", row %" PRId64, s->object->key,
					  s->rows);
}

/* The next row; *out_end where there is none. */
static bool
source_next(Source *s, bool *out_end, Err *err)
{
	Place before = s->place;

	if (!s->format->next(s->reader, &s->line, out_end, err))
		return source_error(s, err);
	if (*out_end && s->rows != s->object->rows)
	{
		err_set(err, ERR_DATA, 0, "it ends here, the log says %" PRId64 " rows",
				s->object->rows);
		return source_error(s, err);
	}
	if (*out_end)
		return true;
	if (s->rows++ == s->object->rows)
	{
		err_set(err, ERR_DATA, 0, "the log says %" PRId64 " rows, it has more",
				s->object->rows);
		return source_error(s, err);
	}
	if (!jsonline_place(s->line, &s->place.lsn, &s->place.seq, err))
		return source_error(s, err);
	if (s->rows > 1 && place_compare(before, s->place) >= 0)
	{
		err_set(err, ERR_DATA, 0, "its position is not behind the last row's");
		return source_error(s, err);
	}
	return true;
}

static void
source_free(Source *s)
{
	if (!s)
		return;
	if (s->format)
		s->format->done(s->reader);
	schema_free(s->schema);
	buf_done(&s->body);
	buf_done(&s->prefix);
	free(s);
}

static bool
open_reader(const Replay *r, Source *s, Err *err)
{
	const EntryObject *o = s->object;
	FormatSource source = { .compression = compression_of_key(o->key),
							.max_line = LINE_MAX_BYTES };

	s->format = format_of_key(o->key);
	if (!s->format)
		return format_unknown(o->key, err);
	if (!commitlog_object(r->store, o, &s->body, err))
	{
		err_prefix(err, "could not read object \"%s\"", o->key);
		if (err->kind == ERR_NOT_FOUND)
			err_hint(err, "the log lists it, so somebody deleted it: restore "
						  "it, or replay a range without it");
		return false;
	}
	if (s->format->reads_schema &&
		!commitlog_schema(r->log, o->schema, o->table, o->hash, &s->schema,
						  err))
		return false;
	source.object = buf_slice(&s->body);
	source.schema = s->schema;
	s->reader = s->format->open(&source);
	return true;
}

/* Opens the object and reads its first row. */
static bool
source_open(const Replay *r, const EntryObject *o, Source **out, bool *out_end,
			Err *err)
{
	Source *s = xcalloc(1, sizeof(*s));

	s->object = o;
	buf_init(&s->body, OBJECT_MAX_BYTES);
	buf_init(&s->prefix, PREFIX_MAX_BYTES);
	buf_str(&s->prefix, "{\"_schema\":\"");
	json_add_escaped(&s->prefix, (const uint8_t *) o->schema,
					 strlen(o->schema));
	buf_str(&s->prefix, "\",\"_table\":\"");
	json_add_escaped(&s->prefix, (const uint8_t *) o->table, strlen(o->table));
	buf_str(&s->prefix, "\",");
	if (!open_reader(r, s, err) || !source_next(s, out_end, err))
	{
		source_free(s);
		return false;
	}
	*out = s;
	return true;
}

static bool
heap_less(const Replay *r, int a, int b)
{
	int c = place_compare(r->heap[a]->place, r->heap[b]->place);

	/* objects are an array: their addresses are their order in the entry */
	return c < 0 || (c == 0 && r->heap[a]->object < r->heap[b]->object);
}

static void
heap_swap(Replay *r, int a, int b)
{
	Source *s = r->heap[a];

	r->heap[a] = r->heap[b];
	r->heap[b] = s;
}

static void
heap_push(Replay *r, Source *s)
{
	int i = r->nheap++;

	r->heap[i] = s;
	for (; i > 0 && heap_less(r, i, (i - 1) / 2); i = (i - 1) / 2)
		heap_swap(r, i, (i - 1) / 2);
}

/* heap[0] has a new place. */
static void
heap_sift(Replay *r)
{
	int i = 0;

	for (;;)
	{
		int least = i;

		for (int child = 2 * i + 1; child <= 2 * i + 2; child++)
			if (child < r->nheap && heap_less(r, child, least))
				least = child;
		if (least == i)
			return;
		heap_swap(r, i, least);
		i = least;
	}
}

static void
heap_pop(Replay *r)
{
	source_free(r->heap[0]);
	r->heap[0] = r->heap[--r->nheap];
	heap_sift(r);
}

/* The line behind its brace; of an update behind its half with that one's
 * position. */
static bool
print_members(const Replay *r, const Source *s, Slice seq, Err *err)
{
	const uint8_t *from = s->line.p + 1;
	const uint8_t *end = s->line.p + s->line.n;
	char number[24];
	size_t n;

	if (!r->any_moved || s->place.lsn != r->moved.lsn ||
		s->place.seq != r->moved.seq + 1 || seq.n == 0)
		return cli_write((Slice){ from, (size_t) (end - from) }, err);
	n = (size_t) snprintf(number, sizeof(number), "%" PRId64, r->moved.seq);
	return cli_write((Slice){ from, (size_t) (seq.p - from) }, err) &&
		   cli_write((Slice){ (const uint8_t *) number, n }, err) &&
		   cli_write((Slice){ seq.p + seq.n, (size_t) (end - seq.p) - seq.n },
					 err);
}

static bool
print_line(Replay *r, const Source *s, Err *err)
{
	const Slice line = s->line;
	Slice seq;

	if (line.n < 2 || line.p[0] != '{')
		return err_set(err, ERR_DATA, 0, "object \"%s\": row without \"{\"",
					   s->object->key);
	if (jsonline_moved(line, &seq))
	{
		r->moved = s->place;
		r->any_moved = true;
		return true;
	}
	return cli_write(buf_slice(&s->prefix), err) &&
		   print_members(r, s, seq, err) && cli_write(slice_cstr("\n"), err);
}

/* Is the least row in the range?  Those of a load stand where it counts. */
static bool
is_in_range(const Replay *r, const Source *s)
{
	if (s->object->load[0] != '\0')
		return true; /* the object was chosen as a whole */
	return r->range.from < s->place.lsn && s->place.lsn <= r->range.to;
}

/* Prints the least row and steps to the next. */
static bool
advance(Replay *r, Err *err)
{
	Source *s = r->heap[0];
	bool end;

	if (is_in_range(r, s) && !print_line(r, s, err))
		return false;
	if (!source_next(s, &end, err))
		return false;
	if (end)
		heap_pop(r);
	else
		heap_sift(r);
	return true;
}

static int
compare_first(const void *a, const void *b)
{
	const EntryObject *x = *(const EntryObject *const *) a;
	const EntryObject *y = *(const EntryObject *const *) b;
	int c = place_compare(first_place(x), first_place(y));

	return c ? c : (x > y) - (x < y);
}

/* Merges objects that are sorted by their first row. */
static bool
merge_objects(Replay *r, const EntryObject **objects, int n, Err *err)
{
	int opened = 0;

	while (r->nheap > 0 || opened < n)
	{
		Source *s;
		bool end;

		if (opened == n ||
			(r->nheap > 0 && place_compare(r->heap[0]->place,
										   first_place(objects[opened])) < 0))
		{
			if (!advance(r, err))
				return false;
			continue;
		}
		if (!source_open(r, objects[opened++], &s, &end, err))
			return false;
		if (end)
			source_free(s);
		else
			heap_push(r, s);
	}
	return true;
}

static bool
is_expired(const Entry *e, const EntryObject *o, int64_t expired, Err *err)
{
	(void) expiry_error(e->seq, expired, o->key, err);
	err_hint(err,
			 "replay what is behind it: --from " LSN_FMT
			 " if that is the last expired entry; cdc-s3 ls tells where they "
			 "end",
			 LSN_ARGS(e->end));
	return true;
}

static bool
replay_entry(const Entry *e, void *arg, Err *err)
{
	Replay *r = arg;
	size_t room = (size_t) e->nobjects + 1;
	const EntryObject **objects = xcalloc(room, sizeof(*objects));
	int n = 0;
	bool ok = true;

	r->end = e->end;
	for (int i = 0; !r->range.output && e->seq <= r->expired && i < e->nobjects;
		 i++)
		if (logwalk_wants(&r->range, e, &e->objects[i]))
			return !is_expired(e, &e->objects[i], r->expired, err);
	r->heap = xcalloc(room, sizeof(*r->heap));
	r->nheap = 0;
	for (int i = 0; e->seq >= r->since && i < e->nobjects; i++)
		if (logwalk_wants(&r->range, e, &e->objects[i]) &&
			(!r->range.output || fill_is_key(e->objects[i].key) == r->fills))
			objects[n++] = &e->objects[i];
	qsort(objects, (size_t) n, sizeof(*objects), compare_first);
	ok = merge_objects(r, objects, n, err);
	for (int i = 0; i < r->nheap; i++)
		source_free(r->heap[i]);
	free(r->heap);
	free(objects);
	if (!ok && (err->kind == ERR_DATA || err->kind == ERR_GAP ||
				err->kind == ERR_NOT_FOUND))
	{
		err->kind = ERR_GAP; /* the log lists it */
		err_prefix(err, "entry %" PRId64, e->seq);
	}
	return ok;
}

/* What filled an output comes before all else, though it was listed later. */
static bool
replay_range(Replay *r, Err *err)
{
	if (r->range.output)
	{
		LogRange range = r->range;

		range.to = LSN_MAX; /* the entry that lists them may be behind */
		r->fills = true;
		if (!logwalk(r->log, &range, replay_entry, r, err))
			return false;
		r->fills = false;
	}
	return logwalk(r->log, &r->range, replay_entry, r, err);
}

bool
cmd_replay(const Config *cfg, int argc, char **argv, Err *err)
{
	Replay r = { .range = { .to = LSN_MAX } };
	const char *from = NULL;
	const char *to = NULL;
	const char *into = NULL;
	const ArgDef defs[] = { { "--from", &from, NULL },
							{ "--to", &to, NULL },
							{ "--table", &r.range.table, NULL },
							{ "--output", &r.range.output, NULL },
							{ "--into", &into, NULL } };
	const ArgSpec spec = { .command = "replay", .defs = defs, .ndefs = 5 };
	const StoreOptions options = config_store_options(cfg);
	bool ok;

	if (!args_parse(&spec, argc, argv, NULL, err))
		return false;
	if (into)
		return from || to || r.range.table || r.range.output
				   ? err_set(err, ERR_USAGE, 0,
							 "--into goes with no other option: it writes all "
							 "that the output lacks")
				   : fill_output(cfg, into, err);
	if (!args_lsn("--from", from, &r.range.from, err) ||
		!args_lsn("--to", to, &r.range.to, err) ||
		!outputs_open_store(cfg, NULL, &r.log, err))
		return false;
	r.range.parallel = &options;
	r.range.expired = &r.expired;
	ok = outputs_open_store(cfg, r.range.output, &r.store, err) &&
		 (!r.range.output || outputs_range(r.log, r.range.output, &r.range.from,
										   &r.range.to, &r.since, err)) &&
		 replay_range(&r, err);
	if (ok && to && r.end < r.range.to)
		log_warn("the log ends before --to", "lsn", log_lsn(r.end), NULL);
	store_close(r.store);
	store_close(r.log);
	return ok;
}
