/*-------------------------------------------------------------------------
 * framepart.c
 *	  Decodes a row change that arrives in parts.
 *
 *	  STEP_ROW > STEP_MAPS > STEP_COLUMN <> STEP_LENGTH, STEP_BYTES,
 *	  STEP_PIECES, STEP_WITHHELD, STEP_SKIP > STEP_ROW_END > STEP_ROW again for
 *	  the new row, or STEP_REST > STEP_OVER
 *
 * Each step asks gather() for so many bytes in a row, and is tried again with
 * the next part where they have not all come.  Bytes that lie in one part are
 * used where they are; only what crosses its border is put together.
 * Layer: codec.
 *-------------------------------------------------------------------------
 */
#include "codec/framepart.h"

#include <stdlib.h>

#include "base/mem.h"
#include "cdc_s3_proto.h"

#define HEADS_MAX 4096 /* three bitmaps */
#define WITHHELD_BYTES 13
#define MAX_COLUMNS ROW_MAX_COLUMNS
#define PIECE_MAX ((size_t) 64 * 1024) /* so far a line grows at once */

typedef enum Step
{
	STEP_ROW,
	STEP_MAPS,
	STEP_COLUMN,   /* choose the next column with something to read */
	STEP_LENGTH,   /* of a blob */
	STEP_LONG,     /* its four bytes */
	STEP_BYTES,    /* a value as a whole */
	STEP_PIECES,   /* a long one */
	STEP_WITHHELD, /* its head */
	STEP_SKIP,     /* bytes that nobody wants */
	STEP_ROW_END,
	STEP_REST, /* what a later version may add */
	STEP_OVER
} Step;

struct FramePart
{
	const RowShape *shape; /* of the row */
	size_t whole_max;      /* what is longer comes in pieces */
	uint8_t type;
	uint8_t flags;
	Slice in;
	bool last;
	Buf carry; /* the beginning of what crosses the border of parts */

	Step step;
	bool old; /* the row that is read is the old one */
	uint8_t row_flags;
	int col;       /* the next column */
	size_t left;   /* of a blob */
	bool begun;    /* PART_BEGIN was told */
	bool withheld; /* the blob belongs to a withheld value */
	ColView *cols;
	ColView view;
};

static bool
broken(Err *err)
{
	return err_set(err, ERR_DATA, 0, "a row in parts breaks the wire contract");
}

FramePart *
framepart_new(size_t whole_max)
{
	FramePart *p = xcalloc(1, sizeof(*p));

	p->cols = xcalloc(MAX_COLUMNS, sizeof(*p->cols));
	p->step = STEP_OVER;
	p->whole_max = whole_max;
	buf_init(&p->carry, whole_max > HEADS_MAX ? whole_max : HEADS_MAX);
	return p;
}

void
framepart_free(FramePart *p)
{
	if (!p)
		return;
	buf_done(&p->carry);
	free(p->cols);
	free(p);
}

bool
framepart_open(FramePart *p, const RowShape *shape, uint8_t type, uint8_t flags,
			   Err *err)
{
	uint8_t known = CDC_S3_CHANGE_XID;

	if (type != CDC_S3_INSERT)
		known |= CDC_S3_OLD_KEY | CDC_S3_OLD_FULL | CDC_S3_NO_IDENTITY;
	if (type == CDC_S3_UPDATE)
		known |= CDC_S3_KEY_CHANGED;
	if ((type != CDC_S3_INSERT && type != CDC_S3_UPDATE &&
		 type != CDC_S3_DELETE) ||
		flags & ~known || (flags & CDC_S3_OLD_KEY && flags & CDC_S3_OLD_FULL))
		return broken(err);
	p->type = type;
	p->flags = flags;
	p->shape = shape;
	p->old = flags & (CDC_S3_OLD_KEY | CDC_S3_OLD_FULL);
	p->step = p->old || type != CDC_S3_DELETE ? STEP_ROW : STEP_REST;
	p->in = (Slice){ NULL, 0 };
	p->last = false;
	buf_reset(&p->carry);
	return true;
}

void
framepart_push(FramePart *p, Slice bytes, bool last)
{
	p->in = bytes;
	p->last = last;
}

