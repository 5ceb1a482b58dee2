/*-------------------------------------------------------------------------
 * value.c
 *	  Values whose stored bytes are not what a reader is to see.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/detoast.h"
#include "access/htup_details.h"
#include "catalog/pg_enum.h"
#include "utils/syscache.h"

#include "cdc_s3.h"

/*
 * The label of an enum value, in NAMEDATALEN bytes; false, which cannot be, if
 * it has none.
 */
bool
cdc_s3_enum_label(Datum value, char *label)
{
	HeapTuple tup = SearchSysCache1(ENUMOID, value);

	if (!HeapTupleIsValid(tup))
		return false;
	strlcpy(label, NameStr(((Form_pg_enum) GETSTRUCT(tup))->enumlabel),
			NAMEDATALEN);
	ReleaseSysCache(tup);
	return true;
}

/*
 * The text of a value that fits, in the server's encoding and allocated in the
 * current memory context; not terminated.
 */
char *
cdc_s3_value_text(CdcS3Column *col, Datum d, Size *len)
{
	char *text;

	if (col->op == OP_JSONB)
	{
		struct varlena *v = (struct varlena *) DatumGetPointer(d);

		if (VARATT_IS_COMPRESSED(v) || VARATT_IS_EXTERNAL(v))
			v = detoast_attr(v);
		text = cdc_s3_jsonb_text(v, len);
		if (text)
			return text;
		d = PointerGetDatum(v);
	}
	text = OutputFunctionCall(&col->out, d);
	*len = strlen(text);
	return text;
}
