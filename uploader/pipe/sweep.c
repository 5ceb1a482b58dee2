/*-------------------------------------------------------------------------
 * sweep.c
 *	  The sweeper: removes objects and uploads that can never count.
 *
 * A writer that died leaves objects that no entry lists.  They lie in
 * folders that were open at the time, that is, not before swept_until.
 * Those are looked through once after the first entry of a
 * session, and each hour again after its closing; then swept_until moves up.
 *
 * A load leaves what it read in vain: chunks that were read again, tables that
 * changed meanwhile.  What the entry that ended it does not list is nobody's.
 *
 * Further outputs are swept like the main one, each for itself: in its own
 * store, by what entries list for it, and up to a point of its own.  One that
 * is detached is left alone.
 *
 * Invariants:
 *	(1) swept_until moves to a time only once no object lies before it that a
 *		dead writer named with an entry that is still to come.
 *	(2) An object is removed only where its number is of a written entry that
 *		does not list it.
 *
 * A writer may leave uploads too, of the first two entries it had not
 * written.  All objects of an entry are whole before it is written, so whatever
 * upload has the number of a written entry is nobody's any more.
 * Layer: pipe.
 *-------------------------------------------------------------------------
 */
#include "pipe/sweep.h"

#include <stdlib.h>

#include "base/beat.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/fnv.h"
#include "base/log.h"
#include "base/mem.h"
#include "pipe/object.h"
#include "pipe/output.h"
#include "pipe/sweep_list.h"
#include "store/commitlog.h"
#include "store/upload_note.h"

/* A writer that dies has begun at most so many entries. */
#define AHEAD_MAX 2

/* Hashes of keys that are kept: 4 MB of them. */
#define LISTED_MAX ((int64_t) 512 << 10)

typedef struct Names
{
	char **names;
	int n;
} Names;

/* What one entry lists: the hashes of its objects' keys, in order. */
typedef struct Listed
{
	int64_t seq;
	int output;
	uint64_t *hashes;
	int n;
} Listed;

/* A load that ended, and the entry that says so. */
typedef struct EndedLoad
{
	char id[LOAD_ID_LEN + 1];
	int64_t seq;
	bool done; /* else given up */
} EndedLoad;

/* How far an output is swept, besides up to which time. */
typedef struct Swept
{
	bool begun;    /* this session has swept it once */
	int64_t entry; /* no object of an entry up to it is a leftover */
	int64_t next;  /* what that is after the next sweep */
	int64_t ahead; /* the last number of a dead writer's that was seen and may
					* still be listed; 0: none */
} Swept;

typedef struct Sweeper
{
	Pipe *p;
	Store *log; /* the lake, where the entries are */
	OutputStores stores;
	int output; /* the one at hand, and its store */
	Store *store;
	Names tables;   /* "<schema>/<table>/", as key.h has it */
	Names suspects; /* keys of the table at hand, or of all uploads */
	Names ids;      /* of those uploads */
	Listed *listed; /* of entries that were read */
	int nlisted;
	int64_t nhashes;  /* in all of them */
	EndedLoad *ended; /* in entries since "from"; read when it is needed */
	int nended;
	bool ended_read;
	int64_t from; /* unix us: the sweep begins there; 0: none is made */
	Swept at[OUTPUTS_MAX];
	int64_t removed;
	int64_t abandoned;
	bool warned;  /* that uploads cannot be listed */
	int64_t born; /* unix us, about: of entry 0 */
	Err err;
} Sweeper;

static void
names_add(Names *l, const char *s, size_t n)
{
	if ((l->n & (l->n - 1)) == 0)
		l->names =
			xrealloc(l->names, (l->n ? 2 * (size_t) l->n : 1) * sizeof(char *));
	l->names[l->n++] = xstrndup(s, n);
}

static void
names_done(Names *l)
{
	for (int i = 0; i < l->n; i++)
		free(l->names[i]);
	free(l->names);
	*l = (Names){ 0 };
}

/* _cdc/schema/<schema>/<table>/<hash>.json names each table there is. */
static bool
on_schema_file(const StoreItem *item, void *arg)
{
	Sweeper *s = arg;
	static const char prefix[] = "_cdc/schema/";
	const char *name = item->key + sizeof(prefix) - 1;
	const char *slash = strrchr(item->key, '/');

	if (strncmp(item->key, prefix, sizeof(prefix) - 1) != 0 || slash < name)
		return true;
	names_add(&s->tables, name, (size_t) (slash + 1 - name));
	return !atomic_load(&s->p->stop);
}

