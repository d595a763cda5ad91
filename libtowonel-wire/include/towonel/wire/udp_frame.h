/* SPDX-License-Identifier: MIT */
#ifndef TOWONEL_WIRE_UDP_FRAME_H
#define TOWONEL_WIRE_UDP_FRAME_H

/*
 * Datagrams in the tunnel. On a session's stream: u16 length, payload. As a QUIC DATAGRAM frame
 * (RFC 9221): the session's stream id / 4 as a variable-length integer (RFC 9000 section 16),
 * payload.
 */

#include "buf.h"
#include "error.h"
#include "limits.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TOW_UDP_FRAME_HEADER_SIZE 2
#define TOW_VARINT_MAX_SIZE 8

/* Appends one frame. payload.len <= TOW_DATAGRAM_MAX. Returns 0, TOW_ENOMEM, TOW_ETOOBIG. */
int tow_udp_frame_append(struct tow_buf *buf, struct tow_slice payload);
/* The frame at the start of bytes: payload borrowed, *len the frame's whole length. Returns 0,
 * TOW_MORE. */
int tow_udp_frame_read(struct tow_slice bytes, struct tow_slice *payload, size_t *len);

/* Frames as a stream brings them, in any pieces: hands over each payload that is whole, and keeps
 * the beginning of the next in partial, which has to outlive the call. Returns 0, TOW_ENOMEM. */
int tow_udp_frames_read(struct tow_buf *partial, struct tow_slice bytes,
                        void (*payload)(void *user, struct tow_slice payload), void *user);

/* Returns the bytes written (1, 2, 4, 8), or TOW_ETOOBIG for a value of 2^62 or more,
 * or no room. */
int tow_varint_write(uint64_t value, uint8_t *out, size_t cap);
/* Returns the bytes read, or TOW_EPARSE when they are not all there. */
int tow_varint_read(struct tow_slice bytes, uint64_t *value);

/* Splits a DATAGRAM frame's content. Returns 0, TOW_EPARSE. */
int tow_udp_datagram_read(struct tow_slice bytes, uint64_t *stream_id, struct tow_slice *payload);
/* Writes the prefix; returns its length or TOW_ETOOBIG, TOW_EINVAL (not a session's stream id). */
int tow_udp_datagram_prefix(uint64_t stream_id, uint8_t *out, size_t cap);

#ifdef __cplusplus
}
#endif
#endif
