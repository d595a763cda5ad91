/* SPDX-License-Identifier: MIT */
#ifndef TOW_EDGE_AGENT_SESSION_H
#define TOW_EDGE_AGENT_SESSION_H

#include <towonel/tunnel/quic.h>
#include <towonel/wire/control_message.h>
#include "roster.h"

struct worker;

enum agent_state {
	AGENT_HELLO,   /* nothing accepted yet */
	AGENT_TENANT,  /* said hello for a tenant that the route table does not have (yet) */
	AGENT_SERVING, /* takes new streams */
	AGENT_RETIRED, /* superseded or draining: finishes its streams */
	AGENT_REFUSED, /* told, and closed in a moment */
	AGENT_GONE,    /* the connection is closed */
};

/* One tunnel: an agent's connection and its control stream. Lives until the connection and the last
 * visitor's stream in it have gone. */
struct agent_session {
	struct worker *worker;
	struct tow_quic_conn *conn;
	struct tow_quic_stream *control; /* NULL before the agent opened it */
	enum agent_state state;
	uint64_t refusal; /* AGENT_REFUSED: enum tow_tunnel_error */
	size_t refs;      /* the connection, each visitor's stream, calls under way */
	struct tow_timer timer;
	struct tow_buf input;             /* control messages */
	struct tow_control_message hello; /* AGENT_TENANT */
	size_t hello_size;                /* about what it takes in memory */
	unsigned early_messages;          /* before one was accepted */
	unsigned hellos;                  /* after that, in this minute */
	uint64_t hellos_since_ns;

	int carried; /* by TCP: see carriers.h */
	struct tow_id agent_id;
	uint64_t serial; /* of this edge; an agent that comes back has another */
	struct tow_id tenant;
	uint64_t generation;
	uint8_t services_hash[TOW_HASH_SIZE];
	char **services; /* authorities, sorted; owned */
	size_t service_count;
	size_t streams; /* visitors */
	int moved;      /* told to dial the process that takes over */

	uint64_t ping_id, ping_sent_ns;
	uint64_t waiting_since_ns; /* the oldest ping without an answer; 0: all answered */
	uint64_t heard_ns;         /* the last answer */
	uint64_t rtt_us;           /* of the last answered ping; 0: none yet */

	/* The first visitor's stream that was opened after the last packet came, and how many had
	 * come then. */
	uint64_t asked_ns, asked_packets;
	int unreachable; /* has been said since then */

	struct roster_seat seat;                           /* SERVING; else none */
	struct agent_group *group;                         /* NULL: not admitted */
	struct agent_session *prev, *next;                 /* of the group */
	struct agent_session *pending_prev, *pending_next; /* of agents.pending */
};

/* A connection has been accepted; w is a struct worker. */
void tow__agent_session_accept(void *w, struct tow_quic_conn *conn);
/* The route table has changed: judge again who waits for it. */
void tow__agent_sessions_routes_changed(struct worker *w);

/* What an agent is known by in a struct tried. */
uint64_t tow__agent_session_mark(const struct agent_session *s);
int tow__agent_session_tried(const struct agent_session *s, const struct tried *tried,
                             size_t count);
int tow__agent_session_serves(const struct agent_session *s, const char *authority);
/* Opens a stream for a visitor. Returns 0 and then wants _release when that is over; TOW_BLOCKED,
 * TOW_ECLOSED, TOW_ENOMEM. */
int tow__agent_session_open(struct agent_session *s, const struct tow_quic_stream_events *events,
                            void *user, struct tow_quic_stream **out);
void tow__agent_session_release(struct agent_session *s);

/* How many packets have come from it. */
uint64_t tow__agent_session_packets(const struct agent_session *s);

/* A stream has been opened for a visitor: a packet of some kind is due. */
void tow__agent_session_ask(struct agent_session *s);
/* Until when one may be hoped for, if none comes. */
uint64_t tow__agent_session_hope_ns(const struct agent_session *s);

/* It let a visitor wait in vain: others are preferred until it answers a ping, which
 * is sent now. */
void tow__agent_session_doubt(struct agent_session *s);

/* No new streams; generation, if not 0, is that of the set that takes over, and the
 * agent is told. */
void tow__agent_session_retire(struct agent_session *s, uint64_t generation);
void tow__agent_session_cut(struct agent_session *s, uint64_t code, const char *text);
void tow__agent_session_drain(struct agent_session *s); /* the edge is closing */
/* Another process takes over: the agent is to dial it, and this tunnel goes on serving. */
void tow__agent_session_redial(struct agent_session *s);

#endif
