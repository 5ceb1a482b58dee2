/*-------------------------------------------------------------------------
 * bound.c
 *	  How long a value's text can become, without making it.
 *
 * An output function fails where its result would pass 1 GB, and an error in
 * a callback comes again for ever.  So large values, and only those, are looked
 * at first: numbers inside of json, arrays and rows print up to 13107 times as
 * long as they are stored, quotes double with each level of nesting, and other
 * types are taken to print at most 8 times as long.
 *
 * It fails as well where it calls itself too often for the stack that the
 *server allows.  Rows in rows are no matter, since 30 levels of quotes are 1
 *GB.  But there are types of trees: a query, a path.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/detoast.h"
#include "access/htup_details.h"
#include "access/transam.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "tcop/tcopprot.h"
#include "utils/array.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/multirangetypes.h"
#include "utils/rangetypes.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

#include "cdc_s3.h"

/* Text of values up to this size, nested up to this depth, is below 1 GB. */
#define SMALL_SIZE (32 * 1024)
#define SMALL_DEPTH 13

/* Types looked at before one is taken to be deep. */
#define TYPES_MAX 1000

/*
 * The quotes of a value nested so deep are more than 1 GB: each level has one
 * at least, for the parentheses or braces of the next, and doubles those
 * inside.
 */
#define DEPTH_MAX 30

/*
 * A level of a tree takes at least so many bytes in the stored value, and less
 * than so many of the stack; half of what the server allows may be used.
 */
#define TREE_LEVEL_SIZE 8
#define TREE_LEVEL_STACK 256
#define TREE_MAX                                                               \
	((Size) max_stack_depth * 1024 / 2 / TREE_LEVEL_STACK * TREE_LEVEL_SIZE)

/* A look at one value. */
typedef struct Look
{
	int depth;
	bool too_deep; /* some tree in it is */
} Look;

static uint64 bound_of(Look *look, Oid type, Datum d);

/* Bytes of the value as it is without compression. */
static Size
raw_size(Datum d)
{
	struct varlena *v = (struct varlena *) DatumGetPointer(d);

	if (VARATT_IS_COMPRESSED(v))
		return VARDATA_COMPRESSED_GET_EXTSIZE(v);
	if (VARATT_IS_EXTERNAL(v))
		return toast_raw_datum_size(d);
	return VARSIZE_ANY_EXHDR(v);
}

/* From the header of the stored form, which cdc_s3_proto.h describes. */
static uint64
numeric_bound(Datum d)
{
	struct varlena *v = detoast_attr((struct varlena *) DatumGetPointer(d));
	uint16 head;
	int16 weight = 0;
	int scale;

	if (VARSIZE(v) < VARHDRSZ + sizeof(head))
		return 16;
	memcpy(&head, VARDATA(v), sizeof(head));
	if ((head & 0xC000) == 0xC000)
		return 16;
	if ((head & 0xC000) == 0x8000)
	{
		scale = (head & 0x1F80) >> 7;
		weight = (int16) ((head & 0x3F) - (head & 0x40 ? 64 : 0));
	}
	else
	{
		scale = head & 0x3FFF;
		if (VARSIZE(v) >= VARHDRSZ + 2 * sizeof(head))
			memcpy(&weight, VARDATA(v) + sizeof(head), sizeof(weight));
	}
	return 16 + 4 * (uint64) Max(weight + 1, 1) + scale;
}

static uint64
jsonb_bound(Datum d)
{
	Jsonb *jb = DatumGetJsonbP(d);
	JsonbIterator *it = JsonbIteratorInit(&jb->root);
	JsonbIteratorToken token;
	JsonbValue v;
	uint64 sum = 16;

	while ((token = JsonbIteratorNext(&it, &v, false)) != WJB_DONE)
	{
		sum += 4;
		if (token != WJB_KEY && token != WJB_VALUE && token != WJB_ELEM)
			continue;
		if (v.type == jbvString)
			sum += 6 * (uint64) v.val.string.len + 4;
		else if (v.type == jbvNumeric)
			sum += numeric_bound(NumericGetDatum(v.val.numeric));
		else
			sum += 8;
	}
	return sum;
}

static uint64
array_bound(Look *look, Oid element, Datum d)
{
	ArrayType *array = DatumGetArrayTypeP(d);
	ArrayIterator it = array_create_iterator(array, 0, NULL);
	int ndim = ARR_NDIM(array);
	uint64 sum = 64 * (uint64) (ndim + 1);
	Datum value;
	bool isnull;

	while (array_iterate(it, &value, &isnull))
		sum += 8 + 2 * (uint64) ndim +
			   (isnull ? 0 : 2 * bound_of(look, element, value));
	return sum;
}

static uint64
row_bound(Look *look, Datum d)
{
	HeapTupleHeader row = DatumGetHeapTupleHeader(d);
	TupleDesc desc = lookup_rowtype_tupdesc(HeapTupleHeaderGetTypeId(row),
											HeapTupleHeaderGetTypMod(row));
	HeapTupleData tup;
	Datum *values = palloc(desc->natts * sizeof(Datum));
	bool *nulls = palloc(desc->natts * sizeof(bool));
	uint64 sum = 16;

	tup.t_len = HeapTupleHeaderGetDatumLength(row);
	ItemPointerSetInvalid(&tup.t_self);
	tup.t_tableOid = InvalidOid;
	tup.t_data = row;
	heap_deform_tuple(&tup, desc, values, nulls);
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		sum += 4;
		if (!nulls[i] && !att->attisdropped)
			sum += 2 * bound_of(look, att->atttypid, values[i]);
	}
	ReleaseTupleDesc(desc);
	return sum;
}

