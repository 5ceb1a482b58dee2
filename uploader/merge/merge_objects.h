/*-------------------------------------------------------------------------
 * merge_objects.h
 *	  The record lines of a table's objects, in the order of the source.
 *
 * Several objects of one table may have grown at the same time, each in order
 * within itself: those that overlap are read side by side.  The order of a
 * load's rows means nothing, and its objects are read one after the other.
 *
 * Memory: the stored bytes of the objects that overlap, and what their
 * format's readers hold.  Layer: merge.
 *-------------------------------------------------------------------------
 */
#ifndef MERGE_OBJECTS_H
#define MERGE_OBJECTS_H

#include "merge/merge_record.h"
#include "merge/merge_sql.h"

/* A record of a COPY is not longer, and neither is its line. */
#define LINE_MAX_BYTES ((size_t) 1024 * 1024 * 1024)

typedef struct ObjectsReader ObjectsReader;

/*
 * Objects in the order of their first rows, each with the schema that its
 * entry names; all are borrowed.  Opens nothing yet.
 */
ObjectsReader *objects_new(MergeCx *cx, const EntryObject *const *objects,
						   const Schema *const *schemas, int n);
void objects_free(ObjectsReader *r);

/*
 * The next line, valid until the next call, and the object that it is of, by
 * its number, -1 at the end.  ERR_GAP where an object is not there or not what
 * the log says.
 */
bool objects_next(ObjectsReader *r, Slice *out_line, int *out_object,
				  Err *err) MUST_CHECK;

/* Says which line of its object is wrong: the one that came last. */
bool objects_wrong_line(const ObjectsReader *r, Err *err);

#endif
