/*-------------------------------------------------------------------------
 * config_show.h
 *	  The table of settings for people: help, manual, an example, and what is
 *	  in force.
 *
 * Layer: cmd.
 *-------------------------------------------------------------------------
 */
#ifndef CONFIG_SHOW_H
#define CONFIG_SHOW_H

#include <stdio.h>

#include "cmd/config.h"

void config_print_help(FILE *out);     /* of --help */
void config_print_markdown(FILE *out); /* of README.md */

/* A file with all settings, in which all but the required ones are comments. */
void config_print_example(FILE *out);

/*
 * What is in force and where each comes from; nothing of a secret.  json: one
 * object.
 */
void config_add_text(const Config *c, Buf *out);
void config_add_json(const Config *c, Buf *out);

#endif
