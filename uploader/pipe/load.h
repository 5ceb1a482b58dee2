/*-------------------------------------------------------------------------
 * load.h
 *	  First loads: the tables' rows under the snapshot of a temporary slot.
 *
 * Rows carry _op "r", the slot's consistent point S as _lsn, and a _seq from
 * 2^40 on: so they sort behind every change the snapshot holds and before
 * every later one.  Layer: pipe.
 *-------------------------------------------------------------------------
 */
#ifndef LOAD_H
#define LOAD_H

#include "pipe/pipe.h"

/*
 * Decides what this session loads: fills p->loads with what its first entry
 * announces (loads given up, loads opened), which may be nothing.
 */
bool load_plan(Pipe *p, Store *store, PGconn *control, Err *err) MUST_CHECK;

/* The loader's thread; arg is the Pipe.  Ends when all tables are loaded. */
void *load_main(void *arg);

#endif
