/*-------------------------------------------------------------------------
 * cdc_s3.c
 *	  Output plugin: the callbacks that the server calls.
 *
 * Invariants:
 *	(1) A transaction without a change that is wanted sends nothing, but its
 *		progress is reported.
 *	(2) Before a callback returns that ends a transaction, a stream block or
 *		a non-transactional message, the packet is sent.  So a keepalive never
 *		passes frames that still lie in the buffer.
 *	(3) Every callback that some server version may call is there, also where
 *		streaming and two-phase were not asked for: PostgreSQL 18 calls
 *		stream_abort without them.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "replication/origin.h"
#include "utils/memutils.h"

#include "cdc_s3.h"

MODULE_MAGIC("cdc_s3", CDC_S3_PLUGIN_VERSION);

extern PGDLLEXPORT void _PG_output_plugin_init(OutputPluginCallbacks *cb);

/* Report progress after so many changes, wanted or not. */
#define PROGRESS_EVERY 100

static CdcS3State *
state_of(LogicalDecodingContext *ctx)
{
	return (CdcS3State *) ctx->output_plugin_private;
}

/* A walsender that only reads must not look dead to the other side. */
static void
keep_alive(CdcS3State *st)
{
	if (PLUGIN_REPORTS_PROGRESS && ++st->since_progress >= PROGRESS_EVERY)
	{
		OutputPluginUpdateProgress(st->ctx, false);
		st->since_progress = 0;
	}
}

/* ---- life ---- */

static void
startup_cb(LogicalDecodingContext *ctx, OutputPluginOptions *opt, bool is_init)
{
	MemoryContext old = MemoryContextSwitchTo(ctx->context);
	CdcS3State *st = palloc0(sizeof(CdcS3State));

	st->ctx = ctx;
	st->cxt = ctx->context;
	st->scratch = AllocSetContextCreate(ctx->context, "cdc_s3 change",
										ALLOCSET_DEFAULT_SIZES);
	cdc_s3_options_parse(ctx->output_plugin_options, &st->opt);
	opt->output_type = st->opt.format == FORMAT_TEXT
						   ? OUTPUT_PLUGIN_TEXTUAL_OUTPUT
						   : OUTPUT_PLUGIN_BINARY_OUTPUT;
	opt->receive_rewrites = false;
	st->parts = st->opt.format == FORMAT_BINARY;
	if (!is_init)
		cdc_s3_convert_init(st);
	cdc_s3_rels_init(st);
	ctx->output_plugin_private = st;

	/* The server turns both on because the callbacks are there. */
	ctx->streaming = false;
	ctx->twophase = false;
	MemoryContextSwitchTo(old);
}

static void
shutdown_cb(LogicalDecodingContext *ctx)
{
	/* All there is goes with ctx->context. */
}

static bool
filter_by_origin_cb(LogicalDecodingContext *ctx, RepOriginId origin_id)
{
	return state_of(ctx)->opt.origin == ORIGIN_NONE &&
		   origin_id != InvalidRepOriginId;
}

/* ---- plain transactions ---- */

/* The server opened a transaction of its own to replay this one. */
static void
txn_enter(CdcS3State *st, ReorderBufferTXN *txn, CdcS3Txn *t)
{
	st->txn = t;
	st->rtxn = txn;
	st->xid = txn->xid;
	st->pinned = false;
	if (st->opt.format == FORMAT_TEXT)
		cdc_s3_pin_settings(st);
}

static void
begin_cb(LogicalDecodingContext *ctx, ReorderBufferTXN *txn)
{
	CdcS3State *st = state_of(ctx);

	memset(&st->plain, 0, sizeof(st->plain));
	st->prepared = false;
	st->in_stream = false;
	txn_enter(st, txn, &st->plain);
}

static void
commit_cb(LogicalDecodingContext *ctx, ReorderBufferTXN *txn,
		  XLogRecPtr commit_lsn)
{
	CdcS3State *st = state_of(ctx);
	bool begun = st->plain.begun;

	if (begun)
	{
		cdc_s3_put_commit(st, txn);
		cdc_s3_packet_flush(st);
	}
	st->txn = NULL;
	cdc_s3_rels_sweep(st);
	OutputPluginUpdateProgress(ctx, !begun);
}

