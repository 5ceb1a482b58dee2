/*-------------------------------------------------------------------------
 * merge_bound.c
 *	  The bound of a partition to a condition on the target's columns.
 *
 *	  condition	 either { OR either }
 *	  either	 each { AND each }
 *	  each		 NOT each | test | "(" condition ")"
 *	  test		 column (IS [NOT] NULL | op literal | = ANY "(" array ")")
 *	  column	 name | "(" column ")" [:: type]
 *	  literal	 (string | number | TRUE | FALSE) [:: type]
 *
 * A literal gets the type that its column has at the source, whatever the
 * target made of it, so that both compare alike.
 * Layer: merge.
 *-------------------------------------------------------------------------
 */
#include "merge/merge_bound.h"

#include <strings.h>

#include "cdc_s3_proto.h"
#include "io/pgconn.h"

#define DEPTH_MAX 64
#define NAME_MAX_BYTES 256
#define BOUND_MAX ((size_t) 1 << 20)

typedef struct Reader
{
	const char *p;
	const char *end;
	const Schema *schema;
	Buf *out;
	int depth;
} Reader;

static bool read_condition(Reader *r);

/* ---- tokens ---- */

static void
skip_space(Reader *r)
{
	while (r->p < r->end && (*r->p == ' ' || *r->p == '\n' || *r->p == '\t'))
		r->p++;
}

static bool
is_word_byte(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
		   (c >= '0' && c <= '9') || c == '_' || c == '$' || (c & 0x80);
}

/* Takes a sign, or leaves all as it is. */
static bool
take(Reader *r, const char *sign)
{
	size_t n = strlen(sign);

	skip_space(r);
	if ((size_t) (r->end - r->p) < n || memcmp(r->p, sign, n) != 0)
		return false;
	r->p += n;
	return true;
}

static bool
take_word(Reader *r, const char *word)
{
	size_t n = strlen(word);

	skip_space(r);
	if ((size_t) (r->end - r->p) < n || strncasecmp(r->p, word, n) != 0 ||
		(r->p + n < r->end && is_word_byte(r->p[n])))
		return false;
	r->p += n;
	return true;
}

/* A name, with or without double quotes. */
static bool
take_name(Reader *r, char *out)
{
	size_t n = 0;
	bool quoted = take(r, "\"");

	if (!quoted && (r->p == r->end || (*r->p >= '0' && *r->p <= '9')))
		return false;
	for (; r->p < r->end && (quoted || is_word_byte(*r->p)); r->p++)
	{
		if (quoted && *r->p == '"')
		{
			r->p++;
			if (r->p == r->end || *r->p != '"')
			{
				out[n] = '\0';
				return n > 0;
			}
		}
		if (n + 1 == NAME_MAX_BYTES || *r->p == '\0')
			return false;
		out[n++] = *r->p;
	}
	out[n] = '\0';
	return !quoted && n > 0;
}

/* "(10,2)" or "[]", where it is there. */
static bool
skip_modifier(Reader *r, const char *open, const char *close)
{
	if (!take(r, open))
		return true;
	while (r->p < r->end && (*r->p == ',' || (*r->p >= '0' && *r->p <= '9')))
		r->p++;
	return take(r, close);
}

/* ":: type", any number of times; which type it is tells the column. */
static bool
skip_casts(Reader *r)
{
	static const char *const more[] = { "varying", "precision", "without",
										"with",    "time",      "zone" };
	char name[NAME_MAX_BYTES];

	while (take(r, "::"))
	{
		bool any = true;

		if (!take_name(r, name) || (take(r, ".") && !take_name(r, name)))
			return false;
		while (any)
		{
			any = false;
			if (!skip_modifier(r, "(", ")"))
				return false;
			for (size_t i = 0; i < sizeof(more) / sizeof(more[0]); i++)
				any |= take_word(r, more[i]);
		}
		if (!skip_modifier(r, "[", "]"))
			return false;
	}
	return true;
}

/* ---- values ---- */

static const SchemaColumn *
find_column(const Reader *r, const char *name)
{
	for (int i = 0; i < r->schema->ncols; i++)
	{
		if (strcmp(r->schema->cols[i].name, name) == 0)
			return &r->schema->cols[i];
	}
	return NULL;
}

static bool
read_column(Reader *r, const SchemaColumn **out)
{
	char name[NAME_MAX_BYTES];
	bool ok;

	if (take(r, "("))
	{
		if (++r->depth > DEPTH_MAX)
			return false;
		ok = read_column(r, out) && take(r, ")");
		r->depth--;
		return ok && skip_casts(r);
	}
	if (!take_name(r, name))
		return false;
	*out = find_column(r, name);
	return *out != NULL;
}

/* A string's bytes as they go into E'…'. */
static bool
add_string(Reader *r, bool escaped)
{
	for (; r->p < r->end; r->p++)
	{
		if (*r->p == '\0')
			return false;
		if (*r->p == '\'')
		{
			r->p++;
			if (r->p == r->end || *r->p != '\'')
				return true;
			buf_byte(r->out, '\'');
		}
		else if (*r->p == '\\')
		{
			/* the server writes no other escape than this one */
			if (escaped && (++r->p == r->end || *r->p != '\\'))
				return false;
			buf_byte(r->out, '\\');
		}
		buf_byte(r->out, (uint8_t) *r->p);
	}
	return false;
}

static bool
add_number(Reader *r)
{
	size_t from = r->out->n;

	skip_space(r);
	for (; r->p < r->end && ((*r->p >= '0' && *r->p <= '9') || *r->p == '.');
		 r->p++)
		buf_byte(r->out, (uint8_t) *r->p);
	return r->out->n > from;
}

