/* SPDX-License-Identifier: MIT */
#include "watch.h"

#include <stdlib.h>

#include "hub.h"

#define PERIOD_NS     (5 * TOW_NSEC_PER_SEC)
#define RETRY_NS      TOW_NSEC_PER_SEC        /* while something is wrong */
#define LATE_NS       (15 * TOW_NSEC_PER_SEC) /* no answer for so long: not ready */
#define SWEEP_PERIODS 120                     /* every ten minutes, and at the start */

struct tow__watch {
	struct tow__job job;
	struct tow_hub *hub;
	struct tow_timer timer;
	int under_way, stopped;
	uint64_t answered_ns;
	unsigned round;
	int cannot_write; /* since a write was refused by the database */
	/* of the round under way */
	int sweep, write;
	uint64_t tenants;
	struct tow__fault fault;
	/* what it came to */
	struct tow__fault last;
};

static void work(struct tow__job *job, struct tow__store *store)
{
	struct tow__watch *w = (struct tow__watch *)job;

	if (!tow__store_ping(store, &w->fault))
		tow__store_count_tenants(store, &w->tenants, &w->fault);
	/* should a message of another hub be lost (a proxy before the database may do that) */
	if (!w->fault.kind && tow__store_is_shared(store))
		tow__store_see_version(store, &w->fault);
	if (!w->fault.kind && w->sweep)
		tow__store_sweep(store, tow_wall_ms(), &w->fault);
	if (!w->fault.kind && w->write)
		tow__store_try_write(store, &w->fault);
}

static void done(struct tow__job *job)
{
	struct tow__watch *w = (struct tow__watch *)job;
	struct tow_hub *hub = w->hub;

	w->under_way = 0;
	w->answered_ns = tow_now_ns();
	if (w->fault.kind && !w->last.kind)
		tow_log_error(hub->log, "the database fails", tow_f_str("reason", w->fault.text));
	else if (!w->fault.kind && (w->last.kind || (w->cannot_write && w->write)))
		tow_log_info(hub->log, "the database works again");
	w->last = w->fault;
	if (w->write && !w->fault.kind)
		w->cannot_write = 0;
	if (!w->fault.kind)
		tow_metric_set(hub->tenants_total, (int64_t)w->tenants);
	if (!w->stopped)
		tow_timer_start_in(&w->timer, w->last.kind ? RETRY_NS : PERIOD_NS);
}

static void look(void *user)
{
	struct tow__watch *w = user;

	if (w->under_way) {
		tow_timer_start_in(&w->timer, RETRY_NS);
		return;
	}
	w->fault.kind = TOW__NO_FAULT;
	w->sweep = w->round++ % SWEEP_PERIODS == 0;
	w->write = w->cannot_write || w->last.kind;
	w->job.work = work;
	w->job.done = done;
	w->under_way = 1;
	/* with the writes, whose thread is the one that can get stuck */
	if (tow__pool_submit(w->hub->pool, TOW__DB_WRITE, &w->job)) {
		w->under_way = 0;
		tow_timer_start_in(&w->timer, PERIOD_NS);
	}
}

int tow__watch_new(struct tow_hub *hub)
{
	struct tow__watch *w = calloc(1, sizeof *w);

	if (!w)
		return TOW_ENOMEM;
	w->hub = hub;
	w->answered_ns = tow_now_ns();
	tow_timer_init(&w->timer, hub->loop, look, w);
	hub->watch = w;
	return 0;
}

void tow__watch_start(struct tow_hub *hub)
{
	look(hub->watch);
}

void tow__watch_look(struct tow_hub *hub)
{
	struct tow__watch *w = hub->watch;

	/* one that is under way may have begun before it happened, so another follows soon */
	if (!w->stopped)
		tow_timer_start_in(&w->timer, w->under_way ? RETRY_NS : 0);
}

void tow__watch_stop(struct tow_hub *hub)
{
	if (!hub->watch)
		return;
	hub->watch->stopped = 1;
	tow_timer_stop(&hub->watch->timer);
}

void tow__watch_free(struct tow_hub *hub)
{
	free(hub->watch);
	hub->watch = NULL;
}

void tow__watch_result(struct tow_hub *hub, enum tow__db_access access, enum tow__fault_kind kind)
{
	struct tow__watch *w = hub->watch;

	if (access != TOW__DB_WRITE) {
		if (kind == TOW__UNAVAILABLE && !w->last.kind)
			tow__watch_look(hub);
		return;
	}
	if (kind == TOW__UNAVAILABLE || kind == TOW__INTERNAL)
		w->cannot_write = 1;
	else if (!kind)
		w->cannot_write = 0;
}

void tow_hub_not_ready(void *user, struct tow_buf *reasons)
{
	struct tow_hub *hub = user;
	const struct tow__watch *w = hub->watch;

	if (w->last.kind)
		tow_buf_printf(reasons, "store: %s\n", w->last.text);
	else if (w->cannot_write)
		tow_buf_append_text(reasons, "store: the database takes no writes\n");
	else if (w->under_way && tow_now_ns() - w->answered_ns > LATE_NS)
		tow_buf_append_text(reasons, "store: the database does not answer\n");
}
