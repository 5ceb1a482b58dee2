/*-------------------------------------------------------------------------
 * text.c
 *	  Frames as lines for people.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "cdc_s3.h"

void
cdc_s3_text_frame(CdcS3State *st, const char *frame, Size len)
{
}
