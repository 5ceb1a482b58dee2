/*-------------------------------------------------------------------------
 * cdc_s3_proto.h
 *	  The wire contract between the output plugin and every reader of it.
 *
 * Both sides include this file (and cdc_s3_crc32c.h).  It needs <stdint.h> only
 * and is meant to be enough to write a third reader.
 *
 * Conventions
 *	- All integers are little-endian, without alignment or padding.
 *	- "str" is a uint16 length followed by that many bytes, no terminator.
 *	- "blob" is one length byte followed by that many bytes; the length byte
 *	  255 means that a uint32 length follows it (CDC_S3_BLOB_LONG).
 *	- Text is UTF-8 unless the hello frame says CDC_S3_TEXT_RAW.
 *	- An LSN is a uint64.  A *commit LSN* is always the end of the commit
 *	  record (the server's end_lsn), never its start.
 *	- A time is an int64: microseconds since 2000-01-01 00:00 UTC.
 *	- The order of changes is (commit LSN, ordinal).  The LSN of a change is
 *	  neither unique nor monotonic: all rows of one COPY share it.
 *
 * Packet: the payload of one CopyData (XLogData) message
 *
 *	offset size	field
 *		 0	  2	magic, the bytes 'C' '3'
 *		 2	  1	protocol version, CDC_S3_PROTO_VERSION
 *		 3	  1	packet flags, zero in version 1
 *		 4	  4	CRC-32C (Castagnoli) of all bytes from offset 8 on
 *		 8	  …	one or more whole frames
 *
 *	A packet is closed at about CDC_S3_PACKET_TARGET bytes and at each prepare,
 *	commit prepared, rollback prepared, stream stop, stream abort, stream
 *	commit and non-transactional message, before the server's callback
 *	returns.  So it is at a commit, unless a walsender has more WAL to read:
 *	then frames of the transactions that follow may come in the same packet.
 *	It leaves before the walsender looks at its socket or waits, and before any
 *	message of the walsender's own about what it covers: a keepalive never
 *	passes the frames of a transaction that it covers, and nothing is held
 *	back while the server is idle.  How many frames or transactions a packet
 *	holds means nothing else.
 *	The LSN in the XLogData header is to be ignored.
 *
 * Frame
 *
 *	offset size	field
 *		 0	  1	type, one of CdcS3Frame
 *		 1	  1	flags, their meaning depends on the type
 *		 2	  4	length of the body in bytes
 *		 6	  …	body
 *
 *	A frame of unknown type is skipped if the high bit of the type is set,
 *	and is an error otherwise.  Bytes behind the known part of a body are
 *	skipped, so that a body may grow.  Unknown flags are an error.
 *	A body of more than CDC_S3_FRAME_MAX bytes travels as part frames.
 *
 * The first packet after START_REPLICATION begins with a hello frame.  A
 * relation frame comes before the first change that names its (relation id,
 * version) and comes again, with another version, when the relation was
 * altered.  Versions have a meaning on one connection only.
 *-------------------------------------------------------------------------
 */
#ifndef CDC_S3_PROTO_H
#define CDC_S3_PROTO_H

#include <stdint.h>

#define CDC_S3_PLUGIN_VERSION "1.0.0"

/*
 * The newest major release of PostgreSQL that the plugin's part in the
 * walsender's work was checked against (doc/plugin-internals.md); off on later
 * ones.
 */
#ifndef CDC_S3_CHECKED_MAJOR
#define CDC_S3_CHECKED_MAJOR 18
#endif

/* Versions of the wire format; see the table in doc/wire-format.md. */
#define CDC_S3_PROTO_VERSION 1 /* 1: first version */
#define CDC_S3_PROTO_VERSION_MIN 1
#define CDC_S3_PROTO_VERSION_MAX 1

#define CDC_S3_MAGIC_0 'C'
#define CDC_S3_MAGIC_1 '3'
#define CDC_S3_PACKET_HEADER 8
#define CDC_S3_FRAME_HEADER 6
#define CDC_S3_PACKET_TARGET (64 * 1024)
#define CDC_S3_FRAME_MAX (8 * 1024 * 1024)
#define CDC_S3_BLOB_LONG 255

