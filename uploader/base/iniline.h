/*-------------------------------------------------------------------------
 * iniline.h
 *	  The lines of files that have sections and settings: our configuration,
 *	  and the shared files of the AWS tools.
 *
 * A line is blank, a comment that begins with '#' or ';', a "[section]", or
 * "name = value".  What stands behind a value is part of it: the files differ
 * in what ends one.  Blanks at both ends of a line, a name and a value go;
 * lines may be of any length and end in LF or CRLF.
 * Layer: base.
 *-------------------------------------------------------------------------
 */
#ifndef INILINE_H
#define INILINE_H

#include "base/buf.h"

typedef enum IniKind
{
	INI_EMPTY, /* blank, or a comment */
	INI_SECTION,
	INI_SETTING,
	INI_NEITHER
} IniKind;

/* All slices are part of the text. */
typedef struct IniLine
{
	IniKind kind;
	int number;    /* of the line, from 1 */
	bool indented; /* it begins with a blank and is no blank one */
	Slice text;    /* the line without blanks at both ends */
	Slice name;    /* of a setting; may be empty */
	Slice value;   /* likewise */
} IniLine;

/* Begins as { text }. */
typedef struct IniReader
{
	Slice rest;
	int number; /* of lines that were read */
} IniReader;

/* Passes over a byte order mark at the text's begin.  False at its end. */
bool ini_next(IniReader *r, IniLine *out);

/* s without blanks at both ends. */
Slice ini_trim(Slice s);

#endif
