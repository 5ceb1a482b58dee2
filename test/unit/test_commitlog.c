/*-------------------------------------------------------------------------
 * test_commitlog.c
 *	  store/commitlog: finding the end, writing against lost answers and
 *	  other writers, long object lists, and damage; over a store in memory
 *	  that follows a script, and over a folder.
 *-------------------------------------------------------------------------
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "codec/hash.h"
#include "codec/key.h"
#include "store/commitlog.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define MAX_OBJECTS 100
#define ENTRY_7 "_cdc/log/00000000000000000007.json"
#define LIST_7 "_cdc/list/00000000000000000007-0-0a0b0c0d.json"

/* What happens to a request. */
typedef enum Fate
{
	FATE_WORK = 0,
	FATE_LOSE_REQUEST, /* it never came */
	FATE_LOSE_ANSWER   /* it was done, nobody was told */
} Fate;

typedef struct FakeStore
{
	Store base;
	int n;
	char *keys[MAX_OBJECTS];
	Buf bodies[MAX_OBJECTS];
	int puts, gets, heads, lists;
	bool late; /* the listing lacks the last two: they came meanwhile */
	const char *fate_key; /* the next put or get of this key … */
	Fate put_fate;        /* … has this fate, once */
	Fate get_fate;
} FakeStore;

static int
fake_find(FakeStore *f, const char *key)
{
	for (int i = 0; i < f->n; i++)
	{
		if (strcmp(f->keys[i], key) == 0)
			return i;
	}
	return -1;
}

static void
fake_set(FakeStore *f, const char *key, Slice body)
{
	int i = fake_find(f, key);

	if (i < 0)
	{
		assert_true(f->n < MAX_OBJECTS);
		i = f->n++;
		f->keys[i] = xstrdup(key);
		buf_init(&f->bodies[i], SIZE_MAX);
	}
	buf_reset(&f->bodies[i]);
	buf_add(&f->bodies[i], body.p, body.n);
}

static Fate
take_fate(FakeStore *f, const char *key, Fate *fate)
{
	Fate now = *fate;

	if (!f->fate_key || strcmp(f->fate_key, key) != 0)
		return FATE_WORK;
	*fate = FATE_WORK;
	return now;
}

static bool
fake_put(Store *s, const char *key, Slice body, bool only_if_absent, Err *err)
{
	FakeStore *f = (FakeStore *) s;
	Fate fate = take_fate(f, key, &f->put_fate);

	f->puts++;
	assert_true(only_if_absent);
	if (fate == FATE_LOSE_REQUEST)
		return err_set(err, ERR_NET, 0, "timed out");
	if (fake_find(f, key) >= 0)
		return err_set(err, ERR_EXISTS, 412, "object \"%s\" is there", key);
	fake_set(f, key, body);
	if (fate == FATE_LOSE_ANSWER)
		return err_set(err, ERR_NET, 0, "timed out");
	return true;
}

static bool
fake_get(Store *s, const char *key, Buf *out, Err *err)
{
	FakeStore *f = (FakeStore *) s;
	int i = fake_find(f, key);

	f->gets++;
	if (take_fate(f, key, &f->get_fate) != FATE_WORK)
		return err_set(err, ERR_NET, 0, "timed out");
	if (i < 0)
		return err_set(err, ERR_NOT_FOUND, 404, "no object \"%s\"", key);
	buf_add(out, f->bodies[i].p, f->bodies[i].n);
	if (out->overflow)
		return err_set(err, ERR_LIMIT, 0, "object \"%s\" is too long", key);
	return true;
}

static bool
fake_head(Store *s, const char *key, int64_t *out_bytes, Err *err)
{
	FakeStore *f = (FakeStore *) s;
	int i = fake_find(f, key);

	f->heads++;
	if (i < 0)
		return err_set(err, ERR_NOT_FOUND, 404, "no object \"%s\"", key);
	*out_bytes = (int64_t) f->bodies[i].n;
	return true;
}

/* Pages of 7, the latest first: no order is to be relied on. */
static bool
fake_list(Store *s, const char *prefix, Buf *cursor, StoreListFn fn, void *arg,
		  Err *err)
{
	FakeStore *f = (FakeStore *) s;
	int n = cursor->n > 0 ? atoi(buf_cstr(cursor)) : f->n - 2 * f->late;

	(void) err;
	f->lists++;
	buf_reset(cursor);
	for (int i = n - 1; i >= 0 && i >= n - 7; i--)
	{
		StoreItem item = { f->keys[i], (int64_t) f->bodies[i].n };

		if (strncmp(item.key, prefix, strlen(prefix)) == 0)
			(void) fn(&item, arg);
	}
	if (n > 7)
		buf_printf(cursor, "%d", n - 7);
	return true;
}