static int
compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *) a, *(char *const *) b);
}

/* A table has a file for each version of its schema. */
static void
names_unique(Names *l)
{
	int n = 0;

	if (l->n > 0)
		qsort(l->names, (size_t) l->n, sizeof(char *), compare_names);
	for (int i = 0; i < l->n; i++)
	{
		if (n > 0 && strcmp(l->names[n - 1], l->names[i]) == 0)
			free(l->names[i]);
		else
			l->names[n++] = l->names[i];
	}
	l->n = n;
}

static bool
on_object(const StoreItem *item, void *arg)
{
	Sweeper *s = arg;

	names_add(&s->suspects, item->key, strlen(item->key));
	return !atomic_load(&s->p->stop);
}

static void
listed_done(Sweeper *s)
{
	for (int i = 0; i < s->nlisted; i++)
		free(s->listed[i].hashes);
	free(s->listed);
	s->listed = NULL;
	s->nlisted = 0;
	s->nhashes = 0;
}

/* Where two keys have one hash, a leftover stays. */
static uint64_t
hash_key(const char *key)
{
	return fnv1a(FNV1A_EMPTY, key);
}

static int
compare_hashes(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *) a;
	uint64_t y = *(const uint64_t *) b;

	return x < y ? -1 : x > y;
}

/* What entry seq lists; the tables of a partition share a few entries. */
static bool
listed_of(Sweeper *s, int64_t seq, const Listed **out)
{
	Entry *e;
	Listed *l;

	for (int i = 0; i < s->nlisted; i++)
	{
		*out = &s->listed[i];
		if (s->listed[i].seq == seq && s->listed[i].output == s->output)
			return true;
	}
	if (!commitlog_read(s->log, seq, &e, &s->err))
		return false;
	entry_choose_output(e, output_name(s->p, s->output));
	if (s->nhashes + e->nobjects > LISTED_MAX)
		listed_done(s);
	s->listed = xrealloc(s->listed, ((size_t) s->nlisted + 1) * sizeof(Listed));
	l = &s->listed[s->nlisted++];
	l->seq = seq;
	l->output = s->output;
	l->n = e->nobjects;
	l->hashes = xcalloc((size_t) l->n + 1, sizeof(uint64_t));
	for (int i = 0; i < l->n; i++)
		l->hashes[i] = hash_key(e->objects[i].key);
	qsort(l->hashes, (size_t) l->n, sizeof(uint64_t), compare_hashes);
	s->nhashes += l->n;
	entry_free(e);
	*out = l;
	return true;
}

static bool
lists(const Listed *l, const char *key)
{
	uint64_t h = hash_key(key);

	return bsearch(&h, l->hashes, (size_t) l->n, sizeof(h), compare_hashes);
}

/* True where this load was given up by the session's first entry. */
static bool
load_is_over(const Sweeper *s, const char *id)
{
	const Entry *loads = s->p->loads;

	for (int i = 0; i < loads->nloads; i++)
	{
		if (loads->loads[i].state == LOAD_GIVEN_UP &&
			strcmp(loads->loads[i].id, id) == 0)
			return true;
	}
	return false;
}

static void
add_ended(Sweeper *s, const Entry *e)
{
	for (int i = 0; i < e->nloads; i++)
	{
		EndedLoad *l;

		if (e->loads[i].state == LOAD_OPEN)
			continue;
		s->ended =
			xrealloc(s->ended, ((size_t) s->nended + 1) * sizeof(*s->ended));
		l = &s->ended[s->nended++];
		*l = (EndedLoad){ .seq = e->seq,
						  .done = e->loads[i].state == LOAD_DONE };
		memcpy(l->id, e->loads[i].id,
			   strnlen(e->loads[i].id, sizeof(l->id) - 1));
	}
}

/*
 * A load's objects lie in the hour of its snapshot, or later: the entry that
 * ended it was not written before, but for two clocks that differ.
 */
