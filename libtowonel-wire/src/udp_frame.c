/* SPDX-License-Identifier: MIT */

/*
 *   on a session's stream            as a QUIC DATAGRAM frame
 *   +--------+-----------+           +--------------------+-----------+
 *   | u16 n  | n bytes   |           | varint stream id/4 | the rest  |
 *   +--------+-----------+           +--------------------+-----------+
 *
 * A session's stream is opened by the edge, which is the QUIC server, and is bidirectional: the
 * two low bits of its id are 01 (RFC 9000 section 2.1). They say nothing, so the datagram leaves
 * them out, and the first 64 sessions of a connection cost one byte.
 */

#include <towonel/wire/udp_frame.h>

#include <towonel/wire/cursor.h>

#define STREAM_TYPE_MASK 3u
#define STREAM_SERVER_BIDI 1u
#define VARINT_LIMIT (UINT64_C(1) << 62)

int tow_udp_frame_append(struct tow_buf *buf, struct tow_slice payload)
{
	struct tow_writer w;
	uint8_t *at;

	if (payload.len > TOW_DATAGRAM_MAX)
		return TOW_ETOOBIG;
	at = tow_buf_reserve(buf, TOW_UDP_FRAME_HEADER_SIZE + payload.len);
	if (!at)
		return TOW_ENOMEM;
	w = tow_writer_of(at, TOW_UDP_FRAME_HEADER_SIZE + payload.len);
	tow_write_u16(&w, (uint16_t)payload.len);
	tow_write_bytes(&w, payload.base, payload.len);
	tow_buf_commit(buf, w.len);
	return 0;
}

int tow_udp_frame_read(struct tow_slice bytes, struct tow_slice *payload, size_t *len)
{
	struct tow_reader r = tow_reader_of(bytes);
	struct tow_slice content = tow_read_bytes(&r, tow_read_u16(&r));

	if (tow_reader_failed(&r))
		return TOW_MORE;
	*payload = content;
	*len = TOW_UDP_FRAME_HEADER_SIZE + content.len;
	return 0;
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

int tow_udp_frames_read(struct tow_buf *partial, struct tow_slice bytes,
                        void (*payload)(void *user, struct tow_slice payload), void *user)
{
	struct tow_slice content;
	size_t len;
	int rc;

	if (tow_buf_len(partial) > 0) {
		rc = complete(partial, &bytes);
		if (rc <= 0)
			return rc;
		tow_udp_frame_read(tow_buf_peek(partial), &content, &len);
		payload(user, content);
		tow_buf_deinit(partial);
	}
	while (tow_udp_frame_read(bytes, &content, &len) == 0) {
		payload(user, content);
		bytes = tow_slice_make(bytes.base + len, bytes.len - len);
	}
	return bytes.len > 0 ? tow_buf_append(partial, bytes.base, bytes.len) : 0;
}

int tow_varint_write(uint64_t value, uint8_t *out, size_t cap)
{
	struct tow_writer w = tow_writer_of(out, cap);

	if (value < 1u << 6)
		tow_write_uint(&w, value, 1);
	else if (value < 1u << 14)
		tow_write_uint(&w, value | UINT64_C(1) << 14, 2);
	else if (value < 1u << 30)
		tow_write_uint(&w, value | UINT64_C(2) << 30, 4);
	else if (value < VARINT_LIMIT)
		tow_write_uint(&w, value | UINT64_C(3) << 62, 8);
	else
		return TOW_ETOOBIG;
	return tow_writer_failed(&w) ? TOW_ETOOBIG : (int)w.len;
}

int tow_varint_read(struct tow_slice bytes, uint64_t *value)
{
	struct tow_reader r = tow_reader_of(bytes);
	uint64_t read;
	size_t width;

	if (bytes.len == 0)
		return TOW_EPARSE;
	width = (size_t)1 << (bytes.base[0] >> 6);
	read = tow_read_uint(&r, width);
	if (tow_reader_failed(&r))
		return TOW_EPARSE;
	*value = read & (((uint64_t)1 << (8 * width - 2)) - 1);
	return (int)width;
}

int tow_udp_datagram_read(struct tow_slice bytes, uint64_t *stream_id, struct tow_slice *payload)
{
	uint64_t quarter;
	int width = tow_varint_read(bytes, &quarter);

	if (width < 0)
		return width;
	if (quarter >= VARINT_LIMIT / 4) /* no stream has such an id */
		return TOW_EPARSE;
	*stream_id = quarter << 2 | STREAM_SERVER_BIDI;
	*payload = tow_slice_make(bytes.base + width, bytes.len - (size_t)width);
	return 0;
}

int tow_udp_datagram_prefix(uint64_t stream_id, uint8_t *out, size_t cap)
{
	if ((stream_id & STREAM_TYPE_MASK) != STREAM_SERVER_BIDI || stream_id >= VARINT_LIMIT)
		return TOW_EINVAL;
	return tow_varint_write(stream_id >> 2, out, cap);
}