static const StoreOps fake_ops = { .name = "fake",
								   .put = fake_put,
								   .get = fake_get,
								   .head = fake_head,
								   .list = fake_list };

static FakeStore *
fake_new(void)
{
	FakeStore *f = xcalloc(1, sizeof(*f));

	f->base.ops = &fake_ops;
	return f;
}

static void
fake_free(FakeStore *f)
{
	for (int i = 0; i < f->n; i++)
	{
		free(f->keys[i]);
		buf_done(&f->bodies[i]);
	}
	free(f);
}

static const char *
fake_text(FakeStore *f, const char *key)
{
	int i = fake_find(f, key);

	if (i < 0)
		fail_msg("no object %s", key);
	return buf_cstr(&f->bodies[i]);
}

static Entry *
new_entry(int64_t seq, const char *writer)
{
	Entry *e = entry_new();

	e->seq = seq;
	e->prev_end = (Lsn) seq * 100;
	e->end = (Lsn) (seq + 1) * 100;
	e->timeline = 1;
	e->time = INT64_C(1795248847123456);
	entry_set(&e->writer, writer);
	return e;
}

static void
write_entry(Store *s, int64_t seq)
{
	Entry *e = new_entry(seq, "0a0b0c0d");
	Err err;

	if (!commitlog_write(s, e, &err))
		fail_msg("%s", err.msg);
	entry_free(e);
}

static int64_t
last_seq(Store *s, int64_t hint)
{
	Entry *e = NULL;
	int64_t seq;
	Err err;

	if (!commitlog_last(s, hint, &e, &err))
		fail_msg("%s", err.msg);
	seq = e ? e->seq : -1;
	entry_free(e);
	return seq;
}

/* Logs of 0 to 40 entries, each hint. */
static void
check_last(Store *s)
{
	for (int64_t n = 0; n <= 40; n++)
	{
		for (int64_t hint = 0; hint < n + 3; hint++)
			assert_int_equal(last_seq(s, hint), n - 1);
		write_entry(s, n);
	}
}

static void
test_last(void **state)
{
	FakeStore *f = fake_new();

	(void) state;
	check_last(&f->base);
	f->heads = f->lists = 0;
	assert_int_equal(last_seq(&f->base, 40), 40);
	assert_int_equal(f->heads, 1); /* one ahead */
	assert_int_equal(f->lists, 6); /* 41 in pages of 7 */
	/* written while we list */
	f->late = true;
	assert_int_equal(last_seq(&f->base, 0), 40);
	fake_free(f);
}

/* Any hole, wherever it is and however wide, is named and never the end. */
static void
test_holes(void **state)
{
	(void) state;
	for (int from = 0; from < 12; from++)
	{
		for (int to = from; to < 12; to++) /* from … to are gone */
		{
			FakeStore *f = fake_new();
			char want[96];
			int64_t end;
			Entry *e = NULL;
			Err err;

			for (int i = 0; i <= 12; i++)
				if (i < from || i > to)
					write_entry(&f->base, i);
			(void) snprintf(want, sizeof(want),
							"entry %d of the commit log is missing, but there "
							"is an entry 12",
							from);
			assert_false(commitlog_last(&f->base, 0, &e, &err));
			assert_int_equal(err.kind, ERR_GAP);
			assert_string_equal(err.msg, want);
			assert_null(e);
			/* asked from the hole on, or from behind it */
			assert_false(commitlog_end(&f->base, from, &end, &err));
			assert_int_equal(err.kind, ERR_GAP);
			assert_string_equal(err.msg, want);
			assert_true(commitlog_end(&f->base, to + 1, &end, &err));
			assert_int_equal(end, 12);
			fake_free(f);
		}
	}
}

