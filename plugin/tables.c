/*-------------------------------------------------------------------------
 * tables.c
 *	  At the end of a transaction: what it made of tables, and no row told.
 *
 * The transaction's catalog is still what is seen.  Each table that it
 * touched is compared with what the stream said of it last; only where that
 * differs, or was never said, something is sent: a table frame, behind the
 * relation frame.  So an ANALYZE or a GRANT sends nothing, and asking once
 * too often does no harm.
 *
 * A table of which the stream said nothing may have been in an earlier one.
 * So of such a one it is told that it is gone, or not wanted any more, too; its
 * reader may know nothing of it.  Not of one that the stream saw and that was
 * not wanted then: that is remembered until it is dropped.
 *
 * A publication that was made anew (publication.c) makes all tables be looked
 * at, of which the stream may know none.  Those in it are told to lack rows,
 *and those that are not to have left: it is not known which were in the earlier
 *one.
 *
 * A table that left a publication and comes back to it lacks what was changed
 * in between.  So that it left is told, also of one of which the stream knows
 * nothing, where the transaction's messages name it.  Where both came in one
 * transaction, or it is operations of the publication that came back, the table
 * is told to lack rows.
 *
 * Nothing is locked: the tables may be gone by now.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/transam.h"
#include "catalog/catalog.h"
#include "catalog/pg_class.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#include "cdc_s3.h"

/* Relations to be looked at; a list would be large. */
typedef struct Candidates
{
	CdcS3State *st;
	Size n;
	Size cap;
	Oid *oids;
} Candidates;

static void
add_candidate(Candidates *c, Oid relid)
{
	if (c->n == c->cap)
	{
		c->cap = c->cap ? 2 * c->cap : 256;
		c->oids = c->oids ? repalloc_huge(c->oids, c->cap * sizeof(Oid))
						  : MemoryContextAllocHuge(c->st->ddl.cxt,
												   c->cap * sizeof(Oid));
	}
	c->oids[c->n++] = relid;
}

/* ---- which ones ---- */

/* Relations that the transaction's messages name; true: others may be meant. */
static bool
add_named(Candidates *c, bool *watched)
{
	const CdcS3Ddl *ddl = &c->st->ddl;
	Size end = cdc_s3_ddl_first(c->st, DDL_KEY(0, 0));
	Oid last = InvalidOid;

	for (Size i = cdc_s3_ddl_first(c->st, FirstNormalObjectId); i < end; i++)
	{
		Oid relid = (Oid) ddl->keys[i];

		if (relid == last)
			continue;
		last = relid;
		*watched |= cdc_s3_watches_relation(c->st, relid);
		add_candidate(c, relid);
	}
	return cdc_s3_ddl_count(c->st, InvalidOid) > 0;
}

/* Whether a schema got another name: an update with two keys. */
static bool
schema_was_renamed(CdcS3State *st)
{
	return cdc_s3_ddl_count_cache(st, NAMESPACENAME) >
		   cdc_s3_ddl_count_cache(st, NAMESPACEOID);
}

static bool
publication_was_altered(CdcS3State *st)
{
	static const int caches[] = { PUBLICATIONOID, PUBLICATIONRELMAP,
								  PUBLICATIONNAMESPACEMAP };

	for (int i = 0; st->opt.publications && i < (int) lengthof(caches); i++)
		if (cdc_s3_ddl_count_cache(st, caches[i]) > 0)
			return true;
	return false;
}

/* The same, where tables or schemas may have come into one or left it. */
static bool
list_was_altered(CdcS3State *st)
{
	return st->opt.publications &&
		   (cdc_s3_ddl_count_cache(st, PUBLICATIONRELMAP) > 0 ||
			cdc_s3_ddl_count_cache(st, PUBLICATIONNAMESPACEMAP) > 0);
}

static bool
type_was_altered(CdcS3State *st)
{
	Size end = cdc_s3_ddl_first(st, DDL_KEY(TYPEOID + 1, 0));

	for (Size i = cdc_s3_ddl_first(st, DDL_KEY(TYPEOID, 0)); i < end; i++)
		if (cdc_s3_watches_type(st, (uint32) st->ddl.keys[i]))
			return true;
	return false;
}

/*
 * Entries that may be other than they were: all; those of a root that was
 * named; and those that this transaction named and that have changed since, as
 * it began before another one that altered them.
 */
static void
add_entries(Candidates *c, bool all, bool roots)
{
	HASH_SEQ_STATUS seq;
	CdcS3Rel *rel;

	hash_seq_init(&seq, c->st->rels);
	while ((rel = hash_seq_search(&seq)) != NULL)
	{
		bool of_root = roots && rel->rootid != rel->relid &&
					   cdc_s3_ddl_count(c->st, rel->rootid) > 0;
		bool anew = rel->named && rel->told == c->st->xid &&
					!cdc_s3_rel_fresh(c->st, rel);

		if (all || of_root || anew)
			add_candidate(c, rel->relid);
	}
}

