/*-------------------------------------------------------------------------
 * telling_target.h
 *	  How far the target is, told by "run" where it knows one: a thread of its
 *	  own asks once a minute.
 *
 * Layer: cmd.
 *-------------------------------------------------------------------------
 */
#ifndef TELLING_TARGET_H
#define TELLING_TARGET_H

#include "cmd/config.h"

typedef struct TargetWatch TargetWatch;

/* NULL where the thread cannot be made: then nothing is told of the target. */
TargetWatch *target_watch_start(const Config *cfg);

/* Breaks off what it waits for. */
void target_watch_stop(TargetWatch *w);

#endif
