/*-------------------------------------------------------------------------
 * options.c
 *	  The options of the plugin, as a client gives them with
 *	  START_REPLICATION or to pg_logical_slot_get_changes().
 *
 * One table says all there is to know of an option; parsing, errors and the
 * hello frame follow from it.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "nodes/parsenodes.h"
#include "nodes/value.h"
#include "utils/builtins.h"
#include "utils/varlena.h"

#include "cdc_s3.h"

typedef enum OptionType
{
	OPT_BOOL,
	OPT_ENUM,
	OPT_PROTO, /* protocol version */
	OPT_PATTERNS,
	OPT_NAMES, /* identifiers, separated by commas */
	OPT_OIDS   /* OIDs, likewise; 0 among them */
} OptionType;

typedef struct Option
{
	const char *name;
	OptionType type;
	size_t offset;      /* in CdcS3Options */
	const char *def;    /* as a client would write it */
	const char *values; /* of an enum, in the order of its enumerators */
} Option;

static const Option options[] = {
	{ "proto_version", OPT_PROTO, offsetof(CdcS3Options, proto_version), "1",
	  NULL },
	{ "format", OPT_ENUM, offsetof(CdcS3Options, format), "binary",
	  "binary, text" },
	{ "tables", OPT_PATTERNS, offsetof(CdcS3Options, tables), "", NULL },
	{ "exclude", OPT_PATTERNS, offsetof(CdcS3Options, exclude), "", NULL },
	{ "publication_names", OPT_NAMES, offsetof(CdcS3Options, publications), "",
	  NULL },
	{ "publication_oids", OPT_OIDS, offsetof(CdcS3Options, publication_oids),
	  "", NULL },
	{ "partition", OPT_ENUM, offsetof(CdcS3Options, partition), "root",
	  "root, leaf" },
	{ "old", OPT_ENUM, offsetof(CdcS3Options, old), "key", "key, full" },
	{ "origin", OPT_ENUM, offsetof(CdcS3Options, origin), "any", "any, none" },
	{ "messages", OPT_ENUM, offsetof(CdcS3Options, messages), "on",
	  "off, ddl, on" },
	{ "filter", OPT_ENUM, offsetof(CdcS3Options, filter), "refuse",
	  "refuse, superset" },
	{ "streaming", OPT_BOOL, offsetof(CdcS3Options, streaming), "off", NULL },
	{ "two_phase", OPT_BOOL, offsetof(CdcS3Options, two_phase), "off", NULL },
	{ "include_lsn", OPT_BOOL, offsetof(CdcS3Options, include_lsn), "off",
	  NULL },
	{ "include_xid", OPT_BOOL, offsetof(CdcS3Options, include_xid), "off",
	  NULL },
	{ "include_time", OPT_BOOL, offsetof(CdcS3Options, include_time), "off",
	  NULL },
	{ "include_relation", OPT_BOOL, offsetof(CdcS3Options, include_relation),
	  "off", NULL },
};

/* The names of all options, for a hint. */
static char *
option_names(void)
{
	StringInfoData s;

	initStringInfo(&s);
	for (int i = 0; i < (int) lengthof(options); i++)
		appendStringInfo(&s, "%s\"%s\"", i > 0 ? ", " : "", options[i].name);
	return s.data;
}

/* What an option may be, for a hint. */
static const char *
allowed(const Option *o)
{
	switch (o->type)
	{
		case OPT_BOOL:
			return "on, off";
		case OPT_ENUM:
			return o->values;
		case OPT_PROTO:
			return psprintf("%d to %d", CDC_S3_PROTO_VERSION_MIN,
							CDC_S3_PROTO_VERSION_MAX);
		case OPT_PATTERNS:
			return "patterns such as public.orders, sales.*, "
				   "\"Sales\".\"Order *\" or *, separated by commas";
		case OPT_NAMES:
			return "names of publications, separated by commas";
		case OPT_OIDS:
			return "the OIDs by which publications were known, 0 for none, "
				   "separated by commas, one for each of \"publication_names\"";
	}
	return "";
}

static void
bad_value(const Option *o, const char *value, const char *why)
{
	ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			errmsg("invalid value \"%s\" for option \"%s\" of output plugin "
				   "\"cdc_s3\"",
				   value, o->name),
			why ? errdetail("%s", why) : 0,
			errhint("Allowed: %s.", allowed(o)));
}

/* The position of a value in a list such as "root, leaf", or -1. */
static int
enum_position(const char *values, const char *value)
{
	size_t len = strlen(value);
	int n = 0;

	for (const char *p = values; p; n++)
	{
		const char *end = strstr(p, ", ");
		size_t this_len = end ? (size_t) (end - p) : strlen(p);

		if (this_len == len && pg_strncasecmp(p, value, len) == 0)
			return n;
		p = end ? end + 2 : NULL;
	}
	return -1;
}

