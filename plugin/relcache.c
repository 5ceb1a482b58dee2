/*-------------------------------------------------------------------------
 * relcache.c
 *	  What the plugin knows of each relation: whether it is wanted, how its
 *	  rows are walked, and the bytes of its relation frame.
 *
 * Invariants:
 *	(1) An invalidation sets flags and frees nothing: it may come from the
 *		catalog look-ups of the very build it invalidates.
 *	(2) An entry is built when it is asked for, never while one of its rows
 *		is being written.
 *	(3) Two relation frames with the same version have the same bytes.
 *	(4) The callbacks are registered once in a backend; they reach the state
 *		through one static pointer, which ends with the decoding context.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/transam.h"
#include "catalog/catalog.h"
#include "catalog/namespace.h"
#include "catalog/partition.h"
#include "catalog/pg_class.h"
#include "catalog/pg_index.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "storage/lock.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#include "cdc_s3.h"

/* Sweep when so many entries went stale. */
#define SWEEP_AT 512

/* Schema of the tables that we keep ourselves at a target. */
#define OWN_SCHEMA "cdc_s3"

/* A relation OID or the hash of a type, whose change concerns all entries. */
typedef struct Watched
{
	uint64 key;
} Watched;

#define WATCH_RELATION(oid) ((uint64) (oid))
#define WATCH_TYPE(hash) (UINT64CONST(1) << 32 | (uint64) (hash))

static CdcS3State *active = NULL;

/* ---- invalidation ---- */

static bool
is_watched(uint64 key)
{
	return hash_search(active->watched, &key, HASH_FIND, NULL) != NULL;
}

static void
relation_invalidated(Datum arg, Oid relid)
{
	CdcS3Rel *rel;

	if (!active)
		return;
	if (!OidIsValid(relid) || is_watched(WATCH_RELATION(relid)))
	{
		active->generation++;
		return;
	}
	rel = hash_search(active->rels, &relid, HASH_FIND, NULL);
	if (rel && !rel->stale)
	{
		rel->stale = true;
		active->nstale++;
	}
}

static void
type_invalidated(Datum arg, int cacheid, uint32 hash)
{
	if (active && (hash == 0 || is_watched(WATCH_TYPE(hash))))
		active->generation++;
}

/* Schemas and publications, which rarely change. */
static void
other_invalidated(Datum arg, int cacheid, uint32 hash)
{
	if (active)
		active->generation++;
}

static void
context_gone(void *arg)
{
	if (active == arg)
		active = NULL;
}

static void
watch(CdcS3State *st, uint64 key)
{
	(void) hash_search(st->watched, &key, HASH_ENTER, NULL);
}

void
cdc_s3_watch_relation(CdcS3State *st, Oid relid)
{
	watch(st, WATCH_RELATION(relid));
}

/* Whether entries other than its own depend on it. */
bool
cdc_s3_watches_relation(CdcS3State *st, Oid relid)
{
	return is_watched(WATCH_RELATION(relid));
}

bool
cdc_s3_watches_type(CdcS3State *st, uint32 hash)
{
	return is_watched(WATCH_TYPE(hash));
}

