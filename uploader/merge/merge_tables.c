/*-------------------------------------------------------------------------
 * merge_tables.c
 *	  The tables of a range: who they are, what happens to their schemas, which
 *	  loads count, and which objects each of them gets.
 *
 * Layer: merge.
 *-------------------------------------------------------------------------
 */
#include "merge/merge_tables.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/strmap.h"
#include "merge/merge_logread.h"
#include "merge/merge_name.h"

#define ID_MAX 32

/* The plan that is made; tables are numbers in p->tables. */
typedef struct Tables
{
	PlanRead *r;
	Plan *p;
	int cap;
	int64_t seq;    /* the entry whose turn it is */
	StrMap by_id;   /* "oid/row type" */
	StrMap by_name; /* who has it now */
	StrMap by_hash; /* of a schema */
} Tables;

static void
set_string(char **field, const char *value)
{
	char *old = *field;

	*field = value ? xstrdup(value) : NULL;
	free(old);
}

/* ---- who is who ---- */

static char *
name_key(const char *schema, const char *table)
{
	return xasprintf("%s\xFF%s", schema, table);
}

static PlanTable *
by_name(const Tables *b, const char *schema, const char *table)
{
	char *key = name_key(schema, table);
	int i = strmap_get(&b->by_name, key);

	free(key);
	return i == STRMAP_NONE ? NULL : &b->p->tables[i];
}

static void
id_key(uint32_t relation_id, uint32_t row_type, char out[static ID_MAX])
{
	(void) snprintf(out, ID_MAX, "%u/%u", relation_id, row_type); /* fits */
}

/* Files of an older release do not tell the row type. */
static void
put_identity(Tables *b, PlanTable *t, uint32_t relation_id, uint32_t row_type)
{
	char key[ID_MAX];
	int number = (int) (t - b->p->tables);

	t->relation_id = relation_id;
	if (row_type)
		t->row_type = row_type;
	id_key(relation_id, row_type, key);
	strmap_put(&b->by_id, key, number);
	id_key(relation_id, 0, key);
	strmap_put(&b->by_id, key, number);
}

static PlanTable *
by_identity(Tables *b, uint32_t relation_id, uint32_t row_type)
{
	char key[ID_MAX];
	int i;
	PlanTable *t;

	id_key(relation_id, row_type, key);
	i = strmap_get(&b->by_id, key);
	if (i != STRMAP_NONE)
		return &b->p->tables[i];
	id_key(relation_id, 0, key);
	i = strmap_get(&b->by_id, key);
	if (i == STRMAP_NONE)
		return NULL;
	t = &b->p->tables[i];
	if (t->row_type != 0)
		return NULL; /* the OID came again */
	put_identity(b, t, relation_id, row_type);
	return t;
}

/* Valid until the next one. */
static PlanTable *
add_table(Tables *b, const char *schema, const char *table)
{
	Plan *p = b->p;
	PlanTable *t;

	if (p->ntables == b->cap)
	{
		b->cap = b->cap ? b->cap * 2 : 64;
		p->tables = xrealloc(p->tables, (size_t) b->cap * sizeof(*p->tables));
	}
	t = &p->tables[p->ntables++];
	*t = (PlanTable){ .schema = xstrdup(schema),
					  .table = xstrdup(table),
					  .from = p->start.entry + 1,
					  .to = p->end.entry };
	return t;
}

/* From this entry on a table of the target is not what it is. */
static void
note_ddl(Tables *b, const PlanTable *t)
{
	if (t->known && t->known->target_table && b->p->ddl_entry < 0 &&
		b->seq > b->p->start.entry)
		b->p->ddl_entry = b->seq;
}

/* Entries that were merged are read again for tables that are blocked. */
static bool
is_settled(const Tables *b, const PlanTable *t)
{
	return b->seq <= b->p->start.entry && t->known && !t->blocked;
}

/* A table that loses its name gets one that nobody has. */
static void
displace(Tables *b, PlanTable *t, Lsn lsn)
{
	char *name = name_dropped(t->table, lsn);
	char *key;

	while (by_name(b, t->schema, name)) /* another one lost it there */
	{
		free(name);
		name = name_dropped(t->table, ++lsn);
	}
	key = name_key(t->schema, name);
	strmap_put(&b->by_name, key, (int) (t - b->p->tables));
	free(key);
	t->displaced = true;
	t->displaced_at = lsn;
	free(t->table);
	t->table = name;
}

/*
 * t has the name from pos on; in an entry of long ago one that is known may
 * have got it since, and of what a load says, another one.
 */