static bool
read_ended(Sweeper *s)
{
	int64_t since = s->from - US_PER_HOUR;

	for (int64_t seq = atomic_load(&s->p->log_seq); seq > 0; seq--)
	{
		Entry *e;
		bool older;

		if (!commitlog_read(s->log, seq, &e, &s->err))
			return false;
		add_ended(s, e);
		older = e->time < since;
		entry_free(e);
		if (older || atomic_load(&s->p->stop))
			break;
	}
	s->ended_read = true;
	return true;
}

static void
ended_done(Sweeper *s)
{
	free(s->ended);
	s->ended = NULL;
	s->nended = 0;
	s->ended_read = false;
}

/* The same for an object of a load. */
static bool
is_left_by_load(Sweeper *s, const char *key, const char *id, bool *out_leftover)
{
	const Listed *listed;

	*out_leftover = load_is_over(s, id);
	if (*out_leftover || s->from == 0)
		return true;
	if (!s->ended_read && !read_ended(s))
		return false;
	for (int i = 0; i < s->nended; i++)
	{
		if (strcmp(s->ended[i].id, id) != 0)
			continue;
		*out_leftover = !s->ended[i].done;
		if (*out_leftover || !listed_of(s, s->ended[i].seq, &listed))
			return *out_leftover;
		*out_leftover = !lists(listed, key);
		return true;
	}
	return true;
}

/* False on an error; *out_leftover: it can never count. */
static bool
is_leftover(Sweeper *s, const char *key, bool *out_leftover)
{
	char id[LOAD_ID_LEN + 1];
	const Listed *listed;
	int64_t seq;

	*out_leftover = false;
	if (key_parse_load(key, id, sizeof(id)))
		return is_left_by_load(s, key, id, out_leftover);
	/* What this session wrote for an entry, that entry lists. */
	if (!key_parse_part(key, &seq) || key_is_by(key, s->p->writer) ||
		seq <= s->at[s->output].entry)
		return true;
	if (seq > atomic_load(&s->p->log_seq))
	{
		int64_t *ahead = &s->at[s->output].ahead;

		if (seq <= s->p->start->seq + AHEAD_MAX && seq > *ahead)
			*ahead = seq;
		return true;
	}
	if (!listed_of(s, seq, &listed))
		return false;
	*out_leftover = !lists(listed, key);
	return true;
}

static bool
remove_leftovers(Sweeper *s)
{
	for (int i = 0; i < s->suspects.n && !atomic_load(&s->p->stop); i++)
	{
		const char *key = s->suspects.names[i];
		bool leftover;

		beat();
		if (!is_leftover(s, key, &leftover))
			return false;
		if (!leftover)
			continue;
		FAULT_POINT("sweep_delete_before");
		if (store_del(s->store, key, &s->err))
			s->removed++;
		else
			log_err(LOG_WARN, "could not remove a leftover", &s->err);
		FAULT_POINT("sweep_delete_after");
	}
	return true;
}

static bool
sweep_prefix(Sweeper *s, const char *prefix)
{
	bool ok = store_list(s->store, prefix, on_object, s, &s->err) &&
			  remove_leftovers(s);

	names_done(&s->suspects);
	return ok;
}

/* "<schema>/<table>/" of key.h to names; what no writer made is false. */
static bool
parse_table(const char *key, Buf *schema, Buf *table)
{
	size_t n = strcspn(key, "/");
	size_t m = key[n] ? strcspn(key + n + 1, "/") : 0;

	buf_reset(schema);
	buf_reset(table);
	return key_parse_segment((Slice){ (const uint8_t *) key, n }, schema) &&
		   key_parse_segment((Slice){ (const uint8_t *) key + n + 1, m },
							 table);
}

/* The folders of one table that have an instant in [from, to) (unix us). */
static bool
sweep_folders(Sweeper *s, const Path *path, const PathNames *names,
			  int64_t from, int64_t to)
{
	PathSpan span = { .until = from };
	bool first = true;
	Buf key;
	bool ok = true;

	buf_init(&key, KEY_TEXT_MAX);
	while (ok && span.until < to && !atomic_load(&s->p->stop))
	{
		int64_t before = span.id;
		int64_t at = span.until;

		span = path_span(path, at);
		if (!first && span.id == before)
			continue;
		first = false;
		buf_reset(&key);
		path_add(path, names, at, &key);
		ok = sweep_prefix(s, buf_cstr(&key));
	}
	buf_done(&key);
	return ok;
}

