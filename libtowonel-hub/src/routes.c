/* SPDX-License-Identifier: MIT */
#include "routes.h"

#include <stdlib.h>

#include <towonel/hub.h>

#include "hub.h"

#define RETRY_NS TOW_NSEC_PER_SEC

struct tow_hub_subscription {
	struct tow__routes *routes; /* NULL: the hub is gone */
	tow_route_sink sink;
	void *user;
	uint64_t version; /* 0: wants a snapshot */
	uint64_t round;   /* of handing out, in which it was served last */
	int unsure;       /* the version is what its owner says: the store has to be asked */
	int blocked;
	struct tow_hub_subscription *next, **link;
};

/* The one reading under way. */
struct reading {
	struct tow__job job;
	struct tow__routes *routes;
	uint64_t from, version;
	enum tow_route_event_kind kind;
	struct tow_buf json;
	struct tow__fault fault;
};

struct tow__routes {
	struct tow_log *log;
	struct tow__pool *pool;
	struct tow_task pump;
	struct tow_timer retry;
	struct tow_hub_subscription *subscriptions;
	struct tow_hub_subscription
		*served; /* whose sink is at work; NULL once it has unsubscribed */
	uint64_t round;
	uint64_t newest; /* as far as it is known */
	int reading_now;
	int stopped;
	struct reading reading;
	struct tow_log_gate gate;
};

static void read_on_thread(struct tow__job *job, struct tow__store *store)
{
	struct reading *r = (struct reading *)job;

	tow__store_routes_since(store, r->from, tow_wall_ms(), &r->kind, &r->version, &r->json,
	                        &r->fault);
}

static struct tow_hub_subscription *next_at(struct tow__routes *routes, uint64_t version)
{
	for (struct tow_hub_subscription *s = routes->subscriptions; s; s = s->next)
		if (s->version == version && s->round != routes->round && !s->blocked)
			return s;
	return NULL;
}

/* A sink may unsubscribe, itself or another, so the list is looked at anew after each call. Returns
 * how many did not even take a snapshot. */
static int hand_out(struct tow__routes *routes, struct reading *r)
{
	struct tow_route_event event = { r->kind, r->version, tow_buf_peek(&r->json) };
	struct tow_hub_subscription *s;
	int rc, refused = 0;

	routes->round++;
	while (!routes->stopped && (s = next_at(routes, r->from))) {
		s->version = r->version;
		s->round = routes->round;
		s->unsure = 0;
		routes->served = s;
		rc = s->sink(s->user, &event);
		if (rc == TOW_BLOCKED && routes->served) {
			s->version = r->from;
			s->blocked = s->unsure = 1;
		} else if (rc && routes->served) {
			s->version = 0;
			refused += r->kind == TOW_ROUTE_SNAPSHOT;
		}
		routes->served = NULL;
	}
	return refused;
}

static void back_on_loop(struct tow__job *job)
{
	struct reading *r = (struct reading *)job;
	struct tow__routes *routes = r->routes;
	uint64_t suppressed;
	int refused = 0;

	routes->reading_now = 0;
	if (r->fault.kind) {
		if (tow_log_gate_open(&routes->gate, tow_now_ns(), &suppressed))
			tow_log_warn(routes->log, "cannot read the routes, will try again",
			             tow_f_str("reason", r->fault.text));
	} else if (r->version == r->from) {
		routes->newest = r->version;
		for (struct tow_hub_subscription *s = routes->subscriptions; s; s = s->next)
			s->unsure &= s->version != r->version;
	} else {
		if (r->version > routes->newest)
			routes->newest = r->version;
		refused = hand_out(routes, r);
	}
	if (routes->stopped)
		;
	else if (r->fault.kind || refused)
		tow_timer_start_in(&routes->retry, RETRY_NS);
	else
		tow_task_schedule(&routes->pump);
	tow_buf_deinit(&r->json);
}

static void pump(void *user)
{
	struct tow__routes *routes = user;
	struct reading *r = &routes->reading;
	struct tow_hub_subscription *s = routes->subscriptions;

	if (routes->reading_now || routes->stopped)
		return;
	while (s && (s->blocked || (!s->unsure && s->version && s->version >= routes->newest)))
		s = s->next;
	if (!s)
		return;
	*r = (struct reading){ .job = { .work = read_on_thread, .done = back_on_loop },
		               .routes = routes,
		               .from = s->version };
	routes->reading_now = 1;
	if (tow__pool_submit(routes->pool, TOW__DB_READ, &r->job)) {
		routes->reading_now = 0;
		tow_timer_start_in(&routes->retry, RETRY_NS);
	}
}

struct tow__routes *tow__routes_new(struct tow_loop *loop, struct tow_log *log,
                                    struct tow__pool *pool)
{
	struct tow__routes *routes = calloc(1, sizeof *routes);

	if (!routes)
		return NULL;
	routes->log = log;
	routes->pool = pool;
	tow_task_init(&routes->pump, loop, pump, routes);
	tow_timer_init(&routes->retry, loop, pump, routes);
	return routes;
}

void tow__routes_stop(struct tow__routes *routes)
{
	routes->stopped = 1;
	tow_task_cancel(&routes->pump);
	tow_timer_stop(&routes->retry);
}

void tow__routes_free(struct tow__routes *routes)
{
	if (!routes)
		return;
	tow__routes_stop(routes);
	for (struct tow_hub_subscription *s = routes->subscriptions; s; s = s->next)
		s->routes = NULL;
	free(routes);
}

void tow__routes_changed(struct tow__routes *routes, uint64_t version)
{
	if (version > routes->newest)
		routes->newest = version;
	if (!routes->stopped)
		tow_task_schedule(&routes->pump);
}

int tow__routes_subscribe(struct tow__routes *routes, uint64_t version, tow_route_sink sink,
                          void *user, struct tow_hub_subscription **out)
{
	struct tow_hub_subscription *s = calloc(1, sizeof *s);

	if (!s)
		return TOW_ENOMEM;
	s->routes = routes;
	s->sink = sink;
	s->user = user;
	s->version = version;
	s->unsure = 1;
	s->next = routes->subscriptions;
	s->link = &routes->subscriptions;
	if (s->next)
		s->next->link = &s->next;
	routes->subscriptions = s;
	*out = s;
	if (!routes->stopped)
		tow_task_schedule(&routes->pump);
	return 0;
}

void tow__routes_resume(struct tow_hub_subscription *subscription)
{
	subscription->blocked = 0;
	if (subscription->routes && !subscription->routes->stopped)
		tow_task_schedule(&subscription->routes->pump);
}

int tow_hub_subscribe(struct tow_hub *hub, tow_route_sink sink, void *user,
                      struct tow_hub_subscription **out)
{
	return tow__routes_subscribe(hub->routes, 0, sink, user, out);
}

void tow_hub_unsubscribe(struct tow_hub_subscription *subscription)
{
	if (!subscription)
		return;
	if (subscription->routes) {
		if (subscription->routes->served == subscription)
			subscription->routes->served = NULL;
		*subscription->link = subscription->next;
		if (subscription->next)
			subscription->next->link = subscription->link;
	}
	free(subscription);
}
