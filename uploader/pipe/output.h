/*-------------------------------------------------------------------------
 * output.h
 *	  Further outputs: the same changes once more, elsewhere or in another
 *	  form.
 *
 * Outputs have numbers: 0 is the main one, which the log lies in and merge
 * reads; those of RunOptions.further follow.  Each batch goes into an object
 * of each output that has its table, and an entry lists the objects of all of
 * them.
 *
 * Invariants:
 *	(1) An entry is written after the objects of all attached outputs are
 *		durable: so an attached output has each change that the log covers,
 *		from the entry on that attached it, in one object that is listed.
 *	(2) An entry that says an output is attached lists all of its objects, one
 *		that says otherwise lists none.  What was written for one that is
 *		detached meanwhile does not count.
 *	(3) An output that was detached stays so until the process ends: one that
 *		comes back is a new one, and says from where on.
 *
 * Threads: any, but where a function says otherwise.  Layer: pipe.
 *-------------------------------------------------------------------------
 */
#ifndef OUTPUT_H
#define OUTPUT_H

#include "pipe/pipe.h"

/* A thread's own stores, each opened when it is needed. */
typedef struct OutputStores
{
	Store *of[OUTPUTS_MAX];
} OutputStores;

/* *out is borrowed.  False also where the output is detached by now. */
bool output_store(Pipe *p, OutputStores *stores, int output, Store **out,
				  Err *err) MUST_CHECK;
void output_stores_close(OutputStores *stores);

/*
 * pipe_again() of a call to an output's store.  One that may be detached is
 * tried for its time, whatever the error is; then it is detached, and false
 * returned: object_drop() is what is left to do.
 */
bool output_again(Pipe *p, int output, const char *doing, Err *err);

/* A call has worked. */
void output_works(const Pipe *p, int output);

/*
 * At a session's start: the state of all outputs after the log's last entry
 * (Pipe.start), in Pipe.outputs; where outputs come or go, says so.  Takes what
 * fills one up (fill.h), if lake is not NULL.
 */
bool outputs_plan(Pipe *p, Store *lake, Err *err) MUST_CHECK;

/*
 * The committer's: e is the entry behind "before", and all objects of attached
 * outputs are durable.  Lists the outputs, and drops objects of others.
 */
void outputs_fill_entry(Pipe *p, Entry *e, const Entry *before);

/* Which outputs there are, for who looks (base/seen.h). */
void outputs_tell(const RunOptions *o);

/* Counts what the entry lists for further ones. */
void outputs_tell_entry(const Pipe *p, const Entry *e);

/*
 * The watcher's: what fills outputs and is in the log is taken away; is there
 * such for an output, so that a session has to begin?
 */
void outputs_take_away(Pipe *p, Store *lake);
bool outputs_are_filled(Pipe *p, Store *lake);

#endif
