/*-------------------------------------------------------------------------
 * lifecycle.h
 *	  The lifecycle rules of a bucket, as S3 tells them: which of them take
 *	  objects away, or to where they cannot be read at once.
 *
 * Rules of old versions and of parts of uploads take nothing away that counts,
 * and are not told.  Layer: codec.
 *-------------------------------------------------------------------------
 */
#ifndef LIFECYCLE_H
#define LIFECYCLE_H

#include <stdint.h>

#include "base/buf.h"

typedef struct LifecycleRule
{
	char id[128];
	char prefix[1024]; /* of whole keys; "" for all */
	bool tagged;       /* only of objects with certain tags */
	bool archives;     /* else it expires */
	int64_t days;      /* age of an object; 0: a fixed day */
} LifecycleRule;

/* Each enabled rule that takes objects away. */
typedef void (*LifecycleFn)(const LifecycleRule *r, void *arg);

/* False where it is no configuration, or one with what is not understood. */
bool lifecycle_read(Slice xml, LifecycleFn fn, void *arg);

typedef enum LifecycleTouch
{
	LIFECYCLE_NOTHING,
	LIFECYCLE_DATA,
	LIFECYCLE_LOG /* what lies in _cdc/ */
} LifecycleTouch;

/* What the rule touches of the lake below this prefix of keys ("" or "cdc"). */
LifecycleTouch lifecycle_touches(const LifecycleRule *r, const char *lake);

#endif
