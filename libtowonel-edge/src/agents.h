/* SPDX-License-Identifier: MIT */
#ifndef TOW_EDGE_AGENTS_H
#define TOW_EDGE_AGENTS_H

/*
 * Who can serve what, on one worker; roster.h has the same of all. The agents of a tenant that
 * announced the same services_hash are replicas: one set, over which new streams are spread. The
 * set with the highest generation is the live one; what announced another is retired: its streams
 * finish, new ones go elsewhere. When all agents of a tenant have gone, the next one is taken
 * whatever its generation is. An agent has at most one tunnel to a worker that takes new streams.
 */

#include <stddef.h>
#include <stdint.h>
#include <towonel/wire/identity.h>

struct agent_group;
struct agent_session;
struct dial;
struct worker;

struct agents {
	struct agent_group *groups;    /* by tenant */
	struct agent_session *pending; /* have not said a hello that was accepted */
	size_t pending_count;
	size_t pending_bytes;                     /* of their hellos */
	struct dial *waiting;                     /* for an agent's first word */
	uint64_t next_rtt_ns;                     /* when the round-trip gauges are due */
	_Atomic uint64_t nearest_us, farthest_us; /* what they were of this worker; 0: none */
};

/* session has its tenant, id, generation, hash and services. Puts it into its tenant's live set;
 * agents of another, older set are retired and told. Returns 0; TOW_ECONFLICT when the live set is
 * another one and not older (its *generation): the session is the group's, but to be retired;
 * TOW_ELIMIT, TOW_ENOMEM. */
int tow__agents_admit(struct agents *agents, struct agent_session *session, uint64_t *generation);
/* Another worker's agent has brought a newer set: those of older ones are retired. */
void tow__agents_superseded(struct agents *agents, const struct tow_id *tenant);
/* The agent has come to another worker by TCP, with the tunnel of that serial number: those that
 * came before it are as good as gone. */
void tow__agents_retire_older(struct agents *agents, const struct tow_id *tenant,
                              const struct tow_id *agent, uint64_t serial);
/* Forgets a session; nothing when it was not admitted. */
void tow__agents_leave(struct agents *agents, struct agent_session *session);

/* Who is not to be asked: a tunnel, and those of its agent's that came before so many had. */
struct tried {
	uint64_t serial;
	uint64_t agent;  /* see tow__agent_session_mark */
	uint64_t before; /* 0: the tunnel only */
};

/* The agent for a new stream: one that serves the authority and is not among those tried, the one
 * with fewest streams, in turn among equals. NULL when there is none. */
struct agent_session *tow__agents_pick(struct agents *agents, const struct tow_id *tenant,
                                       const char *authority, const struct tried *tried,
                                       size_t tried_count, uint64_t now_ns);

/* Closes the tunnels of a tenant, or of one of its agents. */
void tow__agents_cut_tenant(struct agents *agents, const struct tow_id *tenant);
void tow__agents_cut_agent(struct agents *agents, const struct tow_id *tenant,
                           const struct tow_id *agent);

/* How many tunnels each of so many agents is to have to an edge of so many workers: some, so that
 * its visitors need not move, but in all no more than are worth their memory. Where there are very
 * many agents, each worker has some anyway. */
unsigned tow__agents_tunnels(size_t agents, unsigned workers);

void tow__agents_each(struct agents *agents,
                      void (*visit)(void *user, struct agent_session *session), void *user);

#endif
