/*-------------------------------------------------------------------------
 * places.h
 *	  Places of rows, (commit LSN, ordinal), in few bytes, and whether one of
 *	  them is in two lists.
 *
 * A list ascends.  A row takes two bytes or three, so that those of a large
 * transaction fit into memory.
 * Layer: codec.
 *-------------------------------------------------------------------------
 */
#ifndef PLACES_H
#define PLACES_H

#include "base/buf.h"
#include "base/lsn.h"

typedef struct Place
{
	Lsn lsn;
	int64_t seq;
} Place;

typedef struct Places
{
	Buf bytes;
	Place last;
} Places;

typedef struct PlacesReader
{
	Slice rest;
	Place at;
} PlacesReader;

int place_compare(Place a, Place b);

void places_init(Places *p);
void places_done(Places *p);
void places_add(Places *p, Place at); /* behind the last one */

void places_read(const Places *p, PlacesReader *out);
bool places_next(PlacesReader *r); /* into r->at; false: there is none */

/* The first place that is in two of the lists, and in which. */
bool places_twice(const Places *const *lists, int n, Place *out, int *out_a,
				  int *out_b);

#endif
