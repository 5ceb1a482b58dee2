/*-------------------------------------------------------------------------
 * csv_dms.h
 *	  The format "csv-dms": CSV as AWS DMS writes it (output.shape = dms,
 *	  doc/csv.md).
 *
 *	  I,2026-11-21 08:14:07.123456,7,89.20,
 *
 * The operation (I, U, D, and T and S, which DMS has not, for a truncate and a
 * resync), the commit's time where a column is named for it, and the table's
 * columns.  It tells no position, and does not tell NULL from what an update
 * did not touch: so it cannot be read back, and its reader refuses.
 *
 * FormatOptions.dms says how: a byte '1' or '0' (a header stands in front), the
 * delimiter (\x01 for a tab), the name of the column of times (empty: there is
 *none), a tab, and the text of NULL, which stands without quotes. Layer: codec.
 *-------------------------------------------------------------------------
 */
#ifndef CSV_DMS_H
#define CSV_DMS_H

#include "codec/format.h"

extern const Format csv_dms_format;

#endif