/* All tables, or those in schemas that this transaction wrote. */
static void
add_of_catalog(Candidates *c, bool all)
{
	Relation pg_class = table_open(RelationRelationId, AccessShareLock);
	SysScanDesc scan =
		systable_beginscan(pg_class, InvalidOid, false, NULL, 0, NULL);
	HeapTuple tup;

	while (HeapTupleIsValid(tup = systable_getnext(scan)))
	{
		Form_pg_class form = (Form_pg_class) GETSTRUCT(tup);

		if ((form->relkind == RELKIND_RELATION ||
			 form->relkind == RELKIND_PARTITIONED_TABLE) &&
			form->oid >= FirstNormalObjectId &&
			(all || cdc_s3_ddl_wrote(c->st, NAMESPACEOID,
									 ObjectIdGetDatum(form->relnamespace), 0)))
			add_candidate(c, form->oid);
	}
	systable_endscan(scan);
	table_close(pg_class, AccessShareLock);
}

static int
compare_oids(const void *a, const void *b)
{
	Oid x = *(const Oid *) a;
	Oid y = *(const Oid *) b;

	return x < y ? -1 : x > y;
}

/* Each once, in the order of their OIDs. */
static void
sort_candidates(Candidates *c)
{
	Size kept = 0;

	if (c->n == 0)
		return;
	qsort(c->oids, c->n, sizeof(Oid), compare_oids);
	for (Size i = 0; i < c->n; i++)
		if (kept == 0 || c->oids[i] != c->oids[kept - 1])
			c->oids[kept++] = c->oids[i];
	c->n = kept;
}

/* ---- what became of them ---- */

static void
put_gone(CdcS3State *st, CdcS3Rel *rel, Oid relid, XLogRecPtr lsn)
{
	bool tell = rel ? rel->named || rel->is_root || rel->actions != 0
					: cdc_s3_ddl_dropped(st, relid);

	if (tell)
		cdc_s3_put_end(st, relid, CDC_S3_TABLE_GONE, lsn);
	if (rel)
		cdc_s3_rel_forget(st, rel);
}

/* It may have been in a publication: messages name it, or stand for all. */
static bool
may_be_unpublished(CdcS3State *st, const CdcS3Rel *rel)
{
	return rel->eligible && list_was_altered(st) &&
		   (cdc_s3_ddl_count(st, rel->relid) > 0 ||
			cdc_s3_ddl_count(st, InvalidOid) > 0);
}

/* A table that is not wanted, of which little was known before. */
static bool
has_left(CdcS3State *st, const CdcS3Rel *rel, Relation relation)
{
	if (IsCatalogNamespace(RelationGetNamespace(relation)) ||
		cdc_s3_ddl_created(st, RelationGetRelid(relation)))
		return false;
	return may_be_unpublished(st, rel) ||
		   (relation->rd_rel->relkind == RELKIND_RELATION &&
			cdc_s3_ddl_altered(st, relation));
}

/* What was left out, of this transaction or before, is wanted now. */
static bool
lacks_rows(CdcS3State *st, const CdcS3Rel *rel, Relation relation)
{
	return (rel->passed == st->xid && (rel->passed_actions & rel->actions)) ||
		   (st->widened_due && cdc_s3_publications_widened(st, relation));
}

static void
put_left(CdcS3State *st, CdcS3Rel *rel, XLogRecPtr lsn)
{
	cdc_s3_put_end(st, rel->relid, CDC_S3_TABLE_LEFT, lsn);
	rel->named = false;
	rel->is_root = false;
	rel->sent = false;
	rel->sent_block = 0;
}

/*
 * Look at a table that is there.  True if something is due: that waits until
 * all is said of tables whose names are free now.
 */
static bool
look_at_table(CdcS3State *st, CdcS3Rel *rel, Relation relation, bool renamed,
			  XLogRecPtr lsn)
{
	bool known = rel != NULL && rel->looked;
	bool was_wanted = known && rel->actions != 0;
	bool is_root = rel != NULL && rel->is_root;

	rel = cdc_s3_rel_get(st, relation);
	if (rel->actions == 0)
	{
		if (rel->named || was_wanted || is_root ||
			(!known && has_left(st, rel, relation)))
			put_left(st, rel, lsn);
		return false;
	}
	if (!rel->named &&
		(renamed || (known && !was_wanted) || cdc_s3_ddl_altered(st, relation)))
		rel->tell = true;
	rel->lacks_due = lacks_rows(st, rel, relation);
	return rel->tell || rel->rewritten_due || rel->lacks_due;
}

