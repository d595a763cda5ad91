/* SPDX-License-Identifier: MIT */
#ifndef TOWONEL_TUNNEL_UDP_H
#define TOWONEL_TUNNEL_UDP_H

/*
 * A UDP socket with everything QUIC and the UDP services need: batches in both directions (recvmmsg
 * with UDP_GRO, sendmsg with UDP_SEGMENT), the local address each datagram came to and leaves from
 * (PKTINFO, also on hosts with many addresses), ECN bits, the don't-fragment bit for path MTU
 * discovery. What the kernel or a NIC refuses is given up without a word, for good or for the
 * packet.
 */

#include <towonel/tunnel/loop.h>
#include <towonel/wire/addr.h>
#include <towonel/wire/buf.h>

#ifdef __cplusplus
extern "C" {
#endif

struct tow_udp_socket;

struct tow_udp_packet {
	struct tow_slice bytes;  /* borrowed for the call */
	struct tow_addr remote;
	struct tow_addr local;   /* the address it came to, with the socket's port */
	uint8_t ecn;             /* two bits, RFC 3168 */
};

/* Packets in order of arrival, GRO already split. batch_end is called after each batch of system
 * calls, so that answers can be coalesced. */
struct tow_udp_events {
	void (*packet)(void *user, const struct tow_udp_packet *packet);
	void (*batch_end)(void *user);
	void (*writable)(void *user); /* after a send gave TOW_BLOCKED */
};

struct tow_udp_config {
	struct tow_addr bind;   /* port 0 picks a free one */
	int dual_stack;         /* IPv6 wildcard: IPv4 too */
	int reuse_port;
	int dont_fragment;      /* IP_PMTUDISC_PROBE: this socket does its own path MTU discovery */
	int receive_buffer;     /* SO_RCVBUF, bytes; 0 leaves the default */
	int send_buffer;
};

/* Returns 0; TOW_EADDRINUSE, TOW_EDENIED, TOW_EIO. */
int tow_udp_socket_new(struct tow_loop *loop, const struct tow_udp_config *config,
                       const struct tow_udp_events *events, void *user, struct tow_udp_socket **out,
                       struct tow_error *err);
void tow_udp_socket_free(struct tow_udp_socket *socket);
const struct tow_addr *tow_udp_socket_addr(const struct tow_udp_socket *socket);
int tow_udp_socket_fd(const struct tow_udp_socket *socket);

/* Sends len bytes as datagrams of segment bytes each, the last one may be shorter (at most 64
 * segments; one datagram when segment is 0 or >= len). local with family 0 lets the kernel choose.
 * Returns 0 when the kernel took all; TOW_BLOCKED with *sent the bytes that it took (whole
 * segments); TOW_ETOOBIG when the path does not take that size (EMSGSIZE); TOW_EIO. Other errors of
 * the path are swallowed, as loss is. */
int tow_udp_send(struct tow_udp_socket *socket, const struct tow_addr *remote,
                 const struct tow_addr *local, uint8_t ecn, const uint8_t *bytes, size_t len,
                 size_t segment, size_t *sent);

#ifdef __cplusplus
}
#endif
#endif
