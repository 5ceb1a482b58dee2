/*-------------------------------------------------------------------------
 * mem.h
 *	  Memory from the heap.  There is no failure: when the machine has none
 *	  left the process aborts, which is a correct transition, since only
 *	  what is durable was confirmed.  Sizes that come from input are checked
 *	  by the caller against a limit before they come here.
 *
 * Threads: any.  Layer: base.
 *-------------------------------------------------------------------------
 */
#ifndef MEM_H
#define MEM_H

#include <stddef.h>

void *xmalloc(size_t size);
void *xcalloc(size_t n, size_t size);
void *xrealloc(void *p, size_t size);
char *xstrdup(const char *s);
char *xstrndup(const char *s, size_t n);
char *xasprintf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