/* True if something is due of it. */
static bool
look_at(CdcS3State *st, Oid relid, bool renamed, XLogRecPtr lsn)
{
	CdcS3Rel *rel = hash_search(st->rels, &relid, HASH_FIND, NULL);
	HeapTuple tup = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	Form_pg_class form;
	Relation relation;
	bool is_other;
	bool is_table;
	bool due;

	if (!HeapTupleIsValid(tup))
	{
		put_gone(st, rel, relid, lsn);
		return false;
	}
	form = (Form_pg_class) GETSTRUCT(tup);
	is_other = form->relpersistence == RELPERSISTENCE_TEMP ||
			   form->relkind == RELKIND_MATVIEW ||
			   form->relkind == RELKIND_FOREIGN_TABLE;
	is_table = form->relkind == RELKIND_RELATION ||
			   form->relkind == RELKIND_PARTITIONED_TABLE;
	ReleaseSysCache(tup);
	if (is_other)
		(void) cdc_s3_rel_remember(st, relid);
	if (is_other || !is_table)
		return false;
	relation = RelationIdGetRelation(relid);
	if (!RelationIsValid(relation))
		return false;
	due = look_at_table(st, rel, relation, renamed, lsn);
	RelationClose(relation);
	return due;
}

/* What is due of a table; *lacking: those that were told to lack rows. */
static void
put_due(CdcS3State *st, CdcS3Rel *rel, List **lacking, XLogRecPtr lsn)
{
	Oid table = rel->as_root ? rel->rootid : rel->relid;
	bool lacks =
		rel->lacks_due && !st->anew_due && !list_member_oid(*lacking, table);

	rel->lacks_due = false;
	if (rel->tell || rel->rewritten_due)
		cdc_s3_put_told(st, rel, lsn);
	if (!lacks)
		return;
	*lacking = lappend_oid(*lacking, table);
	cdc_s3_put_lacking(st, rel, "ALTER PUBLICATION", lsn);
}

static void
look_at_all(CdcS3State *st, Candidates *c, bool renamed, XLogRecPtr lsn)
{
	List *lacking = NIL;
	Size due = 0;

	for (Size i = 0; i < c->n; i++)
	{
		cdc_s3_keep_alive(st);
		if (look_at(st, c->oids[i], renamed, lsn))
			c->oids[due++] = c->oids[i];
	}
	for (Size i = 0; i < due; i++)
	{
		CdcS3Rel *rel = hash_search(st->rels, &c->oids[i], HASH_FIND, NULL);

		if (rel)
			put_due(st, rel, &lacking, lsn);
	}
	cdc_s3_publications_told(st);
}

/* A publication was made anew: which tables are in it, and which not. */
static void
put_anew(CdcS3State *st, XLogRecPtr lsn)
{
	Candidates c = { .st = st };
	List *told = NIL;

	add_of_catalog(&c, true);
	sort_candidates(&c);
	for (Size i = 0; i < c.n; i++)
	{
		CdcS3Rel *rel = hash_search(st->rels, &c.oids[i], HASH_FIND, NULL);
		Oid table;

		if (!rel || !rel->ready)
			continue;
		table = rel->as_root ? rel->rootid : rel->relid;
		if (rel->actions == 0 && rel->eligible)
			put_left(st, rel, lsn);
		if (rel->actions == 0 || list_member_oid(told, table))
			continue;
		told = lappend_oid(told, table);
		cdc_s3_put_lacking(st, rel, "CREATE PUBLICATION", lsn);
	}
	st->anew_due = false;
}

/*
 * Before the end of a transaction or stream block: say what is other than what
 * was said last.  The server ends blocks, and calls prepare, also behind an
 * abort that it met while decoding; then there is no catalog to look at.
 */
void
cdc_s3_tables_look(CdcS3State *st, XLogRecPtr lsn)
{
	bool altered = HistoricSnapshotActive() && cdc_s3_ddl_read(st);
	Candidates c = { .st = st };
	bool all = st->bound_moved;
	bool roots = false;
	bool renamed = false;
	bool whole;
	int locks PG_USED_FOR_ASSERTS_ONLY;
	MemoryContext old;

	if (likely(!altered && !st->told_anew && !st->bound_moved &&
			   !st->anew_due && !st->widened_due) ||
		!HistoricSnapshotActive())
		return;
	st->bound_moved = false;
	locks = cdc_s3_user_locks();
	old = MemoryContextSwitchTo(st->ddl.cxt);
	if (altered && publication_was_altered(st))
		cdc_s3_publications_verify(st, lsn);
	if (altered)
	{
		renamed = schema_was_renamed(st);
		all |= add_named(&c, &roots) || renamed ||
			   publication_was_altered(st) || type_was_altered(st);
	}
	whole = st->anew_due || st->widened_due ||
			(altered && list_was_altered(st) &&
			 cdc_s3_ddl_count(st, InvalidOid) > 0);
	if (whole || renamed)
		add_of_catalog(&c, whole);
	if (all || roots || st->told_anew)
		add_entries(&c, all, roots);
	sort_candidates(&c);
	look_at_all(st, &c, renamed, lsn);
	if (st->anew_due)
		put_anew(st, lsn);
	MemoryContextSwitchTo(old);
	cdc_s3_ddl_forget(st);
	Assert(cdc_s3_user_locks() == locks);
}
