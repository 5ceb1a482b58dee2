/*-------------------------------------------------------------------------
 * schema.c
 *	  The columns of one table at one moment, and their file in the lake.
 *
 * The file's bytes are canonical: the same schema always gives the same
 * bytes, hence the same hash.  That is why it is written by hand here and
 * only read with a JSON library.
 * Layer: codec.
 *-------------------------------------------------------------------------
 */
#include "codec/schema.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "base/mem.h"
#include "cdc_s3_proto.h"
#include "codec/hash.h"

static const char *const reserved[] = {
	"_op",
	"_lsn",
	"_seq",
	"_xid",
	"_ts",
	"_unchanged",
	"_key",
	"_before",
	"_nokey",
	"_withheld",
	"_jsonnull",
	"_partial",
	"_reason",
	"_exact",
	"_moved",
	/* what replay adds */
	"_schema",
	"_table",
	/* partition keys */
	"year",
	"month",
	"day",
	"hour",
};

static const char *const kind_names[] = {
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
	[CDC_S3_KIND_STRING] = "string",
	[CDC_S3_KIND_BYTEA] = "bytea",
	[CDC_S3_KIND_JSON] = "json",
	[CDC_S3_KIND_TEXT] = "text",
};

#define NKINDS (sizeof(kind_names) / sizeof(kind_names[0]))

Schema *
schema_new(const char *schema, const char *table, int ncols)
{
	Schema *s = xcalloc(1, sizeof(*s));

	s->schema = xstrdup(schema);
	s->table = xstrdup(table);
	s->ncols = ncols;
	atomic_init(&s->users, 1);
	s->cols = xcalloc((size_t) ncols, sizeof(*s->cols));
	return s;
}

/* Those of the columns, where each is a piece of memory. */
static void
free_strings(Schema *s)
{
	for (int i = 0; i < s->ncols; i++)
	{
		free(s->cols[i].name);
		free(s->cols[i].json_name);
		free(s->cols[i].type_schema);
		free(s->cols[i].type_name);
		free(s->cols[i].missing);
	}
}

Schema *
schema_ref(Schema *s)
{
	atomic_fetch_add(&s->users, 1);
	return s;
}

void
schema_free(Schema *s)
{
	if (!s || atomic_fetch_sub(&s->users, 1) > 1)
		return;
	if (!s->strings)
		free_strings(s);
	free(s->strings);
	free(s->cols);
	free(s->schema);
	free(s->table);
	free(s);
}

/*
 * True where name, less trailing underscores, is taken by the record: in any
 * case, since the engines that read records know none.
 */
static bool
is_reserved(const char *name)
{
	size_t n = strlen(name);

	while (n > 0 && name[n - 1] == '_')
		n--;
	for (size_t i = 0; i < sizeof(reserved) / sizeof(reserved[0]); i++)
	{
		if (strlen(reserved[i]) == n && strncasecmp(reserved[i], name, n) == 0)
			return true;
	}
	return false;
}

static void
add_json_string(Buf *out, const char *s)
{
	buf_byte(out, '"');
	for (; *s; s++)
	{
		uint8_t c = (uint8_t) *s;

		if (c == '"' || c == '\\')
			buf_byte(out, '\\');
		if (c < 0x20)
			buf_printf(out, "\\u%04x", c);
		else
			buf_byte(out, c);
	}
	buf_byte(out, '"');
}

static void
add_pair(Buf *out, const char *name, const char *value)
{
	buf_printf(out, "\"%s\":", name);
	add_json_string(out, value);
	buf_byte(out, ',');
}

static void
encode_column(const SchemaColumn *c, Buf *out)
{
	buf_byte(out, '{');
	add_pair(out, "name", c->name);
	add_pair(out, "json_name", c->json_name);
	add_pair(out, "type_schema", c->type_schema);
	add_pair(out, "type", c->type_name);
	add_pair(out, "kind", kind_names[c->kind]);
	buf_printf(out,
			   "\"type_oid\":%u,\"base_oid\":%u,\"typmod\":%d,\"attnum\":%d,"
			   "\"pk\":%d,\"identity\":%s,\"key\":%s,\"not_null\":%s,"
			   "\"generated\":%s",
			   c->type_oid, c->base_oid, (int) c->typmod, c->attnum, c->pk,
			   c->identity ? "true" : "false", c->key ? "true" : "false",
			   c->not_null ? "true" : "false", c->generated ? "true" : "false");
	if (c->has_missing)
	{
		buf_str(out, ",\"missing\":");
		if (c->missing)
			add_json_string(out, c->missing);
		else
			buf_str(out, "null");
	}
	buf_byte(out, '}');
}

