/*-------------------------------------------------------------------------
 * oracle.c
 *	  What has to hold, and is looked at whenever it could break.
 *-------------------------------------------------------------------------
 */
#include "oracle.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base.h"
#include "base/clock.h"
#include "base/mem.h"
#include "codec/format.h"
#include "codec/hash.h"
#include "codec/key.h"
#include "count.h"
#include "disk.h"
#include "lake.h"

#define ENTRIES_MAX 20000
#define FIRST_SEQ (INT64_C(1) << 40)
#define LINE_MAX ((size_t) 16 << 20)

static Entry *entries[ENTRIES_MAX];
static LakeObject *entry_files[ENTRIES_MAX];
static int nentries;
static int nsafe; /* so many of them are known to be on disk */
static bool clock_lies;
bool oracle_split;
bool oracle_disk;

static const Entry *
last(void)
{
	return nentries > 0 ? entries[nentries - 1] : NULL;
}

Lsn
oracle_log_end(void)
{
	return last() ? last()->end : 0;
}

int64_t
oracle_log_seq(void)
{
	return nentries - 1;
}

int64_t
oracle_closed_until(void)
{
	return last() ? last()->closed_until : 0;
}

int64_t
oracle_swept_until(void)
{
	return last() ? last()->swept_until : 0;
}

bool
oracle_loads_open(void)
{
	return last() && (!last()->loaded || last()->loads_open > 0);
}

void
oracle_clock_lies(void)
{
	clock_lies = true;
}

/* ---- folders ---- */

static bool
is_data(const char *key)
{
	return strncmp(key, "_cdc/", 5) != 0;
}

static bool
is_copy(const char *key)
{
	return strncmp(key, LAKE_COPY, strlen(LAKE_COPY)) == 0;
}

/* Where the object of an entry is. */
static LakeObject *
find_listed(const EntryObject *o)
{
	char *key = xasprintf("%s%s", o->output[0] ? LAKE_COPY : "", o->key);
	LakeObject *there = lake_find(key);

	free(key);
	return there;
}

/* The further output, as the entry has it; NULL: it has none. */
static const EntryOutput *
copy_of(const Entry *e)
{
	return e->noutputs > 0 ? &e->outputs[0] : NULL;
}

static bool
has_copy(const Entry *e)
{
	return copy_of(e) && copy_of(e)->state == OUTPUT_ATTACHED;
}

/* The begin of the hour that a key lies in, unix us. */
static int64_t
hour_of(const char *key)
{
	CivilTime t = { .month = 1, .day = 1 };
	const char *p = strstr(key, "/year=");

	if (!p || sscanf(p, "/year=%" SCNd64 "/month=%d/day=%d/hour=%d/", &t.year,
					 &t.month, &t.day, &t.hour) != 4)
		sim_fail("an object outside of the folders: %s", key);
	return unix_us_from_civil(&t);
}

/* ---- an entry that lands ---- */

/* I1 */
static void
check_chain(const Entry *e)
{
	const Entry *before = last();
	char at[32];

	COUNT(entries);
	(void) snprintf(at, sizeof(at), "entry %" PRId64, e->seq);
	if (e->seq != nentries)
		sim_fail("I1: %s behind %d entries", at, nentries);
	if (!before)
		return;
	if (e->prev_end != before->end || e->end < before->end)
		sim_fail("I1: %s from " LSN_FMT " to " LSN_FMT ", behind " LSN_FMT, at,
				 LSN_ARGS(e->prev_end), LSN_ARGS(e->end),
				 LSN_ARGS(before->end));
	if (e->closed_until < before->closed_until ||
		e->swept_until < before->swept_until)
		sim_fail("I1: %s goes back in time", at);
	if (e->swept_until > e->closed_until)
		sim_fail("I1: %s has swept what is not closed", at);
	if (e->closed_until > before->closed_until)
		COUNT(hours);
	if (e->swept_until > before->swept_until)
		COUNT(swept_hours);
	if (e->end > base.insert)
		sim_fail("I1: %s ends behind the WAL", at);
	if (e->nobjects == 0)
		COUNT(empty_entries);
}

