/*-------------------------------------------------------------------------
 * cdc_s3.h
 *	  State of the output plugin, and what its files offer each other.
 *
 * Ownership: everything hangs off LogicalDecodingContext.context and goes
 * away with it.  The one static pointer, in relcache.c, is reset by a
 * callback of that context.
 *-------------------------------------------------------------------------
 */
#ifndef CDC_S3_H
#define CDC_S3_H

#include "access/tupdesc.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "nodes/bitmapset.h"
#include "nodes/pg_list.h"
#include "port/pg_crc32c.h"
#include "replication/logical.h"
#include "replication/output_plugin.h"
#include "utils/hsearch.h"
#include "utils/rel.h"

#include "cdc_s3_proto.h"
#include "compat.h"

/* The wire is little-endian, and stored values are copied as they are. */
#ifdef WORDS_BIGENDIAN
#error "cdc_s3 needs a little-endian machine"
#endif

/* ---- options (options.c) ---- */

typedef enum CdcS3Format
{
	FORMAT_BINARY,
	FORMAT_TEXT
} CdcS3Format;

typedef enum CdcS3Partition
{
	PARTITION_ROOT,
	PARTITION_LEAF
} CdcS3Partition;

typedef enum CdcS3Old
{
	OLD_KEY,
	OLD_FULL
} CdcS3Old;

typedef enum CdcS3Origin
{
	ORIGIN_ANY,
	ORIGIN_NONE
} CdcS3Origin;

typedef enum CdcS3Messages
{
	MESSAGES_OFF,
	MESSAGES_DDL, /* notices of schema changes, of wanted tables */
	MESSAGES_ON
} CdcS3Messages;

typedef enum CdcS3Filter
{
	FILTER_REFUSE,
	FILTER_SUPERSET /* as if publications had no row filters */
} CdcS3Filter;

/* One option as the plugin understood it, for the hello frame. */
typedef struct CdcS3OptionText
{
	const char *name;
	const char *value;
} CdcS3OptionText;

typedef struct CdcS3Options
{
	int proto_version;
	int format;    /* CdcS3Format */
	int partition; /* CdcS3Partition */
	int old;       /* CdcS3Old */
	int origin;    /* CdcS3Origin */
	int messages;  /* CdcS3Messages */
	int filter;    /* CdcS3Filter */
	bool streaming;
	bool two_phase;
	bool include_lsn;
	bool include_xid;
	bool include_time;
	bool include_relation;
	List *tables;           /* of CdcS3Pattern; NIL: all */
	List *exclude;          /* of CdcS3Pattern */
	List *publications;     /* of names; NIL: the option was not given */
	List *publication_oids; /* as many, by which they were known, or NIL */
	List *shown;            /* of CdcS3OptionText */
} CdcS3Options;

extern void cdc_s3_options_parse(List *given, CdcS3Options *opt);

typedef struct CdcS3State CdcS3State;

/* ---- which relations (filter.c) ---- */

typedef struct CdcS3Pattern
{
	char *schema; /* '*' is any run of bytes, '\' takes the next one literally
				   */
	char *table;
} CdcS3Pattern;

/* A list of patterns; false with a reason in *why if it cannot be read. */
extern bool cdc_s3_patterns_parse(const char *text, List **out_list,
								  const char **why);
extern bool cdc_s3_patterns_match(List *patterns, const char *schema,
								  const char *table);

extern bool cdc_s3_patterns_are_all(List *patterns);

/* ---- superusers' settings (setting.c) ---- */

/* Where the values of a setting come from. */
typedef struct CdcS3Given
{
	GucSource value;
	GucSource reset;
} CdcS3Given;

extern CdcS3Given cdc_s3_setting_given(const char *name);
extern GucSource cdc_s3_setting_refused(const char *name, CdcS3Given before);

/* The bound on what any client can have. */
extern void cdc_s3_allowed_init(void);
extern const char *cdc_s3_allowed_tables(void);

/* ---- publications (publication.c) ---- */

#define ACTION_INSERT 0x01
#define ACTION_UPDATE 0x02
#define ACTION_DELETE 0x04
#define ACTION_TRUNCATE 0x08
#define ACTION_ALL 0x0f

