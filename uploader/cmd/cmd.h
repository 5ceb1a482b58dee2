/*-------------------------------------------------------------------------
 * cmd.h
 *	  The commands of cdc-s3.  Each gets the configuration and its own
 *	  arguments (argv[0] is the first behind the command's name), prints
 *	  results on stdout, and returns false with the error that main prints
 *	  and turns into the exit code.
 *
 * Layer: cmd.
 *-------------------------------------------------------------------------
 */
#ifndef CMD_H
#define CMD_H

#include "base/err.h"
#include "cmd/config.h"
#include "codec/path.h"
#include "store/store.h"

#define CDC_S3_VERSION "1.0.0"

typedef bool (*CmdFn)(const Config *cfg, int argc, char **argv, Err *err);

bool cmd_init(const Config *cfg, int argc, char **argv, Err *err) MUST_CHECK;
bool cmd_run(const Config *cfg, int argc, char **argv, Err *err) MUST_CHECK;
bool cmd_merge(const Config *cfg, int argc, char **argv, Err *err) MUST_CHECK;
bool cmd_check(const Config *cfg, int argc, char **argv, Err *err) MUST_CHECK;
bool cmd_snapshot(const Config *cfg, int argc, char **argv,
				  Err *err) MUST_CHECK;
bool cmd_ls(const Config *cfg, int argc, char **argv, Err *err) MUST_CHECK;
bool cmd_ddl(const Config *cfg, int argc, char **argv, Err *err) MUST_CHECK;
bool cmd_replay(const Config *cfg, int argc, char **argv, Err *err) MUST_CHECK;
bool cmd_status(const Config *cfg, int argc, char **argv, Err *err) MUST_CHECK;
bool cmd_drop(const Config *cfg, int argc, char **argv, Err *err) MUST_CHECK;
bool cmd_expire(const Config *cfg, int argc, char **argv, Err *err) MUST_CHECK;
bool cmd_verify(const Config *cfg, int argc, char **argv, Err *err) MUST_CHECK;
bool cmd_config(const Config *cfg, int argc, char **argv, Err *err) MUST_CHECK;
bool cmd_ping(const Config *cfg, int argc, char **argv, Err *err) MUST_CHECK;

/*
 * The main program behind main(): parses, dispatches, prints the error.
 * Returns the exit code.
 */
int cli_main(int argc, char **argv);

/*
 * Standard output: the first failure is kept, and cli_main tells it at the
 * latest.  ERR_STOP where the reader closed it: he had enough.
 */
bool cli_write(Slice bytes, Err *err) MUST_CHECK;
bool cli_flush(Err *err) MUST_CHECK;

/* The store that cfg names (store_open with the right options). */
StoreOptions config_store_options(const Config *cfg);

/* Sets level, form and file of the log as cfg says. */
bool config_apply_log(const Config *cfg, Err *err) MUST_CHECK;

/* "cdc-s3: <message>; <hint>" as one line on stderr. */
void cli_print_error(const Err *err);

#endif
