/* SPDX-License-Identifier: MIT */
#ifndef TOWONEL_TUNNEL_UDP_FLOW_H
#define TOWONEL_TUNNEL_UDP_FLOW_H

/*
 * The datagrams of a UDP session in the tunnel, for the edge and the agent alike. One that fits
 * goes as a DATAGRAM frame of the session's stream: it is sent once, and waits for nobody. A larger
 * one is framed on the stream itself (see udp_frame.h), whole and in order among its like.
 */

#include <towonel/tunnel/quic.h>
#include <towonel/wire/buf.h>

#ifdef __cplusplus
extern "C" {
#endif

/* All-zero but for the stream. */
struct tow_udp_flow {
	struct tow_quic_stream *stream; /* the owner's */
	struct tow_buf partial;         /* of a frame */
};

/* Returns 0; TOW_BLOCKED when too much of the session's waits already (it is dropped); TOW_ETOOBIG
 * for more than TOW_DATAGRAM_MAX; TOW_ECLOSED, TOW_ENOMEM: the stream is of no more use. */
int tow_udp_flow_send(struct tow_udp_flow *flow, struct tow_slice payload);

/* Takes what the stream brought, and hands over each datagram that is whole; the flow has to
 * outlive the call. Returns 0, TOW_ENOMEM. */
int tow_udp_flow_read(struct tow_udp_flow *flow, struct tow_slice bytes,
                      void (*datagram)(void *user, struct tow_slice payload), void *user);

void tow_udp_flow_deinit(struct tow_udp_flow *flow); /* the stream stays the owner's */

#ifdef __cplusplus
}
#endif
#endif
