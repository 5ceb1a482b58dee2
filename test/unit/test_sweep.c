/*-------------------------------------------------------------------------
 * test_sweep.c
 *	  The sweeper over a folder: what it removes and when, and that what it
 *	  says of itself in the log is true.
 *-------------------------------------------------------------------------
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "pipe/pipe.h"
#include "pipe/sweep.h"
#include "store/commitlog.h"
#include "store/upload_note.h"

#define HOUR(n) ((n) *US_PER_HOUR)
#define DEAD "deadbeef"

typedef struct World
{
	Pipe p;
	RunOptions options;
	RunControl control;
	Store *store;
	Path *path;
	char folder[64];
	char url[80];
	pthread_t sweeper;
	int64_t hour; /* the one that is on */
} World;

static void
put(World *w, const char *key, const char *text)
{
	Err err = { 0 };

	if (!store_put(w->store, key,
				   (Slice){ (const uint8_t *) text, strlen(text) }, false,
				   &err))
		fail_msg("%s", err.msg);
}

static bool
is_there(World *w, const char *key)
{
	int64_t bytes;
	Err err = { 0 };

	return store_head(w->store, key, &bytes, &err);
}

/* "…/part-<seq>-0000-<writer>.json" in the hour that begins then. */
static char *
object_key(World *w, int64_t hour, int64_t seq, const char *writer)
{
	PathNames names = { "public", "t", "db", "slot" };
	char *key;
	Buf folder;

	buf_init(&folder, 1024);
	path_add(w->path, &names, hour, &folder);
	key = xasprintf("%spart-%012" PRId64 "-0000-%s.json", buf_cstr(&folder),
					seq, writer);
	buf_done(&folder);
	return key;
}

static char *
put_object(World *w, int64_t hour, int64_t seq, const char *writer)
{
	char *key = object_key(w, hour, seq, writer);

	put(w, key, "x");
	return key;
}

/* Writes entry seq, which lists key (NULL: nothing). */
static Entry *
write_entry(World *w, int64_t seq, const char *key)
{
	Entry *e = entry_new();
	Err err = { 0 };

	e->seq = seq;
	e->timeline = 1;
	e->end = e->prev_end = (Lsn) (1000 + seq);
	e->time = w->hour - HOUR(3); /* as old as the lake is */
	entry_set(&e->system_identifier, "1");
	entry_set(&e->database, "db");
	entry_set(&e->slot, "slot");
	entry_set(&e->writer, "0a0b0c0d");
	if (key)
	{
		EntryObject *o = entry_add_object(e);

		entry_set(&o->key, key);
		entry_set(&o->schema, "public");
		entry_set(&o->table, "t");
		entry_set(&o->hash, "0123456789abcdef");
		o->rows = 1;
		o->bytes = 1;
	}
	if (!commitlog_write(w->store, e, &err))
		fail_msg("%s", err.msg);
	return e;
}

/* What the committer does once an entry is written. */
static void
publish(World *w, int64_t seq, int64_t closed_until)
{
	pthread_mutex_lock(&w->p.lock);
	atomic_store(&w->p.closed_until, closed_until);
	atomic_store(&w->p.log_seq, seq);
	pthread_cond_broadcast(&w->p.changed);
	pthread_mutex_unlock(&w->p.lock);
}

static World *
world_new(const char *path)
{
	World *w = xcalloc(1, sizeof(*w));
	Zone *zone = NULL;
	Err err = { 0 };

	log_init(LOG_ERROR, false);
	w->hour = clock_unix_us();
	w->hour -= w->hour % US_PER_HOUR;
	(void) snprintf(w->folder, sizeof(w->folder), "/tmp/cdc_s3_sweep.XXXXXX");
	assert_non_null(mkdtemp(w->folder));
	(void) snprintf(w->url, sizeof(w->url), "file://%s", w->folder);
	zone = zone_fixed("UTC");
	if (!path_parse(path, zone, &w->path, &err))
		fail_msg("%s", err.msg);
	w->options.path = w->path;
	w->options.control = &w->control;
	w->options.store.url = w->url;
	w->control.wake_fd = -1;
	w->p.options = &w->options;
	pthread_mutex_init(&w->p.lock, NULL);
	cond_init(&w->p.changed);
	(void) snprintf(w->p.writer, sizeof(w->p.writer), "0a0b0c0d");
	w->p.loads = entry_new();
	if (!pipe_open_store(&w->p, &w->store, &err))
		fail_msg("%s", err.msg);
	put(w, "_cdc/schema/public/t/0123456789abcdef.json", "{}");
	return w;
}

/* The log's last entry is start, which becomes w's. */
static void
begin(World *w, Entry *start)
{
	w->p.start = start;
	atomic_store(&w->p.log_seq, start->seq);
	assert_int_equal(pthread_create(&w->sweeper, NULL, sweep_main, &w->p), 0);
}

