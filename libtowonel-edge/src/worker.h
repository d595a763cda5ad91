/* SPDX-License-Identifier: MIT */
#ifndef TOW_EDGE_WORKER_H
#define TOW_EDGE_WORKER_H

/*
 * Everything that one loop of the edge works with. Nothing in it is shared with another loop, so an
 * edge of several workers is several of these.
 *
 *     worker ─┬─ listener, ports ──► visitors, UDP sessions
 *             ├─ endpoint ─────────► agent sessions ─► agents (who serves what)
 *             └─ table
 */

#include <towonel/edge.h>
#include <towonel/tunnel/quic.h>
#include <towonel/tunnel/rate_limit.h>
#include <towonel/tunnel/tcp.h>
#include "agents.h"
#include "edge_metrics.h"
#include "ports.h"
#include "source_limit.h"
#include "tenants.h"
#include "timing.h"
#include "udp/limits.h"

struct cert_store;
struct visitor;

/* The API of the hub in the same node, which the edge's port leads to as well. */
struct own_api {
	char name[TOW_HOSTNAME_SIZE];     /* "": by key only */
	char key_name[TOW_KEY_NAME_SIZE]; /* see tow_id_key_name */
	void (*visitor)(void *user, int fd, const struct tow_addr *peer, struct tow_slice early);
	void *user; /* visitor NULL: there is none */
};

struct worker {
	struct tow_loop *loop;
	struct tow_log *log;
	struct edge_metrics metrics;
	struct timing timing;
	struct tow_id node_id;
	const char *software; /* borrowed from the edge */

	struct tow_route_table *table;
	struct tow_tcp_listener *listener; /* NULL when closing */
	struct ports ports;
	struct tow_quic_endpoint *endpoint;
	struct agents agents;
	struct own_api api;
	struct cert_store *certs;                       /* NULL: no TLS ends here; the edge's */
	struct tow_tls_context *carrier_tls;            /* with the node's key */
	size_t handshakes;                              /* under way */
	uint64_t handshake_turn_ns, handshake_spent_ns; /* what they took of which turn */

	struct visitor *visitors;
	size_t visitor_count;
	size_t carrier_count;
	size_t visitors_max; /* and carriers; 0: no limit */
	struct source_limit sources;
	size_t early, early_max; /* bytes that no agent has taken yet; max 0: no limit */
	struct tow_rate_limit *rates; /* of visitors by source; NULL: no limit */
	int fd_max;                   /* those from here on are for other things than visitors */
	struct udp_limits udp;
	struct tenants tenants;
	int draining;
	int yielded; /* another process takes over */
	int hurried; /* draining, and not for as long as it takes */
	struct tow_log_gate limit_gate, no_agent_gate, origin_gate, denied_gate;
	struct tow_log_gate agent_gate, udp_gate;

	/* What the edge wants to know. */
	void (*changed)(void *user);  /* agents came or went, ports were bound or not */
	void (*deserted)(void *user); /* the last visitor or UDP session has gone */
	void *user;
};

#endif
