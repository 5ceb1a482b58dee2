/*-------------------------------------------------------------------------
 * test_fields.c
 *	  Field ids: sessions over one lake, in which tables are made, altered,
 *	  made anew and renamed, and no id of a name ever means two columns.
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

#include "base/log.h"
#include "base/mem.h"
#include "codec/key.h"
#include "codec/parquet_type.h"
#include "pipe/fields.h"

typedef struct Lab
{
	char folder[64];
	char url[96];
	RunControl control;
	RunOptions options;
	Pipe pipe;
	Store *store;
	uint32_t row_type; /* of tables */
} Lab;

static void
must(bool ok, const Err *err)
{
	if (!ok)
		fail_msg("%s", err->msg);
}

static void
session_begin(Lab *l)
{
	Pipe *p = &l->pipe;
	Err err;

	memset(p, 0, sizeof(*p));
	p->options = &l->options;
	queue_init(&p->events);
	queue_init(&p->objects);
	queue_init(&p->puts);
	queue_init(&p->checkpoints);
	pthread_mutex_init(&p->lock, NULL);
	cond_init(&p->changed);
	must(fields_open(p, l->store, &err), &err);
}

static void
session_end(Lab *l)
{
	Pipe *p = &l->pipe;

	fields_free(p->fields);
	queue_done(&p->events);
	queue_done(&p->objects);
	queue_done(&p->puts);
	queue_done(&p->checkpoints);
	pthread_mutex_destroy(&p->lock);
	pthread_cond_destroy(&p->changed);
}

static void
lab_open(Lab *l)
{
	Err err;

	*l = (Lab){ .folder = "/tmp/test_fields.XXXXXX" };
	log_init(LOG_ERROR, false);
	assert_non_null(mkdtemp(l->folder));
	(void) snprintf(l->url, sizeof(l->url), "file://%s", l->folder);
	l->control.wake_fd = eventfd(0, EFD_NONBLOCK);
	l->options =
		(RunOptions){ .store = { .url = l->url }, .control = &l->control };
	must(store_open(&l->options.store, &l->store, &err), &err);
	session_begin(l);
}

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void) st, (void) type, (void) ftw;
	return remove(path);
}

static void
lab_close(Lab *l)
{
	session_end(l);
	store_close(l->store);
	close(l->control.wake_fd);
	nftw(l->folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* What the session works out for a table of so many columns. */
static Schema *
make(Lab *l, const char *table, uint32_t oid, int ncols)
{
	Schema *s = schema_new("public", table, ncols);

	s->relation_id = oid;
	s->row_type = l->row_type;
	s->identity = 'd';
	for (int i = 0; i < ncols; i++)
	{
		s->cols[i].name = xasprintf("c%d", i);
		s->cols[i].type_schema = xstrdup("pg_catalog");
		s->cols[i].type_name = xstrdup("int4");
		s->cols[i].kind = 3;
		s->cols[i].attnum = i + 1;
	}
	schema_finish(s);
	fields_resolve(&l->pipe, s);
	return s;
}

/* The same, and its file comes into the lake; returns the base. */
static int
write_table(Lab *l, const char *table, uint32_t oid, int ncols)
{
	Schema *s = make(l, table, oid, ncols);
	Schema *back;
	int base = s->field_base;
	Buf key;
	Buf file;
	Err err;

	buf_init(&key, 1024);
	buf_init(&file, SCHEMA_FILE_MAX);
	key_add_schema(&key, s->schema, s->table, s->hash);
	schema_encode(s, &file);
	must(store_put(l->store, buf_cstr(&key), buf_slice(&file), false, &err),
		 &err);
	must(schema_parse(buf_slice(&file), &back, &err), &err);
	assert_int_equal(back->field_base, base);
	assert_string_equal(back->hash, s->hash);
	schema_free(back);
	schema_free(s);
	buf_done(&key);
	buf_done(&file);
	return base;
}

static void
next_session(Lab *l)
{
	session_end(l);
	session_begin(l);
}

/* With each table twice: in the session that sees it first, and in another. */
static void
test_anew(void **state)
{
	Lab l;

	(void) state;
	lab_open(&l);
	for (int again = 0; again < 2; again++)
	{
		assert_int_equal(write_table(&l, "t", 16500, 2), 0);
		assert_int_equal(write_table(&l, "t", 16500, 3), 0); /* altered */
		assert_int_equal(write_table(&l, "other", 16501, 2), 0);
		assert_int_equal(write_table(&l, "t.2", 16502, 2), 0);
		next_session(&l);
	}
	for (int again = 0; again < 2; again++)
	{
		assert_int_equal(write_table(&l, "t", 17000, 2), 1600);
		assert_int_equal(write_table(&l, "t", 17000, 5), 1600);
		assert_int_equal(write_table(&l, "t", 18000, 2), 3200);
		assert_int_equal(write_table(&l, "other", 16501, 4), 0);
		next_session(&l);
	}
	/* renamed to a name that others had, and back */
	assert_int_equal(write_table(&l, "other", 18000, 2), 1600);
	next_session(&l);
	assert_int_equal(write_table(&l, "t", 18000, 3), 3200);
	assert_int_equal(write_table(&l, "t", 16500, 2), 0);
	/* an OID that comes again */
	l.row_type = 99;
	assert_int_equal(write_table(&l, "again", 1, 2), 0);
	l.row_type = 100;
	assert_int_equal(write_table(&l, "again", 1, 2), 1600);
	next_session(&l);
	assert_int_equal(write_table(&l, "again", 1, 3), 1600);
	l.row_type = 99;
	assert_int_equal(write_table(&l, "again", 1, 3), 0);
	lab_close(&l);
}

/* A session that died before its file was there does the same again. */
static void
test_lost(void **state)
{
	Lab l;

	(void) state;
	lab_open(&l);
	assert_int_equal(write_table(&l, "t", 1, 1), 0);
	for (int i = 0; i < 3; i++)
	{
		Schema *s = make(&l, "t", 2, 1);

		assert_int_equal(s->field_base, 1600);
		schema_free(s);
		next_session(&l);
	}
	lab_close(&l);
}

/* No id is one of metadata, however often a table is made anew. */
static void
test_metadata(void **state)
{
	int base = 0;

	(void) state;
	for (int i = 0; i < 1000; i++)
	{
		int next = fields_next(base);

		assert_true(next >= base + 1600);
		assert_true(base + 1600 < PARQUET_FIELD_META ||
					base + 1 >= PARQUET_FIELD_META + LEAF_COLUMNS);
		base = next;
	}
}

/* What the lake has cannot be read: the session ends, and says why. */
static void
test_damaged(void **state)
{
	Schema *s;
	Lab l;
	Err err;

	(void) state;
	lab_open(&l);
	must(store_put(l.store, "_cdc/schema/public/t/0123456789abcdef.json",
				   slice_cstr("{}"), false, &err),
		 &err);
	next_session(&l);
	s = make(&l, "t", 1, 1);
	assert_true(atomic_load(&l.pipe.stop));
	assert_int_equal(l.pipe.error.kind, ERR_DATA);
	assert_non_null(strstr(l.pipe.error.msg, "0123456789abcdef.json"));
	schema_free(s);
	lab_close(&l);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_anew),
		cmocka_unit_test(test_lost),
		cmocka_unit_test(test_metadata),
		cmocka_unit_test(test_damaged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