/* What publications say of one relation. */
typedef struct CdcS3Published
{
	int actions;   /* ACTION_*; 0: in none of them */
	Oid as;        /* the relation or an ancestor, whose shape its rows have */
	int level;     /* how far up that is */
	bool filtered; /* one of them has a row filter */
	bool all_columns;
	Bitmapset *columns; /* attribute numbers in "as" */
} CdcS3Published;

extern void cdc_s3_publications_init(CdcS3State *st);
extern void cdc_s3_publications_begin(CdcS3State *st);
extern void cdc_s3_publications_look(CdcS3State *st, Relation relation,
									 CdcS3Published *out);
extern void cdc_s3_publications_verify(CdcS3State *st, XLogRecPtr lsn);
extern bool cdc_s3_publications_widened(CdcS3State *st, Relation relation);
extern void cdc_s3_publications_told(CdcS3State *st);

/* ---- relations (relcache.c) ---- */

/* How a stored attribute gets on the wire. */
typedef enum CdcS3Op
{
	OP_SKIP,   /* dropped, virtual, or not asked for */
	OP_FIXED1, /* stored bytes, this many */
	OP_FIXED2,
	OP_FIXED4,
	OP_FIXED8,
	OP_FIXED12,
	OP_FIXED16,
	OP_BLOB,   /* varlena whose payload goes as it is */
	OP_UTF8,   /* the same, if it is UTF-8 */
	OP_STRING, /* varlena whose payload has to be converted to UTF-8 */
	OP_NAME,   /* type name: bytes up to the first NUL */
	OP_ENUM,   /* label */
	OP_JSONB,  /* its text, made here where it can be */
	OP_TEXT    /* through the output function */
} CdcS3Op;

/* One physical attribute of the relation, for the walk over a tuple. */
typedef struct CdcS3Step
{
	int16 len;   /* attlen */
	uint8 align; /* alignment less one */
	uint8 op;    /* CdcS3Op */
	uint16 col;  /* index of the column, if op is not OP_SKIP */
	uint16 run;  /* steps from this one on whose values, where they are not
				  * null, lie one behind the other in the tuple as on the
				  * wire; at least 1 */
} CdcS3Step;

typedef struct CdcS3Wide CdcS3Wide;

/* How the tuples of a relation are walked (walk.c). */
typedef struct CdcS3Walk
{
	bool usable; /* columns come in the order of the attributes */
	bool dense;  /* and each attribute is a column */
	int natts;
	int nvarlena;
	int nkey_steps;
	CdcS3Step *steps;     /* natts of them */
	CdcS3Step *key_steps; /* up to the last key column */
	CdcS3Wide *wide;      /* NULL: not many columns */
} CdcS3Walk;

/* One column on the wire. */
typedef struct CdcS3Column
{
	char *name;        /* in the server's encoding */
	AttrNumber source; /* attribute number in the relation itself */
	AttrNumber attnum; /* the same in the relation whose shape is sent */
	int16 attlen;
	bool attbyval;
	bool pinned;        /* text depends on settings */
	uint8 kind;         /* CdcS3Kind */
	uint8 op;           /* CdcS3Op */
	uint8 flags;        /* CDC_S3_COL_* */
	uint16 pk_position; /* from 1, 0 = none */
	Oid type;
	Oid base_type;
	int32 typmod;    /* of the base type */
	Size text_small; /* up to this size its text is sure to fit */
	FmgrInfo out;    /* output function, for OP_TEXT, OP_JSONB, format text */
} CdcS3Column;

typedef struct CdcS3Rel
{
	Oid relid; /* hash key, first */

	/* An entry counts if it is ready, not stale and of this generation. */
	bool ready;
	bool stale;
	uint32 generation;

	/* What the stream has said of it (ddl.c, tables.c). */
	bool named;            /* by a relation frame, and nothing since */
	bool is_root;          /* relation frames of its partitions name it */
	bool tell;             /* a table frame is due, behind its relation frame */
	bool created_due;      /* that has to say so; tell is set */
	bool rewritten_due;    /* one has to say so behind all changes */
	TransactionId told;    /* top-level one of the last relation frame */
	TransactionId created; /* the one in which CREATED is due or was told */
	bool lacks_due;        /* it is to be told that rows are lost */
	TransactionId passed;  /* the one of which publications left out … */
	int passed_actions;    /* … these, though all else wants the table */

	/* The relation itself as it was last looked at. */
	bool looked;
	char persistence;
	Oid filenode;
	Oid namespace;
	int natts;
	Bitmapset *missing; /* attributes with a missing value; in State.cxt */

	MemoryContext cxt; /* owns all below */
	int actions;       /* ACTION_* that are sent; 0: nothing */
	bool filtered;     /* a row filter holds, so they are not: notice.c */
	bool eligible;     /* all but publications want it */
	bool as_root;
	bool has_identity; /* the server logs what finds the row */
	bool key_is_all;   /* identity full without a primary key */
	bool pinned;       /* some column's text depends on settings */
	char identity;     /* relreplident */
	Oid rootid;

	int ncols;
	int bitmap_len;
	CdcS3Column *cols;
	CdcS3Walk walk;
	char *schema; /* of the relation whose shape is sent */
	char *name;

	/* The relation frame's body; its version changes when it does. */
	char *body;
	Size body_len;
	uint32 version;
	bool sent;         /* this version, outside of stream blocks */
	uint64 sent_block; /* last stream block that it was sent in */
} CdcS3Rel;

