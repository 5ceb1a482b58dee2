/*-------------------------------------------------------------------------
 * merge_bound.h
 *	  The bound of a partition, as the source's SQL, to a condition on the
 *	  target's columns.
 *
 * The text comes from the lake and is never run as it stands: it is read as
 * what the bounds of range, list and default partitions look like, and
 * written anew from columns of the schema and literals.
 * Threads: no state.  Layer: merge.
 *-------------------------------------------------------------------------
 */
#ifndef MERGE_BOUND_H
#define MERGE_BOUND_H

#include "base/buf.h"
#include "codec/schema.h"

/*
 * Appends the condition.  False, with nothing appended, where it cannot be
 * said at another server: a hash bound, an expression as key, a range of
 * strings (another server may order them otherwise), a column that the schema
 * lacks.
 */
bool bound_to_sql(Slice bound, const Schema *schema, Buf *out);

#endif