void
cdc_s3_rels_init(CdcS3State *st)
{
	static bool registered = false;
	MemoryContextCallback *gone;
	HASHCTL ctl;

	memset(&ctl, 0, sizeof(ctl));
	ctl.keysize = sizeof(Oid);
	ctl.entrysize = sizeof(CdcS3Rel);
	ctl.hcxt = st->cxt;
	st->rels = hash_create("cdc_s3 relations", 128, &ctl,
						   HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	ctl.keysize = sizeof(uint64);
	ctl.entrysize = sizeof(Watched);
	st->watched = hash_create("cdc_s3 watched", 64, &ctl,
							  HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);

	st->ddl.cxt = AllocSetContextCreate(st->cxt, "cdc_s3 catalog changes",
										ALLOCSET_DEFAULT_SIZES);

	gone = MemoryContextAllocZero(st->cxt, sizeof(*gone));
	gone->func = context_gone;
	gone->arg = st;
	MemoryContextRegisterResetCallback(st->cxt, gone);
	active = st;
	cdc_s3_rels_settings(st);

	if (registered)
		return;
	CacheRegisterRelcacheCallback(relation_invalidated, (Datum) 0);
	CacheRegisterSyscacheCallback(TYPEOID, type_invalidated, (Datum) 0);
	CacheRegisterSyscacheCallback(NAMESPACEOID, other_invalidated, (Datum) 0);
	CacheRegisterSyscacheCallback(PUBLICATIONOID, other_invalidated, (Datum) 0);
	CacheRegisterSyscacheCallback(PUBLICATIONRELMAP, other_invalidated,
								  (Datum) 0);
	CacheRegisterSyscacheCallback(PUBLICATIONNAMESPACEMAP, other_invalidated,
								  (Datum) 0);
	registered = true;
}

/* ---- columns ---- */

typedef struct KindRow
{
	Oid type;
	uint8 kind;
	uint8 op;
} KindRow;

static const KindRow kinds[] = {
	{ BOOLOID, CDC_S3_KIND_BOOL, OP_FIXED1 },
	{ INT2OID, CDC_S3_KIND_INT2, OP_FIXED2 },
	{ INT4OID, CDC_S3_KIND_INT4, OP_FIXED4 },
	{ INT8OID, CDC_S3_KIND_INT8, OP_FIXED8 },
	{ OIDOID, CDC_S3_KIND_OID, OP_FIXED4 },
	{ FLOAT4OID, CDC_S3_KIND_FLOAT4, OP_FIXED4 },
	{ FLOAT8OID, CDC_S3_KIND_FLOAT8, OP_FIXED8 },
	{ DATEOID, CDC_S3_KIND_DATE, OP_FIXED4 },
	{ TIMEOID, CDC_S3_KIND_TIME, OP_FIXED8 },
	{ TIMETZOID, CDC_S3_KIND_TIMETZ, OP_FIXED12 },
	{ TIMESTAMPOID, CDC_S3_KIND_TIMESTAMP, OP_FIXED8 },
	{ TIMESTAMPTZOID, CDC_S3_KIND_TIMESTAMPTZ, OP_FIXED8 },
	{ INTERVALOID, CDC_S3_KIND_INTERVAL, OP_FIXED16 },
	{ UUIDOID, CDC_S3_KIND_UUID, OP_FIXED16 },
	{ NUMERICOID, CDC_S3_KIND_NUMERIC, OP_BLOB },
	{ BYTEAOID, CDC_S3_KIND_BYTEA, OP_BLOB },
	{ TEXTOID, CDC_S3_KIND_STRING, OP_STRING },
	{ VARCHAROID, CDC_S3_KIND_STRING, OP_STRING },
	{ BPCHAROID, CDC_S3_KIND_STRING, OP_STRING },
	{ NAMEOID, CDC_S3_KIND_STRING, OP_NAME },
	{ JSONOID, CDC_S3_KIND_JSON, OP_STRING },
};

/* Output functions of these look at no setting. */
static const Oid unpinned[] = { JSONBOID,    INETOID,   CIDROID,   MACADDROID,
								MACADDR8OID, BITOID,    VARBITOID, XMLOID,
								CHAROID,     XIDOID,    TIDOID,    CIDOID,
								TSVECTOROID, TSQUERYOID };

/* Of strings that are sent as they are. */
static CdcS3Op
string_op(CdcS3State *st)
{
	if (!st->verify)
		return OP_BLOB;
	return st->encoding == PG_UTF8 ? OP_UTF8 : OP_STRING;
}

static void
column_kind(CdcS3State *st, CdcS3Column *col)
{
	for (int i = 0; i < (int) lengthof(kinds); i++)
	{
		if (kinds[i].type != col->base_type)
			continue;
		col->kind = kinds[i].kind;
		col->op = kinds[i].op;
		if (col->op == OP_STRING && !st->convert)
			col->op = string_op(st);
		return;
	}
	if (get_typtype(col->base_type) == TYPTYPE_ENUM)
	{
		col->kind = CDC_S3_KIND_STRING;
		col->op = OP_ENUM;
		return;
	}
	col->kind = CDC_S3_KIND_TEXT;
	col->op = col->base_type == JSONBOID ? OP_JSONB : OP_TEXT;
	if (col->attlen == -1)
		col->text_small = cdc_s3_text_small(col->base_type);
	col->pinned = true;
	for (int i = 0; i < (int) lengthof(unpinned); i++)
		if (unpinned[i] == col->base_type)
			col->pinned = false;
}

static void
column_output(CdcS3State *st, CdcS3Rel *rel, CdcS3Column *col)
{
	Oid proc;
	bool varlena;

	if (col->op != OP_TEXT && col->op != OP_JSONB &&
		st->opt.format != FORMAT_TEXT)
		return;
	getTypeOutputInfo(col->base_type, &proc, &varlena);
	fmgr_info_cxt(proc, &col->out, rel->cxt);
}

/* Attribute number of a name in the relation itself; "hint" is tried first. */
AttrNumber
cdc_s3_find_attribute(TupleDesc desc, const char *name, AttrNumber hint)
{
	for (int i = -1; i < desc->natts; i++)
	{
		int at = i < 0 ? hint - 1 : i;
		Form_pg_attribute att;

		if (at >= desc->natts)
			continue;
		att = TupleDescAttr(desc, at);
		if (!att->attisdropped && strcmp(NameStr(att->attname), name) == 0)
			return att->attnum;
	}
	return InvalidAttrNumber;
}

static void
build_columns(CdcS3State *st, CdcS3Rel *rel, Relation relation, Relation shape,
			  const Bitmapset *only)
{
	TupleDesc desc = RelationGetDescr(shape);

	rel->cols = MemoryContextAllocZero(rel->cxt, sizeof(CdcS3Column) *
													 Max(desc->natts, 1));
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);
		CdcS3Column *col = &rel->cols[rel->ncols];

		if (att->attisdropped ||
			att->attgenerated == ATTRIBUTE_GENERATED_VIRTUAL ||
			(only && !bms_is_member(att->attnum, only)))
			continue;
		col->source = att->attnum;
		if (rel->as_root)
			col->source = cdc_s3_find_attribute(
				RelationGetDescr(relation), NameStr(att->attname), att->attnum);
		if (col->source == InvalidAttrNumber)
			continue;
		col->name = MemoryContextStrdup(rel->cxt, NameStr(att->attname));
		col->attnum = att->attnum;
		col->attlen = att->attlen;
		col->attbyval = att->attbyval;
		col->type = att->atttypid;
		col->typmod = att->atttypmod;
		col->base_type = getBaseTypeAndTypmod(att->atttypid, &col->typmod);
		if (att->attnotnull)
			col->flags |= CDC_S3_COL_NOT_NULL;
		if (att->attgenerated)
			col->flags |= CDC_S3_COL_GENERATED;
		column_kind(st, col);
		column_output(st, rel, col);
		rel->pinned |= col->pinned;
		watch(st, WATCH_TYPE(GetSysCacheHashValue1(
					  TYPEOID, ObjectIdGetDatum(col->type))));
		rel->ncols++;
	}
	rel->bitmap_len = (rel->ncols + 7) / 8;
}

