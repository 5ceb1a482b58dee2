/*-------------------------------------------------------------------------
 * cdc_s3.c
 *	  Output plugin: the callbacks that the server calls.
 *
 * Invariants:
 *	(1) A transaction without a change that is wanted sends nothing, but its
 *		progress is reported.
 *	(2) Before a callback returns that ends a transaction, a stream block or
 *		a non-transactional message, the packet is in the server's hands; only
 *in a round of ahead.c it may stay open at a commit.  So a keepalive never
 *passes the frames of a transaction that it covers. (3) Every callback that
 *some server version may call is there, also where streaming and two-phase were
 *not asked for: PostgreSQL 18 calls stream_abort without them.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "commands/dbcommands.h"
#include "miscadmin.h"
#include "replication/origin.h"
#include "replication/walsender.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

#include "cdc_s3.h"

MODULE_MAGIC("cdc_s3", CDC_S3_PLUGIN_VERSION);

extern PGDLLEXPORT void _PG_init(void);
extern PGDLLEXPORT void _PG_output_plugin_init(OutputPluginCallbacks *cb);

/* A transaction over so much WAL takes some milliseconds to replay. */
#define LONG_TXN_WAL (512 * 1024)

/* Report progress after so many changes, wanted or not. */
#define PROGRESS_EVERY 100

/* A walsender that only reads must not look dead to the other side. */
void
cdc_s3_keep_alive(CdcS3State *st)
{
	if (PLUGIN_REPORTS_PROGRESS && ++st->since_progress >= PROGRESS_EVERY)
	{
		OutputPluginUpdateProgress(st->ctx, false);
		st->since_progress = 0;
	}
}

/* ---- life ---- */

/*
 * All that is needed of the catalog before there is a transaction to decode.
 * A walsender is in no transaction of its own here, the SQL functions are.
 */
static void
startup_lookups(CdcS3State *st)
{
	MemoryContext old = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	bool started = !IsTransactionState();
	const char *name;

	if (started)
	{
		StartTransactionCommand();

		/*
		 * An earlier stream of this session, which an error or a cancel ended,
		 * may have come further, and left the catalog as it is there in the
		 * caches.  The server lets go of them in its SQL functions only.
		 */
		InvalidateSystemCaches();
	}
	name = get_database_name(MyDatabaseId);
	st->database = MemoryContextStrdup(st->cxt, name ? name : "");
	cdc_s3_convert_lookup(st);
	cdc_s3_publications_init(st);
	if (started)
	{
		/* What is in the caches by now is of the present, not of the past. */
		InvalidateSystemCaches();
		CommitTransactionCommand();
	}
	CurrentResourceOwner = owner;
	MemoryContextSwitchTo(old);
}

/*
 * A walsender that streams is in no transaction, and is in one where a client
 * calls the SQL functions over such a connection.
 */
static void
stream_init(CdcS3State *st)
{
	if (!am_walsender || IsTransactionState())
		return;
	cdc_s3_pin_messages();
	cdc_s3_deliver_init(st);
	cdc_s3_ahead_init(st);
}

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
	cdc_s3_packet_init(st);
	cdc_s3_convert_init(st);
	cdc_s3_rels_init(st);
	if (!is_init)
	{
		startup_lookups(st);
		stream_init(st);
	}
	ctx->output_plugin_private = st;

	/* The server turns both on because the callbacks are there. */
	ctx->streaming = ctx->streaming && st->opt.streaming && !is_init;
	ctx->twophase = ctx->twophase && st->opt.two_phase && !is_init;
	ctx->twophase_opt_given = ctx->twophase;

	/* It would be called for each record, to say no. */
	if (st->opt.origin != ORIGIN_NONE)
		ctx->callbacks.filter_by_origin_cb = NULL;
	MemoryContextSwitchTo(old);
}

static void
shutdown_cb(LogicalDecodingContext *ctx)
{
	/* All there is goes with ctx->context. */
	cdc_s3_ahead_report(cdc_s3_state(ctx));
	cdc_s3_deliver_report();
}

/* With origin = none. */
static bool
filter_by_origin_cb(LogicalDecodingContext *ctx, RepOriginId origin_id)
{
	return origin_id != InvalidRepOriginId;
}

/* ---- plain transactions ---- */

/* The server opened a transaction of its own to replay this one. */
void
cdc_s3_txn_enter(CdcS3State *st, ReorderBufferTXN *txn, CdcS3Txn *t)
{
	st->txn = t;
	st->rtxn = txn;
	st->xid = txn->xid;
	st->pinned = false;
	st->told_anew = false;
	cdc_s3_ddl_leave(st);
	cdc_s3_rels_settings(st);
}

