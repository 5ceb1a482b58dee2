/*-------------------------------------------------------------------------
 * oracle.h
 *	  What has to hold, and is looked at whenever it could break.
 *
 *	I1	Entries are a chain: numbers without holes, each begins where the one
 *		before ends, closed_until and swept_until never go back, and an end
 *		is no place within a transaction.
 *	I2	What an entry lists is there when the entry is, with its size and
 *		CRC; it carries the entry's number, or is of a load.
 *	I3	What an entry lists is never removed, and no object ever changes.
 *	I4	Nothing is confirmed to the slot beyond the end of the last entry.
 *	I5	No entry adds to a folder that is complete.
 *	I6	Before swept_until there is nothing that no entry lists.
 *	I7	The listed objects of the stream have the transactions up to the
 *		log's end, each row once, as it was committed, and nothing else.
 *	I8	The listed objects of a load that is done are the table at its
 *		consistent point.
 *	I9	Once all is quiet nothing is left that no entry lists, and no upload.
 *	I10	Where no clock lies, a row is in the hour of its commit.
 *	I11	A further output that an entry says is attached has the rows of the
 *		entry, each once, in objects that the entry lists; no other entry lists
 *		any of its objects.
 *	I12	On a disk: what a store said is durable is there after a power cut, and
 *		so is all that an entry lists once the entry is seen, and every entry
 *		once its end is confirmed.
 *-------------------------------------------------------------------------
 */
#ifndef ORACLE_H
#define ORACLE_H

#include <stdbool.h>

#include "base/lsn.h"
#include "lake.h"

/* The end of the last entry, and its number; -1: there is none. */
Lsn oracle_log_end(void);
int64_t oracle_log_seq(void);
int64_t oracle_closed_until(void);
int64_t oracle_swept_until(void);
bool oracle_loads_open(void);

/* I12 */
void oracle_durable(const LakeObject *o);

/* A power cut took it, or a part of it. */
void oracle_lost(const LakeObject *o);

/* What was sent to the slot's owner. */
void oracle_confirmed(Lsn lsn);

/* A writer may have been cut off while its calls were on their way: I6 holds
 * again for what is made behind this moment. */
void oracle_clock_lies(void);

/* An update that changes the key is two records (output.key_change). */
extern bool oracle_split;

/* The lake lies on a disk (disk.h). */
extern bool oracle_disk;

/* I7, I8, I11: over all entries. */
void oracle_compare(void);

/* I9 */
void oracle_clean(void);

#endif