static bool
read_literal(Reader *r)
{
	bool ok;

	buf_str(r->out, "E'");
	if (take(r, "'"))
		ok = add_string(r, false);
	else if (take(r, "E'"))
		ok = add_string(r, true);
	else if (take_word(r, "true"))
	{
		buf_str(r->out, "true");
		ok = true;
	}
	else if (take_word(r, "false"))
	{
		buf_str(r->out, "false");
		ok = true;
	}
	else
		ok = add_number(r);
	buf_byte(r->out, '\'');
	return ok && skip_casts(r);
}

/* The type whose order is the same everywhere; NULL: there is none. */
static const char *
ordered_type(const SchemaColumn *c)
{
	static const char *const types[] = {
		[CDC_S3_KIND_BOOL] = "bool",
		[CDC_S3_KIND_INT2] = "int2",
		[CDC_S3_KIND_INT4] = "int4",
		[CDC_S3_KIND_INT8] = "int8",
		[CDC_S3_KIND_OID] = "oid",
		[CDC_S3_KIND_FLOAT4] = "float4",
		[CDC_S3_KIND_FLOAT8] = "float8",
		[CDC_S3_KIND_DATE] = "date",
		[CDC_S3_KIND_TIME] = "time",
		[CDC_S3_KIND_TIMETZ] = "timetz",
		[CDC_S3_KIND_TIMESTAMP] = "timestamp",
		[CDC_S3_KIND_TIMESTAMPTZ] = "timestamptz",
		[CDC_S3_KIND_INTERVAL] = "interval",
		[CDC_S3_KIND_UUID] = "uuid",
		[CDC_S3_KIND_NUMERIC] = "numeric",
	};

	return c->kind <= CDC_S3_KIND_NUMERIC ? types[c->kind] : NULL;
}

/* "a", as the type that it has at the source. */
static void
add_column(Reader *r, const SchemaColumn *c)
{
	const char *type = ordered_type(c);

	pg_add_ident(r->out, c->name);
	if (type)
		buf_printf(r->out, "::pg_catalog.%s", type);
}

/* ---- conditions ---- */

static bool
read_array(Reader *r)
{
	bool inner = take(r, "(");

	if (!take_word(r, "ARRAY") || !take(r, "["))
		return false;
	do
	{
		if (!read_literal(r))
			return false;
		buf_str(r->out, ", ");
	} while (take(r, ","));
	r->out->n -= 2;
	return take(r, "]") && (!inner || take(r, ")")) && skip_casts(r);
}

static bool
read_null_test(Reader *r, const SchemaColumn *c)
{
	bool not = take_word(r, "NOT");

	pg_add_ident(r->out, c->name);
	buf_str(r->out, not ? " IS NOT NULL" : " IS NULL");
	return take_word(r, "NULL");
}

static bool
read_comparison(Reader *r, const SchemaColumn *c)
{
	static const char *const orders[] = { "<=", ">=", "<", ">" };

	add_column(r, c);
	if (take(r, "="))
	{
		bool ok;

		if (!ordered_type(c) && c->kind != CDC_S3_KIND_STRING)
			return false;
		if (!take_word(r, "ANY"))
		{
			buf_str(r->out, " = ");
			return read_literal(r);
		}
		buf_str(r->out, " IN (");
		ok = take(r, "(") && read_array(r) && take(r, ")");
		buf_byte(r->out, ')');
		return ok;
	}
	for (size_t i = 0; ordered_type(c) && i < 4; i++)
	{
		if (!take(r, orders[i]))
			continue;
		buf_printf(r->out, " %s ", orders[i]);
		return read_literal(r);
	}
	return false;
}

static bool
read_test(Reader *r)
{
	const SchemaColumn *c;

	if (!read_column(r, &c))
		return false;
	return take_word(r, "IS") ? read_null_test(r, c) : read_comparison(r, c);
}

static bool
read_each(Reader *r)
{
	Reader back = *r;
	size_t n = r->out->n;
	bool ok;

	if (take_word(r, "NOT"))
	{
		if (++r->depth > DEPTH_MAX)
			return false;
		buf_str(r->out, "NOT ");
		ok = read_each(r);
		r->depth--;
		return ok;
	}
	if (read_test(r))
		return true;
	*r = back;
	r->out->n = n;
	if (!take(r, "(") || ++r->depth > DEPTH_MAX)
		return false;
	buf_byte(r->out, '(');
	ok = read_condition(r) && take(r, ")");
	buf_byte(r->out, ')');
	r->depth--;
	return ok;
}

static bool
read_either(Reader *r)
{
	while (read_each(r))
	{
		if (!take_word(r, "AND"))
			return true;
		buf_str(r->out, " AND ");
	}
	return false;
}

static bool
read_condition(Reader *r)
{
	while (read_either(r))
	{
		if (!take_word(r, "OR"))
			return true;
		buf_str(r->out, " OR ");
	}
	return false;
}

bool
bound_to_sql(Slice bound, const Schema *schema, Buf *out)
{
	const char *p = (const char *) bound.p;
	Buf sql;
	Reader r = { p, p + bound.n, schema, &sql, 0 };
	bool ok;

	if (bound.n == 0 || bound.n > BOUND_MAX)
		return false;
	buf_init(&sql, 16 * BOUND_MAX);
	ok = read_condition(&r);
	skip_space(&r);
	ok = ok && r.p == r.end && !sql.overflow;
	if (ok)
		buf_add(out, sql.p, sql.n);
	buf_done(&sql);
	return ok;
}
