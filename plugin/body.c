/*-------------------------------------------------------------------------
 * body.c
 *	  The body of a relation frame.  It ends with the values that rows have
 *	  which are older than their column (pg_attribute.attmissingval).
 *
 * Which partition stands for a partitioned table depends on the catalog alone,
 * so that all partitions of one root say the same of it, and a reader that
 * asks the catalog gets the same.  That partition is watched: when it changes,
 * all entries are made anew.
 *
 * No error for what a value is: one whose text is not sure to fit, or has no
 * UTF-8 form, has no text.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/tupdesc_details.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#include "cdc_s3.h"

/* Of one value, and of all of a frame, beyond which they have no text. */
#define TEXT_MAX (1024 * 1024)
#define TEXTS_MAX (2 * 1024 * 1024)

/* ---- names and columns ---- */

static void
body_u8(StringInfo s, uint8 v)
{
	appendStringInfoCharMacro(s, (char) v);
}

static void
body_u16(StringInfo s, uint16 v)
{
	appendBinaryStringInfo(s, (char *) &v, sizeof(v));
}

static void
body_u32(StringInfo s, uint32 v)
{
	appendBinaryStringInfo(s, (char *) &v, sizeof(v));
}

static void
body_name(CdcS3State *st, StringInfo s, const char *name)
{
	Size len;
	const char *utf8 = cdc_s3_name_utf8(st, name, &len);

	body_u16(s, (uint16) len);
	appendBinaryStringInfo(s, utf8, (int) len);
}

static void
body_type(CdcS3State *st, StringInfo s, Oid type)
{
	HeapTuple tup = SearchSysCache1(TYPEOID, ObjectIdGetDatum(type));
	Form_pg_type form;
	char *schema;

	if (!HeapTupleIsValid(tup))
	{
		body_u32(s, 0); /* two empty names */
		return;
	}
	form = (Form_pg_type) GETSTRUCT(tup);
	schema = get_namespace_name(form->typnamespace);
	body_name(st, s, schema ? schema : "");
	body_name(st, s, NameStr(form->typname));
	ReleaseSysCache(tup);
}

static void
body_column(CdcS3State *st, StringInfo s, const CdcS3Column *col)
{
	body_u8(s, col->kind);
	body_u8(s, col->flags);
	body_u16(s, (uint16) col->attnum);
	body_u16(s, col->pk_position);
	body_u32(s, col->type);
	body_u32(s, col->base_type);
	body_u32(s, (uint32) col->typmod);
	body_name(st, s, col->name);
	body_type(st, s, col->type);
}

/* ---- missing values ---- */

/*
 * The first of the tables below a partitioned one, without a lock.  Children
 * come in the order of their OIDs.
 */
static Oid
first_leaf(CdcS3State *st, Oid relid)
{
	List *children;
	ListCell *lc;
	Oid leaf = InvalidOid;

	check_stack_depth();
	cdc_s3_watch_relation(st, relid);
	children = find_inheritance_children(relid, NoLock);
	foreach (lc, children)
	{
		char kind = get_rel_relkind(lfirst_oid(lc));

		if (kind == RELKIND_RELATION)
			leaf = lfirst_oid(lc);
		else if (kind == RELKIND_PARTITIONED_TABLE)
			leaf = first_leaf(st, lfirst_oid(lc));
		if (OidIsValid(leaf))
			break;
	}
	list_free(children);
	return leaf;
}

/*
 * The relation whose missing values are those of "shape": that itself, a
 * partition, to be closed, or NULL.
 */
static Relation
open_holder(CdcS3State *st, Relation relation, Relation shape)
{
	Oid relid = RelationGetRelid(shape);
	Relation holder;

	if (shape->rd_rel->relkind != RELKIND_PARTITIONED_TABLE)
		return shape;
	if (st->leaf_of != relid || st->leaf_generation != st->generation)
	{
		st->leaf_of = InvalidOid;
		st->leaf_generation = st->generation;
		st->leaf = first_leaf(st, relid);
		if (OidIsValid(st->leaf))
			cdc_s3_watch_relation(st, st->leaf);
		st->leaf_of = relid;
	}
	if (!OidIsValid(st->leaf))
		return NULL;
	if (st->leaf == RelationGetRelid(relation))
		return relation;
	holder = RelationIdGetRelation(st->leaf);
	return RelationIsValid(holder) ? holder : NULL;
}

