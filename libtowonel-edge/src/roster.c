/* SPDX-License-Identifier: MIT */

#include "roster.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#define HASH_NONFATAL_OOM 1
#include <uthash.h>
#include <utlist.h>
#include "agent_session.h"
#include "edge_metrics.h"
#include "worker.h"

struct roster_set {
	struct tow_id tenant;
	uint8_t services_hash[TOW_HASH_SIZE];
	uint64_t generation; /* the highest in it */
	struct roster_seat *seats;
	UT_hash_handle hh;
};

void tow__roster_init(struct roster *roster, struct tow_metrics *metrics)
{
	*roster = (struct roster){ .gauge = tow__edge_agents_gauge(metrics),
		                   .late_gauge = tow__edge_late_gauge(metrics) };
	pthread_mutex_init(&roster->lock, NULL);
}

void tow__roster_deinit(struct roster *roster)
{
	pthread_mutex_destroy(&roster->lock);
}

static struct roster_set *find_set(struct roster *roster, const struct tow_id *tenant)
{
	struct roster_set *set;

	HASH_FIND(hh, roster->sets, tenant, sizeof(*tenant), set);
	return set;
}

static struct roster_set *make_set(struct roster *roster, const struct agent_session *first)
{
	struct roster_set *set = calloc(1, sizeof(*set));

	if (set == NULL)
		return NULL;
	set->tenant = first->tenant;
	HASH_ADD(hh, roster->sets, tenant, sizeof(set->tenant), set);
	if (set->hh.tbl == NULL) {
		free(set);
		return NULL;
	}
	return set;
}

static int belongs(const struct roster_set *set, const struct agent_session *session)
{
	return memcmp(set->services_hash, session->services_hash, TOW_HASH_SIZE) == 0;
}

static int has_live(const struct roster_set *set)
{
	const struct roster_seat *seat;

	DL_FOREACH(set->seats, seat)
	if (belongs(set, seat->session))
		return 1;
	return 0;
}

/* Does the agent owe an answer on another seat? */
static int is_late(const struct roster_set *set, const struct roster_seat *but)
{
	const struct roster_seat *seat;

	DL_FOREACH(set->seats, seat)
	if (seat != but && seat->late &&
	    tow_id_equal(&seat->session->agent_id, &but->session->agent_id))
		return 1;
	return 0;
}

/* Does the agent have another seat? One of a list that ends with `end`, NULL for all. */
static int is_seated(const struct roster_set *set, const struct roster_seat *end)
{
	const struct roster_seat *seat;

	for (seat = set->seats; seat != NULL && seat != end; seat = seat->next)
		if (tow_id_equal(&seat->session->agent_id, &end->session->agent_id))
			return 1;
	return 0;
}

/* The generation that a session of another set is to hear of. */
static uint64_t superseding(const struct roster_set *set, const struct agent_session *session)
{
	const struct roster_seat *seat;

	DL_FOREACH(set->seats, seat)
	if (belongs(set, seat->session) &&
	    tow_id_equal(&seat->session->agent_id, &session->agent_id))
		return 0;
	return set->generation;
}

static void count(struct roster *roster, int change)
{
	roster->agents += (size_t)change;
	tow_metric_set(roster->gauge, (int64_t)roster->agents);
}

static int enter(struct roster *roster, struct agent_session *session, uint64_t *generation)
{
	struct roster_set *set = find_set(roster, &session->tenant);
	int live, same;

	if (set == NULL)
		set = make_set(roster, session);
	if (set == NULL)
		return TOW_ENOMEM;
	live = has_live(set);
	same = live && belongs(set, session);
	if (live && !same && set->generation >= session->generation) {
		*generation = superseding(set, session);
		return TOW_ECONFLICT;
	}
	if (!same || set->generation < session->generation)
		set->generation = session->generation;
	memcpy(set->services_hash, session->services_hash, TOW_HASH_SIZE);
	session->seat = (struct roster_seat){ .set = set, .session = session };
	DL_APPEND(set->seats, &session->seat);
	if (!is_seated(set, &session->seat))
		count(roster, 1);
	return live && !same ? TOW_MORE : 0;
}