/* What is no entry does not count, what is far off does. */
static void
test_odd_names(void **state)
{
	static const char *const odd[] = { "_cdc/log/",
									   "_cdc/log/00000000000000000001.json.tmp",
									   "_cdc/log/1.json",
									   "_cdc/log/0000000000000000000x.json",
									   "_cdc/log/99999999999999999999.json" };
	FakeStore *f = fake_new();
	int64_t end;
	Err err;

	(void) state;
	for (size_t i = 0; i < COUNT(odd); i++)
		fake_set(f, odd[i], slice_cstr("x"));
	assert_int_equal(last_seq(&f->base, 0), -1);
	write_entry(&f->base, 0);
	assert_int_equal(last_seq(&f->base, 0), 0);
	fake_set(f, "_cdc/log/00999999999999999999.json", slice_cstr("x"));
	assert_false(commitlog_end(&f->base, 0, &end, &err));
	assert_int_equal(err.kind, ERR_GAP);
	assert_string_equal(err.msg,
						"entry 1 of the commit log is missing, but there is "
						"an entry 999999999999999999");
	fake_free(f);
}

static bool
fail_list(Store *s, const char *prefix, Buf *cursor, StoreListFn fn, void *arg,
		  Err *err)
{
	(void) s, (void) prefix, (void) cursor, (void) fn, (void) arg;
	return err_set(err, ERR_BUSY, 503, "slow down");
}

static bool
fail_head(Store *s, const char *key, int64_t *out_bytes, Err *err)
{
	if (strcmp(key, ENTRY_7) == 0)
		return err_set(err, ERR_BUSY, 503, "slow down");
	return fake_head(s, key, out_bytes, err);
}

/* An error is no end of the log. */
static void
test_last_fails(void **state)
{
	StoreOps ops = fake_ops;
	FakeStore *f = fake_new();
	Entry *e = NULL;
	Err err;

	(void) state;
	for (int i = 0; i < 7; i++)
		write_entry(&f->base, i);
	f->base.ops = &ops;
	for (int64_t hint = 0; hint < 8; hint++)
	{
		ops.head = hint % 2 ? fake_head : fail_head;
		ops.list = hint % 2 ? fail_list : fake_list;
		if (commitlog_last(&f->base, hint, &e, &err))
			fail_msg("hint %d: entry %d", (int) hint, (int) e->seq);
		assert_int_equal(err.kind, ERR_BUSY);
		assert_null(e);
	}
	fake_free(f);
}

static void
test_write_and_read(void **state)
{
	FakeStore *f = fake_new();
	Entry *e = new_entry(7, "0a0b0c0d");
	Entry *again = NULL;
	EntryObject *o = entry_add_object(e);
	Err err;

	(void) state;
	entry_set(&o->key, "s/t/part-7-0-0a0b0c0d.json");
	o->rows = 5;
	assert_true(commitlog_write(&f->base, e, &err));
	assert_int_equal(f->puts, 1);
	assert_int_equal(f->gets, 0);
	assert_true(commitlog_read(&f->base, 7, &again, &err));
	assert_int_equal(again->seq, 7);
	assert_true(again->prev_end == 700 && again->end == 800);
	assert_int_equal(again->nobjects, 1);
	assert_string_equal(again->objects[0].key, "s/t/part-7-0-0a0b0c0d.json");
	assert_int_equal(again->objects[0].rows, 5);
	entry_free(again);
	again = NULL;

	/* the next one is not there */
	assert_false(commitlog_read(&f->base, 8, &again, &err));
	assert_int_equal(err.kind, ERR_NOT_FOUND);
	assert_null(again);
	entry_free(e);
	fake_free(f);
}

/* Lost on the way there or back: the next try has the same bytes. */
static void
test_lost_answers(void **state)
{
	static const struct
	{
		const char *name;
		Fate fate;
	} rows[] = {
		{ "request", FATE_LOSE_REQUEST },
		{ "answer", FATE_LOSE_ANSWER },
	};

	(void) state;
	for (size_t i = 0; i < COUNT(rows); i++)
	{
		FakeStore *f = fake_new();
		Entry *e = new_entry(7, "0a0b0c0d");
		char *first;
		Err err;

		f->fate_key = ENTRY_7;
		f->put_fate = rows[i].fate;
		assert_false(commitlog_write(&f->base, e, &err));
		assert_int_equal(err.kind, ERR_NET);
		if (!commitlog_write(&f->base, e, &err))
			fail_msg("%s: %s", rows[i].name, err.msg);
		assert_int_equal(f->puts, 2);
		first = xstrdup(fake_text(f, ENTRY_7));
		/* and a third time, for good measure */
		assert_true(commitlog_write(&f->base, e, &err));
		assert_string_equal(fake_text(f, ENTRY_7), first);
		assert_int_equal(f->n, 1);
		free(first);
		entry_free(e);
		fake_free(f);
	}
}