static void
take_name(Tables *b, PlanTable *t, const char *schema, const char *table,
		  RecordPos pos)
{
	char *key = name_key(schema, table);
	int i = strmap_get(&b->by_name, key);
	int number = (int) (t - b->p->tables);
	PlanTable *o = i == STRMAP_NONE || i == number ? NULL : &b->p->tables[i];

	if (o && (strcmp(o->table, table) != 0 || strcmp(o->schema, schema) != 0))
		o = NULL; /* it has left the name */
	if (o && !is_settled(b, o) && !record_pos_after(o->pos, pos))
	{
		note_ddl(b, o);
		displace(b, o, pos.lsn);
		o = NULL;
	}
	if (!o)
		strmap_put(&b->by_name, key, number);
	free(key);
	if (strcmp(t->table, table) != 0 || strcmp(t->schema, schema) != 0)
	{
		set_string(&t->schema, schema);
		set_string(&t->table, table);
	}
	t->displaced = false;
	if (o)
		displace(b, t, pos.lsn);
}

/* The table of that name, made where nobody has it (any more). */
static PlanTable *
named(Tables *b, const char *schema, const char *table)
{
	PlanTable *t = by_name(b, schema, table);

	RecordPos pos = t ? t->pos : (RecordPos){ 0, 0 };

	if (t && !t->gone)
		return t;
	t = add_table(b, schema, table);
	take_name(b, t, schema, table, pos);
	return t;
}

static void
take_known(Tables *b, PlanKnown *k)
{
	PlanTable *t = add_table(b, k->schema, k->table);

	t->known = k;
	t->pos = k->pos;
	t->gone = k->gone;
	t->left = k->left;
	t->unsure = k->unsure;
	t->hash = k->hash ? xstrdup(k->hash) : NULL;
	take_name(b, t, k->schema, k->table, (RecordPos){ 0, 0 });
	if (k->relation_id)
		put_identity(b, t, k->relation_id, k->row_type);
	if (k->hash)
		strmap_put(&b->by_hash, k->hash, (int) (t - b->p->tables));
}

/* ---- schemas ---- */

/* What an entry says, or an object whose schema no entry names. */
typedef struct Said
{
	PlanEvent event;
	uint32_t relation_id; /* 0: the file tells */
	uint32_t row_type;
	bool created;
	bool load; /* of a load's rows */
} Said;

static bool
read_identity(Tables *b, Said *said, Err *err)
{
	const PlanEvent *e = &said->event;
	Schema *s;

	if (said->relation_id || e->hash[0] == '\0')
		return true;
	if (!commitlog_schema(b->r->store, e->schema, e->table, e->hash, &s, err))
	{
		if (err->kind == ERR_NOT_FOUND || err->kind == ERR_DATA)
			err->kind = ERR_GAP;
		return err_prefix(err, "schema %s of table \"%s.%s\"", e->hash,
						  e->schema, e->table);
	}
	said->relation_id = s->relation_id;
	schema_free(s);
	return true;
}

/* The table that is meant; NULL: one that the plan does not know. */
static PlanTable *
find_table(Tables *b, const Said *said)
{
	const PlanEvent *e = &said->event;
	PlanTable *t = by_identity(b, said->relation_id, said->row_type);

	if (t || e->gone || e->left)
		return t;
	t = by_name(b, e->schema, e->table);
	if (!t || t->relation_id || (said->created && t->waiting))
		return NULL; /* what is read has been there before */
	put_identity(b, t, said->relation_id, said->row_type); /* it is that one */
	return t;
}

static void
add_event(PlanTable *t, const PlanEvent *e)
{
	int n = t->nevents;

	if ((n & (n - 1)) == 0) /* full at each power of two */
		t->events =
			xrealloc(t->events, (n ? (size_t) n * 2 : 1) * sizeof(*t->events));
	t->events[t->nevents++] = *e;
	t->pos = e->pos;
}

/* From here on the table is as it is said; it is found or new. */
static void
take_event(Tables *b, PlanTable *t, const Said *said)
{
	const PlanEvent *e = &said->event;

	if (t->nevents > 0 && !record_pos_after(e->pos, t->pos))
		return;
	if (t->known && t->known->pos.lsn > 0 &&
		!record_pos_after(e->pos, t->known->pos))
		return;
	if (t->left && !e->gone && !e->left)
	{
		t->strange = true; /* what was changed meanwhile was not sent */
		t->strange_why = "left";
		t->strange_pos = e->pos;
	}
	if (!e->gone && !e->left && t->known && t->known->hash &&
		strcmp(t->known->hash, e->hash) != 0)
		note_ddl(b, t);
	t->gone = e->gone;
	t->left = e->left;
	add_event(t, e);
	if (e->gone || e->left)
		return;
	take_name(b, t, e->schema, e->table, e->pos);
	set_string(&t->hash, e->hash);
	/* read, and dropped before anybody heard of it; else it will be "new" */
	if (t->displaced && said->load && !t->known)
		t->gone = true;
}

