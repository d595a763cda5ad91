/* SPDX-License-Identifier: MIT */

#include "agents.h"

#include <stdlib.h>
#include <string.h>
#include <towonel/wire/control_message.h>
#include <towonel/wire/limits.h>
#define HASH_NONFATAL_OOM 1
#include <uthash.h>
#include <utlist.h>
#include "agent_session.h"
#include "worker.h"

struct agent_group {
	struct tow_id tenant;
	struct agent_session *members; /* live and retired, the least recently picked first */
	size_t count;
	UT_hash_handle hh;
};

static struct agent_group *group_find(struct agents *agents, const struct tow_id *tenant)
{
	struct agent_group *group;

	HASH_FIND(hh, agents->groups, tenant, sizeof(*tenant), group);
	return group;
}

static struct agent_group *group_make(struct agents *agents, const struct agent_session *first)
{
	struct agent_group *group = calloc(1, sizeof(*group));

	if (group == NULL)
		return NULL;
	group->tenant = first->tenant;
	HASH_ADD(hh, agents->groups, tenant, sizeof(group->tenant), group);
	if (group->hh.tbl == NULL) {
		free(group);
		return NULL;
	}
	return group;
}

static struct agent_session *first_serving(const struct agent_group *group,
                                           const struct tow_id *agent)
{
	struct agent_session *s;

	DL_FOREACH(group->members, s)
	if (s->state == AGENT_SERVING && (agent == NULL || tow_id_equal(&s->agent_id, agent)))
		return s;
	return NULL;
}

/* Telling an agent may be what ends it, and its visitors then move on to others: so each search is
 * anew. */
static void retire_all(const struct agent_group *group, const struct tow_id *agent,
                       uint64_t generation)
{
	struct agent_session *s;

	while ((s = first_serving(group, agent)) != NULL)
		tow__agent_session_retire(s, generation);
}

static void retire_superseded(const struct agent_group *group, struct roster *roster)
{
	struct agent_session *s;
	uint64_t generation;

	do {
		DL_FOREACH(group->members, s)
		if (s->seat.set != NULL && !tow__roster_is_live(roster, s, &generation))
			break;
		if (s != NULL)
			tow__agent_session_retire(s, generation);
	} while (s != NULL);
}

void tow__agents_superseded(struct agents *agents, const struct tow_id *tenant)
{
	const struct agent_group *group = group_find(agents, tenant);

	if (group != NULL)
		retire_superseded(group, &group->members->worker->all->roster);
}

void tow__agents_retire_older(struct agents *agents, const struct tow_id *tenant,
                              const struct tow_id *agent, uint64_t serial)
{
	const struct agent_group *group = group_find(agents, tenant);
	struct agent_session *s;

	if (group == NULL)
		return;
	do {
		DL_FOREACH(group->members, s)
		if (s->state == AGENT_SERVING && s->serial < serial &&
		    tow_id_equal(&s->agent_id, agent))
			break;
		if (s != NULL)
			tow__agent_session_retire(s, 0);
	} while (s != NULL);
}

static void on_superseded(struct worker *w, void *tenant)
{
	tow__agents_superseded(&w->agents, tenant);
}

static void forget_group(struct agents *agents, struct agent_group *group)
{
	HASH_DEL(agents->groups, group);
	free(group);
}

int tow__agents_admit(struct agents *agents, struct agent_session *session, uint64_t *generation)
{
	struct worker *w = session->worker;
	struct agent_group *group = group_find(agents, &session->tenant);
	int rc;

	if (group == NULL)
		group = group_make(agents, session);
	if (group == NULL)
		return TOW_ENOMEM;
	if (group->count >= TOW_AGENTS_PER_TENANT)
		return TOW_ELIMIT;
	rc = tow__roster_enter(&w->all->roster, session, generation);
	if (rc == TOW_ENOMEM) {
		if (group->count == 0)
			forget_group(agents, group);
		return rc;
	}
	group->count++; /* from here on the group stays */
	if (rc == TOW_MORE) {
		tow__workers_mail(w, on_superseded, &session->tenant, sizeof(session->tenant));
		retire_superseded(group, &w->all->roster);
	} else if (rc == 0) {
		/* One that comes back has lost its old tunnel, even if that was
		 * not noticed here. */
		retire_all(group, &session->agent_id, 0);
	}
	DL_PREPEND(group->members, session);
	session->group = group;
	return rc == TOW_MORE ? 0 : rc;
}

