/*-------------------------------------------------------------------------
 * run.h
 *	  Streams until it is told to stop: one session after the other.
 *
 * Layer: pipe.
 *-------------------------------------------------------------------------
 */
#ifndef RUN_H
#define RUN_H

#include "pipe/pipe.h"

/*
 * True after an orderly stop.  A first session that cannot start is an error
 * at once; a later one is tried again for as long as it may help.
 */
bool run_stream(const RunOptions *options, Err *err) MUST_CHECK;

#endif
