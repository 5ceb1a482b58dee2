/*-------------------------------------------------------------------------
 * count.h
 *	  How often each fault, branch and invariant came: a fault that never
 *	  happens proves nothing (run.sh refuses a run that has such).
 *-------------------------------------------------------------------------
 */
#ifndef COUNT_H
#define COUNT_H

#include <stdint.h>

#define COUNTS(X)                                                              \
	X(transactions, "transactions committed")                                  \
	X(changes, "changes in them")                                              \
	X(big, "transactions larger than memory.limit")                            \
	X(bulks, "bursts of a thousand rows")                                      \
	X(key_changes, "key changes")                                              \
	X(truncates, "truncates")                                                  \
	X(unchanged, "updates with unchanged values")                              \
	X(ddl, "columns added")                                                    \
	X(origin, "transactions with a commit time of their own")                  \
	X(starts, "starts of run")                                                 \
	X(sessions, "replication started")                                         \
	X(stops, "stops asked for")                                                \
	X(kills, "kills")                                                          \
	X(pauses, "processes stopped for a while")                                 \
	X(seconds, "second writers started")                                       \
	X(lost_writer, "writers that lost to another")                             \
	X(slot_taken, "starts on a taken slot")                                    \
	X(server_crash, "server crashes")                                          \
	X(confirmed_back, "confirmed LSN forgotten by a crash")                    \
	X(promoted, "promotions to a new timeline")                                \
	X(cut, "connections cut")                                                  \
	X(half_open, "connections that only the server gave up")                   \
	X(silent, "silences of the server")                                        \
	X(keepalive_ahead, "keepalives ahead of what is decoded")                  \
	X(hangs, "statements that are never answered")                             \
	X(asked_for_work, "servers asked whether they work")                       \
	X(broken_off, "connections given up")                                      \
	X(foreign, "slots consumed by somebody else")                              \
	X(gap, "gaps refused")                                                     \
	X(covered, "transactions sent again")                                      \
	X(clock_jump, "jumps of the machine's clock")                              \
	X(server_clock_jump, "jumps of the server's clock")                        \
	X(store_calls, "calls of the store")                                       \
	X(store_taken, "conditional puts refused")                                 \
	X(uploads, "uploads in parts")                                             \
	X(fault_lost, "calls lost")                                                \
	X(fault_no_answer, "answers lost")                                         \
	X(fault_late, "calls that landed late")                                    \
	X(fault_busy, "calls refused with slow down")                              \
	X(fault_gone, "uploads lost")                                              \
	X(fault_lag, "listings that lag")                                          \
	X(finish_twice, "uploads finished by a try whose answer was lost")         \
	X(overwritten, "puts of bytes that were there")                            \
	X(entries, "I1 entries of the chain")                                      \
	X(empty_entries, "entries without objects")                                \
	X(listed, "I2 objects listed")                                             \
	X(lists, "I2 lists of objects")                                            \
	X(copies, "I11 objects of a further output listed")                        \
	X(detached, "I11 entries without an output that failed")                   \
	X(moved, "key changes in two records")                                     \
	X(late_objects, "objects that came after another's entry")                 \
	X(swept, "I3 leftovers removed")                                           \
	X(confirms, "I4 positions confirmed")                                      \
	X(hours, "I5 hours closed")                                                \
	X(swept_hours, "I6 swept_until moved")                                     \
	X(rows_compared, "I7 rows compared")                                       \
	X(loads, "I8 loads compared")                                              \
	X(load_rows, "I8 rows of loads compared")                                  \
	X(loads_given_up, "loads given up")                                        \
	X(clean, "I9 lakes without leftovers")                                     \
	X(folders, "I10 rows in the hour of their commit")

/* Of stores on a disk (sim -f). */
#define DISK_COUNTS(X)                                                         \
	X(disk_calls, "calls of the file system")                                  \
	X(disk_faults, "of them failed")                                           \
	X(disk_ended, "processes that ended with an error of the disk")            \
	X(power_cuts, "power cuts")                                                \
	X(entries_lost,                                                            \
	  "entries that a power cut took, nothing of them confirmed")              \
	X(came_back, "removed files that a power cut brought back")                \
	X(durable, "I12 files that a power cut would leave")

typedef struct Counts
{
#define X(name, text) int64_t name;
	COUNTS(X)
	DISK_COUNTS(X)
#undef X
	int64_t small_calls; /* of the store, in the small story */
	int64_t small_steps; /* of its writer */
} Counts;

/* Shared by the processes of all seeds. */
extern Counts *counts;

#define COUNT(name) COUNT_N(name, 1)
#define COUNT_N(name, n)                                                       \
	((void) __atomic_fetch_add(&counts->name, (n), __ATOMIC_RELAXED))

#endif
