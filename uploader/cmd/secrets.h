/*-------------------------------------------------------------------------
 * secrets.h
 *	  Where passwords and keys come from that stand in no setting themselves.
 *
 * Layer: cmd.
 *-------------------------------------------------------------------------
 */
#ifndef SECRETS_H
#define SECRETS_H

#include "cmd/config.h"

/*
 * Has connections and the store look them up where cfg says.  cfg must live
 * as long; secrets_forget() before it goes.  ERR_USAGE where one password has
 * two places.
 */
bool secrets_use(const Config *cfg, Err *err) MUST_CHECK;
void secrets_forget(void);

#endif
