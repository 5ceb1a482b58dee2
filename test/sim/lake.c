/*-------------------------------------------------------------------------
 * lake.c
 *	  The store of the simulation.
 *
 * store_open() of the sidecar is replaced by the one here (--wrap); what it
 * gives is wrapped for retries as any other store.
 *-------------------------------------------------------------------------
 */
#include "lake.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "codec/hash.h"
#include "count.h"
#include "oracle.h"
#include "store/store.h"

#define TIMEOUT_US (20 * SIM_SEC)
#define LATE_US (45 * SIM_SEC) /* behind the time-out of its caller at most */
#define STOP_US (200 * SIM_MS)
#define LAG_US (8 * SIM_SEC)

LakeFaults lake_faults;
int64_t lake_calls;
int64_t lake_fault_at;
LakeFault lake_fault_kind;
LakeObject *lake_objects;
LakeUpload *lake_uploads;
size_t lake_part_min = 4096;
bool lake_arrives_late;

typedef enum CallKind
{
	CALL_PUT,
	CALL_GET,
	CALL_HEAD,
	CALL_LIST,
	CALL_DEL,
	CALL_BEGIN,
	CALL_PART,
	CALL_FINISH,
	CALL_ABANDON,
	CALL_UPLOADS
} CallKind;

static const char *const call_names[] = { "put",     "get",    "head", "list",
										  "delete",  "begin",  "part", "finish",
										  "abandon", "uploads" };

/* One call; it lives as long as somebody may look at it, which is for ever. */
typedef struct Call
{
	CallKind kind;
	char *key;
	Buf body;
	bool if_absent;
	char id[24];
	int part;
	int nparts;

	Fiber *caller; /* NULL once it has gone */
	bool answers;  /* the caller will hear of it */
	bool done;
	ErrKind result; /* ERR_NONE: well */
	Buf out;
	int64_t bytes;
} Call;

LakeObject *
lake_find(const char *key)
{
	for (LakeObject *o = lake_objects; o; o = o->next)
	{
		if (o->removed == SIM_NEVER && strcmp(o->key, key) == 0)
			return o;
	}
	return NULL;
}

void
lake_remove(LakeObject *o)
{
	oracle_remove(o);
	o->removed = sim_now();
}

static LakeUpload *
find_upload(const char *key, const char *id)
{
	for (LakeUpload *u = lake_uploads; u; u = u->next)
	{
		if (!u->over && strcmp(u->key, key) == 0 && strcmp(u->id, id) == 0)
			return u;
	}
	return NULL;
}

/* ---- what a call does, when it arrives ---- */

static ErrKind
store_object(const char *key, const uint8_t *p, size_t n, bool if_absent)
{
	LakeObject *o = lake_find(key);

	if (o && if_absent)
	{
		COUNT(store_taken);
		return ERR_EXISTS;
	}
	if (o)
	{
		oracle_overwrite(o, (Slice){ p, n });
		return ERR_NONE;
	}
	o = xcalloc(1, sizeof(*o));
	o->key = xstrdup(key);
	o->bytes = xmalloc(n + 1);
	memcpy(o->bytes, p, n);
	o->n = n;
	o->crc32c = crc32c(0, p, n);
	o->made = sim_now();
	o->removed = SIM_NEVER;
	o->listed = -1;
	o->late = lake_arrives_late;
	o->next = lake_objects;
	lake_objects = o;
	oracle_put(o);
	return ERR_NONE;
}

void
lake_link(const char *key, Slice bytes)
{
	(void) store_object(key, bytes.p, bytes.n, false);
}

static ErrKind
do_begin(Call *c)
{
	LakeUpload *u = xcalloc(1, sizeof(*u));

	u->key = xstrdup(c->key);
	u->made = sim_now();
	(void) snprintf(u->id, sizeof(u->id), "u%llx",
					(unsigned long long) sim_random(UINT64_MAX));
	u->next = lake_uploads;
	lake_uploads = u;
	memcpy(c->id, u->id, sizeof(c->id));
	return ERR_NONE;
}

static ErrKind
do_part(Call *c)
{
	LakeUpload *u = find_upload(c->key, c->id);

	if (!u)
		return ERR_GONE;
	if (u->nparts <= c->part)
	{
		u->parts =
			xrealloc(u->parts, ((size_t) c->part + 1) * sizeof(*u->parts));
		for (; u->nparts <= c->part; u->nparts++)
			buf_init(&u->parts[u->nparts], SIZE_MAX / 2);
	}
	buf_reset(&u->parts[c->part]);
	buf_add(&u->parts[c->part], c->body.p, c->body.n);
	return ERR_NONE;
}