/* Who comes second has lost, and changes nothing. */
static void
test_other_writer(void **state)
{
	FakeStore *f = fake_new();
	Entry *mine = new_entry(7, "0a0b0c0d");
	Entry *other = new_entry(7, "ffffffff");
	char *before;
	Err err;

	(void) state;
	assert_true(commitlog_write(&f->base, other, &err));
	before = xstrdup(fake_text(f, ENTRY_7));
	assert_false(commitlog_write(&f->base, mine, &err));
	assert_int_equal(err.kind, ERR_LOST);
	assert_int_equal(err_exit_code(err.kind), 75);
	assert_non_null(strstr(err.msg, ENTRY_7));
	assert_string_equal(fake_text(f, ENTRY_7), before);

	/* taken, and not to be read: not known, so neither won nor lost */
	f->fate_key = ENTRY_7;
	f->get_fate = FATE_LOSE_ANSWER;
	assert_false(commitlog_write(&f->base, mine, &err));
	assert_int_equal(err.kind, ERR_NET);
	assert_non_null(strstr(err.msg, "could not read back \"" ENTRY_7 "\""));
	assert_false(commitlog_write(&f->base, mine, &err));
	assert_int_equal(err.kind, ERR_LOST);

	/* one that begins like ours is not ours */
	fake_set(f, ENTRY_7, (Slice){ (const uint8_t *) before, 20 });
	assert_false(commitlog_write(&f->base, other, &err));
	assert_int_equal(err.kind, ERR_LOST);
	fake_set(f, ENTRY_7, (Slice){ NULL, 0 });
	assert_false(commitlog_write(&f->base, other, &err));
	assert_int_equal(err.kind, ERR_LOST);
	free(before);
	entry_free(mine);
	entry_free(other);
	fake_free(f);
}

static void
add_objects(Entry *e, int n)
{
	for (int i = 0; i < n; i++)
	{
		EntryObject *o = entry_add_object(e);
		char key[64];

		(void) snprintf(key, sizeof(key), "s/t/part-7-%d-0a0b0c0d.json", i);
		entry_set(&o->key, key);
		o->rows = i;
	}
}

static void
check_objects(const Entry *e, int n)
{
	assert_int_equal(e->nobjects, n);
	for (int i = 0; i < n; i++)
		assert_int_equal(e->objects[i].rows, i);
}

/* Those of further outputs move behind them, and come back apart from them. */
static void
test_lists_of_outputs(void **state)
{
	FakeStore *f = fake_new();
	Entry *e = new_entry(7, "0a0b0c0d");
	Entry *again;
	Err err;

	(void) state;
	add_objects(e, 21000);
	for (int i = 0; i < 21000; i++)
	{
		EntryObject *o = entry_add_further(e);
		char key[64];

		(void) snprintf(key, sizeof(key), "s/t/part-7-%d-0a0b0c0d.csv", i);
		entry_set(&o->key, key);
		entry_set(&o->output, i % 2 ? "odd" : "even");
		o->rows = i;
	}
	assert_true(commitlog_write(&f->base, e, &err));
	assert_true(commitlog_read(&f->base, 7, &again, &err));
	assert_int_equal(again->nlists, 3);
	check_objects(again, 21000);
	assert_int_equal(again->nfurther, 21000);
	for (int i = 0; i < 21000; i++)
	{
		assert_int_equal(again->further[i].rows, i);
		assert_string_equal(again->further[i].output, i % 2 ? "odd" : "even");
	}
	entry_free(e);
	entry_free(again);
	fake_free(f);
}