/* I2, I5 */
static void
check_object(const Entry *e, const EntryObject *o)
{
	LakeObject *there = find_listed(o);
	int64_t seq;
	char id[LOAD_ID_LEN + 1];
	const Entry *before = last();

	COUNT(listed);
	if (!there)
		sim_fail("I2: entry %" PRId64 " lists what is not there: %s", e->seq,
				 o->key);
	if ((int64_t) there->n != o->bytes || there->crc32c != o->crc32c)
		sim_fail("I2: entry %" PRId64 " lists other bytes than are there: %s",
				 e->seq, o->key);
	if (there->listed >= 0)
		sim_fail("I2: entries %" PRId64 " and %" PRId64 " list %s",
				 there->listed, e->seq, o->key);
	there->listed = e->seq;
	oracle_durable(there);
	if (o->load[0] ? !key_parse_load(o->key, id, sizeof(id)) ||
						 strcmp(id, o->load) != 0
				   : !key_parse_part(o->key, &seq) || seq != e->seq)
		sim_fail("I2: entry %" PRId64 " lists an object of another one: %s",
				 e->seq, o->key);
	if (!o->load[0] && (o->first_lsn <= e->prev_end || o->last_lsn > e->end))
		sim_fail("I2: entry %" PRId64 " lists rows that it does not cover: %s",
				 e->seq, o->key);
	if (before && hour_of(o->key) < before->closed_until)
		sim_fail("I5: entry %" PRId64 " adds to a complete folder: %s", e->seq,
				 o->key);
}

/* I11, as far as the entry tells. */
static void
check_copy(const Entry *e)
{
	int64_t rows = 0;
	int64_t copied = 0;

	for (int i = 0; i < e->nobjects; i++)
		rows += e->objects[i].rows;
	for (int i = 0; i < e->nfurther; i++)
	{
		COUNT(copies);
		check_object(e, &e->further[i]);
		copied += e->further[i].rows;
	}
	if (has_copy(e) ? copied != rows : copied != 0)
		sim_fail("I11: entry %" PRId64 " has %" PRId64
				 " rows, and the further output %" PRId64,
				 e->seq, rows, copied);
	if (copy_of(e) && copy_of(e)->state == OUTPUT_DETACHED)
		COUNT(detached);
}

static void
read_lists(Entry *e)
{
	Err err = { 0 };

	for (int i = 0; i < e->nlists; i++)
	{
		LakeObject *o = lake_find(e->lists[i].key);

		COUNT(lists);
		if (!o || o->crc32c != e->lists[i].crc32c)
			sim_fail("I2: entry %" PRId64 " names a list that is not there: %s",
					 e->seq, e->lists[i].key);
		oracle_durable(o);
		if (!entry_parse_list((Slice){ o->bytes, o->n }, e, &err))
			sim_fail("I2: %s: %s", e->lists[i].key, err.msg);
		o->listed = e->seq;
	}
}

/* I6 */
static void
check_swept(const Entry *e)
{
	for (const LakeObject *o = lake_objects; o; o = o->next)
	{
		int64_t until = e->swept_until;

		if (is_copy(o->key))
			until = has_copy(e) ? copy_of(e)->swept_until : 0;
		if (o->removed != SIM_NEVER || o->listed >= 0 || o->late ||
			!is_data(o->key) || hour_of(o->key) >= until)
			continue;
		sim_fail("I6: entry %" PRId64 " says that all before %" PRId64
				 " is swept, and there is %s",
				 e->seq, e->swept_until, o->key);
	}
}

static void
on_entry(LakeObject *o)
{
	Err err = { 0 };
	Entry *e;

	if (!entry_parse((Slice){ o->bytes, o->n }, NULL, &e, &err))
		sim_fail("I1: %s: %s", o->key, err.msg);
	read_lists(e);
	check_chain(e);
	for (int i = 0; i < e->nobjects; i++)
		check_object(e, &e->objects[i]);
	check_copy(e);
	for (int i = 0; i < e->nloads; i++)
	{
		if (e->loads[i].state == LOAD_GIVEN_UP)
			COUNT(loads_given_up);
	}
	if (nentries == ENTRIES_MAX)
		sim_fail("too many entries");
	entry_files[nentries] = o;
	entries[nentries++] = e;
	if (nentries > 1)
		check_swept(e);
	sim_say("entry %" PRId64 " to " LSN_FMT " of %s", e->seq, LSN_ARGS(e->end),
			e->writer);
}