static ErrKind
do_finish(Call *c)
{
	LakeUpload *u = find_upload(c->key, c->id);
	ErrKind kind;
	Buf all;

	if (!u)
		return ERR_GONE;
	buf_init(&all, SIZE_MAX / 2);
	for (int i = 0; i < c->nparts; i++)
		buf_add(&all, u->parts[i].p, u->parts[i].n);
	kind = store_object(c->key, all.p, all.n, false);
	buf_done(&all);
	u->over = true;
	return kind;
}

static void
do_list(Call *c)
{
	int64_t when = sim_now();

	if (sim_chance(lake_faults.lag))
	{
		COUNT(fault_lag);
		when -= sim_between(0, LAG_US);
	}
	for (const LakeObject *o = lake_objects; o; o = o->next)
	{
		if (o->made > when || o->removed <= when ||
			strncmp(o->key, c->key, strlen(c->key)) != 0)
			continue;
		buf_str(&c->out, o->key);
		buf_byte(&c->out, '\0');
		buf_add(&c->out, &o->n, sizeof(o->n));
	}
}

static ErrKind
do_uploads(Call *c)
{
	if (lake_faults.no_uploads)
		return ERR_STORE;
	for (const LakeUpload *u = lake_uploads; u; u = u->next)
	{
		if (u->over || strncmp(u->key, c->key, strlen(c->key)) != 0)
			continue;
		buf_str(&c->out, u->key);
		buf_byte(&c->out, '\0');
		buf_str(&c->out, u->id);
		buf_byte(&c->out, '\0');
	}
	return ERR_NONE;
}

static ErrKind
act(Call *c)
{
	LakeObject *o;
	LakeUpload *u;

	switch (c->kind)
	{
		case CALL_PUT:
			return store_object(c->key, c->body.p, c->body.n, c->if_absent);
		case CALL_GET:
		case CALL_HEAD:
			o = lake_find(c->key);
			if (!o)
				return ERR_NOT_FOUND;
			c->bytes = (int64_t) o->n;
			if (c->kind == CALL_GET)
				buf_add(&c->out, o->bytes, o->n);
			return ERR_NONE;
		case CALL_LIST:
			do_list(c);
			return ERR_NONE;
		case CALL_DEL:
			o = lake_find(c->key);
			if (o)
				lake_remove(o);
			return ERR_NONE;
		case CALL_BEGIN:
			return do_begin(c);
		case CALL_PART:
			return do_part(c);
		case CALL_FINISH:
			return do_finish(c);
		case CALL_ABANDON:
			u = find_upload(c->key, c->id);
			if (u)
				u->over = true;
			return ERR_NONE;
		case CALL_UPLOADS:
			return do_uploads(c);
	}
	return ERR_INTERNAL;
}

typedef struct SimStore
{
	Store base;
	StoreOps ops;
	const atomic_bool *stop; /* may be NULL */
	const char *prefix;
} SimStore;

/* ---- the way there and back ---- */

static void
hear(void *arg)
{
	Call *c = arg;

	c->done = true;
	if (c->caller && sim_fiber_lives(c->caller))
		sim_wake(c->caller);
}

static void
arrive(void *arg)
{
	Call *c = arg;

	lake_arrives_late = !c->caller || !sim_fiber_lives(c->caller);
	c->result = act(c);
	lake_arrives_late = false;
	sim_note((uint64_t) c->kind * 31 + (uint64_t) c->result);
	sim_say("%s %s%s: %s", call_names[c->kind], c->key,
			c->caller && !sim_fiber_lives(c->caller) ? " (of the dead)" : "",
			err_kind_name(c->result));
	if (c->answers)
		sim_at(sim_now() + sim_between(0, 5 * SIM_MS), hear, c);
}

static bool
changes(const Call *c)
{
	return c->kind != CALL_GET && c->kind != CALL_HEAD &&
		   c->kind != CALL_LIST && c->kind != CALL_UPLOADS;
}

/* Does this one happen to it? */
static bool
strikes(LakeFault kind, unsigned per_mille)
{
	return (lake_fault_at == lake_calls && lake_fault_kind == kind) ||
		   sim_chance(per_mille);
}

