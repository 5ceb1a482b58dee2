/*-------------------------------------------------------------------------
 * walk.c
 *	  Copies a stored tuple onto the wire, the way nearly all rows go.
 *
 * A tuple is walked once, from its first byte to its last, along steps that
 * were made when its relation was looked at, one for each attribute.  Values
 * of the same fixed width, nulls among them or not, lie one behind the other
 * in the tuple as on the wire, and are copied as one run.
 *
 * The walk gives up, and its bytes are taken back, at the first thing that it
 * cannot decide as it goes: a value to be withheld, a column that the tuple
 * has not yet, one stored out of line.  Such rows go by row.c.
 *
 * Rows of many columns tend to come with the same nulls as the row before.
 * For those, and for those without a null, the steps are put together once and
 * kept: each run with the value behind it, a stretch.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/detoast.h"
#include "access/htup_details.h"
#include "access/tupmacs.h"
#include "port/pg_bitutils.h"
#include "utils/memutils.h"

#include "cdc_s3.h"

/*
 * Short runs and values are copied at one length, what is too much being
 * written over by what comes behind; where the tuple has so much, it has
 * enough for that.
 */
#define BLIND_RUN 64
#define BLIND_VALUE 32
#define BLIND (BLIND_RUN + VARHDRSZ_SHORT + BLIND_VALUE)

/* Longer tuples, which are old rows with their TOAST values, go by row.c. */
#define WALK_MAX (64 * 1024)

/* What a walk needs to have free, where nothing expands. */
#define WALK_ROOM(rel, tuple)                                                  \
	((tuple)->t_len + 5 * (Size) (rel)->walk.nvarlena + (rel)->bitmap_len +    \
	 BLIND + 64)

/* From so many attributes on stretches pay. */
#define WIDE 32

/* Rows with the same nulls, one after another, until stretches are made for
 * them.
 */
#define NULLS_SEEN 4

/* Up to so many bytes a few stores take less time than a call. */
#define COPY_INLINE 128

/* A run, which may be empty, and the value behind it. */
typedef struct Stretch
{
	const CdcS3Step *value; /* NULL: none */
	uint16 bytes;           /* of the run */
	uint8 align;            /* of its values, less one */
	bool blob;              /* the value is OP_BLOB or OP_UTF8 */
	bool text;              /* it is OP_UTF8 */
} Stretch;

typedef struct Stretches
{
	int n;
	Stretch *list; /* natts of them */
} Stretches;

/* What is kept for rows of many columns. */
struct CdcS3Wide
{
	Stretches whole; /* a row without nulls */
	Stretches same;  /* one with the nulls below, once they were seen enough */
	int seen;        /* rows in a row that had these, at most NULLS_SEEN */
	char *nulls;     /* the same on the wire */
	bits8 present[FLEXIBLE_ARRAY_MEMBER]; /* and as in the tuple */
};

/* Where a walk reads, and where it writes. */
typedef struct Place
{
	const char *from;
	char *to;
} Place;

/* ---- steps ---- */

static uint8
align_mask(char attalign)
{
	switch (attalign)
	{
		case TYPALIGN_SHORT:
			return ALIGNOF_SHORT - 1;
		case TYPALIGN_INT:
			return ALIGNOF_INT - 1;
		case TYPALIGN_DOUBLE:
			return ALIGNOF_DOUBLE - 1;
		default:
			return 0;
	}
}

static bool
is_fixed(const CdcS3Step *step)
{
	return step->op >= OP_FIXED1 && step->op <= OP_FIXED16;
}

/* Equal values whose width leaves no gap for the alignment are a run. */
static bool
side_by_side(const CdcS3Step *step, const CdcS3Step *next)
{
	return is_fixed(step) && step->len % (step->align + 1) == 0 &&
		   step->op == next->op && step->align == next->align;
}

static void
mark_runs(CdcS3Step *steps, int n)
{
	for (int i = n - 1; i >= 0; i--)
	{
		steps[i].run = 1;
		if (i + 1 < n && side_by_side(&steps[i], &steps[i + 1]))
			steps[i].run += steps[i + 1].run;
	}
}