static void
advance(FramePart *p, size_t n)
{
	p->in.p += n;
	p->in.n -= n;
}

/*
 * n bytes in a row, at most as many as the carry takes; NULL where they have
 * not all come.  They live until the next call.
 */
static const uint8_t *
gather(FramePart *p, size_t n)
{
	const uint8_t *at = p->in.p;
	size_t more;

	if (p->carry.n == 0 && p->in.n >= n)
	{
		advance(p, n);
		return n > 0 ? at : (const uint8_t *) "";
	}
	more = n - p->carry.n < p->in.n ? n - p->carry.n : p->in.n;
	buf_add(&p->carry, at, more);
	advance(p, more);
	if (p->carry.n < n)
		return NULL;
	at = p->carry.p;
	p->carry.n = 0; /* the bytes stay until something is added */
	return at;
}

/* Behind the old row comes the new one, behind that what nobody knows. */
static void
end_row(FramePart *p)
{
	bool more = p->old && p->type != CDC_S3_DELETE;

	p->old = false;
	p->step = more ? STEP_ROW : STEP_REST;
}

static bool
read_row(FramePart *p, Err *err)
{
	const uint8_t *b = gather(p, 1);

	if (!b)
		return true;
	p->row_flags = *b;
	if (p->row_flags &
		~(CDC_S3_ROW_NULLS | CDC_S3_ROW_UNCHANGED | CDC_S3_ROW_WITHHELD))
		return broken(err);
	p->step = STEP_MAPS;
	return true;
}

static void
set_states(FramePart *p, const uint8_t *maps, size_t map_bytes)
{
	static const struct
	{
		uint8_t flag;
		uint8_t state;
	} kinds[] = {
		/* the first that applies counts, so it is set last */
		{ CDC_S3_ROW_WITHHELD, COL_WITHHELD },
		{ CDC_S3_ROW_UNCHANGED, COL_UNCHANGED },
		{ CDC_S3_ROW_NULLS, COL_NULL },
	};
	const RowShape *s = p->shape;
	bool key_only = p->old && p->flags & CDC_S3_OLD_KEY;

	for (int i = 0; i < s->ncols; i++)
	{
		p->cols[i] = (ColView){ .state = COL_VALUE };
		for (int k = 0; k < 3; k++)
		{
			const uint8_t *map = maps;

			if (!(p->row_flags & kinds[k].flag))
				continue;
			for (uint8_t f = 1; f < kinds[k].flag; f <<= 1)
				map += p->row_flags & f ? map_bytes : 0;
			if (map[i / 8] >> (i % 8) & 1)
				p->cols[i].state = kinds[k].state;
		}
		if (key_only && !s->cols[i].key)
			p->cols[i].state = COL_ABSENT;
	}
}

static bool
read_maps(FramePart *p, PartItem *out)
{
	size_t map_bytes = ((size_t) p->shape->ncols + 7) / 8;
	size_t n = 0;
	const uint8_t *b;

	for (uint8_t f = 1; f <= CDC_S3_ROW_WITHHELD; f <<= 1)
		n += p->row_flags & f ? map_bytes : 0;
	b = gather(p, n);
	if (!b)
		return true;
	set_states(p, b, map_bytes);
	p->col = 0;
	p->step = STEP_COLUMN;
	out->type = p->old ? PART_ROW_OLD : PART_ROW_NEW;
	out->row = (RowView){ p->shape->ncols, p->cols };
	return true;
}

static void
choose_column(FramePart *p)
{
	const RowShape *s = p->shape;

	while (p->col < s->ncols && p->cols[p->col].state != COL_VALUE &&
		   p->cols[p->col].state != COL_WITHHELD)
		p->col++;
	if (p->col == s->ncols)
	{
		p->step = STEP_ROW_END;
		return;
	}
	p->view = (ColView){ .state = p->cols[p->col].state };
	p->withheld = p->view.state == COL_WITHHELD;
	p->begun = false;
	p->left = (size_t) kind_width(s->cols[p->col].kind);
	p->step = p->withheld   ? STEP_WITHHELD
			  : p->left > 0 ? STEP_BYTES
							: STEP_LENGTH;
}

