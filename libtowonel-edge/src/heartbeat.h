/* SPDX-License-Identifier: MIT */
#ifndef TOW_EDGE_HEARTBEAT_H
#define TOW_EDGE_HEARTBEAT_H

/*
 * Tells a hub how the edge is: as often as the hub wants it, and at once when something has
 * changed.
 *
 *     REST ──time, change──► BEAT ──answered──► REST      a failure rests for the backoff
 *                              └───refused────► the edge is none of this hub's: the end
 */

#include <jansson.h>
#include <towonel/tunnel/backoff.h>
#include <towonel/tunnel/hub_client.h>
#include <towonel/tunnel/metrics.h>
#include <towonel/wire/route_feed.h>

struct heartbeat {
	struct tow_log *log;
	struct tow_hub_client *hub; /* borrowed */
	void (*refused)(void *user, const char *text);
	void *user;

	json_t *report; /* NULL until there is one */
	int changed;    /* since the request under way was made */
	int failing;
	struct tow_http_call *call;
	struct tow_timer timer;
	struct tow_backoff backoff;
	struct tow_metric *ok, *failed;
};

void tow__heartbeat_init(struct heartbeat *beat, struct tow_loop *loop,
                         struct tow_metrics *metrics);
void tow__heartbeat_deinit(struct heartbeat *beat);
void tow__heartbeat_report(struct heartbeat *beat, const struct tow_edge_report *report);
/* Asks the hub now whether it knows this edge. */
void tow__heartbeat_now(struct heartbeat *beat);

#endif
