/* SPDX-License-Identifier: MIT */
#include <towonel/tunnel/udp_flow.h>

#include <towonel/wire/limits.h>
#include <towonel/wire/udp_frame.h>

static int send_framed(struct tow_quic_stream *stream, struct tow_slice payload)
{
	size_t size = TOW_UDP_FRAME_HEADER_SIZE + payload.len;
	const uint8_t header[TOW_UDP_FRAME_HEADER_SIZE] = { (uint8_t)(payload.len >> 8),
		                                            (uint8_t)payload.len };
	int rc;

	if (payload.len > TOW_DATAGRAM_MAX)
		return TOW_ETOOBIG;
	if (tow_quic_stream_unsent(stream) + size > TOW_UDP_STREAM_QUEUE_MAX)
		return TOW_BLOCKED;
	rc = tow_quic_stream_write(stream, tow_slice_make(header, sizeof header));
	return rc != 0 ? rc : tow_quic_stream_write(stream, payload);
}

int tow_udp_flow_send(struct tow_udp_flow *flow, struct tow_slice payload)
{
	int rc = tow_quic_stream_send_datagram(flow->stream, payload);

	return rc == TOW_ETOOBIG ? send_framed(flow->stream, payload) : rc;
}

int tow_udp_flow_read(struct tow_udp_flow *flow, struct tow_slice bytes,
                      void (*datagram)(void *user, struct tow_slice payload), void *user)
{
	return tow_udp_frames_read(&flow->partial, bytes, datagram, user);
}

void tow_udp_flow_deinit(struct tow_udp_flow *flow)
{
	tow_buf_deinit(&flow->partial);
}