/* The text of a value, in the server's encoding; NULL if it is not made. */
static char *
value_text(CdcS3State *st, CdcS3Column *col, Datum d)
{
	Oid proc;
	bool varlena;

	if (col->op == OP_ENUM)
	{
		char *label = palloc(NAMEDATALEN);

		return cdc_s3_enum_label(d, label) ? label : NULL;
	}
	if (cdc_s3_text_unfit(col, d) != 0)
		return NULL;
	if (!st->pinned)
		cdc_s3_pin_settings(st);
	getTypeOutputInfo(col->base_type, &proc, &varlena);
	return OidOutputFunctionCall(proc, d);
}

/* The same on the wire; NULL if it has none. */
static const char *
wire_text(CdcS3State *st, CdcS3Column *col, Datum d, Size *len)
{
	char *text = value_text(st, col, d);
	const char *out;

	if (!text || strlen(text) > TEXT_MAX ||
		!cdc_s3_convert(st, text, strlen(text), &out, len))
		return NULL;
	if (st->opt.format == FORMAT_BINARY && !cdc_s3_is_utf8(out, *len))
		return NULL;
	return *len <= TEXT_MAX ? out : NULL;
}

/* One value; "left" bytes of text may still be written. */
static void
add_value(CdcS3State *st, StringInfo s, CdcS3Rel *rel, int column, Datum d,
		  Size *left)
{
	Size len = 0;
	const char *text = wire_text(st, &rel->cols[column], d, &len);

	body_u16(s, (uint16) column);
	if (!text || len > *left)
	{
		body_u32(s, CDC_S3_NO_TEXT);
		return;
	}
	body_u32(s, (uint32) len);
	appendBinaryStringInfo(s, text, (int) len);
	*left -= len;
}

/* Its missing value of a column, or NULL. */
static const AttrMissing *
find_missing(Relation holder, const CdcS3Column *col, AttrNumber attnum)
{
	TupleDesc desc = RelationGetDescr(holder);
	const AttrMissing *missing = desc->constr ? desc->constr->missing : NULL;

	if (!missing)
		return NULL;
	if (attnum == InvalidAttrNumber)
		attnum = cdc_s3_find_attribute(desc, col->name, col->attnum);
	if (attnum == InvalidAttrNumber || !missing[attnum - 1].am_present)
		return NULL;
	return &missing[attnum - 1];
}

static void
add_missing(CdcS3State *st, CdcS3Rel *rel, Relation relation, Relation shape,
			StringInfo s)
{
	Relation holder = open_holder(st, relation, shape);
	int at = s->len;
	uint16 n = 0;
	Size left = TEXTS_MAX;

	appendBinaryStringInfo(s, (char *) &n, sizeof(n));
	if (!holder)
		return;
	for (int c = 0; c < rel->ncols; c++)
	{
		CdcS3Column *col = &rel->cols[c];
		const AttrMissing *m = find_missing(
			holder, col, holder == relation ? col->source : InvalidAttrNumber);

		if (!m)
			continue;
		add_value(st, s, rel, c, m->am_value, &left);
		n++;
	}
	memcpy(s->data + at, &n, sizeof(n));
	if (holder != relation && holder != shape)
		RelationClose(holder);
}

/* ---- all of it ---- */

/*
 * Write the frame's body, less its version, in the current context.  Another
 * one than before gets another version.
 */
void
cdc_s3_body_build(CdcS3State *st, CdcS3Rel *rel, Relation relation,
				  Relation shape, Relation root)
{
	StringInfoData s;

	initStringInfo(&s);
	body_u32(&s, rel->relid);
	body_u32(&s, 0);
	body_u32(&s, rel->rootid);
	body_u8(&s, rel->identity);
	body_name(st, &s, get_namespace_name(RelationGetNamespace(relation)));
	body_name(st, &s, RelationGetRelationName(relation));
	body_name(st, &s, get_namespace_name(RelationGetNamespace(root)));
	body_name(st, &s, RelationGetRelationName(root));
	body_u16(&s, (uint16) rel->ncols);
	for (int c = 0; c < rel->ncols; c++)
		body_column(st, &s, &rel->cols[c]);
	body_u32(&s, shape->rd_rel->reltype);
	add_missing(st, rel, relation, shape, &s);

	if (rel->body && rel->body_len == (Size) s.len &&
		memcmp(rel->body, s.data, 4) == 0 &&
		memcmp(rel->body + 8, s.data + 8, s.len - 8) == 0)
		return;
	if (rel->body)
		pfree(rel->body);
	rel->body = MemoryContextAlloc(st->cxt, s.len);
	rel->body_len = s.len;
	rel->version = ++st->last_version;
	memcpy(rel->body, s.data, s.len);
	put_u32(rel->body + 4, rel->version);
	rel->sent = false;
	rel->sent_block = 0;
	rel->tell |= rel->named;
}
