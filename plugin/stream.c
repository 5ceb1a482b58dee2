/*-------------------------------------------------------------------------
 * stream.c
 *	  Callbacks for transactions in progress (option streaming) and for
 *	  prepared ones (option two_phase).
 *
 *	  stream start > changes > stop, any number of times, then commit, prepare
 *	  or abort; an abort may also be that of a subtransaction
 *
 * What is known of a streamed transaction hangs off the server's view of the
 * top-level one, in output_plugin_private, from its first block to its end.
 * PostgreSQL 18 calls stream_abort also for transactions that were never
 * streamed: those have nothing there.
 *
 * A transaction that aborts while it is decoded ends the block with an error,
 * and stop is not sure to be called: cdc_s3_stream_leave() is called instead
 * by whatever comes next.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "cdc_s3.h"

/* ---- blocks ---- */

/* End the block, if one is open. */
void
cdc_s3_stream_leave(CdcS3State *st)
{
	if (!st->in_stream)
		return;
	if (st->stream_open)
	{
		cdc_s3_put_stream(st, CDC_S3_STREAM_STOP, st->xid, st->xid,
						  InvalidXLogRecPtr);
		cdc_s3_packet_close(st);
	}
	st->in_stream = false;
	st->stream_open = false;
	st->txn = NULL;
}

static void
stream_start_cb(LogicalDecodingContext *ctx, ReorderBufferTXN *txn)
{
	CdcS3State *st = cdc_s3_state(ctx);
	ReorderBufferTXN *top = txn_top(txn);

	cdc_s3_stream_leave(st);
	if (!top->output_plugin_private)
		top->output_plugin_private =
			MemoryContextAllocZero(st->cxt, sizeof(CdcS3Txn));
	st->in_stream = true;
	st->stream_open = false;
	st->stream_block++;
	st->prepared = false;
	cdc_s3_txn_enter(st, top, top->output_plugin_private);
}

static void
stream_stop_cb(LogicalDecodingContext *ctx, ReorderBufferTXN *txn)
{
	CdcS3State *st = cdc_s3_state(ctx);

	if (st->in_stream)
		cdc_s3_tables_look(st, ctx->write_location);
	cdc_s3_stream_leave(st);
}

/* ---- ends ---- */

/* Whether anything of it was sent; its state is freed. */
static bool
stream_end(CdcS3State *st, ReorderBufferTXN *top)
{
	CdcS3Txn *t = top->output_plugin_private;
	bool begun = t && t->begun;

	if (t)
		pfree(t);
	top->output_plugin_private = NULL;
	cdc_s3_rels_sweep(st);
	return begun;
}

static void
stream_abort_cb(LogicalDecodingContext *ctx, ReorderBufferTXN *txn,
				XLogRecPtr abort_lsn)
{
	CdcS3State *st = cdc_s3_state(ctx);
	ReorderBufferTXN *top = txn_top(txn);
	CdcS3Txn *t = top->output_plugin_private;
	bool begun;

	if (!t)
		return;
	cdc_s3_stream_leave(st);
	begun = t->begun;
	if (top == txn)
		(void) stream_end(st, top);
	if (!begun)
		return;
	cdc_s3_put_stream(st, CDC_S3_STREAM_ABORT, top->xid, txn->xid, abort_lsn);
	cdc_s3_packet_close(st);
}

static void
stream_commit_cb(LogicalDecodingContext *ctx, ReorderBufferTXN *txn,
				 XLogRecPtr commit_lsn)
{
	CdcS3State *st = cdc_s3_state(ctx);
	bool begun;

	cdc_s3_stream_leave(st);
	begun = stream_end(st, txn);
	if (begun)
	{
		MemoryContext old = MemoryContextSwitchTo(st->scratch);

		cdc_s3_put_begin(st, CDC_S3_STREAM_COMMIT, txn);
		cdc_s3_packet_close(st);
		MemoryContextSwitchTo(old);
		MemoryContextReset(st->scratch);
	}
	OutputPluginUpdateProgress(ctx, !begun);
}

/* ---- two-phase commit ---- */

static bool
filter_prepare_cb(LogicalDecodingContext *ctx, TransactionId xid,
				  const char *gid)
{
	/* True: as a plain transaction, when it is committed. */
	return !ctx->twophase;
}

/* An empty one is sent too: its commit may come in another session. */
static void
begin_prepare_cb(LogicalDecodingContext *ctx, ReorderBufferTXN *txn)
{
	CdcS3State *st = cdc_s3_state(ctx);

	cdc_s3_stream_leave(st);
	memset(&st->plain, 0, sizeof(st->plain));
	st->prepared = true;
	cdc_s3_txn_enter(st, txn, &st->plain);
	cdc_s3_txn_open(st);
}

static void
put_end(CdcS3State *st, uint8 type, ReorderBufferTXN *txn, TimestampTz time)
{
	MemoryContext old = MemoryContextSwitchTo(st->scratch);

	cdc_s3_stream_leave(st);
	cdc_s3_put_prepared(st, type, txn->xid, txn->end_lsn, time, txn->gid);
	cdc_s3_packet_close(st);
	MemoryContextSwitchTo(old);
	MemoryContextReset(st->scratch);
	OutputPluginUpdateProgress(st->ctx, false);
}

static void
prepare_cb(LogicalDecodingContext *ctx, ReorderBufferTXN *txn, XLogRecPtr lsn)
{
	CdcS3State *st = cdc_s3_state(ctx);

	cdc_s3_tables_look(st, lsn);
	put_end(st, CDC_S3_PREPARE, txn, txn->xact_time.prepare_time);
	st->prepared = false;
	st->txn = NULL;
	cdc_s3_rels_sweep(st);
}

static void
stream_prepare_cb(LogicalDecodingContext *ctx, ReorderBufferTXN *txn,
				  XLogRecPtr lsn)
{
	CdcS3State *st = cdc_s3_state(ctx);

	cdc_s3_stream_leave(st);
	if (!stream_end(st, txn))
	{
		/* Nothing of it was wanted; still its commit will come. */
		begin_prepare_cb(ctx, txn);
		st->txn = NULL;
		st->prepared = false;
	}
	put_end(st, CDC_S3_PREPARE, txn, txn->xact_time.prepare_time);
}

static void
commit_prepared_cb(LogicalDecodingContext *ctx, ReorderBufferTXN *txn,
				   XLogRecPtr commit_lsn)
{
	put_end(cdc_s3_state(ctx), CDC_S3_COMMIT_PREPARED, txn,
			txn->xact_time.commit_time);
}

static void
rollback_prepared_cb(LogicalDecodingContext *ctx, ReorderBufferTXN *txn,
					 XLogRecPtr prepare_end_lsn, TimestampTz prepare_time)
{
	put_end(cdc_s3_state(ctx), CDC_S3_ROLLBACK_PREPARED, txn,
			txn->xact_time.commit_time);
}

void
cdc_s3_stream_init(OutputPluginCallbacks *cb)
{
	cb->filter_prepare_cb = filter_prepare_cb;
	cb->begin_prepare_cb = begin_prepare_cb;
	cb->prepare_cb = prepare_cb;
	cb->commit_prepared_cb = commit_prepared_cb;
	cb->rollback_prepared_cb = rollback_prepared_cb;

	cb->stream_start_cb = stream_start_cb;
	cb->stream_stop_cb = stream_stop_cb;
	cb->stream_abort_cb = stream_abort_cb;
	cb->stream_prepare_cb = stream_prepare_cb;
	cb->stream_commit_cb = stream_commit_cb;
}