/* The size at which objects move to list files, and how many there are. */
static void
test_lists(void **state)
{
	static const struct
	{
		int objects;
		int lists;
	} rows[] = {
		{ 0, 0 },     { 1000, 0 },  { 6000, 1 },
		{ 20000, 1 }, { 21000, 1 }, { 30000, 2 },
	};

	(void) state;
	for (size_t i = 0; i < COUNT(rows); i++)
	{
		FakeStore *f = fake_new();
		Entry *e = new_entry(7, "0a0b0c0d");
		Entry *again = NULL;
		Err err;

		add_objects(e, rows[i].objects);
		if (!commitlog_write(&f->base, e, &err))
			fail_msg("%s", err.msg);
		assert_int_equal(f->n, 1 + rows[i].lists);
		/* the entry comes last: what it names is there */
		assert_string_equal(f->keys[f->n - 1], ENTRY_7);
		assert_true(f->bodies[f->n - 1].n <= ENTRY_MAX_BYTES);
		assert_int_equal(e->nlists, rows[i].lists);
		for (int k = 0; k < rows[i].lists; k++)
		{
			char key[80];

			(void) snprintf(key, sizeof(key),
							"_cdc/list/00000000000000000007-%d-0a0b0c0d.json",
							k);
			assert_string_equal(f->keys[k], key);
			assert_string_equal(e->lists[k].key, key);
			assert_int_equal(e->lists[k].crc32c,
							 crc32c(0, f->bodies[k].p, f->bodies[k].n));
		}
		check_objects(e, rows[i].objects);
		if (!commitlog_read(&f->base, 7, &again, &err))
			fail_msg("%s", err.msg);
		check_objects(again, rows[i].objects);
		entry_free(again);
		/* again and again gives the same */
		assert_true(commitlog_write(&f->base, e, &err));
		assert_true(commitlog_write(&f->base, e, &err));
		assert_int_equal(f->n, 1 + rows[i].lists);
		check_objects(e, rows[i].objects);
		entry_free(e);
		fake_free(f);
	}
}

static void
add_loads(Entry *e, int n)
{
	for (int i = 0; i < n; i++)
	{
		EntryLoad *l = entry_add_load(e);
		EntrySchema *s = entry_add_schema(e);
		char name[80];

		(void) snprintf(name, sizeof(name), "a_table_with_a_long_name_%08d", i);
		entry_set(&l->id, "0123456789abcdef");
		entry_set(&l->schema, "public");
		entry_set(&l->table, name);
		l->lsn = (Lsn) i;
		entry_set(&s->hash, "0123456789abcdef");
		entry_set(&s->schema, "public");
		entry_set(&s->table, name);
		s->lsn = (Lsn) i;
	}
}

static void
check_loads(const Entry *e, int n)
{
	assert_int_equal(e->nloads, n);
	assert_int_equal(e->nschemas, n);
	for (int i = 0; i < n; i++)
	{
		assert_int_equal(e->loads[i].lsn, i);
		assert_int_equal(e->schemas[i].lsn, i);
	}
}

/* Loads and schemas of very many tables move to a list of their own. */
static void
test_lists_of_loads(void **state)
{
	static const struct
	{
		int loads;
		int objects;
		int lists;
	} rows[] = {
		{ 100, 100, 0 },     { 1000, 6000, 1 },   { 12000, 0, 1 },
		{ 12000, 12000, 2 }, { 50000, 21000, 3 },
	};

	(void) state;
	for (size_t i = 0; i < COUNT(rows); i++)
	{
		FakeStore *f = fake_new();
		Entry *e = new_entry(7, "0a0b0c0d");
		Entry *again = NULL;
		Err err;

		add_loads(e, rows[i].loads);
		add_objects(e, rows[i].objects);
		if (!commitlog_write(&f->base, e, &err) ||
			!commitlog_read(&f->base, 7, &again, &err))
			fail_msg("%s", err.msg);
		assert_int_equal(e->nlists, rows[i].lists);
		assert_true(f->bodies[f->n - 1].n <= ENTRY_MAX_BYTES);
		check_loads(again, rows[i].loads);
		check_objects(again, rows[i].objects);
		entry_free(again);
		assert_true(commitlog_write(&f->base, e, &err));
		assert_int_equal(f->n, 1 + rows[i].lists);
		/* one that lacks what the entry says */
		if (rows[i].lists > 0)
		{
			e->lists[rows[i].lists - 1].loads++;
			buf_reset(&f->bodies[f->n - 1]);
			entry_encode(e, NULL, &f->bodies[f->n - 1]);
			assert_false(commitlog_read(&f->base, 7, &again, &err));
			assert_non_null(strstr(err.msg, "as many objects, loads"));
		}
		entry_free(e);
		fake_free(f);
	}
}