/* ---- identity and key ---- */

/*
 * The key columns of an index, INCLUDE columns not among them, as attribute
 * numbers; returns how many.  The catalog row is enough, and unlike the index
 * it can be read whatever is happening to the index.
 */
static int
index_key(Oid index, AttrNumber *key)
{
	HeapTuple tup = SearchSysCache1(INDEXRELID, ObjectIdGetDatum(index));
	Form_pg_index form;
	int n;

	if (!HeapTupleIsValid(tup))
		return 0;
	form = (Form_pg_index) GETSTRUCT(tup);
	n = form->indnkeyatts;
	for (int k = 0; k < n; k++)
		key[k] = form->indkey.values[k];
	ReleaseSysCache(tup);
	return n;
}

/*
 * Fill in positions in the primary key: that of the relation whose shape is
 * sent.  False if it has none that is valid and immediate.
 */
static bool
build_primary_key(CdcS3Rel *rel, Relation shape)
{
	AttrNumber key[INDEX_MAX_KEYS];
	Oid index;
	int n;

	/* What relation_primary_key() returns is known once this was called. */
	list_free(RelationGetIndexList(shape));
	index = relation_primary_key(shape);
	n = OidIsValid(index) ? index_key(index, key) : 0;
	for (int k = 0; k < n; k++)
		for (int c = 0; c < rel->ncols; c++)
			if (rel->cols[c].attnum == key[k])
				rel->cols[c].pk_position = k + 1;
	return n > 0;
}

