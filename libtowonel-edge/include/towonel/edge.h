/* SPDX-License-Identifier: MIT */
#ifndef TOWONEL_EDGE_H
#define TOWONEL_EDGE_H

/*
 * libtowonel-edge: the data plane on a public address. It takes visitors on TCP, reads the server
 * name from their ClientHello, finds the tenant in its route table, and forwards their bytes over a
 * stream to one of the tenant's agents, each of which holds a QUIC connection to the edge. It does
 * not know where its routes come from: the owner hands it the events of a feed.
 *
 * Everything here is for the loop's thread.
 */

#include <towonel/tunnel/log.h>
#include <towonel/tunnel/loop.h>
#include <towonel/tunnel/metrics.h>
#include <towonel/wire/addr.h>
#include <towonel/wire/route_feed.h>

#ifdef __cplusplus
extern "C" {
#endif

struct tow_edge;

struct tow_edge_config {
	struct tow_loop *loop;
	struct tow_log *log;
	struct tow_metrics *metrics;
	const struct tow_node_key *key; /* copied */
	struct tow_addr listen;         /* visitors, TCP */
	int listen_dual_stack;
	struct tow_addr tunnel_listen; /* agents, UDP */
	int tunnel_dual_stack;
	const char *const *public_addresses; /* "host:port" as agents dial it; copied; none: the
	                                        tunnel listener's */
	size_t public_address_count;
	const char *routes_cache_path;  /* a copy of the route table on disk; NULL: none */
	const char *cert_dir;           /* certificates of names whose TLS ends here; NULL: none */
	size_t connections_max;         /* visitors in all; 0: no limit but descriptors */
	size_t connections_per_address; /* 0: no limit */
	const char *version;
	/* The edge's state changed (agents came or went, ports failed); called at most once a
	 * second. May be NULL. */
	void (*reported)(void *user, const struct tow_edge_report *report);
	void *user;
};

/* Listens on both addresses; err begins with the config's member that is to blame ("listen: ",
 * "tunnel_listen: "). Returns 0; TOW_EADDRINUSE, TOW_EDENIED, TOW_EIO, TOW_ENOMEM. */
int tow_edge_new(const struct tow_edge_config *config, struct tow_edge **out,
                 struct tow_error *err);

/* Takes an event of the route feed: a tow_route_sink, user being the edge. */
int tow_edge_apply(void *edge, const struct tow_route_event *event);
/* The version of its route table; 0 when it has none. */
uint64_t tow_edge_route_version(const struct tow_edge *edge);

/* Stops listening, tells agents that no new streams come, waits at most grace_ns for open visitors,
 * then resets them; calls done when nothing is left, before which the edge has been freed. grace 0
 * closes at once. A second call may shorten the grace. */
void tow_edge_close(struct tow_edge *edge, uint64_t grace_ns, void (*done)(void *user), void *user);

const struct tow_addr *tow_edge_addr(const struct tow_edge *edge);
const struct tow_addr *tow_edge_tunnel_addr(const struct tow_edge *edge);
/* Appends one line per reason for not being ready. */
void tow_edge_not_ready(void *edge, struct tow_buf *reasons);

#ifdef __cplusplus
}
#endif
#endif
