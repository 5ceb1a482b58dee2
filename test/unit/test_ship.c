/*-------------------------------------------------------------------------
 * test_ship.c
 *	  Objects from batches to the store: names and sums, the order of rows
 *	  while two shippers work, lines that go on in the next batch, what is
 *	  closed when, and what is left when a session ends.
 *-------------------------------------------------------------------------
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <ftw.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "cdc_s3_proto.h"
#include "codec/hash.h"
#include "codec/json.h"
#include "pipe/checkpoint.h"
#include "pipe/ship.h"

#define HOUR (498680 * US_PER_HOUR) /* 2026-11-21 08:00 UTC */
#define TABLES 5
#define SHIPPERS 2
#define PUTTERS 3

typedef struct Lab
{
	char folder[64];
	char url[80];
	RunControl control;
	RunOptions options;
	Path *path;
	Entry start;
	Pipe pipe;
	Table *tables[TABLES];
	JsonTable *json[TABLES];
	JsonWriter *writers[TABLES];
	Buf lines[TABLES]; /* what the objects are to hold */
	int64_t rows[TABLES];
	Lsn lsn;
	pthread_t shippers[SHIPPERS];
	pthread_t putters[PUTTERS];
	int nputters;
	Store *store;
} Lab;

static void
set_path(Lab *l, const char *text)
{
	Err err;

	path_free(l->path);
	assert_true(path_parse(text, zone_fixed("UTC"), &l->path, &err));
	l->options.path = l->path;
}

static void
lab_init(Lab *l, Compression compression)
{
	Err err;

	*l = (Lab){ .folder = "/tmp/test_ship.XXXXXX" };
	log_init(LOG_ERROR, false);
	assert_non_null(mkdtemp(l->folder));
	(void) snprintf(l->url, sizeof(l->url), "file://%s", l->folder);
	l->options = (RunOptions){ .store = { .url = l->url },
							   .compression = compression,
							   .format = &json_format,
							   .memory_limit = 64 << 20, /* for all of them */
							   .control = &l->control };
	l->start = (Entry){ .database = "shop", .slot = "cdc_s3" };
	l->pipe.start = &l->start;
	set_path(l, PATH_DEFAULT);
	l->control.wake_fd = eventfd(0, EFD_NONBLOCK);
	l->pipe.options = &l->options;
	memcpy(l->pipe.writer, "0a0b0c0d", 9);
	queue_init(&l->pipe.events);
	queue_init(&l->pipe.objects);
	queue_init(&l->pipe.puts);
	queue_init(&l->pipe.checkpoints);
	budget_init(&l->pipe.budget, l->options.memory_limit);
	pthread_mutex_init(&l->pipe.lock, NULL);
	cond_init(&l->pipe.changed);
	for (int i = 0; i < TABLES; i++)
	{
		char name[16];
		Schema *s;

		(void) snprintf(name, sizeof(name), i ? "t%d" : "_t", i);
		s = schema_new("public", name, 0);
		s->identity = 'd';
		schema_finish(s);
		l->tables[i] = table_new(&l->pipe, s);
		l->json[i] = json_table_new(s, &l->options.format_options);
		l->writers[i] = json_writer_new(l->json[i]);
		schema_free(s);
		buf_init(&l->lines[i], (size_t) 1 << 30);
	}
	assert_true(store_open(&l->options.store, &l->store, &err));
}

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void) st, (void) type, (void) ftw;
	return remove(path);
}

