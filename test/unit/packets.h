/*-------------------------------------------------------------------------
 * packets.h
 *	  What the tests of codec/frame share: packets read to their end.
 *	  Behind cmocka.h and ../fuzz/frame_encode.h.
 *-------------------------------------------------------------------------
 */
#ifndef PACKETS_H
#define PACKETS_H

#include "codec/frame.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define MAX_FRAME (64 * 1024 * 1024)

/* The next event; false at the packet's end. */
static inline bool
next(FrameReader *r, FrameEvent *ev)
{
	bool end;
	Err err;

	if (!frame_next(r, ev, &end, &err))
		fail_msg("%s", err.msg);
	return !end;
}

static inline void
start(FrameReader *r, Slice packet)
{
	Err err;

	if (!frame_reader_packet(r, packet, &err))
		fail_msg("%s", err.msg);
}

/* Reads a packet to its end; false with err where it is refused. */
static inline bool
swallow(FrameReader *r, Slice packet, Err *err)
{
	FrameEvent ev;
	bool end = false;

	err_clear(err);
	if (!frame_reader_packet(r, packet, err))
		return false;
	while (!end)
	{
		if (!frame_next(r, &ev, &end, err))
			return false;
	}
	return true;
}

#endif /* PACKETS_H */
