/*-------------------------------------------------------------------------
 * telling.h
 *	  The listener and the lines of metrics, as the settings ask for them.
 *
 * Layer: cmd.
 *-------------------------------------------------------------------------
 */
#ifndef TELLING_H
#define TELLING_H

#include "cmd/config.h"
#include "cmd/telling_target.h"
#include "serve/listen.h"

/* What the listener borrows while it is there. */
typedef struct Telling
{
	Serve *serve;
	TargetWatch *target; /* NULL: nothing is told of it */
	char *token;
	char *basic;
} Telling;

bool telling_start(Telling *t, const Config *cfg, StatsRole role,
				   Err *err) MUST_CHECK;
void telling_stop(Telling *t);

#endif