/* The same, by the layout of each time. */
static bool
sweep_layouts(Sweeper *s, const PathNames *names, int64_t from, int64_t to)
{
	const Layouts *l = &s->p->layouts[s->output];
	bool ok = true;

	if (l->n == 0)
		return sweep_folders(s, output_path(s->p, s->output), names, from, to);
	for (int i = 0; ok && i < l->n; i++)
	{
		const EntryLayout *said = &l->items[i].said;
		bool last = i == l->n - 1;
		int64_t end = last || said->until > to ? to : said->until;

		if (i > 0 && said->start > from)
			from = said->start;
		ok = sweep_folders(s, l->items[i].path, names, from, end);
		for (int k = 0; ok && !last && k < said->npartitions; k++)
		{
			int64_t at = said->partitions[k];

			if (at >= end && at < to)
				ok = sweep_folders(s, l->items[i].path, names, at, at + 1);
		}
	}
	return ok;
}

/* All that the table's objects may lie in. */
static bool
sweep_all(Sweeper *s, const PathNames *names)
{
	const Layouts *l = &s->p->layouts[s->output];
	Buf key;
	bool ok = true;

	buf_init(&key, KEY_TEXT_MAX);
	for (int i = 0; ok && (i == 0 || i < l->n); i++)
	{
		buf_reset(&key);
		path_add_prefix(l->n > 0 ? l->items[i].path
								 : output_path(s->p, s->output),
						names, &key);
		ok = sweep_prefix(s, buf_cstr(&key));
	}
	buf_done(&key);
	return ok;
}

/*
 * Before anything is swept any folder may be open: an origin's commit times go
 * back as far as it likes.
 */
static bool
sweep_table(Sweeper *s, const char *table, int64_t from, int64_t to)
{
	Buf schema;
	Buf name;
	bool ok = true;

	buf_init(&schema, KEY_TEXT_MAX);
	buf_init(&name, KEY_TEXT_MAX);
	if (parse_table(table, &schema, &name))
	{
		PathNames names = { buf_cstr(&schema), buf_cstr(&name),
							s->p->start->database, s->p->start->slot };

		ok = from > s->born ? sweep_layouts(s, &names, from, to)
							: sweep_all(s, &names);
	}
	buf_done(&schema);
	buf_done(&name);
	return ok;
}

/* Loads that were given up: their tables' objects lie in any hour. */
static bool
sweep_loads(Sweeper *s)
{
	const Entry *loads = s->p->loads;
	bool ok = true;

	for (int i = 0; ok && i < loads->nloads; i++)
	{
		PathNames names = { loads->loads[i].schema, loads->loads[i].table,
							s->p->start->database, s->p->start->slot };

		if (loads->loads[i].state == LOAD_GIVEN_UP)
			ok = sweep_all(s, &names);
	}
	return ok;
}

static bool
on_upload(const StoreUpload *u, void *arg)
{
	Sweeper *s = arg;

	names_add(&s->suspects, u->key, strlen(u->key));
	names_add(&s->ids, u->id, strlen(u->id));
	return !atomic_load(&s->p->stop);
}

/*
 * Did the log end this load?  One that is not known to be over goes on, perhaps
 * with another writer.
 */
static bool
load_has_ended(Sweeper *s, const char *id)
{
	if (load_is_over(s, id))
		return true;
	if (s->from == 0 || (!s->ended_read && !read_ended(s)))
		return false;
	for (int i = 0; i < s->nended; i++)
	{
		if (strcmp(s->ended[i].id, id) == 0)
			return true;
	}
	return false;
}

static bool
is_over(Sweeper *s, const char *key)
{
	char id[LOAD_ID_LEN + 1];
	int64_t seq;

	if (key_parse_load(key, id, sizeof(id)))
		return load_has_ended(s, id);
	return key_parse_part(key, &seq) && seq <= atomic_load(&s->p->log_seq);
}

static bool
on_note(const StoreItem *item, void *arg)
{
	Sweeper *s = arg;

	names_add(&s->ids, item->key, strlen(item->key));
	return !atomic_load(&s->p->stop);
}