/*
 * Flag the columns of the index by which the server logs the old key.  False
 * if there is none, or if a column list of a publication lacks a part of it.
 */
static bool
build_index_identity(CdcS3Rel *rel, Relation relation)
{
	AttrNumber key[INDEX_MAX_KEYS];
	Oid index = RelationGetReplicaIndex(relation);
	int n = OidIsValid(index) ? index_key(index, key) : 0;
	int found = 0;

	for (int k = 0; k < n; k++)
		for (int c = 0; c < rel->ncols; c++)
		{
			if (rel->cols[c].source != key[k])
				continue;
			rel->cols[c].flags |= CDC_S3_COL_IDENTITY | CDC_S3_COL_KEY;
			found++;
		}
	return n > 0 && found == n;
}

static void
build_identity(CdcS3Rel *rel, Relation relation, Relation shape)
{
	bool has_pk = build_primary_key(rel, shape);

	rel->identity = relation->rd_rel->relreplident;
	if (rel->identity != REPLICA_IDENTITY_FULL)
	{
		rel->has_identity = build_index_identity(rel, relation);
		return;
	}
	rel->has_identity = true;
	rel->key_is_all = !has_pk;
	for (int c = 0; c < rel->ncols; c++)
	{
		rel->cols[c].flags |= CDC_S3_COL_IDENTITY;
		if (!has_pk || rel->cols[c].pk_position > 0)
			rel->cols[c].flags |= CDC_S3_COL_KEY;
	}
}

/* ---- entries ---- */

/*
 * At the begin of each transaction: see whether the setting changed.  An error
 * if it cannot be known.
 */
void
cdc_s3_rels_settings(CdcS3State *st)
{
	const char *text = cdc_s3_allowed_tables();
	const char *why = NULL;
	MemoryContext old;

	if (st->allowed_text && strcmp(st->allowed_text, text) == 0)
		return;
	if (!st->allowed_cxt)
		st->allowed_cxt = AllocSetContextCreate(st->cxt, "cdc_s3 allowed",
												ALLOCSET_SMALL_SIZES);
	st->bound_moved = st->allowed_text != NULL;
	MemoryContextReset(st->allowed_cxt);
	old = MemoryContextSwitchTo(st->allowed_cxt);
	st->allowed_text = pstrdup(text);
	st->allowed = NIL;
	(void) cdc_s3_patterns_parse(text, &st->allowed, &why);
	st->bounded = !cdc_s3_patterns_are_all(st->allowed);
	MemoryContextSwitchTo(old);
	st->generation++;
}

static bool
relation_can_be_published(Relation relation)
{
	char kind = relation->rd_rel->relkind;
	Oid schema = RelationGetNamespace(relation);
	char *schema_name;

	/* A materialized view is what a query makes of data sent already. */
	if (kind != RELKIND_RELATION && kind != RELKIND_PARTITIONED_TABLE)
		return false;
	if (relation->rd_rel->relpersistence != RELPERSISTENCE_PERMANENT)
		return false;
	if (IsCatalogNamespace(schema) || IsToastNamespace(schema))
		return false;
	schema_name = get_namespace_name(schema);
	return schema_name && strcmp(schema_name, "information_schema") != 0 &&
		   strcmp(schema_name, OWN_SCHEMA) != 0;
}

static bool
list_matches(List *patterns, Relation relation, Relation root)
{
	return cdc_s3_patterns_match(patterns,
								 get_namespace_name(RelationGetNamespace(root)),
								 RelationGetRelationName(root)) ||
		   (relation != root &&
			cdc_s3_patterns_match(
				patterns, get_namespace_name(RelationGetNamespace(relation)),
				RelationGetRelationName(relation)));
}

