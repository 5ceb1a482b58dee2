/*-------------------------------------------------------------------------
 * secret_file.c
 *	  A file that holds nothing but a password or a key.
 *
 * Layer: store.
 *-------------------------------------------------------------------------
 */
#include "store/secret_file.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "codec/hash.h"
#include "io/fs.h"

#define FILE_MAX ((size_t) 4096)

static void
wipe_str(char **s)
{
	if (*s)
		wipe(*s, strlen(*s));
	free(*s);
	*s = NULL;
}

static void
wipe_buf(Buf *b)
{
	if (b->p)
		wipe(b->p, b->cap);
	buf_done(b);
}

/* Takes one line end off; false where it is empty or has a NUL in it. */
static bool
is_secret(char *s, size_t n)
{
	if (strlen(s) != n)
		return false;
	if (n > 0 && s[n - 1] == '\n')
		s[--n] = '\0';
	if (n > 0 && s[n - 1] == '\r')
		s[--n] = '\0';
	return n > 0;
}

bool
secret_read_file(const char *setting, const char *path, char **out, Err *err)
{
	Buf text;
	Err why = { 0 };
	char reason[64];
	bool ok;

	buf_init(&text, FILE_MAX);
	ok = fs_read(path, &text, &why);
	if (!ok && why.kind == ERR_LIMIT)
		(void) err_set(err, ERR_AUTH, 0,
					   "the file that %s names has more than %zu bytes",
					   setting, FILE_MAX);
	else if (!ok)
		(void) err_set(err, ERR_AUTH, why.code,
					   "could not read the file that %s names: %s", setting,
					   err_errno(why.code, reason, sizeof(reason)));
	else
	{
		char *s = xstrdup(buf_cstr(&text));

		ok = is_secret(s, text.n);
		if (ok)
			*out = s;
		else
		{
			wipe_str(&s);
			(void) err_set(err, ERR_AUTH, 0,
						   "the file that %s names is empty or no text",
						   setting);
		}
	}
	wipe_buf(&text);
	return ok;
}
