/*-------------------------------------------------------------------------
 * parquet.h
 *	  Changes as Parquet objects, and back (doc/parquet.md).
 *
 * Memory: an open writer holds a row group's compressed pages, of each column
 * that has values one page that grows, and its dictionary; at most about 64 MB
 * of values before compression.  It is ended early by shrink().  A reader
 * holds one page and one dictionary a column, and a record.
 * Layer: codec.
 *-------------------------------------------------------------------------
 */
#ifndef PARQUET_H
#define PARQUET_H

#include "codec/format.h"

extern const Format parquet_format;

#endif