int tow__roster_enter(struct roster *roster, struct agent_session *session, uint64_t *generation)
{
	int rc;

	pthread_mutex_lock(&roster->lock);
	rc = enter(roster, session, generation);
	pthread_mutex_unlock(&roster->lock);
	return rc;
}

static void set_late(struct roster *roster, struct roster_seat *seat, int late)
{
	if (seat->late == late)
		return;
	seat->late = late;
	if (is_late(seat->set, seat))
		return;
	roster->late += late ? 1 : (size_t)-1;
	tow_metric_set(roster->late_gauge, (int64_t)roster->late);
}

void tow__roster_set_late(struct roster *roster, struct agent_session *session, int late)
{
	if (session->seat.set == NULL || session->seat.late == late)
		return; /* only its own worker changes that */
	pthread_mutex_lock(&roster->lock);
	set_late(roster, &session->seat, late);
	pthread_mutex_unlock(&roster->lock);
}

static void leave(struct roster *roster, struct roster_seat *seat)
{
	struct roster_set *set = seat->set;

	set_late(roster, seat, 0);
	DL_DELETE(set->seats, seat);
	DL_APPEND(set->seats, seat);
	if (!is_seated(set, seat))
		count(roster, -1);
	DL_DELETE(set->seats, seat);
	seat->set = NULL;
	if (set->seats != NULL)
		return;
	HASH_DEL(roster->sets, set);
	free(set);
}

void tow__roster_leave(struct roster *roster, struct agent_session *session)
{
	if (session->seat.set == NULL) /* only its own worker gives it one */
		return;
	pthread_mutex_lock(&roster->lock);
	leave(roster, &session->seat);
	pthread_mutex_unlock(&roster->lock);
}

int tow__roster_is_live(struct roster *roster, const struct agent_session *session,
                        uint64_t *generation)
{
	const struct roster_set *set = session->seat.set;
	int live;

	assert(set != NULL);
	pthread_mutex_lock(&roster->lock);
	live = belongs(set, session);
	*generation = superseding(set, session);
	pthread_mutex_unlock(&roster->lock);
	return live;
}

/* Workers in an order of their own for each spread. */
static uint32_t rank(unsigned worker, uint32_t spread)
{
	uint32_t x = (spread + worker * 0x9e3779b9u) ^ 0x85ebca6bu;

	x = (x ^ x >> 16) * 0x7feb352du;
	x = (x ^ x >> 15) * 0x846ca68bu;
	return x ^ x >> 16;
}

int tow__roster_find(struct roster *roster, const struct tow_id *tenant, const char *authority,
                     const struct tried *tried, size_t tried_count, unsigned but, uint32_t spread)
{
	const struct roster_set *set;
	const struct roster_seat *seat;
	int best = ROSTER_NOBODY;

	pthread_mutex_lock(&roster->lock);
	set = find_set(roster, tenant);
	DL_FOREACH(set != NULL ? set->seats : NULL, seat)
	{
		const struct agent_session *s = seat->session;
		unsigned worker = s->worker->index;

		if (worker != but && worker != (unsigned)best && belongs(set, s) &&
		    (best == ROSTER_NOBODY ||
		     rank(worker, spread) > rank((unsigned)best, spread)) &&
		    !tow__agent_session_tried(s, tried, tried_count) &&
		    tow__agent_session_serves(s, authority))
			best = (int)worker;
	}
	pthread_mutex_unlock(&roster->lock);
	return best;
}

size_t tow__roster_count(struct roster *roster)
{
	size_t agents;

	pthread_mutex_lock(&roster->lock);
	agents = roster->agents;
	pthread_mutex_unlock(&roster->lock);
	return agents;
}

size_t tow__roster_agents(struct roster *roster, struct tow_id *ids, size_t cap)
{
	const struct roster_set *set;
	const struct roster_seat *seat;
	size_t n = 0;

	pthread_mutex_lock(&roster->lock);
	for (set = roster->sets; set != NULL; set = set->hh.next)
		DL_FOREACH(set->seats, seat)
	if (n < cap && !is_seated(set, seat))
		ids[n++] = seat->session->agent_id;
	pthread_mutex_unlock(&roster->lock);
	return n;
}