/* What the length of a blob says about how it is read. */
static bool
take_length(FramePart *p, Err *err)
{
	uint8_t kind = p->shape->cols[p->col].kind;

	if (p->left <= p->whole_max)
		p->step = STEP_BYTES;
	else if (p->withheld)
		p->step = STEP_SKIP;
	else if (kind == CDC_S3_KIND_NUMERIC)
		return broken(err); /* none is so long */
	else
		p->step = STEP_PIECES;
	return true;
}

static bool
read_length(FramePart *p, Err *err)
{
	const uint8_t *b = gather(p, p->step == STEP_LONG ? 4 : 1);

	if (!b)
		return true;
	if (p->step == STEP_LENGTH && *b == CDC_S3_BLOB_LONG)
	{
		p->step = STEP_LONG;
		return true;
	}
	p->left = p->step == STEP_LONG ? get_u32(b) : *b;
	return take_length(p, err);
}

static void
read_withheld(FramePart *p)
{
	const uint8_t *b = gather(p, WITHHELD_BYTES);

	if (!b)
		return;
	p->view.reason = b[0];
	p->view.size = get_u64(b + 1);
	p->view.crc32c = get_u32(b + 9);
	p->step = STEP_LENGTH;
}

static void
tell_value(FramePart *p, PartItem *out, PartItemType type)
{
	out->type = type;
	out->col = p->col;
	out->view = &p->view;
}

static void
read_bytes(FramePart *p, PartItem *out)
{
	const uint8_t *b = gather(p, p->left);

	if (!b)
		return;
	p->view.p = b;
	p->view.n = (uint32_t) p->left;
	tell_value(p, out, PART_VALUE);
	p->col++;
	p->step = STEP_COLUMN;
}

/* A long value, or one whose bytes nobody wants. */
static void
read_pieces(FramePart *p, PartItem *out)
{
	size_t n = p->left < p->in.n ? p->left : p->in.n;

	if (n > PIECE_MAX)
		n = PIECE_MAX;
	if (p->step == STEP_PIECES && !p->begun)
	{
		p->begun = true;
		p->view.n = (uint32_t) p->left;
		tell_value(p, out, PART_BEGIN);
		return;
	}
	if (p->left > 0 && n == 0)
		return;
	if (p->left > 0)
	{
		if (p->step == STEP_PIECES)
		{
			tell_value(p, out, PART_PIECE);
			out->piece = (Slice){ p->in.p, n };
		}
		advance(p, n);
		p->left -= n;
		return;
	}
	tell_value(p, out, p->step == STEP_PIECES ? PART_END : PART_VALUE);
	p->col++;
	p->step = STEP_COLUMN;
}

static bool
run_step(FramePart *p, PartItem *out, Err *err)
{
	switch (p->step)
	{
		case STEP_ROW:
			return read_row(p, err);
		case STEP_MAPS:
			return read_maps(p, out);
		case STEP_COLUMN:
			choose_column(p);
			return true;
		case STEP_LENGTH:
		case STEP_LONG:
			return read_length(p, err);
		case STEP_WITHHELD:
			read_withheld(p);
			return true;
		case STEP_BYTES:
			read_bytes(p, out);
			return true;
		case STEP_PIECES:
		case STEP_SKIP:
			read_pieces(p, out);
			return true;
		case STEP_ROW_END:
			out->type = PART_ROW_END;
			end_row(p);
			return true;
		default:
			return true;
	}
}

bool
framepart_next(FramePart *p, PartItem *out, Err *err)
{
	*out = (PartItem){ .type = PART_NEED };
	for (;;)
	{
		Step step = p->step;
		size_t left = p->in.n;

		if (step == STEP_OVER)
			return broken(err);
		if (step == STEP_REST)
		{
			advance(p, p->in.n);
			if (p->last)
			{
				p->step = STEP_OVER;
				out->type = PART_DONE;
			}
			return true;
		}
		if (!run_step(p, out, err))
			return false;
		if (out->type != PART_NEED)
			return true;
		/* no way on without more bytes */
		if (p->step == step && p->in.n == left)
			return !p->last || broken(err);
	}
}
