/*-------------------------------------------------------------------------
 * pipe.c
 *	  What the threads of a session share.
 *
 * Layer: pipe.
 *-------------------------------------------------------------------------
 */
#include "pipe/pipe.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/beat.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "codec/pattern.h"

/* One store call is tried this long before a warning says so. */
#define STORE_RETRY_MS 15000
/* A server that asks one call in a hundred to slow down is no news. */
#define OUTAGE_EVERY_MS 10000

void
pipe_wake(Pipe *p)
{
	uint64_t one = 1;

	/* It fails only when the counter is full: then it is awake already. */
	if (write(p->options->control->wake_fd, &one, sizeof(one)) < 0)
		return;
}

static bool
is_stopped(void *arg)
{
	const Pipe *p = arg;

	return atomic_load(&p->stop) || atomic_load(&p->options->control->stop);
}

PgWait
pipe_pg_wait(Pipe *p)
{
	return (PgWait){ .stopped = is_stopped,
					 .arg = p,
					 .limit_ms = p->options->silence_ms };
}

void
pipe_fail(Pipe *p, const Err *err)
{
	pthread_mutex_lock(&p->lock);
	if (p->error.kind == ERR_NONE && err->kind != ERR_STOP)
		p->error = *err;
	atomic_store(&p->stop, true);
	pthread_cond_broadcast(&p->changed);
	pthread_mutex_unlock(&p->lock);
	queue_close(&p->events);
	queue_close(&p->objects);
	queue_close(&p->puts);
	queue_close(&p->checkpoints);
	pipe_wake(p);
}

bool
pipe_failed(Pipe *p, Err *err)
{
	bool failed;

	pthread_mutex_lock(&p->lock);
	failed = p->error.kind != ERR_NONE;
	if (failed)
		*err = p->error;
	pthread_mutex_unlock(&p->lock);
	return failed;
}

static bool
has_table(const OutputOptions *o, const Table *t)
{
	return (o->tables[0] == '\0' ||
			pattern_list_matches(o->tables, t->schema, t->name)) &&
		   !pattern_list_matches(o->exclude, t->schema, t->name);
}

/* How further outputs write it. */
static void
add_forms(const Pipe *p, Table *t, Schema *schema)
{
	t->nfurther = p->options->nfurther;
	t->outputs = p->options->further;
	t->further = xcalloc((size_t) t->nfurther + 1, sizeof(*t->further));
	for (int i = 0; i < t->nfurther; i++)
	{
		const OutputOptions *o = &t->outputs[i];
		FormatOptions options = o->format_options;

		if (!has_table(o, t))
			continue;
		options.raw_text = p->raw_text;
		options.compression = o->compression;
		t->further[i] = o->format->table_new(schema, &options);
	}
}

static void
free_forms(Table *t)
{
	for (int i = 0; i < t->nfurther; i++)
	{
		if (t->further[i])
			t->outputs[i].format->table_free(t->further[i]);
	}
	free(t->further);
}

/* How a layout writes rows of the table; NULL: as the options say. */
static FormatTable *
form_new(const Pipe *p, const Schema *schema, const Layout *l)
{
	FormatOptions options = p->options->format_options;

	options.raw_text = p->raw_text;
	options.compression = l ? l->compression : p->options->compression;
	if (l)
		layout_options(l, &options);
	return (l ? l->format : p->options->format)->table_new(schema, &options);
}

Table *
table_new(const Pipe *p, Schema *schema)
{
	Table *t = xcalloc(1, sizeof(*t));
	const Layouts *l = &p->layouts;

	t->schema = xstrdup(schema->schema);
	t->name = xstrdup(schema->table);
	memcpy(t->hash, schema->hash, sizeof(t->hash));
	t->relation_id = schema->relation_id;
	t->row_type = schema->row_type;
	t->shape = row_shape_new(schema);
	t->split_keys = p->options->split_keys && !schema_is_bag(schema);
	t->format = l->n ? l->items[l->n - 1].format : p->options->format;
	t->form = form_new(p, schema, l->n ? &l->items[l->n - 1] : NULL);
	t->layouts = l;
	t->nold = l->n > 0 ? l->n - 1 : 0;
	t->old_forms = xcalloc((size_t) t->nold + 1, sizeof(*t->old_forms));
	for (int i = 0; i < t->nold; i++)
	{
		if (layout_is_open(&l->items[i], p->start->closed_until))
			t->old_forms[i] = form_new(p, schema, &l->items[i]);
	}
	add_forms(p, t, schema);
	t->unwritten = schema_ref(schema);
	return t;
}

static int64_t
folder(const Path *path, int64_t unix_us, int64_t closed_until)
{
	PathSpan span = path_span(path, unix_us);

	if (span.end <= closed_until)
		span = path_span(path, closed_until);
	return span.begin;
}

