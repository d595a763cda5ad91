/* SPDX-License-Identifier: MIT */
#ifndef TOWONEL_HUB_EDGES_H
#define TOWONEL_HUB_EDGES_H

/*
 * The edges that the hub lists: the one in its own process, as it says itself; those apart from any
 * hub, by their heartbeats; and those of other hubs on the same database, through the store, where
 * all of them are kept. What is told from here is a copy that needs no database to be asked for.
 */

#include <jansson.h>
#include <towonel/wire/route_feed.h>

#include "fault.h"

#define TOW__LOCAL_EDGE_NAME "local"
/* Between two heartbeats; an edge that misses three of them does not live. */
#define TOW__EDGE_INTERVAL_SECS 10
#define TOW__EDGE_LIVE_MS       (3 * TOW__EDGE_INTERVAL_SECS * 1000 + 2000)

struct tow_hub;
struct tow__edges;

struct tow__edges *tow__edges_new(struct tow_hub *hub); /* NULL: out of memory */
void tow__edges_start(struct tow__edges *edges);
void tow__edges_stop(struct tow__edges *edges);
void tow__edges_free(struct tow__edges *edges); /* no job is under way; takes NULL */

/* What the edge in the same process says. Returns 0; TOW_ENOMEM, and what was there stays. */
int tow__edges_report(struct tow__edges *edges, const struct tow_edge_report *report);
/* What an edge said, which is in the store already; report is borrowed. */
void tow__edges_heard(struct tow__edges *edges, const struct tow_id *node_id, const char *name,
                      json_t *report);
/* It is no longer one. */
void tow__edges_revoked(struct tow__edges *edges, const struct tow_id *node_id);
/* Somebody may have changed what the store has: it is looked at soon. */
void tow__edges_look(struct tow__edges *edges);

/* NULL when out of memory. Those that live come first, the hub's own before the others. */
json_t *tow__edges_for_agents(const struct tow__edges *edges); /* [{node_id, addresses}] */
json_t *tow__edges_ids(const struct tow__edges *edges);        /* [node_id] */
/* Did an edge have a tunnel to the agent when it told of its agents last, or may it not have told
 * all? An edge that is silent now may only be out of this hub's sight. */
int tow__edges_may_serve(const struct tow__edges *edges, const struct tow_id *agent);
/* Those that agents are to let go of: [node_id]. */
json_t *tow__edges_revoked_ids(const struct tow__edges *edges);
/* [{node_id, name, addresses, live}]; with version, agents, failed_ports, certificates, traffic,
 * last_seen_ms for the operator. */
json_t *tow__edges_for_all(const struct tow__edges *edges, int details);
/* The report of an edge as JSON, as it comes in heartbeats. */
json_t *tow__edges_report_json(const struct tow_edge_report *report);

#endif
