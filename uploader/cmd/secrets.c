/*-------------------------------------------------------------------------
 * secrets.c
 *	  Where passwords and keys come from that stand in no setting themselves.
 *
 * Layer: cmd.
 *-------------------------------------------------------------------------
 */
#include "cmd/secrets.h"

#include <stddef.h>

#include "io/pgconn.h"
#include "store/creds.h"
#include "store/secret.h"
#include "store/secret_file.h"

typedef struct Place
{
	const char *side;
	const char *conninfo;
	const char *file_setting;
	const char *file;
	const char *secret_setting;
	const char *secret;
} Place;

static const Config *config; /* NULL: nothing is looked up */

static Place
place_of(const Config *cfg, PgRole role)
{
	if (role == PG_TARGET)
		return (Place){ "target",
						cfg->target_conninfo,
						"target.password_file",
						cfg->target_password_file,
						"target.password_secret",
						cfg->target_password_secret };
	return (Place){ "source",
					cfg->source_conninfo,
					"source.password_file",
					cfg->source_password_file,
					"source.password_secret",
					cfg->source_password_secret };
}

static bool
check_place(const Config *cfg, PgRole role, Err *err)
{
	Place p = place_of(cfg, role);
	int places = (*p.file != '\0') + (*p.secret != '\0') +
				 pg_conninfo_has_password(p.conninfo);

	if (places <= 1)
		return true;
	(void) err_set(err, ERR_USAGE, 0,
				   "the password of the %s stands in more than one place",
				   p.side);
	return err_hint(err, "leave all out but one of %s.conninfo, %s and %s",
					p.side, p.file_setting, p.secret_setting);
}

static bool
fetch(const Place *p, PgLogin *out, Err *err)
{
	AwsSettings env;
	CredsOptions options = { 0 };
	bool ok;

	aws_settings_read(&env);
	options.region =
		config->store_region[0] ? config->store_region : env.region;
	if (config->store_ca_file[0] || env.ca_file[0])
		options.ca_file =
			config->store_ca_file[0] ? config->store_ca_file : env.ca_file;
	ok = secret_fetch(&options, p->secret_setting, p->secret, out, err);
	aws_settings_done(&env);
	return ok;
}

static bool
look_up(PgRole role, PgLogin *out, Err *err)
{
	Place p = place_of(config, role);

	if (*p.file)
		return secret_read_file(p.file_setting, p.file, &out->password, err);
	if (*p.secret)
		return fetch(&p, out, err);
	return true;
}

bool
secrets_use(const Config *cfg, Err *err)
{
	if (!check_place(cfg, PG_SOURCE, err) || !check_place(cfg, PG_TARGET, err))
		return false;
	config = cfg;
	creds_set_secret_file(
		cfg->store_secret_key_file[0] ? cfg->store_secret_key_file : NULL);
	pg_set_login(look_up);
	return true;
}

void
secrets_forget(void)
{
	pg_set_login(NULL);
	creds_set_secret_file(NULL);
	config = NULL;
}