/* ---- state ---- */

/* A top-level transaction, between its begin and its end. */
typedef struct CdcS3Txn
{
	uint64 ordinal; /* of the last change */
	bool begun;     /* begin or first stream start was sent */
} CdcS3Txn;

typedef struct CdcS3Value CdcS3Value;

/* What a transaction did to the catalog, read when it is asked for (ddl.c). */
typedef struct CdcS3Ddl
{
	MemoryContext cxt; /* owns all below */
	bool ready;
	Size nkeys;
	uint64 *keys; /* its invalidation messages, sorted */
	int nxids;
	TransactionId *xids; /* its own and its subtransactions', sorted */
} CdcS3Ddl;

/* ---- the packet that is made (packet.c) ---- */

typedef enum CdcS3PacketState
{
	PACKET_EMPTY,
	PACKET_WHOLE, /* whole frames, and nothing else */
	PACKET_OPEN,  /* the same, and behind them a frame that is being made */
	PACKET_PARTED /* such a frame alone, of which parts have left */
} CdcS3PacketState;

typedef struct CdcS3Packet
{
	CdcS3PacketState state;
	char *buf; /* room for a message's head, packet header, frames */
	Size len;  /* bytes of it that count */
	Size cap;
	Size frame;     /* the open frame's header */
	uint32 part_no; /* of the next part */
	bool held;      /* the open frame may be taken back to a mark */
	bool splits;    /* a long frame leaves in parts */
	Size committed; /* end of the last commit it was kept open at, or 0 */
	XLogRecPtr committed_lsn;
} CdcS3Packet;

struct CdcS3State
{
	LogicalDecodingContext *ctx;
	MemoryContext cxt;     /* as long as the decoding context */
	MemoryContext scratch; /* one change */
	CdcS3Options opt;

	CdcS3Packet packet;
	bool hello_sent;

	CdcS3Txn *txn;          /* the one that callbacks work on, or NULL */
	CdcS3Txn plain;         /* storage for one that is not streamed */
	ReorderBufferTXN *rtxn; /* the server's view of it */
	TransactionId xid;      /* its xid */
	bool in_stream;         /* between stream start and stop */
	bool stream_open;       /* and the stream start frame was sent */
	bool prepared;          /* it ends in PREPARE */
	uint64 stream_block;    /* number of the block */
	bool pinned;            /* settings are pinned in this transaction */
	uint32 since_progress;

	/* The setting cdc_s3.allowed_tables, as text and as patterns. */
	char *allowed_text;
	List *allowed;
	bool bounded; /* it leaves tables out */
	MemoryContext allowed_cxt;

	/* The client's publications (publication.c). */
	List *publications;
	bool publications_seen; /* as they were before the first transaction */
	bool anew_due;    /* one was made anew, and its tables are to be told */
	bool widened_due; /* likewise: one has operations that it had not */

	/* Tables left out for a row filter (notice.c). */
	List *filtered; /* in the transaction and block below */
	TransactionId filtered_xid;
	uint64 filtered_block;
	List *filtered_warned; /* of which a warning told */

	/* relcache.c */
	HTAB *rels;
	HTAB *watched; /* OIDs of partition ancestors, hashes of types */
	CdcS3Rel *last_rel;
	uint32 generation;
	uint32 last_version;
	uint32 nstale;
	Oid leaf_of; /* partitioned table whose first leaf is known … */
	Oid leaf;
	uint32 leaf_generation;

