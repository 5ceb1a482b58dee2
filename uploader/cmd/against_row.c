/*-------------------------------------------------------------------------
 * against_row.c
 *	  A record's values as hashes, by the columns that are compared.
 *
 * The hash multiplies words of eight bytes into 128 bits and folds these: it
 * is not for keeping out who picks the values.
 * Layer: cmd.
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cmd/against.h"
#include "merge/merge_value.h"

#define TEXT_MAX ((size_t) 1 << 30)
#define SHOWN_MAX 80 /* of a value */
#define K1 UINT64_C(0x9E3779B97F4A7C15)
#define K2 UINT64_C(0xC2B2AE3D27D4EB4F)

__extension__ typedef unsigned __int128 Wide;

static inline uint64_t
mix(uint64_t a, uint64_t b)
{
	Wide w = (Wide) a * b;

	return (uint64_t) w ^ (uint64_t) (w >> 64);
}

static uint64_t
hash_bytes(Slice s, uint64_t seed, uint64_t factor)
{
	uint64_t h = mix(seed ^ s.n, factor);
	size_t i = 0;
	uint64_t w;

	for (; i + sizeof(w) <= s.n; i += sizeof(w))
	{
		memcpy(&w, s.p + i, sizeof(w));
		h = mix(h ^ w, factor) + K1;
	}
	w = 0;
	if (i < s.n)
		memcpy(&w, s.p + i, s.n - i);
	return mix(mix(h ^ w, factor) ^ K2, K1);
}

void
against_shape_done(AgainstShape *s)
{
	for (int i = 0; i < s->n; i++)
		free(s->cols[i].name);
	free(s->cols);
	*s = (AgainstShape){ 0 };
}

void
against_row_init(AgainstRow *r, int n)
{
	r->cells = xcalloc((size_t) n + 1, sizeof(*r->cells));
	r->second = xcalloc((size_t) n + 1, sizeof(*r->second));
	buf_init(&r->text, TEXT_MAX);
	buf_init(&r->scratch, TEXT_MAX);
}

void
against_row_done(AgainstRow *r)
{
	free(r->cells);
	free(r->second);
	buf_done(&r->text);
	buf_done(&r->scratch);
}

/* The value's text into r->text; *cell is set where it has none. */
static bool
value_text(AgainstRow *r, const SchemaColumn *c, const RecordField *f,
		   uint64_t *cell, Err *err)
{
	bool null_json = f->state == FIELD_NULL_JSON;

	buf_reset(&r->text);
	*cell = CELL_VALUES;
	switch (f->state)
	{
		case FIELD_ABSENT:
			*cell = CELL_ABSENT;
			return true;
		case FIELD_UNCHANGED:
			*cell = CELL_UNCHANGED;
			return true;
		case FIELD_WITHHELD:
			*cell = CELL_UNKNOWN;
			return true;
		default:
			break;
	}
	if (f->value.kind == JSON_NULL && !null_json)
	{
		*cell = CELL_NULL;
		return true;
	}
	return value_add_copy(&r->text, c, &f->value, null_json, &r->scratch, err);
}

bool
against_row_fill(AgainstRow *r, const AgainstShape *s, const AgainstVersion *v,
				 const RecordField *fields, Err *err)
{
	for (int i = 0; i < s->n; i++)
	{
		int k = v->columns[i];
		uint64_t h;

		if (k < 0)
		{
			r->cells[i] = s->cols[i].missing;
			r->second[i] = s->cols[i].missing_key;
			continue;
		}
		if (!value_text(r, &v->schema->cols[k], &fields[k], &h, err))
			return false;
		if (h == CELL_VALUES)
		{
			h = hash_bytes(buf_slice(&r->text), K2, K1);
			h = h < CELL_VALUES ? h + CELL_VALUES : h;
			r->second[i] = hash_bytes(buf_slice(&r->text), K1, K2);
		}
		else
			r->second[i] = h;
		r->cells[i] = h;
	}
	return true;
}

bool
against_row_key(const AgainstRow *r, const AgainstShape *s, FoldKey *out)
{
	uint64_t a = K1;
	uint64_t b = K2;

	for (int i = 0; i < s->n; i++)
	{
		if (!s->bag && !s->cols[i].key)
			continue;
		if (r->cells[i] == CELL_ABSENT || r->cells[i] == CELL_UNCHANGED)
			return false;
		a = mix(a ^ r->cells[i], K1) + K2;
		b = mix(b ^ r->second[i], K2) + K1;
	}
	*out = (FoldKey){ { mix(a ^ K2, K1), mix(b ^ K1, K2) | 1 } };
	return true;
}

uint64_t
against_row_hash(FoldKey key, const uint64_t *cells, int n)
{
	uint64_t h = mix(key.word[0] ^ K2, key.word[1] ^ K1);

	for (int i = 0; i < n; i++)
		h = mix(h ^ cells[i], K1) + K2;
	return mix(h ^ K1, K2);
}

/* What could end a line is replaced, and a cut is at a character's end. */
static void
add_shown(Buf *out, Slice s)
{
	size_t n = s.n < SHOWN_MAX ? s.n : SHOWN_MAX;

	while (n > 0 && n < s.n && (s.p[n] & 0xC0) == 0x80)
		n--;
	for (size_t i = 0; i < n; i++)
		buf_byte(out, s.p[i] < 0x20 || s.p[i] == 0x7f ? '?' : s.p[i]);
	if (n < s.n)
		buf_str(out, "…");
}

bool
against_row_text(const AgainstShape *s, const AgainstVersion *v,
				 const RecordField *fields, Buf *out, Err *err)
{
	AgainstRow r;
	bool ok = true;
	bool first = true;

	against_row_init(&r, 0);
	for (int i = 0; ok && i < s->n; i++)
	{
		int k = v->columns[i];
		uint64_t cell;

		if (k < 0 || (!s->bag && !s->cols[i].key))
			continue;
		ok = value_text(&r, &v->schema->cols[k], &fields[k], &cell, err);
		if (!ok)
			break;
		buf_str(out, first ? "" : ", ");
		add_shown(out, slice_cstr(s->cols[i].name));
		buf_byte(out, '=');
		if (cell == CELL_VALUES)
			add_shown(out, buf_slice(&r.text));
		else
			buf_str(out, cell == CELL_NULL ? "NULL" : "?");
		first = false;
	}
	against_row_done(&r);
	return ok;
}