typedef enum CdcS3Frame
{
	/*
	 * Hello: uint32 lowest and uint32 highest protocol version the plugin
	 * speaks; uint32 server_version_num; uint8 CdcS3Text; str plugin
	 * version; str server encoding; str database; uint16 number of options,
	 * and for each: str name, str value (as the plugin understood them).
	 */
	CDC_S3_HELLO = 'H',

	/*
	 * Relation: uint32 relation id (the OID that changes name); uint32
	 * version; uint32 OID of the root; uint8 replica identity ('d' default,
	 * 'i' index, 'f' full, 'n' nothing); str schema and str name of the
	 * leaf; str schema and str name of the root (equal to the leaf's where
	 * it is no partition); uint16 number of columns; and for each column:
	 *	 uint8 CdcS3Kind; uint8 CDC_S3_COL_* flags; int16 attnum;
	 *	 uint16 position in the primary key, from 1, 0 = not in it;
	 *	 uint32 type OID; uint32 OID of the type below all domains;
	 *	 int32 typmod; str name; str schema and str name of the type.
	 * With CDC_S3_REL_AS_ROOT columns and rows have the shape of the root.
	 * Then: uint32 OID of the row type of the relation whose shape is sent;
	 * uint16 number of columns that have a *missing value*, which is what rows
	 * have that are older than the column (ADD COLUMN … DEFAULT), and for each:
	 * uint16 index of the column; uint32 length and bytes of the value's text,
	 * as its output function prints it (see CDC_S3_KIND_TEXT), in UTF-8, or
	 * CDC_S3_NO_TEXT and no bytes where it has none.  A partitioned table has
	 * none of its own: they are those of the first of its partitions that
	 * are tables, in the order of OIDs, level by level, found by name.
	 */
	CDC_S3_RELATION = 'R',

	/*
	 * Begin, sent with the first change of a transaction: uint32 xid; uint64
	 * commit LSN; int64 commit time; and with CDC_S3_BEGIN_ORIGIN: str origin
	 * name, uint64 origin LSN.  Before a prepare: the end and the time of the
	 * prepare record.
	 */
	CDC_S3_BEGIN = 'B',

	/* Commit: uint64 commit LSN; int64 commit time; uint64 last ordinal. */
	CDC_S3_COMMIT = 'C',

	/*
	 * Row changes.  All start with the *change header*: uint32 relation id;
	 * uint32 version; uint64 LSN of the change; uint64 ordinal in the
	 * transaction (from 1, increasing, gaps allowed); and with
	 * CDC_S3_CHANGE_XID: uint32 xid of the (sub)transaction.  An update with
	 * CDC_S3_KEY_CHANGED takes two ordinals, of which it tells the first: a
	 * reader may make a delete and an insert of it.
	 *	 insert: new row
	 *	 update: old row (with one of the OLD flags), then new row
	 *	 delete: old row (with one of the OLD flags)
	 */
	CDC_S3_INSERT = 'I',
	CDC_S3_UPDATE = 'U',
	CDC_S3_DELETE = 'D',

	/*
	 * Truncate: uint64 LSN; uint64 ordinal, that of the first relation, the
	 * others have those behind it; with CDC_S3_CHANGE_XID uint32 xid;
	 * uint16 number of relations, and for each: uint32 relation id; uint32
	 * version; uint8 CDC_S3_TRUNC_* of the relation; with
	 * CDC_S3_TRUNC_PARTIAL: uint32 length and text of the partition bound as
	 * a condition on the root's columns (pg_get_partition_constraintdef),
	 * length 0 where it is not known.
	 */
	CDC_S3_TRUNCATE = 'T',

	/*
	 * Message: uint64 LSN; uint64 ordinal; with CDC_S3_CHANGE_XID uint32 xid;
	 * str prefix; uint32 length and bytes of the content.  The xid is that of
	 * the top-level transaction, as the server tells no other.  A
	 * non-transactional message carries the end of its record as LSN and 0
	 * as ordinal, and may arrive before the begin of its own transaction.
	 * With option messages = ddl, and where the server's setting
	 * cdc_s3.allowed_tables leaves tables out, only those of prefix
	 * "cdc_s3.ddl" come, of tables that are wanted, and before each of them,
	 * where it is not known yet, the relation frame of the table that "oid" in
	 * its content names.  One such message the plugin makes itself, whatever
	 * the options: "action" is "filter" where changes of the table are left
	 * out, since a publication had a row filter on it.
	 */
	CDC_S3_MESSAGE = 'M',

	/*
	 * Part of a frame whose body is too long: uint8 type and uint8 flags of
	 * the whole frame; uint32 number of this part, from 0; then bytes of its
	 * body.  The header and bitmaps of a row are in part 0.  Nothing else
	 * comes between the parts of one frame.  CDC_S3_PART_LAST ends it.
	 */
	CDC_S3_PART = 'P',

	/*
	 * Streaming of transactions in progress (option streaming).
	 *	 stream start: uint32 xid; flag CDC_S3_STREAM_FIRST
	 *	 stream stop: uint32 xid
	 *	 stream abort: uint32 xid; uint32 xid of the aborted subtransaction
	 *	   (equal: all of it); uint64 LSN
	 *	 stream commit: the body of begin
	 */
	CDC_S3_STREAM_START = 'S',
	CDC_S3_STREAM_STOP = 'E',
	CDC_S3_STREAM_ABORT = 'A',
	CDC_S3_STREAM_COMMIT = 'K',

	/*
	 * Two-phase commit (option two_phase).  All: uint32 xid; uint64 end LSN
	 * of the record; int64 time; str gid.
	 */
	CDC_S3_PREPARE = 'p',
	CDC_S3_COMMIT_PREPARED = 'c',
	CDC_S3_ROLLBACK_PREPARED = 'r',

	/*
	 * Table, which a reader may skip: uint64 LSN; uint64 ordinal, that of the
	 * change that follows, or its own behind all changes; with
	 * CDC_S3_CHANGE_XID uint32 xid, that of the top-level transaction; uint32
	 * relation id; uint32 version, that of the relation frame before it, or 0
	 * where the table is gone or left; uint8 CDC_S3_TABLE_* flags.
	 * It says that from here on the table is as its last relation frame says,
	 * or what its flags say.  Where it comes: doc/wire-format.md.
	 */
	CDC_S3_TABLE = 0xD4
} CdcS3Frame;

