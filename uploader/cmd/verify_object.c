/*-------------------------------------------------------------------------
 * verify_object.c
 *	  "verify" of one object: is it what the log says of it?
 *
 * Layer: cmd.
 *-------------------------------------------------------------------------
 */
#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "cmd/verify.h"
#include "codec/format.h"
#include "codec/jsonline.h"
#include "store/fill.h"

#define OBJECT_MAX_BYTES ((size_t) 5 << 30)
#define LINE_MAX_BYTES ((size_t) 2 << 30)
#define META_MAX_BYTES ((size_t) 256) /* _op to _ts */
#define TIME_SIZE 40

typedef struct Reading
{
	const VerifyObject *o;
	const Format *format;
	FormatReader *reader;
	Place first;
	Place at;
	int64_t rows;
	int64_t time; /* of the first row, unix us */
	bool wrong;
} Reading;

static void
found(Reading *r, VerifyKind kind, const char *what)
{
	r->wrong = true;
	verify_report(r->o->v, kind, r->o->entry->seq, r->o->object->key, "%s",
				  what);
}

/* What is no error of the store is a finding.  Returns false for an error. */
static bool
judge_error(Reading *r, Err *err)
{
	switch (err->kind)
	{
		case ERR_NOT_FOUND:
			found(r, VERIFY_MISSING, "the log lists it, and it is not there");
			return true;
		case ERR_DATA:
		case ERR_GAP:
		case ERR_LIMIT:
			found(r, VERIFY_DAMAGED, err->msg);
			return true;
		default:
			return err_prefix(err, "object \"%s\"", r->o->object->key);
	}
}

/* The commit time of a line; it stands behind the position. */
static bool
time_of(Slice line, int64_t *out)
{
	static const char name[] = "\"_ts\":\"";
	char text[TIME_SIZE] = "";
	size_t n = line.n < META_MAX_BYTES ? line.n : META_MAX_BYTES;
	const uint8_t *p = memmem(line.p, n, name, strlen(name));
	size_t left;

	if (!p)
		return false;
	p += strlen(name);
	left = n - (size_t) (p - line.p);
	for (size_t i = 0; i < left && i + 1 < sizeof(text) && p[i] != '"'; i++)
		text[i] = (char) p[i];
	return iso_parse(text, out);
}

/* What an output had to have when it came; it is of no entry's range. */
static bool
is_fill(const VerifyObject *o)
{
	return o->v->further && fill_is_key(o->object->key);
}

/* A change lies in what its entry covers, a row of a load at its position. */
static bool
is_in_entry(const Reading *r)
{
	const Entry *e = r->o->entry;

	if (is_fill(r->o))
		return r->at.lsn <= e->end;
	if (r->o->object->load[0])
		return r->at.lsn == r->o->object->first_lsn;
	return e->prev_end < r->at.lsn && r->at.lsn <= e->end;
}

/* False: the rest of it is not worth being read. */
static bool
take_line(Reading *r, Slice line)
{
	Place before = r->at;
	Err err;

	if (!jsonline_place(line, &r->at.lsn, &r->at.seq, &err))
	{
		found(r, VERIFY_DAMAGED, err.msg);
		return false;
	}
	if (r->rows == 0)
	{
		r->first = r->at;
		if (!time_of(line, &r->time))
			r->time = INT64_MIN;
	}
	else if (place_compare(before, r->at) >= 0)
	{
		found(r, place_compare(before, r->at) == 0 ? VERIFY_TWICE : VERIFY_ROWS,
			  "a row's position is not behind that of the row before it");
		return false;
	}
	if (!is_in_entry(r))
	{
		found(r, VERIFY_ROWS, "a row's position is not what its entry covers");
		return false;
	}
	r->rows++;
	if (r->o->places)
		places_add(r->o->places, r->at);
	return true;
}

static void
judge_rows(Reading *r)
{
	const EntryObject *o = r->o->object;
	char text[128];

	(void) snprintf(text, sizeof(text),
					"it has %" PRId64 " rows, the log says %" PRId64, r->rows,
					o->rows);
	if (r->rows != o->rows)
		found(r, VERIFY_ROWS, text);
	else if (r->rows > 0 &&
			 (place_compare(r->first, (Place){ o->first_lsn, o->first_seq }) ||
			  place_compare(r->at, (Place){ o->last_lsn, o->last_seq })))
		found(r, VERIFY_ROWS,
			  "its first or last row is not where the log says");
}

/* No row came into a folder that was complete, but with what fills it. */
static void
judge_folder(Reading *r)
{
	if (r->rows == 0 || r->time == INT64_MIN || is_fill(r->o))
		return;
	if (verify_folder_end(r->o, r->time) <= r->o->closed)
		found(r, VERIFY_HOUR,
			  "it lies in a folder that was complete before its entry");
}

static bool
read_rows(Reading *r, Slice body, const Schema *schema, Err *err)
{
	const FormatSource source = { .object = body,
								  .compression =
									  compression_of_key(r->o->object->key),
								  .max_line = LINE_MAX_BYTES,
								  .schema = schema };
	Slice line;
	bool end = false;
	bool ok = true;

	r->reader = r->format->open(&source);
	while (ok && !end && !verify_stopped())
	{
		ok = r->format->next(r->reader, &line, &end, err);
		if (ok && !end && !take_line(r, line))
			break;
	}
	r->format->done(r->reader);
	if (!ok)
		return judge_error(r, err);
	if (end)
	{
		judge_rows(r);
		judge_folder(r);
	}
	return true;
}

static bool
read_body(Reading *r, Buf *body, Schema **schema, Err *err)
{
	const EntryObject *o = r->o->object;

	r->format = format_of_key(o->key);
	if (!r->format)
		return format_unknown(o->key, err);
	if (!commitlog_object(r->o->store, o, body, err))
		return false;
	if (!r->format->reads_schema ||
		commitlog_schema(r->o->log, o->schema, o->table, o->hash, schema, err))
		return true;
	if (err->kind == ERR_NOT_FOUND)
		err->kind = ERR_GAP; /* not the object is missing */
	return false;
}

bool
verify_object(const VerifyObject *o, bool *out_wrong, Err *err)
{
	Reading r = { .o = o };
	Schema *schema = NULL;
	Buf body;
	bool ok;

	buf_init(&body, OBJECT_MAX_BYTES);
	if (!read_body(&r, &body, &schema, err))
		ok = judge_error(&r, err);
	else
		ok = read_rows(&r, buf_slice(&body), schema, err);
	*out_wrong = r.wrong;
	pthread_mutex_lock(&o->v->lock);
	o->v->counts.read++;
	o->v->counts.rows += r.rows;
	o->v->counts.bytes += (int64_t) body.n;
	pthread_mutex_unlock(&o->v->lock);
	schema_free(schema);
	buf_done(&body);
	return ok;
}
