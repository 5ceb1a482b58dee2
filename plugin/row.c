/*-------------------------------------------------------------------------
 * row.c
 *	  Turns a tuple into a row of the wire.
 *
 * There are two ways.  The fast one walks the stored tuple once and copies
 * values straight into the packet; it gives up, and its bytes are taken back,
 * at the first thing that it cannot decide as it goes: a value to be
 * withheld, a column that the tuple has not yet, one stored out of line.  The
 * careful one looks at every value before it writes the first byte, so that
 * the bitmaps are right, and a row too large for one frame can leave in parts.
 *
 * The careful way makes texts before it writes, since one may be none in the
 * server's encoding; and while a transaction in progress is streamed, an abort
 * of it ends any catalog look-up with an error, which must not leave a frame
 * half sent.  Where a row has many megabytes of them, those that are fine are
 * made again as they are written.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/detoast.h"
#include "access/htup_details.h"
#include "catalog/pg_enum.h"
#include "port/pg_crc32c.h"
#include "utils/datum.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#include "cdc_s3.h"

/* Values up to this length are converted in one piece and kept. */
#define CONVERT_AT_ONCE (64 * 1024)

/* Bytes of a row that are expanded or printed, and kept until written. */
#define KEEP_TEXTS (8 * 1024 * 1024)

typedef enum ValueState
{
	VALUE_ABSENT,
	VALUE_NULL,
	VALUE_UNCHANGED,
	VALUE_WITHHELD, /* data, len: the bytes, if any */
	VALUE_FIXED,    /* data, len */
	VALUE_BLOB,     /* data, len */
	VALUE_CONVERT,  /* data, source_len: to be converted, len being known */
	VALUE_VARLENA,  /* datum: compressed, to be expanded when written */
	VALUE_TEXT      /* datum: output function to be called when written */
} ValueState;

struct CdcS3Value
{
	uint8 state;
	uint8 reason; /* CdcS3Withheld */
	const char *data;
	Size len;
	Size source_len; /* of a value converted or withheld: as stored */
	pg_crc32c crc;   /* of a value withheld: of its stored bytes */
	Datum datum;
	char by_value[sizeof(Datum)];
};

/* What an in-memory pointer of the reorder buffer points to. */
static struct varlena *
follow(struct varlena *v)
{
	while (VARATT_IS_EXTERNAL_INDIRECT(v))
	{
		struct varatt_indirect redirect;

		VARATT_EXTERNAL_GET_POINTER(redirect, v);
		v = redirect.pointer;
	}
	return v;
}

/* ---- look ---- */

/* The bytes themselves go along unless they are no text of any use. */
static void
withhold(CdcS3Value *v, CdcS3Withheld reason, const char *data, Size len)
{
	v->state = VALUE_WITHHELD;
	v->reason = reason;
	v->source_len = len;
	INIT_CRC32C(v->crc);
	COMP_CRC32C(v->crc, data, len);
	FIN_CRC32C(v->crc);
	v->data = data;
	v->len = reason == CDC_S3_WITHHELD_ENCODING ? len : 0;
}

/* A string in the server's encoding; stays where it is, if it can. */
static void
look_string(CdcS3State *st, CdcS3Value *v, const char *data, Size len)
{
	v->state = VALUE_BLOB;
	v->data = data;
	v->len = len;
	if (!st->convert)
	{
		if (!cdc_s3_valid(st, data, len))
			withhold(v, CDC_S3_WITHHELD_ENCODING, data, len);
		return;
	}
	if (cdc_s3_is_plain(data, len))
		return;
	if (len <= CONVERT_AT_ONCE)
	{
		if (!cdc_s3_convert(st, data, len, &v->data, &v->len))
			withhold(v, CDC_S3_WITHHELD_ENCODING, data, len);
		return;
	}

	/* Count, and convert again piece by piece when it is written. */
	v->state = VALUE_CONVERT;
	v->source_len = len;
	v->len = 0;
	for (const char *p = data; len > 0;)
	{
		char chunk[8192];
		Size n;

		if (!cdc_s3_convert_chunk(st, &p, &len, chunk, sizeof(chunk), &n))
		{
			withhold(v, CDC_S3_WITHHELD_ENCODING, data, v->source_len);
			return;
		}
		v->len += n;
	}
	if (v->len > MaxAllocSize)
		withhold(v, CDC_S3_WITHHELD_TOO_LONG, data, v->source_len);
}

