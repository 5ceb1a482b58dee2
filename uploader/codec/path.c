/*-------------------------------------------------------------------------
 * path.c
 *	  The folders of the lake: templates of output.path.
 *
 * A template is a list of pieces: placeholders and the text between them.
 *
 * Layer: codec.
 *-------------------------------------------------------------------------
 */
#include "codec/path.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "codec/key.h"

#define PIECES_MAX 64
#define TEXT_MAX 512

typedef enum PieceKind
{
	PIECE_TEXT, /* no slash in it */
	PIECE_SLASH,
	PIECE_SCHEMA,
	PIECE_TABLE,
	PIECE_DATABASE,
	PIECE_SLOT,
	PIECE_YEAR, /* the times, from coarse to fine */
	PIECE_MONTH,
	PIECE_DAY,
	PIECE_HOUR,
	PIECE_MINUTE
} PieceKind;

static const struct
{
	const char *name;
	PieceKind kind;
} placeholders[] = {
	{ "schema", PIECE_SCHEMA },
	{ "table", PIECE_TABLE },
	{ "database", PIECE_DATABASE },
	{ "slot", PIECE_SLOT },
	{ "yyyy", PIECE_YEAR },
	{ "mm", PIECE_MONTH },
	{ "dd", PIECE_DAY },
	{ "hh", PIECE_HOUR },
	{ "mi", PIECE_MINUTE },
};

#define NPLACEHOLDERS (sizeof(placeholders) / sizeof(placeholders[0]))

typedef struct Piece
{
	PieceKind kind;
	char end;  /* of a name: the byte behind it, if that must not be in it */
	size_t at; /* of text, in the template */
	size_t len;
} Piece;

struct Path
{
	char *text;
	Zone *zone;
	int n;
	Piece pieces[PIECES_MAX];
	PieceKind finest; /* PIECE_SLOT: no time at all */
};

static bool
is_time(PieceKind kind)
{
	return kind >= PIECE_YEAR;
}

static bool
is_name(PieceKind kind)
{
	return kind >= PIECE_SCHEMA && kind < PIECE_YEAR;
}

static const char *
name_of(PieceKind kind)
{
	for (size_t i = 0; i < NPLACEHOLDERS; i++)
	{
		if (placeholders[i].kind == kind)
			return placeholders[i].name;
	}
	return "";
}

/*
 * Parsing
 */
static bool
refuse(const Path *p, Err *err, const char *what, const char *hint)
{
	(void) err_set(err, ERR_USAGE, 0, "path \"%.200s\" %s", p->text, what);
	return err_hint(err, "%s", hint);
}

static bool
add_piece(Path *p, Piece piece, Err *err)
{
	if (p->n == PIECES_MAX)
		return refuse(p, err, "has too many parts", "make it shorter");
	p->pieces[p->n++] = piece;
	return true;
}

/* From behind the opening brace. */
static bool
add_placeholder(Path *p, size_t *at, Err *err)
{
	const char *s = p->text + *at;
	size_t n = strcspn(s, "{}/");
	char what[128];

	if (s[n] != '}')
		return refuse(p, err, "has a \"{\" without its \"}\"",
					  "a placeholder looks like {schema}");
	for (size_t i = 0; i < NPLACEHOLDERS; i++)
	{
		if (strlen(placeholders[i].name) != n ||
			memcmp(placeholders[i].name, s, n) != 0)
			continue;
		*at += n + 1;
		return add_piece(p, (Piece){ .kind = placeholders[i].kind }, err);
	}
	(void) snprintf(what, sizeof(what), "has the unknown placeholder {%.*s}",
					n > 32 ? 32 : (int) n, s);
	return refuse(p, err, what,
				  "known are {schema}, {table}, {database}, {slot}, {yyyy}, "
				  "{mm}, {dd}, {hh} and {mi}");
}

static bool
add_text(Path *p, size_t *at, Err *err)
{
	size_t n = strspn(p->text + *at,
					  "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
					  "0123456789-_.=");
	char what[64];

	if (n == 0)
	{
		(void) snprintf(what, sizeof(what),
						"has a byte that cannot stand in "
						"it: 0x%02X",
						(uint8_t) p->text[*at]);
		return refuse(p, err, what,
					  "besides placeholders it has letters, digits and "
					  "- _ . = / only");
	}
	*at += n;
	return add_piece(p, (Piece){ PIECE_TEXT, 0, *at - n, n }, err);
}

static bool
split(Path *p, Err *err)
{
	size_t at = 0;

	while (p->text[at])
	{
		bool ok;

		if (p->text[at] == '{')
		{
			at++;
			ok = add_placeholder(p, &at, err);
		}
		else if (p->text[at] == '/')
		{
			at++;
			ok = add_piece(p, (Piece){ .kind = PIECE_SLASH }, err);
		}
		else
			ok = add_text(p, &at, err);
		if (!ok)
			return false;
	}
	return true;
}