/* The stretches of a row that has the attributes that are "present", or all. */
static void
build_stretches(const CdcS3Walk *walk, const bits8 *present, Stretches *to)
{
	const CdcS3Step *before = NULL;
	Stretch *s = NULL;

	to->n = 0;
	for (int i = 0; i < walk->natts; i++)
	{
		const CdcS3Step *step = &walk->steps[i];

		if (present && att_isnull(i, present))
			continue;
		if (!s || s->value || (is_fixed(step) && !side_by_side(before, step)))
		{
			s = &to->list[to->n++];
			memset(s, 0, sizeof(*s));
		}
		before = step;
		if (is_fixed(step))
		{
			s->bytes += step->len;
			s->align = step->align;
			continue;
		}
		s->value = step;
		s->text = step->op == OP_UTF8;
		s->blob = s->text || step->op == OP_BLOB;
	}
}

static void
build_wide(CdcS3Rel *rel)
{
	CdcS3Walk *walk = &rel->walk;
	Size list = sizeof(Stretch) * walk->natts;
	CdcS3Wide *wide = MemoryContextAllocZero(
		rel->cxt, sizeof(CdcS3Wide) + BITMAPLEN(walk->natts));

	wide->nulls = MemoryContextAlloc(rel->cxt, rel->bitmap_len);
	wide->whole.list = MemoryContextAlloc(rel->cxt, list);
	wide->same.list = MemoryContextAlloc(rel->cxt, list);
	build_stretches(walk, NULL, &wide->whole);
	walk->wide = wide;
}

/* Make the steps of a relation whose columns are known, in its context. */
void
cdc_s3_walk_build(CdcS3Rel *rel, Relation relation)
{
	TupleDesc desc = RelationGetDescr(relation);
	CdcS3Walk *walk = &rel->walk;
	AttrNumber last = 0;

	walk->natts = desc->natts;
	walk->steps = MemoryContextAllocZero(rel->cxt, sizeof(CdcS3Step) * 2 *
													   Max(desc->natts, 1));
	walk->key_steps = walk->steps + desc->natts;
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		walk->steps[i].len = att->attlen;
		walk->steps[i].align = align_mask(att->attalign);
		walk->steps[i].op = OP_SKIP;
		if (att->attlen == -1)
			walk->nvarlena++;
	}
	memcpy(walk->key_steps, walk->steps, sizeof(CdcS3Step) * desc->natts);

	walk->usable = true;
	for (int c = 0; c < rel->ncols; c++)
	{
		CdcS3Column *col = &rel->cols[c];
		int i = col->source - 1;

		if (col->source <= last)
			walk->usable = false;
		last = col->source;
		walk->steps[i].op = col->op;
		walk->steps[i].col = c;
		if (!(col->flags & CDC_S3_COL_KEY))
			continue;
		walk->key_steps[i] = walk->steps[i];
		walk->nkey_steps = Max(walk->nkey_steps, i + 1);
	}
	walk->dense = walk->usable && rel->ncols == walk->natts;
	mark_runs(walk->steps, walk->natts);
	mark_runs(walk->key_steps, walk->nkey_steps);
	if (walk->usable && walk->natts >= WIDE)
		build_wide(rel);
}

/* ---- nulls ---- */

/* The null bitmap, whose sense is the opposite of the tuple's. */
static char *
put_nulls(const CdcS3Rel *rel, const bits8 *present, char *p)
{
	const CdcS3Walk *walk = &rel->walk;
	int n = rel->bitmap_len;

	if (walk->dense)
	{
		for (int i = 0; i < n; i++)
			p[i] = (char) ~present[i];
		if (rel->ncols % 8 != 0)
			p[n - 1] &= (char) ((1 << (rel->ncols % 8)) - 1);
		return p + n;
	}
	memset(p, 0, n);
	for (int i = 0; i < walk->natts; i++)
		if (walk->steps[i].op != OP_SKIP && att_isnull(i, present))
			p[walk->steps[i].col / 8] |= 1 << (walk->steps[i].col % 8);
	return p + n;
}

/* Columns of a key are not null. */
static bool
key_has_nulls(const CdcS3Walk *walk, const bits8 *present)
{
	for (int i = 0; i < walk->nkey_steps; i++)
		if (walk->key_steps[i].op != OP_SKIP && att_isnull(i, present))
			return true;
	return false;
}

/*
 * Whether there are stretches for these nulls, since the rows before had them,
 * too.
 */