/* All memory was given back. */
static void
lab_done(Lab *l)
{
	ship_abandon(&l->pipe);
	assert_null(l->pipe.alive);
	path_free(l->path);
	assert_int_equal(budget_used(&l->pipe.budget), 0);
	assert_int_equal(l->pipe.budget.limit, l->options.memory_limit);
	assert_int_equal(atomic_load(&l->pipe.open_bytes), 0);
	for (int i = 0; i < TABLES; i++)
	{
		table_free(l->tables[i]);
		json_writer_free(l->writers[i]);
		json_table_free(l->json[i]);
		buf_done(&l->lines[i]);
	}
	store_close(l->store);
	queue_done(&l->pipe.events);
	queue_done(&l->pipe.objects);
	queue_done(&l->pipe.puts);
	queue_done(&l->pipe.checkpoints);
	budget_done(&l->pipe.budget);
	pthread_cond_destroy(&l->pipe.changed);
	pthread_mutex_destroy(&l->pipe.lock);
	close(l->control.wake_fd);
	assert_int_equal(nftw(l->folder, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}

static void
start_shippers(Lab *l)
{
	for (int i = 0; i < SHIPPERS; i++)
		assert_int_equal(
			pthread_create(&l->shippers[i], NULL, ship_main, &l->pipe), 0);
}

/* Before the shippers. */
static void
start_putters(Lab *l)
{
	l->pipe.putters = l->nputters = PUTTERS;
	for (int i = 0; i < PUTTERS; i++)
		assert_int_equal(
			pthread_create(&l->putters[i], NULL, put_main, &l->pipe), 0);
}

static void
join_shippers(Lab *l)
{
	queue_close(&l->pipe.objects);
	for (int i = 0; i < SHIPPERS; i++)
		assert_int_equal(pthread_join(l->shippers[i], NULL), 0);
	queue_close(&l->pipe.puts);
	for (int i = 0; i < l->nputters; i++)
		assert_int_equal(pthread_join(l->putters[i], NULL), 0);
}

/* A line of the table, as the format writes it. */
static void
want_line(Lab *l, int table, int64_t seq, const char *name)
{
	Change change = { .op = 't', .lsn = l->lsn, .seq = seq, .xid = 1 };
	ChangePartition part = { "public", name, { NULL, 0 } };

	change.partial = &part;
	change.npartial = name ? 1 : 0;
	json_write(l->writers[table], &change, &l->lines[table]);
	l->rows[table]++;
}

/* A batch of n changes of a table. */
static Batch *
batch(Lab *l, int table, int n)
{
	Batch *b = batch_new(l->tables[table], HOUR);
	BatchTxn head = { ++l->lsn, 1, 0 };

	for (int i = 1; i <= n; i++)
	{
		char name[16];
		ChangePartition part = { "public", name, { NULL, 0 } };
		Change change = {
			.op = 't', .seq = i, .partial = &part, .npartial = 1
		};

		(void) snprintf(name, sizeof(name), "%08lx", random() & 0xffffff);
		batch_add_plain(&l->pipe, b, l->lsn, &head, &change);
		want_line(l, table, i, name);
	}
	return b;
}

/*
 * A batch that ends in the middle of a row of parts, and those that go on with
 * it to its end: the beginning of the row, a part of n bytes in the middle.
 */
static Batch *
row_begins(Lab *l, int table, size_t n)
{
	Batch *b = batch_new(l->tables[table], HOUR);
	BatchTxn head = { ++l->lsn, 1, 0 };
	BatchRows rows = { .seq = 1,
					   .type = CDC_S3_DELETE,
					   .flags = CDC_S3_NO_IDENTITY };
	uint8_t *later = xcalloc(1, n + 1);

	batch_begin_row(&l->pipe, b, l->lsn, &head, &rows);
	batch_add_part(&l->pipe, b, (Slice){ later, n }, false);
	free(later);
	return b;
}

static Batch *
row_ends(Lab *l, int table, Batch *before)
{
	Batch *b = batch_continue(&l->pipe, before);
	Change change = {
		.op = 'd', .lsn = l->lsn, .seq = 1, .xid = 1, .no_identity = true
	};

	batch_add_part(&l->pipe, b, (Slice){ (const uint8_t *) "x", 1 }, true);
	json_write(l->writers[table], &change, &l->lines[table]);
	l->rows[table]++;
	return b;
}

/* The objects of a table, one behind the other, are its lines. */
static void
check_table(Lab *l, const Entry *e, int table)
{
	Buf text;
	int64_t rows = 0;
	Lsn last = 0;
	Err err;

	buf_init(&text, (size_t) 1 << 30);
	for (int i = 0; i < e->nobjects; i++)
	{
		const EntryObject *o = &e->objects[i];
		LineReader *r;
		bool end = false;
		Slice line;
		Lsn here; /* and its ordinal */
		Buf b;

		if (strcmp(o->table, l->tables[table]->name) != 0)
			continue;
		buf_init(&b, (size_t) 1 << 30);
		assert_true(store_get(l->store, o->key, &b, &err));
		assert_int_equal(b.n, o->bytes);
		assert_int_equal(crc32c(0, b.p, b.n), o->crc32c);
		r = lines_open(l->options.compression, buf_slice(&b), 1 << 20);
		while (lines_next(r, &line, &end, &err) && !end)
		{
			buf_add(&text, line.p, line.n);
			buf_byte(&text, '\n');
		}
		assert_true(end);
		lines_close(r);
		buf_done(&b);
		rows += o->rows;
		here = o->first_lsn * 100000 + (Lsn) o->first_seq;
		assert_true(here > last && o->last_lsn >= o->first_lsn);
		last = o->last_lsn * 100000 + (Lsn) o->last_seq;
	}
	assert_int_equal(text.n, l->lines[table].n);
	if (text.n)
		assert_memory_equal(text.p, l->lines[table].p, text.n);
	assert_int_equal(rows, l->rows[table]);
	buf_done(&text);
}

static void
test_names(void **state)
{
	static const struct
	{
		const char *path;
		Compression compression;
		const char *key;
	} rows[] = {
		{ PATH_DEFAULT, COMPRESS_ZSTD,
		  "public/%5Ft/year=2026/month=11/day=21/hour=08/"
		  "stem-0000-0a0b0c0d.json.zst" },
		{ "{slot}/{database}/{yyyy}{mm}{dd}/{schema}.{table}", COMPRESS_GZIP,
		  "cdc_s3/shop/20261121/public.%5Ft/stem-0001-0a0b0c0d.json.gz" },
		{ "{schema}/{table}", COMPRESS_NONE,
		  "public/%5Ft/stem-0002-0a0b0c0d.json" },
	};
	Entry *list = entry_new();
	int outstanding = 0;
	int number = 0;
	Lab l;

	(void) state;
	lab_init(&l, COMPRESS_ZSTD);
	for (int i = 0; i < 3; i++)
	{
		ObjectPlace place = { .list = list,
							  .outstanding = &outstanding,
							  .next_number = &number,
							  .digits = 4,
							  .stem = "stem",
							  .load = i == 2 ? "00000000000000aa" : NULL };
		const EntryObject *e;
		Object *o;

		set_path(&l, rows[i].path);
		l.options.compression = rows[i].compression;
		o = object_new(&l.pipe, &place, l.tables[0], HOUR);
		object_add(&l.pipe, o, batch(&l, 0, 2), false);
		object_add(&l.pipe, o, batch(&l, 0, 3), true);
		assert_string_equal(o->key, rows[i].key);
		assert_int_equal(outstanding, i + 1);
		assert_int_equal(list->nobjects, i + 1);
		e = &list->objects[i];
		assert_string_equal(e->key, rows[i].key);
		assert_string_equal(e->schema, "public");
		assert_string_equal(e->table, "_t");
		assert_string_equal(e->hash, l.tables[0]->hash);
		assert_string_equal(e->load, i == 2 ? "00000000000000aa" : "");
		assert_int_equal(e->rows, 0); /* who ships it counts */
	}
	lab_done(&l);
	entry_free(list);
}

/* Many batches of some tables, in a random order, by two shippers. */
static void
test_order(void **state)
{
	(void) state;
	for (Compression kind = COMPRESS_NONE; kind <= COMPRESS_ZSTD; kind++)
	{
		Checkpoint *c = checkpoint_new(5);
		Lab l;

		srandom(kind + 1);
		lab_init(&l, kind);
		start_shippers(&l);
		for (int i = 0; i < 400; i++)
		{
			int t = (int) (random() % TABLES);

			checkpoint_ship(&l.pipe, c, batch(&l, t, (int) (random() % 9000)));
		}
		c->closing = true;
		for (int t = 0; t < TABLES; t++)
			checkpoint_ship(&l.pipe, c, batch(&l, t, 1));
		checkpoint_close(&l.pipe, c, 1000, 0);
		join_shippers(&l);
		assert_int_equal(l.pipe.error.kind, ERR_NONE);
		assert_int_equal(c->outstanding, 0);
		for (int t = 0; t < TABLES; t++)
			check_table(&l, c->entry, t);
		assert_int_equal(c->entry->nobjects, TABLES);
		(void) queue_pop(&l.pipe.checkpoints, 0);
		checkpoint_free(c);
		lab_done(&l);
	}
}

/*
 * Objects of one batch, small and large: putters write the small ones.  The
 * first of each table brings its schema file.
 */
static void
test_putters(void **state)
{
	Checkpoint *c = checkpoint_new(5);
	Buf key, text;
	Lab l;
	Err err;

	(void) state;
	srandom(7);
	lab_init(&l, COMPRESS_NONE);
	start_putters(&l);
	start_shippers(&l);
	c->closing = true;
	for (int t = 0; t < TABLES; t++)
	{
		(void) checkpoint_add_schema(c, l.tables[t], (Position){ 1, 2 });
		l.tables[t]->file_due = true;
	}
	for (int i = 0; i < 300; i++)
	{
		int t = i < TABLES ? i : (int) (random() % TABLES);
		int n = i % 10 == 0 ? 5000 : 1 + (int) (random() % 50);

		checkpoint_ship(&l.pipe, c, batch(&l, t, n));
	}
	checkpoint_close(&l.pipe, c, 1000, 0);
	join_shippers(&l);
	assert_int_equal(l.pipe.error.kind, ERR_NONE);
	assert_int_equal(c->outstanding, 0);
	assert_int_equal(c->entry->nobjects, 300);
	assert_int_equal(c->entry->nschemas, TABLES);
	buf_init(&key, 1024);
	buf_init(&text, 1 << 20);
	for (int t = 0; t < TABLES; t++)
	{
		const Table *table = l.tables[t];

		check_table(&l, c->entry, t);
		assert_null(table->unwritten);
		assert_false(table->file_due);
		buf_reset(&key);
		key_add_schema(&key, table->schema, table->name, table->hash);
		assert_true(store_get(l.store, buf_cstr(&key), &text, &err));
	}
	buf_done(&key);
	buf_done(&text);
	(void) queue_pop(&l.pipe.checkpoints, 0);
	checkpoint_free(c);
	lab_done(&l);
}

/* A session that ends frees what putters had not come to. */
static void
test_puts_left(void **state)
{
	Checkpoint *c = checkpoint_new(5);
	Lab l;

	(void) state;
	lab_init(&l, COMPRESS_ZSTD);
	l.pipe.putters = 1; /* which does not run */
	start_shippers(&l);
	c->closing = true;
	for (int i = 0; i < 20; i++)
		checkpoint_ship(&l.pipe, c, batch(&l, i % TABLES, 10));
	join_shippers(&l);
	assert_int_equal(c->outstanding, 20);
	checkpoint_free(c);
	lab_done(&l);
}

/*
 * A row that goes on in the next batch keeps its object open, whatever it
 * has grown to and however little memory there is.
 */
static void
test_pieces(void **state)
{
	Checkpoint *c = checkpoint_new(5);
	Lab l;

	(void) state;
	lab_init(&l, COMPRESS_ZSTD);
	l.options.memory_limit = 4; /* objects are closed as soon as may be */
	l.options.max_rows = 300;   /* and none is cut in the middle of a row */
	start_shippers(&l);
	for (int i = 0; i < 50; i++)
	{
		Batch *begins;
		Batch *ends;

		checkpoint_ship(&l.pipe, c, batch(&l, 0, 1000));
		checkpoint_ship(&l.pipe, c, batch(&l, 1, 10));
		begins = row_begins(&l, 0, i % 3 ? 10 : 300000);
		ends = row_ends(&l, 0, begins);
		checkpoint_ship(&l.pipe, c, begins);
		checkpoint_ship(&l.pipe, c, ends);
	}
	checkpoint_close(&l.pipe, c, 1000, 0);
	join_shippers(&l);
	assert_int_equal(l.pipe.error.kind, ERR_NONE);
	entry_sort_objects(c->entry);
	check_table(&l, c->entry, 0);
	check_table(&l, c->entry, 1);
	(void) queue_pop(&l.pipe.checkpoints, 0);
	checkpoint_free(c);
	l.options.memory_limit = l.pipe.budget.limit;
	lab_done(&l);
}

/* Ships 4 batches of 3 rows; how many rows each object has. */
static void
check_full(int64_t max_rows, int64_t max_bytes, const char *want)
{
	Checkpoint *c = checkpoint_new(5);
	char got[100] = "";
	Lab l;

	lab_init(&l, COMPRESS_ZSTD);
	l.options.max_rows = max_rows;
	l.options.max_bytes = max_bytes;
	for (int i = 0; i < 4; i++)
		checkpoint_ship(&l.pipe, c, batch(&l, 0, 3));
	assert_int_equal(c->entry->nobjects, 1);
	checkpoint_close(&l.pipe, c, 1000, 0);
	assert_int_equal(c->outstanding, 1);
	start_shippers(&l);
	join_shippers(&l);
	assert_int_equal(l.pipe.error.kind, ERR_NONE);
	assert_int_equal(c->outstanding, 0);
	check_table(&l, c->entry, 0);
	for (int i = 0; i < c->entry->nobjects; i++)
		(void) snprintf(got + strlen(got), sizeof(got) - strlen(got),
						"%s%" PRId64, i ? " " : "", c->entry->objects[i].rows);
	assert_string_equal(got, want);
	(void) queue_pop(&l.pipe.checkpoints, 0);
	checkpoint_free(c);
	lab_done(&l);
}

/* An object ends with the row that fills it, where another one follows. */
static void
test_full(void **state)
{
	(void) state;
	check_full(0, 0, "12");
	check_full(12, 0, "12");
	check_full(11, 0, "11 1");
	check_full(5, 0, "5 5 2");
	check_full(1, 0, "1 1 1 1 1 1 1 1 1 1 1 1");
	check_full(0, 1, "1 1 1 1 1 1 1 1 1 1 1 1");
	check_full(0, 500, "4 4 4");
	check_full(2, 500, "2 2 2 2 2 2");
}

/*
 * Who closes an object does not look at what a shipper names anew beside it:
 * ThreadSanitizer sees that, as long as nothing here puts an order between the
 * two.  A file that is there says that the second object has ended.
 */
static void
test_close_beside(void **state)
{
	Checkpoint *c = checkpoint_new(5);
	char path[300];
	char *number;
	Lab l;

	(void) state;
	lab_init(&l, COMPRESS_NONE);
	l.options.max_rows = 2;
	checkpoint_ship(&l.pipe, c, batch(&l, 0, 5));
	(void) snprintf(path, sizeof(path), "%s/%s", l.folder,
					c->entry->objects[0].key);
	number = strstr(path, "-0000-");
	assert_non_null(number);
	number[4] = '1';
	start_shippers(&l);
	while (access(path, F_OK) != 0)
		(void) poll(NULL, 0, 1);
	checkpoint_close(&l.pipe, c, 1000, 0);
	join_shippers(&l);
	assert_int_equal(l.pipe.error.kind, ERR_NONE);
	assert_int_equal(c->entry->nobjects, 3);
	check_table(&l, c->entry, 0);
	(void) queue_pop(&l.pipe.checkpoints, 0);
	checkpoint_free(c);
	lab_done(&l);
}

/*
 * One table, more workers than one: where batches wait, several objects grow
 * beside each other, each in order within itself, and a row in parts stays in
 * its own.  Together they hold each row once.
 */
static void
test_beside(void **state)
{
	Checkpoint *c = checkpoint_new(5);
	Batch *begins;
	Batch *ends;
	int64_t rows = 0;
	Lab l;

	(void) state;
	lab_init(&l, COMPRESS_ZSTD);
	l.options.workers = 3;
	for (int i = 0; i < OBJECT_BACKLOG; i++)
		checkpoint_ship(&l.pipe, c, batch(&l, 0, 3));
	assert_int_equal(c->entry->nobjects, 1);
	begins = row_begins(&l, 0, 10);
	ends = row_ends(&l, 0, begins);
	checkpoint_ship(&l.pipe, c, begins);
	assert_int_equal(c->entry->nobjects, 2);
	checkpoint_ship(&l.pipe, c, ends);
	assert_int_equal(c->entry->nobjects, 2);
	for (int i = 0; i < 40; i++)
		checkpoint_ship(&l.pipe, c, batch(&l, 0, 3));
	assert_int_equal(c->entry->nobjects, 3); /* no more than workers */
	start_shippers(&l);
	checkpoint_close(&l.pipe, c, 1000, 0);
	join_shippers(&l);
	assert_int_equal(l.pipe.error.kind, ERR_NONE);
	for (int i = 0; i < c->entry->nobjects; i++)
	{
		const EntryObject *o = &c->entry->objects[i];

		assert_true(o->rows > 0 && o->last_lsn >= o->first_lsn);
		rows += o->rows;
	}
	assert_int_equal(rows, l.rows[0]);
	(void) queue_pop(&l.pipe.checkpoints, 0);
	checkpoint_free(c);
	lab_done(&l);
}

/* A batch whose rows are not what was routed: nothing of it counts. */
static void
test_row_lost(void **state)
{
	Checkpoint *c = checkpoint_new(5);
	Batch *b;
	Lab l;

	(void) state;
	lab_init(&l, COMPRESS_ZSTD);
	b = batch(&l, 0, 3);
	b->rows++;
	checkpoint_ship(&l.pipe, c, b);
	start_shippers(&l);
	checkpoint_close(&l.pipe, c, 1000, 0);
	join_shippers(&l);
	assert_int_equal(l.pipe.error.kind, ERR_INTERNAL);
	assert_int_equal(c->outstanding, 1);
	(void) queue_pop(&l.pipe.checkpoints, 0);
	checkpoint_free(c);
	lab_done(&l);
}

/* What holds memory too long is closed, the oldest first. */
static void
test_too_many(void **state)
{
	Checkpoint *c = checkpoint_new(5);
	Lab l;

	(void) state;
	lab_init(&l, COMPRESS_ZSTD);
	checkpoint_ship(&l.pipe, c, batch(&l, 0, 3));
	atomic_store(&l.pipe.open_bytes, l.options.memory_limit);
	checkpoint_ship(&l.pipe, c, batch(&l, 1, 3));
	assert_ptr_equal(c->open->table, l.tables[1]);
	assert_null(c->open->next_open);
	checkpoint_ship(&l.pipe, c, batch(&l, 0, 3));
	assert_int_equal(c->entry->nobjects, 3);
	atomic_store(&l.pipe.open_bytes, 0);
	start_shippers(&l);
	checkpoint_close(&l.pipe, c, 1000, 0);
	join_shippers(&l);
	check_table(&l, c->entry, 0);
	check_table(&l, c->entry, 1);
	(void) queue_pop(&l.pipe.checkpoints, 0);
	checkpoint_free(c);
	lab_done(&l);
}

static int
count_tmp(const Lab *l)
{
	char path[100];
	DIR *dir;
	struct dirent *e;
	int n = 0;

	(void) snprintf(path, sizeof(path), "%s/_cdc/tmp", l->folder);
	dir = opendir(path);
	if (dir == NULL)
		return 0;
	while ((e = readdir(dir)) != NULL)
		n += e->d_name[0] != '.';
	(void) closedir(dir);
	return n;
}

/* Uploads in the middle: abandoned when the session ends. */
static void
test_abandon(void **state)
{
	Checkpoint *c = checkpoint_new(5);
	Lab l;

	(void) state;
	lab_init(&l, COMPRESS_NONE);
	start_shippers(&l);
	checkpoint_ship(&l.pipe, c, batch(&l, 0, 50000));
	join_shippers(&l);
	assert_int_equal(count_tmp(&l), 1);
	ship_abandon(&l.pipe);
	assert_int_equal(count_tmp(&l), 0);
	checkpoint_free(c);
	lab_done(&l);
}

/* Somebody else removes the upload: the session is over, to begin anew. */
static void
test_gone(void **state)
{
	Checkpoint *c = checkpoint_new(5);
	char path[100];
	Lab l;

	(void) state;
	lab_init(&l, COMPRESS_NONE);
	start_shippers(&l);
	checkpoint_ship(&l.pipe, c, batch(&l, 0, 50000));
	join_shippers(&l);
	assert_int_equal(count_tmp(&l), 1);
	(void) snprintf(path, sizeof(path), "%s/_cdc/tmp", l.folder);
	assert_int_equal(nftw(path, remove_one, 4, FTW_DEPTH | FTW_PHYS), 0);
	queue_done(&l.pipe.objects);
	queue_init(&l.pipe.objects);
	start_shippers(&l);
	checkpoint_ship(&l.pipe, c, batch(&l, 0, 50000));
	checkpoint_close(&l.pipe, c, 1000, 0);
	join_shippers(&l);
	assert_int_equal(l.pipe.error.kind, ERR_GONE);
	assert_int_equal(c->outstanding, 1);
	(void) queue_pop(&l.pipe.checkpoints, 0);
	checkpoint_free(c);
	lab_done(&l);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),    cmocka_unit_test(test_order),
		cmocka_unit_test(test_putters),  cmocka_unit_test(test_puts_left),
		cmocka_unit_test(test_pieces),   cmocka_unit_test(test_full),
		cmocka_unit_test(test_beside),   cmocka_unit_test(test_row_lost),
		cmocka_unit_test(test_too_many), cmocka_unit_test(test_abandon),
		cmocka_unit_test(test_gone),     cmocka_unit_test(test_close_beside),
	};

	return cmocka_run_group_tests_name("ship", tests, NULL, NULL);
}