	CdcS3Ddl ddl;
	bool told_anew;   /* in this transaction, of a relation that was named */
	bool bound_moved; /* allowed_tables is another than when tables were told */

	char *database; /* the name, in its encoding */

	/* Conversion to UTF-8. */
	int encoding;
	bool convert;
	bool verify; /* not converted, but looked at */
	bool convert_ready;
	FmgrInfo convert_fn;

	/* Work space of row.c. */
	Datum *datums;
	bool *nulls;
	int natts_max;
	CdcS3Value *values;
	int values_max;
	Size texts; /* bytes of texts made before the row is written */
};

static inline CdcS3State *
cdc_s3_state(LogicalDecodingContext *ctx)
{
	return (CdcS3State *) ctx->output_plugin_private;
}

/* ---- transactions (cdc_s3.c), those in progress or prepared (stream.c) ----
 */

extern void cdc_s3_keep_alive(CdcS3State *st);
extern void cdc_s3_txn_enter(CdcS3State *st, ReorderBufferTXN *txn,
							 CdcS3Txn *t);
extern void cdc_s3_stream_init(OutputPluginCallbacks *cb);
extern void cdc_s3_stream_leave(CdcS3State *st);

extern void cdc_s3_rels_init(CdcS3State *st);
extern CdcS3Rel *cdc_s3_rel_get(CdcS3State *st, Relation relation);
extern void cdc_s3_rel_pass(CdcS3State *st, CdcS3Rel *rel, int action);
extern void cdc_s3_rel_forget(CdcS3State *st, CdcS3Rel *rel);
extern CdcS3Rel *cdc_s3_rel_remember(CdcS3State *st, Oid relid);
extern bool cdc_s3_rel_fresh(const CdcS3State *st, const CdcS3Rel *rel);
extern bool cdc_s3_watches_relation(CdcS3State *st, Oid relid);
extern bool cdc_s3_watches_type(CdcS3State *st, uint32 hash);
extern void cdc_s3_watch_relation(CdcS3State *st, Oid relid);
extern AttrNumber cdc_s3_find_attribute(TupleDesc desc, const char *name,
										AttrNumber hint);
extern void cdc_s3_rels_sweep(CdcS3State *st);
extern void cdc_s3_rels_settings(CdcS3State *st);
extern int cdc_s3_user_locks(void);

/* ---- the body of a relation frame (body.c) ---- */

extern void cdc_s3_body_build(CdcS3State *st, CdcS3Rel *rel, Relation relation,
							  Relation shape, Relation root);

/* ---- what a transaction did to the catalog (ddl.c) ---- */

/* A key of CdcS3Ddl.keys: a message of a syscache; an OID is that of a
 * relation. */
#define DDL_KEY(cache, hash) ((uint64) ((cache) + 1) << 32 | (uint64) (hash))
#define DDL_CACHE(key) ((int) ((key) >> 32) - 1) /* -1: a relation */

extern bool cdc_s3_ddl_read(CdcS3State *st);
extern void cdc_s3_ddl_forget(CdcS3State *st);
extern void cdc_s3_ddl_leave(CdcS3State *st);
extern Size cdc_s3_ddl_first(CdcS3State *st, uint64 key);
extern Size cdc_s3_ddl_count(CdcS3State *st, uint64 key);
extern Size cdc_s3_ddl_count_cache(CdcS3State *st, int cache);
extern bool cdc_s3_ddl_wrote(CdcS3State *st, int cache, Datum key1, Datum key2);
extern bool cdc_s3_ddl_created(CdcS3State *st, Oid relid);
extern bool cdc_s3_ddl_dropped(CdcS3State *st, Oid relid);
extern bool cdc_s3_ddl_altered(CdcS3State *st, Relation relation);
extern void cdc_s3_ddl_look(CdcS3State *st, CdcS3Rel *rel, Relation relation);

/* ---- tables at the end of a transaction (tables.c) ---- */

extern void cdc_s3_tables_look(CdcS3State *st, XLogRecPtr lsn);

/* ---- settings and encodings (convert.c) ---- */

extern void cdc_s3_pin_settings(CdcS3State *st);
extern void cdc_s3_pin_messages(void);
extern void cdc_s3_convert_init(CdcS3State *st);
extern void cdc_s3_convert_lookup(CdcS3State *st);
extern bool cdc_s3_convert_chunk(CdcS3State *st, const char **src,
								 Size *src_len, char *dst, Size dst_size,
								 Size *out_len);
