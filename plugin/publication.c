/*-------------------------------------------------------------------------
 * publication.c
 *	  Option publication_names: tables, operations and columns as the
 *	  publications of the database have them.
 *
 * What a publication said is read as it was at the moment of the change, so a
 * table is sent from the change on that follows its being added.
 *
 * A row filter is an expression that may fail, and a failure would come again
 * for ever, so none is applied.  A publication that has one as a stream begins
 * is refused.  One that has come since, or had come and gone before, leaves out
 * its table, row by row, for as long as it held: it may be there for privacy.
 * notice.c tells that.  Option filter = superset sends all rows instead.
 *
 * Several publications add up: their operations, and their column lists.
 *
 * A publication that is dropped must not take its tables out of the stream in
 * silence, and one that is younger than the slot's position must not end it:
 * an error would come again for ever.  Before its CREATE, and behind the DROP
 * of one that had its name, the catalog lacks it alike.  So each is "expected"
 * by the OID that it has as the stream begins, and is strict once the catalog
 * of the past is sure to have it.
 *
 * Invariants:
 *	(1) A publication is strict if its reader knew it by the OID that it has
 *		now (option publication_oids), from where it was found in the past with
 *		that OID, and in what commits at or behind "since".
 *	(2) One that is strict and missing is an error, before anything is passed
 *		over: at the commit that drops it, or at a change of that transaction.
 *	(3) It goes by its OID first, so another name is no gap, then by the one
 *		that its reader knew, and then by its name: an earlier one, or, while it
 *		is strict, one that was made in the transaction that dropped it. Nothing
 *		is lost by that.
 *	(4) "since" is a position at which it was there: read while a lock holds up
 *		whoever drops it.  A commit is in the WAL long before others see it,
 *with synchronous replication, so to look twice is not enough.  A standby sees
 *		a commit before it says that it has replayed it; there, looking twice
 *is. (5) Where its reader knew another one, or an earlier one was seen here,
 *what was changed between the two is lost.  So as soon as it is found, all of
 *its tables are told to lack rows, and others that could be in it that they are
 *not (tables.c): one that is added later comes back then.
 *	(6) Where one has operations that it had not before, rows of its tables may
 *		be lost: they are told to lack rows.  What it had is known from the
 *		first transaction on, as it was before that.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xlog.h"
#include "access/xlogrecovery.h"
#include "catalog/partition.h"
#include "catalog/pg_publication.h"
#include "catalog/pg_publication_rel.h"
#include "miscadmin.h"
#include "storage/lock.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "cdc_s3.h"

/* One of publication_names. */
typedef struct Named
{
	const char *name; /* of the option */
	Oid oid;          /* the one that is expected */
	Oid known;        /* that which the reader knew, or 0 */
	XLogRecPtr since; /* it was there; 0: nobody knows when */
	bool strict;      /* it is missed */
	bool earlier;     /* an earlier one was seen */
	bool anew;        /* between an earlier one and this one rows are lost */
	bool looked;      /* it was seen, with … */
	int actions;      /* … these */
	bool widened;     /* some came since, and its tables were not told */
} Named;

/*
 * The row of a table in a publication's list: its columns, NULL for all, and
 * whether it has a row filter.
 */
static void
look_listed(Oid relid, Oid pubid, Bitmapset **columns, bool *filtered)
{
	HeapTuple tup;
	bool isnull;
	Datum list;

	*columns = NULL;
	*filtered = false;
	tup = SearchSysCache2(PUBLICATIONRELMAP, ObjectIdGetDatum(relid),
						  ObjectIdGetDatum(pubid));
	if (!HeapTupleIsValid(tup))
		return;
	(void) SysCacheGetAttr(PUBLICATIONRELMAP, tup,
						   Anum_pg_publication_rel_prqual, &isnull);
	*filtered = !isnull;
	list = SysCacheGetAttr(PUBLICATIONRELMAP, tup,
						   Anum_pg_publication_rel_prattrs, &isnull);
	if (!isnull)
		*columns = pub_collist_to_bitmapset(NULL, list, CurrentMemoryContext);
	ReleaseSysCache(tup);
}

static void
refuse_filter(const char *publication, Oid relid)
{
	char *schema = get_namespace_name(get_rel_namespace(relid));
	char *name = get_rel_name(relid);

	ereport(
		ERROR, errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
		errmsg(
			"publication \"%s\" has a row filter on table \"%s\", "
			"which output plugin \"cdc_s3\" does not apply",
			publication,
			quote_qualified_identifier(schema ? schema : "", name ? name : "")),
		errhint("Remove the row filter from the publication. Changes made "
				"while it held are not sent, and the table is to be loaded "
				"again; option \"filter\" with value \"superset\" sends all "
				"rows."));
}

static void
refuse_filters(const Publication *pub)
{
	ListCell *lc;

	foreach (lc, GetPublicationRelations(pub->oid, PUBLICATION_PART_ROOT))
	{
		Bitmapset *columns;
		bool filtered;

		look_listed(lfirst_oid(lc), pub->oid, &columns, &filtered);
		if (filtered)
			refuse_filter(pub->name, lfirst_oid(lc));
	}
}