void
schema_encode(const Schema *s, Buf *out)
{
	buf_str(out, "{\"version\":1,");
	add_pair(out, "schema", s->schema);
	add_pair(out, "table", s->table);
	buf_printf(out, "\"relation_id\":%u,\"row_type\":%u,", s->relation_id,
			   s->row_type);
	if (s->field_base > 0)
		buf_printf(out, "\"field_base\":%d,", s->field_base);
	buf_printf(out, "\"identity\":\"%c\",\"columns\":[", s->identity);
	for (int i = 0; i < s->ncols; i++)
	{
		buf_str(out, i ? ",\n" : "\n");
		encode_column(&s->cols[i], out);
	}
	buf_str(out, "]}\n");
}

/*
 * Moves *string to block + n, unless it is the same as "other", whose place it
 * then shares.  Returns the bytes used.  Without a block it only counts.
 */
static size_t
pack_string(char *block, size_t n, char **string, char *other)
{
	size_t size = strlen(*string) + 1;
	bool same = other && strcmp(*string, other) == 0;
	char *to = same ? other : block + n;

	if (!block)
		return same ? 0 : size;
	if (!same)
		memcpy(to, *string, size);
	free(*string);
	*string = to;
	return same ? 0 : size;
}

static size_t
pack_into(Schema *s, char *block)
{
	size_t n = 0;

	for (int i = 0; i < s->ncols; i++)
	{
		SchemaColumn *c = &s->cols[i];
		SchemaColumn *before = i > 0 ? c - 1 : NULL;

		n += pack_string(block, n, &c->name, NULL);
		n += pack_string(block, n, &c->json_name, c->name);
		n += pack_string(block, n, &c->type_schema,
						 before ? before->type_schema : NULL);
		n += pack_string(block, n, &c->type_name,
						 before ? before->type_name : NULL);
		if (c->missing)
			n += pack_string(block, n, &c->missing, NULL);
	}
	return n;
}

/*
 * One piece of memory instead of four a column: with ten thousand tables that
 * is a third of what they take.
 */
static void
pack_strings(Schema *s)
{
	char *block;

	if (s->ncols == 0 || s->strings)
		return;
	block = xmalloc(pack_into(s, NULL));
	(void) pack_into(s, block);
	s->strings = block;
}

/* Does a column before that one have the name, in any case? */
static bool
is_taken(const Schema *s, int col, const char *json_name)
{
	for (int i = 0; i < col; i++)
		if (strcasecmp(s->cols[i].json_name, json_name) == 0)
			return true;
	return false;
}

static void
name_column(Schema *s, int col)
{
	SchemaColumn *c = &s->cols[col];
	char *name = xasprintf("%s%s", c->name, is_reserved(c->name) ? "_" : "");

	while (is_taken(s, col, name))
	{
		char *longer = xasprintf("%s_", name);

		free(name);
		name = longer;
	}
	free(c->json_name);
	c->json_name = name;
}

void
schema_finish(Schema *s)
{
	Buf b;
	uint8_t sum[SHA256_LEN];

	for (int i = 0; !s->strings && i < s->ncols; i++)
		name_column(s, i);
	buf_init(&b, SCHEMA_FILE_MAX);
	schema_encode(s, &b);
	sha256(b.p, b.n, sum);
	for (int i = 0; i < SCHEMA_HASH_LEN / 2; i++)
		(void) snprintf(s->hash + 2 * i, 3, "%02x", sum[i]); /* fits */
	buf_done(&b);
	pack_strings(s);
}

static bool
parse_kind(const char *name, uint8_t *out)
{
	for (size_t i = 1; i < NKINDS; i++)
	{
		if (strcmp(kind_names[i], name) == 0)
		{
			*out = (uint8_t) i;
			return true;
		}
	}
	return false;
}