/* ---- what the store does ---- */

/*
 * A writer that does not know yet that it lost goes on for a while.  What it
 * puts into a folder that was swept already is nobody's to find.
 */
static void
judge_late(LakeObject *o)
{
	int64_t seq;

	if (key_parse_part(o->key, &seq) && seq <= oracle_log_seq())
		o->late = true;
	if (!o->late)
		return;
	COUNT(late_objects);
	o->hopeless = hour_of(o->key) < oracle_closed_until();
}

void
oracle_put(LakeObject *o)
{
	if (is_data(o->key))
		judge_late(o);
	if (strncmp(o->key, KEY_LOG_PREFIX, strlen(KEY_LOG_PREFIX)) == 0)
		on_entry(o);
}

void
oracle_overwrite(LakeObject *o, Slice bytes)
{
	COUNT(overwritten);
	if (bytes.n == o->n && memcmp(bytes.p, o->bytes, o->n) == 0)
		return;
	sim_fail("I3: %s becomes another one", o->key);
}

void
oracle_remove(LakeObject *o)
{
	if (o->listed >= 0)
		sim_fail("I3: entry %" PRId64 " lists %s, and it is removed", o->listed,
				 o->key);
	if (strncmp(o->key, "_cdc/", 5) == 0 &&
		strncmp(o->key, "_cdc/request/", 13) != 0 &&
		strncmp(o->key, "_cdc/list/", 10) != 0 && /* of no entry: see above */
		strncmp(o->key, "_cdc/uploads/", 13) != 0)
		sim_fail("I3: %s is removed", o->key);
	if (is_data(o->key))
		COUNT(swept);
}

void
oracle_durable(const LakeObject *o)
{
	if (!oracle_disk)
		return;
	COUNT(durable);
	if (!disk_has_safe(o))
		sim_fail("I12: a power cut would take %s", o->key);
}

static void
lose_entry(void)
{
	const Entry *e = last();

	if (nsafe == nentries)
		sim_fail("I12: a power cut took entry %" PRId64 ", and its end is "
				 "confirmed",
				 e->seq);
	COUNT(entries_lost);
	for (LakeObject *o = lake_objects; o; o = o->next)
	{
		if (o->listed == e->seq)
			o->listed = -1;
	}
	nentries--;
}

void
oracle_lost(const LakeObject *o)
{
	sim_say("a power cut takes %s", o->key);
	for (int i = 0; i < nentries; i++)
	{
		if (entry_files[i] == o && i < nentries - 1)
			sim_fail("I12: a power cut took %s, which is not the last entry",
					 o->key);
		if (entry_files[i] == o)
			lose_entry();
	}
	if (o->listed >= 0)
		sim_fail("I12: a power cut took %s, which an entry lists", o->key);
}

/* I4 */
void
oracle_confirmed(Lsn lsn)
{
	COUNT(confirms);
	if (lsn > oracle_log_end())
		sim_fail("I4: " LSN_FMT " is confirmed, and the log ends at " LSN_FMT,
				 LSN_ARGS(lsn), LSN_ARGS(oracle_log_end()));
	for (int i = nsafe; i < nentries && entries[i]->end <= lsn; i++)
	{
		if (entries[i]->end == entries[i]->prev_end)
			continue; /* it takes nothing from the slot */
		for (; nsafe <= i; nsafe++)
			oracle_durable(entry_files[nsafe]);
	}
}

/* ---- rows ---- */

/* How often each row of the model was found. */
static int **seen;        /* by transaction, then ordinal */
static int **copied_rows; /* likewise, of the further output */

static const ModelTxn *
find_txn(Lsn end, int *out_i)
{
	int lo = 0;
	int hi = base.ntxns - 1;

	while (lo <= hi)
	{
		int mid = (lo + hi) / 2;

		if (base.txns[mid].end == end)
		{
			*out_i = mid;
			return &base.txns[mid];
		}
		if (base.txns[mid].end < end)
			lo = mid + 1;
		else
			hi = mid - 1;
	}
	return NULL;
}

