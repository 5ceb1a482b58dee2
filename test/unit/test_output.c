/*-------------------------------------------------------------------------
 * test_output.c
 *	  Further outputs: one batch in objects of several, what an entry says of
 *	  them from session to session, and one that fails.
 *-------------------------------------------------------------------------
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "codec/csv.h"
#include "codec/hash.h"
#include "codec/json.h"
#include "pipe/checkpoint.h"
#include "pipe/output.h"
#include "pipe/ship.h"

#define HOUR (498680 * US_PER_HOUR) /* 2026-11-21 08:00 UTC */
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define FURTHER 2
#define TABLES 3
#define SHIPPERS 2
#define PUTTERS 2

typedef struct Lab
{
	char folder[64];
	char urls[FURTHER + 1][96]; /* by output */
	RunControl control;
	RunOptions options;
	OutputOptions further[FURTHER];
	OutputHealth health[FURTHER];
	Path *paths[FURTHER + 1];
	Entry *start;
	Pipe pipe;
	Table *tables[TABLES];
	Lsn lsn;
	pthread_t shippers[SHIPPERS];
	pthread_t putters[PUTTERS];
} Lab;

static Path *
path_of(const char *text, const char *zone)
{
	Zone *z = zone_fixed(zone);
	Path *path;
	Err err;

	assert_non_null(z);
	assert_true(path_parse(text, z, &path, &err));
	return path;
}

/* Output 1 is CSV of the tables t0 and t1, output 2 JSON of all. */
static void
set_options(Lab *l)
{
	static const char *const names[] = { "csv", "all" };

	for (int n = 0; n <= FURTHER; n++)
	{
		char *url = xasprintf("file://%s/%d", l->folder, n);

		assert_true(strlen(url) < sizeof(l->urls[n]));
		memcpy(l->urls[n], url, strlen(url) + 1);
		free(url);
	}
	l->paths[0] = path_of(PATH_DEFAULT, "UTC");
	l->paths[1] = path_of("{schema}.{table}/{yyyy}{mm}{dd}{hh}{mi}", "+05:30");
	l->paths[2] = path_of("{schema}/{table}", "UTC");
	l->options = (RunOptions){ .store = { .url = l->urls[0] },
							   .compression = COMPRESS_ZSTD,
							   .format = &json_format,
							   .path = l->paths[0],
							   .memory_limit = 64 << 20,
							   .further = l->further,
							   .nfurther = FURTHER,
							   .control = &l->control };
	for (int i = 0; i < FURTHER; i++)
		l->further[i] =
			(OutputOptions){ .name = names[i],
							 .store = { .url = l->urls[i + 1] },
							 .tables = i ? "" : "public.t0, public.t1",
							 .exclude = "",
							 .compression = i ? COMPRESS_GZIP : COMPRESS_NONE,
							 .format = i ? &json_format : &csv_format,
							 .path = l->paths[i + 1],
							 .health = &l->health[i] };
}

static void
pipe_begin(Lab *l)
{
	Pipe *p = &l->pipe;

	memset(p, 0, sizeof(*p));
	p->options = &l->options;
	p->start = l->start;
	p->outputs = entry_new();
	p->putters = PUTTERS;
	memcpy(p->writer, "0a0b0c0d", 9);
	queue_init(&p->events);
	queue_init(&p->objects);
	queue_init(&p->puts);
	queue_init(&p->checkpoints);
	budget_init(&p->budget, l->options.memory_limit);
	pthread_mutex_init(&p->lock, NULL);
	cond_init(&p->changed);
}

static void
lab_init(Lab *l)
{
	*l = (Lab){ .folder = "/tmp/test_output.XXXXXX" };
	log_init(LOG_ERROR, false);
	assert_non_null(mkdtemp(l->folder));
	l->control.wake_fd = eventfd(0, EFD_NONBLOCK);
	set_options(l);
	l->start = entry_new();
	entry_set(&l->start->database, "shop");
	pipe_begin(l);
	for (int i = 0; i < TABLES; i++)
	{
		char name[16];
		Schema *s;

		(void) snprintf(name, sizeof(name), "t%d", i);
		s = schema_new("public", name, 0);
		s->identity = 'd';
		schema_finish(s);
		l->tables[i] = table_new(&l->pipe, s);
		schema_free(s);
	}
}

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void) st, (void) type, (void) ftw;
	return remove(path);
}

