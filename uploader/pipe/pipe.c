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

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

/* One store call is tried this long before a warning is due. */
#define STORE_RETRY_MS 15000

void
pipe_wake(Pipe *p)
{
	uint64_t one = 1;

	/* It fails only when the counter is full: then it is awake already. */
	if (write(p->options->control->wake_fd, &one, sizeof(one)) < 0)
		return;
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
	queue_close(&p->checkpoints);
	pipe_wake(p);
}

Table *
table_new(const Pipe *p, const Schema *schema)
{
	Table *t = xcalloc(1, sizeof(*t));
	JsonOptions json = p->options->json;
	Buf b;

	json.raw_text = p->raw_text;
	t->schema = xstrdup(schema->schema);
	t->name = xstrdup(schema->table);
	memcpy(t->hash, schema->hash, sizeof(t->hash));
	t->json = json_table_new(schema, &json);
	buf_init(&b, SCHEMA_FILE_MAX);
	schema_encode(schema, &b);
	t->file = buf_slice(&b); /* the buffer's memory goes to the table */
	return t;
}

void
table_free(Table *t)
{
	if (!t)
		return;
	free(t->schema);
	free(t->name);
	free((void *) t->file.p);
	json_table_free(t->json);
	free(t);
}

bool
pipe_open_store(Pipe *p, Store **out, Err *err)
{
	StoreOptions o = p->options->store;

	o.retry_ms = STORE_RETRY_MS;
	o.stop = &p->stop;
	return store_open(&o, out, err);
}

bool
pipe_again(Pipe *p, const char *doing, const Err *err)
{
	if (!err_is_retryable(err->kind) || atomic_load(&p->stop))
		return false;
	if (atomic_load(&p->ending) && atomic_load(&p->options->control->stop))
		return false; /* nobody waits for it any more */
	log_event(LOG_WARN, "store does not answer, trying on", "doing", doing,
			  "error", err->msg, "hint", err->hint[0] ? err->hint : NULL, NULL);
	clock_sleep_ms(backoff_ms(1, 500, 500));
	return true;
}
