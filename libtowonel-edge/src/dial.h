/* SPDX-License-Identifier: MIT */
#ifndef TOW_EDGE_DIAL_H
#define TOW_EDGE_DIAL_H

/*
 * A visitor's way to an agent: one agent after the other is tried until one answers with the status
 * byte. Until then all that was sent is kept, so that the next one gets it from the first byte.
 *
 * Agents with a tunnel to this worker are asked first. When none is left the owner may take the
 * dial to another worker that has one, whose agents then are. An agent that has refused, or is
 * silent, is not asked again through another of its tunnels; one whose tunnel was lost is.
 *
 * An agent may take its time, for its origin does; but one from which no packet comes at all, not
 * even an acknowledgement, is left early if there is another. If there is none, the path may be bad
 * for a moment, or the agent be starting again: then the visitor waits longer, but not as long as
 * for an origin, and goes to the next agent as soon as it comes.
 *
 *     IDLE ── next ──► WAITING ──► ACCEPTED
 *      ▲                  │
 *      '────── leave ── FAILED
 */

#include <towonel/tunnel/quic.h>
#include <towonel/wire/limits.h>
#include <towonel/wire/service.h>
#include "agents.h"

struct agent_session;
struct worker;

enum dial_state {
	DIAL_IDLE,
	DIAL_WAITING,
	DIAL_ACCEPTED, /* reply has what followed the status byte; stream and agent may be taken */
	DIAL_FAILED,   /* failure says why */
};

struct dial {
	struct worker *worker;
	void (*changed)(void *user); /* WAITING has ended */
	void (*datagram)(void *user,
	                 struct tow_slice payload); /* came ahead of the status byte; may be NULL */
	void *user;
	struct tow_id tenant;
	char authority[TOW_AUTHORITY_SIZE];
	struct tow_buf bytes; /* for the agent, from the first one; the owner appends */

	enum dial_state state;
	struct agent_session *agent;
	struct tow_quic_stream *stream;
	size_t sent;      /* of bytes, to this agent */
	int stopped;      /* it wants to hear no more: not a refusal, origins may answer so */
	int blocked;      /* an agent had no stream to spare */
	uint64_t failure; /* of the last one that failed: enum tow_tunnel_error */
	struct tried tried[TOW_DIAL_ATTEMPTS_MAX];
	size_t tried_count;
	struct tow_buf reply;
	int reply_finished;

	/* WAITING */
	struct tow_timer silence;
	uint64_t heard_packets;                   /* of the agent, when it was asked */
	int in_vain;                              /* it is silent, and there was no other */
	struct dial *waiting_prev, *waiting_next; /* of agents.waiting */
};

/* Of a dial that is all-zero but for its first members. */
void tow__dial_init(struct dial *d);

/* Is there an agent that could be asked? */
int tow__dial_possible(const struct dial *d);
/* The worker to go on at when no agent is left here; ROSTER_NOBODY: there is none. */
int tow__dial_elsewhere(const struct dial *d);
/* It is there. IDLE or FAILED. */
void tow__dial_moved(struct dial *d, struct worker *to);
/* Goes to the next agent. Returns 0; TOW_ENOTFOUND when none is left. */
int tow__dial_next(struct dial *d);
/* Sends what was appended to bytes. Returns 0, TOW_ENOMEM. */
int tow__dial_send(struct dial *d);
void tow__dial_fail(struct dial *d, uint64_t failure);
/* Another agent has come, or one is said to be unreachable: some need not wait any longer. */
void tow__dials_agent_came(struct worker *w);
void tow__dials_agent_unreachable(struct worker *w, const struct agent_session *agent);
void tow__dial_deinit(struct dial *d,
                      uint64_t code); /* lets go of stream and agent, if not taken */

#endif
