/*-------------------------------------------------------------------------
 * notice.h
 *	  The notices of schema changes that the plugin's extension leaves as
 *	  logical messages (plugin/cdc_s3--1.0.sql), and those that the plugin
 *	  makes itself, of tables whose changes it leaves out.
 *
 * Threads: no state.  Layer: codec.
 *-------------------------------------------------------------------------
 */
#ifndef NOTICE_H
#define NOTICE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

#define NOTICE_PREFIX "cdc_s3.ddl"

typedef struct Notice
{
	uint32_t relation_id; /* OID of the table, or of one of its partitions */
	bool resync;          /* rows changed, and no change event tells so */
	const char *reason;   /* "rewrite", "partition", "filter", "publication" or
						   * "other"; static */
} Notice;

/*
 * False where the content is no notice.  Anybody who may write into the
 * database can emit such a message, so that is no error.
 */
bool notice_parse(Slice content, Notice *out);

#endif