/* What this note names is over: then it is abandoned, and the note removed. */
static bool
sweep_note(Sweeper *s, const char *at)
{
	Buf key;
	Buf id;
	int n = 1;
	bool ok;

	buf_init(&key, KEY_TEXT_MAX);
	buf_init(&id, KEY_TEXT_MAX);
	ok = upload_note_get(s->store, at, &key, &id, &s->err);
	if (ok && key.n > 0 && is_over(s, buf_cstr(&key)))
	{
		ok = id.n > 0
				 ? upload_abandon(s->store, buf_cstr(&key), buf_cstr(&id),
								  &s->err)
				 : upload_abandon_all(s->store, buf_cstr(&key), &n, &s->err);
		ok = ok && upload_note_del_at(s->store, at, &s->err);
		s->abandoned += ok ? n : 0;
	}
	buf_done(&key);
	buf_done(&id);
	return ok;
}

/* Uploads by what their writers noted, where no listing shows them. */
static void
sweep_notes(Sweeper *s)
{
	bool ok = store_list(s->store, UPLOAD_NOTES, on_note, s, &s->err);

	for (int i = 0; ok && i < s->ids.n && !atomic_load(&s->p->stop); i++)
	{
		if (!sweep_note(s, s->ids.names[i]) && !atomic_load(&s->p->stop))
			log_err(LOG_WARN, "could not abandon an upload", &s->err);
	}
	if (!ok && !atomic_load(&s->p->stop))
		log_err(LOG_WARN, "could not look for notes of uploads", &s->err);
	names_done(&s->ids);
}

/*
 * Abandons the uploads that are over.  A store where they cannot be listed
 * is no reason to leave objects lying.
 */
static void
sweep_uploads(Sweeper *s)
{
	bool ok = store_list_uploads(s->store, "", on_upload, s, &s->err);

	if (!ok && !s->warned && !atomic_load(&s->p->stop))
	{
		log_err(LOG_WARN, "could not look for uploads that were left", &s->err);
		s->warned = true;
	}
	for (int i = 0; ok && i < s->ids.n && !atomic_load(&s->p->stop); i++)
	{
		const char *key = s->suspects.names[i];

		if (!is_over(s, key))
			continue;
		if (upload_abandon(s->store, key, s->ids.names[i], &s->err))
			s->abandoned++;
		else
			log_err(LOG_WARN, "could not abandon an upload", &s->err);
	}
	names_done(&s->suspects);
	names_done(&s->ids);
	sweep_notes(s);
}

static _Atomic int64_t *
swept_until(Pipe *p, int output)
{
	return output ? &p->further_swept_until[output] : &p->swept_until;
}

/*
 * Does a shipper still write something into a folder that began before that?
 * It is of a load that was read again: what counts is there by the time its
 * folder is complete.  A put that was given up on may land, and be repeated
 * behind a sweep that removed what it left.
 */
static bool
is_written_before(Sweeper *s, int64_t until)
{
	bool found = false;

	pthread_mutex_lock(&s->p->lock);
	for (const Object *o = s->p->alive; o && !found; o = o->next)
		found = o->output == s->output && o->folder < until;
	pthread_mutex_unlock(&s->p->lock);
	return found;
}

/* The sweep is through. */
static void
moved(Sweeper *s, int64_t until, int64_t seen)
{
	_Atomic int64_t *swept = swept_until(s->p, s->output);
	Swept *at = &s->at[s->output];

	if (at->ahead > 0) /* may still become a leftover: it is looked at again */
		return;
	if (until > atomic_load(swept))
	{
		at->entry = at->next;
		at->next = seen;
	}
	if (s->output == 0)
		atomic_store(&s->p->swept_entry, at->entry);
	atomic_store(swept, until);
	FAULT_POINT("sweep_done");
}

/*
 * Sweeps what lies before "until" and was not swept yet, and now's hours. seen:
 * the last entry by then.  Each number is looked at by two sweeps at least, so
 * that a writer that woke late is found out; then it is not looked at again, as
 * a folder for all times would have the log of all times read.
 */
