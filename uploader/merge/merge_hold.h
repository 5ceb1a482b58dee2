/*-------------------------------------------------------------------------
 * merge_hold.h
 *	  Tables that wait since another one waits.
 *
 * Where a foreign key between them is in force the rows of the child would be
 * refused for rows of the parent that are still to come.  A parent waits for
 * its load, or for a change of its schema that the target refused.  And what
 * waits so goes by the name that the target knows it by: who has that name at
 * the source by now waits for it.
 * Layer: merge.
 *-------------------------------------------------------------------------
 */
#ifndef MERGE_HOLD_H
#define MERGE_HOLD_H

#include "merge/merge_ddl.h"

/* A table whose schema is left alone, since its changes will have to wait. */
typedef struct HeldTable
{
	uint32_t relation; /* its OID at the source */
	char *why;
} HeldTable;

typedef struct Held
{
	int n;
	HeldTable *tables;
} Held;

void held_add(Held *h, uint32_t relation, const char *why);
void held_done(Held *h);

/* Before the target follows: those are held from the beginning. */
void hold_known(const Held *h, Plan *plan);

/*
 * Behind follow_plan(): blocks who waits for tables that wait, who waits for
 * these, and so on.  *again: the target has followed what some of them
 * became; they are in *h now, and the transaction is to be rolled back and
 * begun anew.
 */
bool hold_others(Ddl *d, Plan *plan, Held *h, bool *again, Err *err) MUST_CHECK;

#endif