static bool
relation_is_wanted(CdcS3State *st, Relation relation, Relation root)
{
	return (!st->opt.tables || list_matches(st->opt.tables, relation, root)) &&
		   !list_matches(st->opt.exclude, relation, root) &&
		   list_matches(st->allowed, relation, root);
}

/* The topmost partitioned table, or the relation itself; to be closed. */
static Relation
open_root(CdcS3State *st, Relation relation)
{
	List *ancestors;
	ListCell *lc;
	Relation root;

	if (!relation->rd_rel->relispartition)
		return relation;
	ancestors = get_partition_ancestors(RelationGetRelid(relation));
	if (ancestors == NIL)
		return relation;
	foreach (lc, ancestors)
		watch(st, WATCH_RELATION(lfirst_oid(lc)));
	root = RelationIdGetRelation(llast_oid(ancestors));
	return RelationIsValid(root) ? root : relation;
}

/*
 * What is sent of the relation, and in whose shape.  Returns that relation,
 * which is the relation itself, its root, or another to be closed; or NULL if
 * nothing is sent.
 */
static Relation
choose_shape(CdcS3State *st, CdcS3Rel *rel, Relation relation, Relation root,
			 CdcS3Published *pub)
{
	bool partitioned = relation->rd_rel->relkind == RELKIND_PARTITIONED_TABLE;
	Relation shape;

	rel->eligible = relation_is_wanted(st, relation, root);
	if (!rel->eligible)
		return NULL;
	if (st->opt.publications == NIL)
	{
		bool as_root = st->opt.partition == PARTITION_ROOT;

		if (partitioned && !as_root)
			return NULL;
		rel->actions = ACTION_ALL;
		pub->all_columns = true;
		return as_root ? root : relation;
	}
	cdc_s3_publications_look(st, relation, pub);
	rel->actions = pub->actions;
	rel->filtered = pub->filtered && st->opt.filter == FILTER_REFUSE;
	if (rel->actions == 0)
		return NULL;
	if (pub->as == RelationGetRelid(relation))
		return relation;
	if (pub->as == RelationGetRelid(root))
		return root;
	shape = RelationIdGetRelation(pub->as);
	return RelationIsValid(shape) ? shape : relation;
}

static void
build_contents(CdcS3State *st, CdcS3Rel *rel, Relation relation)
{
	CdcS3Published pub = { 0 };
	Relation root;
	Relation shape;

	if (!relation_can_be_published(relation))
		return;
	root = open_root(st, relation);
	shape = choose_shape(st, rel, relation, root, &pub);
	if (shape)
	{
		rel->as_root = shape != relation;
		rel->rootid = RelationGetRelid(rel->as_root ? shape : root);
		rel->schema = MemoryContextStrdup(
			rel->cxt, get_namespace_name(RelationGetNamespace(shape)));
		rel->name =
			MemoryContextStrdup(rel->cxt, RelationGetRelationName(shape));
		build_columns(st, rel, relation, shape,
					  pub.all_columns ? NULL : pub.columns);
		build_identity(rel, relation, shape);
		cdc_s3_walk_build(rel, relation);
		cdc_s3_body_build(st, rel, relation, shape,
						  rel->as_root ? shape : root);
	}
	if (shape && shape != relation && shape != root)
		RelationClose(shape);
	if (root != relation)
		RelationClose(root);
}

/*
 * Locks on relations that are no part of the catalog.  What a callback takes
 * it gives back before it returns, since the transaction may go on for as long
 * as its client is slow.  0 without assertions.
 */
int
cdc_s3_user_locks(void)
{
	int n = 0;
#ifdef USE_ASSERT_CHECKING
	HASH_SEQ_STATUS seq;
	LOCALLOCK *lock;

	hash_seq_init(&seq, GetLockMethodLocalHash());
	while ((lock = hash_seq_search(&seq)) != NULL)
		if (lock->nLocks > 0 &&
			lock->tag.lock.locktag_type == LOCKTAG_RELATION &&
			lock->tag.lock.locktag_field1 == MyDatabaseId &&
			lock->tag.lock.locktag_field2 >= FirstNormalObjectId)
			n++;
#endif
	return n;
}