static bool
same_nulls(CdcS3Rel *rel, const bits8 *present)
{
	CdcS3Wide *wide = rel->walk.wide;
	Size n = BITMAPLEN(rel->walk.natts);

	if (memcmp(wide->present, present, n) != 0)
	{
		memcpy(wide->present, present, n);
		wide->seen = 1;
		return false;
	}
	if (wide->seen == NULLS_SEEN)
		return true;
	if (++wide->seen < NULLS_SEEN)
		return false;
	build_stretches(&rel->walk, present, &wide->same);
	(void) put_nulls(rel, present, wide->nulls);
	return true;
}

/* How to walk a row with these nulls, or with none; NULL: along the steps. */
static const Stretches *
find_stretches(CdcS3Rel *rel, const bits8 *present)
{
	CdcS3Wide *wide = rel->walk.wide;

	if (!wide)
		return NULL;
	if (!present)
		return &wide->whole;
	return same_nulls(rel, present) ? &wide->same : NULL;
}

/* How many of n columns from "from" on are not null. */
static int
count_present(const bits8 *present, int from, int n)
{
	int count = 0;

	while (n > 0)
	{
		int here = Min(n, 8 - from % 8);

		count += pg_number_of_ones[(present[from / 8] >> (from % 8)) &
								   ((1 << here) - 1)];
		from += here;
		n -= here;
	}
	return count;
}

/* ---- copies ---- */

/*
 * Copy few bytes with plain stores: a call, or the string instruction that a
 * compiler puts here, takes longer to begin than this to end.
 */
static pg_attribute_always_inline void
copy_short(char *to, const char *from, Size n)
{
	if (n >= 16)
	{
		for (Size i = 0; i + 16 < n; i += 16)
			memcpy(to + i, from + i, 16);
		memcpy(to + n - 16, from + n - 16, 16);
	}
	else if (n >= 8)
	{
		memcpy(to, from, 8);
		memcpy(to + n - 8, from + n - 8, 8);
	}
	else if (n >= 4)
	{
		memcpy(to, from, 4);
		memcpy(to + n - 4, from + n - 4, 4);
	}
	else
		for (Size i = 0; i < n; i++)
			to[i] = from[i];
}

/* Values in a tuple are aligned as in memory: its data begin MAXALIGNed. */
static pg_attribute_always_inline void
align(Place *at, const CdcS3Step *step)
{
	at->from = (const char *) TYPEALIGN(step->align + 1, at->from);
}

static pg_attribute_always_inline bool
copy_fixed(Place *at, Size n)
{
	memcpy(at->to, at->from, n);
	at->to += n;
	at->from += n;
	return true;
}

/* Copy the "n" values of a run that the tuple has. */
static pg_attribute_always_inline void
copy_run(Place *at, const CdcS3Step *step, Size n)
{
	if (n == 0)
		return;
	align(at, step);
	n *= step->len;
	if (n <= COPY_INLINE)
		copy_short(at->to, at->from, n);
	else
		memcpy(at->to, at->from, n);
	at->to += n;
	at->from += n;
}

/*
 * Copy a varlena that stands in the tuple as it is; false if it is compressed.
 */
static pg_attribute_always_inline bool
copy_blob(Place *at, const char *end)
{
	Size n = VARSIZE_ANY(at->from);

	if (VARATT_IS_SHORT(at->from))
	{
		/*
		 * At most 126 bytes: one byte holds their number.  Few are copied as
		 * 16, where the tuple has those.
		 */
		*at->to = (char) (n - VARHDRSZ_SHORT);
		if (n <= 17 && end - at->from >= 17)
			memcpy(at->to + 1, at->from + 1, 16);
		else
			copy_short(at->to + 1, at->from + 1, n - VARHDRSZ_SHORT);
		at->to += n;
		at->from += n;
		return true;
	}
	if (!VARATT_IS_4B_U(at->from))
		return false;
	at->to = put_blob_len(at->to, n - VARHDRSZ);
	memcpy(at->to, at->from + VARHDRSZ, n - VARHDRSZ);
	at->to += n - VARHDRSZ;
	at->from += n;
	return true;
}

/* The same of a text, which has to be UTF-8, too. */
static pg_attribute_always_inline bool
copy_text(Place *at, const char *end)
{
	const char *data = VARDATA_ANY(at->from);
	Size n = VARSIZE_ANY_EXHDR(at->from);

	return !VARATT_IS_COMPRESSED(at->from) && cdc_s3_is_utf8(data, n) &&
		   copy_blob(at, end);
}

