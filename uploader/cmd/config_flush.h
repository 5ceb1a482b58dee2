/*-------------------------------------------------------------------------
 * config_flush.h
 *	  The setting flush.tables, from its text to rules.
 *
 *	  public.orders rows=1000 interval=5s; audit.*, public.log bytes=1MB
 *
 * Layer: cmd.
 *-------------------------------------------------------------------------
 */
#ifndef CONFIG_FLUSH_H
#define CONFIG_FLUSH_H

#include "base/err.h"
#include "pipe/flush.h"

/*
 * The rules borrow *out_room, which the caller frees, also after a failure.
 * ERR_USAGE.
 */
bool config_flush_rules(const char *text, FlushRules *out, char **out_room,
						Err *err) MUST_CHECK;

#endif
