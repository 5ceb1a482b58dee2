/*-------------------------------------------------------------------------
 * wal_check.c
 *	  See wal_check.h.
 *
 * The sidecar's reader (codec/frame.h) looks at the packet's head and into each
 * frame, and knows the versions of relations.  What is here looks at the same
 * bytes for what lies between frames: their order, and that of the units.
 *-------------------------------------------------------------------------
 */
#include "wal_check.h"

#include <stdlib.h>

#include "base/fnv.h"
#include "base/mem.h"
#include "codec/frame.h"
#include "codec/hash.h"

#define FRAME_WHOLE_MAX ((size_t) 1 << 30)
#define LINES_MAX ((size_t) 1 << 30)
#define PART_HEAD 6 /* before the bytes of a part */

typedef struct Unit
{
	Lsn lsn;
	uint64_t hash;
} Unit;

typedef struct RelationHash
{
	uint32_t id;
	uint64_t hash;
} RelationHash;

struct WalCheck
{
	FILE *out;
	FILE *raw;
	FrameReader *reader;
	WalCounts counts;

	/* What came, by LSN. */
	Unit *units;
	size_t nunits;
	size_t room;
	Lsn from;

	/* The stream. */
	RelationHash *rels;
	size_t nrels;
	size_t rels_room;
	bool greeted;
	Lsn keepalive; /* the last one's */
	size_t next;   /* of the units: the one that must come next */

	/* The unit under way. */
	bool inside;
	bool empty; /* so far it has nothing that is compared */
	Lsn commit;
	Buf lines;
};

typedef struct Frame
{
	uint8_t type;
	uint8_t flags;
	Slice body;
} Frame;

WalCheck *
wal_check_new(FILE *out, FILE *raw, Lsn from)
{
	WalCheck *c = xcalloc(1, sizeof(*c));

	c->out = out;
	c->raw = raw;
	c->from = from;
	c->reader = frame_reader_new(FRAME_WHOLE_MAX, NULL, NULL);
	buf_init(&c->lines, LINES_MAX);
	return c;
}

void
wal_check_free(WalCheck *c)
{
	if (!c)
		return;
	frame_reader_free(c->reader);
	buf_done(&c->lines);
	free(c->units);
	free(c->rels);
	free(c);
}

