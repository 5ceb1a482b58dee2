/*-------------------------------------------------------------------------
 * store_tool.c
 *	  The store interface from the command line, for the tests.
 *
 *		store_tool [option=value ...] put KEY <body
 *											put-if-absent KEY <body
 *											get KEY >body
 *											head KEY
 *											list PREFIX [max]
 *											del KEY
 *											write KEY part_bytes <body
 *											uploads PREFIX
 *											abandon-all PREFIX
 *											race KEY writers
 *											session <commands
 *
 * Options are the fields of StoreOptions.  Exit status: the one of the kind
 * of error; on stderr "kind: message (hint)".  session reads lines of
 * "put|put-if-absent KEY TEXT", "get KEY", "head KEY", "del KEY" and
 * "sleep MS", runs them over one Store, and prints a line for each.
 *-------------------------------------------------------------------------
 */
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "store/store.h"
#include "store/writer.h"

#define BODY_MAX ((size_t) 1 << 30)
#define WRITERS_MAX 64

static int
fail(const Err *err)
{
	fprintf(stderr, "%s: %s%s%s%s\n", err_kind_name(err->kind), err->msg,
			err->hint[0] ? " (" : "", err->hint, err->hint[0] ? ")" : "");
	return err_exit_code(err->kind);
}

static void
read_stdin(Buf *out)
{
	for (;;)
	{
		ssize_t n;

		if (!buf_room(out, 65536))
			abort();
		n = read(0, out->p + out->n, 65536);
		if (n <= 0)
			break;
		out->n += (size_t) n;
		out->p[out->n] = 0;
	}
}

static bool
print_item(const StoreItem *item, void *arg)
{
	int *left = arg;

	printf("%s %" PRId64 "\n", item->key, item->bytes);
	return --*left != 0;
}

/* The body in odd pieces, so that none ends with a part. */
static bool
write_pieces(Store *s, const char *key, Slice body, size_t part_bytes, Err *err)
{
	StoreWriter *w = store_writer_new(s, key, part_bytes);
	bool ok = true;

	while (ok && body.n > 0)
	{
		size_t n = body.n < 777777 ? body.n : 777777;
		Slice piece = { body.p, n };

		ok = store_writer_append(w, &piece, err);
		body.p += n;
		body.n -= n;
	}
	ok = ok && store_writer_flush(w, err) && store_writer_commit(w, err);
	if (ok)
		printf("%" PRId64 " %08x\n", store_writer_bytes(w),
			   store_writer_crc32c(w));
	store_writer_free(w);
	return ok;
}

static bool
print_upload(const StoreUpload *upload, void *arg)
{
	(void) arg;
	printf("%s\n", upload->key);
	return true;
}

typedef struct Abandon
{
	Store *store;
	bool ok;
	Err err;
} Abandon;

static bool
abandon_one(const StoreUpload *upload, void *arg)
{
	Abandon *a = arg;

	a->ok = store_abandon(a->store, upload->key, upload->id, &a->err);
	return a->ok;
}

/* Many writers of one key at once: how many believe they won? */
typedef struct Racer
{
	Store *store;
	const char *key;
	pthread_barrier_t *barrier;
	Buf body;
	bool won;
	Err err;
} Racer;

static void *
race_one(void *arg)
{
	Racer *r = arg;

	(void) pthread_barrier_wait(r->barrier);
	r->won = store_put(r->store, r->key, buf_slice(&r->body), true, &r->err);
	return NULL;
}

static int
race(const StoreOptions *o, const char *key, int n, size_t bytes)
{
	static Racer racers[WRITERS_MAX];
	pthread_t threads[WRITERS_MAX];
	pthread_barrier_t barrier;
	int won = 0;
	int exists = 0;
	Err err;

	if (n > WRITERS_MAX || pthread_barrier_init(&barrier, NULL, (unsigned) n))
		return 1;
	for (int i = 0; i < n; i++)
	{
		racers[i] = (Racer){ .key = key, .barrier = &barrier };
		if (!store_open(o, &racers[i].store, &err))
			return fail(&err);
		buf_init(&racers[i].body, BODY_MAX);
		while (racers[i].body.n < bytes)
			buf_printf(&racers[i].body, "writer %d\n", i);
	}
	for (int i = 0; i < n; i++)
		if (pthread_create(&threads[i], NULL, race_one, &racers[i]))
			return 1;
	for (int i = 0; i < n; i++)
	{
		(void) pthread_join(threads[i], NULL);
		won += racers[i].won;
		if (!racers[i].won && racers[i].err.kind == ERR_EXISTS)
			exists++;
		else if (!racers[i].won)
			(void) fail(&racers[i].err);
		store_close(racers[i].store);
		buf_done(&racers[i].body);
	}
	printf("winners %d losers %d\n", won, exists);
	(void) pthread_barrier_destroy(&barrier);
	return won == 1 && exists == n - 1 ? 0 : 1;
}

