/* SPDX-License-Identifier: MIT */

/*
 * DATAGRAM frames (RFC 9221), each of one stream. A stream's wait in a queue of its own, so that
 * one that floods loses its own frames only. When a queue is full the newest is dropped: the sender
 * gets to know, and what waits is not yet old. All queues together hold what the path carries in a
 * moment, and each an equal share of it, as more would only be late.
 */

#include <stdlib.h>
#include <string.h>

#include <utlist.h>

#include <towonel/wire/limits.h>
#include <towonel/wire/udp_frame.h>

#include "quic/connection.h"

/* What a frame takes beside its bytes: many small ones are not to be cheap. */
static size_t cost(const struct tow__quic_datagram *datagram)
{
	return sizeof(*datagram) + datagram->len;
}

static void append(struct tow_quic_stream *stream, struct tow__quic_datagram *datagram)
{
	struct tow_quic_conn *conn = stream->conn;

	if (!stream->datagrams) {
		stream->datagrams_end = &stream->datagrams;
		DL_APPEND2(conn->datagram_streams, stream, datagram_prev, datagram_next);
		conn->datagram_stream_count++;
	}
	datagram->next = NULL;
	*stream->datagrams_end = datagram;
	stream->datagrams_end = &datagram->next;
	stream->datagram_bytes += cost(datagram);
	conn->datagram_bytes += cost(datagram);
}

static void pop(struct tow_quic_stream *stream)
{
	struct tow_quic_conn *conn = stream->conn;
	struct tow__quic_datagram *datagram = stream->datagrams;

	stream->datagrams = datagram->next;
	stream->datagram_bytes -= cost(datagram);
	conn->datagram_bytes -= cost(datagram);
	free(datagram);
	if (stream->datagrams)
		return;
	DL_DELETE2(conn->datagram_streams, stream, datagram_prev, datagram_next);
	conn->datagram_stream_count--;
}

/* The others' turn. */
static void rotate(struct tow_quic_conn *conn, struct tow_quic_stream *stream)
{
	if (!stream->datagrams || !stream->datagram_next)
		return;
	DL_DELETE2(conn->datagram_streams, stream, datagram_prev, datagram_next);
	DL_APPEND2(conn->datagram_streams, stream, datagram_prev, datagram_next);
}

void tow__quic_datagrams_drop(struct tow_quic_stream *stream)
{
	while (stream->datagrams)
		pop(stream);
}

void tow__quic_datagram_count(struct tow_quic_conn *conn, enum tow__quic_datagram_loss loss)
{
	if (conn->host->datagram_losses[loss])
		tow_metric_inc(conn->host->datagram_losses[loss]);
}

void tow__quic_datagrams_measure(struct tow_quic_conn *conn)
{
	ngtcp2_conn_info info;
	uint64_t room;

	if (conn->state != TOW__QUIC_UP)
		return;
	ngtcp2_conn_get_conn_info2(conn->quic, &info);
	if (info.smoothed_rtt == 0 || info.cwnd > TOW_DATAGRAM_QUEUES_MAX)
		room = TOW_DATAGRAM_QUEUES_MAX;
	else
		room = info.cwnd * (TOW_DATAGRAM_QUEUE_MS * TOW_NSEC_PER_MSEC) / info.smoothed_rtt;
	if (room < TOW_DATAGRAM_QUEUES_MIN)
		room = TOW_DATAGRAM_QUEUES_MIN;
	conn->datagram_room =
		room < TOW_DATAGRAM_QUEUES_MAX ? (size_t)room : TOW_DATAGRAM_QUEUES_MAX;
}

/* The largest content of a frame. */
static size_t content_max(const struct tow_quic_conn *conn)
{
	const ngtcp2_transport_params *remote;
	size_t path, overhead;

	if (conn->state != TOW__QUIC_UP)
		return 0;
	remote = ngtcp2_conn_get_remote_transport_params2(conn->quic);
	if (!remote || remote->max_datagram_frame_size < 16)
		return 0;
	path = tow__quic_packet_max(conn);
	/* short header with connection id and packet number, tag, frame type and length */
	overhead = 1 + ngtcp2_conn_get_dcid2(conn->quic)->datalen + 4 + 16 + 1 +
	           (path > 16383 ? 4 : 2);
	if (path - overhead + 5 > remote->max_datagram_frame_size)
		return (size_t)remote->max_datagram_frame_size - 5;
	return path - overhead;
}