static uint64
one_range_bound(Look *look, TypeCacheEntry *range, const RangeType *r)
{
	RangeBound lower;
	RangeBound upper;
	bool empty;
	Oid subtype = range->rngelemtype->type_id;
	uint64 sum = 16;

	range_deserialize(range, r, &lower, &upper, &empty);
	if (empty)
		return sum;
	if (!lower.infinite)
		sum += 2 * bound_of(look, subtype, lower.val);
	if (!upper.infinite)
		sum += 2 * bound_of(look, subtype, upper.val);
	return sum;
}

static uint64
range_bound(Look *look, Oid type, Datum d)
{
	return one_range_bound(look, lookup_type_cache(type, TYPECACHE_RANGE_INFO),
						   DatumGetRangeTypeP(d));
}

static uint64
multirange_bound(Look *look, Oid type, Datum d)
{
	TypeCacheEntry *cache = lookup_type_cache(type, TYPECACHE_MULTIRANGE_INFO);
	RangeType **ranges;
	int32 n;
	uint64 sum = 16;

	multirange_deserialize(cache->rngtype, DatumGetMultirangeTypeP(d), &n,
						   &ranges);
	for (int i = 0; i < n; i++)
		sum += 2 + one_range_bound(look, cache->rngtype, ranges[i]);
	return sum;
}

/* Whether the values of a type without parts are trees. */
static bool
is_tree(Oid base)
{
	/* Of contrib modules, whose OIDs differ. */
	static const char *const known[] = { "query_int", "ltxtquery" };
	HeapTuple tup;
	bool found = false;

	if (base < FirstNormalObjectId)
		return base == TSQUERYOID || base == JSONPATHOID;
	tup = SearchSysCache1(TYPEOID, ObjectIdGetDatum(base));
	if (!HeapTupleIsValid(tup))
		return false;
	for (int i = 0; i < (int) lengthof(known); i++)
		if (strcmp(NameStr(((Form_pg_type) GETSTRUCT(tup))->typname),
				   known[i]) == 0)
			found = true;
	ReleaseSysCache(tup);
	return found;
}

/* The same as bound_of() for a type without parts. */
static uint64
plain_bound(Look *look, Oid base, Datum d)
{
	switch (base)
	{
		case NUMERICOID:
			return numeric_bound(d);
		case JSONBOID:
			return jsonb_bound(d);
		case TEXTOID:
		case VARCHAROID:
		case BPCHAROID:
		case JSONOID:
		case XMLOID:
			return raw_size(d);
		default:
			if (is_tree(base) && raw_size(d) > TREE_MAX)
				look->too_deep = true;
			/* Bits print 8 times as long, bytea twice. */
			return 64 + 8 * (uint64) raw_size(d);
	}
}

/* The same for a type that may have parts. */
static uint64
nested_bound(Look *look, Oid base, Datum d)
{
	Oid element = get_element_type(base);

	if (OidIsValid(element))
		return array_bound(look, element, d);
	switch (get_typtype(base))
	{
		case TYPTYPE_COMPOSITE:
			return row_bound(look, d);
		case TYPTYPE_RANGE:
			return range_bound(look, base, d);
		case TYPTYPE_MULTIRANGE:
			return multirange_bound(look, base, d);
		default:
			return plain_bound(look, base, d);
	}
}

/*
 * At least as many bytes as the text of a value has; MaxAllocSize, beyond which
 * it does not matter and sums stay numbers, at most.
 */
static uint64
bound_of(Look *look, Oid type, Datum d)
{
	Oid base = getBaseType(type);
	uint64 sum;

	if (get_typlen(base) != -1) /* even 8 floats, or a name */
		return 256;
	if (look->depth > DEPTH_MAX)
		return MaxAllocSize;
	look->depth++;
	sum = nested_bound(look, base, d);
	look->depth--;
	return Min(sum, MaxAllocSize);
}

/*
 * How deep a type nests others, and no more than "left".  What takes a closer
 * look counts as that deep: too many types, and trees.
 */
static int
type_depth(Oid type, int left, int *types)
{
	Oid base = getBaseType(type);
	Oid element = get_element_type(base);
	char kind = get_typtype(base);
	TupleDesc desc;
	int depth = 0;

	if (left == 0 || --*types < 0 || (kind == TYPTYPE_BASE && is_tree(base)))
		return left;
	if (OidIsValid(element))
		return 1 + type_depth(element, left - 1, types);
	if (kind == TYPTYPE_RANGE)
		return 1 + type_depth(get_range_subtype(base), left - 1, types);
	if (kind == TYPTYPE_MULTIRANGE)
		return 1 + type_depth(get_multirange_range(base), left - 1, types);
	if (kind != TYPTYPE_COMPOSITE)
		return 0;
	desc = lookup_rowtype_tupdesc(base, -1);
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		if (!att->attisdropped)
			depth = Max(depth, type_depth(att->atttypid, left - 1, types));
	}
	ReleaseTupleDesc(desc);
	return depth + 1;
}

/* For a column of text: values up to this size need no closer look. */
Size
cdc_s3_text_small(Oid type)
{
	int types = TYPES_MAX;

	return type_depth(type, SMALL_DEPTH + 1, &types) > SMALL_DEPTH ? 0
																   : SMALL_SIZE;
}

/* Why the output function cannot be called, a CdcS3Withheld; 0 if it can. */
uint8
cdc_s3_text_unfit(const CdcS3Column *col, Datum d)
{
	Look look = { 0 };
	uint64 bound;

	if (col->attlen != -1 || raw_size(d) <= col->text_small)
		return 0;
	bound = bound_of(&look, col->base_type, d);
	if (look.too_deep)
		return CDC_S3_WITHHELD_TOO_DEEP;
	return bound < MaxAllocSize ? 0 : CDC_S3_WITHHELD_TOO_LONG;
}
