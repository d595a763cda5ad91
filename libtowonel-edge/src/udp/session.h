/* SPDX-License-Identifier: MIT */
#ifndef TOW_EDGE_UDP_SESSION_H
#define TOW_EDGE_UDP_SESSION_H

#include <towonel/tunnel/udp.h>
#include <towonel/tunnel/udp_flow.h>
#include <towonel/wire/limits.h>
#define HASH_NONFATAL_OOM 1
#include <uthash.h>
#include "../dial.h"

#define UDP_KEY_SIZE 35 /* family, port and address of the visitor, address of ours */

struct agent_session;
struct tenant_use;
struct udp_session;
struct udp_signpost;
struct worker;

struct udp_listener {
	struct worker *worker;
	uint16_t port;
	struct tow_udp_socket *socket;
	struct udp_session *sessions;   /* by key */
	struct udp_session *last;       /* that was asked for; NULL: none */
	struct udp_session *one_sided;  /* the one that was silent longest first */
	struct udp_signpost *signposts; /* see session_move.c */
	int room_asked;                 /* of the other workers, and none has begun here since */
};

/* What is only needed before an agent has accepted. */
struct udp_opening {
	struct dial dial;
	size_t header_len;
	size_t datagrams; /* that wait */
	unsigned moves;
	int made_room; /* has another session ended for it? */
};

struct udp_session {
	struct udp_listener *listener;
	uint16_t port;
	unsigned home; /* the worker to which the kernel gives the visitor's datagrams */
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

/* --- session.c --- */

/* NULL: there is none. */
struct udp_session *tow__udp_session_find(const struct udp_listener *listener,
                                          const uint8_t key[UDP_KEY_SIZE]);
/* For the first datagram of a visitor, unless a limit forbids. */
void tow__udp_session_begin(struct udp_listener *listener, const uint8_t key[UDP_KEY_SIZE],
                            const struct tow_udp_packet *packet);
/* One from the visitor. The session may be gone afterwards. */
void tow__udp_session_receive(struct udp_session *session, struct tow_slice payload);
/* The next datagram is to begin anew: the port leads elsewhere now, or the agent is silent and
 * there is another one. */
int tow__udp_session_outdated(struct udp_session *session);
/* The edge is closing: it ends as soon as nothing has come either way for a moment. */
void tow__udp_session_drain(struct udp_session *session);
void tow__udp_session_end(struct udp_session *session, uint64_t code);

/* Among those of a listener, or no more. Returns 0, TOW_ENOMEM. */
int tow__udp_session_link(struct udp_session *session, struct udp_listener *listener);
void tow__udp_session_unlink(struct udp_session *session);
/* Of one that is no listener's: lets go of what it has. */
void tow__udp_session_free(struct udp_session *session, struct worker *w, uint64_t code);
/* Asks the next agent, here or elsewhere; when there is none, the session is over. */
void tow__udp_session_dial(struct udp_session *session);
/* A one-sided session makes room, but for `keep`, which may be NULL. Returns 1 when one did. */
int tow__udp_sessions_make_room(struct udp_listener *listener, const struct udp_session *keep);
/* Keyed: nobody can pick colliding ones. */
unsigned tow__udp_key_hash(const struct worker *w, const uint8_t key[UDP_KEY_SIZE]);

/* --- session_move.c --- */

/* No agent is left here. Returns 1 when the session has gone to another worker; else 0. */
int tow__udp_session_move(struct udp_session *session);
/* One that is not at home is over. */
void tow__udp_session_tell_home(const struct udp_session *session, struct worker *w);
/* The datagram is for a session that has gone elsewhere: it is on its way. */
int tow__udp_signposts_follow(struct udp_listener *listener, const uint8_t key[UDP_KEY_SIZE],
                              const struct tow_udp_packet *packet);
/* There is no session here for what that worker has sent, and it is told so. Returns 0, or that it
 * could not be told. */
int tow__udp_signposts_mislead(struct udp_listener *listener, const uint8_t key[UDP_KEY_SIZE],
                               unsigned home);
/* A one-sided session of another worker is to make room. */
void tow__udp_sessions_ask_room(struct udp_listener *listener);
void tow__udp_signposts_deinit(struct udp_listener *listener);

#endif