/*
 * Copy the value that is next; false if it takes more than that.  memcpy of a
 * constant size is a plain store.
 */
static pg_attribute_always_inline bool
copy_value(Place *at, const CdcS3Step *step, const char *end)
{
	switch (step->op)
	{
		case OP_FIXED4:
			return copy_fixed(at, 4);
		case OP_FIXED8:
			return copy_fixed(at, 8);
		case OP_BLOB:
			return copy_blob(at, end);
		case OP_UTF8:
			return copy_text(at, end);
		case OP_FIXED2:
			return copy_fixed(at, 2);
		case OP_FIXED1:
			return copy_fixed(at, 1);
		case OP_FIXED12:
			return copy_fixed(at, 12);
		case OP_FIXED16:
			return copy_fixed(at, 16);
		case OP_SKIP:
			at->from = att_addlength_pointer(at->from, step->len, at->from);
			return true;
		default:
			return false;
	}
}

/*
 * Copy a stretch by a few stores, whatever its lengths are; false if its value
 * is yet to be copied.
 */
static pg_attribute_always_inline bool
copy_stretch(Place *at, const Stretch *s, const char *end)
{
	Size n;

	at->from = (const char *) TYPEALIGN(s->align + 1, at->from);
	if (unlikely(end - at->from < BLIND || s->bytes > BLIND_RUN))
	{
		memcpy(at->to, at->from, s->bytes);
		at->to += s->bytes;
		at->from += s->bytes;
		return !s->value;
	}
	memcpy(at->to, at->from, BLIND_RUN);
	at->to += s->bytes;
	at->from += s->bytes;
	if (!s->blob || !VARATT_IS_SHORT(at->from))
		return !s->value;
	n = VARSIZE_SHORT(at->from);
	if (n > VARHDRSZ_SHORT + BLIND_VALUE ||
		(s->text && !cdc_s3_is_plain(at->from + 1, n - VARHDRSZ_SHORT)))
		return false;
	*at->to = (char) (n - VARHDRSZ_SHORT);
	memcpy(at->to + 1, at->from + 1, BLIND_VALUE);
	at->to += n;
	at->from += n;
	return true;
}

/* ---- values that take more than a copy ---- */

/* Convert and write a string; false if it has no UTF-8 form. */
static bool
put_string(CdcS3State *st, const char *data, Size len)
{
	const char *out;
	Size out_len;

	if (!cdc_s3_convert(st, data, len, &out, &out_len))
		return false;
	cdc_s3_put_blob(st, out, out_len);
	return true;
}

static bool
put_varlena(CdcS3State *st, const char *ptr, bool convert)
{
	struct varlena *v = (struct varlena *) ptr;

	if (VARATT_IS_COMPRESSED(v))
		v = detoast_attr(v);
	if (convert)
		return put_string(st, VARDATA_ANY(v), VARSIZE_ANY_EXHDR(v));
	cdc_s3_put_blob(st, VARDATA_ANY(v), VARSIZE_ANY_EXHDR(v));
	return true;
}

/* Returns false if the value cannot be sent as it is. */
static bool
put_value(CdcS3State *st, CdcS3Rel *rel, const CdcS3Step *step, const char *ptr)
{
	CdcS3Column *col = &rel->cols[step->col];

	switch (step->op)
	{
		case OP_BLOB:
		case OP_UTF8:
		case OP_STRING:
			return put_varlena(st, ptr, step->op != OP_BLOB);

		case OP_NAME:
			return put_string(st, ptr, strnlen(ptr, NAMEDATALEN));

		case OP_ENUM:
		{
			char label[NAMEDATALEN];

			return cdc_s3_enum_label(fetch_att(ptr, true, sizeof(Oid)),
									 label) &&
				   put_string(st, label, strlen(label));
		}

		default:
		{
			Datum d = fetch_att(ptr, col->attbyval, col->attlen);
			char *text;
			Size len;

			if (cdc_s3_text_unfit(col, d))
				return false;
			text = cdc_s3_value_text(col, d, &len);
			return put_string(st, text, len);
		}
	}
}

/* ---- the walk ---- */

