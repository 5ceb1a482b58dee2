/*-------------------------------------------------------------------------
 * cmd_config.c
 *	  cdc-s3 config: the settings in force, and where each comes from.
 *
 * Layer: cmd.
 *-------------------------------------------------------------------------
 */
#include "cmd/args.h"
#include "cmd/cmd.h"
#include "cmd/config_show.h"

#define OUTPUT_MAX ((size_t) 16 << 20)

bool
cmd_config(const Config *cfg, int argc, char **argv, Err *err)
{
	bool json = false;
	const ArgDef defs[] = { { "--json", NULL, &json } };
	const ArgSpec spec = { "config", defs, 1, NULL, 0 };
	Buf out;
	bool ok;

	if (!args_parse(&spec, argc, argv, NULL, err))
		return false;
	buf_init(&out, OUTPUT_MAX);
	if (json)
		config_add_json(cfg, &out);
	else
		config_add_text(cfg, &out);
	ok = cli_write(buf_slice(&out), err);
	buf_done(&out);
	return ok;
}
