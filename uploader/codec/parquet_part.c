#include "codec/parquet_part.h"

bool
part_head(FormatWriter *w, const Change *change, Buf *out, Err *err)
{
	(void) w;
	(void) change;
	(void) out;
	return err_set(err, ERR_LIMIT, 0, "rows in parts are not written yet");
}

bool
part_item(FormatWriter *w, const PartItem *item, Buf *out, Err *err)
{
	(void) w;
	(void) item;
	(void) out;
	return err_set(err, ERR_LIMIT, 0, "rows in parts are not written yet");
}

void
part_free(ParquetPart *p)
{
	(void) p;
}