static void
test_lists_lost_answers(void **state)
{
	static const char *const keys[] = { LIST_7, ENTRY_7 };

	(void) state;
	for (size_t i = 0; i < COUNT(keys); i++)
	{
		for (Fate fate = FATE_LOSE_REQUEST; fate <= FATE_LOSE_ANSWER; fate++)
		{
			FakeStore *f = fake_new();
			Entry *e = new_entry(7, "0a0b0c0d");
			Entry *again = NULL;
			Err err;

			add_objects(e, 6000);
			f->fate_key = keys[i];
			f->put_fate = fate;
			assert_false(commitlog_write(&f->base, e, &err));
			assert_int_equal(err.kind, ERR_NET);
			assert_true(commitlog_write(&f->base, e, &err));
			assert_int_equal(f->n, 2);
			assert_true(commitlog_read(&f->base, 7, &again, &err));
			check_objects(again, 6000);
			entry_free(again);
			entry_free(e);
			fake_free(f);
		}
	}
}

/* Gives an entry the checksum of what it holds now. */
static void
seal(Buf *entry)
{
	size_t n = entry->n - strlen(",\n\"crc32c\":\"00000000\"}\n");
	char digits[9];

	(void) snprintf(digits, sizeof(digits), "%08x", crc32c(0, entry->p, n));
	memcpy(entry->p + entry->n - 11, digits, 8);
}

/* Reads entry 7, which must be refused so. */
static void
refuse_read(FakeStore *f, ErrKind kind, const char *message)
{
	Entry *e = NULL;
	Err err;

	if (commitlog_read(&f->base, 7, &e, &err))
		fail_msg("taken, want \"%s\"", message);
	if (err.kind != kind || !strstr(err.msg, message))
		fail_msg("want \"%s\", got %s", message, err.msg);
	assert_null(e);
}

static void
test_damaged_list(void **state)
{
	FakeStore *f = fake_new();
	Entry *e = new_entry(7, "0a0b0c0d");
	char *at;
	Err err;

	(void) state;
	add_objects(e, 6000);
	assert_true(commitlog_write(&f->base, e, &err));
	f->bodies[0].p[5000] ^= 1;
	refuse_read(f, ERR_GAP, "its CRC32C is not the one in the log");
	f->bodies[0].p[5000] ^= 1;
	f->bodies[0].n--;
	refuse_read(f, ERR_GAP, "its CRC32C is not the one in the log");
	f->bodies[0].n++;

	/* fewer than the entry says, though the bytes are right */
	at = strstr((char *) f->bodies[1].p, "\"objects\":6000");
	assert_non_null(at);
	memcpy(at, "\"objects\":6001", 14);
	seal(&f->bodies[1]);
	refuse_read(f, ERR_GAP, "does not have as many objects");
	memcpy(at, "\"objects\":6000", 14);
	seal(&f->bodies[1]);

	f->keys[0][0] = 'x'; /* gone, though the log names it */
	refuse_read(f, ERR_GAP, "no object \"" LIST_7 "\"");
	f->keys[0][0] = '_';
	f->fate_key = LIST_7;
	f->get_fate = FATE_LOSE_ANSWER; /* perhaps there */
	refuse_read(f, ERR_NET, "timed out");
	entry_free(e);
	fake_free(f);
}

static void
test_damaged_entry(void **state)
{
	FakeStore *f = fake_new();
	char *text;

	(void) state;
	write_entry(&f->base, 7);
	text = xstrdup(fake_text(f, ENTRY_7));
	fake_set(f, ENTRY_7, (Slice){ (uint8_t *) text, strlen(text) / 2 });
	refuse_read(f, ERR_GAP, "log entry \"" ENTRY_7 "\": its checksum is not");
	fake_set(f, ENTRY_7, (Slice){ NULL, 0 });
	refuse_read(f, ERR_GAP, "log entry \"" ENTRY_7 "\"");
	strstr(text, "\"entry\":7")[8] = '8';
	fake_set(f, ENTRY_7, slice_cstr(text));
	refuse_read(f, ERR_GAP, "its checksum is not that of its content");
	seal(&f->bodies[0]);
	refuse_read(f, ERR_GAP, "it is entry 8");
	free(text);
	fake_free(f);
}

/* What does not fit a list either is refused. */
static void
test_too_long(void **state)
{
	FakeStore *f = fake_new();
	Entry *e = new_entry(7, "0a0b0c0d");
	char *name = xmalloc(100001);
	Err err;

	(void) state;
	memset(name, 'n', 100000);
	name[100000] = '\0';
	for (int i = 0; i < 700; i++)
		entry_set(&entry_add_load(e)->table, name);
	free(name);
	add_objects(e, 10);
	assert_false(commitlog_write(&f->base, e, &err));
	assert_int_equal(err.kind, ERR_LIMIT);
	assert_non_null(strstr(err.msg, "is too long"));
	assert_int_equal(fake_find(f, ENTRY_7), -1);
	entry_free(e);
	fake_free(f);
}

