/*-------------------------------------------------------------------------
 * writer.c
 *	  Writes an object piece by piece.
 *
 *		new --append--> one part held --append--> upload begun, parts sent
 *		 |                    |                            |
 *		 +----- commit: put --+             flush, commit: finish
 *
 * Layer: store.
 *-------------------------------------------------------------------------
 */
#include "store/writer.h"

#include <assert.h>
#include <stdlib.h>

#include "base/fault.h"
#include "base/mem.h"
#include "codec/hash.h"
#include "store/upload_note.h"

struct StoreWriter
{
	Store *store;
	char *key;
	size_t part_bytes;
	Buf held;        /* the part at hand */
	char *id;        /* of the upload; NULL before its first part */
	int64_t sent;    /* bytes in parts */
	uint32_t crc32c; /* of all */
	Sha256 *sha256;  /* of all, in a log with a key; else NULL */
	StorePart *parts;
	int nparts;
	int cap;
	bool noted;    /* there is a note of the upload */
	bool noted_id; /* with its id */
	bool flushed;
	bool committed;
};

StoreWriter *
store_writer_new(Store *store, const char *key, size_t part_bytes)
{
	StoreWriter *w = xcalloc(1, sizeof(*w));

	if (part_bytes == 0)
		part_bytes = store->ops->part_min;
	assert(part_bytes >= store->ops->part_min);
	w->store = store;
	w->key = xstrdup(key);
	w->part_bytes = part_bytes;
	buf_init(&w->held, part_bytes);
	if (store_has_key(store))
		w->sha256 = sha256_begin();
	return w;
}

void
store_writer_move(StoreWriter *w, Store *store)
{
	w->store = store;
}

/* The note goes before: whenever we die, what is begun can be found. */
static bool
begin_upload(StoreWriter *w, Err *err)
{
	if (w->store->ops->notes && !w->noted)
		w->noted = upload_note_put(w->store, w->key, NULL, err);
	return (w->noted || !w->store->ops->notes) &&
		   w->store->ops->begin(w->store, w->key, &w->id, err);
}

static bool
note_id(StoreWriter *w, Err *err)
{
	if (w->noted && !w->noted_id)
		w->noted_id = upload_note_put(w->store, w->key, w->id, err);
	return w->noted_id || !w->noted;
}

static bool
send_part(StoreWriter *w, Err *err)
{
	StorePart part = { .offset = w->sent,
					   .bytes = (int64_t) w->held.n,
					   .crc32c = crc32c(0, w->held.p, w->held.n) };

	if (w->nparts == STORE_PARTS_MAX)
		return err_set(err, ERR_LIMIT, 0,
					   "object \"%s\" has more than %d parts", w->key,
					   STORE_PARTS_MAX);
	if (w->id == NULL && !begin_upload(w, err))
		return false;
	FAULT_POINT("upload_begun");
	if (!note_id(w, err))
		return false;
	if (!w->store->ops->part(w->store, w->key, w->id, w->nparts,
							 buf_slice(&w->held), &part, err))
		return false;
	if (w->nparts == w->cap)
	{
		w->cap = w->cap ? 2 * w->cap : 16;
		w->parts = xrealloc(w->parts, (size_t) w->cap * sizeof(*w->parts));
	}
	w->parts[w->nparts++] = part;
	w->sent += part.bytes;
	buf_reset(&w->held);
	FAULT_POINT("upload_part_sent");
	return true;
}

bool
store_writer_append(StoreWriter *w, Slice *bytes, Err *err)
{
	assert(!w->flushed && !w->committed);
	while (bytes->n > 0)
	{
		size_t room = w->part_bytes - w->held.n;
		size_t n = bytes->n < room ? bytes->n : room;

		/* Sent only once there is more: the last part is never empty. */
		if (room == 0)
		{
			if (!send_part(w, err))
				return false;
			continue;
		}
		w->crc32c = crc32c(w->crc32c, bytes->p, n);
		if (w->sha256)
			sha256_add(w->sha256, bytes->p, n);
		buf_add(&w->held, bytes->p, n);
		bytes->p += n;
		bytes->n -= n;
	}
	return true;
}

bool
store_writer_flush(StoreWriter *w, Err *err)
{
	if (!w->flushed && w->id && !send_part(w, err))
		return false;
	w->flushed = true;
	return true;
}

bool
store_writer_commit(StoreWriter *w, Err *err)
{
	assert(!w->committed);
	if (!store_writer_flush(w, err))
		return false;
	FAULT_POINT("upload_finish_before");
	if (w->id == NULL)
		w->committed =
			store_put(w->store, w->key, buf_slice(&w->held), false, err);
	else
		w->committed = w->store->ops->finish(w->store, w->key, w->id, w->parts,
											 w->nparts, err);
	FAULT_POINT("upload_finish_after");
	if (w->committed && w->noted)
		upload_note_del(w->store, w->key);
	return w->committed;
}

int64_t
store_writer_bytes(const StoreWriter *w)
{
	return w->sent + (int64_t) w->held.n;
}

uint32_t
store_writer_crc32c(const StoreWriter *w)
{
	return w->crc32c;
}

void
store_writer_sha256(StoreWriter *w, char out[SHA256_HEX_SIZE])
{
	out[0] = '\0';
	if (w->sha256)
		sha256_end(w->sha256, out);
	w->sha256 = NULL;
}

size_t
store_writer_memory(const StoreWriter *w)
{
	return w->held.cap;
}

bool
store_writer_has_upload(const StoreWriter *w)
{
	return w->id && !w->committed;
}

void
store_writer_drop(StoreWriter *w)
{
	if (w == NULL)
		return;
	for (int i = 0; i < w->nparts; i++)
		free(w->parts[i].tag);
	free(w->parts);
	if (w->sha256)
	{
		char ignored[SHA256_HEX_SIZE];

		sha256_end(w->sha256, ignored);
	}
	free(w->id);
	free(w->key);
	buf_done(&w->held);
	free(w);
}

/* An upload whose begin got no answer may be there, too. */
static bool
abandon(StoreWriter *w, Err *err)
{
	int n;

	return w->id ? store_abandon(w->store, w->key, w->id, err)
				 : upload_abandon_all(w->store, w->key, &n, err);
}

void
store_writer_free(StoreWriter *w)
{
	Err err;

	/* Where this fails the sweep of old uploads finds it. */
	if (w && !w->committed && (w->id || w->noted) && abandon(w, &err) &&
		w->noted)
		upload_note_del(w->store, w->key);
	store_writer_drop(w);
}