static void
world_free(World *w)
{
	char *command = xasprintf("rm -rf '%s'", w->folder);

	pthread_mutex_lock(&w->p.lock);
	atomic_store(&w->p.stop, true);
	pthread_cond_broadcast(&w->p.changed);
	pthread_mutex_unlock(&w->p.lock);
	pthread_join(w->sweeper, NULL);
	store_close(w->store);
	assert_int_equal(system(command), 0);
	free(command);
	entry_free(w->p.start);
	entry_free(w->p.loads);
	path_free(w->path);
	pthread_cond_destroy(&w->p.changed);
	pthread_mutex_destroy(&w->p.lock);
	free(w);
}

/* Until it is so; the program's own limit ends a wait for ever. */
#define WAIT(condition)                                                        \
	while (!(condition))                                                       \
	(void) usleep(1000)

/*
 * A dead writer's objects of its two entries lie in an hour that the first
 * entry after it closes: the hour is not said to be swept before the second
 * entry, when the last of them can be removed.
 */
static void
test_leftovers_of_two_entries(void **state)
{
	World *w = world_new(PATH_DEFAULT);
	int64_t hour = w->hour - HOUR(1);
	char *listed = put_object(w, hour, 1, DEAD);
	char *first = put_object(w, hour, 2, DEAD);
	char *second = put_object(w, hour, 3, DEAD);
	char *never = put_object(w, hour, 900, DEAD);

	(void) state;
	entry_free(write_entry(w, 0, NULL));
	begin(w, write_entry(w, 1, listed));
	entry_free(write_entry(w, 2, NULL));
	publish(w, 2, w->hour);
	WAIT(!is_there(w, first));
	assert_true(is_there(w, second)); /* entry 3 may still list it */
	assert_int_equal(atomic_load(&w->p.swept_until), 0);
	entry_free(write_entry(w, 3, NULL));
	publish(w, 3, w->hour);
	WAIT(atomic_load(&w->p.swept_until) == w->hour);
	assert_false(is_there(w, second));
	assert_true(is_there(w, listed));
	assert_true(is_there(w, never)); /* no writer can have named it so */
	free(listed);
	free(first);
	free(second);
	free(never);
	world_free(w);
}

/*
 * One folder for all times: of entries that were looked at by two sweeps the
 * log is not read again, whatever lies in the folder.
 */
static void
test_log_is_read_once(void **state)
{
	World *w = world_new("{schema}/{table}");
	char *one = put_object(w, 0, 1, DEAD);
	char *two = put_object(w, 0, 2, "0a0b0c0d");
	char *late;
	Err err = { 0 };

	(void) state;
	entry_free(write_entry(w, 0, NULL));
	begin(w, write_entry(w, 1, one));
	entry_free(write_entry(w, 2, two));
	publish(w, 2, w->hour - HOUR(2));
	WAIT(atomic_load(&w->p.swept_until) == w->hour - HOUR(2));
	assert_int_equal(atomic_load(&w->p.swept_entry), 0);
	/* somebody woke late, and is found all the same */
	late = put_object(w, 0, 1, "cafecafe");
	entry_free(write_entry(w, 3, NULL));
	publish(w, 3, w->hour - HOUR(1));
	WAIT(atomic_load(&w->p.swept_until) == w->hour - HOUR(1));
	assert_false(is_there(w, late));
	assert_int_equal(atomic_load(&w->p.swept_entry), 2);
	/* a sweep that read it would fail */
	if (!store_del(w->store, "_cdc/log/00000000000000000001.json", &err))
		fail_msg("%s", err.msg);
	entry_free(write_entry(w, 4, NULL));
	publish(w, 4, w->hour);
	WAIT(atomic_load(&w->p.swept_until) == w->hour);
	assert_true(is_there(w, one));
	assert_true(is_there(w, two));
	free(one);
	free(two);
	free(late);
	world_free(w);
}

/* Begins an upload of key, as a writer that is killed behind that. */
static char *
begin_upload(World *w, const char *key)
{
	char *id = NULL;
	Err err = { 0 };

	if (!w->store->ops->begin(w->store, key, &id, &err))
		fail_msg("%s", err.msg);
	return id;
}

static bool
count_item(const StoreItem *item, void *arg)
{
	(void) item;
	++*(int *) arg;
	return true;
}

static int
count_notes(World *w)
{
	int n = 0;
	Err err = { 0 };

	if (!store_list(w->store, UPLOAD_NOTES, count_item, &n, &err))
		fail_msg("%s", err.msg);
	return n;
}