static int
proto_version(const Option *o, const char *value)
{
	char *end;
	long v;

	errno = 0;
	v = strtol(value, &end, 10);
	if (errno != 0 || end == value || *end != '\0')
		bad_value(o, value, NULL);
	if (v < CDC_S3_PROTO_VERSION_MIN || v > CDC_S3_PROTO_VERSION_MAX)
		ereport(ERROR, errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				errmsg("client asks for protocol version %ld, but output "
					   "plugin \"cdc_s3\" speaks versions %d to %d",
					   v, CDC_S3_PROTO_VERSION_MIN, CDC_S3_PROTO_VERSION_MAX),
				errhint("Install the same version of cdc_s3 on both sides."));
	return (int) v;
}

static List *
oid_list(const Option *o, const char *value)
{
	List *oids = NIL;

	for (const char *p = value; *p;)
	{
		char *end;
		unsigned long v;

		errno = 0;
		v = strtoul(p, &end, 10);
		if (*p < '0' || *p > '9' || errno != 0 || v > PG_UINT32_MAX ||
			(*end != '\0' && (*end != ',' || end[1] == '\0')))
			bad_value(o, value, NULL);
		oids = lappend_oid(oids, (Oid) v);
		p = *end == ',' ? end + 1 : end;
	}
	return oids;
}

/* Store a value, which is an error if it is not among those allowed. */
static void
option_set(CdcS3Options *opt, const Option *o, const char *value)
{
	void *field = (char *) opt + o->offset;

	switch (o->type)
	{
		case OPT_BOOL:
			if (!parse_bool(value, field))
				bad_value(o, value, NULL);
			break;

		case OPT_ENUM:
			*(int *) field = enum_position(o->values, value);
			if (*(int *) field < 0)
				bad_value(o, value, NULL);
			break;

		case OPT_PROTO:
			*(int *) field = proto_version(o, value);
			break;

		case OPT_NAMES:
			if (!SplitIdentifierString(pstrdup(value), ',', field))
				bad_value(o, value, NULL);
			break;

		case OPT_OIDS:
			*(List **) field = oid_list(o, value);
			break;

		case OPT_PATTERNS:
		{
			const char *why = NULL;

			if (!cdc_s3_patterns_parse(value, field, &why))
				bad_value(o, value, why);
			break;
		}
	}
}

/* What the client wrote; a bare boolean option means on. */
static const char *
given_value(const Option *o, DefElem *def)
{
	if (def->arg != NULL)
		return strVal(def->arg);
	if (o->type == OPT_BOOL)
		return "on";
	ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			errmsg("option \"%s\" of output plugin \"cdc_s3\" needs a value",
				   o->name),
			errhint("Allowed: %s.", allowed(o)));
}

/*
 * Fill *opt from the client's list of DefElem and the defaults.  The result
 * lives in the current memory context.
 */
void
cdc_s3_options_parse(List *given, CdcS3Options *opt)
{
	const char *values[lengthof(options)] = { NULL };
	bool partition_given = false;
	ListCell *lc;

	foreach (lc, given)
	{
		DefElem *def = lfirst_node(DefElem, lc);
		int i = 0;

		while (i < (int) lengthof(options) &&
			   strcmp(options[i].name, def->defname) != 0)
			i++;
		if (i == (int) lengthof(options))
			ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					errmsg("unrecognized option \"%s\" of output plugin "
						   "\"cdc_s3\"",
						   def->defname),
					errhint("Valid options: %s.", option_names()));
		if (values[i])
			ereport(ERROR, errcode(ERRCODE_SYNTAX_ERROR),
					errmsg("option \"%s\" of output plugin \"cdc_s3\" given "
						   "more than once",
						   def->defname),
					errhint("Valid options, each once: %s.", option_names()));
		values[i] = given_value(&options[i], def);
		if (strcmp(options[i].name, "partition") == 0)
			partition_given = true;
	}

	memset(opt, 0, sizeof(*opt));
	for (int i = 0; i < (int) lengthof(options); i++)
	{
		CdcS3OptionText *shown = palloc(sizeof(CdcS3OptionText));

		shown->name = options[i].name;
		shown->value = pstrdup(values[i] ? values[i] : options[i].def);
		option_set(opt, &options[i], shown->value);
		/* What the reader knew says nothing of the frames. */
		if (options[i].type != OPT_OIDS)
			opt->shown = lappend(opt->shown, shown);
	}
	if (opt->publication_oids &&
		list_length(opt->publication_oids) != list_length(opt->publications))
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("option \"publication_oids\" of output plugin "
					   "\"cdc_s3\" has %d OIDs, and \"publication_names\" "
					   "%d names",
					   list_length(opt->publication_oids),
					   list_length(opt->publications)),
				errhint("Give one OID for each name, 0 where none is known."));
	if (opt->publications && partition_given)
		ereport(ERROR, errcode(ERRCODE_SYNTAX_ERROR),
				errmsg("options \"partition\" and \"publication_names\" of "
					   "output plugin \"cdc_s3\" cannot be given together"),
				errhint("A publication says itself whether it is sent in the "
						"shape of the root: publish_via_partition_root."));
}