/* Sends the call on its way, with what will happen to it. */
static bool
send_call(Call *c)
{
	int64_t way = sim_chance(lake_faults.slow) ? sim_between(0, 4 * SIM_SEC)
											   : sim_between(0, 40 * SIM_MS);

	lake_calls++;
	if (strikes(FAULT_LOST, lake_faults.lost))
	{
		COUNT(fault_lost);
		return true;
	}
	if (strikes(FAULT_BUSY, lake_faults.busy))
	{
		COUNT(fault_busy);
		c->result = ERR_BUSY;
		sim_at(sim_now() + way, hear, c);
		return true;
	}
	if ((c->kind == CALL_PART || c->kind == CALL_FINISH) &&
		strikes(FAULT_GONE, lake_faults.gone))
	{
		LakeUpload *u = find_upload(c->key, c->id);

		COUNT(fault_gone);
		if (u)
			u->over = true;
	}
	if (changes(c) && strikes(FAULT_LATE, lake_faults.late))
	{
		COUNT(fault_late);
		way = TIMEOUT_US + sim_between(0, LATE_US - TIMEOUT_US);
	}
	else if (strikes(FAULT_NO_ANSWER, lake_faults.no_answer))
		COUNT(fault_no_answer);
	else
		c->answers = true;
	sim_at(sim_now() + way, arrive, c);
	return true;
}

/* A stop is heard while a call waits, as http.c does. */
static bool
call(Store *s, Call *c, Err *err)
{
	const atomic_bool *stop = ((const SimStore *) s)->stop;
	int64_t until = sim_now() + TIMEOUT_US;

	COUNT(store_calls);
	c->caller = sim_fiber();
	buf_init(&c->out, SIZE_MAX / 2);
	send_call(c);
	while (!c->done && sim_now() < until && !(stop && atomic_load(stop)))
		(void) sim_wait(
			stop && sim_now() + STOP_US < until ? sim_now() + STOP_US : until);
	c->caller = NULL;
	if (!c->done && stop && atomic_load(stop))
		return err_set(err, ERR_STOP, 0, "stopped");
	if (!c->done)
		return err_set(err, ERR_NET, 0, "no answer (%s)", call_names[c->kind]);
	if (c->result == ERR_NONE)
		return true;
	return err_set(err, c->result, 0, "the store says %s (%s %s)",
				   err_kind_name(c->result), call_names[c->kind], c->key);
}

static Call *
call_new(const Store *s, CallKind kind, const char *key)
{
	Call *c = xcalloc(1, sizeof(*c));

	c->kind = kind;
	c->key = xasprintf("%s%s", ((const SimStore *) s)->prefix, key);
	buf_init(&c->body, SIZE_MAX / 2);
	return c;
}

/* ---- the interface ---- */

static bool
sim_put(Store *s, const char *key, Slice body, bool if_absent, Err *err)
{
	Call *c = call_new(s, CALL_PUT, key);

	buf_add(&c->body, body.p, body.n);
	c->if_absent = if_absent;
	return call(s, c, err);
}

static bool
sim_get(Store *s, const char *key, Buf *out, Err *err)
{
	Call *c = call_new(s, CALL_GET, key);

	if (!call(s, c, err))
		return false;
	buf_add(out, c->out.p, c->out.n);
	return !out->overflow ||
		   err_set(err, ERR_LIMIT, 0, "\"%s\" is too long", key);
}

static bool
sim_head(Store *s, const char *key, int64_t *bytes, Err *err)
{
	Call *c = call_new(s, CALL_HEAD, key);

	if (!call(s, c, err))
		return false;
	*bytes = c->bytes;
	return true;
}

static bool
sim_list(Store *s, const char *prefix, Buf *cursor, StoreListFn fn, void *arg,
		 Err *err)
{
	Call *c = call_new(s, CALL_LIST, prefix);

	if (!call(s, c, err))
		return false;
	buf_reset(cursor);
	for (const uint8_t *p = c->out.p; p && p < c->out.p + c->out.n;)
	{
		StoreItem item = { .key = (const char *) p +
								  strlen(((const SimStore *) s)->prefix) };
		size_t n;

		p += strlen((const char *) p) + 1;
		memcpy(&n, p, sizeof(n));
		p += sizeof(n);
		item.bytes = (int64_t) n;
		if (!fn(&item, arg))
			break;
	}
	return true;
}

static bool
sim_del(Store *s, const char *key, Err *err)
{
	return call(s, call_new(s, CALL_DEL, key), err);
}

static bool
sim_begin(Store *s, const char *key, char **out_id, Err *err)
{
	Call *c = call_new(s, CALL_BEGIN, key);

	if (!call(s, c, err))
		return false;
	COUNT(uploads);
	*out_id = xstrdup(c->id);
	return true;
}

