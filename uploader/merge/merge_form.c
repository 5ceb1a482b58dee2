/*-------------------------------------------------------------------------
 * merge_form.c
 *	  Whether a column of the target is as fine as the source's.
 *
 * Types are judged by their OID (built-in ones are the same everywhere), others
 * by their name.  What is not known to be as fine is coarse: that costs a
 * column more, and no row.  Of the source's collations the lake says nothing;
 * its records name keys by their bytes, so strings are told apart by these.
 * Layer: merge.
 *-------------------------------------------------------------------------
 */
#include "merge/merge_form.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define FIRST_USER_OID 16384
#define NUMBER_MAX 24

enum
{
	OID_NAME = 19,
	OID_INT8 = 20,
	OID_INT2 = 21,
	OID_INT4 = 23,
	OID_TEXT = 25,
	OID_OID = 26,
	OID_FLOAT4 = 700,
	OID_FLOAT8 = 701,
	OID_BPCHAR = 1042,
	OID_VARCHAR = 1043,
	OID_TIME = 1083,
	OID_TIMESTAMP = 1114,
	OID_TIMESTAMPTZ = 1184,
	OID_TIMETZ = 1266,
	OID_NUMERIC = 1700
};

static const char equals[] = "OPERATOR(pg_catalog.=)";

static bool
is_number(uint32_t oid)
{
	return oid == OID_INT2 || oid == OID_INT4 || oid == OID_INT8 ||
		   oid == OID_OID || oid == OID_FLOAT4 || oid == OID_FLOAT8 ||
		   oid == OID_NUMERIC;
}

static bool
is_integer(uint32_t oid)
{
	return oid == OID_INT2 || oid == OID_INT4 || oid == OID_INT8;
}

static bool
is_string(uint32_t oid)
{
	return oid == OID_TEXT || oid == OID_VARCHAR || oid == OID_BPCHAR ||
		   oid == OID_NAME;
}

/* Digits behind the point that a numeric's modifier leaves. */
static int
scale_of(int32_t typmod)
{
	return (((typmod - 4) & 0x7ff) ^ 1024) - 1024;
}

/* The same built-in type: does the target's modifier leave out more? */
static bool
modifier_is_coarser(uint32_t oid, int32_t source, int32_t target)
{
	if (target < 0 || source == target || oid == OID_BPCHAR)
		return false;
	switch (oid)
	{
		case OID_NUMERIC:
			return source < 0 || scale_of(target) < scale_of(source);
		case OID_VARCHAR:
		case OID_TIME:
		case OID_TIMETZ:
		case OID_TIMESTAMP:
		case OID_TIMESTAMPTZ:
			return source < 0 || target < source;
		default:
			return true;
	}
}

/* A type that holds all values of an integer type, each on its own. */
static bool
holds_integers(uint32_t source, const Form *c)
{
	if (c->oid == OID_NUMERIC)
		return c->typmod < 0 || scale_of(c->typmod) >= 0;
	if (c->oid == OID_FLOAT8)
		return source != OID_INT8;
	return c->oid == OID_INT8 || (c->oid == OID_INT4 && source == OID_INT2);
}

/* A type of somebody's own, known by its name. */
static bool
same_user_type(const SchemaColumn *s, const Form *c)
{
	return c->oid >= FIRST_USER_OID && s->type_oid >= FIRST_USER_OID &&
		   strcmp(c->type_schema, s->type_schema) == 0 &&
		   strcmp(c->type_name, s->type_name) == 0;
}

static bool
is_coarser(const SchemaColumn *s, const Form *c)
{
	uint32_t source = s->base_oid;

	if (c->nondeterministic)
		return true;
	if (c->oid == OID_TEXT || (c->oid == OID_VARCHAR && c->typmod < 0))
		return false; /* as fine as what is written out */
	if (c->oid == source && source < FIRST_USER_OID)
		return modifier_is_coarser(source, s->typmod, c->typmod);
	if (is_integer(source))
		return !holds_integers(source, c);
	if (source == OID_FLOAT4 && c->oid == OID_FLOAT8)
		return false;
	return !same_user_type(s, c) || c->typmod != s->typmod;
}

/* The name of a built-in type, without a modifier; the caller frees. */
static bool
type_name(MergeCx *cx, uint32_t oid, char **out, Err *err)
{
	char number[NUMBER_MAX];
	const char *values[] = { number };
	PGresult *res;

	(void) snprintf(number, sizeof(number), "%u", oid); /* fits */
	if (!sql_params(cx, "look up a type",
					"SELECT format('pg_catalog.%I', typname) FROM pg_type"
					" WHERE oid = $1::oid",
					1, values, &res, err))
		return false;
	*out = xstrdup(PQntuples(res) > 0 ? PQgetvalue(res, 0, 0) : "text");
	PQclear(res);
	return true;
}

/*
 * The type in which values of the source are told apart as the source does,
 * and in which all values of the target can be read; one: all versions of
 * the table have the same type in this column.
 */
static bool
set_form(MergeCx *cx, const SchemaColumn *s, bool one, Form *c, Err *err)
{
	uint32_t source = one ? s->base_oid : OID_TEXT;
	Buf name;

	c->equal = equals;
	if (is_number(source) && is_number(c->oid))
		c->type = xstrdup("pg_catalog.numeric");
	else if (one && same_user_type(s, c))
	{
		buf_init(&name, SQL_MAX);
		sql_add_qualified(&name, c->type_schema, c->type_name);
		c->type = xstrdup(buf_cstr(&name));
		c->equal = c->own_equal;
		buf_done(&name);
	}
	else if (source < FIRST_USER_OID && !is_string(source) &&
			 !is_number(source))
		return type_name(cx, source, &c->type, err);
	else
	{
		c->type = xstrdup(source == OID_BPCHAR ? "pg_catalog.bpchar"
											   : "pg_catalog.text");
		c->bytes = true;
	}
	return true;
}

bool
form_judge(MergeCx *cx, const SchemaColumn *const *versions, int n, bool key,
		   Form *f, Err *err)
{
	bool one = true;

	for (int i = 0; i < n; i++)
	{
		one = one && versions[i]->base_oid == versions[n - 1]->base_oid;
		f->coarse = f->coarse || is_coarser(versions[i], f);
	}
	return !f->coarse || !key || set_form(cx, versions[n - 1], one, f, err);
}

void
form_done(Form *f)
{
	free(f->type_schema);
	free(f->type_name);
	free(f->type);
	*f = (Form){ 0 };
}

void
form_add_column(const Form *f, int number, Buf *sql)
{
	if (f->type)
		buf_printf(sql, ", k%d %s%s", number, f->type,
				   f->bytes ? " COLLATE \"C\"" : "");
}

void
form_add_back(const Form *f, Buf *sql, const char *prefix, const char *column)
{
	buf_printf(sql, "%s.%s::pg_catalog.text::%s%s", prefix, column, f->type,
			   f->bytes ? " COLLATE \"C\"" : "");
}