/* Nothing is known of it but its name, or that it was refused. */
static bool
is_fresh(const PlanTable *t)
{
	const PlanKnown *k = t->known;

	return t->nevents == 0 && (!k || (k->relation_id && !k->hash));
}

/* The entry whose turn it is. */
typedef struct Turn
{
	const Entry *entry;
	bool old;    /* merged already, and read again for what was refused */
	bool loaded; /* behind the one that announced the first loads */
} Turn;

static bool
take_said(Tables *b, Said *said, const Turn *turn, Err *err)
{
	const PlanEvent *e = &said->event;
	bool fresh;
	PlanTable *t;

	if (!read_identity(b, said, err))
		return false;
	t = find_table(b, said);
	fresh = !t;
	if (!t && (turn->old || e->gone || e->left))
		return true;
	if (!t)
	{
		t = add_table(b, e->schema, e->table);
		put_identity(b, t, said->relation_id, said->row_type);
	}
	fresh = fresh || is_fresh(t);
	t->created = t->created || said->created;
	if (fresh && turn->loaded && said->row_type && !said->created &&
		!said->load)
	{
		t->strange = true;
		t->strange_why = "new";
		t->strange_pos = e->pos;
	}
	if (e->hash[0])
		strmap_put(&b->by_hash, e->hash, (int) (t - b->p->tables));
	take_event(b, t, said);
	return true;
}

static int
compare_said(const void *a, const void *b)
{
	const EntrySchema *x = *(const EntrySchema *const *) a;
	const EntrySchema *y = *(const EntrySchema *const *) b;

	if (x->lsn != y->lsn)
		return x->lsn < y->lsn ? -1 : 1;
	if (x->seq != y->seq)
		return x->seq < y->seq ? -1 : 1;
	return x < y ? -1 : x > y;
}

static bool
take_schemas(Tables *b, const Turn *turn, Err *err)
{
	const Entry *e = turn->entry;
	const EntrySchema **list = xcalloc((size_t) e->nschemas + 1, sizeof(*list));
	bool ok = true;

	for (int i = 0; i < e->nschemas; i++)
		list[i] = &e->schemas[i];
	qsort(list, (size_t) e->nschemas, sizeof(*list), compare_said);
	for (int i = 0; ok && i < e->nschemas; i++)
	{
		const EntrySchema *s = list[i];
		Said said = { .event = { .pos = { s->lsn, s->seq },
								 .schema = s->schema,
								 .table = s->table,
								 .hash = s->hash,
								 .gone = s->gone,
								 .left = s->left },
					  .relation_id = s->relation_id,
					  .row_type = s->row_type,
					  .created = s->created,
					  .load = s->seq >= PLAN_LOAD_SEQ };

		ok = take_said(b, &said, turn, err);
	}
	free(list);
	return ok;
}

/* Schemas that a session of an older release used again without a word. */
static bool
take_objects(Tables *b, const Turn *turn, Err *err)
{
	const Entry *e = turn->entry;

	for (int i = 0; i < e->nobjects; i++)
	{
		const EntryObject *o = &e->objects[i];
		Said said = { .event = { .pos = { o->first_lsn, o->first_seq },
								 .schema = o->schema,
								 .table = o->table,
								 .hash = o->hash },
					  .load = o->load[0] != '\0' };

		if (strmap_get(&b->by_hash, o->hash) == STRMAP_NONE &&
			!take_said(b, &said, turn, err))
			return false;
	}
	return true;
}

/* ---- loads ---- */

/* The first run announces the initial loads; all others are reloads. */
static bool
is_initial(const PlanLog *log, int64_t seq)
{
	return seq == 0 || !log_entry(log, seq - 1)->loaded;
}

/* A load given up for good: where the table goes on. */
static void
settle_give_up(PlanTable *t)
{
	if (!t->given_up)
		return;
	if (t->initial)
		t->from = t->given_up_at + 1;
	else if (t->since < t->from)
		t->from = t->since;
	t->given_up = t->initial = false;
}

