/* SPDX-License-Identifier: MIT */

/*
 * A path that comes to take smaller packets than it did, and says nothing (RFC 8899 section 4.3):
 * another way to the peer, a tunnel in between. What is small gets through, so that the connection
 * looks alive, and what is large is lost each time it is sent again. ngtcp2 looks for larger sizes
 * only. So when the same bytes of a stream, or one DATAGRAM frame after the other, do not arrive
 * for a while, packets are as small as any path takes them, and after a while larger ones are tried
 * again. So they are after a move, which may lead to any path.
 */

#include "quic/connection.h"

#define LOOK_NS     (500 * TOW_NSEC_PER_MSEC)
#define STALL_NS    (1500 * TOW_NSEC_PER_MSEC)
#define STALL_RTTS  4
#define STALL_SENT  3  /* packets, meanwhile */
#define FRAMES_SENT 16 /* and none of them acknowledged */
#define FIRST_NS    (60 * TOW_NSEC_PER_SEC)
#define LAST_NS     (16 * 3600 * TOW_NSEC_PER_SEC)

static size_t of_path(const struct tow_quic_conn *conn)
{
	return ngtcp2_conn_get_path_max_tx_udp_payload_size2(conn->quic);
}

size_t tow__quic_packet_max(const struct tow_quic_conn *conn)
{
	return conn->narrow.until_ns ? NGTCP2_MAX_UDP_PAYLOAD_SIZE : of_path(conn);
}

size_t tow__quic_packet_room(const struct tow_quic_conn *conn, size_t cap)
{
	return conn->narrow.until_ns && cap > NGTCP2_MAX_UDP_PAYLOAD_SIZE
	               ? NGTCP2_MAX_UDP_PAYLOAD_SIZE
	               : cap;
}

static void keep_small(struct tow__quic_narrow *narrow, uint64_t until_ns)
{
	narrow->until_ns = until_ns;
	narrow->frames = narrow->frames_since_ns = 0;
}

void tow__quic_narrow_moved(struct tow_quic_conn *conn, uint64_t now_ns)
{
	conn->narrow.moved = 0;
	keep_small(&conn->narrow, now_ns + FIRST_NS);
}

static void begin(struct tow_quic_conn *conn, uint64_t now_ns)
{
	struct tow__quic_narrow *narrow = &conn->narrow;

	if (of_path(conn) <= NGTCP2_MAX_UDP_PAYLOAD_SIZE)
		return;
	tow_log_info(conn->host->config.log, "the path takes smaller packets than it did",
	             tow_f_addr("peer", tow_quic_conn_remote(conn)),
	             tow_f_uint("bytes", of_path(conn)));
	narrow->for_ns = narrow->for_ns == 0            ? FIRST_NS
	                 : narrow->for_ns < LAST_NS / 2 ? narrow->for_ns * 2
	                                                : LAST_NS;
	keep_small(narrow, now_ns + narrow->for_ns);
}

/* Has the stream made no way since a while, though its bytes were sent again? */
static int is_stalled(struct tow_quic_stream *stream, const ngtcp2_conn_info *info, uint64_t now_ns)
{
	uint64_t patience_ns = STALL_RTTS * info->smoothed_rtt;
	struct tow__quic_stall *stall = &stream->stall;

	/* Less than a packet's worth is small itself, and only waits behind others. */
	if (stream->queue.sent < stream->acked + NGTCP2_MAX_UDP_PAYLOAD_SIZE ||
	    stream->acked != stall->at || !stall->since_ns) {
		stall->at = stream->acked;
		stall->since_ns = now_ns;
		stall->sent = info->pkt_sent;
		return 0;
	}
	return now_ns - stall->since_ns >= (patience_ns > STALL_NS ? patience_ns : STALL_NS) &&
	       info->pkt_sent - stall->sent >= STALL_SENT;
}

/* Is no large frame acknowledged since a while, though the peer is heard? */
static int frames_vanish(struct tow__quic_narrow *narrow, const ngtcp2_conn_info *info,
                         uint64_t now_ns)
{
	if (narrow->frames == 0)
		return 0;
	if (!narrow->frames_since_ns) {
		narrow->frames_since_ns = now_ns;
		narrow->frames_received = info->pkt_recv;
	}
	return narrow->frames >= FRAMES_SENT && now_ns - narrow->frames_since_ns >= STALL_NS &&
	       info->pkt_recv > narrow->frames_received;
}

void tow__quic_narrow_look(struct tow_quic_conn *conn, uint64_t now_ns)
{
	struct tow__quic_narrow *narrow = &conn->narrow;
	struct tow_quic_stream *stream;
	ngtcp2_conn_info info;

	if (conn->state != TOW__QUIC_UP || now_ns < narrow->look_ns)
		return;
	narrow->look_ns = now_ns + LOOK_NS;
	if (narrow->until_ns) {
		if (now_ns >= narrow->until_ns)
			narrow->until_ns = 0;
		return;
	}
	ngtcp2_conn_get_conn_info2(conn->quic, &info);
	for (stream = conn->streams; stream && !narrow->until_ns; stream = stream->next)
		if (is_stalled(stream, &info, now_ns))
			begin(conn, now_ns);
	if (frames_vanish(narrow, &info, now_ns))
		begin(conn, now_ns);
}

void tow__quic_narrow_frame_sent(struct tow_quic_conn *conn, size_t size)
{
	conn->narrow.frames += size >= NGTCP2_MAX_UDP_PAYLOAD_SIZE; /* what is less fits any path */
}

void tow__quic_narrow_frame_acked(struct tow_quic_conn *conn, size_t size)
{
	if (size >= NGTCP2_MAX_UDP_PAYLOAD_SIZE)
		conn->narrow.frames = conn->narrow.frames_since_ns = 0;
}