static int
run(Store *s, const char *verb, const char *key, const char *arg)
{
	Err err;
	Buf body;
	int64_t bytes;
	int left = arg ? (int) strtol(arg, NULL, 10) : -1;
	bool ok = false;

	buf_init(&body, BODY_MAX);
	if (strcmp(verb, "put") == 0 || strcmp(verb, "put-if-absent") == 0)
	{
		read_stdin(&body);
		ok = store_put(s, key, buf_slice(&body), verb[3] == '-', &err);
	}
	else if (strcmp(verb, "get") == 0)
	{
		ok = store_get(s, key, &body, &err);
		if (ok)
			(void) fwrite(body.p, 1, body.n, stdout);
	}
	else if (strcmp(verb, "head") == 0)
	{
		ok = store_head(s, key, &bytes, &err);
		if (ok)
			printf("%" PRId64 "\n", bytes);
	}
	else if (strcmp(verb, "list") == 0)
		ok = store_list(s, key, print_item, &left, &err);
	else if (strcmp(verb, "del") == 0)
		ok = store_del(s, key, &err);
	else if (strcmp(verb, "write") == 0 && arg)
	{
		read_stdin(&body);
		ok = write_pieces(s, key, buf_slice(&body), (size_t) left, &err);
	}
	else if (strcmp(verb, "uploads") == 0)
		ok = store_list_uploads(s, key, print_upload, NULL, &err);
	else if (strcmp(verb, "abandon-all") == 0)
	{
		Abandon a = { .store = s, .ok = true };

		ok = store_list_uploads(s, key, abandon_one, &a, &err);
		if (ok && !a.ok)
			err = a.err;
		ok = ok && a.ok;
	}
	else
		err_set(&err, ERR_USAGE, 0, "no such command \"%s\"", verb);
	buf_done(&body);
	return ok ? 0 : fail(&err);
}

static void
session_line(Store *s, char *line)
{
	char *save = NULL;
	const char *verb = strtok_r(line, " \n", &save);
	const char *key = verb ? strtok_r(NULL, " \n", &save) : NULL;
	const char *text = key ? strtok_r(NULL, "\n", &save) : NULL;
	Buf body;
	Err err;
	int64_t bytes = 0;
	bool ok;

	if (key == NULL)
		return;
	buf_init(&body, BODY_MAX);
	if (strcmp(verb, "sleep") == 0)
	{
		clock_sleep_ms(strtol(key, NULL, 10));
		ok = true;
	}
	else if (strcmp(verb, "get") == 0)
		ok = store_get(s, key, &body, &err);
	else if (strcmp(verb, "head") == 0)
		ok = store_head(s, key, &bytes, &err);
	else if (strcmp(verb, "del") == 0)
		ok = store_del(s, key, &err);
	else
		ok = store_put(s, key, slice_cstr(text ? text : ""), verb[3] == '-',
					   &err);
	if (ok)
		printf("ok %s\n", buf_cstr(&body));
	else
		printf("%s: %s\n", err_kind_name(err.kind), err.msg);
	(void) fflush(stdout);
	buf_done(&body);
}

static int
session(Store *s)
{
	char line[4096];

	while (fgets(line, sizeof(line), stdin))
		session_line(s, line);
	return 0;
}

static bool
set_option(StoreOptions *o, const char *name, const char *value)
{
	static const struct
	{
		const char *name;
		size_t offset;
	} fields[] = {
		{ "url", offsetof(StoreOptions, url) },
		{ "endpoint", offsetof(StoreOptions, endpoint) },
		{ "region", offsetof(StoreOptions, region) },
		{ "addressing", offsetof(StoreOptions, addressing) },
		{ "ca_file", offsetof(StoreOptions, ca_file) },
		{ "proxy", offsetof(StoreOptions, proxy) },
		{ "checksum", offsetof(StoreOptions, checksum) },
		{ "sse", offsetof(StoreOptions, sse) },
		{ "sse_kms_key", offsetof(StoreOptions, sse_kms_key) },
		{ "storage_class", offsetof(StoreOptions, storage_class) },
		{ "tags", offsetof(StoreOptions, tags) },
		{ "acl", offsetof(StoreOptions, acl) },
		{ "expected_owner", offsetof(StoreOptions, expected_owner) },
	};

	if (strcmp(name, "retry_ms") == 0)
		o->retry_ms = strtol(value, NULL, 10);
	else if (strcmp(name, "sse_bucket_key") == 0)
		o->sse_bucket_key = *value == '1';
	else if (strcmp(name, "requester_pays") == 0)
		o->requester_pays = *value == '1';
	else if (strcmp(name, "debug") == 0)
		log_init(LOG_DEBUG, false);
	else
	{
		for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		{
			if (strcmp(fields[i].name, name) == 0)
			{
				*(const char **) ((char *) o + fields[i].offset) = value;
				return true;
			}
		}
		return false;
	}
	return true;
}

int
main(int argc, char **argv)
{
	StoreOptions o = { 0 };
	Store *s;
	Err err;
	int i = 1;
	int rc;

	(void) signal(SIGPIPE, SIG_IGN);
	log_init(LOG_WARN, false);
	for (; i < argc; i++)
	{
		char *eq = strchr(argv[i], '=');

		if (eq == NULL)
			break;
		*eq = '\0';
		if (!set_option(&o, argv[i], eq + 1))
		{
			fprintf(stderr, "no such option \"%s\"\n", argv[i]);
			return 2;
		}
	}
	if (i < argc && strcmp(argv[i], "race") == 0 && i + 3 < argc)
		return race(&o, argv[i + 1], (int) strtol(argv[i + 2], NULL, 10),
					(size_t) strtol(argv[i + 3], NULL, 10));
	if (i >= argc || (strcmp(argv[i], "session") != 0 && i + 1 >= argc))
	{
		fprintf(stderr, "usage: store_tool [option=value ...] command key\n");
		return 2;
	}
	if (!store_open(&o, &s, &err))
		return fail(&err);
	if (strcmp(argv[i], "session") == 0)
		rc = session(s);
	else
		rc = run(s, argv[i], argv[i + 1], i + 2 < argc ? argv[i + 2] : NULL);
	store_close(s);
	return rc;
}