static void
open_load(PlanTable *t, const EntryLoad *l, int64_t seq, bool initial)
{
	bool again = t->given_up && t->given_up_at == seq;

	if (again)
		t->given_up = false;
	settle_give_up(t);
	if (!again && !t->waiting)
	{
		t->since = seq;
		t->initial = initial;
	}
	t->waiting = true;
	set_string(&t->waiting_load, l->id);
}

static void
give_up_load(PlanTable *t, const EntryLoad *l, int64_t seq)
{
	if (!t->waiting || strcmp(t->waiting_load, l->id) != 0)
		return;
	t->waiting = false;
	t->given_up = true;
	t->given_up_at = seq;
}

/*
 * The table that waits for the load, whatever its name is now; NULL: what the
 * load did is done.
 */
static PlanTable *
loaded_table(Tables *b, const EntryLoad *l, bool old)
{
	int i = l->hash[0] ? strmap_get(&b->by_hash, l->hash) : STRMAP_NONE;

	if (i != STRMAP_NONE)
		return &b->p->tables[i];
	for (i = 0; l->state != LOAD_OPEN && i < b->p->ntables; i++)
	{
		PlanTable *t = &b->p->tables[i];

		if (t->waiting && strcmp(t->waiting_load, l->id) == 0)
			return t;
	}
	return old ? by_name(b, l->schema, l->table)
			   : named(b, l->schema, l->table);
}

/*
 * A load that is done tells whom it was announced for, by a name that another
 * table may have by now.
 */
static void
bind_load(Tables *b, const EntryLoad *l, const EntrySchema *s)
{
	PlanTable *t = NULL;

	for (int i = 0; !t && i < b->p->ntables; i++)
	{
		PlanTable *o = &b->p->tables[i];

		if (o->waiting && !o->relation_id &&
			strcmp(o->waiting_load, l->id) == 0)
			t = o;
	}
	if (!t)
		return;
	if (!by_identity(b, s->relation_id, s->row_type))
		put_identity(b, t, s->relation_id, s->row_type);
	else /* one that was made since then */
	{
		t->waiting = t->initial = false;
		t->gone = true;
	}
}

static void
bind_loads(Tables *b, const Entry *e)
{
	for (int i = 0; i < e->nloads; i++)
	{
		const EntryLoad *l = &e->loads[i];
		const EntrySchema *s = NULL;

		for (int k = 0; !s && l->hash[0] && k < e->nschemas; k++)
			s = strcmp(e->schemas[k].hash, l->hash) == 0 ? &e->schemas[k]
														 : NULL;
		if (s && s->relation_id && l->state == LOAD_DONE)
			bind_load(b, l, s);
	}
}

/* What one target lacks by what was done there. */
static bool
is_of_a_target(const char *reason)
{
	return strcmp(reason, "dropped") == 0 || strcmp(reason, "excluded") == 0 ||
		   strcmp(reason, "mapped") == 0;
}

/*
 * Loads that no person asked for: not where the target has passed what they
 * are to mend, and lacks nothing.
 */
static bool
is_needed(const Tables *b, const PlanTable *t, const EntryLoad *l)
{
	const PlanKnown *k = t->known;
	Lsn at = t->blocked ? log_entry(b->p->log, t->blocked_since)->prev_end
						: b->p->start.lsn;

	if (!l->reason[0] || strcmp(l->reason, "new") == 0 || t->waiting ||
		(l->resync > at && !is_of_a_target(l->reason)))
		return true;
	return !(k && k->target_table && !k->skipped && !k->unsure);
}

static void
take_load(Tables *b, const EntryLoad *l, const Turn *turn)
{
	PlanTable *t = loaded_table(b, l, turn->old);
	int64_t seq = turn->entry->seq;

	if (turn->old && !(t && t->blocked && seq >= t->blocked_since))
		return;
	if (!is_needed(b, t, l))
		return;
	switch (l->state)
	{
		case LOAD_OPEN:
			open_load(t, l, seq, !turn->loaded);
			break;
		case LOAD_DONE:
			t->waiting = t->given_up = t->initial = false;
			t->replace = true;
			set_string(&t->load, l->id);
			t->load_lsn = l->lsn;
			t->load_entry = seq;
			break;
		case LOAD_GIVEN_UP:
			give_up_load(t, l, seq);
			break;
	}
}

