/* SPDX-License-Identifier: MIT */

/* DATAGRAM frames (RFC 9221): a short queue, whose newest is dropped when it is full. */

#include <stdlib.h>
#include <string.h>

#include "quic/connection.h"

void tow__quic_datagram_pop(struct tow_quic_conn *conn)
{
	struct tow__quic_datagram *datagram = conn->datagrams;

	conn->datagrams = datagram->next;
	if (!conn->datagrams)
		conn->datagrams_end = &conn->datagrams;
	conn->datagram_count--;
	conn->datagram_bytes -= datagram->len;
	free(datagram);
}

size_t tow_quic_datagram_max(const struct tow_quic_conn *conn)
{
	const ngtcp2_transport_params *remote;
	size_t path, overhead;

	if (conn->state != TOW__QUIC_UP)
		return 0;
	remote = ngtcp2_conn_get_remote_transport_params2(conn->quic);
	if (!remote || remote->max_datagram_frame_size < 8)
		return 0;
	path = ngtcp2_conn_get_path_max_tx_udp_payload_size2(conn->quic);
	/* short header with connection id and packet number, tag, frame type and length */
	overhead = 1 + ngtcp2_conn_get_dcid2(conn->quic)->datalen + 4 + 16 + 1 +
	           (path > 16383 ? 4 : 2);
	if (path - overhead + 5 > remote->max_datagram_frame_size)
		return (size_t)remote->max_datagram_frame_size - 5;
	return path - overhead;
}

int tow_quic_send_datagram(struct tow_quic_conn *conn, struct tow_slice prefix,
                           struct tow_slice payload)
{
	struct tow__quic_datagram *datagram;
	size_t len = prefix.len + payload.len;

	if (conn->state != TOW__QUIC_UP)
		return TOW_ECLOSED;
	if (len > tow_quic_datagram_max(conn))
		return TOW_ETOOBIG;
	if (conn->datagram_count >= TOW__QUIC_DATAGRAMS_MAX ||
	    conn->datagram_bytes + len > TOW__QUIC_DATAGRAM_BYTES_MAX)
		return TOW_BLOCKED;
	datagram = malloc(sizeof(*datagram) + len);
	if (!datagram)
		return TOW_BLOCKED;
	datagram->next = NULL;
	datagram->len = len;
	if (prefix.len)
		memcpy(datagram->bytes, prefix.base, prefix.len);
	if (payload.len)
		memcpy(datagram->bytes + prefix.len, payload.base, payload.len);
	*conn->datagrams_end = datagram;
	conn->datagrams_end = &datagram->next;
	conn->datagram_count++;
	conn->datagram_bytes += len;
	conn->host->wake(conn->owner);
	return 0;
}
