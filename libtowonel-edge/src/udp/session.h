/* SPDX-License-Identifier: MIT */
#ifndef TOW_EDGE_UDP_SESSION_H
#define TOW_EDGE_UDP_SESSION_H

#include <towonel/tunnel/udp.h>
#include <towonel/tunnel/udp_flow.h>
#include <towonel/wire/limits.h>
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#define UDP_KEY_SIZE 35 /* family, port and address of the visitor, address of ours */

struct agent_session;
struct tenant_use;
struct udp_opening;
struct udp_session;
struct worker;

struct udp_listener {
	struct worker *worker;
	uint16_t port;
	struct tow_udp_socket *socket;
	struct udp_session *sessions;   /* by key */
	struct udp_session *last;       /* that was asked for; NULL: none */
	struct udp_session *one_sided;  /* the one that was silent longest first */
};

struct udp_session {
	struct udp_listener *listener;
	/* One-sided: no answer yet, or the visitor has not spoken since, as nobody would whose
	 * address is not his. */
	struct udp_session *prev, *next;
	int answered, two_sided;
	UT_hash_handle hh;
	uint8_t key[UDP_KEY_SIZE];
	struct tow_addr remote, local;
	struct udp_opening *opening; /* NULL when an agent has accepted */
	struct agent_session *agent;
	struct tenant_use *use;
	struct tow_udp_flow flow;
	struct tow_timer timer;
	uint64_t idle_ns, active_ns;
	char service[TOW_SERVICE_NAME_MAX + 1];
	/* whether the agent is still there */
	uint64_t looked_ns, asked_ns; /* asked: the first datagram since the packets before */
	uint64_t heard_packets;
	uint8_t id[TOW_UNIQUE_ID_SIZE];
};

/* NULL: there is none. */
struct udp_session *tow__udp_session_find(const struct udp_listener *listener,
                                          const uint8_t key[UDP_KEY_SIZE]);
/* For the first datagram of a visitor, unless a limit forbids, or it is another worker's. */
void tow__udp_session_begin(struct udp_listener *listener, const uint8_t key[UDP_KEY_SIZE],
                            const struct tow_udp_packet *packet, int handed);
/* One from the visitor. The session may be gone afterwards. */
void tow__udp_session_receive(struct udp_session *session, struct tow_slice payload);
/* The next datagram is to begin anew: the port leads elsewhere now, or the agent is silent and
 * there is another one. */
int tow__udp_session_outdated(struct udp_session *session);
/* The edge is closing: it ends as soon as nothing has come either way for a moment. */
void tow__udp_session_drain(struct udp_session *session);
void tow__udp_session_end(struct udp_session *session, uint64_t code);

#endif