/*
 * Whether the text of a value, made to be looked at, is kept until it is
 * written, or made again then.
 */
static bool
keep(CdcS3State *st, Size len)
{
	if (st->texts + len > KEEP_TEXTS)
		return false;
	st->texts += len;
	return true;
}

static void
look_varlena(CdcS3State *st, CdcS3Column *col, CdcS3Value *v, Datum d)
{
	struct varlena *p = follow((struct varlena *) DatumGetPointer(d));

	if (VARATT_IS_COMPRESSED(p))
	{
		d = PointerGetDatum(p);
		if (col->op == OP_BLOB)
		{
			v->state = VALUE_VARLENA;
			v->datum = d;
			v->len = VARDATA_COMPRESSED_GET_EXTSIZE(p);
			return;
		}
		p = detoast_attr(p);
		if (col->op == OP_UTF8 && !keep(st, VARSIZE(p)))
		{
			look_string(st, v, VARDATA(p), VARSIZE(p) - VARHDRSZ);
			if (v->state == VALUE_WITHHELD)
				return;
			v->state = VALUE_VARLENA;
			v->datum = d;
			pfree(p);
			return;
		}
	}
	if (col->op == OP_STRING || col->op == OP_UTF8)
		look_string(st, v, VARDATA_ANY(p), VARSIZE_ANY_EXHDR(p));
	else
	{
		v->state = VALUE_BLOB;
		v->data = VARDATA_ANY(p);
		v->len = VARSIZE_ANY_EXHDR(p);
	}
}

static void
look_text(CdcS3State *st, CdcS3Column *col, CdcS3Value *v, Datum d)
{
	uint8 reason;

	if (col->attlen == -1)
		d = PointerGetDatum(follow((struct varlena *) DatumGetPointer(d)));
	reason = cdc_s3_text_unfit(col, d);
	if (reason != 0)
	{
		struct varlena *p = detoast_attr((struct varlena *) DatumGetPointer(d));

		withhold(v, reason, VARDATA(p), VARSIZE(p) - VARHDRSZ);
		return;
	}
	if (st->convert || st->verify || st->in_stream || st->prepared)
	{
		Size len;
		char *text = cdc_s3_value_text(col, d, &len);

		look_string(st, v, text, len);
		if (v->state != VALUE_BLOB || v->data != text || keep(st, len) ||
			st->in_stream || st->prepared)
			return;
		pfree(text);
	}
	v->state = VALUE_TEXT;
	v->datum = d;
}

static void
look_value(CdcS3State *st, CdcS3Column *col, CdcS3Value *v, Datum d)
{
	switch (col->op)
	{
		case OP_BLOB:
		case OP_UTF8:
		case OP_STRING:
			look_varlena(st, col, v, d);
			break;

		case OP_NAME:
			look_string(st, v, DatumGetPointer(d),
						strnlen(DatumGetPointer(d), NAMEDATALEN));
			break;

		case OP_ENUM:
		{
			char *label = palloc(NAMEDATALEN);

			if (cdc_s3_enum_label(d, label))
				look_string(st, v, label, strlen(label));
			else
				withhold(v, CDC_S3_WITHHELD_ENCODING, NULL, 0);
			break;
		}

		case OP_JSONB:
		case OP_TEXT:
			look_text(st, col, v, d);
			break;

		default:
			v->state = VALUE_FIXED;
			v->len = col->attlen;
			v->data = DatumGetPointer(d);
			if (col->attbyval)
			{
				store_att_byval(v->by_value, d, col->attlen);
				v->data = v->by_value;
			}
			break;
	}
}