static void
build(CdcS3State *st, CdcS3Rel *rel, Relation relation)
{
	MemoryContext old;
	CdcS3Rel kept = *rel;
	int locks PG_USED_FOR_ASSERTS_ONLY = cdc_s3_user_locks();

	/* Everything from cxt on is made anew; body and version are compared. */
	memset(&rel->cxt, 0, sizeof(*rel) - offsetof(CdcS3Rel, cxt));
	rel->cxt = kept.cxt;
	rel->body = kept.body;
	rel->body_len = kept.body_len;
	rel->version = kept.version;
	rel->sent = kept.sent;
	rel->sent_block = kept.sent_block;

	if (rel->cxt)
		MemoryContextReset(rel->cxt);
	else
		rel->cxt = AllocSetContextCreate(st->cxt, "cdc_s3 relation",
										 ALLOCSET_SMALL_SIZES);
	rel->ready = false;
	rel->stale = false;
	rel->generation = st->generation;

	old = MemoryContextSwitchTo(st->scratch);
	build_contents(st, rel, relation);
	cdc_s3_ddl_look(st, rel, relation);
	MemoryContextSwitchTo(old);
	MemoryContextReset(st->scratch);
	rel->ready = true;
	Assert(cdc_s3_user_locks() == locks);
}

/* The entry of a relation, empty if there was none. */
CdcS3Rel *
cdc_s3_rel_remember(CdcS3State *st, Oid relid)
{
	bool found;
	CdcS3Rel *rel = hash_search(st->rels, &relid, HASH_ENTER, &found);

	if (!found)
		memset((char *) rel + sizeof(Oid), 0, sizeof(CdcS3Rel) - sizeof(Oid));
	return rel;
}

bool
cdc_s3_rel_fresh(const CdcS3State *st, const CdcS3Rel *rel)
{
	return rel->ready && !rel->stale && rel->generation == st->generation;
}

/*
 * The entry of a relation as it is at this moment of its transaction.  It
 * stays as it is until the next call for the same relation.
 */
CdcS3Rel *
cdc_s3_rel_get(CdcS3State *st, Relation relation)
{
	Oid relid = RelationGetRelid(relation);
	CdcS3Rel *rel = st->last_rel;

	if (!rel || rel->relid != relid)
	{
		rel = cdc_s3_rel_remember(st, relid);
		st->last_rel = rel;
	}
	if (unlikely(!cdc_s3_rel_fresh(st, rel) ||
				 (rel->actions != 0 &&
				  rel->walk.natts != RelationGetDescr(relation)->natts)))
		build(st, rel, relation);
	return rel;
}

/* A change of this kind is left out: the transaction may want it yet. */
void
cdc_s3_rel_pass(CdcS3State *st, CdcS3Rel *rel, int action)
{
	if (!rel->eligible)
		return;
	if (rel->passed != st->xid)
		rel->passed_actions = 0;
	rel->passed = st->xid;
	rel->passed_actions |= action;
}

/* Not while one of its rows is written. */
void
cdc_s3_rel_forget(CdcS3State *st, CdcS3Rel *rel)
{
	if (rel->cxt)
		MemoryContextDelete(rel->cxt);
	if (rel->body)
		pfree(rel->body);
	bms_free(rel->missing);
	if (st->last_rel == rel)
		st->last_rel = NULL;
	(void) hash_search(st->rels, &rel->relid, HASH_REMOVE, NULL);
}

/*
 * Forget stale entries of which nothing was said; of others it is known when
 * they are dropped (tables.c).  To be called between transactions.
 */
void
cdc_s3_rels_sweep(CdcS3State *st)
{
	HASH_SEQ_STATUS seq;
	CdcS3Rel *rel;

	if (st->nstale < SWEEP_AT)
		return;
	hash_seq_init(&seq, st->rels);
	while ((rel = hash_seq_search(&seq)) != NULL)
		if (rel->stale && !rel->named && !rel->is_root)
			cdc_s3_rel_forget(st, rel);
	st->nstale = 0;
}
