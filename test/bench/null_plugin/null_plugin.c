/*-------------------------------------------------------------------------
 * null_plugin.c
 *	  Output plugin that has every callback and sends nothing: what is left
 *	  is the server's own work, the floor of every benchmark of a plugin.
 *
 *	  make PG_CONFIG=…; the library is null_plugin.so, the plugin's name for
 *	  a slot and for output_plugin_libraries is null_plugin.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "replication/logical.h"
#include "replication/output_plugin.h"

PG_MODULE_MAGIC;

extern PGDLLEXPORT void _PG_output_plugin_init(OutputPluginCallbacks *cb);

/* Up to 15 it is for the plugin to keep a long transaction from timing out. */
static void
progress(LogicalDecodingContext *ctx)
{
#if PG_VERSION_NUM < 160000
	static int changes = 0;

	if (++changes < 100)
		return;
	changes = 0;
	OutputPluginUpdateProgress(ctx, false);
#endif
}

static void
startup_cb(LogicalDecodingContext *ctx, OutputPluginOptions *opt, bool is_init)
{
	opt->output_type = OUTPUT_PLUGIN_BINARY_OUTPUT;
	opt->receive_rewrites = false;
	ctx->streaming = false;
	ctx->twophase = false;
}

static void
shutdown_cb(LogicalDecodingContext *ctx)
{
}

static void
txn_cb(LogicalDecodingContext *ctx, ReorderBufferTXN *txn)
{
}

static void
end_cb(LogicalDecodingContext *ctx, ReorderBufferTXN *txn, XLogRecPtr lsn)
{
	OutputPluginUpdateProgress(ctx, true);
}

static void
change_cb(LogicalDecodingContext *ctx, ReorderBufferTXN *txn, Relation relation,
		  ReorderBufferChange *change)
{
	progress(ctx);
}

static void
truncate_cb(LogicalDecodingContext *ctx, ReorderBufferTXN *txn, int nrelations,
			Relation relations[], ReorderBufferChange *change)
{
	progress(ctx);
}

static void
message_cb(LogicalDecodingContext *ctx, ReorderBufferTXN *txn, XLogRecPtr lsn,
		   bool transactional, const char *prefix, Size size,
		   const char *message)
{
	progress(ctx);
}

static void
rollback_prepared_cb(LogicalDecodingContext *ctx, ReorderBufferTXN *txn,
					 XLogRecPtr prepare_end_lsn, TimestampTz prepare_time)
{
}

void
_PG_output_plugin_init(OutputPluginCallbacks *cb)
{
	cb->startup_cb = startup_cb;
	cb->shutdown_cb = shutdown_cb;
	cb->begin_cb = txn_cb;
	cb->change_cb = change_cb;
	cb->truncate_cb = truncate_cb;
	cb->commit_cb = end_cb;
	cb->message_cb = message_cb;

	cb->begin_prepare_cb = txn_cb;
	cb->prepare_cb = end_cb;
	cb->commit_prepared_cb = end_cb;
	cb->rollback_prepared_cb = rollback_prepared_cb;

	cb->stream_start_cb = txn_cb;
	cb->stream_stop_cb = txn_cb;
	cb->stream_abort_cb = end_cb;
	cb->stream_prepare_cb = end_cb;
	cb->stream_commit_cb = end_cb;
	cb->stream_change_cb = change_cb;
	cb->stream_message_cb = message_cb;
	cb->stream_truncate_cb = truncate_cb;
}
