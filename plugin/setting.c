/*-------------------------------------------------------------------------
 * setting.c
 *	  Settings that only a superuser may move, and cdc_s3.allowed_tables, by
 *	  which a superuser says what a client can have at most, since a client
 *	  with the right to replicate is asked for no other right.
 *
 * Unless the library is preloaded with the server, a session begins without
 * it, and until it is there anybody may give its settings a value: as an
 * option of the connection, which takes the place of what the server, the
 * database or the role has, or with SET.  The server looks at such a value when
 * the library defines the setting.  What is not permitted then, or cannot be
 * read, is refused with a warning, and the setting is as if nobody had ever
 * given it a value.
 *
 * Invariants:
 *	(1) Nobody can write the value that cdc_s3.allowed_tables has where it was
 *		given none: it is no string.
 *	(2) Where a value was refused as the setting was defined, that none is
 *		there means nothing, for the rest of the session: no stream begins, and
 *		one that runs ends.
 *	(3) A value that is there was checked by the server: it can be read, and
 *		who gave it had the right to.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "cdc_s3.h"

/* ---- before and after a setting is defined ---- */

/* What a setting has so far; to be asked before it is defined. */
CdcS3Given
cdc_s3_setting_given(const char *name)
{
	struct config_generic *setting = find_setting(name);
	CdcS3Given given = { PGC_S_DEFAULT, PGC_S_DEFAULT };

	if (setting)
	{
		given.value = setting->source;
		given.reset = setting->reset_source;
	}
	return given;
}

/*
 * Now that it is defined: where a value came from that was refused, or
 * PGC_S_DEFAULT.
 */
GucSource
cdc_s3_setting_refused(const char *name, CdcS3Given before)
{
	CdcS3Given now = cdc_s3_setting_given(name);

	if (before.reset != PGC_S_DEFAULT && now.reset == PGC_S_DEFAULT)
		return before.reset;
	if (before.value != PGC_S_DEFAULT && now.value == PGC_S_DEFAULT)
		return before.value;
	return PGC_S_DEFAULT;
}

/* ---- cdc_s3.allowed_tables ---- */

#define ALLOWED_TABLES "cdc_s3.allowed_tables"

static char *allowed_tables = NULL; /* NULL: no value */
static GucSource refused = PGC_S_DEFAULT;

static bool
check_allowed_tables(char **newval, void **extra, GucSource source)
{
	List *list;
	const char *why = NULL;

	if (!*newval || cdc_s3_patterns_parse(*newval, &list, &why))
		return true;
	GUC_check_errdetail("%s", why);
	GUC_check_errhint("Patterns such as public.orders, sales.* or *, separated "
					  "by commas, are allowed.");
	return false;
}

static const char *
show_allowed_tables(void)
{
	if (allowed_tables)
		return allowed_tables;
	return refused == PGC_S_DEFAULT ? "*" : "";
}

void
cdc_s3_allowed_init(void)
{
	CdcS3Given before = cdc_s3_setting_given(ALLOWED_TABLES);

	DefineCustomStringVariable(
		ALLOWED_TABLES,
		"Sets which tables output plugin \"cdc_s3\" sends at most.",
		"Patterns of schema.table, separated by commas.  The options of a "
		"client can only narrow it.",
		&allowed_tables, NULL, PGC_SUSET, 0, check_allowed_tables, NULL,
		show_allowed_tables);
	refused = cdc_s3_setting_refused(ALLOWED_TABLES, before);
}

/*
 * The value, "*" where nobody gave one.  An error if that cannot be known.
 */
const char *
cdc_s3_allowed_tables(void)
{
	if (!allowed_tables && refused != PGC_S_DEFAULT)
		ereport(
			ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			errmsg("which tables may be sent is not known: a value of "
				   "\"%s\" was refused",
				   ALLOWED_TABLES),
			errdetail("It came from source \"%s\"; what else a superuser may "
					  "have set is not known.",
					  GucSource_Names[refused]),
			errhint("A client must not give this setting; elsewhere it "
					"holds patterns such as public.orders, sales.* or *, "
					"separated by commas. Connect anew once that is so."));
	return allowed_tables ? allowed_tables : "*";
}