/* ---- as the stream begins ---- */

/* All must be there, and none have a row filter unless all rows are wanted. */
static Publication *
check(const CdcS3Options *opt, const char *name)
{
	Publication *pub = GetPublicationByName(name, true);

	if (!pub)
		ereport(ERROR, errcode(ERRCODE_UNDEFINED_OBJECT),
				errmsg("publication \"%s\" of option \"publication_names\" "
					   "does not exist",
					   name));
	if (!pub->alltables && opt->filter != FILTER_SUPERSET)
		refuse_filters(pub);
	return pub;
}

static void
tag_publication(LOCKTAG *tag, Oid oid)
{
	SET_LOCKTAG_OBJECT(*tag, MyDatabaseId, PublicationRelationId, oid, 0);
}

/*
 * Fills in OID and "since".  Nobody is waited for: where somebody alters the
 * publication at this moment, nothing is known of "since".
 */
static void
expect(const CdcS3Options *opt, Named *n)
{
	Oid again;

	do
	{
		LOCKTAG tag;
		bool locked;

		CHECK_FOR_INTERRUPTS();
		n->oid = check(opt, n->name)->oid;
		tag_publication(&tag, n->oid);
		locked = LockAcquire(&tag, AccessShareLock, false, true) !=
				 LOCKACQUIRE_NOT_AVAIL;
		n->since = InvalidXLogRecPtr;
		if (locked && RecoveryInProgress())
			n->since = GetXLogReplayRecPtr(NULL);
		AcceptInvalidationMessages();
		again = get_publication_oid(n->name, true);
		if (locked && !RecoveryInProgress())
			n->since = GetXLogInsertRecPtr();
		if (locked)
			LockRelease(&tag, AccessShareLock, false);
	} while (again != n->oid);
}

void
cdc_s3_publications_init(CdcS3State *st)
{
	ListCell *lc;

	foreach (lc, st->opt.publications)
	{
		Named *n = MemoryContextAllocZero(st->cxt, sizeof(Named));
		MemoryContext old;

		if (st->opt.publication_oids != NIL)
			n->known = list_nth_oid(st->opt.publication_oids,
									foreach_current_index(lc));
		n->name = lfirst(lc);
		expect(&st->opt, n);
		n->strict = n->known == n->oid;
		n->anew = OidIsValid(n->known) && n->known != n->oid;
		old = MemoryContextSwitchTo(st->cxt);
		st->publications = lappend(st->publications, n);
		MemoryContextSwitchTo(old);
	}
}

/* ---- while it goes on ---- */

static void
missing(CdcS3State *st, const Named *n)
{
	ereport(
		ERROR, errcode(ERRCODE_UNDEFINED_OBJECT),
		errmsg("publication \"%s\" of option \"publication_names\" was "
			   "dropped",
			   n->name),
		errdetail("It is missing in the transaction whose record ends at "
				  "%X/%X. Nothing behind that is sent, since its changes "
				  "would be left out.",
				  LSN_FORMAT_ARGS(st->ctx->reader->EndRecPtr)),
		errhint("Create the publication again and start anew: its tables are "
				"told to lack rows then. Or start without it."));
}

static void
found(CdcS3State *st, Named *n)
{
	n->strict = true;
	st->anew_due |= n->anew;
	n->anew = false;
}

static int
actions_of(const Publication *pub)
{
	const PublicationActions *a = &pub->pubactions;

	return (a->pubinsert ? ACTION_INSERT : 0) |
		   (a->pubupdate ? ACTION_UPDATE : 0) |
		   (a->pubdelete ? ACTION_DELETE : 0) |
		   (a->pubtruncate ? ACTION_TRUNCATE : 0);
}

static void
compare_actions(CdcS3State *st, Named *n, const Publication *pub)
{
	int actions = actions_of(pub);

	if (n->looked && (actions & ~n->actions))
		n->widened = st->widened_due = true;
	n->looked = true;
	n->actions = actions;
}

static bool
is_there(Oid oid)
{
	return OidIsValid(oid) &&
		   SearchSysCacheExists1(PUBLICATIONOID, ObjectIdGetDatum(oid));
}

/* See resolve(). */
static Publication *
find(CdcS3State *st, Named *n, XLogRecPtr lsn)
{
	Publication *pub;

	if (is_there(n->oid))
	{
		if (unlikely(!n->strict || n->anew))
			found(st, n);
		return GetPublication(n->oid);
	}
	if (n->since != InvalidXLogRecPtr && lsn >= n->since)
		n->strict = true;
	pub = !n->strict && is_there(n->known)
			  ? GetPublication(n->known)
			  : GetPublicationByName(n->name, true);
	if (!pub && n->strict)
		missing(st, n);
	if (pub && n->strict)
		n->oid = pub->oid;
	else if (pub)
	{
		/* What the reader knew was there up to now. */
		n->anew &= pub->oid != n->known;
		n->earlier = true;
	}
	else
		n->anew |= n->earlier;
	return pub;
}