static bool
sim_part(Store *s, const char *key, const char *id, int n, Slice body,
		 StorePart *part, Err *err)
{
	Call *c = call_new(s, CALL_PART, key);

	(void) snprintf(c->id, sizeof(c->id), "%s", id);
	c->part = n;
	buf_add(&c->body, body.p, body.n);
	if (!call(s, c, err))
		return false;
	free(part->tag);
	part->tag = xstrdup("tag");
	return true;
}

static bool
sim_finish(Store *s, const char *key, const char *id, const StorePart *parts,
		   int nparts, Err *err)
{
	Call *c = call_new(s, CALL_FINISH, key);

	(void) parts;
	(void) snprintf(c->id, sizeof(c->id), "%s", id);
	c->nparts = nparts;
	if (call(s, c, err))
		return true;
	/* As a store does that finds the object there (store_s3.c). */
	if (err->kind == ERR_GONE && lake_find(c->key))
	{
		COUNT(finish_twice);
		return true;
	}
	return false;
}

static bool
sim_abandon(Store *s, const char *key, const char *id, Err *err)
{
	Call *c = call_new(s, CALL_ABANDON, key);

	(void) snprintf(c->id, sizeof(c->id), "%s", id);
	return call(s, c, err);
}

static bool
sim_list_uploads(Store *s, const char *prefix, Buf *cursor, StoreUploadFn fn,
				 void *arg, Err *err)
{
	Call *c = call_new(s, CALL_UPLOADS, prefix);

	if (!call(s, c, err))
		return false;
	buf_reset(cursor);
	for (const char *p = (const char *) c->out.p;
		 p && p < (const char *) c->out.p + c->out.n;)
	{
		StoreUpload u = { .key = p + strlen(((const SimStore *) s)->prefix) };

		p += strlen(p) + 1;
		u.id = p;
		p += strlen(p) + 1;
		if (!fn(&u, arg))
			break;
	}
	return true;
}

static void
sim_close(Store *s)
{
	free(s);
}

/* ---- a store in a folder, as it is, above a disk of ours ---- */

bool __wrap_store_open(const StoreOptions *options, Store **out, Err *err);
static StoreOps file_ops;
static const StoreOps *file_real;

/* I12: what is told to be durable is. */
static bool
told(const char *key, bool durable)
{
	const LakeObject *o = durable ? lake_find(key) : NULL;

	if (o)
		oracle_durable(o);
	return durable;
}

static bool
file_put(Store *s, const char *key, Slice body, bool if_absent, Err *err)
{
	bool ok = file_real->put(s, key, body, if_absent, err);

	told(key, ok || err->kind == ERR_EXISTS);
	return ok;
}

static bool
file_get(Store *s, const char *key, Buf *out, Err *err)
{
	bool ok = file_real->get(s, key, out, err);

	told(key, ok && strncmp(key, "_cdc/", 5) == 0);
	return ok;
}

static bool
file_finish(Store *s, const char *key, const char *id, const StorePart *parts,
			int nparts, Err *err)
{
	return told(key, file_real->finish(s, key, id, parts, nparts, err));
}

static bool
file_begin(Store *s, const char *key, char **out_id, Err *err)
{
	COUNT(uploads);
	return file_real->begin(s, key, out_id, err);
}

static bool
open_file(const StoreOptions *options, Store **out, Err *err)
{
	Store *s;

	if (!store_file_open(options, &s, err))
		return false;
	if (!file_real)
	{
		file_real = s->ops;
		file_ops = *file_real;
		file_ops.part_min = lake_part_min;
		file_ops.put = file_put;
		file_ops.get = file_get;
		file_ops.finish = file_finish;
		file_ops.begin = file_begin;
	}
	s->ops = &file_ops;
	*out = store_retry_new(s, options);
	(*out)->keys = options->keys;
	return true;
}

bool
__wrap_store_open(const StoreOptions *options, Store **out, Err *err)
{
	SimStore *s;

	if (strncmp(options->url, "file:", 5) == 0)
		return open_file(options, out, err);
	s = xcalloc(1, sizeof(*s));
	s->ops = (StoreOps){ .name = "sim",
						 .part_min = lake_part_min,
						 .put = sim_put,
						 .get = sim_get,
						 .head = sim_head,
						 .list = sim_list,
						 .del = sim_del,
						 .begin = sim_begin,
						 .part = sim_part,
						 .finish = sim_finish,
						 .abandon = sim_abandon,
						 .list_uploads = sim_list_uploads,
						 .close = sim_close };
	s->base.ops = &s->ops;
	s->stop = options->stop;
	s->prefix = strstr(options->url, "/copy") ? LAKE_COPY : "";
	*out = store_retry_new(&s->base, options);
	(*out)->keys = options->keys;
	return true;
}