static void
take_waiting(Tables *b, const PlanWaiting *w)
{
	PlanTable *t = by_name(b, w->schema, w->table);

	if (!t) /* else it is that one, though the source may have dropped it */
		t = named(b, w->schema, w->table);
	if (w->load[0] == '\0')
	{
		t->blocked = true;
		t->blocked_since = t->from = w->since;
		return;
	}
	t->since = w->since;
	t->initial = w->initial;
	t->waiting = true;
	set_string(&t->waiting_load, w->load);
}

/* ---- ranges and objects ---- */

/* The first and last entry whose changes the table gets. */
static bool
set_range(PlanRead *r, PlanTable *t, Err *err)
{
	settle_give_up(t);
	if (t->waiting)
		t->to = t->since - 1;
	if (!t->replace)
		return true;
	/* back to the first entry with changes behind the load's LSN */
	for (t->from = t->load_entry; t->from > 0; t->from--)
	{
		if (!logread_back(r, t->from, err))
			return false;
		if (log_entry(r->plan->log, t->from)->prev_end <= t->load_lsn)
			break;
	}
	return true;
}

static bool
object_counts(const PlanTable *t, const EntryObject *o, int64_t seq)
{
	if (o->load[0])
		return t->replace && seq == t->load_entry &&
			   strcmp(o->load, t->load) == 0;
	return seq >= t->from && seq <= t->to &&
		   (!t->replace || o->last_lsn > t->load_lsn);
}

static void
add_object(PlanTable *t, const EntryObject *o)
{
	int n = t->nobjects;

	if ((n & (n - 1)) == 0) /* full at each power of two */
		t->objects = xrealloc(t->objects,
							  (n ? (size_t) n * 2 : 1) * sizeof(*t->objects));
	t->objects[t->nobjects++] = o;
}

/* In entries before the range a table may stand that nobody has any more. */
static bool
table_of_object(Tables *b, const EntryObject *o, PlanTable **out, Err *err)
{
	int i = strmap_get(&b->by_hash, o->hash);
	Said said = {
		.event = { .schema = o->schema, .table = o->table, .hash = o->hash }
	};

	*out = NULL;
	if (i == STRMAP_NONE)
	{
		if (!read_identity(b, &said, err))
			return false;
		*out = find_table(b, &said);
		if (!*out)
			return true;
		i = (int) (*out - b->p->tables);
		strmap_put(&b->by_hash, o->hash, i);
	}
	*out = &b->p->tables[i];
	return true;
}

static bool
plan_objects(Tables *b, Err *err)
{
	Plan *p = b->p;
	int64_t first = p->start.entry + 1;

	for (int i = 0; i < p->ntables; i++)
	{
		if (p->tables[i].from < first)
			first = p->tables[i].from;
	}
	if (!logread_back(b->r, first, err))
		return false;
	for (int64_t seq = first; seq <= p->end.entry; seq++)
	{
		const Entry *e = log_entry(p->log, seq);

		for (int i = 0; i < e->nobjects; i++)
		{
			const EntryObject *o = &e->objects[i];
			PlanTable *t;

			if (!table_of_object(b, o, &t, err))
				return false;
			if (!t || !object_counts(t, o, seq))
				continue;
			if (seq > p->expired)
				add_object(t, o);
			else
				t->lost = o; /* whether it is missed is seen later */
		}
	}
	return true;
}

/* The schema that an entry names for a table of that name, or NULL. */
static const char *
hash_in(const Entry *e, const char *schema, const char *table)
{
	for (int i = e->nobjects - 1; i >= 0; i--)
	{
		if (strcmp(e->objects[i].table, table) == 0 &&
			strcmp(e->objects[i].schema, schema) == 0)
			return e->objects[i].hash;
	}
	for (int i = e->nschemas - 1; i >= 0; i--)
	{
		if (e->schemas[i].hash[0] && /* else it ends there */
			strcmp(e->schemas[i].table, table) == 0 &&
			strcmp(e->schemas[i].schema, schema) == 0)
			return e->schemas[i].hash;
	}
	return NULL;
}

/* What the log said last of a table of that name, at entry "to" or before. */
static bool
find_hash(const PlanRead *r, const char *schema, const char *table, int64_t to,
		  char **out, Err *err)
{
	const PlanLog *log = r->plan->log;

	*out = NULL;
	for (int64_t seq = to; !*out && seq >= 0; seq--)
	{
		Entry *read = NULL;
		const Entry *e =
			log->n > 0 && seq >= log->base && seq < log->base + log->n
				? log_entry(log, seq)
				: NULL;
		const char *hash;

		if (!e && !log_read_earlier(r, seq, &read, err))
			return false;
		hash = hash_in(e ? e : read, schema, table);
		*out = hash ? xstrdup(hash) : NULL;
		entry_free(read);
	}
	return true;
}

