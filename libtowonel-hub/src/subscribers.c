/* SPDX-License-Identifier: MIT */

#include "subscribers.h"

#include <stdlib.h>
#include <string.h>

#include <towonel/wire/limits.h>

#include "hub.h"

#define CATCH_UP_NS (100 * TOW_NSEC_PER_MSEC) /* how often is looked whether slow ones have */

struct subscriber {
	struct tow__subscribers *all;
	struct tow_id edge;
	struct tow_http_event_stream *stream;
	struct tow_hub_subscription *routes;
	int waiting;
	struct subscriber *next, **link;
};

struct tow__subscribers {
	struct tow_hub *hub;
	struct subscriber *list; /* the youngest first */
	size_t count;
	struct tow_timer comment, catch_up;
	struct tow_metric *connected;
};

static size_t queued_in_all(const struct tow__subscribers *all)
{
	size_t bytes = 0;

	for (const struct subscriber *s = all->list; s; s = s->next)
		bytes += tow_http_event_stream_queued(s->stream);
	return bytes;
}

static int has_room(const struct subscriber *s)
{
	return tow_http_event_stream_queued(s->stream) <= TOW_SUBSCRIBER_QUEUE_MAX &&
	       queued_in_all(s->all) <= TOW_SUBSCRIBERS_QUEUE_MAX;
}

static int take_event(void *user, const struct tow_route_event *event)
{
	struct subscriber *s = user;
	int rc;

	if (!has_room(s)) {
		s->waiting = 1;
		if (s->all->catch_up.deadline_ns == TOW_NEVER)
			tow_timer_start_in(&s->all->catch_up, CATCH_UP_NS);
		return TOW_BLOCKED;
	}
	rc = tow_http_event_stream_send(s->stream, event->version,
	                                event->kind == TOW_ROUTE_SNAPSHOT ? "snapshot" : "delta",
	                                event->json);
	/* it comes back, and takes it from where it is */
	if (rc)
		tow_http_event_stream_end(s->stream);
	return 0;
}

static void catch_up(void *user)
{
	struct tow__subscribers *all = user;
	int waiting = 0;

	for (struct subscriber *s = all->list; s; s = s->next) {
		if (!s->waiting)
			continue;
		if (has_room(s)) {
			s->waiting = 0;
			tow__routes_resume(s->routes);
		} else {
			waiting = 1;
		}
	}
	if (waiting)
		tow_timer_start_in(&all->catch_up, CATCH_UP_NS);
}

static void comment(void *user)
{
	struct tow__subscribers *all = user;

	for (struct subscriber *s = all->list; s; s = s->next)
		if (!tow_http_event_stream_queued(s->stream))
			tow_http_event_stream_comment(s->stream, "");
	if (all->list)
		tow_timer_start_in(&all->comment, TOW_EVENT_COMMENT_MS * TOW_NSEC_PER_MSEC);
}

static void closed(void *user)
{
	struct subscriber *s = user;
	struct tow__subscribers *all = s->all;

	tow_hub_unsubscribe(s->routes);
	*s->link = s->next;
	if (s->next)
		s->next->link = s->link;
	tow_metric_set(all->connected, (int64_t)--all->count);
	tow_log_info(all->hub->log, "an edge no longer follows the routes",
	             tow_f_id("edge", &s->edge));
	free(s);
}

static void end_oldest(struct tow__subscribers *all, const struct tow_id *edge)
{
	struct subscriber *oldest = NULL;
	size_t count = 0;

	for (struct subscriber *s = all->list; s; s = s->next) {
		if (!tow_id_equal(&s->edge, edge))
			continue;
		oldest = s;
		count++;
	}
	if (count > TOW_SUBSCRIPTIONS_PER_EDGE)
		tow_http_event_stream_end(oldest->stream);
}

void tow__subscribers_add(struct tow__subscribers *all, struct tow_http_request *request,
                          const struct tow_id *edge, uint64_t version)
{
	struct subscriber *s = calloc(1, sizeof *s);
	const struct tow_addr from = *tow_http_peer(request);

	if (!s || tow__routes_subscribe(all->hub->routes, version, take_event, s, &s->routes)) {
		free(s);
		tow_http_respond_error(request, 503, "unavailable", "the hub is out of memory");
		return;
	}
	s->all = all;
	s->edge = *edge;
	s->stream = tow_http_event_stream_start(request, closed, s);
	if (!s->stream) {
		tow_hub_unsubscribe(s->routes);
		free(s);
		return;
	}
	s->next = all->list;
	s->link = &all->list;
	if (s->next)
		s->next->link = &s->next;
	all->list = s;
	tow_metric_set(all->connected, (int64_t)++all->count);
	tow_log_info(all->hub->log, "an edge follows the routes", tow_f_id("edge", edge),
	             tow_f_addr("from", &from), tow_f_uint("version", version));
	/* so that an edge knows at once that it is listened to, when nothing has changed */
	tow_http_event_stream_comment(s->stream, "");
	if (all->comment.deadline_ns == TOW_NEVER)
		tow_timer_start_in(&all->comment, TOW_EVENT_COMMENT_MS * TOW_NSEC_PER_MSEC);
	end_oldest(all, edge);
}

void tow__subscribers_cut(struct tow__subscribers *all, const json_t *edges)
{
	size_t index;
	json_t *item;

	json_array_foreach(edges, index, item)
	{
		struct subscriber *s = all->list, *next;
		struct tow_id id;
		if (tow_id_parse(tow_slice_of(json_string_value(item)), &id))
			continue;
		for (; s; s = next) {
			next = s->next;
			if (tow_id_equal(&s->edge, &id))
				tow_http_event_stream_end(s->stream);
		}
	}
}

struct tow__subscribers *tow__subscribers_new(struct tow_hub *hub)
{
	struct tow__subscribers *all = calloc(1, sizeof *all);

	if (!all)
		return NULL;
	all->hub = hub;
	tow_timer_init(&all->comment, hub->loop, comment, all);
	tow_timer_init(&all->catch_up, hub->loop, catch_up, all);
	all->connected = tow_metrics_series(hub->metrics, TOW_METRIC_GAUGE,
	                                    "towonel_hub_sse_subscribers_connected", NULL,
	                                    "Edges that follow the routes over HTTPS now.");
	return all;
}

void tow__subscribers_free(struct tow__subscribers *all)
{
	if (!all)
		return;
	tow_timer_stop(&all->comment);
	tow_timer_stop(&all->catch_up);
	free(all);
}