/* Frame flags. */
#define CDC_S3_REL_AS_ROOT 0x01
#define CDC_S3_BEGIN_ORIGIN 0x01
#define CDC_S3_OLD_KEY 0x01     /* the old row holds the key columns only */
#define CDC_S3_OLD_FULL 0x02    /* the old row holds all columns */
#define CDC_S3_KEY_CHANGED 0x04 /* update: old and new key differ in value */
#define CDC_S3_NO_IDENTITY                                                     \
	0x08 /* update, delete: the table cannot tell                              \
		  * which row it was */
#define CDC_S3_TRUNC_CASCADE 0x01
#define CDC_S3_TRUNC_RESTART 0x02 /* restart identity */
#define CDC_S3_MSG_TRANSACTIONAL 0x01
#define CDC_S3_PART_LAST 0x01
#define CDC_S3_STREAM_FIRST 0x01
#define CDC_S3_CHANGE_XID 0x80 /* change frames inside stream blocks */

/* Flags of one relation in a truncate frame. */
#define CDC_S3_TRUNC_PARTIAL 0x01 /* a partition without its root */

/* Flags in the body of a table frame. */
#define CDC_S3_TABLE_CREATED 0x01   /* in this transaction */
#define CDC_S3_TABLE_REWRITTEN 0x02 /* its rows changed without row changes */
#define CDC_S3_TABLE_GONE 0x04      /* dropped */
#define CDC_S3_TABLE_LEFT 0x08      /* there, and not wanted any more */

/* The length of a missing value that has no text. */
#define CDC_S3_NO_TEXT 0xFFFFFFFF

/* Column flags in a relation frame. */
#define CDC_S3_COL_IDENTITY 0x01 /* in the replica identity */
#define CDC_S3_COL_KEY                                                         \
	0x02 /* in the key by which rows are found: the                            \
		  * replica identity, or the primary key                               \
		  * where the identity is full and the table                           \
		  * has one; else, with identity full, all columns */
#define CDC_S3_COL_NOT_NULL 0x04
#define CDC_S3_COL_GENERATED 0x08 /* generated always as (…) stored */

/* Text on the wire. */
typedef enum CdcS3Text
{
	CDC_S3_TEXT_UTF8 = 0,
	CDC_S3_TEXT_RAW =
		1 /* SQL_ASCII: the server's bytes, of no known encoding */
} CdcS3Text;

