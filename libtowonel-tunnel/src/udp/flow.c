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

/* How many bytes the frame at the start of partial lacks; its length first. */
static size_t missing(const struct tow_buf *partial)
{
	struct tow_slice have = tow_buf_peek(partial);
	size_t size = TOW_UDP_FRAME_HEADER_SIZE;

	if (have.len >= size)
		size += (size_t)have.base[0] << 8 | have.base[1];
	return size - have.len;
}

/* Completes the frame of which the beginning came earlier. Returns 1 when it is whole, 0 when bytes
 * has been used up, TOW_ENOMEM. */
static int complete(struct tow_buf *partial, struct tow_slice *bytes)
{
	size_t lacks;

	while ((lacks = missing(partial)) > 0 && bytes->len > 0) {
		size_t n = lacks < bytes->len ? lacks : bytes->len;
		if (tow_buf_append(partial, bytes->base, n) != 0)
			return TOW_ENOMEM;
		*bytes = tow_slice_make(bytes->base + n, bytes->len - n);
	}
	return lacks == 0;
}

int tow_udp_flow_read(struct tow_udp_flow *flow, struct tow_slice bytes,
                      void (*datagram)(void *user, struct tow_slice payload), void *user)
{
	struct tow_slice payload;
	size_t len;
	int rc;

	if (tow_buf_len(&flow->partial) > 0) {
		rc = complete(&flow->partial, &bytes);
		if (rc <= 0)
			return rc;
		tow_udp_frame_read(tow_buf_peek(&flow->partial), &payload, &len);
		datagram(user, payload);
		tow_buf_deinit(&flow->partial);
	}
	while (tow_udp_frame_read(bytes, &payload, &len) == 0) {
		datagram(user, payload);
		bytes = tow_slice_make(bytes.base + len, bytes.len - len);
	}
	return bytes.len > 0 ? tow_buf_append(&flow->partial, bytes.base, bytes.len) : 0;
}

void tow_udp_flow_deinit(struct tow_udp_flow *flow)
{
	tow_buf_deinit(&flow->partial);
}