/*
 * A table whose load found no row, and of whose columns the range says
 * nothing: they are what the log said of them last.
 */
static bool
find_hashes(Tables *b, Err *err)
{
	for (int i = 0; i < b->p->ntables; i++)
	{
		PlanTable *t = &b->p->tables[i];

		if (t->replace && t->nobjects == 0 && !t->hash &&
			!find_hash(b->r, t->schema, t->table, t->to, &t->hash, err))
			return false;
	}
	return true;
}

/*
 * What the target has of an older release: its schema in force is what the log
 * said at the target's position.
 */
static bool
find_legacy(Tables *b, Err *err)
{
	for (int i = 0; i < b->p->ntables; i++)
	{
		PlanTable *t = &b->p->tables[i];
		PlanKnown *k = t->known;

		if (k && k->relation_id == 0 && !k->hash && t->nevents > 0 &&
			k->target_table && b->p->start.entry >= 0 &&
			!find_hash(b->r, k->schema, k->table, b->p->start.entry, &k->hash,
					   err))
			return false;
	}
	return true;
}

/* ---- all of it ---- */

/* The first entry that says something which counts. */
static int64_t
first_entry(const Plan *p)
{
	int64_t first = p->start.entry + 1;

	for (int i = 0; i < p->ntables; i++)
	{
		const PlanTable *t = &p->tables[i];

		if (t->waiting && t->since < first)
			first = t->since;
		if (t->blocked && t->blocked_since < first)
			first = t->blocked_since;
	}
	return first;
}

/* Did the lake begin with loads? */
static bool
begins_loaded(const PlanRead *r, bool *out, Err *err)
{
	*out = false;
	for (int64_t seq = 0; seq <= r->plan->end.entry; seq++)
	{
		Entry *e;
		bool loaded;

		if (!log_read_earlier(r, seq, &e, err))
			return false;
		loaded = e->loaded;
		*out = e->nloads > 0;
		entry_free(e);
		if (loaded)
			return true;
	}
	return true;
}

/* In a lake that begins without loads no table is known whole. */
static bool
judge_strange(Tables *b, Err *err)
{
	bool asked = false;
	bool loads = false;

	for (int i = 0; i < b->p->ntables; i++)
	{
		PlanTable *t = &b->p->tables[i];

		t->strange = t->strange && !t->replace && !t->waiting && !t->gone &&
					 !(t->created && strcmp(t->strange_why, "new") == 0);
		if (!t->strange)
			continue;
		if (!asked && !begins_loaded(b->r, &loads, err))
			return false;
		asked = true;
		t->strange = loads || t->known;
	}
	return true;
}

static bool
walk(Tables *b, Err *err)
{
	Plan *p = b->p;
	int64_t first = first_entry(p);

	/* the one before tells whether the first loads were announced */
	if (!logread_back(b->r, first > 0 ? first - 1 : 0, err))
		return false;
	for (int64_t seq = first; seq <= p->end.entry; seq++)
	{
		const Entry *e = log_entry(p->log, seq);
		Turn turn = { e, seq <= p->start.entry, !is_initial(p->log, seq) };

		b->seq = seq;
		bind_loads(b, e);
		if (!take_schemas(b, &turn, err) || !take_objects(b, &turn, err))
			return false;
		for (int i = 0; i < e->nloads; i++)
			take_load(b, &e->loads[i], &turn);
	}
	for (int i = 0; i < p->ntables; i++)
	{
		if (!set_range(b->r, &p->tables[i], err))
			return false;
	}
	return judge_strange(b, err);
}

bool
tables_plan(PlanRead *r, const PlanFrom *from, Err *err)
{
	Tables b = { .r = r, .p = r->plan, .seq = -1 };
	bool ok = true;

	r->plan->ddl_entry = -1;

	for (int i = 0; i < from->nknown; i++)
		take_known(&b, &from->known[i]);
	for (int i = 0; i < from->nwaiting; i++)
		take_waiting(&b, &from->waiting[i]);
	if (r->plan->end.entry > r->plan->start.entry || plan_is_blocked(r->plan))
		ok = walk(&b, err) && plan_objects(&b, err) && find_hashes(&b, err) &&
			 find_legacy(&b, err);
	strmap_done(&b.by_id);
	strmap_done(&b.by_name);
	strmap_done(&b.by_hash);
	return ok;
}
