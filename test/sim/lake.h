/*-------------------------------------------------------------------------
 * lake.h
 *	  The store of the simulation: objects in memory, behind a network that
 *	  loses, delays and doubles, and the oracle that looks at each change.
 *
 * A call is on its way for a while; what it does happens at a time of its own,
 * whether its caller still waits, has given up, or is dead.
 *-------------------------------------------------------------------------
 */
#ifndef LAKE_H
#define LAKE_H

#include "base/buf.h"
#include "codec/entry.h"
#include "fiber.h"

/* Of 1,000 calls … */
typedef struct LakeFaults
{
	unsigned lost;      /* … so many never arrive */
	unsigned no_answer; /* … are done, and the answer is lost */
	unsigned late;      /* … are done after their caller gave up */
	unsigned busy;      /* … are refused with "slow down" */
	unsigned gone;      /* … of parts and finishes find their upload gone */
	unsigned slow;      /* … take seconds */
	unsigned lag;       /* … listings show what was there a while ago */
	bool no_uploads;    /* uploads cannot be listed */
} LakeFaults;

extern LakeFaults lake_faults;

/* Of one call of all, by its number from 1, what happens to it; see sim.c. */
typedef enum LakeFault
{
	FAULT_NONE,
	FAULT_LOST,
	FAULT_NO_ANSWER,
	FAULT_LATE,
	FAULT_BUSY,
	FAULT_GONE,
	FAULT_KINDS
} LakeFault;

extern int64_t lake_calls; /* so far */
extern int64_t lake_fault_at;
extern LakeFault lake_fault_kind;

typedef struct LakeObject
{
	struct LakeObject *next;
	char *key;
	uint8_t *bytes;
	size_t n;
	uint32_t crc32c;
	int64_t made;    /* sim_now() */
	int64_t removed; /* or SIM_NEVER */
	int64_t listed;  /* number of the entry that lists it; -1: none */
	bool late;       /* its writer had given up, or was dead, or its entry was
					  * another's already */
	bool hopeless;   /* and its folder was swept: nobody comes by again */
} LakeObject;

typedef struct LakeUpload
{
	struct LakeUpload *next;
	char *key;
	char id[24];
	int64_t made;
	bool over;
	int nparts;
	Buf *parts;
} LakeUpload;

extern LakeObject *lake_objects; /* those that are gone, too */
extern LakeUpload *lake_uploads;
extern size_t lake_part_min;

/*
 * A further output's place: its keys stand behind this here, and without it in
 * the entries.
 */
#define LAKE_COPY "copy/"

/* What is there now; NULL: nothing. */
LakeObject *lake_find(const char *key);

/* At once, and without faults. */
void lake_remove(LakeObject *o);

/* A file that readers see from now on (disk.c). */
void lake_link(const char *key, Slice bytes);

/* What is under way now comes from the dead. */
extern bool lake_arrives_late;

/* Told of each change, before (put: after) it happens. */
void oracle_put(LakeObject *o);
void oracle_overwrite(LakeObject *o, Slice bytes);
void oracle_remove(LakeObject *o);

#endif