int64_t
pipe_folder(const Pipe *p, int64_t unix_us, int64_t closed_until)
{
	if (p->layouts.n > 0)
		return layouts_folder(&p->layouts, unix_us, closed_until);
	return folder(p->options->path, unix_us, closed_until);
}

void
pipe_folders(const Pipe *p, int64_t unix_us, int64_t closed_until, Folders *out)
{
	*out = (Folders){ .at = { pipe_folder(p, unix_us, closed_until) } };
	for (int n = 1; n < outputs_n(p); n++)
		out->at[n] = folder(output_path(p, n), unix_us, closed_until);
}

void
table_free(Table *t)
{
	if (!t)
		return;
	free(t->schema);
	free(t->name);
	schema_free(t->unwritten);
	row_shape_free(t->shape);
	t->format->table_free(t->form);
	free_forms(t);
	for (int i = 0; i < t->nold; i++)
	{
		if (t->old_forms[i])
			t->layouts->items[i].format->table_free(t->old_forms[i]);
	}
	free(t->old_forms);
	free(t);
}

bool
table_put_file(Pipe *p, Store *store, Table *t, Err *err)
{
	Buf key;
	Buf file;
	bool ok;

	buf_init(&key, 1024);
	buf_init(&file, SCHEMA_FILE_MAX);
	key_add_schema(&key, t->schema, t->name, t->hash);
	schema_encode(t->unwritten, &file);
	do
	{
		ok = store_put(store, buf_cstr(&key), buf_slice(&file), true, err);
		/* The name is the content's hash: who was first wrote the same. */
		ok = ok || err->kind == ERR_EXISTS;
	} while (!ok && pipe_again(p, "writing a schema file", err));
	buf_done(&key);
	buf_done(&file);
	if (ok)
	{
		schema_free(t->unwritten);
		t->unwritten = NULL;
	}
	return ok;
}

/*
 * The first failure is worth a line at once, since nothing is confirmed until
 * the store answers; and so is its end.
 */
static void
on_outage(void *arg, const char *call, const Err *err)
{
	Pipe *p = arg;
	int64_t now_ms = clock_mono_ms();
	int64_t lasted_ms;
	bool begins;
	bool ends;

	pthread_mutex_lock(&p->lock);
	begins = err && !p->outage &&
			 (!p->outage_ms || now_ms - p->outage_ms >= OUTAGE_EVERY_MS);
	ends = !err && p->outage;
	if (begins)
		p->outage_ms = now_ms;
	lasted_ms = now_ms - p->outage_ms;
	p->outage = (p->outage || begins) && !ends;
	pthread_mutex_unlock(&p->lock);
	if (begins)
		log_event(LOG_WARN, "store call failed, trying again", "call", call,
				  "error", err->msg, "hint", err->hint[0] ? err->hint : NULL,
				  "kind", err_kind_name(err->kind), NULL);
	if (ends)
		log_info("store answers again", "call", call, "ms", log_int(lasted_ms),
				 NULL);
}

StoreOptions
pipe_store_options(Pipe *p, const StoreOptions *from)
{
	StoreOptions o = *from;

	o.retry_ms = STORE_RETRY_MS;
	o.stop = &p->stop;
	o.on_outage = on_outage;
	o.outage_arg = p;
	return o;
}

bool
pipe_open_store(Pipe *p, Store **out, Err *err)
{
	StoreOptions o = pipe_store_options(p, &p->options->store);

	o.stats = &stats.outputs[0];
	return store_open(&o, out, err);
}

/* Many threads may wait for one store: one of them tells. */
static bool
is_mine_to_tell(Pipe *p)
{
	int64_t now_ms = clock_mono_ms();
	bool mine;

	pthread_mutex_lock(&p->lock);
	mine = !p->again_ms || now_ms - p->again_ms >= OUTAGE_EVERY_MS;
	if (mine)
		p->again_ms = now_ms;
	pthread_mutex_unlock(&p->lock);
	return mine;
}

bool
pipe_again(Pipe *p, const char *doing, const Err *err)
{
	if (!err_is_retryable(err->kind) || atomic_load(&p->stop))
		return false;
	if (atomic_load(&p->ending) && atomic_load(&p->options->control->stop))
		return false; /* nobody waits for it any more */
	if (is_mine_to_tell(p))
		log_event(LOG_WARN, "store does not answer, trying on", "doing", doing,
				  "error", err->msg, "hint", err->hint[0] ? err->hint : NULL,
				  "kind", err_kind_name(err->kind), NULL);
	clock_sleep_ms(backoff_ms(1, 500, 500));
	beat();
	return true;
}