extern bool cdc_s3_convert(CdcS3State *st, const char *src, Size src_len,
						   const char **out, Size *out_len);
extern const char *cdc_s3_name_utf8(CdcS3State *st, const char *name,
									Size *out_len);
extern bool cdc_s3_is_utf8(const char *s, Size len);
extern bool cdc_s3_valid(CdcS3State *st, const char *s, Size len);

#define CDC_S3_ONES UINT64CONST(0x0101010101010101)

/*
 * The highest bit of each of eight bytes that is zero or above ASCII; above
 * the first of these also of others.
 */
static inline uint64
cdc_s3_not_plain(uint64 w)
{
	return (w | (w - CDC_S3_ONES)) & (CDC_S3_ONES * 0x80);
}

/* Whether bytes are ASCII, and none is zero, so valid in any encoding. */
static inline bool
cdc_s3_is_plain(const char *s, Size len)
{
	uint64 w;

	for (; len >= sizeof(w); len -= sizeof(w), s += sizeof(w))
	{
		memcpy(&w, s, sizeof(w));
		if (cdc_s3_not_plain(w))
			return false;
	}
	for (; len > 0; len--, s++)
		if ((unsigned char) (*s - 1) >= 0x7f)
			return false;
	return true;
}

/* ---- length of texts (bound.c) ---- */

extern Size cdc_s3_text_small(Oid type);
extern uint8 cdc_s3_text_unfit(const CdcS3Column *col, Datum d);

/* ---- text of a jsonb (jsonb.c) ---- */

extern char *cdc_s3_jsonb_text(const struct varlena *v, Size *out_len);

/* ---- values that need more than a copy (value.c) ---- */

extern bool cdc_s3_enum_label(Datum value, char *label);
extern char *cdc_s3_value_text(CdcS3Column *col, Datum d, Size *len);

/* ---- rows as they are stored (walk.c) ---- */

extern void cdc_s3_walk_build(CdcS3Rel *rel, Relation relation);
extern bool cdc_s3_walk_row(CdcS3State *st, CdcS3Rel *rel, HeapTuple tuple,
							bool key_only);

/* ---- rows (row.c) ---- */

extern void cdc_s3_put_row(CdcS3State *st, CdcS3Rel *rel, Relation relation,
						   HeapTuple tuple, HeapTuple fill, bool key_only);
extern bool cdc_s3_key_changed(CdcS3Rel *rel, Relation relation, HeapTuple old,
							   HeapTuple new);

/* ---- CRC-32C (crc.c) ---- */

extern void cdc_s3_crc_init(void);
extern pg_crc32c cdc_s3_crc_add(pg_crc32c crc, const void *data, Size n);

/* ---- the packet (packet.c) ---- */

extern void cdc_s3_packet_init(CdcS3State *st);
extern void cdc_s3_packet_grow(CdcS3State *st, Size n);
extern void cdc_s3_packet_frame(CdcS3State *st, uint8 type, uint8 flags);
extern void cdc_s3_frame_end(CdcS3State *st);
extern void cdc_s3_packet_close(CdcS3State *st);
extern void cdc_s3_packet_commit(CdcS3State *st);
extern void cdc_s3_packet_settle(CdcS3State *st);
extern void cdc_s3_packet_salvage(CdcS3State *st);
extern void cdc_s3_packet_tidy(CdcS3State *st);
extern void cdc_s3_put_bytes(CdcS3State *st, const void *data, Size n);
extern void cdc_s3_put_blob(CdcS3State *st, const void *data, Size n);
extern Size cdc_s3_packet_hold(CdcS3State *st);
extern void cdc_s3_packet_release(CdcS3State *st, Size mark, bool keep);

/* Where n more bytes of the open frame may be written, for put_… */
static inline char *
cdc_s3_packet_room(CdcS3State *st, Size n)
{
	Assert(st->packet.state == PACKET_OPEN);
	if (unlikely(st->packet.cap - st->packet.len < n))
		cdc_s3_packet_grow(st, n);
	return st->packet.buf + st->packet.len;
}

/* … and that they were, up to there. */
static inline void
cdc_s3_packet_wrote(CdcS3State *st, const char *end)
{
	Size len = end - st->packet.buf;

	Assert(st->packet.state == PACKET_OPEN);
	Assert(len >= st->packet.len && len <= st->packet.cap);
	st->packet.len = len;
}