static bool
is_unchanged(CdcS3Column *col, Datum d)
{
	return col->attlen == -1 && VARATT_IS_EXTERNAL_ONDISK(DatumGetPointer(d));
}

/*
 * The value that an update did not touch, from the old row: any column under
 * identity full, else those of the key.
 */
static bool
fill_value(CdcS3Rel *rel, Relation relation, CdcS3Column *col, HeapTuple fill,
		   Datum *d)
{
	bool isnull;

	if (!fill || !(col->flags & CDC_S3_COL_IDENTITY))
		return false;
	*d = heap_getattr(fill, col->source, RelationGetDescr(relation), &isnull);
	return !isnull && !is_unchanged(col, *d);
}

/* Returns the CDC_S3_ROW_* flags. */
static uint8
look_row(CdcS3State *st, CdcS3Rel *rel, Relation relation, HeapTuple tuple,
		 HeapTuple fill, bool key_only)
{
	uint8 flags = 0;

	st->texts = 0;
	heap_deform_tuple(tuple, RelationGetDescr(relation), st->datums, st->nulls);
	for (int c = 0; c < rel->ncols; c++)
	{
		CdcS3Column *col = &rel->cols[c];
		CdcS3Value *v = &st->values[c];
		Datum d = st->datums[col->source - 1];

		if (key_only && !(col->flags & CDC_S3_COL_KEY))
		{
			v->state = VALUE_ABSENT;
			continue;
		}
		if (st->nulls[col->source - 1])
		{
			v->state = VALUE_NULL;
			flags |= CDC_S3_ROW_NULLS;
			continue;
		}
		if (is_unchanged(col, d) && !fill_value(rel, relation, col, fill, &d))
		{
			v->state = VALUE_UNCHANGED;
			flags |= CDC_S3_ROW_UNCHANGED;
			continue;
		}
		look_value(st, col, v, d);
		if (v->state == VALUE_WITHHELD)
			flags |= CDC_S3_ROW_WITHHELD;
	}
	return flags;
}

/* ---- write ---- */

static void
put_bitmap(CdcS3State *st, CdcS3Rel *rel, ValueState state)
{
	uint8 map[(MaxTupleAttributeNumber + 7) / 8];

	memset(map, 0, rel->bitmap_len);
	for (int c = 0; c < rel->ncols; c++)
		if (st->values[c].state == state)
			map[c / 8] |= 1 << (c % 8);
	cdc_s3_put_bytes(st, map, rel->bitmap_len);
}

static void
put_withheld(CdcS3State *st, CdcS3Value *v)
{
	char head[13];

	head[0] = (char) v->reason;
	(void) put_u64(head + 1, v->source_len);
	(void) put_u32(head + 9, v->crc);
	cdc_s3_put_bytes(st, head, sizeof(head));
	cdc_s3_put_blob(st, v->data, v->len);
}

/* Convert piece by piece a value that is known to convert. */
static void
put_converted(CdcS3State *st, CdcS3Value *v)
{
	const char *p = v->data;
	Size left = v->source_len;
	char prefix[5];

	cdc_s3_put_bytes(st, prefix, put_blob_len(prefix, v->len) - prefix);
	while (left > 0)
	{
		char chunk[8192];
		Size n;

		if (!cdc_s3_convert_chunk(st, &p, &left, chunk, sizeof(chunk), &n))
			break;
		cdc_s3_put_bytes(st, chunk, n);
	}
}

