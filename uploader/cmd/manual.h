/*-------------------------------------------------------------------------
 * manual.h
 *	  Manual pages cdc-s3(1) and cdc-s3.conf(5), and completions for bash and
 *	  zsh, from the same tables as the help.
 *
 * Layer: cmd.
 *-------------------------------------------------------------------------
 */
#ifndef MANUAL_H
#define MANUAL_H

#include <stdio.h>

#include "cmd/command.h"

void manual_print(const Command *commands, int n, const char *exit_codes,
				  FILE *out);
void manual_print_conf(FILE *out);
void completion_print_bash(const Command *commands, int n, FILE *out);
void completion_print_zsh(const Command *commands, int n, FILE *out);

#endif