/* ---- packets to the server (deliver.c) ---- */

/* What a message of the replication protocol has before the packet. */
#define XLOG_DATA_HEAD 25

extern void cdc_s3_deliver_settings(void);
extern void cdc_s3_deliver_init(CdcS3State *st);
extern void cdc_s3_deliver(CdcS3State *st, char *message, Size n,
						   XLogRecPtr lsn, bool may_wait);
extern void cdc_s3_deliver_piece(CdcS3State *st, const char *head,
								 Size head_len, const char *data, Size n);
extern void cdc_s3_deliver_prepared(CdcS3State *st);
extern bool cdc_s3_deliver_direct(void);
extern bool cdc_s3_deliver_full(Size more);
extern void cdc_s3_deliver_now(CdcS3State *st);
extern void cdc_s3_deliver_report(void);

/* ---- frames (encode.c) ---- */

extern void cdc_s3_frame_begin(CdcS3State *st, uint8 type, uint8 flags);
extern void cdc_s3_put_begin(CdcS3State *st, uint8 type, ReorderBufferTXN *txn);
extern void cdc_s3_put_commit(CdcS3State *st, ReorderBufferTXN *txn);
extern void cdc_s3_txn_open(CdcS3State *st);
extern void cdc_s3_put_prepared(CdcS3State *st, uint8 type, uint32 xid,
								XLogRecPtr end_lsn, TimestampTz time,
								const char *gid);
extern void cdc_s3_put_stream(CdcS3State *st, uint8 type, uint32 xid,
							  uint32 subxid, XLogRecPtr lsn);
extern void cdc_s3_put_relation(CdcS3State *st, CdcS3Rel *rel, XLogRecPtr lsn);
extern void cdc_s3_put_told(CdcS3State *st, CdcS3Rel *rel, XLogRecPtr lsn);
extern void cdc_s3_put_end(CdcS3State *st, Oid relid, uint8 flags,
						   XLogRecPtr lsn);
extern void cdc_s3_put_change(CdcS3State *st, CdcS3Rel *rel, Relation relation,
							  ReorderBufferChange *change);
extern void cdc_s3_put_message(CdcS3State *st, XLogRecPtr lsn,
							   bool transactional, const char *prefix,
							   Size size, const char *message);

/* ---- rounds of the walsender's loop (ahead.c) ---- */

extern void cdc_s3_ahead_settings(void);
extern void cdc_s3_ahead_init(CdcS3State *st);
extern void cdc_s3_ahead_report(const CdcS3State *st);
extern bool cdc_s3_ahead_in_round(void);
extern int cdc_s3_ahead_flush(void);

/* ---- messages and notices of schema changes (notice.c) ---- */

extern bool cdc_s3_message_wanted(CdcS3State *st, bool transactional,
								  const char *prefix, Size size,
								  const char *message, CdcS3Rel **out_rel);
extern void cdc_s3_put_filtered(CdcS3State *st, CdcS3Rel *rel, XLogRecPtr lsn);
extern void cdc_s3_put_lacking(CdcS3State *st, CdcS3Rel *rel, const char *tag,
							   XLogRecPtr lsn);

/* ---- truncates (truncate.c) ---- */

extern void cdc_s3_put_truncate(CdcS3State *st, int nrelations,
								Relation relations[],
								ReorderBufferChange *change);

/* ---- format text (text.c) ---- */

extern void cdc_s3_text_frame(CdcS3State *st, const char *frame, Size len);

/* Little-endian integers at any address. */
static inline char *
put_u16(char *p, uint16 v)
{
	memcpy(p, &v, sizeof(v));
	return p + sizeof(v);
}

static inline char *
put_u32(char *p, uint32 v)
{
	memcpy(p, &v, sizeof(v));
	return p + sizeof(v);
}

static inline char *
put_u64(char *p, uint64 v)
{
	memcpy(p, &v, sizeof(v));
	return p + sizeof(v);
}

/* The length of a blob, as it stands before its bytes. */
static inline char *
put_blob_len(char *p, Size n)
{
	if (n < CDC_S3_BLOB_LONG)
	{
		*p = (char) n;
		return p + 1;
	}
	*p = (char) CDC_S3_BLOB_LONG;
	return put_u32(p + 1, (uint32) n);
}

#endif /* CDC_S3_H */
