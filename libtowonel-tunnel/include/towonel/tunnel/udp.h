/* SPDX-License-Identifier: MIT */
#ifndef TOWONEL_TUNNEL_UDP_H
#define TOWONEL_TUNNEL_UDP_H

/*
 * A UDP socket with everything QUIC and the UDP services need: batches in both directions (recvmmsg
 * with UDP_GRO, sendmsg with UDP_SEGMENT), the local address each datagram came to and leaves from
 * (PKTINFO, also on hosts with many addresses), ECN bits, the don't-fragment bit for path MTU
 * discovery. What the kernel or a NIC refuses is given up without a word, for good or for the
 * packet.
 *
 * There are two ways to send: tow_udp_send at once, for one who paces himself and waits until the
 * socket can take more; tow_udp_queue with everything else that the loop's turn brings, for one who
 * forwards, and loses what the socket does not take.
 */

#include <towonel/tunnel/loop.h>
#include <towonel/tunnel/tcp.h>
#include <towonel/wire/addr.h>
#include <towonel/wire/buf.h>

#ifdef __cplusplus
extern "C" {
#endif

struct tow_udp_socket;

struct tow_udp_packet {
	struct tow_slice bytes; /* borrowed for the call */
	struct tow_addr remote;
	struct tow_addr local; /* the address it came to, with the socket's port */
	uint8_t ecn;           /* two bits, RFC 3168 */
	unsigned passed : 1;   /* the process that had the socket before says it is not its own */
};

/* Packets in order of arrival, GRO already split. batch_end is called after each batch of system
 * calls, so that answers can be coalesced. */
struct tow_udp_events {
	void (*packet)(void *user, const struct tow_udp_packet *packet);
	void (*batch_end)(void *user);
	void (*writable)(void *user); /* after a send gave TOW_BLOCKED */
	/* A datagram came to nothing: one queued that the socket did not take (TOW_BLOCKED: it is
	 * full; TOW_ETOOBIG; TOW_EIO), or one that a connected socket has sent (TOW_EREFUSED: ICMP
	 * tells). To be noted, no more: the socket may be about to go. */
	void (*lost)(void *user, int code);
	/* Of a socket that is not connected: ICMP says that a datagram did not reach its host, or
	 * nobody there. quoted is how it began, 64 bytes at most. Whoever can guess that can say
	 * so. With NULL the kernel is not asked. */
	void (*unreachable)(void *user, struct tow_slice quoted);
};

struct tow_udp_config {
	struct tow_addr bind;    /* port 0 picks a free one */
	struct tow_addr connect; /* sends to this address only, and hears nobody else; bind is then
	                            not looked at. Family 0: anybody */
	int dual_stack;          /* IPv6 wildcard: IPv4 too */
	enum tow_port_sharing sharing;
	int urgent;         /* does not wait for tow_loop_release */
	int dont_fragment;  /* IP_PMTUDISC_PROBE: this socket does its own path MTU discovery */
	int receive_buffer; /* SO_RCVBUF, bytes; 0 leaves the default */
	int send_buffer;
};

/* Returns 0; TOW_EADDRINUSE, TOW_EDENIED, TOW_EIO; connecting: TOW_EREFUSED and others too. */
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

/* Takes a copy of a datagram, to be sent at the end of the loop's turn: those of a socket in one
 * system call, and runs of one size to one address as one. Those to the same address stay in order.
 * remote and local are NULL for a connected socket. */
void tow_udp_queue(struct tow_udp_socket *socket, const struct tow_addr *remote,
                   const struct tow_addr *local, struct tow_slice bytes);

/* --- one socket, two processes --- */

/* A process that takes the place of another takes over its sockets (inherited.h). Datagrams go on
 * coming for what the one before has begun, and only one of them can read; so the one after reads,
 * and passes on what it does not know. Both send. */

/* Of one that was lent (tow_loop_lend): the other process reads from now on, and this one gets what
 * that passes. When that is gone, this one reads again. */
void tow_udp_socket_yield(struct tow_udp_socket *socket);
void tow_udp_socket_reclaim(struct tow_udp_socket *socket); /* at once, and ends the channel */
/* Is the process before still there? This one is its way to the one after. */
int tow_udp_socket_has_before(const struct tow_udp_socket *socket);
/* For a packet that belongs to nothing here: lets the process before have it, and then the one
 * after. Returns 1 when it is theirs now; 0: there is nobody else whose it could be. */
int tow_udp_pass(struct tow_udp_socket *socket, const struct tow_udp_packet *packet);

#ifdef __cplusplus
}
#endif
#endif