/* What waits for company must not wait for a transaction that is long. */
static void
send_before_long(CdcS3State *st, ReorderBufferTXN *txn)
{
	if (st->ctx->reader->EndRecPtr - txn->first_lsn >= LONG_TXN_WAL)
		cdc_s3_deliver_now(st);
}

static void
begin_cb(LogicalDecodingContext *ctx, ReorderBufferTXN *txn)
{
	CdcS3State *st = cdc_s3_state(ctx);

	send_before_long(st, txn);
	cdc_s3_stream_leave(st);
	memset(&st->plain, 0, sizeof(st->plain));
	st->prepared = false;
	cdc_s3_txn_enter(st, txn, &st->plain);
	cdc_s3_publications_begin(st);
}

static void
commit_cb(LogicalDecodingContext *ctx, ReorderBufferTXN *txn,
		  XLogRecPtr commit_lsn)
{
	CdcS3State *st = cdc_s3_state(ctx);
	bool begun;

	cdc_s3_tables_look(st, commit_lsn);
	begun = st->plain.begun;
	if (begun)
	{
		cdc_s3_put_commit(st, txn);
		cdc_s3_packet_commit(st);
	}
	st->txn = NULL;
	cdc_s3_rels_sweep(st);
	OutputPluginUpdateProgress(ctx, !begun);
}

/* ---- changes ---- */

static int
action_of(ReorderBufferChange *change)
{
	switch (change->action)
	{
		case REORDER_BUFFER_CHANGE_INSERT:
			return ACTION_INSERT;
		case REORDER_BUFFER_CHANGE_UPDATE:
			return ACTION_UPDATE;
		default:
			return ACTION_DELETE;
	}
}

static void
change_cb(LogicalDecodingContext *ctx, ReorderBufferTXN *txn, Relation relation,
		  ReorderBufferChange *change)
{
	CdcS3State *st = cdc_s3_state(ctx);
	CdcS3Rel *rel;
	MemoryContext old;

	cdc_s3_keep_alive(st);
	rel = cdc_s3_rel_get(st, relation);
	if (!(rel->actions & action_of(change)))
	{
		cdc_s3_rel_pass(st, rel, action_of(change));
		return;
	}
	if (unlikely(rel->filtered))
	{
		cdc_s3_put_filtered(st, rel, change->lsn);
		return;
	}
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
	CdcS3State *st = cdc_s3_state(ctx);

	cdc_s3_keep_alive(st);
	cdc_s3_put_truncate(st, nrelations, relations, change);
}

static void
message_cb(LogicalDecodingContext *ctx, ReorderBufferTXN *txn,
		   XLogRecPtr message_lsn, bool transactional, const char *prefix,
		   Size message_size, const char *message)
{
	CdcS3State *st = cdc_s3_state(ctx);
	CdcS3Rel *rel;
	MemoryContext old;

	cdc_s3_keep_alive(st);
	if (!cdc_s3_message_wanted(st, transactional, prefix, message_size, message,
							   &rel))
		return;
	old = MemoryContextSwitchTo(st->scratch);
	/* Such a message is never in a block; one is open only behind an abort. */
	if (!transactional)
		cdc_s3_stream_leave(st);
	if (rel)
	{
		cdc_s3_txn_open(st);
		cdc_s3_put_relation(st, rel, message_lsn);
	}
	cdc_s3_put_message(st, message_lsn, transactional, prefix, message_size,
					   message);
	if (!transactional)
		cdc_s3_packet_close(st);
	MemoryContextSwitchTo(old);
	MemoryContextReset(st->scratch);
}

/*
 * A walsender loads the module outside of a transaction.  A setting that the
 * client has chosen is checked as it is defined, and the server looks up the
 * client's rights to it then, which takes one.
 */
void
_PG_init(void)
{
	MemoryContext old = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	bool started = IsUnderPostmaster && !IsTransactionState();

	if (started)
		StartTransactionCommand();
	cdc_s3_crc_init();
	cdc_s3_allowed_init();
	cdc_s3_deliver_settings();
	cdc_s3_ahead_settings();
	MarkGUCPrefixReserved("cdc_s3");
	if (started)
		CommitTransactionCommand();
	CurrentResourceOwner = owner;
	MemoryContextSwitchTo(old);
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

	cdc_s3_stream_init(cb);
	cb->stream_change_cb = change_cb;
	cb->stream_message_cb = message_cb;
	cb->stream_truncate_cb = truncate_cb;
}