void tow__agents_leave(struct agents *agents, struct agent_session *session)
{
	struct agent_group *group = session->group;

	if (group == NULL)
		return;
	session->group = NULL;
	DL_DELETE(group->members, session);
	if (--group->count == 0)
		forget_group(agents, group);
}

/* An agent that owes an answer may be on its way out, though its tunnel still stands. */
static int is_late(const struct agent_session *s, uint64_t now_ns)
{
	return s->waiting_since_ns != 0 &&
	       now_ns - s->waiting_since_ns > TOW_PING_LATE_MS * TOW_NSEC_PER_MSEC;
}

static int is_better(const struct agent_session *a, const struct agent_session *b, uint64_t now_ns)
{
	int a_late = is_late(a, now_ns), b_late = is_late(b, now_ns);

	return a_late != b_late ? b_late : a->streams < b->streams;
}

struct agent_session *tow__agents_pick(struct agents *agents, const struct tow_id *tenant,
                                       const char *authority, const struct tried *tried,
                                       size_t tried_count, uint64_t now_ns)
{
	struct agent_group *group = group_find(agents, tenant);
	struct agent_session *s, *best = NULL;

	if (group == NULL)
		return NULL;
	DL_FOREACH(group->members, s)
	if (s->state == AGENT_SERVING && !tow__agent_session_tried(s, tried, tried_count) &&
	    (best == NULL || is_better(s, best, now_ns)) && tow__agent_session_serves(s, authority))
		best = s;
	if (best != NULL && best->next != NULL) {
		DL_DELETE(group->members, best);
		DL_APPEND(group->members, best);
	}
	return best;
}

/* All are retired before the first is closed, so that its visitors are not sent to the next. */
static void cut(struct agents *agents, const struct tow_id *tenant, const struct tow_id *agent,
                const char *text)
{
	struct agent_group *group = group_find(agents, tenant);
	struct agent_session *s = NULL;

	if (group != NULL)
		retire_all(group, agent, 0);
	do {
		group = group_find(agents, tenant);
		if (group == NULL)
			return;
		DL_FOREACH(group->members, s)
		if (s->state != AGENT_GONE && (agent == NULL || tow_id_equal(&s->agent_id, agent)))
			break;
		if (s != NULL)
			tow__agent_session_cut(s, TOW_TUNNEL_UNAUTHORIZED, text);
	} while (s != NULL);
}

void tow__agents_cut_tenant(struct agents *agents, const struct tow_id *tenant)
{
	cut(agents, tenant, NULL, "the tenant has been removed");
}

void tow__agents_cut_agent(struct agents *agents, const struct tow_id *tenant,
                           const struct tow_id *agent)
{
	cut(agents, tenant, agent, "the agent has been revoked");
}

unsigned tow__agents_tunnels(size_t agents, unsigned workers)
{
	unsigned most = workers < TOW_WORKERS_PER_AGENT ? workers : TOW_WORKERS_PER_AGENT;
	size_t share = agents > 0 ? TOW_TUNNELS_OF_AGENTS / agents : most;

	return share > most ? most : share > 0 ? (unsigned)share : 1;
}

void tow__agents_each(struct agents *agents,
                      void (*visit)(void *user, struct agent_session *session), void *user)
{
	struct agent_group *group, *next_group;
	struct agent_session *s, *next;

	HASH_ITER(hh, agents->groups, group, next_group)
	DL_FOREACH_SAFE(group->members, s, next)
	visit(user, s);
}
