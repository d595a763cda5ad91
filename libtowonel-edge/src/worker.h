/* SPDX-License-Identifier: MIT */
#ifndef TOW_EDGE_WORKER_H
#define TOW_EDGE_WORKER_H

/*
 * Everything that one loop of the edge works with. What it has is its own thread's alone; what it
 * shares with the edge's other workers is in `all`, behind locks or atomic.
 *
 *     worker ─┬─ listener, ports ──► visitors, UDP sessions
 *             ├─ endpoint ─────────► agent sessions ─► agents (who serves what here)
 *             └─ all ──────────────► routes, roster (who serves what elsewhere), limits
 */

#include <pthread.h>
#include <towonel/edge.h>
#include <towonel/tunnel/quic.h>
#include <towonel/tunnel/tcp.h>
#include "agents.h"
#include "edge_metrics.h"
#include "ports.h"
#include "timing.h"
#include "workers.h"

struct cert_store;
struct challenge_errand;
struct challenge_forwards;
struct visitor;

/* The API of the hub in the same node, which the edge's port leads to as well. */
struct own_api {
	char name[TOW_HOSTNAME_SIZE];     /* "": by key only */
	char key_name[TOW_KEY_NAME_SIZE]; /* see tow_id_key_name */
	void (*visitor)(void *user, int fd, const struct tow_addr *peer, struct tow_slice early);
	void *user; /* visitor NULL: there is none */
};

struct worker {
	struct workers *all;
	unsigned index; /* 0: in the thread of the edge's owner */
	pthread_t thread;
	struct tow_loop *loop;
	struct tow_log *log;
	struct edge_metrics metrics;
	struct timing timing;
	struct tow_id node_id;
	const char *software; /* borrowed from the edge */

	const struct tow_route_table *table; /* everybody's: tow__routes_lock before a look */
	struct tow_tcp_listener *listener;   /* NULL when closing */
	struct ports ports;
	struct tow_quic_endpoint *endpoint;
	struct agents agents;
	struct own_api api;       /* the first worker's to hand to */
	struct cert_store *certs; /* the edge's, and the first worker's to ask; NULL: none */
	struct tow_tls_context *carrier_tls;            /* with the node's key */
	uint64_t handshake_turn_ns, handshake_spent_ns; /* what they took of which turn */

	struct challenge_forwards *challenges; /* the first worker's; NULL: none are forwarded */
	struct challenge_errand *errands;      /* for it, by an agent with a tunnel to this one */

	struct visitor *visitors;
	size_t early, early_max; /* bytes that no agent has taken yet; max 0: no limit */
	int fd_max;              /* those from here on are for other things than visitors */
	atomic_size_t mail;      /* datagrams that others have sent here and are under way */
	int draining;
	int yielded; /* another process takes over */
	int hurried; /* draining, and not for as long as it takes */
	int ended;   /* visitors that are handed over come too late */
	struct tow_log_gate limit_gate, no_agent_gate, origin_gate, denied_gate;
	struct tow_log_gate agent_gate, udp_gate;
};

/* Of a worker of all->list, which is all-zero but for its index. A loop of its own but for the
 * first. Returns 0, TOW_ENOMEM. */
int tow__worker_init(struct worker *w, struct workers *all, const struct tow_edge_config *config);
/* Opens its sockets; the first worker's come first, and the others take their ports. err begins
 * with the config's member that is to blame. Returns 0, or as tow_edge_new. */
int tow__worker_open(struct worker *w, const struct tow_edge_config *config, struct tow_error *err);
/* On the worker's thread: listens no more, and tells agents so. Later ones may hurry it. */
void tow__worker_drain(struct worker *w, int hurried);
/* On the worker's thread: another process takes over, or has failed to. */
void tow__worker_yield(struct worker *w, int yields);
/* On the worker's thread: resets what is left. */
void tow__worker_end(struct worker *w);
/* When no thread has it any more. */
void tow__worker_deinit(struct worker *w);

/* How its sockets have their ports. */
enum tow_port_sharing tow__worker_sharing(const struct worker *w);
/* Agents came or went, ports were bound or not: the edge will want to tell. From any worker. */
void tow__worker_changed(struct worker *w);

#endif
