/* SPDX-License-Identifier: MIT */
#ifndef TOWONEL_AGENT_EDGE_LINK_H
#define TOWONEL_AGENT_EDGE_LINK_H

/*
 * The agent's tie to one edge: a tunnel that is dialled again whenever it is gone.
 *
 *     WAIT ──► RESOLVE ──► CONNECT ──► UP
 *      ▲ backoff  │ name      │ welcome  │ tunnel lost
 *      └──────────┴───────────┴──────────┘        any ──► CLOSING ──► (gone)
 *
 * A tunnel goes by UDP where that gets through. When nothing has answered for some seconds, it is
 * tried over TCP as well, and whichever is welcome first is taken; so it is when a tunnel that was
 * up falls silent. While one goes by TCP, UDP is tried every half minute, and taken when it works.
 * A tunnel that another one has taken over from gets no new streams, and ends with its last one.
 * When the edge's process gives way to another one, the next tunnel is dialled in the same way, and
 * the one that is left there takes visitors until then.
 */

#include <towonel/tunnel/log.h>
#include <towonel/tunnel/loop.h>
#include <towonel/tunnel/proxy.h>
#include <towonel/tunnel/quic.h>
#include <towonel/wire/limits.h>

#define LINK_ADDRESSES_MAX 8

struct edge_link;

struct edge_link_events {
	/* Appends the agent's signed entry. Returns 0 or a negative code. */
	int (*sign)(void *user, struct tow_buf *out);
	void (*up)(void *user, struct edge_link *link);
	/* Another tunnel has taken over, by UDP or by TCP. */
	void (*moved)(void *user, struct edge_link *link);
	void (*lost)(void *user, struct edge_link *link, const char *why);
	void (*refused)(void *user, struct edge_link *link, const char *why);
	void (*superseded)(void *user, struct edge_link *link);
	void (*stream)(void *user, struct edge_link *link, struct tow_quic_stream *stream);
	/* After tow__edge_link_close: the link is freed when this returns. */
	void (*gone)(void *user, struct edge_link *link);
};

struct edge_link_config {
	struct tow_loop *loop;
	struct tow_log *log;
	struct tow_quic_endpoint *endpoint;
	const struct tow_proxies *proxies; /* on the way of TCP; borrowed */
	struct tow_id edge;
	/* Authorities that this agent serves; asked for at each hello. */
	char **(*services)(void *user,
	                   size_t *count); /* malloc'd array of malloc'd strings; NULL: no memory */
	const struct edge_link_events *events;
	void *user;
};

int tow__edge_link_new(const struct edge_link_config *config, struct edge_link **out);
/* "host:port" texts, and the port that TCP is for; dials at once if none was known before. */
void tow__edge_link_set_addresses(struct edge_link *link, const char *const *addresses,
                                  size_t count, uint16_t tcp_port);
/* Says hello again on a tunnel that is up: the service list has changed. */
void tow__edge_link_hello(struct edge_link *link);
/* Asks the edge for no new streams, and does not dial again. */
void tow__edge_link_drain(struct edge_link *link);
void tow__edge_link_close(struct edge_link *link, uint64_t code);

/* Does the way to the edge begin at another address of this host than it did? Told once. */
int tow__edge_link_has_moved(struct edge_link *link);
/* The network is not what it was: pings at once, or tries now if a way has appeared. */
void tow__edge_link_look(struct edge_link *link);

int tow__edge_link_is_up(const struct edge_link *link);
int tow__edge_link_is_carried(const struct edge_link *link); /* it is up, by TCP */
const struct tow_id *tow__edge_link_edge(const struct edge_link *link);
const char *tow__edge_link_address(const struct edge_link *link); /* the one in use; "" when none */
/* When the last byte is known to have gone end to end; 0: never. Monotonic. */
uint64_t tow__edge_link_last_pong_ns(const struct edge_link *link);
/* How long the last answered ping took; 0: none was. */
uint64_t tow__edge_link_rtt_ns(const struct edge_link *link);

#endif
