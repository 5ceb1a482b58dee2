/*-------------------------------------------------------------------------
 * csv.h
 *	  The format "csv" of the lake (doc/csv.md): RFC 4180 with line feeds as
 *	  line ends, one header, a record a change.
 *
 *	  _op,_lsn,_seq,_xid,_ts,_nokey,…,_jsonnull,id,price,note
 *	  "u","0000000016B374D8",3,712,"2026-11-21T08:14:07.123456Z",\N,…,7,89.20,\N
 *
 *	  field		what it is
 *	  \N		NULL; also of a column that is not in the record
 *	  "…"		text; two quotes stand for one
 *	  else		a number, true or false
 *
 * A field has quotes where the json format writes a string, an array or a
 * json value, so that the record line can be made of it again.  With
 * csv_escape the header has one column more, "_escaped", and in each field
 * with quotes \n, \r and \\ stand for LF, CR and the backslash.
 *
 * A row in parts is longer than what a writer may hold, and what stands behind
 * its columns in JSON stands before them here.  So it differs from that of the
 * whole row: "_jsonnull" is NULL, a withheld column is named in "_withheld"
 * with null and its details stand in its own field, and text of a SQL_ASCII
 * server that is not UTF-8 stands there as its bytes.  Its record line is the
 * same.
 *
 * Errors: ERR_LIMIT where a row in parts has a key that no index takes.
 * Memory of a writer: the old row of a change, or its key where it comes in
 * parts.  Of a reader: about four times max_line.  Layer: codec.
 *-------------------------------------------------------------------------
 */
#ifndef CSV_H
#define CSV_H

#include "codec/format.h"

extern const Format csv_format;

#endif