/* All memory was given back. */
static void
pipe_end(Lab *l)
{
	Pipe *p = &l->pipe;

	ship_abandon(p);
	assert_null(p->alive);
	assert_int_equal(budget_used(&p->budget), 0);
	assert_int_equal(p->budget.limit, l->options.memory_limit);
	assert_int_equal(atomic_load(&p->open_bytes), 0);
	entry_free(p->outputs);
	for (int n = 0; n <= FURTHER; n++)
		layouts_done(&p->layouts[n]);
	queue_done(&p->events);
	queue_done(&p->objects);
	queue_done(&p->puts);
	queue_done(&p->checkpoints);
	budget_done(&p->budget);
	pthread_cond_destroy(&p->changed);
	pthread_mutex_destroy(&p->lock);
}

static void
lab_done(Lab *l)
{
	pipe_end(l);
	for (int i = 0; i < TABLES; i++)
		table_free(l->tables[i]);
	for (int n = 0; n <= FURTHER; n++)
		path_free(l->paths[n]);
	entry_free(l->start);
	close(l->control.wake_fd);
	assert_int_equal(nftw(l->folder, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}

static void
ship_all(Lab *l)
{
	for (int i = 0; i < PUTTERS; i++)
		assert_int_equal(
			pthread_create(&l->putters[i], NULL, put_main, &l->pipe), 0);
	for (int i = 0; i < SHIPPERS; i++)
		assert_int_equal(
			pthread_create(&l->shippers[i], NULL, ship_main, &l->pipe), 0);
	queue_close(&l->pipe.objects);
	for (int i = 0; i < SHIPPERS; i++)
		assert_int_equal(pthread_join(l->shippers[i], NULL), 0);
	queue_close(&l->pipe.puts);
	for (int i = 0; i < PUTTERS; i++)
		assert_int_equal(pthread_join(l->putters[i], NULL), 0);
}

/* n truncates of a table, in the folders of that time. */
static Batch *
batch(Lab *l, int table, int n, int64_t time)
{
	Batch *b = batch_new(l->tables[table], 0);
	BatchTxn head = { ++l->lsn, 1, 0 };
	Folders folders;

	pipe_folders(&l->pipe, time, 0, &folders);
	batch_set_folders(b, &folders);
	assert_true(batch_is_in(b, &folders));
	for (int i = 1; i <= n; i++)
	{
		Change change = { .op = 't', .seq = i };

		batch_add_plain(&l->pipe, b, l->lsn, &head, &change);
	}
	return b;
}

/* The records of an object. */
static int64_t
read_records(Lab *l, int output, const EntryObject *o)
{
	StoreOptions options = { .url = l->urls[output] };
	FormatSource source = { .compression = compression_of_key(o->key),
							.max_line = 1 << 20 };
	const Format *f = format_of_key(o->key);
	FormatReader *r;
	Store *store;
	int64_t rows = 0;
	bool end = false;
	Slice line;
	Buf b;
	Err err;

	assert_true(store_open(&options, &store, &err));
	buf_init(&b, 1 << 30);
	if (!store_get(store, o->key, &b, &err))
		fail_msg("%s", err.msg);
	assert_int_equal(b.n, o->bytes);
	assert_int_equal(crc32c(0, b.p, b.n), o->crc32c);
	source.object = buf_slice(&b);
	source.schema = l->tables[0]->unwritten;
	r = f->open(&source);
	for (;;)
	{
		if (!f->next(r, &line, &end, &err))
			fail_msg("%s: %s", o->key, err.msg);
		if (end)
			break;
		rows++;
	}
	f->done(r);
	buf_done(&b);
	store_close(store);
	assert_int_equal(rows, o->rows);
	return rows;
}

/* Of all objects of an output that the entry lists. */
static int64_t
records_of(Lab *l, int output, const Entry *e)
{
	const EntryObject *all = output ? e->further : e->objects;
	int n = output ? e->nfurther : e->nobjects;
	int64_t rows = 0;

	for (int i = 0; i < n; i++)
	{
		if (strcmp(all[i].output, output_name(&l->pipe, output)) == 0)
			rows += read_records(l, output, &all[i]);
	}
	return rows;
}

static Checkpoint *
ship_batches(Lab *l)
{
	Checkpoint *c = checkpoint_new(5);

	for (int i = 0; i < 60; i++)
		checkpoint_ship(
			&l->pipe, c,
			batch(l, i % TABLES, i % 7 ? 10 : 4000, HOUR + i * US_PER_SEC));
	checkpoint_close(&l->pipe, c, 1000, 0);
	ship_all(l);
	(void) queue_pop(&l->pipe.checkpoints, 0);
	return c;
}

/* Each batch is in an object of each output that has its table. */
static void
test_objects(void **state)
{
	Checkpoint *c;
	int64_t all;
	Lab l;

	(void) state;
	lab_init(&l);
	c = ship_batches(&l);
	assert_int_equal(l.pipe.error.kind, ERR_NONE);
	assert_int_equal(c->outstanding, 0);
	all = records_of(&l, 0, c->entry);
	assert_true(all > 36000);
	assert_int_equal(records_of(&l, 2, c->entry), all);
	assert_true(records_of(&l, 1, c->entry) < all);
	for (int i = 0; i < c->entry->nfurther; i++)
	{
		const EntryObject *o = &c->entry->further[i];

		if (strcmp(o->output, "all") == 0)
		{
			assert_int_equal(strncmp(o->key, "public/t", 8), 0);
			assert_non_null(strstr(o->key, ".json.gz"));
			continue;
		}
		assert_string_not_equal(o->table, "t2"); /* not of that output */
		assert_int_equal(strncmp(o->key, "public.t", 8), 0);
		assert_non_null(strstr(o->key, "/202611211330/part-000000000005-"));
		assert_non_null(strstr(o->key, "-0a0b0c0d.csv"));
	}
	checkpoint_free(c);
	lab_done(&l);
}

/* A batch is of one folder of each output. */
static void
test_folders(void **state)
{
	static const struct
	{
		int64_t seconds;
		bool same[FURTHER + 1];
	} rows[] = {
		{ 59, { true, true, true } },
		{ 60, { true, false, true } },
		{ 3600, { false, false, true } },
	};
	Folders first;
	Folders then;
	Batch *b;
	Lab l;

	(void) state;
	lab_init(&l);
	pipe_folders(&l.pipe, HOUR, 0, &first);
	b = batch(&l, 0, 1, HOUR);
	for (size_t i = 0; i < COUNT(rows); i++)
	{
		bool same = true;

		pipe_folders(&l.pipe, HOUR + rows[i].seconds * US_PER_SEC, 0, &then);
		for (int n = 0; n <= FURTHER; n++)
		{
			assert_int_equal(first.at[n] == then.at[n], rows[i].same[n]);
			assert_true(batch_folder(b, n) == first.at[n]);
			same &= rows[i].same[n];
		}
		assert_int_equal(batch_is_in(b, &then), same);
	}
	batch_free(&l.pipe, b);
	lab_done(&l);
}

/* The bytes live as long as the last that has them. */
static void
test_share(void **state)
{
	Lab l;

	(void) state;
	lab_init(&l);
	for (int order = 0; order < 3; order++)
	{
		Batch *b = batch(&l, 0, 100, HOUR);
		int64_t alone = budget_used(&l.pipe.budget);
		Batch *all[3] = { b, batch_share(&l.pipe, b), batch_share(&l.pipe, b) };

		assert_true(budget_used(&l.pipe.budget) <= alone + 1000);
		assert_int_equal(all[1]->rows, 100);
		assert_ptr_equal(all[2]->buf.p, b->buf.p);
		for (int i = 0; i < 2; i++)
			batch_free(&l.pipe, all[(order + i) % 3]);
		assert_true(budget_used(&l.pipe.budget) >= alone);
		batch_free(&l.pipe, all[(order + 2) % 3]);
		assert_int_equal(budget_used(&l.pipe.budget), 0);
	}
	lab_done(&l);
}

/* Nothing can be written below a file. */
static void
break_output(Lab *l, int output)
{
	(void) snprintf(l->urls[output], sizeof(l->urls[output]),
					"file:///dev/null/%d", output);
}

static void
test_hold(void **state)
{
	Checkpoint *c;
	Lab l;

	(void) state;
	lab_init(&l);
	break_output(&l, 2);
	c = ship_batches(&l);
	assert_int_equal(l.pipe.error.kind, ERR_STORE);
	assert_non_null(strstr(l.pipe.error.msg, "output \"all\": "));
	assert_true(c->outstanding > 0);
	checkpoint_free(c);
	lab_done(&l);
}

/* An output that was detached has nothing of the entry, the others all. */
static void
test_detach(void **state)
{
	Entry *before = entry_new();
	Checkpoint *c;
	int64_t all;
	Lab l;
	Err err;

	(void) state;
	lab_init(&l);
	break_output(&l, 2);
	l.further[1].detach = true;
	l.start->seq = 4;
	l.start->end = 77;
	assert_true(outputs_plan(&l.pipe, NULL, &err));
	before->end = 99;
	c = ship_batches(&l);
	assert_int_equal(l.pipe.error.kind, ERR_NONE);
	assert_int_equal(c->outstanding, 0);
	assert_true(atomic_load(&l.health[1].detached));
	assert_false(atomic_load(&l.health[0].detached));
	outputs_fill_entry(&l.pipe, c->entry, before);
	all = records_of(&l, 0, c->entry);
	assert_true(all > 36000 && records_of(&l, 1, c->entry) > 0);
	for (int i = 0; i < c->entry->nfurther; i++)
		assert_string_equal(c->entry->further[i].output, "csv");
	assert_int_equal(c->entry->noutputs, 2);
	assert_int_equal(c->entry->outputs[0].state, OUTPUT_ATTACHED);
	assert_int_equal(c->entry->outputs[1].state, OUTPUT_DETACHED);
	assert_int_equal(c->entry->outputs[1].first, 77);
	assert_int_equal(c->entry->outputs[1].last, 99);
	checkpoint_free(c);
	entry_free(before);
	lab_done(&l);
}

/* A failure that passes in time is none. */
static void
test_again(void **state)
{
	Err err = { 0 };
	Lab l;

	(void) state;
	lab_init(&l);
	l.further[1].detach = true;
	l.further[1].detach_after_ms = 3600000;
	err_set(&err, ERR_AUTH, 0, "no");
	assert_true(output_again(&l.pipe, 2, "x", &err));
	assert_true(atomic_load(&l.health[1].failing_ms) > 0);
	output_works(&l.pipe, 2);
	assert_int_equal(atomic_load(&l.health[1].failing_ms), 0);
	assert_false(output_again(&l.pipe, 1, "x", &err)); /* held: refused */
	err_set(&err, ERR_GONE, 0, "lost");
	assert_false(output_again(&l.pipe, 2, "x", &err));
	assert_false(output_is_detached(&l.pipe, 2));
	l.further[1].detach_after_ms = 0; /* it has failed for longer by now */
	assert_false(output_again(&l.pipe, 2, "x", &err));
	assert_true(output_is_detached(&l.pipe, 2));
	assert_false(output_wants(&l.pipe, 2, l.tables[0]));
	assert_true(output_wants(&l.pipe, 1, l.tables[0]));
	assert_false(output_wants(&l.pipe, 1, l.tables[2]));
	lab_done(&l);
}

/* A session whose first entry becomes the last one: the next one's start. */
static void
next_session(Lab *l, bool changes)
{
	Entry *e = entry_new();
	Err err;

	for (int n = 0; n <= FURTHER; n++) /* a test may have planned, too */
		layouts_done(&l->pipe.layouts[n]);
	assert_true(outputs_plan(&l->pipe, NULL, &err));
	assert_int_equal(l->pipe.announces_outputs, changes);
	e->seq = l->start->seq + 1;
	e->end = l->start->end + 100;
	outputs_fill_entry(&l->pipe, e, l->start);
	pipe_end(l);
	entry_free(l->start);
	l->start = e;
	pipe_begin(l);
}

static void
check_output(const Lab *l, int i, const char *name, OutputState s,
			 int64_t since, Lsn first, Lsn last)
{
	const EntryOutput *o = &l->start->outputs[i];

	assert_true(i < l->start->noutputs);
	assert_string_equal(o->name, name);
	assert_int_equal(o->state, s);
	assert_int_equal(o->since, since);
	assert_int_equal(o->first, first);
	assert_int_equal(o->last, last);
	assert_int_equal(o->filled, since == 1);
}

/* What comes, stays, goes, and comes again, from one session to the next. */
static void
test_sessions(void **state)
{
	Lab l;

	(void) state;
	lab_init(&l);
	l.start->end = 1000;
	l.options.nfurther = 1;
	next_session(&l, true);
	assert_int_equal(l.start->noutputs, 1);
	check_output(&l, 0, "csv", OUTPUT_ATTACHED, 1, 1000, 0);
	next_session(&l, false);
	check_output(&l, 0, "csv", OUTPUT_ATTACHED, 1, 1000, 0);

	l.options.nfurther = 2;
	next_session(&l, true);
	check_output(&l, 0, "csv", OUTPUT_ATTACHED, 1, 1000, 0);
	check_output(&l, 1, "all", OUTPUT_ATTACHED, 3, 1200, 0);

	l.options.nfurther = 1; /* one goes: told once */
	next_session(&l, true);
	assert_int_equal(l.start->noutputs, 2);
	check_output(&l, 1, "all", OUTPUT_ENDED, 3, 1200, 1300);
	next_session(&l, false);
	assert_int_equal(l.start->noutputs, 1);

	l.options.nfurther = 2; /* and comes again: a new one */
	next_session(&l, true);
	check_output(&l, 1, "all", OUTPUT_ATTACHED, 6, 1500, 0);

	l.further[0].exclude = "public.t1"; /* other tables: another one */
	next_session(&l, true);
	assert_int_equal(l.start->noutputs, 3);
	check_output(&l, 0, "csv", OUTPUT_ATTACHED, 7, 1600, 0);
	check_output(&l, 2, "csv", OUTPUT_ENDED, 1, 1000, 1600);

	atomic_store(&l.health[0].detached, true);
	next_session(&l, false);
	check_output(&l, 0, "csv", OUTPUT_DETACHED, 7, 1600, 1700);
	next_session(&l, false); /* of the same process */
	check_output(&l, 0, "csv", OUTPUT_DETACHED, 7, 1600, 1700);
	atomic_store(&l.health[0].detached, false);
	next_session(&l, true); /* of the next one */
	assert_int_equal(l.start->noutputs, 2);
	check_output(&l, 0, "csv", OUTPUT_ATTACHED, 10, 1900, 0);

	(void) snprintf(l.urls[1], sizeof(l.urls[1]), "file://%s/other", l.folder);
	next_session(&l, true);
	check_output(&l, 0, "csv", OUTPUT_ATTACHED, 11, 2000, 0);
	check_output(&l, 2, "csv", OUTPUT_ENDED, 10, 1900, 2000);
	lab_done(&l);
}

/* "….csv" of an object of the first output, in the folder of that time. */
static bool
object_is(Lab *l, int64_t time, const char *suffix)
{
	Checkpoint *c = checkpoint_new(5);
	ObjectPlace place = { .output = 1,
						  .list = c->entry,
						  .outstanding = &c->outstanding,
						  .next_number = &c->next_object,
						  .digits = 4 };
	Folders folders;
	Schema *s = schema_new("public", "t0", 0);
	Table *t;
	Object *o;
	const char *at;
	bool same;

	s->identity = 'd';
	schema_finish(s);
	t = table_new(&l->pipe, s);
	pipe_folders(&l->pipe, time, 0, &folders);
	object_stem(&l->pipe, &place, 5);
	o = object_new(&l->pipe, &place, t, folders.at[1]);
	at = strrchr(o->key, '/');
	same = strcmp(strchr(at, '.'), suffix) == 0 &&
		   strcmp(o->format->suffix, suffix) == 0 && o->table_form != NULL;
	object_free(&l->pipe, o);
	table_free(t);
	schema_free(s);
	checkpoint_free(c);
	return same;
}

/*
 * Another format of an output begins with the next folder, whatever the main
 * one does, and the log says so from session to session.
 */
static void
test_layouts(void **state)
{
	int64_t now = clock_unix_us();
	int64_t later = now + 3 * US_PER_HOUR;
	EntryOutput *o;
	Lab l;
	Err err;

	(void) state;
	lab_init(&l);
	l.options.nfurther = 1;
	l.further[0].layout = (EntryLayout){ .format = "csv",
										 .variant = "",
										 .compression = "none",
										 .path = PATH_DEFAULT,
										 .zone = "UTC" };
	next_session(&l, true);
	assert_int_equal(l.start->outputs[0].nlayouts, 1);
	assert_true(outputs_plan(&l.pipe, NULL, &err));
	assert_int_equal(l.pipe.layouts[0].n, 0);
	assert_true(object_is(&l, now, ".csv"));
	assert_true(object_is(&l, later, ".csv"));

	l.further[0].layout.format = "json";
	next_session(&l, false);
	o = &l.start->outputs[0];
	assert_int_equal(o->state, OUTPUT_ATTACHED);
	assert_int_equal(o->nlayouts, 2);
	assert_string_equal(o->layouts[0].format, "csv");
	assert_string_equal(o->layouts[1].format, "json");
	assert_true(o->layouts[0].until > now);
	assert_int_equal(o->layouts[1].start, o->layouts[0].until);
	assert_true(outputs_plan(&l.pipe, NULL, &err));
	assert_true(object_is(&l, now, ".csv"));
	assert_true(object_is(&l, later, ".json"));

	/* other tables are another output, in the same folders */
	l.further[0].exclude = "public.t1";
	next_session(&l, true);
	assert_true(outputs_plan(&l.pipe, NULL, &err));
	assert_true(object_is(&l, now, ".csv"));
	assert_true(object_is(&l, later, ".json"));

	/* and another place has nothing of it */
	(void) snprintf(l.urls[1], sizeof(l.urls[1]), "file://%s/else", l.folder);
	next_session(&l, true);
	assert_int_equal(l.start->outputs[0].nlayouts, 1);
	assert_true(outputs_plan(&l.pipe, NULL, &err));
	assert_true(object_is(&l, now, ".json"));
	lab_done(&l);
}

/* Names as AWS DMS has them are an output's own. */
static void
test_names(void **state)
{
	ObjectPlace place = { .output = 0 };
	Lab l;

	(void) state;
	lab_init(&l);
	l.further[0].dms_names = true;
	object_stem(&l.pipe, &place, 7);
	assert_string_equal(place.stem, "part-000000000007");
	place.output = 1;
	object_stem(&l.pipe, &place, 7);
	assert_string_not_equal(place.stem, "part-000000000007");
	assert_non_null(strstr(place.stem, "-7"));
	lab_done(&l);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_objects),  cmocka_unit_test(test_folders),
		cmocka_unit_test(test_share),    cmocka_unit_test(test_hold),
		cmocka_unit_test(test_detach),   cmocka_unit_test(test_again),
		cmocka_unit_test(test_sessions), cmocka_unit_test(test_layouts),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests_name("output", tests, NULL, NULL);
}
