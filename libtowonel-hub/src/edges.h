/* SPDX-License-Identifier: MIT */
#ifndef TOWONEL_HUB_EDGES_H
#define TOWONEL_HUB_EDGES_H

/* The edges that the hub lists: for now the one in its own process, which is there as long as the
 * hub. */

#include <jansson.h>
#include <towonel/wire/route_feed.h>

#define TOW__LOCAL_EDGE_NAME "local"

/* All-zero is valid: no edge. */
struct tow__edges {
	int reported;
	struct tow_id node_id;
	json_t *addresses; /* array of strings */
};

/* Returns 0; TOW_ENOMEM, and what was there stays. */
int tow__edges_report(struct tow__edges *edges, const struct tow_edge_report *report);
void tow__edges_deinit(struct tow__edges *edges);

/* NULL when out of memory. */
json_t *tow__edges_for_agents(const struct tow__edges *edges); /* [{node_id, addresses}] */
json_t *tow__edges_for_all(const struct tow__edges *edges); /* [{node_id, name, addresses, live}] */
json_t *tow__edges_ids(const struct tow__edges *edges);     /* [node_id] */

#endif