/* Notes bring uploads to an end, with their id and without. */
static void
test_notes(void **state)
{
	World *w = world_new(PATH_DEFAULT);
	char *with = object_key(w, w->hour, 2, DEAD);
	char *without = object_key(w, w->hour - HOUR(1), 2, DEAD);
	char *ahead = object_key(w, w->hour, 3, DEAD);
	char *id = begin_upload(w, with);
	char *part;
	FILE *f;
	Err err = { 0 };

	(void) state;
	assert_true(upload_note_put(w->store, with, NULL, &err));
	assert_true(upload_note_put(w->store, with, id, &err));
	assert_true(upload_note_put(w->store, without, NULL, &err));
	assert_true(upload_note_put(w->store, ahead, NULL, &err));
	part = xasprintf("%s/_cdc/tmp/%s", w->folder, id); /* as part() has it */
	f = fopen(part, "w");
	assert_non_null(f);
	assert_int_equal(fclose(f), 0);
	put(w, UPLOAD_NOTES "something", "");
	entry_free(write_entry(w, 0, NULL));
	begin(w, write_entry(w, 1, NULL));
	entry_free(write_entry(w, 2, NULL));
	publish(w, 2, w->hour);
	WAIT(atomic_load(&w->p.swept_until) == w->hour);
	assert_int_equal(count_notes(w), 2);
	assert_int_equal(access(part, F_OK), -1);
	entry_free(write_entry(w, 3, NULL));
	publish(w, 3, w->hour);
	WAIT(count_notes(w) == 1);
	assert_true(is_there(w, UPLOAD_NOTES "something")); /* nobody's */
	free(id);
	free(part);
	free(with);
	free(without);
	free(ahead);
	world_free(w);
}

static void
test_note_reads_back(void **state)
{
	World *w = world_new(PATH_DEFAULT);
	Buf key;
	Buf id;
	Err err = { 0 };

	(void) state;
	begin(w, write_entry(w, 0, NULL));
	buf_init(&key, 1024);
	buf_init(&id, 1024);
	put(w, "k", "a/b c");
	put(w, "k.id", "id with = and +");
	assert_true(upload_note_get(w->store, "k", &key, &id, &err));
	assert_string_equal(buf_cstr(&key), "a/b c");
	assert_string_equal(buf_cstr(&id), "id with = and +");
	buf_reset(&key);
	buf_reset(&id);
	assert_true(upload_note_get(w->store, "k.id", &key, &id, &err));
	assert_int_equal(key.n, 0);
	assert_true(upload_note_get(w->store, "not there", &key, &id, &err));
	assert_int_equal(key.n, 0);
	buf_done(&key);
	buf_done(&id);
	world_free(w);
}

#define LIST(seq, writer)                                                      \
	"_cdc/list/0000000000000000000" seq "-0-" writer ".json"

/* An entry that is too long for one file, by the writer of all entries here. */
static Entry *
long_entry(int64_t seq)
{
	Entry *e = entry_new();

	e->seq = seq;
	e->timeline = 1;
	e->end = e->prev_end = (Lsn) (1000 + seq);
	e->time = clock_unix_us();
	entry_set(&e->system_identifier, "1");
	entry_set(&e->database, "db");
	entry_set(&e->slot, "slot");
	entry_set(&e->writer, "0a0b0c0d");
	for (int i = 0; i < 4000; i++)
	{
		EntryObject *o = entry_add_object(e);
		char key[200];

		(void) snprintf(key, sizeof(key), "public/t/%0150d/part-%d", i, i);
		entry_set(&o->key, key);
		entry_set(&o->schema, "public");
		entry_set(&o->table, "t");
		entry_set(&o->hash, "0123456789abcdef");
		o->rows = 1;
		o->bytes = 1;
	}
	return e;
}

/* A list counts where its entry names it. */
static void
test_lists(void **state)
{
	World *w = world_new(PATH_DEFAULT);
	Entry *named = long_entry(1);
	Err err = { 0 };

	(void) state;
	(void) snprintf(w->p.writer, sizeof(w->p.writer), "11111111");
	entry_free(write_entry(w, 0, NULL));
	if (!commitlog_write(w->store, named, &err))
		fail_msg("%s", err.msg);
	assert_true(is_there(w, LIST("1", "0a0b0c0d")));
	put(w, LIST("1", DEAD), "of a writer that lost");
	put(w, LIST("2", DEAD), "of one that died before the entry");
	put(w, LIST("2", "11111111"), "our own");
	put(w, LIST("3", DEAD), "of an entry that may still come");
	put(w, "_cdc/list/readme", "of nobody");
	begin(w, named);
	entry_free(write_entry(w, 2, NULL));
	publish(w, 2, w->hour);
	WAIT(atomic_load(&w->p.swept_until) == w->hour);
	assert_false(is_there(w, LIST("1", DEAD)));
	assert_false(is_there(w, LIST("2", DEAD)));
	assert_true(is_there(w, LIST("1", "0a0b0c0d")));
	assert_true(is_there(w, LIST("2", "11111111")));
	assert_true(is_there(w, LIST("3", DEAD)));
	assert_true(is_there(w, "_cdc/list/readme"));
	world_free(w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_leftovers_of_two_entries),
		cmocka_unit_test(test_log_is_read_once),
		cmocka_unit_test(test_notes),
		cmocka_unit_test(test_note_reads_back),
		cmocka_unit_test(test_lists),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
