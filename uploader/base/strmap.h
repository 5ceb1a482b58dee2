/*-------------------------------------------------------------------------
 * strmap.h
 *	  A map from strings to small numbers.
 *
 * Keys are copied.  Nothing is ever taken out; a number may be replaced.
 * Threads: one at a time.  Layer: base.
 *-------------------------------------------------------------------------
 */
#ifndef STRMAP_H
#define STRMAP_H

#define STRMAP_NONE (-1)

typedef struct StrMapItem
{
	char *key; /* NULL: free */
	int value;
} StrMapItem;

/* All zero is an empty one. */
typedef struct StrMap
{
	int n;
	int cap; /* a power of two, or 0 */
	StrMapItem *items;
} StrMap;

/* STRMAP_NONE where there is no such key. */
int strmap_get(const StrMap *m, const char *key);
void strmap_put(StrMap *m, const char *key, int value);
void strmap_done(StrMap *m);

#endif
