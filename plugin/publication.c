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
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/partition.h"
#include "catalog/pg_publication.h"
#include "catalog/pg_publication_rel.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "cdc_s3.h"

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

/*
 * At the start: all must be there, and none have a row filter unless all rows
 * are wanted.
 */
void
cdc_s3_publications_check(const CdcS3Options *opt)
{
	ListCell *lc;
	ListCell *lr;

	foreach (lc, opt->publications)
	{
		Publication *pub = GetPublicationByName(lfirst(lc), true);

		if (!pub)
			ereport(ERROR, errcode(ERRCODE_UNDEFINED_OBJECT),
					errmsg("publication \"%s\" of option \"publication_names\" "
						   "does not exist",
						   (char *) lfirst(lc)));
		if (pub->alltables || opt->filter == FILTER_SUPERSET)
			continue;
		foreach (lr, GetPublicationRelations(pub->oid, PUBLICATION_PART_ROOT))
		{
			Bitmapset *columns;
			bool filtered;

			look_listed(lfirst_oid(lr), pub->oid, &columns, &filtered);
			if (filtered)
				refuse_filter(pub->name, lfirst_oid(lr));
		}
	}
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
	if (pub->pubactions.pubinsert)
		out->actions |= ACTION_INSERT;
	if (pub->pubactions.pubupdate)
		out->actions |= ACTION_UPDATE;
	if (pub->pubactions.pubdelete)
		out->actions |= ACTION_DELETE;
	if (pub->pubactions.pubtruncate)
		out->actions |= ACTION_TRUNCATE;

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
cdc_s3_publications_look(List *names, Relation relation, CdcS3Published *out)
{
	List *ancestors = NIL;
	ListCell *lc;

	memset(out, 0, sizeof(*out));
	if (relation->rd_rel->relispartition)
		ancestors = get_partition_ancestors(RelationGetRelid(relation));
	foreach (lc, names)
	{
		Publication *pub = GetPublicationByName(lfirst(lc), true);
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