/* No entry that no start could read again. */
static void
test_names(void **state)
{
	FakeStore *f = fake_new();
	Entry *e = new_entry(7, "0a0b0c0d");
	Err err;

	(void) state;
	entry_set(&entry_add_load(e)->table, "caf\xe9");
	assert_false(commitlog_write(&f->base, e, &err));
	assert_int_equal(err.kind, ERR_USAGE);
	assert_int_equal(f->puts, 0);
	entry_set(&e->loads[0].table, "caf\xc3\xa9");
	assert_true(commitlog_write(&f->base, e, &err));
	entry_free(e);
	fake_free(f);
}

static void
test_schema(void **state)
{
	FakeStore *f = fake_new();
	Schema *s = schema_new("public", "_t", 0);
	Schema *again = NULL;
	Buf file;
	Buf key;
	Err err;

	(void) state;
	s->identity = 'd';
	schema_finish(s);
	buf_init(&file, SCHEMA_FILE_MAX);
	buf_init(&key, 1024);
	schema_encode(s, &file);
	key_add_schema(&key, "public", "_t", s->hash);
	fake_set(f, buf_cstr(&key), buf_slice(&file));
	assert_true(
		commitlog_schema(&f->base, "public", "_t", s->hash, &again, &err));
	assert_string_equal(again->table, "_t");
	assert_string_equal(again->hash, s->hash);
	schema_free(again);
	again = NULL;

	/* under a name that is not its content's */
	buf_reset(&key);
	key_add_schema(&key, "public", "_t", "0123456789abcdef");
	fake_set(f, buf_cstr(&key), buf_slice(&file));
	assert_false(commitlog_schema(&f->base, "public", "_t", "0123456789abcdef",
								  &again, &err));
	assert_int_equal(err.kind, ERR_GAP);
	assert_non_null(strstr(err.msg, s->hash));
	assert_null(again);

	fake_set(f, buf_cstr(&key), slice_cstr("{}"));
	assert_false(commitlog_schema(&f->base, "public", "_t", "0123456789abcdef",
								  &again, &err));
	assert_int_equal(err.kind, ERR_GAP);
	assert_false(commitlog_schema(&f->base, "public", "_t", "ffffffffffffffff",
								  &again, &err));
	assert_int_equal(err.kind, ERR_NOT_FOUND);
	assert_non_null(
		strstr(err.msg, "_cdc/schema/public/%5Ft/ffffffffffffffff.json"));
	assert_null(again);
	schema_free(s);
	buf_done(&file);
	buf_done(&key);
	fake_free(f);
}

static void
test_object(void **state)
{
	static const struct
	{
		const char *name;
		const char *body; /* NULL: there is none */
		ErrKind kind;
		const char *message;
	} rows[] = {
		{ "right", "123456789", ERR_NONE, "" },
		{ "too short", "12345678", ERR_GAP, "has 8 bytes, the log says 9" },
		{ "too long", "1234567890", ERR_GAP, "has more bytes than the 9" },
		{ "damaged", "123456780", ERR_GAP, "is damaged" },
		{ "empty", "", ERR_GAP, "has 0 bytes, the log says 9" },
		{ "gone", NULL, ERR_NOT_FOUND, "no object" },
	};
	EntryObject o = { .key = (char *) "k", .bytes = 9, .crc32c = 0xe3069283 };

	(void) state;
	for (size_t i = 0; i < COUNT(rows); i++)
	{
		FakeStore *f = fake_new();
		bool ok;
		Buf out;
		Err err;

		buf_init(&out, 1024);
		err_clear(&err);
		if (rows[i].body)
			fake_set(f, "k", slice_cstr(rows[i].body));
		ok = commitlog_object(&f->base, &o, &out, &err);
		if (ok != (rows[i].kind == ERR_NONE) || err.kind != rows[i].kind ||
			!strstr(err.msg, rows[i].message))
			fail_msg("%s: %s", rows[i].name, ok ? "taken" : err.msg);
		if (ok)
			assert_string_equal(buf_cstr(&out), "123456789");
		buf_done(&out);
		fake_free(f);
	}
}

/* A CRC is easily made to fit; with a key the object's SHA-256 must be right.
 */