size_t tow_quic_stream_datagram_max(const struct tow_quic_stream *stream)
{
	uint8_t prefix[TOW_VARINT_MAX_SIZE];
	size_t max = content_max(stream->conn);
	int len = tow_udp_datagram_prefix((uint64_t)stream->id, prefix, sizeof(prefix));

	return len < 0 || max < (size_t)len ? 0 : max - (size_t)len;
}

static int has_room(const struct tow_quic_stream *stream, size_t len)
{
	const struct tow_quic_conn *conn = stream->conn;
	size_t sharing = conn->datagram_stream_count + !stream->datagrams;

	if (conn->datagram_bytes + len > 2 * TOW_DATAGRAM_QUEUES_MAX)
		return 0;
	return !stream->datagrams || stream->datagram_bytes + len <= conn->datagram_room / sharing;
}

int tow_quic_stream_send_datagram(struct tow_quic_stream *stream, struct tow_slice payload)
{
	struct tow_quic_conn *conn = stream->conn;
	struct tow__quic_datagram *datagram;
	uint8_t prefix[TOW_VARINT_MAX_SIZE];
	int prefix_len;
	size_t len;

	if (conn->state != TOW__QUIC_UP || stream->sending_ended || stream->gone)
		return TOW_ECLOSED;
	prefix_len = tow_udp_datagram_prefix((uint64_t)stream->id, prefix, sizeof(prefix));
	if (prefix_len < 0)
		return TOW_EINVAL;
	len = (size_t)prefix_len + payload.len;
	if (len > content_max(conn))
		return TOW_ETOOBIG;
	if (!has_room(stream, sizeof(*datagram) + len))
		return TOW_BLOCKED;
	datagram = malloc(sizeof(*datagram) + len);
	if (!datagram)
		return TOW_BLOCKED;
	datagram->len = len;
	memcpy(datagram->bytes, prefix, (size_t)prefix_len);
	if (payload.len)
		memcpy(datagram->bytes + prefix_len, payload.base, payload.len);
	append(stream, datagram);
	conn->host->wake(conn->owner);
	return 0;
}

ngtcp2_ssize tow__quic_write_datagrams(struct tow_quic_conn *conn, ngtcp2_path *path,
                                       ngtcp2_pkt_info *info, uint8_t *dest, size_t cap,
                                       ngtcp2_tstamp now_ns)
{
	struct tow_quic_stream *stream;
	ngtcp2_ssize n;
	ngtcp2_vec vec;
	int accepted;

	while ((stream = conn->datagram_streams) != NULL) {
		/* Queued before the path shrank, it would never fit, and hold up everything behind
		 * it. */
		if (stream->datagrams->len > content_max(conn)) {
			tow__quic_datagram_count(conn, TOW__QUIC_DATAGRAM_LARGE);
			pop(stream);
			continue;
		}
		accepted = 0;
		vec.base = stream->datagrams->bytes;
		vec.len = stream->datagrams->len;
		n = ngtcp2_conn_writev_datagram(conn->quic, path, info, dest, cap, &accepted,
		                                NGTCP2_WRITE_DATAGRAM_FLAG_MORE, vec.len, &vec, 1,
		                                now_ns);
		if (accepted)
			tow__quic_narrow_frame_sent(conn, vec.len);
		if (accepted || n == NGTCP2_ERR_INVALID_ARGUMENT || n == NGTCP2_ERR_INVALID_STATE) {
			pop(stream);
			rotate(conn, stream);
		}
		if (n == NGTCP2_ERR_WRITE_MORE || n == NGTCP2_ERR_INVALID_ARGUMENT ||
		    n == NGTCP2_ERR_INVALID_STATE)
			continue;
		return n;
	}
	return NGTCP2_ERR_WRITE_MORE;
}
