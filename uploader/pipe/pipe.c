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
#include "base/fault.h"
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

/* How a layout writes rows of the table; NULL: as the options say. */
static FormatTable *
form_new(const Pipe *p, int output, const Schema *schema, const Layout *l)
{
	FormatOptions options = *output_format_options(p, output);
	const Format *format =
		output ? output_options(p, output)->format : p->options->format;

	options.raw_text = p->raw_text;
	options.compression = output_compression(p, output);
	if (l)
	{
		format = l->format;
		options.compression = l->compression;
		layout_options(l, &options);
	}
	return format->table_new(schema, &options);
}

static void
add_form(const Pipe *p, int output, const Schema *schema, TableForm *f)
{
	const Layouts *l = &p->layouts[output];
	const Layout *last = l->n ? &l->items[l->n - 1] : NULL;

	f->format = last     ? last->format
				: output ? output_options(p, output)->format
						 : p->options->format;
	f->form = form_new(p, output, schema, last);
	f->layouts = l;
	f->nold = l->n > 0 ? l->n - 1 : 0;
	f->old = xcalloc((size_t) f->nold + 1, sizeof(*f->old));
	for (int i = 0; i < f->nold; i++)
	{
		if (layout_is_open(&l->items[i], p->start->closed_until))
			f->old[i] = form_new(p, output, schema, &l->items[i]);
	}
}

static void
add_forms(const Pipe *p, Table *t, const Schema *schema)
{
	t->nforms = outputs_n(p);
	t->forms = xcalloc((size_t) t->nforms, sizeof(*t->forms));
	for (int n = 0; n < t->nforms; n++)
	{
		if (n == 0 || has_table(output_options(p, n), t))
			add_form(p, n, schema, &t->forms[n]);
	}
}

static void
free_forms(Table *t)
{
	for (int n = 0; n < t->nforms; n++)
	{
		TableForm *f = &t->forms[n];

		for (int i = 0; i < f->nold; i++)
		{
			if (f->old[i])
				f->layouts->items[i].format->table_free(f->old[i]);
		}
		free(f->old);
		if (f->form)
			f->format->table_free(f->form);
	}
	free(t->forms);
}

Table *
table_new(const Pipe *p, Schema *schema)
{
	Table *t = xcalloc(1, sizeof(*t));

	t->schema = xstrdup(schema->schema);
	t->name = xstrdup(schema->table);
	memcpy(t->hash, schema->hash, sizeof(t->hash));
	t->relation_id = schema->relation_id;
	t->row_type = schema->row_type;
	t->shape = row_shape_new(schema);
	t->split_keys = p->options->split_keys && !schema_is_bag(schema);
	add_forms(p, t, schema);
	t->flush_rule = p->options->flush
						? flush_rule_of(p->options->flush, t->schema, t->name)
						: -1;
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

static int64_t
folder_of(const Pipe *p, int output, int64_t unix_us, int64_t closed_until)
{
	if (p->layouts[output].n > 0)
		return layouts_folder(&p->layouts[output], unix_us, closed_until);
	return folder(output_path(p, output), unix_us, closed_until);
}

int64_t
pipe_folder(const Pipe *p, int64_t unix_us, int64_t closed_until)
{
	return folder_of(p, 0, unix_us, closed_until);
}

void
pipe_folders(const Pipe *p, int64_t unix_us, int64_t closed_until, Folders *out)
{
	*out = (Folders){ .at = { 0 } };
	for (int n = 0; n < outputs_n(p); n++)
		out->at[n] = folder_of(p, n, unix_us, closed_until);
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
	free_forms(t);
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
	FAULT_POINT("schema_put_after");
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