static bool
has(const Path *p, PieceKind kind)
{
	for (int i = 0; i < p->n; i++)
	{
		if (p->pieces[i].kind == kind)
			return true;
	}
	return false;
}

static bool
check_placeholders(Path *p, Err *err)
{
	char what[64];

	if (!has(p, PIECE_SCHEMA) || !has(p, PIECE_TABLE))
		return refuse(
			p, err, has(p, PIECE_SCHEMA) ? "has no {table}" : "has no {schema}",
			"two tables must never share a folder");
	p->finest = PIECE_SLOT;
	for (PieceKind k = PIECE_YEAR; k <= PIECE_MINUTE; k++)
	{
		if (!has(p, k))
			continue;
		if (k != PIECE_YEAR && p->finest != k - 1)
		{
			(void) snprintf(what, sizeof(what), "has {%s} without {%s}",
							name_of(k), name_of(k - 1));
			return refuse(p, err, what,
						  "each time needs all coarser ones, else a folder is "
						  "never complete");
		}
		p->finest = k;
	}
	return true;
}

/* Pieces of one segment, up to the slash or the end. */
static bool
check_segment(Path *p, int from, int to, Err *err)
{
	const Piece *first = &p->pieces[from];

	if (from == to)
		return refuse(p, err, "has an empty segment",
					  "it begins and ends without \"/\", and has no two of "
					  "them in a row");
	if (first->kind == PIECE_TEXT &&
		(p->text[first->at] == '_' || p->text[first->at] == '.'))
		return refuse(p, err, "has a segment that begins with \"_\" or \".\"",
					  "engines do not see such folders");
	for (int i = from; i + 1 < to; i++)
	{
		Piece *name = &p->pieces[i];
		const Piece *next = &p->pieces[i + 1];

		if (!is_name(name->kind) || (next->kind == PIECE_TEXT && i + 2 == to))
			continue; /* it ends with the segment, or with a fixed end */
		if (next->kind != PIECE_TEXT || !strchr("-_.=", p->text[next->at]))
		{
			char what[80];

			(void) snprintf(what, sizeof(what),
							"does not say where {%s} ends in its segment",
							name_of(name->kind));
			return refuse(p, err, what, "put one of - _ . = / behind the name");
		}
		name->end = p->text[next->at];
	}
	return true;
}

static bool
check_segments(Path *p, Err *err)
{
	int from = 0;

	for (int i = 0; i <= p->n; i++)
	{
		if (i < p->n && p->pieces[i].kind != PIECE_SLASH)
			continue;
		if (!check_segment(p, from, i, err))
			return false;
		from = i + 1;
	}
	return true;
}

bool
path_parse(const char *text, Zone *zone, Path **out, Err *err)
{
	Path *p = xcalloc(1, sizeof(*p));

	p->text = xstrdup(text);
	p->zone = zone;
	if (strlen(text) > TEXT_MAX)
		(void) refuse(p, err, "is too long", "it has 512 bytes at most");
	else if (split(p, err) && check_segments(p, err) &&
			 check_placeholders(p, err))
	{
		*out = p;
		return true;
	}
	path_free(p);
	return false;
}

void
path_free(Path *p)
{
	if (!p)
		return;
	zone_free(p->zone);
	free(p->text);
	free(p);
}

/*
 * Times
 */

/* Seconds of local time, as unix seconds would be. */
static int64_t
floor_div(int64_t a, int64_t b)
{
	return a / b - (a % b < 0);
}

static int64_t
local_seconds(const CivilTime *c)
{
	return floor_div(unix_us_from_civil(c), US_PER_SEC);
}

/* The years that have four digits, in local seconds. */
static int64_t
first_second(void)
{
	return local_seconds(&(CivilTime){ .year = 0, .month = 1, .day = 1 });
}

static int64_t
end_second(void)
{
	return local_seconds(&(CivilTime){ .year = 10000, .month = 1, .day = 1 });
}

static int64_t
to_local(const Path *p, int64_t unix_us, int64_t *out_until)
{
	int64_t s = floor_div(unix_us, US_PER_SEC);
	int64_t local = s + zone_offset(p->zone, s, out_until);

	if (local < first_second())
		return first_second();
	return local < end_second() ? local : end_second() - 1;
}

static void
civil_of_local(int64_t local, CivilTime *out)
{
	civil_from_unix_us(local * US_PER_SEC, out);
}

/* The stretch of local time, [from, to), that has this second. */
static void
stretch(const Path *p, int64_t local, int64_t *from, int64_t *to)
{
	static const int64_t steps[] = { 86400, 3600, 60 };
	CivilTime c;

	if (p->finest >= PIECE_DAY)
	{
		int64_t step = steps[p->finest - PIECE_DAY];

		*from = floor_div(local, step) * step;
		*to = *from + step;
		return;
	}
	civil_of_local(local, &c);
	c.day = 1;
	c.hour = c.minute = c.second = c.usec = 0;
	if (p->finest == PIECE_YEAR)
		c.month = 1;
	*from = local_seconds(&c);
	if (p->finest == PIECE_YEAR || c.month == 12)
	{
		c.year++;
		c.month = 1;
	}
	else
		c.month++;
	*to = local_seconds(&c);
}