static bool
is_split(const ModelChange *c)
{
	return oracle_split && c->op == OP_UPDATE && c->key != c->old_key;
}

static const ModelChange *
find_change(const ModelTxn *t, int64_t ordinal)
{
	for (int i = 0; i < t->nchanges; i++)
	{
		const ModelChange *c = &t->changes[i];

		if (c->ordinal == ordinal ||
			(is_split(c) && c->ordinal + 1 == ordinal) ||
			(c->op == OP_TRUNCATE && ordinal > c->ordinal &&
			 ordinal < c->ordinal + c->ntables))
			return c;
	}
	return NULL;
}

static const char *
string_of(const json_t *row, const char *name)
{
	const char *s = json_string_value(json_object_get(row, name));

	return s ? s : "";
}

static void
check_v(const json_t *row, uint64_t content, int len, const char *where)
{
	static char v[1 << 20];
	const json_t *value = json_object_get(row, "v");

	base_text(content, len, v);
	if (!json_is_string(value) || strcmp(json_string_value(value), v) != 0)
		sim_fail("I7: another value of v in %s", where);
}

static void
check_n(const json_t *row, uint64_t content, const char *where)
{
	const json_t *value = json_object_get(row, "n");
	bool null = !value || json_is_null(value);

	if (null != base_n_is_null(content) ||
		(!null && json_integer_value(value) != base_n(content)))
		sim_fail("I7: another value of n in %s", where);
}

/* The first record of a key change. */
static void
check_moved(const json_t *row, const ModelChange *c, const char *where)
{
	COUNT(moved);
	if (strcmp(string_of(row, "_op"), "d") != 0 ||
		!json_is_true(json_object_get(row, "_moved")) ||
		json_integer_value(json_object_get(row, "id")) != c->old_key)
		sim_fail("I7: no delete of the old key in %s", where);
}

static void
check_change(const json_t *row, const ModelChange *c, const char *where)
{
	static const char *const ops[] = { "i", "u", "d", "t" };
	const json_t *key = json_object_get(row, "_key");

	if (strcmp(string_of(row, "_op"), ops[c->op]) != 0)
		sim_fail("I7: another operation in %s", where);
	if (c->op == OP_TRUNCATE)
		return;
	if (json_integer_value(json_object_get(row, "id")) != c->key)
		sim_fail("I7: another key in %s", where);
	if (c->op == OP_DELETE)
		return;
	if ((key != NULL) != (c->key != c->old_key) ||
		(key && json_integer_value(json_object_get(key, "id")) != c->old_key))
		sim_fail("I7: another old key in %s", where);
	if (c->unchanged != (json_object_get(row, "_unchanged") != NULL))
		sim_fail("I7: _unchanged is wrong in %s", where);
	if (!c->unchanged)
		check_v(row, c->content, c->len, where);
	if (c->ncols > 2)
		check_n(row, c->content, where);
}

/* I10 */
static void
check_folder(const EntryObject *o, const ModelTxn *t)
{
	if (clock_lies || t->odd_time)
		return;
	COUNT(folders);
	if (hour_of(o->key) != t->time - t->time % US_PER_HOUR)
		sim_fail("I10: a row of " LSN_FMT " is in another hour than its commit,"
				 " in %s",
				 LSN_ARGS(t->end), o->key);
}