static bool
sweep(Sweeper *s, int64_t until, int64_t seen)
{
	int64_t from = atomic_load(swept_until(s->p, s->output));
	int64_t to = clock_unix_us() + 2 * US_PER_HOUR;
	bool written = is_written_before(s, until);
	bool ok;

	if (from < s->born)
		from = s->born;
	s->from = from;
	sweep_uploads(s);
	s->removed = 0;
	s->at[s->output].ahead = 0;
	names_done(&s->tables);
	ok = (s->output > 0 ||
		  sweep_lists(s->p, s->log, s->at[0].entry, &s->removed, &s->err)) &&
		 store_list(s->log, "_cdc/schema/", on_schema_file, s, &s->err);
	names_unique(&s->tables);
	for (int i = 0; ok && i < s->tables.n; i++)
		ok = sweep_table(s, s->tables.names[i], from, to);
	s->from = 0;
	ended_done(s);
	if (ok && !atomic_load(&s->p->stop))
	{
		if (!written)
			moved(s, until, seen);
		log_event(s->removed || s->abandoned ? LOG_INFO : LOG_DEBUG,
				  "leftovers removed", "objects", log_int(s->removed),
				  "uploads", log_int(s->abandoned), s->output ? "output" : NULL,
				  output_name(s->p, s->output), NULL);
		s->abandoned = 0;
	}
	names_done(&s->tables);
	listed_done(s);
	return ok;
}

/* A call that our own end stopped is no failure. */
static void
warn(const Sweeper *s, const char *event)
{
	if (!atomic_load(&s->p->stop))
		log_err(LOG_WARN, event, &s->err);
}

/* Until an entry of this session is written, or the session ends. */
static bool
wait_for_entry(Sweeper *s, int64_t after)
{
	bool there;

	beat_waits();
	pthread_mutex_lock(&s->p->lock);
	while (!atomic_load(&s->p->stop) && !atomic_load(&s->p->finished) &&
		   atomic_load(&s->p->log_seq) <= after)
		(void) cond_wait_ms(&s->p->changed, &s->p->lock, 1000);
	there = atomic_load(&s->p->log_seq) > after;
	pthread_mutex_unlock(&s->p->lock);
	beat_works();
	return there && !atomic_load(&s->p->stop) && !atomic_load(&s->p->finished);
}

/* The store of that output; false: there is nothing to be swept there. */
static bool
turn_to(Sweeper *s, int output)
{
	s->output = output;
	if (output_is_detached(s->p, output))
		return false;
	if (output_store(s->p, &s->stores, output, &s->store, &s->err))
		return true;
	warn(s, "could not look for leftovers of an output");
	return false;
}

/* After entry "seen", when all before "closed" was. */
static void
sweep_output(Sweeper *s, int64_t closed, int64_t seen)
{
	Swept *at = &s->at[s->output];

	if (at->begun && seen <= s->p->start->seq + AHEAD_MAX)
		sweep_uploads(s);
	if (at->begun && closed <= atomic_load(swept_until(s->p, s->output)) &&
		(at->ahead == 0 || seen < at->ahead))
		return;
	/* A sweep that fails is made again after the next entry. */
	if (!((at->begun ? true : sweep_loads(s)) && sweep(s, closed, seen)))
		warn(s, "could not look for leftovers");
	else
		at->begun = true;
}

/* When the log began; where that cannot be told, the next entry asks again. */
static bool
is_born(Sweeper *s)
{
	Entry *zero;

	if (s->log && s->born)
		return true;
	if (!(s->log || output_store(s->p, &s->stores, 0, &s->log, &s->err)) ||
		!commitlog_read(s->log, 0, &zero, &s->err))
	{
		warn(s, "could not look for leftovers");
		return false;
	}
	s->born = zero->time - US_PER_HOUR;
	entry_free(zero);
	return true;
}

void *
sweep_main(void *arg)
{
	Sweeper s = { .p = arg };
	int64_t seen = s.p->start->seq;

	beat_begin("sweeper");
	s.at[0].entry = s.at[0].next = atomic_load(&s.p->swept_entry);
	while (wait_for_entry(&s, seen))
	{
		int64_t closed = atomic_load(&s.p->closed_until);

		seen = atomic_load(&s.p->log_seq);
		for (int n = 0; n < outputs_n(s.p) && is_born(&s); n++)
		{
			if (turn_to(&s, n))
				sweep_output(&s, closed, seen);
		}
	}
	names_done(&s.tables);
	listed_done(&s);
	ended_done(&s);
	output_stores_close(&s.stores);
	beat_end();
	return NULL;
}
