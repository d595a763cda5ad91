/* SPDX-License-Identifier: MIT */
#ifndef TOWONEL_AGENT_FORWARD_UDP_H
#define TOWONEL_AGENT_FORWARD_UDP_H

/*
 * A visitor's UDP session at the agent: a stream of an edge, and a socket of its own towards the
 * origin, which so sees one address and port for each visitor:
 *
 *     RESOLVE ──► OPEN ──► (gone)     silent for the idle timeout, or the stream is over
 *
 * The accept byte goes back when the socket is connected. That an origin refuses (ICMP) ends
 * nothing: it may be about to start.
 */

#include <towonel/tunnel/log.h>
#include <towonel/tunnel/loop.h>
#include <towonel/tunnel/metrics.h>
#include <towonel/tunnel/quic.h>
#include <towonel/wire/proxy_header.h>
#include <towonel/wire/service.h>

/* Datagrams that were not forwarded. */
#define UDP_DROP_TABLE(X)                                                                          \
	X(UDP_DROP_TUNNEL_FULL, "tunnel_full") /* too many of the session's wait already */        \
	X(UDP_DROP_SOCKET_FULL, "socket_full")                                                     \
	X(UDP_DROP_TOO_BIG, "too_big")                                                             \
	X(UDP_DROP_ORIGIN_REFUSED, "origin_refused") /* nobody listens there, says ICMP */         \
	X(UDP_DROP_UNSENT, "unsent")

enum udp_drop {
#define UDP_DROP_ENUM(name, label) name,
	UDP_DROP_TABLE(UDP_DROP_ENUM)
#undef UDP_DROP_ENUM
		UDP_DROP_COUNT,
};

struct udp_forward;

/* What all of them share: part of struct forwards. */
struct udp_forwards {
	struct tow_loop *loop;
	struct tow_log *log;
	void (*idle)(void *user); /* the last one has ended */
	void *user;

	struct udp_forward *first;
	size_t active, max;
	int draining;
	struct tow_log_gate gate;
	struct tow_metric *sessions, *sessions_total, *unreachable;
	struct tow_metric *datagrams_in, *datagrams_out, *bytes_in, *bytes_out;
	struct tow_metric *dropped[UDP_DROP_COUNT];
};

/* The first four are set. */
void tow__udp_forwards_init(struct udp_forwards *forwards, struct tow_metrics *metrics);
/* Ends those whose service has another origin now, or is gone: with the visitor's next datagram
 * they begin anew. */
void tow__udp_forwards_reload(struct udp_forwards *forwards,
                              const struct tow_service_list *services);
/* Those that are silent for a moment end, instead of after their idle timeout. */
void tow__udp_forwards_drain(struct udp_forwards *forwards);
void tow__udp_forwards_deinit(struct udp_forwards *forwards);

/* Takes a stream whose header has been read, and early, what came behind it (not consumed yet). */
void tow__udp_forward_start(struct udp_forwards *forwards, struct tow_quic_stream *stream,
                            const struct tow_proxy_header *header,
                            const struct tow_service *service, struct tow_buf *early);

#endif
