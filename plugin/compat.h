/*-------------------------------------------------------------------------
 * compat.h
 *	  Differences between the server's major versions, and nothing else.
 *
 * This is the one file that looks at PG_VERSION_NUM.
 *-------------------------------------------------------------------------
 */
#ifndef CDC_S3_COMPAT_H
#define CDC_S3_COMPAT_H

#include "access/htup_details.h"
#include "catalog/pg_attribute.h"
#include "replication/origin.h"
#include "replication/reorderbuffer.h"
#include "utils/guc_tables.h"
#include "utils/relcache.h"

#include "cdc_s3_proto.h"

#if PG_VERSION_NUM < 150000
#error "cdc_s3 needs PostgreSQL 15 or later"
#endif

#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

/* Up to 15 the server's headers mark nothing: all was visible to all. */
#if PG_VERSION_NUM < 160000
#undef PGDLLEXPORT
#define PGDLLEXPORT __attribute__((visibility("default")))
#endif

/* A tuple of a change: wrapped up to 16, plain from 17 on. */
#if PG_VERSION_NUM >= 170000
#define CHANGE_TUPLE(t) (t)
#else
#define CHANGE_TUPLE(t) ((t) ? &(t)->tuple : NULL)
#endif

#if PG_VERSION_NUM >= 160000
#define txn_top(txn) rbtxn_get_toptxn(txn)
#else
#define txn_top(txn) ((txn)->toptxn ? (txn)->toptxn : (txn))
#endif

/* Up to 15 it is for the plugin to keep a long transaction from timing out. */
#if PG_VERSION_NUM >= 160000
#define PLUGIN_REPORTS_PROGRESS 0
#else
#define PLUGIN_REPORTS_PROGRESS 1
#endif

#if PG_VERSION_NUM >= 180000
#define relation_primary_key(rel) RelationGetPrimaryKeyIndex(rel, false)
#else
#define relation_primary_key(rel) RelationGetPrimaryKeyIndex(rel)
#endif

/* A setting by its name, placeholders among them; NULL if there is none. */
static inline struct config_generic *
find_setting(const char *name)
{
#if PG_VERSION_NUM >= 160000
	return find_option(name, false, true, 0);
#else
	struct config_generic **all = get_guc_variables();

	for (int i = 0; i < GetNumConfigOptions(); i++)
		if (pg_strcasecmp(all[i]->name, name) == 0)
			return all[i];
	return NULL;
#endif
}

/* Origins have another name from 19 on. */
#if PG_VERSION_NUM >= 190000
typedef ReplOriginId RepOriginId;
#define InvalidRepOriginId InvalidReplOriginId
#endif

/* Virtual generated columns came with 18. */
#ifndef ATTRIBUTE_GENERATED_VIRTUAL
#define ATTRIBUTE_GENERATED_VIRTUAL 'v'
#endif

/* The module's name and version, where the server can show them. */
#if PG_VERSION_NUM >= 180000
#define MODULE_MAGIC(name_, version_)                                          \
	PG_MODULE_MAGIC_EXT(.name = (name_), .version = (version_))
#else
#define MODULE_MAGIC(name_, version_) PG_MODULE_MAGIC
#endif

/*
 * What leans on the walsender's internals (ahead.c, deliver.c) was checked
 * against the sources up to this major, and is off on later ones.
 */
#define WALSENDER_CHECKED (PG_VERSION_NUM / 10000 <= CDC_S3_CHECKED_MAJOR)

#endif /* CDC_S3_COMPAT_H */