static void
check_stream_row(const EntryObject *o, const json_t *row, Lsn lsn, int64_t seq)
{
	int i;
	const ModelTxn *t = find_txn(lsn, &i);
	const ModelChange *c = t ? find_change(t, seq) : NULL;
	char where[256];
	char ts[64];

	(void) snprintf(where, sizeof(where), LSN_FMT " %" PRId64 " of %s",
					LSN_ARGS(lsn), seq, o->key);
	if (!c)
		sim_fail("I7: nobody has made the row %s", where);
	if (strcmp(o->table,
			   base_table_name(c->table + (c->op == OP_TRUNCATE
											   ? (int) (seq - c->ordinal)
											   : 0))) != 0)
		sim_fail("I7: the row is of another table: %s", where);
	iso_from_unix_us(t->time, true, ts, sizeof(ts));
	if (strcmp(string_of(row, "_ts"), ts) != 0 ||
		json_integer_value(json_object_get(row, "_xid")) != t->xid)
		sim_fail("I7: another time or transaction in %s", where);
	if (o->output[0] ? copied_rows[i][seq]++ > 0 : seen[i][seq]++ > 0)
		sim_fail("I7: a second time the row %s", where);
	if (is_split(c) && seq == c->ordinal)
		check_moved(row, c, where);
	else
		check_change(row, c, where);
	check_folder(o, t);
	COUNT(rows_compared);
}

static const Schema *
schema_of(const EntryObject *o)
{
	for (int t = 0; t < BASE_TABLES; t++)
	{
		for (int n = 2; n <= BASE_COLUMNS; n++)
		{
			if (strcmp(base_schema(t, n)->hash, o->hash) == 0)
				return base_schema(t, n);
		}
	}
	sim_fail("I2: an object of an unknown schema: %s", o->key);
}

typedef void (*RowFn)(const EntryObject *o, const json_t *row, Lsn lsn,
					  int64_t seq, void *arg);

static void
read_object(const EntryObject *o, RowFn fn, void *arg)
{
	const LakeObject *there = find_listed(o);
	const Format *f = format_of_key(o->key);
	FormatReader *r;
	FormatSource source;
	Err err = { 0 };
	bool end = false;
	int64_t rows = 0;

	if (!there || !f)
		sim_fail("I3: %s is gone", o->key);
	source = (FormatSource){ .object = { there->bytes, there->n },
							 .compression = f->compresses
												? COMPRESS_NONE
												: compression_of_key(o->key),
							 .max_line = LINE_MAX,
							 .schema = schema_of(o) };
	r = f->open(&source);
	for (;;)
	{
		Slice line;
		json_t *row;
		Lsn lsn;
		json_error_t why;

		if (!f->next(r, &line, &end, &err))
			sim_fail("I7: %s: %s", o->key, err.msg);
		if (end)
			break;
		row = json_loadb((const char *) line.p, line.n, 0, &why);
		if (!row)
			sim_fail("I7: %s: %s", o->key, why.text);
		lsn = strtoull(string_of(row, "_lsn"), NULL, 16);
		fn(o, row, lsn, json_integer_value(json_object_get(row, "_seq")), arg);
		json_decref(row);
		rows++;
	}
	f->done(r);
	if (rows != o->rows)
		sim_fail("I7: %s has %" PRId64 " rows, its entry says %" PRId64, o->key,
				 rows, o->rows);
}

static void
stream_row(const EntryObject *o, const json_t *row, Lsn lsn, int64_t seq,
		   void *arg)
{
	(void) arg;
	check_stream_row(o, row, lsn, seq);
}

static int64_t
last_ordinal(const ModelTxn *t)
{
	const ModelChange *c = &t->changes[t->nchanges - 1];

	return c->ordinal + BASE_TABLES;
}

/* All of the model up to the log's end were seen. */
static void
check_all_seen(void)
{
	for (int i = 0; i < base.ntxns; i++)
	{
		const ModelTxn *t = &base.txns[i];
		bool covered = t->end <= oracle_log_end();

		for (int k = 0; k < t->nchanges; k++)
		{
			const ModelChange *c = &t->changes[k];
			int n = c->op == OP_TRUNCATE ? c->ntables : is_split(c) ? 2 : 1;

			for (int r = 0; r < n; r++)
			{
				bool there = seen[i][c->ordinal + r] > 0;

				if (there && !covered)
					sim_fail("I7: a row behind the log's end: " LSN_FMT,
							 LSN_ARGS(t->end));
				if (!there && covered)
					sim_fail("I7: lost: " LSN_FMT " %" PRId64, LSN_ARGS(t->end),
							 c->ordinal + r);
			}
		}
	}
}

/* ---- loads ---- */

