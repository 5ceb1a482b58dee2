/*-------------------------------------------------------------------------
 * command.h
 *	  A row of the table of commands, from which help, manual and completion
 *	  are made.
 *
 * Layer: cmd.
 *-------------------------------------------------------------------------
 */
#ifndef COMMAND_H
#define COMMAND_H

#include "cmd/cmd.h"

typedef struct Command
{
	const char *name;
	CmdFn fn; /* NULL: answered without a configuration */
	const char *usage;
	const char *help;    /* one line */
	const char *options; /* lines of its own options, or NULL */
} Command;

#endif
