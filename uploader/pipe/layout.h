/*-------------------------------------------------------------------------
 * layout.h
 *	  Where objects lie and in which format, by the time of their changes.
 *
 *	  ──────── json, {…}/hour={hh} ────────┬──── csv, {…}/day={dd} ──── time
 *								  until = start: a partition ends
 *
 * What settings say of it takes effect with a partition: rows of a time before
 * go on as the last entry says, and so do rows of a later partition that
 * has some already (clocks differ, and commit times may lie).  So no folder
 * holds two formats, and all that a session has to know stands in the last
 * entry: its list of layouts, the last of them in force.
 *
 * Invariants:
 *	(1) Layouts follow one another in time, without gaps.
 *	(2) A partition is of the first layout that lists it, or else of the one
 *		whose time it begins in.
 *	(3) Where the zone changes, a folder of the new one may have the name that
 *		one of the old has; rows then go to the first that has not ("from").
 *
 * Threads: fixed when the session starts, but for what Pipe.lock guards.
 * Layer: pipe.
 *-------------------------------------------------------------------------
 */
#ifndef LAYOUT_H
#define LAYOUT_H

#include "codec/entry.h"
#include "codec/format.h"
#include "codec/path.h"

typedef struct Layout
{
	EntryLayout said;  /* owned */
	EntryLayout added; /* owned: partitions of this session; under Pipe.lock */
	Path *path;        /* owned */
	const Format *format;
	Compression compression;
} Layout;

typedef struct Layouts
{
	int n;
	Layout items[ENTRY_LAYOUTS_MAX];
} Layouts;

/* What became of a wish for another layout. */
typedef enum LayoutChange
{
	LAYOUT_SAME,
	LAYOUT_NEW,  /* the last one is new, and has a start */
	LAYOUT_NEVER /* it does not take effect: the folders never end */
} LayoutChange;

/*
 * Those of the last entry, and behind them what is wanted, if that is another
 * one.  ERR_USAGE: a zone is not known any more, or there were too many
 * changes within partitions that are not complete.
 */
bool layouts_open(Layouts *l, const Entry *last, const EntryLayout *wanted,
				  int64_t now_us, LayoutChange *out, Err *err) MUST_CHECK;

/* The same of any output. */
typedef struct LayoutsSaid
{
	const EntryLayout *all;
	int n;
	int64_t closed_until; /* of that entry */
} LayoutsSaid;

bool layouts_go_on(Layouts *l, const LayoutsSaid *said,
				   const EntryLayout *wanted, int64_t now_us, LayoutChange *out,
				   Err *err) MUST_CHECK;

void layouts_done(Layouts *l);

/* Can it still get rows? */
bool layout_is_open(const Layout *l, int64_t closed_until);

/* For a table's writer; less raw_text and compression. */
void layout_options(const Layout *l, FormatOptions *options);

/*
 * The folder of a row of that time: an instant in it, the same one for all
 * its rows; and the layout that has such a folder.
 */
int64_t layouts_folder(const Layouts *l, int64_t unix_us, int64_t closed_until);
int layouts_of_folder(const Layouts *l, int64_t folder);

/* Under Pipe.lock: the folder has rows. */
void layouts_use(Layouts *l, int64_t folder);

/*
 * Under Pipe.lock: to the entry, less what is complete, or complete and swept;
 * the same for an output, as an array that the caller owns.
 */
void layouts_to_entry(const Layouts *l, Entry *e);
EntryLayout *layouts_to_say(const Layouts *l, int64_t closed_until,
							int64_t swept_until, int *out_n);

#endif
