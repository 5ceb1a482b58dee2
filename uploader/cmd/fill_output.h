/*-------------------------------------------------------------------------
 * fill_output.h
 *	  "replay --into NAME": what the lake had before an output was attached
 *	  is written into that output, and listed for run.
 *
 * Layer: cmd.
 *-------------------------------------------------------------------------
 */
#ifndef FILL_OUTPUT_H
#define FILL_OUTPUT_H

#include "cmd/cmd.h"

bool fill_output(const Config *cfg, const char *name, Err *err) MUST_CHECK;

#endif