/*
 * A row: uint8 CDC_S3_ROW_* flags; then for each flag, in the order of its
 * bit, a bitmap of (number of columns + 7) / 8 bytes, column i being bit
 * i % 8 of byte i / 8; then the values of all columns in order that are
 * neither null, unchanged nor absent.  In an old row with CDC_S3_OLD_KEY the
 * columns without CDC_S3_COL_KEY are absent; their bits are zero.
 *
 * NULL, unchanged, withheld, empty and absent are five different things.
 * Unchanged: a TOAST value the update did not touch, which the server
 * does not have at hand.  Withheld: a value that cannot be sent in its kind;
 * in its place stands: uint8 CdcS3Withheld; uint64 stored size in bytes;
 * uint32 CRC-32C of the stored bytes; blob of those bytes (empty where they
 * do not exist or are too long).
 */
#define CDC_S3_ROW_NULLS 0x01
#define CDC_S3_ROW_UNCHANGED 0x02
#define CDC_S3_ROW_WITHHELD 0x04

typedef enum CdcS3Withheld
{
	CDC_S3_WITHHELD_ENCODING = 1, /* bytes with no UTF-8 form */
	CDC_S3_WITHHELD_TOO_LONG = 2, /* its text would pass 1 GB */
	CDC_S3_WITHHELD_TOO_DEEP = 3  /* a query or path nested too deep to print */
} CdcS3Withheld;

/*
 * Value kinds.  Fixed widths first; these are the bytes PostgreSQL stores.
 */
typedef enum CdcS3Kind
{
	CDC_S3_KIND_BOOL = 1,         /* 1 byte, 0 or 1 */
	CDC_S3_KIND_INT2 = 2,         /* int16 */
	CDC_S3_KIND_INT4 = 3,         /* int32 */
	CDC_S3_KIND_INT8 = 4,         /* int64 */
	CDC_S3_KIND_OID = 5,          /* uint32 */
	CDC_S3_KIND_FLOAT4 = 6,       /* IEEE 754 binary32 */
	CDC_S3_KIND_FLOAT8 = 7,       /* IEEE 754 binary64 */
	CDC_S3_KIND_DATE = 8,         /* int32 days since 2000-01-01; INT32_MIN
								   * -infinity, INT32_MAX infinity */
	CDC_S3_KIND_TIME = 9,         /* int64 microseconds of the day */
	CDC_S3_KIND_TIMETZ = 10,      /* int64 microseconds, int32 seconds west of
								   * UTC */
	CDC_S3_KIND_TIMESTAMP = 11,   /* int64 microseconds since 2000-01-01;
								   * INT64_MIN -infinity, INT64_MAX infinity */
	CDC_S3_KIND_TIMESTAMPTZ = 12, /* the same, in UTC */
	CDC_S3_KIND_INTERVAL = 13,    /* int64 microseconds, int32 days, int32
								   * months; infinite where all three are
								   * their type's minimum or maximum */
	CDC_S3_KIND_UUID = 14,        /* 16 bytes */

	/*
	 * numeric: a blob with the stored form, without its length word.  First
	 * a uint16 header h.  (h & 0xC000) == 0xC000: special, h & 0xF000 being
	 * 0xC000 NaN, 0xD000 infinity, 0xF000 -infinity.  (h & 0xC000) == 0x8000:
	 * short, sign h & 0x2000, display scale (h & 0x1F80) >> 7, weight
	 * (h & 0x3F), from which 64 is taken if h & 0x40.  Else: long, sign
	 * h & 0x4000, display scale h & 0x3FFF, an int16 weight follows.  Then
	 * int16 digits to base 10000; the first stands for 10000^weight.
	 */
	CDC_S3_KIND_NUMERIC = 15,

	/* Blobs. */
	CDC_S3_KIND_STRING = 16, /* text, varchar, char(n) with its padding, name,
							  * enum label */
	CDC_S3_KIND_BYTEA = 17,  /* raw bytes */
	CDC_S3_KIND_JSON = 18,   /* json as stored */

	/*
	 * Every other type: the text of its output function under DateStyle ISO,
	 * IntervalStyle postgres, extra_float_digits 1, bytea_output hex, an empty
	 * search_path, TimeZone UTC and lc_monetary C.
	 */
	CDC_S3_KIND_TEXT = 19
} CdcS3Kind;

#endif /* CDC_S3_PROTO_H */
