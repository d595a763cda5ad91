/* SPDX-License-Identifier: MIT */
#ifndef TOW_EDGE_ROSTER_H
#define TOW_EDGE_ROSTER_H

/*
 * Which tunnels take new streams, on all workers, and of each tenant the set of services that is
 * the live one: what agents.h says of sets holds for the edge, not for one worker.
 *
 *     roster ── set (tenant, services_hash, generation) ── seats, one in each session that serves
 *
 * A seat's session is its worker's. The others see here who it is and what it serves, which does
 * not change while it has the seat.
 */

#include <pthread.h>
#include <towonel/tunnel/metrics.h>
#include <towonel/wire/identity.h>

struct agent_session;
struct roster_set;
struct tried;

struct roster {
	pthread_mutex_t lock;
	struct roster_set *sets; /* by tenant */
	size_t agents;           /* with a seat or several, */
	size_t late;             /* and those of them who owe an answer to a ping on any */
	struct tow_metric *gauge, *late_gauge;
};

struct roster_seat {
	struct roster_set *set; /* NULL: none */
	int late;
	struct agent_session *session;
	struct roster_seat *prev, *next;
};

void tow__roster_init(struct roster *roster, struct tow_metrics *metrics);
void tow__roster_deinit(struct roster *roster);

/* A seat for a session that has its tenant, id, generation, hash and services. Returns 0; TOW_MORE:
 * it takes one, and the sessions of another, older set are to be retired, on every worker;
 * TOW_ECONFLICT when the live set is another one and not older (its *generation; 0 when the agent
 * is in it with another tunnel, and will say so on this one too); TOW_ENOMEM. */
int tow__roster_enter(struct roster *roster, struct agent_session *session, uint64_t *generation);
/* Nothing when it has none. */
void tow__roster_leave(struct roster *roster, struct agent_session *session);
/* It owes an answer to a ping, or does no more. Nothing when it has no seat. */
void tow__roster_set_late(struct roster *roster, struct agent_session *session, int late);
/* Is a session with a seat of the live set? If not, *generation is as above. */
int tow__roster_is_live(struct roster *roster, const struct agent_session *session,
                        uint64_t *generation);

#define ROSTER_NOBODY (-1)
/* A worker other than `but` with a session that serves the authority and was not tried; of several
 * always the same one for a `spread` that is the same. ROSTER_NOBODY: there is none. */
int tow__roster_find(struct roster *roster, const struct tow_id *tenant, const char *authority,
                     const struct tried *tried, size_t tried_count, unsigned but, uint32_t spread);

size_t tow__roster_count(struct roster *roster); /* agents */
/* Writes the ids of at most cap agents. Returns how many. */
size_t tow__roster_agents(struct roster *roster, struct tow_id *ids, size_t cap);

#endif
