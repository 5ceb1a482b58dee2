/*-------------------------------------------------------------------------
 * sweep_list.h
 *	  The sweep of lists of objects: those of an entry that another writer
 *wrote, or that was written anew.
 *
 * Layer: pipe.
 *-------------------------------------------------------------------------
 */
#ifndef SWEEP_LIST_H
#define SWEEP_LIST_H

#include "pipe/pipe.h"
#include "store/store.h"

/*
 * Removes the lists in _cdc/list/ of entries behind "from" that are written and
 * do not name them; what this session wrote is left alone.  A refused delete is
 * a warning.  *removed grows.
 */
bool sweep_lists(Pipe *p, Store *log, int64_t from, int64_t *removed,
				 Err *err) MUST_CHECK;

#endif