static void
put_value(CdcS3State *st, CdcS3Column *col, CdcS3Value *v)
{
	switch ((ValueState) v->state)
	{
		case VALUE_ABSENT:
		case VALUE_NULL:
		case VALUE_UNCHANGED:
			break;

		case VALUE_WITHHELD:
			put_withheld(st, v);
			break;

		case VALUE_FIXED:
			cdc_s3_put_bytes(st, v->data, v->len);
			break;

		case VALUE_BLOB:
			cdc_s3_put_blob(st, v->data, v->len);
			break;

		case VALUE_CONVERT:
			put_converted(st, v);
			break;

		case VALUE_VARLENA:
		{
			struct varlena *p =
				detoast_attr((struct varlena *) DatumGetPointer(v->datum));

			cdc_s3_put_blob(st, VARDATA(p), VARSIZE(p) - VARHDRSZ);
			pfree(p);
			break;
		}

		case VALUE_TEXT:
		{
			Size len;
			char *text = cdc_s3_value_text(col, v->datum, &len);

			cdc_s3_put_blob(st, text, len);
			pfree(text);
			break;
		}
	}
}

static void
work_space(CdcS3State *st, CdcS3Rel *rel, int natts)
{
	if (natts > st->natts_max)
	{
		st->natts_max = Max(natts, 64);
		st->datums = MemoryContextAlloc(st->cxt, st->natts_max * sizeof(Datum));
		st->nulls = MemoryContextAlloc(st->cxt, st->natts_max * sizeof(bool));
	}
	if (rel->ncols > st->values_max)
	{
		st->values_max = Max(rel->ncols, 64);
		st->values =
			MemoryContextAlloc(st->cxt, st->values_max * sizeof(CdcS3Value));
	}
}

static void
put_row_careful(CdcS3State *st, CdcS3Rel *rel, Relation relation,
				HeapTuple tuple, HeapTuple fill, bool key_only)
{
	uint8 flags;

	work_space(st, rel, RelationGetDescr(relation)->natts);
	flags = look_row(st, rel, relation, tuple, fill, key_only);
	cdc_s3_put_bytes(st, &flags, 1);
	if (flags & CDC_S3_ROW_NULLS)
		put_bitmap(st, rel, VALUE_NULL);
	if (flags & CDC_S3_ROW_UNCHANGED)
		put_bitmap(st, rel, VALUE_UNCHANGED);
	if (flags & CDC_S3_ROW_WITHHELD)
		put_bitmap(st, rel, VALUE_WITHHELD);
	for (int c = 0; c < rel->ncols; c++)
		put_value(st, &rel->cols[c], &st->values[c]);
}

/*
 * Write a row into the open frame.  "fill" is the old row of an update, from
 * which values that it did not touch are taken, or NULL.  What is allocated
 * in the current memory context is not freed.
 */
void
cdc_s3_put_row(CdcS3State *st, CdcS3Rel *rel, Relation relation,
			   HeapTuple tuple, HeapTuple fill, bool key_only)
{
	/* What is to be taken back must not have left. */
	if (st->packet.state != PACKET_PARTED)
	{
		Size mark = cdc_s3_packet_hold(st);
		bool done = cdc_s3_walk_row(st, rel, tuple, key_only);

		cdc_s3_packet_release(st, mark, done);
		if (done)
			return;
	}
	put_row_careful(st, rel, relation, tuple, fill, key_only);
}

/* ---- keys ---- */

/*
 * Whether the key of the new row differs in value from that of the old one.
 * A value that the update did not touch is the same.
 */
bool
cdc_s3_key_changed(CdcS3Rel *rel, Relation relation, HeapTuple old,
				   HeapTuple new)
{
	TupleDesc desc = RelationGetDescr(relation);

	for (int c = 0; c < rel->ncols; c++)
	{
		CdcS3Column *col = &rel->cols[c];
		Datum a;
		Datum b;
		bool a_null;
		bool b_null;

		if (!(col->flags & CDC_S3_COL_KEY))
			continue;
		a = heap_getattr(old, col->source, desc, &a_null);
		b = heap_getattr(new, col->source, desc, &b_null);
		if (a_null != b_null)
			return true;
		if (a_null || is_unchanged(col, b))
			continue;
		if (!datum_image_eq(a, b, col->attbyval, col->attlen))
			return true;
	}
	return false;
}
