/*-------------------------------------------------------------------------
 * seen.c
 *	  What an operator wants to see and that has a name.
 *
 * Layer: base.
 *-------------------------------------------------------------------------
 */
#include "base/seen.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/strmap.h"

#define OTHER 0 /* its place in tables */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static SeenAll seen = { .ntables = 1 };
static StrMap places; /* "schema.table" to its place in seen.tables */
static bool (*is_wanted)(void *arg, const char *schema, const char *table);
static void *wanted_arg;

const char *
seen_op_name(SeenOp op)
{
	static const char *const names[SEEN_OPS] = {
		"load", "insert", "update", "delete", "truncate", "resync"
	};

	return names[op];
}

SeenOp
seen_op(char op)
{
	switch (op)
	{
		case 'i':
			return SEEN_INSERT;
		case 'u':
			return SEEN_UPDATE;
		case 'd':
			return SEEN_DELETE;
		case 't':
			return SEEN_TRUNCATE;
		case 's':
			return SEEN_RESYNC;
		default:
			return SEEN_LOAD;
	}
}

void
seen_choose(bool (*wanted)(void *arg, const char *schema, const char *table),
			void *arg)
{
	is_wanted = wanted;
	wanted_arg = arg;
}

/* A cut is fine: it is for people. */
#define COPY(to, from) (void) snprintf(to, sizeof(to), "%s", from)

void
seen_slot(const char *slot, const char *wal_status)
{
	pthread_mutex_lock(&lock);
	COPY(seen.slot, slot);
	COPY(seen.wal_status, wal_status);
	pthread_mutex_unlock(&lock);
}

/* Under the lock. */
static SeenTable *
place_of(const SeenObject *o)
{
	char key[2 * SEEN_NAME + 16];
	int at;

	if (strlen(o->schema) >= SEEN_NAME || strlen(o->table) >= SEEN_NAME)
		return &seen.tables[OTHER];
	/* with a length, since a dot may stand in either name */
	(void) snprintf(key, sizeof(key), "%zu:%s.%s", strlen(o->schema), o->schema,
					o->table); /* fits */
	at = strmap_get(&places, key);
	if (at != STRMAP_NONE)
		return &seen.tables[at];
	if (seen.ntables > SEEN_TABLES ||
		(is_wanted && !is_wanted(wanted_arg, o->schema, o->table)))
		return &seen.tables[OTHER];
	at = seen.ntables++;
	strmap_put(&places, key, at);
	COPY(seen.tables[at].schema, o->schema);
	COPY(seen.tables[at].table, o->table);
	return &seen.tables[at];
}

void
seen_object(const SeenObject *o)
{
	SeenTable *t;

	pthread_mutex_lock(&lock);
	t = place_of(o);
	for (int i = 0; i < SEEN_OPS; i++)
		t->rows[i] += o->ops[i];
	t->bytes += o->bytes;
	t->objects++;
	t->last_us = clock_unix_us();
	pthread_mutex_unlock(&lock);
}

void
seen_entry(const SeenEntry *e)
{
	pthread_mutex_lock(&lock);
	memmove(&seen.entries[1], &seen.entries[0],
			sizeof(seen.entries) - sizeof(seen.entries[0]));
	seen.entries[0] = *e;
	if (seen.nentries < SEEN_ENTRIES)
		seen.nentries++;
	pthread_mutex_unlock(&lock);
}

void
seen_error(bool error, const char *event, const char *kind)
{
	SeenError *e = &seen.errors[0];

	pthread_mutex_lock(&lock);
	memmove(&seen.errors[1], &seen.errors[0],
			sizeof(seen.errors) - sizeof(seen.errors[0]));
	e->time_us = clock_unix_us();
	e->error = error;
	COPY(e->event, event);
	COPY(e->kind, kind ? kind : "");
	if (seen.nerrors < SEEN_ERRORS)
		seen.nerrors++;
	pthread_mutex_unlock(&lock);
}

void
seen_loads(const SeenLoad *loads, int n)
{
	pthread_mutex_lock(&lock);
	seen.nloads = 0;
	/* the last is the sum: it stays, whatever is cut */
	for (int i = 0; i < n; i++)
		if (i < SEEN_LOADS || i == n - 1)
			seen.loads[seen.nloads++] = loads[i];
	pthread_mutex_unlock(&lock);
}

void
seen_output(int n, const char *name, bool holds)
{
	pthread_mutex_lock(&lock);
	COPY(seen.outputs[n].name, name);
	seen.outputs[n].holds = holds;
	if (seen.noutputs <= n)
		seen.noutputs = n + 1;
	pthread_mutex_unlock(&lock);
}

/* Under the lock.  When there are too many kinds the last takes the rest. */
static SeenFailure *
failure_of(const char *call, const char *code)
{
	for (int i = 0; i < seen.nfailures; i++)
	{
		SeenFailure *f = &seen.failures[i];

		if (strcmp(f->call, call) == 0 && strcmp(f->code, code) == 0)
			return f;
	}
	if (seen.nfailures == SEEN_FAILURES)
		return &seen.failures[SEEN_FAILURES - 1];
	if (seen.nfailures == SEEN_FAILURES - 1)
		call = code = "other";
	COPY(seen.failures[seen.nfailures].call, call);
	COPY(seen.failures[seen.nfailures].code, code);
	return &seen.failures[seen.nfailures++];
}

void
seen_failure(const char *call, const Err *err, bool again)
{
	char code[16];
	SeenFailure *f;

	if (err->code >= 100 && err->code < 600 && err->kind != ERR_SOURCE &&
		err->kind != ERR_TARGET && err->kind != ERR_NET)
		(void) snprintf(code, sizeof(code), "%d", err->code); /* fits */
	else
		COPY(code, err_kind_name(err->kind));
	pthread_mutex_lock(&lock);
	f = failure_of(call, code);
	f->errors++;
	f->retries += again;
	pthread_mutex_unlock(&lock);
}

void
seen_copy(SeenAll *out)
{
	pthread_mutex_lock(&lock);
	*out = seen;
	pthread_mutex_unlock(&lock);
}

void
seen_reset(void)
{
	pthread_mutex_lock(&lock);
	memset(&seen, 0, sizeof(seen));
	seen.ntables = 1;
	strmap_done(&places);
	memset(&places, 0, sizeof(places));
	pthread_mutex_unlock(&lock);
	seen_choose(NULL, NULL);
}
