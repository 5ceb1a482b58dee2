/*-------------------------------------------------------------------------
 * main.c
 *	  The process: what must be set before the first thread and socket.
 *
 * Layer: main.
 *-------------------------------------------------------------------------
 */
#include <curl/curl.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "io/aside.h"

int
main(int argc, char **argv)
{
	int code;

	/* a peer that closes is an error of the write, not our end */
	(void) signal(SIGPIPE, SIG_IGN);
	/* a wish that comes before run can grant it must not end the process */
	(void) signal(SIGUSR1, SIG_IGN);
	(void) signal(SIGHUP, SIG_IGN);
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
	{
		(void) fputs("cdc-s3: could not initialise libcurl\n", stderr);
		return 1;
	}
	code = cli_main(argc, argv);
	if (aside_left())
	{
		(void) fflush(NULL);
		_exit(code);
	}
	curl_global_cleanup();
	return code;
}