/* ---- changes ---- */

static void
change_cb(LogicalDecodingContext *ctx, ReorderBufferTXN *txn, Relation relation,
		  ReorderBufferChange *change)
{
	CdcS3State *st = state_of(ctx);
	CdcS3Rel *rel;
	MemoryContext old;

	keep_alive(st);
	rel = cdc_s3_rel_get(st, relation);
	if (!rel->published)
		return;
	if (rel->pinned && !st->pinned)
		cdc_s3_pin_settings(st);
	old = MemoryContextSwitchTo(st->scratch);
	cdc_s3_put_change(st, rel, relation, change);
	MemoryContextSwitchTo(old);
	MemoryContextReset(st->scratch);
}

static void
truncate_cb(LogicalDecodingContext *ctx, ReorderBufferTXN *txn, int nrelations,
			Relation relations[], ReorderBufferChange *change)
{
	CdcS3State *st = state_of(ctx);

	keep_alive(st);
	cdc_s3_put_truncate(st, nrelations, relations, change);
}

static void
message_cb(LogicalDecodingContext *ctx, ReorderBufferTXN *txn,
		   XLogRecPtr message_lsn, bool transactional, const char *prefix,
		   Size message_size, const char *message)
{
	CdcS3State *st = state_of(ctx);
	MemoryContext old;

	keep_alive(st);
	if (!st->opt.messages)
		return;
	old = MemoryContextSwitchTo(st->scratch);
	cdc_s3_put_message(st, message_lsn, transactional, prefix, message_size,
					   message);
	if (!transactional)
		cdc_s3_packet_flush(st);
	MemoryContextSwitchTo(old);
	MemoryContextReset(st->scratch);
}

/* ---- streaming and two-phase commit ---- */

static bool
filter_prepare_cb(LogicalDecodingContext *ctx, TransactionId xid,
				  const char *gid)
{
	return true;
}

static void
prepare_cb(LogicalDecodingContext *ctx, ReorderBufferTXN *txn, XLogRecPtr lsn)
{
}

static void
rollback_prepared_cb(LogicalDecodingContext *ctx, ReorderBufferTXN *txn,
					 XLogRecPtr prepare_end_lsn, TimestampTz prepare_time)
{
}

static void
stream_start_cb(LogicalDecodingContext *ctx, ReorderBufferTXN *txn)
{
}

static void
stream_stop_cb(LogicalDecodingContext *ctx, ReorderBufferTXN *txn)
{
}

/* Called by PostgreSQL 18 also for what was never streamed. */
static void
stream_abort_cb(LogicalDecodingContext *ctx, ReorderBufferTXN *txn,
				XLogRecPtr abort_lsn)
{
}

static void
stream_commit_cb(LogicalDecodingContext *ctx, ReorderBufferTXN *txn,
				 XLogRecPtr commit_lsn)
{
}

void
_PG_output_plugin_init(OutputPluginCallbacks *cb)
{
	cb->startup_cb = startup_cb;
	cb->begin_cb = begin_cb;
	cb->change_cb = change_cb;
	cb->truncate_cb = truncate_cb;
	cb->commit_cb = commit_cb;
	cb->message_cb = message_cb;
	cb->filter_by_origin_cb = filter_by_origin_cb;
	cb->shutdown_cb = shutdown_cb;

	cb->filter_prepare_cb = filter_prepare_cb;
	cb->begin_prepare_cb = begin_cb;
	cb->prepare_cb = prepare_cb;
	cb->commit_prepared_cb = prepare_cb;
	cb->rollback_prepared_cb = rollback_prepared_cb;

	cb->stream_start_cb = stream_start_cb;
	cb->stream_stop_cb = stream_stop_cb;
	cb->stream_abort_cb = stream_abort_cb;
	cb->stream_prepare_cb = prepare_cb;
	cb->stream_commit_cb = stream_commit_cb;
	cb->stream_change_cb = change_cb;
	cb->stream_message_cb = message_cb;
	cb->stream_truncate_cb = truncate_cb;
}
