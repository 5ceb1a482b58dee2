/*-------------------------------------------------------------------------
 * telling.c
 *	  The listener and the lines of metrics, as the settings ask for them.
 *
 * Layer: cmd.
 *-------------------------------------------------------------------------
 */
#include "cmd/telling.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/seen.h"
#include "cmd/cmd.h"
#include "codec/hash.h"
#include "codec/pattern.h"

#define SECRET_MAX 4096

/* The first line of the file; what it says is repeated nowhere. */
static bool
read_secret(const char *name, const char *path, char **out, Err *err)
{
	FILE *f = fopen(path, "re");
	char text[SECRET_MAX];
	char why[64];
	size_t n;
	bool ok;

	if (!f)
	{
		err_set(err, ERR_USAGE, errno,
				"could not open the file that %s names: %s", name,
				err_errno(errno, why, sizeof(why)));
		return err_hint(err, "it must be there, and ours to read");
	}
	n = fread(text, 1, sizeof(text) - 1, f);
	text[n] = '\0';
	text[strcspn(text, "\r\n")] = '\0';
	ok = text[0] != '\0' && strlen(text) <= n && n < sizeof(text) - 1;
	if (ok)
		*out = xstrdup(text);
	else
		(void) err_set(err, ERR_USAGE, 0,
					   "the file that %s names has no text of at most %d "
					   "bytes in its first line",
					   name, SECRET_MAX - 2);
	wipe(text, sizeof(text));
	(void) fclose(f); /* only read from */
	return ok;
}

/* Of a file or the setting itself; "" where there is none. */
static bool
secret(const char *name, const char *path, const char *value, char **out,
	   Err *err)
{
	char file[64];

	(void) snprintf(file, sizeof(file), "%s_file", name); /* fits */
	if (path[0] == '\0')
		*out = xstrdup(value);
	else if (value[0] != '\0')
		return err_set(err, ERR_USAGE, 0,
					   "%s and %s are both set; leave out one", file, name);
	else
		return read_secret(file, path, out, err);
	return true;
}

static bool
is_chosen(void *arg, const char *schema, const char *table)
{
	return pattern_list_matches(arg, schema, table);
}

static bool
choose_tables(const Config *cfg, Err *err)
{
	if (cfg->metrics_tables[0] == '\0')
		return true;
	if (!pattern_list_valid(cfg->metrics_tables))
	{
		err_set(err, ERR_USAGE, 0,
				"setting \"metrics.tables\" is no list of patterns");
		return err_hint(err, "write schema.table, with * for any run of "
							 "characters, by comma");
	}
	seen_choose(is_chosen, cfg->metrics_tables);
	return true;
}

static bool
is_on(const char *value)
{
	return strcmp(value, "on") == 0;
}

static bool
check_basic(const Telling *t, Err *err)
{
	if (t->basic[0] == '\0' || strchr(t->basic, ':'))
		return true;
	return err_set(err, ERR_USAGE, 0,
				   "http.basic is not of the form user:password");
}

static bool
read_secrets(Telling *t, const Config *cfg, Err *err)
{
	return secret("http.token", cfg->http_token_file, cfg->http_token,
				  &t->token, err) &&
		   secret("http.basic", cfg->http_basic_file, cfg->http_basic,
				  &t->basic, err) &&
		   check_basic(t, err);
}

bool
telling_start(Telling *t, const Config *cfg, StatsRole role, Err *err)
{
	ServeOptions o = { .role = role,
					   .listen = cfg->http_listen,
					   .insecure = is_on(cfg->http_insecure),
					   .emf_ms = is_on(cfg->metrics_emf)
									 ? cfg->metrics_emf_interval_ms
									 : 0,
					   .slot = cfg->source_slot,
					   .answer = { .version = CDC_S3_VERSION,
								   .dms = is_on(cfg->metrics_dms_names) } };
	bool ok;

	*t = (Telling){ 0 };
	ok = read_secrets(t, cfg, err) && choose_tables(cfg, err);
	o.answer.token = t->token;
	o.answer.basic = t->basic;
	seen_slot(cfg->source_slot, "");
	ok = ok && serve_start(&o, &t->serve, err);
	if (!ok)
		telling_stop(t);
	else if (role == ROLE_RUN && cfg->http_listen[0] && cfg->target_conninfo[0])
		t->target = target_watch_start(cfg);
	return ok;
}

static void
forget(char **secret)
{
	if (*secret)
		wipe(*secret, strlen(*secret));
	free(*secret);
	*secret = NULL;
}

void
telling_stop(Telling *t)
{
	target_watch_stop(t->target);
	t->target = NULL;
	serve_stop(t->serve);
	t->serve = NULL;
	forget(&t->token);
	forget(&t->basic);
}