/* Write the value that is next; returns false if it cannot be sent as it is. */
static pg_attribute_always_inline bool
next_value(CdcS3State *st, CdcS3Rel *rel, HeapTuple tuple,
		   const CdcS3Step *step, Place *at, const char *end)
{
	if (step->len != -1 || *at->from == 0)
		align(at, step);
	if (likely(copy_value(at, step, end)))
		return true;
	cdc_s3_packet_wrote(st, at->to);
	if (!put_value(st, rel, step, at->from))
		return false;
	at->to = cdc_s3_packet_room(st, WALK_ROOM(rel, tuple));
	at->from = att_addlength_pointer(at->from, step->len, at->from);
	return true;
}

/*
 * Write the values of a tuple; "present" is NULL where it has nulls at none of
 * the steps.  Made twice by the compiler, with it and without.
 */
static pg_attribute_always_inline bool
walk(CdcS3State *st, CdcS3Rel *rel, HeapTuple tuple, const CdcS3Step *steps,
	 int nsteps, const bits8 *present)
{
	const char *end = (const char *) tuple->t_data + tuple->t_len;
	Place at = { (const char *) tuple->t_data + tuple->t_data->t_hoff,
				 st->packet.buf + st->packet.len };

	Assert(at.from == (const char *) MAXALIGN(at.from));
	for (const CdcS3Step *step = steps; step < steps + nsteps; step++)
	{
		if (step->run > 1)
		{
			int n = step->run;

			if (present)
				n = count_present(present, (int) (step - steps), n);
			copy_run(&at, step, n);
			step += step->run - 1;
			continue;
		}
		if (present && att_isnull((int) (step - steps), present))
			continue;
		if (!next_value(st, rel, tuple, step, &at, end))
			return false;
	}
	cdc_s3_packet_wrote(st, at.to);
	return true;
}

static bool
walk_all(CdcS3State *st, CdcS3Rel *rel, HeapTuple tuple, const CdcS3Step *steps,
		 int nsteps)
{
	return walk(st, rel, tuple, steps, nsteps, NULL);
}

static bool
walk_present(CdcS3State *st, CdcS3Rel *rel, HeapTuple tuple,
			 const CdcS3Step *steps, int nsteps)
{
	return walk(st, rel, tuple, steps, nsteps, tuple->t_data->t_bits);
}

/* The same for a tuple that has all values of the stretches, and no others. */
static bool
walk_stretches(CdcS3State *st, CdcS3Rel *rel, HeapTuple tuple,
			   const Stretches *stretches)
{
	const char *end = (const char *) tuple->t_data + tuple->t_len;
	const Stretch *last = stretches->list + stretches->n;
	Place at = { (const char *) tuple->t_data + tuple->t_data->t_hoff,
				 st->packet.buf + st->packet.len };

	for (const Stretch *s = stretches->list; s < last; s++)
	{
		if (copy_stretch(&at, s, end))
			continue;
		if (!next_value(st, rel, tuple, s->value, &at, end))
			return false;
	}
	cdc_s3_packet_wrote(st, at.to);
	return true;
}

/*
 * Write a row into the open frame.  Returns false if it has to go by row.c;
 * what was written is then to be taken back.
 */
bool
cdc_s3_walk_row(CdcS3State *st, CdcS3Rel *rel, HeapTuple tuple, bool key_only)
{
	const CdcS3Walk *w = &rel->walk;
	const bits8 *present =
		HeapTupleHasNulls(tuple) ? tuple->t_data->t_bits : NULL;
	bool nulls = present && !key_only;
	const Stretches *stretches;
	char *p;

	if (!w->usable || HeapTupleHasExternal(tuple) || tuple->t_len > WALK_MAX ||
		HeapTupleHeaderGetNatts(tuple->t_data) < w->natts)
		return false;
	if (key_only && present && key_has_nulls(w, present))
		return false;
	p = cdc_s3_packet_room(st, WALK_ROOM(rel, tuple));
	stretches = key_only ? NULL : find_stretches(rel, present);
	*p++ = nulls ? CDC_S3_ROW_NULLS : 0;
	if (nulls && stretches)
		p = (char *) memcpy(p, w->wide->nulls, rel->bitmap_len) +
			rel->bitmap_len;
	else if (nulls)
		p = put_nulls(rel, present, p);
	cdc_s3_packet_wrote(st, p);
	if (stretches)
		return walk_stretches(st, rel, tuple, stretches);
	return (present ? walk_present : walk_all)(
		st, rel, tuple, key_only ? w->key_steps : w->steps,
		key_only ? w->nkey_steps : w->natts);
}