typedef struct LoadRows
{
	const EntryLoad *load;
	int table;
	ModelRow rows[BASE_KEYS];
	bool found[BASE_KEYS];
	int64_t seqs[BASE_KEYS];
	int n;
} LoadRows;

static void
load_row(const EntryObject *o, const json_t *row, Lsn lsn, int64_t seq,
		 void *arg)
{
	LoadRows *l = arg;
	int64_t id = json_integer_value(json_object_get(row, "id"));
	char where[256];

	(void) snprintf(where, sizeof(where), "load %s %" PRId64 " of %s", o->load,
					id, o->key);
	if (strcmp(string_of(row, "_op"), "r") != 0 || lsn != l->load->lsn ||
		seq < FIRST_SEQ)
		sim_fail("I8: no row of a load: %s", where);
	if (id < 0 || id >= BASE_KEYS || !l->rows[id].there)
		sim_fail("I8: a row too much: %s", where);
	if (l->found[id])
		sim_fail("I8: a second time the row %s", where);
	l->found[id] = true;
	for (int i = 0; i < l->n; i++)
	{
		if (l->seqs[i] == seq)
			sim_fail("I8: a second time the number of %s", where);
	}
	l->seqs[l->n++] = seq;
	check_v(row, l->rows[id].v, l->rows[id].len, where);
	check_n(row, l->rows[id].n, where);
	COUNT(load_rows);
}

static int
table_of(const char *name)
{
	for (int t = 0; t < BASE_TABLES; t++)
	{
		if (strcmp(name, base_table_name(t)) == 0)
			return t;
	}
	sim_fail("a load of an unknown table %s", name);
}

static void
compare_load(const Entry *e, const EntryLoad *load)
{
	LoadRows l = { .load = load, .table = table_of(load->table) };
	int n = 0;

	COUNT(loads);
	if (load->lsn > e->end)
		sim_fail("I8: load %s is done before its consistent point", load->id);
	while (n < base.ntxns && base.txns[n].end <= load->lsn)
		n++;
	base_rows_at(l.table, n, l.rows);
	for (int i = 0; i < e->nobjects; i++)
	{
		if (strcmp(e->objects[i].load, load->id) == 0)
			read_object(&e->objects[i], load_row, &l);
	}
	for (int k = 0; k < BASE_KEYS; k++)
	{
		if (l.rows[k].there && !l.found[k])
			sim_fail("I8: load %s lacks row %d of %s", load->id, k,
					 load->table);
	}
}

void
oracle_compare(void)
{
	seen = xcalloc((size_t) base.ntxns + 1, sizeof(*seen));
	copied_rows = xcalloc((size_t) base.ntxns + 1, sizeof(*copied_rows));
	for (int i = 0; i < base.ntxns; i++)
	{
		size_t n = (size_t) last_ordinal(&base.txns[i]) + 2;

		seen[i] = xcalloc(n, sizeof(int));
		copied_rows[i] = xcalloc(n, sizeof(int));
	}
	for (int i = 0; i < nentries; i++)
	{
		const Entry *e = entries[i];

		for (int k = 0; k < e->nobjects; k++)
		{
			if (!e->objects[k].load[0])
				read_object(&e->objects[k], stream_row, NULL);
		}
		for (int k = 0; k < e->nfurther; k++)
		{
			if (!e->further[k].load[0])
				read_object(&e->further[k], stream_row, NULL);
		}
		for (int k = 0; k < e->nloads; k++)
		{
			if (e->loads[k].state == LOAD_DONE)
				compare_load(e, &e->loads[k]);
		}
	}
	check_all_seen();
}

void
oracle_clean(void)
{
	COUNT(clean);
	for (const LakeObject *o = lake_objects; o; o = o->next)
	{
		if (o->removed == SIM_NEVER && o->listed < 0 && !o->hopeless &&
			is_data(o->key) && (!is_copy(o->key) || has_copy(last())))
			sim_fail("I9: no entry lists %s, and it stays", o->key);
	}
	for (const LakeUpload *u = lake_uploads; u; u = u->next)
	{
		if (!u->over && !lake_faults.no_uploads &&
			(!is_copy(u->key) || has_copy(last())))
			sim_fail("I9: an upload stays: %s", u->key);
	}
}