static void
test_object_signed(void **state)
{
	static const char *const sums[] = {
		"15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225",
		"25e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225",
		"",
	};
	const EntryKeys keys = { 1, { (char *) "0123456789abcdef" } };
	EntryObject o = { .key = (char *) "k", .bytes = 9, .crc32c = 0xe3069283 };

	(void) state;
	for (size_t i = 0; i < COUNT(sums); i++)
	{
		FakeStore *f = fake_new();
		Buf out;
		Err err;

		buf_init(&out, 1024);
		fake_set(f, "k", slice_cstr("123456789"));
		o.sha256 = (char *) sums[i];
		f->base.keys = &keys;
		assert_int_equal(commitlog_object(&f->base, &o, &out, &err), i == 0);
		if (i > 0)
		{
			assert_int_equal(err.kind, ERR_GAP);
			assert_non_null(strstr(err.msg, "SHA-256"));
		}
		f->base.keys = NULL;
		buf_reset(&out);
		assert_true(commitlog_object(&f->base, &o, &out, &err));
		buf_done(&out);
		fake_free(f);
	}
}

/* Entry and lists with a key: written and read, and no list but that one. */
static void
test_lists_signed(void **state)
{
	const EntryKeys keys = { 1, { (char *) "0123456789abcdef" } };
	FakeStore *f = fake_new();
	Entry *e = new_entry(7, "0a0b0c0d");
	Entry *again = NULL;
	Err err;

	(void) state;
	f->base.keys = &keys;
	add_objects(e, 6000);
	assert_true(commitlog_write(&f->base, e, &err));
	assert_true(commitlog_read(&f->base, 7, &again, &err));
	assert_true(again->is_signed);
	assert_int_equal(strlen(again->lists[0].sha256), 64);
	check_objects(again, 6000);
	entry_free(again);
	again = NULL;
	again = new_entry(8, "0a0b0c0d");
	f->base.keys = NULL;
	assert_true(commitlog_write(&f->base, again, &err));
	f->base.keys = &keys;
	entry_free(again);
	again = NULL;
	assert_false(commitlog_read(&f->base, 8, &again, &err));
	assert_int_equal(err.kind, ERR_GAP);
	assert_non_null(strstr(err.msg, "no HMAC"));
	entry_free(e);
	fake_free(f);
}

/* The same over a folder. */
static void
test_folder(void **state)
{
	char folder[] = "/tmp/test_commitlog.XXXXXX";
	char *url;
	char *command;
	StoreOptions options = { 0 };
	Store *s = NULL;
	Entry *other = new_entry(41, "ffffffff");
	Entry *e = NULL;
	Err err;

	(void) state;
	assert_non_null(mkdtemp(folder));
	url = xasprintf("file://%s", folder);
	options.url = url;
	if (!store_open(&options, &s, &err))
		fail_msg("%s", err.msg);
	check_last(s);

	assert_true(commitlog_write(s, other, &err));
	assert_true(commitlog_write(s, other, &err));
	entry_set(&other->writer, "0a0b0c0d");
	assert_false(commitlog_write(s, other, &err));
	assert_int_equal(err.kind, ERR_LOST);
	entry_free(other);

	other = new_entry(42, "0a0b0c0d");
	add_objects(other, 6000);
	assert_true(commitlog_write(s, other, &err));
	assert_true(commitlog_last(s, 7, &e, &err));
	assert_int_equal(e->seq, 42);
	check_objects(e, 6000);
	entry_free(e);
	entry_free(other);
	store_close(s);
	command = xasprintf("rm -rf %s", folder);
	assert_int_equal(system(command), 0);
	free(command);
	free(url);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_last),
		cmocka_unit_test(test_last_fails),
		cmocka_unit_test(test_holes),
		cmocka_unit_test(test_odd_names),
		cmocka_unit_test(test_write_and_read),
		cmocka_unit_test(test_lost_answers),
		cmocka_unit_test(test_other_writer),
		cmocka_unit_test(test_lists),
		cmocka_unit_test(test_lists_of_loads),
		cmocka_unit_test(test_lists_lost_answers),
		cmocka_unit_test(test_damaged_list),
		cmocka_unit_test(test_damaged_entry),
		cmocka_unit_test(test_too_long),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_schema),
		cmocka_unit_test(test_object),
		cmocka_unit_test(test_object_signed),
		cmocka_unit_test(test_lists_signed),
		cmocka_unit_test(test_folder),
		cmocka_unit_test(test_lists_of_outputs),
	};

	return cmocka_run_group_tests_name("commitlog", tests, NULL, NULL);
}