/*
 * Narrows begin and end to the instants whose local time is in [from, to):
 * those of each offset that is in force about that time.
 */
static void
find_instants(const Path *p, int64_t from, int64_t to, int64_t *begin,
			  int64_t *end)
{
	int64_t at = from - ZONE_OFFSET_MAX;
	int64_t stop = to + ZONE_OFFSET_MAX;
	bool found = false;

	while (at < stop)
	{
		int64_t until;
		int64_t offset = zone_offset(p->zone, at, &until);
		int64_t first = from - offset > at ? from - offset : at;
		int64_t last = to - offset < until ? to - offset : until;

		if (first < last)
		{
			*begin = found ? *begin : first;
			*end = last;
			found = true;
		}
		at = until;
	}
}

static int64_t
to_us(int64_t s)
{
	return s * US_PER_SEC;
}

PathSpan
path_span(const Path *p, int64_t unix_us)
{
	PathSpan span = { 0, INT64_MIN, INT64_MAX, INT64_MAX };
	int64_t now = floor_div(unix_us, US_PER_SEC);
	int64_t until;
	int64_t local;
	int64_t from;
	int64_t to;
	int64_t begin = 0;
	int64_t end = 0;

	if (p->finest == PIECE_SLOT)
		return span;
	local = to_local(p, unix_us, &until);
	stretch(p, local, &from, &to);
	find_instants(p, from, to, &begin, &end);
	span.id = from;
	if (from > first_second())
		span.begin = to_us(begin);
	if (to < end_second())
	{
		span.end = to_us(end);
		if (now + (to - local) < until)
			until = now + (to - local);
	}
	if (until < INT64_MAX / US_PER_SEC)
		span.until = to_us(until);
	return span;
}

/*
 * Folders
 */
static const char *
value_of(const PathNames *names, PieceKind kind)
{
	switch (kind)
	{
		case PIECE_SCHEMA:
			return names->schema;
		case PIECE_TABLE:
			return names->table;
		case PIECE_DATABASE:
			return names->database;
		default:
			return names->slot;
	}
}

static void
add_piece_text(const Path *p, const Piece *piece, const PathNames *names,
			   const CivilTime *c, Buf *out)
{
	if (piece->kind == PIECE_TEXT)
		buf_add(out, p->text + piece->at, piece->len);
	else if (piece->kind == PIECE_SLASH)
		buf_byte(out, '/');
	else if (is_name(piece->kind))
		key_add_part(out, value_of(names, piece->kind), piece->end);
	else if (piece->kind == PIECE_YEAR)
		buf_printf(out, "%04d", (int) c->year);
	else
		buf_printf(out, "%02d",
				   piece->kind == PIECE_MONTH  ? c->month
				   : piece->kind == PIECE_DAY  ? c->day
				   : piece->kind == PIECE_HOUR ? c->hour
											   : c->minute);
}

void
path_add(const Path *p, const PathNames *names, int64_t unix_us, Buf *out)
{
	CivilTime c;

	civil_of_local(to_local(p, unix_us, NULL), &c);
	for (int i = 0; i < p->n; i++)
		add_piece_text(p, &p->pieces[i], names, &c, out);
	buf_byte(out, '/');
}

void
path_add_prefix(const Path *p, const PathNames *names, Buf *out)
{
	static const CivilTime none;
	int n = 0; /* pieces of whole segments */

	for (int i = 0; i < p->n && !is_time(p->pieces[i].kind); i++)
	{
		if (p->pieces[i].kind == PIECE_SLASH)
			n = i + 1;
	}
	if (p->finest == PIECE_SLOT)
		n = p->n;
	for (int i = 0; i < n; i++)
		add_piece_text(p, &p->pieces[i], names, &none, out);
	if (p->finest == PIECE_SLOT)
		buf_byte(out, '/');
}

/* A pattern, or the form: they differ in what stands for a time. */
static void
add_any(const Path *p, const PathNames *names, bool glob, Buf *out)
{
	static const CivilTime none;

	for (int i = 0; i < p->n; i++)
	{
		const Piece *piece = &p->pieces[i];

		if (!is_time(piece->kind))
			add_piece_text(p, piece, names, &none, out);
		else if (glob)
			buf_str(out, piece->kind == PIECE_YEAR ? "????" : "??");
		else
			buf_printf(out, "{%s}", name_of(piece->kind));
	}
	buf_byte(out, '/');
}

void
path_add_glob(const Path *p, const PathNames *names, Buf *out)
{
	add_any(p, names, true, out);
}

void
path_add_form(const Path *p, const PathNames *names, Buf *out)
{
	add_any(p, names, false, out);
}