/* Files of earlier releases have none. */
static bool
parse_missing(json_t *obj, SchemaColumn *c)
{
	json_t *missing = json_object_get(obj, "missing");

	c->has_missing = missing != NULL;
	if (json_is_string(missing))
		c->missing = xstrdup(json_string_value(missing));
	return !missing || json_is_null(missing) || json_is_string(missing);
}

static bool
parse_column(json_t *obj, SchemaColumn *c)
{
	const char *name;
	const char *json_name;
	const char *type_schema;
	const char *type;
	const char *kind;
	json_int_t type_oid;
	json_int_t base_oid;
	int identity;
	int key;
	int not_null;
	int generated;
	int typmod;

	if (json_unpack(
			obj, "{s:s,s:s,s:s,s:s,s:s,s:I,s:I,s:i,s:i,s:i,s:b,s:b,s:b,s:b}",
			"name", &name, "json_name", &json_name, "type_schema", &type_schema,
			"type", &type, "kind", &kind, "type_oid", &type_oid, "base_oid",
			&base_oid, "typmod", &typmod, "attnum", &c->attnum, "pk", &c->pk,
			"identity", &identity, "key", &key, "not_null", &not_null,
			"generated", &generated) != 0)
		return false;
	c->name = xstrdup(name);
	c->json_name = xstrdup(json_name);
	c->type_schema = xstrdup(type_schema);
	c->type_name = xstrdup(type);
	c->type_oid = (uint32_t) type_oid;
	c->base_oid = (uint32_t) base_oid;
	c->typmod = typmod;
	c->identity = identity;
	c->key = key;
	c->not_null = not_null;
	c->generated = generated;
	return parse_missing(obj, c) && parse_kind(kind, &c->kind);
}

/* The parsed document becomes a Schema; NULL where a field is missing. */
static Schema *
from_json(json_t *doc)
{
	Schema *s;
	const char *schema;
	const char *table;
	const char *identity;
	json_int_t relation_id;
	json_int_t row_type = 0; /* files of earlier releases have none */
	int field_base = 0;      /* likewise, and those of a name's first table */
	json_t *columns;
	int version;

	if (json_unpack(doc, "{s:i,s:s,s:s,s:I,s?I,s?i,s:s,s:o}", "version",
					&version, "schema", &schema, "table", &table, "relation_id",
					&relation_id, "row_type", &row_type, "field_base",
					&field_base, "identity", &identity, "columns",
					&columns) != 0 ||
		version != 1 || !json_is_array(columns))
		return NULL;
	s = schema_new(schema, table, (int) json_array_size(columns));
	s->relation_id = (uint32_t) relation_id;
	s->row_type = (uint32_t) row_type;
	s->field_base = field_base;
	s->identity = identity[0];
	for (int i = 0; i < s->ncols; i++)
	{
		if (!parse_column(json_array_get(columns, (size_t) i), &s->cols[i]))
		{
			schema_free(s);
			return NULL;
		}
	}
	return s;
}

bool
schema_parse(Slice json, Schema **out, Err *err)
{
	json_error_t jerr;
	uint8_t sum[SHA256_LEN];
	json_t *doc = json_loadb((const char *) json.p, json.n, 0, &jerr);
	Schema *s = doc ? from_json(doc) : NULL;

	json_decref(doc);
	if (!s)
		return err_set(err, ERR_DATA, 0, "not a schema file of version 1: %s",
					   doc ? "a field is missing" : jerr.text);
	sha256(json.p, json.n, sum);
	for (int i = 0; i < SCHEMA_HASH_LEN / 2; i++)
		(void) snprintf(s->hash + 2 * i, 3, "%02x", sum[i]); /* fits */
	*out = s;
	return true;
}

bool
schema_has_key(const Schema *s)
{
	for (int i = 0; i < s->ncols; i++)
	{
		if (s->cols[i].key)
			return true;
	}
	return false;
}

bool
schema_is_bag(const Schema *s)
{
	for (int i = 0; i < s->ncols; i++)
	{
		if (s->cols[i].pk > 0)
			return false;
	}
	return s->identity == 'f';
}

bool
schema_same_type(const SchemaColumn *a, const SchemaColumn *b)
{
	return a->typmod == b->typmod && a->base_oid == b->base_oid &&
		   a->type_oid == b->type_oid &&
		   strcmp(a->type_name, b->type_name) == 0 &&
		   strcmp(a->type_schema, b->type_schema) == 0;
}