/*
 * The publication as of now in the transaction that is decoded, or NULL where
 * it is not to be missed.  With lsn, now is that commit.
 */
static Publication *
resolve(CdcS3State *st, Named *n, XLogRecPtr lsn)
{
	Publication *pub = find(st, n, lsn);

	if (pub)
		compare_actions(st, n, pub);
	return pub;
}

/* Before the first transaction does anything: what there was until then. */
void
cdc_s3_publications_begin(CdcS3State *st)
{
	MemoryContext old;

	if (likely(st->publications_seen || st->publications == NIL))
		return;
	st->publications_seen = true;
	old = MemoryContextSwitchTo(st->scratch);
	cdc_s3_publications_verify(st, InvalidXLogRecPtr);
	MemoryContextSwitchTo(old);
	MemoryContextReset(st->scratch);
}

/*
 * At the end of a transaction that altered publications: is one gone?  What
 * was not looked at so far is found here.
 */
void
cdc_s3_publications_verify(CdcS3State *st, XLogRecPtr lsn)
{
	ListCell *lc;

	foreach (lc, st->publications)
		(void) resolve(st, lfirst(lc), lsn);
}

/*
 * Whether a publication has the relation.  If it does, "as" is the relation
 * in whose shape it is sent, and "level" how many levels up that is.
 */
static bool
is_published(Publication *pub, Relation relation, List *ancestors, Oid *as,
			 int *level)
{
	Oid relid = RelationGetRelid(relation);
	Oid ancestor;
	int ancestor_level = 0;

	*as = relid;
	*level = 0;
	if (pub->alltables)
	{
		if (pub->pubviaroot && ancestors != NIL)
		{
			*as = llast_oid(ancestors);
			*level = list_length(ancestors);
		}
		return true;
	}
	if (ancestors != NIL)
	{
		ancestor = GetTopMostAncestorInPublication(pub->oid, ancestors,
												   &ancestor_level);
		if (OidIsValid(ancestor))
		{
			if (pub->pubviaroot)
			{
				*as = ancestor;
				*level = ancestor_level;
			}
			return true;
		}
	}
	return list_member_oid(GetRelationPublications(relid), pub->oid) ||
		   list_member_oid(
			   GetSchemaPublications(RelationGetNamespace(relation)), pub->oid);
}

/* Add one publication that has the relation. */
static void
add_publication(CdcS3Published *out, Publication *pub, Oid as, int level)
{
	Bitmapset *columns;
	bool filtered;
	bool first = out->actions == 0 || level > out->level;

	look_listed(as, pub->oid, &columns, &filtered);
	out->filtered |= filtered;
	out->actions |= actions_of(pub);

	/* The highest ancestor gives the shape, and the lists that matter. */
	if (level < out->level)
		return;
	out->level = level;
	out->as = as;
	if (first)
	{
		out->all_columns = columns == NULL;
		out->columns = columns;
	}
	else if (!columns)
		out->all_columns = true;
	else
		out->columns = bms_union(out->columns, columns);
}

/*
 * What the publications say of a relation, as of now in the transaction that
 * is decoded; out->actions is 0 if none has it.
 */
void
cdc_s3_publications_look(CdcS3State *st, Relation relation, CdcS3Published *out)
{
	List *ancestors = NIL;
	ListCell *lc;

	memset(out, 0, sizeof(*out));
	if (relation->rd_rel->relispartition)
		ancestors = get_partition_ancestors(RelationGetRelid(relation));
	foreach (lc, st->publications)
	{
		Publication *pub = resolve(st, lfirst(lc), InvalidXLogRecPtr);
		Oid as;
		int level;

		if (!pub || !is_published(pub, relation, ancestors, &as, &level))
			continue;
		/* Rows of a partitioned table are its partitions', unless via root. */
		if (relation->rd_rel->relkind == RELKIND_PARTITIONED_TABLE &&
			!pub->pubviaroot)
			continue;
		add_publication(out, pub, as, level);
	}
}

/* Whether one that has the relation has operations that it had not. */
bool
cdc_s3_publications_widened(CdcS3State *st, Relation relation)
{
	List *ancestors = NIL;
	ListCell *lc;

	if (relation->rd_rel->relispartition)
		ancestors = get_partition_ancestors(RelationGetRelid(relation));
	foreach (lc, st->publications)
	{
		Named *n = lfirst(lc);
		Publication *pub =
			n->widened ? resolve(st, n, InvalidXLogRecPtr) : NULL;
		Oid as;
		int level;

		if (pub && is_published(pub, relation, ancestors, &as, &level))
			return true;
	}
	return false;
}

/* The tables of those were told. */
void
cdc_s3_publications_told(CdcS3State *st)
{
	ListCell *lc;

	foreach (lc, st->publications)
		((Named *) lfirst(lc))->widened = false;
	st->widened_due = false;
}