/* The first unit behind an LSN. */
static size_t
unit_after(const WalCheck *c, Lsn lsn)
{
	size_t low = 0;
	size_t high = c->nunits;

	while (low < high)
	{
		size_t mid = low + (high - low) / 2;

		if (c->units[mid].lsn <= lsn)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static Lsn
last_unit(const WalCheck *c)
{
	return c->nunits > 0 ? c->units[c->nunits - 1].lsn : c->from;
}

void
wal_check_stream(WalCheck *c, Lsn start)
{
	frame_reader_reset(c->reader);
	c->counts.streams++;
	c->nrels = 0;
	c->greeted = false;
	c->keepalive = 0;
	c->next = unit_after(c, start);
	c->inside = false;
	buf_reset(&c->lines);
}

bool
wal_check_inside(const WalCheck *c)
{
	return c->inside;
}

Lsn
wal_check_written(WalCheck *c)
{
	(void) fflush(c->out);
	return last_unit(c);
}

const WalCounts *
wal_check_counts(const WalCheck *c)
{
	return &c->counts;
}

/* ---- hashes ---- */

static uint64_t
hash_bytes(uint64_t h, const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		h = (h ^ p[i]) * FNV1A_PRIME;
	return h;
}

static uint64_t
hash_u64(uint64_t h, uint64_t v)
{
	return hash_bytes(h, (const uint8_t *) &v, sizeof(v));
}

static RelationHash *
relation_of(const WalCheck *c, uint32_t id)
{
	for (size_t i = 0; i < c->nrels; i++)
	{
		if (c->rels[i].id == id)
			return &c->rels[i];
	}
	return NULL;
}

/* A relation frame was read: its id, its version, and all that is behind. */
static void
put_relation(WalCheck *c, const Frame *f)
{
	uint32_t id = get_u32(f->body.p);
	RelationHash *rel = relation_of(c, id);

	if (!rel)
	{
		if (c->nrels == c->rels_room)
		{
			c->rels_room = c->rels_room ? c->rels_room * 2 : 64;
			c->rels = xrealloc(c->rels, c->rels_room * sizeof(*c->rels));
		}
		rel = &c->rels[c->nrels++];
		rel->id = id;
	}
	rel->hash = hash_u64(FNV1A_EMPTY, f->flags);
	rel->hash = hash_bytes(rel->hash, f->body.p + 8, f->body.n - 8);
}

/* p: a relation and its version. */
static uint64_t
hash_relation(const WalCheck *c, uint64_t h, const uint8_t *p)
{
	const RelationHash *rel = relation_of(c, get_u32(p));

	h = hash_bytes(h, p, 4);
	return hash_u64(h, rel ? rel->hash : 0);
}

static bool
is_row(uint8_t type)
{
	return type == CDC_S3_INSERT || type == CDC_S3_UPDATE ||
		   type == CDC_S3_DELETE;
}

static uint64_t
hash_row(const WalCheck *c, uint64_t h, const uint8_t *p, size_t n)
{
	if (n < 8)
		return hash_bytes(h, p, n);
	h = hash_relation(c, h, p);
	return hash_bytes(h, p + 8, n - 8);
}

/* The reader has been through it, so that its lengths are right. */
static uint64_t
hash_truncate(const WalCheck *c, uint64_t h, Slice body)
{
	size_t at = 16;
	uint16_t n = get_u16(body.p + at);

	h = hash_bytes(h, body.p, at);
	at += 2;
	for (int i = 0; i < n; i++)
	{
		size_t len = 1;

		h = hash_relation(c, h, body.p + at);
		if (body.p[at + 8] & CDC_S3_TRUNC_PARTIAL)
			len += 4 + get_u32(body.p + at + 9);
		h = hash_bytes(h, body.p + at + 8, len);
		at += 8 + len;
	}
	return hash_bytes(h, body.p + at, body.n - at);
}

static uint64_t
hash_frame(const WalCheck *c, const Frame *f)
{
	const uint8_t *p = f->body.p;
	uint64_t h = hash_u64(FNV1A_EMPTY, (uint64_t) f->type << 8 | f->flags);

	if (is_row(f->type))
		return hash_row(c, h, p, f->body.n);
	if (f->type == CDC_S3_TRUNCATE)
		return hash_truncate(c, h, f->body);
	if (f->type == CDC_S3_COMMIT) /* less its ordinal: see take_table() */
		return hash_bytes(h, p, f->body.n - 8);
	if (f->type == CDC_S3_PART && is_row(p[0]) && get_u32(p + 2) == 0)
	{
		h = hash_bytes(h, p, PART_HEAD);
		return hash_row(c, h, p + PART_HEAD, f->body.n - PART_HEAD);
	}
	return hash_bytes(h, p, f->body.n);
}

/* ---- units ---- */

static void
add_unit(WalCheck *c, Lsn lsn, uint64_t hash)
{
	if (c->nunits == c->room)
	{
		c->room = c->room ? c->room * 2 : 1024;
		c->units = xrealloc(c->units, c->room * sizeof(*c->units));
	}
	c->units[c->nunits++] = (Unit){ lsn, hash };
	c->counts.units++;
	(void) fwrite(c->lines.p, 1, c->lines.n, c->out);
}

/* One that came before comes again, with all that came behind it. */
static bool
check_again(WalCheck *c, const Unit *unit, Lsn lsn, uint64_t hash, Err *err)
{
	if (unit->lsn != lsn)
		return err_set(err, ERR_DATA, 0,
					   "unit " LSN_FMT " came where " LSN_FMT
					   " came on an earlier connection",
					   LSN_ARGS(lsn), LSN_ARGS(unit->lsn));
	if (unit->hash != hash)
		return err_set(err, ERR_DATA, 0,
					   "unit " LSN_FMT " is not what it was on an earlier "
					   "connection; it is now:\n%.500s",
					   LSN_ARGS(lsn), buf_cstr(&c->lines));
	c->counts.again++;
	return true;
}

static bool
end_unit(WalCheck *c, Lsn lsn, Err *err)
{
	uint64_t hash = hash_bytes(FNV1A_EMPTY, c->lines.p, c->lines.n);
	bool ok = true;

	if (lsn <= c->keepalive)
		return err_set(err, ERR_DATA, 0,
					   "unit " LSN_FMT " came behind a keepalive of " LSN_FMT,
					   LSN_ARGS(lsn), LSN_ARGS(c->keepalive));
	if (c->next < c->nunits)
		ok = check_again(c, &c->units[c->next], lsn, hash, err);
	else if (lsn <= last_unit(c))
		ok = err_set(err, ERR_DATA, 0, "unit " LSN_FMT " came behind " LSN_FMT,
					 LSN_ARGS(lsn), LSN_ARGS(last_unit(c)));
	else
		add_unit(c, lsn, hash);
	c->next++;
	c->inside = false;
	buf_reset(&c->lines);
	return ok;
}

/* ---- frames ---- */

static void
add_line(WalCheck *c, const Frame *f)
{
	char of[3] = { 0 };

	if (f->type == CDC_S3_PART)
	{
		of[0] = ':';
		of[1] = (char) f->body.p[0];
	}
	buf_printf(&c->lines, "%c%s %d %zu %016" PRIx64, f->type, of, f->flags,
			   f->body.n, hash_frame(c, f));
	if (f->type == CDC_S3_BEGIN)
		buf_printf(&c->lines, " " LSN_FMT " xid %" PRIu32, LSN_ARGS(c->commit),
				   get_u32(f->body.p));
	buf_byte(&c->lines, '\n');
}

static bool
out_of_order(const WalCheck *c, const Frame *f, Err *err)
{
	return err_set(err, ERR_DATA, 0, "a frame of type \"%c\" came %s", f->type,
				   !c->greeted ? "before hello"
				   : c->inside ? "inside of a transaction"
							   : "outside of a transaction");
}

static bool
take_message(WalCheck *c, const Frame *f, Err *err)
{
	bool inside = f->flags & CDC_S3_MSG_TRANSACTIONAL;

	if (inside != c->inside)
		return out_of_order(c, f, err);
	add_line(c, f);
	c->empty = false;
	return inside || end_unit(c, get_u64(f->body.p), err);
}

/* A message that is long may belong to no transaction. */
static bool
take_part(WalCheck *c, const Frame *f, Err *err)
{
	const uint8_t *body = f->body.p + PART_HEAD;
	bool alone = f->body.p[0] == CDC_S3_MESSAGE &&
				 !(f->body.p[1] & CDC_S3_MSG_TRANSACTIONAL);

	if (alone == c->inside)
		return out_of_order(c, f, err);
	c->empty = false;
	if (alone && get_u32(f->body.p + 2) == 0)
		c->commit = get_u64(body);
	add_line(c, f);
	return !alone || !(f->flags & CDC_S3_PART_LAST) ||
		   end_unit(c, c->commit, err);
}

/*
 * What a stream says of tables depends on what it has said before, so it is not
 * compared; nor is a transaction in which there is nothing else.
 */
static bool
take_table(WalCheck *c, const Frame *f, Err *err)
{
	return c->inside || out_of_order(c, f, err);
}

static bool
take_commit(WalCheck *c, const Frame *f, Err *err)
{
	if (get_u64(f->body.p) != c->commit)
		return err_set(err, ERR_DATA, 0,
					   "transaction " LSN_FMT " ends in a commit of " LSN_FMT,
					   LSN_ARGS(c->commit), LSN_ARGS(get_u64(f->body.p)));
	if (!c->empty)
		return end_unit(c, c->commit, err);
	c->inside = false;
	buf_reset(&c->lines);
	return true;
}

static bool
take_frame(WalCheck *c, const Frame *f, Err *err)
{
	c->counts.frames++;
	if (!c->greeted != (f->type == CDC_S3_HELLO))
		return out_of_order(c, f, err);
	switch (f->type)
	{
		case CDC_S3_HELLO:
			c->greeted = true;
			return true;
		case CDC_S3_RELATION:
			put_relation(c, f);
			return true;
		case CDC_S3_MESSAGE:
			return take_message(c, f, err);
		case CDC_S3_PART:
			return take_part(c, f, err);
		case CDC_S3_BEGIN:
			if (c->inside)
				return out_of_order(c, f, err);
			c->inside = c->empty = true;
			c->commit = get_u64(f->body.p + 4);
			break;
		case CDC_S3_TABLE:
			return take_table(c, f, err);
		case CDC_S3_INSERT:
		case CDC_S3_UPDATE:
		case CDC_S3_DELETE:
		case CDC_S3_TRUNCATE:
		case CDC_S3_COMMIT:
			if (!c->inside)
				return out_of_order(c, f, err);
			break;
		default:
			return err_set(err, ERR_DATA, 0, "a frame of type \"%c\" came",
						   f->type);
	}
	add_line(c, f);
	c->empty &= f->type == CDC_S3_BEGIN || f->type == CDC_S3_COMMIT;
	return f->type != CDC_S3_COMMIT || take_commit(c, f, err);
}

/* The reader goes first: what it accepts has right lengths. */
static bool
read_packet(WalCheck *c, Slice packet, Err *err)
{
	FrameEvent ev;
	bool end = false;

	if (!frame_reader_packet(c->reader, packet, err))
		return false;
	while (!end)
	{
		if (!frame_next(c->reader, &ev, &end, err))
			return false;
	}
	return true;
}

bool
wal_check_packet(WalCheck *c, Slice packet, Err *err)
{
	size_t at = CDC_S3_PACKET_HEADER;
	bool ok;

	if (c->raw)
	{
		(void) fwrite(packet.p, 1, packet.n, c->raw);
		(void) fputc('\n', c->raw);
	}
	ok = read_packet(c, packet, err);
	while (ok && at < packet.n)
	{
		const uint8_t *p = packet.p + at;
		Frame f = { p[0], p[1], { p + CDC_S3_FRAME_HEADER, get_u32(p + 2) } };

		ok = take_frame(c, &f, err);
		at += CDC_S3_FRAME_HEADER + f.body.n;
	}
	if (!ok)
		return err_prefix(err,
						  "stream %" PRIu64 ", packet %" PRIu64 " of %zu "
						  "bytes, frame %" PRIu64 ", behind " LSN_FMT ": ",
						  c->counts.streams, c->counts.packets, packet.n,
						  c->counts.frames, LSN_ARGS(last_unit(c)));
	c->counts.packets++;
	c->counts.bytes += packet.n;
	return true;
}

bool
wal_check_keepalive(WalCheck *c, Lsn wal_end, Err *err)
{
	if (c->inside && wal_end >= c->commit)
		return err_set(err, ERR_DATA, 0,
					   "a keepalive of " LSN_FMT
					   " came inside of transaction " LSN_FMT,
					   LSN_ARGS(wal_end), LSN_ARGS(c->commit));
	if (wal_end > c->keepalive)
		c->keepalive = wal_end;
	return true;
}
